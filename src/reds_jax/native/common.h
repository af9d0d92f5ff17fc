// What the kernels have in common: vectors of the compiler, memory of a thread, and work shared by the threads of XLA.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

#if defined(__AVX512F__)
constexpr int kBytes = 64;  // of a vector: the processor's own, since what a compiler splits goes through memory
#elif defined(__AVX__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif

template <class T> struct Vector { typedef T type __attribute__((vector_size(kBytes))); };
template <class T> using V = typename Vector<T>::type;
template <class T> constexpr int64_t kLanes = kBytes / sizeof(T);

template <class T> inline V<T> load(const T* p) {
  V<T> v;
  std::memcpy(&v, p, kBytes);
  return v;
}
template <class T, class Lanes> inline void store(T* p, Lanes v) { std::memcpy(p, &v, sizeof(v)); }
template <class T> inline double total(V<T> v) {
  double s = 0;
  for (int i = 0; i < kLanes<T>; i++) s += v[i];
  return s;
}

// Memory of a thread, kept from call to call; a vector may be read behind the end.
template <class T> T* scratch(int which, int64_t count) {
  static thread_local std::vector<T> memory[4];
  auto& mine = memory[which];
  if (int64_t(mine.size()) < count + kLanes<T>) mine.resize(count + kLanes<T>);
  return mine.data();
}

// work(0) to work(count - 1), in any order, by as many threads as there are.
template <class Work> void shared(ffi::ThreadPool& pool, int64_t count, const Work& work) {
  const int64_t threads = std::min<int64_t>(pool.num_threads(), count);
  if (threads <= 1) {
    for (int64_t c = 0; c < count; c++) work(c);
    return;
  }
  struct State { std::atomic<int64_t> next{0}, done{0}; };
  auto state = std::make_shared<State>();  // a helper that comes late finds nothing to do, and the state still there
  auto take = [state, count, &work] {
    for (int64_t c; (c = state->next.fetch_add(1)) < count;) {
      work(c);
      state->done.fetch_add(1, std::memory_order_release);
    }
  };
  for (int64_t t = 1; t < threads; t++) pool.Schedule(std::function<void()>(take));
  take();
  while (state->done.load(std::memory_order_acquire) < count) std::this_thread::yield();
}

template <ffi::DataType D> using In = ffi::Buffer<D>;
template <ffi::DataType D> using Out = ffi::Result<ffi::Buffer<D>>;
using Integers = ffi::Span<const int64_t>;

}  // namespace
