/* comm_tree.h -- what the jobs of comm_worker add up, and the sums straight from their definition.
 * Included once.
 */
#pragma once
#include "comm/comm.h"

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Of a wide range of sizes, so that every other order of additions gives other bits. */
static double leaf_value(uint64_t seed, int64_t leaf, int64_t element)
{
    uint64_t h = mix(seed * 0x9e3779b97f4a7c15 + (uint64_t)leaf * 0xd6e8feb86659fd93 +
                     (uint64_t)element * 0xa0761d6478bd642f + 99);
    double value = (double)(int64_t)(h >> 12) / (double)(INT64_C(1) << 51) - 1;
    return value * (double)(1 << (h & 15));
}

static size_t bytes_of(const ls_row_sum *s)
{
    return (size_t)s->count * (s->dtype == LS_FLOAT32 ? 4 : 8);
}

/* T of the design for the leaves of a node, in float or double; the first of them exists. */
static void fill_node(const ls_row_sum *s, uint64_t seed, int64_t leaves, ls_range node, void *to)
{
    const bool is_float = s->dtype == LS_FLOAT32;
    if (node.to - node.from == 1) {
        for (int64_t e = 0; e < s->count; e++) {
            double value = leaf_value(seed, node.from, e);
            if (is_float) ((float *)to)[e] = (float)value;
            else ((double *)to)[e] = value;
        }
        return;
    }
    int64_t half = 1;
    while (2 * half < node.to - node.from) half *= 2;
    fill_node(s, seed, leaves, (ls_range){ node.from, node.from + half }, to);
    if (node.from + half >= leaves) return;
    void *right = ls_memory_new(bytes_of(s));
    fill_node(s, seed, leaves, (ls_range){ node.from + half, node.from + 2 * half }, right);
    for (int64_t e = 0; is_float && e < s->count; e++) ((float *)to)[e] += ((float *)right)[e];
    for (int64_t e = 0; !is_float && e < s->count; e++) ((double *)to)[e] += ((double *)right)[e];
    ls_memory_free(right);
}
