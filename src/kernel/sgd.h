/* sgd.h -- the update of stochastic gradient descent.
 *
 * A weight whose gradient stays 0 has a momentum buffer that shrinks until it is subnormal, and may stay
 * so for ever: m times a few units of the last place rounds to as many. A processor may take a hundred
 * cycles for one such product. Here such buffers are k units of the last place: 2^FRACTION_BITS + m k,
 * a normal number rounded once, has in its last bits the integer nearest to m k, ties to even.
 */
#pragma once
#include "kernel/functions.h"

typedef struct sgd_setting { real minus_lr, momentum, fresh, decay; } sgd_setting;

INLINE real real_of(word w)
{
    union { word w; real x; } u = { w };
    return u.x;
}

#if LS_REAL_BITS == 32
typedef int32_t magnitude; /* the bits of an absolute value: ordered as those are, NaN above all */
#else
typedef int64_t magnitude;
#endif
#define SIGN ((word)1 << (sizeof(word) * 8 - 1))
#define UNITS ((word)1 << FRACTION_BITS)  /* of the last place: the least normal number */
#define FAR (UNITS * (FRACTION_BITS + 4)) /* subnormal numbers do not change this one, nor larger ones */

INLINE magnitude magnitude_of(real x) { return (magnitude)(bits_of(x) & ~SIGN); }

/* decays, moves, first, nesterov, rests are constants where it is called. moves: there is momentum.
 * rests: where d is 0, the buffer subnormal before and after, and p far from it, the buffer is made of
 * integers and counts for 0 in what changes p, which keeps its value. Whether all p are finite. */
INLINE bool sgd_loop(int64_t n, real *p, const real *g, real *buf, sgd_setting s, bool decays, bool moves,
                     bool first, bool nesterov, bool rests)
{
    const word one = bits_of((real)UNITS); /* whose last place is 1 */
    magnitude  largest = 0;
    EACH
    for (int64_t i = 0; i < n; i++) {
        real d = decays ? fused1(p[i], s.decay, g[i]) : g[i];
        if (moves) {
            const magnitude units = magnitude_of(buf[i]); /* so many, where it is subnormal */
            const real      real_units = real_of(one | (word)units) - (real)UNITS;
            const word      less = bits_of(fused1(real_units, s.momentum, (real)UNITS)) - one;
            const bool rest = rests & (units < (magnitude)UNITS) & (less != 0) & (d == 0) &
                              (magnitude_of(p[i]) >= (magnitude)FAR);
            /* A mask, as a choice could be made after the product. */
            const word kept = (word)rest - 1;
            const real b = first ? d : fused1(d, s.fresh, s.momentum * real_of(bits_of(buf[i]) & kept));
            buf[i] = real_of(rest ? less | (bits_of(buf[i]) & SIGN) : bits_of(b));
            d = nesterov ? fused1(b, s.momentum, d) : b;
        }
        p[i] = fused1(d, s.minus_lr, p[i]);
        largest = magnitude_of(p[i]) > largest ? magnitude_of(p[i]) : largest;
    }
    return largest < magnitude_of((real)__builtin_inf());
}

INLINE bool any_subnormal(int64_t n, const real *x)
{
    word least_but_one = UNITS; /* 0 but one is the largest */
    for (int64_t i = 0; i < n; i++) {
        const word but_one = (word)magnitude_of(x[i]) - 1;
        least_but_one = but_one < least_but_one ? but_one : least_but_one;
    }
    return least_but_one < UNITS - 1;
}

/* Where buffers may rest. With masks for lanes, all are taken as if some did: it takes little longer than to look.
 * Else it takes more than twice as long, and parts are looked at: what rests lies together, the inputs or outputs
 * that are always 0. */
INLINE bool sgd_resting(int64_t n, real *p, const real *g, real *buf, sgd_setting s, bool decays, bool nesterov)
{
    enum { SGD_PART = 128, LOOKS = VEC_BYTES < 64 };
    bool finite = true;
    for (int64_t now; n > 0; n -= now, p += now, g += now, buf += now) {
        now = LOOKS && n > SGD_PART ? SGD_PART : n;
        if (!LOOKS || any_subnormal(now, buf))
            finite &= sgd_loop(now, p, g, buf, s, decays, true, false, nesterov, true);
        else finite &= sgd_loop(now, p, g, buf, s, decays, true, false, nesterov, false);
    }
    return finite;
}

static bool sgd(int64_t n, void *p, const void *g, void *buf, const ls_sgd_step *s)
{
    const sgd_setting set = { (real)-s->lr, (real)s->momentum, (real)(1.0 - s->dampening),
                              (real)s->weight_decay };
    const bool decays = s->weight_decay != 0, moves = s->momentum != 0;
    const bool may_rest = moves && !s->first && set.momentum > 0 && set.momentum <= 1 && set.minus_lr <= 1 &&
                          set.minus_lr >= -1 && set.fresh - set.fresh == 0;
#define SGD(loop, ...)                                                                               \
    (decays ? loop(n, p, g, buf, set, true, __VA_ARGS__) : loop(n, p, g, buf, set, false, __VA_ARGS__))
    if (!moves) return SGD(sgd_loop, false, false, false, false);
    if (s->first) return s->nesterov ? SGD(sgd_loop, true, true, true, false) : SGD(sgd_loop, true, true, false, false);
    if (may_rest) return s->nesterov ? SGD(sgd_resting, true) : SGD(sgd_resting, false);
    return s->nesterov ? SGD(sgd_loop, true, false, true, false) : SGD(sgd_loop, true, false, false, false);
#undef SGD
}
