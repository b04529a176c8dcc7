/* tensor.h -- floor 2: arrays.
 *
 *   tensor.c   life of a tensor, gradients     part.c    where the rank enters
 *   make.c     making and writing              shape.c   counts, broadcasting, text of a shape
 *   read.c     getters                         slab.c    parameters in flat blocks
 *   print.c    PyTorch's format
 *
 * A tensor's elements are contiguous and row-major. A tensor made outside steps belongs to the
 * context; the result of an operation inside a step lies in the step's arena and ends with it.
 */
#pragma once
#include "base/base.h"
#include "kernel/kernel.h"

/* ---- shapes ---------------------------------------------------------------------------------- */
int64_t ls_shape_count(ls_shape s); /* elements; 1 for [] ; -1 if negative or too large */
bool    ls_shape_equal(ls_shape a, ls_shape b);
bool    ls_shape_broadcast(ls_shape a, ls_shape b, ls_shape *out); /* PyTorch's rule */
/* Strides, in elements, of a contiguous array of shape s seen as shape to; 0 where broadcast. */
void ls_shape_strides(ls_shape s, ls_shape to, int64_t stride[LS_MAX_NDIM]);
typedef struct ls_shape_text { char text[128]; } ls_shape_text;
ls_shape_text ls_shape_str(ls_shape s); /* "[3, 1]" */
const char   *ls_dtype_name(ls_dtype t); /* "float32" */
size_t        ls_dtype_bytes(ls_dtype t);

/* ---- tensors --------------------------------------------------------------------------------- */
/* Where the rows of a part come from: for messages. */
typedef struct ls_origin { const char *name; const int64_t *row; } ls_origin; /* row: of each row here */

struct ls_tensor {
    ls_owned  owned; /* life with the context; unused in a step */
    ls_ctx   *ctx;
    ls_shape  shape; /* of the whole */
    ls_dtype  dtype;
    bool      is_part;
    bool      in_step;  /* ends with step number step */
    bool      is_result; /* of an operation: ls_tensor_result() */
    uint64_t  step;
    uint64_t  stamp;    /* no other head has it: with it go shape, type, rows and life */
    ls_range  rows;     /* of the batch, held here; whole: all of axis 0 */
    int64_t   count;    /* elements held here */
    void     *data;
    bool      owns_data;
    struct ls_tensor *base;  /* of a view: the tensor whose values these are; or NULL */
    uint64_t  lent_until; /* the last step in which a view or a recorded operation may hold its address; 0: none has */
    int64_t   holders;  /* ls_tensor_hold() */
    uint64_t  written;  /* the call that wrote these values last, through views too; in base */
    const ls_origin *origin; /* or NULL */
    /* autograd */
    bool      requires_grad;
    bool      is_param;         /* a leaf of the graph: ls_requires_grad() */
    bool      has_grad;         /* a backward has reached it */
    bool      grad_fresh;       /* zeroed since: the next gradient is stored, not added */
    ls_tensor *grad;            /* whole; or NULL. Read it through ls_tensor_grad() */
    bool      is_seen;          /* of a gradient: it was handed out; who has it sees its changes and may write it */
    bool      retains_grad;     /* of a result: backward leaves its gradient in grad */
    struct ls_hook *hooks;      /* called once a backward has added to grad */
    struct ls_record *record;   /* the operation that made it, or NULL */
    const char       *grad_name; /* of that operation, as PyTorch prints it; or NULL */
    void             *pending;  /* grad/backward.c: what is being added up */
};

typedef struct ls_hook { struct ls_hook *next; ls_hook_fn *f; void *self; } ls_hook;

/* A tensor of the given shape, values undefined. A part's rows are this rank's. step: in the step's
 * arena where a step is open. NULL, with the context failed, without memory. */
ls_tensor *ls_tensor_make(ls_ctx *ctx, ls_dtype dtype, ls_shape shape, bool is_part, bool step);
/* As above over memory that outlives it. */
ls_tensor *ls_tensor_over(ls_ctx *ctx, ls_dtype dtype, ls_shape shape, bool is_part, bool step, void *data);
/* The values of t in a head of its own, of shape. */
ls_tensor *ls_tensor_view(ls_tensor *t, ls_shape shape);
/* The same as ls_tensor_make() for the result of an operation, in a head that the caller keeps for it; over: values that
 * outlive it, or NULL: room for them in the step's arena. */
bool ls_tensor_result(ls_tensor *t, ls_ctx *ctx, ls_dtype dtype, ls_shape shape, bool is_part, void *over);
/* A tensor that was freed: in_step, of a step that never comes. Its head stays for a while, so that whoever
 * uses it is told. */
#define LS_FREED UINT64_MAX
/* What reads t until it releases it finds its head there, and can tell whether t was freed. */
static inline void ls_tensor_hold(ls_tensor *t) { t->holders++; }
void ls_tensor_release(ls_tensor *t);
/* A view or a recorded operation takes t's address: until the step ends, or for good where there is none. */
static inline void ls_tensor_lend(ls_tensor *t)
{
    const uint64_t until = t->ctx->step ? t->ctx->step : UINT64_MAX;
    if (t->lent_until < until) t->lent_until = until;
}
/* False, with the context failed, for a tensor whose step has ended or that was freed, or is a view of such. NULL gives
 * false silently. */
bool ls_tensor_usable(const ls_tensor *t, const char *what);
int64_t ls_tensor_row_count(const ls_tensor *t); /* elements of one row: all but axis 0 */
/* The gradient with its values in place (zeros are written lazily); NULL where there is none. */
ls_tensor *ls_tensor_grad(const ls_tensor *t);
ls_tensor *ls_tensor_grad_show(ls_tensor *t);         /* the same, for a program, which may keep and write it */
void       ls_tensor_grad_wrote(const ls_tensor *t); /* its gradient changes, or is void */
/* Where gradients go: made at the first call. NULL, with the context failed, without memory. */
ls_tensor *ls_tensor_grad_make(ls_tensor *t);
void       ls_tensor_grad_set(ls_tensor *t, ls_tensor *grad); /* t takes grad over, and ends the old one */
/* The call under way, or the one that is about to begin, writes t's values in place. */
void       ls_tensor_wrote(ls_tensor *t);
/* Before t's values are written by hand: what the ranks of a node hold in common becomes each one's own. */
void       ls_tensor_own(const ls_tensor *t);
double ls_round(ls_dtype type, double x); /* to the nearest of that type */
double ls_element(const ls_tensor *t, int64_t i); /* element i held here, as double; no checks */

/* ---- parts: the only place above comm where rank and rank count are known -------------------- */
ls_range ls_part_leaves(const ls_ctx *ctx, int64_t rows); /* this rank's, of a batch */
ls_range ls_part_rows(const ls_ctx *ctx, int64_t rows);
int      ls_part_pieces(const ls_ctx *ctx, int64_t rows, ls_range piece[LS_MAX_PIECES]); /* in leaves */
int64_t  ls_part_idle(const ls_ctx *ctx, int64_t rows); /* ranks that get no leaf of a batch */

/* ---- slabs: parameters of one optimizer in flat blocks ------------------------------------------
 * Moves the values and gradients of whole parameters into one block each, in order, so that an
 * update is one pass. Parameters that already lie in a slab stay where they are. Large ones lie in
 * memory that the ranks of a node see: values in common, gradients each rank's own. Collective. */
ls_status ls_slab_join(ls_ctx *ctx, ls_list params);
