// The gradient of ConvSiLU: a thread has a channel and goes through a run of tokens.
#include "mathf.h"

struct ConvGradArgs {
  Fault fault;
  Mat<float> dx;
  Mat<const float> g, x, w, bias;
  float *slope;  // dc, [tokens, dim]
  float *dw;     // [runs, dim, taps], in parts
  float *dBias;  // [runs, dim]
  long dim, taps, n, run;
};
enum { CONV_GRAD_TAPS = 4 }; // of the weights' gradient, at a time

// conv_slope: blockX is a range of channels, blockY a run of tokens of sequence blockZ. It leaves
// dc, and the run's part of what the weights and the bias get.
KERNEL void conv_slope(ConvGradArgs a) {
  if (a.fault.set()) return;
  int d = (int)blockX() * threads() + thread(), taps = (int)a.taps, n = (int)a.n;
  if (d >= a.dim) return;
  int from = (int)(blockY() * a.run), to = from + (int)a.run < n ? from + (int)a.run : n;
  long first = blockZ() * n, part = (blockZ() * blocksY() + blockY()) * a.dim + d;
  const float *w = a.w.row(d);
  float bias = a.bias.p ? a.bias.p[d] : 0.0f, dBias = 0;
  for (int tap = 0; tap < taps; tap += CONV_GRAD_TAPS) {
    float dw[CONV_GRAD_TAPS] = {0};
    for (int t = from; t < to; t++) {
      float dc;
      if (tap == 0) {
        float c = bias;
        for (int j = 0; j < taps; j++)
          if (t - taps + 1 + j >= 0) c += w[j] * a.x.row(first + t - taps + 1 + j)[d];
        dc = a.g.row(first + t)[d] * (sigmoid(c) * (1.0f + c * sigmoid(-c)));
        a.slope[(first + t) * a.dim + d] = dc;
        dBias += dc;
      } else {
        dc = a.slope[(first + t) * a.dim + d];
      }
#pragma unroll
      for (int j = 0; j < CONV_GRAD_TAPS; j++) {
        int before = t - taps + 1 + tap + j;
        if (tap + j < taps && before >= 0) dw[j] += dc * a.x.row(first + before)[d];
      }
    }
#pragma unroll
    for (int j = 0; j < CONV_GRAD_TAPS; j++)
      if (tap + j < taps) a.dw[part * taps + tap + j] = dw[j];
  }
  if (a.bias.p) a.dBias[part] = dBias;
}

// conv_back: blockX is a row, blockY a range of channels.
KERNEL void conv_back(ConvGradArgs a) {
  if (a.fault.set()) return;
  int d = (int)blockY() * threads() + thread(), taps = (int)a.taps, t = (int)(blockX() % a.n);
  if (d >= a.dim) return;
  float sum = 0;
  for (int j = 0; j < taps; j++) {
    int after = taps - 1 - j;
    if (t + after < (int)a.n) sum += a.w.row(d)[j] * a.slope[(blockX() + after) * a.dim + d];
  }
  a.dx.row(blockX())[d] = sum;
}
