/* test_print.c -- the text of tensors against PyTorch's own, stored in tests/data/print.inc, which
 * tests/data/print.py writes. Contexts and tensors are made by hand: printing needs nothing else.
 */
#include "tensor/print.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/redirect.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct stored {
    const char *name;
    ls_dtype dtype, usual; /* of the tensor and of the context */
    ls_shape shape;
    const void *values; /* int64_t or double; NULL: start, start + step, ... */
    double start, step;
    bool requires_grad;
    const char *grad_name, *text;
} stored[] = {
#include "../data/print.inc"
};
enum { STORED = sizeof stored / sizeof *stored };

static ls_tensor make(ls_ctx *ctx, const struct stored *s)
{
    ls_tensor t = {
        .ctx = ctx, .shape = s->shape, .dtype = s->dtype, .count = ls_shape_count(s->shape)
    };
    t.data = ls_memory_new((size_t)t.count * sizeof(int64_t) + 1);
    t.requires_grad = s->requires_grad;
    t.grad_name = s->grad_name;
    for (int64_t i = 0; i < t.count; i++) {
        double x = s->start + s->step * (double)i;
        if (s->dtype == LS_INT64) {
            ((int64_t *)t.data)[i] = s->values ? ((const int64_t *)s->values)[i] : (int64_t)x;
            continue;
        }
        if (s->values) x = ((const double *)s->values)[i];
        if (s->dtype == LS_FLOAT32) ((float *)t.data)[i] = (float)x;
        else ((double *)t.data)[i] = x;
    }
    return t;
}

Test(print, every_stored_text)
{
    int wrong = 0;
    for (int i = 0; i < STORED; i++) {
        ls_ctx ctx = { .opts.dtype = stored[i].usual };
        ls_tensor t = make(&ctx, &stored[i]);
        char *text = ls_tensor_text(&t);
        if (!text || strcmp(text, stored[i].text) != 0) {
            cr_log_error("%s prints\n%s\nand PyTorch\n%s", stored[i].name,
                         text ? text : "(nothing)", stored[i].text);
            wrong++;
        }
        ls_memory_free(text);
        ls_memory_free(t.data);
    }
    cr_assert(STORED >= 60 && wrong == 0, "%d of %d texts differ", wrong, (int)STORED);
    cr_assert(eq(sz, ls_memory_live(), 0));
}

static struct stored three = { "three", LS_FLOAT32, LS_FLOAT32, { 1, { 3 } }, NULL,
                               1,       1,          false,      NULL,         "" };

Test(print, on_the_root_only, .init = cr_redirect_stdout)
{
    ls_ctx root = { .is_root = true }, other = { 0 };
    ls_tensor t = make(&root, &three), same = make(&other, &three);
    ls_print(&t);
    ls_print(&same);
    ls_print(NULL);
    cr_assert_stdout_eq_str("tensor([1., 2., 3.])\n");
    ls_memory_free(t.data);
    ls_memory_free(same.data);
}

Test(print, part_is_refused_on_every_rank, .init = cr_redirect_stdout)
{
    for (int root = 0; root < 2; root++) {
        ls_ctx ctx = { .is_root = root };
        ls_tensor t = make(&ctx, &three);
        t.is_part = true;
        ls_print(&t);
        cr_assert(eq(int, ls_error(&ctx), LS_ERR_SHAPE));
        cr_assert(ne(ptr, strstr(ls_error_text(&ctx), "ls_whole()"), NULL));
        ls_memory_free(t.data);
    }
    fputs("nothing", stdout);
    fflush(stdout);
    cr_assert_stdout_eq_str("nothing");
}

Test(print, nothing_after_an_error, .init = cr_redirect_stdout)
{
    ls_ctx ctx = { .is_root = true };
    ls_tensor t = make(&ctx, &three);
    ls_fail(&ctx, LS_ERR_DATA, "something");
    ls_print(&t);
    cr_assert(eq(ptr, ls_tensor_text(&t), NULL));
    cr_assert(eq(str, (char *)ls_error_text(&ctx), "something"));
    fputs("nothing", stdout);
    fflush(stdout);
    cr_assert_stdout_eq_str("nothing");
    ls_memory_free(t.data);
}

Test(print, ended_step_is_refused)
{
    ls_ctx ctx = { .is_root = true, .step = 2 };
    ls_tensor t = make(&ctx, &three);
    t.in_step = true;
    t.step = 1;
    ls_print(&t);
    cr_assert(eq(int, ls_error(&ctx), LS_ERR_USE));
    ls_memory_free(t.data);
}
