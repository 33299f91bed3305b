// RMSNorm, LayerNorm and Activation of many rows, which may leave panels for the product that comes
// next. A block has a row, a thread 8 columns at a time; rows are aligned to 16 bytes.
#include "act.h"
#include "panel.h"

struct Eight {
  f32x4 x, y;
  DEVICE void load(const float *p) {
    x = *(const f32x4 *)p;
    y = *(const f32x4 *)(p + 4);
  }
  DEVICE void store(float *p) const {
    *(f32x4 *)p = x;
    *(f32x4 *)(p + 4) = y;
  }
  DEVICE float sum() const { return x[0] + x[1] + x[2] + x[3] + (y[0] + y[1] + y[2] + y[3]); }
};
DEVICE float squares(Eight v, float mean) {
  v.x -= mean;
  v.y -= mean;
  return Eight{v.x * v.x, v.y * v.y}.sum();
}

struct NormRowsArgs {
  Fault fault;
  Mat<float> dst, x;
  Mat<const float> delta, gain, bias;
  long cols;
  double eps;
  Panels panels;
};
enum { ROW_CHUNKS = 4 }; // of 8 columns of a thread: rows up to 8·4·256
template <bool centred> DEVICE void normRows(const NormRowsArgs &a, float *part) {
  if (a.fault.set()) return;
  int cols = (int)a.cols;
  float *dst = a.dst.row(blockX()), *x = a.x.row(blockX());
  Eight v[ROW_CHUNKS];
  float mean = 0, square = 0;
#pragma unroll
  for (int i = 0; i < ROW_CHUNKS; i++) {
    int k = 8 * (i * threads() + thread());
    if (k >= cols) break;
    v[i].load(x + k);
    if (a.delta.p) {
      Eight d;
      d.load(a.delta.row(blockX()) + k);
      v[i].x += d.x;
      v[i].y += d.y;
      v[i].store(x + k);
    }
    mean += v[i].sum();
  }
  mean = centred ? sumBlock(mean, part) / cols : 0.0f;
#pragma unroll
  for (int i = 0; i < ROW_CHUNKS; i++)
    if (8 * (i * threads() + thread()) < cols) square += squares(v[i], mean);
  float r = 1.0f / __builtin_sqrtf(sumBlock(square, part) / cols + (float)a.eps);
#pragma unroll
  for (int i = 0; i < ROW_CHUNKS; i++) {
    int k = 8 * (i * threads() + thread());
    if (k >= cols) break;
    Eight gain, bias = {0, 0};
    gain.load(a.gain.p + k);
    if (a.bias.p) bias.load(a.bias.p + k);
    v[i].x = gain.x * ((v[i].x - mean) * r) + bias.x;
    v[i].y = gain.y * ((v[i].y - mean) * r) + bias.y;
    v[i].store(dst + k);
    a.panels.put(blockX(), k, v[i].x, v[i].y);
  }
}
KERNEL void rms_norm_rows(NormRowsArgs a) {
  SHARED float part[33];
  normRows<false>(a, part);
}
KERNEL void layer_norm_rows(NormRowsArgs a) {
  SHARED float part[33];
  normRows<true>(a, part);
}

struct ActivationRowsArgs {
  Fault fault;
  Mat<float> dst;
  Mat<const float> x, mul;
  long cols, act;
  Panels panels;
  Mat<const int> offsets; // if rows are those of a sorted list
  long experts;
};
KERNEL void activation_rows(ActivationRowsArgs a) {
  if (a.fault.set()) return;
  long to = a.offsets.p ? panelRow(a.fault, a.offsets, a.experts, blockX()) : blockX();
  if (to < 0) return;
  float *dst = a.dst.row(blockX());
  const float *x = a.x.row(blockX()), *mul = a.mul.p ? a.mul.row(blockX()) : nullptr;
  for (int k = 8 * thread(); k < (int)a.cols; k += 8 * threads()) {
    Eight v, m = {1, 1};
    v.load(x + k);
    if (mul) m.load(mul + k);
    if (a.act == 1) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        v.x[i] = siluFast(v.x[i]);
        v.y[i] = siluFast(v.y[i]);
      }
    } else {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        v.x[i] = activate((int)a.act, v.x[i]);
        v.y[i] = activate((int)a.act, v.y[i]);
      }
    }
    v.x *= m.x;
    v.y *= m.y;
    v.store(dst + k);
    a.panels.put(to, k, v.x, v.y);
  }
}
