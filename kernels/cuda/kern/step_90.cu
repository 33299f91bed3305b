// The products of a step of one token with bf16 weights, with all that vec.cu does with them. A block
// has as many columns as make a grid of one block a multiprocessor, so that the next kernel's blocks
// find a place beside it and copy their weights while this one works.
#include "row.h"
#include "vec.h"

template <int TILES> DEVICE void step(const VecArgs<bf16> &m, float (*sums)[MOST_COLUMNS], float *parts, u64 *copied) {
  bool gated = m.half != 0;
  int first = (int)(blockX() * m.split), left = (int)(gated ? m.half : m.out) - first;
  int units = left < (int)m.split ? left : (int)m.split, columns = gated ? 2 * units : units;
  RowProduct p;
  p.begin((int)m.in, copied);
  auto row = [&](int c) { return m.b.row(c < units ? first + c : m.half + first + c - units); };
  int u = thread(), j = first + u;
  bool mine = u < units, convolves = mine && m.conv.p && j < (int)m.taps.stride;
  f32x4 gain[ROW_AHEAD], tap = 0;
  float bias[2] = {0, 0}, tapBias = 0, past[TAPS - 1], add = 0;
  auto early = [&]() {
    if (warp() == 0) p.copy(columns, row);
    p.fetchGain(m.gain.p, gain);
    if (mine && m.bias.p) {
      bias[0] = m.bias.p[j];
      if (gated) bias[1] = m.bias.p[m.half + j];
    }
    if (convolves) {
      tap = *(const f32x4 *)(m.taps.p + (long)TAPS * j);
      if (m.tapBias.p) tapBias = m.tapBias.p[j];
#pragma unroll
      for (int k = 0; k < TAPS - 1; k++) prefetch(m.state.row(k) + j);
    }
  };
  if (m.early) early();
  release();
  await();
  bool bad = m.fault.seen();
  if (!m.early) early();
  if (mine && m.sum.p) add = m.sum.p[j];
  if (convolves) {
#pragma unroll
    for (int k = 0; k < TAPS - 1; k++) past[k] = m.state.row(k)[j];
  }
  float square = p.stage(m.a.p, m.gain.p, gain);
  if (m.gain.p) leaveSum(square, parts);
  barrier();
  p.multiply<TILES>(columns, sums);
  barrier();
  if (bad) return;
  float scale = m.gain.p ? 1.0f / __builtin_sqrtf(sumOfWarps(parts) / (float)p.in + (float)m.eps) : 1.0f;
  if (mine) {
    float y = sumOf(sums, u) * scale + bias[0], other = gated ? sumOf(sums, units + u) * scale + bias[1] : 1.0f;
    float in = m.second ? other : y, factor = m.second ? y : other;
    if (convolves) {
      in = tapBias + tap[TAPS - 1] * y;
#pragma unroll
      for (int k = 0; k < TAPS - 1; k++) {
        in += tap[k] * past[k];
        m.state.row(k)[j] = k < TAPS - 2 ? past[k + 1] : y;
      }
    }
    int act = convolves ? SILU : (int)m.act;
    if (act) {
      float z = activate(act, in) * factor;
      if (convolves) m.conv.p[j] = z;
      else if (m.acted.p) m.acted.p[j] = z;
      else if (m.second) other = z;
      else y = z;
    }
    m.dst.p[j] = y;
    if (gated) m.dst.p[m.half + j] = other;
    if (m.sum.p) m.sum.p[j] = add + y;
  }
  if (!m.gain.p) return; // else the norm is written down, for others
  for (int k = (int)blockX() * ROW_THREADS + thread(); k < p.in; k += blocksX() * ROW_THREADS) m.h.p[k] = p.get(k) * scale;
}
#define STEP(TILES)                                                                              \
  KERNEL __attribute__((launch_bounds(ROW_THREADS, 2))) void step##TILES##_bf16(VecArgs<bf16> a) { \
    SHARED float sums[ROW_WARPS][MOST_COLUMNS], parts[ROW_WARPS];                                \
    SHARED u64 copied;                                                                           \
    step<TILES>(a, sums, parts, &copied);                                                        \
  }
STEP(1)
STEP(2)
STEP(3)
STEP(4)
STEP(6)
STEP(8)
