/* tile.h -- the part of a matrix product that stays in registers.
 *
 * A tile is rows x vecs vecs of sums. Each row's factor is one real, spread over a vec; the columns'
 * factors are vecs of a panel. Every lane is one element's own chain, in the order of the rules in
 * kernel.h: the shape of a tile and LANES reach no result. product.h cuts the work into tiles.
 */
#pragma once
#include "kernel/real.h"

enum {
    VECS = 2,       /* of a tile's row, at most */
    TILE_ROWS = 12,                     /* at most */
};

/* acc[i][j] = fused(a[i * a_i + k * a_k], b[k * ldb + j * LANES], acc[i][j]) for k = 0, 1, ... */
INLINE void chain(int rows, int vecs, int64_t count, const real *a, int64_t a_i, int64_t a_k,
                  const real *b, int64_t ldb, vec acc[][VECS])
{
    for (int64_t k = 0; k < count; k++, a += a_k, b += ldb) {
        vec right[VECS];
        UNROLL
        for (int j = 0; j < vecs; j++) right[j] = load(b + j * LANES);
        UNROLL
        for (int i = 0; i < rows; i++) {
            vec left = splat(a[i * a_i]);
            UNROLL
            for (int j = 0; j < vecs; j++) acc[i][j] = fused(left, right[j], acc[i][j]);
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

INLINE void keep(int rows, int vecs, real *p, int64_t ld, vec acc[][VECS])
{
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vecs; j++) store(p + i * ld + j * LANES, acc[i][j]);
    }
}

/* One block of rule inner. sums: [rows, vecs * LANES], which the block's chains are added to; first:
 * which they are stored in. */
INLINE void inner_tile(int rows, int vecs, int64_t count, const real *a, int64_t a_i, int64_t a_k,
                       const real *b, int64_t ldb, real *sums, bool first)
{
    vec acc[TILE_ROWS][VECS];
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vecs; j++) acc[i][j] = (vec){ 0 };
    }
    chain(rows, vecs, count, a, a_i, a_k, b, ldb, acc);
    if (!first) join(rows, vecs, sums, vecs * LANES, acc);
    keep(rows, vecs, sums, vecs * LANES, acc);
}

/* ---- sums over rows ------------------------------------------------------------------------------- */
/* Rows from <= r < to of a sum over rows. A span is 2^log whole leaves, an aligned run of them, or a
 * part of one leaf (log 0); the last one ends where the rows end. */
typedef struct span { int64_t from, to, rows, leaf_rows; int log; } span;
enum { SPAN = 256, SPAN_LOG = 8 }; /* rows of a span at most; its leaves: at most 2^SPAN_LOG */

/* The rows of a span by rule rows; g and x begin at row from. The sum, once complete, is stored in c,
 * or added to it. Finished subtrees wait on a stack: those of leaves of this span in local, those of
 * spans in kept, each an array [rows, vecs * LANES]. Number i, of a leaf in its span or of a span, finds
 * one subtree for each bit of i that is set, the largest first; it joins as many of them as i has ones
 * at its end, and the last leaf joins all. A leaf that goes on in the next span waits in kept. */
INLINE void outer_tile(int rows, int vecs, const span *s, const real *g, int64_t ldg, const real *x,
                       int64_t ldx, real *kept, real *c, int64_t ldc, bool add)
{
    const int     width = vecs * LANES, size = rows * width;
    const int64_t last = (INT64_C(1) << s->log) - 1;
    real          local[SPAN_LOG * TILE_ROWS * VECS * LANES] __attribute__((aligned(VEC_BYTES)));
    for (int64_t r = s->from, end; r < s->to; r = end) {
        const int64_t leaf = r / s->leaf_rows, first = leaf * s->leaf_rows;
        const int64_t inside = leaf & last, number = leaf >> s->log;
        real         *top = local + __builtin_popcountll((uint64_t)inside) * size;
        real         *kept_top = kept + __builtin_popcountll((uint64_t)number) * size;
        end = s->to - first < s->leaf_rows ? s->to : first + s->leaf_rows;
        vec acc[TILE_ROWS][VECS];
        UNROLL
        for (int i = 0; i < rows; i++) {
            UNROLL
            for (int j = 0; j < vecs; j++)
                acc[i][j] = r == first ? splat(g[i]) * load(x + j * LANES)
                                       : load(kept_top + i * width + j * LANES);
        }
        const int64_t done = r == first;
        chain(rows, vecs, end - r - done, g + done * ldg, 1, ldg, x + done * ldx, ldx, acc);
        g += (end - r) * ldg;
        x += (end - r) * ldx;
        if (end == s->rows) {
            while (top > local) join(rows, vecs, top -= size, width, acc);
            while (kept_top > kept) join(rows, vecs, kept_top -= size, width, acc);
            if (add) join(rows, vecs, c, ldc, acc);
            keep(rows, vecs, c, ldc, acc);
        } else if (end < first + s->leaf_rows) {
            keep(rows, vecs, kept_top, width, acc);
        } else {
            for (int64_t bits = inside; bits & 1; bits >>= 1) join(rows, vecs, top -= size, width, acc);
            if (inside == last) {
                for (int64_t bits = number; bits & 1; bits >>= 1)
                    join(rows, vecs, kept_top -= size, width, acc);
                top = kept_top;
            }
            keep(rows, vecs, top, width, acc);
        }
    }
}

/* ---- the tiles that there are: rows x vecs, by vecs, rows descending to 1 -----------------------
 * As many sums as registers hold beside the factors; narrow ones enough to hide the latency. */
#define TILES_1(X) X(12, 1) X(10, 1) X(8, 1) X(6, 1) X(4, 1) X(2, 1) X(1, 1)
#if VEC_REGISTERS == 32
#define TILES_2(X) X(12, 2) X(10, 2) X(8, 2) X(6, 2) X(4, 2) X(2, 2) X(1, 2)
#else
#define TILES_2(X) X(6, 2) X(4, 2) X(2, 2) X(1, 2)
#endif

typedef struct tile {
    int rows;
    void (*inner)(int64_t count, const real *a, int64_t a_i, int64_t a_k, const real *b, int64_t ldb, real *sums,
                  bool first);
    void (*outer)(const span *s, const real *g, int64_t ldg, const real *x, int64_t ldx, real *kept, real *c,
                  int64_t ldc, bool add);
} tile;

#define DEFINE_TILE(rows, vecs)                                                                      \
    static void inner_##rows##x##vecs(int64_t count, const real *a, int64_t a_i, int64_t a_k,        \
                                      const real *b, int64_t ldb, real *sums, bool first)            \
    {                                                                                                \
        inner_tile(rows, vecs, count, a, a_i, a_k, b, ldb, sums, first);                             \
    }                                                                                                \
    static void outer_##rows##x##vecs(const span *s, const real *g, int64_t ldg, const real *x,      \
                                      int64_t ldx, real *kept, real *c, int64_t ldc, bool add)       \
    {                                                                                                \
        outer_tile(rows, vecs, s, g, ldg, x, ldx, kept, c, ldc, add);                                             \
    }
TILES_1(DEFINE_TILE)
TILES_2(DEFINE_TILE)

#define TILE_ENTRY(rows, vecs) { rows, inner_##rows##x##vecs, outer_##rows##x##vecs },
static const tile tiles[VECS][7] = {
    { TILES_1(TILE_ENTRY) },
    { TILES_2(TILE_ENTRY) },
};
