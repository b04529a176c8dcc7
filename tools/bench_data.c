/* bench_data.c -- data to measure on: FILE.h5, and the same numbers as plain bytes in FILE.x and FILE.y
 * for programs that do not read HDF5.
 *
 *   bench_data FILE ROWS FEATURES [classes]
 *
 * Without classes a regression: x float32, uniform in [-1, 1), y float32 [ROWS, 1], a smooth function
 * of the row with a little noise. With them images: x bytes, y int64 below classes. Always the same.
 */
#include "lockstep/lockstep.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static uint32_t next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

static float uniform(uint64_t *state)
{
    return (float)next(state) * 0x1p-30f - 1;
}

typedef struct column {
    FILE *file;
    void *row;
    size_t bytes;
} column;

static bool open_column(column *c, const char *stem, const char *suffix, size_t bytes)
{
    char path[4096];
    snprintf(path, sizeof path, "%s.%s", stem, suffix);
    *c = (column){ fopen(path, "wb"), malloc(bytes), bytes };
    return c->file && c->row;
}

static bool put(const column *c)
{
    return fwrite(c->row, 1, c->bytes, c->file) == c->bytes;
}

static void fill(uint64_t *state, int64_t features, int64_t classes, void *x, void *y)
{
    double sum = 0;
    for (int64_t i = 0; i < features; i++) {
        if (classes) ((uint8_t *)x)[i] = (uint8_t)next(state);
        else {
            float v = uniform(state);
            ((float *)x)[i] = v;
            sum += (i % 2 ? v : -v) / sqrt((double)features);
        }
    }
    if (classes) *(int64_t *)y = next(state) % classes;
    else *(float *)y = (float)tanh(2 * sum) + 0.1f * uniform(state);
}

int main(int argc, char **argv)
{
    int64_t rows = argc > 3 ? atoll(argv[2]) : 0, features = argc > 3 ? atoll(argv[3]) : 0;
    int64_t classes = argc > 4 ? atoll(argv[4]) : 0;
    if (rows < 1 || features < 1) {
        fprintf(stderr, "usage: bench_data FILE ROWS FEATURES [classes]\n");
        return 64;
    }
    char path[4096];
    snprintf(path, sizeof path, "%s.h5", argv[1]);
    column x, y;
    ls_ctx *ctx = ls_start(NULL);
    ls_writer *w = ls_writer_new(
        ctx, path, (ls_column){ "/x", classes ? LS_STORE_U8 : LS_STORE_F32, LS_SHAPE(features) },
        classes ? (ls_column){ "/y", LS_STORE_I64, { 0 } }
                : (ls_column){ "/y", LS_STORE_F32, LS_SHAPE(1) });
    bool good = open_column(&x, argv[1], "x", (size_t)features * (classes ? 1 : sizeof(float))) &&
                open_column(&y, argv[1], "y", classes ? sizeof(int64_t) : sizeof(float));
    uint64_t state = 1;
    for (int64_t i = 0; i < rows && good && !ls_error(ctx); i++) {
        fill(&state, features, classes, x.row, y.row);
        good = put(&x) && put(&y) && ls_writer_add(w, 1, x.row, y.row) == LS_OK;
    }
    ls_writer_close(w);
    good = good && fclose(x.file) == 0 && fclose(y.file) == 0;
    if (!good) fprintf(stderr, "bench_data: %s cannot be written\n", argv[1]);
    int status = ls_finish(ctx);
    return good ? status : 73;
}
