/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The replay store of one live source: the newest frames, in memory. One ring of bytes
 * in which every frame lies in one piece, and one ring of entries by sequence number;
 * both grow by doubling up to the limits, so that no frame costs an allocation.
 *
 * Invariant: holds exactly the frames first <= seq < end, end - first <= frames_max,
 * cost (bytes of all frames and RING_ENTRY_COST each) <= bytes_max; what all rings of a
 * node have allocated stays within the budget. Appending evicts the oldest.
 */
#include "base/mem.h"
#include "base/slice.h"

#define RING_ENTRY_COST 24u

struct ring_budget {
    size_t used, limit; /* bytes of all rings that share it */
};

struct ring_limits {
    uint64_t age_us; /* since arrival */
    uint64_t bytes_max, frames_max;
};

struct ring_entry {
    uint32_t at, len;
    int64_t time_us;     /* of the source */
    uint64_t arrived_us; /* monotonic */
};

struct ring {
    struct mem *mem;
    struct ring_budget *budget;
    struct ring_limits limits;
    uint8_t *bytes;
    struct ring_entry *index; /* of seq at seq % n_index */
    uint32_t cap, n_index;    /* n_index is a power of two, or 0 */
    uint64_t first, end, cost;
};

struct ring_frame {
    uint64_t seq;
    int64_t time_us;
    struct slice bytes; /* valid until the next append or expire */
};

void ring_init(struct ring *r, struct mem *mem, struct ring_budget *budget,
               const struct ring_limits *limits);
void ring_done(struct ring *r);
/* Takes a copy as seq `end`; evicts as much as it must. Conditions: IPX_LIMIT (the frame alone is
 * over a limit, or there is no memory for even one; then nothing changed but evictions). */
IPX_MUST_USE enum ipx_err ring_append(struct ring *r, uint64_t now_us, int64_t time_us,
                                      struct slice bytes);
/* Evicts what is older than age_us, but nothing from seq `keep` on. */
void ring_expire(struct ring *r, uint64_t now_us, uint64_t keep);
/* first <= seq < end. */
struct ring_frame ring_get(const struct ring *r, uint64_t seq);
/* The first frame that arrived at or after then; `end` if none. */
uint64_t ring_seek_arrival(const struct ring *r, uint64_t arrived_us);
/* The first frame of the source's time or later, where its clock runs forward. */
uint64_t ring_seek_time(const struct ring *r, int64_t time_us);
void ring_check(const struct ring *r);
