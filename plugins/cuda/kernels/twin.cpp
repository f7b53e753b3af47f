//go:build cudacpu && cgo

#include "cudacpu.h"
#include "kernels.cu"
#include "twin.h"

template <class... P> static constexpr int count(void (*)(P...)) { return sizeof...(P); }

#define K(k)                                                                                              \
	{                                                                                                     \
		#k, count(k), [](const unsigned g[3], const unsigned b[3], void **p) {                              \
			return cudacpu::launch(k, dim3(g[0], g[1], g[2]), dim3(b[0], b[1], b[2]), p);                     \
		}                                                                                                   \
	}
#define FEW(k) K(k##_1), K(k##_2), K(k##_4), K(k##_8), K(k##_tile)

static const TwinKernel all[] = {
    K(embed), K(rmsnorm), K(add), K(gelu_up), K(combine), K(rope), K(softmax), K(topk), K(quantise),
    FEW(int8), FEW(exact), FEW(natural), FEW(byoutput),
    K(store_f32), K(store_bf16), K(attend_f32), K(attend_bf16), K(attend_sum),
};

extern "C" const TwinKernel *twinKernels(int *count) {
	*count = sizeof all / sizeof *all;
	return all;
}

// What twin.go calls.
extern "C" int twinCount(void) { return sizeof all / sizeof *all; }
extern "C" int twinFind(const char *name) {
	for (const TwinKernel &k : all)
		if (!strcmp(k.name, name))
			return &k - all;
	return -1;
}
extern "C" int twinParams(int kernel) { return all[kernel].params; }
extern "C" const char *twinLaunch(int kernel, unsigned *grid, unsigned *block, uint64_t *params, bool reverse) {
	void *at[32];
	for (int i = 0; i < all[kernel].params; i++)
		at[i] = &params[i];
	cudacpu::reverse = reverse;
	return all[kernel].run(grid, block, at);
}
