// ExpertChoice, by which experts choose their tokens, ScatterAdd, which brings what they computed
// back to the tokens, and the gradients of both.
#include "mathf.h"

// A Softmax is what makes p of a row of logits: the largest, and the sum of exp of what the others
// have less. Every lane of a warp has it.
struct Softmax { float top, total; };
DEVICE Softmax softmaxOf(const float *logits, int count) {
  float top = -INF, total = 0;
  for (int e = lane(); e < count; e += 32) top = __builtin_fmaxf(top, logits[e]);
  top = maxWarp(top);
  for (int e = lane(); e < count; e += 32) total += expOf(logits[e] - top);
  return {top, sumWarp(total)};
}

// orderOf maps floats to integers in the same order. Both zeros are one, and a NaN is the least.
DEVICE u32 orderOf(float x) {
  if (x != x) return 0;
  u32 bits = __builtin_bit_cast(u32, x + 0.0f);
  return bits >> 31 ? ~bits : bits | 1u << 31;
}

// choice_keys: a warp a token. It leaves the order of log p for every expert, by experts, and the
// token's softmax.
struct KeysArgs { Fault fault; Mat<const float> logits; u32 *keys; Mat<float> softmax; long tokens, count; };
KERNEL void choice_keys(KeysArgs a) {
  if (a.fault.set()) return;
  long t = blockX() * (threads() / 32) + warp();
  if (t >= a.tokens) return;
  int count = (int)a.count;
  const float *logits = a.logits.row(t);
  Softmax s = softmaxOf(logits, count);
  float log = (float)logOf((double)s.total);
  for (int e = lane(); e < count; e += 32) a.keys[e * a.tokens + t] = orderOf(logits[e] - s.top - log);
  if (lane() == 0) {
    a.softmax.row(t)[0] = s.top;
    a.softmax.row(t)[1] = s.total;
  }
}

// beforeInBlock is the sum of v over the threads before this one; all threads of the block call it,
// with the same 32 integers of shared memory.
DEVICE int beforeInBlock(int v, int *part) {
  int sum = v;
#pragma unroll
  for (int m = 1; m < 32; m <<= 1) {
    int lower = fromLane(sum, lane() >= m ? lane() - m : lane());
    if (lane() >= m) sum += lower;
  }
  barrier(); // those of an earlier sum may still be read
  if (lane() == 31) part[warp()] = sum;
  barrier();
  sum -= v;
  for (int w = 0; w < warp(); w++) sum += part[w];
  return sum;
}

// choice_take: a block an expert. The least key that enough tokens reach is found bit by bit; then
// each thread owns a run of the tokens, and takes those above that key, and of those at it as many
// as are wanted, the first of all. Counts of tokens are exact as floats, as there are fewer than 2^24.
struct TakeArgs {
  Fault fault;
  Mat<int> slots, offsets;
  Mat<float> gates;
  Mat<const float> logits;
  const u32 *keys;
  Mat<const float> softmax;
  long tokens, count, k;
  double scale;
};
KERNEL void choice_take(TakeArgs a) {
  SHARED float part[33];
  SHARED int sums[32];
  if (a.fault.set()) return;
  long e = blockX();
  int tokens = (int)a.tokens, k = (int)a.k;
  int first = (int)(e * tokens * k / a.count), last = (int)((e + 1) * tokens * k / a.count), wanted = last - first;
  const u32 *keys = a.keys + e * tokens;
  u32 least = 0;
  for (u32 bit = 1u << 31; bit; bit >>= 1) {
    int reach = 0;
    for (int t = thread(); t < tokens; t += threads()) reach += keys[t] >= (least | bit);
    if ((int)sumBlock((float)reach, part) >= wanted) least |= bit;
  }
  int each = (tokens + threads() - 1) / threads(), from = thread() * each, to = from + each < tokens ? from + each : tokens;
  int over = 0, equal = 0;
  for (int t = from; t < to; t++) {
    over += keys[t] > least;
    equal += keys[t] == least;
  }
  int ties = wanted - (int)sumBlock((float)over, part);
  over = beforeInBlock(over, sums);
  equal = beforeInBlock(equal, sums);
  for (int t = from; t < to; t++) {
    u32 key = keys[t];
    if (key > least || (key == least && equal < ties)) {
      int place = first + over + (equal < ties ? equal : ties);
      const float *s = a.softmax.row(t);
      *a.slots.row(place) = t * k;
      *a.gates.row(place) = (float)a.scale * (expOf(a.logits.row(t)[e] - s[0]) / s[1]);
    }
    over += key > least;
    equal += key == least;
  }
  if (thread() == 0) {
    *a.offsets.row(e) = first;
    if (e + 1 == a.count) *a.offsets.row(a.count) = last;
  }
}

// Places are where experts' tokens are: those of expert e from offsets[e] on, in the tokens' order.
struct Places {
  Mat<const int> slots, offsets;
  long k;
  DEVICE int token(int place) const { return *slots.row(place) / (int)k; }
  // of is the place of token t with expert e, or −1.
  DEVICE int of(long e, int t) const {
    int low = *offsets.row(e), end = *offsets.row(e + 1), high = end;
    while (low < high) {
      int middle = (low + high) / 2;
      if (token(middle) < t) low = middle + 1;
      else high = middle;
    }
    return low < end && token(low) == t ? low : -1;
  }
};

// taken_check: a block an expert. Kernels after it need not look whether places are in order.
struct CheckArgs { Fault fault; Places at; long places, tokens; };
KERNEL void taken_check(CheckArgs a) {
  if (a.fault.set()) return;
  int e = (int)blockX(), first = *a.at.offsets.row(e), last = *a.at.offsets.row(e + 1);
  if (first < 0 || last < first || last > a.places) {
    if (thread() == 0) a.fault.report(BAD_OFFSET, e, last);
    return;
  }
  for (int j = first + thread(); j < last; j += threads()) {
    int slot = *a.at.slots.row(j);
    if (slot < 0 || slot >= a.tokens * a.at.k)
      a.fault.report(BAD_SLOT, slot, j);
    else if (j > first && a.at.token(j - 1) >= a.at.token(j))
      a.fault.report(BAD_ORDER, j, e);
  }
}

// choice_grad: a warp a token, its lanes along the experts.
struct ChoiceGradArgs { Fault fault; Mat<float> dLogits; Mat<const float> g, gates; Places at; Mat<const float> logits; long tokens, count; };
KERNEL void choice_grad(ChoiceGradArgs a) {
  if (a.fault.set()) return;
  long t = blockX() * (threads() / 32) + warp();
  if (t >= a.tokens) return;
  int count = (int)a.count;
  const float *logits = a.logits.row(t);
  float *d = a.dLogits.row(t), flow = 0;
  for (int e = lane(); e < count; e += 32) {
    int place = a.at.of(e, (int)t);
    d[e] = place < 0 ? 0.0f : *a.g.row(place) * *a.gates.row(place);
    flow += d[e];
  }
  flow = sumWarp(flow);
  Softmax s = softmaxOf(logits, count);
  for (int e = lane(); e < count; e += 32) d[e] -= flow * (expOf(logits[e] - s.top) / s.total);
}

// scatter_add: a block a token, which looks for it at as many experts at a time as it has threads.
struct ScatterArgs { Fault fault; Mat<float> dst; Mat<const float> src, gates; Places at; long cols, count; };
enum { SCATTER_THREADS = 256 };
KERNEL void scatter_add(ScatterArgs a) {
  SHARED int places[SCATTER_THREADS];
  if (a.fault.set()) return;
  float *dst = a.dst.row(blockX());
  for (int first = 0; first < (int)a.count; first += threads()) {
    int left = (int)a.count - first, n = left < threads() ? left : threads();
    barrier(); // those of the experts before are still read
    if (thread() < n) places[thread()] = a.at.of(first + thread(), (int)blockX());
    barrier();
    for (int j = thread(); j < (int)a.cols; j += threads()) {
      float sum = first ? dst[j] : 0.0f;
      for (int i = 0; i < n; i++) {
        int place = places[i];
        if (place >= 0) sum += (a.gates.p ? *a.gates.row(place) : 1.0f) * a.src.row(place)[j];
      }
      dst[j] = sum;
    }
  }
}

// scatter_add_grad: a block a place.
struct ScatterGradArgs { Fault fault; Mat<float> dSrc, dGates; Mat<const float> g, src, gates; Mat<const int> slots; long cols, tokens, k; };
KERNEL void scatter_add_grad(ScatterGradArgs a) {
  SHARED float part[33];
  if (a.fault.set()) return;
  int slot = *a.slots.row(blockX());
  if (slot < 0 || slot >= a.tokens * a.k) {
    if (thread() == 0) a.fault.report(BAD_SLOT, slot, (int)blockX());
    return;
  }
  const float *g = a.g.row(slot / (int)a.k), *src = a.src.row(blockX());
  float gate = *a.gates.row(blockX()), sum = 0;
  for (int j = thread(); j < (int)a.cols; j += threads()) {
    a.dSrc.row(blockX())[j] = gate * g[j];
    sum += g[j] * src[j];
  }
  sum = sumBlock(sum, part);
  if (thread() == 0) *a.dGates.row(blockX()) = sum;
}
