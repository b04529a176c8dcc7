/* launch.c -- lockstep launch: a training under mpirun that is started again when it dies.
 *
 * Whether a run is done is told by its newest sound checkpoint, not by how mpirun or a rank ended; but
 * what the job itself refused is said, done or not. A job that ended before is started again from that
 * checkpoint: at once when it got further than the job before, after a growing pause otherwise, and only
 * so often. What would fail in the same way again is not tried: bad input, a configuration that does not
 * fit, and a failure that has come twice at the same step. A wish to stop goes to mpirun as SIGUSR1, which
 * it hands to its ranks at once, where SIGTERM would give them a second. A time to be done within, --stop-before,
 * is that of all jobs together: each is given what is left.
 */
#include "cmd/cmd.h"
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct launch {
    int64_t count, most_restarts, fewest;
    const char *hang, *mpirun;
    double hang_s;
} launch;

static const ls_key keys[] = {
    { "n", LS_KEY_INT, LS_KEY_OPTION | LS_KEY_REQUIRED, offsetof(launch, count), .min = 1,
      .max = LS_JOB_RANKS, .value = "RANKS", .help = "or -n: how many ranks" },
    { "max-restarts", LS_KEY_INT, LS_KEY_OPTION, offsetof(launch, most_restarts), .standard = "5",
      .value = "TIMES", .help = "restarts in a row without a new checkpoint" },
    { "hang-timeout", LS_KEY_TEXT, LS_KEY_OPTION, offsetof(launch, hang), .value = "TIME",
      .help = "ends a job that makes no step for so long: 90s, 10m" },
    { "min-ranks", LS_KEY_INT, LS_KEY_OPTION, offsetof(launch, fewest), .value = "RANKS",
      .help = "goes on with fewer where so many cannot be started" },
    { "mpirun", LS_KEY_TEXT, LS_KEY_OPTION, offsetof(launch, mpirun), .standard = "mpirun",
      .value = "COMMAND", .help = "with options, as \"mpirun --hostfile h\"" },
};
static const ls_schema schema = { keys, sizeof keys / sizeof *keys, sizeof(launch) };

typedef struct state {
    ls_ctx *ctx;
    const launch *o;
    const ls_config *c;
    const char *dir, *name;
    double begin_s;
    int64_t step, epoch; /* of the newest sound checkpoint; -1: there is none */
    int64_t count;       /* of ranks, now */
    int64_t restarts;    /* in a row, without a new checkpoint */
    int64_t failed_step; /* where the job before ended, and how */
    int failed_code, failed_signal;
    bool has_failed, is_fresh;
    ls_note note;
    char self[4096]; /* this program's path as it began: an installation may replace the file */
    char old[4096];  /* the newest checkpoint when a fresh run began */
    struct stat old_about;
} state;

/* ---- words ----------------------------------------------------------------------------------- */
/* Our words end at "--"; behind it stands train with its own. */
static bool read_words(ls_ctx *ctx, int64_t count, const char *const *words, launch *o, ls_arena *a,
                       int64_t *train)
{
    ls_failure f = { 0 };
    const char **own = ls_arena_take(a, (size_t)(count + 1) * sizeof *own);
    int64_t n = 0;
    if (!own)
        ls_failure_memory(&f, (size_t)(count + 1) * sizeof *own, "%lld words", (long long)count);
    for (; !f.status && n < count && strcmp(words[n], "--") != 0; n++)
        own[n] = !strcmp(words[n], "-n") || !strcmp(words[n], "-np") ? "--n" : words[n];
    *train = n + 1;
    if (!f.status && (n + 1 >= count || strcmp(words[n + 1], "train") != 0))
        ls_failure_set(&f, LS_ERR_ARG, "-- train CONFIG is missing at the end");
    if (f.status) return ls_command_fail(ctx, &ls_launch_command, &f), false;
    if (ls_command_words(ctx, &ls_launch_command, n, own, o, a)) return false;
    if (o->hang && !ls_text_seconds(o->hang, &o->hang_s))
        ls_failure_set(&f, LS_ERR_ARG, "--hang-timeout must be a time above 0, as 90s or 10m");
    if (o->fewest > o->count)
        ls_failure_set(&f, LS_ERR_ARG, "--min-ranks is above the number of ranks");
    return !f.status || (ls_command_fail(ctx, &ls_launch_command, &f), false);
}

/* Of the time within which all is to be done, 0: none is left. Without one there is always some. */
static double left_s(const state *s)
{
    double left = s->c->stop_before_s - (ls_clock_s() - s->begin_s);
    if (s->c->stop_before_s == 0) return INFINITY;
    return left < 1e-3 ? 0 : left;
}

/* What this process must know and be to start others. Where its parent has it ignore SIGCHLD, it could wait
 * for none. */
static bool prepare(state *s)
{
    (void)signal(SIGCHLD, SIG_DFL);
    if (readlink("/proc/self/exe", s->self, sizeof s->self - 1) < 1)
        ls_fail(s->ctx, LS_ERR_IO, "/proc/self/exe: %s", strerror(errno));
    return !ls_error(s->ctx);
}

/* mpirun's own words, -np, the ranks, and train's; the last --stop-before is the one that counts: what is left. */
static const char *const *make_args(const state *s, double rest_s, int64_t words,
                                    const char *const *word, ls_arena *a)
{
    char seconds[LS_REAL_CHARS];
    char *own = ls_arena_take(a, strlen(s->o->mpirun) + 1), *number = ls_arena_take(a, 24), *rest;
    char *left = ls_arena_take(a, 64);
    int64_t options = 0; /* words before those that are none, whatever they begin with */
    const char **args = ls_arena_take(a, ((size_t)words + strlen(s->o->mpirun) / 2 + 8) *
                                             sizeof *args);
    int64_t n = 0;
    if (!own || !number || !left || !args) return NULL;
    strcpy(own, s->o->mpirun);
    for (char *w = strtok_r(own, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) args[n++] = w;
    sprintf(number, "%lld", (long long)s->count);
    args[n++] = "-np";
    args[n++] = number;
    args[n++] = s->self;
    snprintf(left, 64, "--stop-before=%s", ls_real_text(rest_s, seconds));
    while (options < words && strcmp(word[options], "--") != 0) options++;
    for (int64_t i = 0; i <= words; i++) {
        if (i == options && s->c->stop_before) args[n++] = left;
        if (i < words && (s->is_fresh || strcmp(word[i], "--fresh") != 0)) args[n++] = word[i];
    }
    args[n] = NULL;
    return args;
}

/* ---- how far it is --------------------------------------------------------------------------- */
static bool look(state *s)
{
    if (ls_checkpoint_newest(s->ctx, s->dir, s->name, &s->step, &s->epoch)) return false;
    if (!s->is_fresh) return true;
    struct stat now;
    bool is_old = s->old[0] && !stat(s->old, &now) && now.st_ino == s->old_about.st_ino &&
                  now.st_mtim.tv_sec == s->old_about.st_mtim.tv_sec;
    if (is_old || s->step < 0) s->step = s->epoch = -1;
    else s->is_fresh = false; /* the new run has saved, which removes the old one */
    return true;
}

static void remember_old(state *s)
{
    snprintf(s->old, sizeof s->old, "%s/%s-%012lld.h5", s->dir, s->name, (long long)s->step);
    if (s->step < 0 || stat(s->old, &s->old_about)) s->old[0] = '\0';
}

/* ---- what comes after an end ----------------------------------------------------------------- */
static void describe(const ls_job *j, char *text, size_t bytes)
{
    char step[48] = "";
    bool is_its_own = j->code != 73; /* not of the job that keeps it out */
    if (j->step >= 0 && is_its_own)
        snprintf(step, sizeof step, " after step %lld", (long long)j->step);
    if (j->hung) snprintf(text, bytes, "no step in %.3g s%s", j->silent_s, step);
    else if (j->rank_signal)
        snprintf(text, bytes, "rank %d on %s was ended by signal %d (%s)%s", j->ended, j->host,
                 j->rank_signal, strsignal(j->rank_signal), step);
    else if (j->signal)
        snprintf(text, bytes, "mpirun was ended by signal %d (%s)%s", j->signal,
                 strsignal(j->signal), step);
    else snprintf(text, bytes, "the job ended with exit code %d%s", j->code, step);
}

/* The same would come again. */
static bool is_final(int code)
{
    static const int codes[] = { 64, 65, 66, 73, 78, 79 };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i] == code) return true;
    return false;
}

/* The job itself said what was wrong, as of a setting that does not fit or an output that is full. */
static bool has_refused(const ls_job *j)
{
    return !j->rank_signal && !j->signal && !j->hung && (is_final(j->code) || j->code == 74);
}

static ls_status status_of(int code)
{
    for (int i = 1; i <= LS_ERR_MEMORY; i++)
        if (ls_exit_code((ls_status)i) == code) return (ls_status)i;
    return LS_ERR_USE;
}

static double pause_s(const state *s)
{
    double pause = 0.5;
    if (s->restarts <= 1) return 0;
    for (int64_t i = 2; i < s->restarts && pause < 60; i++) pause *= 2;
    return pause < 60 ? pause : 60;
}

static void wait_pause(const state *s)
{
    double until = ls_clock_s() + pause_s(s);
    while (ls_clock_s() < until && left_s(s) > 0 && !ls_stop_asked()) (void)poll(NULL, 0, 50);
}

/* Somebody wished the job to stop: here, or the job says so, or it died of what a run that is up takes for such a
 * wish, and only one that is about to begin or to end dies of. One that hung was told to end by us. */
static bool was_asked(const ls_job *j)
{
    bool died = j->rank_signal == SIGTERM || j->rank_signal == SIGINT || j->rank_signal == SIGUSR1;
    return ls_stop_asked() || (!j->hung && ((j->stopped[0] && !j->signal) || died));
}

/* j: NULL where no job was there to stop. */
static void stop(const state *s, const ls_job *j)
{
    if (j && j->stopped[0]) ls_fail(s->ctx, LS_ERR_STOPPED, "%s", j->stopped);
    else if (s->step >= 0)
        ls_fail(s->ctx, LS_ERR_STOPPED,
                "stopped; the newest checkpoint is of step %lld: run again to "
                "go on",
                (long long)s->step);
    else ls_fail(s->ctx, LS_ERR_STOPPED, "stopped before there was a checkpoint: run again");
}

static void refuse(const state *s, const ls_job *j)
{
    char what[256];
    describe(j, what, sizeof what);
    ls_fail(s->ctx, status_of(j->code), "%s: not started again, as it would come again", what);
}

/* Whether to start again, after a job that did not finish; before: the newest checkpoint until then. */
static bool goes_on(state *s, const ls_job *j, int64_t before)
{
    char what[256], from[48] = "the beginning";
    int kind = j->hung ? -1 : j->rank_signal ? j->rank_signal : j->signal;
    bool is_same = s->has_failed && s->failed_step == j->step && s->failed_code == j->code &&
                   s->failed_signal == kind && j->step >= 0 && s->step == before;
    describe(j, what, sizeof what);
    if (has_refused(j) && is_final(j->code)) {
        refuse(s, j);
        return false;
    }
    if (is_same) {
        ls_fail(s->ctx, j->hung ? LS_ERR_LATE : status_of(j->code),
                "%s, as the time before: not started again", what);
        return false;
    }
    if (s->step > before) s->restarts = 0;
    if (s->restarts >= s->o->most_restarts) {
        ls_fail(s->ctx, j->hung ? LS_ERR_LATE : status_of(j->code),
                "%s; given up after %lld restarts without a new checkpoint", what,
                (long long)s->restarts);
        return false;
    }
    s->restarts++;
    s->has_failed = true;
    s->failed_step = j->step;
    s->failed_code = j->code;
    s->failed_signal = kind;
    bool could_not_start = j->step < 0 && !j->ranks_found && !j->hung && !j->signal;
    if (could_not_start && s->o->fewest && s->count > s->o->fewest) s->count--;
    if (s->step >= 0) snprintf(from, sizeof from, "step %lld", (long long)s->step);
    fprintf(stderr, "lockstep: %s; restart %lld/%lld from %s", what, (long long)s->restarts,
            (long long)s->o->most_restarts, from);
    if (s->count != s->o->count) fprintf(stderr, " on %lld ranks", (long long)s->count);
    fputs("\n", stderr);
    return true;
}

static void watch(state *s, int64_t words, const char *const *word, ls_arena *a)
{
    for (;;) {
        ls_job j;
        ls_failure f = { 0 };
        int64_t before = s->step;
        double rest_s = left_s(s);
        if (ls_stop_asked() || rest_s == 0) {
            stop(s, NULL);
            return;
        }
        const char *const *args = make_args(s, rest_s, words, word, a);
        if (!args)
            ls_failure_memory(&f, ((size_t)words + strlen(s->o->mpirun) + 8) * sizeof *args,
                              "starting mpirun");
        if (f.status || ls_job_start(&j, args, s->count, s->dir, &s->note, &f)) {
            ls_fail_with(s->ctx, &f);
            return;
        }
        ls_job_watch(&j, s->o->hang_s);
        if (!look(s)) return;
        if (s->epoch >= s->c->train.epochs) {
            if (has_refused(&j)) refuse(s, &j);
            return;
        }
        if (was_asked(&j)) {
            stop(s, &j);
            return;
        }
        if (!goes_on(s, &j, before)) return;
        wait_pause(s);
    }
}

static void run(ls_ctx *ctx, int64_t count, const char *const *words)
{
    launch o;
    ls_config c;
    ls_settings settings;
    ls_failure f = { 0 };
    ls_arena a = { 0 };
    state s = {
        ctx, &o, &c, .begin_s = ls_clock_s(), .step = -1, .epoch = -1, .note = { .fd = -1 }
    };
    int64_t train;
    if (getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_RANK"))
        ls_fail(ctx, LS_ERR_USE, "launch starts mpirun itself: call it without");
    else if (read_words(ctx, count, words, &o, &a, &train) && prepare(&s)) {
        if (ls_settings_begin(&settings, &ls_config_schema, &c, &a, &f)) ls_fail_with(ctx, &f);
        else if (!ls_config_share(ctx, count - train - 1, words + train + 1, &settings)) {
            char *dir = NULL;
            s.name = ls_stem(c.path, &a, &f);
            if (s.name && (dir = ls_arena_take(&a, strlen(s.name) + 6)))
                sprintf(dir, "runs/%s", s.name);
            s.dir = c.checkpoint.dir ? c.checkpoint.dir : dir;
            s.count = o.count;
            if (s.dir) ls_note_mark(s.dir);
            if (!s.dir && f.status) ls_fail_with(ctx, &f);
            else if (!s.dir) ls_fail_memory(ctx, strlen(s.name) + 6, "the name of a run");
            else if (ls_note_take(&s.note, s.dir, &f)) ls_fail_with(ctx, &f);
            else if (look(&s)) {
                remember_old(&s);
                s.is_fresh = c.fresh;
                watch(&s, count - train, words + train, &a);
            }
            ls_note_leave(&s.note);
        }
    }
    ls_arena_free(&a);
}

const ls_command ls_launch_command = {
    "launch",
    "trains under mpirun, started again from the newest checkpoint after a crash or a hang",
    &schema,
    "usage with all of it: lockstep launch -n 4 --max-restarts 5 -- train CONFIG [OPTIONS]\n"
    "--stop-before is the time of all restarts together.\n"
    "SIGTERM, SIGINT and SIGUSR1 stop the training after its step, with a checkpoint, exit code "
    "75.\n",
    run,
};
