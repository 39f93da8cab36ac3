// Cross-entropy of rows of logits, and squared errors: each in one pass over the elements, and a second, small kernel that adds up
// what the blocks have found, in an order that depends on the shape alone.
//
// With top = max x and S = Σ exp(x - top) of a row,
//
//     -log softmax(x)_t = (top - x_t) + log S,        softmax(x) = exp(x - top) / S.
//
// Forward keeps the two numbers of each row, so that backward writes its gradient in one pass and no matrix of probabilities is in
// memory. A target that is no class is never used as an address: the row's loss and gradient are NaN.
#include "packs.cuh"

// x (rows, n), target (rows), weight (n) or null -> tops, sums (rows) for backward; losses and shares (rows), the share being the
// weight of the target, 0 where it is ignored. A row's logits are read once: a thread keeps the top of what it has seen and the sum
// of exponentials below it, and scales the sum when a new top comes. `smoothing` needs Σ_c w_c · -log softmax(x)_c as well, for
// which the row is read again, and the sum of the weights.
template <typename T, int V>
__global__ void __launch_bounds__(512) cross_entropy_rows(const T* __restrict__ x, const long long* __restrict__ target,
                                                          const T* __restrict__ weight, wide<T>* __restrict__ tops,
                                                          wide<T>* __restrict__ sums, wide<T>* __restrict__ losses,
                                                          wide<T>* __restrict__ shares, int rows, int n, long long ignored,
                                                          wide<T> smoothing) {
    using W = wide<T>;
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    x += (long long)row * n;
    W top = -infinity<W>(), sum = 0;
    for (int i = threadIdx.x; i < n / V; i += blockDim.x) {
        const Pack<T, V> p = load_pack<V>(x, i);
        W most = top;
#pragma unroll
        for (int j = 0; j < V; j++) most = larger(most, load(p.at[j]));
        if (most != -infinity<W>()) {
            if (most != top) sum *= exponential(top - most);
            top = most;
#pragma unroll
            for (int j = 0; j < V; j++) sum += exponential(load(p.at[j]) - top);
        }
    }
    const W most = over_row<Largest>(top);
    sum = over_row<Sum>(top == -infinity<W>() ? W(0) : sum * exponential(top - most));
    const W log = logarithm(sum);
    const long long t = target[row];
    const bool counts = t != ignored, valid = t >= 0 && t < n;
    W uniform = 0;
    if (smoothing != 0) {
        for (int i = threadIdx.x; i < n; i += blockDim.x)
            uniform += ((most - load(x[i])) + log) * (weight ? load(weight[i]) : W(1));
        uniform = over_row<Sum>(uniform);
    }
    if (threadIdx.x == 0) {
        const W share = !counts || !valid ? W(0) : weight ? load(weight[t]) : W(1);
        W loss = 0;
        if (counts && valid) loss = share * ((most - load(x[t])) + log);
        if (counts && !valid) loss = infinity<W>() - infinity<W>();
        if (counts && smoothing != 0) loss = (1 - smoothing) * loss + smoothing / n * uniform;
        tops[row] = most;
        sums[row] = sum;
        losses[row] = loss;
        shares[row] = share;
    }
}

// loss (1) = the sum of the losses (rows), over the sum of the shares where `mean`; total (1) = what was divided by. One block.
template <typename T>
__global__ void __launch_bounds__(1024) reduce_losses(const wide<T>* __restrict__ losses, const wide<T>* __restrict__ shares,
                                                      T* __restrict__ loss, wide<T>* __restrict__ total, int rows, bool mean) {
    wide<T> sum = 0, share = 0;
    for (int i = threadIdx.x; i < rows; i += blockDim.x) {
        sum += losses[i];
        if (mean) share += shares[i];
    }
    sum = over_block<Sum>(sum);
    share = mean ? over_block<Sum>(share) : wide<T>(1);
    if (threadIdx.x == 0) {
        *loss = store<T>(sum / share);
        *total = share;
    }
}

// dx (rows, n) = the derivative of the row's loss times g[row], or times g[0] / total[0] where g is one number:
//     (1 - ε) w_t (softmax(x) - onehot(t)) + ε/n (softmax(x) Σ_c w_c - w),        0 in ignored rows.
// `weights` (1): Σ w_c, or null where there are no weights.
template <typename T, int V>
__global__ void __launch_bounds__(512) cross_entropy_rows_grad(const T* __restrict__ g, const T* __restrict__ x,
                                                               const long long* __restrict__ target, const T* __restrict__ weight,
                                                               const wide<T>* __restrict__ weights,
                                                               const wide<T>* __restrict__ tops, const wide<T>* __restrict__ sums,
                                                               const wide<T>* __restrict__ total, T* __restrict__ dx, int rows,
                                                               int n, long long ignored, wide<T> smoothing) {
    using W = wide<T>;
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    x += (long long)row * n;
    dx += (long long)row * n;
    const long long t = target[row];
    const bool counts = t != ignored, valid = t >= 0 && t < n;
    W factor = total ? load(g[0]) / *total : load(g[row]);
    if (!valid) factor = infinity<W>() - infinity<W>();
    const W hit = factor * (1 - smoothing) * (weight && valid ? load(weight[t]) : W(1)), spread = factor * (smoothing / n);
    const W top = tops[row], scale = (hit + spread * (weights ? *weights : W(n))) / sums[row];
    for (int i = threadIdx.x; i < n / V; i += blockDim.x) {
        const Pack<T, V> p = load_pack<V>(x, i);
        Pack<T, V> result;
#pragma unroll
        for (int j = 0; j < V; j++) {
            const int c = i * V + j;
            W d = scale * exponential(load(p.at[j]) - top);
            if (c == t) d -= hit;
            if (smoothing != 0) d -= spread * (weight ? load(weight[c]) : W(1));
            result.at[j] = store<T>(counts ? d : W(0));
        }
        store_pack<V>(dx, i, result);
    }
}

// parts (blocks): the sum of (a - b)² over the elements of each block's threads.
template <typename T>
__global__ void squared_differences(const T* __restrict__ a, const T* __restrict__ b, wide<T>* __restrict__ parts, long long n) {
    constexpr int V = 16 / sizeof(T);
    const bool whole = (((size_t)a | (size_t)b) & 15) == 0;
    const long long step = (long long)gridDim.x * blockDim.x;
    wide<T> sum = 0;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i * V < n; i += step) {
        if (whole && (i + 1) * V <= n) {
            const Pack<T, V> p = load_pack<V>(a, i), q = load_pack<V>(b, i);
#pragma unroll
            for (int j = 0; j < V; j++) sum += (load(p.at[j]) - load(q.at[j])) * (load(p.at[j]) - load(q.at[j]));
        } else {
            for (long long k = i * V; k < n && k < (i + 1) * V; k++) sum += (load(a[k]) - load(b[k])) * (load(a[k]) - load(b[k]));
        }
    }
    sum = over_block<Sum>(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// da = g · factor · (a - b), g one number; db = -da. Either may be null.
template <typename T>
__global__ void squared_differences_grad(const T* __restrict__ g, const T* __restrict__ a, const T* __restrict__ b,
                                         T* __restrict__ da, T* __restrict__ db, long long n, wide<T> factor) {
    constexpr int V = 16 / sizeof(T);
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    factor *= load(*g);
    if ((i + 1) * V <= n && (((size_t)a | (size_t)b | (size_t)da | (size_t)db) & 15) == 0) {
        const Pack<T, V> p = load_pack<V>(a, i), q = load_pack<V>(b, i);
        Pack<T, V> one, other;
#pragma unroll
        for (int j = 0; j < V; j++) {
            const wide<T> d = factor * (load(p.at[j]) - load(q.at[j]));
            one.at[j] = store<T>(d);
            other.at[j] = store<T>(-d);
        }
        if (da) store_pack<V>(da, i, one);
        if (db) store_pack<V>(db, i, other);
    } else {
        for (long long k = i * V; k < n && k < (i + 1) * V; k++) {
            const wide<T> d = factor * (load(a[k]) - load(b[k]));
            if (da) da[k] = store<T>(d);
            if (db) db[k] = store<T>(-d);
        }
    }
}
