/* special.h -- erf, log1p, and the activations made of them, the same bits everywhere as functions.h.
 *
 * Method  erf      x + x p(x^2) below 1; above 1 - e^q(x), q = log erfc
 *         log1p    log u + (x - (u - 1)) / u, u = 1 + x rounded
 *         sigmoid  1 / (1 + e^-|x|), or e^-|x| times as much: never e of a positive number
 *         others   as in PyTorch, a rounding a step
 */
#pragma once
#include "kernel/functions.h"

/* ---- erf ------------------------------------------------------------------------------------- */
INLINE float erf32(float x)
{
    uint32_t sign = bits32(x) & 0x80000000u;
    float    a = float32(bits32(x) ^ sign), z = a * a, t = a > 4.0f ? 4.0f : a;
    float    p = 0x1.496a3p-14f;
    p = __builtin_fmaf(p, z, -0x1.a3f7p-11f);
    p = __builtin_fmaf(p, z, 0x1.5405b2p-8f);
    p = __builtin_fmaf(p, z, -0x1.b7f90ep-6f);
    p = __builtin_fmaf(p, z, 0x1.ce2cf8p-4f);
    p = __builtin_fmaf(p, z, -0x1.81273ep-2f);
    p = __builtin_fmaf(p, z, 0x1.06eba8p-3f);
    float    q = -0x1.6c0694p-16f;
    q = __builtin_fmaf(q, t, 0x1.ceeafp-12f);
    q = __builtin_fmaf(q, t, -0x1.1398fap-8f);
    q = __builtin_fmaf(q, t, 0x1.9d0bd6p-6f);
    q = __builtin_fmaf(q, t, -0x1.bc18dp-4f);
    q = __builtin_fmaf(q, t, -0x1.4434fp-1f);
    q = __builtin_fmaf(q, t, -0x1.212c2cp+0f);
    q = __builtin_fmaf(q, t, 0x1.8b3f34p-13f);
    float    small = __builtin_fmaf(a, p, a), large = 1 - exp32(q);
    return float32(bits32(a < 1 ? small : large) | sign);
}

INLINE double erf64(double x)
{
    uint64_t sign = bits64(x) & 0x8000000000000000u;
    double   a = float64(bits64(x) ^ sign), z = a * a, t = a > 6.0 ? 6.0 : a;
    double   p = 0x1.0579abb6c54d3p-34;
    p = __builtin_fma(p, z, -0x1.386ac121c9fe1p-30);
    p = __builtin_fma(p, z, 0x1.f7a4124b8d5f4p-27);
    p = __builtin_fma(p, z, -0x1.5f1d36c4e7ed9p-23);
    p = __builtin_fma(p, z, 0x1.b9def19e3ff8fp-20);
    p = __builtin_fma(p, z, -0x1.f4d1df395114ep-17);
    p = __builtin_fma(p, z, 0x1.f9a321a11e1a2p-14);
    p = __builtin_fma(p, z, -0x1.c02db3d8ed26bp-11);
    p = __builtin_fma(p, z, 0x1.565bcd0db02e5p-8);
    p = __builtin_fma(p, z, -0x1.b82ce3128499cp-6);
    p = __builtin_fma(p, z, 0x1.ce2f21a042b2p-4);
    p = __builtin_fma(p, z, -0x1.812746b0379e6p-2);
    p = __builtin_fma(p, z, 0x1.06eba8214db69p-3);
    double   q = 0x1.95d5c7fcf33d5p-46;
    q = __builtin_fma(q, t, -0x1.5f107eb6acc59p-40);
    q = __builtin_fma(q, t, 0x1.1f906297483bbp-35);
    q = __builtin_fma(q, t, -0x1.28b3a5936bc33p-31);
    q = __builtin_fma(q, t, 0x1.b087ae8ccbc86p-28);
    q = __builtin_fma(q, t, -0x1.d946d7249c819p-25);
    q = __builtin_fma(q, t, 0x1.92a7e59183e27p-22);
    q = __builtin_fma(q, t, -0x1.0fb0586b89985p-19);
    q = __builtin_fma(q, t, 0x1.24d234a5a603p-17);
    q = __builtin_fma(q, t, -0x1.f3c27f8ecb5e7p-16);
    q = __builtin_fma(q, t, 0x1.44ee09dc003aap-14);
    q = __builtin_fma(q, t, -0x1.1a76b2aa98996p-13);
    q = __builtin_fma(q, t, 0x1.eba539f48ba4bp-15);
    q = __builtin_fma(q, t, 0x1.09cfad00c2c88p-11);
    q = __builtin_fma(q, t, -0x1.ab4388f132361p-10);
    q = __builtin_fma(q, t, 0x1.5e153aec3a127p-13);
    q = __builtin_fma(q, t, 0x1.39be98b84b605p-6);
    q = __builtin_fma(q, t, -0x1.a4fd1a42ed7a5p-4);
    q = __builtin_fma(q, t, -0x1.45f2c190ec2fdp-1);
    q = __builtin_fma(q, t, -0x1.20dd7ac2deffap+0);
    q = __builtin_fma(q, t, 0x1.cd475dbf226dp-26);
    double   small = __builtin_fma(a, p, a), large = 1 - exp64(q);
    return float64(bits64(a < 1 ? small : large) | sign);
}

#if LS_REAL_BITS == 32
#define erf1(x) erf32(x)
#else
#define erf1(x) erf64(x)
#endif

/* ---- log1p, sigmoid, softplus ---------------------------------------------------------------- */
INLINE real absolute1(real x) { return x < 0 ? -x : x + 0; }
INLINE real sign1(real x) { return (real)((x > 0) - (x < 0)); } /* the slope of it; 0 of NaN, as in PyTorch */

INLINE real log1p1(real x)
{
    const real inf = (real)__builtin_inf();
    real       u = 1 + x;
    real       lost = u > 0 && u < inf ? (x - (u - 1)) / u : 0;
    return u == 1 ? x : log1(u) + lost;
}

INLINE real sigmoid1(real x)
{
    real e = exp1(-absolute1(x));
    return (x < 0 ? e : 1) / (1 + e);
}

/* Linear from 20 on. */
INLINE real softplus1(real x, real beta)
{
    real z = x * beta;
    return z > 20 ? x : log1p1(exp1(z)) / beta;
}
INLINE real softplus_slope1(real x, real beta)
{
    real z = x * beta;
    return z > 20 ? 1 : sigmoid1(z);
}

/* ---- x times something between 0 and 1 ------------------------------------------------------- */
INLINE real silu1(real x)
{
    real e = exp1(-absolute1(x));
    return (x < 0 ? x * e : x) / (1 + e);
}
INLINE real silu_slope1(real x)
{
    real s = sigmoid1(x);
    return s * (1 + x * (1 - s));
}

INLINE real gelu1(real x) { return x * (real)0.5 * (1 + erf1(x * (real)0.70710678118654752440)); }
INLINE real gelu_slope1(real x)
{
    real below = (real)0.5 * (1 + erf1(x * (real)0.70710678118654752440));
    real density = (real)0.39894228040143267794 * exp1(x * x * (real)-0.5);
    return below + x * density;
}

INLINE real gelu_inner1(real x)
{
    return (real)0.79788456080286535588 * (x + (real)0.044715 * (x * x * x));
}
INLINE real gelu_tanh1(real x) { return (real)0.5 * x * (1 + tanh1(gelu_inner1(x))); }
INLINE real gelu_tanh_slope1(real x)
{
    real t = tanh1(gelu_inner1(x));
    real inner = (real)0.79788456080286535588 * (1 + 3 * (real)0.044715 * x * x);
    return (real)0.5 * (1 + t) + (real)0.5 * x * (1 - t * t) * inner;
}
