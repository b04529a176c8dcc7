/* extreme.h -- the largest or smallest down to a smaller shape, and its gradient, which equals share.
 *
 * NaN wins. Axes as in sum_to.h: some stay, the others make runs of which one element is left.
 */
#pragma once
#include "kernel/element.h"

typedef struct runs { axes kept, along; int64_t size, n; } runs;

static runs runs_of(ls_shape from, ls_shape to)
{
    runs    r = { 0 };
    int64_t stride[LS_MAX_NDIM], step = 1;
    for (int d = from.ndim - 1; d >= 0; step *= from.dim[d--]) stride[d] = step;
    for (int d = 0; d < from.ndim; d++)
        axes_add(to.dim[d] == from.dim[d] ? &r.kept : &r.along, (axis){ from.dim[d], stride[d], 0 });
    r.size = axes_size(&r.kept);
    r.n = axes_size(&r.along);
    return r;
}

INLINE int64_t run_place(const axes *a, int64_t i)
{
    int64_t first, second;
    axes_find(a, a->count, i, &first, &second);
    return first;
}

INLINE bool beats(real x, real best, bool largest)
{
    return x != x || (largest ? x > best : x < best);
}

static void extreme(ls_shape from, const void *x_, ls_shape to, void *out_, bool largest)
{
    const runs r = runs_of(from, to);
    real      *out = out_;
    for (int64_t o = 0; o < r.size; o++) {
        const real *x = (const real *)x_ + run_place(&r.kept, o);
        real        best = x[0];
        for (int64_t i = 1; i < r.n && best == best; i++) {
            const real here = x[run_place(&r.along, i)];
            if (beats(here, best, largest)) best = here;
        }
        out[o] = best;
    }
}

/* dx (+)= g, in equal shares, where x is y. */
static void extreme_back(ls_shape from, const void *x_, ls_shape to, const void *y_, const void *g_, void *dx_,
                         bool add)
{
    const runs  r = runs_of(from, to);
    const real *y = y_, *g = g_;
    for (int64_t o = 0; o < r.size; o++) {
        const int64_t at = run_place(&r.kept, o);
        const real   *x = (const real *)x_ + at;
        real         *dx = (real *)dx_ + at;
        int64_t       shares = 0;
        for (int64_t i = 0; i < r.n; i++) shares += x[run_place(&r.along, i)] == y[o];
        const real share = g[o] / (real)shares;
        for (int64_t i = 0; i < r.n; i++) {
            const int64_t here = run_place(&r.along, i);
            put(add, dx + here, x[here] == y[o] ? share : 0);
        }
    }
}
