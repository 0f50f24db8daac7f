/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The allocator handed to every core: counts what it gave, has a ceiling, and
 * can be told to fail, so that tests walk the paths nobody meets by day.
 *
 * Invariant: `used` is the sum of the sizes of all live blocks; it is 0 when all
 * that was allocated has been freed (tests assert this at their end). The
 * object must outlive its blocks. The only user of malloc and free.
 */
#include "base/base.h"

struct mem {
    size_t used;         /* bytes in live blocks, headers not counted */
    size_t peak;         /* highest `used` so far */
    size_t limit;        /* `used` never exceeds it */
    uint64_t n_live;     /* live blocks */
    uint64_t fail_after; /* this many further allocations succeed; UINT64_MAX = all */
};

/* `limit` in bytes; SIZE_MAX for none. */
void mem_init(struct mem *m, size_t limit);

/* Zeroed memory, aligned for any type; NULL if over the limit, told to fail, or out of memory.
 * `size` 0 gives a valid block. The caller frees it with mem_free on the same `m`. */
IPX_MUST_USE void *mem_alloc(struct mem *m, size_t size);
/* Zeroed array; NULL also on overflow of n * size. */
IPX_MUST_USE void *mem_alloc_array(struct mem *m, size_t n, size_t size);
/* Grows or shrinks; on NULL the old block is unchanged. New bytes are zero. */
IPX_MUST_USE void *mem_realloc(struct mem *m, void *p, size_t size);
/* NULL is allowed. */
void mem_free(struct mem *m, void *p);
/* Memory that a library takes from an allocator of its own on our behalf: counted against the same
 * limit. False as mem_alloc gives NULL; what was charged is discharged by the same caller. */
IPX_MUST_USE bool mem_charge(struct mem *m, size_t size);
void mem_discharge(struct mem *m, size_t size);
/* A copy of the slice with a NUL behind it (not counted in its length). */
IPX_MUST_USE void *mem_dup(struct mem *m, const void *data, size_t len);
