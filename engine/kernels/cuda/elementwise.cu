// Functions of one element, and their derivatives times g. A function is a type with `value` and `slope`; the kernels are made for
// each of them. A thread computes one pack of 16 bytes (packs.cuh): such kernels do little but move memory.
#include "packs.cuh"

#define VALUE template <typename W> static __device__ __forceinline__ W value(W x, W a, W b, W c)
#define SLOPE template <typename W> static __device__ __forceinline__ W slope(W g, W x, W a, W b, W c)

__device__ __forceinline__ float error_function(float x) { return erff(x); }
__device__ __forceinline__ double error_function(double x) { return erf(x); }
__device__ __forceinline__ float error_complement(float x) { return erfcf(x); }
__device__ __forceinline__ double error_complement(double x) { return erfc(x); }
__device__ __forceinline__ float exponential_less_1(float x) { return expm1f(x); }
__device__ __forceinline__ double exponential_less_1(double x) { return expm1(x); }
__device__ __forceinline__ float logarithm_of_1_and(float x) { return log1pf(x); }
__device__ __forceinline__ double logarithm_of_1_and(double x) { return log1p(x); }

template <typename W> __device__ __forceinline__ W magnitude(W x) { return x < 0 ? -x : x; }

// ---- the functions. In `slope` x is the input, or the result where the comment says so; a, b, c are numbers of the call.

struct Exp {
    VALUE { return exponential(x); }
};
struct Relu {  // slope: of the result. NaN is not <= 0 and goes through.
    VALUE { return x <= 0 ? W(0) : x; }
    SLOPE { return x <= 0 ? W(0) : g; }
};
struct LeakyRelu {  // a: the slope on the left
    VALUE { return x > 0 ? x : x * a; }
    SLOPE { return x > 0 ? g : g * a; }
};
struct Elu {  // a = alpha, b = scale, c = input_scale
    VALUE { return x > 0 ? b * x : b * a * exponential_less_1(c * x); }
    SLOPE { return x > 0 ? g * b : g * (b * a * c) * exponential(c * x); }
};
struct Sigmoid {  // slope: of the result
    VALUE { return logistic(x); }
    SLOPE { return g * x * (1 - x); }
};
struct Tanh {  // slope: of the result
    VALUE { return hyperbolic_tangent(x); }
    SLOPE { return g * (1 - x * x); }
};
struct Silu {
    VALUE { return x * logistic(x); }
    SLOPE {
        const W s = logistic(x);
        return g * s * (1 + x * (1 - s));
    }
};
struct Softplus {  // a = beta, b = threshold. log(1 + e^s) = max(s, 0) + log(1 + e^-|s|): nothing overflows
    VALUE {
        const W s = a * x;
        return s > b ? x : ((s < 0 ? W(0) : s) + logarithm_of_1_and(exponential(-magnitude(s)))) / a;
    }
    SLOPE { return a * x > b ? g : g * logistic(a * x); }
};
struct Erf {
    VALUE { return error_function(x); }
    SLOPE { return g * (W(1.1283791670955126) * exponential(-x * x)); }  // 2/√π
};
struct Erfc {  // 1 - erf(x), exact where that is small
    VALUE { return error_complement(x); }
    SLOPE { return -g * (W(1.1283791670955126) * exponential(-x * x)); }
};
struct Gelu {  // x Φ(x), and Φ(x) + x φ(x)
    VALUE { return W(0.5) * x * (1 + error_function(x * W(0.7071067811865476))); }
    SLOPE {
        const W share = W(0.5) * (1 + error_function(x * W(0.7071067811865476)));
        return g * (share + x * (W(0.3989422804014327) * exponential(W(-0.5) * x * x)));
    }
};
struct GeluTanh {  // Φ(x) ≈ ½ (1 + tanh u) = sigmoid(2u), u = √(2/π) (x + 0.044715 x³)
    VALUE { return x * logistic(W(1.5957691216057308) * x * (1 + W(0.044715) * x * x)); }
    SLOPE {
        const W s = logistic(W(1.5957691216057308) * x * (1 + W(0.044715) * x * x));
        return g * (s + x * s * (1 - s) * (W(1.5957691216057308) * (1 + W(0.134145) * x * x)));
    }
};

// ---- the kernels

template <typename F, typename T>
__global__ void map_value(const T* __restrict__ x, T* __restrict__ out, long long n, wide<T> a, wide<T> b, wide<T> c) {
    constexpr int V = 16 / sizeof(T);
    const long long pack = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if ((pack + 1) * V <= n && (((size_t)x | (size_t)out) & 15) == 0) {
        const Pack<T, V> in = load_pack<V>(x, pack);
        Pack<T, V> result;
#pragma unroll
        for (int j = 0; j < V; j++) result.at[j] = store<T>(F::value(load(in.at[j]), a, b, c));
        store_pack<V>(out, pack, result);
    } else {  // the last pack, which is not whole; or arrays that do not begin where packs may
        for (long long i = pack * V; i < n && i < (pack + 1) * V; i++) out[i] = store<T>(F::value(load(x[i]), a, b, c));
    }
}

template <typename F, typename T>
__global__ void map_slope(const T* __restrict__ g, const T* __restrict__ x, T* __restrict__ dx, long long n, wide<T> a, wide<T> b,
                          wide<T> c) {
    constexpr int V = 16 / sizeof(T);
    const long long pack = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if ((pack + 1) * V <= n && (((size_t)g | (size_t)x | (size_t)dx) & 15) == 0) {
        const Pack<T, V> given = load_pack<V>(g, pack), in = load_pack<V>(x, pack);
        Pack<T, V> result;
#pragma unroll
        for (int j = 0; j < V; j++) result.at[j] = store<T>(F::slope(load(given.at[j]), load(in.at[j]), a, b, c));
        store_pack<V>(dx, pack, result);
    } else {
        for (long long i = pack * V; i < n && i < (pack + 1) * V; i++)
            dx[i] = store<T>(F::slope(load(g[i]), load(x[i]), a, b, c));
    }
}
