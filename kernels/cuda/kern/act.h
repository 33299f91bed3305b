// act.h: what several kernels share: activations, and the expert of a place.
#pragma once
#include "mathf.h"

enum { SILU = 1 };
// activate: the functions are numbered as kernels.Act is.
DEVICE float activate(int act, float x) {
  switch (act) {
  case SILU: return silu(x);
  case 2: return 0.5f * x * (1.0f + erfOf(x * 0.70710678f));
  case 3: { // ½x(1 + tanh u) = x·σ(2u)
    float u = 0.79788456f * (x + 0.044715f * x * x * x);
    return x * sigmoid(2.0f * u);
  }
  }
  return x > 0 ? x : x != x ? x : 0.0f;
}

// A Place is where a place of a sorted list takes its weights and its row of A from.
struct Place { long expert, row; bool valid; };

// placeOf finds it; all lanes of a warp call it. Lists that Sort cannot have made are reported.
DEVICE Place placeOf(const Fault &fault, const Mat<const int> &offsets, const Mat<const int> &slots, long experts, long places, long k, long place) {
  int found = -1, bad = -1; // by the lane that looks at that expert
  for (int e = lane(); e < (int)experts; e += 32) {
    int from = *offsets.row(e), to = *offsets.row(e + 1);
    if (from < 0 || to < from || to > places) bad = e;
    if (place >= from && place < to) found = e;
  }
  bad = maxWarp(bad);
  Place p = {maxWarp(found), place, true};
  if (bad >= 0) {
    if (thread() == 0) fault.report(BAD_OFFSET, bad, *offsets.row(bad + 1));
    return {0, 0, false};
  }
  if (p.expert < 0) return {0, 0, false};
  if (slots.p) {
    int slot = *slots.row(place);
    if (slot < 0 || slot >= places) {
      if (thread() == 0) fault.report(BAD_SLOT, slot, (int)place);
      return {0, 0, false};
    }
    p.row = slot / (int)k;
  }
  return p;
}
