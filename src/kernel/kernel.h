/* kernel.h -- floor 1: arithmetic. Every floating-point sum of lockstep is made here ("numerics
 * 1").
 *
 * One table of functions a floating type and instruction set; all instruction sets give the same
 * bits. Functions are local, allocate nothing and cannot fail. Matrices are row-major; ld: elements
 * from one row to the next. Pointers are to the table's type. add: c += result instead of c =
 * result.
 *
 * The rules (a rounded step is one IEEE operation; f() is a fused multiply-add):
 *   inner   c = sum over k of a b. k < 8: products and sums rounded apart, ascending. Longer: fused
 *           chains from +0 in blocks of 256, blocks added in ascending order. The bias last.
 *   rows    contraction over rows: inside a leaf a fused chain in row order, the first product
 *           rounded; leaves added by the tree of base.h. leaf_rows 0: all rows are one leaf.
 *   sum     inside a leaf PyTorch's order for contiguous float32 on 8 lanes, for double as well.
 */
#pragma once
#include "base/base.h"

typedef enum ls_binary {
    LS_BINARY_ADD, LS_BINARY_SUB, LS_BINARY_MUL, LS_BINARY_DIV,
    LS_BINARY_EQUAL, LS_BINARY_NOT_EQUAL, LS_BINARY_LESS, LS_BINARY_LESS_EQUAL /* 1 or 0 */
} ls_binary;
typedef enum ls_unary {
    LS_UNARY_RELU, LS_UNARY_TANH, LS_UNARY_EXP, LS_UNARY_LOG,
    LS_UNARY_ADD_C, LS_UNARY_MUL_C, LS_UNARY_DIV_C, LS_UNARY_POW_C, /* with the constant c */
    LS_UNARY_NEG, LS_UNARY_ABS, LS_UNARY_SQRT, LS_UNARY_LOG1P, LS_UNARY_ERF, LS_UNARY_SIGMOID, LS_UNARY_SILU,
    LS_UNARY_GELU, LS_UNARY_GELU_TANH, LS_UNARY_STD, /* a root that is level at 0 */
    LS_UNARY_SOFTPLUS, LS_UNARY_LEAKY_RELU, LS_UNARY_CLAMP_MIN, LS_UNARY_CLAMP_MAX /* with the constant c */
} ls_unary;
/* Two arrays of one shape: arithmetic, and losses of x and target y. */
typedef enum ls_pair {
    LS_PAIR_DIV, LS_PAIR_POW, LS_PAIR_MINIMUM, LS_PAIR_MAXIMUM,
    LS_PAIR_L1, LS_PAIR_SMOOTH_L1, LS_PAIR_HUBER, /* c: beta, delta */
    LS_PAIR_BCE, LS_PAIR_BCE_LOGITS, LS_PAIR_KL, LS_PAIR_KL_LOG
} ls_pair;
typedef enum ls_softmax_kind { LS_SOFTMAX, LS_LOG_SOFTMAX, LS_LOGSUMEXP } ls_softmax_kind;

/* What becomes of a product in the same call: c = op(c); or, y not NULL, c times op's slope where it gave y, which
 * lies as c does. op: relu, tanh or sigmoid, whose slopes y shows. Not with add. */
typedef struct ls_then { ls_unary op; const void *y; } ls_then;

typedef struct ls_sgd_step { double lr, momentum, dampening, weight_decay; bool nesterov, first; } ls_sgd_step;

/* Packed factors of the rows own of a sum; of these, a piece. */
typedef struct ls_packed { const void *at; ls_range own, piece; } ls_packed;
/* A block of a product [m,n]: rows i, columns j. soon: what its elements go to next, up to LS_MOST_WRITTEN arrays
 * [m,n], or NULL, which are asked from memory meanwhile. */
typedef struct ls_block { ls_range i, j; void *c; int64_t ldc; const void *const *soon; int64_t n; } ls_block;

typedef struct ls_kernel ls_kernel;
struct ls_kernel {
    const char *isa; /* "avx512", "avx2", "generic" */
    ls_dtype    dtype;
    size_t      bytes; /* of an element */
    const ls_kernel *openblas; /* the same with products by OpenBLAS, for ls_kernel_openblas(); NULL: this is it */

    /* ---- products ---------------------------------------------------------------------------- */
    /* c[m,n] = sum_k a[m,k] b(k,n) + bias[n], rule inner; b(k,n) = b[k * b_k + n * b_n]; bias or
     * NULL. A row's bits are the same whatever the others are; OpenBLAS: the others of its leaf. then: or NULL. */
    void (*inner)(int64_t m, int64_t leaf_rows, int64_t n, int64_t k, const void *a, int64_t lda, const void *b,
                  int64_t b_k, int64_t b_n, const void *bias, void *c, int64_t ldc, bool add, const ls_then *then);
    /* c[m,n] = sum over rows r of g[r,m] x[r,n], rule rows. */
    void (*outer)(int64_t rows, int64_t leaf_rows, int64_t m, int64_t n, const void *g, int64_t ldg,
                  const void *x, int64_t ldx, void *c, int64_t ldc, bool add);

    /* outer, where several bring the factors of their rows, whole leaves each. Each packs its own (ldg is m,
     * ldx is n) into packed() elements. Any block of c [m,n] is then made of all of them, which come in
     * the order of rows and cut into pieces of the tree. j.from is a multiple of panel. packed NULL: there is
     * none of this. */
    int64_t tile, panel; /* rows and columns of c that are made at once */
    int64_t (*packed)(int64_t rows, int64_t m, int64_t n);
    void (*outer_pack)(int64_t rows, int64_t m, int64_t n, const void *g, const void *x, void *packed);
    void (*outer_packed)(int64_t count, const ls_packed *of, int64_t leaf_rows, int64_t m, const ls_block *b);

    /* ---- sums -------------------------------------------------------------------------------- */
    /* out[n] = sum over rows of g[r,n]: rule sum on each column of a leaf, leaves by the tree. */
    void (*columns)(int64_t rows, int64_t leaf_rows, int64_t n, const void *g, int64_t ldg, void *out, bool add);
    double (*sum)(int64_t n, const void *x);                          /* rule sum, one leaf */
    double (*sum_square)(int64_t n, const void *x, const void *y);    /* of (x - y)^2, each step rounded */
    /* Sums g, or the rounded products g x (x not NULL, its strides in elements, 0: broadcast), of
     * shape from down to shape to, to which from broadcasts: out (+)= rule sum over the elements
     * that fall on one place, in row-major order. from.ndim >= to.ndim, aligned at the last axis.
     * One leaf. */
    void (*sum_to)(ls_shape from, const void *g, const void *x, const int64_t x_stride[LS_MAX_NDIM], ls_shape to,
                   void *out, bool add);

    /* ---- elementwise ------------------------------------------------------------------------- */
    /* out[...] (+)= a op b over shape; strides in elements, 0: broadcast; out is contiguous. */
    void (*binary)(ls_binary op, ls_shape shape, const void *a, const int64_t a_stride[LS_MAX_NDIM],
                   const void *b, const int64_t b_stride[LS_MAX_NDIM], void *out, bool add);
    void (*unary)(ls_unary op, double c, int64_t n, const void *x, void *y);
    /* dx (+)= g f'(x); x is what f was given, y what it gave (either may be NULL where not needed:
     * exp, tanh, sqrt, std, sigmoid need y; the others x). */
    void (*unary_back)(ls_unary op, double c, int64_t n, const void *x, const void *y, const void *g, void *dx,
                       bool add);
    /* out = x op y; and dx (+)= g times the slope along x (which 0) or y (which 1). */
    void (*pair)(ls_pair op, double c, int64_t n, const void *x, const void *y, void *out);
    void (*pair_back)(ls_pair op, int which, double c, int64_t n, const void *x, const void *y, const void *g,
                      void *dx, bool add);
    /* out (+)= which ? a : b; NULL: 0 */
    void (*choose)(int64_t n, const int64_t *which, const void *a, const void *b, void *out, bool add);
    void (*add)(int64_t n, void *into, const void *x);                 /* into += x */
    void (*add_of)(int64_t n, const void *a, const void *b, void *out); /* out = a + b; out may be a or b */
    void (*axpy)(int64_t n, double a, const void *x, void *y);         /* y = f(x, a, y), a rounded to the type first */
    void (*fill)(int64_t n, double value, void *out);
    void (*from_double)(int64_t n, const double *x, void *out);
    void (*from_int64)(int64_t n, const int64_t *x, void *out);
    int64_t (*first_bad)(int64_t n, const void *x); /* index of the first infinity or NaN, or -1 */
    /* The sum of the elements' bits as integers, in the highest bits of the result: one that flips changes
     * it, and sums add up. */
    uint64_t (*bit_sum)(int64_t n, const void *x);
    void (*argmax)(int64_t rows, int64_t n, const void *x, int64_t *out); /* the first of equals; NaN wins */

    /* ---- along axes -------------------------------------------------------------------------- */
    /* x, y: outer x n x inner, along n; y of logsumexp: outer x inner. Sums by rule sum. */
    void (*softmax)(ls_softmax_kind kind, int64_t outer, int64_t n, int64_t inner, const void *x, void *y);
    void (*softmax_back)(ls_softmax_kind kind, int64_t outer, int64_t n, int64_t inner, const void *x, const void *y,
                         const void *g, void *dx, bool add); /* x: of logsumexp alone */
    /* The largest or smallest of what falls on one place of to, which has as many axes, NaN first;
     * its gradient goes to all that equal it in equal shares. */
    void (*extreme)(ls_shape from, const void *x, ls_shape to, void *out, bool largest);
    void (*extreme_back)(ls_shape from, const void *x, ls_shape to, const void *y, const void *g, bool nan_shares,
                         void *dx, bool add);

    /* ---- losses ------------------------------------------------------------------------------ */
    /* dx (+)= scale (x - y), times -1 for dy: give the scale its sign. Two roundings: x - y,
     * product. */
    void (*square_back)(int64_t n, double scale, const void *x, const void *y, void *dx, bool add);
    /* Sum over rows, rule sum on the rows' costs, of log(sum_j exp(x_j - max)) - (x_label -
     * max). */
    double (*cross_entropy)(int64_t rows, int64_t classes, const void *x, const int64_t *label);
    /* dx (+)= scale (softmax(x) - one_hot(label)) */
    void (*cross_entropy_back)(int64_t rows, int64_t classes, double scale, const void *x,
                               const int64_t *label, void *dx, bool add);

    /* ---- optimizer ------------------------------------------------------------------------------
     * d = f(p, wd, g) (wd 0: g); momentum: buf = f(d, 1-dampening, round(momentum buf)), first: buf
     * = d; nesterov: d = f(buf, momentum, d), else d = buf; p = f(d, -lr, p). Settings rounded to
     * the type. Whether all p are finite now. */
    bool (*sgd)(int64_t n, void *p, const void *g, void *buf, const ls_sgd_step *s);
};

/* The table of a type; isa NULL: what LS_ISA in the environment says, else the best that this CPU
 * runs. NULL if it runs it not, or unknown. */
const ls_kernel *ls_kernel_for(ls_dtype dtype, const char *isa);
/* What LS_ISA says, where that is nothing that this CPU runs; else NULL. */
const char *ls_kernel_unusable(void);
/* The table with products by OpenBLAS, which then has one thread. NULL: it cannot be loaded, or lacks memory. */
const ls_kernel *ls_kernel_openblas(ls_dtype dtype, ls_failure *f);
/* The arithmetic that results depend on: "1", or "openblas/0.3.21/SkylakeX". */
const char *ls_kernel_numerics(const ls_kernel *k);
/* "OpenBLAS 0.3.21, SkylakeX", or why it cannot be loaded; loads it. */
const char *ls_blas_version(void);
/* Rounding to nearest and no flush to zero in the calling thread; false if they could not be
 * set. */
bool ls_kernel_check_thread(void);

/* For one element: scalars as the tables compute them. */
double ls_exp_of(double x);
double ls_log_of(double x);
