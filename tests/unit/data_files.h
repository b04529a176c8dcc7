/* data_files.h -- datasets in HDF5 files; a part of test_data.c, whose contexts it uses. */
#pragma once
#include <hdf5.h>

static char folder[] = "/tmp/lockstep-data-XXXXXX";

static void enter_folder(void)
{
    cr_assert(mkdtemp(folder) && chdir(folder) == 0);
}
static void leave_folder(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert(chdir("/") == 0 && system(command) == 0);
}

TestSuite(files, .init = enter_folder, .fini = leave_folder);

/* x of row i is the bytes (i, i + 1, ...) in shape [2, 3], y is i, as classes or numbers. */
static void write_file(const char *path, int64_t first, int64_t rows, ls_store_type y_type)
{
    ls_ctx *ctx = begin();
    ls_writer *w = ls_writer_new(ctx, path, (ls_column){ "/x", LS_STORE_U8, LS_SHAPE(2, 3) },
                                 (ls_column){ "/y", y_type, { 0 } });
    for (int64_t i = first; i < first + rows; i++) {
        uint8_t x[6];
        float real = (float)i / 2;
        for (int k = 0; k < 6; k++) x[k] = (uint8_t)(i + k);
        ls_writer_add(w, 1, x, y_type == LS_STORE_I64 ? (void *)&i : &real);
    }
    cr_assert_eq(ls_writer_close(w), LS_OK, "%s", ctx->failure.text);
    end(ctx);
}

static void expect_rows(ls_dataset *d, float scale)
{
    int64_t rows = ls_dataset_rows(d);
    float x[6 * 64];
    int64_t y[64], order[64];
    ls_failure f = { 0 };
    for (int64_t i = 0; i < rows; i++) order[i] = i * 7 % rows;
    cr_assert_eq(ls_dataset_read(d, rows, order, x, y, &f), LS_OK, "%s", f.text);
    for (int64_t i = 0; i < rows; i++) {
        cr_assert_eq(y[i], order[i]);
        for (int k = 0; k < 6; k++) cr_assert_eq(x[6 * i + k], (float)(order[i] + k) / scale);
    }
}

Test(files, read_scaled_and_as_one)
{
    write_file("all.h5", 0, 50, LS_STORE_I64);
    write_file("part-2.h5", 20, 1, LS_STORE_I64);
    write_file("part-10.h5", 0, 20, LS_STORE_I64);
    write_file("part-A,1.h5", 21, 29, LS_STORE_I64);
    static const char *const path[] = { "all.h5", "part-10.h5,part-2.h5,part-A*", "part-*.h5",
                                        "./part-[12]*.h5,part-A?1.h5" };
    char fingerprint[4][65];
    for (int i = 0; i < 4; i++) {
        ls_ctx *ctx = begin();
        ls_dataset *d = ls_h5_dataset(ctx, path[i], &(ls_h5_opts){ .x_scale = i % 2 ? 255 : 0 });
        cr_assert_not_null(d, "%s", ctx->failure.text);
        cr_expect_eq(ls_dataset_rows(d), 50);
        ls_row x = ls_dataset_x(d), y = ls_dataset_y(d);
        cr_expect(x.type == LS_FLOAT32 && x.shape.ndim == 2 && x.shape.dim[1] == 3);
        cr_expect(y.type == LS_INT64 && y.shape.ndim == 0);
        expect_rows(d, i % 2 ? 255 : 1);
        strcpy(fingerprint[i], ls_dataset_fingerprint(d));
        cr_expect_str_eq(fingerprint[i], fingerprint[0], "files and scale make no difference");
        end(ctx);
    }
    ls_ctx *ctx = begin();
    ls_dataset *d = ls_h5_dataset(ctx, "part-A,1.h5", NULL);
    cr_assert_not_null(d, "a file with a comma in its name: %s", ctx->failure.text);
    cr_expect_str_neq(ls_dataset_fingerprint(d), fingerprint[0]);
    end(ctx);
}

Test(files, numbers_as_targets_in_both_types)
{
    write_file("a.h5", 3, 9, LS_STORE_F32);
    for (int wide = 0; wide < 2; wide++) {
        ls_ctx *ctx = begin_at(0, 1, 4, wide ? LS_FLOAT64 : LS_FLOAT32);
        ls_dataset *d = ls_h5_dataset(ctx, "a.h5", &(ls_h5_opts){ .x_scale = 3 });
        ls_loader *l = ls_loader_new(ctx, d, &(ls_loader_opts){ .batch_size = 5 });
        ls_tensor *x, *y;
        cr_assert(ls_next(l, &x, &y) && x, "%s", ctx->failure.text);
        cr_expect(y->shape.ndim == 2 && y->shape.dim[0] == 5 && y->shape.dim[1] == 1);
        cr_expect(x->dtype == ctx->opts.dtype && y->dtype == ctx->opts.dtype);
        if (wide) cr_expect(((double *)x->data)[1] == 4.0 / 3 && ((double *)y->data)[1] == 2);
        else cr_expect(((float *)x->data)[1] == 4.0f / 3 && ((float *)y->data)[1] == 2);
        cr_expect_str_eq(x->origin->name, "a.h5");
        end(ctx);
    }
}

/* Nothing more is read of a file whose batches are all in the buffers. */
Test(files, batches_that_stay_are_read_once)
{
    write_file("a.h5", 0, 10, LS_STORE_I64);
    write_file("b.h5", 0, 10, LS_STORE_I64);
    ls_ctx *ctx = begin();
    ls_dataset *d = ls_h5_dataset(ctx, "a.h5", NULL);
    ls_loader *l = ls_loader_new(ctx, d, &(ls_loader_opts){ .batch_size = 5 });
    ls_tensor *x, *y;
    cr_assert(ls_loader_all(l, &x, &y) && x);
    while (ls_next(l, &x, &y)) continue;
    char bytes[8192];
    FILE *file = fopen("a.h5", "r");
    size_t length = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    cr_assert(length < sizeof bytes && truncate("a.h5", 0) == 0);
    for (int e = 0; e < 3; e++) {
        cr_expect(ls_loader_all(l, &x, &y) && x);
        cr_expect(ls_next(l, &x, &y) && x && label(y, 4) == 4);
        cr_expect(ls_next(l, &x, &y) && x && label(y, 4) == 9);
        cr_expect_not(ls_next(l, &x, &y));
    }
    cr_expect_eq(ls_error(ctx), LS_OK);
    ls_dataset *again = ls_h5_dataset(ctx, "b.h5", NULL);
    ls_loader *shuffled = ls_loader_new(ctx, again, &(ls_loader_opts){ 5, true, false, NULL });
    cr_assert(truncate("b.h5", 0) == 0);
    cr_assert(ls_next(shuffled, &x, &y));
    cr_expect_null(x);
    expect_failure(ctx, LS_ERR_IO, "b.h5");

    /* What could not be read is tried again. */
    ctx->failure.status = LS_OK;
    cr_expect(ls_loader_all(shuffled, &x, &y) && !x);
    expect_failure(ctx, LS_ERR_IO, "b.h5");
    ctx->failure.status = LS_OK;
    FILE *b = fopen("b.h5", "w");
    cr_assert_eq(fwrite(bytes, 1, length, b), length);
    fclose(b);
    cr_expect(ls_loader_all(shuffled, &x, &y) && x && label(y, 9) == 9);
    end(ctx);
}

static void write_raw(const char *path, hsize_t x_rows, hsize_t y_rows, hid_t x_type)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hsize_t x_dim[2] = { x_rows, 2 };
    double values[64] = { 0 };
    hid_t x_space = H5Screate_simple(2, x_dim, NULL), y_space = H5Screate_simple(1, &y_rows, NULL);
    hid_t x = H5Dcreate2(file, "/x", x_type, x_space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hid_t y = H5Dcreate2(file, "/y", H5T_NATIVE_INT, y_space, H5P_DEFAULT, H5P_DEFAULT,
                         H5P_DEFAULT);
    cr_assert(H5Dwrite(x, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    cr_assert(H5Dwrite(y, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(x), H5Dclose(y), H5Sclose(x_space), H5Sclose(y_space), H5Fclose(file);
}

Test(files, refused_with_a_reason)
{
    write_raw("fashion.h5", 6, 5, H5T_NATIVE_FLOAT);
    write_raw("a.h5", 4, 4, H5T_NATIVE_FLOAT);
    write_file("b.h5", 0, 4, LS_STORE_I64);
    static const struct {
        const char *path;
        ls_status status;
        const char *part;
    } cases[] = {
        { "", LS_ERR_ARG, "path is missing" },
        { "nowhere.h5", LS_ERR_INPUT, "nowhere.h5" },
        { "nowhere-*.h5", LS_ERR_INPUT, "no file is named like nowhere-*.h5" },
        { "a.h5,,b.h5", LS_ERR_ARG, "the name of a file is empty" },
        { "a.h5,", LS_ERR_ARG, "the name of a file is empty" },
        { "fashion.h5", LS_ERR_DATA, "fashion.h5: /x has 6 rows and /y 5: they must agree" },
        { "a.h5,b.h5", LS_ERR_DATA, "b.h5: a row of /x is uint8 [2, 3], and float32 [2] in a.h5" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls_ctx *ctx = begin();
        cr_expect_null(ls_h5_dataset(ctx, cases[i].path, NULL));
        expect_failure(ctx, cases[i].status, cases[i].part);
        cr_expect(ctx->agreed && !ctx->newest);
        end(ctx);
    }
    ls_ctx *ctx = begin();
    cr_expect_null(ls_h5_dataset(ctx, "a.h5", &(ls_h5_opts){ .x = "/images" }));
    expect_failure(ctx, LS_ERR_DATA, "/images");
    end(ctx);
    const double scales[] = { NAN, 1e-320, 1e-50, 1e50 }; /* the last two: nothing that float32 holds */
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        ctx = begin();
        cr_expect_null(ls_h5_dataset(ctx, "a.h5", &(ls_h5_opts){ .x_scale = scales[i] }));
        expect_failure(ctx, LS_ERR_ARG, "x_scale");
        end(ctx);
    }
}

/* Another rank opens the files that the root has found, and compares its layout with the root's, then
 * the values. */
Test(files, ranks_read_the_roots_files)
{
    write_file("a.h5", 0, 9, LS_STORE_I64);
    write_file("b.h5", 9, 9, LS_STORE_I64);
    ls_ctx *root = begin();
    const ls_dataset *roots = ls_h5_dataset(root, "?.h5", NULL);
    cr_assert(roots && sent.count == 3);
    strcpy(sent.bytes[3], ls_dataset_fingerprint(roots));
    write_file("c.h5", 18, 9, LS_STORE_I64); /* this one the root has not seen */
    sent.count = 3;
    ls_ctx *ctx = begin_at(1, 2, 4, LS_FLOAT32);
    ls_dataset *d = ls_h5_dataset(ctx, "?.h5", NULL);
    cr_assert_not_null(d, "%s", ctx->failure.text);
    expect_rows(d, 1);
    end(ctx);

    cr_assert(unlink("b.h5") == 0);
    write_file("b.h5", 9, 8, LS_STORE_I64);
    ctx = begin_at(1, 2, 4, LS_FLOAT32);
    cr_expect_null(ls_h5_dataset(ctx, "?.h5", NULL));
    expect_failure(ctx, LS_ERR_DATA, "here it has 17 rows of float32 [2, 3], there 18");
    end(ctx);

    for (int same = 0; same < 2; same++) {
        cr_assert(unlink("b.h5") == 0);
        write_file("b.h5", 8 + same, 9, LS_STORE_I64);
        ctx = begin_at(1, 2, 4, LS_FLOAT32);
        cr_expect(!ls_h5_dataset(ctx, "?.h5", NULL) == !same);
        cr_expect_eq(sent.next, 4); /* the fingerprint as well */
        if (!same) expect_failure(ctx, LS_ERR_DATA, "?.h5 differs from the file that rank 0 reads: it has");
        end(ctx);
    }
    end(root);
}

Test(files, writer_leaves_whole_files_or_none)
{
    write_file("a.h5", 0, 3, LS_STORE_I64);
    ls_column x = { "/x", LS_STORE_F32, LS_SHAPE(2) }, y = { "/y", LS_STORE_F32, { 0 } };
    ls_ctx *ctx = begin();
    cr_expect_null(ls_writer_new(ctx, "a.h5", x, y));
    expect_failure(ctx, LS_ERR_OUTPUT, "a.h5");
    cr_expect_eq(ls_writer_add(NULL, 0, NULL, NULL), LS_ERR_ARG);
    cr_expect_eq(ls_writer_close(NULL), LS_ERR_ARG);
    end(ctx);

    float row[2] = { 1, 2 };
    ctx = begin();
    ls_writer *kept_open = ls_writer_new(ctx, "b.h5", x, y),
              *failed = ls_writer_new(ctx, "c.h5", x, y);
    cr_expect_eq(ls_writer_add(kept_open, 1, row, row), LS_OK);
    cr_expect_eq(ls_writer_add(failed, 1, row, row), LS_OK);
    ls_fail(ctx, LS_ERR_DATA, "the program's own");
    cr_expect_eq(ls_writer_add(failed, 1, row, row), LS_ERR_DATA);
    cr_expect_eq(ls_writer_close(failed), LS_ERR_DATA);
    end(ctx);
    cr_expect_eq(system("test \"$(ls -A)\" = a.h5"), 0);
}
