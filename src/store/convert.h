/* convert.h -- numbers as they are stored, and as we compute with them. */
#pragma once
#include "store/store.h"

/* IEEE 754 of 2, 4 or 8 bytes, or two's complement of 1 to 8. */
typedef struct ls_stored { bool is_float, is_signed, is_big_endian; int width; } ls_stored;

/* count numbers, packed, into type. False where one does not fit: an integer beyond int64. Floating
 * numbers are not converted to LS_INT64 (false). */
bool ls_convert(ls_stored s, const void *in, int64_t count, ls_dtype type, void *out);
bool ls_is_converted(ls_stored s, ls_dtype type); /* the bytes differ, so that a copy is not enough */

/* Division by a constant, with the bits of IEEE division. */
typedef void ls_divide_bytes(const uint8_t *in, int64_t count, float high, float low, float *out);
typedef struct ls_divisor { double by; ls_divide_bytes *bytes; float high, low; } ls_divisor; /* bytes: or NULL */
ls_divisor ls_divisor_of(ls_stored s, ls_dtype type, double by); /* by 1: no division */
/* As ls_convert(), then divided in type, a floating one. */
bool ls_convert_divided(ls_stored s, const void *in, int64_t count, ls_dtype type, const ls_divisor *d, void *out);
