// row.h: the product of one row with rows of bf16 weights, on tensor cores, by a block of
// ROW_THREADS threads. The row is taken apart into three bf16, which together hold its 24 bits, and
// they are three of the eight columns that mma.sync multiplies by; rows of weights are its 16 rows.
// So a product takes a tenth of the instructions that multiply-adds would. Warps share the inner
// dimension, and their sums are added in the order of the warps.
//
// Rows of weights are copied to shared memory whole, one instruction a row, each 16 bytes further
// from the last than it is long: so eight rows lie in different banks.
#pragma once
#include "bulk.h"

enum { ROW_THREADS = 256, ROW_WARPS = ROW_THREADS / 32, TERMS = 3, ROW_PAD = 16, ROW_STEP = 32, ROW_AHEAD = 4, MOST_COLUMNS = 128 };

extern SHARED __attribute__((aligned(128))) char memory[];

// A RowProduct is where its operands are in shared memory. in is a multiple of ROW_STEP.
struct RowProduct {
  int in, bytes; // from one row of shared memory to the next
  u64 terms, zero, weights, barrier;

  DEVICE void begin(int inner, u64 *copied) {
    in = inner;
    bytes = 2 * in + ROW_PAD;
    terms = sharedAddress(memory);
    zero = terms + TERMS * bytes;
    weights = zero + ROW_PAD;
    barrier = sharedAddress(copied);
    if (thread() == 0) {
      beginBarrier(barrier, 1);
      showBarriers();
    }
  }
  // copy asks for columns rows of weights; row says where one begins. The first warp calls it.
  template <class Row> DEVICE void copy(int columns, const Row &row) {
    if (lane() == 0) arriveAndExpect(barrier, columns * 2 * in);
    together();
    for (int c = lane(); c < columns; c += 32) copyTile(weights + (u64)c * bytes, row(c), 2 * in, barrier);
  }
  // put sets the terms of four elements.
  DEVICE void put(int k, f32x4 x) const {
#pragma unroll
    for (int t = 0; t < TERMS; t++) {
      u32x2 v = {pack<bf16>(x[0], x[1]), pack<bf16>(x[2], x[3])};
      *(u32x2 *)(memory + t * bytes + 2 * k) = v;
      x[0] -= first(v[0], (bf16 *)nullptr);
      x[1] -= second(v[0], (bf16 *)nullptr);
      x[2] -= first(v[1], (bf16 *)nullptr);
      x[3] -= second(v[1], (bf16 *)nullptr);
    }
  }
  // get is element k as the terms hold it.
  DEVICE float get(int k) const {
    float x = 0;
#pragma unroll
    for (int t = TERMS - 1; t >= 0; t--) x += widen(*(const bf16 *)(memory + t * bytes + 2 * k));
    return x;
  }
  DEVICE void putZero() const {
    if (thread() < ROW_PAD / 4) *(u32 *)(memory + TERMS * bytes + 4 * thread()) = 0;
  }
  // stage puts the row a, times gain if there is one, whose part is in the registers of ahead
  // already. It returns the thread's sum of squares.
  DEVICE float stage(const float *a, const float *gain, const f32x4 *ahead) const {
    float square = 0;
    for (int base = 0; base < in; base += 4 * ROW_AHEAD * ROW_THREADS) {
      f32x4 x[ROW_AHEAD];
#pragma unroll
      for (int i = 0; i < ROW_AHEAD; i++) {
        int k = base + 4 * (i * ROW_THREADS + thread());
        if (k < in) x[i] = *(const f32x4 *)(a + k);
      }
#pragma unroll
      for (int i = 0; i < ROW_AHEAD; i++) {
        int k = base + 4 * (i * ROW_THREADS + thread());
        if (k >= in) continue;
        if (gain) {
          square += x[i][0] * x[i][0] + x[i][1] * x[i][1] + x[i][2] * x[i][2] + x[i][3] * x[i][3];
          x[i] *= base == 0 ? ahead[i] : *(const f32x4 *)(gain + k);
        }
        put(k, x[i]);
      }
    }
    putZero();
    return square;
  }
  // fetchGain reads what stage wants of it ahead.
  DEVICE void fetchGain(const float *gain, f32x4 *ahead) const {
#pragma unroll
    for (int i = 0; i < ROW_AHEAD; i++) {
      int k = 4 * (i * ROW_THREADS + thread());
      if (gain && k < in) ahead[i] = *(const f32x4 *)(gain + k);
    }
  }
  // multiply leaves the warps' parts of the products of all columns in sums; the barrier before
  // and after it is the caller's.
  template <int TILES> DEVICE void multiply(int columns, float (*sums)[MOST_COLUMNS]) const {
    int l = lane(), steps = in / ROW_STEP, from = warp() * steps / ROW_WARPS, to = (warp() + 1) * steps / ROW_WARPS;
    u64 b = l % 8 < TERMS ? terms + l % 8 * bytes + l / 8 * 16 : zero, a[TILES];
    int move = l % 8 < TERMS ? 2 * ROW_STEP : 0;
    b += (u64)from * move;
#pragma unroll
    for (int t = 0; t < TILES; t++) {
      int row = 16 * t + l % 16;
      a[t] = weights + (u64)(row < columns ? row : columns - 1) * bytes + l / 16 * 16 + (u64)from * 2 * ROW_STEP;
    }
    float sum[2][TILES][4];
#pragma unroll
    for (int h = 0; h < 2; h++)
#pragma unroll
      for (int t = 0; t < TILES; t++)
#pragma unroll
        for (int i = 0; i < 4; i++) sum[h][t][i] = 0;
    awaitPhase(barrier, 0);
#pragma unroll 1
    for (int s = from; s < to; s++) {
      u32 x[4];
      loadMatrices(x, b);
      b += move;
#pragma unroll
      for (int t = 0; t < TILES; t++) {
        u32 w[2][4];
        loadMatrices(w[0], a[t]);
        loadMatrices(w[1], a[t] + ROW_STEP);
        a[t] += 2 * ROW_STEP;
        ::multiply<bf16>(sum[0][t], w[0], x);
        ::multiply<bf16>(sum[1][t], w[1], x + 2);
      }
    }
#pragma unroll
    for (int t = 0; t < TILES; t++) {
#pragma unroll
      for (int h = 0; h < 2; h++) { // columns 0 and 1 of the result are lane 4g's, column 2 is the next one's
        float v = sum[0][t][2 * h] + sum[1][t][2 * h];
        if (l % 4 == 0) v += sum[0][t][2 * h + 1] + sum[1][t][2 * h + 1];
        v += swap(v, 1);
        if (l % 4 == 0) sums[warp()][16 * t + 8 * h + l / 4] = v;
      }
    }
  }
};

// sumOf adds up the warps' parts.
DEVICE float sumOf(const float (*sums)[MOST_COLUMNS], int column) {
  float v = 0;
#pragma unroll
  for (int w = 0; w < ROW_WARPS; w++) v += sums[w][column];
  return v;
}
// sumOfSquares leaves the sum of the warp in parts; the barrier after it is the caller's.
DEVICE void leaveSum(float v, float *parts) {
  v = sumWarp(v);
  if (lane() == 0) parts[warp()] = v;
}
DEVICE float sumOfWarps(const float *parts) {
  float v = 0;
#pragma unroll
  for (int w = 0; w < ROW_WARPS; w++) v += parts[w];
  return v;
}
