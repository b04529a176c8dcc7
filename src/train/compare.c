/* compare.c -- a checkpoint looked through, and two of them compared, on stdout.
 *
 * Looking through reads everything that a resume would: what can be read here can be gone on from.
 * Two checkpoints are compared value by value, and how far apart two numbers are is said in ulp, the
 * count of representable numbers from one to the other. Only the root reads.
 */
#include "train/train.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- one array of a checkpoint --------------------------------------------------------------- */
typedef struct array {
    ls_dtype type;
    ls_shape shape;
    int64_t count;
    void *values; /* from ls_memory_new() */
} array;

static ls_status read_array(ls_image *m, const char *path, array *a, ls_failure *f)
{
    *a = (array){ 0 };
    if (ls_image_get_shape(m, path, &a->type, &a->shape, f)) return f->status;
    a->count = ls_shape_count(a->shape);
    size_t bytes = a->count > 0 ? (size_t)a->count * ls_dtype_bytes(a->type) : 1;
    a->values = ls_memory_new(bytes);
    if (!a->values) return ls_failure_memory(f, bytes, "%s", path);
    return ls_image_get(m, path, a->type, a->shape, a->values, f);
}

/* Calls look() for every array below a group, in order of their names; false ends it. */
typedef bool look_fn(void *of, ls_image *m, const char *path, ls_failure *f);

static bool walk(ls_image *m, const char *group, look_fn *look, void *of, ls_failure *f)
{
    const char *const *name;
    int64_t count;
    if (!ls_image_has(m, group)) return true;
    if (ls_image_list(m, group, &count, &name, f)) return false;
    for (int64_t i = 0; i < count; i++) {
        char path[512];
        ls_dtype type;
        ls_shape shape;
        ls_failure is_group = { 0 };
        if (snprintf(path, sizeof path, "%s/%s", group, name[i]) >= (int)sizeof path) {
            ls_failure_set(f, LS_ERR_DATA, "%s: names are too long", group);
            return false;
        }
        bool goes_on = ls_image_get_shape(m, path, &type, &shape, &is_group)
                           ? walk(m, path, look, of, f)
                           : look(of, m, path, f);
        if (!goes_on) return false;
    }
    return !f->status;
}

/* ---- one checkpoint -------------------------------------------------------------------------- */
static bool read_one(void *count, ls_image *m, const char *path, ls_failure *f)
{
    array a;
    read_array(m, path, &a, f);
    ls_memory_free(a.values);
    ++*(int64_t *)count;
    return !f->status;
}

static ls_status verify(const char *path, ls_failure *f)
{
    static const char *const texts[][2] = {
        { "/", "numerics" },   { "/", "version" },       { "/", "status" },
        { "/config", "text" }, { "/optimizer", "name" }, { "/data", "fingerprint" },
    };
    ls_image *m = NULL;
    int64_t step, value, arrays = 0;
    uint8_t digest[32];
    char hex[65];
    if (ls_checkpoint_read(path, &m, &step, digest, f)) return f->status;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !f->status; i++) {
        char *text = NULL;
        ls_image_get_text(m, texts[i][0], texts[i][1], &text, f);
        ls_memory_free(text);
    }
    ls_image_get_int(m, "/progress", "epoch", &value, f);
    ls_image_get_int(m, "/progress", "step", &value, f);
    if (!f->status && walk(m, "/model", read_one, &arrays, f) && arrays == 0)
        ls_failure_set(f, LS_ERR_DATA, "%s holds no parameters", path);
    int64_t parameters = arrays;
    walk(m, "/optimizer/state", read_one, &arrays, f);
    walk(m, "/history", read_one, &arrays, f);
    ls_image_free(m);
    ls_hex(digest, sizeof digest, hex);
    if (!f->status)
        printf("%s: sound, step %" PRId64 ", %" PRId64 " parameters, %s\n", path, step, parameters,
               hex);
    return f->status;
}

/* How many of those listed in a directory were still there: a run beside us removes the oldest. The first that
 * is not sound is left in f, others are said. */
static int64_t verify_listed(int64_t count, char *const *each, ls_failure *f)
{
    int64_t found = 0;
    for (int64_t i = 0; i < count; i++) {
        struct stat about;
        ls_failure one = { 0 };
        if (verify(each[i], &one) == LS_ERR_INPUT && lstat(each[i], &about) && errno == ENOENT)
            continue;
        found++;
        if (one.status && f->status) fprintf(stderr, "lockstep: %s\n", one.text);
        else if (one.status) *f = one;
    }
    return found;
}

/* Where none was left of those that were listed, there are others by now. */
static void verify_directory(const char *path, ls_failure *f)
{
    int64_t count = 0, found = 0;
    char **each = NULL;
    do {
        if (ls_checkpoint_list(path, NULL, &count, &each, f)) return;
        found = verify_listed(count, each, f);
        ls_checkpoint_list_free(count, each);
    } while (count && !found);
    if (!count) ls_failure_set(f, LS_ERR_INPUT, "%s holds no checkpoint", path);
}

ls_status ls_verify(ls_ctx *ctx, const char *path)
{
    if (!ls_enter(ctx, "ls_verify") || !ls_given(ctx, "ls_verify", path, "path"))
        return ls_agree(ctx);
    ls_failure f = { 0 };
    struct stat about;
    if (ctx->is_root && !stat(path, &about) && S_ISDIR(about.st_mode)) verify_directory(path, &f);
    else if (ctx->is_root) verify(path, &f);
    fflush(stdout);
    if (f.status) ls_fail_with(ctx, &f);
    return ls_agree(ctx);
}

/* ---- two of them ----------------------------------------------------------------------------- */
/* Where a number stands among all of its type. */
static int64_t order_of(const array *a, int64_t i)
{
    if (a->type == LS_FLOAT32) {
        int32_t bits;
        memcpy(&bits, (const char *)a->values + 4 * i, sizeof bits);
        return bits < 0 ? (int64_t)INT32_MIN - bits : bits;
    }
    int64_t bits;
    memcpy(&bits, (const char *)a->values + 8 * i, sizeof bits);
    return a->type == LS_FLOAT64 && bits < 0 ? INT64_MIN - bits : bits;
}

static double value_of(const array *a, int64_t i)
{
    float single;
    double real;
    if (a->type == LS_FLOAT32) return memcpy(&single, (const char *)a->values + 4 * i, 4), single;
    if (a->type == LS_FLOAT64) return memcpy(&real, (const char *)a->values + 8 * i, 8), real;
    return (double)order_of(a, i);
}

typedef struct comparison {
    ls_image *other;
    bool differs, is_shown;
} comparison;

static void show(comparison *c, const char *path, const array *a, const array *b)
{
    int64_t first = -1, different = 0;
    uint64_t most = 0;
    size_t bytes = ls_dtype_bytes(a->type);
    for (int64_t i = 0; i < a->count; i++) {
        if (!memcmp((char *)a->values + (size_t)i * bytes, (char *)b->values + (size_t)i * bytes,
                    bytes))
            continue;
        if (first < 0) first = i;
        different++;
        int64_t l = order_of(a, i), r = order_of(b, i);
        uint64_t ulp = l > r ? (uint64_t)l - (uint64_t)r : (uint64_t)r - (uint64_t)l;
        bool is_number = isfinite(value_of(a, i)) && isfinite(value_of(b, i));
        if (!is_number) most = UINT64_MAX;
        else if (ulp > most) most = ulp;
    }
    if (!different) return;
    c->differs = true;
    if (c->is_shown) return;
    c->is_shown = true;
    printf("%s: %" PRId64 " of %" PRId64 " values differ, first [%" PRId64 "]: %.9g and %.9g; ",
           path, different, a->count, first, value_of(a, first), value_of(b, first));
    if (most == UINT64_MAX) printf("some are not finite\n");
    else printf("at most %" PRIu64 " ulp apart\n", most);
}

static bool compare_one(void *of, ls_image *m, const char *path, ls_failure *f)
{
    comparison *c = of;
    array a = { 0 }, b = { 0 };
    if (!ls_image_has(c->other, path)) {
        if (!c->is_shown) printf("%s: only in the first\n", path);
        c->differs = c->is_shown = true;
        return true;
    }
    if (read_array(m, path, &a, f) || read_array(c->other, path, &b, f)) goto done;
    if (a.type == b.type && ls_shape_equal(a.shape, b.shape)) show(c, path, &a, &b);
    else {
        if (!c->is_shown)
            printf("%s: %s %s and %s %s\n", path, ls_dtype_name(a.type), ls_shape_str(a.shape).text,
                   ls_dtype_name(b.type), ls_shape_str(b.shape).text);
        c->differs = c->is_shown = true;
    }
done:
    ls_memory_free(a.values);
    ls_memory_free(b.values);
    return !f->status;
}

static bool is_missing(void *of, ls_image *m, const char *path, ls_failure *f)
{
    comparison *c = of;
    (void)m, (void)f;
    if (ls_image_has(c->other, path)) return true;
    if (!c->is_shown) printf("%s: only in the second\n", path);
    c->differs = c->is_shown = true;
    return true;
}

static void compare_text(comparison *c, ls_image *m, const char *group, const char *name,
                         ls_failure *f)
{
    char *a = NULL, *b = NULL;
    if (!ls_image_get_text(m, group, name, &a, f) &&
        !ls_image_get_text(c->other, group, name, &b, f) && strcmp(a, b) != 0) {
        if (!c->is_shown) printf("%s: %s differs\n", group, name);
        c->differs = c->is_shown = true;
    }
    ls_memory_free(a);
    ls_memory_free(b);
}

static bool compare(ls_image *a, ls_image *b, ls_failure *f)
{
    static const char *const groups[] = { "/model", "/optimizer/state", "/history", "/data" };
    comparison forth = { .other = b }, back = { .other = a };
    for (int i = 0; i < 4 && !f->status; i++) {
        walk(a, groups[i], compare_one, &forth, f);
        back.is_shown = forth.is_shown;
        walk(b, groups[i], is_missing, &back, f);
        forth.is_shown |= back.is_shown;
    }
    compare_text(&forth, a, "/", "numerics", f);
    compare_text(&forth, a, "/config", "text", f);
    compare_text(&forth, a, "/data", "fingerprint", f);
    compare_text(&forth, a, "/", "status", f);
    return forth.differs || back.differs;
}

ls_status ls_diff(ls_ctx *ctx, const char *a, const char *b, bool *differ)
{
    uint8_t all[1] = { 0 }, digest[2][32];
    bool unwanted;
    if (!differ) differ = &unwanted;
    *differ = false;
    if (!ls_enter(ctx, "ls_diff") || !ls_given(ctx, "ls_diff", a, "path") ||
        !ls_given(ctx, "ls_diff", b, "path"))
        return ls_agree(ctx);
    if (ctx->is_root) {
        ls_failure f = { 0 };
        ls_image *m[2] = { NULL, NULL };
        int64_t step[2];
        if (!ls_checkpoint_read(a, &m[0], &step[0], digest[0], &f) &&
            !ls_checkpoint_read(b, &m[1], &step[1], digest[1], &f) &&
            memcmp(digest[0], digest[1], sizeof digest[0]) != 0) {
            all[0] = 1;
            if (step[0] != step[1]) printf("step: %" PRId64 " and %" PRId64 "\n", step[0], step[1]);
            if (!compare(m[0], m[1], &f) && step[0] == step[1] && !f.status)
                printf("the parameters are the same, other things are not\n");
        }
        ls_image_free(m[0]);
        ls_image_free(m[1]);
        fflush(stdout);
        if (f.status) ls_fail_with(ctx, &f);
    }
    if (!ctx->links->broadcast(ctx, all, sizeof all)) *differ = all[0];
    return ls_agree(ctx);
}
