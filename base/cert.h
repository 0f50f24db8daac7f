/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Membership certificates: who a key is and what it may do (overlay 1.2).
 *
 * A *chain* is what a node shows of itself, one CBOR item in one of two forms:
 *   plain    [1, node certificate, issuer certificate]
 *   admitted [2, ticket body + issuer's signature, redemption, issuer certificate,
 *             admitter's node certificate hash]    (before an ISSUE holder was met)
 * Chain root -> issuer -> node, no deeper; caps and validity only ever shrink, the lab is
 * equal unless the parent's is "*". The root is known by the mesh id alone; the issuer
 * certificate carries the root's public key.
 *
 * Verification is pure: the wall clock is a parameter. What it yields
 * (`struct cert_facts`) is the only source of lab, name and caps anywhere.
 */
#include "base/cbor.h"
#include "base/crypt.h"

#define CERT_NAME_MAX 24 /* bytes, [a-z][a-z0-9-]* */
#define CERT_LAB_MAX 16
#define CERT_PREFIX_MAX 4        /* label-prefix constraints a certificate */
#define CERT_PREFIX_LEN_MAX 32
#define CERT_BYTES_MAX 480       /* one encoded certificate with signature */
#define CERT_CHAIN_MAX 1064      /* a chain must fit a padded INIT */
#define CERT_SKEW_MS (5 * 60 * 1000) /* allowance for clocks that differ */
#define CERT_NODE_LIFE_MS (INT64_C(30) * 24 * 3600 * 1000)
#define CERT_ISSUER_LIFE_MS (INT64_C(365) * 24 * 3600 * 1000)
#define CERT_ROOT_LIFE_MS (INT64_C(3650) * 24 * 3600 * 1000)

enum cert_kind { CERT_KIND_ISSUER = 1, CERT_KIND_NODE = 2, CERT_KIND_TREATY = 3 };

enum cert_cap {
    CERT_CAP_JOIN = 1 << 0, CERT_CAP_ADMIT = 1 << 1, CERT_CAP_ISSUE = 1 << 2,
    CERT_CAP_REVOKE = 1 << 3, CERT_CAP_RELAY = 1 << 4, CERT_CAP_PUBLISH = 1 << 5,
    CERT_CAP_OFFER = 1 << 6, CERT_CAP_SUBMIT = 1 << 7, CERT_CAP_ADMIN = 1 << 8
};
#define CERT_ROLE_USER (CERT_CAP_JOIN | CERT_CAP_SUBMIT)
#define CERT_ROLE_NODE (CERT_ROLE_USER | CERT_CAP_OFFER | CERT_CAP_PUBLISH | CERT_CAP_ADMIT)
#define CERT_ROLE_OPERATOR (CERT_ROLE_NODE | CERT_CAP_ISSUE | CERT_CAP_REVOKE | CERT_CAP_RELAY)

/* What a verified chain says about its subject. A plain value; copied freely. */
struct cert_facts {
    struct node_id id;
    struct node_id issuer;
    struct node_id admitter; /* = issuer where the issuer admitted */
    struct dht_pos pos;      /* from the placement nonce */
    uint8_t nonce[16];       /* placement nonce */
    char name[CERT_NAME_MAX + 1];
    char lab[CERT_LAB_MAX + 1];
    uint32_t caps;           /* enum cert_cap bits */
    int64_t not_before_ms;   /* wall clock, Unix ms */
    int64_t not_after_ms;
    int64_t admitted_ms;     /* earlier admission wins a name or a ticket */
    uint64_t serial;         /* of the certificate or ticket */
    struct hash chain_hash;  /* BLAKE2b-256 of the chain bytes */
    bool is_plain;           /* only a plain certificate may admit others */
};
