/* functions.h -- exp, log, tanh and pow, the same bits on every instruction set and compiler.
 *
 * Made of additions, products, divisions, fused multiply-adds and operations on bits alone, without
 * branches (but for pow64), so that loops over them become vector code. Infinities, NaN, signed zeros,
 * subnormal arguments and results are as in C. Polynomials: minimax, by Remez' exchange in 200 bits.
 *
 * Method  exp   n = x / ln 2 to nearest, r = x - n ln 2, ln 2 in two parts; e^r = 1 + r + r^2 q(r)
 *         log   x = 2^k m, m in [2/3, 4/3) or [sqrt 1/2, sqrt 2); log m as f - f^2/2 + ..., f = m - 1
 *               k ln 2 + f is kept in two parts
 *         tanh  x + x^3 p(x^2); from 9/16 or 5/8 on 1 - 2 / (exp(2 x) + 1)
 *         pow   exp(c log x): float in double; double in pairs of doubles
 */
#pragma once
#include "kernel/real.h"

INLINE uint32_t bits32(float x)
{
    union { float x; uint32_t w; } u = { x };
    return u.w;
}
INLINE float float32(uint32_t w)
{
    union { uint32_t w; float x; } u = { w };
    return u.x;
}
INLINE uint64_t bits64(double x)
{
    union { double x; uint64_t w; } u = { x };
    return u.w;
}
INLINE double float64(uint64_t w)
{
    union { uint64_t w; double x; } u = { w };
    return u.x;
}

/* ---- exp ------------------------------------------------------------------------------------- */
/* Adding 1.5 2^23 leaves the nearest integer in the last bits. The scale 2^n is two factors, so that
 * subnormal results are rounded once; n = half + rest - 254. */
INLINE float exp32(float x)
{
    const float integer = 0x1.8p23f;
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    float shifted = __builtin_fmaf(x, 0x1.715476p+0f, integer);
    float n = shifted - integer;
    float r = __builtin_fmaf(n, -0x1.63p-1f, x);
    r = __builtin_fmaf(n, 0x1.bd0106p-13f, r);
    float q = 0x1.9f07ecp-13f;
    q = __builtin_fmaf(q, r, 0x1.6d8db0p-10f);
    q = __builtin_fmaf(q, r, 0x1.111272p-7f);
    q = __builtin_fmaf(q, r, 0x1.55548ep-5f);
    q = __builtin_fmaf(q, r, 0x1.555554p-3f);
    q = __builtin_fmaf(q, r, 0.5f);
    float    one = 1.0f + r, rest_of_one = 1.0f - one + r; /* exact */
    float    p = one + __builtin_fmaf(r * r, q, rest_of_one);
    uint32_t biased = bits32(shifted) - bits32(integer) + 254;
    uint32_t half = biased >> 1, rest = biased - half;
    return p * float32(half << 23) * float32(rest << 23);
}

INLINE double exp64(double x)
{
    const double integer = 0x1.8p52;
    x = x > 710.0 ? 710.0 : x;
    x = x < -746.0 ? -746.0 : x;
    double shifted = __builtin_fma(x, 0x1.71547652b82fep+0, integer);
    double n = shifted - integer;
    double r = __builtin_fma(n, -0x1.62e42feep-1, x);
    r = __builtin_fma(n, -0x1.a39ef35793c76p-33, r);
    double q = 0x1.1e3cc9aa6ff2fp-29;
    q = __builtin_fma(q, r, 0x1.af6c60ba0de8cp-26);
    q = __builtin_fma(q, r, 0x1.27e5b4fc5e905p-22);
    q = __builtin_fma(q, r, 0x1.71ddefdccb897p-19);
    q = __builtin_fma(q, r, 0x1.a01a0135f81c4p-16);
    q = __builtin_fma(q, r, 0x1.a01a01b398dccp-13);
    q = __builtin_fma(q, r, 0x1.6c16c16c3078ep-10);
    q = __builtin_fma(q, r, 0x1.111111110ec1ap-7);
    q = __builtin_fma(q, r, 0x1.5555555555502p-5);
    q = __builtin_fma(q, r, 0x1.555555555555bp-3);
    q = __builtin_fma(q, r, 0.5);
    double   one = 1.0 + r, rest_of_one = 1.0 - one + r; /* exact */
    double   p = one + __builtin_fma(r * r, q, rest_of_one);
    uint64_t biased = bits64(shifted) - bits64(integer) + 2046;
    uint64_t half = biased >> 1, rest = biased - half;
    return p * float64(half << 52) * float64(rest << 52);
}

/* ---- log ------------------------------------------------------------------------------------- */
INLINE float log32(float x)
{
    const float inf = __builtin_inff();
    bool        tiny = x < 0x1p-126f;
    float       scaled = tiny ? x * 0x1p23f : x;
    uint32_t    low = bits32(0x1.555556p-1f); /* 2/3 */
    uint32_t    w = bits32(scaled) + (bits32(1.0f) - low);
    float       k = (float)(int32_t)((w >> 23) - 127) - (tiny ? 23.0f : 0.0f);
    float       f = float32((w & 0x7fffff) + low) - 1.0f;
    float       p = 0x1.fa2dc6p-4f;
    p = __builtin_fmaf(p, f, -0x1.071c06p-3f);
    p = __builtin_fmaf(p, f, 0x1.b4b0fcp-4f);
    p = __builtin_fmaf(p, f, -0x1.f384c6p-4f);
    p = __builtin_fmaf(p, f, 0x1.252076p-3f);
    p = __builtin_fmaf(p, f, -0x1.55993ap-3f);
    p = __builtin_fmaf(p, f, 0x1.9995f6p-3f);
    p = __builtin_fmaf(p, f, -0x1.ffff0ep-3f);
    p = __builtin_fmaf(p, f, 0x1.555558p-2f);
    float t = f * f * __builtin_fmaf(p, f, -0.5f);
    float high = k * 0x1.63p-1f; /* exact */
    float sum = high + f, rest = high - sum + f;
    float r = sum + (rest + __builtin_fmaf(k, -0x1.bd0106p-13f, t));
    r = x < inf ? r : x;
    r = x > 0.0f ? r : __builtin_nanf("");
    return x == 0.0f ? -inf : r;
}

INLINE double log64(double x)
{
    const double inf = __builtin_inf(), integer = 0x1.8p52;
    bool         tiny = x < 0x1p-1022;
    double       scaled = tiny ? x * 0x1p52 : x;
    uint64_t     low = bits64(0x1.6a09e667f3bcdp-1); /* sqrt 1/2 */
    uint64_t     w = bits64(scaled) + (bits64(1.0) - low);
    double       k = float64((w >> 52) + bits64(integer)) - (integer + 1023.0) - (tiny ? 52.0 : 0.0);
    double       f = float64((w & 0xfffffffffffff) + low) - 1.0;
    double       s = f / (2.0 + f), z = s * s;
    double       p = 0x1.0f631bd781cdbp-3;
    p = __builtin_fma(p, z, 0x1.0f5cc804a8f64p-3);
    p = __builtin_fma(p, z, 0x1.3b20ab9999492p-3);
    p = __builtin_fma(p, z, 0x1.745cde356e050p-3);
    p = __builtin_fma(p, z, 0x1.c71c7258fe20bp-3);
    p = __builtin_fma(p, z, 0x1.249249242b411p-2);
    p = __builtin_fma(p, z, 0x1.9999999999dffp-2);
    p = __builtin_fma(p, z, 0x1.5555555555555p-1);
    double half = 0.5 * f * f;
    double t = __builtin_fma(s, __builtin_fma(z, p, half), -half);
    double high = k * 0x1.62e42feep-1; /* exact */
    double sum = high + f, rest = high - sum + f;
    double r = sum + (rest + __builtin_fma(k, 0x1.a39ef35793c76p-33, t));
    r = x < inf ? r : x;
    r = x > 0.0 ? r : __builtin_nan("");
    return x == 0.0 ? -inf : r;
}

/* ---- tanh ------------------------------------------------------------------------------------ */
INLINE float tanh32(float x)
{
    uint32_t sign = bits32(x) & 0x80000000u;
    float    a = float32(bits32(x) ^ sign), z = a * a;
    float    p = 0x1.34ef94p-9f;
    p = __builtin_fmaf(p, z, -0x1.12a754p-7f);
    p = __builtin_fmaf(p, z, 0x1.64ba8ep-6f);
    p = __builtin_fmaf(p, z, -0x1.ba06c4p-5f);
    p = __builtin_fmaf(p, z, 0x1.1110d2p-3f);
    p = __builtin_fmaf(p, z, -0x1.555554p-2f);
    float small = __builtin_fmaf(a * z, p, a);
    float large = 1.0f - 2.0f / (exp32(2.0f * a) + 1.0f);
    return float32(bits32(a < 0.5625f ? small : large) | sign);
}

INLINE double tanh64(double x)
{
    uint64_t sign = bits64(x) & 0x8000000000000000u;
    double   a = float64(bits64(x) ^ sign), z = a * a;
    double   p = -0x1.3193739f71f6ep-19;
    p = __builtin_fma(p, z, 0x1.8c2e64f078f7cp-17);
    p = __builtin_fma(p, z, -0x1.335ada0f962a3p-15);
    p = __builtin_fma(p, z, 0x1.91a5c11c9d0b9p-14);
    p = __builtin_fma(p, z, -0x1.f4bf2b7bfc181p-13);
    p = __builtin_fma(p, z, 0x1.354dca4db028cp-11);
    p = __builtin_fma(p, z, -0x1.7da2982378330p-10);
    p = __builtin_fma(p, z, 0x1.d6d3c5e67079bp-9);
    p = __builtin_fma(p, z, -0x1.226e352b35f8bp-7);
    p = __builtin_fma(p, z, 0x1.664f48818d702p-6);
    p = __builtin_fma(p, z, -0x1.ba1ba1ba175e2p-5);
    p = __builtin_fma(p, z, 0x1.11111111110d4p-3);
    p = __builtin_fma(p, z, -0x1.5555555555555p-2);
    double small = __builtin_fma(a * z, p, a);
    double large = 1.0 - 2.0 / (exp64(2.0 * a) + 1.0);
    return float64(bits64(a < 0.625 ? small : large) | sign);
}

/* ---- pow ------------------------------------------------------------------------------------- */
typedef struct pair { double high, low; } pair; /* their sum; |low| <= half an ulp of high */

INLINE pair pair_sum(double a, double b) /* |a| >= |b|, or a == 0 */
{
    double high = a + b;
    return (pair){ high, b - (high - a) };
}
INLINE pair pair_product(double a, double b)
{
    double high = a * b;
    return (pair){ high, __builtin_fma(a, b, -high) };
}

/* log of a finite a > 0, to about 100 bits of k ln 2 + f and 66 bits of itself */
static inline pair log_pair(double a)
{
    double   k = 0.0;
    uint64_t low = bits64(0x1.6a09e667f3bcdp-1);
    if (a < 0x1p-1022) {
        a *= 0x1p52;
        k = -52.0;
    }
    uint64_t w = bits64(a) + (bits64(1.0) - low);
    k += (double)(int64_t)(w >> 52) - 1023.0;
    double m = float64((w & 0xfffffffffffff) + low);
    /* s = (m - 1) / (m + 1) */
    double f = m - 1.0;
    pair   below = pair_sum(m > 1.0 ? m : 1.0, m > 1.0 ? 1.0 : m);
    pair   s = { f / below.high, 0.0 };
    s.low = (__builtin_fma(-s.high, below.high, f) - s.high * below.low) / below.high;
    /* log m = 2 s + 2 s^3 (1/3 + z (1/5 + z (1/7 + ...))), z = s^2 */
    pair z = pair_product(s.high, s.high);
    z.low += 2.0 * s.high * s.low;
    double t = 0.0;
    for (int i = 23; i >= 5; i -= 2) t = __builtin_fma(t, z.high, 1.0 / i);
    t *= z.high;
    pair third = pair_sum(0x1.5555555555555p-2, t);
    third.low += 0x1.5555555555555p-56;
    pair u = pair_product(z.high, third.high);
    u.low += __builtin_fma(z.high, third.low, z.low * third.high);
    pair v = pair_product(2.0 * s.high, u.high);
    v.low += 2.0 * __builtin_fma(s.high, u.low, s.low * u.high);
    pair r = pair_sum(2.0 * s.high, v.high);
    r = pair_sum(r.high, r.low + (v.low + 2.0 * s.low));
    if (k == 0.0) return r;
    pair sum = pair_sum(k * 0x1.62e42feep-1, r.high);
    pair more = pair_product(k, 0x1.a39ef35793c76p-33);
    more.low += k * 0x1.cc01f97b57a08p-87;
    pair joined = pair_sum(sum.high, more.high);
    return pair_sum(joined.high, joined.low + (sum.low + (r.low + more.low)));
}

static inline double exp_pair(pair x)
{
    const double integer = 0x1.8p52;
    if (!(x.high < 710.0)) return x.high * __builtin_inf(); /* NaN stays */
    if (x.high < -746.0) return 0.0;
    double shifted = __builtin_fma(x.high, 0x1.71547652b82fep+0, integer);
    double n = shifted - integer;
    double first = __builtin_fma(n, -0x1.62e42feep-1, x.high); /* exact */
    double more = __builtin_fma(n, -0x1.a39ef35793c76p-33, x.low);
    double r = first + more, seen = r - first;
    double low = (first - (r - seen)) + (more - seen); /* exact: r + low = first + more */
    double q = 0x1.1e3cc9aa6ff2fp-29;
    q = __builtin_fma(q, r, 0x1.af6c60ba0de8cp-26);
    q = __builtin_fma(q, r, 0x1.27e5b4fc5e905p-22);
    q = __builtin_fma(q, r, 0x1.71ddefdccb897p-19);
    q = __builtin_fma(q, r, 0x1.a01a0135f81c4p-16);
    q = __builtin_fma(q, r, 0x1.a01a01b398dccp-13);
    q = __builtin_fma(q, r, 0x1.6c16c16c3078ep-10);
    q = __builtin_fma(q, r, 0x1.111111110ec1ap-7);
    q = __builtin_fma(q, r, 0x1.5555555555502p-5);
    q = __builtin_fma(q, r, 0x1.555555555555bp-3);
    q = __builtin_fma(q, r, 0.5);
    pair     one = pair_sum(1.0, r);
    double   p = one.high + (one.low + __builtin_fma(r * r, q, __builtin_fma(low, r, low)));
    uint64_t biased = bits64(shifted) - bits64(integer) + 2046;
    uint64_t half = biased >> 1, rest = biased - half;
    return p * float64(half << 52) * float64(rest << 52);
}

/* What an exponent says about negative bases. */
typedef enum parity { NOT_INTEGER, EVEN, ODD } parity;
static inline parity parity_of(double c)
{
    double a = c < 0.0 ? -c : c;
    if (a >= 0x1p53) return EVEN; /* infinity too, as in C */
    if (a != a) return NOT_INTEGER;
    int64_t i = (int64_t)a;
    return (double)i != a ? NOT_INTEGER : i % 2 ? ODD : EVEN;
}

/* x^c; c is not 0. */
static inline double pow64(double x, double c)
{
    parity p = parity_of(c);
    double a = x < 0.0 ? -x : x, inf = __builtin_inf(), r;
    if (x == 1.0 || (a == 1.0 && p == EVEN)) return 1.0;
    if (x != x || c != c) return x + c;
    if (x < 0.0 && a < inf && p == NOT_INTEGER) return __builtin_nan("");
    if (c == inf || c == -inf || a == 0.0 || a == inf) {
        r = (a < 1.0) == (c < 0.0) ? inf : 0.0;
    } else {
        pair l = log_pair(a), y = pair_product(c, l.high);
        y.low = __builtin_fma(c, l.low, y.low);
        r = exp_pair(y);
    }
    return float64(bits64(r) | (p == ODD ? bits64(x) & 0x8000000000000000u : 0));
}

/* The same for a float; p is the parity of c. */
INLINE float pow32(float x, double c, parity p)
{
    double a = x < 0.0f ? -(double)x : (double)x;
    double r = a == 1.0 ? 1.0 : exp64(c * log64(a));
    double bad = x < 0.0f && a < __builtin_inf() && p == NOT_INTEGER ? __builtin_nan("") : 0.0;
    return float32(bits32((float)(r + bad)) | (p == ODD ? bits32(x) & 0x80000000u : 0));
}

#if LS_REAL_BITS == 32
#define exp1(x) exp32(x)
#define log1(x) log32(x)
#define tanh1(x) tanh32(x)
#else
#define exp1(x) exp64(x)
#define log1(x) log64(x)
#define tanh1(x) tanh64(x)
#endif
