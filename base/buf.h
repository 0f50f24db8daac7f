/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Owned bytes that grow up to a cap: a queue of bytes with a cheap front.
 *
 * Invariant: the content is data[start .. start+len); len <= cap_max. Consumed
 * bytes at the front are reclaimed when room is needed. One owner, no sharing.
 */
#include "base/mem.h"
#include "base/slice.h"

struct buf {
    struct mem *mem;
    uint8_t *data;
    size_t start;
    size_t len;
    size_t cap;     /* allocated; at most a quarter over cap_max */
    size_t cap_max; /* never holds more than this */
};

void buf_init(struct buf *b, struct mem *mem, size_t cap_max);
/* Frees the memory; the buf may be used again (empty). A zeroed struct is allowed. */
void buf_done(struct buf *b);

/* Conditions: IPX_FULL (cap_max would be exceeded; nothing was added). Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err buf_append(struct buf *b, struct slice s);
/* `len` writable bytes at the end, to be filled by the caller now; NULL when full or no memory. */
IPX_MUST_USE uint8_t *buf_extend(struct buf *b, size_t len);
/* Gives back the last `len` bytes of what buf_extend made. */
void buf_shrink(struct buf *b, size_t len);
/* Drops `len` bytes at the front; frees the memory when the buf becomes empty and is large. */
void buf_consume(struct buf *b, size_t len);
void buf_clear(struct buf *b);
/* Valid until the next call that changes the buf. */
struct slice buf_slice(const struct buf *b);
