/* test_images.c -- one result for any number of ranks on images: batches that leaves divide and that they
 * do not, and small leaves. A minute or more, so a test of its own.
 */
#include "jobs.h"

TestSuite(images, .init = enter_directory, .fini = leave_directory);

/* Real images where the package is installed, or ones that look like them to the arithmetic. */
static void make_images(const char *path)
{
    static const char source[] = "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz";
    if (access(source, R_OK) == 0)
        must_run(run(tool("LS_TEST_LOCKSTEP"), "convert", source, path, NULL));
    else must_run(run(tool("LS_TEST_MAKE_DATA"), "classes", path, "6000", "784", NULL));
}

static void make_image_job(void)
{
    make_images("images.h5");
    write_file("images.yaml", "seed: 1\ndata: {train: images.h5, x_scale: 255, batch_size: 256}\n"
                              "model: [linear: 128, relu, linear: 10]\nloss: cross_entropy\n"
                              "optimizer: {sgd: {lr: 0.1, momentum: 0.9}}\ntrain: {epochs: 1}\n");
}

static const char *const image_variants[] = { "--data.batch_size=256",  "--data.batch_size=100",
                                              "--data.batch_size=1000", "--train.leaf_rows=1",
                                              "--train.leaf_rows=3",    "--train.leaf_rows=4" };

ParameterizedTestParameters(images, job)
{
    static int number[] = { 0, 1, 2, 3, 4, 5 };
    return cr_make_param_array(int, number, 6, NULL);
}

ParameterizedTest(const int *number, images, job, .timeout = 600)
{
    char extra[64];
    make_image_job();
    snprintf(extra, sizeof extra, "%s", image_variants[*number]);
    if (*number > 2) /* small leaves with a batch that they do not divide */
        write_file("images.yaml",
                   "seed: 1\ndata: {train: images.h5, x_scale: 255, batch_size: 100}\n"
                   "model: [linear: 128, relu, linear: 10]\nloss: cross_entropy\n"
                   "optimizer: {sgd: {lr: 0.1, momentum: 0.9}}\ntrain: {epochs: 1}\n");
    same_on_all_ranks("images.yaml", extra);
}
