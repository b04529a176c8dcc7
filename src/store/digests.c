/* digests.c -- what every chunk of a dataset file of ours held when it was written.
 *
 * fletcher32 cannot tell 0 from 65535 in a word, takes a block of zeros for sound, and knows nothing of
 * chunks that change places. So each dataset has an attribute of unsigned integers of 64 bits: the rows of a
 * chunk, and for each chunk ls_digest64() of the rows in it, from seed 0. Where chunks have other sizes, as
 * after h5repack, the attribute says nothing.
 *
 * Called by writer.c and table.c. */
#include "store/table.h"
#include <string.h>

#define NAME "chunk_digests"

ls_status ls_digests_put(hid_t set, int64_t chunk_rows, int64_t count, const uint64_t *digest,
                         ls_failure *f)
{
    const size_t bytes = (size_t)(count + 1) * sizeof(uint64_t);
    uint64_t *all = ls_memory_new(bytes);
    if (!all) return ls_failure_memory(f, bytes, "writing a dataset");
    all[0] = (uint64_t)chunk_rows;
    memcpy(all + 1, digest, (size_t)count * sizeof *all);
    hid_t space = H5Screate_simple(1, (hsize_t[]){ (hsize_t)count + 1 }, NULL);
    hid_t a = H5Acreate2(set, NAME, H5T_STD_U64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    if (a < 0 || H5Awrite(a, H5T_NATIVE_UINT64, all) < 0)
        ls_h5_failure(f, LS_ERR_USE, "attribute " NAME " cannot be made");
    ls_h5_close(a);
    ls_h5_close(space);
    ls_memory_free(all);
    return f->status;
}

ls_status ls_digests_get(ls_table *t, ls_failure *f)
{
    const ls_table_info *about = &t->layout.about;
    if (!about->chunk_rows || !about->rows || H5Aexists(t->set, NAME) <= 0) return LS_OK;
    int64_t count = (about->rows - 1) / about->chunk_rows + 1;
    hid_t a = H5Aopen(t->set, NAME, H5P_DEFAULT), space = H5Aget_space(a);
    if (H5Sget_simple_extent_npoints(space) == count + 1) {
        const size_t bytes = (size_t)(count + 1) * sizeof *t->digests;
        t->digests = ls_memory_new(bytes);
        if (!t->digests) ls_failure_memory(f, bytes, "opening %s", ls_show(t->path).text);
        else if (H5Aread(a, H5T_NATIVE_UINT64, t->digests) < 0)
            ls_h5_failure_damaged(f, ls_show(t->path).text);
        else if (t->digests[0] != (uint64_t)about->chunk_rows) {
            ls_memory_free(t->digests);
            t->digests = NULL;
        }
    }
    ls_h5_close(space);
    ls_h5_close(a);
    return f->status;
}

ls_status ls_digests_check(const ls_table *t, int64_t first, const uint8_t *rows, ls_failure *f)
{
    const ls_table_info *about = &t->layout.about;
    int64_t count = about->rows - first;
    if (count > about->chunk_rows) count = about->chunk_rows;
    if (!t->digests || ls_digest64(0, rows, (size_t)count * about->row_bytes) ==
                           t->digests[1 + first / about->chunk_rows])
        return LS_OK;
    return ls_failure_set(
        f, LS_ERR_DATA,
        "%s: %s is damaged in rows %lld to %lld: they are not what was written (where they "
        "were changed on purpose, remove its attribute " NAME ")",
        ls_show(t->path).text, ls_show(t->name).text, (long long)first,
        (long long)(first + count - 1));
}
