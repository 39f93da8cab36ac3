// What a .cu file finds when g++ compiles it for the CPU: `g++ -include cudashim.h -x c++ kernel.cu`. See ../README.md.
//
// CUDA's keywords mean nothing here, its vector types and 16-bit floats come from its own headers (which give host code for them), and
// everything else that a kernel may call is in the files included below. runtime.cpp runs the kernels.
#pragma once
#define CUDA_SIM 1  // a source may ask for it where it would write PTX

#define __host__
#define __device__
#define __global__
#define __constant__
#define __managed__
#define __grid_constant__
#define __shared__ static  // one block runs at a time, so one copy does; simulator.py rewrites `extern __shared__`

#include <vector_types.h>  // float4, uint3, dim3, ... and vector_functions.h: make_float4, ... (from nvidia-cuda-runtime)
#include <vector_functions.h>

#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __forceinline__
#define __forceinline__ inline __attribute__((always_inline))
#undef __noinline__
#define __noinline__ __attribute__((noinline))

#include <assert.h>
#include <math.h>  // with the C++ overloads: exp(float) is a float, as in CUDA
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <type_traits>
#include <utility>

#include "runtime.h"

#include "bits_and_rounding.h"
#include "warp.h"
#include "atomics.h"
#include "exports.h"

// CUDA's arithmetic of __half and __nv_bfloat16: last, because it is theirs.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
