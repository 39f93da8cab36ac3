// One step of a recurrent network: what happens to the gates between two matrix products, forward and backward.
//
// At each step cuBLAS computes the product of the states with w_hh, for all gates and sequences at once; then one of these kernels
// adds the input's share, which was computed for all steps together, activates the gates and writes the new states. There is one
// thread for each of the N * H elements of a state, and nothing is shared: a thread reads its own element of each gate, and
// neighbours read neighbours. A step is small (64 sequences of 512 features are 32,768 elements), so a thread has one element only,
// which makes the most warps to wait with.
//
// Sequences that are over (`lengths`, null where all have T steps) are seen to here, so that the host need not know of them: past
// its end a sequence's state stays, its output is zero, and so are the gradients before its activations.
//
// Shapes: gates (T, N, 4H) of the lstm and (T, N, 3H) of the gru, in the weights' order; states (N, H); outputs and cells
// (T, N, H). States and outputs have the inputs' type T; cells, and the gradients handed from step to step, are float for 16-bit
// types.
#include "common.cuh"

// An element of an array that may be absent.
template <typename T> __device__ __forceinline__ wide<T> given(const T* values, long long i, wide<T> otherwise) {
    return values == nullptr ? otherwise : load(values[i]);
}

// The number of steps of sequence n; never more than there are.
__device__ __forceinline__ int steps_of(const long long* lengths, int n, int steps) {
    return lengths == nullptr || lengths[n] > steps ? steps : (int)lengths[n];
}

// The step that a sequence of `count` steps was at before t, or -1 where t is its first.
__device__ __forceinline__ int earlier(int t, int count, bool reverse) {
    return !reverse ? t - 1 : t == count - 1 ? -1 : t + 1;
}

// A thread's element: i of (N, H), which is feature j of sequence n, and `at` of (T, N, H).
struct Element {
    unsigned i;
    int n, j;
    long long at;
    __device__ Element(int t, int total, int size)
        : i(blockIdx.x * blockDim.x + threadIdx.x), n(i / size), j(i % size), at((long long)t * total + i) {}
    // Gate number k of `gates`: an element of (T, N, gates * H).
    __device__ long long gate(int k, int gates, int size) const { return (at - j) * gates + k * size + j; }
};

// What a gate is before its activation: the input's share, the state's, and both biases.
template <typename T>
__device__ __forceinline__ wide<T> sum_of(T input, T state, const T* b_ih, const T* b_hh, int k) {
    return load(input) + load(state) + given(b_ih, k, 0) + given(b_hh, k, 0);
}

// A new state, and what w_hh will see of it.
template <typename T>
__device__ __forceinline__ void hand_on(T value, const Element& e, const T* mask, T* h, T* seen, T* output) {
    h[e.i] = output[e.at] = value;
    if (mask != nullptr) seen[e.i] = store<T>(load(value) * load(mask[e.i]));
}

// The gradient of a state after its step: what came around the next step's gates, and what came through them.
template <typename T>
__device__ __forceinline__ wide<T> handed_back(const Element& e, const wide<T>* around, const T* through, const T* mask) {
    return through == nullptr ? around[e.i] : around[e.i] + load(through[e.i]) * given(mask, e.i, 1);
}

// i, f, o = sigmoid, g = tanh;  c = f c + i g;  h = o tanh(c). `gates` has the input's share, and in the end i, f, g, o.
template <typename T>
__global__ void lstm_step(T* __restrict__ gates, const T* __restrict__ state, const T* __restrict__ b_ih,
                          const T* __restrict__ b_hh, const long long* __restrict__ lengths, const T* __restrict__ mask, T* h,
                          T* seen, wide<T>* __restrict__ c, wide<T>* __restrict__ cells, T* output, int t, int steps, int total,
                          int size) {
    using W = wide<T>;
    const Element e(t, total, size);
    if (e.i >= total) return;
    if (t >= steps_of(lengths, e.n, steps)) {
        output[e.at] = store<T>(W(0));
        return;
    }
    W value[4];
#pragma unroll
    for (int k = 0; k < 4; k++) {
        const long long at = e.gate(k, 4, size);
        const W a = sum_of(gates[at], state[(e.n * 4LL + k) * size + e.j], b_ih, b_hh, k * size + e.j);
        value[k] = k == 2 ? hyperbolic_tangent(a) : logistic(a);
        gates[at] = store<T>(value[k]);
    }
    const W cell = value[1] * c[e.i] + value[0] * value[2];
    c[e.i] = cells[e.at] = cell;
    hand_on(store<T>(value[3] * hyperbolic_tangent(cell)), e, mask, h, seen, output);
}

// d: the gradients before the activations. dh, dc: those of the states after this step, and then of those before it (dh without
// what goes through the weights).
template <typename T>
__global__ void lstm_step_grad(const T* __restrict__ gates, const wide<T>* __restrict__ cells, const T* __restrict__ c0,
                               const long long* __restrict__ lengths, const T* __restrict__ mask, const T* __restrict__ g,
                               const T* __restrict__ through, wide<T>* __restrict__ dh, wide<T>* __restrict__ dc,
                               T* __restrict__ d, int t, int steps, int total, int size, bool reverse) {
    using W = wide<T>;
    const Element e(t, total, size);
    if (e.i >= total) return;
    const int count = steps_of(lengths, e.n, steps);
    W dstate = handed_back(e, dh, through, mask);
    W da[4] = {0, 0, 0, 0};
    if (t < count) {
        dstate += given(g, e.at, 0);
        const W i = load(gates[e.gate(0, 4, size)]), f = load(gates[e.gate(1, 4, size)]);
        const W candidate = load(gates[e.gate(2, 4, size)]), o = load(gates[e.gate(3, 4, size)]);
        const int before = earlier(t, count, reverse);
        const W former = before < 0 ? given(c0, e.i, 0) : cells[(long long)before * total + e.i];
        const W shown = hyperbolic_tangent(cells[e.at]);
        const W dcell = dc[e.i] + dstate * o * (1 - shown * shown);
        da[0] = dcell * candidate * i * (1 - i);
        da[1] = dcell * former * f * (1 - f);
        da[2] = dcell * i * (1 - candidate * candidate);
        da[3] = dstate * shown * o * (1 - o);
        dc[e.i] = dcell * f;
        dstate = 0;  // all of it went into the gates
    }
    dh[e.i] = dstate;
#pragma unroll
    for (int k = 0; k < 4; k++) d[e.gate(k, 4, size)] = store<T>(da[k]);
}

// r, z = sigmoid;  n = tanh(x_n + r h_n);  h = (1 - z) n + z h. `gates` has the input's share, and in the end r, z, n;
// `candidates` keeps h_n, the state's share of the candidate.
template <typename T>
__global__ void gru_step(T* __restrict__ gates, const T* __restrict__ state, const T* __restrict__ b_ih,
                         const T* __restrict__ b_hh, const long long* __restrict__ lengths, const T* __restrict__ mask, T* h,
                         T* seen, T* __restrict__ candidates, T* output, int t, int steps, int total, int size) {
    using W = wide<T>;
    const Element e(t, total, size);
    if (e.i >= total) return;
    if (t >= steps_of(lengths, e.n, steps)) {
        output[e.at] = store<T>(W(0));
        return;
    }
    const T* own = state + e.n * 3LL * size;
    const W r = logistic(sum_of(gates[e.gate(0, 3, size)], own[e.j], b_ih, b_hh, e.j));
    const W z = logistic(sum_of(gates[e.gate(1, 3, size)], own[size + e.j], b_ih, b_hh, size + e.j));
    const W candidate = load(own[2 * size + e.j]) + given(b_hh, 2 * size + e.j, 0);
    const W n = hyperbolic_tangent(load(gates[e.gate(2, 3, size)]) + given(b_ih, 2 * size + e.j, 0) + r * candidate);
    gates[e.gate(0, 3, size)] = store<T>(r);
    gates[e.gate(1, 3, size)] = store<T>(z);
    gates[e.gate(2, 3, size)] = store<T>(n);
    candidates[e.at] = store<T>(candidate);
    hand_on(store<T>((1 - z) * n + z * load(h[e.i])), e, mask, h, seen, output);
}

// dx and dh_: the gradients before the activations, dx for what the input gave and dh_ for what the state gave. They differ in the
// candidate's, which the reset gate multiplies. `dh` is handed on as in lstm_step_grad; z h goes around the weights.
template <typename T>
__global__ void gru_step_grad(const T* __restrict__ gates, const T* __restrict__ candidates, const T* __restrict__ output,
                              const T* __restrict__ h0, const long long* __restrict__ lengths, const T* __restrict__ mask,
                              const T* __restrict__ g, const T* __restrict__ through, wide<T>* __restrict__ dh,
                              T* __restrict__ dx, T* __restrict__ dh_, int t, int steps, int total, int size, bool reverse) {
    using W = wide<T>;
    const Element e(t, total, size);
    if (e.i >= total) return;
    const int count = steps_of(lengths, e.n, steps);
    W dstate = handed_back(e, dh, through, mask);
    W dr = 0, dz = 0, dn = 0, dcandidate = 0;
    if (t < count) {
        dstate += given(g, e.at, 0);
        const W r = load(gates[e.gate(0, 3, size)]), z = load(gates[e.gate(1, 3, size)]), n = load(gates[e.gate(2, 3, size)]);
        const int before = earlier(t, count, reverse);
        const W former = before < 0 ? given(h0, e.i, 0) : load(output[(long long)before * total + e.i]);
        dn = dstate * (1 - z) * (1 - n * n);
        dz = dstate * (former - n) * z * (1 - z);
        dr = dn * load(candidates[e.at]) * r * (1 - r);
        dcandidate = dn * r;
        dstate *= z;
    }
    dh[e.i] = dstate;
    dx[e.gate(0, 3, size)] = dh_[e.gate(0, 3, size)] = store<T>(dr);
    dx[e.gate(1, 3, size)] = dh_[e.gate(1, 3, size)] = store<T>(dz);
    dx[e.gate(2, 3, size)] = store<T>(dn);
    dh_[e.gate(2, 3, size)] = store<T>(dcandidate);
}

// h = tanh(a) or relu(a). `output` has the input's share, and in the end h.
template <typename T, bool RELU>
__global__ void rnn_step(const T* __restrict__ state, const T* __restrict__ b_ih, const T* __restrict__ b_hh,
                         const long long* __restrict__ lengths, const T* __restrict__ mask, T* h, T* seen, T* output, int t,
                         int steps, int total, int size) {
    using W = wide<T>;
    const Element e(t, total, size);
    if (e.i >= total) return;
    if (t >= steps_of(lengths, e.n, steps)) {
        output[e.at] = store<T>(W(0));
        return;
    }
    const W a = sum_of(output[e.at], state[e.i], b_ih, b_hh, e.j);
    const W value = !RELU ? hyperbolic_tangent(a) : a <= 0 ? W(0) : a;  // NaN stays
    hand_on(store<T>(value), e, mask, h, seen, output);
}

// d: the gradient before the activation; dh as in lstm_step_grad.
template <typename T, bool RELU>
__global__ void rnn_step_grad(const T* __restrict__ output, const long long* __restrict__ lengths, const T* __restrict__ mask,
                              const T* __restrict__ g, const T* __restrict__ through, wide<T>* __restrict__ dh,
                              T* __restrict__ d, int t, int steps, int total, int size) {
    using W = wide<T>;
    const Element e(t, total, size);
    if (e.i >= total) return;
    W dstate = handed_back(e, dh, through, mask), da = 0;
    if (t < steps_of(lengths, e.n, steps)) {
        dstate += given(g, e.at, 0);
        const W value = load(output[e.at]);
        da = !RELU ? dstate * (1 - value * value) : value <= 0 ? W(0) : dstate;
        dstate = 0;
    }
    dh[e.i] = dstate;
    d[e.at] = store<T>(da);
}

// What w_hh saw at every step, (T, N, H): the states before it, times the mask; zero where a sequence has no such step.
template <typename T>
__global__ void states_before(const T* __restrict__ output, const T* __restrict__ h0, const long long* __restrict__ lengths,
                              const T* __restrict__ mask, T* __restrict__ seen, int steps, int total, int size, bool reverse) {
    using W = wide<T>;
    const int t = blockIdx.y;
    const Element e(t, total, size);
    if (e.i >= total) return;
    const int count = steps_of(lengths, e.n, steps), before = earlier(t, count, reverse);
    W value = 0;
    if (t < count) {
        value = before < 0 ? given(h0, e.i, 0) : load(output[(long long)before * total + e.i]);
        value *= given(mask, e.i, 1);
    }
    seen[e.at] = store<T>(value);
}
