// Convolution and its two adjoints as matrix products whose operands are gathered where they lie ("implicit GEMM"): the matrix of
// columns, every window's elements side by side, is never in memory. By multiply-adds, a tile of the product a block (tile.cuh).
//
// Arrays: x (N, G C, H, W), y (N, G O, OH, OW), weight (G O, C, KH, KW), of G groups with C channels of input and O of output each.
#include "convolution.cuh"
#include "tile.cuh"

// The weight as a matrix (channels of the target, taps of all channels of the source), of which neighbours in memory follow each other
// along the depth forward, and more or less along the lines backward, where it is read turned.
template <typename T, bool BACKWARD> struct Weight {
    static constexpr bool DEEP = !BACKWARD;
    const T* elements;             // of the group
    int first, lines, depth, taps;  // taps of the whole kernel
    Axis h, w;
    int width;                      // of the whole kernel
    Split split;
    __device__ __forceinline__ T at(int, int line, int k) const {
        line += first;
        if (line >= lines || k >= depth) return T(0);
        if (!BACKWARD) return elements[(long long)line * depth + k];
        const Three tap = split(k);
        return elements[((long long)tap.a * lines + line) * taps + (h.first + tap.b * h.step) * width + w.first + tap.c * w.step];
    }
};

// The source as a matrix (taps of all its channels, positions of the target). A thread has one column at every step: where its windows
// lie in the source is found once.
template <typename T> struct Source {
    static constexpr bool DEEP = false;
    const T* image;
    int top, left, depth;
    Axis h, w;
    Split split;
    __device__ __forceinline__ Source(const T* source, int position, int positions, int channels, int group, int groups, Axis h, Axis w)
        : image(source), top(0), left(0), depth(position < positions ? channels * h.taps * w.taps : 0), h(h), w(w),
          split(h.taps, w.taps) {
        const Three at = Split(h.count, w.count)(position);
        image += ((long long)at.a * groups + group) * channels * h.source * w.source;
        top = at.b * h.stride + h.origin;
        left = at.c * w.stride + w.origin;
    }
    __device__ __forceinline__ T at(int, int, int k) const {
        if (k >= depth) return T(0);
        const Three tap = split(k);
        const int row = top + tap.b * h.dilation, column = left + tap.c * w.dilation;
        if ((unsigned)row >= (unsigned)h.source || (unsigned)column >= (unsigned)w.source) return T(0);
        return image[(tap.a * h.source + row) * w.source + column];
    }
};

// y = convolution(x, weight) + bias, or BACKWARD x = its adjoint of y. `sources` and `targets` are channels of a group. A block computes
// SIDE channels of SIDE positions (of all images) of one group and phase: neighbouring threads write neighbouring positions.
template <typename T, int R, bool BACKWARD>
__global__ void __launch_bounds__(THREADS, 2)
convolve(const T* __restrict__ source, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ target, int images,
         int sources, int targets, int groups, EXTENTS) {
    using Own = Tile<T, R>;
    const int group = blockIdx.z % groups, phase = blockIdx.z / groups;
    const Axis h = axis_of<BACKWARD>(EXTENT_H, phase / stride_w), w = axis_of<BACKWARD>(EXTENT_W, phase % stride_w);
    const int positions = images * h.count * w.count, channel = blockIdx.y * Own::SIDE, position = blockIdx.x * Own::SIDE;
    if (position >= positions) return;  // of a phase with fewer than the others
    const int depth = sources * h.taps * w.taps, taps = kernel_h * kernel_w;
    const Weight<T, BACKWARD> a{weight + (long long)group * sources * targets * taps, channel, targets, depth, taps, h, w, kernel_w,
                                Split(h.taps, w.taps)};
    const Source<T> b(source, position + Own::template line<false>(0), positions, sources, group, groups, h, w);
    __shared__ __align__(32) typename Own::Pieces pieces;
    T sum[R][R] = {};
    Own::multiply(pieces, a, b, 0, depth, sum);
    const Split split(h.count, w.count);
    Own::each(sum, [&](int i, int j, T value) {
        if (channel + i >= targets || position + j >= positions) return;
        const Three at = split(position + j);
        const int o = group * targets + channel + i;
        const long long plane = (long long)at.a * groups * targets + o;
        target[(plane * h.target + h.begin + at.b * h.every) * w.target + w.begin + at.c * w.every] = bias ? value + bias[o] : value;
    });
}

// y as a matrix (channels of output, positions of all images), which follow each other in memory along the depth.
template <typename T> struct Gradient {
    static constexpr bool DEEP = true;
    const T* y;             // of the group's first channel
    int first, lines, end, outputs, positions;  // outputs of all groups
    Divisor by_positions;
    __device__ __forceinline__ T at(int, int line, int k) const {
        line += first;
        if (line >= lines || k >= end) return T(0);
        const int n = by_positions.quotient(k);
        return y[((long long)n * outputs + line) * positions + k - n * positions];
    }
};

// x as a matrix (positions of y, taps of all channels): where each column's tap lies beside a position's window is in shared memory.
template <typename T> struct Windows {
    static constexpr bool DEEP = true;
    const T* x;             // of the group's first channel
    const int4* taps;       // offset in the image, rows down, columns to the right; whether there is one
    int end;
    long long image;        // elements of an image, all groups
    Axis h, w;
    Split split;
    __device__ __forceinline__ T at(int, int line, int k) const {
        const int4 tap = taps[line];
        if (!tap.w || k >= end) return T(0);
        const Three at = split(k);
        const int row = at.b * h.stride + h.origin, column = at.c * w.stride + w.origin;
        if ((unsigned)(row + tap.y) >= (unsigned)h.source || (unsigned)(column + tap.z) >= (unsigned)w.source) return T(0);
        return x[at.a * image + row * w.source + column + tap.x];
    }
};

// part[s] = the adjoint in the weight, (G O, C, KH, KW), over the positions s `share` ... (s + 1) `share` - 1 of all images; the blocks of
// one s compute a tile each. The parts are added up in order afterwards (sums.cu), so that the result is always the same.
template <typename T, int R>
__global__ void __launch_bounds__(THREADS, 2)
correlate(const T* __restrict__ x, const T* __restrict__ y, T* __restrict__ part, int images, int inputs, int outputs, int groups,
          int share, EXTENTS) {
    using Own = Tile<T, R>;
    __shared__ int4 taps[Own::SIDE];
    const int group = blockIdx.z % groups, s = blockIdx.z / groups, channel = blockIdx.y * Own::SIDE, column = blockIdx.x * Own::SIDE;
    const Axis h = forward_axis(EXTENT_H), w = forward_axis(EXTENT_W);
    const int positions = output_h * output_w, columns = inputs * kernel_h * kernel_w;
    for (int i = threadIdx.x; i < Own::SIDE; i += THREADS) {
        const Three tap = Split(kernel_h, kernel_w)(column + i);
        const int down = tap.b * dilation_h, right = tap.c * dilation_w;
        taps[i] = make_int4((tap.a * input_h + down) * input_w + right, down, right, column + i < columns);
    }
    __syncthreads();
    const int begin = s * share, end = min(images * positions, begin + share);
    const Gradient<T> a{y + (long long)group * outputs * positions, channel, outputs, end, outputs * groups, positions,
                        Divisor(positions)};
    const Windows<T> b{x + (long long)group * inputs * input_h * input_w, taps, end, (long long)inputs * groups * input_h * input_w, h, w,
                       Split(output_h, output_w)};
    __shared__ __align__(32) typename Own::Pieces pieces;
    T sum[R][R] = {};
    Own::multiply(pieces, a, b, begin, end, sum);
    part += ((long long)s * groups + group) * outputs * columns;
    Own::each(sum, [&](int i, int j, T value) {
        if (channel + i < outputs && column + j < columns) part[(long long)(channel + i) * columns + column + j] = value;
    });
}
