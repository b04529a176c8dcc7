/* real.h -- the floating type of one compilation and its vectors.
 *
 * float.c and double.c define LS_REAL_BITS and include everything here once for each instruction set.
 * A vec holds LANES reals. How many there are changes no result: each element of a result has its own
 * chain of operations, and sums that use several lanes fix their number (sum.h).
 */
#pragma once
#include "kernel/kernel.h"
#include <float.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

_Static_assert(FLT_EVAL_METHOD == 0, "every operation must round to its own type");

#if LS_REAL_BITS == 32
typedef float    real;
typedef uint32_t word; /* the bits of a real */
#define FRACTION_BITS 23
#define fused1(a, b, c) __builtin_fmaf(a, b, c)
#define sqrt1(x) __builtin_sqrtf(x)
#else
typedef double   real;
typedef uint64_t word;
#define FRACTION_BITS 52
#define fused1(a, b, c) __builtin_fma(a, b, c)
#define sqrt1(x) __builtin_sqrt(x)
#endif

#define INLINE static inline __attribute__((always_inline))
/* UNROLL: the next loop, of constant length, becomes straight code. EACH: iterations of the next loop
 * are independent; arrays are the same or do not overlap. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed" /* EACH allows, and demands nothing */
#define UNROLL _Pragma("clang loop unroll(full)")
#define EACH _Pragma("clang loop vectorize(assume_safety)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#define EACH _Pragma("GCC ivdep")
#endif

#if defined(__AVX512F__)
#define VEC_BYTES 64
#define VEC_REGISTERS 32
#elif defined(__AVX2__)
#define VEC_BYTES 32
#define VEC_REGISTERS 16
#elif defined(__SSE2__)
#define VEC_BYTES 16
#define VEC_REGISTERS 16
#else
#define VEC_BYTES 16
#define VEC_REGISTERS 32
#endif
enum { LANES = VEC_BYTES / sizeof(real) };
typedef real vec __attribute__((vector_size(VEC_BYTES)));
typedef real vec_anywhere __attribute__((vector_size(VEC_BYTES), aligned(sizeof(real)), may_alias));

INLINE vec  load(const real *p) { return *(const vec_anywhere *)p; }
INLINE void store(real *p, vec v) { *(vec_anywhere *)p = v; }
INLINE vec  splat(real x) { return x - (vec){ 0 }; } /* minus: -0 stays -0 */

INLINE word bits_of(real x)
{
    union { real x; word w; } u = { x };
    return u.w;
}

/* INTRINSIC(op): the instruction set's name for op on a vec, where it has one. */
#define PASTE(a, b, c) PASTE_OF(a, b, c)
#define PASTE_OF(a, b, c) a##b##c
#if LS_REAL_BITS == 32
#define PACKED _ps
#else
#define PACKED _pd
#endif
#if VEC_BYTES == 64
#define INTRINSIC(op) PASTE(_mm512_, op, PACKED)
#elif VEC_BYTES == 32
#define INTRINSIC(op) PASTE(_mm256_, op, PACKED)
#elif defined(__SSE2__)
#define INTRINSIC(op) PASTE(_mm_, op, PACKED)
#endif

/* a b + c, rounded once */
INLINE vec fused(vec a, vec b, vec c)
{
#if defined(__FMA__)
    return (vec)INTRINSIC(fmadd)(a, b, c);
#else
    for (int i = 0; i < LANES; i++) c[i] = fused1(a[i], b[i], c[i]);
    return c;
#endif
}

/* a > b ? a : b */
INLINE vec larger(vec a, vec b)
{
#if defined(INTRINSIC)
    return (vec)INTRINSIC(max)(a, b);
#else
    for (int i = 0; i < LANES; i++) b[i] = a[i] > b[i] ? a[i] : b[i];
    return b;
#endif
}

/* The first count lanes, 0 <= count <= LANES; the others are 0. */
INLINE vec load_some(const real *p, int64_t count)
{
#if VEC_BYTES == 64
    return (vec)INTRINSIC(maskz_loadu)((uint16_t)((1u << count) - 1), p);
#else
    if (count == LANES) return load(p);
    vec v = { 0 };
    for (int64_t i = 0; i < count; i++) v[i] = p[i];
    return v;
#endif
}

INLINE void store_some(real *p, vec v, int64_t count)
{
#if VEC_BYTES == 64
    INTRINSIC(mask_storeu)(p, (uint16_t)((1u << count) - 1), v);
#else
    if (count == LANES) store(p, v);
    else for (int64_t i = 0; i < count; i++) p[i] = v[i];
#endif
}

/* ---- transposing: CROSS columns of LANES rows at a time -----------------------------------------
 * out[t] lane i = from[i * ld + t], t < CROSS: as many reals as 16 bytes hold. */
enum { CROSS = 16 / sizeof(real) };
#if !defined(__SSE2__)
INLINE void transpose(const real *from, int64_t ld, vec out[CROSS])
{
    for (int t = 0; t < CROSS; t++)
        for (int i = 0; i < LANES; i++) out[t][i] = from[i * ld + t];
}
INLINE void cross(vec v[CROSS])
{
    for (int q = 0; q < LANES; q += CROSS)
        for (int s = 0; s < CROSS; s++)
            for (int t = 0; t < s; t++) {
                real x = v[s][q + t];
                v[s][q + t] = v[t][q + s];
                v[t][q + s] = x;
            }
}
#else
#if LS_REAL_BITS == 32
#define PIECE(i) _mm_loadu_ps(from + (i) * ld)
#else
#define PIECE(i) _mm_castpd_ps(_mm_loadu_pd(from + (i) * ld))
#endif
#if VEC_BYTES == 64
typedef __m512  vec_s;
typedef __m512d vec_d;
#define LOW_S(a, b) _mm512_unpacklo_ps(a, b)
#define HIGH_S(a, b) _mm512_unpackhi_ps(a, b)
#define LOW_D(a, b) _mm512_unpacklo_pd((vec_d)(a), (vec_d)(b))
#define HIGH_D(a, b) _mm512_unpackhi_pd((vec_d)(a), (vec_d)(b))
#elif VEC_BYTES == 32
typedef __m256  vec_s;
typedef __m256d vec_d;
#define LOW_S(a, b) _mm256_unpacklo_ps(a, b)
#define HIGH_S(a, b) _mm256_unpackhi_ps(a, b)
#define LOW_D(a, b) _mm256_unpacklo_pd((vec_d)(a), (vec_d)(b))
#define HIGH_D(a, b) _mm256_unpackhi_pd((vec_d)(a), (vec_d)(b))
#else
typedef __m128  vec_s;
typedef __m128d vec_d;
#define LOW_S(a, b) _mm_unpacklo_ps(a, b)
#define HIGH_S(a, b) _mm_unpackhi_ps(a, b)
#define LOW_D(a, b) _mm_unpacklo_pd((vec_d)(a), (vec_d)(b))
#define HIGH_D(a, b) _mm_unpackhi_pd((vec_d)(a), (vec_d)(b))
#endif

/* 16 bytes from each of the rows q, q + CROSS, q + 2 CROSS, ... */
INLINE vec_s pieces(const real *from, int64_t ld, int q)
{
#if VEC_BYTES == 64
    vec_s v = _mm512_castps128_ps512(PIECE(q));
    v = _mm512_insertf32x4(v, PIECE(q + CROSS), 1);
    v = _mm512_insertf32x4(v, PIECE(q + 2 * CROSS), 2);
    return _mm512_insertf32x4(v, PIECE(q + 3 * CROSS), 3);
#elif VEC_BYTES == 32
    return _mm256_insertf128_ps(_mm256_castps128_ps256(PIECE(q)), PIECE(q + CROSS), 1);
#else
    return PIECE(q);
#endif
}

/* In each 16 bytes of the vecs, a square of CROSS x CROSS reals is transposed: vec s then holds lanes s,
 * s + CROSS, ... of all, side by side. */
INLINE void cross(vec v[CROSS])
{
#if LS_REAL_BITS == 32
    vec_s ab = LOW_S((vec_s)v[0], (vec_s)v[1]), cd = LOW_S((vec_s)v[2], (vec_s)v[3]);
    vec_s AB = HIGH_S((vec_s)v[0], (vec_s)v[1]), CD = HIGH_S((vec_s)v[2], (vec_s)v[3]);
    v[0] = (vec)LOW_D(ab, cd);
    v[1] = (vec)HIGH_D(ab, cd);
    v[2] = (vec)LOW_D(AB, CD);
    v[3] = (vec)HIGH_D(AB, CD);
#else
    vec low = (vec)LOW_D(v[0], v[1]);
    v[1] = (vec)HIGH_D(v[0], v[1]);
    v[0] = low;
#endif
}

INLINE void transpose(const real *from, int64_t ld, vec out[CROSS])
{
    UNROLL
    for (int q = 0; q < CROSS; q++) out[q] = (vec)pieces(from, ld, q);
    cross(out);
}
#endif

/* A square of 16 bytes each, in as many vecs as a vec holds of them, is transposed; apart: vecs from one to the
 * next. */
INLINE void cross_pieces(vec *v, int apart)
{
#if VEC_BYTES == 64
    const vec_s a = (vec_s)v[0], b = (vec_s)v[apart], c = (vec_s)v[2 * apart], d = (vec_s)v[3 * apart];
    const vec_s low = _mm512_shuffle_f32x4(a, b, 0x44), high = _mm512_shuffle_f32x4(a, b, 0xee);
    const vec_s Low = _mm512_shuffle_f32x4(c, d, 0x44), High = _mm512_shuffle_f32x4(c, d, 0xee);
    v[0] = (vec)_mm512_shuffle_f32x4(low, Low, 0x88);
    v[apart] = (vec)_mm512_shuffle_f32x4(low, Low, 0xdd);
    v[2 * apart] = (vec)_mm512_shuffle_f32x4(high, High, 0x88);
    v[3 * apart] = (vec)_mm512_shuffle_f32x4(high, High, 0xdd);
#elif VEC_BYTES == 32
    const vec_s a = (vec_s)v[0], b = (vec_s)v[apart];
    v[0] = (vec)_mm256_permute2f128_ps(a, b, 0x20);
    v[apart] = (vec)_mm256_permute2f128_ps(a, b, 0x31);
#else
    (void)v, (void)apart;
#endif
}

/* transpose() for LANES columns: of each row all at once, so that rows may fall on one another in the cache. */
INLINE void transpose_square(const real *from, int64_t ld, vec out[LANES])
{
    UNROLL
    for (int i = 0; i < LANES; i++) out[i] = load(from + i * ld);
    UNROLL
    for (int q = 0; q < LANES; q += CROSS) cross(out + q);
    UNROLL
    for (int s = 0; s < CROSS; s++) cross_pieces(out + s, CROSS);
}

/* Either, for columns LANES or CROSS, a constant. */
INLINE void transpose_some(int columns, const real *from, int64_t ld, vec out[LANES])
{
    if (columns == LANES) transpose_square(from, ld, out);
    else transpose(from, ld, out);
}

