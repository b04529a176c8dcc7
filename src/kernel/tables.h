/* tables.h -- the tables by name: ls_kernel_float32_avx512 and so on. */
#pragma once
#include "kernel/kernel.h"

#define LS_KERNEL_TABLE(type, isa) LS_KERNEL_TABLE_OF(type, isa)
#define LS_KERNEL_TABLE_OF(type, isa) ls_kernel_##type##_##isa

extern const ls_kernel ls_kernel_float32_generic, ls_kernel_float64_generic;
extern const ls_kernel ls_kernel_float32_avx2, ls_kernel_float64_avx2;     /* x86-64 */
extern const ls_kernel ls_kernel_float32_avx512, ls_kernel_float64_avx512; /* x86-64 */
