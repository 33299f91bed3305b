// kern.h is the only header of Quadrant's CUDA kernels. It needs no CUDA toolkit: clang
// with -nocudainc brings the built-ins that it uses.
//
// A kernel takes one argument, a struct of 8-byte cells that the host packs in order:
// pointers, long for every integer, double for every number. A matrix is two cells.
// Every argument begins with the error word; see Fault.
#pragma once

#define DEVICE inline __attribute__((device, always_inline))
#define KERNEL extern "C" __attribute__((global))
#define SHARED __attribute__((shared))

typedef unsigned int u32;
typedef unsigned short u16;

DEVICE int thread() { return __nvvm_read_ptx_sreg_tid_x(); }
DEVICE int threads() { return __nvvm_read_ptx_sreg_ntid_x(); }
DEVICE int lane() { return thread() & 31; }
DEVICE int warp() { return thread() >> 5; }
DEVICE long blockX() { return __nvvm_read_ptx_sreg_ctaid_x(); }
DEVICE long blockY() { return __nvvm_read_ptx_sreg_ctaid_y(); }
DEVICE void barrier() { __syncthreads(); }

// A Mat is a row-major view: stride elements from one row to the next. p is null where an
// operand is absent.
template <class T> struct Mat {
  T *p;
  long stride;
  DEVICE T *row(long i) const { return p + i * stride; }
};

// bf16 is the upper half of a float.
struct bf16 { u16 bits; };
DEVICE float widen(float x) { return x; }
DEVICE float widen(bf16 x) { return __builtin_bit_cast(float, (u32)x.bits << 16); }
DEVICE void store(float *p, float x) { *p = x; }
DEVICE void store(bf16 *p, float x) { asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(p->bits) : "f"(x)); }

// A Fault is the device's error word and what it is about: code, then two numbers. Once
// the code is set every later kernel returns at once, until the host has read it.
// The codes are in fault.go.
struct Fault {
  int *word;
  DEVICE bool set() const { return *(volatile int *)word != 0; }
  DEVICE void report(int code, int a, int b) const {
    int old;
    asm volatile("atom.global.cas.b32 %0, [%1], 0, %2;" : "=r"(old) : "l"(word), "r"(code) : "memory");
    if (old == 0) {
      ((volatile int *)word)[1] = a;
      ((volatile int *)word)[2] = b;
    }
  }
};
enum { BAD_TOKEN = 1, BAD_EXPERT, BAD_OFFSET, BAD_SLOT, BAD_PLACE, NO_CHOICE };

// ---- across a warp: every lane takes part and gets the result

template <class T> DEVICE T swap(T v, int mask) {
  static_assert(sizeof(T) == 4, "a shuffle moves 4 bytes");
  return __builtin_bit_cast(T, __nvvm_shfl_sync_bfly_i32(0xffffffffu, __builtin_bit_cast(int, v), mask, 0x1f));
}
DEVICE float sumWarp(float v) {
#pragma unroll
  for (int m = 16; m; m >>= 1) v += swap(v, m);
  return v;
}
DEVICE float maxWarp(float v) {
#pragma unroll
  for (int m = 16; m; m >>= 1) v = __builtin_fmaxf(v, swap(v, m));
  return v;
}
DEVICE int maxWarp(int v) {
#pragma unroll
  for (int m = 16; m; m >>= 1) {
    int w = swap(v, m);
    v = w > v ? w : v;
  }
  return v;
}

// A Best is the largest value so far, the lowest index among equals.
struct Best {
  float v;
  int i;
  DEVICE void see(float w, int j) {
    if (w > v || (w == v && j < i)) { v = w; i = j; }
  }
  DEVICE void acrossWarp() {
#pragma unroll
    for (int m = 16; m; m >>= 1) {
      float w = swap(v, m);
      int j = swap(i, m);
      see(w, j);
    }
  }
};
#define NONE 0x7fffffff
#define INF __builtin_inff()

// sumBlock is the sum of v over the block, for every thread of it; all of them call it, with
// the same 33 floats of shared memory.
DEVICE float sumBlock(float v, float *part) {
  v = sumWarp(v);
  barrier(); // an earlier sum may still be read
  if (lane() == 0) part[warp()] = v;
  barrier();
  if (warp() == 0) {
    v = sumWarp(lane() < threads() / 32 ? part[lane()] : 0.0f);
    if (lane() == 0) part[32] = v;
  }
  barrier();
  return part[32];
}
