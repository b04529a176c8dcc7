/* random.c -- PyTorch's random numbers on the CPU, bit for bit: what torch.manual_seed(s) and the
 * same draws give in PyTorch 1.13 on a machine with AVX2.
 *
 * One mt19937 a stream. Every value is a fixed sequence of IEEE operations: fused ones are written
 * out as fma(), logarithm, sine and cosine are series of our own, and from libm come only sqrt, fma
 * and rint; so the bits are the same on every machine. Single precision follows the Cephes
 * polynomials in the order in which PyTorch's vector code evaluates them. In double precision
 * PyTorch calls the C library of its machine; here the three functions are within 0.506 units in
 * the last place of the truth. 2 in 1000 normals then differ from PyTorch's on glibc 2.36, in the
 * last bits.
 *
 * Called by tensor (rand, randn), nn (initial values), data (the epoch's order) and train (saved
 * state). Sources: Matsumoto and Nishimura 1998; Box and Muller 1958; Moshier, Cephes; ATen
 * DistributionTemplates. */
#include "base/base.h"
#include <math.h>
#include <string.h>

enum { WORDS = 624, MIDDLE = 397, GROUP = 16 }; /* GROUP: values that are transformed together */
static const uint32_t MIX = 0x9908b0df;

/* ---- words ----------------------------------------------------------------------------------- */
void ls_random_seed(ls_random *r, uint64_t seed)
{
    *r = (ls_random){ .position = WORDS };
    r->word[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < WORDS; i++)
        r->word[i] = 1812433253u * (r->word[i - 1] ^ r->word[i - 1] >> 30) + i;
}

static uint32_t twist(uint32_t far, uint32_t high, uint32_t low)
{
    uint32_t y = (high & 0x80000000u) | (low & 0x7fffffffu);
    return far ^ y >> 1 ^ (-(y & 1) & MIX);
}

static void refresh(ls_random *r)
{
    uint32_t *w = r->word;
    for (int i = 0; i < WORDS - MIDDLE; i++) w[i] = twist(w[i + MIDDLE], w[i], w[i + 1]);
    for (int i = WORDS - MIDDLE; i < WORDS - 1; i++)
        w[i] = twist(w[i + MIDDLE - WORDS], w[i], w[i + 1]);
    w[WORDS - 1] = twist(w[MIDDLE - 1], w[WORDS - 1], w[0]);
    r->position = 0;
}

uint32_t ls_random_word(ls_random *r)
{
    if (r->position >= WORDS) refresh(r);
    uint32_t y = r->word[r->position++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

uint64_t ls_random_word64(ls_random *r)
{
    uint64_t high = ls_random_word(r);
    return high << 32 | ls_random_word(r);
}

/* ---- words that are not wanted --------------------------------------------------------------- */
/* Let t be the step from one word to the next, linear over bits. By its characteristic polynomial p,
 *   t^n = (t^n mod p)(t),
 * so however many steps are those of a polynomial of degree below that of p (Haramoto et al. 2008). p is
 * known in closed form (Matsumoto and Nishimura 1998, appendix A). */
enum { DEGREE = 19937, TERMS = 256, LIMBS = DEGREE / 64 + 1 }; /* p has 135 terms */

typedef struct modulus {
    int count, term[TERMS]; /* exponents of p below DEGREE */
} modulus;

/* to ^= from t^by, where the product has room. */
static void add_shifted(uint64_t *to, const uint64_t *from, int by)
{
    int whole = by / 64, rest = by % 64;
    for (int i = LIMBS - 1; i >= whole; i--) {
        to[i] ^= from[i - whole] << rest;
        if (rest && i > whole) to[i] ^= from[i - whole - 1] >> (64 - rest);
    }
}

/* p times t^high + t^low. */
static void multiply_pair(uint64_t p[LIMBS], int high, int low)
{
    uint64_t product[LIMBS] = { 0 };
    add_shifted(product, p, high);
    add_shifted(product, p, low);
    memcpy(p, product, sizeof product);
}

static void find_modulus(modulus *m)
{
    uint64_t p[LIMBS] = { 1 };
    for (int i = 0; i < 31; i++) {
        multiply_pair(p, WORDS - 1, MIDDLE - 1);
        p[0] ^= MIX >> i & 1;
    }
    multiply_pair(p, WORDS, MIDDLE);
    p[0] ^= MIX >> 31;
    m->count = 0;
    for (int i = 0; i < DEGREE; i++)
        if (p[i / 64] >> i % 64 & 1) m->term[m->count++] = i;
}

/* Takes bits at t^at, at >= DEGREE, out of d by adding a multiple of p. */
static void fold(uint64_t *d, const modulus *m, uint64_t bits, int at)
{
    for (int i = 0; bits && i < m->count; i++) {
        int to = at - DEGREE + m->term[i];
        d[to / 64] ^= bits << to % 64;
        if (to % 64) d[to / 64 + 1] ^= bits >> (64 - to % 64);
    }
}

/* The even bits of the result are those of x. */
static uint64_t spread(uint32_t x)
{
    uint64_t y = x;
    y = (y | y << 16) & 0x0000ffff0000ffffu;
    y = (y | y << 8) & 0x00ff00ff00ff00ffu;
    y = (y | y << 4) & 0x0f0f0f0f0f0f0f0fu;
    y = (y | y << 2) & 0x3333333333333333u;
    return (y | y << 1) & 0x5555555555555555u;
}

/* g = g^2 mod p, or t g^2 mod p. */
static void square(uint64_t g[LIMBS], const modulus *m, bool times_t)
{
    uint64_t d[2 * LIMBS];
    for (int i = 0; i < LIMBS; i++) {
        d[2 * i] = spread((uint32_t)g[i]) << times_t;
        d[2 * i + 1] = spread((uint32_t)(g[i] >> 32)) << times_t;
    }
    for (int i = 2 * LIMBS - 1; i >= LIMBS; i--) fold(d, m, d[i], 64 * i);
    fold(d, m, d[LIMBS - 1] >> DEGREE % 64, DEGREE);
    d[LIMBS - 1] &= ((uint64_t)1 << DEGREE % 64) - 1;
    memcpy(g, d, LIMBS * sizeof *g);
}

/* The words after count steps. What is no part of the state, the low bits of the first word, is not
 * kept. */
static void jump(uint32_t word[WORDS], uint64_t count)
{
    modulus m;
    uint64_t g[LIMBS] = { 1 };
    uint32_t ring[WORDS] = { 0 };
    int at = 0; /* the first word of the ring */
    find_modulus(&m);
    for (int i = 63; i >= 0; i--) square(g, &m, count >> i & 1);
    for (int i = DEGREE - 1; i >= 0; i--) {
        int next = (at + 1) % WORDS;
        ring[at] = twist(ring[(at + MIDDLE) % WORDS], ring[at], ring[next]);
        at = next;
        if (!(g[i / 64] >> i % 64 & 1)) continue;
        for (int k = 0; k < WORDS - at; k++) ring[at + k] ^= word[k];
        for (int k = WORDS - at; k < WORDS; k++) ring[at + k - WORDS] ^= word[k];
    }
    for (int k = 0; k < WORDS; k++) word[k] = ring[(at + k) % WORDS];
}

void ls_random_skip(ls_random *r, uint64_t count)
{
    enum { WORTH = 1 << 12 }; /* a jump takes about as long as so many blocks */
    uint64_t left = WORDS - r->position;
    if (count <= left) {
        r->position += (uint32_t)count;
        return;
    }
    uint64_t blocks = (count - left - 1) / WORDS; /* before that of the last word */
    uint64_t rest = count - left - blocks * WORDS;
    if (blocks > WORTH) {
        jump(r->word, blocks * WORDS);
        blocks = 0;
    }
    for (uint64_t i = 0; i <= blocks; i++) refresh(r);
    r->position = (uint32_t)rest;
}

/* ---- uniform --------------------------------------------------------------------------------- */
static float unit_f32(ls_random *r)
{
    return (float)(ls_random_word(r) & 0xffffff) * 0x1p-24f;
}

static double unit_f64(ls_random *r)
{
    return (double)(ls_random_word64(r) & (((uint64_t)1 << 53) - 1)) * 0x1p-53;
}

static void uniform_f32(ls_random *r, int64_t count, float *out, float from, float to)
{
    float width = to - from;
    for (int64_t i = 0; i < count; i++) out[i] = fmaf(unit_f32(r), width, from);
}

static void uniform_f64(ls_random *r, int64_t count, double *out, double from, double to)
{
    double width = to - from;
    for (int64_t i = 0; i < count; i++) out[i] = fma(unit_f64(r), width, from);
}

void ls_random_uniform(ls_random *r, ls_dtype type, int64_t count, void *out, double from,
                       double to)
{
    if (type == LS_FLOAT64) uniform_f64(r, count, out, from, to);
    else uniform_f32(r, count, out, (float)from, (float)to);
}

/* ---- functions, single precision ------------------------------------------------------------- */
/* ln x for x = 2^e m in (0, 1], m in [1/2, 1); never subnormal. */
static float log_f32(float x)
{
    static const float p[9] = { 7.0376836292e-2f,  -1.1514610310e-1f, 1.1676998740e-1f,
                                -1.2420140846e-1f, 1.4249322787e-1f,  -1.6668057665e-1f,
                                2.0000714765e-1f,  -2.4999993993e-1f, 3.3333331174e-1f };
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int e = (int)(bits >> 23) - 126;
    bits = (bits & 0x7fffff) | 126u << 23;
    float m;
    memcpy(&m, &bits, sizeof m);
    if (m < 0.707106781f) {
        e--;
        m = (m - 1) + m;
    } else m -= 1;
    float power = (float)e, square = m * m, y = p[0];
    for (int i = 1; i < 9; i++) y = fmaf(y, m, p[i]);
    y = fmaf(y * m, square, power * -2.12194440e-4f);
    y = fmaf(square, -0.5f, y);
    return fmaf(power, 0.693359375f, m + y);
}

/* For x in [0, 2 pi]. */
static void sincos_f32(float x, float *sine, float *cosine)
{
    int octant = ((int)(x * 1.27323954f) + 1) & ~1;
    float q = (float)octant;
    x = fmaf(q, -0.78515625f, x);
    x = fmaf(q, -2.4187564849853515625e-4f, x);
    x = fmaf(q, -3.77489497744594108e-8f, x);
    float z = x * x;
    float c = fmaf(fmaf(2.443315711809948e-5f, z, -1.388731625493765e-3f), z,
                   4.166664568298827e-2f);
    c = fmaf(c * z, z, -0.5f * z) + 1;
    float s = fmaf(fmaf(-1.9515295891e-4f, z, 8.3321608736e-3f), z, -1.6666654611e-1f);
    s = fmaf(s * z, x, x);
    bool swapped = (octant & 2) != 0;
    *sine = (octant & 4 ? -1.0f : 1.0f) * (swapped ? c : s);
    *cosine = ((octant + 2) & 4 ? -1.0f : 1.0f) * (swapped ? s : c);
}

/* ---- functions, double precision ------------------------------------------------------------- */
/* Leading terms are carried as pairs, an exact value and its rounding error; the rest of each
 * series is small enough for one double. */
typedef struct pair {
    double high, low;
} pair;

/* Where |a| >= |b|, or a is 0. */
static pair pair_sum(pair a, pair b)
{
    double s = a.high + b.high, rest = b.high - (s - a.high) + (a.low + b.low);
    return (pair){ s, rest };
}

static pair pair_product(pair a, pair b)
{
    double p = a.high * b.high;
    return (pair){ p, fma(a.high, b.high, -p) + fma(a.high, b.low, a.low * b.high) };
}

/* c0 + c1 z + ... for count coefficients. */
static double polynomial(double z, int count, const double *c)
{
    double y = c[count - 1];
    for (int i = count - 2; i >= 0; i--) y = fma(y, z, c[i]);
    return y;
}

/* ln x for x in (0, 1]: x = 2^e m with m near 1, s = (m - 1) / (m + 1), z = s^2 < 0.03,
 *   ln m = 2 artanh s = 2 s + s z (2/3 + z (2/5 + z (2/7 + ...))). */
static double log_f64(double x)
{
    /* The high part has 42 bits, so that e times it is exact. */
    static const pair ln2 = { 0x1.62e42fefa38p-1, 0x1.ef35793c7673p-45 };
    static const pair two_thirds = { 2.0 / 3, 0x1.5555555555555p-55 };
    static const double rest[10] = { 2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11, 2.0 / 13,
                                     2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23 };
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int e = (int)(bits >> 52) - 1022;
    bits = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)1022 << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m < 0.70710678118654752) {
        e--;
        m *= 2;
    }
    double f = m - 1, g = m + 1, g_low = m < 1 ? m - (g - 1) : 1 - (g - m);
    pair s = { f / g, 0 };
    s.low = (fma(-s.high, g, f) - s.high * g_low) / g;
    pair z = pair_product(s, s);
    pair series = pair_sum(two_thirds, (pair){ z.high * polynomial(z.high, 10, rest), 0 });
    pair whole = pair_sum((pair){ e * ln2.high, e * ln2.low }, (pair){ 2 * s.high, 2 * s.low });
    whole = pair_sum(whole, pair_product(pair_product(s, z), series));
    return whole.high + whole.low;
}

/* For x in [0, 2 pi]: x = n pi/2 + r with |r| <= pi/4, z = r^2,
 *   sin r = r + r z (-1/3! + z (1/5! - ...)),  cos r = 1 - z/2 + z^2 (1/4! + z (-1/6! + ...)). */
static void sincos_f64(double x, double *sine, double *cosine)
{
    /* High parts of 50 bits, so that n times them is exact. */
    static const double half_pi[3] = { 0x1.921fb54442d18p+0, 0x1.1a62633145cp-54,
                                       0x1.b839a252049c1p-104 };
    static const pair sixth = { -1.0 / 6, -0x1.5555555555555p-57 };
    static const pair twenty_fourth = { 1.0 / 24, 0x1.5555555555555p-59 };
    static const double odd[7] = {
        1.0 / 120,        -1.0 / 5040,          1.0 / 362880,         -1.0 / 39916800,
        1.0 / 6227020800, -1.0 / 1307674368000, 1.0 / 355687428096000
    };
    static const double even[7] = {
        -1.0 / 720,         1.0 / 40320,          -1.0 / 3628800,         1.0 / 479001600,
        -1.0 / 87178291200, 1.0 / 20922789888000, -1.0 / 6402373705728000
    };
    double n = rint(x * 0x1.45f306dc9c883p-1);
    pair r = pair_sum((pair){ x - n * half_pi[0], 0 }, (pair){ -n * half_pi[1], -n * half_pi[2] });
    pair z = pair_product(r, r);

    pair series = pair_sum(sixth, (pair){ z.high * polynomial(z.high, 7, odd), 0 });
    pair s = pair_sum(r, pair_product(pair_product(r, z), series));

    series = pair_sum(twenty_fourth, (pair){ z.high * polynomial(z.high, 7, even), 0 });
    pair c = pair_sum((pair){ 1, 0 }, (pair){ -0.5 * z.high, -0.5 * z.low });
    c = pair_sum(c, pair_product(pair_product(z, z), series));

    int quadrant = (int)n & 3;
    double sin_r = s.high + s.low, cos_r = c.high + c.low;
    *sine = (quadrant & 2 ? -1.0 : 1.0) * (quadrant & 1 ? cos_r : sin_r);
    *cosine = ((quadrant + 1) & 2 ? -1.0 : 1.0) * (quadrant & 1 ? sin_r : cos_r);
}

/* ---- normal: two uniforms make two normals, r cos t and r sin t ------------------------------ */
static const double two_pi = 6.283185307179586;

/* Small counts: one at a time; the sine waits in the generator for the next call. */
static double next_normal(ls_random *r)
{
    if (r->has_normal) {
        r->has_normal = 0;
        return r->next_normal;
    }
    double angle = two_pi * unit_f64(r), sine, cosine;
    double radius = sqrt(-2 * log_f64(1 - unit_f64(r))); /* the difference is exact */
    sincos_f64(angle, &sine, &cosine);
    r->next_normal = radius * sine;
    r->has_normal = 1;
    return radius * cosine;
}

static void normal_group_f32(float *v, float mean, float deviation)
{
    for (int i = 0; i < GROUP / 2; i++) {
        float radius = sqrtf(-2 * log_f32(1 - v[i])), sine, cosine;
        sincos_f32((float)two_pi * v[i + GROUP / 2], &sine, &cosine);
        v[i] = fmaf(radius * cosine, deviation, mean);
        v[i + GROUP / 2] = fmaf(radius * sine, deviation, mean);
    }
}

static void normal_group_f64(double *v, double mean, double deviation)
{
    for (int i = 0; i < GROUP / 2; i++) {
        double radius = sqrt(-2 * log_f64(1 - v[i])), sine, cosine;
        sincos_f64(two_pi * v[i + GROUP / 2], &sine, &cosine);
        v[i] = fma(radius * cosine, deviation, mean);
        v[i + GROUP / 2] = fma(radius * sine, deviation, mean);
    }
}

/* All uniforms first, then the groups in place. The last group, where the count is no multiple, is
 * drawn afresh and overlaps the one before. */
static void normal_f32(ls_random *r, int64_t count, float *out, float mean, float deviation)
{
    uniform_f32(r, count, out, 0, 1);
    for (int64_t i = 0; i + GROUP <= count; i += GROUP) normal_group_f32(out + i, mean, deviation);
    if (count % GROUP == 0) return;
    uniform_f32(r, GROUP, out + count - GROUP, 0, 1);
    normal_group_f32(out + count - GROUP, mean, deviation);
}

static void normal_f64(ls_random *r, int64_t count, double *out, double mean, double deviation)
{
    uniform_f64(r, count, out, 0, 1);
    for (int64_t i = 0; i + GROUP <= count; i += GROUP) normal_group_f64(out + i, mean, deviation);
    if (count % GROUP == 0) return;
    uniform_f64(r, GROUP, out + count - GROUP, 0, 1);
    normal_group_f64(out + count - GROUP, mean, deviation);
}

void ls_random_normal(ls_random *r, ls_dtype type, int64_t count, void *out, double mean,
                      double deviation)
{
    if (count >= GROUP && type == LS_FLOAT64) normal_f64(r, count, out, mean, deviation);
    else if (count >= GROUP) normal_f32(r, count, out, (float)mean, (float)deviation);
    else
        for (int64_t i = 0; i < count; i++) {
            double v = fma(next_normal(r), deviation, mean);
            if (type == LS_FLOAT64) ((double *)out)[i] = v;
            else ((float *)out)[i] = (float)v;
        }
}

/* ---- permutation ----------------------------------------------------------------------------- */
void ls_random_permutation(ls_random *r, int64_t count, int64_t *out)
{
    for (int64_t i = 0; i < count; i++) out[i] = i;
    for (int64_t i = 0; i + 1 < count; i++) {
        int64_t other = i + (int64_t)(ls_random_word(r) % (uint64_t)(count - i));
        int64_t kept = out[i];
        out[i] = out[other];
        out[other] = kept;
    }
}
