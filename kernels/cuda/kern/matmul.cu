// MatMul and GroupedMatMul: a warp a column of the result, its lanes along the inner
// dimension, so that weights are read once, coalesced, for up to ROWS rows.
#include "act.h"

enum { ROWS = 4 };

template <class W> struct MatMulArgs { Fault fault; Mat<float> dst; Mat<const float> a; Mat<const W> b; Mat<const float> bias; long rows, in, out; };
template <class W> DEVICE void matMulColumn(MatMulArgs<W> m) {
  if (m.fault.set()) return;
  long j = blockX() * (threads() / 32) + warp(), first = blockY() * ROWS;
  if (j >= m.out) return;
  const W *b = m.b.row(j);
  const float *a[ROWS];
  float sum[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; r++) { // rows beyond the last repeat it and are not stored
    a[r] = m.a.row(first + r < m.rows ? first + r : m.rows - 1);
    sum[r] = 0;
  }
  for (int k = lane(); k < (int)m.in; k += 32) {
    float w = widen(b[k]);
#pragma unroll
    for (int r = 0; r < ROWS; r++) sum[r] += a[r][k] * w;
  }
  float bias = m.bias.p ? m.bias.p[j] : 0.0f;
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    float s = sumWarp(sum[r]) + bias;
    if (lane() == 0 && first + r < m.rows) m.dst.row(first + r)[j] = s;
  }
}
KERNEL void matmul_f32(MatMulArgs<float> a) { matMulColumn(a); }
KERNEL void matmul_bf16(MatMulArgs<bf16> a) { matMulColumn(a); }
KERNEL void matmul_f16(MatMulArgs<f16> a) { matMulColumn(a); }

// A block takes one place of the list and some columns; it finds the place's expert.
template <class W> struct GroupedArgs {
  Fault fault;
  Mat<float> dst;
  Mat<const float> a;
  Mat<const W> b;
  Mat<const float> bias;
  Mat<const int> offsets, slots;
  long experts, in, out, places, k;
};
template <class W> DEVICE void groupedColumn(GroupedArgs<W> m) {
  if (m.fault.set()) return;
  Place p = placeOf(m.fault, m.offsets, m.slots, m.experts, m.places, m.k, blockX());
  if (!p.valid) return;
  int j = (int)blockY() * (threads() / 32) + warp();
  if (j >= m.out) return;
  const float *a = m.a.row(p.row);
  const W *b = m.b.row(p.expert * m.out + j);
  float sum = 0;
  for (int k = lane(); k < (int)m.in; k += 32) sum += a[k] * widen(b[k]);
  sum = sumWarp(sum);
  if (lane() == 0) m.dst.row(blockX())[j] = m.bias.p ? sum + m.bias.row(p.expert)[j] : sum;
}
KERNEL void grouped_f32(GroupedArgs<float> a) { groupedColumn(a); }
KERNEL void grouped_bf16(GroupedArgs<bf16> a) { groupedColumn(a); }
KERNEL void grouped_f16(GroupedArgs<f16> a) { groupedColumn(a); }
