/* model.c -- the layers of a model, as they are written and as they are built.
 *
 * A layer is a word ("relu") or a word with its settings ("linear: 512", "linear: {out: 10, bias:
 * true}", "leaky_relu: 0.2"), which are a small table of keys like any other. What goes into a linear layer follows
 * from the data and from the layers before it; where it is written all the same, as checkpoints do,
 * it must fit.
 *
 * Called by value.c for lists, by layers.c for one layer of a list, by train.c and eval.c for the
 * sizes.
 */
#include "cmd/cmd.h"
#include <string.h>

enum { MOST_FEATURES = 2147483647 };

#define NAME(kind, ...) #kind,
#define TEXT(kind, ...) ", " #kind
static const char *const kinds[] = { "linear", LS_ACTIVATIONS(NAME, NAME, NAME) };
static const char all_kinds[] = "linear" LS_ACTIVATIONS(TEXT, TEXT, TEXT);
enum { LINEAR = 0, KINDS = sizeof kinds / sizeof *kinds };

typedef struct linear {
    int64_t in, out;
    bool bias;
} linear;
#define AT(member) offsetof(linear, member)
static const ls_key linear_keys[] = {
    { "out", LS_KEY_INT, LS_KEY_REQUIRED, AT(out), .min = 1, .max = MOST_FEATURES,
      .help = "the number of outputs" },
    { "in", LS_KEY_INT, 0, AT(in), .min = 1, .max = MOST_FEATURES, .help = "the number of inputs" },
    { "bias", LS_KEY_BOOL, 0, AT(bias), .standard = "true", .help = "whether a bias is added" },
};
static const ls_schema linear_schema = { linear_keys, sizeof linear_keys / sizeof *linear_keys,
                                         sizeof(linear) };

/* The numbers of activations. */
enum { DIM_LAST = 0, DIM_1 }; /* of a row's features, both: rows are [N, D] */
typedef struct numbers {
    double negative_slope;
    int64_t dim;
} numbers;
#undef AT
#define AT(member) offsetof(numbers, member)
static const ls_key number_keys[] = {
    { "negative_slope", LS_KEY_REAL, LS_KEY_ABOVE, AT(negative_slope),
      .help = "the slope below 0" },
    { "dim", LS_KEY_CHOICE, 0, AT(dim), .choices = "-1|1", .help = "the axis" },
};

/* The settings of a layer, "{out: 512}", or the first of them alone, "512". */
static ls_status set_own(ls_settings *own, const char *within, const ls_schema *schema,
                         void *values, ls_arena *a, const ls_yaml *v, ls_failure *f)
{
    ls_yaml map = { .kind = LS_YAML_MAP, .at = v->at }, first = *v;
    if (ls_settings_begin(own, schema, values, a, f)) return f->status;
    own->within = within;
    if (v->kind == LS_YAML_SCALAR) {
        first.key = schema->keys[0].path;
        first.key_at = v->at;
        first.next = NULL;
        map.first = &first;
        v = &map;
    }
    return ls_settings_file(own, v, f) ? f->status : ls_settings_complete(own, 0, v, f);
}

static ls_status set_linear(ls_settings *s, const ls_yaml *v, ls_layer *out, ls_failure *f)
{
    linear values;
    ls_settings own;
    if (set_own(&own, "linear", &linear_schema, &values, s->arena, v, f)) return f->status;
    *out = (ls_layer){ "linear", values.in, values.out, !values.bias, 0 };
    return LS_OK;
}

/* An activation whose number is called so. */
static ls_status set_number(ls_settings *s, const char *number, const ls_yaml *v, ls_layer *out,
                            ls_failure *f)
{
    numbers values;
    ls_settings own;
    const ls_key *k = number_keys;
    while (strcmp(k->path, number)) k++;
    const ls_schema one = { k, 1, sizeof values };
    if (set_own(&own, out->kind, &one, &values, s->arena, v, f) || !own.set_by[0]) return f->status;
    out->number = k->type == LS_KEY_REAL ? values.negative_slope : values.dim == DIM_1 ? 1 : -1;
    return LS_OK;
}

static ls_status refuse_kind(const ls_origin *at, const char *kind, ls_failure *f)
{
    char quoted[LS_QUOTE_CHARS];
    const char *near = ls_suggest(kind, KINDS, kinds);
    return ls_complain(f, LS_ERR_CONFIG, at, "unknown layer %s; %s%s%s", ls_quote(kind, quoted),
                       near ? "did you mean \"" : "known are ", near ? near : all_kinds,
                       near ? "\"?" : "");
}

static ls_status set_layer(ls_settings *s, const ls_yaml *v, ls_layer *out, ls_failure *f)
{
    const ls_yaml *with = v->kind == LS_YAML_MAP ? v->first : NULL;
    const char *kind = with ? with->key : v->kind == LS_YAML_SCALAR ? v->text : NULL;
    if (!kind || (with && with->next) || ls_yaml_is_null(v))
        return ls_complain(f, LS_ERR_CONFIG, with && with->next ? &with->next->key_at : &v->at,
                           "a layer is one word, as relu, or one with its size, as linear: 512");
    const ls_origin *at = with ? &with->key_at : &v->at;
    double usual = 0;
    int64_t i = 0;
    while (i < KINDS && strcmp(kinds[i], kind)) i++;
    if (i == KINDS) return refuse_kind(at, kind, f);
    if (i == LINEAR) {
        if (with && !ls_yaml_is_null(with)) return set_linear(s, with, out, f);
        return ls_complain(f, LS_ERR_CONFIG, at,
                           "linear needs its number of outputs, as linear: 512");
    }
    const char *number = ls_activation_number(kind, &usual);
    *out = (ls_layer)LS_ACTIVATION(kinds[i], usual);
    if (!with) return LS_OK;
    if (number && !ls_yaml_is_null(with)) return set_number(s, number, with, out, f);
    return ls_complain(f, LS_ERR_CONFIG, at, "%s has no settings; write it alone, as - %s", kind,
                       kind);
}

static bool make_room(ls_settings *s, int64_t count, ls_layers *out, ls_failure *f)
{
    const size_t bytes = (size_t)count * sizeof(ls_layer);
    ls_layer *at = ls_arena_take(s->arena, bytes);
    if (!at) return !ls_failure_memory(f, bytes, "a list of %lld layers", (long long)count);
    if (out->count) memcpy(at, out->at, (size_t)out->count * sizeof *at);
    out->at = at;
    return true;
}

ls_status ls_layers_set(ls_settings *s, const ls_yaml *list, ls_layers *out, ls_failure *f)
{
    int64_t count = 0;
    for (const ls_yaml *v = list->first; v; v = v->next) count++;
    *out = (ls_layers){ 0 };
    if (!make_room(s, count, out, f)) return f->status;
    for (const ls_yaml *v = list->first; v; v = v->next)
        if (set_layer(s, v, &out->at[out->count++], f)) break;
    return f->status;
}

ls_status ls_layers_set_one(ls_settings *s, int64_t i, const ls_yaml *v, ls_layers *out,
                            ls_failure *f)
{
    if (i > out->count)
        return ls_complain(f, LS_ERR_CONFIG, &v->at,
                           "there is no layer %lld to replace: the model has %lld", (long long)i,
                           (long long)out->count);
    if (!make_room(s, out->count + 1, out, f)) return f->status;
    out->count += i == out->count;
    return set_layer(s, v, &out->at[i], f);
}

ls_status ls_layers_fit(const ls_layers *l, const ls_origin *at, int64_t features, int64_t *outputs,
                        ls_failure *f)
{
    bool has_linear = false;
    *outputs = features;
    for (int64_t i = 0; i < l->count; i++) {
        ls_layer *one = &l->at[i];
        if (strcmp(one->kind, "linear")) continue;
        if (one->in && one->in != *outputs)
            return ls_complain(f, LS_ERR_CONFIG, at,
                               "layer %lld of the model takes %lld features, but %s %lld",
                               (long long)i, (long long)one->in,
                               has_linear ? "the layer before it gives" : "a row of the data has",
                               (long long)*outputs);
        has_linear = true;
        one->in = *outputs;
        *outputs = one->out;
    }
    return has_linear ? LS_OK
                      : ls_complain(f, LS_ERR_CONFIG, at,
                                    "the model has no linear layer, so nothing to train");
}
