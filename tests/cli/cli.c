/* cli.c -- a directory for each test of the command, and files in it.
 *
 * The directory lies where temporary files do, is the working directory of the test and of the
 * commands it starts, and is removed with all it holds.
 */
#include "cli.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static char place[] = "/tmp/lockstep-cli-XXXXXX";

void place_begin(void)
{
    cr_assert(mkdtemp(place) && !chdir(place), "no directory for the test");
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *at)
{
    (void)about, (void)kind, (void)at;
    return remove(path);
}

void place_end(void)
{
    cr_assert(!chdir("/") && !nftw(place, remove_one, 16, FTW_DEPTH | FTW_PHYS));
}

void write_bytes(const char *name, const void *bytes, size_t count)
{
    FILE *out = fopen(name, "wb");
    cr_assert(out && fwrite(bytes, 1, count, out) == count && !fclose(out), "%s", name);
}

void write_text(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

void write_gzip(const char *name, const void *bytes, size_t count)
{
    gzFile out = gzopen(name, "wb");
    cr_assert(out && gzwrite(out, bytes, (unsigned)count) == (int)count && gzclose(out) == Z_OK,
              "%s", name);
}

char *read_text(const char *name, size_t *count)
{
    FILE *in = fopen(name, "rb");
    if (!in) return NULL;
    char *text = malloc(1 << 20);
    size_t got = fread(text, 1, (1 << 20) - 1, in);
    cr_assert(!fclose(in) && got < (1 << 20) - 1);
    text[got] = 0;
    if (count) *count = got;
    return text;
}

int files_here(void)
{
    int count = 0;
    DIR *here = opendir(".");
    cr_assert(here);
    while (readdir(here)) count++;
    closedir(here);
    return count - 2; /* itself and the one above */
}

void expect_end(spawned *s, int code, const char *out, const char *err)
{
    cr_expect_eq(s->code, code, "exit code %d, not %d: %s%s", s->code, code, s->out, s->err);
    if (out) cr_expect_str_eq(s->out, out);
    if (err) cr_expect_str_eq(s->err, err);
    spawned_free(s);
}

/* ---- a small run ----------------------------------------------------------------------------- */
void make_data(const char *name, int rows, int phase)
{
    char csv[64];
    snprintf(csv, sizeof csv, "%s.csv", name);
    FILE *out = fopen(csv, "w");
    for (int i = phase; i < phase + rows; i++)
        fprintf(out, "%.3f,%.3f,%d\n", sin(i * 1.7) * 2, cos(i * 0.9), (i * 7 % 10) / 4);
    cr_assert(!fclose(out));
    expect_end(lockstep("convert", csv, name, "--classes"), 0, NULL, "");
    cr_assert(!unlink(csv));
}

void make_run(void)
{
    make_data("train.h5", 50, 0);
    make_data("more.h5", 21, 50);
    write_text("small.yaml", RUN);
}

void expect_same_file(const char *a, const char *b)
{
    size_t a_bytes = 0, b_bytes = 0;
    char *a_text = read_text(a, &a_bytes), *b_text = read_text(b, &b_bytes);
    cr_expect(a_text && b_text && a_bytes == b_bytes && !memcmp(a_text, b_text, a_bytes),
              "%s and %s", a, b);
    free(a_text);
    free(b_text);
}
