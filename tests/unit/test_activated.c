/* test_activated.c -- layers whose activation is made with them: the bits of values and gradients are those of one
 * operation after the other, whatever else is asked of what lies between.
 */
#include "nn/nn.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <string.h>

enum {
    ROWS = 70,
    WIDE = 300
}; /* a layer's result is beyond the first cache; leaves are not whole */

typedef struct kind {
    ls_dtype dtype;
    ls_products kernel;
    bool is_whole; /* no parts */
    bool keeps;    /* the gradients of what lies between are asked for */
    bool twice;    /* two backwards through one record */
    bool shared;   /* what lies between goes two ways */
    bool frozen;   /* the second layer's weight takes no part */
} kind;

typedef struct net {
    ls_ctx *ctx;
    ls_module *layers;
    ls_list params;
    ls_tensor *between[3];
} net;

/* The layers up to each activation by themselves, so that what lies between is at hand. */
static ls_tensor *run(net *n, const kind *k, bool apart, ls_tensor *x)
{
    ls_tensor *(*const f[])(ls_tensor *) = { ls_relu, ls_tanh, ls_sigmoid };
    ls_tensor *(*const both[])(ls_tensor *, ls_tensor *,
                               ls_tensor *) = { ls_linear_relu, ls_linear_tanh, ls_linear_sigmoid };
    ls_tensor *side = NULL;
    for (int i = 0; i < 3; i++) {
        ls_tensor *w = n->params.at[2 * i], *b = n->params.at[2 * i + 1];
        if (k->frozen && i == 1) w = ls_detach(w);
        x = apart ? f[i](ls_linear(x, w, b)) : both[i](x, w, b);
        n->between[i] = k->keeps ? ls_retain_grad(x) : x;
        if (i == 0) side = k->shared ? ls_mean_axes(x, LS_AXES(1), true) : NULL;
    }
    x = ls_linear(x, n->params.at[6], n->params.at[7]);
    return side ? ls_add(ls_mul(x, x), side) : x;
}

static void same_bits(const ls_tensor *a, const ls_tensor *b, size_t bytes, const char *what)
{
    cr_assert(a && b && a->count == b->count && !memcmp(a->data, b->data, bytes * (size_t)a->count),
              "%s: other bits", what);
}

static void copy(void *to, const ls_tensor *t, size_t bytes)
{
    memcpy(to, t->data, bytes * (size_t)t->count);
}

static net make(const kind *k)
{
    net n = { .ctx = ls_start(&(ls_opts){ .seed = 5, .dtype = k->dtype, .kernel = k->kernel }) };
    n.layers = ls_sequential(n.ctx, LS_LINEAR(20, WIDE), LS_RELU, LS_LINEAR(0, WIDE), LS_TANH,
                             LS_LINEAR(0, WIDE), LS_SIGMOID, LS_LINEAR(0, 1));
    n.params = ls_parameters(n.layers);
    return n;
}

/* A step: its result in out[0], gradients of parameters after it, those between at the end. */
static void step(net *n, const kind *k, bool apart, double *const out[12])
{
    const size_t bytes = ls_dtype_bytes(k->dtype);
    ls_step_begin(n->ctx);
    ls_manual_seed(n->ctx, 11);
    ls_tensor *x = ls_randn(n->ctx, LS_SHAPE(ROWS, 20));
    ls_tensor *y = run(n, k, apart, k->is_whole ? x : ls_split_rows(x)), *loss = ls_mean(y);
    ls_zero_grad(n->params);
    if (k->twice) ls_backward_with(n->ctx, loss, &(ls_backward_opts){ .retain_graph = true });
    cr_assert(eq(int, ls_backward(n->ctx, loss), LS_OK), "%s", ls_error_text(n->ctx));
    copy(out[0], y, bytes);
    for (int i = 0; i < 8; i++)
        if (!k->frozen || i != 2) copy(out[1 + i], ls_grad(n->params.at[i]), bytes);
    for (int i = 0; k->keeps && i < 3; i++) copy(out[9 + i], ls_grad(n->between[i]), bytes);
}

static void compare(const kind *k)
{
    static double room[2][12][WIDE * WIDE];
    double *out[2][12];
    net n = make(k);
    memset(room, 0, sizeof room);
    for (int a = 0; a < 2; a++)
        for (int i = 0; i < 12; i++) out[a][i] = room[a][i];
    step(&n, k, true, out[0]);
    for (int repeat = 0; repeat < 3; repeat++) { /* planned, then carried out again */
        step(&n, k, false, out[1]);
        for (int i = 0; i < 12; i++)
            cr_assert(memcmp(room[0][i], room[1][i], sizeof room[0][i]) == 0, "array %d, repeat %d",
                      i, repeat);
    }
    cr_assert(eq(int, ls_finish(n.ctx), 0));
}

ParameterizedTestParameters(activated, same_bits_as_apart)
{
    static int number[128];
    for (int i = 0; i < 128; i++) number[i] = i;
    return cr_make_param_array(int, number, 128, NULL);
}

ParameterizedTest(const int *number, activated, same_bits_as_apart)
{
    const int i = *number;
    compare(&(kind){ .dtype = i & 1 ? LS_FLOAT64 : LS_FLOAT32,
                     .kernel = i & 2 ? LS_OPENBLAS : LS_CANONICAL,
                     .is_whole = i & 4,
                     .keeps = i & 8,
                     .twice = i & 16,
                     .shared = i & 32,
                     .frozen = i & 64 });
}

/* A Sequential uses them; its result is known by its last layer, as in PyTorch, and an error by the layer. */
Test(activated, layers_of_a_sequential)
{
    const kind k = { .dtype = LS_FLOAT32 };
    net n = make(&k);
    ls_step_begin(n.ctx);
    ls_tensor *x = ls_randn(n.ctx, LS_SHAPE(ROWS, 20)), *y = ls_forward(n.layers, x);
    same_bits(y, run(&n, &k, true, x), sizeof(float), "four layers");
    ls_module *m = ls_sequential(n.ctx, LS_LINEAR(20, 3), LS_RELU);
    y = ls_forward(m, x);
    cr_assert(y->record->op == &ls_op_linear_relu);
    cr_assert_str_eq(y->grad_name, "ReluBackward0");
    cr_assert(ls_forward(m, ls_ones(n.ctx, LS_SHAPE(4, 2))) == NULL);
    cr_assert(strncmp(ls_error_text(n.ctx), "linear: ", 8) == 0, "%s", ls_error_text(n.ctx));
    ls_finish(n.ctx);
}
