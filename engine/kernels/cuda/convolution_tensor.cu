// Convolution and its two adjoints by tensor cores, as matrix products whose operands are gathered where they lie
// (tensor_tile.cuh).
//
// What is copied 16 bytes at a time must lie side by side: these kernels read copies of the arrays in which the channels of a group
// run fastest, filled up with zeros to a multiple of 16 bytes (`channels_last`). The depth of the product then runs over taps and,
// within a tap, over channels: 16 bytes are a few channels of one tap, all inside the source or all outside. Results are written as
// they are wanted, neighbouring threads at neighbouring positions.
//
// T: 16-bit floats, or float, which is rounded to tf32. G groups of C channels of input and O of output each, C' and O' filled up:
// x (N, H, W, G, C'), y (N, OH, OW, G, O'), weight forward (G, O, KH, KW, C'), backward (G, C, KH, KW, O').
#include "convolution.cuh"
#include "tensor_tile.cuh"

extern __shared__ __align__(128) unsigned char room[];

// out (N, positions, G, C') = x (N, G, channels, positions) turned. A block turns 32 channels of 32 positions in shared memory:
// reading, neighbouring threads have neighbouring positions, and writing, neighbouring channels.
template <typename T>
__global__ void channels_last(const T* __restrict__ x, T* __restrict__ out, int groups, int channels, int filled, int positions) {
    __shared__ T square[32][33];
    const int across = threadIdx.x % 32, down = threadIdx.x / 32, tiles = (positions + 31) / 32;
    const int n = blockIdx.x / tiles, position = blockIdx.x % tiles * 32, channel = blockIdx.y * 32;  // n: image and group
    for (int i = down; i < 32; i += 8) {
        const bool inside = channel + i < channels && position + across < positions;
        square[i][across] = inside ? x[((long long)n * channels + channel + i) * positions + position + across] : store<T>(0.f);
    }
    __syncthreads();
    for (int i = down; i < 32; i += 8)
        if (position + i < positions && channel + across < filled)
            out[(((long long)(n / groups) * positions + position + i) * groups + n % groups) * filled + channel + across] =
                square[across][i];
}

// The weight as a matrix (channels of the target, taps and channels of the source).
template <typename T> struct Weight {
    static constexpr bool DEEP = true;
    const T* elements;  // of the group
    const Plan* plan;
    int first, lines, width, all;  // width and number of the whole kernel's taps
    __device__ __forceinline__ const T* anywhere() const { return elements; }
    __device__ __forceinline__ const T* chunk(int, int line, int k) const {
        line += first;
        if (line >= lines || k >= plan->depth) return nullptr;
        const Three at = plan->taps(k);
        const int tap = (plan->h.first + at.a * plan->h.step) * width + plan->w.first + at.b * plan->w.step;
        return elements + ((long long)line * all + tap) * plan->taps.second.by + at.c;
    }
};

// The source as a matrix (taps and channels, positions of the target). A thread has LINES positions at every step: where their
// windows lie is found once.
template <typename T, int LINES> struct Source {
    static constexpr bool DEEP = true;
    const T* start;
    const Plan* plan;
    const T* image[LINES];
    int top[LINES], left[LINES], pixel;  // pixel: elements from one place of the source to the next
    __device__ __forceinline__ Source(const T* source, const Plan* plan, int position, int apart, int channels, int groups)
        : start(source), plan(plan), pixel(groups * channels) {
        const Axis &h = plan->h, &w = plan->w;
#pragma unroll
        for (int e = 0; e < LINES; e++) {
            const Three at = plan->places(min(position + e * apart, plan->positions - 1));
            image[e] = source + (long long)at.a * h.source * w.source * pixel + plan->group * channels;
            top[e] = position + e * apart < plan->positions ? at.b * h.stride + h.origin : -(1 << 30);  // outside, whatever the tap
            left[e] = at.c * w.stride + w.origin;
        }
    }
    __device__ __forceinline__ const T* anywhere() const { return start; }
    __device__ __forceinline__ const T* chunk(int e, int, int k) const {
        if (k >= plan->depth) return nullptr;
        const Three at = plan->taps(k);
        const int row = top[e] + at.a * plan->h.dilation, column = left[e] + at.b * plan->w.dilation, width = plan->w.source;
        if ((unsigned)row >= (unsigned)plan->h.source || (unsigned)column >= (unsigned)width) return nullptr;
        return image[e] + (long long)(row * width + column) * pixel + at.c;
    }
};

// target (N, G targets, plane) = the convolution of the source + bias, or BACKWARD the adjoint; `sources` are filled up, `targets`
// not.
template <typename T, int R, bool BACKWARD>
__global__ void __launch_bounds__(THREADS, 2)
convolve_tensor(const T* __restrict__ source, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ target,
                int images, int sources, int targets, int groups, EXTENTS) {
    using Own = TensorTile<T, R>;
    __shared__ Plan plan;
    const int channel = blockIdx.y * Own::SIDE, position = blockIdx.x * Own::SIDE;
    if (threadIdx.x == 0) {
        const int phase = blockIdx.z / groups;
        const Axis h = axis_of<BACKWARD>(EXTENT_H, phase / stride_w), w = axis_of<BACKWARD>(EXTENT_W, phase % stride_w);
        plan = {h, w, split_by(w.taps, sources), split_by(h.count, w.count), (int)blockIdx.z % groups, images * h.count * w.count,
                h.taps * w.taps * sources};
    }
    __syncthreads();
    if (position >= plan.positions) return;  // of a phase with fewer than the others
    const int all = kernel_h * kernel_w;
    const Weight<T> a{weight + (long long)plan.group * targets * all * sources, &plan, channel, targets, kernel_w, all};
    const Source<T, R / 2> b(source, &plan, position + Own::template row<true>(0), Own::template APART<true>, sources, groups);
    float sum[R][R][4];
    Own::start(sum, [&](int i) { return bias && channel + i < targets ? load(bias[plan.group * targets + channel + i]) : 0.f; });
    Own::multiply(reinterpret_cast<T*>(room), a, b, 0, plan.depth, sum);
    auto place = [&](int j) {  // of the tile's first channel
        if (position + j >= plan.positions) return -1ll;
        const Three at = plan.places(position + j);
        const int row = plan.h.begin + at.b * plan.h.every, column = plan.w.begin + at.c * plan.w.every;
        const long long plane = (long long)(at.a * groups + plan.group) * targets + channel;
        return (plane * plan.h.target + row) * plan.w.target + column;
    };
    Own::each(sum, place, [&](int i, long long at, float value) {
        if (channel + i < targets) target[at + (long long)i * plan.h.target * plan.w.target] = store<T>(value);
    });
}

// y as a matrix (channels of output, positions of all images).
template <typename T> struct Gradient {
    static constexpr bool DEEP = false;
    const T* y;  // of the group
    int first, filled, end, pixel;
    __device__ __forceinline__ const T* anywhere() const { return y; }
    __device__ __forceinline__ const T* chunk(int, int line, int k) const {
        line += first;
        return line < filled && k < end ? y + (long long)k * pixel + line : nullptr;
    }
};

// x as a matrix (positions of y, taps and channels). A thread has 16 bytes of channels of one tap at every step.
template <typename T> struct Windows {
    static constexpr bool DEEP = false;
    const T* x;  // of the group
    int down, right, channel, end, pixel;
    bool inside;
    Axis h, w;
    Split split;
    __device__ __forceinline__ const T* anywhere() const { return x; }
    __device__ __forceinline__ const T* chunk(int, int, int k) const {
        if (!inside || k >= end) return nullptr;
        const Three at = split(k);
        const int row = at.b * h.stride + h.origin + down, column = at.c * w.stride + w.origin + right;
        if ((unsigned)row >= (unsigned)h.source || (unsigned)column >= (unsigned)w.source) return nullptr;
        return x + ((long long)(at.a * h.source + row) * w.source + column) * pixel + channel;
    }
};

// part[s] = the adjoint in the weight, float (G, O, KH, KW, C'), over the positions s `share` ... (s + 1) `share` - 1 of all
// images. `inputs` and `filled` (of y) are filled up, `outputs` not.
template <typename T, int R>
__global__ void __launch_bounds__(THREADS, 2)
correlate_tensor(const T* __restrict__ x, const T* __restrict__ y, float* __restrict__ part, int images, int inputs, int outputs,
                 int filled, int groups, int share, EXTENTS) {
    using Own = TensorTile<T, R>;
    const int group = blockIdx.z % groups, s = blockIdx.z / groups;
    const int channel = blockIdx.y * Own::SIDE, column = blockIdx.x * Own::SIDE;
    const Axis h = forward_axis(EXTENT_H), w = forward_axis(EXTENT_W);
    const int columns = kernel_h * kernel_w * inputs, begin = s * share, end = min(images * output_h * output_w, begin + share);
    const Gradient<T> a{y + group * filled, channel, filled, end, groups * filled};
    const int mine = column + Own::template along<false>();
    const Three tap = split_by(kernel_w, inputs)(mine);
    const Windows<T> b{x + group * inputs, tap.a * dilation_h, tap.b * dilation_w, tap.c, end, groups * inputs, mine < columns,
                       h, w, split_by(output_h, output_w)};
    float sum[R][R][4] = {};
    Own::multiply(reinterpret_cast<T*>(room), a, b, begin, end, sum);
    part += (((long long)s * groups + group) * outputs + channel) * columns + column;
    Own::each(sum, [&](int j) { return column + j < columns ? j : -1; }, [&](int i, long long at, float value) {
        if (channel + i < outputs) part[(long long)i * columns + at] = value;
    });
}

// weight (G O, C, taps) = Σ_s part[s] (G O, taps, C').
template <typename T>
__global__ void add_turned_parts(const float* __restrict__ part, T* __restrict__ weight, int splits, int outputs, int channels,
                                 int filled, int taps) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= outputs * channels * taps) return;
    const int tap = i % taps, c = i / taps % channels, o = i / taps / channels;
    float sum = 0;
    for (int s = 0; s < splits; s++) sum += part[(((long long)s * outputs + o) * taps + tap) * filled + c];
    weight[i] = store<T>(sum);
}
