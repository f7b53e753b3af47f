// Modules, of which the PTX text is read, and launches, which run the CPU build.
#include "fake.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace fake;

static CUresult load(CUmodule *m, const char *s) {
	if (!memcmp(s, "\177ELF", 4)) return CUDA_ERROR_NO_BINARY_FOR_GPU;
	const char *target = strstr(s, ".target sm_"), *version = strstr(s, ".version ");
	if (!target || !version) return CUDA_ERROR_INVALID_PTX;
	// PTX 8.4 came with CUDA 12.4, 9.0 with 13.0; between them this is a little lenient.
	const int isa = atoi(version + 9) * 10 + atoi(strchr(version + 9, '.') + 1), driver = setting("CUDA_FAKE_VERSION", 12040);
	if (isa > (driver < 13000 ? 80 : 90) + driver / 10 % 100) return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
	if (atoi(target + 11) > setting("CUDA_FAKE_CC", 90)) return CUDA_ERROR_INVALID_PTX;
	*m = new CUmod_st{s, {}};
	return CUDA_SUCCESS;
}

// entry gives the sizes of the parameters of a kernel in PTX text, or false.
static bool entry(const std::string &ptx, const char *name, std::vector<size_t> *sizes) {
	size_t i = ptx.find(std::string(".entry ") + name + "(");
	if (i == std::string::npos) return false;
	const std::string head = ptx.substr(i, ptx.find(')', i) - i);
	for (size_t p = 0; (p = head.find(".param ", p)) != std::string::npos; p++) {
		const char *type = head.c_str() + p + 7;
		if (!strncmp(type, ".align", 6)) type = strchr(type + 1, '.'); // .align n .b8 name[bytes]
		while (*type && !(type[0] == '.' && type[1] && strchr("ubsf", type[1]) && type[2] >= '0' && type[2] <= '9')) type++;
		const size_t width = atoi(type + 2) / 8, end = head.find('\n', p);
		const std::string line = head.substr(p, end - p);
		const size_t bracket = line.find('[');
		sizes->push_back(bracket == std::string::npos ? width : atoi(line.c_str() + bracket + 1) * width);
	}
	return true;
}

extern "C" {
CUresult cuModuleLoadData(CUmodule *m, const void *image) { CONTEXT; return load(m, (const char *)image); }
CUresult cuModuleUnload(CUmodule m) { CONTEXT; drainAll(); delete m; return CUDA_SUCCESS; }
CUresult cuModuleGetFunction(CUfunction *f, CUmodule m, const char *name) {
	CONTEXT;
	std::vector<size_t> sizes;
	if (!entry(m->image, name, &sizes)) return CUDA_ERROR_NOT_FOUND;
	int count;
	const TwinKernel *all = twinKernels(&count);
	for (int i = 0; i < count; i++) {
		if (strcmp(all[i].name, name)) continue;
		if (sizes != std::vector<size_t>(all[i].params, 8)) {
			fprintf(stderr, "fake cuda: %s: the PTX and the CPU build have different parameters\n", name);
			return CUDA_ERROR_INVALID_IMAGE;
		}
		auto &fn = m->functions[name];
		if (!fn) fn.reset(new CUfunc_st{&all[i]});
		*f = fn.get();
		return CUDA_SUCCESS;
	}
	fprintf(stderr, "fake cuda: %s: no CPU build\n", name);
	return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, CUstream st, void **params, void **extra) {
	CONTEXT;
	NEED(f && !extra && !shared && gx && gy && gz && bx && by && bz && gx < 1u << 31 && gy < 65536 && gz < 65536 && bz <= 64);
	NEED((size_t)bx * by * bz <= 1024);
	struct Call { const TwinKernel *k; unsigned g[3], b[3]; std::vector<uint64_t> v; };
	auto c = std::make_shared<Call>(Call{f->kernel, {gx, gy, gz}, {bx, by, bz}, {}});
	const CUcontext ctx = stack.back();
	for (int i = 0; i < f->kernel->params; i++) { // parameters are read now, the kernel runs later
		c->v.push_back(*(uint64_t *)params[i]);
		if (otherDevice(c->v[i], ctx->dev)) {
			fprintf(stderr, "fake cuda: %s: parameter %d is memory of another device\n", f->kernel->name, i);
			return ctx->poison = CUDA_ERROR_ILLEGAL_ADDRESS;
		}
	}
	return put(st, [c, ctx] {
		if (CUresult e = injected("kernel")) {
			ctx->poison = e;
			return;
		}
		std::vector<void *> p;
		for (uint64_t &v : c->v) p.push_back(&v);
		if (const char *e = c->k->run(c->g, c->b, p.data())) {
			fprintf(stderr, "fake cuda: %s: %s\n", c->k->name, e);
			ctx->poison = CUDA_ERROR_LAUNCH_FAILED;
		}
	});
}
}
