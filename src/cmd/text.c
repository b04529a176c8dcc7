/* text.c -- numbers and words as people write them.
 *
 * A number is read in the "C" locale whatever the process has set, and only in its plain decimal
 * form: strtod() alone would take "0x1p4", "inf" and, elsewhere, "0,5". A real is written with the
 * fewest digits that read back as the same double, so that one value has one text.
 *
 * A misspelt word is compared with the known ones by edit distance with swaps (Damerau 1964, in the
 * form of "optimal string alignment"), and with the names that other tools give to the same thing.
 */
#include "cmd/cmd.h"
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool ls_text_int(const char *text, int64_t *out)
{
    const char *digits = text + (*text == '-');
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || digits[count] || (digits[0] == '0' && count > 1)) return false;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno) return false;
    *out = value;
    return true;
}

static bool is_plain_real(const char *s)
{
    s += *s == '-' || *s == '+';
    size_t whole = strspn(s, "0123456789"), part = 0;
    s += whole;
    if (*s == '.') part = strspn(++s, "0123456789"), s += part;
    if (whole + part == 0) return false;
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '-' || *s == '+';
        size_t power = strspn(s, "0123456789");
        if (power == 0) return false;
        s += power;
    }
    return *s == 0;
}

bool ls_text_real(const char *text, double *out)
{
    if (!is_plain_real(text)) return false;
    locale_t plain = newlocale(LC_ALL_MASK, "C", NULL);
    if (!plain) return false;
    double value = strtod_l(text, NULL, plain);
    freelocale(plain);
    if (!isfinite(value)) return false;
    *out = value;
    return true;
}

bool ls_text_seconds(const char *text, double *out)
{
    static const char units[] = "smhd";
    static const double seconds[] = { 1, 60, 3600, 86400 };
    char number[32];
    double value, all = 0;
    for (int fields = 0; fields < 3; fields++) {
        size_t length = strcspn(text, ":");
        const char *unit = length > 1 && text[length] == '\0' && fields == 0
                               ? strchr(units, text[length - 1])
                               : NULL;
        if (length == 0 || length >= sizeof number) return false;
        snprintf(number, sizeof number, "%.*s", (int)(length - (unit != NULL)), text);
        if (!ls_text_real(number, &value) || value < 0 || (fields > 0 && value >= 60)) return false;
        all = 60 * all + value * (unit ? seconds[unit - units] : 1);
        text += length + (text[length] == ':');
        if (*text == '\0') break;
        if (fields == 2) return false;
    }
    *out = all;
    return all > 0 && text[-1] != ':';
}

const char *ls_quote(const char *text, char out[LS_QUOTE_CHARS])
{
    size_t room = LS_QUOTE_CHARS - 6, n = 0;
    out[n++] = '"';
    for (; *text && n <= room; text++)
        out[n++] = (unsigned char)*text < 32 || *text == 127 ? '?' : *text;
    if (*text) {
        while (((unsigned char)out[n - 1] & 0xC0) == 0x80) n--; /* no half character */
        if ((unsigned char)out[n - 1] >= 0xC0) n--;
        memcpy(out + n, "...", 3);
        n += 3;
    }
    out[n++] = '"';
    out[n] = 0;
    return out;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

int ls_text_distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    int n = (int)strnlen(a, LONGEST + 1), m = (int)strnlen(b, LONGEST + 1);
    if (n > LONGEST || m > LONGEST) return 2 * LONGEST;
    int cost[LONGEST + 1][LONGEST + 1];
    for (int i = 0; i <= n; i++) cost[i][0] = i;
    for (int j = 0; j <= m; j++) cost[0][j] = j;
    for (int i = 1; i <= n; i++)
        for (int j = 1; j <= m; j++) {
            int change = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            cost[i][j] = smaller(change, smaller(cost[i - 1][j], cost[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                cost[i][j] = smaller(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    return cost[n][m];
}

/* What others call it. */
static const struct {
    const char *meant, *said;
} synonyms[] = {
    { "lr", "learning_rate rate eta" },
    { "weight_decay", "wd l2 decay" },
    { "batch_size", "batch batchsize" },
    { "validation", "test val valid" },
    { "train", "training file files path" },
    { "dir", "path directory folder" },
    { "x", "inputs features" },
    { "y", "targets labels" },
    { "x_scale", "scale" },
    { "normalize", "standardize" },
    { "seed", "random_seed manual_seed" },
    { "dtype", "type precision" },
    { "kernel", "kernels blas backend" },
    { "openblas", "blas" },
    { "model", "network layers architecture" },
    { "loss", "criterion cost" },
    { "optimizer", "optim" },
    { "epochs", "max_epochs num_epochs" },
    { "every_epochs", "save_every every interval" },
    { "keep", "keep_last" },
    { "log", "logging" },
    { "data", "dataset" },
    { "checkpoint", "checkpoints" },
    { "out", "out_features units size" },
    { "in", "in_features" },
    { "linear", "dense fc" },
    { "cross_entropy", "crossentropy" },
    { "mse", "mse_loss l2 l2_loss" },
    { "l1", "l1_loss mae" },
    { "smooth_l1", "smooth_l1_loss" },
    { "nll", "nll_loss" },
    { "huber", "huber_loss" },
    { "bce", "bce_loss binary_cross_entropy" },
    { "bce_with_logits", "bce_logits binary_cross_entropy_with_logits" },
    { "silu", "swish" },
    { "float64", "double" },
    { "float32", "float single" },
};

/* A word is near another if at most a third of it is wrong. */
static int nearness(const char *word, const char *known)
{
    int distance = ls_text_distance(word, known), letters = (int)strlen(known);
    return 3 * distance <= letters + 1 && distance < letters ? distance : -1;
}

/* The same for the nearest of several words. */
static int nearness_to_any(const char *word, const char *said)
{
    char one[32];
    int best = -1;
    for (; *said; said += strcspn(said, " "), said += *said == ' ') {
        snprintf(one, sizeof one, "%.*s", (int)strcspn(said, " "), said);
        int distance = nearness(word, one);
        if (distance >= 0 && (best < 0 || distance < best)) best = distance;
    }
    return best;
}

static const char *said_for(const char *meant)
{
    for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms; i++)
        if (!strcmp(synonyms[i].meant, meant)) return synonyms[i].said;
    return "";
}

const char *ls_suggest(const char *word, int64_t count, const char *const *known)
{
    const char *best = NULL;
    int best_distance = 0;
    for (int64_t i = 0; i < 2 * count; i++) { /* the words first, so that they win a tie */
        const char *one = known[i % count];
        int distance = i < count ? nearness(word, one) : nearness_to_any(word, said_for(one));
        if (distance < 0 || (best && distance >= best_distance)) continue;
        best = one;
        best_distance = distance;
    }
    return best;
}

char *ls_text_keep(ls_arena *a, const char *text, size_t count, ls_failure *f)
{
    char *copy = ls_arena_take(a, count + 1);
    if (!copy) {
        ls_failure_memory(f, count + 1, "a text");
        return NULL;
    }
    memcpy(copy, text, count);
    copy[count] = 0;
    return copy;
}
