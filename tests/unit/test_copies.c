/* test_copies.c -- tables that keep one copy of a file's values together, and files of which the disk does not
 * give every byte. Every test has a directory of its own. */
#include "store_files.h"
#include <errno.h>
#include <sys/syscall.h>

TestSuite(copies, .init = enter, .fini = leave, .timeout = 120);

/* What one has read another finds, without the file; whoever has another file goes without. */
Test(copies, are_made_once)
{
    enum { N = 1000, D = 16 };
    for (int is_chunked = 0; is_chunked < 2; is_chunked++) {
        hid_t creation = is_chunked ? chunks((hsize_t[]){ 50, D }, 2, 0) : H5P_DEFAULT;
        if (is_chunked) H5Pset_fletcher32(creation);
        hid_t file = new_file("t.h5");
        add_set(file, "x", H5T_STD_I64LE, 2, (hsize_t[]){ N, D }, creation, true);
        H5Fclose(file);
        uint8_t *bytes;
        size_t length = read_file("t.h5", &bytes);
        write_file("other.h5", bytes, length);
        free(bytes);

        ls_failure f = { 0 };
        ls_table *t[3];
        char *memory = NULL;
        for (int i = 0; i < 3; i++) {
            cr_assert(ls_table_open(i < 2 ? "t.h5" : "other.h5", "x", &t[i], &f) == LS_OK);
            if (i == 0) memory = ls_memory_new(ls_table_copy_bytes(t[0]));
            cr_assert(ls_table_copy_bytes(t[i]) > N * D * 8);
            ls_table_copy_in(t[i], memory);
        }
        int64_t row, out[D];
        for (row = 0; row < N; row++)
            cr_assert(ls_table_read(t[0], 1, &row, LS_INT64, 1, out, &f) == LS_OK);
        cr_assert(truncate("t.h5", 0) == 0);
        size_t before = ls_memory_calls();
        for (row = N - 1; row >= 0; row--)
            cr_assert(ls_table_read(t[1], 1, &row, LS_INT64, 1, out, &f) == LS_OK &&
                          out[3] == row * D + 3,
                      "%s", f.text);
        cr_expect(eq(int, (int)(ls_memory_calls() - before), 0));

        cr_assert(truncate("other.h5", 0) == 0);
        row = 7;
        ls_table_read(t[2], 1, &row, LS_INT64, 1, out, &f);
        cr_expect(f.status != LS_OK && strstr(f.text, "other.h5"), "%s", f.text);

        f.status = LS_OK;
        ls_table_limit(t[1], 0); /* its memory is not for it to free */
        ls_table_read(t[1], 1, &row, LS_INT64, 1, out, &f);
        cr_expect(f.status != LS_OK && strstr(f.text, "t.h5"), "%s", f.text);
        f.status = LS_OK;
        cr_assert(ls_table_read(t[0], 1, &row, LS_INT64, 1, out, &f) == LS_OK &&
                  out[3] == 7 * D + 3);
        for (int i = 0; i < 3; i++) ls_table_close(t[i]);
        ls_memory_free(memory);
    }
    all_is_closed();
}

/* ---- a disk that fails ----------------------------------------------------------------------- */
static int good_reads = -1; /* before one that fails; below 0: all are good */
static bool fails_for_good;

/* HDF5's; lockstep's own has another name, pread64. */
ssize_t read_of_hdf5(int file, void *out, size_t bytes, off_t at) __asm__("pread");
ssize_t read_of_hdf5(int file, void *out, size_t bytes, off_t at)
{
    if (good_reads == 0) {
        if (!fails_for_good) good_reads = -1;
        return errno = EIO, -1;
    }
    if (good_reads > 0) good_reads--;
    return syscall(SYS_pread64, file, out, bytes, at);
}

/* Whichever read it is of those that opening takes, the disk is to blame and not the file. */
Test(copies, reads_that_fail)
{
    hid_t file = new_file("t.h5"), creation = chunks((hsize_t[]){ 50, 16 }, 2, 0);
    add_set(file, "x", H5T_STD_I64LE, 2, (hsize_t[]){ 1000, 16 }, creation, true);
    H5Fclose(file);
    int failures = 0;
    for (int reads = 0; reads < 40; reads++) {
        ls_failure f = { 0 };
        ls_table *t = NULL;
        good_reads = reads / 2;
        fails_for_good = reads % 2;
        ls_table_open("t.h5", "x", &t, &f);
        good_reads = -1;
        ls_table_close(t);
        if (!f.status) continue;
        failures++;
        cr_expect(has(&f, LS_ERR_IO, "t.h5") && strstr(f.text, "Input/output error") &&
                      !strstr(f.text, "damaged"),
                  "after %d reads: %s", reads / 2, f.text);
    }
    cr_expect(failures > 8, "%d", failures);
    all_is_closed();
}
