/* value.c -- one value of a key: its type, its range, and its text both ways.
 *
 * A value is checked the moment a layer gives it, even where a higher layer gives another, so a
 * wrong line of a file never waits for the day its flag is left out. Whatever is wrong with it, the
 * complaint is one sentence that says what was meant: "must be a number above 0, not "-1"".
 *
 * Called by layers.c; help.c prints the same descriptions.
 */
#include "cmd/cmd.h"
#include <string.h>

ls_status ls_settings_begin(ls_settings *s, const ls_schema *schema, void *values, ls_arena *a,
                            ls_failure *f)
{
    size_t count = (size_t)schema->count;
    *s = (ls_settings){ .schema = schema, .within = "", .values = values, .arena = a };
    s->set_at = ls_arena_take(a, count * sizeof *s->set_at);
    s->set_by = ls_arena_take(a, count * sizeof *s->set_by);
    if (!s->set_at || !s->set_by)
        return ls_failure_memory(f, count * (sizeof *s->set_at + sizeof *s->set_by), "%zu keys",
                                 count);
    memset(s->set_at, 0, count * sizeof *s->set_at);
    memset(s->set_by, 0, count * sizeof *s->set_by);
    memset(values, 0, schema->bytes);
    for (size_t i = 0; i < count; i++) {
        const ls_key *k = &schema->keys[i];
        ls_yaml standard = ls_yaml_word(k->path, k->standard);
        if (k->standard && ls_value_set(s, k, &standard, f)) return f->status;
    }
    return LS_OK;
}

/* ---- choices: "float32|float64" -------------------------------------------------------------- */
const char *ls_choice_text(const char *choices, int64_t i, char *out, size_t bytes)
{
    for (; i > 0 && choices; i--) choices = strchr(choices, '|') ? strchr(choices, '|') + 1 : NULL;
    if (!choices) return NULL;
    snprintf(out, bytes, "%.*s", (int)strcspn(choices, "|"), choices);
    return out;
}

int64_t ls_choice(const char *choices, const char *word)
{
    char one[32];
    for (int64_t i = 0; ls_choice_text(choices, i, one, sizeof one); i++)
        if (!strcmp(one, word)) return i;
    return -1;
}

static const char *describe_choices(const char *choices, char *out, size_t bytes)
{
    char one[32], after[32];
    size_t n = 0;
    *out = 0;
    for (int64_t i = 0; n < bytes && ls_choice_text(choices, i, one, sizeof one); i++) {
        bool is_last = !ls_choice_text(choices, i + 1, after, sizeof after);
        n += (size_t)snprintf(out + n, bytes - n, "%s%s",
                              i == 0    ? ""
                              : is_last ? " or "
                                        : ", ",
                              one);
    }
    return out;
}

static const char *suggest_choice(const char *choices, const char *word, char *out, size_t bytes)
{
    enum { MOST = 16 };
    char text[MOST][32];
    const char *known[MOST];
    int64_t count = 0;
    while (count < MOST && ls_choice_text(choices, count, text[count], sizeof text[count]))
        known[count] = text[count], count++;
    const char *near = ls_suggest(word, count, known);
    if (near) snprintf(out, bytes, "; did you mean \"%s\"?", near);
    return near ? out : "";
}

/* ---- what a key takes, in words -------------------------------------------------------------- */
const char *ls_key_describe(const ls_key *k, char *out, size_t bytes)
{
    char from[LS_REAL_CHARS], to[LS_REAL_CHARS];
    int n;
    const char *what = k->type == LS_KEY_INT ? "a whole number" : "a number";
    switch (k->type) {
    case LS_KEY_INT:
    case LS_KEY_REAL:
        ls_real_text(k->min, from);
        ls_real_text(k->max, to);
        if (k->max != 0) snprintf(out, bytes, "%s from %s to %s", what, from, to);
        else if (k->flags & LS_KEY_ABOVE) snprintf(out, bytes, "%s above %s", what, from);
        else snprintf(out, bytes, "%s, %s or more", what, from);
        return out;
    case LS_KEY_BOOL:
        return "true or false";
    case LS_KEY_TEXT:
        return "a text";
    case LS_KEY_CHOICE:
    case LS_KEY_FORM:
        return describe_choices(k->choices, out, bytes);
    case LS_KEY_PATHS:
        return "a file, a pattern, or a list of them";
    case LS_KEY_LAYERS:
        n = snprintf(out, bytes, "a list of layers: ");
        describe_choices(k->choices, out + n, bytes - (size_t)n);
        return out;
    }
    return "";
}

static const char *describe_found(const ls_yaml *v, char *out, size_t bytes)
{
    char quoted[LS_QUOTE_CHARS];
    if (v->kind == LS_YAML_LIST) return "a list";
    if (v->kind == LS_YAML_MAP) return "keys and values";
    if (ls_yaml_is_null(v)) return "nothing";
    snprintf(out, bytes, "%s%s", v->quoted ? "the text " : "", ls_quote(v->text, quoted));
    return out;
}

static ls_status refuse(const ls_settings *s, const ls_key *k, const ls_yaml *v, ls_failure *f)
{
    char meant[160], found[96], near[64];
    unsigned is_word = k->flags & (LS_KEY_OPTION | LS_KEY_ARGUMENT);
    bool is_choice = (k->type == LS_KEY_CHOICE || k->type == LS_KEY_FORM) &&
                     v->kind == LS_YAML_SCALAR;
    bool is_named = v->at.line > 0; /* a flag or a variable says the key itself */
    return ls_complain(f, is_word ? LS_ERR_ARG : LS_ERR_CONFIG, &v->at,
                       "%s%s%s%smust be %s, not %s%s", is_named ? s->within : "",
                       is_named && *s->within ? "." : "", is_named ? k->path : "",
                       is_named ? " " : "", ls_key_describe(k, meant, sizeof meant),
                       describe_found(v, found, sizeof found),
                       is_choice ? suggest_choice(k->choices, v->text, near, sizeof near) : "");
}

/* ---- from a value ---------------------------------------------------------------------------- */
static bool is_in_range(const ls_key *k, double value)
{
    bool is_above = k->flags & LS_KEY_ABOVE ? value > k->min : value >= k->min;
    return is_above && (k->max == 0 || value <= k->max);
}

static bool set_bool(const char *text, bool *out)
{
    *out = !strcmp(text, "true");
    return *out || !strcmp(text, "false");
}

static bool set_paths(ls_settings *s, const ls_yaml *v, const char **out, ls_failure *f)
{
    size_t bytes = 0;
    if (v->kind == LS_YAML_SCALAR) return *(*out = v->text) != 0;
    if (v->kind == LS_YAML_MAP || !v->first) return false;
    for (const ls_yaml *one = v->first; one; one = one->next) {
        if (one->kind != LS_YAML_SCALAR || ls_yaml_is_null(one) || !*one->text) return false;
        if (strchr(one->text, ',')) {
            ls_complain(f, LS_ERR_CONFIG, &one->at, "a name in a list cannot hold a comma");
            return false;
        }
        bytes += strlen(one->text) + 1;
    }
    char *joined = ls_arena_take(s->arena, bytes), *end = joined;
    if (!joined) return !ls_failure_memory(f, bytes, "a list of names");
    for (const ls_yaml *one = v->first; one; one = one->next)
        end += sprintf(end, "%s%s", one == v->first ? "" : ",", one->text);
    *out = joined;
    return true;
}

static bool set(ls_settings *s, const ls_key *k, const ls_yaml *v, void *at, ls_failure *f)
{
    if (k->type == LS_KEY_LAYERS)
        return v->kind == LS_YAML_LIST && v->first && !ls_layers_set(s, v, at, f);
    if (k->type == LS_KEY_PATHS) return !ls_yaml_is_null(v) && set_paths(s, v, at, f);
    if (v->kind != LS_YAML_SCALAR || ls_yaml_is_null(v)) return false;
    if (k->type == LS_KEY_TEXT) return *(*(const char **)at = v->text) != 0;
    if (v->quoted) return false;
    int64_t whole;
    double real;
    switch (k->type) {
    case LS_KEY_INT:
        if (!ls_text_int(v->text, &whole) || !is_in_range(k, (double)whole)) return false;
        *(int64_t *)at = whole;
        return true;
    case LS_KEY_REAL:
        if (!ls_text_real(v->text, &real) || !is_in_range(k, real)) return false;
        *(double *)at = real;
        return true;
    case LS_KEY_BOOL:
        return set_bool(v->text, at);
    default:
        *(int64_t *)at = ls_choice(k->choices, v->text);
        return *(int64_t *)at >= 0;
    }
}

ls_status ls_value_set(ls_settings *s, const ls_key *k, const ls_yaml *v, ls_failure *f)
{
    ptrdiff_t i = k - s->schema->keys;
    if (!set(s, k, v, (char *)s->values + k->at, f))
        return f->status ? f->status : refuse(s, k, v, f);
    if (s->layer > 0) s->set_at[i] = v->at, s->set_by[i] = s->layer;
    return LS_OK;
}

/* ---- to text --------------------------------------------------------------------------------- */
void ls_value_write(const ls_settings *s, const ls_key *k, FILE *out)
{
    const void *at = (const char *)s->values + k->at;
    char text[LS_REAL_CHARS];
    switch (k->type) {
    case LS_KEY_INT:
        fprintf(out, "%s: %lld\n", k->path, (long long)*(const int64_t *)at);
        return;
    case LS_KEY_REAL:
        fprintf(out, "%s: %s\n", k->path, ls_real_text(*(const double *)at, text));
        return;
    case LS_KEY_BOOL:
        fprintf(out, "%s: %s\n", k->path, *(const bool *)at ? "true" : "false");
        return;
    case LS_KEY_CHOICE:
    case LS_KEY_FORM:
        fprintf(out, "%s: %s\n", k->path,
                ls_choice_text(k->choices, *(const int64_t *)at, text, sizeof text));
        return;
    case LS_KEY_LAYERS:
        for (int64_t i = 0; i < ((const ls_layers *)at)->count; i++) {
            fprintf(out, "%s.%lld: ", k->path, (long long)i);
            ls_layer_write(&((const ls_layers *)at)->at[i], out);
            fprintf(out, "\n");
        }
        return;
    case LS_KEY_TEXT:
    case LS_KEY_PATHS:
        return; /* names and places change no numbers */
    }
}
