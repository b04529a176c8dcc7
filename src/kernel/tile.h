/* tile.h -- the part of a matrix product that stays in registers.
 *
 * A tile is rows x vecs vecs of sums. Each row's factor is one real, spread over a vec; the columns'
 * factors are vecs of a panel. Every lane is one element's own chain, in the order of the rules in
 * kernel.h: the shape of a tile and LANES reach no result. product.h cuts the work into tiles.
 */
#pragma once
#include "kernel/real.h"

enum {
    VECS = 4,       /* of a tile's row, at most */
    TILE_ROWS = 12, /* at most */
    TILE_VECS = 24, /* of sums, at most */
    AHEAD = 40,     /* rows of b between what is asked for from memory and what is used; the nearest cache, where */
    SECOND = 2,     /* they may fall on one another, has no room for so many: a prefetch's locality */
    LINE_REALS = 64 / (int)sizeof(real),
    LEFT_AHEAD = 8 * LINE_REALS, /* reals of a row between what is asked for and what is used */
};

/* To be written soon, at a place that other cores may have read. */
INLINE void ask_to_write(const real *p)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*p));
#else
    __builtin_prefetch(p, 1);
#endif
}

/* Rows of arrays, each like a tile's result, that will be written once it is made. They are asked from memory
 * while it is, some rows with every leaf: much of what is asked at once a processor drops. */
typedef struct awaited { const real *at[LS_MOST_WRITTEN]; int64_t ld; int rows, with_leaf; } awaited;

INLINE void ask_with_leaf(int width, awaited *w)
{
    for (int r = 0; r < w->with_leaf && w->rows > 0; r++, w->rows--)
        for (int i = 0; i < LS_MOST_WRITTEN && w->at[i]; i++, w->at[i - 1] += w->ld)
            for (int v = 0; v < width; v += LINE_REALS) ask_to_write(w->at[i] + v);
}

/* What is read after some products, from one end to the other: asked likewise, some lines with every block. */
typedef struct later { const real *at, *end; int64_t with_block; } later;

INLINE void ask_with_block(later *l)
{
    for (int64_t i = 0; i < l->with_block && l->at < l->end; i++, l->at += LINE_REALS)
        __builtin_prefetch(l->at, 0, SECOND);
}

/* acc[i][j] = fused(a[i * a_i + k * a_k], b[k * ldb + j * LANES], acc[i][j]) for k = 0, 1, ...
 * copy: the rows of b are stored there on the way, one after the other; or NULL. */
INLINE void chain(int rows, int vecs, int64_t count, const real *a, int64_t a_i, int64_t a_k,
                  const real *b, int64_t ldb, real *copy, vec acc[][VECS])
{
    for (int64_t k = 0; k < count; k++, a += a_k, b += ldb) {
        vec right[VECS];
        UNROLL
        for (int j = 0; j < vecs; j++) {
            right[j] = load(b + j * LANES);
            if (copy) {
                __builtin_prefetch(b + AHEAD * ldb + j * LANES, 0, SECOND);
                store(copy + (k * vecs + j) * LANES, right[j]);
            }
        }
        UNROLL
        for (int i = 0; i < rows; i++) {
            vec left = splat(a[i * a_i]);
            UNROLL
            for (int j = 0; j < vecs; j++) acc[i][j] = fused(left, right[j], acc[i][j]);
        }
    }
}

/* chain() where each row of a lies together and comes from memory, k: of the first step, of so many. Rows are
 * asked for line by line as they are used, and those of the next tile behind them: what many rows read side by
 * side no processor foresees. */
INLINE void chain_of_rows(int rows, int vecs, int64_t from, int64_t count, int64_t k, const real *a, int64_t a_i,
                          const real *b, int64_t ldb, vec acc[][VECS])
{
    for (int64_t to = from + count; from < to; from += LINE_REALS) {
        const int64_t here = to - from < LINE_REALS ? to - from : LINE_REALS, ask = from + LEFT_AHEAD;
        const real   *ahead = ask < k ? a + ask : a + rows * a_i + (ask - k);
        UNROLL
        for (int i = 0; i < rows; i++) __builtin_prefetch(ahead + i * a_i);
        chain(rows, vecs, here, a + from, a_i, 1, b, ldb, NULL, acc);
        b += here * ldb;
    }
}

/* The same with each step rounded twice, and from the first product on; 0 for count 0. */
INLINE void chain_short(int rows, int vecs, int64_t count, const real *a, int64_t a_i, int64_t a_k,
                        const real *b, int64_t ldb, vec acc[][VECS])
{
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vecs; j++)
            acc[i][j] = count > 0 ? splat(a[i * a_i]) * load(b + j * LANES) : (vec){ 0 };
    }
    for (int64_t k = 1; k < count; k++) {
        UNROLL
        for (int i = 0; i < rows; i++) {
            UNROLL
            for (int j = 0; j < vecs; j++)
                acc[i][j] = acc[i][j] + splat(a[i * a_i + k * a_k]) * load(b + k * ldb + j * LANES);
        }
    }
}

/* acc = what lies at p + acc */
INLINE void join(int rows, int vecs, const real *p, int64_t ld, vec acc[][VECS])
{
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vecs; j++) acc[i][j] = load(p + i * ld + j * LANES) + acc[i][j];
    }
}

INLINE void fetch(int rows, int vecs, const real *p, int64_t ld, vec acc[][VECS])
{
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vecs; j++) acc[i][j] = load(p + i * ld + j * LANES);
    }
}

INLINE void keep(int rows, int vecs, real *p, int64_t ld, vec acc[][VECS])
{
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vecs; j++) store(p + i * ld + j * LANES, acc[i][j]);
    }
}

/* ---- rule inner ----------------------------------------------------------------------------------- */
enum {
    BLOCK = 256, /* length of a fused chain: part of the rule */
    SHORT = 8,   /* shorter ones are rounded apart: part of the rule */
};

/* A part of inner's products: steps from .. to of k, whose first factors are at a and b. next: or NULL. */
typedef struct factors {
    const real *a;
    int64_t     a_i, a_k;
    const real *b;
    int64_t     ldb;
    real       *copy;
    later      *next;
} factors;
typedef struct steps { int64_t from, to, k; } steps;
typedef struct target {
    const real *bias; /* or NULL */
    real       *c;
    int64_t     ldc, columns; /* of the tile that are wanted */
    bool        add;
    bool        relu; /* follows, block by block: */
    const real *y;    /* its slope where it gave this; or NULL */
} target;

/* c (+)= sum, lanes of it */
INLINE void finish(vec sum, real *c, int64_t lanes, bool add)
{
    if (add) sum = load_some(c, lanes) + sum;
    store_some(c, sum, lanes);
}

/* Lanes of a tile's j-th vecs that are wanted. */
INLINE int64_t wanted(const target *t, int j)
{
    const int64_t lanes = t->columns - j * LANES;
    return lanes < LANES ? lanes : LANES;
}

INLINE void deliver(int rows, int vecs, const target *t, vec acc[][VECS])
{
    if (t->bias) {
        UNROLL
        for (int j = 0; j < vecs; j++) {
            const vec bias = load_some(t->bias + j * LANES, wanted(t, j));
            UNROLL
            for (int i = 0; i < rows; i++) acc[i][j] = acc[i][j] + bias;
        }
    }
    if (t->columns == vecs * LANES && !t->add) {
        keep(rows, vecs, t->c, t->ldc, acc);
        return;
    }
    real         *c = t->c;
    const int64_t ldc = t->ldc;
    const bool    add = t->add;
    UNROLL
    for (int j = 0; j < vecs; j++) {
        const int64_t lanes = wanted(t, j);
        UNROLL
        for (int i = 0; i < rows; i++) finish(acc[i][j], c + i * ldc + j * LANES, lanes, add);
    }
}

/* sums: [rows, vecs * LANES], of the blocks so far. far: rows of a, of all k, come from memory. Structures come by
 * address: fields that were just written are read one by one, as a processor passes them on. */
INLINE void inner_tile(int rows, int vecs, bool far, const steps *s, const factors *f, real *sums, const target *t)
{
    const real *a = f->a, *b = f->b;
    real       *copy = f->copy;
    vec         acc[TILE_ROWS][VECS];
    if (s->k < SHORT) {
        chain_short(rows, vecs, s->k, a, f->a_i, f->a_k, b, f->ldb, acc);
        deliver(rows, vecs, t, acc);
        return;
    }
    for (int64_t k = s->from, count; k < s->to; k += count) {
        count = s->to - k < BLOCK ? s->to - k : BLOCK;
        UNROLL
        for (int i = 0; i < rows; i++) {
            UNROLL
            for (int j = 0; j < vecs; j++) acc[i][j] = (vec){ 0 };
        }
        if (f->next) ask_with_block(f->next);
        if (copy) chain(rows, vecs, count, a, f->a_i, f->a_k, b, f->ldb, copy, acc);
        else if (far) chain_of_rows(rows, vecs, k, count, s->k, f->a, f->a_i, b, f->ldb, acc);
        else chain(rows, vecs, count, a, f->a_i, f->a_k, b, f->ldb, NULL, acc);
        a += count * f->a_k, b += count * f->ldb;
        if (copy) copy += count * vecs * LANES;
        if (k > 0) join(rows, vecs, sums, vecs * LANES, acc);
        if (k + count == s->k) deliver(rows, vecs, t, acc);
        else keep(rows, vecs, sums, vecs * LANES, acc);
    }
}

/* ---- sums over rows ------------------------------------------------------------------------------- */
/* Rows from <= r < to of a sum over rows. A span is 2^log whole leaves, an aligned run of them, or a
 * part of one leaf (log 0); the last one ends where the rows end. */
typedef struct span { int64_t from, to, rows, leaf_rows; int log; } span;
enum { SPAN = 512, SPAN_LOG = 9 }; /* rows of a span at most; its leaves: at most 2^SPAN_LOG */

/* The first products of a leaf. */
INLINE void products(int rows, int vecs, const real *g, const real *x, real *copy, vec acc[][VECS])
{
    vec right[VECS];
    UNROLL
    for (int j = 0; j < vecs; j++) {
        right[j] = load(x + j * LANES);
        if (copy) store(copy + j * LANES, right[j]);
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vecs; j++) acc[i][j] = splat(g[i]) * right[j];
    }
}

/* The rows of a span by rule rows; g and x begin at row from. x's rows are copied as in chain. The sum,
 * once complete, is stored in c, or added to it. Finished subtrees wait on a stack: those of leaves of
 * this span in local, those of spans in kept, each an array [rows, vecs * LANES]. Number i, of a leaf in
 * its span or of a span, finds one subtree for each bit of i that is set, the largest first; it joins as
 * many of them as i has ones at its end, and the last leaf joins all. A leaf that goes on in the next
 * span waits in kept. next: what is written once c is there, or NULL. */
INLINE void outer_tile(int rows, int vecs, const span *s, const real *g, int64_t ldg, const real *x,
                       int64_t ldx, real *copy, real *kept, real *c, int64_t ldc, bool add, awaited *next)
{
    const int     width = vecs * LANES, size = rows * width;
    const int64_t leaf = s->from / s->leaf_rows, number = leaf >> s->log;
    real         *kept_top = kept + __builtin_popcountll((uint64_t)number) * size;
    real          local[SPAN_LOG * TILE_VECS * LANES] __attribute__((aligned(VEC_BYTES))), *top = local;
    int64_t       rest = (leaf + 1) * s->leaf_rows - s->from; /* of the leaf */
    bool          begun = rest < s->leaf_rows;
    vec           acc[TILE_ROWS][VECS];
    for (int64_t i = 0, to_come = s->to - s->from;; i++, begun = false, rest = s->leaf_rows) {
        const int64_t here = to_come < rest ? to_come : rest, done = begun ? 0 : 1;
        if (next) ask_with_leaf(width, next);
        if (begun) fetch(rows, vecs, kept_top, width, acc);
        else products(rows, vecs, g, x, copy, acc);
        const real *g_on = g + done * ldg, *x_on = x + done * ldx;
        if (copy) chain(rows, vecs, here - done, g_on, 1, ldg, x_on, ldx, copy + done * width, acc);
        else chain(rows, vecs, here - done, g_on, 1, ldg, x_on, ldx, NULL, acc);
        to_come -= here, rest -= here;
        if (to_come == 0) break;
        g += here * ldg, x += here * ldx;
        if (copy) copy += here * width;
        for (int64_t bits = i; bits & 1; bits >>= 1) join(rows, vecs, top -= size, width, acc);
        keep(rows, vecs, top, width, acc);
        top += size;
    }
    while (top > local) join(rows, vecs, top -= size, width, acc);
    if (s->to == s->rows) {
        while (kept_top > kept) join(rows, vecs, kept_top -= size, width, acc);
        if (add) join(rows, vecs, c, ldc, acc);
        keep(rows, vecs, c, ldc, acc);
    } else {
        for (int64_t bits = number; bits & 1 && rest == 0; bits >>= 1)
            join(rows, vecs, kept_top -= size, width, acc);
        keep(rows, vecs, kept_top, width, acc);
    }
}

/* ---- the tiles that there are: rows x vecs, by vecs, rows descending to 1 -----------------------
 * As many sums as registers hold beside the factors; narrow ones enough to hide the latency. Wide ones
 * read half as many rows of a at once, for each of which there must be a place in the nearest cache. */
#define TILES_1(X) X(12, 1) X(10, 1) X(8, 1) X(6, 1) X(4, 1) X(2, 1) X(1, 1)
#if VEC_REGISTERS == 32
#define TILES_2(TALL, X) TALL(12, 2) X(10, 2) X(8, 2) X(6, 2) X(4, 2) X(2, 2) X(1, 2)
#define TILES_WIDE(X) X(6, 4) X(4, 4) X(2, 4) X(1, 4)
#else
#define TILES_2(TALL, X) TALL(6, 2) X(4, 2) X(2, 2) X(1, 2)
#endif

typedef struct tile {
    int rows;
    void (*inner)(const steps *s, const factors *f, real *sums, const target *t);
    void (*inner_far)(const steps *s, const factors *f, real *sums, const target *t); /* of the tallest; else inner */
    void (*outer)(const span *s, const real *g, int64_t ldg, const real *x, int64_t ldx, real *copy, real *kept,
                  real *c, int64_t ldc, bool add, awaited *next);
} tile;

#define DEFINE_INNER_AS(name, rows, vecs, far)                                              \
    static void name(const steps *s, const factors *f, real *sums, const target *t)         \
    {                                                                                       \
        inner_tile(rows, vecs, far, s, f, sums, t);                                         \
    }
#define DEFINE_INNER(rows, vecs) DEFINE_INNER_AS(inner_##rows##x##vecs, rows, vecs, false)
#define DEFINE_INNER_FAR(rows, vecs) DEFINE_INNER_AS(inner_far_##rows##x##vecs, rows, vecs, true)
#define NOTHING(rows, vecs)
#define DEFINE_OUTER(rows, vecs)                                                                     \
    static void outer_##rows##x##vecs(const span *s, const real *g, int64_t ldg, const real *x,      \
                                      int64_t ldx, real *copy, real *kept, real *c, int64_t ldc,     \
                                      bool add, awaited *next)                                       \
    {                                                                                                \
        outer_tile(rows, vecs, s, g, ldg, x, ldx, copy, kept, c, ldc, add, next);                    \
    }
TILES_1(DEFINE_INNER)
TILES_1(DEFINE_OUTER)
TILES_2(DEFINE_INNER, DEFINE_INNER)
TILES_2(DEFINE_INNER_FAR, NOTHING)
TILES_2(DEFINE_OUTER, DEFINE_OUTER)

#define TILE_ENTRY(rows, vecs) { rows, inner_##rows##x##vecs, inner_##rows##x##vecs, outer_##rows##x##vecs },
#define TALL_ENTRY(rows, vecs) { rows, inner_##rows##x##vecs, inner_far_##rows##x##vecs, outer_##rows##x##vecs },
static const tile tiles[][7] = {
    { TILES_1(TILE_ENTRY) },
    { TILES_2(TALL_ENTRY, TILE_ENTRY) },
};

#if defined(TILES_WIDE)
TILES_WIDE(DEFINE_INNER)
#define WIDE_ENTRY(rows, vecs) { rows, inner_##rows##x##vecs, inner_##rows##x##vecs, NULL },
static const tile wide_tiles[] = { TILES_WIDE(WIDE_ENTRY) };
enum { WIDE_VECS = 4 };
#else
static const tile *const wide_tiles = tiles[1];
enum { WIDE_VECS = 2 };
#endif
