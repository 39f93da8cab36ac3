// Barriers and warp collectives: CUDA's names over sim_barrier and sim_warp.
#pragma once
#include "runtime.h"

static const int warpSize = 32;

inline void __syncthreads(SIM_PLACE) { sim_barrier(BARRIER_PLAIN, 0, place); }
inline int __syncthreads_count(int predicate, SIM_PLACE) { return sim_barrier(BARRIER_COUNT, predicate, place); }
inline int __syncthreads_and(int predicate, SIM_PLACE) { return sim_barrier(BARRIER_AND, predicate, place); }
inline int __syncthreads_or(int predicate, SIM_PLACE) { return sim_barrier(BARRIER_OR, predicate, place); }

// Which collective a lane is at: all lanes of a mask must be at the same.
enum WarpOperation { SHUFFLE_INDEX, SHUFFLE_UP, SHUFFLE_DOWN, SHUFFLE_XOR, SYNC_WARP, BALLOT, MATCH, REDUCE,
                     WMMA_ADDRESS = 20, WMMA_READ, WMMA_DONE, MMA_READ = 30, MMA_DONE, LDMATRIX_READ, LDMATRIX_DONE };

template <class T> uint64_t sim_bits(T value) {
    static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    return bits;
}

template <class T> T sim_posted(const uint64_t* posted, int lane, Place place) {
    if (!(posted[32] >> lane & 1))
        sim_fail(place, "shuffle reads lane %d, which is not in the mask %08x", lane, (unsigned)posted[32]);
    T value;
    memcpy((void*)&value, &posted[lane], sizeof value);
    return value;
}

// shfl.sync of the PTX manual. Lanes form segments of `width`; a lane whose partner is outside its segment keeps its value.
template <class T> T sim_shuffle(WarpOperation kind, unsigned mask, T value, int b, int width, Place place) {
    if (width < 1 || width > 32 || (width & (width - 1))) sim_fail(place, "shuffle width %d is not a power of two up to 32", width);
    const uint64_t* posted = sim_warp(mask, kind, sim_bits(value), place);
    const int lane = sim_lane(), first = lane & ~(width - 1), last = first | (width - 1);
    int from = lane;
    bool inside = true;
    switch (kind) {
        case SHUFFLE_INDEX: from = first | (b & (width - 1)); break;
        case SHUFFLE_UP: from = lane - b; inside = from >= first; break;
        case SHUFFLE_DOWN: from = lane + b; inside = from <= last; break;
        default: from = lane ^ b; inside = from <= last;
    }
    return inside ? sim_posted<T>(posted, from, place) : value;
}

template <class T> T __shfl_sync(unsigned mask, T value, int lane, int width = 32, SIM_PLACE) {
    return sim_shuffle(SHUFFLE_INDEX, mask, value, lane, width, place);
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, SIM_PLACE) {
    return sim_shuffle(SHUFFLE_UP, mask, value, by, width, place);
}
template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, SIM_PLACE) {
    return sim_shuffle(SHUFFLE_DOWN, mask, value, by, width, place);
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, SIM_PLACE) {
    return sim_shuffle(SHUFFLE_XOR, mask, value, bits, width, place);
}

inline void __syncwarp(unsigned mask = ~0u, SIM_PLACE) { sim_warp(mask, SYNC_WARP, 0, place); }

inline unsigned __ballot_sync(unsigned mask, int predicate, SIM_PLACE) {
    const uint64_t* posted = sim_warp(mask, BALLOT, predicate != 0, place);
    unsigned votes = 0;
    for (int lane = 0; lane < 32; lane++)
        if (posted[32] >> lane & 1) votes |= (unsigned)posted[lane] << lane;
    return votes;
}
inline int __any_sync(unsigned mask, int predicate, SIM_PLACE) { return __ballot_sync(mask, predicate, place) != 0; }
inline int __all_sync(unsigned mask, int predicate, SIM_PLACE) { return __ballot_sync(mask, !predicate, place) == 0; }

// The lanes whose value equals the caller's.
template <class T> unsigned __match_any_sync(unsigned mask, T value, SIM_PLACE) {
    const uint64_t* posted = sim_warp(mask, MATCH, sim_bits(value), place);
    unsigned equal = 0;
    for (int lane = 0; lane < 32; lane++)
        if ((posted[32] >> lane & 1) && posted[lane] == sim_bits(value)) equal |= 1u << lane;
    return equal;
}

// redux.sync: integers only.
template <class T, class F> T sim_reduce(unsigned mask, T value, F join, Place place) {
    static_assert(std::is_integral_v<T> && sizeof(T) == 4, "__reduce_*_sync takes int and unsigned");
    const uint64_t* posted = sim_warp(mask, REDUCE, sim_bits(value), place);
    bool any = false;
    T sum{};
    for (int lane = 0; lane < 32; lane++)
        if (posted[32] >> lane & 1) {
            const T one = sim_posted<T>(posted, lane, place);
            sum = any ? join(sum, one) : one;
            any = true;
        }
    return sum;
}
template <class T> T __reduce_add_sync(unsigned mask, T value, SIM_PLACE) {
    return sim_reduce(mask, value, [](T a, T b) { return a + b; }, place);
}
template <class T> T __reduce_max_sync(unsigned mask, T value, SIM_PLACE) {
    return sim_reduce(mask, value, [](T a, T b) { return a > b ? a : b; }, place);
}
template <class T> T __reduce_min_sync(unsigned mask, T value, SIM_PLACE) {
    return sim_reduce(mask, value, [](T a, T b) { return a < b ? a : b; }, place);
}
