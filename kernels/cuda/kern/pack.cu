// Operands of products by wgmma, as panels: see panel.h.
#include "tensor.h"
#include "panel.h"

// pack_rows: blockX is a row of the result; activations are taken apart into one or two bf16, as
// in gemm.cu, the columns beyond in set to zero. With slots the rows are those of a sorted list,
// with offsets each expert's begin at groupStart.
struct PackArgs {
  Fault fault;
  char *high, *low; // low may be absent
  Mat<const float> a;
  Mat<const int> slots, offsets;
  long experts;
  long in, width, rows, places, k; // rows of a panel
  long aligned;                    // rows of a, to 16 bytes, and in is a multiple of 8
};
KERNEL void pack_rows(PackArgs s) {
  if (s.fault.set()) return;
  long place = blockX(), row = place, to = place;
  if (s.offsets.p) {
    int e = 0;
    while (e + 1 < (int)s.experts && *s.offsets.row(e + 1) <= place) e++;
    long from = *s.offsets.row(e);
    if (from < 0 || from > place) {
      if (thread() == 0) s.fault.report(BAD_OFFSET, e, (int)from);
      return;
    }
    to = groupStart(from, e) + place - from;
  }
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
    u32 t[4][2];
    apart<bf16, 2>(t[0], x[0], x[1]);
    apart<bf16, 2>(t[1], x[2], x[3]);
    apart<bf16, 2>(t[2], y[0], y[1]);
    apart<bf16, 2>(t[3], y[2], y[3]);
    long at = inPanel(s.rows, to, k);
    *(u32x4 *)(s.high + at) = u32x4{t[0][0], t[1][0], t[2][0], t[3][0]};
    if (s.low) *(u32x4 *)(s.low + at) = u32x4{t[0][1], t[1][1], t[2][1], t[3][1]};
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
