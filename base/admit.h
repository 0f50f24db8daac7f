/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Admission: how a ticket becomes a membership (overlay 1.2; docs/wire/identity.md).
 *
 *   joiner                                   member with ADMIT and a plain certificate
 *   admit_request_put   -- ADMIT -->         admit_request_verify, admit_book_find, then
 *                                            admit_redeem (or admit_issue_first: ISSUE held)
 *   admit_answer_verify <-- ADMITTED --      admit_answer_put_*
 *   keeps the chain, shows it                admit_notice_make, gossiped; admit_book_see
 *
 * A *redemption* is {claim = {serial, key, name}, one-time signature, node signature, nonce,
 * admitted_at, admitter} with the admitter's signature over all. The joiner signs its claim
 * before it knows the nonce. A *notice* is what the mesh is told of it, <= ADMIT_NOTICE_MAX.
 *
 * Pure functions over bytes; slices in results borrow from the input. Times are Unix ms.
 */
#include "base/ticket.h"

#define ADMIT_REDEMPTION_MAX 344 /* encoded, with all signatures */
#define ADMIT_REQUEST_MAX 512    /* ADMIT body */
#define ADMIT_ANSWER_MAX 1064    /* ADMITTED body */
#define ADMIT_NOTICE_MAX 300     /* a notice rides on gossip datagrams */
#define ADMIT_DETAIL_MAX 96      /* bytes of text for people in a refusal */
#define ADMIT_TAG_LEN 16         /* of the issuer's key: enough to tell issuers apart */

struct admit_claim {
    uint64_t serial; /* of the ticket */
    struct node_id id;
    char name[CERT_NAME_MAX + 1];
};

/* The joiner's half, as it stands in ADMIT and in a redemption. */
struct admit_request {
    struct ticket_body ticket;
    struct admit_claim claim;
    struct cert issuer;          /* of the ticket; filled in by admit_request_verify */
    struct slice pub;            /* the ticket's public part */
    struct slice claim_bytes;    /* what both signatures cover */
    const uint8_t *one_time_sig; /* CRYPT_SIG_LEN bytes each */
    const uint8_t *node_sig;
};

struct admit_redemption {
    struct admit_claim claim;
    struct slice claim_bytes;
    const uint8_t *one_time_sig;
    const uint8_t *node_sig;
    uint8_t nonce[16];
    int64_t admitted_ms;
    struct node_id admitter;
};

/* --- ADMIT, message type 5 --- */
/* The whole body. Conditions: IPX_MALFORMED (name). */
IPX_MUST_USE enum ipx_err admit_request_put(const struct ticket *t,
                                            const struct crypt_keypair *node, const char *name,
                                            struct writer *w);
/* Which issuer's certificate is needed: request.ticket.issuer_cert. Conditions: IPX_MALFORMED,
 * IPX_BAD_KEY. */
IPX_MUST_USE enum ipx_err admit_request_decode(struct slice body, struct admit_request *ret);
/* `peer` is the key of the session it came on: nobody redeems for another. Conditions: those of
 * decode and of ticket_verify; IPX_CONFLICT (another key than the peer's), IPX_BAD_CHAIN (serial,
 * key of an issuer), IPX_BAD_SIGNATURE, IPX_NOT_YET, IPX_EXPIRED (ticket or its issuer). */
IPX_MUST_USE enum ipx_err admit_request_verify(struct slice body, struct slice issuer_cert,
                                               const struct mesh_id *mesh, int64_t wall_ms,
                                               const struct node_id *peer,
                                               struct admit_request *ret);

/* --- the admitter --- */
/* May it admit: ADMIT and plain. */
bool admit_is_allowed(const struct cert_facts *self);
/* Writes the redemption. `nonce` is fresh entropy, or that of a known earlier admission. */
void admit_redeem(const struct admit_request *req, const struct crypt_keypair *admitter,
                  const uint8_t nonce[static 16], int64_t admitted_ms, struct writer *w);
/* Where the admitter holds an ISSUE key: writes a plain certificate at once. Conditions: those of
 * cert_issue. */
struct admit_grant {
    uint8_t nonce[16];
    int64_t admitted_ms;
    struct node_id admitter;
    uint64_t serial; /* of the new certificate */
};
IPX_MUST_USE enum ipx_err admit_issue_first(const struct cert_signer *signer,
                                            const struct admit_request *req,
                                            const struct admit_grant *grant, struct writer *w);
/* An ISSUE holder exchanges an admitted chain, verified before, for a plain certificate: same key,
 * name, lab, caps, nonce, admitter, birth. Conditions: those of cert_issue; IPX_EXISTS (plain
 * already). */
IPX_MUST_USE enum ipx_err admit_issue(const struct cert_signer *signer,
                                      const struct cert_facts *facts, uint64_t serial,
                                      int64_t wall_ms, struct writer *w);

/* --- redemptions (in admitted chains) --- */
/* Conditions: IPX_MALFORMED, IPX_BAD_KEY. */
IPX_MUST_USE enum ipx_err admit_redemption_decode(struct slice in, struct admit_redemption *ret);
/* All three signatures and the serial. Conditions: those of decode; IPX_BAD_CHAIN (another
 * ticket's serial), IPX_BAD_SIGNATURE. */
IPX_MUST_USE enum ipx_err admit_redemption_verify(struct slice in, const struct ticket_body *ticket,
                                                  struct admit_redemption *ret);

/* --- ADMITTED, message type 6 --- */
/* Admitted by a redemption; the issuer's certificate is of the ticket. */
void admit_answer_put_redemption(struct writer *w, struct slice redemption,
                                 struct slice issuer_cert);
/* Admitted with a plain chain. */
void admit_answer_put_chain(struct writer *w, struct slice chain);
/* Refused: why, and a few words (cut to ADMIT_DETAIL_MAX), such as who has the name. */
void admit_answer_put_refusal(struct writer *w, enum ipx_err why, const char *detail);

struct admit_answer {
    enum ipx_err why; /* IPX_OK: admitted; else the admitter's reason (unknown: IPX_REFUSED) */
    char detail[ADMIT_DETAIL_MAX + 1]; /* untrusted text: print it escaped */
    uint8_t chain[CERT_CHAIN_MAX];     /* what the node shows from now on */
    size_t chain_len;
    struct cert_facts facts;
};
struct admit_expected {
    const struct ticket *ticket;
    const struct node_id *self;
    const char *name;
    struct slice admitter_chain; /* plain, of the session that answered */
    int64_t wall_ms;
};
/* Checks the whole chain as every other member will. Conditions: IPX_MALFORMED, IPX_CONFLICT
 * (not what was asked for: key, name, lab, caps, birth), those of cert_chain_verify_with. A refusal
 * by the admitter is IPX_OK here, with ret->why. */
IPX_MUST_USE enum ipx_err admit_answer_verify(struct slice body, const struct admit_expected *want,
                                              struct admit_answer *ret);

/* --- notices: what is gossiped of an admission (base/admit_notice.c) --- */
struct admit_notice {
    uint8_t issuer_tag[ADMIT_TAG_LEN]; /* first bytes of the ticket issuer's key */
    struct admit_claim claim;
    uint8_t nonce[16];
    int64_t admitted_ms;
    struct node_id admitter;
    bool is_proved; /* from a verified request or chain, or its signature was checked */
    bool has_proof; /* one_time_sig is set: shows that the ticket's secret was there */
    uint8_t one_time_sig[CRYPT_SIG_LEN];
};
/* By the admitter, of a request it verified; by anyone, of a chain it verified (no proof then). */
void admit_notice_of_request(const struct admit_request *req, const struct admit_grant *grant,
                             struct admit_notice *ret);
void admit_notice_of_facts(const struct cert_facts *facts, struct admit_notice *ret);
/* Signed by the admitter itself. */
void admit_notice_put(struct writer *w, const struct admit_notice *n, const struct mesh_id *mesh,
                      const struct crypt_keypair *admitter);
/* Conditions: IPX_MALFORMED, IPX_BAD_KEY. Who the admitter is: ret->admitter. */
IPX_MUST_USE enum ipx_err admit_notice_decode(struct slice in, struct admit_notice *ret);
/* `admitter`: what its verified chain says. Conditions: those of decode; IPX_CONFLICT (another
 * admitter), IPX_DENIED (may not admit, or not at that time), IPX_BAD_SIGNATURE. */
IPX_MUST_USE enum ipx_err admit_notice_verify(struct slice in, const struct mesh_id *mesh,
                                              const struct cert_facts *admitter,
                                              struct admit_notice *ret);
/* True if the one-time signature is there and by the ticket's key. */
bool admit_notice_check_proof(const struct admit_notice *n, const struct mesh_id *mesh,
                              const struct node_id *one_time);
/* Of two admissions of one ticket the valid one is the earlier by (admitted_ms, admitter, key):
 * < 0 if a is. */
int admit_notice_compare(const struct admit_notice *a, const struct admit_notice *b);
