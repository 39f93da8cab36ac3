// The generator Philox4x32-10 with the bits of every other backend, numbers made of them, and dropout that draws its mask on the way.
//
// Element i of a draw is word i % 4 for the counter (i / 4, draw), 64 bits each, under the seed as the key: ten rounds of
// multiplications. So every thread draws its own elements, none depends on another, and no state is kept anywhere. In dropout the
// mask is never in memory, forward or backward: it is drawn again, which takes less time than to read it.
#include "packs.cuh"

using Key = unsigned long long;

struct Words { unsigned at[4]; };

// The four words of counter (block, draw) under `seed`: J. Salmon, M. Moraes, R. Dror and D. Shaw, "Parallel random numbers: as
// easy as 1, 2, 3" (2011).
__device__ __forceinline__ Words philox(Key block, Key seed, Key draw) {
    unsigned c0 = block, c1 = block >> 32, c2 = draw, c3 = draw >> 32, k0 = seed, k1 = seed >> 32;
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const Key p0 = (Key)c0 * 0xD2511F53u, p1 = (Key)c2 * 0xCD9E8D57u;
        c0 = (unsigned)(p1 >> 32) ^ c1 ^ k0;
        c1 = (unsigned)p1;
        c2 = (unsigned)(p0 >> 32) ^ c3 ^ k1;
        c3 = (unsigned)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

__device__ __forceinline__ long long own() { return (long long)blockIdx.x * blockDim.x + threadIdx.x; }

// COUNT numbers into out (n) at `first`, as far as it goes; in pieces of 16 bytes (out is a whole array, which begins at one)
template <int COUNT, typename T>
__device__ __forceinline__ void write(T* out, long long first, long long n, const T (&values)[COUNT]) {
    constexpr int V = 16 / sizeof(T) < COUNT ? 16 / sizeof(T) : COUNT;
    if (first + COUNT <= n) {
#pragma unroll
        for (int k = 0; k < COUNT; k += V) {
            Pack<T, V> p;
#pragma unroll
            for (int j = 0; j < V; j++) p.at[j] = values[k + j];
            store_pack<V>(out, (first + k) / V, p);
        }
    } else {
        for (int j = 0; j < COUNT && first + j < n; j++) out[first + j] = values[j];
    }
}

// out (n): the words one after the other, four a thread.
extern "C" __global__ void draw_words(unsigned* out, long long n, Key seed, Key draw) {
    if (4 * own() < n) write<4>(out, 4 * own(), n, philox(own(), seed, draw).at);
}

// A number on [0, 1) of one word's highest `digits` bits; for double of two words' 27 and 26.
__device__ __forceinline__ float uniform(unsigned word, int digits) {
    return (float)(word >> (32 - digits)) * (1.0f / (1u << digits));
}
__device__ __forceinline__ double uniform(unsigned high, unsigned low) {
    return ((double)(high >> 5) * 67108864.0 + (double)(low >> 6)) * (1.0 / 9007199254740992.0);
}

// out (n), uniform on [0, 1) in steps of 2^-digits (of 2^-53 for double): a thread makes the numbers of one counter.
template <typename T> __global__ void draw_uniform(T* out, long long n, Key seed, Key draw, int digits) {
    const Words w = philox(own(), seed, draw);
    if constexpr (sizeof(T) == 8) {
        const T values[2] = {uniform(w.at[0], w.at[1]), uniform(w.at[2], w.at[3])};
        if (2 * own() < n) write<2>(out, 2 * own(), n, values);
    } else {
        T values[4];
#pragma unroll
        for (int j = 0; j < 4; j++) values[j] = store<T>(uniform(w.at[j], digits));
        if (4 * own() < n) write<4>(out, 4 * own(), n, values);
    }
}

// Standard normal numbers, by the transformation of Box and Muller (1958): √(-2 log u) times cos and sin of 2πv.
template <typename T> __global__ void draw_normal(T* out, long long n, Key seed, Key draw) {
    const Words w = philox(own(), seed, draw);
    if constexpr (sizeof(T) == 8) {
        const double radius = sqrt(-2 * log(1 - uniform(w.at[0], w.at[1])));  // of (0, 1]: the logarithm is finite
        const double angle = (1 - uniform(w.at[2], w.at[3])) * 6.283185307179586;
        const T values[2] = {radius * cos(angle), radius * sin(angle)};
        if (2 * own() < n) write<2>(out, 2 * own(), n, values);
    } else {
        T values[4];
#pragma unroll
        for (int j = 0; j < 4; j += 2) {
            const float u = (float)((double)w.at[j] + 0.5) * (1.0f / 4294967296.0f);
            const float radius = sqrtf(-2 * logf(u)), angle = uniform(w.at[j + 1], 24) * 6.2831855f;
            values[j] = store<T>(radius * cosf(angle));
            values[j + 1] = store<T>(radius * sinf(angle));
        }
        if (4 * own() < n) write<4>(out, 4 * own(), n, values);
    }
}

// out (n): integers low + (64 bits modulo span); span 0 stands for 2^64.
extern "C" __global__ void draw_integers(long long* out, long long n, Key seed, Key draw, Key low, Key span) {
    const Words w = philox(own(), seed, draw);
    long long values[2];
#pragma unroll
    for (int j = 0; j < 2; j++) {
        const Key bits = (Key)w.at[2 * j] << 32 | w.at[2 * j + 1];
        values[j] = (long long)((span ? bits % span : bits) + low);
    }
    if (2 * own() < n) write<2>(out, 2 * own(), n, values);
}

// out (n) = x · scale where the element's word is at least `least`, x · 0 elsewhere. A thread takes COUNT elements: those of one
// counter, or of two for 16-bit types, whose packs have eight.
template <typename T> __global__ void drop(const T* __restrict__ x, T* __restrict__ out, long long n, Key seed, Key draw, Key least,
                                           wide<T> scale) {
    constexpr int COUNT = sizeof(T) == 2 ? 8 : 4, V = 16 / sizeof(T);
    const long long first = COUNT * own();
    if (first >= n) return;
    T values[COUNT];
    const bool whole = first + COUNT <= n && ((size_t)x & 15) == 0;
#pragma unroll
    for (int k = 0; k < COUNT; k += V) {
        Pack<T, V> p;
        if (whole) p = load_pack<V>(x, (first + k) / V);
#pragma unroll
        for (int j = 0; j < V; j++) values[k + j] = whole ? p.at[j] : first + k + j < n ? x[first + k + j] : store<T>(0);
    }
#pragma unroll
    for (int block = 0; block < COUNT / 4; block++) {
        const Words w = philox(first / 4 + block, seed, draw);
#pragma unroll
        for (int j = 0; j < 4; j++)
            values[4 * block + j] = store<T>(load(values[4 * block + j]) * (w.at[j] >= least ? scale : wide<T>(0)));
    }
    write<COUNT>(out, first, n, values);
}
