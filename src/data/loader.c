/* loader.c -- batches as parts.
 *
 * A batch is global: rows [s B, (s + 1) B) of the epoch's order, the last one short. A rank reads
 * only its own rows of it, and which those are is not known here (ls_part_rows()). Rows are read in
 * windows of several batches, so that what lies close together is read at once and the two threads
 * meet seldom: of two windows one is in use while the reading thread fills the other with what comes
 * next. The first window of an epoch is a single batch, read when it is asked for, because its order
 * is drawn only then; each further one is twice as large as long as reading is quick, up to bounds of
 * memory. A window's memory grows with it; where there is no more, windows stay as large as they are.
 * A batch that lies in a window already, as where an unshuffled dataset makes few batches, is not read
 * again.
 *
 * A process with a single core gains by the thread only where reading waits, as for a disk. Where it
 * does not, rows are read when they are asked for, in windows so small that they are still in the
 * core's cache when they are used.
 *
 * What a window holds is told by the key of what was read: steps, order, and the dataset's version.
 * A failure stays in the window until its batch is handed out. Nothing here depends on errors of
 * this rank alone: until they are agreed upon, ls_next() goes on with NULLs.
 *
 * Called by programs, and by train's loops. */
#include "data/dataset.h"

/* A window: at least one batch, else at most so many batches and bytes of rows; it does not grow
 * beyond about so long a time. A loader has two. */
enum { WINDOW_BATCHES = 64, WINDOW_BYTES = 3 << 19 };
#define WINDOW_S 0.02
/* The same for one that is read when it is asked for; what takes longer may have waited. */
enum { NEAR_BYTES = 1 << 17 };
#define NEAR_S 0.001

typedef struct batch {
    int64_t rows, first, count; /* of the batch; of it here: those from first on in the window */
    ls_origin origin;
} batch;

typedef struct window {
    ls_dataset *d;
    int64_t order, version; /* order 0: nothing is in it */
    int64_t step, steps;    /* the batches in it */
    int64_t room;           /* rows */
    int64_t *row;
    void *x, *y;
    batch batch[WINDOW_BATCHES];
    /* what reading has told */
    int64_t good; /* batches before the failure, if there is one */
    ls_failure failure;
    double seconds;
    bool waits; /* reading them, or may: worth a thread even where it has no core */
} window;

struct ls_loader {
    ls_owned owned;
    ls_ctx *ctx;
    ls_dataset *d;
    ls_loader_opts opts;
    ls_order order;
    int64_t number; /* of the order, from 1: changes whenever a batch may hold other rows */
    int64_t steps;  /* in an epoch */
    int64_t own;    /* rows of this rank in a batch, at most */
    int64_t epoch, step, last; /* step: that comes next; last: handed out */
    uint64_t seed;
    int64_t from; /* position of the generator at the beginning of epoch 0 */
    window window[2], all;
    int64_t most, near_most; /* batches in a window; in one that is read when it is asked for */
    bool has_core;           /* the reading thread, beside this one */
    window *reading;         /* given to the reading thread, until it is waited for */
    ls_reader reader;
};

/* ---- life ------------------------------------------------------------------------------------ */
static void end_window(window *w)
{
    ls_memory_free(w->row);
    ls_memory_free(w->x);
    ls_memory_free(w->y);
}

static void end_loader(void *self)
{
    ls_loader *l = self;
    ls_reader_end(&l->reader);
    l->d->loaders--;
    if (l->opts.generator) l->opts.generator->loaders--;
    for (int i = 0; i < 2; i++) end_window(&l->window[i]);
    end_window(&l->all);
    ls_memory_free(l->order.row);
    ls_memory_free(l);
}

/* Whether there was memory for so many rows; else w is as it was. */
static bool grow_window(ls_dataset *d, window *w, int64_t rows)
{
    window n = { .row = ls_memory_new((size_t)rows * sizeof *n.row),
                 .x = ls_memory_new((size_t)rows * d->x_bytes),
                 .y = ls_memory_new((size_t)rows * d->y_bytes) };
    if (!n.row || !n.x || !n.y) {
        end_window(&n);
        return false;
    }
    end_window(w);
    w->d = d;
    w->room = rows;
    w->row = n.row, w->x = n.x, w->y = n.y;
    return true;
}

/* A window of so many rows, or the failure into the context. */
static bool make_window(ls_ctx *ctx, ls_dataset *d, window *w, int64_t rows)
{
    if (grow_window(d, w, rows)) return true;
    ls_fail_memory(ctx, (size_t)rows * (sizeof *w->row + d->x_bytes + d->y_bytes),
                   "%lld rows of %s", (long long)rows, d->name);
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

/* How many batches of so many rows a window of so many bytes has room for. */
static int64_t batches_of(const ls_loader *l, int64_t rows, size_t window_bytes)
{
    size_t bytes = (size_t)rows * (l->d->x_bytes + l->d->y_bytes + sizeof(int64_t));
    int64_t most = bytes ? (int64_t)(window_bytes / bytes) : WINDOW_BATCHES;
    if (most > WINDOW_BATCHES) most = WINDOW_BATCHES;
    if (most > l->steps) most = l->steps;
    return most < 1 || !l->d->kind->reads_ahead ? 1 : most;
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
    l->most = batches_of(l, first, WINDOW_BYTES);
    l->near_most = batches_of(l, first, NEAR_BYTES);
    l->has_core = ls_reader_has_core();
    l->own = first > last ? first : last;
    if (!make_window(ctx, l->d, &l->window[0], l->own)) return false;
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
    if (o->generator) {
        o->generator->loaders++;
        l->from = o->generator->position;
    }
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

/* ---- windows --------------------------------------------------------------------------------- */
static ls_status read_batches(window *w, int64_t from, int64_t to)
{
    const batch *a = &w->batch[from], *b = &w->batch[to - 1];
    return ls_dataset_read(w->d, b->first + b->count - a->first, w->row + a->first,
                           (char *)w->x + (size_t)a->first * w->d->x_bytes,
                           (char *)w->y + (size_t)a->first * w->d->y_bytes, &w->failure);
}

/* All at once; where that fails, one after the other, so that the failure is that of its batch. */
static void read_window(void *self)
{
    window *w = self;
    double begin = ls_clock_s();
    w->good = w->steps;
    if (read_batches(w, 0, w->steps)) {
        if (w->steps > 1) w->failure.status = LS_OK;
        for (w->good = 0; w->good < w->steps && !w->failure.status; w->good++)
            if (read_batches(w, w->good, w->good + 1)) break;
    }
    w->seconds = ls_clock_s() - begin;
}

/* On the reading thread. */
static void read_apart(void *self)
{
    window *w = self;
    int64_t sleeps = ls_reader_sleeps();
    read_window(w);
    w->waits = ls_reader_sleeps() != sleeps;
}

/* Whether w holds that batch, or the failure to read it. */
static bool holds(const ls_loader *l, const window *w, int64_t step)
{
    return w->order == l->number && w->version == l->d->version && w->step <= step &&
           step < w->step + w->steps;
}

/* How many of steps batches there is room for in w, which grows where it can. */
static int64_t room_for(const ls_loader *l, window *w, int64_t steps)
{
    if (w->d && w->room >= steps * l->own) return steps;
    if (grow_window(l->d, w, steps * l->own)) return steps;
    return w->d ? w->room / l->own : 0;
}

/* What w is to hold: batches from step on. */
static void prepare(const ls_loader *l, window *w, int64_t step, int64_t steps)
{
    int64_t rows = 0;
    w->order = l->number;
    w->version = l->d->version;
    w->step = step;
    w->steps = steps;
    w->failure.status = LS_OK;
    for (int64_t i = 0; i < steps; i++) {
        batch *b = &w->batch[i];
        int64_t all = batch_rows(l, step + i), first = (step + i) * l->opts.batch_size;
        ls_range own = ls_part_rows(l->ctx, all);
        *b = (batch){ all, rows, own.to - own.from, { w->d->name, w->row + rows } };
        ls_order_rows(&l->order, first + own.from, b->count, w->row + rows);
        rows += b->count;
    }
}

static void wait_for_reader(ls_loader *l)
{
    ls_reader_wait(&l->reader);
    l->reading = NULL;
}

/* Whether what follows window w is read when it is asked for. */
static bool reads_late(const ls_loader *l, const window *w)
{
    return !l->d->kind->reads_ahead || (!l->has_core && !w->waits);
}

/* How many batches, from step on, are read at once after window w. */
static int64_t steps_after(const ls_loader *l, const window *w, int64_t step, int64_t most)
{
    int64_t steps = w->steps;
    if (w->seconds < WINDOW_S / 2) steps *= 2;
    else if (w->seconds > WINDOW_S) steps /= 2;
    if (steps < 1) steps = 1;
    if (steps > most) steps = most;
    return steps < l->steps - step ? steps : l->steps - step;
}

/* The window with the next batch; read now where that was not foreseen. */
static window *find_window(ls_loader *l)
{
    window *w = holds(l, &l->window[1], l->step) ? &l->window[1] : &l->window[0];
    bool is_there = holds(l, w, l->step);
    if (w == l->reading || !is_there) wait_for_reader(l);
    if (is_there) return w;
    int64_t steps = reads_late(l, w) ? steps_after(l, w, l->step, l->near_most) : 1;
    prepare(l, w, l->step, room_for(l, w, steps));
    read_window(w);
    w->waits = w->seconds > NEAR_S;
    return w;
}

/* Reads what follows window w into the other one. */
static void read_ahead(ls_loader *l, const window *w)
{
    window *next = &l->window[w == l->window];
    int64_t step = w->step + w->steps;
    if (l->reading || step == l->steps || reads_late(l, w) || holds(l, next, step)) return;
    int64_t steps = room_for(l, next, steps_after(l, w, step, l->most));
    if (steps == 0) return; /* read when it is asked for */
    prepare(l, next, step, steps);
    l->reading = next;
    ls_reader_ask(&l->reader, read_apart, next);
}

/* ---- handing out ----------------------------------------------------------------------------- */
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
static void hand_out(ls_ctx *ctx, window *w, int64_t step, ls_tensor **x, ls_tensor **y)
{
    const ls_dataset *d = w->d;
    const batch *b = &w->batch[step - w->step];
    if (step - w->step >= w->good) {
        w->order = 0;
        ls_fail_with(ctx, &w->failure);
        return;
    }
    *x = part_over(ctx, d->x, b->rows, (char *)w->x + (size_t)b->first * d->x_bytes, &b->origin);
    *y = part_over(ctx, d->y, b->rows, (char *)w->y + (size_t)b->first * d->y_bytes, &b->origin);
    if (!*x || !*y) *x = *y = NULL;
}

/* ---- walking --------------------------------------------------------------------------------- */
static void begin_epoch(ls_loader *l)
{
    if (l->opts.generator) ls_order_draw_from(&l->order, l->opts.generator);
    else l->seed = ls_order_draw(&l->order, &l->ctx->random);
    if (l->opts.shuffle || !l->d->kind->stays) l->number++;
}

#define TOO_FAR "%s: epoch %lld: up to its end more than 2^63 - 1 words are drawn"
/* Where the words of a generator can be counted up to the end of an epoch. */
static bool is_reached(const ls_loader *l, int64_t epoch)
{
    return !l->opts.generator || epoch < (INT64_MAX - l->from) / ls_order_words(&l->order);
}

/* The order of an epoch that has not begun, from a copy of the stream. */
static void order_of_later(const ls_loader *l, int64_t epoch, ls_order *o)
{
    int64_t begun = l->step > 0; /* of this epoch */
    if (l->opts.generator) {
        ls_generator g = *l->opts.generator;
        ls_generator_set_position(&g, l->from + epoch * ls_order_words(o));
        ls_order_draw_from(o, &g);
        return;
    }
    ls_random r = l->ctx->random;
    ls_order_skip(o, epoch - l->epoch - begun, &r);
    ls_order_draw(o, &r);
}

int64_t ls_loader_rows(const ls_loader *l, int64_t epoch, int64_t step, int64_t *rows)
{
    if (!l || !ls_given(l->ctx, "ls_loader_rows", rows, "room")) return 0;
    if (epoch < l->epoch || step < 0 || step >= l->steps) {
        ls_fail(l->ctx, LS_ERR_ARG,
                "ls_loader_rows: step %lld of epoch %lld: epochs are %lld or later, and have %lld "
                "steps",
                (long long)step, (long long)epoch, (long long)l->epoch, (long long)l->steps);
        return 0;
    }
    if (!is_reached(l, epoch)) {
        ls_fail(l->ctx, LS_ERR_ARG, TOO_FAR, "ls_loader_rows", (long long)epoch);
        return 0;
    }
    ls_order o = l->order;
    bool is_later = o.row && (epoch > l->epoch || !l->step);
    if (is_later &&
        !(o.row = ls_new(l->ctx, (size_t)o.rows * sizeof *o.row, "the order of an epoch")))
        return 0;
    if (is_later) order_of_later(l, epoch, &o);
    int64_t count = batch_rows(l, step);
    ls_order_rows(&o, step * l->opts.batch_size, count, rows);
    if (is_later) ls_memory_free(o.row);
    return count;
}

bool ls_next(ls_loader *l, ls_tensor **x, ls_tensor **y)
{
    ls_tensor *unwanted[2];
    if (!x) x = &unwanted[0];
    if (!y) y = &unwanted[1];
    *x = *y = NULL;
    if (!l || l->ctx->agreed) return false;
    ls_ctx *ctx = l->ctx;
    if (l->step == l->steps) {
        ls_enter(ctx, "ls_next");
        if (l->opts.generator) ls_order_end_from(&l->order, l->opts.generator);
        l->epoch++;
        l->step = 0;
        return false;
    }
    ls_step_begin(ctx);
    ls_enter(ctx, "ls_next");
    if (l->step == 0) begin_epoch(l);
    if (!ctx->failure.status) {
        window *w = find_window(l);
        hand_out(ctx, w, l->step, x, y);
        if (!ctx->failure.status) read_ahead(l, w);
    }
    l->last = l->step++;
    return true;
}

bool ls_loader_all(ls_loader *l, ls_tensor **x, ls_tensor **y)
{
    *x = *y = NULL;
    if (!l || !ls_step_begin(l->ctx)) return false;
    ls_ctx *ctx = l->ctx;
    window *w = &l->all;
    if (ctx->failure.status) return true;
    ls_range own = ls_part_rows(ctx, l->d->rows);
    int64_t count = own.to - own.from;
    if (!w->d && !make_window(ctx, l->d, w, count)) return true;
    if (w->order == 0 || w->version != l->d->version || !l->d->kind->stays) {
        w->order = w->steps = 1;
        w->version = l->d->version;
        w->failure.status = LS_OK;
        w->batch[0] = (batch){ l->d->rows, 0, count, { l->d->name, w->row } };
        for (int64_t i = 0; i < count; i++) w->row[i] = own.from + i;
        read_window(w);
    }
    hand_out(ctx, w, 0, x, y);
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
                       l->d->name, (long long)s.step + 1, (long long)s.epoch, (long long)l->steps);
    if (!is_reached(l, s.epoch))
        return ls_fail(l->ctx, LS_ERR_CONFIG, TOO_FAR, l->d->name, (long long)s.epoch);
    wait_for_reader(l);
    l->epoch = s.epoch;
    l->step = s.step;
    l->last = s.step - 1;
    l->seed = s.seed;
    l->number++;
    if (l->opts.generator) {
        ls_generator_set_position(l->opts.generator, l->from + s.epoch * ls_order_words(&l->order));
        if (s.step > 0) ls_order_draw_from(&l->order, l->opts.generator);
    } else if (s.step > 0) ls_order_set(&l->order, s.seed);
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
