// Operands of products by wgmma, as panels: see panel.h.
#include "panel.h"

// pack_rows: blockX is a row of the result; activations are taken apart into one or two bf16, as
// in gemm.cu, the columns beyond in set to zero. With slots the rows are those of a sorted list,
// with offsets each expert's begin at groupStart.
struct PackArgs {
  Fault fault;
  Panels to;
  Mat<const float> a;
  Mat<const int> slots, offsets;
  long experts;
  long in, width, places, k;
  long aligned; // rows of a, to 16 bytes, and in is a multiple of 8
};
KERNEL void pack_rows(PackArgs s) {
  if (s.fault.set()) return;
  long place = blockX(), row = place, to = place;
  if (s.offsets.p && (to = panelRow(s.fault, s.offsets, s.experts, place)) < 0) return;
  if (s.slots.p) {
    int slot = *s.slots.row(place);
    if (slot < 0 || slot >= s.places) {
      if (thread() == 0) s.fault.report(BAD_SLOT, slot, (int)place);
      return;
    }
    row = slot / (int)s.k;
  }
  const float *a = s.a.row(row);
  for (int k = 8 * thread(); k < (int)s.width; k += 8 * threads()) {
    f32x4 x = 0, y = 0;
    if (s.aligned) {
      if (k < (int)s.in) {
        x = *(const f32x4 *)(a + k);
        y = *(const f32x4 *)(a + k + 4);
      }
    } else {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        x[i] = k + i < (int)s.in ? a[k + i] : 0.0f;
        y[i] = k + 4 + i < (int)s.in ? a[k + 4 + i] : 0.0f;
      }
    }
    s.to.put(to, k, x, y);
  }
}

// pack_weights: blockX is a row of b, whose rows are aligned and a multiple of 8 long.
struct PackWeightsArgs {
  Fault fault;
  char *to;
  Mat<const bf16> b;
  long in, width, rows;
};
KERNEL void pack_weights(PackWeightsArgs s) {
  if (s.fault.set()) return;
  const bf16 *b = s.b.row(blockX());
  for (int k = 8 * thread(); k < (int)s.width; k += 8 * threads()) {
    u32x4 v = 0;
    if (k < (int)s.in) v = *(const u32x4 *)(b + k);
    *(u32x4 *)(s.to + inPanel(s.rows, blockX(), k)) = v;
  }
}
