// product.h: products of float32 matrices on tensor cores, for training: x ≈ high + low, two bf16, and
// a·b ≈ high·high + high·low + low·high, which is right to 2⁻¹⁵ of each term; with one TERM
// both are rounded to bf16. Sums are float32. Operands are read as they are, in either order:
//
//	NT  dst[m,n]  = Σ_k a[m,k]·b[n,k] + bias[n]   MatMul
//	NN  dst[m,n]  = Σ_k a[m,k]·b[k,n]             MatMulGradA
//	TN  dst[m,n] += Σ_k a[k,m]·b[k,n]             MatMulGradB
//
// With offsets they are grouped by expert: rows m of NT and NN, and the sum over k of TN, are
// places of a sorted list; slots say which token a place is of.
#pragma once
#include "tensor.h"

enum { NT, NN, TN, DEPTH = 32 };

template <class W> struct ProductArgs {
  Fault fault;
  Mat<float> dst;
  Mat<const float> a;
  Mat<const W> b;
  Mat<const float> bias;
  long rows, cols, inner;      // dst is rows·cols, of each expert for TN
  long alignedA, alignedB;     // rows begin at 16 bytes and hold whole fours
  Mat<const int> offsets, slots;
  long experts, places, k;
  float *part;                 // of TN: [parts, rows, cols], where a sum has several parts
  long each;                   // of which a part takes so many k
};

// A Source is an operand's tile of R·C elements, C of them side by side in memory.
template <class W, int R, int C, int THREADS> struct Source {
  enum { EACH = R * C / 4 / THREADS, CHUNKS = C / 8, BYTES = R * C * 2 };
  float v[EACH][4];
  static DEVICE int row(int i) { return (i * THREADS + thread()) / (C / 4); }
  static DEVICE int column(int i) { return (i * THREADS + thread()) % (C / 4) * 4; }
  // inTile is where the 16 bytes with number chunk of a row lie: 8 rows side by side lie in
  // different banks.
  static DEVICE int inTile(int row, int chunk) { return row * C * 2 + (chunk ^ (CHUNKS == 4 ? row >> 1 & 3 : row & 7)) * 16; }
  // load reads the tile whose first row and column are given, zeros from the ends on.
  template <class Rows> DEVICE void load(const Rows &rows, long firstRow, long endRow, long firstColumn, long endColumn, bool aligned) {
#pragma unroll
    for (int i = 0; i < EACH; i++) {
      long r = firstRow + row(i), c = firstColumn + column(i);
      bool has = r < endRow;
      const W *from = rows.at(has ? r : endRow - 1);
      if (sizeof(W) == 4 && aligned) {
        f32x4 x = has && c < endColumn ? *(const f32x4 *)(from + c) : (f32x4)0.0f;
#pragma unroll
        for (int e = 0; e < 4; e++) v[i][e] = x[e];
      } else {
#pragma unroll
        for (int e = 0; e < 4; e++) v[i][e] = has && c + e < endColumn ? widen(from[c + e]) : 0.0f;
      }
    }
  }
  template <int TERMS> DEVICE void store(char *tile) {
#pragma unroll
    for (int i = 0; i < EACH; i++) {
      u32 t[2][2];
      apart<bf16, TERMS>(t[0], v[i][0], v[i][1]);
      apart<bf16, TERMS>(t[1], v[i][2], v[i][3]);
      char *to = tile + inTile(row(i), column(i) / 8) + column(i) % 8 * 2;
#pragma unroll
      for (int e = 0; e < TERMS; e++) *(u32x2 *)(to + e * BYTES) = u32x2{t[0][e], t[1][e]};
    }
  }
};
template <class W> struct Direct {
  Mat<const W> m;
  DEVICE const W *at(long r) const { return m.row(r); }
};
// Chosen is rows by the slots of a sorted list.
template <class W> struct Chosen {
  Mat<const W> m;
  Mat<const int> slots;
  Fault fault;
  long places;
  int k;
  DEVICE const W *at(long r) const {
    if (!slots.p) return m.row(r);
    int slot = *slots.row(r);
    if (slot < 0 || slot >= places) {
      fault.report(BAD_SLOT, slot, (int)r);
      slot = 0;
    }
    return m.row(slot / k);
  }
};

// A Span is what a block works on: rows [row, end) of dst, and k in [from, to).
struct Span { long row, end, from, to, expert; bool valid; };
template <int KIND, int SIDE, class W> DEVICE Span span(const ProductArgs<W> &p) {
  Span s = {blockY() * SIDE, p.rows, 0, p.inner, 0, true};
  if (!p.offsets.p) {
    if (KIND == TN && p.part) {
      s.from = blockZ() * p.each;
      s.to = s.from + p.each < p.inner ? s.from + p.each : p.inner;
    }
    return s;
  }
  long skip = blockY();
  for (int e = 0; e < (int)p.experts; e++) {
    long from = *p.offsets.row(e), end = *p.offsets.row(e + 1);
    if (from < 0 || end < from || end > p.places) {
      if (thread() == 0) p.fault.report(BAD_OFFSET, e, (int)end);
      return {0, 0, 0, 0, 0, false};
    }
    if (KIND == TN) {
      if (e == blockZ()) {
        s.from = from;
        s.to = end;
        s.expert = e;
      }
      continue;
    }
    long tiles = (end - from + SIDE - 1) / SIDE;
    if (skip >= 0 && skip < tiles) {
      s.row = from + skip * SIDE;
      s.end = end;
      s.expert = e;
    }
    skip -= tiles;
  }
  s.valid = KIND == TN ? s.to > s.from : skip < 0;
  return s;
}

template <int KIND, int SIDE, int TERMS, class W> struct Product {
  enum { THREADS = 2 * SIDE, ROWS = SIDE / 32, COLUMNS = 4 }; // m16n8 of a warp, which has SIDE/2 rows and 32 columns
  enum { AR = KIND == TN ? DEPTH : SIDE, AC = KIND == TN ? SIDE : DEPTH, BR = KIND == NT ? SIDE : DEPTH, BC = KIND == NT ? DEPTH : SIDE };
  typedef Source<float, AR, AC, THREADS> A;
  typedef Source<W, BR, BC, THREADS> B;
  enum { BYTES = TERMS * (A::BYTES + B::BYTES) };
  A a;
  B b;
  float sum[ROWS][COLUMNS][4];

  DEVICE void load(const ProductArgs<W> &p, const Span &s, long column, long k) {
    Chosen<float> rows = {p.a, p.slots, p.fault, p.places, (int)p.k};
    if (KIND == TN) { // the activations are b, and it is their rows that slots choose
      Chosen<W> chosen = {p.b, p.slots, p.fault, p.places, (int)p.k};
      a.load(Direct<float>{p.a}, k, s.to, s.row, s.end, p.alignedA);
      b.load(chosen, k, s.to, column, p.cols, p.alignedB);
      return;
    }
    if (KIND == NT) {
      a.load(rows, s.row, s.end, k, s.to, p.alignedA);
      b.load(Direct<W>{{p.b.row(s.expert * p.cols), p.b.stride}}, column, p.cols, k, s.to, p.alignedB);
    } else {
      a.load(Direct<float>{p.a}, s.row, s.end, k, s.to, p.alignedA);
      b.load(Direct<W>{{p.b.row(s.expert * p.inner), p.b.stride}}, k, s.to, column, p.cols, p.alignedB);
    }
  }
  // fragmentA loads 16 rows from m on and 16 of k.
  static DEVICE void fragmentA(u32 *r, u64 tile, int m, int k) {
    if (KIND == TN)
      loadTransposed(r, tile + A::inTile(k + lane() / 16 * 8 + lane() % 8, m / 8 + lane() / 8 % 2));
    else
      loadMatrices(r, tile + A::inTile(m + lane() % 16, k / 8 + lane() / 16));
  }
  // fragmentB loads 16 columns from n on and 16 of k: two of each for 8 columns.
  static DEVICE void fragmentB(u32 *r, u64 tile, int n, int k) {
    if (KIND == NT)
      loadMatrices(r, tile + B::inTile(n + lane() % 8 + lane() / 16 * 8, k / 8 + lane() / 8 % 2));
    else
      loadTransposed(r, tile + B::inTile(k + lane() / 8 % 2 * 8 + lane() % 8, n / 8 + lane() / 16));
  }
  DEVICE void multiplyTile(u64 shared) {
    int m0 = warp() % 2 * (SIDE / 2), n0 = warp() / 2 * 32;
#pragma unroll
    for (int k = 0; k < DEPTH; k += 16) {
      u32 fb[TERMS][COLUMNS / 2][4];
#pragma unroll
      for (int t = 0; t < TERMS; t++)
#pragma unroll
        for (int j = 0; j < COLUMNS / 2; j++) fragmentB(fb[t][j], shared + TERMS * A::BYTES + t * B::BYTES, n0 + 16 * j, k);
#pragma unroll
      for (int i = 0; i < ROWS; i++)
#pragma unroll
        for (int t = 0; t < TERMS; t++) {
          u32 fa[4];
          fragmentA(fa, shared + t * A::BYTES, m0 + 16 * i, k);
#pragma unroll
          for (int u = 0; u < TERMS - t; u++)
#pragma unroll
            for (int j = 0; j < COLUMNS; j++) multiply<bf16>(sum[i][j], fa, fb[u][j / 2] + j % 2 * 2);
        }
    }
  }
  DEVICE void run(const ProductArgs<W> &p, const Span &s, char *memory) {
    long column = blockX() * SIDE;
    u64 shared = sharedAddress(memory);
#pragma unroll
    for (int i = 0; i < ROWS; i++)
#pragma unroll
      for (int j = 0; j < COLUMNS; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) sum[i][j][e] = 0;
    load(p, s, column, s.from);
#pragma unroll 1
    for (long k = s.from; k < s.to; k += DEPTH) {
      a.template store<TERMS>(memory);
      b.template store<TERMS>(memory + TERMS * A::BYTES);
      barrier();
      if (k + DEPTH < s.to) load(p, s, column, k + DEPTH);
      multiplyTile(shared);
      barrier();
    }
    store(p, s, column);
  }
  DEVICE void store(const ProductArgs<W> &p, const Span &s, long column) {
    long row = s.row + warp() % 2 * (SIDE / 2) + lane() / 4;
    column += warp() / 2 * 32 + lane() % 4 * 2;
    const float *bias = KIND == NT && p.bias.p ? p.bias.row(s.expert) : nullptr;
#pragma unroll
    for (int i = 0; i < ROWS; i++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        long m = row + 16 * i + 8 * half;
        if (m >= s.end) continue;
        float *dst = KIND == TN && p.part ? p.part + (blockZ() * p.rows + m) * p.cols : p.dst.row(KIND == TN ? s.expert * p.rows + m : m);
#pragma unroll
        for (int j = 0; j < COLUMNS; j++)
#pragma unroll
          for (int e = 0; e < 2; e++) {
            long n = column + 8 * j + e;
            if (n >= p.cols) continue;
            float v = sum[i][j][2 * half + e];
            if (KIND == TN && !p.part) v += dst[n];
            dst[n] = bias ? v + bias[n] : v;
          }
      }
  }
};

// blockX is a tile of columns, blockY of rows (of all experts: each begins one), blockZ a part of
// the sum, or an expert.
template <int KIND, int SIDE, int TERMS, class W> DEVICE void product(const ProductArgs<W> &p, char *memory) {
  if (p.fault.set()) return;
  Span s = span<KIND, SIDE>(p);
  if (!s.valid) return;
  Product<KIND, SIDE, TERMS, W> tile;
  tile.run(p, s, memory);
}
#define PRODUCT(name, KIND, SIDE, TERMS, W)                                                                   \
  KERNEL __attribute__((launch_bounds(2 * SIDE, SIDE == 64 ? 3 : 1))) void product_##name##SIDE##_##TERMS(ProductArgs<W> p) { \
    SHARED __attribute__((aligned(128))) char memory[Product<KIND, SIDE, TERMS, W>::BYTES];                   \
    product<KIND, SIDE, TERMS, W>(p, memory);                                                                 \
  }
#define PRODUCTS(name, KIND) PRODUCT(name, KIND, 64, 1, float) PRODUCT(name, KIND, 64, 2, float) PRODUCT(name, KIND, 128, 1, float) PRODUCT(name, KIND, 128, 2, float)
