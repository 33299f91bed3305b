// vec.h: what a product of few rows is told, and what is done with it.
#pragma once
#include "act.h"

enum { TAPS = 4 };

template <class W> struct VecArgs {
  Fault fault;
  Mat<float> dst;
  Mat<const float> a;
  Mat<const W> b;
  Mat<const float> bias;
  long rows, in, out;
  long split;                 // vec.cu: warps that share two columns; step_90.cu: columns of a block, pairs if gated
  long early;                 // no kernel writes b; in step_90.cu, nor bias, gain and taps
  Mat<float> sum;             // sum += dst, where there is one
  Mat<const float> gain;      // a is gain ⊙ a/rms(a) where there is a gain, and h is set to it
  Mat<float> h;
  double eps;
  long act, half, second;     // dst's columns j and j+half are a gate and a factor; second swaps them
  Mat<float> acted;           // where the activation's result goes, if that is not in place
  Mat<float> conv;            // conv = SiLU of the convolution of dst's first columns
  Mat<const float> taps, tapBias;  // taps has TAPS columns, its stride here is the number of rows
  Mat<float> state;
};
