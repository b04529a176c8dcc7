/* stream.c -- a file as a stream of bytes and lines, plain or gzip.
 *
 * zlib reads both alike. What zlib only says at the end, that the file stops in the middle of its
 * gzip data, is an error here: half a file must not pass for a whole one. One buffer holds what was
 * read and not yet taken; it grows where a reader wants more at a time, up to a limit, so that a
 * hostile file without an end of line cannot use up the memory.
 *
 * Called by convert.c and the readers of formats.
 */
#include "cmd/cmd.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#define MOST_BYTES ((size_t)64 << 20) /* of a line, or a block */
#define ZLIB_BYTES ((size_t)64 << 10) /* that zlib takes to read a file */

struct ls_stream {
    const char *path; /* the caller's */
    gzFile gz;
    char *buffer;
    size_t room, from, to; /* bytes from..to are read and not taken */
    bool ended;
    int64_t file_bytes; /* 0: unknown */
};

static ls_status out_of_memory(const ls_stream *in, size_t bytes, ls_failure *f)
{
    return ls_failure_memory(f, bytes, "reading %s", in->path);
}

/* A FIFO that nobody writes is at its end; of one that somebody writes, reading waits. */
int ls_source_open(const char *path, ls_failure *f)
{
    int file = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool is_missing = errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP ||
                      errno == ENAMETOOLONG;
    if (file < 0 || fcntl(file, F_SETFL, 0))
        ls_failure_set(f, file < 0 && is_missing ? LS_ERR_INPUT : LS_ERR_IO, "%s: %s", path,
                       strerror(errno));
    if (file >= 0 && f->status) (void)close(file);
    return f->status ? -1 : file;
}

ls_status ls_stream_open(const char *path, ls_stream **out, ls_failure *f)
{
    struct stat about;
    *out = NULL;
    int file = ls_source_open(path, f);
    if (file < 0) return f->status;
    if (fstat(file, &about)) ls_failure_set(f, LS_ERR_IO, "%s: %s", path, strerror(errno));
    else if (S_ISDIR(about.st_mode)) ls_failure_set(f, LS_ERR_DATA, "%s is a directory", path);
    if (f->status) {
        (void)close(file);
        return f->status;
    }
    ls_stream *in = ls_memory_new(sizeof *in);
    if (!in) {
        (void)close(file);
        return ls_failure_memory(f, sizeof *in, "reading %s", path);
    }
    in->path = path;
    in->file_bytes = S_ISREG(about.st_mode) ? (int64_t)about.st_size : 0;
    in->gz = gzdopen(file, "rb");
    if (!in->gz) {
        (void)close(file);
        ls_memory_free(in);
        return ls_failure_memory(f, ZLIB_BYTES, "reading %s", path);
    }
    *out = in;
    return LS_OK;
}

static ls_status check(ls_stream *in, ls_failure *f)
{
    int code;
    gzerror(in->gz, &code);
    switch (code) {
    case Z_OK:
    case Z_STREAM_END:
        return LS_OK;
    case Z_ERRNO:
        return ls_failure_set(f, LS_ERR_IO, "%s: %s", in->path, strerror(errno));
    case Z_MEM_ERROR:
        return out_of_memory(in, ZLIB_BYTES, f);
    case Z_BUF_ERROR:
        return ls_failure_set(f, LS_ERR_DATA,
                              "%s is cut off: it ends in the middle of its gzip data", in->path);
    default:
        return ls_failure_set(f, LS_ERR_DATA, "%s: the gzip data are damaged", in->path);
    }
}

static ls_status make_room(ls_stream *in, size_t bytes, ls_failure *f)
{
    if (in->from > 0) {
        memmove(in->buffer, in->buffer + in->from, in->to - in->from);
        in->to -= in->from;
        in->from = 0;
    }
    if (bytes <= in->room) return LS_OK;
    size_t room = in->room ? in->room : (size_t)1 << 18;
    while (room < bytes) room *= 2;
    char *grown = realloc(in->buffer, room);
    if (!grown) return out_of_memory(in, room, f);
    in->buffer = grown;
    in->room = room;
    return LS_OK;
}

ls_status ls_stream_peek(ls_stream *in, size_t bytes, char **data, size_t *got, ls_failure *f)
{
    *data = NULL;
    *got = 0;
    if (bytes > in->to - in->from && !in->ended && make_room(in, bytes, f)) return f->status;
    while (in->to - in->from < bytes && !in->ended) {
        int read = gzread(in->gz, in->buffer + in->to, (unsigned)(in->room - in->to));
        if (read > 0) in->to += (size_t)read;
        in->ended = read <= 0;
        if (in->ended && check(in, f)) return f->status;
    }
    *data = in->buffer + in->from;
    *got = in->to - in->from;
    return LS_OK;
}

void ls_stream_take(ls_stream *in, size_t bytes)
{
    in->from += bytes;
}

ls_status ls_stream_line(ls_stream *in, char **line, size_t *bytes, ls_failure *f)
{
    size_t got, want = 4096, searched = 0;
    char *end = NULL;
    do {
        if (ls_stream_peek(in, want, line, &got, f)) return f->status;
        end = got > searched ? memchr(*line + searched, '\n', got - searched) : NULL;
        searched = got;
        want = 2 * got;
        if (!end && got >= MOST_BYTES)
            return ls_failure_set(f, LS_ERR_DATA, "%s: a line is longer than %zu bytes", in->path,
                                  MOST_BYTES);
    } while (!end && !in->ended);
    if (!end && got == 0) {
        *line = NULL;
        return LS_OK;
    }
    if (!end) { /* the last line, without an end: make room for a zero byte */
        if (make_room(in, got + 1, f)) return f->status;
        *line = in->buffer + in->from;
        end = *line + got;
    }
    *bytes = (size_t)(end - *line);
    ls_stream_take(in, *bytes + (*bytes < got));
    if (*bytes > 0 && end[-1] == '\r') --*bytes;
    (*line)[*bytes] = 0;
    return LS_OK;
}

double ls_stream_part(const ls_stream *in)
{
    int64_t at = gzoffset(in->gz);
    return in->file_bytes > 0 && at > 0 ? (double)at / (double)in->file_bytes : 0;
}

void ls_stream_close(ls_stream *in)
{
    if (!in) return;
    gzclose_r(in->gz); /* what could be wrong with the data, peek has said */
    free(in->buffer);
    ls_memory_free(in);
}
