/* clock.c -- seconds since some fixed moment, never set back. For reports and deadlines only: no
 * result depends on it. */
#include "base/base.h"
#include <time.h>

double ls_clock_s(void)
{
    struct timespec t = { 0 };
    if (clock_gettime(CLOCK_MONOTONIC, &t) != 0) return 0; /* cannot fail where Linux runs */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
