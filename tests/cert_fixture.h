/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A small mesh with fixed keys for the tests of identity: root, issuer and first node "ada" of lab
 * "astro", a ticket for lab "bio", and "bob" who was admitted with it by ada. All bytes are the
 * same in every run.
 */
#include "base/admit_book.h"
#include "base/keys.h"

#define FX_WALL INT64_C(1800000000000) /* 2027-01-15, Unix ms */
#define FX_HOUR (INT64_C(3600) * 1000)
#define FX_DAY (24 * FX_HOUR)

struct fx {
    struct crypt_keypair root, issuer, ada, bob, eve;
    struct keys_new mesh;
    struct slice ada_chain, issuer_cert; /* of ada, which is also the admitter's */
    struct ticket ticket;
    struct slice pub;
    uint8_t request_bytes[ADMIT_REQUEST_MAX];
    struct slice request;
    struct admit_request req;
    struct admit_grant grant;
    uint8_t redemption_bytes[ADMIT_REDEMPTION_MAX];
    struct slice redemption;
    uint8_t bob_chain_bytes[CERT_CHAIN_MAX];
    struct slice bob_chain;
};

/* The first key pair of a series that has its sign bit clear. */
static inline struct crypt_keypair fx_key(uint8_t series, uint8_t ret_seed[static 32])
{
    struct crypt_keypair pair = {.sk = {0}};
    memset(ret_seed, series, 32);
    for (ret_seed[0] = 0; crypt_keypair_from_seed(ret_seed, &pair) != IPX_OK; ret_seed[0]++) {
    }
    return pair;
}

static inline struct ticket_plan fx_ticket_plan(const struct fx *x)
{
    struct ticket_plan plan = {.grant = {.serial = 77,
                                         .caps = CERT_ROLE_NODE,
                                         .lab = "bio",
                                         .not_before_ms = FX_WALL,
                                         .not_after_ms = FX_WALL + TICKET_LIFE_MS},
                               .contacts = {{.id = x->ada.pk}, {.id = x->eve.pk}},
                               .n_contacts = 2,
                               .issued_by = "ada"};
    fx_key(5, plan.seed);
    memset(plan.gate_key, 0x6b, sizeof plan.gate_key);
    enum ipx_err err = addr_parse(slice_text("192.0.2.1:7433"), 0, &plan.contacts[0].addr);
    assert(err == IPX_OK);
    err = addr_parse(slice_text("[2001:db8::2]:7433"), 0, &plan.contacts[1].addr);
    assert(err == IPX_OK);
    return plan;
}

/* The whole join of bob: ticket, request, redemption, chain. */
static inline void fx_admit_bob(struct fx *x)
{
    struct ticket_plan plan = fx_ticket_plan(x);
    enum ipx_err err = ticket_make(&x->mesh.signer, &plan, FX_WALL, &x->ticket);
    assert(err == IPX_OK);
    x->pub = slice_of(x->ticket.pub, x->ticket.pub_len);
    struct writer w = writer_of(x->request_bytes, sizeof x->request_bytes);
    err = admit_request_put(&x->ticket, &x->bob, "bob", &w);
    assert(err == IPX_OK && !w.failed);
    x->request = writer_slice(&w);
    err = admit_request_verify(x->request, x->issuer_cert, &x->mesh.mesh, FX_WALL, &x->bob.pk,
                               &x->req);
    assert(err == IPX_OK);
    x->grant =
        (struct admit_grant){.admitted_ms = FX_WALL + 60000, .admitter = x->ada.pk, .serial = 501};
    memset(x->grant.nonce, 0xb0, sizeof x->grant.nonce);
    w = writer_of(x->redemption_bytes, sizeof x->redemption_bytes);
    admit_redeem(&x->req, &x->ada, x->grant.nonce, x->grant.admitted_ms, &w);
    x->redemption = writer_slice(&w);
    struct hash admitter = crypt_hash(x->ada_chain);
    w = writer_of(x->bob_chain_bytes, sizeof x->bob_chain_bytes);
    cert_chain_put_admitted(&w, x->pub, x->redemption, x->issuer_cert, &admitter);
    x->bob_chain = writer_slice(&w);
}

/* `x` is filled in place and holds pointers into itself: do not copy it. */
static inline void fx_init(struct fx *x)
{
    uint8_t seed[32];
    enum ipx_err err = crypt_init();
    assert(err == IPX_OK);
    *x = (struct fx){.root = fx_key(1, seed),
                     .issuer = fx_key(2, seed),
                     .ada = fx_key(3, seed),
                     .bob = fx_key(4, seed),
                     .eve = fx_key(6, seed)};
    struct keys_new_plan plan = {.root = &x->root,
                                 .issuer = &x->issuer,
                                 .node = &x->ada,
                                 .lab = "astro",
                                 .name = "ada",
                                 .nonce = {0xad},
                                 .issuer_serial = 11,
                                 .node_serial = 12,
                                 .wall_ms = FX_WALL};
    err = keys_new_mesh(&plan, &x->mesh);
    assert(err == IPX_OK);
    x->ada_chain = slice_of(x->mesh.chain, x->mesh.chain_len);
    x->issuer_cert = slice_of(x->mesh.signer.bytes, x->mesh.signer.len);
    fx_admit_bob(x);
}

/* Verifies an admitted chain with ada's beside it. */
static inline enum ipx_err fx_verify(const struct fx *x, struct slice chain, int64_t wall_ms,
                                     const struct node_id *subject, struct cert_facts *ret)
{
    struct cert_check check = {.mesh = &x->mesh.mesh,
                               .wall_ms = wall_ms,
                               .subject = subject,
                               .admitter_chain = x->ada_chain};
    return cert_chain_verify_with(chain, &check, ret, NULL);
}
