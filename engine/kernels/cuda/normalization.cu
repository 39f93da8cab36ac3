// Layer norm and, without the mean, rms norm: rows of n elements, each by itself; and sums down the columns for the gradients of
// weight and bias. With x̂ = (x - mean) · scale, scale = 1 / √(variance + eps) and v = g · weight,
//
//     out = x̂ · weight + bias,    dx = scale · (v - mean(v) - x̂ · mean(v · x̂)),    dweight = Σ g · x̂,    dbias = Σ g.
//
// A row is loaded once and stays in registers (`Row`, packs.cuh) while its mean, its variance and the result are made of it: the
// variance is the mean of squared deviations, never the difference of two large numbers.
#include "packs.cuh"

// weight or bias at a pack; where there is none (a null pointer), `other`
template <int V, typename T> __device__ __forceinline__ Pack<T, V> given_or(const T* array, int pack, float other) {
    if (array) return load_pack<V>(array, pack);
    Pack<T, V> result;
#pragma unroll
    for (int j = 0; j < V; j++) result.at[j] = store<T>(other);
    return result;
}

// x and out (rows, n), weight and bias (n) or null; means and scales (rows) are kept for the derivative.
template <typename T, int V>
__global__ void ROW_BOUNDS normalize_rows(const T* __restrict__ x, const T* __restrict__ weight,
                                          const T* __restrict__ bias, T* __restrict__ out, wide<T>* __restrict__ means,
                                          wide<T>* __restrict__ scales, int rows, int n, wide<T> eps, bool centred) {
    using W = wide<T>;
    const int row = blockIdx.x * blockDim.y + threadIdx.y, packs = n / V, first = threadIdx.x, step = blockDim.x;
    if (row >= rows) return;  // a whole warp: rows that share a block have one warp each
    const Row<T, V> mine(x + (long long)row * n, first, step, packs);
    out += (long long)row * n;
    W mean = 0;
    if (centred) {
        mine.sweep(first, step, packs, [&](const Pack<T, V>& p, int) {
#pragma unroll
            for (int j = 0; j < V; j++) mean += load(p.at[j]);
        });
        mean = over_row<Sum>(mean) / n;
    }
    W squares = 0;
    mine.sweep(first, step, packs, [&](const Pack<T, V>& p, int) {
#pragma unroll
        for (int j = 0; j < V; j++) squares += (load(p.at[j]) - mean) * (load(p.at[j]) - mean);
    });
    const W scale = 1 / root(over_row<Sum>(squares) / n + eps);
    if (first == 0) {
        means[row] = mean;
        scales[row] = scale;
    }
    mine.sweep(first, step, packs, [&](const Pack<T, V>& p, int i) {
        const Pack<T, V> w = given_or<V>(weight, i, 1), b = given_or<V>(bias, i, 0);
        Pack<T, V> result;
#pragma unroll
        for (int j = 0; j < V; j++) result.at[j] = store<T>((load(p.at[j]) - mean) * scale * load(w.at[j]) + load(b.at[j]));
        store_pack<V>(out, i, result);
    });
}

// dx (rows, n), of g and x (rows, n).
template <typename T, int V>
__global__ void ROW_BOUNDS normalize_rows_grad(const T* __restrict__ g, const T* __restrict__ x,
                                               const T* __restrict__ weight, const wide<T>* __restrict__ means,
                                               const wide<T>* __restrict__ scales, T* __restrict__ dx, int rows, int n,
                                               bool centred) {
    using W = wide<T>;
    const int row = blockIdx.x * blockDim.y + threadIdx.y, packs = n / V, first = threadIdx.x, step = blockDim.x;
    if (row >= rows) return;
    const Row<T, V> values(x + (long long)row * n, first, step, packs), given(g + (long long)row * n, first, step, packs);
    dx += (long long)row * n;
    const W mean = means[row], scale = scales[row];
    W sum_v = 0, sum_vx = 0;
    values.with(given, first, step, packs, [&](const Pack<T, V>& p, const Pack<T, V>& d, int i) {
        const Pack<T, V> w = given_or<V>(weight, i, 1);
#pragma unroll
        for (int j = 0; j < V; j++) {
            const W v = load(d.at[j]) * load(w.at[j]);
            sum_v += v;
            sum_vx += v * (load(p.at[j]) - mean);
        }
    });
    const W shift = centred ? over_row<Sum>(sum_v) / n : W(0);
    const W slope = over_row<Sum>(sum_vx) * scale / n * scale;
    values.with(given, first, step, packs, [&](const Pack<T, V>& p, const Pack<T, V>& d, int i) {
        const Pack<T, V> w = given_or<V>(weight, i, 1);
        Pack<T, V> result;
#pragma unroll
        for (int j = 0; j < V; j++)
            result.at[j] = store<T>(scale * (load(d.at[j]) * load(w.at[j]) - shift - (load(p.at[j]) - mean) * slope));
        store_pack<V>(dx, i, result);
    });
}

// Σ g · x̂ and Σ g down the columns, for each slab of the rows: parts (slabs, 2, n). A block takes 32 columns side by side, so that a
// warp reads neighbours, and its eight warps every eighth row of the slab; their sums meet in shared memory in a fixed order. The
// second stage (sums.cu) adds up the slabs: no atomics, so the bits do not depend on which block comes first.
template <typename T>
__global__ void sum_columns(const T* __restrict__ g, const T* __restrict__ x, const wide<T>* __restrict__ means,
                            const wide<T>* __restrict__ scales, wide<T>* __restrict__ parts, int rows, int n) {
    using W = wide<T>;
    __shared__ W near_weight[8][32], near_bias[8][32];
    const int column = blockIdx.x * 32 + threadIdx.x, slabs = gridDim.y, slab = blockIdx.y;
    const int begin = (long long)slab * rows / slabs, end = (slab + 1ll) * rows / slabs;
    W for_weight = 0, for_bias = 0;
    if (column < n) {
#pragma unroll 4
        for (int row = begin + threadIdx.y; row < end; row += 8) {
            const W d = load(g[(long long)row * n + column]);
            for_weight += d * ((load(x[(long long)row * n + column]) - means[row]) * scales[row]);
            for_bias += d;
        }
    }
    near_weight[threadIdx.y][threadIdx.x] = for_weight;
    near_bias[threadIdx.y][threadIdx.x] = for_bias;
    __syncthreads();
    if (threadIdx.y == 0 && column < n) {
        for (int k = 1; k < 8; k++) {
            for_weight += near_weight[k][threadIdx.x];
            for_bias += near_bias[k][threadIdx.x];
        }
        parts[2ll * slab * n + column] = for_weight;
        parts[(2ll * slab + 1) * n + column] = for_bias;
    }
}
