/* bench_allreduce.c -- sums over ranks: the library's own, in its fixed tree, against MPI_Allreduce.
 *
 *   mpirun -np 2 --bind-to core bench_allreduce [--short]
 *
 * One array a rank, of 8 bytes to 32 MiB, in the memory in which gradients lie. Rounds of many calls
 * take turns; the time of a round is that of the last rank, and medians are shown, one line of JSON a
 * size.
 */
#include "kernel/kernel.h"
#include "lockstep/lockstep.h"
#include "lockstep/mpi.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 11 };

static void check(int answer)
{
    if (answer != MPI_SUCCESS) MPI_Abort(MPI_COMM_WORLD, 70);
}

typedef struct side {
    ls_ctx *ctx;
    ls_row_sum sum;
    void *mine; /* of MPI */
} side;

static void by_library(side *s)
{
    void *piece = s->sum.root;
    ls_row_sum *sums[] = { &s->sum };
    s->sum.piece = &piece;
    ls_enter(s->ctx, "bench_allreduce");
    s->ctx->links->sums(s->ctx, sums, 1);
}

static void by_mpi(side *s)
{
    check(MPI_Allreduce(MPI_IN_PLACE, s->mine, (int)s->sum.count, MPI_FLOAT, MPI_SUM,
                        MPI_COMM_WORLD));
}

/* Seconds of a call, on the slowest rank. */
static double round_of(side *s, void (*call)(side *), int calls)
{
    check(MPI_Barrier(MPI_COMM_WORLD));
    double begin = MPI_Wtime();
    for (int i = 0; i < calls; i++) call(s);
    double mine = (MPI_Wtime() - begin) / calls, last = mine;
    check(MPI_Allreduce(&mine, &last, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD));
    return last;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(side *s, size_t bytes, double round_s)
{
    double time[2][ROUNDS];
    by_library(s);
    by_mpi(s);
    double once = round_of(s, by_library, 3);
    int calls = once > round_s ? 1 : (int)(round_s / once) + 1;
    if (calls > 20000) calls = 20000;
    for (int r = 0; r < ROUNDS; r++) {
        time[0][r] = round_of(s, by_library, calls);
        time[1][r] = round_of(s, by_mpi, calls);
    }
    for (int i = 0; i < 2; i++) qsort(time[i], ROUNDS, sizeof(double), ascending);
    ls_printf(s->ctx, "{\"bytes\": %zu, \"lockstep_us\": %.3f, \"mpi_us\": %.3f}\n", bytes,
              1e6 * time[0][ROUNDS / 2], 1e6 * time[1][ROUNDS / 2]);
}

int main(int argc, char **argv)
{
    bool brief = argc > 1 && strcmp(argv[1], "--short") == 0;
    int count;
    check(MPI_Init(NULL, NULL));
    check(MPI_Comm_size(MPI_COMM_WORLD, &count));
    ls_ctx *ctx = ls_start_on(MPI_COMM_WORLD, NULL);
    size_t most = (size_t)(brief ? 4 : 32) << 20;
    side s = { .ctx = ctx, .mine = calloc(most, 1) };
    s.sum = (ls_row_sum){ .rows = count * ctx->opts.leaf_rows, .dtype = LS_FLOAT32 };
    s.sum.root = ls_shared_new(ctx, most, false, "an array to add");
    if (!s.mine || ls_error(ctx)) return ls_finish(ctx);
    for (size_t bytes = 8; bytes <= most; bytes *= 4) {
        s.sum.count = (int64_t)(bytes / sizeof(float));
        measure(&s, bytes, brief ? 0.005 : 0.02);
    }
    ctx->links->shared_free(ctx, s.sum.root);
    free(s.mine);
    int status = ls_finish(ctx);
    check(MPI_Finalize());
    return status;
}
