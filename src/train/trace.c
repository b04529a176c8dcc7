/* trace.c -- the timeline of a run: what every rank did when, as a file in Chrome's trace format (also
 * read by Perfetto and speedscope).
 *
 * A span costs two looks at the clock, which a step takes anyway, and 24 bytes. Clocks of different
 * machines are brought together at an agreement that all ranks leave at about the same time. At the
 * end, also of a run that stops as asked, the root gathers everybody's spans and writes the file. A run that
 * fails writes none, and one that makes no step, as it is finished, leaves alone what is there.
 *
 * Called by step.c and fit.c.
 */
#include "train/train.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { MOST_SPANS = 1 << 20, FIRST_SPANS = 4096 };

typedef struct span {
    double from_s, to_s;
    int64_t name;
} span;

struct ls_trace {
    ls_ctx *ctx;
    double zero_s;
    span *span;
    int64_t count, room;
    bool is_full;
};

static const char *const names[] = { "read", "forward",   "backward", "reduce and update",
                                     "save", "validation" };

#define FIRST_WORDS "{\"displayTimeUnit\":\"ms\",\"traceEvents\":["

ls_trace *ls_trace_begin(ls_ctx *ctx, const ls_run *run)
{
    if (!run->trace_file || ctx->failure.status) return NULL;
    if (ctx->is_root && !ls_text_may_go(run->trace_file, FIRST_WORDS))
        ls_fail(ctx, LS_ERR_OUTPUT,
                "%s: is no timeline, and would be overwritten; --trace must name another file",
                run->trace_file);
    if (ls_agree(ctx)) return NULL;
    ls_trace *t = ls_new(ctx, sizeof *t, "the timeline");
    if (!t) return NULL;
    t->ctx = ctx;
    t->room = FIRST_SPANS;
    t->span = ls_new(ctx, (size_t)t->room * sizeof *t->span, "the timeline");
    ls_agree(ctx);
    t->zero_s = ls_clock_s();
    return t;
}

void ls_trace_add(ls_trace *t, ls_phase phase, double from_s, double to_s)
{
    if (!t || t->is_full) return;
    if (t->count == t->room) {
        span *grown = t->room < MOST_SPANS ? ls_memory_new((size_t)t->room * 2 * sizeof *grown)
                                           : NULL;
        t->is_full = !grown;
        if (!grown) return;
        memcpy(grown, t->span, (size_t)t->count * sizeof *grown);
        ls_memory_free(t->span);
        t->span = grown;
        t->room *= 2;
    }
    t->span[t->count++] = (span){ from_s - t->zero_s, to_s - t->zero_s, phase };
}

/* ---- the file -------------------------------------------------------------------------------- */
typedef struct output {
    FILE *file;
    int64_t written;
} output;

static void write_spans(void *of, int process, const void *data, size_t bytes)
{
    output *o = of;
    const span *s = data;
    for (size_t i = 0; o->file && i < bytes / sizeof *s; i++)
        fprintf(o->file,
                "%s{\"name\":\"%s\",\"ph\":\"X\",\"pid\":%d,\"tid\":0,\"ts\":%.3f,\"dur\":%.3f}",
                o->written++ ? ",\n" : "", names[s[i].name], process, 1e6 * s[i].from_s,
                1e6 * (s[i].to_s - s[i].from_s));
}

ls_status ls_trace_end(ls_trace *t, const ls_run *run)
{
    output o = { 0 };
    if (!t) return LS_OK;
    ls_ctx *ctx = t->ctx;
    if (ctx->is_root && !ctx->failure.status && t->count > 0 &&
        !(o.file = ls_text_open(run->trace_file, O_WRONLY | O_TRUNC, "w")))
        ls_fail(ctx, LS_ERR_OUTPUT, "%s: %s", run->trace_file, strerror(errno));
    if (o.file) fputs(FIRST_WORDS "\n", o.file);
    ls_status status = ctx->links->collect(ctx, t->span, (size_t)t->count * sizeof *t->span,
                                           sizeof *t->span, write_spans, &o);
    if (o.file) {
        bool fine = fprintf(o.file, "\n]}\n") > 0 && !ferror(o.file);
        if (fclose(o.file) || !fine)
            ls_fail(ctx, LS_ERR_IO, "%s: %s", run->trace_file, strerror(errno));
    }
    ls_memory_free(t->span);
    ls_memory_free(t);
    return status ? status : ls_agree(ctx);
}
