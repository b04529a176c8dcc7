/* bench_loader.c -- how fast a loader reads a dataset file, with nothing else to do.
 *
 *   bench_loader FILE [batch_size] [x_scale] [epochs]
 *
 * One line for rows as they lie in the file and one for shuffled rows: rows a second of the first
 * epoch and of the median of the others, and the processor time of both threads for a row, which is
 * what reading takes from a rank that has one core. Run it as one rank, taskset -c 0 bench_loader.
 */
#include "lockstep/lockstep.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MOST_EPOCHS = 1000 };

static double seconds(clockid_t clock)
{
    struct timespec t = { 0 };
    if (clock_gettime(clock, &t) != 0) abort();
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void run(ls_ctx *ctx, ls_dataset *d, int64_t batch_size, bool shuffle, int epochs)
{
    static double wall[MOST_EPOCHS], cpu[MOST_EPOCHS];
    ls_loader *l = ls_loader_new(ctx, d, &(ls_loader_opts){ batch_size, shuffle, false, NULL });
    ls_tensor *x, *y;
    for (int e = 0; e < epochs; e++) {
        wall[e] = -seconds(CLOCK_MONOTONIC);
        cpu[e] = -seconds(CLOCK_PROCESS_CPUTIME_ID);
        while (ls_next(l, &x, &y)) continue;
        wall[e] += seconds(CLOCK_MONOTONIC);
        cpu[e] += seconds(CLOCK_PROCESS_CPUTIME_ID);
    }
    if (ls_error(ctx)) return;
    double rows = (double)ls_dataset_rows(d), first = wall[0];
    qsort(wall + 1, (size_t)epochs - 1, sizeof *wall, ascending);
    qsort(cpu + 1, (size_t)epochs - 1, sizeof *cpu, ascending);
    ls_printf(ctx,
              "{\"order\": \"%s\", \"rows\": %.0f, \"first_rows_per_s\": %.0f, \"rows_per_s\": "
              "%.0f, \"ns_per_row\": %.1f}\n",
              shuffle ? "shuffled" : "stored", rows, rows / first, rows / wall[epochs / 2],
              1e9 * cpu[epochs / 2] / rows);
    ls_loader_free(l);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench_loader FILE [batch_size] [x_scale] [epochs]\n");
        return 64;
    }
    int64_t batch_size = argc > 2 ? atoll(argv[2]) : 64;
    double x_scale = argc > 3 ? atof(argv[3]) : 0;
    int epochs = argc > 4 ? atoi(argv[4]) : 11;
    if (epochs < 2 || epochs > MOST_EPOCHS) epochs = 11;
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    for (int shuffle = 0; shuffle < 2; shuffle++) { /* a dataset each: nothing is in memory yet */
        ls_dataset *d = ls_h5_dataset(ctx, argv[1], &(ls_h5_opts){ .x_scale = x_scale });
        run(ctx, d, batch_size, shuffle, epochs);
    }
    return ls_finish(ctx);
}
