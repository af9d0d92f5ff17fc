// What lies between two products of a convolutional network, channel by channel, in the layout [C, H, W, N].
//
//     y = f2(z2(depthwise(f1(z1(x))) + bias)),    z(x) = scale (x - mean) / sqrt(var + epsilon) + bias, or scale (x - centre) + bias
//
// Everything here is local to a channel: its 50 to 900 kB stay in the second-level cache while several passes go over them, where
// one operation after the other would write and read all channels. The backward pass computes again what it needs from x and the
// saved moments. A channel is the unit of parallel work and is summed in one order: results do not depend on the threads.
// NaN stays NaN: compile without -ffast-math.

#include <cmath>
#include <iterator>

#include "common.h"

namespace {

constexpr int64_t kBlock = 4096; // elements that are summed in the element type; blocks are summed in double

// f(t) = slope t below 0, upper above upper, t between; the derivative at a kink is what the framework says.
template <class T> struct Activation {
  T slope, at_zero, upper, at_upper;
  T operator()(T t) const { return t < 0 ? slope * t : (t > upper ? upper : t); }
  T derivative(T t) const { return t < upper ? (t > 0 ? T(1) : (t < 0 ? slope : at_zero)) : (t == upper ? at_upper : T(0)); }
  V<T> derivative(V<T> t) const {
    const V<T> zero{}, one = zero + 1;
    const V<T> below = t > 0 ? one : (t < 0 ? zero + slope : zero + at_zero);
    return t < upper ? below : (t == upper ? zero + at_upper : zero);
  }
};

template <class T> struct Affine { T factor, centre, offset; T operator()(T x) const { return factor * (x - centre) + offset; } };

template <class T> double summed(const T* x, int64_t n) {
  double sum = 0;
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t end = std::min(n, at + kBlock);
    V<T> a{}, b{};
    int64_t i = at;
    for (; i + 2 * kLanes<T> <= end; i += 2 * kLanes<T>) a += load(x + i), b += load(x + i + kLanes<T>);
    for (; i < end; i++) sum += x[i];
    sum += total<T>(a + b);
  }
  return sum;
}

// Mean and variance in one pass, of x - s with s the mean of the first m values: (mean - s)^2 <= (n / m - 1) var, so no more than
// log2(n / m) bits of the variance go.
template <class T> void moments(const T* x, int64_t n, T& mean, T& var) {
  const int64_t m = std::min(n, kBlock);
  const T shift = T(summed(x, m) / m);
  double first = 0, second = 0;
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t end = std::min(n, at + kBlock);
    V<T> a{}, b{}, c{}, d{};
    int64_t i = at;
    for (; i + 2 * kLanes<T> <= end; i += 2 * kLanes<T>) {
      const V<T> p = load(x + i) - shift, q = load(x + i + kLanes<T>) - shift;
      a += p, b += q, c += p * p, d += q * q;
    }
    for (; i < end; i++) first += x[i] - shift, second += double(x[i] - shift) * (x[i] - shift);
    first += total<T>(a + b), second += total<T>(c + d);
  }
  mean = T(shift + first / n);
  var = T((second - first * first / n) / n);
  if (var < 0) var = 0;  // a NaN stays
}

// The window of a depthwise convolution over a padded channel [rows, columns, N].
struct Window {
  int64_t height, width, batch, out_height, out_width, kernel_height, kernel_width;
  int64_t stride_h, stride_w, top, left, dilation_h, dilation_w, rows, columns;

  int64_t in() const { return height * width * batch; }
  int64_t out() const { return out_height * out_width * batch; }
  int64_t padded() const { return rows * columns * batch; }
  int64_t taps() const { return kernel_height * kernel_width; }
  int64_t at(int64_t tap) const {
    return (tap / kernel_width * dilation_h * columns + tap % kernel_width * dilation_w) * batch;
  }
  int64_t row(int64_t h) const { return (h + top) * columns * batch + left * batch; }  // of the input, in the padded channel
};

// out[i] = bias + sum over taps of weight[tap] in[i + offset[tap]], a run of n.
template <class T> void weighted(const T* in, T* out, int64_t n, const T* weight, T bias, const int64_t* offset, int64_t taps) {
  constexpr int64_t L = kLanes<T>;
  int64_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L) {
    V<T> a = V<T>{} + bias, b = a, c = a, d = a;
    for (int64_t t = 0; t < taps; t++) {
      const T* p = in + i + offset[t];
      const T w = weight[t];
      a += w * load(p), b += w * load(p + L), c += w * load(p + 2 * L), d += w * load(p + 3 * L);
    }
    store(out + i, a), store(out + i + L, b), store(out + i + 2 * L, c), store(out + i + 3 * L, d);
  }
  for (; i + L <= n; i += L) {
    V<T> a = V<T>{} + bias;
    for (int64_t t = 0; t < taps; t++) a += weight[t] * load(in + i + offset[t]);
    store(out + i, a);
  }
  for (; i < n; i++) {
    T a = bias;
    for (int64_t t = 0; t < taps; t++) a += weight[t] * in[i + offset[t]];
    out[i] = a;
  }
}

// sums[t] += sum over a run of n of in[i + offset[t]] gradient[i], for Taps taps.
template <class T, int Taps>
void correlated(const T* in, const T* gradient, int64_t n, const int64_t* offset, double* sums) {
  constexpr int64_t L = kLanes<T>;
  V<T> acc[Taps] = {};
  int64_t i = 0;
  for (; i + L <= n; i += L) {
    const V<T> g = load(gradient + i);
#pragma GCC unroll 9
    for (int t = 0; t < Taps; t++) acc[t] += g * load(in + i + offset[t]);
  }
  for (int t = 0; t < Taps; t++) {
    double s = total<T>(acc[t]);
    for (int64_t j = i; j < n; j++) s += double(gradient[j]) * in[j + offset[t]];
    sums[t] += s;
  }
}

template <class T> void correlated(const T* in, const T* g, int64_t n, const int64_t* offset, double* sums, int64_t taps) {
  for (; taps >= 9; taps -= 9, offset += 9, sums += 9) correlated<T, 9>(in, g, n, offset, sums);
  for (; taps >= 5; taps -= 5, offset += 5, sums += 5) correlated<T, 5>(in, g, n, offset, sums);
  for (; taps >= 3; taps -= 3, offset += 3, sums += 3) correlated<T, 3>(in, g, n, offset, sums);
  for (; taps >= 1; taps -= 1, offset += 1, sums += 1) correlated<T, 1>(in, g, n, offset, sums);
}

// Runs of outputs whose inputs are contiguous: a row where the window moves by one column, one position otherwise.
template <class Run> void runs(const Window& w, const Run& run) {
  const int64_t step = w.stride_h * w.columns * w.batch;
  for (int64_t h = 0; h < w.out_height; h++) {
    if (w.stride_w == 1) {
      run(h * step, h * w.out_width * w.batch, w.out_width * w.batch);
    } else {
      for (int64_t x = 0; x < w.out_width; x++)
        run(h * step + x * w.stride_w * w.batch, (h * w.out_width + x) * w.batch, w.batch);
    }
  }
}

std::vector<int64_t> offsets(const Window& w) {
  std::vector<int64_t> found(w.taps());
  for (int64_t t = 0; t < w.taps(); t++) found[t] = w.at(t);
  return found;
}

// A padded channel: ``fill(row, h)`` writes row h of what is inside, zeros lie around it.
template <class T, class Fill> void framed(T* padded, const Window& w, const Fill& fill) {
  T* end = padded;
  for (int64_t h = 0; h < w.height; h++) {
    T* row = padded + w.row(h);
    std::memset(end, 0, (row - end) * sizeof(T));
    fill(row, h);
    end = row + w.width * w.batch;
  }
  std::memset(end, 0, (padded + w.padded() - end) * sizeof(T));
}

template <class T> void activated(const T* x, T* padded, const Window& w, const Affine<T>& z, const Activation<T>& f) {
  const int64_t n = w.width * w.batch;
  framed(padded, w, [&](T* out, int64_t h) {
    const T* in = x + h * n;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) out[i] = f(z(in[i]));
  });
}

template <class T> void depthwise(const T* padded, T* out, const Window& w, const T* weight, T bias, const int64_t* offset) {
  runs(w, [&](int64_t in, int64_t at, int64_t n) { weighted(padded + in, out + at, n, weight, bias, offset, w.taps()); });
}

// The window that makes the gradient of the input from that of the output where the window moves by one: the kernel turned round.
// False where there is none.
bool turn(const Window& w, Window& turned) {
  const int64_t reach_h = (w.kernel_height - 1) * w.dilation_h, reach_w = (w.kernel_width - 1) * w.dilation_w;
  if (w.stride_h != 1 || w.stride_w != 1 || w.top > reach_h || w.left > reach_w) return false;
  turned = w;
  turned.height = w.out_height, turned.width = w.out_width, turned.out_height = w.height, turned.out_width = w.width;
  turned.top = reach_h - w.top, turned.left = reach_w - w.left;
  turned.rows = std::max(w.height + reach_h, turned.top + w.out_height);
  turned.columns = std::max(w.width + reach_w, turned.left + w.out_width);
  return true;
}

// The gradient of the unpadded input from that of the output; ``memory`` is overwritten.
template <class T>
void scattered(const T* gradient, T* back, T* memory, const Window& w, const T* weight, const int64_t* offset) {
  std::memset(memory, 0, w.padded() * sizeof(T));
  runs(w, [&](int64_t in, int64_t at, int64_t n) {
    for (int64_t t = 0; t < w.taps(); t++) {
      const T k = weight[t], *g = gradient + at;
      T* p = memory + in + offset[t];
#pragma omp simd
      for (int64_t i = 0; i < n; i++) p[i] += k * g[i];
    }
  });
  for (int64_t h = 0; h < w.height; h++)
    std::memcpy(back + h * w.width * w.batch, memory + w.row(h), w.width * w.batch * sizeof(T));
}

// The gradient of x from that of z(x), element by element: factor g + slope (x - centre) + offset.
template <class T> struct Back {
  T factor, slope, centre, offset, sum;  // ``sum``: of the gradient of x

  void operator()(const T* x, const T* g, T* to, int64_t n) const {
    const Back b = *this;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) to[i] = b.factor * g[i] + (b.slope * (x[i] - b.centre) + b.offset);
  }
};

// From the gradient of f(z(x)) that of z(x), into ``g``; ``d_vectors``: what scale, bias and centre get.
template <class T>
Back<T> norm_back(const T* x, const T* from, T* g, int64_t n, const Affine<T>& z, const Activation<T>& f, bool batch, T inverse,
                  const T* d_moments, T* d_vectors) {
  constexpr int64_t L = kLanes<T>;
  double sum = 0, product = 0;
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t end = std::min(n, at + kBlock);
    V<T> a{}, b{};
    int64_t i = at;
    for (; i + L <= end; i += L) {
      const V<T> centred = load(x + i) - z.centre, t = centred * z.factor + z.offset;
      const V<T> v = load(from + i) * f.derivative(t);
      store(g + i, v);
      a += v, b += v * centred;
    }
    for (; i < end; i++) {
      const T centred = x[i] - z.centre, t = centred * z.factor + z.offset;
      g[i] = from[i] * f.derivative(t);
      sum += g[i], product += double(g[i]) * centred;
    }
    sum += total<T>(a), product += total<T>(b);
  }
  d_vectors[0] = T(batch ? product * inverse : product);
  d_vectors[1] = T(sum);
  d_vectors[2] = batch ? T(0) : T(-z.factor * sum);
  if (!batch) return {z.factor, T(0), z.centre, T(0), T(z.factor * sum)};
  return {z.factor, (2 * d_moments[1] - z.factor * inverse * d_vectors[0]) / n, z.centre, (d_moments[0] - z.factor * T(sum)) / n,
          d_moments[0]};  // the rest of the sum is 0, as that of x - mean
}

template <class T> T inverse_root(T var, double epsilon) { return 1 / std::sqrt(var + T(epsilon)); }

using Numbers = ffi::Span<const double>;  // slope, at_zero, upper, at_upper for each activation

template <class T> Activation<T> activation(Numbers of, int which) {
  return {T(of[4 * which]), T(of[4 * which + 1]), T(of[4 * which + 2]), T(of[4 * which + 3])};
}

// ``vectors`` of a channel: scale, bias, and the centre that is given where the batch's mean is not taken.
template <class T> Affine<T> affine(bool batch, const T* vectors, const T* moments, double epsilon) {
  return batch ? Affine<T>{vectors[0] * inverse_root(moments[1], epsilon), moments[0], vectors[1]}
               : Affine<T>{vectors[0], vectors[2], vectors[1]};
}

// ``w``: strides, top, left, kernel, dilation, padded size, two each.
Window window(ffi::Span<const int64_t> in, ffi::Span<const int64_t> out, Integers w) {
  return {in[1], in[2], in[3], out[1], out[2], w[4], w[5], w[0], w[1], w[2], w[3], w[6], w[7], w[8], w[9]};
}

// ``vectors`` of a channel: three of the first norm, three of the second, and the bias of the convolution.
template <ffi::DataType D>
ffi::Error Forward(ffi::ThreadPool pool, In<D> x, In<D> vectors, In<D> kernel, Out<D> y, Out<D> found, bool batch,
                          double epsilon1, double epsilon2, Numbers f, Integers w) {
  using T = ffi::NativeType<D>;
  const Window win = window(x.dimensions(), y->dimensions(), w);
  const auto offset = offsets(win);
  const auto f1 = activation<T>(f, 0), f2 = activation<T>(f, 1);
  shared(pool, x.dimensions()[0], [&](int64_t c) {
    const T *in = x.typed_data() + c * win.in(), *v = vectors.typed_data() + 7 * c;
    T *out = y->typed_data() + c * win.out(), *padded = scratch<T>(0, win.padded()), *m = found->typed_data() + 4 * c;
    m[0] = m[1] = m[2] = m[3] = 0;
    if (batch) moments(in, win.in(), m[0], m[1]);
    activated(in, padded, win, affine(batch, v, m, epsilon1), f1);
    depthwise(padded, out, win, kernel.typed_data() + c * win.taps(), v[6], offset.data());
    if (batch) moments(out, win.out(), m[2], m[3]);
    const auto z = affine(batch, v + 3, m + 2, epsilon2);
    const int64_t n = win.out();
#pragma omp simd
    for (int64_t i = 0; i < n; i++) out[i] = f2(z(out[i]));
  });
  return ffi::Error::Success();
}

template <ffi::DataType D>
ffi::Error Backward(ffi::ThreadPool pool, In<D> x, In<D> vectors, In<D> kernel, In<D> found, In<D> g, In<D> d_found,
                           Out<D> d_x, Out<D> d_vectors, Out<D> d_kernel, bool batch, double epsilon1, double epsilon2, Numbers f,
                           Integers w) {
  using T = ffi::NativeType<D>;
  const Window win = window(x.dimensions(), g.dimensions(), w);
  const auto offset = offsets(win);
  const auto f1 = activation<T>(f, 0), f2 = activation<T>(f, 1);
  const int64_t taps = win.taps(), n = win.out(), row = win.out_width * win.batch;
  Window turned = win;
  const bool turns = turn(win, turned);
  const auto turned_offset = offsets(turned);
  shared(pool, x.dimensions()[0], [&](int64_t c) {
    const T *in = x.typed_data() + c * win.in(), *weight = kernel.typed_data() + c * taps, *v = vectors.typed_data() + 7 * c;
    const T *m = found.typed_data() + 4 * c, *d_m = d_found.typed_data() + 4 * c;
    T *back = d_x->typed_data() + c * win.in(), *d_v = d_vectors->typed_data() + 7 * c;
    T *padded = scratch<T>(0, win.padded()), *between = scratch<T>(1, n), *gradient = scratch<T>(2, n);
    const auto z1 = affine(batch, v, m, epsilon1), z2 = affine(batch, v + 3, m + 2, epsilon2);
    activated(in, padded, win, z1, f1);
    depthwise(padded, between, win, weight, v[6], offset.data());
    const Back<T> second =
        norm_back(between, g.typed_data() + c * n, gradient, n, z2, f2, batch, inverse_root(m[3], epsilon2), d_m + 2, d_v + 3);
    d_v[6] = second.sum;
    T* framed_gradient = turns ? scratch<T>(3, turned.padded()) : nullptr;
    if (turns) framed(framed_gradient, turned, [&](T* out, int64_t h) { second(between + h * row, gradient + h * row, out, row); });
    else second(between, gradient, gradient, n);
    std::vector<double> sums(taps, 0.0);
    runs(win, [&](int64_t from, int64_t at, int64_t count) {
      const T* run = turns ? framed_gradient + turned.row(at / row) : gradient + at;
      correlated(padded + from, run, count, offset.data(), sums.data(), taps);
    });
    for (int64_t t = 0; t < taps; t++) d_kernel->typed_data()[c * taps + t] = T(sums[t]);
    if (turns) {
      const std::vector<T> reversed(std::reverse_iterator<const T*>(weight + taps), std::reverse_iterator<const T*>(weight));
      depthwise(framed_gradient, back, turned, reversed.data(), T(0), turned_offset.data());
    } else {
      scattered(gradient, back, padded, win, weight, offset.data());
    }
    const Back<T> first = norm_back(in, back, back, win.in(), z1, f1, batch, inverse_root(m[1], epsilon1), d_m, d_v);
    first(in, back, back, win.in());
  });
  return ffi::Error::Success();
}

}  // namespace

#define ATTRIBUTES \
  .Attr<bool>("batch").Attr<double>("epsilon1").Attr<double>("epsilon2").Attr<Numbers>("activation").Attr<Integers>("window")
#define ARRAYS3(what, D) .what<ffi::Buffer<D>>().what<ffi::Buffer<D>>().what<ffi::Buffer<D>>()
#define ARRAYS2(what, D) .what<ffi::Buffer<D>>().what<ffi::Buffer<D>>()
#define BIND ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()

#define DEFINE(D, bits) \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(segment_forward_##bits, Forward<D>, BIND ARRAYS3(Arg, D) ARRAYS2(Ret, D) ATTRIBUTES); \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(segment_backward_##bits, Backward<D>, \
                                BIND ARRAYS3(Arg, D) ARRAYS3(Arg, D) ARRAYS3(Ret, D) ATTRIBUTES);

DEFINE(ffi::DataType::F32, f32)
DEFINE(ffi::DataType::F64, f64)
