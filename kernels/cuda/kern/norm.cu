// RMSNorm and LayerNorm: a block a row. The mean and the squared distances from it are
// two passes, because a variance in one pass does not survive a large mean.
#include "mathf.h"

struct NormArgs {
  Fault fault;
  Mat<float> dst, x;
  Mat<const float> delta, gain, bias;
  long cols;
  double eps;
};

template <bool centred> DEVICE void normRow(NormArgs a, float *part) {
  if (a.fault.set()) return;
  int cols = (int)a.cols;
  float *dst = a.dst.row(blockX()), *x = a.x.row(blockX());
  if (a.delta.p) {
    const float *delta = a.delta.row(blockX());
    for (int j = thread(); j < cols; j += threads()) x[j] += delta[j];
  }
  float mean = 0, square = 0;
  if (centred) {
    for (int j = thread(); j < cols; j += threads()) mean += x[j];
    mean = sumBlock(mean, part) / cols;
  }
  for (int j = thread(); j < cols; j += threads()) square += (x[j] - mean) * (x[j] - mean);
  float r = 1.0f / __builtin_sqrtf(sumBlock(square, part) / cols + (float)a.eps);
  for (int j = thread(); j < cols; j += threads()) {
    float y = a.gain.p[j] * ((x[j] - mean) * r);
    dst[j] = a.bias.p ? y + a.bias.p[j] : y;
  }
}
KERNEL void rms_norm(NormArgs a) {
  SHARED float part[33];
  normRow<false>(a, part);
}
KERNEL void layer_norm(NormArgs a) {
  SHARED float part[33];
  normRow<true>(a, part);
}
