/* openblas.h -- the products by OpenBLAS, for runs that ask for it.
 *
 * Its bits depend on its version, the kernels it has for the CPU, the number of threads and the rows in
 * a call. So there is one thread (dispatch.c), and a call has the rows of one leaf and a shape that
 * follows from the sizes alone: on one kind of machine the result is the same for any number of ranks.
 * Leaves are added in the tree of base.h. What it does not take (sizes of 0, sizes beyond int, a right
 * side that lies neither by row nor by column) goes through the canonical kernels.
 */
#pragma once
#include "kernel/product.h"
#include "kernel/blas.h"
#include "kernel/element.h"
#include <limits.h>

#if LS_REAL_BITS == 32
#define GEMM ls_blas.sgemm
#else
#define GEMM ls_blas.dgemm
#endif

static bool is_blas_size(int64_t n) { return n > 0 && n <= INT_MAX; }

static void blas_inner(int64_t m, int64_t leaf_rows, int64_t n, int64_t k, const void *a_, int64_t lda, const void *b,
                       int64_t b_k, int64_t b_n, const void *bias, void *c_, int64_t ldc, bool sums, const ls_then *then)
{
    const real   *a = a_;
    real         *c = c_;
    const bool    by_row = b_n == 1 && b_k >= n, by_column = b_k == 1 && b_n >= k;
    const int64_t ldb = by_row ? b_k : b_n, most = leaf_rows > 0 ? least(m, leaf_rows) : m;
    if (!(by_row || by_column) || !is_blas_size(most) || !is_blas_size(n) || !is_blas_size(k) ||
        !is_blas_size(lda) || !is_blas_size(ldb) || !is_blas_size(ldc)) {
        inner(m, leaf_rows, n, k, a, lda, b, b_k, b_n, bias, c, ldc, sums, then);
        return;
    }
    for (int64_t i = 0, rows; i < m; i += rows, a += rows * lda) {
        rows = least(m - i, most);
        GEMM(CblasRowMajor, CblasNoTrans, by_row ? CblasNoTrans : CblasTrans, (int)rows, (int)n, (int)k, 1, a,
             (int)lda, b, (int)ldb, sums, c, (int)ldc);
        for (int64_t r = 0; r < rows; r++, c += ldc)
            if (bias) add(n, c, bias);
    }
    if (then) then_all(then, m, n, c_, ldc);
}

/* A leaf's product is made a block of c at a time, so that the tree over the leaves has room here. */
enum {
    BLAS_ROWS = 128,
    BLAS_COLUMNS = 512 / (int)sizeof(real),
    BLAS_LEVELS = 33, /* of the tree: 2^32 leaves */
};

/* The tree over all leaves for one block of m x n, which is then in its first level. */
static void blas_tree(int64_t rows, int64_t leaf_rows, int64_t m, int64_t n, const real *g, int64_t ldg, const real *x,
                      int64_t ldx, real level[BLAS_LEVELS][BLAS_ROWS * BLAS_COLUMNS])
{
    int     height = 0;
    int64_t count = 0;
    for (int64_t r = 0; r < rows; r += leaf_rows) {
        GEMM(CblasRowMajor, CblasTrans, CblasNoTrans, (int)m, (int)n, (int)least(rows - r, leaf_rows), 1, g + r * ldg,
             (int)ldg, x + r * ldx, (int)ldx, 0, level[height++], (int)n);
        for (int64_t done = ++count; done % 2 == 0; done /= 2, height--)
            add(m * n, level[height - 2], level[height - 1]);
    }
    for (; height > 1; height--) add(m * n, level[height - 2], level[height - 1]);
}

static void blas_outer(int64_t rows, int64_t leaf_rows, int64_t m, int64_t n, const void *g_, int64_t ldg,
                       const void *x_, int64_t ldx, void *c_, int64_t ldc, bool sums)
{
    const real *g = g_, *x = x_;
    real       *c = c_, level[BLAS_LEVELS][BLAS_ROWS * BLAS_COLUMNS] ALIGNED;
    if (leaf_rows == 0 || leaf_rows > rows) leaf_rows = rows;
    if (!is_blas_size(leaf_rows) || !is_blas_size(ldg) || !is_blas_size(ldx) ||
        (rows - 1) / leaf_rows >> (BLAS_LEVELS - 1) > 0) {
        outer(rows, leaf_rows, m, n, g, ldg, x, ldx, c, ldc, sums);
        return;
    }
    for (int64_t i = 0; i < m; i += BLAS_ROWS)
        for (int64_t j = 0; j < n; j += BLAS_COLUMNS) {
            const int64_t down = least(m - i, BLAS_ROWS), across = least(n - j, BLAS_COLUMNS);
            blas_tree(rows, leaf_rows, down, across, g + i, ldg, x + j, ldx, level);
            for (int64_t r = 0; r < down; r++) {
                real *to = c + (i + r) * ldc + j, *from = level[0] + r * across;
                if (sums) add(across, to, from);
                else memcpy(to, from, (size_t)across * sizeof(real));
            }
        }
}
