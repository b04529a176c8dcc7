/* hash.c -- SHA-256 (FIPS 180-4), CRC-32 (the reflected polynomial 0xEDB88320, as zlib's crc32()).
 *
 * Checkpoints of hundreds of megabytes are hashed whole, so x86's SHA instructions are used where
 * the processor has them; portable C gives the same digests elsewhere. Under a hypervisor, asking
 * the processor costs as much as hashing a few kilobytes: it is asked once a large call.
 *
 * Called by store (user block, digest), data (fingerprints) and train (digest of the replicas). */
#include "base/base.h"
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

enum { BLOCK = 64, MANY_BLOCKS = 4096 };

static const uint32_t round_constant[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, int by)
{
    return x >> by | x << (32 - by);
}

static uint32_t load_big(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store_big(uint8_t *p, uint32_t x)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(x >> (24 - 8 * i));
}

/* One round on the eight words of the state; wk is message word plus constant. */
static inline void one_round(const uint32_t *a, const uint32_t *b, const uint32_t *c, uint32_t *d,
                             const uint32_t *e, const uint32_t *f, const uint32_t *g, uint32_t *h,
                             uint32_t wk)
{
    uint32_t s1 = rotate(*e, 6) ^ rotate(*e, 11) ^ rotate(*e, 25), choice = (*e & *f) ^ (~*e & *g);
    uint32_t s0 = rotate(*a, 2) ^ rotate(*a, 13) ^ rotate(*a, 22);
    uint32_t t = *h + s1 + choice + wk;
    *d += t;
    *h = t + s0 + ((*a & *b) ^ (*a & *c) ^ (*b & *c));
}

static void blocks_portable(uint32_t h[8], const uint8_t *p, size_t count)
{
    const uint32_t *k = round_constant;
    for (; count > 0; count--, p += BLOCK) {
        uint32_t w[64], v[8];
        for (int i = 0; i < 16; i++) w[i] = load_big(p + 4 * i);
        for (int i = 16; i < 64; i++) {
            uint32_t a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
                   (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
        }
        for (int i = 0; i < 8; i++) v[i] = h[i];
        for (int i = 0; i < 64; i += 8) { /* the letters stay, the rounds move */
            one_round(v + 0, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7, k[i] + w[i]);
            one_round(v + 7, v + 0, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, k[i + 1] + w[i + 1]);
            one_round(v + 6, v + 7, v + 0, v + 1, v + 2, v + 3, v + 4, v + 5, k[i + 2] + w[i + 2]);
            one_round(v + 5, v + 6, v + 7, v + 0, v + 1, v + 2, v + 3, v + 4, k[i + 3] + w[i + 3]);
            one_round(v + 4, v + 5, v + 6, v + 7, v + 0, v + 1, v + 2, v + 3, k[i + 4] + w[i + 4]);
            one_round(v + 3, v + 4, v + 5, v + 6, v + 7, v + 0, v + 1, v + 2, k[i + 5] + w[i + 5]);
            one_round(v + 2, v + 3, v + 4, v + 5, v + 6, v + 7, v + 0, v + 1, k[i + 6] + w[i + 6]);
            one_round(v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7, v + 0, k[i + 7] + w[i + 7]);
        }
        for (int i = 0; i < 8; i++) h[i] += v[i];
    }
}

#if defined(__x86_64__)
static bool has_sha_instructions(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1)) return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

/* The instructions keep the state as two vectors, (a b e f) and (c d g h), highest lane first, and
 * do two rounds each. w[] is a ring of the last 16 words of the message schedule. */
__attribute__((target("sha,sse4.1"))) static void blocks_x86(uint32_t h[8], const uint8_t *p,
                                                             size_t count)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i dcba = _mm_loadu_si128((const __m128i *)h);
    __m128i hgfe = _mm_loadu_si128((const __m128i *)(h + 4));
    __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1), efgh = _mm_shuffle_epi32(hgfe, 0x1b);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
    for (; count > 0; count--, p += BLOCK) {
        __m128i w[4], abef_before = abef, cdgh_before = cdgh;
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(p + 16 * i)), swap);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            if (i >= 4) {
                __m128i last = w[(i + 3) % 4];
                __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]),
                                            _mm_alignr_epi8(last, w[(i + 2) % 4], 4));
                w[i % 4] = _mm_sha256msg2_epu32(sum, last);
            }
            const __m128i *k = (const __m128i *)(round_constant + 4 * i);
            __m128i wk = _mm_add_epi32(w[i % 4], _mm_loadu_si128(k));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)h, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(h + 4), _mm_alignr_epi8(dchg, feba, 8));
}
#endif

static void add_blocks(uint32_t h[8], const uint8_t *p, size_t count)
{
#if defined(__x86_64__)
    if (count >= MANY_BLOCKS && has_sha_instructions()) {
        blocks_x86(h, p, count);
        return;
    }
#endif
    blocks_portable(h, p, count);
}

void ls_sha256_begin(ls_sha256 *s)
{
    *s = (ls_sha256){ .h = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                             0x1f83d9ab, 0x5be0cd19 } };
}

void ls_sha256_add(ls_sha256 *s, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    size_t waiting = s->bytes % BLOCK;
    s->bytes += bytes;
    if (waiting > 0) {
        size_t part = bytes < BLOCK - waiting ? bytes : BLOCK - waiting;
        if (part > 0) memcpy(s->tail + waiting, p, part);
        if (waiting + part < BLOCK) return;
        add_blocks(s->h, s->tail, 1);
        p += part;
        bytes -= part;
    }
    add_blocks(s->h, p, bytes / BLOCK);
    if (bytes % BLOCK > 0) memcpy(s->tail, p + bytes / BLOCK * BLOCK, bytes % BLOCK);
}

void ls_sha256_end(ls_sha256 *s, uint8_t digest[32])
{
    static const uint8_t padding[BLOCK] = { 0x80 };
    uint64_t bits = s->bytes * 8;
    uint8_t length[8];
    store_big(length, (uint32_t)(bits >> 32));
    store_big(length + 4, (uint32_t)bits);
    ls_sha256_add(s, padding, 1 + (2 * BLOCK - 9 - s->bytes % BLOCK) % BLOCK);
    ls_sha256_add(s, length, sizeof length);
    for (int i = 0; i < 8; i++) store_big(digest + 4 * i, s->h[i]);
}

void ls_hex(const uint8_t *bytes, size_t count, char *out)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        *out++ = digit[bytes[i] >> 4];
        *out++ = digit[bytes[i] & 15];
    }
    *out = '\0';
}

uint32_t ls_crc32(uint32_t crc, const void *data, size_t bytes)
{
    /* The remainders of all four-bit values: small blocks only, speed does not matter. */
    static const uint32_t nibble[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    const uint8_t *p = data;
    crc = ~crc;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ nibble[crc & 15];
        crc = crc >> 4 ^ nibble[crc & 15];
    }
    return ~crc;
}

/* Of words of two bytes, the first one the higher: their sum, and the sum of its values after every word, each
 * modulo 65535 with 65535 in place of 0 unless all is zero. Over a block of words both are plain sums. */
uint32_t ls_fletcher32(const void *data, size_t bytes)
{
    enum { WORDS = 256 }; /* the largest power of two of which no sum overflows */
    const uint8_t *p = data;
    size_t words = bytes / 2;
    uint64_t sum = 0, sums = 0;
    while (words > 0) {
        uint32_t n = words < WORDS ? (uint32_t)words : WORDS, block = 0, weighted = 0;
        for (uint32_t i = 0; i < n; i++) {
            uint16_t word;
            memcpy(&word, p + 2 * i, sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            word = (uint16_t)(word << 8 | word >> 8);
#endif
            block += word;
            weighted += (n - i) * word;
        }
        sums += n * (sum % 65535) + weighted;
        sum += block;
        p += 2 * (size_t)n;
        words -= n;
    }
    if (bytes % 2) {
        sum += (uint64_t)*p << 8;
        sums += sum;
    }
    if (sum) sum = (sum - 1) % 65535 + 1;
    if (sums) sums = (sums - 1) % 65535 + 1;
    return (uint32_t)(sums << 16 | sum);
}

/* Four lanes side by side, so that a multiplication does not wait for the one before. For a given
 * word each step maps lanes one to one, and for a given lane words: a change is never lost. */
uint64_t ls_digest64(uint64_t seed, const void *data, size_t bytes)
{
    static const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    const uint8_t *p = data;
    uint64_t lane[4] = { seed, seed + 1, seed + 2, seed + 3 }, word[4];
    for (; bytes >= sizeof word; p += sizeof word, bytes -= sizeof word) {
        memcpy(word, p, sizeof word);
        for (int i = 0; i < 4; i++) {
            lane[i] = (lane[i] ^ word[i]) * odd;
            lane[i] ^= lane[i] >> 32;
        }
    }
    memset(word, 0, sizeof word);
    if (bytes > 0) memcpy(word, p, bytes);
    uint64_t digest = bytes;
    for (int i = 0; i < 4; i++) {
        digest = (digest ^ lane[i] ^ word[i] * odd) * odd;
        digest ^= digest >> 29;
    }
    return digest;
}
