// The runtime of kernels on the CPU: holds the threads of one block as fibers, gives each its turn, and joins them at barriers and
// warp collectives. Compiled once for each mode, never instrumented, and shared by all kernels' libraries.
//
// A fiber runs until it waits (at a barrier or collective) or ends; then the scheduler takes the next in its order. Nothing runs at
// the same time as anything else, so a run repeats exactly; that threads do not depend on the order is shown by running in others.
#include <sys/mman.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <utility>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#define __host__
#define __device__
#pragma GCC visibility push(default)
#include "runtime.h"
#pragma GCC visibility pop

#define EXPORT extern "C" __attribute__((visibility("default")))

static const int MOST_THREADS = 1024;
static const size_t STACK = 256 << 10;
static const size_t DYNAMIC_LIMIT = 232448;  // bytes of shared memory that one block may have on sm_90
static const size_t GUARD = 64;

#pragma GCC visibility push(default)
uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;
alignas(1024) char sim_dynamic_shared[DYNAMIC_LIMIT + GUARD];
#pragma GCC visibility pop

enum State { READY, AT_BARRIER, AT_COLLECTIVE, DONE };
struct Fiber {
    void* stack_pointer;
    char* stack;
    uint3 index;
    State state;
    int operation, predicate;  // of the barrier or collective that it waits at
    unsigned mask;
    Place place;
    uint64_t value, result[33];  // what it posted to a collective, and what it got: 32 values and the mask
    void* fake_stack;            // AddressSanitizer's
};
static Fiber fibers[MOST_THREADS];
static Fiber* current;  // null while the scheduler runs
static int threads;     // of the block
static void* scheduler;
static char* stacks;  // of all fibers

enum Order { FORWARD, REVERSE, SHUFFLED };
static struct Launch {
    void (*call)(void**);
    void** arguments;
    Order order;
    const uint64_t* shared;  // pairs of address and size of the static __shared__ arrays
    int shared_count;
    const uint64_t* guards;  // the same of the flags by which g++ remembers that such an array was constructed: no kernel's memory
    int guard_count;
    size_t dynamic;  // bytes of dynamic shared memory
} launch;
static char message[1024];
static bool failed;
static int barrier_result[4];  // by kind
static uint64_t random_state;

static unsigned random_number() {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 16);
}

// ---- changing from one stack to another

#if defined(__x86_64__)
extern "C" void sim_switch(void** save, void* to);
asm(".text\n.globl sim_switch\n.hidden sim_switch\nsim_switch:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n");
static void* new_stack(char* stack, void (*start)()) {  // what sim_switch pops: six registers and the address to return to
    void** top = (void**)(stack + STACK - 16);
    top[1] = nullptr;
    top[0] = (void*)start;
    memset(top - 6, 0, 48);
    return top - 6;
}
#else
static void sim_switch(void** save, void* to) {
    ucontext_t here;
    *save = &here;
    swapcontext(&here, (ucontext_t*)to);
}
static void* new_stack(char* stack, void (*start)()) {
    ucontext_t* context = (ucontext_t*)(stack + STACK - 8192);
    getcontext(context);
    context->uc_stack.ss_sp = stack + 4096;
    context->uc_stack.ss_size = STACK - 12288;
    context->uc_link = nullptr;
    makecontext(context, start, 0);
    return context;
}
#endif

#ifdef SIM_ASAN  // AddressSanitizer must be told of every change of stack
extern "C" {
void __sanitizer_start_switch_fiber(void**, const void*, size_t);
void __sanitizer_finish_switch_fiber(void*, const void**, size_t*);
void __asan_poison_memory_region(const volatile void*, size_t);
void __asan_unpoison_memory_region(const volatile void*, size_t);
}
static void* scheduler_fake_stack;
static const void* scheduler_stack;
static size_t scheduler_stack_size;
#define BEFORE_SWITCH(save, stack, size) __sanitizer_start_switch_fiber(save, stack, size)
#define AFTER_SWITCH(saved, stack, size) __sanitizer_finish_switch_fiber(saved, stack, size)
#else
#define BEFORE_SWITCH(save, stack, size)
#define AFTER_SWITCH(saved, stack, size)
#endif

static void to_scheduler() {
    Fiber* me = current;
    BEFORE_SWITCH(me->state == DONE ? nullptr : &me->fake_stack, scheduler_stack, scheduler_stack_size);
    sim_switch(&me->stack_pointer, scheduler);
    AFTER_SWITCH(me->fake_stack, nullptr, nullptr);
}
static void run_until_it_waits(Fiber* fiber) {
    current = fiber;
    threadIdx = fiber->index;
    BEFORE_SWITCH(&scheduler_fake_stack, fiber->stack, STACK);
    sim_switch(&scheduler, fiber->stack_pointer);
    AFTER_SWITCH(scheduler_fake_stack, nullptr, nullptr);
    current = nullptr;
}
static void fiber_main() {
    AFTER_SWITCH(nullptr, &scheduler_stack, &scheduler_stack_size);
    launch.call(launch.arguments);
    current->state = DONE;
    to_scheduler();
    __builtin_trap();
}

// ---- failing

static const char* base_name(const char* path) {
    const char* slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
static void append(const char* format, ...) __attribute__((format(printf, 1, 2)));
static void append(const char* format, ...) {
    va_list values;
    va_start(values, format);
    const size_t used = strlen(message);
    vsnprintf(message + used, sizeof message - used, format, values);
    va_end(values);
}
static void append_block() { append("block (%u,%u,%u)", blockIdx.x, blockIdx.y, blockIdx.z); }
static void append_thread(const uint3& t) { append("thread (%u,%u,%u)", t.x, t.y, t.z); }
static void append_place(Place place) { append("%s:%d", base_name(place.file), place.line); }

[[noreturn]] static void end_launch() {
    failed = true;
    current->state = DONE;
    to_scheduler();
    __builtin_trap();
}
EXPORT void sim_fail(Place place, const char* format, ...) {
    message[0] = 0;
    append_block();
    append(" ");
    append_thread(current->index);
    append(": ");
    if (place.line) append_place(place), append(": ");
    va_list values;
    va_start(values, format);
    const size_t used = strlen(message);
    vsnprintf(message + used, sizeof message - used, format, values);
    va_end(values);
    end_launch();
}

#include "races.h"

// ---- waiting

EXPORT int sim_barrier(Barrier kind, int predicate, Place place) {
    Fiber* me = current;
    me->operation = kind, me->predicate = predicate != 0, me->place = place;
    me->state = AT_BARRIER;
    to_scheduler();
    return barrier_result[kind];
}

EXPORT const uint64_t* sim_warp(unsigned mask, int operation, uint64_t value, Place place) {
    Fiber* me = current;
    const int number = (int)(me - fibers), lane = number & 31;
    Fiber* warp = fibers + (number & ~31);
    const int lanes = threads - (number & ~31) < 32 ? threads - (number & ~31) : 32;
    const unsigned existing = lanes == 32 ? ~0u : (1u << lanes) - 1;
    if (!(mask >> lane & 1)) sim_fail(place, "the calling lane %d is not in its mask %08x", lane, mask);
    mask &= existing;  // as on a GPU, lanes that a last, partial warp lacks may stand in the mask
    me->mask = mask, me->operation = operation, me->value = value, me->place = place;
    me->state = AT_COLLECTIVE;
    bool complete = true;
    for (int i = 0; i < lanes; i++) {
        if (!(mask >> i & 1)) continue;
        const Fiber& other = warp[i];
        if (other.state == DONE) sim_fail(place, "lane %d of the mask %08x has exited", i, mask);
        const bool here = other.state == AT_COLLECTIVE && other.mask == mask;
        if (here && other.operation != operation)
            sim_fail(place, "lane %d of the mask %08x is at another collective, %s:%d", i, mask, base_name(other.place.file), other.place.line);
        complete &= here;
    }
    if (!complete) {
        to_scheduler();
        return me->result;
    }
    for (int i = 0; i < lanes; i++) {  // the last one to come gives everyone the values
        if (!(mask >> i & 1)) continue;
        warp[i].state = READY;
        for (int j = 0; j < lanes; j++) warp[i].result[j] = warp[j].value;
        warp[i].result[32] = mask;
    }
    races::joined(number & ~31, mask);
    return me->result;
}

// Every thread waits or has ended. True if all wait at one barrier, which is then passed; else `failed` or all have ended.
static bool pass_barrier() {
    int done = 0, waiting = 0, votes = 0;
    const Fiber *one = nullptr, *other = nullptr;  // two that wait at different places
    for (const Fiber* f = fibers; f < fibers + threads; f++) {
        done += f->state == DONE;
        if (f->state == DONE) continue;
        waiting += f->state == AT_BARRIER;
        votes += f->state == AT_BARRIER && f->predicate;
        if (!one) one = f;
        else if (!other && (f->state != one->state || f->place.line != one->place.line || strcmp(f->place.file, one->place.file))) other = f;
    }
    if (done == threads) return false;
    if (waiting == threads && !other) {
        barrier_result[BARRIER_COUNT] = votes, barrier_result[BARRIER_AND] = votes == threads, barrier_result[BARRIER_OR] = votes > 0;
        for (Fiber* f = fibers; f < fibers + threads; f++) f->state = READY;
        races::barrier();
        return true;
    }
    failed = true;
    message[0] = 0;
    append_block();
    append(": divergent barrier: %d of %d threads are at __syncthreads, %d have ended; ", waiting, threads, done);
    for (const Fiber* f : {one, other})
        if (f) {
            if (f == other) append(", ");
            append_thread(f->index);
            append(" waits at a %s at ", f->state == AT_BARRIER ? "barrier" : "warp collective");
            append_place(f->place);
        }
    return false;
}

// True unless it failed.
static bool run_block() {
    static int turn[MOST_THREADS];
    for (int i = 0; i < threads; i++) turn[i] = launch.order == REVERSE ? threads - 1 - i : i;
    do {
        for (bool ran = true; ran;) {
            ran = false;
            if (launch.order == SHUFFLED)
                for (int i = threads - 1; i > 0; i--) std::swap(turn[i], turn[random_number() % (i + 1)]);
            for (int i = 0; i < threads; i++) {
                if (fibers[turn[i]].state != READY) continue;
                run_until_it_waits(&fibers[turn[i]]);
                if (failed) return false;
                ran = true;
            }
        }
    } while (pass_barrier());
    return !failed;
}

// ---- launching

static void fill_shared_memory() {  // with NaN, so that what nobody wrote shows
    for (int i = 0; i < launch.shared_count; i++) memset((void*)launch.shared[2 * i], 0xff, launch.shared[2 * i + 1]);
#ifdef SIM_ASAN
    __asan_unpoison_memory_region(sim_dynamic_shared, sizeof sim_dynamic_shared);
    memset(sim_dynamic_shared, 0xff, launch.dynamic);
    __asan_poison_memory_region(sim_dynamic_shared + launch.dynamic, sizeof sim_dynamic_shared - launch.dynamic);
#else
    memset(sim_dynamic_shared, 0xff, launch.dynamic);
    memset(sim_dynamic_shared + launch.dynamic, 0xa5, GUARD);
#endif
}
static bool guard_is_whole() {
#ifndef SIM_ASAN
    for (size_t i = 0; i < GUARD; i++)
        if ((unsigned char)sim_dynamic_shared[launch.dynamic + i] != 0xa5) {
            message[0] = 0;
            append_block();
            append(" wrote past its %zu bytes of dynamic shared memory", launch.dynamic);
            return false;
        }
#endif
    return true;
}
static void start_block(const unsigned* block) {
    int i = 0;
    for (unsigned z = 0; z < block[2]; z++)
        for (unsigned y = 0; y < block[1]; y++)
            for (unsigned x = 0; x < block[0]; x++, i++) {
                fibers[i].state = READY;
                fibers[i].index = uint3{x, y, z};
                fibers[i].stack_pointer = new_stack(fibers[i].stack, fiber_main);
            }
}

// Runs a grid. Returns null, or what went wrong.
EXPORT const char* sim_launch(void (*call)(void**), void** arguments, const unsigned* grid, const unsigned* block, size_t dynamic,
                              int order, uint64_t seed, const uint64_t* shared, int shared_count, const uint64_t* guards,
                              int guard_count) {
    gridDim = dim3(grid[0], grid[1], grid[2]), blockDim = dim3(block[0], block[1], block[2]);
    threads = block[0] * block[1] * block[2];
    launch = Launch{call, arguments, (Order)order, shared, shared_count, guards, guard_count, dynamic};
    failed = false;
    random_state = seed * 2654435761u + 88172645463325252ull;
    if (!stacks) {
        stacks = (char*)mmap(nullptr, STACK * MOST_THREADS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        for (int i = 0; i < MOST_THREADS; i++) {
            fibers[i].stack = stacks + i * STACK;
            mprotect(fibers[i].stack, 4096, PROT_NONE);  // an overflow of the stack faults
        }
    }
    const uint64_t blocks = (uint64_t)grid[0] * grid[1] * grid[2];
    uint64_t first = 0, step = 1;  // shuffled: blocks come at a stride that shares no factor with their number
    if (launch.order == SHUFFLED && blocks > 2) {
        first = random_number() % blocks;
        do step = random_number() % blocks;
        while (std::gcd(step, blocks) != 1);
    }
    races::new_launch();
    for (uint64_t i = 0; i < blocks; i++) {
        const uint64_t k = launch.order == REVERSE ? blocks - 1 - i : (first + i * step) % blocks;
        blockIdx = uint3{(unsigned)(k % grid[0]), (unsigned)(k / grid[0] % grid[1]), (unsigned)(k / grid[0] / grid[1])};
        fill_shared_memory();
        races::new_block();
        start_block(block);
        const bool good = run_block() && guard_is_whole();
#ifdef SIM_ASAN
        if (!good) __asan_unpoison_memory_region(stacks, STACK * MOST_THREADS);  // fibers that never ended left it poisoned
#endif
        if (!good) return message;
    }
    return nullptr;
}
