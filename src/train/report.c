/* report.c -- what a run says, on the root: cost lines for people on stdout, JSON lines in the log,
 * and a progress bar on stderr where that is a terminal.
 *
 * The log is cut back at resume to the steps that the checkpoint holds, so that each epoch stands
 * in it once; it is appended a line at a time and flushed, and a line that cannot be written is an
 * error.
 */
#include "train/train.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const double bar_every_s = 0.1;

/* ---- the log --------------------------------------------------------------------------------- */
static ls_status log_failed(ls_ctx *ctx, const char *path, ls_status status)
{
    return ls_fail(ctx, status, "%s: the log cannot be written: %s", path, strerror(errno));
}

/* The number behind "step": in a line of the log; -1 if there is none. */
static long long step_of(const char *line)
{
    const char *at = strstr(line, "\"step\":");
    return at ? strtoll(at + 7, NULL, 10) : -1;
}

/* Length of the log's first lines that are of steps up to last; a torn line ends it. */
static off_t sound_length(FILE *log, int64_t last)
{
    char *line = NULL;
    size_t room = 0;
    off_t length = 0;
    for (ssize_t n; (n = getline(&line, &room, log)) > 0; length += n)
        if (line[n - 1] != '\n' || step_of(line) < 0 || step_of(line) > last) break;
    free(line);
    return length;
}

/* The directory that the log is to lie in. */
static ls_status make_directory(ls_ctx *ctx, const char *path)
{
    ls_failure f = { 0 };
    char dir[4096];
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return LS_OK;
    snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
    return ls_folder_make(dir, &f) ? ls_fail_with(ctx, &f) : LS_OK;
}

FILE *ls_text_open(const char *path, int flags, const char *mode)
{
    int fd = open(path, flags | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
    FILE *file = fd >= 0 ? fdopen(fd, mode) : NULL;
    if (fd >= 0 && !file) (void)close(fd);
    return file;
}

bool ls_text_may_go(const char *path, const char *begin)
{
    struct stat st;
    char first[64];
    size_t count = strlen(begin);
    if (stat(path, &st) || !S_ISREG(st.st_mode) || st.st_size == 0) return true;
    FILE *file = ls_text_open(path, O_RDONLY, "r");
    if (!file) return true; /* opening it to write says why */
    if ((off_t)count > st.st_size) count = (size_t)st.st_size;
    bool may = fread(first, 1, count, file) == count && !memcmp(first, begin, count);
    (void)fclose(file);
    return may;
}

/* Only a regular file has an end that can be cut off. */
static bool cut_off(FILE *log, int64_t done)
{
    struct stat st;
    if (fstat(fileno(log), &st) == 0 && !S_ISREG(st.st_mode)) return true;
    return !ftruncate(fileno(log), done ? sound_length(log, done) : 0);
}

/* Whether the timeline would be written over the log, by whatever path. */
static bool is_timeline(FILE *log, const ls_run *run)
{
    struct stat own, other;
    return run->trace_file && !fstat(fileno(log), &own) && !stat(run->trace_file, &other) &&
           S_ISREG(own.st_mode) && own.st_ino == other.st_ino && own.st_dev == other.st_dev;
}

ls_status ls_report_open(ls_ctx *ctx, const ls_run *run)
{
    if (!ctx->is_root || !run->log_file || ctx->failure.status) return ctx->failure.status;
    if (make_directory(ctx, run->log_file)) return ctx->failure.status;
    if (!ls_text_may_go(run->log_file, "{\"epoch\":"))
        return ls_fail(ctx, LS_ERR_OUTPUT,
                       "%s: is no log, and would be overwritten; log.file must name another file",
                       run->log_file);
    int64_t done = ls_steps_done(run);
    bool was_there = access(run->log_file, F_OK) == 0;
    FILE *log = done ? ls_text_open(run->log_file, O_RDWR, "r+")
                     : ls_text_open(run->log_file, O_WRONLY, "w");
    if (!log) return log_failed(ctx, run->log_file, LS_ERR_OUTPUT);
    bool is_both = is_timeline(log, run), cut = is_both || cut_off(log, done);
    if (is_both && !was_there) (void)unlink(run->log_file);
    if (is_both)
        ls_fail(ctx, LS_ERR_OUTPUT,
                "%s: would be the log and the timeline; --trace must name another file",
                run->trace_file);
    if (fclose(log) || !cut) return log_failed(ctx, run->log_file, LS_ERR_IO);
    return ctx->failure.status;
}

static void append_number(char *line, size_t bytes, const char *key, double value)
{
    size_t used = strlen(line);
    if (isfinite(value)) snprintf(line + used, bytes - used, ",\"%s\":%.9g", key, value);
    else snprintf(line + used, bytes - used, ",\"%s\":null", key);
}

static ls_status write_log(ls_ctx *ctx, const ls_report *r, const ls_history *h, double seconds)
{
    const ls_run *run = r->run;
    char line[1024];
    snprintf(line, sizeof line, "{\"epoch\":%lld,\"step\":%lld", (long long)h->epoch,
             (long long)ls_steps_done(run));
    append_number(line, sizeof line, "cost", h->cost);
    append_number(line, sizeof line, "lr", h->lr);
    append_number(line, sizeof line, "seconds", seconds);
    append_number(line, sizeof line, "rows_per_s", (double)r->rows / seconds);
    size_t used = strlen(line);
    snprintf(line + used, sizeof line - used,
             ",\"phases\":{\"read\":%.6g,\"forward\":%.6g,\"backward\":%.6g,\"update\":%.6g}",
             r->phases.read, r->phases.forward, r->phases.backward, r->phases.update);
    if (run->validation) {
        append_number(line, sizeof line, "validation_cost", h->validation_cost);
        if (!isnan(h->validation_accuracy))
            append_number(line, sizeof line, "validation_accuracy", h->validation_accuracy);
    }
    if (ls_fault(LS_FAULT_log)) return errno = EIO, log_failed(ctx, run->log_file, LS_ERR_IO);
    FILE *log = ls_text_open(run->log_file, O_WRONLY | O_APPEND, "a");
    if (!log) return log_failed(ctx, run->log_file, LS_ERR_OUTPUT);
    bool fine = fprintf(log, "%s}\n", line) > 0;
    if (fclose(log) || !fine) return log_failed(ctx, run->log_file, LS_ERR_IO);
    return LS_OK;
}

/* ---- the bar --------------------------------------------------------------------------------- */
static void clear_bar(ls_report *r)
{
    if (r->bar_shown) fprintf(stderr, "\r\033[K");
    r->bar_shown = false;
}

static void show_bar(ls_report *r, double cost)
{
    const ls_run *run = r->run;
    int64_t step = ls_loader_step(run->data) + 1, steps = ls_loader_steps(run->data);
    double now = ls_clock_s();
    enum { WIDTH = 30 };
    if (now - r->last_bar_s < bar_every_s) return;
    int done = (int)(WIDTH * step / (steps ? steps : 1));
    fprintf(stderr, "\r\033[K%4lld/%lld [%.*s%*s] step %lld/%lld cost %.6f %.0f rows/s",
            (long long)ls_loader_epoch(run->data), (long long)(run->epochs - 1), done,
            "==============================", WIDTH - done, "", (long long)step, (long long)steps,
            cost, (double)r->rows / (now - r->begin_s));
    r->last_bar_s = now;
    r->bar_shown = true;
}

/* ---- an epoch -------------------------------------------------------------------------------- */
void ls_report_begin(ls_report *r, const ls_run *run)
{
    *r = (ls_report){ .run = run, .begin_s = ls_clock_s(), .last_bar_s = ls_clock_s() };
}

void ls_report_step(ls_ctx *ctx, ls_report *r, double cost, int64_t rows)
{
    r->rows += rows;
    r->steps++;
    if (ctx->is_root && r->run->progress && isatty(STDERR_FILENO)) show_bar(r, cost);
}

ls_status ls_report_epoch(ls_ctx *ctx, ls_report *r, const ls_history *h)
{
    const ls_run *run = r->run;
    int64_t every = run->log_every ? run->log_every : 1;
    double seconds = ls_clock_s() - r->begin_s;
    clear_bar(r);
    if (every > 0 && h->epoch % every == 0) {
        ls_printf(ctx, "Epoch %4lld/%lld Cost: %.6f", (long long)h->epoch,
                  (long long)(run->epochs - 1), h->cost);
        if (run->validation) ls_printf(ctx, " Validation: %.6f", h->validation_cost);
        if (run->validation && !isnan(h->validation_accuracy))
            ls_printf(ctx, " Accuracy: %.4f", h->validation_accuracy);
        ls_printf(ctx, "\n");
    }
    if (ctx->is_root && run->log_file) return write_log(ctx, r, h, seconds);
    return ctx->failure.status;
}
