/* axes.h -- two strided arrays of one shape, walked in row-major order with as few axes as possible. */
#pragma once
#include "kernel/kernel.h"

typedef struct axis { int64_t count, first, second; } axis; /* steps in the arrays, in elements */
typedef struct axes { int count; axis at[LS_MAX_NDIM]; } axes;

/* Appends an axis, joined with the one before it where both are walked as one. */
static inline void axes_add(axes *a, axis next)
{
    if (next.count == 1) return;
    axis *last = a->count ? &a->at[a->count - 1] : NULL;
    if (last && last->first == next.first * next.count && last->second == next.second * next.count)
        *last = (axis){ last->count * next.count, next.first, next.second };
    else a->at[a->count++] = next;
}

static inline int64_t axes_size(const axes *a)
{
    int64_t size = 1;
    for (int d = 0; d < a->count; d++) size *= a->at[d].count;
    return size;
}

/* Where element i of the first count axes lies in each array. */
static inline void axes_find(const axes *a, int count, int64_t i, int64_t *first, int64_t *second)
{
    *first = *second = 0;
    for (int d = count - 1; d >= 0; d--) {
        int64_t here = i % a->at[d].count;
        *first += here * a->at[d].first;
        *second += here * a->at[d].second;
        i /= a->at[d].count;
    }
}
