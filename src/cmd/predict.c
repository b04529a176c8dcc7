/* predict.c -- lockstep predict: what a checkpoint's model says of rows, in an HDF5 file or, of one row,
 * on the terminal.
 *
 * Model, type and scaling are those that the checkpoint holds; targets are not needed. Rows are read in
 * batches as in training, and a row's outputs have the same bits in any batch and on any number of ranks.
 */
#include "cmd/cmd.h"
#include <math.h>
#include <string.h>

typedef struct predict {
    const char *checkpoint, *data, *out, *row, *normalize_as;
} predict;

#define AT(member) offsetof(predict, member)
static const ls_key keys[] = {
    { "CKPT", LS_KEY_TEXT, LS_KEY_REQUIRED | LS_KEY_ARGUMENT, AT(checkpoint),
      .help = "a checkpoint, or a directory of them: the newest sound one" },
    { "data", LS_KEY_TEXT, LS_KEY_OPTION, AT(data), .value = "FILE[:/x]",
      .help = "HDF5 data, and the dataset of inputs in it" },
    { "out", LS_KEY_TEXT, LS_KEY_OPTION, AT(out), .value = "FILE[:/y]",
      .help = "the HDF5 file to make, and the dataset of outputs in it" },
    { "row", LS_KEY_TEXT, LS_KEY_OPTION, AT(row), .value = "NUMBERS",
      .help = "instead of data: one row, 73,80,75" },
    { "normalize-as", LS_KEY_PATHS, LS_KEY_OPTION, AT(normalize_as), .value = "FILE",
      .help = "take mean and deviation from these data, not from CKPT" },
};
static const ls_schema schema = { keys, sizeof keys / sizeof *keys, sizeof(predict) };

/* ---- what is asked for ----------------------------------------------------------------------- */
/* FILE:/name into the file, and the name where there is one. */
static ls_status split_name(ls_ctx *ctx, ls_arena *a, const char *text, const char **file,
                            const char **name)
{
    const char *colon = strrchr(text, ':');
    *file = text;
    if (!colon || colon[1] != '/') return LS_OK;
    size_t bytes = (size_t)(colon - text);
    char *copy = ls_arena_take(a, bytes + 1);
    if (!copy) return ls_fail_memory(ctx, bytes + 1, "the name of a file");
    memcpy(copy, text, bytes);
    copy[bytes] = 0;
    *file = copy;
    *name = colon + 1;
    return LS_OK;
}

static ls_status check_words(ls_ctx *ctx, const predict *o)
{
    if (o->row && (o->data || o->out))
        ls_fail(ctx, LS_ERR_ARG, "--row is instead of --data and --out");
    else if (!o->row && !o->data) ls_fail(ctx, LS_ERR_ARG, "--data or --row must be given");
    else if (o->data && !o->out)
        ls_fail(ctx, LS_ERR_ARG, "--out is missing: the HDF5 file to make");
    return ls_error(ctx);
}

/* The numbers of a row, as the data would be read: a dataset of one row. */
static ls_dataset *dataset_of_row(ls_ctx *ctx, const ls_config *c, const char *text, ls_arena *a)
{
    size_t length = strlen(text);
    char *copy = ls_arena_take(a, length + 1);
    double *values = ls_arena_take(a, (length + 1) * sizeof *values);
    int64_t count = 0;
    bool is_wide = ls_build_opts(c).dtype == LS_FLOAT64;
    if (!copy || !values)
        return ls_fail_memory(ctx, (length + 1) * (1 + sizeof *values), "a row"), NULL;
    memcpy(copy, text, length + 1);
    for (char *rest = copy, *word; (word = strsep(&rest, ",")); count++) {
        char quoted[LS_QUOTE_CHARS];
        word += strspn(word, " ");
        for (size_t n = strlen(word); n > 0 && word[n - 1] == ' '; n--) word[n - 1] = 0;
        bool is_number = ls_text_real(word, &values[count]);
        if (is_number && (is_wide || isfinite((float)values[count]))) continue;
        return ls_fail(ctx, LS_ERR_ARG,
                       is_number ? "--row: %s does not fit float32" : "--row: %s is no number",
                       ls_quote(word, quoted)),
               NULL;
    }
    ls_tensor *x = ls_tensor_new(ctx, (ls_shape){ 2, { 1, count } }, count, values);
    if (c->data.x_scale != 1) x = ls_div_scalar(x, c->data.x_scale);
    return ls_tensor_dataset(ctx, x, x);
}

/* ---- what comes out -------------------------------------------------------------------------- */
static void print_row(ls_ctx *ctx, const ls_config *c, ls_tensor *y)
{
    int64_t count = y ? ls_dim(y, 1) : 0;
    for (int64_t i = 0; i < count; i++)
        ls_printf(ctx, ls_dtype_of(y) == LS_FLOAT64 ? "%s%.17g" : "%s%.9g", i ? " " : "",
                  ls_at(y, i));
    if (ls_build_is_classifier(c))
        ls_printf(ctx, "  class %lld", (long long)ls_class_at(ls_argmax(y, 1), 0));
    ls_printf(ctx, "\n");
}

static void predict_row(ls_ctx *ctx, const ls_config *c, ls_module *model, ls_dataset *d)
{
    ls_tensor *x, *y;
    LS_NO_GRAD(ctx);
    if (ls_dataset_item(d, 0, &x, &y)) print_row(ctx, c, ls_forward(model, ls_unsqueeze(x, 0)));
}

/* The root writes the rows of all ranks, batch by batch. */
static void predict_data(ls_ctx *ctx, const ls_config *c, ls_module *model, ls_dataset *d,
                         const char *file, const char *name)
{
    ls_column out = { name,
                      ls_build_opts(c).dtype == LS_FLOAT64 ? LS_STORE_F64 : LS_STORE_F32,
                      { 1, { 0 } } },
              class = { ls_build_is_classifier(c) ? "/class" : "", LS_STORE_I64, { 0 } };
    ls_loader *l = ls_loader_new(ctx, d, &(ls_loader_opts){ .batch_size = c->data.batch_size });
    ls_writer *w = NULL;
    ls_tensor *x, *y;
    int64_t first, rows, width = 0;
    LS_NO_GRAD(ctx);
    while (ls_next(l, &x, &y)) {
        y = ls_whole(ctx, ls_forward(model, x));
        ls_tensor *place = y && *class.name ? ls_argmax(y, 1) : NULL;
        if (!y || !ls_is_root(ctx)) continue;
        width = out.row.dim[0] = ls_dim(y, 1);
        if (!w) w = ls_writer_new(ctx, file, out, class);
        const void *values = ls_rows_data(y, &first, &rows);
        ls_writer_add(w, rows, values, place ? ls_rows_data(place, &first, &rows) : NULL);
    }
    if (w && !ls_error(ctx) && !ls_writer_close(w))
        ls_printf(ctx, "%s: %lld rows, %s [%lld] %s%s\n", file, (long long)ls_dataset_rows(d), name,
                  (long long)width, out.type == LS_STORE_F64 ? "float64" : "float32",
                  *class.name ? ", /class int64" : "");
}

static void predict_all(ls_ctx *ctx, const predict *o, ls_settings *s)
{
    ls_config c;
    const char *in = NULL, *out = NULL, *x_name = "/x", *y_name = "/y";
    if (check_words(ctx, o) || ls_build_stored(ctx, o->checkpoint, s, &c)) return;
    if (o->data && (split_name(ctx, s->arena, o->data, &in, &x_name) ||
                    split_name(ctx, s->arena, o->out, &out, &y_name)))
        return;
    c.data.x = x_name;
    c.data.y = "";
    ls_dataset *d = o->row ? dataset_of_row(ctx, &c, o->row, s->arena)
                           : ls_build_plain(ctx, &c, in);
    ls_module *model = ls_build_model(ctx, s, d, false);
    if (ls_build_normal(ctx, &c, d, o->checkpoint, o->normalize_as)) return;
    if (ls_load(ctx, model, o->checkpoint)) return;
    if (o->row) predict_row(ctx, &c, model, d);
    else predict_data(ctx, &c, model, d, out, y_name);
}

static void run(ls_ctx *ctx, int64_t count, const char *const *words)
{
    predict o;
    ls_arena a = { 0 };
    ls_settings s = { .arena = &a };
    if (!ls_command_words(ctx, &ls_predict_command, count, words, &o, &a)) predict_all(ctx, &o, &s);
    ls_arena_free(&a);
}

const ls_command ls_predict_command = {
    "predict",
    "what a checkpoint's model says of rows of data, or of one row",
    &schema,
    "Outputs become a dataset /y of as many rows; where the loss takes classes, /class holds the "
    "class of each.\n",
    run,
};
