/* commit.c -- checkpoints on disk: user block, digest, temporary file, rename; loading; listing.
 *
 * A file named NAME-<step>.h5 is whole: it got that name by a rename after all its bytes were on
 * disk. A user block of 512 bytes in front of the HDF5 data tells what is no more so: it names the
 * length and the SHA-256 of all bytes after it, and ends with a CRC of itself. Nothing of a
 * checkpoint reaches HDF5 before all three are right, because HDF5 trusts what it reads.
 *
 * The block: "LOCKSTEP", version (4 bytes), 4 zeros, total length (8), step (8), SHA-256 (32),
 * zeros, CRC-32 of what comes before it (4); least byte first.
 *
 * Called by train, on the rank that writes. */
#include "base/config.h"
#include "store/h5.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAST_STEP INT64_C(999999999999)
#define SUFFIX    ".h5"
enum { DIGITS = 12, VERSION = 1 };
enum { AT_VERSION = 8, AT_LENGTH = 16, AT_STEP = 24, AT_DIGEST = 32, AT_CRC = LS_IMAGE_BLOCK - 4 };
static const char magic[8] = "LOCKSTEP";

/* ---- names ----------------------------------------------------------------------------------- */

/* Where the digits of a step begin in NAME-<digits>rest; NULL. */
static const char *digits_in(const char *file, const char *name)
{
    size_t length = strlen(name);
    if (strncmp(file, name, length) != 0 || file[length] != '-') return NULL;
    const char *digits = file + length + 1;
    return strspn(digits, "0123456789") == DIGITS ? digits : NULL;
}

/* The step of a checkpoint of that name, NULL any, or -1. */
static int64_t step_of(const char *file, const char *name)
{
    enum { TAIL = 1 + DIGITS + sizeof SUFFIX - 1 };
    size_t length = strlen(file);
    if (length <= TAIL || file[0] == '.' || (name && length != strlen(name) + TAIL)) return -1;
    char own[LS_PATH_BYTES];
    if (length >= sizeof own) return -1;
    memcpy(own, file, length - TAIL);
    own[length - TAIL] = '\0';
    const char *digits = digits_in(file, name ? name : own);
    if (!digits || strcmp(digits + DIGITS, SUFFIX) != 0) return -1;
    return strtoll(digits, NULL, 10);
}

/* NAME-<step>.h5, or without suffix, into file. */
static ls_status name_file(char file[LS_PATH_BYTES], const char *name, int64_t step,
                           const char *suffix, ls_failure *f)
{
    if (ls_name_fault(name))
        return ls_failure_set(f, LS_ERR_ARG, "\"%s\" cannot be the name of a checkpoint: it %s",
                              ls_show(name).text, ls_name_fault(name));
    if (step < 0 || step > LAST_STEP)
        return ls_failure_set(f, LS_ERR_ARG, "a checkpoint cannot be of step %lld",
                              (long long)step);
    snprintf(file, LS_PATH_BYTES, "%s-%0*lld%s", name, DIGITS, (long long)step, suffix);
    return LS_OK;
}

/* ---- the block ------------------------------------------------------------------------------- */

static void store(uint8_t *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t load(const uint8_t *from, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) value = value << 8 | from[i];
    return value;
}

static void digest_of(const uint8_t *bytes, size_t length, uint8_t digest[32])
{
    ls_sha256 s;
    ls_sha256_begin(&s);
    ls_sha256_add(&s, bytes + LS_IMAGE_BLOCK, length - LS_IMAGE_BLOCK);
    ls_sha256_end(&s, digest);
}

static void fill_block(const ls_image *m, uint8_t *block, size_t length, int64_t step)
{
    ls_sha256 s;
    const uint8_t *bytes;
    memset(block, 0, LS_IMAGE_BLOCK);
    memcpy(block, magic, sizeof magic);
    store(block + AT_VERSION, VERSION, 4);
    store(block + AT_LENGTH, length, 8);
    store(block + AT_STEP, (uint64_t)step, 8);
    ls_sha256_begin(&s);
    for (size_t at = LS_IMAGE_BLOCK, run; at < length; at += run) {
        run = ls_image_run(m, at, &bytes);
        ls_sha256_add(&s, bytes, run);
    }
    ls_sha256_end(&s, block + AT_DIGEST);
    store(block + AT_CRC, ls_crc32(0, block, AT_CRC), 4);
}

static ls_status check_block(const uint8_t block[LS_IMAGE_BLOCK], const char *path, int64_t bytes,
                             ls_failure *f)
{
    if (memcmp(block, magic, sizeof magic) != 0)
        return ls_failure_set(f, LS_ERR_DATA, "%s is not a lockstep checkpoint",
                              ls_show(path).text);
    if (load(block + AT_CRC, 4) != ls_crc32(0, block, AT_CRC))
        return ls_failure_set(f, LS_ERR_DATA,
                              "%s is damaged: the checksum of its first block differs",
                              ls_show(path).text);
    if (load(block + AT_VERSION, 4) != VERSION)
        return ls_failure_set(
            f, LS_ERR_DATA, "%s has checkpoint format %u, this lockstep reads %d: use a newer one",
            ls_show(path).text, (unsigned)load(block + AT_VERSION, 4), VERSION);
    if (load(block + AT_LENGTH, 8) != (uint64_t)bytes)
        return ls_failure_set(f, LS_ERR_DATA, "%s is damaged: it has %lld bytes instead of %llu",
                              ls_show(path).text, (long long)bytes,
                              (unsigned long long)load(block + AT_LENGTH, 8));
    return LS_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static ls_status write_all(const ls_image *m, size_t length, ls_output *o, ls_failure *f)
{
    const uint8_t *bytes;
    for (size_t at = 0, run; at < length && !f->status; at += run) {
        run = ls_image_run(m, at, &bytes);
        ls_output_write(o, (int64_t)at, bytes, run, f);
    }
    return f->status;
}

/* Removes what processes that were killed left of this name. */
static void remove_stale(const char *dir, const char *name)
{
    char path[LS_PATH_BYTES];
    ls_failure f = { .status = LS_OK };
    DIR *d = opendir(dir[0] ? dir : ".");
    if (!d) return; /* the writing that follows says why */
    for (struct dirent *e; (e = readdir(d));) {
        const char *digits = e->d_name[0] == '.' ? digits_in(e->d_name + 1, name) : NULL;
        if (digits && ls_output_is_stale(digits + DIGITS) &&
            ls_path_join(path, dir, e->d_name, &f) == LS_OK)
            (void)unlink(path); /* still there, it is only in the way of somebody's eyes */
    }
    (void)closedir(d);
}

int64_t ls_checkpoint_clean(const char *dir)
{
    char path[LS_PATH_BYTES];
    int64_t count = 0;
    ls_failure f = { .status = LS_OK };
    DIR *d = opendir(dir[0] ? dir : ".");
    if (!d) return 0;
    for (struct dirent *e; (e = readdir(d));) {
        const char *mark = strstr(e->d_name, LS_OUTPUT_MARK);
        if (e->d_name[0] != '.' || !mark || mark - e->d_name <= DIGITS + 1) continue;
        const char *digits = mark - DIGITS;
        if (digits[-1] != '-' || strspn(digits, "0123456789") != DIGITS) continue;
        if (!ls_path_join(path, dir, e->d_name, &f) && !unlink(path)) count++;
    }
    (void)closedir(d);
    return count;
}

ls_status ls_checkpoint_write(ls_image *m, const char *dir, const char *name, int64_t step,
                              char *temporary, size_t temporary_bytes, ls_failure *f)
{
    char file[LS_PATH_BYTES];
    ls_output o;
    uint8_t *block;
    size_t length;
    temporary[0] = '\0';
    if (name_file(file, name, step, "", f) || ls_image_finish(m, &block, &length, f) ||
        ls_folder_make(dir, f))
        return f->status;
    remove_stale(dir, name);
    fill_block(m, block, length, step);
    if (ls_output_open(&o, dir, file, "checkpoint", f)) return f->status;
    if (strlen(o.path) >= temporary_bytes) {
        ls_output_drop(&o);
        return ls_failure_set(f, LS_ERR_OUTPUT, "%s: the path is too long", ls_show(dir).text);
    }
    if (ls_output_reserve(&o, (int64_t)length, f)) return f->status;
    if (ls_fault_fail(LS_FAULT_save_write, f)) ls_output_drop(&o);
    if (f->status || write_all(m, length, &o, f)) return f->status;
    if (ls_fault_fail(LS_FAULT_save_sync, f)) ls_output_drop(&o);
    if (f->status || ls_output_close(&o, f)) return f->status;
    strcpy(temporary, o.path);
    return LS_OK;
}

void ls_checkpoint_drop(const char *temporary)
{
    if (temporary[0]) (void)unlink(temporary);
}

/* Removes the oldest of name, all but keep; never the one of that file name. An old file too many
 * is no reason to stop: what cannot be removed is tried again next time. */
static void prune(const char *dir, const char *name, const char *file, int64_t keep)
{
    ls_failure f = { .status = LS_OK };
    char **paths, newest[LS_PATH_BYTES];
    int64_t count, kept = 1; /* the newest */
    if (ls_path_join(newest, dir, file, &f) || ls_checkpoint_list(dir, name, &count, &paths, &f))
        return;
    for (int64_t i = 0; i < count; i++) {
        if (strcmp(paths[i], newest) == 0) continue;
        if (kept < keep) kept++;
        else (void)unlink(paths[i]);
    }
    ls_checkpoint_list_free(count, paths);
}

ls_status ls_checkpoint_commit(const char *temporary, const char *dir, const char *name,
                               int64_t step, int64_t keep, ls_failure *f)
{
    char file[LS_PATH_BYTES], path[LS_PATH_BYTES];
    if (name_file(file, name, step, SUFFIX, f) || ls_path_join(path, dir, file, f))
        return f->status;
    if (ls_fault_fail(LS_FAULT_save_name, f)) {
        ls_checkpoint_drop(temporary);
        return f->status;
    }
    if (rename(temporary, path) != 0) {
        ls_failure_set(f, LS_ERR_IO, "%s: the checkpoint cannot get its name: %s",
                       ls_show(path).text, strerror(errno));
        ls_checkpoint_drop(temporary);
        return f->status;
    }
    if (ls_folder_sync(dir, f)) return f->status;
    if (keep > 0) prune(dir, name, file, keep);
    return LS_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The whole file, sound, in memory->bytes. */
static ls_status load_file(int fd, const char *path, int64_t bytes, ls_h5_memory *memory,
                           ls_failure *f)
{
    uint8_t block[LS_IMAGE_BLOCK], digest[32];
    if (bytes <= LS_IMAGE_BLOCK)
        return ls_failure_set(f, LS_ERR_DATA, "%s is not a lockstep checkpoint",
                              ls_show(path).text);
    if (ls_input_read(fd, path, 0, block, sizeof block, f) || check_block(block, path, bytes, f))
        return f->status;
    if (!ls_h5_memory_take(memory, (size_t)bytes))
        return ls_failure_memory(f, (size_t)bytes, "reading %s", ls_show(path).text);
    if (ls_input_read(fd, path, 0, memory->bytes, memory->capacity, f)) return f->status;
    digest_of(memory->bytes, memory->capacity, digest);
    if (memcmp(memory->bytes, block, sizeof block) != 0 ||
        memcmp(digest, block + AT_DIGEST, sizeof digest) != 0)
        return ls_failure_set(f, LS_ERR_DATA, "%s is damaged: its SHA-256 differs",
                              ls_show(path).text);
    return LS_OK;
}

ls_status ls_checkpoint_read(const char *path, ls_image **out, int64_t *step, uint8_t digest[32],
                             ls_failure *f)
{
    ls_h5_memory memory = { .capacity = 0 };
    int64_t bytes;
    *out = NULL;
    int fd = ls_input_open(path, &bytes, f);
    if (fd < 0) return f->status;
    ls_status status = load_file(fd, path, bytes, &memory, f);
    ls_input_close(fd);
    if (status) {
        ls_h5_memory_free(&memory);
        return status;
    }
    *step = (int64_t)load(memory.bytes + AT_STEP, 8);
    memcpy(digest, memory.bytes + AT_DIGEST, 32);
    *out = ls_image_open(&memory, memory.capacity, path, f);
    return f->status;
}

bool ls_is_checkpoint(const char *path)
{
    ls_failure f = { .status = LS_OK };
    char begin[sizeof magic];
    int64_t bytes;
    int fd = ls_input_open(path, &bytes, &f);
    if (fd < 0) return false;
    bool is_one = bytes >= (int64_t)sizeof begin &&
                  ls_input_read(fd, path, 0, begin, sizeof begin, &f) == LS_OK &&
                  memcmp(begin, magic, sizeof magic) == 0;
    ls_input_close(fd);
    return is_one;
}

/* ---- listing --------------------------------------------------------------------------------- */

static const char *file_in(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int newest_first(const void *a, const void *b)
{
    const char *l = file_in(*(char *const *)a), *r = file_in(*(char *const *)b);
    int64_t left = step_of(l, NULL), right = step_of(r, NULL);
    return left != right ? (left < right ? 1 : -1) : strcmp(l, r);
}

/* Makes room for one more. */
static bool make_room(int64_t count, char ***paths)
{
    if (count & (count - 1)) return true; /* room doubles where count is a power of two */
    char **more = ls_memory_new((size_t)(count ? 2 * count : 1) * sizeof *more);
    if (!more) return false;
    if (count) memcpy(more, *paths, (size_t)count * sizeof *more);
    ls_memory_free(*paths);
    *paths = more;
    return true;
}

ls_status ls_checkpoint_list(const char *dir, const char *name, int64_t *count, char ***paths,
                             ls_failure *f)
{
    *count = 0;
    *paths = NULL;
    DIR *d = opendir(dir[0] ? dir : ".");
    if (!d && errno == ENOENT) return LS_OK;
    if (!d)
        return ls_failure_set(f, LS_ERR_INPUT, "%s: cannot read the directory: %s",
                              ls_show(dir).text, strerror(errno));
    for (struct dirent *e; !f->status;) {
        char path[LS_PATH_BYTES], *copy;
        errno = 0;
        e = readdir(d);
        if (!e && errno)
            ls_failure_set(f, LS_ERR_IO, "%s: cannot read the directory: %s", ls_show(dir).text,
                           strerror(errno));
        if (!e) break;
        if (step_of(e->d_name, name) < 0 || ls_path_join(path, dir, e->d_name, f)) continue;
        if (make_room(*count, paths) && (copy = ls_memory_new(strlen(path) + 1)))
            (*paths)[(*count)++] = strcpy(copy, path);
        else
            ls_failure_memory(f, (size_t)(*count + 1) * sizeof *paths + strlen(path) + 1,
                              "the list of %s", ls_show(dir).text);
    }
    (void)closedir(d);
    if (!f->status && *count) qsort(*paths, (size_t)*count, sizeof **paths, newest_first);
    if (f->status) {
        ls_checkpoint_list_free(*count, *paths);
        *count = 0;
        *paths = NULL;
    }
    return f->status;
}

void ls_checkpoint_list_free(int64_t count, char **paths)
{
    for (int64_t i = 0; i < count; i++) ls_memory_free(paths[i]);
    ls_memory_free(paths);
}
