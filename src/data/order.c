/* order.c -- the epoch's order, as PyTorch's DataLoader makes it. No rank in it.
 *
 * At the beginning of an epoch the loader draws an int64 that it does not use, and a shuffled one a
 * second: its low 32 bits seed a private generator, whose permutation is the order. So an epoch
 * takes two or four words of the context's stream whatever the rows are, and the seed alone
 * rebuilds the order of a run that goes on in the middle of an epoch.
 *
 * With a generator both come from it, and its permutation is the order. At the end of the epoch the
 * sampler draws one more permutation, of which it takes nothing.
 *
 * Called by the loader, on the main thread. Source: torch.utils.data.RandomSampler, PyTorch 1.13.
 */
#include "data/dataset.h"
#include <string.h>

uint64_t ls_order_draw(ls_order *o, ls_random *r)
{
    ls_random_word64(r);
    if (!o->row) return 0;
    uint64_t seed = (uint32_t)ls_random_word64(r);
    ls_order_set(o, seed);
    return seed;
}

void ls_order_skip(const ls_order *o, int64_t epochs, ls_random *r)
{
    int words = o->row ? 4 : 2;
    for (int i = 0; i < words; i++)
        ls_random_skip(r, (uint64_t)epochs); /* times words may not fit */
}

void ls_order_set(ls_order *o, uint64_t seed)
{
    ls_random own;
    if (!o->row) return;
    ls_random_seed(&own, seed);
    ls_random_permutation(&own, o->rows, o->row);
}

void ls_order_rows(const ls_order *o, int64_t first, int64_t count, int64_t *rows)
{
    if (o->row && count > 0) memcpy(rows, o->row + first, (size_t)count * sizeof *rows);
    else
        for (int64_t i = 0; i < count; i++) rows[i] = first + i;
}

void ls_order_draw_from(ls_order *o, ls_generator *g)
{
    ls_generator_skip(g, 2);
    if (o->row) ls_generator_permutation(g, o->rows, o->row);
}

void ls_order_end_from(const ls_order *o, ls_generator *g)
{
    if (o->row) ls_generator_skip(g, o->rows - 1);
}

int64_t ls_order_words(const ls_order *o)
{
    return 2 + (o->row ? 2 * (o->rows - 1) : 0);
}
