/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Gossip on the wire (docs/wire/gossip.md): the messages 32 to 39, the *items* that ride in
 * them, and the signed statements inside the items.
 *
 * An item is self-contained: [kind, body, signature] and is forwarded byte for byte as it came.
 * Signatures cover the body under the kind's own type string. Decoders copy nothing but fixed
 * fields; slices point into the input. All decoders: Conditions: IPX_MALFORMED.
 */
#include "base/addr.h"
#include "base/cbor.h"
#include "base/crypt.h"
#include "gossip/vitals.h"

enum gossip_type {
    GOSSIP_TYPE_PING = 32,
    GOSSIP_TYPE_ACK,
    GOSSIP_TYPE_PING_REQ,
    GOSSIP_TYPE_NACK,
    GOSSIP_TYPE_SPREAD,
    GOSSIP_TYPE_DIGEST,
    GOSSIP_TYPE_DIFF,
    GOSSIP_TYPE_PULL
};

#define GOSSIP_BODY_MAX 1100      /* largest message body over datagrams */
#define GOSSIP_ITEMS_MAX 23       /* items a message: the array header stays one byte */
#define GOSSIP_ITEMS_LEN_MAX 1092 /* array of items, header included; a chain of 1,064 fits */
#define GOSSIP_CHAIN_MAX 1064     /* = CERT_CHAIN_MAX */
#define GOSSIP_ADDRS_MAX 4
#define GOSSIP_DOC_MAX 300 /* a redemption or revocation */
#define GOSSIP_AD_MAX 4096 /* content of an ad */
#define GOSSIP_BUCKETS 64  /* of the digest, by the first six bits of a key */
#define GOSSIP_DIGEST_LEN (GOSSIP_BUCKETS * 8)
#define GOSSIP_DOC_BUCKETS 8 /* of documents, by the first three bits of a key */
#define GOSSIP_DOC_DIGEST_LEN (GOSSIP_DOC_BUCKETS * 8)
#define GOSSIP_SALT_LEN 16
#define GOSSIP_DIFF_ENTRY_LEN 40 /* struct gossip_version */
#define GOSSIP_DIFF_ENTRIES_MAX 25
#define GOSSIP_DIFF_DOCS_MAX 125 /* entries of 8 bytes */
#define GOSSIP_PULL_ENTRY_LEN 9
#define GOSSIP_PULLS_MAX 64

static_assert(GOSSIP_DIFF_ENTRY_LEN * GOSSIP_DIFF_ENTRIES_MAX + 40 <= GOSSIP_BODY_MAX,
              "one packet");
static_assert(GOSSIP_PULL_ENTRY_LEN * GOSSIP_PULLS_MAX + 16 <= GOSSIP_BODY_MAX, "one packet");

/* A boot of a node: compared generation first, then nonce (overlay 1.1). */
struct gossip_boot {
    uint32_t generation;
    uint64_t nonce;
};
int gossip_boot_compare(const struct gossip_boot *a, const struct gossip_boot *b);

enum gossip_kind {
    GOSSIP_KIND_ALIVE = 1,
    GOSSIP_KIND_SUSPECT,
    GOSSIP_KIND_DEAD,
    GOSSIP_KIND_LEAVE,
    GOSSIP_KIND_AD,
    GOSSIP_KIND_AD_NOTE,
    GOSSIP_KIND_VITALS,
    GOSSIP_KIND_CHAIN,
    GOSSIP_KIND_DOC
};
/* "alive", "suspect", ..: what the signature is bound to; NULL where the item has none. */
const char *gossip_kind_sign_type(enum gossip_kind kind);

struct gossip_item {
    enum gossip_kind kind;
    struct slice body;  /* signed part; CHAIN: the chain; DOC: the document */
    struct slice sig;   /* 64 bytes; empty for CHAIN and DOC */
    struct slice extra; /* AD: the content, bound by its hash in the body */
    uint8_t doc_kind;   /* DOC */
    struct hash key;    /* DOC */
    struct slice raw;   /* the whole item, for forwarding */
};

void gossip_item_put(struct writer *w, const struct gossip_item *item);
/* Reads one item and leaves the reader behind it; failure is sticky in the reader. */
void gossip_item_read(struct cbor_reader *r, struct gossip_item *ret);
/* Signs a body and writes the whole item. */
void gossip_item_sign(struct writer *w, enum gossip_kind kind, const struct crypt_keypair *key,
                      const struct mesh_id *mesh, struct slice body, struct slice extra);
bool gossip_item_verify(const struct gossip_item *item, const struct node_id *signer,
                        const struct mesh_id *mesh);

struct gossip_alive {
    struct node_id pk;
    struct gossip_boot boot;
    uint32_t incarnation;
    uint64_t record_seq; /* of the node's NODE record in the DHT */
    struct addr addrs[GOSSIP_ADDRS_MAX];
    uint8_t n_addrs;
    struct addr coat; /* where its links wear a coat; ADDR_NONE: nowhere */
    struct hash chain_hash;
};
void gossip_alive_encode(const struct gossip_alive *a, struct writer *w);
IPX_MUST_USE enum ipx_err gossip_alive_decode(struct slice in, struct gossip_alive *ret);

struct gossip_claim { /* SUSPECT, DEAD: signed by `by`; LEAVE: by == about, encoded once */
    struct node_id by, about;
    struct gossip_boot boot;
    uint32_t incarnation;
};
void gossip_claim_encode(enum gossip_kind kind, const struct gossip_claim *c, struct writer *w);
IPX_MUST_USE enum ipx_err gossip_claim_decode(enum gossip_kind kind, struct slice in,
                                              struct gossip_claim *ret);

struct gossip_ad_note { /* what the owner signs of an ad */
    struct node_id pk;
    struct gossip_boot boot;
    uint32_t version;
    struct hash hash; /* of the content */
    uint16_t len;
};
void gossip_ad_note_encode(const struct gossip_ad_note *n, struct writer *w);
IPX_MUST_USE enum ipx_err gossip_ad_note_decode(struct slice in, struct gossip_ad_note *ret);

struct gossip_vitals_note {
    uint64_t prefix; /* of the key: whoever holds the member knows the rest */
    struct gossip_boot boot;
    struct gossip_vitals vitals;
};
void gossip_vitals_note_encode(const struct gossip_vitals_note *n, struct writer *w);
IPX_MUST_USE enum ipx_err gossip_vitals_note_decode(struct slice in,
                                                    struct gossip_vitals_note *ret);

/* What one side of a DIFF knows of one member. */
struct gossip_version {
    uint64_t prefix; /* first eight bytes of the key, big-endian */
    struct gossip_boot boot;
    uint32_t incarnation;
    struct gossip_boot ad_boot;
    uint32_t ad_version; /* 0: no ad */
};
void gossip_version_put(struct writer *w, const struct gossip_version *v);
void gossip_version_read(struct reader *r, struct gossip_version *ret);

enum gossip_want {
    GOSSIP_WANT_STATE = 1,
    GOSSIP_WANT_CHAIN = 2,
    GOSSIP_WANT_AD = 4,
    GOSSIP_WANT_DOC = 8
};

/* All messages in one flat struct; which fields count depends on the type. */
struct gossip_msg {
    bool has_vitals; /* PING, ACK, PING_REQ */
    struct gossip_vitals vitals;
    bool has_known; /* PING: what the sender knows of the receiver */
    uint32_t known_generation;
    uint32_t known_incarnation;
    struct slice items;            /* raw array of items; empty slice if absent */
    struct node_id target;         /* PING_REQ */
    uint8_t salt[GOSSIP_SALT_LEN]; /* DIGEST */
    struct slice digest;           /* DIGEST: GOSSIP_DIGEST_LEN bytes */
    struct slice doc_digest;       /* DIGEST: GOSSIP_DOC_DIGEST_LEN bytes */
    bool is_docs;                  /* DIFF: mask and entries are of documents, not members */
    uint64_t mask;                 /* DIFF: bit b: bucket b differs; 0: all the same */
    uint64_t low, high;            /* DIFF: prefixes in masked buckets covered here, inclusive */
    struct slice entries;          /* DIFF: versions or 8-byte prefixes; PULL: prefix and wants */
};
void gossip_msg_encode(enum gossip_type type, const struct gossip_msg *m, struct writer *w);
IPX_MUST_USE enum ipx_err gossip_msg_decode(enum gossip_type type, struct slice in,
                                            struct gossip_msg *ret);

/* Walks the items of a decoded message. */
struct gossip_items {
    struct cbor_reader r;
    uint64_t left;
};
void gossip_items_begin(struct gossip_items *it, struct slice items);
bool gossip_items_next(struct gossip_items *it, struct gossip_item *ret);

/* Collects items for a message under a limit of bytes. */
struct gossip_packer {
    uint8_t bytes[GOSSIP_ITEMS_LEN_MAX];
    size_t len; /* header byte included once there is an item */
    size_t room;
    unsigned n;
};
void gossip_packer_init(struct gossip_packer *p, size_t room);
/* False (and nothing added) if it does not fit. */
bool gossip_packer_add(struct gossip_packer *p, struct slice item);
bool gossip_packer_add_item(struct gossip_packer *p, const struct gossip_item *item);
/* Empty if there is no item. Valid as long as the packer and until the next add. */
struct slice gossip_packer_items(struct gossip_packer *p);
