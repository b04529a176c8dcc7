/* test_missing.c -- pointers that are missing, as from getenv(): refused as a sentence where a call needs
 * them, and passed by where it does not. Tensors and modules that are missing are in the tests of their
 * folders: NULL in, NULL out.
 */
#include "fails.h"
#include "lockstep/lockstep.h"
#include "lockstep/mpi.h"
#include <math.h>

typedef struct job {
    ls_ctx *ctx;
    ls_tensor *t;
    ls_module *model;
    ls_dataset *data;
    ls_loader *loader;
    ls_optim *optim;
} job;

static job begin(void)
{
    job j = { .ctx = ls_start(NULL) };
    j.t = ls_ones(j.ctx, LS_SHAPE(2, 2));
    j.model = ls_linear_new(j.ctx, 2, 2);
    j.data = ls_tensor_dataset(j.ctx, j.t, j.t);
    j.loader = ls_loader_new(j.ctx, j.data, &(ls_loader_opts){ .batch_size = 1 });
    j.optim = ls_sgd_new(j.ctx, ls_parameters(j.model), &(ls_sgd_opts){ .lr = 0.1 });
    return j;
}

#define MISSING(text, ...)                                                                         \
    do {                                                                                           \
        job j = begin();                                                                           \
        (void)(__VA_ARGS__);                                                                       \
        FAILS(j.ctx, LS_ERR_ARG, text);                                                            \
    } while (0)

Test(missing, paths_and_runs)
{
    ls_score score;
    double cost;
    int64_t at[2];
    bool differ;
    MISSING("ls_load: path is missing", ls_load(j.ctx, j.model, NULL));
    MISSING("ls_checkpoint_config: path is missing", ls_checkpoint_config(j.ctx, NULL));
    MISSING("ls_checkpoint_newest: dir is missing",
            ls_checkpoint_newest(j.ctx, NULL, "model", &at[0], &at[1]));
    MISSING("ls_dataset_normalize_by: path is missing",
            ls_dataset_normalize_by(j.ctx, j.data, NULL));
    MISSING("ls_gradcheck: f is missing", ls_gradcheck(j.ctx, NULL, NULL, LS_LIST(j.t)));
    MISSING("ls_share_bytes: room for the bytes is missing", ls_share_bytes(j.ctx, NULL, NULL));
    MISSING("ls_verify: path is missing", ls_verify(j.ctx, NULL));
    MISSING("ls_inspect: path is missing", ls_inspect(j.ctx, NULL));
    MISSING("ls_diff: path is missing", ls_diff(j.ctx, "a", NULL, &differ));
    MISSING("ls_fit: the run is missing", ls_fit(j.ctx, NULL));
    MISSING("ls_fit_step: the run is missing", ls_fit_step(j.ctx, NULL, &cost));
    MISSING("ls_save: the run is missing", ls_save(j.ctx, NULL));
    MISSING("ls_resume: the run is missing", ls_resume(j.ctx, NULL));
    MISSING("ls_evaluate: the run is missing", ls_evaluate(j.ctx, NULL, j.loader, &score));
    MISSING("ls_evaluate: room for the score is missing",
            ls_evaluate(j.ctx, &(ls_run){ .model = j.model, .loss = ls_mse_loss }, j.loader, NULL));
}

Test(missing, communicators)
{
    cr_assert(eq(int, MPI_Init(NULL, NULL), MPI_SUCCESS));
    ls_ctx *ctx = ls_start_on(MPI_COMM_NULL, NULL);
    FAILS(ctx, LS_ERR_ARG, "ls_start_on: the communicator is MPI_COMM_NULL");
    cr_assert(eq(int, MPI_Finalize(), MPI_SUCCESS));
}

Test(missing, names_and_kinds)
{
    MISSING("ls_parameter: name is missing", ls_parameter(j.model, NULL));
    MISSING("ls_module_member: name is missing", ls_module_member(j.model, NULL));
    MISSING("ls_module_add: name is missing",
            ls_module_add(j.model, NULL, ls_linear_new(j.ctx, 1, 1)));
    MISSING("ls_module_param: name is missing", ls_module_param(j.model, NULL, j.t));
    MISSING("ls_module_new: kind is missing", ls_module_new(j.ctx, NULL, NULL, NULL));
    MISSING("ls_activation_new: kind is missing", ls_activation_new(j.ctx, NULL, 0));
    MISSING("ls_sequential_new: the list of layers is missing", ls_sequential_new(j.ctx, 2, NULL));
    MISSING("ls_sequential_new: the kind of a layer is missing",
            ls_sequential_new(j.ctx, 1, &(ls_layer){ .in = 1, .out = 1 }));
}

Test(missing, values_and_lists)
{
    const int64_t two = 2;
    double x = 1;
    MISSING("ls_tensor_new: what it holds is missing", ls_tensor_new(j.ctx, LS_SHAPE(2), 2, NULL));
    MISSING("ls_labels_new: what it holds is missing", ls_labels_new(j.ctx, 2, NULL));
    MISSING("ls_tolist: room is missing", ls_tolist(j.t, 4, NULL));
    MISSING("ls_subset_dataset: the list of rows is missing",
            ls_subset_dataset(j.ctx, j.data, 2, NULL));
    MISSING("ls_concat_dataset: the list of datasets is missing",
            ls_concat_dataset(j.ctx, 2, NULL));
    MISSING("ls_random_split: the list of lengths is missing",
            ls_random_split(j.ctx, j.data, 1, NULL, NULL, (ls_dataset *[1]){ NULL }));
    MISSING("ls_random_split: room for the subsets is missing",
            ls_random_split(j.ctx, j.data, 1, &two, NULL, NULL));
    MISSING("ls_loader_rows: room is missing", ls_loader_rows(j.loader, 0, 0, NULL));
    const ls_column of_x = { "x", LS_STORE_F32, LS_SHAPE(1) },
                    of_y = { "y", LS_STORE_F32, LS_SHAPE(1) };
    MISSING("missing.h5: the values of /y are missing",
            ls_writer_add(ls_writer_replace(j.ctx, "missing.h5", of_x, of_y), 1, &x, NULL));
}

static void nothing(const ls_node *n)
{
    (void)n;
}

Test(missing, operations)
{
    const char *needs = "ls_apply: an operation needs a name, 1 to 4 inputs, shape and forward";
    MISSING(needs, ls_apply(NULL, LS_LIST(j.t), NULL, 0));
    MISSING(needs, ls_apply(&(ls_op){ .name = "q", .n_in = 1, .shape = ls_shape_same },
                            LS_LIST(j.t), NULL, 0));
    MISSING(needs, ls_apply(&(ls_op){ .name = "q", .n_in = 9, .shape = ls_shape_same },
                            LS_LIST(j.t), NULL, 0));
    const int relu = 0;
    MISSING("ls_apply: q has an activation, whose slope is worked out from the result, and does "
            "not save it",
            ls_apply(&(ls_op){ .name = "q",
                               .n_in = 1,
                               .shape = ls_shape_same,
                               .forward = nothing,
                               .activation = &relu },
                     LS_LIST(j.t), NULL, 0));
    MISSING("ls_op_check: the operation is missing", ls_op_check(j.ctx, NULL));
}

/* What nobody wants to know. */
Test(missing, results_that_are_not_wanted)
{
    job j = begin();
    ls_tensor *x;
    ls_run run = {
        .model = j.model, .loss = ls_mse_loss, .optim = j.optim, .data = j.loader, .epochs = 1
    };
    cr_assert(eq(dbl, ls_at(ls_max_axis(j.t, 0, false, NULL), 1), 1));
    cr_assert(eq(dbl, ls_at(ls_min_axis(j.t, 1, true, NULL), 0), 1));
    cr_assert(ls_rows_data(j.t, NULL, NULL) != NULL);
    cr_assert(ls_dataset_item(j.data, 0, NULL, NULL));
    cr_assert(ls_next(j.loader, &x, NULL) && x != NULL);
    cr_assert(eq(int, ls_fit_step(j.ctx, &run, NULL), LS_OK));
    cr_assert(eq(int, ls_checkpoint_newest(j.ctx, ".", "missing", NULL, NULL), LS_OK));
    ls_module_apply(j.model, NULL, NULL);
    const ls_list none = { 2, NULL };
    ls_zero_grad(none);
    ls_zero_grad_to_none(none);
    cr_assert(ls_cat(none, 0) == NULL && ls_stack(none, 0) == NULL);
    cr_assert(eq(int, ls_finish(j.ctx), 0), "%s", ls_error_text(j.ctx));
}
