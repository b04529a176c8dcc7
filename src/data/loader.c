/* loader.c -- batches as parts.
 *
 * A batch is global: rows [s B, (s + 1) B) of the epoch's order, the last one short. A rank reads
 * only its own rows of it, and which those are is not known here (ls_part_rows()). Of two buffers
 * one is in use while the reading thread fills the other with the next batch; the first batch of an
 * epoch is read when it is asked for, because its order is drawn only then. A batch that is in its
 * buffer already, as where an unshuffled dataset makes one or two batches, is not read again.
 *
 * What a buffer holds is told by the key of what was read: step, order, and the dataset's version.
 * A failure stays in the buffer until that batch is handed out. Nothing here depends on errors of
 * this rank alone: until they are agreed upon, ls_next() goes on with NULLs.
 *
 * Called by programs, and by train's loops. */
#include "data/dataset.h"

typedef struct batch {
    ls_dataset *d;
    int64_t step, order, version; /* order 0: nothing */
    int64_t rows, count;          /* of the batch, and of it here */
    int64_t *row;
    void *x, *y;
    ls_origin origin;
    ls_failure failure;
} batch;

struct ls_loader {
    ls_owned owned;
    ls_ctx *ctx;
    ls_dataset *d;
    ls_loader_opts opts;
    ls_order order;
    int64_t number; /* of the order, from 1: changes whenever a batch may hold other rows */
    int64_t steps;  /* in an epoch */
    int64_t epoch, step, last; /* step: that comes next; last: handed out */
    uint64_t seed;
    batch batch[2], all;
    ls_reader reader;
};

/* ---- life ------------------------------------------------------------------------------------ */
static void end_batch(batch *b)
{
    ls_memory_free(b->row);
    ls_memory_free(b->x);
    ls_memory_free(b->y);
}

static void end_loader(void *self)
{
    ls_loader *l = self;
    ls_reader_end(&l->reader);
    l->d->loaders--;
    for (int i = 0; i < 2; i++) end_batch(&l->batch[i]);
    end_batch(&l->all);
    ls_memory_free(l->order.row);
    ls_memory_free(l);
}

static bool make_batch(ls_ctx *ctx, ls_dataset *d, batch *b, int64_t count)
{
    b->d = d;
    b->row = ls_new(ctx, (size_t)count * sizeof *b->row, "the row numbers of a batch");
    b->x = ls_new(ctx, (size_t)count * d->x_bytes, "the inputs of a batch");
    b->y = ls_new(ctx, (size_t)count * d->y_bytes, "the targets of a batch");
    b->origin = (ls_origin){ d->name, b->row };
    if (b->row && b->x && b->y) return true;
    end_batch(b);
    *b = (batch){ 0 };
    return false;
}

/* Rows of a batch, and of it here. */
static int64_t batch_rows(const ls_loader *l, int64_t step)
{
    int64_t left = l->order.rows - step * l->opts.batch_size;
    return left < l->opts.batch_size ? left : l->opts.batch_size;
}

static int64_t rows_here(const ls_ctx *ctx, int64_t rows)
{
    ls_range own = ls_part_rows(ctx, rows);
    return own.to - own.from;
}

static bool fill_loader(ls_loader *l)
{
    ls_ctx *ctx = l->ctx;
    int64_t rows = l->order.rows, size = l->opts.batch_size;
    l->number = 1;
    l->last = -1;
    l->steps = rows / size + (rows % size != 0 && !l->opts.drop_last);
    if (l->steps == 0) {
        ls_fail(ctx, LS_ERR_ARG,
                "%s: with drop_last, batches of %lld rows leave nothing of %lld rows: a smaller "
                "batch_size helps",
                l->d->name, (long long)size, (long long)rows);
        return false;
    }
    int64_t first = rows_here(ctx, batch_rows(l, 0)),
            last = rows_here(ctx, batch_rows(l, l->steps - 1));
    for (int i = 0; i < 2; i++)
        if (!make_batch(ctx, l->d, &l->batch[i], first > last ? first : last)) return false;
    if (l->opts.shuffle)
        l->order.row = ls_new(ctx, (size_t)rows * sizeof *l->order.row, "the order of an epoch");
    return !ctx->failure.status;
}

ls_loader *ls_loader_new(ls_ctx *ctx, ls_dataset *d, const ls_loader_opts *o)
{
    if (!ls_enter(ctx, "ls_loader_new")) return NULL;
    if (!d || !o || o->batch_size < 1) {
        if (!d) ls_fail(ctx, LS_ERR_ARG, "ls_loader_new: there is no dataset");
        else
            ls_fail(ctx, LS_ERR_ARG, "ls_loader_new: batch_size is %lld: it must be above 0",
                    o ? (long long)o->batch_size : 0);
        return NULL;
    }
    ls_loader *l = ls_new(ctx, sizeof *l, "a loader");
    if (!l) return NULL;
    l->ctx = ctx;
    l->d = d;
    l->opts = *o;
    l->order.rows = d->rows;
    d->loaders++;
    if (fill_loader(l)) {
        ls_own(ctx, &l->owned, end_loader);
        return l;
    }
    end_loader(l);
    return NULL;
}

void ls_loader_free(ls_loader *l)
{
    if (!l) return;
    ls_disown(l->ctx, &l->owned);
    end_loader(l);
}

/* ---- reading --------------------------------------------------------------------------------- */
static void read_batch(void *self)
{
    batch *b = self;
    ls_dataset_read(b->d, b->count, b->row, b->x, b->y, &b->failure);
}

/* Whether b holds that batch, or the failure to read it. */
static bool holds(const ls_loader *l, const batch *b, int64_t step)
{
    return b->step == step && b->order == l->number && b->version == l->d->version;
}

static void prepare(const ls_loader *l, batch *b, int64_t step)
{
    int64_t first = step * l->opts.batch_size;
    b->step = step;
    b->order = l->number;
    b->version = l->d->version;
    b->failure.status = LS_OK;
    b->rows = batch_rows(l, step);
    ls_range own = ls_part_rows(l->ctx, b->rows);
    b->count = own.to - own.from;
    ls_order_rows(&l->order, first + own.from, b->count, b->row);
}

static void read_ahead(ls_loader *l)
{
    batch *b = &l->batch[l->step % 2];
    if (l->step == l->steps || !l->d->kind->reads_ahead || holds(l, b, l->step)) return;
    prepare(l, b, l->step);
    ls_reader_ask(&l->reader, read_batch, b);
}

static ls_tensor *part_over(ls_ctx *ctx, ls_row row, int64_t rows, void *data,
                            const ls_origin *origin)
{
    ls_shape shape = { row.shape.ndim + 1, { rows } };
    for (int i = 0; i < row.shape.ndim; i++) shape.dim[i + 1] = row.shape.dim[i];
    ls_tensor *t = ls_tensor_over(ctx, row.type, shape, true, true, data);
    if (t) t->origin = origin;
    return t;
}

/* The tensors of a batch that has been read, or its failure into the context. */
static void hand_out(ls_ctx *ctx, batch *b, ls_tensor **x, ls_tensor **y)
{
    if (b->failure.status) {
        b->order = 0;
        ls_fail_with(ctx, &b->failure);
        return;
    }
    *x = part_over(ctx, b->d->x, b->rows, b->x, &b->origin);
    *y = part_over(ctx, b->d->y, b->rows, b->y, &b->origin);
    if (!*x || !*y) *x = *y = NULL;
}

/* ---- walking --------------------------------------------------------------------------------- */
static void begin_epoch(ls_loader *l)
{
    l->seed = ls_order_draw(&l->order, &l->ctx->random);
    if (l->opts.shuffle || !l->d->kind->stays) l->number++;
}

bool ls_next(ls_loader *l, ls_tensor **x, ls_tensor **y)
{
    *x = *y = NULL;
    if (!l || l->ctx->agreed) return false;
    ls_ctx *ctx = l->ctx;
    if (l->step == l->steps) {
        ls_enter(ctx, "ls_next");
        l->epoch++;
        l->step = 0;
        return false;
    }
    ls_step_begin(ctx);
    ls_enter(ctx, "ls_next");
    if (l->step == 0) begin_epoch(l);
    batch *b = &l->batch[l->step % 2];
    if (!ctx->failure.status) {
        ls_reader_wait(&l->reader);
        if (!holds(l, b, l->step)) {
            prepare(l, b, l->step);
            read_batch(b);
        }
        hand_out(ctx, b, x, y);
    }
    l->last = l->step++;
    if (!ctx->failure.status) read_ahead(l);
    return true;
}

bool ls_loader_all(ls_loader *l, ls_tensor **x, ls_tensor **y)
{
    *x = *y = NULL;
    if (!l || !ls_step_begin(l->ctx)) return false;
    ls_ctx *ctx = l->ctx;
    batch *b = &l->all;
    if (ctx->failure.status) return true;
    ls_range own = ls_part_rows(ctx, l->d->rows);
    if (!b->d && !make_batch(ctx, l->d, b, own.to - own.from)) return true;
    if (b->order == 0 || b->version != l->d->version || !l->d->kind->stays) {
        *b = (batch){ .d = l->d,
                      .order = 1,
                      .version = l->d->version,
                      .rows = l->d->rows,
                      .count = own.to - own.from,
                      .row = b->row,
                      .x = b->x,
                      .y = b->y,
                      .origin = b->origin };
        for (int64_t i = 0; i < b->count; i++) b->row[i] = own.from + i;
        read_batch(b);
    }
    hand_out(ctx, b, x, y);
    return true;
}

/* ---- state ----------------------------------------------------------------------------------- */
ls_loader_state ls_loader_get_state(const ls_loader *l)
{
    if (!l) return (ls_loader_state){ 0 };
    return (ls_loader_state){ l->epoch, l->step, l->step > 0 ? l->seed : 0 };
}

ls_status ls_loader_set_state(ls_loader *l, ls_loader_state s)
{
    if (s.epoch < 0 || s.step < 0 || s.step > l->steps)
        return ls_fail(l->ctx, LS_ERR_CONFIG,
                       "%s: step %lld of epoch %lld comes next, but an epoch has %lld steps",
                       l->d->name, (long long)s.step, (long long)s.epoch, (long long)l->steps);
    ls_reader_wait(&l->reader);
    l->epoch = s.epoch;
    l->step = s.step;
    l->last = s.step - 1;
    l->seed = s.seed;
    l->number++;
    if (s.step > 0) ls_order_set(&l->order, s.seed);
    return LS_OK;
}

/* ---- getters --------------------------------------------------------------------------------- */
ls_dataset *ls_loader_dataset(const ls_loader *l)
{
    return l ? l->d : NULL;
}

const ls_loader_opts *ls_loader_options(const ls_loader *l)
{
    return l ? &l->opts : NULL;
}

int64_t ls_loader_steps(const ls_loader *l)
{
    return l ? l->steps : 0;
}

int64_t ls_loader_step(const ls_loader *l)
{
    return l ? l->last : -1;
}

int64_t ls_loader_epoch(const ls_loader *l)
{
    return l && !l->ctx->agreed ? l->epoch : INT64_MAX;
}
