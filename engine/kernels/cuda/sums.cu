// Sums of x (samples, channels, positions) over samples and positions: one for each channel. With one sample these are sums along
// rows, with one position sums down columns, with one channel the sum of everything, and with all three what the gradient of a
// convolution's bias is.
//
// A channel is cut in slabs, a slab to a block (or to a warp, where it is short); a second kernel adds up the slabs. How a channel
// is cut depends on the shape alone, and nothing is atomic: the same bits every time. 16-bit numbers are added up in float.
#include "packs.cuh"

// x, of which a run of `run` packs belongs to one channel of one sample -> parts (slabs, channels); or, with one slab, out (channels),
// divided by `divisor`. A slab is `length` packs. Each element of a pack has a sum of its own: V chains of additions that do not wait
// for each other.
template <typename T, int V>
__global__ void __launch_bounds__(256) sum_slabs(const T* __restrict__ x, T* __restrict__ out, wide<T>* __restrict__ parts,
                                                 int samples, int channels, int run, int slabs, int length, wide<T> divisor) {
    using W = wide<T>;
    const int number = blockIdx.x * blockDim.y + threadIdx.y;
    if (number >= channels * slabs) return;
    const int channel = number / slabs, slab = number % slabs, count = samples * run, begin = slab * length;
    const int end = count - begin < length ? count : begin + length;
    W sums[V];
#pragma unroll
    for (int j = 0; j < V; j++) sums[j] = 0;
#pragma unroll 4
    for (int e = begin + threadIdx.x; e < end; e += blockDim.x) {
        const Pack<T, V> p = load_pack<V>(x, ((long long)(e / run) * channels + channel) * run + e % run);
#pragma unroll
        for (int j = 0; j < V; j++) sums[j] += load(p.at[j]);
    }
#pragma unroll
    for (int j = 1; j < V; j++) sums[0] += sums[j];
    const W sum = over_row<Sum>(sums[0]);
    if (threadIdx.x == 0) {
        if (slabs == 1) out[channel] = store<T>(sum / divisor);
        else parts[(long long)slab * channels + channel] = sum;
    }
}

// The same for a matrix x (samples, channels): a block takes 32 columns side by side, so that a warp reads neighbours, and its eight
// warps every eighth row of the slab, `length` rows.
template <typename T>
__global__ void __launch_bounds__(256) sum_slabs_of_columns(const T* __restrict__ x, T* __restrict__ out, wide<T>* __restrict__ parts,
                                                            int samples, int channels, int slabs, int length, wide<T> divisor) {
    using W = wide<T>;
    __shared__ W near[8][32];
    const int column = blockIdx.x * 32 + threadIdx.x, slab = blockIdx.y, begin = slab * length;
    const int end = samples - begin < length ? samples : begin + length;
    W sum = 0;
    if (column < channels) {
#pragma unroll 8
        for (int row = begin + threadIdx.y; row < end; row += 8) sum += load(x[(long long)row * channels + column]);
    }
    near[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && column < channels) {
#pragma unroll
        for (int k = 1; k < 8; k++) sum += near[k][threadIdx.x];
        if (slabs == 1) out[column] = store<T>(sum / divisor);
        else parts[(long long)slab * channels + column] = sum;
    }
}

// out (count) = the sum of parts (splits, count) over its first axis, divided by `divisor`: the second step of every sum in two. A
// thread has one element of out; or, where there are few of them and many parts, a block has 32 and its threadIdx.y share the parts.
template <typename T>
__global__ void __launch_bounds__(1024) add_parts(const wide<T>* __restrict__ parts, T* __restrict__ out, int count, int splits,
                                                  wide<T> divisor) {
    __shared__ wide<T> near[32][32];
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    wide<T> sum = 0;
    if (i < count) {
#pragma unroll 8
        for (int s = threadIdx.y; s < splits; s += blockDim.y) sum += parts[(long long)s * count + i];
    }
    if (blockDim.y > 1) {  // and blockDim.x is 32
        near[threadIdx.y][threadIdx.x] = sum;
        __syncthreads();
        if (threadIdx.y == 0)
            for (int k = 1; k < blockDim.y; k++) sum += near[k][threadIdx.x];
    }
    if (i < count && threadIdx.y == 0) out[i] = store<T>(sum / divisor);
}
