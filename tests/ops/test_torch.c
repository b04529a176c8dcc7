/* test_torch.c -- operations against numbers that PyTorch made: values and gradients of every case in
 * cases.txt (make_cases.py explains its lines), in both types.
 *
 * Inputs are drawn here as PyTorch drew them, and their CRC compared first. Distances are measured in
 * units in the last place of a magnitude that the case states: the value's own, or that of the terms
 * it is a sum of.
 */
#include "base/base.h"
#include "kernel/kernel.h"
#include "tensor/tensor.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_INPUTS = 6, MOST_ARGS = 8, LINE = 1 << 17 };

typedef struct torch_case {
    char name[32];
    ls_dtype type;
    ls_tensor *in[MOST_INPUTS], *w, *y;
    bool has_grad[MOST_INPUTS];
    int n_in;
    double a[MOST_ARGS];
    int n_args;
} torch_case;

/* ---- what a name and its arguments mean ------------------------------------------------------ */
static ls_axes axes_from(const torch_case *c, int first)
{
    ls_axes axes = { 0, { 0 } };
    for (int i = first; i < c->n_args; i++) axes.axis[axes.count++] = (int)c->a[i];
    return axes;
}

static ls_shape shape_from(const torch_case *c)
{
    ls_shape s = { 0 };
    for (int i = 0; i < c->n_args; i++) s.dim[s.ndim++] = (int64_t)c->a[i];
    return s;
}

static ls_reduction reduction(const torch_case *c, int i)
{
    return c->n_args > i ? (ls_reduction)(int)c->a[i] : LS_MEAN;
}

static ls_loss_opts elements(const torch_case *c)
{
    return (ls_loss_opts){ .reduction = reduction(c, 0), .beta = c->n_args > 1 ? c->a[1] : 0 };
}

static ls_loss_opts of_scores(const torch_case *c)
{
    return (ls_loss_opts){ .ignores = c->a[0] != 0,
                           .ignore_index = (int64_t)c->a[1],
                           .label_smoothing = c->a[2],
                           .reduction = reduction(c, 3),
                           .weight = c->n_in > 2 ? c->in[2] : NULL };
}

#define X    (c->in[0])
#define Y    (c->in[1])
#define A(i) (c->a[i])
#define I(i) ((int)c->a[i])
#define OPERATIONS(OP)                                                                             \
    OP(add, ls_add(X, Y))                                                                          \
    OP(sub, ls_sub(X, Y))                                                                          \
    OP(mul, ls_mul(X, Y))                                                                          \
    OP(div, ls_div(X, Y))                                                                          \
    OP(pow_tensor, ls_pow_tensor(X, Y))                                                            \
    OP(minimum, ls_minimum(X, Y))                                                                  \
    OP(maximum, ls_maximum(X, Y))                                                                  \
    OP(where, ls_where(ls_less(X, Y), Y, c->in[2]))                                                \
    OP(add_scalar, ls_add_scalar(X, A(0)))                                                         \
    OP(sub_scalar, ls_sub_scalar(X, A(0)))                                                         \
    OP(mul_scalar, ls_mul_scalar(X, A(0)))                                                         \
    OP(div_scalar, ls_div_scalar(X, A(0)))                                                         \
    OP(pow, ls_pow(X, A(0)))                                                                       \
    OP(neg, ls_neg(X))                                                                             \
    OP(abs, ls_abs(X))                                                                             \
    OP(sqrt, ls_sqrt(X))                                                                           \
    OP(exp, ls_exp(X))                                                                             \
    OP(log, ls_log(X))                                                                             \
    OP(log1p, ls_log1p(X))                                                                         \
    OP(erf, ls_erf(X))                                                                             \
    OP(clamp, ls_clamp(X, A(0), A(1)))                                                             \
    OP(relu, ls_relu(X))                                                                           \
    OP(leaky_relu, ls_leaky_relu(X, A(0)))                                                         \
    OP(sigmoid, ls_sigmoid(X))                                                                     \
    OP(tanh, ls_tanh(X))                                                                           \
    OP(gelu, ls_gelu(X))                                                                           \
    OP(gelu_tanh, ls_gelu_tanh(X))                                                                 \
    OP(softplus, ls_softplus(X))                                                                   \
    OP(silu, ls_silu(X))                                                                           \
    OP(softmax, ls_softmax(X, I(0)))                                                               \
    OP(log_softmax, ls_log_softmax(X, I(0)))                                                       \
    OP(logsumexp, ls_logsumexp(X, I(0), false))                                                    \
    OP(matmul, ls_matmul(X, Y))                                                                    \
    OP(bmm, ls_bmm(X, Y))                                                                          \
    OP(mv, ls_mv(X, Y))                                                                            \
    OP(dot, ls_dot(X, Y))                                                                          \
    OP(linear, ls_linear(X, Y, c->in[2]))                                                          \
    OP(sum, ls_sum(X))                                                                             \
    OP(mean, ls_mean(X))                                                                           \
    OP(sum_axes, ls_sum_axes(X, axes_from(c, 1), I(0)))                                            \
    OP(mean_axes, ls_mean_axes(X, axes_from(c, 1), I(0)))                                          \
    OP(var, ls_var_axes(X, axes_from(c, 2), I(1), I(0)))                                           \
    OP(std, ls_std_axes(X, axes_from(c, 2), I(1), I(0)))                                           \
    OP(max, ls_max(X))                                                                             \
    OP(min, ls_min(X))                                                                             \
    OP(amax, ls_amax(X, axes_from(c, 1), I(0)))                                                    \
    OP(amin, ls_amin(X, axes_from(c, 1), I(0)))                                                    \
    OP(max_axis, ls_max_axis(X, I(0), false, &(ls_tensor *){ NULL }))                              \
    OP(min_axis, ls_min_axis(X, I(0), false, &(ls_tensor *){ NULL }))                              \
    OP(view, ls_view(X, shape_from(c)))                                                            \
    OP(squeeze, ls_squeeze(X))                                                                     \
    OP(unsqueeze, ls_unsqueeze(X, I(0)))                                                           \
    OP(squeeze_axis, ls_squeeze_axis(X, I(0)))                                                     \
    OP(reshape, ls_reshape(X, shape_from(c)))                                                      \
    OP(view_as, ls_view_as(X, Y))                                                                  \
    OP(expand_as, ls_expand_as(X, Y))                                                              \
    OP(clone, ls_clone(X))                                                                         \
    OP(equal, ls_equal(X, Y))                                                                      \
    OP(not_equal, ls_not_equal(X, Y))                                                              \
    OP(less, ls_less(X, Y))                                                                        \
    OP(less_equal, ls_less_equal(X, Y))                                                            \
    OP(greater, ls_greater(X, Y))                                                                  \
    OP(greater_equal, ls_greater_equal(X, Y))                                                      \
    OP(argmax, ls_to_float(ls_argmax(X, I(0))))                                                    \
    OP(argmin, ls_to_float(ls_argmin(X, I(0))))                                                    \
    OP(transpose, ls_transpose(X, I(0), I(1)))                                                     \
    OP(permute, ls_permute(X, axes_from(c, 0)))                                                    \
    OP(slice, ls_slice(X, I(0), I(1), I(2), I(3)))                                                 \
    OP(narrow, ls_narrow(X, I(0), I(1), I(2)))                                                     \
    OP(select, ls_select(X, I(0), I(1)))                                                           \
    OP(index_select, ls_index_select(X, I(0), Y))                                                  \
    OP(gather, ls_gather(X, I(0), Y))                                                              \
    OP(cat, ls_cat((ls_list){ c->n_in, c->in }, I(0)))                                             \
    OP(stack, ls_stack((ls_list){ c->n_in, c->in }, I(0)))                                         \
    OP(mse_loss, ls_mse_loss_with(X, Y, &o))                                                       \
    OP(l1_loss, ls_l1_loss_with(X, Y, &o))                                                         \
    OP(smooth_l1_loss, ls_smooth_l1_loss_with(X, Y, &o))                                           \
    OP(huber_loss, ls_huber_loss_with(X, Y, &o))                                                   \
    OP(bce_loss, (o.weight = c->in[2], ls_bce_loss_with(X, Y, &o)))                                \
    OP(bce_with_logits, (o.pos_weight = c->in[2], ls_bce_with_logits_with(X, Y, &o)))              \
    OP(kl_div, (o.log_target = o.beta != 0, o.beta = 0, ls_kl_div_with(X, Y, &o)))                 \
    OP(nll_loss, (o = of_scores(c), ls_nll_loss_with(X, Y, &o)))                                   \
    OP(cross_entropy, (o = of_scores(c), ls_cross_entropy_with(X, Y, &o)))

static ls_tensor *apply(const torch_case *c)
{
    ls_loss_opts o = elements(c);
#define OP(name_, expression)                                                                      \
    if (strcmp(c->name, #name_) == 0) return expression;
    OPERATIONS(OP)
#undef OP
    cr_assert_fail("no operation is called %s", c->name);
    return NULL;
}

/* ---- reading a case -------------------------------------------------------------------------- */
/* One input from "KIND LOW HIGH DIMS"; its bytes into the CRC. */
static void draw(ls_ctx *ctx, torch_case *c, const char *text, uint32_t *crc)
{
    char kind, *next;
    double low, high;
    int used;
    ls_shape s = { 0 };
    cr_assert_eq(sscanf(text, " %c %lf %lf%n", &kind, &low, &high, &used), 3, "%s", text);
    for (const char *at = text + used;; at = next) {
        int64_t dim = strtoll(at, &next, 10);
        if (next == at) break;
        s.dim[s.ndim++] = dim;
    }
    int i = c->n_in++;
    ls_tensor *t = ls_tensor_make(ctx, kind == 'k' ? LS_INT64 : c->type, s, false, false);
    if (kind != 'k') ls_uniform_(t, low, high);
    for (int64_t e = 0; kind == 'k' && e < t->count; e++)
        ((int64_t *)t->data)[e] = ls_random_word(&ctx->random) % (int64_t)high;
    *crc = ls_crc32(*crc, t->data, (size_t)t->count * ls_dtype_bytes(t->dtype));
    c->has_grad[i] = kind == 'u';
    c->in[i] = c->has_grad[i] ? ls_requires_grad(t) : t;
}

/* The bits of a value in hexadecimal, digits of them. */
static double value_of(const char *text, int digits)
{
    char copy[17] = { 0 };
    memcpy(copy, text, (size_t)digits);
    uint64_t wide = strtoull(copy, NULL, 16);
    uint32_t narrow = (uint32_t)wide;
    float f;
    double d;
    memcpy(&f, &narrow, sizeof f);
    memcpy(&d, &wide, sizeof d);
    return digits == 8 ? (double)f : d;
}

/* Compares t with "ULPS VALUES EXPONENTS". */
static void compare(const torch_case *c, const char *what, const ls_tensor *t, char *text)
{
    bool is_float = c->type == LS_FLOAT32;
    int digits = is_float ? 8 : 16, fraction = is_float ? 23 : 52, least = is_float ? -126 : -1022;
    int ulps = (int)strtol(text, &text, 10);
    char *values = strtok(text, " \n"), *exponents = strtok(NULL, " \n");
    cr_assert(t != NULL, "%s: no %s: %s", c->name, what, ls_error_text(X->ctx));
    cr_assert_eq((int64_t)strlen(values), t->count * digits, "%s: %s has %lld elements", c->name,
                 what, (long long)t->count);
    for (int64_t i = 0; i < t->count; i++) {
        double want = value_of(values + i * digits, digits), got = ls_element(t, i);
        char three[4] = { 0 };
        int exponent = want != 0 ? ilogb(want) : least;
        if (*exponents != '=') {
            memcpy(three, exponents + i * 3, 3);
            exponent = (int)strtol(three, NULL, 16) - 2048;
        }
        if (exponent < least) exponent = least;
        double off = fabs(got - want) / ldexp(1, exponent - fraction);
        cr_expect(off <= ulps,
                  "%s of float%d, case %s: %s at %lld is %.17g, PyTorch's %.17g: %g units off",
                  c->name, is_float ? 32 : 64, ls_shape_str(X->shape).text, what, (long long)i, got,
                  want, off);
    }
}

/* A case from its first line to the sum of its weighted results. */
static ls_ctx *begin(torch_case *c, char *line)
{
    int bits, used;
    unsigned seed;
    uint32_t want, crc = 0;
    memset(c, 0, sizeof *c);
    cr_assert_eq(sscanf(line, "case %31s %d %u %x%n", c->name, &bits, &seed, &want, &used), 4);
    c->type = bits == 32 ? LS_FLOAT32 : LS_FLOAT64;
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = seed, .dtype = c->type });
    char *part = strtok(line + used, "|"), *next;
    for (const char *at = part;; at = next) {
        double number = strtod(at, &next);
        if (next == at) break;
        c->a[c->n_args++] = number;
    }
    while ((part = strtok(NULL, "|"))) draw(ctx, c, part, &crc);
    c->y = apply(c);
    cr_assert(c->y != NULL, "%s: %s", c->name, ls_error_text(ctx));
    c->w = ls_uniform_(ls_zeros(ctx, c->y->shape), -1, 1);
    crc = ls_crc32(crc, c->w->data, (size_t)c->w->count * ls_dtype_bytes(c->type));
    cr_assert_eq(crc, want, "%s, case %u: other inputs than PyTorch's", c->name, seed);
    if (c->y->requires_grad) ls_backward(ctx, ls_sum(ls_mul(c->y, c->w)));
    cr_assert_eq(ls_error(ctx), LS_OK, "%s", ls_error_text(ctx));
    return ctx;
}

Test(torch, values_and_gradients)
{
    const char *folder = getenv("LS_TEST_DATA");
    char path[4096];
    snprintf(path, sizeof path, "%s/torch/cases.txt", folder ? folder : "tests/data");
    FILE *file = fopen(path, "r");
    cr_assert(file != NULL, "%s", path);
    char *line = malloc(LINE);
    torch_case c;
    ls_ctx *ctx = NULL;
    int count = 0;
    while (fgets(line, LINE, file)) {
        cr_assert(strchr(line, '\n') != NULL, "a line is too long");
        if (line[0] == 'c') {
            if (ctx) ls_finish(ctx);
            ctx = begin(&c, line);
            count++;
        } else if (line[0] == 'y') compare(&c, "the value", c.y, line + 1);
        else {
            char what[32], *rest;
            long i = strtol(line + 1, &rest, 10);
            snprintf(what, sizeof what, "the gradient %ld", i);
            compare(&c, what, ls_grad(c.in[i]), rest);
        }
    }
    if (ctx) ls_finish(ctx);
    cr_assert_geq(count, 600);
    free(line);
    fclose(file);
}
