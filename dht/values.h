/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The commands of the DHT object (dht.h) that put records of ours and get others'. What
 * the kinds of records are is in record.h, how a put goes in put.h.
 *
 * Copies what it is given; results come as actions of dht_poll.
 */
#include "dht/record.h"

struct dht;

/* Puts a record of ours to the 8 nodes nearest to its key; STORED follows once, when 5 of them have
 * it or nobody is left to ask. `keep`: we put it again before it ends, until it is withdrawn or
 * the process ends. Conditions: IPX_FULL (8 run, or too much is kept), IPX_UNREACHABLE (no member
 * known), IPX_LIMIT (value or salt too long, or empty). Fault: IPX_NO_MEMORY. */
struct dht_mutable_spec {
    struct slice salt, value; /* <= 32, <= 600 bytes */
    uint64_t seq;             /* counts up; the caller keeps it over restarts */
    bool has_cas, keep;       /* cas: only where `cas` is the seq held, or nothing is */
    uint64_t cas;
    struct hash chain_hash; /* of our certificate's chain */
};
IPX_MUST_USE enum ipx_err dht_put_mutable(struct dht *d, uint64_t now_us,
                                          const struct dht_mutable_spec *spec,
                                          uint32_t *ret_handle);
/* <= 1,000 bytes, found by dht_immutable_key. */
IPX_MUST_USE enum ipx_err dht_put_immutable(struct dht *d, uint64_t now_us, struct slice value,
                                            bool keep, uint32_t *ret_handle);
struct dht_provide_spec {
    struct dht_pos key; /* the content's hash */
    uint64_t size, seq;
    uint8_t flags;
    bool keep;
    struct hash chain_hash;
};
IPX_MUST_USE enum ipx_err dht_provide(struct dht *d, uint64_t now_us,
                                      const struct dht_provide_spec *spec, uint32_t *ret_handle);
/* Not renewed any more; what others hold ends by itself. False: it was not kept. */
bool dht_withdraw(struct dht *d, uint64_t now_us, uint8_t kind, const struct dht_pos *key);

struct dht_get_spec {
    uint8_t kind;     /* enum dht_kind */
    uint8_t n_wanted; /* PROVIDER: enough of them (1 to DHT_PROVIDERS_MAX); 0: all that are met */
    struct dht_pos key;
};
/* As dht_find, for a record: FOUND has it (dht_item_read takes it apart), or has the providers. Of
 * a signed one signature and key are verified, who may publish was verified by its holders. */
IPX_MUST_USE enum ipx_err dht_get(struct dht *d, uint64_t now_us, const struct dht_get_spec *spec,
                                  uint32_t *ret_handle);
