// rotary.h: the rotation of a pair of a head, for RotaryStore and its gradient.
#pragma once
#include "mathf.h"

// A Turn is the rotation of pair i of a head.
struct Turn { float sin, cos; };
DEVICE Turn turn(long position, int i, int rotary, double logBase) {
  Turn t;
  sinCos((double)position * expOf(-2.0 * i / rotary * logBase), &t.sin, &t.cos);
  return t;
}
