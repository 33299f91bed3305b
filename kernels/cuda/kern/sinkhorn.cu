// Sinkhorn: one block, for training only, in double.
#include "mathf.h"

struct SinkhornArgs {
  Fault fault;
  Mat<float> bias;
  Mat<const float> logits;
  Mat<int> count;           // of iterations, where it is asked for
  double *u, *v, *column;   // [tokens], [experts] and [experts]
  long tokens, experts, iterations, columnFirst, absolute;
  long shares; // warps to a column of logits
  double temperature, tolerance;
};
enum { SINKHORN_THREADS = 512, WARPS = SINKHORN_THREADS / 32 };

// A LogSum is log Σ exp(x) of some numbers: the largest of them, and Σ exp(x − largest).
struct LogSum {
  double top, sum;
  DEVICE void join(const LogSum &o) {
    double most = o.top > top ? o.top : top;
    sum = sum * expOf(top - most) + o.sum * expOf(o.top - most);
    top = most;
  }
  DEVICE double log() const { return top + logOf(sum); }
};

// columnSums: warps share the experts, and where there are fewer of these, the tokens of each;
// shares are joined in order.
DEVICE void columnSums(const SinkhornArgs &a, LogSum *parts) {
  int shares = (int)a.shares, share = warp() % shares, group = warp() / shares, groups = WARPS / shares;
  for (long first = 0; first < a.experts; first += groups) {
    long e = first + group;
    bool mine = group < groups && e < a.experts;
    if (mine) {
      double top = -1e300, sum = 0;
      for (long t = 32 * share + lane(); t < a.tokens; t += 32 * shares) {
        double x = (double)a.logits.row(t)[e] / a.temperature + a.u[t];
        top = x > top ? x : top;
      }
#pragma unroll
      for (int m = 16; m; m >>= 1) {
        double other = swap(top, m);
        top = other > top ? other : top;
      }
#pragma unroll 4
      for (long t = 32 * share + lane(); t < a.tokens; t += 32 * shares)
        sum += expOf((double)a.logits.row(t)[e] / a.temperature + a.u[t] - top);
#pragma unroll
      for (int m = 16; m; m >>= 1) sum += swap(sum, m);
      if (lane() == 0) parts[warp()] = {top, sum};
    }
    barrier();
    if (mine && share == 0 && lane() == 0) {
      LogSum all = parts[warp()];
      for (int i = 1; i < shares; i++) all.join(parts[warp() + i]);
      a.column[e] = all.log();
    }
    barrier();
  }
}
DEVICE void balanceRows(const SinkhornArgs &a) {
  for (long t = thread(); t < a.tokens; t += SINKHORN_THREADS) {
    const float *logits = a.logits.row(t);
    LogSum s = {-1e300, 0};
    for (long e = 0; e < a.experts; e++) {
      double x = (double)logits[e] / a.temperature + a.v[e];
      s.top = x > s.top ? x : s.top;
    }
#pragma unroll 4
    for (long e = 0; e < a.experts; e++) s.sum += expOf((double)logits[e] / a.temperature + a.v[e] - s.top);
    a.u[t] = -logOf((double)a.tokens) - s.log();
  }
  barrier();
}

// settled says whether the iteration is the last, by the columns' sums before they are balanced: by
// how far they are from 1/E, or, absolute, by how far d₁ is about to move. All threads get it.
DEVICE bool settled(const SinkhornArgs &a, int *answer) {
  if (thread() == 0) {
    double worst = 0, moved = 0;
    for (long e = 0; e < a.experts; e++) {
      double before = a.v[e], after = -logOf((double)a.experts) - a.column[e];
      double off = __builtin_fabs(expOf(before - after) - 1.0), d = __builtin_fabs(after - before);
      worst = off > worst ? off : worst;
      double fall = d < 1e-3 ? d * (1.0 - d * (0.5 - d / 6.0)) : 1.0 - expOf(-d);
      if (d != 0) moved += expOf(after > before ? after : before) * fall / (double)a.experts;
    }
    *answer = a.absolute ? moved <= a.tolerance : worst <= a.tolerance;
  }
  barrier();
  bool done = *answer;
  barrier();
  return done;
}
KERNEL void sinkhorn(SinkhornArgs a) {
  SHARED LogSum parts[WARPS];
  SHARED double mean;
  SHARED int answer;
  if (a.fault.set()) return;
  for (long t = thread(); t < a.tokens; t += SINKHORN_THREADS) a.u[t] = 0;
  for (long e = thread(); e < a.experts; e += SINKHORN_THREADS) a.v[e] = 0;
  barrier();
  int made = 0;
  bool done = false;
  if (a.columnFirst) {
    columnSums(a, parts);
    for (long e = thread(); e < a.experts; e += SINKHORN_THREADS) a.v[e] = -logOf((double)a.experts) - a.column[e];
    barrier();
  }
#pragma unroll 1
  for (; !done && made < (int)a.iterations; made++) {
    balanceRows(a);
    columnSums(a, parts);
    done = settled(a, &answer);
    if (done && !a.absolute) continue;
    for (long e = thread(); e < a.experts; e += SINKHORN_THREADS) a.v[e] = -logOf((double)a.experts) - a.column[e];
    barrier();
  }
  if (thread() == 0) {
    double sum = 0;
    for (long e = 0; e < a.experts; e++) sum += a.v[e];
    mean = sum / (double)a.experts;
    if (a.count.p) *a.count.p = made;
  }
  barrier();
  for (long e = thread(); e < a.experts; e += SINKHORN_THREADS) a.bias.p[e] = (float)((a.v[e] - mean) * a.temperature);
}
