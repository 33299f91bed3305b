// tensor of ceilings.cu by wgmma: a round is a product of 64×64 by 64×WGMMA_COLUMNS of every
// warpgroup, from shared memory, as in gemm_90a.cu. The operands are OPERAND_BYTES at ones.
#include "wgmma.h"

struct WgmmaArgs { Fault fault; const char *ones; long rounds; float *out; };
enum { WGMMA_COLUMNS = 192, GROUPS = 2, GROUP_ROWS = 64, OPERAND_BYTES = (GROUPS * GROUP_ROWS + WGMMA_COLUMNS) * PANEL_BYTES };
KERNEL __attribute__((launch_bounds(128 * GROUPS, 2))) void wgmma_bf16(WgmmaArgs a) {
  SHARED __attribute__((aligned(1024))) char operands[OPERAND_BYTES];
  SHARED u64 full;
  if (a.fault.set()) return;
  u64 at = sharedAddress(operands), loaded = sharedAddress(&full);
  if (thread() == 0) {
    beginBarrier(loaded, 1);
    showBarriers();
    arriveAndExpect(loaded, OPERAND_BYTES);
    copyTile(at, a.ones, OPERAND_BYTES, loaded);
  }
  barrier();
  awaitPhase(loaded, 0);
  together();
  u64 own = describeTile(at + warp() / 4 * GROUP_ROWS * PANEL_BYTES), b = describeTile(at + GROUPS * GROUP_ROWS * PANEL_BYTES);
  float c[WGMMA_COLUMNS / 2];
#pragma unroll
  for (int i = 0; i < WGMMA_COLUMNS / 2; i++) c[i] = 0;
#pragma unroll 1
  for (int r = 0; r < (int)a.rounds; r++) multiplyPanel<WGMMA_COLUMNS>(c, own, b);
  float sum = 0;
#pragma unroll
  for (int i = 0; i < WGMMA_COLUMNS / 2; i++) sum += c[i];
  if (lane() == 0) a.out[blockX() * (threads() / 32) + warp()] = sum;
}
