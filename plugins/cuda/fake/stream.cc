// Streams and events. Work waits in a stream until something waits for it.
#include "fake.h"
#include <chrono>

namespace fake {
namespace {
std::set<CUstream> streams;
std::map<int, CUstream> defaults;

double now() { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
bool step(CUstream s) { // runs one piece of work
	if (s->ops.empty()) return false;
	auto op = std::move(s->ops.front());
	s->ops.pop_front();
	op();
	s->done++;
	return true;
}
} // namespace

void drain(CUstream s, uint64_t upto) { while (s->done < upto && step(s)) {} }
void drainAll(bool blockingOnly) {
	for (CUstream s : streams)
		if (s->blocking || !blockingOnly) drain(s);
}
CUstream real(CUstream s) {
	if ((uintptr_t)s > 2) return s;
	CUstream &d = defaults[stack.back()->dev];
	if (!d) streams.insert(d = new CUstream_st{stack.back(), true});
	return d;
}
CUresult put(CUstream s, std::function<void()> op) {
	const bool isDefault = (uintptr_t)s <= 2;
	s = real(s);
	if (!streams.count(s)) return CUDA_ERROR_INVALID_HANDLE;
	if (isDefault) drainAll(true); // the default stream waits for the blocking ones and they for it
	else if (s->blocking) drain(real(nullptr));
	CUcontext c = stack.back();
	s->ops.push_back([c, op] { if (!c->poison) op(); });
	s->queued++;
	return CUDA_SUCCESS;
}
CUresult wait() { return stack.back()->poison; }
} // namespace fake
using namespace fake;

extern "C" {
CUresult cuStreamCreate(CUstream *s, unsigned flags) { CONTEXT; streams.insert(*s = new CUstream_st{stack.back(), !(flags & CU_STREAM_NON_BLOCKING)}); return CUDA_SUCCESS; }
CUresult cuStreamDestroy(CUstream s) { CONTEXT; if (!streams.count(s)) return CUDA_ERROR_INVALID_HANDLE; drain(s); streams.erase(s); return CUDA_SUCCESS; } // kept: events may name it
CUresult cuStreamSynchronize(CUstream s) {
	CONTEXT;
	if (real(s) != s) drainAll(true);
	else if (!streams.count(s)) return CUDA_ERROR_INVALID_HANDLE;
	drain(real(s));
	return wait();
}
CUresult cuStreamQuery(CUstream s) { CONTEXT; s = real(s); if (s->ops.empty()) return wait(); step(s); return CUDA_ERROR_NOT_READY; } // asking makes progress
CUresult cuStreamWaitEvent(CUstream s, CUevent e, unsigned) {
	CONTEXT;
	const CUstream other = e->stream;
	const uint64_t n = e->at;
	return other ? put(s, [=] { drain(other, n); }) : CUDA_SUCCESS;
}
CUresult cuEventCreate(CUevent *e, unsigned) { CONTEXT; *e = new CUevent_st; return CUDA_SUCCESS; }
CUresult cuEventRecord(CUevent e, CUstream s) {
	CONTEXT;
	if (CUresult r = put(s, [=] { e->ms = now(); })) return r;
	e->stream = real(s);
	e->at = real(s)->queued;
	return CUDA_SUCCESS;
}
CUresult cuEventSynchronize(CUevent e) { CONTEXT; if (e->stream) drain(e->stream, e->at); return wait(); }
CUresult cuEventQuery(CUevent e) { CONTEXT; if (!e->stream || e->stream->done >= e->at) return wait(); step(e->stream); return CUDA_ERROR_NOT_READY; }
CUresult cuEventElapsedTime(float *ms, CUevent a, CUevent b) {
	CONTEXT;
	if (!a->stream || !b->stream) return CUDA_ERROR_INVALID_HANDLE;
	if (a->stream->done < a->at || b->stream->done < b->at) return CUDA_ERROR_NOT_READY;
	*ms = b->ms - a->ms;
	return CUDA_SUCCESS;
}
CUresult cuEventDestroy(CUevent e) { CONTEXT; if (e->stream) drain(e->stream, e->at); delete e; return CUDA_SUCCESS; }
}
