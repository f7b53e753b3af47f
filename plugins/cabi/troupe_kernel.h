/*
 * Kernel libraries for troupe in C, C++, Rust, Zig: anything that makes a shared object with C functions.
 *
 * A shared object exports the seven functions at the end of this file. The plugin program cabi loads it and lends it
 * to the engine, from a process of its own. docs/plugins.md is the guide, example/expert.c an example, kernels/ref the
 * definition of every op, kernels/order.go the order of every sum.
 *
 * Everything is C11 and C++11. Numbers are little-endian, float is IEEE 754 binary32. Structs change only together
 * with TROUPE_ABI.
 */
#ifndef TROUPE_KERNEL_H
#define TROUPE_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this file. troupe_abi returns it; the host loads no other. */
#define TROUPE_ABI 1

/* What a function returns. Any other value counts as TROUPE_FAILED. */
#define TROUPE_OK 0
#define TROUPE_FAILED 1    /* with the reason in troupe_error */
#define TROUPE_NO_KERNEL 2 /* troupe_compile: not offered for this op, arithmetic or shape; another library takes it */

/* Ops: what they compute is in kernels/op.go. Shapes: rows n, embedding size D, inputs K, outputs N, query heads H,
 * key heads G, key size d, experts E, ffn width F, vocabulary V, pairs P. */
enum {
	TROUPE_EMBED = 0,   /* out: hidden [n D]                            weights: embedding [V D] */
	TROUPE_RMSNORM = 1, /* in: x [n D]           out: y [n D]           weights: scale [D] (in = 1, out = D) */
	TROUPE_LINEAR = 2,  /* in: x [n K]           out: y [n N] a weight  weights: one or more [K N] */
	TROUPE_ROPE = 3,    /* in: q [n H d], k [n G d]   out: q, k */
	TROUPE_ATTEND = 4,  /* in: q [n H d], k, v [n G d]   out: y [n H d]; also writes the rows' keys and values */
	TROUPE_ROUTE = 5,   /* in: x [n D]           out: probabilities [n E]   weights: router [D E] */
	TROUPE_EXPERT = 6,  /* in: x [n D]           out: parts [P D]       weights: gate [D F], up [D F], down [F D] */
	TROUPE_COMBINE = 7, /* in: parts [P D]       out: y [n D] */
	TROUPE_ADD = 8,     /* in: a, b [n D]        out: y [n D] */
	TROUPE_HEAD = 9,    /* in: x [n D]           out: logits [draws V]  weights: embedding [V D] */
	TROUPE_NUM_OPS = 10
};

/* Arithmetics: one for a whole run. */
enum {
	TROUPE_INT8 = 0,     /* activations rounded to int8 by block where the weight is int8; the default */
	TROUPE_EXACT = 1,    /* float32 activations and sums */
	TROUPE_REFERENCE = 2 /* the bfloat16 roundings of xai-org/grok-1 */
};

/* Promises of a library's numerics. */
enum {
	TROUPE_IDENTICAL = 0, /* the bits of kernels/ref */
	TROUPE_CLOSE = 1      /* within the bounds that the engine checks */
};

/* Sizes of the canonical order and of the layouts. */
enum {
	TROUPE_BLOCK_ROWS = 128,   /* inputs in a block of a product, at most */
	TROUPE_BLOCK_KEYS = 128,   /* keys in a block of attention */
	TROUPE_LANES = 16,         /* of sums over a vector */
	TROUPE_BLOCK_TOKENS = 16,  /* positions in a block of the KV cache */
	TROUPE_PANEL_OUTPUTS = 16, /* outputs in a panel */
	TROUPE_LINE_INPUTS = 4,    /* inputs in a line of a panel */
	TROUPE_LINE_BYTES = 64,
	TROUPE_DECODE_ROWS = 4 /* batches of up to that many rows use troupe_threads.decode */
};

/* Layouts of a weight. */
enum {
	TROUPE_ROWS = 0,           /* q [in][out] */
	TROUPE_PANELS = 1,         /* q [out/16][lines][16 outputs][4 inputs]: see troupe_group_lines */
	TROUPE_FLOAT = 2,          /* f [in][out] */
	TROUPE_FLOAT_BY_OUTPUT = 3 /* f [out][in], as the embedding is stored: [V D], in = D, out = V */
};

/* A number of a weight. Weights are mapped from files as they lie there, so a float32 of one may lie at any address:
 * compilers of the GNU family read it through this type, in other languages by an unaligned load. */
#if defined(__GNUC__)
typedef float troupe_loose_float __attribute__((aligned(1), may_alias));
#else
typedef float troupe_loose_float;
#endif

/* A matrix, or a vector with in = 1. Read-only, at the same address as long as a kernel that was compiled with it. */
typedef struct troupe_weight {
	const char *name; /* for messages */
	uint64_t in, out;
	uint64_t groups; /* of inputs, with a scale for each output; a divisor of in. 0 where there are no scales */
	uint32_t layout;
	uint32_t reserved;
	const int8_t *q;                  /* NULL unless int8 */
	const troupe_loose_float *scales; /* [groups][out]: scale of in/groups inputs each. NULL unless int8 */
	const troupe_loose_float *f;      /* NULL unless float32 */
} troupe_weight;

/* Lines of one scale group in a panel: each holds four inputs, the last one is filled up with zeros. The line of input
 * k for outputs 16*p and on is number ((p*groups + k/(in/groups)) * troupe_group_lines(w) + k%(in/groups)/4). */
static inline uint64_t troupe_group_lines(const troupe_weight *w) {
	return (w->in / w->groups + TROUPE_LINE_INPUTS - 1) / TROUPE_LINE_INPUTS;
}

/* An op with everything but the memory it works on. */
typedef struct troupe_call {
	uint32_t op;
	int32_t layer; /* -1 outside the layers */
	uint32_t num_in, num_out, num_weights;
	uint32_t heads, kv_heads, key_size; /* rope, attend */
	const uint8_t *in, *out;            /* slots: indices into troupe_frame.bufs, in the order of the list of ops */
	const troupe_weight *weights;
	float multiplier; /* embed, head: factor; attend: factor of the logits before the cap */
	float cap;        /* attend */
	float eps;        /* rmsnorm */
	uint32_t reserved;
	const troupe_loose_float *cos, *sin; /* rope: [positions][key_size/2] */
	uint64_t positions;
} troupe_call;

/* A run of calls that is computed by one troupe_run, in order. */
typedef struct troupe_segment {
	uint32_t arith;
	uint32_t num_calls;
	const troupe_call *calls;
} troupe_segment;

/* Keys and values of a layer in the KV cache, [blocks]. Of a block:
 *
 *	keys   [kv_heads][key_size][16 positions]
 *	values [kv_heads][16 positions][key_size]
 *
 * keys after RoPE. float32, or bfloat16 when the cache is half; the other two are NULL. */
typedef struct troupe_cache_layer {
	float *k32, *v32;
	uint16_t *k16, *v16;
} troupe_cache_layer;

/* The memory of one batch. attend writes keys and values in the blocks of the rows' own positions, nowhere else. */
typedef struct troupe_frame {
	/* Buffers by slot. Only what a call names as output may be written. */
	float *const *bufs;
	const uint64_t *buf_len; /* floats */
	uint32_t num_bufs;

	/* Rows, one entry each. */
	uint32_t rows;
	const int32_t *token;  /* id */
	const int32_t *pos;    /* absolute position in its sequence */
	const int32_t *seq;    /* index into tables and skip */
	const int32_t *first;  /* first key that the row may see */
	const int32_t *keyless; /* 0, or: has no key and averages values 0 to keyless-1 */
	const uint8_t *prompt; /* 1: a row of a prompt, which does not see the positions in skip */

	/* Sequences. */
	const int32_t *const *tables; /* cache blocks in order of position, 16 positions each */
	const uint64_t *table_len;
	const int32_t *const *skip; /* ascending positions of pad tokens inside the prompt */
	const uint64_t *skip_len;
	uint32_t sequences;

	/* head: rows whose logits are wanted, ascending. */
	uint32_t draws;
	const int32_t *draw;

	/* combine: row r owns pairs pair_start[r] to pair_start[r+1]-1, best expert first. */
	const int32_t *pair_start; /* [rows+1] */
	const float *gate;         /* [pairs] */
	uint64_t pairs;

	/* expert: rows of the input, and for each the pair of the output that takes the result. */
	const int32_t *work_row, *work_dst;
	uint64_t work;

	/* attend: by layer number of the model; NULL pointers for layers that the segment does not attend in. */
	const troupe_cache_layer *cache;
	uint32_t cache_layers;
	uint32_t cache_half; /* 1: bfloat16 */
	uint64_t cache_blocks;
} troupe_frame;

typedef struct troupe_threads {
	uint32_t decode, prefill; /* how many may be used for few rows and for many; at least 1 */
} troupe_threads;

/* Where a function writes why it failed: UTF-8, one line, ended by a zero. */
typedef struct troupe_error {
	char text[512];
} troupe_error;

/* What a library says of itself. Strings are UTF-8 of one line, at most 200 bytes, and stay where they are. */
typedef struct troupe_info {
	const char *name;    /* without space, = , @ / : ; it is the plugin's name */
	const char *doc;     /* one line */
	const char *version; /* of the library */
	const char *needs;   /* what a machine must have for a score above 0; NULL: nothing */
	const uint32_t *ops; /* those that it has */
	uint32_t num_ops;
	uint32_t promise;
	uint32_t score;      /* on this machine; 0: cannot run here */
	uint32_t wants_panels; /* 1: fastest on int8 matrices in panels. Both layouts have to work, or TROUPE_NO_KERNEL */
} troupe_info;

/* The author's own. */
typedef struct troupe_library troupe_library;
typedef struct troupe_kernel troupe_kernel;

#if defined(__GNUC__)
#define TROUPE_EXPORT __attribute__((visibility("default")))
#elif defined(_WIN32)
#define TROUPE_EXPORT __declspec(dllexport)
#else
#define TROUPE_EXPORT
#endif

/* Returns TROUPE_ABI. */
TROUPE_EXPORT uint32_t troupe_abi(void);

/* Fills in what the library is. info is zero before. */
TROUPE_EXPORT int troupe_describe(troupe_info *info, troupe_error *err);

/* Makes a library for that many threads. */
TROUPE_EXPORT int troupe_open(const troupe_threads *threads, troupe_library **lib, troupe_error *err);

/* Prepares a segment. The segment and all it points at stay until troupe_free of the kernel: nothing need be copied.
 * May be called while a kernel of the library runs on another thread. */
TROUPE_EXPORT int troupe_compile(troupe_library *lib, const troupe_segment *segment, troupe_kernel **kernel, troupe_error *err);

/* Computes a segment for one batch. Kernels of a library run one at a time. The frame may not be kept. */
TROUPE_EXPORT int troupe_run(troupe_kernel *kernel, const troupe_frame *frame, troupe_error *err);

/* Gives a kernel back; may be called while another one runs. */
TROUPE_EXPORT void troupe_free(troupe_kernel *kernel);

/* Gives the library back; its kernels are gone by then. */
TROUPE_EXPORT void troupe_close(troupe_library *lib);

#ifdef __cplusplus
}
#endif
#endif
