/* comm_early.h -- sums that are begun early (src/comm/early.c): they are right, whatever the ranks do in between, and
 * may be there before the call that needs them; a failure or another call in the middle is of all. Included once, by
 * comm_worker.c.
 */
#pragma once

enum { LOTS = 7 }; /* more than are under way at a time */

/* Gets slices of sums; so an update has seen all elements once: of this rank, or, where memory is common, of all
 * ranks of a node. */
typedef struct taken {
    ls_row_sum **sum;
    char *to[2 * LOTS + 1];
} taken;

static void take_slice(void *of, int64_t sum, ls_range e, const void *value)
{
    const taken *t = of;
    size_t each = t->sum[sum]->dtype == LS_FLOAT32 ? 4 : 8;
    memcpy(t->to[sum] + (size_t)e.from * each, value, (size_t)(e.to - e.from) * each);
}

static char *taken_new(ls_ctx *ctx, taken *t, ls_row_sum **s, int sums, bool common)
{
    size_t bytes = 0;
    for (int i = 0; i < sums; i++) bytes += bytes_of(s[i]);
    char *all = ls_comm_shared_new(ctx, bytes, common, "what is taken"), *at = all;
    CHECK(all, "%s", ctx->failure.text);
    t->sum = s;
    for (int i = 0; i < sums; at += bytes_of(s[i]), i++) t->to[i] = at;
    return all;
}

/* An update, before which nothing has changed, whatever other ranks do. */
static ls_status take_sums(ls_ctx *ctx, taken *t, int sums, uint64_t delay)
{
    const bool common = ls_comm_is_common(ctx, t->to[0]);
    usleep((unsigned)(delay % 3 * 1000));
    for (int i = 0; i < sums; i++)
        for (size_t k = 0; k < bytes_of(t->sum[i]); k++)
            CHECK(!t->to[i][k], "sum %d was taken before rank %d came", i, ctx->place.rank);
    ls_status status = ls_comm_update(ctx, t->sum, sums, common, take_slice, t);
    for (int i = 0; i < sums && !status; i++) memcpy(t->sum[i]->root, t->to[i], bytes_of(t->sum[i]));
    return status;
}

/* Whether this job's ranks are those of several nodes, which see each other's memory. */
static bool is_of_nodes(const ls_ctx *ctx)
{
    const char *each = getenv("LS_TEST_NODE_RANKS");
    return each && ctx->place.count > atoi(each);
}

/* Roots, which are the first pieces as well, into memory that the ranks of a node see. */
static char *sums_seen(ls_ctx *ctx, ls_row_sum **s, int sums)
{
    size_t bytes = 0;
    for (int i = 0; i < sums; i++) bytes += (bytes_of(s[i]) + 63) / 64 * 64;
    char *seen = ls_comm_shared_new(ctx, bytes, false, "sums"), *to = seen;
    CHECK(seen, "%s", ctx->failure.text);
    for (int i = 0; i < sums; to += (bytes_of(s[i]) + 63) / 64 * 64, i++) {
        void *own = s[i]->piece[0], *root = s[i]->root;
        if (own) s[i]->piece[0] = memcpy(to, own, bytes_of(s[i]));
        s[i]->root = to;
        ls_memory_free(own);
        if (root != own) ls_memory_free(root);
    }
    return seen;
}

/* A sum's first piece into memory of its own: those that come before it may be begun early, it and the rest may not. */
static void *piece_apart(ls_row_sum *s)
{
    if (!s->piece[0]) return NULL;
    void *apart = memcpy(ls_memory_new(bytes_of(s)), s->piece[0], bytes_of(s));
    memset(s->root, 0x7f, bytes_of(s));
    return s->piece[0] = apart;
}

static void sums_free(ls_ctx *ctx, ls_row_sum **s, int sums, char *seen)
{
    for (int i = 0; i < sums; i++) {
        if (seen) s[i]->piece[0] = s[i]->root = NULL;
        sum_free(s[i]);
    }
    if (seen) ls_comm_shared_free(ctx, seen);
}

/* What a rank does at a place on its way through early sums. */
typedef struct early_job {
    int64_t rows, scale; /* scale: of sizes */
    int fails_at,
        leaves_at;     /* this rank fails, or makes another call, before the lot with that number */
    bool asks_between; /* all make another exchange in the middle */
    bool begins_all;   /* where none fails or leaves: who does has then sent all that the others need */
    int updates; /* 1: all elements on every rank; 2: on one of each node */
} early_job;

static ls_status early_sums(ls_ctx *ctx, const early_job *job, uint64_t seed)
{
    static const int64_t count[LOTS][2] = { { 700, 9 },   { 40, 1000 }, { 8000, 3 },  { 1, 2 },
                                            { 2500, 70 }, { 64, 64 },   { 333, 5000 } };
    ls_row_sum *s[2 * LOTS + 1];
    const int sums = 2 * LOTS + !job->begins_all; /* the last is not begun, if there is one */
    uint64_t all;
    ls_status status = LS_OK;
    for (int i = 0; i < sums; i++)
        s[i] = sum_new(ctx, i % 5 == 3 ? job->rows / 2 : job->rows,
                       i < 2 * LOTS ? count[i / 2][i % 2] * job->scale : 77,
                       i % 3 == 2 ? LS_FLOAT64 : LS_FLOAT32, i % 2, seed + (uint64_t)i);
    char *seen = is_of_nodes(ctx) ? sums_seen(ctx, s, sums) : NULL;
    void *apart = seen && seed % 4 == 3 ? piece_apart(s[LOTS]) : NULL;
    taken t;
    char *of_update = job->updates ? taken_new(ctx, &t, s, sums, job->updates == 2) : NULL;
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
        status = job->updates ? take_sums(ctx, &t, sums, mix(seed * 8 + (uint64_t)ctx->place.rank))
                              : ls_comm_sums(ctx, s, sums);
    CHECK(status == ctx->failure.status && !ctx->failure.status == !ctx->agreed, "%s: status %d",
          ctx->who, (int)status);
    for (int i = 0; i < sums && !status; i++) {
        CHECK(sum_is_right(ctx, s[i], seed + (uint64_t)i), "%s, sum %d, rows %lld", ctx->who, i,
              (long long)s[i]->rows);
        memset(s[i]->root, 0x55, bytes_of(s[i])); /* nobody else reads it any more */
    }
    sums_free(ctx, s, sums, seen);
    ls_memory_free(apart);
    ls_comm_shared_free(ctx, of_update);
    return status;
}

/* Whether ranks begin early at all, as they should where they exchange messages. */
static bool begins_early(const ls_ctx *ctx)
{
    const char *memory = getenv("LS_NODE_MEMORY");
    return (ctx->place.count > 1 && memory && !strcmp(memory, "0")) || is_of_nodes(ctx);
}

/* Roots are there before the call that needs them. */
static void check_ahead(ls_ctx *ctx)
{
    ls_row_sum *s[] = { sum_new(ctx, 256, 300000, LS_FLOAT32, true, 5),
                        sum_new(ctx, 256, 7, LS_FLOAT32, true, 6),
                        sum_new(ctx, 128, 50000, LS_FLOAT64, false, 7) };
    char *seen = is_of_nodes(ctx) ? sums_seen(ctx, s, 3) : NULL;
    ls_enter(ctx, "ls_backward");
    const bool begun = ls_comm_begin(ctx, s, 2);
    CHECK(begun == begins_early(ctx), "begun: %d", begun);
    for (int i = 0; i < 20000 && ls_comm_progress(ctx); i++) usleep(500);
    CHECK(ls_comm_progress(ctx) == false, "not over");
    for (int i = 0; begun && i < 2 && !seen; i++)
        CHECK(sum_is_right(ctx, s[i], 5 + (uint64_t)i), "%s, sum %d", ctx->who, i);
    CHECK(ls_comm_sums(ctx, s, 3) == LS_OK, "%s", ctx->failure.text);
    for (int i = 0; i < 3; i++) CHECK(sum_is_right(ctx, s[i], 5 + (uint64_t)i), "%s, sum %d", ctx->who, i);
    sums_free(ctx, s, 3, seen);
}

/* After the first steps nothing is allocated. */
static void check_early_memory(ls_ctx *ctx)
{
    ls_row_sum *s[LOTS];
    size_t calls = 0;
    for (int i = 0; i < LOTS; i++) s[i] = sum_new(ctx, 256, 90000, LS_FLOAT32, true, 1);
    char *seen = is_of_nodes(ctx) ? sums_seen(ctx, s, LOTS) : NULL;
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
    sums_free(ctx, s, LOTS, seen);
}

/* Rows of which each rank has one piece, as nodes need them: two leaves; by messages any will do. */
static int64_t rows_for(const ls_ctx *ctx, int64_t rows)
{
    return is_of_nodes(ctx) ? 2 * ctx->opts.leaf_rows * ctx->place.count : rows;
}

static void job_begin(ls_ctx *ctx)
{
    static const int64_t rows[] = { 1, 33, 256, 1003 }, leaf_rows[] = { 32, 7 };
    for (int i = 0; i < 32; i++) {
        ctx->opts.leaf_rows = leaf_rows[i / 16];
        early_job job = { i % 4 < 2 ? rows_for(ctx, rows[i % 4]) : rows[i % 4], i % 8 < 4 ? 1 : 5, -1, -1, i % 3 == 1,
                          i % 5 < 2, i % 7 % 3 };
        CHECK(early_sums(ctx, &job, (uint64_t)i) == LS_OK, "%s", ctx->failure.text);
    }
    ctx->opts.leaf_rows = 32;
    check_ahead(ctx);
    check_early_memory(ctx);
}

/* ---- errors -------------------------------------------------------------------------------- */
/* Roots that do not lie at the same places: nothing is added to what is not its own. */
static void check_places(ls_ctx *ctx)
{
    ls_row_sum *s[] = { sum_new(ctx, rows_for(ctx, 100), 5000, LS_FLOAT32, true, 1),
                        sum_new(ctx, rows_for(ctx, 100), 5000, LS_FLOAT32, true, 2) };
    ls_row_sum *turned[] = { s[1], s[0] };
    char *seen = sums_seen(ctx, ctx->place.rank == 1 ? turned : s, 2);
    ls_enter(ctx, "ls_backward");
    ls_comm_begin(ctx, s, 1);
    CHECK(ls_comm_sums(ctx, s, 2) == LS_ERR_NOT_SAME, "%s", ctx->failure.text);
    check_outcome(ctx, 0);
    sums_free(ctx, s, 2, seen);
}

/* A failure, or another call, of every rank before every lot of sums that it begins early: all leave that
 * call, and go on. */
static void job_amid(ls_ctx *ctx)
{
    for (int i = 0; i < 2 * (LOTS + 1) * ctx->place.count; i++) {
        const int lot = i / 2 % (LOTS + 1), who = i / 2 / (LOTS + 1);
        const bool is_one = ctx->place.rank == who;
        early_job job = {
            rows_for(ctx, 1003), 6, is_one && i % 2 == 0 ? lot : -1, is_one && i % 2 ? lot : -1, false, false, lot % 3
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
        job = (early_job){ rows_for(ctx, 100), 3, -1, -1, false, false, 0 };
        CHECK(early_sums(ctx, &job, 1) == LS_OK, "%s", ctx->failure.text);
    }
    if (is_of_nodes(ctx)) check_places(ctx);
}

/* Rank 1 begins, and never comes to the end. */
static void stand_still(ls_ctx *ctx)
{
    const int64_t rows = rows_for(ctx, 1000);
    ls_row_sum *s[] = { sum_new(ctx, rows, 90000, LS_FLOAT32, true, 3), sum_new(ctx, rows, 50, LS_FLOAT32, true, 4) };
    char *seen = is_of_nodes(ctx) ? sums_seen(ctx, s, 2) : NULL;
    ls_enter(ctx, "ls_step");
    ls_comm_begin(ctx, s, 1);
    for (int i = 0; i < 100; i++) {
        usleep(200);
        if (ctx->place.rank != 1) ls_comm_progress(ctx);
    }
    if (ctx->place.rank == 1) sleep(60);
    ls_comm_sums(ctx, s, 2);
    sums_free(ctx, s, 2, seen);
}

static void early_jobs(ls_ctx *ctx, const char *job)
{
    if (!strcmp(job, "begin")) job_begin(ctx);
    if (!strcmp(job, "amid")) job_amid(ctx);
}
