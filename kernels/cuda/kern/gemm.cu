// Products of many rows on tensor cores: bf16 weights, and activations that are taken apart
// into one or two bf16 first, a ≈ high + low. With one, an activation is rounded to 8 bits of
// fraction; with two, to 16, which is next to float32 (see gemm.go). Sums are float32.
#include "tensor.h"
#include "act.h"

// split: blockX is a row of the result, which lies in memory as wide as BLOCK_K wants it, the
// columns beyond in set to zero. With slots the rows are those of a sorted list.
struct SplitArgs {
  Fault fault;
  Mat<bf16> high, low; // low may be absent
  Mat<const float> a;
  Mat<const int> slots;
  long in, width, places, k;
  long aligned; // rows of a, to 16 bytes, and in is a multiple of 4
};
KERNEL void split(SplitArgs s) {
  if (s.fault.set()) return;
  long row = blockX();
  if (s.slots.p) {
    int slot = *s.slots.row(row);
    if (slot < 0 || slot >= s.places) {
      if (thread() == 0) s.fault.report(BAD_SLOT, slot, (int)row);
      return;
    }
    row = slot / (int)s.k;
  }
  const float *a = s.a.row(row);
  bf16 *high = s.high.row(blockX()), *low = s.low.p ? s.low.row(blockX()) : nullptr;
  if (s.aligned) {
    for (int k = 4 * thread(); k < (int)s.width; k += 4 * threads()) {
      f32x4 x = k < (int)s.in ? *(const f32x4 *)(a + k) : (f32x4)0.0f;
      u32 t[2][2];
      apart<bf16, 2>(t[0], x[0], x[1]);
      apart<bf16, 2>(t[1], x[2], x[3]);
      *(u32x2 *)(high + k) = u32x2{t[0][0], t[1][0]};
      if (low) *(u32x2 *)(low + k) = u32x2{t[0][1], t[1][1]};
    }
    return;
  }
  for (int k = thread(); k < (int)s.width; k += threads()) {
    float x = k < (int)s.in ? a[k] : 0.0f;
    store(high + k, x);
    if (low) store(low + k, x - widen(high[k]));
  }
}

enum { BLOCK_K = 32, ROW_BYTES = 2 * BLOCK_K, CHUNK = 16 };

// inTile is where the 16 bytes with number chunk of a row lie in a tile: moved about, so that 8
// rows side by side lie in different banks.
DEVICE int inTile(int row, int chunk) { return row * ROW_BYTES + (chunk ^ (row >> 1 & 3)) * CHUNK; }

struct GemmArgs {
  Fault fault;
  Mat<float> dst;
  Mat<const bf16> high, low, b;
  Mat<const float> bias;
  long rows, in, out;
  // of grouped products only: dst's and a's rows are sorted by expert
  Mat<const int> offsets;
  long experts;
};

// A Tile of the result is SIDE·SIDE; warps have SIDE/2 rows and 32 columns each.
template <int SIDE, int TERMS> struct Tile {
  enum { THREADS = 2 * SIDE, STAGES = TERMS == 1 && SIDE < 128 ? 4 : TERMS == 1 ? 3 : 2, BYTES = SIDE * ROW_BYTES, STAGE = (TERMS + 1) * BYTES };
  enum { ROWS = SIDE / 32, COLUMNS = 4 }; // of m16n8 in a warp
  const bf16 *from[TERMS + 1][2];
  int to[2];
  bool wanted[TERMS + 1][2];
  int column;
  float sum[ROWS][COLUMNS][4];

  // begin finds what a thread copies: 2 chunks of each matrix.
  DEVICE void begin(const GemmArgs &g, const bf16 *b, long row, long end, long column0) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      int at = i * THREADS + thread(), r = at / 4, c = at % 4;
      long m = row + r < end ? row + r : end - 1, n = column0 + r;
      bool inside = n < g.out;
      to[i] = inTile(r, c);
      column = 8 * c;
      from[0][i] = g.high.row(m) + column;
      wanted[0][i] = true;
      if (TERMS == 2) {
        from[1][i] = g.low.row(m) + column;
        wanted[1][i] = true;
      }
      from[TERMS][i] = b + (inside ? n : 0) * g.b.stride + column;
      wanted[TERMS][i] = inside;
    }
#pragma unroll
    for (int i = 0; i < ROWS; i++)
#pragma unroll
      for (int j = 0; j < COLUMNS; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) sum[i][j][e] = 0;
  }
  DEVICE void copy(const GemmArgs &g, u64 tile, int k) {
    if (k >= (int)g.in) return;
#pragma unroll
    for (int t = 0; t <= TERMS; t++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        bool has = wanted[t][i] && (t < TERMS || k + column < (int)g.in);
        copyAsync(tile + t * BYTES + to[i], has ? from[t][i] + k : from[t][i], has);
      }
  }
  DEVICE void multiplyTile(u64 tile) {
    int m0 = warp() % 2 * (SIDE / 2), n0 = warp() / 2 * 32;
#pragma unroll
    for (int k = 0; k < BLOCK_K / 8; k += 2) {
      u32 b[COLUMNS][2];
#pragma unroll
      for (int j = 0; j < COLUMNS; j += 2) {
        u32 r[4];
        loadMatrices(r, tile + TERMS * BYTES + inTile(n0 + 8 * j + lane() % 8 + lane() / 16 * 8, k + lane() / 8 % 2));
        b[j][0] = r[0]; b[j][1] = r[1];
        b[j + 1][0] = r[2]; b[j + 1][1] = r[3];
      }
#pragma unroll
      for (int t = 0; t < TERMS; t++)
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
          u32 a[4];
          loadMatrices(a, tile + t * BYTES + inTile(m0 + 16 * i + lane() % 16, k + lane() / 16));
#pragma unroll
          for (int j = 0; j < COLUMNS; j++) multiply<bf16>(sum[i][j], a, b[j]);
        }
    }
  }
  DEVICE void run(const GemmArgs &g, u64 shared) {
    int tiles = ((int)g.in + BLOCK_K - 1) / BLOCK_K;
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
      copy(g, shared + s * STAGE, s * BLOCK_K);
      commitCopies();
    }
    int stage = 0;
#pragma unroll 1
    for (int t = 0; t < tiles; t++) {
      awaitCopies<STAGES - 2>();
      barrier(); // the tile is there for all, and the one before has been used by all
      int next = stage == 0 ? STAGES - 1 : stage - 1;
      copy(g, shared + next * STAGE, (t + STAGES - 1) * BLOCK_K);
      commitCopies();
      multiplyTile(shared + stage * STAGE);
      stage = stage + 1 == STAGES ? 0 : stage + 1;
    }
  }
  DEVICE void store(const GemmArgs &g, const float *bias, long row, long end, long column0) {
    row += warp() % 2 * (SIDE / 2) + lane() / 4;
    column0 += warp() / 2 * 32 + lane() % 4 * 2;
#pragma unroll
    for (int j = 0; j < COLUMNS; j++) {
      long n = column0 + 8 * j;
      float bias0 = bias && n < g.out ? bias[n] : 0.0f, bias1 = bias && n + 1 < g.out ? bias[n + 1] : 0.0f;
#pragma unroll
      for (int i = 0; i < ROWS; i++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
          long m = row + 16 * i + 8 * half;
          if (m >= end) continue;
          float *dst = g.dst.row(m) + n;
          if (n < g.out) dst[0] = sum[i][j][2 * half] + bias0;
          if (n + 1 < g.out) dst[1] = sum[i][j][2 * half + 1] + bias1;
        }
    }
  }
};

// gemm: blockX is a tile of columns, blockY of rows, so that blocks that run together share
// rows of a and all of b in the cache.
template <int SIDE, int TERMS> DEVICE void gemm(const GemmArgs &g, char *shared) {
  if (g.fault.set()) return;
  Tile<SIDE, TERMS> tile;
  long row = blockY() * SIDE, column = blockX() * SIDE;
  tile.begin(g, g.b.p, row, g.rows, column);
  tile.run(g, sharedAddress(shared));
  tile.store(g, g.bias.p, row, g.rows, column);
}

// gemmGroup: blockY counts the tiles of all experts, each of which begins one.
template <int SIDE, int TERMS> DEVICE void gemmGroup(const GemmArgs &g, char *shared) {
  if (g.fault.set()) return;
  long skip = blockY(), from = 0, end = 0;
  int expert = 0;
  for (;; expert++) {
    if (expert == (int)g.experts) return;
    from = *g.offsets.row(expert);
    end = *g.offsets.row(expert + 1);
    if (from < 0 || end < from || end > g.rows) {
      if (thread() == 0) g.fault.report(BAD_OFFSET, expert, (int)end);
      return;
    }
    long tiles = (end - from + SIDE - 1) / SIDE;
    if (skip < tiles) break;
    skip -= tiles;
  }
  Tile<SIDE, TERMS> tile;
  long row = from + skip * SIDE, column = blockX() * SIDE;
  tile.begin(g, g.b.row(expert * g.out), row, end, column);
  tile.run(g, sharedAddress(shared));
  tile.store(g, g.bias.p ? g.bias.row(expert) : nullptr, row, end, column);
}
#define GEMM(SIDE, TERMS)                                                                                     \
  KERNEL __attribute__((launch_bounds(2 * SIDE, 2))) void gemm##SIDE##_##TERMS(GemmArgs g) {                 \
    SHARED __attribute__((aligned(128))) char shared[Tile<SIDE, TERMS>::STAGES * Tile<SIDE, TERMS>::STAGE];   \
    gemm<SIDE, TERMS>(g, shared);                                                                             \
  }                                                                                                           \
  KERNEL __attribute__((launch_bounds(2 * SIDE, 2))) void gemmgroup##SIDE##_##TERMS(GemmArgs g) {            \
    SHARED __attribute__((aligned(128))) char shared[Tile<SIDE, TERMS>::STAGES * Tile<SIDE, TERMS>::STAGE];   \
    gemmGroup<SIDE, TERMS>(g, shared);                                                                        \
  }
GEMM(64, 1)
GEMM(64, 2)
GEMM(128, 1)
GEMM(128, 2)
