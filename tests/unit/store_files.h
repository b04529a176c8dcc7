/* store_files.h -- what the tests of files share: a directory for each test, files in it, and the
 * question whether all that was opened is closed again. */
#pragma once
#include "store/store.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dirent.h>
#include <ftw.h>
#define H5_USE_110_API /* as in store/h5.h */
#include <hdf5.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char home[64];

static inline void enter(void)
{
    strcpy(home, "/tmp/lockstep-store-XXXXXX");
    cr_assert(mkdtemp(home) && chdir(home) == 0);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* this file's own calls of HDF5 may fail */
}

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static inline void leave(void)
{
    if (chdir("/") == 0) nftw(home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void all_is_closed(void)
{
    cr_expect(eq(sz, ls_memory_live(), 0));
    cr_expect(eq(int, (int)H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0));
}

static inline bool has(const ls_failure *f, ls_status status, const char *text)
{
    if (f->status == status && strstr(f->text, text)) return true;
    cr_log_error("status %d: \"%s\", wanted %d: \"%s\"", f->status, f->text, status, text);
    return false;
}

static inline int files_in(const char *dir)
{
    int count = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        count += strspn(e->d_name, ".") != strlen(e->d_name);
    if (d) closedir(d);
    return count;
}

static inline void write_file(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(path, "w");
    cr_assert(file && fwrite(bytes, 1, count, file) == count && fclose(file) == 0);
}

static inline size_t read_file(const char *path, uint8_t **bytes)
{
    struct stat st;
    FILE *file = fopen(path, "r");
    cr_assert(file && fstat(fileno(file), &st) == 0);
    *bytes = malloc((size_t)st.st_size);
    cr_assert(fread(*bytes, 1, (size_t)st.st_size, file) == (size_t)st.st_size);
    fclose(file);
    return (size_t)st.st_size;
}

static inline uint64_t next_random(void)
{
    static uint64_t x = 88172645463325252;
    x ^= x << 13;
    x ^= x >> 7;
    return x ^= x << 17;
}

static inline hid_t new_file(const char *path)
{
    return H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
}

/* A dataset of rows 0, 1, 2, ...; the creation list is closed. */
static inline void add_set(hid_t file, const char *name, hid_t type, int ndim, const hsize_t *dim,
                    hid_t creation, bool is_written)
{
    hsize_t count = 1;
    for (int i = 0; i < ndim; i++) count *= dim[i];
    hid_t space = H5Screate_simple(ndim, dim, NULL);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    cr_assert(set >= 0, "%s", name);
    if (is_written) {
        int64_t *values = calloc(count + 1, sizeof *values);
        for (hsize_t i = 0; i < count; i++) values[i] = (int64_t)i;
        hid_t memory = H5Tget_class(type) == H5T_INTEGER ? H5T_NATIVE_INT64 : type;
        cr_assert(H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0, "%s", name);
        free(values);
    }
    H5Dclose(set), H5Sclose(space);
    if (creation != H5P_DEFAULT) H5Pclose(creation);
}

/* A call that fails: its status and a part of its text. */
#define REFUSED(wanted, text, call)                                                                \
    do {                                                                                           \
        ls_failure no = { 0 }; /* named in call */                                                 \
        cr_expect(eq(int, call, wanted));                                                          \
        cr_expect(has(&no, wanted, text));                                                         \
    } while (0)

/* A small disk in a mount namespace of this process; false where that is not allowed. */
static inline bool make_small_disk(void)
{
    return mkdir("small", 0700) == 0 && unshare(CLONE_NEWNS) == 0 &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", "small", "tmpfs", 0, "size=100k") == 0;
}

static inline hid_t chunks(const hsize_t *chunk, int ndim, H5Z_filter_t odd)
{
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(creation, ndim, chunk);
    if (odd == H5Z_FILTER_NBIT) H5Pset_nbit(creation);
    return creation;
}

/* As many rows as its source has, which is one that nobody may wait for. */
static inline void add_growing_set(hid_t file)
{
    const hsize_t zero[2] = { 0 }, most[2] = { H5S_UNLIMITED, 3 }, count[2] = { H5S_UNLIMITED, 1 };
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE), space;
    cr_assert(mkfifo("fifo", 0600) == 0);
    space = H5Screate_simple(2, (hsize_t[]){ 1, 3 }, most);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, zero, NULL, count, (hsize_t[]){ 1, 3 });
    H5Pset_virtual(creation, space, "fifo", "/x", space);
    H5Dclose(H5Dcreate2(file, "growing", H5T_STD_I32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(creation);
}

/* HDF5 crashes where it opens its /x: the list of sources says that it is a gigabyte long. */
static inline void make_crashing_file(const char *path)
{
    enum { IN_LENGTH = 27 };
    const hsize_t dim[1] = { 4 };
    uint8_t *bytes, *list;
    hid_t file = new_file(path), creation = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(1, dim, NULL);
    H5Pset_virtual(creation, space, "gone.h5", "/x", space);
    H5Sclose(space);
    add_set(file, "x", H5T_STD_I32LE, 1, dim, creation, false);
    H5Fclose(file);
    size_t length = read_file(path, &bytes);
    list = memmem(bytes, length, "GCOL", 4);
    cr_assert(list != NULL);
    list[IN_LENGTH] = 64;
    write_file(path, bytes, length);
    free(bytes);
}
