// The gradients of RotaryStore and Attend, for steps that begin at position 0. A warp has a query
// of a head, or a key of a key-value head, its lanes along the head.
#include "rotary.h"

#define OF_TYPES(make)                                                                           \
  make(f32, f32, float, float) make(f32, bf16, float, bf16) make(f32, f16, float, f16)           \
  make(bf16, f32, bf16, float) make(bf16, bf16, bf16, bf16) make(bf16, f16, bf16, f16)           \
  make(f16, f32, f16, float) make(f16, bf16, f16, bf16) make(f16, f16, f16, f16)

// rotary_grad: a block a row. A thread turns a pair back.
struct RotaryGradArgs {
  Fault fault;
  Mat<float> dq, dk, dv;
  Mat<const float> dkCache, dvCache;
  long n, length, headDim, rotary, qCols, kCols;
  double logBase;
};
KERNEL void rotary_grad(RotaryGradArgs a) {
  if (a.fault.set()) return;
  long row = blockX(), position = row % a.n, at = row / a.n * a.length + position;
  int dim = (int)a.headDim, rotary = (int)a.rotary, half = rotary / 2;
  float *dq = a.dq.row(row), *dk = a.dk.row(row), *dv = a.dv.row(row);
  const float *k = a.dkCache.row(at), *v = a.dvCache.row(at);
  if (half > 0) {
    for (int p = thread(); p < (int)a.qCols / dim * half; p += threads()) {
      int i = p % half, j = p / half * dim + i;
      Turn t = turn(position, i, rotary, a.logBase);
      float x = dq[j], y = dq[j + half];
      dq[j] = x * t.cos + y * t.sin;
      dq[j + half] = y * t.cos - x * t.sin;
    }
    for (int p = thread(); p < (int)a.kCols / dim * half; p += threads()) {
      int i = p % half, j = p / half * dim + i;
      Turn t = turn(position, i, rotary, a.logBase);
      float x = k[j], y = k[j + half];
      dk[j] = x * t.cos + y * t.sin;
      dk[j + half] = y * t.cos - x * t.sin;
    }
  }
  for (int j = thread(); j < (int)a.kCols; j += threads()) {
    if (j % dim >= rotary) dk[j] = k[j];
    dv[j] = v[j];
  }
}

template <class KT, class VT> struct AttendGradArgs {
  Fault fault;
  Mat<float> dq, dk, dv;
  Mat<const float> g, out, q;
  Mat<const KT> k;
  Mat<const VT> v;
  Mat<const float> lse;
  float *inner; // ⟨g, out⟩ of each query and head, [queries, heads]
  long n, length, headDim, heads, perKV;
  double scale;
};
enum { CHUNKS = 8 }; // of 32 elements of a head; attention.go checks it

// A Head is a lane's elements of one.
struct Head {
  float v[CHUNKS];
  template <class T> DEVICE void load(const T *from, int dim) {
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
      int j = c * 32 + lane();
      v[c] = j < dim ? widen(from[j]) : 0.0f;
    }
  }
  DEVICE void store(float *to, int dim) const {
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
      int j = c * 32 + lane();
      if (j < dim) to[j] = v[c];
    }
  }
  DEVICE float dot(const Head &o, int dim) const {
    float sum = 0;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
      if (c * 32 < dim) sum += v[c] * o.v[c];
    return sumWarp(sum);
  }
  DEVICE void add(float s, const Head &o, int dim) {
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
      if (c * 32 < dim) v[c] += s * o.v[c];
  }
};

// attend_grad_q: blockX is a query, blockY a head.
template <class KT, class VT> DEVICE void attendGradQ(const AttendGradArgs<KT, VT> &a) {
  if (a.fault.set()) return;
  long row = blockX(), head = blockY(), first = row / a.n * a.length, column = head / a.perKV * a.headDim;
  int dim = (int)a.headDim, seen = (int)(row % a.n) + 1;
  Head q, g, out, dq = {0};
  q.load(a.q.row(row) + head * dim, dim);
  g.load(a.g.row(row) + head * dim, dim);
  out.load(a.out.row(row) + head * dim, dim);
  float inner = g.dot(out, dim), lse = a.lse.row(row)[head], scale = (float)a.scale;
  if (lane() == 0) a.inner[row * a.heads + head] = inner;
#pragma unroll 1
  for (int key = 0; key < seen; key++) {
    Head k, v;
    k.load(a.k.row(first + key) + column, dim);
    v.load(a.v.row(first + key) + column, dim);
    float p = expOf(scale * q.dot(k, dim) - lse);
    dq.add(scale * p * (g.dot(v, dim) - inner), k, dim);
  }
  dq.store(a.dq.row(row) + head * dim, dim);
}

// attend_grad_kv: blockX is a key of the step, blockY a key-value head. It follows attend_grad_q.
template <class KT, class VT> DEVICE void attendGradKV(const AttendGradArgs<KT, VT> &a) {
  if (a.fault.set()) return;
  long sequence = blockX() / a.n, column = blockY() * a.headDim;
  int dim = (int)a.headDim, key = (int)(blockX() % a.n);
  long row = sequence * a.length + key;
  float scale = (float)a.scale;
  Head k, v, dk = {0}, dv = {0};
  k.load(a.k.row(row) + column, dim);
  v.load(a.v.row(row) + column, dim);
#pragma unroll 1
  for (int t = key; t < (int)a.n; t++) {
    long query = sequence * a.n + t;
#pragma unroll 1
    for (long head = blockY() * a.perKV; head < (blockY() + 1) * a.perKV; head++) {
      Head q, g;
      q.load(a.q.row(query) + head * dim, dim);
      g.load(a.g.row(query) + head * dim, dim);
      float p = expOf(scale * q.dot(k, dim) - a.lse.row(query)[head]);
      dv.add(p, g, dim);
      dk.add(scale * p * (g.dot(v, dim) - a.inner[query * a.heads + head]), q, dim);
    }
  }
  dk.store(a.dk.row(row) + column, dim);
  dv.store(a.dv.row(row) + column, dim);
}
#define ATTEND_GRAD(k, v, KT, VT)                                                                \
  KERNEL void attend_grad_q_##k##_##v(AttendGradArgs<KT, VT> a) { attendGradQ(a); }             \
  KERNEL void attend_grad_kv_##k##_##v(AttendGradArgs<KT, VT> a) { attendGradKV(a); }
OF_TYPES(ATTEND_GRAD)
