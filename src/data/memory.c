/* memory.c -- datasets without files: whole tensors, and rows that a callback of the program
 * writes.
 *
 * Tensors are read where they lie at the time, so what the program changes in them is seen. A
 * callback's rows may cost anything and differ from time to time: they are read ahead, and never
 * kept. */
#include "data/dataset.h"
#include <string.h>

/* ---- tensors --------------------------------------------------------------------------------- */
typedef struct tensors {
    ls_dataset base;
    ls_tensor *x, *y;
    ls_tensor *held[4]; /* these, and what they are views of; or NULL */
} tensors;

static void copy_rows(const ls_tensor *t, size_t row_bytes, int64_t count, const int64_t *rows,
                      char *out)
{
    const char *from = t->data;
    for (int64_t i = 0; i < count; i++)
        memcpy(out + (size_t)i * row_bytes, from + (size_t)rows[i] * row_bytes, row_bytes);
}

static bool is_there(const ls_tensor *t, const char *what, ls_failure *f)
{
    if (t->step != LS_FREED && !(t->base && t->base->step == LS_FREED)) return true;
    ls_failure_set(f, LS_ERR_USE,
                   "ls_tensor_dataset: %s, %s %s, was freed by ls_tensor_free() before", what,
                   ls_dtype_name(t->dtype), ls_shape_str(t->shape).text);
    return false;
}

static ls_status read_tensors(ls_dataset *d, int64_t count, const int64_t *rows, double x_scale,
                              void *x, void *y, ls_failure *f)
{
    (void)x_scale;
    const tensors *t = (const tensors *)d;
    if (!is_there(t->x, "x", f) || !is_there(t->y, "y", f)) return f->status;
    copy_rows(t->x, d->x_bytes, count, rows, x);
    copy_rows(t->y, d->y_bytes, count, rows, y);
    return f->status;
}

static void end_tensors(ls_dataset *d)
{
    const tensors *t = (const tensors *)d;
    for (int i = 0; i < 4; i++)
        if (t->held[i]) ls_tensor_release(t->held[i]);
}

static const ls_dataset_kind tensor_kind = { false, false, read_tensors, end_tensors };

static bool can_be_read(const ls_tensor *t, const char *what)
{
    if (!ls_tensor_usable(t, "ls_tensor_dataset")) return false;
    if (t->is_part)
        ls_fail(t->ctx, LS_ERR_SHAPE,
                "ls_tensor_dataset: %s is a part; ls_whole() has its rows on every rank", what);
    else if (t->in_step)
        ls_fail(t->ctx, LS_ERR_USE,
                "ls_tensor_dataset: %s ends with its step; ls_keep() copies it out", what);
    else if (t->shape.ndim < 1)
        ls_fail(t->ctx, LS_ERR_SHAPE, "ls_tensor_dataset: %s is one number and has no rows", what);
    return !t->ctx->failure.status;
}

static ls_row row_of(const ls_tensor *t)
{
    ls_row r = { t->dtype, { t->shape.ndim - 1, { 0 } } };
    for (int i = 1; i < t->shape.ndim; i++) r.shape.dim[i - 1] = t->shape.dim[i];
    return r;
}

ls_dataset *ls_tensor_dataset(ls_ctx *ctx, ls_tensor *x, ls_tensor *y)
{
    if (!ls_enter(ctx, "ls_tensor_dataset")) return NULL;
    if (!x || !y) {
        ls_fail(ctx, LS_ERR_ARG, "ls_tensor_dataset: %s is missing", x ? "y" : "x");
        return NULL;
    }
    if (!can_be_read(x, "x") || !can_be_read(y, "y")) return NULL;
    if (x->shape.dim[0] != y->shape.dim[0]) {
        ls_fail(ctx, LS_ERR_SHAPE, "ls_tensor_dataset: x has %lld rows and y %lld: they must agree",
                (long long)x->shape.dim[0], (long long)y->shape.dim[0]);
        return NULL;
    }
    if (x->shape.dim[0] == 0) {
        ls_fail(ctx, LS_ERR_DATA, "ls_tensor_dataset: x and y have no rows");
        return NULL;
    }
    tensors *t = (tensors *)ls_dataset_make(ctx, sizeof *t, &tensor_kind, "the tensors");
    if (!t) return NULL;
    ls_tensor *const held[4] = { t->x = x, t->y = y, x->base, y->base };
    for (int i = 0; i < 4; i++)
        if ((t->held[i] = held[i])) ls_tensor_hold(held[i]);
    if (ls_dataset_lay_out(&t->base, x->shape.dim[0], row_of(x), row_of(y))) return &t->base;
    ls_dataset_free(&t->base);
    return NULL;
}

/* ---- callbacks ------------------------------------------------------------------------------- */
typedef struct custom {
    ls_dataset base;
    void *self;
    int (*item)(void *self, int64_t i, void *x, void *y);
} custom;

static ls_status read_items(ls_dataset *d, int64_t count, const int64_t *rows, double x_scale,
                            void *x, void *y, ls_failure *f)
{
    (void)x_scale;
    const custom *c = (const custom *)d;
    for (int64_t i = 0; i < count && !f->status; i++) {
        int answer = c->item(c->self, rows[i], (char *)x + (size_t)i * d->x_bytes,
                             (char *)y + (size_t)i * d->y_bytes);
        if (answer != 0)
            ls_failure_set(f, LS_ERR_DATA, "%s: row %lld cannot be read: item() returned %d",
                           d->name, (long long)rows[i], answer);
    }
    return f->status;
}

static const ls_dataset_kind custom_kind = { true, false, read_items, NULL };

ls_dataset *ls_dataset_new(ls_ctx *ctx, const ls_dataset_def *def)
{
    if (!ls_enter(ctx, "ls_dataset_new")) return NULL;
    if (!def || !def->item) {
        ls_fail(ctx, LS_ERR_ARG, "ls_dataset_new: item() is missing");
        return NULL;
    }
    custom *c = (custom *)ls_dataset_make(ctx, sizeof *c, &custom_kind,
                                          def->name ? def->name : "the dataset");
    if (!c) return NULL;
    c->self = def->self;
    c->item = def->item;
    ls_row x = def->x, y = def->y;
    if (x.type == LS_FLOAT32) x.type = ctx->opts.dtype;
    if (y.type == LS_FLOAT32) y.type = ctx->opts.dtype;
    if (ls_dataset_lay_out(&c->base, def->rows, x, y)) return &c->base;
    ls_dataset_free(&c->base);
    return NULL;
}
