/* dataset.c -- what all kinds of datasets share: their layout, reading rows as they are handed out,
 * and the fingerprint.
 *
 * A kind is a const table of functions (h5.c, memory.c). Rows are read by one thread at a time: the
 * main thread and the reading threads of loaders take turns. Reading never writes the context;
 * errors come back by value. x is divided by x_scale in the context's type, as PyTorch does, and
 * then normalised in double precision with one rounding at the end: elementwise, so no order of
 * operations matters.
 *
 * Called by the loader and by train. */
#include "data/dataset.h"
#include <stdio.h>
#include <string.h>

enum { FINGERPRINT_ROWS = 1024, BLOCK_BYTES = 256 << 10 };

/* ---- life ------------------------------------------------------------------------------------ */
static void end_dataset(void *self)
{
    ls_dataset *d = self;
    if (d->kind->end) d->kind->end(d);
    (void)pthread_mutex_destroy(&d->turn);
    ls_memory_free(d->mean);
    ls_memory_free(d->deviation);
    ls_memory_free(d->name);
    ls_memory_free(d);
}

ls_dataset *ls_dataset_make(ls_ctx *ctx, size_t bytes, const ls_dataset_kind *kind,
                            const char *name)
{
    ls_dataset *d = ls_new(ctx, bytes, "a dataset");
    char *copy = d ? ls_new(ctx, strlen(name) + 1, "a dataset's name") : NULL;
    if (!copy || pthread_mutex_init(&d->turn, NULL)) {
        ls_fail_memory(ctx, bytes, "a dataset");
        ls_memory_free(copy);
        ls_memory_free(d);
        return NULL;
    }
    d->ctx = ctx;
    d->kind = kind;
    d->name = strcpy(copy, name);
    d->x_scale = 1;
    ls_own(ctx, &d->owned, end_dataset);
    return d;
}

void ls_dataset_free(ls_dataset *d)
{
    if (!d) return;
    if (d->loaders > 0) {
        ls_fail(d->ctx, LS_ERR_USE,
                "ls_dataset_free: a loader, or a dataset made of it, reads from %s: "
                "ls_loader_free() first",
                d->name);
        return;
    }
    ls_disown(d->ctx, &d->owned);
    end_dataset(d);
}

/* ---- layout ---------------------------------------------------------------------------------- */
ls_shape_text ls_row_str(ls_row r)
{
    ls_shape_text t, shape = ls_shape_str(r.shape);
    snprintf(t.text, sizeof t.text, "%s %.100s", ls_dtype_name(r.type), shape.text);
    return t;
}

static bool is_row(const ls_dataset *d, const char *what, ls_row r)
{
    if (r.type != LS_INT64 && r.type != d->ctx->opts.dtype)
        ls_fail(d->ctx, LS_ERR_TYPE, "%s: %s is %s, and the context computes in %s", d->name, what,
                ls_dtype_name(r.type), ls_dtype_name(d->ctx->opts.dtype));
    else if (r.shape.ndim < 0 || r.shape.ndim >= LS_MAX_NDIM || ls_shape_count(r.shape) < 1)
        ls_fail(d->ctx, LS_ERR_DATA, "%s: a row of %s has shape %s: nothing to compute with",
                d->name, what, ls_shape_str(r.shape).text);
    return !d->ctx->failure.status;
}

bool ls_dataset_lay_out(ls_dataset *d, int64_t rows, ls_row x, ls_row y)
{
    if (y.type != LS_INT64 && y.shape.ndim == 0) y.shape = (ls_shape){ 1, { 1 } };
    if (rows < 1) ls_fail(d->ctx, LS_ERR_DATA, "%s has no rows", d->name);
    if (d->ctx->failure.status || !is_row(d, "x", x) || !is_row(d, "y", y)) return false;
    int64_t targets = ls_shape_count(y.shape);
    d->rows = rows;
    d->x = x;
    d->y = y;
    d->features = ls_shape_count(x.shape);
    d->x_bytes = (size_t)d->features * ls_dtype_bytes(x.type);
    d->y_bytes = (size_t)targets * ls_dtype_bytes(y.type);
    if (d->features > INT64_MAX / 16 / rows || targets > INT64_MAX / 16 / rows)
        ls_fail(d->ctx, LS_ERR_DATA, "%s: %lld rows of %s and %s are more than fit", d->name,
                (long long)rows, ls_row_str(x).text, ls_row_str(y).text);
    return !d->ctx->failure.status;
}

/* ---- reading --------------------------------------------------------------------------------- */
static void normalise_f32(const ls_dataset *d, float *x)
{
    for (int64_t i = 0; i < d->features; i++)
        x[i] = (float)(((double)x[i] - d->mean[i]) / d->deviation[i]);
}

static void normalise_f64(const ls_dataset *d, double *x)
{
    for (int64_t i = 0; i < d->features; i++) x[i] = (x[i] - d->mean[i]) / d->deviation[i];
}

ls_status ls_dataset_read(ls_dataset *d, int64_t count, const int64_t *rows, void *x, void *y,
                          ls_failure *f)
{
    if (count == 0) return LS_OK;
    (void)pthread_mutex_lock(&d->turn);
    ls_status status = d->kind->read(d, count, rows, d->x_scale, x, y, f);
    for (int64_t i = 0; i < count && !status && d->mean; i++) {
        char *row = (char *)x + (size_t)i * d->x_bytes;
        if (d->x.type == LS_FLOAT64) normalise_f64(d, (double *)row);
        else normalise_f32(d, (float *)row);
    }
    (void)pthread_mutex_unlock(&d->turn);
    return status;
}

/* ---- figures for normalising ----------------------------------------------------------------- */
int64_t ls_dataset_normal(const ls_dataset *d, const double **mean, const double **deviation)
{
    *mean = d ? d->mean : NULL;
    *deviation = d ? d->deviation : NULL;
    return *mean ? d->features : 0;
}

ls_status ls_dataset_set_normal(ls_dataset *d, const double *mean, const double *deviation)
{
    if (d->x.type == LS_INT64)
        return ls_fail(d->ctx, LS_ERR_TYPE, "%s: x is int64, which cannot be normalised", d->name);
    size_t bytes = (size_t)d->features * sizeof(double);
    double *m = ls_new(d->ctx, bytes, "the features' means"), *old_mean = d->mean;
    double *v = ls_new(d->ctx, bytes, "the features' deviations"), *old_deviation = d->deviation;
    if (!m || !v) {
        ls_memory_free(m);
        ls_memory_free(v);
        return d->ctx->failure.status;
    }
    memcpy(m, mean, bytes);
    memcpy(v, deviation, bytes);
    (void)pthread_mutex_lock(&d->turn);
    d->mean = m;
    d->deviation = v;
    d->version++;
    (void)pthread_mutex_unlock(&d->turn);
    ls_memory_free(old_mean);
    ls_memory_free(old_deviation);
    return LS_OK;
}

/* ---- fingerprint ----------------------------------------------------------------------------- */
/* The numbers of count rows spread evenly, from the first to the last. */
static int64_t spread_row(int64_t rows, int64_t count, int64_t i)
{
    if (count == 1) return 0;
    return (rows - 1) / (count - 1) * i + (rows - 1) % (count - 1) * i / (count - 1);
}

static ls_status hash_rows(ls_dataset *d, ls_sha256 *s, ls_failure *f)
{
    int64_t rows[FINGERPRINT_ROWS];
    int64_t count = d->rows < FINGERPRINT_ROWS ? d->rows : FINGERPRINT_ROWS;
    int64_t room = BLOCK_BYTES / (int64_t)(d->x_bytes + d->y_bytes);
    room = room < 1 ? 1 : room > count ? count : room;
    const size_t bytes = (size_t)room * (d->x_bytes + d->y_bytes);
    char *x = ls_memory_new(bytes), *y = x + room * d->x_bytes;
    if (!x) return ls_failure_memory(f, bytes, "the fingerprint of %s", d->name);
    for (int64_t i = 0; i < count; i++) rows[i] = spread_row(d->rows, count, i);
    for (int64_t i = 0, n; i < count && !f->status; i += n) {
        n = room < count - i ? room : count - i;
        (void)pthread_mutex_lock(&d->turn);
        d->kind->read(d, n, rows + i, 1, x, y, f);
        (void)pthread_mutex_unlock(&d->turn);
        for (int64_t k = 0; k < n && !f->status; k++) {
            ls_sha256_add(s, x + (size_t)k * d->x_bytes, d->x_bytes);
            ls_sha256_add(s, y + (size_t)k * d->y_bytes, d->y_bytes);
        }
    }
    ls_memory_free(x);
    return f->status;
}

const char *ls_dataset_fingerprint(const ls_dataset *known)
{
    ls_dataset *d = (ls_dataset *)(uintptr_t)known; /* what is worked out late is no change */
    ls_failure f = { 0 };
    ls_sha256 s;
    uint8_t digest[32];
    char text[512];
    if (!d) return "";
    if (*d->fingerprint || d->ctx->failure.status) return d->fingerprint;
    int length = snprintf(text, sizeof text, "rows %lld\nx %s\ny %s\n", (long long)d->rows,
                          ls_row_str(d->x).text, ls_row_str(d->y).text);
    ls_sha256_begin(&s);
    ls_sha256_add(&s, text, (size_t)length);
    if (hash_rows(d, &s, &f)) {
        ls_fail_with(d->ctx, &f);
        return d->fingerprint;
    }
    ls_sha256_end(&s, digest);
    ls_hex(digest, sizeof digest, d->fingerprint);
    return d->fingerprint;
}

/* ---- getters --------------------------------------------------------------------------------- */
int64_t ls_dataset_rows(const ls_dataset *d)
{
    return d ? d->rows : 0;
}

ls_row ls_dataset_x(const ls_dataset *d)
{
    return d ? d->x : (ls_row){ 0 };
}

ls_row ls_dataset_y(const ls_dataset *d)
{
    return d ? d->y : (ls_row){ 0 };
}

const char *ls_dataset_name(const ls_dataset *d)
{
    return d ? d->name : "";
}

double ls_dataset_x_scale(const ls_dataset *d)
{
    return d ? d->x_scale : 1;
}
