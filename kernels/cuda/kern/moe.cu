// Route, Sort, Combine and Sinkhorn.
#include "mathf.h"

// route: a warp a token, its lanes along the experts. Round c finds the best expert that
// comes after round c−1's in the order (larger logit, then lower index), so that nobody
// remembers which are taken; lane c keeps it. moe.go checks that k ≤ 32.
struct RouteArgs { Fault fault; Mat<int> experts; Mat<float> gates; Mat<const float> logits, bias; long count, k, score; };
enum { SIGMOID = 1, SOFTMAX, SOFTMAX_TOPK };
KERNEL void route(RouteArgs a) {
  if (a.fault.set()) return;
  const float *logits = a.logits.row(blockX());
  int count = (int)a.count, k = (int)a.k, chosen = NONE;
  Best last = {INF, -1};
  for (int c = 0; c < k; c++) {
    Best best = {-INF, NONE};
    for (int e = lane(); e < count; e += 32) {
      float v = logits[e] + (a.bias.p ? a.bias.p[e] : 0.0f);
      if (v < last.v || (v == last.v && e > last.i)) best.see(v, e);
    }
    best.acrossWarp();
    if (best.i == NONE) { // NaN compares to nothing
      if (lane() == 0) a.fault.report(NO_CHOICE, (int)blockX(), c);
      return;
    }
    if (lane() == c) chosen = best.i;
    last = best;
  }
  float own = chosen == NONE ? -INF : logits[chosen], gate;
  if (a.score == SIGMOID) {
    gate = sigmoid(own);
  } else {
    float top = own, sum = 0;
    if (a.score == SOFTMAX)
      for (int e = lane(); e < count; e += 32) top = __builtin_fmaxf(top, logits[e]);
    top = maxWarp(top);
    if (a.score == SOFTMAX) {
      for (int e = lane(); e < count; e += 32) sum += expOf(logits[e] - top);
    } else if (chosen != NONE) {
      sum = expOf(own - top);
    }
    gate = expOf(own - top) / sumWarp(sum);
  }
  if (chosen != NONE) {
    a.experts.row(blockX())[lane()] = chosen;
    a.gates.row(blockX())[lane()] = gate;
  }
}

// sort: one block, a counting sort. A thread owns an expert and walks all choices, which
// keeps the order of the tokens; all threads read the same choice at a time.
struct SortArgs { Fault fault; Mat<int> slots, places, offsets; Mat<const int> experts; long count, tokens, k; };
KERNEL void sort(SortArgs a) {
  if (a.fault.set()) return;
  barrier(); // all have looked before anybody reports
  int count = (int)a.count, tokens = (int)a.tokens, k = (int)a.k;
  for (int t = thread(); t < tokens; t += threads()) {
    for (int c = 0; c < k; c++) {
      int e = a.experts.row(t)[c];
      if (e < 0 || e >= count) a.fault.report(BAD_EXPERT, e, t);
    }
  }
  barrier();
  if (a.fault.set()) return; // the same for all: this is the only block
  for (int e = thread(); e < count; e += threads()) {
    int own = 0;
    for (int t = 0; t < tokens; t++)
      for (int c = 0; c < k; c++) own += a.experts.row(t)[c] == e;
    *a.offsets.row(e + 1) = own;
  }
  barrier();
  if (thread() == 0) {
    int place = 0;
    *a.offsets.row(0) = 0;
    for (int e = 1; e <= count; e++) *a.offsets.row(e) = place += *a.offsets.row(e);
  }
  barrier();
  for (int e = thread(); e < count; e += threads()) {
    int place = *a.offsets.row(e);
    for (int t = 0; t < tokens; t++)
      for (int c = 0; c < k; c++)
        if (a.experts.row(t)[c] == e) {
          *a.slots.row(place) = t * k + c;
          *a.places.row(t * k + c) = place++;
        }
  }
}

// combine: blockX is a token.
struct CombineArgs { Fault fault; Mat<float> dst; Mat<const float> src; Mat<const int> places; Mat<const float> gates; long cols, k, rows; };
KERNEL void combine(CombineArgs a) {
  if (a.fault.set()) return;
  int k = (int)a.k;
  for (int c = 0; c < k; c++) {
    int place = *a.places.row(blockX() * k + c);
    if (place < 0 || place >= a.rows) {
      if (thread() == 0) a.fault.report(BAD_PLACE, place, (int)blockX() * k + c);
      return;
    }
  }
  float *dst = a.dst.row(blockX());
  const float *gates = a.gates.row(blockX());
  for (int j = thread(); j < (int)a.cols; j += threads()) {
    float sum = 0;
    for (int c = 0; c < k; c++) sum += gates[c] * a.src.row(*a.places.row(blockX() * k + c))[j];
    dst[j] = sum;
  }
}

// sinkhorn: one block, for training only, in double. u [tokens] and v, column [experts]
// are doubles in global memory.
struct SinkhornArgs {
  Fault fault;
  Mat<float> bias;
  Mat<const float> logits;
  double *u, *v, *column;
  long tokens, experts, iterations, columnFirst;
  double temperature, tolerance;
};

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
  DEVICE double log() const { return top + logOf(sum); }
};
DEVICE void columnSums(const SinkhornArgs &a) {
  for (long e = thread(); e < a.experts; e += threads()) {
    LogSum s = {-1e300, 0};
    for (long t = 0; t < a.tokens; t++) s.see((double)a.logits.row(t)[e] / a.temperature + a.u[t]);
    a.column[e] = s.log();
  }
  barrier();
}
DEVICE void balanceColumns(const SinkhornArgs &a) {
  for (long e = thread(); e < a.experts; e += threads()) a.v[e] = -logOf((double)a.experts) - a.column[e];
  barrier();
}
KERNEL void sinkhorn(SinkhornArgs a) {
  SHARED double mean;
  SHARED int balanced;
  if (a.fault.set()) return;
  for (long t = thread(); t < a.tokens; t += threads()) a.u[t] = 0;
  for (long e = thread(); e < a.experts; e += threads()) a.v[e] = 0;
  barrier();
  if (a.columnFirst) {
    columnSums(a);
    balanceColumns(a);
  }
  for (int i = 0; i < (int)a.iterations; i++) {
    for (long t = thread(); t < a.tokens; t += threads()) {
      LogSum s = {-1e300, 0};
      for (long e = 0; e < a.experts; e++) s.see((double)a.logits.row(t)[e] / a.temperature + a.v[e]);
      a.u[t] = -logOf((double)a.tokens) - s.log();
    }
    barrier();
    columnSums(a);
    if (thread() == 0) {
      double worst = 0;
      for (long e = 0; e < a.experts; e++) {
        double off = __builtin_fabs((double)a.experts * expOf(a.v[e] + a.column[e]) - 1.0);
        worst = off > worst ? off : worst;
      }
      balanced = worst <= a.tolerance;
    }
    barrier();
    int done = balanced;
    barrier();
    if (done) break;
    balanceColumns(a);
  }
  if (thread() == 0) {
    double sum = 0;
    for (long e = 0; e < a.experts; e++) sum += a.v[e];
    mean = sum / (double)a.experts;
  }
  barrier();
  for (long e = thread(); e < a.experts; e += threads()) a.bias.p[e] = (float)((a.v[e] - mean) * a.temperature);
}
