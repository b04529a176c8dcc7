/* job.c -- one mpirun with its ranks, watched from outside.
 *
 * What a job does is seen without asking it anything: its lines on stderr, where mpirun says which
 * rank ended how; the file with which the job locks its directory of checkpoints, where the root
 * writes the step that it has done; and /proc, where its ranks are. mpirun is in a process group of
 * its own, so that a Ctrl-C reaches only who knows what to do with it, and is told to end when its
 * parent does; ranks end with mpirun. What it leaves behind when it is killed, shared memory and a
 * directory, is removed by the name of the job.
 *
 * Called by launch.c.
 */
#include "cmd/cmd.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
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
static const double again_s = 0.5, patience_s = 3;

static void rest(double s)
{
    (void)poll(NULL, 0, (int)(s * 1000));
}

/* ---- what a job leaves behind ---------------------------------------------------------------- */
static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *at)
{
    (void)about, (void)kind, (void)at;
    (void)remove(path); /* another job's, or gone already */
    return 0;
}

/* vader_segment.HOST.UID.JOB.RANK, the job in hexadecimal. */
static void remove_shared(unsigned long job)
{
    char part[32], path[320];
    DIR *d = opendir("/dev/shm");
    snprintf(part, sizeof part, ".%lx.", job);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strncmp(e->d_name, "vader_segment.", 14) != 0 || !strstr(e->d_name, part)) continue;
        snprintf(path, sizeof path, "/dev/shm/%s", e->d_name);
        (void)unlink(path);
    }
    if (d) (void)closedir(d);
}

static void remove_session(long mpirun)
{
    char host[65] = "", path[256];
    const char *base = getenv("TMPDIR");
    if (gethostname(host, sizeof host - 1)) return;
    host[strcspn(host, ".")] = '\0';
    snprintf(path, sizeof path, "%s/ompi.%s.%u/pid.%ld", base ? base : "/tmp", host,
             (unsigned)geteuid(), mpirun);
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void note_path(const char *dir, char path[4096])
{
    snprintf(path, 4096, "%s/.lockstep.job", dir);
}

/* For the next launcher, should this one not live to clean up. */
static void write_note(const ls_job *j)
{
    char path[4096];
    note_path(j->dir, path);
    FILE *out = fopen(path, "we");
    if (!out) return; /* then there is nothing to read either */
    fprintf(out, "%ld %lx\n", (long)j->mpirun, j->number);
    (void)fclose(out);
}

void ls_job_clean(const char *dir)
{
    char path[4096];
    long mpirun = 0;
    unsigned long job = 0;
    note_path(dir, path);
    FILE *in = fopen(path, "re");
    if (!in) return;
    bool is_note = fscanf(in, "%ld %lx", &mpirun, &job) == 2 && mpirun > 0;
    (void)fclose(in);
    if (is_note && kill((pid_t)mpirun, 0) == 0) return; /* alive, or its number is another's now */
    if (is_note) remove_session(mpirun);
    if (is_note && job) remove_shared(job);
    (void)unlink(path);
}

/* ---- its ranks, by /proc --------------------------------------------------------------------- */
static long parent_of(const char *pid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    ssize_t got = read(file, text, sizeof text - 1);
    (void)close(file);
    const char *end = got > 0 ? strrchr(text, ')') : NULL; /* a name may hold anything */
    return end && strlen(end) > 4 ? strtol(end + 4, NULL, 10) : -1;
}

/* The number that mpirun gave the job, from a rank's environment; 0: it is no rank. */
static unsigned long job_of(const char *pid)
{
    static const char name[] = "PMIX_NAMESPACE=";
    char path[64], *text = NULL;
    size_t room = 0;
    unsigned long job = 0;
    snprintf(path, sizeof path, "/proc/%.20s/environ", pid);
    FILE *in = fopen(path, "re");
    while (in && !job && getdelim(&text, &room, 0, in) > 0)
        if (!strncmp(text, name, sizeof name - 1)) job = strtoul(text + sizeof name - 1, NULL, 10);
    if (in) (void)fclose(in);
    free(text);
    return job;
}

static void find_ranks(ls_job *j)
{
    DIR *d = opendir("/proc");
    j->ranks_found = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!isdigit((unsigned char)e->d_name[0]) || parent_of(e->d_name) != j->mpirun) continue;
        unsigned long job = job_of(e->d_name);
        if (!job) continue;
        j->number = job;
        if (j->ranks_found < LS_JOB_RANKS) j->pid[j->ranks_found++] = (pid_t)atol(e->d_name);
    }
    if (d) (void)closedir(d);
    if (j->ranks_found >= j->count) write_note(j);
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
static void look_at_step(ls_job *j, double now)
{
    char path[4096], text[256] = "";
    snprintf(path, sizeof path, "%s/.lockstep.lock", j->dir);
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (file < 0) return;
    ssize_t got = read(file, text, sizeof text - 1);
    (void)close(file);
    const char *at = got > 0 ? strstr(text, "\nstep ") : NULL;
    if (!at) return;
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
                       ls_failure *f)
{
    int err[2];
    pid_t parent = getpid();
    *j = (ls_job){ .dir = dir, .count = count, .ended = -1, .begin_s = ls_clock_s(), .step = -1 };
    if (pipe2(err, O_CLOEXEC) != 0)
        return ls_failure_set(f, LS_ERR_IO, "mpirun cannot be started: %s", strerror(errno));
    fflush(NULL);
    j->mpirun = fork();
    if (j->mpirun == 0) become(args, parent, err);
    (void)close(err[1]);
    j->err = err[0];
    j->seen_s = j->begin_s;
    if (j->mpirun > 0) return LS_OK;
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
        char pid[24];
        snprintf(pid, sizeof pid, "%ld", (long)j->pid[i]);
        while (job_of(pid) == j->number && ls_clock_s() < until) {
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

void ls_job_watch(ls_job *j, double hang_s)
{
    double asked_s = 0, looked_s = 0;
    bool is_open = true;
    while (!has_ended(j)) {
        double now = ls_clock_s();
        if (is_open) is_open = listen_to(j, look_ms);
        else rest(look_ms / 1e3);
        if (j->ranks_found < j->count && now - looked_s > 2e-3 * look_ms) {
            find_ranks(j);
            looked_s = now;
        }
        look_at_step(j, now);
        if (ls_stop_asked() && now - asked_s > again_s) { /* it may not have been ready before */
            (void)kill(j->mpirun, SIGUSR1);
            asked_s = now;
        }
        j->hung = hang_s > 0 && now - j->seen_s > hang_s;
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
    look_at_step(j, ls_clock_s());
    remove_session(j->mpirun);
    if (j->number) remove_shared(j->number);
    char path[4096];
    note_path(j->dir, path);
    (void)unlink(path);
    (void)close(j->err);
}
