// Attention in tiles (Dao et al., "FlashAttention", 2022; Dao, "FlashAttention-2", 2023): out = softmax(scale q kᵀ + mask) v
// without the matrix of scores ever being in memory.
//
// Forward, a block of 4 warps owns 64 STRIPS queries, 16 STRIPS a warp, and walks over the keys, COLUMNS at a time. In shared
// memory lie the queries and two tiles of keys and of values: while one is worked on, the copy engine fills the other. Scores,
// weights and the output stay in registers (attention.cuh says which lane has what): the weights of one product are the left matrix
// of the next.
//
// The softmax needs the largest score of a row before the first exponential, and the row is never there as a whole. But
// exp(s - top) = exp(s - old) exp(old - top): where a tile brings a larger score, what was added up so far with the old one is made
// right by one factor for the row,
//
//      top = max(old, max s)     p = exp(s - top)     sum = sum exp(old - top) + Σ p     o = o exp(old - top) + p v
//
// and o / sum is the output. One number a query is kept, lse = log Σ exp(s): the weights are exp(s - lse), and the backward pass
// computes them again from q and k, tile by tile, instead of reading them. With dp = g vᵀ and delta = Σ_d g out,
//
//      ds = p (dp - delta)       dv = pᵀ g       dk = scale dsᵀ q       dq = scale ds k
//
// (the softmax's derivative takes from dp its mean Σ p dp = Σ p g vᵀ = g outᵀ.) dv and dk add up over queries, dq over keys: so one
// kernel has blocks of keys that walk over the queries, and another blocks of queries that walk over the keys. They compute scores
// and dp twice, but no two blocks add to one place: no atomics, and the same bits every time.
//
// Exponentials are of base 2, the one that the hardware has: scores are multiplied by log2 e, and lse is kept in base 2. A query
// that sees no key has sum 0 and no largest score: it gets zeros, lse = 0, hence weights exp(-inf) = 0 and gradients of zero.
//
// In the papers top is m, sum is ℓ, lse is L, delta is D, and the tiles are of B_r = 64 STRIPS rows and B_c = COLUMNS columns.
#include "attention.cuh"

constexpr float LOG2E = 1.4426950408889634f;

extern __shared__ __align__(16) unsigned char memory[];  // a block's shared memory, whose size the launch says

// Where the rows of an array (batch, head, row, element) lie: elements from one to the next; 0 where one serves all.
struct Layout { long long batch, head, row; };

// What a call is about; attention.py has the same structure. A head of k and v serves `group` heads of q.
struct Call {
    Layout q, k, v, out, g, dq, dk, dv, mask;
    long long mask_column;
    int heads, group, queries, keys, size, width;  // of q; of k and v; elements of a row of q and k, and of v
    float scale;
    int causal, wide;
};

// The entry of the batch and the head that a block works on, and which piece of it, `pieces` to an entry.
struct Entry {
    int batch, head, piece;
    __device__ Entry(int heads, int pieces)
        : batch(blockIdx.x / pieces / heads), head(blockIdx.x / pieces % heads), piece(blockIdx.x % pieces) {}
};
template <typename T> __device__ __forceinline__ T* at(T* array, const Layout& layout, int batch, int head, int row) {
    return array + batch * layout.batch + head * layout.head + row * layout.row;
}

// What a query sees of a key: all of it, or by a mask of bools, or with a number added to the score.
template <typename T> struct Mask {
    const bool* visible;
    const T* added;

    // The mask of one entry; at most one of the two is there.
    __device__ Mask(const bool* visible, const T* added, const Call& c, int batch, int head)
        : visible(visible ? at(visible, c.mask, batch, head, 0) : nullptr),
          added(added ? at(added, c.mask, batch, head, 0) : nullptr) {}

    // The score of base 2 for the product of a query and a key; -inf where the key is hidden or one of the two does not exist.
    __device__ __forceinline__ float score(const Call& c, float product, int query, int key) const {
        if (query >= c.queries || key >= c.keys || (c.causal && key > query)) return -infinity<float>();
        const long long place = query * c.mask.row + key * c.mask_column;
        if (visible && !visible[place]) return -infinity<float>();
        product *= c.scale * LOG2E;
        return added ? fmaf(load(added[place]), LOG2E, product) : product;
    }
    // Whether from these on the scores of all queries with `columns` keys are the products times the scale, and no more. So it is
    // in most tiles. Their products stay as they are, and the factor goes into the multiply-add before the exponential; the
    // largest product has the largest score then (unless the scale is negative). Queries that do not exist are zeros in shared
    // memory, and so are their gradients: no harm comes from them.
    __device__ __forceinline__ bool plain(const Call& c, int query, int key, int columns) const {
        return key + columns <= c.keys && !(c.causal && key + columns - 1 > query) && !visible && !added && c.scale >= 0;
    }
};

// q (B, H, L, E), k (B, H / group, S, E), v (B, H / group, S, D) -> out (B, H, L, D), lse (B, H, L). A block: 64 STRIPS queries
// of one head. SIZE: E and D rounded up.
template <typename T, int SIZE, int STRIPS, int COLUMNS>
__global__ void __launch_bounds__(THREADS, 2)
attention_forward(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v, const bool* __restrict__ visible,
                  const T* __restrict__ added, T* __restrict__ out, float* __restrict__ lse, Call c) {
    constexpr int ROWS = 16 * STRIPS, QUERIES = WARPS * ROWS, PITCH = pitch<T, SIZE>(), N = COLUMNS / 8;
    T* queries = reinterpret_cast<T*>(memory);          // [QUERIES][PITCH]
    T* keys = queries + QUERIES * PITCH;                // [2][COLUMNS][PITCH]
    T* values = keys + 2 * COLUMNS * PITCH;             // [2][COLUMNS][PITCH]
    T* scratch = values + 2 * COLUMNS * PITCH;          // float only: [QUERIES][COLUMNS + 8]

    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, blocks = (c.queries + QUERIES - 1) / QUERIES;
    const Entry entry(c.heads, blocks);
    const int batch = entry.batch, head = entry.head, shared = head / c.group;
    const int top = (blocks - 1 - entry.piece) * QUERIES;  // under causality the last see most keys: they begin
    const int first = top + warp * ROWS;                   // this warp's first query
    const int end = c.causal ? min(c.keys, top + QUERIES) : c.keys, tiles = (end + COLUMNS - 1) / COLUMNS;
    const Mask<T> mask(visible, added, c, batch, head);
    T* own = queries + warp * ROWS * PITCH;
    scratch += warp * ROWS * scratch_pitch<N>();

    const auto fetch_keys = [&](int tile) {
        const int key = tile * COLUMNS, buffer = tile % 2 * COLUMNS * PITCH;
        fetch<COLUMNS, SIZE>(keys + buffer, at(k, c.k, batch, shared, key), c.k.row, c.keys - key, c.size, c.wide);
        fetch<COLUMNS, SIZE>(values + buffer, at(v, c.v, batch, shared, key), c.v.row, c.keys - key, c.width, c.wide);
        copy_async_commit();
    };
    fetch<QUERIES, SIZE>(queries, at(q, c.q, batch, head, top), c.q.row, c.queries - top, c.size, c.wide);
    fetch_keys(0);

    float o[STRIPS][SIZE / 8][4] = {}, largest[STRIPS][2], sum[STRIPS][2] = {};  // [strip][0]: of row g, [1]: of row g + 8
#pragma unroll
    for (int m = 0; m < STRIPS; m++) largest[m][0] = largest[m][1] = -infinity<float>();

    for (int tile = 0; tile < tiles; tile++) {
        copy_async_wait<0>();
        __syncthreads();  // everybody's part of this tile is there, and all are done with the tile before: its place is free
        if (tile + 1 < tiles) fetch_keys(tile + 1);
        const int key = tile * COLUMNS;
        if (c.causal && key >= first + ROWS) continue;  // above the diagonal for the whole warp

        float s[STRIPS][N][4];
        rows_by_rows<SIZE>(s, own, keys + tile % 2 * COLUMNS * PITCH);
        const bool plain = mask.plain(c, first, key, COLUMNS);
        const float factor = plain ? c.scale * LOG2E : 1.0f;
        if (!plain) each(s, [&](float& x, int row, int column) { x = mask.score(c, x, first + row, key + column); });

#pragma unroll
        for (int m = 0; m < STRIPS; m++)
#pragma unroll
            for (int h = 0; h < 2; h++) {
                float most = -infinity<float>();
#pragma unroll
                for (int n = 0; n < N; n++) most = fmaxf(most, fmaxf(s[m][n][2 * h], s[m][n][2 * h + 1]));
                most = fmaxf(largest[m][h], largest_of_quad(most) * factor);  // a NaN is passed over; it shows in the sum
                const float shift = most == -infinity<float>() ? 0.0f : most;  // -inf - -inf would be NaN
                const float shrink = exp2f(largest[m][h] - shift);
                largest[m][h] = most;
                sum[m][h] *= shrink;
#pragma unroll
                for (int n = 0; n < N; n++)
#pragma unroll
                    for (int e = 2 * h; e < 2 * h + 2; e++) sum[m][h] += s[m][n][e] = exp2f(fmaf(s[m][n][e], factor, -shift));
#pragma unroll
                for (int n = 0; n < SIZE / 8; n++) o[m][n][2 * h] *= shrink, o[m][n][2 * h + 1] *= shrink;
            }
        add_weighted_rows(o, s, values + tile % 2 * COLUMNS * PITCH, scratch);
    }

#pragma unroll
    for (int m = 0; m < STRIPS; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const float total = sum_of_quad(sum[m][h]), share = 1 / (total == 0 ? 1.0f : total);
            const int query = first + 16 * m + 8 * h + lane / 4;
            if (lane % 4 == 0 && query < c.queries)
                lse[((long long)batch * c.heads + head) * c.queries + query] = total == 0 ? 0.0f : largest[m][h] + log2f(total);
#pragma unroll
            for (int n = 0; n < SIZE / 8; n++) o[m][n][2 * h] *= share, o[m][n][2 * h + 1] *= share;
        }
    put(own, o, 1.0f, at(out, c.out, batch, head, first), c.out.row, c.queries - first, c.width, c.wide);
}

// delta (B, H, L) = Σ_d g out, for g and out (B, H, L, D). A warp a row.
template <typename T>
__global__ void __launch_bounds__(THREADS, 2)
attention_deltas(const T* __restrict__ g, const T* __restrict__ out, float* __restrict__ delta, long long rows, Call c) {
    const long long row = (long long)blockIdx.x * WARPS + threadIdx.x / 32, entry = row / c.queries;
    if (row >= rows) return;
    const int batch = entry / c.heads, head = entry % c.heads, query = row % c.queries;
    const T* gradient = at(g, c.g, batch, head, query);
    const T* result = at(out, c.out, batch, head, query);
    float sum = 0;
    for (int i = threadIdx.x % 32; i < c.width; i += 32) sum = fmaf(load(gradient[i]), load(result[i]), sum);
    sum = over_warp<Sum>(sum);
    if (threadIdx.x % 32 == 0) delta[row] = sum;
}

// dk (B, H / group, S, E) and dv (B, H / group, S, D). A block: 64 STRIPS keys of one head; they walk over the queries of all
// heads that they serve, COLUMNS at a time. Scores are computed turned, a row for each key: so their weights are the left matrix
// of dv = pᵀ g.
template <typename T, int SIZE, int STRIPS, int COLUMNS>
__global__ void __launch_bounds__(THREADS, 2)
attention_backward_keys(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v, const bool* __restrict__ visible,
                        const T* __restrict__ added, const T* __restrict__ g, const float* __restrict__ lse,
                        const float* __restrict__ delta, T* __restrict__ dk, T* __restrict__ dv, Call c) {
    constexpr int ROWS = 16 * STRIPS, KEYS = WARPS * ROWS, PITCH = pitch<T, SIZE>(), N = COLUMNS / 8;
    T* keys = reinterpret_cast<T*>(memory);             // [KEYS][PITCH]
    T* values = keys + KEYS * PITCH;                    // [KEYS][PITCH]
    T* queries = values + KEYS * PITCH;                 // [2][COLUMNS][PITCH]
    T* gradients = queries + 2 * COLUMNS * PITCH;       // [2][COLUMNS][PITCH]
    float* logs = reinterpret_cast<float*>(gradients + 2 * COLUMNS * PITCH);  // [2][COLUMNS]: lse
    float* means = logs + 2 * COLUMNS;                  // [2][COLUMNS]: delta
    T* scratch = reinterpret_cast<T*>(means + 2 * COLUMNS);  // float only: [KEYS][COLUMNS + 8]

    const int warp = threadIdx.x / 32;
    const Entry entry(c.heads / c.group, (c.keys + KEYS - 1) / KEYS);
    const int batch = entry.batch, shared = entry.head, left = entry.piece * KEYS, first = left + warp * ROWS;
    // under causality queries before the first key see none of them
    const int skipped = c.causal ? left / COLUMNS : 0, tiles = max(0, (c.queries + COLUMNS - 1) / COLUMNS - skipped);
    T* own_keys = keys + warp * ROWS * PITCH;
    T* own_values = values + warp * ROWS * PITCH;
    scratch += warp * ROWS * scratch_pitch<N>();

    const auto fetch_queries = [&](int turn) {
        const int head = shared * c.group + turn / tiles, query = (skipped + turn % tiles) * COLUMNS, rest = c.queries - query;
        const int buffer = turn % 2 * COLUMNS;
        const long long row = ((long long)batch * c.heads + head) * c.queries + query;
        fetch<COLUMNS, SIZE>(queries + buffer * PITCH, at(q, c.q, batch, head, query), c.q.row, rest, c.size, c.wide);
        fetch<COLUMNS, SIZE>(gradients + buffer * PITCH, at(g, c.g, batch, head, query), c.g.row, rest, c.width, c.wide);
        for (int i = threadIdx.x; i < COLUMNS; i += THREADS) {
            const bool present = i < rest;
            copy_async<4>(logs + buffer + i, lse + (present ? row + i : 0), present);
            copy_async<4>(means + buffer + i, delta + (present ? row + i : 0), present);
        }
        copy_async_commit();
    };
    fetch<KEYS, SIZE>(keys, at(k, c.k, batch, shared, left), c.k.row, c.keys - left, c.size, c.wide);
    fetch<KEYS, SIZE>(values, at(v, c.v, batch, shared, left), c.v.row, c.keys - left, c.width, c.wide);
    if (tiles) fetch_queries(0);

    float dks[STRIPS][SIZE / 8][4] = {}, dvs[STRIPS][SIZE / 8][4] = {};
    for (int turn = 0; turn < c.group * tiles; turn++) {
        copy_async_wait<0>();
        __syncthreads();
        if (turn + 1 < c.group * tiles) fetch_queries(turn + 1);
        const int head = shared * c.group + turn / tiles, query = (skipped + turn % tiles) * COLUMNS, buffer = turn % 2 * COLUMNS;
        if (c.causal && first >= query + COLUMNS) continue;
        const Mask<T> mask(visible, added, c, batch, head);
        const float *log = logs + buffer, *mean = means + buffer;

        float p[STRIPS][N][4], ds[STRIPS][N][4];
        rows_by_rows<SIZE>(p, own_keys, queries + buffer * PITCH);
        const bool plain = mask.plain(c, query, first, ROWS);
        const float factor = plain ? c.scale * LOG2E : 1.0f;
        if (!plain) each(p, [&](float& x, int row, int column) { x = mask.score(c, x, query + column, first + row); });
        each(p, [&](float& x, int, int column) { x = exp2f(fmaf(x, factor, -log[column])); });
        add_weighted_rows(dvs, p, gradients + buffer * PITCH, scratch);
        rows_by_rows<SIZE>(ds, own_values, gradients + buffer * PITCH);
#pragma unroll
        for (int m = 0; m < STRIPS; m++)
#pragma unroll
            for (int n = 0; n < N; n++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    ds[m][n][e] = p[m][n][e] * (ds[m][n][e] - mean[8 * n + threadIdx.x % 4 * 2 + e % 2]);
        add_weighted_rows(dks, ds, queries + buffer * PITCH, scratch);
    }
    copy_async_wait<0>();
    __syncthreads();  // where there was no tile, keys and values may still have been on their way to where the results pass
    put(own_keys, dks, c.scale, at(dk, c.dk, batch, shared, first), c.dk.row, c.keys - first, c.size, c.wide);
    put(own_values, dvs, 1.0f, at(dv, c.dv, batch, shared, first), c.dv.row, c.keys - first, c.width, c.wide);
}

// dq (B, H, L, E). A block: 64 STRIPS queries of one head, which walk over the keys, COLUMNS at a time.
template <typename T, int SIZE, int STRIPS, int COLUMNS>
__global__ void __launch_bounds__(THREADS, 2)
attention_backward_queries(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,
                           const bool* __restrict__ visible, const T* __restrict__ added, const T* __restrict__ g,
                           const float* __restrict__ lse, const float* __restrict__ delta, T* __restrict__ dq, Call c) {
    constexpr int ROWS = 16 * STRIPS, QUERIES = WARPS * ROWS, PITCH = pitch<T, SIZE>(), N = COLUMNS / 8;
    T* queries = reinterpret_cast<T*>(memory);          // [QUERIES][PITCH]
    T* gradients = queries + QUERIES * PITCH;           // [QUERIES][PITCH]
    T* keys = gradients + QUERIES * PITCH;              // [2][COLUMNS][PITCH]
    T* values = keys + 2 * COLUMNS * PITCH;             // [2][COLUMNS][PITCH]
    T* scratch = values + 2 * COLUMNS * PITCH;          // float only: [QUERIES][COLUMNS + 8]

    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, blocks = (c.queries + QUERIES - 1) / QUERIES;
    const Entry entry(c.heads, blocks);
    const int batch = entry.batch, head = entry.head, shared = head / c.group;
    const int top = (blocks - 1 - entry.piece) * QUERIES, first = top + warp * ROWS;
    const int end = c.causal ? min(c.keys, top + QUERIES) : c.keys, tiles = (end + COLUMNS - 1) / COLUMNS;
    const Mask<T> mask(visible, added, c, batch, head);
    T* own_queries = queries + warp * ROWS * PITCH;
    T* own_gradients = gradients + warp * ROWS * PITCH;
    scratch += warp * ROWS * scratch_pitch<N>();

    const auto fetch_keys = [&](int tile) {
        const int key = tile * COLUMNS, buffer = tile % 2 * COLUMNS * PITCH;
        fetch<COLUMNS, SIZE>(keys + buffer, at(k, c.k, batch, shared, key), c.k.row, c.keys - key, c.size, c.wide);
        fetch<COLUMNS, SIZE>(values + buffer, at(v, c.v, batch, shared, key), c.v.row, c.keys - key, c.width, c.wide);
        copy_async_commit();
    };
    fetch<QUERIES, SIZE>(queries, at(q, c.q, batch, head, top), c.q.row, c.queries - top, c.size, c.wide);
    fetch<QUERIES, SIZE>(gradients, at(g, c.g, batch, head, top), c.g.row, c.queries - top, c.width, c.wide);
    fetch_keys(0);

    float dqs[STRIPS][SIZE / 8][4] = {}, log[STRIPS][2], mean[STRIPS][2];
#pragma unroll
    for (int m = 0; m < STRIPS; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int query = first + 16 * m + 8 * h + lane / 4;
            const long long row = ((long long)batch * c.heads + head) * c.queries + query;
            log[m][h] = query < c.queries ? lse[row] : 0.0f;
            mean[m][h] = query < c.queries ? delta[row] : 0.0f;
        }

    for (int tile = 0; tile < tiles; tile++) {
        copy_async_wait<0>();
        __syncthreads();
        if (tile + 1 < tiles) fetch_keys(tile + 1);
        const int key = tile * COLUMNS, buffer = tile % 2 * COLUMNS * PITCH;
        if (c.causal && key >= first + ROWS) continue;

        float s[STRIPS][N][4], ds[STRIPS][N][4];
        rows_by_rows<SIZE>(s, own_queries, keys + buffer);
        rows_by_rows<SIZE>(ds, own_gradients, values + buffer);
        const bool plain = mask.plain(c, first, key, COLUMNS);
        const float factor = plain ? c.scale * LOG2E : 1.0f;
        if (!plain) each(s, [&](float& x, int row, int column) { x = mask.score(c, x, first + row, key + column); });
#pragma unroll
        for (int m = 0; m < STRIPS; m++)
#pragma unroll
            for (int n = 0; n < N; n++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    ds[m][n][e] = exp2f(fmaf(s[m][n][e], factor, -log[m][e / 2])) * (ds[m][n][e] - mean[m][e / 2]);
        add_weighted_rows(dqs, ds, keys + buffer, scratch);
    }
    put(own_queries, dqs, c.scale, at(dq, c.dq, batch, head, first), c.dq.row, c.queries - first, c.size, c.wide);
}
