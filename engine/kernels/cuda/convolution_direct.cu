// Convolution of many small groups, depthwise among them: too few channels each to fill a tile of a matrix product. Every result is
// added up by itself; neighbouring threads read neighbours, and the windows' overlap comes from the caches.
//
// Arrays: x (N, G C, H, W), y (N, G O, OH, OW), weight (G O, C, KH, KW).
#include "common.cuh"
#include "convolution.cuh"

// y = convolution(x, weight) + bias, or BACKWARD x = its adjoint of y: a thread for each element of the target.
template <typename T, bool BACKWARD>
__global__ void convolve_direct(const T* __restrict__ source, const T* __restrict__ weight, const T* __restrict__ bias,
                                T* __restrict__ target, int elements, int sources, int targets, int groups, EXTENTS) {
    const int height = BACKWARD ? input_h : output_h, width = BACKWARD ? input_w : output_w;
    const long long element = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= elements) return;
    const Three at = split_by(height, width)((int)element);  // plane of all images and channels, row, column
    const Axis h = axis_of<BACKWARD>(EXTENT_H, at.b % stride_h), w = axis_of<BACKWARD>(EXTENT_W, at.c % stride_w);
    const int n = at.a / (groups * targets), channel = at.a % (groups * targets), group = channel / targets;
    const int top = (at.b - h.begin) / h.every * h.stride + h.origin, left = (at.c - w.begin) / w.every * w.stride + w.origin;
    wide<T> sum = 0;
    for (int c = 0; c < sources; c++) {
        const T* plane = source + ((long long)n * groups * sources + group * sources + c) * h.source * w.source;
        const T* kernel = weight + (BACKWARD ? (long long)(group * sources + c) * targets + channel - group * targets
                                             : (long long)channel * sources + c) * kernel_h * kernel_w;
        for (int j = 0; j < h.taps; j++) {
            const int row = top + j * h.dilation;
            if ((unsigned)row >= (unsigned)h.source) continue;
            for (int k = 0; k < w.taps; k++) {
                const int column = left + k * w.dilation;
                if ((unsigned)column >= (unsigned)w.source) continue;
                const int tap = (h.first + j * h.step) * kernel_w + w.first + k * w.step;
                sum += load(plane[row * w.source + column]) * load(kernel[tap]);
            }
        }
    }
    target[element] = store<T>(bias ? sum + load(bias[channel]) : sum);
}

// weight = the adjoint: a block for each of its elements sums over all positions of all images.
template <typename T>
__global__ void correlate_direct(const T* __restrict__ x, const T* __restrict__ y, T* __restrict__ weight, int images, int inputs,
                                 int outputs, int groups, EXTENTS) {
    const Three tap = split_by(kernel_h, kernel_w)(blockIdx.x);  // channel of output and input, row, column
    const int o = tap.a / inputs, c = o / outputs * inputs + tap.a % inputs, positions = output_h * output_w;
    const int down = tap.b * dilation_h - padding_h, right = tap.c * dilation_w - padding_w;
    const Split split = split_by(output_h, output_w);
    wide<T> sum = 0;
    for (int i = threadIdx.x; i < images * positions; i += blockDim.x) {
        const Three at = split(i);
        const int row = at.b * stride_h + down, column = at.c * stride_w + right;
        if ((unsigned)row >= (unsigned)input_h || (unsigned)column >= (unsigned)input_w) continue;
        sum += load(x[(((long long)at.a * groups * inputs + c) * input_h + row) * input_w + column]) *
               load(y[((long long)at.a * groups * outputs + o) * positions + i - at.a * positions]);
    }
    sum = over_block<Sum>(sum);
    if (threadIdx.x == 0) weight[blockIdx.x] = store<T>(sum);
}
