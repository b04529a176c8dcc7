/* process.c -- other processes of this machine, as /proc shows them.
 *
 * Called by whoever watches ranks from outside, and by ranks that wait for others to begin.
 */
#include "base/base.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ls_process ls_process_of(long pid)
{
    char path[64], text[1024] = "";
    ls_process p = { .parent = -1 };
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return p;
    ssize_t got = read(file, text, sizeof text - 1);
    (void)close(file);
    const char *end = got > 0 ? strrchr(text, ')') : NULL; /* a name may hold anything */
    if (!end || sscanf(end + 1,
                       " %c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
                       "%*d %llu",
                       &p.state, &p.parent, &p.began) != 3)
        p = (ls_process){ .parent = -1 };
    return p;
}

bool ls_process_says(long pid, const char *name, char *out, size_t bytes)
{
    char path[64], *text = NULL;
    size_t room = 0, length = strlen(name);
    bool found = false;
    snprintf(path, sizeof path, "/proc/%ld/environ", pid);
    FILE *in = fopen(path, "re");
    while (in && !found && getdelim(&text, &room, 0, in) > 0) {
        found = !strncmp(text, name, length) && text[length] == '=';
        if (found) snprintf(out, bytes, "%s", text + length + 1);
    }
    if (in) (void)fclose(in);
    free(text);
    return found;
}
