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

#define SIGN ((word)1 << (sizeof(word) * 8 - 1))
#define UNITS ((word)1 << FRACTION_BITS)  /* of the last place: the least normal number */
#define FAR (UNITS * (FRACTION_BITS + 4)) /* subnormal numbers do not change this one, nor larger ones */

INLINE int is_subnormal(real x) { return (bits_of(x) & ~SIGN) - 1 < UNITS - 1; }

/* m times k units of the last place, rounded to units; k < UNITS, 0 <= m <= 1. */
INLINE word shrunk(word k, real m)
{
    const word one = bits_of((real)UNITS); /* whose last place is 1 */
    return bits_of(fused1(real_of(one | k) - (real)UNITS, m, (real)UNITS)) - one;
}

/* decays, moves, first, nesterov, rests are constants where it is called. moves: there is momentum.
 * rests: where d is 0, the buffer subnormal before and after, and p far from it, the buffer is made of
 * integers and counts for 0 in what changes p, which keeps its value. Whether all p are finite. */
INLINE bool sgd_loop(int64_t n, real *p, const real *g, real *buf, sgd_setting s, bool decays, bool moves,
                     bool first, bool nesterov, bool rests)
{
    const word infinite = bits_of((real)__builtin_inf());
    word       found = 0; /* with SIGN where an exponent is the highest: one more overflows into it */
    EACH
    for (int64_t i = 0; i < n; i++) {
        real d = decays ? fused1(p[i], s.decay, g[i]) : g[i];
        if (moves) {
            const word size = bits_of(buf[i]) & ~SIGN, less = shrunk(size & (UNITS - 1), s.momentum);
            const bool rest = rests & is_subnormal(buf[i]) & (less != 0) & (d == 0) &
                              ((bits_of(p[i]) & ~SIGN) - FAR <= infinite - FAR);
            /* A mask, as a choice could be made after the product. */
            const word kept = (word)rest - 1;
            const real b = first ? d : fused1(d, s.fresh, s.momentum * real_of(bits_of(buf[i]) & kept));
            buf[i] = real_of(rest ? less | (bits_of(buf[i]) & SIGN) : bits_of(b));
            d = nesterov ? fused1(b, s.momentum, d) : b;
        }
        p[i] = fused1(d, s.minus_lr, p[i]);
        found |= (bits_of(p[i]) & infinite) + UNITS;
    }
    return !(found & SIGN);
}

static bool any_subnormal(int64_t n, const real *x)
{
    word found = 0;
    for (int64_t i = 0; i < n; i++) found |= is_subnormal(x[i]);
    return found != 0;
}

static bool sgd(int64_t n, void *p_, const void *g_, void *buf_, const ls_sgd_step *s)
{
    enum { SGD_PART = 128 }; /* what rests lies together: the inputs or outputs that are always 0 */
    const sgd_setting set = { (real)-s->lr, (real)s->momentum, (real)(1.0 - s->dampening),
                              (real)s->weight_decay };
    const bool decays = s->weight_decay != 0, moves = s->momentum != 0;
    const bool may_rest = moves && !s->first && set.momentum > 0 && set.momentum <= 1 && set.minus_lr <= 1 &&
                          set.minus_lr >= -1 && set.fresh - set.fresh == 0;
    real       *p = p_, *buf = buf_;
    bool        finite = true;
    const real *g = g_;
#define SGD(moves, first, nesterov, rests)                                                           \
    do {                                                                                             \
        if (decays) finite &= sgd_loop(now, p, g, buf, set, true, moves, first, nesterov, rests);              \
        else finite &= sgd_loop(now, p, g, buf, set, false, moves, first, nesterov, rests);                    \
    } while (0)
    for (int64_t now; n > 0; n -= now, p += now, g += now, buf += moves ? now : 0) {
        now = n < SGD_PART ? n : SGD_PART;
        const bool rests = may_rest && any_subnormal(now, buf);
        if (!moves) SGD(false, false, false, false);
        else if (s->first && s->nesterov) SGD(true, true, true, false);
        else if (s->first) SGD(true, true, false, false);
        else if (s->nesterov && rests) SGD(true, false, true, true);
        else if (s->nesterov) SGD(true, false, true, false);
        else if (rests) SGD(true, false, false, true);
        else SGD(true, false, false, false);
    }
#undef SGD
    return finite;
}
