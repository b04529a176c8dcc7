/* packed.h -- sums over rows of products whose factors were packed before, perhaps by several ranks.
 *
 * Left factors lie in tiles, [m / TILE_ROWS][rows][TILE_ROWS], right ones behind them in panels,
 * [n / WIDTH][rows][WIDTH], as outer packs them for itself. A tile of c goes through the pieces of
 * all rows one after the other; finished subtrees wait on its stack, so that the bits are outer's.
 */
#pragma once
#include "kernel/product.h"

enum { MOST_WAITING = 64 }; /* subtrees of a tile */

static int64_t tiles_reals(int64_t rows, int64_t m)
{
    return ((m + TILE_ROWS - 1) / TILE_ROWS * tile_reals(rows) + LANES - 1) / LANES * LANES;
}

static int64_t packed(int64_t rows, int64_t m, int64_t n)
{
    return tiles_reals(rows, m) + (n + WIDTH - 1) / WIDTH * panel_reals(rows);
}

static void outer_pack(int64_t rows, int64_t m, int64_t n, const void *g_, const void *x_, void *packed_)
{
    const real   *g = g_, *x = x_;
    real         *to = packed_;
    const int64_t of_tile = tile_reals(rows), of_panel = panel_reals(rows);
    for (int64_t i = 0; i < m; i += GROUP * TILE_ROWS)
        pack_tiles(rows, least(m - i, GROUP * TILE_ROWS), g + i, m, of_tile, to + i / TILE_ROWS * of_tile);
    to += tiles_reals(rows, m);
    for (int64_t j = 0; j < n; j += region_columns(rows))
        pack_panels(rows, least(n - j, region_columns(rows)), x + j, n, of_panel, to + j / WIDTH * of_panel);
}

/* The rows of a piece, no more leaves of it at a time than a tile's stack has room for. left, right: of
 * the first of the rows. */
INLINE void packed_piece(const tile *t, ls_range at, int64_t rows, int64_t leaf_rows, const real *left,
                         const real *right, real *kept, real *c, int64_t ldc, int64_t across,
                         awaited *next)
{
    const int64_t most = leaf_rows << SPAN_LOG;
    span          s = { at.from, at.to, rows, leaf_rows, 0 };
    for (; s.from < at.to; s.from = s.to) {
        s.to = least(at.to, s.from + most);
        for (s.log = 0; leaf_rows << s.log < s.to - s.from;) s.log++;
        const real *a = left + (s.from - at.from) * TILE_ROWS, *b = right + (s.from - at.from) * WIDTH;
        const int width = vecs_for(across) * LANES;
        if (across < width) outer_edge(t, &s, a, TILE_ROWS, b, WIDTH, width, kept, c, ldc, across, false, next);
        else t->outer(&s, a, TILE_ROWS, b, WIDTH, NULL, kept, c, ldc, false, next);
    }
}

/* A tile's elements of what a block goes to. */
INLINE awaited written_next(const ls_block *b, const tile *t, int64_t i, int64_t j, int64_t leaves)
{
    awaited w = { { NULL }, b->n, t->rows, rows_with_leaf(t->rows, leaves) };
    for (int a = 0; a < LS_MOST_WRITTEN && b->soon[a]; a++) w.at[a] = (const real *)b->soon[a] + i * b->n + j;
    return w;
}

/* Of the next tile's left factors, as much as is one panel's part. */
INLINE void ask_for_left(int64_t count, const ls_packed *of, int64_t m, int64_t i, const ls_block *b, int64_t j)
{
    const int64_t panels = (b->j.to - b->j.from + WIDTH - 1) / WIDTH, panel = (j - b->j.from) / WIDTH;
    if (i >= m) return;
    for (const ls_packed *p = of; p < of + count; p++) {
        const int64_t own = p->own.to - p->own.from, rows = p->piece.to - p->piece.from;
        const int64_t from = p->piece.from - p->own.from + rows * panel / panels;
        const int64_t end = p->piece.from - p->own.from + rows * (panel + 1) / panels;
        ask_for((const real *)p->at + i / TILE_ROWS * tile_reals(own) + from * TILE_ROWS, (end - from) * TILE_ROWS);
    }
}

static void outer_packed(int64_t count, const ls_packed *of, int64_t leaf_rows, int64_t m, const ls_block *b)
{
    real          kept[MOST_WAITING * TILE_ROWS * WIDTH] ALIGNED;
    real         *c = b->c;
    const int64_t rows = of[count - 1].piece.to;
    leaf_rows = least(leaf_rows, rows);
    const int64_t leaves = (rows + leaf_rows - 1) / leaf_rows;
    for (int64_t j = b->j.from, across; j < b->j.to; j += across, c += across) {
        across = least(b->j.to - j, WIDTH);
        for (int64_t r = b->i.from, end; r < b->i.to; r = end) {
            const int64_t inside = r % TILE_ROWS;
            const tile   *t = tiles[vecs_for(across) - 1];
            while (t->rows > least(b->i.to - r, TILE_ROWS - inside)) t++;
            end = r + t->rows;
            awaited next = written_next(b, t, r, j, leaves);
            if (end == b->i.to) ask_for_left(count, of, m, end - end % TILE_ROWS + (end % TILE_ROWS ? TILE_ROWS : 0), b, j);
            for (const ls_packed *p = of; p < of + count; p++) {
                const int64_t own = p->own.to - p->own.from, at = p->piece.from - p->own.from;
                const real   *left = (const real *)p->at + r / TILE_ROWS * tile_reals(own) + inside;
                const real   *right = (const real *)p->at + tiles_reals(own, m) + j / WIDTH * panel_reals(own);
                packed_piece(t, p->piece, rows, leaf_rows, left + at * TILE_ROWS, right + at * WIDTH, kept,
                             c + (r - b->i.from) * b->ldc, b->ldc, across, &next);
            }
        }
    }
}
