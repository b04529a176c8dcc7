/* abort.c -- what cannot be agreed on: a rank that does not come, or one that cannot be told.
 *
 * The one MPI_Abort of lockstep, never with code 0. A line on stderr says why; a failure that
 * is known but not agreed on yet is said before, because it may be the cause. An abort takes a
 * second on a busy machine, and two at once make Open MPI 4.1 crash: the others, who have nothing to
 * add, are told, and leave as soon as they know. mpirun then need not wait for them.
 *
 * Called by wait.c, fence.c, message.c and ranks.c.
 */
#include "comm/inside.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MOST_NAMED = 8, LEAVE_AFTER_MS = 200 };

/* Names in a message may come from files: nothing of them reaches a terminal as anything but text. */
static void append_escaped(char *line, size_t bytes, const char *text)
{
    size_t used = strlen(line);
    for (; *text && used + 6 < bytes; text++) {
        bool is_control = (unsigned char)*text < 0x20 || *text == 0x7f;
        used += (size_t)snprintf(line + used, bytes - used, is_control ? "\\x%02x" : "%c",
                                 (unsigned char)*text);
    }
}

/* In one write, so that lines of several ranks do not mix. */
void ls_comm_say(const char *form, ...)
{
    char line[2048] = "lockstep: ", text[1536];
    va_list args;
    va_start(args, form);
    vsnprintf(text, sizeof text, form, args);
    va_end(args);
    append_escaped(line, sizeof line, text);
    strcat(line, "\n");
    for (const char *at = line; *at;) {
        ssize_t written = write(STDERR_FILENO, at, strlen(at));
        if (written < 0 && errno != EINTR) return; /* nobody listens */
        if (written > 0) at += written;
    }
}

static void say_why(const ls_ctx *ctx, const char *text)
{
    const ls_comm *c = ctx->comm;
    bool is_said = false;
    for (int r = 0; c->peer && r < c->count && !ctx->agreed && !is_said; r++) {
        const ls_word *failed = &c->peer[r].failed;
        const ls_failure *own = &ctx->failure;
        is_said = r == c->rank ? own->status : failed->status && failed->fence == c->fence;
        if (is_said)
            ls_comm_say("rank %d of %d: %s", r, c->count, r == c->rank ? own->text : failed->text);
    }
    if (text || !is_said) ls_comm_say("%s: %s", ctx->who, text ? text : ctx->failure.text);
}

_Noreturn void ls_comm_leave(ls_status status)
{
    usleep(LEAVE_AFTER_MS * 1000);
    ls_stop_process(ls_exit_code(status));
}

_Noreturn void ls_comm_abort(ls_ctx *ctx, ls_status status, const char *text)
{
    const ls_comm *c = ctx->comm;
    if (!ls_board_may_end(c, status)) ls_comm_leave(status);
    say_why(ctx, text);
    if (c->hearing != MPI_REQUEST_NULL) ls_comm_tell_end(ctx, status);
    MPI_Abort(c->control != MPI_COMM_NULL ? c->control : MPI_COMM_WORLD, ls_exit_code(status));
    for (;;) raise(SIGKILL); /* never comes here */
}

static bool is_late(const ls_comm *c, int r)
{
    const ls_word *word = &c->peer[r].word[c->fence & 1];
    bool has_come = word->fence == c->fence && (word->kind == LS_PLAIN || word->kind == LS_LEAVING);
    if (r == c->rank) return false;
    if (c->meeting) return !has_come;
    return c->peer[r].last.exchange < c->exchange && !ls_board_has_come(c, r);
}

/* It has entered this exchange, but has not said that it waits too: it stands still on the way. */
static bool is_silent(const ls_comm *c, int r)
{
    return r != c->rank && !c->meeting && !ls_comm_waits(c, r) && !ls_board_has_come(c, r);
}

_Noreturn void ls_comm_late(ls_ctx *ctx, double waited_s)
{
    ls_comm *c = ctx->comm;
    ls_stand here = ls_comm_stand(ctx);
    char text[1536];
    int named = 0, late = 0;
    bool (*is_missing)(const ls_comm *c, int r) = is_silent;
    for (int r = 0; r < c->count; r++)
        if (is_late(c, r)) is_missing = is_late;
    int used = snprintf(text, sizeof text, "waited %.3g s in %s() (call %llu) for", waited_s,
                        here.name, (unsigned long long)here.call);
    for (int r = 0; r < c->count; r++) {
        if (!is_missing(c, r) || ++late > MOST_NAMED) continue;
        const ls_stand *last = &c->peer[r].last;
        if (last->exchange < c->common.exchange) last = &c->common;
        const char *comma = named++ ? ";" : "";
        if (last->exchange)
            used += snprintf(text + used, sizeof text - (size_t)used,
                             "%s rank %d, last seen in %s() (call %llu)", comma, r, last->name,
                             (unsigned long long)last->call);
        else
            used += snprintf(text + used, sizeof text - (size_t)used, "%s rank %d, not seen yet",
                             comma, r);
    }
    if (late > MOST_NAMED)
        snprintf(text + used, sizeof text - (size_t)used, "; and %d more", late - MOST_NAMED);
    if (!late)
        snprintf(text + used, sizeof text - (size_t)used, " data, though every rank is there");
    ls_comm_abort(ctx, LS_ERR_LATE, text);
}
