// RotaryStore and Attend.
#include "rotary.h"

// OF_TYPES makes a kernel for every pair of types that keys and values may have.
#define OF_TYPES(make)                                                                           \
  make(f32, f32, float, float) make(f32, bf16, float, bf16) make(f32, f16, float, f16)           \
  make(bf16, f32, bf16, float) make(bf16, bf16, bf16, bf16) make(bf16, f16, bf16, f16)           \
  make(f16, f32, f16, float) make(f16, bf16, f16, bf16) make(f16, f16, f16, f16)

// rotary: a thread turns a pair.
template <class KT, class VT> struct RotaryArgs {
  Fault fault;
  Mat<float> q;
  Mat<const float> k, v;
  Mat<KT> kCache;
  Mat<VT> vCache;
  long n, length;
  const long *past; // a cell, so that a list of launches serves every step
  long headDim, rotary, qCols, kCols;
  double logBase;
  long rows, each; // each of a block, at most as many as have ANGLES
};

// A block does some rows: first all their angles, which every head turns by, then a row at a time.
enum { ANGLES = 512 };
template <class KT, class VT> DEVICE void rotaryRows(const RotaryArgs<KT, VT> &a, Turn *turns) {
  if (a.fault.set()) return;
  int dim = (int)a.headDim, rotary = (int)a.rotary, half = rotary / 2, rows = (int)a.each;
  long past = *a.past, row0 = blockX() * rows;
  if (row0 + rows > a.rows) rows = (int)(a.rows - row0);
  for (int i = thread(); i < rows * half; i += threads()) turns[i] = turn(past + (row0 + i / half) % a.n, i % half, rotary, a.logBase);
  barrier();
  int together = half > 0 ? threads() / half : 0; // heads that are turned at once
  int i = half > 0 ? thread() % half : 0, head = half > 0 ? thread() / half : 0;
  for (int r = 0; r < rows; r++) {
    long row = row0 + r, at = row / a.n * a.length + past + row % a.n;
    float *q = a.q.row(row);
    const float *k = a.k.row(row), *v = a.v.row(row);
    KT *kTo = a.kCache.row(at);
    VT *vTo = a.vCache.row(at);
    if (head < together) {
      Turn t = turns[r * half + i];
      for (int j = head * dim + i; j < (int)a.qCols; j += together * dim) {
        float x = q[j], y = q[j + half];
        q[j] = x * t.cos - y * t.sin;
        q[j + half] = y * t.cos + x * t.sin;
      }
      for (int j = head * dim + i; j < (int)a.kCols; j += together * dim) {
        float x = k[j], y = k[j + half];
        store(kTo + j, x * t.cos - y * t.sin);
        store(kTo + j + half, y * t.cos + x * t.sin);
      }
    }
    for (int j = thread(); j < (int)a.kCols; j += threads()) store(vTo + j, v[j]);
    if (rotary == dim) continue;
    for (int j = thread(); j < (int)a.kCols; j += threads())
      if (j % dim >= rotary) store(kTo + j, k[j]);
  }
}
#define ROTARY(k, v, KT, VT)                                                                                  \
  KERNEL void rotary_##k##_##v(RotaryArgs<KT, VT> a) {                                                        \
    SHARED Turn turns[ANGLES];                                                                                \
    rotaryRows(a, turns);                                                                                     \
  }
OF_TYPES(ROTARY)

// attend: a warp a query of one head, its lanes along the head. One pass over the keys
// keeps the running maximum, and rescales what it has when that grows (online softmax).
template <class KT, class VT> struct AttendArgs {
  Fault fault;
  Mat<float> dst;
  Mat<const float> q;
  Mat<const KT> k;
  Mat<const VT> v;
  long n, length;
  const long *past;
  long headDim, perKV;
  double scale;
  Mat<float> lse; // of each query and head, where it is kept
};
enum { CHUNKS = 8 }; // of 32 elements of a head; attention.go checks it
template <class KT, class VT> DEVICE void attendHead(AttendArgs<KT, VT> a) {
  if (a.fault.set()) return;
  long row = blockX(), head = blockY(), first = row / a.n * a.length;
  int dim = (int)a.headDim, seen = (int)(*a.past + row % a.n) + 1;
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
  if (a.lse.p && lane() == 0) a.lse.row(row)[head] = top + (float)logOf((double)weight);
}
#define ATTEND(k, v, KT, VT) KERNEL void attend_##k##_##v(AttendArgs<KT, VT> a) { attendHead(a); }
OF_TYPES(ATTEND)

// attend_step: blockX a query, blockY a head, blockZ a part of the keys. A lane has 8 elements
// of the head, 16 bytes at a time, lanes side by side a key, and AHEAD keys are under way at
// once. Each group of lanes keeps its own running maximum; they are joined at the end, those
// of several parts by attend_join.
template <class T> struct StepArgs {
  Fault fault;
  Mat<float> dst;
  Mat<const float> q;
  Mat<const T> k, v;
  long n, length;
  const long *past;
  long headDim, perKV;
  double scale;
  long lanes;                  // of a key: a power of two
  Mat<float> parts;            // [queries·heads·parts, headDim + 2], where there are several
};
enum { STEP_WARPS = 4, AHEAD = 4, SLICE = 8 };
template <class T> struct Slice {
  Pack<T> p[sizeof(T) / 2];
  DEVICE void load(const T *from) {
#pragma unroll
    for (int i = 0; i < (int)sizeof(T) / 2; i++) p[i].load(from + i * Pack<T>::N);
  }
  DEVICE void clear() {
#pragma unroll
    for (int i = 0; i < (int)sizeof(T) / 2; i++) p[i].clear();
  }
  DEVICE float operator[](int i) const { return p[i / Pack<T>::N][i % Pack<T>::N]; }
};
// A Soft is a sum of values weighted by exp(score − top).
struct Soft {
  float top, weight, sum[SLICE];
  DEVICE void scaleTo(float higher) {
    float keep = top == higher ? 1.0f : expOf(top - higher);
    top = higher;
    weight *= keep;
#pragma unroll
    for (int e = 0; e < SLICE; e++) sum[e] *= keep;
  }
};
template <class T> DEVICE void attendStep(StepArgs<T> a, float (*joint)[256 + 2]) {
  if (a.fault.set()) return;
  long row = blockX(), head = blockY(), first = row / a.n * a.length;
  int dim = (int)a.headDim, seen = (int)(*a.past + row % a.n) + 1;
  int parts = blocksZ(), each = (seen + parts - 1) / parts, from = (int)blockZ() * each;
  int to = from + each < seen ? from + each : seen, lanes = (int)a.lanes, groups = 32 / lanes;
  int j = lane() % lanes * SLICE;
  bool mine = j < dim;
  const float *q = a.q.row(row) + head * dim;
  long column = head / a.perKV * dim + j;
  float query[SLICE];
#pragma unroll
  for (int e = 0; e < SLICE; e++) query[e] = mine ? q[j + e] * (float)a.scale : 0.0f;
  Soft soft = {-INF, 0, {0}};
  for (int base = from; base < to; base += STEP_WARPS * groups * AHEAD) {
    Slice<T> k[AHEAD], v[AHEAD];
    float score[AHEAD], higher = soft.top;
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
      int key = base + (i * STEP_WARPS + warp()) * groups + lane() / lanes;
      if (mine && key < to) {
        k[i].load(a.k.row(first + key) + column);
        v[i].load(a.v.row(first + key) + column);
      } else {
        k[i].clear();
        v[i].clear();
      }
    }
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
      int key = base + (i * STEP_WARPS + warp()) * groups + lane() / lanes;
      float s = 0;
#pragma unroll
      for (int e = 0; e < SLICE; e++) s += query[e] * k[i][e];
      for (int m = lanes >> 1; m; m >>= 1) s += swap(s, m);
      score[i] = key < to ? s : -INF;
      higher = __builtin_fmaxf(higher, score[i]);
    }
    if (higher == -INF) continue; // no lane shuffles from here on
    soft.scaleTo(higher);
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
      float p = score[i] == -INF ? 0.0f : expOf(score[i] - higher);
      soft.weight += p;
#pragma unroll
      for (int e = 0; e < SLICE; e++) soft.sum[e] += p * v[i][e];
    }
  }
  float higher = soft.top;
  for (int m = lanes; m < 32; m <<= 1) higher = __builtin_fmaxf(higher, swap(higher, m));
  if (higher != -INF) soft.scaleTo(higher);
  for (int m = lanes; m < 32; m <<= 1) {
    soft.weight += swap(soft.weight, m);
#pragma unroll
    for (int e = 0; e < SLICE; e++) soft.sum[e] += swap(soft.sum[e], m);
  }
  if (lane() < lanes && mine) {
#pragma unroll
    for (int e = 0; e < SLICE; e++) joint[warp()][j + e] = soft.sum[e];
  }
  if (lane() == 0) {
    joint[warp()][256] = soft.top;
    joint[warp()][257] = soft.weight;
  }
  barrier();
  float top = -INF, weight = 0;
#pragma unroll
  for (int w = 0; w < STEP_WARPS; w++) top = __builtin_fmaxf(top, joint[w][256]);
  for (int d = thread(); d < dim; d += threads()) {
    float sum = 0;
    weight = 0;
#pragma unroll
    for (int w = 0; w < STEP_WARPS; w++) {
      float p = joint[w][256] == -INF ? 0.0f : expOf(joint[w][256] - top);
      weight += p * joint[w][257];
      sum += p * joint[w][d];
    }
    if (parts == 1) {
      a.dst.row(row)[head * dim + d] = sum / weight;
      continue;
    }
    float *part = a.parts.row((row * blocksY() + head) * parts + blockZ());
    part[d] = sum;
    if (d == 0) { part[dim] = top; part[dim + 1] = weight; }
  }
}
#define STEP(name, T) KERNEL void attend_step_##name(StepArgs<T> a) { SHARED float joint[STEP_WARPS][256 + 2]; attendStep(a, joint); }
STEP(f32, float)
STEP(bf16, bf16)
STEP(f16, f16)

// attend_join: blockX a query, blockY a head, threads along it.
struct JoinArgs { Fault fault; Mat<float> dst; Mat<const float> parts; long headDim, count; };
KERNEL void attend_join(JoinArgs a) {
  if (a.fault.set()) return;
  int dim = (int)a.headDim, count = (int)a.count;
  long first = (blockX() * blocksY() + blockY()) * count;
  float top = -INF;
  for (int p = 0; p < count; p++) top = __builtin_fmaxf(top, a.parts.row(first + p)[dim]);
  for (int d = thread(); d < dim; d += threads()) {
    float sum = 0, weight = 0;
    for (int p = 0; p < count; p++) {
      const float *part = a.parts.row(first + p);
      if (part[dim] == -INF) continue;
      float scale = expOf(part[dim] - top);
      weight += scale * part[dim + 1];
      sum += scale * part[d];
    }
    a.dst.row(blockX())[blockY() * dim + d] = sum / weight;
  }
}
