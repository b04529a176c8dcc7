/* help.c -- what --help prints, from the tables that the command itself reads by.
 *
 * Called by main.c.
 */
#include "cmd/cmd.h"
#include <ctype.h>
#include <string.h>

enum { LEFT = 30, WIDTH = 99 }; /* columns of a name, and of a line */

/* The rest of a line that begins with a name, wrapped. */
static void print_wrapped(const char *text, FILE *out)
{
    size_t column = LEFT + 4;
    for (size_t n; *text; text += n) {
        n = strcspn(text + 1, " ") + 1;
        bool breaks = *text == ' ' && column + n > WIDTH;
        if (breaks) fprintf(out, "\n%*s", LEFT + 3, "");
        if (breaks) column = LEFT + 3;
        column += n;
        fprintf(out, "%.*s", (int)n, text);
    }
}

static void print_words(const ls_schema *s, unsigned flag, FILE *out)
{
    for (int64_t i = 0; i < s->count; i++) {
        const ls_key *k = &s->keys[i];
        char left[64];
        if (!(k->flags & flag)) continue;
        const char *value = k->value ? k->value : k->choices;
        snprintf(left, sizeof left, "%s%s%s%s", flag == LS_KEY_OPTION ? "--" : "", k->path,
                 value ? " " : "", value ? value : "");
        fprintf(out, "  %-*s  %s", LEFT, left, k->help);
        if (k->standard) fprintf(out, "; default %s", k->standard);
        fprintf(out, "\n");
    }
}

static bool has(const ls_schema *s, unsigned flag)
{
    for (int64_t i = 0; i < s->count; i++)
        if (s->keys[i].flags & flag) return true;
    return false;
}

static bool is_key(const ls_key *k)
{
    return !(k->flags & (LS_KEY_OPTION | LS_KEY_ARGUMENT));
}

static void print_keys(const ls_schema *s, FILE *out)
{
    char meant[160], line[240];
    fprintf(out, "\nKeys, in sections in CONFIG, as --KEY=VALUE, or in the environment:\n");
    for (int64_t i = 0; i < s->count; i++) {
        const ls_key *k = &s->keys[i];
        if (!is_key(k)) continue;
        fprintf(out, "%c %-*s  %s\n", k->flags & LS_KEY_NUMBERS ? '*' : ' ', LEFT, k->path,
                k->help);
        snprintf(line, sizeof line, "%s%s%s", ls_key_describe(k, meant, sizeof meant),
                 k->standard                  ? "; default "
                 : k->flags & LS_KEY_REQUIRED ? "; required"
                                              : "",
                 k->standard ? k->standard : "");
        fprintf(out, "  %-*s  ", LEFT, "");
        print_wrapped(line, out);
        fprintf(out, "\n");
    }
    fprintf(out,
            "* changes the numbers: a run goes on from a checkpoint only with the same value.\n");
}

void ls_help_command(const ls_command *c, FILE *out)
{
    const ls_schema *s = c->schema;
    bool has_keys = is_key(&s->keys[s->count - 1]);
    fprintf(out, "usage: lockstep %s", c->name);
    for (int64_t i = 0; i < s->count; i++)
        if (s->keys[i].flags & LS_KEY_ARGUMENT) fprintf(out, " %s", s->keys[i].path);
    fprintf(out, "%s%s\n\n%c%s.\n\n", has(s, LS_KEY_OPTION) ? " [OPTIONS]" : "",
            has_keys ? " [--KEY=VALUE ...]" : "", toupper((unsigned char)c->does[0]), c->does + 1);
    print_words(s, LS_KEY_ARGUMENT, out);
    print_words(s, LS_KEY_OPTION, out);
    if (has_keys) print_keys(s, out);
    if (c->notes) fprintf(out, "\n%s", c->notes);
}

void ls_help(int64_t count, const ls_command *const *commands, FILE *out)
{
    fprintf(out, "usage: lockstep SUB-COMMAND ...\n       mpirun -np 4 lockstep SUB-COMMAND ...\n\n"
                 "Data-parallel training with one result on any number of ranks.\n\n");
    for (int64_t i = 0; i < count; i++)
        fprintf(out, "  %-10s  %s\n", commands[i]->name, commands[i]->does);
    fprintf(
        out,
        "\n  lockstep SUB-COMMAND --help   says more\n"
        "  lockstep --version            versions of lockstep and of what it stands on\n\n"
        "Exit codes: 0 done, 64 usage, 65 bad data, 66 input missing, 70 internal error, "
        "71 a rank did\n"
        "not arrive, 73 output cannot be made, 74 reading or writing failed, 75 stopped "
        "with a checkpoint\n"
        "saved, 76 copies differ, 78 bad configuration, 79 a cost or a gradient is not finite.\n");
}
