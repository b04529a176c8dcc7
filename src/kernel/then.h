/* then.h -- what becomes of a product: an activation of it, or the slope of one times it.
 *
 * It is a pass over the product, in place; for relu one over each block while that is in the nearest cache. The other
 * functions take longer than memory does, and longer still in short lines.
 */
#pragma once
#include "kernel/element.h"

enum { FIRST_CACHE = 32 * 1024 / (int)sizeof(real) }; /* reals: a product of fewer is still there once it is made */

static inline bool then_by_blocks(const ls_then *t, int64_t m, int64_t n)
{
    return t && t->op == LS_UNARY_RELU && n >= LANES && m > FIRST_CACHE / n;
}

/* All of c [m,n]. */
static void then_all(const ls_then *t, int64_t m, int64_t n, real *c, int64_t ldc)
{
    const real   *y = t->y;
    const int64_t lines = ldc == n ? 1 : m, count = ldc == n ? m * n : n;
    for (int64_t i = 0; i < lines; i++, c += ldc) {
        if (!y) unary(t->op, 0, count, c, c);
        else unary_back(t->op, 0, count, y + i * ldc, y + i * ldc, c, c, false);
    }
}

INLINE void relu_line(int64_t count, const real *y, real *c)
{
    EACH
    for (int64_t i = 0; i < count; i++) c[i] = y ? relu_back1(y[i], c[i]) : relu1(c[i]);
}

/* A block of it, by relu; y: of the block, or NULL. */
static void relu_block(int64_t rows, int64_t columns, const real *y, real *c, int64_t ld)
{
    for (int64_t r = 0; r < rows; r++, c += ld) {
        int64_t j = 0;
        if (y) {
            for (; columns - j >= LANES; j += LANES) relu_line(LANES, y + j, c + j);
            relu_line(columns - j, y + j, c + j);
            y += ld;
        } else {
            for (; columns - j >= LANES; j += LANES) relu_line(LANES, NULL, c + j);
            relu_line(columns - j, NULL, c + j);
        }
    }
}
