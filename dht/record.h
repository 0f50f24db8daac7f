/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What may be held under a key, and how it proves that it belongs there (overlay 2.4):
 *
 *   NODE       what a node says of itself      key: its position       signed
 *   MUTABLE    a value under a key and a salt  key: H("mut" pk salt)   signed, seq counts up
 *   IMMUTABLE  a value                         key: H(value)           is its own proof
 *   PROVIDER   "I hold this content"           key: the content's hash signed, many a key
 *
 * Reading a record checks its form, its signature and its key; who may publish, and until
 * when, is what a certificate says, and judged in store.h. Nothing is copied: the value
 * borrows from the bytes. (The encoding of NODE records is in wire.h.)
 */
#include "dht/wire.h"

#define DHT_SALT_MAX 32
#define DHT_MUTABLE_VALUE_MAX 600
#define DHT_IMMUTABLE_MAX 1000 /* with a message's head and one contact it fills a datagram */
#define DHT_PROVIDER_MAX 200   /* bytes of the record: five fit one answer */
#define DHT_PROVIDERS_TOLD 64  /* from which these are drawn */

struct dht_item {
    uint8_t kind; /* enum dht_kind */
    struct dht_pos key;
    struct node_id publisher; /* zeros: IMMUTABLE has none */
    uint64_t seq;             /* 0: IMMUTABLE */
    struct hash chain_hash;   /* of the publisher's certificate chain; zeros: IMMUTABLE */
    struct slice salt;        /* MUTABLE */
    struct slice value;       /* MUTABLE, IMMUTABLE */
    uint64_t size;            /* PROVIDER: of the content, bytes */
    uint8_t flags;            /* PROVIDER: the application's */
};

/* Where a MUTABLE or an IMMUTABLE one lies. */
struct dht_pos dht_mutable_key(const struct node_id *publisher, struct slice salt);
struct dht_pos dht_immutable_key(struct slice value);

/* Signs and writes a MUTABLE (salt, value, seq, chain_hash) or a PROVIDER (key, seq, size,
 * flags, chain_hash); an IMMUTABLE is its value. The publisher is the key's. */
void dht_item_encode(const struct dht_item *item, const struct crypt_keypair *key,
                     const struct mesh_id *mesh, struct writer *w);
/* Only the key it claims, nothing verified: what is far is refused without work. False: no key. */
bool dht_item_key(uint8_t kind, struct slice bytes, struct dht_item *ret);
/* Conditions: IPX_MALFORMED (also an unknown kind), IPX_LIMIT (too long for its kind),
 * IPX_BAD_SIGNATURE. */
IPX_MUST_USE enum ipx_err dht_item_read(uint8_t kind, struct slice bytes,
                                        const struct mesh_id *mesh, struct dht_item *ret);
