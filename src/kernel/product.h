/* product.h -- matrix products: cuts them into panels and tiles (tile.h), and packs.
 *
 * Memory is the stack's and bounded: a panel of column factors, which stays in the cache while all rows
 * pass over it, and the sums under way.
 */
#pragma once
#include "kernel/then.h"
#include "kernel/tile.h"

enum {
    PANEL_VECS = 2, WIDTH = PANEL_VECS * LANES, /* columns of a panel */
    WIDE = WIDE_VECS * LANES, WIDE_ROWS = 256, /* of a wide one; rows that pay for it */
    PACKED = 512 * 1024 / (int)sizeof(real), /* reals of inner's panels: they stay in the second cache */
    FAR = 2048 * 1024 / (int)sizeof(real), /* reals of left factors that are hardly in a cache when they are read first */
    STEPS = 2048,                          /* of k that a panel holds; a multiple of BLOCK */
    CHUNK = 384,                           /* rows whose sums are under way where k is longer */
    REGION_ROWS = 264, REGION_COLUMNS = 512, /* of c; half as many columns for the longer spans */
    ASKED_ROWS = 128,                      /* of a span from which on c is asked for before it is written */
    PANEL_ROWS_AHEAD = 4, TILE_ROWS_AHEAD = 28, /* rows that packing asks memory for before it needs them, */
    SQUARES_AHEAD = 64,                    /* and reals of each of its rows; */
    PANEL_ROWS_TO_COME = 6, TILE_ROWS_TO_COME = 16, /* rows of what it writes, which other cores may have read */
    GROUP = 4,                             /* tiles of rows whose left factors outer packs at once */
    PANEL_GAP = LANES, TILE_GAP = 2 * LANES, /* reals behind packed ones: not 2^i apart, for the sets of a cache */
    TURNED = 48,                           /* rows of tiles that become columns of c at once; a multiple of LANES */
    KEPT = 512 * 1024 / (int)sizeof(real), /* reals of subtrees that outer keeps */
};
_Static_assert(TURNED % LANES == 0, "squares of what is turned are whole");
#define ALIGNED __attribute__((aligned(64)))

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int vecs_for(int64_t columns) { return (int)((columns + LANES - 1) / LANES); }
/* Of inner, for panels of so many columns: the tallest first. */
static inline const tile *tiles_for(int width) { return width > WIDTH ? wide_tiles : tiles[width / LANES - 1]; }

/* Whether rows so far apart fall on the same places of the nearest cache: a few of them push each other out. */
static inline bool collide(int64_t ld)
{
    enum { WAY = 4096 };
    return ld * (int64_t)sizeof(real) % WAY == 0;
}

/* ---- inner ----------------------------------------------------------------------------------- */
/* c(i,j) = sum_k left(i,k) right(j,k): left a row's factor, right a column's. */
typedef struct operand { const real *at; int64_t item, k; } operand; /* elements from one to the next */
/* panel[k][j] = right(j, k), 0 from columns to width; right.item is 1: rows are copied. */
static void pack_rows(operand right, int64_t columns, int64_t count, int width, real *panel)
{
    for (int64_t k = 0; k < count; k++, panel += width)
        for (int v = 0; v < width; v += LANES) {
            const real *from = right.at + k * right.k + v;
            store(panel + v, columns - v >= LANES ? load(from) : load_some(from, columns - v));
        }
}

/* LANES columns of a panel for some k, each step so many at once; as far as whole steps go. */
INLINE int64_t pack_steps(int step, int64_t from, int64_t count, operand right, int width, real *panel)
{
    for (; from + step <= count; from += step) {
        vec out[LANES];
        for (int j = 0; j < LANES && step == LANES; j++)
            __builtin_prefetch(right.at + j * right.item + from + SQUARES_AHEAD, 0, SECOND);
        transpose_some(step, right.at + from, right.item, out);
        UNROLL
        for (int t = 0; t < step; t++) store(panel + (from + t) * width, out[t]);
    }
    return from;
}

/* The same for any right: transposed, through contiguous copies of columns that are not or are too few. */
static void pack_block(operand right, int64_t columns, int64_t count, int width, real *panel)
{
    for (int v = 0; v < width; v += LANES) {
        const int64_t here = least(columns - v, LANES);
        operand       r = { right.at + v * right.item, right.item, right.k };
        real          few[LANES * BLOCK] ALIGNED;
        if (here < LANES || r.k != 1) {
            for (int64_t j = 0; j < LANES; j++)
                for (int64_t k = 0; k < count; k++) few[j * BLOCK + k] = j < here ? r.at[j * r.item + k * r.k] : 0;
            r = (operand){ few, BLOCK, 1 };
        }
        int64_t k = collide(r.item) ? pack_steps(LANES, 0, count, r, width, panel + v) : 0;
        for (k = pack_steps(CROSS, k, count, r, width, panel + v); k < count; k++)
            for (int j = 0; j < LANES; j++) panel[k * width + v + j] = r.at[j * r.item + k];
    }
}

static void pack(operand right, int64_t columns, int64_t count, int width, real *panel)
{
    if (right.item == 1) pack_rows(right, columns, count, width, panel);
    else
        for (int64_t k = 0; k < count; k += BLOCK, right.at += BLOCK * right.k)
            pack_block(right, columns, least(count - k, BLOCK), width, panel + k * width);
}

/* What packing columns costs, in products: so much for each element, more in a vec that is not whole. */
static int64_t packing(int64_t columns, int64_t k, int64_t each)
{
    return (columns / LANES + (columns % LANES ? 3 : 0)) * LANES * k * each;
}

/* Whether it is faster to make the transpose of c. Costs are in products: a packed element costs several, more
 * where rows collide, and so do a delivered one, a left factor read across rows, and one read again for further
 * panels, more from memory; wide tiles save some. */
static bool turning_pays(int64_t m, int64_t n, int64_t k, operand right, bool wide)
{
    const bool    by_row = right.item == 1;
    const int64_t m_lanes = vecs_for(m) * LANES, n_lanes = vecs_for(n) * LANES;
    const int64_t each = collide(by_row ? k : right.item) ? 24 : 12;
    const int64_t straight = m * n_lanes * k + packing(n, k, by_row ? 1 : each);
    const int64_t again = (m_lanes * k - 1) / PACKED * n * k * (n * k > FAR ? 16 : 2);
    const int64_t turned = n * m_lanes * k + packing(m, k, each) + m * n * 12 + again +
                           (by_row ? n * m_lanes * k / 4 : 0) + (wide ? m * n_lanes * k / 32 : 0);
    return turned < straight;
}

/* The part of t from there on. */
INLINE target part_of(const target *t, int64_t row, int64_t column, int64_t columns)
{
    const int64_t at = row * t->ldc + column;
    return (target){ t->bias ? t->bias + column : NULL, t->c + at, t->ldc, columns, t->add, t->relu,
                     t->y ? t->y + at : NULL };
}

/* So much of t is made. */
INLINE void then_block(const target *t, int64_t rows, int64_t columns)
{
    if (t->relu) relu_block(rows, columns, t->y, t->c, t->ldc);
}

/* Rows of sums [rows, width] become columns of c, squares of LANES x LANES at a time: lines of c are written whole,
 * as there may be no place for many in the nearest cache. t->columns: of sums that are wanted. */
static void deliver_turned(int64_t rows, int width, const real *sums, const target *t)
{
    for (int64_t i = 0; i < rows; i += LANES) {
        const int64_t lanes = least(rows - i, LANES);
        const vec     bias = t->bias ? load_some(t->bias + i, lanes) : (vec){ 0 };
        for (int64_t j = 0; j < t->columns; j += LANES) {
            const bool plain = lanes == LANES && !t->add;
            real      *c = t->c + j * t->ldc + i;
            vec        out[LANES];
            transpose_some(LANES, sums + i * width + j, width, out);
            UNROLL
            for (int s = 0; s < LANES; s++, c += t->ldc) {
                const vec sum = t->bias ? out[s] + bias : out[s];
                if (j + s >= t->columns) break;
                if (plain) store(c, sum);
                else finish(sum, c, lanes, t->add);
            }
        }
    }
}

/* Rows of left with columns of right, for the steps s of k; to: where their results begin; turned: with
 * rows for columns. columns: of panels of width, the last of which may be narrower. Panels stay in the cache
 * while the rows pass over them; those that lie in rows are copied there by the first rows' tiles. sums:
 * [rows, width] between the calls of one result, or, where s is all of k, of one tile. */
static void inner_panels(const steps *s, int64_t rows, int64_t columns, int width, operand left, operand right,
                         real *packed, real *sums, const target *to, bool turned, later *next)
{
    const int64_t count = s->to - s->from;
    const bool    whole = count == s->k, lie = right.item == 1 && columns % width == 0;
    const tile   *t = tiles_for(width);
    real          made[TURNED * WIDTH] ALIGNED;
    for (int64_t j = 0; j < columns && !lie; j += width) {
        const operand r = { right.at + j * right.item, right.item, right.k };
        pack(r, least(columns - j, width), count, width, packed + j * count);
    }
    const bool copied = lie && s->k >= SHORT && rows > t->rows, far = whole && left.k == 1 && rows * count > FAR;
    factors    f = { left.at, left.item, left.k, packed, width, NULL, next };
    for (int64_t i = 0, group; i < rows; i += group) {
        while (t->rows > rows - i) t++;
        group = turned ? least(rows - i, TURNED) : t->rows;
        for (int64_t j = 0; j < columns; j += width) {
            const int64_t across = least(columns - j, width);
            const tile   *own = t;
            target here = turned ? (target){ .c = made, .ldc = width, .columns = width } : part_of(to, i, j, across);
            for (int64_t r = i; r < i + group; r += own->rows) {
                while (own->rows > i + group - r) own++;
                const bool in_place = lie && (r == 0 || !copied);
                f.a = left.at + r * left.item;
                f.b = in_place ? right.at + j : packed + j * count;
                f.ldb = in_place ? right.k : width;
                f.copy = copied && r == 0 ? packed + j * count : NULL;
                (far && j == 0 ? own->inner_far : own->inner)(s, &f, whole ? sums : sums + r * width, &here);
                here.c += own->rows * here.ldc;
            }
            if (s->to < s->k) continue;
            here = turned ? part_of(to, j, i, across) : part_of(to, i, j, across);
            if (turned) deliver_turned(group, width, made, &here);
            then_block(&here, turned ? across : group, turned ? group : across);
        }
    }
}

/* The chains of vecs of rows, each step so many k at once; left and right move on. As far as whole steps go. */
INLINE int64_t column_steps(int step, int64_t from, int64_t count, int vecs, operand *left, operand *right, vec *acc)
{
    for (; from + step <= count; from += step, left->at += step, right->at += step * right->k) {
        UNROLL
        for (int v = 0; v < vecs; v++) {
            vec x[LANES];
            transpose_some(step, left->at + v * LANES * left->item, left->item, x);
            UNROLL
            for (int i = 0; i < step; i++) acc[v] = fused(splat(right->at[i * right->k]), x[i], acc[v]);
        }
    }
    return from;
}

/* One column of c for whole vecs of rows, whose factors are transposed on the way into their chains. */
INLINE void column_tile(int vecs, int64_t k, operand left, operand right, const target *t)
{
    enum { MOST = 4 };
    vec acc[MOST], sum[MOST];
    for (int64_t from = 0, count; from < k; from += count) {
        count = least(k - from, BLOCK);
        UNROLL
        for (int v = 0; v < vecs; v++) acc[v] = (vec){ 0 };
        int64_t s = collide(left.item) ? column_steps(LANES, 0, count, vecs, &left, &right, acc) : 0;
        for (s = column_steps(CROSS, s, count, vecs, &left, &right, acc); s < count;
             s++, left.at++, right.at += right.k)
            for (int v = 0; v < vecs; v++) {
                vec x;
                for (int l = 0; l < LANES; l++) x[l] = left.at[(v * LANES + l) * left.item];
                acc[v] = fused(splat(*right.at), x, acc[v]);
            }
        UNROLL
        for (int v = 0; v < vecs; v++) sum[v] = from > 0 ? sum[v] + acc[v] : acc[v];
    }
    for (int v = 0; v < vecs; v++) {
        if (t->bias) sum[v] = sum[v] + splat(*t->bias);
        real *c = t->c + v * LANES * t->ldc;
        if (t->ldc == 1) finish(sum[v], c, LANES, t->add);
        else
            for (int l = 0; l < LANES; l++) c[l * t->ldc] = t->add ? c[l * t->ldc] + sum[v][l] : sum[v][l];
    }
}

/* inner for n 1: as many rows as whole vecs take; how many those were. */
static int64_t column(int64_t m, int64_t k, operand left, operand right, target t)
{
    int64_t i = 0;
    for (int64_t rows; m - i >= LANES; i += rows) {
        rows = m - i >= 4 * LANES ? 4 * LANES : m - i >= 2 * LANES ? 2 * LANES : LANES;
        if (rows == 4 * LANES) column_tile(4, k, left, right, &t);
        else if (rows == 2 * LANES) column_tile(2, k, left, right, &t);
        else column_tile(1, k, left, right, &t);
        left.at += rows * left.item, t.c += rows * t.ldc;
    }
    return i;
}

/* inner for k 1 where b lies by row: each row of c is b times a number. */
static void multiples(int64_t m, int64_t n, const real *a, int64_t lda, const real *b, const target *t)
{
    const bool plain = !t->bias && !t->add;
    real      *c = t->c;
    for (int64_t i = 0; i < m; i++, a += lda, c += t->ldc) {
        const vec factor = splat(*a);
        int64_t   j = 0;
        for (; plain && n - j >= LANES; j += LANES) store(c + j, factor * load(b + j));
        for (int64_t lanes; j < n; j += lanes) {
            lanes = least(n - j, LANES);
            vec product = factor * load_some(b + j, lanes);
            if (t->bias) product = product + load_some(t->bias + j, lanes);
            finish(product, c + j, lanes, t->add);
        }
    }
}

/* How many of the columns go together: whole panels in groups of equal size, at most so many, or what is less
 * than one. */
static int64_t fair(int64_t columns, int width, int64_t most)
{
    const int64_t panels = columns / width, groups = (panels + most - 1) / most;
    return panels ? (panels + groups - 1) / groups * width : columns;
}

/* What is packed after the columns from .. to, of which each lies together: asked for while rows pass. */
static later packed_next(operand right, int64_t rows, int64_t k, int64_t from, int64_t to, int64_t columns, int width)
{
    if (right.k != 1 || right.item != k || k < SHORT || k > STEPS || to >= columns) return (later){ NULL, NULL, 0 };
    const real   *at = right.at + to * k, *end = right.at + least(columns, 2 * to - from) * k;
    const int64_t most = tiles_for(width)->rows;
    const int64_t blocks = (rows + most - 1) / most * ((to - from + width - 1) / width) * ((k + BLOCK - 1) / BLOCK);
    return (later){ at, end, ((end - at) / LINE_REALS + blocks - 1) / blocks };
}

/* inner for all others. */
static void inner_groups(int64_t m, int64_t n, int64_t k, operand left, operand right, target all)
{
    real packed[PACKED] ALIGNED, sums[CHUNK * WIDTH] ALIGNED;
    if (n == 1 && k >= SHORT) {
        const int64_t done = column(m, k, left, right, all);
        left.at += done * left.item, m -= done;
        all = part_of(&all, done, 0, 0);
    }
    const bool    may_be_wide = m >= WIDE_ROWS && n >= WIDE && k <= STEPS && WIDE > WIDTH;
    const bool    turned = turning_pays(m, n, k, right, may_be_wide);
    const int64_t rows = turned ? n : m, columns = turned ? m : n, at_once = k > STEPS ? CHUNK : rows;
    if (turned) {
        const operand rows_of = left;
        left = right, right = rows_of;
    }
    for (int64_t i = 0; i < rows; i += at_once)
        for (int64_t j = 0, across; j < columns; j += across) {
            const int     most = may_be_wide && !turned && columns - j >= WIDE ? WIDE : WIDTH;
            across = fair(columns - j, most, k > STEPS ? 1 : PACKED / most / (k > 0 ? k : 1));
            const int    width = vecs_for(least(across, most)) * LANES;
            const target to = turned ? part_of(&all, j, i, 0) : part_of(&all, i, j, 0);
            later        next = packed_next(right, rows, k, j, j + across, columns, width);
            for (int64_t from = 0; from == 0 || from < k; from += STEPS) {
                const steps   s = { from, least(from + STEPS, k), k };
                const operand l = { left.at + i * left.item + from * left.k, left.item, left.k };
                const operand r = { right.at + j * right.item + from * right.k, right.item, right.k };
                inner_panels(&s, least(rows - i, at_once), across, width, l, r, packed, sums, &to, turned, &next);
            }
        }
}

static void inner(int64_t m, int64_t leaf_rows, int64_t n, int64_t k, const void *a, int64_t lda, const void *b,
                  int64_t b_k, int64_t b_n, const void *bias, void *c, int64_t ldc, bool add, const ls_then *then)
{
    const bool   multiplies = k == 1 && b_n == 1, by_blocks = !multiplies && then_by_blocks(then, m, n);
    const target all = { bias, c, ldc, 0, add, by_blocks, by_blocks ? then->y : NULL };
    (void)leaf_rows; /* no row sees another */
    if (multiplies) multiples(m, n, a, lda, b, &all);
    else inner_groups(m, n, k, (operand){ a, lda, 1 }, (operand){ b, b_n, b_k }, all);
    if (then && !by_blocks) then_all(then, m, n, c, ldc);
}

/* ---- outer ------------------------------------------------------------------------------------------ */
/* An aligned run of rows is walked in spans, for a region of c at a time: as much of it as the packed
 * factors of a span, and the subtrees kept between spans, have room for. */
typedef struct region { int64_t span_rows, rows, columns; int log, depth; } region;

static int64_t panel_reals(int64_t rows) { return rows * WIDTH + PANEL_GAP; }
static int64_t tile_reals(int64_t rows) { return rows * TILE_ROWS + TILE_GAP; }

/* Columns whose panels, of so many rows of a span, stay in the second cache. */
static int64_t region_columns(int64_t rows) { return rows > SPAN / 2 ? REGION_COLUMNS / 2 : REGION_COLUMNS; }

static region region_of(int64_t rows, int64_t leaf_rows)
{
    const int64_t parts = (leaf_rows + SPAN - 1) / SPAN; /* of a leaf */
    region        r = { (leaf_rows + parts - 1) / parts, INT64_MAX / 2, 0, 0, 0 };
    for (; leaf_rows << (r.log + 1) <= SPAN; r.span_rows *= 2) r.log++;
    r.columns = region_columns(least(rows, r.span_rows));
    if (rows <= r.span_rows) return r;
    const int64_t leaves = (rows + leaf_rows - 1) / leaf_rows, spans = ((leaves - 1) >> r.log) + 1;
    const int part = parts > 1; /* a leaf that goes on waits as well */
    r.depth = part + (spans > 1 ? 64 - __builtin_clzll((uint64_t)spans - 1) : 0);
    r.rows = REGION_ROWS;
    r.columns = least(r.columns, KEPT / (r.depth * r.rows) / WIDTH * WIDTH);
    return r;
}

/* A tile's result that is not a whole number of vecs wide. */
static void outer_edge(const tile *t, const span *s, const real *g, int64_t ldg, const real *x, int64_t ldx, int width,
                       real *kept, real *c, int64_t ldc, int64_t across, bool add, awaited *next)
{
    real edge[TILE_ROWS * WIDTH] ALIGNED;
    t->outer(s, g, ldg, x, ldx, NULL, kept, edge, width, false, next);
    for (int i = 0; i < t->rows && s->to == s->rows; i++)
        for (int64_t v = 0; v < across; v += LANES)
            finish(load(edge + i * width + v), c + i * ldc + v, least(across - v, LANES), add);
}

/* Of a tile of so many rows and leaves: rows that are asked for with each leaf. */
static int rows_with_leaf(int rows, int64_t leaves) { return (int)((rows + leaves - 1) / leaves); }

/* Soon wanted: count reals at p. Packing reads short pieces of rows, which no processor foresees. */
INLINE void ask_for(const real *p, int64_t count)
{
    for (int64_t i = 0; i < count; i += 64 / (int)sizeof(real)) __builtin_prefetch(p + i);
}

/* rows rows of n columns of x, by panels: packed[panel][row][WIDTH]. Rows are read from end to end. */
INLINE void pack_panels(int64_t rows, int64_t n, const real *x, int64_t ldx, int64_t panel, real *packed)
{
    const int64_t whole = n - n % WIDTH;
    for (int64_t r = 0; r < rows; r++, x += ldx, packed += WIDTH) {
        real *to = packed;
        for (int64_t j = 0; j < whole; j += WIDTH, to += panel) {
            ask_for(x + PANEL_ROWS_AHEAD * ldx + j, WIDTH);
            UNROLL
            for (int v = 0; v < WIDTH; v += LANES) {
                ask_to_write(to + PANEL_ROWS_TO_COME * WIDTH + v);
                store(to + v, load(x + j + v));
            }
        }
        for (int64_t v = 0; v < n - whole; v += LANES)
            store(to + v, load_some(x + whole + v, least(n - whole - v, LANES)));
    }
}

/* TILE_ROWS reals, no more: what lies behind them may be in a line that nobody has asked for. */
INLINE void pack_tile_row(const real *g, real *packed)
{
    memcpy(packed, g, TILE_ROWS * sizeof(real));
}

/* rows rows of up to GROUP tiles' columns of g: packed[tile][row][TILE_ROWS], tiles so far apart. A tile
 * that is not whole reaches into the next row as well. */
INLINE void pack_tiles(int64_t rows, int64_t columns, const real *g, int64_t ldg, int64_t apart, real *packed)
{
    const int64_t whole = columns / TILE_ROWS, rest = columns % TILE_ROWS;
    for (int64_t r = 0; r < rows; r++, g += ldg, packed += TILE_ROWS) {
        ask_for(g + TILE_ROWS_AHEAD * ldg, columns);
        for (int64_t t = 0; t < whole; t++) {
            ask_to_write(packed + t * apart + TILE_ROWS_TO_COME * TILE_ROWS);
            pack_tile_row(g + t * TILE_ROWS, packed + t * apart);
        }
        for (int64_t v = 0; v < rest; v += LANES)
            store(packed + whole * apart + v, load_some(g + whole * TILE_ROWS + v, least(rest - v, LANES)));
    }
}

/* A span of a region: g, x and c begin at its row and place. Panels of x are packed once for all rows of
 * c, unless they are few: whole ones on the way through the first tile. A tile's columns of g are packed
 * once for all panels, unless those are few. */
static void outer_span(const span *s, int64_t m, int64_t n, const real *g, int64_t ldg, const real *x, int64_t ldx,
                       real *kept, int depth, real *c, int64_t ldc, bool add)
{
    const int64_t rows = s->to - s->from, whole = n - n % WIDTH;
    const int64_t of_panel = panel_reals(rows), of_tile = tile_reals(rows);
    real          left[GROUP * (SPAN * TILE_ROWS + TILE_GAP)] ALIGNED;
    real          right[REGION_COLUMNS / WIDTH * (SPAN / 2 * WIDTH + PANEL_GAP)] ALIGNED;
    const bool    x_packed = m > 3 * tiles[PANEL_VECS - 1]->rows || n % LANES, g_packed = n > 2 * WIDTH;
    const bool    asks = s->to == s->rows && rows >= ASKED_ROWS;
    const int64_t leaves = (rows + s->leaf_rows - 1) / s->leaf_rows;
    if (x_packed && whole < n) pack_panels(rows, n - whole, x + whole, ldx, of_panel, right + whole / WIDTH * of_panel);
    for (int64_t i = 0, slot = 0, here; i < m; i += here, slot = (slot + 1) % GROUP) {
        here = least(m - i, TILE_ROWS);
        if (g_packed && slot == 0) pack_tiles(rows, least(m - i, GROUP * TILE_ROWS), g + i, ldg, of_tile, left);
        for (int64_t j = 0; j < n; j += WIDTH) {
            const int64_t across = least(n - j, WIDTH);
            const int     vecs = vecs_for(across), width = vecs * LANES;
            real         *panel = right + j / WIDTH * of_panel;
            const tile   *t = tiles[vecs - 1];
            for (int64_t r = 0; r < here; r += t->rows) {
                while (t->rows > here - r) t++;
                const bool    in_place = !x_packed || (i + r == 0 && j < whole);
                const real   *a = g_packed ? left + slot * of_tile + r : g + i + r, *b = in_place ? x + j : panel;
                const int64_t lda = g_packed ? TILE_ROWS : ldg, ldb = in_place ? ldx : WIDTH;
                real *copy = x_packed && in_place ? panel : NULL;
                real *k = kept + (j * m + (i + r) * width) * depth, *to = c + (i + r) * ldc + j;
                awaited  own = { { to }, ldc, t->rows, rows_with_leaf(t->rows, leaves) };
                awaited *next = asks ? &own : NULL;
                if (across < width) outer_edge(t, s, a, lda, b, ldb, width, k, to, ldc, across, add, next);
                else t->outer(s, a, lda, b, ldb, copy, k, to, ldc, add, next);
            }
        }
    }
}

/* vecs vecs of a row of c from one leaf; the last has lanes. */
INLINE void row_tile(int vecs, int64_t lanes, int64_t rows, const real *g, int64_t ldg, const real *x, int64_t ldx,
                     real *c, bool add)
{
    enum { MOST = 8 };
    vec acc[MOST];
    UNROLL
    for (int v = 0; v < vecs; v++) acc[v] = splat(*g) * load_some(x + v * LANES, v + 1 < vecs ? LANES : lanes);
    for (int64_t r = 1; r < rows; r++) {
        const vec left = splat(g[r * ldg]);
        UNROLL
        for (int v = 0; v < vecs; v++)
            acc[v] = fused(left, load_some(x + r * ldx + v * LANES, v + 1 < vecs ? LANES : lanes), acc[v]);
    }
    UNROLL
    for (int v = 0; v < vecs; v++) finish(acc[v], c + v * LANES, v + 1 < vecs ? LANES : lanes, add);
}

/* outer for m 1 and one leaf. */
static void outer_row(int64_t rows, int64_t n, const real *g, int64_t ldg, const real *x, int64_t ldx, real *c, bool add)
{
    int64_t j = 0;
    for (; n - j >= 8 * LANES; j += 8 * LANES) row_tile(8, LANES, rows, g, ldg, x + j, ldx, c + j, add);
    for (; n - j >= 4 * LANES; j += 4 * LANES) row_tile(4, LANES, rows, g, ldg, x + j, ldx, c + j, add);
    for (; n - j >= LANES; j += LANES) row_tile(1, LANES, rows, g, ldg, x + j, ldx, c + j, add);
    if (j < n) row_tile(1, n - j, rows, g, ldg, x + j, ldx, c + j, add);
}

static void outer(int64_t rows, int64_t leaf_rows, int64_t m, int64_t n, const void *g_, int64_t ldg,
                  const void *x_, int64_t ldx, void *c_, int64_t ldc, bool add)
{
    const real *g = g_, *x = x_;
    real *c = c_; real kept[KEPT] ALIGNED;
    if (rows == 0)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) c[i * ldc + j] = add ? c[i * ldc + j] + 0 : 0;
    if (leaf_rows == 0 || leaf_rows > rows) leaf_rows = rows > 0 ? rows : 1;
    if (m == 1 && rows > 0 && leaf_rows == rows) {
        outer_row(rows, n, g, ldg, x, ldx, c, add);
        return;
    }
    const region  r = region_of(rows, leaf_rows);
    const int64_t whole = leaf_rows << r.log; /* which no span goes beyond */
    for (int64_t j = 0; j < n; j += r.columns)
        for (int64_t i = 0; i < m; i += r.rows)
            for (int64_t from = 0, to; from < rows; from = to) {
                to = least(rows, least(from + r.span_rows, (from / whole + 1) * whole));
                const span s = { from, to, rows, leaf_rows, r.log };
                outer_span(&s, least(m - i, r.rows), least(n - j, r.columns), g + from * ldg + i, ldg,
                           x + from * ldx + j, ldx, kept, r.depth, c + i * ldc + j, ldc, add);
            }
}
