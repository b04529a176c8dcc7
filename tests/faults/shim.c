/* shim.c -- preloaded: the n-th system call on a file of a checkpoint fails, writes less, or is the last.
 *
 *   LS_SHIM=N:KIND LS_SHIM_PATH=TEXT LD_PRELOAD=libshim.so lockstep train ...
 *
 * Counted are open, fallocate, ftruncate, write, pwrite, fsync, close, rename, unlink and mkdir on paths that
 * hold TEXT, and on what was opened under such a path. KIND is kill (before the call), middle (a write is
 * done by half, another call whole, then the process is killed), eio, nospace, full (no space from then on), short (a
 * write is done by half, and says so) or count (nothing happens; the number of calls goes to LS_SHIM_OUT).
 */
#undef _FILE_OFFSET_BITS /* both names of a call are defined here */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { MOST_FILES = 4096 };
static char watched[MOST_FILES];
static long calls;

/* The library's own function. C has no cast from the one kind of pointer to the other. */
typedef void function(void);
static function *next(const char *name)
{
    union {
        void *object;
        function *call;
    } found = { dlsym(RTLD_NEXT, name) };
    return found.call;
}

static int is_ours(const char *path)
{
    const char *text = getenv("LS_SHIM_PATH");
    return path && text && strstr(path, text) != NULL;
}

static int is_watched(int file)
{
    return file >= 0 && file < MOST_FILES && watched[file];
}

typedef enum kind { NONE, KILL, MIDDLE, FAIL, SHORT } kind;

/* What happens to this call; the error in *error. */
static kind turn(int *error)
{
    const char *text = getenv("LS_SHIM"), *what = text ? strchr(text, ':') : NULL;
    long number = text ? strtol(text, NULL, 10) : 0, now = ++calls;
    const char *out = getenv("LS_SHIM_OUT");
    if (!what) return NONE;
    what++;
    if (!strcmp(what, "count") && out) {
        FILE *f = fopen(out, "w");
        if (f) {
            fprintf(f, "%ld\n", now);
            fclose(f);
        }
        return NONE;
    }
    *error = strcmp(what, "eio") ? ENOSPC : EIO;
    if (!strcmp(what, "full")) return now >= number ? FAIL : NONE;
    if (now != number) return NONE;
    return !strcmp(what, "kill")     ? KILL
           : !strcmp(what, "middle") ? MIDDLE
           : !strcmp(what, "short")  ? SHORT
                                     : FAIL;
}

static void die(void)
{
    raise(SIGKILL);
}

/* A call without a size: fails, or dies before or after. */
#define CALL(result, call)                                                                         \
    int error = 0;                                                                                 \
    kind k = turn(&error);                                                                         \
    if (k == KILL) die();                                                                          \
    if (k == FAIL) return errno = error, (result)-1;                                               \
    result got = (call);                                                                           \
    if (k == MIDDLE) die();                                                                        \
    return got

/* A full disk lets files be closed and removed. */
#define FREE_CALL(call)                                                                            \
    int error = 0;                                                                                 \
    kind k = turn(&error);                                                                         \
    if (k == KILL) die();                                                                          \
    int got = (call);                                                                              \
    if (k == MIDDLE) die();                                                                        \
    if (k == FAIL && error == EIO) return errno = error, -1;                                       \
    return got

static int open_it(const char *path, int flags, mode_t mode)
{
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))next("open");
    int file = real(path, flags, mode);
    if (file >= 0 && file < MOST_FILES) watched[file] = (char)is_ours(path);
    return file;
}

int open(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
    va_end(list);
    if (!is_ours(path) || !(flags & (O_CREAT | O_DIRECTORY))) return open_it(path, flags, mode);
    CALL(int, open_it(path, flags, mode));
}

int open64(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
    va_end(list);
    return open(path, flags, mode);
}

int fallocate(int file, int how, off_t at, off_t bytes)
{
    int (*real)(int, int, off_t, off_t) = (int (*)(int, int, off_t, off_t))next("fallocate");
    if (!is_watched(file)) return real(file, how, at, bytes);
    CALL(int, real(file, how, at, bytes));
}

int fallocate64(int file, int how, off64_t at, off64_t bytes)
{
    return fallocate(file, how, at, bytes);
}

static ssize_t write_part(int file, const void *data, size_t bytes, off_t at,
                          ssize_t (*real)(int, const void *, size_t, off_t))
{
    int error = 0;
    kind k = turn(&error);
    if (k == KILL) die();
    if (k == FAIL) return errno = error, -1;
    ssize_t got = real(file, data, k == NONE ? bytes : (bytes + 1) / 2, at);
    if (k == MIDDLE) die();
    return got;
}

ssize_t pwrite(int file, const void *data, size_t bytes, off_t at)
{
    ssize_t (*real)(int, const void *, size_t,
                    off_t) = (ssize_t(*)(int, const void *, size_t, off_t))next("pwrite");
    if (!is_watched(file)) return real(file, data, bytes, at);
    return write_part(file, data, bytes, at, real);
}

ssize_t pwrite64(int file, const void *data, size_t bytes, off64_t at)
{
    return pwrite(file, data, bytes, at);
}

int ftruncate(int file, off_t bytes)
{
    int (*real)(int, off_t) = (int (*)(int, off_t))next("ftruncate");
    if (!is_watched(file)) return real(file, bytes);
    CALL(int, real(file, bytes));
}

int fsync(int file)
{
    int (*real)(int) = (int (*)(int))next("fsync");
    if (!is_watched(file)) return real(file);
    CALL(int, real(file));
}

int close(int file)
{
    int (*real)(int) = (int (*)(int))next("close");
    if (!is_watched(file)) return real(file);
    watched[file] = 0;
    FREE_CALL(real(file));
}

int rename(const char *from, const char *to)
{
    int (*real)(const char *, const char *) = (int (*)(const char *, const char *))next("rename");
    if (!is_ours(to)) return real(from, to);
    CALL(int, real(from, to));
}

int unlink(const char *path)
{
    int (*real)(const char *) = (int (*)(const char *))next("unlink");
    if (!is_ours(path)) return real(path);
    FREE_CALL(real(path));
}

int mkdir(const char *path, mode_t mode)
{
    int (*real)(const char *, mode_t) = (int (*)(const char *, mode_t))next("mkdir");
    if (!is_ours(path)) return real(path, mode);
    CALL(int, real(path, mode));
}

/* Declared here, as the library's header has another kind of pointer for GNU sources. */
int connect(int to, const void *address, unsigned bytes);
int connect(int to, const void *address, unsigned bytes)
{
    static int times;
    const char *rank = getenv("PMIX_RANK"), *wanted = getenv("LS_SHIM_STOP");
    int got = (int)syscall(SYS_connect, to, address, bytes);
    if (rank && wanted && !strcmp(rank, wanted) && times++ == 0) raise(SIGSTOP);
    return got;
}
