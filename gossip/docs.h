/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Documents of others that everybody keeps: redemptions and revocations. Opaque here: the node
 * layer checks them before it gives them to us and after we hand them to it; they spread by
 * rumour and by anti-entropy, and leave after a year.
 *
 * Invariant: one document a key, at most GOSSIP_DOC_MAX bytes; n <= capacity. What the node
 * layer refused is forgotten and is not passed on. Grows in steps; when full, the oldest
 * redemption goes first.
 */
#include "gossip/member.h"

#define GOSSIP_DOCS_MAX 4096
#define GOSSIP_DOCS_STEP 8
#define GOSSIP_DOC_LIFE_US (365 * 24 * 3600 * US_PER_S)
#define GOSSIP_DOC_BURST 256 /* new ones handed out at once, then one each 20 ms */
#define GOSSIP_DOC_REFILL_US (20 * US_PER_MS)

enum gossip_doc_kind { GOSSIP_DOC_REDEMPTION = 1, GOSSIP_DOC_REVOCATION = 2 };

struct gossip_doc {
    struct hash key;
    struct gossip_bytes item; /* as it is forwarded */
    uint64_t since_us;
    uint8_t kind;
    bool is_news;     /* poll has to hand it out */
    bool is_accepted; /* ours, or the node layer kept it: only then it is passed on */
    struct node_id from;
    struct gossip_spread_item spread;
};

struct gossip_docs {
    struct mem *mem;
    struct gossip_doc **slots; /* by key, sorted; n of them */
    uint32_t n, capacity;
    uint32_t n_news;
    struct gossip_bucket bucket;
};

void gossip_docs_init(struct gossip_docs *d, struct mem *mem);
void gossip_docs_done(struct gossip_docs *d, struct gossip_spread *q);
struct gossip_doc *gossip_docs_find(const struct gossip_docs *d, const struct hash *key);
struct gossip_doc *gossip_docs_prefix(const struct gossip_docs *d, uint64_t prefix);
uint64_t gossip_doc_prefix(const struct gossip_doc *doc);
/* Index of the first with a prefix >= this. */
uint32_t gossip_docs_lower(const struct gossip_docs *d, uint64_t prefix);
/* Conditions: IPX_EXISTS, IPX_FULL (only revocations there). Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err gossip_docs_insert(struct gossip_docs *d, struct gossip_spread *q,
                                             const struct gossip_item *item, uint64_t now_us,
                                             struct gossip_doc **ret);
void gossip_docs_remove(struct gossip_docs *d, struct gossip_spread *q, struct gossip_doc *doc);
/* Drops what is over a year old. */
void gossip_docs_tick(struct gossip_docs *d, struct gossip_spread *q, uint64_t now_us);
void gossip_docs_check(const struct gossip_docs *d);
