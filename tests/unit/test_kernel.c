/* test_kernel.c -- every table of src/kernel against the rules (kernel_reference.h), bit for bit:
 * products, sums and broadcasting here, the rest in kernel_elements.h.
 *
 * Numbers are made as doubles that fit the type, given to a table in its type, and compared as
 * doubles: equal bits, or both NaN.
 */
#include "kernel_reference.h"
#include "kernel_elements.h" /* more tests */
#include <criterion/criterion.h>
#include <cblas.h>

/* Fewer sizes, where a build is slow, of the table whose fused steps are calls then. */
static bool is_short(const ls_kernel *k)
{
    return getenv("LS_TEST_SHORT") && !strcmp(k->isa, "generic");
}

/* Where a build is slow, not every number of a large product is compared: every so many. */
static int64_t compared(int64_t steps)
{
    return getenv("LS_TEST_SHORT") && steps > 1 << 17 ? 11 : 1;
}

/* ---- products ---------------------------------------------------------------------------- */
typedef enum layout { BY_ROW, BY_COLUMN, STRIDED } layout;

static void check_inner(const ls_kernel *k, int64_t m, int64_t n, int64_t count, layout how,
                        bool bias, bool add, uint64_t *s)
{
    const ls_dtype t = k->dtype;
    const int64_t lda = count + below(s, 3), ldc = n + below(s, 3);
    const int64_t b_k = how == BY_ROW ? n + 1 : how == BY_COLUMN ? 1 : 2;
    const int64_t b_n = how == BY_ROW ? 1 : how == BY_COLUMN ? count + below(s, 3) : 2 * count + 1;
    const int64_t sizes[] = { m * lda, (count + 1) * b_k + (n + 1) * b_n, n, m * ldc };
    double *v[4];
    void *p[4];
    for (int i = 0; i < 4; i++) v[i] = numbers(t, sizes[i], s), p[i] = typed(t, sizes[i], v[i]);
    k->inner(m, 0, n, count, p[0], lda, p[1], b_k, b_n, bias ? p[2] : NULL, p[3], ldc, add, NULL);
    const int64_t every = compared(m * n * count);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = i % every; j < ldc; j += every) {
            double want = v[3][i * ldc + j];
            if (j < n) {
                double sum = ref_inner(t, count, v[0] + i * lda, 1, v[1] + j * b_n, b_k);
                if (bias) sum = plus(t, sum, v[2][j]);
                want = add ? plus(t, want, sum) : sum;
            }
            cr_assert(same(at(t, p[3], i * ldc + j), want),
                      "%s %d: [%d,%d] k %d layout %d bias %d add %d at %d,%d: %a, not %a", k->isa,
                      t, (int)m, (int)n, (int)count, how, bias, add, (int)i, (int)j,
                      at(t, p[3], i * ldc + j), want);
        }
    for (int i = 0; i < 4; i++) free(v[i]), free(p[i]);
}

Test(kernel, inner_follows_the_rule)
{
    enum { COLLIDE = 1022 }; /* rows that are up to 2 longer lie a multiple of 4096 bytes apart */
    static const int64_t lengths[] = { 0, 1, 2, 7, 8, 9, 31, 64, 255, 256, 257, 513 };
    static const int64_t sizes[] = { 0, 1, 2, 3, 5, 6, 12, 13, 17, 33, 65, 131 };
    EACH_TABLE(k)
    {
        uint64_t s = 1;
        for (int i = 0; i < (is_short(k) ? 30 : 150); i++)
            check_inner(k, sizes[below(&s, 12)], sizes[below(&s, 12)], lengths[below(&s, 12)],
                        (layout)below(&s, 3), below(&s, 2), below(&s, 2), &s);
        check_inner(k, 400, 3, 300, BY_COLUMN, true, true, &s);
        check_inner(k, 3, 400, 300, BY_COLUMN, true, false, &s);
        check_inner(k, 1, 500, 270, BY_ROW, false, false, &s);
        check_inner(k, 500, 1, 270, BY_ROW, true, false, &s);
        for (int i = 0; i < 8; i++) check_inner(k, 80, 1, COLLIDE, BY_COLUMN, true, i & 1, &s);
        for (int i = 0; i < 4; i++) check_inner(k, 1, 140000, 0, BY_COLUMN, true, false, &s);
        for (int add = is_short(k) ? 2 : 0; add < 2; add++) {
            check_inner(k, 14, 210, 2000, BY_ROW, false, add,
                        &s); /* more columns than are packed */
            check_inner(k, 210, 14, 2000, BY_COLUMN, true, add, &s);
            check_inner(k, 14, 37, 2310, BY_ROW, true, add, &s); /* longer than a panel */
            check_inner(k, 37, 14, 2310, BY_COLUMN, true, add, &s);
            check_inner(k, 261, 201, 300, BY_ROW, true, add,
                        &s); /* wide tiles, and columns that are left */
            check_inner(k, 259, 197, COLLIDE, BY_COLUMN, true, add, &s);
            for (int i = 0; i < 3;
                 i++) /* several groups of panels, of columns that lie together or not */
                check_inner(k, 70, 500, COLLIDE, BY_COLUMN, false, add, &s);
            check_inner(k, 14, 307, 1999, BY_COLUMN, true, add, &s); /* left factors that are far */
        }
    }
}

/* The same bits as from the product and then a pass over it, and nothing between its rows. */
static void check_then(const ls_kernel *k, int64_t m, int64_t n, int64_t count, layout how,
                       ls_then then, uint64_t *s)
{
    const ls_dtype t = k->dtype;
    const int64_t ldc = n + below(s, 2), b_k = how == BY_ROW ? n : 1,
                  b_n = how == BY_ROW ? 1 : count;
    const int64_t sizes[] = { m * count, count * n, n, m * ldc, m * ldc };
    const size_t bytes = (size_t)(m * ldc) * k->bytes;
    double *v[5];
    void *p[5];
    for (int i = 0; i < 5; i++) v[i] = numbers(t, sizes[i], s);
    if (m > 1) v[0][0] = NAN, v[4][ldc] = -0.0;
    for (int i = 0; i < 5; i++) p[i] = typed(t, sizes[i], v[i]);
    char *want = malloc(bytes + 1);
    memcpy(want, p[3], bytes);
    k->inner(m, 0, n, count, p[0], count, p[1], b_k, b_n, p[2], want, ldc, false, NULL);
    for (int64_t i = 0; i < m; i++) {
        char *c = want + (size_t)(i * ldc) * k->bytes, *y = (char *)p[4] + (c - want);
        if (then.y) k->unary_back(then.op, 0, n, y, y, c, c, false);
        else k->unary(then.op, 0, n, c, c);
    }
    if (then.y) then.y = p[4];
    k->inner(m, 0, n, count, p[0], count, p[1], b_k, b_n, p[2], p[3], ldc, false, &then);
    cr_assert(memcmp(p[3], want, bytes) == 0, "%s %d: [%d,%d] k %d layout %d, then %d%s", k->isa, t,
              (int)m, (int)n, (int)count, how, then.op, then.y ? "'s slope" : "");
    for (int i = 0; i < 5; i++) free(v[i]), free(p[i]);
    free(want);
}

Test(kernel, what_becomes_of_a_product)
{
    static const ls_unary ops[] = { LS_UNARY_RELU, LS_UNARY_TANH, LS_UNARY_SIGMOID };
    static const int64_t
        shapes[][3] = {
            { 0, 5, 3 },       { 3, 0, 4 },      { 5, 7, 0 },     { 5, 3, 1 },
            { 600, 30, 1 },    { 8200, 1, 40 },  { 3, 4, 300 },   { 33, 31, 9 },
            { 20, 500, 70 },   { 500, 20, 70 },  { 90, 200, 90 }, { 261, 131, 300 },
            { 20, 500, 1024 }, { 30, 280, 2060 } /* longer than a panel */
        };
    EACH_TABLE(k)
    {
        uint64_t s = 3;
        const ls_kernel *both[] = { k, ls_kernel_openblas(k->dtype, &(ls_failure){ 0 }) };
        for (int b = 0; b < 2 && both[b]; b++)
            for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
                for (int j = 0; j < 6 && (!is_short(k) ||
                                          shapes[i][0] * shapes[i][1] * shapes[i][2] < 1 << 20);
                     j++)
                    check_then(both[b], shapes[i][0], shapes[i][1], shapes[i][2],
                               (layout)below(&s, 2), (ls_then){ ops[j / 2], j & 1 ? "y" : NULL },
                               &s);
    }
}

static void check_outer(const ls_kernel *k, int64_t rows, int64_t leaf_rows, int64_t m, int64_t n,
                        bool add, uint64_t *s)
{
    const ls_dtype t = k->dtype;
    const int64_t ldg = m + below(s, 3), ldx = n + below(s, 3), ldc = n + below(s, 3);
    const int64_t sizes[] = { rows * ldg, rows * ldx, m * ldc };
    double *v[3];
    void *p[3];
    for (int i = 0; i < 3; i++) v[i] = numbers(t, sizes[i], s), p[i] = typed(t, sizes[i], v[i]);
    k->outer(rows, leaf_rows, m, n, p[0], ldg, p[1], ldx, p[2], ldc, add);
    const int64_t every = compared(rows * m * n);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = i % every; j < ldc; j += every) {
            double want = v[2][i * ldc + j];
            if (j < n) {
                double sum = ref_outer(t, rows, leaf_rows, v[0] + i, ldg, v[1] + j, ldx);
                want = add ? plus(t, want, sum) : sum;
            }
            cr_assert(same(at(t, p[2], i * ldc + j), want),
                      "%s %d: %d rows, leaf %d, [%d,%d] add %d at %d,%d: %a, not %a", k->isa, t,
                      (int)rows, (int)leaf_rows, (int)m, (int)n, add, (int)i, (int)j,
                      at(t, p[2], i * ldc + j), want);
        }
    for (int i = 0; i < 3; i++) free(v[i]), free(p[i]);
}

Test(kernel, outer_follows_the_rule)
{
    static const int64_t sizes[] = { 0, 1, 2, 3, 5, 6, 12, 13, 17, 33, 65, 131 };
    static const int64_t counts[] = { 0, 1, 2, 5, 8, 31, 32, 33, 96, 100, 160, 257, 300, 700 };
    static const int64_t leaves[] = { 0, 1, 2, 7, 32, 100, 300 };
    EACH_TABLE(k)
    {
        uint64_t s = 2;
        for (int i = 0; i < 100; i++)
            check_outer(k, counts[below(&s, 14)], leaves[below(&s, 7)], sizes[below(&s, 12)],
                        sizes[below(&s, 12)], below(&s, 2), &s);
        check_outer(k, 40, 32, 14, 530, false, &s); /* more columns than a region has */
        check_outer(k, 300, 8, 135, 530, true, &s);
    }
}

/* Leaves of a batch that several calls sum, each an aligned piece, and the tree over the pieces. */
Test(kernel, pieces_of_a_batch_join_to_the_whole)
{
    static const int64_t cases[][3] = {
        { 100, 8, 3 }, { 300, 32, 2 }, { 77, 7, 5 }, { 1000, 3, 3 }
    };
    enum { M = 9, N = 21 };
    ls_failure f = { .status = LS_OK };
    cr_assert_not_null(ls_kernel_openblas(LS_FLOAT32, &f), "%s", f.text); /* it is loaded */
    EACH_TABLE(canonical)
    for (int i = 0; i < 8; i++) {
        const ls_kernel *k = i < 4 ? canonical : canonical->openblas;
        const int64_t rows = cases[i % 4][0], leaf_rows = cases[i % 4][1], shares = cases[i % 4][2];
        const int64_t leaves = ls_leaf_count(rows, leaf_rows);
        const ls_dtype t = k->dtype;
        uint64_t s = 3;
        double *g = numbers(t, rows * M, &s), *x = numbers(t, rows * N, &s);
        char *tg = typed(t, rows * M, g), *tx = typed(t, rows * N, x);
        double whole[M * N], sums[M], piece[64][M * N], piece_sums[64][M];
        ls_range at_leaves[64 + LS_MAX_PIECES];
        ls_addition add[64];
        int count = 0;
        k->outer(rows, leaf_rows, M, N, tg, M, tx, N, whole, N, false);
        k->columns(rows, leaf_rows, M, tg, M, sums, false);
        for (int64_t share = 0; share < shares; share++) {
            int more = ls_leaf_pieces(leaves, ls_leaf_cut(leaves, shares, share),
                                      at_leaves + count);
            for (; more > 0; more--, count++) {
                ls_range r = ls_leaf_rows(rows, leaf_rows, at_leaves[count]);
                void *pg = tg + r.from * M * (int64_t)k->bytes,
                     *px = tx + r.from * N * (int64_t)k->bytes;
                k->outer(r.to - r.from, leaf_rows, M, N, pg, M, px, N, piece[count], N, false);
                k->columns(r.to - r.from, leaf_rows, M, pg, M, piece_sums[count], false);
            }
        }
        ls_leaf_tree(leaves, count, at_leaves, add);
        for (int a = 0; a < count - 1; a++) {
            k->add(M * N, piece[add[a].into], piece[add[a].from]);
            k->add(M, piece_sums[add[a].into], piece_sums[add[a].from]);
        }
        cr_assert_gt(count, 1);
        cr_assert_eq(memcmp(whole, piece[0], M * N * k->bytes), 0, "%s %d: outer, case %d", k->isa,
                     t, i);
        cr_assert_eq(memcmp(sums, piece_sums[0], M * k->bytes), 0, "%s %d: columns, case %d",
                     k->isa, t, i);
        free(g), free(x), free(tg), free(tx);
    }
}

/* Blocks of a sum, from factors that several have packed, are those of outer. */
Test(kernel, packed_factors_of_several_make_the_whole)
{
    static const int64_t cases[][5] = {
        /* rows, leaf_rows, shares, m, n */
        { 100, 8, 3, 9, 21 },    { 300, 32, 2, 50, 130 }, { 77, 7, 5, 26, 64 },
        { 1000, 3, 3, 13, 40 },  { 40, 32, 5, 12, 600 },  { 700, 1, 2, 5, 33 },
        { 256, 32, 4, 128, 96 }, { 900, 700, 1, 30, 20 },
    };
    EACH_TABLE(k)
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int64_t rows = cases[i][0], leaf_rows = cases[i][1], shares = cases[i][2],
                      m = cases[i][3], n = cases[i][4], leaves = ls_leaf_count(rows, leaf_rows),
                      bytes = (int64_t)k->bytes;
        uint64_t s = 5 + i;
        double *g = numbers(k->dtype, rows * m, &s), *x = numbers(k->dtype, rows * n, &s);
        char *tg = typed(k->dtype, rows * m, g), *tx = typed(k->dtype, rows * n, x), *packed[8];
        char *whole = malloc((size_t)(m * n * bytes)), *block = malloc((size_t)(m * n * bytes));
        ls_packed piece[64];
        int count = 0;
        for (int64_t share = 0; share < shares; share++) {
            const ls_range cut = ls_leaf_cut(leaves, shares, share),
                           own = ls_leaf_rows(rows, leaf_rows, cut);
            const int64_t size = k->packed(own.to - own.from, m, n);
            ls_range pieces[LS_MAX_PIECES];
            packed[share] = malloc((size_t)(size * bytes) + 64);
            memset(packed[share], 0xff, (size_t)(size * bytes) + 64);
            k->outer_pack(own.to - own.from, m, n, tg + own.from * m * bytes,
                          tx + own.from * n * bytes, packed[share]);
            for (int64_t at = size * bytes; at < size * bytes + 64; at++)
                cr_assert_eq(packed[share][at], (char)0xff, "%s: beyond the end", k->isa);
            for (int p = 0, held = ls_leaf_pieces(leaves, cut, pieces); p < held; p++)
                piece[count++] = (ls_packed){ packed[share], own,
                                              ls_leaf_rows(rows, leaf_rows, pieces[p]) };
        }
        k->outer(rows, leaf_rows, m, n, tg, m, tx, n, whole, n, false);
        for (int64_t from = 0, to; from < m; from = to) {
            to = from + 1 + below(&s, 20);
            if (to > m) to = m;
            for (int64_t j = 0, end; j < n; j = end) {
                end = j + 2 * k->panel < n ? j + 2 * k->panel : n;
                const void *const soon[LS_MOST_WRITTEN] = { whole };
                const ls_block b = { { from, to }, { j, end }, block, end - j, soon, n };
                k->outer_packed(count, piece, leaf_rows, m, &b);
                for (int64_t row = from; row < to; row++)
                    cr_assert_eq(memcmp(block + (row - from) * (end - j) * bytes,
                                        whole + (row * n + j) * bytes, (size_t)((end - j) * bytes)),
                                 0, "%s %d: case %d, row %d from column %d", k->isa, (int)k->dtype,
                                 (int)i, (int)row, (int)j);
            }
        }
        for (int64_t share = 0; share < shares; share++) free(packed[share]);
        free(g), free(x), free(tg), free(tx), free(whole), free(block);
    }
}

Test(kernel, a_row_of_inner_does_not_see_the_others)
{
    enum { M = 37, N = 50, K = 300 };
    EACH_TABLE(k)
    {
        uint64_t s = 4;
        double *a = numbers(k->dtype, M * K, &s), *b = numbers(k->dtype, N * K, &s);
        char *ta = typed(k->dtype, M * K, a), *tb = typed(k->dtype, N * K, b);
        for (int by_column = 0; by_column < 2; by_column++) {
            const int64_t b_k = by_column ? 1 : N, b_n = by_column ? K : 1;
            static double whole[M * N], parts[M * N];
            k->inner(M, 0, N, K, ta, K, tb, b_k, b_n, NULL, whole, N, false, NULL);
            for (int64_t rows = 1; rows < M; rows += 5) {
                for (int64_t i = 0; i < M; i += rows)
                    k->inner(i + rows < M ? rows : M - i, 0, N, K, ta + i * K * (int64_t)k->bytes,
                             K, tb, b_k, b_n, NULL, (char *)parts + i * N * (int64_t)k->bytes, N,
                             false, NULL);
                cr_assert_eq(memcmp(whole, parts, M * N * k->bytes), 0, "%s: %d rows at a time",
                             k->isa, (int)rows);
            }
        }
        free(a), free(b), free(ta), free(tb);
    }
}

/* OpenBLAS adds in another order: equal within rounding. */
Test(kernel, products_agree_with_openblas)
{
    enum { M = 70, N = 90, K = 600 };
    uint64_t s = 5;
    double *a = numbers(LS_FLOAT32, M * K, &s), *b = numbers(LS_FLOAT32, N * K, &s);
    float *fa = typed(LS_FLOAT32, M * K, a), *fb = typed(LS_FLOAT32, N * K, b);
    EACH_TABLE(k)
    {
        static double ours[M * N], theirs[M * N];
        void *ta = typed(k->dtype, M * K, a), *tb = typed(k->dtype, N * K, b);
        const bool is_float = k->dtype == LS_FLOAT32;
        const double near = is_float ? 2e-4 : 1e-12;
        for (int of_rows = 0; of_rows < 2; of_rows++) {
            if (of_rows) k->outer(K, 32, M, N, ta, M, tb, N, ours, N, false);
            else k->inner(M, 0, N, K, ta, K, tb, 1, K, NULL, ours, N, false, NULL);
            const CBLAS_TRANSPOSE left = of_rows ? CblasTrans : CblasNoTrans;
            const CBLAS_TRANSPOSE right = of_rows ? CblasNoTrans : CblasTrans;
            const int lda = of_rows ? M : K, ldb = of_rows ? N : K;
            if (is_float)
                cblas_sgemm(CblasRowMajor, left, right, M, N, K, 1, fa, lda, fb, ldb, 0,
                            (float *)theirs, N);
            else
                cblas_dgemm(CblasRowMajor, left, right, M, N, K, 1, ta, lda, tb, ldb, 0, theirs, N);
            for (int i = 0; i < M * N; i++)
                cr_assert_lt(fabs(at(k->dtype, ours, i) - at(k->dtype, theirs, i)), near,
                             "%s at %d", k->isa, i);
        }
        free(ta), free(tb);
    }
    free(a), free(b), free(fa), free(fb);
}

/* Products by OpenBLAS against the canonical ones; sizes beyond its blocks, and ones it does not take. */
static void compare_openblas(const ls_kernel *k, int64_t m, int64_t n, int64_t count, bool add,
                             uint64_t *s)
{
    const ls_kernel *canonical[] = { ls_kernel_for(k->dtype, NULL), k };
    const ls_dtype t = k->dtype;
    const double near = t == LS_FLOAT32 ? 2e-4 : 1e-12;
    double *a = numbers(t, m * count, s), *b = numbers(t, n * count, s), *c = numbers(t, m * n, s);
    double *d = numbers(t, n, s);
    void *ta = typed(t, m * count, a), *tb = typed(t, n * count, b), *bias = typed(t, n, d);
    for (int of_rows = 0; of_rows < 3; of_rows++) {
        void *out[2] = { typed(t, m * n, c), typed(t, m * n, c) };
        for (int i = 0; i < 2; i++)
            if (of_rows == 2) canonical[i]->outer(count, 32, m, n, ta, m, tb, n, out[i], n, add);
            else
                canonical[i]->inner(m, 32, n, count, ta, count, tb, of_rows ? n : 1,
                                    of_rows ? 1 : count, add ? NULL : bias, out[i], n, add, NULL);
        for (int i = 0; i < m * n; i++)
            cr_assert_lt(fabs(at(t, out[0], i) - at(t, out[1], i)), near,
                         "%d: [%d,%d] of %d, product %d, add %d at %d", t, (int)m, (int)n,
                         (int)count, of_rows, add, i);
        free(out[0]), free(out[1]);
    }
    free(a), free(b), free(c), free(d), free(ta), free(tb), free(bias);
}

Test(kernel, openblas_makes_the_same_products)
{
    static const int64_t sizes[][3] = { { 140, 150, 300 }, { 33, 1, 64 }, { 1, 70, 1 },
                                        { 5, 3, 0 },       { 0, 4, 3 },   { 64, 200, 31 } };
    for (int type = 0; type < 2; type++) {
        ls_failure f = { .status = LS_OK };
        const ls_kernel *k = ls_kernel_openblas(type ? LS_FLOAT64 : LS_FLOAT32, &f);
        uint64_t s = 6;
        cr_assert_not_null(k, "%s", f.text);
        cr_assert_null(k->openblas);
        cr_assert_eq(strncmp(ls_kernel_numerics(k), "openblas/", 9), 0);
        cr_assert_str_eq(ls_kernel_numerics(ls_kernel_for(k->dtype, NULL)), "1");
        for (int i = 0; i < 12; i++)
            compare_openblas(k, sizes[i / 2][0], sizes[i / 2][1], sizes[i / 2][2], i % 2, &s);
    }
}

/* Whichever leaves of a batch are in a call: its rows have the same bits. */
Test(kernel, leaves_of_openblas_do_not_see_one_another)
{
    enum { M = 77, N = 50, K = 300, LEAF = 8 };
    for (int type = 0; type < 2; type++) {
        ls_failure f = { .status = LS_OK };
        const ls_kernel *k = ls_kernel_openblas(type ? LS_FLOAT64 : LS_FLOAT32, &f);
        uint64_t s = 7;
        double *a = numbers(k->dtype, M * K, &s), *b = numbers(k->dtype, N * K, &s);
        char *ta = typed(k->dtype, M * K, a), *tb = typed(k->dtype, N * K, b);
        static double whole[M * N], parts[M * N];
        k->inner(M, LEAF, N, K, ta, K, tb, 1, K, NULL, whole, N, false, NULL);
        for (int64_t rows = LEAF; rows < M; rows += LEAF) {
            for (int64_t i = 0; i < M; i += rows)
                k->inner(i + rows < M ? rows : M - i, LEAF, N, K, ta + i * K * (int64_t)k->bytes, K,
                         tb, 1, K, NULL, (char *)parts + i * N * (int64_t)k->bytes, N, false, NULL);
            cr_assert_eq(memcmp(whole, parts, M * N * k->bytes), 0, "%d rows at a time", (int)rows);
        }
        free(a), free(b), free(ta), free(tb);
    }
}

/* ---- sums ------------------------------------------------------------------------------------ */
/* Sums that PyTorch 1.13 printed for the first n of the numbers below, float32, one thread. */
static const struct {
    int64_t n;
    uint32_t bits;
} pytorch_sums[] = {
    { 1, 0x3f3a22e1 },       { 2, 0x3ec83871 },       { 3, 0x3f02074d },
    { 4, 0x3f61d191 },       { 5, 0x3f0fb85a },       { 7, 0x3fb67fd5 },
    { 8, 0x3f9c35e4 },       { 9, 0x3ebec8a4 },       { 15, 0x3f92d7f2 },
    { 31, 0xbfb0d14f },      { 32, 0xbf1eaf00 },      { 33, 0xbfac1d2d },
    { 100, 0x4139eaa9 },     { 511, 0x41121ac4 },     { 512, 0x4103f63a },
    { 513, 0x410d7b7a },     { 1000, 0xbefb3f38 },    { 4096, 0xc0d5884f },
    { 8191, 0xc29941ec },    { 8192, 0xc299163a },    { 8193, 0xc298d076 },
    { 100003, 0x42bfc44c },  { 131072, 0x4232de9f },  { 131105, 0x422a9ccd },
    { 1000003, 0x4341939e }, { 3000001, 0x433a18ae },
};
static float pytorch_number(uint32_t i)
{
    uint32_t w = (i + 1) * 2654435761u;
    w ^= w >> 15;
    w *= 2246822519u;
    return (float)(int32_t)w * 0x1p-31f;
}

Test(kernel, sum_is_that_of_pytorch)
{
    enum { LONGEST = 3000001 };
    float *x = malloc(sizeof(float) * LONGEST);
    for (uint32_t i = 0; i < LONGEST; i++) x[i] = pytorch_number(i);
    EACH_TABLE(k)
    for (size_t i = 0; k->dtype == LS_FLOAT32 && i < sizeof pytorch_sums / sizeof pytorch_sums[0];
         i++) {
        float sum = (float)k->sum(pytorch_sums[i].n, x);
        uint32_t bits;
        memcpy(&bits, &sum, sizeof bits);
        cr_assert_eq(bits, pytorch_sums[i].bits, "%s: of %d: %a", k->isa, (int)pytorch_sums[i].n,
                     sum);
    }
    free(x);
}

Test(kernel, sums_follow_the_rule)
{
    static const int64_t lengths[] = { 511,  512,       513,   1024 + 17,  8191,
                                       8192, 8193 + 40, 16384, 131072 + 99 };
    EACH_TABLE(k)
    for (int64_t i = 0; i < 109; i++) {
        const ls_dtype t = k->dtype;
        const int64_t n = i < 100 ? i : lengths[i - 100];
        uint64_t s = (uint64_t)i;
        double *x = numbers(t, n, &s), *y = numbers(t, n, &s), *square = numbers(t, n, &s);
        void *tx = typed(t, n, x), *ty = typed(t, n, y);
        for (int64_t j = 0; j < n; j++) {
            double d = minus(t, x[j], y[j]);
            square[j] = times(t, d, d);
        }
        cr_assert(same(k->sum(n, tx), ref_sum(t, n, x)), "%s %d: sum of %d", k->isa, t, (int)n);
        cr_assert(same(k->sum_square(n, tx, ty), ref_sum(t, n, square)), "%s %d: squares of %d",
                  k->isa, t, (int)n);
        free(x), free(y), free(square), free(tx), free(ty);
    }
}

Test(kernel, columns_follow_the_rule)
{
    static const int64_t counts[] = { 0, 1, 3, 7, 8, 31, 32, 33, 70, 96, 160, 257, 600, 9000 };
    static const int64_t leaves[] = { 0, 1, 7, 32, 100, 600 };
    EACH_TABLE(k)
    for (int i = 0; i < 14 * 6; i++) {
        const ls_dtype t = k->dtype;
        uint64_t s = (uint64_t)i;
        const int64_t rows = counts[i % 14], leaf_rows = leaves[i / 14], n = below(&s, 40),
                      ldg = n + below(&s, 3);
        const bool add = below(&s, 2);
        double *g = numbers(t, rows * ldg, &s), *out = numbers(t, n + 1, &s);
        void *tg = typed(t, rows * ldg, g), *tout = typed(t, n + 1, out);
        k->columns(rows, leaf_rows, n, tg, ldg, tout, add);
        for (int64_t j = 0; j <= n; j++) {
            double want = j < n ? ref_column(t, rows, leaf_rows, g + j, ldg) : out[j];
            if (j < n && add) want = plus(t, out[j], want);
            cr_assert(same(at(t, tout, j), want), "%s %d: %d rows, leaf %d, column %d of %d",
                      k->isa, t, (int)rows, (int)leaf_rows, (int)j, (int)n);
        }
        free(g), free(out), free(tg), free(tout);
    }
}

/* ---- broadcasting ------------------------------------------------------------------------ */
static int64_t size_of(ls_shape s)
{
    int64_t size = 1;
    for (int d = 0; d < s.ndim; d++) size *= s.dim[d];
    return size;
}

/* Where element i, row-major, of a shape lies in an array with these strides. */
static int64_t place_of(ls_shape s, int64_t i, const int64_t stride[LS_MAX_NDIM])
{
    int64_t place = 0;
    for (int d = s.ndim - 1; d >= 0; i /= s.dim[d--]) place += i % s.dim[d] * stride[d];
    return place;
}

static ls_shape random_shape(uint64_t *s)
{
    static const int64_t dims[] = { 1, 1, 2, 3, 5, 17, 40 };
    ls_shape shape = { (int)below(s, 5), { 0 } };
    for (int d = 0; d < shape.ndim; d++) shape.dim[d] = dims[below(s, 7)];
    if (shape.ndim > 0 && below(s, 20) == 0) shape.dim[0] = 0;
    return shape;
}

/* Strides of an array that broadcasts to shape, with some axes of one element; or in disorder. */
static int64_t random_strides(ls_shape shape, uint64_t *s, int64_t stride[LS_MAX_NDIM])
{
    int64_t size = 1, gap = below(s, 4) == 0;
    memset(stride, 0, sizeof(int64_t) * LS_MAX_NDIM);
    for (int d = shape.ndim - 1; d >= 0; d--) {
        if (below(s, 3) == 0) continue;
        stride[d] = size + gap;
        size = (size + gap) * (shape.dim[d] + 1);
    }
    return size + 1;
}

Test(kernel, sum_to_follows_the_rule)
{
    EACH_TABLE(k)
    for (int i = 0; i < 400; i++) {
        const ls_dtype t = k->dtype;
        uint64_t s = (uint64_t)i;
        ls_shape from = random_shape(&s), to_shape = { 0, { 0 } };
        int64_t x_stride[LS_MAX_NDIM], out_stride[LS_MAX_NDIM] = { 0 };
        const int64_t n = size_of(from), x_size = random_strides(from, &s, x_stride);
        const int lost = from.ndim ? (int)below(&s, from.ndim + 1) / 2 : 0;
        const bool product = below(&s, 2), add = below(&s, 2);
        to_shape.ndim = from.ndim - lost;
        for (int d = 0; d < to_shape.ndim; d++)
            to_shape.dim[d] = below(&s, 2) ? from.dim[d + lost] : 1;
        const int64_t size = size_of(to_shape);
        for (int64_t d = to_shape.ndim - 1, next = 1; d >= 0; next *= to_shape.dim[d--])
            out_stride[d + lost] = to_shape.dim[d] == 1 ? 0 : next;
        double *g = numbers(t, n, &s), *x = numbers(t, x_size, &s), *out = numbers(t, size, &s),
               *run = numbers(t, n, &s);
        void *tg = typed(t, n, g), *tx = typed(t, x_size, x), *tout = typed(t, size, out);
        k->sum_to(from, tg, product ? tx : NULL, x_stride, to_shape, tout, add);
        for (int64_t o = 0; o < size; o++) {
            int64_t count = 0;
            for (int64_t e = 0; e < n; e++)
                if (place_of(from, e, out_stride) == o)
                    run[count++] = product ? times(t, g[e], x[place_of(from, e, x_stride)]) : g[e];
            double want = ref_sum(t, count, run);
            if (add) want = plus(t, out[o], want);
            cr_assert(same(at(t, tout, o), want), "%s %d: case %d at %d: %a, not %a", k->isa, t, i,
                      (int)o, at(t, tout, o), want);
        }
        free(g), free(x), free(out), free(run), free(tg), free(tx), free(tout);
    }
}

static double ref_binary(ls_dtype t, ls_binary op, double a, double b)
{
    switch (op) {
    case LS_BINARY_ADD:
        return plus(t, a, b);
    case LS_BINARY_SUB:
        return minus(t, a, b);
    case LS_BINARY_MUL:
        return times(t, a, b);
    case LS_BINARY_DIV:
        return over(t, a, b);
    case LS_BINARY_EQUAL:
        return a == b;
    case LS_BINARY_NOT_EQUAL:
        return a != b;
    case LS_BINARY_LESS:
        return a < b;
    case LS_BINARY_LESS_EQUAL:
        return a <= b;
    }
    return 0;
}

Test(kernel, binary_broadcasts)
{
    EACH_TABLE(k)
    for (int i = 0; i < 500; i++) {
        const ls_dtype t = k->dtype;
        const ls_binary op = (ls_binary)(i % 8);
        uint64_t s = (uint64_t)i;
        const ls_shape shape = random_shape(&s);
        int64_t stride[2][LS_MAX_NDIM];
        const int64_t a_size = random_strides(shape, &s, stride[0]),
                      b_size = random_strides(shape, &s, stride[1]);
        const int64_t n = size_of(shape);
        const bool add = below(&s, 2);
        double *a = numbers(t, a_size, &s), *b = numbers(t, b_size, &s),
               *out = numbers(t, n + 1, &s);
        for (int64_t e = 0; e < a_size && e < b_size; e += 3) b[e] = a[e];
        void *ta = typed(t, a_size, a), *tb = typed(t, b_size, b), *tout = typed(t, n + 1, out);
        k->binary(op, shape, ta, stride[0], tb, stride[1], tout, add);
        for (int64_t e = 0; e <= n; e++) {
            double want = out[e];
            if (e < n) {
                double value = ref_binary(t, op, a[place_of(shape, e, stride[0])],
                                          b[place_of(shape, e, stride[1])]);
                want = add ? plus(t, want, value) : value;
            }
            cr_assert(same(at(t, tout, e), want), "%s %d: op %d case %d at %d", k->isa, t, op, i,
                      (int)e);
        }
        free(a), free(b), free(out), free(ta), free(tb), free(tout);
    }
}
