/* main.c -- the lockstep command: finds the sub-command, and leaves the rest to it.
 *
 * Every rank starts lockstep first of all, so that whatever happens, one rank says it and all end
 * with one exit code. A sub-command leaves its error in the context; ls_finish() turns it into the
 * exit code. Signals that ask a training to stop are caught before that, so that none ends it
 * halfway; until then they are blocked (lockstep.c).
 */
#include "cmd/cmd.h"
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static const ls_command *const commands[] = {
    &ls_train_command,   &ls_launch_command,  &ls_eval_command,
    &ls_predict_command, &ls_convert_command, &ls_inspect_command,
    &ls_verify_command,  &ls_diff_command,    &ls_which_command,
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static const ls_command *find(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (!strcmp(commands[i]->name, name)) return commands[i];
    return NULL;
}

/* Help on all of it, or on one sub-command. */
static void help(ls_ctx *ctx, const ls_command *c)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (out && c) ls_help_command(c, out);
    else if (out) ls_help(COMMANDS, commands, out);
    if (!out || fclose(out)) ls_fail_memory(ctx, bytes + 1, "the text of the help");
    else ls_printf(ctx, "%s", text);
    free(text);
}

static void refuse(ls_ctx *ctx, const char *word)
{
    const char *names[COMMANDS], *near;
    char quoted[LS_QUOTE_CHARS];
    for (int i = 0; i < COMMANDS; i++) names[i] = commands[i]->name;
    near = ls_suggest(word, COMMANDS, names);
    ls_fail(ctx, LS_ERR_ARG, "unknown %s %s%s%s%s see lockstep --help",
            *word == '-' ? "option" : "sub-command", ls_quote(word, quoted),
            near ? "; did you mean \"" : ";", near ? near : "", near ? "\"? Otherwise" : "");
}

static bool asks_for_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h");
}

static void run(ls_ctx *ctx, int64_t count, const char *const *words)
{
    if (count == 0) {
        ls_fail(ctx, LS_ERR_ARG, "no sub-command is given; see lockstep --help");
        return;
    }
    if (!strcmp(words[0], "--version")) {
        ls_printf(ctx, "%s", ls_version_text());
        return;
    }
    bool is_help = asks_for_help(words[0]) || !strcmp(words[0], "help");
    const char *name = !is_help ? words[0] : count > 1 ? words[1] : NULL;
    const ls_command *c = name ? find(name) : NULL;
    for (int64_t i = 1; i < count && strcmp(words[i], "--"); i++)
        is_help = is_help || asks_for_help(words[i]);
    if (name && !c) refuse(ctx, name);
    else if (is_help) help(ctx, c);
    else c->run(ctx, count - 1, words + 1);
}

/* What a run's --deadline or LS_DEADLINE say, before there are settings: the ranks' beginning has one too. 0:
 * nothing. */
static double early_deadline(int argc, char **argv)
{
    const char *text = getenv("LS_DEADLINE");
    double s = 0;
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "--deadline=", 11)) text = argv[i] + 11;
        else if (!strcmp(argv[i], "--deadline") && i + 1 < argc) text = argv[i + 1];
    }
    return text && ls_text_real(text, &s) && s > 0 ? s : 0;
}

/* As many files as this process may open, for data that lie in many. */
static void allow_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files)) return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

LS_API int ls_command_main(int argc, char **argv)
{
    enum { LARGE = 256 << 10 };
    const char *word = argc > 1 ? argv[1] : "";
    (void)mallopt(M_MMAP_THRESHOLD, LARGE); /* what is freed is the machine's again */
    if (!strcmp(word, ls_train_command.name) || !strcmp(word, ls_launch_command.name))
        ls_stop_catch();
    ls_stop_let_through();
    (void)setenv("OPENBLAS_NUM_THREADS", "1",
                 1); /* it starts none that it will not be asked to use */
    if (getenv("PMIX_RANK"))
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a rank ends with its launcher */
    ls_ctx *ctx = ls_start(&(ls_opts){ .deadline_s = early_deadline(argc, argv) });
    if (!ctx) fprintf(stderr, "lockstep: no memory: a context needs %zu bytes\n", sizeof *ctx);
    if (strcmp(word, ls_launch_command.name) != 0)
        allow_files(); /* not before MPI begins, nor for mpirun: some close every number below the limit */
    if (!ls_error(ctx)) run(ctx, argc - 1, (const char *const *)argv + 1);
    return ls_command_end(ctx);
}
