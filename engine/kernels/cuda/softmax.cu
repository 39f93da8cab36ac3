// softmax and log_softmax along rows, and their derivatives. One block works on one row: its threads walk the row side by side,
// thread t at elements t, t + blockDim.x, ..., so that neighbours read neighbours and the reads of a warp are one transaction.
#include "common.cuh"

// LOG: x - logsumexp(x) instead of exp(x) / Σ exp(x). The largest element is taken out first, so that no exponential overflows.
// -inf everywhere gives NaN, as the definition does.
template <typename T, bool LOG>
__global__ void softmax_rows(const T* __restrict__ x, T* __restrict__ out, int n) {
    using W = wide<T>;
    x += (long long)blockIdx.x * n;
    out += (long long)blockIdx.x * n;
    W top = -infinity<W>();
    for (int i = threadIdx.x; i < n; i += blockDim.x) top = larger(top, load(x[i]));
    top = over_block<Largest>(top);
    W sum = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) sum += exponential(load(x[i]) - top);
    sum = over_block<Sum>(sum);
    if (LOG) {
        const W log = logarithm(sum);
        for (int i = threadIdx.x; i < n; i += blockDim.x) out[i] = store<T>(load(x[i]) - top - log);
    } else {
        const W share = 1 / sum;
        for (int i = threadIdx.x; i < n; i += blockDim.x) out[i] = store<T>(exponential(load(x[i]) - top) * share);
    }
}

// dx = out (g - Σ g out), or with LOG dx = g - exp(out) Σ g.
template <typename T, bool LOG>
__global__ void softmax_rows_grad(const T* __restrict__ g, const T* __restrict__ out, T* __restrict__ dx, int n) {
    using W = wide<T>;
    g += (long long)blockIdx.x * n;
    out += (long long)blockIdx.x * n;
    dx += (long long)blockIdx.x * n;
    W sum = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) sum += LOG ? load(g[i]) : load(g[i]) * load(out[i]);
    sum = over_block<Sum>(sum);
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        const W y = load(out[i]);
        dx[i] = store<T>(LOG ? load(g[i]) - exponential(y) * sum : y * (load(g[i]) - sum));
    }
}
