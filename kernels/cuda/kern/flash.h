// flash.h: Attend for many queries on tensor cores: a block has 64 or 128 queries of a head, a warp TILES
// times 16 of them, and goes through the keys KEYS at a time with a running maximum (as attention.cu
// does; FlashAttention-2, arXiv:2307.08691). Queries and weights are taken apart into TERMS 16-bit
// numbers, like the activations of gemm.cu. Keys and values are of 16 bits, or OF of those that planes.cu
// has taken apart; of such products that of the lower halves is left out, as in product.h.
#pragma once
#include "panel.h"
#include "mathf.h"

struct FlashArgs {
  Fault fault;
  Mat<float> dst;
  Mat<const float> q;
  Mat<const void> k, v; // strides in bytes
  long lowK, lowV;      // bytes to the second plane of each, if there are two
  long n, length;
  const long *past;
  long head, perKV;
  double scale;
  Panels panels; // that get the results too
  Mat<float> lse; // of each query and head, where it is kept
};

#define LOG2E 1.4426950408889634

template <class T, int DIM, int TERMS, int OF, int KEYS, int TILES, int WARPS> struct Flash {
  enum { ROWS = 16 * TILES, QUERIES = ROWS * WARPS, THREADS = 32 * WARPS, STEP = KEYS };
  enum { STEPS = DIM / 16, TILE = KEYS * DIM * 2, CHUNKS = DIM / 8, STAGES = DIM * OF <= 64 ? 2 : 1 };
  enum { STAGE = 2 * OF * TILE, BYTES = STAGES * STAGE };
  u32 query[TILES][STEPS][4][TERMS];
  float sum[TILES][DIM / 8][4], top[TILES][2], weight[TILES][2];

  static DEVICE int inTile(int row, int chunk) { return row * DIM * 2 + (chunk ^ (row & 7)) * 16; }
  DEVICE void copy(u64 tile, const char *k, const char *v, const FlashArgs &a, int key, int end) {
#pragma unroll
    for (int i = thread(); i < KEYS * CHUNKS; i += THREADS) {
      int r = i / CHUNKS, c = i % CHUNKS;
      bool has = key + r < end;
      const char *from = has ? k + (key + r) * a.k.stride + c * 16 : k, *fromV = has ? v + (key + r) * a.v.stride + c * 16 : v;
#pragma unroll
      for (int t = 0; t < OF; t++) {
        copyAsync(tile + t * TILE + inTile(r, c), from + t * a.lowK, has);
        copyAsync(tile + (OF + t) * TILE + inTile(r, c), fromV + t * a.lowV, has);
      }
    }
  }
  // load reads a warp's queries; row is that of the lane, and the other one is 8 below.
  DEVICE void load(const float *q, long stride, int row, int rows, int dim, float scale) {
#pragma unroll
    for (int s = 0; s < TILES * STEPS; s++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int r = row + s / STEPS * 16 + i % 2 * 8, d = 16 * (s % STEPS) + lane() % 4 * 2 + i / 2 * 8;
        const float *from = q + (r < rows ? r : rows - 1) * stride + d;
        apart<T, TERMS>(query[s / STEPS][s % STEPS][i], d < dim ? from[0] * scale : 0.0f, d + 1 < dim ? from[1] * scale : 0.0f);
      }
  }
  DEVICE void scores(float (*score)[KEYS / 8][4], u64 keys) {
#pragma unroll
    for (int j = 0; j < TILES * KEYS / 8; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) score[0][j][e] = 0;
#pragma unroll
    for (int s = 0; s < STEPS; s++)
#pragma unroll
      for (int j = 0; j < KEYS / 8; j += 2) {
        u32 b[4], q[4];
#pragma unroll
        for (int u = 0; u < OF; u++) {
          loadMatrices(b, keys + u * TILE + inTile(8 * j + lane() % 8 + lane() / 16 * 8, 2 * s + lane() / 8 % 2));
#pragma unroll
          for (int t = 0; t < TILES * (TERMS - u); t++) {
            int tile = t / (TERMS - u);
#pragma unroll
            for (int i = 0; i < 4; i++) q[i] = query[tile][s][i][t % (TERMS - u)];
            multiply<T>(score[tile][j], q, b);
            multiply<T>(score[tile][j + 1], q, b + 2);
          }
        }
      }
  }
  DEVICE void add(float (*score)[KEYS / 8][4], u64 values) {
#pragma unroll
    for (int s = 0; s < KEYS / 16; s++) {
      u32 p[TILES][4][TERMS];
#pragma unroll
      for (int i = 0; i < 4 * TILES; i++) {
        const float *pair = &score[i / 4][2 * s + i % 4 / 2][i % 2 * 2];
        apart<T, TERMS>(p[i / 4][i % 4], pair[0], pair[1]);
      }
#pragma unroll
      for (int j = 0; j < DIM / 8; j += 2) {
        u32 b[4], a[4];
#pragma unroll
        for (int u = 0; u < OF; u++) {
          loadTransposed(b, values + u * TILE + inTile(16 * s + lane() % 16, j + lane() / 16));
#pragma unroll
          for (int t = 0; t < TILES * (TERMS - u); t++) {
            int tile = t / (TERMS - u);
#pragma unroll
            for (int i = 0; i < 4; i++) a[i] = p[tile][i][t % (TERMS - u)];
            multiply<T>(sum[tile][j], a, b);
            multiply<T>(sum[tile][j + 1], a, b + 2);
          }
        }
      }
    }
  }
  // hide sets to −∞ the scores of keys beyond last, for the lane's first row; a row's is one more.
  DEVICE void hide(float (*score)[KEYS / 8][4], int key, int last) {
#pragma unroll
    for (int tile = 0; tile < TILES; tile++)
#pragma unroll
      for (int j = 0; j < KEYS / 8; j++)
#pragma unroll
        for (int e = 0; e < 4; e++)
          if (key + 8 * j + lane() % 4 * 2 + e % 2 > last + 16 * tile + e / 2 * 8) score[tile][j][e] = -INF;
  }
  // weigh turns scores, which are logarithms to base 2, into weights. ex2.approx is off by 2^-22
  // at most, and a weight is kept to 2^-17.
  DEVICE void weigh(float (*score)[KEYS / 8][4]) {
#pragma unroll
    for (int half = 0; half < 2 * TILES; half++) {
      int tile = half / 2, first = half % 2 * 2;
      float &highest = top[tile][half % 2], higher = highest;
#pragma unroll
      for (int j = 0; j < KEYS / 8; j++) higher = __builtin_fmaxf(higher, __builtin_fmaxf(score[tile][j][first], score[tile][j][first + 1]));
      higher = __builtin_fmaxf(higher, swap(higher, 1));
      higher = __builtin_fmaxf(higher, swap(higher, 2)); // finite: key 0 is seen by all
      float keep = exp2Fast(highest - higher), total = 0;
      highest = higher;
#pragma unroll
      for (int j = 0; j < KEYS / 8; j++)
#pragma unroll
        for (int e = first; e < first + 2; e++) {
          score[tile][j][e] = exp2Fast(score[tile][j][e] - higher);
          total += score[tile][j][e];
        }
      weight[tile][half % 2] = weight[tile][half % 2] * keep + total;
#pragma unroll
      for (int j = 0; j < DIM / 8; j++)
#pragma unroll
        for (int e = first; e < first + 2; e++) sum[tile][j][e] *= keep;
    }
  }
};

// blockX is a head, blockY the queries of a block, from the last ones on, which have the most keys, blockZ
// a sequence. Heads of fewer than DIM elements are for keys and values that planes.cu has widened.
template <class F, int DIM> DEVICE void flash(const FlashArgs &a, char *memory) {
  if (a.fault.set()) return;
  F f;
  long head = blockX(), sequence = blockZ();
  int tile = (blocksY() - 1 - (int)blockY()) * F::QUERIES, n = (int)a.n, past = (int)*a.past, dim = (int)a.head;
  int rows = n - tile < F::QUERIES ? n - tile : F::QUERIES, end = past + tile + rows;
  const char *k = (const char *)a.k.p + sequence * a.length * a.k.stride + head / a.perKV * DIM * 2;
  const char *v = (const char *)a.v.p + sequence * a.length * a.v.stride + head / a.perKV * DIM * 2;
  u64 shared = sharedAddress(memory);
  f.copy(shared, k, v, a, 0, end);
  commitCopies();
  int row = warp() * F::ROWS + lane() / 4;
  f.load(a.q.row(sequence * n + tile) + head * dim, a.q.stride, row, rows, dim, (float)(a.scale * LOG2E));
#pragma unroll
  for (int j = 0; j < F::ROWS / 16 * DIM / 8; j++)
#pragma unroll
    for (int e = 0; e < 4; e++) f.sum[0][j][e] = 0;
#pragma unroll
  for (int i = 0; i < F::ROWS / 8; i++) {
    f.top[0][i] = -INF;
    f.weight[0][i] = 0;
  }
  int last = past + tile + row;
#pragma unroll 1
  for (int key = 0, stage = 0; key < end; key += F::STEP) {
    awaitCopies<0>();
    barrier();
    u64 here = shared + stage * F::STAGE;
    if (F::STAGES == 2) {
      stage ^= 1;
      if (key + F::STEP < end) f.copy(shared + stage * F::STAGE, k, v, a, key + F::STEP, end);
      commitCopies();
    }
    float score[F::ROWS / 16][F::STEP / 8][4];
    f.scores(score, here);
    if (key + F::STEP - 1 > past + tile + warp() * F::ROWS) f.hide(score, key, last);
    f.weigh(score);
    f.add(score, here + F::STAGE / 2);
    if (F::STAGES == 1) {
      barrier();
      if (key + F::STEP < end) f.copy(shared, k, v, a, key + F::STEP, end);
      commitCopies();
    }
  }
#pragma unroll
  for (int half = 0; half < F::ROWS / 8; half++) {
    float weight = f.weight[0][half];
    weight += swap(weight, 1);
    weight += swap(weight, 2);
    if (row + 8 * half >= rows) continue;
    long at = sequence * n + tile + row + 8 * half;
    int first = lane() % 4 * 2, column = (int)head * dim + first;
    float *dst = a.dst.row(at) + column, share = 1.0f / weight;
#pragma unroll
    for (int j = 0; j < DIM / 8; j++) {
      float x = f.sum[half / 2][j][half % 2 * 2] * share, y = f.sum[half / 2][j][half % 2 * 2 + 1] * share;
      if (8 * j + first < dim) dst[8 * j] = x;
      if (8 * j + first + 1 < dim) dst[8 * j + 1] = y;
      a.panels.put(at, column + 8 * j, x, y);
    }
    if (a.lse.p && first == 0) a.lse.row(at)[head] = (f.top[half / 2][half % 2] + (float)(logOf((double)weight) * LOG2E)) * (float)(1 / LOG2E);
  }
}
// With few registers for each query a warp has more of them; else a block has more warps. Either
// way a block of heads of 64 has 128 queries, because blocks read keys and values again and again. KEYS
// are as many as leave all registers to numbers that are needed at once.
#define FLASH(name, T, DIM, TERMS, OF, KEYS, TILES, WARPS, BLOCKS)                                            \
  KERNEL __attribute__((launch_bounds(32 * WARPS, BLOCKS))) void flash##DIM##_##TERMS##_##name(FlashArgs a) { \
    typedef Flash<T, DIM, TERMS, OF, KEYS, TILES, WARPS> F;                                                   \
    SHARED __attribute__((aligned(128))) char memory[F::BYTES];                                               \
    flash<F, DIM>(a, memory);                                                                                 \
  }
#define FLASHES(name, T)                                                                                      \
  FLASH(name, T, 64, 1, 1, 64, 2, 4, 2) FLASH(name, T, 64, 2, 1, 64, 1, 8, 1) FLASH(name, T, 128, 1, 1, 32, 1, 4, 2)
