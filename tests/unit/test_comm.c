/* test_comm.c -- comm on 1, 2, 3, 4, 5 and 8 ranks: tests/ranks/comm_worker.c does the comparing on
 * every rank; here jobs are launched, and exit codes and what people see are checked.
 */
#include "spawn.h"
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *worker(void)
{
    const char *path = getenv("LS_TEST_COMM_WORKER");
    cr_assert_not_null(path, "LS_TEST_COMM_WORKER names no program");
    return path;
}

static void check_ok(spawned *s, int np, const char *job)
{
    char want[64];
    snprintf(want, sizeof want, "%s ok\n", job);
    cr_assert_eq(s->code, 0, "%s on %d ranks: exit code %d\n%s", job, np, s->code, s->err);
    cr_assert_str_eq(s->out, want, "%s on %d ranks: %s", job, np, s->out);
}

/* ---- jobs that compare everything themselves ----------------------------------------------- */
typedef struct ranks_job {
    int np, number, lines; /* lines: on stderr, or -1: any */
    char job[12];
    int by_messages; /* not through the memory of the node */
} ranks_job;

static const int rank_counts[] = { 1, 2, 3, 4, 5, 8 };
enum { COUNTS = sizeof rank_counts / sizeof *rank_counts };

ParameterizedTestParameters(comm, job)
{
    static const ranks_job job[] = { { .job = "sums" },   { .job = "large" },
                                     { .job = "memory" }, { .job = "copies" },
                                     { .job = "begin" },  { .lines = 7, .job = "fail" } };
    static ranks_job all[2 * (sizeof job / sizeof *job * COUNTS + 16)];
    size_t count = 0;
    for (size_t j = 0; j < sizeof job / sizeof *job; j++)
        for (size_t i = 0; i < COUNTS; i++) {
            all[count] = job[j];
            all[count].np = rank_counts[i];
            all[count++].lines *= rank_counts[i]; /* one failure a call and rank */
        }
    static const ranks_job more[] = {
        { 1, 0, 0, "plans", 0 },     { 3, 0, 0, "plans", 0 },    { 2, 0, 46, "differ", 0 },
        { 3, 0, 46, "differ", 0 },   { 8, 0, 46, "differ", 0 },  { 2, 500, -1, "stress", 0 },
        { 4, 200, -1, "stress", 0 }, { 3, 300, -1, "chaos", 0 }, { 1, 0, 8, "amid", 0 },
        { 2, 0, 32, "amid", 0 },     { 3, 0, 48, "amid", 0 },    { 5, 0, 80, "amid", 0 },
    };
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) all[count++] = more[i];
    for (size_t i = 0, both = count; i < both; i++) {
        if (all[i].np == 1 || all[i].np == 4) continue;
        all[count] = all[i];
        all[count++].by_messages = 1;
    }
    return cr_make_param_array(ranks_job, all, count);
}

ParameterizedTest(ranks_job *p, comm, job)
{
    char number[16];
    snprintf(number, sizeof number, "%d", p->number);
    setenv("LS_NODE_MEMORY", p->by_messages ? "0" : "1", 1);
    spawned *s = mpi_run(p->np, worker(), p->job, number, NULL);
    check_ok(s, p->np, p->job);
    int lines = count_of("\n", s->err), ours = count_of("lockstep: ", s->err);
    cr_assert_eq(lines, ours, "%s on %d ranks: other lines\n%s", p->job, p->np, s->err);
    if (p->lines >= 0)
        cr_assert_eq(ours, p->lines, "%s on %d ranks: %d lines\n%s", p->job, p->np, ours, s->err);
    spawned_free(s);
}

/* ---- several nodes of several ranks -------------------------------------------------------- */
Test(comm, nodes, .timeout = 300)
{
    static const struct {
        int np;
        char each[2];
    } of[] = { { 3, "3" }, { 4, "2" }, { 6, "3" }, { 8, "2" } };
    static const char *const job[] = { "shared", "begin", "amid" };
    const bool is_short = getenv("LS_TEST_SHORT") != NULL;
    for (int i = is_short; i < 4 - is_short; i++)
        for (int j = 0; j < 3; j++) {
            setenv("LS_TEST_NODE_RANKS", of[i].each, 1);
            spawned *s = mpi_run(of[i].np, worker(), job[j], NULL);
            check_ok(s, of[i].np, job[j]);
            spawned_free(s);
        }
}

/* ---- one rank ------------------------------------------------------------------------------ */
Test(comm, a_process_alone_never_starts_mpi)
{
    static const char *const names[] = { "OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK",
                                         "SLURM_STEP_NUM_TASKS" };
    for (int i = 0; i < 4; i++) unsetenv(names[i]);
    spawned *s = run(worker(), "alone", NULL);
    cr_assert_eq(s->code, 0, "exit code %d\n%s", s->code, s->err);
    cr_assert(count_of("alone ok", s->out), "%s", s->out);
    cr_assert_eq(count_of("lockstep: injected at call 3\n", s->err), 1, "%s", s->err);
    cr_assert_eq(count_of("\n", s->err), 7, "%s", s->err);
    spawned_free(s);
}

/* ---- ranks at different places ------------------------------------------------------------- */
/* What mpirun adds itself says nothing of a failed rank but its exit code. */
static void check_not_same(spawned *s, int np, const char *one, const char *other)
{
    cr_assert_eq(s->code, 70, "%d ranks: exit code %d\n%s", np, s->code, s->err);
    cr_assert_eq(count_of("lockstep: ", s->err), 1, "%d ranks:\n%s", np, s->err);
    cr_assert(count_of(one, s->err) && count_of(other, s->err), "%d ranks:\n%s", np, s->err);
    cr_assert(count_of("under ls_is_root()\n", s->err), "%d ranks:\n%s", np, s->err);
    spawned_free(s);
}

Test(comm, a_call_on_the_root_alone_is_named)
{
    for (int np = 2; np <= 5; np++)
        check_not_same(mpi_run(np, worker(), "root_only", NULL), np, "ls_backward()",
                       "ls_finish()");
}

Test(comm, a_rank_that_finishes_early_is_named)
{
    for (int np = 2; np <= 5; np++)
        check_not_same(mpi_run(np, worker(), "early", NULL), np, "ls_finish()", "ls_backward()");
}

/* ---- the deadline -------------------------------------------------------------------------- */
/* The job's rank 1 sleeps for a minute; the deadline is three seconds. */
static void check_late(const char *where, int np, const char *seen, const char *cause)
{
    spawned *s = mpi_run(np, worker(), "late", where, NULL);
    char late[128];
    snprintf(late, sizeof late, " for rank 1, last seen in %s\n", seen);
    cr_assert_eq(s->code, 71, "%s: exit code %d\n%s", where, s->code, s->err);
    cr_assert_lt(s->seconds, 50, "%g s", s->seconds);
    cr_assert_eq(count_of(late, s->err), 1, "%s", s->err);
    cr_assert_eq(count_of("waited ", s->err), 1, "%s", s->err);
    cr_assert_eq(count_of("row 77", s->err) > 0, cause != NULL, "%s", s->err);
    cr_assert(!cause || count_of(cause, s->err), "%s", s->err);
    spawned_free(s);
}

Test(comm, a_late_rank_is_named_and_ends_the_job)
{
    check_late("0", 5, "ls_backward() (call 2)", NULL);
}

Test(comm, a_rank_that_stands_still_in_an_exchange_is_named)
{
    for (int np = 2; np <= 5; np++) check_late("4", np, "ls_step() (call 3)", NULL);
}

Test(comm, a_rank_that_stands_still_amid_sums_begun_early_is_named)
{
    setenv("LS_NODE_MEMORY", "0", 1);
    for (int np = 2; np <= 5; np++) check_late("5", np, "ls_step() (call 3)", NULL);
    unsetenv("LS_NODE_MEMORY");
    setenv("LS_TEST_NODE_RANKS", "2", 1);
    for (int np = 4; np <= 6; np += 2) check_late("5", np, "ls_step() (call 3)", NULL);
}

Test(comm, one_rank_ends_the_job_however_long_it_takes)
{
    setenv("LS_TEST_ABORT_S", "4", 1);
    for (int by_messages = 0; by_messages <= 1; by_messages++) {
        setenv("LS_NODE_MEMORY", by_messages ? "0" : "1", 1);
        check_late("0", 4, "ls_backward() (call 2)", NULL);
    }
    setenv("LS_TEST_NODE_RANKS", "2", 1);
    check_late("0", 6, "ls_backward() (call 2)", NULL);
}

Test(comm, a_rank_that_is_there_by_the_deadline_is_not_called_late)
{
    check_late("2", 4, "ls_backward() (call 2)", NULL);
}

Test(comm, a_failure_is_told_though_the_deadline_ends_the_job)
{
    check_late("1", 3, "ls_backward() (call 2)", "lockstep: rank 2 of 3: row 77 cannot be read\n");
    check_late("3", 3, "ls_backward() (call 410)",
               "lockstep: rank 1 of 3: row 77 cannot be read\n");
}

/* ---- start and end ------------------------------------------------------------------------- */
Test(comm, contexts_on_communicators_of_the_program)
{
    for (int np = 1; np <= 5; np += 2) {
        spawned *s = mpi_run(np, worker(), "split", NULL);
        cr_assert_eq(s->code, 0, "%d ranks: exit code %d\n%s", np, s->code, s->err);
        cr_assert_eq(count_of("split ok\n", s->out), np, "%s", s->out);
        cr_assert_eq(count_of("lockstep: stopped, half 0\n", s->err), 1, "%s", s->err);
        cr_assert_eq(count_of("lockstep: ", s->err), np > 1 ? 2 : 1, "%s", s->err);
        spawned_free(s);
    }
}

Test(comm, stopping_names_no_rank)
{
    spawned *s = mpi_run(3, worker(), "stop", NULL);
    cr_assert_eq(s->code, 75, "exit code %d\n%s", s->code, s->err);
    cr_assert_eq(count_of("lockstep: stopped on request at step 7\n", s->err), 1, "%s", s->err);
    cr_assert_eq(count_of("lockstep: ", s->err), 1, "%s", s->err);
    spawned_free(s);
}
