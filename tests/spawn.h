/* spawn.h -- running programs from a test, alone or as ranks of mpirun.
 *
 *   spawned *s = mpi_run(3, getenv("LS_TEST_COMM_WORKER"), "sums", NULL);
 *   cr_assert_eq(s->code, 0, "%s", s->err);
 *   spawned_free(s);
 *
 * The program ends with the test, whatever happens. What it writes to stdout and stderr is kept
 * apart.
 */
#pragma once

enum { SPAWN_LIMIT_S = 120, SPAWN_TIMED_OUT = 124 };

typedef struct spawned {
    int    code;      /* exit code; 128 + signal; SPAWN_TIMED_OUT */
    double seconds;
    char  *out, *err; /* texts, "" if there was nothing */
} spawned;

/* Arguments end with NULL. Never returns NULL: a test without processes cannot go on. */
spawned *run(const char *program, ...) __attribute__((sentinel));
spawned *mpi_run(int np, const char *program, ...) __attribute__((sentinel));
void     spawned_free(spawned *s);

/* How often a text occurs in another. */
int count_of(const char *text, const char *in);
