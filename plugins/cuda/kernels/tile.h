// Matrices with many rows: 256 threads compute 64 outputs of 64 rows, a thread four of each, block by block of inputs in
// the canonical order.
#pragma once
#include "float.h"

constexpr int Tile = 64, Padded = Tile + 4; // the stride of rows in shared memory: fewer lanes meet one bank

// Four is a thread's four rows times four outputs.
struct Four {
	float v[4][4];
	__device__ Four() {
		for (int i = 0; i < 4; i++)
			for (int j = 0; j < 4; j++)
				v[i][j] = 0.f;
	}
	// close adds t, the sums of a scale group, by their scales, and clears them.
	__device__ void close(Four &t, const float *wscale, int group, Int output, Int out) {
#pragma unroll
		for (int j = 0; j < 4; j++) {
			const float scale = wscale ? wscale[group * out + min(output + j, out - 1)] : 1.f; // v * 1 is v
#pragma unroll
			for (int i = 0; i < 4; i++)
				v[i][j] = v[i][j] + t.v[i][j] * scale, t.v[i][j] = 0.f;
		}
	}
	__device__ void write(const int *dst, float *y, Int row, Int rows, Int output, Int out, double multiplier) const {
		for (int i = 0; i < 4; i++)
			for (int j = 0; j < 4; j++)
				if (row + i < rows && output + j < out)
					y[at(dst, row + i) * out + output + j] = v[i][j] * (float)multiplier;
	}
};

// What is not there (rows, outputs, inputs past the end) is loaded as its last neighbour, without a branch, and not used.

// int8 weights and int8 activations; a block of inputs, 32 lines, at a time.
KERNEL __launch_bounds__(256, 2) int8_tile(const signed char *w, const float *wscale, const int *q, const float *qscale, const int *dst,
                                        float *y, Int rows, Int in, Int out, Int groups, double multiplier) {
	SHARED(int, weights, BlockLines * Tile);  // [line][output], four inputs each
	SHARED(int, inputs, BlockLines * Padded); // [line][row]
	const Inputs k(in, groups);
	const Int output = (Int)blockIdx.x * Tile, row = (Int)blockIdx.y * Tile;
	const int o4 = threadIdx.x % 16 * 4, r4 = threadIdx.x / 16 * 4;
	const int panels = (int)min((Int)Tile / PanelOutputs, (out - output + PanelOutputs - 1) / PanelOutputs);
	Four y4, t;
	for (int b = 0, group = 0; b < k.blocks; b++) {
		const Span s(k, b);
		if (s.group != group) {
			y4.close(t, wscale, group, output + o4, out);
			group = s.group;
		}
		for (int i = threadIdx.x; i < Tile / PanelOutputs * BlockLines * 4; i += 256) { // 16 bytes each
			const int panel = i / 4 / BlockLines, line = i / 4 % BlockLines, at = line * Tile + panel * PanelOutputs + i % 4 * 4;
			const int4 v = load<int4>(w + ((output / PanelOutputs + min(panel, panels - 1)) * k.lines + s.line + min(line, s.lines - 1)) * LineBytes + i % 4 * 16);
			weights[at] = v.x, weights[at + 1] = v.y, weights[at + 2] = v.z, weights[at + 3] = v.w;
		}
		for (int i = threadIdx.x; i < Tile * BlockLines; i += 256) {
			const int r = i / BlockLines, line = i % BlockLines;
			inputs[line * Padded + r] = q[min(row + r, rows - 1) * k.lines + s.line + min(line, s.lines - 1)];
		}
		__syncthreads();
		int sum[4][4] = {};
#pragma unroll 4
		for (int line = 0; line < s.lines; line++) {
			const int4 a = loadShared<int4>(inputs, line * Padded + r4), v = loadShared<int4>(weights, line * Tile + o4);
			const int as[4] = {a.x, a.y, a.z, a.w}, vs[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
			for (int i = 0; i < 4; i++)
#pragma unroll
				for (int j = 0; j < 4; j++)
					sum[i][j] = __dp4a(vs[j], as[i], sum[i][j]);
		}
#pragma unroll
		for (int i = 0; i < 4; i++) {
			const float scale = qscale[min(row + r4 + i, rows - 1) * k.blocks + b];
#pragma unroll
			for (int j = 0; j < 4; j++)
				t.v[i][j] = t.v[i][j] + (float)sum[i][j] * scale;
		}
		__syncthreads();
	}
	y4.close(t, wscale, groups - 1, output + o4, out);
	y4.write(dst, y, row + r4, rows, output + o4, out, multiplier);
}

// Step is how many inputs of float32 products are in shared memory at a time.
constexpr int Step = 32;

// A weight layout fills weights[input][output] with n inputs of the block s from its input lo, for 64 outputs.
struct Panels {
	const signed char *w;
	template <class A> __device__ void fill(A &weights, const Inputs &k, const Span &s, int lo, int, Int output, Int out) const {
		constexpr int Lines = Step / LineInputs;
		for (int i = threadIdx.x; i < Tile / PanelOutputs * Lines * 4; i += 256) {
			const int panel = i / 4 / Lines, line = i / 4 % Lines;
			const Int p = min(output / PanelOutputs + panel, (out - 1) / PanelOutputs);
			const int4 v = load<int4>(w + (p * k.lines + s.line + min(lo / LineInputs + line, s.lines - 1)) * LineBytes + i % 4 * 16);
			const unsigned f[4] = {v.x ^ SignBits, v.y ^ SignBits, v.z ^ SignBits, v.w ^ SignBits};
			for (int c = 0; c < 4; c++)
				for (int o = 0; o < 4; o++)
					weights[(line * 4 + c) * Padded + panel * PanelOutputs + i % 4 * 4 + o] = unpack(f[o], c);
		}
	}
};
struct Natural {
	const float *w;
	template <class A> __device__ void fill(A &weights, const Inputs &, const Span &s, int lo, int n, Int output, Int out) const {
		for (int i = threadIdx.x; i < Tile * Step; i += 256) {
			const int o = i % Tile, c = i / Tile;
			weights[c * Padded + o] = w[(s.first + lo + min(c, n - 1)) * out + min(output + o, out - 1)];
		}
	}
};
struct ByOutput {
	const float *w;
	template <class A> __device__ void fill(A &weights, const Inputs &k, const Span &s, int lo, int n, Int output, Int out) const {
		for (int i = threadIdx.x; i < Tile * Step; i += 256) {
			const int c = i % Step, o = i / Step;
			weights[c * Padded + o] = w[min(output + o, out - 1) * k.in + s.first + lo + min(c, n - 1)];
		}
	}
};

template <class Layout>
__device__ void floatTile(const Layout &layout, const float *wscale, const float *x, const int *row, const int *dst, float *y,
                          Int rows, const Inputs &k, Int out, double multiplier) {
	SHARED(float, weights, Step *Padded); // [input][output]
	SHARED(float, inputs, Step *Padded);  // [input][row]
	const Int output = (Int)blockIdx.x * Tile, first = (Int)blockIdx.y * Tile;
	const int o4 = threadIdx.x % 16 * 4, r4 = threadIdx.x / 16 * 4;
	Four y4, t;
	for (int b = 0, group = 0; b < k.blocks; b++) {
		const Span s(k, b);
		if (s.group != group) {
			y4.close(t, wscale, group, output + o4, out);
			group = s.group;
		}
		Four sum;
		for (int lo = 0; lo < s.count; lo += Step) {
			const int n = min(Step, s.count - lo);
			layout.fill(weights, k, s, lo, n, output, out);
			for (int i = threadIdx.x; i < Tile * Step; i += 256) {
				const int r = i / Step, c = i % Step;
				inputs[c * Padded + r] = x[at(row, min(first + r, rows - 1)) * k.in + s.first + lo + min(c, n - 1)];
			}
			__syncthreads();
#pragma unroll 4
			for (int c = 0; c < n; c++) {
				const float4 a = loadShared<float4>(inputs, c * Padded + r4), v = loadShared<float4>(weights, c * Padded + o4);
				const float as[4] = {a.x, a.y, a.z, a.w}, vs[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
				for (int i = 0; i < 4; i++)
#pragma unroll
					for (int j = 0; j < 4; j++)
						sum.v[i][j] = sum.v[i][j] + as[i] * vs[j];
			}
			__syncthreads();
		}
#pragma unroll
		for (int i = 0; i < 4; i++)
#pragma unroll
			for (int j = 0; j < 4; j++)
				t.v[i][j] = t.v[i][j] + sum.v[i][j];
	}
	y4.close(t, wscale, k.groups - 1, output + o4, out);
	y4.write(dst, y, first + r4, rows, output + o4, out, multiplier);
}

KERNEL __launch_bounds__(256, 2) exact_tile(const signed char *w, const float *wscale, const float *x, const int *row, const int *dst,
                                         float *y, Int rows, Int in, Int out, Int groups, double multiplier) {
	floatTile(Panels{w}, wscale, x, row, dst, y, rows, Inputs(in, groups), out, multiplier);
}
KERNEL __launch_bounds__(256, 2) natural_tile(const float *w, const float *, const float *x, const int *row, const int *dst, float *y,
                                           Int rows, Int in, Int out, Int groups, double multiplier) {
	floatTile(Natural{w}, nullptr, x, row, dst, y, rows, Inputs(in, 1), out, multiplier);
}
KERNEL __launch_bounds__(256, 2) byoutput_tile(const float *w, const float *, const float *x, const int *row, const int *dst, float *y,
                                            Int rows, Int in, Int out, Int groups, double multiplier) {
	floatTile(ByOutput{w}, nullptr, x, row, dst, y, rows, Inputs(in, 1), out, multiplier);
}
