/* bench_start.c -- how long a run takes to get going: from MPI_Init()'s return to the end of the first
 * step, all ranks.
 *
 *   mpirun -np 2 bench_start FILE.h5 [batch_size]
 *
 * Images of 784 bytes in 10 classes through 784-512-512-10. Prints one line of JSON.
 */
#include "lockstep/lockstep.h"
#include "lockstep/mpi.h"
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    double begin, end, cost = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: bench_start FILE.h5 [batch_size]\n");
        return 64;
    }
    if (MPI_Init(NULL, NULL) != MPI_SUCCESS) return 70;
    begin = MPI_Wtime();
    ls_ctx *ctx = ls_start_on(MPI_COMM_WORLD, &(ls_opts){ .seed = 1 });
    ls_dataset *d = ls_h5_dataset(ctx, argv[1], &(ls_h5_opts){ .x_scale = 255 });
    ls_loader *data = ls_loader_new(
        ctx, d, &(ls_loader_opts){ argc > 2 ? atoll(argv[2]) : 256, true, false, NULL });
    ls_module *model = ls_sequential(ctx, LS_LINEAR(784, 512), LS_RELU, LS_LINEAR(512, 512),
                                     LS_RELU, LS_LINEAR(512, 10));
    ls_optim *optim = ls_sgd_new(ctx, ls_parameters(model),
                                 &(ls_sgd_opts){ .lr = 0.1, .momentum = 0.9 });
    ls_run run = {
        .model = model, .loss = ls_cross_entropy, .optim = optim, .data = data, .epochs = 1
    };
    ls_fit_step(ctx, &run, &cost);
    end = MPI_Wtime() - begin;
    double last = end;
    if (MPI_Allreduce(&end, &last, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD) != MPI_SUCCESS)
        return 70;
    ls_printf(ctx, "{\"first_step_s\": %.6f, \"cost\": %.6f}\n", last, cost);
    int status = ls_finish(ctx);
    return MPI_Finalize() == MPI_SUCCESS ? status : 70;
}
