/* test_examples.c -- every example prints on 1, 2, 3 and 5 ranks what is stored beside this file; many of
 * its numbers are those that the PyTorch tutorials print. After a change that is meant, store anew:
 *
 *   examples/NAME > tests/examples/expected/NAME.txt
 */
#include "spawn.h"
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each name begins with the directory of the program: an example, or a program of the tests. */
static const char *const names[] = { EXAMPLES };
enum { COUNT = sizeof names / sizeof *names };

static char *stored(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.txt", getenv("LS_TEST_EXPECTED"), name);
    FILE *f = fopen(path, "r");
    cr_assert(f != NULL, "%s is not there", path);
    static char text[1 << 16];
    size_t size = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[size] = 0;
    return text;
}

ParameterizedTestParameters(examples, print_what_is_stored)
{
    static int number[COUNT];
    for (int i = 0; i < COUNT; i++) number[i] = i;
    return cr_make_param_array(int, number, COUNT, NULL);
}

ParameterizedTest(const int *number, examples, print_what_is_stored)
{
    static const int ranks[] = { 1, 2, 3, 5 };
    const char *program = names[*number], *name = strrchr(program, '/') + 1;
    const char *want = stored(name);
    for (int i = 0; i < 4; i++) {
        if (getenv("LS_TEST_SHORT") && i % 2) continue;
        spawned *s = mpi_run(ranks[i], program, NULL);
        cr_assert(s->code == 0, "%s on %d ranks: exit %d\n%s", name, ranks[i], s->code, s->err);
        cr_assert(strcmp(s->out, want) == 0, "%s on %d ranks prints\n%s", name, ranks[i], s->out);
        spawned_free(s);
    }
}
