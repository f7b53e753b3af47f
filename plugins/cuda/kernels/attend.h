// Attention over the paged KV cache (kernels/frame.go has its layout, kernels/ref/attend.go the formula).
#pragma once
#include "elementary.h"

constexpr int BlockTokens = 16, BlockKeys = 128;

// Slot is where a position of a sequence lies: its cache block and its place there.
struct Slot {
	Int block;
	int place;
	__device__ Slot(const int *table, int pos) : block(table[pos / BlockTokens]), place(pos % BlockTokens) {}
};

// Stores the rows' keys and values, [rows kv_heads key_size], in the cache.
template <class T>
__device__ void storeRows(const float *k, const float *v, const int *seq, const int *pos, const int *tables, T *keys, T *values,
                          Int rows, Int kv_heads, Int key_size, Int table_stride) {
	const int width = (int)(kv_heads * key_size);
	for (Int r = blockIdx.y; r < rows; r += gridDim.y) {
		const Slot to(tables + seq[r] * table_stride, pos[r]);
		for (int i = column(); i < width; i += columns()) {
			const int head = i / (int)key_size, d = i % (int)key_size;
			const Int block = to.block * width * BlockTokens;
			narrow(keys[block + (Int)i * BlockTokens + to.place], k[r * width + i]);
			narrow(values[block + (head * BlockTokens + to.place) * key_size + d], v[r * width + i]);
		}
	}
}

// Mask says which keys a row may see.
struct Mask {
	int keys; // positions 0 to keys-1
	bool all; // a row of left padding: every one of them weighs 1
	int first;
	const int *skip, *end; // positions of pads inside the prompt, ascending; none for a generated row

	__device__ Mask(Int r, const int *seq, const int *pos, const int *first, const int *keyless, const int *prompt, const int *skip,
	                const int *skip_start)
	    : keys(keyless[r] > 0 ? keyless[r] : pos[r] + 1), all(keyless[r] > 0), first(first[r]), skip(skip + skip_start[seq[r]]),
	      end(prompt[r] ? skip + skip_start[seq[r] + 1] : this->skip) {}

	__device__ bool sees(int j) const {
		if (j < first)
			return false;
		const int *lo = skip, *hi = end;
		while (lo < hi) { // the first of them that is not below j
			const int *mid = lo + (hi - lo) / 2;
			if (*mid < j)
				lo = mid + 1;
			else
				hi = mid;
		}
		return lo == end || *lo != j;
	}
};

// A block of threads takes one row, one key head with its query heads, and one block of 128 keys: a thread a key for the logits, then a
// thread a dimension for the weighted values. It writes the values' sums and, behind them, the weights' sum:
// part [rows heads key_blocks key_size+1].
template <class T>
__device__ void attendBlock(const float *q, const T *keys, const T *values, const int *seq, const int *pos, const int *first,
                            const int *keyless, const int *prompt, const int *tables, const int *skip, const int *skip_start, float *part,
                            Int heads, Int kv_heads, int size, Int table_stride, Int key_blocks, float multiplier, float cap) {
	constexpr int G = 8, Dims = 128; // query heads and dimensions of them in shared memory at a time
	SHARED(float, query, G * Dims);   // [dimension][head]
	SHARED(float, p, BlockKeys * G);  // [key][head]
	const Int r = blockIdx.z, kv = blockIdx.y, shared = (int)heads / (int)kv_heads;
	const Mask mask(r, seq, pos, first, keyless, prompt, skip, skip_start);
	const int lo = blockIdx.x * BlockKeys, n = min(BlockKeys, mask.keys - lo), j = threadIdx.x;
	if (n <= 0)
		return;
	const int *table = tables + seq[r] * table_stride;
	const Int inBlock = kv_heads * size * BlockTokens, inHead = kv * size * BlockTokens;
	for (Int h0 = kv * shared; h0 < (kv + 1) * shared; h0 += G) {
		const int some = (int)min((Int)G, (kv + 1) * shared - h0);
		float dot[G] = {};
		for (int d0 = 0; d0 < size; d0 += Dims) {
			const int dims = min(Dims, size - d0);
			__syncthreads(); // what was there is no longer read
			for (int i = threadIdx.x; i < Dims * G; i += blockDim.x) {
				const int g = i / Dims, d = i % Dims;
				if (d < dims)
					query[d * G + g] = g < some ? q[(r * heads + h0 + g) * size + d0 + d] : 0.f;
			}
			__syncthreads();
			if (j < n) {
				const Slot at(table, lo + j);
				const T *key = keys + at.block * inBlock + inHead + (Int)d0 * BlockTokens + at.place;
#pragma unroll 8
				for (int d = 0; d < dims; d++) {
					const float v = widen(key[d * BlockTokens]);
					const float4 a = loadShared<float4>(query, d * G), b = loadShared<float4>(query, d * G + 4);
					const float qs[G] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
					for (int g = 0; g < G; g++)
						dot[g] = dot[g] + qs[g] * v;
				}
			}
		}
		if (j < BlockKeys) {
			const bool seen = j < n && (mask.all || mask.sees(lo + j));
#pragma unroll
			for (int g = 0; g < G; g++)
				p[j * G + g] = !seen ? 0.f : mask.all ? 1.f : expRef(cap * tanhRef((dot[g] * multiplier) / cap) - cap);
		}
		__syncthreads();
		float *to = part + ((r * heads + h0) * key_blocks + blockIdx.x) * (size + 1);
		const Int next = key_blocks * (size + 1); // from a head to the next one
		for (int d = threadIdx.x; d < size; d += blockDim.x) {
			float sum[G] = {};
			for (int t = 0; t < n; t += BlockTokens) {
				const Slot at(table, lo + t);
				const T *value = values + at.block * inBlock + inHead + d;
				const int many = min(BlockTokens, n - t);
#pragma unroll 8
				for (int i = 0; i < many; i++) {
					const float v = widen(value[(Int)i * size]);
					const float4 a = loadShared<float4>(p, (t + i) * G), b = loadShared<float4>(p, (t + i) * G + 4);
					const float ps[G] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
					for (int g = 0; g < G; g++)
						sum[g] = sum[g] + ps[g] * v;
				}
			}
#pragma unroll
			for (int g = 0; g < G; g++)
				if (g < some)
					to[g * next + d] = sum[g];
		}
		if (threadIdx.x < 16 * G) { // the weights' sum: 16 lane sums, folded by halves
			const int g = threadIdx.x / 16, lane = threadIdx.x % 16;
			float sum = 0.f;
			for (int i = lane; i < BlockKeys; i += 16)
				sum = sum + p[i * G + g];
			for (int d = 8; d > 0; d /= 2)
				sum = sum + __shfl_down_sync(FULL, sum, d, 16);
			if (lane == 0 && g < some)
				to[g * next + size] = sum;
		}
	}
}

// Adds the blocks of a row's keys from left to right and divides: a block of threads a head of a row.
KERNEL attend_sum(const float *part, const int *pos, const int *keyless, float *y, Int rows, Int heads, Int key_size, Int key_blocks) {
	const Int r = blockIdx.y, h = blockIdx.x, stride = key_size + 1;
	const int keys = keyless[r] > 0 ? keyless[r] : pos[r] + 1, blocks = (keys + BlockKeys - 1) / BlockKeys;
	const float *from = part + (r * heads + h) * key_blocks * stride;
	for (int d = threadIdx.x; d < key_size; d += blockDim.x) {
		float total = 0.f, sum = 0.f;
		for (int b = 0; b < blocks; b++) {
			total = total + from[b * stride + d];
			sum = sum + from[b * stride + key_size];
		}
		y[(r * heads + h) * key_size + d] = total / sum;
	}
}

#define ATTEND(T, name)                                                                                                            \
	KERNEL store_##name(const float *k, const float *v, const int *seq, const int *pos, const int *tables, T *keys, T *values, Int rows, \
	                    Int kv_heads, Int key_size, Int table_stride) {                                                                  \
		storeRows(k, v, seq, pos, tables, keys, values, rows, kv_heads, key_size, table_stride);                                         \
	}                                                                                                                                  \
	KERNEL __launch_bounds__(256) attend_##name(const float *q, const T *keys, const T *values, const int *seq, const int *pos,          \
	                                            const int *first, const int *keyless, const int *prompt, const int *tables, const int *skip, \
	                                            const int *skip_start, float *part, Int rows, Int heads, Int kv_heads, Int key_size,     \
	                                            Int table_stride, Int key_blocks, double multiplier, double cap) {                       \
		attendBlock(q, keys, values, seq, pos, first, keyless, prompt, tables, skip, skip_start, part, heads, kv_heads, (int)key_size,   \
		            table_stride, key_blocks, (float)multiplier, (float)cap);                                                            \
	}
ATTEND(float, f32)
ATTEND(BF16, bf16)
