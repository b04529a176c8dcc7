/* yaml.c -- a YAML document as a tree whose every value knows its place.
 *
 * Drives libyaml's event parser. Only what a configuration needs is taken: scalars, lists and maps
 * with scalar keys. Anchors, aliases and tags give one value two meanings, so they are refused; so
 * are keys that stand twice, of which a reader would see only one. Bytes, depth and the number of
 * values are limited, so that no file, however made, takes long or much memory.
 *
 * Called by run.c for files and stored settings, and by layers.c for values of flags that are
 * lists.
 */
#include "cmd/cmd.h"
#include <string.h>
#include <yaml.h>

typedef struct reading {
    yaml_parser_t parser;
    const char *from, *text;
    size_t bytes;
    int64_t values;
    ls_arena *arena;
    ls_failure *f;
} reading;

ls_status ls_complain(ls_failure *f, ls_status status, const ls_origin *at, const char *form, ...)
{
    char what[sizeof f->text];
    va_list args;
    va_start(args, form);
    vsnprintf(what, sizeof what, form, args);
    va_end(args);
    if (at->line > 0)
        return ls_failure_set(f, status, "%s:%d:%d: %s", at->from, at->line, at->column, what);
    return ls_failure_set(f, status, "%s: %s", at->from, what);
}

static ls_origin place(const reading *r, yaml_mark_t mark)
{
    return (ls_origin){ r->from, (int)mark.line + 1, (int)mark.column + 1 };
}

/* Where a byte stands, which libyaml does not say of bytes that are no characters. */
static ls_origin place_of_byte(const reading *r, size_t offset)
{
    ls_origin at = { r->from, 1, 1 };
    for (size_t i = 0; i < offset && i < r->bytes; i++) {
        if (r->text[i] == '\n') at.line++, at.column = 1;
        else if (((unsigned char)r->text[i] & 0xC0) != 0x80) at.column++;
    }
    return at;
}

/* What people get wrong most often, by the text at the place. */
static const char *advice(const reading *r, const yaml_parser_t *p)
{
    size_t i = p->problem_mark.index;
    if (i < r->bytes && r->text[i] == '\t') return "; indent with spaces, not tabs";
    if (p->context && strstr(p->context, "scanning an a"))
        return "; a text that begins with * or & needs quotes";
    if (p->problem && strstr(p->problem, "mapping values are not allowed"))
        return "; a text with \": \" in it needs quotes, and keys of one section the same indent";
    return "";
}

static void complain_of_syntax(reading *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) {
        ls_failure_memory(r->f, r->bytes, "reading %s", r->from);
    } else if (p->error == YAML_READER_ERROR) {
        ls_origin at = place_of_byte(r, p->problem_offset);
        ls_complain(r->f, LS_ERR_CONFIG, &at, "not a text in UTF-8: %s", p->problem);
    } else {
        ls_origin at = place(r, p->problem_mark);
        if (p->context && p->context_mark.line != p->problem_mark.line)
            ls_complain(r->f, LS_ERR_CONFIG, &at, "not YAML: %s, %s that begins in line %zu%s",
                        p->problem, p->context, p->context_mark.line + 1, advice(r, p));
        else ls_complain(r->f, LS_ERR_CONFIG, &at, "not YAML: %s%s", p->problem, advice(r, p));
    }
}

static bool next(reading *r, yaml_event_t *event)
{
    if (yaml_parser_parse(&r->parser, event)) return true;
    complain_of_syntax(r);
    return false;
}

static bool is_refused(reading *r, const ls_origin *at, const char *anchor, const char *tag)
{
    char quoted[LS_QUOTE_CHARS];
    if (anchor)
        ls_complain(r->f, LS_ERR_CONFIG, at,
                    "anchors are not read: %s; write the value out where it is needed",
                    ls_quote(anchor, quoted));
    else if (tag)
        ls_complain(r->f, LS_ERR_CONFIG, at,
                    "tags are not read: %s; leave it out, the key says the type",
                    ls_quote(tag, quoted));
    return anchor || tag;
}

static char *scalar_text(reading *r, const yaml_event_t *event, const ls_origin *at)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t bytes = event->data.scalar.length;
    if (memchr(text, 0, bytes)) {
        ls_complain(r->f, LS_ERR_CONFIG, at, "a text holds a zero byte");
        return NULL;
    }
    return ls_text_keep(r->arena, text, bytes, r->f);
}

static ls_yaml *read_value(reading *r, yaml_event_t *event, int depth);

/* The next event's value. */
static ls_yaml *read_next(reading *r, int depth)
{
    yaml_event_t event;
    if (!next(r, &event)) return NULL;
    ls_yaml *v = read_value(r, &event, depth);
    yaml_event_delete(&event);
    return v;
}

static bool read_list(reading *r, ls_yaml *list, int depth)
{
    ls_yaml **end = &list->first;
    for (;;) {
        yaml_event_t event;
        if (!next(r, &event)) return false;
        bool is_end = event.type == YAML_SEQUENCE_END_EVENT;
        ls_yaml *v = is_end ? NULL : read_value(r, &event, depth + 1);
        yaml_event_delete(&event);
        if (!v) return is_end;
        *end = v;
        end = &v->next;
    }
}

/* The key that event is; NULL if it cannot be one, or stands in the map already. */
static const char *read_key(reading *r, const ls_yaml *map, const yaml_event_t *event)
{
    char quoted[LS_QUOTE_CHARS];
    ls_origin at = place(r, event->start_mark);
    if (event->type != YAML_SCALAR_EVENT) {
        ls_complain(r->f, LS_ERR_CONFIG, &at, "a key must be a word");
        return NULL;
    }
    if (is_refused(r, &at, (char *)event->data.scalar.anchor, (char *)event->data.scalar.tag))
        return NULL;
    const char *key = scalar_text(r, event, &at);
    for (const ls_yaml *v = key ? map->first : NULL; v; v = v->next)
        if (!strcmp(v->key, key)) {
            ls_complain(r->f, LS_ERR_CONFIG, &at, "key %s stands here twice, first in line %d",
                        ls_quote(key, quoted), v->key_at.line);
            return NULL;
        }
    return key;
}

static bool read_map(reading *r, ls_yaml *map, int depth)
{
    ls_yaml **end = &map->first;
    for (;;) {
        yaml_event_t event;
        if (!next(r, &event)) return false;
        bool is_end = event.type == YAML_MAPPING_END_EVENT;
        ls_origin at = place(r, event.start_mark);
        const char *key = is_end ? NULL : read_key(r, map, &event);
        yaml_event_delete(&event);
        if (!key) return is_end;
        ls_yaml *v = read_next(r, depth + 1);
        if (!v) return false;
        v->key = key;
        v->key_at = at;
        *end = v;
        end = &v->next;
    }
}

static ls_yaml *read_value(reading *r, yaml_event_t *event, int depth)
{
    ls_origin at = place(r, event->start_mark);
    if (event->type == YAML_ALIAS_EVENT) {
        ls_complain(r->f, LS_ERR_CONFIG, &at,
                    "aliases are not read; a text that begins with * needs quotes");
        return NULL;
    }
    if (++r->values > LS_YAML_MAX_VALUES || depth > LS_YAML_MAX_DEPTH) {
        ls_complain(r->f, LS_ERR_CONFIG, &at,
                    depth > LS_YAML_MAX_DEPTH ? "nested deeper than %d" : "more than %d values",
                    depth > LS_YAML_MAX_DEPTH ? LS_YAML_MAX_DEPTH : LS_YAML_MAX_VALUES);
        return NULL;
    }
    ls_yaml *v = ls_arena_take(r->arena, sizeof *v);
    if (!v) {
        ls_failure_memory(r->f, sizeof *v, "reading %s", r->from);
        return NULL;
    }
    *v = (ls_yaml){ .at = at };
    if (event->type == YAML_SEQUENCE_START_EVENT) {
        v->kind = LS_YAML_LIST;
        if (is_refused(r, &at, (char *)event->data.sequence_start.anchor,
                       (char *)event->data.sequence_start.tag))
            return NULL;
        return read_list(r, v, depth) ? v : NULL;
    }
    if (event->type == YAML_MAPPING_START_EVENT) {
        v->kind = LS_YAML_MAP;
        if (is_refused(r, &at, (char *)event->data.mapping_start.anchor,
                       (char *)event->data.mapping_start.tag))
            return NULL;
        return read_map(r, v, depth) ? v : NULL;
    }
    if (is_refused(r, &at, (char *)event->data.scalar.anchor, (char *)event->data.scalar.tag))
        return NULL;
    v->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    v->text = scalar_text(r, event, &at);
    return v->text ? v : NULL;
}

/* Skips an event that is there by libyaml's grammar; true if it was of that type. */
static bool skip(reading *r, yaml_event_type_t type, ls_origin *at)
{
    yaml_event_t event;
    if (!next(r, &event)) return false;
    bool is_type = event.type == type;
    *at = place(r, event.start_mark);
    yaml_event_delete(&event);
    return is_type;
}

static ls_yaml *read_document(reading *r)
{
    ls_origin at;
    if (!skip(r, YAML_STREAM_START_EVENT, &at)) return NULL;
    if (!skip(r, YAML_DOCUMENT_START_EVENT, &at)) {
        ls_yaml *nothing = r->f->status ? NULL : ls_arena_take(r->arena, sizeof *nothing);
        if (nothing) *nothing = (ls_yaml){ .kind = LS_YAML_MAP, .at = { r->from, 1, 1 } };
        else ls_failure_memory(r->f, sizeof *nothing, "reading %s", r->from);
        return nothing;
    }
    ls_yaml *root = read_next(r, 1);
    if (!root || !skip(r, YAML_DOCUMENT_END_EVENT, &at)) return NULL;
    if (skip(r, YAML_STREAM_END_EVENT, &at)) return root;
    if (!r->f->status)
        ls_complain(r->f, LS_ERR_CONFIG, &at, "a second document begins here; only one is read");
    return NULL;
}

ls_status ls_yaml_parse(const char *from, const char *text, size_t bytes, ls_arena *a,
                        ls_yaml **out, ls_failure *f)
{
    *out = NULL;
    static const char mark[] = "\xef\xbb\xbf"; /* of the byte order, which says nothing in UTF-8 */
    if (bytes >= 3 && !memcmp(text, mark, 3)) text += 3, bytes -= 3;
    reading r = { .from = from, .text = text, .bytes = bytes, .arena = a, .f = f };
    if (bytes > LS_YAML_MAX_BYTES)
        return ls_failure_set(f, LS_ERR_CONFIG, "%s: larger than %d bytes: is it a configuration?",
                              from, LS_YAML_MAX_BYTES);
    if (!yaml_parser_initialize(&r.parser)) return ls_failure_memory(f, bytes, "reading %s", from);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, bytes);
    *out = read_document(&r);
    yaml_parser_delete(&r.parser);
    return f->status;
}

bool ls_yaml_is_null(const ls_yaml *v)
{
    static const char *const names[] = { "", "~", "null", "Null", "NULL" };
    if (v->kind != LS_YAML_SCALAR || v->quoted || v->at.line == 0) return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(v->text, names[i])) return true;
    return false;
}

ls_yaml ls_yaml_word(const char *from, const char *text)
{
    return (ls_yaml){ .at = { from, 0, 0 }, .text = text };
}
