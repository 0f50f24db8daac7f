/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Records that we publish (but for our NODE record: publish.h): each is put to the 8 nodes
 * nearest to its key (overlay 2.2 rule 6). Those that a search meets within the distance at
 * which the eighth is expected get it at once; the caller is told when 5 have it, while the
 * search and the rest go on. What is to be kept is put again by us alone, before its TTL
 * is over, until it is withdrawn; keys that lie together share one search.
 *
 * Invariant: at most 8 are being put and 1,024 kept, of 1 MiB together; a record is given
 * to one holder once a round; a caller is told exactly once. Part of dht.c's object; not
 * for use outside the folder.
 */
#include "base/list.h"
#include "dht/record.h"
#include "dht/search.h"
#include "dht/store.h"

#define DHT_PUTS_MAX 8
#define DHT_PUT_HOLDERS 12 /* 8 replicas, and early ones that turned out not to be of them */
#define DHT_PUT_ENOUGH 5   /* acks that let the caller go on */
#define DHT_KEEP_MAX 1024  /* records of ours that are renewed */
#define DHT_KEEP_BYTES_MAX (1024u * 1024)
#define DHT_KEEP_MUTABLE_US (11 * 3600 * US_PER_S)
#define DHT_KEEP_PROVIDER_US (110 * 60 * US_PER_S)
#define DHT_KEEP_SOON_US (20 * 60 * US_PER_S) /* due within: shares a neighbour's search */
#define DHT_KEEP_JITTER 20                    /* percent */

enum dht_put_state {
    DHT_PUT_SEEKING, /* the search for holders runs; early ones are given it already */
    DHT_PUT_STORING, /* the holders are known */
    DHT_PUT_OVER
};
extern const struct sm_table dht_put_table;

struct dht_putting {
    uint32_t handle;
    uint8_t state; /* enum dht_put_state */
    uint8_t kind;
    bool has_cas, is_silent; /* silent: nobody is to be told */
    bool is_told;
    uint8_t why; /* enum dht_status of the last refusal */
    uint8_t n_holders, next_holder, n_waiting, n_acks;
    uint64_t cas, seq; /* seq: the highest that a holder named */
    uint64_t begun_us;
    struct dht_pos key;
    struct dht_contact holders[DHT_PUT_HOLDERS];
    uint16_t len;
    uint8_t bytes[DHT_VALUE_MAX];
};

struct dht_kept {
    struct list link;
    struct dht_pos key;
    uint64_t due_us;
    uint8_t kind;
    uint16_t len;
    uint8_t bytes[];
};

struct dht_puts {
    struct dht_putting *slots[DHT_PUTS_MAX];
    uint32_t n_handles;
    struct list kept; /* struct dht_kept */
    uint32_t n_kept;
    size_t kept_bytes;
    uint64_t due_us; /* the earliest of the kept, NEVER_US: none */
};

struct dht_put_spec {
    uint8_t kind;
    const struct dht_pos *key;
    struct slice bytes;
    bool has_cas, keep;
    uint64_t cas;
};

void dht_puts_init(struct dht *d);
void dht_puts_done(struct dht *d);
/* Conditions: IPX_FULL (8 run, or too much is kept), IPX_UNREACHABLE (nobody known). Fault:
 * IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err dht_puts_start(struct dht *d, const struct dht_put_spec *spec,
                                         uint32_t *ret_handle);
/* Not renewed any more. False: it was not kept. */
bool dht_puts_withdraw(struct dht *d, uint8_t kind, const struct dht_pos *key);

/* A candidate of a PUT's search has answered. */
void dht_put_on_candidate(struct dht *d, const struct dht_search *s, uint16_t tx);
void dht_put_on_search(struct dht *d, const struct dht_search *s);
/* A holder's answer; DHT_STATUS_MAX: none came. */
void dht_put_on_stored(struct dht *d, uint32_t handle, uint8_t status, uint64_t seq);
void dht_puts_tick(struct dht *d);
bool dht_puts_poll(struct dht *d, struct dht_action *ret);
uint64_t dht_puts_deadline(const struct dht *d);
void dht_puts_check(const struct dht *d);
