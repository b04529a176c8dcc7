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
#include "kernel/axes.h"
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
    run s;
    run_begin(&s, n);
    run_rows(&s, n / ROW, t, x, y);
    int64_t whole = n - n % ROW;
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
/* Element r of the runs is row r of g, or of the rounded product g x. */
typedef struct columns_of {
    const real *g, *x;   /* x: or NULL */
    int64_t     ldg, ldx;
    bool        x_spread; /* x has one column for all */
    int64_t     lanes;    /* that are used */
} columns_of;

INLINE vec column_term(const columns_of *c, int64_t r)
{
    const real *g = c->g + r * c->ldg;
    vec         v = c->lanes == LANES ? load(g) : load_some(g, c->lanes);
    if (c->x) {
        const real *x = c->x + r * c->ldx;
        v = v * (c->x_spread ? splat(*x) : c->lanes == LANES ? load(x) : load_some(x, c->lanes));
    }
    return v;
}

/* The sum of rows first, first + every, ... (count of them) with the cascade. */
INLINE vec column_chain(const columns_of *c, int64_t first, int64_t every, int64_t count)
{
    vec     level[LEVELS] = { { 0 } };
    int64_t step = step_of(count), r = 0;
    while (step && r + step <= count) {
        for (int64_t end = r + step; r < end; r++) level[0] = level[0] + column_term(c, first + r * every);
        int fold = folds(r, step);
        for (int l = 1; l <= fold; l++) {
            level[l] = level[l] + level[l - 1];
            level[l - 1] = (vec){ 0 };
        }
    }
    for (; r < count; r++) level[0] = level[0] + column_term(c, first + r * every);
    for (int l = 1; step && l < LEVELS; l++) level[0] = level[0] + level[l];
    return level[0];
}

/* Rule sum on rows from .. from + n of every lane. */
static vec column_sum(const columns_of *c, int64_t from, int64_t n)
{
    const int     w = n < 8 ? 1 : 8;
    const int64_t whole = n / (4 * w), vectors = n / w;
    vec           total = { 0 };
    for (int64_t i = vectors * w; i < n; i++) total = total + column_term(c, from + i);
    for (int l = 0; l < w; l++) {
        vec sum = column_chain(c, from + l, 4 * w, whole);
        for (int64_t v = whole * 4; v < vectors; v++) sum = sum + column_term(c, from + v * w + l);
        for (int v = 1; v < 4; v++) sum = sum + column_chain(c, from + v * w + l, 4 * w, whole);
        total = w == 1 ? sum : total + sum;
    }
    return total;
}

INLINE void store_sum(real *out, vec sum, int64_t lanes, bool add)
{
    if (add) sum = (lanes == LANES ? load(out) : load_some(out, lanes)) + sum;
    store_some(out, sum, lanes);
}

static void columns(int64_t rows, int64_t leaf_rows, int64_t n, const void *g, int64_t ldg, void *out, bool add)
{
    if (leaf_rows == 0 || leaf_rows > rows) leaf_rows = rows > 0 ? rows : 1;
    for (int64_t j = 0; j < n; j += LANES) {
        columns_of c = { (const real *)g + j, NULL, ldg, 0, false, n - j < LANES ? n - j : LANES };
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

/* ---- sum_to: the adjoint of broadcasting ----------------------------------------------------- */
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

static void sum_to(ls_shape from, const void *g_, const void *x_, const int64_t x_stride[LS_MAX_NDIM],
                   ls_shape to, void *out_, bool add)
{
    const real *g = g_, *x = x_;
    real       *out = out_;
    axes        kept = { 0 }, summed = { 0 };
    int64_t     g_stride[LS_MAX_NDIM], size = 1, stride = 1;
    for (int d = from.ndim - 1; d >= 0; d--) g_stride[d] = stride, stride *= from.dim[d];
    for (int d = 0; d < from.ndim; d++) {
        int  e = d - (from.ndim - to.ndim);
        axis a = { from.dim[d], g_stride[d], x ? x_stride[d] : 0 };
        bool is_kept = e >= 0 && to.dim[e] == from.dim[d];
        if (is_kept) size *= a.count;
        axes_add(is_kept ? &kept : &summed, a);
    }
    int64_t n = axes_size(&summed);
    /* Runs side by side: the last axis stays and one axis, or none, is summed. */
    const axis *last = kept.count ? &kept.at[kept.count - 1] : NULL;
    if (last && last->first == 1 && last->second <= 1 && summed.count <= 1) {
        for (int64_t o = 0; o < size; o += last->count) {
            int64_t at_g, at_x;
            axes_find(&kept, kept.count - 1, o / last->count, &at_g, &at_x);
            for (int64_t j = 0; j < last->count; j += LANES) {
                columns_of c = { g + at_g + j, x ? x + at_x + j * last->second : NULL, 0, 0, last->second == 0,
                                 last->count - j < LANES ? last->count - j : LANES };
                if (summed.count) c.ldg = summed.at[0].first, c.ldx = summed.at[0].second;
                store_sum(out + o + j, column_sum(&c, 0, n), c.lanes, add);
            }
        }
        return;
    }
    for (int64_t o = 0; o < size; o++) {
        int64_t at_g, at_x;
        axes_find(&kept, kept.count, o, &at_g, &at_x);
        real sum = sum_run(&summed, n, g + at_g, x ? x + at_x : NULL);
        out[o] = add ? out[o] + sum : sum;
    }
}
