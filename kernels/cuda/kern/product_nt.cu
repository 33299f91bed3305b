// Products a·bᵀ: MatMul and GroupedMatMul of float32 weights.
#include "product.h"

PRODUCTS(nt_f32_, NT)
