/* csv.c -- tables of numbers as text: one row a line, fields separated by commas.
 *
 * Every field must be a number. What is none, is missing or does not fit is named by line and
 * column, both counted from 1; nothing is guessed. The first line is a header if none of its fields
 * is a number; where some are, the user must say. Quotes around a field are taken off (RFC 4180);
 * spaces around it count for nothing. One column, the last if nothing else is said, is y; the
 * others are x, in order.
 *
 * Called by convert.c.
 */
#include "cmd/cmd.h"
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOCALE_BYTES = 256 }; /* that a locale takes */
enum { MOST_COLUMNS = 1 << 20, HEADER_AUTO = 0, HEADER_YES, HEADER_NO };

typedef struct csv {
    const char *path;
    ls_stream *in;
    locale_t plain;
    int64_t columns, y, line; /* y: the column; line: the one read last, from 1 */
    int64_t empty_line;       /* an empty line was read: only the end may follow. 0: none */
    bool classes, is_double;
    char *first; /* a first line that is no header, still to be read; malloc()ed */
} csv;

static ls_status complain(const csv *c, ls_failure *f, int64_t column, const char *field,
                          const char *what)
{
    char quoted[LS_QUOTE_CHARS];
    return ls_failure_set(f, LS_ERR_DATA, "%s: line %lld, column %lld: %s%s%s", c->path,
                          (long long)c->line, (long long)column + 1,
                          field ? ls_quote(field, quoted) : "", field ? " " : "", what);
}

/* ---- fields ---------------------------------------------------------------------------------- */
static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* The text in quotes, in place; NULL if there is no closing quote, or something after it. */
static char *unquote(char *field, char **rest)
{
    char *to = field, *from = field + 1;
    for (; *from && (*from != '"' || from[1] == '"'); from++) {
        from += *from == '"';
        *to++ = *from;
    }
    if (*from++ != '"') return NULL;
    while (is_space(*from)) from++;
    if (*from && *from != ',') return NULL;
    *rest = *from ? from + 1 : NULL;
    *to = 0;
    return field;
}

/* The next field of the rest of a line, cut out in place; *rest: NULL after the last. NULL: bad
 * quotes. */
static char *next_field(char **rest)
{
    char *field = *rest;
    while (is_space(*field)) field++;
    if (*field == '"') return unquote(field, rest);
    char *end = field + strcspn(field, ",");
    *rest = *end ? end + 1 : NULL;
    while (end > field && is_space(end[-1])) end--;
    *end = 0;
    return field;
}

/* A short decimal as a whole number and a power of ten, both exact in the type that is asked for, so that
 * one division rounds once. False: strtod() has to look, which takes several times as long. */
static bool read_short(const char *s, double most, int most_decimals, double *whole, int *decimals)
{
    bool is_negative = *s == '-';
    int digits = 0, point = -1;
    int64_t value = 0;
    for (s += is_negative; *s && digits <= 15; s++) {
        if (*s == '.' && point < 0) {
            point = digits;
            continue;
        }
        if (*s < '0' || *s > '9') return false;
        value = 10 * value + (*s - '0');
        digits++;
    }
    *decimals = point < 0 ? 0 : digits - point;
    *whole = is_negative ? -(double)value : (double)value;
    return !*s && digits > 0 && digits <= 15 && (double)value <= most && *decimals <= most_decimals;
}

static const double power[] = { 1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };

static bool is_plain(const char *field)
{
    return *field && !field[strspn(field, "0123456789+-.eE")];
}

static bool read_double(const csv *c, const char *field, double *out)
{
    char *end;
    int decimals;
    if (read_short(field, 0x1p53, 15, out, &decimals)) {
        *out /= power[decimals];
        return true;
    }
    if (!is_plain(field)) return false;
    *out = strtod_l(field, &end, c->plain);
    return !*end;
}

static bool read_float(const csv *c, const char *field, float *out)
{
    char *end;
    int decimals;
    double whole;
    if (read_short(field, 0x1p24, 10, &whole, &decimals)) {
        *out = (float)whole / (float)power[decimals];
        return true;
    }
    if (!is_plain(field)) return false;
    *out = strtof_l(field, &end, c->plain);
    return !*end;
}

static bool set_number(const csv *c, int64_t column, const char *field, void *out, ls_failure *f)
{
    double wide = 0;
    float narrow = 0;
    bool is_number = c->is_double ? read_double(c, field, &wide) : read_float(c, field, &narrow);
    if (!*field) complain(c, f, column, NULL, "the field is empty");
    else if (!is_number) complain(c, f, column, field, "is not a number");
    else if (c->is_double && !isfinite(wide)) complain(c, f, column, field, "does not fit float64");
    else if (!c->is_double && !isfinite(narrow))
        complain(c, f, column, field, "does not fit float32; --float64 may help");
    else if (c->is_double) *(double *)out = wide;
    else *(float *)out = narrow;
    return !f->status;
}

static bool set_class(const csv *c, int64_t column, const char *field, int64_t *out, ls_failure *f)
{
    double value;
    if (!*field) complain(c, f, column, NULL, "the field is empty");
    else if (!read_double(c, field, &value) || value != rint(value) ||
             !(value >= 0 && value < 0x1p53))
        complain(c, f, column, field, "is not a class: a whole number, 0 or more");
    else *out = (int64_t)value;
    return !f->status;
}

/* ---- rows ------------------------------------------------------------------------------------ */
static bool set_row(const csv *c, char *line, char *x, void *y, ls_failure *f)
{
    size_t bytes = c->is_double ? sizeof(double) : sizeof(float);
    int64_t column = 0;
    for (char *rest = line; rest; column++) {
        char *field = next_field(&rest);
        if (!field) return complain(c, f, column, NULL, "a quote does not end"), false;
        if (column >= c->columns) continue; /* only counted */
        if (column == c->y && c->classes && !set_class(c, column, field, y, f)) return false;
        if (column == c->y && !c->classes && !set_number(c, column, field, y, f)) return false;
        if (column == c->y) continue;
        if (!set_number(c, column, field, x, f)) return false;
        x += bytes;
    }
    if (column == c->columns) return true;
    ls_failure_set(f, LS_ERR_DATA, "%s: line %lld has %lld columns, and the lines before it %lld",
                   c->path, (long long)c->line, (long long)column, (long long)c->columns);
    return false;
}

static bool is_blank(const char *line)
{
    while (is_space(*line)) line++;
    return !*line;
}

/* The next line; NULL at the end, and after an error. Empty lines may stand at the end only. */
static char *next_line(csv *c, ls_failure *f)
{
    char *line;
    size_t bytes;
    for (;;) {
        if (ls_stream_line(c->in, &line, &bytes, f) || !line) return NULL;
        c->line++;
        if (strlen(line) != bytes) {
            ls_failure_set(f, LS_ERR_DATA, "%s: line %lld holds a zero byte: is it a text?",
                           c->path, (long long)c->line);
            return NULL;
        }
        if (!is_blank(line)) break;
        if (!c->empty_line) c->empty_line = c->line;
    }
    if (!c->empty_line) return line;
    ls_failure_set(f, LS_ERR_DATA, "%s: line %lld is empty", c->path, (long long)c->empty_line);
    return NULL;
}

static int64_t rows(void *self, int64_t count, void *x, void *y, ls_failure *f)
{
    csv *c = self;
    size_t bytes = c->is_double ? sizeof(double) : sizeof(float);
    size_t y_bytes = c->classes ? sizeof(int64_t) : bytes;
    int64_t done = 0;
    for (; done < count; done++) {
        char *own = c->first, *line = own ? own : next_line(c, f);
        c->first = NULL;
        bool is_set = line &&
                      set_row(c, line, (char *)x + (size_t)done * bytes * (size_t)(c->columns - 1),
                              (char *)y + (size_t)done * y_bytes, f);
        free(own);
        if (!is_set) break;
    }
    return f->status ? 0 : done;
}

/* ---- the first line -------------------------------------------------------------------------- */
enum { NONE = -1, SEVERAL = -2 };

/* Counts the columns of a line, those of them that are numbers, and finds the one of a name. */
static bool look(csv *c, char *line, const char *name, int64_t *numbers, int64_t *found,
                 ls_failure *f)
{
    double value;
    *numbers = c->columns = 0;
    *found = NONE;
    for (char *rest = line; rest; c->columns++) {
        char *field = next_field(&rest);
        if (!field) return complain(c, f, c->columns, NULL, "a quote does not end"), false;
        *numbers += read_double(c, field, &value);
        if (name && !strcmp(field, name)) *found = *found == NONE ? c->columns : SEVERAL;
    }
    return true;
}

/* The column that is y: by the name in a header, or by its number. */
static ls_status choose_y(csv *c, const ls_convert *o, bool has_header, int64_t found,
                          ls_failure *f)
{
    char quoted[LS_QUOTE_CHARS];
    int64_t number;
    c->y = c->columns - 1;
    if (!o->y) return LS_OK;
    if (has_header && found >= 0) c->y = found;
    else if (ls_text_int(o->y, &number) && number >= 1 && number <= c->columns) c->y = number - 1;
    else if (has_header && found == SEVERAL)
        ls_failure_set(
            f, LS_ERR_ARG,
            "--y: %s is the name of several columns of %s: take its number, counted from 1",
            ls_quote(o->y, quoted), c->path);
    else
        ls_failure_set(f, LS_ERR_ARG, "--y: %s is no column of %s: it has %lld, counted from 1%s",
                       ls_quote(o->y, quoted), c->path, (long long)c->columns,
                       has_header ? ", or named in its first line" : ", and no header");
    return f->status;
}

static ls_status read_first(csv *c, const ls_convert *o, ls_failure *f)
{
    int64_t numbers, found;
    char *line = next_line(c, f), *copy = NULL;
    if (!line)
        return f->status ? f->status : ls_failure_set(f, LS_ERR_DATA, "%s holds no rows", c->path);
    if (!strncmp(line, "\xEF\xBB\xBF", 3)) line += 3; /* a mark that some programs write first */
    copy = strdup(line);
    if (!copy) return ls_failure_memory(f, strlen(line) + 1, "reading %s", c->path);
    if (!look(c, line, o->y, &numbers, &found, f)) goto done;
    bool has_header = o->header == HEADER_YES || (o->header == HEADER_AUTO && numbers == 0);
    if (o->header == HEADER_AUTO && numbers > 0 && numbers < c->columns)
        ls_failure_set(f, LS_ERR_DATA,
                       "%s: line %lld has %lld numbers in %lld columns: a header, or a bad row? "
                       "--header yes or --header no says it",
                       c->path, (long long)c->line, (long long)numbers, (long long)c->columns);
    else if (c->columns < 2 || c->columns > MOST_COLUMNS)
        ls_failure_set(f, LS_ERR_DATA,
                       "%s has %lld columns; x and y need 2 or more, separated by commas", c->path,
                       (long long)c->columns);
    else if (!choose_y(c, o, has_header, found, f) && !has_header) {
        c->first = copy;
        copy = NULL;
    }
done:
    free(copy);
    return f->status;
}

static void end(void *self)
{
    csv *c = self;
    if (c->plain) freelocale(c->plain);
    free(c->first);
    ls_memory_free(c);
}

ls_status ls_csv_open(ls_stream *in, const ls_convert *o, ls_source *out, ls_failure *f)
{
    csv *c = ls_memory_new(sizeof *c);
    if (!c) return ls_failure_memory(f, sizeof *c, "reading %s", o->source);
    *c = (csv){ .path = o->source, .in = in, .classes = o->classes, .is_double = o->float64 };
    *out = (ls_source){ .self = c, .rows = rows, .end = end };
    c->plain = newlocale(LC_ALL_MASK, "C", NULL);
    if (!c->plain) return ls_failure_memory(f, LOCALE_BYTES, "reading %s", o->source);
    if (read_first(c, o, f)) return f->status;
    ls_store_type type = c->is_double ? LS_STORE_F64 : LS_STORE_F32;
    out->x = (ls_column){ "/x", type, { 1, { c->columns - 1 } } };
    out->y = (ls_column){ "/y", c->classes ? LS_STORE_I64 : type, { 0 } };
    return LS_OK;
}
