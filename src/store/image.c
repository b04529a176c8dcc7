/* image.c -- the contents of a checkpoint: a tree of tensors, words and attributes in memory.
 *
 * An image is an HDF5 file in memory. It is either being put together or, from the moment its bytes
 * are asked for or it came from a file, read only; its getters work in both states. Numbers are
 * stored little-endian, texts with a fixed length (variable ones would go through a heap), data
 * contiguous and aligned as they come. Large values may be lent: HDF5 gives them their place in the
 * file, which stays a hole in memory, and who writes the file takes them from where they are. What is read is held against what is expected: hard links
 * only, exact types and shapes, values within the file.
 *
 * Called by train on the main thread; the bytes by commit.c. */
#include "store/h5.h"
#include <string.h>

enum { LEND_COUNT = 16 << 10 }; /* elements; fewer are copied */

/* Values that lie elsewhere: bytes at to at + bytes of the file. */
typedef struct lent {
    struct lent *next; /* in ascending order */
    size_t at, bytes;
    const uint8_t *data;
} lent;

struct ls_image {
    ls_h5_memory memory;
    hid_t file;
    size_t length;  /* of the file; 0 while it is put together */
    ls_shown name;  /* for messages */
    ls_arena arena; /* names that were handed out, and what notes */
    lent *lent;     /* values lie elsewhere */
};

/* ---- beginning and end ----------------------------------------------------------------------- */

ls_image *ls_image_new(ls_failure *f)
{
    if (!ls_h5_has_room(f)) return NULL;
    ls_image *m = ls_memory_new(sizeof *m);
    if (!m) {
        ls_failure_memory(f, sizeof *m, "a checkpoint");
        return NULL;
    }
    m->name = (ls_shown){ "the checkpoint under way" };
    ls_h5_turn turn = ls_h5_begin();
    m->file = ls_h5_memory_new(&m->memory, LS_IMAGE_BLOCK, f);
    ls_h5_end(turn);
    if (m->file >= 0) return m;
    ls_image_free(m);
    return NULL;
}

ls_image *ls_image_open(ls_h5_memory *memory, size_t length, const char *name, ls_failure *f)
{
    ls_image *m = ls_h5_has_room(f) ? ls_memory_new(sizeof *m) : NULL;
    if (!m) {
        ls_failure_memory(f, sizeof *m, "reading %s", ls_show(name).text);
        ls_h5_memory_free(memory);
        return NULL;
    }
    m->memory = *memory;
    m->length = length;
    m->name = ls_show(name);
    ls_h5_turn turn = ls_h5_begin();
    m->file = ls_h5_memory_open(&m->memory, length, name, f);
    ls_h5_end(turn);
    if (m->file >= 0) return m;
    ls_image_free(m);
    return NULL;
}

void ls_image_free(ls_image *m)
{
    if (!m) return;
    if (m->file >= 0) {
        ls_h5_turn turn = ls_h5_begin();
        ls_h5_close(m->file);
        ls_h5_end(turn);
    }
    ls_h5_memory_free(&m->memory);
    ls_arena_free(&m->arena);
    ls_memory_free(m);
}

ls_status ls_image_finish(ls_image *m, uint8_t **block, size_t *length, ls_failure *f)
{
    if (!m->length) {
        ls_h5_turn turn = ls_h5_begin();
        uint64_t end = 0;
        size_t written = 0;
        if (m->file < 0)
            ls_failure_set(f, LS_ERR_USE, "%s could not be put together", m->name.text);
        else if (ls_h5_memory_finish(&m->memory, m->file, LS_IMAGE_BLOCK, &end, f) == LS_OK) {
            for (const lent *l = m->lent; l; l = l->next) written = l->at + l->bytes;
            if (end > (written > m->memory.capacity ? written : m->memory.capacity))
                ls_failure_set(f, LS_ERR_USE, "this HDF5 lays files out in an unknown way");
            else if (!ls_h5_memory_take(&m->memory, (size_t)end))
                ls_failure_memory(f, (size_t)end, "a checkpoint");
        }
        m->length = f->status ? 0 : (size_t)end;
        m->file = H5I_INVALID_HID;
        if (m->length) m->file = ls_h5_memory_open(&m->memory, m->length, m->name.text, f);
        ls_h5_end(turn);
    }
    *block = m->memory.bytes;
    *length = m->length;
    return f->status;
}

size_t ls_image_run(const ls_image *m, size_t at, const uint8_t **bytes)
{
    const lent *l = m->lent;
    while (l && l->at + l->bytes <= at) l = l->next;
    if (l && l->at <= at) {
        *bytes = l->data + (at - l->at);
        return l->at + l->bytes - at;
    }
    *bytes = m->memory.bytes + at;
    return (l ? l->at : m->length) - at;
}

/* ---- putting --------------------------------------------------------------------------------- */

typedef enum kind { FLOAT32 = LS_FLOAT32, FLOAT64 = LS_FLOAT64, INT64 = LS_INT64, WORD } kind;

/* As in the file, and as in memory. HDF5's types are looked up at run time. */
static hid_t stored_type(kind k)
{
    switch (k) {
    case FLOAT32:
        return H5T_IEEE_F32LE;
    case FLOAT64:
        return H5T_IEEE_F64LE;
    case INT64:
        return H5T_STD_I64LE;
    case WORD:
        return H5T_STD_U32LE;
    }
    return H5I_INVALID_HID;
}

static hid_t native_type(kind k)
{
    switch (k) {
    case FLOAT32:
        return H5T_NATIVE_FLOAT;
    case FLOAT64:
        return H5T_NATIVE_DOUBLE;
    case INT64:
        return H5T_NATIVE_INT64;
    case WORD:
        return H5T_NATIVE_UINT32;
    }
    return H5I_INVALID_HID;
}

static bool is_empty(ls_shape shape)
{
    for (int i = 0; i < shape.ndim; i++)
        if (shape.dim[i] == 0) return true;
    return false;
}

static bool is_put_together(const ls_image *m, const char *path, ls_failure *f)
{
    if (path[0] != '/')
        ls_failure_set(f, LS_ERR_USE, "%s: %s does not begin with /", m->name.text,
                       ls_show(path).text);
    else if (m->length || m->file < 0)
        ls_failure_set(f, LS_ERR_USE, "%s is complete: %s cannot be added", m->name.text,
                       ls_show(path).text);
    return !f->status;
}

/* One element of a new set, so that the file gets as far: zeros, of the set's type, as HDF5 takes a
 * megabyte to convert any. */
static herr_t reach(hid_t set, hid_t type, hid_t space, hid_t one, ls_shape shape, int64_t element)
{
    static const double zero = 0;
    hsize_t at[LS_MAX_NDIM];
    for (int i = shape.ndim - 1; i >= 0; i--) {
        at[i] = (hsize_t)(element % shape.dim[i]);
        element /= shape.dim[i];
    }
    if (H5Sselect_elements(space, H5S_SELECT_SET, 1, at) < 0) return -1;
    return H5Dwrite(set, type, one, space, H5P_DEFAULT, &zero);
}

/* Lets HDF5 give a set its place as if it had been written, without the values. The driver fills what a
 * file grows by with zeros: it grows step by step, and each is given back. */
static ls_status leave_hole(ls_image *m, hid_t set, hid_t type, hid_t space, ls_shape shape,
                            const void *data, ls_failure *f)
{
    size_t item = H5Tget_size(type), bytes = item;
    for (int i = 0; i < shape.ndim; i++) bytes *= (size_t)shape.dim[i];
    lent *l = ls_arena_take(&m->arena, sizeof *l), **at = &m->lent;
    if (!l) return ls_failure_memory(f, sizeof *l, "a checkpoint");
    hid_t one = H5Screate(H5S_SCALAR);
    haddr_t begin = HADDR_UNDEF;
    for (size_t done = 0; done < bytes;) {
        done = bytes - done > LS_H5_GROWTH ? done + LS_H5_GROWTH : bytes;
        if (reach(set, type, space, one, shape, (int64_t)(done / item) - 1) < 0) break;
        begin = H5Dget_offset(set);
        if (begin != HADDR_UNDEF) ls_h5_memory_clear(&m->memory, begin, begin + done);
    }
    ls_h5_close(one);
    if (begin == HADDR_UNDEF)
        return ls_h5_failure_memory(f, m->memory.capacity + bytes, "a checkpoint");
    while (*at && (*at)->at < begin) at = &(*at)->next;
    *l = (lent){ *at, (size_t)begin, bytes, data };
    *at = l;
    return LS_OK;
}

static ls_status put(ls_image *m, const char *path, kind k, ls_shape shape, const void *data,
                     bool lends, ls_failure *f)
{
    if (!is_put_together(m, path, f)) return f->status;
    hsize_t dim[LS_MAX_NDIM];
    for (int i = 0; i < shape.ndim; i++) dim[i] = (hsize_t)shape.dim[i];
    ls_h5_turn turn = ls_h5_begin();
    if (ls_h5_groups_make(m->file, path, m->name.text, f) == LS_OK) {
        hid_t set = H5I_INVALID_HID, creation = ls_h5_list_new(H5P_DATASET_CREATE);
        hid_t space = shape.ndim ? H5Screate_simple(shape.ndim, dim, NULL) : H5Screate(H5S_SCALAR);
        if (H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER) >= 0)
            set = H5Dcreate2(m->file, path, stored_type(k), space, H5P_DEFAULT, creation,
                             H5P_DEFAULT);
        if (set >= 0 && lends) leave_hole(m, set, native_type(k), space, shape, data, f);
        else if (set < 0 || (!is_empty(shape) && H5Dwrite(set, native_type(k), H5S_ALL, H5S_ALL,
                                                          H5P_DEFAULT, data) < 0))
            ls_h5_failure(f, LS_ERR_USE, "%s: %s cannot be added", m->name.text,
                          ls_show(path).text);
        ls_h5_close(set);
        ls_h5_close(space);
        ls_h5_close(creation);
    }
    ls_h5_end(turn);
    return f->status;
}

ls_status ls_image_put(ls_image *m, const char *path, ls_dtype type, ls_shape shape,
                       const void *data, ls_failure *f)
{
    return put(m, path, (kind)type, shape, data, false, f);
}

/* What is small, or stored otherwise than it lies in memory, is copied. */
ls_status ls_image_lend(ls_image *m, const char *path, ls_dtype type, ls_shape shape,
                        const void *data, ls_failure *f)
{
    int64_t count = 1;
    for (int i = 0; i < shape.ndim; i++) count *= shape.dim[i];
    ls_h5_turn turn = ls_h5_begin();
    bool as_it_is = H5Tequal(stored_type((kind)type), native_type((kind)type)) > 0;
    ls_h5_end(turn);
    return put(m, path, (kind)type, shape, data, as_it_is && count >= LEND_COUNT, f);
}

ls_status ls_image_put_words(ls_image *m, const char *path, int64_t count, const uint32_t *words,
                             ls_failure *f)
{
    return put(m, path, WORD, LS_SHAPE(count), words, false, f);
}

/* An attribute of one value. The type is ours to close. */
static ls_status put_attribute(ls_image *m, const char *group, const char *name, hid_t stored,
                               hid_t native, const void *value, ls_failure *f)
{
    char below[LS_PATH_BYTES];
    if (ls_path_join(below, group, "-", f) || ls_h5_groups_make(m->file, below, m->name.text, f))
        return f->status;
    hid_t object = H5Oopen(m->file, group, H5P_DEFAULT), space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(object, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, native, value) < 0)
        ls_h5_failure(f, LS_ERR_USE, "%s: attribute %s of %s cannot be added", m->name.text,
                      ls_show(name).text, ls_show(group).text);
    ls_h5_close(attribute);
    ls_h5_close(space);
    ls_h5_close(object);
    return f->status;
}

static ls_status put_number(ls_image *m, const char *group, const char *name, kind k,
                            const void *value, ls_failure *f)
{
    if (!is_put_together(m, group, f)) return f->status;
    ls_h5_turn turn = ls_h5_begin();
    put_attribute(m, group, name, stored_type(k), native_type(k), value, f);
    ls_h5_end(turn);
    return f->status;
}

ls_status ls_image_put_int(ls_image *m, const char *group, const char *name, int64_t value,
                           ls_failure *f)
{
    return put_number(m, group, name, INT64, &value, f);
}

ls_status ls_image_put_real(ls_image *m, const char *group, const char *name, double value,
                            ls_failure *f)
{
    return put_number(m, group, name, FLOAT64, &value, f);
}

ls_status ls_image_put_text(ls_image *m, const char *group, const char *name, const char *text,
                            ls_failure *f)
{
    if (!is_put_together(m, group, f)) return f->status;
    ls_h5_turn turn = ls_h5_begin();
    hid_t type = H5Tcopy(H5T_C_S1);
    size_t length = strlen(text);
    if (H5Tset_size(type, length ? length : 1) < 0 || H5Tset_strpad(type, H5T_STR_NULLPAD) < 0 ||
        H5Tset_cset(type, H5T_CSET_UTF8) < 0)
        ls_h5_failure_memory(f, length + 1, "a text");
    else put_attribute(m, group, name, type, type, text, f);
    ls_h5_close(type);
    ls_h5_end(turn);
    return f->status;
}

/* ---- getting --------------------------------------------------------------------------------- */

/* Whether path leads there over hard links alone: other links could lead out of the file. */
static bool is_there(const ls_image *m, const char *path)
{
    char part[LS_PATH_BYTES];
    H5L_info_t link;
    size_t length = strlen(path);
    if (m->file < 0 || path[0] != '/' || length >= sizeof part) return false;
    if (length == 1) return true;
    memcpy(part, path, length + 1);
    for (char *slash = part; slash;) {
        slash = strchr(slash + 1, '/');
        if (slash) *slash = '\0';
        if (H5Lexists(m->file, part, H5P_DEFAULT) <= 0 ||
            H5Lget_info(m->file, part, &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD)
            return false;
        if (slash) *slash = '/';
    }
    return true;
}

bool ls_image_has(const ls_image *m, const char *path)
{
    ls_h5_turn turn = ls_h5_begin();
    bool there = is_there(m, path);
    ls_h5_end(turn);
    return there;
}

static ls_status refuse(const ls_image *m, const char *path, const char *why, ls_failure *f)
{
    return ls_failure_set(f, LS_ERR_DATA, "%s: %s %s", m->name.text, ls_show(path).text, why);
}

/* A dataset of values that lie in the file itself, its type and its shape. */
static hid_t open_set(const ls_image *m, const char *path, kind *k, ls_shape *shape, ls_failure *f)
{
    *k = FLOAT32;
    *shape = (ls_shape){ .ndim = 0 };
    if (!is_there(m, path)) {
        refuse(m, path, "is missing", f);
        return H5I_INVALID_HID;
    }
    hid_t set = H5Dopen2(m->file, path, H5P_DEFAULT);
    if (set < 0) {
        refuse(m, path, "is no tensor", f);
        return set;
    }
    hid_t type = H5Dget_type(set), space = H5Dget_space(set), creation = H5Dget_create_plist(set);
    hsize_t dim[H5S_MAX_RANK];
    int ndim = H5Sget_simple_extent_dims(space, dim, NULL);
    bool known = false;
    for (int i = FLOAT32; i <= WORD && !known; i++) {
        known = H5Tequal(type, stored_type((kind)i)) > 0;
        *k = (kind)i;
    }
    if (!known || ndim < 0 || ndim > LS_MAX_NDIM || H5Pget_layout(creation) != H5D_CONTIGUOUS ||
        H5Pget_external_count(creation) != 0)
        refuse(m, path, "is no tensor of a checkpoint", f);
    if (!f->status) shape->ndim = ndim;
    for (int i = 0; i < shape->ndim; i++) shape->dim[i] = (int64_t)dim[i];
    ls_h5_close(creation);
    ls_h5_close(space);
    ls_h5_close(type);
    if (!f->status) return set;
    ls_h5_close(set);
    return H5I_INVALID_HID;
}

static const char *kind_name(kind k)
{
    static const char *const name[] = {
        [FLOAT32] = "float32", [FLOAT64] = "float64", [INT64] = "int64", [WORD] = "uint32"
    };
    return name[k];
}

static bool is_same_shape(ls_shape a, ls_shape b)
{
    if (a.ndim != b.ndim) return false;
    for (int i = 0; i < a.ndim; i++)
        if (a.dim[i] != b.dim[i]) return false;
    return true;
}

/* The values of a set, if they are lent; NULL. */
static const lent *lent_of(const ls_image *m, hid_t set)
{
    const haddr_t at = m->lent ? H5Dget_offset(set) : HADDR_UNDEF;
    const lent *l = m->lent;
    while (l && l->at != at) l = l->next;
    return l;
}

static ls_status get(ls_image *m, const char *path, kind wanted, ls_shape shape, void *out,
                     ls_failure *f)
{
    kind k;
    ls_shape found;
    const lent *l;
    ls_h5_turn turn = ls_h5_begin();
    hid_t set = open_set(m, path, &k, &found, f);
    if (set >= 0 && (k != wanted || !is_same_shape(found, shape)))
        ls_failure_set(f, LS_ERR_DATA, "%s: %s is %s %s, where %s %s is needed", m->name.text,
                       ls_show(path).text, kind_name(k), ls_show_shape(found.ndim, found.dim).text,
                       kind_name(wanted), ls_show_shape(shape.ndim, shape.dim).text);
    else if (set >= 0 && (l = lent_of(m, set))) memcpy(out, l->data, l->bytes);
    else if (set >= 0 && !is_empty(shape) &&
             H5Dread(set, native_type(k), H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0)
        ls_h5_failure(f, LS_ERR_DATA, "%s: reading %s failed", m->name.text, ls_show(path).text);
    ls_h5_close(set);
    ls_h5_end(turn);
    return f->status;
}

ls_status ls_image_get(ls_image *m, const char *path, ls_dtype type, ls_shape shape, void *out,
                       ls_failure *f)
{
    return get(m, path, (kind)type, shape, out, f);
}

ls_status ls_image_get_words(ls_image *m, const char *path, int64_t count, uint32_t *out,
                             ls_failure *f)
{
    return get(m, path, WORD, LS_SHAPE(count), out, f);
}

ls_status ls_image_get_shape(ls_image *m, const char *path, ls_dtype *type, ls_shape *shape,
                             ls_failure *f)
{
    kind k;
    ls_h5_turn turn = ls_h5_begin();
    hid_t set = open_set(m, path, &k, shape, f);
    if (set >= 0 && k == WORD) refuse(m, path, "holds words, not a tensor", f);
    *type = k == WORD ? LS_FLOAT32 : (ls_dtype)k;
    ls_h5_close(set);
    ls_h5_end(turn);
    return f->status;
}

/* The one value of an attribute. size: of a text; NULL for a number. */
static hid_t open_attribute(const ls_image *m, const char *group, const char *name, size_t *size,
                            H5T_class_t wanted, ls_failure *f)
{
    hid_t a = H5I_INVALID_HID;
    if (is_there(m, group) && H5Aexists_by_name(m->file, group, name, H5P_DEFAULT) > 0)
        a = H5Aopen_by_name(m->file, group, name, H5P_DEFAULT, H5P_DEFAULT);
    if (a < 0) {
        ls_failure_set(f, LS_ERR_DATA, "%s: %s has no attribute %s", m->name.text,
                       ls_show(group).text, ls_show(name).text);
        return a;
    }
    hid_t type = H5Aget_type(a), space = H5Aget_space(a);
    bool fits = H5Tget_class(type) == wanted && H5Sget_simple_extent_npoints(space) == 1;
    if (wanted == H5T_STRING) {
        *size = H5Tget_size(type);
        fits = fits && H5Tis_variable_str(type) == 0 && *size <= m->memory.capacity;
    }
    if (!fits)
        ls_failure_set(f, LS_ERR_DATA, "%s: attribute %s of %s is of another type than needed",
                       m->name.text, ls_show(name).text, ls_show(group).text);
    ls_h5_close(space);
    ls_h5_close(type);
    if (fits) return a;
    ls_h5_close(a);
    return H5I_INVALID_HID;
}

static ls_status get_number(ls_image *m, const char *group, const char *name, kind k, void *out,
                            ls_failure *f)
{
    ls_h5_turn turn = ls_h5_begin();
    hid_t a = open_attribute(m, group, name, NULL, k == INT64 ? H5T_INTEGER : H5T_FLOAT, f);
    if (a >= 0 && H5Aread(a, native_type(k), out) < 0)
        ls_h5_failure(f, LS_ERR_DATA, "%s: reading attribute %s failed", m->name.text,
                      ls_show(name).text);
    ls_h5_close(a);
    ls_h5_end(turn);
    return f->status;
}

ls_status ls_image_get_int(ls_image *m, const char *group, const char *name, int64_t *out,
                           ls_failure *f)
{
    return get_number(m, group, name, INT64, out, f);
}

ls_status ls_image_get_real(ls_image *m, const char *group, const char *name, double *out,
                            ls_failure *f)
{
    return get_number(m, group, name, FLOAT64, out, f);
}

ls_status ls_image_get_text(ls_image *m, const char *group, const char *name, char **out,
                            ls_failure *f)
{
    size_t size = 0;
    *out = NULL;
    ls_h5_turn turn = ls_h5_begin();
    hid_t a = open_attribute(m, group, name, &size, H5T_STRING, f);
    if (a >= 0) {
        hid_t type = H5Aget_type(a);
        char *text = ls_memory_new(size + 1); /* zeroed: the text ends */
        if (!text)
            ls_failure_memory(f, size + 1, "attribute %s of %s", ls_show(name).text, m->name.text);
        else if (H5Aread(a, type, text) < 0)
            ls_h5_failure(f, LS_ERR_DATA, "%s: reading attribute %s failed", m->name.text,
                          ls_show(name).text);
        if (f->status) ls_memory_free(text);
        else *out = text;
        ls_h5_close(type);
    }
    ls_h5_close(a);
    ls_h5_end(turn);
    return f->status;
}

/* ---- lists ----------------------------------------------------------------------------------- */

typedef struct list {
    ls_arena *arena;
    char **names;
    hsize_t count, room;
    size_t bytes; /* of the names */
} list;

static herr_t add_link(hid_t group, const char *name, const H5L_info_t *info, void *self)
{
    (void)group, (void)info;
    list *l = self;
    size_t bytes = strlen(name) + 1;
    char *copy = l->count < l->room ? ls_arena_take(l->arena, bytes) : NULL;
    l->bytes += bytes;
    if (!copy) return -1;
    l->names[l->count++] = memcpy(copy, name, bytes);
    return 0;
}

ls_status ls_image_list(ls_image *m, const char *group, int64_t *count, const char *const **names,
                        ls_failure *f)
{
    *count = 0;
    *names = NULL;
    ls_h5_turn turn = ls_h5_begin();
    H5G_info_t info;
    hid_t at = is_there(m, group) ? H5Gopen2(m->file, group, H5P_DEFAULT) : H5I_INVALID_HID;
    if (at < 0) {
        refuse(m, group, "is missing", f);
    } else if (H5Gget_info(at, &info) < 0) {
        ls_h5_failure(f, LS_ERR_DATA, "%s is damaged", m->name.text);
    } else {
        const size_t bytes = (info.nlinks + 1) * sizeof(char *);
        list l = { &m->arena, ls_arena_take(&m->arena, bytes), 0, info.nlinks, 0 };
        if (!l.names || H5Literate(at, H5_INDEX_NAME, H5_ITER_INC, NULL, add_link, &l) < 0)
            ls_failure_memory(f, bytes + l.bytes, "the list of what is in %s of %s",
                              ls_show(group).text, m->name.text);
        *count = (int64_t)l.count;
        *names = (const char *const *)l.names;
    }
    ls_h5_close(at);
    ls_h5_end(turn);
    return f->status;
}
