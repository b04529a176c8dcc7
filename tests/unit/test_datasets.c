/* test_datasets.c -- datasets made of datasets, splits and generators: the rows and orders of PyTorch's, on
 * every kind of dataset, with loaders over them. Row i of the datasets here holds i.
 */
#include "fails.h"
#include "data/data.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

static int item(void *self, int64_t i, void *x, void *y)
{
    int64_t first = *(const int64_t *)self;
    for (int k = 0; k < 2; k++) ((float *)x)[k] = (float)(first + i + k);
    *(int64_t *)y = first + i;
    return 0;
}

static ls_dataset *counted(ls_ctx *ctx, int64_t rows, int64_t first)
{
    int64_t *self = ls_tensor_make(ctx, LS_INT64, LS_SHAPE(1), false, false)->data;
    *self = first;
    return ls_dataset_new(ctx, &(ls_dataset_def){ .name = "numbers",
                                                  .self = self,
                                                  .rows = rows,
                                                  .x = { LS_FLOAT32, LS_SHAPE(2) },
                                                  .y = { LS_INT64, { 0 } },
                                                  .item = item });
}

static ls_dataset *tensors(ls_ctx *ctx, int64_t rows)
{
    ls_tensor *y = ls_arange_labels(ctx, 0, rows, 1), *x = ls_zeros(ctx, LS_SHAPE(rows, 2));
    for (int64_t i = 0; i < rows * 2; i++) ((float *)x->data)[i] = (float)(i / 2 + i % 2);
    return ls_tensor_dataset(ctx, x, y);
}

static void see_rows(ls_dataset *d, int64_t count, const int64_t *want)
{
    ls_tensor *x, *y;
    cr_assert(eq(i64, ls_dataset_rows(d), count));
    for (int64_t i = 0; i < count; i++) {
        cr_assert(ls_dataset_item(d, i, &x, &y));
        cr_assert(eq(i64, ls_class_at(y, 0), want[i]));
        cr_assert(eq(dbl, ls_at(x, 1), (double)want[i] + 1));
    }
}

/* An epoch's rows; the loader hands out x = (i, i + 1) beside y = i. */
static void see_epoch(ls_loader *l, int64_t count, const int64_t *want)
{
    ls_tensor *x, *y;
    int64_t seen = 0;
    while (ls_next(l, &x, &y))
        for (int64_t i = 0; i < ls_dim(y, 0); i++, seen++) {
            cr_assert(eq(i64, ((const int64_t *)y->data)[i], want[seen]));
            cr_assert(eq(flt, ((const float *)x->data)[2 * i + 1], (float)want[seen] + 1));
        }
    cr_assert(eq(i64, seen, count));
}

/* torch.randint(1000, (1,)) */
static void next_word(ls_random *r, uint32_t want)
{
    cr_assert(eq(u32, ls_random_word(r) % 1000, want));
}

/* ---- splits ---------------------------------------------------------------------------------- */
/* torch.manual_seed(3); random_split(range(11), [6, 4, 1]); torch.randint(1000, (2,)) */
Test(datasets, split_as_pytorch)
{
    static const int64_t first[] = { 9, 0, 3, 6, 4, 5 }, second[] = { 2, 8, 1, 10 },
                         third[] = { 7 };
    for (int kind = 0; kind < 2; kind++) {
        ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 3 });
        ls_dataset *out[3], *d = kind ? tensors(ctx, 11) : counted(ctx, 11, 0);
        ls_random_split(ctx, d, 3, (const int64_t[]){ 6, 4, 1 }, NULL, out);
        see_rows(out[0], 6, first);
        see_rows(out[1], 4, second);
        see_rows(out[2], 1, third);
        next_word(&ctx->random, 514);
        next_word(&ctx->random, 91);
        cr_assert(eq(int, ls_finish(ctx), 0));
    }
}

/* random_split(range(11), [5, 6], generator=torch.Generator().manual_seed(42)) */
Test(datasets, split_by_a_generator)
{
    static const int64_t first[] = { 6, 8, 9, 2, 1 }, second[] = { 10, 0, 7, 3, 5, 4 };
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    ls_random before = ctx->random;
    ls_dataset *out[2];
    ls_random_split(ctx, tensors(ctx, 11), 2, (const int64_t[]){ 5, 6 }, ls_generator_new(ctx, 42),
                    out);
    see_rows(out[0], 5, first);
    see_rows(out[1], 6, second);
    cr_assert(memcmp(&before, &ctx->random, sizeof before) == 0);
    ls_random_split(ctx, tensors(ctx, 11), 2, (const int64_t[]){ 5, 5 }, NULL, out);
    cr_assert(out[0] == NULL);
    FAILS(ctx, LS_ERR_ARG, "their sum the 11 rows of the tensors");
}

/* ---- generators ------------------------------------------------------------------------------ */
/* torch.manual_seed(1); g = torch.Generator().manual_seed(7), three epochs of
 * DataLoader(range(11), batch_size=4, shuffle=True, generator=g); torch.randint(1000, (2,),
 * generator=g); torch.randint(1000, (2,)) */
static const int64_t drawn[3][11] = { { 1, 7, 6, 2, 10, 4, 9, 8, 3, 5, 0 },
                                      { 4, 9, 0, 10, 7, 2, 5, 6, 8, 3, 1 },
                                      { 4, 9, 10, 1, 5, 2, 8, 0, 6, 7, 3 } };

Test(datasets, loader_with_a_generator)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    ls_random before = ctx->random, after;
    ls_generator *g = ls_generator_new(ctx, 7);
    ls_loader *l = ls_loader_new(
        ctx, counted(ctx, 11, 0),
        &(ls_loader_opts){ .batch_size = 4, .shuffle = true, .generator = g });
    for (int e = 0; e < 3; e++) see_epoch(l, 11, drawn[e]);
    cr_assert(memcmp(&before, &ctx->random, sizeof before) == 0);
    ls_random_seed(&after, 7);
    for (int i = 0; i < 3 * (2 + 10 + 10); i++) ls_random_word(&after);
    next_word(&after, 343);
    next_word(&after, 239);
    ls_dataset *out[1]; /* the next draw is from there */
    ls_random_seed(&after, 7);
    for (int i = 0; i < 66; i++) ls_random_word(&after);
    int64_t want[11];
    ls_random_permutation(&after, 11, want);
    ls_random_split(ctx, counted(ctx, 11, 0), 1, (const int64_t[]){ 11 }, g, out);
    see_rows(out[0], 11, want);
    ls_generator_free(g);
    FAILS(ctx, LS_ERR_USE, "a loader draws from it");
}

/* g = torch.Generator().manual_seed(7); a, b = random_split(range(11), [8, 3], generator=g), two
 * epochs of DataLoader(ConcatDataset([b, a]), batch_size=3, shuffle=True, drop_last=True, generator=g),
 * one of DataLoader(range(11), batch_size=4, generator=g), torch.randint(1000, (2,), generator=g) */
Test(datasets, split_joined_and_shuffled)
{
    static const int64_t want[2][9] = { { 9, 8, 0, 1, 6, 4, 3, 2, 7 },
                                        { 2, 5, 6, 10, 3, 7, 0, 8, 9 } };
    static const int64_t in_order[11] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
    ls_ctx *ctx = ls_start(NULL);
    ls_generator *g = ls_generator_new(ctx, 7);
    ls_dataset *out[2], *d = tensors(ctx, 11);
    ls_random_split(ctx, d, 2, (const int64_t[]){ 8, 3 }, g, out);
    ls_dataset *joined = ls_concat_dataset(ctx, 2, (ls_dataset *[]){ out[1], out[0] });
    ls_loader *l = ls_loader_new(
        ctx, joined,
        &(ls_loader_opts){ .batch_size = 3, .shuffle = true, .drop_last = true, .generator = g });
    for (int e = 0; e < 2; e++) see_epoch(l, 9, want[e]);
    see_epoch(ls_loader_new(ctx, d, &(ls_loader_opts){ .batch_size = 4, .generator = g }), 11,
              in_order);
    ls_random after;
    ls_random_seed(&after, 7);
    for (int i = 0; i < 10 + 2 * 22 + 2; i++) ls_random_word(&after);
    next_word(&after, 0);
    next_word(&after, 65);
    ls_dataset_free(d);
    FAILS(ctx, LS_ERR_USE, "reads from the tensors");
}

Test(datasets, no_word_of_a_generator_is_taken_back)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_generator_skip(ls_generator_new(ctx, 3), -5);
    FAILS(ctx, LS_ERR_ARG, "ls_generator_skip: -5 words");
}

/* From any step of any epoch the same batches follow. */
/* As many as can be counted are skipped at once; more are refused, not counted wrongly. */
Test(datasets, words_of_a_generator_far_away)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_generator *g = ls_generator_new(ctx, 3);
    ls_generator_skip(g, INT64_MAX);
    cr_assert(eq(int, ls_error(ctx), LS_OK));
    ls_generator_skip(g, 1);
    FAILS(ctx, LS_ERR_ARG,
          "ls_generator_skip: 1 words; with those before they are more than 2^63 - 1");
}

Test(datasets, goes_on_with_a_generator)
{
    for (int64_t step = 0; step <= 3; step++)
        for (int64_t epoch = 0; epoch < 3; epoch++) {
            ls_ctx *ctx = ls_start(NULL);
            ls_generator *g = ls_generator_new(ctx, 3);
            ls_tensor *x, *y;
            ls_generator_skip(g, 5);
            ls_loader *l = ls_loader_new(
                ctx, tensors(ctx, 11),
                &(ls_loader_opts){ .batch_size = 4, .shuffle = true, .generator = g });
            int64_t want[11], seen = 0;
            for (int64_t e = 0; e < epoch; e++)
                while (ls_next(l, &x, &y)) continue;
            while (ls_next(l, &x, &y))
                for (int64_t i = 0; i < ls_dim(y, 0); i++)
                    want[seen++] = ((const int64_t *)y->data)[i];
            ls_loader_set_state(l, (ls_loader_state){ .epoch = epoch, .step = step });
            see_epoch(l, step < 3 ? 11 - 4 * step : 0, want + (step < 3 ? 4 * step : 0));
            cr_assert(eq(i64, ls_loader_epoch(l), epoch + 1));
            cr_assert(eq(int, ls_finish(ctx), 0));
        }
}

/* ---- combinations ---------------------------------------------------------------------------- */
Test(datasets, one_after_another)
{
    static const int64_t want[] = { 0, 1, 2, 50, 60, 61, 2, 0 };
    ls_ctx *ctx = ls_start(NULL);
    ls_dataset *a = counted(ctx, 3, 0), *b = counted(ctx, 1, 50), *c = counted(ctx, 2, 60),
               *some = ls_subset_dataset(ctx, a, 2, (const int64_t[]){ 2, 0 });
    ls_dataset *all = ls_concat_dataset(ctx, 4, (ls_dataset *[]){ a, b, c, some });
    see_rows(all, 8, want);
    ls_loader *l = ls_loader_new(ctx, all, &(ls_loader_opts){ .batch_size = 5 });
    see_epoch(l, 8, want);
    ls_loader_free(l);
    ls_dataset_free(all);
    ls_dataset_free(some);
    ls_dataset_free(a);
    cr_assert(eq(int, ls_finish(ctx), 0));
}

Test(datasets, more_rows_than_a_block)
{
    enum { ROWS = 1000 };
    ls_ctx *ctx = ls_start(NULL);
    int64_t rows[ROWS], again[2 * ROWS];
    for (int64_t i = 0; i < ROWS; i++) again[i] = again[ROWS + i] = rows[i] = i * 7 % ROWS;
    ls_dataset *s = ls_subset_dataset(ctx, tensors(ctx, ROWS), ROWS, rows);
    see_epoch(ls_loader_new(ctx, s, &(ls_loader_opts){ .batch_size = 999 }), ROWS, rows);
    ls_dataset *twice = ls_concat_dataset(ctx, 2, (ls_dataset *[]){ s, s });
    see_epoch(ls_loader_new(ctx, twice, &(ls_loader_opts){ .batch_size = 1500 }), 2 * ROWS, again);
    cr_assert(eq(int, ls_finish(ctx), 0));
}

/* A subset of what is normalised is read alike, and can be normalised by its own rows. */
Test(datasets, normalised_subset)
{
    static const int64_t rows[] = { 1, 3 };
    ls_ctx *ctx = ls_start(NULL);
    ls_dataset *d = tensors(ctx, 5), *plain = ls_subset_dataset(ctx, d, 2, rows);
    ls_tensor *x, *y, *z;
    ls_dataset_normalize(ctx, d, NULL);
    ls_dataset *s = ls_subset_dataset(ctx, d, 2, rows);
    ls_dataset_normalize(ctx, plain, NULL);
    for (int i = 0; i < 2; i++) {
        ls_dataset_item(d, rows[i], &x, &y);
        ls_dataset_item(s, i, &z, &y);
        cr_assert(eq(dbl, ls_at(x, 0), ls_at(z, 0)));
        ls_dataset_item(plain, i, &z, &y);
        cr_assert(eq(dbl, ls_at(z, 0), i ? 1 : -1));
    }
    ls_concat_dataset(ctx, 2, (ls_dataset *[]){ plain, s });
    FAILS(ctx, LS_ERR_ARG, "is normalised: give all one x_scale");
}

Test(datasets, refused)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_subset_dataset(ctx, tensors(ctx, 5), 2, (const int64_t[]){ 4, 5 });
    FAILS(ctx, LS_ERR_ARG, "row 5 of the tensors, which has 5");
    ctx = ls_start(NULL);
    ls_subset_dataset(ctx, tensors(ctx, 5), 0, NULL);
    FAILS(ctx, LS_ERR_DATA, "a subset of the tensors has no rows");
    ctx = ls_start(NULL);
    tensors(ctx, 0);
    FAILS(ctx, LS_ERR_DATA, "ls_tensor_dataset: x and y have no rows");
    ctx = ls_start(NULL);
    ls_dataset *wide = ls_tensor_dataset(ctx, ls_zeros(ctx, LS_SHAPE(2, 3)),
                                         ls_arange_labels(ctx, 0, 2, 1));
    ls_concat_dataset(ctx, 2, (ls_dataset *[]){ tensors(ctx, 5), wide });
    FAILS(ctx, LS_ERR_SHAPE, "a row of the tensors is float32 [3] with int64 [], but");
    ctx = ls_start(NULL);
    ls_tensor *x, *y;
    cr_assert(not(ls_dataset_item(tensors(ctx, 5), 5, &x, &y)));
    FAILS(ctx, LS_ERR_ARG, "row 5 of the tensors, which has 5");
}

/* Rows of tensors that were freed, themselves or beneath a view, are named, in a step or before the first. */
Test(tensors, nothing_is_left_of_those_that_are_over)
{
    ls_ctx *ctx = ls_start(NULL);
    size_t live[2];
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 600; k++) {
            ls_tensor *t = ls_ones(ctx, LS_SHAPE(4, 2)), *u = ls_ones(ctx, LS_SHAPE(4, 2));
            ls_dataset *d = ls_tensor_dataset(ctx, t, k % 3 ? u : t);
            if (k % 2) ls_dataset_free(d);
            ls_tensor_free(t);
            ls_tensor_free(u);
            if (k % 2 == 0) ls_dataset_free(d);
        }
        live[i] = ls_memory_live();
    }
    cr_expect(eq(sz, live[0], live[1]));
    cr_assert(eq(int, ls_finish(ctx), 0));
    cr_assert(eq(sz, ls_memory_live(), 0));
}

Test(tensors, freed_before_they_are_read)
{
    for (int i = 0; i < 4; i++) {
        ls_ctx *ctx = ls_start(NULL);
        ls_tensor *t = ls_ones(ctx, LS_SHAPE(4, 2)), *u = ls_ones(ctx, LS_SHAPE(2, 4)), *x, *y;
        ls_dataset *d = ls_tensor_dataset(ctx, t, ls_view(u, LS_SHAPE(4, 2)));
        ls_loader *l = ls_loader_new(ctx, d, &(ls_loader_opts){ .batch_size = 2 });
        if (i > 1) ls_next(l, &x, &y);
        ls_tensor_free(i % 2 ? u : t);
        for (int k = 0; k < 300; k++) ls_tensor_free(ls_zeros(ctx, LS_SHAPE(3)));
        ls_next(l, &x, &y);
        ls_step_begin(ctx);
        FAILS(ctx, LS_ERR_USE,
              i % 2 ? "ls_tensor_dataset: y, float32 [4, 2], was freed by ls_tensor_free() before"
                    : "ls_tensor_dataset: x, float32 [4, 2], was freed by ls_tensor_free() before");
    }
}
