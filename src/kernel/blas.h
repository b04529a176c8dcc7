/* blas.h -- OpenBLAS, which is loaded when somebody asks for it. */
#pragma once
#include "kernel/kernel.h"
#include <cblas.h>

typedef struct ls_blas_calls {
    __typeof__(&cblas_sgemm) sgemm;
    __typeof__(&cblas_dgemm) dgemm;
    __typeof__(&openblas_set_num_threads) set_threads;
    __typeof__(&openblas_get_config)      config;
    __typeof__(&openblas_get_corename)    core;
} ls_blas_calls;
/* Filled by the first ls_blas_load(), and never changed again. */
extern ls_blas_calls ls_blas;
/* NULL, or why it cannot be loaded. */
const char *ls_blas_load(void);
/* From now on one thread, which has what memory it needs. It is loaded. */
ls_status ls_blas_prepare(ls_failure *f);
