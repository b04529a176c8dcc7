/* float.c -- the table of float, compiled once for each instruction set (LS_ISA).
 *
 * All of it is static in the headers, which are written for either type (real.h); the table is the
 * only symbol. All instruction sets give the same bits: each rounding is written out, contraction
 * is off, and no operation's order depends on the width of a vector. tests/unit/test_kernel.c
 * compares them.
 */
#define LS_REAL_BITS 32
#include "kernel/table.h"
