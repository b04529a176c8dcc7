/* sum.h -- rule sum, and the sums that follow it.
 *
 * The order in which PyTorch (1.13, aten/src/ATen/native/cpu/SumKernel.cpp, 8 lanes) adds a contiguous
 * run of n float32 on one thread; here for double too. A run of 8 or more is seen as rows of 32 = 4
 * vectors of 8 lanes:
 *   - whole rows are added to 32 sums, from +0. Long runs cascade: after every step rows the sums go
 *     to a second level and start again, after step^2 to a third, after step^3 to a fourth; the levels
 *     are added in the end. step is 2^max(4, log2(rows) / 4).
 *   - whole vectors that are left are added to the first 8 sums; then ((s0 + s1) + s2) + s3 by lanes.
 *   - what is left of a vector is added from +0 on in order, then the 8 lanes in order.
 * A shorter run is the same with one lane: rows of 4, what is left added to the first sum.
 */
#pragma once
#include "kernel/real.h"

enum { ROW = 32, LEVELS = 4 };

typedef struct run {
    int64_t n;    /* elements in all */
    int64_t rows; /* added so far */
    int64_t step; /* rows between folds; 0: the run is too short for any */
    real    level[LEVELS][ROW];
} run;

/* Rows of w elements between folds; 0 where the run ends before the first. */
INLINE int64_t step_of(int64_t rows)
{
    if (rows < 16) return 0;
    int log = rows > 1 ? 64 - __builtin_clzll((uint64_t)rows - 1) : 0; /* rounded up */
    return INT64_C(1) << (log / 4 < 4 ? 4 : log / 4);
}

INLINE void run_begin(run *s, int64_t n)
{
    s->n = n;
    s->rows = 0;
    s->step = step_of(n / ROW);
    if (n >= ROW) memset(s->level, 0, sizeof s->level[0] * (s->step ? LEVELS : 1));
}

/* Terms: x, or (x - y)^2 with two roundings. */
typedef enum term { TERM_X, TERM_SQUARE } term;
INLINE real term1(term t, const real *x, const real *y)
{
    real d = *x;
    if (t == TERM_SQUARE) d = d - *y, d = d * d;
    return d;
}

/* How many of the levels below take what is above, when rows rows have been added. */
INLINE int folds(int64_t rows, int64_t step)
{
    int level = 1;
    for (int64_t each = step * step; level < LEVELS - 1 && rows % each == 0; each *= step) level++;
    return level;
}

INLINE void run_fold(run *s)
{
    int count = folds(s->rows, s->step);
    for (int l = 1; l <= count; l++)
        for (int i = 0; i < ROW; i++) {
            s->level[l][i] = s->level[l][i] + s->level[l - 1][i];
            s->level[l - 1][i] = 0;
        }
}

/* Adds whole rows, in order. */
INLINE void run_rows(run *s, int64_t rows, term t, const real *x, const real *y)
{
    while (rows > 0) {
        int64_t now = s->step ? s->step - s->rows % s->step : rows;
        if (now > rows) now = rows;
        vec sum[ROW / LANES];
        UNROLL
        for (int v = 0; v < ROW / LANES; v++) sum[v] = load(s->level[0] + v * LANES);
        for (int64_t r = 0; r < now; r++, x += ROW, y += t == TERM_SQUARE ? ROW : 0) {
            UNROLL
            for (int v = 0; v < ROW / LANES; v++) {
                vec d = load(x + v * LANES);
                if (t == TERM_SQUARE) d = d - load(y + v * LANES), d = d * d;
                sum[v] = sum[v] + d;
            }
        }
        UNROLL
        for (int v = 0; v < ROW / LANES; v++) store(s->level[0] + v * LANES, sum[v]);
        s->rows += now;
        rows -= now;
        if (s->step && s->rows % s->step == 0) run_fold(s);
    }
}

/* The sum; x, y: what is left after the whole rows. */
INLINE real run_end(run *s, term t, const real *x, const real *y)
{
    const int w = s->n < 8 ? 1 : 8; /* lanes */
    real      sum[ROW] = { 0 };
    int64_t   left = s->n % ROW, i = 0;
    if (s->n >= ROW) {
        memcpy(sum, s->level[0], sizeof sum);
        for (int l = 1; s->step && l < LEVELS; l++)
            for (int j = 0; j < ROW; j++) sum[j] = sum[j] + s->level[l][j];
    }
    if (w == 1)
        for (; i < 4 && left >= 4; i++) sum[i] = sum[i] + term1(t, x + i, y + i);
    for (; i + w <= left; i += w)
        for (int l = 0; l < w; l++) sum[l] = sum[l] + term1(t, x + i + l, y + i + l);
    for (int v = 1; v < 4; v++)
        for (int l = 0; l < w; l++) sum[l] = sum[l] + sum[v * w + l];
    if (w == 1) return sum[0];
    real total = 0;
    for (; i < left; i++) total = total + term1(t, x + i, y + i);
    for (int l = 0; l < w; l++) total = total + sum[l];
    return total;
}

static real run_sum(int64_t n, term t, const real *x, const real *y)
{
    run           s;
    const int64_t whole = n - n % ROW;
    run_begin(&s, n);
    run_rows(&s, n / ROW, t, x, y);
    return run_end(&s, t, x + whole, t == TERM_SQUARE ? y + whole : y);
}

static double sum(int64_t n, const void *x) { return run_sum(n, TERM_X, x, x); }
static double sum_square(int64_t n, const void *x, const void *y) { return run_sum(n, TERM_SQUARE, x, y); }

/* ---- a run whose elements come one by one, or in lines --------------------------------------- */
enum { STREAM = 16 * ROW };
typedef struct stream {
    run     run;
    int64_t waiting;
    real    value[STREAM];
} stream;

INLINE void stream_begin(stream *s, int64_t n)
{
    run_begin(&s->run, n);
    s->waiting = 0;
}
/* Where the next values go, up to room of them; then tell how many there are. */
INLINE int64_t stream_room(const stream *s) { return STREAM - s->waiting; }
INLINE real   *stream_place(stream *s) { return s->value + s->waiting; }
INLINE void    stream_added(stream *s, int64_t count)
{
    s->waiting += count;
    if (s->waiting < STREAM) return;
    run_rows(&s->run, STREAM / ROW, TERM_X, s->value, s->value);
    s->waiting = 0;
}
INLINE real stream_end(stream *s)
{
    int64_t whole = s->waiting - s->waiting % ROW;
    run_rows(&s->run, whole / ROW, TERM_X, s->value, s->value);
    return run_end(&s->run, TERM_X, s->value + whole, s->value);
}

/* ---- runs side by side: each lane a column --------------------------------------------------- */
/* Element r of the runs is row r of g, or of the rounded product g x; x may have one column for all. */
typedef enum factor { FACTOR_NONE, FACTOR_ROW, FACTOR_SPREAD } factor;
typedef struct columns_of {
    const real *g, *x;
    int64_t     ldg, ldx;
    factor      factor;
    int64_t     lanes; /* that are used */
} columns_of;

INLINE vec lanes_of(const real *p, int64_t lanes, bool all) { return all ? load(p) : load_some(p, lanes); }

INLINE vec column_term(const columns_of *c, factor f, bool all, int64_t r)
{
    vec v = lanes_of(c->g + r * c->ldg, c->lanes, all);
    if (f == FACTOR_ROW) v = v * lanes_of(c->x + r * c->ldx, c->lanes, all);
    if (f == FACTOR_SPREAD) v = v * splat(c->x[r * c->ldx]);
    return v;
}

/* sum[v] = the sum of rows first + v * lanes, every 4 * lanes rows, for v < 4, with the cascade. */
INLINE void column_chains(const columns_of *c, factor f, bool all, int64_t first, int lanes, int64_t rows,
                          vec sum[4])
{
    vec           level[LEVELS][4] = { { { 0 } } };
    const int64_t step = step_of(rows);
    for (int64_t r = 0; r < rows;) {
        const int64_t end = step && r + step <= rows ? r + step : rows;
        for (int v = 0; v < 4; v++) sum[v] = level[0][v];
        for (; r < end; r++) {
            UNROLL
            for (int v = 0; v < 4; v++)
                sum[v] = sum[v] + column_term(c, f, all, first + (r * 4 + v) * lanes);
        }
        for (int v = 0; v < 4; v++) level[0][v] = sum[v];
        const int fold = step && r % step == 0 ? folds(r, step) : 0;
        for (int l = 1; l <= fold; l++)
            for (int v = 0; v < 4; v++) {
                level[l][v] = level[l][v] + level[l - 1][v];
                level[l - 1][v] = (vec){ 0 };
            }
    }
    for (int v = 0; v < 4; v++) {
        sum[v] = level[0][v];
        for (int l = 1; step && l < LEVELS; l++) sum[v] = sum[v] + level[l][v];
    }
}

INLINE vec column_sum_of(const columns_of *c, factor f, bool all, int64_t from, int64_t n)
{
    const int     w = n < 8 ? 1 : 8;
    const int64_t rows = n / (4 * w), vectors = n / w;
    vec           total = { 0 };
    for (int64_t i = vectors * w; i < n; i++) total = total + column_term(c, f, all, from + i);
    for (int l = 0; l < w; l++) {
        vec sum[4] = { { 0 } };
        if (rows < 16)
            for (int64_t r = 0; r < rows; r++) {
                UNROLL
                for (int v = 0; v < 4; v++)
                    sum[v] = sum[v] + column_term(c, f, all, from + l + (r * 4 + v) * w);
            }
        else column_chains(c, f, all, from + l, w, rows, sum);
        for (int64_t v = rows * 4; v < vectors; v++)
            sum[0] = sum[0] + column_term(c, f, all, from + v * w + l);
        sum[0] = sum[0] + sum[1] + sum[2] + sum[3];
        total = w == 1 ? sum[0] : total + sum[0];
    }
    return total;
}

/* Rule sum on rows from .. from + n of every lane. */
static vec column_sum(const columns_of *c, int64_t from, int64_t n)
{
    if (c->lanes < LANES) return column_sum_of(c, c->factor, false, from, n);
    switch (c->factor) {
    case FACTOR_NONE: return column_sum_of(c, FACTOR_NONE, true, from, n);
    case FACTOR_ROW: return column_sum_of(c, FACTOR_ROW, true, from, n);
    case FACTOR_SPREAD: break;
    }
    return column_sum_of(c, FACTOR_SPREAD, true, from, n);
}

INLINE void store_sum(real *out, vec sum, int64_t lanes, bool add)
{
    if (add) sum = lanes_of(out, lanes, lanes == LANES) + sum;
    store_some(out, sum, lanes);
}

static void columns(int64_t rows, int64_t leaf_rows, int64_t n, const void *g, int64_t ldg, void *out, bool add)
{
    if (leaf_rows == 0 || leaf_rows > rows) leaf_rows = rows > 0 ? rows : 1;
    for (int64_t j = 0; j < n; j += LANES) {
        columns_of c = { (const real *)g + j, NULL, ldg, 0, FACTOR_NONE, n - j < LANES ? n - j : LANES };
        /* Finished subtrees, one for each bit of the leaf's number that is set (see tile.h). */
        vec     stack[64] = { { 0 } };
        int     top = 0;
        int64_t leaf = 0;
        for (int64_t r = 0; r < rows; r += leaf_rows, leaf++) {
            vec s = column_sum(&c, r, rows - r < leaf_rows ? rows - r : leaf_rows);
            for (int64_t bits = leaf; bits & 1; bits >>= 1) s = stack[--top] + s;
            stack[top++] = s;
        }
        for (; top > 1; top--) stack[top - 2] = stack[top - 2] + stack[top - 1];
        store_sum((real *)out + j, stack[0], c.lanes, add);
    }
}
