/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The `t` of handshakes, a peer at a time: the last one seen from it and the last
 * one sent to it. They make a replayed INIT worthless (overlay 1.3).
 *
 * Rules. Sent: max(wall clock, last sent + 1), so what one peer says of its clock
 * never moves what others are sent. Seen of a known key: must exceed the last one;
 * of an unknown key: within CLOCKS_SLACK_MS of our wall clock.
 *
 * Invariant: at most `max` peers, least recently used out first. One object a plane.
 */
#include "base/id.h"
#include "base/list.h"
#include "node/index.h"

#define CLOCKS_MAX 16384
#define CLOCKS_SLACK_MS (INT64_C(10) * 60 * 1000) /* unknown keys */
#define CLOCKS_T_MAX (INT64_C(1) << 53)           /* later is malformed */

struct clock_entry {
    struct list lru;
    struct node_id id;
    int64_t seen_ms;    /* 0: none yet */
    int64_t sent_ms;    /* 0: none yet */
    int64_t retry_ms;   /* what the next one must be after a `clock` answer; 0: none */
    bool has_our_chain; /* the peer accepted our chain before: its hash will do */
};

struct clocks {
    struct mem *mem;
    struct index by_id;
    struct list lru;
};

IPX_MUST_USE enum ipx_err clocks_init(struct clocks *c, struct mem *mem, uint32_t max,
                                      const uint8_t secret[static 16]);
void clocks_done(struct clocks *c);

/* NULL if we know nothing of it. */
struct clock_entry *clocks_find(struct clocks *c, const struct node_id *id);
/* Finds or makes; NULL without memory. */
struct clock_entry *clocks_get(struct clocks *c, const struct node_id *id);

/* Judges a t that was seen; nothing is kept. Conditions: IPX_CLOCK, *ret_last is the last one seen
 * (0 if none). */
IPX_MUST_USE enum ipx_err clocks_judge(struct clocks *c, int64_t wall_ms, const struct node_id *id,
                                       int64_t t_ms, int64_t *ret_last);
/* Keeps a t of an INIT that was accepted. */
void clocks_on_seen(struct clocks *c, const struct node_id *id, int64_t t_ms);
/* The t of the next INIT to this peer, noted as sent. */
int64_t clocks_next(struct clocks *c, int64_t wall_ms, const struct node_id *id);
/* A `clock` answer: the next t to this peer is max(theirs, last + 1), whatever our clock says. */
void clocks_on_answer(struct clocks *c, const struct node_id *id, int64_t theirs_ms,
                      int64_t last_ms);
/* Our own chain has changed: nobody has it. */
void clocks_chain_changed(struct clocks *c);
