// The gradients of Route and Combine.
#include "act.h"

// route_grad: a warp a token, its lanes along the experts.
struct RouteGradArgs { Fault fault; Mat<float> dLogits; Mat<const float> g; Mat<const int> experts; Mat<const float> gates, logits; long count, k, score; };
enum { SIGMOID = 1, SOFTMAX, SOFTMAX_TOPK };
KERNEL void route_grad(RouteGradArgs a) {
  if (a.fault.set()) return;
  long token = blockX();
  int count = (int)a.count, k = (int)a.k;
  const float *logits = a.logits.row(token), *g = a.g.row(token), *gates = a.gates.row(token);
  const int *experts = a.experts.row(token);
  float top = -INF, total = 0, flow = 0;
  for (int c = 0; c < k; c++) {
    int e = experts[c];
    if (e < 0 || e >= count) {
      if (lane() == 0) a.fault.report(BAD_EXPERT, e, (int)token);
      return;
    }
    flow += g[c] * gates[c];
    if (a.score == SOFTMAX_TOPK) top = __builtin_fmaxf(top, logits[e]);
  }
  if (a.score == SOFTMAX) {
    for (int e = lane(); e < count; e += 32) top = __builtin_fmaxf(top, logits[e]);
    top = maxWarp(top);
    for (int e = lane(); e < count; e += 32) total += expOf(logits[e] - top);
    total = sumWarp(total);
  } else if (a.score == SOFTMAX_TOPK) {
    for (int c = 0; c < k; c++) total += expOf(logits[experts[c]] - top);
  }
  for (int e = lane(); e < count; e += 32) {
    float own = 0;
    bool chosen = false;
    for (int c = 0; c < k; c++)
      if (experts[c] == e) {
        own += g[c] * gates[c];
        chosen = true;
      }
    if (a.score == SIGMOID)
      own *= sigmoid(-logits[e]);
    else if (a.score == SOFTMAX || chosen)
      own -= flow * (expOf(logits[e] - top) / total);
    a.dLogits.row(token)[e] = own;
  }
}

// combine_grad: a block a token.
struct CombineGradArgs { Fault fault; Mat<float> dSrc, dGates; Mat<const float> g, src; Mat<const int> places; Mat<const float> gates; long cols, k, rows; };
KERNEL void combine_grad(CombineGradArgs a) {
  SHARED float part[33];
  if (a.fault.set()) return;
  int k = (int)a.k;
  const float *g = a.g.row(blockX());
  for (int c = 0; c < k; c++) {
    int place = *a.places.row(blockX() * k + c);
    if (place < 0 || place >= a.rows) {
      if (thread() == 0) a.fault.report(BAD_PLACE, place, (int)blockX() * k + c);
      return;
    }
    float gate = a.gates.p ? a.gates.row(blockX())[c] : 1.0f, sum = 0;
    float *dSrc = a.dSrc.row(place);
    for (int j = thread(); j < (int)a.cols; j += threads()) {
      dSrc[j] = gate * g[j];
      if (a.gates.p) sum += g[j] * a.src.row(place)[j];
    }
    if (!a.gates.p) continue;
    sum = sumBlock(sum, part);
    if (thread() == 0) a.dGates.row(blockX())[c] = sum;
  }
}
