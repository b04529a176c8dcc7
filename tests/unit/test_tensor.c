/* test_tensor.c -- tensors: making, reading, their lives, slabs, and the errors as sentences. */
#include "fails.h"
#include "tensor/tensor.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <string.h>

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

#define HOLDS(t, ...) holds(t, LS_COUNT(double, __VA_ARGS__), (const double[]){ __VA_ARGS__ })
static void holds(const ls_tensor *t, int64_t count, const double *want)
{
    double list[8];
    cr_assert(eq(i64, ls_tolist(t, count, list), count));
    for (int64_t i = 0; i < count; i++) cr_assert(eq(dbl, list[i], want[i]));
}

Test(tensor, ranges_and_diagonals)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *r = ls_arange(ctx, 1, 2.5, 0.5), *k = ls_arange_labels(ctx, 5, -1, -2);
    ls_tensor *eye = ls_eye(ctx, 2, 3);
    double list[6];
    HOLDS(r, 1, 1.5, 2);
    HOLDS(k, 5, 3, 1);
    HOLDS(eye, 1, 0, 0, 0, 1, 0);
    cr_assert(eq(i64, ls_dim(ls_arange(ctx, 2, 2, 1), 0), 0));
    cr_assert(eq(int, ls_finish(ctx), 0));
    ctx = ls_start(NULL);
    ls_arange(ctx, 0, 5, -1);
    FAILS(ctx, LS_ERR_ARG, "ls_arange: steps of -1 do not lead from 0 to 5");
    ctx = ls_start(NULL);
    cr_assert(eq(i64, ls_tolist(ls_zeros(ctx, LS_SHAPE(0, 3)), 0, NULL), 0));
    cr_assert(eq(int, ls_error(ctx), LS_OK));
    cr_assert(eq(i64, ls_tolist(ls_eye(ctx, 2, 3), 5, list), 0));
    FAILS(ctx, LS_ERR_SHAPE, "ls_tolist: shape [2, 3] has 6 elements, and there is room for 5");
}

Test(tensor, all_writings_in_place)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *t = ls_tensor_of(ctx, LS_SHAPE(2), 3, -4), *u = ls_tensor_of(ctx, LS_SHAPE(2), 2, 8);
    ls_sub_(t, u, 0.5);
    HOLDS(t, 2, -8);
    ls_mul_(t, u);
    HOLDS(t, 4, -64);
    ls_div_(t, u);
    HOLDS(t, 2, -8);
    ls_mul_scalar_(t, 0.25);
    HOLDS(t, 0.5, -2);
    ls_fill_(t, 7);
    HOLDS(t, 7, 7);
    ls_copy_(t, u);
    cr_assert(eq(dbl, ls_at(t, 1), 8));
    ls_zero_(t);
    HOLDS(t, 0, 0);
    ls_mul_(t, ls_zeros(ctx, LS_SHAPE(3)));
    FAILS(ctx, LS_ERR_SHAPE, "ls_mul_: [2] is written with [3]");
    ctx = ls_start(NULL);
    ls_fill_(ls_labels_of(ctx, 1), 2);
    FAILS(ctx, LS_ERR_TYPE, "ls_fill_: the tensor is int64, not floating");
}

Test(tensor, results_are_not_written_over)
{
    ls_ctx *ctx = ls_start(NULL);
    ls_tensor *y = ls_exp(ls_requires_grad(ls_zeros(ctx, LS_SHAPE(2))));
    LS_NO_GRAD(ctx);
    ls_mul_scalar_(y, 2);
    FAILS(ctx, LS_ERR_USE,
          "ls_mul_scalar_: writes in place on the result of ExpBackward0, which backward may need");
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
    FAILS(ctx, LS_ERR_SHAPE, "ls_zeros: shape [3, -2] has a dimension below 0; all are 0 or more");
    ctx = ls_start(NULL);
    ls_rand(ctx, LS_SHAPE((int64_t)1 << 40, (int64_t)1 << 40));
    FAILS(ctx, LS_ERR_SHAPE,
          "ls_rand: shape [1099511627776, 1099511627776] has more elements than any memory holds; "
          "make a dimension smaller");
    ctx = ls_start(NULL);
    ls_ones(ctx, (ls_shape){ .ndim = LS_MAX_NDIM + 1 });
    FAILS(ctx, LS_ERR_SHAPE, "ls_ones: a tensor has 0 to 6 dimensions, not 7");
    ctx = ls_start(NULL);
    ls_zeros(ctx, LS_SHAPE(0, (int64_t)1 << 62));
    FAILS(ctx, LS_ERR_SHAPE, "ls_zeros: shape [0, 4611686018427387904] has more elements than");
    ctx = ls_start(NULL);
    ls_view(ls_zeros(ctx, LS_SHAPE(0, (int64_t)1 << 58)), LS_SHAPE(-1, (int64_t)1 << 62, 4));
    FAILS(ctx, LS_ERR_SHAPE, "view: the shape has more elements than any memory holds");
    ctx = ls_start(NULL);
    ls_tensor *wide = ls_zeros(ctx, LS_SHAPE(0, (int64_t)1 << 58));
    ls_cat(LS_LIST(wide, wide, wide, wide), 1);
    FAILS(ctx, LS_ERR_SHAPE, "cat: shape [0, 1152921504606846976] has more elements than");
}

/* Counted in integers: doubles have 53 bits. */
Test(tensor, ranges_of_labels_are_exact)
{
    static const struct {
        int64_t from, to, step, count, last;
    } ranges[] = {
        { (int64_t)1 << 53, ((int64_t)1 << 53) + 3, 1, 3, ((int64_t)1 << 53) + 2 },
        { INT64_MAX - 2, INT64_MAX, 1, 2, INT64_MAX - 1 },
        { INT64_MIN, INT64_MAX, INT64_MAX, 3, INT64_MAX - 1 },
        { INT64_MAX, INT64_MIN, INT64_MIN, 2, -1 },
        { 7, 0, -3, 3, 1 },
        { 4, 4, 1, 0, 0 },
    };
    ls_ctx *ctx = ls_start(NULL);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        ls_tensor *t = ls_arange_labels(ctx, ranges[i].from, ranges[i].to, ranges[i].step);
        cr_assert(eq(i64, ls_dim(t, 0), ranges[i].count));
        for (int64_t k = 0; k < ranges[i].count; k++)
            cr_assert(
                eq(i64, ls_class_at(t, k),
                   (int64_t)((uint64_t)ranges[i].from + (uint64_t)k * (uint64_t)ranges[i].step)));
        if (ranges[i].count)
            cr_assert(eq(i64, ls_class_at(t, ranges[i].count - 1), ranges[i].last));
    }
    ls_arange_labels(ctx, 0, 3, 0);
    FAILS(ctx, LS_ERR_ARG, "ls_arange_labels: steps of 0 do not lead from 0 to 3");
    ctx = ls_start(NULL);
    ls_arange_labels(ctx, INT64_MIN, INT64_MAX, 1);
    FAILS(ctx, LS_ERR_SHAPE,
          "ls_arange_labels: shape [9223372036854775807] has more elements than");
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

/* As PyTorch refuses them. */
Test(tensor, ranges_and_deviations_that_are_none)
{
    static const struct {
        ls_dtype type;
        double from, to;
    } none[] = {
        { LS_FLOAT32, 1, 0 },    { LS_FLOAT32, NAN, 0 },      { LS_FLOAT64, 0, NAN },
        { LS_FLOAT32, 0, 1e39 }, { LS_FLOAT32, -3e38, 3e38 }, { LS_FLOAT64, -INFINITY, 0 },
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = none[i].type });
        cr_assert(ls_uniform_(ls_ones(ctx, LS_SHAPE(2)), none[i].from, none[i].to) == NULL);
        FAILS(ctx, LS_ERR_ARG,
              none[i].type == LS_FLOAT32 ? "is no range of float32 numbers" : "float64");
    }
    for (int i = 0; i < 2; i++) {
        ls_ctx *ctx = ls_start(NULL);
        cr_assert(ls_normal_(ls_ones(ctx, LS_SHAPE(2)), 0, i ? NAN : -1) == NULL);
        FAILS(ctx, LS_ERR_ARG, "ls_normal_: the deviation is");
    }
    ls_ctx *ctx = ls_start(&(ls_opts){ .dtype = LS_FLOAT64 });
    cr_assert(eq(dbl, ls_at(ls_uniform_(ls_ones(ctx, LS_SHAPE(2)), 3, 3), 1), 3));
    cr_assert(eq(dbl, ls_at(ls_normal_(ls_ones(ctx, LS_SHAPE(2)), 3, 0), 1), 3));
    cr_assert(eq(int, ls_finish(ctx), 0));
}
