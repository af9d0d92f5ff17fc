// A convolution and its two gradients, in the layout [C, H, W, N], without the views of its input in memory.
//
//     y[o, h, w] = sum over i, t of kernel[t, i, o] x[i, h s + t d - before, w s' + t' d' - before']
//
// The batch lies last, so that a row of outputs reads, for one input channel and one tap, one contiguous run of a padded input
// row: a matrix product whose second operand is never written down. Where the window moves by more than one column, the columns of
// a padded row are sorted by their remainder, which makes the runs contiguous again. Rows are packed a strip at a time, which
// stays in the second-level cache; a block of outputs times a few vectors is summed in registers. The gradient of the input is the
// same product over the packed gradient, once for every remainder of row and column; that of the kernel sums runs times runs.
// Every number is summed in one order, whatever the threads. NaN stays NaN: compile without -ffast-math.

#if __has_include(<unistd.h>)
#include <unistd.h>
#endif

#include "common.h"

namespace {

#if defined(__AVX__) && !defined(__AVX512F__)
constexpr int kMost = 4, kGradients = 3, kViews = 3;  // 16 registers
#else
constexpr int kMost = 8, kGradients = 4, kViews = kBytes == 64 ? 6 : 5;  // 32 registers
#endif
template <class T> constexpr int kOutputs = sizeof(T) == 4 ? kMost : 4;  // float64 is for checks: fewer forms to compile
template <class T> constexpr int kVectors = sizeof(T) == 4 ? 3 : 1;
constexpr int64_t kRun = 512;  // elements of a run that the gradient of the kernel sums at a time

// Bytes of a packed strip: half of the second-level cache, which the system may know.
int64_t strip() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  static const int64_t cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
#else
  constexpr int64_t cache = 0;
#endif
  return cache > 0 ? std::clamp<int64_t>(cache / 2, 1 << 17, 1 << 20) : 1 << 18;
}

int64_t blocks(int64_t n, int64_t size) { return (n + size - 1) / size; }

// How a convolution goes over its input: x [inputs, height, width, batch], y [outputs, out_height, out_width, batch].
struct Shape {
  int64_t inputs, height, width, batch, outputs, out_height, out_width, kernel_height, kernel_width;
  int64_t stride_h, stride_w, top, left, dilation_h, dilation_w;

  int64_t taps() const { return kernel_height * kernel_width; }
  int64_t row(int64_t tap) const { return tap / kernel_width * dilation_h; }     // of a tap in the padded input
  int64_t column(int64_t tap) const { return tap % kernel_width * dilation_w; }
};

// Rows of a channel that lie one behind the other: ``parts`` remainders of columns, ``columns`` of each.
struct Packed {
  int64_t parts, columns, batch, rows, plane;

  int64_t line() const { return parts * columns * batch; }
  int64_t at(int64_t row, int64_t part, int64_t column) const { return row * line() + (part * columns + column) * batch; }
};

// ``plane``: an odd number of cache lines, so that channels do not fall on each other in the first-level cache.
Packed packed(int64_t parts, int64_t columns, int64_t batch, int64_t rows, int64_t bytes) {
  Packed p{parts, columns, batch, rows, 0};
  p.plane = (blocks(rows * p.line() * bytes, 64) | 1) * 64 / bytes;
  return p;
}

// Rows ``first`` to ``first + p.rows`` of a channel [height, width, batch] with ``before`` zeros on its left, zeros around it.
template <class T>
void pack(const T* x, int64_t height, int64_t width, int64_t first, int64_t before, const Packed& p, T* to) {
  for (int64_t r = 0; r < p.rows; r++) {
    const int64_t h = first + r;
    T* line = to + p.at(r, 0, 0);
    if (h < 0 || h >= height) {
      std::memset(line, 0, p.line() * sizeof(T));
    } else if (p.parts == 1) {
      const int64_t inside = std::min(width, p.columns - before), after = p.columns - before - inside;
      std::memset(line, 0, before * p.batch * sizeof(T));
      std::memcpy(line + before * p.batch, x + h * width * p.batch, inside * p.batch * sizeof(T));
      std::memset(line + (before + inside) * p.batch, 0, after * p.batch * sizeof(T));
    } else {
      for (int64_t part = 0; part < p.parts; part++)
        for (int64_t c = 0; c < p.columns; c++) {
          const int64_t w = c * p.parts + part - before;
          T* at = to + p.at(r, part, c);
          if (w < 0 || w >= width) std::memset(at, 0, p.batch * sizeof(T));
          else std::memcpy(at, x + (h * width + w) * p.batch, p.batch * sizeof(T));
        }
    }
  }
}

// The weights in the order in which blocks of results read them: [block][source][tap][result of the block].
template <class T> struct Weights {
  int64_t sources, results, taps;
  std::vector<T> data;

  // ``kernel`` [taps, inputs, outputs]; ``back``: the results are the inputs.
  Weights(const T* kernel, int64_t taps, int64_t inputs, int64_t outputs, bool back)
      : sources(back ? outputs : inputs), results(back ? inputs : outputs), taps(taps), data(taps * inputs * outputs) {
    T* to = data.data();
    for (int64_t b = 0; b < count(); b++)
      for (int64_t s = 0; s < sources; s++)
        for (int64_t t = 0; t < taps; t++)
          for (int64_t r = first(b); r < first(b + 1); r++)
            *to++ = back ? kernel[(t * inputs + r) * outputs + s] : kernel[(t * inputs + s) * outputs + r];
  }

  int64_t count() const { return blocks(results, kOutputs<T>); }
  int64_t first(int64_t block) const { return block * results / count(); }
  const T* block(int64_t b) const { return data.data() + first(b) * sources * taps; }
};

// A tap that a run reads: where, from the run's beginning, and its number.
struct Tap {
  int64_t offset, number;
};

// out[m][j] = sum over sources and taps of weight[tap][m] in[j + offset of the tap], for ``count`` elements of M results; what a last
// vector reads beyond them is computed and not stored.
template <class T, int M, int S>
void product(const T* in, int64_t plane, const Weights<T>& weights, const T* weight, const std::vector<Tap>& taps, T* out,
             int64_t out_plane, int64_t count) {
  V<T> sums[M][S] = {};
  for (int64_t s = 0; s < weights.sources; s++, in += plane, weight += weights.taps * M)
    for (const Tap& tap : taps) {
      const T *p = in + tap.offset, *k = weight + tap.number * M;
      V<T> v[S];
#pragma GCC unroll 8
      for (int j = 0; j < S; j++) v[j] = load(p + j * kLanes<T>);
#pragma GCC unroll 8
      for (int m = 0; m < M; m++) {
        const V<T> w = k[m] - V<T>{};
#pragma GCC unroll 8
        for (int j = 0; j < S; j++) sums[m][j] += w * v[j];
      }
    }
  if (count >= S * kLanes<T>) {
#pragma GCC unroll 8
    for (int m = 0; m < M; m++)
#pragma GCC unroll 8
      for (int j = 0; j < S; j++) store(out + m * out_plane + j * kLanes<T>, sums[m][j]);
    return;
  }
  T lines[M][S * kLanes<T>];
#pragma GCC unroll 8
  for (int m = 0; m < M; m++)
#pragma GCC unroll 8
    for (int j = 0; j < S; j++) store(lines[m] + j * kLanes<T>, sums[m][j]);
  for (int m = 0; m < M; m++) std::memcpy(out + m * out_plane, lines[m], count * sizeof(T));
}

template <class T, int M>
void products(const T* in, int64_t plane, const Weights<T>& weights, const T* weight, const std::vector<Tap>& taps, T* out,
              int64_t out_plane, int64_t count) {
  const int64_t vectors = blocks(count, kLanes<T>);
  if constexpr (kVectors<T> == 3) {
    if (vectors >= 3) return product<T, M, 3>(in, plane, weights, weight, taps, out, out_plane, count);
    if (vectors == 2) return product<T, M, 2>(in, plane, weights, weight, taps, out, out_plane, count);
  }
  product<T, M, 1>(in, plane, weights, weight, taps, out, out_plane, count);
}

// A run of ``count`` elements of the results of blocks ``from`` to ``to``.
template <class T>
void run(const T* in, int64_t plane, const std::vector<Tap>& taps, const Weights<T>& weights, int64_t from, int64_t to, T* out,
         int64_t out_plane, int64_t count) {
  for (int64_t j = 0; j < count; j += kVectors<T> * kLanes<T>)
    for (int64_t b = from; b < to; b++) {
      const int64_t first = weights.first(b);
      T* at = out + (first - weights.first(from)) * out_plane + j;
#define CASE(M) \
  case M: \
    if constexpr (M <= kOutputs<T>) products<T, M>(in + j, plane, weights, weights.block(b), taps, at, out_plane, count - j); \
    break;
      switch (weights.first(b + 1) - first) { CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) }
#undef CASE
    }
}

// What taps read along one axis: position ``q`` of the results reads ``q step + shift[tap]`` of ``size`` positions.
struct Axis {
  int64_t step, size;
  std::vector<int64_t> shift;

  bool reads(int64_t q, int64_t tap) const {
    const int64_t at = q * step + shift[tap];
    return 0 <= at && at < size;
  }
};

// Columns of the results that read the same taps, of those in ``taps``.
struct Columns {
  int64_t first, count;
  std::vector<int64_t> taps;
};

// All columns in one piece, or, where much of what that reads is padding, a piece for each set of taps.
std::vector<Columns> pieces(const Axis& axis, int64_t first, int64_t count, const std::vector<int64_t>& taps) {
  std::vector<Columns> found;
  int64_t read = 0;
  for (int64_t q = first; q < first + count; q++) {
    std::vector<int64_t> some;
    for (int64_t t : taps)
      if (axis.reads(q, t)) some.push_back(t);
    read += some.size();
    if (!found.empty() && found.back().taps == some) found.back().count++;
    else found.push_back({q, 1, std::move(some)});
  }
  if (4 * read > 3 * count * int64_t(taps.size())) return {{first, count, taps}};
  return found;
}

// How rows and blocks of results are shared: strips that fit in the cache, and parts of the results where there are few strips.
struct Parting {
  int64_t rows, strips, parts;

  int64_t count() const { return strips * parts; }
};

Parting parting(int64_t rows, int64_t row_bytes, int64_t extra_rows, int64_t step, int64_t results, int64_t threads) {
  const int64_t fit = std::max((strip() / row_bytes - extra_rows) / step, blocks(extra_rows, step) + 1);  // packs a row twice at most
  const int64_t each = blocks(rows, std::max(blocks(rows, fit), std::min(threads, rows)));
  const int64_t strips = blocks(rows, each);
  return {each, strips, std::min(blocks(threads, strips), results)};
}

Shape shape(Integers x, Integers kernel, Integers y, Integers w) {
  return {x[0], x[1], x[2], x[3], y[0], y[1], y[2], kernel[0], kernel[1], w[0], w[1], w[2], w[3], w[4], w[5]};
}

template <ffi::DataType D>
ffi::Error Forward(ffi::ThreadPool pool, In<D> x, In<D> kernel, Out<D> y, Integers window) {
  using T = ffi::NativeType<D>;
  const Shape s = shape(x.dimensions(), kernel.dimensions(), y->dimensions(), window);
  const int64_t reach = s.row(s.taps() - 1), wide = s.column(s.taps() - 1) / s.stride_w + s.out_width;
  const Weights<T> weights(kernel.typed_data(), s.taps(), s.inputs, s.outputs, false);
  const int64_t row_bytes = s.inputs * s.stride_w * wide * s.batch * sizeof(T);
  const Parting work = parting(s.out_height, row_bytes, reach, s.stride_h, weights.count(), pool.num_threads());
  const Packed p = packed(s.stride_w, wide, s.batch, (work.rows - 1) * s.stride_h + reach + 1, sizeof(T));
  Axis rows{s.stride_h, s.height, {}}, columns{s.stride_w, s.width, {}};
  std::vector<int64_t> all, offset;
  for (int64_t t = 0; t < s.taps(); t++) {
    all.push_back(t);
    rows.shift.push_back(s.row(t) - s.top), columns.shift.push_back(s.column(t) - s.left);
    offset.push_back(p.at(s.row(t), s.column(t) % s.stride_w, s.column(t) / s.stride_w));
  }
  const auto some = pieces(columns, 0, s.out_width, all);
  shared(pool, work.count(), [&](int64_t c) {
    const int64_t start = c / work.parts * work.rows, end = std::min(start + work.rows, s.out_height), part = c % work.parts;
    const int64_t from = part * weights.count() / work.parts, to = (part + 1) * weights.count() / work.parts;
    const int64_t plane = s.out_height * s.out_width * s.batch;
    T* strip = scratch<T>(0, s.inputs * p.plane);
    for (int64_t i = 0; i < s.inputs; i++)
      pack(x.typed_data() + i * s.height * s.width * s.batch, s.height, s.width, start * s.stride_h - s.top, s.left, p,
           strip + i * p.plane);
    std::vector<Tap> taps;
    for (int64_t h = start; h < end; h++)
      for (const Columns& piece : some) {
        taps.clear();
        for (int64_t t : piece.taps)
          if (rows.reads(h, t)) taps.push_back({offset[t], t});
        run(strip + p.at((h - start) * s.stride_h, 0, piece.first), p.plane, taps, weights, from, to,
            y->typed_data() + weights.first(from) * plane + (h * s.out_width + piece.first) * s.batch, plane,
            piece.count * s.batch);
      }
  });
  return ffi::Error::Success();
}

// Positions of a padded axis with one remainder that lie inside of the input: their first quotient, and how many.
struct Remainder {
  int64_t first, count;
};

Remainder inside(int64_t part, int64_t stride, int64_t before, int64_t size) {
  const int64_t first = (before - part + stride - 1) / stride, end = (before + size - 1 - part + stride) / stride;
  return {first, std::max<int64_t>(0, end - first)};
}

template <ffi::DataType D>
ffi::Error Inputs(ffi::ThreadPool pool, In<D> g, In<D> kernel, Out<D> d_x, Integers window) {
  using T = ffi::NativeType<D>;
  const Shape s = shape(d_x->dimensions(), kernel.dimensions(), g.dimensions(), window);
  const int64_t high = s.row(s.taps() - 1) / s.stride_h, wide = s.column(s.taps() - 1) / s.stride_w;  // how far taps reach back
  const int64_t quotients_h = (s.top + s.height - 1) / s.stride_h + 1, quotients_w = (s.left + s.width - 1) / s.stride_w + 1;
  const Weights<T> weights(kernel.typed_data(), s.taps(), s.inputs, s.outputs, true);
  const int64_t row_bytes = s.outputs * (wide + quotients_w) * s.batch * sizeof(T);
  const Parting work = parting(quotients_h, row_bytes, high, 1, weights.count(), pool.num_threads());
  const Packed p = packed(1, wide + quotients_w, s.batch, work.rows + high, sizeof(T));
  Axis rows{1, s.out_height, {}}, columns{1, s.out_width, {}};
  for (int64_t t = 0; t < s.taps(); t++)
    rows.shift.push_back(-(s.row(t) / s.stride_h)), columns.shift.push_back(-(s.column(t) / s.stride_w));
  struct Class { Remainder rows, columns; int64_t row, column; std::vector<Columns> pieces; };
  std::vector<Class> classes;  // of the input's positions, by the remainders of row and column: they read different taps
  for (int64_t a = 0; a < s.stride_h; a++)
    for (int64_t b = 0; b < s.stride_w; b++) {
      Class one{inside(a, s.stride_h, s.top, s.height), inside(b, s.stride_w, s.left, s.width), a, b, {}};
      std::vector<int64_t> mine;
      for (int64_t t = 0; t < s.taps(); t++)
        if (s.row(t) % s.stride_h == a && s.column(t) % s.stride_w == b) mine.push_back(t);
      one.pieces = pieces(columns, one.columns.first, one.columns.count, mine);
      classes.push_back(std::move(one));
    }
  shared(pool, work.count(), [&](int64_t c) {
    const int64_t start = c / work.parts * work.rows, end = std::min(start + work.rows, quotients_h), part = c % work.parts;
    const int64_t from = part * weights.count() / work.parts, to = (part + 1) * weights.count() / work.parts;
    const int64_t first = weights.first(from), many = weights.first(to) - first, plane = s.height * s.width * s.batch;
    T* strip = scratch<T>(0, s.outputs * p.plane);
    for (int64_t o = 0; o < s.outputs; o++)
      pack(g.typed_data() + o * s.out_height * s.out_width * s.batch, s.out_height, s.out_width, start - high, wide, p,
           strip + o * p.plane);
    std::vector<Tap> taps;
    for (const Class& one : classes)
      for (int64_t q = std::max(start, one.rows.first); q < std::min(end, one.rows.first + one.rows.count); q++)
        for (const Columns& piece : one.pieces) {
          taps.clear();
          for (int64_t t : piece.taps)
            if (rows.reads(q, t)) taps.push_back({p.at(rows.shift[t], 0, columns.shift[t]), t});
          const T* in = strip + p.at(q - start + high, 0, wide + piece.first);
          const int64_t h = q * s.stride_h + one.row - s.top, w = piece.first * s.stride_w + one.column - s.left;
          const int64_t count = piece.count * s.batch;
          T* out = d_x->typed_data() + first * plane + (h * s.width + w) * s.batch;
          if (s.stride_w == 1) {
            run(in, p.plane, taps, weights, from, to, out, plane, count);
            continue;
          }
          T* line = scratch<T>(1, many * count);
          run(in, p.plane, taps, weights, from, to, line, count, count);
          for (int64_t i = 0; i < many; i++)
            for (int64_t k = 0; k < piece.count; k++)
              std::memcpy(out + i * plane + k * s.stride_w * s.batch, line + i * count + k * s.batch, s.batch * sizeof(T));
        }
  });
  return ffi::Error::Success();
}

// Rows of runs: ``count`` elements each, ``line`` and ``step`` elements apart in gradients and views.
struct Runs {
  int64_t rows, count, line, step;
};

// sums[k][m] += gradient m times view k, over the runs.
template <class T, int M, int K>
void correlate(const T* const* views, const T* gradients, int64_t plane, const Runs& runs, V<T>* sums, int64_t row) {
  V<T> acc[M][K];
#pragma GCC unroll 8
  for (int m = 0; m < M; m++)
#pragma GCC unroll 8
    for (int k = 0; k < K; k++) acc[m][k] = sums[k * row + m];
  const int64_t whole = runs.count / kLanes<T> * kLanes<T>, left = runs.count - whole;
  for (int64_t r = 0; r < runs.rows; r++) {
    const T *from = gradients + r * runs.line, *at[K];
    for (int k = 0; k < K; k++) at[k] = views[k] + r * runs.step;
    for (int64_t j = 0; j < whole; j += kLanes<T>) {
      V<T> g[M];
#pragma GCC unroll 8
      for (int m = 0; m < M; m++) g[m] = load(from + m * plane + j);
#pragma GCC unroll 8
      for (int k = 0; k < K; k++) {
        const V<T> v = load(at[k] + j);
#pragma GCC unroll 8
        for (int m = 0; m < M; m++) acc[m][k] += g[m] * v;
      }
    }
    if (left > 0) {  // of a vector, zeros behind it
      V<T> g[M] = {};
#pragma GCC unroll 8
      for (int m = 0; m < M; m++) std::memcpy(&g[m], from + m * plane + whole, left * sizeof(T));
#pragma GCC unroll 8
      for (int k = 0; k < K; k++) {
        V<T> v{};
        std::memcpy(&v, at[k] + whole, left * sizeof(T));
#pragma GCC unroll 8
        for (int m = 0; m < M; m++) acc[m][k] += g[m] * v;
      }
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; m++)
#pragma GCC unroll 8
    for (int k = 0; k < K; k++) sums[k * row + m] = acc[m][k];
}

template <class T, int M>
void correlated(int64_t many, const T* const* views, const T* gradients, int64_t plane, const Runs& runs, V<T>* sums,
                int64_t row) {
#define CASE(K) \
  case K: \
    if constexpr (K <= kViews) correlate<T, M, K>(views, gradients, plane, runs, sums, row); \
    break;
  switch (many) { CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) }
#undef CASE
}

template <ffi::DataType D>
ffi::Error Kernel(ffi::ThreadPool pool, In<D> x, In<D> g, Out<D> d_kernel, Integers window) {
  using T = ffi::NativeType<D>;
  const Shape s = shape(x.dimensions(), d_kernel->dimensions(), g.dimensions(), window);
  const int64_t reach = s.row(s.taps() - 1), columns = s.column(s.taps() - 1) / s.stride_w + s.out_width;
  const int64_t group = std::max<int64_t>(1, std::min(s.inputs, 36 / s.taps())), groups = blocks(s.inputs, group);
  const int64_t many = blocks(s.outputs, kGradients), parts = std::min(many, blocks(2 * pool.num_threads(), groups));
  const int64_t row_bytes = group * s.stride_w * columns * s.batch * sizeof(T);
  const int64_t rows = parting(s.out_height, row_bytes, reach, s.stride_h, 1, 1).rows;
  const Packed p = packed(s.stride_w, columns, s.batch, (rows - 1) * s.stride_h + reach + 1, sizeof(T));
  const int64_t at_once = std::max<int64_t>(1, kRun / (s.out_width * s.batch));  // rows
  const auto first = [&](int64_t block) { return block * s.outputs / many; };  // output of a block
  shared(pool, groups * parts, [&](int64_t c) {
    const int64_t input = c / parts * group, inputs = std::min(group, s.inputs - input), part = c % parts;
    const int64_t from = part * many / parts, to = (part + 1) * many / parts, outputs = first(to) - first(from);
    const int64_t views = inputs * s.taps(), view_blocks = blocks(views, kViews);
    T* strip = scratch<T>(0, group * p.plane);
    std::vector<double> sums(views * outputs, 0.0);
    static thread_local std::vector<T> memory;  // of vectors, aligned by hand
    memory.assign((views * outputs + 1) * kLanes<T>, T(0));
    V<T>* acc = reinterpret_cast<V<T>*>(blocks(reinterpret_cast<uintptr_t>(memory.data()), kBytes) * kBytes);
    std::vector<const T*> at(views);
    for (int64_t start = 0; start < s.out_height; start += rows) {
      for (int64_t i = 0; i < inputs; i++)
        pack(x.typed_data() + (input + i) * s.height * s.width * s.batch, s.height, s.width, start * s.stride_h - s.top, s.left, p,
             strip + i * p.plane);
      const int64_t n = s.out_width * s.batch, end = std::min(start + rows, s.out_height), plane = s.out_height * n;
      for (int64_t h = start; h < end; h += at_once)
        for (int64_t j = 0; j < n; j += kRun) {
          const Runs runs{std::min(at_once, end - h), std::min(kRun, n - j), n, s.stride_h * p.line()};
          for (int64_t v = 0; v < views; v++) {
            const int64_t t = v % s.taps();
            at[v] = strip + v / s.taps() * p.plane + j +
                    p.at((h - start) * s.stride_h + s.row(t), s.column(t) % s.stride_w, s.column(t) / s.stride_w);
          }
          for (int64_t b = from; b < to; b++) {
            const int64_t o = first(b);
            const T* gradients = g.typed_data() + o * plane + h * n + j;
            for (int64_t k = 0; k < view_blocks; k++) {
              const int64_t v = k * views / view_blocks, some = (k + 1) * views / view_blocks - v;
              V<T>* to_sums = acc + v * outputs + o - first(from);
#define CASE(M) \
  case M: \
    if constexpr (M <= kGradients) correlated<T, M>(some, at.data() + v, gradients, plane, runs, to_sums, outputs); \
    break;
              switch (first(b + 1) - o) { CASE(1) CASE(2) CASE(3) CASE(4) }
#undef CASE
            }
          }
        }
      for (int64_t n = 0; n < views * outputs; n++) sums[n] += total<T>(acc[n]), acc[n] = V<T>{};
    }
    for (int64_t v = 0; v < views; v++)
      for (int64_t o = 0; o < outputs; o++)
        d_kernel->typed_data()[(v % s.taps() * s.inputs + input + v / s.taps()) * s.outputs + first(from) + o] =
            T(sums[v * outputs + o]);
  });
  return ffi::Error::Success();
}

}  // namespace

#define DEFINE(name, function, D) \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(name, function<D>, ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::Buffer<D>>() \
                                .Arg<ffi::Buffer<D>>().Ret<ffi::Buffer<D>>().Attr<Integers>("window"))

DEFINE(conv_forward_f32, Forward, ffi::DataType::F32);
DEFINE(conv_forward_f64, Forward, ffi::DataType::F64);
DEFINE(conv_inputs_f32, Inputs, ffi::DataType::F32);
DEFINE(conv_inputs_f64, Inputs, ffi::DataType::F64);
DEFINE(conv_kernel_f32, Kernel, ffi::DataType::F32);
DEFINE(conv_kernel_f64, Kernel, ffi::DataType::F64);
