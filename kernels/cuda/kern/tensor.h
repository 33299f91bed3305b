// tensor.h: asynchronous copies to shared memory, and tensor cores.
#pragma once
#include "kern.h"

template <class T> DEVICE u64 sharedAddress(T *p) { return (u64)(__attribute__((address_space(3))) void *)p; }

// copyAsync copies 16 bytes to shared memory, zeros where not wanted.
DEVICE void copyAsync(u64 to, const void *from, bool wanted) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"l"(to), "l"(from), "r"(wanted ? 16 : 0) : "memory");
}
DEVICE void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> DEVICE void awaitCopies() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }
DEVICE void loadMatrices(u32 *r, u64 from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "l"(from) : "memory");
}
// loadTransposed is loadMatrices with rows and columns of each matrix exchanged.
DEVICE void loadTransposed(u32 *r, u64 from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "l"(from) : "memory");
}

// multiply is c += a·b for matrices of 16×16 and 16×8 elements of type T.
template <class T> DEVICE void multiply(float *c, const u32 *a, const u32 *b);
#define MULTIPLY(T)                                                                                           \
  template <> DEVICE void multiply<T>(float *c, const u32 *a, const u32 *b) {                                 \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." #T "." #T ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                             \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                         \
  }
MULTIPLY(bf16)
MULTIPLY(f16)

// pack is x and y as T, x in the lower half.
template <class T> DEVICE u32 pack(float x, float y);
template <> DEVICE u32 pack<bf16>(float x, float y) {
  u32 v;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(v) : "f"(y), "f"(x));
  return v;
}
template <> DEVICE u32 pack<f16>(float x, float y) {
  u32 v;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(v) : "f"(y), "f"(x));
  return v;
}
DEVICE float first(u32 v, bf16 *) { return __builtin_bit_cast(float, v << 16); }
DEVICE float second(u32 v, bf16 *) { return __builtin_bit_cast(float, v & 0xffff0000u); }
DEVICE float first(u32 v, f16 *) { return widen(f16{halfOf(v, 0)}); }
DEVICE float second(u32 v, f16 *) { return widen(f16{halfOf(v, 1)}); }

// apart sets t[0] to x and y rounded to T, and t[1], if there are two terms, to what that lost.
template <class T, int TERMS> DEVICE void apart(u32 *t, float x, float y) {
  t[0] = pack<T>(x, y);
  if (TERMS == 2) t[1] = pack<T>(x - first(t[0], (T *)nullptr), y - second(t[0], (T *)nullptr));
}
