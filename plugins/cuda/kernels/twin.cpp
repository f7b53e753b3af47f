//go:build cudacpu

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
