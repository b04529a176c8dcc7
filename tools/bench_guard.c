/* bench_guard.c -- what it costs to look after a run: digests, sums of bits, finite values, wishes.
 *
 *   mpirun -np 2 --bind-to core bench_guard [ROWS]
 *
 * Trains 784-512-512-10 on batches of ROWS rows (250). Timed are its steps, the guard after each step
 * (train/guard.c; ranks meet before, so that nobody's wait for a slow one counts as its cost), and what
 * the update does for it beside the arithmetic, where values are common: the difference of two passes over
 * as many values as a rank updates, in the update's chunks. Medians, in a line of JSON.
 */
#include "lockstep/lockstep.h"
#include "train/train.h"
#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 400, ROUNDS = 201, CHUNK = 2048, BATCHES = 4 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *s, int count)
{
    qsort(s, (size_t)count, sizeof *s, ascending);
    return s[count / 2];
}

static double mean(const double *s, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++) sum += s[i];
    return sum / count;
}

/* An update of n values with momentum, as optim.c makes it: with sums of bits, or without. */
static double time_update(const ls_kernel *k, int64_t n, float *value, const float *grad,
                          float *buf, bool is_checked)
{
    static volatile uint64_t sink; /* so that nothing is left out */
    const ls_sgd_step s = { .lr = 1e-4, .momentum = 0.9 };
    uint64_t sum = 0;
    double begin = ls_clock_s();
    for (int64_t at = 0, now; at < n; at += now) {
        now = n - at < CHUNK ? n - at : CHUNK;
        for (int look = 0; look < 2; look++) {
            if (is_checked) sum += k->bit_sum(now, value + at) + k->bit_sum(now, buf + at);
            if (look == 0) k->sgd(now, value + at, grad + at, buf + at, &s);
        }
    }
    sink = sink + sum;
    return ls_clock_s() - begin;
}

static double update_cost(ls_ctx *ctx, int64_t n)
{
    double plain[ROUNDS], checked[ROUNDS];
    float *at = ls_memory_new(3 * (size_t)n * sizeof *at);
    if (!at) return 0;
    for (int64_t i = 0; i < 3 * n; i++) at[i] = (float)(i % 1000) * 1e-3f;
    for (int r = 0; r < ROUNDS; r++) {
        plain[r] = time_update(ctx->kernel, n, at, at + n, at + 2 * n, false);
        checked[r] = time_update(ctx->kernel, n, at, at + n, at + 2 * n, true);
    }
    ls_memory_free(at);
    double cost = median(checked, ROUNDS) - median(plain, ROUNDS);
    return cost > 0 ? cost : 0;
}

int main(int argc, char **argv)
{
    int64_t rows = argc > 1 ? strtoll(argv[1], NULL, 10) : 250, values = 0;
    static double step_s[STEPS], guard_s[STEPS];
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    ls_module *model = ls_sequential(ctx, LS_LINEAR(784, 512), LS_RELU, LS_LINEAR(512, 512),
                                     LS_RELU, LS_LINEAR(512, 10));
    ls_list p = ls_parameters(model);
    ls_optim *sgd = ls_sgd_new(ctx, p, &(ls_sgd_opts){ .lr = 0.01, .momentum = 0.9 });
    ls_dataset *data = ls_tensor_dataset(ctx, ls_randn(ctx, LS_SHAPE(BATCHES * rows, 784)),
                                         ls_randn(ctx, LS_SHAPE(BATCHES * rows, 10)));
    ls_loader *loader = ls_loader_new(ctx, data, &(ls_loader_opts){ .batch_size = rows });
    ls_run run = {
        .model = model, .loss = ls_mse_loss, .optim = sgd, .data = loader, .epochs = 1 << 20
    };
    ls_guard guard;
    ls_phases phases = { 0 };
    int done = 0;
    ls_guard_begin(&guard, ctx, &run);
    while (done < STEPS && !ls_error(ctx)) {
        double cost, begin = ls_clock_s();
        int64_t count;
        uint64_t none = 0;
        if (!ls_step(ctx, &run, &cost, &count, &phases)) continue;
        ctx->links->any(ctx, 0, &none);
        double stepped = ls_clock_s();
        ls_guard_step(&guard, ctx, &phases);
        step_s[done] = stepped - begin;
        guard_s[done++] = ls_clock_s() - stepped;
    }
    bool is_common = sgd->tallies == LS_TALLY_ON;
    ls_guard_end(&guard);
    for (int64_t i = 0; i < p.count; i++) values += p.at[i]->count;
    if (!ls_error(ctx)) {
        double update = is_common ? update_cost(ctx, values / ctx->place.count) : 0;
        qsort(guard_s, STEPS, sizeof *guard_s, ascending);
        double step = median(step_s, STEPS), pulse = mean(guard_s, STEPS * 9 / 10);
        ls_printf(ctx,
                  "{\"ranks\": %d, \"step_ms\": %.3f, \"guard_us\": %.2f, \"update_us\": %.2f, "
                  "\"of_5_ms\": %.5f}\n",
                  ctx->place.count, step * 1e3, pulse * 1e6, update * 1e6, (pulse + update) / 5e-3);
    }
    return ls_finish(ctx);
}
