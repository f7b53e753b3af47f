/*
 * The ops that expert.c lacks, in plain C that reads like the formula, in float32 arithmetic: an example of how rows,
 * sequences, the KV cache, pairs and draws are read. One thread, nothing fast, the bits of kernels/ref.
 *
 *	cc -std=c11 -O2 -ffp-contract=off -shared -fPIC -I.. -o ops.so ops.c -lm
 *
 * In the arithmetic int8 these ops are the same, but for a head whose matrix is int8.
 */
#include "elementary.h"
#include "troupe_kernel.h"

#include <stdlib.h>

struct troupe_library {
	char unused;
};

struct troupe_kernel {
	const troupe_segment *segment;
	float *weight; /* attend: exp(logit - cap) by key; grows with the longest sequence */
	size_t keys;
};

static int fail(troupe_error *err, int code, const char *text) {
	strncpy(err->text, text, sizeof err->text - 1);
	err->text[sizeof err->text - 1] = 0;
	return code;
}

/* The sum of lanes by halves. */
static float fold(float lane[TROUPE_LANES]) {
	for (int n = TROUPE_LANES / 2; n > 0; n /= 2)
		for (int j = 0; j < n; j++) lane[j] += lane[j + n];
	return lane[0];
}

static void embed(const troupe_call *c, const troupe_frame *f) {
	const troupe_weight *w = &c->weights[0];
	float *y = f->bufs[c->out[0]];
	for (uint32_t r = 0; r < f->rows; r++)
		for (uint64_t i = 0; i < w->in; i++) y[r * w->in + i] = w->f[(uint64_t)f->token[r] * w->in + i] * c->multiplier;
}

static void rmsnorm(const troupe_call *c, const troupe_frame *f) {
	const troupe_weight *w = &c->weights[0];
	uint64_t d = w->out;
	for (uint32_t r = 0; r < f->rows; r++) {
		const float *x = f->bufs[c->in[0]] + r * d;
		float *y = f->bufs[c->out[0]] + r * d, lane[TROUPE_LANES] = {0};
		for (uint64_t i = 0; i < d; i++) lane[i % TROUPE_LANES] += x[i] * x[i];
		float norm = 1 / sqrtf(fold(lane) / (float)d + c->eps);
		for (uint64_t i = 0; i < d; i++) y[i] = w->f[i] * (x[i] * norm);
	}
}

static void rope(const troupe_call *c, const troupe_frame *f) {
	uint64_t half = c->key_size / 2;
	for (int i = 0; i < 2; i++) {
		uint64_t heads = i == 0 ? c->heads : c->kv_heads;
		for (uint32_t r = 0; r < f->rows; r++) {
			const troupe_loose_float *cosine = c->cos + (uint64_t)f->pos[r] * half, *sine = c->sin + (uint64_t)f->pos[r] * half;
			for (uint64_t h = 0; h < heads; h++) {
				const float *x = f->bufs[c->in[i]] + (r * heads + h) * c->key_size;
				float *y = f->bufs[c->out[i]] + (r * heads + h) * c->key_size;
				for (uint64_t j = 0; j < half; j++) {
					float a = x[j], b = x[j + half];
					y[j] = a * cosine[j] - b * sine[j];
					y[j + half] = b * cosine[j] + a * sine[j];
				}
			}
		}
	}
}

/* ---- attention ---- */

static float from_bf16(uint16_t v) { return bits_to_float((uint32_t)v << 16); }

static uint16_t to_bf16(float v) {
	uint32_t b = float_to_bits(v);
	if (v != v) return (uint16_t)(b >> 16 | 0x40);
	return (uint16_t)((b + 0x7fff + (b >> 16 & 1)) >> 16); /* to nearest, ties to even */
}

typedef struct {
	const troupe_cache_layer *layer;
	int half;
	const int32_t *table;
	uint64_t kv_heads, size;
} view;

static uint64_t key_at(const view *v, uint64_t h, uint64_t d, uint64_t pos) {
	uint64_t block = (uint64_t)v->table[pos / TROUPE_BLOCK_TOKENS], n = TROUPE_BLOCK_TOKENS;
	return block * v->kv_heads * v->size * n + (h * v->size + d) * n + pos % n;
}

static uint64_t value_at(const view *v, uint64_t h, uint64_t d, uint64_t pos) {
	uint64_t block = (uint64_t)v->table[pos / TROUPE_BLOCK_TOKENS], n = TROUPE_BLOCK_TOKENS;
	return block * v->kv_heads * v->size * n + (h * n + pos % n) * v->size + d;
}

static view view_of(const troupe_call *c, const troupe_frame *f, uint32_t row) {
	view v = {&f->cache[c->layer], (int)f->cache_half, f->tables[f->seq[row]], c->kv_heads, c->key_size};
	return v;
}

static void store(const troupe_call *c, const troupe_frame *f, uint32_t row) {
	view v = view_of(c, f, row);
	uint64_t width = v.kv_heads * v.size, pos = (uint64_t)f->pos[row];
	const float *k = f->bufs[c->in[1]] + row * width, *val = f->bufs[c->in[2]] + row * width;
	for (uint64_t h = 0; h < v.kv_heads; h++)
		for (uint64_t d = 0; d < v.size; d++) {
			float kd = k[h * v.size + d], vd = val[h * v.size + d];
			if (v.half) {
				v.layer->k16[key_at(&v, h, d, pos)] = to_bf16(kd);
				v.layer->v16[value_at(&v, h, d, pos)] = to_bf16(vd);
			} else {
				v.layer->k32[key_at(&v, h, d, pos)] = kd;
				v.layer->v32[value_at(&v, h, d, pos)] = vd;
			}
		}
}

/* Whether the row may see the key at a position. */
static int visible(const troupe_frame *f, uint32_t row, int32_t pos) {
	if (pos < f->first[row]) return 0;
	if (!f->prompt[row]) return 1;
	const int32_t *skip = f->skip[f->seq[row]];
	for (uint64_t i = 0; i < f->skip_len[f->seq[row]]; i++)
		if (skip[i] == pos) return 0;
	return 1;
}

static void attend_head(troupe_kernel *kernel, const troupe_call *c, const troupe_frame *f, uint32_t row, uint64_t h, uint64_t keys) {
	view v = view_of(c, f, row);
	uint64_t kv = h / (c->heads / c->kv_heads), at = (row * (uint64_t)c->heads + h) * v.size;
	const float *q = f->bufs[c->in[0]] + at;
	float *y = f->bufs[c->out[0]] + at, *p = kernel->weight, sum = 0;
	for (uint64_t j = 0; j < keys; j++) {
		p[j] = f->keyless[row] > 0;
		if (f->keyless[row] > 0 || !visible(f, row, (int32_t)j)) continue;
		float s = 0;
		for (uint64_t d = 0; d < v.size; d++)
			s += q[d] * (v.half ? from_bf16(v.layer->k16[key_at(&v, kv, d, j)]) : v.layer->k32[key_at(&v, kv, d, j)]);
		p[j] = exp32(c->cap * tanh32(s * c->multiplier / c->cap) - c->cap);
	}
	for (uint64_t lo = 0; lo < keys; lo += TROUPE_BLOCK_KEYS) {
		float lane[TROUPE_LANES] = {0};
		for (uint64_t j = lo; j < keys && j < lo + TROUPE_BLOCK_KEYS; j++) lane[j % TROUPE_LANES] += p[j];
		sum += fold(lane);
	}
	for (uint64_t d = 0; d < v.size; d++) {
		float total = 0;
		for (uint64_t lo = 0; lo < keys; lo += TROUPE_BLOCK_KEYS) {
			float s = 0;
			for (uint64_t j = lo; j < keys && j < lo + TROUPE_BLOCK_KEYS; j++)
				s += p[j] * (v.half ? from_bf16(v.layer->v16[value_at(&v, kv, d, j)]) : v.layer->v32[value_at(&v, kv, d, j)]);
			total += s;
		}
		y[d] = total / sum;
	}
}

static int attend(troupe_kernel *kernel, const troupe_call *c, const troupe_frame *f, troupe_error *err) {
	for (uint32_t r = 0; r < f->rows; r++) store(c, f, r);
	for (uint32_t r = 0; r < f->rows; r++) {
		uint64_t keys = f->keyless[r] > 0 ? (uint64_t)f->keyless[r] : (uint64_t)f->pos[r] + 1;
		if (keys > kernel->keys) {
			float *more = realloc(kernel->weight, 2 * keys * sizeof *more);
			if (!more) return fail(err, TROUPE_FAILED, "no memory");
			kernel->weight = more;
			kernel->keys = 2 * keys;
		}
		for (uint64_t h = 0; h < c->heads; h++) attend_head(kernel, c, f, r, h, keys);
	}
	return TROUPE_OK;
}

/* ---- experts ---- */

/* y = x · w in float32, in blocks of inputs; inputs and outputs are apart as the layout says. */
static float dot(const troupe_weight *w, const float *x, uint64_t o) {
	uint64_t step = w->layout == TROUPE_FLOAT_BY_OUTPUT ? 1 : w->out;
	const troupe_loose_float *at = w->f + (w->layout == TROUPE_FLOAT_BY_OUTPUT ? o * w->in : o);
	float y = 0, t = 0;
	for (uint64_t lo = 0; lo < w->in; lo += TROUPE_BLOCK_ROWS) {
		float s = 0;
		for (uint64_t k = lo; k < w->in && k < lo + TROUPE_BLOCK_ROWS; k++) s += x[k] * at[k * step];
		t += s;
	}
	return y + t;
}

static void route(const troupe_call *c, const troupe_frame *f) {
	const troupe_weight *w = &c->weights[0];
	for (uint32_t r = 0; r < f->rows; r++) {
		float *p = f->bufs[c->out[0]] + r * w->out, sum = 0;
		for (uint64_t e = 0; e < w->out; e++) p[e] = dot(w, f->bufs[c->in[0]] + r * w->in, e);
		float top = p[0];
		for (uint64_t e = 1; e < w->out; e++)
			if (p[e] > top) top = p[e];
		for (uint64_t e = 0; e < w->out; e++) {
			p[e] = exp32(p[e] - top);
			sum += p[e];
		}
		for (uint64_t e = 0; e < w->out; e++) p[e] /= sum;
	}
}

static void combine(const troupe_call *c, const troupe_frame *f) {
	const float *parts = f->bufs[c->in[0]];
	uint64_t d = f->buf_len[c->out[0]] / f->rows;
	for (uint32_t r = 0; r < f->rows; r++)
		for (uint64_t i = 0; i < d; i++) {
			float s = 0;
			for (int32_t p = f->pair_start[r]; p < f->pair_start[r + 1]; p++) s += f->gate[p] * parts[(uint64_t)p * d + i];
			f->bufs[c->out[0]][r * d + i] = s;
		}
}

static void add(const troupe_call *c, const troupe_frame *f) {
	for (uint64_t i = 0; i < f->buf_len[c->out[0]]; i++)
		f->bufs[c->out[0]][i] = f->bufs[c->in[0]][i] + f->bufs[c->in[1]][i];
}

static void head(const troupe_call *c, const troupe_frame *f) {
	const troupe_weight *w = &c->weights[0];
	for (uint32_t i = 0; i < f->draws; i++)
		for (uint64_t o = 0; o < w->out; o++)
			f->bufs[c->out[0]][i * w->out + o] = dot(w, f->bufs[c->in[0]] + (uint64_t)f->draw[i] * w->in, o) * c->multiplier;
}

/* ---- what the host calls ---- */

uint32_t troupe_abi(void) { return TROUPE_ABI; }

int troupe_describe(troupe_info *info, troupe_error *err) {
	static const uint32_t ops[] = {TROUPE_EMBED, TROUPE_RMSNORM, TROUPE_ROPE, TROUPE_ATTEND, TROUPE_ROUTE, TROUPE_COMBINE, TROUPE_ADD, TROUPE_HEAD};
	(void)err;
	info->name = "ops";
	info->doc = "all ops but linear and expert in plain C, an example";
	info->version = "1";
	info->ops = ops;
	info->num_ops = sizeof ops / sizeof *ops;
	info->promise = TROUPE_IDENTICAL;
	info->score = 1;
	return TROUPE_OK;
}

int troupe_open(const troupe_threads *threads, troupe_library **lib, troupe_error *err) {
	(void)threads;
	*lib = malloc(sizeof **lib);
	return *lib ? TROUPE_OK : fail(err, TROUPE_FAILED, "no memory");
}

int troupe_compile(troupe_library *lib, const troupe_segment *segment, troupe_kernel **kernel, troupe_error *err) {
	(void)lib;
	if (segment->arith == TROUPE_REFERENCE) return fail(err, TROUPE_NO_KERNEL, "only int8 and exact");
	for (uint32_t i = 0; i < segment->num_calls; i++) {
		const troupe_call *c = &segment->calls[i];
		if (c->op == TROUPE_LINEAR || c->op == TROUPE_EXPERT) return fail(err, TROUPE_NO_KERNEL, "neither linear nor expert");
		for (uint32_t j = 0; j < c->num_weights; j++)
			if (!c->weights[j].f) return fail(err, TROUPE_NO_KERNEL, "only float32 matrices");
	}
	*kernel = calloc(1, sizeof **kernel);
	if (!*kernel) return fail(err, TROUPE_FAILED, "no memory");
	(*kernel)->segment = segment;
	return TROUPE_OK;
}

int troupe_run(troupe_kernel *k, const troupe_frame *f, troupe_error *err) {
	for (uint32_t i = 0; i < k->segment->num_calls; i++) {
		const troupe_call *c = &k->segment->calls[i];
		int code = TROUPE_OK;
		switch (c->op) {
		case TROUPE_EMBED: embed(c, f); break;
		case TROUPE_RMSNORM: rmsnorm(c, f); break;
		case TROUPE_ROPE: rope(c, f); break;
		case TROUPE_ATTEND: code = attend(k, c, f, err); break;
		case TROUPE_ROUTE: route(c, f); break;
		case TROUPE_COMBINE: combine(c, f); break;
		case TROUPE_ADD: add(c, f); break;
		case TROUPE_HEAD: head(c, f); break;
		}
		if (code != TROUPE_OK) return code;
	}
	return TROUPE_OK;
}

void troupe_free(troupe_kernel *k) {
	free(k->weight);
	free(k);
}

void troupe_close(troupe_library *lib) { free(lib); }
