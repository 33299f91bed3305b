// Products aᵀ·b: the gradients of MatMul and GroupedMatMul by their weights and biases.
#include "product.h"

PRODUCTS(tn_f32_, TN)

// group_bias: blockX is a range of columns, blockY an expert, whose places' sum is added.
struct GroupBiasArgs { Fault fault; Mat<float> bias; Mat<const float> g; Mat<const int> offsets; long cols, places; };
KERNEL void group_bias(GroupBiasArgs a) {
  if (a.fault.set()) return;
  int j = (int)blockX() * threads() + thread();
  long from = *a.offsets.row(blockY()), to = *a.offsets.row(blockY() + 1);
  if (from < 0 || to < from || to > a.places) {
    if (thread() == 0) a.fault.report(BAD_OFFSET, (int)blockY(), (int)to);
    return;
  }
  if (j >= a.cols || to == from) return;
  float sum = 0;
#pragma unroll 8
  for (long i = from; i < to; i++) sum += a.g.row(i)[j];
  a.bias.row(blockY())[j] += sum;
}
