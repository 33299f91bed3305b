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
   from Go does both, on whichever thread. */
CUresult quadrant_launch(CUcontext context, CUfunction f,
	unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx, unsigned int by, unsigned int bz,
	unsigned int shared, CUstream stream, void *args, size_t bytes);

#endif
