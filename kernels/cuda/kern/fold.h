// fold.h: sums that many blocks share. Each block leaves its own in scratch memory, and the kernel
// fold adds them up, in an order that depends on shapes alone. No float is added atomically.
#pragma once
#include "kern.h"

// A block's part of a sum, [parts, elements] in scratch memory.
struct FoldArgs {
  Fault fault;
  Mat<float> dst; // [rows, cols], of which cols is given
  const float *part;
  long cols, elements, parts;
  long add; // to what dst holds, rather than set it
};
