/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Getting into the mesh and staying in it (overlay 2.1): bootstrap from contacts
 * that were given or kept, the search for our own neighbourhood, the refresh of
 * the rest. Part of dht.c's object; not for use outside the folder.
 *
 * Invariant: while no member answers and there is a contact to try, a retry is due
 * (1 s doubling to 5 min, for ever); a node that knows nobody at all never wakes. While a small
 * table lacks somebody whom we were given, he is tried again as well (30 s doubling to 5 min): the
 * first who answered may be as cut off as we are.
 */
#include "dht/search.h"

#define DHT_BOOT_MAX (DHT_SAVE_CONTACTS_MAX + 64) /* kept ones and those of tickets, names, LAN */
#define DHT_BOOT_CHUNK 64                         /* tried in one search: 8 s are enough for them */
#define DHT_BOOT_PARALLEL 8
#define DHT_ANCHORS 16 /* members lost lately: whom to ask when cut off */
#define DHT_BOOT_RETRY_MIN_US (1 * US_PER_S)
#define DHT_BOOT_RETRY_MAX_US (5 * 60 * US_PER_S)
#define DHT_SIBLINGS_US (5 * 60 * US_PER_S)
#define DHT_REFRESH_US (15 * 60 * US_PER_S)
#define DHT_JITTER_PERCENT 20
#define DHT_AGAIN_US (30 * US_PER_S) /* no room or memory for a search of our own: later */

enum dht_join_state {
    DHT_JOIN_ALONE, /* nobody to ask */
    DHT_JOIN_SEEK,  /* searching our own position */
    DHT_JOIN_WAIT,  /* nobody answered: until the next try */
    DHT_JOIN_FILL,  /* in the mesh; refreshing the far buckets once */
    DHT_JOIN_MEMBER
};
extern const struct sm_table dht_join_table;

struct dht_join {
    uint8_t state;            /* enum dht_join_state */
    bool is_told;             /* JOINED has been reported since we were last cut off */
    bool has_news;            /* JOINED is to be reported */
    uint8_t fill_next;        /* FILL: bucket to refresh next + 1 */
    struct dht_contact *boot; /* n_boot given ones; owned */
    uint16_t n_boot, next_boot;
    struct dht_contact anchors[DHT_ANCHORS];
    uint8_t n_anchors, next_anchor;
    uint64_t backoff_us;
    uint64_t missing_us; /* MEMBER: pause before the next look at who is missing */
    uint64_t due_us;     /* WAIT: next try; MEMBER: refresh of the neighbourhood */
    uint32_t bucket_due_s[DHT_BUCKETS];
};

void dht_join_init(struct dht *d);
void dht_join_done(struct dht *d);
/* Replaces nothing: adds what is new. Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err dht_join_add_contacts(struct dht *d, const struct dht_contact *contacts,
                                                size_t n);
void dht_join_start(struct dht *d);
/* Somebody became a member of the table. */
void dht_join_on_member(struct dht *d);
/* A member was lost; `contact` (not NULL) may be asked when nobody else is left. */
void dht_join_on_lost(struct dht *d, const struct dht_contact *contact);
/* Somebody else's search has asked the nodes around `target`: its bucket is refreshed by that. */
void dht_join_on_asked(struct dht *d, const struct dht_pos *target);
void dht_join_on_search(struct dht *d, const struct dht_search *s);
void dht_join_tick(struct dht *d);
uint64_t dht_join_deadline(const struct dht *d);
