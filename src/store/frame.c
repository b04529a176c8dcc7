/* frame.c -- a dataset file without its values: all that HDF5 writes around them.
 *
 * HDF5 is given a driver whose files are made of two blocks of memory: the head, where its metadata
 * begin, and the tail, for what does not fit there, which is the index of chunks. Between them lies
 * the room of the values. The driver says where things go, so that values come one after the other in
 * the order in which they are put, and drops what HDF5 writes there: somebody else has written it.
 *
 * The format is the newest of HDF5 1.10, whatever the version of the library: all of its metadata,
 * the index of chunks included, have checksums. No object carries times.
 *
 * Called by writer.c. */
#include "store/h5.h"
#include <stdlib.h>
#include <string.h>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

typedef struct open_file {
    H5FD_t base; /* HDF5's own part, in front */
    ls_h5_frame *frame;
} open_file;

static ls_h5_frame *frame_of(const H5FD_t *file)
{
    return ((const open_file *)file)->frame;
}

static uint64_t end_of(const ls_h5_frame *fr)
{
    return (uint64_t)fr->tail_at + fr->tail_bytes;
}

/* The memory of bytes of metadata, or NULL. */
static uint8_t *memory_of(ls_h5_frame *fr, haddr_t at, size_t bytes)
{
    uint64_t tail = (uint64_t)fr->tail_at;
    if (at <= LS_FRAME_HEAD && bytes <= LS_FRAME_HEAD - at) return fr->head + at;
    if (at >= tail && at <= end_of(fr) && bytes <= end_of(fr) - at) return fr->tail + (at - tail);
    return NULL;
}

/* ---- the driver ------------------------------------------------------------------------------ */

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t most)
{
    (void)name, (void)most;
    ls_h5_frame *const *frame = H5Pget_driver_info(access);
    if (!(flags & H5F_ACC_CREAT) || !frame) return NULL;
    open_file *file = calloc(1, sizeof *file);
    if (!file) return NULL;
    file->frame = *frame;
    return &file->base;
}

static herr_t driver_close(H5FD_t *file)
{
    free(file);
    return 0;
}

static herr_t driver_query(const H5FD_t *file, unsigned long *flags)
{
    (void)file;
    *flags = 0;
    return 0;
}

static haddr_t driver_alloc(H5FD_t *file, H5FD_mem_t type, hid_t transfer, hsize_t bytes)
{
    (void)transfer;
    ls_h5_frame *fr = frame_of(file);
    if (type == H5FD_MEM_DRAW) {
        haddr_t at = (haddr_t)fr->values_at;
        fr->values_at += (int64_t)bytes;
        return at;
    }
    if (bytes <= LS_FRAME_HEAD - fr->head_used) {
        fr->head_used += bytes;
        return fr->head_used - bytes;
    }
    if (bytes > PTRDIFF_MAX - fr->tail_bytes) return HADDR_UNDEF;
    uint8_t *tail = realloc(fr->tail, fr->tail_bytes + bytes);
    if (!tail) return HADDR_UNDEF;
    memset(tail + fr->tail_bytes, 0, bytes);
    fr->tail = tail;
    fr->tail_bytes += bytes;
    return end_of(fr) - bytes;
}

static herr_t driver_free(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t at, hsize_t bytes)
{
    (void)file, (void)type, (void)transfer, (void)at, (void)bytes;
    return 0; /* what was given up stays as a gap of zeros */
}

static haddr_t driver_end(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    const ls_h5_frame *fr = frame_of(file);
    return fr->head_used ? end_of(fr) : 0; /* 0: a new file */
}

static herr_t driver_set_end(H5FD_t *file, H5FD_mem_t type, haddr_t at)
{
    (void)file, (void)type, (void)at;
    return 0;
}

static herr_t driver_read(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t bytes,
                          void *out)
{
    (void)transfer;
    const uint8_t *from = type == H5FD_MEM_DRAW ? NULL : memory_of(frame_of(file), at, bytes);
    if (!from) return -1;
    memcpy(out, from, bytes);
    return 0;
}

static herr_t driver_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t bytes,
                           const void *data)
{
    (void)transfer;
    if (type == H5FD_MEM_DRAW) return 0;
    uint8_t *to = memory_of(frame_of(file), at, bytes);
    if (!to) return -1;
    memcpy(to, data, bytes);
    return 0;
}

static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 13, 2)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)(H5_VFD_RESERVED + 77), /* any that nobody else has */
#endif
    .name = "lockstep frame",
    .maxaddr = (haddr_t)INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(ls_h5_frame *),
    .open = driver_open,
    .close = driver_close,
    .query = driver_query,
    .alloc = driver_alloc,
    .free = driver_free,
    .get_eoa = driver_end,
    .set_eoa = driver_set_end,
    .get_eof = driver_end,
    .read = driver_read,
    .write = driver_write,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

/* ---- frames ---------------------------------------------------------------------------------- */

hid_t ls_h5_frame_new(ls_h5_frame *fr, int64_t value_bytes, ls_failure *f)
{
    *fr = (ls_h5_frame){ .values_at = LS_FRAME_HEAD, .tail_at = LS_FRAME_HEAD + value_bytes };
    fr->head = calloc(1, LS_FRAME_HEAD);
    hid_t file = H5I_INVALID_HID, access = H5Pcreate(H5P_FILE_ACCESS),
          creation = ls_h5_list_new(H5P_FILE_CREATE);
    fr->driver = H5FDregister(&driver);
    if (fr->head && H5Pset_driver(access, fr->driver, &fr) >= 0 &&
        H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0)
        file = H5Fcreate("frame", H5F_ACC_TRUNC, creation, access);
    if (file < 0) ls_h5_failure_memory(f, LS_FRAME_HEAD, "an HDF5 file");
    ls_h5_close(creation);
    ls_h5_close(access);
    return file;
}

ls_status ls_h5_frame_finish(ls_h5_frame *fr, hid_t file, ls_failure *f)
{
    if (H5Fclose(file) < 0)
        return ls_h5_failure_memory(f, LS_FRAME_HEAD + fr->tail_bytes, "an HDF5 file");
    if (fr->values_at != fr->tail_at)
        return ls_failure_set(f, LS_ERR_USE, "this HDF5 lays files out in an unknown way");
    return f->status;
}

void ls_h5_frame_free(ls_h5_frame *fr)
{
    if (fr->driver > 0) (void)H5FDunregister(fr->driver);
    free(fr->head);
    free(fr->tail);
    *fr = (ls_h5_frame){ .driver = H5I_INVALID_HID };
}
