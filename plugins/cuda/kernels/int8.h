// int8 matrices and int8 activations, few rows: a block of threads a panel of 16 outputs. A warp reads a block of 128 inputs
// as it lies, 16 bytes a thread, 512 in a row; integer sums are exact, so their order is free.
#pragma once
#include "product.h"

// fold adds s[output] over the lanes that hold the same four outputs (equal lane % 4) and returns one of them to each: lanes
// with bit 2 clear hold output 4*(lane%4) + 2*bit4 + bit3 of the panel.
__device__ __forceinline__ int fold(const int (&s)[4], int lane) {
	const bool upper = lane & 16, odd = lane & 8;
	int a = upper ? s[2] : s[0], b = upper ? s[3] : s[1];
	a += __shfl_xor_sync(FULL, upper ? s[0] : s[2], 16);
	b += __shfl_xor_sync(FULL, upper ? s[1] : s[3], 16);
	int keep = odd ? b : a;
	keep += __shfl_xor_sync(FULL, odd ? a : b, 8);
	return keep + __shfl_xor_sync(FULL, keep, 4);
}

template <int R>
__device__ void int8Few(const signed char *w, const float *wscale, const int *q, const float *qscale, const int *dst, float *y,
                        Int rows, const Inputs &k, Int out, double multiplier) {
	SHARED(float, sums, ChunkFloats); // [block][row][output of the panel]
	constexpr int Chunk = ChunkFloats / (R * PanelOutputs);
	const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
	const int output = lane % 4 * 4 + (lane & 16) / 8 + (lane & 8) / 8;
	const signed char *panel = w + (Int)blockIdx.x * k.lines * LineBytes + lane % 4 * 16;
	const Int first = (Int)blockIdx.y * R;
	Total total;
	for (int lo = 0; lo < k.blocks; lo += Chunk) {
		const int n = min(Chunk, k.blocks - lo);
		for (int b = warp; b < n; b += warps) {
			const Span s(k, lo + b);
			int4 v[BlockLines / 8]; // all of them on their way before the first is needed
			int line[BlockLines / 8];
#pragma unroll
			for (int i = 0; i < BlockLines / 8; i++) {
				line[i] = min(i * 8 + lane / 4, s.lines - 1); // lines that are not there: the last one, times 0
				v[i] = load<int4>(panel + (Int)(s.line + line[i]) * LineBytes);
			}
#pragma unroll
			for (int r = 0; r < R; r++) {
				const int *from = q + min(first + r, rows - 1) * k.lines + s.line; // rows that are not there: another's
				int sum[4] = {};
#pragma unroll
				for (int i = 0; i < BlockLines / 8; i++) {
					const int there = -(line[i] == i * 8 + lane / 4), a = from[line[i]] & there;
					sum[0] = __dp4a(v[i].x, a, sum[0]), sum[1] = __dp4a(v[i].y, a, sum[1]);
					sum[2] = __dp4a(v[i].z, a, sum[2]), sum[3] = __dp4a(v[i].w, a, sum[3]);
				}
				const int t = fold(sum, lane);
				if (!(lane & 4))
					sums[(b * R + r) * PanelOutputs + output] = (float)t * qscale[min(first + r, rows - 1) * k.blocks + lo + b];
			}
		}
		__syncthreads();
		addChunk<R, PanelOutputs>(total, sums, k, lo, n, wscale, out);
		__syncthreads();
	}
	write<R, PanelOutputs>(total, wscale, dst, y, rows, out, multiplier);
}

#define INT8(R)                                                                                                                  \
	KERNEL __launch_bounds__(256, 4) int8_##R(const signed char *w, const float *wscale, const int *q, const float *qscale, const int *dst, \
	                                       float *y, Int rows, Int in, Int out, Int groups, double multiplier) {                      \
		int8Few<R>(w, wscale, q, qscale, dst, y, rows, Inputs(in, groups), out, multiplier);                                          \
	}
INT8(1)
INT8(2)
INT8(4)
INT8(8)
