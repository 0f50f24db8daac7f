/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Messages and records of the DHT as bytes (docs/wire/dht.md). Encode and decode
 * of one message stand side by side in wire.c; all of them share one struct, in
 * which each type uses the fields named at it.
 *
 * Decoding checks form only: lengths, counts, key order, canonical numbers. What
 * a contact or a record claims is judged elsewhere (guard.h, store.h).
 */
#include "base/addr.h"
#include "base/cbor.h"
#include "base/crypt.h"

#define DHT_BODY_MAX 1100       /* one datagram: 1,200 less headers, tag and message header */
#define DHT_CONTACTS_MAX 16     /* contacts a message: 16 with v4 are 912 B, one packet */
#define DHT_CONTACT_WIRE_MAX 67 /* pk 32, nonce 16, flags 1, v6 18; 55 with v4 */
#define DHT_RECORD_MAX 512      /* a NODE record, overlay 2.4; ENR has 300 */
#define DHT_VALUE_MAX 1000      /* the longest record of any kind, record.h */
#define DHT_RECORDS_MAX 5       /* records an answer: PROVIDER ones, 200 bytes each */
#define DHT_RECORD_ADDRS_MAX 8
#define DHT_SAVE_CONTACTS_MAX 256 /* contacts kept on disk */
#define DHT_SAVE_BYTES_MAX (DHT_SAVE_CONTACTS_MAX * (DHT_CONTACT_WIRE_MAX + 2) + 32)

/* Odd numbers answer the even number before them. */
enum dht_type {
    DHT_PING = 16,      /* seq, flags */
    DHT_PONG = 17,      /* observed, seq */
    DHT_FIND_NODE = 18, /* target, flags, want */
    DHT_NODES = 19,     /* contacts */
    DHT_GET = 20,       /* target (the key), kind, flags, want, seq (what the asker has) */
    DHT_VALUE = 21,     /* record (may be empty), contacts, more records */
    DHT_STORE = 22,     /* kind, record, cas */
    DHT_STORED = 23     /* status, seq (what the holder has) */
};

#define DHT_WANT_V4 1u
#define DHT_WANT_V6 2u
/* Flags of a node, in requests (the sender's own) and in contacts. */
#define DHT_FLAG_CLIENT 1u /* asks, but enters no table */
/* Local only: a contact from a ticket or a configured name, whose nonce is not known. Never on the
 * wire. */
#define DHT_FLAG_NO_NONCE 0x80u

enum dht_kind {
    DHT_KIND_NODE = 1,
    DHT_KIND_MUTABLE = 2,
    DHT_KIND_IMMUTABLE = 3,
    DHT_KIND_PROVIDER = 4,
    DHT_KIND_END
};

enum dht_status {
    DHT_STATUS_OK = 0,
    DHT_STATUS_STALE = 1,    /* a higher seq is held: `seq` */
    DHT_STATUS_CONFLICT = 2, /* same seq, other bytes: the first is kept */
    DHT_STATUS_BAD = 3,      /* malformed, signature, or not the sender's own */
    DHT_STATUS_FAR = 4,      /* the holder is not near the key */
    DHT_STATUS_FULL = 5,
    DHT_STATUS_EXPIRED = 6, /* certificate over */
    DHT_STATUS_CAS = 7,     /* another seq is held than the one that was to be replaced: `seq` */
    DHT_STATUS_TOO_BIG = 8, /* longer than its kind may be */
    DHT_STATUS_QUOTA = 9,   /* the publisher's, its network's or the key's share is used up */
    DHT_STATUS_DENIED = 10  /* the certificate does not allow to publish */
};
#define DHT_STATUS_MAX 255 /* unknown ones are read as "refused" */

/* How to reach a peer and where it says it stands. A claim until a session shows the
 * certificate: only that makes the position true. */
struct dht_contact {
    struct node_id id;
    uint8_t nonce[16]; /* placement nonce; its position is dht_pos_of(mesh, nonce, id) */
    uint8_t flags;
    struct addr addr;
};

struct dht_wire_msg {
    uint8_t type; /* enum dht_type */
    uint8_t kind;
    uint8_t flags;
    uint8_t want;
    uint8_t status;
    uint8_t n_contacts;
    struct dht_pos target;
    uint64_t seq;
    struct addr observed;
    struct slice record; /* borrowed: from the body when decoded */
    bool has_cas;        /* STORE: replace only what has `seq` */
    uint8_t n_more;      /* VALUE: records beside the first */
    struct slice more[DHT_RECORDS_MAX - 1];
    struct dht_contact contacts[DHT_CONTACTS_MAX];
};

/* A decoded NODE record: what a node says of itself, signed by its own key. Key = its position. */
struct dht_record {
    struct node_id id;
    uint8_t nonce[16];
    uint64_t seq;
    struct hash chain_hash;
    uint64_t features;
    uint8_t n_addrs;
    struct addr addrs[DHT_RECORD_ADDRS_MAX];
};

static inline bool dht_type_is_request(uint8_t type)
{
    return type >= DHT_PING && type <= DHT_STORED && (type & 1) == 0;
}
static inline bool dht_type_is_reply(uint8_t type)
{
    return type >= DHT_PING && type <= DHT_STORED && (type & 1) != 0;
}

/* Writes the body of `m`. Of the contacts as many as fit into the writer, in their order. */
void dht_wire_encode(const struct dht_wire_msg *m, struct writer *w);
/* Conditions: IPX_MALFORMED (also for a type that is none of ours). */
IPX_MUST_USE enum ipx_err dht_wire_decode(uint8_t type, struct slice body,
                                          struct dht_wire_msg *ret);

/* Signs and writes `r` (whose id is the key's). */
void dht_record_encode(const struct dht_record *r, const struct crypt_keypair *key,
                       const struct mesh_id *mesh, struct writer *w);
/* Form and signature. Conditions: IPX_MALFORMED, IPX_LIMIT (too long), IPX_BAD_SIGNATURE. */
IPX_MUST_USE enum ipx_err dht_record_decode(struct slice bytes, const struct mesh_id *mesh,
                                            struct dht_record *ret);

/* An address as one field of a message or a record. */
void dht_addr_put(struct writer *w, const struct addr *a);
struct addr dht_addr_get(struct cbor_reader *r); /* ADDR_NONE: the reader has failed */

/* One contact as the bytes of a CBOR byte string; used by messages and by the file on disk. */
size_t dht_contact_encode(const struct dht_contact *c, uint8_t out[static DHT_CONTACT_WIRE_MAX]);
IPX_MUST_USE enum ipx_err dht_contact_decode(struct slice in, struct dht_contact *ret);

/* The file of contacts: {1: 1, 2: record seq, 4: [contact..]}; a nonce of zeros is not known. */
void dht_save_encode(const struct dht_contact *contacts, size_t n, uint64_t record_seq,
                     struct writer *w);
/* Up to `max` contacts. Conditions: IPX_MALFORMED (nothing is given back). */
IPX_MUST_USE enum ipx_err dht_save_decode(struct slice bytes, struct dht_contact *ret_contacts,
                                          size_t max, size_t *ret_n, uint64_t *ret_record_seq);
