/* tile.h -- the part of a matrix product that stays in registers.
 *
 * A tile is rows x vecs vecs of sums. Each row's factor is one real, spread over a vec; the columns'
 * factors are vecs of a panel. Every lane is one element's own chain, in the order of the rules in
 * kernel.h: the shape of a tile and LANES reach no result. product.h cuts the work into tiles.
 */
#pragma once
#include "kernel/real.h"

enum {
    VECS = VEC_REGISTERS == 32 ? 4 : 2, /* of a tile's row, at most */
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

/* One block of rule inner. sums: [rows, vecs * LANES], which the block's chains are added to; first:
 * which they are stored in. */
INLINE void inner_tile(int rows, int vecs, int64_t count, const real *a, int64_t lda, const real *b,
                       int64_t ldb, real *sums, bool first)
{
    vec acc[TILE_ROWS][VECS];
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vecs; j++) acc[i][j] = (vec){ 0 };
    }
    chain(rows, vecs, count, a, lda, 1, b, ldb, acc);
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vecs; j++) {
            real *p = sums + (i * vecs + j) * LANES;
            store(p, first ? acc[i][j] : load(p) + acc[i][j]);
        }
    }
}

/* Rows from <= r < to of a sum over rows. */
typedef struct span { int64_t from, to, rows, leaf_rows; } span;

/* The rows of a span by rule rows; g and x begin at row from. sums: a stack of arrays [rows, vecs *
 * LANES]. Below the leaf under way, number i, it holds one finished subtree for each bit of i that is
 * set, the largest first: a leaf joins as many of them as i has ones at its end. A leaf that goes on
 * in the next span waits on top. */
INLINE void outer_tile(int rows, int vecs, const span *s, const real *g, int64_t ldg, const real *x,
                       int64_t ldx, real *sums)
{
    const int size = rows * vecs * LANES;
    for (int64_t r = s->from, end; r < s->to; r = end) {
        int64_t leaf = r / s->leaf_rows, first = leaf * s->leaf_rows;
        end = s->to - first < s->leaf_rows ? s->to : first + s->leaf_rows;
        real *top = sums + __builtin_popcountll((uint64_t)leaf) * size;
        vec   acc[TILE_ROWS][VECS];
        UNROLL
        for (int i = 0; i < rows; i++) {
            UNROLL
            for (int j = 0; j < vecs; j++)
                acc[i][j] = r == first ? splat(g[i]) * load(x + j * LANES)
                                       : load(top + (i * vecs + j) * LANES);
        }
        int64_t done = r == first;
        chain(rows, vecs, end - r - done, g + done * ldg, 1, ldg, x + done * ldx, ldx, acc);
        g += (end - r) * ldg;
        x += (end - r) * ldx;
        bool complete = end == first + s->leaf_rows || end == s->rows;
        for (int64_t bits = complete ? leaf : 0; bits & 1; bits >>= 1) {
            top -= size;
            UNROLL
            for (int i = 0; i < rows; i++) {
                UNROLL
                for (int j = 0; j < vecs; j++)
                    acc[i][j] = load(top + (i * vecs + j) * LANES) + acc[i][j];
            }
        }
        UNROLL
        for (int i = 0; i < rows; i++) {
            UNROLL
            for (int j = 0; j < vecs; j++) store(top + (i * vecs + j) * LANES, acc[i][j]);
        }
    }
}

/* ---- the tiles that there are: rows x vecs, by vecs, rows descending to 1 --------------------------------
 * As many sums as registers hold beside the factors; narrow ones enough to hide the latency. */
#define TILES_1(X) X(12, 1) X(8, 1) X(4, 1) X(2, 1) X(1, 1)
#if VEC_REGISTERS == 32
#define TILES_2(X) X(12, 2) X(8, 2) X(4, 2) X(2, 2) X(1, 2)
#define TILES_3(X) X(8, 3) X(4, 3) X(2, 3) X(1, 3)
#define TILES_4(X) X(6, 4) X(4, 4) X(2, 4) X(1, 4)
#else
#define TILES_2(X) X(6, 2) X(4, 2) X(2, 2) X(1, 2)
#define TILES_3(X)
#define TILES_4(X)
#endif

typedef struct tile {
    int rows;
    void (*inner)(int64_t count, const real *a, int64_t lda, const real *b, int64_t ldb, real *sums, bool first);
    void (*outer)(const span *s, const real *g, int64_t ldg, const real *x, int64_t ldx, real *sums);
} tile;

#define DEFINE_TILE(rows, vecs)                                                                      \
    static void inner_##rows##x##vecs(int64_t count, const real *a, int64_t lda, const real *b,      \
                                      int64_t ldb, real *sums, bool first)                           \
    {                                                                                                \
        inner_tile(rows, vecs, count, a, lda, b, ldb, sums, first);                                  \
    }                                                                                                \
    static void outer_##rows##x##vecs(const span *s, const real *g, int64_t ldg, const real *x,      \
                                      int64_t ldx, real *sums)                                       \
    {                                                                                                \
        outer_tile(rows, vecs, s, g, ldg, x, ldx, sums);                                             \
    }
TILES_1(DEFINE_TILE)
TILES_2(DEFINE_TILE)
TILES_3(DEFINE_TILE)
TILES_4(DEFINE_TILE)

#define TILE_ENTRY(rows, vecs) { rows, inner_##rows##x##vecs, outer_##rows##x##vecs },
static const tile tiles[VECS][5] = {
    { TILES_1(TILE_ENTRY) },
    { TILES_2(TILE_ENTRY) },
#if VEC_REGISTERS == 32
    { TILES_3(TILE_ENTRY) },
    { TILES_4(TILE_ENTRY) },
#endif
};
