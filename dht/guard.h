/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What we believe of others' contacts (overlay 2.1, 2.2 rule 4): which endpoints
 * may be taken from whom and told to whom, and who lied so often that its contacts
 * are ignored for a while. Rates are limited below, in the session.
 *
 * Invariant: a peer is muted exactly if it was struck 3 times, and for 10 minutes
 * from the third. The table of strikes has a fixed size; the oldest is forgotten.
 */
#include "dht/wire.h"

#define DHT_STRIKES_MAX 3
#define DHT_STRIKES_MUTE_US (10 * 60 * US_PER_S)
#define DHT_STRIKES_FORGET_US (60 * 60 * US_PER_S) /* strikes that far apart are no pattern */
#define DHT_GUARD_PEERS                                                                            \
    16 /* liars that we keep in mind: more at once need as many certificates                       \
        */

enum dht_verdict {
    DHT_VERDICT_OK,
    DHT_VERDICT_ENDPOINT, /* no unicast endpoint, port 0 */
    DHT_VERDICT_SCOPE,    /* loopback or private from a sender that is further away */
    DHT_VERDICT_SELF,     /* ourselves */
    DHT_VERDICT_CLIENT,   /* enters no table */
    DHT_VERDICT_KEY,      /* sign bit set: no key of ours */
    DHT_VERDICT_N
};

struct dht_guard {
    struct {
        struct node_id id; /* strikes 0: free */
        uint64_t at_us;    /* the last strike */
        uint8_t strikes;
    } peers[DHT_GUARD_PEERS];
};

void dht_guard_init(struct dht_guard *g);

/* May a contact with address `c->addr` be taken from a sender at `from`? */
enum dht_verdict dht_guard_judge(const struct dht_contact *c, const struct node_id *self,
                                 const struct addr *from);
/* May `told` be handed to a peer at `to`, which wants these families (DHT_WANT_*)? */
bool dht_guard_may_tell(const struct addr *told, const struct addr *to, uint8_t want);

/* A contact of this peer turned out to be a lie. True: it is muted by this. */
bool dht_guard_strike(struct dht_guard *g, uint64_t now_us, const struct node_id *id);
bool dht_guard_is_muted(const struct dht_guard *g, uint64_t now_us, const struct node_id *id);
