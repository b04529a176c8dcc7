/* sum_to.h -- the adjoint of broadcasting: sums an array, or a product of two, down to a smaller shape.
 *
 * Every element of the result is one run by rule sum. Axes of one element fall away and neighbours are
 * joined (axes.h), so that few patterns are left: nothing to sum, runs side by side, and any other run,
 * whose elements are brought together through a buffer.
 */
#pragma once
#include "kernel/element.h"
#include "kernel/sum.h"

/* One run: the elements of axes run from g and x on. */
static real sum_run(const axes *run_axes, int64_t n, const real *g, const real *x)
{
    const axis line = run_axes->count ? run_axes->at[run_axes->count - 1] : (axis){ 1, 1, 1 };
    if (!x && run_axes->count <= 1 && line.first == 1) return run_sum(n, TERM_X, g, g);
    stream s;
    stream_begin(&s, n);
    for (int64_t done = 0, lines = 0; done < n; done += line.count, lines++) {
        int64_t at_g, at_x;
        axes_find(run_axes, run_axes->count - 1, lines, &at_g, &at_x);
        for (int64_t i = 0, now; i < line.count; i += now) {
            real *to = stream_place(&s);
            now = stream_room(&s) < line.count - i ? stream_room(&s) : line.count - i;
            const real *from = g + at_g + i * line.first, *by = x ? x + at_x + i * line.second : NULL;
            if (by && line.first == 1 && line.second == 1) {
                for (int64_t e = 0; e < now; e++) to[e] = from[e] * by[e];
            } else if (by && line.first == 1 && line.second == 0) {
                for (int64_t e = 0; e < now; e++) to[e] = from[e] * by[0];
            } else if (by) {
                for (int64_t e = 0; e < now; e++) to[e] = from[e * line.first] * by[e * line.second];
            } else {
                for (int64_t e = 0; e < now; e++) to[e] = from[e * line.first];
            }
            stream_added(&s, now);
        }
    }
    return stream_end(&s);
}

/* Runs of one element each: 0 + g x, which makes -0 to +0. */
static void sum_to_same(int64_t n, const real *g, int64_t g_i, const real *x, int64_t x_i, real *out, bool add)
{
    if (!x && g_i == 1) {
        STORE_OR_ADD(add, EACH for (int64_t i = 0; i < n; i++) put(ADD, out + i, g[i] + 0););
    } else if (!x) {
        for (int64_t i = 0; i < n; i++) put(add, out + i, g[i * g_i] + 0);
    } else if (g_i == 1 && x_i == 1) {
        STORE_OR_ADD(add, EACH for (int64_t i = 0; i < n; i++) put(ADD, out + i, g[i] * x[i] + 0););
    } else {
        for (int64_t i = 0; i < n; i++) put(add, out + i, g[i * g_i] * x[i * x_i] + 0);
    }
}

/* n runs side by side along the axis that stays; the axis summed goes down the columns. */
static void sum_to_columns(axis stays, axis summed, const real *g, const real *x, real *out, bool add)
{
    for (int64_t j = 0; j < stays.count; j += LANES) {
        const columns_of c = {
            .g = g + j,
            .x = x ? x + j * stays.second : NULL,
            .ldg = summed.first,
            .ldx = summed.second,
            .factor = !x ? FACTOR_NONE : stays.second ? FACTOR_ROW : FACTOR_SPREAD,
            .lanes = stays.count - j < LANES ? stays.count - j : LANES,
        };
        store_sum(out + j, column_sum(&c, 0, summed.count), c.lanes, add);
    }
}

static void sum_to(ls_shape from, const void *g_, const void *x_, const int64_t x_stride[LS_MAX_NDIM],
                   ls_shape to, void *out_, bool add)
{
    const real *g = g_, *x = x_;
    real       *out = out_;
    axes        kept = { 0 }, summed = { 0 };
    int64_t     g_stride[LS_MAX_NDIM], stride = 1;
    for (int d = from.ndim - 1; d >= 0; stride *= from.dim[d--]) g_stride[d] = stride;
    for (int d = 0; d < from.ndim; d++) {
        const int e = d - (from.ndim - to.ndim);
        axes_add(e >= 0 && to.dim[e] == from.dim[d] ? &kept : &summed,
                 (axis){ from.dim[d], g_stride[d], x ? x_stride[d] : 0 });
    }
    const int64_t size = axes_size(&kept), n = axes_size(&summed);
    /* The last axis that stays is a line of the result, unless the runs cannot go side by side. */
    const axis one = { 1, 1, 1 }, last = kept.count ? kept.at[kept.count - 1] : one;
    const bool by_columns = summed.count == 1 && last.first == 1 && last.second <= 1;
    const axis line = summed.count == 0 || by_columns ? last : one;
    const int  outer_axes = kept.count - (line.count == 1 ? 0 : 1);
    for (int64_t o = 0; o < size; o += line.count) {
        int64_t at_g, at_x;
        axes_find(&kept, outer_axes, o / line.count, &at_g, &at_x);
        const real *from_g = g + at_g, *from_x = x ? x + at_x : NULL;
        if (summed.count == 0) sum_to_same(line.count, from_g, line.first, from_x, line.second, out + o, add);
        else if (line.count > 1) sum_to_columns(line, summed.at[0], from_g, from_x, out + o, add);
        else put(add, out + o, sum_run(&summed, n, from_g, from_x));
    }
}
