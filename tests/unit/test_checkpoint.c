/* test_checkpoint.c -- what store writes: images and checkpoints (contents, equal bytes, damage at
 * every byte, pruning), and writes that fail. Every test has a directory of its
 * own. */
#include "store_files.h"
#include <fcntl.h>
#include <malloc.h>
#include <math.h>
#include <errno.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

TestSuite(image, .init = enter, .fini = leave, .timeout = 120);
TestSuite(checkpoint, .init = enter, .fini = leave, .timeout = 120);

/* ---- images ---------------------------------------------------------------------------------- */

enum { MANY = 40 };

static ls_image *make_image(ls_failure *f)
{
    static const char long_text[] = "a: 1\nb: \xc3\xa4\n";
    float weight[6] = { 1, 2, 3, 4, 5, INFINITY };
    double bias[2] = { -0.5, NAN };
    int64_t steps[3] = { 1, INT64_MIN, INT64_MAX };
    uint32_t words[4] = { 0, 1, UINT32_MAX, 7 };
    ls_image *m = ls_image_new(f);
    if (!m) return NULL;
    ls_image_put(m, "/model/0.weight", LS_FLOAT32, LS_SHAPE(3, 2), weight, f);
    ls_image_put(m, "/model/0.bias", LS_FLOAT64, LS_SHAPE(2), bias, f);
    ls_image_put(m, "/model/scale", LS_FLOAT32, (ls_shape){ 0 }, weight, f);
    ls_image_put(m, "/history/epoch", LS_INT64, LS_SHAPE(3), steps, f);
    ls_image_put(m, "/history/none", LS_INT64, LS_SHAPE(0), NULL, f);
    ls_image_put_words(m, "/progress/rng", 4, words, f);
    ls_image_put_int(m, "/progress", "epoch", -7, f);
    ls_image_put_real(m, "/progress", "cost", 0.1, f);
    ls_image_put_text(m, "/", "status", "running", f);
    ls_image_put_text(m, "/config", "text", long_text, f);
    ls_image_put_text(m, "/config", "empty", "", f);
    for (int i = 0; i < MANY; i++) {
        char path[64];
        snprintf(path, sizeof path, "/optimizer/state/%d.weight/momentum", i);
        ls_image_put(m, path, LS_FLOAT32, LS_SHAPE(6), weight, f);
        snprintf(path, sizeof path, "attribute %d", i);
        ls_image_put_int(m, "/optimizer", path, i, f);
    }
    return m;
}

static void check_image(ls_image *m)
{
    ls_failure f = { 0 };
    float weight[6], scale;
    double bias[2], cost;
    int64_t steps[3], epoch, count;
    uint32_t words[4];
    const char *const *names;
    char *text;
    ls_shape shape;
    ls_dtype type;
    cr_assert(eq(int, ls_image_get(m, "/model/0.weight", LS_FLOAT32, LS_SHAPE(3, 2), weight, &f),
                 LS_OK),
              "%s", f.text);
    cr_expect(weight[0] == 1 && weight[4] == 5 && isinf(weight[5]));
    cr_assert(eq(int, ls_image_get(m, "/model/0.bias", LS_FLOAT64, LS_SHAPE(2), bias, &f), LS_OK));
    cr_expect(bias[0] == -0.5 && isnan(bias[1]));
    cr_assert(
        eq(int, ls_image_get(m, "/model/scale", LS_FLOAT32, (ls_shape){ 0 }, &scale, &f), LS_OK));
    cr_assert(eq(int, ls_image_get(m, "/history/epoch", LS_INT64, LS_SHAPE(3), steps, &f), LS_OK));
    cr_expect(scale == 1 && steps[1] == INT64_MIN && steps[2] == INT64_MAX);
    cr_expect(eq(int, ls_image_get(m, "/history/none", LS_INT64, LS_SHAPE(0), NULL, &f), LS_OK));
    cr_assert(eq(int, ls_image_get_words(m, "/progress/rng", 4, words, &f), LS_OK));
    cr_expect(words[2] == UINT32_MAX && words[3] == 7);
    cr_assert(ls_image_get_int(m, "/progress", "epoch", &epoch, &f) == LS_OK && epoch == -7);
    cr_assert(ls_image_get_real(m, "/progress", "cost", &cost, &f) == LS_OK && cost == 0.1);
    cr_assert(eq(int, ls_image_get_text(m, "/", "status", &text, &f), LS_OK));
    cr_expect(eq(str, text, "running"));
    ls_memory_free(text);
    cr_assert(eq(int, ls_image_get_text(m, "/config", "text", &text, &f), LS_OK));
    cr_expect(eq(str, text, "a: 1\nb: \xc3\xa4\n"));
    ls_memory_free(text);
    cr_assert(ls_image_get_text(m, "/config", "empty", &text, &f) == LS_OK && !*text);
    ls_memory_free(text);
    cr_assert(eq(int, ls_image_get_shape(m, "/model/0.weight", &type, &shape, &f), LS_OK));
    cr_expect(type == LS_FLOAT32 && shape.ndim == 2 && shape.dim[0] == 3 && shape.dim[1] == 2);
    cr_assert(ls_image_get_shape(m, "/history/none", &type, &shape, &f) == LS_OK &&
              shape.dim[0] == 0);
    cr_assert(ls_image_list(m, "/model", &count, &names, &f) == LS_OK && count == 3);
    cr_expect(strcmp(names[0], "0.bias") == 0 && strcmp(names[2], "scale") == 0);
    cr_assert(ls_image_list(m, "/optimizer/state", &count, &names, &f) == LS_OK && count == MANY);
    for (int64_t i = 1; i < count; i++) cr_expect(strcmp(names[i - 1], names[i]) < 0);
    cr_expect(ls_image_has(m, "/model") && ls_image_has(m, "/") &&
              ls_image_has(m, "/model/0.bias"));
    cr_expect(not(ls_image_has(m, "/model/1.bias") || ls_image_has(m, "/a/b")));
    cr_expect(not(ls_image_has(m, "model")));
}

static void check_refusals(ls_image *m, const char *at)
{
    float x[6];
    int64_t n;
    double real;
    char *text, wanted[200];
    const char *const *names;
#define SAYS(what) (snprintf(wanted, sizeof wanted, "%s: %s", at, what), wanted)
    REFUSED(LS_ERR_DATA, SAYS("/model/1 is missing"),
            ls_image_get(m, "/model/1", LS_FLOAT32, LS_SHAPE(6), x, &no));
    REFUSED(LS_ERR_DATA, SAYS("/model is no tensor"),
            ls_image_get(m, "/model", LS_FLOAT32, LS_SHAPE(6), x, &no));
    REFUSED(LS_ERR_DATA, SAYS("/model/0.weight is float32 [3, 2], where float32 [6] is needed"),
            ls_image_get(m, "/model/0.weight", LS_FLOAT32, LS_SHAPE(6), x, &no));
    REFUSED(LS_ERR_DATA, SAYS("/model/0.bias is float64 [2], where float32 [2] is needed"),
            ls_image_get(m, "/model/0.bias", LS_FLOAT32, LS_SHAPE(2), x, &no));
    REFUSED(LS_ERR_DATA, SAYS("/progress/rng is uint32 [4], where uint32 [5] is needed"),
            ls_image_get_words(m, "/progress/rng", 5, (uint32_t *)x, &no));
    REFUSED(LS_ERR_DATA, SAYS("/progress has no attribute step"),
            ls_image_get_int(m, "/progress", "step", &n, &no));
    REFUSED(LS_ERR_DATA, SAYS("/none has no attribute step"),
            ls_image_get_int(m, "/none", "step", &n, &no));
    REFUSED(LS_ERR_DATA, SAYS("attribute cost of /progress is of another type"),
            ls_image_get_int(m, "/progress", "cost", &n, &no));
    REFUSED(LS_ERR_DATA, SAYS("attribute epoch of /progress is of another type"),
            ls_image_get_real(m, "/progress", "epoch", &real, &no));
    REFUSED(LS_ERR_DATA, SAYS("attribute epoch of /progress is of another type"),
            ls_image_get_text(m, "/progress", "epoch", &text, &no));
    REFUSED(LS_ERR_DATA, SAYS("/none is missing"), ls_image_list(m, "/none", &n, &names, &no));
}

Test(image, gives_back_what_was_put)
{
    ls_failure f = { 0 };
    char temporary[4096];
    uint8_t digest[32];
    int64_t step;
    ls_image *m = make_image(&f);
    cr_assert(m && !f.status, "%s", f.text);
    check_image(m);
    check_refusals(m, "the checkpoint under way");
    REFUSED(LS_ERR_USE, "/model/0.bias cannot be added",
            ls_image_put(m, "/model/0.bias", LS_FLOAT32, LS_SHAPE(1), &step, &no));
    REFUSED(LS_ERR_USE, "status of / cannot be added",
            ls_image_put_text(m, "/", "status", "x", &no));
    REFUSED(LS_ERR_USE, "does not begin with /", ls_image_put_int(m, "x", "y", 1, &no));
    cr_assert(eq(int, ls_checkpoint_write(m, "a/b/c", "n", 42, temporary, sizeof temporary, &f),
                 LS_OK),
              "%s", f.text);
    cr_assert(eq(int, ls_checkpoint_commit(temporary, "a/b/c", "n", 42, 3, &f), LS_OK), "%s",
              f.text);
    check_image(m);
    REFUSED(LS_ERR_USE, "is complete: /late cannot be added",
            ls_image_put_int(m, "/late", "x", 1, &no));
    ls_image_free(m);
    cr_assert(eq(int, ls_checkpoint_read("a/b/c/n-000000000042.h5", &m, &step, digest, &f), LS_OK),
              "%s", f.text);
    cr_expect(eq(i64, step, 42));
    check_image(m);
    check_refusals(m, "a/b/c/n-000000000042.h5");
    REFUSED(LS_ERR_USE, "is complete", ls_image_put_int(m, "/late", "x", 1, &no));
    ls_image_free(m);
    cr_expect(eq(int, files_in("a/b/c"), 1));
    cr_expect(ls_is_checkpoint("a/b/c/n-000000000042.h5") && !ls_is_checkpoint("a/b/c") &&
              !ls_is_checkpoint("none"));
    all_is_closed();
}

/* One large text, and a tensor that needs the memory to grow many times. */
Test(image, large_contents)
{
    enum { N = 5000000, TEXT = 300000 };
    float *values = malloc(N * sizeof *values), *back = calloc(N, sizeof *back);
    char *text = calloc(1, TEXT + 1), *found, temporary[4096];
    for (int i = 0; i < N; i++) values[i] = (float)i;
    memset(text, 'x', TEXT);
    ls_failure f = { 0 };
    uint8_t digest[32];
    int64_t step;
    ls_image *m = ls_image_new(&f);
    ls_image_put_text(m, "/config", "text", text, &f);
    for (int i = 0; i < 3; i++)
        ls_image_put(m, (char[]){ '/', (char)('a' + i), 0 }, LS_FLOAT32, LS_SHAPE(N / 5, 5), values,
                     &f);
    cr_assert(eq(int, ls_checkpoint_write(m, ".", "n", 0, temporary, sizeof temporary, &f), LS_OK),
              "%s", f.text);
    ls_image_free(m);
    cr_assert(eq(int, ls_checkpoint_read(temporary, &m, &step, digest, &f), LS_OK), "%s", f.text);
    cr_assert(eq(int, ls_image_get(m, "/c", LS_FLOAT32, LS_SHAPE(N / 5, 5), back, &f), LS_OK), "%s",
              f.text);
    cr_expect(memcmp(values, back, N * sizeof *values) == 0);
    cr_assert(ls_image_get_text(m, "/config", "text", &found, &f) == LS_OK &&
              strcmp(found, text) == 0);
    ls_memory_free(found);
    ls_image_free(m);
    free(values), free(back), free(text);
    all_is_closed();
}

/* In a process of its own, at its own time, in memory that holds something else. */
static void save_elsewhere(const char *dir, int garbage)
{
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        ls_failure f = { 0 };
        char temporary[4096];
        mallopt(M_PERTURB, garbage);
        mallopt(M_MMAP_MAX, 0); /* nor from the system, which gives zeros */
        ls_image *m = make_image(&f);
        if (m && !ls_checkpoint_write(m, dir, "n", 5, temporary, sizeof temporary, &f))
            ls_checkpoint_commit(temporary, dir, "n", 5, 0, &f);
        _exit(f.status);
    }
    int status;
    cr_assert(waitpid(pid, &status, 0) == pid && status == 0);
}

static herr_t has_no_time(hid_t object, const char *name, const H5O_info_t *info, void *self)
{
    (void)object, (void)name;
    int *count = self;
    ++*count;
    return info->mtime || info->ctime || info->atime || info->btime;
}

Test(image, same_bytes_in_any_process_at_any_time)
{
    uint8_t *a, *b;
    save_elsewhere("a", 17);
    usleep(1100000);
    save_elsewhere("b", 200);
    size_t length = read_file("a/n-000000000005.h5", &a);
    cr_assert(eq(sz, read_file("b/n-000000000005.h5", &b), length));
    cr_expect(memcmp(a, b, length) == 0);
    free(a), free(b);
    /* Stock HDF5 reads it, behind the user block, and finds no times. */
    int objects = 0;
    hid_t file = H5Fopen("a/n-000000000005.h5", H5F_ACC_RDONLY, H5P_DEFAULT);
    cr_assert(file >= 0 && H5Ovisit(file, H5_INDEX_NAME, H5_ITER_INC, has_no_time, &objects) == 0);
    cr_expect(eq(int, objects, 13 + 2 * MANY));
    H5Fclose(file);
    all_is_closed();
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

static void save(const char *dir, const char *name, int64_t step, int64_t keep)
{
    ls_failure f = { 0 };
    char temporary[4096];
    ls_image *m = ls_image_new(&f);
    ls_image_put_int(m, "/", "step", step, &f);
    ls_checkpoint_write(m, dir, name, step, temporary, sizeof temporary, &f);
    ls_checkpoint_commit(temporary, dir, name, step, keep, &f);
    cr_assert(eq(int, f.status, LS_OK), "%s", f.text);
    ls_image_free(m);
}

static ls_failure load(const char *path)
{
    ls_failure f = { 0 };
    uint8_t digest[32];
    int64_t step;
    ls_image *m;
    ls_checkpoint_read(path, &m, &step, digest, &f);
    cr_assert(eq(int, m == NULL, f.status != LS_OK));
    ls_image_free(m);
    return f;
}

Test(checkpoint, damage_anywhere_is_found)
{
    uint8_t *bytes;
    save(".", "n", 3, 1);
    size_t length = read_file("n-000000000003.h5", &bytes);
    int fd = open("d.h5", O_RDWR | O_CREAT, 0600);
    cr_assert(pwrite(fd, bytes, length, 0) == (ssize_t)length && load("d.h5").status == LS_OK);
    for (size_t i = 0; i < length; i++) {
        uint8_t flipped = bytes[i] ^ (uint8_t)(1 << next_random() % 8);
        cr_assert(pwrite(fd, &flipped, 1, (off_t)i) == 1);
        ls_failure f = load("d.h5");
        cr_assert(eq(int, f.status, LS_ERR_DATA), "byte %zu", i);
        cr_assert(pwrite(fd, bytes + i, 1, (off_t)i) == 1);
    }
    cr_assert(eq(int, load("d.h5").status, LS_OK));
    cr_assert(pwrite(fd, "", 1, (off_t)length) == 1);
    ls_failure f = load("d.h5");
    cr_expect(has(&f, LS_ERR_DATA, "d.h5 is damaged: it has "));
    for (size_t i = length; i-- > 0;) {
        cr_assert(ftruncate(fd, (off_t)i) == 0);
        cr_assert(eq(int, load("d.h5").status, LS_ERR_DATA), "length %zu", i);
    }
    /* A block that is sound but of another format. */
    bytes[8] = 2;
    uint32_t crc = ls_crc32(0, bytes, 508);
    for (int i = 0; i < 4; i++) bytes[508 + i] = (uint8_t)(crc >> 8 * i);
    cr_assert(pwrite(fd, bytes, length, 0) == (ssize_t)length);
    f = load("d.h5");
    cr_expect(has(&f, LS_ERR_DATA, "d.h5 has checkpoint format 2, this lockstep reads 1"));
    close(fd), free(bytes);
    f = load("none.h5");
    cr_expect(has(&f, LS_ERR_INPUT, "cannot open none.h5"));
    f = load(".");
    cr_expect(has(&f, LS_ERR_DATA, ". is a directory"));
    write_file("text.h5", home, sizeof home);
    f = load("text.h5");
    cr_expect(has(&f, LS_ERR_DATA, "text.h5 is not a lockstep checkpoint"));
    all_is_closed();
}

/* A sound block in front of whatever is in a file. */
static void sign(const char *path)
{
    uint8_t *bytes;
    size_t length = read_file(path, &bytes);
    ls_sha256 hash;
    memset(bytes, 0, 512);
    memcpy(bytes, "LOCKSTEP\1", 9);
    for (int i = 0; i < 8; i++) bytes[16 + i] = (uint8_t)(length >> (8 * i));
    ls_sha256_begin(&hash);
    ls_sha256_add(&hash, bytes + 512, length - 512);
    ls_sha256_end(&hash, bytes + 32);
    uint32_t crc = ls_crc32(0, bytes, 508);
    for (int i = 0; i < 4; i++) bytes[508 + i] = (uint8_t)(crc >> (8 * i));
    write_file(path, bytes, length);
    free(bytes);
}

Test(checkpoint, links_and_odd_tensors_are_not_followed)
{
    hid_t creation = H5Pcreate(H5P_FILE_CREATE), file = new_file("other.h5"),
          chunked = H5Pcreate(H5P_DATASET_CREATE);
    add_set(file, "x", H5T_STD_I64LE, 1, (hsize_t[]){ 4 }, H5P_DEFAULT, true);
    H5Fclose(file);
    H5Pset_userblock(creation, 512);
    H5Pset_chunk(chunked, 1, (hsize_t[]){ 4 });
    file = H5Fcreate("n-000000000001.h5", H5F_ACC_TRUNC, creation, H5P_DEFAULT);
    add_set(file, "plain", H5T_STD_I64LE, 1, (hsize_t[]){ 4 }, H5P_DEFAULT, true);
    add_set(file, "chunked", H5T_STD_I64LE, 1, (hsize_t[]){ 4 }, chunked, true);
    H5Lcreate_external("other.h5", "/", file, "out", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/out/x", file, "soft", H5P_DEFAULT, H5P_DEFAULT);
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, H5T_VARIABLE);
    H5Aclose(H5Acreate2(file, "text", type, space, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space), H5Tclose(type);
    H5Fclose(file), H5Pclose(creation);
    sign("n-000000000001.h5");
    ls_failure f = { 0 };
    uint8_t digest[32];
    int64_t step, x[4], count;
    const char *const *names;
    char *text;
    ls_image *m;
    cr_assert(eq(int, ls_checkpoint_read("n-000000000001.h5", &m, &step, digest, &f), LS_OK), "%s",
              f.text);
    cr_assert(ls_image_get(m, "/plain", LS_INT64, LS_SHAPE(4), x, &f) == LS_OK && x[3] == 3);
    REFUSED(LS_ERR_DATA, "/chunked is no tensor of a checkpoint",
            ls_image_get(m, "/chunked", LS_INT64, LS_SHAPE(4), x, &no));
    REFUSED(LS_ERR_DATA, "/soft is missing",
            ls_image_get(m, "/soft", LS_INT64, LS_SHAPE(4), x, &no));
    REFUSED(LS_ERR_DATA, "/out/x is missing",
            ls_image_get(m, "/out/x", LS_INT64, LS_SHAPE(4), x, &no));
    REFUSED(LS_ERR_DATA, "/out is missing", ls_image_list(m, "/out", &count, &names, &no));
    REFUSED(LS_ERR_DATA, "text of / is of another type",
            ls_image_get_text(m, "/", "text", &text, &no));
    ls_image_free(m);
    all_is_closed();
}

static void check_list(const char *dir, const char *name, const char *wanted)
{
    ls_failure f = { 0 };
    char found[1000] = "", **paths;
    int64_t count;
    cr_assert(eq(int, ls_checkpoint_list(dir, name, &count, &paths, &f), LS_OK), "%s", f.text);
    for (int64_t i = 0; i < count; i++) strcat(strcat(found, paths[i]), " ");
    ls_checkpoint_list_free(count, paths);
    cr_expect(eq(str, found, (char *)wanted));
}

Test(checkpoint, lists_and_prunes)
{
    check_list("none", "n", "");
    for (int64_t step = 1; step < 6; step++) save("c", "n", step, 3);
    check_list("c", "n", "c/n-000000000005.h5 c/n-000000000004.h5 c/n-000000000003.h5 ");
    save("c", "m-n", 4, 1);
    save("c", "n", 999999999999, 0);
    check_list("c", NULL,
               "c/n-999999999999.h5 c/n-000000000005.h5 c/m-n-000000000004.h5 c/n-000000000004.h5 "
               "c/n-000000000003.h5 ");
    /* None of these is a checkpoint of n: they stay, whatever is pruned. */
    static const char *const others[] = { "c/n-00000000001.h5",   "c/n-0000000000001.h5",
                                          "c/n-000000000001.h5x", "c/x-n-000000000001.h5",
                                          "c/n-00000000000x.h5",  "c/n000000000001.h5",
                                          "c/-000000000001.h5",   "c/n-000000000001.h6",
                                          "c/.n-000000000001.h5" };
    for (int i = 0; i < 9; i++) write_file(others[i], "", 0);
    save("c", "n", 2, 1); /* not the newest: kept all the same */
    check_list("c", "n", "c/n-000000000002.h5 ");
    check_list("c", "m-n", "c/m-n-000000000004.h5 ");
    check_list("c", NULL, "c/m-n-000000000004.h5 c/n-000000000002.h5 c/x-n-000000000001.h5 ");
    cr_expect(eq(int, files_in("c"), 9 + 2));
    cr_assert(mkdir("e", 0700) == 0 && chdir("e") == 0);
    save("", "n", 1, 1);
    check_list("", "n", "n-000000000001.h5 ");
    all_is_closed();
}

Test(checkpoint, leftovers_of_killed_processes_go)
{
    char host[80], stale[200], alive[200], other[200];
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    cr_assert(waitpid(pid, NULL, 0) == pid && gethostname(host, sizeof host) == 0);
    for (char *c = host; *c; c++) *c = *c == '-' ? '_' : *c;
    snprintf(stale, sizeof stale, ".n-000000000001.tmp-%s-%d", host, pid);
    snprintf(alive, sizeof alive, ".n-000000000001.tmp-%s-%d", host, getppid());
    snprintf(other, sizeof other, ".m-000000000001.tmp-%s-%d", host, pid);
    write_file(stale, "", 0), write_file(alive, "", 0), write_file(other, "", 0);
    save(".", "n", 2, 1);
    cr_expect(access(stale, F_OK) != 0 && access(alive, F_OK) == 0 && access(other, F_OK) == 0);
}

static ls_failure fail_to_save(const char *dir, const char *name, int64_t step, size_t count)
{
    ls_failure f = { 0 };
    char temporary[4096] = "x";
    double *values = calloc(count, sizeof *values);
    ls_image *m = ls_image_new(&f);
    ls_image_put(m, "/x", LS_FLOAT64, LS_SHAPE((int64_t)count), values, &f);
    ls_checkpoint_write(m, dir, name, step, temporary, sizeof temporary, &f);
    cr_expect(f.status && !temporary[0]);
    ls_image_free(m);
    free(values);
    return f;
}

Test(checkpoint, failures_leave_nothing)
{
    ls_failure f = { 0 };
    write_file("file", "", 0);
    f = fail_to_save("file", "n", 1, 1);
    cr_expect(has(&f, LS_ERR_OUTPUT, "file: a checkpoint cannot be made here: Not a directory"));
    f = fail_to_save("file/below", "n", 1, 1);
    cr_expect(has(&f, LS_ERR_OUTPUT, "file/below: the directory cannot be made: Not a directory"));
    f = fail_to_save("d", "a/b", 1, 1);
    cr_expect(has(&f, LS_ERR_ARG, "\"a/b\" cannot be the name of a checkpoint"));
    f = fail_to_save("d", "n", -1, 1);
    cr_expect(has(&f, LS_ERR_ARG, "step -1"));
    f = fail_to_save("d", "n", 1000000000000, 1);
    cr_expect(has(&f, LS_ERR_ARG, "step 1000000000000"));
    struct rlimit limit = { 100000, RLIM_INFINITY };
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    f = fail_to_save("d", "n", 1, 25000);
    cr_expect(has(&f, LS_ERR_IO, "d: checkpoint needs 20") && strstr(f.text, "ulimit -f"), "%s",
              f.text);
    cr_expect(eq(int, files_in("d"), 0));
    f = (ls_failure){ 0 };
    cr_expect(eq(int, ls_checkpoint_commit("d/none", "d", "n", 1, 1, &f), LS_ERR_IO));
    all_is_closed();
}

/* ---- directories ----------------------------------------------------------------------------- */
static bool cannot_sync;

int fsync(int file)
{
    return cannot_sync ? errno = EIO, -1 : (int)syscall(SYS_fsync, file);
}

/* The directory above "runs" has no name in that path, but one in the message. */
Test(checkpoint, directory_that_cannot_be_synced)
{
    ls_failure f = { 0 };
    cannot_sync = true;
    cr_expect(eq(int, ls_folder_make("runs", &f), LS_ERR_IO));
    cr_expect(has(&f, LS_ERR_IO, ".: syncing the directory failed: "), "%s", f.text);
    cannot_sync = false;
}

/* Somebody else's program has emptied it. The lock is held all the same, and says the step again. */
Test(checkpoint, lock_that_was_emptied)
{
    ls_failure f = { 0 };
    ls_lock *lock = NULL, *other = NULL;
    uint8_t *text;
    cr_assert(ls_lock_take("d", &lock, &f) == LS_OK, "%s", f.text);
    for (int step = 1; step < 3; step++) {
        cr_assert(truncate("d/.lockstep.lock", 0) == 0);
        ls_lock_beat(lock, step);
        cr_assert(read_file("d/.lockstep.lock", &text) > 100);
        text[100] = 0;
        cr_expect(atoi(strstr((char *)text, "\nstep ") + 6) == step, "%s", (char *)text);
        free(text);
    }
    cr_expect(eq(int, ls_lock_take("d", &other, &f), LS_ERR_OUTPUT));
    cr_expect(has(&f, LS_ERR_OUTPUT, "d: another job trains here: process "), "%s", f.text);
    ls_lock_leave(lock);
    cr_expect(eq(int, files_in("d"), 0));
}

Test(checkpoint, full_disk)
{
    if (!make_small_disk()) cr_skip_test("only root can make a small disk");
    ls_failure f = fail_to_save("small/c", "n", 1, 25000);
    cr_expect(has(&f, LS_ERR_IO, "small/c: disk full: checkpoint needs 20"), "%s", f.text);
    cr_expect(strstr(f.text, " kB, 102.4 kB free") || strstr(f.text, " kB, 98.3 kB free"), "%s",
              f.text);
    cr_expect(eq(int, files_in("small/c"), 0));
    save("small/c", "n", 2, 1);
    umount("small");
}
