// bulk.h: asynchronous copies of whole pieces of memory to shared memory, and the barriers that
// tell when they are done. For compute capability 9.0 and later.
#pragma once
#include "tensor.h"

// Barriers in shared memory: a phase ends when all that are expected have arrived and all
// bytes that are expected have been copied. Waiting for the phase with the other parity than the
// first one's returns at once in a fresh barrier.

DEVICE void beginBarrier(u64 at, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"l"(at), "r"(arrivals) : "memory");
}
// showBarriers lets copies see the barriers that the thread began.
DEVICE void showBarriers() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
DEVICE void arrive(u64 at) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"l"(at) : "memory"); }
DEVICE void arriveAndExpect(u64 at, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"l"(at), "r"(bytes) : "memory");
}
DEVICE void awaitPhase(u64 at, int parity) {
  u32 over;
  do {
    asm volatile("{\n.reg .pred over;\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\n"
                 "selp.u32 %0, 1, 0, over;\n}"
                 : "=r"(over) : "l"(at), "r"(parity) : "memory");
  } while (!over);
}
// together brings the lanes of a warp to one place: products of warpgroups and copies by lanes are a matter of all.
DEVICE void together() { __nvvm_bar_warp_sync(0xffffffffu); }
// copyTile copies bytes, a multiple of 16, to shared memory, and has the barrier count them.
DEVICE void copyTile(u64 to, const void *from, int bytes, u64 barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"l"(to), "l"(from),
               "r"(bytes), "l"(barrier) : "memory");
}
