/* memory.c -- HDF5 files in memory.
 *
 * HDF5's core driver works in memory that the callbacks here provide: a new file's bytes are taken
 * over when it is closed, and a file that was read is opened where it lies, so nothing is copied.
 * The bytes of a new file depend on the calls alone: the format is fixed whatever the version of
 * the library, no object carries times, and what HDF5 leaves unwritten is zero.
 *
 * The driver asks the file system for the name first; the names used here can never be there. They
 * differ while files are open, because to HDF5 equal names are one file.
 *
 * Called by image.c; groups and lists by frame.c and writer.c as well. */
#include "store/h5.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t whole_pages(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

bool ls_h5_memory_take(ls_h5_memory *m, size_t bytes)
{
    if (bytes <= m->capacity) return true;
    void *at = m->bytes
                   ? mremap(m->bytes, whole_pages(m->capacity), whole_pages(bytes), MREMAP_MAYMOVE)
                   : mmap(NULL, whole_pages(bytes), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return false;
    m->bytes = at;
    m->capacity = bytes;
    return true;
}

void ls_h5_memory_clear(const ls_h5_memory *m, size_t from, size_t to)
{
    const size_t page = whole_pages(1);
    if (to > m->capacity) to = m->capacity;
    from = whole_pages(from);
    to = to / page * page;
    if (from < to)
        (void)madvise(m->bytes + from, to - from, MADV_DONTNEED); /* saves memory, or not */
}

static void *take(size_t bytes, H5FD_file_image_op_t why, void *self)
{
    (void)why;
    const ls_h5_memory *m = self;
    return bytes <= m->capacity ? m->bytes : NULL;
}

/* All of HDF5's copies of the bytes are the one. */
static void *copy(void *to, const void *from, size_t bytes, H5FD_file_image_op_t why, void *self)
{
    (void)bytes, (void)why, (void)self;
    return to == from ? to : NULL;
}

static void *grow(void *p, size_t bytes, H5FD_file_image_op_t why, void *self)
{
    (void)p, (void)why;
    ls_h5_memory *m = self;
    if (bytes <= m->capacity) return m->bytes;
    return ls_h5_memory_take(m, bytes) ? m->bytes : NULL;
}

static herr_t leave(void *p, H5FD_file_image_op_t why, void *self)
{
    (void)p, (void)why, (void)self;
    return 0;
}

static void *same_self(void *self)
{
    return self;
}

static herr_t leave_self(void *self)
{
    (void)self;
    return 0;
}

static hid_t access_list(ls_h5_memory *m)
{
    H5FD_file_image_callbacks_t calls = { take, copy, grow, leave, same_self, leave_self, m };
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (H5Pset_fapl_core(access, LS_H5_GROWTH, false) >= 0 &&
        H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0 &&
        H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0 &&
        H5Pset_file_image_callbacks(access, &calls) >= 0)
        return access;
    ls_h5_close(access);
    return H5I_INVALID_HID;
}

static void name_of(const ls_h5_memory *m, char name[64])
{
    snprintf(name, 64, "/dev/null/%p", (const void *)m);
}

hid_t ls_h5_list_new(hid_t of)
{
    hid_t list = H5Pcreate(of);
    if (list >= 0 && H5Pset_obj_track_times(list, false) >= 0) return list;
    ls_h5_close(list);
    return H5I_INVALID_HID;
}

hid_t ls_h5_memory_new(ls_h5_memory *m, int64_t user_block, ls_failure *f)
{
    char name[64];
    name_of(m, name);
    hid_t file = H5I_INVALID_HID, access = access_list(m),
          creation = ls_h5_list_new(H5P_FILE_CREATE);
    bool ready = H5Pset_userblock(creation, (hsize_t)user_block) >= 0;
    if (ready) file = H5Fcreate(name, H5F_ACC_EXCL, creation, access);
    if (file < 0) ls_h5_failure_memory(f, LS_H5_GROWTH, "an HDF5 file");
    ls_h5_close(creation);
    ls_h5_close(access);
    return file;
}

/* Where the file ends, by its superblock: version 2, addresses of 8 bytes, least byte first. */
static uint64_t end_of(const ls_h5_memory *m, int64_t user_block)
{
    enum { VERSION = 8, ADDRESS_BYTES = 9, END = 28, SIZE = 48 };
    const uint8_t *superblock = m->bytes + user_block;
    uint64_t end = 0;
    if (m->capacity < (size_t)user_block + SIZE || superblock[VERSION] != 2 ||
        superblock[ADDRESS_BYTES] != 8)
        return 0;
    for (int i = 7; i >= 0; i--) end = end << 8 | superblock[END + i];
    return end;
}

ls_status ls_h5_memory_finish(ls_h5_memory *m, hid_t file, int64_t user_block, uint64_t *end,
                              ls_failure *f)
{
    *end = 0;
    if (H5Fclose(file) < 0) return ls_h5_failure_memory(f, m->capacity, "an HDF5 file");
    *end = end_of(m, user_block);
    return *end ? LS_OK : ls_failure_set(f, LS_ERR_USE, "this HDF5 writes an unknown superblock");
}

hid_t ls_h5_memory_open(ls_h5_memory *m, size_t length, const char *shown, ls_failure *f)
{
    char name[64];
    name_of(m, name);
    hid_t file = H5I_INVALID_HID, access = access_list(m);
    if (access >= 0 && H5Pset_file_image(access, m->bytes, length) >= 0)
        file = H5Fopen(name, H5F_ACC_RDONLY, access);
    if (file < 0) ls_h5_failure(f, LS_ERR_DATA, "%s is damaged", ls_show(shown).text);
    ls_h5_close(access);
    return file;
}

void ls_h5_memory_free(ls_h5_memory *m)
{
    if (m->bytes) munmap(m->bytes, whole_pages(m->capacity));
    *m = (ls_h5_memory){ .capacity = 0 };
}

ls_status ls_h5_groups_make(hid_t file, const char *path, const char *shown, ls_failure *f)
{
    char above[LS_PATH_BYTES];
    if (snprintf(above, sizeof above, "%s", path) >= LS_PATH_BYTES)
        return ls_failure_set(f, LS_ERR_ARG, "%s: %s is too long", shown, ls_show(path).text);
    hid_t creation = ls_h5_list_new(H5P_GROUP_CREATE);
    for (char *slash = strchr(above + 1, '/'); slash && !f->status;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (H5Lexists(file, above, H5P_DEFAULT) <= 0) {
            hid_t group = H5Gcreate2(file, above, H5P_DEFAULT, creation, H5P_DEFAULT);
            if (group < 0)
                ls_h5_failure(f, LS_ERR_USE, "%s: %s cannot be made", shown, ls_show(above).text);
            ls_h5_close(group);
        }
        *slash = '/';
    }
    ls_h5_close(creation);
    return f->status;
}
