/* note.c -- a launcher's note in the directory of its job: who launches there, which mpirun, and the
 * number by which that knows its job.
 *
 * The launcher holds a lock on it as long as it lives, so there is one launcher a directory, and a note
 * without one is of a launcher that is dead. What that has left is ended and removed then, by the
 * note: mpirun and its ranks, files in shared memory, mpirun's directory. A process is the noted one
 * only if it began at the noted moment.
 *
 * The directory may not be there before the job makes it; until then there is nothing to lock, and the
 * note is taken later. So what a launcher starts bears a mark as well, in its environment: processes with
 * the mark of a launcher that is dead, for this directory, are ended too. They end by themselves but for an
 * mpirun that hangs in its own end, as it does when it was told to while a rank was at its first words.
 *
 * Called by launch.c and job.c.
 */
#include "cmd/cmd.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const double patience_s = 3;

static void name_host(char host[65])
{
    if (gethostname(host, 64)) strcpy(host, "?");
    host[64] = '\0';
}

/* ---- what a job leaves behind ------------------------------------------------------------------ */
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

static void name_session(long mpirun, char path[256])
{
    char host[65];
    const char *base = getenv("TMPDIR");
    name_host(host);
    host[strcspn(host, ".")] = '\0';
    snprintf(path, 256, "%s/ompi.%s.%u/pid.%ld", base ? base : "/tmp", host, (unsigned)geteuid(),
             mpirun);
}

/* The number of an mpirun's job, which its directory tells: JOB.0;ADDRESS, and the ranks' is the next. 0: not
 * told. */
static unsigned long job_of_session(const char *session)
{
    char path[300], text[32] = "";
    snprintf(path, sizeof path, "%s/contact.txt", session);
    FILE *in = fopen(path, "re");
    bool is_told = in && fgets(text, sizeof text, in);
    if (in) (void)fclose(in);
    unsigned long own = is_told ? strtoul(text, NULL, 10) : 0;
    return own ? own + 1 : 0;
}

void ls_note_clean(long mpirun, unsigned long job)
{
    char session[256];
    name_session(mpirun, session);
    if (!job) job = job_of_session(session);
    (void)nftw(session, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (job) remove_shared(job);
}

unsigned long ls_note_job(long pid)
{
    char job[32];
    return ls_process_says(pid, "PMIX_NAMESPACE", job, sizeof job) ? strtoul(job, NULL, 10) : 0;
}

/* ---- what the note says ------------------------------------------------------------------------ */
typedef struct noted {
    char who[160], host[65]; /* a launcher: in words; where */
    long mpirun;
    unsigned long long began;
    unsigned long job;
} noted;

static bool read_note(int fd, noted *out)
{
    char text[512] = "";
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    *out = (noted){ .mpirun = 0 };
    if (got <= 0) return false;
    snprintf(out->who, sizeof out->who, "%.*s", (int)strcspn(text, "\n"), text);
    const char *second = strchr(text, '\n');
    return second &&
           sscanf(second, "\non %64s mpirun %ld since %llu job %lx", out->host, &out->mpirun,
                  &out->began, &out->job) == 4 &&
           out->mpirun > 0;
}

static bool is_there(const noted *n)
{
    const ls_process p = ls_process_of(n->mpirun);
    return p.parent >= 0 && p.state != 'Z' && p.began == n->began;
}

/* Ranks end with mpirun, but for those that have just begun. */
static void end_ranks(unsigned long job)
{
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) {
        long pid = strtol(e->d_name, NULL, 10);
        if (pid > 0 && pid != getpid() && ls_note_job(pid) == job) (void)kill((pid_t)pid, SIGKILL);
    }
    if (d) (void)closedir(d);
}

/* The job of a dead launcher. It is ending already: the death of its parent has told mpirun to. */
static void end_orphan(const noted *n)
{
    char host[65];
    name_host(host);
    if (strcmp(host, n->host) != 0) return; /* nothing of it is here */
    for (double begin = ls_clock_s(); is_there(n);) {
        double waited = ls_clock_s() - begin;
        if (waited > 2 * patience_s) return; /* another user's, perhaps */
        if (waited > patience_s) (void)kill((pid_t)n->mpirun, SIGKILL);
        (void)poll(NULL, 0, 20);
    }
    if (n->job) end_ranks(n->job);
    ls_note_clean(n->mpirun, n->job);
}

/* ---- the mark of a launcher -------------------------------------------------------------------- */
static const char mark_name[] = "LS_LAUNCHER"; /* PID BEGAN DIRECTORY */
enum { MOST_LOST = 16 };

static void name_whole(const char *dir, char *path, size_t bytes)
{
    char here[4096] = "";
    bool is_whole = *dir == '/' || !getcwd(here, sizeof here);
    snprintf(path, bytes, "%s%s%s", is_whole ? "" : here, is_whole ? "" : "/", dir);
}

/* Whether a process was started for the directory by a launcher that is dead. */
static bool is_lost(long pid, const char *path)
{
    char mark[8400];
    long launcher;
    unsigned long long began;
    int used = 0;
    if (!ls_process_says(pid, mark_name, mark, sizeof mark) ||
        sscanf(mark, "%ld %llu %n", &launcher, &began, &used) < 2 || !used ||
        strcmp(mark + used, path) != 0)
        return false;
    const ls_process p = ls_process_of(launcher);
    return p.parent < 0 || p.state == 'Z' || p.began != began;
}

/* Whether there are any; they are killed where they may not live. Those that are no ranks are added. */
static bool find_lost(const char *path, bool may_live, long found[MOST_LOST], int *count)
{
    char number[16];
    bool any = false;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) {
        long pid = strtol(e->d_name, NULL, 10);
        bool is_known = false;
        if (pid < 1 || pid == getpid() || !is_lost(pid, path)) continue;
        any = true;
        for (int i = 0; i < *count; i++) is_known |= found[i] == pid;
        if (!is_known && *count < MOST_LOST &&
            !ls_process_says(pid, "PMIX_RANK", number, sizeof number))
            found[(*count)++] = pid;
        if (!may_live) (void)kill((pid_t)pid, SIGKILL);
    }
    if (d) (void)closedir(d);
    return any;
}

void ls_note_mark(const char *dir)
{
    char path[8300], mark[8400];
    long found[MOST_LOST];
    int count = 0;
    name_whole(dir, path, sizeof path);
    for (double begin = ls_clock_s(), waited = 0; waited < 2 * patience_s;
         waited = ls_clock_s() - begin) {
        if (!find_lost(path, waited < patience_s, found, &count)) break;
        (void)poll(NULL, 0, 20);
    }
    for (int i = 0; i < count; i++) ls_note_clean(found[i], 0);
    snprintf(mark, sizeof mark, "%ld %llu %s", (long)getpid(), ls_process_of(getpid()).began, path);
    (void)setenv(mark_name, mark, 1); /* without memory there is only the note */
}

/* ---- taking and leaving it --------------------------------------------------------------------- */
static void say_who(ls_note *n)
{
    char host[65], since[32] = "";
    struct stat st;
    struct tm at;
    name_host(host);
    if (ftruncate(n->fd, 0) != 0 || futimens(n->fd, NULL) != 0 || fstat(n->fd, &st) != 0) return;
    if (localtime_r(&st.st_mtime, &at))
        strftime(since, sizeof since, " since %Y-%m-%d %H:%M:%S", &at);
    n->head = dprintf(n->fd, "process %ld on %s%s\n", (long)getpid(), host, since);
}

/* Whether what fd is of still has the name. */
static bool is_named(int fd, const char *path)
{
    struct stat ours, named;
    return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_dev == named.st_dev &&
           ours.st_ino == named.st_ino;
}

ls_status ls_note_take(ls_note *n, const char *dir, ls_failure *f)
{
    char path[4096];
    noted before;
    if (n->fd >= 0) return LS_OK;
    snprintf(path, sizeof path, "%s/.lockstep.launch", dir);
    for (int tries = 0; tries < 100; tries++) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
        if (fd < 0)
            return LS_OK; /* not there yet, or not to be written to, which its job will say */
        bool is_held = flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
        if (is_held) {
            (void)read_note(fd, &before);
            (void)close(fd);
            return ls_failure_set(f, LS_ERR_OUTPUT,
                                  "%s: another launcher works here: %s; wait for it, or choose "
                                  "another checkpoint.dir",
                                  dir, before.who[0] ? before.who : "it does not say who");
        }
        if (!is_named(fd, path)) {
            (void)close(fd);
            continue;
        }
        n->fd = fd;
        snprintf(n->path, sizeof n->path, "%s", path);
        if (read_note(fd, &before)) end_orphan(&before);
        say_who(n);
        return LS_OK;
    }
    return LS_OK;
}

void ls_note_write(ls_note *n, long mpirun, unsigned long job)
{
    char host[65], text[256];
    name_host(host);
    if (n->fd < 0 || n->head <= 0) return;
    int bytes = snprintf(text, sizeof text, "on %s mpirun %ld since %llu job %lx\n", host, mpirun,
                         ls_process_of(mpirun).began, job);
    if (ftruncate(n->fd, n->head) != 0 || pwrite(n->fd, text, (size_t)bytes, n->head) != bytes)
        n->head = 0; /* a full disk: there is nothing to find then */
}

void ls_note_leave(ls_note *n)
{
    if (n->fd < 0) return;
    (void)unlink(n->path); /* while it is held, so that nobody's newer file is meant */
    (void)close(n->fd);
    n->fd = -1;
}
