//go:build cuda && linux && (amd64 || arm64)

/* The NVIDIA driver, opened when the program starts instead of being linked: a program that links libcuda.so.1 does
   not start on a machine without it, and gorgonia.org/cu ends the program when cuInit fails. Here cuInit keeps its
   result for troupe_driver_error and says that all is well; without a driver every other function answers
   CUDA_ERROR_NOT_INITIALIZED. */
#include <dlfcn.h>
#include <stdio.h>
#include <stddef.h>
#include <string.h>

#define NAME(name) extern void *troupe_slot_##name __attribute__((visibility("hidden")));
#include "names.h"
#undef NAME

enum { notInitialized = 3, notSupported = 801 };

static char why[512];
static int status = notInitialized;
static int (*init)(unsigned);

static int absent(void) { return notInitialized; }
static int older(void) { return notSupported; } /* the driver lacks this function */

__attribute__((constructor)) static void open(void) {
	void *lib = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		const char *e = dlerror();
		const int nowhere = !e || strstr(e, "cannot open shared object file: No such file");
		snprintf(why, sizeof why, "%s", nowhere ? "libcuda.so.1 not found" : e);
	} else if (!(init = (int (*)(unsigned))dlsym(lib, "cuInit"))) {
		snprintf(why, sizeof why, "libcuda.so.1 has no cuInit");
		lib = NULL;
	}
	void *p;
#define NAME(name) troupe_slot_##name = !lib ? (void *)absent : (p = dlsym(lib, #name)) ? p : (void *)older;
#include "names.h"
#undef NAME
}

__attribute__((visibility("hidden"))) int cuInit(unsigned flags) {
	if (init) status = init(flags);
	return 0;
}

/* troupe_driver_status is what cuInit answered; 3 when there is no driver. */
int troupe_driver_status(void) { return status; }

/* troupe_driver_missing says why there is no driver; "" when there is one. */
const char *troupe_driver_missing(void) { return why; }
