// Products of many rows by wgmma: gemm.cu for compute capability 9.0. A block has two warpgroups
// that multiply, 64 rows of a tile each, and a warp that keeps a ring of tiles filled for them; it
// goes from tile to tile, so that copies for the next one run while the sums of the last are
// stored. Both operands are panels (pack.cu).
#include "wgmma.h"
#include "panel.h"

struct TensorArgs {
  Fault fault;
  Mat<float> dst;
  const char *high, *low, *b; // panels; low may be absent
  Mat<const float> bias;
  long rows, steps, out;       // steps of 64 along the inner dimension
  long aRows, bRows;           // rows of a panel
  long pairs;                  // two elements of dst can be stored at once
  // of grouped products only: dst's rows are sorted by expert, and a's by groupStart
  Mat<const int> offsets;
  long experts;
};
enum { TILE_ROWS = 128, CONSUMERS = 8, TENSOR_THREADS = 32 * (CONSUMERS + 1), RING_BYTES = 226 << 10, BARRIER_BYTES = 1024 };

// A Place is a tile of the result: rows from row to end of dst, those of a from aRow on, columns
// from column on, of b from bRow on.
struct TilePlace { long row, end, aRow, column, bRow, expert; };

template <int COLUMNS, int TERMS> struct Ring {
  enum { A = TILE_ROWS * PANEL_BYTES, STAGE = TERMS * A + COLUMNS * PANEL_BYTES, STAGES = RING_BYTES / STAGE };
  u64 shared;
  int stage, parity;
  DEVICE void begin(u64 at) { shared = at; stage = 0; parity = 0; }
  DEVICE void next() {
    if (++stage == STAGES) { stage = 0; parity ^= 1; }
  }
  DEVICE u64 full() const { return shared + 16 * stage; }
  DEVICE u64 empty() const { return shared + 16 * stage + 8; }
  DEVICE u64 tile() const { return shared + BARRIER_BYTES + stage * STAGE; }

  DEVICE void fill(const TensorArgs &g, const TilePlace &p) { // by one thread
    const char *high = g.high + p.aRow * PANEL_BYTES, *low = g.low + p.aRow * PANEL_BYTES, *b = g.b + p.bRow * PANEL_BYTES;
#pragma unroll 1
    for (int s = 0; s < (int)g.steps; s++) {
      awaitPhase(empty(), parity ^ 1);
      arriveAndExpect(full(), STAGE);
      copyTile(tile(), high, A, full());
      if (TERMS == 2) copyTile(tile() + A, low, A, full());
      copyTile(tile() + TERMS * A, b, COLUMNS * PANEL_BYTES, full());
      high += g.aRows * PANEL_BYTES;
      low += g.aRows * PANEL_BYTES;
      b += g.bRows * PANEL_BYTES;
      next();
    }
  }
  DEVICE void multiply(const TensorArgs &g, float *sum) { // by warps 0 to 7
    int mine = warp() / 4 * (A / 2);
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; i++) sum[i] = 0;
#pragma unroll 1
    for (int s = 0; s < (int)g.steps; s++) {
      awaitPhase(full(), parity);
      together();
      u64 b = describeTile(tile() + TERMS * A);
#pragma unroll
      for (int t = 0; t < TERMS; t++) multiplyPanel<COLUMNS>(sum, describeTile(tile() + t * A + mine), b);
      if (lane() == 0) arrive(empty());
      next();
    }
  }
};

template <int COLUMNS> DEVICE void storeTile(const TensorArgs &g, const TilePlace &p, const float *sum) {
  const float *bias = g.bias.p ? g.bias.row(p.expert) : nullptr;
  long row = p.row + warp() * 16 + lane() / 4, column0 = p.column + lane() % 4 * 2;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    long m = row + 8 * half;
    if (m >= p.end) continue;
    float *dst = g.dst.row(m);
#pragma unroll
    for (int j = 0; j < COLUMNS / 8; j++) {
      long n = column0 + 8 * j;
      if (n >= g.out) continue;
      float x = sum[4 * j + 2 * half], y = sum[4 * j + 2 * half + 1];
      if (bias) {
        x += bias[n];
        if (n + 1 < g.out) y += bias[n + 1];
      }
      if (g.pairs) {
        f32x2 both = {x, y};
        *(f32x2 *)(dst + n) = both;
      } else {
        dst[n] = x;
        if (n + 1 < g.out) dst[n + 1] = y;
      }
    }
  }
}

// Tiles counts a block's tiles, of all experts if there are any: those side by side share rows.
template <int COLUMNS, bool GROUPED> struct Tiles {
  int next, across, expert;
  int before, tiles; // of the expert: tiles of rows before it, and its own
  long from, end;    // its rows
  DEVICE void begin(const TensorArgs &g) {
    next = (int)blockX();
    across = ((int)g.out + COLUMNS - 1) / COLUMNS;
    expert = -1;
    before = tiles = 0;
    from = 0;
    end = g.rows;
    if (!GROUPED) tiles = ((int)g.rows + TILE_ROWS - 1) / TILE_ROWS;
  }
  DEVICE bool take(const TensorArgs &g, TilePlace *p) {
    int down = next / across, column = next % across * COLUMNS;
    next += blocksX();
    while (down >= before + tiles) {
      if (!GROUPED || expert + 1 == (int)g.experts) return false;
      expert++;
      before += tiles;
      from = *g.offsets.row(expert);
      end = *g.offsets.row(expert + 1);
      if (from < 0 || end < from || end > g.rows) {
        if (thread() == 0) g.fault.report(BAD_OFFSET, expert, (int)end);
        return false;
      }
      tiles = (int)(end - from + TILE_ROWS - 1) / TILE_ROWS;
    }
    long down0 = (down - before) * TILE_ROWS;
    *p = {from + down0, end, (GROUPED ? groupStart(from, expert) : 0) + down0, column, (GROUPED ? expert * g.out : 0) + column,
          GROUPED ? expert : 0};
    return true;
  }
};

extern SHARED __attribute__((aligned(1024))) char ring[];

template <int COLUMNS, int TERMS, bool GROUPED> DEVICE void tensor(const TensorArgs &g) {
  if (g.fault.set()) return;
  Ring<COLUMNS, TERMS> r;
  r.begin(sharedAddress(ring));
  if (thread() == 0) {
    for (int i = 0; i < r.STAGES; i++) {
      beginBarrier(r.shared + 16 * i, 1);
      beginBarrier(r.shared + 16 * i + 8, CONSUMERS);
    }
    showBarriers();
  }
  barrier();
  Tiles<COLUMNS, GROUPED> tiles;
  tiles.begin(g);
  TilePlace p;
  if (warp() == CONSUMERS) {
    if (lane() != 0) return;
    while (tiles.take(g, &p)) r.fill(g, p);
    return;
  }
  float sum[COLUMNS / 2];
  while (tiles.take(g, &p)) {
    r.multiply(g, sum);
    storeTile<COLUMNS>(g, p, sum);
  }
}
#define TENSOR(COLUMNS, TERMS)                                                                                \
  KERNEL __attribute__((launch_bounds(TENSOR_THREADS, 1))) void tensor##COLUMNS##_##TERMS(TensorArgs g) {     \
    tensor<COLUMNS, TERMS, false>(g);                                                                         \
  }                                                                                                           \
  KERNEL __attribute__((launch_bounds(TENSOR_THREADS, 1))) void tensorgroup##COLUMNS##_##TERMS(TensorArgs g) { \
    tensor<COLUMNS, TERMS, true>(g);                                                                          \
  }
TENSOR(128, 1)
TENSOR(128, 2)
TENSOR(192, 1)
TENSOR(192, 2)
