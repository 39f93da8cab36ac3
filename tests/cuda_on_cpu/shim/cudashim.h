// cudashim.h - run CUDA C++ kernel source on the CPU for tests (g++ >= 11, x86-64 or any ucontext host).
// One block at a time; every CUDA thread is a fiber that runs until a barrier / warp collective / exit.
// Kernel TU:  g++ -include cudashim.h -x c++ k.cu      Runtime TU:  g++ -DSIM_RUNTIME -x c++ cudashim.h
#pragma once
#define __host__
#define __device__
#define __global__
#define __constant__
#define __managed__
#define __shared__ static                 // loader rewrites `extern __shared__ T n[]` to `extern T n[]`
#include <vector_types.h>                 // float4, uint3, dim3 ... (pip: nvidia-cuda-runtime)
#include <vector_functions.h>
#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __forceinline__
#define __forceinline__ inline __attribute__((always_inline))
#undef __noinline__
#define CUDA_SIM 1
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <type_traits>
#include <utility>
extern "C" {                              // ---------------- interface kernel TU <-> runtime TU
extern uint3 threadIdx, blockIdx; extern dim3 blockDim, gridDim;
int  sim_barrier(int op, int pred, int line);                               // op 0 plain 1 count 2 and 3 or
const uint64_t* sim_warp(unsigned mask, int op, uint64_t v, int line);      // 32 posted values, [32] = mask
void sim_fail(const char* fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
}
#ifndef SIM_RUNTIME
using std::isnan; using std::isinf;
static const int warpSize = 32;
#define SIM_L int line = __builtin_LINE()
inline void __syncthreads(SIM_L) { sim_barrier(0, 0, line); }
inline int __syncthreads_count(int p, SIM_L) { return sim_barrier(1, p, line); }
inline int __syncthreads_and(int p, SIM_L) { return sim_barrier(2, p, line); }
inline int __syncthreads_or(int p, SIM_L) { return sim_barrier(3, p, line); }
inline int sim_lane() { return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) & 31; }
template <class T> uint64_t sim_bits(T v) { static_assert(sizeof(T) <= 8); uint64_t b = 0; memcpy(&b, &v, sizeof v); return b; }
template <class T> T sim_get(const uint64_t* s, int src, int line) {
  if (!(s[32] >> src & 1)) sim_fail("line %d: shuffle reads lane %d, which is not in the mask %08x", line, src, (unsigned)s[32]);
  T v; memcpy(&v, &s[src], sizeof v); return v;
}
template <class T> T sim_shfl(unsigned m, T v, int b, int width, int kind, int line) {  // PTX shfl.sync semantics
  const uint64_t* s = sim_warp(m, 1 + kind, sim_bits(v), line);
  int l = sim_lane(), seg = ~(width - 1) & 31, first = l & seg, last = first | (width - 1), j, ok;
  switch (kind) { case 0: j = first | (b & ~seg & 31); ok = 1; break;
                  case 1: j = l - b; ok = j >= first; break;
                  case 2: j = l + b; ok = j <= last; break;
                  default: j = l ^ b; ok = j <= last; }
  return ok ? sim_get<T>(s, j, line) : v;
}
template <class T> T __shfl_sync(unsigned m, T v, int b, int w = 32, SIM_L) { return sim_shfl(m, v, b, w, 0, line); }
template <class T> T __shfl_up_sync(unsigned m, T v, unsigned b, int w = 32, SIM_L) { return sim_shfl(m, v, b, w, 1, line); }
template <class T> T __shfl_down_sync(unsigned m, T v, unsigned b, int w = 32, SIM_L) { return sim_shfl(m, v, b, w, 2, line); }
template <class T> T __shfl_xor_sync(unsigned m, T v, int b, int w = 32, SIM_L) { return sim_shfl(m, v, b, w, 3, line); }
inline void __syncwarp(unsigned m = ~0u, SIM_L) { sim_warp(m, 5, 0, line); }
inline unsigned __ballot_sync(unsigned m, int p, SIM_L) {
  const uint64_t* s = sim_warp(m, 6, p != 0, line); unsigned r = 0;
  for (int i = 0; i < 32; i++) if (s[32] >> i & 1) r |= (unsigned)s[i] << i; return r; }
inline int __any_sync(unsigned m, int p, SIM_L) { return __ballot_sync(m, p, line) != 0; }
inline int __all_sync(unsigned m, int p, SIM_L) { return __ballot_sync(m, !p, line) == 0; }
inline void __threadfence() {} inline void __threadfence_block() {} inline void __nanosleep(unsigned) {}
template <class T, class F> T sim_rmw(T* p, F f) {     // real atomics, so that ThreadSanitizer knows them
  T o, n; __atomic_load(p, &o, __ATOMIC_RELAXED);
  do n = f(o); while (!__atomic_compare_exchange(p, &o, &n, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)); return o; }
template <class T> using sim_id = std::common_type_t<T>;
#define SIM_AT(name, expr) template <class T> T name(T* p, sim_id<T> v) { return sim_rmw(p, [=](T o) -> T { return expr; }); }
SIM_AT(atomicAdd, o + v) SIM_AT(atomicSub, o - v) SIM_AT(atomicMax, o > v ? o : v) SIM_AT(atomicMin, o < v ? o : v)
SIM_AT(atomicExch, v) SIM_AT(atomicAnd, o & v) SIM_AT(atomicOr, o | v)
template <class T> T atomicCAS(T* p, sim_id<T> c, sim_id<T> v) { return sim_rmw(p, [=](T o) -> T { return o == c ? v : o; }); }
template <class A, class B> auto min(A a, B b) { using C = std::common_type_t<A, B>; return (C)a < (C)b ? (C)a : (C)b; }
template <class A, class B> auto max(A a, B b) { using C = std::common_type_t<A, B>; return (C)a > (C)b ? (C)a : (C)b; }
template <class T> T __ldg(const T* p) { return *p; }
inline float __expf(float x) { return expf(x); } inline float __logf(float x) { return logf(x); }
inline float rsqrtf(float x) { return 1.f / sqrtf(x); } inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1.f / x; } inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __saturatef(float x) { return x < 0 ? 0.f : x > 1 ? 1.f : x; }
inline int __float_as_int(float f) { int i; memcpy(&i, &f, 4); return i; }
inline float __int_as_float(int i) { float f; memcpy(&f, &i, 4); return f; }
inline double __longlong_as_double(long long i) { double f; memcpy(&f, &i, 8); return f; }
inline long long __double_as_longlong(double f) { long long i; memcpy(&i, &f, 8); return i; }
inline unsigned __float_as_uint(float f) { unsigned i; memcpy(&i, &f, 4); return i; }
inline float __uint_as_float(unsigned i) { float f; memcpy(&f, &i, 4); return f; }
inline int __popc(unsigned x) { return __builtin_popcount(x); } inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline size_t __cvta_generic_to_shared(const void* p) { return (size_t)p; }
// ---- exported call thunks (cuLaunchKernel-style void** args) and signatures the Python side checks against
template <class... A, size_t... I> void sim_call_(void (*f)(A...), void** a, std::index_sequence<I...>) {
  f(*(std::remove_cv_t<A>*)a[I]...); }
template <class... A> void sim_call(void (*f)(A...), void** a) { sim_call_(f, a, std::index_sequence_for<A...>{}); }
template <class T> int sim_put(char* o) {             // "Pf4" = float*, "i4" = int, "f8" = double, "s12" = struct
  if constexpr (std::is_pointer_v<T>) { *o++ = 'P'; return 1 + sim_put<std::remove_cv_t<std::remove_pointer_t<T>>>(o); }
  else if constexpr (std::is_void_v<T>) return sprintf(o, "v0 ");
  else return sprintf(o, "%c%zu ", std::is_floating_point_v<T> ? 'f' : !std::is_integral_v<T> ? 's' : std::is_same_v<T, bool> ? 'b'
                      : std::is_signed_v<T> ? 'i' : 'u', sizeof(T)); }
template <class... A> const char* sim_sig(void (*)(A...)) { static char b[1024]; char* o = b; *o = 0; ((o += sim_put<A>(o)), ...); return b; }
#define SIM_EXPORT(id, ...) extern "C" __attribute__((visibility("default"))) void sim_call_##id(void** a) { sim_call(&__VA_ARGS__, a); } \
  extern "C" __attribute__((visibility("default"))) const char* sim_sig_##id() { return sim_sig(&__VA_ARGS__); }
#else  // ================================= runtime TU (never instrumented) =================================
#include <cstdarg>
#include <cstdlib>
#include <sys/mman.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif
extern "C" {
uint3 threadIdx, blockIdx; dim3 blockDim, gridDim;
void* __tsan_get_current_fiber(); void* __tsan_create_fiber(unsigned); void __tsan_switch_to_fiber(void*, unsigned);
void __tsan_acquire(void*); void __tsan_release(void*);
void __sanitizer_start_switch_fiber(void**, const void*, size_t); void __sanitizer_finish_switch_fiber(void*, const void**, size_t*);
void __asan_poison_memory_region(const volatile void*, size_t); void __asan_unpoison_memory_region(const volatile void*, size_t);
}
#ifdef SIM_TSAN
#define ACQ(p) __tsan_acquire(p)
#define REL(p) __tsan_release(p)
#else
#define ACQ(p)
#define REL(p)
#endif
enum { READY, BAR, WARP, DONE };
struct Fiber { void* sp; char* stk; int st, op, line, pred; unsigned mask; uint64_t val, snap[33]; uint3 tid; void *tsan, *fake; };
static Fiber F[1024]; static Fiber* cur; static int N; static void* sched_sp; static void *sched_tsan, *sched_fake;
static const void* sched_stk; static size_t sched_len; static const size_t STK = 256 << 10;
static void (*g_call)(void**); static void** g_args; static char g_err[512]; static bool g_failed;
static char obj_start, obj_end, obj_bar, obj_warp[32]; static uint64_t rng; static int bar_res[4];
static unsigned rnd() { rng ^= rng << 13; rng ^= rng >> 7; rng ^= rng << 17; return (unsigned)(rng >> 16); }
#if defined(__x86_64__)
extern "C" void sim_switch(void** save, void* to);
asm(".text\n.globl sim_switch\n.hidden sim_switch\nsim_switch:\n pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
    " movq %rsp,(%rdi)\n movq %rsi,%rsp\n popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n ret\n");
static void* sim_make(char* stk, void (*fn)()) { void** p = (void**)(stk + STK - 16); p[1] = 0; p[0] = (void*)fn; memset(p - 6, 0, 48); return p - 6; }
#else
static void sim_switch(void** save, void* to) { ucontext_t c; *save = &c; swapcontext(&c, (ucontext_t*)to); }
static void* sim_make(char* stk, void (*fn)()) { ucontext_t* c = (ucontext_t*)stk; getcontext(c); c->uc_stack.ss_sp = stk + 4096;
  c->uc_stack.ss_size = STK - 4096; c->uc_link = 0; makecontext(c, fn, 0); return c; }
#endif
static void to_sched() {
#ifdef SIM_TSAN
  __tsan_switch_to_fiber(sched_tsan, 1);
#endif
#ifdef SIM_ASAN
  __sanitizer_start_switch_fiber(cur->st == DONE ? nullptr : &cur->fake, sched_stk, sched_len);
#endif
  Fiber* me = cur; sim_switch(&me->sp, sched_sp);
#ifdef SIM_ASAN
  __sanitizer_finish_switch_fiber(me->fake, nullptr, nullptr);
#endif
}
static void fiber_main() {
#ifdef SIM_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &sched_stk, &sched_len);
#endif
  ACQ(&obj_start); g_call(g_args); REL(&obj_end); cur->st = DONE; to_sched(); __builtin_trap();
}
static void resume(Fiber* f) {
  cur = f; threadIdx = f->tid;
#ifdef SIM_TSAN
  __tsan_switch_to_fiber(f->tsan, 1);
#endif
#ifdef SIM_ASAN
  __sanitizer_start_switch_fiber(&sched_fake, f->stk, STK);
#endif
  sim_switch(&sched_sp, f->sp);
#ifdef SIM_ASAN
  __sanitizer_finish_switch_fiber(sched_fake, nullptr, nullptr);
#endif
}
extern "C" void sim_fail(const char* fmt, ...) {
  va_list ap; va_start(ap, fmt); int n = 0; g_failed = true;
  if (cur) n = snprintf(g_err, sizeof g_err, "block (%u,%u,%u) thread (%u,%u,%u): ", blockIdx.x, blockIdx.y, blockIdx.z, cur->tid.x, cur->tid.y, cur->tid.z);
  vsnprintf(g_err + n, sizeof g_err - n, fmt, ap); va_end(ap); cur->st = DONE; to_sched(); __builtin_trap();
}
extern "C" int sim_barrier(int op, int pred, int line) {
  Fiber* f = cur; f->op = op; f->pred = pred != 0; f->line = line; f->st = BAR; REL(&obj_bar); to_sched(); ACQ(&obj_bar); return bar_res[op];
}
extern "C" const uint64_t* sim_warp(unsigned mask, int op, uint64_t v, int line) {
  Fiber* f = cur; int i = f - F, base = i & ~31, cnt = N - base < 32 ? N - base : 32; unsigned exist = cnt == 32 ? ~0u : (1u << cnt) - 1;
  if (!(mask >> (i & 31) & 1)) sim_fail("line %d: calling lane %d is not in the mask %08x", line, i & 31, mask);
  f->mask = mask &= exist; f->op = op; f->val = v; f->line = line; f->st = WARP; REL(&obj_warp[base / 32]); bool all = true;
  for (int k = 0; k < cnt; k++) if (mask >> k & 1) { Fiber* g = F + base + k;
    if (g->st == DONE) sim_fail("line %d: lane %d of the mask %08x has exited", line, k, mask);
    if (g->st == WARP && g->mask == mask && g->op != op) sim_fail("line %d and line %d: different warp collectives with one mask", line, g->line);
    all &= g->st == WARP && g->mask == mask; }
  if (all) { for (int k = 0; k < cnt; k++) if (mask >> k & 1) { Fiber* g = F + base + k; g->st = READY; g->snap[32] = mask;
      for (int j = 0; j < cnt; j++) g->snap[j] = F[base + j].val; } }
  else to_sched();
  ACQ(&obj_warp[base / 32]); return f->snap;
}
static bool run_block(int order) {                    // true = finished, false = failed
  static int perm[1024]; for (int i = 0; i < N; i++) perm[i] = order == 1 ? N - 1 - i : i;
  for (;;) {
    if (order == 2) for (int i = N - 1; i > 0; i--) std::swap(perm[i], perm[rnd() % (i + 1)]);
    bool ran = false; int done = 0, bar = 0; Fiber *a = nullptr, *b = nullptr;
    for (int i = 0; i < N; i++) { Fiber* f = &F[perm[i]]; if (f->st == READY) { resume(f); ran = true; if (g_failed) return false; } }
    if (ran) continue;
    int c = 0; for (int i = 0; i < N; i++) { Fiber* f = &F[i]; done += f->st == DONE; bar += f->st == BAR; if (f->st == BAR) { c += f->pred; if (!a) a = f; else if (f->line != a->line) b = f; }
      else if (f->st == WARP) b = f; }
    if (done == N) return true;
    cur = nullptr; g_failed = true; Fiber* w = a ? a : b;
    if (bar == N && !b) { g_failed = false; bar_res[1] = c; bar_res[2] = c == N; bar_res[3] = c > 0; for (int i = 0; i < N; i++) F[i].st = READY; continue; }
    snprintf(g_err, sizeof g_err, "block (%u,%u,%u): deadlock/divergent barrier: %d of %d threads at __syncthreads, %d exited; thread (%u,%u,%u) waits at line %d%s%.0d", blockIdx.x, blockIdx.y,
      blockIdx.z, bar, N, done, w->tid.x, w->tid.y, w->tid.z, w->line, b && b != w ? ", another at line " : "", 0);
    if (b && b != w) snprintf(g_err + strlen(g_err), 16, "%d", b->line); return false;
  }
}
// shared: n (address,size) pairs of static __shared__ arrays, filled with NaN bytes before each block; dyn: dynamic shared memory
extern "C" __attribute__((visibility("default"))) const char* sim_launch(void (*call)(void**), void** args, const unsigned* g, const unsigned* b,
    size_t smem, int order, uint64_t seed, const uint64_t* shared, int n, char* dyn, size_t dynmax) {
  gridDim = dim3(g[0], g[1], g[2]); blockDim = dim3(b[0], b[1], b[2]); N = b[0] * b[1] * b[2]; g_call = call; g_args = args; g_failed = false; rng = seed * 2654435761u + 88172645463325252ull;
  for (int i = 0; i < N; i++) if (!F[i].stk) { F[i].stk = (char*)mmap(0, STK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
#ifdef SIM_TSAN
    F[i].tsan = __tsan_create_fiber(0);
#endif
  }
#ifdef SIM_TSAN
  sched_tsan = __tsan_get_current_fiber();
#endif
  uint64_t nb = (uint64_t)g[0] * g[1] * g[2], step = 1, off = 0;    // block order: forward, reverse, or a stride coprime to nb
  if (order == 2 && nb > 2) { off = rnd() % nb; do step = rnd() % nb; while (step == 0 || [](uint64_t x, uint64_t y) { while (y) { uint64_t t = x % y; x = y; y = t; } return x; }(step, nb) != 1); }
  for (uint64_t q = 0; q < nb; q++) { uint64_t k = order == 1 ? nb - 1 - q : (off + q * step) % nb;
    blockIdx = uint3{(unsigned)(k % g[0]), (unsigned)(k / g[0] % g[1]), (unsigned)(k / g[0] / g[1])};
    for (int i = 0; i < n; i++) memset((void*)shared[2 * i], 0xff, shared[2 * i + 1]);
    if (dyn) { memset(dyn, 0xff, smem);
#ifdef SIM_ASAN
      __asan_unpoison_memory_region(dyn, dynmax); __asan_poison_memory_region(dyn + smem, dynmax - smem);
#else
      memset(dyn + smem, 0xa5, 64);
#endif
    }
    REL(&obj_start); unsigned t = 0;
    for (unsigned z = 0; z < b[2]; z++) for (unsigned y = 0; y < b[1]; y++) for (unsigned x = 0; x < b[0]; x++, t++) {
      F[t].st = READY; F[t].tid = uint3{x, y, z}; F[t].sp = sim_make(F[t].stk, fiber_main); }
    bool ok = run_block(order); ACQ(&obj_end);
#ifdef SIM_ASAN
    if (!ok) for (int i = 0; i < N; i++) __asan_unpoison_memory_region(F[i].stk, STK);
#else
    for (int i = 0; ok && dyn && i < 64; i++) if ((unsigned char)dyn[smem + i] != 0xa5) { snprintf(g_err, sizeof g_err, "block (%u,%u,%u) wrote past its %zu bytes of dynamic shared memory", blockIdx.x, blockIdx.y, blockIdx.z, smem); ok = false; }
#endif
    if (!ok) return g_err;
  }
  return nullptr;
}
#endif
