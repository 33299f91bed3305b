// ConvSiLU and Scan: threads along the channels, which lie side by side in memory.
#include "mathf.h"

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

// conv_keep: blockX is a sequence. Each row is taken from behind where it goes.
KERNEL void conv_keep(ConvArgs a) {
  if (a.fault.set()) return;
  int d = (int)blockY() * threads() + thread(), past = (int)a.taps - 1, seq = (int)blockX();
  if (d >= a.dim) return;
  for (int k = 0; k < past; k++) a.state.row((long)seq * past + k)[d] = before(a, seq, (int)a.n - past + k, d);
}

// scan: blockX is a sequence, blockY a range of channels, a thread a channel through all
// tokens. Up to STATES states stay in registers; scan_wide leaves them in memory.
enum { STATES = 16 };
struct ScanArgs {
  Fault fault;
  Mat<float> dst;
  Mat<const float> x, dt, a, b, c, d, z, bias;
  Mat<float> state;
  long dim, states, n;
};
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
