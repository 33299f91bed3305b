// Scan as training wants it, which keeps its state every CHUNK tokens, and its gradient. Both go
// through the chunks of a sequence side by side, in three steps: each chunk by itself, as if
// nothing came before it (or, backward, after it); what goes from chunk to chunk; each chunk with
// that.
//
// A channel is TEAM threads, each with 4 states; of TEAM tokens at a time each thread does for one
// what does not depend on the state. More than TEAM·4 states are several groups of blocks.
#include "mathf.h"

enum { CHUNK = 64, TEAM = 4, GROUP = 16, STEP_TOKENS = 4, STEPS = CHUNK / STEP_TOKENS, BACK_THREADS = 128, BACK_WARPS = BACK_THREADS / 32 };

struct KeepArgs {
  Fault fault;
  Mat<float> dst;
  Mat<const float> x, dt, a, b, c, d, z, bias;
  Mat<float> state, starts;
  float *ends, *sums; // by chunk and channel: the state that it ends in, beginning with zeros; Σδ
  float *y;           // [groups, tokens, dim], where there are several
  long dim, states, n, chunks;
};

// fadeOf is 2^x for x ≤ 0, and 0 where that is next to nothing: what is left of a state is multiplied
// by the gradients of other tokens, which may be large.
DEVICE float fadeOf(float x) {
  float y = exp2Down(x);
  return x < -125.0f ? 0.0f : y; // a NaN stays one
}

// Where is what a thread works on: blockX a chunk of a sequence, blockY a range of channels,
// blockZ a group of states.
struct Where {
  int d, q, state, from, to; // channel, place in the team, first state, tokens
  long first, chunk;         // row of the sequence's first token, row of the chunk's first channel
  bool mine;
  DEVICE void begin(long dim, long n, long chunks) {
    d = ((int)blockY() * threads() + thread()) / TEAM;
    q = thread() % TEAM;
    state = (int)blockZ() * GROUP + 4 * q;
    mine = d < dim;
    if (!mine) d = 0; // it works on another's, and stores nothing
    from = (int)(blockX() % chunks) * CHUNK;
    to = from + CHUNK < (int)n ? from + CHUNK : (int)n;
    first = blockX() / chunks * n;
    chunk = blockX() * dim;
  }
};
// Four is 4 states, those beyond the last 0.
struct Four {
  float v[4];
  DEVICE void load(const float *row, int state, int states) {
#pragma unroll
    for (int k = 0; k < 4; k++) v[k] = state + k < states ? row[state + k] : 0.0f;
  }
  DEVICE void store(float *row, int state, int states) const {
#pragma unroll
    for (int k = 0; k < 4; k++)
      if (state + k < states) row[state + k] = v[k];
  }
};
DEVICE float sumTeam(float v) {
  v += swap(v, 1);
  return v + swap(v, 2);
}

// scan_keep_ends: each chunk from zeros.
template <bool outputs> DEVICE void scanKeep(const KeepArgs &s) {
  if (s.fault.set()) return;
  Where w;
  w.begin(s.dim, s.n, s.chunks);
  int states = (int)s.states, leader = lane() & ~(TEAM - 1);
  Four h, rate;
  rate.load(s.a.row(w.d), w.state, states);
#pragma unroll
  for (int k = 0; k < 4; k++) {
    rate.v[k] *= 1.44269504f; // for powers of 2
    h.v[k] = 0;
  }
  if (outputs) h.load(s.starts.row(w.chunk + w.d), w.state, states);
  float bias = s.bias.p ? s.bias.p[w.d] : 0.0f, skip = s.d.p ? s.d.p[w.d] : 0.0f, total = 0;
#pragma unroll 1
  for (int t = w.from; t < w.to; t += TEAM) {
    bool real = t + w.q < w.to;
    long own = w.first + (real ? t + w.q : t);
    float x = s.x.row(own)[w.d], delta = real ? softplus(s.dt.row(own)[w.d] + bias) : 0.0f, input = delta * x, y = 0;
    total += delta;
#pragma unroll
    for (int i = 0; i < TEAM; i++) {
      float step = fromLane(delta, leader + i), in = fromLane(input, leader + i), part = 0;
      long row = w.first + (t + i < w.to ? t + i : t);
      Four b, c;
      b.load(s.b.row(row), w.state, states);
      if (outputs) c.load(s.c.row(row), w.state, states);
#pragma unroll
      for (int k = 0; k < 4; k++) {
        h.v[k] = fadeOf(step * rate.v[k]) * h.v[k] + in * b.v[k];
        if (outputs) part += h.v[k] * c.v[k];
      }
      if (outputs) {
        part = sumTeam(part);
        if (w.q == i) y = part;
      }
    }
    if (!outputs || !w.mine || !real) continue;
    if (s.y) {
      s.y[(blockZ() * (blocksX() / s.chunks) * s.n + own) * s.dim + w.d] = y;
      continue;
    }
    y += skip * x;
    s.dst.row(own)[w.d] = s.z.p ? y * silu(s.z.row(own)[w.d]) : y;
  }
  if (outputs) return;
  total = sumTeam(total);
  if (!w.mine) return;
  h.store(s.ends + (w.chunk + w.d) * states, w.state, states);
  if (w.q == 0 && blockZ() == 0) s.sums[w.chunk + w.d] = total;
}
KERNEL void scan_keep_ends(KeepArgs s) { scanKeep<false>(s); }
KERNEL void scan_keep(KeepArgs s) { scanKeep<true>(s); }

// scan_keep_starts: a thread a state of a channel, blockX a sequence.
KERNEL void scan_keep_starts(KeepArgs s) {
  if (s.fault.set()) return;
  long i = blockY() * threads() + thread(), dim = s.dim;
  if (i >= dim * s.states) return;
  int d = (int)(i / s.states), k = (int)(i % s.states);
  float rate = s.a.row(d)[k] * 1.44269504f, *state = s.state.row(blockX() * dim + d) + k, h = *state;
  for (long c = blockX() * s.chunks; c < (blockX() + 1) * s.chunks; c++) {
    s.starts.row(c * dim + d)[k] = h;
    h = fadeOf(s.sums[c * dim + d] * rate) * h + s.ends[(c * dim + d) * s.states + k];
  }
  *state = h;
}

// scan_keep_join adds up the groups of states: blockX a row, blockY a range of channels.
struct JoinYArgs { KeepArgs s; long groups; };
KERNEL void scan_keep_join(JoinYArgs a) {
  const KeepArgs &s = a.s;
  if (s.fault.set()) return;
  int d = (int)blockY() * threads() + thread();
  long row = blockX();
  if (d >= s.dim) return;
  float y = s.d.p ? s.d.p[d] * s.x.row(row)[d] : 0.0f;
  for (long g = 0; g < a.groups; g++) y += s.y[(g * blocksX() + row) * s.dim + d];
  s.dst.row(row)[d] = s.z.p ? y * silu(s.z.row(row)[d]) : y;
}

struct BackArgs {
  Fault fault;
  Mat<float> dx, dDt, dz;
  Mat<const float> g, x, dt, a, b, c, d, z, bias, starts;
  float *carries, *sums; // by chunk and channel: what goes to the chunk before; Σδ
  float *dA;             // [chunks, dim, states] of all sequences
  float *dB, *dC;        // [blocks of channels, tokens, states]
  float *dD, *dBias;     // [chunks, dim]
  float *sumsOf;         // y, Σ g·B and Σ e·A: [3, groups, tokens, dim], where there are several groups
  long dim, states, n, chunks;
};

// A Token is what the gradient needs of the token that is a thread's.
struct Token {
  float x, raw, delta, g, gate, z; // dy is g·gate
  long row;
  bool real;
  DEVICE void load(const BackArgs &s, const Where &w, int t, float bias) {
    real = t < w.to;
    row = w.first + (real ? t : w.from);
    x = s.x.row(row)[w.d];
    raw = s.dt.row(row)[w.d] + bias;
    delta = real ? softplus(raw) : 0.0f;
    g = real ? s.g.row(row)[w.d] : 0.0f;
    z = s.z.p ? s.z.row(row)[w.d] : 0.0f;
    gate = s.z.p ? silu(z) : 1.0f;
  }
  // finish sets the gradients of the token's own operands.
  DEVICE void finish(const BackArgs &s, int d, float y, float gb, float ea, float skip, float *dD, float *dBias) const {
    float dy = g * gate, dDt = (ea + x * gb) * sigmoid(raw);
    if (s.z.p) s.dz.row(row)[d] = g * (y + skip * x) * (sigmoid(z) * (1.0f + z * sigmoid(-z)));
    s.dx.row(row)[d] = delta * gb + skip * dy;
    s.dDt.row(row)[d] = dDt;
    *dD += dy * x;
    *dBias += dDt;
  }
};

// scan_back_ends: each chunk backward, as if nothing came after it.
KERNEL void scan_back_ends(BackArgs s) {
  if (s.fault.set()) return;
  Where w;
  w.begin(s.dim, s.n, s.chunks);
  int states = (int)s.states, leader = lane() & ~(TEAM - 1);
  Four carry = {0}, rate;
  rate.load(s.a.row(w.d), w.state, states);
#pragma unroll
  for (int k = 0; k < 4; k++) rate.v[k] *= 1.44269504f;
  float bias = s.bias.p ? s.bias.p[w.d] : 0.0f, total = 0;
#pragma unroll 1
  for (int t = w.from + (w.to - w.from - 1) / TEAM * TEAM; t >= w.from; t -= TEAM) {
    Token own;
    own.load(s, w, t + w.q, bias);
    float dy = own.g * own.gate;
    total += own.delta;
#pragma unroll
    for (int i = TEAM - 1; i >= 0; i--) {
      float step = fromLane(own.delta, leader + i), up = fromLane(dy, leader + i);
      Four c;
      c.load(s.c.row(w.first + (t + i < w.to ? t + i : t)), w.state, states);
#pragma unroll
      for (int k = 0; k < 4; k++) carry.v[k] = fadeOf(step * rate.v[k]) * (up * c.v[k] + carry.v[k]);
    }
  }
  total = sumTeam(total);
  if (!w.mine) return;
  carry.store(s.carries + (w.chunk + w.d) * states, w.state, states);
  if (w.q == 0 && blockZ() == 0) s.sums[w.chunk + w.d] = total;
}

// scan_back_carries: a thread a state of a channel, blockX a sequence. In the place of what a chunk
// gives to the one before comes what it gets from the one after.
KERNEL void scan_back_carries(BackArgs s) {
  if (s.fault.set()) return;
  long i = blockY() * threads() + thread(), dim = s.dim;
  if (i >= dim * s.states) return;
  int d = (int)(i / s.states), k = (int)(i % s.states);
  float rate = s.a.row(d)[k] * 1.44269504f, from = 0;
  for (long c = (blockX() + 1) * s.chunks - 1; c >= blockX() * s.chunks; c--) {
    float *place = s.carries + (c * dim + d) * s.states + k, own = *place;
    *place = from;
    from = own + fadeOf(s.sums[c * dim + d] * rate) * from;
  }
}

// Spread adds up 8 numbers over the 8 channels of a warp, so that every thread has the sum of one:
// of number lane/16%2·4 + lane/8%2·2 + lane/4%2.
template <int HALF> DEVICE void spreadHalf(float *v) {
  bool upper = lane() & 4 * HALF;
#pragma unroll
  for (int i = 0; i < HALF; i++) {
    float low = v[i], high = v[i + HALF], other = swap(upper ? low : high, 4 * HALF);
    v[i] = (upper ? high : low) + other;
  }
}
DEVICE float spread(float *v) {
  spreadHalf<4>(v);
  spreadHalf<2>(v);
  spreadHalf<1>(v);
  return v[0];
}

// scan_back: each chunk with what comes from the one after. States are computed forward from the
// chunk's first and kept every STEP_TOKENS tokens; of those few they are then all in registers.
KERNEL __attribute__((launch_bounds(BACK_THREADS, 4))) void scan_back(BackArgs s) {
  SHARED float kept[STEPS][4][BACK_THREADS];
  SHARED float sums[BACK_WARPS][STEP_TOKENS][32];
  if (s.fault.set()) return;
  Where w;
  w.begin(s.dim, s.n, s.chunks);
  int states = (int)s.states, leader = lane() & ~(TEAM - 1), tokens = w.to - w.from;
  long rows = blocksX() / s.chunks * s.n;
  Four h, decay, carry, dA = {0};
  decay.load(s.a.row(w.d), w.state, states);
  h.load(s.starts.row(w.chunk + w.d), w.state, states);
  carry.load(s.carries + (w.chunk + w.d) * states, w.state, states);
  float bias = s.bias.p ? s.bias.p[w.d] : 0.0f, skip = s.d.p ? s.d.p[w.d] : 0.0f, dD = 0, dBias = 0;
  int last = (tokens - 1) / STEP_TOKENS;
#pragma unroll 1
  for (int t = 0; t <= last; t++) {
#pragma unroll
    for (int k = 0; k < 4; k++) kept[t][k][thread()] = h.v[k];
    if (t == last) break;
#pragma unroll
    for (int half = 0; half < STEP_TOKENS / TEAM; half++) {
      int base = w.from + t * STEP_TOKENS + half * TEAM; // all of a full step are there
      long own = w.first + base + w.q;
      float delta = softplus(s.dt.row(own)[w.d] + bias), input = delta * s.x.row(own)[w.d];
#pragma unroll
      for (int i = 0; i < TEAM; i++) {
        float step = fromLane(delta, leader + i) * 1.44269504f, in = fromLane(input, leader + i); // for powers of 2
        Four b;
        b.load(s.b.row(w.first + base + i), w.state, states);
#pragma unroll
        for (int k = 0; k < 4; k++) h.v[k] = fadeOf(step * decay.v[k]) * h.v[k] + in * b.v[k];
      }
    }
  }
#pragma unroll 1
  for (int t = last; t >= 0; t--) {
    int base = w.from + t * STEP_TOKENS;
    Token own[STEP_TOKENS / TEAM];
    float before[STEP_TOKENS][4], fade[STEP_TOKENS][4], y[STEP_TOKENS / TEAM], gb[STEP_TOKENS / TEAM], ea[STEP_TOKENS / TEAM];
#pragma unroll
    for (int half = 0; half < STEP_TOKENS / TEAM; half++) own[half].load(s, w, base + half * TEAM + w.q, bias);
#pragma unroll
    for (int k = 0; k < 4; k++) h.v[k] = kept[t][k][thread()];
#pragma unroll
    for (int i = 0; i < STEP_TOKENS; i++) {
      float step = fromLane(own[i / TEAM].delta, leader + i % TEAM) * 1.44269504f, in = fromLane(own[i / TEAM].delta * own[i / TEAM].x, leader + i % TEAM);
      Four b;
      b.load(s.b.row(w.first + (base + i < w.to ? base + i : base)), w.state, states);
#pragma unroll
      for (int k = 0; k < 4; k++) {
        before[i][k] = h.v[k];
        fade[i][k] = fadeOf(step * decay.v[k]);
        h.v[k] = fade[i][k] * h.v[k] + in * b.v[k];
      }
    }
#pragma unroll
    for (int i = STEP_TOKENS - 1; i >= 0; i--) {
      const Token &o = own[i / TEAM];
      float step = fromLane(o.delta, leader + i % TEAM), in = fromLane(o.delta * o.x, leader + i % TEAM);
      float dy = fromLane(o.g * o.gate, leader + i % TEAM), sumY = 0, sumGB = 0, sumEA = 0, out[8];
      long row = w.first + (base + i < w.to ? base + i : base);
      Four b, c;
      b.load(s.b.row(row), w.state, states);
      c.load(s.c.row(row), w.state, states);
#pragma unroll
      for (int k = 0; k < 4; k++) {
        float after = fade[i][k] * before[i][k] + in * b.v[k], g = dy * c.v[k] + carry.v[k], e = g * fade[i][k] * before[i][k];
        sumY += after * c.v[k];
        sumGB += g * b.v[k];
        sumEA += e * decay.v[k];
        dA.v[k] += e * step;
        carry.v[k] = fade[i][k] * g;
        out[k] = w.mine ? g * in : 0.0f;
        out[4 + k] = w.mine ? dy * after : 0.0f;
      }
      sumY = sumTeam(sumY);
      sumGB = sumTeam(sumGB);
      sumEA = sumTeam(sumEA);
      if (w.q == i % TEAM) {
        y[i / TEAM] = sumY;
        gb[i / TEAM] = sumGB;
        ea[i / TEAM] = sumEA;
      }
      sums[warp()][i][lane()] = spread(out);
    }
    barrier();
    for (int i = thread(); i < STEP_TOKENS * 32; i += BACK_THREADS) {
      int token = i / 32, l = i % 32, number = l / 16 % 2 * 4 + l / 8 % 2 * 2 + l / 4 % 2;
      int state = (int)blockZ() * GROUP + 4 * (l % TEAM) + number % 4;
      if (base + token >= w.to || state >= states) continue;
      float sum = 0;
#pragma unroll
      for (int v = 0; v < BACK_WARPS; v++) sum += sums[v][token][l];
      (number < 4 ? s.dB : s.dC)[(blockY() * rows + w.first + base + token) * states + state] = sum;
    }
    barrier();
#pragma unroll
    for (int half = 0; half < STEP_TOKENS / TEAM; half++) {
      if (!w.mine || !own[half].real) continue;
      if (!s.sumsOf) {
        own[half].finish(s, w.d, y[half], gb[half], ea[half], skip, &dD, &dBias);
        continue;
      }
      float *to = s.sumsOf + (blockZ() * rows + own[half].row) * s.dim + w.d;
      long next = blocksZ() * rows * s.dim;
      to[0] = y[half];
      to[next] = gb[half];
      to[2 * next] = ea[half];
    }
  }
  dD = sumTeam(dD);
  dBias = sumTeam(dBias);
  if (!w.mine) return;
  dA.store(s.dA + (w.chunk + w.d) * states, w.state, states);
  if (w.q != 0 || s.sumsOf) return;
  s.dD[w.chunk + w.d] = dD;
  s.dBias[w.chunk + w.d] = dBias;
}

// scan_back_join is what remains where states are in several groups: blockX a chunk of a sequence,
// blockY a range of channels.
struct BackJoinArgs { BackArgs s; long groups; };
KERNEL void scan_back_join(BackJoinArgs a) {
  const BackArgs &s = a.s;
  if (s.fault.set()) return;
  Where w;
  w.begin(s.dim, s.n, s.chunks);
  w.d = (int)blockY() * threads() + thread();
  if (w.d >= s.dim) return;
  long rows = blocksX() / s.chunks * s.n, next = a.groups * rows * s.dim;
  float bias = s.bias.p ? s.bias.p[w.d] : 0.0f, skip = s.d.p ? s.d.p[w.d] : 0.0f, dD = 0, dBias = 0;
  for (int t = w.from; t < w.to; t++) {
    Token own;
    own.load(s, w, t, bias);
    float sum[3] = {0};
    for (long g = 0; g < a.groups; g++) {
      const float *from = s.sumsOf + (g * rows + own.row) * s.dim + w.d;
#pragma unroll
      for (int i = 0; i < 3; i++) sum[i] += from[i * next];
    }
    own.finish(s, w.d, sum[0], sum[1], sum[2], skip, &dD, &dBias);
  }
  s.dD[w.chunk + w.d] = dD;
  s.dBias[w.chunk + w.d] = dBias;
}
