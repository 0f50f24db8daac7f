/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Records that we hold for others (overlay 2.4), of all kinds of record.h. A signed one is
 * accepted only from its publisher's own session, whose certificate says whether it may
 * publish and until when; an IMMUTABLE one counts as the sender's.
 *
 * Invariant: every record held proves its key, is not here longer than its kind's TTL,
 * ends before its publisher's certificate; counters equal a recount. An update never
 * counts as a second record. Nothing is kept over a restart, so nothing outlives its end.
 *
 * Bounds: records and bytes in all, a publisher, a network of another lab, a key. Records
 * are allocated one by one, exact in size, within these bounds: the one allocation that a
 * packet can cause in the DHT. What is farthest from us is given up first.
 */
#include "base/cert.h"
#include "base/list.h"
#include "base/mem.h"
#include "dht/record.h"

#define DHT_STORE_RECORDS_MAX 65536              /* of the smallest: 20 MiB with heads */
#define DHT_STORE_BYTES_MAX (64u * 1024 * 1024)  /* OpenDHT's default; with heads */
#define DHT_STORE_PUBLISHER_MAX 4096             /* records a publisher */
#define DHT_STORE_PUBLISHER_BYTES (1024u * 1024) /* bytes a publisher */
#define DHT_STORE_NET_BYTES (4u * 1024 * 1024)   /* a v4 /24 or v6 /48 of another lab */
#define DHT_STORE_KEY_MAX 256                    /* providers a key */
#define DHT_STORE_BUCKETS_MIN 16                 /* lists of the index; doubled as it fills */
#define DHT_STORE_SWEEP_US (60 * US_PER_S)       /* what has expired is dropped that often */
#define DHT_RECORD_TTL_US (2 * 3600 * US_PER_S)
#define DHT_MUTABLE_TTL_US (24 * 3600 * US_PER_S)
#define DHT_IMMUTABLE_TTL_US (24 * 3600 * US_PER_S)
#define DHT_PROVIDER_TTL_US (4 * 3600 * US_PER_S)
#define DHT_REPLICAS 8 /* holders of a record */

/* What one publisher, or one network, has here. */
struct dht_account {
    struct list link;
    uint8_t name[33]; /* 0 and the key, or 4 or 6 and the prefix */
    uint32_t n;
    size_t bytes;
};

struct dht_held {
    struct list link; /* of its list in the index */
    struct dht_pos key;
    struct node_id publisher; /* PROVIDER: part of the name; IMMUTABLE: who stored it */
    uint64_t seq;
    uint64_t expires_us;
    struct dht_account *owner, *net; /* net NULL: of our own lab */
    uint16_t len;
    uint8_t kind;
    uint8_t bytes[]; /* as received: what was signed */
};

struct dht_store_config {
    struct mem *mem;
    struct mesh_id mesh;
    struct dht_pos self;
    uint8_t secret[16];         /* of the index: nobody can choose keys that share a list */
    char lab[CERT_LAB_MAX + 1]; /* ours; "": every lab counts as ours */
    uint32_t n_max;             /* 0: the constants above, for each */
    size_t bytes_max;
    uint32_t publisher_max, key_max;
    size_t publisher_bytes, net_bytes;
};

struct dht_store {
    struct dht_store_config config;
    struct list *index; /* n_lists records, then n_lists accounts; NULL: nothing held yet */
    uint32_t n_lists;
    uint32_t n, n_accounts;
    size_t bytes; /* of records, with heads */
    uint64_t swept_us;
    uint64_t n_equivocations; /* same seq, other bytes */
};

void dht_store_init(struct dht_store *s, const struct dht_store_config *config);
void dht_store_done(struct dht_store *s);

struct dht_put {
    uint64_t now_us;
    int64_t wall_ms;                /* Unix ms: ends with the certificate */
    const struct cert_facts *facts; /* of the session it came by */
    const struct addr *from;        /* where that is; NULL: counted for no network */
    uint8_t kind;
    bool has_cas; /* only if what is held has this seq, or nothing is held */
    uint64_t cas;
    struct slice bytes;
};
/* Stores or refuses; `ret_seq` is the seq held afterwards (0: none). Fault: IPX_NO_MEMORY is
 * answered as DHT_STATUS_FULL: a peer must not be able to end us. */
enum dht_status dht_store_put(struct dht_store *s, const struct dht_put *put, uint64_t *ret_seq);
/* NULL: none, or expired. Valid until the next call that changes the store. */
const struct dht_held *dht_store_get(const struct dht_store *s, uint64_t now_us, uint8_t kind,
                                     const struct dht_pos *key);
/* Those of one kind under a key, at most `max` of them, in no order; returns how many. */
size_t dht_store_get_all(const struct dht_store *s, uint64_t now_us, uint8_t kind,
                         const struct dht_pos *key, const struct dht_held **ret, size_t max);
/* The publisher is gone for good (revoked): all that is its own, too. */
void dht_store_remove_publisher(struct dht_store *s, const struct node_id *publisher);
/* Drops what has expired. */
void dht_store_sweep(struct dht_store *s, uint64_t now_us);

/* A record read from somebody: form, signature, and that it belongs under this key.
 * Conditions: IPX_MALFORMED, IPX_LIMIT, IPX_BAD_SIGNATURE, IPX_CONFLICT (of another key). */
IPX_MUST_USE enum ipx_err dht_store_verify(uint8_t kind, struct slice bytes,
                                           const struct mesh_id *mesh, const struct dht_pos *key,
                                           struct dht_item *ret);

void dht_store_check(const struct dht_store *s);

/* --- the accounts, store_account.c; not for use outside the store --- */
/* Where an item of this name lies in the index. */
uint32_t dht_store_list_of(const struct dht_store *s, const void *name, size_t len);
/* The account of a publisher or of a network, made if there is none. NULL: no memory. */
struct dht_account *dht_store_owner(struct dht_store *s, const struct node_id *publisher);
struct dht_account *dht_store_net(struct dht_store *s, const struct addr *from);
void dht_store_credit(struct dht_account *a, size_t bytes);
/* One record less; an account of nothing is freed. */
void dht_store_debit(struct dht_store *s, struct dht_account *a, size_t bytes);
/* Frees an account that was made and then not used. */
void dht_store_drop_if_empty(struct dht_store *s, struct dht_account *a);
/* Room in the index for one record more. False: no memory. */
bool dht_store_grow(struct dht_store *s);
