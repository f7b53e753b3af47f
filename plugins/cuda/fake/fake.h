// A CUDA driver without a GPU, to test host code with: memory is host memory and kernels run on the CPU.
//
// It is strict where a GPU is silent or merely unlucky, so that a mistake shows every time:
//   - work put on a stream runs as late as CUDA allows, when something waits for it;
//   - fresh memory is all NaN; copies must lie inside one live allocation, freeing twice is an error;
//   - a thread without a current context gets CUDA_ERROR_INVALID_CONTEXT, and a kernel that is handed memory of
//     another device fails;
//   - PTX must have the kernel, with the parameter sizes of the CPU build, and suit the pretended device and driver;
//     machine code is refused, as it is on a GPU that it was not made for;
//   - an error of a kernel sticks to its context, which is of no use any more.
//
// Settings, read at every call:
//   CUDA_FAKE_DEVICES  how many (1)               CUDA_FAKE_CC       compute capability (90)
//   CUDA_FAKE_MEM_MB   memory of each (1024)      CUDA_FAKE_VERSION  of the driver (12040)
//   CUDA_FAKE_FAIL     name:n:code,...: the n-th call of name from now answers code; name "kernel" is the n-th
//                      kernel to run, whose error comes with the next wait
//   CUDA_FAKE_TRACE=1  names of calls on stderr
#pragma once
#include "../kernels/twin.h"
#include <cuda.h>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

// What CUDA's handles point at.
struct CUctx_st {
	int dev;
	CUresult poison = CUDA_SUCCESS; // the error that sticks
};
struct CUstream_st {
	CUcontext ctx;
	bool blocking; // orders with the default stream
	std::deque<std::function<void()>> ops;
	uint64_t queued = 0, done = 0;
};
struct CUevent_st {
	CUstream stream = nullptr;
	uint64_t at = 0; // operations of the stream before it
	double ms = 0;
};
struct CUfunc_st { const TwinKernel *kernel; };
struct CUmod_st {
	std::string image;
	std::map<std::string, std::unique_ptr<CUfunc_st>> functions;
};

namespace fake {
extern std::recursive_mutex mu;
extern thread_local std::vector<CUcontext> stack; // the current context is the last

long setting(const char *name, long otherwise);
int devices();
CUresult begin(const char *function);  // counts, traces, fails when told to
CUresult injected(const char *name);   // the code that CUDA_FAKE_FAIL has for this call of name
CUresult current();                    // whether there is a usable context
bool sticks(CUresult e);

// memory.cc
size_t total();
bool deviceMemory(uintptr_t p, size_t n, int dev); // n bytes of one live allocation of the device
bool otherDevice(uintptr_t p, int dev);            // within memory of another device

// stream.cc
CUstream real(CUstream s);                            // what 0, 1 (default) and 2 (per thread) stand for
CUresult put(CUstream s, std::function<void()> op);   // at the end of a stream
void drain(CUstream s, uint64_t upto = ~0ull);        // runs what is before
void drainAll(bool blockingOnly = false);
CUresult wait(); // the result of waiting: the current context's error
} // namespace fake

#define ENTER                                              \
	std::lock_guard<std::recursive_mutex> lock(fake::mu);  \
	if (CUresult e = fake::begin(__func__)) return e
#define CONTEXT \
	ENTER;      \
	if (CUresult e = fake::current()) return e
#define NEED(c) \
	if (!(c)) return CUDA_ERROR_INVALID_VALUE
