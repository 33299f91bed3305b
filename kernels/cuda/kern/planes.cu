// Operands of attention as flash.h and flash_grad.cu read them: heads are widened to 64 or 128 elements
// with zeros, and each element, times scale, is taken apart into one or two bf16, which lie in planes of
// their own. Rows of sequences that no token of the step or before it has written are left out.
#include "tensor.h"

template <class T> struct PlanesArgs {
  Fault fault;
  char *to;
  Mat<const T> x;
  long low;           // bytes from a plane to the second, 0 if there is none
  long length;        // rows of a sequence, of which those of the step and before it count
  long n;
  const long *past;   // absent where the step is at position 0
  long head, dim, heads;
  long aligned;       // heads are multiples of 8, and rows begin at 16 bytes
  double scale;
};
// blockX is a row; a thread has 8 elements of a head at a time.
template <class T> DEVICE void planes(const PlanesArgs<T> &a) {
  if (a.fault.set()) return;
  long row = blockX();
  if (row % a.length >= a.n + (a.past ? *a.past : 0)) return;
  int chunks = (int)a.dim / 8, head = (int)a.head;
  float scale = (float)a.scale;
  char *to = a.to + row * a.heads * a.dim * 2;
  for (int i = thread(); i < (int)a.heads * chunks; i += threads()) {
    int from = i % chunks * 8;
    const T *x = a.x.row(row) + i / chunks * head + from;
    float v[8];
    if (sizeof(T) == 4 && a.aligned) {
      f32x4 lower = 0, upper = 0;
      if (from < head) {
        lower = *(const f32x4 *)x;
        upper = *(const f32x4 *)(x + 4);
      }
#pragma unroll
      for (int e = 0; e < 4; e++) {
        v[e] = lower[e];
        v[4 + e] = upper[e];
      }
    } else {
#pragma unroll
      for (int e = 0; e < 8; e++) v[e] = from + e < head ? widen(x[e]) : 0.0f;
    }
    u32 t[4][2];
#pragma unroll
    for (int e = 0; e < 4; e++) apart<bf16, 2>(t[e], v[2 * e] * scale, v[2 * e + 1] * scale);
    *(u32x4 *)(to + i * 16) = u32x4{t[0][0], t[1][0], t[2][0], t[3][0]};
    if (a.low) *(u32x4 *)(to + a.low + i * 16) = u32x4{t[0][1], t[1][1], t[2][1], t[3][1]};
  }
}
KERNEL void planes_f32(PlanesArgs<float> a) { planes(a); }
KERNEL void planes_bf16(PlanesArgs<bf16> a) { planes(a); }
KERNEL void planes_f16(PlanesArgs<f16> a) { planes(a); }
