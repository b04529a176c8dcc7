/* product.h -- matrix products: cuts them into panels and tiles (tile.h), and packs.
 *
 * Memory is the stack's and bounded: a panel of column factors, which stays in the cache while all rows
 * pass over it, and the sums under way.
 */
#pragma once
#include "kernel/tile.h"

enum {
    BLOCK = 256,                         /* length of a fused chain of inner: part of the rule */
    SHORT = 8,                           /* shorter ones are rounded apart: part of the rule */
    WIDTH = VECS * LANES,                /* columns of a panel */
    CHUNK = 384,                         /* rows whose sums are under way in inner */
    REGION_ROWS = 132, REGION_COLUMNS = 256,
    KEPT = 512 * 1024 / (int)sizeof(real), /* reals of subtrees that outer keeps */
};

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int vecs_for(int64_t columns) { return (int)((columns + LANES - 1) / LANES); }

/* ---- inner ----------------------------------------------------------------------------------- */
/* c(i,j) = sum_k left(i,k) right(j,k): left a row's factor, right a column's. */
typedef struct operand { const real *at; int64_t item, k; } operand; /* elements from one to the next */
typedef struct target {
    const real *bias;
    real       *c;
    int64_t     ldc;
    bool        turned; /* rows are columns of c */
    bool        add;
} target;

/* panel[k][j] = right(j, k), 0 from columns to width; right.item is 1: rows are copied. */
static void pack_rows(operand right, int64_t columns, int64_t count, int width, real *panel)
{
    for (int64_t k = 0; k < count; k++, panel += width)
        for (int v = 0; v < width; v += LANES) {
            const real *from = right.at + k * right.k + v;
            store(panel + v, columns - v >= LANES ? load(from) : load_some(from, columns - v));
        }
}

/* The same for any right: transposed, through contiguous copies of columns that are not or are too few. */
static void pack_columns(operand right, int64_t columns, int64_t count, int width, real *panel)
{
    for (int v = 0; v < width; v += LANES) {
        const int64_t here = least(columns - v, LANES);
        operand       r = { right.at + v * right.item, right.item, right.k };
        real          few[LANES * BLOCK];
        if (here < LANES || r.k != 1) {
            for (int64_t j = 0; j < LANES; j++)
                for (int64_t k = 0; k < count; k++) few[j * BLOCK + k] = j < here ? r.at[j * r.item + k * r.k] : 0;
            r = (operand){ few, BLOCK, 1 };
        }
        int64_t k = 0;
        for (; k + CROSS <= count; k += CROSS) {
            vec out[CROSS];
            transpose(r.at + k, r.item, out);
            UNROLL
            for (int t = 0; t < CROSS; t++) store(panel + (k + t) * width + v, out[t]);
        }
        for (; k < count; k++)
            for (int j = 0; j < LANES; j++) panel[k * width + v + j] = r.at[j * r.item + k];
    }
}

/* sums[i][j] = (left(i,0) panel(j,0) + left(i,1) panel(j,1)) + ...; 0 for count 0. */
static void inner_short(int64_t rows, int width, int64_t count, operand left, operand panel, real *sums)
{
    for (int64_t i = 0; i < rows; i++)
        for (int v = 0; v < width; v += LANES) {
            const real *a = left.at + i * left.item;
            vec         sum = { 0 };
            if (count > 0) sum = splat(a[0]) * load(panel.at + v);
            for (int64_t k = 1; k < count; k++)
                sum = sum + splat(a[k * left.k]) * load(panel.at + k * panel.k + v);
            store(sums + i * width + v, sum);
        }
}

static void inner_block(int64_t rows, int width, int64_t count, operand left, operand panel, real *sums,
                        bool first)
{
    const tile *t = tiles[width / LANES - 1];
    for (int64_t i = 0; i < rows; i += t->rows) {
        while (t->rows > rows - i) t++;
        t->inner(count, left.at + i * left.item, left.item, left.k, panel.at, panel.k, sums + i * width, first);
    }
}

/* c (+)= sum + bias */
INLINE void finish(vec sum, const real *bias, real *c, int64_t lanes, bool add)
{
    if (bias) sum = sum + (lanes == LANES ? load(bias) : load_some(bias, lanes));
    if (add) sum = (lanes == LANES ? load(c) : load_some(c, lanes)) + sum;
    store_some(c, sum, lanes);
}

/* Rows i.. and columns j.. of the result from sums[rows][width]. */
static void deliver(const target *t, int64_t i, int64_t rows, int64_t j, int64_t columns, const real *sums,
                    int width)
{
    if (!t->turned) {
        for (int64_t r = 0; r < rows; r++)
            for (int64_t v = 0; v < columns; v += LANES)
                finish(load(sums + r * width + v), t->bias ? t->bias + j + v : NULL,
                       t->c + (i + r) * t->ldc + j + v, least(columns - v, LANES), t->add);
        return;
    }
    for (int64_t r = 0; r < rows; r += LANES) {
        const int64_t here = least(rows - r, LANES);
        for (int64_t v = 0; v < columns; v += CROSS) {
            vec out[CROSS];
            transpose(sums + r * width + v, width, out); /* sums has rows to spare */
            for (int t_ = 0; t_ < CROSS && v + t_ < columns; t_++)
                finish(out[t_], t->bias ? t->bias + i + r : NULL, t->c + (j + v + t_) * t->ldc + i + r, here, t->add);
        }
    }
}

/* Whether it is faster to make the transpose of c. Costs are in products; a packed or delivered
 * element costs several, more where it is transposed, and so does a left factor read across rows. */
static bool turning_pays(int64_t m, int64_t n, int64_t k, bool by_row)
{
    const int64_t m_lanes = vecs_for(m) * LANES, n_lanes = vecs_for(n) * LANES;
    const int64_t straight = m * n_lanes * k + n_lanes * k * (by_row ? 2 : 6) + m * n * 2;
    const int64_t turned = n * m_lanes * k + m_lanes * k * 6 + m * n * 6 + (by_row ? n * m_lanes * k / 4 : 0);
    return turned < straight;
}

/* Few rows use a panel that lies in b row by row as it is: packing would cost more than it saves. */
static bool packing_pays(int64_t rows, int64_t k, operand right)
{
    const int64_t page = 4096 / (int64_t)sizeof(real), cache = 2048 * 1024 / (int64_t)sizeof(real);
    return right.item != 1 || rows > 64 || right.k % page == 0 || k * right.k > cache;
}

static void inner(int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, const void *b, int64_t b_k,
                  int64_t b_n, const void *bias, void *c, int64_t ldc, bool add)
{
    real       panel[BLOCK * WIDTH], sums[(CHUNK + LANES) * WIDTH];
    operand    left = { a, lda, 1 }, right = { b, b_n, b_k };
    target     to = { bias, c, ldc, turning_pays(m, n, k, b_n == 1), add };
    int64_t    rows = to.turned ? n : m, columns = to.turned ? m : n;
    if (to.turned) left = right, right = (operand){ a, lda, 1 };
    const bool packs = packing_pays(rows, k, right);
    for (int64_t i = 0; i < rows; i += CHUNK)
        for (int64_t j = 0; j < columns; j += WIDTH) {
            const int64_t here = least(rows - i, CHUNK), across = least(columns - j, WIDTH);
            const int     width = vecs_for(across) * LANES;
            for (int64_t from = 0; from == 0 || from < k; from += BLOCK) {
                const int64_t count = least(k - from, BLOCK);
                operand       l = left, r = right;
                l.at += i * l.item + from * l.k;
                r.at += j * r.item + from * r.k;
                if (packs || across < width) {
                    if (r.item == 1) pack_rows(r, across, count, width, panel);
                    else pack_columns(r, across, count, width, panel);
                    r = (operand){ panel, 1, width };
                }
                if (k < SHORT) inner_short(here, width, count, l, r, sums);
                else inner_block(here, width, count, l, r, sums, from == 0);
            }
            deliver(&to, i, here, j, across, sums, width);
        }
}

/* ---- outer ------------------------------------------------------------------------------------------ */
/* An aligned run of rows is walked in spans, for a region of c at a time: as much of it as the packed
 * factors of a span, and the subtrees kept between spans, have room for. */
typedef struct region { int64_t span_rows, rows, columns; int log, depth; } region;

static region region_of(int64_t rows, int64_t leaf_rows)
{
    region r = { leaf_rows > SPAN ? SPAN : leaf_rows, INT64_MAX / 2, REGION_COLUMNS, 0, 0 };
    for (; leaf_rows << (r.log + 1) <= SPAN; r.span_rows *= 2) r.log++;
    if (rows <= r.span_rows) return r;
    const int64_t leaves = (rows + leaf_rows - 1) / leaf_rows, spans = ((leaves - 1) >> r.log) + 1;
    r.depth = spans > 1 ? 65 - __builtin_clzll((uint64_t)spans - 1) : 1;
    r.rows = REGION_ROWS;
    r.columns = least(REGION_COLUMNS, KEPT / (r.depth * r.rows) / WIDTH * WIDTH);
    return r;
}

/* A tile's result that is not a whole number of vecs wide. */
static void outer_edge(const tile *t, const span *s, const real *g, int64_t ldg, const real *x, int64_t ldx, int width,
                       real *kept, real *c, int64_t ldc, int64_t across, bool add)
{
    real edge[TILE_ROWS * WIDTH];
    t->outer(s, g, ldg, x, ldx, kept, edge, width, false);
    for (int i = 0; i < t->rows && s->to == s->rows; i++)
        for (int64_t v = 0; v < across; v += LANES)
            finish(load(edge + i * width + v), NULL, c + i * ldc + v, least(across - v, LANES), add);
}

/* rows rows of columns of a matrix, by groups of width columns: packed[group][row][width]. Rows are read
 * from one end to the other; what a store spills is written later, or room to spare. */
static void pack_groups(int64_t rows, int64_t columns, const real *from, int64_t ld, int width, int64_t group,
                        real *packed)
{
    for (int64_t r = 0; r < rows; r++, from += ld, packed += width)
        for (int64_t j = 0; j < columns; j += width)
            for (int64_t v = 0; v < width && j + v < columns; v += LANES)
                store(packed + j / width * group + v, load_some(from + j + v, least(columns - j - v, LANES)));
}

/* Factors of a span: at, with ld from row to row; group: from one tile's or panel's columns to the next. */
typedef struct factors { const real *at; int64_t ld, group; } factors;

/* All tiles of c [m, n], which is at most a region; m <= REGION_ROWS. */
static void outer_tiles(const span *s, int64_t m, int64_t n, factors g, factors x, real *kept, int depth, real *c,
                        int64_t ldc, bool add)
{
    for (int64_t j = 0; j < n; j += WIDTH) {
        const int64_t across = least(n - j, WIDTH);
        const int     vecs = vecs_for(across), width = vecs * LANES;
        const real   *b = x.at + j / WIDTH * x.group;
        const tile   *t = tiles[vecs - 1];
        for (int64_t i = 0; i < m; i += t->rows) {
            while (t->rows > m - i) t++;
            const real *a = g.at + i / TILE_ROWS * g.group + i % TILE_ROWS;
            real       *k = kept + (j * m + i * width) * depth, *to = c + i * ldc + j;
            if (across < width) outer_edge(t, s, a, g.ld, b, x.ld, width, k, to, ldc, across, add);
            else t->outer(s, a, g.ld, b, x.ld, k, to, ldc, add);
        }
    }
}

/* A span of a region: g, x and c begin at its row and place. */
static void outer_span(const span *s, int64_t m, int64_t n, const real *g, int64_t ldg, const real *x, int64_t ldx,
                       real *kept, int depth, real *c, int64_t ldc, bool add)
{
    enum { LEFT = SPAN * TILE_ROWS + LANES, RIGHT = SPAN * WIDTH };
    const int64_t rows = s->to - s->from;
    real          left[REGION_ROWS / TILE_ROWS * LEFT], right[REGION_COLUMNS / WIDTH * RIGHT];
    factors       x_factors = { x, ldx, WIDTH };
    if (m > 2 * TILE_ROWS || n % LANES) {
        pack_groups(rows, n, x, ldx, WIDTH, RIGHT, right);
        x_factors = (factors){ right, WIDTH, RIGHT };
    }
    for (int64_t i = 0; i < m; i += REGION_ROWS) {
        const int64_t here = least(m - i, REGION_ROWS);
        factors       g_factors = { g + i, ldg, TILE_ROWS };
        if (n > 4 * WIDTH) {
            pack_groups(rows, here, g + i, ldg, TILE_ROWS, LEFT, left);
            g_factors = (factors){ left, TILE_ROWS, LEFT };
        }
        outer_tiles(s, here, n, g_factors, x_factors, kept, depth, c + i * ldc, ldc, add);
    }
}

static void outer(int64_t rows, int64_t leaf_rows, int64_t m, int64_t n, const void *g_, int64_t ldg,
                  const void *x_, int64_t ldx, void *c_, int64_t ldc, bool add)
{
    const real *g = g_, *x = x_;
    real       *c = c_, kept[KEPT];
    if (rows == 0)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) c[i * ldc + j] = add ? c[i * ldc + j] + 0 : 0;
    if (leaf_rows == 0 || leaf_rows > rows) leaf_rows = rows > 0 ? rows : 1;
    const region r = region_of(rows, leaf_rows);
    for (int64_t j = 0; j < n; j += r.columns)
        for (int64_t i = 0; i < m; i += r.rows)
            for (int64_t from = 0; from < rows; from += r.span_rows) {
                const span s = { from, least(from + r.span_rows, rows), rows, leaf_rows, r.log };
                outer_span(&s, least(m - i, r.rows), least(n - j, r.columns), g + from * ldg + i, ldg,
                           x + from * ldx + j, ldx, kept, r.depth, c + i * ldc + j, ldc, add);
            }
}
