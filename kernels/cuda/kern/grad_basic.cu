// Gradients of the basic ops: a block a row where rows are independent; sums over rows in parts,
// which fold adds up.
#include "act.h"
#include "fold.h"

enum { FOLD_COLUMNS = 32, FOLD_GROUPS = 8 };

// fold: a block has 32 elements side by side; 8 groups of threads share the parts.
KERNEL void fold(FoldArgs a) {
  SHARED float sums[FOLD_GROUPS][FOLD_COLUMNS];
  if (a.fault.set()) return;
  int at = thread() % FOLD_COLUMNS, group = thread() / FOLD_COLUMNS;
  long i = blockX() * FOLD_COLUMNS + at;
  float sum = 0;
  if (i < a.elements) {
#pragma unroll 4
    for (int p = group; p < (int)a.parts; p += FOLD_GROUPS) sum += a.part[(long)p * a.elements + i];
  }
  sums[group][at] = sum;
  barrier();
  if (group != 0 || i >= a.elements) return;
#pragma unroll
  for (int g = 1; g < FOLD_GROUPS; g++) sum += sums[g][at];
  float *dst = a.dst.row(i / a.cols) + i % a.cols;
  *dst = a.add ? *dst + sum : sum;
}

// column_sum: blockX is a range of columns, blockY a run of rows: part[blockY] is their sum.
struct ColumnSumArgs { Fault fault; Mat<const float> x; float *part; long rows, cols, each; };
KERNEL void column_sum(ColumnSumArgs a) {
  if (a.fault.set()) return;
  int j = (int)blockX() * threads() + thread();
  if (j >= a.cols) return;
  long from = blockY() * a.each, to = from + a.each < a.rows ? from + a.each : a.rows;
  float sum = 0;
#pragma unroll 8
  for (long i = from; i < to; i++) sum += a.x.row(i)[j];
  a.part[blockY() * a.cols + j] = sum;
}

struct NegExpGradArgs { Fault fault; Mat<float> dx; Mat<const float> g, y; long cols; };
KERNEL void neg_exp_grad(NegExpGradArgs a) {
  if (a.fault.set()) return;
  float *dx = a.dx.row(blockX());
  const float *g = a.g.row(blockX()), *y = a.y.row(blockX());
  for (int j = thread(); j < (int)a.cols; j += threads()) dx[j] += g[j] * y[j];
}

// embed_grad: blockX is a token, blockY a range of columns. The block of the first token of an id
// adds up the rows of all tokens that have it, in order; the others have nothing to do.
struct EmbedGradArgs { Fault fault; Mat<float> table; Mat<const float> g; Mat<const int> ids; long vocab, tokens, cols; };
enum { EMBED_THREADS = 256 };
KERNEL void embed_grad(EmbedGradArgs a) {
  SHARED int list[EMBED_THREADS], ends[EMBED_THREADS / 32];
  SHARED float part[33];
  if (a.fault.set()) return;
  int own = (int)blockX(), id = *a.ids.row(own), tokens = (int)a.tokens;
  if (id < 0 || id >= a.vocab) {
    if (thread() == 0) a.fault.report(BAD_TOKEN, id, own);
    return;
  }
  float seen = 0;
  for (int i = thread(); i < own; i += EMBED_THREADS)
    if (*a.ids.row(i) == id) seen = 1;
  if (sumBlock(seen, part) != 0) return;
  int j = (int)blockY() * EMBED_THREADS + thread();
  float sum = 0;
  for (int base = own; base < tokens; base += EMBED_THREADS) {
    int i = base + thread(), has = i < tokens && *a.ids.row(i) == id ? 1 : 0, place = has;
#pragma unroll
    for (int m = 1; m < 32; m <<= 1) {
      int lower = fromLane(place, lane() >= m ? lane() - m : lane());
      if (lane() >= m) place += lower;
    }
    if (lane() == 31) ends[warp()] = place;
    barrier();
    int before = 0, total = 0;
#pragma unroll
    for (int w = 0; w < EMBED_THREADS / 32; w++) {
      if (w < warp()) before += ends[w];
      total += ends[w];
    }
    if (has) list[before + place - 1] = i;
    barrier();
    if (j < a.cols) {
#pragma unroll 4
      for (int k = 0; k < total; k++) sum += a.g.row(list[k])[j];
    }
    barrier(); // the list is written anew
  }
  if (j < a.cols) a.table.row(id)[j] += sum;
}

// rms_norm_grad, layer_norm_grad: a block has a run of rows, and leaves its sums for the gradients
// of gain and bias in parts.
struct NormGradArgs { Fault fault; Mat<float> dx; Mat<const float> g, x, gain; float *dGain, *dBias; long rows, cols, each; double eps; };
template <bool centred> DEVICE void normGrad(const NormGradArgs &a, float *part) {
  if (a.fault.set()) return;
  int cols = (int)a.cols;
  long from = blockX() * a.each, to = from + a.each < a.rows ? from + a.each : a.rows;
  float *dGain = a.dGain + blockX() * cols, *dBias = a.dBias ? a.dBias + blockX() * cols : nullptr;
  const float *gain = a.gain.p;
  for (long i = from; i < to; i++) {
    float *dx = a.dx.row(i), mean = 0, square = 0, meanQ = 0, meanQX = 0;
    const float *g = a.g.row(i), *x = a.x.row(i);
    if (centred) {
      for (int j = thread(); j < cols; j += threads()) mean += x[j];
      mean = sumBlock(mean, part) / cols;
    }
    for (int j = thread(); j < cols; j += threads()) {
      float c = x[j] - mean, q = g[j] * gain[j];
      square += c * c;
      meanQX += q * c;
      if (centred) meanQ += q;
    }
    float r = 1.0f / __builtin_sqrtf(sumBlock(square, part) / cols + (float)a.eps);
    meanQX = sumBlock(meanQX, part) / cols * r;
    if (centred) meanQ = sumBlock(meanQ, part) / cols;
    for (int j = thread(); j < cols; j += threads()) {
      float unit = (x[j] - mean) * r, w = g[j] * unit;
      dx[j] += r * (g[j] * gain[j] - meanQ - unit * meanQX);
      dGain[j] = i == from ? w : dGain[j] + w;
      if (dBias) dBias[j] = i == from ? g[j] : dBias[j] + g[j];
    }
  }
}
KERNEL void rms_norm_grad(NormGradArgs a) {
  SHARED float part[33];
  normGrad<false>(a, part);
}
KERNEL void layer_norm_grad(NormGradArgs a) {
  SHARED float part[33];
  normGrad<true>(a, part);
}

// slope is the derivative of activate.
DEVICE float slope(int act, float x) {
  switch (act) {
  case 1: return sigmoid(x) * (1.0f + x * sigmoid(-x));
  case 2: return 0.5f * (1.0f + erfOf(x * 0.70710678f)) + x * 0.39894228f * expOf(-0.5f * x * x);
  case 3: { // with σ = σ(2u): ½(1 + tanh u) = σ and 1 − tanh² u = 4σ(1−σ)
    float u = 0.79788456f * (x + 0.044715f * x * x * x), s = sigmoid(2.0f * u), rest = sigmoid(-2.0f * u);
    return s + 2.0f * x * s * rest * 0.79788456f * (1.0f + 0.134145f * x * x);
  }
  }
  return x > 0 ? 1.0f : 0.0f;
}
struct ActivationGradArgs { Fault fault; Mat<float> dx, dMul; Mat<const float> g, x, mul; long cols, act; };
KERNEL void activation_grad(ActivationGradArgs a) {
  if (a.fault.set()) return;
  float *dx = a.dx.row(blockX()), *dMul = a.dMul.row(a.mul.p ? blockX() : 0);
  const float *g = a.g.row(blockX()), *x = a.x.row(blockX()), *mul = a.mul.p ? a.mul.row(blockX()) : nullptr;
  for (int j = thread(); j < (int)a.cols; j += threads()) {
    float own = g[j], v = x[j];
    if (mul) {
      dMul[j] = own * activate((int)a.act, v);
      own *= mul[j];
    }
    dx[j] = own * slope((int)a.act, v);
  }
}

// cross_entropy: a block a row of logits, in whose place their gradient comes.
struct CrossEntropyArgs { Fault fault; Mat<float> loss, logits; Mat<const int> targets; long cols; double scale; };
KERNEL void cross_entropy(CrossEntropyArgs a) {
  SHARED float part[33], tops[32];
  if (a.fault.set()) return;
  int target = *a.targets.row(blockX()), cols = (int)a.cols;
  float *logits = a.logits.row(blockX());
  if (target < -1 || target >= cols) {
    if (thread() == 0) a.fault.report(BAD_TARGET, target, (int)blockX());
    return;
  }
  if (target == -1) {
    for (int j = thread(); j < cols; j += threads()) logits[j] = 0;
    if (thread() == 0) *a.loss.row(blockX()) = 0;
    return;
  }
  float top = -INF, total = 0, own = logits[target];
  for (int j = thread(); j < cols; j += threads()) top = __builtin_fmaxf(top, logits[j]);
  top = maxWarp(top);
  if (lane() == 0) tops[warp()] = top;
  barrier();
  for (int w = 0; w < threads() / 32; w++) top = __builtin_fmaxf(top, tops[w]);
  for (int j = thread(); j < cols; j += threads()) total += expOf(logits[j] - top);
  total = sumBlock(total, part);
  float scale = (float)a.scale, each = 1.0f / total;
  for (int j = thread(); j < cols; j += threads()) {
    float p = expOf(logits[j] - top) * each;
    logits[j] = scale * (j == target ? p - 1.0f : p);
  }
  if (thread() == 0) *a.loss.row(blockX()) = (float)logOf((double)total) + (top - own);
}

// square_sum: part[blockX] is the sum of the squares of every rows-of-blocks-th row.
struct SquareSumArgs { Fault fault; Mat<const float> x; float *part; long rows, cols; };
KERNEL void square_sum(SquareSumArgs a) {
  SHARED float part[33];
  if (a.fault.set()) return;
  float sum = 0;
  for (long i = blockX(); i < a.rows; i += blocksX()) {
    const float *x = a.x.row(i);
#pragma unroll 4
    for (int j = thread(); j < (int)a.cols; j += threads()) sum += x[j] * x[j];
  }
  sum = sumBlock(sum, part);
  if (thread() == 0) a.part[blockX()] = sum;
}

// adamw: a block a row. The numbers that change from step to step come from the GPU's memory, so
// that a list of launches serves every step.
struct AdamWArgs { Fault fault; Mat<float> w; Mat<const float> grad; Mat<float> m, v; const float *step; long cols; double beta1, beta2, eps, decay; };
KERNEL void adamw(AdamWArgs a) {
  if (a.fault.set()) return;
  float rate = a.step[0], scale = a.step[1], first = a.step[2], second = a.step[3]; // 1 − β^t
  float beta1 = (float)a.beta1, beta2 = (float)a.beta2, eps = (float)a.eps, decay = (float)a.decay;
  float rest1 = (float)(1.0 - a.beta1), rest2 = (float)(1.0 - a.beta2);
  float *w = a.w.row(blockX()), *m = a.m.row(blockX()), *v = a.v.row(blockX());
  const float *grad = a.grad.row(blockX());
  for (int j = thread(); j < (int)a.cols; j += threads()) {
    float g = scale * grad[j];
    float mean = beta1 * m[j] + rest1 * g, square = beta2 * v[j] + rest2 * g * g;
    m[j] = mean;
    v[j] = square;
    w[j] -= rate * (mean / first / (__builtin_sqrtf(square / second) + eps) + decay * w[j]);
  }
}
