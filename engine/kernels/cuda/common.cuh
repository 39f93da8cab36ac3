// What the kernels share: types and their arithmetic, sums and maxima over a warp and over a block.
//
// A block's threads come in warps of 32 that run together. Threads of a warp can read each other's registers
// (`__shfl_xor_sync`: the value of the lane whose number differs in these bits); warps of a block meet in shared memory.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define EVERY_LANE 0xffffffffu

// NVRTC has no INFINITY and no NAN.
template <typename T> __device__ __forceinline__ T infinity();
template <> __device__ __forceinline__ float infinity<float>() { return __int_as_float(0x7f800000); }
template <> __device__ __forceinline__ double infinity<double>() { return __longlong_as_double(0x7ff0000000000000ll); }

// The type in which values of type T are computed and added up: float for the 16-bit types.
template <typename T> struct Wide { using type = T; };
template <> struct Wide<__half> { using type = float; };
template <> struct Wide<__nv_bfloat16> { using type = float; };
template <typename T> using wide = typename Wide<T>::type;

__device__ __forceinline__ float load(float x) { return x; }
__device__ __forceinline__ double load(double x) { return x; }
__device__ __forceinline__ float load(__half x) { return __half2float(x); }
__device__ __forceinline__ float load(__nv_bfloat16 x) { return __bfloat162float(x); }

template <typename T> __device__ __forceinline__ T store(wide<T> x) { return x; }
template <> __device__ __forceinline__ __half store<__half>(float x) { return __float2half(x); }
template <> __device__ __forceinline__ __nv_bfloat16 store<__nv_bfloat16>(float x) { return __float2bfloat16(x); }

// Functions by type: the device library has two names for each.
__device__ __forceinline__ float exponential(float x) { return expf(x); }
__device__ __forceinline__ double exponential(double x) { return exp(x); }
__device__ __forceinline__ float logarithm(float x) { return logf(x); }
__device__ __forceinline__ double logarithm(double x) { return log(x); }
__device__ __forceinline__ float root(float x) { return sqrtf(x); }
__device__ __forceinline__ double root(double x) { return sqrt(x); }
__device__ __forceinline__ float hyperbolic_tangent(float x) { return tanhf(x); }
__device__ __forceinline__ double hyperbolic_tangent(double x) { return tanh(x); }
template <typename W> __device__ __forceinline__ W logistic(W x) { return 1 / (1 + exponential(-x)); }

// NaN goes through, which fmaxf would drop.
template <typename T> __device__ __forceinline__ T larger(T a, T b) { return a > b || a != a ? a : b; }

struct Sum {
    template <typename T> static __device__ __forceinline__ T of(T a, T b) { return a + b; }
    template <typename T> static __device__ __forceinline__ T nothing() { return T(0); }
};
struct Largest {
    template <typename T> static __device__ __forceinline__ T of(T a, T b) { return larger(a, b); }
    template <typename T> static __device__ __forceinline__ T nothing() { return -infinity<T>(); }
};

// The values of a warp's 32 lanes joined, in five steps of pairs; every lane gets the result, to the same bits.
template <typename Join, typename T> __device__ __forceinline__ T over_warp(T value) {
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) value = Join::of(value, __shfl_xor_sync(EVERY_LANE, value, step));
    return value;
}

// The values of a block's threads joined: each warp joins its own and leaves the result in shared memory, then every warp joins
// those. blockDim.x is a multiple of 32, up to 1024. Every thread must call it, and every thread gets the result.
template <typename Join, typename T> __device__ __forceinline__ T over_block(T value) {
    __shared__ T part[32];
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    value = over_warp<Join>(value);
    __syncthreads();  // an earlier call's readers are done with `part`
    if (lane == 0) part[warp] = value;
    __syncthreads();
    return over_warp<Join>(lane < warps ? part[lane] : Join::template nothing<T>());
}
