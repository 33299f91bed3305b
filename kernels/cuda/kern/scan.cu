// The scan of many tokens: 4 threads a channel, each with 4 states; 8 tokens at a time, of which
// each thread does for 2 what does not depend on the state. B and C of 32 tokens lie in shared
// memory for the block's 16 channels. blockX is a sequence, blockY a range of channels, blockZ a
// chunk of the tokens.
//
// Chunks are for few sequences. Then scan_ends runs before: it leaves for every chunk the state
// that it ends in when it begins with zeros, and the sum of its δ, which together make the state
// that the next one begins with: exp(A·Σδ)·h + end. The first chunk's place also gets a copy of
// the state, which scan_run overwrites.
#include "tensor.h"
#include "scan.h"

enum { TEAM = 4, OWN = 2, GROUP = TEAM * OWN, SHARE = STATES / TEAM, RUN = 32, SCAN_THREADS = 64 };

struct ScanRunArgs {
  ScanArgs s;
  long chunk;                // tokens of a chunk
  Mat<float> ends, sums;     // [(chunks + 1)·seqs·dim, states] and [chunks·seqs·dim, 1]
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
DEVICE float siluFast(float x) { return x * reciprocal(1.0f + exp2Fast(x * -1.44269504f)); }

// Own is what a thread has of a group: tokens 2i + q.
struct Own {
  float x[OWN], dt[OWN], z[OWN];
  DEVICE void load(const float *const *at, const int *stride, int t, int end, int q) {
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int token = t + TEAM * i + q;
      token = token < end ? token : end - 1;
      x[i] = at[0][(long)token * stride[0]];
      dt[i] = at[1][(long)token * stride[1]];
      z[i] = at[2][(long)token * stride[2]];
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

// copyRun begins to copy B and C of RUN tokens, zeros where there is none.
DEVICE void copyRun(const ScanArgs &s, float *to, long first, int t, int end) {
#pragma unroll
  for (int i = thread(); i < RUN * 8; i += SCAN_THREADS) {
    int token = t + i / 8, state = i % 4 * 4;
    bool isC = i % 8 >= 4, has = token < end && state < (int)s.states;
    const float *from = (isC ? s.c : s.b).row(first + (has ? token : 0)) + (has ? state : 0);
    copyAsync(sharedAddress(to) + i * 16, from, has);
  }
}

template <bool outputs> DEVICE void scanRun(const ScanRunArgs &a, float (*bc)[RUN * 2 * STATES]) {
  const ScanArgs &s = a.s;
  if (s.fault.set()) return;
  int d = ((int)blockY() * threads() + thread()) / TEAM, q = thread() % TEAM, states = (int)s.states;
  bool mine = d < s.dim;
  long sequence = blockX(), first = sequence * s.n, of = sequence * s.dim + d, all = blocksX() * s.dim;
  int from = (int)(blockZ() * a.chunk), end = from + (int)a.chunk < (int)s.n ? from + (int)a.chunk : (int)s.n;
  copyRun(s, bc[0], first, from, end);
  commitCopies();
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
  float fastest = __builtin_fminf(__builtin_fminf(ch.rate[0], ch.rate[1]), __builtin_fminf(ch.rate[2], ch.rate[3]));
  float bias = s.bias.p ? s.bias.p[d] : 0.0f, skip = s.d.p ? s.d.p[d] : 0.0f, total = 0;
  const float *at[3] = {s.x.row(first) + d, s.dt.row(first) + d, s.z.p ? s.z.row(first) + d : s.x.row(first) + d};
  int stride[3] = {(int)s.x.stride, (int)s.dt.stride, (int)(s.z.p ? s.z.stride : s.x.stride)};
  Own now, next;
  next.load(at, stride, from, end, q);
#pragma unroll 1
  for (int t = from, side = 0; t < end; t += GROUP) {
    if ((t - from) % RUN == 0) {
      awaitCopies<0>();
      barrier(); // the run is there for all, and the one before has been used by all
      side ^= 1;
      copyRun(s, bc[side], first, t + RUN, end);
      commitCopies();
    }
    const float *here = bc[side ^ 1] + (t - from) % RUN * 2 * STATES + q * SHARE;
    now = next;
    next.load(at, stride, t + GROUP < end ? t + GROUP : t, end, q);
    float delta[OWN], input[OWN], y[OWN], most = 0;
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      delta[i] = t + TEAM * i + q < end ? softplusFast(now.dt[i] + bias) : 0.0f;
      input[i] = delta[i] * now.x[i];
      total += delta[i];
      most = __builtin_fmaxf(most, delta[i]);
    }
    most = __builtin_fmaxf(most, swap(most, 1));
    most = __builtin_fmaxf(most, swap(most, 2));
    most = maxWarp(most * -fastest);
    if (most <= 2.0f)
      ch.group<outputs, GENTLE>(delta, input, here, q, y);
    else if (most <= 125.0f)
      ch.group<outputs, MIDDLE>(delta, input, here, q, y);
    else
      ch.group<outputs, STEEP>(delta, input, here, q, y);
    if (outputs && mine) {
#pragma unroll
      for (int i = 0; i < OWN; i++) {
        int token = t + TEAM * i + q;
        float sum = y[i] + skip * now.x[i];
        if (token < end) s.dst.row(first + token)[d] = s.z.p ? sum * siluFast(now.z[i]) : sum;
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
#define SCAN_RUN(NAME, OUTPUTS)                                                                               \
  KERNEL __attribute__((launch_bounds(SCAN_THREADS))) void NAME(ScanRunArgs a) {                              \
    SHARED __attribute__((aligned(16))) float bc[2][RUN * 2 * STATES];                                        \
    scanRun<OUTPUTS>(a, bc);                                                                                  \
  }
SCAN_RUN(scan_run, true)
SCAN_RUN(scan_ends, false)
