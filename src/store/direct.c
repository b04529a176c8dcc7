/* direct.c -- rows of values that lie in order in the file, read past HDF5.
 *
 * Their place is asked for once; then rows are pread() from it, those that lie close together in one
 * call. Values that are small enough are kept as they are stored: contiguous ones from when the calls for
 * single rows have cost about as much as reading everything, others chunk by chunk. Rows of what is kept
 * are gathered in memory. Several processes may keep one copy: each brings there what it misses, and
 * finds what others have brought.
 *
 * In order are contiguous values, and chunks of whole rows, perhaps with checksums, of which each lies
 * where the one before ends. That they do is an assumption about the file until it has been seen:
 * before the first row of a chunk is read, HDF5 is asked for that chunk, and it must be sound and the same
 * bytes as those at the place where it was looked for. Where it is not, nothing is read past HDF5 any
 * more, and it is HDF5 that says what is wrong.
 *
 * Called by table.c, under its turn. */
#include "store/table.h"
#include <string.h>
#include <sys/stat.h>

#define GAP_BYTES  2048 /* between rows: reading them costs no more than another call */
#define MOST_CHUNK ((int64_t)16 * 1024 * 1024)
enum { SUM_BYTES = 4 };

static size_t whole_lines(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static size_t value_bytes(const ls_table *t)
{
    return (size_t)t->layout.about.rows * t->layout.about.row_bytes;
}

/* How many chunks there are; 0: the values are contiguous. */
static size_t chunks_of(const ls_table *t)
{
    const ls_direct *d = &t->direct;
    return d->stride ? (size_t)((t->layout.about.rows - 1) / d->piece_rows + 1) : 0;
}

void ls_direct_open(ls_table *t)
{
    const ls_table_info *about = &t->layout.about;
    ls_direct *d = &t->direct;
    if (t->layout.offset < 0) return;
    *d = (ls_direct){ true, about->rows ? about->rows : 1, t->layout.stride, .calls = 0 };
    if (!d->stride) return;
    d->piece_rows = about->chunk_rows;
    d->is_open = d->stride <= MOST_CHUNK;
    if (!d->is_open) return;
    d->checked = ls_memory_new(chunks_of(t));
    d->found = ls_memory_new((size_t)d->stride);
    d->stored = ls_memory_new((size_t)d->stride);
    if (!d->checked || !d->found || !d->stored) ls_direct_close(t); /* HDF5 needs less */
}

void ls_direct_close(ls_table *t)
{
    ls_direct *d = &t->direct;
    ls_memory_free(d->scratch);
    ls_memory_free((void *)d->checked);
    ls_memory_free(d->found);
    ls_memory_free(d->stored);
    *d = (ls_direct){ .is_open = false };
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static int64_t place_of(const ls_table *t, int64_t row)
{
    const ls_direct *d = &t->direct;
    return t->layout.offset + row / d->piece_rows * d->stride +
           row % d->piece_rows * (int64_t)t->layout.about.row_bytes;
}

/* Whether HDF5 finds the chunk of this row there too: the same bytes, through no other filters. */
static bool is_stored_there(const ls_table *t, int64_t row)
{
    const ls_direct *d = &t->direct;
    hsize_t first[LS_MAX_NDIM + 1] = { (hsize_t)(row / d->piece_rows * d->piece_rows) }, bytes = 0;
    uint32_t left_out = 0;
    ls_h5_turn turn = ls_h5_begin();
    bool is_read = H5Dget_chunk_storage_size(t->set, first, &bytes) >= 0 &&
                   bytes == (hsize_t)d->stride &&
                   H5Dread_chunk(t->set, H5P_DEFAULT, first, &left_out, d->stored) >= 0;
    ls_h5_end(turn);
    return is_read && !left_out && memcmp(d->stored, d->found, (size_t)d->stride) == 0;
}

static bool is_sound(const ls_direct *d, size_t bytes)
{
    uint32_t sum = 0;
    if (bytes == (size_t)d->stride) return true; /* without a checksum */
    for (int i = 0; i < SUM_BYTES; i++) sum |= (uint32_t)d->found[bytes + (size_t)i] << 8 * i;
    return sum == ls_fletcher32(d->found, bytes);
}

/* Whether the row's chunk is where it is looked for. */
static bool check(ls_table *t, int64_t row, ls_failure *f)
{
    ls_direct *d = &t->direct;
    size_t bytes = (size_t)t->layout.about.chunk_bytes;
    int64_t number = row / d->piece_rows, at = t->layout.offset + number * d->stride;
    if (!d->stride || atomic_load_explicit(&d->checked[number], memory_order_acquire)) return true;
    if (at > t->layout.file_bytes - d->stride) return false;
    if (ls_input_read(t->fd, t->path, at, d->found, (size_t)d->stride, f)) return true;
    if (!is_sound(d, bytes) || !is_stored_there(t, row)) return false;
    int64_t first = number * d->piece_rows, rows = t->layout.about.rows - first;
    if (ls_digests_check(t, first, d->found, f)) return true;
    if (rows > d->piece_rows) rows = d->piece_rows;
    size_t row_bytes = t->layout.about.row_bytes;
    if (t->held) memcpy(t->held + (size_t)first * row_bytes, d->found, (size_t)rows * row_bytes);
    atomic_store_explicit(&d->checked[number], 1, memory_order_release);
    return true;
}

/* ---- values that are kept -------------------------------------------------------------------- */
enum { COPY_EMPTY, COPY_BEGUN, COPY_WHOLE, COPY_FAILED };

size_t ls_table_copy_bytes(const ls_table *t)
{
    if (!t->direct.is_open || !t->layout.about.rows || value_bytes(t) > t->held_limit) return 0;
    return whole_lines(sizeof(ls_copy)) + whole_lines(chunks_of(t)) + whole_lines(value_bytes(t));
}

uint64_t ls_table_file(const ls_table *t)
{
    struct stat s;
    if (fstat(t->fd, &s)) return 0;
    const uint64_t about[] = { (uint64_t)s.st_dev, (uint64_t)s.st_ino, (uint64_t)s.st_size,
                               (uint64_t)s.st_mtim.tv_sec, (uint64_t)s.st_mtim.tv_nsec };
    return ls_digest64(1, about, sizeof about) | 1;
}

void ls_table_copy_in(ls_table *t, void *memory)
{
    ls_copy *copy = memory;
    uint64_t here = ls_table_file(t), first = 0;
    if (!here) return;
    if (atomic_compare_exchange_strong(&copy->file, &first, here) || first == here)
        t->direct.copy = copy;
}

/* Contiguous values, all at once: whether they are there. */
static bool read_whole(const ls_table *t, uint8_t *to)
{
    ls_failure none = { 0 };
    return !ls_input_read(t->fd, t->path, t->layout.offset, to, value_bytes(t), &none);
}

/* In memory that other processes have as well. While one of them reads contiguous values, rows are read
 * one by one. */
static void hold_copy(ls_table *t)
{
    ls_direct *d = &t->direct;
    uint8_t *chunks = (uint8_t *)d->copy + whole_lines(sizeof *d->copy);
    uint8_t *values = chunks + whole_lines(chunks_of(t));
    if (d->stride) {
        ls_memory_free((void *)d->checked);
        d->checked = (_Atomic uint8_t *)chunks;
    } else {
        uint32_t state = atomic_load_explicit(&d->copy->state, memory_order_acquire);
        if (state == COPY_EMPTY && d->calls >= (int64_t)(value_bytes(t) / GAP_BYTES) &&
            atomic_compare_exchange_strong(&d->copy->state, &state, COPY_BEGUN)) {
            state = read_whole(t, values) ? COPY_WHOLE : COPY_FAILED;
            atomic_store_explicit(&d->copy->state, state, memory_order_release);
        }
        if (state == COPY_FAILED) t->held_limit = 0;
        if (state != COPY_WHOLE) return;
    }
    d->is_copied = true;
    t->held = values;
}

/* In memory of this process. */
static void hold_own(ls_table *t)
{
    ls_direct *d = &t->direct;
    size_t bytes = value_bytes(t);
    if (!d->stride && d->calls < (int64_t)(bytes / GAP_BYTES)) return;
    t->held = ls_memory_new_large(bytes);
    if (d->stride) memset((void *)d->checked, 0, chunks_of(t));
    if (t->held && (d->stride || read_whole(t, t->held))) return;
    ls_direct_drop(t);
    t->held_limit = 0;
}

/* Where the room is not there or reading fails, rows are read one by one, and the one that cannot be read is
 * named. */
void ls_direct_hold(ls_table *t)
{
    ls_direct *d = &t->direct;
    if (value_bytes(t) > t->held_limit) return;
    if (d->copy) hold_copy(t);
    else hold_own(t);
    if (!t->held) return;
    ls_memory_free(d->scratch);
    d->scratch = NULL;
}

void ls_direct_drop(ls_table *t)
{
    ls_direct *d = &t->direct;
    if (!d->is_copied) ls_memory_free(t->held);
    else if (d->stride) d->checked = ls_memory_new(chunks_of(t));
    t->held = NULL;
    d->known = 0;
    if (d->is_copied && d->stride && !d->checked) ls_direct_close(t);
    d->is_copied = false;
}

/* Whether all chunks are there, so that none must be checked. */
static bool is_whole(const ls_table *t, ls_direct *d)
{
    const size_t chunks = chunks_of(t);
    while (d->known < chunks && atomic_load_explicit(&d->checked[d->known], memory_order_acquire))
        d->known++;
    return d->known == chunks;
}

/* Rows drawn at random no processor foresees: memory is asked for each some rows earlier. Of what is
 * long, the beginning is enough. */
static void ask(const uint8_t *row, size_t bytes)
{
    enum { LINE = 64, MOST = 2048 };
    if (bytes > MOST) bytes = MOST;
    for (size_t k = 0; k < bytes; k += LINE) __builtin_prefetch(row + k);
    __builtin_prefetch(row + bytes - 1);
}

static int64_t rows_ahead(size_t row_bytes)
{
    enum { BYTES = 8192, MOST = 64 };
    const size_t rows = BYTES / row_bytes;
    return rows < 1 ? 1 : rows < MOST ? (int64_t)rows : MOST;
}

bool ls_direct_read_held(const ls_request *q, int64_t count, const int64_t *rows)
{
    ls_table *t = q->t;
    const uint8_t *held = t->held;
    const size_t row_bytes = t->layout.about.row_bytes;
    const int64_t ahead = rows_ahead(row_bytes);
    const bool is_there = is_whole(t, &t->direct);
    for (int64_t i = 0; i < count && !is_there; i++)
        if (!check(t, rows[i], q->f) || q->f->status) return q->f->status != LS_OK;
    for (int64_t i = -ahead; i < count && !q->f->status; i++) {
        if (i + ahead < count) ask(held + (size_t)rows[i + ahead] * row_bytes, row_bytes);
        if (i < 0) continue;
        const uint8_t *row = held + (size_t)rows[i] * row_bytes;
        if (q->as_is) memcpy(q->out + (size_t)i * row_bytes, row, row_bytes);
        else ls_table_put(q, &(ls_wanted){ rows[i], i }, 0, t->row_numbers, row);
    }
    return true;
}

/* ---- values in the file ---------------------------------------------------------------------- */

/* One row that is larger than the scratch. */
static ls_status read_large_row(const ls_request *q, const ls_wanted *w)
{
    const ls_table *t = q->t;
    int64_t width = t->layout.stored.width, most = (int64_t)LS_SCRATCH_BYTES / width;
    int64_t row_at = place_of(t, w->row);
    for (int64_t i = 0; i < t->row_numbers; i += most) {
        int64_t n = t->row_numbers - i < most ? t->row_numbers - i : most;
        if (ls_input_read(t->fd, t->path, row_at + i * width, t->direct.scratch,
                          (size_t)(n * width), q->f) ||
            ls_table_put(q, w, i, n, t->direct.scratch))
            return q->f->status;
    }
    return LS_OK;
}

/* How many of the rows from w on, all of one piece, are read in one call, and whether they follow each
 * other here and there, so that they are one. */
static int64_t span_of(const ls_table *t, const ls_wanted *w, int64_t count, bool *is_run)
{
    int64_t row_bytes = (int64_t)t->layout.about.row_bytes, piece_rows = t->direct.piece_rows;
    int64_t most = (int64_t)LS_SCRATCH_BYTES / row_bytes, step = 1 + GAP_BYTES / row_bytes, n = 1;
    int64_t end = (w->row / piece_rows + 1) * piece_rows;
    if (w->row + most < end) end = w->row + most;
    *is_run = true;
    for (; n < count && w[n].row - w[n - 1].row <= step && w[n].row < end; n++)
        *is_run = *is_run && w[n].row == w[n - 1].row + 1 && w[n].place == w[n - 1].place + 1;
    return n;
}

bool ls_direct_read(const ls_request *q, int64_t count)
{
    ls_table *t = q->t;
    ls_direct *d = &t->direct;
    size_t row_bytes = t->layout.about.row_bytes;
    bool is_run;
    if (!d->scratch) d->scratch = ls_memory_new(LS_SCRATCH_BYTES);
    if (!d->scratch) return ls_table_no_memory(t, LS_SCRATCH_BYTES, q->f) != LS_OK;
    for (int64_t i = 0, n; i < count && !q->f->status; i += n) {
        const ls_wanted *w = t->order + i;
        if (!check(t, w->row, q->f)) return false;
        if (q->f->status) break;
        n = span_of(t, w, count - i, &is_run);
        d->calls++;
        int64_t at = place_of(t, w->row), rows = w[n - 1].row - w->row + 1;
        if (q->as_is && is_run) {
            ls_input_read(t->fd, t->path, at, q->out + (size_t)w->place * row_bytes,
                          (size_t)rows * row_bytes, q->f);
        } else if (row_bytes > LS_SCRATCH_BYTES) {
            read_large_row(q, w);
        } else if (!ls_input_read(t->fd, t->path, at, d->scratch, (size_t)rows * row_bytes, q->f)) {
            for (int64_t k = 0; k < n && !q->f->status; k++)
                ls_table_put(q, w + k, 0, t->row_numbers,
                             d->scratch + (size_t)(w[k].row - w->row) * row_bytes);
        }
    }
    return true;
}
