// Rows of a table by their indices, and the adjoint: rows added up by index.
//
// Adding up is where threads would meet: many positions may have one index. Atomic additions settle that, but in an order that
// differs from run to run, and so do the last bits of sums of floats. By default the positions are sorted by their index first, equal
// ones in their order, so that they form a run, and each run is added up in that order:
//
//   1. add_segments. The sorted positions are cut in segments of equal length. A thread owns one feature of one segment and walks
//      it. A run that lies within the segment goes to the table straight away. What a segment shares with its neighbours goes aside:
//      `heads`, the sum of its part of a run that came in from before, and `tails`, of a run that goes on behind.
//   2. add_across. The thread of the segment in which a run begins adds its tail and the heads that follow.
//
// Every element of the table is written by one thread at most. Neighbouring threads own neighbouring features, so that they read a
// position's row together, and the index once.
#include "packs.cuh"

__device__ __forceinline__ long long load(long long x) { return x; }

// out (B, E) = weight (V, E) at indices (B); NaN where an index is no row, which is never an address. A thread a pack; `packs` are
// those of a row, `count` those of out.
template <typename T, int V>
__global__ void look_up(const long long* __restrict__ indices, const T* __restrict__ weight, T* __restrict__ out, int count,
                        long long rows, int packs) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const long long row = indices[i / packs];
    Pack<T, V> p;
    if (row >= 0 && row < rows) {
        p = load_pack<V>(weight, row * packs + i % packs);
    } else {
#pragma unroll
        for (int j = 0; j < V; j++) p.at[j] = store<T>(infinity<wide<T>>() - infinity<wide<T>>());
    }
    store_pack<V>(out, i, p);
}

// ---- sorting, by counting: where a position belongs is how many have a smaller index, or an equal one and come before it. That is
// count² comparisons, but in one go: 8192 positions are 67 million, nothing for a GPU, and the host need not wait for a sort.

// ranks (B), zeros on entry. A block has 256 positions, and of all positions it compares them with every gridDim.y-th tile of 256,
// which lies in shared memory; a warp reads one element of it at a time, all lanes the same. Sums of integers have no order.
extern "C" __global__ void count_before(const long long* __restrict__ indices, int* __restrict__ ranks, int count) {
    __shared__ int tile[256];
    const int i = blockIdx.x * 256 + threadIdx.x, most = 0x7fffffff;
    const auto key = [&](int at) {  // beyond the last position, and for indices beyond 31 bits, the largest
        return at >= count || indices[at] >= most ? most : indices[at] < 0 ? -1 : (int)indices[at];
    };
    const int mine = key(i);
    int before = 0;
    for (int first = blockIdx.y * 256; first < count; first += gridDim.y * 256) {
        __syncthreads();  // the tile before has been read
        tile[threadIdx.x] = key(first + threadIdx.x);
        __syncthreads();
        const int length = count - first < 256 ? count - first : 256;
#pragma unroll 8
        for (int k = 0; k < length; k++) before += tile[k] < mine || (tile[k] == mine && first + k < i);
    }
    if (i < count) atomicAdd(ranks + i, before);
}

// sorted (B) and order (B): every index and its position, at its rank.
extern "C" __global__ void place(const long long* __restrict__ indices, const int* __restrict__ ranks,
                                 long long* __restrict__ sorted, int* __restrict__ order, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    sorted[ranks[i]] = indices[i];
    order[ranks[i]] = i;
}

// ---- adding up

// A segment's sorted positions begin … end - 1.
struct Segment {
    long long begin, end;
    __device__ __forceinline__ Segment(long long number, long long count, int length)
        : begin(number * length), end(begin + length < count ? begin + length : count) {}
    // whether the first (last) run is one with the neighbour's
    __device__ __forceinline__ bool comes_in(const long long* sorted) const {
        return begin > 0 && sorted[begin - 1] == sorted[begin];
    }
    __device__ __forceinline__ bool goes_on(const long long* sorted, long long count) const {
        return end < count && sorted[end] == sorted[end - 1];
    }
};

constexpr int AHEAD = 4;  // loads that a thread has under way

// sorted (B): the indices in order, and order (B) the position of each; g (B, E); heads and tails (segments, E); table (rows, E),
// to which is added. An index that is no row is passed over.
template <typename T>
__global__ void add_segments(const long long* __restrict__ sorted, const int* __restrict__ order, const T* __restrict__ g,
                             wide<T>* __restrict__ heads, wide<T>* __restrict__ tails, T* __restrict__ table, long long count,
                             long long rows, int features, int length) {
    using W = wide<T>;
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x, number = i / features, feature = i % features;
    if (number * length >= count) return;
    const Segment own(number, count, length);
    bool head = own.comes_in(sorted);
    W sum = 0;
    for (long long begin = own.begin; begin < own.end; begin += AHEAD) {
        W values[AHEAD];  // all on their way before the first is used
#pragma unroll
        for (int k = 0; k < AHEAD; k++) values[k] = begin + k < own.end ? load(g[order[begin + k] * (long long)features + feature]) : W(0);
#pragma unroll
        for (int k = 0; k < AHEAD; k++) {
            const long long p = begin + k;
            if (p >= own.end) break;
            sum += values[k];
            const long long row = sorted[p];
            if (p + 1 < own.end && sorted[p + 1] == row) continue;  // the run goes on
            if (head) {
                heads[i] = sum;
            } else if (p + 1 == own.end && own.goes_on(sorted, count)) {
                tails[i] = sum;
            } else if (row >= 0 && row < rows) {
                table[row * features + feature] = store<T>(load(table[row * features + feature]) + sum);
            }
            head = false;
            sum = 0;
        }
    }
}

template <typename T>
__global__ void add_across(const long long* __restrict__ sorted, const wide<T>* __restrict__ heads,
                           const wide<T>* __restrict__ tails, T* __restrict__ table, long long count, long long rows, int features,
                           int length) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x, number = i / features, feature = i % features;
    if (number * length >= count) return;
    const Segment own(number, count, length);
    if (!own.goes_on(sorted, count)) return;
    const long long row = sorted[own.end - 1];
    if (row < 0 || row >= rows || (own.comes_in(sorted) && sorted[own.begin] == row)) return;  // it began before this segment
    wide<T> sum = tails[i];
    for (long long k = number + 1; k * length < count && sorted[k * length] == row; k++) sum += heads[k * features + feature];
    table[row * features + feature] = store<T>(load(table[row * features + feature]) + sum);
}

// table (rows, E) += g (B, E) at indices (B) in whatever order the threads come: quicker, but the last bits vary. The table is of
// the wide type, so that 16-bit sums do not lose what is small.
template <typename T>
__global__ void add_atomically(const long long* __restrict__ indices, const T* __restrict__ g, wide<T>* __restrict__ table,
                               long long size, long long rows, int features) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    const long long row = indices[i / features];
    if (row >= 0 && row < rows) atomicAdd(table + row * features + i % features, load(g[i]));
}
