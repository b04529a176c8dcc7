/* kernel_elements.h -- the tests of functions, elementwise operations, losses, SGD and the choice of a
 * table. Included by test_kernel.c alone.
 */
#pragma once
#include "kernel_reference.h"
#include <criterion/criterion.h>
#include <fenv.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* ---- functions --------------------------------------------------------------------------- */
static uint64_t bits_of(double x)
{
    uint64_t w;
    memcpy(&w, &x, sizeof w);
    return w;
}

/* Samples of all magnitudes, and of everyday ones; the last are special. */
enum { SAMPLES = 20000 };
static const double special[] = { 0.0,    -0.0,   1,      -1,     INFINITY, -INFINITY, NAN,
                                  0.5,    2,      -2,     3,      -3,       88.7,      89,
                                  -103.9, -104.1, -88,    709.7,  710,      -745,      -746,
                                  -708.5, 1e-40,  -1e-40, 5e-324, 0.5625,   0.625 };
static double *samples(ls_dtype t)
{
    uint64_t s = 6;
    double *x = numbers(t, SAMPLES, &s);
    for (int i = 0; i < SAMPLES; i++) {
        if (i % 4 == 0)
            x[i] = to(t, ldexp(x[i], (int)below(&s, t == LS_FLOAT32 ? 300 : 2150) -
                                         (t == LS_FLOAT32 ? 150 : 1074)));
        else if (i % 4 == 1) x[i] = to(t, x[i] * (t == LS_FLOAT32 ? 105 : 750));
        else if (i % 4 == 2) x[i] = to(t, x[i] * 10);
    }
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
        x[SAMPLES - 1 - i] = to(t, special[i]);
    return x;
}

/* |got - want| in units of the last place of the type. */
static double ulps(ls_dtype t, double got, long double want)
{
    const double in_type = t == LS_FLOAT32 ? (double)(float)want : (double)want;
    if (isnan(in_type) || isinf(in_type) || in_type == 0) return same(got, in_type) ? 0 : INFINITY;
    const int digits = t == LS_FLOAT32 ? 23 : 52, least = t == LS_FLOAT32 ? -126 : -1022;
    const int exponent = ilogb(in_type) < least ? least : ilogb(in_type);
    return (double)(fabsl(got - want) / ldexpl(1, exponent - digits));
}

static const struct {
    const char *name;
    ls_unary op;
    double c, most;     /* ulps */
    uint64_t digest[2]; /* of the results on samples(): they are part of numerics 1 */
} functions[] = {
    { "exp", LS_UNARY_EXP, 0, 1, { 0x727ab6a81a734939, 0x251de33d93d23ba5 } },
    { "log", LS_UNARY_LOG, 0, 1, { 0x64c8b47df14dac4f, 0x56963b151159c513 } },
    { "tanh", LS_UNARY_TANH, 0, 2, { 0x68fa88c6371cfeeb, 0x58482084a70617da } },
    { "pow 1.7", LS_UNARY_POW_C, 1.7, 2, { 0xb0b3f1e895c9d22f, 0xa8567c7122587f44 } },
    { "pow -3", LS_UNARY_POW_C, -3, 2, { 0x58d792ee17ed343d, 0xf1547b274893a750 } },
    { "pow 0.25", LS_UNARY_POW_C, 0.25, 2, { 0x268c26dbadb2a4b8, 0xb4c8c7aa71817256 } },
    { "pow 8", LS_UNARY_POW_C, 8, 2, { 0x6f6f30beabffad11, 0x15a78eace77d48b6 } },
    { "pow inf", LS_UNARY_POW_C, INFINITY, 2, { 0xe152fe9d995b9e9f, 0x6599ea993564b39 } },
    { "pow -inf", LS_UNARY_POW_C, -INFINITY, 2, { 0xac4dda2a5ad1f151, 0xc611eef495651d5e } },
};
static long double exact(ls_unary op, double c, double x)
{
    return op == LS_UNARY_EXP    ? expl(x)
           : op == LS_UNARY_LOG  ? logl(x)
           : op == LS_UNARY_TANH ? tanhl(x)
                                 : powl(x, c);
}

Test(kernel, functions_are_exact_to_a_unit_or_two)
{
    EACH_TABLE(k)
    for (size_t f = 0; f < sizeof functions / sizeof functions[0]; f++) {
        const ls_dtype t = k->dtype;
        const double c = to(t, functions[f].c);
        double *x = samples(t);
        void *tx = typed(t, SAMPLES, x);
        uint64_t digest = 0;
        k->unary(functions[f].op, functions[f].c, SAMPLES, tx, tx); /* in place */
        for (int i = 0; i < SAMPLES; i++) {
            double y = at(t, tx, i), off = ulps(t, y, exact(functions[f].op, c, x[i]));
            cr_assert(off < functions[f].most, "%s %d: %s of %a is %a: %g ulp", k->isa, t,
                      functions[f].name, x[i], y, off);
            digest ^= y == y ? bits_of(y) : 0;
            digest = draw(&digest);
        }
        cr_expect_eq(digest, functions[f].digest[t == LS_FLOAT64], "%s %d: %s: %#llx", k->isa, t,
                     functions[f].name, (unsigned long long)digest);
        free(x), free(tx);
    }
}

static double ref_unary(ls_dtype t, ls_unary op, double c, double x)
{
    switch (op) {
    case LS_UNARY_RELU:
        return x < 0 ? 0 : x;
    case LS_UNARY_ADD_C:
        return plus(t, x, c);
    case LS_UNARY_MUL_C:
        return times(t, x, c);
    case LS_UNARY_DIV_C:
        return over(t, x, c);
    default:
        break; /* powers that are made of other operations */
    }
    return c == 0      ? 1
           : c == 1    ? x
           : c == 2    ? times(t, x, x)
           : c == 3    ? times(t, times(t, x, x), x)
           : c == 0.5  ? to(t, sqrt(x))
           : c == -0.5 ? over(t, 1, to(t, sqrt(x)))
           : c == -1   ? over(t, 1, x)
                       : over(t, 1, times(t, x, x));
}

static const struct {
    ls_unary op;
    double c;
} plain[] = {
    { LS_UNARY_RELU, 0 },     { LS_UNARY_ADD_C, 0.1 }, { LS_UNARY_MUL_C, 0.1 },
    { LS_UNARY_DIV_C, 255 },  { LS_UNARY_POW_C, 0 },   { LS_UNARY_POW_C, 1 },
    { LS_UNARY_POW_C, 2 },    { LS_UNARY_POW_C, 3 },   { LS_UNARY_POW_C, .5 },
    { LS_UNARY_POW_C, -0.5 }, { LS_UNARY_POW_C, -1 },  { LS_UNARY_POW_C, -2 },
};

Test(kernel, plain_functions_round_once_a_step)
{
    EACH_TABLE(k)
    for (size_t f = 0; f < sizeof plain / sizeof plain[0]; f++) {
        const ls_dtype t = k->dtype;
        double *x = samples(t);
        void *tx = typed(t, SAMPLES, x), *ty = typed(t, SAMPLES, x);
        k->unary(plain[f].op, plain[f].c, SAMPLES, tx, ty);
        for (int i = 0; i < SAMPLES; i++) {
            double want = ref_unary(t, plain[f].op, to(t, plain[f].c), x[i]);
            cr_assert(same(at(t, ty, i), want), "%s %d: %d with %g of %a: %a, not %a", k->isa, t,
                      plain[f].op, plain[f].c, x[i], at(t, ty, i), want);
        }
        free(x), free(tx), free(ty);
    }
}

static double ref_unary_back(ls_dtype t, ls_unary op, double c, double x, double y, double g)
{
    switch (op) {
    case LS_UNARY_RELU:
        return x <= 0 ? 0 : g;
    case LS_UNARY_TANH:
        return times(t, g, minus(t, 1, times(t, y, y)));
    case LS_UNARY_EXP:
        return times(t, g, y);
    case LS_UNARY_LOG:
        return over(t, g, x);
    case LS_UNARY_ADD_C:
        return g;
    case LS_UNARY_MUL_C:
        return times(t, g, to(t, c));
    case LS_UNARY_DIV_C:
        return over(t, g, to(t, c));
    default:
        break; /* powers; what is made of several functions is in tests/ops */
    }
    return c == 0 ? 0 : times(t, g, times(t, to(t, c), ref_unary(t, op, to(t, c - 1), x)));
}

Test(kernel, unary_back_multiplies_the_slope)
{
    static const double powers[] = { 0, 1, 2, 3, 4, 0.5, 1.5 };
    EACH_TABLE(k)
    for (int i = 0; i < 28; i++) {
        const ls_unary op = i < 14 ? (ls_unary)(i / 2) : LS_UNARY_POW_C;
        const double c = i < 14 ? 0.3 : powers[i / 2 - 7];
        const bool add = i % 2;
        const ls_dtype t = k->dtype;
        enum { N = 1100 };
        uint64_t s = (uint64_t)i;
        double *x = numbers(t, N, &s), *y = numbers(t, N, &s), *g = numbers(t, N, &s),
               *dx = numbers(t, N, &s);
        x[5] = 0, x[6] = NAN, g[7] = NAN;
        void *tx = typed(t, N, x), *ty = typed(t, N, y), *tg = typed(t, N, g),
             *tdx = typed(t, N, dx);
        k->unary_back(op, c, N, tx, ty, tg, tdx, add);
        for (int e = 0; e < N; e++) {
            double want = ref_unary_back(t, op, c, x[e], y[e], g[e]);
            if (add) want = plus(t, dx[e], want);
            cr_assert(same(at(t, tdx, e), want), "%s %d: %d with %g at %d: %a, not %a", k->isa, t,
                      op, c, e, at(t, tdx, e), want);
        }
        free(x), free(y), free(g), free(dx), free(tx), free(ty), free(tg), free(tdx);
    }
}

/* ---- small ones, losses, SGD ------------------------------------------------------------- */
Test(kernel, add_of_adds_in_either_place)
{
    EACH_TABLE(k)
    for (int in_place = 0; in_place < 3; in_place++) {
        const ls_dtype t = k->dtype;
        enum { N = 2100 };
        uint64_t s = 8;
        double *a = numbers(t, N, &s), *b = numbers(t, N, &s);
        void *ta = typed(t, N, a), *tb = typed(t, N, b), *tc = typed(t, N, b);
        void *out = in_place == 0 ? tc : in_place == 1 ? ta : tb;
        const double beyond = at(t, out, N - 1);
        k->add_of(0, ta, tb, out);
        k->add_of(N - 1, ta, tb, out);
        for (int i = 0; i < N - 1; i++)
            cr_assert(same(at(t, out, i), plus(t, a[i], b[i])), "%s %d: at %d", k->isa, t, i);
        cr_assert(same(at(t, out, N - 1), beyond));
        free(a), free(b), free(ta), free(tb), free(tc);
    }
}

Test(kernel, small_ones)
{
    EACH_TABLE(k)
    {
        const ls_dtype t = k->dtype;
        enum { N = 2100 };
        uint64_t s = 7;
        double *x = numbers(t, N, &s), *y = numbers(t, N, &s), wide[N];
        int64_t integer[N], largest[N / 7];
        void *tx = typed(t, N, x), *ty = typed(t, N, y);
        k->add(N, ty, tx);
        for (int i = 0; i < N; i++) cr_assert(same(at(t, ty, i), plus(t, y[i], x[i])));
        for (int i = 0; i < N; i++) y[i] = at(t, ty, i);
        k->axpy(N, 0.1, tx, ty);
        for (int i = 0; i < N; i++) cr_assert(same(at(t, ty, i), fuse(t, x[i], to(t, 0.1), y[i])));
        for (int i = 0; i < N; i++)
            wide[i] = uniform(&s, -1, 1), integer[i] = (int64_t)draw(&s) >> below(&s, 60);
        k->from_double(N, wide, ty);
        for (int i = 0; i < N; i++) cr_assert(same(at(t, ty, i), to(t, wide[i])));
        k->from_int64(N, integer, ty);
        for (int i = 0; i < N; i++)
            cr_assert(same(at(t, ty, i),
                           t == LS_FLOAT32 ? (double)(float)integer[i] : (double)integer[i]));
        k->fill(N, 0.1, ty);
        for (int i = 0; i < N; i++) cr_assert(same(at(t, ty, i), to(t, 0.1)));

        uint64_t bits = k->bit_sum(N, tx);
        cr_assert_eq(k->bit_sum(0, tx), 0);
        cr_assert_eq(bits, k->bit_sum(7, tx) + k->bit_sum(N - 7, (char *)tx + 7 * k->bytes));
        for (size_t bit = 0; bit < N * k->bytes * 8; bit += 37) {
            ((unsigned char *)tx)[bit / 8] ^= (unsigned char)(1 << bit % 8);
            cr_assert_neq(bits, k->bit_sum(N, tx));
            ((unsigned char *)tx)[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }

        cr_assert_eq(k->first_bad(N, tx), -1);
        cr_assert_eq(k->first_bad(0, tx), -1);
        static const double bad[] = { INFINITY, -INFINITY, NAN };
        for (int i = N - 1; i >= 0; i -= 100) {
            k->fill(1, bad[i % 3], (char *)tx + (size_t)i * k->bytes);
            cr_assert_eq(k->first_bad(N, tx), i);
        }

        for (int i = 0; i < N; i++) x[i] = (double)below(&s, 5);
        for (int i = 3; i < N; i += 50) x[i] = NAN;
        free(tx);
        tx = typed(t, N, x);
        k->argmax(N / 7, 7, tx, largest);
        for (int r = 0; r < N / 7; r++) {
            int want = 0;
            for (int i = 6; i >= 0; i--) /* backwards: the first of equals is met last */
                if (isnan(x[r * 7 + i]) ||
                    (!isnan(x[r * 7 + want]) && x[r * 7 + i] >= x[r * 7 + want]))
                    want = i;
            cr_assert_eq(largest[r], want, "%s: row %d", k->isa, r);
        }
        free(x), free(y), free(tx), free(ty);
    }
}

Test(kernel, sgd_follows_pytorch)
{
    EACH_TABLE(k)
    for (int i = 0; i < 16; i++) {
        const ls_dtype t = k->dtype;
        const ls_sgd_step step = { .lr = 0.1,
                                   .momentum = i & 1 ? 0.9 : 0,
                                   .dampening = i & 2 ? 0.3 : 0,
                                   .weight_decay = i & 4 ? 1e-3 : 0,
                                   .nesterov = i & 8,
                                   .first = false };
        enum { N = 77, STEPS = 3 };
        uint64_t s = (uint64_t)i;
        double *p = numbers(t, N, &s), buf[N];
        void *tp = typed(t, N, p), *tbuf = typed(t, N, p);
        for (int n = 0; n < STEPS; n++) {
            double *g = numbers(t, N, &s);
            void *tg = typed(t, N, g);
            ls_sgd_step now = step;
            now.first = n == 0;
            cr_assert(k->sgd(N, tp, tg, step.momentum ? tbuf : NULL, &now));
            for (int e = 0; e < N; e++) {
                double d = step.weight_decay ? fuse(t, p[e], to(t, step.weight_decay), g[e]) : g[e];
                if (step.momentum) {
                    const double m = to(t, step.momentum), fresh = to(t, 1 - step.dampening);
                    buf[e] = n == 0 ? d : fuse(t, d, fresh, times(t, m, buf[e]));
                    d = step.nesterov ? fuse(t, buf[e], m, d) : buf[e];
                    cr_assert(same(at(t, tbuf, e), buf[e]), "%s %d: buffer, case %d", k->isa, t, i);
                }
                p[e] = fuse(t, d, to(t, -step.lr), p[e]);
                cr_assert(same(at(t, tp, e), p[e]), "%s %d: case %d, step %d", k->isa, t, i, n);
            }
            free(g), free(tg);
        }
        free(p), free(tp), free(tbuf);
    }
}

/* A number that the update treats in its own way: subnormal, 0, about the least normal, everyday. */
static double odd_number(ls_dtype t, uint64_t *s)
{
    const int least = t == LS_FLOAT32 ? -126 : -1022, digits = t == LS_FLOAT32 ? 23 : 52;
    const double sign = below(s, 2) ? -1 : 1;
    switch (below(s, 6)) {
    case 0:
        return sign * ldexp((double)below(s, 8), least - digits);
    case 1:
        return sign * to(t, ldexp(uniform(s, 0, 1), least));
    case 2:
        return sign * to(t, ldexp(uniform(s, 0.5, 1.5), least + (int)below(s, 3)));
    case 3:
        return sign * to(t, ldexp(uniform(s, 0.5, 1.5), least + digits + (int)below(s, 6)));
    case 4:
        return sign * 0.0;
    default:
        return below(s, 50) ? to(t, uniform(s, -1, 1)) : below(s, 2) ? sign * INFINITY : NAN;
    }
}

/* Buffers that become subnormal, weights that they may or may not change, gradients of 0. */
Test(kernel, sgd_rounds_subnormal_buffers)
{
    static const double momenta[] = { 0.9, 0.5, 1, 0.999, 0.1, 1.5, -0.9, 1e-3 };
    static const double rates[] = { 0.1, 1, 3, 1e-30, 0 };
    EACH_TABLE(k)
    for (int i = 0; i < 240; i++) {
        const ls_dtype t = k->dtype;
        enum { N = 1100, STEPS = 3 };
        uint64_t s = (uint64_t)i;
        const ls_sgd_step step = { .lr = rates[i % 5],
                                   .momentum = momenta[i % 8],
                                   .dampening = i % 3 ? 0 : 0.3,
                                   .weight_decay = i % 7 ? 0 : 1e-3,
                                   .nesterov = i % 11 < 5 };
        const double m = to(t, step.momentum), fresh = to(t, 1 - step.dampening);
        double *p = numbers(t, N, &s), *buf = numbers(t, N, &s), *g = numbers(t, N, &s);
        for (int e = 0; e < N; e++) {
            p[e] = odd_number(t, &s), buf[e] = odd_number(t, &s);
            g[e] = below(&s, 4) ? (below(&s, 2) ? 0.0 : -0.0) : odd_number(t, &s);
        }
        void *tp = typed(t, N, p), *tbuf = typed(t, N, buf), *tg = typed(t, N, g);
        for (int n = 0; n < STEPS; n++) {
            const bool finite = k->sgd(N, tp, tg, tbuf, &step);
            cr_assert_eq(finite, k->first_bad(N, tp) < 0, "%s %d: case %d", k->isa, t, i);
            for (int e = 0; e < N; e++) {
                double d = step.weight_decay ? fuse(t, p[e], to(t, step.weight_decay), g[e]) : g[e];
                const double was = buf[e];
                buf[e] = fuse(t, d, fresh, times(t, m, was));
                d = step.nesterov ? fuse(t, buf[e], m, d) : buf[e];
                cr_assert(same(at(t, tbuf, e), buf[e]), "%s %d: case %d: buffer %a to %a, not %a",
                          k->isa, t, i, was, at(t, tbuf, e), buf[e]);
                const double before = p[e];
                p[e] = fuse(t, d, to(t, -step.lr), p[e]);
                cr_assert(same(at(t, tp, e), p[e]), "%s %d: case %d: %a to %a, not %a", k->isa, t,
                          i, before, at(t, tp, e), p[e]);
            }
        }
        free(p), free(buf), free(g), free(tp), free(tbuf), free(tg);
    }
}

/* One element by a table: exp and log are tested above. */
static double one(const ls_kernel *k, ls_unary op, double x)
{
    double y;
    void *tx = typed(k->dtype, 1, &x);
    k->unary(op, 0, 1, tx, tx);
    y = at(k->dtype, tx, 0);
    free(tx);
    return y;
}

/* A row's largest score, and the sum of exp(x - max), whose terms are left in e. */
static double ref_exp_sum(const ls_kernel *k, int64_t classes, const double *x, double *max,
                          double *e)
{
    *max = -INFINITY;
    for (int64_t j = 0; j < classes; j++) *max = x[j] > *max ? x[j] : *max;
    for (int64_t j = 0; j < classes; j++) e[j] = one(k, LS_UNARY_EXP, minus(k->dtype, x[j], *max));
    return ref_sum(k->dtype, classes, e);
}

Test(kernel, losses_follow_the_rules)
{
    static const int64_t classes[] = { 1, 2, 7, 10, 33, 600, 1024, 2500 };
    static const int64_t rows[] = { 0, 1, 5, 40, 700, 3, 4, 2 };
    EACH_TABLE(k)
    for (int i = 0; i < 8; i++) {
        const ls_dtype t = k->dtype;
        const int64_t c = classes[i], n = rows[i] * c;
        const double scale = 0.3;
        uint64_t s = (uint64_t)i;
        double *x = numbers(t, n, &s), *y = numbers(t, n, &s), *cost = numbers(t, rows[i], &s), max;
        double *e = numbers(t, c, &s);
        int64_t *label = malloc(sizeof *label * (size_t)(rows[i] + 1));
        for (int64_t j = 0; j < n; j++) x[j] = to(t, 20 * x[j]);
        if (i == 3) x[0] = -INFINITY, x[12] = INFINITY, x[25] = NAN;
        for (int64_t r = 0; r < rows[i]; r++) label[r] = below(&s, c);
        void *tx = typed(t, n, x), *ty = typed(t, n, y), *added = typed(t, n, y),
             *stored = typed(t, n, y);
        k->cross_entropy_back(rows[i], c, scale, tx, label, stored, false);
        k->cross_entropy_back(rows[i], c, scale, tx, label, added, true);
        for (int64_t r = 0; r < rows[i]; r++) {
            const double sum = ref_exp_sum(k, c, x + r * c, &max, e);
            cost[r] = minus(t, one(k, LS_UNARY_LOG, sum), minus(t, x[r * c + label[r]], max));
            for (int64_t j = 0; j < c; j++) {
                const double dx = times(t, to(t, scale),
                                        minus(t, over(t, e[j], sum), j == label[r]));
                cr_assert(same(at(t, stored, r * c + j), dx), "%s %d: case %d, row %d", k->isa, t,
                          i, (int)r);
                cr_assert(same(at(t, added, r * c + j), plus(t, y[r * c + j], dx)), "%s %d: add",
                          k->isa, t);
            }
        }
        cr_assert(same(k->cross_entropy(rows[i], c, tx, label), ref_sum(t, rows[i], cost)),
                  "%s %d: case %d", k->isa, t, i);
        k->square_back(n, scale, tx, ty, stored, false);
        for (int64_t j = 0; j < n; j++)
            cr_assert(same(at(t, stored, j), times(t, to(t, scale), minus(t, x[j], y[j]))));
        free(x), free(y), free(cost), free(e), free(label), free(tx), free(ty), free(added),
            free(stored);
    }
}

/* ---- the choice of a table ------------------------------------------------------------------- */
Test(kernel, tables_are_found_by_name)
{
    const ls_kernel *best = ls_kernel_for(LS_FLOAT32, NULL);
    cr_assert_not_null(best);
    cr_assert_eq(ls_kernel_for(LS_FLOAT32, best->isa), best);
    cr_assert_null(ls_kernel_for(LS_FLOAT32, "abacus"));
    cr_assert_null(ls_kernel_for(LS_INT64, NULL));
    EACH_TABLE(k)
    {
        cr_assert_eq(ls_kernel_for(k->dtype, k->isa), k);
        cr_assert_eq(k->bytes, k->dtype == LS_FLOAT32 ? 4u : 8u);
    }
    cr_assert_not_null(ls_kernel_for(LS_FLOAT64, "generic"));
    cr_assert(strncmp(ls_blas_version(), "OpenBLAS 0.", 11) == 0, "%s", ls_blas_version());
    cr_assert_not_null(strstr(ls_blas_version(), ", "));
}

Test(kernel, scalars_are_those_of_the_tables)
{
    cr_assert_eq(ls_exp_of(1), one(ls_kernel_for(LS_FLOAT64, "generic"), LS_UNARY_EXP, 1));
    cr_assert_eq(ls_log_of(10), one(ls_kernel_for(LS_FLOAT64, "generic"), LS_UNARY_LOG, 10));
    cr_assert_float_eq(ls_exp_of(1), 2.718281828459045, 1e-15);
}

Test(kernel, a_thread_is_made_fit)
{
    fesetround(FE_UPWARD);
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040);
#endif
    cr_assert(ls_kernel_check_thread());
    volatile double least = 0x1p-1022, half = least / 2, third = 1.0 / 3;
    cr_assert_eq(fegetround(), FE_TONEAREST);
    cr_assert_eq(half, 0x1p-1023);
    cr_assert_eq(third, 0x1.5555555555555p-2);
}
