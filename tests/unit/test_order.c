/* test_order.c -- the rows that a loader says it will hand out, against those that it hands out. */
#include "data/data.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

/* What a loader says it will hand out, asked before each batch, is what it hands out. */
Test(datasets, rows_of_steps_to_come)
{
    for (int way = 0; way < 8; way++) {
        ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 5 });
        ls_generator *g = ls_generator_new(ctx, 3);
        ls_loader *l = ls_loader_new(ctx,
                                     ls_tensor_dataset(ctx, ls_zeros(ctx, LS_SHAPE(11)),
                                                       ls_arange_labels(ctx, 0, 11, 1)),
                                     &(ls_loader_opts){ .batch_size = 4,
                                                        .shuffle = way & 1,
                                                        .drop_last = way & 2,
                                                        .generator = way & 4 ? g : NULL });
        int64_t steps = ls_loader_steps(l), said[3][3][4], count[3] = { 4, 4, 3 }, rows[4];
        ls_tensor *x, *y;
        for (int64_t e = 0; e < 3; e++)
            for (int64_t s = 0; s < steps; s++)
                cr_assert(eq(i64, ls_loader_rows(l, e, s, said[e][s]), count[s]));
        for (int64_t e = 0; e < 3; e++)
            for (int64_t s = 0; ls_next(l, &x, &y); s++) {
                for (int64_t i = 0; i < count[s]; i++)
                    cr_assert(eq(i64, ((const int64_t *)y->data)[i], said[e][s][i]));
                ls_loader_rows(l, e, s, rows);
                cr_assert(memcmp(rows, said[e][s], (size_t)count[s] * sizeof *rows) == 0);
                if (e < 2) ls_loader_rows(l, 2, s, rows);
                cr_assert(memcmp(rows, said[2][s], (size_t)count[s] * sizeof *rows) == 0 || e == 2);
            }
        cr_assert(eq(i64, ls_loader_rows(l, 2, 0, rows), 0));
        cr_assert(strstr(ls_error_text(ctx),
                         "step 0 of epoch 2: epochs are 3 or later, and have") != NULL);
        cr_assert(eq(int, ls_finish(ctx), 64));
    }
}

/* Epochs that nobody will reach are found at once, as the next ones are; of a generator, as far as its
 * words can be counted. */
Test(datasets, rows_of_epochs_far_away)
{
    for (int way = 0; way < 4; way++) {
        ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 5 });
        ls_loader *l = ls_loader_new(
            ctx, ls_tensor_dataset(ctx, ls_zeros(ctx, LS_SHAPE(4)), ls_arange_labels(ctx, 0, 4, 1)),
            &(ls_loader_opts){ .batch_size = 4,
                               .shuffle = way & 1,
                               .generator = way & 2 ? ls_generator_new(ctx, 3) : NULL });
        int64_t rows[4], all = 0, most = way == 3 ? INT64_MAX / 8 : INT64_MAX / 2;
        cr_assert(eq(i64, ls_loader_rows(l, most - 1, 0, rows), 4));
        for (int i = 0; i < 4; i++) all |= (int64_t)1 << rows[i];
        cr_assert(eq(i64, all, 15));
        if (!(way & 2)) cr_assert(eq(i64, ls_loader_rows(l, INT64_MAX, 0, rows), 4));
        else {
            cr_assert(eq(i64, ls_loader_rows(l, most, 0, rows), 0));
            cr_assert(strstr(ls_error_text(ctx), "more than 2^63 - 1 words are drawn") != NULL);
        }
        ls_finish(ctx);
    }
}
