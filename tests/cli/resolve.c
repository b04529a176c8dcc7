/* resolve.c -- settings of a run from texts, for tests of the command's sources. */
#include "resolve.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static reading *begin(void)
{
    reading *r = calloc(1, sizeof *r);
    cr_assert(r && !ls_settings_begin(&r->settings, &ls_config_schema, &r->config, &r->arena,
                                      &r->failure));
    return r;
}

reading *resolve_all(const char *yaml, const char *const *environment, int64_t count,
                     const char *const *words)
{
    reading *r = begin();
    ls_inputs in = { "run.yaml", yaml, strlen(yaml), count, words, environment };
    ls_config_resolve(&r->settings, &in, &r->failure);
    return r;
}

reading *resolve(const char *yaml)
{
    static const char *const nothing[] = { NULL };
    return resolve_all(yaml, nothing, 1, (const char *[]){ "run.yaml" });
}

reading *resolve_flags(const char *yaml, int64_t count, const char *const *flags)
{
    static const char *const nothing[] = { NULL };
    const char *words[16] = { "run.yaml" };
    cr_assert_lt(count, 16);
    memcpy(words + 1, flags, (size_t)count * sizeof *flags);
    return resolve_all(yaml, nothing, count + 1, words);
}

reading *resolve_stored(const char *text)
{
    reading *r = begin();
    ls_config_stored(&r->settings, "a.h5 /config", text, &r->failure);
    return r;
}

void end(reading *r)
{
    ls_arena_free(&r->arena);
    free(r);
}

void expect(reading *r, ls_status status, const char *complaint)
{
    cr_expect_str_eq(r->failure.text, complaint);
    cr_expect_eq(r->failure.status, status, "status %d, not %d: %s", r->failure.status, status,
                 r->failure.text);
    end(r);
}

void expect_config(reading *r, const char *complaint)
{
    expect(r, LS_ERR_CONFIG, complaint);
}
