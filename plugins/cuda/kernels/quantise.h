// Activations to int8, as kernels.QuantiseBlock does it.
#pragma once
#include "device.h"

// load4 reads the four inputs of a line, of which only n may be there: the rest is 0.
__device__ __forceinline__ float4 load4(const float *x, int n) {
	if (n >= 4 && (size_t)x % 16 == 0)
		return load<float4>(x);
	float4 v;
	v.x = x[0], v.y = n > 1 ? x[1] : 0.f, v.z = n > 2 ? x[2] : 0.f, v.w = n > 3 ? x[3] : 0.f;
	return v;
}

// A warp quantises a block of at most 128 inputs, a lane a line of four. q is [rows lines 4], each scale group padded with zeros to
// whole lines; qscale is [rows blocks].
KERNEL quantise(const float *x, const int *row, int *q, float *qscale, Int rows, Int in, Int groups) {
	const Inputs k(in, groups);
	const int lane = threadIdx.x % 32;
	const Int warps = (Int)columns() / 32;
	for (Int unit = column() / 32; unit < rows * k.blocks; unit += warps) {
		const Int r = unit / k.blocks;
		const Span s(k, (int)(unit - r * k.blocks));
		float4 v = {0.f, 0.f, 0.f, 0.f};
		if (lane < s.lines)
			v = load4(x + at(row, r) * in + s.first + lane * LineInputs, s.count - lane * LineInputs);
		const unsigned magnitude = 0x7fffffffu;
		unsigned top = max(max(__float_as_uint(v.x) & magnitude, __float_as_uint(v.y) & magnitude),
		                   max(__float_as_uint(v.z) & magnitude, __float_as_uint(v.w) & magnitude));
		for (int d = 16; d > 0; d /= 2)
			top = max(top, __shfl_xor_sync(FULL, top, d));
		const float amax = __uint_as_float(top);
		int packed = 0;
		float scale = 0.f; // a block below 2^-100 is zero
		if (top >= 0x7f800000u) { // a NaN or an infinity: whatever reads the block is NaN
			scale = __int_as_float(0x7fc00000);
		} else if (amax >= 7.888609052210118e-31f) {
			const float inv = 127.f / amax, magic = 12582912.f; // rounds to an integer, ties to even
			const int a = (int)((v.x * inv + magic) - magic), b = (int)((v.y * inv + magic) - magic);
			const int c = (int)((v.z * inv + magic) - magic), d = (int)((v.w * inv + magic) - magic);
			packed = (a & 255) | (b & 255) << 8 | (c & 255) << 16 | (int)((unsigned)d << 24);
			scale = amax / 127.f;
		}
		if (lane < s.lines)
			q[r * k.lines + s.line + lane] = packed;
		if (lane == 0)
			qscale[unit] = scale;
	}
}
