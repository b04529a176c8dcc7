/* combine.c -- datasets made of datasets: some rows of one, several one after another, a random split;
 * and single rows.
 *
 * They hold row numbers and no rows: what is read is read from the datasets beneath, which must live
 * as long. Those read one call at a time, so that any number of combinations and loaders may share
 * them. A combination takes over how x is scaled; a subset is normalised as its dataset was when it
 * was made, and may be normalised by itself.
 *
 * Source of the split: torch.utils.data.random_split, PyTorch 1.13. */
#include "data/dataset.h"
#include <stdio.h>
#include <string.h>

enum { BLOCK = 256 }; /* row numbers that are worked out at once */

/* As the kind's read(), with the turn taken. */
static ls_status read_beneath(ls_dataset *d, int64_t count, const int64_t *rows, double x_scale,
                              void *x, void *y, ls_failure *f)
{
    (void)pthread_mutex_lock(&d->turn);
    ls_status status = d->kind->read(d, count, rows, x_scale, x, y, f);
    (void)pthread_mutex_unlock(&d->turn);
    return status;
}

/* ---- some rows ------------------------------------------------------------------------------- */
typedef struct subset {
    ls_dataset base;
    ls_dataset *of;
    int64_t *row;
} subset;

static ls_status read_subset(ls_dataset *d, int64_t count, const int64_t *rows, double x_scale,
                             void *x, void *y, ls_failure *f)
{
    const subset *s = (const subset *)d;
    int64_t at[BLOCK];
    for (int64_t i = 0, n; i < count && !f->status; i += n) {
        n = count - i < BLOCK ? count - i : BLOCK;
        for (int64_t k = 0; k < n; k++) at[k] = s->row[rows[i + k]];
        read_beneath(s->of, n, at, x_scale, (char *)x + (size_t)i * d->x_bytes,
                     (char *)y + (size_t)i * d->y_bytes, f);
    }
    return f->status;
}

static void end_subset(ls_dataset *d)
{
    subset *s = (subset *)d;
    if (s->of) s->of->loaders--;
    ls_memory_free(s->row);
}

#define KIND(read, end)                                                                            \
    {                                                                                              \
        { { false, false, read, end }, { false, true, read, end } },                               \
        {                                                                                          \
            { true, false, read, end },                                                            \
            {                                                                                      \
                true, true, read, end                                                              \
            }                                                                                      \
        }                                                                                          \
    }
static const ls_dataset_kind subset_kind[2][2] = KIND(read_subset, end_subset);

static bool rows_are_there(ls_ctx *ctx, const ls_dataset *d, int64_t count, const int64_t *rows)
{
    if (count > 0 && !ls_given(ctx, "ls_subset_dataset", rows, "the list of rows")) return false;
    for (int64_t i = 0; i < count; i++)
        if (rows[i] < 0 || rows[i] >= d->rows) {
            ls_fail(ctx, LS_ERR_ARG, "ls_subset_dataset: row %lld of %s, which has %lld",
                    (long long)rows[i], d->name, (long long)d->rows);
            return false;
        }
    return true;
}

ls_dataset *ls_subset_dataset(ls_ctx *ctx, ls_dataset *d, int64_t count, const int64_t *rows)
{
    if (!d || !ls_enter(ctx, "ls_subset_dataset") || !rows_are_there(ctx, d, count, rows))
        return NULL;
    char name[128];
    snprintf(name, sizeof name, "a subset of %.100s", d->name);
    const ls_dataset_kind *kind = &subset_kind[d->kind->reads_ahead][d->kind->stays];
    subset *s = (subset *)ls_dataset_make(ctx, sizeof *s, kind, name);
    if (!s) return NULL;
    size_t bytes = (size_t)(count > 0 ? count : 0) * sizeof *rows;
    s->row = ls_new(ctx, bytes ? bytes : 1, "the rows of a subset");
    s->base.x_scale = d->x_scale;
    if (s->row && ls_dataset_lay_out(&s->base, count, d->x, d->y) &&
        (!d->mean || !ls_dataset_set_normal(&s->base, d->mean, d->deviation))) {
        if (bytes) memcpy(s->row, rows, bytes);
        s->of = d;
        d->loaders++;
        return &s->base;
    }
    ls_dataset_free(&s->base);
    return NULL;
}

/* ---- a random split -------------------------------------------------------------------------- */
static int64_t *draw_rows(ls_ctx *ctx, const ls_dataset *d, ls_generator *g)
{
    int64_t *row = ls_new(ctx, (size_t)d->rows * sizeof *row, "the rows of a split");
    if (row && g) ls_generator_permutation(g, d->rows, row);
    else if (row) ls_random_permutation(&ctx->random, d->rows, row);
    return row;
}

ls_status ls_random_split(ls_ctx *ctx, ls_dataset *d, int64_t count, const int64_t *lengths,
                          ls_generator *g, ls_dataset **out)
{
    int64_t sum = 0;
    for (int64_t i = 0; out && i < count; i++) out[i] = NULL;
    if (!d || !ls_enter(ctx, "ls_random_split")) return ctx ? ctx->failure.status : LS_ERR_MEMORY;
    if (count > 0 && (!ls_given(ctx, "ls_random_split", lengths, "the list of lengths") ||
                      !ls_given(ctx, "ls_random_split", out, "room for the subsets")))
        return ctx->failure.status;
    for (int64_t i = 0; i < count && sum >= 0; i++)
        sum = lengths[i] < 1 || lengths[i] > d->rows ? -1 : sum + lengths[i];
    if (sum != d->rows)
        return ls_fail(ctx, LS_ERR_ARG,
                       "ls_random_split: the lengths must be above 0, and their sum the %lld rows "
                       "of %s",
                       (long long)d->rows, d->name);
    int64_t *row = draw_rows(ctx, d, g);
    for (int64_t i = 0, at = 0; row && i < count; at += lengths[i++])
        out[i] = ls_subset_dataset(ctx, d, lengths[i], row + at);
    ls_memory_free(row);
    return ctx->failure.status;
}

/* ---- one after another ----------------------------------------------------------------------- */
typedef struct concat {
    ls_dataset base;
    int64_t count;
    ls_dataset **of;
    int64_t *first; /* row of each; first[count]: all rows */
} concat;

static int64_t part_of(const concat *c, int64_t row)
{
    int64_t low = 0, high = c->count;
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        if (c->first[middle] <= row) low = middle;
        else high = middle;
    }
    return low;
}

/* Runs of rows that lie in one part are read at once. */
static ls_status read_concat(ls_dataset *d, int64_t count, const int64_t *rows, double x_scale,
                             void *x, void *y, ls_failure *f)
{
    const concat *c = (const concat *)d;
    int64_t at[BLOCK];
    for (int64_t i = 0, n; i < count && !f->status; i += n) {
        int64_t part = part_of(c, rows[i]), from = c->first[part], to = c->first[part + 1];
        for (n = 0; n < BLOCK && i + n < count && rows[i + n] >= from && rows[i + n] < to; n++)
            at[n] = rows[i + n] - from;
        read_beneath(c->of[part], n, at, x_scale, (char *)x + (size_t)i * d->x_bytes,
                     (char *)y + (size_t)i * d->y_bytes, f);
    }
    return f->status;
}

static void end_concat(ls_dataset *d)
{
    concat *c = (concat *)d;
    for (int64_t i = 0; c->of && i < c->count; i++) c->of[i]->loaders--;
    ls_memory_free(c->of);
    ls_memory_free(c->first);
}

static const ls_dataset_kind concat_kind[2][2] = KIND(read_concat, end_concat);

static bool is_same_row(ls_row a, ls_row b)
{
    return a.type == b.type && ls_shape_equal(a.shape, b.shape);
}

static bool parts_fit(ls_ctx *ctx, int64_t count, ls_dataset *const *of)
{
    if (count < 1) ls_fail(ctx, LS_ERR_ARG, "ls_concat_dataset: there are no datasets");
    else ls_given(ctx, "ls_concat_dataset", of, "the list of datasets");
    for (int64_t i = 0; i < count && !ctx->failure.status; i++) {
        const ls_dataset *d = of[i], *first = of[0];
        if (!d)
            ls_fail(ctx, LS_ERR_ARG, "ls_concat_dataset: there is no dataset %lld", (long long)i);
        else if (!is_same_row(d->x, first->x) || !is_same_row(d->y, first->y))
            ls_fail(ctx, LS_ERR_SHAPE,
                    "ls_concat_dataset: a row of %s is %s with %s, but of %s %s with %s", d->name,
                    ls_row_str(d->x).text, ls_row_str(d->y).text, first->name,
                    ls_row_str(first->x).text, ls_row_str(first->y).text);
        else if (d->mean || d->x_scale < first->x_scale || d->x_scale > first->x_scale)
            ls_fail(ctx, LS_ERR_ARG,
                    "ls_concat_dataset: %s is %s: give all one x_scale, and normalise what comes "
                    "out",
                    d->name, d->mean ? "normalised" : "scaled by another x_scale");
    }
    return !ctx->failure.status;
}

ls_dataset *ls_concat_dataset(ls_ctx *ctx, int64_t count, ls_dataset *const *datasets)
{
    if (!ls_enter(ctx, "ls_concat_dataset") || !parts_fit(ctx, count, datasets)) return NULL;
    char name[128];
    bool reads_ahead = false, stays = true;
    for (int64_t i = 0; i < count; i++) {
        reads_ahead = reads_ahead || datasets[i]->kind->reads_ahead;
        stays = stays && datasets[i]->kind->stays;
    }
    snprintf(name, sizeof name, "%.80s and %lld more", datasets[0]->name, (long long)count - 1);
    concat *c = (concat *)ls_dataset_make(ctx, sizeof *c, &concat_kind[reads_ahead][stays], name);
    if (!c) return NULL;
    ls_dataset **of = ls_new(ctx, (size_t)count * sizeof *of, "the parts of a dataset");
    c->first = ls_new(ctx, (size_t)(count + 1) * sizeof *c->first, "the parts of a dataset");
    c->base.x_scale = datasets[0]->x_scale;
    for (int64_t i = 0; of && c->first && i < count; i++)
        c->first[i + 1] = c->first[i] + datasets[i]->rows;
    if (of && c->first &&
        ls_dataset_lay_out(&c->base, c->first[count], datasets[0]->x, datasets[0]->y)) {
        memcpy(of, datasets, (size_t)count * sizeof *of);
        for (int64_t i = 0; i < count; i++) of[i]->loaders++;
        c->of = of;
        c->count = count;
        return &c->base;
    }
    ls_memory_free(of);
    ls_dataset_free(&c->base);
    return NULL;
}

/* ---- single rows ----------------------------------------------------------------------------- */
bool ls_dataset_item(ls_dataset *d, int64_t i, ls_tensor **x, ls_tensor **y)
{
    ls_failure f = { 0 };
    ls_tensor *unwanted[2];
    if (!x) x = &unwanted[0];
    if (!y) y = &unwanted[1];
    *x = *y = NULL;
    if (!d || !ls_enter(d->ctx, "ls_dataset_item")) return false;
    if (i < 0 || i >= d->rows) {
        ls_fail(d->ctx, LS_ERR_ARG, "ls_dataset_item: row %lld of %s, which has %lld", (long long)i,
                d->name, (long long)d->rows);
        return false;
    }
    ls_tensor *a = ls_tensor_make(d->ctx, d->x.type, d->x.shape, false, true),
              *b = ls_tensor_make(d->ctx, d->y.type, d->y.shape, false, true);
    if (!a || !b) return false;
    if (ls_dataset_read(d, 1, &i, a->data, b->data, &f)) {
        ls_fail_with(d->ctx, &f);
        return false;
    }
    *x = a;
    *y = b;
    return true;
}
