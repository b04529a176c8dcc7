/* ranks.c -- start and finish, and whether there are other ranks at all.
 *
 * A process that no launcher started is one rank: MPI is never begun, and all of comm is local.
 * With a launcher the communicator is duplicated twice: one for data, one for words about errors
 * and meetings. From then on nothing waits but through wait.c. An error before the ranks can talk
 * ends the job.
 *
 * Called by train (ls_start, ls_finish, ls_clear).
 */
#include "comm/inside.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const ls_links ls_comm_links = {
    .post = ls_comm_post,
    .agree = ls_comm_agree,
    .any = ls_comm_any,
    .broadcast = ls_comm_broadcast,
    .sums = ls_comm_sums,
    .update = ls_comm_update,
    .begin = ls_comm_begin,
    .progress = ls_comm_progress,
    .factor_rows = ls_comm_factor_rows,
    .gather = ls_comm_gather,
    .collect = ls_comm_collect,
    .shared_new = ls_comm_shared_new,
    .copies_new = ls_comm_copies_new,
    .shared_free = ls_comm_shared_free,
    .is_common = ls_comm_is_common,
    .leave_common = ls_comm_leave_common,
};

/* ---- start --------------------------------------------------------------------------------- */
/* Does a launcher say that there may be other ranks? */
static bool has_launcher(void)
{
    static const char *const names[] = { "OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i])) return true;
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS");
    return tasks && strtol(tasks, NULL, 10) > 1;
}

static bool wants_node_memory(void)
{
    const char *text = getenv("LS_NODE_MEMORY");
    return !text || strcmp(text, "0") != 0;
}

static void place(ls_ctx *ctx, int rank, int count)
{
    ctx->comm->rank = ctx->place.rank = rank;
    ctx->comm->count = ctx->place.count = count;
    ctx->is_root = rank == 0;
    ls_fault_begin(rank);
    snprintf(ctx->who, sizeof ctx->who, "rank %d of %d", rank, count);
}

/* Contexts of this process while MPI was begun by the first of them: it ends with the last. */
static int holding;

static void hold_mpi(ls_ctx *ctx)
{
    ctx->comm->holds_mpi = true;
    holding++;
}

/* MPI is running afterwards, or the process is alone. */
static ls_status begin_mpi(ls_ctx *ctx, bool given, bool *alone)
{
    int begun = 0, ended = 0, level = 0;
    if (MPI_Initialized(&begun) != MPI_SUCCESS || MPI_Finalized(&ended) != MPI_SUCCESS)
        return ls_fail(ctx, LS_ERR_IO, "MPI does not say whether it is running");
    *alone = !given && !begun && !has_launcher();
    if (*alone) return LS_OK;
    if (ended)
        return ls_fail(ctx, LS_ERR_USE,
                       "MPI has ended in this process and cannot begin again: start lockstep once, "
                       "or call MPI_Init() before and MPI_Finalize() after all of it");
    if (begun && holding > 0) hold_mpi(ctx);
    if (begun) return LS_OK;
    if (given) return ls_fail(ctx, LS_ERR_USE, "a communicator needs MPI: call MPI_Init() first");
    ls_watchdog watchdog;
    ls_watchdog_begin(&watchdog, ctx, "begin");
    int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level);
    ls_watchdog_end(&watchdog);
    if (code != MPI_SUCCESS) return ls_fail(ctx, LS_ERR_IO, "MPI cannot begin");
    hold_mpi(ctx);
    return LS_OK;
}

/* Memory for so many ranks. */
static bool reserve(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    size_t count = (size_t)c->count;
    const char *what = "talking to other ranks";
    c->peer = ls_new(ctx, count * sizeof *c->peer, what);
    c->word = ls_new(ctx, (count + 2) * sizeof *c->word, what);
    c->word_sent = ls_new(ctx, 3 * count * sizeof *c->word_sent, what);
    if (!c->peer || !c->word || !c->word_sent || !ls_comm_plans_new(ctx)) return false;
    for (size_t i = 0; i < 3 * count; i++) c->word_sent[i] = MPI_REQUEST_NULL;
    return true;
}

/* Until it is complete; there is nothing to leave. */
static void complete(ls_ctx *ctx, MPI_Request *request)
{
    ls_requests one = { .at = request, .count = 1 };
    ls_comm_complete(ctx, &one, 1, false);
}

static void duplicate(ls_ctx *ctx, MPI_Comm from, MPI_Comm *to)
{
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Comm copy = MPI_COMM_NULL;
    ls_comm_ok(ctx, MPI_Comm_idup(from, &copy, &request), "duplicating a communicator");
    complete(ctx, &request);
    ls_comm_ok(ctx, MPI_Comm_set_errhandler(copy, MPI_ERRORS_RETURN), "duplicating a communicator");
    *to = copy;
}

static void connect(ls_ctx *ctx, MPI_Comm from)
{
    ls_comm *c = ctx->comm;
    c->meeting = true; /* errors end the job until ranks can talk */
    if (!reserve(ctx)) ls_comm_abort(ctx, ctx->failure.status, NULL);
    duplicate(ctx, from, &c->data);
    duplicate(ctx, from, &c->control);
    MPI_Request hearing = MPI_REQUEST_NULL;
    int code = MPI_Recv_init(&c->heard, sizeof c->heard, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG,
                             c->control, &hearing);
    if (code == MPI_SUCCESS) code = MPI_Start(&hearing);
    ls_comm_ok(ctx, code, "starting to listen");
    c->hearing = hearing;
    c->meeting = false;
}

ls_status ls_comm_start(ls_ctx *ctx, const void *mpi_comm)
{
    bool alone = true;
    int rank = 0, count = 1;
    ls_comm *c = ctx->comm = ls_new(ctx, sizeof *c, "ranks");
    ctx->place.rank = 0;
    ctx->place.count = 1;
    ctx->is_root = true;
    if (!c) return ctx->failure.status;
    c->data = c->control = MPI_COMM_NULL;
    c->hearing = MPI_REQUEST_NULL;
    c->now = &c->alone;
    c->exchange = 1;
    c->leave_at = c->plain_at = UINT64_MAX;
    place(ctx, 0, 1);
    c->node = (ls_node_place){ .count = 1, .nodes = 1 };
    if (begin_mpi(ctx, mpi_comm != NULL, &alone) || alone) return ctx->failure.status;
    MPI_Comm from = mpi_comm ? *(const MPI_Comm *)mpi_comm : MPI_COMM_WORLD;
    if (from == MPI_COMM_NULL) /* as MPI_Comm_split() gives ranks that are in none */
        return ls_fail(
            ctx, LS_ERR_ARG,
            "ls_start_on: the communicator is MPI_COMM_NULL: a rank that is in none of them starts "
            "nothing, or on MPI_COMM_SELF");
    if (!ls_comm_ok(ctx, MPI_Comm_rank(from, &rank), "starting")) return ctx->failure.status;
    if (!ls_comm_ok(ctx, MPI_Comm_size(from, &count), "starting")) return ctx->failure.status;
    place(ctx, rank, count);
    if (count == 1) return LS_OK;
    connect(ctx, from);
    return ls_placement_see(ctx) ? ctx->failure.status : ls_window_open(ctx, wants_node_memory());
}

/* ---- finish -------------------------------------------------------------------------------- */
void ls_comm_finish(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    if (!c) return;
    if (c->count > 1) {
        MPI_Request hearing = c->hearing;
        c->hearing = MPI_REQUEST_NULL;
        c->meeting = true;
        ls_comm_ok(ctx, MPI_Cancel(&hearing), "finishing");
        complete(ctx, &hearing);
        ls_comm_ok(ctx, MPI_Request_free(&hearing), "finishing");
        ls_comm_ok(ctx, MPI_Comm_free(&c->data), "finishing");
        ls_comm_ok(ctx, MPI_Comm_free(&c->control), "finishing");
    }
    ls_window_close(c);
    if (c->holds_mpi && --holding == 0) {
        ls_watchdog watchdog;
        ls_watchdog_begin(&watchdog, ctx, "end");
        if (MPI_Finalize() != MPI_SUCCESS) ls_comm_say("%s: MPI did not end well", ctx->who);
        ls_watchdog_end(&watchdog);
    }
    ls_comm_plans_free(c);
    ls_early_free(c);
    ls_arena_free(&c->alone.arena);
    ls_memory_free(c->peer);
    ls_memory_free(c->word);
    ls_memory_free(c->word_sent);
    ls_memory_free(c->alone.sending.at);
    ls_memory_free(c->receiving.at);
    ls_memory_free(c);
    ctx->comm = NULL;
}

/* The fence that agreed on the failure has left nothing under way, so the communicators are as good
 * as new; only calls were counted differently since the failing one. */
ls_status ls_comm_clear(ls_ctx *ctx)
{
    if (ls_comm_agree(ctx) == LS_OK) return LS_OK;
    ctx->failure = (ls_failure){ 0 };
    ctx->agreed = false;
    ctx->call = "ls_clear";
    if (!ctx->comm || ctx->comm->count == 1) return LS_OK;
    ctx->calls = ctx->comm->calls;
    ls_window_distrust(ctx);
    return ctx->failure.status;
}

/* ---- version ------------------------------------------------------------------------------- */
/* What MPI says is free text: a name, perhaps "Version" or "v", then the number. */
const char *ls_comm_version(void)
{
    static _Thread_local char version[64];
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    if (MPI_Get_library_version(text, &length) != MPI_SUCCESS) return "MPI";
    char *number = text, *version_word = strstr(text, "Version");
    while (*number &&
           !(number > text && strchr(" \tv", number[-1]) && strchr("0123456789", *number)))
        number++;
    char *name_end = version_word && version_word < number ? version_word : number;
    while (name_end > text && strchr(" \tv:", name_end[-1])) name_end--;
    snprintf(version, sizeof version, "%.*s %.*s", (int)(name_end - text), text,
             (int)strcspn(number, ", \t\r\n"), number);
    return version;
}
