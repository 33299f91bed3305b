// RotaryStore and Attend.
#include "mathf.h"

// rotary_store: a block a row of Q, K and V. A thread turns a pair.
template <class KT, class VT> struct RotaryArgs {
  Fault fault;
  Mat<float> q;
  Mat<const float> k, v;
  Mat<KT> kCache;
  Mat<VT> vCache;
  long n, length, past, headDim, rotary, qCols, kCols;
  double logBase;
};

// A Turn is the rotation of pair i of a head.
struct Turn { float sin, cos; };
DEVICE Turn turn(long position, int i, int rotary, double logBase) {
  Turn t;
  sinCos((double)position * expOf(-2.0 * i / rotary * logBase), &t.sin, &t.cos);
  return t;
}
template <class KT, class VT> DEVICE void rotaryRow(RotaryArgs<KT, VT> a) {
  if (a.fault.set()) return;
  long row = blockX(), position = a.past + row % a.n, at = row / a.n * a.length + position;
  int dim = (int)a.headDim, rotary = (int)a.rotary, half = rotary / 2;
  float *q = a.q.row(row);
  const float *k = a.k.row(row), *v = a.v.row(row);
  KT *kTo = a.kCache.row(at);
  VT *vTo = a.vCache.row(at);
  if (half > 0) {
    for (int p = thread(); p < (int)a.qCols / dim * half; p += threads()) {
      int i = p % half, j = p / half * dim + i;
      Turn t = turn(position, i, rotary, a.logBase);
      float x = q[j], y = q[j + half];
      q[j] = x * t.cos - y * t.sin;
      q[j + half] = y * t.cos + x * t.sin;
    }
    for (int p = thread(); p < (int)a.kCols / dim * half; p += threads()) {
      int i = p % half, j = p / half * dim + i;
      Turn t = turn(position, i, rotary, a.logBase);
      float x = k[j], y = k[j + half];
      store(kTo + j, x * t.cos - y * t.sin);
      store(kTo + j + half, y * t.cos + x * t.sin);
    }
  }
  for (int j = thread(); j < (int)a.kCols; j += threads()) {
    if (j % dim >= rotary) store(kTo + j, k[j]);
    store(vTo + j, v[j]);
  }
}
KERNEL void rotary_f32_f32(RotaryArgs<float, float> a) { rotaryRow(a); }
KERNEL void rotary_f32_bf16(RotaryArgs<float, bf16> a) { rotaryRow(a); }
KERNEL void rotary_bf16_f32(RotaryArgs<bf16, float> a) { rotaryRow(a); }
KERNEL void rotary_bf16_bf16(RotaryArgs<bf16, bf16> a) { rotaryRow(a); }

// attend: a warp a query of one head, its lanes along the head. One pass over the keys
// keeps the running maximum, and rescales what it has when that grows (online softmax).
template <class KT, class VT> struct AttendArgs {
  Fault fault;
  Mat<float> dst;
  Mat<const float> q;
  Mat<const KT> k;
  Mat<const VT> v;
  long n, length, past, headDim, perKV;
  double scale;
};
enum { CHUNKS = 8 }; // of 32 elements of a head; attention.go checks it
template <class KT, class VT> DEVICE void attendHead(AttendArgs<KT, VT> a) {
  if (a.fault.set()) return;
  long row = blockX(), head = blockY(), first = row / a.n * a.length;
  int dim = (int)a.headDim, seen = (int)(a.past + row % a.n) + 1;
  const float *q = a.q.row(row) + head * dim;
  long column = head / a.perKV * dim;
  float query[CHUNKS], sum[CHUNKS], top = -INF, weight = 0;
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    int j = c * 32 + lane();
    query[c] = j < dim ? q[j] : 0.0f;
    sum[c] = 0;
  }
  for (int key = 0; key < seen; key++) {
    const KT *k = a.k.row(first + key) + column;
    const VT *v = a.v.row(first + key) + column;
    float score = 0;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
      if (c * 32 >= dim) break;
      int j = c * 32 + lane();
      if (j < dim) score += query[c] * widen(k[j]);
    }
    score = sumWarp(score) * (float)a.scale;
    float higher = __builtin_fmaxf(top, score);
    float keep = expOf(top - higher), p = expOf(score - higher);
    top = higher;
    weight = weight * keep + p;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
      if (c * 32 >= dim) break;
      int j = c * 32 + lane();
      if (j < dim) sum[c] = sum[c] * keep + p * widen(v[j]);
    }
  }
  float *dst = a.dst.row(row) + head * dim;
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    int j = c * 32 + lane();
    if (j < dim) dst[j] = sum[c] / weight;
  }
}
KERNEL void attend_f32_f32(AttendArgs<float, float> a) { attendHead(a); }
KERNEL void attend_f32_bf16(AttendArgs<float, bf16> a) { attendHead(a); }
KERNEL void attend_bf16_f32(AttendArgs<bf16, float> a) { attendHead(a); }
KERNEL void attend_bf16_bf16(AttendArgs<bf16, bf16> a) { attendHead(a); }
