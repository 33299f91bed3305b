// The gradient of Attend for many queries, on tensor cores (FlashAttention-2, arXiv:2307.08691): weights
// are computed again, tile by tile, from the logarithms of their sums that were kept. All operands are
// planes (planes.cu) of TERMS bf16, of queries times scale·log₂e; products leave out that of the lower
// halves, as product.h does. Sums are in an order that shapes decide: of a query over its keys by one
// kernel, of a key over queries by another.
#include "mathf.h"
#include "tensor.h"

#define LOG2E 1.4426950408889634

// attend_grad_stats: a warp a query of a head. It leaves what gradients of its scores need: lse·log₂e,
// and ⟨g, out⟩, by head; zeros for queries up to a multiple of 64, whose gradients are zeros.
struct StatsArgs { Fault fault; f32x2 *stats; Mat<const float> g, out, lse; long n, padded, head, heads; };
KERNEL void attend_grad_stats(StatsArgs a) {
  if (a.fault.set()) return;
  long t = blockX() * (threads() / 32) + warp(), head = blockY(), row = blockZ() * a.n + t;
  if (t >= a.padded) return;
  f32x2 s = 0;
  if (t < a.n) {
    const float *g = a.g.row(row) + head * a.head, *out = a.out.row(row) + head * a.head;
    float sum = 0;
    for (int d = lane(); d < (int)a.head; d += 32) sum += g[d] * out[d];
    s[0] = a.lse.row(row)[head] * (float)LOG2E;
    s[1] = sumWarp(sum);
  }
  if (lane() == 0) a.stats[(blockZ() * a.heads + head) * a.padded + t] = s;
}

struct FlashGradArgs {
  Fault fault;
  Mat<float> dq, dk, dv;
  const char *q, *g, *k, *v;
  long lowQ, lowK;       // bytes to the second plane, of q and g, and of k and v
  const f32x2 *stats;
  long padded;           // of them for a head
  long n, length, head, heads, perKV;
  double scale;
};

// A block has ROWS queries or keys, a warp 16 of them, and goes through OTHER of the others at a time.
template <int DIM, int TERMS> struct Grad {
  enum { ROWS = 64, OTHER = DIM * TERMS > 128 ? 16 : 32, THREADS = 128, CHUNKS = DIM / 8, STAGES = DIM <= 64 ? 2 : 1 };
  enum { PLANE = ROWS * DIM * 2, OTHER_PLANE = OTHER * DIM * 2, OWN = 2 * TERMS * PLANE, STAGE = 2 * TERMS * OTHER_PLANE };
  static DEVICE int inTile(int row, int chunk) { return row * DIM * 2 + (chunk ^ (row & 7)) * 16; }
  // copy brings N rows, of which has are there and the others become zeros.
  template <int N> static DEVICE void copy(u64 tile, const char *from, long width, long low, int has) {
#pragma unroll
    for (int i = thread(); i < N * CHUNKS; i += THREADS) {
      int r = i / CHUNKS, c = i % CHUNKS;
      bool in = r < has;
      const char *at = in ? from + r * width + c * 16 : from;
#pragma unroll
      for (int t = 0; t < TERMS; t++) copyAsync(tile + t * N * DIM * 2 + inTile(r, c), at + t * low, in);
    }
  }
  // scores multiplies 16 rows of the block's own tile, from row on, with all of another's.
  static DEVICE void scores(float (*score)[4], u64 own, int row, u64 other) {
#pragma unroll
    for (int j = 0; j < OTHER / 8; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) score[j][e] = 0;
#pragma unroll
    for (int s = 0; s < DIM / 16; s++) {
      u32 a[TERMS][4], b[4];
#pragma unroll
      for (int t = 0; t < TERMS; t++) loadMatrices(a[t], own + t * PLANE + inTile(row + lane() % 16, 2 * s + lane() / 16));
#pragma unroll
      for (int j = 0; j < OTHER / 8; j += 2)
#pragma unroll
        for (int u = 0; u < TERMS; u++) {
          loadMatrices(b, other + u * OTHER_PLANE + inTile(8 * j + lane() % 8 + lane() / 16 * 8, 2 * s + lane() / 8 % 2));
#pragma unroll
          for (int t = 0; t < TERMS - u; t++) {
            multiply<bf16>(score[j], a[t], b);
            multiply<bf16>(score[j + 1], a[t], b + 2);
          }
        }
    }
  }
  // add is sum += weight·other.
  static DEVICE void add(float (*sum)[4], float (*weight)[4], u64 other) {
#pragma unroll
    for (int s = 0; s < OTHER / 16; s++) {
      u32 w[4][2], a[TERMS][4], b[4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const float *pair = &weight[2 * s + i / 2][i % 2 * 2];
        apart<bf16, TERMS>(w[i], pair[0], pair[1]);
#pragma unroll
        for (int t = 0; t < TERMS; t++) a[t][i] = w[i][t];
      }
#pragma unroll
      for (int j = 0; j < DIM / 8; j += 2)
#pragma unroll
        for (int u = 0; u < TERMS; u++) {
          loadTransposed(b, other + u * OTHER_PLANE + inTile(16 * s + lane() % 16, j + lane() / 16));
#pragma unroll
          for (int t = 0; t < TERMS - u; t++) {
            multiply<bf16>(sum[j], a[t], b);
            multiply<bf16>(sum[j + 1], a[t], b + 2);
          }
        }
    }
  }
  static DEVICE void clear(float (*sum)[4]) {
#pragma unroll
    for (int j = 0; j < DIM / 8; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) sum[j][e] = 0;
  }
  // store writes a warp's rows, of which there are rows, as far as the head goes.
  static DEVICE void store(const Mat<float> &to, long first, long column, int rows, int head, const float (*sum)[4], float scale) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int row = lane() / 4 + 8 * half, d = lane() % 4 * 2;
      if (row >= rows) continue;
      float *dst = to.row(first + row) + column + d;
#pragma unroll
      for (int j = 0; j < DIM / 8; j++)
#pragma unroll
        for (int e = 0; e < 2; e++)
          if (8 * j + d + e < head) dst[8 * j + e] = sum[j][2 * half + e] * scale;
    }
  }
};

extern SHARED __attribute__((aligned(128))) char tiles[];

// flash_grad_q: blockX is a head, blockY the queries of a block, from the last ones on, blockZ a sequence.
template <int DIM, int TERMS> DEVICE void flashGradQ(const FlashGradArgs &a) {
  typedef Grad<DIM, TERMS> G;
  if (a.fault.set()) return;
  long head = blockX(), sequence = blockZ(), widthQ = a.heads * DIM * 2, widthK = a.heads / a.perKV * DIM * 2;
  int tile = (blocksY() - 1 - (int)blockY()) * G::ROWS, n = (int)a.n, end = tile + G::ROWS < n ? tile + G::ROWS : n;
  long own = (sequence * n + tile) * widthQ + head * DIM * 2, other = sequence * a.length * widthK + head / a.perKV * DIM * 2;
  u64 q = sharedAddress(tiles), g = q + TERMS * G::PLANE, ring = q + G::OWN;
  G::template copy<G::ROWS>(q, a.q + own, widthQ, a.lowQ, end - tile);
  G::template copy<G::ROWS>(g, a.g + own, widthQ, a.lowQ, end - tile);
  int row = warp() * 16, query = tile + row + lane() / 4;
  const f32x2 *stats = a.stats + (sequence * a.heads + head) * a.padded + query;
  f32x2 stat[2] = {stats[0], stats[8]};
  float dq[DIM / 8][4];
  G::clear(dq);
  auto bring = [&](int key, int stage) {
    u64 to = ring + stage * G::STAGE;
    G::template copy<G::OTHER>(to, a.k + other + key * widthK, widthK, a.lowK, end - key);
    G::template copy<G::OTHER>(to + G::STAGE / 2, a.v + other + key * widthK, widthK, a.lowK, end - key);
  };
  bring(0, 0);
  commitCopies();
#pragma unroll 1
  for (int key = 0, stage = 0; key < end; key += G::OTHER) {
    awaitCopies<0>();
    barrier();
    u64 k = ring + stage * G::STAGE, v = k + G::STAGE / 2;
    if (G::STAGES == 2) {
      stage ^= 1;
      if (key + G::OTHER < end) bring(key + G::OTHER, stage);
      commitCopies();
    }
    float p[G::OTHER / 8][4], dp[G::OTHER / 8][4];
    G::scores(p, q, row, k);
    G::scores(dp, g, row, v);
#pragma unroll
    for (int j = 0; j < G::OTHER / 8; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        bool seen = key + 8 * j + lane() % 4 * 2 + e % 2 <= query + e / 2 * 8;
        p[j][e] = seen ? exp2Fast(p[j][e] - stat[e / 2][0]) * (dp[j][e] - stat[e / 2][1]) : 0.0f;
      }
    G::add(dq, p, k);
    if (G::STAGES == 1) {
      barrier();
      if (key + G::OTHER < end) bring(key + G::OTHER, 0);
      commitCopies();
    }
  }
  G::store(a.dq, sequence * n + tile + row, head * a.head, end - tile - row, (int)a.head, dq, (float)a.scale);
}

// flash_grad_kv: blockX is a key-value head, blockY the keys of a block, blockZ a sequence.
template <int DIM, int TERMS> DEVICE void flashGradKV(const FlashGradArgs &a) {
  typedef Grad<DIM, TERMS> G;
  if (a.fault.set()) return;
  long kv = blockX(), sequence = blockZ(), widthQ = a.heads * DIM * 2, widthK = a.heads / a.perKV * DIM * 2;
  int tile = (int)blockY() * G::ROWS, n = (int)a.n, rows = n - tile < G::ROWS ? n - tile : G::ROWS;
  long own = (sequence * a.length + tile) * widthK + kv * DIM * 2;
  u64 k = sharedAddress(tiles), v = k + TERMS * G::PLANE, ring = k + G::OWN;
  G::template copy<G::ROWS>(k, a.k + own, widthK, a.lowK, rows);
  G::template copy<G::ROWS>(v, a.v + own, widthK, a.lowK, rows);
  int row = warp() * 16, key = tile + row + lane() / 4;
  float dk[DIM / 8][4], dv[DIM / 8][4];
  G::clear(dk);
  G::clear(dv);
  // steps are the tiles of queries, the block's own and later ones, of one head after another
  int each = (n - tile + G::OTHER - 1) / G::OTHER, steps = each * (int)a.perKV;
  auto bring = [&](int step, int stage) {
    int query = tile + step % each * G::OTHER;
    long from = (sequence * n + query) * widthQ + (kv * a.perKV + step / each) * DIM * 2;
    u64 to = ring + stage * G::STAGE;
    G::template copy<G::OTHER>(to, a.q + from, widthQ, a.lowQ, n - query);
    G::template copy<G::OTHER>(to + G::STAGE / 2, a.g + from, widthQ, a.lowQ, n - query);
  };
  bring(0, 0);
  commitCopies();
#pragma unroll 1
  for (int step = 0, stage = 0; step < steps; step++) {
    awaitCopies<0>();
    barrier();
    u64 q = ring + stage * G::STAGE, g = q + G::STAGE / 2;
    if (G::STAGES == 2) {
      stage ^= 1;
      if (step + 1 < steps) bring(step + 1, stage);
      commitCopies();
    }
    float p[G::OTHER / 8][4], dp[G::OTHER / 8][4];
    G::scores(p, k, row, q);
    G::scores(dp, v, row, g);
    int query = tile + step % each * G::OTHER + lane() % 4 * 2;
    const f32x2 *stats = a.stats + (sequence * a.heads + kv * a.perKV + step / each) * a.padded + query;
#pragma unroll
    for (int j = 0; j < G::OTHER / 8; j++) {
      f32x4 stat = *(const f32x4 *)(stats + 8 * j); // of two queries
#pragma unroll
      for (int e = 0; e < 4; e++) {
        bool seen = key + e / 2 * 8 <= query + 8 * j + e % 2;
        p[j][e] = seen ? exp2Fast(p[j][e] - stat[e % 2 * 2]) : 0.0f;
        dp[j][e] = seen ? p[j][e] * (dp[j][e] - stat[e % 2 * 2 + 1]) : 0.0f;
      }
    }
    G::add(dv, p, g);
    G::add(dk, dp, q);
    if (G::STAGES == 1) {
      barrier();
      if (step + 1 < steps) bring(step + 1, 0);
      commitCopies();
    }
  }
  long first = sequence * a.length + tile + row;
  G::store(a.dv, first, kv * a.head, rows - row, (int)a.head, dv, 1.0f);
  G::store(a.dk, first, kv * a.head, rows - row, (int)a.head, dk, (float)(1 / LOG2E));
}
#define FLASH_GRAD(DIM, TERMS, BLOCKS)                                                                        \
  KERNEL __attribute__((launch_bounds(128, BLOCKS))) void flash_grad_q##DIM##_##TERMS(FlashGradArgs a) { flashGradQ<DIM, TERMS>(a); } \
  KERNEL __attribute__((launch_bounds(128, BLOCKS))) void flash_grad_kv##DIM##_##TERMS(FlashGradArgs a) { flashGradKV<DIM, TERMS>(a); }
FLASH_GRAD(64, 1, 3) FLASH_GRAD(64, 2, 3) FLASH_GRAD(128, 1, 2) FLASH_GRAD(128, 2, 2)
