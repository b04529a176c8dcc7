/* resolve.h -- settings of a run from texts, for tests; and what was wrong with them. */
#pragma once
#include "cmd/cmd.h"

/* A configuration that is right, and its parts. */
#define DATA  "data: {train: a.h5, batch_size: 8}\n"
#define MODEL "model: [{linear: 4}, relu, {linear: {out: 1, bias: false}}]\n"
#define REST  "loss: mse\noptimizer:\n  sgd: {lr: 0.1}\ntrain: {epochs: 3}\n"
#define WHOLE DATA MODEL REST

typedef struct reading {
    ls_arena    arena;
    ls_config   config;
    ls_settings settings;
    ls_failure  failure;
} reading;

/* Of a file run.yaml; words: of the command line, with run.yaml among them. */
reading *resolve_all(const char *yaml, const char *const *environment, int64_t count,
                     const char *const *words);
reading *resolve(const char *yaml);
reading *resolve_flags(const char *yaml, int64_t count, const char *const *flags);
#define FLAGS(...) LS_COUNT(const char *, __VA_ARGS__), (const char *[]){ __VA_ARGS__ }
reading *resolve_stored(const char *text); /* of a checkpoint a.h5 */
void     end(reading *r);

/* That it ended so; frees r. */
void expect(reading *r, ls_status status, const char *complaint);
void expect_config(reading *r, const char *complaint);
