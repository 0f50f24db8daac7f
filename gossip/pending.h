/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Alive statements whose certificate chain we do not hold yet.
 *
 * Invariant: one entry a key, the newest statement of it; at most GOSSIP_PENDING_MAX. The
 * statement's own signature was checked before it came here. An entry ends when the node layer
 * has judged its chain, when GOSSIP_PENDING_TRIES requests went unanswered, or when the
 * oldest has to make room; anti-entropy brings it again.
 */
#include "gossip/outbox.h"

struct gossip;

#define GOSSIP_PENDING_MAX 64
#define GOSSIP_PENDING_TRIES 4
#define GOSSIP_PENDING_RETRY_US (400 * US_PER_MS)
#define GOSSIP_PENDING_VERDICT_US (10 * US_PER_S) /* the node layer may need to ask others */

struct gossip_pending_alive {
    struct gossip_pending_alive *next;
    struct gossip_alive alive;
    struct gossip_bytes item, chain, ad_item; /* chain empty: asked for */
    struct gossip_peer from;                  /* who told us last */
    bool is_news;                             /* the chain is there, poll has to hand it out */
    bool is_wanted;                           /* to be asked for at the end of this input */
    uint8_t n_tries;
    uint64_t due_us; /* ask again, or give up */
};

#define GOSSIP_PENDING_REFUSED 8
#define GOSSIP_CLOCK_JUMP_MS 1000 /* more than a clock that is kept right is moved at once */
#define GOSSIP_PENDING_REFUSED_US (60 * US_PER_S) /* a refused chain is not looked at again */

struct gossip_pending {
    struct gossip_pending_alive *first; /* oldest first */
    uint32_t n;
    uint32_t n_news;
    struct gossip_refused {
        struct hash chain_hash;
        uint64_t until_us;
    } refused[GOSSIP_PENDING_REFUSED];
    uint8_t next_refused;
};

void gossip_pending_done(struct gossip *g);
struct gossip_pending_alive *gossip_pending_find(const struct gossip *g, const struct node_id *id);
/* Keeps the (verified) statement. */
void gossip_pending_add(struct gossip *g, uint64_t now_us, const struct gossip_alive *alive,
                        struct slice item, const struct gossip_peer *from);
/* A chain came along: of a pending statement (then it becomes news), or not ours to care. */
void gossip_pending_chain(struct gossip *g, uint64_t now_us, struct slice chain);
/* Keeps the ad of a node that is not a member yet. */
void gossip_pending_ad(struct gossip *g, const struct node_id *id, struct slice item);
/* The node layer said no. */
void gossip_pending_refuse(struct gossip *g, uint64_t now_us, struct gossip_pending_alive *p);
/* Refused chains may be shown again: they were judged by a clock that was wrong. */
void gossip_pending_forgive(struct gossip *g);
bool gossip_pending_is_refused(const struct gossip *g, uint64_t now_us, const struct hash *chain);
void gossip_pending_remove(struct gossip *g, struct gossip_pending_alive *p);
/* Asks `from` for the chains which this input left wanting. */
void gossip_pending_ask(struct gossip *g, uint64_t now_us, const struct gossip_peer *from);
void gossip_pending_tick(struct gossip *g, uint64_t now_us);
uint64_t gossip_pending_deadline(const struct gossip *g);
