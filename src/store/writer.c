/* writer.c -- a new dataset file: two contiguous datasets whose length is known only at the end.
 *
 * There may be x alone. HDF5 is asked for the head of the file alone, in memory: with the number of rows it says where
 * the values of x and y begin. Those of x begin behind the head, at a place that does not depend on
 * the number of rows, so they are written there as they come; those of y, as a rule few, wait in a
 * nameless file and follow at the end. So all bytes that can fill a disk are written by output.c,
 * which knows what to do about it, and readers get rows at places they can compute.
 *
 * Called by data, on the rank that writes. */
#include "store/h5.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_BYTES   ((size_t)4096)
#define BUFFER_BYTES ((size_t)1024 * 1024)
enum { LONGEST_NAME = 200 };

typedef struct column {
    char name[LONGEST_NAME + 1];
    ls_column is;
    int64_t row_bytes;
    uint8_t *buffer; /* what is not written yet */
    size_t used;
    int64_t written;
} column;

struct ls_h5_writer {
    char path[LS_PATH_BYTES], dir[LS_PATH_BYTES];
    ls_output file, wait; /* wait: the values of y, until the end */
    int wait_in;          /* the same for reading */
    int64_t rows, x_at;   /* x_at: where x begins in the file */
    column x, y;
    ls_failure failure;
};

/* ---- the head -------------------------------------------------------------------------------- */

static hid_t stored_type(ls_store_type type)
{
    switch (type) {
    case LS_STORE_F32:
        return H5T_NATIVE_FLOAT;
    case LS_STORE_F64:
        return H5T_NATIVE_DOUBLE;
    case LS_STORE_U8:
        return H5T_NATIVE_UINT8;
    case LS_STORE_I64:
        return H5T_NATIVE_INT64;
    }
    return H5I_INVALID_HID;
}

/* Makes a dataset of so many rows without writing any; where its values are to be, or -1. */
static int64_t make_set(hid_t file, const column *c, int64_t rows, const char *path, ls_failure *f)
{
    hsize_t dim[LS_MAX_NDIM] = { (hsize_t)rows };
    for (int i = 0; i < c->is.row.ndim; i++) dim[i + 1] = (hsize_t)c->is.row.dim[i];
    if (ls_h5_groups_make(file, c->name, path, f)) return -1;

    haddr_t at = HADDR_UNDEF;
    hid_t set = H5I_INVALID_HID, creation = ls_h5_list_new(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(c->is.row.ndim + 1, dim, NULL);
    if (H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY) >= 0 &&
        H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER) >= 0)
        set = H5Dcreate2(file, c->name, stored_type(c->is.type), space, H5P_DEFAULT, creation,
                         H5P_DEFAULT);
    if (set >= 0) at = H5Dget_offset(set);
    if (at == HADDR_UNDEF)
        ls_h5_failure(f, LS_ERR_ARG, "%s: %s cannot be made", path, ls_show(c->name).text);
    ls_h5_close(set);
    ls_h5_close(space);
    ls_h5_close(creation);
    return at == HADDR_UNDEF ? -1 : (int64_t)at;
}

/* The head of a file: its bytes, and where x and y begin. */
typedef struct head {
    uint8_t bytes[HEAD_BYTES];
    int64_t x_at, y_at;
} head;

static ls_status make_head(const ls_h5_writer *w, int64_t rows, head *h, ls_failure *f)
{
    ls_h5_memory memory = { .limit = HEAD_BYTES };
    ls_shown path = ls_show(w->path);
    uint64_t end = 0;
    h->x_at = h->y_at = -1;
    ls_h5_turn turn = ls_h5_begin();
    hid_t file = ls_h5_memory_new(&memory, 0, (int64_t)HEAD_BYTES, f);
    if (file >= 0) {
        h->x_at = make_set(file, &w->x, rows, path.text, f);
        if (!f->status && w->y.buffer) h->y_at = make_set(file, &w->y, rows, path.text, f);
        if (!w->y.buffer) h->y_at = h->x_at + rows * w->x.row_bytes;
        ls_failure closing = { .status = LS_OK };
        if (ls_h5_memory_finish(&memory, file, 0, &end, &closing))
            ls_failure_set(f, closing.status, "%s: %s", path.text, closing.text);
    }
    uint64_t y_end = (uint64_t)(h->y_at + rows * w->y.row_bytes);
    if (memory.capacity == HEAD_BYTES && h->x_at >= (int64_t)HEAD_BYTES &&
        h->y_at >= h->x_at + rows * w->x.row_bytes && end == y_end)
        memcpy(h->bytes, memory.bytes, HEAD_BYTES);
    else ls_failure_set(f, LS_ERR_USE, "%s: this HDF5 lays files out in an unknown way", path.text);
    ls_h5_memory_free(&memory);
    ls_h5_end(turn);
    return f->status;
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool is_there_already(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static ls_status set_column(column *c, const ls_column *is, const char *name, ls_failure *f)
{
    static const int64_t width[] = {
        [LS_STORE_F32] = 4, [LS_STORE_F64] = 8, [LS_STORE_U8] = 1, [LS_STORE_I64] = 8
    };
    if (is->name) name = is->name;
    size_t length = strlen(name);
    bool is_sound = length > 0 && length < LONGEST_NAME && name[length - 1] != '/';
    if (!is_sound || is->row.ndim >= LS_MAX_NDIM || (unsigned)is->type > LS_STORE_I64)
        return ls_failure_set(f, LS_ERR_ARG, "\"%s\" cannot be a dataset: name, type or dimensions",
                              ls_show(name).text);
    c->is = *is;
    snprintf(c->name, sizeof c->name, "%s%s", name[0] == '/' ? "" : "/", name);
    c->row_bytes = width[is->type];
    for (int i = 0; i < is->row.ndim; i++)
        if (is->row.dim[i] <= 0 ||
            __builtin_mul_overflow(c->row_bytes, is->row.dim[i], &c->row_bytes))
            return ls_failure_set(f, LS_ERR_ARG, "%s: rows of shape %s cannot be stored",
                                  ls_show(name).text,
                                  ls_show_shape(is->row.ndim, is->row.dim).text);
    c->buffer = ls_memory_new(BUFFER_BYTES);
    if (!c->buffer) return ls_failure_set(f, LS_ERR_MEMORY, "no memory to write a dataset");
    return LS_OK;
}

static ls_status set_path(ls_h5_writer *w, const char *path, const char **base, ls_failure *f)
{
    const char *slash = strrchr(path, '/');
    *base = slash ? slash + 1 : path;
    if (strlen(path) >= sizeof w->path || !**base)
        return ls_failure_set(f, LS_ERR_OUTPUT, "\"%s\" cannot be the name of a file",
                              ls_show(path).text);
    strcpy(w->path, path);
    if (slash) memcpy(w->dir, path, slash == path ? 1 : (size_t)(slash - path));
    if (is_there_already(path))
        return ls_failure_set(f, LS_ERR_OUTPUT, "%s is there already: remove it or name another",
                              ls_show(path).text);
    return LS_OK;
}

ls_status ls_h5_writer_open(const char *path, const ls_column *x, const ls_column *y,
                            ls_h5_writer **out, ls_failure *f)
{
    const char *base;
    head h;
    *out = NULL;
    ls_h5_writer *w = ls_memory_new(sizeof *w);
    if (!w) return ls_failure_set(f, LS_ERR_MEMORY, "no memory to write a dataset");
    w->file.fd = w->wait.fd = w->wait_in = -1;
    bool has_y = !y->name || *y->name;
    if (set_path(w, path, &base, f) || set_column(&w->x, x, "/x", f) ||
        (has_y && set_column(&w->y, y, "/y", f)) || make_head(w, 1, &h, f) ||
        ls_output_open(&w->file, w->dir, base, "dataset", f)) {
        ls_h5_writer_drop(w);
        return f->status;
    }
    w->x_at = h.x_at;
    *out = w;
    return LS_OK;
}

void ls_h5_writer_drop(ls_h5_writer *w)
{
    if (!w) return;
    ls_output_drop(&w->file);
    ls_output_drop(&w->wait);
    ls_input_close(w->wait_in);
    ls_memory_free(w->x.buffer);
    ls_memory_free(w->y.buffer);
    ls_memory_free(w);
}

/* ---- adding rows ----------------------------------------------------------------------------- */

/* The nameless file. */
static ls_status open_wait(ls_h5_writer *w, ls_failure *f)
{
    const char *slash = strrchr(w->path, '/');
    char name[LS_PATH_BYTES + 2];
    int64_t bytes;
    snprintf(name, sizeof name, "%s-y", slash ? slash + 1 : w->path);
    if (ls_output_open(&w->wait, w->dir, name, "dataset", f)) return f->status;
    w->wait_in = ls_input_open(w->wait.path, &bytes, f);
    (void)unlink(w->wait.path); /* fails: it is dropped by name later */
    return f->status;
}

static ls_status flush(ls_h5_writer *w, column *c, ls_failure *f)
{
    if (c == &w->y && w->wait.fd < 0 && open_wait(w, f)) return f->status;
    ls_output *to = c == &w->x ? &w->file : &w->wait;
    int64_t at = c->written + (c == &w->x ? w->x_at : 0);
    if (ls_output_write(to, at, c->buffer, c->used, f)) return f->status;
    c->written += (int64_t)c->used;
    c->used = 0;
    return LS_OK;
}

static ls_status add(ls_h5_writer *w, column *c, const void *data, int64_t bytes, ls_failure *f)
{
    for (const char *from = data; bytes > 0;) {
        size_t part = BUFFER_BYTES - c->used;
        if ((int64_t)part > bytes) part = (size_t)bytes;
        memcpy(c->buffer + c->used, from, part);
        c->used += part;
        from += part;
        bytes -= (int64_t)part;
        if (c->used == BUFFER_BYTES && flush(w, c, f)) return f->status;
    }
    return LS_OK;
}

/* After an error nothing is left on disk. */
static ls_status stop(ls_h5_writer *w, ls_failure *f)
{
    ls_output_drop(&w->file);
    ls_output_drop(&w->wait);
    w->failure = *f;
    return f->status;
}

ls_status ls_h5_writer_add(ls_h5_writer *w, int64_t rows, const void *x, const void *y,
                           ls_failure *f)
{
    int64_t x_bytes, y_bytes, all;
    if (w->failure.status) return ls_failure_set(f, w->failure.status, "%s", w->failure.text);
    if (rows < 0 || __builtin_mul_overflow(rows + w->rows, w->x.row_bytes + w->y.row_bytes, &all)) {
        ls_failure_set(f, LS_ERR_ARG, "%s: %lld rows cannot be added", ls_show(w->path).text,
                       (long long)rows);
        return stop(w, f);
    }
    x_bytes = rows * w->x.row_bytes;
    y_bytes = rows * w->y.row_bytes;
    if (add(w, &w->x, x, x_bytes, f) || add(w, &w->y, y, y_bytes, f)) return stop(w, f);
    w->rows += rows;
    return LS_OK;
}

/* ---- closing --------------------------------------------------------------------------------- */

/* All values of y, from where they wait to where they belong. */
static ls_status move_y(ls_h5_writer *w, int64_t y_at, ls_failure *f)
{
    column *c = &w->y;
    for (int64_t at = 0; at < c->written; at += (int64_t)BUFFER_BYTES) {
        /* x is written: its buffer is free. Only whole buffers were flushed. */
        if (ls_input_read(w->wait_in, w->path, at, w->x.buffer, BUFFER_BYTES, f) ||
            ls_output_write(&w->file, y_at + at, w->x.buffer, BUFFER_BYTES, f))
            return f->status;
    }
    return ls_output_write(&w->file, y_at + c->written, c->buffer, c->used, f);
}

/* Gives the file its name, unless another has it. */
static ls_status give_name(ls_h5_writer *w, ls_failure *f)
{
    if (link(w->file.path, w->path) == 0) {
        ls_output_drop(&w->file);
        return ls_folder_sync(w->dir, f);
    }
    /* Where a file system has no links, a rename must do. */
    bool no_links = errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK;
    if (no_links && !is_there_already(w->path) && rename(w->file.path, w->path) == 0) {
        w->file.path[0] = '\0';
        return ls_folder_sync(w->dir, f);
    }
    return ls_failure_set(f, LS_ERR_OUTPUT, "%s cannot be made: %s", ls_show(w->path).text,
                          is_there_already(w->path) ? "it is there already" : strerror(errno));
}

static ls_status finish(ls_h5_writer *w, ls_failure *f)
{
    head h;
    if (w->failure.status) return ls_failure_set(f, w->failure.status, "%s", w->failure.text);
    if (w->rows == 0)
        return ls_failure_set(f, LS_ERR_ARG, "%s: no row was written", ls_show(w->path).text);
    if (make_head(w, w->rows, &h, f)) return f->status;
    if (h.x_at != w->x_at)
        return ls_failure_set(f, LS_ERR_USE, "%s: this HDF5 lays files out in an unknown way",
                              ls_show(w->path).text);
    if (flush(w, &w->x, f) || (w->y.buffer && move_y(w, h.y_at, f)) ||
        ls_output_write(&w->file, 0, h.bytes, sizeof h.bytes, f) || ls_output_close(&w->file, f))
        return f->status;
    return give_name(w, f);
}

ls_status ls_h5_writer_close(ls_h5_writer *w, ls_failure *f)
{
    ls_status status = finish(w, f);
    ls_h5_writer_drop(w);
    return status;
}
