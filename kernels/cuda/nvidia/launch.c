//go:build cuda && cgo && linux

#include "nvidia.h"

#pragma GCC visibility push(hidden)

#define UNASKED_SHARED (48 << 10) /* bytes of shared memory that a launch may have as it is */

CUresult quadrant_load(CUmodule *module, const char *ptx, char *log, size_t log_bytes)
{
	CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {log, (void *)log_bytes};
	return cuModuleLoadDataEx(module, ptx, 2, options, values);
}

CUresult quadrant_launch(CUcontext context, CUfunction f,
	unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx, unsigned int by, unsigned int bz,
	unsigned int shared, CUstream stream, int overlaps, void *args, size_t bytes)
{
	void *extra[] = {
		CU_LAUNCH_PARAM_BUFFER_POINTER, args,
		CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
		CU_LAUNCH_PARAM_END,
	};
	CUresult result = cuCtxSetCurrent(context);
	if (result == CUDA_SUCCESS && shared > UNASKED_SHARED)
		result = cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (int)shared);
	if (result != CUDA_SUCCESS)
		return result;
	if (!overlaps)
		return cuLaunchKernel(f, gx, gy, gz, bx, by, bz, shared, stream, NULL, extra);
	CUlaunchAttribute overlap = {.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION};
	overlap.value.programmaticStreamSerializationAllowed = 1;
	CUlaunchConfig config = {gx, gy, gz, bx, by, bz, shared, stream, &overlap, 1};
	return cuLaunchKernelEx(&config, f, NULL, extra);
}

CUresult quadrant_graph_launch(CUcontext context, CUgraphExec graph, CUstream stream)
{
	CUresult result = cuCtxSetCurrent(context);
	return result != CUDA_SUCCESS ? result : cuGraphLaunch(graph, stream);
}

CUresult quadrant_synchronize(CUcontext context, CUstream stream)
{
	CUresult result = cuCtxSetCurrent(context);
	return result != CUDA_SUCCESS ? result : cuStreamSynchronize(stream);
}
