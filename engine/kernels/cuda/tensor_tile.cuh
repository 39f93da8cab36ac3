// A block's share of a matrix product C = A B by tensor cores: a square tile of C, of SIDE = 32 R rows and columns, by 256 threads,
// which are 8 warps, two down and four across; each warp has R × R fragments of 16 × 8 sums (see ptx.cuh).
//
// The block walks along the depth 64 bytes of elements at a time. A and B pass through shared memory in pieces of SIDE lines (rows
// of A, columns of B) and that depth, copied there in chunks of 16 bytes by `copy_async`, which needs no registers and does not
// make the thread wait: while one pair of pieces is multiplied, the next STAGES - 1 are on their way. One barrier a step is enough:
// the stage that is filled after it is the one that everybody had done with before it.
//
// A piece lies as its operand does in global memory. Where the depth runs fastest there ("DEEP"), a row of the piece is a line, 64
// bytes and 16 more, so that the eight rows that ldmatrix reads together lie in different banks; where it runs slowest, a row of
// the piece is one depth, SIDE elements and 8 more, and ldmatrix turns what it reads.
//
// T: 16-bit floats, or float, which is rounded to tf32 before it is multiplied. An operand has
//      static constexpr bool DEEP                  whether the depth runs fastest in memory
//      const T* chunk(int e, int line, int k)      where the 16 bytes are that begin at this line and depth; null for zeros
//      const T* anywhere()                         some address at a multiple of 16 bytes, to name where nothing is read
// Each thread calls it for the same R / 2 lines or depths at each step, numbered by e.
#pragma once
#include "ptx.cuh"

constexpr int THREADS = 256, STAGES = 3;

template <typename T, int R> struct TensorTile {
    static constexpr int SIDE = 32 * R, CHUNK = 16 / sizeof(T), DEPTH = 64 / sizeof(T);
    static constexpr int INNER = sizeof(T) == 2 ? 16 : 8;   // how deep one product of fragments is
    static constexpr int PIECE = SIDE * (DEPTH + CHUNK);    // elements; a piece that is not deep has fewer
    // bytes of shared memory: STAGES * 2 * PIECE * sizeof(T) = 480 SIDE

    template <bool DEEP> static __device__ __forceinline__ int pitch() { return DEEP ? DEPTH + CHUNK : SIDE + 8; }

    // A row of a piece has so many chunks; a thread copies the same one of R / 2 rows, `APART` from each other.
    template <bool DEEP> static constexpr int CHUNKS = (DEEP ? DEPTH : SIDE) / CHUNK;
    template <bool DEEP> static constexpr int APART = THREADS / CHUNKS<DEEP>;
    template <bool DEEP> static __device__ __forceinline__ int along() { return threadIdx.x % CHUNKS<DEEP> * CHUNK; }
    template <bool DEEP> static __device__ __forceinline__ int row(int e) { return threadIdx.x / CHUNKS<DEEP> + e * APART<DEEP>; }

    template <class O> static __device__ __forceinline__ void copy(T* piece, const O& operand, int k) {
#pragma unroll
        for (int e = 0; e < R / 2; e++) {
            const int along_row = along<O::DEEP>(), across_rows = row<O::DEEP>(e);
            const T* from = O::DEEP ? operand.chunk(e, across_rows, k + along_row) : operand.chunk(e, along_row, k + across_rows);
            copy_async<16>(piece + across_rows * pitch<O::DEEP>() + along_row, from ? from : operand.anywhere(), from != nullptr);
        }
    }

    // The fragments of a: R of 16 rows from `line` on, INNER deep from k on.
    template <bool DEEP> static __device__ __forceinline__ void load_a(unsigned (&a)[R][4], const T* piece, int line, int k) {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int i = 0; i < R; i++) {
            if constexpr (sizeof(T) == 2) {
                if (DEEP) ldmatrix_x4(a[i], piece + (line + 16 * i + lane % 16) * pitch<true>() + k + lane / 16 * 8);
                else ldmatrix_x4_turned(a[i], piece + (k + lane / 16 * 8 + lane % 8) * pitch<false>() + line + 16 * i +
                                                  lane / 8 % 2 * 8);
            } else {
#pragma unroll
                for (int q = 0; q < 4; q++)
                    a[i][q] = element<DEEP>(piece, line + 16 * i + lane / 4 + q % 2 * 8, k + lane % 4 + q / 2 * 4);
            }
        }
    }

    // The fragments of b: R of 8 columns from `line` on, INNER deep from k on; one ldmatrix gives two of them.
    template <bool DEEP> static __device__ __forceinline__ void load_b(unsigned (&b)[R][2], const T* piece, int line, int k) {
        const int lane = threadIdx.x % 32;
        if constexpr (sizeof(T) == 2) {
#pragma unroll
            for (int j = 0; j < R; j += 2) {
                unsigned four[4];
                if (DEEP) ldmatrix_x4(four, piece + (line + 8 * j + lane / 16 * 8 + lane % 8) * pitch<true>() + k +
                                                lane / 8 % 2 * 8);
                else ldmatrix_x4_turned(four, piece + (k + lane % 16) * pitch<false>() + line + 8 * j + lane / 16 * 8);
                b[j][0] = four[0], b[j][1] = four[1], b[j + 1][0] = four[2], b[j + 1][1] = four[3];
            }
        } else {
#pragma unroll
            for (int j = 0; j < R; j++)
#pragma unroll
                for (int q = 0; q < 2; q++) b[j][q] = element<DEEP>(piece, line + 8 * j + lane / 4, k + lane % 4 + q * 4);
        }
    }

    // An element in tf32; lanes 4g + t read line g and depth t, 32 different banks in either layout.
    template <bool DEEP> static __device__ __forceinline__ unsigned element(const T* piece, int line, int k) {
        return tf32(load(DEEP ? piece[line * pitch<true>() + k] : piece[k * pitch<false>() + line]));
    }

    // sum[i][j] += Σ_k A(rows of fragment i, k) B(k, columns of fragment j), k from `begin` to `end`; `room` is the shared memory
    template <class A, class B>
    static __device__ __forceinline__ void multiply(T* room, const A& a, const B& b, int begin, int end, float (&sum)[R][R][4]) {
        const int warp = threadIdx.x / 32, down = warp / 4 * 16 * R, across = warp % 4 * 8 * R;
        auto fetch = [&](int step) {
            const int k = begin + step * DEPTH;
            if (k < end) {
                T* stage = room + step % STAGES * 2 * PIECE;
                copy(stage, a, k);
                copy(stage + PIECE, b, k);
            }
            copy_async_commit();  // also of nothing, so that groups are as many as steps
        };
#pragma unroll
        for (int step = 0; step < STAGES - 1; step++) fetch(step);
        for (int step = 0; begin + step * DEPTH < end; step++) {
            copy_async_wait<STAGES - 2>();
            __syncthreads();
            fetch(step + STAGES - 1);
            const T* stage = room + step % STAGES * 2 * PIECE;
#pragma unroll
            for (int k = 0; k < DEPTH; k += INNER) {
                unsigned left[R][4], right[R][2];
                load_a<A::DEEP>(left, stage, down, k);
                load_b<B::DEEP>(right, stage + PIECE, across, k);
#pragma unroll
                for (int i = 0; i < R; i++)
#pragma unroll
                    for (int j = 0; j < R; j++) {
                        if constexpr (sizeof(T) == 2) mma_m16n8k16<T>(sum[i][j], left[i], right[j]);
                        else mma_m16n8k8(sum[i][j], left[i], right[j]);
                    }
            }
        }
        copy_async_wait<0>();
    }

    // The first row and column of the tile in which this thread has sums.
    static __device__ __forceinline__ int first_row() { return threadIdx.x / 128 * 16 * R + threadIdx.x % 32 / 4; }
    static __device__ __forceinline__ int first_column() { return threadIdx.x / 32 % 4 * 8 * R + threadIdx.x % 4 * 2; }

    // The sums of each row begin at f(row).
    template <class F> static __device__ __forceinline__ void start(float (&sum)[R][R][4], F f) {
#pragma unroll
        for (int i = 0; i < 2 * R; i++) {
            const float value = f(first_row() + i * 8);
#pragma unroll
            for (int j = 0; j < 2 * R; j++) sum[i / 2][j / 2][i % 2 * 2 + j % 2] = value;
        }
    }

    // f(row, place, sum) for each of this thread's sums, where place(column), found once for all rows, is not negative
    template <class P, class F> static __device__ __forceinline__ void each(const float (&sum)[R][R][4], P place, F f) {
#pragma unroll
        for (int j = 0; j < 2 * R; j++) {
            const long long at = place(first_column() + j / 2 * 8 + j % 2);
            if (at < 0) continue;
#pragma unroll
            for (int i = 0; i < 2 * R; i++) f(first_row() + i * 8, at, sum[i / 2][j / 2][i % 2 * 2 + j % 2]);
        }
    }
};
