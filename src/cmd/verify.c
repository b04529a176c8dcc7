/* verify.c -- lockstep verify and lockstep diff: is a checkpoint sound, are two the same. */
#include "cmd/cmd.h"
#include <stdlib.h>

typedef struct paths {
    const char *a, *b;
} paths;

static const ls_key verify_keys[] = {
    { "CKPT", LS_KEY_TEXT, LS_KEY_REQUIRED | LS_KEY_ARGUMENT, offsetof(paths, a),
      .help = "a checkpoint, or a directory of them" },
};
static const ls_schema verify_schema = { verify_keys, 1, sizeof(paths) };

static void verify(ls_ctx *ctx, int64_t count, const char *const *words)
{
    paths o;
    ls_arena a = { 0 };
    if (!ls_command_words(ctx, &ls_verify_command, count, words, &o, &a)) ls_verify(ctx, o.a);
    ls_arena_free(&a);
}

const ls_command ls_verify_command = {
    "verify",       "checks digest and layout of a checkpoint; exit code 0 when sound, 65 when not",
    &verify_schema, NULL,
    verify,
};

static const ls_key diff_keys[] = {
    { "A", LS_KEY_TEXT, LS_KEY_REQUIRED | LS_KEY_ARGUMENT, offsetof(paths, a),
      .help = "a checkpoint" },
    { "B", LS_KEY_TEXT, LS_KEY_REQUIRED | LS_KEY_ARGUMENT, offsetof(paths, b), .help = "another" },
};
static const ls_schema diff_schema = { diff_keys, 2, sizeof(paths) };

static void diff(ls_ctx *ctx, int64_t count, const char *const *words)
{
    paths o;
    ls_arena a = { 0 };
    bool differ = false;
    if (!ls_command_words(ctx, &ls_diff_command, count, words, &o, &a))
        ls_diff(ctx, o.a, o.b, &differ);
    ls_arena_free(&a);
    if (!differ || ls_error(ctx)) return;
    int code = ls_command_end(ctx); /* "different" is no error, so no status says it */
    exit(code ? code : 1);
}

const ls_command ls_diff_command = {
    "diff",
    "the first parameter in which two checkpoints differ, and by how much; exit code 0 or 1",
    &diff_schema,
    NULL,
    diff,
};
