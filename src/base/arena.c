/* arena.c -- memory that ends together: the results of a step.
 *
 * Blocks hang in a list, newest first; only the newest has room. A new block is at least a quarter as
 * large as all before it together, so a step makes few and wastes little. A reset joins them into one block of the peak, so
 * that a step of the same size needs no allocation afterwards, and takes the same addresses again;
 * a reset that finds no memory for that only leaves the next step to make blocks again.
 *
 * Called by the context (steps) and by whatever lives for one step. */
#include "base/base.h"

#define ALIGNMENT   ((size_t)64)
#define BLOCK_BYTES ((size_t)8 * 1024)

typedef struct ls_block {
    struct ls_block *older;
    size_t bytes; /* of what follows the header */
} ls_block;

_Static_assert(sizeof(ls_block) <= ALIGNMENT, "the header takes one alignment");

static char *block_data(ls_block *b)
{
    return (char *)b + ALIGNMENT;
}

static size_t used(const ls_arena *a)
{
    return a->blocks ? a->older + (size_t)(a->at - block_data(a->blocks)) : 0;
}

/* The newest block is b, all of it free; NULL: there is none. */
static void begin_block(ls_arena *a, ls_block *b)
{
    a->blocks = b;
    a->at = b ? block_data(b) : NULL;
    a->end = b ? a->at + b->bytes : NULL;
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
    if (!a->blocks || (size_t)(a->end - a->at) < need) {
        size_t before = used(a), size = before / 4 > BLOCK_BYTES ? before / 4 : BLOCK_BYTES;
        ls_block *b = block_new(need > size ? need : size, a->blocks);
        if (!b) return NULL;
        begin_block(a, b);
        a->older = before;
    }
    void *p = a->at;
    a->at += need;
    return p;
}

static void free_blocks(ls_arena *a)
{
    for (ls_block *b = a->blocks, *older; b; b = older) {
        older = b->older;
        ls_memory_free(b);
    }
    a->number++;
    a->older = 0;
    begin_block(a, NULL);
}

void ls_arena_reset(ls_arena *a)
{
    size_t now = used(a);
    if (now > a->peak) a->peak = now;
    if (a->blocks && a->blocks->older) {
        free_blocks(a);
        begin_block(a, block_new(a->peak, NULL));
    } else if (a->blocks) begin_block(a, a->blocks);
}

void ls_arena_free(ls_arena *a)
{
    free_blocks(a);
    a->peak = 0;
}
