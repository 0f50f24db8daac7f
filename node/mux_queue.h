/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Bytes waiting in a stream of the mux, in chunks: adding and taking never move
 * what is there, and an empty queue holds no memory.
 *
 * Invariant: `len` is the sum of the chunks' contents; no chunk but a new one is
 * empty. A zeroed struct is an empty queue. Used by node/mux*.c only.
 */
#include "base/mem.h"
#include "base/slice.h"

struct mux_chunk;

struct mux_queue {
    struct mux_chunk *head;
    struct mux_chunk *tail;
    size_t len;
};

/* Adds `a` and then `b`, both or nothing. Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err mux_queue_add(struct mux_queue *q, struct mem *mem, struct slice a,
                                        struct slice b);
/* The first bytes that lie in one piece; empty if the queue is. Valid until the next change. */
struct slice mux_queue_front(const struct mux_queue *q);
/* Drops `n` <= len bytes at the front. */
void mux_queue_drop(struct mux_queue *q, struct mem *mem, size_t n);
/* Moves the first `n` <= len bytes to `out`. */
void mux_queue_take(struct mux_queue *q, struct mem *mem, uint8_t *out, size_t n);
void mux_queue_done(struct mux_queue *q, struct mem *mem);
void mux_queue_check(const struct mux_queue *q);
