/* placement.c -- where the ranks of this machine run: which cores they may use, and whether they get
 * in each other's way.
 *
 * Called by ranks.c at the start. Ranks that outnumber their cores give them away while they wait.
 */
#include "comm/inside.h"
#include <sched.h>
#include <string.h>
#include <unistd.h>

typedef struct seat {
    char host[64];
    cpu_set_t cores; /* that the rank may use */
} seat;

static seat own_seat(void)
{
    seat s;
    memset(&s, 0, sizeof s);
    if (gethostname(s.host, sizeof s.host - 1)) s.host[0] = 0;
    if (sched_getaffinity(0, sizeof s.cores, &s.cores)) CPU_ZERO(&s.cores);
    return s;
}

ls_status ls_placement_see(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    seat mine = own_seat(), *all = ls_new(ctx, (size_t)c->count * sizeof *all, "the ranks' places");
    if (ls_comm_swap(ctx, &mine, sizeof mine, all)) {
        ls_memory_free(all);
        return ctx->failure.status;
    }
    int neighbours = 0, same = 0;
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (int r = 0; r < c->count; r++) {
        if (strcmp(all[r].host, mine.host) != 0) continue;
        neighbours++;
        same += CPU_EQUAL(&all[r].cores, &mine.cores) != 0;
        CPU_OR(&cores, &cores, &all[r].cores);
    }
    c->crowded = neighbours > CPU_COUNT(&cores) || same > CPU_COUNT(&mine.cores);
    ls_memory_free(all);
    return LS_OK;
}
