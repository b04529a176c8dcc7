/* lock.c -- one job at a time in a directory of checkpoints.
 *
 * Who trains into a directory holds a lock on a file in it, which also says who that is. The kernel
 * gives the lock back when the process ends, however it ends, so a lock of a dead job is free. The
 * file is removed with the lock; whoever locked a file that is no longer the one under the name
 * looks again.
 *
 * Called by train when a run begins and ends. */
#include "store/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char lock_name[] = ".lockstep.lock";

enum { LOCK_BYTES = 512, STEP_DIGITS = 12 };

struct ls_lock {
    int fd;
    char *page, *step; /* mapped; where the step stands; or NULL */
    char path[LS_PATH_BYTES];
};

static ls_status cannot(const char *dir, ls_failure *f)
{
    return ls_failure_set(f, LS_ERR_OUTPUT, "%s: checkpoints cannot be written here: %s",
                          ls_show(dir).text, strerror(errno));
}

/* Who holds it: what the file says. */
static ls_status name_holder(int fd, const char *dir, ls_failure *f)
{
    char who[160] = "";
    ssize_t got = pread(fd, who, sizeof who - 1, 0);
    who[got > 0 ? got : 0] = '\0';
    who[strcspn(who, "\n")] = '\0';
    return ls_failure_set(f, LS_ERR_OUTPUT,
                          "%s: another job trains here: %s; wait for it, or choose another "
                          "checkpoint.dir",
                          ls_show(dir).text, who[0] ? ls_show(who).text : "it does not say who");
}

/* Whether what fd is of still has the name. */
static bool is_named(int fd, const char *path)
{
    struct stat ours, named;
    return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_dev == named.st_dev &&
           ours.st_ino == named.st_ino;
}

static ls_status take(ls_lock *l, const char *dir, ls_failure *f)
{
    for (int tries = 0; tries < 100; tries++) {
        do l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
        while (l->fd < 0 && errno == EINTR);
        if (l->fd < 0) return cannot(dir, f);
        int failed;
        do failed = flock(l->fd, LOCK_EX | LOCK_NB);
        while (failed && errno == EINTR);
        if (failed && errno == EWOULDBLOCK) return name_holder(l->fd, dir, f);
        /* A file system without locks: nobody can be kept out, and nobody is. */
        if (failed && errno != ENOLCK && errno != EOPNOTSUPP && errno != EINVAL)
            return cannot(dir, f);
        if (is_named(l->fd, l->path)) return LS_OK;
        (void)close(l->fd);
        l->fd = -1;
    }
    return ls_failure_set(f, LS_ERR_OUTPUT, "%s: another job keeps taking and leaving it",
                          ls_show(dir).text);
}

/* Who holds it, and room for the step, which is then written in place: seen from outside at once, and
 * after the process is dead. On a full disk the lock holds all the same; only its text is missing. */
static void say_who(ls_lock *l)
{
    char text[LOCK_BYTES], host[65] = "?", since[32] = "";
    time_t now = 0;
    struct stat st;
    struct tm at;
    if (gethostname(host, sizeof host - 1) != 0) strcpy(host, "?");
    if (ftruncate(l->fd, 0) != 0 || futimens(l->fd, NULL) != 0 || fstat(l->fd, &st) != 0) return;
    now = st.st_mtime;
    if (localtime_r(&now, &at)) strftime(since, sizeof since, " since %Y-%m-%d %H:%M:%S", &at);
    memset(text, '\n', sizeof text);
    int length = snprintf(text, sizeof text, "process %ld on %s%s\nstep ", (long)getpid(), host,
                          since);
    memset(text + length, ' ', STEP_DIGITS);
    text[length + STEP_DIGITS] = '\n';
    if (pwrite(l->fd, text, sizeof text, 0) != (ssize_t)sizeof text) return;
    char *page = mmap(NULL, LOCK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, l->fd, 0);
    if (page == MAP_FAILED) return;
    l->page = page;
    l->step = page + length;
}

static void unmap(ls_lock *l)
{
    if (l->page) (void)munmap(l->page, LOCK_BYTES);
    l->page = l->step = NULL;
}

/* A page that the file has no longer is no memory: to write there would end the process. Somebody may
 * have emptied the file; the lock is held all the same, and says so again, if the disk has room. */
void ls_lock_beat(ls_lock *l, int64_t step)
{
    if (!l || !l->step) return;
    if (lseek(l->fd, 0, SEEK_END) < LOCK_BYTES) {
        unmap(l);
        say_who(l);
        if (!l->step) return;
    }
    for (int i = STEP_DIGITS - 1; i >= 0; i--, step /= 10)
        l->step[i] = step || i == STEP_DIGITS - 1 ? (char)('0' + step % 10) : ' ';
}

ls_status ls_lock_take(const char *dir, ls_lock **out, ls_failure *f)
{
    *out = NULL;
    if (ls_folder_make(dir, f)) return f->status;
    ls_lock *l = ls_memory_new(sizeof *l);
    if (!l) return ls_failure_memory(f, sizeof *l, "locking %s", ls_show(dir).text);
    l->fd = -1;
    if (ls_path_join(l->path, dir, lock_name, f) || take(l, dir, f)) {
        if (l->fd >= 0) (void)close(l->fd);
        ls_memory_free(l);
        return f->status;
    }
    say_who(l);
    *out = l;
    return LS_OK;
}

void ls_lock_leave(ls_lock *l)
{
    if (!l) return;
    unmap(l);
    (void)unlink(l->path); /* while it is held, so that nobody's newer file is meant */
    (void)close(l->fd);
    ls_memory_free(l);
}
