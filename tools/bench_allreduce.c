/* bench_allreduce.c -- sums over ranks: the library's own, in its fixed tree, against MPI_Allreduce
 * and against what the machine can do.
 *
 *   mpirun -np 2 --bind-to core bench_allreduce [--short]
 *
 * One array a rank, of 8 bytes to 32 MiB, in the memory in which gradients lie. Rounds of many calls
 * take turns; the time of a round is that of the last rank, and medians are shown, one line of JSON a
 * size. The limits, for ranks of one machine:
 *
 *   line_ns   every rank writes one line of memory and reads those of all others: no exchange of
 *             anything takes less
 *   copy_us   every rank copies an array of that size that its neighbour has written, all at once. A sum
 *             in place reads 2 - 1/P arrays and writes one at the least (its slice of all P arrays, the
 *             others' slices of the sum; the sum), a copy reads one and writes one: so limit_us is
 *             (3 - 1/P) / 2 times that
 */
#include "kernel/kernel.h"
#include "lockstep/lockstep.h"
#include "lockstep/mpi.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 11, MOST_CALLS = 20000, LINE = 128, LINES = 2 };

static void check(int answer)
{
    if (answer != MPI_SUCCESS) MPI_Abort(MPI_COMM_WORLD, 70);
}

typedef struct side {
    ls_ctx *ctx;
    ls_row_sum sum;
    void *mine; /* of MPI */
    int rank, count;
    size_t bytes, room;
    char **seen; /* of every rank of the machine: lines, then room for two arrays; or NULL */
    uint64_t turns, copies; /* of lines; of arrays */
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

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void by_line(side *s)
{
    uint64_t turn = ++s->turns, at = turn % LINES * LINE;
    atomic_store_explicit((_Atomic uint64_t *)(void *)(s->seen[s->rank] + at), turn,
                          memory_order_release);
    for (int r = 0; r < s->count; r++)
        while (atomic_load_explicit((_Atomic uint64_t *)(void *)(s->seen[r] + at),
                                    memory_order_acquire) < turn)
            pause_briefly();
}

static void by_copy(side *s)
{
    const size_t here = s->copies++ % 2 * s->room, there = s->room - here;
    memcpy(s->seen[s->rank] + LINES * LINE + there,
           s->seen[(s->rank + 1) % s->count] + LINES * LINE + here, s->bytes);
}

/* Memory that all ranks see, if they are of one machine. */
static void see(side *s, MPI_Win *window)
{
    MPI_Comm node;
    int count, unit;
    MPI_Aint bytes = LINES * LINE + 2 * (MPI_Aint)s->room;
    check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node));
    check(MPI_Comm_size(node, &count));
    if (count == s->count) {
        char *own;
        s->seen = calloc((size_t)count, sizeof *s->seen);
        if (!s->seen) MPI_Abort(MPI_COMM_WORLD, 70);
        check(MPI_Win_allocate_shared(bytes, 1, MPI_INFO_NULL, node, &own, window));
        memset(own, 0, (size_t)bytes);
        for (int r = 0; r < count; r++)
            check(MPI_Win_shared_query(*window, r, &bytes, &unit, &s->seen[r]));
    }
    check(MPI_Comm_free(&node));
    check(MPI_Barrier(MPI_COMM_WORLD));
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
    static void (*const ways[])(side *) = { by_library, by_mpi, by_line, by_copy };
    double time[4][ROUNDS], median[4] = { 0 };
    const int known = s->seen ? 4 : 2;
    s->bytes = bytes;
    s->sum.count = (int64_t)(bytes / sizeof(float));
    for (int i = 0; i < known; i++) ways[i](s);
    double once = round_of(s, by_library, 3);
    int calls = once > round_s ? 1 : (int)(round_s / once) + 1;
    if (calls > MOST_CALLS) calls = MOST_CALLS;
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < known; i++) time[i][r] = round_of(s, ways[i], calls);
    for (int i = 0; i < known; i++) {
        qsort(time[i], ROUNDS, sizeof(double), ascending);
        median[i] = time[i][ROUNDS / 2];
    }
    ls_printf(s->ctx, "{\"bytes\": %zu, \"lockstep_us\": %.4f, \"mpi_us\": %.4f", bytes,
              1e6 * median[0], 1e6 * median[1]);
    if (s->seen)
        ls_printf(s->ctx, ", \"line_ns\": %.1f, \"copy_us\": %.4f, \"limit_us\": %.4f",
                  1e9 * median[2], 1e6 * median[3], 1e6 * median[3] * (3 - 1.0 / s->count) / 2);
    ls_printf(s->ctx, "}\n");
}

int main(int argc, char **argv)
{
    bool brief = argc > 1 && strcmp(argv[1], "--short") == 0;
    int count, rank;
    MPI_Win window = MPI_WIN_NULL;
    check(MPI_Init(NULL, NULL));
    check(MPI_Comm_size(MPI_COMM_WORLD, &count));
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    ls_ctx *ctx = ls_start_on(MPI_COMM_WORLD, NULL);
    size_t most = (size_t)(brief ? 4 : 32) << 20;
    side s = { .ctx = ctx, .mine = calloc(most, 1), .rank = rank, .count = count, .room = most };
    s.sum = (ls_row_sum){ .rows = count * ctx->opts.leaf_rows, .dtype = LS_FLOAT32 };
    s.sum.root = ls_shared_new(ctx, most, false, "an array to add");
    if (!s.mine || ls_error(ctx)) return ls_finish(ctx);
    see(&s, &window);
    for (size_t bytes = 8; bytes <= most; bytes *= 4) measure(&s, bytes, brief ? 0.005 : 0.02);
    if (s.seen) check(MPI_Win_free(&window));
    free(s.seen);
    ctx->links->shared_free(ctx, s.sum.root);
    free(s.mine);
    int status = ls_finish(ctx);
    check(MPI_Finalize());
    return status;
}
