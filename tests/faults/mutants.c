/* mutants.c -- many changed copies of a file, through the checks that such a file meets.
 *
 *   mutants KIND FILE SEED FROM COUNT [every]
 *
 * KIND is checkpoint (the reader of checkpoints), data (the file is described, and of tables /x and /y
 * every row is read and held against the unchanged file's) or config (the reader of configurations). Mutants are numbered; number N is
 * made from SEED and N alone, so that one of them can be made again. With "every", mutant N is the file with
 * one bit of byte N changed. They are read in a child that is made anew where it crashes, or takes longer
 * than a mutant may.
 *
 * One line for each crash and hang and for each changed checkpoint that was loaded, and a summary:
 *   {"mutants": 1000, "refused": 950, "same": 40, "wrong": 10, "crashes": 0, "hangs": 0}
 * same: what was read is what the unchanged file holds. Of a configuration, wrong are those that are
 * right in themselves; of data, those of other values or another number of rows.
 */
#include "cmd/cmd.h"
#include "store/store.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_S = 100, MOST_CHANGES = 8 }; /* a child of our own has 80 s to look at a file */
typedef enum outcome { REFUSED, SAME, WRONG, OUTCOMES } outcome;

static struct {
    const char *kind, *path;
    uint64_t seed;
    bool every;
    uint8_t *good, *bad;
    size_t length;
    struct numbers {
        int64_t rows[2];
        size_t bytes[2];
        double *values[2];
    } good_numbers;
} the;

/* What the child leaves for its parent. */
static struct shared {
    int64_t next, count[OUTCOMES];
} * seen;

/* ---- mutants --------------------------------------------------------------------------------- */

static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* One change at a random place; the length afterwards. */
static size_t change(uint8_t *data, size_t length, uint64_t *state)
{
    static const uint8_t odd[] = { 0, 1, 127, 128, 255, 10, 32, 46 };
    if (length == 0) return 0;
    size_t at = (size_t)(draw(state) % length), left = length - at, n;
    switch (draw(state) % 8) {
    case 0:
    case 1:
    case 2:
        data[at] ^= (uint8_t)(1 << draw(state) % 8);
        return length;
    case 3:
        data[at] = odd[draw(state) % sizeof odd];
        return length;
    case 4: /* a number of several bytes */
        n = (size_t)1 << draw(state) % 4;
        for (size_t i = 0; i < n && i < left; i++) data[at + i] = draw(state) % 2 ? 255 : 0;
        return length;
    case 5: /* a run of zeros */
        n = (size_t)(draw(state) % (1 + length / 4));
        memset(data + at, 0, n < left ? n : left);
        return length;
    case 6: /* a piece is missing */
        n = 1 + (size_t)(draw(state) % (1 + length / 4));
        if (n > left) n = left;
        memmove(data + at, data + at + n, left - n);
        return length - n;
    default: /* a piece is there twice */
        n = left < 64 ? left : 64;
        memmove(data + at + n, data + at, left);
        return length + n;
    }
}

static size_t make(int64_t number)
{
    uint64_t state = the.seed * UINT64_C(0x2545f4914f6cdd1d) + (uint64_t)number;
    size_t length = the.length;
    memcpy(the.bad, the.good, length);
    if (the.every) {
        the.bad[(size_t)number % length] ^= (uint8_t)(1 << draw(&state) % 8);
        return length;
    }
    static const int often[] = { 1, 1, 1, 2, MOST_CHANGES };
    for (int i = often[draw(&state) % 5]; i > 0; i--) length = change(the.bad, length, &state);
    return length;
}

static bool write_bytes(const char *path, const uint8_t *bytes, size_t length)
{
    FILE *out = fopen(path, "w");
    bool is_written = out && fwrite(bytes, 1, length, out) == length;
    return out && !fclose(out) && is_written;
}

/* ---- what meets them ------------------------------------------------------------------------- */

static outcome read_checkpoint(const char *path)
{
    ls_failure f = { 0 };
    ls_image *m;
    int64_t step;
    uint8_t digest[32];
    if (ls_checkpoint_read(path, &m, &step, digest, &f)) return REFUSED;
    ls_image_free(m);
    return WRONG;
}

static outcome read_config(const uint8_t *text, size_t length)
{
    static const char *const nothing[] = { NULL }, *const words[] = { "run.yaml" };
    ls_arena arena = { 0 };
    ls_config config;
    ls_settings settings;
    ls_failure f = { 0 };
    ls_inputs in = { "run.yaml", (const char *)text, length, 1, words, nothing };
    if (!ls_settings_begin(&settings, &ls_config_schema, &config, &arena, &f))
        ls_config_resolve(&settings, &in, &f);
    ls_arena_free(&arena);
    return f.status ? REFUSED : WRONG;
}

/* All values of one dataset, as numbers of 64 bits. */
static ls_status read_set(const char *path, int which, struct numbers *out, ls_failure *f)
{
    ls_table *t;
    if (ls_table_open(path, which ? "/y" : "/x", &t, f)) return f->status;
    const ls_table_info *about = ls_table_about(t);
    size_t count = 1;
    for (int i = 0; i < about->row.ndim; i++) count *= (size_t)about->row.dim[i];
    out->rows[which] = about->rows;
    out->bytes[which] = (size_t)about->rows * count * sizeof(double);
    if (about->rows > 0 && out->bytes[which] < (size_t)1 << 26) {
        int64_t *order = ls_memory_new((size_t)about->rows * sizeof *order);
        for (int64_t i = 0; i < about->rows; i++) order[i] = i;
        out->values[which] = malloc(out->bytes[which]);
        ls_table_read(t, about->rows, order, about->is_integer ? LS_INT64 : LS_FLOAT64, 1,
                      out->values[which], f);
        ls_memory_free(order);
    }
    ls_table_close(t);
    return f->status;
}

static outcome read_data(const char *path)
{
    struct numbers n = { 0 };
    ls_failure f = { 0 }, unwanted = { 0 };
    outcome result = REFUSED;
    FILE *nowhere = fopen("/dev/null", "w");
    if (nowhere) ls_file_describe(path, nowhere, &unwanted);
    if (nowhere) fclose(nowhere);
    if (!read_set(path, 0, &n, &f) && !read_set(path, 1, &n, &f) && n.rows[0] == n.rows[1]) {
        result = SAME;
        for (int i = 0; i < 2; i++)
            if (n.rows[i] != the.good_numbers.rows[i] || n.bytes[i] != the.good_numbers.bytes[i] ||
                memcmp(n.values[i], the.good_numbers.values[i], n.bytes[i]) != 0)
                result = WRONG;
    }
    free(n.values[0]);
    free(n.values[1]);
    return result;
}

static outcome meet(const char *path, size_t length)
{
    if (!strcmp(the.kind, "config")) return read_config(the.bad, length);
    if (!write_bytes(path, the.bad, length)) exit(74);
    return !strcmp(the.kind, "data") ? read_data(path) : read_checkpoint(path);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void report(int64_t number, const char *what)
{
    printf("%s %lld of seed %llu %s\n", the.kind, (long long)number, (unsigned long long)the.seed,
           what);
    fflush(stdout);
}

static _Noreturn void be_child(int64_t end, const char *path)
{
    for (; seen->next < end; seen->next++) {
        size_t length = make(seen->next);
        alarm(LIMIT_S);
        bool is_same = length == the.length && !memcmp(the.bad, the.good, length);
        outcome o = is_same ? SAME : meet(path, length);
        seen->count[o]++;
        if (o == WRONG && !strcmp(the.kind, "checkpoint")) report(seen->next, "is taken for sound");
    }
    exit(0);
}

static bool prepare(int argc, char **argv)
{
    ls_failure f = { 0 };
    if (argc < 6) return false;
    the.kind = argv[1];
    the.path = argv[2];
    the.seed = strtoull(argv[3], NULL, 10);
    the.every = argc > 6 && !strcmp(argv[6], "every");
    FILE *in = fopen(the.path, "r");
    if (!in || fseek(in, 0, SEEK_END)) return false;
    the.length = (size_t)ftell(in);
    rewind(in);
    the.good = malloc(the.length + 1);
    the.bad = malloc(the.length + 64 * MOST_CHANGES + 1);
    if (fread(the.good, 1, the.length, in) != the.length || fclose(in)) return false;
    if (!strcmp(the.kind, "data") && (read_set(the.path, 0, &the.good_numbers, &f) ||
                                      read_set(the.path, 1, &the.good_numbers, &f)))
        return fprintf(stderr, "%s\n", f.text), false;
    memcpy(the.bad, the.good, the.length);
    if (!strcmp(the.kind, "config") && read_config(the.bad, the.length) == REFUSED) return false;
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return seen != MAP_FAILED;
}

int main(int argc, char **argv)
{
    char path[64];
    if (!prepare(argc, argv)) {
        fprintf(stderr, "usage: mutants checkpoint|data|config FILE SEED FROM COUNT [every]\n");
        return 64;
    }
    int64_t from = atoll(argv[4]), end = from + atoll(argv[5]), crashes = 0, hangs = 0;
    snprintf(path, sizeof path, "mutant-%ld", (long)getpid());
    for (seen->next = from; seen->next < end; seen->next++) {
        int status = 0;
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) be_child(end, path);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) break;
        bool is_slow = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
        report(seen->next, is_slow ? "hangs" : "crashes");
        is_slow ? hangs++ : crashes++;
    }
    (void)remove(path);
    printf("{\"mutants\": %lld, \"refused\": %lld, \"same\": %lld, \"wrong\": %lld, \"crashes\": "
           "%lld, \"hangs\": %lld}\n",
           (long long)(end - from), (long long)seen->count[REFUSED], (long long)seen->count[SAME],
           (long long)seen->count[WRONG], (long long)crashes, (long long)hangs);
    return crashes || hangs;
}
