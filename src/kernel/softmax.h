/* softmax.h -- softmax, its logarithm and the logarithm of its divisor, along one axis.
 *
 * An array is outer x n x inner; a line runs along n, inner elements apart. A line goes through a
 * buffer in parts, so that exp runs over many elements at a time. Sums by rule sum.
 */
#pragma once
#include "kernel/loss.h"

enum { LINE_PART = 512 };

/* e[i] = x[i], or exp(x[i] - max), of a part of a line. */
INLINE void line_part(int64_t n, int64_t step, const real *x, real *e)
{
    if (step == 1) memcpy(e, x, (size_t)n * sizeof *e);
    else for (int64_t i = 0; i < n; i++) e[i] = x[i * step];
}
INLINE void line_exps(int64_t n, int64_t step, const real *x, real max, real *e)
{
    line_part(n, step, x, e);
    for (int64_t i = 0; i < n; i++) e[i] = e[i] - max;
    exps(n, e);
}

/* The largest: NaN if there is one. */
static real line_max(int64_t n, int64_t step, const real *x)
{
    real max = x[0];
    for (int64_t i = 1; i < n; i++) max = x[i * step] > max || x[i * step] != x[i * step] ? x[i * step] : max;
    return max;
}

static real line_exp_sum(int64_t n, int64_t step, const real *x, real max)
{
    stream s;
    stream_begin(&s, n);
    for (int64_t i = 0, now; i < n; i += now) {
        now = stream_room(&s) < n - i ? stream_room(&s) : n - i;
        line_exps(now, step, x + i * step, max, stream_place(&s));
        stream_added(&s, now);
    }
    return stream_end(&s);
}

static void softmax_line(ls_softmax_kind kind, int64_t n, int64_t step, const real *x, real *y)
{
    real e[LINE_PART], max = line_max(n, step, x);
    if (kind == LS_LOGSUMEXP && (max == (real)__builtin_inf() || max == -(real)__builtin_inf())) {
        *y = max;
        return;
    }
    real sum = line_exp_sum(n, step, x, max), log_sum = log1(sum);
    if (kind == LS_LOGSUMEXP) {
        *y = max + log_sum;
        return;
    }
    for (int64_t i = 0, now; i < n; i += now) {
        now = n - i < LINE_PART ? n - i : LINE_PART;
        if (kind == LS_SOFTMAX) {
            line_exps(now, step, x + i * step, max, e);
            for (int64_t j = 0; j < now; j++) y[(i + j) * step] = e[j] / sum;
        } else {
            for (int64_t j = i; j < i + now; j++) y[j * step] = x[j * step] - max - log_sum;
        }
    }
}

static void softmax(ls_softmax_kind kind, int64_t outer, int64_t n, int64_t inner, const void *x_, void *y_)
{
    const real   *x = x_;
    real         *y = y_;
    const int64_t y_outer = kind == LS_LOGSUMEXP ? inner : n * inner;
    for (int64_t o = 0; n > 0 && o < outer; o++)
        for (int64_t i = 0; i < inner; i++)
            softmax_line(kind, n, inner, x + o * n * inner + i, y + o * y_outer + i);
}

/* Sum along a line of g y, or of g. */
static real line_sum(int64_t n, int64_t step, const real *g, const real *y)
{
    stream s;
    stream_begin(&s, n);
    for (int64_t i = 0, now; i < n; i += now) {
        real *to = stream_place(&s);
        now = stream_room(&s) < n - i ? stream_room(&s) : n - i;
        for (int64_t j = 0; j < now; j++) to[j] = y ? g[(i + j) * step] * y[(i + j) * step] : g[(i + j) * step];
        stream_added(&s, now);
    }
    return stream_end(&s);
}

static void softmax_line_back(ls_softmax_kind kind, int64_t n, int64_t step, const real *x, const real *y,
                              const real *g, real *dx, bool add)
{
    real e[LINE_PART], sum = 0;
    if (kind != LS_LOGSUMEXP) sum = line_sum(n, step, g, kind == LS_SOFTMAX ? y : NULL);
    for (int64_t i = 0, now; i < n; i += now) {
        now = n - i < LINE_PART ? n - i : LINE_PART;
        if (kind == LS_SOFTMAX) line_part(now, step, y + i * step, e);
        else if (kind == LS_LOG_SOFTMAX) line_exps(now, step, y + i * step, 0, e);
        else line_exps(now, step, x + i * step, *y, e);
        for (int64_t j = 0; j < now; j++) {
            const int64_t at = (i + j) * step;
            real          d = kind == LS_SOFTMAX     ? (g[at] - sum) * e[j]
                              : kind == LS_LOG_SOFTMAX ? g[at] - e[j] * sum
                                                       : *g * e[j];
            put(add, dx + at, d);
        }
    }
}

static void softmax_back(ls_softmax_kind kind, int64_t outer, int64_t n, int64_t inner, const void *x_, const void *y_,
                         const void *g_, void *dx_, bool add)
{
    const real   *x = x_, *y = y_, *g = g_;
    real         *dx = dx_;
    const int64_t y_outer = kind == LS_LOGSUMEXP ? inner : n * inner;
    for (int64_t o = 0; n > 0 && o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            const int64_t at = o * n * inner + i, at_y = o * y_outer + i;
            softmax_line_back(kind, n, inner, x ? x + at : NULL, y + at_y, g + at_y, dx + at, add);
        }
}
