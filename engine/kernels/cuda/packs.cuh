// Memory in pieces of 16 bytes. A thread that loads 16 bytes at once (one instruction, four floats or eight 16-bit numbers) keeps
// enough bytes under way to fill the memory's bandwidth with few instructions; a warp's 32 pieces are 512 bytes in a row.
//
// That takes addresses which are multiples of 16 bytes. V is how many elements a piece has: 16 / sizeof(T), or 1 for arrays whose
// addresses or sizes do not allow it (the host chooses, arrays.py: `width`).
#pragma once
#include "common.cuh"

template <typename T, int V> struct alignas(V * sizeof(T)) Pack { T at[V]; };

template <int V, typename T> __device__ __forceinline__ Pack<T, V> load_pack(const T* source, long long pack) {
    return reinterpret_cast<const Pack<T, V>*>(source)[pack];
}

template <int V, typename T> __device__ __forceinline__ void store_pack(T* target, long long pack, const Pack<T, V>& value) {
    reinterpret_cast<Pack<T, V>*>(target)[pack] = value;
}

// Of kernels that keep rows: blocks have up to 512 threads (arrays.py: `row_blocks`), and one of them to a multiprocessor is enough.
// The compiler may use up to 128 registers and spills none; few warps do, as each has many loads under way.
#define ROW_BOUNDS __launch_bounds__(512, 1)

// A row of n elements (a multiple of V) shared by `threads` threads, of which this one has the packs first, first + threads, ... It
// is loaded once and stays in registers, up to KEEP packs a thread; what lies beyond is loaded again by every sweep, mostly from a
// cache. All KEEP loads are under way before the first is needed.
template <typename T, int V> struct Row {
    static constexpr int KEEP = 4;
    const T* source;
    Pack<T, V> kept[KEEP];

    __device__ __forceinline__ Row(const T* source, int first, int threads, int packs) : source(source) {
#pragma unroll
        for (int k = 0; k < KEEP; k++)
            if (first + k * threads < packs) kept[k] = load_pack<V>(source, first + k * threads);
    }

    // f(pack, number of the pack) for each of this thread's packs
    template <typename F> __device__ __forceinline__ void sweep(int first, int threads, int packs, F f) const {
#pragma unroll
        for (int k = 0; k < KEEP; k++)
            if (first + k * threads < packs) f(kept[k], first + k * threads);
        for (int i = first + KEEP * threads; i < packs; i += threads) f(load_pack<V>(source, i), i);
    }

    // f(pack, the other row's pack, number of the pack)
    template <typename F> __device__ __forceinline__ void with(const Row& other, int first, int threads, int packs, F f) const {
#pragma unroll
        for (int k = 0; k < KEEP; k++)
            if (first + k * threads < packs) f(kept[k], other.kept[k], first + k * threads);
        for (int i = first + KEEP * threads; i < packs; i += threads)
            f(load_pack<V>(source, i), load_pack<V>(other.source, i), i);
    }
};

// Values joined over the threads of a row. Short rows have one warp each and several to a block (threadIdx.y); longer rows have the
// whole block.
template <typename Join, typename T> __device__ __forceinline__ T over_row(T value) {
    return blockDim.x == 32 ? over_warp<Join>(value) : over_block<Join>(value);
}
