/* dispatch.c -- which table runs on this CPU, and what a thread needs before it computes.
 *
 * Compiled once, for any CPU of the architecture. The tables themselves are in libraries of their
 * own (float.c, double.c), one for each instruction set.
 */
#include "kernel/blas.h"
#include "kernel/tables.h"
#include <fenv.h>
#include <float.h>
#include <stdio.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}
#endif

/* The best first. */
static const struct {
    const ls_kernel *float32, *float64;
    bool (*runs)(void);
} sets[] = {
#if defined(__x86_64__)
    { &ls_kernel_float32_avx512, &ls_kernel_float64_avx512, has_avx512 },
    { &ls_kernel_float32_avx2, &ls_kernel_float64_avx2, has_avx2 },
#endif
    { &ls_kernel_float32_generic, &ls_kernel_float64_generic, always },
};

static const ls_kernel *table_of(ls_dtype dtype, const char *isa)
{
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        const ls_kernel *k = dtype == LS_FLOAT32 ? sets[i].float32 : sets[i].float64;
        if ((!isa || strcmp(isa, k->isa) == 0) && sets[i].runs()) return k;
    }
    return NULL;
}

const ls_kernel *ls_kernel_for(ls_dtype dtype, const char *isa)
{
    if (dtype != LS_FLOAT32 && dtype != LS_FLOAT64) return NULL;
    const ls_kernel *chosen = isa ? NULL : table_of(dtype, ls_wanted_isa());
    return chosen ? chosen : table_of(dtype, isa);
}

const char *ls_kernel_unusable(void)
{
    const char *isa = ls_wanted_isa();
    return !isa || table_of(LS_FLOAT32, isa) ? NULL : isa;
}

const ls_kernel *ls_kernel_openblas(ls_dtype dtype, ls_failure *f)
{
    const ls_kernel *k = ls_kernel_for(dtype, NULL);
    const char *missing = ls_blas_load();
    if (missing) ls_failure_set(f, LS_ERR_CONFIG, "OpenBLAS cannot be loaded: %s", missing);
    else ls_blas_prepare(f);
    return k && !f->status ? k->openblas : NULL;
}

/* The number in "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...", and how long it is. It is loaded. */
static const char *blas_number(int *length)
{
    const char *blank = strchr(ls_blas.config(), ' ');
    *length = blank ? (int)strcspn(blank + 1, " ") : 0;
    return blank ? blank + 1 : "";
}

const char *ls_kernel_numerics(const ls_kernel *k)
{
    static _Thread_local char text[64];
    if (k->openblas) snprintf(text, sizeof text, "%d", LS_NUMERICS);
    else {
        int length;
        const char *number = blas_number(&length);
        snprintf(text, sizeof text, "openblas/%.*s/%s", length, number, ls_blas.core());
    }
    return text;
}

const char *ls_blas_version(void)
{
    static _Thread_local char text[200];
    const char *missing = ls_blas_load();
    if (missing) snprintf(text, sizeof text, "OpenBLAS cannot be loaded: %s", missing);
    else {
        int length;
        const char *number = blas_number(&length);
        snprintf(text, sizeof text, "OpenBLAS %.*s, %s", length, number, ls_blas.core());
    }
    return text;
}

bool ls_kernel_check_thread(void)
{
#if defined(__x86_64__)
    const unsigned flush_to_zero = 0x8000, denormals_are_zero = 0x0040;
    _mm_setcsr(_mm_getcsr() & ~(flush_to_zero | denormals_are_zero));
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control & ~(UINT64_C(1) << 24)));
#endif
    volatile double least = DBL_MIN,
                    half = least * 0.5; /* subnormal: 0 where results are flushed */
    return fesetround(FE_TONEAREST) == 0 && fegetround() == FE_TONEAREST && half * 2 == least;
}

static double of_one(ls_unary op, double x)
{
    double y;
    ls_kernel_for(LS_FLOAT64, NULL)->unary(op, 0, 1, &x, &y);
    return y;
}

double ls_exp_of(double x)
{
    return of_one(LS_UNARY_EXP, x);
}
double ls_log_of(double x)
{
    return of_one(LS_UNARY_LOG, x);
}
