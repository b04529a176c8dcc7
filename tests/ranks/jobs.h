/* jobs.h -- what the tests on ranks share: a directory of one's own, digests, and the same training on 1 to
 * 8 ranks with the bytes of its checkpoint compared. Included once a test.
 */
#pragma once
#include "base/base.h"
#include "spawn.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a directory of one's own, files, digests ------------------------------------------------ */
static char here[64];

static inline void enter_directory(void)
{
    strcpy(here, "/tmp/lockstep-ranks-XXXXXX");
    cr_assert(mkdtemp(here) != NULL);
    cr_assert(eq(int, chdir(here), 0));
}

static inline void leave_directory(void)
{
    spawned_free(run("rm", "-rf", here, NULL));
}

static inline const char *tool(const char *name)
{
    const char *path = getenv(name);
    cr_assert(path != NULL, "%s is not set", name);
    return path;
}

static inline void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    cr_assert(f && fputs(text, f) >= 0 && !fclose(f));
}

static inline void digest_of_bytes(const void *bytes, size_t count, char hex[65])
{
    uint8_t digest[32];
    ls_sha256 s;
    ls_sha256_begin(&s);
    ls_sha256_add(&s, bytes, count);
    ls_sha256_end(&s, digest);
    ls_hex(digest, 32, hex);
}

static inline void digest_of(const char *path, char hex[65])
{
    uint8_t digest[32], buffer[65536];
    ls_sha256 s;
    FILE *f = fopen(path, "rb");
    cr_assert(f != NULL, "%s is not there", path);
    ls_sha256_begin(&s);
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0;) ls_sha256_add(&s, buffer, n);
    fclose(f);
    ls_sha256_end(&s, digest);
    ls_hex(digest, 32, hex);
}

/* The newest checkpoint in runs/. */
static inline void newest_digest(const char *runs, char hex[65])
{
    char pattern[256];
    glob_t g;
    snprintf(pattern, sizeof pattern, "%s/*.h5", runs);
    cr_assert(glob(pattern, 0, NULL, &g) == 0, "no checkpoint in %s", runs);
    digest_of(g.gl_pathv[g.gl_pathc - 1], hex);
    globfree(&g);
}

static inline void must_run(spawned *s)
{
    cr_assert(s->code == 0, "exit %d\n%s%s", s->code, s->out, s->err);
    spawned_free(s);
}

static inline spawned *train(int np, const char *config, const char *runs, const char *extra)
{
    char dir[128];
    snprintf(dir, sizeof dir, "--checkpoint.dir=%s", runs);
    return mpi_run(np, tool("LS_TEST_LOCKSTEP"), "train", config, dir, extra ? extra : "--quiet",
                   "--quiet", NULL);
}

/* LS_TEST_SHORT: fewer rank counts and places, for builds that are slow. */
static inline bool is_short(void)
{
    return getenv("LS_TEST_SHORT") != NULL;
}

/* ---- one digest for all rank counts ---------------------------------------------------------- */
static inline void same_on_ranks(int most, const char *config, const char *extra)
{
    char first[65], other[65], runs[32];
    for (int np = 1; np <= most; np += !is_short() ? 1 : np == 3 ? 4 : 2) {
        snprintf(runs, sizeof runs, "runs-%d", np);
        must_run(train(np, config, runs, extra));
        newest_digest(runs, np == 1 ? first : other);
        cr_assert(np == 1 || !strcmp(first, other), "%s: other bytes on %d ranks",
                  extra ? extra : config, np);
        must_run(run("rm", "-rf", runs, NULL));
    }
}

static inline void same_on_all_ranks(const char *config, const char *extra)
{
    same_on_ranks(8, config, extra);
}
