/* convert.c -- lockstep convert: CSV and IDX files into HDF5.
 *
 * The root works alone, a block of rows at a time, so that a file may be larger than memory. What
 * it is made from is told by its first bytes. The new file appears under its name when it is whole;
 * what was there before, with --force, stays until then.
 */
#include "cmd/cmd.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AT(member) offsetof(ls_convert, member)
#define OPTION     LS_KEY_OPTION
static const ls_key keys[] = {
    { "SRC", LS_KEY_TEXT, LS_KEY_REQUIRED | LS_KEY_ARGUMENT, AT(source),
      .help = "a CSV file, or the images of an IDX pair; .gz is fine" },
    { "DST.h5", LS_KEY_TEXT, LS_KEY_REQUIRED | LS_KEY_ARGUMENT, AT(target),
      .help = "the HDF5 file to make" },
    { "force", LS_KEY_BOOL, OPTION, AT(force),
      .help = "replaces DST.h5 where it is there already" },
    { "labels", LS_KEY_TEXT, OPTION, AT(labels), .value = "FILE",
      .help = "IDX: the labels; otherwise the file named as SRC, with labels for images" },
    { "y", LS_KEY_TEXT, OPTION, AT(y), .value = "COLUMN",
      .help = "CSV: the targets, by name or number from 1; default the last" },
    { "classes", LS_KEY_BOOL, OPTION, AT(classes),
      .help = "CSV: y holds classes, stored as int64" },
    { "float64", LS_KEY_BOOL, OPTION, AT(float64), .help = "CSV: stores float64, not float32" },
    { "header", LS_KEY_CHOICE, OPTION, AT(header), .standard = "auto", .choices = "auto|yes|no",
      .help = "CSV: whether the first line names columns" },
};
static const ls_schema schema = { keys, sizeof keys / sizeof *keys, sizeof(ls_convert) };

#define BLOCK_BYTES ((size_t)4 << 20)
#define LONGEST_S   (30.0 * 24 * 3600) /* other ranks wait for the root */
static const double shown_every_s = 0.2;

static size_t bytes_of(ls_store_type type)
{
    return type == LS_STORE_U8 ? 1 : type == LS_STORE_F32 ? 4 : 8;
}

static const char *name_of(ls_store_type type)
{
    static const char *const names[] = { "float32", "float64", "uint8", "int64" };
    return names[type];
}

/* ---- what it is made from -------------------------------------------------------------------- */
static ls_status open_source(ls_stream *in, const ls_convert *o, ls_source *out, ls_failure *f)
{
    enum { HEAD = 8 };
    char *data;
    size_t got;
    if (ls_stream_peek(in, HEAD, &data, &got, f)) return f->status;
    if (got == 0) return ls_failure_set(f, LS_ERR_DATA, "%s is empty", o->source);
    if (got > HEAD) got = HEAD;
    bool is_idx = ls_idx_is(data, got);
    if (got == HEAD && !memcmp(data, "\x89HDF\r\n\x1a\n", 8))
        return ls_failure_set(f, LS_ERR_DATA, "%s is an HDF5 file already", o->source);
    if (is_idx && (o->y || o->classes || o->float64 || o->header))
        return ls_failure_set(
            f, LS_ERR_ARG, "%s is an IDX file; --y, --classes, --float64 and --header are for CSV",
            o->source);
    if (is_idx) return ls_idx_open(in, o, out, f);
    if (memchr(data, 0, got))
        return ls_failure_set(f, LS_ERR_DATA,
                              "%s is neither CSV nor IDX: its first bytes are no text and no IDX "
                              "header",
                              o->source);
    if (o->labels)
        return ls_failure_set(
            f, LS_ERR_ARG, "%s is a CSV file; --labels is for IDX, --y names a column", o->source);
    return ls_csv_open(in, o, out, f);
}

/* ---- blocks ---------------------------------------------------------------------------------- */
static void show(const ls_convert *o, const ls_stream *in, double *shown_s)
{
    double now = ls_clock_s();
    if (!isatty(STDERR_FILENO) || now - *shown_s < shown_every_s) return;
    fprintf(stderr, "\rlockstep: %s: %3.0f %%", o->source, 100 * ls_stream_part(in));
    *shown_s = now;
}

static void clear(double shown_s)
{
    if (shown_s > 0) fprintf(stderr, "\r\033[K");
}

/* All rows; how many, 0 after an error. */
static int64_t copy(ls_ctx *ctx, const ls_convert *o, ls_stream *in, ls_source *source,
                    ls_writer *w)
{
    size_t x_bytes = bytes_of(source->x.type), y_bytes = bytes_of(source->y.type);
    int64_t features = source->x.row.dim[0], done = 0, got = 0, block;
    block = (int64_t)(BLOCK_BYTES / ((size_t)features * x_bytes));
    block = block < 1 ? 1 : block > 65536 ? 65536 : block;
    ls_failure f = { 0 };
    double shown_s = 0;
    void *x = ls_new(ctx, (size_t)(block * features) * x_bytes, "a block of rows");
    void *y = ls_new(ctx, (size_t)block * y_bytes, "a block of rows");
    while (x && y && (got = source->rows(source->self, block, x, y, &f)) > 0) {
        if (ls_writer_add(w, got, x, y)) break;
        done += got;
        show(o, in, &shown_s);
    }
    clear(shown_s);
    ls_memory_free(x);
    ls_memory_free(y);
    if (f.status) ls_fail_with(ctx, &f);
    else if (done == 0) ls_fail(ctx, LS_ERR_DATA, "%s holds no rows", o->source);
    return ls_error(ctx) ? 0 : done;
}

/* ---- the new file ---------------------------------------------------------------------------- */
static bool is_file(const struct stat *s, const char *path)
{
    struct stat there;
    return path && !stat(path, &there) && there.st_dev == s->st_dev && there.st_ino == s->st_ino;
}

/* Whether something there is in the way. */
static ls_status look_at_target(const ls_convert *o, ls_failure *f)
{
    struct stat there;
    if (stat(o->target, &there)) return LS_OK;
    if (!S_ISREG(there.st_mode))
        return ls_failure_set(f, LS_ERR_OUTPUT,
                              "%s is there already, and no file that could be replaced", o->target);
    if (is_file(&there, o->source) || is_file(&there, o->labels))
        return ls_failure_set(f, LS_ERR_OUTPUT, "%s is what is to be converted: name another file",
                              o->target);
    if (!o->force)
        return ls_failure_set(f, LS_ERR_OUTPUT, "%s is there already; --force replaces it",
                              o->target);
    return LS_OK;
}

static void convert_from(ls_ctx *ctx, const ls_convert *o, ls_stream *in)
{
    ls_source source = { 0 };
    ls_failure f = { 0 };
    if (!look_at_target(o, &f) && !open_source(in, o, &source, &f)) {
        ls_writer *w = o->force ? ls_writer_replace(ctx, o->target, source.x, source.y)
                                : ls_writer_new(ctx, o->target, source.x, source.y);
        int64_t count = w ? copy(ctx, o, in, &source, w) : 0;
        if (count > 0 && !ls_writer_close(w))
            ls_printf(ctx, "%s: %lld rows, x [%lld] %s, y %s\n", o->target, (long long)count,
                      (long long)source.x.row.dim[0], name_of(source.x.type),
                      name_of(source.y.type));
    }
    if (source.end) source.end(source.self);
    if (f.status) ls_command_fail(ctx, &ls_convert_command, &f);
}

static void run(ls_ctx *ctx, int64_t count, const char *const *words)
{
    ls_convert o;
    ls_stream *in;
    ls_failure f = { 0 };
    ls_arena a = { 0 };
    bool is_fine = !ls_command_words(ctx, &ls_convert_command, count, words, &o, &a) &&
                   !ls_configure(ctx, &(ls_opts){ .deadline_s = LONGEST_S });
    if (is_fine && ls_is_root(ctx)) {
        if (ls_stream_open(o.source, &in, &f)) ls_fail_with(ctx, &f);
        else convert_from(ctx, &o, in);
        ls_stream_close(in);
    }
    ls_arena_free(&a);
}

const ls_command ls_convert_command = {
    "convert",
    "makes an HDF5 dataset file of CSV or IDX files",
    &schema,
    "The rows become /x and /y: of IDX files bytes as they are, flattened, and int64 labels; of "
    "CSV files\n"
    "float32, y being one column.\n",
    run,
};
