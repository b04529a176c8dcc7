/* blas.c -- OpenBLAS is loaded by the first one who asks for it, and stays.
 *
 * Most runs never do. Linked, it would be there in all of them, and it starts its threads as soon as it
 * is there: they take memory, every fork waits for them to end, and for ever where memory is so short
 * that they could not begin. Two names are tried, that by which a program that is linked with it finds it,
 * and the same in the directory in which it was when this was built.
 *
 * The addresses are the only state; whoever has called ls_blas_load() may read them.
 *
 * Called by dispatch.c; the addresses are used by openblas.h.
 */
#include "kernel/blas.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

/* What OpenBLAS takes for a thread at its first product, on all CPUs of 64 bits. */
#define BUFFER_BYTES ((size_t)128 << 20)
enum { SIZE = 128 }; /* of a product that it does not make without */

ls_blas_calls ls_blas;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char missing[160];

/* POSIX promises that an address of a function can be had this way, ISO C does not. */
static bool find(void *library, const char *name, void *function)
{
    *(void **)function = dlsym(library, name);
    return *(void **)function != NULL;
}

static void load(void)
{
    void *library = dlopen(LS_BLAS_NAME, RTLD_NOW | RTLD_LOCAL);
    if (!library) library = dlopen(LS_BLAS_DIR "/" LS_BLAS_NAME, RTLD_NOW | RTLD_LOCAL);
    if (library && find(library, "cblas_sgemm", &ls_blas.sgemm) &&
        find(library, "cblas_dgemm", &ls_blas.dgemm) &&
        find(library, "openblas_set_num_threads", &ls_blas.set_threads) &&
        find(library, "openblas_get_config", &ls_blas.config) &&
        find(library, "openblas_get_corename", &ls_blas.core))
        return;
    const char *why = dlerror();
    snprintf(missing, sizeof missing, "%s", why ? why : LS_BLAS_NAME " lacks a function");
}

const char *ls_blas_load(void)
{
    (void)pthread_once(&once, load); /* cannot fail: once is one */
    return missing[0] ? missing : NULL;
}

/* OpenBLAS asks for its buffer again and again, for ever, until it gets it. So it gets it now, when that
 * it is there has just been seen. */
ls_status ls_blas_prepare(ls_failure *f)
{
    const size_t all = BUFFER_BYTES + BUFFER_BYTES / 8, bytes = sizeof(float) * SIZE * SIZE;
    if (!ls_memory_is_there(all))
        return ls_failure_memory(f, BUFFER_BYTES, "OpenBLAS, for its buffer,");
    float *a = ls_memory_new(2 * bytes);
    if (!a) return ls_failure_memory(f, 2 * bytes, "the first product of OpenBLAS");
    ls_blas.set_threads(1);
    ls_blas.sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, SIZE, SIZE, SIZE, 1, a, SIZE, a, SIZE, 0,
                  a + SIZE * SIZE, SIZE);
    ls_memory_free(a);
    return LS_OK;
}
