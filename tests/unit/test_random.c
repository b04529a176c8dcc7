/* test_random.c -- random numbers against PyTorch's, bit for bit: what it draws is stored as hashes in
 * tests/data/draws.inc, which draws.py beside it writes.
 */
#include "base/base.h"
#include "nn/nn.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

static const char *digest_of(const void *data, size_t bytes)
{
    static char text[65];
    uint8_t digest[32];
    ls_sha256 s;
    ls_sha256_begin(&s);
    ls_sha256_add(&s, data, bytes);
    ls_sha256_end(&s, digest);
    ls_hex(digest, 32, text);
    return text;
}

/* ---- uniform and normal ---------------------------------------------------------------------- */
static const struct draw {
    uint64_t seed;
    int64_t count;
    double a, b; /* from and to, or mean and deviation */
    ls_dtype type;
    bool is_normal;
    const char *digest;
} draws[] = {
#define DRAW(...) { __VA_ARGS__ },
#include "../data/draws.inc"
#undef DRAW
    /* Our own: PyTorch's differ in the last bits of 1693 values, where its C library rounds
       wrongly. */
    { 1, 1000003, 0, 1, LS_FLOAT64, true,
      "5b82b283db2ed428a2884f54b45d88846ef095a9441fdaa91f079cbd88745243" },
};
enum { DRAWS = sizeof draws / sizeof *draws };

Test(random, draws_of_pytorch)
{
    void *out = ls_memory_new(1000003 * sizeof(double));
    cr_assert(eq(int, DRAWS, 17));
    for (int i = 0; i < DRAWS; i++) {
        const struct draw *d = &draws[i];
        ls_random r;
        ls_random_seed(&r, d->seed);
        if (d->is_normal) ls_random_normal(&r, d->type, d->count, out, d->a, d->b);
        else ls_random_uniform(&r, d->type, d->count, out, d->a, d->b);
        size_t bytes = (size_t)d->count * (d->type == LS_FLOAT64 ? 8 : 4);
        cr_expect_str_eq(digest_of(out, bytes), d->digest, "draw %d differs", i);
    }
    ls_memory_free(out);
}

/* ---- words that are not wanted --------------------------------------------------------------- */
/* From every kind of place in a block: to one in it, at its end, in the next, and far away, where a jump
 * takes the place of walking. */
Test(random, skips_as_if_drawn)
{
    static const uint64_t counts[] = { 0, 1, 623, 624, 625, 1249, 2600000, 624 * 4100 };
    for (int before = 0; before < 700; before += 156)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            ls_random drawn, skipped;
            ls_random_seed(&drawn, 7);
            for (int k = 0; k < before; k++) ls_random_word(&drawn);
            skipped = drawn;
            for (uint64_t k = 0; k < counts[i]; k++) ls_random_word(&drawn);
            ls_random_skip(&skipped, counts[i]);
            cr_expect(memcmp(&drawn, &skipped, sizeof drawn) == 0, "%llu words after %d",
                      (unsigned long long)counts[i], before);
        }
}

Test(random, skips_half_and_half)
{
    static const int powers[] = { 22, 23, 31, 32, 33, 48, 63 };
    for (size_t i = 0; i < sizeof powers / sizeof *powers; i++) {
        ls_random whole, halves;
        ls_random_seed(&whole, 3);
        ls_random_word(&whole);
        halves = whole;
        ls_random_skip(&whole, (uint64_t)1 << powers[i]);
        for (int k = 0; k < 2; k++) ls_random_skip(&halves, (uint64_t)1 << (powers[i] - 1));
        cr_expect(memcmp(&whole, &halves, sizeof whole) == 0, "2^%d words", powers[i]);
    }
}

/* ---- normals --------------------------------------------------------------------------------- */
/* torch.randn(17, dtype=torch.float64) after torch.manual_seed(1). */
Test(random, float64_normals_within_a_unit)
{
    static const double pytorch[17] = {
        -0x1.3ec2b05b54971p-2, 0x1.7ef6234f2b7ecp-2,  0x1.25d654b7b0adcp-1,  0x1.91d911bed3c78p+0,
        0x1.bf34427c542acp-1,  -0x1.da326c6448723p+1, -0x1.d06c655b7adc3p+0, -0x1.d7b2c0598141dp+0,
        0x1.818c389b97035p-4,  0x1.17a9eda258ec5p-1,  0x1.0d640b68ad8acp+0,  -0x1.403bfa0ff88f6p-3,
        -0x1.0cedbec231a3ep+1, 0x1.9469e9fae1e41p+0,  0x1.1556e77117ceep+0,  0x1.c7836b0b2366fp-1,
        -0x1.edb7a381131e9p+0
    };
    double out[17];
    ls_random r;
    ls_random_seed(&r, 1);
    ls_random_normal(&r, LS_FLOAT64, 17, out, 0, 1);
    for (int i = 0; i < 17; i++) cr_expect(ieee_ulp_eq(dbl, out[i], pytorch[i], 1));
}

/* The second normal of a small draw waits through uniform and large normal draws. */
static void draw_mixed(ls_dtype type, const char *digest)
{
    size_t bytes = type == LS_FLOAT64 ? 8 : 4;
    char out[28 * 8];
    ls_random r;
    ls_random_seed(&r, 1);
    ls_random_normal(&r, type, 3, out, 0, 1);
    ls_random_uniform(&r, type, 2, out + 3 * bytes, 0, 1);
    ls_random_normal(&r, type, 4, out + 5 * bytes, 0, 1);
    ls_random_normal(&r, type, 17, out + 9 * bytes, 0, 1);
    ls_random_normal(&r, type, 2, out + 26 * bytes, 0, 1);
    cr_expect_str_eq(digest_of(out, 28 * bytes), digest);
}

Test(random, mixed_draws_of_pytorch)
{
#define MIXED(type, digest) draw_mixed(type, digest);
#include "../data/draws.inc"
#undef MIXED
}

/* ---- permutations and words ------------------------------------------------------------------ */
static void permute(uint64_t seed, int64_t count, const char *digest)
{
    int64_t *out = ls_memory_new((size_t)count * sizeof *out);
    ls_random r;
    ls_random_seed(&r, seed);
    ls_random_permutation(&r, count, out);
    cr_expect_str_eq(digest_of(out, (size_t)count * sizeof *out), digest, "of %lld",
                     (long long)count);
    ls_memory_free(out);
}

static void draw_words(uint64_t seed, int64_t count, const char *digest)
{
    int64_t out[10];
    ls_random r;
    ls_random_seed(&r, seed);
    for (int i = 0; i < count; i++) out[i] = (int64_t)(ls_random_word64(&r) & INT64_MAX);
    cr_expect_str_eq(digest_of(out, sizeof out), digest);
    ls_random_permutation(&r, 1, out);
    ls_random_permutation(&r, 0, out + 1);
    cr_expect_eq(out[0], 0);
    cr_expect_eq(r.position, 20, "one row or none takes no words");
}

Test(random, permutations_and_words_of_pytorch)
{
#define PERMUTATION(seed, count, digest) permute(seed, count, digest);
#define WORDS(seed, count, digest)       draw_words(seed, count, digest);
#include "../data/draws.inc"
#undef PERMUTATION
#undef WORDS
}

/* ---- twenty linear layers -------------------------------------------------------------------- */
static int make_linear(ls_ctx *ctx, int64_t in, int64_t out, bool bias, const char *want)
{
    ls_module *m = bias ? ls_linear_new(ctx, in, out) : ls_linear_no_bias_new(ctx, in, out);
    ls_list params = ls_parameters(m);
    ls_sha256 s;
    uint8_t digest[32];
    char text[65];
    ls_sha256_begin(&s);
    for (int64_t i = 0; i < params.count; i++)
        ls_sha256_add(&s, params.at[i]->data, (size_t)params.at[i]->count * sizeof(float));
    ls_sha256_end(&s, digest);
    ls_hex(digest, 32, text);
    cr_expect_str_eq(text, want, "linear %lld %lld", (long long)in, (long long)out);
    return 1;
}

Test(random, linear_layers_of_pytorch)
{
    ls_ctx *ctx = ls_start(&(ls_opts){ .seed = 1 });
    int count = 0;
#define LINEAR(in, out, bias, digest) count += make_linear(ctx, in, out, bias, digest);
#include "../data/draws.inc"
#undef LINEAR
    cr_assert(eq(int, count, 20));
    cr_assert(eq(int, ls_finish(ctx), 0));
}
