/* placement.c -- where ranks run: on which machines, on which of their cores, and whether they get in
 * each other's way. Ranks that outnumber their cores give them away while they wait.
 *
 * Called by ranks.c at the start, once other ranks can be heard.
 */
#include "comm/inside.h"
#include <sched.h>
#include <stdio.h>
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

/* What the ranks of one machine have. */
typedef struct machine {
    int ranks, cores, same; /* same: ranks that may use the very cores that this one may */
} machine;

static machine machine_of(const seat *all, int count, int r)
{
    machine m = { 0 };
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (int other = 0; other < count; other++) {
        if (strcmp(all[other].host, all[r].host) != 0) continue;
        m.ranks++;
        m.same += CPU_EQUAL(&all[other].cores, &all[r].cores) != 0;
        CPU_OR(&cores, &cores, &all[other].cores);
    }
    m.cores = CPU_COUNT(&cores);
    return m;
}

static bool is_crowded(const seat *s, machine m)
{
    return m.ranks > m.cores || m.same > CPU_COUNT(&s->cores);
}

/* The first rank of every machine stands for it. */
static void describe(ls_comm *c, const seat *all)
{
    int machines = 0, cores = 0;
    bool crowded = false, bound = true;
    for (int r = 0; r < c->count; r++) {
        machine m = machine_of(all, c->count, r);
        bool is_first = true;
        for (int before = 0; before < r; before++)
            if (strcmp(all[before].host, all[r].host) == 0) is_first = false;
        machines += is_first;
        cores += is_first ? m.cores : 0;
        crowded = crowded || is_crowded(&all[r], m);
        bound = bound && m.same == 1;
    }
    snprintf(c->placement, sizeof c->placement, "%d on %d machine%s, %d core%s%s", c->count,
             machines, machines == 1 ? "" : "s", cores, cores == 1 ? "" : "s",
             crowded ? "; ranks share cores and wait for each other: at most one rank a core, or "
                       "mpirun --bind-to core, is faster"
             : bound ? ", each bound to its own"
                     : ", not bound: mpirun --bind-to core keeps each on its own");
}

/* Machines of equally many consecutive ranks; else every rank for itself. */
static ls_node_place node_of(const ls_comm *c, const seat *all)
{
    int size = machine_of(all, c->count, 0).ranks;
    for (int r = 0; r < c->count && size > 1; r++) {
        bool with_first = strcmp(all[r].host, all[r / size * size].host) == 0;
        if (machine_of(all, c->count, r).ranks != size || !with_first) size = 1;
    }
    return (ls_node_place){ c->rank / size * size, size, c->rank % size, c->count / size,
                            c->rank / size };
}

ls_status ls_placement_see(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    seat mine = own_seat(), *all = ls_new(ctx, (size_t)c->count * sizeof *all, "the ranks' places");
    if (!ls_comm_swap(ctx, &mine, sizeof mine, all)) {
        c->crowded = is_crowded(&mine, machine_of(all, c->count, c->rank));
        c->node = node_of(c, all);
        describe(c, all);
    }
    ls_memory_free(all);
    return ctx->failure.status;
}

const char *ls_comm_placement(const ls_ctx *ctx)
{
    return ctx->comm && ctx->comm->count > 1 ? ctx->comm->placement : "1";
}
