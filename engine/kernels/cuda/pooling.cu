// Pooling of planes: the maximum or the mean of every window, and their adjoints. A thread computes one element, going through the
// elements that it depends on; neighbouring threads read neighbours, and the windows' overlap comes from the caches. The adjoints
// gather too, an element of x from the windows that cover it, so that nothing is added by two threads and the order of a sum is
// fixed.
//
// Arrays: x (planes, H, W), y (planes, OH, OW).
#include "common.cuh"
#include "convolution.cuh"

// Where each window's maximum is: of equal ones the first, of NaN the last one. INDEX: index[...] = its position in the plane; else
// y = the maximum and choice = its number in the window (255 where a window sees nothing, which the host rules out).
template <typename T, bool INDEX>
__global__ void max_windows(const T* __restrict__ x, T* __restrict__ y, unsigned char* __restrict__ choice,
                            long long* __restrict__ index, int elements, EXTENTS) {
    const long long element = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= elements) return;
    const Three at = split_by(output_h, output_w)((int)element);
    const T* plane = x + (long long)at.a * input_h * input_w;
    const int top = at.b * stride_h - padding_h, left = at.c * stride_w - padding_w;
    int number = 255, place = -1;
    T best = store<T>(0.f);
    for (int j = 0; j < kernel_h; j++) {
        const int row = top + j * dilation_h;
        if ((unsigned)row >= (unsigned)input_h) continue;
        for (int k = 0; k < kernel_w; k++) {
            const int column = left + k * dilation_w;
            if ((unsigned)column >= (unsigned)input_w) continue;
            const T value = plane[row * input_w + column];
            if (place < 0 || load(value) > load(best) || load(value) != load(value)) {
                best = value;
                number = j * kernel_w + k;
                place = row * input_w + column;
            }
        }
    }
    if (INDEX) {
        index[element] = place;
    } else {
        y[element] = best;
        choice[element] = (unsigned char)number;
    }
}

// The same for windows that divide the axes evenly: window i of an axis has elements ⌊i size / out⌋ ... ⌈(i + 1) size / out⌉ - 1.
template <typename T>
__global__ void adaptive_max_windows(const T* __restrict__ x, long long* __restrict__ index, int elements, int input_h, int output_h,
                                     int input_w, int output_w) {
    const long long element = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= elements) return;
    const Three at = split_by(output_h, output_w)((int)element);
    const T* plane = x + (long long)at.a * input_h * input_w;
    const int top = (long long)at.b * input_h / output_h, bottom = ((at.b + 1ll) * input_h + output_h - 1) / output_h;
    const int left = (long long)at.c * input_w / output_w, right = ((at.c + 1ll) * input_w + output_w - 1) / output_w;
    int place = top * input_w + left;
    for (int row = top; row < bottom; row++)
        for (int column = left; column < right; column++) {
            const wide<T> value = load(plane[row * input_w + column]);
            if (value > load(plane[place]) || value != value) place = row * input_w + column;
        }
    index[element] = place;
}

// The windows that see position i of an axis, and by which tap: f(window, tap) for each.
template <class F> __device__ __forceinline__ void windows_of(int i, Extent e, F f) {
    for (int tap = 0; tap < e.kernel; tap++) {
        const int from = i + e.padding - tap * e.dilation;
        if (from >= 0 && from % e.stride == 0 && from / e.stride < e.output) f(from / e.stride, tap);
    }
}

// dx = Σ g over the windows that chose the element.
template <typename T>
__global__ void max_windows_grad(const T* __restrict__ g, const unsigned char* __restrict__ choice, T* __restrict__ dx,
                                 int elements, EXTENTS) {
    const long long element = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= elements) return;
    const Three at = split_by(input_h, input_w)((int)element);
    const long long plane = (long long)at.a * output_h * output_w;
    wide<T> sum = 0;
    windows_of(at.b, EXTENT_H, [&](int row, int j) {
        windows_of(at.c, EXTENT_W, [&](int column, int k) {
            const long long window = plane + row * output_w + column;
            if (choice[window] == j * kernel_w + k) sum += load(g[window]);
        });
    });
    dx[element] = store<T>(sum);
}

// How many elements of an axis a window counts: those inside x, and, with `padded`, those of the padding.
__device__ __forceinline__ int counted(int window, Extent e, bool padded) {
    const int start = window * e.stride - e.padding;
    return padded ? min(start + e.kernel, e.input + e.padding) - start : min(start + e.kernel, e.input) - max(start, 0);
}

// y = the sum of each window over `divisor`, or where that is 0 over the number of its elements.
template <typename T>
__global__ void mean_windows(const T* __restrict__ x, T* __restrict__ y, int elements, int divisor, bool padded, EXTENTS) {
    const long long element = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= elements) return;
    const Three at = split_by(output_h, output_w)((int)element);
    const T* plane = x + (long long)at.a * input_h * input_w;
    const int top = at.b * stride_h - padding_h, left = at.c * stride_w - padding_w;
    wide<T> sum = 0;
    for (int row = max(top, 0); row < min(top + kernel_h, input_h); row++)
        for (int column = max(left, 0); column < min(left + kernel_w, input_w); column++)
            sum += load(plane[row * input_w + column]);
    const int by = divisor ? divisor : counted(at.b, EXTENT_H, padded) * counted(at.c, EXTENT_W, padded);
    y[element] = store<T>(sum / by);
}

// The adjoint: dx = Σ g / divisor over the windows that cover the element.
template <typename T>
__global__ void mean_windows_grad(const T* __restrict__ g, T* __restrict__ dx, int elements, int divisor, bool padded, EXTENTS) {
    const long long element = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= elements) return;
    const Three at = split_by(input_h, input_w)((int)element);
    const T* plane = g + (long long)at.a * output_h * output_w;
    wide<T> sum = 0;
    windows_of(at.b, EXTENT_H, [&](int row, int) {
        windows_of(at.c, EXTENT_W, [&](int column, int) {
            const int by = divisor ? divisor : counted(row, EXTENT_H, padded) * counted(column, EXTENT_W, padded);
            sum += load(plane[row * output_w + column]) / by;
        });
    });
    dx[element] = store<T>(sum);
}
