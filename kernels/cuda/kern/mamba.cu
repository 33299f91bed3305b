// ConvSiLU and Scan: threads along the channels, which lie side by side in memory.
#include "panel.h"
#include "scan.h"

// conv_silu: blockX is a row, blockY a range of channels. The state is read here and
// written by conv_keep, a later launch, so that no thread meets a row already replaced.
struct ConvArgs { Fault fault; Mat<float> dst; Mat<const float> x, w, bias; Mat<float> state; long dim, taps, n; };
DEVICE float before(const ConvArgs &a, int seq, int t, int d) {
  return t < 0 ? a.state.row((long)seq * (a.taps - 1) + (a.taps - 1) + t)[d] : a.x.row((long)seq * a.n + t)[d];
}
KERNEL void conv_silu(ConvArgs a) {
  if (a.fault.set()) return;
  int d = (int)blockY() * threads() + thread(), taps = (int)a.taps;
  if (d >= a.dim) return;
  int seq = (int)(blockX() / a.n), t = (int)(blockX() % a.n);
  float c = a.bias.p ? a.bias.p[d] : 0.0f;
  for (int j = 0; j < taps; j++) c += a.w.row(d)[j] * before(a, seq, t - taps + 1 + j, d);
  a.dst.row(blockX())[d] = silu(c);
}

// conv_run is conv_silu with 4 taps for many tokens: blockX is a range of channels, blockY
// RUN tokens of sequence blockZ, through which a thread goes with the last inputs in registers.
enum { CONV_TAPS = 4, CONV_RUN = 32, CONV_AHEAD = 8 };
struct ConvRunArgs { ConvArgs conv; Panels panels; }; // panels get the results too
KERNEL void conv_run(ConvRunArgs args) {
  const ConvArgs &a = args.conv;
  if (a.fault.set()) return;
  int d = (int)blockX() * threads() + thread(), seq = (int)blockZ(), from = (int)blockY() * CONV_RUN;
  if (d >= a.dim) return;
  int to = from + CONV_RUN < (int)a.n ? from + CONV_RUN : (int)a.n;
  float w[CONV_TAPS], past[CONV_TAPS - 1], bias = a.bias.p ? a.bias.p[d] : 0.0f;
#pragma unroll
  for (int j = 0; j < CONV_TAPS; j++) w[j] = a.w.row(d)[j];
#pragma unroll
  for (int j = 0; j < CONV_TAPS - 1; j++) past[j] = before(a, seq, from - CONV_TAPS + 1 + j, d);
  const float *x = a.x.row((long)seq * a.n) + d;
  float *dst = a.dst.row((long)seq * a.n) + d;
  PanelColumn panel;
  panel.begin(args.panels, d);
#pragma unroll 1
  for (int t = from; t < to; t += CONV_AHEAD) {
    float in[CONV_AHEAD];
#pragma unroll
    for (int i = 0; i < CONV_AHEAD; i++) in[i] = t + i < to ? x[(t + i) * a.x.stride] : 0.0f;
#pragma unroll
    for (int i = 0; i < CONV_AHEAD; i++) {
      float c = bias + w[0] * past[0] + w[1] * past[1] + w[2] * past[2] + w[3] * in[i];
      past[0] = past[1];
      past[1] = past[2];
      past[2] = in[i];
      if (t + i >= to) continue;
      c = siluFast(c);
      dst[(t + i) * a.dst.stride] = c;
      panel.put((long)seq * a.n + t + i, c);
    }
  }
}

// conv_keep: blockX is a sequence. Each row is taken from behind where it goes.
KERNEL void conv_keep(ConvArgs a) {
  if (a.fault.set()) return;
  int d = (int)blockY() * threads() + thread(), past = (int)a.taps - 1, seq = (int)blockX();
  if (d >= a.dim) return;
  for (int k = 0; k < past; k++) a.state.row((long)seq * past + k)[d] = before(a, seq, (int)a.n - past + k, d);
}

// scan: blockX is a sequence, blockY a range of channels, a thread a channel through all
// tokens. Up to STATES states stay in registers; scan_wide leaves them in memory.
template <bool wide> DEVICE void scanChannel(ScanArgs s) {
  if (s.fault.set()) return;
  int d = (int)blockY() * threads() + thread(), states = (int)s.states;
  if (d >= s.dim) return;
  float *state = s.state.row(blockX() * s.dim + d);
  const float *decay = s.a.row(d);
  float skip = s.d.p ? s.d.p[d] : 0.0f, bias = s.bias.p ? s.bias.p[d] : 0.0f;
  float h[STATES], rate[STATES];
  if (!wide) {
#pragma unroll
    for (int k = 0; k < STATES; k++) {
      h[k] = k < states ? state[k] : 0.0f;
      rate[k] = k < states ? decay[k] : 0.0f;
    }
  }
  for (int t = 0; t < (int)s.n; t++) {
    long row = blockX() * s.n + t;
    float x = s.x.row(row)[d], delta = softplus(s.dt.row(row)[d] + bias), y = skip * x;
    const float *b = s.b.row(row), *c = s.c.row(row);
    if (wide) {
      for (int k = 0; k < states; k++) {
        float v = expOf(delta * decay[k]) * state[k] + delta * x * b[k];
        state[k] = v;
        y += v * c[k];
      }
    } else {
#pragma unroll
      for (int k = 0; k < STATES; k++) {
        if (k < states) {
          h[k] = expOf(delta * rate[k]) * h[k] + delta * x * b[k];
          y += h[k] * c[k];
        }
      }
    }
    s.dst.row(row)[d] = s.z.p ? y * silu(s.z.row(row)[d]) : y;
  }
  if (!wide) {
#pragma unroll
    for (int k = 0; k < STATES; k++)
      if (k < states) state[k] = h[k];
  }
}
KERNEL void scan(ScanArgs a) { scanChannel<false>(a); }
KERNEL void scan_wide(ScanArgs a) { scanChannel<true>(a); }

// scan_step is the scan of one token, with the product before it that makes dt: a channel is
// LANES threads, each with 4 states and every fourth group of 4 of the product.
template <class W> struct ScanStepArgs {
  ScanArgs s;
  Mat<const float> low; // dt = low·wᵀ
  Mat<const W> w;
  long rank, early;
};
enum { LANES = 4, RANKS = 8 }; // ranks up to 4·LANES·RANKS
DEVICE float of(u16, float *) { return 0; } // not asked for
DEVICE bf16 of(u16 bits, bf16 *) { return {bits}; }
DEVICE f16 of(u16 bits, f16 *) { return {bits}; }
template <class W> struct Quad { // 4 elements side by side
  u32 v[sizeof(W)];
  DEVICE void load(const W *p) {
    if (sizeof(W) == 4) {
      u32x4 t = *(const u32x4 *)p;
#pragma unroll
      for (int i = 0; i < (int)sizeof(W); i++) v[i] = t[i];
    } else {
      u32x2 t = *(const u32x2 *)p;
      v[0] = t[0];
      v[1] = t[1];
    }
  }
  DEVICE float operator[](int i) const {
    if (sizeof(W) == 4) return __builtin_bit_cast(float, v[i % sizeof(W)]);
    u16 half = halfOf(v[i >> 1], i & 1);
    return widen(of(half, (W *)nullptr));
  }
};
template <class W> DEVICE void scanStep(ScanStepArgs<W> a) {
  const ScanArgs &s = a.s;
  int d = ((int)blockY() * threads() + thread()) / LANES, q = thread() % LANES, states = (int)s.states, rank = (int)a.rank;
  bool mine = d < s.dim;
  const W *w = a.w.row(mine ? d : 0);
  Quad<W> quad[RANKS];
  if (a.early) {
#pragma unroll
    for (int i = 0; i < RANKS; i++)
      if (4 * (i * LANES + q) < rank) quad[i].load(w + 4 * (i * LANES + q));
  }
  release();
  await();
  bool bad = s.fault.seen();
  if (!a.early) {
#pragma unroll
    for (int i = 0; i < RANKS; i++)
      if (4 * (i * LANES + q) < rank) quad[i].load(w + 4 * (i * LANES + q));
  }
  long row = blockX();
  int at = mine ? d : 0, first = 4 * q;
  bool has = mine && first < states;
  float *state = s.state.row(row * s.dim + at) + first;
  f32x4 h = 0, rate = 0, b = 0, c = 0;
  if (has) {
    h = *(const f32x4 *)state;
    rate = *(const f32x4 *)(s.a.row(at) + first);
#pragma unroll
    for (int k = 0; k < 4; k++) { // B and C begin anywhere
      b[k] = s.b.row(row)[first + k];
      c[k] = s.c.row(row)[first + k];
    }
  }
  float x = s.x.row(row)[at], bias = s.bias.p ? s.bias.p[at] : 0.0f, skip = s.d.p ? s.d.p[at] : 0.0f;
  float z = s.z.p ? s.z.row(row)[at] : 0.0f, dt = 0;
  const float *low = a.low.row(row);
#pragma unroll
  for (int i = 0; i < RANKS; i++) {
    int r = 4 * (i * LANES + q);
    if (r < rank) {
      f32x4 l = *(const f32x4 *)(low + r);
#pragma unroll
      for (int k = 0; k < 4; k++) dt += l[k] * quad[i][k];
    }
  }
  dt += swap(dt, 1);
  dt += swap(dt, 2);
  float delta = softplus(dt + bias), y = 0;
#pragma unroll
  for (int k = 0; k < 4; k++) {
    h[k] = expOf(delta * rate[k]) * h[k] + delta * x * b[k];
    y += h[k] * c[k];
  }
  y += swap(y, 1);
  y += swap(y, 2);
  if (bad) return;
  if (has) *(f32x4 *)state = h;
  if (!mine || q != 0) return;
  y += skip * x;
  ((float *)s.dt.row(row))[d] = dt;
  s.dst.row(row)[d] = s.z.p ? y * silu(z) : y;
}
KERNEL void scan_step_f32(ScanStepArgs<float> a) { scanStep(a); }
KERNEL void scan_step_bf16(ScanStepArgs<bf16> a) { scanStep(a); }
KERNEL void scan_step_f16(ScanStepArgs<f16> a) { scanStep(a); }
