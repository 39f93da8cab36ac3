// Atomics, fences, and loads and stores with hints for the caches.
//
// Fibers change only at barriers and collectives, so a plain read and write is atomic. SIM_UNSEEN keeps the compiler from
// reporting it as a plain access; sim_access reports it as an atomic one.
#pragma once
#include "runtime.h"

template <class T> using sim_same = std::common_type_t<T>;  // keeps T from being deduced from this argument

template <class T, class F> SIM_UNSEEN T sim_modify(T* address, F change) {
    static_assert(sizeof(T) >= 2 && sizeof(T) <= 16, "no atomic of this size");
    if ((uintptr_t)address % sizeof(T)) sim_fail(Place{"", 0}, "atomic at the misaligned address %p", (void*)address);
    sim_access(address, sizeof(T), ACCESS_ATOMIC);
    const T old = *address;
    *address = change(old);
    return old;
}
#define SIM_ATOMIC(name, expression) \
    template <class T> T name(T* address, sim_same<T> value) { \
        return sim_modify(address, [=](T old) -> T { return expression; }); \
    } \
    template <class T> T name##_block(T* address, sim_same<T> value) { return name(address, value); } \
    template <class T> T name##_system(T* address, sim_same<T> value) { return name(address, value); }
SIM_ATOMIC(atomicAdd, old + value)
SIM_ATOMIC(atomicSub, old - value)
SIM_ATOMIC(atomicMax, old > value ? old : value)
SIM_ATOMIC(atomicMin, old < value ? old : value)
SIM_ATOMIC(atomicExch, value)
SIM_ATOMIC(atomicAnd, old & value)
SIM_ATOMIC(atomicOr, old | value)
SIM_ATOMIC(atomicXor, old ^ value)
SIM_ATOMIC(atomicInc, old >= value ? 0 : old + 1)
SIM_ATOMIC(atomicDec, old == 0 || old > value ? value : old - 1)
#undef SIM_ATOMIC

template <class T> T atomicCAS(T* address, sim_same<T> expected, sim_same<T> value) {
    static_assert(std::is_integral_v<T>, "atomicCAS takes integers");
    return sim_modify(address, [=](T old) -> T { return old == expected ? value : old; });
}

inline void __threadfence() { sim_fence(); }
inline void __threadfence_system() { sim_fence(); }
inline void __threadfence_block() {}
inline void __nanosleep(unsigned) {}

template <class T> T __ldg(const T* address) { return *address; }
template <class T> T __ldcg(const T* address) { return *address; }
template <class T> T __ldca(const T* address) { return *address; }
template <class T> T __ldcs(const T* address) { return *address; }
template <class T> T __ldlu(const T* address) { return *address; }
template <class T> T __ldcv(const T* address) { return *address; }
template <class T> void __stwb(T* address, sim_same<T> value) { *address = value; }
template <class T> void __stcg(T* address, sim_same<T> value) { *address = value; }
template <class T> void __stcs(T* address, sim_same<T> value) { *address = value; }
template <class T> void __stwt(T* address, sim_same<T> value) { *address = value; }

inline size_t __cvta_generic_to_shared(const void* address) { return (size_t)address; }
[[noreturn]] inline void __trap(SIM_PLACE) { sim_fail(place, "__trap() was called"); }
