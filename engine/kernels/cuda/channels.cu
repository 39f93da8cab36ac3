// Batch norm and group norm of x (N, C, P): P positions of a channel of a sample lie in a row, a run.
//
// Statistics belong to sets of elements. In batch norm a set is a channel, N runs; in group norm it is a group of one sample, which
// is `inner` runs one after the other, and so one run of inner · P: to these kernels an array of 1 sample with N · G channels. Each
// set is cut in slabs, a slab to a block, which is read once and stays in registers while the block makes its mean and then the sum
// of squared deviations from that. A second kernel joins the slabs of a set: with n_k elements each,
//
//     mean = Σ n_k mean_k / n,        n · variance = Σ squares_k + n_k (mean_k - mean)²,
//
// as exact as one sweep over all (T. Chan, G. Golub and R. LeVeque, 1979). A third writes the result. Backward likewise: sums by
// slabs, joined, then dx. With x̂ = (x - mean) · scale, scale = 1 / √(variance + eps) and v = g · weight,
//
//     dx = scale · (v - mean(v) - x̂ · mean(v · x̂)),        dweight = Σ g · x̂,        dbias = Σ g.
//
// How sets are cut depends on the shape alone: the same bits every time.
#include "packs.cuh"

constexpr int THREADS = 256, KEEP = 4;  // of a block over a slab, and the packs that a thread keeps
constexpr int ROWS = 16;                // that a thread keeps of a column, where P is 1

// The place of pack e of a set, among all packs of x: runs of `run` packs, `channels` runs apart.
__device__ __forceinline__ long long place(int set, int e, int run, int channels) {
    return ((long long)(e / run) * channels + set) * run + e % run;
}

// x (samples, channels, positions) -> means and squares (channels, slabs): of each slab of each channel.
template <typename T, int V>
__global__ void __launch_bounds__(256) slab_statistics(const T* __restrict__ x, wide<T>* __restrict__ means,
                                                       wide<T>* __restrict__ squares, int samples, int channels, int positions,
                                                       int slabs) {
    using W = wide<T>;
    const int set = blockIdx.x / slabs, slab = blockIdx.x % slabs, run = positions / V, count = samples * run;
    const int begin = slab * THREADS * KEEP, end = count - begin < THREADS * KEEP ? count : begin + THREADS * KEEP;
    Pack<T, V> kept[KEEP];
    W sum = 0, square = 0;
#pragma unroll
    for (int k = 0; k < KEEP; k++) {
        const int e = begin + k * THREADS + threadIdx.x;
        if (e < end) kept[k] = load_pack<V>(x, place(set, e, run, channels));
    }
#pragma unroll
    for (int k = 0; k < KEEP; k++)
        if (begin + k * THREADS + (int)threadIdx.x < end) {
#pragma unroll
            for (int j = 0; j < V; j++) sum += load(kept[k].at[j]);
        }
    const W mean = over_block<Sum>(sum) / ((end - begin) * V);
#pragma unroll
    for (int k = 0; k < KEEP; k++)
        if (begin + k * THREADS + (int)threadIdx.x < end) {
#pragma unroll
            for (int j = 0; j < V; j++) square += (load(kept[k].at[j]) - mean) * (load(kept[k].at[j]) - mean);
        }
    square = over_block<Sum>(square);
    if (threadIdx.x == 0) {
        means[blockIdx.x] = mean;
        squares[blockIdx.x] = square;
    }
}

// The values of a column's eight threads (threadIdx.y) added up, for 32 columns side by side; every thread gets the sum.
template <typename W> __device__ __forceinline__ W over_column(W value) {
    __shared__ W part[8][32];
    __syncthreads();  // an earlier call's readers are done
    part[threadIdx.y][threadIdx.x] = value;
    __syncthreads();
    W sum = 0;
#pragma unroll
    for (int k = 0; k < 8; k++) sum += part[k][threadIdx.x];
    return sum;
}

// The same for a matrix x (samples, channels), whose channels are columns: a block takes 32 of them, so that a warp reads neighbours,
// and 8 · ROWS rows.
template <typename T>
__global__ void __launch_bounds__(256) slab_statistics_of_columns(const T* __restrict__ x, wide<T>* __restrict__ means,
                                                                  wide<T>* __restrict__ squares, int samples, int channels,
                                                                  int slabs) {
    using W = wide<T>;
    const int column = blockIdx.x * 32 + threadIdx.x, slab = blockIdx.y, begin = slab * 8 * ROWS;
    const int end = samples - begin < 8 * ROWS ? samples : begin + 8 * ROWS;
    W kept[ROWS], sum = 0, square = 0;
#pragma unroll
    for (int k = 0; k < ROWS; k++) {
        const int row = begin + k * 8 + threadIdx.y;
        kept[k] = row < end && column < channels ? load(x[(long long)row * channels + column]) : W(0);
    }
#pragma unroll
    for (int k = 0; k < ROWS; k++) sum += kept[k];
    const W mean = over_column(sum) / (end - begin);
#pragma unroll
    for (int k = 0; k < ROWS; k++)
        if (begin + k * 8 + (int)threadIdx.y < end) square += (kept[k] - mean) * (kept[k] - mean);
    square = over_column(square);
    if (threadIdx.y == 0 && column < channels) {
        means[column * slabs + slab] = mean;
        squares[column * slabs + slab] = square;
    }
}

// means and squares (sets, slabs), slabs of `length` elements of a set of `count`, the last one shorter -> mean, variance and scale
// (sets). A warp a set.
template <typename W>
__global__ void join_statistics(const W* __restrict__ means, const W* __restrict__ squares, W* __restrict__ mean,
                                W* __restrict__ variance, W* __restrict__ scale, int sets, int slabs, int length, int count, W eps) {
    const int set = blockIdx.x * blockDim.y + threadIdx.y;
    if (set >= sets) return;
    means += (long long)set * slabs;
    squares += (long long)set * slabs;
    const auto size = [&](int k) { return W(k < slabs - 1 ? length : count - (slabs - 1) * length); };
    W sum = 0, square = 0;
    for (int k = threadIdx.x; k < slabs; k += 32) sum += size(k) * means[k];
    const W centre = over_warp<Sum>(sum) / count;
    for (int k = threadIdx.x; k < slabs; k += 32) square += squares[k] + size(k) * (means[k] - centre) * (means[k] - centre);
    square = over_warp<Sum>(square) / count;
    if (threadIdx.x == 0) {
        mean[set] = centre;
        variance[set] = square;
        scale[set] = 1 / root(square + eps);
    }
}

// Whose a pack is: its channel, for weight and bias, and its set, for the statistics (inner = 0: batch norm).
struct Owner {
    int channel, set;
    __device__ __forceinline__ Owner(unsigned pack, int run, int channels, int inner) {
        const unsigned number = pack / run;
        channel = number % channels;
        set = inner ? number / inner : channel;
    }
};

// out = (x - mean) · scale · weight + bias over `packs` packs; mean, weight and bias may be null (0, 1, 0). Where `eps` is not below
// 0, `scale` holds variances.
template <typename T, int V>
__global__ void affine(const T* __restrict__ x, const wide<T>* __restrict__ mean, const wide<T>* __restrict__ scale,
                       const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ out, int packs, int run, int channels,
                       int inner, wide<T> eps) {
    using W = wide<T>;
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= packs) return;
    const Owner owner(i, run, channels, inner);
    const W centre = mean ? mean[owner.set] : W(0), shift = bias ? load(bias[owner.channel]) : W(0);
    W factor = eps < 0 ? scale[owner.set] : 1 / root(scale[owner.set] + eps);
    if (weight) factor *= load(weight[owner.channel]);
    Pack<T, V> p = load_pack<V>(x, i);
#pragma unroll
    for (int j = 0; j < V; j++) p.at[j] = store<T>((load(p.at[j]) - centre) * factor + shift);
    store_pack<V>(out, i, p);
}

// ---- backward

// Σ g and Σ g · (x - mean) of each slab of each set: sums (2, sets, slabs). `mean` belongs to set / inner. Short sets have a warp
// each, eight to a block; others the whole block.
template <typename T, int V>
__global__ void __launch_bounds__(256) slab_sums(const T* __restrict__ g, const T* __restrict__ x, const wide<T>* __restrict__ mean,
                                                 wide<T>* __restrict__ sums, int samples, int channels, int positions, int slabs,
                                                 int inner) {
    using W = wide<T>;
    const int number = blockIdx.x * blockDim.y + threadIdx.y, total = channels * slabs;
    if (number >= total) return;
    const int set = number / slabs, run = positions / V, count = samples * run;
    const int begin = number % slabs * THREADS * KEEP, end = count - begin < THREADS * KEEP ? count : begin + THREADS * KEEP;
    const W centre = mean[set / inner];
    W sum_g = 0, sum_gx = 0;
#pragma unroll 2
    for (int e = begin + threadIdx.x; e < end; e += blockDim.x) {
        const long long at = place(set, e, run, channels);
        const Pack<T, V> d = load_pack<V>(g, at), p = load_pack<V>(x, at);
#pragma unroll
        for (int j = 0; j < V; j++) {
            sum_g += load(d.at[j]);
            sum_gx += load(d.at[j]) * (load(p.at[j]) - centre);
        }
    }
    sum_g = over_row<Sum>(sum_g);
    sum_gx = over_row<Sum>(sum_gx);
    if (threadIdx.x == 0) {
        sums[number] = sum_g;
        sums[total + number] = sum_gx;
    }
}

// The same for matrices (samples, channels).
template <typename T>
__global__ void __launch_bounds__(256) slab_sums_of_columns(const T* __restrict__ g, const T* __restrict__ x,
                                                            const wide<T>* __restrict__ mean, wide<T>* __restrict__ sums, int samples,
                                                            int channels, int slabs) {
    using W = wide<T>;
    const int column = blockIdx.x * 32 + threadIdx.x, slab = blockIdx.y, begin = slab * 8 * ROWS;
    const int end = samples - begin < 8 * ROWS ? samples : begin + 8 * ROWS;
    const W centre = column < channels ? mean[column] : W(0);
    W sum_g = 0, sum_gx = 0;
    if (column < channels) {
#pragma unroll 4
        for (int row = begin + threadIdx.y; row < end; row += 8) {
            const W d = load(g[(long long)row * channels + column]);
            sum_g += d;
            sum_gx += d * (load(x[(long long)row * channels + column]) - centre);
        }
    }
    sum_g = over_column(sum_g);
    sum_gx = over_column(sum_gx);
    if (threadIdx.y == 0 && column < channels) {
        sums[column * slabs + slab] = sum_g;
        sums[(channels + column) * slabs + slab] = sum_gx;
    }
}

// Batch norm: sums (2, C, slabs), sets of `count` elements -> dweight, dbias (C); shift = scale · mean(v) and
// slope = scale³ · mean(v · (x - mean)) of each channel. A warp a channel.
template <typename T>
__global__ void join_sums(const wide<T>* __restrict__ sums, const T* __restrict__ weight, const wide<T>* __restrict__ scale,
                          T* __restrict__ dweight, T* __restrict__ dbias, wide<T>* __restrict__ shift, wide<T>* __restrict__ slope,
                          int channels, int slabs, wide<T> count) {
    using W = wide<T>;
    const int c = blockIdx.x * blockDim.y + threadIdx.y;
    if (c >= channels) return;
    W sum_g = 0, sum_gx = 0;
    for (int k = threadIdx.x; k < slabs; k += 32) {
        sum_g += sums[(long long)c * slabs + k];
        sum_gx += sums[((long long)channels + c) * slabs + k];
    }
    sum_g = over_warp<Sum>(sum_g);
    sum_gx = over_warp<Sum>(sum_gx);
    if (threadIdx.x == 0) {
        const W s = scale[c], factor = weight ? s * load(weight[c]) : s;
        dweight[c] = store<T>(sum_gx * s);
        dbias[c] = store<T>(sum_g);
        shift[c] = factor * (sum_g / count);
        slope[c] = factor * s * s * (sum_gx / count);
    }
}

// Group norm: sums (2, N · C, slabs) of runs, groups of `inner` runs with `count` elements -> shift and slope of each group, and for
// the sums over samples parts (N, 2, C): Σ g · x̂ and Σ g of each run. A warp a group, its lanes the runs.
template <typename T>
__global__ void join_groups(const wide<T>* __restrict__ sums, const T* __restrict__ weight, const wide<T>* __restrict__ scale,
                            wide<T>* __restrict__ parts, wide<T>* __restrict__ shift, wide<T>* __restrict__ slope, int groups,
                            int channels, int inner, int slabs, wide<T> count) {
    using W = wide<T>;
    const int group = blockIdx.x * blockDim.y + threadIdx.y, runs = groups * inner;
    if (group >= groups) return;
    const W s = scale[group];
    W sum_v = 0, sum_vx = 0;
    for (int run = group * inner + threadIdx.x; run < (group + 1) * inner; run += 32) {
        W sum_g = 0, sum_gx = 0;
        for (int k = 0; k < slabs; k++) {
            sum_g += sums[(long long)run * slabs + k];
            sum_gx += sums[((long long)runs + run) * slabs + k];
        }
        const long long at = run + (long long)(run / channels) * channels;  // sample run / channels has two rows
        parts[at] = sum_gx * s;
        parts[at + channels] = sum_g;
        const W w = weight ? load(weight[run % channels]) : W(1);
        sum_v += w * sum_g;
        sum_vx += w * sum_gx;
    }
    sum_v = over_warp<Sum>(sum_v);
    sum_vx = over_warp<Sum>(sum_vx);
    if (threadIdx.x == 0) {
        shift[group] = s * (sum_v / count);
        slope[group] = s * s * s * (sum_vx / count);
    }
}

// dx = g · scale · weight - shift - (x - mean) · slope.
template <typename T, int V>
__global__ void affine_grad(const T* __restrict__ g, const T* __restrict__ x, const wide<T>* __restrict__ mean,
                            const wide<T>* __restrict__ scale, const T* __restrict__ weight, const wide<T>* __restrict__ shift,
                            const wide<T>* __restrict__ slope, T* __restrict__ dx, int packs, int run, int channels, int inner) {
    using W = wide<T>;
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= packs) return;
    const Owner owner(i, run, channels, inner);
    const W centre = mean[owner.set], below = shift[owner.set], along = slope[owner.set];
    const W factor = scale[owner.set] * (weight ? load(weight[owner.channel]) : W(1));
    Pack<T, V> d = load_pack<V>(g, i);
    const Pack<T, V> p = load_pack<V>(x, i);
#pragma unroll
    for (int j = 0; j < V; j++) d.at[j] = store<T>(load(d.at[j]) * factor - below - (load(p.at[j]) - centre) * along);
    store_pack<V>(dx, i, d);
}
