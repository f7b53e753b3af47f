// Initialisation, errors, devices, contexts.
#include "fake.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace fake {
std::recursive_mutex mu;
thread_local std::vector<CUcontext> stack;
static std::set<CUcontext> contexts;
static std::map<int, CUcontext> primary;
static std::map<int, int> retained;

long setting(const char *name, long otherwise) { const char *s = getenv(name); return s && *s ? atol(s) : otherwise; }
int devices() { return setting("CUDA_FAKE_DEVICES", 1); }

CUresult injected(const char *name) {
	static std::string seen;
	static std::map<std::string, int> calls;
	const char *all = getenv("CUDA_FAKE_FAIL");
	if (!all || !*all) return seen.clear(), CUDA_SUCCESS;
	if (seen != all) seen = all, calls.clear();
	const int nth = ++calls[name];
	for (const char *f = all; f; f = strchr(f, ','), f = f ? f + 1 : f) {
		char want[64];
		int n, code;
		if (sscanf(f, "%63[^:]:%d:%d", want, &n, &code) == 3 && !strcmp(name, want) && n == nth) return (CUresult)code;
	}
	return CUDA_SUCCESS;
}

CUresult begin(const char *function) {
	const std::string full = function, name = full.substr(0, full.find("_v")); // cuMemAlloc_v2 is cuMemAlloc
	if (setting("CUDA_FAKE_TRACE", 0)) fprintf(stderr, "fake cuda: %s\n", name.c_str());
	const CUresult e = injected(name.c_str());
	if (sticks(e) && !stack.empty()) stack.back()->poison = e;
	return e;
}

bool sticks(CUresult e) {
	switch (e) {
	case CUDA_ERROR_ECC_UNCORRECTABLE: case CUDA_ERROR_ILLEGAL_ADDRESS: case CUDA_ERROR_LAUNCH_TIMEOUT: case CUDA_ERROR_ASSERT:
	case CUDA_ERROR_HARDWARE_STACK_ERROR: case CUDA_ERROR_ILLEGAL_INSTRUCTION: case CUDA_ERROR_MISALIGNED_ADDRESS:
	case CUDA_ERROR_INVALID_ADDRESS_SPACE: case CUDA_ERROR_INVALID_PC: case CUDA_ERROR_LAUNCH_FAILED: return true;
	default: return false;
	}
}

CUresult current() {
	if (stack.empty() || !stack.back() || !contexts.count(stack.back())) return CUDA_ERROR_INVALID_CONTEXT;
	return stack.back()->poison;
}
} // namespace fake
using namespace fake;

static bool device(CUdevice d) { return d >= 0 && d < devices(); }

extern "C" {
CUresult cuInit(unsigned flags) { ENTER; NEED(!flags); return devices() ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE; }
CUresult cuDriverGetVersion(int *v) { ENTER; *v = setting("CUDA_FAKE_VERSION", 12040); return CUDA_SUCCESS; }
CUresult cuGetErrorName(CUresult e, const char **s) {
	static thread_local char name[32];
	snprintf(name, sizeof name, "CUDA_ERROR_%d", e);
	*s = name;
	return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult e, const char **s) {
	static thread_local char text[32];
	snprintf(text, sizeof text, "fake error %d", e);
	*s = text;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *n) { ENTER; *n = devices(); return CUDA_SUCCESS; }
CUresult cuDeviceGet(CUdevice *d, int n) { ENTER; if (!device(n)) return CUDA_ERROR_INVALID_DEVICE; *d = n; return CUDA_SUCCESS; }
CUresult cuDeviceGetName(char *s, int n, CUdevice d) { ENTER; if (!device(d)) return CUDA_ERROR_INVALID_DEVICE; snprintf(s, n, "Fake GPU %d", d); return CUDA_SUCCESS; }
CUresult cuDeviceTotalMem(size_t *n, CUdevice d) { ENTER; if (!device(d)) return CUDA_ERROR_INVALID_DEVICE; *n = total(); return CUDA_SUCCESS; }
CUresult cuDeviceGetAttribute(int *v, CUdevice_attribute a, CUdevice d) {
	ENTER;
	if (!device(d)) return CUDA_ERROR_INVALID_DEVICE;
	switch (a) {
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *v = setting("CUDA_FAKE_CC", 90) / 10; break;
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *v = setting("CUDA_FAKE_CC", 90) % 10; break;
	case CU_DEVICE_ATTRIBUTE_WARP_SIZE: *v = 32; break;
	case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *v = 1024; break;
	case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: *v = 48 << 10; break;
	case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *v = 4; break;
	case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: *v = 1000000; break;    // kHz
	case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH: *v = 256; break; // bits
	case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING: *v = 1; break;
	default: *v = 0;
	}
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *c, CUdevice d) {
	ENTER;
	if (!device(d)) return CUDA_ERROR_INVALID_DEVICE;
	if (!primary[d]) contexts.insert(primary[d] = new CUctx_st{d});
	retained[d]++;
	*c = primary[d];
	return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease(CUdevice d) {
	ENTER;
	NEED(retained[d] > 0);
	if (--retained[d] == 0) contexts.erase(primary[d]), primary[d] = nullptr; // kept: streams may name it
	return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext c) { ENTER; if (!stack.empty()) stack.pop_back(); if (c) stack.push_back(c); return CUDA_SUCCESS; }
CUresult cuCtxGetCurrent(CUcontext *c) { ENTER; *c = stack.empty() ? nullptr : stack.back(); return CUDA_SUCCESS; }
CUresult cuCtxGetDevice(CUdevice *d) { CONTEXT; *d = stack.back()->dev; return CUDA_SUCCESS; }
CUresult cuCtxSynchronize() { CONTEXT; drainAll(); return wait(); }
}
