// What compiled kernels need of the runtime (runtime.cpp), which holds the threads of one block as fibers.
#pragma once
#include <stdint.h>

#include <vector_types.h>

// Where in the source a call stands: the default value of a last parameter, which the caller's line fills in.
struct Place {
    const char* file;
    int line;
    static constexpr Place here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
};
#define SIM_PLACE Place place = Place::here()

enum Barrier { BARRIER_PLAIN, BARRIER_COUNT, BARRIER_AND, BARRIER_OR };

extern "C" {
extern uint3 threadIdx, blockIdx;  // of the fiber that runs
extern dim3 blockDim, gridDim;

// Wait for all threads of the block. Returns the count / and / or of everyone's predicate.
int sim_barrier(Barrier kind, int predicate, Place place);

// Post a value and wait for the lanes of the mask to post theirs at the same operation. Returns 32 values, and in [32] the mask.
const uint64_t* sim_warp(unsigned mask, int operation, uint64_t value, Place place);

// End the launch with a message; does not return.
void sim_fail(Place place, const char* format, ...) __attribute__((noreturn, format(printf, 2, 3)));

// Tell the detector of races (races.h) of an access that the compiler does not report by itself. Nothing in other modes.
enum Access { ACCESS_READ, ACCESS_WRITE, ACCESS_ATOMIC };
#define SIM_UNSEEN __attribute__((noinline, no_sanitize("thread")))  // a function whose accesses the compiler shall not report
void sim_access(const void* address, int bytes, Access access);
void sim_fence();  // __threadfence()

extern char sim_dynamic_shared[];  // the dynamic shared memory, which `extern __shared__ T name[]` names
}

// The number of the calling thread within its warp.
inline int sim_lane() { return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) & 31; }
