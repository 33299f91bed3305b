// wgmma.h: products of warpgroups. Only for compute capability 9.0: the files that include this are
// named *_90a.cu and compiled for sm_90a.
//
// A panel is how operands lie in memory so that a tile is one piece of it: the elements of a
// matrix 64 columns at a time, row after row of 128 bytes, chunks of 16 bytes moved about within
// a row as wgmma reads them from shared memory (its swizzle of 128 bytes). Any run of rows that
// begins at a multiple of 8 is a tile. See panel.h.
#pragma once
#include "bulk.h"

// ---- products

// describeTile is the descriptor of a tile of a panel: 8 rows are 1024 bytes, swizzled.
DEVICE u64 describeTile(u64 at) { return (at & 0x3ffff) >> 4 | 1ul << 16 | 64ul << 32 | 1ul << 62; }
enum { PANEL = 64, PANEL_BYTES = 2 * PANEL, NEXT_K = 32 >> 4 }; // from 16 columns to the next, in a descriptor

// multiplyPanel is c += a·bᵀ for a warpgroup's 64 rows of a, COLUMNS rows of b, and the 64
// columns of both: all of it is done when it returns. With g = lane/4 and t = lane mod 4,
// element 4j + 2h + e of c is that of row 16·(warp mod 4) + g + 8h and column 8j + 2t + e.
template <int COLUMNS> DEVICE void multiplyPanel(float *c, u64 a, u64 b);
#define WGMMA(N, SUMS, A, B) "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" SUMS "}, " A ", " B ", add, 1, 1, 0, 0;\n"
#define MULTIPLY_PANEL(N, SUMS, OPERANDS, A0, A1, A2, A3, B0, B1, B2, B3)                                     \
  template <> DEVICE void multiplyPanel<N>(float *c, u64 a, u64 b) {                                          \
    asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, 1, 0;\n"                                              \
                 "wgmma.fence.sync.aligned;\n"                                                                \
                 WGMMA(N, SUMS, A0, B0) WGMMA(N, SUMS, A1, B1) WGMMA(N, SUMS, A2, B2) WGMMA(N, SUMS, A3, B3)  \
                 "wgmma.commit_group.sync.aligned;\n"                                                         \
                 "wgmma.wait_group.sync.aligned 0;\n}"                                                        \
                 : OPERANDS                                                                                   \
                 : "l"(a), "l"(a + NEXT_K), "l"(a + 2 * NEXT_K), "l"(a + 3 * NEXT_K), "l"(b), "l"(b + NEXT_K),  \
                   "l"(b + 2 * NEXT_K), "l"(b + 3 * NEXT_K)                                                   \
                 : "memory");                                                                                 \
  }
#define SUMS4(i) "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3])
#define SUMS16(i) SUMS4(i), SUMS4(i + 4), SUMS4(i + 8), SUMS4(i + 12)
#define SUMS64 SUMS16(0), SUMS16(16), SUMS16(32), SUMS16(48)
#define SUMS96 SUMS64, SUMS16(64), SUMS16(80)
#define NAMES64 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, " \
  "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, " \
  "%38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, " \
  "%56, %57, %58, %59, %60, %61, %62, %63"
#define NAMES96 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, " \
  "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, " \
  "%38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, " \
  "%56, %57, %58, %59, %60, %61, %62, %63, %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, " \
  "%74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, " \
  "%92, %93, %94, %95"
MULTIPLY_PANEL(128, NAMES64, SUMS64, "%64", "%65", "%66", "%67", "%68", "%69", "%70", "%71")
MULTIPLY_PANEL(192, NAMES96, SUMS96, "%96", "%97", "%98", "%99", "%100", "%101", "%102", "%103")
