// Instructions of the tensor cores and of the copy engine that C++ has no words for, one function each: all of the folder's
// inline PTX (the GPU's portable assembly language) is here, for sm_80 and later. Tests without a GPU take sim_ptx.h instead.
//
// Matrix products. A warp multiplies small matrices together, d = a b + d, with the elements spread over the registers of its 32
// lanes ("fragments"). Lane 4g + t (g = 0 … 7, t = 0 … 3) holds of the product 16 × 16 by 16 × 8, two 16-bit elements to a
// register,
//
//      a (16 × 16)                        b (16 × 8)                   d (16 × 8), float
//           column 2t, 2t+1   2t+8, 2t+9          column g                     column 2t    2t+1
//   row g          a[0]          a[2]     row 2t, 2t+1   b[0]          row g         d[0]    d[1]
//   row g+8        a[1]          a[3]     row 2t+8, 2t+9 b[1]          row g+8       d[2]    d[3]
//
// So two neighbouring d, rounded to 16 bits, are the a of a next product: its columns 0 … 7 are a[0] and a[1], 8 … 15 are a[2]
// and a[3]. With tf32 (floats of which 10 bits of the fraction count) the product is 16 × 8 by 8 × 8, one element to a register:
//
//      a (16 × 8)                         b (8 × 8)                    d as above
//           column t      t+4                     column g
//   row g          a[0]   a[2]            row t          b[0]
//   row g+8        a[1]   a[3]            row t+4        b[1]
//
// What a warp does together must not be moved into a branch that only some of its lanes take: `volatile` keeps it in its place.
#pragma once
#include "common.cuh"

// Two floats rounded to T, side by side in a register: `low` in the lower half, which is the element that comes first in memory.
template <typename T> __device__ __forceinline__ unsigned pair(float low, float high);

#ifdef CUDA_SIM
#include "sim_ptx.h"
#else

template <> __device__ __forceinline__ unsigned pair<__half>(float low, float high) {
    unsigned both;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}
template <> __device__ __forceinline__ unsigned pair<__nv_bfloat16>(float low, float high) {
    unsigned both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}

// A float rounded to the nearest tf32, in a register as mma_m16n8k8 takes it.
__device__ __forceinline__ unsigned tf32(float x) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}

// d += a b, 16 × 16 by 16 × 8, elements of type T (__half, __nv_bfloat16), products and sums in float.
template <typename T> __device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]);
template <>
__device__ __forceinline__ void mma_m16n8k16<__half>(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
template <>
__device__ __forceinline__ void mma_m16n8k16<__nv_bfloat16>(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// d += a b, 16 × 8 by 8 × 8, elements in tf32, sums in float.
__device__ __forceinline__ void mma_m16n8k8(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four matrices of 8 rows of 16 bytes out of shared memory. Lane l names the address (a multiple of 16 bytes) of row l % 8 of
// matrix l / 8; lane 4g + t gets in r[i] the four bytes t of row g of matrix i: of 16-bit elements, columns 2t and 2t+1. Without
// conflicts of banks where the 8 rows of a matrix lie in different sixteenths of 128 bytes, as rows of 16 (2n + 1) bytes do.
__device__ __forceinline__ void ldmatrix_x4(unsigned (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"((unsigned)__cvta_generic_to_shared(row)) : "memory");
}
// The same with each matrix of 8 × 8 16-bit elements turned: r[i] has elements (2t, g) and (2t+1, g).
__device__ __forceinline__ void ldmatrix_x4_turned(unsigned (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"((unsigned)__cvta_generic_to_shared(row)) : "memory");
}

// Copies from global to shared memory that pass by the registers and go on while the thread computes. BYTES are 4, 8 or 16, to
// which both addresses are aligned; zeros are written, and nothing is read, where the element is not `present`.
template <int BYTES> __device__ __forceinline__ void copy_async(void* to, const void* from, bool present = true) {
    const unsigned place = (unsigned)__cvta_generic_to_shared(to);
    if (BYTES == 16)  // "cg": by the second cache, not by the first, which has no use for what is read once
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(place), "l"(from), "r"(present ? 16 : 0) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" :: "r"(place), "l"(from), "n"(BYTES), "r"(present ? BYTES : 0)
                     : "memory");
}
// What this thread has begun to copy since the last such call is one group.
__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until all of this thread's groups but the LAST have arrived; other threads see them after a barrier.
template <int LAST> __device__ __forceinline__ void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" :: "n"(LAST) : "memory");
}
#endif
