// Sums over everything but one axis, as a bias's gradient needs them, in two steps and always in the same order: blocks leave
// partial sums, which a second kernel adds up.
#include "common.cuh"

// part[s, j] = the sum of rows 8 s + 0..7, 8 (s + splits) + 0..7, ... of column j of x (rows, columns). A block has 32 columns and
// 8 rows of threads: a warp reads 32 neighbours of one row, and the 8 sums of a column meet in shared memory.
template <typename T>
__global__ void column_sums(const T* __restrict__ x, wide<T>* __restrict__ part, int rows, int columns) {
    __shared__ wide<T> own[8][33];
    const int lane = threadIdx.x & 31, row = threadIdx.x >> 5, column = blockIdx.x * 32 + lane;
    wide<T> sum = 0;
    if (column < columns)
        for (int r = blockIdx.y * 8 + row; r < rows; r += gridDim.y * 8) sum += load(x[(long long)r * columns + column]);
    own[row][lane] = sum;
    __syncthreads();
    if (row == 0 && column < columns) {
        for (int r = 1; r < 8; r++) sum += own[r][lane];
        part[(long long)blockIdx.y * columns + column] = sum;
    }
}

// part[s, c] = the sum of x[n, c, p] over all positions p of the images n = s, s + splits, ...; a block for each.
template <typename T>
__global__ void plane_sums(const T* __restrict__ x, wide<T>* __restrict__ part, int images, int channels, int positions) {
    wide<T> sum = 0;
    for (int n = blockIdx.y; n < images; n += gridDim.y) {
        const T* plane = x + ((long long)n * channels + blockIdx.x) * positions;
        for (int p = threadIdx.x; p < positions; p += blockDim.x) sum += load(plane[p]);
    }
    sum = over_block<Sum>(sum);
    if (threadIdx.x == 0) part[(long long)blockIdx.y * channels + blockIdx.x] = sum;
}

// out[i] = Σ_s part[s, i].
template <typename T>
__global__ void add_parts(const wide<T>* __restrict__ part, T* __restrict__ out, int count, int splits) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    wide<T> sum = 0;
    for (int s = 0; s < splits; s++) sum += part[(long long)s * count + i];
    out[i] = store<T>(sum);
}
