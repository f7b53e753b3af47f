/*
 * An example of a kernel library in plain C: linear and expert, in the arithmetics int8 and exact, with the bits of
 * kernels/ref.
 *
 *	cc -std=c11 -O3 -march=native -ffp-contract=off -shared -fPIC -I.. -o expert.so expert.c
 *
 * -ffp-contract=off is what keeps the bits: the canonical order (kernels/order.go) rounds every product before it is
 * added. -march=native is speed alone. With -fopenmp it uses the threads that the engine gives it.
 *
 * Weights are taken by panels of 16 outputs, and a panel by blocks of at most 128 inputs. Matrices in another layout
 * are turned into lines of panels on the way, which costs time. There are no pointers to what belongs to one batch
 * outside troupe_run.
 */
#include "elementary.h"
#include "troupe_kernel.h"

#include <stdbool.h>
#include <stdlib.h>

enum { TILE = 4, OUT = TROUPE_PANEL_OUTPUTS }; /* rows that share a read of the weights; outputs of a panel */

struct troupe_library {
	troupe_threads threads;
};

struct troupe_kernel {
	const troupe_library *lib;
	const troupe_segment *segment;
	float *hidden[2]; /* [TILE][F]: x·gate, then the product of both; x·up */
	int8_t *q;        /* [TILE][inputs, groups filled up to whole lines]: rows as int8 */
	float *scale;     /* [TILE][blocks] */
};

static int fail(troupe_error *err, int code, const char *text) {
	strncpy(err->text, text, sizeof err->text - 1);
	err->text[sizeof err->text - 1] = 0;
	return code;
}

/* ---- rounding to int8: kernels/quantise.go ---- */

static float quantise_block(int8_t *q, const float *x, int n) {
	uint32_t top = 0;
	for (int k = 0; k < n; k++) {
		uint32_t b = float_to_bits(x[k]) & 0x7fffffff;
		top = b > top ? b : top;
	}
	memset(q, 0, (size_t)n);
	if (top >= 0x7f800000) return NAN;
	float amax = bits_to_float(top);
	if (amax < 0x1p-100f) return 0;
	float inv = 127 / amax;
	for (int k = 0; k < n; k++) q[k] = (int8_t)((x[k] * inv + magic) - magic);
	return amax / 127;
}

static size_t padded(const troupe_weight *w) { return w->groups * troupe_group_lines(w) * TROUPE_LINE_INPUTS; }

static size_t blocks(const troupe_weight *w) {
	uint64_t groups = w->groups ? w->groups : 1;
	return groups * ((w->in / groups + TROUPE_BLOCK_ROWS - 1) / TROUPE_BLOCK_ROWS);
}

/* Rounds a row block by block, groups at the beginning of a line each. */
static void quantise(const troupe_weight *w, const float *x, int8_t *q, float *scale) {
	size_t per = w->in / w->groups, room = troupe_group_lines(w) * TROUPE_LINE_INPUTS;
	for (size_t g = 0; g < w->groups; g++, q += room, x += per) {
		memset(q + per, 0, room - per);
		for (size_t lo = 0; lo < per; lo += TROUPE_BLOCK_ROWS) {
			size_t n = per - lo < TROUPE_BLOCK_ROWS ? per - lo : TROUPE_BLOCK_ROWS;
			*scale++ = quantise_block(q + lo, x + lo, (int)n);
		}
	}
}

/* ---- products ---- */

/* Vectors as GCC and Clang have them on every machine: as many registers as it takes. */
typedef int16_t i16x16 __attribute__((vector_size(32)));
typedef int32_t i32x8 __attribute__((vector_size(32)));

/* One block of a panel times one row: s[o] += sum over k of q[k] * weight of k for o. Two neighbouring inputs are a
 * 16-bit lane, two lanes an output: split into even and odd inputs, multiplied, and added in 16 bits, which hold it,
 * since 2 * 128 * 127 < 2^15. */
static inline void block_int8(const int8_t *lines, size_t n, const int8_t *q, int32_t s[OUT]) {
	i32x8 sum[2] = {{0}, {0}};
	for (size_t l = 0; l < n; l++) {
		int32_t four;
		memcpy(&four, q + l * TROUPE_LINE_INPUTS, sizeof four);
		i16x16 x = (i16x16)(four - (i32x8){0}), even = x << 8 >> 8, odd = x >> 8;
		for (int half = 0; half < 2; half++) {
			i16x16 w;
			memcpy(&w, lines + l * TROUPE_LINE_BYTES + half * sizeof w, sizeof w);
			i32x8 p = (i32x8)((w << 8 >> 8) * even + (w >> 8) * odd);
			sum[half] += (p << 16 >> 16) + (p >> 16);
		}
	}
	memcpy(s, sum, sizeof sum);
}

/* Lines of a panel for n inputs from k on, out of a matrix that is stored by rows. */
static void pack_lines(const troupe_weight *w, size_t k, size_t n, size_t o0, size_t cols, int8_t *lines) {
	for (size_t i = 0; i < n; i += TROUPE_LINE_INPUTS, lines += TROUPE_LINE_BYTES) {
		uint8_t row[TROUPE_LINE_INPUTS][OUT] = {{0}};
		for (size_t j = 0; j < TROUPE_LINE_INPUTS && i + j < n; j++) memcpy(row[j], w->q + (k + i + j) * w->out + o0, cols);
		uint32_t word[OUT];
		for (int o = 0; o < OUT; o++)
			word[o] = row[0][o] | (uint32_t)row[1][o] << 8 | (uint32_t)row[2][o] << 16 | (uint32_t)row[3][o] << 24;
		memcpy(lines, word, sizeof word);
	}
}

/* Panel p of y = x · w for n rows whose int8 values and scales are q and scale. */
static void panel_int8(const troupe_weight *w, size_t p, int n, const int8_t *q, const float *scale, float y[TILE][OUT]) {
	size_t per = w->in / w->groups, lines = troupe_group_lines(w), rowq = padded(w), rows = blocks(w);
	size_t o0 = p * OUT, cols = w->out - o0 < OUT ? w->out - o0 : OUT, block = 0;
	memset(y, 0, sizeof(float) * TILE * OUT);
	for (size_t g = 0; g < w->groups; g++) {
		float t[TILE][OUT] = {{0}};
		for (size_t lo = 0; lo < per; lo += TROUPE_BLOCK_ROWS, block++) {
			size_t m = per - lo < TROUPE_BLOCK_ROWS ? per - lo : TROUPE_BLOCK_ROWS;
			int8_t packed[TROUPE_BLOCK_ROWS * OUT];
			const int8_t *at = packed;
			if (w->layout == TROUPE_PANELS) at = w->q + ((p * w->groups + g) * lines + lo / 4) * TROUPE_LINE_BYTES;
			else pack_lines(w, g * per + lo, m, o0, cols, packed);
			for (int r = 0; r < n; r++) {
				int32_t s[OUT];
				block_int8(at, (m + 3) / 4, q + r * rowq + g * lines * 4 + lo, s);
				float x = scale[r * rows + block];
				for (int o = 0; o < OUT; o++) t[r][o] += (float)s[o] * x;
			}
		}
		for (int r = 0; r < n; r++)
			for (size_t o = 0; o < cols; o++) y[r][o] += t[r][o] * w->scales[g * w->out + o0 + o];
	}
}

/* The weights of input i of group g for the outputs of panel p, as float32; per inputs are in a group. */
static inline void row_of_panel(const troupe_weight *w, size_t p, size_t g, size_t i, size_t per, size_t cols, float v[OUT]) {
	size_t at = (g * per + i) * w->out + p * OUT;
	if (w->layout == TROUPE_PANELS) {
		uint32_t word[OUT];
		memcpy(word, w->q + ((p * w->groups + g) * troupe_group_lines(w) + i / 4) * TROUPE_LINE_BYTES, sizeof word);
		for (int o = 0; o < OUT; o++) v[o] = (float)((int32_t)(word[o] << (24 - i % 4 * 8)) >> 24);
	} else if (w->layout == TROUPE_ROWS) {
		for (size_t o = 0; o < cols; o++) v[o] = w->q[at + o];
	} else {
		for (size_t o = 0; o < cols; o++) v[o] = w->f[at + o];
	}
}

/* Panel p of y = x · w for n rows in float32. */
static void panel_exact(const troupe_weight *w, size_t p, int n, const float *const *x, float y[TILE][OUT]) {
	size_t groups = w->groups ? w->groups : 1, per = w->in / groups;
	size_t o0 = p * OUT, cols = w->out - o0 < OUT ? w->out - o0 : OUT;
	memset(y, 0, sizeof(float) * TILE * OUT);
	for (size_t g = 0; g < groups; g++) {
		float t[TILE][OUT] = {{0}};
		for (size_t lo = 0; lo < per; lo += TROUPE_BLOCK_ROWS) {
			size_t hi = per - lo < TROUPE_BLOCK_ROWS ? per : lo + TROUPE_BLOCK_ROWS;
			float s[TILE][OUT] = {{0}};
			for (size_t i = lo; i < hi; i++) {
				float v[OUT] = {0};
				row_of_panel(w, p, g, i, per, cols, v);
				for (int r = 0; r < n; r++) {
					float f = x[r][g * per + i];
					for (int o = 0; o < OUT; o++) s[r][o] += f * v[o];
				}
			}
			for (int r = 0; r < n; r++)
				for (int o = 0; o < OUT; o++) t[r][o] += s[r][o];
		}
		for (int r = 0; r < n; r++)
			for (size_t o = 0; o < cols; o++) y[r][o] += w->scales ? t[r][o] * w->scales[g * w->out + o0 + o] : t[r][o];
	}
}

/* y = x · w for up to TILE rows, panels shared by the threads. */
static void product(const troupe_kernel *k, const troupe_weight *w, int n, const float *const *x, float *const *y, int threads) {
	bool whole = k->segment->arith == TROUPE_INT8 && w->layout <= TROUPE_PANELS;
	if (whole)
		for (int r = 0; r < n; r++) quantise(w, x[r], k->q + r * padded(w), k->scale + r * blocks(w));
	long panels = (long)((w->out + OUT - 1) / OUT);
	(void)threads;
#ifdef _OPENMP
#pragma omp parallel for num_threads(threads) schedule(static)
#endif
	for (long p = 0; p < panels; p++) {
		float out[TILE][OUT];
		if (whole) panel_int8(w, (size_t)p, n, k->q, k->scale, out);
		else panel_exact(w, (size_t)p, n, x, out);
		size_t o0 = (size_t)p * OUT, cols = w->out - o0 < OUT ? w->out - o0 : OUT;
		for (int r = 0; r < n; r++) memcpy(y[r] + o0, out[r], cols * sizeof(float));
	}
}

/* ---- the ops ---- */

static void run_linear(troupe_kernel *k, const troupe_call *c, const troupe_frame *f, int threads) {
	for (uint32_t i = 0; i < c->num_weights; i++) {
		const troupe_weight *w = &c->weights[i];
		for (uint32_t lo = 0; lo < f->rows; lo += TILE) {
			const float *x[TILE];
			float *y[TILE];
			int n = (int)(f->rows - lo < TILE ? f->rows - lo : TILE);
			for (int r = 0; r < n; r++) {
				x[r] = f->bufs[c->in[0]] + (lo + r) * w->in;
				y[r] = f->bufs[c->out[i]] + (lo + r) * w->out;
			}
			product(k, w, n, x, y, threads);
		}
	}
}

/* part = (gelu(x·gate) * (x·up)) · down, for the rows of the work. */
static void run_expert(troupe_kernel *k, const troupe_call *c, const troupe_frame *f, int threads) {
	const troupe_weight *gate = &c->weights[0], *up = &c->weights[1], *down = &c->weights[2];
	for (uint64_t lo = 0; lo < f->work; lo += TILE) {
		const float *x[TILE], *hidden[TILE];
		float *g[TILE], *u[TILE], *y[TILE];
		int n = (int)(f->work - lo < TILE ? f->work - lo : TILE);
		for (int r = 0; r < n; r++) {
			x[r] = f->bufs[c->in[0]] + (uint64_t)f->work_row[lo + r] * gate->in;
			y[r] = f->bufs[c->out[0]] + (uint64_t)f->work_dst[lo + r] * down->out;
			g[r] = k->hidden[0] + r * gate->out;
			u[r] = k->hidden[1] + r * gate->out;
			hidden[r] = g[r];
		}
		product(k, gate, n, x, g, threads);
		product(k, up, n, x, u, threads);
		for (int r = 0; r < n; r++)
			for (uint64_t j = 0; j < gate->out; j++) g[r][j] = gelu(g[r][j]) * u[r][j];
		product(k, down, n, hidden, y, threads);
	}
}

/* ---- what the host calls ---- */

uint32_t troupe_abi(void) { return TROUPE_ABI; }

int troupe_describe(troupe_info *info, troupe_error *err) {
	static const uint32_t ops[] = {TROUPE_LINEAR, TROUPE_EXPERT};
	(void)err;
	const uint16_t one = 1;
	*info = (troupe_info){
	    .name = "expert", .doc = "linear and expert in plain C, an example", .version = "1",
	    .needs = "a little-endian machine", .ops = ops, .num_ops = 2, .promise = TROUPE_IDENTICAL, .wants_panels = 1,
	};
	info->score = *(const uint8_t *)&one ? 5 : 0; /* below everything built in: it is used where it is named */
	return TROUPE_OK;
}

int troupe_open(const troupe_threads *threads, troupe_library **lib, troupe_error *err) {
	*lib = malloc(sizeof **lib);
	if (!*lib) return fail(err, TROUPE_FAILED, "no memory");
	(*lib)->threads = *threads;
	return TROUPE_OK;
}

/* What a call needs of scratch memory, the largest over the segment. */
static void measure(const troupe_call *c, size_t *hidden, size_t *values, size_t *scales) {
	for (uint32_t i = 0; i < c->num_weights; i++) {
		const troupe_weight *w = &c->weights[i];
		if (c->op == TROUPE_EXPERT && w->out > *hidden) *hidden = w->out;
		if (w->layout > TROUPE_PANELS) continue;
		if (padded(w) > *values) *values = padded(w);
		if (blocks(w) > *scales) *scales = blocks(w);
	}
}

int troupe_compile(troupe_library *lib, const troupe_segment *segment, troupe_kernel **kernel, troupe_error *err) {
	if (segment->arith != TROUPE_INT8 && segment->arith != TROUPE_EXACT)
		return fail(err, TROUPE_NO_KERNEL, "only int8 and exact");
	size_t hidden = 1, values = 1, scales = 1;
	for (uint32_t i = 0; i < segment->num_calls; i++) {
		const troupe_call *c = &segment->calls[i];
		if (c->op != TROUPE_LINEAR && c->op != TROUPE_EXPERT) return fail(err, TROUPE_NO_KERNEL, "only linear and expert");
		for (uint32_t j = 0; j < c->num_weights; j++)
			if (c->weights[j].layout == TROUPE_FLOAT_BY_OUTPUT) return fail(err, TROUPE_NO_KERNEL, "no matrices by output");
		measure(c, &hidden, &values, &scales);
	}
	troupe_kernel *k = calloc(1, sizeof *k);
	if (!k) return fail(err, TROUPE_FAILED, "no memory");
	k->lib = lib;
	k->segment = segment;
	k->hidden[0] = malloc(TILE * hidden * sizeof(float));
	k->hidden[1] = malloc(TILE * hidden * sizeof(float));
	k->q = malloc(TILE * values);
	k->scale = malloc(TILE * scales * sizeof(float));
	if (!k->hidden[0] || !k->hidden[1] || !k->q || !k->scale) {
		troupe_free(k);
		return fail(err, TROUPE_FAILED, "no memory");
	}
	*kernel = k;
	return TROUPE_OK;
}

int troupe_run(troupe_kernel *k, const troupe_frame *f, troupe_error *err) {
	(void)err;
	int threads = (int)(f->rows <= TROUPE_DECODE_ROWS ? k->lib->threads.decode : k->lib->threads.prefill);
	for (uint32_t i = 0; i < k->segment->num_calls; i++) {
		const troupe_call *c = &k->segment->calls[i];
		if (c->op == TROUPE_LINEAR) run_linear(k, c, f, threads);
		else run_expert(k, c, f, threads);
	}
	return TROUPE_OK;
}

void troupe_free(troupe_kernel *k) {
	free(k->hidden[0]);
	free(k->hidden[1]);
	free(k->q);
	free(k->scale);
	free(k);
}

void troupe_close(troupe_library *lib) { free(lib); }
