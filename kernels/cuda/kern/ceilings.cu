// What follows measures nothing: it is work of which a clock tells the most that the GPU can do,
// for the speed of ops to be compared with. What a thread found is kept, by warp, so that no
// compiler leaves the work out.
#include "tensor.h"

// read_all has every thread load so many packs of 16 bytes, past the caches of multiprocessors: load
// i of thread t of n is of pack (t + i·n) mod count. Its result is the exclusive or of all words.
struct ReadAllArgs { Fault fault; const u32x4 *p; long count, loads; u32 *out; };
enum { READ_AHEAD = 8 };
DEVICE u32x4 loadPast(const u32x4 *p) {
  u32 a, b, c, d;
  asm volatile("ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(a), "=r"(b), "=r"(c), "=r"(d) : "l"(p));
  return u32x4{a, b, c, d};
}
KERNEL void read_all(ReadAllArgs a) {
  if (a.fault.set()) return;
  u32x4 found = 0;
  long n = (long)blocksX() * threads(), step = n % a.count, at = (blockX() * threads() + thread()) % a.count;
  for (long i = 0; i < a.loads; i += READ_AHEAD) { // loads is a multiple of it
    u32x4 v[READ_AHEAD];
#pragma unroll
    for (int j = 0; j < READ_AHEAD; j++) {
      v[j] = loadPast(a.p + at);
      at += step;
      if (at >= a.count) at -= a.count;
    }
#pragma unroll
    for (int j = 0; j < READ_AHEAD; j++) found ^= v[j];
  }
  u32 x = found[0] ^ found[1] ^ found[2] ^ found[3];
#pragma unroll
  for (int m = 16; m; m >>= 1) x ^= swap(x, m);
  if (lane() == 0) a.out[blockX() * (threads() / 32) + warp()] = x;
}

// fused: rounds of multiply-adds in registers, CHAINS that do not wait for one another, a round
// being FUSED_ROUND of each. With a factor and a summand of 1 the result counts them.
struct FusedArgs { Fault fault; double factor, summand; long rounds; float *out; };
enum { CHAINS = 16, FUSED_ROUND = 8 };
KERNEL void fused(FusedArgs a) {
  if (a.fault.set()) return;
  float c[CHAINS], x = (float)a.factor, y = (float)a.summand;
#pragma unroll
  for (int i = 0; i < CHAINS; i++) c[i] = 0;
  for (int r = 0; r < (int)a.rounds; r++) {
#pragma unroll
    for (int j = 0; j < FUSED_ROUND; j++)
#pragma unroll
      for (int i = 0; i < CHAINS; i++) c[i] = __builtin_fmaf(c[i], x, y);
  }
  float sum = 0;
#pragma unroll
  for (int i = 0; i < CHAINS; i++) sum += c[i];
  if (lane() == 0) a.out[blockX() * (threads() / 32) + warp()] = sum;
}

// tensor: rounds of products of 16×16 by 16×8 on tensor cores, TENSOR_CHAINS that do not wait
// for one another. ones is two elements of T: where they are 1, an element of the result is 16
// for each.
struct TensorArgs { Fault fault; long ones, rounds; float *out; };
enum { TENSOR_CHAINS = 8 };
template <class T> DEVICE void tensorOf(const TensorArgs &a) {
  if (a.fault.set()) return;
  float c[TENSOR_CHAINS][4];
#pragma unroll
  for (int i = 0; i < TENSOR_CHAINS; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) c[i][j] = 0;
  u32 x[4] = {(u32)a.ones, (u32)a.ones, (u32)a.ones, (u32)a.ones};
  for (int r = 0; r < (int)a.rounds; r++) {
#pragma unroll
    for (int i = 0; i < TENSOR_CHAINS; i++) multiply<T>(c[i], x, x);
  }
  float sum = 0;
#pragma unroll
  for (int i = 0; i < TENSOR_CHAINS; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) sum += c[i][j];
  if (lane() == 0) a.out[blockX() * (threads() / 32) + warp()] = sum;
}
KERNEL void tensor_bf16(TensorArgs a) { tensorOf<bf16>(a); }
KERNEL void tensor_f16(TensorArgs a) { tensorOf<f16>(a); }
