// What routers do beside choosing by their logits: HashRoute, LimitLoad, BalanceLoss, BiasStep,
// and Average and Sum, which have elements and no more.
#include "mathf.h"

// sum is dst = scale·(x + y), or scale·x where y is absent; average is dst += scale·(x − dst).
// blockX is a row.
struct SumArgs { Fault fault; Mat<float> dst; Mat<const float> x, y; long cols; double scale; };
KERNEL void sum(SumArgs a) {
  if (a.fault.set()) return;
  float *dst = a.dst.row(blockX()), scale = (float)a.scale;
  const float *x = a.x.row(blockX()), *y = a.y.p ? a.y.row(blockX()) : nullptr;
  for (int j = thread(); j < (int)a.cols; j += threads()) dst[j] = scale * (y ? x[j] + y[j] : x[j]);
}
KERNEL void average(SumArgs a) {
  if (a.fault.set()) return;
  float *dst = a.dst.row(blockX()), rate = (float)a.scale;
  const float *x = a.x.row(blockX());
  for (int j = thread(); j < (int)a.cols; j += threads()) dst[j] += rate * (x[j] - dst[j]);
}

// hash_route: a thread a token.
struct HashRouteArgs { Fault fault; Mat<int> experts; Mat<float> gates; Mat<const int> ids; long tokens, k, of; };
KERNEL void hash_route(HashRouteArgs a) {
  if (a.fault.set()) return;
  long t = blockX() * threads() + thread();
  if (t >= a.tokens) return;
  u32 hash = 2654435769u * (u32)*a.ids.row(t) >> 16, k = (u32)a.k;
  for (u32 c = 0; c < k; c++) {
    a.experts.row(t)[c] = (int)((hash + c) % (u32)a.of);
    a.gates.row(t)[c] = 1.0f / (float)k;
  }
}

// limit_load: a thread a choice.
struct LimitLoadArgs { Fault fault; Mat<float> gates; Mat<const int> places, offsets, experts; long choices, k, count, capacity; };
KERNEL void limit_load(LimitLoadArgs a) {
  if (a.fault.set()) return;
  long i = blockX() * threads() + thread();
  if (i >= a.choices) return;
  int t = (int)i / (int)a.k, c = (int)i % (int)a.k, e = a.experts.row(t)[c];
  if (e < 0 || e >= a.count) {
    a.fault.report(BAD_EXPERT, e, t);
    return;
  }
  if (*a.places.row(i) - *a.offsets.row(e) >= a.capacity) a.gates.row(t)[c] = 0;
}

// bias_step: a thread an expert.
struct BiasStepArgs { Fault fault; Mat<float> bias; Mat<const int> offsets; long count; double rate; };
KERNEL void bias_step(BiasStepArgs a) {
  if (a.fault.set()) return;
  long e = blockX() * threads() + thread();
  if (e >= a.count) return;
  long total = *a.offsets.row(a.count) - *a.offsets.row(0), load = *a.offsets.row(e + 1) - *a.offsets.row(e), over = load * a.count - total;
  if (over < 0) a.bias.p[e] += (float)a.rate;
  if (over > 0) a.bias.p[e] -= (float)a.rate;
}

// BalanceLoss is three kernels: f_e, the share of choices that went to each expert, by one block;
// the gradient and what a token adds to both losses, by a warp a token; and their sums, by one
// block.
struct SharesArgs { Fault fault; Mat<const int> experts; float *shares; long tokens, k, count; };
KERNEL void balance_shares(SharesArgs a) {
  SHARED float part[33];
  if (a.fault.set()) return;
  barrier(); // all have looked before anybody reports
  int n = (int)(a.tokens * a.k), k = (int)a.k;
  for (int e = 0; e < (int)a.count; e++) {
    float mine = 0;
    for (int i = thread(); i < n; i += threads()) {
      int chosen = a.experts.row(i / k)[i % k];
      if (chosen < 0 || chosen >= a.count) a.fault.report(BAD_EXPERT, chosen, i / k);
      mine += chosen == e;
    }
    float all = sumBlock(mine, part);
    if (thread() == 0) a.shares[e] = all / (float)n;
  }
}

struct BalanceArgs { Fault fault; Mat<float> grad; Mat<const float> logits; const float *shares; Mat<float> terms; long tokens, count; double balance, z; };
KERNEL void balance_grad(BalanceArgs a) {
  if (a.fault.set()) return;
  long t = blockX() * (threads() / 32) + warp();
  if (t >= a.tokens) return;
  const float *logits = a.logits.row(t);
  int count = (int)a.count;
  float top = -INF, sum = 0, inner = 0;
  for (int e = lane(); e < count; e += 32) top = __builtin_fmaxf(top, logits[e]);
  top = maxWarp(top);
  for (int e = lane(); e < count; e += 32) {
    float p = expOf(logits[e] - top);
    sum += p;
    inner += a.shares[e] * p;
  }
  sum = sumWarp(sum);
  inner = sumWarp(inner) / sum;
  float log = top + (float)logOf((double)sum), each = 1.0f / (float)a.tokens;
  for (int e = lane(); e < count; e += 32) {
    float p = expOf(logits[e] - top) / sum;
    a.grad.row(t)[e] = p * ((float)a.balance * (a.shares[e] - inner) + 2.0f * (float)a.z * log) * each;
  }
  if (lane() == 0) {
    a.terms.row(t)[0] = (float)a.balance * inner;
    a.terms.row(t)[1] = (float)a.z * log * log;
  }
}

struct LossArgs { Fault fault; Mat<float> loss; Mat<const float> terms; long tokens; };
KERNEL void balance_loss(LossArgs a) {
  SHARED float part[33];
  if (a.fault.set()) return;
  for (int i = 0; i < 2; i++) {
    float mine = 0;
    for (long t = thread(); t < a.tokens; t += threads()) mine += a.terms.row(t)[i];
    float all = sumBlock(mine, part);
    if (thread() == 0) a.loss.p[i] = all / (float)a.tokens;
  }
}
