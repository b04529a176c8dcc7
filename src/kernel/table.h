/* table.h -- the tables of one type and instruction set. Included last, by float.c and double.c. */
#pragma once
#include "kernel/product.h"
#include "kernel/packed.h"
#include "kernel/openblas.h"
#include "kernel/loss.h"
#include "kernel/sgd.h"
#include "kernel/sum_to.h"
#include "kernel/pair.h"
#include "kernel/softmax.h"
#include "kernel/extreme.h"
#include "kernel/tables.h"

#if LS_REAL_BITS == 32
#define TYPE float32
#define DTYPE LS_FLOAT32
#else
#define TYPE float64
#define DTYPE LS_FLOAT64
#endif
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

/* All but the products. */
#define OTHERS                                                                                  \
    .isa = TEXT(LS_ISA), .dtype = DTYPE, .bytes = sizeof(real), .columns = columns, .sum = sum, \
    .sum_square = sum_square, .sum_to = sum_to, .binary = binary, .unary = unary,               \
    .unary_back = unary_back, .add = add, .add_of = add_of, .axpy = axpy, .fill = fill,         \
    .from_double = from_double, .from_int64 = from_int64, .first_bad = first_bad,               \
    .bit_sum = bit_sum, .argmax = argmax, .pair = pair_of, .pair_back = pair_back, .choose = choose,                \
    .softmax = softmax, .softmax_back = softmax_back, .extreme = extreme,                       \
    .extreme_back = extreme_back, .square_back = square_back, .cross_entropy = cross_entropy,   \
    .cross_entropy_back = cross_entropy_back, .sgd = sgd

static const ls_kernel by_openblas = { .inner = blas_inner, .outer = blas_outer, OTHERS };

const ls_kernel LS_KERNEL_TABLE(TYPE, LS_ISA) = {
    .inner = inner, .outer = outer, .tile = TILE_ROWS, .panel = WIDTH, .packed = packed, .outer_pack = outer_pack,
    .outer_packed = outer_packed, .openblas = &by_openblas, OTHERS
};
