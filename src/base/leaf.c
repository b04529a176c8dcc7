/* leaf.c -- rows, leaves, pieces and the tree as pure integers.
 *
 * Everything here depends on its arguments alone, so every rank works out the same plan by itself.
 * The tree over leaves never changes with the number of shares; shares only decide who computes
 * which leaves. A share hands up one partial sum for each maximal node of the tree within its run
 * (a piece): few pieces mean little to send, equal runs mean nobody waits. ls_leaf_cut() weighs the
 * two.
 *
 * Called by tensor (part.c) and comm; no floating point. */
#include "base/base.h"

int64_t ls_leaf_count(int64_t rows, int64_t leaf_rows)
{
    return rows / leaf_rows + (rows % leaf_rows != 0);
}

ls_range ls_leaf_rows(int64_t rows, int64_t leaf_rows, ls_range leaves)
{
    int64_t all = ls_leaf_count(rows, leaf_rows);
    return (ls_range){ leaves.from < all ? leaves.from * leaf_rows : rows,
                       leaves.to < all ? leaves.to * leaf_rows : rows };
}

/* ---- pieces ---------------------------------------------------------------------------------- */
/* Where the largest node ends that begins at leaf i and stays within a run that ends at to. A run
 * up to the last leaf may use any node: what lies beyond is not there. */
static int64_t node_end(int64_t leaves, int64_t i, int64_t to)
{
    uint64_t size = i ? (uint64_t)i & -(uint64_t)i : (uint64_t)1 << 62;
    if (to == leaves) return size < (uint64_t)(to - i) ? i + (int64_t)size : to;
    while (size > (uint64_t)(to - i)) size >>= 1;
    return i + (int64_t)size;
}

int ls_leaf_pieces(int64_t leaves, ls_range run, ls_range piece[LS_MAX_PIECES])
{
    int count = 0;
    for (int64_t i = run.from; i < run.to; i = piece[count++].to)
        piece[count] = (ls_range){ i, node_end(leaves, i, run.to) };
    return count;
}

/* As ls_leaf_pieces() counts. A run that ends before the last leaf climbs to the multiple of the
 * largest power of two within it and descends from there: one piece for each bit of the two
 * distances. */
static int64_t piece_count(int64_t leaves, int64_t from, int64_t to)
{
    int64_t count = 0;
    if (to == leaves) {
        for (; from < to; from = node_end(leaves, from, to)) count++;
        return count;
    }
    int top = 63 - __builtin_clzll((unsigned long long)(from ^ to));
    int64_t middle = to >> top << top;
    return __builtin_popcountll((unsigned long long)(middle - from)) +
           __builtin_popcountll((unsigned long long)(to - middle));
}

/* ---- shares ---------------------------------------------------------------------------------- */
/* The first leaf of a share where cuts fall between granules of 2^shift leaves. */
static int64_t cut_point(int64_t leaves, int64_t shares, int shift, int64_t share)
{
    int64_t granules = ((leaves - 1) >> shift) + 1;
    /* share * granules / shares without overflow */
    int64_t cut = share * (granules / shares) + share * (granules % shares) / shares;
    cut <<= shift;
    return cut < leaves ? cut : leaves;
}

/* 0.8 x largest share / mean share + 0.2 x volume sent / least volume, times 10 x leaves x shares,
 * which makes it an integer; the volume for p pieces a share on average is (p + 1) / 2 times the
 * least. */
static int64_t cut_cost(int64_t leaves, int64_t shares, int shift)
{
    int64_t largest = 0, pieces = 0;
    for (int64_t share = 0, from = 0; share < shares; share++) {
        int64_t to = cut_point(leaves, shares, shift, share + 1);
        if (to - from > largest) largest = to - from;
        pieces += piece_count(leaves, from, to);
        from = to;
    }
    return 8 * largest * shares * shares + (pieces + shares) * leaves;
}

ls_range ls_leaf_cut(int64_t leaves, int64_t shares, int64_t share)
{
    if (leaves <= shares)
        return (ls_range){ share < leaves ? share : leaves, share < leaves ? share + 1 : leaves };
    int best = 0;
    bool even = (shares & (shares - 1)) == 0 && leaves % shares == 0;
    int64_t least = even ? 0 : cut_cost(leaves, shares, 0);
    for (int shift = 1; !even && ((leaves - 1) >> shift) + 1 >= shares; shift++) {
        int64_t cost = cut_cost(leaves, shares, shift);
        if (cost < least) least = cost, best = shift;
    }
    return (ls_range){ cut_point(leaves, shares, best, share),
                       cut_point(leaves, shares, best, share + 1) };
}

/* ---- the tree -------------------------------------------------------------------------------- */
/* Pieces are pushed on a stack. Sizes on it fall from the bottom up, each a power of two, so two
 * neighbours of one size are the halves of a node and become one. The right parts that reach the
 * last leaf are of any size: the last piece closes them all. */
void ls_leaf_tree(int64_t leaves, int64_t count, const ls_range *piece, ls_addition *out)
{
    int64_t from[LS_MAX_PIECES];
    int32_t index[LS_MAX_PIECES];
    int top = -1;
    for (int64_t i = 0; i < count; i++) {
        top++;
        from[top] = piece[i].from;
        index[top] = (int32_t)i;
        while (top > 0) {
            int64_t left = from[top] - from[top - 1], right = piece[i].to - from[top];
            if (left != right && piece[i].to < leaves) break;
            top--;
            *out++ = (ls_addition){ index[top], index[top + 1] };
        }
    }
}
