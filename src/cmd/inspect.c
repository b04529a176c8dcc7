/* inspect.c -- lockstep inspect: what a checkpoint or a dataset file holds. */
#include "cmd/cmd.h"

typedef struct inspect {
    const char *path;
} inspect;

static const ls_key keys[] = {
    { "FILE", LS_KEY_TEXT, LS_KEY_REQUIRED | LS_KEY_ARGUMENT, offsetof(inspect, path),
      .help = "a checkpoint, or an HDF5 file with data" },
};
static const ls_schema schema = { keys, sizeof keys / sizeof *keys, sizeof(inspect) };

static void run(ls_ctx *ctx, int64_t count, const char *const *words)
{
    inspect o;
    ls_arena a = { 0 };
    if (!ls_command_words(ctx, &ls_inspect_command, count, words, &o, &a)) ls_inspect(ctx, o.path);
    ls_arena_free(&a);
}

const ls_command ls_inspect_command = {
    "inspect", "describes a checkpoint or a dataset file", &schema, NULL, run,
};
