// What all kernels share: names of types, shared arrays, wide loads, and the loop over any grid.
#pragma once

// A kernel's parameters fill 8 bytes each: pointers, Int, double.
typedef long long Int;

#define KERNEL extern "C" __global__ void
#define FULL 0xffffffffu // all lanes of a warp

// SHARED(T, name, n) declares an array of the block's shared memory; loadShared reads four elements from a multiple of four.
#ifdef CUDACPU
#define SHARED(T, name, n)                              \
	static thread_local cudacpu::Shared<T, (n)> name; \
	name.enter()
template <class V, class A> V loadShared(A &a, int i) {
	if (i % 4)
		cudacpu::fail("four shared elements from an odd place", cudacpu::Block::self().current());
	return {a[i], a[i + 1], a[i + 2], a[i + 3]};
}
template <class V> V load(const void *p) { return *cudacpu::aligned<V>(p); }
#else
#define SHARED(T, name, n) __shared__ __align__(16) T name[n]
template <class V, class A> __device__ __forceinline__ V loadShared(A &a, int i) { return *(const V *)&a[i]; }
template <class V> __device__ __forceinline__ V load(const void *p) { return *(const V *)p; }
#endif

// The canonical order's blocks of inputs and the layout of panels (kernels/order.go, kernels/panel.go).
constexpr int BlockRows = 128, PanelOutputs = 16, LineInputs = 4, LineBytes = 64, BlockLines = BlockRows / LineInputs;

// Inputs says how the inputs of a matrix fall into scale groups, blocks and lines.
struct Inputs {
	int in, groups, perGroup;  // inputs, scale groups, inputs of one
	int groupBlocks, blocks;   // blocks of a group, of all
	int groupLines, lines;     // lines of four inputs of a group, of all

	__device__ Inputs(int in, int groups) : in(in), groups(groups), perGroup(in / groups) {
		groupBlocks = (perGroup + BlockRows - 1) / BlockRows, blocks = groups * groupBlocks;
		groupLines = (perGroup + LineInputs - 1) / LineInputs, lines = groups * groupLines;
	}
};

// Span is one block of inputs.
struct Span {
	int group, first, count; // its scale group, first input, inputs (at most BlockRows)
	int line, lines;         // first line, lines

	__device__ Span(const Inputs &k, int block) {
		group = block / k.groupBlocks;
		const int at = (block - group * k.groupBlocks) * BlockRows;
		count = min(BlockRows, k.perGroup - at);
		first = group * k.perGroup + at;
		line = group * k.groupLines + at / LineInputs;
		lines = (count + LineInputs - 1) / LineInputs;
	}
};

// at is row[i], or i where there is no list of rows.
__device__ __forceinline__ Int at(const int *row, Int i) { return row ? row[i] : i; }

// column and columns are this thread's first column and its step, for kernels that take any grid: x over columns, y over rows.
__device__ __forceinline__ int column() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ __forceinline__ int columns() { return gridDim.x * blockDim.x; }
