/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Routing table: the verified peers we know, by XOR distance from us (overlay 2.1).
 *
 * Invariant: every entry has answered us in a session whose certificate contains
 * its nonce; it is in bucket i exactly if it shares i leading bits with our
 * position; a bucket holds at most its capacity (128, 64, 32, then 16), except that
 * the 32 nearest of all are always let in; at most 8 more wait in a bucket's
 * replacement cache. A peer that answers is never displaced by a newcomer. Of those that
 * are not of our lab no bucket lets in a fifth of one lab, one admitter or one public
 * v4 /24 or v6 /48 (overlay 2.5): certificates of one hand do not surround us.
 *
 * All entries lie in one pool taken at init. Pointers into it are valid until the
 * next call that changes the table. Driven by dht.c; reads no clock, sends nothing.
 */
#include "base/cert.h"
#include "base/mem.h"
#include "dht/wire.h"

#define DHT_K 16               /* bucket size and width of an answer, overlay 2.1 */
#define DHT_BUCKETS 64         /* deeper than any mesh: all beyond share the last one */
#define DHT_SIBLINGS 32        /* nearest peers that are always known */
#define DHT_REPLACEMENTS 8     /* waiting a bucket */
#define DHT_TABLE_CAPACITY 384 /* 336 = full buckets at 10^4 nodes, and 48 that wait */
#define DHT_STALE_US (15 * 60 * US_PER_S)
#define DHT_DIVERSITY_MAX 4  /* a bucket: of one foreign lab, one admitter, one foreign network */
#define DHT_FAILS_REPLACED 2 /* failures in a row with a replacement at hand */
#define DHT_FAILS_MAX 5      /* without one */

enum dht_entry_state {
    DHT_ENTRY_CANDIDATE, /* never answered: only ever in a lookup, not in the table */
    DHT_ENTRY_VERIFIED,
    DHT_ENTRY_STALE, /* 15 minutes silent */
    DHT_ENTRY_BAD    /* about to be removed */
};
extern const struct sm_table dht_entry_table;

#define DHT_ENTRY_WAITS 1u  /* in the replacement cache */
#define DHT_ENTRY_PING 2u   /* to be pinged: a newcomer wants its place */
#define DHT_ENTRY_UNTOLD 4u /* not yet reported as learned */

struct dht_entry {
    struct node_id id;
    uint8_t nonce[16];
    struct addr addr;
    uint32_t seen_s;  /* last heard, in seconds of now_us */
    uint32_t srtt_us; /* 0: not measured */
    uint32_t rttvar_us;
    uint8_t fails; /* unanswered in a row */
    uint8_t state; /* enum dht_entry_state */
    uint8_t bucket;
    uint8_t marks;          /* DHT_ENTRY_* bits */
    uint16_t lab, admitter; /* keyed hashes of a foreign one's; lab 0: of our own lab */
};

struct dht_table {
    struct mem *mem;
    struct mesh_id mesh;
    struct dht_pos self;
    char lab[CERT_LAB_MAX + 1]; /* "": every lab counts as ours */
    uint8_t secret[16];
    uint64_t n_alike;          /* refused: too many like it in their bucket */
    struct dht_entry *entries; /* [0, n) in use, dense, no order */
    uint64_t *tops;            /* first 8 bytes of each position: ties (2^-64) are recomputed */
    uint32_t *tags;            /* first 4 bytes of each key, for finding one fast */
    uint16_t n, capacity;
    uint16_t n_waiting, n_untold, n_ping; /* entries with the mark */
    uint8_t n_bucket[DHT_BUCKETS];        /* members, without those that wait */
    uint8_t n_waits[DHT_BUCKETS];
    uint64_t age_due_us; /* earliest time at which an entry may become stale */
    uint64_t n_changes;  /* members that came or went: is a save due? */
};

struct dht_table_config {
    struct mesh_id mesh;
    struct dht_pos self;
    struct mem *mem;
    uint16_t capacity;          /* 0: DHT_TABLE_CAPACITY */
    char lab[CERT_LAB_MAX + 1]; /* ours; "": every lab counts as ours */
    uint8_t secret[16];         /* so that nobody can choose who counts as alike */
};

/* Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err dht_table_init(struct dht_table *t,
                                         const struct dht_table_config *config);
void dht_table_done(struct dht_table *t);

/* A peer was heard in a session with these facts, at this address: it enters or is renewed.
 * Conditions: IPX_FULL (no place, nor among those that wait; the oldest stale member, if any, is
 * marked to be pinged), IPX_REFUSED (four like it are in its bucket), IPX_SELF. IPX_OK also when it
 * only waits. */
IPX_MUST_USE enum ipx_err dht_table_on_verified(struct dht_table *t, uint64_t now_us,
                                                const struct cert_facts *facts,
                                                const struct addr *addr);
/* A sign of life that came by other ways than ours (gossip). False: not in the table. */
bool dht_table_on_heard(struct dht_table *t, uint64_t now_us, const struct node_id *id);
void dht_table_on_rtt(struct dht_table *t, const struct node_id *id, uint64_t rtt_us);
/* It did not answer. True if it was removed by this. */
bool dht_table_on_fail(struct dht_table *t, uint64_t now_us, const struct node_id *id);
/* Removed at once: it left, was revoked or is dead. False: it was not there. */
bool dht_table_remove(struct dht_table *t, uint64_t now_us, const struct node_id *id);
/* Members that have been silent become stale. Cheap when nothing is due. */
void dht_table_age(struct dht_table *t, uint64_t now_us);

/* The entry with this mark that comes first, its mark cleared; NULL: none. */
const struct dht_entry *dht_table_take_mark(struct dht_table *t, uint8_t mark);

const struct dht_entry *dht_table_find(const struct dht_table *t, const struct node_id *id);
struct dht_pos dht_table_pos(const struct dht_table *t, const struct dht_entry *e);
unsigned dht_table_bucket_of(const struct dht_table *t, const struct dht_pos *pos);
unsigned dht_table_bucket_capacity(unsigned bucket);
/* Members, without those that wait. */
size_t dht_table_n_members(const struct dht_table *t);
/* Members that did not fail lately: zero means that we are cut off. */
size_t dht_table_n_live(const struct dht_table *t);

enum dht_closest_for {
    DHT_CLOSEST_SEED, /* our own lookups: every member */
    DHT_CLOSEST_TELL  /* others: verified ones, then stale ones, none that failed since */
};
/* The up to `max` members nearest to `target`, nearest first (TELL: verified before stale);
 * returns how many. */
size_t dht_table_closest(const struct dht_table *t, const struct dht_pos *target,
                         enum dht_closest_for use, const struct dht_entry **ret, size_t max);
/* Members nearer to `target` than `pos` is. */
size_t dht_table_n_nearer(const struct dht_table *t, const struct dht_pos *target,
                          const struct dht_pos *pos);
/* Nodes in the mesh, ourselves included: counted while few, else from the distances of the
 * nearest 32 (median of i * 2^256 / d_i). */
uint64_t dht_table_size_estimate(const struct dht_table *t);

struct dht_contact dht_entry_contact(const struct dht_entry *e);

void dht_table_check(const struct dht_table *t); /* asserts the invariant; O(n) */
