/* cli.h -- what tests of the command share: a directory of their own, files in it, and the command.
 *
 * Every test begins in a fresh directory and leaves none behind. */
#pragma once
#include "../spawn.h"
#include <stddef.h>
#include <stdlib.h>

void place_begin(void); /* .init and .fini of a suite */
void place_end(void);

void write_text(const char *name, const char *text);
void write_bytes(const char *name, const void *bytes, size_t count);
void write_gzip(const char *name, const void *bytes, size_t count);
char *read_text(const char *name, size_t *count); /* malloc()ed; NULL: no such file */
int   files_here(void);                           /* in the directory itself */

#define lockstep(...)       run(getenv("LS_LOCKSTEP"), __VA_ARGS__, NULL)
#define lockstep_on(n, ...) mpi_run(n, getenv("LS_LOCKSTEP"), __VA_ARGS__, NULL)

/* That it ended with this code and these texts; NULL: any. Frees s. */
void expect_end(spawned *s, int code, const char *out, const char *err);
