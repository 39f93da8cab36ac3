// Products of small matrices ("tiles") that lie in shared memory, by the four warps of a block; for attention.cu.
//
// A result is spread over the registers of a warp, sixteen rows to a strip, as the tensor cores leave it (see ptx.cuh): lane 4g +
// t has of a strip's columns 8n … 8n + 7
//
//                    column 8n + 2t     8n + 2t + 1
//      row g             s[n][0]          s[n][1]           float s[STRIPS][N][4]: STRIPS strips of 8 N columns
//      row g + 8         s[n][2]          s[n][3]
//
// so that a row is shared by the four lanes of one g (a "quad"). 16-bit types are multiplied by the tensor cores. For float,
// which the tensor cores would round to tf32, there are functions of the same names by multiply-adds; they leave their results in
// the same places, and whatever is written in terms of both serves both.
#pragma once
#include "packs.cuh"
#include "ptx.cuh"

constexpr int WARPS = 4, THREADS = 32 * WARPS;

// Elements from one row of a tile in shared memory to the next. The 16 bytes beyond SIZE make it an odd number of sixteenths of 128
// bytes (for SIZE a multiple of 16 bytes twice), so that eight rows' pieces of 16 bytes at one column lie in different banks.
template <typename T, int SIZE> __device__ constexpr int pitch() { return SIZE + 16 / (int)sizeof(T); }

// f(element, row, column) for each element of a result that this lane holds.
template <int STRIPS, int N, typename F> __device__ __forceinline__ void each(float (&s)[STRIPS][N][4], F f) {
    const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
#pragma unroll
    for (int m = 0; m < STRIPS; m++)
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) f(s[m][n][i], 16 * m + g + i / 2 * 8, 8 * n + 2 * t + i % 2);
}

// The block begins to copy ROWS rows of SIZE elements into a tile; source rows lie `step` elements apart. What lies beyond the
// `rows` and `size` that there are becomes zero, which adds nothing to any product. `wide`: addresses are multiples of 16 bytes,
// as the copy engine needs them. Otherwise elements are copied one by one and at once.
template <int ROWS, int SIZE, typename T>
__device__ __forceinline__ void fetch(T* tile, const T* source, long long step, int rows, int size, bool wide) {
    constexpr int PACK = 16 / sizeof(T), PACKS = SIZE / PACK;
    for (int i = threadIdx.x; i < ROWS * PACKS; i += THREADS) {
        const int row = i / PACKS, column = i % PACKS * PACK;
        T* to = tile + row * pitch<T, SIZE>() + column;
        const T* from = source + row * step + column;
        if (wide) {
            const bool present = row < rows && column < size;
            copy_async<16>(to, present ? from : source, present);
        } else {
#pragma unroll
            for (int e = 0; e < PACK; e++) to[e] = row < rows && column + e < size ? from[e] : store<T>(0);
        }
    }
}

// A warp writes its rows of a result, times a factor, to global memory, by way of shared memory: there it has a row's neighbours
// together and writes 16 bytes a lane. `own`: the warp's own rows of a tile that is no longer needed. Of the rows `rows` exist.
template <typename T, int STRIPS, int N>
__device__ __forceinline__ void put(T* own, float (&s)[STRIPS][N][4], float factor, T* target, long long step, int rows, int size,
                                    bool wide) {
    constexpr int PACK = 16 / sizeof(T), SIZE = 8 * N, PACKS = SIZE / PACK;
    __syncwarp();  // the warp's lanes have read what was there
    each(s, [&](float& x, int row, int column) { own[row * pitch<T, SIZE>() + column] = store<T>(x * factor); });
    __syncwarp();
    for (int i = threadIdx.x & 31; i < 16 * STRIPS * PACKS; i += 32) {
        const int row = i / PACKS, column = i % PACKS * PACK;
        const T* from = own + row * pitch<T, SIZE>() + column;
        T* to = target + row * step + column;
        if (row >= rows || column >= size) continue;
        if (wide) {
            store_pack<PACK>(to, 0, load_pack<PACK>(from, 0));
        } else {
            for (int e = 0; e < PACK && column + e < size; e++) to[e] = from[e];
        }
    }
}

// s = a bᵀ, the products of rows of a with rows of b: a is the warp's 16 STRIPS rows of a tile, b a tile of 8 N rows.
template <int SIZE, typename T, int STRIPS, int N>
__device__ __forceinline__ void rows_by_rows(float (&s)[STRIPS][N][4], const T* a, const T* b) {
    constexpr int PITCH = pitch<T, SIZE>();
    const int lane = threadIdx.x & 31;
    each(s, [](float& x, int, int) { x = 0; });
#pragma unroll
    for (int k = 0; k < SIZE; k += 16) {  // sixteen columns of both at a time
        unsigned left[STRIPS][4];
#pragma unroll
        for (int m = 0; m < STRIPS; m++)  // four matrices of 8 × 8: rows 0 … 7 and 8 … 15 of columns 0 … 7, then of columns 8 … 15
            ldmatrix_x4(left[m], a + (16 * m + lane % 16) * PITCH + k + lane / 16 * 8);
#pragma unroll
        for (int n = 0; n < N; n += 2) {
            // rows of b are columns of bᵀ, which is what a lane has to hold: columns 0 … 7 and 8 … 15 of eight rows, then of the
            // next
            unsigned right[4];
            ldmatrix_x4(right, b + (8 * n + lane % 8 + lane / 16 * 8) * PITCH + k + lane / 8 % 2 * 8);
            const unsigned one[2] = {right[0], right[1]}, next[2] = {right[2], right[3]};
#pragma unroll
            for (int m = 0; m < STRIPS; m++) {
                mma_m16n8k16<T>(s[m][n], left[m], one);
                mma_m16n8k16<T>(s[m][n + 1], left[m], next);
            }
        }
    }
}

// o += w b, with w (16 STRIPS, 8 N) still in the registers in which a product left it, rounded to T: two of its neighbouring
// elements are just what a register of the next product's left matrix holds. b is a tile of 8 N rows of 8 C elements.
template <typename T, int STRIPS, int C, int N>
__device__ __forceinline__ void add_weighted_rows(float (&o)[STRIPS][C][4], float (&w)[STRIPS][N][4], const T* b, T*) {
    constexpr int PITCH = pitch<T, 8 * C>();
    const int lane = threadIdx.x & 31;
#pragma unroll
    for (int k = 0; k < N; k += 2) {  // sixteen rows of b at a time
        unsigned left[STRIPS][4];
#pragma unroll
        for (int m = 0; m < STRIPS; m++) {
            left[m][0] = pair<T>(w[m][k][0], w[m][k][1]);          // row g,     columns 2t, 2t + 1
            left[m][1] = pair<T>(w[m][k][2], w[m][k][3]);          // row g + 8
            left[m][2] = pair<T>(w[m][k + 1][0], w[m][k + 1][1]);  // row g,     columns 2t + 8, 2t + 9
            left[m][3] = pair<T>(w[m][k + 1][2], w[m][k + 1][3]);  // row g + 8
        }
#pragma unroll
        for (int n = 0; n < C; n += 2) {
            unsigned right[4];  // turned: rows 0 … 7 and 8 … 15 of eight columns, then of the next eight
            ldmatrix_x4_turned(right, b + (8 * k + lane % 16) * PITCH + 8 * n + lane / 16 * 8);
            const unsigned one[2] = {right[0], right[1]}, next[2] = {right[2], right[3]};
#pragma unroll
            for (int m = 0; m < STRIPS; m++) {
                mma_m16n8k16<T>(o[m][n], left[m], one);
                mma_m16n8k16<T>(o[m][n + 1], left[m], next);
            }
        }
    }
}

__device__ __forceinline__ float dot(const Pack<float, 4>& a, const Pack<float, 4>& b, float sum) {
#pragma unroll
    for (int i = 0; i < 4; i++) sum = fmaf(a.at[i], b.at[i], sum);
    return sum;
}

// In float: a lane computes its own elements of s, 2 STRIPS rows by 2 N columns, and so uses each number it loads several times.
template <int SIZE, int STRIPS, int N>
__device__ __forceinline__ void rows_by_rows(float (&s)[STRIPS][N][4], const float* a, const float* b) {
    constexpr int PITCH = pitch<float, SIZE>();
    const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    each(s, [](float& x, int, int) { x = 0; });
#pragma unroll 2
    for (int k = 0; k < SIZE; k += 4) {
        Pack<float, 4> left[STRIPS][2];
#pragma unroll
        for (int m = 0; m < STRIPS; m++)
#pragma unroll
            for (int h = 0; h < 2; h++) left[m][h] = load_pack<4>(a + (16 * m + g + 8 * h) * PITCH + k, 0);
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int c = 0; c < 2; c++) {
                const Pack<float, 4> right = load_pack<4>(b + (8 * n + 2 * t + c) * PITCH + k, 0);
#pragma unroll
                for (int m = 0; m < STRIPS; m++)
#pragma unroll
                    for (int h = 0; h < 2; h++) s[m][n][2 * h + c] = dot(left[m][h], right, s[m][n][2 * h + c]);
            }
    }
}

// Elements from one row of `scratch` to the next: eight beyond the row, so that eight rows' pairs lie in different banks.
template <int N> __device__ constexpr int scratch_pitch() { return 8 * N + 8; }

// In float: a quad needs all of its rows of w, of which each lane has a quarter; they meet in `scratch`, the warp's own.
template <int STRIPS, int C, int N>
__device__ __forceinline__ void add_weighted_rows(float (&o)[STRIPS][C][4], float (&w)[STRIPS][N][4], const float* b,
                                                  float* scratch) {
    constexpr int PITCH = pitch<float, 8 * C>(), ROW = scratch_pitch<N>();
    const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    __syncwarp();  // the lanes have read what was there
    each(w, [&](float& x, int row, int column) { scratch[row * ROW + column] = x; });
    __syncwarp();
#pragma unroll 1
    for (int k = 0; k < 8 * N; k += 4) {
        Pack<float, 4> left[STRIPS][2];
#pragma unroll
        for (int m = 0; m < STRIPS; m++)
#pragma unroll
            for (int h = 0; h < 2; h++) left[m][h] = load_pack<4>(scratch + (16 * m + g + 8 * h) * ROW + k, 0);
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int n = 0; n < C; n++) {
                const Pack<float, 2> right = load_pack<2>(b + (k + i) * PITCH + 8 * n + 2 * t, 0);
#pragma unroll
                for (int m = 0; m < STRIPS; m++)
#pragma unroll
                    for (int e = 0; e < 4; e++) o[m][n][e] = fmaf(left[m][e / 2].at[i], right.at[e % 2], o[m][n][e]);
            }
    }
}

// The sum and the largest of the four lanes' values of a row; all four get it. NaN is passed over by fmaxf.
__device__ __forceinline__ float sum_of_quad(float x) {
    x += __shfl_xor_sync(EVERY_LANE, x, 1);
    return x + __shfl_xor_sync(EVERY_LANE, x, 2);
}
__device__ __forceinline__ float largest_of_quad(float x) {
    x = fmaxf(x, __shfl_xor_sync(EVERY_LANE, x, 1));
    return fmaxf(x, __shfl_xor_sync(EVERY_LANE, x, 2));
}
