/* generator.c -- a stream of random numbers beside the context's.
 *
 * A generator is told by its seed and the words that were drawn from it, so that it can be put where
 * it was. Draws are made on the main thread, alike on all ranks.
 *
 * Called by loaders and splits. Source: torch.Generator, PyTorch 1.13. */
#include "data/dataset.h"

static void end_generator(void *self)
{
    ls_memory_free(self);
}

ls_generator *ls_generator_new(ls_ctx *ctx, uint64_t seed)
{
    if (!ls_enter(ctx, "ls_generator_new")) return NULL;
    ls_generator *g = ls_new(ctx, sizeof *g, "a generator");
    if (!g) return NULL;
    g->ctx = ctx;
    g->seed = seed;
    ls_random_seed(&g->random, seed);
    ls_own(ctx, &g->owned, end_generator);
    return g;
}

void ls_generator_skip(ls_generator *g, int64_t words)
{
    if (!g || !ls_enter(g->ctx, "ls_generator_skip")) return;
    if (words < 0 || words > INT64_MAX - g->position) {
        ls_fail(
            g->ctx, LS_ERR_ARG,
            words < 0
                ? "ls_generator_skip: %lld words; none can be taken back: they are 0 or more"
                : "ls_generator_skip: %lld words; with those before they are more than 2^63 - 1",
            (long long)words);
        return;
    }
    ls_random_skip(&g->random, (uint64_t)words);
    g->position += words;
}

void ls_generator_set_position(ls_generator *g, int64_t position)
{
    ls_random_seed(&g->random, g->seed);
    ls_random_skip(&g->random, (uint64_t)position);
    g->position = position;
}

void ls_generator_permutation(ls_generator *g, int64_t count, int64_t *out)
{
    ls_random_permutation(&g->random, count, out);
    g->position += count > 1 ? count - 1 : 0;
}

void ls_generator_free(ls_generator *g)
{
    if (!g) return;
    if (g->loaders > 0) {
        ls_fail(g->ctx, LS_ERR_USE,
                "ls_generator_free: a loader draws from it: ls_loader_free() first");
        return;
    }
    ls_disown(g->ctx, &g->owned);
    end_generator(g);
}
