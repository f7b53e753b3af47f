// Ops on vectors. The grid and the block decide the speed alone.
#pragma once
#include "elementary.h"

// y = table[token] * multiplier.
KERNEL embed(const float *table, const int *token, float *y, Int rows, Int width, double multiplier) {
	for (Int r = blockIdx.y; r < rows; r += gridDim.y) {
		const float *from = table + token[r] * width;
		for (int i = column(); i < width; i += columns())
			y[r * width + i] = from[i] * (float)multiplier;
	}
}

// y = scale * (x * 1/sqrt(mean(x*x) + eps)), a block a row. The sum of squares is 16 lane sums, folded by halves: squares
// are taken by all threads, the lanes then only add.
KERNEL rmsnorm(const float *x, const float *scale, float *y, Int rows, Int width, double eps) {
	constexpr int Tile = 8192; // elements whose squares are held at a time
	SHARED(float, squares, Tile);
	SHARED(float, norm, 1);
	for (Int r = blockIdx.x; r < rows; r += gridDim.x) {
		const float *row = x + r * width;
		float lane = 0.f;
		for (Int lo = 0; lo < width; lo += Tile) {
			const int n = (int)min((Int)Tile, width - lo);
			for (int i = threadIdx.x; i < n; i += blockDim.x)
				squares[i] = row[lo + i] * row[lo + i];
			__syncthreads();
			if (threadIdx.x < 16)
				for (int i = threadIdx.x; i < n; i += 16)
					lane = lane + squares[i];
			__syncthreads();
		}
		if (threadIdx.x < 32) { // lanes 16 to 31 add what is never read
			for (int d = 8; d > 0; d /= 2)
				lane = lane + __shfl_down_sync(FULL, lane, d);
			if (threadIdx.x == 0)
				norm[0] = 1.f / sqrtf(lane / (float)width + (float)eps);
		}
		__syncthreads();
		const float by = norm[0];
		for (int i = threadIdx.x; i < width; i += blockDim.x)
			y[r * width + i] = scale[i] * (row[i] * by);
	}
}

KERNEL add(const float *a, const float *b, float *y, Int n) {
	for (Int i = column(); i < n; i += columns())
		y[i] = a[i] + b[i];
}

// y = gelu(gate) * up.
KERNEL gelu_up(const float *gate, const float *up, float *y, Int n) {
	for (Int i = column(); i < n; i += columns())
		y[i] = geluRef(gate[i]) * up[i];
}

// y = sum over the pairs of a row, in rank order, of gate * part.
KERNEL combine(const float *parts, const int *start, const float *gate, float *y, Int rows, Int width) {
	for (Int r = blockIdx.y; r < rows; r += gridDim.y)
		for (int i = column(); i < width; i += columns()) {
			float s = 0.f;
			for (Int p = start[r]; p < start[r + 1]; p++)
				s = s + gate[p] * parts[p * width + i];
			y[r * width + i] = s;
		}
}

// Rotates the halves (a, b) of each head to (a cos - b sin, b cos + a sin) by the row's position.
KERNEL rope(const float *x, const float *cos, const float *sin, const int *pos, float *y, Int rows, Int heads, Int key_size) {
	const int half = (int)key_size / 2;
	for (Int r = blockIdx.y; r < rows; r += gridDim.y)
		for (int i = column(); i < heads * half; i += columns()) {
			const int j = i % half;
			const Int first = r * heads * key_size + i / half * key_size + j;
			const float a = x[first], b = x[first + half], c = cos[pos[r] * (Int)half + j], s = sin[pos[r] * (Int)half + j];
			y[first] = a * c - b * s;
			y[first + half] = b * c + a * s;
		}
}

// Softmax over the experts of a row, a thread a row: the maximum, then a sum in order of the experts.
KERNEL softmax(const float *x, float *y, Int rows, Int experts) {
	for (Int r = column(); r < rows; r += columns()) {
		const float *from = x + r * experts;
		float *to = y + r * experts;
		float top = from[0], sum = 0.f;
		for (int e = 1; e < experts; e++)
			if (from[e] > top)
				top = from[e];
		for (int e = 0; e < experts; e++) {
			to[e] = expRef(from[e] - top);
			sum = sum + to[e];
		}
		for (int e = 0; e < experts; e++)
			to[e] = to[e] / sum;
	}
}

// The k likeliest experts of a row, best first, ties to the lower number, a thread a row. A row with a probability that is not
// finite has expert -1 throughout.
KERNEL topk(const float *probs, int *chosen, float *gate, Int rows, Int experts, Int k) {
	for (Int r = column(); r < rows; r += columns()) {
		int *best = chosen + r * k, n = 0;
		float *weight = gate + r * k;
		bool finite = true;
		for (int e = 0; e < experts; e++) {
			const float p = probs[r * experts + e];
			finite = finite && p - p == 0.f;
			if (n == k && !(p > weight[n - 1]))
				continue;
			int i = n < k ? n++ : n - 1;
			for (; i > 0 && weight[i - 1] < p; i--)
				best[i] = best[i - 1], weight[i] = weight[i - 1];
			best[i] = e, weight[i] = p;
		}
		for (int i = 0; i < k && !finite; i++)
			best[i] = -1;
	}
}
