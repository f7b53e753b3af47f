// What a program links against and the fake driver has not: each such function names itself and fails.
#include <cstdio>

#define NAME(name)                                                       \
	extern "C" __attribute__((weak)) int name() {                        \
		fputs("fake cuda: " #name " is not implemented\n", stderr);      \
		return 801; /* CUDA_ERROR_NOT_SUPPORTED */                       \
	}
#include "../driver/names.h"
