/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Requests in flight: ids, whom they were put to, when they are given up.
 *
 * Invariant: an answer is delivered to at most one request: the one with its id,
 * of the type it answers, put to the very peer whose session it came by. A request
 * is never sent twice (overlay 1.3: another node is asked instead); after 2 s it
 * is over, whatever comes later.
 */
#include "base/rng.h"
#include "dht/wire.h"

#define DHT_CALLS_MAX 48                      /* 4 lookups with 8 asked and 4 stalled each */
#define DHT_CALL_HARD_US (2 * US_PER_S)       /* overlay 2.2 rule 3 */
#define DHT_HISTORY 32                        /* last outcomes that decide about alpha */
#define DHT_SOFT_MIN_US (100 * US_PER_MS)     /* overlay 1.3: RTO in [100 ms, 2 s] */
#define DHT_SOFT_UNKNOWN_US (400 * US_PER_MS) /* before anybody has answered */

struct dht_call {
    struct node_id to;
    uint64_t sent_us;
    uint32_t req_id;
    uint32_t handle;    /* of the search or the put it belongs to; 0: none */
    uint16_t candidate; /* which candidate of that lookup */
    uint8_t type;       /* enum dht_type of the request; 0: free */
};

struct dht_rpc {
    struct dht_call calls[DHT_CALLS_MAX];
    uint16_t n;
    uint32_t history; /* last 32 outcomes, a set bit is a time-out */
    uint8_t n_history;
    uint32_t srtt_us, rttvar_us; /* over all peers; 0: not measured */
};

void dht_rpc_init(struct dht_rpc *r);
bool dht_rpc_has_room(const struct dht_rpc *r);
/* Registers `call` (its req_id is chosen here) as sent now. There must be room. */
uint32_t dht_rpc_start(struct dht_rpc *r, struct rng *rng, uint64_t now_us,
                       const struct dht_call *call);
/* The request that this answers, which is thereby over. Conditions: IPX_NOT_FOUND (unknown, late,
 * of another type, or put to somebody else). */
IPX_MUST_USE enum ipx_err dht_rpc_take(struct dht_rpc *r, const struct node_id *from,
                                       uint8_t reply_type, uint32_t req_id, struct dht_call *ret);
/* The next request that is over unanswered at now_us. */
bool dht_rpc_expire(struct dht_rpc *r, uint64_t now_us, struct dht_call *ret);
/* The next request put to `to`, which cannot be reached: over. */
bool dht_rpc_drop_peer(struct dht_rpc *r, const struct node_id *to, struct dht_call *ret);
/* The lookup has begun anew: what it asked before is not to be taken for its own. */
void dht_rpc_forget(struct dht_rpc *r, uint32_t handle);
uint64_t dht_rpc_deadline(const struct dht_rpc *r);
/* How long an answer took, whoever gave it: what to expect of a peer that we do not know. */
void dht_rpc_on_rtt(struct dht_rpc *r, uint64_t rtt_us);
/* Mean and that many deviations. */
uint64_t dht_rpc_soft_us(const struct dht_rpc *r, unsigned n_vars);
/* More than 20 % of the last 32 requests were not answered. */
bool dht_rpc_is_lossy(const struct dht_rpc *r);
void dht_rpc_check(const struct dht_rpc *r);
