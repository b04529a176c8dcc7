/* test_base.c -- hashes against published vectors, leaves and pieces by brute force, memory and arenas by
 * counting. Random numbers: test_random.c. */
#include "base/base.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdlib.h>
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

/* ---- hashes ---------------------------------------------------------------------------------- */
static uint8_t *pattern(size_t bytes)
{
    uint8_t *p = ls_memory_new(bytes);
    for (size_t i = 0; i < bytes; i++) p[i] = (uint8_t)((i * i >> 3) + i * 31);
    return p;
}

Test(hash, published_vectors)
{
    cr_expect_str_eq(digest_of("", 0),
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    cr_expect_str_eq(digest_of("abc", 3),
                     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    cr_expect_str_eq(digest_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56),
                     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    char *a = ls_memory_new(1000000);
    memset(a, 'a', 1000000);
    cr_expect_str_eq(digest_of(a, 1000000),
                     "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    ls_memory_free(a);
    cr_expect_eq(ls_crc32(0, "123456789", 9), 0xcbf43926);
    cr_expect_eq(ls_crc32(ls_crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
    cr_expect_eq(ls_crc32(0, "", 0), 0);
}

/* Word by word, as Fletcher has it, with sums that never overflow. */
static uint32_t plain_fletcher32(const uint8_t *p, size_t bytes)
{
    uint32_t sum = 0, sums = 0;
    for (size_t i = 0; i < bytes; i += 2) {
        sum += (uint32_t)p[i] << 8 | (i + 1 < bytes ? p[i + 1] : 0);
        sum = (sum & 0xffff) + (sum >> 16);
        sums += sum;
        sums = (sums & 0xffff) + (sums >> 16);
    }
    return sums << 16 | sum;
}

Test(hash, fletcher32)
{
    uint8_t *p = pattern(70000);
    for (size_t n = 0; n < 2000; n++)
        cr_assert_eq(ls_fletcher32(p + n % 3, n), plain_fletcher32(p + n % 3, n), "%zu", n);
    for (int fill = 0; fill < 256; fill += 51) {
        cr_expect_eq(ls_fletcher32(p, 70000), plain_fletcher32(p, 70000));
        memset(p + fill, fill, 70000 - (size_t)fill);
    }
    ls_memory_free(p);
}

/* All lengths around the padding's edges, in one digest of digests (Python's hashlib gave it). */
Test(hash, every_length)
{
    uint8_t *p = pattern(300), digest[32];
    ls_sha256 one, all;
    ls_sha256_begin(&all);
    for (size_t n = 0; n < 300; n++) {
        ls_sha256_begin(&one);
        ls_sha256_add(&one, p, n);
        ls_sha256_end(&one, digest);
        ls_sha256_add(&all, digest, 32);
    }
    char text[65];
    ls_sha256_end(&all, digest);
    ls_hex(digest, 32, text);
    cr_expect_str_eq(text, "b50208d0a41c2e4e197a20752e430ec216836b1a28989bd9f16a356857bdd2e1");
    ls_memory_free(p);
}

/* One large call may take the processor's instructions; pieces of every size take portable C. */
Test(hash, large_and_in_pieces)
{
    enum { N = 600001 };
    const char *want = "a34b590be23bae96da651d964f9931d74ab442f3b3ac627118c4c7cd4eebe39f";
    uint8_t *p = pattern(N), digest[32];
    cr_expect_str_eq(digest_of(p, N), want);
    cr_expect_eq(ls_crc32(0, p, N), 2745439912u);
    ls_sha256 s;
    ls_sha256_begin(&s);
    for (size_t i = 0, n = 0; i < N; i += n, n = (n + 1) % 777)
        ls_sha256_add(&s, p + i, n < N - i ? n : N - i);
    char text[65];
    ls_sha256_end(&s, digest);
    ls_hex(digest, 32, text);
    cr_expect_str_eq(text, want);
    ls_memory_free(p);
}

/* ---- memory ---------------------------------------------------------------------------------- */
Test(memory, counted_aligned_and_zeroed)
{
    size_t calls = ls_memory_calls(), live = ls_memory_live();
    for (size_t bytes = 0; bytes < 300; bytes += 23) {
        unsigned char *p = ls_memory_new(bytes);
        cr_assert_not_null(p);
        cr_expect_eq((uintptr_t)p % 64, 0);
        for (size_t i = 0; i < bytes; i++) cr_assert_eq(p[i], 0);
        memset(p, 0xff, bytes);
        cr_expect_eq(ls_memory_live(), live + 1);
        ls_memory_free(p);
    }
    ls_memory_free(NULL);
    cr_expect_eq(ls_memory_live(), live);
    cr_expect_eq(ls_memory_calls(), calls + 14);
    cr_expect_null(ls_memory_new(SIZE_MAX));
    cr_expect_null(ls_memory_new(SIZE_MAX / 2));
    cr_expect_eq(ls_memory_calls(), calls + 14);
}

static void one_step(ls_arena *a)
{
    unsigned char *block[200];
    for (size_t i = 0; i < 200; i++) {
        block[i] = ls_arena_take(a, i * i);
        cr_assert_not_null(block[i]);
        cr_assert_eq((uintptr_t)block[i] % 64, 0);
        memset(block[i], (int)i, i * i);
    }
    for (size_t i = 1; i < 200; i++)
        cr_assert(block[i][0] == i && block[i][i * i - 1] == i, "blocks overlap");
}

Test(arena, equal_steps_allocate_once)
{
    size_t live = ls_memory_live();
    ls_arena a = { 0 };
    one_step(&a);
    cr_expect_gt(ls_memory_live(), live + 1, "the first step makes several blocks");
    ls_arena_reset(&a);
    size_t calls = ls_memory_calls();
    cr_expect_eq(ls_memory_live(), live + 1, "a reset joins them");
    for (int step = 0; step < 3; step++) {
        one_step(&a);
        ls_arena_reset(&a);
    }
    cr_expect_eq(ls_memory_calls(), calls, "equal steps allocate nothing");
    cr_expect_not_null(ls_arena_take(&a, a.peak), "the whole of the largest step is there");
    cr_expect_eq(ls_memory_calls(), calls);
    cr_expect_null(ls_arena_take(&a, SIZE_MAX - 10));
    size_t much = 10 * a.peak;
    void *large = ls_arena_take(&a, much);
    cr_assert_not_null(large);
    memset(large, 1, much);
    ls_arena_free(&a);
    cr_expect_eq(ls_memory_live(), live);
    ls_arena_reset(&a);
    ls_arena_free(&a);
}

/* What a first step takes beyond its results: at most a quarter of them, and one small block. */
Test(arena, new_blocks_waste_little)
{
    enum { EACH = 16 * 1024, COUNT = 300, SMALL = 8 * 1024 };
    ls_arena a = { 0 };
    for (int64_t i = 1; i <= COUNT; i++) {
        cr_assert_not_null(ls_arena_take(&a, EACH));
        cr_assert_leq(a.end - a.at, i * EACH / 4 + SMALL, "%lld blocks", (long long)i);
    }
    ls_arena_free(&a);
}

Test(clock, goes_on)
{
    double t = ls_clock_s();
    cr_expect_gt(t, 0);
    while (ls_clock_s() == t) continue;
    cr_expect_gt(ls_clock_s(), t);
}

/* ---- leaves and pieces ----------------------------------------------------------------------- */
enum { MOST_LEAVES = 70, MOST_SHARES = 20 };

Test(leaf, rows_of_leaves)
{
    for (int64_t rows = 0; rows < 40; rows++)
        for (int64_t leaf_rows = 1; leaf_rows < 9; leaf_rows++) {
            int64_t leaves = ls_leaf_count(rows, leaf_rows), next = 0;
            cr_assert_eq(leaves, (rows + leaf_rows - 1) / leaf_rows);
            for (int64_t i = 0; i < leaves; i++) {
                ls_range r = ls_leaf_rows(rows, leaf_rows, (ls_range){ i, i + 1 });
                cr_assert_eq(r.from, next);
                cr_assert(r.to - r.from == leaf_rows || (i == leaves - 1 && r.to > r.from));
                next = r.to;
            }
            cr_assert_eq(next, rows);
            ls_range none = ls_leaf_rows(rows, leaf_rows, (ls_range){ leaves, leaves });
            cr_assert(none.from == rows && none.to == rows);
        }
}

static bool is_node(int64_t leaves, ls_range r)
{
    int64_t size = 1;
    while (size < r.to - r.from || (r.to == leaves && r.from + size < leaves)) size *= 2;
    return r.from % size == 0 && (r.from + size == r.to || r.to == leaves);
}

/* The fewest nodes that cover each run, by dynamic programming over all nodes. */
Test(leaf, pieces_are_nodes_and_fewest)
{
    for (int64_t leaves = 1; leaves <= MOST_LEAVES; leaves++)
        for (int64_t from = 0; from < leaves; from++) {
            int fewest[MOST_LEAVES + 1] = { 0 };
            for (int64_t to = from + 1; to <= leaves; to++) {
                fewest[to] = MOST_LEAVES + 1;
                for (int64_t i = from; i < to; i++)
                    if (is_node(leaves, (ls_range){ i, to }) && fewest[i] + 1 < fewest[to])
                        fewest[to] = fewest[i] + 1;
                ls_range piece[LS_MAX_PIECES];
                int count = ls_leaf_pieces(leaves, (ls_range){ from, to }, piece);
                cr_assert_eq(count, fewest[to], "leaves %d..%d of %d", (int)from, (int)to,
                             (int)leaves);
                for (int i = 0; i < count; i++) {
                    cr_assert(is_node(leaves, piece[i]));
                    cr_assert_eq(piece[i].from, i ? piece[i - 1].to : from);
                }
                cr_assert_eq(piece[count - 1].to, to);
            }
        }
    ls_range piece[LS_MAX_PIECES];
    cr_expect_eq(ls_leaf_pieces(7, (ls_range){ 4, 7 }, piece), 1);
    cr_expect_eq(ls_leaf_pieces(7, (ls_range){ 3, 3 }, piece), 0);
    cr_expect_eq(ls_leaf_pieces(INT64_MAX, (ls_range){ 1, INT64_MAX }, piece), 63);
    cr_expect_eq(ls_leaf_pieces(INT64_MAX, (ls_range){ 1, INT64_MAX - 1 }, piece), 123);
}

/* The model of ls_leaf_cut(): 0.8 largest / mean + 0.2 (pieces a share + 1) / 2. */
static double model(int64_t leaves, int64_t shares, const int64_t *cut)
{
    double largest = 0, pieces = 0;
    ls_range piece[LS_MAX_PIECES];
    for (int64_t s = 0; s < shares; s++) {
        largest = fmax(largest, (double)(cut[s + 1] - cut[s]));
        pieces += ls_leaf_pieces(leaves, (ls_range){ cut[s], cut[s + 1] }, piece);
    }
    double n = (double)shares;
    return 0.8 * largest * n / (double)leaves + 0.1 * (pieces / n + 1);
}

static void expect_good_cut(int64_t leaves, int64_t shares, const int64_t *cut)
{
    bool even = (shares & (shares - 1)) == 0 && leaves % shares == 0;
    for (int64_t s = 0; s < shares; s++) {
        int64_t size = cut[s + 1] - cut[s];
        if (leaves <= shares) cr_assert_eq(size, s < leaves);
        else cr_assert_geq(size, 1);
        if (even) cr_assert_eq(size, leaves / shares);
    }
    if (even || leaves <= shares) return;
    double cost = model(leaves, shares, cut);
    for (int64_t granule = 1; (leaves + granule - 1) / granule >= shares; granule *= 2) {
        int64_t other[MOST_SHARES + 1], granules = (leaves + granule - 1) / granule;
        for (int64_t s = 0; s <= shares; s++) {
            other[s] = s * granules / shares * granule;
            if (other[s] > leaves) other[s] = leaves;
        }
        cr_assert_leq(cost, model(leaves, shares, other) + 1e-9, "%d leaves, %d shares",
                      (int)leaves, (int)shares);
    }
}

/* The tree as base.h writes it, on single leaves. */
static float tree(int64_t leaves, int64_t from, int level, const float *g)
{
    if (level == 0) return g[from];
    int64_t half = (int64_t)1 << (level - 1);
    float left = tree(leaves, from, level - 1, g);
    return from + half < leaves ? left + tree(leaves, from + half, level - 1, g) : left;
}

static float piece_value(int64_t leaves, ls_range r, const float *g)
{
    int level = 0;
    while ((int64_t)1 << level < r.to - r.from) level++;
    return tree(leaves, r.from, level, g);
}

/* Every share's pieces, added by ls_leaf_tree(), give the bits of the tree over single leaves. */
static void expect_same_sum(int64_t leaves, int64_t shares, const int64_t *cut, const float *g)
{
    ls_range piece[MOST_SHARES * 16] = { { 0, 0 } };
    float value[MOST_SHARES * 16];
    ls_addition add[MOST_SHARES * 16];
    int64_t count = 0;
    for (int64_t s = 0; s < shares; s++)
        count += ls_leaf_pieces(leaves, (ls_range){ cut[s], cut[s + 1] }, piece + count);
    for (int64_t i = 0; i < count; i++) value[i] = piece_value(leaves, piece[i], g);
    ls_leaf_tree(leaves, count, piece, add);
    for (int64_t i = 0; i + 1 < count; i++) {
        cr_assert_lt(add[i].into, add[i].from);
        value[add[i].into] += value[add[i].from];
    }
    float root = piece_value(leaves, (ls_range){ 0, leaves }, g);
    cr_assert(memcmp(&root, value, sizeof root) == 0, "%d leaves, %d shares", (int)leaves,
              (int)shares);
}

Test(leaf, cuts_cover_and_every_cut_gives_one_sum)
{
    float g[MOST_LEAVES];
    ls_random r;
    ls_random_seed(&r, 11);
    ls_random_normal(&r, LS_FLOAT32, MOST_LEAVES, g, 0, 1);
    float in_order = 0;
    for (int i = 0; i < MOST_LEAVES; i++) in_order += g[i];
    cr_assert_neq(in_order, piece_value(MOST_LEAVES, (ls_range){ 0, MOST_LEAVES }, g),
                  "these numbers tell orders apart");
    for (int64_t leaves = 0; leaves <= MOST_LEAVES; leaves++)
        for (int64_t shares = 1; shares <= MOST_SHARES; shares++) {
            int64_t cut[MOST_SHARES + 1] = { 0 };
            for (int64_t s = 0; s < shares; s++) {
                ls_range c = ls_leaf_cut(leaves, shares, s);
                cr_assert_eq(c.from, cut[s], "share %d of %d begins where the one before ends",
                             (int)s, (int)shares);
                cr_assert_geq(c.to, c.from);
                cut[s + 1] = c.to;
            }
            cr_assert_eq(cut[shares], leaves);
            expect_good_cut(leaves, shares, cut);
            if (leaves > 0) expect_same_sum(leaves, shares, cut, g);
        }
}

/* Cuts anywhere, not only where ls_leaf_cut() puts them. */
Test(leaf, random_cuts_give_one_sum)
{
    float g[MOST_LEAVES];
    ls_random r;
    ls_random_seed(&r, 12);
    ls_random_normal(&r, LS_FLOAT32, MOST_LEAVES, g, 0, 1);
    for (int turn = 0; turn < 5000; turn++) {
        int64_t leaves = 1 + ls_random_word(&r) % MOST_LEAVES, shares = 1 + turn % MOST_SHARES;
        int64_t cut[MOST_SHARES + 1] = { 0 };
        for (int64_t s = 1; s < shares; s++) {
            int64_t left = leaves - cut[s - 1];
            cut[s] = cut[s - 1] + ls_random_word(&r) % (uint64_t)(left + 1) * 2 / (shares - s + 2);
        }
        cut[shares] = leaves;
        expect_same_sum(leaves, shares, cut, g);
    }
}

Test(leaf, large_plans)
{
    ls_range piece[LS_MAX_PIECES];
    int64_t next = 0, largest = 0, pieces = 0, leaves = 1 << 20, shares = 1000;
    for (int64_t s = 0; s < shares; s++) {
        ls_range c = ls_leaf_cut(leaves, shares, s);
        cr_assert_eq(c.from, next);
        next = c.to;
        if (c.to - c.from > largest) largest = c.to - c.from;
        pieces += ls_leaf_pieces(leaves, c, piece);
    }
    cr_expect_eq(next, leaves);
    cr_expect_lt(largest * shares, leaves * 5 / 4);
    cr_expect_lt(pieces, 4 * shares, "%d pieces", (int)pieces);
    ls_range last = ls_leaf_cut((int64_t)1 << 40, 65536, 65535);
    cr_expect_eq(last.to - last.from, (int64_t)1 << 24);
}

/* ---- failures -------------------------------------------------------------------------------- */
Test(failure, first_stays)
{
    ls_failure f = { 0 };
    cr_expect_eq(ls_failure_set(&f, LS_ERR_DATA, "row %d", 7), LS_ERR_DATA);
    cr_expect_eq(ls_failure_set(&f, LS_ERR_IO, "later"), LS_ERR_DATA);
    cr_expect_eq(ls_failure_memory(&f, 1, "later"), LS_ERR_DATA);
    ls_failure lacking = { 0 };
    cr_expect_eq(ls_failure_memory(&lacking, 4096, "row %d of %s", 7, "a.h5"), LS_ERR_MEMORY);
    cr_expect_str_eq(lacking.text, "no memory: row 7 of a.h5 needs 4096 bytes");
    cr_expect_str_eq(f.text, "row 7");
    cr_expect_eq(ls_exit_code(LS_OK), 0);
    cr_expect_eq(ls_exit_code(LS_ERR_DATA), 65);
    cr_expect_neq(ls_exit_code((ls_status)999), 0);
}

typedef struct owned {
    ls_owned owned;
    int number, *log;
} owned;
static void end_owned(void *self)
{
    owned *o = self;
    o->log[o->log[0]++] = o->number;
}

Test(context, ends_what_it_owns_newest_first)
{
    static int log[8] = { 1 };
    static owned o[4];
    ls_ctx *ctx = ls_memory_new(sizeof *ctx);
    for (int i = 0; i < 4; i++) {
        o[i] = (owned){ .number = i, .log = log };
        ls_own(ctx, &o[i].owned, end_owned);
    }
    ls_disown(ctx, &o[2].owned);
    ls_end_owned(ctx);
    cr_expect(log[0] == 4 && log[1] == 3 && log[2] == 1 && log[3] == 0);
    cr_expect_null(ctx->newest);
    ls_memory_free(ctx);
}
