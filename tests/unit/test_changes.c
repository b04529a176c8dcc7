/* test_changes.c -- values that change or end too early: what backward needs, written in place or freed
 * before it, and tensors that are used after they were freed.
 */
#include "fails.h"
#include "grad/grad.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

/* Views, graphs and gradients that are older than the optimizer are of its parameters all the same. */
Test(changes, what_is_older_than_the_optimizer)
{
    for (int i = 0; i < 4; i++) {
        ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = i % 2 ? LS_FLOAT64 : LS_FLOAT32 });
        if (i > 1) ls_step_begin(ctx);
        ls_tensor *w = ls_requires_grad(ls_tensor_of(ctx, LS_SHAPE(3), 1, 2, 3)),
                  *same = ls_detach(w), *column = ls_view(w, LS_SHAPE(3, 1)),
                  *y = ls_sum(ls_mul(w, w));
        ls_backward(ctx, ls_sum(ls_mul(w, w)));
        const ls_tensor *g = ls_grad(w);
        ls_optim *o = ls_sgd_new(ctx, LS_LIST(w), &(ls_sgd_opts){ .lr = 0.125 });
        ls_backward(ctx, y);
        cr_assert(g == ls_grad(w));
        ls_optim_step(ctx, o);
        for (int k = 0; k < 3; k++) {
            cr_expect_eq(ls_at(g, k), 4 * (k + 1));
            cr_expect_eq(ls_at(w, k), (k + 1) / 2.0);
            cr_expect_eq(ls_at(same, k), (k + 1) / 2.0);
            cr_expect_eq(ls_at(column, k), (k + 1) / 2.0);
        }
        cr_assert_eq(ls_finish(ctx), 0, "%s", ls_error_text(ctx));
    }
}

/* ---- values that backward needs -------------------------------------------------------------- */
typedef struct changing {
    ls_ctx *ctx;
    ls_tensor *w, *v, *x; /* two parameters and a tensor, [3] */
    ls_optim *optim;
} changing;

#define MODIFIED "modified by an inplace operation: "

static ls_tensor *a_factor(changing *c)
{
    ls_tensor *y = ls_sum(ls_mul(c->w, c->v));
    LS_NO_GRAD(c->ctx);
    ls_mul_scalar_(c->v, 1);
    return y;
}

static ls_tensor *an_input(changing *c)
{
    ls_tensor *y = ls_sum(ls_mul(c->x, ls_pow(c->w, 3)));
    ls_add_(c->x, c->x, 0);
    return y;
}

static ls_tensor *what_is_viewed(changing *c)
{
    ls_tensor *y = ls_sum(ls_matmul(ls_view(c->x, LS_SHAPE(1, 3)), ls_view(c->w, LS_SHAPE(3, 1))));
    ls_copy_(c->x, c->x);
    return y;
}

static ls_tensor *through_a_view(changing *c)
{
    ls_tensor *y = ls_sum(ls_mul(c->x, c->w));
    ls_fill_(ls_view(c->x, LS_SHAPE(3, 1)), 1);
    return y;
}

static ls_tensor *a_result(changing *c)
{
    ls_tensor *e = ls_exp(c->w);
    ls_zero_(ls_detach(e));
    return ls_sum(e);
}

static ls_tensor *what_a_step_updates(changing *c)
{
    ls_tensor *y = ls_sum(ls_mul(c->w, c->v));
    ls_backward_with(c->ctx, y, &(ls_backward_opts){ .retain_graph = true });
    ls_optim_step(c->ctx, c->optim);
    return y;
}

static ls_tensor *drawn_anew(changing *c)
{
    ls_tensor *y = ls_sum(ls_pow(c->w, 2));
    LS_NO_GRAD(c->ctx);
    ls_normal_(c->w, 0, 1);
    return y;
}

static ls_tensor *freed(changing *c)
{
    ls_tensor *k = ls_keep(c->x), *y = ls_sum(ls_mul(c->w, k));
    ls_tensor_free(k);
    return y;
}

static ls_tensor *freed_parameter(changing *c)
{
    ls_tensor *p = ls_requires_grad(ls_keep(c->x)), *y = ls_sum(ls_add(c->w, p));
    ls_tensor_free(p);
    return y;
}

/* Nothing that backward reads is changed. */
static ls_tensor *terms(changing *c)
{
    ls_tensor *y = ls_sum(ls_add(c->w, c->v));
    LS_NO_GRAD(c->ctx);
    ls_mul_scalar_(c->v, 1);
    return y;
}

static ls_tensor *its_own_factor(changing *c)
{
    ls_tensor *y = ls_sum(ls_div(ls_mul(c->w, c->x), c->x));
    LS_NO_GRAD(c->ctx);
    ls_mul_scalar_(c->w, 1);
    return y;
}

static ls_tensor *before_forward(changing *c)
{
    {
        LS_NO_GRAD(c->ctx);
        ls_mul_scalar_(c->w, 1);
        ls_fill_(ls_view(c->x, LS_SHAPE(3, 1)), 1);
    }
    return ls_sum(ls_mul(c->w, c->x));
}

static ls_tensor *a_copy(changing *c)
{
    ls_tensor *k = ls_keep(c->x), *y = ls_sum(ls_mul(c->w, ls_clone(k)));
    ls_fill_(k, 7);
    ls_tensor_free(k);
    return y;
}

static const struct {
    ls_tensor *(*loss)(changing *c);
    const char *error; /* NULL: none */
} changes[] = {
    { a_factor,
      "ls_backward: one of the variables needed for gradient computation has been " MODIFIED
      "the second input of mul, float32 [3]; change it after backward, or an "
      "ls_clone() of it" },
    { an_input, MODIFIED "the first input of mul, float32 [3]" },
    { what_is_viewed, MODIFIED "the first input of matmul, float32 [1, 3]" },
    { through_a_view, MODIFIED "the first input of mul, float32 [3]" },
    { a_result, MODIFIED "the result of exp, float32 [3]" },
    { what_a_step_updates, MODIFIED "the first input of mul, float32 [3]" },
    { drawn_anew, MODIFIED "the first input of pow, float32 [3]" },
    { freed, "ls_backward: the second input of mul, float32 [3], was freed by ls_tensor_free()" },
    { freed_parameter,
      "ls_backward: the second input of add, float32 [3], was freed by ls_tensor_free()" },
    { terms, NULL },
    { its_own_factor, NULL },
    { before_forward, NULL },
    { a_copy, NULL },
};

/* Before the first step, in one, and in steps that repeat it. */
Test(autograd, values_changed_before_backward)
{
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        for (int steps = 0; steps < 4; steps++) {
            changing c = { .ctx = ls_start(NULL) };
            c.w = ls_requires_grad(ls_tensor_of(c.ctx, LS_SHAPE(3), 1, 2, 3));
            c.v = ls_requires_grad(ls_tensor_of(c.ctx, LS_SHAPE(3), 4, 5, 6));
            c.x = ls_ones(c.ctx, LS_SHAPE(3));
            c.optim = ls_sgd_new(c.ctx, LS_LIST(c.w, c.v), &(ls_sgd_opts){ .lr = 0.1 });
            for (int s = 0; s < steps; s++) {
                ls_step_begin(c.ctx);
                ls_tensor *y = changes[i].loss(&c);
                if (s + 1 < steps && changes[i].error) continue;
                ls_zero_grad(LS_LIST(c.w, c.v));
                ls_backward(c.ctx, y);
            }
            if (!steps) ls_backward(c.ctx, changes[i].loss(&c));
            if (changes[i].error) FAILS(c.ctx, LS_ERR_USE, changes[i].error);
            else {
                for (int k = 0; k < 3; k++) cr_assert(eq(dbl, ls_at(ls_grad(c.w), k), 1));
                cr_assert(eq(int, ls_finish(c.ctx), 0));
            }
        }
}

/* ---- freed tensors --------------------------------------------------------------------------- */
/* Whoever uses a freed tensor is told, in steps that repeat others as well. */
Test(tensor, freed)
{
    static const char *const names[] = { "ls_item",          "mul",      "mul",
                                         "ls_keep",          "ls_copy_", "ls_backward",
                                         "ls_requires_grad", "ls_grad",  "ls_tolist",
                                         "ls_optim_step" };
    for (int i = 0; i < 10; i++) {
        char text[128];
        double out[2];
        ls_ctx *ctx = ls_start(NULL);
        ls_tensor *t = ls_requires_grad(ls_ones(ctx, LS_SHAPE(2))), *u = ls_zeros(ctx, LS_SHAPE(2));
        ls_optim *o = i == 9 ? ls_sgd_new(ctx, LS_LIST(t), &(ls_sgd_opts){ .lr = 1 }) : NULL;
        for (int step = 0; step < 3; step++) {
            ls_step_begin(ctx);
            if (step == 2) ls_tensor_free(t), ls_tensor_free(t);
            if (i == 0) ls_item(step == 2 ? t : ls_sum(t));
            if (i == 1) ls_mul(t, u);
            if (i == 2) ls_mul(u, t);
            if (i == 3) ls_tensor_free(ls_keep(t));
            if (i == 4) ls_copy_(u, t);
            if (i == 5) ls_backward(ctx, step == 2 ? t : ls_sum(t));
            if (i == 6) ls_requires_grad(t);
            if (i == 7) ls_grad(t);
            if (i == 8) ls_tolist(t, 2, out);
            if (i == 9) ls_optim_step(ctx, o);
        }
        snprintf(text, sizeof text,
                 "%s: this tensor, float32 [2], was freed by ls_tensor_free() before", names[i]);
        FAILS(ctx, LS_ERR_USE, text);
    }
}

Test(tensor, heads_of_the_freed_are_few)
{
    ls_ctx *ctx = ls_start(NULL);
    size_t live = 0;
    for (int i = 0; i < 1000; i++) {
        if (i == 500) live = ls_memory_live();
        ls_tensor_free(ls_zeros(ctx, LS_SHAPE(3)));
    }
    cr_assert(eq(sz, ls_memory_live(), live));
    ls_finish(ctx);
}

static void free_others(ls_ctx *ctx)
{
    for (int i = 0; i < 300; i++) ls_tensor_free(ls_zeros(ctx, LS_SHAPE(3)));
}

/* A view, its view and what backward needs, however many others are freed after it, and a gradient, before the
 * first step and in a step. */
Test(tensor, freed_beneath_what_holds_it)
{
    static const char *const texts[] = {
        "ls_at: this tensor, float32 [1, 2], was freed by ls_tensor_free() before, with the one",
        "mul: this tensor, float32 [2, 1], was freed by ls_tensor_free() before, with the one",
        "ls_backward: the first input of mul, float32 [2], was freed by ls_tensor_free() before",
        "ls_at: this tensor, float32 [2], was freed by ls_tensor_free() before"
    };
    for (int i = 0; i < 8; i++) {
        ls_ctx *ctx = ls_start(NULL);
        if (i > 3) ls_step_begin(ctx);
        ls_tensor *t = ls_requires_grad(ls_ones(ctx, LS_SHAPE(2)));
        ls_tensor *view = ls_view(t, LS_SHAPE(1, 2)), *of_it = ls_view(view, LS_SHAPE(2, 1));
        ls_backward(ctx, ls_sum(ls_mul(t, t)));
        ls_tensor *grad = ls_grad(t), *cost = ls_sum(ls_mul(t, t));
        ls_tensor_free(t);
        if (i % 4 < 3) free_others(ctx);
        if (i % 4 == 0) ls_at(view, 0);
        if (i % 4 == 1) ls_mul(of_it, of_it);
        if (i % 4 == 2) ls_backward(ctx, cost);
        if (i % 4 == 3) ls_at(grad, 0);
        FAILS(ctx, LS_ERR_USE, texts[i % 4]);
    }
}

/* Heads that a step holds go in a later one. */
Test(tensor, heads_of_the_lent_are_few)
{
    ls_ctx *ctx = ls_start(NULL);
    size_t live = 0;
    for (int step = 0; step < 120; step++) {
        ls_step_begin(ctx);
        if (step == 60) live = ls_memory_live();
        for (int i = 0; i < 20; i++) {
            ls_tensor *t = ls_zeros(ctx, LS_SHAPE(4));
            ls_view(t, LS_SHAPE(2, 2));
            ls_tensor_free(t);
        }
    }
    cr_assert(eq(sz, ls_memory_live(), live));
    ls_finish(ctx);
}
