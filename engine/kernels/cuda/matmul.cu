// C (M, N) = A (M, K) B (K, N), a tile of C a block: by multiply-adds (tile.cuh), or by tensor cores (tensor_tile.cuh). cuBLAS is
// what the backend multiplies with; this is how such a product is computed.
#include "tile.cuh"

// A matrix that lies by lines (rows of A, columns of B) where DEEP, else by steps along the depth, `pitch` elements from one to the
// next.
template <typename T, bool DEEP_> struct Matrix {
    static constexpr bool DEEP = DEEP_;
    const T* elements;
    int first, lines, depth, pitch;  // the line at which the tile begins, and how many there are
    __device__ __forceinline__ T at(int, int line, int k) const {
        line += first;
        if (line >= lines || k >= depth) return T(0);
        return elements[DEEP ? (long long)line * pitch + k : (long long)k * pitch + line];
    }
};

template <typename T, int R, bool A_DEEP, bool B_DEEP>
__global__ void __launch_bounds__(THREADS, 2)
matmul(const T* __restrict__ a, const T* __restrict__ b, T* __restrict__ c, int m, int n, int depth, int pitch_a, int pitch_b) {
    using Own = Tile<T, R>;
    const int row = blockIdx.y * Own::SIDE, column = blockIdx.x * Own::SIDE;
    __shared__ __align__(32) typename Own::Pieces pieces;
    T sum[R][R] = {};
    Own::multiply(pieces, Matrix<T, A_DEEP>{a, row, m, depth, pitch_a}, Matrix<T, B_DEEP>{b, column, n, depth, pitch_b}, 0, depth,
                  sum);
    Own::each(sum, [&](int j) { return column + j < n ? column + j : -1; }, [&](int i, long long at, T value) {
        if (row + i < m) c[(long long)(row + i) * n + at] = value;
    });
}
