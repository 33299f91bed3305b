// Zero, Copy, Add, Embed, NegExp, ArgMax, Activation: a block a row, threads along it.
#include "mathf.h"

template <class T> struct ZeroArgs { Fault fault; Mat<T> dst; long cols; };
template <class T> DEVICE void zeroRow(ZeroArgs<T> a) {
  if (a.fault.set()) return;
  T *dst = a.dst.row(blockX());
  for (int j = thread(); j < (int)a.cols; j += threads()) dst[j] = 0;
}
KERNEL void zero_b16(ZeroArgs<u16> a) { zeroRow(a); }
KERNEL void zero_b32(ZeroArgs<u32> a) { zeroRow(a); }

template <class T> struct CopyArgs { Fault fault; Mat<T> dst; Mat<const T> x; long cols; };
template <class T> DEVICE void copyRow(CopyArgs<T> a) {
  if (a.fault.set()) return;
  T *dst = a.dst.row(blockX());
  const T *x = a.x.row(blockX());
  for (int j = thread(); j < (int)a.cols; j += threads()) dst[j] = x[j];
}
KERNEL void copy_b16(CopyArgs<u16> a) { copyRow(a); }
KERNEL void copy_b32(CopyArgs<u32> a) { copyRow(a); }

struct AddArgs { Fault fault; Mat<float> dst; Mat<const float> x; long cols; };
KERNEL void add(AddArgs a) {
  if (a.fault.set()) return;
  float *dst = a.dst.row(blockX());
  const float *x = a.x.row(blockX());
  for (int j = thread(); j < (int)a.cols; j += threads()) dst[j] += x[j];
}

struct NegExpArgs { Fault fault; Mat<float> dst; Mat<const float> x; long cols; };
KERNEL void neg_exp(NegExpArgs a) {
  if (a.fault.set()) return;
  float *dst = a.dst.row(blockX());
  const float *x = a.x.row(blockX());
  for (int j = thread(); j < (int)a.cols; j += threads()) dst[j] = -expOf(x[j]);
}

template <class T> struct EmbedArgs { Fault fault; Mat<float> dst; Mat<const T> table; Mat<const int> ids; long vocab, cols; };
template <class T> DEVICE void embedRow(EmbedArgs<T> a) {
  if (a.fault.set()) return;
  int id = *a.ids.row(blockX());
  if (id < 0 || id >= a.vocab) {
    if (thread() == 0) a.fault.report(BAD_TOKEN, id, (int)blockX());
    return;
  }
  float *dst = a.dst.row(blockX());
  const T *from = a.table.row(id);
  for (int j = thread(); j < (int)a.cols; j += threads()) dst[j] = widen(from[j]);
}
KERNEL void embed_f32(EmbedArgs<float> a) { embedRow(a); }
KERNEL void embed_bf16(EmbedArgs<bf16> a) { embedRow(a); }

struct ArgMaxArgs { Fault fault; Mat<int> dst; Mat<const float> x; long cols; };
KERNEL void arg_max(ArgMaxArgs a) {
  SHARED float values[32];
  SHARED int indices[32];
  if (a.fault.set()) return;
  const float *x = a.x.row(blockX());
  Best best = {-INF, NONE};
  for (int j = thread(); j < (int)a.cols; j += threads()) best.see(x[j], j);
  best.acrossWarp();
  if (lane() == 0) { values[warp()] = best.v; indices[warp()] = best.i; }
  barrier();
  if (warp() != 0) return;
  best = {-INF, NONE};
  if (lane() < threads() / 32) best = {values[lane()], indices[lane()]};
  best.acrossWarp();
  if (lane() == 0) *a.dst.row(blockX()) = best.i == NONE ? 0 : best.i;
}

// The functions are numbered as kernels.Act is.
struct ActivationArgs { Fault fault; Mat<float> dst; Mat<const float> x, mul; long cols, act; };
DEVICE float activate(int act, float x) {
  switch (act) {
  case 1: return silu(x);
  case 2: return 0.5f * x * (1.0f + erfOf(x * 0.70710678f));
  case 3: { // ½x(1 + tanh u) = x·σ(2u)
    float u = 0.79788456f * (x + 0.044715f * x * x * x);
    return x * sigmoid(2.0f * u);
  }
  }
  return x > 0 ? x : x != x ? x : 0.0f;
}
KERNEL void activation(ActivationArgs a) {
  if (a.fault.set()) return;
  float *dst = a.dst.row(blockX());
  const float *x = a.x.row(blockX()), *mul = a.mul.p ? a.mul.row(blockX()) : nullptr;
  for (int j = thread(); j < (int)a.cols; j += threads()) {
    float y = activate((int)a.act, x[j]);
    dst[j] = mul ? y * mul[j] : y;
  }
}
