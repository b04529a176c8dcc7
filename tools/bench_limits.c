/* bench_limits.c -- what one core of this machine can do: fused multiply-adds a second, and bytes read
 * and copied a second in memory that no cache holds.
 *
 *   bench_limits
 *
 * Prints one line of JSON. Medians of rounds that take turns. Run it alone: taskset -c 0 bench_limits.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 11, CHAINS = 12, STEPS = 200000 };
#define BYTES ((size_t)256 << 20)

static double now(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_MONOTONIC, &t) != 0) abort();
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- multiply-adds: as many chains as hide the latency of one ---------------------------------- */
#if defined(__x86_64__)
#include <immintrin.h>
#define PEAK(name, features, vec, splat, fmadd, first)                                             \
    __attribute__((target(features), noinline)) static double peak_##name(volatile float *x)       \
    {                                                                                              \
        vec chain[CHAINS], factor = splat(*x);                                                     \
        for (int i = 0; i < CHAINS; i++) chain[i] = splat((float)i);                               \
        double begin = now();                                                                      \
        for (int s = 0; s < STEPS; s++) {                                                          \
            _Pragma("GCC unroll 16") for (int i = 0; i < CHAINS; i++)                              \
                chain[i] = fmadd(chain[i], factor, factor);                                        \
        }                                                                                          \
        double seconds = now() - begin;                                                            \
        for (int i = 0; i < CHAINS; i++) *x = first(chain[i]);                                     \
        return 2.0 * STEPS * CHAINS * (sizeof(vec) / sizeof(float)) / seconds / 1e9;               \
    }
PEAK(avx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_cvtss_f32)
PEAK(avx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_cvtss_f32)
#endif

/* In 10^9 operations a second, a multiply-add being two; 0 where this file knows no instruction for it. */
static double peak(void)
{
    volatile float x = 0.5f;
    (void)x;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return peak_avx512(&x);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return peak_avx2(&x);
#endif
    return 0;
}

/* ---- memory ------------------------------------------------------------------------------------ */
static double read_rate(const uint64_t *p)
{
    uint64_t sum[8] = { 0 };
    double begin = now();
    for (size_t i = 0; i < BYTES / 8; i += 8)
        for (int k = 0; k < 8; k++) sum[k] |= p[i + (size_t)k];
    double seconds = now() - begin;
    for (int k = 0; k < 8; k++)
        if (sum[k] == 1) return 0; /* never: but the sums are used */
    return (double)BYTES / seconds / 1e9;
}

/* Bytes copied: each is read once and written once. */
static double copy_rate(void *to, const void *from)
{
    double begin = now();
    memcpy(to, from, BYTES);
    return (double)BYTES / (now() - begin) / 1e9;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, ROUNDS, sizeof *v, ascending);
    return v[ROUNDS / 2];
}

int main(void)
{
    double flops[ROUNDS], reads[ROUNDS], copies[ROUNDS];
    char *a = malloc(BYTES), *b = malloc(BYTES);
    if (!a || !b) {
        fprintf(stderr, "bench_limits: no memory\n");
        return 70;
    }
    memset(a, 2, BYTES);
    memset(b, 4, BYTES);
    for (int r = 0; r < ROUNDS; r++) {
        flops[r] = peak();
        reads[r] = read_rate((const uint64_t *)(const void *)a);
        copies[r] = copy_rate(b, a);
    }
    printf("{\"gflops\": %.1f, \"read_gb_per_s\": %.2f, \"copy_gb_per_s\": %.2f}\n", median(flops),
           median(reads), median(copies));
    free(a);
    free(b);
    return 0;
}
