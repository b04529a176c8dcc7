/* file.c -- regular files for reading, and how names and sizes stand in messages.
 *
 * What is opened may be anything: a FIFO would block for ever and a device has no size, so a
 * descriptor is opened without waiting and refused by its kind before a byte is read. Names come
 * from users and from files; in messages their control characters are escaped, so that no file can
 * write to a terminal.
 *
 * Called by table.c, commit.c and h5.c. */
#include "store/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_control(const unsigned char *c)
{
    bool in_latin_1 = (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0); /* U+0080 to U+009F in UTF-8 */
    return *c < 0x20 || *c == 0x7f || in_latin_1;
}

/* Appends length bytes of text, escaped, as far as there is room for whole characters. */
static void append(ls_shown *s, const char *text, size_t length)
{
    size_t used = strlen(s->text);
    for (size_t i = 0; i < length; i++) {
        const unsigned char *c = (const unsigned char *)text + i;
        bool escape = is_control(c);
        if (used + (escape ? 4 : 1) >= sizeof s->text) return;
        if (escape) snprintf(s->text + used, 5, "\\x%02x", *c);
        else s->text[used] = (char)*c;
        used += escape ? 4 : 1;
        s->text[used] = '\0';
    }
}

static bool is_inside_character(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

ls_shown ls_show(const char *name)
{
    enum { HEAD = 40, TAIL = 80 };
    ls_shown s = { "" };
    size_t length = strlen(name);
    if (length <= HEAD + TAIL) {
        append(&s, name, length);
        return s;
    }
    size_t head = HEAD, tail = length - TAIL;
    while (head > 0 && is_inside_character(name[head])) head--;
    while (tail < length && is_inside_character(name[tail])) tail++;
    append(&s, name, head);
    append(&s, "...", 3);
    append(&s, name + tail, length - tail);
    return s;
}

ls_shown ls_show_size(uint64_t bytes)
{
    static const char unit[][3] = { "kB", "MB", "GB", "TB", "PB", "EB" };
    ls_shown s;
    if (bytes < 1000) {
        snprintf(s.text, sizeof s.text, "%d bytes", (int)bytes);
        return s;
    }
    double value = (double)bytes / 1000;
    int i = 0;
    while (value >= 999.95 && i < 5) {
        value /= 1000;
        i++;
    }
    snprintf(s.text, sizeof s.text, "%.1f %s", value, unit[i]);
    return s;
}

ls_shown ls_show_shape(int ndim, const int64_t *dim)
{
    ls_shown s = { "[" };
    for (int i = 0; i < ndim; i++) {
        char one[24];
        int length = snprintf(one, sizeof one, "%s%lld", i ? ", " : "", (long long)dim[i]);
        append(&s, one, (size_t)length);
    }
    append(&s, "]", 1);
    return s;
}

static const char *kind_of(mode_t mode)
{
    if (S_ISDIR(mode)) return "a directory";
    if (S_ISFIFO(mode)) return "a FIFO";
    if (S_ISSOCK(mode)) return "a socket";
    return "a device";
}

ls_status ls_input_unopened(const char *path, int error, ls_failure *f)
{
    return ls_failure_set(f, LS_ERR_IO, "cannot open %s: %s%s", ls_show(path).text, strerror(error),
                          error == EMFILE ? "; `ulimit -n` allows more at once, up to `ulimit -Hn`"
                                          : "");
}

int ls_input_open(const char *path, int64_t *bytes, ls_failure *f)
{
    int fd;
    do fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        bool is_missing = errno == ENOENT || errno == ENOTDIR || errno == EACCES ||
                          errno == EPERM || errno == ELOOP || errno == ENAMETOOLONG;
        bool is_special = errno == ENXIO || errno == ENODEV;
        if (!is_missing && !is_special) return ls_input_unopened(path, errno, f), -1;
        ls_failure_set(f, is_missing ? LS_ERR_INPUT : LS_ERR_DATA, "cannot open %s: %s%s",
                       ls_show(path).text, is_special ? "it is no regular file" : strerror(errno),
                       errno == ENOENT && path[0] != '/'
                           ? "; the path counts from the current directory"
                           : "");
        return -1;
    }
    struct stat st;
    if (fstat(fd, &st) != 0) ls_input_unopened(path, errno, f);
    else if (!S_ISREG(st.st_mode))
        ls_failure_set(f, LS_ERR_DATA, "%s is %s: a regular file is needed", ls_show(path).text,
                       kind_of(st.st_mode));
    else {
        *bytes = (int64_t)st.st_size;
        return fd;
    }
    ls_input_close(fd);
    return -1;
}

ls_status ls_input_read(int fd, const char *path, int64_t at, void *out, size_t bytes,
                        ls_failure *f)
{
    char *to = out;
    while (bytes > 0) {
        ssize_t got = pread(fd, to, bytes, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0)
            return ls_failure_set(f, LS_ERR_IO, "cannot read %s at byte %lld: %s",
                                  ls_show(path).text, (long long)at,
                                  got < 0 ? strerror(errno) : "the file has become shorter");
        to += got;
        at += got;
        bytes -= (size_t)got;
    }
    return LS_OK;
}

void ls_input_close(int fd)
{
    if (fd >= 0) (void)close(fd); /* nothing was written: nothing can be lost */
}
