/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Membership certificates: who a key is and what it may do (overlay 1.2; docs/wire/identity.md).
 *
 * A *chain* is what a node shows of itself, one CBOR item in one of two forms:
 *   plain    [1, node certificate, issuer certificate]
 *   admitted [2, ticket (body + issuer's signature), redemption, issuer certificate,
 *             hash of the admitter's plain chain]     (before an ISSUE holder was met)
 * Chain root -> issuer -> node, no deeper; caps and validity only ever shrink, the lab is
 * equal unless the parent's is "*". The root is known by the mesh id alone; the issuer
 * certificate carries the root's public key. An admitted chain needs the admitter's plain chain
 * beside it: who lacks that asks for it by its hash.
 *
 * Verification is pure: the wall clock (`wall_ms`, Unix ms) is a parameter. What it yields
 * (`struct cert_facts`) is the only source of lab, name and caps anywhere. Called by the session
 * plane (INIT, RESP, links), dht (positions), gossip (ads), node (joining, renewal).
 */
#include "base/signed.h"

#define CERT_NAME_MAX 24 /* bytes, [a-z][a-z0-9-]* */
#define CERT_LAB_MAX 16
#define CERT_PREFIX_MAX 4 /* label-prefix constraints a certificate */
#define CERT_PREFIX_LEN_MAX 32
#define CERT_PREFIX_TOTAL_MAX 64     /* bytes of all of them: an admitted chain must fit an INIT */
#define CERT_BYTES_MAX 480           /* one encoded certificate with signature */
#define CERT_CHAIN_MAX 1064          /* a chain must fit a padded INIT */
#define CERT_SKEW_MS (5 * 60 * 1000) /* allowance for clocks that differ */
#define CERT_NODE_LIFE_MS (INT64_C(30) * 24 * 3600 * 1000)
#define CERT_ISSUER_LIFE_MS (INT64_C(365) * 24 * 3600 * 1000)
#define CERT_ROOT_LIFE_MS (INT64_C(3650) * 24 * 3600 * 1000)
#define CERT_ADMITTED_EXTRA_MS (INT64_C(7) * 24 * 3600 * 1000) /* beyond the ticket */
#define CERT_TIME_MAX_MS (INT64_C(1) << 50)                    /* later times are malformed */
#define CERT_LAB_ANY "*"
#define CERT_CAPS_TEXT_SIZE 80
#define CERT_SHOWN_SIZE (CERT_NAME_MAX + 6) /* "name-xxxx" and NUL */

enum cert_kind { CERT_KIND_ISSUER = 1, CERT_KIND_NODE = 2, CERT_KIND_TREATY = 3 };

/* ISSUE in a node's certificate says "holds an issuer key"; the authority to sign comes only from
 * a certificate of kind ISSUER, which only the root makes. */
enum cert_cap {
    CERT_CAP_JOIN = 1 << 0,
    CERT_CAP_ADMIT = 1 << 1,
    CERT_CAP_ISSUE = 1 << 2,
    CERT_CAP_REVOKE = 1 << 3,
    CERT_CAP_RELAY = 1 << 4,
    CERT_CAP_PUBLISH = 1 << 5,
    CERT_CAP_OFFER = 1 << 6,
    CERT_CAP_SUBMIT = 1 << 7,
    CERT_CAP_ADMIN = 1 << 8
};
#define CERT_CAPS_ALL ((1 << 9) - 1)
#define CERT_ROLE_USER (CERT_CAP_JOIN | CERT_CAP_SUBMIT)
#define CERT_ROLE_NODE (CERT_ROLE_USER | CERT_CAP_OFFER | CERT_CAP_PUBLISH | CERT_CAP_ADMIT)
#define CERT_ROLE_OPERATOR (CERT_ROLE_NODE | CERT_CAP_ISSUE | CERT_CAP_REVOKE | CERT_CAP_RELAY)

/* Label names that PUBLISH is limited to; n = 0: any. "bio" covers "bio" and "bio.x". */
struct cert_prefixes {
    uint8_t n;
    uint8_t len[CERT_PREFIX_MAX];
    char bytes[CERT_PREFIX_TOTAL_MAX]; /* one after the other */
};

/* What a certificate or a ticket gives, and for how long. */
struct cert_grant {
    uint64_t serial;
    int64_t not_before_ms, not_after_ms; /* 0 <= before < after <= CERT_TIME_MAX_MS */
    uint32_t caps;                       /* enum cert_cap bits */
    char lab[CERT_LAB_MAX + 1];          /* CERT_LAB_ANY only of an issuer */
    struct cert_prefixes prefixes;
};

/* One certificate, decoded. A plain value. */
struct cert {
    struct mesh_id mesh;
    struct cert_grant grant;
    enum cert_kind kind;
    struct node_id subject, issuer;
    uint8_t path_len;             /* issuers that may follow below: 0 in every legal one */
    char name[CERT_NAME_MAX + 1]; /* of an issuer: may be "" */
    /* only kind NODE: */
    uint8_t nonce[16]; /* placement nonce */
    struct node_id admitter;
    struct node_id birth_issuer; /* of the ticket or first certificate; kept by renewals */
    uint64_t birth_serial;
    int64_t admitted_ms; /* kept by renewals too: the earlier keeps a name */
};

/* What a verified chain says about its subject. A plain value; copied freely. */
struct cert_facts {
    struct node_id id;
    struct node_id issuer;
    struct node_id admitter; /* = issuer where the issuer admitted */
    struct dht_pos pos;      /* from the placement nonce */
    uint8_t nonce[16];       /* placement nonce */
    char name[CERT_NAME_MAX + 1];
    char lab[CERT_LAB_MAX + 1];
    uint32_t caps;         /* enum cert_cap bits */
    int64_t not_before_ms; /* wall clock, Unix ms */
    int64_t not_after_ms;
    int64_t admitted_ms;         /* earlier admission wins a name or a ticket */
    uint64_t serial;             /* of the certificate or ticket */
    struct hash chain_hash;      /* BLAKE2b-256 of the chain bytes */
    bool is_plain;               /* only a plain certificate may admit others */
    struct node_id birth_issuer; /* revocations match it; names the ticket used */
    uint64_t birth_serial;
    struct cert_prefixes prefixes;
};

/* An ISSUE key with its certificate: what signs node certificates and tickets. */
struct cert_signer {
    struct crypt_keypair key;
    struct cert cert;
    uint8_t bytes[CERT_BYTES_MAX]; /* the encoded certificate */
    size_t len;
};

/* --- grammar and rules --- */
bool cert_name_is_valid(struct slice name);
bool cert_lab_is_valid(struct slice lab); /* one lab, not "*" */
/* Conditions: IPX_LIMIT, IPX_MALFORMED (not a dotted label name). */
IPX_MUST_USE enum ipx_err cert_prefixes_add(struct cert_prefixes *p, struct slice prefix);
struct slice cert_prefixes_at(const struct cert_prefixes *p, unsigned i);
bool cert_prefixes_cover(const struct cert_prefixes *p, struct slice label_name);
/* PUBLISH, and `label_name` within the prefixes. */
bool cert_may_publish(const struct cert_facts *facts, struct slice label_name);
/* Attenuation. Conditions: IPX_WRONG_LAB, IPX_CAPS (caps or prefixes wider), IPX_LIFETIME. */
IPX_MUST_USE enum ipx_err cert_grant_within(const struct cert_grant *child,
                                            const struct cert_grant *parent);
/* Conditions: IPX_NOT_YET, IPX_EXPIRED (with CERT_SKEW_MS of grace on both sides). */
IPX_MUST_USE enum ipx_err cert_time_check(int64_t not_before_ms, int64_t not_after_ms,
                                          int64_t wall_ms);
/* "user", "node", "operator". Conditions: IPX_NOT_FOUND. */
IPX_MUST_USE enum ipx_err cert_role_parse(struct slice text, uint32_t *ret_caps);
const char *cert_role_text(uint32_t caps); /* "custom" where no role fits exactly */
void cert_caps_text(uint32_t caps, char out[static CERT_CAPS_TEXT_SIZE]); /* "JOIN SUBMIT" */
/* Of two holders of one lab/name: the one that keeps it, by (admitted_ms, admitter, key). */
const struct cert_facts *cert_name_keeper(const struct cert_facts *a, const struct cert_facts *b);
/* How the one that does not keep it is shown: name-xxxx, the start of its key. */
void cert_name_shown(const struct cert_facts *f, bool keeps, char out[static CERT_SHOWN_SIZE]);

/* --- one certificate --- */
/* Signs as it stands: grammar and key are the caller's (asserted), the rules are not looked at. */
void cert_sign(const struct cert *c, const struct crypt_keypair *issuer, struct writer *w);
/* Conditions: IPX_MALFORMED, IPX_BAD_KEY. Checks no signature and no rule. */
IPX_MUST_USE enum ipx_err cert_decode(struct slice in, struct cert *ret);
/* An issuer's certificate against the root that the mesh id names; its validity in time is the
 * caller's (cert_time_check). Conditions: those of cert_chain_verify without the times. */
IPX_MUST_USE enum ipx_err cert_issuer_verify(struct slice in, const struct mesh_id *mesh,
                                             struct cert *ret);
/* Signs a node's certificate after the checks of attenuation. `node` comes with kind, name, nonce,
 * admitter, birth, grant; issuer and mesh are filled in, not_after is cut to the signer's.
 * Conditions: IPX_WRONG_LAB, IPX_CAPS, IPX_LIFETIME, IPX_EXPIRED, IPX_NOT_YET (the signer). */
IPX_MUST_USE enum ipx_err cert_issue(const struct cert_signer *signer, struct cert *node,
                                     int64_t wall_ms, struct writer *w);
/* The certificate at 2/3 of its life: same key, name, lab, caps, nonce, admitter, birth; a new
 * serial and CERT_NODE_LIFE_MS from now. Conditions: those of cert_issue; IPX_REFUSED (not plain:
 * see admit_issue). */
IPX_MUST_USE enum ipx_err cert_renew(const struct cert_signer *signer,
                                     const struct cert_facts *facts, uint64_t serial,
                                     int64_t wall_ms, struct writer *w);
int64_t cert_renew_at_ms(const struct cert_facts *facts); /* when it should be renewed */

/* --- chains (base/cert_chain.c) --- */
void cert_chain_put_plain(struct writer *w, struct slice node_cert, struct slice issuer_cert);
void cert_chain_put_admitted(struct writer *w, struct slice ticket, struct slice redemption,
                             struct slice issuer_cert, const struct hash *admitter_chain);
/* The parts of a chain, borrowed and unverified. Conditions: IPX_MALFORMED, IPX_PATH_LEN. */
struct cert_chain_parts {
    bool is_plain;
    struct slice node_cert;          /* plain */
    struct slice ticket, redemption; /* admitted */
    struct slice issuer_cert;
    struct hash admitter_chain; /* admitted */
};
IPX_MUST_USE enum ipx_err cert_chain_split(struct slice chain, struct cert_chain_parts *ret);

struct cert_check {
    const struct mesh_id *mesh;
    int64_t wall_ms;
    const struct node_id *subject; /* who shows it; NULL: taken from the chain */
    struct slice admitter_chain;   /* for admitted chains; may be empty */
};
/* Conditions: IPX_MALFORMED, IPX_BAD_KEY, IPX_OTHER_MESH, IPX_CONFLICT (another subject),
 * IPX_BAD_CHAIN (wrong kinds, links, loop, altered pointer), IPX_BAD_SIGNATURE, IPX_PATH_LEN,
 * IPX_WRONG_LAB, IPX_CAPS, IPX_LIFETIME, IPX_NOT_YET, IPX_EXPIRED; IPX_NEED_CHAIN: the admitter's
 * plain chain is wanted, *ret_missing (may be NULL) is its hash; IPX_DENIED: it may not admit. */
IPX_MUST_USE enum ipx_err cert_chain_verify_with(struct slice chain, const struct cert_check *check,
                                                 struct cert_facts *ret, struct hash *ret_missing);
/* The same without an admitter's chain: an admitted chain gives IPX_NEED_CHAIN. */
IPX_MUST_USE enum ipx_err cert_chain_verify(struct slice chain, const struct mesh_id *mesh,
                                            int64_t wall_ms, const struct node_id *subject,
                                            struct cert_facts *ret);
