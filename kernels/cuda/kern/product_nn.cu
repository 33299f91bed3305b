// Products a·b: the gradients of MatMul and GroupedMatMul by their activations.
#include "product.h"

PRODUCTS(nn_f32_, NN)
PRODUCT(nn_bf16_, NN, 64, 1, bf16)
PRODUCT(nn_bf16_, NN, 64, 2, bf16)
PRODUCT(nn_f16_, NN, 64, 1, f16)
PRODUCT(nn_f16_, NN, 64, 2, f16)
