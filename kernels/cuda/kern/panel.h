// panel.h: where things lie in a panel, the form of operands of wgmma.h, and what makes them.
#pragma once
#include "kern.h"

// inPanel is where 8 elements of a row, from column on, lie in a matrix of panels of rows rows.
DEVICE long inPanel(long rows, long row, int column) {
  return ((column / 64) * rows + row) * 128 + (column / 8 % 8 ^ (int)row % 8) * 16;
}

// groupStart is where the rows of an expert begin in panels of sorted rows: each at a multiple of 8.
DEVICE long groupStart(long offset, long expert) { return ((offset + 7) & ~7l) + 8 * expert; }
