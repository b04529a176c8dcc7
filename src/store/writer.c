/* writer.c -- a new dataset file: two datasets in chunks with checksums, whose length is known only at
 * the end.
 *
 * There may be x alone. The values of x begin behind the head of the file, at a place that does not depend on the number of
 * rows, so they are written there as they come, a chunk of whole rows and its checksum after the
 * other; those of y, as a rule few, wait in a nameless file and follow at the end. Then HDF5 is asked
 * for what stands around them (frame.c). So all bytes that can fill a disk are written by output.c,
 * which knows what to do about it, and readers get rows at places they can compute.
 *
 * Chunks are small, so that a reader who wants single rows of many chunks need not read much to check
 * them, and large enough that their index is nothing beside them.
 *
 * Called by data, on the rank that writes. */
#include "store/table.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES  ((int64_t)64 * 1024)
#define MOST_BYTES   ((int64_t)UINT32_MAX - 4) /* of a chunk, in HDF5 */
#define BUFFER_BYTES ((int64_t)1024 * 1024)
enum { LONGEST_NAME = 200, SUM_BYTES = 4 };

typedef struct column {
    char name[LONGEST_NAME + 1];
    ls_column is;
    int64_t row_bytes, chunk_rows;
    uint8_t *buffer;       /* chunks with their checksums that are not written yet */
    int64_t room, waiting; /* chunks in the buffer at most, and those that are complete */
    size_t used;           /* of the next one */
    int64_t chunks;        /* that are complete */
    uint64_t *digest;      /* of each of them */
    int64_t digest_room;
} column;

struct ls_h5_writer {
    char path[LS_PATH_BYTES], dir[LS_PATH_BYTES];
    bool replaces;        /* what has that name */
    ls_output file, wait; /* wait: the values of y, until the end */
    int wait_in;          /* the same for reading */
    int64_t rows;
    column x, y;
    ls_failure failure;
};

/* ---- what stands around the values ----------------------------------------------------------- */

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

/* A chunk as it is stored. */
static int64_t chunk_bytes(const column *c)
{
    return c->chunk_rows * c->row_bytes + SUM_BYTES;
}

/* Makes a dataset of so many rows, with all its chunks; their bytes are written elsewhere. */
static ls_status make_set(hid_t file, const column *c, int64_t rows, const char *path,
                          ls_failure *f)
{
    hsize_t dim[LS_MAX_NDIM] = { (hsize_t)rows }, chunk[LS_MAX_NDIM] = { (hsize_t)c->chunk_rows };
    hsize_t first[LS_MAX_NDIM] = { 0 };
    for (int i = 0; i < c->is.row.ndim; i++) dim[i + 1] = chunk[i + 1] = (hsize_t)c->is.row.dim[i];
    if (ls_h5_groups_make(file, c->name, path, f)) return f->status;

    hid_t set = H5I_INVALID_HID, creation = ls_h5_list_new(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(c->is.row.ndim + 1, dim, NULL);
    if (H5Pset_chunk(creation, c->is.row.ndim + 1, chunk) >= 0 &&
        H5Pset_fletcher32(creation) >= 0 && H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER) >= 0)
        set = H5Dcreate2(file, c->name, stored_type(c->is.type), space, H5P_DEFAULT, creation,
                         H5P_DEFAULT);
    bool is_made = set >= 0 && !ls_digests_put(set, c->chunk_rows, c->chunks, c->digest, f);
    for (int64_t i = 0; i < c->chunks && is_made; i++) {
        first[0] = (hsize_t)(i * c->chunk_rows);
        is_made = H5Dwrite_chunk(set, H5P_DEFAULT, 0, first, (size_t)chunk_bytes(c), c) >= 0;
    }
    if (!is_made)
        ls_h5_failure(f, LS_ERR_ARG, "%s: %s cannot be made", path, ls_show(c->name).text);
    ls_h5_close(set);
    ls_h5_close(space);
    ls_h5_close(creation);
    return f->status;
}

/* For the chunks that are written. The frame is the caller's to free, also after an error. */
static ls_status make_frame(const ls_h5_writer *w, ls_h5_frame *fr, ls_failure *f)
{
    ls_shown path = ls_show(w->path);
    ls_failure closing = { .status = LS_OK };
    ls_h5_turn turn = ls_h5_begin();
    hid_t file = ls_h5_frame_new(
        fr, w->x.chunks * chunk_bytes(&w->x) + w->y.chunks * chunk_bytes(&w->y), f);
    if (file >= 0) {
        if (!make_set(file, &w->x, w->rows, path.text, f) && w->y.buffer)
            make_set(file, &w->y, w->rows, path.text, f);
        if (ls_h5_frame_finish(fr, file, &closing))
            ls_failure_set(f, closing.status, "%s: %s", path.text, closing.text);
    }
    ls_h5_end(turn);
    return f->status;
}

static void free_frame(ls_h5_frame *fr)
{
    ls_h5_turn turn = ls_h5_begin();
    ls_h5_frame_free(fr);
    ls_h5_end(turn);
}

/* That HDF5 makes such datasets, before anything is written. */
static ls_status try_frame(const ls_h5_writer *w, ls_failure *f)
{
    ls_h5_writer one = *w;
    ls_h5_frame fr;
    uint64_t none = 0;
    one.x.digest = one.y.digest = &none;
    one.rows = one.x.chunks = one.x.chunk_rows = one.y.chunk_rows = 1;
    one.y.chunks = one.y.buffer != NULL;
    make_frame(&one, &fr, f);
    free_frame(&fr);
    return f->status;
}

/* ---- opening --------------------------------------------------------------------------------- */

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
    if (c->row_bytes > MOST_BYTES)
        return ls_failure_set(f, LS_ERR_ARG, "%s: rows of %s are more than HDF5 stores as one",
                              ls_show(name).text, ls_show_size((uint64_t)c->row_bytes).text);
    c->chunk_rows = c->row_bytes < CHUNK_BYTES ? CHUNK_BYTES / c->row_bytes : 1;
    c->room = chunk_bytes(c) < BUFFER_BYTES ? BUFFER_BYTES / chunk_bytes(c) : 1;
    const size_t bytes = (size_t)(c->room * chunk_bytes(c));
    c->buffer = ls_memory_new(bytes);
    if (!c->buffer) return ls_failure_memory(f, bytes, "writing a dataset");
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
    if (!w->replaces && ls_path_is_there(path))
        return ls_failure_set(f, LS_ERR_OUTPUT, "%s is there already: remove it or name another",
                              ls_show(path).text);
    return LS_OK;
}

ls_status ls_h5_writer_open(const char *path, bool replaces, const ls_column *x, const ls_column *y,
                            ls_h5_writer **out, ls_failure *f)
{
    const char *base;
    bool has_y = !y->name || *y->name;
    *out = NULL;
    ls_h5_writer *w = ls_memory_new(sizeof *w);
    if (!w) return ls_failure_memory(f, sizeof *w, "writing a dataset");
    w->file.fd = w->wait.fd = w->wait_in = -1;
    w->replaces = replaces;
    if (set_path(w, path, &base, f) || set_column(&w->x, x, "/x", f) ||
        (has_y && set_column(&w->y, y, "/y", f)) || !ls_h5_has_room(f) || try_frame(w, f) ||
        ls_output_open_nameless(&w->file, w->dir, base, "dataset", f)) {
        ls_h5_writer_drop(w);
        return f->status;
    }
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
    ls_memory_free(w->x.digest);
    ls_memory_free(w->y.digest);
    ls_memory_free(w);
}

/* ---- adding rows ----------------------------------------------------------------------------- */

/* The nameless file. */
static ls_status open_wait(ls_h5_writer *w, ls_failure *f)
{
    const char *slash = strrchr(w->path, '/');
    char name[LS_PATH_BYTES + 2];
    snprintf(name, sizeof name, "%s-y", slash ? slash + 1 : w->path);
    if (ls_output_open_nameless(&w->wait, w->dir, name, "dataset", f)) return f->status;
    w->wait_in = dup(w->wait.fd);
    if (w->wait_in < 0)
        return ls_failure_set(f, LS_ERR_IO, "%s: %s", ls_show(w->path).text, strerror(errno));
    if (w->wait.path[0] && !unlink(w->wait.path)) w->wait.path[0] = '\0';
    return LS_OK;
}

/* Writes what is in the buffer. */
static ls_status flush(ls_h5_writer *w, column *c, ls_failure *f)
{
    if (c->waiting == 0) return LS_OK;
    if (c == &w->y && w->wait.fd < 0 && open_wait(w, f)) return f->status;
    ls_output *to = c == &w->x ? &w->file : &w->wait;
    int64_t at = (c->chunks - c->waiting) * chunk_bytes(c) + (c == &w->x ? LS_FRAME_HEAD : 0);
    size_t bytes = (size_t)(c->waiting * chunk_bytes(c));
    c->waiting = 0;
    return ls_output_write(to, at, c->buffer, bytes, f);
}

/* The chunk that is being filled, in the buffer. */
static uint8_t *chunk_of(const column *c)
{
    return c->buffer + c->waiting * chunk_bytes(c);
}

static ls_status make_digest_room(column *c, const char *path, ls_failure *f)
{
    if (c->chunks < c->digest_room) return LS_OK;
    int64_t room = c->digest_room ? 2 * c->digest_room : 64;
    const size_t bytes = (size_t)room * sizeof(uint64_t);
    uint64_t *more = ls_memory_new(bytes);
    if (!more) return ls_failure_memory(f, bytes, "writing %s", ls_show(path).text);
    if (c->chunks) memcpy(more, c->digest, (size_t)c->chunks * sizeof *more);
    ls_memory_free(c->digest);
    c->digest = more;
    c->digest_room = room;
    return LS_OK;
}

/* The chunk that is being filled is complete; where it is the last one, zeros fill it up. */
static ls_status end_chunk(ls_h5_writer *w, column *c, ls_failure *f)
{
    if (c->used == 0) return LS_OK;
    size_t all = (size_t)(c->chunk_rows * c->row_bytes);
    uint8_t *chunk = chunk_of(c);
    if (make_digest_room(c, w->path, f)) return f->status;
    c->digest[c->chunks] = ls_digest64(0, chunk, c->used);
    memset(chunk + c->used, 0, all - c->used);
    uint32_t sum = ls_fletcher32(chunk, all);
    for (int i = 0; i < SUM_BYTES; i++) chunk[all + (size_t)i] = (uint8_t)(sum >> 8 * i);
    c->chunks++;
    c->used = 0;
    return ++c->waiting == c->room ? flush(w, c, f) : LS_OK;
}

static ls_status add(ls_h5_writer *w, column *c, const void *data, int64_t bytes, ls_failure *f)
{
    size_t all = (size_t)(c->chunk_rows * c->row_bytes);
    for (const char *from = data; bytes > 0;) {
        size_t part = all - c->used;
        if ((int64_t)part > bytes) part = (size_t)bytes;
        memcpy(chunk_of(c) + c->used, from, part);
        c->used += part;
        from += part;
        bytes -= (int64_t)part;
        if (c->used == all && end_chunk(w, c, f)) return f->status;
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
    if ((x_bytes && !x) || (y_bytes && !y)) {
        ls_failure_set(f, LS_ERR_ARG, "%s: the values of %s are missing", ls_show(w->path).text,
                       x_bytes && !x ? w->x.name : w->y.name);
        return stop(w, f);
    }
    if (add(w, &w->x, x, x_bytes, f) || add(w, &w->y, y, y_bytes, f)) return stop(w, f);
    w->rows += rows;
    return LS_OK;
}

/* ---- closing --------------------------------------------------------------------------------- */

/* All values of y, from where they wait to where they belong. */
static ls_status move_y(ls_h5_writer *w, ls_failure *f)
{
    int64_t to = LS_FRAME_HEAD + w->x.chunks * chunk_bytes(&w->x);
    int64_t left = w->y.chunks * chunk_bytes(&w->y);
    size_t most = (size_t)(left < BUFFER_BYTES ? left : BUFFER_BYTES);
    uint8_t *buffer = ls_memory_new(most);
    if (!buffer) return ls_failure_memory(f, most, "writing %s", ls_show(w->path).text);
    for (int64_t at = 0; left > 0 && !f->status; at += (int64_t)most, left -= (int64_t)most) {
        if ((int64_t)most > left) most = (size_t)left;
        if (!ls_input_read(w->wait_in, w->path, at, buffer, most, f))
            ls_output_write(&w->file, to + at, buffer, most, f);
    }
    ls_memory_free(buffer);
    return f->status;
}

/* A chunk has no more rows than there are. */
static void fit_chunk(column *c, int64_t rows)
{
    if (c->chunks == 0 && rows < c->chunk_rows) c->chunk_rows = rows;
}

static ls_status finish(ls_h5_writer *w, ls_failure *f)
{
    ls_h5_frame fr;
    if (w->failure.status) return ls_failure_set(f, w->failure.status, "%s", w->failure.text);
    if (w->rows == 0)
        return ls_failure_set(f, LS_ERR_ARG, "%s: no row was written", ls_show(w->path).text);
    fit_chunk(&w->x, w->rows);
    fit_chunk(&w->y, w->rows);
    if (end_chunk(w, &w->x, f) || end_chunk(w, &w->y, f) || flush(w, &w->x, f) ||
        flush(w, &w->y, f))
        return f->status;
    if (!make_frame(w, &fr, f) && !move_y(w, f) &&
        !ls_output_write(&w->file, fr.tail_at, fr.tail, fr.tail_bytes, f))
        ls_output_write(&w->file, 0, fr.head, LS_FRAME_HEAD, f);
    free_frame(&fr);
    if (f->status || ls_output_close(&w->file, f)) return f->status;
    return ls_output_name(&w->file, w->path, w->replaces, f);
}

ls_status ls_h5_writer_close(ls_h5_writer *w, ls_failure *f)
{
    ls_status status = finish(w, f);
    ls_h5_writer_drop(w);
    return status;
}
