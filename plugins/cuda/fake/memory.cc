// Memory of devices, page-locked memory, copies.
#include "fake.h"
#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace fake {
namespace {
struct Memory { size_t n; int dev; bool host; };
std::map<uintptr_t, Memory> memories;
std::map<int, size_t> used;
constexpr size_t soiled = 1 << 20; // bytes of page-locked memory that are filled: enough to show a mistake

const Memory *find(uintptr_t p, size_t n) {
	auto i = memories.upper_bound(p);
	if (i == memories.begin()) return nullptr;
	--i;
	return p + n <= i->first + i->second.n ? &i->second : nullptr;
}
bool pinned(const void *p, size_t n) { const Memory *m = find((uintptr_t)p, n); return m && m->host; }
bool here(CUdeviceptr p, size_t n) { return deviceMemory(p, n, stack.back()->dev); }
void *at(CUdeviceptr p) { return (void *)p; }

CUresult alloc(uintptr_t *p, size_t n, bool host) {
	NEED(n);
	const int d = stack.back()->dev;
	if (!host && used[d] + n > total()) return CUDA_ERROR_OUT_OF_MEMORY;
	void *m = aligned_alloc(512, (n + 511) / 512 * 512);
	if (!m) return CUDA_ERROR_OUT_OF_MEMORY;
	memset(m, 0xff, host ? std::min(n, soiled) : n); // NaN, -1: nobody may count on zeros
	memories[*p = (uintptr_t)m] = {n, d, host};
	if (!host) used[d] += n;
	return CUDA_SUCCESS;
}
CUresult release(uintptr_t p, bool host) {
	if (!p) return CUDA_SUCCESS;
	auto i = memories.find(p);
	NEED(i != memories.end() && i->second.host == host);
	drainAll(); // as cuMemFree waits for the device
	if (!host) used[i->second.dev] -= i->second.n;
	memset((void *)p, 0xff, host ? std::min(i->second.n, soiled) : i->second.n);
	free((void *)p);
	memories.erase(i);
	return CUDA_SUCCESS;
}
} // namespace

size_t total() { return (size_t)setting("CUDA_FAKE_MEM_MB", 1024) << 20; }
bool deviceMemory(uintptr_t p, size_t n, int dev) { const Memory *m = find(p, n); return m && !m->host && m->dev == dev; }
bool otherDevice(uintptr_t p, int dev) { const Memory *m = find(p, 1); return m && !m->host && m->dev != dev; }
} // namespace fake
using namespace fake;

extern "C" {
CUresult cuMemGetInfo(size_t *f, size_t *t) {
	CONTEXT;
	*t = total();
	const size_t u = used[stack.back()->dev];
	*f = *t > u ? *t - u : 0;
	return CUDA_SUCCESS;
}
CUresult cuMemAlloc(CUdeviceptr *p, size_t n) { CONTEXT; return alloc((uintptr_t *)p, n, false); }
CUresult cuMemFree(CUdeviceptr p) { CONTEXT; return release(p, false); }
CUresult cuMemHostAlloc(void **p, size_t n, unsigned) { CONTEXT; return alloc((uintptr_t *)p, n, true); }
CUresult cuMemFreeHost(void *p) { CONTEXT; return release((uintptr_t)p, true); }

CUresult cuMemcpyHtoDAsync(CUdeviceptr d, const void *s, size_t n, CUstream st) {
	CONTEXT;
	NEED(here(d, n));
	if (pinned(s, n)) return put(st, [=] { memcpy(at(d), s, n); });
	std::string copy((const char *)s, n); // pageable memory is staged before the call returns
	return put(st, [=] { memcpy(at(d), copy.data(), n); });
}
CUresult cuMemcpyDtoHAsync(void *d, CUdeviceptr s, size_t n, CUstream st) {
	CONTEXT;
	NEED(here(s, n));
	if (CUresult e = put(st, [=] { memcpy(d, at(s), n); })) return e;
	if (pinned(d, n)) return CUDA_SUCCESS;
	drain(real(st)); // pageable memory: done when the call returns
	return wait();
}
CUresult cuMemcpyDtoDAsync(CUdeviceptr d, CUdeviceptr s, size_t n, CUstream st) { CONTEXT; NEED(here(d, n) && here(s, n)); return put(st, [=] { memmove(at(d), at(s), n); }); }
CUresult cuMemsetD8Async(CUdeviceptr d, unsigned char v, size_t n, CUstream st) { CONTEXT; NEED(here(d, n)); return put(st, [=] { memset(at(d), v, n); }); }
CUresult cuMemcpyHtoD(CUdeviceptr d, const void *s, size_t n) {
	CONTEXT;
	if (CUresult e = cuMemcpyHtoDAsync(d, s, n, nullptr)) return e;
	drain(real(nullptr));
	return wait();
}
CUresult cuMemcpyDtoH(void *d, CUdeviceptr s, size_t n) {
	CONTEXT;
	if (CUresult e = cuMemcpyDtoHAsync(d, s, n, nullptr)) return e;
	drain(real(nullptr));
	return wait();
}
}
