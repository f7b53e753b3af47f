/* Calls of a shared object's functions: Go cannot call a C function by its address. */
#include "troupe_kernel.h"

typedef struct troupe_functions {
	uint32_t (*abi)(void);
	int (*describe)(troupe_info *, troupe_error *);
	int (*open)(const troupe_threads *, troupe_library **, troupe_error *);
	int (*compile)(troupe_library *, const troupe_segment *, troupe_kernel **, troupe_error *);
	int (*run)(troupe_kernel *, const troupe_frame *, troupe_error *);
	void (*free)(troupe_kernel *);
	void (*close)(troupe_library *);
} troupe_functions;

static inline uint32_t call_abi(const troupe_functions *f) { return f->abi(); }
static inline int call_describe(const troupe_functions *f, troupe_info *i, troupe_error *e) { return f->describe(i, e); }
static inline int call_open(const troupe_functions *f, const troupe_threads *t, troupe_library **l, troupe_error *e) { return f->open(t, l, e); }
static inline int call_compile(const troupe_functions *f, troupe_library *l, const troupe_segment *s, troupe_kernel **k, troupe_error *e) {
	return f->compile(l, s, k, e);
}
static inline int call_run(const troupe_functions *f, troupe_kernel *k, const troupe_frame *m, troupe_error *e) { return f->run(k, m, e); }
static inline void call_free(const troupe_functions *f, troupe_kernel *k) { f->free(k); }
static inline void call_close(const troupe_functions *f, troupe_library *l) { f->close(l); }
