/* child.h -- a function in a process of its own: what may crash or hang there ends nothing here. */
#pragma once
#include "base/base.h"

/* Runs it in a child that writes no files and has limit_s seconds, and f comes back from there. what:
 * for the complaint (DATA) that it crashed or took too long. The caller holds whatever run() needs that
 * other threads may hold. */
ls_status ls_child_run(void (*run)(void *of, ls_failure *f), void *of, int limit_s, const char *what, ls_failure *f);
