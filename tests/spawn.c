/* spawn.c -- running programs from a test, alone or as ranks of mpirun.
 *
 * The child asks to be told when its parent dies, so that a test that is killed leaves no ranks
 * behind (mpirun passes the signal on), and forgets the environment by which Criterion's workers
 * know themselves. Both outputs are read as they come; at the limit the program is ended.
 */
#include "spawn.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Under a sanitizer leaks are looked for in jobs of so many ranks: the search, and the whole stack of every
 * allocation that it needs, take most of the time of a short job, and MPI makes thousands. */
enum { LEAKS_ON_RANKS = 2 };
enum { MOST_ARGS = 64, STEP_BYTES = 4096 };

static _Noreturn void give_up(const char *what)
{
    perror(what);
    abort();
}

static double now_s(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_MONOTONIC, &t) != 0) give_up("clock_gettime");
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static _Noreturn void become(const char *const args[], pid_t parent, const int out[2],
                             const int err[2])
{
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent) _exit(126);
    unsetenv("BXFI_MAP");
    if (dup2(out[1], STDOUT_FILENO) < 0 || dup2(err[1], STDERR_FILENO) < 0) _exit(126);
    const int ends[] = { out[0], out[1], err[0], err[1] };
    for (int i = 0; i < 4; i++) close(ends[i]);
    execvp(args[0], (char *const *)(uintptr_t)args);
    _exit(127);
}

/* Appends what there is to read; false at the end. */
static int read_more(int from, char **text, size_t *used)
{
    char *more = realloc(*text, *used + STEP_BYTES + 1);
    if (!more) give_up("realloc");
    *text = more;
    ssize_t count = read(from, more + *used, STEP_BYTES);
    if (count < 0 && errno != EINTR) give_up("read");
    if (count > 0) *used += (size_t)count;
    (*text)[*used] = 0;
    return count != 0;
}

/* Until both outputs are closed; false at the limit. */
static int read_all(spawned *s, int out, int err, double limit_s)
{
    struct pollfd from[2] = { { out, POLLIN, 0 }, { err, POLLIN, 0 } };
    char **text[2] = { &s->out, &s->err };
    size_t used[2] = { 0, 0 };
    while (from[0].fd >= 0 || from[1].fd >= 0) {
        double left_s = limit_s - now_s();
        if (left_s <= 0) return 0;
        int ready = poll(from, 2, (int)(left_s * 1000) + 1);
        if (ready < 0 && errno != EINTR) give_up("poll");
        for (int i = 0; ready > 0 && i < 2; i++)
            if (from[i].revents && !read_more(from[i].fd, text[i], &used[i])) from[i].fd = -1;
    }
    return 1;
}

static int end_of(pid_t child, int is_late)
{
    int status = 0;
    if (is_late) {
        kill(child, SIGTERM); /* mpirun ends its ranks */
        nanosleep(&(struct timespec){ 2, 0 }, NULL);
        kill(child, SIGKILL);
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) give_up("waitpid");
    if (is_late) return SPAWN_TIMED_OUT;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static spawned *spawn(const char *const args[])
{
    int out[2], err[2];
    spawned *s = calloc(1, sizeof *s);
    if (!s || !(s->out = calloc(1, 1)) || !(s->err = calloc(1, 1))) give_up("calloc");
    if (pipe(out) != 0 || pipe(err) != 0) give_up("pipe");
    fflush(NULL);
    double begin_s = now_s();
    pid_t parent = getpid(), child = fork();
    if (child < 0) give_up("fork");
    if (child == 0) become(args, parent, out, err);
    close(out[1]);
    close(err[1]);
    int is_late = !read_all(s, out[0], err[0], begin_s + SPAWN_LIMIT_S);
    s->code = end_of(child, is_late);
    s->seconds = now_s() - begin_s;
    close(out[0]);
    close(err[0]);
    return s;
}

/* The arguments of a call behind those that are there already, ended by NULL. */
static void collect(const char *args[MOST_ARGS], int count, va_list list)
{
    while ((args[count] = va_arg(list, const char *)))
        if (++count == MOST_ARGS) give_up("too many arguments");
}

spawned *run(const char *program, ...)
{
    const char *args[MOST_ARGS] = { program };
    va_list list;
    va_start(list, program);
    collect(args, 1, list);
    va_end(list);
    return spawn(args);
}

spawned *mpi_run(int np, const char *program, ...)
{
    char count[16], sanitizer[512];
    const char *options = getenv("ASAN_OPTIONS");
    snprintf(count, sizeof count, "%d", np);
    snprintf(sanitizer, sizeof sanitizer, "ASAN_OPTIONS=%s%s", options ? options : "",
             np == LEAKS_ON_RANKS ? "" : ":detect_leaks=0:fast_unwind_on_malloc=1");
    const char *args[MOST_ARGS] = { "mpirun", "-np", count, "-x", sanitizer, program };
    va_list list;
    va_start(list, program);
    collect(args, 6, list);
    va_end(list);
    return spawn(args);
}

void spawned_free(spawned *s)
{
    if (!s) return;
    free(s->out);
    free(s->err);
    free(s);
}

int count_of(const char *text, const char *in)
{
    int count = 0;
    for (const char *at = strstr(in, text); at; at = strstr(at + strlen(text), text)) count++;
    return count;
}
