/* extreme.h -- the largest or smallest down to a smaller shape, and its gradient, which equals share.
 *
 * NaN wins. Axes as in sum_to.h: some stay, the others make runs of which one element is left.
 */
#pragma once
#include "kernel/element.h"

/* line: the last axis of a run; there are lines of them. */
typedef struct runs { axes kept, along; axis line; int64_t size, lines; } runs;

static runs runs_of(ls_shape from, ls_shape to)
{
    runs    r = { .line = { 1, 1, 1 } };
    int64_t stride[LS_MAX_NDIM], step = 1;
    for (int d = from.ndim - 1; d >= 0; step *= from.dim[d--]) stride[d] = step;
    for (int d = 0; d < from.ndim; d++)
        axes_add(to.dim[d] == from.dim[d] ? &r.kept : &r.along, (axis){ from.dim[d], stride[d], 0 });
    if (r.along.count) r.line = r.along.at[--r.along.count];
    r.size = axes_size(&r.kept);
    r.lines = axes_size(&r.along);
    return r;
}

INLINE int64_t place_of(const axes *a, int64_t i)
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
        const real *x = (const real *)x_ + place_of(&r.kept, o);
        real        best = x[0];
        for (int64_t l = 0; l < r.lines && best == best; l++) {
            const real *line = x + place_of(&r.along, l);
            for (int64_t i = 0; i < r.line.count && best == best; i++)
                if (beats(line[i * r.line.first], best, largest)) best = line[i * r.line.first];
        }
        out[o] = best;
    }
}

/* Whether x is the y of its run; of NaN where nan_is. */
INLINE bool is_extreme(real x, real y, bool nan_is)
{
    return x == y || (nan_is && x != x && y != y);
}

/* How many of a run are y. */
static int64_t shares_of(const runs *r, const real *x, real y, bool nan_is)
{
    int64_t shares = 0;
    for (int64_t l = 0; l < r->lines; l++) {
        const real *line = x + place_of(&r->along, l);
        for (int64_t i = 0; i < r->line.count; i++) shares += is_extreme(line[i * r->line.first], y, nan_is);
    }
    return shares;
}

/* dx (+)= g, in equal shares, where x is y. As in PyTorch: where y is NaN, either the NaN of the run share, or 0 shares
 * make the gradient of all of it NaN. */
static void extreme_back(ls_shape from, const void *x_, ls_shape to, const void *y_, const void *g_, bool nan_shares,
                         void *dx_, bool add)
{
    const runs  r = runs_of(from, to);
    const real *y = y_, *g = g_;
    for (int64_t o = 0; o < r.size; o++) {
        const int64_t at = place_of(&r.kept, o);
        const real   *x = (const real *)x_ + at, shares = (real)shares_of(&r, x, y[o], nan_shares);
        const real    share = g[o] / shares, none = 0 / shares;
        for (int64_t l = 0; l < r.lines; l++) {
            const int64_t line = place_of(&r.along, l);
            for (int64_t i = 0; i < r.line.count; i++) {
                const int64_t here = line + i * r.line.first;
                put(add, (real *)dx_ + at + here, is_extreme(x[here], y[o], nan_shares) ? share : none);
            }
        }
    }
}
