/* test_grad.c -- autograd's rules: accumulation, scopes, several uses, and its errors as sentences.
 * And that a step which repeats an earlier one, wholly or in part, gives what it gives alone.
 */
#include "fails.h"
#include "comm/comm.h"
#include "grad/grad.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <string.h>

static ls_tensor *parameter(ls_ctx *ctx, double value)
{
    return ls_requires_grad(ls_scalar(ctx, value));
}

Test(grad, accumulates_until_zeroed)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = parameter(ctx, 2);
    cr_assert(ls_grad(w) == NULL);
    for (int i = 1; i <= 21; i++) {
        ls_backward(ctx, ls_mul_scalar(w, 2));
        cr_assert(eq(dbl, ls_item(ls_grad(w)), 2 * i));
    }
    ls_zero_grad(LS_LIST(w));
    cr_assert(eq(dbl, ls_item(ls_grad(w)), 0));
    ls_backward(ctx, ls_add_scalar(ls_mul_scalar(ls_pow(w, 2), 2), 5));
    cr_assert(eq(dbl, ls_item(ls_grad(w)), 8));
    cr_assert(eq(int, ls_finish(ctx), 0));
}

Test(grad, several_uses)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = parameter(ctx, 3);
    ls_tensor *cube = ls_mul(ls_mul(w, w), w);
    ls_backward(ctx, ls_add(cube, ls_add(w, w)));
    cr_assert(eq(dbl, ls_item(ls_grad(w)), 29));
    ls_finish(ctx);
}

Test(grad, nothing_is_recorded_in_a_scope)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = parameter(ctx, 3), *inside, *outside;
    {
        LS_NO_GRAD(ctx);
        inside = ls_mul(w, w);
    }
    outside = ls_mul(w, w);
    cr_assert(not(inside->requires_grad));
    cr_assert(outside->requires_grad);
    cr_assert(not(ls_detach(outside)->requires_grad));
    LS_NO_GRAD(ctx);
    cr_assert(eq(int, ls_finish(ctx), 0));
}

Test(grad, parts_and_wholes_agree)
{
    double got[2];
    for (int split = 0; split < 2; split++) {
        ls_ctx *ctx = ls_start(&(ls_opts){ .leaf_rows = 64 });
        ls_tensor *x = ls_randn(ctx, LS_SHAPE(50, 3)),
                  *w = ls_requires_grad(ls_randn(ctx, LS_SHAPE(3, 1)));
        if (split) x = ls_split_rows(x);
        ls_backward(ctx, ls_mean(ls_pow(ls_matmul(x, w), 2)));
        got[split] = ls_at(ls_grad(w), 1);
        ls_finish(ctx);
    }
    cr_assert(eq(dbl, got[0], got[1]));
}

Test(grad, steps_allocate_nothing)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *x = ls_split_rows(ls_randn(ctx, LS_SHAPE(100, 5))),
              *y = ls_split_rows(ls_randn(ctx, LS_SHAPE(100, 1)));
    ls_module *m = ls_sequential(ctx, LS_LINEAR(5, 8), LS_TANH, LS_LINEAR(8, 1));
    ls_optim *o = ls_sgd_new(ctx, ls_parameters(m), &(ls_sgd_opts){ .lr = 0.01, .momentum = 0.9 });
    size_t calls = 0;
    for (int i = 0; i < 20 && ls_step_begin(ctx); i++) {
        if (i == 3) calls = ls_memory_calls();
        ls_tensor *loss = ls_mse_loss(ls_forward(m, x), y);
        ls_optim_zero_grad(o);
        ls_backward(ctx, loss);
        ls_optim_step(ctx, o);
    }
    cr_assert(eq(sz, ls_memory_calls(), calls));
    ls_finish(ctx);
}

/* ---- sums that may be sent while backward goes on --------------------------------------------- */
/* Links that only count, and make all sums at the end. */
typedef struct sending {
    int64_t begun[8], lots, sums, looks;
    ls_row_sum *first[8];
    bool in_order;
} sending;
static sending sent;

static bool begin_sums(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count)
{
    (void)ctx;
    for (int64_t i = 0; i < count; i++) sent.first[sent.sums++] = sums[i];
    sent.begun[sent.lots++] = count;
    return true;
}

static bool look(ls_ctx *ctx)
{
    (void)ctx;
    return ++sent.looks < 5;
}

static ls_status end_sums(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count)
{
    if (sent.lots) sent.in_order = count > sent.sums;
    for (int64_t i = 0; i < sent.sums; i++) sent.in_order &= sums[i] == sent.first[i];
    return ls_comm_links.sums(ctx, sums, count);
}

/* Backward of a chain of linear layers, with those links. */
static sending send_chain(const int64_t *width, int layers)
{
    ls_links links = ls_comm_links;
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *h = ls_split_rows(ls_randn(ctx, LS_SHAPE(40, width[0])));
    links.begin = begin_sums;
    links.progress = look;
    links.sums = end_sums;
    ctx->links = &links;
    for (int i = 0; i < layers; i++)
        h = ls_tanh(ls_forward(ls_linear_new(ctx, width[i], width[i + 1]), h));
    sent = (sending){ 0 };
    ls_backward(ctx, ls_mean(h));
    cr_assert(eq(int, ls_finish(ctx), 0));
    return sent;
}

/* The last layers' gradients first, as soon as there are enough; some are always left for the end. */
Test(grad, large_gradients_begin_to_be_added_before_backward_ends)
{
    sending s = send_chain((const int64_t[]){ 600, 600, 600, 5 }, 3);
    cr_assert(s.lots == 1 && s.begun[0] == 4 && s.in_order);
    cr_assert(ge(i64, s.looks, 3)); /* gradient of the layer's input, of tanh, of the first layer */
    s = send_chain((const int64_t[]){ 5, 600, 600, 600 }, 3);
    cr_assert(s.lots == 2 && s.begun[0] == 2 && s.begun[1] == 2 && s.in_order);
    s = send_chain((const int64_t[]){ 600, 600 }, 1);
    cr_assert(s.lots == 0);
    s = send_chain((const int64_t[]){ 200, 200, 200, 200 }, 3);
    cr_assert(s.lots == 0);
}

Test(grad, second_backward)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *loss = ls_pow(parameter(ctx, 3), 2);
    ls_backward(ctx, loss);
    ls_backward(ctx, loss);
    FAILS(ctx, LS_ERR_USE,
          "trying to backward through the graph a second time, whose values are given up after the "
          "first: compute the loss anew in each step, or set retain_graph");
}

Test(grad, vector_loss)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = ls_requires_grad(ls_zeros(ctx, LS_SHAPE(3)));
    ls_backward(ctx, ls_mul_scalar(w, 2));
    FAILS(ctx, LS_ERR_SHAPE, "the loss has shape [3]");
}

Test(grad, loss_without_parameters)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_backward(ctx, ls_mul_scalar(ls_scalar(ctx, 1), 2));
    FAILS(ctx, LS_ERR_USE, "does not depend on a tensor that requires gradients");
}

Test(grad, shapes_as_sentences)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_add(ls_zeros(ctx, LS_SHAPE(3, 2)), ls_zeros(ctx, LS_SHAPE(4)));
    FAILS(ctx, LS_ERR_SHAPE, "add: the shapes do not broadcast ([3, 2] and [4])");
    ctx = ls_start(NULL);
    ls_matmul(ls_zeros(ctx, LS_SHAPE(3, 2)), ls_zeros(ctx, LS_SHAPE(3, 1)));
    FAILS(ctx, LS_ERR_SHAPE, "matmul: the inner sizes differ ([3, 2] and [3, 1])");
    ctx = ls_start(NULL);
    ls_mse_loss(ls_zeros(ctx, LS_SHAPE(3, 2)), ls_zeros(ctx, LS_SHAPE(3)));
    FAILS(ctx, LS_ERR_SHAPE,
          "mse_loss: prediction and target must have one shape ([3, 2] and [3])");
    ctx = ls_start(NULL);
    ls_dot(ls_zeros(ctx, LS_SHAPE(3)), ls_labels_of(ctx, 1, 2, 3));
    FAILS(ctx, LS_ERR_TYPE, "matmul: input 2 must be floating, but is int64; ls_to_float()");
    ctx = ls_start(NULL);
    ls_add(ls_split_rows(ls_zeros(ctx, LS_SHAPE(3))), ls_split_rows(ls_zeros(ctx, LS_SHAPE(4))));
    FAILS(ctx, LS_ERR_SHAPE, "parts of batches of 3 and 4 rows");
}

Test(grad, class_out_of_range)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_cross_entropy(ls_zeros(ctx, LS_SHAPE(3, 4)), ls_labels_of(ctx, 1, 4, 0));
    FAILS(ctx, LS_ERR_DATA, "row 1 has class 4, but the model has outputs for 0 to 3");
}

/* ---- steps that repeat earlier ones ---------------------------------------------------------------
 * Each program runs twice, once with every step worked out anew. All that can be read must have the
 * same bits, errors included. */
typedef struct program {
    ls_ctx *ctx;
    ls_tensor *w, *v, *x, *y;
    ls_module *model[2];
    ls_optim *optim[2];
    ls_loader *data;
    ls_sha256 seen;
} program;

static void see(program *p, const ls_tensor *t)
{
    if (t) ls_sha256_add(&p->seen, t->data, (size_t)t->count * ls_dtype_bytes(t->dtype));
}

/* The error, if any, which ends here. */
static void see_error(program *p)
{
    const char *text = ls_error_text(p->ctx);
    ls_sha256_add(&p->seen, text, strlen(text));
    if (ls_error(p->ctx)) ls_clear(p->ctx);
}

static void see_params(program *p)
{
    for (int m = 0; m < 2; m++)
        for (int64_t i = 0; i < ls_parameters(p->model[m]).count; i++)
            see(p, ls_parameters(p->model[m]).at[i]);
    see(p, ls_grad(p->w));
    see(p, ls_grad(p->v));
}

/* After the first step, w is used up to here by each. */
static void learn(program *p, int m, ls_tensor *loss)
{
    ls_optim_zero_grad(p->optim[m]);
    ls_backward(p->ctx, loss);
    ls_optim_step(p->ctx, p->optim[m]);
    see(p, loss);
}

static void short_batches(program *p, int step)
{
    ls_tensor *x, *y;
    (void)step;
    if (!ls_next(p->data, &x, &y)) return; /* the end of an epoch */
    ls_tensor *h = ls_forward(p->model[0], ls_view(x, LS_SHAPE(-1, 3)));
    see(p, h);
    learn(p, 0, ls_mse_loss(h, y));
}

static void alternating_programs(program *p, int step)
{
    ls_step_begin(p->ctx);
    if (step % 3) learn(p, 0, ls_mse_loss(ls_forward(p->model[0], p->x), p->y));
    else {
        LS_NO_GRAD(p->ctx);
        see(p, ls_mean(ls_tanh(ls_forward(p->model[1], p->x))));
    }
}

static void branches(program *p, int step)
{
    ls_step_begin(p->ctx);
    ls_tensor *h = ls_mul(p->w, p->v);
    if (step % 2) h = ls_tanh(h);
    if (step % 5 > 2) h = ls_add(h, ls_relu(h));
    see(p, h = ls_mul(h, p->v));
    ls_backward(p->ctx, ls_sum(h));
}

static const ls_shape shapes[] = { { 1, { 3 } }, { 2, { 1, 3 } }, { 1, { 1 } }, { 0 } };

static void freed_tensors(program *p, int step)
{
    ls_step_begin(p->ctx);
    ls_tensor *c = ls_full(p->ctx, shapes[step % 4], step + 0.5);
    if (step % 8 > 3) ls_requires_grad(c);
    ls_tensor *h = ls_add(ls_mul(ls_tanh(p->w), c), c);
    cr_assert(eq(int, ls_shape_of(h).ndim, step % 4 == 1 ? 2 : 1));
    see(p, h);
    ls_backward(p->ctx, ls_sum(h));
    see(p, ls_grad(c));
    ls_tensor_free(c);
}

/* At one address a tensor of another kind in each step. */
static void other_tensors(program *p, int step)
{
    static ls_tensor *from[6];
    for (int i = 0; i < 4 && !step; i++) from[i] = ls_full(p->ctx, shapes[i], i + 0.5);
    if (!step) from[4] = ls_randn(p->ctx, LS_SHAPE(3, 3));
    if (!step) from[5] = ls_split_rows(from[4]);
    ls_step_begin(p->ctx);
    int one = 3 * step % 7 % 6;
    ls_tensor *h = ls_mul(ls_detach(from[one]), p->w);
    cr_assert(eq(int, h->is_part, one == 5));
    see(p, h = ls_add(h, p->v));
    ls_backward(p->ctx, ls_sum(h));
}

static void errors(program *p, int step)
{
    ls_step_begin(p->ctx);
    ls_tensor *h = ls_mul(p->w, p->v);
    if (step % 4 == 3) ls_matmul(h, p->x);
    ls_tensor *labels = ls_labels_of(p->ctx, 1, step % 4 == 2 ? 9 : 0);
    ls_tensor *loss = ls_cross_entropy(
        ls_matmul(ls_zeros(p->ctx, LS_SHAPE(2, 3)), ls_view(ls_mul(h, h), LS_SHAPE(3, 1))), labels);
    if (step % 4 == 1) ls_backward(p->ctx, h);
    if (loss) ls_backward(p->ctx, ls_add(loss, ls_sum(h)));
    see_error(p);
    see(p, loss);
}

static void quiet_blocks(program *p, int step)
{
    ls_step_begin(p->ctx);
    ls_tensor *h = NULL;
    if (step % 3 == 1) {
        LS_NO_GRAD(p->ctx);
        h = ls_mul(p->w, p->v);
    } else h = ls_mul(p->w, p->v);
    cr_assert(eq(int, h->requires_grad, step % 3 != 1));
    if (step % 2) h = ls_detach(h);
    ls_backward(p->ctx, ls_sum(ls_mul(h, p->v)));
}

static void second_backwards(program *p, int step)
{
    ls_step_begin(p->ctx);
    ls_tensor *h = ls_mul(p->w, p->v), *loss = ls_sum(ls_tanh(h));
    ls_backward(p->ctx, loss);
    if (step % 3 == 2) ls_backward(p->ctx, step % 2 ? loss : ls_sum(ls_pow(h, 2)));
    cr_assert(eq(int, ls_error(p->ctx), step % 3 == 2 ? LS_ERR_USE : LS_OK));
    see_error(p);
}

static void accumulating(program *p, int step)
{
    ls_step_begin(p->ctx);
    if (step % 4 == 0) ls_zero_grad(LS_LIST(p->w, p->v));
    if (step % 7 == 0) ls_zero_grad(LS_LIST(p->v));
    ls_backward(p->ctx, ls_sum(ls_mul(p->w, p->w)));
    if (step % 2) ls_backward(p->ctx, ls_sum(ls_mul(ls_tanh(p->w), p->v)));
}

static void several_models(program *p, int step)
{
    ls_step_begin(p->ctx);
    ls_tensor *h = ls_forward(p->model[0], p->x),
              *k = ls_forward(p->model[1], ls_detach(ls_tanh(h)));
    if (step % 4 == 3) { /* in the other order */
        learn(p, 1, ls_mse_loss(k, p->y));
        learn(p, 0, ls_mse_loss(h, p->y));
    } else {
        learn(p, 0, ls_mse_loss(h, p->y));
        learn(p, 1, ls_mse_loss(k, p->y));
    }
}

static void arguments(program *p, int step)
{
    ls_step_begin(p->ctx);
    ls_tensor *rows = ls_view(ls_detach(step % 4 < 2 ? p->x : p->y), LS_SHAPE(-1));
    ls_tensor *h = ls_view(ls_mul_scalar(rows, step), LS_SHAPE(step % 2 ? 25 : 50, -1));
    cr_assert(eq(i64, ls_dim(h, 0), step % 2 ? 25 : 50));
    see(p, h);
    ls_backward(p->ctx, ls_sum(ls_mul_scalar(ls_pow(p->w, step % 3 + 1), 1 / (1.0 + step))));
}

static void parameters_come(program *p, int step)
{
    ls_step_begin(p->ctx);
    if (step == 4) ls_requires_grad(p->x);
    ls_backward(p->ctx, ls_sum(ls_mul(ls_tanh(p->x), p->w)));
    see(p, ls_grad(p->x));
}

static void parts_and_wholes(program *p, int step)
{
    ls_step_begin(p->ctx);
    ls_tensor *rows = ls_split_rows(ls_mul(p->x, p->w)); /* in leaves of 3 rows */
    if (step % 5 == 4) rows = ls_split_rows(ls_mul_scalar(p->y, 2));
    ls_tensor *whole = ls_whole(p->ctx, ls_add(ls_tanh(rows), p->v));
    see(p, whole);
    ls_backward(p->ctx, ls_mean(ls_add(ls_mul(whole, whole), ls_sum(ls_add(rows, p->w)))));
}

/* Two results are read before they are made again. */
static void ended_results(program *p, int step)
{
    static ls_tensor *h, *c;
    ls_step_begin(p->ctx);
    if (step % 3 != 2) c = ls_detach(p->v);
    else {
        cr_assert(ls_tanh(h) == NULL);
        see_error(p);
    }
    h = ls_mul(p->w, c);
    cr_assert(eq(int, h == NULL, step % 3 == 2));
    if (!h) cr_assert(strstr(ls_error_text(p->ctx), "which has ended") != NULL);
    see_error(p);
    h = ls_mul(p->w, p->v);
    ls_backward(p->ctx, ls_sum(ls_tanh(h)));
}

/* Memory of the step is taken between operations. */
static void other_memory(program *p, int step)
{
    ls_step_begin(p->ctx);
    ls_tensor *h = ls_mul(p->w, p->v);
    ls_tensor *labels = step % 2 ? ls_split_rows(ls_labels_of(p->ctx, 1, 2, 3, 4, 5)) : NULL;
    ls_tensor *k = ls_tanh(h);
    int64_t *class = labels ? labels->data : NULL;
    if (class) class[0] = 77;
    see(p, k);
    see(p, labels);
    ls_backward(p->ctx, ls_sum(ls_mul(k, h)));
}

/* A result from before the first step is used up for good. */
static void used_up(program *p, int step)
{
    static ls_tensor *early;
    if (step == 0) early = ls_mul(p->w, p->v);
    ls_step_begin(p->ctx);
    ls_backward(p->ctx, ls_sum(ls_mul(early, p->v)));
    cr_assert(eq(int, ls_error(p->ctx), step ? LS_ERR_USE : LS_OK));
    see_error(p);
    ls_backward(p->ctx, ls_sum(ls_mul(ls_detach(early), p->v)));
}

/* More ways than are kept. */
static void many_ways(program *p, int step)
{
    static ls_tensor *c[11];
    for (int i = 0; i < 11 && !step; i++) c[i] = ls_randn(p->ctx, LS_SHAPE(i + 1, 3));
    ls_step_begin(p->ctx);
    ls_tensor *h = ls_mul(c[step % 3 ? step % 11 : 10], p->w);
    for (int i = 0; i < step % 13; i++) h = ls_tanh(ls_add(h, p->v));
    see(p, h);
    ls_backward(p->ctx, ls_sum(h));
}

/* Asked for in some steps, on wholes and parts, also of a loss that is walked twice. */
static void kept_gradients(program *p, int step)
{
    ls_step_begin(p->ctx);
    ls_tensor *h = ls_mul(p->w, p->v), *rows = ls_mul(ls_split_rows(p->x), h);
    if (step % 2) ls_retain_grad(h);
    ls_tensor *t = ls_tanh(rows);
    if (step % 3) ls_retain_grad(rows);
    if (step % 5 == 2) ls_retain_grad(t);
    ls_tensor *loss = ls_mean(t);
    ls_backward_with(p->ctx, loss, &(ls_backward_opts){ .retain_graph = step % 4 > 1 });
    if (step % 4 == 3) ls_backward(p->ctx, loss);
    cr_assert(eq(int, ls_grad(h) != NULL, step % 2 != 0));
    cr_assert(eq(int, ls_grad(t) != NULL, step % 5 == 2));
    see(p, ls_grad(h));
    see(p, ls_grad(rows));
    see(p, ls_grad(t));
}

static void no_gradients(program *p, int step)
{
    ls_step_begin(p->ctx);
    if (step % 3 == 0) ls_zero_grad_to_none(LS_LIST(p->w, p->v));
    if (step % 3 == 1) ls_zero_grad(LS_LIST(p->w));
    ls_backward(p->ctx, ls_sum(step % 2 ? ls_mul(p->w, p->v) : ls_mul(p->w, p->w)));
}

static void given_gradients(program *p, int step)
{
    ls_step_begin(p->ctx);
    ls_tensor *g = ls_mul_scalar(p->y, step), *h = ls_mul(p->x, p->w);
    if (step % 2) g = ls_split_rows(g), h = ls_tanh(ls_split_rows(h));
    ls_backward_with(p->ctx, h, &(ls_backward_opts){ .gradient = g });
}

/* A hook that computes, in every other step. */
static void scale_by_sum(void *self, ls_tensor *param, ls_tensor *grad)
{
    program *p = self;
    (void)param;
    ls_mul_scalar_(grad, 1 / (1 + fabs(ls_item(ls_sum(ls_mul(grad, p->w))))));
    see(p, ls_mean(ls_mul(ls_split_rows(p->x), grad)));
}

static void hooked(program *p, int step)
{
    ls_step_begin(p->ctx);
    if (step % 4 == 1) ls_register_hook(p->v, scale_by_sum, p);
    if (step % 4 == 3) ls_remove_hook(p->v, scale_by_sum, p);
    ls_backward(p->ctx, ls_sum(ls_mul(ls_mul(p->w, p->v), p->v)));
    see(p, ls_grad(p->v));
    ls_zero_grad(LS_LIST(p->w, p->v));
}

static program begin(bool anew)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 3, .leaf_rows = 3 });
    program p = { .ctx = ctx };
    ctx->tape->anew = anew;
    ls_sha256_begin(&p.seen);
    p.w = ls_requires_grad(ls_randn(ctx, LS_SHAPE(3)));
    p.v = ls_requires_grad(ls_randn(ctx, LS_SHAPE(3)));
    p.x = ls_randn(ctx, LS_SHAPE(50, 3));
    p.y = ls_randn(ctx, LS_SHAPE(50, 3));
    for (int m = 0; m < 2; m++) {
        p.model[m] = ls_sequential(ctx, LS_LINEAR(3, 7), LS_RELU, LS_LINEAR(7, 3));
        p.optim[m] = ls_sgd_new(ctx, ls_parameters(p.model[m]),
                                &(ls_sgd_opts){ .lr = 0.1, .momentum = 0.5 });
    }
    p.data = ls_loader_new(ctx, ls_tensor_dataset(ctx, p.x, p.y),
                           &(ls_loader_opts){ .batch_size = 16, .shuffle = true });
    return p;
}

static const struct {
    const char *name;
    void (*step)(program *p, int step);
} programs[] = {
#define PROGRAM(name)                                                                              \
    {                                                                                              \
#name, name                                                                                \
    }
    PROGRAM(short_batches),    PROGRAM(alternating_programs),
    PROGRAM(branches),         PROGRAM(freed_tensors),
    PROGRAM(other_tensors),    PROGRAM(errors),
    PROGRAM(quiet_blocks),     PROGRAM(second_backwards),
    PROGRAM(accumulating),     PROGRAM(several_models),
    PROGRAM(arguments),        PROGRAM(parameters_come),
    PROGRAM(parts_and_wholes), PROGRAM(ended_results),
    PROGRAM(other_memory),     PROGRAM(used_up),
    PROGRAM(many_ways),        PROGRAM(kept_gradients),
    PROGRAM(no_gradients),     PROGRAM(given_gradients),
    PROGRAM(hooked),
};
enum { PROGRAMS = sizeof programs / sizeof *programs };

ParameterizedTestParameters(grad, repeated_steps)
{
    static int number[PROGRAMS];
    for (int i = 0; i < PROGRAMS; i++) number[i] = i;
    return cr_make_param_array(int, number, PROGRAMS, NULL);
}

ParameterizedTest(const int *number, grad, repeated_steps)
{
    uint8_t digest[2][32];
    uint64_t made[2];
    for (int anew = 0; anew < 2; anew++) {
        program p = begin(anew);
        for (int i = 0; i < 60; i++) {
            programs[*number].step(&p, i);
            see_params(&p);
            cr_assert(eq(int, ls_error(p.ctx), LS_OK), "%s, step %d: %s", programs[*number].name, i,
                      ls_error_text(p.ctx));
        }
        ls_sha256_end(&p.seen, digest[anew]);
        made[anew] = p.ctx->stamps;
        cr_assert(eq(int, ls_finish(p.ctx), 0));
    }
    cr_assert(memcmp(digest[0], digest[1], 32) == 0, "%s", programs[*number].name);
    cr_assert(lt(u64, made[0], made[1]), "%s: nothing was repeated", programs[*number].name);
}

/* Every result and gradient of a step can be read until the next begins. */
Test(grad, results_stay)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = ls_requires_grad(ls_full(ctx, LS_SHAPE(4), 2));
    for (int step = 0; step < 4; step++) {
        ls_step_begin(ctx);
        ls_tensor *h[8] = { w };
        for (int i = 1; i < 8; i++) h[i] = ls_mul_scalar(ls_relu(h[i - 1]), 2);
        ls_zero_grad(LS_LIST(w));
        ls_backward(ctx, ls_sum(h[7]));
        for (int i = 1; i < 8; i++) cr_assert(eq(dbl, ls_at(h[i], 3), 2 << i));
        cr_assert(eq(dbl, ls_at(ls_grad(w), 1), 128));
    }
    ls_finish(ctx);
}

/* Only operations that allow it write a gradient over the one they read. */
Test(grad, gradients_apart)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = ls_requires_grad(ls_ones(ctx, LS_SHAPE(300))),
              *ones = ls_ones(ctx, LS_SHAPE(300, 300));
    for (int step = 0; step < 3; step++) {
        ls_step_begin(ctx);
        ls_zero_grad(LS_LIST(w));
        ls_backward(ctx, ls_sum(ls_matmul(ls_mul_scalar(w, 2), ones)));
        for (int i = 0; i < 300; i++) cr_assert(eq(dbl, ls_at(ls_grad(w), i), 600));
    }
    ls_finish(ctx);
}

/* A step holds its results, and of gradients what is in flight. */
Test(grad, memory_of_a_step)
{
    enum { N = 64, H = 32, LAYERS = 10, BYTES = N * H * 4 };
    ls_ctx *ctx = ls_start(NULL);
    ls_module *m = ls_sequential(ctx, LS_LINEAR(H, H), LS_TANH, LS_LINEAR(H, H), LS_RELU,
                                 LS_LINEAR(H, H), LS_TANH, LS_LINEAR(H, H), LS_RELU,
                                 LS_LINEAR(H, H), LS_TANH);
    ls_tensor *x = ls_split_rows(ls_randn(ctx, LS_SHAPE(N, H)));
    for (int step = 0; step < 4; step++) {
        ls_step_begin(ctx);
        ls_zero_grad(ls_parameters(m));
        ls_backward(ctx, ls_mean(ls_forward(m, x)));
    }
    ls_step_begin(ctx);
    cr_assert(le(sz, ctx->arena.peak, LAYERS * BYTES + 1024));
    cr_assert(le(sz, ctx->scratch.peak, 2 * BYTES + 1024));
    ls_finish(ctx);
}
