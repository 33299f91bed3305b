//go:build cuda && cgo && linux

/* The sizes and offsets that the driver reads these structs by, so that a slip in cuda.h does
   not build. */

#include "cuda.h"

#define SIZE(type, bytes) _Static_assert(sizeof(type) == bytes, #type)
#define OFFSET(type, field, bytes) _Static_assert(offsetof(type, field) == bytes, #type "." #field)

SIZE(CUresult, 4);
SIZE(CUdevice, 4);
SIZE(CUdeviceptr, 8);
SIZE(CUcontext, 8);
SIZE(CUuuid, 16);
SIZE(CUjit_option, 4);
SIZE(CUmemorytype, 4);

SIZE(CUDA_MEMCPY2D, 128);
OFFSET(CUDA_MEMCPY2D, srcDevice, 32);
OFFSET(CUDA_MEMCPY2D, dstXInBytes, 56);
OFFSET(CUDA_MEMCPY2D, Height, 120);

SIZE(CUDA_MEMCPY3D, 200);
OFFSET(CUDA_MEMCPY3D, srcPitch, 72);
OFFSET(CUDA_MEMCPY3D, dstXInBytes, 88);
OFFSET(CUDA_MEMCPY3D, Depth, 192);

SIZE(CUDA_MEMCPY3D_PEER, 200);
OFFSET(CUDA_MEMCPY3D_PEER, srcContext, 64);
OFFSET(CUDA_MEMCPY3D_PEER, dstContext, 152);

SIZE(CUDA_ARRAY_DESCRIPTOR, 24);
SIZE(CUDA_ARRAY3D_DESCRIPTOR, 40);
OFFSET(CUDA_ARRAY3D_DESCRIPTOR, Flags, 32);

SIZE(CUlaunchAttribute, 72);
OFFSET(CUlaunchAttribute, value, 8);
SIZE(CUlaunchConfig, 56);
OFFSET(CUlaunchConfig, hStream, 32);
OFFSET(CUlaunchConfig, attrs, 40);

SIZE(CUDA_KERNEL_NODE_PARAMS, 56);
OFFSET(CUDA_KERNEL_NODE_PARAMS, kernelParams, 40);

SIZE(CUDA_MEMSET_NODE_PARAMS, 40);
OFFSET(CUDA_MEMSET_NODE_PARAMS, value, 16);

SIZE(CUDA_HOST_NODE_PARAMS, 16);
