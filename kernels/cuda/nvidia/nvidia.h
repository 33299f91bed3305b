/* What the Go code calls besides the driver itself. */
#ifndef QUADRANT_NVIDIA_H
#define QUADRANT_NVIDIA_H

#include "cuda.h"

/* Why there is no driver, or NULL. The text stays. */
const char *quadrant_no_driver(void);

/* Loads PTX into the current context. What the driver's compiler says against it is written
   to log. */
CUresult quadrant_load(CUmodule *module, const char *ptx, char *log, size_t log_bytes);

/* Launches f, whose parameters have the given bytes, after making context current: one call
   from Go does both, on whichever thread. If overlaps, blocks may start before the launch
   before has ended. */
CUresult quadrant_launch(CUcontext context, CUfunction f,
	unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx, unsigned int by, unsigned int bz,
	unsigned int shared, CUstream stream, int overlaps, void *args, size_t bytes);

/* The same for a graph, and for waiting. */
CUresult quadrant_graph_launch(CUcontext context, CUgraphExec graph, CUstream stream);
CUresult quadrant_synchronize(CUcontext context, CUstream stream);

#endif
