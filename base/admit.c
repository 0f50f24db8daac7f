/* SPDX-License-Identifier: Apache-2.0 */
#include "base/admit.h"
#include "base/admit_wire.h"
#include "base/cert_wire.h"

/* Keys of a claim, of ADMIT, and of a redemption's body */
enum { CLAIM_SERIAL = 1, CLAIM_KEY = 2, CLAIM_NAME = 3 };
enum { REQ_TICKET = 1, REQ_CLAIM = 2, REQ_ONE_TIME_SIG = 3, REQ_NODE_SIG = 4 };
enum {
    RED_CLAIM = 1,
    RED_ONE_TIME_SIG = 2,
    RED_NODE_SIG = 3,
    RED_NONCE = 4,
    RED_ADMITTED = 5,
    RED_ADMITTER = 6
};
#define KEYS_TO(n) ((2u << (n)) - 2u) /* bits of keys 1..n */

#define CLAIM_MAX (1 + 10 + 35 + 3 + CERT_NAME_MAX)
#define RED_BODY_MAX (1 + 1 + CLAIM_MAX + 2 * (3 + CRYPT_SIG_LEN) + 18 + 10 + 35)
_Static_assert(RED_BODY_MAX + SIGNED_OVERHEAD <= ADMIT_REDEMPTION_MAX, "a redemption fits");
_Static_assert(1 + 1 + TICKET_PUBLIC_MAX + 1 + CLAIM_MAX + 2 * (3 + CRYPT_SIG_LEN) <=
                   ADMIT_REQUEST_MAX,
               "ADMIT fits");

void admit_claim_put(struct writer *w, const struct admit_claim *c)
{
    cbor_put_map(w, 3);
    cbor_put_u64(w, CLAIM_SERIAL);
    cbor_put_u64(w, c->serial);
    cbor_put_u64(w, CLAIM_KEY);
    cbor_put_bytes(w, slice_of(c->id.bytes, 32));
    cbor_put_u64(w, CLAIM_NAME);
    cbor_put_text(w, slice_text(c->name));
}

enum ipx_err admit_claim_decode(struct slice in, struct admit_claim *ret)
{
    struct admit_claim c = {.serial = 0};
    struct cbor_reader r = cbor_reader_of(in);
    uint32_t seen = 0;
    uint64_t key;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        seen |= key < 32 ? 1u << key : 0;
        switch (key) {
        case CLAIM_SERIAL:
            c.serial = cbor_u64(&r);
            break;
        case CLAIM_KEY:
            cbor_bytes_fixed(&r, c.id.bytes, 32);
            break;
        case CLAIM_NAME:
            cbor_text_copy(&r, c.name, sizeof c.name);
            break;
        default:
            cbor_skip_unknown(&r, key);
            break;
        }
    }
    if (!cbor_done(&r) || (seen & KEYS_TO(3)) != KEYS_TO(3) ||
        !cert_name_is_valid(slice_text(c.name))) {
        return IPX_MALFORMED;
    }
    if (!crypt_key_is_valid(&c.id)) {
        return IPX_BAD_KEY;
    }
    *ret = c;
    return IPX_OK;
}

const uint8_t *admit_sig_get(struct cbor_reader *r)
{
    struct slice s = cbor_bytes(r, CRYPT_SIG_LEN);
    if (s.len != CRYPT_SIG_LEN) {
        r->failed = true;
    }
    return s.data;
}

static void sig_put(struct writer *w, uint64_t key, const uint8_t sig[static CRYPT_SIG_LEN])
{
    cbor_put_u64(w, key);
    cbor_put_bytes(w, slice_of(sig, CRYPT_SIG_LEN));
}

enum ipx_err admit_request_put(const struct ticket *t, const struct crypt_keypair *node,
                               const char *name, struct writer *w)
{
    struct admit_claim claim = {.serial = t->body.grant.serial, .id = node->pk};
    if (!cert_name_is_valid(slice_text(name))) {
        return IPX_MALFORMED;
    }
    memcpy(claim.name, name, strlen(name));
    uint8_t bytes[CLAIM_MAX];
    uint8_t sig[CRYPT_SIG_LEN];
    struct writer cw = writer_of(bytes, sizeof bytes);
    admit_claim_put(&cw, &claim);
    struct slice signed_bytes = writer_slice(&cw);

    cbor_put_map(w, 4);
    cbor_put_u64(w, REQ_TICKET);
    cbor_put_raw(w, slice_of(t->pub, t->pub_len));
    cbor_put_u64(w, REQ_CLAIM);
    cbor_put_raw(w, signed_bytes);
    crypt_sign(&t->one_time, ADMIT_TYPE_ONE_TIME, &t->body.mesh, signed_bytes, sig);
    sig_put(w, REQ_ONE_TIME_SIG, sig);
    crypt_sign(node, ADMIT_TYPE_NODE, &t->body.mesh, signed_bytes, sig);
    sig_put(w, REQ_NODE_SIG, sig);
    return IPX_OK;
}

enum ipx_err admit_request_decode(struct slice body, struct admit_request *ret)
{
    struct admit_request q = {.one_time_sig = NULL};
    struct cbor_reader r = cbor_reader_of(body);
    uint32_t seen = 0;
    uint64_t key;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        seen |= key < 32 ? 1u << key : 0;
        switch (key) {
        case REQ_TICKET:
            q.pub = cbor_raw(&r);
            break;
        case REQ_CLAIM:
            q.claim_bytes = cbor_raw(&r);
            break;
        case REQ_ONE_TIME_SIG:
            q.one_time_sig = admit_sig_get(&r);
            break;
        case REQ_NODE_SIG:
            q.node_sig = admit_sig_get(&r);
            break;
        default:
            cbor_skip_unknown(&r, key);
            break;
        }
    }
    if (!cbor_done(&r) || (seen & KEYS_TO(4)) != KEYS_TO(4)) {
        return IPX_MALFORMED;
    }
    enum ipx_err err = ticket_body_decode(q.pub, &q.ticket);
    if (err == IPX_OK) {
        err = admit_claim_decode(q.claim_bytes, &q.claim);
    }
    if (err == IPX_OK) {
        *ret = q;
    }
    return err;
}

/* The joiner's two signatures, by the ticket's key and by its own. */
static bool claim_is_signed(struct slice claim, const struct ticket_body *ticket,
                            const struct node_id *id, const uint8_t *one_time_sig,
                            const uint8_t *node_sig)
{
    return crypt_verify(&ticket->one_time, ADMIT_TYPE_ONE_TIME, &ticket->mesh, claim,
                        one_time_sig) &&
           crypt_verify(id, ADMIT_TYPE_NODE, &ticket->mesh, claim, node_sig);
}

static enum ipx_err request_times_check(const struct admit_request *q, int64_t wall_ms)
{
    const struct cert_grant *t = &q->ticket.grant, *i = &q->issuer.grant;
    enum ipx_err err = cert_time_check(t->not_before_ms, t->not_after_ms, wall_ms);
    return err != IPX_OK ? err : cert_time_check(i->not_before_ms, i->not_after_ms, wall_ms);
}

enum ipx_err admit_request_verify(struct slice body, struct slice issuer_cert,
                                  const struct mesh_id *mesh, int64_t wall_ms,
                                  const struct node_id *peer, struct admit_request *ret)
{
    struct admit_request q;
    enum ipx_err err = admit_request_decode(body, &q);
    if (err != IPX_OK) {
        return err;
    }
    err = ticket_verify(q.pub, issuer_cert, mesh, &q.ticket, &q.issuer);
    if (err != IPX_OK) {
        return err;
    }
    if (!node_id_equal(&q.claim.id, peer)) {
        return IPX_CONFLICT;
    }
    if (q.claim.serial != q.ticket.grant.serial || node_id_equal(&q.claim.id, &q.issuer.subject) ||
        node_id_equal(&q.claim.id, &q.issuer.issuer)) {
        return IPX_BAD_CHAIN;
    }
    if (!claim_is_signed(q.claim_bytes, &q.ticket, &q.claim.id, q.one_time_sig, q.node_sig)) {
        return IPX_BAD_SIGNATURE;
    }
    err = request_times_check(&q, wall_ms);
    if (err == IPX_OK) {
        *ret = q;
    }
    return err;
}

bool admit_is_allowed(const struct cert_facts *self)
{
    return self->is_plain && (self->caps & CERT_CAP_ADMIT) != 0;
}

void admit_redeem(const struct admit_request *req, const struct crypt_keypair *admitter,
                  const uint8_t nonce[static 16], int64_t admitted_ms, struct writer *w)
{
    uint8_t bytes[RED_BODY_MAX];
    struct writer b = writer_of(bytes, sizeof bytes);
    assert(admitted_ms >= 0 && admitted_ms <= CERT_TIME_MAX_MS);
    cbor_put_map(&b, 6);
    cbor_put_u64(&b, RED_CLAIM);
    cbor_put_raw(&b, req->claim_bytes);
    sig_put(&b, RED_ONE_TIME_SIG, req->one_time_sig);
    sig_put(&b, RED_NODE_SIG, req->node_sig);
    cbor_put_u64(&b, RED_NONCE);
    cbor_put_bytes(&b, slice_of(nonce, 16));
    cbor_put_u64(&b, RED_ADMITTED);
    cbor_put_u64(&b, (uint64_t)admitted_ms);
    cbor_put_u64(&b, RED_ADMITTER);
    cbor_put_bytes(&b, slice_of(admitter->pk.bytes, 32));
    w->failed = w->failed || b.failed;
    signed_write(w, writer_slice(&b), admitter, ADMIT_TYPE_REDEMPTION, &req->ticket.mesh);
}

static void redemption_key_get(struct cbor_reader *r, uint64_t key, struct admit_redemption *d)
{
    switch (key) {
    case RED_CLAIM:
        d->claim_bytes = cbor_raw(r);
        break;
    case RED_ONE_TIME_SIG:
        d->one_time_sig = admit_sig_get(r);
        break;
    case RED_NODE_SIG:
        d->node_sig = admit_sig_get(r);
        break;
    case RED_NONCE:
        cbor_bytes_fixed(r, d->nonce, sizeof d->nonce);
        break;
    case RED_ADMITTED:
        d->admitted_ms = (int64_t)cbor_uint_max(r, CERT_TIME_MAX_MS);
        break;
    case RED_ADMITTER:
        cbor_bytes_fixed(r, d->admitter.bytes, 32);
        break;
    default:
        cbor_skip_unknown(r, key);
        break;
    }
}

enum ipx_err admit_redemption_decode(struct slice in, struct admit_redemption *ret)
{
    struct signed_item item;
    if (in.len > ADMIT_REDEMPTION_MAX || signed_read(in, &item) != IPX_OK) {
        return IPX_MALFORMED;
    }
    struct admit_redemption d = {.one_time_sig = NULL};
    struct cbor_reader r = cbor_reader_of(item.body);
    uint32_t seen = 0;
    uint64_t key;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        seen |= key < 32 ? 1u << key : 0;
        redemption_key_get(&r, key, &d);
    }
    if (!cbor_done(&r) || (seen & KEYS_TO(6)) != KEYS_TO(6)) {
        return IPX_MALFORMED;
    }
    enum ipx_err err = admit_claim_decode(d.claim_bytes, &d.claim);
    if (err != IPX_OK) {
        return err;
    }
    if (!crypt_key_is_valid(&d.admitter)) {
        return IPX_BAD_KEY;
    }
    *ret = d;
    return IPX_OK;
}

enum ipx_err admit_redemption_verify(struct slice in, const struct ticket_body *ticket,
                                     struct admit_redemption *ret)
{
    struct admit_redemption d;
    struct signed_item item;
    enum ipx_err err = admit_redemption_decode(in, &d);
    if (err != IPX_OK) {
        return err;
    }
    if (d.claim.serial != ticket->grant.serial) {
        return IPX_BAD_CHAIN;
    }
    if (!claim_is_signed(d.claim_bytes, ticket, &d.claim.id, d.one_time_sig, d.node_sig) ||
        signed_read(in, &item) != IPX_OK ||
        !signed_verify(&item, &d.admitter, ADMIT_TYPE_REDEMPTION, &ticket->mesh)) {
        return IPX_BAD_SIGNATURE;
    }
    *ret = d;
    return IPX_OK;
}

enum ipx_err admit_issue_first(const struct cert_signer *signer, const struct admit_request *req,
                               const struct admit_grant *grant, struct writer *w)
{
    struct cert node = {.kind = CERT_KIND_NODE,
                        .grant = req->ticket.grant,
                        .subject = req->claim.id,
                        .admitter = grant->admitter,
                        .birth_issuer = req->issuer.subject,
                        .birth_serial = req->claim.serial,
                        .admitted_ms = grant->admitted_ms};
    node.grant.serial = grant->serial;
    node.grant.not_before_ms = grant->admitted_ms;
    node.grant.not_after_ms = grant->admitted_ms + CERT_NODE_LIFE_MS;
    memcpy(node.nonce, grant->nonce, sizeof node.nonce);
    memcpy(node.name, req->claim.name, sizeof node.name);
    return cert_issue(signer, &node, grant->admitted_ms, w);
}

enum ipx_err admit_issue(const struct cert_signer *signer, const struct cert_facts *facts,
                         uint64_t serial, int64_t wall_ms, struct writer *w)
{
    if (facts->is_plain) {
        return IPX_EXISTS;
    }
    struct cert node;
    cert_of_facts(facts, serial, wall_ms, &node);
    return cert_issue(signer, &node, wall_ms, w);
}
