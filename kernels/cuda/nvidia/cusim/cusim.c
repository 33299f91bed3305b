//go:build cuda && cusim && cgo && linux

#include <string.h>

#include "cuda.h"
#include "_cgo_export.h"

static _Thread_local CUcontext current;

#define CONTEXT ((CUcontext)0x10)
#define STREAM ((CUstream)0x20)

static CUresult driver_version(int *v)
{
	*v = 12040;
	return CUDA_SUCCESS;
}

static CUresult device_count(int *n)
{
	*n = 1;
	return CUDA_SUCCESS;
}

static CUresult device_get(CUdevice *d, int ordinal)
{
	*d = ordinal;
	return ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

static CUresult device_name(char *name, int bytes, CUdevice d)
{
	(void)d;
	strncpy(name, "ptxsim", bytes);
	return CUDA_SUCCESS;
}

static CUresult device_memory(size_t *bytes, CUdevice d)
{
	(void)d;
	*bytes = (size_t)1 << 36;
	return CUDA_SUCCESS;
}

static CUresult device_attribute(int *v, CUdevice_attribute a, CUdevice d)
{
	(void)d;
	switch (a) {
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
		*v = 9;
		return CUDA_SUCCESS;
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
		*v = 0;
		return CUDA_SUCCESS;
	case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
		*v = 1;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult retain(CUcontext *c, CUdevice d)
{
	(void)d;
	*c = CONTEXT;
	return CUDA_SUCCESS;
}

static CUresult set_current(CUcontext c)
{
	current = c;
	return CUDA_SUCCESS;
}

static CUresult get_current(CUcontext *c)
{
	*c = current;
	return CUDA_SUCCESS;
}

#define NEEDS_CONTEXT                        \
	do {                                     \
		if (current != CONTEXT)              \
			return CUDA_ERROR_INVALID_CONTEXT; \
	} while (0)

static CUresult memory_info(size_t *free_bytes, size_t *total)
{
	NEEDS_CONTEXT;
	*free_bytes = *total = (size_t)1 << 36;
	return CUDA_SUCCESS;
}

static CUresult stream_create(CUstream *s, unsigned int flags)
{
	NEEDS_CONTEXT;
	*s = STREAM;
	return flags == CU_STREAM_NON_BLOCKING ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult stream_synchronize(CUstream s)
{
	return s == STREAM ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult load(CUmodule *m, const void *ptx, unsigned int n, CUjit_option *options, void **values)
{
	NEEDS_CONTEXT;
	if (n != 2 || options[0] != CU_JIT_ERROR_LOG_BUFFER || options[1] != CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
		return CUDA_ERROR_NOT_SUPPORTED;
	*m = (CUmodule)simLoad((char *)ptx, values[0], (size_t)values[1]);
	return *m ? CUDA_SUCCESS : CUDA_ERROR_INVALID_PTX;
}

static CUresult get_function(CUfunction *f, CUmodule m, const char *name)
{
	NEEDS_CONTEXT;
	*f = (CUfunction)simFunction((uintptr_t)m, (char *)name);
	return *f ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

static CUresult set_function(CUfunction f, CUfunction_attribute a, int v)
{
	NEEDS_CONTEXT;
	return f && a == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES && v <= 227 << 10 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult launch(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx,
	unsigned int by, unsigned int bz, unsigned int shared, CUstream s, void **params, void **extra)
{
	NEEDS_CONTEXT;
	if (s != STREAM || params || extra[0] != CU_LAUNCH_PARAM_BUFFER_POINTER || extra[2] != CU_LAUNCH_PARAM_BUFFER_SIZE ||
		extra[4] != CU_LAUNCH_PARAM_END)
		return CUDA_ERROR_NOT_SUPPORTED;
	return simLaunch((uintptr_t)f, gx, gy, gz, bx, by, bz, shared, extra[1], *(size_t *)extra[3])
		? CUDA_SUCCESS : CUDA_ERROR_LAUNCH_FAILED;
}

static CUresult launch_ex(const CUlaunchConfig *c, CUfunction f, void **params, void **extra)
{
	if (c->numAttrs != 1 || c->attrs[0].id != CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION)
		return CUDA_ERROR_NOT_SUPPORTED;
	return launch(f, c->gridDimX, c->gridDimY, c->gridDimZ, c->blockDimX, c->blockDimY, c->blockDimZ, c->sharedMemBytes,
		c->hStream, params, extra);
}

static CUresult capture_begin(CUstream s, CUstreamCaptureMode mode)
{
	NEEDS_CONTEXT;
	return s == STREAM && mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL && simCapture() ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult capture_end(CUstream s, CUgraph *g)
{
	NEEDS_CONTEXT;
	if (s != STREAM)
		return CUDA_ERROR_NOT_SUPPORTED;
	*g = (CUgraph)simCaptured();
	return *g ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult graph_instantiate(CUgraphExec *e, CUgraph g, unsigned long long flags)
{
	NEEDS_CONTEXT;
	*e = (CUgraphExec)g;
	return flags == 0 ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult graph_destroy(CUgraph g)
{
	(void)g;
	NEEDS_CONTEXT;
	return CUDA_SUCCESS;
}

static CUresult graph_launch(CUgraphExec e, CUstream s)
{
	NEEDS_CONTEXT;
	return s == STREAM && simGraphLaunch((uintptr_t)e) ? CUDA_SUCCESS : CUDA_ERROR_LAUNCH_FAILED;
}

static CUresult exec_destroy(CUgraphExec e)
{
	NEEDS_CONTEXT;
	return simGraphFree((uintptr_t)e) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult host_allocate(void **p, size_t bytes, unsigned int flags)
{
	NEEDS_CONTEXT;
	*p = simAllocHost(bytes);
	return flags == 2 && *p ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult host_pointer(CUdeviceptr *d, void *p, unsigned int flags)
{
	NEEDS_CONTEXT;
	*d = simHostPointer(p);
	return flags == 0 && *d ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult allocate(CUdeviceptr *p, size_t bytes)
{
	NEEDS_CONTEXT;
	*p = simAlloc(bytes);
	return *p ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult release(CUdeviceptr p)
{
	NEEDS_CONTEXT;
	return simFree(p) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult set(CUdeviceptr p, unsigned char value, size_t bytes, CUstream s)
{
	NEEDS_CONTEXT;
	if (value != 0 || s != STREAM)
		return CUDA_ERROR_NOT_SUPPORTED;
	return simClear(p, bytes) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult copy_in(CUdeviceptr dst, const void *src, size_t bytes, CUstream s)
{
	NEEDS_CONTEXT;
	return s == STREAM && simCopyIn(dst, (void *)src, bytes) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult copy_out(void *dst, CUdeviceptr src, size_t bytes, CUstream s)
{
	NEEDS_CONTEXT;
	return s == STREAM && simCopyOut(dst, src, bytes) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult error_text(CUresult r, const char **text)
{
	switch (r) {
	case CUDA_ERROR_INVALID_PTX:
		*text = "invalid PTX";
		return CUDA_SUCCESS;
	case CUDA_ERROR_LAUNCH_FAILED:
		*text = "launch failed";
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

void *quadrant_simulated(const char *symbol)
{
	static const struct {
		const char *symbol;
		void *function;
	} calls[] = {
		{"cuDriverGetVersion", driver_version},
		{"cuDeviceGetCount", device_count},
		{"cuDeviceGet", device_get},
		{"cuDeviceGetName", device_name},
		{"cuDeviceTotalMem_v2", device_memory},
		{"cuDeviceGetAttribute", device_attribute},
		{"cuDevicePrimaryCtxRetain", retain},
		{"cuCtxSetCurrent", set_current},
		{"cuCtxGetCurrent", get_current},
		{"cuMemGetInfo_v2", memory_info},
		{"cuStreamCreate", stream_create},
		{"cuStreamSynchronize", stream_synchronize},
		{"cuModuleLoadDataEx", load},
		{"cuModuleGetFunction", get_function},
		{"cuFuncSetAttribute", set_function},
		{"cuLaunchKernel", launch},
		{"cuLaunchKernelEx", launch_ex},
		{"cuStreamBeginCapture_v2", capture_begin},
		{"cuStreamEndCapture", capture_end},
		{"cuGraphInstantiateWithFlags", graph_instantiate},
		{"cuGraphDestroy", graph_destroy},
		{"cuGraphLaunch", graph_launch},
		{"cuGraphExecDestroy", exec_destroy},
		{"cuMemHostAlloc", host_allocate},
		{"cuMemHostGetDevicePointer_v2", host_pointer},
		{"cuMemAlloc_v2", allocate},
		{"cuMemFree_v2", release},
		{"cuMemsetD8Async", set},
		{"cuMemcpyHtoDAsync_v2", copy_in},
		{"cuMemcpyDtoHAsync_v2", copy_out},
		{"cuGetErrorName", error_text},
		{"cuGetErrorString", error_text},
	};
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
		if (strcmp(calls[i].symbol, symbol) == 0)
			return calls[i].function;
	return NULL;
}
