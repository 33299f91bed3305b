#!/bin/sh
# build-cuda.sh runs the go command so that it can build the driver of NVIDIA GPUs, on Linux
# with Go and gcc or clang; neither a GPU nor the CUDA toolkit is needed:
#
#	kernels/cuda/build-cuda.sh                              builds ./quadrant
#	kernels/cuda/build-cuda.sh build -o bin/ ./cmd/quadrant
#	kernels/cuda/build-cuda.sh test ./kernels/cuda/...
#
# It lets gorgonia.org/cu find the header and the empty libcuda in kernels/cuda/nvidia, and
# adds -tags cuda to the first argument.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export CGO_ENABLED=1
export CGO_CFLAGS="-I$here/nvidia/include ${CGO_CFLAGS:--O2 -g}"
export CGO_LDFLAGS="-L$here/nvidia/lib ${CGO_LDFLAGS:-}"
if [ $# = 0 ]; then
	cd "$here/../.."
	set -- build ./cmd/quadrant
fi
command=$1
shift
exec go "$command" -tags "cuda${TAGS:+,$TAGS}" "$@"
