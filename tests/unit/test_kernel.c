/* test_kernel.c -- every table of src/kernel against the rules (kernel_reference.h), bit for bit.
 *
 * Numbers are made as doubles that fit the type, given to a table in its type, and compared as
 * doubles: equal bits, or both NaN.
 */
#include "kernel_reference.h"
#include <criterion/criterion.h>
#include <stdio.h>

/* ---- numbers
 * ------------------------------------------------------------------------------------------ */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
static double uniform(uint64_t *s, double a, double b)
{
    return a + (b - a) * (double)(draw(s) >> 11) * 0x1p-53;
}
static int64_t below(uint64_t *s, int64_t n)
{
    return (int64_t)(draw(s) % (uint64_t)n);
}

/* count numbers of type t in [-1, 1). */
static double *numbers(ls_dtype t, int64_t count, uint64_t *s)
{
    double *v = malloc(sizeof(double) * (size_t)(count + 1));
    for (int64_t i = 0; i < count; i++) v[i] = to(t, uniform(s, -1, 1));
    return v;
}

/* A copy in type t. */
static void *typed(ls_dtype t, int64_t count, const double *v)
{
    void *p = malloc((size_t)(count + 1) * sizeof(double));
    for (int64_t i = 0; i < count; i++) {
        if (t == LS_FLOAT32) ((float *)p)[i] = (float)v[i];
        else ((double *)p)[i] = v[i];
    }
    return p;
}
static double at(ls_dtype t, const void *p, int64_t i)
{
    return t == LS_FLOAT32 ? (double)((const float *)p)[i] : ((const double *)p)[i];
}

static bool same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

/* The tables that this CPU runs. */
static int tables(const ls_kernel *k[6])
{
    static const char *const isa[] = { "generic", "avx2", "avx512" };
    int count = 0;
    for (int t = 0; t < 2; t++)
        for (int i = 0; i < 3; i++)
            if ((k[count] = ls_kernel_for(t ? LS_FLOAT64 : LS_FLOAT32, isa[i]))) count++;
    return count;
}
#define EACH_TABLE(k)                                                                              \
    const ls_kernel *table_[6];                                                                    \
    int tables_ = tables(table_);                                                                  \
    for (const ls_kernel *k; tables_ > 0 && (k = table_[--tables_]);)

/* ---- products
 * ------------------------------------------------------------------------------------------ */
typedef enum layout { BY_ROW, BY_COLUMN, STRIDED } layout;

static void check_inner(const ls_kernel *k, int64_t m, int64_t n, int64_t count, layout how,
                        bool bias, bool add, uint64_t *s)
{
    const ls_dtype t = k->dtype;
    const int64_t lda = count + below(s, 3), ldc = n + below(s, 3);
    const int64_t b_k = how == BY_ROW ? n + 1 : how == BY_COLUMN ? 1 : 2;
    const int64_t b_n = how == BY_ROW ? 1 : how == BY_COLUMN ? count + 2 : 2 * count + 1;
    const int64_t sizes[] = { m * lda, (count + 1) * b_k + (n + 1) * b_n, n, m * ldc };
    double *v[4];
    void *p[4];
    for (int i = 0; i < 4; i++) v[i] = numbers(t, sizes[i], s), p[i] = typed(t, sizes[i], v[i]);
    k->inner(m, n, count, p[0], lda, p[1], b_k, b_n, bias ? p[2] : NULL, p[3], ldc, add);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < ldc; j++) {
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
    static const int64_t lengths[] = { 0, 1, 2, 7, 8, 9, 31, 64, 255, 256, 257, 513 };
    static const int64_t sizes[] = { 0, 1, 2, 3, 5, 6, 12, 13, 17, 33, 65, 131 };
    EACH_TABLE(k)
    {
        uint64_t s = 1;
        for (int i = 0; i < 150; i++)
            check_inner(k, sizes[below(&s, 12)], sizes[below(&s, 12)], lengths[below(&s, 12)],
                        (layout)below(&s, 3), below(&s, 2), below(&s, 2), &s);
        check_inner(k, 400, 3, 300, BY_COLUMN, true, true, &s);
        check_inner(k, 3, 400, 300, BY_COLUMN, true, false, &s);
        check_inner(k, 1, 500, 270, BY_ROW, false, false, &s);
        check_inner(k, 500, 1, 270, BY_ROW, true, false, &s);
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
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < ldc; j++) {
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
    }
}
