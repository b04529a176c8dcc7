/* bench_kernels.c -- how fast the kernels of src/kernel are on one core of this
 * machine.
 *
 *   bench_kernels [--short] [--isa NAME] [--json FILE]
 *
 * Products of linear layers against the core's peak of fused multiply-adds and
 * against OpenBLAS on the same numbers, element by element functions in bytes
 * moved a second. Rounds take turns between what is compared, so that a core
 * that changes its speed changes it for all; medians of rounds are shown. Run
 * it on a quiet core: taskset -c 1 bench_kernels. An OpenBLAS that does not
 * know the CPU calls it Prescott and is slow; OPENBLAS_CORETYPE=SkylakeX shows
 * what it can do with AVX-512.
 */
#include "kernel/kernel.h"
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { ROUNDS = 11, LEAF = 32, SIDES = 3 };

/* What is compared: each side does work() once a call. */
typedef struct job job;
struct job {
    const ls_kernel *k;
    int64_t m, n, rows; /* product: outputs, inputs, rows; elements: n in rows */
    float *a, *b, *c, *d;
    int64_t *label;
    void (*side[SIDES])(job *j);
};

/* ---- the peak -------------------------------------------------------------------------------- */
enum { PEAK_CHAINS = 12, PEAK_STEPS = 20000 };

#if defined(__x86_64__)
#define PEAK(isa, features, vec, splat, fmadd, first)                                              \
    __attribute__((target(features), noinline)) static float peak_##isa(float x)                   \
    {                                                                                              \
        vec chain[PEAK_CHAINS], factor = splat(x);                                                 \
        for (int i = 0; i < PEAK_CHAINS; i++) chain[i] = splat((float)i);                          \
        for (int s = 0; s < PEAK_STEPS; s++) {                                                     \
            _Pragma("GCC unroll 16") for (int i = 0; i < PEAK_CHAINS; i++)                         \
                chain[i] = fmadd(chain[i], factor, factor);                                        \
        }                                                                                          \
        float sum = 0;                                                                             \
        for (int i = 0; i < PEAK_CHAINS; i++) sum += first(chain[i]);                              \
        return sum;                                                                                \
    }
PEAK(avx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_cvtss_f32)
PEAK(avx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_cvtss_f32)
#endif

/* Operations in a call of the peak's loop; 0 where there is none for the
 * instruction set. */
static double peak_operations(const ls_kernel *k)
{
    const int lanes = strcmp(k->isa, "avx512") == 0 ? 16 : strcmp(k->isa, "avx2") == 0 ? 8 : 0;
    return 2.0 * PEAK_STEPS * PEAK_CHAINS * lanes;
}

static void run_peak(job *j)
{
#if defined(__x86_64__)
    volatile float x = 0.5f;
    if (strcmp(j->k->isa, "avx512") == 0) x = peak_avx512(x);
    else if (strcmp(j->k->isa, "avx2") == 0) x = peak_avx2(x);
#else
    (void)j;
#endif
}

/* ---- products -------------------------------------------------------------------------------- */
static void forward(job *j)
{
    j->k->inner(j->rows, LEAF, j->m, j->n, j->a, j->n, j->b, 1, j->n, j->d, j->c, j->m, false,
                NULL);
}
static void forward_blas(job *j)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)j->rows, (int)j->m, (int)j->n, 1,
                j->a, (int)j->n, j->b, (int)j->n, 0, j->c, (int)j->m);
}
static void input(job *j)
{
    j->k->inner(j->rows, LEAF, j->n, j->m, j->a, j->m, j->b, j->n, 1, NULL, j->c, j->n, false,
                NULL);
}
static void input_blas(job *j)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)j->rows, (int)j->n, (int)j->m, 1,
                j->a, (int)j->m, j->b, (int)j->n, 0, j->c, (int)j->n);
}
static void weight(job *j)
{
    j->k->outer(j->rows, LEAF, j->m, j->n, j->a, j->m, j->d, j->n, j->b, j->n, false);
}
static void weight_blas(job *j)
{
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)j->m, (int)j->n, (int)j->rows, 1,
                j->a, (int)j->m, j->d, (int)j->n, 0, j->b, (int)j->n);
}

static const struct {
    const char *name;
    void (*ours)(job *j), (*blas)(job *j);
} products[] = {
    { "forward", forward, forward_blas },
    { "input gradient", input, input_blas },
    { "weight gradient", weight, weight_blas },
};
/* Outputs, inputs; those before brief are in --short. */
static const int layers[][2] = {
    { 512, 784 },   { 512, 512 },   { 1024, 1024 }, { 10, 512 },  { 64, 64 }, { 1, 64 },
    { 2048, 1024 }, { 2048, 2048 }, { 1, 2048 },    { 128, 784 }, { 64, 32 },
};
enum { BRIEF = 6, LAYERS = sizeof layers / sizeof layers[0], WIDEST = 2048, MOST_ROWS = 256 };
static const int row_counts[] = { 128, 32, 256 };

/* ---- element by element ---------------------------------------------------------------------- */
static void relu(job *j)
{
    j->k->unary(LS_UNARY_RELU, 0, j->n, j->a, j->c);
}
static void relu_back(job *j)
{
    j->k->unary_back(LS_UNARY_RELU, 0, j->n, j->a, NULL, j->d, j->c, false);
}
static void tanh_(job *j)
{
    j->k->unary(LS_UNARY_TANH, 0, j->n, j->a, j->c);
}
static void tanh_back(job *j)
{
    j->k->unary_back(LS_UNARY_TANH, 0, j->n, NULL, j->a, j->d, j->c, false);
}
static void exp_(job *j)
{
    j->k->unary(LS_UNARY_EXP, 0, j->n, j->a, j->c);
}
static void add(job *j)
{
    j->k->add(j->n, j->c, j->a);
}
static void add_of(job *j)
{
    j->k->add_of(j->n, j->a, j->d, j->c);
}
static void sgd(job *j)
{
    const ls_sgd_step s = { .lr = 1e-6 };
    j->k->sgd(j->n, j->c, j->a, NULL, &s);
}
static void momentum(job *j)
{
    const ls_sgd_step s = { .lr = 1e-6, .momentum = 0.9 };
    j->k->sgd(j->n, j->c, j->a, j->d, &s);
}
/* Gradients that are 0, and buffers that stay among the subnormal numbers. */
static void momentum_at_rest(job *j)
{
    const ls_sgd_step s = { .lr = 1e-6, .momentum = 0.999 };
    j->k->sgd(j->n, j->c, j->a, j->d, &s);
}
static void mean_square(job *j)
{
    j->c[0] = (float)j->k->sum_square(j->n, j->a, j->d);
}
static void entropy(job *j)
{
    j->c[0] = (float)j->k->cross_entropy(j->rows, j->n / j->rows, j->a, j->label);
}
static void entropy_back(job *j)
{
    j->k->cross_entropy_back(j->rows, j->n / j->rows, 0.1, j->a, j->label, j->c, false);
}

static const struct {
    const char *name;
    void (*run)(job *j);
    int64_t n, rows;
    int arrays;   /* read or written once a call */
    bool at_rest; /* a is 0, d subnormal */
} elements[] = {
    { "relu", relu, 65536, 1, 2, false },
    { "relu, gradient", relu_back, 65536, 1, 3, false },
    { "tanh", tanh_, 65536, 1, 2, false },
    { "tanh, gradient", tanh_back, 65536, 1, 3, false },
    { "exp", exp_, 65536, 1, 2, false },
    { "into += x", add, 65536, 1, 3, false },
    { "out = a + b", add_of, 65536, 1, 3, false },
    { "out = a + b", add_of, 4194304, 1, 3, false },
    { "sgd", sgd, 65536, 1, 3, false },
    { "sgd, momentum", momentum, 65536, 1, 5, false },
    { "sgd, momentum", momentum, 4194304, 1, 5, false },
    { "sgd, momentum at rest", momentum_at_rest, 65536, 1, 5, true },
    { "sgd, momentum at rest", momentum_at_rest, 4194304, 1, 5, true },
    { "mean square", mean_square, 65536, 1, 2, false },
    { "cross entropy, 10 classes", entropy, 1280, 128, 1, false },
    { "cross entropy, 1000 classes", entropy, 128000, 128, 1, false },
    { "its gradient, 10 classes", entropy_back, 1280, 128, 2, false },
    { "its gradient, 1000 classes", entropy_back, 128000, 128, 2, false },
};
enum { ELEMENTS = sizeof elements / sizeof elements[0] };

/* ---- measuring ------------------------------------------------------------------------------- */
static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double median(double value[ROUNDS])
{
    qsort(value, ROUNDS, sizeof *value, by_value);
    return value[ROUNDS / 2];
}

static double seconds(job *j, int side, int calls)
{
    const double start = ls_clock_s();
    for (int i = 0; i < calls; i++) j->side[side](j);
    return (ls_clock_s() - start) / calls;
}

/* Medians over rounds of the seconds of a call of each side; over[s]: of side s
 * by side 0. */
static void measure(job *j, double took[SIDES], double over[SIDES])
{
    double each[SIDES][ROUNDS], ratio[SIDES][ROUNDS];
    int calls[SIDES];
    for (int s = 0; s < SIDES && j->side[s]; s++) {
        calls[s] = 1;
        for (double t = seconds(j, s, 1); (t = seconds(j, s, calls[s])) * calls[s] < 3e-4;)
            calls[s] *= 2;
    }
    for (int r = 0; r < ROUNDS; r++)
        for (int s = 0; s < SIDES && j->side[s]; s++) {
            each[s][r] = seconds(j, s, calls[s]);
            ratio[s][r] = each[s][r] / each[0][r];
        }
    for (int s = 0; s < SIDES && j->side[s]; s++)
        took[s] = median(each[s]), over[s] = median(ratio[s]);
}

static void random_numbers(float *x, int64_t n)
{
    uint32_t w = 1;
    for (int64_t i = 0; i < n; i++) {
        w = w * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)w * 0x1p-31f;
    }
}

static void measure_products(job *j, bool brief, FILE *json)
{
    const double peak = peak_operations(j->k);
    printf("%-16s %5s %6s %6s  %9s  %6s  %8s\n", "product", "rows", "out", "in", "GFLOP/s", "peak",
           "OpenBLAS");
    for (int p = 0; p < 3; p++)
        for (int l = 0; l < (brief ? BRIEF : LAYERS); l++)
            for (int r = 0; r < (brief ? 1 : 3); r++) {
                j->m = layers[l][0], j->n = layers[l][1], j->rows = row_counts[r];
                j->side[0] = products[p].ours, j->side[1] = products[p].blas;
                j->side[2] = peak > 0 ? run_peak : NULL;
                double took[SIDES] = { 0 }, over[SIDES] = { 0 };
                measure(j, took, over);
                const double work = 2.0 * (double)j->m * (double)j->n * (double)j->rows;
                const double of_peak = peak > 0 ? work * over[2] / peak : 0;
                printf("%-16s %5d %6d %6d  %9.1f  %5.1f%%  %7.2fx\n", products[p].name,
                       (int)j->rows, (int)j->m, (int)j->n, work / took[0] * 1e-9, 100 * of_peak,
                       over[1]);
                if (json)
                    fprintf(json,
                            "%s\n    {\"kernel\": \"%s\", \"rows\": %d, \"outputs\": %d, "
                            "\"inputs\": "
                            "%d, \"gflops\": %.2f, \"of_peak\": %.4f, \"over_openblas\": "
                            "%.3f}",
                            p + l + r ? "," : "", products[p].name, (int)j->rows, (int)j->m,
                            (int)j->n, work / took[0] * 1e-9, of_peak, over[1]);
            }
}

static void measure_elements(job *j, FILE *json)
{
    printf("\n%-28s %8s  %8s  %10s\n", "element by element", "elements", "GB/s", "ns/element");
    for (int e = 0; e < ELEMENTS; e++) {
        double took[SIDES], over[SIDES];
        j->n = elements[e].n, j->rows = elements[e].rows;
        j->side[0] = elements[e].run, j->side[1] = NULL;
        random_numbers(j->a, j->n), random_numbers(j->c, j->n);
        random_numbers(j->d, j->n);
        for (int64_t i = 0; i < j->n && elements[e].at_rest; i++) j->a[i] = 0, j->d[i] *= 1e-39f;
        measure(j, took, over);
        const double each_ns = took[0] / (double)j->n * 1e9;
        const double gbs = (double)(elements[e].arrays * (int64_t)sizeof(float)) / each_ns;
        printf("%-28s %8d  %8.1f  %10.3f\n", elements[e].name, (int)j->n, gbs, each_ns);
        if (json)
            fprintf(json, "%s\n    {\"kernel\": \"%s\", \"elements\": %d, \"gb_per_s\": %.2f}",
                    e ? "," : "", elements[e].name, (int)j->n, gbs);
    }
}

static double peak_gflops(job *j)
{
    double took[SIDES], over[SIDES];
    if (peak_operations(j->k) == 0) return 0;
    j->side[0] = run_peak, j->side[1] = NULL;
    measure(j, took, over);
    return peak_operations(j->k) / took[0] * 1e-9;
}

/* Cache lines of their own; NULL without memory. */
static void *room_for(int64_t count, size_t bytes)
{
    void *p = aligned_alloc(4096, ((size_t)count * bytes + 8191) / 4096 * 4096);
    if (p) memset(p, 0, (size_t)count * bytes);
    return p;
}

static int run(const ls_kernel *k, bool brief, FILE *json)
{
    const int64_t most = WIDEST * WIDEST; /* 4194304 elements, too */
    job j = { .k = k,
              .a = room_for(most, sizeof(float)),
              .b = room_for(most, sizeof(float)),
              .c = room_for(most, sizeof(float)),
              .d = room_for(most, sizeof(float)),
              .label = room_for(MOST_ROWS, sizeof(int64_t)) };
    const bool ready = j.a && j.b && j.c && j.d && j.label;
    if (ready) {
        random_numbers(j.a, most), random_numbers(j.b, most), random_numbers(j.d, most);
        const double peak = peak_gflops(&j);
        printf("float32, %s, one core: %.1f GFLOP/s at most; %s\n\n", k->isa, peak,
               ls_blas_version());
        if (json)
            fprintf(json,
                    "{\n  \"isa\": \"%s\", \"peak_gflops\": %.2f,\n  \"openblas\": "
                    "\"%s\",\n",
                    k->isa, peak, ls_blas_version());
        if (json) fprintf(json, "  \"products\": [");
        measure_products(&j, brief, json);
        if (json) fprintf(json, "\n  ],\n  \"elements\": [");
        measure_elements(&j, json);
        if (json) fprintf(json, "\n  ]\n}\n");
    } else fprintf(stderr, "bench_kernels: no memory\n");
    free(j.a), free(j.b), free(j.c), free(j.d), free(j.label);
    return ready ? 0 : 1;
}

int main(int count, char **word)
{
    const char *isa = NULL, *path = NULL;
    bool brief = false;
    for (int i = 1; i < count; i++) {
        if (strcmp(word[i], "--short") == 0) brief = true;
        else if (strcmp(word[i], "--isa") == 0 && i + 1 < count) isa = word[++i];
        else if (strcmp(word[i], "--json") == 0 && i + 1 < count) path = word[++i];
        else {
            fprintf(stderr, "usage: bench_kernels [--short] [--isa NAME] [--json FILE]\n");
            return 2;
        }
    }
    const ls_kernel *k = ls_kernel_for(LS_FLOAT32, isa);
    if (!k || !ls_kernel_check_thread()) {
        fprintf(stderr, "bench_kernels: this machine does not run %s\n", isa ? isa : "kernels");
        return 1;
    }
    FILE *json = path ? fopen(path, "w") : NULL;
    if (path && !json) {
        perror(path);
        return 1;
    }
    openblas_set_num_threads(1);
    int status = run(k, brief, json);
    if (json && fclose(json) != 0) {
        perror(path);
        status = 1;
    }
    return status;
}
