/* tensor.c -- the life of a tensor: making, ending, and what it takes to use one.
 *
 * Three lives. Made by the program: its own memory, owned by the context. Result of an operation
 * before the first step: in ctx->life, to the end of the context. Result inside a step: values in
 * ctx->arena, and the head, the struct itself, in its operation's record (grad) or, where no
 * operation made it, in a pool. Both only ever hold heads at these places, so that a tensor used
 * after its step is recognised instead of read as something else. So are those that were freed, gradients
 * that were handed out with them: a head goes when FREED others have been freed after it, and no view or
 * recorded operation can hold it any more.
 */
#include "tensor/tensor.h"
#include <string.h>

enum { HEADS_PER_BLOCK = 64, FREED = 256 };
struct ls_heads {
    ls_owned owned;
    ls_ctx *ctx;
    uint64_t step; /* that the heads in use belong to */
    int64_t used;
    struct head_block {
        struct head_block *next;
        ls_tensor head[HEADS_PER_BLOCK];
    } * first, *current;
    ls_tensor *oldest, *newest; /* that were freed, by next_of() */
    int64_t freed;              /* how many */
    ls_tensor *lent;            /* freed, and lent for good */
};

/* Heads of freed tensors hang together where they hung on the context. */
static ls_tensor *next_of(const ls_tensor *t)
{
    return (ls_tensor *)t->owned.newer;
}

static void end_all(ls_tensor *t)
{
    for (ls_tensor *next; t; t = next) {
        next = next_of(t);
        ls_memory_free(t);
    }
}

static void end_heads(void *self)
{
    struct ls_heads *h = self;
    end_all(h->oldest);
    end_all(h->lent);
    for (struct head_block *b = h->first, *next; b; b = next) {
        next = b->next;
        ls_memory_free(b);
    }
    h->ctx->heads = NULL;
    ls_memory_free(h);
}

static struct ls_heads *heads_of(ls_ctx *ctx)
{
    struct ls_heads *h = ctx->heads;
    if (h || !(h = ls_new(ctx, sizeof *h, "the pool of tensors"))) return h;
    h->ctx = ctx;
    ls_own(ctx, &h->owned, end_heads);
    return ctx->heads = h;
}

static ls_tensor *take_head(ls_ctx *ctx)
{
    struct ls_heads *h = heads_of(ctx);
    if (!h) return NULL;
    if (h->step != ctx->step) {
        h->step = ctx->step;
        h->used = 0;
        h->current = h->first;
    }
    if (!h->current || h->used == HEADS_PER_BLOCK) {
        struct head_block **at = h->current ? &h->current->next : &h->first;
        if (!*at && !(*at = ls_new(ctx, sizeof **at, "the pool of tensors"))) return NULL;
        h->current = *at;
        h->used = 0;
    }
    ls_tensor *t = &h->current->head[h->used++];
    memset(t, 0, sizeof *t);
    return t;
}

static void end_tensor(void *self);

/* All but the head. */
static void end_values(ls_tensor *t)
{
    if (t->grad) end_tensor(t->grad);
    for (ls_hook *h = t->hooks, *next; h; h = next) {
        next = h->next;
        ls_memory_free(h);
    }
    if (t->owns_data) ls_memory_free(t->data);
}

static void end_tensor(void *self)
{
    end_values(self);
    ls_memory_free(self);
}

static void keep_head(struct ls_heads *h, ls_tensor *t)
{
    if (t->lent_until == UINT64_MAX) {
        t->owned.newer = h->lent ? &h->lent->owned : NULL;
        h->lent = t;
        return;
    }
    if (h->newest) h->newest->owned.newer = &t->owned;
    else h->oldest = t;
    h->newest = t;
    for (h->freed++; h->freed > FREED; h->freed--) {
        ls_tensor *first = h->oldest;
        if (first->lent_until && first->lent_until >= h->ctx->step) break;
        h->oldest = next_of(first);
        ls_memory_free(first);
    }
}

/* Of a freed tensor that nobody reads who has to be told. */
static void let_go(ls_tensor *t)
{
    struct ls_heads *h = heads_of(t->ctx);
    if (h) keep_head(h, t);
    else ls_memory_free(t);
}

void ls_tensor_release(ls_tensor *t)
{
    if (--t->holders == 0 && t->step == LS_FREED) let_go(t);
}

/* Ends all but the head, which says from now on that t was freed. */
static void retire(ls_tensor *t)
{
    end_values(t);
    *t = (ls_tensor){ .ctx = t->ctx,
                      .dtype = t->dtype,
                      .shape = t->shape,
                      .in_step = true,
                      .step = LS_FREED,
                      .lent_until = t->lent_until,
                      .holders = t->holders,
                      .requires_grad = t->requires_grad };
    ls_tensor_wrote(t);
    if (!t->holders) let_go(t);
}

void ls_tensor_free(ls_tensor *t)
{
    if (!t || !t->owned.end) return; /* results of operations end with their step */
    ls_disown(t->ctx, &t->owned);
    if (t->grad && t->grad->is_seen) {
        retire(t->grad);
        t->grad = NULL;
    }
    retire(t);
}

static bool is_shape(ls_ctx *ctx, ls_shape shape, bool is_part)
{
    if (!ctx || ctx->failure.status) return false;
    if (ls_shape_count(shape) >= 0 && (!is_part || shape.ndim >= 1)) return true;
    const char *call = ctx->call ? ctx->call : "ls_tensor_new";
    bool is_negative = false;
    for (int i = 0; i < shape.ndim && i < LS_MAX_NDIM; i++)
        is_negative = is_negative || shape.dim[i] < 0;
    if (shape.ndim < is_part || shape.ndim > LS_MAX_NDIM)
        ls_fail(ctx, LS_ERR_SHAPE, "%s: a %s has %d to %d dimensions, not %d", call,
                is_part ? "part" : "tensor", is_part, LS_MAX_NDIM, shape.ndim);
    else
        ls_fail(ctx, LS_ERR_SHAPE, "%s: shape %s has %s", call, ls_shape_str(shape).text,
                is_negative ? "a dimension below 0; all are 0 or more"
                            : "more elements than any memory holds; make a dimension smaller");
    return false;
}

/* Everything but the values, in a zeroed head. */
static void fill_head(ls_tensor *t, ls_ctx *ctx, ls_dtype dtype, ls_shape shape, bool is_part,
                      bool step)
{
    t->ctx = ctx;
    t->dtype = dtype;
    t->shape = shape;
    t->is_part = is_part;
    t->in_step = step && ctx->step;
    t->step = ctx->step;
    t->stamp = ++ctx->stamps;
    t->rows = is_part          ? ls_part_rows(ctx, shape.dim[0])
              : shape.ndim > 0 ? (ls_range){ 0, shape.dim[0] }
                               : (ls_range){ 0, 1 };
    t->count = is_part ? (t->rows.to - t->rows.from) * ls_tensor_row_count(t)
                       : ls_shape_count(shape);
}

static ls_tensor *make_head(ls_ctx *ctx, ls_dtype dtype, ls_shape shape, bool is_part, bool step)
{
    if (!is_shape(ctx, shape, is_part)) return NULL;
    ls_tensor *t = step && ctx->step ? take_head(ctx)
                   : step            ? ls_arena_take(&ctx->life, sizeof *t)
                                     : ls_new(ctx, sizeof *t, "a tensor");
    if (!t) {
        ls_fail_memory(ctx, sizeof *t, "a tensor");
        return NULL;
    }
    if (step && !ctx->step) memset(t, 0, sizeof *t);
    fill_head(t, ctx, dtype, shape, is_part, step);
    return t;
}

static void *take_values(ls_tensor *t)
{
    ls_ctx *ctx = t->ctx;
    size_t bytes = (size_t)t->count * ls_dtype_bytes(t->dtype);
    t->data = ls_arena_take(ctx->step ? &ctx->arena : &ctx->life, bytes ? bytes : 1);
    if (!t->data) ls_fail_memory(ctx, bytes, "a tensor of shape %s", ls_shape_str(t->shape).text);
    return t->data;
}

bool ls_tensor_result(ls_tensor *t, ls_ctx *ctx, ls_dtype dtype, ls_shape shape, bool is_part,
                      void *over)
{
    if (!is_shape(ctx, shape, is_part)) return false;
    memset(t, 0, sizeof *t);
    fill_head(t, ctx, dtype, shape, is_part, true);
    t->is_result = true;
    t->data = over;
    return over || take_values(t);
}

ls_tensor *ls_tensor_over(ls_ctx *ctx, ls_dtype dtype, ls_shape shape, bool is_part, bool step,
                          void *data)
{
    ls_tensor *t = make_head(ctx, dtype, shape, is_part, step);
    if (!t) return NULL;
    t->data = data;
    if (!step) ls_own(ctx, &t->owned, end_tensor);
    return t;
}

ls_tensor *ls_tensor_view(ls_tensor *t, ls_shape shape)
{
    ls_tensor *v = ls_tensor_over(t->ctx, t->dtype, shape, t->is_part, true, t->data);
    if (!v) return NULL;
    v->origin = t->origin;
    v->base = t->base ? t->base : t;
    ls_tensor_lend(v->base);
    return v;
}

ls_tensor *ls_tensor_make(ls_ctx *ctx, ls_dtype dtype, ls_shape shape, bool is_part, bool step)
{
    ls_tensor *t = make_head(ctx, dtype, shape, is_part, step);
    if (!t) return NULL;
    if (step) return take_values(t) ? t : NULL;
    size_t bytes = (size_t)t->count * ls_dtype_bytes(dtype);
    t->data = ls_memory_new(bytes ? bytes : 1);
    if (!t->data) {
        ls_fail_memory(ctx, bytes, "a tensor of shape %s", ls_shape_str(shape).text);
        ls_memory_free(t);
        return NULL;
    }
    t->owns_data = true;
    ls_own(ctx, &t->owned, end_tensor);
    return t;
}

bool ls_tensor_usable(const ls_tensor *t, const char *what)
{
    if (!t || t->ctx->failure.status) return false;
    const bool is_over = t->in_step && t->step != t->ctx->step,
               is_freed = is_over ? t->step == LS_FREED : t->base && t->base->step == LS_FREED;
    if (!is_over && !is_freed) return true;
    if (is_freed)
        ls_fail(t->ctx, LS_ERR_USE,
                "%s: this tensor, %s %s, was freed by ls_tensor_free() before%s", what,
                ls_dtype_name(t->dtype), ls_shape_str(t->shape).text,
                is_over ? "" : ", with the one that it is a view of");
    else
        ls_fail(
            t->ctx, LS_ERR_USE,
            "%s: this tensor was made in step %llu, which has ended: ls_keep() it in its step to "
            "have it for longer",
            what, (unsigned long long)t->step);
    return false;
}

void ls_tensor_wrote(ls_tensor *t)
{
    uint64_t call = t->ctx->calls + 1; /* an operation made before has a smaller number */
    t->ctx->written = (t->base ? t->base : t)->written = call;
}

void ls_tensor_own(const ls_tensor *t)
{
    const ls_links *links = t->ctx->links;
    if (links->is_common(t->ctx, t->data)) links->leave_common(t->ctx);
}

int64_t ls_tensor_row_count(const ls_tensor *t)
{
    int64_t count = 1;
    for (int i = 1; i < t->shape.ndim; i++) count *= t->shape.dim[i];
    return count;
}

/* ---- gradients ------------------------------------------------------------------------------- */
void ls_tensor_grad_set(ls_tensor *t, ls_tensor *grad)
{
    if (t->grad) end_tensor(t->grad);
    t->grad = grad;
    if (!grad) return;
    ls_disown(t->ctx, &grad->owned); /* it ends with t alone */
    grad->owned.end = NULL;
}

ls_tensor *ls_tensor_grad_make(ls_tensor *t)
{
    if (!t->grad) ls_tensor_grad_set(t, ls_tensor_make(t->ctx, t->dtype, t->shape, false, false));
    if (t->grad && !t->has_grad) {
        t->has_grad = true;
        t->grad_fresh = true;
    }
    return t->grad;
}

ls_tensor *ls_tensor_grad(const ls_tensor *t)
{
    if (!t->has_grad) return NULL;
    if (t->grad_fresh) memset(t->grad->data, 0, (size_t)t->count * ls_dtype_bytes(t->dtype));
    return t->grad;
}

ls_tensor *ls_requires_grad(ls_tensor *t)
{
    if (!ls_tensor_usable(t, "ls_requires_grad")) return NULL;
    if (t->is_param) return t;
    if (t->dtype == LS_INT64)
        ls_fail(t->ctx, LS_ERR_TYPE, "ls_requires_grad: an int64 tensor can't have a gradient");
    else if (t->is_part)
        ls_fail(t->ctx, LS_ERR_SHAPE,
                "ls_requires_grad: a part can't be a parameter; ls_whole() makes it whole");
    else if (t->record || t->in_step)
        ls_fail(t->ctx, LS_ERR_USE,
                "ls_requires_grad: the result of an operation can't be a parameter; "
                "ls_keep() copies it out");
    else t->is_param = t->requires_grad = true;
    return t->ctx->failure.status ? NULL : t;
}

ls_tensor *ls_tensor_grad_show(ls_tensor *t)
{
    ls_tensor *grad = ls_tensor_grad(t);
    if (!grad) return NULL;
    grad->is_seen = true;
    t->grad_fresh = false; /* it may be written from now on, and what is there counts */
    return grad;
}

ls_tensor *ls_grad(const ls_tensor *t)
{
    return ls_tensor_usable(t, "ls_grad") ? ls_tensor_grad_show((ls_tensor *)(uintptr_t)t) : NULL;
}

void ls_tensor_grad_wrote(const ls_tensor *t)
{
    if (t->grad && t->grad->is_seen) ls_tensor_wrote(t->grad);
}

/* A gradient that nobody has seen is zeroed when it is read, or written over. */
static void zero_grad(ls_tensor *t)
{
    t->grad_fresh = !t->grad->is_seen;
    if (t->grad->is_seen) memset(t->grad->data, 0, (size_t)t->count * ls_dtype_bytes(t->dtype));
    ls_tensor_grad_wrote(t);
}

void ls_zero_grad(ls_list params)
{
    for (int64_t i = 0; params.at && i < params.count; i++)
        if (ls_tensor_usable(params.at[i], "ls_zero_grad") && params.at[i]->has_grad)
            zero_grad(params.at[i]);
}
