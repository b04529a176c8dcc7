/* test_data.c -- datasets and loaders: orders as PyTorch draws them, every row read once and on one
 * rank alone, errors by value, files, state. Contexts are made by hand: a place among ranks, and
 * links that speak to nobody. */
#include "data/data.h"
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a context by hand ----------------------------------------------------------------------- */
/* What the root has broadcast, for a context that is not the root. */
static struct {
    char bytes[8][4096];
    int count, next;
} sent;

static void post(ls_ctx *ctx)
{
    (void)ctx;
}
static ls_status agree(ls_ctx *ctx)
{
    ctx->agreed = ctx->failure.status != LS_OK;
    return ctx->failure.status;
}
static ls_status broadcast(ls_ctx *ctx, void *data, size_t bytes)
{
    if (ctx->failure.status) return agree(ctx);
    if (ctx->is_root) memcpy(sent.bytes[sent.count++ % 8], data, bytes);
    else memcpy(data, sent.bytes[sent.next++], bytes);
    return LS_OK;
}
static ls_status any(ls_ctx *ctx, uint64_t mine, uint64_t *all)
{
    *all = mine;
    return agree(ctx);
}
static void *copies_new(ls_ctx *ctx, size_t bytes)
{
    (void)ctx, (void)bytes;
    return NULL;
}
static void shared_free(ls_ctx *ctx, void *p)
{
    (void)ctx;
    ls_memory_free(p);
}
static const ls_links alone = { .post = post,
                                .agree = agree,
                                .broadcast = broadcast,
                                .any = any,
                                .copies_new = copies_new,
                                .shared_free = shared_free };

static ls_ctx *begin_at(int rank, int count, int64_t leaf_rows, ls_dtype dtype)
{
    ls_ctx *ctx = ls_memory_new(sizeof *ctx);
    ctx->opts = (ls_opts){ .dtype = dtype, .leaf_rows = leaf_rows };
    ctx->kernel = ls_kernel_for(dtype, NULL);
    ctx->links = &alone;
    ctx->place = (struct ls_place){ rank, count };
    ctx->is_root = rank == 0;
    sent.count = rank == 0 ? 0 : sent.count;
    sent.next = 0;
    return ctx;
}

static ls_ctx *begin(void)
{
    return begin_at(0, 1, LS_LEAF_ROWS_DEFAULT, LS_FLOAT32);
}

static void end(ls_ctx *ctx)
{
    ls_end_owned(ctx);
    ls_arena_free(&ctx->life);
    ls_arena_free(&ctx->arena);
    ls_arena_free(&ctx->scratch);
    ls_memory_free(ctx);
}

static void expect_failure(ls_ctx *ctx, ls_status status, const char *part)
{
    cr_expect_eq(ctx->failure.status, status, "%s", ctx->failure.text);
    cr_expect_not_null(strstr(ctx->failure.text, part), "\"%s\" is not in \"%s\"", part,
                       ctx->failure.text);
}

/* ---- a dataset that records what is asked of it: x of row i is (i, -i), y is i ----------------
 */
typedef struct recorder {
    int asked[512];
    int64_t bad_row;
    atomic_int inside;
    bool overlaps, is_slow;
    pthread_t main;
    int apart; /* rows asked for by other threads */
} recorder;

static unsigned slow_item_us = 100;

static int record(void *self, int64_t i, void *x, void *y)
{
    recorder *r = self;
    if (atomic_fetch_add(&r->inside, 1) != 0) r->overlaps = true;
    r->asked[i]++;
    r->apart += !pthread_equal(pthread_self(), r->main);
    if (r->is_slow) usleep(slow_item_us);
    ((float *)x)[0] = (float)i;
    ((float *)x)[1] = -(float)i;
    *(int64_t *)y = i;
    atomic_fetch_sub(&r->inside, 1);
    return i == r->bad_row ? 5 : 0;
}

static ls_dataset *recorded(ls_ctx *ctx, recorder *r, int64_t rows)
{
    *r = (recorder){ .bad_row = -1 };
    return ls_dataset_new(ctx, &(ls_dataset_def){ .name = "recorder",
                                                  .self = r,
                                                  .rows = rows,
                                                  .x = { LS_FLOAT32, LS_SHAPE(2) },
                                                  .y = { LS_INT64, { 0 } },
                                                  .item = record });
}

static int64_t label(const ls_tensor *y, int64_t i)
{
    return ((const int64_t *)y->data)[i];
}

/* ---- orders ---------------------------------------------------------------------------------- */
/* torch.manual_seed(9), three epochs of DataLoader(range(11), batch_size=4, shuffle=True), and
 * torch.randint(1000, (3,)) afterwards. */
Test(loader, shuffles_as_pytorch)
{
    static const int64_t order[3][11] = { { 9, 2, 0, 3, 5, 4, 1, 7, 10, 6, 8 },
                                          { 9, 5, 0, 3, 4, 2, 7, 10, 1, 6, 8 },
                                          { 0, 6, 10, 7, 5, 8, 4, 1, 3, 9, 2 } };
    static const uint32_t after[3] = { 971, 192, 426 };
    recorder r;
    ls_ctx *ctx = begin();
    ls_random_seed(&ctx->random, 9);
    ls_loader *l = ls_loader_new(ctx, recorded(ctx, &r, 11),
                                 &(ls_loader_opts){ 4, true, false, NULL });
    ls_tensor *x, *y;
    cr_assert_eq(ls_loader_steps(l), 3);
    for (int e = 0; e < 3; e++) {
        int64_t seen = 0;
        cr_expect_eq(ls_loader_epoch(l), e);
        while (ls_next(l, &x, &y)) {
            cr_assert(x && y);
            cr_expect_eq(ls_loader_step(l), seen / 4);
            cr_expect_eq(ls_dim(x, 0), seen == 8 ? 3 : 4);
            for (int64_t i = 0; i < ls_dim(y, 0); i++) cr_expect_eq(label(y, i), order[e][seen++]);
        }
        cr_expect_eq(seen, 11);
    }
    for (int i = 0; i < 3; i++) cr_expect_eq(ls_random_word(&ctx->random) % 1000, after[i]);
    end(ctx);
}

Test(loader, takes_two_words_unshuffled)
{
    recorder r;
    ls_ctx *ctx = begin();
    ls_loader *l = ls_loader_new(ctx, recorded(ctx, &r, 10), &(ls_loader_opts){ .batch_size = 4 });
    ls_tensor *x, *y;
    ls_random_seed(&ctx->random, 1);
    for (uint32_t e = 1; e <= 3; e++) {
        for (int64_t i = 0; ls_next(l, &x, &y); i += 4) cr_expect_eq(label(y, 0), i);
        cr_expect_eq(ctx->random.position, 2 * e);
    }
    end(ctx);
}

/* ---- parts: over all ranks every row once ------------------------------------------------------
 */
typedef struct plan {
    int64_t rows, batch, leaf_rows;
    int ranks;
    bool shuffle, drop_last;
} plan;

/* One epoch on one rank; counts the rows that were asked for, and checks that they are those of its
 * part of each batch, with their values. */
static void walk_epoch(const plan *p, int rank, const int64_t *order, int *asked)
{
    recorder r;
    ls_ctx *ctx = begin_at(rank, p->ranks, p->leaf_rows, LS_FLOAT32);
    ls_random_seed(&ctx->random, 3);
    ls_loader *l = ls_loader_new(ctx, recorded(ctx, &r, p->rows),
                                 &(ls_loader_opts){ p->batch, p->shuffle, p->drop_last, NULL });
    ls_tensor *x, *y;
    int64_t first = 0, own = 0;
    cr_assert_not_null(l, "%s", ctx->failure.text);
    for (; ls_next(l, &x, &y); first += p->batch) {
        int64_t rows = first + p->batch <= p->rows ? p->batch : p->rows - first;
        ls_range here = ls_part_rows(ctx, rows);
        cr_assert(x && y && x->is_part && y->is_part && x->shape.ndim == 2 && y->shape.ndim == 1);
        cr_assert(x->shape.dim[0] == rows && y->shape.dim[0] == rows && x->shape.dim[1] == 2);
        cr_assert(x->rows.from == here.from && y->rows.to == here.to);
        for (int64_t i = 0; i < here.to - here.from; i++, own++) {
            int64_t row = order[first + here.from + i];
            const float *values = (const float *)x->data + 2 * i;
            cr_assert(values[0] == (float)row && values[1] == -(float)row);
            cr_assert_eq(label(y, i), row);
            cr_assert(x->origin->row[i] == row && !strcmp(x->origin->name, "recorder"));
        }
    }
    cr_assert_eq(first, ls_loader_steps(l) * p->batch);
    for (int64_t i = 0; i < p->rows; i++) {
        asked[i] += r.asked[i];
        own -= r.asked[i];
    }
    cr_assert_eq(own, 0, "rows are read that are not this rank's");
    end(ctx);
}

static void check_plan(const plan *p)
{
    int64_t order[512], rows = p->drop_last ? p->rows / p->batch * p->batch : p->rows;
    int asked[512] = { 0 };
    for (int64_t i = 0; i < p->rows; i++) order[i] = i;
    if (p->shuffle) {
        ls_random r;
        ls_random_seed(&r, 3);
        ls_random_word64(&r);
        uint64_t seed = ls_random_word64(&r);
        ls_random_seed(&r, seed);
        ls_random_permutation(&r, p->rows, order);
    }
    for (int rank = 0; rank < p->ranks; rank++) walk_epoch(p, rank, order, asked);
    for (int64_t i = 0; i < p->rows; i++)
        cr_assert_eq(asked[order[i]], i < rows, "row %d: %d times", (int)order[i], asked[order[i]]);
}

Test(loader, every_row_once_over_all_ranks)
{
    static const int64_t rows[] = { 1, 7, 64, 100, 257 }, batch[] = { 1, 8, 33, 64, 300 };
    static const int64_t leaf_rows[] = { 1, 4, 32 };
    static const int ranks[] = { 1, 2, 3, 5, 8 };
    int done = 0;
    for (int n = 0; n < 5; n++)
        for (int b = 0; b < 5; b++)
            for (int l = 0; l < 3; l++)
                for (int k = 0; k < 5; k++) {
                    plan p = { rows[n], batch[b], leaf_rows[l], ranks[k], done % 2, done % 3 == 0 };
                    if (p.drop_last && p.rows < p.batch) p.drop_last = false;
                    if (p.rows / p.batch * p.ranks < 600) check_plan(&p), done++;
                }
    cr_expect_gt(done, 250);
}

/* Where a short last batch gives a rank more rows than a whole one does. */
Test(loader, short_batch_that_is_larger_here)
{
    enum { LEAF = 16, RANKS = 5 };
    plan most = { 0 };
    int64_t excess = 0;
    for (int rank = 0; rank < RANKS; rank++) {
        ls_ctx *ctx = begin_at(rank, RANKS, LEAF, LS_FLOAT32);
        for (int64_t batch = LEAF; batch <= 12 * LEAF; batch += LEAF)
            for (int64_t rest = LEAF; rest < batch; rest += LEAF) {
                ls_range whole = ls_part_rows(ctx, batch), last = ls_part_rows(ctx, rest);
                int64_t more = last.to - last.from - (whole.to - whole.from);
                if (more <= excess) continue;
                excess = more;
                most = (plan){ batch + rest, batch, LEAF, RANKS, true, false };
            }
        end(ctx);
    }
    cr_assert_geq(excess, LEAF);
    check_plan(&most);
}

/* ---- errors ---------------------------------------------------------------------------------- */
Test(loader, row_that_cannot_be_read)
{
    recorder r;
    ls_ctx *ctx = begin();
    ls_dataset *d = recorded(ctx, &r, 10);
    ls_loader *l = ls_loader_new(ctx, d, &(ls_loader_opts){ .batch_size = 2 });
    ls_tensor *x, *y;
    r.bad_row = 5;
    for (int step = 0; step < 2; step++) cr_assert(ls_next(l, &x, &y) && x && y);
    usleep(20000); /* the batch with the bad row may be read by now, and is not handed out */
    cr_expect_eq(ls_error(ctx), LS_OK);
    for (int step = 2; step < 5; step++) {
        cr_assert(ls_next(l, &x, &y), "true until the error is agreed upon");
        cr_expect(!x && !y);
        cr_expect_eq(ls_loader_step(l), step);
    }
    expect_failure(ctx, LS_ERR_DATA, "recorder: row 5 cannot be read: item() returned 5");
    cr_expect_not(ls_next(l, &x, &y));
    cr_expect_eq(ls_loader_epoch(l), 1);
    cr_expect(ls_next(l, &x, &y));
    agree(ctx);
    cr_expect_not(ls_next(l, &x, &y));
    cr_expect_not(ls_loader_all(l, &x, &y));
    cr_expect_eq(ls_loader_epoch(l), INT64_MAX);
    end(ctx);
}

Test(loader, refuses)
{
    recorder r;
    ls_ctx *ctx = begin();
    ls_dataset *d = recorded(ctx, &r, 5);
    ls_tensor *x, *y;
    cr_expect_null(ls_loader_new(ctx, d, &(ls_loader_opts){ .batch_size = 0 }));
    expect_failure(ctx, LS_ERR_ARG, "batch_size is 0");
    cr_expect_not(ls_next(NULL, &x, &y));
    cr_expect_null(x);
    cr_expect_eq(ls_loader_epoch(NULL), INT64_MAX);
    end(ctx);

    ctx = begin();
    d = recorded(ctx, &r, 5);
    cr_expect_null(ls_loader_new(ctx, d, &(ls_loader_opts){ 6, false, true, NULL }));
    expect_failure(ctx, LS_ERR_ARG, "leave nothing of 5 rows");
    end(ctx);

    ctx = begin();
    d = recorded(ctx, &r, 5);
    ls_loader *l = ls_loader_new(ctx, d, &(ls_loader_opts){ .batch_size = 2 });
    cr_expect_eq(ls_loader_set_state(l, (ls_loader_state){ 0, 4, 0 }), LS_ERR_CONFIG);
    end(ctx);

    ctx = begin();
    d = recorded(ctx, &r, 5);
    l = ls_loader_new(ctx, d, &(ls_loader_opts){ .batch_size = 2 });
    ls_dataset_free(d);
    expect_failure(ctx, LS_ERR_USE, "ls_loader_free() first");
    end(ctx);
}

static void expect_no_dataset(const ls_dataset_def *def, ls_status status, const char *part)
{
    ls_ctx *ctx = begin();
    cr_expect_null(ls_dataset_new(ctx, def));
    expect_failure(ctx, status, part);
    cr_expect_null(ctx->newest);
    end(ctx);
}

Test(dataset, refuses)
{
    ls_dataset_def def = {
        .name = "mine", .rows = 3, .x = { LS_FLOAT32, LS_SHAPE(2) }, .item = record
    };
    ls_dataset_def none = def, wide = def, flat = def, mute = def;
    none.rows = 0;
    wide.x.type = LS_FLOAT64;
    flat.x.shape = LS_SHAPE(2, 0);
    mute.item = NULL;
    expect_no_dataset(&none, LS_ERR_DATA, "mine has no rows");
    expect_no_dataset(&wide, LS_ERR_TYPE, "x is float64, and the context computes in float32");
    expect_no_dataset(&flat, LS_ERR_DATA, "[2, 0]");
    expect_no_dataset(&mute, LS_ERR_ARG, "item()");
}

/* ---- threads and memory ---------------------------------------------------------------------- */
Test(loader, two_loaders_take_turns)
{
    recorder r;
    ls_ctx *ctx = begin();
    ls_dataset *d = recorded(ctx, &r, 200);
    r.is_slow = true;
    ls_loader *a = ls_loader_new(ctx, d, &(ls_loader_opts){ 3, true, false, NULL });
    ls_loader *b = ls_loader_new(ctx, d, &(ls_loader_opts){ 7, true, false, NULL });
    ls_tensor *x, *y, *all;
    for (int i = 0; i < 100; i++) {
        if (ls_next(a, &x, &y)) cr_assert_eq(((float *)x->data)[0], (float)label(y, 0));
        if (ls_next(b, &x, &y)) cr_assert_eq(label(y, 0), x->origin->row[0]);
        if (i % 30 == 0) cr_assert(ls_loader_all(a, &all, &y) && label(y, 199) == 199);
        if (i == 75) cr_expect_eq(strlen(ls_dataset_fingerprint(d)), 64);
    }
    cr_expect_not(r.overlaps);
    ls_loader_free(a);
    ls_loader_free(b);
    ls_dataset_free(d);
    cr_expect_eq(ls_error(ctx), LS_OK);
    end(ctx);
}

Test(loader, steps_allocate_nothing_and_all_is_freed)
{
    size_t live = ls_memory_live();
    recorder r;
    ls_ctx *ctx = begin_at(1, 3, 4, LS_FLOAT32);
    ls_loader *l = ls_loader_new(ctx, recorded(ctx, &r, 100),
                                 &(ls_loader_opts){ 16, true, false, NULL });
    ls_tensor *x, *y;
    for (int i = 0; i < 80; i++) ls_next(l, &x, &y); /* windows grow in the first epochs */
    cr_assert(ls_loader_all(l, &x, &y));
    size_t calls = ls_memory_calls();
    for (int i = 0; i < 40; i++) {
        ls_next(l, &x, &y);
        ls_loader_all(l, &x, &y);
    }
    cr_expect_eq(ls_memory_calls(), calls);
    end(ctx);
    cr_expect_eq(ls_memory_live(), live);
}

static void *no_task(void *self)
{
    return self;
}

/* Stacks that no machine has room for: batches are read by the calling thread instead. */
Test(loader, reads_where_no_thread_can_be_made)
{
    recorder r;
    pthread_attr_t large;
    cr_assert_eq(pthread_attr_init(&large), 0);
    cr_assert_eq(pthread_attr_setstacksize(&large, (size_t)1 << 60), 0);
    cr_assert_eq(pthread_setattr_default_np(&large), 0);
    pthread_t none;
    cr_assert_neq(pthread_create(&none, NULL, no_task, NULL), 0);
    ls_ctx *ctx = begin();
    ls_loader *l = ls_loader_new(ctx, recorded(ctx, &r, 50),
                                 &(ls_loader_opts){ 7, true, false, NULL });
    ls_tensor *x, *y;
    int64_t seen = 0;
    for (; ls_next(l, &x, &y); seen += ls_dim(x, 0)) cr_assert(x && y);
    cr_expect_eq(seen, 50);
    cr_expect_eq(r.asked[49], 1);
    end(ctx);
}

/* ---- state ----------------------------------------------------------------------------------- */
/* The rows of the next batches, epochs running on. */
static void take_rows(ls_loader *l, int batches, int64_t *rows, int64_t *count)
{
    ls_tensor *x, *y;
    *count = 0;
    for (int i = 0; i < batches; i++) {
        if (!ls_next(l, &x, &y)) cr_assert(ls_next(l, &x, &y));
        for (int64_t k = 0; k < ls_dim(y, 0); k++) rows[(*count)++] = label(y, k);
    }
}

Test(loader, goes_on_from_any_step)
{
    for (int shuffle = 0; shuffle < 2; shuffle++)
        for (int before = 0; before < 12; before++) {
            int64_t want[200], got[200], wanted, count;
            recorder r, r2;
            ls_ctx *ctx = begin(), *ctx2 = begin();
            ls_loader_opts o = { 4, shuffle, false, NULL };
            ls_random_seed(&ctx->random, 20);
            ls_random_seed(&ctx2->random, 21);
            ls_loader *l = ls_loader_new(ctx, recorded(ctx, &r, 18), &o);
            take_rows(l, before, want, &wanted);
            ls_loader_state s = ls_loader_get_state(l);
            cr_expect_eq(s.epoch * 5 + s.step, before);
            ls_random random = ctx->random;
            take_rows(l, 12, want, &wanted);

            ls_loader *l2 = ls_loader_new(ctx2, recorded(ctx2, &r2, 18), &o);
            take_rows(l2, 3, got, &count); /* somewhere else, with a batch read ahead */
            cr_assert_eq(ls_loader_set_state(l2, s), LS_OK);
            ctx2->random = random;
            cr_expect_eq(ls_loader_epoch(l2), s.epoch);
            take_rows(l2, 12, got, &count);
            cr_assert_eq(count, wanted);
            cr_assert_arr_eq(got, want, (size_t)count * sizeof *got);
            end(ctx);
            end(ctx2);
        }
}

/* ---- all rows as one batch ------------------------------------------------------------------- */
Test(loader, all_rows_draw_nothing)
{
    for (int rank = 0; rank < 3; rank++) {
        recorder r;
        ls_ctx *ctx = begin_at(rank, 3, 4, LS_FLOAT32);
        ls_loader_opts o = { 8, true, false, NULL };
        ls_loader *l = ls_loader_new(ctx, recorded(ctx, &r, 30), &o);
        ls_tensor *x, *y;
        ls_random_seed(&ctx->random, 5);
        for (int turn = 1; turn <= 3; turn++) {
            cr_assert(ls_loader_all(l, &x, &y));
            cr_expect_eq(ls_dim(x, 0), 30);
            for (int64_t i = 0; i < 30; i++) {
                bool is_here = x->rows.from <= i && i < x->rows.to;
                cr_expect_eq(r.asked[i], is_here ? turn : 0, "items may change: read every time");
                if (is_here) cr_expect_eq(label(y, i - x->rows.from), i);
            }
        }
        cr_expect_eq(ctx->random.position, 624, "nothing was drawn");
        cr_assert(ls_next(l, &x, &y) && ls_loader_all(l, &x, &y));
        cr_expect_eq(ls_loader_step(l), 0);
        cr_assert(ls_next(l, &x, &y));
        cr_expect_eq(ls_loader_step(l), 1);
        cr_expect_eq(ctx->random.position, 4);
        end(ctx);
    }
}

/* ---- tensors --------------------------------------------------------------------------------- */
Test(tensors, rows_of_whole_tensors)
{
    ls_ctx *ctx = begin();
    ls_tensor *x = ls_tensor_of(ctx, LS_SHAPE(3, 2), 1, 2, 3, 4, 5, 6), *bx, *by;
    ls_tensor *y = ls_tensor_of(ctx, LS_SHAPE(3), 10, 20, 30);
    ls_dataset *d = ls_tensor_dataset(ctx, x, y);
    cr_assert_not_null(d, "%s", ctx->failure.text);
    cr_expect_eq(ls_dataset_rows(d), 3);
    cr_expect(ls_dataset_y(d).shape.ndim == 1 && ls_dataset_y(d).shape.dim[0] == 1);
    ls_loader *l = ls_loader_new(ctx, d, &(ls_loader_opts){ .batch_size = 3 });
    for (int e = 0; e < 3; e++) {
        cr_assert(ls_next(l, &bx, &by));
        cr_expect(by->shape.ndim == 2 && by->shape.dim[0] == 3 && by->shape.dim[1] == 1);
        cr_expect_eq(((float *)bx->data)[5], 6 + e, "changes of the tensor are seen");
        cr_expect_eq(((float *)by->data)[2], 30);
        ((float *)x->data)[5] += 1;
        ls_next(l, &bx, &by);
    }
    end(ctx);
}

Test(tensors, refused)
{
    ls_ctx *ctx = begin();
    ls_tensor *x = ls_zeros(ctx, LS_SHAPE(5, 2)), *y = ls_labels_of(ctx, 1, 2, 3, 4);
    cr_expect_null(ls_tensor_dataset(ctx, x, y));
    expect_failure(ctx, LS_ERR_SHAPE, "x has 5 rows and y 4: they must agree");
    end(ctx);
    ctx = begin();
    cr_expect_null(ls_tensor_dataset(ctx, ls_scalar(ctx, 1), ls_scalar(ctx, 1)));
    expect_failure(ctx, LS_ERR_SHAPE, "has no rows");
    end(ctx);
    ctx = begin();
    ls_step_begin(ctx);
    x = ls_tensor_make(ctx, LS_FLOAT32, LS_SHAPE(4, 2), false, true);
    cr_expect_null(ls_tensor_dataset(ctx, x, x));
    expect_failure(ctx, LS_ERR_USE, "ls_keep()");
    end(ctx);
}

/* ---- normalising, fingerprint ---------------------------------------------------------------- */
Test(dataset, normalised_in_double_with_one_rounding)
{
    static const double mean[2] = { 0.1, -7 }, deviation[2] = { 3, 0.7 }, other[2] = { 1, 1 };
    recorder r;
    ls_ctx *ctx = begin();
    ls_dataset *d = recorded(ctx, &r, 9);
    ls_loader *l = ls_loader_new(ctx, d, &(ls_loader_opts){ .batch_size = 3 });
    const double *m, *v;
    ls_tensor *x, *y;
    cr_assert(ls_next(l, &x, &y)); /* the next batch is read ahead, not normalised */
    cr_expect_eq(ls_dataset_normal(d, &m, &v), 0);
    char before[65];
    strcpy(before, ls_dataset_fingerprint(d));
    usleep(20000); /* it has been read by now */
    cr_assert_eq(ls_dataset_set_normal(d, other, other), LS_OK);
    cr_assert_eq(ls_dataset_set_normal(d, mean, deviation), LS_OK);
    cr_expect_eq(ls_dataset_normal(d, &m, &v), 2);
    cr_expect(m != mean && m[0] == 0.1 && v[1] == 0.7);
    cr_assert(ls_next(l, &x, &y));
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(((float *)x->data)[2 * i], (float)(((double)(3 + i) - 0.1) / 3));
        cr_expect_eq(((float *)x->data)[2 * i + 1], (float)((-(double)(3 + i) + 7) / 0.7));
    }
    cr_expect_str_eq(ls_dataset_fingerprint(d), before);
    end(ctx);
}

static int wide_item(void *self, int64_t i, void *x, void *y)
{
    for (int k = 0; k < 1000000; k++) ((double *)x)[k] = (double)(i * 7 + k % 1000);
    *(double *)y = (double)i;
    return i == *(int64_t *)self;
}

/* Of rows so wide that they are hashed one by one, and of many. */
Test(dataset, fingerprint_is_the_digest_of_its_rows)
{
    static double x[1000000];
    int64_t bad = -1;
    ls_dataset_def def = {
        "wide", &bad, 3, { LS_FLOAT32, LS_SHAPE(1000, 1000) }, { LS_FLOAT32, { 0 } }, wide_item
    };
    ls_ctx *ctx = begin_at(0, 1, 4, LS_FLOAT64);
    ls_dataset *d = ls_dataset_new(ctx, &def);
    ls_sha256 s;
    uint8_t digest[32];
    char text[65];
    const char *head = "rows 3\nx float64 [1000, 1000]\ny float64 [1]\n";
    ls_sha256_begin(&s);
    ls_sha256_add(&s, head, strlen(head));
    for (int64_t i = 0; i < 3; i++) {
        double y;
        wide_item(&bad, i, x, &y);
        ls_sha256_add(&s, x, sizeof x);
        ls_sha256_add(&s, &y, sizeof y);
    }
    ls_sha256_end(&s, digest);
    ls_hex(digest, 32, text);
    cr_expect_str_eq(ls_dataset_fingerprint(d), text);
    end(ctx);

    bad = 2;
    ctx = begin_at(0, 1, 4, LS_FLOAT64);
    d = ls_dataset_new(ctx, &def);
    cr_expect_str_eq(ls_dataset_fingerprint(d), "");
    expect_failure(ctx, LS_ERR_DATA, "wide: row 2");
    end(ctx);
}

static int large_item(void *self, int64_t i, void *x, void *y)
{
    int64_t *asked = self;
    if (i < asked[0] || i > asked[1]) asked[3] = -1;
    asked[2]++;
    asked[0] = i; /* rows come in ascending order */
    *(float *)x = (float)i;
    *(int64_t *)y = i;
    return 0;
}

Test(dataset, fingerprint_reads_1024_rows_from_first_to_last)
{
    int64_t rows = (int64_t)1 << 40, asked[4] = { 0, rows - 1, 0, 0 };
    ls_ctx *ctx = begin();
    ls_dataset *d = ls_dataset_new(
        ctx,
        &(ls_dataset_def){
            "large", asked, rows, { LS_FLOAT32, LS_SHAPE(1) }, { LS_INT64, { 0 } }, large_item });
    cr_expect_eq(strlen(ls_dataset_fingerprint(d)), 64);
    cr_expect_eq(asked[2], 1024);
    cr_expect_eq(asked[0], rows - 1, "the last row is among them");
    cr_expect_eq(asked[3], 0);
    ls_dataset_fingerprint(d);
    cr_expect_eq(asked[2], 1024, "worked out once");
    end(ctx);
}

#include "data_windows.h"

#include "data_files.h"
