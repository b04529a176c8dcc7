/* start.c -- a context begins and ends: floors are connected here, and only here.
 *
 * comm gives the context its place among the ranks; its functions go into the links through which
 * grad and data speak with other ranks without knowing it. Ending is a fence: all ranks meet, leave
 * with one status, and give it to main() as an exit code.
 */
#include "train/train.h"
#include <stdio.h>
#include <string.h>

static void set_options(ls_ctx *ctx, const ls_opts *o)
{
    ctx->opts = o ? *o : (ls_opts){ 0 };
    if (!ctx->opts.leaf_rows) ctx->opts.leaf_rows = LS_LEAF_ROWS_DEFAULT;
    if (ctx->opts.deadline_s == 0) ctx->opts.deadline_s = LS_DEADLINE_DEFAULT_S;
}

/* Options that reach results. */
enum { SEED, LEAF_ROWS, DTYPE, KERNEL, OPTIONS };

static const char *option_text(int i, int64_t value, char out[24])
{
    if (i == DTYPE) return ls_dtype_name((ls_dtype)value);
    if (i == KERNEL) return value == LS_CANONICAL ? "canonical" : "openblas";
    if (i == SEED) snprintf(out, 24, "%llu", (unsigned long long)value);
    else snprintf(out, 24, "%lld", (long long)value);
    return out;
}

/* All ranks must have the root's. */
static ls_status compare_options(ls_ctx *ctx)
{
    static const char *const name[OPTIONS] = { "seed", "leaf_rows", "dtype", "kernel" };
    const ls_opts *o = &ctx->opts;
    const int64_t mine[OPTIONS] = { (int64_t)o->seed, o->leaf_rows, o->dtype, o->kernel };
    int64_t roots[OPTIONS];
    char here[24], there[24];
    memcpy(roots, mine, sizeof roots);
    if (ls_comm_broadcast(ctx, roots, sizeof roots)) return ctx->failure.status;
    for (int i = 0; i < OPTIONS; i++)
        if (mine[i] != roots[i])
            return ls_fail(
                ctx, LS_ERR_NOT_SAME,
                "%s is %s here, but %s on the root: start all ranks with the same options", name[i],
                option_text(i, mine[i], here), option_text(i, roots[i], there));
    return LS_OK;
}

/* The bits of OpenBLAS differ between machines: all ranks must have the root's. */
static ls_status compare_numerics(ls_ctx *ctx)
{
    char roots[64] = "";
    const char *mine = ls_kernel_numerics(ctx->kernel);
    snprintf(roots, sizeof roots, "%s", mine);
    if (ls_comm_broadcast(ctx, roots, sizeof roots) || !strcmp(roots, mine))
        return ctx->failure.status;
    return ls_fail(ctx, LS_ERR_CONFIG,
                   "%s here, but %s on the root: with OpenBLAS all ranks need the same one; "
                   "OPENBLAS_CORETYPE chooses its kernels, and kernel canonical needs none",
                   mine, roots);
}

/* What depends on the options; they are checked here. */
static ls_status use_options(ls_ctx *ctx)
{
    const ls_opts *o = &ctx->opts;
    if (ls_fault(LS_FAULT_configure)) return ls_fail(ctx, LS_ERR_CONFIG, "fault point configure");
    if (o->dtype != LS_FLOAT32 && o->dtype != LS_FLOAT64)
        return ls_fail(ctx, LS_ERR_ARG, "the type of a context is LS_FLOAT32 or LS_FLOAT64");
    if (o->leaf_rows < 0)
        return ls_fail(ctx, LS_ERR_ARG, "leaf_rows is %lld: it must be above 0",
                       (long long)o->leaf_rows);
    if (!(o->deadline_s > 0))
        return ls_fail(ctx, LS_ERR_ARG, "deadline_s is %g: it must be above 0", o->deadline_s);
    if (o->kernel != LS_CANONICAL && o->kernel != LS_OPENBLAS)
        return ls_fail(ctx, LS_ERR_ARG, "the kernel of a context is LS_CANONICAL or LS_OPENBLAS");
    if (!ls_kernel_check_thread())
        return ls_fail(ctx, LS_ERR_USE,
                       "this thread does not round to nearest, or flushes small numbers to zero");
    if (ls_kernel_unusable())
        return ls_fail(
            ctx, LS_ERR_CONFIG,
            "LS_ISA is \"%s\", which is none of avx512, avx2 and generic that this CPU runs; "
            "it runs %s",
            ls_kernel_unusable(), ls_kernel_for(o->dtype, NULL)->isa);
    if (compare_options(ctx)) return ctx->failure.status;
    ls_random_seed(&ctx->random, o->seed);
    ctx->kernel = ls_kernel_for(o->dtype, NULL);
    if (o->kernel == LS_CANONICAL) return LS_OK;
    ls_failure f = { .status = LS_OK };
    const ls_kernel *by_openblas = ls_kernel_openblas(o->dtype, &f);
    if (!by_openblas) return ls_fail_with(ctx, &f);
    ctx->kernel = by_openblas;
    return compare_numerics(ctx);
}

static void free_context(ls_ctx *ctx)
{
    ls_arena_free(&ctx->life);
    ls_arena_free(&ctx->arena);
    ls_arena_free(&ctx->scratch);
    ls_memory_free(ctx);
}

static ls_ctx *start(const void *mpi_comm, const ls_opts *o)
{
    ls_ctx *ctx = ls_memory_new(sizeof *ctx);
    if (!ctx) return NULL;
    set_options(ctx, o);
    ctx->kernel = ls_kernel_for(LS_FLOAT32, NULL);
    ctx->links = &ls_comm_links; /* of a context that could not start as well: calls end at them */
    if (ls_comm_start(ctx, mpi_comm)) return ctx;
    if (!ls_memory_take_stack()) ls_fail_memory(ctx, LS_STACK_BYTES, "the stack");
    ctx->tape = ls_tape_new(ctx);
    ls_enter(ctx, "ls_start");
    use_options(ctx);
    return ctx;
}

ls_ctx *ls_start(const ls_opts *o)
{
    return start(NULL, o);
}

ls_ctx *ls_start_on_handle(const void *mpi_comm, const ls_opts *o)
{
    return start(mpi_comm, o);
}

int ls_finish(ls_ctx *ctx)
{
    if (!ctx) return ls_exit_code(LS_ERR_MEMORY);
    ls_enter(ctx, "ls_finish");
    ls_status status = ls_agree(ctx);
    for (ls_scope *s = ctx->scopes; s; s = s->outer) s->ctx = NULL;
    ls_end_owned(ctx);
    if (ctx->comm) ls_comm_finish(ctx);
    free_context(ctx);
    return ls_exit_code(status);
}

ls_status ls_clear(ls_ctx *ctx)
{
    if (!ctx) return LS_ERR_MEMORY;
    if (!ls_enter(ctx, "ls_clear")) ls_agree(ctx);
    return ls_comm_clear(ctx);
}

/* ---- bytes of the root to all ---------------------------------------------------------------- */
typedef struct shared {
    ls_owned owned;
    char bytes[];
} shared;

static void end_shared(void *self)
{
    ls_memory_free(self);
}

ls_status ls_share_bytes(ls_ctx *ctx, void **data, size_t *bytes)
{
    if (!ls_enter(ctx, "ls_share_bytes") ||
        !ls_given(ctx, "ls_share_bytes", data && bytes ? data : NULL, "room for the bytes"))
        return ls_agree(ctx);
    uint64_t size = *bytes;
    if (ctx->links->broadcast(ctx, &size, sizeof size)) return ctx->failure.status;
    if (!ctx->is_root) {
        shared *s = ls_new(ctx, sizeof *s + size, "shared bytes");
        if (!s) return ls_agree(ctx);
        ls_own(ctx, &s->owned, end_shared);
        *data = s->bytes;
        *bytes = size;
    }
    return ctx->links->broadcast(ctx, *data, *bytes);
}

/* Bytes that came from the root do not depend on options. */
static bool has_made_something(const ls_ctx *ctx)
{
    for (const ls_owned *o = ctx->newest; o; o = o->older)
        if (o != &ctx->tape->owned && o->end != end_shared) return true;
    return false;
}

ls_status ls_configure(ls_ctx *ctx, const ls_opts *o)
{
    if (!ls_enter(ctx, "ls_configure")) return ls_agree(ctx);
    if (ctx->step || has_made_something(ctx))
        ls_fail(ctx, LS_ERR_USE, "ls_configure: something was made from the context already");
    else {
        set_options(ctx, o);
        use_options(ctx);
    }
    return ls_agree(ctx);
}

const char *ls_placement_text(const ls_ctx *ctx)
{
    return ctx ? ls_comm_placement(ctx) : "";
}

const char *ls_numerics_text(const ls_ctx *ctx)
{
    return ctx ? ls_kernel_numerics(ctx->kernel) : "";
}

/* ---- versions -------------------------------------------------------------------------------- */
const char *ls_version_text(void)
{
    static _Thread_local char text[400];
    const ls_kernel *k = ls_kernel_for(LS_FLOAT32, NULL);
    snprintf(text, sizeof text, "lockstep %s\n%s\n%s\n%s\nkernels %s, numerics %d\n", LS_VERSION,
             ls_comm_version(), ls_store_version(), ls_blas_version(), k->isa, LS_NUMERICS);
    return text;
}
