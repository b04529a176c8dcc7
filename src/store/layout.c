/* layout.c -- what a dataset is, and what is refused.
 *
 * Rows of numbers can be read when a dataset is of integers or IEEE floating numbers that fill
 * their bytes, has dimensions whose product means something, and when all its values are in this
 * very file, written, and packed with filters that come with HDF5. Everything else would be read as
 * zeros, as garbage, or as somebody else's file, and is refused by name with what helps.
 *
 * Called by table.c when it opens, and for descriptions. */
#include "base/child.h"
#include "store/h5.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- types ----------------------------------------------------------------------------------- */

static const char *class_name(H5T_class_t class)
{
    static const struct {
        H5T_class_t class;
        const char *name;
    } table[] = {
        { H5T_TIME, "time" },          { H5T_STRING, "text" },
        { H5T_BITFIELD, "bit field" }, { H5T_OPAQUE, "opaque" },
        { H5T_COMPOUND, "compound" },  { H5T_REFERENCE, "reference" },
        { H5T_ENUM, "enumeration" },   { H5T_VLEN, "variable-length" },
        { H5T_ARRAY, "array" },
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].class == class) return table[i].name;
    return "unknown";
}

/* Sign, exponent and fraction stand where IEEE 754 puts them. */
static bool is_ieee(hid_t type, size_t width)
{
    static const struct {
        size_t width, exponent_bits, bias;
    } formats[] = { { 2, 5, 15 }, { 4, 8, 127 }, { 8, 11, 1023 } };
    size_t sign, exponent, exponent_bits, fraction, fraction_bits;
    if (H5Tget_fields(type, &sign, &exponent, &exponent_bits, &fraction, &fraction_bits) < 0)
        return false;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i].width == width)
            return exponent_bits == formats[i].exponent_bits &&
                   H5Tget_ebias(type) == formats[i].bias && sign == 8 * width - 1 &&
                   exponent == sign - exponent_bits && fraction == 0 && fraction_bits == exponent &&
                   H5Tget_norm(type) == H5T_NORM_IMPLIED;
    return false;
}

/* Fills s and name; false for what is not read. */
static bool type_of(hid_t type, ls_stored *s, char name[24])
{
    H5T_class_t class = H5Tget_class(type);
    size_t width = H5Tget_size(type);
    H5T_order_t order = H5Tget_order(type);
    if (class != H5T_INTEGER && class != H5T_FLOAT) {
        snprintf(name, 24, "%s", class_name(class));
        return false;
    }
    *s = (ls_stored){ class == H5T_FLOAT, class == H5T_FLOAT || H5Tget_sign(type) == H5T_SGN_2,
                      order == H5T_ORDER_BE, (int)width };
    size_t bits = H5Tget_precision(type);
    snprintf(name, 24, "%s%zu%s",
             s->is_float    ? "float"
             : s->is_signed ? "int"
                            : "uint",
             bits, s->is_big_endian && width > 1 ? " big-endian" : "");
    bool has_order = order == H5T_ORDER_LE || order == H5T_ORDER_BE ||
                     (order == H5T_ORDER_NONE && width == 1);
    if (!has_order || bits != 8 * width || H5Tget_offset(type) != 0) return false;
    return s->is_float ? is_ieee(type, width) : width <= 8;
}

/* ---- filters --------------------------------------------------------------------------------- */

typedef struct filter_name {
    H5Z_filter_t id;
    const char *name;
} filter_name;

static const char *known_filter(H5Z_filter_t id)
{
    static const filter_name table[] = { { H5Z_FILTER_SHUFFLE, "shuffle" },
                                         { H5Z_FILTER_DEFLATE, "deflate" },
                                         { H5Z_FILTER_FLETCHER32, "fletcher32" },
                                         { H5Z_FILTER_SZIP, "szip" } };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].id == id) return table[i].name;
    return NULL;
}

/* The names of all filters into l; false where one is not read: it goes into odd. */
static bool filters_of(hid_t creation, ls_layout *l, ls_shown *odd, int *number)
{
    for (int i = 0, count = H5Pget_nfilters(creation); i < count; i++) {
        char own[64] = "";
        unsigned flags;
        size_t values = 0;
        H5Z_filter_t id = H5Pget_filter2(creation, (unsigned)i, &flags, &values, NULL, sizeof own,
                                         own, NULL);
        const char *name = known_filter(id);
        if (!name || H5Zfilter_avail(id) <= 0) {
            own[sizeof own - 1] = '\0';
            *odd = ls_show(name ? name : own);
            *number = id;
            return false;
        }
        size_t used = strlen(l->filters);
        snprintf(l->filters + used, sizeof l->filters - used, "%s%s", used ? " " : "", name);
    }
    return true;
}

/* ---- layout ---------------------------------------------------------------------------------- */

typedef struct subject {
    hid_t set, creation;
    ls_shown path, name;
    ls_layout *l;
    ls_failure *f;
} subject;

#define REFUSE(s, form, ...)                                                                       \
    ls_failure_set((s)->f, LS_ERR_DATA, "%s: %s " form, (s)->path.text, (s)->name.text, __VA_ARGS__)

/* Rows, shape of a row, and that the bytes of it all can be counted. */
static ls_status find_shape(const subject *s)
{
    ls_table_info *about = &s->l->about;
    hsize_t dim[H5S_MAX_RANK];
    hid_t space = H5Dget_space(s->set);
    bool is_null = H5Sget_simple_extent_type(space) == H5S_NULL;
    int ndim = H5Sget_simple_extent_dims(space, dim, NULL);
    ls_h5_close(space);
    if (is_null) return REFUSE(s, "%s", "has no values");
    if (ndim < 0) return ls_h5_failure_damaged(s->f, s->path.text);
    if (ndim == 0) return REFUSE(s, "%s", "is a single value: the first dimension must count rows");
    if (ndim > LS_MAX_NDIM)
        return REFUSE(s, "has %d dimensions: at most %d are read", ndim, LS_MAX_NDIM);
    int64_t bytes = 8; /* of any number once read */
    for (int i = 0; i < ndim; i++)
        if (dim[i] > INT64_MAX ||
            __builtin_mul_overflow(bytes, dim[i] ? (int64_t)dim[i] : 1, &bytes))
            return REFUSE(s, "%s", "has dimensions whose product overflows");
    about->rows = (int64_t)dim[0];
    about->row.ndim = ndim - 1;
    about->row_bytes = (size_t)s->l->stored.width;
    for (int i = 1; i < ndim; i++) {
        about->row.dim[i - 1] = (int64_t)dim[i];
        about->row_bytes *= (size_t)dim[i];
    }
    s->l->has_shape = true;
    if (about->row_bytes == 0) return REFUSE(s, "%s", "has rows without a single value");
    return LS_OK;
}

static ls_status check_contiguous(const subject *s, int64_t file_bytes)
{
    const ls_table_info *about = &s->l->about;
    if (H5Pget_external_count(s->creation) != 0)
        return REFUSE(s, "%s",
                      "keeps its values in other files (external storage), which are not "
                      "read: h5repack makes one file of them");
    if (about->rows == 0) return LS_OK;
    haddr_t offset = H5Dget_offset(s->set);
    if (offset == HADDR_UNDEF) return REFUSE(s, "%s", "was never written: it has no values");
    uint64_t end = offset + (uint64_t)about->rows * about->row_bytes;
    if (offset > INT64_MAX || end > (uint64_t)file_bytes)
        return REFUSE(s, "ends %s behind the end of the file: it is cut off or damaged",
                      ls_show_size(end - (uint64_t)file_bytes).text);
    s->l->offset = (int64_t)offset;
    return LS_OK;
}

/* Where the first chunk lies, if each of them has whole rows, stored as they are or with a checksum
 * behind them: the others may follow. */
static void find_first_chunk(const subject *s, const hsize_t *chunk)
{
    ls_layout *l = s->l;
    hsize_t first[LS_MAX_NDIM + 1] = { 0 }, bytes;
    haddr_t at;
    unsigned left_out;
    int64_t stride = l->about.chunk_bytes;
    if (l->about.rows == 0) return;
    for (int i = 0; i < l->about.row.ndim; i++)
        if ((int64_t)chunk[i + 1] != l->about.row.dim[i]) return;
    if (strcmp(l->filters, "fletcher32") == 0) stride += 4;
    else if (l->filters[0]) return;
    if (H5Dget_chunk_info_by_coord(s->set, first, &left_out, &at, &bytes) < 0 || left_out ||
        at > INT64_MAX || bytes != (hsize_t)stride)
        return;
    l->offset = (int64_t)at;
    l->stride = stride;
}

static ls_status check_chunks(const subject *s)
{
    ls_table_info *about = &s->l->about;
    hsize_t chunk[H5S_MAX_RANK], found = 0, wanted = 1;
    ls_shown odd;
    int number, ndim = about->row.ndim + 1;
    if (H5Pget_chunk(s->creation, H5S_MAX_RANK, chunk) != ndim)
        return ls_h5_failure_damaged(s->f, s->path.text);
    if (!filters_of(s->creation, s->l, &odd, &number))
        return REFUSE(s,
                      "is packed with %s (filter %d), which is not read: "
                      "h5repack -f GZIP=1 packs it anew",
                      odd.text, number);
    about->chunk_rows = (int64_t)chunk[0];
    about->chunk_bytes = s->l->stored.width;
    for (int i = 0; i < ndim; i++) {
        hsize_t dim = i ? (hsize_t)about->row.dim[i - 1] : (hsize_t)about->rows;
        about->chunk_bytes *= (int64_t)chunk[i]; /* HDF5 has them below 4 GiB */
        wanted *= dim / chunk[i] + (dim % chunk[i] != 0);
    }
    hid_t space = H5Dget_space(s->set);
    if (H5Dget_num_chunks(s->set, space, &found) < 0) ls_h5_failure_damaged(s->f, s->path.text);
    else if (found < wanted)
        REFUSE(s, "was never written in full: %llu of its %llu chunks are missing",
               (unsigned long long)(wanted - found), (unsigned long long)wanted);
    else find_first_chunk(s, chunk);
    ls_h5_close(space);
    return s->f->status;
}

/* Of a virtual dataset HDF5 may not even be asked for the shape: it would open the sources. */
static ls_status check_layout(const subject *s, bool is_readable, int64_t file_bytes)
{
    H5D_layout_t layout = H5Pget_layout(s->creation);
    if (layout == H5D_VIRTUAL)
        return REFUSE(s, "%s",
                      "is a virtual dataset, whose missing sources would read as zeros: "
                      "copy its values into a plain one");
    if (find_shape(s)) return s->f->status;
    if (!is_readable)
        return REFUSE(s,
                      "holds values of type %s: only integers of whole bytes and IEEE floating "
                      "numbers are read",
                      s->l->about.type);
    switch (layout) {
    case H5D_COMPACT:
        return LS_OK;
    case H5D_CONTIGUOUS:
        return check_contiguous(s, file_bytes);
    case H5D_CHUNKED:
        return check_chunks(s);
    default:
        return ls_h5_failure_damaged(s->f, s->path.text);
    }
}

ls_status ls_h5_layout(hid_t set, const char *path, const char *name, int64_t file_bytes,
                       ls_layout *l, ls_failure *f)
{
    *l = (ls_layout){ .offset = -1, .file_bytes = file_bytes };
    subject s = { set, H5Dget_create_plist(set), ls_show(path), ls_show(name), l, f };
    hid_t type = H5Dget_type(set);
    if (s.creation < 0 || type < 0) {
        ls_h5_failure_damaged(f, s.path.text);
    } else {
        bool is_readable = type_of(type, &l->stored, l->about.type);
        l->about.is_integer = !l->stored.is_float;
        if (!is_readable) l->stored.width = 1;
        check_layout(&s, is_readable, file_bytes);
    }
    ls_h5_close(type);
    ls_h5_close(s.creation);
    return f->status;
}

/* ---- all datasets of a file ------------------------------------------------------------------ */

typedef struct walk {
    ls_shown *names; /* either: a list for a message */
    FILE *out;       /* or: a line for each */
    const char *path;
    int64_t file_bytes, left_out;
    bool failed;
} walk;

/* Behind a name: " [4, 3]", or nothing. */
static void add_shape(const ls_layout *l, char text[sizeof(ls_shown) + 1])
{
    int64_t dim[LS_MAX_NDIM + 1] = { l->about.rows };
    for (int i = 0; i < l->about.row.ndim; i++) dim[i + 1] = l->about.row.dim[i];
    *text = '\0';
    if (l->has_shape)
        snprintf(text, sizeof(ls_shown) + 1, " %s", ls_show_shape(l->about.row.ndim + 1, dim).text);
}

static void add_name(walk *w, const char *name, const ls_layout *l)
{
    char one[400], shape[sizeof(ls_shown) + 1];
    add_shape(l, shape);
    size_t used = strlen(w->names->text),
           room = sizeof w->names->text - sizeof ", and 1000000 more";
    int length = snprintf(one, sizeof one, "%s/%s%s", used ? ", " : "", ls_show(name).text, shape);
    if (w->left_out || used + (size_t)length >= room) w->left_out++;
    else memcpy(w->names->text + used, one, (size_t)length + 1);
}

static void print_line(walk *w, const char *name, const ls_layout *l, const ls_failure *refused)
{
    const ls_table_info *about = &l->about;
    char shape[sizeof(ls_shown) + 1];
    add_shape(l, shape);
    int put = fprintf(w->out, "/%s%s %s", ls_show(name).text, shape, about->type);
    if (put >= 0 && refused->status) put = fprintf(w->out, ", not readable: %s", refused->text);
    else if (put >= 0 && about->chunk_rows)
        put = fprintf(w->out, ", chunks of %lld rows (%s)%s%s", (long long)about->chunk_rows,
                      ls_show_size((uint64_t)about->chunk_bytes).text, l->filters[0] ? ", " : "",
                      l->filters);
    if (put < 0 || fputc('\n', w->out) == EOF) w->failed = true;
}

static herr_t visit(hid_t root, const char *name, const H5O_info_t *info, void *self)
{
    walk *w = self;
    if (info->type != H5O_TYPE_DATASET) return 0;
    ls_layout l;
    ls_failure refused = { .status = LS_OK };
    hid_t set = H5Dopen2(root, name, H5P_DEFAULT);
    if (set < 0) return 0;
    ls_h5_layout(set, w->path, name, w->file_bytes, &l, &refused);
    ls_h5_close(set);
    if (w->names) add_name(w, name, &l);
    else print_line(w, name, &l, &refused);
    return w->failed;
}

ls_shown ls_h5_dataset_names(hid_t file)
{
    ls_shown names = { "" };
    walk w = { .names = &names, .path = "", .file_bytes = INT64_MAX };
    if (H5Ovisit(file, H5_INDEX_NAME, H5_ITER_INC, visit, &w) < 0 ||
        (!names.text[0] && !w.left_out))
        return (ls_shown){ "no datasets" };
    size_t used = strlen(names.text);
    if (w.left_out)
        snprintf(names.text + used, sizeof names.text - used, "%s%lld more", used ? ", and " : "",
                 (long long)w.left_out);
    return names;
}

static ls_status describe(const char *path, FILE *out, ls_failure *f)
{
    walk w = { .out = out, .path = path };
    int fd;
    ls_h5_turn turn = ls_h5_begin();
    hid_t file = ls_h5_open(path, &fd, &w.file_bytes, f);
    if (file >= 0) {
        if (H5Ovisit(file, H5_INDEX_NAME, H5_ITER_INC, visit, &w) < 0)
            ls_h5_failure_damaged(f, ls_show(path).text);
        if (w.failed)
            ls_failure_set(f, LS_ERR_IO, "%s: its description cannot be written",
                           ls_show(path).text);
        ls_h5_close(file);
        ls_input_close(fd);
    }
    ls_h5_end(turn);
    return f->status;
}

typedef struct trial {
    const char *path;
    ls_h5_turn turn;
} trial;

static void try_describing(void *of, ls_failure *f)
{
    const trial *t = of;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    ls_h5_end(t->turn);
    if (out) describe(t->path, out, f);
    else ls_failure_memory(f, bytes + 1, "describing %s", ls_show(t->path).text);
    if (out) (void)fclose(out); /* nobody reads it */
    free(text);
}

/* As in table.c, a child is shown the file first. */
ls_status ls_file_describe(const char *path, FILE *out, ls_failure *f)
{
    enum { LIMIT_S = 20 };
    if (!ls_h5_has_room(f)) return f->status;
    trial t = { path, ls_h5_begin() };
    ls_status status = ls_child_run(try_describing, &t, LIMIT_S, ls_show(path).text, f);
    ls_h5_end(t.turn);
    return status ? status : describe(path, out, f);
}
