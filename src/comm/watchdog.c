/* watchdog.c -- a deadline for what MPI does without asking anybody: to begin, and to end.
 *
 * Both wait for all ranks, inside MPI, where wait.c does not listen. A thread sleeps meanwhile until MPI
 * is done, or the deadline is over; then it says so and ends this process, upon which the launcher ends
 * the others. Nothing is known of a rank that has not begun but what /proc shows: those of this machine
 * that are stopped are named. The lowest rank that is not speaks first, and whoever has been told to end
 * meanwhile is silent. A rank that was stopped itself begins to count anew.
 *
 * Before the end those that are stopped go on, if only to end: mpirun may be waiting for the rest of a rank's
 * first words, and would wait for ever, holding a lock, when it comes to its own end in between.
 *
 * Called by ranks.c.
 */
#include "comm/inside.h"
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double grace_s = 1;
static const double least_s = 20, overslept_s = 0.5, slice_s = 0.05;
static const double first_words_s = 0.25, last_words_s = 0.1; /* for what takes milliseconds */
static const double own_end_s = 1; /* off the deadline: mpirun needs two seconds beyond it */

enum { MOST_NAMED = 8 };

/* Ranks of this job on this machine that are stopped. */
typedef struct stopped {
    char text[512]; /* as "; rank 2 (process 123) is stopped" */
    int lower;      /* of them are below this one */
    int count;
    pid_t pid[MOST_NAMED];
} stopped;

static void find_stopped(long own, stopped *out)
{
    char job[128], theirs[128], rank[16];
    size_t used = 0;
    *out = (stopped){ .count = 0 };
    if (!ls_process_says(getpid(), "PMIX_NAMESPACE", job, sizeof job)) return;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d)) && out->count < MOST_NAMED;) {
        long pid = strtol(e->d_name, NULL, 10);
        if (pid < 1 || ls_process_of(pid).state != 'T') continue;
        if (!ls_process_says(pid, "PMIX_NAMESPACE", theirs, sizeof theirs) || strcmp(job, theirs) ||
            !ls_process_says(pid, "PMIX_RANK", rank, sizeof rank))
            continue;
        used += (size_t)snprintf(out->text + used, sizeof out->text - used,
                                 "; rank %s (process %ld) is stopped", rank, pid);
        out->lower += strtol(rank, NULL, 10) < own;
        out->pid[out->count++] = (pid_t)pid;
    }
    if (d) (void)closedir(d);
}

static void rest(double s)
{
    nanosleep(&(struct timespec){ 0, (long)(s * 1e9) }, NULL);
}

/* First until they have said what they were at; then, where they take SIGTERM for a wish as this process does,
 * they are told to end: mpirun gives two seconds to those that do not. */
static void let_go_on(const stopped *s)
{
    for (int i = 0; i < s->count; i++) (void)kill(s->pid[i], SIGCONT);
    if (s->count > 0) rest(first_words_s);
    if (s->count == 0 || !ls_stop_is_caught()) return;
    for (int i = 0; i < s->count; i++) (void)kill(s->pid[i], SIGTERM);
    rest(last_words_s);
}

static void leave_if_told(const ls_watchdog *w)
{
    if (w->is_overdue && ls_stop_asked()) _exit(ls_exit_code(LS_ERR_LATE));
}

/* Whether MPI is done within a time in which this process was not stopped itself; in slices, so that it is
 * seen whenever that was. Whoever has slept through half a deadline, or waited for all of it, ends when it
 * is told to. */
static bool is_done_within(ls_watchdog *w, double s)
{
    struct timespec until;
    double end_s = ls_clock_s() + s;
    pthread_mutex_lock(&w->mutex);
    for (double now = ls_clock_s(); !w->is_done && now < end_s;) {
        double slice = end_s - now < slice_s ? end_s - now : slice_s, begin = now;
        clock_gettime(CLOCK_MONOTONIC, &until);
        slice += 1e-9 * (double)until.tv_nsec;
        until.tv_sec += (time_t)slice;
        until.tv_nsec = (long)((slice - (double)(time_t)slice) * 1e9);
        (void)pthread_cond_timedwait(&w->done, &w->mutex, &until);
        now = ls_clock_s();
        if (now - begin > slice_s + overslept_s) end_s = now + s;
        w->is_overdue = w->is_overdue || now - begin > w->deadline_s / 2;
        if (!w->is_done) leave_if_told(w);
    }
    bool is_done = w->is_done;
    pthread_mutex_unlock(&w->mutex);
    return is_done;
}

static void *watch(void *of)
{
    ls_watchdog *w = of;
    char rank[16] = "0", count[16] = "";
    stopped others;
    const double patience_s = w->deadline_s - own_end_s;
    if (is_done_within(w, patience_s)) return NULL;
    ls_process_says(getpid(), "PMIX_RANK", rank, sizeof rank);
    ls_process_says(getpid(), "OMPI_COMM_WORLD_SIZE", count, sizeof count);
    long own = strtol(rank, NULL, 10);
    find_stopped(own, &others);
    w->is_overdue = true;
    if (own != others.lower) {
        if (is_done_within(w, grace_s)) return NULL;
        find_stopped(own, &others);
    }
    pthread_mutex_lock(&w->mutex); /* for good: should MPI be done now, this rank goes no further */
    if (!ls_stop_asked())
        ls_comm_say("rank %s%s%s: waited %.3g s for all ranks to %s%s", rank, *count ? " of " : "",
                    count, patience_s, w->what, others.text);
    let_go_on(&others);
    _exit(ls_exit_code(LS_ERR_LATE));
}

void ls_watchdog_begin(ls_watchdog *w, const ls_ctx *ctx, const char *what)
{
    pthread_condattr_t monotonic;
    const double deadline_s = ls_comm_deadline_s(ctx);
    *w = (ls_watchdog){ .deadline_s = deadline_s > least_s ? deadline_s : least_s, .what = what };
    pthread_mutex_init(&w->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    w->is_there = pthread_create(&w->thread, NULL, watch, w) == 0; /* without, nothing is watched */
}

void ls_watchdog_end(ls_watchdog *w)
{
    pthread_mutex_lock(&w->mutex);
    w->is_done = true;
    pthread_cond_signal(&w->done);
    pthread_mutex_unlock(&w->mutex);
    if (w->is_there) pthread_join(w->thread, NULL);
    for (double s = 0; w->is_overdue && s < 2 * first_words_s; s += slice_s) {
        leave_if_told(w); /* the others are going, or gone */
        rest(slice_s);
    }
    pthread_cond_destroy(&w->done);
    pthread_mutex_destroy(&w->mutex);
}
