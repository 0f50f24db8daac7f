/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What exec stores: results until they are fetched. Small objects in memory, large ones as spool
 * files below the home; all together at most `limit` bytes, and a full store is a clear failure.
 * Nothing outlives the process: the files of an earlier run are removed at the start.
 *
 * Invariant: used = the bytes of all objects; memory_used = those in memory, <= STORE_MEMORY_MAX.
 */
#include "base/buf.h"
#include "base/list.h"

#define STORE_LIMIT (UINT64_C(1) << 30)
#define STORE_OBJECT_MEMORY_MAX 65536
#define STORE_MEMORY_MAX (UINT64_C(16) << 20)
#define STORE_BUCKETS 1024

struct store {
    struct mem *mem;
    char dir[128];
    uint64_t limit, used, memory_used;
    struct list buckets[STORE_BUCKETS]; /* by object number */
};

/* Makes or empties `<home>/spool`. Fault: IPX_IO. */
IPX_MUST_USE enum ipx_err store_init(struct store *s, struct mem *mem, const char *home,
                                     uint64_t limit);
void store_done(struct store *s); /* removes all */
/* Conditions: IPX_FULL. Faults: IPX_IO, IPX_NO_MEMORY. After any of them the object is as before.
 */
IPX_MUST_USE enum ipx_err store_append(struct store *s, uint64_t object, struct slice bytes);
/* Up to `len` bytes from `offset` into `out`; *ret_len < len is the end. Conditions:
 * IPX_NOT_FOUND. Fault: IPX_IO. */
IPX_MUST_USE enum ipx_err store_load(struct store *s, uint64_t object, uint64_t offset,
                                     uint8_t *out, size_t len, size_t *ret_len);
void store_drop(struct store *s, uint64_t object); /* nothing happens if it is not there */
