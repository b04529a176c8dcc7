/* test_store.c -- tables against HDF5's own reading, and refusals by their text. Every test has a
 * directory of its own; all files are made here. */
#include "store_files.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>

TestSuite(table, .init = enter, .fini = leave, .timeout = 120);

/* ---- tables: every type in every layout ------------------------------------------------------ */

enum { ROWS = 137, A = 5, B = 3 };
typedef struct layout {
    const char *name;
    hsize_t chunk[3];
    const char *filters;
    bool compact;
} layout;
static const layout layouts[] = {
    { "contiguous", { 0 }, "", false },
    { "compact", { 0 }, "", true },
    { "chunked", { 10, 5, 3 }, "", false },
    { "one row", { 1, 5, 3 }, "deflate", false },
    { "cut", { 20, 2, 2 }, "shuffle deflate", false },
    { "whole", { 137, 5, 3 }, "deflate fletcher32", false },
    { "sum", { 33, 5, 1 }, "fletcher32", false },
    { "szip", { 64, 4, 3 }, "szip", false },
};

static hid_t creation_of(const layout *l)
{
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    if (l->compact) H5Pset_layout(creation, H5D_COMPACT);
    if (l->chunk[0]) H5Pset_chunk(creation, 3, l->chunk);
    if (strstr(l->filters, "shuffle")) H5Pset_shuffle(creation);
    if (strstr(l->filters, "deflate")) H5Pset_deflate(creation, 1);
    if (strstr(l->filters, "fletcher32")) H5Pset_fletcher32(creation);
    if (strstr(l->filters, "szip")) H5Pset_szip(creation, H5_SZIP_NN_OPTION_MASK, 8);
    return creation;
}

static hid_t half_type(void)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, 10, 5, 0, 10);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, 15);
    return type;
}

/* Type number i of all that are read; negative: no more. */
static hid_t type_number(int i)
{
    hid_t type;
    if (i < 32) {
        type = H5Tcopy(H5T_STD_I8LE);
        H5Tset_size(type, (size_t)i / 4 + 1);
        H5Tset_precision(type, (size_t)(i / 4 + 1) * 8);
        H5Tset_sign(type, i & 1 ? H5T_SGN_2 : H5T_SGN_NONE);
        H5Tset_order(type, i & 2 ? H5T_ORDER_BE : H5T_ORDER_LE);
        return type;
    }
    if (i >= 38) return -1;
    type = i / 2 == 16 ? half_type() : H5Tcopy(i / 2 == 17 ? H5T_IEEE_F32LE : H5T_IEEE_F64LE);
    H5Tset_order(type, i & 1 ? H5T_ORDER_BE : H5T_ORDER_LE);
    return type;
}

/* Random values of a type: all bit patterns of integers that fit int64, finite floating numbers. */
static void fill(hid_t type, size_t count, uint8_t *out)
{
    size_t width = H5Tget_size(type);
    for (size_t i = 0; i < count * width; i++) out[i] = (uint8_t)next_random();
    size_t top = H5Tget_order(type) == H5T_ORDER_BE ? 0 : width - 1;
    bool is_float = H5Tget_class(type) == H5T_FLOAT;
    for (size_t i = 0; i < count; i++, out += width) {
        if (is_float && i % 8 == 0) memset(out, 0, width); /* zero, and subnormal below */
        if (is_float) out[top] &= 0xbf;
        if (is_float && i % 8 == 0) out[width - 1 - top] = (uint8_t)i;
        if (width == 8 && H5Tget_sign(type) == H5T_SGN_NONE) out[top] &= 0x7f;
    }
}

static void make_order(int64_t *rows, int64_t count, int how)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t random = (int64_t)(next_random() % ROWS);
        rows[i] = how == 0   ? i % ROWS
                  : how == 1 ? (ROWS - 1 - i % ROWS)
                  : how == 2 ? random
                             : i * 3 % ROWS;
    }
}

static void compare(ls_table *t, const void *all, ls_dtype type, const char *what)
{
    enum { MOST = 300 };
    size_t row = A * B * (type == LS_FLOAT32 ? 4 : 8);
    static const int64_t counts[] = { 1, 2, 128, MOST };
    char *out = malloc(MOST * row);
    for (int i = 0; i < 8; i++) {
        int64_t rows[MOST], count = counts[(i + i / 4) % 4];
        ls_failure f = { 0 };
        make_order(rows, count, i % 4);
        memset(out, 0xee, MOST * row);
        cr_assert(eq(int, ls_table_read(t, count, rows, type, 1, out, &f), LS_OK), "%s: %s", what,
                  f.text);
        for (int64_t k = 0; k < count; k++)
            cr_assert(memcmp(out + (size_t)k * row, (const char *)all + (size_t)rows[k] * row,
                             row) == 0,
                      "%s: row %d of order %d to type %d", what, (int)rows[k], i, type);
    }
    free(out);
}

static void check_type(const layout *l, int number)
{
    hsize_t dim[3] = { ROWS, A, B };
    uint8_t raw[ROWS * A * B * 8];
    static double wanted[3][ROWS * A * B];
    char what[64];
    hid_t type = type_number(number), space = H5Screate_simple(3, dim, NULL),
          creation = creation_of(l);
    hid_t file = H5Fcreate("t.h5", H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t set = H5Dcreate2(file, "x", type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    fill(type, ROWS * A * B, raw);
    cr_assert(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) >= 0);
    bool is_float = H5Tget_class(type) == H5T_FLOAT;
    /* HDF5 gives the exact values; its rounding of foreign types to float32 is not the C one. */
    hid_t exact = is_float ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64;
    cr_assert(H5Dread(set, exact, H5S_ALL, H5S_ALL, H5P_DEFAULT, wanted[is_float ? 1 : 2]) >= 0);
    for (int i = 0; i < ROWS * A * B; i++) {
        int64_t integer = ((int64_t *)wanted[2])[i];
        if (!is_float) wanted[1][i] = (double)integer;
        ((float *)wanted[0])[i] = is_float ? (float)wanted[1][i] : (float)integer;
    }
    size_t width = H5Tget_size(type);
    H5Dclose(set), H5Fclose(file), H5Pclose(creation), H5Sclose(space), H5Tclose(type);

    ls_failure f = { 0 };
    ls_table *t;
    cr_assert(eq(int, ls_table_open("t.h5", "/x", &t, &f), LS_OK), "%s: %s", l->name, f.text);
    const ls_table_info *about = ls_table_about(t);
    snprintf(what, sizeof what, "%s, %s", l->name, about->type);
    cr_assert(about->rows == ROWS && about->row.ndim == 2 && about->row.dim[0] == A &&
                  about->row.dim[1] == B && about->is_integer == !is_float &&
                  about->row_bytes == A * B * width && about->chunk_rows == (int64_t)l->chunk[0],
              "%s", what);
    cr_assert(eq(str, (char *)about->filters, (char *)l->filters));
    for (int limit = 0; limit < 3; limit++) {
        /* Contiguous data are kept from the second call on, or never. */
        if (limit) ls_table_limit(t, limit == 1 ? 3 * (20 * about->row_bytes + 128) : 0);
        for (int i = 0; i < 3 - is_float; i++) compare(t, wanted[i], (ls_dtype)i, what);
    }
    if (is_float) {
        int64_t row = 0, out[A * B];
        ls_table_read(t, 1, &row, LS_INT64, 1, out, &f);
        cr_expect(has(&f, LS_ERR_DATA, "where integers are needed"));
    }
    ls_table_close(t);
}

Test(table, every_type_in_every_layout)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        for (int k = 0; k < 38; k++) {
            int width = k / 4 + 1;
            bool is_odd = k < 32 && (width & (width - 1));
            if (strcmp(layouts[i].filters, "szip") == 0 &&
                (is_odd || H5Zfilter_avail(H5Z_FILTER_SZIP) <= 0))
                continue;
            check_type(&layouts[i], k);
        }
    all_is_closed();
}

/* ---- tables: what is refused ----------------------------------------------------------------- */

static void make_odd_file(void)
{
    hsize_t dim[7] = { 4, 3, 1, 1, 1, 1, 1 }, huge[3] = { 1u << 31, 1u << 31, 1 },
            zero[2] = { 4, 0 };
    hid_t file = new_file("odd.h5"), creation, type, group;
    add_set(file, "x", H5T_STD_I32LE, 2, dim, H5P_DEFAULT, true);
    add_set(file, "y", H5T_STD_U8LE, 1, dim, H5P_DEFAULT, true);
    add_set(file, "deep", H5T_STD_I8LE, 7, dim, H5P_DEFAULT, true);
    add_set(file, "zero", H5T_STD_I8LE, 2, zero, H5P_DEFAULT, false);
    add_set(file, "huge", H5T_STD_I8LE, 3, huge, chunks(dim, 3, 0), false);
    add_set(file, "never", H5T_STD_I8LE, 2, dim, H5P_DEFAULT, false);
    add_set(file, "holes", H5T_STD_I8LE, 2, dim, chunks((hsize_t[]){ 3, 2 }, 2, 0), false);
    add_set(file, "nbit", H5T_STD_I8LE, 2, dim, chunks(dim, 2, H5Z_FILTER_NBIT), true);

    creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(creation, "values.raw", 0, 48);
    add_set(file, "outside", H5T_STD_I32LE, 2, dim, creation, false);
    creation = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(2, dim, NULL);
    H5Pset_virtual(creation, space, "gone.h5", "/x", space);
    add_set(file, "virtual", H5T_STD_I32LE, 2, dim, creation, false);
    H5Sclose(space);
    add_growing_set(file);

    space = H5Screate(H5S_SCALAR);
    H5Dclose(H5Dcreate2(file, "one", H5T_STD_I8LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
    space = H5Screate(H5S_NULL);
    H5Dclose(H5Dcreate2(file, "null", H5T_STD_I8LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
    type = H5Tcreate(H5T_COMPOUND, 8);
    H5Tinsert(type, "r", 0, H5T_IEEE_F64LE);
    add_set(file, "compound", type, 1, dim, H5P_DEFAULT, true);
    H5Tclose(type);
    add_set(file, "bits", H5T_STD_B8LE, 1, dim, H5P_DEFAULT, true);
    type = H5Tcopy(H5T_STD_U16LE);
    H5Tset_precision(type, 12);
    add_set(file, "twelve", type, 1, dim, H5P_DEFAULT, true);
    H5Tclose(type);
    type = half_type(); /* 8 bits of exponent: a brain float */
    H5Tset_fields(type, 15, 7, 8, 0, 7);
    add_set(file, "brain", type, 1, dim, H5P_DEFAULT, true);
    H5Tclose(type);

    group = H5Gcreate2(file, "group", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(group);
    H5Lcreate_external("secret\033.h5", "/x", file, "link", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/group", file, "soft", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/x", file, "alias", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/nowhere", file, "dangling", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
}

static const struct {
    const char *name, *text;
} odd_sets[] = {
    { "/deep", "odd.h5: /deep has 7 dimensions: at most 6 are read" },
    { "/zero", "odd.h5: /zero has rows without a single value" },
    { "/huge", "odd.h5: /huge has dimensions whose product overflows" },
    { "/never", "odd.h5: /never was never written: it has no values" },
    { "/holes", "odd.h5: /holes was never written in full: 4 of its 4 chunks are missing" },
    { "/nbit",
      "odd.h5: /nbit is packed with nbit (filter 5), which is not read: h5repack -f GZIP=1" },
    { "/outside", "odd.h5: /outside keeps its values in other files (external storage)" },
    { "/virtual", "odd.h5: /virtual is a virtual dataset" },
    { "/growing", "odd.h5: /growing is a virtual dataset" },
    { "/null", "odd.h5: /null has no values" },
    { "/one", "odd.h5: /one is a single value: the first dimension must count rows" },
    { "/compound", "odd.h5: /compound holds values of type compound" },
    { "/bits", "odd.h5: /bits holds values of type bit field" },
    { "/twelve", "odd.h5: /twelve holds values of type uint12" },
    { "/brain", "odd.h5: /brain holds values of type float16" },
    { "/group", "odd.h5: /group is a group, not a dataset; the file has " },
    { "/soft", "odd.h5: /soft is a group, not a dataset; the file has " },
    { "/", "odd.h5: / is a group, not a dataset" },
    { "/link", "odd.h5: /link is an external link to secret\\x1b.h5:/x, which is not followed" },
    { "/dangling", "odd.h5: /dangling cannot be opened: " },
    { "/X\n", "odd.h5 has no dataset /X\\x0a; it has " },
    { "", "odd.h5 has no dataset ; it has " },
};

Test(table, refusals_by_name)
{
    make_odd_file();
    for (size_t i = 0; i < sizeof odd_sets / sizeof *odd_sets; i++) {
        ls_failure f = { 0 };
        ls_table *t;
        cr_expect(eq(int, ls_table_open("odd.h5", odd_sets[i].name, &t, &f), LS_ERR_DATA));
        cr_expect(t == NULL && has(&f, LS_ERR_DATA, odd_sets[i].text), "%s", odd_sets[i].name);
    }
    ls_failure f = { 0 };
    ls_table *t;
    int64_t row = 3, out[3];
    cr_assert(eq(int, ls_table_open("odd.h5", "alias", &t, &f), LS_OK));
    cr_assert(ls_table_read(t, 1, &row, LS_INT64, 1, out, &f) == LS_OK && out[0] == 9 &&
              out[2] == 11);
    row = 4;
    ls_table_read(t, 1, &row, LS_INT64, 1, out, &f);
    cr_expect(has(&f, LS_ERR_ARG, "odd.h5: alias has no row 4: it has 4"));
    ls_table_close(t);
    all_is_closed();
}

Test(table, what_is_no_dataset_file)
{
    hsize_t dim[2] = { 60000, 784 };
    uint8_t *bytes;
    hid_t file = new_file("fashion.h5");
    add_set(file, "x", H5T_STD_U8LE, 2, dim, chunks((hsize_t[]){ 1000, 784 }, 2, 0), true);
    add_set(file, "y", H5T_STD_U8LE, 1, dim, H5P_DEFAULT, true);
    H5Fclose(file);
    size_t length = read_file("fashion.h5", &bytes);
    write_file("cut.h5", bytes, length - 1000);
    free(bytes);
    write_file("train.csv", "1,2,3\n4,5,6\n", 12);
    write_file("empty.h5", "", 0);
    cr_assert(mkfifo("fifo.h5", 0600) == 0 && mkdir("dir.h5", 0700) == 0);
    cr_assert(symlink("b.h5", "a.h5") == 0 && symlink("a.h5", "b.h5") == 0);
    char much[400] = "";
    for (int i = 0; i < 30; i++) strcat(much, "dir.h5/../x\033/");

    const struct {
        const char *path;
        ls_status status;
        const char *text;
    } files[] = {
        { "fashion.h5", LS_ERR_DATA,
          "fashion.h5 has no dataset /X; it has /x [60000, 784], /y [60000]" },
        { "train.csv", LS_ERR_DATA,
          "train.csv is not an HDF5 file: `lockstep convert` makes one from CSV" },
        { "empty.h5", LS_ERR_DATA, "empty.h5 is empty" },
        { "cut.h5", LS_ERR_DATA, "cut.h5 is damaged: truncated file" },
        { "fifo.h5", LS_ERR_DATA, "fifo.h5 is a FIFO: a regular file is needed" },
        { "dir.h5", LS_ERR_DATA, "dir.h5 is a directory: a regular file is needed" },
        { "/dev/null", LS_ERR_DATA, "/dev/null is a device: a regular file is needed" },
        { "a.h5", LS_ERR_INPUT, "cannot open a.h5: Too many levels of symbolic links" },
        { "none.h5", LS_ERR_INPUT, "cannot open none.h5: No such file or directory" },
        { much, LS_ERR_INPUT, "x\\x1b/d...\\x1b/dir.h5" },
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        ls_failure f = { 0 };
        ls_table *t;
        ls_table_open(files[i].path, "/X", &t, &f);
        cr_expect(t == NULL && has(&f, files[i].status, files[i].text), "%s", files[i].path);
    }
    all_is_closed();
}

Test(table, integers_beyond_int64)
{
    hsize_t dim[2] = { 3, 2 };
    uint64_t values[6] = { 1, 2, INT64_MAX, 3, UINT64_C(1) << 63, UINT64_MAX };
    hid_t file = new_file("t.h5"), space = H5Screate_simple(2, dim, NULL);
    hid_t set = H5Dcreate2(file, "x", H5T_STD_U64BE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    cr_assert(H5Dwrite(set, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(set), H5Sclose(space), H5Fclose(file);
    ls_failure f = { 0 };
    ls_table *t;
    cr_assert(eq(int, ls_table_open("t.h5", "x", &t, &f), LS_OK));
    int64_t rows[3] = { 1, 0, 2 }, out[6];
    double real[6];
    cr_assert(ls_table_read(t, 2, rows, LS_INT64, 1, out, &f) == LS_OK && out[0] == INT64_MAX &&
              out[3] == 2);
    cr_assert(ls_table_read(t, 3, rows, LS_FLOAT64, 1, real, &f) == LS_OK && real[5] == 0x1p64);
    ls_table_read(t, 3, rows, LS_INT64, 1, out, &f);
    cr_expect(has(&f, LS_ERR_DATA, "t.h5: x holds an integer above 2^63 - 1 in row 2"));
    ls_table_close(t);
    all_is_closed();
}

/* Rows larger than any buffer, user blocks in front, a file of the newest format. */
Test(table, large_rows_behind_a_user_block)
{
    enum { N = 3, D = 300001 };
    hsize_t dim[2] = { N, D };
    hid_t creation = H5Pcreate(H5P_FILE_CREATE), access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_userblock(creation, 2048);
    H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    hid_t file = H5Fcreate("t.h5", H5F_ACC_TRUNC, creation, access);
    add_set(file, "x", H5T_STD_I32BE, 2, dim, H5P_DEFAULT, true);
    add_set(file, "z", H5T_STD_I64LE, 2, dim, chunks((hsize_t[]){ 2, 70000 }, 2, 0), true);
    H5Fclose(file), H5Pclose(creation), H5Pclose(access);
    int64_t rows[4] = { 2, 0, 2, 1 }, *out = malloc(4 * D * sizeof *out);
    for (int k = 0; k < 3; k++) {
        ls_failure f = { 0 };
        ls_table *t;
        cr_assert(eq(int, ls_table_open("t.h5", k ? "/z" : "/x", &t, &f), LS_OK), "%s", f.text);
        if (k == 2) ls_table_limit(t, 0);
        cr_assert(eq(int, ls_table_read(t, 4, rows, LS_INT64, 1, out, &f), LS_OK), "%s", f.text);
        for (int64_t i = 0; i < 4 * D; i++) cr_assert(out[i] == rows[i / D] * D + i % D);
        ls_table_close(t);
    }
    free(out);
    all_is_closed();
}

/* Values that are divided have the bits of a division in their type: bytes by numbers of all kinds. */
Test(table, divided_by_a_constant)
{
    hsize_t dim[2] = { 2, 256 };
    hid_t file = new_file("t.h5");
    add_set(file, "u8", H5T_STD_U8LE, 2, dim, H5P_DEFAULT, false);
    add_set(file, "i16", H5T_STD_I16LE, 2, dim, H5P_DEFAULT, true);
    add_set(file, "f32", H5T_IEEE_F32LE, 2, dim, H5P_DEFAULT, false);
    hid_t u8 = H5Dopen2(file, "u8", H5P_DEFAULT), f32 = H5Dopen2(file, "f32", H5P_DEFAULT);
    uint8_t bytes[512];
    float numbers[512], out[256];
    for (int i = 0; i < 512; i++) {
        bytes[i] = (uint8_t)i;
        numbers[i] = (float)(int64_t)next_random();
    }
    cr_assert(H5Dwrite(u8, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes) >= 0);
    cr_assert(H5Dwrite(f32, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers) >= 0);
    H5Dclose(u8), H5Dclose(f32), H5Fclose(file);
    ls_failure f = { 0 };
    ls_table *t[3];
    cr_assert(ls_table_open("t.h5", "u8", &t[0], &f) == LS_OK);
    cr_assert(ls_table_open("t.h5", "i16", &t[1], &f) == LS_OK);
    cr_assert(ls_table_open("t.h5", "f32", &t[2], &f) == LS_OK);
    for (int k = 0; k < 3000; k++) {
        int64_t row = 1;
        double real[256];
        double by = k < 1000 ? k + 2 : k < 1004 ? -0.1 * k : (double)next_random() * 0x1p-56 + 1e-6;
        if (k == 2999) by = 1e39; /* infinite as float32 */
        if (k == 2998) by = 0x1p-148;
        for (int j = 0; j < 3; j++) {
            cr_assert(ls_table_read(t[j], 1, &row, LS_FLOAT32, by, out, &f) == LS_OK);
            for (int i = 0; i < 256; i++) {
                float v = j == 0 ? (float)i : j == 1 ? (float)(256 + i) : numbers[256 + i];
                float want = v / (float)by;
                cr_assert(memcmp(&out[i], &want, sizeof want) == 0, "%g / %g", (double)v, by);
            }
        }
        cr_assert(ls_table_read(t[0], 1, &row, LS_FLOAT64, by, real, &f) == LS_OK);
        for (int i = 0; i < 256; i++) cr_assert(real[i] == i / by);
    }
    for (int j = 0; j < 3; j++) ls_table_close(t[j]);
    all_is_closed();
}

/* Small data are read whole in the end; where that fails, the rows that are there are still read. */
Test(table, kept_in_memory)
{
    enum { N = 1000, D = 16 };
    int64_t row, out[D], calls = 0;
    hid_t file = new_file("t.h5");
    add_set(file, "x", H5T_STD_I64LE, 2, (hsize_t[]){ N, D }, H5P_DEFAULT, true);
    H5Fclose(file);
    uint8_t *bytes;
    size_t length = read_file("t.h5", &bytes);
    for (int is_cut = 0; is_cut < 2; is_cut++) {
        ls_failure f = { 0 };
        ls_table *t;
        write_file("t.h5", bytes, length);
        cr_assert(ls_table_open("t.h5", "x", &t, &f) == LS_OK);
        cr_expect(eq(int, (int)H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0));
        size_t before = ls_memory_calls();
        if (is_cut) cr_assert(truncate("t.h5", (off_t)(length - 8 * D)) == 0);
        for (calls = 0; calls < 200; calls++) {
            row = calls * 7 % (N - 1);
            cr_assert(ls_table_read(t, 1, &row, LS_INT64, 1, out, &f) == LS_OK, "%s", f.text);
            cr_assert(out[3] == row * D + 3);
        }
        cr_expect(eq(int, (int)(ls_memory_calls() - before), 4),
                  "two for the order, one for rows, one to keep");
        row = N - 1;
        if (!is_cut) cr_assert(truncate("t.h5", 0) == 0);
        ls_table_read(t, 1, &row, LS_INT64, 1, out, &f);
        if (is_cut) cr_expect(has(&f, LS_ERR_IO, "cannot read t.h5 at byte"));
        else cr_expect(f.status == LS_OK && out[0] == row * D);
        if (!is_cut) ls_table_limit(t, 0);
        ls_table_read(t, 1, &row, LS_INT64, 1, out, &f);
        cr_expect(has(&f, LS_ERR_IO, "t.h5"));
        ls_table_close(t);
    }
    free(bytes);
    all_is_closed();
}

/* Rows of bytes and numbers of any length, read in any order from what is kept: bits of a division, or what
 * was stored; the last row of the file ends with what is kept. */
Test(table, rows_of_any_length_kept_in_memory)
{
    enum { N = 90, MOST = 130, READS = 40 };
    const double by[] = { 255, 1 };
    float out[READS * MOST + 1];
    for (hsize_t d = 1; d <= MOST; d++) {
        hid_t creation = d % 2 ? H5P_DEFAULT : chunks((hsize_t[]){ 7, d }, 2, 0);
        hid_t file = new_file("t.h5"), type = d % 3 ? H5T_STD_U8LE : H5T_IEEE_F32LE;
        add_set(file, "x", type, 2, (hsize_t[]){ N, d }, creation, false);
        uint8_t *bytes = malloc(N * d);
        for (hsize_t i = 0; i < N * d; i++) bytes[i] = (uint8_t)next_random();
        hid_t set = H5Dopen2(file, "x", H5P_DEFAULT);
        cr_assert(H5Dwrite(set, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes) >= 0);
        H5Dclose(set), H5Fclose(file);
        ls_failure f = { 0 };
        ls_table *t;
        cr_assert(ls_table_open("t.h5", "x", &t, &f) == LS_OK, "%s", f.text);
        for (int k = 0; k < 8; k++) {
            int64_t rows[READS], count = k < 4 ? READS : k - 3, n = count * (int64_t)d;
            for (int64_t i = 0; i < count; i++) rows[i] = (int64_t)(next_random() % N);
            rows[count / 2] = N - 1;
            out[n] = -1;
            if (k == 5) ls_table_limit(t, 1 << 20); /* keeps all of it anew */
            cr_assert(ls_table_read(t, count, rows, LS_FLOAT32, by[k % 2], out, &f) == LS_OK);
            for (int64_t i = 0; i < n; i++) {
                float want = (float)bytes[rows[i / (int64_t)d] * (int64_t)d + i % (int64_t)d];
                want /= (float)by[k % 2];
                cr_assert(memcmp(&out[i], &want, sizeof want) == 0, "row length %d", (int)d);
            }
            cr_assert(out[n] == -1);
        }
        ls_table_close(t);
        free(bytes);
    }
    all_is_closed();
}

Test(table, damaged_chunks_are_named)
{
    hsize_t dim[2] = { 64, 8 };
    uint8_t *bytes;
    hid_t file = new_file("t.h5"), creation = chunks((hsize_t[]){ 16, 4 }, 2, 0);
    H5Pset_fletcher32(creation);
    add_set(file, "x", H5T_STD_I64LE, 2, dim, creation, true);
    H5Fclose(file);
    size_t length = read_file("t.h5", &bytes), at;
    for (at = 0; memcmp(bytes + at, (int64_t[]){ 300, 301 }, 16) != 0; at++) {}
    bytes[at] ^= 1;
    write_file("t.h5", bytes, length);
    free(bytes);
    ls_failure f = { 0 };
    ls_table *t;
    int64_t rows[2] = { 3, 37 }, out[16];
    cr_assert(eq(int, ls_table_open("t.h5", "x", &t, &f), LS_OK));
    cr_assert(ls_table_read(t, 1, rows, LS_INT64, 1, out, &f) == LS_OK && out[1] == 25);
    /* One place: what fails to take it must not seem to have it. */
    ls_table_limit(t, 16 * 64 + 128);
    cr_assert(ls_table_read(t, 1, rows, LS_INT64, 1, out, &f) == LS_OK && out[1] == 25);
    ls_table_read(t, 2, rows, LS_INT64, 1, out, &f);
    f.status = LS_OK;
    cr_assert(ls_table_read(t, 1, rows, LS_INT64, 1, out, &f) == LS_OK && out[1] == 25);
    ls_table_read(t, 2, rows, LS_INT64, 1, out, &f);
    cr_expect(has(&f, LS_ERR_DATA, "t.h5: reading x failed: ") && strstr(f.text, "hecksum"), "%s",
              f.text);
    ls_table_close(t);
    all_is_closed();
}

Test(table, values_must_lie_in_the_file)
{
    uint8_t *bytes, *at;
    hid_t file = new_file("t.h5");
    add_set(file, "before", H5T_STD_I8LE, 1, (hsize_t[]){ 9001 }, H5P_DEFAULT, true);
    add_set(file, "x", H5T_STD_I64LE, 1, (hsize_t[]){ 100 }, H5P_DEFAULT, true);
    hid_t set = H5Dopen2(file, "x", H5P_DEFAULT);
    uint64_t offset = H5Dget_offset(set);
    H5Dclose(set), H5Fclose(file);
    size_t length = read_file("t.h5", &bytes);
    for (at = bytes + offset; memcmp(at, &offset, 8) != 0; at--) {} /* little-endian, as stored */
    offset = length - 500;
    memcpy(at, &offset, 8);
    write_file("t.h5", bytes, length);
    free(bytes);
    ls_table *t;
    REFUSED(LS_ERR_DATA, "t.h5: /x ends 300 bytes behind the end of the file",
            ls_table_open("t.h5", "/x", &t, &no));
    all_is_closed();
}

Test(table, files_that_others_have_open)
{
    hsize_t dim[1] = { 4 };
    hid_t file = new_file("t.h5");
    add_set(file, "x", H5T_STD_I64LE, 1, dim, H5P_DEFAULT, true);
    H5Fclose(file);
    cr_assert(chmod("t.h5", 0400) == 0 && chmod(".", 0500) == 0);
    int fd = open("t.h5", O_RDONLY);
    ls_failure f = { 0 };
    ls_table *t;
    cr_assert(fd >= 0 && flock(fd, LOCK_SH) == 0);
    cr_assert(eq(int, ls_table_open("t.h5", "x", &t, &f), LS_OK), "%s", f.text);
    cr_expect(flock(fd, LOCK_EX | LOCK_NB) != 0, "a reader keeps writers out");
    ls_table_close(t);
    cr_assert(flock(fd, LOCK_EX) == 0);
    ls_table_open("t.h5", "x", &t, &f);
    cr_expect(has(&f, LS_ERR_IO, "t.h5 is being written by another process"));
    close(fd);
    chmod(".", 0700);
    all_is_closed();
}

Test(table, descriptions)
{
    make_odd_file();
    ls_failure f = { 0 };
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    cr_assert(eq(int, ls_file_describe("odd.h5", out, &f), LS_OK), "%s", f.text);
    fclose(out);
    cr_expect(strncmp(text, "/bits [4] bit field, not readable: odd.h5: ", 43) == 0, "%s", text);
    cr_expect(strstr(text, "\n/x [4, 3] int32\n/y [4] uint8\n") != NULL, "%s", text);
    cr_expect(strstr(text, "\n/growing int32, not readable: odd.h5: ") != NULL, "%s", text);
    free(text);
    hid_t file = new_file("t.h5"), creation = chunks((hsize_t[]){ 2, 3 }, 2, 0);
    H5Pset_shuffle(creation), H5Pset_deflate(creation, 1);
    add_set(file, "x", H5T_STD_I32BE, 2, (hsize_t[]){ 4, 3 }, creation, true);
    H5Fclose(file);
    out = open_memstream(&text, &length);
    cr_assert(eq(int, ls_file_describe("t.h5", out, &f), LS_OK));
    fclose(out);
    cr_expect(eq(str, text,
                 "/x [4, 3] int32 big-endian, chunks of 2 rows (24 bytes), shuffle deflate\n"));
    free(text);
    ls_file_describe("none.h5", stderr, &f);
    cr_expect(has(&f, LS_ERR_INPUT, "none.h5"));
    make_crashing_file("bad.h5");
    REFUSED(LS_ERR_DATA, "bad.h5 is damaged: ", ls_file_describe("bad.h5", stderr, &no));
    all_is_closed();
}

/* Two threads read two tables, one of them the same. */
typedef struct reader {
    ls_table *t[2];
    int seed;
    int wrong;
} reader;

static void *read_much(void *self)
{
    reader *r = self;
    uint64_t x = (uint64_t)r->seed;
    for (int i = 0; i < 300; i++) {
        int64_t rows[32], out[32 * 8];
        ls_failure f = { 0 };
        for (int k = 0; k < 32; k++)
            rows[k] = (int64_t)((x = x * 6364136223846793005u + 1442695040888963407u) >> 40) % 1000;
        r->wrong += ls_table_read(r->t[i & 1], 32, rows, LS_INT64, 1, out, &f) != LS_OK;
        for (int k = 0; k < 32 * 8; k++) r->wrong += out[k] != rows[k / 8] * 8 + k % 8;
    }
    return NULL;
}

Test(table, two_threads)
{
    hsize_t dim[2] = { 1000, 8 };
    hid_t file = new_file("t.h5"), creation = chunks((hsize_t[]){ 10, 8 }, 2, 0);
    H5Pset_deflate(creation, 1);
    add_set(file, "x", H5T_STD_I64LE, 2, dim, H5P_DEFAULT, true);
    add_set(file, "z", H5T_STD_I32LE, 2, dim, creation, true);
    H5Fclose(file);
    reader r[2] = { { .seed = 1 }, { .seed = 2 } };
    ls_failure f = { 0 };
    cr_assert(ls_table_open("t.h5", "z", &r[0].t[0], &f) == LS_OK &&
              ls_table_open("t.h5", "x", &r[0].t[1], &f) == LS_OK);
    cr_assert(ls_table_open("t.h5", "z", &r[1].t[1], &f) == LS_OK);
    r[1].t[0] = r[0].t[0];
    ls_table_limit(r[0].t[0], 10000); /* 13 of 100 chunks */
    ls_table_limit(r[1].t[1], 0);
    pthread_t thread;
    cr_assert(pthread_create(&thread, NULL, read_much, &r[1]) == 0);
    read_much(&r[0]);
    pthread_join(thread, NULL);
    cr_expect(r[0].wrong == 0 && r[1].wrong == 0);
    ls_table_close(r[0].t[0]), ls_table_close(r[0].t[1]), ls_table_close(r[1].t[1]);
    all_is_closed();
}
