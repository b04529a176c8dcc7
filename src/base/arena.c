/* arena.c -- memory that ends together: the results of a step.
 *
 * Blocks hang in a list, newest first; only the newest has room. A new block is at least as large
 * as all before it together, so a step makes few. A reset joins them into one block of the peak, so
 * that a step of the same size needs no allocation afterwards; a reset that finds no memory for
 * that only leaves the next step to make blocks again.
 *
 * Called by the context (steps) and by whatever lives for one step. */
#include "base/base.h"

#define ALIGNMENT   ((size_t)64)
#define BLOCK_BYTES ((size_t)64 * 1024)

typedef struct ls_block {
    struct ls_block *older;
    size_t bytes, used; /* of what follows the header */
} ls_block;

_Static_assert(sizeof(ls_block) <= ALIGNMENT, "the header takes one alignment");

static char *block_data(ls_block *b)
{
    return (char *)b + ALIGNMENT;
}

static ls_block *block_new(size_t bytes, ls_block *older)
{
    ls_block *b = bytes <= PTRDIFF_MAX - ALIGNMENT ? ls_memory_new(ALIGNMENT + bytes) : NULL;
    if (b) *b = (ls_block){ .older = older, .bytes = bytes };
    return b;
}

void *ls_arena_take(ls_arena *a, size_t bytes)
{
    if (bytes > PTRDIFF_MAX - ALIGNMENT) return NULL;
    size_t need = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    ls_block *b = a->blocks;
    if (!b || b->bytes - b->used < need) {
        size_t size = a->used > BLOCK_BYTES ? a->used : BLOCK_BYTES;
        b = block_new(need > size ? need : size, a->blocks);
        if (!b) return NULL;
        a->blocks = b;
    }
    void *p = block_data(b) + b->used;
    b->used += need;
    a->used += need;
    if (a->used > a->peak) a->peak = a->used;
    return p;
}

static void free_blocks(ls_arena *a)
{
    for (ls_block *b = a->blocks, *older; b; b = older) {
        older = b->older;
        ls_memory_free(b);
    }
    a->blocks = NULL;
}

void ls_arena_reset(ls_arena *a)
{
    if (a->blocks && a->blocks->older) {
        free_blocks(a);
        a->blocks = block_new(a->peak, NULL);
    }
    if (a->blocks) a->blocks->used = 0;
    a->used = 0;
}

void ls_arena_free(ls_arena *a)
{
    free_blocks(a);
    *a = (ls_arena){ 0 };
}
