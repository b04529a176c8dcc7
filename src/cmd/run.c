/* run.c -- what a run is configured with, the same on every rank.
 *
 * Only the root reads the configuration file, the environment and the command line. It sends them
 * to the others as they are, and every rank resolves them by itself: the same bytes by the same
 * rules, so all ranks hold the same settings, or find the same error at the same line, whatever
 * files and variables their own machines have.
 *
 * Called by train.c and which.c; eval.c reads the settings that a checkpoint holds.
 */
#include "cmd/cmd.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of the run, which is what its checkpoints are called. */
static ls_status check_name(const char *path, ls_arena *a, ls_failure *f)
{
    char quoted[LS_QUOTE_CHARS];
    const char *name = ls_stem(path, a, f);
    if (!name || !ls_name_fault(name)) return f->status;
    return ls_failure_set(f, LS_ERR_ARG,
                          "%s: its stem, by which checkpoints are called, %s: rename the file",
                          ls_quote(path, quoted), ls_name_fault(name));
}

ls_status ls_config_resolve(ls_settings *s, const ls_inputs *in, ls_failure *f)
{
    ls_yaml *root;
    if (ls_yaml_parse(in->path, in->text, in->bytes, s->arena, &root, f)) return f->status;
    if (root->kind != LS_YAML_MAP)
        return ls_complain(f, LS_ERR_CONFIG, &root->at,
                           "a configuration is keys and values, as seed: 1");
    if (ls_settings_file(s, root, f) || ls_settings_environment(s, in->environment, f) ||
        ls_settings_flags(s, in->count, in->words, f) || ls_settings_complete(s, 0, root, f))
        return f->status;
    ls_config *c = s->values;
    if (c->stop_before && !ls_text_seconds(c->stop_before, &c->stop_before_s)) {
        char quoted[LS_QUOTE_CHARS];
        return ls_failure_set(
            f, LS_ERR_ARG,
            "--stop-before must be a time above 0, as 3600, 90m, 12h or 1:30:00, not "
            "%s",
            ls_quote(c->stop_before, quoted));
    }
    return check_name(c->path, s->arena, f) ? f->status : ls_config_check(s, f);
}

ls_status ls_config_stored(ls_settings *s, const char *from, const char *text, ls_failure *f)
{
    ls_yaml *root;
    if (ls_yaml_parse(from, text, strlen(text), s->arena, &root, f) || ls_settings_file(s, root, f))
        return f->status;
    return ls_settings_complete(s, LS_KEY_NUMBERS, root, f);
}

/* ---- reading, on the root -------------------------------------------------------------------- */
/* What a stream has collected, kept; NULL: it could not. The stream is closed. */
static char *keep(FILE *out, char **made, const size_t *bytes, ls_arena *a, ls_failure *f)
{
    char *kept = NULL;
    bool is_bad = !out || ferror(out);
    if (out && !fclose(out) && !is_bad) kept = ls_text_keep(a, *made, *bytes, f);
    free(*made);
    return kept;
}

/* As much as is too long, and no more. */
static ls_status read_file(const char *path, ls_arena *a, const char **text, size_t *bytes,
                           ls_failure *f)
{
    char piece[4096], *made = NULL;
    size_t total = 0;
    int file = ls_source_open(path, f);
    if (file < 0) return f->status;
    FILE *out = open_memstream(&made, bytes);
    for (ssize_t got = 1; out && got > 0 && total <= LS_YAML_MAX_BYTES;) {
        got = read(file, piece, sizeof piece);
        if (got > 0) total += fwrite(piece, 1, (size_t)got, out);
        else if (got < 0 && errno == EINTR) got = 1;
        else if (got < 0) ls_failure_set(f, LS_ERR_IO, "%s: %s", path, strerror(errno));
    }
    if (close(file)) ls_failure_set(f, LS_ERR_IO, "%s: %s", path, strerror(errno));
    *text = keep(out, &made, bytes, a, f);
    if (!*text && !f->status) ls_failure_memory(f, total + 1, "reading %s", path);
    return f->status;
}

static ls_status gather(int64_t count, const char *const *words, ls_arena *a, ls_inputs *in,
                        ls_failure *f)
{
    static const char *const nothing = NULL;
    ls_config c;
    ls_settings s;
    *in = (ls_inputs){ .count = count, .words = words, .environment = &nothing };
    if (ls_settings_begin(&s, &ls_config_schema, &c, a, f)) return f->status;
    s.only_words = true; /* settings need the file below them */
    if (ls_settings_flags(&s, count, words, f)) return f->status;
    if (!c.path) return ls_failure_set(f, LS_ERR_ARG, "no CONFIG is given");
    in->path = c.path;
    in->environment = (const char *const *)environ;
    return read_file(c.path, a, &in->text, &in->bytes, f);
}

/* ---- as bytes: counts, then strings that end with a zero byte -------------------------------- */
typedef struct head {
    int64_t words, variables;
    size_t bytes;
} head;

static void *pack(const ls_inputs *in, ls_arena *a, size_t *bytes, ls_failure *f)
{
    char *made = NULL;
    head h = { in->count, 0, in->bytes };
    for (const char *const *e = in->environment; *e; e++) h.variables += !strncmp(*e, "LS_", 3);
    FILE *out = open_memstream(&made, bytes);
    if (out) {
        fwrite(&h, sizeof h, 1, out);
        fwrite(in->path, strlen(in->path) + 1, 1, out);
        for (int64_t i = 0; i < in->count; i++)
            fwrite(in->words[i], strlen(in->words[i]) + 1, 1, out);
        for (const char *const *e = in->environment; *e; e++)
            if (!strncmp(*e, "LS_", 3)) fwrite(*e, strlen(*e) + 1, 1, out);
        if (in->bytes) fwrite(in->text, in->bytes, 1, out);
    }
    char *kept = keep(out, &made, bytes, a, f);
    if (!kept) ls_failure_memory(f, *bytes + 1, "sharing the configuration");
    return kept;
}

static const char *take_string(const char **at)
{
    const char *text = *at;
    *at += strlen(text) + 1;
    return text;
}

static ls_status unpack(const char *packed, ls_arena *a, ls_inputs *in, ls_failure *f)
{
    head h;
    memcpy(&h, packed, sizeof h);
    size_t count = (size_t)(h.words + h.variables + 1);
    const char **strings = ls_arena_take(a, count * sizeof *strings);
    if (!strings) return ls_failure_memory(f, count * sizeof *strings, "a list of words");
    packed += sizeof h;
    *in = (ls_inputs){ .path = take_string(&packed),
                       .count = h.words,
                       .words = strings,
                       .environment = strings + h.words };
    for (size_t i = 0; i + 1 < count; i++) strings[i] = take_string(&packed);
    strings[count - 1] = NULL;
    in->text = packed;
    in->bytes = h.bytes;
    return LS_OK;
}

ls_status ls_config_share(ls_ctx *ctx, int64_t count, const char *const *words, ls_settings *s)
{
    ls_inputs in;
    ls_failure f = { 0 };
    void *packed = NULL; /* the strings of the settings stay in it */
    size_t bytes = 0;
    if (ls_is_root(ctx) && !gather(count, words, s->arena, &in, &f))
        packed = pack(&in, s->arena, &bytes, &f);
    if (f.status) ls_command_fail(ctx, &ls_train_command, &f);
    if (ls_share_bytes(ctx, &packed, &bytes)) return ls_error(ctx);
    if (unpack(packed, s->arena, &in, &f) || ls_config_resolve(s, &in, &f))
        ls_command_fail(ctx, &ls_train_command, &f);
    return ls_error(ctx);
}
