// Where the taps of a convolution's kernel lie, for the convolution and for its adjoint in the input, which are then one
// computation:
//
//      target[i] += Σ_j weight[first + j step] source[i stride + origin + j dilation]       along each of the two axes of a plane
//
// Forward, source is x and target y, every tap counts, and stride, origin = -padding and dilation are those of the convolution.
//
// Backward, source is the gradient of y and target that of x. Position i of x met tap k of position (i + padding - k dilation) /
// stride of y, where that is a whole number: whether it is depends on i modulo stride alone, its "phase". In one phase the taps
// that count are evenly apart, and so are the positions of y that they lead to. No product with a zero between y's elements is ever
// computed.
#pragma once

// One axis of a plane.
struct Extent { int input, output, kernel, stride, padding, dilation; };
// A kernel's arguments for two axes, and how they become Extents.
#define EXTENTS int input_h, int output_h, int kernel_h, int stride_h, int padding_h, int dilation_h, \
                int input_w, int output_w, int kernel_w, int stride_w, int padding_w, int dilation_w
#define EXTENT_H Extent{input_h, output_h, kernel_h, stride_h, padding_h, dilation_h}
#define EXTENT_W Extent{input_w, output_w, kernel_w, stride_w, padding_w, dilation_w}

struct Axis {
    int source, taps, first, step;      // size of the source; taps first, first + step, ... of the weight count
    int stride, origin, dilation;       // target i sees the source at i stride + origin + j dilation
    int target, count, begin, every;    // size of the target, of which positions begin + i every are computed, i = 0 ... count - 1
};

__device__ __forceinline__ Axis forward_axis(Extent e) {
    return {e.input, e.kernel, 0, 1, e.stride, -e.padding, e.dilation, e.output, e.output, 0, 1};
}

__device__ __forceinline__ Axis backward_axis(Extent e, int phase) {
    int first = 0, step = 1;
    while (first < e.kernel && (phase + e.padding - first * e.dilation) % e.stride) first++;
    while (step * e.dilation % e.stride) step++;
    return {e.output, (e.kernel - first + step - 1) / step, first, step,
            1, (phase + e.padding - first * e.dilation) / e.stride, -(step * e.dilation / e.stride),
            e.input, e.input > phase ? (e.input - phase + e.stride - 1) / e.stride : 0, phase, e.stride};
}

template <bool BACKWARD> __device__ __forceinline__ Axis axis_of(Extent e, int phase) {
    return BACKWARD ? backward_axis(e, phase) : forward_axis(e);
}

// Division of numbers from 0 up to 2^31 by one that many are divided by: n / by = n m / 2^(32 + shift), rounded down, where m is
// 2^(32 + shift) / by rounded up. (Granlund and Montgomery, "Division by invariant integers using multiplication", 1994.)
struct Divisor {
    unsigned multiplier;
    int shift, by;
    __device__ __forceinline__ int quotient(int n) const {
        return by < 2 ? n : (int)((unsigned)((unsigned long long)(unsigned)n * multiplier >> 32) >> shift);
    }
};
__device__ __forceinline__ Divisor divisor(int by) {
    if (by < 2) return {0, 0, by};
    const int shift = 31 - __clz(by - 1);
    return {(unsigned)(((1ull << (32 + shift)) + by - 1) / by), shift, by};
}

// A number n = (a by_b + b) by_c + c taken apart.
struct Three { int a, b, c; };
struct Split {
    Divisor first, second;  // by_b by_c, and by_c
    __device__ __forceinline__ Three operator()(int n) const {
        const int a = first.quotient(n), rest = n - a * first.by, b = second.quotient(rest);
        return {a, b, rest - b * second.by};
    }
};
__device__ __forceinline__ Split split_by(int by_b, int by_c) { return {divisor(max(1, by_b * by_c)), divisor(max(1, by_c))}; }

// What a block that computes a tile needs to know at every step. It is in shared memory: there it takes no registers.
struct Plan {
    Axis h, w;
    Split taps;    // of a depth: the channel and the tap down and across, in the order in which the depth runs over them
    Split places;  // of a number of a position of the target: image, row, column
    int group, positions, depth;  // positions of all images, the product's depth
};
