/* pair.h -- element by element from two arrays of one shape, and the slopes of both; choosing.
 *
 * The forms are PyTorch's, a rounding a step, so that losses agree with it in the last digits; but for
 * that of scores, whose terms do not cancel here: max(x, 0) - x y + log(1 + e^-|x|).
 */
#pragma once
#include "kernel/element.h"

INLINE real power1(real x, real y)
{
#if LS_REAL_BITS == 32
    return y == 0 ? 1 : x == 1 ? 1 : pow32(x, y, parity_of(y));
#else
    return y == 0 ? 1 : pow64(x, y);
#endif
}

INLINE real log_at_least(real x) /* -100, so that a cost stays finite */
{
    return x < (real)-100 ? (real)-100 : x;
}

/* x op y; c: where huber and smooth_l1 become straight */
INLINE real pair1(ls_pair op, real c, real x, real y)
{
    const real half = (real)0.5;
    real       d = absolute1(x - y);
    switch (op) {
    case LS_PAIR_DIV: return x / y;
    case LS_PAIR_POW: return power1(x, y);
    case LS_PAIR_MINIMUM: return y < x || y != y ? y : x;
    case LS_PAIR_MAXIMUM: return y > x || y != y ? y : x;
    case LS_PAIR_L1: return d;
    case LS_PAIR_SMOOTH_L1: return d < c ? half * d * d / c : d - half * c;
    case LS_PAIR_HUBER: return d <= c ? half * d * d : c * (d - half * c);
    case LS_PAIR_BCE: return (y - 1) * log_at_least(log1p1(-x)) - y * log_at_least(log1(x));
    case LS_PAIR_BCE_LOGITS: return (x < 0 ? -y : 1 - y) * x + log1p1(exp1(-absolute1(x)));
    case LS_PAIR_KL: return (y == 0 ? 0 : y * log1(y)) - y * x;
    case LS_PAIR_KL_LOG: return exp1(y) * (y - x);
    }
    return 0;
}

/* g times the slope along x. */
INLINE real pair_first1(ls_pair op, real c, real x, real y, real g)
{
    const real half = (real)0.5;
    real       d = x - y;
    switch (op) {
    case LS_PAIR_DIV: return g / y;
    case LS_PAIR_POW: return y == 0 ? 0 : g * (y * power1(x, y - 1));
    case LS_PAIR_MINIMUM: return x == y ? g * half : y < x ? 0 : g;
    case LS_PAIR_MAXIMUM: return x == y ? g * half : y > x ? 0 : g;
    case LS_PAIR_L1: return g * sign1(d);
    case LS_PAIR_SMOOTH_L1: return d >= c ? g : d <= -c ? -g : g * d / c;
    case LS_PAIR_HUBER: return d >= c ? g * c : d <= -c ? -g * c : g * d;
    case LS_PAIR_BCE: {
        real w = (1 - x) * x, least = 1e-12f; /* of PyTorch in both types */
        return g * (x - y) / (w < least ? least : w);
    }
    case LS_PAIR_BCE_LOGITS: return g * (sigmoid1(x) - y);
    case LS_PAIR_KL: return y == 0 ? 0 : -y * g;
    case LS_PAIR_KL_LOG: return -exp1(y) * g;
    }
    return 0;
}

/* g times the slope along y. */
INLINE real pair_second1(ls_pair op, real c, real x, real y, real g)
{
    switch (op) {
    case LS_PAIR_DIV: return -g * (x / y / y);
    case LS_PAIR_POW: return x == 0 && y >= 0 ? 0 : g * (power1(x, y) * log1(x));
    case LS_PAIR_MINIMUM: return pair_first1(op, c, y, x, g);
    case LS_PAIR_MAXIMUM: return pair_first1(op, c, y, x, g);
    case LS_PAIR_L1:
    case LS_PAIR_SMOOTH_L1:
    case LS_PAIR_HUBER: return pair_first1(op, c, y, x, g);
    case LS_PAIR_BCE: return g * (log1p1(-x) - log1(x));
    case LS_PAIR_BCE_LOGITS: return g * -x;
    case LS_PAIR_KL: return g * (log1(y) + y / y - x);
    case LS_PAIR_KL_LOG: return g * (exp1(y) * (y - x + 1));
    }
    return 0;
}

/* Each operation in a loop of its own. */
#define EACH_PAIR(EACH_ONE)                                                                          \
    switch (op) {                                                                                    \
        EACH_ONE(LS_PAIR_DIV)                                                                        \
        EACH_ONE(LS_PAIR_POW)                                                                        \
        EACH_ONE(LS_PAIR_MINIMUM)                                                                    \
        EACH_ONE(LS_PAIR_MAXIMUM)                                                                    \
        EACH_ONE(LS_PAIR_L1)                                                                         \
        EACH_ONE(LS_PAIR_SMOOTH_L1)                                                                  \
        EACH_ONE(LS_PAIR_HUBER)                                                                      \
        EACH_ONE(LS_PAIR_BCE)                                                                        \
        EACH_ONE(LS_PAIR_BCE_LOGITS)                                                                 \
        EACH_ONE(LS_PAIR_KL)                                                                         \
        EACH_ONE(LS_PAIR_KL_LOG)                                                                     \
    }

static void pair_of(ls_pair op, double constant, int64_t n, const void *a_, const void *b_, void *out)
{
    const real *a = a_, *b = b_, c = (real)constant;
    real       *y = out;
#define FORWARD(name)                                                                                \
    case name: EACH_Y(pair1(name, c, a[i], b[i])); return;
    EACH_PAIR(FORWARD)
#undef FORWARD
}

static void pair_back(ls_pair op, int which, double constant, int64_t n, const void *a_, const void *b_,
                      const void *g_, void *dx_, bool add)
{
    const real *a = a_, *b = b_, *g = g_, c = (real)constant;
    real       *dx = dx_;
    if (which == 0) {
#define FIRST(name)                                                                                  \
    case name: EACH_DX(pair_first1(name, c, a[i], b[i], g[i])); return;
        EACH_PAIR(FIRST)
#undef FIRST
    } else {
#define SECOND(name)                                                                                 \
    case name: EACH_DX(pair_second1(name, c, a[i], b[i], g[i])); return;
        EACH_PAIR(SECOND)
#undef SECOND
    }
}

/* out (+)= which ? a : b; NULL: 0 */
static void choose(int64_t n, const int64_t *which, const void *a_, const void *b_, void *out, bool add)
{
    const real *a = a_, *b = b_;
    real       *y = out;
    for (int64_t i = 0; i < n; i++) {
        const real *from = which[i] ? a : b;
        put(add, y + i, from ? from[i] : 0);
    }
}
