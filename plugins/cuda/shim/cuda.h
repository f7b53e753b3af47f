/* Put first in the include path (CGO_CFLAGS=-I.../shim -I.../include): gorgonia.org/cu v0.9.6 calls seven functions
   whose names CUDA 13's header gives to successors with other parameters, or to versions that drivers before 13
   lack. libcuda goes on exporting the old ones; this declares them again. Without effect before CUDA 13. */
#ifndef TROUPE_CUDA_SHIM_H
#define TROUPE_CUDA_SHIM_H
#include_next <cuda.h>
#if CUDA_VERSION >= 13000
#ifdef __cplusplus
extern "C" {
#endif
#undef cuCtxCreate
#undef cuMemAdvise
#undef cuMemPrefetchAsync
#undef cuGraphGetEdges
#undef cuGraphAddDependencies
#undef cuEventElapsedTime
#undef cuDeviceGetUuid
#define cuCtxCreate cuCtxCreate_v2
CUresult CUDAAPI cuCtxCreate_v2(CUcontext *ctx, unsigned int flags, CUdevice dev);
CUresult CUDAAPI cuMemAdvise(CUdeviceptr p, size_t n, CUmem_advise advice, CUdevice dev);
CUresult CUDAAPI cuMemPrefetchAsync(CUdeviceptr p, size_t n, CUdevice dev, CUstream stream);
CUresult CUDAAPI cuGraphGetEdges(CUgraph graph, CUgraphNode *from, CUgraphNode *to, size_t *n);
CUresult CUDAAPI cuGraphAddDependencies(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, size_t n);
CUresult CUDAAPI cuEventElapsedTime(float *ms, CUevent start, CUevent end);
CUresult CUDAAPI cuDeviceGetUuid(CUuuid *uuid, CUdevice dev);
#ifdef __cplusplus
}
#endif
#endif
#endif
