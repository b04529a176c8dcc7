/* words.c -- the words after a sub-command: into its values, or what is wrong with them; and its end, where
 * what it has said must have been written.
 *
 * A complaint about the command line ends with where to read on; one about a configuration is its
 * place and what was meant, and nothing else.
 *
 * Called by the sub-commands.
 */
#include "cmd/cmd.h"
#include <errno.h>
#include <string.h>

ls_status ls_command_fail(ls_ctx *ctx, const ls_command *c, const ls_failure *f)
{
    size_t n = strlen(f->text);
    const char *hint = n > 0 && f->text[n - 1] == '?' ? " See" : "; see";
    if (f->status != LS_ERR_ARG) return ls_fail_with(ctx, f);
    return ls_fail(ctx, f->status, "%s%s lockstep %s --help", f->text, hint, c->name);
}

ls_status ls_command_words(ls_ctx *ctx, const ls_command *c, int64_t count,
                           const char *const *words, void *values, ls_arena *a)
{
    ls_settings s;
    ls_failure f = { 0 };
    if (ls_settings_begin(&s, c->schema, values, a, &f) ||
        ls_settings_flags(&s, count, words, &f) || ls_settings_complete(&s, 0, NULL, &f))
        return ls_command_fail(ctx, c, &f);
    return LS_OK;
}

int ls_command_end(ls_ctx *ctx)
{
    if (ls_is_root(ctx) && (fflush(stdout) || ferror(stdout)))
        ls_fail(ctx, LS_ERR_IO, "standard output: %s",
                errno ? strerror(errno) : "cannot be written");
    int code = ls_finish(ctx);
    ls_fault_end();
    return code;
}
