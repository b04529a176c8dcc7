/* tensor.h -- making and reading tensors. */
#pragma once
#include "context.h"
#ifdef __cplusplus
extern "C" {
#endif
enum { LS_MAX_NDIM = 6 };
typedef struct ls_shape { int ndim; int64_t dim[LS_MAX_NDIM]; } ls_shape;
typedef struct ls_list { int64_t count; ls_tensor *const *at; } ls_list; /* borrowed */
typedef struct ls_axes { int count; int axis[LS_MAX_NDIM]; } ls_axes;     /* of a shape */

#ifndef __cplusplus
#define LS_COUNT(type, ...) ((int64_t)(sizeof((type[]){ __VA_ARGS__ }) / sizeof(type)))
#define LS_SHAPE(...) ((ls_shape){ (int)LS_COUNT(int64_t, __VA_ARGS__), { __VA_ARGS__ } })
#define LS_AXES(...) ((ls_axes){ (int)LS_COUNT(int, __VA_ARGS__), { __VA_ARGS__ } })
#define LS_ALL_AXES ((ls_axes){ 0, { 0 } })
#define LS_LIST(...) ((ls_list){ LS_COUNT(ls_tensor *, __VA_ARGS__), (ls_tensor *[]){ __VA_ARGS__ } })
/* torch.tensor([[1.], [2.]]) is ls_tensor_of(ctx, LS_SHAPE(2, 1), 1, 2); too few values: SHAPE. */
#define ls_tensor_of(ctx, shape, ...) \
    ls_tensor_new(ctx, shape, LS_COUNT(double, __VA_ARGS__), (const double[]){ __VA_ARGS__ })
#define ls_labels_of(ctx, ...) \
    ls_labels_new(ctx, LS_COUNT(int64_t, __VA_ARGS__), (const int64_t[]){ __VA_ARGS__ })
#endif

/* ---- making: whole tensors, equal on all ranks ----------------------------------------------- */
LS_API ls_tensor *ls_tensor_new(ls_ctx *ctx, ls_shape shape, int64_t count, const double *values);
LS_API ls_tensor *ls_labels_new(ls_ctx *ctx, int64_t count, const int64_t *values); /* int64 [count] */
LS_API ls_tensor *ls_scalar(ls_ctx *ctx, double value);                             /* shape [] */
LS_API ls_tensor *ls_zeros(ls_ctx *ctx, ls_shape shape);
LS_API ls_tensor *ls_ones(ls_ctx *ctx, ls_shape shape);
LS_API ls_tensor *ls_full(ls_ctx *ctx, ls_shape shape, double value);
LS_API ls_tensor *ls_eye(ls_ctx *ctx, int64_t rows, int64_t columns); /* 1 on the diagonal */
/* from, from + step, ... up to, and without, to. torch.arange() of integers is int64: ls_arange_labels(). */
LS_API ls_tensor *ls_arange(ls_ctx *ctx, double from, double to, double step);
LS_API ls_tensor *ls_arange_labels(ls_ctx *ctx, int64_t from, int64_t to, int64_t step);
/* These draw from the context's stream as PyTorch does. A trailing _ writes in place. */
LS_API ls_tensor *ls_rand(ls_ctx *ctx, ls_shape shape);
LS_API ls_tensor *ls_randn(ls_ctx *ctx, ls_shape shape);
LS_API ls_tensor *ls_uniform_(ls_tensor *t, double from, double to); /* ARG: from above to, or not finite */
LS_API ls_tensor *ls_normal_(ls_tensor *t, double mean, double deviation); /* ARG: deviation below 0 */

LS_API ls_tensor *ls_keep(const ls_tensor *t); /* copy without history; lives until ls_tensor_free() */
LS_API void       ls_tensor_free(ls_tensor *t); /* who uses one of the last 128, or a view of one, is told: USE */

/* ---- reading. Local; a part gives SHAPE, advice "ls_whole()", where its rows are needed ------ */
LS_API ls_shape ls_shape_of(const ls_tensor *t);
LS_API ls_dtype ls_dtype_of(const ls_tensor *t);
LS_API int64_t  ls_dim(const ls_tensor *t, int axis);       /* axis < 0 counts from the end */
LS_API double   ls_item(const ls_tensor *t);                /* of one element; NaN after an error */
LS_API double   ls_at(const ls_tensor *t, int64_t i);       /* element i in row-major order */
LS_API int64_t  ls_class_at(const ls_tensor *t, int64_t i); /* the same for int64; -1 after an error */
/* Copies all elements in row-major order: count of them, the tensor's (SHAPE). 0 after an error. */
LS_API int64_t  ls_tolist(const ls_tensor *t, int64_t count, double *out);
LS_API void     ls_print(const ls_tensor *t);               /* on the root, as PyTorch prints it */
/* The rows this rank holds of t, first and count, and their values in t's type: for own C code on
 * the data. Valid until t ends or is written. */
LS_API const void *ls_rows_data(const ls_tensor *t, int64_t *first, int64_t *count);

/* ---- writing in place ---------------------------------------------------------------------------
 * On tensors that require gradients only where nothing is recorded (LS_NO_GRAD); never on the result
 * of an operation that has a gradient. What backward() needs may be written after it alone: it looks.
 * t: whole, u: whole, of one shape. */
LS_API void ls_add_(ls_tensor *t, const ls_tensor *u, double alpha); /* t += alpha u, fused: the SGD step */
LS_API void ls_sub_(ls_tensor *t, const ls_tensor *u, double alpha); /* t -= alpha u, fused */
LS_API void ls_mul_(ls_tensor *t, const ls_tensor *u);
LS_API void ls_div_(ls_tensor *t, const ls_tensor *u);
LS_API void ls_mul_scalar_(ls_tensor *t, double c);
LS_API void ls_copy_(ls_tensor *t, const ls_tensor *u);
LS_API void ls_fill_(ls_tensor *t, double value);
LS_API void ls_zero_(ls_tensor *t);
#ifdef __cplusplus
}
#endif
