/* watchdog.c -- a deadline for what MPI does without asking anybody: to begin, and to end.
 *
 * Both wait for all ranks, inside MPI, where wait.c does not listen. A thread sleeps meanwhile until MPI
 * is done, or the deadline is over; then it says so and ends this process, upon which the launcher ends
 * the others. Nothing is known of a rank that has not begun but what /proc shows: those of this machine
 * that are stopped are named. The lowest rank that is not speaks first, and whoever has been told to end
 * meanwhile is silent. A rank that was stopped itself begins to count anew.
 *
 * Called by ranks.c.
 */
#include "comm/inside.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double grace_s = 1;
static const double least_s = 20, overslept_s = 0.5;

/* Ranks of this job on this machine that are stopped, as "; rank 2 (process 123) is stopped"; how many of
 * them are below this one. */
static int name_stopped(long own, char *text, size_t bytes)
{
    char job[128], theirs[128], rank[16];
    size_t used = 0;
    int lower = 0;
    *text = '\0';
    if (!ls_process_says(getpid(), "PMIX_NAMESPACE", job, sizeof job)) return 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d)) && used < bytes;) {
        long pid = strtol(e->d_name, NULL, 10);
        if (pid < 1 || ls_process_of(pid).state != 'T') continue;
        if (!ls_process_says(pid, "PMIX_NAMESPACE", theirs, sizeof theirs) || strcmp(job, theirs) ||
            !ls_process_says(pid, "PMIX_RANK", rank, sizeof rank))
            continue;
        used += (size_t)snprintf(text + used, bytes - used, "; rank %s (process %ld) is stopped",
                                 rank, pid);
        lower += strtol(rank, NULL, 10) < own;
    }
    if (d) (void)closedir(d);
    return lower;
}

/* Whether MPI is done within a time in which this process was not stopped itself. */
static bool is_done_within(ls_watchdog *w, double s)
{
    struct timespec until;
    int late = 0;
    const double end_s = ls_clock_s() + s, whole_s = s;
    clock_gettime(CLOCK_MONOTONIC, &until);
    s += 1e-9 * (double)until.tv_nsec;
    until.tv_sec += (time_t)s;
    until.tv_nsec = (long)((s - (double)(time_t)s) * 1e9);
    pthread_mutex_lock(&w->mutex);
    while (!w->is_done && !late) late = pthread_cond_timedwait(&w->done, &w->mutex, &until);
    bool is_done = w->is_done;
    pthread_mutex_unlock(&w->mutex);
    if (!is_done && ls_clock_s() > end_s + overslept_s) return is_done_within(w, whole_s);
    return is_done;
}

static void *watch(void *of)
{
    ls_watchdog *w = of;
    char rank[16] = "0", count[16] = "", stopped[512];
    if (is_done_within(w, w->deadline_s)) return NULL;
    ls_process_says(getpid(), "PMIX_RANK", rank, sizeof rank);
    ls_process_says(getpid(), "OMPI_COMM_WORLD_SIZE", count, sizeof count);
    long own = strtol(rank, NULL, 10);
    bool is_first = own == name_stopped(own, stopped, sizeof stopped);
    if (!is_first && is_done_within(w, grace_s)) return NULL;
    if (!ls_stop_asked())
        ls_comm_say("rank %s%s%s: waited %.3g s for all ranks to %s%s", rank, *count ? " of " : "",
                    count, w->deadline_s, w->what, stopped);
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
    pthread_cond_destroy(&w->done);
    pthread_mutex_destroy(&w->mutex);
}
