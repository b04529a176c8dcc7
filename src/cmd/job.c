/* job.c -- one mpirun with its ranks, watched from outside.
 *
 * What a job does is seen without asking it anything: its lines on stderr, where mpirun says which
 * rank ended how; the file with which the job locks its directory of checkpoints, where the root
 * writes the step that it has done; and /proc, where its ranks are. mpirun is in a process group of
 * its own, so that a Ctrl-C reaches only who knows what to do with it, and is told to end when its
 * parent does; ranks end with mpirun. What it leaves behind when it is killed, shared memory and a
 * directory, is removed (note.c).
 *
 * mpirun ends ranks with two pauses of a second: before SIGTERM, and before SIGKILL. A rank needs them
 * where everybody is told to end, as by a batch system, and a checkpoint is to be written; when a rank
 * has died they are lost time, and cut short: a pause ends with any SIGCHLD, which is harmless besides.
 *
 * Called by launch.c.
 */
#include "cmd/cmd.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const int look_ms = 20;
static const double again_s = 0.5, patience_s = 3, late_patience_s = 10, far_patience_s = 30;

static void rest(double s)
{
    (void)poll(NULL, 0, (int)(s * 1000));
}

/* ---- its ranks, by /proc --------------------------------------------------------------------- */
static bool is_found(const ls_job *j, long pid)
{
    for (int i = 0; i < j->ranks_found; i++)
        if (j->pid[i] == pid) return true;
    return false;
}

static void find_ranks(ls_job *j)
{
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) {
        long pid = strtol(e->d_name, NULL, 10);
        if (pid < 1 || is_found(j, pid) || ls_process_of(pid).parent != j->mpirun) continue;
        unsigned long job = ls_note_job(pid);
        if (!job) continue;
        j->number = job;
        if (j->ranks_found < LS_JOB_RANKS) j->pid[j->ranks_found++] = (pid_t)pid;
    }
    if (d) (void)closedir(d);
}

/* ---- what it says ---------------------------------------------------------------------------- */
static void take_ending(ls_job *j, const char *text)
{
    const char *at = strstr(text, "process rank ");
    if (at && sscanf(at, "process rank %d with PID %*d on node %63s exited on signal %d", &j->ended,
                     j->host, &j->rank_signal) != 3)
        j->rank_signal = 0;
}

/* What mpirun itself says in a frame of dashes is repeated only where we do not say it better. */
static bool is_known(const char *text)
{
    static const char *const known[] = { "noticed that process rank", "exited with non-zero status",
                                         "Per user-direction", "MPI_ABORT was invoked" };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strstr(text, known[i])) return true;
    return false;
}

static void take_frame(ls_job *j)
{
    take_ending(j, j->frame);
    if (!is_known(j->frame)) fputs(j->frame, stderr);
    j->frame[0] = '\0';
    j->in_frame = false;
}

static void take_line(ls_job *j, const char *line)
{
    bool is_dashes = strlen(line) > 60 && strspn(line, "-") == strlen(line) - 1;
    size_t used = strlen(j->frame);
    if (is_dashes && j->in_frame) {
        take_frame(j);
    } else if (is_dashes) {
        j->in_frame = true;
    } else if (j->in_frame) {
        snprintf(j->frame + used, sizeof j->frame - used, "%s", line);
    } else if (!strncmp(line, "lockstep: stopped after step", 28)) {
        snprintf(j->stopped, sizeof j->stopped, "%.*s", (int)sizeof j->stopped - 1, line + 10);
        j->stopped[strcspn(j->stopped, "\n")] = '\0';
    } else if (strncmp(line, "mpirun: Forwarding signal", 25) != 0) {
        if (!strncmp(line, "lockstep: rank ", 15) && strstr(line, ": waited ") && j->late_s == 0)
            j->late_s = ls_clock_s();
        fputs(line, stderr);
    }
}

/* Reads what there is, until no more comes for a moment; false at the end. */
static bool listen_to(ls_job *j, int ms)
{
    struct pollfd from = { j->err, POLLIN, 0 };
    if (poll(&from, 1, ms) <= 0 || !from.revents) return true;
    ssize_t got = read(j->err, j->line + j->used, sizeof j->line - 1 - j->used);
    if (got < 0) return errno == EINTR || errno == EAGAIN;
    j->used += (size_t)got;
    j->line[j->used] = '\0';
    for (char *end; (end = strchr(j->line, '\n')) || j->used == sizeof j->line - 1;) {
        char one[sizeof j->line];
        size_t length = end ? (size_t)(end - j->line) + 1 : j->used;
        memcpy(one, j->line, length);
        one[length] = '\0';
        j->used -= length;
        memmove(j->line, j->line + length, j->used + 1);
        take_line(j, one);
    }
    return got > 0;
}

/* ---- the step that the root has done --------------------------------------------------------- */
/* The lock on the directory: a line on who has it, then the step. -> when it was written, in ns; 0: there is
 * none. */
static int64_t read_lock(const char *dir, char *text, size_t bytes)
{
    char path[4096];
    struct stat about;
    *text = '\0';
    snprintf(path, sizeof path, "%s/.lockstep.lock", dir);
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (file < 0) return 0;
    int64_t at_ns = 0;
    if (!fstat(file, &about)) at_ns = about.st_mtim.tv_sec * 1000000000 + about.st_mtim.tv_nsec;
    ssize_t got = read(file, text, bytes - 1);
    text[got > 0 ? got : 0] = '\0';
    (void)close(file);
    return at_ns;
}

/* A job that was killed leaves its lock, whose step is not that of the one after it. One that cannot write its
 * own, as the disk is full, says nothing, and only its deadline can tell whether it hangs. */
static void look_at_step(ls_job *j, double now)
{
    char text[256];
    int64_t at_ns = read_lock(j->dir, text, sizeof text);
    const char *at = strstr(text, "\nstep ");
    if (!*text && at_ns && at_ns != j->old_ns) j->seen_s = now;
    if (!at || (*j->old && !strncmp(text, j->old, strlen(j->old)))) return;
    char *end;
    int64_t step = strtoll(at + 6, &end, 10);
    if (end == at + 6) return; /* none yet */
    if (step != j->step) j->seen_s = now;
    j->step = step;
}

/* ---- life ------------------------------------------------------------------------------------ */
static _Noreturn void become(const char *const *args, pid_t parent, const int err[2])
{
    int nothing = open("/dev/null", O_RDONLY);
    (void)setpgid(0, 0);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGUSR1, SIG_IGN); /* until mpirun is ready for it */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent || nothing < 0 ||
        dup2(nothing, STDIN_FILENO) < 0 || dup2(err[1], STDERR_FILENO) < 0)
        _exit(70);
    execvp(args[0], (char *const *)(uintptr_t)args);
    fprintf(stderr, "lockstep: %s cannot be started: %s\n", args[0], strerror(errno));
    _exit(66);
}

ls_status ls_job_start(ls_job *j, const char *const *args, int64_t count, const char *dir,
                       ls_note *note, ls_failure *f)
{
    int err[2];
    pid_t parent = getpid();
    *j = (ls_job){ .dir = dir, .note = note, .count = count, .ended = -1, .step = -1 };
    j->begin_s = ls_clock_s();
    j->old_ns = read_lock(dir, j->old, sizeof j->old);
    j->old[strcspn(j->old, "\n")] = '\0';
    if (pipe2(err, O_CLOEXEC) != 0)
        return ls_failure_set(f, LS_ERR_IO, "mpirun cannot be started: %s", strerror(errno));
    fflush(NULL);
    j->mpirun = fork();
    if (j->mpirun == 0) become(args, parent, err);
    (void)close(err[1]);
    j->err = err[0];
    j->seen_s = j->lived_s = j->begin_s;
    if (j->mpirun > 0) {
        ls_note_write(note, j->mpirun, 0);
        return LS_OK;
    }
    (void)close(err[0]);
    return ls_failure_set(f, LS_ERR_IO, "mpirun cannot be started: %s", strerror(errno));
}

/* Whether mpirun has ended. */
static bool has_ended(ls_job *j)
{
    int status;
    if (waitpid(j->mpirun, &status, WNOHANG) != j->mpirun) return false;
    j->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    j->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return true;
}

/* No rank may hold the directory when the next job begins. */
static void wait_for_ranks(const ls_job *j)
{
    double until = ls_clock_s() + patience_s;
    for (int i = 0; i < j->ranks_found; i++) {
        while (ls_note_job(j->pid[i]) == j->number && ls_clock_s() < until) {
            if (ls_clock_s() > until - patience_s / 2) (void)kill(j->pid[i], SIGKILL);
            rest(0.002);
        }
    }
}

static void end_by_force(ls_job *j)
{
    double until = ls_clock_s() + patience_s;
    (void)kill(j->mpirun, SIGTERM);
    while (!has_ended(j)) {
        if (ls_clock_s() > until) (void)kill(j->mpirun, SIGKILL);
        listen_to(j, look_ms);
    }
}

/* For its ranks, until all of them that are here have been seen, and for a directory to leave the note in. */
static void look_around(ls_job *j)
{
    ls_failure f = { 0 };
    unsigned long number = j->number;
    bool had_note = j->note->fd >= 0;
    if (j->ranks_found < j->count) find_ranks(j);
    if (!had_note) (void)ls_note_take(j->note, j->dir, &f); /* another's: its lock decides */
    if (j->number != number || (!had_note && j->note->fd >= 0))
        ls_note_write(j->note, j->mpirun, j->number);
}

/* mpirun may hang in its own end (note.c), when all its ranks are gone: it is given time, more where some are
 * on other machines. Of those it has none here where a rank says that it has waited too long: all end then. */
static void end_what_hangs(ls_job *j, double now)
{
    bool is_over = j->ranks_found > 0;
    if (now - j->lived_s < again_s) return;
    if (j->late_s > 0 && now - j->late_s > late_patience_s) (void)kill(j->mpirun, SIGKILL);
    for (int i = 0; i < j->ranks_found && is_over; i++) {
        const ls_process p = ls_process_of(j->pid[i]);
        is_over = p.parent != j->mpirun || p.state == 'Z';
    }
    if (!is_over) j->lived_s = now;
    else if (now - j->lived_s > (j->ranks_found < j->count ? far_patience_s : patience_s))
        (void)kill(j->mpirun, SIGKILL);
}

/* One of those that were here is not any more. */
static bool has_lost_rank(const ls_job *j)
{
    for (int i = 0; i < j->ranks_found; i++)
        if (kill(j->pid[i], 0) && errno == ESRCH) return true;
    return false;
}

void ls_job_watch(ls_job *j, double hang_s)
{
    double asked_s = 0, looked_s = 0;
    bool is_open = true, is_ending = false;
    while (!has_ended(j)) {
        double now = ls_clock_s();
        is_ending = is_ending || has_lost_rank(j);
        if (is_ending && !ls_stop_asked()) (void)kill(j->mpirun, SIGCHLD);
        end_what_hangs(j, now);
        if (is_open) is_open = listen_to(j, look_ms);
        else rest(look_ms / 1e3);
        if (now - looked_s > (now - j->begin_s < again_s * look_ms ? 2e-3 * look_ms : 1)) {
            look_around(j);
            looked_s = now;
        }
        look_at_step(j, now);
        if (ls_stop_asked() && now - asked_s > again_s) { /* it may not have been ready before */
            (void)kill(j->mpirun, SIGUSR1);
            asked_s = now;
        }
        j->silent_s = now - j->seen_s;
        j->hung = hang_s > 0 && j->silent_s > hang_s;
        if (!j->hung) continue;
        end_by_force(j);
        break;
    }
    while (is_open && listen_to(j, 50) && !(j->used == 0 && kill(j->mpirun, 0))) {
        struct pollfd more = { j->err, POLLIN, 0 };
        if (poll(&more, 1, 50) <= 0) break;
    }
    if (j->in_frame) take_frame(j);
    wait_for_ranks(j);
    if (!j->hung) look_at_step(j, ls_clock_s()); /* else it may have stepped on as it was ended */
    ls_note_clean(j->mpirun, j->number);
    (void)close(j->err);
}
