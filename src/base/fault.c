/* fault.c -- named fault points: places where a test can make something go wrong.
 *
 * LS_FAULT=NAME[:RANK[:OCCURRENCE[:ACTION]]] in the environment arms one of them. RANK is a number or
 * * (the default), OCCURRENCE which time it is passed, from 1 (the default), "2+" the second and
 * all later ones. ACTION is fail (the default: the place behaves as if what it does had failed),
 * kill, stop (SIGKILL and SIGSTOP to this process), sleep (for an hour), slow (a tenth of a
 * second) or count (nothing goes wrong, and how often it was passed is said at the end). Unarmed, a
 * point costs one branch that is never taken. A command with a point armed says at its end what it has
 * not freed.
 *
 * What is armed is the only state here; it is set once, before there are other threads, and only
 * the count of occurrences changes. Called by ls_comm_start(), and from wherever a point is.
 */
#include "base/base.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool ls_fault_armed;

typedef enum action { FAIL, KILL, STOP, SLEEP, SLOW, COUNT, ACTIONS } action;

static struct {
    ls_fault_point point;
    action action;
    long long occurrence;
    bool and_later;
} armed;
static atomic_llong passed;

static const struct {
    const char *name;
    ls_status status;
} points[] = {
#define X(name, status) { #name, LS_ERR_##status },
    LS_FAULT_MAP(X)
#undef X
};
enum { POINTS = sizeof points / sizeof *points };

/* The next part of a text that colons divide, in out; false where there is none. */
static bool next_part(const char **text, char out[32])
{
    size_t length = strcspn(*text, ":");
    if (length == 0 || length >= 32) return false;
    memcpy(out, *text, length);
    out[length] = '\0';
    *text += length + ((*text)[length] == ':');
    return true;
}

static action action_of(const char *name)
{
    static const char *const names[ACTIONS] = { "fail", "kill", "stop", "sleep", "slow", "count" };
    int i = 0;
    while (i < ACTIONS && strcmp(names[i], name) != 0) i++;
    return (action)i;
}

void ls_fault_begin(int own)
{
    const char *text = getenv("LS_FAULT");
    char part[32], *end = part;
    ls_fault_armed = false;
    if (!text || !next_part(&text, part)) return;
    int point = 0;
    while (point < POINTS && strcmp(points[point].name, part) != 0) point++;
    if (point == POINTS) return;
    armed.point = (ls_fault_point)point;
    armed.occurrence = 1;
    armed.and_later = false;
    armed.action = FAIL;
    if (next_part(&text, part) && strcmp(part, "*") != 0 && strtol(part, NULL, 10) != own) return;
    if (next_part(&text, part)) {
        armed.occurrence = strtoll(part, &end, 10);
        armed.and_later = *end == '+';
    }
    if (next_part(&text, part) && (armed.action = action_of(part)) == ACTIONS) return;
    atomic_store(&passed, 0);
    ls_fault_armed = true;
}

static void rest(time_t s, long ns)
{
    struct timespec left = { s, ns };
    while (nanosleep(&left, &left) != 0) {}
}

bool ls_fault_hit(ls_fault_point point)
{
    if (point != armed.point) return false;
    long long now = atomic_fetch_add(&passed, 1) + 1;
    if (armed.action == COUNT || now < armed.occurrence ||
        (now > armed.occurrence && !armed.and_later))
        return false;
    switch (armed.action) {
    case KILL:
        raise(SIGKILL);
        break;
    case STOP:
        raise(SIGSTOP);
        break;
    case SLEEP:
        rest(3600, 0);
        break;
    case SLOW:
        rest(0, 100000000);
        break;
    default:
        return true;
    }
    return false;
}

void ls_fault_end(void)
{
    if (!ls_fault_armed) return;
    if (ls_memory_live() > 0)
        fprintf(stderr, "lockstep: %zu allocations are not freed\n", ls_memory_live());
    if (armed.action == COUNT)
        fprintf(stderr, "lockstep: %s was passed %lld times\n", points[armed.point].name,
                (long long)atomic_load(&passed));
}

bool ls_fault_fail(ls_fault_point point, ls_failure *f)
{
    if (!ls_fault(point)) return false;
    ls_failure_set(f, points[point].status, "fault point %s", points[point].name);
    return true;
}
