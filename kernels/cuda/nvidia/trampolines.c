//go:build cuda && cgo && linux

/* The driver's calls, found when they are first made. One binary then runs on machines with
   and without a GPU, and builds on machines without the CUDA toolkit: a stub archive stands
   in for libcuda, and these functions for what would be in it. */

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#include "cuda.h"
#include "nvidia.h"

/* Nobody but this program is to link to these: libraries that use the driver find its own. */
#pragma GCC visibility push(hidden)

/* A simulated driver, if one is linked in: package cusim. */
extern void *quadrant_simulated(const char *symbol) __attribute__((weak));

static pthread_once_t opened = PTHREAD_ONCE_INIT;
static void *library;
static CUresult status = CUDA_ERROR_NOT_INITIALIZED;
static char reason[512];

static void open_library(void)
{
	if (quadrant_simulated) {
		status = CUDA_SUCCESS;
		return;
	}
	library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		snprintf(reason, sizeof reason, "%s", dlerror());
		return;
	}
	CUresult (*init)(unsigned int) = (CUresult (*)(unsigned int))dlsym(library, "cuInit");
	if (!init) {
		snprintf(reason, sizeof reason, "libcuda.so.1 has no cuInit");
		return;
	}
	status = init(0);
	if (status == CUDA_SUCCESS)
		return;
	CUresult (*text)(CUresult, const char **) =
		(CUresult (*)(CUresult, const char **))dlsym(library, "cuGetErrorString");
	const char *why = NULL;
	if (!text || text(status, &why) != CUDA_SUCCESS || !why)
		why = "unknown error";
	snprintf(reason, sizeof reason, "cuInit: %s (CUresult %d)", why, (int)status);
}

const char *quadrant_no_driver(void)
{
	pthread_once(&opened, open_library);
	return status == CUDA_SUCCESS ? NULL : reason;
}

/* find sets *f to a function of the driver, unless it is set. */
static CUresult find(void **f, const char *symbol)
{
	if (__atomic_load_n(f, __ATOMIC_ACQUIRE))
		return CUDA_SUCCESS;
	pthread_once(&opened, open_library);
	if (status != CUDA_SUCCESS)
		return status;
	void *found = quadrant_simulated ? quadrant_simulated(symbol) : dlsym(library, symbol);
	if (!found)
		return CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND;
	__atomic_store_n(f, found, __ATOMIC_RELEASE);
	return CUDA_SUCCESS;
}

/* gorgonia.org/cu calls this while the program starts, and ends the program if it fails. So
   it does nothing: the other calls initialise the driver. */
CUresult cuInit(unsigned int flags)
{
	return flags == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

#define DEFINE(name, symbol, parameters, arguments)                        \
	CUresult name parameters                                               \
	{                                                                      \
		static CUresult(*found) parameters;                                \
		CUresult missing = find((void **)&found, symbol);                  \
		return missing == CUDA_SUCCESS ? found arguments : missing;        \
	}

#define CUDA_CALL0(name, symbol) DEFINE(name, symbol, (void), ())
#define CUDA_CALL1(name, symbol, A) DEFINE(name, symbol, (A a), (a))
#define CUDA_CALL2(name, symbol, A, B) DEFINE(name, symbol, (A a, B b), (a, b))
#define CUDA_CALL3(name, symbol, A, B, C) DEFINE(name, symbol, (A a, B b, C c), (a, b, c))
#define CUDA_CALL4(name, symbol, A, B, C, D) DEFINE(name, symbol, (A a, B b, C c, D d), (a, b, c, d))
#define CUDA_CALL5(name, symbol, A, B, C, D, E) DEFINE(name, symbol, (A a, B b, C c, D d, E e), (a, b, c, d, e))
#define CUDA_CALL6(name, symbol, A, B, C, D, E, F) DEFINE(name, symbol, (A a, B b, C c, D d, E e, F f), (a, b, c, d, e, f))
#define CUDA_CALL7(name, symbol, A, B, C, D, E, F, G) DEFINE(name, symbol, (A a, B b, C c, D d, E e, F f, G g), (a, b, c, d, e, f, g))
#define CUDA_CALL8(name, symbol, A, B, C, D, E, F, G, H) DEFINE(name, symbol, (A a, B b, C c, D d, E e, F f, G g, H h), (a, b, c, d, e, f, g, h))
#define CUDA_CALL9(name, symbol, A, B, C, D, E, F, G, H, I) DEFINE(name, symbol, (A a, B b, C c, D d, E e, F f, G g, H h, I i), (a, b, c, d, e, f, g, h, i))
#define CUDA_CALL10(name, symbol, A, B, C, D, E, F, G, H, I, J) DEFINE(name, symbol, (A a, B b, C c, D d, E e, F f, G g, H h, I i, J j), (a, b, c, d, e, f, g, h, i, j))
#define CUDA_CALL11(name, symbol, A, B, C, D, E, F, G, H, I, J, K) DEFINE(name, symbol, (A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k), (a, b, c, d, e, f, g, h, i, j, k))
#include "cuda_calls.h"
