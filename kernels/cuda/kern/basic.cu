// Zero, Copy, Add, Embed, NegExp, ArgMax, Activation: a block a row, threads along it.
#include "act.h"

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
KERNEL void embed_f16(EmbedArgs<f16> a) { embedRow(a); }

// begin and end are the first and the last kernel of a list: begin fetches what differs from
// one run of the list to the next, end tells the host of a fault. Host memory is written at
// the end only, because each access to it costs a microsecond.
struct BeginArgs { Fault fault; const long *from; long *cells; long count; };
KERNEL void begin(BeginArgs a) {
  if (a.fault.set()) return;
  if (thread() < a.count) a.cells[thread()] = *(const volatile long *)(a.from + thread());
}
struct EndArgs { Fault fault; int *host; };
KERNEL void end(EndArgs a) {
  a.fault.set();
  if (thread() < 3) *(volatile int *)(a.host + thread()) = *(volatile int *)(a.fault.word + thread());
}

// arg_max: blockX is a row, blockY a part of its columns. The best of each part is left in
// values and indices, and arg_best, a warp a row, takes the best of those.
struct ArgMaxArgs { Fault fault; Mat<const float> x; Mat<float> values; Mat<int> indices; long cols, each; };
KERNEL void arg_max(ArgMaxArgs a) {
  SHARED float values[32];
  SHARED int indices[32];
  if (a.fault.set()) return;
  const float *x = a.x.row(blockX());
  int from = (int)blockY() * (int)a.each, to = from + (int)a.each;
  if (to > (int)a.cols) to = (int)a.cols;
  Best best = {-INF, NONE};
#pragma unroll 4
  for (int j = from + thread(); j < to; j += threads()) best.see(x[j], j);
  best.acrossWarp();
  if (lane() == 0) { values[warp()] = best.v; indices[warp()] = best.i; }
  barrier();
  if (warp() != 0) return;
  best = {-INF, NONE};
  if (lane() < threads() / 32) best = {values[lane()], indices[lane()]};
  best.acrossWarp();
  if (lane() == 0) {
    a.values.row(blockX())[blockY()] = best.v;
    a.indices.row(blockX())[blockY()] = best.i;
  }
}
struct ArgBestArgs { Fault fault; Mat<int> dst; Mat<const float> values; Mat<const int> indices; long parts; };
KERNEL void arg_best(ArgBestArgs a) {
  if (a.fault.set()) return;
  Best best = {-INF, NONE};
  for (int p = lane(); p < (int)a.parts; p += 32) best.see(a.values.row(blockX())[p], a.indices.row(blockX())[p]);
  best.acrossWarp();
  if (lane() == 0) *a.dst.row(blockX()) = best.i == NONE ? 0 : best.i;
}

struct ActivationArgs { Fault fault; Mat<float> dst; Mat<const float> x, mul; long cols, act; };
KERNEL void activation(ActivationArgs a) {
  if (a.fault.set()) return;
  float *dst = a.dst.row(blockX());
  const float *x = a.x.row(blockX()), *mul = a.mul.p ? a.mul.row(blockX()) : nullptr;
  for (int j = thread(); j < (int)a.cols; j += threads()) {
    float y = activate((int)a.act, x[j]);
    dst[j] = mul ? y * mul[j] : y;
  }
}
