/* print.c -- tensors as PyTorch prints them.
 *
 * The text is that of print(tensor) in Python with PyTorch's default options: four digits, lines of
 * 80 characters, and beyond 1000 elements only three at either end of each axis. One notation
 * serves all elements: integers (3.), fixed (3.1416) or scientific (3.1416e+00), chosen from the
 * finite nonzero ones that are shown; a second pass over those finds the width, a third writes. A
 * part is refused on every rank, whether it would print or not. Called by programs only. Source:
 * torch/_tensor_str.py of PyTorch 1.13 (torch.set_default_dtype() is the context's type).
 */
#include "tensor/print.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { THRESHOLD = 1000, EDGE = 3, LINE = 80, CELL = 32 };
static const char prefix[] = "tensor(";
enum { INDENT = sizeof prefix - 1 };

typedef enum notation { INTEGERS, FIXED, SCIENTIFIC } notation;

typedef struct page {
    const ls_tensor *t;
    bool cut;      /* only the ends of long axes are shown */
    int64_t count; /* elements shown */
    int64_t next;  /* of those, the next to be written */
    notation form;
    int width;  /* of an element */
    char *text; /* NULL: no memory */
    size_t used, room;
    size_t line; /* where the last line begins */
} page;

/* ---- text ------------------------------------------------------------------------------------ */
static void put(page *p, const char *text)
{
    size_t bytes = strlen(text);
    if (p->text && p->used + bytes >= p->room) {
        size_t room = 2 * (p->used + bytes + 1);
        char *text_there = p->text;
        if ((p->text = ls_memory_new(room))) memcpy(p->text, text_there, p->used);
        ls_memory_free(text_there);
        p->room = room;
    }
    if (!p->text) return;
    memcpy(p->text + p->used, text, bytes + 1);
    p->used += bytes;
}

static void put_spaces(page *p, int count)
{
    while (count-- > 0) put(p, " ");
}

static void put_lines(page *p, int count, int indent)
{
    while (count-- > 0) put(p, "\n");
    p->line = p->used;
    put_spaces(p, indent);
}

/* ", before name after", on a new line where this one has no room. PyTorch counts the first line's
 * length from two characters before it; so does this. */
static void put_suffix(page *p, size_t *length, const char *before, const char *name,
                       const char *after)
{
    size_t bytes = strlen(before) + strlen(name) + strlen(after);
    put(p, ",");
    if (*length + bytes + 2 > LINE) {
        put_lines(p, 1, INDENT);
        *length = INDENT + bytes;
    } else {
        put(p, " ");
        *length += bytes + 2;
    }
    put(p, before);
    put(p, name);
    put(p, after);
}

/* ---- the elements that are shown ------------------------------------------------------------- */
static int64_t shown_along(const page *p, int axis)
{
    int64_t dim = p->t->shape.dim[axis];
    return p->cut && dim > 2 * EDGE ? 2 * EDGE : dim;
}

/* Where element i of those shown lies in the tensor. */
static int64_t offset_of(const page *p, int64_t i)
{
    int64_t offset = 0, step = 1;
    for (int axis = p->t->shape.ndim - 1; axis >= 0; axis--) {
        int64_t along = shown_along(p, axis), dim = p->t->shape.dim[axis], k = i % along;
        offset += step * (k < EDGE ? k : dim - along + k);
        step *= dim;
        i /= along;
    }
    return offset;
}

/* Element i of those shown, in the page's notation; its length. */
static int cell(const page *p, int64_t i, char out[CELL])
{
    int64_t offset = offset_of(p, i);
    if (p->t->dtype == LS_INT64)
        return snprintf(out, CELL, "%" PRId64, ((const int64_t *)p->t->data)[offset]);
    double x = ls_element(p->t, offset);
    if (!isfinite(x)) return snprintf(out, CELL, "%s", isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
    const char *form[] = { [INTEGERS] = "%.0f.", [FIXED] = "%.4f", [SCIENTIFIC] = "%.4e" };
    return snprintf(out, CELL, form[p->form], x);
}

static bool decides(const page *p, int64_t i, double *x)
{
    *x = ls_element(p->t, offset_of(p, i));
    return isfinite(*x) && *x != 0;
}

static notation choose_notation(const page *p)
{
    double smallest = INFINITY, largest = 0, x;
    bool integers = true;
    for (int64_t i = 0; i < p->count; i++) {
        if (!decides(p, i, &x)) continue;
        smallest = fmin(smallest, fabs(x));
        largest = fmax(largest, fabs(x));
        integers = integers && x == ceil(x);
    }
    if (largest == 0) return INTEGERS;
    if (largest / smallest > 1000 || largest > 1e8 || smallest < 1e-4) return SCIENTIFIC;
    return integers ? INTEGERS : FIXED;
}

static int find_width(const page *p)
{
    char text[CELL];
    double x;
    int width = 1;
    for (int64_t i = 0; i < p->count; i++) {
        if (p->t->dtype != LS_INT64 && !decides(p, i, &x)) continue;
        int length = cell(p, i, text);
        if (length > width) width = length;
    }
    return width;
}

static void put_cell(page *p)
{
    char text[CELL];
    int length = cell(p, p->next++, text);
    put_spaces(p, p->width - length);
    put(p, text);
}

/* The elements under one index of the axes before this one, in brackets. */
static void put_axis(page *p, int axis, int indent)
{
    int ndim = p->t->shape.ndim;
    if (axis == ndim) {
        put_cell(p);
        return;
    }
    bool is_last = axis == ndim - 1;
    int64_t along = shown_along(p, axis), dots = along < p->t->shape.dim[axis];
    int64_t per_line = (LINE - indent) / (p->width + 2);
    if (per_line < 1) per_line = 1;
    put(p, "[");
    for (int64_t k = 0; k < along + dots; k++) {
        if (k > 0) {
            put(p, ",");
            if (!is_last) put_lines(p, ndim - axis - 1, indent + 1);
            else if (k % per_line == 0) put_lines(p, 1, indent + 1);
            else put(p, " ");
        }
        if (dots && k == EDGE) put(p, is_last ? " ..." : "...");
        else put_axis(p, axis + 1, indent + 1);
    }
    put(p, "]");
}

/* ---- the whole text -------------------------------------------------------------------------- */
static void put_suffixes(page *p)
{
    const ls_tensor *t = p->t;
    ls_dtype usual = t->ctx->opts.dtype;
    size_t length = p->used - p->line + 2;
    ls_shape_text shape = ls_shape_str(t->shape);
    if (t->count == 0 && t->shape.ndim != 1) {
        shape.text[strlen(shape.text) - 1] = '\0';
        put_suffix(p, &length, "size=(", shape.text + 1, ")");
    }
    if (t->dtype != usual && (t->dtype != LS_INT64 || t->count == 0))
        put_suffix(p, &length, "dtype=", "torch.", ls_dtype_name(t->dtype));
    if (t->grad_name) put_suffix(p, &length, "grad_fn=<", t->grad_name, ">");
    else if (t->requires_grad) put_suffix(p, &length, "requires_grad=True", "", "");
}

static bool may_print(const ls_tensor *t)
{
    if (!ls_tensor_usable(t, "ls_print")) return false;
    if (!t->is_part) return true;
    ls_fail(t->ctx, LS_ERR_SHAPE,
            "ls_print: the rows of this part %s lie on several ranks; ls_whole() brings them here",
            ls_shape_str(t->shape).text);
    return false;
}

char *ls_tensor_text(const ls_tensor *t)
{
    if (!may_print(t)) return NULL;
    page p = { .t = t, .cut = t->count > THRESHOLD, .count = 1, .room = 256 };
    for (int axis = 0; axis < t->shape.ndim; axis++) p.count *= shown_along(&p, axis);
    p.form = t->dtype == LS_INT64 ? INTEGERS : choose_notation(&p);
    p.width = find_width(&p);

    p.text = ls_memory_new(p.room);
    put(&p, prefix);
    if (p.count == 0) put(&p, "[]");
    else put_axis(&p, 0, INDENT);
    put_suffixes(&p);
    put(&p, ")");
    if (!p.text) ls_fail_memory(t->ctx, p.room, "the text of a tensor");
    return p.text;
}

void ls_print(const ls_tensor *t)
{
    if (!may_print(t) || !ls_is_root(t->ctx)) return;
    char *text = ls_tensor_text(t);
    if (text) ls_printf(t->ctx, "%s\n", text);
    ls_memory_free(text);
}
