/* lockstep.c -- the program: keeps signals back, and loads the command.
 *
 * The command stands in a module of its own, as it brings some fifty libraries along (MPI, HDF5 and
 * theirs), whose loading takes some ten milliseconds in which a signal that asks a run to stop would end
 * the process as no handler can be there yet. This program needs the C library only. It blocks those
 * signals before it loads the rest; main.c catches them, lets them through, and has lost none.
 *
 * Global symbols, as if the program were linked with all of it: plugins of MPI look for them.
 */
#include "base/signals.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    ls_stop_mask(SIG_BLOCK);
    void *module = dlopen(LS_MODULE, RTLD_NOW | RTLD_GLOBAL);
    void *found = module ? dlsym(module, "ls_command_main") : NULL;
    int (*command_main)(int, char **) = NULL;
    if (!found) {
        fprintf(stderr, "lockstep: %s; install it again, with meson install\n", dlerror());
        return 70;
    }
    memcpy(&command_main, &found, sizeof command_main);
    return command_main(argc, argv);
}
