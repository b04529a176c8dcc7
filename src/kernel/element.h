/* element.h -- what is done element by element: every result depends on the elements of its own place.
 *
 * Loops over plain reals, which the compilers turn into vector code; input and output may be the same
 * array. put(add, ...) stores or adds.
 */
#pragma once
#include "kernel/axes.h"
#include "kernel/functions.h"
#include "kernel/special.h"

INLINE void put(bool add, real *to, real value) { *to = add ? *to + value : value; }

/* Runs body twice, so that add is a constant in each. */
#define STORE_OR_ADD(add, ...)                                                                       \
    do {                                                                                             \
        if (add) {                                                                                   \
            const bool ADD = true;                                                                   \
            __VA_ARGS__                                                                              \
        } else {                                                                                     \
            const bool ADD = false;                                                                  \
            __VA_ARGS__                                                                              \
        }                                                                                            \
    } while (0)

/* ---- two operands ---------------------------------------------------------------------------- */
INLINE real binary1(ls_binary op, real a, real b)
{
    switch (op) {
    case LS_BINARY_ADD: return a + b;
    case LS_BINARY_SUB: return a - b;
    case LS_BINARY_MUL: return a * b;
    case LS_BINARY_DIV: return a / b;
    case LS_BINARY_EQUAL: return a == b ? 1 : 0;
    case LS_BINARY_NOT_EQUAL: return a != b ? 1 : 0;
    case LS_BINARY_LESS: return a < b ? 1 : 0;
    case LS_BINARY_LESS_EQUAL: return a <= b ? 1 : 0;
    }
    return 0;
}

/* A line of n: a_i, b_i are the strides. op and add are constants where it is called. */
INLINE void binary_line(ls_binary op, int64_t n, const real *a, int64_t a_i, const real *b, int64_t b_i,
                        real *out, bool add)
{
    if (a_i == 1 && b_i == 1) {
        EACH
        for (int64_t i = 0; i < n; i++) put(add, out + i, binary1(op, a[i], b[i]));
    } else if (a_i == 1 && b_i == 0) {
        const real all = *b;
        EACH
        for (int64_t i = 0; i < n; i++) put(add, out + i, binary1(op, a[i], all));
    } else if (a_i == 0 && b_i == 1) {
        const real all = *a;
        EACH
        for (int64_t i = 0; i < n; i++) put(add, out + i, binary1(op, all, b[i]));
    } else {
        for (int64_t i = 0; i < n; i++) put(add, out + i, binary1(op, a[i * a_i], b[i * b_i]));
    }
}

#define BINARY_LINES(op)                                                                             \
    case op: STORE_OR_ADD(add, binary_line(op, n, a, a_i, b, b_i, out, ADD);); return;
static void binary_lines(ls_binary op, int64_t n, const real *a, int64_t a_i, const real *b, int64_t b_i,
                         real *out, bool add)
{
    switch (op) {
        BINARY_LINES(LS_BINARY_ADD)
        BINARY_LINES(LS_BINARY_SUB)
        BINARY_LINES(LS_BINARY_MUL)
        BINARY_LINES(LS_BINARY_DIV)
        BINARY_LINES(LS_BINARY_EQUAL)
        BINARY_LINES(LS_BINARY_NOT_EQUAL)
        BINARY_LINES(LS_BINARY_LESS)
        BINARY_LINES(LS_BINARY_LESS_EQUAL)
    }
}

static void binary(ls_binary op, ls_shape shape, const void *a, const int64_t a_stride[LS_MAX_NDIM],
                   const void *b, const int64_t b_stride[LS_MAX_NDIM], void *out, bool add)
{
    axes all = { 0 };
    for (int d = 0; d < shape.ndim; d++) axes_add(&all, (axis){ shape.dim[d], a_stride[d], b_stride[d] });
    axis    line = all.count ? all.at[all.count - 1] : (axis){ 1, 1, 1 };
    int64_t size = axes_size(&all);
    for (int64_t done = 0; done < size; done += line.count) {
        int64_t at_a, at_b;
        axes_find(&all, all.count - 1, done / line.count, &at_a, &at_b);
        binary_lines(op, line.count, (const real *)a + at_a, line.first, (const real *)b + at_b, line.second,
                     (real *)out + done, add);
    }
}

/* ---- powers ---------------------------------------------------------------------------------- */
#define EACH_Y(value)                                                                                \
    do {                                                                                             \
        EACH                                                                                         \
        for (int64_t i = 0; i < n; i++) y[i] = (value);                                              \
    } while (0)

/* y = x^c. As PyTorch: some exponents are products, quotients and roots. */
static void powers(real c, int64_t n, const real *x, real *y)
{
    const real one = 1;
    if (c == 0) EACH_Y(one);
    else if (c == 1) EACH_Y(x[i]);
    else if (c == 2) EACH_Y(x[i] * x[i]);
    else if (c == 3) EACH_Y(x[i] * x[i] * x[i]);
    else if (c == (real)0.5) EACH_Y(sqrt1(x[i]));
    else if (c == (real)-0.5) EACH_Y(one / sqrt1(x[i]));
    else if (c == -1) EACH_Y(one / x[i]);
    else if (c == -2) EACH_Y(one / (x[i] * x[i]));
    else {
#if LS_REAL_BITS == 32
        const parity p = parity_of(c);
        EACH_Y(pow32(x[i], c, p));
#else
        for (int64_t i = 0; i < n; i++) y[i] = pow64(x[i], c);
#endif
    }
}

/* ---- one operand ----------------------------------------------------------------------------- */
/* As PyTorch: relu keeps NaN and -0, and its gradient passes at NaN. */
INLINE real relu1(real x) { return x < 0 ? 0 : x; }
INLINE real relu_back1(real x, real g) { return x <= 0 ? 0 : g; }

static void unary(ls_unary op, double constant, int64_t n, const void *x_, void *y_)
{
    const real *x = x_, c = (real)constant;
    real       *y = y_;
    switch (op) {
    case LS_UNARY_RELU: EACH_Y(relu1(x[i])); return;
    case LS_UNARY_TANH: EACH_Y(tanh1(x[i])); return;
    case LS_UNARY_EXP: EACH_Y(exp1(x[i])); return;
    case LS_UNARY_LOG: EACH_Y(log1(x[i])); return;
    case LS_UNARY_ADD_C: EACH_Y(x[i] + c); return;
    case LS_UNARY_MUL_C: EACH_Y(x[i] * c); return;
    case LS_UNARY_DIV_C: EACH_Y(x[i] / c); return;
    case LS_UNARY_POW_C: powers(c, n, x, y); return;
    case LS_UNARY_NEG: EACH_Y(-x[i]); return;
    case LS_UNARY_ABS: EACH_Y(absolute1(x[i])); return;
    case LS_UNARY_SQRT:
    case LS_UNARY_STD: EACH_Y(sqrt1(x[i])); return;
    case LS_UNARY_LOG1P: EACH_Y(log1p1(x[i])); return;
    case LS_UNARY_ERF: EACH_Y(erf1(x[i])); return;
    case LS_UNARY_SIGMOID: EACH_Y(sigmoid1(x[i])); return;
    case LS_UNARY_SILU: EACH_Y(silu1(x[i])); return;
    case LS_UNARY_GELU: EACH_Y(gelu1(x[i])); return;
    case LS_UNARY_GELU_TANH: EACH_Y(gelu_tanh1(x[i])); return;
    case LS_UNARY_SOFTPLUS: EACH_Y(softplus1(x[i], c)); return;
    case LS_UNARY_LEAKY_RELU: EACH_Y(x[i] > 0 ? x[i] : x[i] * c); return;
    case LS_UNARY_CLAMP_MIN: EACH_Y(x[i] < c ? c : x[i]); return;
    case LS_UNARY_CLAMP_MAX: EACH_Y(x[i] > c ? c : x[i]); return;
    }
}

/* dx (+)= g (c x^(c - 1)); PyTorch: 0 where c is 0 */
static void powers_back(double constant, int64_t n, const real *x, const real *g, real *dx, bool add)
{
    enum { PART = 512 };
    const real c = (real)constant;
    real       slope[PART];
    for (int64_t done = 0, now; done < n; done += now, x += now, g += now, dx += now) {
        now = n - done < PART ? n - done : PART;
        if (c == 0) {
            STORE_OR_ADD(add, EACH for (int64_t i = 0; i < now; i++) put(ADD, dx + i, 0););
            continue;
        }
        powers((real)(constant - 1), now, x, slope);
        STORE_OR_ADD(add, EACH for (int64_t i = 0; i < now; i++) put(ADD, dx + i, g[i] * (c * slope[i])););
    }
}

#define EACH_DX(value)                                                                               \
    STORE_OR_ADD(add, EACH for (int64_t i = 0; i < n; i++) put(ADD, dx + i, (value));)

static void unary_back(ls_unary op, double constant, int64_t n, const void *x_, const void *y_, const void *g_,
                       void *dx_, bool add)
{
    const real *x = x_, *y = y_, *g = g_, c = (real)constant;
    real       *dx = dx_;
    switch (op) {
    case LS_UNARY_RELU: EACH_DX(relu_back1(x[i], g[i])); return;
    case LS_UNARY_TANH: EACH_DX(g[i] * (1 - y[i] * y[i])); return;
    case LS_UNARY_EXP: EACH_DX(g[i] * y[i]); return;
    case LS_UNARY_LOG: EACH_DX(g[i] / x[i]); return;
    case LS_UNARY_ADD_C: EACH_DX(g[i]); return;
    case LS_UNARY_MUL_C: EACH_DX(g[i] * c); return;
    case LS_UNARY_DIV_C: EACH_DX(g[i] / c); return;
    case LS_UNARY_POW_C: powers_back(constant, n, x, g, dx, add); return;
    case LS_UNARY_NEG: EACH_DX(-g[i]); return;
    case LS_UNARY_ABS: EACH_DX(g[i] * sign1(x[i])); return;
    case LS_UNARY_SQRT: EACH_DX(g[i] / (2 * y[i])); return;
    case LS_UNARY_STD: EACH_DX(y[i] == 0 ? 0 : g[i] / (2 * y[i])); return;
    case LS_UNARY_LOG1P: EACH_DX(g[i] / (x[i] + 1)); return;
    case LS_UNARY_ERF: EACH_DX(g[i] * ((real)1.12837916709551257390 * exp1(-(x[i] * x[i])))); return;
    case LS_UNARY_SIGMOID: EACH_DX(g[i] * ((1 - y[i]) * y[i])); return;
    case LS_UNARY_SILU: EACH_DX(g[i] * silu_slope1(x[i])); return;
    case LS_UNARY_GELU: EACH_DX(g[i] * gelu_slope1(x[i])); return;
    case LS_UNARY_GELU_TANH: EACH_DX(g[i] * gelu_tanh_slope1(x[i])); return;
    case LS_UNARY_SOFTPLUS: EACH_DX(g[i] * softplus_slope1(x[i], c)); return;
    case LS_UNARY_LEAKY_RELU: EACH_DX(x[i] > 0 ? g[i] : g[i] * c); return;
    case LS_UNARY_CLAMP_MIN: EACH_DX(x[i] >= c ? g[i] : 0); return;
    case LS_UNARY_CLAMP_MAX: EACH_DX(x[i] <= c ? g[i] : 0); return;
    }
}

/* ---- small ones ------------------------------------------------------------------------------ */
static void add(int64_t n, void *into, const void *x_)
{
    const real *x = x_;
    real       *y = into;
    EACH_Y(y[i] + x[i]);
}

static void add_of(int64_t n, const void *a_, const void *b_, void *out)
{
    const real *a = a_, *b = b_;
    real       *y = out;
    EACH_Y(a[i] + b[i]);
}

static void axpy(int64_t n, double a, const void *x_, void *y_)
{
    const real *x = x_, factor = (real)a;
    real       *y = y_;
    EACH_Y(fused1(x[i], factor, y[i]));
}

static void fill(int64_t n, double value, void *out)
{
    real *y = out, v = (real)value;
    EACH_Y(v);
}

static void from_double(int64_t n, const double *x, void *out)
{
    real *y = out;
    EACH_Y((real)x[i]);
}

static void from_int64(int64_t n, const int64_t *x, void *out)
{
    real *y = out;
    EACH_Y((real)x[i]);
}

static int64_t first_bad(int64_t n, const void *x_)
{
    enum { PART = 1024 };
    const real *x = x_;
    const word  infinite = bits_of((real)__builtin_inf());
    for (int64_t from = 0; from < n; from += PART) {
        int64_t end = n - from < PART ? n : from + PART;
        word    found = 0;
        for (int64_t i = from; i < end; i++) found |= (bits_of(x[i]) & infinite) == infinite;
        for (int64_t i = from; found && i < end; i++)
            if ((bits_of(x[i]) & infinite) == infinite) return i;
    }
    return -1;
}

static uint64_t bit_sum(int64_t n, const void *x_)
{
    const real *x = x_;
    word        sum = 0;
    for (int64_t i = 0; i < n; i++) sum += bits_of(x[i]);
    return (uint64_t)sum << (64 - 8 * sizeof sum);
}

static void argmax(int64_t rows, int64_t n, const void *x_, int64_t *out)
{
    for (int64_t r = 0; r < rows; r++) {
        const real *x = (const real *)x_ + r * n;
        int64_t     best = 0;
        for (int64_t i = 1; i < n && x[best] == x[best]; i++)
            if (x[i] > x[best] || x[i] != x[i]) best = i;
        out[r] = best;
    }
}
