/* data_windows.h -- batches that are read many at a time; a part of test_data.c, whose contexts and
 * recorder it uses. */
#pragma once

/* Rows are read many batches at a time: a failure is still that of its batch, and those before it are
 * handed out. */
Test(loader, failure_in_the_middle_of_a_window)
{
    for (int64_t bad = 0; bad < 512; bad += 73) {
        recorder r;
        ls_ctx *ctx = begin();
        ls_loader *l = ls_loader_new(ctx, recorded(ctx, &r, 512),
                                     &(ls_loader_opts){ .batch_size = 2 });
        ls_tensor *x, *y;
        int64_t step = 0;
        r.bad_row = bad;
        for (; step < bad / 2; step++)
            cr_assert(ls_next(l, &x, &y) && x && label(y, 1) == 2 * step + 1);
        cr_expect_eq(ls_error(ctx), LS_OK);
        cr_assert(ls_next(l, &x, &y) && !x && !y);
        char text[64];
        snprintf(text, sizeof text, "row %d cannot be read", (int)bad);
        expect_failure(ctx, LS_ERR_DATA, text);
        end(ctx);
    }
}

/* How many rows have been read once so many batches of one row are handed out, and the reading thread
 * has had time. */
static int rows_read_ahead(bool is_slow, int batches)
{
    recorder r;
    ls_ctx *ctx = begin();
    ls_loader *l = ls_loader_new(ctx, recorded(ctx, &r, 512), &(ls_loader_opts){ .batch_size = 1 });
    ls_tensor *x, *y;
    int asked = 0;
    r.is_slow = is_slow;
    for (int i = 0; i < batches; i++) cr_assert(ls_next(l, &x, &y));
    ls_loader_free(l); /* waits for what has begun */
    for (int i = 0; i < 512; i++) asked += r.asked[i];
    end(ctx);
    return asked - batches;
}

static cpu_set_t own_cores(void)
{
    cpu_set_t cores;
    cr_assert_eq(sched_getaffinity(0, sizeof cores, &cores), 0);
    return cores;
}

/* Windows of 1, 2, 4, ... batches, the next one read as soon as one is begun; small ones where rows take
 * their time. */
Test(loader, reads_ahead_within_bounds)
{
    cr_expect_leq(rows_read_ahead(false, 1), 2);
    cr_expect_leq(rows_read_ahead(false, 2), 1 + 4);
    int most = 0;
    for (int i = 1; i < 400; i += 3) {
        int ahead = rows_read_ahead(false, i);
        most = ahead > most ? ahead : most;
    }
    cpu_set_t cores = own_cores();
    int least = CPU_COUNT(&cores) > 1 ? 64 + 1 : 63;
    cr_expect(most >= least && most <= 63 + 64, "%d rows ahead", most);
    slow_item_us = 15000;
    cr_expect_eq(rows_read_ahead(true, 8), 1);
}

/* On one core rows are read when they are asked for, many at a time; those that wait for something,
 * ahead. */
Test(loader, one_core)
{
    cpu_set_t all = own_cores(), one;
    CPU_ZERO(&one);
    for (int c = 0; c < CPU_SETSIZE && !CPU_COUNT(&one); c++)
        if (CPU_ISSET(c, &all)) CPU_SET(c, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    for (int is_slow = 0; is_slow < 2; is_slow++) {
        recorder r;
        ls_ctx *ctx = begin();
        ls_loader *l = ls_loader_new(ctx, recorded(ctx, &r, 512),
                                     &(ls_loader_opts){ .batch_size = 1, .shuffle = true });
        ls_tensor *x, *y;
        int64_t seen = 0;
        slow_item_us = 3000;
        r.is_slow = is_slow;
        r.main = pthread_self();
        for (int i = 0; i < 2 * 512; i++) {
            if (!ls_next(l, &x, &y)) cr_assert(ls_next(l, &x, &y));
            seen += label(y, 0);
            if (is_slow && i == 40) break;
        }
        ls_loader_free(l);
        if (is_slow) cr_expect_gt(r.apart, 30, "rows that the reading thread has read");
        else cr_expect(r.apart < 512 && seen == 511 * 512, "%d rows, sum %lld", r.apart, (long long)seen);
        end(ctx);
    }
}

/* Without memory for more, windows stay at one batch and the other one is not there: the same rows, each read
 * once. */
Test(loader, windows_that_cannot_grow)
{
    recorder r;
    ls_ctx *ctx = begin();
    ls_tensor *x, *y;
    ls_loader *warm = ls_loader_new(ctx, recorded(ctx, &r, 1), &(ls_loader_opts){ .batch_size = 1 });
    for (int i = 0; i < 2; i++) cr_assert_eq(ls_next(warm, &x, &y), i == 0); /* a step has its memory */
    ls_loader *l = ls_loader_new(ctx, recorded(ctx, &r, 100), &(ls_loader_opts){ .batch_size = 3 });
    setenv("LS_FAULT", "allocate:*:1+", 1);
    ls_fault_begin(0);
    cr_assert_null(ls_memory_new(1));
    int64_t row = 0;
    for (; ls_next(l, &x, &y); row += ls_dim(x, 0)) cr_assert(x && y && label(y, 0) == row, "%s", ctx->failure.text);
    unsetenv("LS_FAULT");
    ls_fault_begin(0);
    cr_expect(row == 100 && r.asked[99] == 1);
    end(ctx);
}
