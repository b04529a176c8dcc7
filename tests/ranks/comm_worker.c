/* comm_worker.c -- one rank of a test of comm: comm_worker JOB [NUMBER].
 *
 * Jobs that say "JOB ok" on the root have compared everything on all ranks. What went wrong is a
 * line on stderr and exit code 1. Started by tests/unit/test_comm.c, with mpirun or alone.
 */
#include "comm/comm.h"
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Machines of as many ranks as LS_TEST_NODE_RANKS says: in place of the function of libc. */
int gethostname(char *name, size_t bytes)
{
    const char *each = getenv("LS_TEST_NODE_RANKS"), *rank = getenv("OMPI_COMM_WORLD_RANK");
    struct utsname u;
    if (each && rank) snprintf(name, bytes, "node%d", atoi(rank) / atoi(each));
    else if (uname(&u)) return -1;
    else snprintf(name, bytes, "%s", u.nodename);
    return 0;
}

/* An abort that takes as many seconds longer as LS_TEST_ABORT_S says, as on a busy machine. */
int MPI_Abort(MPI_Comm comm, int code)
{
    const char *longer_s = getenv("LS_TEST_ABORT_S");
    if (longer_s) sleep((unsigned)atoi(longer_s));
    return PMPI_Abort(comm, code);
}

/* ---- a context by hand --------------------------------------------------------------------- */
static ls_ctx *begin(const void *mpi_comm, int64_t leaf_rows, double deadline_s)
{
    ls_ctx *ctx = ls_memory_new(sizeof *ctx);
    ctx->opts = (ls_opts){ .dtype = LS_FLOAT32, .leaf_rows = leaf_rows, .deadline_s = deadline_s };
    ctx->links = &ls_comm_links;
    ctx->kernel = ls_kernel_for(LS_FLOAT32, NULL);
    if (ls_comm_start(ctx, mpi_comm)) {
        fprintf(stderr, "cannot start: %s\n", ctx->failure.text);
        exit(1);
    }
    ls_enter(ctx, "ls_start");
    return ctx;
}

static int finish(ls_ctx *ctx)
{
    ls_enter(ctx, "ls_finish");
    int code = ls_exit_code(ls_comm_agree(ctx));
    ls_comm_finish(ctx);
    ls_memory_free(ctx);
    if (ls_memory_live()) {
        fprintf(stderr, "%zu allocations are left\n", ls_memory_live());
        return 1;
    }
    return code;
}

/* Ends the job where a rank finds what must not be. */
static _Noreturn void stop(void)
{
    int begun = 0;
    fputc('\n', stderr);
    if (MPI_Initialized(&begun) == MPI_SUCCESS && begun) MPI_Abort(MPI_COMM_WORLD, 1);
    exit(1);
}

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (condition) break;                                                                      \
        fprintf(stderr, "FAILED %s:%d: %s: ", __FILE__, __LINE__, #condition);                     \
        fprintf(stderr, __VA_ARGS__);                                                              \
        stop();                                                                                    \
    } while (0)

static void say_ok(const ls_ctx *ctx, const char *job)
{
    ls_printf(ctx, "%s ok\n", job);
}

#include "comm_tree.h"

/* ---- sums ---------------------------------------------------------------------------------- */
/* A sum with this rank's pieces filled in; in_place: the root is the first of them. */
static ls_row_sum *sum_new(ls_ctx *ctx, int64_t rows, int64_t count, ls_dtype dtype, bool in_place,
                           uint64_t seed)
{
    ls_row_sum *s = ls_memory_new(sizeof *s);
    ls_range piece[LS_MAX_PIECES];
    int64_t leaves = ls_leaf_count(rows, ctx->opts.leaf_rows);
    int held = ls_leaf_pieces(leaves, ls_leaf_cut(leaves, ctx->place.count, ctx->place.rank),
                              piece);
    *s = (ls_row_sum){ .rows = rows,
                       .count = count,
                       .dtype = dtype,
                       .piece = ls_memory_new(LS_MAX_PIECES * sizeof(void *)) };
    for (int k = 0; k < held; k++) {
        s->piece[k] = ls_memory_new(bytes_of(s));
        fill_node(s, seed, leaves, piece[k], s->piece[k]);
    }
    s->root = held && in_place ? s->piece[0] : ls_memory_new(bytes_of(s));
    if (s->root != s->piece[0]) memset(s->root, 0x7f, bytes_of(s));
    return s;
}

static void sum_free(ls_row_sum *s)
{
    if (s->root != s->piece[0]) ls_memory_free(s->root);
    for (int k = 0; k < LS_MAX_PIECES; k++) ls_memory_free(s->piece[k]);
    ls_memory_free(s->piece);
    ls_memory_free(s);
}

static bool sum_is_right(const ls_ctx *ctx, const ls_row_sum *s, uint64_t seed)
{
    int64_t leaves = ls_leaf_count(s->rows, ctx->opts.leaf_rows);
    void *root = ls_memory_new(bytes_of(s));
    if (leaves) fill_node(s, seed, leaves, (ls_range){ 0, leaves }, root);
    bool same = memcmp(root, s->root, bytes_of(s)) == 0;
    ls_memory_free(root);
    return same;
}

/* So many sums in one call, sizes around every limit; rows of the last ones differ. */
static void check_sums(ls_ctx *ctx, int64_t rows, const int64_t *count, int sums, bool in_place,
                       bool mixed)
{
    ls_row_sum *s[64];
    for (int i = 0; i < sums; i++) {
        int64_t of = mixed && i % 5 == 4 ? rows / 2 : mixed && i % 7 == 6 ? rows + 100 : rows;
        ls_dtype dtype = mixed && i % 3 == 2 ? LS_FLOAT64 : LS_FLOAT32;
        s[i] = sum_new(ctx, of, count[i], dtype, in_place != (mixed && i % 2), (uint64_t)i);
    }
    ls_enter(ctx, "ls_backward");
    CHECK(ls_comm_sums(ctx, s, sums) == LS_OK, "%s", ctx->failure.text);
    for (int i = 0; i < sums; i++)
        CHECK(sum_is_right(ctx, s[i], (uint64_t)i),
              "%s, sum %d of %d, rows %lld, leaf_rows %lld, count %lld", ctx->who, i, sums,
              (long long)s[i]->rows, (long long)ctx->opts.leaf_rows, (long long)s[i]->count);
    for (int i = 0; i < sums; i++) sum_free(s[i]);
}

static void job_sums(ls_ctx *ctx)
{
    static const int64_t leaf_rows[] = { 32, 1, 7 }, rows[] = { 0, 1, 31, 33, 64, 100, 256, 1003 };
    for (int i = 0; i < 3 * 8 * 2; i++) {
        ctx->opts.leaf_rows = leaf_rows[i / 16];
        check_sums(ctx, rows[i / 2 % 8], (const int64_t[]){ 1 }, 1, i % 2, false);
        check_sums(ctx, rows[i / 2 % 8], (const int64_t[]){ 3, 100, 0, 17, 1, 5, 64, 2 }, 8, i % 2,
                   true);
    }
}

/* Such that slices end within arrays and between them, and small arrays travel packed. */
static void job_large(ls_ctx *ctx)
{
    static const int64_t rows[] = { 32, 40, 81, 128 };
    int64_t small[50];
    for (int i = 0; i < 50; i++) small[i] = i * 131 % 1501;
    ctx->opts.leaf_rows = 8;
    for (int i = 0; i < 4 * 2; i++) {
        check_sums(ctx, rows[i / 2], (const int64_t[]){ 70001 }, 1, i % 2, false);
        check_sums(ctx, rows[i / 2], (const int64_t[]){ 9, 33333, 3, 12345, 20000, 64, 10001, 7 },
                   8, i % 2, true);
        check_sums(ctx, rows[i / 2], small, 50, i % 2, true);
    }
}

/* Pieces, of which the first is also the root, in memory that the ranks of a node see. */
static void check_shared(ls_ctx *ctx, int64_t rows, int64_t count)
{
    ls_row_sum *s = sum_new(ctx, rows, count, LS_FLOAT32, false, 3);
    void *own = s->piece[0], *root = s->root;
    char *seen = ls_comm_shared_new(ctx, bytes_of(s), false, "a sum");
    CHECK(seen, "%s", ctx->failure.text);
    if (own) s->piece[0] = memcpy(seen, own, bytes_of(s));
    s->root = seen;
    ls_enter(ctx, "ls_backward");
    CHECK(ls_comm_sums(ctx, &s, 1) == LS_OK, "%s", ctx->failure.text);
    CHECK(sum_is_right(ctx, s, 3), "%s, rows %lld, count %lld", ctx->who, (long long)rows,
          (long long)count);
    s->piece[0] = own;
    s->root = root;
    ls_comm_shared_free(ctx, seen);
    sum_free(s);
}

/* The last rank lacks memory for the n-th thing that a block needs: all fail, and go on. */
static void check_shared_fails(ls_ctx *ctx, int n)
{
    char fault[32];
    snprintf(fault, sizeof fault, "allocate:%d:%d", ctx->place.count - 1, n);
    CHECK(setenv("LS_FAULT", fault, 1) == 0, "%s", fault);
    ls_enter(ctx, "ls_sgd_new");
    ls_fault_begin(ctx->place.rank);
    void *seen = ls_comm_shared_new(ctx, 100000, n % 2, "a sum");
    ls_fault_armed = false;
    CHECK(!seen && ls_comm_agree(ctx) == LS_ERR_MEMORY, "%s: %s", fault, ctx->failure.text);
    CHECK(ls_comm_clear(ctx) == LS_OK, "%s", ctx->failure.text);
}

/* Memory for copies: what any rank of a node writes all of them see, whatever becomes of parameters. */
static void check_copies(ls_ctx *ctx)
{
    const int each = atoi(getenv("LS_TEST_NODE_RANKS")), first = ctx->place.rank / each * each;
    char *seen = ls_comm_copies_new(ctx, 100000);
    uint64_t all;
    CHECK(seen, "%s", ctx->failure.text);
    for (int round = 1; round <= 2; round++) {
        seen[1000 * (ctx->place.rank - first)] = (char)(10 * round + ctx->place.rank);
        CHECK(ls_comm_any(ctx, 0, &all) == LS_OK, "%s", ctx->failure.text);
        for (int r = 0; r < each && first + r < ctx->place.count; r++)
            CHECK(seen[1000 * r] == 10 * round + first + r, "%s: that of %d, round %d", ctx->who,
                  first + r, round);
        CHECK(ls_comm_any(ctx, 0, &all) == LS_OK, "%s", ctx->failure.text);
        ls_comm_leave_common(ctx);
    }
    ls_comm_shared_free(ctx, seen);
}

static void job_shared(ls_ctx *ctx)
{
    for (int n = 1; n <= 2; n++) check_shared_fails(ctx, n);
    ctx->opts.leaf_rows = 1;
    for (int64_t rows = 1; rows <= 40; rows++)
        for (int64_t count = 9001; count < 100000; count *= 9) check_shared(ctx, rows, count);
    check_copies(ctx);
}

/* Plans of many numbers of rows, more than are kept, and back to the first. */
static void job_plans(ls_ctx *ctx)
{
    for (int64_t i = 0; i < 300; i++)
        check_sums(ctx, i * 37 % 150, (const int64_t[]){ 2, 1, 4, 1, 5 }, 5, true, true);
    for (int64_t i = 0; i < 100; i++) { /* the plan of a small sum goes while others are made */
        check_sums(ctx, 40, (const int64_t[]){ 3 }, 1, true, false);
        check_sums(ctx, 200 + i, (const int64_t[]){ 5000 }, 1, true, false);
    }
}

/* After the first step nothing is allocated. */
static void job_memory(ls_ctx *ctx)
{
    ls_row_sum *s[] = { sum_new(ctx, 256, 3, LS_FLOAT32, true, 1),
                        sum_new(ctx, 256, 100000, LS_FLOAT32, true, 2),
                        sum_new(ctx, 128, 10, LS_FLOAT64, true, 3) };
    size_t calls = 0;
    for (int step = 0; step < 20; step++) {
        uint64_t all;
        if (step == 2) calls = ls_memory_calls();
        ls_enter(ctx, "ls_backward");
        CHECK(ls_comm_sums(ctx, s, 3) == LS_OK, "%s", ctx->failure.text);
        CHECK(ls_comm_sums(ctx, s, 1) == LS_OK, "%s", ctx->failure.text);
        CHECK(ls_comm_any(ctx, 1, &all) == LS_OK && all == 1, "%s", ctx->failure.text);
        CHECK(ls_comm_agree(ctx) == LS_OK, "%s", ctx->failure.text);
    }
    CHECK(ls_memory_calls() == calls, "%zu allocations more", ls_memory_calls() - calls);
    for (int i = 0; i < 3; i++) sum_free(s[i]);
}

/* ---- rows, bits, the root's bytes ---------------------------------------------------------- */
static unsigned char byte_of(int64_t i, int salt)
{
    return (unsigned char)mix((uint64_t)i * 8 + (uint64_t)salt);
}

static void check_gather(ls_ctx *ctx, int64_t rows, size_t row_bytes)
{
    int64_t leaves = ls_leaf_count(rows, ctx->opts.leaf_rows);
    ls_range own_leaves = ls_leaf_cut(leaves, ctx->place.count, ctx->place.rank);
    ls_range held = ls_leaf_rows(rows, ctx->opts.leaf_rows, own_leaves);
    int64_t row = (int64_t)row_bytes, all_bytes = rows * row;
    unsigned char *own = ls_memory_new((size_t)((held.to - held.from) * row)),
                  *all = ls_memory_new((size_t)all_bytes);
    for (int64_t i = held.from * row; i < held.to * row; i++)
        own[i - held.from * row] = byte_of(i, 1);
    ls_enter(ctx, "ls_whole");
    CHECK(ls_comm_gather(ctx, rows, row_bytes, own, all) == LS_OK, "%s", ctx->failure.text);
    for (int64_t i = 0; i < all_bytes; i++)
        CHECK(all[i] == byte_of(i, 1), "byte %lld of %lld", (long long)i, (long long)all_bytes);
    ls_memory_free(own);
    ls_memory_free(all);
}

static void check_broadcast(ls_ctx *ctx, int64_t bytes)
{
    unsigned char *data = ls_memory_new((size_t)bytes);
    for (int64_t i = 0; ctx->is_root && i < bytes; i++) data[i] = byte_of(i, 2);
    ls_enter(ctx, "ls_load");
    CHECK(ls_comm_broadcast(ctx, data, (size_t)bytes) == LS_OK, "%s", ctx->failure.text);
    for (int64_t i = 0; i < bytes; i++)
        CHECK(data[i] == byte_of(i, 2), "byte %lld of %lld", (long long)i, (long long)bytes);
    ls_memory_free(data);
}

static void job_copies(ls_ctx *ctx)
{
    static const int64_t rows[] = { 0, 1, 5, 64, 100, 1003 },
                         bytes[] = { 0, 1, 95, 4096, 65536, 65537, 1000003 };
    for (int i = 0; i < 6; i++) {
        check_gather(ctx, rows[i], 0);
        check_gather(ctx, rows[i], 3);
        check_gather(ctx, rows[i], 1024);
    }
    for (int i = 0; i < 7; i++) check_broadcast(ctx, bytes[i]);
    for (int r = 0; r < ctx->place.count; r++) {
        uint64_t all = 0, mine = ctx->place.rank == r ? UINT64_C(1) << 63 | 5 : 8;
        ls_enter(ctx, "ls_any");
        CHECK(ls_comm_any(ctx, mine, &all) == LS_OK, "%s", ctx->failure.text);
        CHECK(all == (ctx->place.count > 1 ? mine | (UINT64_C(1) << 63) | 13 : mine), "%llx",
              (unsigned long long)all);
        CHECK(ls_comm_any(ctx, 0, &all) == LS_OK && all == 0, "%llx", (unsigned long long)all);
    }
}

/* ---- errors -------------------------------------------------------------------------------- */
enum { CALLS = 7 };

/* The call with that number: one of every kind of exchange, small and large. */
static ls_status exchange(ls_ctx *ctx, int number)
{
    static const char *const names[] = { "ls_any",  "ls_backward", "ls_fit_step", "ls_whole",
                                         "ls_save", "ls_load",     "ls_predict" };
    static const int64_t count[] = { 5, 120000 };
    static char data[300000];
    uint64_t all;
    ls_status status;
    if (!ls_enter(ctx, names[number])) return ls_comm_agree(ctx);
    switch (number) {
    case 0:
        return ls_comm_any(ctx, 1, &all);
    case 1:
    case 2: {
        ls_row_sum *s = sum_new(ctx, 40, count[number - 1], LS_FLOAT32, true, 1);
        status = ls_comm_sums(ctx, &s, 1);
        sum_free(s);
        return status;
    }
    case 3:
        return ls_comm_gather(ctx, 32 * ctx->place.count, 100, data, data + 100000);
    case 4:
        return ls_comm_agree(ctx);
    case 5:
        return ls_comm_broadcast(ctx, data, sizeof data);
    default: /* several in one call */
        if ((status = ls_comm_any(ctx, 0, &all))) return status;
        if ((status = ls_comm_agree(ctx))) return status;
        return ls_comm_broadcast(ctx, data, 10);
    }
}

/* All ranks must hold the same of what an error leaves behind; then it is forgotten. */
typedef struct outcome {
    int64_t ended_at;
    ls_failure failure;
} outcome;
static void check_outcome(ls_ctx *ctx, int ended_at)
{
    outcome own = { ended_at, ctx->failure }, all[16];
    ls_comm_clear(ctx);
    CHECK(ctx->failure.status == LS_OK && !ctx->agreed, "not cleared");
    ctx->opts.leaf_rows = 1;
    CHECK(ls_comm_gather(ctx, ctx->place.count, sizeof own, &own, all) == LS_OK, "%s",
          ctx->failure.text);
    ctx->opts.leaf_rows = 32;
    for (int r = 0; r < ctx->place.count; r++)
        CHECK(all[r].ended_at == ended_at && all[r].failure.status == own.failure.status &&
                  strcmp(all[r].failure.text, own.failure.text) == 0,
              "%s: call %d: '%s', but rank %d: call %d: '%s'", ctx->who, ended_at, own.failure.text,
              r, (int)all[r].ended_at, all[r].failure.text);
}

/* A program of all calls in which some ranks fail before a call; where it ended. */
static int program(ls_ctx *ctx, const int *fails_before)
{
    int ended_at = -1;
    for (int i = 0; i < CALLS; i++) {
        if (fails_before[ctx->place.rank] == i) ls_fail(ctx, LS_ERR_DATA, "injected at call %d", i);
        ls_status status = exchange(ctx, i);
        CHECK(status == (ctx->agreed ? ctx->failure.status : LS_OK), "status %d", status);
        if (status && ended_at < 0) ended_at = i;
    }
    CHECK(!ctx->failure.status == !ctx->agreed, "%s: not agreed: %s", ctx->who, ctx->failure.text);
    return ended_at;
}

/* One failure before every call of every rank. */
static void job_fail(ls_ctx *ctx)
{
    for (int at = 0; at < CALLS; at++)
        for (int rank = 0; rank < ctx->place.count; rank++) {
            int fails[16] = { 0 };
            for (int r = 0; r < ctx->place.count; r++) fails[r] = r == rank ? at : CALLS;
            int ended_at = program(ctx, fails);
            char want[64];
            if (ctx->place.count == 1) snprintf(want, sizeof want, "injected at call %d", at);
            else
                snprintf(want, sizeof want, "rank %d of %d: injected at call %d", rank,
                         ctx->place.count, at);
            CHECK(ended_at == at && strcmp(ctx->failure.text, want) == 0,
                  "%s: ended at call %d with '%s', not at %d", ctx->who, ended_at,
                  ctx->failure.text, at);
            check_outcome(ctx, ended_at);
        }
}

#include "comm_early.h"

/* Failures on any ranks before any calls: all end with the first call, and its lowest rank's text.
 */
static void job_stress(ls_ctx *ctx, int cycles)
{
    for (int cycle = 0; cycle < cycles; cycle++) {
        int fails[16] = { 0 }, first = CALLS, lowest = -1;
        for (int r = ctx->place.count - 1; r >= 0; r--) {
            uint64_t h = mix((uint64_t)cycle * 64 + (uint64_t)r + 1);
            fails[r] = h % 3 ? (int)(h / 3 % CALLS) : CALLS;
            if (fails[r] <= first && fails[r] < CALLS) first = fails[r], lowest = r;
        }
        if (mix((uint64_t)cycle * 64 + 32 + (uint64_t)ctx->place.rank) % 4 == 0)
            usleep(300); /* ranks drift apart */
        int ended_at = program(ctx, fails);
        if (lowest >= 0) {
            char want[64];
            snprintf(want, sizeof want, "rank %d of %d: injected at call %d", lowest,
                     ctx->place.count, first);
            CHECK(ended_at == first && strcmp(ctx->failure.text, want) == 0,
                  "cycle %d: ended at %d with '%s', not at %d: '%s'", cycle, ended_at,
                  ctx->failure.text, first, want);
            check_outcome(ctx, ended_at);
        } else CHECK(ended_at < 0, "cycle %d: %s", cycle, ctx->failure.text);
    }
}

/* Every rank by itself leaves out calls, fails, or comes late: whatever happens, all end with one
 * text. */
static void job_chaos(ls_ctx *ctx, int cycles)
{
    for (int cycle = 0; cycle < cycles; cycle++) {
        for (int i = 0; i < CALLS; i++) {
            uint64_t h =
                mix(((uint64_t)cycle * 16 + (uint64_t)i) * 16 + (uint64_t)ctx->place.rank + 1) % 24;
            if (h == 0) ls_fail(ctx, LS_ERR_IO, "chaos in cycle %d", cycle);
            if (h == 1) usleep(200);
            if (h == 2) ls_comm_agree(ctx);
            if (h != 3) exchange(ctx, i);
        }
        ls_enter(ctx, "ls_finish");
        ls_comm_agree(ctx);
        check_outcome(ctx, 0);
    }
}

/* ---- ranks at different places ------------------------------------------------------------- */
/* Every pair of different calls, the last rank making the other one; also in what sizes differ. */
static void job_differ(ls_ctx *ctx)
{
    bool is_last = ctx->place.rank == ctx->place.count - 1;
    for (int here = 0; here < CALLS; here++)
        for (int there = 0; there < CALLS; there++) {
            if (here == there) continue;
            exchange(ctx, is_last ? there : here);
            CHECK(ctx->agreed && ctx->failure.status == LS_ERR_NOT_SAME,
                  "calls %d and %d: status %d: %s", here, there, ctx->failure.status,
                  ctx->failure.text);
            CHECK(strstr(ctx->failure.text, "(call ") && strstr(ctx->failure.text, "here is call"),
                  "%s", ctx->failure.text);
            check_outcome(ctx, 0);
        }
    for (int i = 0; i < 4; i++) { /* one call, other arguments: rows, count, type, number of sums */
        ls_row_sum *s[2] = { sum_new(ctx, is_last && i == 0 ? 41 : 40, is_last && i == 1 ? 6 : 5,
                                     is_last && i == 2 ? LS_FLOAT64 : LS_FLOAT32, true, 1),
                             sum_new(ctx, 40, 1, LS_FLOAT32, true, 1) };
        ls_enter(ctx, "ls_backward");
        CHECK(ls_comm_sums(ctx, s, is_last && i == 3 ? 2 : 1) == LS_ERR_NOT_SAME, "%d: %s", i,
              ctx->failure.text);
        CHECK(strstr(ctx->failure.text, "arguments must be the same"), "%s", ctx->failure.text);
        check_outcome(ctx, 0);
        sum_free(s[0]);
        sum_free(s[1]);
    }
    exchange(ctx, 0); /* and all is well again */
    CHECK(ctx->failure.status == LS_OK, "%s", ctx->failure.text);
}

/* A number of calls as of a long program. */
static ls_ctx *late_in(ls_ctx *ctx)
{
    ctx->calls = 410;
    return ctx;
}

static void job_root_only(ls_ctx *ctx)
{
    late_in(ctx);
    if (ctx->is_root) exchange(ctx, 1);
}

static void job_early(ls_ctx *ctx)
{
    late_in(ctx);
    if (ctx->place.rank == 1) return;
    while (exchange(ctx, 1) == LS_OK) {}
}

/* Takes a part of a root: on rank 1 for ever. */
static void take_for_ever(void *of, int64_t sum, ls_range e, const void *value)
{
    const ls_ctx *ctx = of;
    (void)sum, (void)e, (void)value;
    if (ctx->place.rank == 1) sleep(60);
}

/* A rank that never comes: 0 to an exchange, 1 to the fence of a failure, 2 while others are late
 * too, 3 after a failure of its own; 4: to the end of an exchange in which it is; 5: of one that it has
 * begun early. */
static void job_late(ls_ctx *ctx, int where)
{
    exchange(ctx, 1);
    if (where == 5) stand_still(ctx);
    if (where == 4) {
        ls_row_sum *s = sum_new(ctx, 1000, 90000, LS_FLOAT32, true, 3);
        ls_enter(ctx, "ls_step");
        ls_comm_update(ctx, &s, 1, true, take_for_ever, ctx);
        sum_free(s);
    }
    late_in(ctx);
    if (ctx->place.rank == 1) {
        if (where == 3) ls_fail(ctx, LS_ERR_DATA, "row 77 cannot be read");
        ls_enter(ctx, "ls_next");
        sleep(60);
    }
    if (where == 1 && ctx->place.rank == 2) ls_fail(ctx, LS_ERR_DATA, "row 77 cannot be read");
    if (where == 2 && ctx->place.rank == 2) sleep(1);
    exchange(ctx, 2);
}

/* ---- starting -------------------------------------------------------------------------------- */
/* On halves of a program's own communicator, twice; MPI stays the program's. */
static int job_split(void)
{
    MPI_Comm half;
    int rank = 0, is_over = 0;
    CHECK(MPI_Init(NULL, NULL) == MPI_SUCCESS, "MPI_Init");
    CHECK(MPI_Comm_rank(MPI_COMM_WORLD, &rank) == MPI_SUCCESS, "MPI_Comm_rank");
    for (int time = 0; time < 2; time++) {
        CHECK(MPI_Comm_split(MPI_COMM_WORLD, rank % 2, -rank, &half) == MPI_SUCCESS,
              "MPI_Comm_split");
        ls_ctx *ctx = begin(&half, 32, 60);
        check_sums(ctx, 100 + rank % 2, (const int64_t[]){ 5, 50000 }, 2, true, false);
        if (time == 1) ls_fail(ctx, LS_ERR_STOPPED, "stopped, half %d", rank % 2);
        CHECK(finish(ctx) == (time ? 75 : 0), "finish");
        CHECK(MPI_Comm_free(&half) == MPI_SUCCESS, "MPI_Comm_free");
    }
    CHECK(MPI_Finalized(&is_over) == MPI_SUCCESS && !is_over, "MPI has ended");
    printf("split ok\n");
    return MPI_Finalize();
}

static int job_alone(void)
{
    ls_ctx *ctx = begin(NULL, 32, 60);
    int is_mpi = 1;
    CHECK(MPI_Initialized(&is_mpi) == MPI_SUCCESS && !is_mpi, "MPI has begun");
    CHECK(strcmp(ctx->who, "rank 0 of 1") == 0 && ctx->is_root && ctx->place.count == 1, "%s",
          ctx->who);
#ifdef OMPI_MAJOR_VERSION
    char want[64];
    snprintf(want, sizeof want, "Open MPI %d.%d.%d", OMPI_MAJOR_VERSION, OMPI_MINOR_VERSION,
             OMPI_RELEASE_VERSION);
    CHECK(strcmp(ls_comm_version(), want) == 0, "%s", ls_comm_version());
#endif
    job_sums(ctx);
    job_large(ctx);
    job_plans(ctx);
    job_memory(ctx);
    job_copies(ctx);
    job_fail(ctx);
    printf("alone ok\n");
    return finish(ctx);
}

int main(int argc, char **argv)
{
    const char *job = argc > 1 ? argv[1] : "";
    int number = argc > 2 ? atoi(argv[2]) : 0;
    if (!strcmp(job, "split")) return job_split();
    if (!strcmp(job, "alone")) return job_alone();
    ls_ctx *ctx = begin(NULL, 32, !strcmp(job, "late") ? 3 : 60);
    if (!strcmp(job, "sums")) job_sums(ctx);
    if (!strcmp(job, "large")) job_large(ctx);
    if (!strcmp(job, "shared")) job_shared(ctx);
    if (!strcmp(job, "plans")) job_plans(ctx);
    if (!strcmp(job, "memory")) job_memory(ctx);
    if (!strcmp(job, "copies")) job_copies(ctx);
    early_jobs(ctx, job);
    if (!strcmp(job, "fail")) job_fail(ctx);
    if (!strcmp(job, "stress")) job_stress(ctx, number);
    if (!strcmp(job, "chaos")) job_chaos(ctx, number);
    if (!strcmp(job, "differ")) job_differ(ctx);
    if (!strcmp(job, "root_only")) job_root_only(ctx);
    if (!strcmp(job, "early")) job_early(ctx);
    if (!strcmp(job, "late")) job_late(ctx, number);
    if (!strcmp(job, "stop")) ls_fail(ctx, LS_ERR_STOPPED, "stopped on request at step 7");
    say_ok(ctx, job);
    return finish(ctx);
}
