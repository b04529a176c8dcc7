/* idx.c -- IDX files, the format of MNIST and its kin: images in one file, labels in another.
 *
 * A header of two zero bytes, a type, the number of dimensions, and each dimension as a big-endian
 * 32-bit number; then the elements, the last dimension running fastest. Rows of images are
 * flattened to one dimension and stored as they are; labels become int64. The two files must hold
 * as many rows as each other, and as many bytes as their headers say: no fewer, no more.
 *
 * Called by convert.c. Source: the description at yann.lecun.com/exdb/mnist.
 */
#include "cmd/cmd.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_ROW_BYTES ((int64_t)64 << 20) /* beyond that the header is not to be believed */

typedef struct idx {
    const char *path;
    ls_stream *in;
    bool is_own; /* in is to be closed here */
    uint8_t type;
    size_t element_bytes;
    int64_t rows, row_elements, taken;
    int ndim;
} idx;

typedef struct pair {
    idx x, y;
    char path[4096];
} pair;

enum {
    UNSIGNED8 = 0x08,
    SIGNED8 = 0x09,
    INT16 = 0x0B,
    INT32 = 0x0C,
    FLOAT32 = 0x0D,
    FLOAT64 = 0x0E
};

static size_t bytes_of(uint8_t type)
{
    switch (type) {
    case UNSIGNED8:
    case SIGNED8:
        return 1;
    case INT16:
        return 2;
    case INT32:
    case FLOAT32:
        return 4;
    case FLOAT64:
        return 8;
    default:
        return 0;
    }
}

bool ls_idx_is(const char *data, size_t bytes)
{
    return bytes >= 4 && data[0] == 0 && data[1] == 0 && bytes_of((uint8_t)data[2]) && data[3] > 0;
}

static uint64_t big_endian(const char *data, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) value = value << 8 | (uint8_t)data[i];
    return value;
}

static ls_status read_header(idx *x, ls_failure *f)
{
    enum { MOST_DIMENSIONS = 8 };
    char *data;
    size_t got;
    if (ls_stream_peek(x->in, 4, &data, &got, f)) return f->status;
    if (!ls_idx_is(data, got))
        return ls_failure_set(f, LS_ERR_DATA, "%s is no IDX file: it begins with other bytes",
                              x->path);
    x->type = (uint8_t)data[2];
    x->element_bytes = bytes_of(x->type);
    x->ndim = (uint8_t)data[3];
    if (x->ndim > MOST_DIMENSIONS)
        return ls_failure_set(f, LS_ERR_DATA, "%s has %d dimensions; IDX data have up to %d",
                              x->path, x->ndim, MOST_DIMENSIONS);
    size_t header = 4 + 4 * (size_t)x->ndim;
    if (ls_stream_peek(x->in, header, &data, &got, f)) return f->status;
    if (got < header)
        return ls_failure_set(f, LS_ERR_DATA, "%s is cut off: it ends in its header", x->path);
    x->rows = (int64_t)big_endian(data + 4, 4);
    x->row_elements = 1;
    for (int i = 1; i < x->ndim; i++)
        if (__builtin_mul_overflow(x->row_elements, (int64_t)big_endian(data + 4 + 4 * i, 4),
                                   &x->row_elements) ||
            x->row_elements > MOST_ROW_BYTES / (int64_t)x->element_bytes)
            return ls_failure_set(
                f, LS_ERR_DATA, "%s has rows of too many elements: is its header sound?", x->path);
    if (x->rows == 0 || x->row_elements == 0)
        return ls_failure_set(f, LS_ERR_DATA, "%s holds no rows", x->path);
    ls_stream_take(x->in, header);
    return LS_OK;
}

/* The bytes of the next rows, and at the end that nothing follows. */
static const char *next_rows(idx *x, int64_t rows, ls_failure *f)
{
    char *data;
    size_t got, row_bytes = (size_t)x->row_elements * x->element_bytes,
                bytes = (size_t)rows * row_bytes;
    bool is_last = x->taken + rows == x->rows;
    if (ls_stream_peek(x->in, bytes + is_last, &data, &got, f)) return NULL;
    if (got < bytes) {
        ls_failure_set(f, LS_ERR_DATA,
                       "%s is cut off: its header says %lld rows, but it holds %lld", x->path,
                       (long long)x->rows, (long long)(x->taken + (int64_t)(got / row_bytes)));
        return NULL;
    }
    if (got > bytes && is_last) {
        ls_failure_set(f, LS_ERR_DATA, "%s goes on after the %lld rows that its header says",
                       x->path, (long long)x->rows);
        return NULL;
    }
    ls_stream_take(x->in, bytes);
    x->taken += rows;
    return data;
}

static void copy_x(const idx *x, const char *data, int64_t rows, void *out)
{
    int64_t count = rows * x->row_elements;
    if (x->type == UNSIGNED8) memcpy(out, data, (size_t)count);
    for (int64_t i = 0; i < count && x->type == FLOAT32; i++) {
        uint32_t bits = (uint32_t)big_endian(data + 4 * i, 4);
        memcpy((char *)out + 4 * i, &bits, 4);
    }
    for (int64_t i = 0; i < count && x->type == FLOAT64; i++) {
        uint64_t bits = big_endian(data + 8 * i, 8);
        memcpy((char *)out + 8 * i, &bits, 8);
    }
}

static void copy_labels(const idx *y, const char *data, int64_t rows, int64_t *out)
{
    for (int64_t i = 0; i < rows; i++) {
        uint64_t bits = big_endian(data + i * (int64_t)y->element_bytes, y->element_bytes);
        out[i] = y->type == UNSIGNED8 ? (int64_t)bits
                 : y->type == SIGNED8 ? (int8_t)bits
                 : y->type == INT16   ? (int16_t)bits
                                      : (int32_t)bits;
    }
}

static int64_t rows(void *self, int64_t count, void *x, void *y, ls_failure *f)
{
    pair *p = self;
    if (count > p->x.rows - p->x.taken) count = p->x.rows - p->x.taken;
    if (count == 0) return 0;
    const char *data = next_rows(&p->x, count, f);
    if (!data) return 0;
    copy_x(&p->x, data, count, x);
    data = next_rows(&p->y, count, f);
    if (!data) return 0;
    copy_labels(&p->y, data, count, y);
    return count;
}

static void end(void *self)
{
    pair *p = self;
    ls_stream_close(p->y.in);
    ls_memory_free(p);
}

/* "a/train-images-idx3-ubyte.gz" -> "a/train-labels-idx1-ubyte.gz", or without .gz, or with it. */
static bool find_labels(const char *images, char *out, size_t bytes)
{
    const char *slash = strrchr(images, '/'), *at = strstr(slash ? slash : images, "images");
    char *dims;
    if (!at || strlen(images) + 4 > bytes) return false;
    snprintf(out, bytes, "%.*slabels%s", (int)(at - images), images, at + strlen("images"));
    if ((dims = strstr(out + (at - images), "idx3"))) dims[3] = '1';
    size_t n = strlen(out);
    bool is_gz = n > 3 && !strcmp(out + n - 3, ".gz");
    if (!access(out, F_OK)) return true;
    strcpy(out + n - (is_gz ? 3 : 0), is_gz ? "" : ".gz");
    if (!access(out, F_OK)) return true;
    strcpy(out + n - (is_gz ? 3 : 0), is_gz ? ".gz" : "");
    return true; /* the first name is the one to complain about */
}

static ls_status open_labels(pair *p, const ls_convert *o, ls_failure *f)
{
    idx *y = &p->y;
    y->path = o->labels;
    if (!y->path && find_labels(o->source, p->path, sizeof p->path)) y->path = p->path;
    if (!y->path)
        return ls_failure_set(
            f, LS_ERR_ARG, "%s holds images; --labels names the file with their labels", o->source);
    if (ls_stream_open(y->path, &y->in, f) || read_header(y, f)) return f->status;
    if (y->ndim != 1 || y->type == FLOAT32 || y->type == FLOAT64)
        return ls_failure_set(
            f, LS_ERR_DATA, "%s holds no labels: they are whole numbers in one dimension", y->path);
    if (y->rows != p->x.rows)
        return ls_failure_set(f, LS_ERR_DATA, "%s has %lld rows, but %s has %lld labels", p->x.path,
                              (long long)p->x.rows, y->path, (long long)y->rows);
    return LS_OK;
}

ls_status ls_idx_open(ls_stream *in, const ls_convert *o, ls_source *out, ls_failure *f)
{
    pair *p = ls_memory_new(sizeof *p);
    if (!p) return ls_failure_memory(f, sizeof *p, "reading %s", o->source);
    p->x.path = o->source;
    p->x.in = in;
    *out = (ls_source){ .self = p, .rows = rows, .end = end };
    if (read_header(&p->x, f)) return f->status;
    if (p->x.ndim < 2)
        return ls_failure_set(f, LS_ERR_DATA,
                              "%s has one dimension, as labels have; name the images first",
                              o->source);
    if (p->x.type != UNSIGNED8 && p->x.type != FLOAT32 && p->x.type != FLOAT64)
        return ls_failure_set(f, LS_ERR_DATA,
                              "%s holds elements of type 0x%02X; 0x08 (bytes), 0x0D and 0x0E "
                              "(floating) are read",
                              o->source, p->x.type);
    out->x = (ls_column){ "/x",
                          p->x.type == UNSIGNED8 ? LS_STORE_U8
                          : p->x.type == FLOAT32 ? LS_STORE_F32
                                                 : LS_STORE_F64,
                          { 1, { p->x.row_elements } } };
    out->y = (ls_column){ "/y", LS_STORE_I64, { 0 } };
    return open_labels(p, o, f);
}
