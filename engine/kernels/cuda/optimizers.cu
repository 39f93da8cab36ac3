// Optimizers' rules for all parameters of a group in one launch, and gradients clipped in one pass.
//
// A model has hundreds of arrays, most of them too small to fill a GPU, and a launch costs more than one of them. So a kernel is
// given a table of where they lie. All arrays are cut into chunks of equal size, one for each block; the table says to which
// array a block belongs. Each element is read and written once: these kernels are as fast as memory is, so nothing is shared, and
// a thread reads four neighbours in one load where the arrays lie so that it can (it is 16 bytes of a float array).
//
// The table: for every parameter a row of (its first block, its number of elements, the addresses of its arrays); after all rows,
// for every block the number of its row. The arrays of a row: parameter and gradient of type T, then the rule's state, which is
// float for 16-bit types. The arithmetic is that of `wide<T>`.
#include "common.cuh"

// What a block works on: the elements begin ... end - 1 of the arrays of a row. (Addresses are read once, before anything is
// written: the compiler joins the stores to four neighbours only where no other access may come between.)
template <int COLUMNS>
struct Chunk {
    long long begin, end, addresses[COLUMNS];
    bool aligned = true;  // whether all arrays begin at a multiple of 16 bytes
    __device__ Chunk(const long long* table, int rows, int chunk) {
        const long long* row = table + (2 + COLUMNS) * table[(2 + COLUMNS) * rows + blockIdx.x];
        begin = (blockIdx.x - row[0]) * chunk;
        end = begin + chunk < row[1] ? begin + chunk : row[1];
#pragma unroll
        for (int column = 0; column < COLUMNS; column++) {
            addresses[column] = row[2 + column];
            aligned = aligned && addresses[column] % 16 == 0;
        }
    }
    template <typename T> __device__ T* array(int column) const { return reinterpret_cast<T*>(addresses[column]); }
};

template <typename T> struct alignas(sizeof(T) == 2 ? 8 : 16) Four { T x, y, z, w; };

// Elements i ... i + 3 of an array. WHOLE: there are four of them, and they are aligned.
template <bool WHOLE, typename T>
__device__ __forceinline__ void load_four(const T* array, long long i, long long end, wide<T>* values) {
    if constexpr (WHOLE) {
        const Four<T> four = *reinterpret_cast<const Four<T>*>(array + i);
        values[0] = load(four.x), values[1] = load(four.y), values[2] = load(four.z), values[3] = load(four.w);
    } else {
#pragma unroll
        for (int k = 0; k < 4; k++) values[k] = i + k < end ? load(array[i + k]) : wide<T>(0);
    }
}

template <bool WHOLE, typename T>
__device__ __forceinline__ void store_four(T* array, long long i, long long end, const wide<T>* values) {
    if constexpr (WHOLE) {
        const Four<T> four = {store<T>(values[0]), store<T>(values[1]), store<T>(values[2]), store<T>(values[3])};
        *reinterpret_cast<Four<T>*>(array + i) = four;
    } else {
#pragma unroll
        for (int k = 0; k < 4; k++)
            if (i + k < end) array[i + k] = store<T>(values[k]);
    }
}

// Calls rule(x, k) for four elements, which finds them in x[column][k], and writes all columns but the gradient's.
template <typename T, bool WHOLE, int COLUMNS, typename Rule>
__device__ __forceinline__ void four_of(const Chunk<COLUMNS>& part, long long i, Rule rule) {
    using W = wide<T>;
    W x[COLUMNS][4];
#pragma unroll
    for (int column = 0; column < COLUMNS; column++) {
        if (column < 2) load_four<WHOLE>(part.template array<const T>(column), i, part.end, x[column]);
        else load_four<WHOLE>(part.template array<const W>(column), i, part.end, x[column]);
    }
#pragma unroll
    for (int k = 0; k < 4; k++) rule(x, k);
#pragma unroll
    for (int column = 0; column < COLUMNS; column++) {
        if (column == 0) store_four<WHOLE>(part.template array<T>(column), i, part.end, x[column]);
        else if (column > 1) store_four<WHOLE>(part.template array<W>(column), i, part.end, x[column]);
    }
}

// All elements of the block's chunk.
template <typename T, int COLUMNS, typename Rule>
__device__ __forceinline__ void each(const long long* table, int rows, int chunk, Rule rule) {
    const Chunk<COLUMNS> part(table, rows, chunk);
    long long i = part.begin + 4 * threadIdx.x;
    if (part.aligned)
        for (; i + 4 <= part.end; i += 4 * blockDim.x) four_of<T, true>(part, i, rule);
    for (; i < part.end; i += 4 * blockDim.x) four_of<T, false>(part, i, rule);
}

// The direction to go against: ±g + decay p.
template <typename W> __device__ __forceinline__ W uphill(W g, W p, W sign, W decay) {
    return decay != 0 ? sign * g + decay * p : sign * g;
}

// b ← keep b + add d;  p ← p - rate (b, or with NESTEROV d + keep b). Without MOMENTUM p ← p - rate d.
template <typename T, bool MOMENTUM, bool NESTEROV>
__global__ void sgd_step(const long long* __restrict__ table, int rows, int chunk, wide<T> sign, wide<T> decay, wide<T> keep,
                         wide<T> add, wide<T> rate) {
    constexpr int COLUMNS = MOMENTUM ? 3 : 2;
    each<T, COLUMNS>(table, rows, chunk, [=](auto& x, int k) {
        wide<T> d = uphill(x[1][k], x[0][k], sign, decay);
        if (MOMENTUM) {
            wide<T>& b = x[COLUMNS - 1][k];
            b = keep * b + add * d;
            d = NESTEROV ? d + keep * b : b;
        }
        x[0][k] -= rate * d;
    });
}

// m ← m + add (d - m);  v ← keep2 v + add2 d²;  p ← shrink p - rate m / (√v correction + eps). With AMSGRAD the largest v so far
// stands in v's place.
template <typename T, bool AMSGRAD>
__global__ void adam_step(const long long* __restrict__ table, int rows, int chunk, wide<T> sign, wide<T> decay, wide<T> shrink,
                          wide<T> add, wide<T> keep2, wide<T> add2, wide<T> correction, wide<T> eps, wide<T> rate) {
    constexpr int COLUMNS = AMSGRAD ? 5 : 4;
    each<T, COLUMNS>(table, rows, chunk, [=](auto& x, int k) {
        const wide<T> d = uphill(x[1][k], x[0][k], sign, decay);
        wide<T>&m = x[2][k], &v = x[3][k];
        m += add * (d - m);
        v = keep2 * v + add2 * d * d;
        wide<T> square = v;
        if (AMSGRAD) square = x[COLUMNS - 1][k] = larger(v, x[COLUMNS - 1][k]);
        x[0][k] = shrink * x[0][k] - rate * (m / (root(square) * correction + eps));
    });
}

// v ← keep v + add d²;  change = d / (√v + eps), with CENTERED d / (√(v - mean²) + eps);  p ← p - rate change, or with MOMENTUM
// b ← keep_buffer b + change, p ← p - rate b.
template <typename T, bool CENTERED, bool MOMENTUM>
__global__ void rmsprop_step(const long long* __restrict__ table, int rows, int chunk, wide<T> sign, wide<T> decay, wide<T> keep,
                             wide<T> add, wide<T> eps, wide<T> keep_buffer, wide<T> rate) {
    constexpr int COLUMNS = 3 + CENTERED + MOMENTUM;
    each<T, COLUMNS>(table, rows, chunk, [=](auto& x, int k) {
        const wide<T> d = uphill(x[1][k], x[0][k], sign, decay);
        wide<T>& v = x[2][k];
        v = keep * v + add * d * d;
        wide<T> square = v;
        if (CENTERED) {
            wide<T>& mean = x[CENTERED ? 3 : 2][k];
            mean += add * (d - mean);
            square -= mean * mean;
        }
        wide<T> change = d / (root(square) + eps);
        if (MOMENTUM) {
            wide<T>& b = x[COLUMNS - 1][k];
            change = b = keep_buffer * b + change;
        }
        x[0][k] -= rate * change;
    });
}

// x ← min(max(factor x, -limit), limit), NaN staying NaN. `given`, where it is not null, is the factor in the device's memory: the
// norm of all gradients decides upon it, and the host does not wait to see it.
template <typename T>
__global__ void scale_and_clamp(const long long* __restrict__ table, int rows, int chunk, const double* __restrict__ given,
                                double factor, double limit) {
    if (given != nullptr) factor = *given;
    if (factor == 1 && limit == infinity<double>()) return;  // most steps clip nothing, and then nothing is read
    const wide<T> f = factor, highest = limit;
    each<T, 1>(table, rows, chunk, [=](auto& x, int k) {
        wide<T> y = f * x[0][k];
        y = y < -highest ? -highest : y;
        x[0][k] = y > highest ? highest : y;
    });
}

// Σ x² over each block's chunk, in double whatever the type: the square of 300 is infinite in half precision. How the elements
// are shared out depends on the arrays' sizes alone, and so the sum has the same bits each time.
template <typename T>
__global__ void sum_of_squares(const long long* __restrict__ table, int rows, int chunk, double* __restrict__ sums) {
    const Chunk<1> part(table, rows, chunk);
    double sum = 0;
    for (long long i = part.begin + 4 * threadIdx.x; i < part.end; i += 4 * blockDim.x) {
        wide<T> x[4];
        if (part.aligned && i + 4 <= part.end) load_four<true>(part.template array<const T>(0), i, part.end, x);
        else load_four<false>(part.template array<const T>(0), i, part.end, x);
#pragma unroll
        for (int k = 0; k < 4; k++) sum += (double)x[k] * (double)x[k];
    }
    sum = over_block<Sum>(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// The sum of all blocks' sums, by one block.
extern "C" __global__ void total_of(const double* __restrict__ sums, int count, double* __restrict__ total) {
    double sum = 0;
    for (int i = threadIdx.x; i < count; i += blockDim.x) sum += sums[i];
    sum = over_block<Sum>(sum);
    if (threadIdx.x == 0) *total = sum;
}
