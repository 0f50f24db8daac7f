/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Records that we hold for others (overlay 2.4). NODE records now: one a
 * publisher, key = its position, accepted only from the publisher's own session.
 *
 * Invariant: every record held was signed by the key it names, has not been longer
 * here than its TTL, ends before its publisher's certificate; counters equal a
 * recount. An update never counts as a second record.
 *
 * Records are allocated one by one, exact in size, within the budget: this is the
 * one allocation that a packet can cause in the DHT. Each publisher can cause one.
 */
#include "base/cert.h"
#include "base/list.h"
#include "base/mem.h"
#include "dht/wire.h"

#define DHT_STORE_RECORDS_MAX 256        /* 8 a node on average, 32 for an unlucky one */
#define DHT_STORE_BYTES_MAX (256 * 1024) /* = that many of the longest, with heads */
#define DHT_RECORD_TTL_US (2 * 3600 * US_PER_S)
#define DHT_REPLICAS 8 /* holders of a record */

struct dht_held {
    struct list link; /* in the order of arrival */
    struct dht_pos key;
    uint64_t seq;
    uint64_t expires_us;
    uint16_t len;
    uint8_t bytes[]; /* as received: what was signed */
};

struct dht_store {
    struct mem *mem;
    struct mesh_id mesh;
    struct dht_pos self;
    struct list records;
    uint32_t n, n_max;
    size_t bytes, bytes_max;  /* with heads */
    uint64_t n_equivocations; /* same seq, other bytes */
};

struct dht_store_config {
    struct mem *mem;
    struct mesh_id mesh;
    struct dht_pos self;
    uint32_t n_max;   /* 0: DHT_STORE_RECORDS_MAX */
    size_t bytes_max; /* 0: DHT_STORE_BYTES_MAX */
};

void dht_store_init(struct dht_store *s, const struct dht_store_config *config);
void dht_store_done(struct dht_store *s);

struct dht_put {
    uint64_t now_us;
    int64_t wall_ms;                /* Unix ms: ends with the certificate */
    const struct cert_facts *facts; /* of the session it came by */
    struct slice bytes;
};
/* Stores or refuses; `ret_seq` is the seq held afterwards (0: none). Fault: IPX_NO_MEMORY is
 * answered as DHT_STATUS_FULL: a peer must not be able to end us. */
enum dht_status dht_store_put(struct dht_store *s, const struct dht_put *put, uint64_t *ret_seq);
/* NULL: none, or expired. Valid until the next call that changes the store. */
const struct dht_held *dht_store_get(const struct dht_store *s, uint64_t now_us,
                                     const struct dht_pos *key);
/* The publisher is gone for good (revoked): its record too. */
void dht_store_remove(struct dht_store *s, const struct dht_pos *key);
/* Drops what has expired. */
void dht_store_sweep(struct dht_store *s, uint64_t now_us);

/* A record read from somebody: form, signature, and that it belongs under this key.
 * Conditions: IPX_MALFORMED, IPX_LIMIT, IPX_BAD_SIGNATURE, IPX_CONFLICT (of another key). */
IPX_MUST_USE enum ipx_err dht_store_verify(struct slice bytes, const struct mesh_id *mesh,
                                           const struct dht_pos *key, struct dht_record *ret);

void dht_store_check(const struct dht_store *s);
