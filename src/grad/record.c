/* record.c -- the steps that there were, as a tree of records.
 *
 * Programs do the same in every step. So what an operation needs is worked out once: its record
 * stays, as the child of the record before it, and a step that makes the same call at the same
 * place only has to compare. The path from the root is the step so far: an input that is the result
 * of a record on it is the same by being the same pointer; what comes from outside (parameters,
 * batches) is compared by its stamp, or field by field. Where a step goes another way (a short
 * batch, a branch) a record gets another child. Addresses hold because the step's arena gives the
 * same ones: the record knows where it stood.
 *
 * A record fits if nothing is different that its operation could see but values; with other
 * arguments it fits if the operation itself finds the same shape. What does not fit takes the long
 * way in tape.c, with its checks and messages. When the arena moves, or the tree has grown far
 * beyond one step, it is begun anew.
 */
#include "grad/plan.h"
#include <string.h>

enum { PER_BLOCK = 32, MOST_CHILDREN = 8, MOST_STEPS = 8, MANY = 1024 };

struct ls_record_block {
    struct ls_record_block *next;
    ls_record record[PER_BLOCK];
};

/* ---- the tree -------------------------------------------------------------------------------- */
static void forget_plans(ls_record *r)
{
    for (ls_plan *p = r->plans; p; p = p->other) p->of = NULL;
    r->plans = NULL;
}

static void forget_all(ls_ctx *ctx, ls_tape *tape)
{
    for (ls_plan *p = tape->plans; p; p = p->next) p->of = NULL;
    tape->root.child = tape->spare = NULL;
    tape->block = tape->blocks;
    tape->used = tape->made = tape->deepest = 0;
    tape->stale = false;
    tape->number = ctx->arena.number;
    ls_arena_reset(&tape->large);
}

static void begin_step(ls_ctx *ctx)
{
    ls_tape *tape = ctx->tape;
    tape->step = ctx->step;
    tape->last = tape->last_of_life;
    tape->at = &tape->root;
    ls_arena_take(&ctx->arena, 0); /* there is a block from the first step on */
    if (tape->made > MOST_STEPS * tape->deepest + MANY) tape->stale = true;
    if (tape->number != ctx->arena.number || tape->stale || tape->anew) forget_all(ctx, tape);
}

/* r and all that came after it; r hangs nowhere any more. */
static void forget(ls_tape *tape, ls_record *r)
{
    r->other = NULL;
    while (r) {
        ls_record *rest = r->other, *last = r->child;
        while (last && last->other) last = last->other;
        if (last) last->other = rest, rest = r->child;
        if (r->args_bytes > sizeof r->room) tape->stale = true;
        forget_plans(r);
        r->other = tape->spare;
        tape->spare = r;
        tape->made--;
        r = rest;
    }
}

/* ---- what fits ------------------------------------------------------------------------------- */
/* An input from outside: the same tensor, or one of the same kind at its place. */
static bool is_same_tensor(ls_record *r, int i, const ls_tensor *t)
{
    const ls_array *a = &r->node.in[i];
    if (t->in_step && t->step != t->ctx->step) return false;
    if (t->requires_grad != (r->grads >> i & 1)) return false;
    if (t->stamp == r->stamp[i]) return true;
    if (t->ctx != r->node.ctx || t->dtype != r->node.in_dtype[i] || t->is_part != a->is_part ||
        t->shape.ndim != a->shape.ndim)
        return false;
    for (int d = 0; d < t->shape.ndim; d++)
        if (t->shape.dim[d] != (t->is_part && !d ? r->node.batch_rows : a->shape.dim[d]))
            return false;
    r->stamp[i] = t->stamp;
    return true;
}

static inline bool is_same_call(const ls_ctx *ctx, ls_record *r, const ls_op *op, ls_list in)
{
    if (r->op != op || r->from != ctx->arena.at || r->quiet != (ctx->scopes != NULL)) return false;
    for (int i = 0; i < r->n_in; i++) {
        const ls_tensor *t = i < in.count ? in.at[i] : NULL;
        if (t != r->in[i]) return false;
        if (r->outside >> i & 1 && !is_same_tensor(r, i, t)) return false;
    }
    return true;
}

static inline bool is_same_args(const ls_record *r, const void *args, size_t bytes)
{
    if (bytes != r->args_bytes) return false;
    if (bytes == sizeof(uint64_t)) { /* one number, as most have: no call */
        uint64_t now, then;
        memcpy(&now, args, sizeof now);
        memcpy(&then, r->room, sizeof then);
        return now == then;
    }
    return !bytes || !memcmp(r->args, args, bytes);
}

/* Other arguments, with which the result has the same shape: they are taken over. */
static bool takes_args(ls_record *r, const void *args, size_t bytes)
{
    if (!bytes || bytes != r->args_bytes) return false;
    ls_node n = r->node;
    n.args = args;
    n.out = (ls_array){ 0 };
    n.out_dtype = n.dtype;
    for (int i = 0; i < r->n_in; i++)
        if (r->in[i])
            n.in[i].shape = r->in[i]->shape, n.in[i].count = ls_shape_count(r->in[i]->shape);
    if (r->op->shape(&n) || n.out_dtype != r->node.out_dtype ||
        !ls_shape_equal(n.out.shape, r->out->shape))
        return false;
    memcpy((void *)(uintptr_t)r->args, args, bytes);
    return true;
}

/* The step stands at r, whose arrays are this step's. */
static inline ls_record *go_to(ls_ctx *ctx, ls_record *r)
{
    ls_tape *tape = ctx->tape;
    tape->at = r;
    ctx->arena.at = r->to;
    r->call = ++ctx->calls;
    ctx->call = r->op->name;
    if (r->recorded) {
        tape->last = r;
        r->result.grad_name = ls_op_grad_name(r->op); /* another step may have named it otherwise */
    }
    r->used = false;
    r->result.step = ctx->step;
    r->result.has_grad = r->result.retains_grad = false;
    r->node.stores = 0;
    r->node.leaf_rows = 0;
    for (int i = 0; i < r->n_in; i++)
        if (r->in[i]) {
            r->node.in[i].data = r->in[i]->data;
            if (r->recorded) ls_tensor_lend(r->in[i]);
        }
    if (r->op->flags & LS_OP_VIEW) {
        r->result.origin = r->in[0]->origin;
        r->result.data = r->node.out.data = r->in[0]->data;
        r->result.base = r->in[0]->base ? r->in[0]->base : r->in[0];
        ls_tensor_lend(r->result.base);
    }
    return r;
}

static ls_record *go_to_other(ls_ctx *ctx, ls_record **at)
{
    ls_record *r = *at, *parent = ctx->tape->at;
    *at = r->other;
    r->other = parent->child;
    parent->child = r;
    return go_to(ctx, r);
}

/* Any child but the first; or one with other arguments. */
static ls_record *find_other(ls_ctx *ctx, const ls_op *op, ls_list in, const void *args,
                             size_t bytes)
{
    for (ls_record **at = &ctx->tape->at->child; *at; at = &(*at)->other)
        if (is_same_call(ctx, *at, op, in) && is_same_args(*at, args, bytes))
            return go_to_other(ctx, at);
    for (ls_record **at = &ctx->tape->at->child; *at; at = &(*at)->other)
        if (is_same_call(ctx, *at, op, in) && takes_args(*at, args, bytes))
            return go_to_other(ctx, at);
    return NULL;
}

ls_record *ls_record_find(ls_ctx *ctx, const ls_op *op, ls_list in, const void *args,
                          size_t args_bytes)
{
    if (ctx->failure.status) return NULL;
    if (ctx->tape->step != ctx->step) begin_step(ctx);
    ls_record *r = ctx->tape->at->child;
    if (!r) return NULL;
    if (is_same_call(ctx, r, op, in) && is_same_args(r, args, args_bytes)) return go_to(ctx, r);
    return find_other(ctx, op, in, args, args_bytes);
}

/* ---- new ones -------------------------------------------------------------------------------- */
static ls_record *take(ls_ctx *ctx)
{
    ls_tape *tape = ctx->tape;
    ls_record *r = tape->spare;
    if (!ctx->step) return ls_arena_take(&ctx->life, sizeof *r);
    if (r) {
        tape->spare = r->other;
        return r;
    }
    if (!tape->block || tape->used == PER_BLOCK) {
        struct ls_record_block **at = tape->block ? &tape->block->next : &tape->blocks;
        if (!*at && !(*at = ls_new(ctx, sizeof **at, "the records of a step"))) return NULL;
        tape->block = *at;
        tape->used = 0;
    }
    return &tape->block->record[tape->used++];
}

static bool set_args(ls_ctx *ctx, ls_record *r, const void *args, size_t bytes)
{
    void *room = bytes <= sizeof r->room
                     ? r->room
                     : ls_arena_take(ctx->step ? &ctx->tape->large : &ctx->life, bytes);
    if (!bytes) return true;
    if (room) memcpy(room, args, bytes);
    r->args = room;
    r->args_bytes = bytes;
    return room;
}

ls_record *ls_record_new(ls_ctx *ctx, const ls_op *op, int n_in, ls_tensor *const in[],
                         const void *args, size_t args_bytes)
{
    ls_record *r = take(ctx);
    if (r) {
        memset(r, 0, offsetof(ls_record, result)); /* a result of another step stays one */
        if (ctx->step) ctx->tape->made++;
    }
    if (!r || !set_args(ctx, r, args, args_bytes)) {
        ls_fail_memory(ctx, sizeof *r + args_bytes, "the record of %s", op->name);
        if (r) ls_record_drop(ctx, r);
        return NULL;
    }
    r->op = op;
    r->n_in = n_in;
    r->call = ctx->calls;
    r->quiet = ctx->scopes != NULL;
    r->from = ctx->arena.at;
    for (int i = 0; i < n_in; i++) {
        const ls_tensor *t = r->in[i] = in[i];
        if (!t) continue;
        r->grads |= (uint8_t)(t->requires_grad << i);
        r->outside |= (uint8_t)(!(t->is_result && t->in_step) << i);
        r->stamp[i] = t->stamp;
    }
    return r;
}

void ls_record_keep(ls_ctx *ctx, ls_record *r)
{
    if (!ctx->step) return;
    ls_tape *tape = ctx->tape;
    ls_record *parent = tape->at, **last = &parent->child;
    int children = 0;
    for (; *last && (*last)->other; last = &(*last)->other) children++;
    if (children + 1 >= MOST_CHILDREN) {
        ls_record *old = *last;
        *last = NULL;
        forget(tape, old);
    }
    r->to = ctx->arena.at;
    r->parent = parent;
    r->other = parent->child;
    parent->child = r;
    r->depth = parent->depth + 1;
    if (r->depth > tape->deepest) tape->deepest = r->depth;
    tape->at = r;
}

void ls_record_drop(ls_ctx *ctx, ls_record *r)
{
    if (ctx->step) forget(ctx->tape, r);
}

void ls_records_end(ls_tape *tape)
{
    for (struct ls_record_block *b = tape->blocks, *next; b; b = next) {
        next = b->next;
        ls_memory_free(b);
    }
    ls_arena_free(&tape->large);
    ls_plans_end(tape);
}
