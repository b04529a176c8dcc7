/* make_data.c -- data sets for the tests, the same on every machine: numbers from PyTorch's stream.
 *
 *   make_data regression FILE ROWS FEATURES     float64 y = sum of x + noise, /y [ROWS, 1]
 *   make_data classes FILE ROWS FEATURES        uint8 x, /y [ROWS] of 10 classes, ten blurred patterns
 */
#include "lockstep/lockstep.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void regression(ls_ctx *ctx, const char *path, int64_t rows, int64_t features)
{
    ls_writer *w = ls_writer_new(ctx, path, (ls_column){ "/x", LS_STORE_F64, LS_SHAPE(features) },
                                 (ls_column){ "/y", LS_STORE_F64, LS_SHAPE(1) });
    for (int64_t r = 0; r < rows && ls_step_begin(ctx); r++) {
        ls_tensor *x = ls_randn(ctx, LS_SHAPE(features));
        int64_t first, count;
        double y = 0.25 * (double)(r % 7);
        for (int64_t k = 0; k < features; k++) y += ls_at(x, k);
        ls_writer_add(w, 1, ls_rows_data(x, &first, &count), &y);
        ls_tensor_free(x);
    }
    ls_writer_close(w);
}

static void classes(ls_ctx *ctx, const char *path, int64_t rows, int64_t features)
{
    ls_writer *w = ls_writer_new(ctx, path, (ls_column){ "/x", LS_STORE_U8, LS_SHAPE(features) },
                                 (ls_column){ "/y", LS_STORE_I64, (ls_shape){ 0 } });
    ls_tensor *pattern = ls_rand(ctx, LS_SHAPE(10, features));
    uint8_t *x = malloc((size_t)features);
    for (int64_t r = 0; x && r < rows; r++) {
        ls_tensor *noise = ls_rand(ctx, LS_SHAPE(features));
        int64_t y = (r * 7 + r / 10) % 10;
        for (int64_t k = 0; k < features; k++)
            x[k] = (uint8_t)(127 * (ls_at(pattern, y * features + k) + ls_at(noise, k)));
        ls_writer_add(w, 1, x, &y);
        ls_tensor_free(noise);
    }
    free(x);
    ls_writer_close(w);
}

int main(int argc, char **argv)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1, .dtype = LS_FLOAT64 });
    if (argc != 5) ls_fail(ctx, LS_ERR_ARG, "make_data regression|classes FILE ROWS FEATURES");
    else
        (strcmp(argv[1], "classes") ? regression : classes)(ctx, argv[2], atoll(argv[3]),
                                                            atoll(argv[4]));
    return ls_finish(ctx);
}
