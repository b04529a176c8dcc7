/* test_functions.c -- elementary functions and activations against the C library in a wider type, and
 * all instruction sets against one another, bit for bit.
 *
 * float results are compared with double, double with long double. Limits: 2 units in the last place
 * for functions, 4 for what is made of them, measured against the largest operand where there is
 * cancellation. Infinities, NaN and signed zeros are as in C.
 */
#include "kernel/kernel.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { COUNT = 40000 };
static const double special[] = { 0.0,    -0.0, 1,     -1,     INFINITY, -INFINITY, NAN,
                                  20,     -20,  88.7,  -88.7,  104,      -104,      709.7,
                                  -709.7, 746,  1e-40, -1e-40, 1e-8,     -1e-8,     0.5,
                                  -0.5,   2,    5.9,   3.9,    4.1,      6.1,       -3.9,
                                  -6.1,   1e30, -1e30, 1e-300, -0.9999,  0x1p-1074 };
static const char *const isas[] = { "generic", "avx2", "avx512" };

static double get(ls_dtype type, const void *x, int i)
{
    return type == LS_FLOAT32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

/* Everyday arguments, small ones and large ones; the last are special. */
static void *arguments(ls_dtype type)
{
    static double wide[COUNT];
    static _Alignas(64) char typed[COUNT * sizeof(double)];
    ls_random r;
    ls_random_seed(&r, 11);
    ls_random_uniform(&r, LS_FLOAT64, COUNT, wide, -1, 1);
    for (int i = 0; i < COUNT; i++)
        wide[i] *= i % 4 == 0 ? 1.5 : i % 4 == 1 ? 8 : i % 4 == 2 ? 90 : exp2(-(i % 60));
    int specials = sizeof special / sizeof *special;
    for (int i = 0; i < specials; i++) wide[COUNT - 1 - i] = special[i];
    ls_kernel_for(type, "generic")->from_double(COUNT, wide, typed);
    return typed;
}

/* A unit in the last place of x. */
static long double unit(ls_dtype type, long double x)
{
    int digits = type == LS_FLOAT32 ? 23 : 52, least = type == LS_FLOAT32 ? -126 : -1022;
    int exponent = x == 0 || ilogbl(x) < least ? least : ilogbl(x);
    return ldexpl(1, exponent - digits);
}

/* The function, and the size of what its result is a difference of. */
typedef struct exact {
    long double value, operand;
} exact;
#define PLAIN(y) ((exact){ (y), 0 })
static exact log1p_of(long double x)
{
    return PLAIN(log1pl(x));
}
static exact erf_of(long double x)
{
    return PLAIN(erfl(x));
}
static exact sigmoid_of(long double x)
{
    return PLAIN(1 / (1 + expl(-x)));
}
/* e^-|x| is subnormal where x is large: its last digit counts x times. */
static exact silu_of(long double x)
{
    return (exact){ x / (1 + expl(-x)), x * 0x1p-126L };
}
static exact softplus_of(long double x)
{
    return PLAIN(x > 20 ? x : log1pl(expl(x)));
}
static exact gelu_of(long double x)
{
    return (exact){ 0.5L * x * erfcl(-x * sqrtl(0.5L)), 0.5L * x };
}
static exact gelu_tanh_of(long double x)
{
    long double inner = sqrtl(2 / acosl(-1)) * (x + 0.044715L * x * x * x);
    return (exact){ x / (1 + expl(-2 * inner)), 0.5L * x };
}

static const struct {
    const char *name;
    ls_unary op;
    double c;
    exact (*f)(long double x);
    double most; /* units in the last place */
} functions[] = {
    { "log1p", LS_UNARY_LOG1P, 0, log1p_of, 2 },
    { "erf", LS_UNARY_ERF, 0, erf_of, 2 },
    { "sigmoid", LS_UNARY_SIGMOID, 0, sigmoid_of, 2 },
    { "silu", LS_UNARY_SILU, 0, silu_of, 4 },
    { "softplus", LS_UNARY_SOFTPLUS, 1, softplus_of, 4 },
    { "gelu", LS_UNARY_GELU, 0, gelu_of, 4 },
    { "gelu_tanh", LS_UNARY_GELU_TANH, 0, gelu_tanh_of, 4 },
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static void compare(const ls_kernel *k, int f, const void *x, const void *y)
{
    double worst = 0;
    int at = 0;
    for (int i = 0; i < COUNT; i++) {
        double got = get(k->dtype, y, i), from = get(k->dtype, x, i);
        exact e = functions[f].f(from);
        long double in_type = k->dtype == LS_FLOAT32 ? (float)e.value : (double)e.value;
        if (isnan(in_type) || isinf(in_type)) {
            bool fine = isnan(in_type) ? isnan(got) : got == in_type;
            /* 0 times infinity, as in PyTorch */
            fine = fine || (isinf(from) && isnan(got) && functions[f].most > 2);
            cr_assert(fine, "%s: of %a is %a", functions[f].name, from, got);
            continue;
        }
        if (isinf(from) && isnan(got) && functions[f].most > 2) continue;
        long double large = fmaxl(fabsl(e.value), fabsl(e.operand));
        double off = (double)(fabsl(got - e.value) / unit(k->dtype, large));
        if (!(off <= worst)) worst = off, at = i;
    }
    cr_assert(worst <= functions[f].most, "%s of float%d: %g units off at %a (%a)",
              functions[f].name, k->dtype == LS_FLOAT32 ? 32 : 64, worst, get(k->dtype, x, at),
              get(k->dtype, y, at));
}

Test(functions, are_exact_to_a_few_units)
{
    static _Alignas(64) char y[COUNT * sizeof(double)];
    for (int type = LS_FLOAT32; type <= LS_FLOAT64; type++)
        for (int f = 0; f < FUNCTIONS; f++) {
            const ls_kernel *k = ls_kernel_for((ls_dtype)type, "generic");
            const void *x = arguments(k->dtype);
            k->unary(functions[f].op, functions[f].c, COUNT, x, y);
            compare(k, f, x, y);
        }
}

/* All unary operations and their gradients, on every instruction set that runs here. */
Test(functions, have_the_same_bits_everywhere)
{
    static _Alignas(64) char g[COUNT * sizeof(double)], first[COUNT * sizeof(double)],
        y[COUNT * sizeof(double)];
    for (int type = LS_FLOAT32; type <= LS_FLOAT64; type++)
        for (int op = LS_UNARY_NEG; op <= LS_UNARY_CLAMP_MAX; op++)
            for (int back = 0; back < 2; back++)
                for (int isa = 0; isa < 3; isa++) {
                    const ls_kernel *k = ls_kernel_for((ls_dtype)type, isas[isa]);
                    if (!k) continue;
                    const void *x = arguments(k->dtype);
                    k->fill(COUNT, 1.1, g);
                    if (back) k->unary_back((ls_unary)op, 0.3, COUNT, x, x, g, y, false);
                    else k->unary((ls_unary)op, 0.3, COUNT, x, y);
                    if (isa == 0) memcpy(first, y, sizeof y);
                    for (int i = 0; i < COUNT; i++) {
                        double a = get(k->dtype, first, i), b = get(k->dtype, y, i);
                        cr_assert(memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b)),
                                  "%s: operation %d, %d: %a and %a", k->isa, op, back, a, b);
                    }
                }
}

/* Those of two arrays too: x, and x in reverse. */
Test(functions, of_two_arrays_have_the_same_bits_everywhere)
{
    static _Alignas(64) char z[COUNT * sizeof(double)], g[COUNT * sizeof(double)],
        first[COUNT * sizeof(double)], y[COUNT * sizeof(double)];
    for (int type = LS_FLOAT32; type <= LS_FLOAT64; type++)
        for (int op = LS_PAIR_DIV; op <= LS_PAIR_KL_LOG; op++)
            for (int back = 0; back < 3; back++)
                for (int isa = 0; isa < 3; isa++) {
                    const ls_kernel *k = ls_kernel_for((ls_dtype)type, isas[isa]);
                    if (!k) continue;
                    const char *x = arguments(k->dtype);
                    const size_t bytes = k->bytes;
                    for (size_t i = 0; i < COUNT; i++)
                        memcpy(z + i * bytes, x + (COUNT - 1 - i) * bytes, bytes);
                    k->fill(COUNT, 1.1, g);
                    if (back) k->pair_back((ls_pair)op, back - 1, 0.3, COUNT, x, z, g, y, false);
                    else k->pair((ls_pair)op, 0.3, COUNT, x, z, y);
                    if (isa == 0) memcpy(first, y, sizeof y);
                    for (int i = 0; i < COUNT; i++) {
                        double a = get(k->dtype, first, i), b = get(k->dtype, y, i);
                        cr_assert(memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b)),
                                  "%s: of two, %d, %d: %a and %a", k->isa, op, back, a, b);
                    }
                }
}
