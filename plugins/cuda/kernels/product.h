// What products of few rows share: the sum over blocks in the canonical order.
#pragma once
#include "device.h"

// Sums[block][row][output] are the sums of single blocks; warps compute them in any order. ChunkFloats of them are held at a time.
constexpr int ChunkFloats = 8192;

// Total adds the block sums of one output and row, in the order of kernels/order.go: blocks to a group's sum, groups by
// their scale to the output.
struct Total {
	float y, group;
	int at; // the group that is being summed

	__device__ Total() : y(0.f), group(0.f), at(0) {}
	// add takes the sum of the next block, of scale group g; scale is where the output's scale of group 0 lies.
	__device__ void add(float sum, int g, const float *scale, Int out) {
		if (g != at)
			close(scale, out);
		at = g;
		group = group + sum;
	}
	__device__ void close(const float *scale, Int out) {
		y = y + (scale ? group * scale[at * out] : group);
		group = 0.f;
	}
};

// finish adds a chunk of n blocks from block lo, a thread an output of a row, W outputs to a row; after the last chunk it writes.
template <int R, int W, class Sums>
__device__ void addChunk(Total &total, Sums &sums, const Inputs &k, int lo, int n, const float *wscale, Int out) {
	const int o = threadIdx.x % W;
	const Int output = (Int)blockIdx.x * W + o;
	if (threadIdx.x >= R * W || output >= out)
		return;
	for (int b = 0; b < n; b++)
		total.add(sums[b * R * W + threadIdx.x], (lo + b) / k.groupBlocks, wscale ? wscale + output : nullptr, out);
}

template <int R, int W>
__device__ void write(Total &total, const float *wscale, const int *dst, float *y, Int rows, Int out, double multiplier) {
	const Int row = (Int)blockIdx.y * R + threadIdx.x / W, output = (Int)blockIdx.x * W + threadIdx.x % W;
	if (threadIdx.x >= R * W || output >= out || row >= rows)
		return;
	total.close(wscale ? wscale + output : nullptr, out);
	y[at(dst, row) * out + output] = total.y * (float)multiplier;
}
