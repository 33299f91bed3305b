// The scan of many tokens: 4 threads a channel, each with 4 states; 8 tokens at a time, of which
// each thread does for 2 what does not depend on the state. B and C of 32 tokens lie in shared
// memory for the block's 16 channels. blockX is a sequence, blockY a range of channels, blockZ a
// chunk of the tokens.
//
// Chunks are for few sequences. Then scan_ends runs before: it leaves for every chunk the state
// that it ends in when it begins with zeros, and the sum of its δ, which together make the state
// that the next one begins with: exp(A·Σδ)·h + end. The first chunk's place also gets a copy of
// the state, which scan_run overwrites.
#include "panel.h"
#include "scan.h"

enum { TEAM = 4, OWN = 2, GROUP = TEAM * OWN, SHARE = STATES / TEAM, RUN = 32, SCAN_THREADS = 64 };

struct ScanRunArgs {
  ScanArgs s;
  long chunk;                // tokens of a chunk
  Mat<float> ends, sums;     // [(chunks + 1)·seqs·dim, states] and [chunks·seqs·dim, 1]
  Panels panels;             // that get the results too
};

// Most decays are near 1, and a state multiplies many of them, so what counts is by how much of
// its distance from 1 a decay is off: 7e-7 at most in the three ways to compute one, which are
// for exponents (to base 2) down to −2, to −125 and of any size.
enum Steepness { GENTLE, MIDDLE, STEEP };

// decayOf is 2^(step·rate) for −125 ≤ step·rate ≤ 0.
DEVICE float decayOf(float step, float rate) {
  float shifted = __builtin_fmaf(step, rate, SHIFT), f = __builtin_fmaf(step, rate, -(shifted - SHIFT));
  float p = 0.00133813025f;
  p = p * f + 0.00966636852f;
  p = p * f + 0.0555038101f;
  p = p * f + 0.24022349f;
  p = p * f + 0.693147181f;
  p = p * f + 1.0f;
  return __builtin_bit_cast(float, __builtin_bit_cast(int, p) + (__builtin_bit_cast(int, shifted) << 23));
}

// softplusFast is off by 3e-7 of itself: log1p(e) = 2·atanh(e/(2+e)), with e to more than the
// digits that a rounded exponent would leave it.
DEVICE float softplusFast(float x) {
  float a = -__builtin_fabsf(x);
  a = a < -86.0f ? -86.0f : a; // a NaN stays
  float n = a * 1.44269504f;
  float lost = __builtin_fmaf(a, 1.92596299e-8f, __builtin_fmaf(a, 1.44269502f, -n));
  float e = exp2Fast(n);
  e = __builtin_fmaf(e, lost * 0.693147181f, e);
  float s = e * reciprocal(2.0f + e), q = s * s, p = 1.0f / 13;
  p = p * q + 1.0f / 11;
  p = p * q + 1.0f / 9;
  p = p * q + 1.0f / 7;
  p = p * q + 1.0f / 5;
  p = p * q + 1.0f / 3;
  s += s;
  return (x > 0 ? x : 0.0f) + __builtin_fmaf(s * q, p, s);
}

// Line is a channel of the tokens of a sequence.
struct Line {
  char *first;
  int bytes; // to the next token
  DEVICE void begin(const float *p, long stride) {
    first = (char *)p;
    bytes = (int)stride * 4;
  }
  DEVICE float *at(int token) const { return (float *)(first + (long)token * bytes); }
};

// Own is what a thread has of a group: tokens 2i + q.
struct Own {
  float x[OWN], dt[OWN], z[OWN];
  DEVICE void load(const Line *x_, const Line *dt_, const Line *z_, int t, int end, int q) {
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int token = t + TEAM * i + q;
      token = token < end ? token : end - 1;
      x[i] = *x_->at(token);
      dt[i] = *dt_->at(token);
      z[i] = *z_->at(token);
    }
  }
};

// Gentle is 2^(step·rate) for −2 ≤ step·rate ≤ 0, as a polynomial in step.
struct Gentle {
  enum { TERMS = 6 };
  f32x4 c[TERMS];
  DEVICE void begin(f32x4 rate) {
    const float of[TERMS] = {0.693146893f, 0.240216126f, 0.0554427543f, 0.00948365676f, 0.0011968375f, 8.64389629e-5f};
    f32x4 power = 1.0f;
#pragma unroll
    for (int i = 0; i < TERMS; i++) {
      power *= rate;
      c[i] = power * of[i];
    }
  }
  DEVICE float at(int k, float step) const {
    float p = c[TERMS - 1][k];
#pragma unroll
    for (int i = TERMS - 2; i >= 0; i--) p = p * step + c[i][k];
    return p * step + 1.0f;
  }
};

struct Channel {
  f32x4 h, rate;
  Gentle gentle;
  // take goes through one token and returns the thread's part of its result.
  template <bool outputs, Steepness steep> DEVICE float take(float step, float in, const float *bc) {
    f32x4 b = *(const f32x4 *)bc, c = 0;
    if (outputs) c = *(const f32x4 *)(bc + STATES);
    float y = 0;
#pragma unroll
    for (int k = 0; k < SHARE; k++) {
      float decay = steep == GENTLE ? gentle.at(k, step) : steep == MIDDLE ? decayOf(step, rate[k]) : exp2Down(step * rate[k]);
      h[k] = decay * h[k] + in * b[k];
      if (outputs) y += h[k] * c[k];
    }
    return y;
  }
  // group goes through 8 tokens; y[i] becomes the result of the thread's token i.
  template <bool outputs, Steepness steep> DEVICE void group(const float *delta, const float *input, const float *bc, int q, float *y) {
    int leader = lane() & ~(TEAM - 1);
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      float part[TEAM];
#pragma unroll
      for (int j = 0; j < TEAM; j++)
        part[j] = take<outputs, steep>(fromLane(delta[i], leader + j), fromLane(input[i], leader + j), bc + (TEAM * i + j) * 2 * STATES);
      if (outputs) { // thread q gets the sum of part[q] over the team
        float u = (q & 1 ? part[1] : part[0]) + swap(q & 1 ? part[0] : part[1], 1);
        float v = (q & 1 ? part[3] : part[2]) + swap(q & 1 ? part[2] : part[3], 1);
        y[i] = (q & 2 ? v : u) + swap(q & 2 ? u : v, 2);
      }
    }
  }
};

// CopyShare copies a thread's share of B and C of RUN tokens: the same 4 states of every eighth token.
struct CopyShare {
  Line from;
  bool has;
  DEVICE void begin(const ScanArgs &s, long first) {
    int state = thread() % 4 * 4;
    has = state < (int)s.states;
    if (thread() % 8 < 4) from.begin(s.b.row(first) + (has ? state : 0), s.b.stride);
    else from.begin(s.c.row(first) + (has ? state : 0), s.c.stride);
  }
  // copy begins to copy the tokens from t on, zeros where there is none.
  DEVICE void copy(float *to, int t, int end) const {
    u64 at = sharedAddress(to) + thread() * 16;
#pragma unroll
    for (int i = 0; i < RUN * 8 / SCAN_THREADS; i++) {
      int token = t + i * (SCAN_THREADS / 8) + thread() / 8;
      copyAsync(at + i * SCAN_THREADS * 16, from.at(token < end ? token : 0), has && token < end);
    }
    commitCopies();
  }
};

template <bool outputs> DEVICE void scanRun(const ScanRunArgs &a, float (*bc)[RUN * 2 * STATES]) {
  const ScanArgs &s = a.s;
  if (s.fault.set()) return;
  int d = ((int)blockY() * threads() + thread()) / TEAM, q = thread() % TEAM, states = (int)s.states;
  bool mine = d < s.dim;
  long sequence = blockX(), first = sequence * s.n, of = sequence * s.dim + d, all = blocksX() * s.dim;
  int from = (int)(blockZ() * a.chunk), end = from + (int)a.chunk < (int)s.n ? from + (int)a.chunk : (int)s.n;
  CopyShare share;
  share.begin(s, first);
  share.copy(bc[0], from, end);
  if (!mine) { d = 0; of = 0; }
  Channel ch;
  bool has = mine && q * SHARE < states; // a thread without states has zeros, which stay
  ch.h = ch.rate = 0;
  if (has) {
    ch.rate = *(const f32x4 *)(s.a.row(d) + q * SHARE) * 1.44269504f; // for powers of 2
    f32x4 state = *(const f32x4 *)(s.state.row(of) + q * SHARE);
    if (!a.ends.p) {
      ch.h = state;
    } else if (!outputs) {
      if (blockZ() == 0) *(f32x4 *)(a.ends.row(of) + q * SHARE) = state;
    } else {
      ch.h = *(const f32x4 *)(a.ends.row(of) + q * SHARE);
      for (long c = 0; c < blockZ(); c++) {
        float sum = *a.sums.row(c * all + of);
        f32x4 e = *(const f32x4 *)(a.ends.row((c + 1) * all + of) + q * SHARE);
#pragma unroll
        for (int k = 0; k < SHARE; k++) ch.h[k] = exp2Down(sum * ch.rate[k]) * ch.h[k] + e[k];
      }
    }
  }
  ch.gentle.begin(ch.rate);
  float fastest = -__builtin_fminf(__builtin_fminf(ch.rate[0], ch.rate[1]), __builtin_fminf(ch.rate[2], ch.rate[3]));
  float bias = s.bias.p ? s.bias.p[d] : 0.0f, skip = s.d.p ? s.d.p[d] : 0.0f, total = 0;
  fastest = __builtin_fmaxf(fastest, swap(fastest, 1));
  fastest = __builtin_fmaxf(fastest, swap(fastest, 2)); // of the channel
  Line x, dt, z, dst;
  x.begin(s.x.row(first) + d, s.x.stride);
  dt.begin(s.dt.row(first) + d, s.dt.stride);
  z = x;
  if (s.z.p) z.begin(s.z.row(first) + d, s.z.stride);
  dst.begin(s.dst.row(first) + d, s.dst.stride);
  PanelColumn panel;
  panel.begin(a.panels, d);
  Own now, next;
  next.load(&x, &dt, &z, from, end, q);
#pragma unroll 1
  for (int t = from, side = 0; t < end; t += GROUP) {
    if ((t - from) % RUN == 0) {
      awaitCopies<0>();
      barrier(); // the run is there for all, and the one before has been used by all
      side ^= 1;
      share.copy(bc[side], t + RUN, end);
    }
    const float *here = bc[side ^ 1] + (t - from) % RUN * 2 * STATES + q * SHARE;
    now = next;
    next.load(&x, &dt, &z, t + GROUP < end ? t + GROUP : t, end, q);
    float delta[OWN], input[OWN], y[OWN];
    bool gentle = true, middle = true;
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      delta[i] = t + TEAM * i + q < end ? softplusFast(now.dt[i] + bias) : 0.0f;
      input[i] = delta[i] * now.x[i];
      total += delta[i];
      gentle &= delta[i] * fastest <= 2.0f;
      middle &= delta[i] * fastest <= 125.0f;
    }
    if (allOfWarp(gentle))
      ch.group<outputs, GENTLE>(delta, input, here, q, y);
    else if (allOfWarp(middle))
      ch.group<outputs, MIDDLE>(delta, input, here, q, y);
    else
      ch.group<outputs, STEEP>(delta, input, here, q, y);
    if (outputs && mine) {
#pragma unroll
      for (int i = 0; i < OWN; i++) {
        int token = t + TEAM * i + q;
        float sum = y[i] + skip * now.x[i];
        if (s.z.p) sum *= siluFast(now.z[i]);
        if (token < end) {
          *dst.at(token) = sum;
          panel.put(first + token, sum);
        }
      }
    }
  }
  if (outputs) {
    if (has && blockZ() == blocksZ() - 1) *(f32x4 *)(s.state.row(of) + q * SHARE) = ch.h;
    return;
  }
  total += swap(total, 1);
  total += swap(total, 2);
  if (has) *(f32x4 *)(a.ends.row((blockZ() + 1) * all + of) + q * SHARE) = ch.h;
  if (mine && q == 0) *a.sums.row(blockZ() * all + of) = total;
}
// With 10 blocks on a multiprocessor, 8 sequences of 2304 channels are one wave on 132 of them.
#define SCAN_RUN(NAME, OUTPUTS)                                                                               \
  KERNEL __attribute__((launch_bounds(SCAN_THREADS, 10))) void NAME(ScanRunArgs a) {                          \
    SHARED __attribute__((aligned(16))) float bc[2][RUN * 2 * STATES];                                        \
    scanRun<OUTPUTS>(a, bc);                                                                                  \
  }
SCAN_RUN(scan_run, true)
SCAN_RUN(scan_ends, false)
