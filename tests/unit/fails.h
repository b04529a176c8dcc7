/* fails.h -- what tests of errors share: the context has failed with a status, its sentence holds a fragment,
 * and it ends.
 */
#pragma once
#include "base/base.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#define FAILS(ctx, status, fragment)                                                               \
    do {                                                                                           \
        cr_assert(eq(int, ls_error(ctx), status), "%s", ls_error_text(ctx));                       \
        cr_assert(strstr(ls_error_text(ctx), fragment) != NULL, "%s", ls_error_text(ctx));         \
        ls_finish(ctx);                                                                            \
    } while (0)
