/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Revocations: an ancestor takes back what it signed, before its time is over (overlay 1.2;
 * docs/wire/identity.md).
 *
 * A revocation names a key, or a range of serials of one issuer, and is signed by the root (which
 * strikes anybody) or by an issuer whose certificate carries REVOKE (which strikes only those that
 * it certified, or whose birth is its own). Serials are compared with the certificate's *and* with
 * the birth's, so that a renewed certificate is struck like the first. Never named is a hash of
 * signed bytes: those can be written anew.
 *
 * The key of an admitter also strikes those that it admitted and that no issuer has certified
 * since: a certificate is how an issuer vouches for an admission.
 *
 * A revocation is good for ever: it strikes whatever time it is and whatever became of its revoker.
 * After REVOKE_LIFE_MS nothing that it strikes can be valid any more (no certificate below the root
 * outlives a year), so from then on it *may* be dropped to make room (revoke_is_over).
 *
 * Pure values over bytes; times are Unix ms. Called by node/chains.c and node/revoking.c.
 */
#include "base/cert.h"

#define REVOKE_MAX 160    /* bytes on the wire: several ride on one packet */
#define REVOKE_TAG_LEN 16 /* of an issuer's key: enough to tell issuers apart */
/* The longest life of what can be struck, and clocks that differ at both ends of it. */
#define REVOKE_LIFE_MS (CERT_ISSUER_LIFE_MS + 2 * CERT_SKEW_MS)

enum revoke_what { REVOKE_KEY = 1, REVOKE_SERIALS = 2 };

enum revoke_reason { /* for people; others are read as UNSAID */
                     REVOKE_UNSAID,
                     REVOKE_STOLEN,  /* somebody else holds the key */
                     REVOKE_RETIRED, /* the machine or person has gone */
                     REVOKE_ABUSE,   /* it did what it should not */
                     REVOKE_MISTAKE  /* it should never have been signed */
};

struct revoke {
    enum revoke_what what;
    struct node_id key;                 /* KEY: whose */
    uint8_t issuer_tag[REVOKE_TAG_LEN]; /* SERIALS: the first bytes of the issuer's key */
    uint64_t serial_min, serial_max;    /* SERIALS: both inclusive */
    int64_t at_ms;                      /* when it was signed */
    enum revoke_reason reason;
    bool is_by_root;
    struct hash issuer_cert; /* of the revoker's certificate; root: not set */
    struct node_id revoker;  /* set by revoke_verify; by the root, by decode too */
};

/* By the root (`cert` is empty) or by an issuer, whose certificate `cert` is. Which revoker, and
 * what of it, is the caller's; is_by_root, issuer_cert, revoker are not looked at. Asserted:
 * serial_min <= serial_max, at_ms within CERT_TIME_MAX_MS. */
void revoke_sign(const struct revoke *r, const struct crypt_keypair *revoker, struct slice cert,
                 const struct mesh_id *mesh, struct writer *w);
/* Checks no signature. Conditions: IPX_MALFORMED, IPX_BAD_KEY. */
IPX_MUST_USE enum ipx_err revoke_decode(struct slice in, struct revoke *ret);
/* `issuer_cert`: the certificate that ret->issuer_cert names; may be empty. Conditions: those of
 * decode and of cert_issuer_verify; IPX_NEED_CHAIN (that certificate is wanted: *ret is decoded),
 * IPX_OTHER_MESH (another root), IPX_CAPS (the issuer has not REVOKE), IPX_NOT_YET, IPX_EXPIRED
 * (not signed in the time of its certificate), IPX_BAD_SIGNATURE. */
IPX_MUST_USE enum ipx_err revoke_verify(struct slice in, const struct mesh_id *mesh,
                                        struct slice issuer_cert, struct revoke *ret);

/* Does it strike whom a verified chain names? `r` is verified. */
bool revoke_strikes(const struct revoke *r, const struct cert_facts *facts);
/* A ticket of this serial by this issuer in the hands of `redeemer`: would it be struck, by its key
 * or by its birth? */
bool revoke_strikes_ticket(const struct revoke *r, const struct node_id *issuer, uint64_t serial,
                           const struct node_id *redeemer);
/* An issuer's key, or one that it certified: what `key` signs is worth nothing. */
bool revoke_strikes_issuer(const struct revoke *r, const struct node_id *issuer);
/* Nothing that it could strike is valid at that time any more. */
bool revoke_is_over(const struct revoke *r, int64_t wall_ms);
const char *revoke_reason_text(enum revoke_reason reason); /* "stolen" */
