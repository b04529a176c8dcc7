/* stream.c -- a file as a stream of bytes and lines, plain or gzip, which its first two bytes tell.
 *
 * gzip data may follow each other, and zeros may follow them. A file that stops in the middle of them,
 * or goes on with anything else, is an error: half a file must not pass for a whole one, as it does with
 * zlib's own gzread(), which takes what is no gzip data for the end. One buffer holds what was read and
 * not yet taken; it grows where a reader wants more at a time, up to a limit, so that a hostile file
 * without an end of line cannot use up the memory.
 *
 * Called by convert.c and the readers of formats.
 */
#include "cmd/cmd.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define MOST_BYTES ((size_t)64 << 20) /* of a line, or a block */
#define ZLIB_BYTES ((size_t)64 << 10) /* that zlib takes to read a file */
enum { RAW_BYTES = 64 << 10, ANY_WINDOW_OF_GZIP = 15 + 16 };

struct ls_stream {
    const char *path; /* the caller's */
    int file;
    z_stream z; /* its input: what was read and not taken yet, of a plain file too */
    unsigned char raw[RAW_BYTES];
    int64_t taken; /* bytes of the file, with those of the input */
    bool is_gzip, in_member, had_member;
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

/* More of the file into the input, behind what is there; none at its end. */
static ls_status fill(ls_stream *in, ls_failure *f)
{
    ssize_t got;
    memmove(in->raw, in->z.next_in, in->z.avail_in);
    in->z.next_in = in->raw;
    do got = read(in->file, in->raw + in->z.avail_in, RAW_BYTES - in->z.avail_in);
    while (got < 0 && errno == EINTR);
    if (got < 0) return ls_failure_set(f, LS_ERR_IO, "%s: %s", in->path, strerror(errno));
    in->z.avail_in += (unsigned)got;
    in->taken += got;
    return LS_OK;
}

/* A FIFO may give its bytes one by one. */
static ls_status look_for_gzip(ls_stream *in, ls_failure *f)
{
    unsigned before;
    in->z.next_in = in->raw;
    do before = in->z.avail_in;
    while (!fill(in, f) && in->z.avail_in > before && in->z.avail_in < 2);
    in->is_gzip = in->z.avail_in >= 2 && in->raw[0] == 0x1f && in->raw[1] == 0x8b;
    if (f->status || !in->is_gzip) return f->status;
    return inflateInit2(&in->z, ANY_WINDOW_OF_GZIP) == Z_OK ? LS_OK
                                                            : out_of_memory(in, ZLIB_BYTES, f);
}

ls_status ls_stream_open(const char *path, ls_stream **out, ls_failure *f)
{
    struct stat about;
    *out = NULL;
    int file = ls_source_open(path, f);
    if (file < 0) return f->status;
    if (fstat(file, &about)) ls_failure_set(f, LS_ERR_IO, "%s: %s", path, strerror(errno));
    else if (S_ISDIR(about.st_mode)) ls_failure_set(f, LS_ERR_DATA, "%s is a directory", path);
    ls_stream *in = f->status ? NULL : ls_memory_new(sizeof *in);
    if (!in) {
        (void)close(file);
        return f->status ? f->status : ls_failure_memory(f, sizeof *in, "reading %s", path);
    }
    in->path = path;
    in->file = file;
    in->file_bytes = S_ISREG(about.st_mode) ? (int64_t)about.st_size : 0;
    if (!look_for_gzip(in, f)) *out = in;
    else ls_stream_close(in);
    return f->status;
}

/* What is read after gzip data that are whole may be no gzip data at all. */
static ls_status is_damaged(const ls_stream *in, ls_failure *f)
{
    return ls_failure_set(
        f, LS_ERR_DATA,
        in->had_member ? "%s: what follows its first gzip data is cut off, damaged, or no gzip data"
                       : "%s: the gzip data are damaged",
        in->path);
}

/* Before gzip data, which zeros may fill up; without more of them it is the end. */
static void begin_member(ls_stream *in)
{
    while (in->z.avail_in && !*in->z.next_in) {
        in->z.next_in++;
        in->z.avail_in--;
    }
    in->in_member = in->z.avail_in > 0;
}

/* Bytes of the file, unpacked, up to room; *got 0: the end. */
static ls_status unpack(ls_stream *in, char *out, size_t room, size_t *got, ls_failure *f)
{
    in->z.next_out = (unsigned char *)out;
    in->z.avail_out = (unsigned)room;
    for (*got = 0; !*got; *got = room - in->z.avail_out) {
        if (!in->z.avail_in && fill(in, f)) return f->status;
        bool is_end = !in->z.avail_in;
        if (is_end && in->in_member && in->had_member) return is_damaged(in, f);
        if (is_end && in->in_member)
            return ls_failure_set(
                f, LS_ERR_DATA, "%s is cut off: it ends in the middle of its gzip data", in->path);
        if (is_end) return LS_OK;
        if (!in->in_member) begin_member(in);
        if (!in->in_member) continue;
        int code = inflate(&in->z, Z_NO_FLUSH);
        if (code == Z_MEM_ERROR) return out_of_memory(in, ZLIB_BYTES, f);
        if (code != Z_OK && code != Z_STREAM_END) return is_damaged(in, f);
        if (code == Z_STREAM_END) {
            in->in_member = false;
            in->had_member = true;
            (void)inflateReset(&in->z); /* fails only where it was not begun */
        }
    }
    return LS_OK;
}

/* The same of a plain file. */
static ls_status take_plain(ls_stream *in, char *out, size_t room, size_t *got, ls_failure *f)
{
    *got = 0;
    if (!in->z.avail_in && fill(in, f)) return f->status;
    *got = in->z.avail_in < room ? in->z.avail_in : room;
    memcpy(out, in->z.next_in, *got);
    in->z.next_in += *got;
    in->z.avail_in -= (unsigned)*got;
    return LS_OK;
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
        size_t more, room = in->room - in->to;
        if (in->is_gzip ? unpack(in, in->buffer + in->to, room, &more, f)
                        : take_plain(in, in->buffer + in->to, room, &more, f))
            return f->status;
        in->to += more;
        in->ended = more == 0;
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
    int64_t at = in->taken - in->z.avail_in;
    return in->file_bytes > 0 ? (double)at / (double)in->file_bytes : 0;
}

void ls_stream_close(ls_stream *in)
{
    if (!in) return;
    if (in->is_gzip)
        (void)inflateEnd(&in->z); /* what could be wrong with the data, peek has said */
    (void)close(in->file);
    free(in->buffer);
    ls_memory_free(in);
}
