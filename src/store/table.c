/* table.c -- rows of a dataset, in any order.
 *
 * Values that lie in order in the file are read past HDF5 (direct.c).
 *
 * Everything else comes through HDF5 in bands: the rows of one row of chunks, decoded whole, as stored.
 * Bands are kept in a cache of bounded size. A band has one place in it, its number modulo the places:
 * rows drawn at random hit as often as with any other rule, and reading in order keeps what fits. Bands
 * that are too large are not kept, nor are those without filters where not all fit: of such a band the
 * wanted rows alone are read, in one selection.
 *
 * Rows that are not kept are taken in order of their numbers; each knows where it goes. Calls on one
 * table take turns; HDF5's mutex is held only while HDF5 runs.
 *
 * Called by data, from the main thread and from the prefetch thread. */
#include "base/child.h"
#include "store/table.h"
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define CACHE_BYTES ((size_t)256 * 1024 * 1024)
#define PLACE_BYTES 128 /* what a place of the cache costs beside its band */

/* ---- opening --------------------------------------------------------------------------------- */

static size_t cache_default(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t eighth = pages > 0 && page > 0 ? (size_t)pages / 8 * (size_t)page : CACHE_BYTES;
    return eighth < CACHE_BYTES ? eighth : CACHE_BYTES;
}

static void free_bands(ls_table *t)
{
    for (int64_t i = 0; i < t->band_count; i++) ls_memory_free(t->bands[i].rows);
    ls_memory_free(t->bands);
    t->bands = NULL;
    t->band_count = 0;
}

/* For values that do not lie in order. */
static void make_bands(ls_table *t)
{
    size_t each = (size_t)t->band_rows * t->layout.about.row_bytes + PLACE_BYTES;
    int64_t all = (t->layout.about.rows + t->band_rows - 1) / t->band_rows;
    bool is_packed = t->layout.filters[0] != '\0', all_fit = (int64_t)(t->limit / each) >= all;
    t->band_count = all_fit ? all : is_packed ? (int64_t)(t->limit / each) : 0;
    if (t->band_count > 0) t->bands = ls_memory_new((size_t)t->band_count * sizeof *t->bands);
    if (!t->bands) t->band_count = 0; /* slower, but the same rows */
    for (int64_t i = 0; i < t->band_count; i++) t->bands[i].number = -1;
}

void ls_table_limit(ls_table *t, size_t bytes)
{
    (void)pthread_mutex_lock(&t->turn);
    free_bands(t);
    ls_direct_drop(t);
    t->limit = bytes;
    t->held_limit = bytes < LS_HELD_BYTES ? bytes : LS_HELD_BYTES;
    if (!t->direct.is_open && t->layout.about.rows > 0) make_bands(t);
    (void)pthread_mutex_unlock(&t->turn);
}

static char *copy_of(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = ls_memory_new(bytes);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

static ls_status open_set(ls_table *t, ls_failure *f)
{
    int64_t bytes;
    ls_h5_turn turn = ls_h5_begin();
    t->file = ls_h5_open(t->path, &t->fd, &bytes, f);
    if (t->file >= 0) t->set = ls_h5_dataset_open(t->file, t->path, t->name, f);
    if (t->set >= 0 && !ls_h5_layout(t->set, t->path, t->name, bytes, &t->layout, f))
        ls_digests_get(t, f);
    ls_h5_end(turn);
    return f->status;
}

static void close_set(ls_table *t)
{
    ls_h5_turn turn = ls_h5_begin();
    ls_h5_close(t->set);
    ls_h5_close(t->file);
    ls_h5_end(turn);
    t->set = t->file = H5I_INVALID_HID;
}

/* HDF5 keeps half a megabyte a file, which every child that is shown the next one has as well: where values
 * are contiguous, it is not asked again, and its lock, which keeps writers out, is held here. */
static void take_over(ls_table *t)
{
    if (!t->direct.is_open || t->direct.stride) return;
    (void)flock(t->fd, LOCK_SH | LOCK_NB); /* or the file system has none */
    close_set(t);
}

static ls_status open_here(const char *path, const char *name, ls_table **out, ls_failure *f)
{
    *out = NULL;
    ls_table *t = ls_memory_new(sizeof *t);
    if (!t) return ls_failure_memory(f, sizeof *t, "opening %s", ls_show(path).text);
    t->fd = -1;
    t->file = t->set = H5I_INVALID_HID;
    (void)pthread_mutex_init(&t->turn, NULL); /* a plain mutex: nothing that could fail */
    t->path = copy_of(path);
    t->name = copy_of(name);
    if (!t->path || !t->name)
        ls_failure_memory(f, strlen(path) + strlen(name) + 2, "opening %s", ls_show(path).text);
    else if (open_set(t, f) == LS_OK) {
        ls_table_info *about = &t->layout.about;
        about->filters = t->layout.filters;
        t->row_numbers = (int64_t)about->row_bytes / t->layout.stored.width;
        t->band_rows = about->chunk_rows && about->chunk_rows < about->rows ? about->chunk_rows
                                                                            : about->rows;
        ls_direct_open(t);
        take_over(t);
        ls_table_limit(t, cache_default());
        *out = t;
        return LS_OK;
    }
    ls_table_close(t);
    return f->status;
}

const ls_table_info *ls_table_about(const ls_table *t)
{
    return &t->layout.about;
}

void ls_table_close(ls_table *t)
{
    if (!t) return;
    close_set(t);
    ls_input_close(t->fd);
    ls_direct_drop(t);
    ls_direct_close(t);
    free_bands(t);
    (void)pthread_mutex_destroy(&t->turn);
    ls_memory_free(t->order);
    ls_memory_free(t->spare);
    ls_memory_free(t->digests);
    ls_memory_free(t->name);
    ls_memory_free(t->path);
    ls_memory_free(t);
}

/* ---- reading --------------------------------------------------------------------------------- */

ls_status ls_table_no_memory(const ls_table *t, size_t bytes, ls_failure *f)
{
    return ls_failure_memory(f, bytes, "reading %s of %s", ls_show(t->name).text,
                             ls_show(t->path).text);
}

static ls_status make_order_room(ls_table *t, int64_t count, ls_failure *f)
{
    if (count <= t->order_room) return LS_OK;
    size_t bytes = (size_t)count < SIZE_MAX / sizeof *t->order ? (size_t)count * sizeof *t->order
                                                               : SIZE_MAX;
    ls_memory_free(t->order);
    ls_memory_free(t->spare);
    t->order = ls_memory_new(bytes);
    t->spare = ls_memory_new(bytes);
    t->order_room = t->order && t->spare ? count : 0;
    if (t->order_room) return LS_OK;
    return ls_failure_memory(f, 2 * bytes, "reading %lld rows of %s", (long long)count,
                             ls_show(t->path).text);
}

/* By row, and where a row is wanted more than once by place: digit by digit, the last one first. */
static void sort(ls_table *t, int64_t count)
{
    enum { BITS = 11, DIGITS = 1 << BITS };
    for (int shift = 0; (t->layout.about.rows - 1) >> shift > 0; shift += BITS) {
        int64_t at[DIGITS + 1] = { 0 };
        for (int64_t i = 0; i < count; i++) at[(t->order[i].row >> shift) % DIGITS + 1]++;
        for (int d = 1; d < DIGITS; d++) at[d] += at[d - 1];
        for (int64_t i = 0; i < count; i++)
            t->spare[at[(t->order[i].row >> shift) % DIGITS]++] = t->order[i];
        ls_wanted *sorted = t->spare;
        t->spare = t->order;
        t->order = sorted;
    }
}

static ls_status check_rows(const ls_table *t, int64_t count, const int64_t *rows, ls_failure *f)
{
    for (int64_t i = 0; i < count; i++)
        if (rows[i] < 0 || rows[i] >= t->layout.about.rows)
            return ls_failure_set(f, LS_ERR_ARG, "%s: %s has no row %lld: it has %lld",
                                  ls_show(t->path).text, ls_show(t->name).text, (long long)rows[i],
                                  (long long)t->layout.about.rows);
    return LS_OK;
}

/* The rows wanted in ascending order, in t->order. */
static ls_status make_order(ls_table *t, int64_t count, const int64_t *rows, ls_failure *f)
{
    bool ascending = true;
    if (make_order_room(t, count, f)) return f->status;
    for (int64_t i = 0; i < count; i++) {
        t->order[i] = (ls_wanted){ rows[i], i };
        ascending = ascending && (i == 0 || rows[i - 1] <= rows[i]);
    }
    if (!ascending) sort(t, count);
    return LS_OK;
}

ls_status ls_table_put(const ls_request *q, const ls_wanted *w, int64_t first, int64_t numbers,
                       const void *in)
{
    const ls_table *t = q->t;
    size_t width = q->out_bytes / (size_t)t->row_numbers;
    char *out = q->out + (size_t)w->place * q->out_bytes + (size_t)first * width;
    if (ls_convert_divided(t->layout.stored, in, numbers, q->type, &q->divisor, out)) return LS_OK;
    return ls_failure_set(q->f, LS_ERR_DATA, "%s: %s holds an integer above 2^63 - 1 in row %lld",
                          ls_show(t->path).text, ls_show(t->name).text, (long long)w->row);
}

/* ---- bands through HDF5 ---------------------------------------------------------------------- */

/* Adds rows to a selection. */
static bool select_rows(hid_t space, const ls_table *t, H5S_seloper_t how, int64_t from,
                        int64_t rows)
{
    hsize_t start[LS_MAX_NDIM + 1] = { (hsize_t)from }, count[LS_MAX_NDIM + 1] = { (hsize_t)rows };
    for (int i = 0; i < t->layout.about.row.ndim; i++)
        count[i + 1] = (hsize_t)t->layout.about.row.dim[i];
    return H5Sselect_hyperslab(space, how, start, NULL, count, NULL) >= 0;
}

/* The selected rows, as stored, one after the other. In memory they have the dataset's dimensions: HDF5
 * would go through a selection of another shape number by number. */
static ls_status read_selection(const ls_table *t, hid_t space, bool is_selected, int64_t rows,
                                void *out, ls_failure *f)
{
    hsize_t dim[LS_MAX_NDIM + 1] = { (hsize_t)rows };
    for (int i = 0; i < t->layout.about.row.ndim; i++)
        dim[i + 1] = (hsize_t)t->layout.about.row.dim[i];
    hid_t type = H5Dget_type(t->set);
    hid_t memory = H5Screate_simple(t->layout.about.row.ndim + 1, dim, NULL);
    if (!is_selected || H5Dread(t->set, type, memory, space, H5P_DEFAULT, out) < 0)
        ls_h5_failure(f, ls_h5_read_status(), "%s: reading %s failed", ls_show(t->path).text,
                      ls_show(t->name).text);
    ls_h5_close(memory);
    ls_h5_close(type);
    return f->status;
}

/* The cached band of that number. */
static const uint8_t *fetch(ls_table *t, int64_t number, ls_failure *f)
{
    ls_band *b = &t->bands[number % t->band_count];
    if (b->number == number) return b->rows;
    b->number = -1;
    size_t bytes = (size_t)t->band_rows * t->layout.about.row_bytes;
    if (!b->rows) b->rows = ls_memory_new(bytes);
    if (!b->rows) {
        ls_table_no_memory(t, bytes, f);
        return NULL;
    }
    int64_t from = number * t->band_rows, rows = t->layout.about.rows - from;
    if (rows > t->band_rows) rows = t->band_rows;
    ls_h5_turn turn = ls_h5_begin();
    hid_t space = H5Dget_space(t->set);
    bool is_selected = select_rows(space, t, H5S_SELECT_SET, from, rows);
    if (!read_selection(t, space, is_selected, rows, b->rows, f) &&
        !ls_digests_check(t, from, b->rows, f))
        b->number = number;
    ls_h5_close(space);
    ls_h5_end(turn);
    return f->status ? NULL : b->rows;
}

/* As many of count rows, all of one band, as one selection should have. */
static int64_t selection_of(const ls_table *t, const ls_wanted *w, int64_t count, int64_t *rows)
{
    enum { MOST = 512 };
    int64_t n = 1, different = 1;
    size_t bytes = t->layout.about.row_bytes;
    for (; n < count; n++) {
        if (w[n].row == w[n - 1].row) continue;
        bytes += t->layout.about.row_bytes;
        if (different == MOST || bytes > CACHE_BYTES) break;
        different++;
    }
    *rows = different;
    return n;
}

/* Rows of a band that is not kept. */
static ls_status read_selected(const ls_request *q, const ls_wanted *w, int64_t count)
{
    ls_table *t = q->t;
    size_t row_bytes = t->layout.about.row_bytes;
    for (int64_t n, rows; count > 0; w += n, count -= n) {
        n = selection_of(t, w, count, &rows);
        uint8_t *in = ls_memory_new((size_t)rows * row_bytes);
        if (!in) return ls_table_no_memory(t, (size_t)rows * row_bytes, q->f);

        ls_h5_turn turn = ls_h5_begin();
        hid_t space = H5Dget_space(t->set);
        bool is_selected = select_rows(space, t, H5S_SELECT_SET, w->row, 1);
        for (int64_t k = 1; k < n && is_selected; k++)
            if (w[k].row != w[k - 1].row)
                is_selected = select_rows(space, t, H5S_SELECT_OR, w[k].row, 1);
        read_selection(t, space, is_selected, rows, in, q->f);
        ls_h5_close(space);
        ls_h5_end(turn);

        const uint8_t *from = in;
        for (int64_t k = 0; k < n && !q->f->status; k++) {
            if (k > 0 && w[k].row != w[k - 1].row) from += row_bytes;
            ls_table_put(q, w + k, 0, t->row_numbers, from);
        }
        ls_memory_free(in);
        if (q->f->status) return q->f->status;
    }
    return LS_OK;
}

static ls_status read_bands(const ls_request *q, int64_t count)
{
    ls_table *t = q->t;
    size_t row_bytes = t->layout.about.row_bytes;
    for (int64_t i = 0, n; i < count; i += n) {
        const ls_wanted *w = t->order + i;
        int64_t number = w->row / t->band_rows, end = (number + 1) * t->band_rows;
        for (n = 1; i + n < count && w[n].row < end; n++) {}
        if (t->band_count == 0) {
            if (read_selected(q, w, n)) return q->f->status;
            continue;
        }
        const uint8_t *rows = fetch(t, number, q->f);
        if (!rows) return q->f->status;
        for (int64_t k = 0; k < n; k++)
            if (ls_table_put(q, w + k, 0, t->row_numbers,
                             rows + (size_t)(w[k].row - number * t->band_rows) * row_bytes))
                return q->f->status;
    }
    return LS_OK;
}

/* Values do not lie where they were looked for: from now on HDF5 looks for them. */
static void close_direct(ls_table *t)
{
    ls_direct_drop(t);
    ls_direct_close(t);
    make_bands(t);
}

ls_status ls_table_read(ls_table *t, int64_t count, const int64_t *rows, ls_dtype type,
                        double divisor, void *out, ls_failure *f)
{
    if (ls_fault_fail(LS_FAULT_data_read, f)) return f->status;
    if (type == LS_INT64 && t->layout.stored.is_float)
        return ls_failure_set(f, LS_ERR_DATA, "%s: %s is %s, where integers are needed",
                              ls_show(t->path).text, ls_show(t->name).text, t->layout.about.type);
    size_t width = type == LS_FLOAT32 ? 4 : 8;
    ls_request q = { .t = t,
                     .type = type,
                     .divisor = ls_divisor_of(t->layout.stored, type, divisor),
                     .as_is = divisor == 1 && !ls_is_converted(t->layout.stored, type),
                     .out_bytes = (size_t)t->row_numbers * width,
                     .out = out,
                     .f = f };
    (void)pthread_mutex_lock(&t->turn);
    if (t->direct.is_open && !t->held) ls_direct_hold(t);
    if (count > 0 && check_rows(t, count, rows, f) == LS_OK) {
        bool is_read = t->held && ls_direct_read_held(&q, count, rows);
        if (!is_read && make_order(t, count, rows, f) == LS_OK) {
            if (!t->held) is_read = t->direct.is_open && ls_direct_read(&q, count);
            if (!is_read && t->direct.is_open) close_direct(t);
            if (!is_read) read_bands(&q, count);
        }
    }
    (void)pthread_mutex_unlock(&t->turn);
    return f->status;
}

/* ---- a file that nobody vouches for ---------------------------------------------------------- */

typedef struct subject {
    const char *path, *name;
    ls_h5_turn turn;
} subject;

/* Rows of a table, evenly spread, all of them where they are few bytes. */
static void read_some(ls_table *t, ls_failure *f)
{
    enum { SPREAD = 64, FEW_BYTES = 16 << 20 };
    const ls_table_info *about = &t->layout.about;
    int64_t fit = FEW_BYTES / (t->row_numbers * 8), rows = about->rows;
    int64_t count = rows <= fit ? rows : SPREAD;
    ls_dtype type = t->layout.stored.is_float ? LS_FLOAT64 : LS_INT64;
    void *out = ls_memory_new((size_t)t->row_numbers * 8);
    for (int64_t i = 0; out && i < count && !f->status; i++) {
        int64_t row = count == 1 ? 0 : i * ((rows - 1) / (count - 1));
        if (i == count - 1) row = rows - 1;
        ls_table_read(t, 1, &row, type, 1, out, f);
    }
    ls_memory_free(out);
}

/* What may be read through HDF5 later goes through HDF5 here. */
static void try_reading(ls_table *t)
{
    ls_failure later = { .status = LS_OK }; /* said with its row when that is asked for */
    bool is_contiguous = t->direct.is_open && !t->direct.stride;
    if (t->layout.about.rows == 0 || is_contiguous) return; /* pread() cannot be led astray */
    read_some(t, &later);
    if (!t->direct.is_open) return;
    close_direct(t);
    later.status = LS_OK;
    read_some(t, &later);
}

static void look(void *of, ls_failure *f)
{
    const subject *s = of;
    ls_table *t;
    ls_h5_end(s->turn);
    if (ls_fault_fail(LS_FAULT_data_open, f)) return;
    if (open_here(s->path, s->name, &t, f)) return;
    try_reading(t);
    ls_table_close(t); /* that too is tried here first */
}

/* HDF5 trusts what it reads and can be made to crash, so a child is shown the file first, and this
 * process opens only what has held there. */
ls_status ls_table_open(const char *path, const char *name, ls_table **out, ls_failure *f)
{
    enum { LIMIT_S = 20 };
    *out = NULL;
    if (!ls_h5_has_room(f)) return f->status;
    subject s = { path, name,
                  ls_h5_begin() }; /* no other thread is in HDF5 when the child begins */
    ls_status status = ls_child_run(look, &s, LIMIT_S, ls_show(path).text, f);
    ls_h5_end(s.turn);
    return status ? status : open_here(path, name, out, f);
}
