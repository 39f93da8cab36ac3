// softmax and log_softmax along rows, and their derivatives. A row is loaded once and stays in registers (`Row`, packs.cuh) while its
// largest element, the sum of its exponentials and the result are made of it. Neighbouring threads have neighbouring packs.
#include "packs.cuh"

// LOG: x - logsumexp(x) instead of exp(x) / Σ exp(x). The largest element is taken out first, so that no exponential overflows.
// -inf everywhere gives NaN, as the definition does.
template <typename T, int V, bool LOG>
__global__ void ROW_BOUNDS softmax_rows(const T* __restrict__ x, T* __restrict__ out, int rows, int n) {
    using W = wide<T>;
    const int row = blockIdx.x * blockDim.y + threadIdx.y, packs = n / V, first = threadIdx.x, step = blockDim.x;
    if (row >= rows) return;  // a whole warp: rows that share a block have one warp each
    const Row<T, V> mine(x + (long long)row * n, first, step, packs);
    out += (long long)row * n;
    W top = -infinity<W>(), sum = 0;
    mine.sweep(first, step, packs, [&](const Pack<T, V>& p, int) {
#pragma unroll
        for (int j = 0; j < V; j++) top = larger(top, load(p.at[j]));
    });
    top = over_row<Largest>(top);
    mine.sweep(first, step, packs, [&](const Pack<T, V>& p, int) {
#pragma unroll
        for (int j = 0; j < V; j++) sum += exponential(load(p.at[j]) - top);
    });
    sum = over_row<Sum>(sum);
    const W log = logarithm(sum), share = 1 / sum;
    mine.sweep(first, step, packs, [&](const Pack<T, V>& p, int i) {
        Pack<T, V> result;
#pragma unroll
        for (int j = 0; j < V; j++)
            result.at[j] = store<T>(LOG ? load(p.at[j]) - top - log : exponential(load(p.at[j]) - top) * share);
        store_pack<V>(out, i, result);
    });
}

// dx = out (g - Σ g out), or with LOG dx = g - exp(out) Σ g.
template <typename T, int V, bool LOG>
__global__ void ROW_BOUNDS softmax_rows_grad(const T* __restrict__ g, const T* __restrict__ out, T* __restrict__ dx,
                                             int rows, int n) {
    using W = wide<T>;
    const int row = blockIdx.x * blockDim.y + threadIdx.y, packs = n / V, first = threadIdx.x, step = blockDim.x;
    if (row >= rows) return;
    const Row<T, V> given(g + (long long)row * n, first, step, packs), result(out + (long long)row * n, first, step, packs);
    dx += (long long)row * n;
    W sum = 0;
    given.with(result, first, step, packs, [&](const Pack<T, V>& d, const Pack<T, V>& y, int) {
#pragma unroll
        for (int j = 0; j < V; j++) sum += LOG ? load(d.at[j]) : load(d.at[j]) * load(y.at[j]);
    });
    sum = over_row<Sum>(sum);
    given.with(result, first, step, packs, [&](const Pack<T, V>& d, const Pack<T, V>& y, int i) {
        Pack<T, V> slope;
#pragma unroll
        for (int j = 0; j < V; j++)
            slope.at[j] = store<T>(LOG ? load(d.at[j]) - exponential(load(y.at[j])) * sum : load(y.at[j]) * (load(d.at[j]) - sum));
        store_pack<V>(dx, i, slope);
    });
}
