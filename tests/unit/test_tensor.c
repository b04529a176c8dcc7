/* test_tensor.c -- tensors: making, reading, their lives, slabs, and the errors as sentences. */
#include "tensor/tensor.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <string.h>

#define FAILS(ctx, status, fragment)                                                               \
    do {                                                                                           \
        cr_assert(eq(int, ls_error(ctx), status), "%s", ls_error_text(ctx));                       \
        cr_assert(strstr(ls_error_text(ctx), fragment) != NULL, "%s", ls_error_text(ctx));         \
        ls_finish(ctx);                                                                            \
    } while (0)

Test(tensor, values_shapes_items)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *t = ls_tensor_of(ctx, LS_SHAPE(2, 3), 1, 2, 3, 4, 5, 6.5);
    cr_assert(eq(i64, ls_dim(t, -1), 3));
    cr_assert(eq(i64, ls_dim(t, 0), 2));
    cr_assert(eq(dbl, ls_at(t, 5), 6.5));
    cr_assert(eq(dbl, ls_item(ls_scalar(ctx, 0.1)), (double)0.1f));
    cr_assert(eq(i64, ls_class_at(ls_labels_of(ctx, 7, 8), 1), 8));
    cr_assert(eq(int, ls_finish(ctx), 0));
}

Test(tensor, float64_context)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = LS_FLOAT64 });
    cr_assert(eq(dbl, ls_item(ls_scalar(ctx, 0.1)), 0.1));
    cr_assert(eq(int, ls_finish(ctx), 0));
}

Test(tensor, random_as_pytorch)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    ls_tensor *u = ls_rand(ctx, LS_SHAPE(5));
    cr_assert(eq(flt, (float)ls_at(u, 0), 0.7576316f));
    cr_assert(eq(flt, (float)ls_at(u, 4), 0.0292815566f));
    ls_manual_seed(ctx, 1);
    ls_tensor *n = ls_randn(ctx, LS_SHAPE(10, 3));
    cr_assert(eq(flt, (float)ls_at(n, 0), -1.5255959f));
    cr_assert(eq(flt, (float)ls_at(n, 2), -0.653980911f));
    ls_finish(ctx);
}

Test(tensor, first_error_stays)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor_of(ctx, LS_SHAPE(2, 2), 1, 2, 3);
    cr_assert(ls_zeros(ctx, LS_SHAPE(1)) == NULL);
    cr_assert(isnan(ls_item(NULL)));
    ls_fail(ctx, LS_ERR_DATA, "later");
    FAILS(ctx, LS_ERR_SHAPE, "shape [2, 2] takes 4 values, but 3 are given");
}

Test(tensor, result_ends_with_its_step)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_step_begin(ctx);
    ls_tensor *a = ls_mul_scalar(ls_scalar(ctx, 2), 3), *kept = ls_keep(a);
    ls_step_begin(ctx);
    cr_assert(eq(dbl, ls_item(kept), 6));
    cr_assert(isnan(ls_item(a)));
    FAILS(ctx, LS_ERR_USE, "made in step 1, which has ended");
}

Test(tensor, result_before_the_first_step_lives_on)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *a = ls_mul_scalar(ls_scalar(ctx, 2), 3);
    for (int i = 0; i < 3; i++) ls_step_begin(ctx);
    cr_assert(eq(dbl, ls_item(a), 6));
    cr_assert(eq(int, ls_finish(ctx), 0));
}

Test(tensor, leaf_in_place)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *w = ls_requires_grad(ls_zeros(ctx, LS_SHAPE(2)));
    {
        LS_NO_GRAD(ctx);
        ls_add_(w, ls_full(ctx, LS_SHAPE(2), 1), 3);
    }
    cr_assert(eq(dbl, ls_at(w, 1), 3));
    ls_add_(w, ls_full(ctx, LS_SHAPE(2), 1), 3);
    FAILS(ctx, LS_ERR_USE, "a leaf that requires gradients is being used in an in-place operation");
}

Test(tensor, item_of_many)
{
    ls_ctx *ctx = ls_start(NULL);
    cr_assert(isnan(ls_item(ls_zeros(ctx, LS_SHAPE(2)))));
    FAILS(ctx, LS_ERR_SHAPE, "only tensors of one element have an item, this one is [2]");
}

Test(tensor, element_of_a_part)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_at(ls_split_rows(ls_zeros(ctx, LS_SHAPE(3, 2))), 0);
    FAILS(ctx, LS_ERR_SHAPE, "ls_whole()");
}

Test(tensor, no_such_axis_or_element)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_dim(ls_zeros(ctx, LS_SHAPE(3, 2)), 2);
    FAILS(ctx, LS_ERR_ARG, "shape [3, 2] has no axis 2");
    ctx = ls_start(NULL);
    ls_at(ls_zeros(ctx, LS_SHAPE(3, 2)), 6);
    FAILS(ctx, LS_ERR_ARG, "element 6 of a tensor of shape [3, 2]");
}

Test(tensor, impossible_shapes)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_zeros(ctx, LS_SHAPE(3, -2));
    FAILS(ctx, LS_ERR_SHAPE, "[3, -2] is no shape");
    ctx = ls_start(NULL);
    ls_zeros(ctx, LS_SHAPE(INT64_MAX / 2, 4));
    FAILS(ctx, LS_ERR_SHAPE, "is no shape");
}

Test(tensor, slab_keeps_values)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *a = ls_requires_grad(ls_full(ctx, LS_SHAPE(3), 5)),
              *b = ls_requires_grad(ls_full(ctx, LS_SHAPE(70), 7));
    cr_assert(eq(int, ls_slab_join(ctx, LS_LIST(a, b)), LS_OK));
    cr_assert(eq(dbl, ls_at(a, 2), 5));
    cr_assert(eq(dbl, ls_at(b, 69), 7));
    ptrdiff_t apart = (char *)b->data - (char *)a->data;
    cr_assert(eq(long, apart, 64));
    cr_assert(ls_grad(a) == NULL);
    ls_finish(ctx);
}

Test(tensor, nothing_is_left)
{
    size_t before = ls_memory_live();
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor_free(ls_zeros(ctx, LS_SHAPE(9)));
    ls_tensor_free(NULL);
    ls_requires_grad(ls_zeros(ctx, LS_SHAPE(9)));
    ls_finish(ctx);
    cr_assert(eq(sz, ls_memory_live(), before));
}
