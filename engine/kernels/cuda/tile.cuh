// A block's share of a matrix product C = A B by ordinary multiply-adds: a square tile of C, of SIDE = 16 R rows and columns, by
// 256 threads, each of which keeps R × R sums in registers.
//
// The block walks along the depth (the axis that is summed over) DEPTH steps at a time. The SIDE × DEPTH elements of A and the
// DEPTH × SIDE of B that it needs for that lie in shared memory, from where each is read by 16 threads; every element that comes
// from global memory is so used SIDE times. Two such pairs of pieces take turns: while one is multiplied, the next elements are on
// their way into registers, and are put into the other pair afterwards. One barrier a step is enough.
//
// In shared memory the depth runs slowest: for each step along it a thread reads R elements of A and R of B, as packs of four, and
// multiplies each with each. Threads of a warp that read the same pack get it by one read, and neighbouring packs lie in different
// banks. (Rows are 4 elements longer than they need be, so that writing along the depth meets few conflicts.)
//
// A and B are "operands": what the elements are is their own affair, which is what makes a convolution a matrix product. An operand
// has
//      static constexpr bool DEEP       whether neighbours in memory follow each other along the depth
//      T at(int e, int line, int k)     the element k steps deep in row (of A) or column (of B) `line`; zero outside
// Each thread calls it for the same four lines or depths at each step, numbered by e (a constant once loops are unrolled), so that
// an operand may keep what belongs to them in registers.
#pragma once
#include "packs.cuh"

constexpr int THREADS = 256;

template <typename T, int R> struct Tile {
    static constexpr int SIDE = 16 * R, DEPTH = 64 / R, EACH = SIDE * DEPTH / THREADS;  // EACH: what a thread fetches of a piece
    using Pieces = T[2][2][DEPTH][SIDE + 4];  // in shared memory, at a multiple of 32 bytes: two turns of A and B

    // which line, and how deep, this thread's element e of a piece is
    template <bool DEEP> static __device__ __forceinline__ int line(int e) {
        return DEEP ? threadIdx.x / DEPTH + e * (THREADS / DEPTH) : threadIdx.x % SIDE;
    }
    template <bool DEEP> static __device__ __forceinline__ int deep(int e) {
        return DEEP ? threadIdx.x % DEPTH : threadIdx.x / SIDE + e * (THREADS / SIDE);
    }

    // the row or column of the tile that sum i of a thread belongs to: packs of four, 64 apart
    static __device__ __forceinline__ int line_of(int thread, int i) { return i / 4 * 64 + thread * 4 + i % 4; }

    // sum[i][j] += Σ_k A(row i, k) B(k, column j), k from `begin` to `end`
    template <class A, class B>
    static __device__ __forceinline__ void multiply(Pieces& pieces, const A& a, const B& b, int begin, int end, T (&sum)[R][R]) {
        T next[2][EACH];
        auto fetch = [&](int k) {
#pragma unroll
            for (int e = 0; e < EACH; e++) {
                next[0][e] = a.at(e, line<A::DEEP>(e), k + deep<A::DEEP>(e));
                next[1][e] = b.at(e, line<B::DEEP>(e), k + deep<B::DEEP>(e));
            }
        };
        auto put = [&](int turn) {
#pragma unroll
            for (int e = 0; e < EACH; e++) {
                pieces[turn][0][deep<A::DEEP>(e)][line<A::DEEP>(e)] = next[0][e];
                pieces[turn][1][deep<B::DEEP>(e)][line<B::DEEP>(e)] = next[1][e];
            }
        };
        const int across = threadIdx.x % 16, down = threadIdx.x / 16;
        if (begin < end) {
            fetch(begin);
            put(0);
        }
        __syncthreads();
        for (int k = begin, turn = 0; k < end; k += DEPTH, turn ^= 1) {
            const bool more = k + DEPTH < end;
            if (more) fetch(k + DEPTH);
#pragma unroll
            for (int d = 0; d < DEPTH; d++) {
                Pack<T, 4> left[R / 4], right[R / 4];
#pragma unroll
                for (int q = 0; q < R / 4; q++) {
                    left[q] = load_pack<4>(&pieces[turn][0][d][q * 64], down);
                    right[q] = load_pack<4>(&pieces[turn][1][d][q * 64], across);
                }
#pragma unroll
                for (int i = 0; i < R; i++)
#pragma unroll
                    for (int j = 0; j < R; j++) sum[i][j] += left[i / 4].at[i % 4] * right[j / 4].at[j % 4];
            }
            if (more) put(turn ^ 1);
            __syncthreads();
        }
    }

    // The sums of each row begin at f(row).
    template <class F> static __device__ __forceinline__ void start(T (&sum)[R][R], F f) {
#pragma unroll
        for (int i = 0; i < R; i++) {
            const T value = f(line_of(threadIdx.x / 16, i));
#pragma unroll
            for (int j = 0; j < R; j++) sum[i][j] = value;
        }
    }

    // f(row, place, sum) for each of this thread's sums, where place(column), found once for all rows, is not negative
    template <class P, class F> static __device__ __forceinline__ void each(const T (&sum)[R][R], P place, F f) {
#pragma unroll
        for (int j = 0; j < R; j++) {
            const long long at = place(line_of(threadIdx.x % 16, j));
            if (at < 0) continue;
#pragma unroll
            for (int i = 0; i < R; i++) f(line_of(threadIdx.x / 16, i), at, sum[i][j]);
        }
    }
};
