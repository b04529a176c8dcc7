/* loss.h -- losses: mean square error's gradient, and cross entropy of unscaled scores.
 *
 * Cross entropy works on parts that fit a buffer: several short rows, or a piece of a long one, so that
 * exp runs over many elements at a time. Results do not depend on the parts.
 */
#pragma once
#include "kernel/element.h"
#include "kernel/sum.h"

static void square_back(int64_t n, double scale, const void *x_, const void *y_, void *dx_, bool add)
{
    const real *x = x_, *y = y_, s = (real)scale;
    real       *dx = dx_;
    EACH_DX(s * (x[i] - y[i]));
}

enum { PART = 1024 }; /* a multiple of ROW */

/* The largest, NaN left out; -inf if there is none. */
static real row_max(int64_t classes, const real *x)
{
    real    max = -(real)__builtin_inf();
    int64_t j = 0;
    if (classes >= LANES) {
        vec all = splat(max);
        for (; j + LANES <= classes; j += LANES) all = larger(load(x + j), all);
        for (int l = 0; l < LANES; l++) max = all[l] > max ? all[l] : max;
    }
    for (; j < classes; j++) max = x[j] > max ? x[j] : max;
    return max;
}

static void exps(int64_t n, real *e) /* in place */
{
    EACH
    for (int64_t i = 0; i < n; i++) e[i] = exp1(e[i]);
}

/* e[j] = exp(x[j] - max) */
static void exps_of(int64_t n, const real *x, real max, real *e)
{
    for (int64_t j = 0; j < n; j++) e[j] = x[j] - max;
    exps(n, e);
}

/* One row's sum of exp(x - max). */
static real exp_sum(int64_t classes, const real *x, real max)
{
    real e[PART];
    run  s;
    run_begin(&s, classes);
    for (; classes > PART; classes -= PART, x += PART) {
        exps_of(PART, x, max, e);
        run_rows(&s, PART / ROW, TERM_X, e, e);
    }
    exps_of(classes, x, max, e);
    run_rows(&s, classes / ROW, TERM_X, e, e);
    return run_end(&s, TERM_X, e + classes / ROW * ROW, e);
}

/* Several rows that fit: e = exp(x - max), and each row's max and sum. */
static void exp_rows(int64_t rows, int64_t classes, const real *x, real *e, real *max, real *sum)
{
    for (int64_t r = 0; r < rows; r++) {
        max[r] = row_max(classes, x + r * classes);
        for (int64_t j = 0; j < classes; j++) e[r * classes + j] = x[r * classes + j] - max[r];
    }
    exps(rows * classes, e);
    for (int64_t r = 0; r < rows; r++) sum[r] = run_sum(classes, TERM_X, e + r * classes, e);
}

static int64_t rows_that_fit(int64_t classes) { return classes > PART / 2 ? 1 : PART / classes; }

static double cross_entropy(int64_t rows, int64_t classes, const void *x_, const int64_t *label)
{
    const real *x = x_;
    stream      costs;
    stream_begin(&costs, rows);
    for (int64_t now; rows > 0; rows -= now, x += now * classes, label += now) {
        real e[PART], max[PART], sum[PART];
        now = rows_that_fit(classes) < rows ? rows_that_fit(classes) : rows;
        if (classes <= PART) exp_rows(now, classes, x, e, max, sum);
        else max[0] = row_max(classes, x), sum[0] = exp_sum(classes, x, max[0]);
        for (int64_t r = 0; r < now; r++) {
            *stream_place(&costs) = log1(sum[r]) - (x[r * classes + label[r]] - max[r]);
            stream_added(&costs, 1);
        }
    }
    return stream_end(&costs);
}

/* dx (+)= scale (e / sum - one) for some classes of a row; label: of the class that is 1, if among them */
static void cross_entropy_slope(int64_t n, real scale, const real *e, real sum, int64_t label, real *dx, bool add)
{
    EACH_DX(scale * (e[i] / sum - (i == label ? 1 : 0)));
}

static void cross_entropy_back(int64_t rows, int64_t classes, double scale, const void *x_, const int64_t *label,
                               void *dx_, bool add)
{
    const real *x = x_, s = (real)scale;
    real       *dx = dx_;
    for (int64_t now; rows > 0; rows -= now, x += now * classes, dx += now * classes, label += now) {
        real e[PART], max[PART], sum[PART];
        now = rows_that_fit(classes) < rows ? rows_that_fit(classes) : rows;
        if (classes <= PART) {
            exp_rows(now, classes, x, e, max, sum);
            for (int64_t r = 0; r < now; r++)
                cross_entropy_slope(classes, s, e + r * classes, sum[r], label[r], dx + r * classes, add);
        } else {
            real top = row_max(classes, x), total = exp_sum(classes, x, top);
            for (int64_t j = 0; j < classes; j += PART) {
                int64_t n = classes - j < PART ? classes - j : PART;
                exps_of(n, x + j, top, e);
                cross_entropy_slope(n, s, e, total, *label - j, dx + j, add);
            }
        }
    }
}
