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
    THIN = 4,                            /* rows, at most, that inner copies to make them contiguous */
    STACK = 256 * 1024 / (int)sizeof(real), /* reals of sums under way in outer */
};

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int vecs_for(int64_t columns) { return (int)((columns + LANES - 1) / LANES); }

/* ---- inner ------------------------------------------------------------------------------------------------ */
/* c(i,j) = sum_k left(i,k) right(j,k): left a row's factor, right a column's. */
typedef struct operand { const real *at; int64_t item, k; } operand; /* elements from one to the next */
typedef struct target {
    const real *bias;
    real       *c;
    int64_t     ldc;
    bool        turned; /* rows are columns of c */
    bool        add;
} target;

/* panel[k][j] = right(j, k), 0 from columns to width. */
static void pack(operand right, int64_t columns, int64_t count, int width, real *panel)
{
    if (right.item == 1) {
        for (int64_t k = 0; k < count; k++, panel += width)
            for (int v = 0; v < width; v += LANES) {
                const real *from = right.at + k * right.k + v;
                store(panel + v, columns - v >= LANES ? load(from) : load_some(from, columns - v));
            }
        return;
    }
    for (int v = 0; v < width; v += LANES) {
        int64_t here = least(columns - v, LANES), k = 0;
        if (right.k == 1 && here == LANES)
            for (; k + CROSS <= count; k += CROSS) {
                vec out[CROSS];
                transpose(right.at + v * right.item + k, right.item, out);
                for (int t = 0; t < CROSS; t++) store(panel + (k + t) * width + v, out[t]);
            }
        for (; k < count; k++)
            for (int j = 0; j < LANES; j++)
                panel[k * width + v + j] = j < here ? right.at[(v + j) * right.item + k * right.k] : 0;
    }
}

/* sums[i][j] = (left(i,0) panel[0][j] + left(i,1) panel[1][j]) + ...; 0 for count 0. */
static void inner_short(int64_t rows, int width, int64_t count, operand left, const real *panel, real *sums)
{
    for (int64_t i = 0; i < rows; i++)
        for (int v = 0; v < width; v += LANES) {
            const real *a = left.at + i * left.item;
            vec         sum = { 0 };
            if (count > 0) sum = splat(a[0]) * load(panel + v);
            for (int64_t k = 1; k < count; k++)
                sum = sum + splat(a[k * left.k]) * load(panel + k * width + v);
            store(sums + i * width + v, sum);
        }
}

static void inner_block(int64_t rows, int width, int64_t count, operand left, const real *panel, real *sums,
                        bool first)
{
    real thin[THIN * BLOCK];
    if (left.k != 1) {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t k = 0; k < count; k++) thin[i * BLOCK + k] = left.at[i * left.item + k * left.k];
        left = (operand){ thin, BLOCK, 1 };
    }
    const tile *t = tiles[width / LANES - 1];
    for (int64_t i = 0; i < rows; i += t->rows) {
        while (t->rows > rows - i) t++;
        t->inner(count, left.at + i * left.item, left.item, panel, width, sums + i * width, first);
    }
}

INLINE real finish(real sum, const real *bias, const real *old)
{
    if (bias) sum = sum + *bias;
    return old ? *old + sum : sum;
}

/* Rows i.. and columns j.. of the result from sums[rows][width]. */
static void deliver(const target *t, int64_t i, int64_t rows, int64_t j, int64_t columns, const real *sums,
                    int width)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t v = 0; v < columns; v++) {
            int64_t row = t->turned ? j + v : i + r, column = t->turned ? i + r : j + v;
            real   *c = t->c + row * t->ldc + column;
            *c = finish(sums[r * width + v], t->bias ? t->bias + column : NULL, t->add ? c : NULL);
        }
}

static void inner(int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, const void *b, int64_t b_k,
                  int64_t b_n, const void *bias, void *c, int64_t ldc, bool add)
{
    real    panel[BLOCK * WIDTH], sums[CHUNK * WIDTH];
    operand left = { a, lda, 1 }, right = { b, b_n, b_k };
    target  to = { bias, c, ldc, false, add };
    int64_t rows = m, columns = n;
    if (n <= THIN && m > n) {
        left = right;
        right = (operand){ a, lda, 1 };
        rows = n, columns = m, to.turned = true;
    }
    for (int64_t i = 0; i < rows; i += CHUNK)
        for (int64_t j = 0; j < columns; j += WIDTH) {
            int64_t here = least(rows - i, CHUNK), across = least(columns - j, WIDTH);
            int     width = vecs_for(across) * LANES;
            for (int64_t from = 0; from == 0 || from < k; from += BLOCK) {
                int64_t count = least(k - from, BLOCK);
                operand l = left, r = right;
                l.at += i * l.item + from * l.k;
                r.at += j * r.item + from * r.k;
                pack(r, across, count, width, panel);
                if (k < SHORT) inner_short(here, width, count, l, panel, sums);
                else inner_block(here, width, count, l, panel, sums, from == 0);
            }
            deliver(&to, i, here, j, across, sums, width);
        }
}

/* ---- outer ------------------------------------------------------------------------------------------------ */
/* Joins the subtrees of all leaves: arrays of size on a stack, the result in the first. */
static void join(int64_t leaves, int size, real *sums)
{
    for (int top = __builtin_popcountll((uint64_t)leaves) - 1; top > 0; top--)
        for (int i = 0; i < size; i += LANES) {
            real *into = sums + (top - 1) * size + i;
            store(into, load(into) + load(into + size));
        }
}

static void outer_nothing(int64_t m, int64_t n, real *c, int64_t ldc, bool add)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) c[i * ldc + j] = add ? c[i * ldc + j] + 0 : 0;
}

static void outer(int64_t rows, int64_t leaf_rows, int64_t m, int64_t n, const void *g_, int64_t ldg,
                  const void *x_, int64_t ldx, void *c_, int64_t ldc, bool add)
{
    const real *g = g_, *x = x_;
    real        panel[BLOCK * WIDTH], stack[STACK], *c = c_;
    if (rows == 0) {
        outer_nothing(m, n, c, ldc, add);
        return;
    }
    if (leaf_rows == 0 || leaf_rows > rows) leaf_rows = rows;
    int64_t leaves = (rows + leaf_rows - 1) / leaf_rows;
    int     depth = leaves > 1 ? 65 - __builtin_clzll((uint64_t)leaves - 1) : 1;
    for (int64_t j = 0; j < n; j += WIDTH) {
        int64_t across = least(n - j, WIDTH);
        int     vecs = vecs_for(across), width = vecs * LANES;
        /* Of every tile in a round the stack is kept from one span to the next. */
        int64_t round = rows <= BLOCK ? m : STACK / (depth * width) / TILE_ROWS * TILE_ROWS;
        int64_t keep = rows <= BLOCK ? 0 : depth * width;
        for (int64_t i = 0; i < m; i += round) {
            int64_t here = least(m - i, round);
            for (int64_t from = 0; from < rows; from += BLOCK) {
                span        s = { from, least(from + BLOCK, rows), rows, leaf_rows };
                const tile *t = tiles[vecs - 1];
                pack((operand){ x + from * ldx + j, 1, ldx }, across, s.to - from, width, panel);
                for (int64_t r = 0; r < here; r += t->rows) {
                    while (t->rows > here - r) t++;
                    t->outer(&s, g + from * ldg + i + r, ldg, panel, width, stack + r * keep);
                    if (s.to == rows) {
                        join(leaves, t->rows * width, stack + r * keep);
                        for (int64_t q = 0; q < t->rows * width; q++) {
                            real *to = c + (i + r + q / width) * ldc + j + q % width;
                            real  sum = stack[r * keep + q];
                            if (q % width < across) *to = add ? *to + sum : sum;
                        }
                    }
                }
            }
        }
    }
}
