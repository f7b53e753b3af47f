// Kernels with one mistake each, by name: misuse NAME ends with cudacpu's message. "right" has none.
#include "../cudacpu.h"
#include "../device.h"

#define LANE (threadIdx.x % 32)

KERNEL right(int *y) {
	SHARED(int, a, 64);
	a[threadIdx.x] = threadIdx.x;
	__syncthreads();
	const int v = a[63 - threadIdx.x]; // what another thread has written
	__syncthreads();
	a[threadIdx.x] = v + __shfl_xor_sync(FULL, v, 1);
	y[threadIdx.x] = a[threadIdx.x];
}
KERNEL barrierInBranch(int *) {
	if (threadIdx.x < 40)
		__syncthreads();
}
KERNEL leavesBeforeBarrier(int *) {
	if (threadIdx.x == 7)
		return;
	__syncthreads();
}
KERNEL barrierAgainstShuffle(int *y) {
	if (LANE == 3)
		__syncthreads();
	y[0] = __shfl_xor_sync(FULL, 1, 1);
}
KERNEL maskWithoutCaller(int *y) { y[0] = __shfl_xor_sync(0xfffffffe, 1, 1); }
KERNEL maskOfLeft(int *y) {
	if (LANE == 31)
		return;
	y[0] = __shfl_xor_sync(FULL, 1, 1);
}
KERNEL shuffleFromOutside(int *y) {
	if (LANE < 16)
		y[0] = __shfl_xor_sync(0xffff, 1, 16);
}
KERNEL readsWhatAnotherWrote(int *y) {
	SHARED(int, a, 64);
	a[threadIdx.x] = 1;
	y[threadIdx.x] = a[threadIdx.x ^ 1];
}
KERNEL writesWhatAnotherRead(int *y) {
	SHARED(int, a, 64);
	y[threadIdx.x] = a[threadIdx.x ^ 1];
	a[threadIdx.x] = 1;
}
KERNEL twoWrite(int *) {
	SHARED(int, a, 64);
	a[threadIdx.x / 2] = 1;
}
KERNEL indexTooLarge(int *) {
	SHARED(int, a, 64);
	a[threadIdx.x + 1] = 1;
}
KERNEL indexNegative(int *) {
	SHARED(int, a, 64);
	a[(int)threadIdx.x - 1] = 1;
}
KERNEL oddAddress(int *y) { y[0] = load<int4>(y + 1).x; }
KERNEL oddShared(int *y) {
	SHARED(int, a, 64);
	y[0] = loadShared<int4>(a, 2).x;
}
// The array is as the block before left it: a GPU promises nothing.
KERNEL neverWritten(int *y) {
	SHARED(int, a, 64);
	y[blockIdx.x] = a[threadIdx.x];
	__syncthreads();
	a[threadIdx.x] = 5;
}

int main(int argc, char **argv) {
	struct Case {
		const char *name;
		void (*kernel)(int *);
	};
	const Case all[] = {
#define C(k) {#k, k}
	    C(right), C(barrierInBranch), C(leavesBeforeBarrier), C(barrierAgainstShuffle), C(maskWithoutCaller), C(maskOfLeft),
	    C(shuffleFromOutside), C(readsWhatAnotherWrote), C(writesWhatAnotherRead), C(twoWrite), C(indexTooLarge), C(indexNegative),
	    C(oddAddress), C(oddShared), C(neverWritten),
	};
	for (const Case &c : all)
		for (int i = 1; i < argc; i++)
			if (!strcmp(c.name, argv[i])) {
				alignas(16) int y[64] = {};
				void *at = y, *params[] = {&at};
				cudacpu::reverse = argc > 2; // a second argument
				const char *why = cudacpu::launch(c.kernel, 2, 64, params);
				printf("%s %d %d %d\n", why ? why : "done", y[0], y[1], y[63]);
				return 0;
			}
	return 2;
}
