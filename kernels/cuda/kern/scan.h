// scan.h: the operands of a scan.
#pragma once
#include "mathf.h"

enum { STATES = 16 }; // that stay in registers
struct ScanArgs {
  Fault fault;
  Mat<float> dst;
  Mat<const float> x, dt, a, b, c, d, z, bias;
  Mat<float> state;
  long dim, states, n;
};
