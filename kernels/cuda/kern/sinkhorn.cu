// Sinkhorn: one block, for training only, in double.
#include "mathf.h"

struct SinkhornArgs {
  Fault fault;
  Mat<float> bias;
  Mat<const float> logits;
  Mat<int> count;           // of iterations, where it is asked for
  double *u, *v, *column;   // [tokens], [experts] and [experts]
  long tokens, experts, iterations, columnFirst, absolute;
  double temperature, tolerance;
};
enum { SINKHORN_THREADS = 256 };

// LogSum is log Σ exp(x) over what it has seen.
struct LogSum {
  double top, sum;
  DEVICE void see(double x) {
    if (x > top) {
      sum = sum * expOf(top - x) + 1.0;
      top = x;
    } else {
      sum += expOf(x - top);
    }
  }
  DEVICE void join(const LogSum &o) {
    if (o.top > top) {
      sum = sum * expOf(top - o.top) + o.sum;
      top = o.top;
    } else {
      sum += o.sum * expOf(o.top - top);
    }
  }
  DEVICE double log() const { return top + logOf(sum); }
};

// columnSums: all threads share the tokens, expert by expert, and join theirs two by two.
DEVICE void columnSums(const SinkhornArgs &a, LogSum *sums) {
  for (long e = 0; e < a.experts; e++) {
    LogSum s = {-1e300, 0};
    for (long t = thread(); t < a.tokens; t += SINKHORN_THREADS) s.see((double)a.logits.row(t)[e] / a.temperature + a.u[t]);
    sums[thread()] = s;
    barrier();
#pragma unroll 1
    for (int half = SINKHORN_THREADS / 2; half; half >>= 1) {
      if (thread() < half) sums[thread()].join(sums[thread() + half]);
      barrier();
    }
    if (thread() == 0) a.column[e] = sums[0].log();
    barrier();
  }
}
DEVICE void balanceRows(const SinkhornArgs &a) {
  for (long t = thread(); t < a.tokens; t += SINKHORN_THREADS) {
    LogSum s = {-1e300, 0};
    for (long e = 0; e < a.experts; e++) s.see((double)a.logits.row(t)[e] / a.temperature + a.v[e]);
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
  SHARED LogSum sums[SINKHORN_THREADS];
  SHARED double mean;
  SHARED int answer;
  if (a.fault.set()) return;
  for (long t = thread(); t < a.tokens; t += SINKHORN_THREADS) a.u[t] = 0;
  for (long e = thread(); e < a.experts; e += SINKHORN_THREADS) a.v[e] = 0;
  barrier();
  int made = 0;
  bool done = false;
  if (a.columnFirst) {
    columnSums(a, sums);
    for (long e = thread(); e < a.experts; e += SINKHORN_THREADS) a.v[e] = -logOf((double)a.experts) - a.column[e];
    barrier();
  }
#pragma unroll 1
  for (; !done && made < (int)a.iterations; made++) {
    balanceRows(a);
    columnSums(a, sums);
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
