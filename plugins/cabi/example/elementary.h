/* The elementary functions of the ops: kernels/ref/math.go, operation by operation, so that the bits are the same. Like
 * all that promises them it has to be compiled with -ffp-contract=off. */
#ifndef ELEMENTARY_H
#define ELEMENTARY_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float bits_to_float(uint32_t b) {
	float f;
	memcpy(&f, &b, sizeof f);
	return f;
}

static inline uint32_t float_to_bits(float f) {
	uint32_t b;
	memcpy(&b, &f, sizeof b);
	return b;
}

static const float magic = 3 << 22; /* v + magic - magic rounds |v| < 2^22 to an integer, ties to even */

static inline float exp32(float x) {
	if (x > 88.37f) return INFINITY;
	if (x < -87.33f) return 0;
	if (x != x) return x;
	float n = (x * 1.44269504088896341f + magic) - magic;
	float r = x - n * 0.693359375f;
	r -= n * -2.12194440e-4f;
	float p = 1.9875691500e-4f;
	p = p * r + 1.3981999507e-3f;
	p = p * r + 8.3334519073e-3f;
	p = p * r + 4.1665795894e-2f;
	p = p * r + 1.6666665459e-1f;
	p = p * r + 5.0000001201e-1f;
	float y = p * (r * r) + r;
	y += 1;
	return y * bits_to_float((uint32_t)((int32_t)n + 127) << 23);
}

static inline float tanh32(float x) {
	float a = x < 0 ? -x : x;
	if (a < 0.625f) {
		float z = x * x;
		float p = -5.70498872745e-3f;
		p = p * z + 2.06390887954e-2f;
		p = p * z - 5.37397155531e-2f;
		p = p * z + 1.33314422036e-1f;
		p = p * z - 3.33332819422e-1f;
		return (p * z) * x + x;
	}
	if (a > 10) a = 10;
	float y = 1 - 2 / (exp32(2 * a) + 1);
	return x < 0 ? -y : y;
}

static inline float gelu(float x) {
	float inner = 0.7978845608028654f * (x + 0.044715f * ((x * x) * x));
	return x * (0.5f * (1 + tanh32(inner)));
}

#endif
