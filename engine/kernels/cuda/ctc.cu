// The loss of connectionist temporal classification: α forward, β and the gradient backward. One block works on one sequence and
// walks through its steps; its threads share out the states s = 0 ... 2S, the labels with a blank before, between and after them.
//
// α_t(s) is the log of the summed probability of all beginnings of t steps that end in state s, that of step t among them; β_t(s)
// that of all ends that follow upon state s at step t, without step t. e^(α_t(s) + β_t(s)) / P is the share of walks that are in s
// at t, and minus the sum of the shares of a class is the derivative by its log probability.
//
// A state needs what its neighbours had one step before, which is why a step's values stand in shared memory. All is computed in
// double, whatever the input's type: over a thousand steps the logarithms are numbers around -1000, whose differences float would
// know to three digits.
//
// Shapes: log_probs (T, N, C); states (N, W) classes, W = 2S + 1 for the longest target; alphas (T, N, W); losses (N).
#include "common.cuh"

extern __shared__ double shared[];

// log(e^a + e^b + e^c); -inf where all are, NaN where one is.
__device__ __forceinline__ double log_sum(double a, double b, double c) {
    const double top = larger(larger(a, b), c);
    return top == -infinity<double>() ? top : top + log(exp(a - top) + exp(b - top) + exp(c - top));
}

// Shared: 2 W doubles, α of the step before and of this one.
template <typename T>
__global__ void ctc_alphas(const T* __restrict__ log_probs, const long long* __restrict__ states,
                           const long long* __restrict__ input_lengths, const long long* __restrict__ target_lengths,
                           double* __restrict__ alphas, double* __restrict__ losses, int steps, int classes, int width) {
    const int n = blockIdx.x, count = min(input_lengths[n], (long long)steps);
    const int last = max(min(2 * target_lengths[n], width - 1LL), 0LL);  // the last state
    const double never = -infinity<double>();
    double *before = shared, *after = shared + width;
    states += (long long)n * width;
    for (int s = threadIdx.x; s <= last; s += blockDim.x) before[s] = s == 0 ? 0 : never;
    for (int t = 0; t < count; t++) {
        const long long row = (long long)t * gridDim.x + n;
        __syncthreads();  // the step before is complete, and nobody reads the one before that
        for (int s = threadIdx.x; s <= last; s += blockDim.x) {
            const double one = s > 0 ? before[s - 1] : never;
            const double two = s > 1 && states[s] != states[s - 2] ? before[s - 2] : never;
            after[s] = load(log_probs[row * classes + states[s]]) + log_sum(before[s], one, two);
            alphas[row * width + s] = after[s];
        }
        double* const other = before;
        before = after;
        after = other;
    }
    __syncthreads();
    if (threadIdx.x == 0) losses[n] = -log_sum(before[last], last > 0 ? before[last - 1] : never, never);
}

// d (T, N, C), given as zeros; a sequence that no walk spells keeps them. The shares of a class are added up by the thread of its
// first state, which follows the class from state to state; those of the blank, every other state, by all threads together. So
// the order of the sums is fixed, and no atomics are needed.
//
// Shared, W elements each: β, β with the step's own probability, the shares; for each state the next one of its class (-1: none)
// and whether it is the first of it.
template <typename T>
__global__ void ctc_gradient(const T* __restrict__ g, const T* __restrict__ log_probs, const long long* __restrict__ states,
                             const long long* __restrict__ input_lengths, const long long* __restrict__ target_lengths,
                             const double* __restrict__ alphas, const double* __restrict__ losses, T* __restrict__ d, int steps,
                             int classes, int width) {
    const int n = blockIdx.x, count = min(input_lengths[n], (long long)steps);
    const int last = max(min(2 * target_lengths[n], width - 1LL), 0LL);  // the last state
    const double never = -infinity<double>(), loss = losses[n], slope = -load(g[n]);
    double *beta = shared, *ahead = beta + width, *shares = ahead + width;
    int *next = (int*)(shares + width), *first = next + width;
    states += (long long)n * width;
    if (loss == infinity<double>()) return;
    const long long blank = states[0];
    for (int s = threadIdx.x; s <= last; s += blockDim.x) {
        beta[s] = s >= last - 1 ? 0 : never;
        int other = s + 1;
        while (other <= last && states[other] != states[s]) other++;
        next[s] = other <= last ? other : -1;
        other = s - 1;
        while (other >= 0 && states[other] != states[s]) other--;
        first[s] = other < 0;
    }
    for (int t = count - 1; t >= 0; t--) {
        const long long row = (long long)t * gridDim.x + n;
        double of_blank = 0;
        for (int s = threadIdx.x; s <= last; s += blockDim.x) {
            shares[s] = exp(alphas[row * width + s] + beta[s] + loss);
            if (states[s] == blank) of_blank += shares[s];
            ahead[s] = beta[s] + load(log_probs[row * classes + states[s]]);
        }
        of_blank = over_block<Sum>(of_blank);  // a barrier, too: `shares` and `ahead` are complete
        if (threadIdx.x == 0) d[row * classes + blank] = store<T>(slope * of_blank);
        for (int s = threadIdx.x; s <= last; s += blockDim.x) {
            if (first[s] && states[s] != blank) {
                double sum = 0;
                for (int other = s; other >= 0; other = next[other]) sum += shares[other];
                d[row * classes + states[s]] = store<T>(slope * sum);
            }
            const double one = s < last ? ahead[s + 1] : never;
            const double two = s + 2 <= last && states[s + 2] != states[s] ? ahead[s + 2] : never;
            beta[s] = log_sum(ahead[s], one, two);
        }
        __syncthreads();  // nobody reads `shares` and `ahead` of this step any more
    }
}
