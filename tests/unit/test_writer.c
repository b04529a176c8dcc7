/* test_writer.c -- new dataset files: what is written is read, by HDF5 and by tables; what is damaged
 * is refused; what cannot be written leaves nothing. Every test has a directory of its own. */
#include "store/file.h"
#include "store_files.h"
#include <sys/resource.h>

TestSuite(writer, .init = enter, .fini = leave, .timeout = 120);

/* Rows in the type they are stored in; bytes come back as integers. */
static void read_as_stored(ls_table *t, int64_t rows, const int64_t *order, ls_store_type type,
                           char *out)
{
    static const ls_dtype dtype[] = { LS_FLOAT32, LS_FLOAT64, LS_INT64, LS_INT64 };
    const ls_table_info *about = ls_table_about(t);
    size_t numbers = (size_t)rows * about->row_bytes;
    ls_failure f = { 0 };
    int64_t *wide = type == LS_STORE_U8 ? malloc(numbers * sizeof *wide) : NULL;
    ls_table_read(t, rows, order, dtype[type], 1, wide ? (void *)wide : out, &f);
    cr_assert(eq(int, f.status, LS_OK), "%s", f.text);
    for (size_t i = 0; wide && i < numbers; i++) out[i] = (char)wide[i];
    free(wide);
}

static void check_writer(ls_column x, ls_column y, int64_t rows, int64_t step)
{
    static const int64_t width[] = { 4, 8, 1, 8 };
    int64_t size[2] = { width[x.type], width[y.type] };
    for (int i = 0; i < x.row.ndim; i++) size[0] *= x.row.dim[i];
    for (int i = 0; i < y.row.ndim; i++) size[1] *= y.row.dim[i];
    char *data[2], *back[2];
    int64_t *order = malloc((size_t)rows * sizeof *order);
    for (int i = 0; i < 2; i++) {
        data[i] = malloc((size_t)(rows * size[i]));
        back[i] = malloc((size_t)(rows * size[i]));
        for (int64_t k = 0; k < rows * size[i]; k++) data[i][k] = (char)(next_random() >> 20);
    }
    ls_failure f = { 0 };
    ls_h5_writer *w;
    cr_assert(eq(int, ls_h5_writer_open("new.h5", false, &x, &y, &w, &f), LS_OK), "%s", f.text);
    for (int64_t i = 0; i < rows; i += step)
        cr_assert(eq(int,
                     ls_h5_writer_add(w, rows - i < step ? rows - i : step, data[0] + i * size[0],
                                      data[1] + i * size[1], &f),
                     LS_OK),
                  "%s", f.text);
    cr_assert(access("new.h5", F_OK) != 0);
    cr_assert(files_in(".") <= 1); /* 0 where files may be without names */
    cr_assert(eq(int, ls_h5_writer_close(w, &f), LS_OK), "%s", f.text);
    cr_assert(eq(int, files_in("."), 1));
    hid_t file = H5Fopen("new.h5", H5F_ACC_RDONLY, H5P_DEFAULT);
    cr_assert(file >= 0);
    for (int i = 0; i < 2; i++) {
        const char *name = (i ? y : x).name ? (i ? y : x).name : i ? "/y" : "/x";
        hid_t set = H5Dopen2(file, name, H5P_DEFAULT), type = H5Dget_type(set);
        cr_assert(H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, back[i]) >= 0);
        cr_assert(memcmp(data[i], back[i], (size_t)(rows * size[i])) == 0);
        H5Tclose(type), H5Dclose(set);
        ls_table *t;
        cr_assert(eq(int, ls_table_open("new.h5", name, &t, &f), LS_OK), "%s", f.text);
        cr_assert(ls_table_about(t)->rows == rows);
        cr_assert(eq(str, (char *)ls_table_about(t)->filters, "fletcher32"));
        for (int64_t k = 0; k < rows; k++) order[k] = k;
        read_as_stored(t, rows, order, (i ? y : x).type, back[i]);
        cr_assert(memcmp(data[i], back[i], (size_t)(rows * size[i])) == 0);
        ls_table_close(t);
        free(data[i]), free(back[i]);
    }
    free(order);
    H5Fclose(file);
    cr_assert(unlink("new.h5") == 0);
    all_is_closed();
}

Test(writer, any_shape_any_length)
{
    ls_shape none = { 0 };
    for (ls_store_type type = LS_STORE_F32; type <= LS_STORE_I64; type++) {
        check_writer((ls_column){ NULL, type, none }, (ls_column){ NULL, LS_STORE_U8, none }, 1, 1);
        check_writer((ls_column){ NULL, type, LS_SHAPE(3) },
                     (ls_column){ NULL, LS_STORE_I64, none }, 7, 2);
        check_writer((ls_column){ "x", LS_STORE_U8, LS_SHAPE(28, 28) },
                     (ls_column){ "/train/labels", type, LS_SHAPE(2) }, 5000, 128);
        check_writer((ls_column){ "/a/b/x", LS_STORE_U8, LS_SHAPE(1) },
                     (ls_column){ "/a/b/y", type, LS_SHAPE(5, 1) }, 100000, 33333);
    }
    check_writer((ls_column){ NULL, LS_STORE_F64, LS_SHAPE(700000) },
                 (ls_column){ NULL, LS_STORE_F32, LS_SHAPE(700000) }, 3, 1);
}

Test(writer, refusals)
{
    ls_column x = { NULL, LS_STORE_F32, LS_SHAPE(3) }, y = { NULL, LS_STORE_I64, { 0 } };
    ls_column same = { "/x", LS_STORE_I64, { 0 } }, empty = { "y", LS_STORE_I64, LS_SHAPE(0) };
    float row[3] = { 0 };
    int64_t label = 0;
    ls_failure f = { 0 };
    ls_h5_writer *w;
    write_file("there.h5", "x", 1);
    REFUSED(LS_ERR_OUTPUT, "there.h5 is there already",
            ls_h5_writer_open("there.h5", false, &x, &y, &w, &no));
    REFUSED(LS_ERR_OUTPUT, "none: a dataset cannot be made here: No such file",
            ls_h5_writer_open("none/new.h5", false, &x, &y, &w, &no));
    REFUSED(LS_ERR_OUTPUT, "cannot be the name of a file",
            ls_h5_writer_open("", false, &x, &y, &w, &no));
    REFUSED(LS_ERR_ARG, "/x cannot be made",
            ls_h5_writer_open("new.h5", false, &x, &same, &w, &no));
    REFUSED(LS_ERR_ARG, "rows of shape [0] cannot be stored",
            ls_h5_writer_open("new.h5", false, &x, &empty, &w, &no));
    cr_assert(eq(int, ls_h5_writer_open("new.h5", false, &x, &y, &w, &f), LS_OK));
    REFUSED(LS_ERR_ARG, "no row was written", ls_h5_writer_close(w, &no));
    /* A file that appears meanwhile stays as it is. */
    cr_assert(eq(int, ls_h5_writer_open("new.h5", false, &x, &y, &w, &f), LS_OK));
    cr_assert(eq(int, ls_h5_writer_add(w, 1, row, &label, &f), LS_OK));
    write_file("new.h5", "mine", 4);
    REFUSED(LS_ERR_OUTPUT, "new.h5 cannot be made: it is there already",
            ls_h5_writer_close(w, &no));
    uint8_t *bytes;
    cr_assert(read_file("new.h5", &bytes) == 4 && memcmp(bytes, "mine", 4) == 0);
    free(bytes);
    cr_assert(eq(int, ls_h5_writer_open("dropped.h5", false, &x, &y, &w, &f), LS_OK));
    ls_h5_writer_drop(w);
    ls_h5_writer_drop(NULL);
    cr_expect(eq(int, files_in("."), 2));
    all_is_closed();
}

/* With and without a temporary name, as file systems allow: seen only when whole, replaced only if wanted. */
Test(writer, files_get_their_names_at_the_end)
{
    for (int i = 0; i < 2; i++) {
        ls_status (*begin)(ls_output *, const char *, const char *, const char *,
                           ls_failure *) = i ? ls_output_open : ls_output_open_nameless;
        for (int k = 0; k < 3; k++) {
            ls_output o;
            ls_failure f = { 0 };
            uint8_t *bytes, byte = (uint8_t)('0' + k);
            cr_assert(eq(int, begin(&o, "", "new", "test", &f), LS_OK), "%s", f.text);
            cr_assert(eq(int, ls_output_write(&o, 0, &byte, 1, &f), LS_OK), "%s", f.text);
            cr_assert(eq(int, ls_output_close(&o, &f), LS_OK), "%s", f.text);
            cr_expect(eq(int, access("new", F_OK) == 0, k > 0));
            cr_expect(
                eq(int, ls_output_name(&o, "new", k == 2, &f), k == 1 ? LS_ERR_OUTPUT : LS_OK));
            cr_expect(eq(str, f.text, k == 1 ? "new cannot be made: it is there already" : ""));
            cr_assert(eq(int, (int)read_file("new", &bytes), 1));
            cr_expect(eq(int, bytes[0], k == 2 ? '2' : '0'));
            free(bytes);
            cr_expect(eq(int, files_in("."), 1));
        }
        cr_assert(unlink("new") == 0);
    }
    all_is_closed();
}

static void fill_the_disk(const char *path, const char *why)
{
    ls_column x = { NULL, LS_STORE_U8, LS_SHAPE(1000) }, y = { NULL, LS_STORE_U8, LS_SHAPE(1000) };
    char row[1000] = { 0 };
    ls_failure f = { 0 };
    ls_h5_writer *w;
    cr_assert(eq(int, ls_h5_writer_open(path, false, &x, &y, &w, &f), LS_OK), "%s", f.text);
    for (int i = 0; i < 5000 && !f.status; i++) ls_h5_writer_add(w, 1, row, row, &f);
    cr_expect(has(&f, LS_ERR_IO, why));
    REFUSED(LS_ERR_IO, why, ls_h5_writer_add(w, 1, row, row, &no));
    REFUSED(LS_ERR_IO, why, ls_h5_writer_close(w, &no));
}

Test(writer, failures_leave_nothing)
{
    cr_assert(mkdir("d", 0700) == 0);
    struct rlimit limit = { 1500000, RLIM_INFINITY };
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    fill_the_disk("d/new.h5", "d: dataset needs 2.1 MB, more than a file may have");
    cr_expect(eq(int, files_in("d"), 0));
    all_is_closed();
}

Test(writer, full_disk)
{
    if (!make_small_disk()) cr_skip_test("only root can make a small disk");
    fill_the_disk("small/new.h5", "small: disk full: dataset needs 1.0 MB, ");
    cr_expect(eq(int, files_in("small"), 0));
    umount("small");
    all_is_closed();
}

/* ---- damage ---------------------------------------------------------------------------------- */

enum { SMALL = 20, WIDE = 3000 }; /* rows: one chunk; some chunks of x */

/* x of row i is (i, -i, 7), y is i. */
static void write_numbers(const char *path, int64_t rows, int64_t features, float scale)
{
    ls_column x = { NULL, LS_STORE_F32, LS_SHAPE(features) }, y = { NULL, LS_STORE_I64, { 0 } };
    float *row = malloc((size_t)features * sizeof *row);
    ls_failure f = { 0 };
    ls_h5_writer *w;
    cr_assert(eq(int, ls_h5_writer_open(path, false, &x, &y, &w, &f), LS_OK), "%s", f.text);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t k = 0; k < features; k++) row[k] = scale * (float)(k == 1 ? -i : k ? 7 : i);
        cr_assert(ls_h5_writer_add(w, 1, row, &i, &f) == LS_OK);
    }
    cr_assert(eq(int, ls_h5_writer_close(w, &f), LS_OK), "%s", f.text);
    free(row);
}

/* Reads all of a file of write_numbers(): true where every number is right, false where it was refused. */
static bool reads_right(const char *path, int64_t rows)
{
    ls_failure f = { 0 };
    ls_table *x = NULL, *y = NULL;
    float v[3];
    int64_t label;
    if (!ls_table_open(path, "/x", &x, &f)) ls_table_open(path, "/y", &y, &f);
    cr_assert(f.status || (ls_table_about(x)->rows == rows && ls_table_about(y)->rows == rows));
    for (int64_t i = 0; i < rows && !f.status; i++) {
        if (ls_table_read(x, 1, &i, LS_FLOAT32, 1, v, &f)) break;
        if (ls_table_read(y, 1, &i, LS_INT64, 1, &label, &f)) break;
        cr_assert(v[0] == (float)i && v[1] == (float)-i && v[2] == 7 && label == i, "row %d",
                  (int)i);
    }
    ls_table_close(x), ls_table_close(y);
    cr_expect(f.status == LS_OK || f.status == LS_ERR_DATA, "%s", f.text);
    return !f.status;
}

/* A changed byte of what HDF5 wrote or of the values is found; of the zeros between them none matters. */
Test(writer, changed_bytes_are_found)
{
    uint8_t *bytes;
    write_numbers("t.h5", SMALL, 3, 1);
    cr_assert(reads_right("t.h5", SMALL));
    size_t length = read_file("t.h5", &bytes), taken = 0;
    cr_assert(length > 4096 && length < 8192, "%d", (int)length);
    for (size_t i = 0; i < length; i++) {
        if (i >= 1000 && i < 4096) { /* of the zeros, one in a hundred */
            cr_assert(bytes[i] == 0, "byte %d", (int)i);
            if (i % 100) continue;
        }
        if (i % (getenv("LS_TEST_SHORT") ? 16 : 3)) continue;
        bytes[i] ^= (uint8_t)(1 << i % 8);
        write_file("t.h5", bytes, length);
        if (reads_right("t.h5", SMALL)) taken++;
        bytes[i] ^= (uint8_t)(1 << i % 8);
    }
    cr_expect(taken < 400, "%d", (int)taken);
    write_file("t.h5", bytes, length - 1);
    cr_expect(not(reads_right("t.h5", SMALL)));
    free(bytes);
    all_is_closed();
}

/* Where a disk has lost what was written, it gives zeros, and their fletcher32 is zero. */
Test(writer, lost_blocks_are_found)
{
    uint8_t *bytes;
    float row[3] = { 0 };
    int64_t wanted[2] = { WIDE / 2, 5500 };
    ls_failure f = { 0 };
    ls_table *t;
    write_numbers("t.h5", 2 * 5461 + 1, 3, 1); /* chunks of 5461 rows */
    size_t length = read_file("t.h5", &bytes);
    for (int fill = 0; fill < 256; fill += 255) {
        memset(bytes + 4096 + 5461 * 12 + 4, fill, 5461 * 12 + 4);
        write_file("t.h5", bytes, length);
        for (size_t limit = 0; limit < 2; limit++) {
            f.status = LS_OK;
            cr_assert(eq(int, ls_table_open("t.h5", "/x", &t, &f), LS_OK), "%s", f.text);
            if (limit) ls_table_limit(t, 1000);
            cr_assert(eq(int, ls_table_read(t, 1, wanted, LS_FLOAT32, 1, row, &f), LS_OK));
            cr_assert(row[0] == WIDE / 2);
            ls_table_read(t, 1, wanted + 1, LS_FLOAT32, 1, row, &f);
            cr_expect(
                has(&f, LS_ERR_DATA,
                    "t.h5: /x is damaged in rows 5461 to 10921: they are not what was written"));
            ls_table_close(t);
        }
    }
    free(bytes);
    /* Nor can fletcher32 tell 0 from 65535. */
    cr_assert(unlink("t.h5") == 0);
    write_numbers("t.h5", SMALL, 3, 1);
    length = read_file("t.h5", &bytes);
    bytes[4096 + SMALL * 12 + 4 + 2] = bytes[4096 + SMALL * 12 + 4 + 3] = 255; /* of the first y */
    write_file("t.h5", bytes, length);
    cr_expect(not(reads_right("t.h5", SMALL)));
    free(bytes);
    /* Zeros that were written are no damage. */
    cr_assert(unlink("t.h5") == 0);
    write_numbers("t.h5", 6000, 3, 0);
    f.status = LS_OK;
    cr_assert(eq(int, ls_table_open("t.h5", "/x", &t, &f), LS_OK), "%s", f.text);
    cr_expect(eq(int, ls_table_read(t, 1, wanted, LS_FLOAT32, 1, row, &f), LS_OK), "%s", f.text);
    ls_table_close(t);
    all_is_closed();
}
