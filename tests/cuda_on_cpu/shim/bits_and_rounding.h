// Arithmetic that CUDA has and C++ has not: fast functions, explicit rounding, bits.
//
// Fast functions (__expf, ...) are the exact ones here: their error on a GPU is larger, see the CUDA programming guide.
#pragma once

// Of floats fmin and fmax, as in CUDA: NaN loses.
template <class A, class B> constexpr auto min(A a, B b) {
    using C = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<C>) return (C)(a != a || (C)b < (C)a ? (C)b : (C)a);
    else return (C)b < (C)a ? (C)b : (C)a;
}
template <class A, class B> constexpr auto max(A a, B b) {
    using C = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<C>) return (C)(a != a || (C)b > (C)a ? (C)b : (C)a);
    else return (C)b > (C)a ? (C)b : (C)a;
}

// ---- fast functions
inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return powf(10.f, x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __log10f(float x) { return log10f(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanf(float x) { return tanf(x); }
inline float __tanhf(float x) { return tanhf(x); }
inline void __sincosf(float x, float* s, float* c) { *s = sinf(x), *c = cosf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float fdividef(float a, float b) { return a / b; }
inline float __saturatef(float x) { return x > 0 ? x < 1 ? x : 1.f : 0.f; }  // NaN gives 0

// ---- functions beyond C's
inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
inline double rsqrt(double x) { return 1. / sqrt(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline float rcbrtf(float x) { return 1.f / cbrtf(x); }
inline double rcbrt(double x) { return 1. / cbrt(x); }
inline float sinpif(float x) { return (float)sin(M_PI * fmod((double)x, 2.)); }
inline float cospif(float x) { return (float)cos(M_PI * fmod((double)x, 2.)); }
inline double sinpi(double x) { return sin(M_PI * fmod(x, 2.)); }
inline double cospi(double x) { return cos(M_PI * fmod(x, 2.)); }
inline void sincospif(float x, float* s, float* c) { *s = sinpif(x), *c = cospif(x); }
inline void sincospi(double x, double* s, double* c) { *s = sinpi(x), *c = cospi(x); }
inline float normcdff(float x) { return 0.5f * erfcf(-x * (float)M_SQRT1_2); }
inline double normcdf(double x) { return 0.5 * erfc(-x * M_SQRT1_2); }

// ---- operations that the compiler must not join: `volatile` keeps a product from becoming part of a fused multiply-add
#define SIM_OPERATION(type, name, operation) \
    inline type name(type a, type b) { volatile type result = a operation b; return result; }
SIM_OPERATION(float, __fadd_rn, +)
SIM_OPERATION(float, __fsub_rn, -)
SIM_OPERATION(float, __fmul_rn, *)
SIM_OPERATION(float, __fdiv_rn, /)
SIM_OPERATION(double, __dadd_rn, +)
SIM_OPERATION(double, __dsub_rn, -)
SIM_OPERATION(double, __dmul_rn, *)
SIM_OPERATION(double, __ddiv_rn, /)
#undef SIM_OPERATION
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline float __frcp_rn(float x) { return 1.f / x; }
inline double __drcp_rn(double x) { return 1. / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline double __dsqrt_rn(double x) { return sqrt(x); }
inline float __frsqrt_rn(float x) { return (float)(1. / sqrt((double)x)); }

// ---- conversions: to integers they saturate, and NaN gives 0 (for 64 bits the smallest number)
template <class I, class F> I sim_to_integer(F x) {
    constexpr I low = (I)(std::is_signed_v<I> ? (I)1 << (sizeof(I) * 8 - 1) : 0), high = (I)~low;
    if (x != x) return sizeof(I) == 8 ? (I)((uint64_t)1 << 63) : 0;
    return x <= (F)low ? low : x >= (F)high ? high : (I)x;
}
#define SIM_CONVERSION(from, type, to, integer) \
    inline integer __##from##2##to##_rn(type x) { return sim_to_integer<integer>(nearbyint(x)); } \
    inline integer __##from##2##to##_rz(type x) { return sim_to_integer<integer>(trunc(x)); } \
    inline integer __##from##2##to##_rd(type x) { return sim_to_integer<integer>(floor(x)); } \
    inline integer __##from##2##to##_ru(type x) { return sim_to_integer<integer>(ceil(x)); }
SIM_CONVERSION(float, float, int, int)
SIM_CONVERSION(float, float, uint, unsigned)
SIM_CONVERSION(float, float, ll, long long)
SIM_CONVERSION(float, float, ull, unsigned long long)
SIM_CONVERSION(double, double, int, int)
SIM_CONVERSION(double, double, uint, unsigned)
SIM_CONVERSION(double, double, ll, long long)
SIM_CONVERSION(double, double, ull, unsigned long long)
#undef SIM_CONVERSION
inline float __int2float_rn(int x) { return (float)x; }
inline float __uint2float_rn(unsigned x) { return (float)x; }
inline float __ll2float_rn(long long x) { return (float)x; }
inline float __ull2float_rn(unsigned long long x) { return (float)x; }
inline double __int2double_rn(int x) { return x; }
inline double __uint2double_rn(unsigned x) { return x; }
inline double __ll2double_rn(long long x) { return (double)x; }
inline double __ull2double_rn(unsigned long long x) { return (double)x; }
inline float __double2float_rn(double x) { return (float)x; }

// ---- bits of one type read as another
template <class To, class From> To sim_reinterpret(From value) {
    static_assert(sizeof(To) == sizeof(From));
    To result;
    memcpy(&result, &value, sizeof value);
    return result;
}
inline int __float_as_int(float x) { return sim_reinterpret<int>(x); }
inline float __int_as_float(int x) { return sim_reinterpret<float>(x); }
inline unsigned __float_as_uint(float x) { return sim_reinterpret<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return sim_reinterpret<float>(x); }
inline long long __double_as_longlong(double x) { return sim_reinterpret<long long>(x); }
inline double __longlong_as_double(long long x) { return sim_reinterpret<double>(x); }

// ---- bits
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
    unsigned reversed = 0;
    for (int i = 0; i < 32; i++) reversed |= (x >> i & 1u) << (31 - i);
    return reversed;
}
inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned by) {
    return (unsigned)((((unsigned long long)high << 32 | low) << (by & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned by) {
    return (unsigned)(((unsigned long long)high << 32 | low) >> (by & 31));
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
    const unsigned long long bytes = (unsigned long long)b << 32 | a;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) result |= (unsigned)(bytes >> 8 * (selector >> 4 * i & 7) & 0xff) << 8 * i;
    return result;
}
