/* h5.c -- datasets in HDF5 files: one file, or several of one layout read as one.
 *
 * The root finds the files of a list or pattern and all ranks open the same ones; each rank then
 * compares its layout with the root's, and the fingerprint where not all have the very same files open,
 * so that a stale copy on another machine is named and not trained on. x is read in the context's type,
 * y as classes where it is stored as integers. Rows of several files are read file by file, whatever
 * their order, and put in their places. Values that are kept in memory are there once for all ranks of
 * a machine.
 *
 * Called by programs through ls_h5_dataset(); rows are read by loaders. */
#include "data/dataset.h"
#include <math.h>
#include <string.h>
#include <unistd.h>

typedef struct member {
    ls_table *x, *y;
    int64_t first, rows;
} member; /* first: of the dataset */

typedef struct h5_dataset {
    ls_dataset base;
    char *list;   /* paths, one after another */
    void *copies; /* of values, in memory common to a node's ranks; or NULL */
    size_t list_bytes;
    int64_t count;
    member *file;
    const char *x_name, *y_name; /* while it is opened */
    /* scratch for reading from several files */
    int64_t room, *local, *place;
    char *rows;
} h5_dataset;

/* ---- reading --------------------------------------------------------------------------------- */
/* Room for count rows of either column, their numbers in a file and their places. */
static ls_status make_room(h5_dataset *h, int64_t count, ls_failure *f)
{
    size_t row = h->base.x_bytes > h->base.y_bytes ? h->base.x_bytes : h->base.y_bytes;
    if (count <= h->room) return LS_OK;
    ls_memory_free(h->local);
    ls_memory_free(h->place);
    ls_memory_free(h->rows);
    h->local = ls_memory_new((size_t)count * sizeof *h->local);
    h->place = ls_memory_new((size_t)count * sizeof *h->place);
    h->rows = ls_memory_new((size_t)count * row);
    h->room = h->local && h->place && h->rows ? count : 0;
    if (h->room) return LS_OK;
    return ls_failure_memory(f, (size_t)count * (row + sizeof *h->local + sizeof *h->place),
                             "reading %lld rows of %s", (long long)count, h->base.name);
}

/* The n rows listed in local, to their places in out. */
static ls_status read_scattered(h5_dataset *h, ls_table *t, ls_dtype type, double scale,
                                size_t row_bytes, int64_t n, char *out, ls_failure *f)
{
    bool in_one_run = h->place[n - 1] - h->place[0] == n - 1;
    if (in_one_run)
        return ls_table_read(t, n, h->local, type, scale, out + (size_t)h->place[0] * row_bytes, f);
    if (ls_table_read(t, n, h->local, type, scale, h->rows, f)) return f->status;
    for (int64_t i = 0; i < n; i++)
        memcpy(out + (size_t)h->place[i] * row_bytes, h->rows + (size_t)i * row_bytes, row_bytes);
    return LS_OK;
}

static ls_status read_rows(ls_dataset *d, int64_t count, const int64_t *rows, double x_scale,
                           void *x, void *y, ls_failure *f)
{
    h5_dataset *h = (h5_dataset *)d;
    if (h->count == 1) {
        if (ls_table_read(h->file[0].x, count, rows, d->x.type, x_scale, x, f)) return f->status;
        if (!h->file[0].y) return memset(y, 0, (size_t)count * d->y_bytes), LS_OK;
        return ls_table_read(h->file[0].y, count, rows, d->y.type, 1, y, f);
    }
    if (make_room(h, count, f)) return f->status;
    if (!h->file[0].y) memset(y, 0, (size_t)count * d->y_bytes);
    for (int64_t k = 0; k < h->count && !f->status; k++) {
        const member *m = &h->file[k];
        int64_t n = 0;
        for (int64_t i = 0; i < count; i++)
            if (rows[i] >= m->first && rows[i] - m->first < m->rows) {
                h->local[n] = rows[i] - m->first;
                h->place[n++] = i;
            }
        if (n == 0) continue;
        if (!read_scattered(h, m->x, d->x.type, x_scale, d->x_bytes, n, x, f) && m->y)
            read_scattered(h, m->y, d->y.type, 1, d->y_bytes, n, y, f);
    }
    return f->status;
}

static void end_h5(ls_dataset *d)
{
    h5_dataset *h = (h5_dataset *)d;
    for (int64_t i = 0; i < h->count; i++) {
        ls_table_close(h->file[i].x);
        ls_table_close(h->file[i].y);
    }
    d->ctx->links->shared_free(d->ctx, h->copies);
    ls_memory_free(h->file);
    ls_memory_free(h->list);
    ls_memory_free(h->local);
    ls_memory_free(h->place);
    ls_memory_free(h->rows);
}

static const ls_dataset_kind h5_kind = { true, true, read_rows, end_h5 };

/* ---- opening --------------------------------------------------------------------------------- */
/* The files that path stands for, from the root to all. */
static bool find_files(h5_dataset *h, const char *path)
{
    ls_ctx *ctx = h->base.ctx;
    ls_failure f = { 0 };
    if (ctx->is_root && ls_paths_find(path, &h->list, &h->list_bytes, &f)) ls_fail_with(ctx, &f);
    uint64_t bytes = h->list_bytes;
    if (ctx->links->broadcast(ctx, &bytes, sizeof bytes)) return false;
    h->list_bytes = bytes;
    if (!ctx->is_root) h->list = ls_new(ctx, bytes, "a list of files");
    if (ctx->links->broadcast(ctx, h->list, h->list_bytes)) return false;
    for (size_t i = 0; i < h->list_bytes; i++) h->count += h->list[i] == '\0';
    h->file = ls_new(ctx, (size_t)h->count * sizeof *h->file, "a list of files");
    if (!h->file) h->count = 0;
    return h->count > 0;
}

static ls_status open_member(h5_dataset *h, member *m, const char *path, ls_failure *f)
{
    if (ls_table_open(path, h->x_name, &m->x, f)) return f->status;
    int64_t x_rows = ls_table_about(m->x)->rows, y_rows;
    m->rows = x_rows;
    if (!*h->y_name) return LS_OK;
    if (ls_table_open(path, h->y_name, &m->y, f)) return f->status;
    y_rows = ls_table_about(m->y)->rows;
    if (x_rows == y_rows) return LS_OK;
    return ls_failure_set(f, LS_ERR_DATA, "%s: %s has %lld rows and %s %lld: they must agree", path,
                          h->x_name, (long long)x_rows, h->y_name, (long long)y_rows);
}

static ls_status same_column(const char *path, const char *first, const char *name,
                             const ls_table *a, const ls_table *b, ls_failure *f)
{
    const ls_table_info *l = ls_table_about(a), *r = ls_table_about(b);
    if (ls_shape_equal(l->row, r->row) && l->is_integer == r->is_integer) return LS_OK;
    return ls_failure_set(f, LS_ERR_DATA,
                          "%s: a row of %s is %s %s, and %s %s in %s: files that are read as one "
                          "have one layout",
                          path, name, l->type, ls_shape_str(l->row).text, r->type,
                          ls_shape_str(r->row).text, first);
}

static ls_status open_files(h5_dataset *h, int64_t *rows, ls_failure *f)
{
    const char *path = h->list, *first = h->list;
    *rows = 0;
    for (int64_t i = 0; i < h->count; i++, path += strlen(path) + 1) {
        member *m = &h->file[i], *m0 = &h->file[0];
        if (open_member(h, m, path, f)) return f->status;
        if (same_column(path, first, h->x_name, m->x, m0->x, f)) return f->status;
        if (m->y && same_column(path, first, h->y_name, m->y, m0->y, f)) return f->status;
        m->first = *rows;
        if (m->rows > INT64_MAX - *rows)
            return ls_failure_set(f, LS_ERR_DATA, "%s: more rows than can be counted", path);
        *rows += m->rows;
    }
    return LS_OK;
}

/* Rows, types and shapes, as numbers that can be compared; and which files they are of, on which machine. */
typedef struct layout {
    int64_t number[5 + 2 * LS_MAX_NDIM];
    uint64_t files;
} layout;

static uint64_t number_of_files(const h5_dataset *h)
{
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    uint64_t number = ls_digest64(1, host, sizeof host);
    for (int64_t i = 0; i < h->count; i++) {
        const uint64_t one = h->file[i].x ? ls_table_file(h->file[i].x) : 0;
        number = ls_digest64(number, &one, sizeof one);
    }
    return number;
}

static layout layout_of(const h5_dataset *h)
{
    const ls_dataset *d = &h->base;
    layout l = { { d->rows, d->x.type, d->x.shape.ndim, d->y.type, d->y.shape.ndim },
                 number_of_files(h) };
    for (int i = 0; i < d->x.shape.ndim; i++) l.number[5 + i] = d->x.shape.dim[i];
    for (int i = 0; i < d->y.shape.ndim; i++) l.number[5 + LS_MAX_NDIM + i] = d->y.shape.dim[i];
    return l;
}

/* differ: whether any rank has other files open than the root. */
static bool layouts_agree(h5_dataset *h, uint64_t *differ)
{
    ls_dataset *d = &h->base;
    ls_ctx *ctx = d->ctx;
    layout own = layout_of(h), root = own;
    *differ = 0;
    if (ctx->links->broadcast(ctx, &root, sizeof root)) return false;
    if (!memcmp(own.number, root.number, sizeof own.number))
        return !ctx->links->any(ctx, own.files != root.files, differ);
    ls_fail(ctx, LS_ERR_DATA,
            "%s differs from the file that rank 0 reads: here it has %lld rows of %s, there %lld; "
            "the same file must be under this name on every machine",
            d->name, (long long)d->rows, ls_row_str(d->x).text, (long long)root.number[0]);
    return false;
}

static void compare_values(ls_dataset *d)
{
    ls_ctx *ctx = d->ctx;
    char root[sizeof d->fingerprint];
    if (ctx->failure.status) return;
    memcpy(root, ls_dataset_fingerprint(d), sizeof root);
    if (ctx->links->broadcast(ctx, root, sizeof root) || !strcmp(d->fingerprint, root)) return;
    ls_fail(
        ctx, LS_ERR_DATA,
        "%s differs from the file that rank 0 reads: it has as many rows, but other values; the "
        "same file must be under this name on every machine",
        d->name);
}

/* Gives the tables of x and y their parts of the memory for copies; how many bytes those are. */
static size_t copy_in(const h5_dataset *h, char *memory)
{
    size_t at = 0;
    for (int64_t i = 0; i < 2 * h->count; i++) {
        ls_table *t = i % 2 ? h->file[i / 2].y : h->file[i / 2].x;
        const size_t bytes = t ? ls_table_copy_bytes(t) : 0;
        if (bytes && memory) ls_table_copy_in(t, memory + at);
        at += bytes;
    }
    return at;
}

static void share_copies(h5_dataset *h)
{
    enum { LEAST_BYTES = 64 << 10 };
    const ls_dataset *d = &h->base;
    if (d->ctx->failure.status) return;
    if ((size_t)d->rows * (d->x_bytes + d->y_bytes) < LEAST_BYTES)
        return; /* the same on all ranks */
    h->copies = d->ctx->links->copies_new(d->ctx, copy_in(h, NULL));
    copy_in(h, h->copies);
}

static void open_dataset(h5_dataset *h, const char *path, const ls_h5_opts *o)
{
    ls_ctx *ctx = h->base.ctx;
    ls_failure f = { 0 };
    int64_t rows;
    uint64_t differ;
    h->x_name = o && o->x ? o->x : "/x";
    h->y_name = o && o->y ? o->y : "/y";
    if (o && o->x_scale != 0) h->base.x_scale = o->x_scale;
    if (!find_files(h, path)) return;
    if (open_files(h, &rows, &f)) ls_fail_with(ctx, &f);
    else {
        const ls_table_info none = { 0 }, *y = h->file[0].y ? ls_table_about(h->file[0].y) : &none;
        ls_dataset_lay_out(&h->base, rows,
                           (ls_row){ ctx->opts.dtype, ls_table_about(h->file[0].x)->row },
                           (ls_row){ y->is_integer ? LS_INT64 : ctx->opts.dtype, y->row });
    }
    if (!layouts_agree(h, &differ)) return;
    share_copies(h);
    if (differ) compare_values(&h->base);
}

ls_dataset *ls_h5_dataset(ls_ctx *ctx, const char *path, const ls_h5_opts *o)
{
    if (!ls_enter(ctx, "ls_h5_dataset")) return ls_agree(ctx), NULL;
    h5_dataset *h = NULL;
    double divisor = o ? o->x_scale : 0; /* as the context's type holds it */
    if (ctx->opts.dtype == LS_FLOAT32) divisor = (double)(float)divisor;
    if (!path || !*path) ls_fail(ctx, LS_ERR_ARG, "ls_h5_dataset: path is missing");
    else if (o && !(o->x_scale == 0 || isnormal(divisor)))
        ls_fail(ctx, LS_ERR_ARG, "%s: x_scale is %g: x cannot be divided by that", path,
                o->x_scale);
    else h = (h5_dataset *)ls_dataset_make(ctx, sizeof *h, &h5_kind, path);
    if (h) open_dataset(h, path, o);
    if (!ls_agree(ctx)) return &h->base;
    if (h) ls_dataset_free(&h->base);
    return NULL;
}
