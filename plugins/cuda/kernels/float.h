// Matrices and float32 activations, few rows. A block of inputs is one thread's sum, from its first input to its last.
#pragma once
#include "product.h"
#include "quantise.h"

// unpack gives weight c of a lane of four as float: 2^23 + 128 + v is exact, and two instructions. The word has its sign
// bits flipped.
__device__ __forceinline__ float unpack(unsigned flipped, int c) {
	return __uint_as_float(__byte_perm(flipped, 0x4b000000u, 0x7440 + c)) - 8388736.f;
}
constexpr unsigned SignBits = 0x80808080u;

// addLine adds a line's four inputs, of R rows, to four outputs, in order of the inputs.
template <int R> __device__ __forceinline__ void addLine(float (&sum)[R][4], int4 v, const float4 (&a)[R]) {
	const unsigned f[4] = {v.x ^ SignBits, v.y ^ SignBits, v.z ^ SignBits, v.w ^ SignBits};
#pragma unroll
	for (int o = 0; o < 4; o++) {
		const float w[4] = {unpack(f[o], 0), unpack(f[o], 1), unpack(f[o], 2), unpack(f[o], 3)};
#pragma unroll
		for (int r = 0; r < R; r++) {
			sum[r][o] = sum[r][o] + a[r].x * w[0];
			sum[r][o] = sum[r][o] + a[r].y * w[1];
			sum[r][o] = sum[r][o] + a[r].z * w[2];
			sum[r][o] = sum[r][o] + a[r].w * w[3];
		}
	}
}

// int8 matrices in panels: a warp takes eight blocks at a time, a thread four outputs of one block, 16 bytes a line.
template <int R>
__device__ void exactFew(const signed char *w, const float *wscale, const float *x, const int *row, const int *dst, float *y,
                         Int rows, const Inputs &k, Int out, double multiplier) {
	SHARED(float, sums, ChunkFloats); // [block][row][output of the panel]
	constexpr int Chunk = ChunkFloats / (R * PanelOutputs), Ahead = 4;
	const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
	const signed char *panel = w + (Int)blockIdx.x * k.lines * LineBytes + lane % 4 * 16;
	const float *from[R];
#pragma unroll
	for (int r = 0; r < R; r++) // rows that are not there: another's
		from[r] = x + at(row, min((Int)blockIdx.y * R + r, rows - 1)) * k.in;
	const bool wide = (size_t)x % 16 == 0 && k.in % 4 == 0 && k.perGroup % 4 == 0; // a line's inputs are 16 aligned bytes
	Total total;
	for (int lo = 0; lo < k.blocks; lo += Chunk) {
		const int n = min(Chunk, k.blocks - lo);
		for (int b = warp * 8 + lane / 4; b < n; b += warps * 8) {
			const Span s(k, lo + b);
			float sum[R][4] = {};
			const signed char *lines = panel + (Int)s.line * LineBytes;
#pragma unroll 1
			for (int l = 0; l < s.lines; l += Ahead) {
				int4 v[Ahead]; // all of them on their way before the first is needed
#pragma unroll
				for (int i = 0; i < Ahead; i++)
					v[i] = load<int4>(lines + min(l + i, s.lines - 1) * LineBytes);
#pragma unroll
				for (int i = 0; i < Ahead; i++)
					if (l + i < s.lines) {
						float4 a[R];
#pragma unroll
						for (int r = 0; r < R; r++) { // inputs that are not there meet weights that are 0
							const float *p = from[r] + s.first + (l + i) * LineInputs;
							a[r] = wide ? load<float4>(p) : load4(p, s.count - (l + i) * LineInputs);
						}
						addLine(sum, v[i], a);
					}
			}
#pragma unroll
			for (int r = 0; r < R; r++)
#pragma unroll
				for (int o = 0; o < 4; o++)
					sums[(b * R + r) * PanelOutputs + lane % 4 * 4 + o] = sum[r][o];
		}
		__syncthreads();
		addChunk<R, PanelOutputs>(total, sums, k, lo, n, wscale, out);
		__syncthreads();
	}
	write<R, PanelOutputs>(total, wscale, dst, y, rows, out, multiplier);
}

// float32 matrices [in out]: a warp a block of inputs, a lane an output.
template <int R>
__device__ void naturalFew(const float *w, const float *x, const int *row, const int *dst, float *y, Int rows, const Inputs &k,
                           Int out, double multiplier) {
	SHARED(float, sums, ChunkFloats); // [block][row][output]
	constexpr int W = 32, Chunk = ChunkFloats / (R * W);
	const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
	const Int output = min((Int)blockIdx.x * W + lane, out - 1); // outputs that are not there: the last one
	const float *from[R];
#pragma unroll
	for (int r = 0; r < R; r++)
		from[r] = x + at(row, min((Int)blockIdx.y * R + r, rows - 1)) * k.in;
	Total total;
	for (int lo = 0; lo < k.blocks; lo += Chunk) {
		const int n = min(Chunk, k.blocks - lo);
		for (int b = warp; b < n; b += warps) {
			const Span s(k, lo + b);
			float sum[R] = {};
#pragma unroll 8
			for (int i = 0; i < s.count; i++) {
				const float v = w[(s.first + i) * out + output];
#pragma unroll
				for (int r = 0; r < R; r++)
					sum[r] = sum[r] + from[r][s.first + i] * v;
			}
#pragma unroll
			for (int r = 0; r < R; r++)
				sums[(b * R + r) * W + lane] = sum[r];
		}
		__syncthreads();
		addChunk<R, W>(total, sums, k, lo, n, nullptr, out);
		__syncthreads();
	}
	write<R, W>(total, nullptr, dst, y, rows, out, multiplier);
}

// float32 matrices [out in]: eight outputs and four blocks of inputs go to shared memory, a warp an output, then a thread
// sums one block of one output and row.
template <int R>
__device__ void byOutputFew(const float *w, const float *x, const int *row, const int *dst, float *y, Int rows, const Inputs &k,
                            Int out, double multiplier) {
	constexpr int W = 8, Blocks = 4, Units = W * Blocks, Stride = BlockRows + 1; // odd: lanes meet different banks
	SHARED(float, weights, Units * Stride);    // [output][block][input]
	SHARED(float, inputs, R * Blocks * Stride); // [row][block][input]
	SHARED(float, sums, Blocks * R * W);       // [block][row][output]
	const int lane = threadIdx.x % 32;
	Total total;
	for (int lo = 0; lo < k.blocks; lo += Blocks) {
		const int n = min(Blocks, k.blocks - lo), first = lo * BlockRows, count = min(Blocks * BlockRows, k.in - first);
		for (int o = threadIdx.x / 32; o < W; o += blockDim.x / 32) {
			const float *from = w + min((Int)blockIdx.x * W + o, out - 1) * k.in + first;
			float v[Blocks * BlockRows / 32]; // all of them on their way before the first is stored
#pragma unroll
			for (int j = 0; j < Blocks * BlockRows / 32; j++)
				v[j] = from[min(lane + j * 32, count - 1)]; // inputs that are not there: the last one
#pragma unroll
			for (int j = 0; j < Blocks * BlockRows / 32; j++)
				weights[(o * Blocks + j * 32 / BlockRows) * Stride + j * 32 % BlockRows + lane] = v[j];
		}
		for (int r = 0; r < R; r++) {
			const float *from = x + at(row, min((Int)blockIdx.y * R + r, rows - 1)) * k.in + first;
			for (int i = threadIdx.x; i < count; i += blockDim.x)
				inputs[(r * Blocks + i / BlockRows) * Stride + i % BlockRows] = from[i];
		}
		__syncthreads();
		for (int u = threadIdx.x; u < Units * R; u += blockDim.x) {
			const int b = u % Blocks, o = u / Blocks % W, r = u / Units;
			if (b < n) {
				const int many = min(BlockRows, count - b * BlockRows);
				float s = 0.f;
#pragma unroll 8
				for (int i = 0; i < many; i++)
					s = s + inputs[(r * Blocks + b) * Stride + i] * weights[(o * Blocks + b) * Stride + i];
				sums[(b * R + r) * W + o] = s;
			}
		}
		__syncthreads();
		addChunk<R, W>(total, sums, k, lo, n, nullptr, out);
		__syncthreads();
	}
	write<R, W>(total, nullptr, dst, y, rows, out, multiplier);
}

#define FLOAT(R)                                                                                                                    \
	KERNEL __launch_bounds__(256) exact_##R(const signed char *w, const float *wscale, const float *x, const int *row, const int *dst,   \
	                                        float *y, Int rows, Int in, Int out, Int groups, double multiplier) {                        \
		exactFew<R>(w, wscale, x, row, dst, y, rows, Inputs(in, groups), out, multiplier);                                               \
	}                                                                                                                                  \
	KERNEL __launch_bounds__(256) natural_##R(const float *w, const float *, const float *x, const int *row, const int *dst, float *y,   \
	                                          Int rows, Int in, Int out, Int groups, double multiplier) {                                \
		naturalFew<R>(w, x, row, dst, y, rows, Inputs(in, 1), out, multiplier);                                                          \
	}                                                                                                                                  \
	KERNEL __launch_bounds__(256) byoutput_##R(const float *w, const float *, const float *x, const int *row, const int *dst, float *y,  \
	                                           Int rows, Int in, Int out, Int groups, double multiplier) {                               \
		byOutputFew<R>(w, x, row, dst, y, rows, Inputs(in, 1), out, multiplier);                                                         \
	}
FLOAT(1)
FLOAT(2)
FLOAT(4)
FLOAT(8)
