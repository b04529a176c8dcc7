/* kernel_reference.h -- the rules of src/kernel/kernel.h once more, an element at a time.
 *
 * Values are doubles that fit the type; every step is rounded to the type: a double holds a float's sum,
 * product, quotient and root without a second rounding, a fused step is asked of libm in the type.
 */
#pragma once
#include "kernel/kernel.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline double to(ls_dtype t, double x)
{
    return t == LS_FLOAT32 ? (double)(float)x : x;
}
static inline double plus(ls_dtype t, double a, double b)
{
    return to(t, a + b);
}
static inline double minus(ls_dtype t, double a, double b)
{
    return to(t, a - b);
}
static inline double times(ls_dtype t, double a, double b)
{
    return to(t, a * b);
}
static inline double over(ls_dtype t, double a, double b)
{
    return to(t, a / b);
}
static inline double fuse(ls_dtype t, double a, double b, double c)
{
    return t == LS_FLOAT32 ? (double)fmaf((float)a, (float)b, (float)c) : fma(a, b, c);
}

/* sum over k of a[k * a_k] b[k * b_k] */
static inline double ref_inner(ls_dtype t, int64_t k, const double *a, int64_t a_k, const double *b,
                               int64_t b_k)
{
    double sum = 0;
    if (k < 8) {
        for (int64_t i = 0; i < k; i++) {
            double p = times(t, a[i * a_k], b[i * b_k]);
            sum = i == 0 ? p : plus(t, sum, p);
        }
        return sum;
    }
    for (int64_t from = 0; from < k; from += 256) {
        double block = 0;
        for (int64_t i = from; i < k && i < from + 256; i++)
            block = fuse(t, a[i * a_k], b[i * b_k], block);
        sum = from == 0 ? block : plus(t, sum, block);
    }
    return sum;
}

/* T(i, l) over leaves first .. of the tree; value: of each leaf. */
static inline double ref_tree(ls_dtype t, int64_t leaves, const double *value)
{
    if (leaves <= 1) return leaves ? value[0] : 0;
    int64_t half = 1;
    while (half * 2 < leaves) half *= 2;
    return plus(t, ref_tree(t, half, value), ref_tree(t, leaves - half, value + half));
}

/* PyTorch's cascade over rows of w numbers, stride apart. */
static inline void ref_cascade(ls_dtype t, const double *p, int64_t stride, int w, int64_t rows,
                               double *out)
{
    int power = 0;
    while ((INT64_C(1) << power) < rows) power++;
    power = power / 4 < 4 ? 4 : power / 4;
    const int64_t step = INT64_C(1) << power, mask = step - 1;
    double level[4][32] = { { 0 } };
    int64_t i = 0;
    while (i + step <= rows) {
        for (int64_t j = 0; j < step; j++, i++)
            for (int k = 0; k < w; k++) level[0][k] = plus(t, level[0][k], p[i * stride + k]);
        for (int l = 1; l < 4; l++) {
            for (int k = 0; k < w; k++) {
                level[l][k] = plus(t, level[l][k], level[l - 1][k]);
                level[l - 1][k] = 0;
            }
            if (i & (mask << (l * power))) break;
        }
    }
    for (; i < rows; i++)
        for (int k = 0; k < w; k++) level[0][k] = plus(t, level[0][k], p[i * stride + k]);
    for (int l = 1; l < 4; l++)
        for (int k = 0; k < w; k++) level[0][k] = plus(t, level[0][k], level[l][k]);
    for (int k = 0; k < w; k++) out[k] = level[0][k];
}

/* Rule sum. */
static inline double ref_sum(ls_dtype t, int64_t n, const double *v)
{
    const int w = n < 8 ? 1 : 8;
    const int64_t vectors = n / w, rows = vectors / 4;
    double a[32], total = 0;
    ref_cascade(t, v, 4 * w, 4 * w, rows, a);
    for (int64_t i = rows * 4; i < vectors; i++)
        for (int l = 0; l < w; l++) a[l] = plus(t, a[l], v[i * w + l]);
    for (int k = 1; k < 4; k++)
        for (int l = 0; l < w; l++) a[l] = plus(t, a[l], a[k * w + l]);
    if (w == 1) return a[0];
    for (int64_t i = vectors * w; i < n; i++) total = plus(t, total, v[i]);
    for (int l = 0; l < w; l++) total = plus(t, total, a[l]);
    return total;
}

/* Rule rows on one element: g[r * ldg] x[r * ldx]. */
static inline double ref_outer(ls_dtype t, int64_t rows, int64_t leaf_rows, const double *g,
                               int64_t ldg, const double *x, int64_t ldx)
{
    double *leaf = malloc(sizeof(double) * (size_t)(rows + 1)), sum;
    int64_t leaves = 0;
    if (leaf_rows == 0) leaf_rows = rows;
    for (int64_t from = 0; from < rows; from += leaf_rows) {
        double c = times(t, g[from * ldg], x[from * ldx]);
        for (int64_t r = from + 1; r < rows && r < from + leaf_rows; r++)
            c = fuse(t, g[r * ldg], x[r * ldx], c);
        leaf[leaves++] = c;
    }
    sum = ref_tree(t, leaves, leaf);
    free(leaf);
    return sum;
}

/* A column: rule sum in the leaves, then the tree. */
static inline double ref_column(ls_dtype t, int64_t rows, int64_t leaf_rows, const double *g,
                                int64_t ldg)
{
    double *leaf = malloc(sizeof(double) * (size_t)(rows + 1)),
           *run = malloc(sizeof(double) * (size_t)(rows + 1));
    int64_t leaves = 0;
    if (leaf_rows == 0) leaf_rows = rows;
    for (int64_t from = 0; from < rows; from += leaf_rows) {
        int64_t n = rows - from < leaf_rows ? rows - from : leaf_rows;
        for (int64_t r = 0; r < n; r++) run[r] = g[(from + r) * ldg];
        leaf[leaves++] = ref_sum(t, n, run);
    }
    double sum = ref_tree(t, leaves, leaf);
    free(leaf);
    free(run);
    return sum;
}

/* ---- numbers --------------------------------------------------------------------------------- */
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
