/* blocks.c -- every rank's block to every rank, in log2 rounds: for what is small.
 *
 * In a round a rank sends all blocks it holds to the rank as many places below, and so receives as
 * many from above; after rounds of 1, 2, 4, ... it holds all of them (Bruck's algorithm). Blocks
 * lie in the order of ranks beginning with this one, behind the stamp that opens every message, so
 * that what is sent lies in one run. A rank passes on only what came under an equal stamp, so
 * nobody ends while ranks differ.
 *
 * Called by sums.c and gather.c. Source: Bruck et al., IEEE TPDS 8 (1997).
 */
#include "comm/inside.h"
#include <string.h>

bool ls_blocks_begin(ls_ctx *ctx, ls_blocks *b, const int64_t *bytes)
{
    int count = ctx->comm->count, own = ctx->comm->rank;
    *b = (ls_blocks){ .bytes = bytes };
    b->block = ls_comm_take(ctx, count * (int64_t)sizeof *b->block);
    b->at = ls_comm_take(ctx, (count + 1) * (int64_t)sizeof *b->at);
    if (!b->block || !b->at) return false;
    b->at[0] = sizeof(ls_stamp);
    for (int i = 0; i < count; i++) b->at[i + 1] = b->at[i] + bytes[(own + i) % count];
    if (!(b->packed = ls_comm_take(ctx, b->at[count]))) return false;
    for (int i = 0; i < count; i++) b->block[(own + i) % count] = b->packed + b->at[i];
    return true;
}

bool ls_blocks_exchange(ls_ctx *ctx, const ls_stamp *stamp, ls_blocks *b)
{
    ls_comm *c = ctx->comm;
    int count = c->count, own = c->rank;
    if (ls_board_is_all(c)) return ls_board_blocks(ctx, stamp, b);
    char *came = ls_comm_take(ctx, b->at[count]);
    if (!came) return false;
    memcpy(b->packed, stamp, sizeof *stamp);
    for (int held = 1; held < count; held *= 2) {
        int more = held < count - held ? held : count - held;
        int to = (own - held + count) % count, from = (own + held) % count;
        int64_t bytes = b->at[held + more] - b->at[held];
        if (!ls_comm_send(ctx, to, LS_TAG_FIRST, b->packed, b->at[more])) return false;
        if (!ls_comm_receive_first(ctx, from, stamp, came, (int64_t)sizeof *stamp + bytes))
            return false;
        memcpy(b->packed + b->at[held], came + sizeof *stamp, (size_t)bytes);
    }
    return ls_comm_sent(ctx);
}
