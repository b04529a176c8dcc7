/* bench_engine.c -- what the engine itself costs: nanoseconds of an operation, of a small step, and
 * the memory of a step.
 *
 *   chain    forward and backward of operations on one element, without the kernels' own time: as
 *            every step anew, and as the replay of the step before
 *   step     Linear(1, 1), mse_loss, backward and SGD on 32 rows
 *   memory   peak of a step of an MLP beside the sum of its activations
 *
 * Times are medians of short runs on one rank. `bench_engine [--json FILE]`; run it alone on a core.
 */
#include "ops/ops.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH = 100, RUNS = 15, STEPS = 400 };

typedef struct result {
    double eager_ns, eager_forward_ns, replayed_ns, replayed_forward_ns, kernels_ns;
    double step_eager_ns, step_ns;
    size_t allocations;
    size_t activations_bytes, results_bytes, gradients_bytes;
} result;

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median of RUNS runs, in nanoseconds of one call. */
static double median_ns(void (*run)(void *self), void *self, int calls)
{
    double ns[RUNS];
    for (int r = 0; r < RUNS; r++) {
        double from = ls_clock_s();
        for (int i = 0; i < calls; i++) run(self);
        ns[r] = (ls_clock_s() - from) * 1e9 / calls;
    }
    qsort(ns, RUNS, sizeof *ns, compare);
    return ns[RUNS / 2];
}

/* ---- a chain of small operations ------------------------------------------------------------- */
typedef struct chain {
    ls_ctx *ctx;
    ls_tensor *w;
    ls_node node;
    float x[2], dx[2];
    bool with_backward;
} chain;

static void run_chain(void *self)
{
    chain *c = self;
    ls_step_begin(c->ctx);
    ls_tensor *x = c->w;
    for (int i = 0; i < LENGTH; i++) x = ls_mul_scalar(x, 1.5);
    ls_zero_grad(LS_LIST(c->w));
    if (c->with_backward) ls_backward(c->ctx, x);
}

/* The same kernels on the same number of elements, called as the engine calls them. */
static void run_kernels(void *self)
{
    chain *c = self;
    const ls_op *volatile op = &ls_op_mul_scalar;
    for (int i = 0; i < LENGTH; i++) op->forward(&c->node);
    c->node.stores = 1;
    if (c->with_backward)
        for (int i = 0; i < LENGTH; i++) op->backward(&c->node, c->x, (void *[]){ c->dx });
}

static double kernels_ns(chain *c)
{
    static const double by = 1.5;
    c->node = (ls_node){ .ctx = c->ctx, .n_in = 1, .args = &by };
    c->node.in[0] = (ls_array){ .data = c->x, .shape = { 1, { 1 } }, .count = 1 };
    c->node.out = (ls_array){ .data = c->x + 1, .shape = { 1, { 1 } }, .count = 1 };
    return median_ns(run_kernels, c, STEPS) / LENGTH;
}

static void bench_chain(result *r)
{
    chain c = { .ctx = ls_start(NULL) };
    c.w = ls_requires_grad(ls_ones(c.ctx, LS_SHAPE(1)));
    for (int whole = 0; whole < 2; whole++) {
        c.with_backward = whole;
        double kernels = kernels_ns(&c);
        c.ctx->tape->anew = true;
        double eager = median_ns(run_chain, &c, STEPS) / LENGTH - kernels;
        c.ctx->tape->anew = false;
        double replayed = median_ns(run_chain, &c, STEPS) / LENGTH - kernels;
        *(whole ? &r->eager_ns : &r->eager_forward_ns) = eager;
        *(whole ? &r->replayed_ns : &r->replayed_forward_ns) = replayed;
        r->kernels_ns = kernels;
    }
    if (ls_finish(c.ctx)) exit(70);
}

/* ---- a small step ---------------------------------------------------------------------------- */
typedef struct job {
    ls_ctx *ctx;
    ls_tensor *x, *y;
    ls_module *m;
    ls_optim *o;
} job;

static void run_step(void *self)
{
    job *j = self;
    ls_step_begin(j->ctx);
    ls_tensor *loss = ls_mse_loss(ls_forward(j->m, j->x), j->y);
    ls_optim_zero_grad(j->o);
    ls_backward(j->ctx, loss);
    ls_optim_step(j->ctx, j->o);
}

static void bench_step(result *r)
{
    job j = { .ctx = ls_start(NULL) };
    j.x = ls_split_rows(ls_randn(j.ctx, LS_SHAPE(32, 1)));
    j.y = ls_split_rows(ls_randn(j.ctx, LS_SHAPE(32, 1)));
    j.m = ls_linear_new(j.ctx, 1, 1);
    j.o = ls_sgd_new(j.ctx, ls_parameters(j.m), &(ls_sgd_opts){ .lr = 1e-3 });
    j.ctx->tape->anew = true;
    r->step_eager_ns = median_ns(run_step, &j, STEPS);
    j.ctx->tape->anew = false;
    for (int i = 0; i < 4; i++) run_step(&j);
    size_t calls = ls_memory_calls();
    r->step_ns = median_ns(run_step, &j, STEPS);
    r->allocations = ls_memory_calls() - calls;
    if (ls_finish(j.ctx)) exit(70);
}

/* ---- memory ---------------------------------------------------------------------------------- */
static void bench_memory(result *r)
{
    enum { N = 256, D = 784, H = 512, C = 10 };
    job j = { .ctx = ls_start(NULL) };
    j.x = ls_split_rows(ls_randn(j.ctx, LS_SHAPE(N, D)));
    j.y = ls_split_rows(ls_randn(j.ctx, LS_SHAPE(N, C)));
    j.m = ls_sequential(j.ctx, LS_LINEAR(D, H), LS_RELU, LS_LINEAR(H, H), LS_RELU, LS_LINEAR(H, H),
                        LS_RELU, LS_LINEAR(H, C));
    j.o = ls_sgd_new(j.ctx, ls_parameters(j.m), &(ls_sgd_opts){ .lr = 1e-3 });
    for (int i = 0; i < 4; i++) run_step(&j);
    r->activations_bytes = (size_t)(6 * N * H + N * C + 1) * sizeof(float);
    r->results_bytes = j.ctx->arena.peak;
    r->gradients_bytes = j.ctx->scratch.peak;
    if (ls_finish(j.ctx)) exit(70);
}

/* ---- report ---------------------------------------------------------------------------------- */
static bool write_json(const char *path, const result *r)
{
    FILE *f = fopen(path, "w");
    if (!f) return false;
    fprintf(f,
            "{\"eager_ns\":%.1f,\"eager_forward_ns\":%.1f,\"replayed_ns\":%.1f,"
            "\"replayed_forward_ns\":%.1f,\"kernels_ns\":%.1f,\"step_eager_ns\":%.0f,"
            "\"step_ns\":%.0f,\"allocations\":%zu,\"activations_bytes\":%zu,"
            "\"results_bytes\":%zu,\"gradients_bytes\":%zu}\n",
            r->eager_ns, r->eager_forward_ns, r->replayed_ns, r->replayed_forward_ns, r->kernels_ns,
            r->step_eager_ns, r->step_ns, r->allocations, r->activations_bytes, r->results_bytes,
            r->gradients_bytes);
    return fclose(f) == 0;
}

int main(int argc, char **argv)
{
    if (argc != 1 && (argc != 3 || strcmp(argv[1], "--json") != 0)) {
        fprintf(stderr, "usage: bench_engine [--json FILE]\n");
        return 64;
    }
    result r = { 0 };
    bench_chain(&r);
    bench_step(&r);
    bench_memory(&r);
    printf("an operation, forward            anew %7.1f ns   replayed %7.1f ns\n",
           r.eager_forward_ns, r.replayed_forward_ns);
    printf("an operation, and backward       anew %7.1f ns   replayed %7.1f ns   its kernels %.1f "
           "ns\n",
           r.eager_ns, r.replayed_ns, r.kernels_ns);
    printf("a step of Linear(1, 1), 32 rows  anew %7.0f ns   replayed %7.0f ns   %zu allocations\n",
           r.step_eager_ns, r.step_ns, r.allocations);
    printf("a step of an MLP                 activations %zu bytes, results %zu, gradients %zu\n",
           r.activations_bytes, r.results_bytes, r.gradients_bytes);
    if (argc == 3 && !write_json(argv[2], &r)) {
        fprintf(stderr, "bench_engine: %s cannot be written\n", argv[2]);
        return 73;
    }
    return 0;
}
