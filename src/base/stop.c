/* stop.c -- a wish from outside that a run ends: SIGTERM, SIGINT, SIGUSR1.
 *
 * A signal handler can do no more than set a flag, and there is one table of handlers a process, so
 * the flag is the process's too. Nothing is caught until a program asks for it; a second SIGINT
 * ends the process as if none were caught, for people who will not wait.
 *
 * Called by the command before anything else, asked by train after each step; the end at once by comm.
 */
#include "base/base.h"
#include "base/signals.h"
#include <unistd.h>

static volatile sig_atomic_t asked, is_caught;

static void ask(int number)
{
    asked = 1;
    if (number == SIGINT) (void)signal(SIGINT, SIG_DFL);
}

void ls_stop_catch(void)
{
    struct sigaction a = { .sa_handler = ask, .sa_flags = SA_RESTART };
    (void)sigemptyset(&a.sa_mask);
    for (int i = 0; i < LS_STOP_SIGNALS; i++)
        (void)sigaction(ls_stop_signals[i], &a,
                        NULL); /* fails only for numbers that are no signals */
    is_caught = 1;
}

bool ls_stop_is_caught(void)
{
    return is_caught != 0;
}

void ls_stop_let_through(void)
{
    ls_stop_mask(SIG_UNBLOCK);
}

bool ls_stop_asked(void)
{
    return asked != 0;
}

void ls_stop_process(int code)
{
    _exit(code);
}
