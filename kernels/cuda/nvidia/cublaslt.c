//go:build cuda && cgo && linux

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "cublaslt.h"

#pragma GCC visibility push(hidden)

static pthread_once_t opened = PTHREAD_ONCE_INIT;
static quadrant_lt lt;
static char reason[512];
static int ready;

static const struct {
	const char *symbol;
	size_t at;
} functions[] = {
#define LT(name) {"cublasLt" #name, offsetof(quadrant_lt, name)}
	LT(Create), LT(GetVersion), LT(MatmulDescCreate), LT(MatmulDescSetAttribute), LT(MatmulDescDestroy), LT(MatrixLayoutCreate),
	LT(MatrixLayoutDestroy), LT(MatmulPreferenceCreate), LT(MatmulPreferenceSetAttribute), LT(MatmulPreferenceDestroy),
	LT(MatmulAlgoGetHeuristic), LT(Matmul),
};

static void open_library(void)
{
	const char *names[] = {getenv("QUADRANT_CUBLASLT"), "libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11"};
	void *library = NULL;
	if (names[0])
		library = dlopen(names[0], RTLD_NOW | RTLD_LOCAL);
	else
		for (size_t i = 1; i < sizeof names / sizeof names[0] && !library; i++)
			library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		snprintf(reason, sizeof reason, "%s", dlerror());
		return;
	}
	for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
		void *found = dlsym(library, functions[i].symbol);
		if (!found) {
			snprintf(reason, sizeof reason, "the library has no %s", functions[i].symbol);
			return;
		}
		*(void **)((char *)&lt + functions[i].at) = found;
	}
	ready = 1;
}

const char *quadrant_no_lt(void)
{
	pthread_once(&opened, open_library);
	return ready ? NULL : reason;
}

size_t quadrant_lt_version(void) { return quadrant_no_lt() ? 0 : lt.GetVersion(); }

/* One handle: it belongs to the context that is current when it is made, and this program has one
   a GPU. */
typedef struct entry {
	CUcontext context;
	cublasLtHandle_t handle;
	struct entry *next;
} entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static entry *entries;

static cublasStatus_t handle_of(CUcontext context, cublasLtHandle_t *handle)
{
	cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
	pthread_mutex_lock(&lock);
	entry *e = entries;
	while (e && e->context != context)
		e = e->next;
	if (!e && (e = calloc(1, sizeof *e))) {
		if ((status = lt.Create(&e->handle)) == CUBLAS_STATUS_SUCCESS) {
			e->context = context;
			e->next = entries;
			entries = e;
		} else {
			free(e);
			e = NULL;
		}
	}
	if (e)
		*handle = e->handle;
	pthread_mutex_unlock(&lock);
	return e ? CUBLAS_STATUS_SUCCESS : status ? status : (cublasStatus_t)3; /* CUBLAS_STATUS_ALLOC_FAILED */
}

/* alignment is the largest power of two that divides p, 256 at most. */
static uint32_t alignment(CUdeviceptr p) { return (uint32_t)((p | 256) & -(p | 256)); }

#define TRY(call)                                             \
	do {                                                        \
		*what = #call;                                            \
		if ((status = (call)) != CUBLAS_STATUS_SUCCESS) goto end; \
	} while (0)

/* The library's matrices are column-major: what is row-major here is transposed there, so that the
   product is dstᵀ = b·aᵀ with b the first operand, to be transposed, and a the second, as it is. */
int quadrant_lt_multiply(CUcontext context, CUstream stream, const quadrant_product *p, const char **what)
{
	const float one = 1, beta = p->add ? 1 : 0;
	const cublasOperation_t transpose = CUBLAS_OP_T, plain = CUBLAS_OP_N;
	const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
	const uint32_t a = alignment(p->b), b = alignment(p->a), d = alignment(p->dst);
	cublasLtHandle_t handle;
	cublasLtMatmulDesc_t product = NULL;
	cublasLtMatrixLayout_t first = NULL, second = NULL, result = NULL;
	cublasLtMatmulPreference_t preference = NULL;
	cublasLtMatmulHeuristicResult_t found;
	int count = 0;
	cublasStatus_t status;
	*what = "cuCtxSetCurrent";
	if (cuCtxSetCurrent(context) != CUDA_SUCCESS)
		return 1;
	TRY(handle_of(context, &handle));
	TRY(lt.MatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
	TRY(lt.MatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSA, &transpose, sizeof transpose));
	TRY(lt.MatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSB, &plain, sizeof plain));
	if (p->bias) {
		TRY(lt.MatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue));
		TRY(lt.MatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias));
	}
	TRY(lt.MatrixLayoutCreate(&first, p->type, p->inner, p->cols, p->b_stride));
	TRY(lt.MatrixLayoutCreate(&second, p->type, p->inner, p->rows, p->a_stride));
	TRY(lt.MatrixLayoutCreate(&result, CUDA_R_32F, p->cols, p->rows, p->dst_stride));
	TRY(lt.MatmulPreferenceCreate(&preference));
	TRY(lt.MatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &p->workspace_bytes, sizeof p->workspace_bytes));
	TRY(lt.MatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &a, sizeof a));
	TRY(lt.MatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &b, sizeof b));
	TRY(lt.MatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &d, sizeof d));
	TRY(lt.MatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &d, sizeof d));
	TRY(lt.MatmulAlgoGetHeuristic(handle, product, first, second, result, result, preference, 1, &found, &count));
	if (count < 1) {
		status = (cublasStatus_t)15; /* CUBLAS_STATUS_NOT_SUPPORTED */
		goto end;
	}
	TRY(lt.Matmul(handle, product, &one, (void *)p->b, first, (void *)p->a, second, &beta, (void *)p->dst, result,
		(void *)p->dst, result, &found.algo, (void *)p->workspace, p->workspace_bytes, stream));
end:
	if (preference)
		lt.MatmulPreferenceDestroy(preference);
	if (result)
		lt.MatrixLayoutDestroy(result);
	if (second)
		lt.MatrixLayoutDestroy(second);
	if (first)
		lt.MatrixLayoutDestroy(first);
	if (product)
		lt.MatmulDescDestroy(product);
	return status;
}
