/* config.c -- layers, numbers and names as configurations and checkpoints write them.
 *
 * The text of a layer is the same for a model that the command builds and for one that a program
 * builds of the same layers. Numbers are written alike in every locale.
 *
 * Called by the command's settings, by train for runs without a configuration file, and by store for names.
 */
#include "base/config.h"
#include <locale.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *kind, *name;
    double usual;
} numbers[] = {
#define NONE(kind, torch, detail)
#define ONE(kind, torch, name, usual) { #kind, name, usual },
    LS_ACTIVATIONS(NONE, ONE, NONE)
};

const char *ls_activation_number(const char *kind, double *usual)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcmp(numbers[i].kind, kind)) return *usual = numbers[i].usual, numbers[i].name;
    return NULL;
}

void ls_layer_write(const ls_layer *l, FILE *out)
{
    char text[LS_REAL_CHARS];
    double usual;
    const char *number = ls_activation_number(l->kind, &usual);
    if (!strcmp(l->kind, "linear")) {
        fprintf(out, "{linear: {");
        if (l->in) fprintf(out, "in: %lld, ", (long long)l->in);
        fprintf(out, "out: %lld, bias: %s}}", (long long)l->out, l->no_bias ? "false" : "true");
    } else if (number) {
        fprintf(out, "{%s: {%s: %s}}", l->kind, number,
                ls_real_text(l->number != 0 ? l->number : usual, text));
    } else {
        fprintf(out, "%s", l->kind);
    }
}

#define MOST_BYTES  160
#define TEXT(n)     #n
#define HAS_MORE(n) "has more than " TEXT(n) " bytes"
const char *ls_name_fault(const char *name)
{
    if (!*name) return "is empty";
    if (*name == '.') return "begins with a dot";
    if (strchr(name, '/')) return "holds a slash";
    return strlen(name) > MOST_BYTES ? HAS_MORE(MOST_BYTES) : NULL;
}

const char *ls_real_text(double value, char out[LS_REAL_CHARS])
{
    locale_t plain = newlocale(LC_ALL_MASK, "C", NULL), before = uselocale(plain);
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, LS_REAL_CHARS, "%.*g", digits, value);
        if (strtod(out, NULL) == value) break;
    }
    uselocale(before);
    if (plain) freelocale(plain);
    return out;
}
