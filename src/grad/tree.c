/* tree.c -- the sum over a piece's leaves as they come, in the fixed tree.
 *
 * A binary counter: level i of the stack holds a subtree, and after leaf number a as many pairs are
 * joined as a + 1 has trailing zeros. At the end what is left is joined from the top down, which
 * skips missing right parts as the tree does. Called by the forward pass of sums and by backward.
 */
#include "grad/grad.h"

size_t ls_tree_bytes(const ls_ctx *ctx, int64_t count)
{
    return ((size_t)count * ctx->kernel->bytes + 63) / 64 * 64;
}

int ls_tree_levels(int64_t leaves)
{
    int levels = 2;
    while (leaves > 1) leaves = (leaves + 1) / 2, levels++;
    return levels;
}

bool ls_tree_begin(ls_ctx *ctx, ls_tree_sum *s, int64_t count, int64_t leaves)
{
    int levels = ls_tree_levels(leaves);
    s->count = count;
    s->height = 0;
    s->added = 0;
    size_t bytes = ls_tree_bytes(ctx, count);
    char *room = ls_arena_take(&ctx->scratch, bytes * (size_t)levels);
    if (!room) {
        ls_fail_memory(ctx, bytes * (size_t)levels, "a sum over leaves");
        return false;
    }
    for (int i = 0; i < levels; i++) s->level[i] = room + bytes * (size_t)i;
    return true;
}

void *ls_tree_leaf(ls_tree_sum *s)
{
    return s->level[s->height];
}

static void join(ls_ctx *ctx, ls_tree_sum *s)
{
    s->height--;
    ctx->kernel->add(s->count, s->level[s->height - 1], s->level[s->height]);
}

void ls_tree_add(ls_ctx *ctx, ls_tree_sum *s)
{
    s->height++;
    for (int64_t done = ++s->added; done % 2 == 0; done /= 2) join(ctx, s);
}

void *ls_tree_end(ls_ctx *ctx, ls_tree_sum *s)
{
    while (s->height > 1) join(ctx, s);
    return s->level[0];
}
