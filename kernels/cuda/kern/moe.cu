// Route, Sort and Combine.
#include "mathf.h"

// route: a warp a token, its lanes along the experts. Round c finds the best expert that
// comes after round c−1's in the order (larger logit, then lower index), so that nobody
// remembers which are taken; lane c keeps it. moe.go checks that k ≤ 32.
struct RouteArgs { Fault fault; Mat<int> experts; Mat<float> gates; Mat<const float> logits, bias; long count, k, score; double scale; };
enum { SIGMOID = 1, SOFTMAX, SOFTMAX_TOPK };
DEVICE void routeToken(const RouteArgs &a, long token) {
  const float *logits = a.logits.row(token);
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
      if (lane() == 0) a.fault.report(NO_CHOICE, (int)token, c);
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
    a.experts.row(token)[lane()] = chosen;
    a.gates.row(token)[lane()] = gate * (float)a.scale;
  }
}
KERNEL void route(RouteArgs a) {
  if (!a.fault.set()) routeToken(a, blockX());
}

// sort: one block, a counting sort. A thread owns a run of the choices: it counts those of each
// expert, then experts add up over the threads, then the thread gives its choices their places.
// More experts than there are counts for are taken in turns.
struct SortArgs { Fault fault; Mat<int> slots, places, offsets; Mat<const int> experts; long count, tokens, k; };
enum { SORT_THREADS = 256, SORT_EXPERTS = 32 };
KERNEL void sort(SortArgs a) {
  SHARED int counts[SORT_EXPERTS][SORT_THREADS + 1];
  SHARED int total;
  if (a.fault.set()) return;
  barrier(); // all have looked before anybody reports
  int count = (int)a.count, n = (int)(a.tokens * a.k), k = (int)a.k;
  int each = (n + SORT_THREADS - 1) / SORT_THREADS, from = thread() * each, to = from + each < n ? from + each : n;
  for (int i = from; i < to; i++) {
    int e = a.experts.row(i / k)[i % k];
    if (e < 0 || e >= count) a.fault.report(BAD_EXPERT, e, i / k);
  }
  if (thread() == 0) total = 0;
  barrier();
  if (a.fault.seen()) return; // the same for all: this is the only block
  for (int first = 0; first < count; first += SORT_EXPERTS) {
#pragma unroll 4
    for (int e = 0; e < SORT_EXPERTS; e++) counts[e][thread()] = 0;
    for (int i = from; i < to; i++) {
      int e = a.experts.row(i / k)[i % k] - first;
      if (e >= 0 && e < SORT_EXPERTS) counts[e][thread()]++;
    }
    barrier();
    int own = thread(), sum = 0;
    if (own < SORT_EXPERTS) {
      for (int t = 0; t < SORT_THREADS; t++) {
        int c = counts[own][t];
        counts[own][t] = sum;
        sum += c;
      }
    }
    if (warp() == 0) { // where the experts of this turn begin
      int begin = sum;
#pragma unroll
      for (int m = 1; m < SORT_EXPERTS; m <<= 1) {
        int lower = fromLane(begin, lane() >= m ? lane() - m : lane());
        if (lane() >= m) begin += lower;
      }
      int end = total + begin;
      begin = end - sum;
      counts[own][SORT_THREADS] = begin;
      if (first + own < count) {
        *a.offsets.row(first + own + 1) = end;
        if (first + own == 0) *a.offsets.row(0) = 0;
      }
      __nvvm_bar_warp_sync(0xffffffffu); // all have read total
      if (own == SORT_EXPERTS - 1) total = end;
    }
    barrier();
    for (int i = from; i < to; i++) {
      int e = a.experts.row(i / k)[i % k] - first;
      if (e < 0 || e >= SORT_EXPERTS) continue;
      int place = counts[e][SORT_THREADS] + counts[e][thread()]++;
      *a.slots.row(place) = i;
      *a.places.row(i) = place;
    }
    barrier();
  }
}

// router is a router's whole work for a few tokens, in one block: the norm of its input, its
// logits, the choice and the sorted list. The norm is left out where there is no gain.
struct RouterArgs {
  Fault fault;
  Mat<float> h, x;
  Mat<const float> gain;
  double eps;
  Mat<float> logits;
  Mat<const float> w, bias;
  long tokens, in, experts, k, score, early;
  Mat<int> chosen;
  Mat<float> gates;
  Mat<int> slots, places, offsets;
};
enum { ROUTER_AHEAD = 10 };
KERNEL __attribute__((launch_bounds(256, 1))) void router(RouterArgs a) {
  SHARED float part[33];
  int in = (int)a.in, warps = threads() / 32, tokens = (int)a.tokens, experts = (int)a.experts;
  f32x4 ahead[ROUTER_AHEAD]; // of the weights of the expert that is the warp's first
  const float *own = a.w.row(warp() < experts ? warp() : 0);
  if (a.early) {
#pragma unroll
    for (int i = 0; i < ROUTER_AHEAD; i++)
      if (4 * (32 * i + lane()) < in) ahead[i] = *(const f32x4 *)(own + 4 * (32 * i + lane()));
  }
  if (a.fault.set()) return;
  if (!a.early) {
#pragma unroll
    for (int i = 0; i < ROUTER_AHEAD; i++)
      if (4 * (32 * i + lane()) < in) ahead[i] = *(const f32x4 *)(own + 4 * (32 * i + lane()));
  }
  if (a.gain.p) {
    for (int t = 0; t < tokens; t++) {
      const float *x = a.x.row(t);
      float square = 0;
#pragma unroll 4
      for (int j = 4 * thread(); j < in; j += 4 * threads()) {
        f32x4 v = *(const f32x4 *)(x + j);
        square += v[0] * v[0] + v[1] * v[1] + v[2] * v[2] + v[3] * v[3];
      }
      float r = 1.0f / __builtin_sqrtf(sumBlock(square, part) / in + (float)a.eps);
      for (int j = 4 * thread(); j < in; j += 4 * threads()) *(f32x4 *)(a.h.row(t) + j) = *(const f32x4 *)(a.gain.p + j) * (*(const f32x4 *)(x + j) * r);
    }
  }
  barrier();
  for (int e = warp(); e < experts; e += warps) {
    for (int t = 0; t < tokens; t++) {
      const float *h = a.h.row(t), *w = a.w.row(e);
      float sum = 0;
#pragma unroll
      for (int i = 0; i < ROUTER_AHEAD; i++) {
        int k = 4 * (32 * i + lane());
        if (k < in) {
          f32x4 u = *(const f32x4 *)(h + k), v = e == warp() ? ahead[i] : *(const f32x4 *)(w + k);
          sum += u[0] * v[0] + u[1] * v[1] + u[2] * v[2] + u[3] * v[3];
        }
      }
      for (int k = 4 * (32 * ROUTER_AHEAD + lane()); k < in; k += 128) {
        f32x4 u = *(const f32x4 *)(h + k), v = *(const f32x4 *)(w + k);
        sum += u[0] * v[0] + u[1] * v[1] + u[2] * v[2] + u[3] * v[3];
      }
      sum = sumWarp(sum);
      if (lane() == 0) a.logits.row(t)[e] = a.bias.p ? sum + a.bias.p[e] : sum;
    }
  }
  barrier();
  RouteArgs choose = {a.fault, a.chosen, a.gates, {a.logits.p, a.logits.stride}, {nullptr, 0}, a.experts, a.k, a.score, 1.0};
  for (int t = warp(); t < tokens; t += warps) routeToken(choose, t);
  barrier();
  if (a.fault.seen() || warp() != 0) return;
  // A lane is a choice, of which there are few, and an expert.
  int k = (int)a.k, n = tokens * k, i = lane(), chosen = NONE, before = 0, below = 0;
  if (i < n) chosen = a.chosen.row(i / k)[i % k];
  for (int j = 0; j < n; j++) {
    int other = fromLane(chosen, j);
    before += other < chosen || (other == chosen && j < i);
    below += other < i;
  }
  if (i < n) {
    *a.slots.row(before) = i;
    *a.places.row(i) = before;
  }
  if (i < experts) *a.offsets.row(i) = below;
  if (i == 0) *a.offsets.row(experts) = n;
}

// combine: blockX is a token. The result is added to sum too, where there is one.
struct CombineArgs { Fault fault; Mat<float> dst; Mat<const float> src; Mat<const int> places; Mat<const float> gates; long cols, k, rows; Mat<float> sum; };
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
  float *dst = a.dst.row(blockX()), *total = a.sum.p ? a.sum.row(blockX()) : nullptr;
  const float *gates = a.gates.p ? a.gates.row(blockX()) : nullptr;
  for (int j = thread(); j < (int)a.cols; j += threads()) {
    float sum = 0;
    for (int c = 0; c < k; c++) sum += (gates ? gates[c] : 1.0f) * a.src.row(*a.places.row(blockX() * k + c))[j];
    dst[j] = sum;
    if (total) total[j] += sum;
  }
}
