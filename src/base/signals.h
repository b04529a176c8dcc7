/* signals.h -- those that ask a run to stop; with no header of lockstep, for the program that keeps them back before
 * anything else is loaded. */
#pragma once
#include <signal.h>

static const int ls_stop_signals[] = { SIGTERM, SIGINT, SIGUSR1 };
enum { LS_STOP_SIGNALS = sizeof ls_stop_signals / sizeof *ls_stop_signals };

/* Blocks or lets through all of them: SIG_BLOCK, SIG_UNBLOCK. */
static inline void ls_stop_mask(int how)
{
    sigset_t set;
    (void)sigemptyset(&set);
    for (int i = 0; i < LS_STOP_SIGNALS; i++) (void)sigaddset(&set, ls_stop_signals[i]);
    (void)sigprocmask(how, &set, NULL);
}
