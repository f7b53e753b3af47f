// The kernels built for the CPU, by name.
#pragma once

struct TwinKernel {
	const char *name;
	int params; // each of 8 bytes
	// run is the launch: params[i] points to parameter i. It returns what is wrong with the launch, or null.
	const char *(*run)(const unsigned grid[3], const unsigned block[3], void **params);
};

// twinKernels is the list of all, count of them.
extern "C" const TwinKernel *twinKernels(int *count);
