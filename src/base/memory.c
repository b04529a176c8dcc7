/* memory.c -- counted allocation.
 *
 * Every block is aligned to 64 bytes (a cache line, and the widest vector register) and zeroed, so
 * that no result can depend on what lay there before. The two counters are the
 * process's: tests read them to prove that steps allocate nothing and that everything is freed. They are
 * atomic because the prefetch thread allocates as well.
 *
 * Called by every folder; ls_new() in context.c adds the message for a context. */
#include "base/base.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define ALIGNMENT  ((size_t)64)
#define LARGE_PAGE ((size_t)2 << 20)

static atomic_size_t calls, frees;

static void *zeroed(size_t bytes, bool in_large_pages)
{
    if (bytes > PTRDIFF_MAX - ALIGNMENT || ls_fault(LS_FAULT_allocate)) return NULL;
    size_t whole = bytes ? (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
    char *p = aligned_alloc(ALIGNMENT, whole);
    if (!p) return NULL;
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    if (whole >= LARGE_PAGE && in_large_pages) {
        const size_t page = (size_t)sysconf(_SC_PAGESIZE), head = -(uintptr_t)p % page;
        (void)madvise(p + head, (whole - head) / page * page, MADV_HUGEPAGE); /* or not */
    }
    return memset(p, 0, whole);
}

void *ls_memory_new(size_t bytes)
{
    return zeroed(bytes, false);
}

void *ls_memory_new_large(size_t bytes)
{
    return zeroed(bytes, true);
}

void ls_memory_free(void *p)
{
    if (!p) return;
    atomic_fetch_add_explicit(&frees, 1, memory_order_relaxed);
    free(p);
}

bool ls_memory_is_there(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED && munmap(p, bytes) == 0;
}

static __attribute__((noinline)) void touch_stack(void)
{
    volatile char room[LS_STACK_BYTES];
    room[0] = 0; /* the far end */
    (void)room[0];
}

bool ls_memory_take_stack(void)
{
    enum { IN_USE = 1 << 19 };
    struct rlimit most;
    bool has_room = getrlimit(RLIMIT_STACK, &most) == 0 && most.rlim_cur >= LS_STACK_BYTES + IN_USE;
    if (gettid() != getpid() || !has_room) return true;
    if (!ls_memory_is_there(LS_STACK_BYTES)) return false;
    touch_stack();
    return true;
}

size_t ls_memory_live(void)
{
    size_t freed = atomic_load_explicit(&frees, memory_order_relaxed);
    return atomic_load_explicit(&calls, memory_order_relaxed) - freed;
}

size_t ls_memory_calls(void)
{
    return atomic_load_explicit(&calls, memory_order_relaxed);
}
