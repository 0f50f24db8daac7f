/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What is still to be told: a queue of items, each told `limit` times.
 *
 * Invariant: an item is linked in lists[class][sends] of one queue or in none; `n` counts
 * the linked ones. Order: class, then fewest sends, then age. A newer version of the same thing
 * re-uses its item and so supersedes the older. Knows nothing of bytes or time (overlay 3.3).
 */
#include "base/list.h"
#include "gossip/wire.h"

/* Highest first. */
enum gossip_spread_class {
    GOSSIP_SPREAD_REVOCATION,
    GOSSIP_SPREAD_VERDICT,
    GOSSIP_SPREAD_STATE,
    GOSSIP_SPREAD_DOC,
    GOSSIP_SPREAD_AD,
    GOSSIP_SPREAD_VITALS,
    GOSSIP_SPREAD_CLASSES
};

#define GOSSIP_SPREAD_SENDS_MAX 10 /* 2 log10(N + 1) is 7 at 1,024, 8 at 10,000 */
#define GOSSIP_SPREAD_SENDS_MIN 4  /* small zones: three copies more than one costs nothing */
#define GOSSIP_SPREAD_STATE_MORE 4 /* copies of what a member says of itself in large zones */
#define GOSSIP_SPREAD_FANOUT 3     /* receivers a round */
#define GOSSIP_SPREAD_ROUND_US (200 * US_PER_MS)
#define GOSSIP_SPREAD_BURST_MAX 4 /* packets a receiver and round when the queue is long */
#define GOSSIP_SPREAD_MISSES 4    /* items that no longer fit: then the packet is full */
#define GOSSIP_NO_SLOT UINT16_MAX

struct gossip_spread_item {
    struct list link;
    uint8_t class_; /* enum gossip_spread_class */
    uint8_t sends;  /* copies sent so far */
    uint8_t kind;   /* what the owner gave it as: enum gossip_spread_what */
    uint8_t index;  /* which of its kind: of accusers */
    uint16_t slot;  /* of the member it is about, or of the document */
    uint16_t from;  /* slot of who told us: not told back; GOSSIP_NO_SLOT */
    uint32_t stamp; /* last receiver it was packed for */
};

enum gossip_spread_what {
    GOSSIP_WHAT_STATE = 1, /* the member's own alive or leave */
    GOSSIP_WHAT_ACCUSER,   /* accusation number `index` */
    GOSSIP_WHAT_AD,
    GOSSIP_WHAT_VITALS,
    GOSSIP_WHAT_DOC
};

struct gossip_spread {
    struct list lists[GOSSIP_SPREAD_CLASSES][GOSSIP_SPREAD_SENDS_MAX + 1];
    uint32_t n;
    uint32_t stamp; /* the present receiver */
};

void gossip_spread_init(struct gossip_spread *q);
void gossip_spread_item_init(struct gossip_spread_item *i, enum gossip_spread_what what,
                             uint16_t slot, uint8_t index);
/* Queues, or starts anew if it is queued. */
void gossip_spread_put(struct gossip_spread *q, struct gossip_spread_item *i,
                       enum gossip_spread_class class_, uint16_t from);
void gossip_spread_drop(struct gossip_spread *q, struct gossip_spread_item *i);
/* A new receiver: every item may be packed once for it. */
void gossip_spread_begin(struct gossip_spread *q);
/* The next item after `after` (NULL: the first) that was not packed for this receiver. */
struct gossip_spread_item *gossip_spread_next(struct gossip_spread *q,
                                              const struct gossip_spread_item *after);
/* It was packed (or this receiver needs it not): counts, and leaves the queue after `limit`. */
void gossip_spread_sent(struct gossip_spread *q, struct gossip_spread_item *i, unsigned limit);
void gossip_spread_check(const struct gossip_spread *q);

/* 2 log10(n + 1) rounded up, at least GOSSIP_SPREAD_SENDS_MIN. */
unsigned gossip_spread_limit(uint32_t n_members);
/* Packets for one receiver in a round, by what is queued. */
unsigned gossip_spread_burst(const struct gossip_spread *q);

/* --- with the whole object --- */
struct gossip;
/* Packs what `slot` (or GOSSIP_NO_SLOT for a stranger) should be told, and counts it. */
void gossip_spread_pack(struct gossip *g, uint16_t slot, struct gossip_packer *p);
/* Starts a round if one is due. */
void gossip_spread_tick(struct gossip *g, uint64_t now_us);
uint64_t gossip_spread_deadline(const struct gossip *g);
