/* test_image.c -- values that are lent to the image of a checkpoint: the same file, without the memory.
 * Every test has a directory of its own. */
#include "store_files.h"
#include <sys/resource.h>

TestSuite(lend, .init = enter, .fini = leave, .timeout = 120);

/* Large values that are lent: the file's bytes are those of values that are put, and the image has
 * them before it is written. */
static void make_file(ls_status (*add)(ls_image *, const char *, ls_dtype, ls_shape, const void *,
                                       ls_failure *),
                      const double *values, char *temporary, size_t bytes)
{
    ls_failure f = { 0 };
    ls_image *m = ls_image_new(&f);
    static const struct {
        const char *path;
        ls_dtype type;
        ls_shape shape;
    } set[] = { { "/model/0.weight", LS_FLOAT32, { 2, { 1000, 777 } } },
                { "/model/0.bias", LS_FLOAT32, { 1, { 1000 } } },
                { "/model/1.weight", LS_FLOAT64, { 3, { 3, 100, 1001 } } },
                { "/model/2.weight", LS_INT64, { 1, { 16384 } } },
                { "/model/none", LS_FLOAT32, { 2, { 1000000, 0 } } },
                { "/optimizer/state/0.weight/momentum_buffer", LS_FLOAT32, { 2, { 777, 1000 } } } };
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        add(m, set[i].path, set[i].type, set[i].shape, values + i * 7, &f);
    ls_image_put_text(m, "/config", "text", "batch_size: 4\n", &f);
    double *back = calloc(3 * 100 * 1001, sizeof *back);
    cr_assert(eq(int, ls_image_get(m, set[2].path, LS_FLOAT64, set[2].shape, back, &f), LS_OK),
              "%s", f.text);
    cr_expect(memcmp(back, values + 2 * 7, 3 * 100 * 1001 * sizeof *back) == 0);
    cr_assert(eq(int, ls_checkpoint_write(m, ".", "n", 3, temporary, bytes, &f), LS_OK), "%s",
              f.text);
    free(back);
    ls_image_free(m);
}

Test(lend, gives_the_same_file)
{
    enum { N = 500000 };
    double *values = malloc(N * sizeof *values);
    char path[4096];
    uint8_t *bytes[2];
    size_t length[2];
    for (int i = 0; i < N; i++) values[i] = 1.0 / (i + 1);
    for (int i = 0; i < 2; i++) {
        make_file(i ? ls_image_lend : ls_image_put, values, path, sizeof path);
        length[i] = read_file(path, &bytes[i]);
        ls_checkpoint_drop(path);
    }
    cr_assert(eq(sz, length[0], length[1]));
    cr_expect(memcmp(bytes[0], bytes[1], length[0]) == 0);
    free(bytes[0]), free(bytes[1]), free(values);
    all_is_closed();
}

/* 64 MB of values, and the process grows by a fraction of that. */
Test(lend, takes_no_memory)
{
    enum { N = 4000000, TIMES = 4, MOST_KIB = 16 << 10 };
    ls_failure f = { 0 };
    struct rusage before, after;
    char temporary[4096];
    float *values = malloc(N * sizeof *values);
    for (int i = 0; i < N; i++) values[i] = (float)i;
    getrusage(RUSAGE_SELF, &before);
    ls_image *m = ls_image_new(&f);
    for (int i = 0; i < TIMES; i++)
        ls_image_lend(m, (char[]){ '/', (char)('a' + i), 0 }, LS_FLOAT32, LS_SHAPE(N / 1000, 1000),
                      values, &f);
    cr_assert(eq(int, ls_checkpoint_write(m, ".", "n", 0, temporary, sizeof temporary, &f), LS_OK),
              "%s", f.text);
    getrusage(RUSAGE_SELF, &after);
    cr_expect(after.ru_maxrss - before.ru_maxrss < MOST_KIB, "%ld KiB",
              after.ru_maxrss - before.ru_maxrss);
    ls_image_free(m);
    free(values);
    all_is_closed();
}
