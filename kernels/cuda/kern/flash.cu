// Attend for many queries of 16-bit keys and values, on tensor cores: a block has 64 queries of a
// head, a warp 16 of them, and goes through the keys 64 at a time with a running maximum (as
// attention.cu does; FlashAttention-2, arXiv:2307.08691). Queries and weights are taken apart
// into TERMS 16-bit numbers, like the activations of gemm.cu.
#include "tensor.h"
#include "mathf.h"

struct FlashArgs {
  Fault fault;
  Mat<float> dst;
  Mat<const float> q;
  Mat<const void> k, v; // strides in bytes
  long n, length;
  const long *past;
  long perKV;
  double scale;
};
enum { QUERIES = 64, KEYS = 64, FLASH_THREADS = 128 };

template <class T, int DIM, int TERMS> struct Flash {
  enum { STEPS = DIM / 16, TILE = KEYS * DIM * 2, CHUNKS = DIM / 8, STAGES = DIM <= 64 ? 2 : 1, BYTES = 2 * STAGES * TILE };
  u32 query[STEPS][4][TERMS];
  float sum[DIM / 8][4], top[2], weight[2];

  static DEVICE int inTile(int row, int chunk) { return row * DIM * 2 + (chunk ^ (row & 7)) * 16; }
  DEVICE void copy(u64 tile, const char *k, const char *v, const FlashArgs &a, int key, int end) {
#pragma unroll
    for (int i = thread(); i < KEYS * CHUNKS; i += FLASH_THREADS) {
      int r = i / CHUNKS, c = i % CHUNKS;
      bool has = key + r < end;
      copyAsync(tile + inTile(r, c), has ? k + (key + r) * a.k.stride + c * 16 : k, has);
      copyAsync(tile + TILE + inTile(r, c), has ? v + (key + r) * a.v.stride + c * 16 : v, has);
    }
  }
  // load reads a warp's queries; row is that of the lane, and the other one is 8 below.
  DEVICE void load(const float *q, long stride, int row, int rows, float scale) {
#pragma unroll
    for (int s = 0; s < STEPS; s++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int r = row + i % 2 * 8, d = 16 * s + lane() % 4 * 2 + i / 2 * 8;
        const float *from = q + (r < rows ? r : rows - 1) * stride + d;
        apart<T, TERMS>(query[s][i], from[0] * scale, from[1] * scale);
      }
  }
  DEVICE void scores(float (*score)[4], u64 keys) {
#pragma unroll
    for (int j = 0; j < KEYS / 8; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) score[j][e] = 0;
#pragma unroll
    for (int s = 0; s < STEPS; s++)
#pragma unroll
      for (int j = 0; j < KEYS / 8; j += 2) {
        u32 b[4], q[4];
        loadMatrices(b, keys + inTile(8 * j + lane() % 8 + lane() / 16 * 8, 2 * s + lane() / 8 % 2));
#pragma unroll
        for (int t = 0; t < TERMS; t++) {
#pragma unroll
          for (int i = 0; i < 4; i++) q[i] = query[s][i][t];
          multiply<T>(score[j], q, b);
          multiply<T>(score[j + 1], q, b + 2);
        }
      }
  }
  DEVICE void add(float (*score)[4], u64 values) {
#pragma unroll
    for (int s = 0; s < KEYS / 16; s++) {
      u32 p[4][TERMS];
#pragma unroll
      for (int i = 0; i < 4; i++) apart<T, TERMS>(p[i], score[2 * s + i / 2][i % 2 * 2], score[2 * s + i / 2][i % 2 * 2 + 1]);
#pragma unroll
      for (int j = 0; j < DIM / 8; j += 2) {
        u32 b[4], a[4];
        loadTransposed(b, values + inTile(16 * s + lane() % 16, j + lane() / 16));
#pragma unroll
        for (int t = 0; t < TERMS; t++) {
#pragma unroll
          for (int i = 0; i < 4; i++) a[i] = p[i][t];
          multiply<T>(sum[j], a, b);
          multiply<T>(sum[j + 1], a, b + 2);
        }
      }
    }
  }
  // hide sets to −∞ the scores of keys beyond last[0] and last[1], for the lane's rows.
  DEVICE void hide(float (*score)[4], int key, const int *last) {
#pragma unroll
    for (int j = 0; j < KEYS / 8; j++)
#pragma unroll
      for (int e = 0; e < 4; e++)
        if (key + 8 * j + lane() % 4 * 2 + e % 2 > last[e / 2]) score[j][e] = -INF;
  }
  // weigh turns scores, which are logarithms to base 2, into weights. ex2.approx is off by 2^-22
  // at most, and a weight is kept to 2^-17.
  DEVICE void weigh(float (*score)[4]) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float higher = top[half];
#pragma unroll
      for (int j = 0; j < KEYS / 8; j++)
#pragma unroll
        for (int e = 2 * half; e < 2 * half + 2; e++) higher = __builtin_fmaxf(higher, score[j][e]);
      higher = __builtin_fmaxf(higher, swap(higher, 1));
      higher = __builtin_fmaxf(higher, swap(higher, 2)); // finite: key 0 is seen by all
      float keep = exp2Fast(top[half] - higher), total = 0;
      top[half] = higher;
#pragma unroll
      for (int j = 0; j < KEYS / 8; j++)
#pragma unroll
        for (int e = 2 * half; e < 2 * half + 2; e++) {
          score[j][e] = exp2Fast(score[j][e] - higher);
          total += score[j][e];
        }
      weight[half] = weight[half] * keep + total;
#pragma unroll
      for (int j = 0; j < DIM / 8; j++)
#pragma unroll
        for (int e = 2 * half; e < 2 * half + 2; e++) sum[j][e] *= keep;
    }
  }
};

// blockX is a head, blockY 64 queries, from the last ones on, which have the most keys, blockZ
// a sequence.
template <class T, int DIM, int TERMS> DEVICE void flash(const FlashArgs &a, char *memory) {
  if (a.fault.set()) return;
  typedef Flash<T, DIM, TERMS> F;
  F f;
  long head = blockX(), sequence = blockZ();
  int tile = (blocksY() - 1 - (int)blockY()) * QUERIES, n = (int)a.n, past = (int)*a.past;
  int rows = n - tile < QUERIES ? n - tile : QUERIES, end = past + tile + rows;
  const char *k = (const char *)a.k.p + sequence * a.length * a.k.stride + head / a.perKV * DIM * 2;
  const char *v = (const char *)a.v.p + sequence * a.length * a.v.stride + head / a.perKV * DIM * 2;
  u64 shared = sharedAddress(memory);
  f.copy(shared, k, v, a, 0, end);
  commitCopies();
  int row = warp() * 16 + lane() / 4;
  f.load(a.q.row(sequence * n + tile) + head * DIM, a.q.stride, row, rows, (float)(a.scale * 1.4426950408889634));
#pragma unroll
  for (int j = 0; j < DIM / 8; j++)
#pragma unroll
    for (int e = 0; e < 4; e++) f.sum[j][e] = 0;
  f.top[0] = f.top[1] = -INF;
  f.weight[0] = f.weight[1] = 0;
  int last[2] = {past + tile + row, past + tile + row + 8};
#pragma unroll 1
  for (int key = 0, stage = 0; key < end; key += KEYS) {
    awaitCopies<0>();
    barrier();
    u64 here = shared + stage * 2 * F::TILE;
    if (F::STAGES == 2) {
      stage ^= 1;
      if (key + KEYS < end) f.copy(shared + stage * 2 * F::TILE, k, v, a, key + KEYS, end);
      commitCopies();
    }
    float score[KEYS / 8][4];
    f.scores(score, here);
    if (key + KEYS - 1 > past + tile + warp() * 16) f.hide(score, key, last);
    f.weigh(score);
    f.add(score, here + F::TILE);
    if (F::STAGES == 1) {
      barrier();
      if (key + KEYS < end) f.copy(shared, k, v, a, key + KEYS, end);
      commitCopies();
    }
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float weight = f.weight[half];
    weight += swap(weight, 1);
    weight += swap(weight, 2);
    if (row + 8 * half >= rows) continue;
    float *dst = a.dst.row(sequence * n + tile + row + 8 * half) + head * DIM + lane() % 4 * 2;
#pragma unroll
    for (int j = 0; j < DIM / 8; j++) {
      dst[8 * j] = f.sum[j][2 * half] / weight;
      dst[8 * j + 1] = f.sum[j][2 * half + 1] / weight;
    }
  }
}
#define FLASH(name, T, DIM, TERMS)                                                                            \
  KERNEL __attribute__((launch_bounds(FLASH_THREADS, 2))) void flash##DIM##_##TERMS##_##name(FlashArgs a) {   \
    SHARED __attribute__((aligned(128))) char memory[Flash<T, DIM, TERMS>::BYTES];                            \
    flash<T, DIM, TERMS>(a, memory);                                                                          \
  }
#define FLASHES(name, T) FLASH(name, T, 64, 1) FLASH(name, T, 64, 2) FLASH(name, T, 128, 1) FLASH(name, T, 128, 2)
FLASHES(bf16, bf16)
FLASHES(f16, f16)
