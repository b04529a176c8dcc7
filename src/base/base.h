/* base.h -- floor 0: what every folder stands on. libc only.
 *
 *   failure.c   the first error, by value and in the context        arena.c    memory of a step
 *   context.c   the context, what it owns, public calls             memory.c   counted allocation
 *   leaf.c      rows, leaves, pieces and the tree as pure integers  hash.c     SHA-256, CRC-32
 *   random.c    PyTorch's random numbers                            clock.c    seconds, monotonic
 *   fault.c     fault points for tests                              stop.c     wishes to end a run (signals.h)
 *   process.c   other processes
 */
#pragma once
#include "lockstep/lockstep.h"
#include <stdarg.h>

#define LS_LEAF_ROWS_DEFAULT 32
#define LS_DEADLINE_DEFAULT_S 600.0
#define LS_NUMERICS 1 /* the arithmetic that stored results depend on */

/* ---- failures: an error by value ----------------------------------------------------------------
 * For code that must not write the context (other threads, floors without one). The first one
 * stays. */
typedef struct ls_failure { ls_status status; char text[496]; } ls_failure;
ls_status ls_failure_set(ls_failure *f, ls_status status, const char *form, ...)
    __attribute__((format(printf, 3, 4)));
ls_status ls_failure_set_v(ls_failure *f, ls_status status, const char *form, va_list args);
const char *ls_status_text(ls_status status);
/* MEMORY, as every message on it reads: "no memory: WHAT needs N bytes". form: what. */
ls_status ls_failure_memory(ls_failure *f, size_t bytes, const char *form, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- memory ---------------------------------------------------------------------------------- */
/* 64-byte aligned, zeroed; counted. NULL without memory (the caller reports what it was for). */
void  *ls_memory_new(size_t bytes);
void  *ls_memory_new_large(size_t bytes); /* in large pages, if there are such: for what is read at random */
void   ls_memory_free(void *p);
/* Whether the system would give so much now: asked before what others take in ways that do not survive its lack. */
bool   ls_memory_is_there(size_t bytes);
/* The main thread's stack grows by LS_STACK_BYTES now rather than in the middle of something, where nobody could
 * be told that there is no memory for it. False without; other threads have all of their stacks. */
enum { LS_STACK_BYTES = 5 << 19 }; /* above the largest frame */
bool   ls_memory_take_stack(void);
size_t ls_memory_live(void);  /* allocations not yet freed: for tests */
size_t ls_memory_calls(void); /* allocations so far: for tests */
/* For the context: fails it with MEMORY, naming what needed how much. */
void *ls_new(ls_ctx *ctx, size_t bytes, const char *what);

/* Bump allocation; everything ends together. A reset joins the blocks, so that the same amount
 * again needs no allocation. What was taken in a step can be taken at the same place in the next: at
 * moves on from where it is to what it was then, as long as number is the same and it lies before
 * end. */
typedef struct ls_arena {
    struct ls_block *blocks;
    char    *at, *end; /* what is free of the newest block */
    size_t   older;    /* bytes in use in the blocks before it */
    size_t   peak;     /* bytes in use at most, up to the last reset */
    uint64_t number;   /* of times that blocks were given back */
} ls_arena;
void *ls_arena_take(ls_arena *a, size_t bytes); /* 64-byte aligned, not zeroed; NULL without memory */
void  ls_arena_reset(ls_arena *a);
void  ls_arena_free(ls_arena *a);

/* ---- random numbers: mt19937 as PyTorch uses it ---------------------------------------------- */
typedef struct ls_random {
    uint32_t word[624];
    uint32_t position;    /* of the next unread word; 624: refresh first */
    uint32_t has_normal;  /* a second normal of the scalar path is waiting */
    double   next_normal;
} ls_random;
void     ls_random_seed(ls_random *r, uint64_t seed); /* the low 32 bits count, as in PyTorch */
uint32_t ls_random_word(ls_random *r);
uint64_t ls_random_word64(ls_random *r); /* the first word is the high half */
void     ls_random_skip(ls_random *r, uint64_t words); /* as drawing so many; milliseconds for any number */
/* count values in memory order, in type float32 or float64. */
void ls_random_uniform(ls_random *r, ls_dtype type, int64_t count, void *out, double from, double to);
void ls_random_normal(ls_random *r, ls_dtype type, int64_t count, void *out, double mean, double deviation);
void ls_random_permutation(ls_random *r, int64_t count, int64_t *out);

/* ---- hashes ---------------------------------------------------------------------------------- */
typedef struct ls_sha256 { uint32_t h[8]; uint64_t bytes; uint8_t tail[64]; } ls_sha256;
void     ls_sha256_begin(ls_sha256 *s);
void     ls_sha256_add(ls_sha256 *s, const void *data, size_t bytes);
void     ls_sha256_end(ls_sha256 *s, uint8_t digest[32]);
void     ls_hex(const uint8_t *bytes, size_t count, char *out); /* 2 count + 1 characters */
uint32_t ls_crc32(uint32_t crc, const void *data, size_t bytes); /* start with 0; as zlib's */
uint32_t ls_fletcher32(const void *data, size_t bytes); /* as HDF5's */
/* Fast, for telling copies apart; no protection against intent. One changed bit always shows. Dataset files
 * hold it. */
uint64_t ls_digest64(uint64_t seed, const void *data, size_t bytes);

/* ---- fault points: LS_FAULT=NAME[:RANK[:OCCURRENCE[:ACTION]]], see fault.c -------------------- */
#define LS_FAULT_MAP(X)                                                                            \
    X(allocate, MEMORY) X(configure, CONFIG) X(data_open, DATA) X(data_read, IO) X(resume, IO)     \
    X(step, USE) X(exchange, IO) X(cost, NUMERIC) X(parameter, NUMERIC) X(flip, USE)               \
    X(evaluate, USE) X(save_image, MEMORY) X(save_write, IO) X(save_sync, IO) X(save_name, IO)     \
    X(save_done, USE) X(log, IO) X(finish, USE)
typedef enum ls_fault_point {
#define X(name, status) LS_FAULT_##name,
    LS_FAULT_MAP(X)
#undef X
} ls_fault_point;
extern bool ls_fault_armed;
void ls_fault_begin(int rank); /* arms what the environment says */
void ls_fault_end(void); /* of the process: where one is armed, says what is not freed */
bool ls_fault_hit(ls_fault_point point);
/* Whether the place is to fail now. */
static inline bool ls_fault(ls_fault_point point)
{
    return __builtin_expect(ls_fault_armed, 0) && ls_fault_hit(point);
}
bool ls_fault_fail(ls_fault_point point, ls_failure *f); /* the same, with f set */

/* ---- wishes to end a run --------------------------------------------------------------------- */
void ls_stop_catch(void); /* from now on SIGTERM, SIGINT and SIGUSR1 are wishes */
void ls_stop_let_through(void); /* ends their being blocked by whoever began this process */
bool ls_stop_is_caught(void);
bool ls_stop_asked(void);
_Noreturn void ls_stop_process(int code); /* at once: nothing is written or freed any more */

/* ---- environment ------------------------------------------------------------------------------ */
const char *ls_wanted_isa(void); /* LS_ISA: an instruction set by name; or NULL */

/* ---- other processes of this machine, by /proc ------------------------------------------------ */
typedef struct ls_process { char state; long parent; unsigned long long began; } ls_process;
ls_process ls_process_of(long pid); /* parent -1: there is none */
/* A variable of the environment that it was started with; false: it has none, or is another user's. */
bool       ls_process_says(long pid, const char *name, char *out, size_t bytes);

/* ---- clock ----------------------------------------------------------------------------------- */
double ls_clock_s(void); /* monotonic */

/* ---- leaves and pieces: pure integers -----------------------------------------------------------
 * A batch of rows is cut into leaves of leaf_rows rows (the last may be short). Over the leaves
 * stands one fixed binary tree: T(i,0) = leaf i, T(i,l) = T(i,l-1) + T(i+2^(l-1),l-1), a missing
 * right part skipped. A piece is one node of that tree: an aligned run of leaves, cut off at the
 * last leaf. */
typedef struct ls_range { int64_t from, to; } ls_range; /* from <= i < to */
enum { LS_MAX_PIECES = 128 };
int64_t ls_leaf_count(int64_t rows, int64_t leaf_rows);
/* The rows of a run of leaves. */
ls_range ls_leaf_rows(int64_t rows, int64_t leaf_rows, ls_range leaves);
/* The leaves of one of several shares: contiguous, in order, together all leaves; balanced with cut
 * points that keep pieces few. One piece each where a share is 2^k leaves. */
ls_range ls_leaf_cut(int64_t leaves, int64_t shares, int64_t share);
/* The fewest pieces that make up a run of leaves, in order; how many. */
int ls_leaf_pieces(int64_t leaves, ls_range run, ls_range piece[LS_MAX_PIECES]);
/* The additions that make the root in piece 0 out of all pieces of a batch, in order: piece[into]
 * += piece[from]. pieces: all of the batch, in order. Writes count - 1 pairs. */
typedef struct ls_addition { int32_t into, from; } ls_addition;
void ls_leaf_tree(int64_t leaves, int64_t count, const ls_range *piece, ls_addition *out);

/* ---- a sum over the rows of a batch -------------------------------------------------------------
 * What grad hands to comm: this rank's pieces, and where the root goes. */
enum { LS_MOST_WRITTEN = 3 }; /* arrays that an update of one parameter tells of */
typedef struct ls_row_sum {
    int64_t  rows;  /* of the batch */
    int64_t  count; /* elements of every piece and of the root */
    ls_dtype dtype;
    void   **piece; /* of this rank, in order of ls_leaf_pieces(); overwritten */
    void    *root;  /* may be piece[0] */
    int64_t  m;     /* 0; or the sum is a product [m, count / m] by kernel->outer, for update() alone, and
                     * the factors of this rank's rows lie packed where the root is; */
    const void *soon[LS_MOST_WRITTEN]; /* then what the update writes: arrays like the root, or NULL */
} ls_row_sum;

/* Gets some of the bytes of the who-th process. */
typedef void ls_take(void *of, int who, const void *data, size_t bytes);
/* Gets elements from <= i < to of sums[sum]'s root, which begin at value. */
typedef void ls_slice_done(void *of, int64_t sum, ls_range elements, const void *value);

/* An update that train offers to a backward, to be made while gradients are reduced. */
typedef struct ls_update {
    bool (*takes)(void *of, const struct ls_tensor *param); /* else its gradient is to be kept */
    void (*slice)(void *of, struct ls_tensor *param, ls_range elements, const void *grad);
    void (*writes)(void *of, struct ls_tensor *param, const void *arrays[LS_MOST_WRITTEN]); /* by slice() */
    void  *of;
    bool   common;  /* what slice() writes is common memory, all of it */
    bool   made;
    double begin_s; /* when the reduction began */
} ls_update;

/* ---- links: what train connects, so that no floor calls sideways or upwards ---------------------
 * All are collective but post. Each returns the status that all ranks agree on. With a failure in
 * the context that is not agreed yet, each goes to the fence instead. */
typedef struct ls_links {
    void (*post)(ls_ctx *ctx);        /* tells the other ranks of ctx->failure; local */
    ls_status (*agree)(ls_ctx *ctx);  /* the fence: all ranks meet and leave with one status */
    ls_status (*any)(ls_ctx *ctx, uint64_t mine, uint64_t *all); /* bits or-ed over the ranks */
    ls_status (*broadcast)(ls_ctx *ctx, void *data, size_t bytes); /* from the root */
    ls_status (*sums)(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count);
    /* As sums, for roots that are read once: done() gets each of their elements, on one rank if
     * common (see shared_new), else on all. Roots are undefined afterwards. */
    ls_status (*update)(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count, bool common, ls_slice_done *done,
                        void *of);
    /* Begins sums that the next sums() or update() ends with its others: these come first there, in the order
     * in which they were begun. Equal on all ranks, as those are; local, and never waits. False: they are
     * better left to that call, and so is the rest of it; or with the context failed. */
    bool (*begin)(ls_ctx *ctx, ls_row_sum *const *sums, int64_t count);
    /* Does for them what can be done without waiting; false: all those begun have ended, or with the context
     * failed. Local. */
    bool (*progress)(ls_ctx *ctx);
    /* The most of so many rows that one rank holds, where update() may make this sum, a product, from factors
     * that lie packed at its root; 0 where it may not. common: as update() gets it. Equal on all ranks;
     * local. */
    int64_t (*factor_rows)(ls_ctx *ctx, const ls_row_sum *sum, bool common);
    /* Every rank's rows of a part, to all ranks: own, of this rank, to all, [rows, row_bytes]. */
    ls_status (*gather)(ls_ctx *ctx, int64_t rows, size_t row_bytes, const void *own, void *all);
    /* Every rank's bytes, items of item bytes, to take() on the root, in pieces of whole items: those of a rank
     * in order. */
    ls_status (*collect)(ls_ctx *ctx, const void *own, size_t bytes, size_t item, ls_take *take, void *of);
    /* Zeroed memory that the ranks of a node see, so that it can be reduced where it lies: one block
     * a rank, or, common, a single one for all, which is written by update() alone once ranks
     * compute. Where there is none it is this rank's own. Not agreed in itself: NULL, with the
     * context failed, without memory. */
    void *(*shared_new)(ls_ctx *ctx, size_t bytes, bool common, const char *what);
    /* Zeroed memory of which a node's ranks have one block, for copies of what each of them could get by
     * itself, such as values in a file. Any of them writes it, and says there what it has written; nobody
     * must wait for that. NULL where there is none, or with the context failed. */
    void *(*copies_new)(ls_ctx *ctx, size_t bytes);
    /* The others are local. */
    void (*shared_free)(ls_ctx *ctx, void *p);
    bool (*is_common)(const ls_ctx *ctx, const void *p);
    /* Every rank goes on with common blocks of its own, at the same addresses: before a program writes
     * to them, which every rank does at the same call. */
    void (*leave_common)(ls_ctx *ctx);
} ls_links;

/* ---- context --------------------------------------------------------------------------------- */
/* At the front of everything a context owns: ends with it, newest first. */
typedef struct ls_owned {
    struct ls_owned *older, *newer;
    void (*end)(void *self); /* frees self, which begins with this */
} ls_owned;

struct ls_ctx {
    ls_opts     opts;    /* defaults filled in */
    ls_failure  failure; /* the first error; LS_OK while all is well */
    bool        agreed;  /* all ranks have met with that failure */
    uint64_t    calls;   /* public calls that every rank makes, so far */
    const char *call;    /* the name of the last one */
    uint64_t    step;    /* steps begun; 0: before the first */
    ls_random   random;
    ls_arena    life;    /* results of operations before the first step */
    ls_arena    arena;   /* results of this step */
    ls_arena    scratch; /* of one backward, or one sum */
    ls_owned   *newest;
    ls_scope   *scopes;  /* open LS_NO_GRAD blocks */
    /* filled by train */
    const ls_links         *links;
    const struct ls_kernel *kernel; /* of opts.dtype */
    struct ls_comm         *comm;
    struct ls_tape         *tape;
    struct ls_heads        *heads; /* of tensors in a step */
    uint64_t                stamps; /* tensors made so far */
    uint64_t                written; /* the call that wrote or freed a tensor last */
    struct ls_cut { int64_t rows, leaf_rows; ls_range leaves, own; } cut[8]; /* tensor/part.c, of batches */
    unsigned                cuts;   /* made so far */
    ls_update              *update; /* offered to the next backward, or NULL */
    /* filled by comm */
    struct ls_place { int rank, count; } place; /* read by tensor/part.c alone */
    char who[32];                               /* "rank 3 of 4" */
    bool is_root;
};
void ls_own(ls_ctx *ctx, ls_owned *o, void (*end)(void *self));
void ls_disown(ls_ctx *ctx, ls_owned *o);
void ls_end_owned(ls_ctx *ctx); /* all of it, newest first */

/* Begins a public call that every rank makes; false after an error (the caller then returns its
 * nothing, or ls_agree() where it is collective). */
bool      ls_enter(ls_ctx *ctx, const char *name);
/* Whether a pointer that call needs is there, and no error before; one that is missing is ARG. */
bool      ls_given(ls_ctx *ctx, const char *call, const void *p, const char *what);
ls_status ls_agree(ls_ctx *ctx); /* links->agree; NULL context: LS_ERR_MEMORY */
/* links->shared_new for what is worth it, else ls_new(). */
void     *ls_shared_new(ls_ctx *ctx, size_t bytes, bool common, const char *what);
ls_status ls_fail_with(ls_ctx *ctx, const ls_failure *f); /* an error by value into the context */
ls_status ls_fail_memory(ls_ctx *ctx, size_t bytes, const char *form, ...)
    __attribute__((format(printf, 3, 4)));
