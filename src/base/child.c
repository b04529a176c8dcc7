/* child.c -- a function in a process of its own.
 *
 * The child is a copy of this process in which only the calling thread lives. It may use little
 * time, some memory and no disk, tells through a pipe how it went, and leaves without running
 * anything that was registered for a normal end. What it says is believed; that it says nothing
 * means that it crashed.
 *
 * Called by store, for files that nobody vouches for.
 */
#include "base/child.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMORY_BYTES ((rlim_t)2 << 30) /* more than what is in use */
#define LEAST_BYTES                                                                                \
    ((size_t)4 << 20) /* without them a crash would say nothing about what is looked at */

/* What this process holds of memory of its own, in bytes. */
static rlim_t data_bytes(void)
{
    unsigned long pages = 0;
    FILE *in = fopen("/proc/self/statm", "re");
    if (in && fscanf(in, "%*u %*u %*u %*u %*u %lu", &pages) != 1) pages = 0;
    if (in) (void)fclose(in);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void limit(int what, rlim_t most)
{
    struct rlimit now;
    if (getrlimit(what, &now) != 0) return;
    if (now.rlim_cur != RLIM_INFINITY && now.rlim_cur <= most) return;
    now.rlim_cur = most;
    (void)setrlimit(what, &now); /* to less is always allowed */
}

static _Noreturn void be_child(void (*run)(void *of, ls_failure *f), void *of, int limit_s,
                               const char *what, int to)
{
    static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM };
    ls_failure f = { .status = LS_OK };
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) (void)signal(fatal[i], SIG_DFL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    limit(RLIMIT_CPU, (rlim_t)limit_s);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_DATA, data_bytes() + MEMORY_BYTES);
    (void)alarm((unsigned)(4 * limit_s)); /* a busy machine is no crash */
    if (ls_memory_is_there(LEAST_BYTES)) run(of, &f);
    else ls_failure_memory(&f, LEAST_BYTES, "looking at %s", what);
    ssize_t put = write(to, &f, sizeof f); /* short of PIPE_BUF: whole or not at all */
    _exit(put == (ssize_t)sizeof f ? 0 : 1);
}

ls_status ls_child_run(void (*run)(void *of, ls_failure *f), void *of, int limit_s,
                       const char *what, ls_failure *f)
{
    _Static_assert(sizeof(ls_failure) <= 512, "one write to a pipe");
    ls_failure theirs;
    int end[2], status = 0;
    if (pipe2(end, O_CLOEXEC) != 0)
        return ls_failure_set(f, LS_ERR_IO, "%s: no pipe: %s", what, strerror(errno));
    pid_t child = fork();
    if (child == 0) be_child(run, of, limit_s, what, end[1]);
    int error = errno;
    (void)close(end[1]);
    ssize_t got = 0;
    if (child > 0) {
        do got = read(end[0], &theirs, sizeof theirs);
        while (got < 0 && errno == EINTR);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    }
    (void)close(end[0]);
    if (child < 0)
        return ls_failure_set(f, LS_ERR_MEMORY, "%s: no process to look at it: %s", what,
                              strerror(error));
    if (got != (ssize_t)sizeof theirs) {
        bool is_slow = WIFSIGNALED(status) &&
                       (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGALRM);
        return ls_failure_set(f, LS_ERR_DATA, "%s is damaged: reading it %s", what,
                              is_slow ? "takes for ever" : "crashes");
    }
    if (theirs.status && !f->status) *f = theirs;
    return f->status;
}
