/* failure.c -- errors by value, and the first error of a context.
 *
 * Where no context may be written (other threads, floors without one) an error is a struct
 * ls_failure that travels up by value until somebody who owns the context takes it over. In both
 * the first error stays: what follows from it is not news. ls_fail() tells the other ranks at once
 * through ctx->links->post, so that whoever waits for this rank need not wait for the deadline.
 */
#include "base/base.h"
#include <stdio.h>

static const struct {
    int exit_code;
    const char *text;
} status_table[] = { { 0, "no error" },
#define X(name, exit_code, text) { exit_code, text },
                     LS_STATUS_MAP(X)
#undef X
};
enum { STATUS_COUNT = sizeof status_table / sizeof *status_table };

static bool is_known(ls_status status)
{
    return (int)status >= 0 && (int)status < STATUS_COUNT;
}

int ls_exit_code(ls_status status)
{
    return is_known(status) ? status_table[status].exit_code : 70;
}

const char *ls_status_text(ls_status status)
{
    return is_known(status) ? status_table[status].text : "unknown status";
}

ls_status ls_failure_set_v(ls_failure *f, ls_status status, const char *form, va_list args)
{
    if (f->status) return f->status;
    f->status = is_known(status) && status ? status : LS_ERR_USE;
    vsnprintf(f->text, sizeof f->text, form, args);
    return f->status;
}

ls_status ls_failure_set(ls_failure *f, ls_status status, const char *form, ...)
{
    va_list args;
    va_start(args, form);
    status = ls_failure_set_v(f, status, form, args);
    va_end(args);
    return status;
}

static ls_status set_memory(ls_failure *f, size_t bytes, const char *form, va_list args)
{
    char what[sizeof f->text - 64];
    vsnprintf(what, sizeof what, form, args);
    return ls_failure_set(f, LS_ERR_MEMORY, "no memory: %s needs %zu bytes", what, bytes);
}

ls_status ls_failure_memory(ls_failure *f, size_t bytes, const char *form, ...)
{
    va_list args;
    va_start(args, form);
    ls_status status = set_memory(f, bytes, form, args);
    va_end(args);
    return status;
}

ls_status ls_fail_with(ls_ctx *ctx, const ls_failure *f)
{
    if (!ctx) return LS_ERR_MEMORY;
    if (!ctx->failure.status) {
        ctx->failure = *f;
        if (ctx->links) ctx->links->post(ctx);
    }
    return ctx->failure.status;
}

ls_status ls_fail(ls_ctx *ctx, ls_status status, const char *form, ...)
{
    ls_failure f = { 0 };
    va_list args;
    va_start(args, form);
    ls_failure_set_v(&f, status, form, args);
    va_end(args);
    return ls_fail_with(ctx, &f);
}

ls_status ls_fail_memory(ls_ctx *ctx, size_t bytes, const char *form, ...)
{
    ls_failure f = { 0 };
    va_list args;
    va_start(args, form);
    set_memory(&f, bytes, form, args);
    va_end(args);
    return ls_fail_with(ctx, &f);
}
