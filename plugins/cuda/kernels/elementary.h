// The elementary functions, operation by operation as kernels/ref/math.go defines them; built without fused
// multiply-add and with exact division and root (the compiler's defaults) the bits are the same.
#pragma once
#include "device.h"

__device__ inline float expRef(float x) {
	if (x > 88.37f)
		return __int_as_float(0x7f800000);
	if (x < -87.33f)
		return 0.f;
	if (x != x)
		return x;
	const float magic = 12582912.f; // 3 << 22: v + magic - magic rounds to an integer, ties to even
	const float n = (x * 1.44269504088896341f + magic) - magic;
	float r = x - n * 0.693359375f;
	r = r - n * -2.12194440e-4f;
	float p = 1.9875691500e-4f;
	p = p * r + 1.3981999507e-3f;
	p = p * r + 8.3334519073e-3f;
	p = p * r + 4.1665795894e-2f;
	p = p * r + 1.6666665459e-1f;
	p = p * r + 5.0000001201e-1f;
	float y = p * (r * r) + r;
	y = y + 1.f;
	return y * __int_as_float(((int)n + 127) << 23);
}

__device__ inline float tanhRef(float x) {
	float a = x < 0.f ? -x : x;
	if (a < 0.625f) {
		const float z = x * x;
		float p = -5.70498872745e-3f;
		p = p * z + 2.06390887954e-2f;
		p = p * z - 5.37397155531e-2f;
		p = p * z + 1.33314422036e-1f;
		p = p * z - 3.33332819422e-1f;
		return (p * z) * x + x;
	}
	if (a > 10.f)
		a = 10.f;
	const float y = 1.f - 2.f / (expRef(2.f * a) + 1.f);
	return x < 0.f ? -y : y;
}

__device__ inline float geluRef(float x) {
	const float cubic = 0.044715f * ((x * x) * x);
	const float inner = 0.7978845608028654f * (x + cubic);
	return x * (0.5f * (1.f + tanhRef(inner)));
}

// bfloat16 is the upper half of a float32; rounding is to nearest, ties to even (tensor/bf16.go).
typedef unsigned short BF16;

__device__ inline BF16 roundBF16(float f) {
	const unsigned u = __float_as_uint(f);
	if ((u & 0x7fffffffu) > 0x7f800000u)
		return (BF16)(u >> 16 | 0x40);
	return (BF16)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}
__device__ inline float widen(BF16 b) { return __uint_as_float((unsigned)b << 16); }
__device__ inline float widen(float f) { return f; }
__device__ inline void narrow(BF16 &to, float f) { to = roundBF16(f); }
__device__ inline void narrow(float &to, float f) { to = f; }
