/* output.c -- a file that is written under a temporary name, and directories.
 *
 * The temporary file lies in the directory of the final one, so that a rename makes it visible
 * whole or not at all. The order is: reserve the space, write, fsync, close; an fsync is never
 * repeated, because after a failed one the kernel may have dropped the pages that it could not
 * write. Whatever fails removes the file, so that a full disk is not fuller afterwards. Limits on
 * file sizes are looked up beforehand: going over them would end the process by a signal.
 *
 * A file of nobody's else is better without any name until it is whole (O_TMPFILE): then a process that
 * is killed leaves nothing. Some file systems cannot do that (NFS).
 *
 * Called by commit.c and writer.c. */
#include "store/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { HOST_BYTES = 65 };

/* The name of this host as it stands in file names. */
static void host_name(char host[HOST_BYTES])
{
    if (gethostname(host, HOST_BYTES) != 0) strcpy(host, "host");
    host[HOST_BYTES - 1] = '\0';
    for (char *c = host; *c; c++)
        if (*c == '/' || *c == '-' || (unsigned char)*c <= ' ' || *c == 0x7f) *c = '_';
}

ls_status ls_path_join(char path[LS_PATH_BYTES], const char *dir, const char *name, ls_failure *f)
{
    size_t length = strlen(dir);
    const char *slash = length > 0 && dir[length - 1] != '/' ? "/" : "";
    if (snprintf(path, LS_PATH_BYTES, "%s%s%s", dir, slash, name) < LS_PATH_BYTES) return LS_OK;
    path[0] = '\0';
    return ls_failure_set(f, LS_ERR_OUTPUT, "%s: the path is too long", ls_show(dir).text);
}

/* The temporary name, which belongs to this host and process. */
static ls_status temporary(char path[LS_PATH_BYTES], const char *dir, const char *name,
                           ls_failure *f)
{
    char host[HOST_BYTES], file[2 * NAME_MAX];
    host_name(host);
    int length = snprintf(file, sizeof file, ".%s" LS_OUTPUT_MARK "%s-%ld", name, host,
                          (long)getpid());
    path[0] = '\0';
    if (length > NAME_MAX)
        return ls_failure_set(f, LS_ERR_OUTPUT, "%s: the name is too long", ls_show(name).text);
    return ls_path_join(path, dir, file, f);
}

static ls_status begin(ls_output *o, const char *dir, const char *name, const char *what,
                       ls_failure *f)
{
    o->fd = -1;
    o->what = what;
    o->place = ls_show(dir[0] ? dir : ".");
    snprintf(o->dir, sizeof o->dir, "%s", dir[0] ? dir : ".");
    return temporary(o->path, dir, name, f);
}

ls_status ls_output_open(ls_output *o, const char *dir, const char *name, const char *what,
                         ls_failure *f)
{
    if (begin(o, dir, name, what, f)) return f->status;
    for (int tries = 0; tries < 2 && o->fd < 0; tries++) {
        do o->fd = open(o->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        while (o->fd < 0 && errno == EINTR);
        /* A file of this host and this process that we did not make is a dead one's. */
        if (o->fd < 0 && (errno != EEXIST || unlink(o->path) != 0)) break;
    }
    if (o->fd >= 0) return LS_OK;
    o->path[0] = '\0';
    return ls_failure_set(f, LS_ERR_OUTPUT, "%s: a %s cannot be made here: %s", o->place.text, what,
                          strerror(errno));
}

/* Removes what dead processes of this host have left of that name. */
static void remove_stale(const char *dir, const char *name)
{
    char path[LS_PATH_BYTES];
    const size_t length = strlen(name);
    DIR *d = opendir(dir[0] ? dir : ".");
    if (!d) return; /* the opening that follows says why */
    for (struct dirent *e; (e = readdir(d));) {
        ls_failure f = { .status = LS_OK };
        if (e->d_name[0] == '.' && !strncmp(e->d_name + 1, name, length) &&
            ls_output_is_stale(e->d_name + 1 + length) && !ls_path_join(path, dir, e->d_name, &f))
            (void)unlink(path); /* still there, it is only in the way of somebody's eyes */
    }
    (void)closedir(d);
}

/* Whether it can get a name later on. */
static bool can_be_named(int fd)
{
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return access(link, F_OK) == 0;
}

ls_status ls_output_open_nameless(ls_output *o, const char *dir, const char *name, const char *what,
                                  ls_failure *f)
{
    if (begin(o, dir, name, what, f)) return f->status;
    remove_stale(dir, name);
    do o->fd = open(o->dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0666);
    while (o->fd < 0 && errno == EINTR);
    if (o->fd < 0 || !can_be_named(o->fd)) {
        if (o->fd >= 0) (void)close(o->fd);
        return ls_output_open(o, dir, name, what, f);
    }
    strcpy(o->between, o->path); /* the name that it has when it is to replace another */
    o->path[0] = '\0';
    return LS_OK;
}

void ls_output_drop(ls_output *o)
{
    if (o->fd >= 0) (void)close(o->fd); /* given up: its bytes are not wanted */
    if (o->path[0]) (void)unlink(o->path);
    o->fd = -1;
    o->path[0] = '\0';
}

/* Gives the file up because of a system call's error; bytes: its size would have been that. */
static ls_status give_up(ls_output *o, int error, int64_t bytes, ls_failure *f)
{
    ls_shown size = ls_show_size((uint64_t)bytes);
    struct statvfs disk;
    ls_output_drop(o);
    if (error == ENOSPC && statvfs(o->dir, &disk) == 0)
        return ls_failure_set(
            f, LS_ERR_IO,
            "%s: disk full: %s needs %s, %s free; make room, or choose another directory",
            o->place.text, o->what, size.text,
            ls_show_size((uint64_t)disk.f_bavail * disk.f_frsize).text);
    if (error == EDQUOT)
        return ls_failure_set(f, LS_ERR_IO, "%s: disk quota used up: %s needs %s", o->place.text,
                              o->what, size.text);
    if (error == EFBIG)
        return ls_failure_set(f, LS_ERR_IO,
                              "%s: %s needs %s, more than a file may have (ulimit -f)",
                              o->place.text, o->what, size.text);
    return ls_failure_set(f, LS_ERR_IO, "%s: writing a %s failed: %s", o->place.text, o->what,
                          strerror(error));
}

static bool is_within_limit(int64_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
           (rlim_t)bytes <= limit.rlim_cur;
}

ls_status ls_output_reserve(ls_output *o, int64_t bytes, ls_failure *f)
{
    if (!is_within_limit(bytes)) return give_up(o, EFBIG, bytes, f);
    int failed;
    do failed = fallocate(o->fd, 0, 0, (off_t)bytes);
    while (failed && errno == EINTR);
    /* A file system that cannot reserve space finds out while writing. */
    if (!failed || errno == EOPNOTSUPP || errno == ENOSYS) return LS_OK;
    return give_up(o, errno, bytes, f);
}

ls_status ls_output_write(ls_output *o, int64_t at, const void *data, size_t bytes, ls_failure *f)
{
    const char *from = data;
    int64_t end = at + (int64_t)bytes;
    if (!is_within_limit(end)) return give_up(o, EFBIG, end, f);
    while (bytes > 0) {
        ssize_t put = pwrite(o->fd, from, bytes, (off_t)at);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return give_up(o, put < 0 ? errno : ENOSPC, end, f);
        from += put;
        at += put;
        bytes -= (size_t)put;
    }
    return LS_OK;
}

ls_status ls_output_close(ls_output *o, ls_failure *f)
{
    struct stat st;
    if (fstat(o->fd, &st) != 0) return give_up(o, errno, 0, f);
    if (fsync(o->fd) != 0) return give_up(o, errno, (int64_t)st.st_size, f);
    if (!o->path[0]) return LS_OK; /* closed, it would be gone */
    int failed = close(o->fd);
    o->fd = -1;
    /* Interrupted, it is closed all the same, and after an fsync nothing is left to write. */
    return failed && errno != EINTR ? give_up(o, errno, (int64_t)st.st_size, f) : LS_OK;
}

/* Links the file to a name that nobody has; its bytes are on disk. */
static bool link_to(const ls_output *o, const char *path)
{
    char own[32];
    if (o->path[0]) return link(o->path, path) == 0;
    snprintf(own, sizeof own, "/proc/self/fd/%d", o->fd);
    return linkat(AT_FDCWD, own, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0;
}

bool ls_path_is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* To the name that others do not have, from there to the one that is replaced. */
static bool replace(ls_output *o, const char *path)
{
    if (!o->path[0]) {
        (void)unlink(o->between); /* a dead process's, of this number */
        if (!link_to(o, o->between)) return false;
        strcpy(o->path, o->between);
    }
    if (rename(o->path, path) != 0) return false;
    o->path[0] = '\0';
    return true;
}

ls_status ls_output_name(ls_output *o, const char *path, bool replaces, ls_failure *f)
{
    bool is_named = replaces ? replace(o, path) : link_to(o, path);
    int error = errno;
    /* Where a file system has no links, a rename must do. */
    bool no_links = error == EPERM || error == EOPNOTSUPP || error == ENOSYS || error == EMLINK;
    if (!is_named && !replaces && no_links && o->path[0] && !ls_path_is_there(path))
        is_named = replace(o, path);
    bool is_taken = error == EEXIST && ls_path_is_there(path);
    ls_output_drop(o);
    if (is_named) return ls_folder_sync(o->dir, f);
    return ls_failure_set(f, LS_ERR_OUTPUT, "%s cannot be made: %s", ls_show(path).text,
                          is_taken ? "it is there already" : strerror(error));
}

bool ls_output_is_stale(const char *mark)
{
    char host[HOST_BYTES];
    host_name(host);
    size_t length = strlen(LS_OUTPUT_MARK), host_length = strlen(host);
    if (strncmp(mark, LS_OUTPUT_MARK, length) != 0 ||
        strncmp(mark + length, host, host_length) != 0)
        return false;
    const char *digits = mark + length + host_length;
    if (*digits++ != '-' || *digits < '1' || *digits > '9') return false;
    char *end;
    errno = 0;
    long pid = strtol(digits, &end, 10);
    return !errno && !*end && pid <= INT_MAX && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

ls_status ls_folder_sync(const char *dir, ls_failure *f)
{
    if (!dir[0]) dir = ".";
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return ls_failure_set(f, LS_ERR_IO, "%s: cannot open the directory: %s", ls_show(dir).text,
                              strerror(errno));
    /* Some file systems cannot sync a directory; theirs are in order by themselves. */
    if (fsync(fd) != 0 && errno != EINVAL && errno != EROFS)
        ls_failure_set(f, LS_ERR_IO, "%s: syncing the directory failed: %s", ls_show(dir).text,
                       strerror(errno));
    (void)close(fd);
    return f->status;
}

/* The directory above path, in place: "a/b//" becomes "a", "b" becomes "", "/b" becomes "/". */
static void cut_last(char *path)
{
    size_t length = strlen(path);
    while (length > 0 && path[length - 1] == '/') length--;
    while (length > 0 && path[length - 1] != '/') length--;
    while (length > 1 && path[length - 1] == '/') length--;
    path[length] = '\0';
}

ls_status ls_folder_make(const char *dir, ls_failure *f)
{
    char above[LS_PATH_BYTES];
    if (!dir[0]) return LS_OK;
    snprintf(above, sizeof above, "%s", dir);
    cut_last(above);
    int failed = mkdir(dir, 0777);
    if (failed && errno == ENOENT && above[0]) {
        if (ls_folder_make(above, f)) return f->status;
        failed = mkdir(dir, 0777);
    }
    /* The new name is on disk before anything is said to be saved under it. */
    if (!failed) return ls_folder_sync(above, f);
    if (errno == EEXIST) return LS_OK;
    return ls_failure_set(f, LS_ERR_OUTPUT, "%s: the directory cannot be made: %s",
                          ls_show(dir).text, strerror(errno));
}
