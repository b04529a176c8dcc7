/* comm_early.h -- sums that are begun early (src/comm/early.c): they are right, whatever the ranks do in between, and
 * may be there before the call that needs them; a failure or another call in the middle is of all. Included once, by
 * comm_worker.c.
 */
#pragma once

enum { LOTS = 7 }; /* more than are under way at a time */

/* Gets slices of sums; so an update has seen all elements once, or a share of them. */
static void copy_slice(void *of, int64_t sum, ls_range e, const void *value)
{
    ls_row_sum *s = ((ls_row_sum **)of)[sum];
    size_t each = s->dtype == LS_FLOAT32 ? 4 : 8;
    memcpy((char *)s->root + (size_t)e.from * each, value, (size_t)(e.to - e.from) * each);
}

/* What a rank does at a place on its way through early sums. */
typedef struct early_job {
    int64_t rows, scale; /* scale: of sizes */
    int fails_at,
        leaves_at;     /* this rank fails, or makes another call, before the lot with that number */
    bool asks_between; /* all make another exchange in the middle */
    bool updates;
} early_job;

static ls_status early_sums(ls_ctx *ctx, const early_job *job, uint64_t seed)
{
    static const int64_t count[LOTS][2] = { { 700, 9 },   { 40, 1000 }, { 8000, 3 },  { 1, 2 },
                                            { 2500, 70 }, { 64, 64 },   { 333, 5000 } };
    ls_row_sum *s[2 * LOTS + 1];
    const int sums = 2 * LOTS + 1;
    uint64_t all;
    ls_status status = LS_OK;
    for (int i = 0; i < sums; i++)
        s[i] = sum_new(ctx, i % 5 == 3 ? job->rows / 2 : job->rows,
                       i < 2 * LOTS ? count[i / 2][i % 2] * job->scale : 77,
                       i % 3 == 2 ? LS_FLOAT64 : LS_FLOAT32, i % 2, seed + (uint64_t)i);
    ls_enter(ctx, "ls_backward");
    for (int lot = 0; lot <= LOTS && !ctx->failure.status; lot++) {
        if (job->fails_at == lot) ls_fail(ctx, LS_ERR_DATA, "injected at lot %d", lot);
        if (job->leaves_at == lot) {
            ls_enter(ctx, "ls_load");
            status = ls_comm_any(ctx, 0, &all);
            break;
        }
        if (job->asks_between && lot == 3)
            CHECK(ls_comm_any(ctx, 4, &all) == LS_OK && all == 4, "%s", ctx->failure.text);
        if (lot < LOTS && !ctx->failure.status) ls_comm_begin(ctx, s + 2 * lot, 2);
        for (uint64_t looks = mix(seed * 64 + (uint64_t)ctx->place.rank * 8 + (uint64_t)lot) % 4;
             looks; looks--) {
            usleep(30);
            ls_comm_progress(ctx);
        }
    }
    if (!status)
        status = job->updates ? ls_comm_update(ctx, s, sums, false, copy_slice, s)
                              : ls_comm_sums(ctx, s, sums);
    CHECK(status == ctx->failure.status && !ctx->failure.status == !ctx->agreed, "%s: status %d",
          ctx->who, (int)status);
    for (int i = 0; i < sums && !status; i++)
        CHECK(sum_is_right(ctx, s[i], seed + (uint64_t)i), "%s, sum %d, rows %lld", ctx->who, i,
              (long long)s[i]->rows);
    for (int i = 0; i < sums; i++) sum_free(s[i]);
    return status;
}

/* Whether ranks begin early at all, as they should where they exchange messages alone. */
static bool begins_early(const ls_ctx *ctx)
{
    const char *memory = getenv("LS_NODE_MEMORY");
    return ctx->place.count > 1 && memory && !strcmp(memory, "0");
}

/* Roots are there before the call that needs them. */
static void check_ahead(ls_ctx *ctx)
{
    ls_row_sum *s[] = { sum_new(ctx, 256, 300000, LS_FLOAT32, true, 5),
                        sum_new(ctx, 256, 7, LS_FLOAT32, true, 6),
                        sum_new(ctx, 128, 50000, LS_FLOAT64, false, 7) };
    ls_enter(ctx, "ls_backward");
    const bool begun = ls_comm_begin(ctx, s, 2);
    CHECK(begun == begins_early(ctx), "begun: %d", begun);
    for (int i = 0; i < 20000 && ls_comm_progress(ctx); i++) usleep(500);
    for (int i = 0; begun && i < 2; i++)
        CHECK(sum_is_right(ctx, s[i], 5 + (uint64_t)i), "%s, sum %d", ctx->who, i);
    CHECK(ls_comm_sums(ctx, s, 3) == LS_OK, "%s", ctx->failure.text);
    for (int i = 0; i < 3; i++) {
        CHECK(sum_is_right(ctx, s[i], 5 + (uint64_t)i), "%s, sum %d", ctx->who, i);
        sum_free(s[i]);
    }
}

/* After the first steps nothing is allocated. */
static void check_early_memory(ls_ctx *ctx)
{
    ls_row_sum *s[LOTS];
    size_t calls = 0;
    for (int i = 0; i < LOTS; i++) s[i] = sum_new(ctx, 256, 90000, LS_FLOAT32, true, 1);
    for (int step = 0; step < 20; step++) {
        if (step == 4) calls = ls_memory_calls();
        ls_enter(ctx, "ls_backward");
        for (int i = 0; i + 1 < LOTS; i++) {
            ls_comm_begin(ctx, s + i, 1);
            ls_comm_progress(ctx);
        }
        CHECK(ls_comm_sums(ctx, s, LOTS) == LS_OK, "%s", ctx->failure.text);
    }
    CHECK(ls_memory_calls() == calls, "%zu allocations more", ls_memory_calls() - calls);
    for (int i = 0; i < LOTS; i++) sum_free(s[i]);
}

static void job_begin(ls_ctx *ctx)
{
    static const int64_t rows[] = { 1, 33, 256, 1003 }, leaf_rows[] = { 32, 7 };
    for (int i = 0; i < 32; i++) {
        ctx->opts.leaf_rows = leaf_rows[i / 16];
        early_job job = { rows[i % 4], i % 8 < 4 ? 1 : 5, -1, -1, i % 3 == 1, i % 2 };
        CHECK(early_sums(ctx, &job, (uint64_t)i) == LS_OK, "%s", ctx->failure.text);
    }
    ctx->opts.leaf_rows = 32;
    check_ahead(ctx);
    check_early_memory(ctx);
}

/* ---- errors -------------------------------------------------------------------------------- */
/* A failure, or another call, of every rank before every lot of sums that it begins early: all leave that
 * call, and go on. */
static void job_amid(ls_ctx *ctx)
{
    for (int i = 0; i < 2 * (LOTS + 1) * ctx->place.count; i++) {
        const int lot = i / 2 % (LOTS + 1), who = i / 2 / (LOTS + 1);
        const bool is_one = ctx->place.rank == who;
        early_job job = {
            1003, 6, is_one && i % 2 == 0 ? lot : -1, is_one && i % 2 ? lot : -1, false, lot % 2
        };
        char want[64];
        ls_status status = early_sums(ctx, &job, (uint64_t)i);
        if (i % 2) {
            CHECK(status == (ctx->place.count > 1 ? LS_ERR_NOT_SAME : LS_OK), "%s",
                  ctx->failure.text);
            CHECK(ctx->place.count == 1 || (strstr(ctx->failure.text, "ls_load()") &&
                                            strstr(ctx->failure.text, "ls_backward()")),
                  "%s", ctx->failure.text);
        } else {
            snprintf(want, sizeof want, "rank %d of %d: injected at lot %d", who, ctx->place.count,
                     lot);
            CHECK(status == LS_ERR_DATA &&
                      (ctx->place.count == 1 || !strcmp(ctx->failure.text, want)),
                  "'%s', not '%s'", ctx->failure.text, want);
        }
        if (status) check_outcome(ctx, 0);
        job = (early_job){ 100, 3, -1, -1, false, false };
        CHECK(early_sums(ctx, &job, 1) == LS_OK, "%s", ctx->failure.text);
    }
}

/* Rank 1 begins, and never comes to the end. */
static void stand_still(ls_ctx *ctx)
{
    ls_row_sum *s[] = { sum_new(ctx, 1000, 90000, LS_FLOAT32, true, 3),
                        sum_new(ctx, 1000, 50, LS_FLOAT32, true, 4) };
    ls_enter(ctx, "ls_step");
    ls_comm_begin(ctx, s, 1);
    for (int i = 0; i < 100; i++) {
        usleep(200);
        if (ctx->place.rank != 1) ls_comm_progress(ctx);
    }
    if (ctx->place.rank == 1) sleep(60);
    ls_comm_sums(ctx, s, 2);
    for (int i = 0; i < 2; i++) sum_free(s[i]);
}

static void early_jobs(ls_ctx *ctx, const char *job)
{
    if (!strcmp(job, "begin")) job_begin(ctx);
    if (!strcmp(job, "amid")) job_amid(ctx);
}
