// panel.h: where things lie in a panel, the form of operands of wgmma.h, and what writes them.
#pragma once
#include "tensor.h"

// inPanel is where 8 elements of a row, from column on, lie in a matrix of panels of rows rows.
DEVICE long inPanel(long rows, long row, int column) {
  return ((column / 64) * rows + row) * 128 + (column / 8 % 8 ^ (int)row % 8) * 16;
}

// groupStart is where the rows of an expert begin in panels of sorted rows: each at a multiple of 8.
DEVICE long groupStart(long offset, long expert) { return ((offset + 7) & ~7l) + 8 * expert; }

// panelRow is the row of panels for a place of a sorted list; −1 if no expert has it.
DEVICE long panelRow(const Fault &fault, const Mat<const int> &offsets, long experts, long place) {
  int e = 0;
  while (e + 1 < (int)experts && *offsets.row(e + 1) <= place) e++;
  long from = *offsets.row(e);
  if (from >= 0 && from <= place) return groupStart(from, e) + place - from;
  if (thread() == 0) fault.report(BAD_OFFSET, e, (int)from);
  return -1;
}

// Panels are a matrix of activations for a product, taken apart into one or two bf16 as in gemm.cu:
// low may be absent, and so may both.
struct Panels {
  char *high, *low;
  long rows; // of a panel
  // put writes 8 elements from a column on that is a multiple of 8.
  DEVICE void put(long row, int column, f32x4 x, f32x4 y) const {
    if (!high) return;
    u32 t[4][2];
    apart<bf16, 2>(t[0], x[0], x[1]);
    apart<bf16, 2>(t[1], x[2], x[3]);
    apart<bf16, 2>(t[2], y[0], y[1]);
    apart<bf16, 2>(t[3], y[2], y[3]);
    long at = inPanel(rows, row, column);
    *(u32x4 *)(high + at) = u32x4{t[0][0], t[1][0], t[2][0], t[3][0]};
    if (low) *(u32x4 *)(low + at) = u32x4{t[0][1], t[1][1], t[2][1], t[3][1]};
  }
  // put writes two elements from an even column on.
  DEVICE void put(long row, int column, float x, float y) const {
    if (!high) return;
    u32 t[2];
    apart<bf16, 2>(t, x, y);
    long at = inPanel(rows, row, column) + column % 8 * 2;
    *(u32 *)(high + at) = t[0];
    if (low) *(u32 *)(low + at) = t[1];
  }
};

// PanelColumn is one column of panels, which may be absent.
struct PanelColumn {
  char *high, *low;
  int chunk;
  bool present, two;
  DEVICE void begin(const Panels &p, int column) {
    long from = (column / 64) * p.rows * 128 + column % 8 * 2;
    chunk = column / 8 % 8 * 16;
    high = p.high + from;
    low = p.low + from;
    present = p.high;
    two = p.low;
  }
  DEVICE void put(long row, float x) const {
    if (!present) return;
    long at = row * 128 + (chunk ^ (int)row % 8 * 16);
    bf16 rounded;
    store(&rounded, x);
    *(bf16 *)(high + at) = rounded;
    if (two) store((bf16 *)(low + at), x - widen(rounded));
  }
};
