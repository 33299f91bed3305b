// mathf.h: the functions that libdevice would bring. The float ones are right to a few
// units in the last place, the double ones to about 1e-15; results below the smallest
// normal number may be zero.
#pragma once
#include "kern.h"

// expOf: x = n·ln 2 + r, |r| ≤ ln 2/2, and the Taylor series of exp(r) to r^7; 2^n is
// applied in two factors that are both normal. ex2.approx would be shorter, but is wrong by
// up to 2^-22, and a scan multiplies as many of these as there are tokens.
DEVICE float expOf(float x) {
  x = x > 89.0f ? 89.0f : x < -104.0f ? -104.0f : x; // a NaN stays
  float n = __builtin_rintf(x * 1.44269504f);
  float r = __builtin_fmaf(n, -0.693145752f, x); // upper bits of ln 2
  r = __builtin_fmaf(n, -1.42860677e-6f, r);
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  int k = (int)n, h = k >> 1;
  p *= __builtin_bit_cast(float, (h + 127) << 23);
  return p * __builtin_bit_cast(float, (k - h + 127) << 23);
}
// exp2Tail is 2^(n+f) for |f| ≤ ½ and n as the lower bits of shifted hold it, n ≥ −126, with a
// polynomial that is off by 2e-9.
DEVICE float exp2Tail(float shifted, float f) {
  float p = 0.000153534347f;
  p = p * f + 0.00133988843f;
  p = p * f + 0.00961843692f;
  p = p * f + 0.0555033237f;
  p = p * f + 0.240226477f;
  p = p * f + 0.693147182f;
  p = p * f + 1.0f;
  return __builtin_bit_cast(float, __builtin_bit_cast(int, p) + (__builtin_bit_cast(int, shifted) << 23));
}
// exp2Fast is 2^x, off by 2^-22 of itself at most; 0 for what is below the smallest normal number.
DEVICE float exp2Fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// reciprocal is 1/x, off by 2^-22 of itself at most.
DEVICE float reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// siluFast is off by 2^-21 of itself and by as many units in the last place as x is large.
DEVICE float siluFast(float x) { return x * reciprocal(1.0f + exp2Fast(x * -1.44269504f)); }
#define SHIFT 12582912.0f // what is added to it is rounded to an integer, in the lower bits

// exp2Down is 2^x for x ≤ 0, in fewer steps than expOf takes. Below −125 it is 2^−125; a NaN
// stays one.
DEVICE float exp2Down(float x) {
  x = x < -125.0f ? -125.0f : x;
  float shifted = x + SHIFT;
  return exp2Tail(shifted, x - (shifted - SHIFT));
}

// expDown is exp of x ≤ 0. Below −86 it is exp(−86).
DEVICE float expDown(float x) {
  x = x < -86.0f ? -86.0f : x;
  float shifted = __builtin_fmaf(x, 1.44269504f, SHIFT), n = shifted - SHIFT;
  float f = __builtin_fmaf(x, 1.44269502f, -n);
  return exp2Tail(shifted, __builtin_fmaf(x, 1.92596299e-8f, f)); // what log2 e has beyond a float
}
DEVICE float sigmoid(float x) { return 1.0f / (1.0f + expOf(-x)); }
DEVICE float silu(float x) { return x / (1.0f + expOf(-x)); }

// log1pOf, for 0 ≤ x ≤ 1, is 2·atanh(s) with s = x/(2+x) ≤ 1/3, by its series.
DEVICE float log1pOf(float x) {
  float s = x / (2.0f + x), q = s * s, p = 1.0f / 17;
  p = p * q + 1.0f / 15;
  p = p * q + 1.0f / 13;
  p = p * q + 1.0f / 11;
  p = p * q + 1.0f / 9;
  p = p * q + 1.0f / 7;
  p = p * q + 1.0f / 5;
  p = p * q + 1.0f / 3;
  return 2.0f * s + 2.0f * s * q * p;
}
DEVICE float softplus(float x) {
  if (x > 20.0f) return x;
  return x > 0 ? x + log1pOf(expOf(-x)) : log1pOf(expOf(x));
}

// erfOf is Abramowitz and Stegun 7.1.26, off by 1.5e-7 at most.
DEVICE float erfOf(float x) {
  float a = __builtin_fabsf(x), t = 1.0f / (1.0f + 0.3275911f * a);
  float p = 1.061405429f;
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  return __builtin_copysignf(1.0f - p * t * expOf(-a * a), x);
}

// expOf in double: the Taylor series of exp(r), |r| ≤ ln 2/2, to r^13.
DEVICE double expOf(double x) {
  x = x > 700.0 ? 700.0 : x < -700.0 ? -700.0 : x;
  double n = __builtin_rint(x * 1.4426950408889634);
  double r = __builtin_fma(n, -6.93147180369123816490e-01, x);
  r = __builtin_fma(n, -1.90821492927058770002e-10, r);
  double p = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  return p * __builtin_bit_cast(double, (long)((int)n + 1023) << 52);
}

// logOf a normal positive x is e·ln 2 + 2·atanh((m−1)/(m+1)) with x = 2^e·m and m
// between √½ and √2.
DEVICE double logOf(double x) {
  long bits = __builtin_bit_cast(long, x);
  int e = (int)(bits >> 52) - 1023;
  double m = __builtin_bit_cast(double, (bits & 0xfffffffffffffl) | 0x3ff0000000000000l);
  if (m > 1.4142135623730951) { m *= 0.5; e++; }
  double s = (m - 1.0) / (m + 1.0), q = s * s, p = 1.0 / 21;
#pragma unroll
  for (int k = 19; k >= 1; k -= 2) p = p * q + 1.0 / k;
  return e * 0.6931471805599453 + 2.0 * s * p;
}

// sinCos takes x ≥ 0 to the quadrant round zero, then the Taylor series to 1e-10.
DEVICE void sinCos(double x, float *sin, float *cos) {
  double n = __builtin_rint(x * 0.63661977236758134);
  double r = __builtin_fma(n, -1.57079632679489656, x);
  r = __builtin_fma(n, -6.12323399573676604e-17, r);
  double q = r * r;
  double s = 1.0 / 362880 - q * (1.0 / 39916800);
  s = -1.0 / 5040 + q * s;
  s = 1.0 / 120 + q * s;
  s = -1.0 / 6 + q * s;
  s = r + r * q * s;
  double c = 1.0 / 40320 - q * (1.0 / 3628800);
  c = -1.0 / 720 + q * c;
  c = 1.0 / 24 + q * c;
  c = -0.5 + q * c;
  c = 1.0 + q * c;
  int quarter = (int)(long)n & 3;
  double a = quarter & 1 ? c : s, b = quarter & 1 ? s : c;
  *sin = (float)(quarter & 2 ? -a : a);
  *cos = (float)((quarter == 1 || quarter == 2) ? -b : b);
}
