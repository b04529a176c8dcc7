/* mpi.h -- starting lockstep on a communicator of one's own. */
#pragma once
#include <mpi.h>
#include "context.h"
#ifdef __cplusplus
extern "C" {
#endif
/* As ls_start(), on the ranks of comm, which is duplicated. MPI must have been initialised.
 * Errors ARG: MPI_COMM_NULL
 * Calls  collective over comm; o: same */
static inline ls_ctx *ls_start_on(MPI_Comm comm, const ls_opts *o)
{
    return ls_start_on_handle(&comm, o);
}
#ifdef __cplusplus
}
#endif
