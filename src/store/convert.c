/* convert.c -- stored numbers into float32, float64 or int64.
 *
 * One loop for each pair of a native C type and a target, simple enough for the compiler to
 * vectorise. Everything else is first made native, a block at a time: bytes of foreign order are
 * swapped, integers of 3, 5, 6 or 7 bytes become 64 bits wide and half precision becomes double, all
 * exact, so that a number is rounded at most once.
 *
 * Bytes, as images have them, are divided without a division, which the processor does slowly: v / d
 * is v high + v low, where high has the first 16 bits of 1 / d, so that v high is exact and the sum
 * rounds once. That this has the quotient's bits is not taken on trust: all 256 are compared first.
 *
 * Called by table.c. */
#include "store/convert.h"
#include <string.h>

#define LOOP(from, to)                                                                             \
    static void from##_##to(const void *in, int64_t count, void *out)                              \
    {                                                                                              \
        const char *p = in;                                                                        \
        to *o = out;                                                                               \
        for (int64_t i = 0; i < count; i++) {                                                      \
            from v;                                                                                \
            memcpy(&v, p + i * (int64_t)sizeof v, sizeof v);                                       \
            o[i] = (to)v;                                                                          \
        }                                                                                          \
    }
#define LOOPS(from) LOOP(from, float) LOOP(from, double) LOOP(from, int64_t)
LOOPS(uint8_t)
LOOPS(uint16_t)
LOOPS(uint32_t)
LOOPS(uint64_t)
LOOPS(int8_t)
LOOPS(int16_t)
LOOPS(int32_t)
LOOPS(int64_t)
LOOP(float, float)
LOOP(float, double)
LOOP(double, float)
LOOP(double, double)

typedef void loop(const void *in, int64_t count, void *out);
#define INTEGER(from)                                                                              \
    {                                                                                              \
        [LS_FLOAT32] = from##_float, [LS_FLOAT64] = from##_double, [LS_INT64] = from##_int64_t     \
    }
#define FLOATING(from)                                                                             \
    {                                                                                              \
        [LS_FLOAT32] = from##_float, [LS_FLOAT64] = from##_double                                  \
    }
/* By the logarithm of the width; NULL where there is no such type. */
static loop *const unsigned_loop[4][3] = { INTEGER(uint8_t), INTEGER(uint16_t), INTEGER(uint32_t),
                                           INTEGER(uint64_t) };
static loop *const signed_loop[4][3] = { INTEGER(int8_t), INTEGER(int16_t), INTEGER(int32_t),
                                         INTEGER(int64_t) };
static loop *const float_loop[4][3] = { [2] = FLOATING(float), [3] = FLOATING(double) };

static bool host_is_big_endian(void)
{
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
}

static bool is_native(ls_stored s)
{
    if (s.width == 1) return true;
    if (s.is_big_endian != host_is_big_endian()) return false;
    return s.width == 4 || s.width == 8 || (s.width == 2 && !s.is_float);
}

static void convert_native(ls_stored s, const void *in, int64_t count, ls_dtype type, void *out)
{
    int log2 = s.width == 8 ? 3 : s.width / 2;
    loop *const(*table)[3] = s.is_float ? float_loop : s.is_signed ? signed_loop : unsigned_loop;
    table[log2][type](in, count, out);
}

/* The bytes of one number as an unsigned value. */
static uint64_t assemble(ls_stored s, const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < s.width; i++) v = v << 8 | p[s.is_big_endian ? i : s.width - 1 - i];
    return v;
}

/* Sign, five bits of exponent, ten of fraction. */
static float half(uint32_t h)
{
    uint32_t sign = (h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff;
    if (exponent == 0) {
        float small = (float)fraction * 0x1p-24f; /* exact, subnormal or zero */
        return sign ? -small : small;
    }
    uint32_t bits = sign | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

#define SWAP(type, swapped)                                                                        \
    for (int64_t i = 0; i < count; i++) {                                                          \
        type v;                                                                                    \
        memcpy(&v, in + i * (int64_t)sizeof v, sizeof v);                                          \
        v = swapped(v);                                                                            \
        memcpy((char *)out + i * (int64_t)sizeof v, &v, sizeof v);                                 \
    }

/* One block in native numbers; what they are then. */
static ls_stored make_native(ls_stored s, const uint8_t *in, int64_t count, uint64_t *out)
{
    ls_stored swapped = { s.is_float, s.is_signed, host_is_big_endian(), s.width };
    if (is_native(swapped)) {
        if (s.width == 2) SWAP(uint16_t, __builtin_bswap16)
        if (s.width == 4) SWAP(uint32_t, __builtin_bswap32)
        if (s.width == 8) SWAP(uint64_t, __builtin_bswap64)
        return swapped;
    }
    for (int64_t i = 0; i < count; i++, in += s.width) {
        uint64_t v = assemble(s, in);
        if (s.is_float) {
            double wide = half((uint32_t)v);
            memcpy(&v, &wide, sizeof v);
        } else if (s.is_signed) {
            uint64_t sign = UINT64_C(1) << (8 * s.width - 1);
            v = (v ^ sign) - sign;
        }
        out[i] = v;
    }
    return (ls_stored){ s.is_float, s.is_signed, host_is_big_endian(), 8 };
}

bool ls_is_converted(ls_stored s, ls_dtype type)
{
    bool is_float = type != LS_INT64;
    int width = type == LS_FLOAT32 ? 4 : 8;
    return !is_native(s) || s.is_float != is_float || s.width != width ||
           (!is_float && !s.is_signed);
}

static bool none_negative(const int64_t *v, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (v[i] < 0) return false;
    return true;
}

bool ls_convert(ls_stored s, const void *in, int64_t count, ls_dtype type, void *out)
{
    enum { BLOCK = 256 };
    if (s.is_float && type == LS_INT64) return false;
    if (is_native(s)) {
        convert_native(s, in, count, type, out);
    } else {
        uint64_t block[BLOCK];
        size_t width = type == LS_FLOAT32 ? 4 : 8;
        for (int64_t i = 0; i < count; i += BLOCK) {
            int64_t n = count - i < BLOCK ? count - i : BLOCK;
            ls_stored native = make_native(s, (const uint8_t *)in + i * s.width, n, block);
            convert_native(native, block, n, type, (char *)out + (size_t)i * width);
        }
    }
    /* Beyond int64, the conversion has wrapped around. */
    bool may_wrap = type == LS_INT64 && !s.is_signed && s.width == 8;
    return !may_wrap || none_negative(out, count);
}

/* ---- division -------------------------------------------------------------------------------- */
#define DIVIDE_BYTES(name)                                                                         \
    static void name(const uint8_t *in, int64_t count, float high, float low, float *out)          \
    {                                                                                              \
        for (int64_t i = 0; i < count; i++) out[i] = (float)in[i] * high + (float)in[i] * low;     \
    }
DIVIDE_BYTES(divide_bytes)
#if defined(__x86_64__)
__attribute__((target("avx2"))) DIVIDE_BYTES(divide_bytes_avx2)
#endif

    /* The same roundings, whatever the width of vectors. */
    static ls_divide_bytes *divide_bytes_here(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return divide_bytes_avx2;
#endif
    return divide_bytes;
}

static void divide_f32(int64_t count, float by, float *x)
{
    for (int64_t i = 0; i < count; i++) x[i] /= by;
}

static void divide_f64(int64_t count, double by, double *x)
{
    for (int64_t i = 0; i < count; i++) x[i] /= by;
}

ls_divisor ls_divisor_of(ls_stored s, ls_dtype type, double by)
{
    ls_divisor d = { .by = by };
    bool is_byte = s.width == 1 && !s.is_float && !s.is_signed;
    if (by == 1 || !is_byte || type != LS_FLOAT32) return d;
    uint8_t in[256];
    float split[256], divided[256];
    double inverse = 1 / (double)(float)by;
    uint32_t bits;
    d.high = (float)inverse;
    memcpy(&bits, &d.high, sizeof bits);
    bits &= ~UINT32_C(0xff);
    memcpy(&d.high, &bits, sizeof bits);
    d.low = (float)(inverse - (double)d.high);
    for (int v = 0; v < 256; v++) {
        in[v] = (uint8_t)v;
        divided[v] = (float)v;
    }
    ls_divide_bytes *divide = divide_bytes_here();
    divide(in, 256, d.high, d.low, split);
    divide_f32(256, (float)by, divided);
    if (memcmp(split, divided, sizeof split) == 0) d.bytes = divide;
    return d;
}

bool ls_convert_divided(ls_stored s, const void *in, int64_t count, ls_dtype type,
                        const ls_divisor *d, void *out)
{
    if (d->bytes) {
        d->bytes(in, count, d->high, d->low, out);
        return true;
    }
    if (!ls_convert(s, in, count, type, out)) return false;
    if (d->by != 1 && type == LS_FLOAT32) divide_f32(count, (float)d->by, out);
    if (d->by != 1 && type == LS_FLOAT64) divide_f64(count, d->by, out);
    return true;
}
