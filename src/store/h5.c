/* h5.c -- the one door to HDF5: its mutex, its error text, opening files and datasets.
 *
 * HDF5 may be built without thread safety, and with it is one lock anyway: everything that calls it
 * holds the one mutex here. HDF5 never prints, loads no plugins (code named by a data file),
 * follows no link out of a file, and is shown nothing but regular files with its signature. What
 * the host program set up for HDF5's errors on its thread is put back when we leave.
 *
 * Called by table.c, describe.c, image.c, writer.c. */
#include "store/h5.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_OF(x) #x
#define VERSION(x) TEXT_OF(x)
#define HAS_LOCKING                                                                                \
    (H5_VERSION_GE(1, 12, 1) || (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 12, 0)))

static pthread_mutex_t door = PTHREAD_MUTEX_INITIALIZER;

const char *ls_store_version(void)
{
    return "HDF5 " VERSION(H5_VERS_MAJOR) "." VERSION(H5_VERS_MINOR) "." VERSION(H5_VERS_RELEASE);
}

ls_h5_turn ls_h5_begin(void)
{
    ls_h5_turn before = { false, NULL, NULL };
    (void)pthread_mutex_lock(&door); /* cannot fail: it is initialised, and nobody enters twice */
    /* What fails here fails again in the call that follows, which reports it. */
    before.known = H5Eget_auto2(H5E_DEFAULT, &before.print, &before.data) >= 0;
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    (void)H5PLset_loading_state(0); /* fails where HDF5 was built without plugins */
    return before;
}

bool ls_h5_has_room(ls_failure *f)
{
    enum { LEAST_BYTES = 4 << 20 };
    if (ls_memory_is_there(LEAST_BYTES)) return true;
    ls_failure_memory(f, LEAST_BYTES, "HDF5");
    return false;
}

void ls_h5_end(ls_h5_turn before)
{
    if (before.known) (void)H5Eset_auto2(H5E_DEFAULT, before.print, before.data);
    (void)pthread_mutex_unlock(&door);
}

/* Of "file read failed: time = ..., errno = 5, error message = 'Input/output error', buf = ..." what
 * matters. */
static ls_shown without_numbers(const char *desc)
{
    static const char before[] = "error message = '";
    char text[200];
    const char *colon = strchr(desc, ':'), *error = strstr(desc, before);
    if (!colon || !error) return ls_show(desc);
    error += sizeof before - 1;
    snprintf(text, sizeof text, "%.*s: %.*s", (int)(colon - desc), desc, (int)strcspn(error, "'"),
             error);
    return ls_show(text);
}

static herr_t first_cause(unsigned n, const H5E_error2_t *e, void *cause)
{
    (void)n;
    if (e->desc) *(ls_shown *)cause = without_numbers(e->desc);
    return 1; /* the first is the innermost */
}

static ls_shown cause_now(void)
{
    ls_shown cause = { "" };
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first_cause, &cause);
    return cause;
}

ls_status ls_h5_failure(ls_failure *f, ls_status status, const char *form, ...)
{
    if (f->status) return f->status;
    ls_shown cause = cause_now();
    va_list args;
    va_start(args, form);
    ls_failure_set_v(f, status, form, args);
    va_end(args);
    size_t used = strlen(f->text);
    if (cause.text[0]) snprintf(f->text + used, sizeof f->text - used, ": %s", cause.text);
    return f->status;
}

ls_status ls_h5_failure_memory(ls_failure *f, size_t bytes, const char *what)
{
    return ls_h5_failure(f, LS_ERR_MEMORY, "no memory: %s needs more than %zu bytes", what, bytes);
}

static ls_status status_of(const ls_shown *cause)
{
    return strstr(cause->text, "file read failed") ? LS_ERR_IO : LS_ERR_DATA;
}

ls_status ls_h5_read_status(void)
{
    ls_shown cause = cause_now();
    return status_of(&cause);
}

ls_status ls_h5_failure_damaged(ls_failure *f, const char *shown)
{
    bool is_read = ls_h5_read_status() != LS_ERR_IO;
    return ls_h5_failure(f, is_read ? LS_ERR_DATA : LS_ERR_IO,
                         is_read ? "%s is damaged" : "cannot read %s", shown);
}

void ls_h5_close(hid_t id)
{
    /* An error here could only be one of writing, and files that are written are closed elsewhere.
     */
    if (id >= 0) (void)H5Idec_ref(id);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* HDF5's signature stands at 0 or, after a user block, at a power of two from 512 on. */
static bool has_signature(int fd, const char *path, int64_t bytes, ls_failure *f)
{
    static const char signature[8] = "\211HDF\r\n\032\n";
    char found[8];
    for (int64_t at = 0; at <= bytes - 8; at = at ? 2 * at : 512) {
        if (ls_input_read(fd, path, at, found, sizeof found, f)) return false;
        if (memcmp(found, signature, sizeof found) == 0) return true;
    }
    ls_failure_set(f, LS_ERR_DATA,
                   bytes == 0 ? "%s is empty"
                              : "%s is not an HDF5 file: `lockstep convert` makes one from CSV "
                                "or IDX",
                   ls_show(path).text);
    return false;
}

static hid_t open_file(const char *path, bool locks, ls_shown *cause)
{
    hid_t file = H5I_INVALID_HID, access = H5Pcreate(H5P_FILE_ACCESS);
    /* The rest is HDF5's default, so that a host program may have the file open as well. */
    bool ready = H5Pset_fapl_sec2(access) >= 0;
#if HAS_LOCKING
    ready = ready && H5Pset_file_locking(access, locks, true) >= 0;
#else
    (void)locks;
#endif
    if (ready) file = H5Fopen(path, H5F_ACC_RDONLY, access);
    if (file < 0) *cause = cause_now();
    ls_h5_close(access);
    return file;
}

/* Why no file at all can be opened now, or 0. HDF5's text has the number behind the name, which may be long. */
static int no_more_files(int fd)
{
    int spare = fcntl(fd, F_DUPFD_CLOEXEC, 0), error = spare < 0 ? errno : 0;
    ls_input_close(spare);
    return error;
}

/* Readers share a lock, so that nobody writes meanwhile. A file system without locks is read as
 * well; a lock that another process holds is its word that it is writing. */
static hid_t open_shared(const char *path, int fd, ls_failure *f)
{
    char busy[32];
    ls_shown cause, unlocked;
    hid_t file = open_file(path, true, &cause);
    if (file >= 0) return file;
    snprintf(busy, sizeof busy, "errno = %d,", EAGAIN);
    file = open_file(path, false, &unlocked);
    int error = file < 0 ? no_more_files(fd) : 0;
    if (file >= 0 && !strstr(cause.text, busy)) return file;
    if (file >= 0)
        ls_failure_set(f, LS_ERR_IO, "%s is being written by another process", ls_show(path).text);
    else if (error) ls_input_unopened(path, error, f);
    else
        ls_failure_set(f, status_of(&unlocked),
                       status_of(&unlocked) == LS_ERR_IO ? "cannot read %s: %s"
                                                         : "%s is damaged: %s",
                       ls_show(path).text, unlocked.text);
    ls_h5_close(file);
    return H5I_INVALID_HID;
}

/* HDF5 opened the very file that fd is of: the name may have changed hands in between. */
static bool is_same_file(hid_t file, int fd)
{
    void *handle = NULL;
    struct stat ours, theirs;
    return H5Fget_vfd_handle(file, H5P_DEFAULT, &handle) >= 0 && fstat(fd, &ours) == 0 &&
           fstat(*(int *)handle, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
           ours.st_ino == theirs.st_ino;
}

hid_t ls_h5_open(const char *path, int *fd, int64_t *bytes, ls_failure *f)
{
    *fd = ls_input_open(path, bytes, f);
    if (*fd < 0) return H5I_INVALID_HID;
    hid_t file = H5I_INVALID_HID;
    if (has_signature(*fd, path, *bytes, f)) file = open_shared(path, *fd, f);
    if (file >= 0 && is_same_file(file, *fd)) return file;
    if (file >= 0)
        ls_failure_set(f, LS_ERR_IO, "%s: the file was replaced while it was opened",
                       ls_show(path).text);
    ls_h5_close(file);
    ls_input_close(*fd);
    *fd = -1;
    return H5I_INVALID_HID;
}

/* ---- datasets -------------------------------------------------------------------------------- */

typedef struct outward {
    bool met;
    ls_shown file, object;
} outward;

/* HDF5 calls this where a path leads through an external link, before it opens the other file. */
static herr_t refuse_link(const char *parent_file, const char *parent_group, const char *child_file,
                          const char *child_object, unsigned *flags, hid_t access, void *link)
{
    (void)parent_file, (void)parent_group, (void)flags, (void)access;
    *(outward *)link = (outward){ true, ls_show(child_file), ls_show(child_object) };
    return -1;
}

/* Says what stands where a dataset was looked for; or, of a dataset or a file that could not be read, why. */
static void explain(hid_t file, hid_t access, const char *path, const char *name, ls_failure *f)
{
    ls_shown p = ls_show(path), n = ls_show(name), cause = cause_now();
    ls_status status = status_of(&cause);
    hid_t object = H5Oopen(file, name, access);
    H5I_type_t kind = object >= 0 ? H5Iget_type(object) : H5I_BADID;
    if (kind == H5I_GROUP || kind == H5I_DATATYPE)
        ls_failure_set(f, LS_ERR_DATA, "%s: %s is a %s, not a dataset; the file has %s", p.text,
                       n.text, kind == H5I_GROUP ? "group" : "type",
                       ls_h5_dataset_names(file).text);
    else if (object >= 0 || status == LS_ERR_IO || H5Lexists(file, name, H5P_DEFAULT) > 0)
        ls_failure_set(f, status, "%s: %s cannot be opened: %s", p.text, n.text, cause.text);
    else
        ls_failure_set(f, LS_ERR_DATA, "%s has no dataset %s; it has %s", p.text, n.text,
                       ls_h5_dataset_names(file).text);
    ls_h5_close(object);
}

hid_t ls_h5_dataset_open(hid_t file, const char *path, const char *name, ls_failure *f)
{
    outward link = { .met = false };
    hid_t set = H5I_INVALID_HID, access = H5Pcreate(H5P_DATASET_ACCESS);
    /* No cache of chunks in HDF5: what is worth keeping, table.c keeps. */
    if (H5Pset_elink_cb(access, refuse_link, &link) < 0 || H5Pset_chunk_cache(access, 1, 0, 1) < 0)
        ls_h5_failure_memory(f, sizeof link, ls_show(path).text);
    else if ((set = H5Dopen2(file, name, access)) < 0 && link.met)
        ls_failure_set(f, LS_ERR_DATA,
                       "%s: %s is an external link to %s:%s, which is not followed: name that file",
                       ls_show(path).text, ls_show(name).text, link.file.text, link.object.text);
    else if (set < 0) explain(file, access, path, name, f);
    ls_h5_close(access);
    return set;
}
