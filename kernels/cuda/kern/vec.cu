// The products of a decode step: few rows, so that time is that of reading the weights once.
// A warp takes two columns of the result, or several warps share them, each with part of the
// inner dimension; 16 bytes a lane are read at once, the first of them before the kernel
// before has ended. What comes before and after the product in a model is done with it: a
// norm of its input, an activation, the convolution of Mamba, the sum into the residual
// stream. vec.go says when.
#include "vec.h"

enum { COLUMNS = 2, DEPTH = 2, VEC_WARPS = 8 };

// Rows is where the rows of A are read from, four elements at a time. A single one is staged in
// shared memory first, with the norm's gain; several are read where they lie.
struct StagedRow {
  const float *row;
  DEVICE f32x4 operator()(int, int k) const { return *(const f32x4 *)(row + k); }
};
template <int R> struct RowsOf {
  const float *row[R], *gain;
  DEVICE f32x4 operator()(int r, int k) const { return *(const f32x4 *)(row[r] + k); }
};

enum { MOST_STAGED = 10240 };

// stage copies a row, times gain if there is one, and returns the sum of the squares before;
// the barrier after it is stage's.
DEVICE float stage(float *to, const float *a, const float *gain, int in, float *parts) {
  float square = 0;
  for (int k = 4 * thread(); k < in; k += 4 * VEC_WARPS * 32) {
    f32x4 x = *(const f32x4 *)(a + k);
    if (gain) {
      square += x[0] * x[0] + x[1] * x[1] + x[2] * x[2] + x[3] * x[3];
      x *= *(const f32x4 *)(gain + k);
    }
    *(f32x4 *)(to + k) = x;
  }
  if (gain) {
    square = sumWarp(square);
    if (lane() == 0) parts[warp()] = square;
  }
  barrier();
  square = 0;
  if (gain) {
#pragma unroll
    for (int w = 0; w < VEC_WARPS; w++) square += parts[w];
  }
  return square;
}

// A Vec is the product of a warp's two columns with R rows.
template <class W, int R> struct Vec {
  enum { N = Pack<W>::N, STEP = 32 * N };
  const W *b[COLUMNS];
  int in, split, part;
  Pack<W> w[DEPTH][COLUMNS];
  float sum[COLUMNS][R], square[R];

  DEVICE int at(int i) const { return (part + i * split) * STEP + lane() * N; }
  DEVICE void fetch(int d, int i) {
    int k = at(i);
#pragma unroll
    for (int c = 0; c < COLUMNS; c++) {
      if (k < in) w[d][c].load(b[c] + k);
      else w[d][c].clear();
    }
  }
  DEVICE void begin() {
#pragma unroll
    for (int d = 0; d < DEPTH; d++) fetch(d, d);
  }
  // run needs begin.
  template <class Rows> DEVICE void run(const Rows &a, const float *gain) {
#pragma unroll
    for (int r = 0; r < R; r++) {
      square[r] = 0;
#pragma unroll
      for (int c = 0; c < COLUMNS; c++) sum[c][r] = 0;
    }
#pragma unroll 1
    for (int i = 0; part * STEP + i * split * STEP < in; i += DEPTH) {
#pragma unroll
      for (int d = 0; d < DEPTH; d++) {
        int k = at(i + d);
        if (k < in) {
#pragma unroll
          for (int half = 0; half < N; half += 4) {
            f32x4 g = 1.0f;
            if (gain) g = *(const f32x4 *)(gain + k + half);
#pragma unroll
            for (int r = 0; r < R; r++) {
              f32x4 x = a(r, k + half);
#pragma unroll
              for (int e = 0; e < 4; e++) {
                float y = x[e] * g[e];
                if (R > 1) square[r] += x[e] * x[e];
#pragma unroll
                for (int c = 0; c < COLUMNS; c++) sum[c][r] += y * w[d][c][half + e];
              }
            }
          }
        }
        fetch(d, i + d + DEPTH);
      }
    }
  }
  // finish adds up over the lanes and the parts; all threads of the block call it.
  DEVICE void finish(float (*shared)[COLUMNS * R + R], bool squares) {
#pragma unroll
    for (int r = 0; r < R; r++) {
#pragma unroll
      for (int c = 0; c < COLUMNS; c++) sum[c][r] = sumWarp(sum[c][r]);
      if (squares) square[r] = sumWarp(square[r]);
    }
    if (split == 1) return;
    if (lane() == 0) {
#pragma unroll
      for (int r = 0; r < R; r++) {
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) shared[warp()][c * R + r] = sum[c][r];
        shared[warp()][COLUMNS * R + r] = square[r];
      }
    }
    barrier();
    if (part != 0) return;
    for (int p = 1; p < split; p++) {
#pragma unroll
      for (int r = 0; r < R; r++) {
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) sum[c][r] += shared[warp() + p][c * R + r];
        square[r] += shared[warp() + p][COLUMNS * R + r];
      }
    }
  }
  // of is the sum of the row that is a lane's.
  DEVICE float of(int c, int row) const {
    float v = sum[c][0];
#pragma unroll
    for (int r = 1; r < R; r++)
      if (row == r) v = sum[c][r];
    return v;
  }
};

// activatePair applies the activation to what a pair of columns of a row is. In place, y is its
// result; else that goes where it belongs, and y stays.
template <class Args> DEVICE void activatePair(const Args &m, const int *j, const bool *valid, long row, float *y) {
  if (!m.act) return;
  if (!m.half) {
#pragma unroll
    for (int c = 0; c < COLUMNS; c++) {
      float z = activate((int)m.act, y[c]);
      if (!m.acted.p) y[c] = z;
      else if (valid[c]) m.acted.row(row)[j[c]] = z;
    }
    return;
  }
  float z = m.second ? activate((int)m.act, y[1]) * y[0] : activate((int)m.act, y[0]) * y[1];
  if (m.acted.p) {
    if (valid[0]) m.acted.row(row)[j[0]] = z;
  } else if (m.second) {
    y[1] = z;
  } else {
    y[0] = z;
  }
}

template <class W, int R> DEVICE void vecColumns(VecArgs<W> m, float (*shared)[COLUMNS * R + R], float *scales, float *staged) {
  Vec<W, R> v;
  int split = (int)m.split, groups = VEC_WARPS / split, group = warp() / split;
  v.in = (int)m.in;
  v.split = split;
  v.part = warp() % split;
  bool gated = m.half != 0;
  int pair = (int)blockX() * groups + group, out = (int)m.out;
  int j[COLUMNS] = {gated ? pair : 2 * pair, gated ? pair + (int)m.half : 2 * pair + 1};
  bool valid[COLUMNS] = {j[0] < (gated ? (int)m.half : out), j[1] < out};
#pragma unroll
  for (int c = 0; c < COLUMNS; c++) v.b[c] = m.b.row(j[c] < out ? j[c] : out - 1);
  if (m.early) v.begin();
  release();
  await();
  bool bad = m.fault.seen();
  if (!m.early) v.begin();

  int row = lane();
  bool mine = v.part == 0 && row < (int)m.rows;
  float add[COLUMNS] = {0, 0}, tap[COLUMNS][TAPS], past[COLUMNS][TAPS - 1], tapBias[COLUMNS] = {0, 0};
  bool convolves[COLUMNS];
#pragma unroll
  for (int c = 0; c < COLUMNS; c++) {
    convolves[c] = m.conv.p && mine && valid[c] && j[c] < (int)m.taps.stride;
    if (mine && valid[c] && m.sum.p) add[c] = m.sum.row(row)[j[c]];
    if (convolves[c]) {
      f32x4 t = *(const f32x4 *)(m.taps.p + (long)TAPS * j[c]);
#pragma unroll
      for (int k = 0; k < TAPS; k++) tap[c][k] = t[k];
#pragma unroll
      for (int k = 0; k < TAPS - 1; k++) past[c][k] = m.state.row((long)row * (TAPS - 1) + k)[j[c]];
      if (m.tapBias.p) tapBias[c] = m.tapBias.p[j[c]];
    }
  }
  if (R == 1) {
    float square = stage(staged, m.a.p, m.gain.p, v.in, scales);
    v.run(StagedRow{staged}, nullptr);
    v.finish(shared, false);
    v.square[0] = square;
  } else {
    RowsOf<R> rows;
#pragma unroll
    for (int r = 0; r < R; r++) rows.row[r] = m.a.row(r < (int)m.rows ? r : m.rows - 1);
    v.run(rows, m.gain.p);
    v.finish(shared, m.gain.p != nullptr);
  }
  if (bad) return;

  float scale = 1.0f;
  if (m.gain.p) {
    float square = v.square[0];
#pragma unroll
    for (int r = 1; r < R; r++)
      if (row == r) square = v.square[r];
    scale = 1.0f / __builtin_sqrtf(square / (float)m.in + (float)m.eps);
    if (blockX() == 0) { // this block writes the norm down, for others
      barrier();
      if (warp() == 0 && row < R) scales[row] = scale;
      barrier();
      for (int r = 0; r < (int)m.rows; r++)
        for (int k = thread(); k < (int)m.in; k += threads()) m.h.row(r)[k] = m.gain.p[k] * (m.a.row(r)[k] * scales[r]);
    }
  }
  if (!mine) return;
  float y[COLUMNS];
#pragma unroll
  for (int c = 0; c < COLUMNS; c++) {
    y[c] = v.of(c, row) * scale;
    if (m.bias.p && valid[c]) y[c] += m.bias.p[j[c]];
  }
  activatePair(m, j, valid, row, y);
#pragma unroll
  for (int c = 0; c < COLUMNS; c++) {
    if (!valid[c]) continue;
    m.dst.row(row)[j[c]] = y[c];
    if (m.sum.p) m.sum.row(row)[j[c]] = add[c] + y[c];
    if (!convolves[c]) continue;
    float s = tapBias[c] + tap[c][TAPS - 1] * y[c];
#pragma unroll
    for (int k = 0; k < TAPS - 1; k++) {
      s += tap[c][k] * past[c][k];
      m.state.row((long)row * (TAPS - 1) + k)[j[c]] = k < TAPS - 2 ? past[c][k + 1] : y[c];
    }
    m.conv.row(row)[j[c]] = silu(s);
  }
}
#define VEC(name, W, R)                                                                   \
  KERNEL __attribute__((launch_bounds(VEC_WARPS * 32, R == 1 ? 3 : 1))) void vec##R##_##name(VecArgs<W> a) { \
    SHARED float shared[VEC_WARPS][COLUMNS * R + R];                                      \
    SHARED float scales[VEC_WARPS];                                                       \
    SHARED __attribute__((aligned(16))) float staged[R == 1 ? MOST_STAGED : 4];           \
    vecColumns<W, R>(a, shared, scales, staged);                                          \
  }
#define VECS(R) VEC(f32, float, R) VEC(bf16, bf16, R) VEC(f16, f16, R)
VECS(1)
VECS(4)
VECS(8)

// vecgroup: blockY is a place of the sorted list; its expert's columns as above.
template <class W> struct VecGroupArgs {
  Fault fault;
  Mat<float> dst;
  Mat<const float> a;
  Mat<const W> b;
  Mat<const float> bias;
  Mat<const int> offsets, slots;
  long experts, in, out, places, k;
  long split, act, half, second;
  Mat<float> acted; // as above
};
template <class W> DEVICE void vecGroup(VecGroupArgs<W> m, float (*shared)[COLUMNS + 1], float *staged) {
  if (m.fault.set()) return;
  Place p = placeOf(m.fault, m.offsets, m.slots, m.experts, m.places, m.k, blockY());
  if (!p.valid) return;
  Vec<W, 1> v;
  int split = (int)m.split, groups = VEC_WARPS / split, group = warp() / split;
  v.in = (int)m.in;
  v.split = split;
  v.part = warp() % split;
  bool gated = m.half != 0;
  int pair = (int)blockX() * groups + group, out = (int)m.out;
  int j[COLUMNS] = {gated ? pair : 2 * pair, gated ? pair + (int)m.half : 2 * pair + 1};
  bool valid[COLUMNS] = {j[0] < (gated ? (int)m.half : out), j[1] < out};
#pragma unroll
  for (int c = 0; c < COLUMNS; c++) v.b[c] = m.b.row(p.expert * out + (j[c] < out ? j[c] : out - 1));
  v.begin();
  stage(staged, m.a.row(p.row), nullptr, v.in, nullptr);
  v.run(StagedRow{staged}, nullptr);
  v.finish(shared, false);
  if (v.part != 0 || lane() != 0) return;
  float y[COLUMNS];
#pragma unroll
  for (int c = 0; c < COLUMNS; c++) y[c] = v.sum[c][0] + (m.bias.p && valid[c] ? m.bias.row(p.expert)[j[c]] : 0.0f);
  activatePair(m, j, valid, blockY(), y);
#pragma unroll
  for (int c = 0; c < COLUMNS; c++)
    if (valid[c]) m.dst.row(blockY())[j[c]] = y[c];
}
#define VECGROUP(name, W)                                                     \
  KERNEL __attribute__((launch_bounds(VEC_WARPS * 32, 3))) void vecgroup_##name(VecGroupArgs<W> a) { \
    SHARED float shared[VEC_WARPS][COLUMNS + 1];                              \
    SHARED __attribute__((aligned(16))) float staged[MOST_STAGED];            \
    vecGroup(a, shared, staged);                                              \
  }
VECGROUP(f32, float)
VECGROUP(bf16, bf16)
VECGROUP(f16, f16)
