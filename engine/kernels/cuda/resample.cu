// Resampling along one axis: out[o, i, r] = Σ over the taps t of row i of weight[t] · x[o, of[t], r], a sparse matrix in rows.
// One thread computes one element of the result. Neighbouring threads differ in r (or, where the axis is the last, in i), so a
// warp reads x in long pieces; the taps of a row are read by all threads of it at once and stay in the cache.
#include "common.cuh"

// x (outer, columns, inner), out (outer, rows, inner); row i has the taps starts[i] … starts[i + 1].
template <typename T>
__global__ void resample(const T* __restrict__ x, const int* __restrict__ starts, const int* __restrict__ of,
                         const double* __restrict__ weight, T* __restrict__ out, long long size, int columns, int rows, long long inner) {
    using W = wide<T>;
    const long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= size) return;
    const long long r = at % inner, row = at / inner % rows, o = at / inner / rows;
    W sum = 0;
    for (int t = starts[row]; t < starts[row + 1]; t++) sum += W(weight[t]) * load(x[(o * columns + of[t]) * inner + r]);
    out[at] = store<T>(sum);
}
