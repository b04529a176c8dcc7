/* prefetch.c -- the reading thread: one task at a time.
 *
 * The thread begins with the first task, so that a loader of a single batch never makes one, and
 * sleeps between tasks. All signals go to the other threads. What a task writes is the main
 * thread's again after ls_reader_wait(). Locking, waking and joining cannot fail as they are used
 * here.
 *
 * Called by the loader. */
#include "data/dataset.h"
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

static void *work(void *self)
{
    ls_reader *r = self;
    (void)pthread_mutex_lock(&r->turn);
    for (;;) {
        while (!r->is_asked && !r->ends) (void)pthread_cond_wait(&r->changed, &r->turn);
        if (r->ends) break;
        (void)pthread_mutex_unlock(&r->turn);
        r->task(r->self);
        (void)pthread_mutex_lock(&r->turn);
        r->is_asked = false;
        (void)pthread_cond_signal(&r->changed);
    }
    (void)pthread_mutex_unlock(&r->turn);
    return NULL;
}

static bool make_thread(ls_reader *r)
{
    sigset_t all, before;
    if (pthread_mutex_init(&r->turn, NULL)) return false;
    if (pthread_cond_init(&r->changed, NULL)) {
        (void)pthread_mutex_destroy(&r->turn);
        return false;
    }
    (void)sigfillset(&all);
    bool is_blocked = pthread_sigmask(SIG_SETMASK, &all, &before) == 0;
    r->is_made = pthread_create(&r->thread, NULL, work, r) == 0;
    if (is_blocked) (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!r->is_made) {
        (void)pthread_cond_destroy(&r->changed);
        (void)pthread_mutex_destroy(&r->turn);
    }
    return r->is_made;
}

void ls_reader_ask(ls_reader *r, void (*task)(void *self), void *self)
{
    if (!r->is_made && !make_thread(r)) {
        task(self);
        return;
    }
    (void)pthread_mutex_lock(&r->turn);
    r->task = task;
    r->self = self;
    r->is_asked = true;
    (void)pthread_cond_signal(&r->changed);
    (void)pthread_mutex_unlock(&r->turn);
}

void ls_reader_wait(ls_reader *r)
{
    if (!r->is_made) return;
    (void)pthread_mutex_lock(&r->turn);
    while (r->is_asked) (void)pthread_cond_wait(&r->changed, &r->turn);
    (void)pthread_mutex_unlock(&r->turn);
}

void ls_reader_end(ls_reader *r)
{
    if (!r->is_made) return;
    ls_reader_wait(r);
    (void)pthread_mutex_lock(&r->turn);
    r->ends = true;
    (void)pthread_cond_signal(&r->changed);
    (void)pthread_mutex_unlock(&r->turn);
    (void)pthread_join(r->thread, NULL);
    (void)pthread_cond_destroy(&r->changed);
    (void)pthread_mutex_destroy(&r->turn);
    *r = (ls_reader){ 0 };
}

bool ls_reader_has_core(void)
{
    cpu_set_t cores;
    return sched_getaffinity(0, sizeof cores, &cores) || CPU_COUNT(&cores) > 1;
}

int64_t ls_reader_sleeps(void)
{
    struct rusage used;
    return getrusage(RUSAGE_THREAD, &used) ? 0 : used.ru_nvcsw;
}
