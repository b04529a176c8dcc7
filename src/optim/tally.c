/* tally.c -- whether memory that the ranks of a node hold in common is what they wrote.
 *
 * There is one copy of it, so nothing can be compared. Instead every update sums up the bits that it
 * finds and those that it leaves: what all ranks together have added since counting began, and the sum
 * then, must be the sum of what is there now. A bit that flips in between is found by the next update,
 * which reads it, and stays in the balance from then on. Sums are of elements, so that it makes no
 * difference which rank updates which of them, and cost a pass over what is in the nearest cache
 * anyway.
 *
 * Called by optim.c around an update, asked by train.
 */
#include "optim/optim.h"

void ls_tally_want(ls_optim *o, bool wanted)
{
    o->tallies = wanted ? LS_TALLY_WANTED : LS_TALLY_OFF;
}

uint64_t ls_tally_sum(const ls_optim *o, int64_t i, ls_range e)
{
    const ls_kernel *k = o->ctx->kernel;
    const size_t from = (size_t)e.from * k->bytes;
    uint64_t sum = k->bit_sum(e.to - e.from, (const char *)o->params.at[i]->data + from);
    for (int s = 0; s < o->slots; s++)
        sum += k->bit_sum(e.to - e.from, (const char *)ls_optim_state(o, i, s) + from);
    return sum;
}

static uint64_t sum_of_all(const ls_optim *o, int64_t i)
{
    return ls_tally_sum(o, i, (ls_range){ 0, o->params.at[i]->count });
}

void ls_tally_begin(ls_optim *o, bool common)
{
    if (!common) o->tallies = LS_TALLY_OFF; /* it does not become common again */
    if (o->tallies == LS_TALLY_WANTED) {
        for (int64_t i = 0; i < o->params.count; i++)
            o->tally[i] = (ls_tally){ .start = sum_of_all(o, i) };
        o->tallies = LS_TALLY_ON;
    }
    for (int64_t i = 0; i < o->params.count; i++) o->tally[i].last = 0;
}

void ls_tally_end(ls_optim *o, bool made)
{
    if (!made) o->tallies = LS_TALLY_OFF;
    for (int64_t i = 0; i < o->params.count; i++) o->tally[i].is_new = o->params.at[i]->has_grad;
}

void ls_tally_get(const ls_optim *o, bool whole, uint64_t *start, uint64_t *made)
{
    *start = *made = 0;
    if (o->tallies != LS_TALLY_ON) return;
    for (int64_t i = 0; i < o->params.count; i++) {
        const ls_tally *t = &o->tally[i];
        if (!whole && !t->is_new) continue;
        *start += t->start - (whole ? sum_of_all(o, i) : 0);
        *made += t->made - (whole ? 0 : t->last);
    }
}
