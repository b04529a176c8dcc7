/* cmd.h -- floor 7: the lockstep command. Stands on the public headers, base, libyaml and zlib.
 *
 *   lockstep.c   the program: loads the others
 *   main.c    the table of sub-commands          words.c   the words after a sub-command
 *   train.c   eval.c   convert.c   inspect.c     help.c    what --help prints
 *   launch.c  mpirun, started again              job.c     one mpirun, watched
 *   verify.c  verify and diff                    note.c    one launcher a directory, and what one has left
 *   predict.c   which.c
 *
 *   text.c    numbers, words, suggestions        model.c   the layers of a model
 *   yaml.c    a document as a tree               schema.c  the keys of a run
 *   value.c   one value: type, range, text       run.c     a run's inputs to all ranks
 *   layers.c  file, environment, flags           build.c   the objects of a run
 *
 *   stream.c  bytes and lines, plain or gzip     idx.c   csv.c   what convert reads
 *
 * A table of keys says everything about every setting of a sub-command: its type, its range, its help,
 * and where its value goes. Errors travel by value (ls_failure) up to the sub-command, which hands
 * them to the context. Names, texts and values live in an arena that the sub-command owns. */
#pragma once
#include "base/base.h"
#include "base/config.h"
#include <stdio.h>
#include <sys/types.h>

/* ---- text.c ---------------------------------------------------------------------------------- */
/* Numbers as people write them, whatever the locale: no hexadecimal, no inf or nan, no separators, no
 * leading zeros on whole numbers. False if text is anything else or does not fit. */
bool ls_text_int(const char *text, int64_t *out);
bool ls_text_real(const char *text, double *out);
/* Seconds: "90", "1.5h", "90m", "30s", "2d", "1:30:00", "45:00". */
bool ls_text_seconds(const char *text, double *out);
enum { LS_QUOTE_CHARS = 72 };
/* text in quotes for a message: long ones cut, unprintable bytes as '?'. */
const char *ls_quote(const char *text, char out[LS_QUOTE_CHARS]);
/* The word among count known ones that was likely meant, or NULL. */
const char *ls_suggest(const char *word, int64_t count, const char *const *known);
/* Letters inserted, deleted, changed, or swapped with their neighbour. */
int ls_text_distance(const char *a, const char *b);
/* A copy of count characters in the arena; NULL: f says so. */
char *ls_text_keep(ls_arena *a, const char *text, size_t count, ls_failure *f);

/* ---- yaml.c ---------------------------------------------------------------------------------- */
/* Where something was written, for complaints: file:line:column, or a flag or variable (line 0). */
typedef struct ls_origin { const char *from; int line, column; } ls_origin;
ls_status ls_complain(ls_failure *f, ls_status status, const ls_origin *at, const char *form, ...)
    __attribute__((format(printf, 4, 5)));

typedef enum ls_yaml_kind { LS_YAML_SCALAR = 0, LS_YAML_LIST, LS_YAML_MAP } ls_yaml_kind;
typedef struct ls_yaml {
    ls_yaml_kind    kind;
    ls_origin       at;
    const char     *text;   /* of a scalar */
    bool            quoted;
    const char     *key;    /* of a member of a map */
    ls_origin       key_at;
    struct ls_yaml *first;  /* member of a list or map */
    struct ls_yaml *next;   /* member of the same */
} ls_yaml;
enum { LS_YAML_MAX_BYTES = 1 << 20, LS_YAML_MAX_DEPTH = 16, LS_YAML_MAX_VALUES = 5000 };
/* One document. Refused (CONFIG), with the place: bad syntax, a second document, anchors, aliases, tags,
 * keys that are no scalars or stand twice, and what exceeds the limits. Nothing at all is an empty map. */
ls_status ls_yaml_parse(const char *from, const char *text, size_t bytes, ls_arena *a, ls_yaml **out,
                        ls_failure *f);
bool ls_yaml_is_null(const ls_yaml *v);                  /* nothing, ~ or null */
ls_yaml ls_yaml_word(const char *from, const char *text); /* a scalar that a flag or variable gives */

/* ---- value.c: one key ------------------------------------------------------------------------ */
typedef enum ls_key_type {
    LS_KEY_INT = 0, /* int64_t */
    LS_KEY_REAL,    /* double */
    LS_KEY_BOOL,    /* bool */
    LS_KEY_TEXT,    /* const char *, not empty */
    LS_KEY_CHOICE,  /* int64_t: which of choices */
    LS_KEY_FORM,    /* int64_t: which of choices, each of which has keys of its own below */
    LS_KEY_PATHS,   /* const char *: one, or several joined with commas */
    LS_KEY_LAYERS   /* ls_layers */
} ls_key_type;
enum {
    LS_KEY_REQUIRED = 1,
    LS_KEY_ABOVE    = 2, /* min itself is not in the range */
    LS_KEY_NUMBERS  = 4, /* changes numbers: kept in checkpoints, and the same when a run goes on */
    LS_KEY_OPTION   = 8, /* --path on the command line only */
    LS_KEY_ARGUMENT = 16 /* a word of the command line, in the order of the table */
};
typedef struct ls_key {
    const char *path; /* "optimizer.sgd.lr", "stop-after", "CONFIG" */
    ls_key_type type;
    unsigned    flags;
    size_t      at;       /* offset in the values */
    double      min, max; /* of INT and REAL; max 0: none */
    const char *standard; /* the value where none is given; NULL: nothing, as in zeroed memory */
    const char *choices;  /* "float32|float64"; of LAYERS: their kinds */
    const char *value;    /* what the value of an option is called in its help */
    const char *help;
} ls_key;
typedef struct ls_schema { const ls_key *keys; int64_t count; size_t bytes; } ls_schema;

typedef struct ls_settings {
    const ls_schema *schema;
    const char      *within; /* what the keys are in, for messages; "" for the top */
    void            *values; /* schema->bytes */
    ls_origin       *set_at; /* of each key: where; from NULL: nowhere */
    int             *set_by; /* of each key: the layer */
    int              layer;  /* that is being read */
    bool             only_words; /* flags that are settings are passed over */
    ls_arena        *arena;
} ls_settings;
/* values: to be filled, and first with what the table says. */
ls_status ls_settings_begin(ls_settings *s, const ls_schema *schema, void *values, ls_arena *a,
                            ls_failure *f);
ls_status ls_value_set(ls_settings *s, const ls_key *k, const ls_yaml *v, ls_failure *f);
void      ls_value_write(const ls_settings *s, const ls_key *k, FILE *out);
/* "a whole number, 1 or more" */
const char *ls_key_describe(const ls_key *k, char *out, size_t bytes);
int64_t     ls_choice(const char *choices, const char *word); /* which of them; -1: none */
/* Choice i as text, in out; NULL: there are fewer. */
const char *ls_choice_text(const char *choices, int64_t i, char *out, size_t bytes);

/* ---- layers.c: many keys --------------------------------------------------------------------- */
const ls_key *ls_key_find(const ls_schema *s, const char *path);
ls_status ls_settings_file(ls_settings *s, const ls_yaml *root, ls_failure *f);
/* environment: "NAME=value", ended by NULL. LS_OPTIMIZER__SGD__LR is optimizer.sgd.lr; a name with __
 * that is no key is an error, another name is not ours. */
ls_status ls_settings_environment(ls_settings *s, const char *const *environment, ls_failure *f);
/* --path=value, --path value, --option, arguments. Complaints about options and arguments are ARG. */
ls_status ls_settings_flags(ls_settings *s, int64_t count, const char *const *flags, ls_failure *f);
/* That the required keys with all flags of `of` are there. root: for the place; NULL: only words. */
ls_status ls_settings_complete(ls_settings *s, unsigned of, const ls_yaml *root, ls_failure *f);
/* The keys that change numbers, one `path: value` a line, sorted: a YAML document that
 * ls_settings_file() reads. False without memory. */
bool ls_settings_numbers(const ls_settings *s, FILE *out);
/* Whether a key counts: keys below another choice of a form do not. */
bool ls_key_counts(const ls_settings *s, const ls_key *k);

/* ---- model.c --------------------------------------------------------------------------------- */
typedef struct ls_layers { int64_t count; ls_layer *at; } ls_layers;
ls_status ls_layers_set(ls_settings *s, const ls_yaml *list, ls_layers *out, ls_failure *f);
ls_status ls_layers_set_one(ls_settings *s, int64_t i, const ls_yaml *v, ls_layers *out, ls_failure *f);
/* Fills in what goes into each linear layer, from the features of a row; outputs: what comes out. */
ls_status ls_layers_fit(const ls_layers *l, const ls_origin *at, int64_t features, int64_t *outputs,
                        ls_failure *f);

/* ---- schema.c: the keys of a run ------------------------------------------------------------- */
enum { LS_NORMALIZE_NONE = 0, LS_NORMALIZE_STANDARD };
typedef struct ls_config {
    const char *path; /* of the configuration */
    bool        fresh, quiet;
    int64_t     stop_after;
    double      deadline_s, stop_before_s;
    const char *stop_before, *trace;
    int64_t     seed, dtype, kernel;
    struct {
        const char *train, *validation, *x, *y;
        double      x_scale;
        int64_t     normalize, batch_size;
        bool        shuffle, drop_last;
    } data;
    ls_layers model;
    int64_t   loss;
    struct { int64_t form; ls_sgd_opts sgd; } optimizer;
    struct { int64_t epochs, leaf_rows; } train;
    struct { const char *dir; int64_t every_epochs, every_steps, keep; } checkpoint;
    struct { int64_t every_epochs; const char *file; } log;
} ls_config;
extern const ls_schema ls_config_schema;
ls_status ls_config_check(const ls_settings *s, ls_failure *f); /* what must hold among keys */
const ls_origin *ls_config_at(const ls_settings *s, const char *path); /* where a key was set */
/* The stem of a path, "runs/a.b.yaml" -> "a.b", in the arena. */
const char *ls_stem(const char *path, ls_arena *a, ls_failure *f);

/* ---- run.c ----------------------------------------------------------------------------------- */
/* Everything that a configuration is made of. */
typedef struct ls_inputs {
    const char        *path, *text; /* of the file */
    size_t             bytes;
    int64_t            count; /* of words */
    const char *const *words; /* after the sub-command */
    const char *const *environment;
} ls_inputs;
/* File below environment below flags, into the values of s, which has begun with ls_config_schema. */
ls_status ls_config_resolve(ls_settings *s, const ls_inputs *in, ls_failure *f);
/* The root's inputs on every rank, and resolved there: one machine's file and variables count. Errors are
 * left in the context. Calls  collective */
ls_status ls_config_share(ls_ctx *ctx, int64_t count, const char *const *words, ls_settings *s);
/* From what a checkpoint holds; from: for complaints. */
ls_status ls_config_stored(ls_settings *s, const char *from, const char *text, ls_failure *f);

/* ---- build.c: from settings with ls_config_schema; errors are left in the context ------------ */
ls_opts     ls_build_opts(const ls_config *c);
ls_dataset *ls_build_plain(ls_ctx *ctx, const ls_config *c, const char *path); /* never normalized */
/* normalize_as: the training data, where settings say to normalize; NULL: these are. */
ls_dataset *ls_build_dataset(ls_ctx *ctx, const ls_config *c, const char *path, const ls_dataset *normalize_as);
/* The model, with sizes that follow from the rows of d and, where it has targets, fit the loss. */
ls_module  *ls_build_model(ls_ctx *ctx, const ls_settings *s, const ls_dataset *d, bool has_targets);
/* The settings that a checkpoint holds, which the context takes on. Calls  collective */
ls_status   ls_build_stored(ls_ctx *ctx, const char *checkpoint, ls_settings *s, ls_config *c);
/* Normalizes d as that run did, if it did; as: by the figures of these data instead, or NULL. Calls  collective */
ls_status   ls_build_normal(ls_ctx *ctx, const ls_config *c, ls_dataset *d, const char *checkpoint, const char *as);
bool        ls_build_is_classifier(const ls_config *c); /* the loss takes classes */
ls_loss_fn *ls_build_loss(const ls_config *c);

/* ---- sub-commands ---------------------------------------------------------------------------- */
typedef struct ls_command {
    const char      *name, *does;
    const ls_schema *schema;
    const char      *notes; /* at the end of its help */
    /* words: those after the sub-command. Errors are left in the context. Collective. */
    void (*run)(ls_ctx *ctx, int64_t count, const char *const *words);
} ls_command;
extern const ls_command ls_train_command, ls_launch_command, ls_eval_command, ls_predict_command,
    ls_convert_command, ls_inspect_command, ls_verify_command, ls_diff_command, ls_which_command;

/* ---- note.c: one launcher a directory, and what a dead one has left ---------------------------- */
typedef struct ls_note { int fd, head; char path[4096]; } ls_note; /* begins with fd -1: not taken */
void ls_note_mark(const char *dir); /* ends what dead launchers have left there, marks what this one starts */
/* Takes it where it is not, ends and removes what the launcher before has left. OUTPUT: another launcher
 * has it. Well, and not taken, where there is no such directory. */
ls_status ls_note_take(ls_note *n, const char *dir, ls_failure *f);
void      ls_note_write(ls_note *n, long mpirun, unsigned long job); /* job: 0, not known yet */
void      ls_note_leave(ls_note *n);
void      ls_note_clean(long mpirun, unsigned long job); /* files of a job that has ended */
unsigned long ls_note_job(long pid); /* of a rank, mpirun's number of its job; 0: it is none, or of another user */

/* ---- job.c: one mpirun, watched -------------------------------------------------------------- */
enum { LS_JOB_RANKS = 4096 };
typedef struct ls_job {
    const char   *dir;   /* of checkpoints */
    ls_note      *note;
    int64_t       count; /* of ranks */
    pid_t         mpirun, pid[LS_JOB_RANKS];
    int           ranks_found; /* on this host */
    unsigned long number; /* by which mpirun knows it; 0: not known yet */
    double        begin_s, seen_s; /* when the last step was seen */
    double        lived_s;         /* when a rank was last seen alive */
    double        late_s;          /* when one first said that it has waited too long; 0: none */
    double        silent_s;        /* of one that hung: how long there was no step when it was ended */
    int64_t       step; /* done; -1: none seen */
    char          old[160]; /* what the lock said when it began, of a job before */
    int64_t       old_ns;   /* when that was written */
    int           code, signal; /* mpirun's */
    int           ended, rank_signal; /* of the rank that ended first, by a signal */
    bool          hung;
    char          host[64], stopped[256]; /* what it said when it stopped as asked */
    int           err;
    bool          in_frame;
    size_t        used;
    char          line[4096], frame[8192];
} ls_job;
/* args: mpirun and its words, ended by NULL. */
ls_status ls_job_start(ls_job *j, const char *const *args, int64_t count, const char *dir, ls_note *note,
                       ls_failure *f);
/* Until it has ended, and nothing of it is left. hang_s: longest time without a step; 0: any. */
void ls_job_watch(ls_job *j, double hang_s);

/* ---- words.c --------------------------------------------------------------------------------- */
/* f into the context; the hint to --help where the words of the sub-command were wrong. */
ls_status ls_command_fail(ls_ctx *ctx, const ls_command *c, const ls_failure *f);
/* The words of a sub-command that has no configuration into its values; errors are left in the context. */
ls_status ls_command_words(ls_ctx *ctx, const ls_command *c, int64_t count, const char *const *words,
                           void *values, ls_arena *a);
int       ls_command_end(ls_ctx *ctx); /* the exit code; IO where what was printed did not arrive */

/* ---- help.c ---------------------------------------------------------------------------------- */
void ls_help(int64_t count, const ls_command *const *commands, FILE *out);
void ls_help_command(const ls_command *c, FILE *out);

/* ---- convert: sources ------------------------------------------------------------------------ */
typedef struct ls_stream ls_stream; /* a file, plain or gzip, as a stream */
/* The descriptor of a text or stream that somebody gives; -1: INPUT, IO. Does not wait for a FIFO's writer. */
int       ls_source_open(const char *path, ls_failure *f);
ls_status ls_stream_open(const char *path, ls_stream **out, ls_failure *f);
/* At least so many of the bytes to come, fewer only at the end; they may be written to. Valid until the
 * next call. */
ls_status ls_stream_peek(ls_stream *in, size_t bytes, char **data, size_t *got, ls_failure *f);
void      ls_stream_take(ls_stream *in, size_t bytes); /* of those that were peeked at */
/* The next line as text, without its end; NULL at the end of the file. */
ls_status ls_stream_line(ls_stream *in, char **line, size_t *bytes, ls_failure *f);
double    ls_stream_part(const ls_stream *in); /* of the file, read so far: 0 to 1 */
void      ls_stream_close(ls_stream *in);

typedef struct ls_convert {
    const char *source, *target, *labels, *y, *header_text;
    int64_t     header; /* auto, yes, no */
    bool        classes, float64, force;
} ls_convert;
typedef struct ls_source {
    ls_column x, y;
    void     *self;
    /* Up to count rows; how many: 0 at the end, and after an error. */
    int64_t (*rows)(void *self, int64_t count, void *x, void *y, ls_failure *f);
    void (*end)(void *self);
} ls_source;
bool      ls_idx_is(const char *data, size_t bytes); /* the first bytes of a file */
ls_status ls_idx_open(ls_stream *in, const ls_convert *o, ls_source *out, ls_failure *f);
ls_status ls_csv_open(ls_stream *in, const ls_convert *o, ls_source *out, ls_failure *f);
