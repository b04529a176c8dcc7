/* window.c -- memory that all ranks of a node see.
 *
 * Every rank makes its blocks as files in memory without a name (memfd) and opens those of the
 * others through /proc/PID/fd; nothing is left behind however a process ends. A token at the head
 * of a block tells whether it is the right one, so ranks on another node, in another container or
 * of another user are found out, and then all of them go without: exchanges by messages need none
 * of this. All of it is agreed, so a block is there on all ranks or on none.
 *
 * A common block is that of the node's first rank alone, mapped by all. A rank that wants to go on with memory of its
 * own maps the same file privately at the same place: contents and addresses stay. Copies of what lies in files
 * stay common.
 *
 * Called by ranks.c, node.c and, through ls_links, by those who make parameters and gradients.
 */
#include "comm/inside.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD = 4096 }; /* of a block: the token */

typedef struct token {
    uint64_t word[2];
} token;

/* What a rank tells the others of a block. */
typedef struct card {
    int64_t pid, fd, bytes;
    token token;
} card;

static size_t whole_pages(size_t bytes)
{
    return (bytes + HEAD - 1) / HEAD * HEAD;
}

/* ---- blocks -------------------------------------------------------------------------------- */
static void free_block(const ls_comm *c, ls_shared *s)
{
    for (int r = 0; r < c->node.count; r++)
        if (s->at[r] && !(s->common && r > 0)) munmap(s->at[r] - HEAD, s->bytes + HEAD);
    ls_memory_free(s);
}

/* This rank's file, mapped, and its card. False: it cannot be had here. *fd is open until all have
 * attached. */
static bool make_own(const ls_comm *c, ls_shared *s, card *mine, int *fd)
{
    const size_t bytes = s->bytes + HEAD;
    *fd = memfd_create("lockstep", MFD_CLOEXEC);
    if (*fd < 0 || ftruncate(*fd, (off_t)bytes)) return false;
    char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (at == MAP_FAILED) return false;
    s->at[c->node.own] = at + HEAD;
    *mine = (card){ getpid(), *fd, (int64_t)bytes, { { 0 } } };
    if (getrandom(&mine->token, sizeof mine->token, 0) != sizeof mine->token) return false;
    memcpy(at, &mine->token, sizeof mine->token);
    return true;
}

static bool attach(ls_shared *s, int r, const card *theirs)
{
    char path[64];
    struct stat found;
    void *at = MAP_FAILED;
    if (theirs->bytes != (int64_t)(s->bytes + HEAD)) return false;
    snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)theirs->pid,
             (long long)theirs->fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return false;
    if (!fstat(fd, &found) && found.st_size == theirs->bytes)
        at = mmap(NULL, (size_t)theirs->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED) return false;
    s->at[r] = (char *)at + HEAD;
    return memcmp(at, &theirs->token, sizeof theirs->token) == 0;
}

/* Maps what the others have made; false where one is not seen from here. */
static bool attach_all(const ls_comm *c, ls_shared *s, const card *cards)
{
    for (int r = 0; r < (s->common ? 1 : c->node.count); r++)
        if (r != c->node.own && !attach(s, r, &cards[c->node.first + r])) return false;
    for (int r = 1; s->common && r < c->node.count; r++) s->at[r] = s->at[0];
    return true;
}

/* A block of every rank, or of the first of a node for all of it. Collective. NULL: failed, or, with the context
 * well, not to be had. */
static ls_shared *add(ls_ctx *ctx, size_t bytes, bool common)
{
    ls_comm *c = ctx->comm;
    card mine = { 0 };
    uint64_t lacks = 0;
    int fd = -1;
    size_t count = (size_t)c->count;
    ls_shared *s = ls_new(ctx, sizeof *s + count * sizeof *s->at, "memory shared by ranks");
    card *cards = ls_new(ctx, count * sizeof *cards, "memory shared by ranks");
    if (s && cards) {
        *s = (ls_shared){ .id = c->exchange, .common = common, .bytes = whole_pages(bytes) };
        lacks = !(common && c->node.own) && !make_own(c, s, &mine, &fd);
    }
    ls_status status = ls_comm_swap(ctx, &mine, sizeof mine, cards);
    if (!status && !lacks) lacks = !attach_all(c, s, cards);
    status = ls_comm_any(ctx, lacks, &lacks);
    if (fd >= 0) close(fd);
    ls_memory_free(cards);
    if (!s || status || lacks) {
        if (s) free_block(c, s);
        return NULL;
    }
    s->older = c->shared;
    c->shared = s;
    return s;
}

/* ---- the window as a whole ------------------------------------------------------------------- */
ls_status ls_window_open(ls_ctx *ctx, bool wanted)
{
    ls_comm *c = ctx->comm;
    uint64_t unwanted = !wanted || c->node.count == 1;
    if (ls_comm_any(ctx, unwanted, &unwanted) || unwanted) return ctx->failure.status;
    ls_shared *desk = add(ctx, ls_desk_bytes, false);
    if (desk) c->desk = desk;
    return ctx->failure.status;
}

void ls_window_close(ls_comm *c)
{
    for (ls_shared *s = c->shared, *older; s; s = older) {
        older = s->older;
        free_block(c, s);
    }
    c->shared = c->desk = c->staging = NULL;
}

ls_shared *ls_window_grow(ls_ctx *ctx, ls_shared *old, size_t bytes)
{
    if (old && old->bytes >= bytes) return old;
    if (old) ls_comm_shared_free(ctx, old->at[ctx->comm->node.own]);
    ls_shared *s = add(ctx, bytes + bytes / 4, false);
    if (!s) ls_fail_memory(ctx, bytes, "memory for ranks of a node to meet in");
    return s;
}

bool ls_window_find(const ls_comm *c, const void *p, ls_place_seen *place)
{
    for (const ls_shared *s = c->shared; s; s = s->older) {
        const char *from = s->at[c->node.own];
        if ((const char *)p < from || (const char *)p >= from + s->bytes || s->common || s->unseen)
            continue;
        *place = (ls_place_seen){ s->id, (uint64_t)((const char *)p - from) };
        return true;
    }
    return false;
}

char *ls_window_at(const ls_comm *c, int number, ls_place_seen place)
{
    for (const ls_shared *s = c->shared; s; s = s->older)
        if (s->id == place.block) return s->at[number] + place.offset;
    return NULL;
}

void ls_window_distrust(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    if (!c->desk) return;
    if (c->staging) ls_comm_shared_free(ctx, c->staging->at[c->node.own]);
    c->staging = NULL;
    for (ls_shared *s = c->shared; s; s = s->older) s->unseen = s != c->desk;
    ls_comm_leave_common(ctx);
}

/* ---- for others -------------------------------------------------------------------------------- */
static ls_shared *block_of(const ls_comm *c, const void *p)
{
    for (ls_shared *s = c ? c->shared : NULL; s; s = s->older) {
        const char *from = s->at[c->node.own];
        if ((const char *)p >= from && (const char *)p < from + s->bytes) return s;
    }
    return NULL;
}

void *ls_comm_shared_new(ls_ctx *ctx, size_t bytes, bool common, const char *what)
{
    ls_comm *c = ctx->comm;
    if (ctx->failure.status) return NULL;
    if (!c->desk || (common && c->left_common)) return ls_new(ctx, bytes, what);
    const ls_shared *s = add(ctx, bytes, common);
    if (s) return s->at[c->node.own];
    return ctx->failure.status ? NULL : ls_new(ctx, bytes, what);
}

void *ls_comm_copies_new(ls_ctx *ctx, size_t bytes)
{
    if (!ctx->comm->desk) return NULL;
    ls_shared *s = add(ctx, bytes, true);
    if (!s) return NULL;
    s->lasts = true;
    return s->at[0];
}

void ls_comm_shared_free(ls_ctx *ctx, void *p)
{
    ls_comm *c = ctx->comm;
    ls_shared *s = block_of(c, p);
    if (!s) {
        ls_memory_free(p);
        return;
    }
    ls_shared **at = &c->shared;
    while (*at != s) at = &(*at)->older;
    *at = s->older;
    free_block(c, s);
}

bool ls_comm_is_common(const ls_ctx *ctx, const void *p)
{
    const ls_comm *c = ctx->comm;
    if (!c->desk || c->left_common) return false;
    const ls_shared *s = block_of(c, p);
    return s && s->common;
}

void ls_comm_leave_common(ls_ctx *ctx)
{
    ls_comm *c = ctx->comm;
    if (c->left_common) return;
    for (ls_shared *s = c->shared; s; s = s->older) {
        if (!s->common || s->lasts) continue;
        /* A copy first: pages of a private mapping follow the file until they are written. */
        char *at = s->at[0] - HEAD;
        const size_t bytes = s->bytes + HEAD;
        char *copy = ls_new(ctx, bytes, "parameters of this rank's own");
        if (!copy) return;
        memcpy(copy, at, bytes);
        bool is_own = mmap(at, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
        if (is_own) memcpy(at, copy, bytes);
        ls_memory_free(copy);
        if (!is_own) {
            ls_fail_memory(ctx, bytes, "parameters of this rank's own");
            return;
        }
    }
    c->left_common = true; /* not where that failed: it is tried again before anything is written */
}
