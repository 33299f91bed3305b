/* What is used of cublasLt, NVIDIA's library of matrix products: names, values and layouts are
   those of the "cuBLASLt API" part of NVIDIA's cuBLAS reference. The library is looked up when it
   is first asked for, like the driver; see cublaslt.c. */
#ifndef QUADRANT_CUBLASLT_H
#define QUADRANT_CUBLASLT_H

#include <stddef.h>
#include <stdint.h>

#include "cuda.h"

typedef enum { CUBLAS_STATUS_SUCCESS = 0 } cublasStatus_t;
typedef enum { CUDA_R_32F = 0, CUDA_R_16BF = 14 } cudaDataType_t;
typedef enum { CUBLAS_COMPUTE_32F = 68 } cublasComputeType_t;
typedef enum { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 } cublasOperation_t;

typedef struct cublasLtContext *cublasLtHandle_t;
typedef struct cublasLtMatmulDesc *cublasLtMatmulDesc_t;
typedef struct cublasLtMatrixLayout *cublasLtMatrixLayout_t;
typedef struct cublasLtMatmulPreference *cublasLtMatmulPreference_t;

typedef enum {
	CUBLASLT_MATMUL_DESC_TRANSA = 3,
	CUBLASLT_MATMUL_DESC_TRANSB = 4,
	CUBLASLT_MATMUL_DESC_EPILOGUE = 7,
	CUBLASLT_MATMUL_DESC_BIAS_POINTER = 8,
} cublasLtMatmulDescAttributes_t;

typedef enum { CUBLASLT_EPILOGUE_BIAS = 4 } cublasLtEpilogue_t;

typedef enum {
	CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1,
	CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES = 5,
	CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES = 6,
	CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES = 7,
	CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES = 8,
} cublasLtMatmulPreferenceAttributes_t;

typedef struct {
	uint64_t data[8];
} cublasLtMatmulAlgo_t;

typedef struct {
	cublasLtMatmulAlgo_t algo;
	size_t workspaceSize;
	cublasStatus_t state;
	float wavesCount;
	int reserved[4];
} cublasLtMatmulHeuristicResult_t;

_Static_assert(sizeof(cublasLtMatmulAlgo_t) == 64, "cublasLtMatmulAlgo_t");
_Static_assert(sizeof(cublasLtMatmulHeuristicResult_t) == 96, "cublasLtMatmulHeuristicResult_t");
_Static_assert(offsetof(cublasLtMatmulHeuristicResult_t, state) == 72, "cublasLtMatmulHeuristicResult_t.state");

/* Its functions, by the names that follow "cublasLt". */
typedef struct {
	cublasStatus_t (*Create)(cublasLtHandle_t *);
	size_t (*GetVersion)(void);
	cublasStatus_t (*MatmulDescCreate)(cublasLtMatmulDesc_t *, cublasComputeType_t, cudaDataType_t scale);
	cublasStatus_t (*MatmulDescSetAttribute)(cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t, const void *, size_t);
	cublasStatus_t (*MatmulDescDestroy)(cublasLtMatmulDesc_t);
	cublasStatus_t (*MatrixLayoutCreate)(cublasLtMatrixLayout_t *, cudaDataType_t, uint64_t rows, uint64_t cols, int64_t ld);
	cublasStatus_t (*MatrixLayoutDestroy)(cublasLtMatrixLayout_t);
	cublasStatus_t (*MatmulPreferenceCreate)(cublasLtMatmulPreference_t *);
	cublasStatus_t (*MatmulPreferenceSetAttribute)(cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t, const void *, size_t);
	cublasStatus_t (*MatmulPreferenceDestroy)(cublasLtMatmulPreference_t);
	cublasStatus_t (*MatmulAlgoGetHeuristic)(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
		cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t, int wanted,
		cublasLtMatmulHeuristicResult_t *found, int *count);
	cublasStatus_t (*Matmul)(cublasLtHandle_t, cublasLtMatmulDesc_t, const void *alpha, const void *a, cublasLtMatrixLayout_t,
		const void *b, cublasLtMatrixLayout_t, const void *beta, const void *c, cublasLtMatrixLayout_t, void *d,
		cublasLtMatrixLayout_t, const cublasLtMatmulAlgo_t *, void *workspace, size_t workspace_bytes, CUstream);
} quadrant_lt;

/* Why there is no library, or NULL. The text stays. */
const char *quadrant_no_lt(void);

/* The library's version: 10000·major + 100·minor + patch from 12 on. */
size_t quadrant_lt_version(void);

/* dst = a·bᵀ + bias, or dst += a·bᵀ if add: all row-major, a and b of type (bf16 or f32), dst and
   bias float32; strides are elements from row to row. */
typedef struct {
	cudaDataType_t type;
	uint64_t rows, cols, inner;
	CUdeviceptr dst, a, b, bias; /* bias may be 0 */
	int64_t dst_stride, a_stride, b_stride;
	int add;
	CUdeviceptr workspace;
	size_t workspace_bytes;
} quadrant_product;

/* Puts the product on stream, after making context current. *what names the call that failed. */
int quadrant_lt_multiply(CUcontext context, CUstream stream, const quadrant_product *p, const char **what);

#endif
