/* layers.c -- where settings come from: a file, above it the environment, above that the flags.
 *
 * A path such as optimizer.sgd.lr may be written in a file as sections in one another, or with its
 * dots as one key, which is how checkpoints hold it. Every layer goes through the same take(), so
 * that a misspelt key, a wrong type or a value out of range is found in each of them, and named by
 * its place. A form (optimizer) is chosen by the section that stands below it, or by any key of
 * that section.
 *
 * Called by run.c for a run, by model.c for the settings of a layer, and by main.c for words alone.
 */
#include "cmd/cmd.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_CHARS = 160, WORD = LS_KEY_OPTION | LS_KEY_ARGUMENT };

/* ---- the table as a tree --------------------------------------------------------------------- */
static bool is_below(const char *path, const char *section)
{
    size_t n = strlen(section);
    return n == 0 || (!strncmp(path, section, n) && path[n] == '.');
}

/* What follows the section in a path below it. */
static const char *rest(const char *path, const char *section)
{
    return path + (*section ? strlen(section) + 1 : 0);
}

const ls_key *ls_key_find(const ls_schema *s, const char *path)
{
    for (int64_t i = 0; i < s->count; i++)
        if (!strcmp(s->keys[i].path, path)) return &s->keys[i];
    return NULL;
}

static const ls_key *find_setting(const ls_schema *s, const char *path)
{
    const ls_key *k = ls_key_find(s, path);
    return k && !(k->flags & WORD) ? k : NULL;
}

static bool is_section(const ls_schema *s, const char *path)
{
    for (int64_t i = 0; i < s->count; i++)
        if (!(s->keys[i].flags & WORD) && is_below(s->keys[i].path, path)) return true;
    return false;
}

/* The form that a path lies below. */
static const ls_key *form_above(const ls_schema *s, const char *path)
{
    for (int64_t i = 0; i < s->count; i++)
        if (s->keys[i].type == LS_KEY_FORM && is_below(path, s->keys[i].path)) return &s->keys[i];
    return NULL;
}

/* The list of layers of which a path names one, "model.3". */
static const ls_key *list_above(const ls_schema *s, const char *path, int64_t *index)
{
    for (int64_t i = 0; i < s->count; i++)
        if (s->keys[i].type == LS_KEY_LAYERS && is_below(path, s->keys[i].path) &&
            ls_text_int(rest(path, s->keys[i].path), index) && *index >= 0)
            return &s->keys[i];
    return NULL;
}

static bool is_known(const ls_schema *s, const char *path)
{
    int64_t index;
    return find_setting(s, path) || is_section(s, path) || list_above(s, path, &index);
}

static int64_t chosen(const ls_settings *s, const ls_key *form)
{
    return s->set_by[form - s->schema->keys] ? *(int64_t *)((char *)s->values + form->at) : -1;
}

static int64_t choice_of(const ls_key *form, const char *path)
{
    char name[32];
    const char *below = rest(path, form->path);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(below, "."), below);
    return ls_choice(form->choices, name);
}

bool ls_key_counts(const ls_settings *s, const ls_key *k)
{
    const ls_key *form = form_above(s->schema, k->path);
    return !form || choice_of(form, k->path) == chosen(s, form);
}

/* ---- unknown keys ---------------------------------------------------------------------------- */
enum { MOST_KNOWN = 48 };

/* The names directly below a section, in the arena, each once. */
static int64_t children(const ls_settings *s, const char *section, unsigned refused,
                        const char **out, ls_failure *f)
{
    int64_t count = 0;
    for (int64_t i = 0; i < s->schema->count && count < MOST_KNOWN; i++) {
        const ls_key *k = &s->schema->keys[i];
        if (k->flags & refused || !is_below(k->path, section)) continue;
        const char *name = rest(k->path, section);
        size_t n = strcspn(name, ".");
        if (count > 0 && !strncmp(out[count - 1], name, n) && !out[count - 1][n]) continue;
        if (!(out[count] = ls_text_keep(s->arena, name, n, f))) break;
        count++;
    }
    return count;
}

/* A key of that name in another section. */
static const char *elsewhere(const ls_schema *s, const char *word)
{
    for (int64_t i = 0; i < s->count; i++) {
        const char *dot = strrchr(s->keys[i].path, '.');
        if (dot && !strcmp(dot + 1, word)) return s->keys[i].path;
    }
    return NULL;
}

static ls_status refuse_key(const ls_settings *s, const char *path, const ls_origin *at,
                            ls_failure *f)
{
    char section[PATH_CHARS] = "", word[PATH_CHARS], quoted[LS_QUOTE_CHARS], known[256] = "";
    size_t n = 0;
    do { /* the longest part of the path that is a section, and the word after it */
        n += strcspn(path + n, ".");
        snprintf(word, sizeof word, "%.*s", (int)n, path);
        if (!path[n] || !is_section(s->schema, word)) break;
        snprintf(section, sizeof section, "%s", word);
    } while (path[n++]);
    if (find_setting(s->schema, word))
        return ls_complain(f, LS_ERR_CONFIG, at, "%s is one value, and has no keys of its own",
                           word);
    memmove(word, rest(word, section), strlen(rest(word, section)) + 1);

    const char *names[MOST_KNOWN];
    int64_t count = children(s, section, WORD, names, f);
    const char *near = ls_suggest(word, count, names);
    if (!near) near = elsewhere(s->schema, word);
    for (int64_t i = 0; i < count && !near; i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "",
                 names[i]);
    const char *in = *section ? section : s->within;
    return ls_complain(f, LS_ERR_CONFIG, at, "unknown key %s%s%s; %s%s%s", ls_quote(word, quoted),
                       *in ? " in " : "", in,
                       near ? "did you mean \"" : "known here: ", near ? near : known,
                       near ? "\"?" : "");
}

/* ---- one key, or a section ------------------------------------------------------------------- */
static ls_status take(ls_settings *s, const char *path, const ls_yaml *v, const ls_origin *at,
                      ls_failure *f);

static ls_status take_section(ls_settings *s, const char *section, const ls_yaml *v, ls_failure *f)
{
    char path[PATH_CHARS];
    if (v->kind != LS_YAML_MAP)
        return ls_complain(f, LS_ERR_CONFIG, &v->at, "%s must be keys and values",
                           *section     ? section
                           : *s->within ? s->within
                                        : "this");
    for (const ls_yaml *m = v->first; m && !f->status; m = m->next) {
        int n = snprintf(path, sizeof path, "%s%s%s", section, *section ? "." : "", m->key);
        if (n < PATH_CHARS) take(s, path, m, &m->key_at, f);
        else refuse_key(s, path, &m->key_at, f);
    }
    return f->status;
}

/* A path below a form chooses. False if another choice stands already. */
static bool choose(ls_settings *s, const ls_key *form, const char *path, const ls_origin *at,
                   ls_failure *f)
{
    char one[32], other[32];
    int64_t was = chosen(s, form), is = choice_of(form, path);
    if (was >= 0 && was != is) {
        ls_complain(f, LS_ERR_CONFIG, at, "%s is %s already, and cannot be %s as well", form->path,
                    ls_choice_text(form->choices, was, one, sizeof one),
                    ls_choice_text(form->choices, is, other, sizeof other));
        return false;
    }
    ls_yaml v = ls_yaml_word(at->from, ls_choice_text(form->choices, is, one, sizeof one));
    v.at = *at;
    return !ls_value_set(s, form, &v, f);
}

static ls_status take(ls_settings *s, const char *path, const ls_yaml *v, const ls_origin *at,
                      ls_failure *f)
{
    int64_t index;
    const ls_key *k = find_setting(s->schema, path), *form = form_above(s->schema, path);
    const ls_key *list = list_above(s->schema, path, &index);
    if (!is_known(s->schema, path)) return refuse_key(s, path, at, f);
    if (form && !choose(s, form, path, at, f)) return f->status;
    if (list) {
        ptrdiff_t i = list - s->schema->keys;
        if (s->set_by[i] != s->layer) s->set_at[i] = *at; /* where the list begins */
        s->set_by[i] = s->layer;
        return ls_layers_set_one(s, index, v, (ls_layers *)((char *)s->values + list->at), f);
    }
    if (form && !k && ls_yaml_is_null(v)) return LS_OK; /* "sgd:", with nothing to set */
    if (!k || (k->type == LS_KEY_FORM && v->kind == LS_YAML_MAP && v->first))
        return take_section(s, path, v, f);
    const ls_origin *before = &s->set_at[k - s->schema->keys];
    if (s->set_by[k - s->schema->keys] == s->layer && before->line > 0 && at->line > 0)
        return ls_complain(f, LS_ERR_CONFIG, at, "%s is set twice, first in line %d", path,
                           before->line);
    return ls_value_set(s, k, v, f);
}

ls_status ls_settings_file(ls_settings *s, const ls_yaml *root, ls_failure *f)
{
    s->layer++;
    return take_section(s, "", root, f);
}

/* A word from a flag or a variable; where a list or keys may stand, [ or { begins one, as in YAML.
 */
static ls_status take_word(ls_settings *s, const char *path, const char *from, const char *text,
                           ls_failure *f)
{
    const ls_key *k = find_setting(s->schema, path);
    ls_yaml word = ls_yaml_word(from, text), *v = &word;
    bool is_simple = k && (k->type <= LS_KEY_CHOICE);
    if (!is_simple && (*text == '[' || *text == '{') &&
        ls_yaml_parse(from, text, strlen(text), s->arena, &v, f))
        return f->status;
    ls_origin at = { from, 0, 0 };
    return take(s, path, v, &at, f);
}

/* ---- environment ----------------------------------------------------------------------------- */
ls_status ls_settings_environment(ls_settings *s, const char *const *environment, ls_failure *f)
{
    s->layer++;
    for (; *environment && !f->status; environment++) {
        const char *name = *environment, *text = strchr(name, '=');
        char path[PATH_CHARS];
        size_t n = 0;
        if (strncmp(name, "LS_", 3) || !text || text - name >= PATH_CHARS) continue;
        for (const char *c = name + 3; c < text; c++) {
            bool is_dot = c[0] == '_' && c[1] == '_';
            path[n++] = is_dot ? '.' : (char)tolower((unsigned char)*c);
            c += is_dot;
        }
        path[n] = 0;
        if (!strchr(path, '.') && !find_setting(s->schema, path)) continue;
        const char *from = ls_text_keep(s->arena, name, (size_t)(text - name), f);
        if (from) take_word(s, path, from, text + 1, f);
    }
    return f->status;
}

/* ---- flags ----------------------------------------------------------------------------------- */
static const ls_key *find_argument(const ls_schema *s, int64_t index)
{
    for (int64_t i = 0; i < s->count; i++)
        if (s->keys[i].flags & LS_KEY_ARGUMENT && index-- == 0) return &s->keys[i];
    return NULL;
}

static ls_status refuse_option(const ls_settings *s, const char *name, ls_failure *f)
{
    const char *known[MOST_KNOWN], *near;
    char quoted[LS_QUOTE_CHARS], path[PATH_CHARS];
    int64_t count = children(s, "", LS_KEY_ARGUMENT, known, f);
    near = ls_suggest(name, count, known);
    if (!near) near = elsewhere(s->schema, name);
    snprintf(path, sizeof path, "--%s", name);
    return ls_failure_set(f, LS_ERR_ARG, "unknown option %s%s%s%s", ls_quote(path, quoted),
                          near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
}

/* One flag; *next is the word after it, NULL where there is none or once it is used up. */
static ls_status take_flag(ls_settings *s, const char *word, const char **next, ls_failure *f)
{
    size_t n = strcspn(word, "=");
    const char *from = ls_text_keep(s->arena, word, n, f), *text = word[n] ? word + n + 1 : NULL;
    if (!from) return f->status;
    const char *name = from + 2;
    const ls_key *k = ls_key_find(s->schema, name);
    bool is_option = k && k->flags & LS_KEY_OPTION;
    if (!is_option && !is_known(s->schema, name)) {
        ls_origin at = { from, 0, 0 };
        bool is_path = strchr(name, '.') && strlen(name) < PATH_CHARS && is_section(s->schema, "");
        return is_path ? refuse_key(s, name, &at, f) : refuse_option(s, name, f);
    }
    if (is_option && k->type == LS_KEY_BOOL) {
        if (text) return ls_failure_set(f, LS_ERR_ARG, "%s takes no value", from);
        text = "true";
    } else if (!text) {
        if (!*next) return ls_failure_set(f, LS_ERR_ARG, "%s needs a value", from);
        text = *next;
        *next = NULL;
    }
    if (!is_option) return s->only_words ? LS_OK : take_word(s, name, from, text, f);
    ls_yaml v = ls_yaml_word(from, text);
    return ls_value_set(s, k, &v, f);
}

ls_status ls_settings_flags(ls_settings *s, int64_t count, const char *const *words, ls_failure *f)
{
    char quoted[LS_QUOTE_CHARS];
    int64_t arguments = 0;
    bool are_arguments = false; /* after "--" */
    s->layer++;
    for (int64_t i = 0; i < count && !f->status; i++) {
        const char *word = words[i], *next = i + 1 < count ? words[i + 1] : NULL, *after = next;
        if (!are_arguments && !strcmp(word, "--")) {
            are_arguments = true;
        } else if (are_arguments || word[0] != '-' || !word[1]) {
            const ls_key *k = find_argument(s->schema, arguments++);
            if (!k)
                return ls_failure_set(f, LS_ERR_ARG, "one word too many: %s",
                                      ls_quote(word, quoted));
            ls_yaml v = ls_yaml_word(k->path, word);
            ls_value_set(s, k, &v, f);
        } else if (word[1] != '-') {
            ls_failure_set(f, LS_ERR_ARG, "unknown option %s", ls_quote(word, quoted));
        } else {
            take_flag(s, word, &after, f);
            i += next && !after;
        }
    }
    return f->status;
}

/* ---- all of them ----------------------------------------------------------------------------- */
/* The deepest section of the file that holds the path, for the place of what is missing. */
static ls_origin section_at(const ls_yaml *root, const char *path)
{
    ls_origin at = root->at;
    while (root) {
        const ls_yaml *m = root->kind == LS_YAML_MAP ? root->first : NULL;
        size_t n = strcspn(path, ".");
        while (m && (strncmp(m->key, path, n) || m->key[n])) m = m->next;
        if (m) at = m->key_at;
        root = path[n] ? m : NULL;
        path += n + 1;
    }
    return at;
}

ls_status ls_settings_complete(ls_settings *s, unsigned of, const ls_yaml *root, ls_failure *f)
{
    for (int64_t i = 0; i < s->schema->count && !f->status; i++) {
        const ls_key *k = &s->schema->keys[i];
        if (!(k->flags & LS_KEY_REQUIRED) || (k->flags & of) != of) continue;
        if (s->set_by[i] || !ls_key_counts(s, k)) continue;
        if (k->flags & WORD) {
            ls_failure_set(f, LS_ERR_ARG, "%s%s is missing: %s",
                           k->flags & LS_KEY_OPTION ? "--" : "", k->path, k->help);
        } else {
            ls_origin at = section_at(root, k->path);
            ls_complain(f, LS_ERR_CONFIG, &at, "%s%s%s is missing: %s", s->within,
                        *s->within ? "." : "", k->path, k->help);
        }
    }
    return f->status;
}

static int by_path(const void *a, const void *b)
{
    return strcmp((*(const ls_key *const *)a)->path, (*(const ls_key *const *)b)->path);
}

bool ls_settings_numbers(const ls_settings *s, FILE *out)
{
    int64_t count = 0;
    const ls_key **keys = ls_arena_take(s->arena, (size_t)s->schema->count * sizeof(ls_key *));
    if (!keys) return false;
    for (int64_t i = 0; i < s->schema->count; i++) {
        const ls_key *k = &s->schema->keys[i];
        if (k->flags & LS_KEY_NUMBERS && ls_key_counts(s, k)) keys[count++] = k;
    }
    qsort(keys, (size_t)count, sizeof *keys, by_path);
    for (int64_t i = 0; i < count; i++) ls_value_write(s, keys[i], out);
    return true;
}
