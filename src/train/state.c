/* state.c -- what a checkpoint holds: written from the objects of a run, and read back into them. Values
 * of parameters and optimizer are lent to the image, not copied.
 *
 * Only the root touches the file. Reading has two halves so that nothing is changed by a file that
 * does not fit: the root gathers all values, checked against the run, in one block of bytes; that
 * block goes to all ranks, and each puts it in place. The block's order is that of the objects,
 * which every rank has alike: a header, the history, the parameters' values, the optimizer's state.
 */
#include "train/train.h"
#include <stdio.h>
#include <string.h>

typedef struct header {
    ls_loader_state loader;
    double cost_sum;
    int64_t cost_rows, epochs, is_unfinished;
    ls_random random;
} header;

/* ---- writing --------------------------------------------------------------------------------- */
static ls_status put_model(const ls_run *run, ls_image *m, ls_failure *f)
{
    ls_list p = ls_parameters(run->model);
    char path[512];
    for (int64_t i = 0; i < p.count && !f->status; i++) {
        snprintf(path, sizeof path, "/model/%s", ls_parameter_name(run->model, i));
        ls_image_lend(m, path, p.at[i]->dtype, p.at[i]->shape, p.at[i]->data, f);
    }
    return f->status;
}

/* The name in the model of a parameter of the optimizer; "parameter-3" if the model has it not. */
static void state_path(const ls_run *run, int64_t i, int slot, char *path, size_t bytes)
{
    const ls_optim *o = run->optim;
    ls_list p = ls_parameters(run->model);
    for (int64_t k = 0; k < p.count; k++)
        if (p.at[k] == o->params.at[i]) {
            snprintf(path, bytes, "/optimizer/state/%s/%s", ls_parameter_name(run->model, k),
                     o->kind->slot[slot]);
            return;
        }
    snprintf(path, bytes, "/optimizer/state/parameter-%lld/%s", (long long)i, o->kind->slot[slot]);
}

static ls_status put_optimizer(const ls_run *run, ls_image *m, ls_failure *f)
{
    const ls_optim *o = run->optim;
    char path[512];
    ls_image_put_text(m, "/optimizer", "name", o->kind->name, f);
    ls_image_put_real(m, "/optimizer", "lr", o->sgd.lr, f);
    ls_image_put_real(m, "/optimizer", "momentum", o->sgd.momentum, f);
    ls_image_put_real(m, "/optimizer", "dampening", o->sgd.dampening, f);
    ls_image_put_real(m, "/optimizer", "weight_decay", o->sgd.weight_decay, f);
    ls_image_put_int(m, "/optimizer", "nesterov", o->sgd.nesterov, f);
    for (int64_t i = 0; i < o->params.count; i++)
        for (int s = 0; s < o->slots && o->began[i] && !f->status; s++) {
            state_path(run, i, s, path, sizeof path);
            ls_image_lend(m, path, o->params.at[i]->dtype, o->params.at[i]->shape,
                          ls_optim_state(o, i, s), f);
        }
    return f->status;
}

enum { RANDOM_WORDS = 628 }; /* 624 words, position, whether a normal waits, and that normal */

static ls_status put_progress(ls_ctx *ctx, const ls_run *run, const ls_progress *p, ls_image *m,
                              ls_failure *f)
{
    ls_loader_state s = ls_loader_get_state(run->data);
    bool ended = s.step == ls_loader_steps(run->data); /* the next step opens an epoch */
    uint32_t words[RANDOM_WORDS];
    memcpy(words, ctx->random.word, sizeof ctx->random.word);
    words[624] = ctx->random.position;
    words[625] = ctx->random.has_normal;
    memcpy(words + 626, &ctx->random.next_normal, 8);
    ls_image_put_int(m, "/progress", "epoch", s.epoch + ended, f);
    ls_image_put_int(m, "/progress", "step", ended ? 0 : s.step, f);
    ls_image_put_int(m, "/progress", "shuffle_seed", (int64_t)(ended || !s.step ? 0 : s.seed), f);
    ls_image_put_real(m, "/progress", "cost_sum", p->cost_sum, f);
    ls_image_put_int(m, "/progress", "cost_rows", p->cost_rows, f);
    return ls_image_put_words(m, "/progress/rng", RANDOM_WORDS, words, f);
}

static const struct {
    const char *path;
    size_t offset;
} history_columns[] = {
    { "/history/cost", offsetof(ls_history, cost) },
    { "/history/lr", offsetof(ls_history, lr) },
    { "/history/validation_cost", offsetof(ls_history, validation_cost) },
    { "/history/validation_accuracy", offsetof(ls_history, validation_accuracy) },
};
enum { HISTORY_COLUMNS = sizeof history_columns / sizeof *history_columns };

static ls_status put_history(const ls_progress *p, ls_image *m, ls_failure *f)
{
    ls_shape shape = { 1, { p->epochs } };
    const size_t bytes = (size_t)p->epochs * sizeof(int64_t);
    int64_t *column = p->epochs ? ls_memory_new(bytes) : NULL;
    if (!p->epochs) return f->status;
    if (!column) return ls_failure_memory(f, bytes, "the history of a checkpoint");
    for (int64_t i = 0; i < p->epochs; i++) column[i] = p->history[i].epoch;
    ls_image_put(m, "/history/epoch", LS_INT64, shape, column, f);
    for (int c = 0; c < HISTORY_COLUMNS && !f->status; c++) {
        for (int64_t i = 0; i < p->epochs; i++)
            memcpy(column + i, (const char *)&p->history[i] + history_columns[c].offset,
                   sizeof(double));
        ls_image_put(m, history_columns[c].path, LS_FLOAT64, shape, column, f);
    }
    ls_memory_free(column);
    return f->status;
}

static ls_status put_data(const ls_run *run, ls_image *m, ls_failure *f)
{
    const ls_dataset *d = ls_loader_dataset(run->data);
    ls_row x = ls_dataset_x(d), y = ls_dataset_y(d);
    const double *mean, *deviation;
    int64_t features = ls_dataset_normal(d, &mean, &deviation);
    ls_image_put_int(m, "/data", "rows", ls_dataset_rows(d), f);
    ls_image_put_text(m, "/data", "x", ls_shape_str(x.shape).text, f);
    ls_image_put_text(m, "/data", "x_type", ls_dtype_name(x.type), f);
    ls_image_put_text(m, "/data", "y", ls_shape_str(y.shape).text, f);
    ls_image_put_text(m, "/data", "y_type", ls_dtype_name(y.type), f);
    ls_image_put_text(m, "/data", "fingerprint", ls_dataset_fingerprint(d), f);
    if (features) {
        ls_image_put(m, "/data/mean", LS_FLOAT64, (ls_shape){ 1, { features } }, mean, f);
        ls_image_put(m, "/data/deviation", LS_FLOAT64, (ls_shape){ 1, { features } }, deviation, f);
    }
    return f->status;
}

ls_status ls_state_write(ls_ctx *ctx, const ls_run *run, ls_image *m, ls_failure *f)
{
    const ls_progress *p = ls_progress_of(ctx, run);
    char *config = run->config ? NULL : ls_describe(ctx, run);
    if (!p || (!run->config && !config)) return *f = ctx->failure, f->status;
    ls_image_put_int(m, "/", "format", 1, f);
    ls_image_put_text(m, "/", "numerics", ls_kernel_numerics(ctx->kernel), f);
    ls_image_put_text(m, "/", "version", LS_VERSION, f);
    ls_image_put_text(m, "/", "status", ls_run_is_complete(run) ? "complete" : "running", f);
    ls_image_put_text(m, "/config", "text", run->config ? run->config : config, f);
    ls_memory_free(config);
    put_model(run, m, f);
    put_optimizer(run, m, f);
    put_progress(ctx, run, p, m, f);
    put_history(p, m, f);
    return put_data(run, m, f);
}

/* ---- reading: the root's half ---------------------------------------------------------------- */
/* A place in the block. */
typedef struct cursor {
    char *at, *end;
} cursor;

static void *next_bytes(cursor *c, size_t bytes)
{
    size_t padded = (bytes + 7) / 8 * 8;
    if ((size_t)(c->end - c->at) < padded) return NULL;
    c->at += padded;
    return c->at - padded;
}

static size_t values_bytes(const ls_tensor *t)
{
    return (size_t)t->count * ls_dtype_bytes(t->dtype);
}

static size_t block_bytes(const ls_run *run, int64_t epochs)
{
    const ls_optim *o = run->optim;
    ls_list p = ls_parameters(run->model);
    size_t bytes = sizeof(header) + 64 + (size_t)epochs * sizeof(ls_history);
    for (int64_t i = 0; i < p.count; i++) bytes += values_bytes(p.at[i]) + 8;
    for (int64_t i = 0; i < o->params.count; i++)
        bytes += 8 + (values_bytes(o->params.at[i]) + 8) * (size_t)o->slots;
    return bytes;
}

static ls_status get_header(ls_image *m, header *h, ls_failure *f)
{
    uint32_t words[RANDOM_WORDS];
    int64_t seed = 0;
    ls_dtype type;
    ls_shape shape = { 1, { 0 } };
    char *status = NULL;
    ls_image_get_text(m, "/", "status", &status, f);
    h->is_unfinished = status && !strcmp(status, "running");
    ls_memory_free(status);
    ls_image_get_int(m, "/progress", "epoch", &h->loader.epoch, f);
    ls_image_get_int(m, "/progress", "step", &h->loader.step, f);
    ls_image_get_int(m, "/progress", "shuffle_seed", &seed, f);
    ls_image_get_real(m, "/progress", "cost_sum", &h->cost_sum, f);
    ls_image_get_int(m, "/progress", "cost_rows", &h->cost_rows, f);
    if (ls_image_get_words(m, "/progress/rng", RANDOM_WORDS, words, f)) return f->status;
    memcpy(h->random.word, words, sizeof h->random.word);
    h->random.position = words[624];
    h->random.has_normal = words[625];
    memcpy(&h->random.next_normal, words + 626, 8);
    h->loader.seed = (uint64_t)seed;
    if (ls_image_has(m, "/history/epoch"))
        ls_image_get_shape(m, "/history/epoch", &type, &shape, f);
    h->epochs = shape.dim[0];
    if (h->loader.epoch < 0 || h->loader.step < 0 || h->loader.step == INT64_MAX ||
        h->random.position > 624 || h->cost_rows < 0)
        ls_failure_set(f, LS_ERR_DATA, "the checkpoint's progress makes no sense");
    return f->status;
}

static ls_status get_history(ls_image *m, int64_t epochs, ls_history *out, ls_failure *f)
{
    ls_shape shape = { 1, { epochs } };
    const size_t bytes = (size_t)epochs * sizeof(int64_t);
    int64_t *column = epochs ? ls_memory_new(bytes) : NULL;
    if (!epochs) return f->status;
    if (!column) return ls_failure_memory(f, bytes, "the history of a checkpoint");
    ls_image_get(m, "/history/epoch", LS_INT64, shape, column, f);
    for (int64_t i = 0; i < epochs; i++) out[i].epoch = column[i];
    for (int c = 0; c < HISTORY_COLUMNS && !f->status; c++) {
        ls_image_get(m, history_columns[c].path, LS_FLOAT64, shape, column, f);
        for (int64_t i = 0; i < epochs; i++)
            memcpy((char *)&out[i] + history_columns[c].offset, column + i, sizeof(double));
    }
    ls_memory_free(column);
    return f->status;
}

static ls_status get_tensors(const ls_run *run, ls_image *m, cursor *c, ls_failure *f)
{
    const ls_optim *o = run->optim;
    ls_list p = ls_parameters(run->model);
    char path[512];
    for (int64_t i = 0; i < p.count && !f->status; i++) {
        snprintf(path, sizeof path, "/model/%s", ls_parameter_name(run->model, i));
        ls_image_get(m, path, p.at[i]->dtype, p.at[i]->shape, next_bytes(c, values_bytes(p.at[i])),
                     f);
    }
    for (int64_t i = 0; i < o->params.count; i++) {
        int64_t *began = next_bytes(c, sizeof *began);
        for (int s = 0; s < o->slots && !f->status; s++) {
            void *to = next_bytes(c, values_bytes(o->params.at[i]));
            state_path(run, i, s, path, sizeof path);
            if (!(*began = ls_image_has(m, path))) continue;
            ls_image_get(m, path, o->params.at[i]->dtype, o->params.at[i]->shape, to, f);
        }
    }
    return f->status;
}

/* The first line in which two texts differ, as "stored" and "now". */
static void first_difference(const char *stored, const char *now, char *out, size_t bytes)
{
    while (*stored && *now) {
        size_t a = strcspn(stored, "\n"), b = strcspn(now, "\n");
        if (a != b || memcmp(stored, now, a)) break;
        stored += a + (stored[a] == '\n');
        now += b + (now[b] == '\n');
    }
    snprintf(out, bytes, "\"%.*s\" there, \"%.*s\" here", (int)strcspn(stored, "\n"), stored,
             (int)strcspn(now, "\n"), now);
}

static ls_status same_text(ls_image *m, const char *group, const char *name, const char *now,
                           const char *what, ls_failure *f)
{
    char *stored = NULL, lines[256];
    if (ls_image_get_text(m, group, name, &stored, f)) return f->status;
    if (strcmp(stored, now)) {
        first_difference(stored, now, lines, sizeof lines);
        ls_failure_set(f, LS_ERR_CONFIG,
                       "the checkpoint was made with another %s: %s; --fresh starts over", what,
                       lines);
    }
    ls_memory_free(stored);
    return f->status;
}

static ls_status check_fits(ls_ctx *ctx, const ls_run *run, ls_image *m, ls_failure *f)
{
    char *config = run->config ? NULL : ls_describe(ctx, run);
    if (!run->config && !config) return *f = ctx->failure, f->status;
    same_text(m, "/", "numerics", ls_kernel_numerics(ctx->kernel), "kernel (its numerics)", f);
    same_text(m, "/config", "text", run->config ? run->config : config, "configuration", f);
    if (!f->status)
        same_text(m, "/data", "fingerprint", ls_dataset_fingerprint(ls_loader_dataset(run->data)),
                  "data set", f);
    ls_memory_free(config);
    return f->status;
}

ls_status ls_state_read(ls_ctx *ctx, const ls_run *run, ls_image *m, void **block, size_t *bytes,
                        ls_failure *f)
{
    header h = { 0 };
    *block = NULL;
    if (check_fits(ctx, run, m, f) || get_header(m, &h, f)) return f->status;
    *bytes = block_bytes(run, h.epochs);
    if (!(*block = ls_memory_new(*bytes)))
        return ls_failure_memory(f, *bytes, "reading the checkpoint");
    cursor c = { *block, (char *)*block + *bytes };
    memcpy(next_bytes(&c, sizeof h), &h, sizeof h);
    get_history(m, h.epochs, next_bytes(&c, (size_t)h.epochs * sizeof(ls_history)), f);
    if (get_tensors(run, m, &c, f)) {
        ls_memory_free(*block);
        *block = NULL;
    }
    return f->status;
}

/* ---- reading: the half of all ---------------------------------------------------------------- */
ls_status ls_state_apply(ls_ctx *ctx, const ls_run *run, const void *block, size_t bytes)
{
    cursor c = { (char *)(uintptr_t)block, (char *)(uintptr_t)block + bytes };
    ls_optim *o = run->optim;
    ls_list params = ls_parameters(run->model);
    header h;
    ls_progress *p = ls_progress_of(ctx, run);
    if (!p) return ctx->failure.status;
    memcpy(&h, next_bytes(&c, sizeof h), sizeof h);
    const ls_history *history = next_bytes(&c, (size_t)h.epochs * sizeof *history);
    p->epochs = 0;
    for (int64_t i = 0; i < h.epochs; i++)
        if (!ls_progress_add(p, &history[i])) return ctx->failure.status;
    p->cost_sum = h.cost_sum;
    p->cost_rows = h.cost_rows;
    p->is_unfinished = h.is_unfinished;
    ctx->random = h.random;
    for (int64_t i = 0; i < params.count; i++) {
        size_t size = values_bytes(params.at[i]);
        memcpy(params.at[i]->data, next_bytes(&c, size), size);
        ls_tensor_wrote(params.at[i]);
    }
    for (int64_t i = 0; i < o->params.count; i++) {
        o->began[i] = *(const int64_t *)next_bytes(&c, sizeof(int64_t));
        for (int s = 0; s < o->slots; s++) {
            size_t size = values_bytes(o->params.at[i]);
            const void *from = next_bytes(&c, size);
            if (o->began[i]) memcpy(ls_optim_state(o, i, s), from, size);
        }
    }
    return ls_loader_set_state(run->data, h.loader);
}
