// Convolution and its two adjoints as matrix products whose operands are gathered where they lie ("implicit GEMM"): the matrix of
// columns, every window's elements side by side, is never in memory. By multiply-adds, a tile of the product a block (tile.cuh).
//
// Arrays: x (N, G C, H, W), y (N, G O, OH, OW), weight (G O, C, KH, KW), of G groups with C channels of input and O of output each.
#include "convolution.cuh"
#include "tile.cuh"

// The weight as a matrix (channels of the target, taps of all channels of the source), of which neighbours in memory follow each
// other along the depth forward, and more or less along the lines backward, where it is read turned.
template <typename T, bool BACKWARD> struct Weight {
    static constexpr bool DEEP = !BACKWARD;
    const T* elements;  // of the group
    const Plan* plan;
    int first, lines, width, all;  // width and number of the whole kernel's taps
    __device__ __forceinline__ T at(int, int line, int k) const {
        line += first;
        if (line >= lines || k >= plan->depth) return T(0);
        if (!BACKWARD) return elements[(long long)line * plan->depth + k];
        const Three tap = plan->taps(k);
        const Axis &h = plan->h, &w = plan->w;
        return elements[((long long)tap.a * lines + line) * all + (h.first + tap.b * h.step) * width + w.first + tap.c * w.step];
    }
};

// The source as a matrix (taps of all its channels, positions of the target). A thread has one column at every step: where its
// windows lie in the source is found once.
template <typename T> struct Source {
    static constexpr bool DEEP = false;
    const T* image;
    const Plan* plan;
    int top, left;
    __device__ __forceinline__ Source(const T* source, const Plan* plan, int position, int channels, int groups)
        : plan(plan) {
        const Axis &h = plan->h, &w = plan->w;
        const Three at = plan->places(position);
        image = source + ((long long)at.a * groups + plan->group) * channels * h.source * w.source;
        top = position < plan->positions ? at.b * h.stride + h.origin : -(1 << 30);  // outside, whatever the tap
        left = at.c * w.stride + w.origin;
    }
    __device__ __forceinline__ T at(int, int, int k) const {
        if (k >= plan->depth) return T(0);
        const Three tap = plan->taps(k);
        const int row = top + tap.b * plan->h.dilation, column = left + tap.c * plan->w.dilation;
        const int height = plan->h.source, width = plan->w.source;
        if ((unsigned)row >= (unsigned)height || (unsigned)column >= (unsigned)width) return T(0);
        return image[(tap.a * height + row) * width + column];
    }
};

// y = convolution(x, weight) + bias, or BACKWARD x = its adjoint of y. `sources` and `targets` are channels of a group. A block
// computes SIDE channels of SIDE positions (of all images) of one group and phase: neighbouring threads write neighbouring
// positions.
template <typename T, int R, bool BACKWARD>
__global__ void __launch_bounds__(THREADS, 2)
convolve(const T* __restrict__ source, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ target, int images,
         int sources, int targets, int groups, EXTENTS) {
    using Own = Tile<T, R>;
    __shared__ __align__(32) typename Own::Pieces pieces;
    __shared__ Plan plan;
    const int channel = blockIdx.y * Own::SIDE, position = blockIdx.x * Own::SIDE;
    if (threadIdx.x == 0) {
        const int phase = blockIdx.z / groups;
        const Axis h = axis_of<BACKWARD>(EXTENT_H, phase / stride_w), w = axis_of<BACKWARD>(EXTENT_W, phase % stride_w);
        plan = {h, w, split_by(h.taps, w.taps), split_by(h.count, w.count), (int)blockIdx.z % groups, images * h.count * w.count,
                h.taps * w.taps * sources};
    }
    __syncthreads();
    if (position >= plan.positions) return;  // of a phase with fewer than the others
    const int all = kernel_h * kernel_w;
    const Weight<T, BACKWARD> a{weight + (long long)plan.group * targets * all * sources, &plan, channel, targets, kernel_w, all};
    const Source<T> b(source, &plan, position + Own::template line<false>(0), sources, groups);
    T sum[R][R];
    Own::start(sum, [&](int i) { return bias && channel + i < targets ? bias[plan.group * targets + channel + i] : T(0); });
    Own::multiply(pieces, a, b, 0, plan.depth, sum);
    auto place = [&](int j) {  // of the tile's first channel
        if (position + j >= plan.positions) return -1ll;
        const Three at = plan.places(position + j);
        const int row = plan.h.begin + at.b * plan.h.every, column = plan.w.begin + at.c * plan.w.every;
        const long long plane = (long long)(at.a * groups + plan.group) * targets + channel;
        return (plane * plan.h.target + row) * plan.w.target + column;
    };
    Own::each(sum, place, [&](int i, long long at, T value) {
        if (channel + i < targets) target[at + (long long)i * plan.h.target * plan.w.target] = value;
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

// x as a matrix (positions of y, taps of all channels): where each column's tap lies beside a position's window is in shared
// memory.
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

// part[s] = the adjoint in the weight, (G O, C, KH, KW), over the positions s `share` ... (s + 1) `share` - 1 of all images; the
// blocks of one s compute a tile each. The parts are added up in order afterwards (sums.cu), so that the result is always the same.
template <typename T, int R>
__global__ void __launch_bounds__(THREADS, 2)
correlate(const T* __restrict__ x, const T* __restrict__ y, T* __restrict__ part, int images, int inputs, int outputs, int groups,
          int share, EXTENTS) {
    using Own = Tile<T, R>;
    __shared__ int4 taps[Own::SIDE];
    const int group = blockIdx.z % groups, s = blockIdx.z / groups;
    const int channel = blockIdx.y * Own::SIDE, column = blockIdx.x * Own::SIDE;
    const Axis h = forward_axis(EXTENT_H), w = forward_axis(EXTENT_W);
    const int positions = output_h * output_w, columns = inputs * kernel_h * kernel_w;
    for (int i = threadIdx.x; i < Own::SIDE; i += THREADS) {
        const Three tap = split_by(kernel_h, kernel_w)(column + i);
        const int down = tap.b * dilation_h, right = tap.c * dilation_w;
        taps[i] = make_int4((tap.a * input_h + down) * input_w + right, down, right, column + i < columns);
    }
    __syncthreads();
    const int begin = s * share, end = min(images * positions, begin + share);
    const Gradient<T> a{y + (long long)group * outputs * positions, channel, outputs, end, outputs * groups, positions,
                        divisor(positions)};
    const long long image = (long long)inputs * input_h * input_w;  // of one group
    const Windows<T> b{x + group * image, taps, end, groups * image, h, w, split_by(output_h, output_w)};
    __shared__ __align__(32) typename Own::Pieces pieces;
    T sum[R][R] = {};
    Own::multiply(pieces, a, b, begin, end, sum);
    part += (((long long)s * groups + group) * outputs + channel) * columns + column;
    Own::each(sum, [&](int j) { return column + j < columns ? j : -1; }, [&](int i, long long at, T value) {
        if (channel + i < outputs) part[(long long)i * columns + at] = value;
    });
}
