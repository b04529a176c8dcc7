/* context.h -- status, context, errors: what every other call needs. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#define LS_API __attribute__((visibility("default")))
#define LS_COLLECTIVE LS_API /* waits for the other ranks; the context comes first */
#define LS_VERSION "0.1.0"

/* ---- status: name, exit code of the process, text -------------------------------------------- */
#define LS_STATUS_MAP(X)                                                                           \
    X(ARG, 64, "an argument is out of range")                                                      \
    X(SHAPE, 70, "shapes do not fit")                                                              \
    X(TYPE, 70, "a tensor has another type than needed")                                           \
    X(USE, 70, "a call does not fit here")                                                         \
    X(DATA, 65, "a file or a dataset holds something else than expected")                          \
    X(INPUT, 66, "an input file is missing")                                                       \
    X(OUTPUT, 73, "an output file cannot be made")                                                 \
    X(IO, 74, "reading or writing failed")                                                         \
    X(STOPPED, 75, "stopped on request, checkpoint saved")                                         \
    X(CONFIG, 78, "a setting does not fit")                                                        \
    X(NUMERIC, 79, "a cost or a gradient is not finite")                                           \
    X(REPLICA, 76, "copies of the parameters differ between ranks")                                \
    X(NOT_SAME, 70, "ranks stand at different calls or pass different arguments")                  \
    X(LATE, 71, "a rank did not arrive before the deadline")                                       \
    X(MEMORY, 70, "out of memory")
typedef enum ls_status {
    LS_OK = 0,
#define X(name, exit_code, text) LS_ERR_##name,
    LS_STATUS_MAP(X)
#undef X
} ls_status;
LS_API int ls_exit_code(ls_status status); /* 0 for LS_OK */

/* ---- context --------------------------------------------------------------------------------- */
typedef struct ls_ctx    ls_ctx;
typedef struct ls_tensor ls_tensor;
typedef enum ls_dtype { LS_FLOAT32 = 0, LS_FLOAT64, LS_INT64 } ls_dtype;
/* Who makes matrix products. Canonical ones have the same bits on every machine; those of OpenBLAS only
 * where its version and the kernels it has for the CPU are the same, which ranks and checkpoints must be. */
typedef enum ls_products { LS_CANONICAL = 0, LS_OPENBLAS } ls_products;
typedef struct ls_opts {
    uint64_t seed;       /* as torch.manual_seed(); random numbers never depend on the rank */
    ls_dtype dtype;      /* of every floating tensor: LS_FLOAT32 or LS_FLOAT64 */
    int64_t  leaf_rows;  /* rows of a batch that are summed in one go; 0: 32. Part of the result */
    double   deadline_s; /* longest wait for another rank; 0: 600 */
    ls_products kernel;  /* LS_CANONICAL or LS_OPENBLAS. Part of the result */
} ls_opts;

/* Starts lockstep on all ranks of MPI_COMM_WORLD, and MPI itself if nobody has.
 *
 *   o    options, or NULL for defaults
 *   ->   the context; bad options are an error inside it. NULL only without memory
 *
 * A process that no launcher started is one rank and starts without MPI.
 * Calls  collective; o: same */
LS_COLLECTIVE ls_ctx *ls_start(const ls_opts *o);

/* What ls_start_on() of lockstep/mpi.h calls: mpi_comm points to an MPI_Comm. */
LS_COLLECTIVE ls_ctx *ls_start_on_handle(const void *mpi_comm, const ls_opts *o);

/* Ends everything made from ctx, and, with the last context, MPI if ls_start() started it. The exit code for
 * main(). */
LS_COLLECTIVE int ls_finish(ls_ctx *ctx);

/* Sets the options anew, for a program that learns them after ls_start(): from a file that only the
 * root reads, say. Nothing may have been made from ctx yet (USE). */
LS_COLLECTIVE ls_status ls_configure(ls_ctx *ctx, const ls_opts *o);

LS_COLLECTIVE ls_status ls_clear(ls_ctx *ctx); /* forgets the error; then ls_resume() or start anew */
LS_COLLECTIVE bool ls_any(ls_ctx *ctx, bool mine); /* true if any rank says so: clocks, own files */

/* The root's bytes to all ranks. On the root data and bytes are given; elsewhere they are set, to
 * memory that lives until ls_finish(). */
LS_COLLECTIVE ls_status ls_share_bytes(ls_ctx *ctx, void **data, size_t *bytes);

LS_API ls_status   ls_error(const ls_ctx *ctx);      /* LS_OK while all is well */
LS_API const char *ls_error_text(const ls_ctx *ctx); /* rank, cause, path, advice; "" if none */
LS_API bool        ls_is_root(const ls_ctx *ctx);
LS_API void        ls_manual_seed(ls_ctx *ctx, uint64_t seed);

/* Reports an error of the program's own, as the library would. Returns status.
 * Calls  local: other ranks learn of it at their next wait */
LS_API ls_status ls_fail(ls_ctx *ctx, ls_status status, const char *form, ...)
    __attribute__((format(printf, 3, 4)));

/* printf on the root; silent after an error. */
LS_API void ls_printf(const ls_ctx *ctx, const char *form, ...)
    __attribute__((format(printf, 2, 3)));

/* Begins a step: ends the results of the step before. False on all ranks after an error, so that it
 * can stand in a loop condition. Loops over ls_next() need none. A loop without it is right too,
 * but keeps its results until ls_finish(). */
LS_API bool ls_step_begin(ls_ctx *ctx);

/* How many ranks, on how many machines and cores, and the remedy where they get in each other's way:
 * "2 on 1 machine, 2 cores, each bound to its own"; "1" for one. Valid until ls_finish().
 * Calls  local */
LS_API const char *ls_placement_text(const ls_ctx *ctx);

/* The arithmetic that results depend on, as checkpoints hold it: "1", or "openblas/0.3.21/SkylakeX".
 * Calls  local */
LS_API const char *ls_numerics_text(const ls_ctx *ctx);

/* One line a library: lockstep, MPI, HDF5, OpenBLAS with its core, and the kernels in use.
 * Calls  local */
LS_API const char *ls_version_text(void);
#ifdef __cplusplus
}
#endif
