// The kernels of the CUDA plugin in one unit. They are compiled by NVRTC with --fmad=false, and for the CPU with
// cudacpu.h before this file.
#include "vector.h"
#include "quantise.h"
#include "int8.h"
#include "float.h"
#include "tile.h"
#include "attend.h"
