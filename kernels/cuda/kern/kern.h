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
typedef unsigned long u64;

DEVICE int thread() { return __nvvm_read_ptx_sreg_tid_x(); }
DEVICE int threads() { return __nvvm_read_ptx_sreg_ntid_x(); }
DEVICE int lane() { return thread() & 31; }
DEVICE int warp() { return thread() >> 5; }
DEVICE long blockX() { return __nvvm_read_ptx_sreg_ctaid_x(); }
DEVICE long blockY() { return __nvvm_read_ptx_sreg_ctaid_y(); }
DEVICE long blockZ() { return __nvvm_read_ptx_sreg_ctaid_z(); }
DEVICE int blocksX() { return __nvvm_read_ptx_sreg_nctaid_x(); }
DEVICE int blocksY() { return __nvvm_read_ptx_sreg_nctaid_y(); }
DEVICE int blocksZ() { return __nvvm_read_ptx_sreg_nctaid_z(); }
DEVICE void barrier() { __syncthreads(); }

// Launches overlap: the next kernel's blocks may start when all of this one's have called
// release, or ended, and they wait in await until this one has ended and its memory is to be
// seen. What is read before await is memory that no kernel writes. Every kernel calls await,
// by itself or through Fault, so that what one waited for the next need not.
DEVICE void release() { asm volatile("griddepcontrol.launch_dependents;" ::: "memory"); }
DEVICE void await() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

// A Mat is a row-major view: stride elements from one row to the next. p is null where an
// operand is absent.
template <class T> struct Mat {
  T *p;
  long stride;
  DEVICE T *row(long i) const { return p + i * stride; }
};
template <> struct Mat<const void> { const void *p; long stride; };

// bf16 is the upper half of a float.
struct bf16 { u16 bits; };
DEVICE float widen(float x) { return x; }
DEVICE float widen(bf16 x) { return __builtin_bit_cast(float, (u32)x.bits << 16); }
// f16 is IEEE half precision.
struct f16 { u16 bits; };
DEVICE float widen(f16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
DEVICE void store(float *p, float x) { *p = x; }
DEVICE void store(f16 *p, float x) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(p->bits) : "f"(x)); }
DEVICE void store(bf16 *p, float x) { asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(p->bits) : "f"(x)); }

// halfOf is the lower or upper half of v. The shift is hidden from the compiler, which makes a
// scope of its own of the upper half, and scopes the simulator does not know.
DEVICE u16 halfOf(u32 v, int upper) {
  if (upper) asm("shr.u32 %0, %1, 16;" : "=r"(v) : "r"(v));
  return (u16)v;
}

// Sixteen bytes, loaded at once from where they are aligned.
typedef u32 u32x2 __attribute__((ext_vector_type(2)));
typedef u32 u32x4 __attribute__((ext_vector_type(4)));
typedef float f32x2 __attribute__((ext_vector_type(2)));
typedef float f32x4 __attribute__((ext_vector_type(4)));

// A Pack is 16 bytes of a row of type T: N elements.
template <class T> struct Pack {
  enum { N = 16 / sizeof(T) };
  u32x4 v;
  DEVICE void load(const T *p) { v = *(const u32x4 *)p; }
  DEVICE void clear() { v = 0; }
  DEVICE float operator[](int i) const;
};
template <> DEVICE float Pack<float>::operator[](int i) const {
  u32 bits = v[i]; // clang 19 casts element 0 where there is no variable between
  return __builtin_bit_cast(float, bits);
}
template <> DEVICE float Pack<bf16>::operator[](int i) const {
  return __builtin_bit_cast(float, i & 1 ? v[i >> 1] & 0xffff0000u : v[i >> 1] << 16);
}
template <> DEVICE float Pack<f16>::operator[](int i) const { return widen(f16{halfOf(v[i >> 1], i & 1)}); }

// A Fault is the device's error word and what it is about: code, then two numbers. Once
// the code is set every later kernel returns at once, until the host has read it.
// The codes are in fault.go.
struct Fault {
  int *word;
  DEVICE bool set() const {
    release();
    await();
    return seen();
  }
  DEVICE bool seen() const { return *(volatile int *)word != 0; } // after await
  DEVICE void report(int code, int a, int b) const {
    int old;
    asm volatile("atom.global.cas.b32 %0, [%1], 0, %2;" : "=r"(old) : "l"(word), "r"(code) : "memory");
    if (old == 0) {
      ((volatile int *)word)[1] = a;
      ((volatile int *)word)[2] = b;
    }
  }
};
enum { BAD_TOKEN = 1, BAD_EXPERT, BAD_OFFSET, BAD_SLOT, BAD_PLACE, NO_CHOICE, BAD_TARGET, BAD_ORDER };

// ---- across a warp: every lane takes part and gets the result

template <class T> DEVICE T swap(T v, int mask) {
  static_assert(sizeof(T) == 4, "a shuffle moves 4 bytes");
  return __builtin_bit_cast(T, __nvvm_shfl_sync_bfly_i32(0xffffffffu, __builtin_bit_cast(int, v), mask, 0x1f));
}
DEVICE double swap(double v, int mask) {
  u64 bits = __builtin_bit_cast(u64, v), upper;
  asm("shr.u64 %0, %1, 32;" : "=l"(upper) : "l"(bits)); // hidden for the same reason as halfOf's
  return __builtin_bit_cast(double, (u64)swap((u32)upper, mask) << 32 | swap((u32)bits, mask));
}
DEVICE bool allOfWarp(bool v) { return __nvvm_vote_all_sync(0xffffffffu, v); }
template <class T> DEVICE T fromLane(T v, int lane) {
  static_assert(sizeof(T) == 4, "a shuffle moves 4 bytes");
  return __builtin_bit_cast(T, __nvvm_shfl_sync_idx_i32(0xffffffffu, __builtin_bit_cast(int, v), lane, 0x1f));
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

// prefetch asks for the line of L2 that holds p, which need not be settled yet: nothing is read.
DEVICE void prefetch(const void *p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }
