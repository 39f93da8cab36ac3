// C (M, N) = A (M, K) B (K, N) by tensor cores, a tile of C a block (tensor_tile.cuh). Both lie so that 16 bytes can be copied at
// once: the extent that runs fastest is a multiple of them, and is filled up with zeros.
#include "tensor_tile.cuh"

extern __shared__ __align__(128) unsigned char room[];

template <typename T, bool DEEP_> struct Matrix {
    static constexpr bool DEEP = DEEP_;
    const T* elements;
    int first, lines, depth, pitch;  // lines and depth as filled up
    __device__ __forceinline__ const T* anywhere() const { return elements; }
    __device__ __forceinline__ const T* chunk(int, int line, int k) const {
        line += first;
        if (line >= lines || k >= depth) return nullptr;
        return elements + (DEEP ? (long long)line * pitch + k : (long long)k * pitch + line);
    }
};

template <typename T, int R, bool A_DEEP, bool B_DEEP>
__global__ void __launch_bounds__(THREADS, 2)
matmul_tensor(const T* __restrict__ a, const T* __restrict__ b, T* __restrict__ c, int m, int n, int depth, int lines_a,
              int lines_b, int pitch_a, int pitch_b) {
    using Own = TensorTile<T, R>;
    const int row = blockIdx.y * Own::SIDE, column = blockIdx.x * Own::SIDE;
    float sum[R][R][4] = {};
    Own::multiply(reinterpret_cast<T*>(room), Matrix<T, A_DEEP>{a, row, lines_a, depth, pitch_a},
                  Matrix<T, B_DEEP>{b, column, lines_b, depth, pitch_b}, 0, depth, sum);
    Own::each(sum, [&](int j) { return column + j < n ? column + j : -1; }, [&](int i, long long at, float value) {
        if (row + i < m) c[(long long)(row + i) * n + at] = store<T>(value);
    });
}
