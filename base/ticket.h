/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Tickets: one line of text that admits one node (overlay 1.2; docs/wire/identity.md).
 *
 * The *public part* is a grant (lab, caps, serial, validity) to a one-time key, signed by an
 * ISSUE key; it travels in INIT and ADMIT. The text adds what the joiner needs and nobody else
 * sees: the one-time secret, the gate key and up to two members to ask. The issuer's certificate
 * is named by its hash alone: the joiner sees it with the answer, and verifies then.
 *
 * Text: "ipxt1" + base32(CBOR) + 4 characters of checksum; case and white space are ignored.
 * Without prefixes and coats it is at most 680 characters. Times are Unix ms. Pure; callers: node
 * (invite, join), base/admit (redemption), base/cert (admitted chains).
 */
#include "base/addr.h"
#include "base/cert.h"

#define TICKET_PREFIX "ipxt1"
#define TICKET_PUBLIC_MAX 288 /* public part with its signature */
#define TICKET_CONTACTS_MAX 2 /* more would not make joining surer but the text longer */
#define TICKET_TEXT_SIZE 874  /* the longest text and NUL */
#define TICKET_INPUT_MAX 4096 /* characters looked at, white space counted */
#define TICKET_LIFE_MS (INT64_C(24) * 3600 * 1000) /* unless --expires says otherwise */

struct ticket_body { /* what the issuer signed */
    struct mesh_id mesh;
    struct cert_grant grant; /* lab is one lab; ISSUE is never in the caps */
    struct node_id one_time;
    struct hash issuer_cert; /* BLAKE2b-256 of the issuer's certificate */
};

struct ticket_contact {
    struct node_id id;
    struct addr addr;
    struct addr coat; /* where its links wear a coat (node/tls.h); ADDR_NONE: nowhere */
};

/* A plain value with secrets: ticket_wipe() it. */
struct ticket {
    struct ticket_body body;
    uint8_t pub[TICKET_PUBLIC_MAX]; /* body and signature as they travel */
    size_t pub_len;
    uint8_t seed[32];              /* of the one-time key */
    struct crypt_keypair one_time; /* made from the seed */
    uint8_t gate_key[32];
    struct ticket_contact contacts[TICKET_CONTACTS_MAX];
    unsigned n_contacts;
    char issued_by[CERT_NAME_MAX + 1]; /* for messages to people; unsigned; may be "" */
};

struct ticket_plan {
    struct cert_grant grant; /* not_after is cut to the signer's */
    uint8_t seed[32];        /* fresh entropy */
    uint8_t gate_key[32];
    struct ticket_contact contacts[TICKET_CONTACTS_MAX];
    unsigned n_contacts; /* 1.. */
    const char *issued_by;
};

/* Conditions: IPX_REFUSED (key of this seed has its sign bit set: take another seed),
 * IPX_MALFORMED (lab, contacts, issued_by), IPX_WRONG_LAB, IPX_CAPS, IPX_LIFETIME, IPX_EXPIRED and
 * IPX_NOT_YET (the signer's certificate). */
IPX_MUST_USE enum ipx_err ticket_make(const struct cert_signer *signer,
                                      const struct ticket_plan *plan, int64_t wall_ms,
                                      struct ticket *ret);
/* Length without NUL. */
size_t ticket_print(const struct ticket *t, char out[static TICKET_TEXT_SIZE]);
/* Conditions: IPX_MALFORMED, IPX_CHECKSUM (mistyped or cut), IPX_BAD_KEY, IPX_CONFLICT (the secret
 * is not that of the one-time key). The issuer's signature cannot be checked yet. */
IPX_MUST_USE enum ipx_err ticket_parse(struct slice text, struct ticket *ret);
/* Before it is used. `mesh` NULL: any. Conditions: IPX_OTHER_MESH, IPX_NOT_YET, IPX_EXPIRED. */
IPX_MUST_USE enum ipx_err ticket_check(const struct ticket *t, const struct mesh_id *mesh,
                                       int64_t wall_ms);
void ticket_wipe(struct ticket *t);

/* The public part, unverified. Conditions: IPX_MALFORMED, IPX_BAD_KEY. */
IPX_MUST_USE enum ipx_err ticket_body_decode(struct slice pub, struct ticket_body *ret);
/* The public part against its issuer's certificate; times are the caller's (cert_time_check on
 * both grants). Conditions: as ticket_body_decode; IPX_OTHER_MESH, IPX_UNKNOWN_ISSUER (another
 * certificate is named), IPX_BAD_SIGNATURE, IPX_WRONG_LAB, IPX_CAPS, IPX_LIFETIME; those of
 * cert_issuer_verify. */
IPX_MUST_USE enum ipx_err ticket_verify(struct slice pub, struct slice issuer_cert,
                                        const struct mesh_id *mesh, struct ticket_body *ret,
                                        struct cert *ret_issuer);
