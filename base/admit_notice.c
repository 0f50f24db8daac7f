/* SPDX-License-Identifier: Apache-2.0 */
#include "base/admit_wire.h"

enum {
    KEY_CLAIM = 1,
    KEY_TAG = 2,
    KEY_NONCE = 3,
    KEY_ADMITTED = 4,
    KEY_ADMITTER = 5,
    KEY_ONE_TIME_SIG = 6
};
#define KEYS_NEEDED 0x3eu /* bits of keys 1..5 */
_Static_assert(1 + 1 + (1 + 10 + 35 + 3 + CERT_NAME_MAX) + 18 + 18 + 10 + 35 + 67 <=
                   ADMIT_NOTICE_BODY_MAX,
               "a notice fits its limit");

void admit_notice_of_request(const struct admit_request *req, const struct admit_grant *grant,
                             struct admit_notice *ret)
{
    *ret = (struct admit_notice){.claim = req->claim,
                                 .admitted_ms = grant->admitted_ms,
                                 .admitter = grant->admitter,
                                 .is_proved = true,
                                 .has_proof = true};
    memcpy(ret->issuer_tag, req->issuer.subject.bytes, sizeof ret->issuer_tag);
    memcpy(ret->nonce, grant->nonce, sizeof ret->nonce);
    memcpy(ret->one_time_sig, req->one_time_sig, sizeof ret->one_time_sig);
}

void admit_notice_of_facts(const struct cert_facts *facts, struct admit_notice *ret)
{
    *ret = (struct admit_notice){.claim = {.serial = facts->birth_serial, .id = facts->id},
                                 .admitted_ms = facts->admitted_ms,
                                 .admitter = facts->admitter,
                                 .is_proved = true};
    memcpy(ret->claim.name, facts->name, sizeof ret->claim.name);
    memcpy(ret->issuer_tag, facts->birth_issuer.bytes, sizeof ret->issuer_tag);
    memcpy(ret->nonce, facts->nonce, sizeof ret->nonce);
}

void admit_notice_body_put(struct writer *w, const struct admit_notice *n)
{
    cbor_put_map(w, n->has_proof ? 6 : 5);
    cbor_put_u64(w, KEY_CLAIM);
    admit_claim_put(w, &n->claim);
    cbor_put_u64(w, KEY_TAG);
    cbor_put_bytes(w, slice_of(n->issuer_tag, sizeof n->issuer_tag));
    cbor_put_u64(w, KEY_NONCE);
    cbor_put_bytes(w, slice_of(n->nonce, sizeof n->nonce));
    cbor_put_u64(w, KEY_ADMITTED);
    cbor_put_u64(w, (uint64_t)n->admitted_ms);
    cbor_put_u64(w, KEY_ADMITTER);
    cbor_put_bytes(w, slice_of(n->admitter.bytes, 32));
    if (n->has_proof) {
        cbor_put_u64(w, KEY_ONE_TIME_SIG);
        cbor_put_bytes(w, slice_of(n->one_time_sig, sizeof n->one_time_sig));
    }
}

static void body_key_get(struct cbor_reader *r, uint64_t key, struct admit_notice *n,
                         struct slice *ret_claim)
{
    switch (key) {
    case KEY_CLAIM:
        *ret_claim = cbor_raw(r);
        break;
    case KEY_TAG:
        cbor_bytes_fixed(r, n->issuer_tag, sizeof n->issuer_tag);
        break;
    case KEY_NONCE:
        cbor_bytes_fixed(r, n->nonce, sizeof n->nonce);
        break;
    case KEY_ADMITTED:
        n->admitted_ms = (int64_t)cbor_uint_max(r, CERT_TIME_MAX_MS);
        break;
    case KEY_ADMITTER:
        cbor_bytes_fixed(r, n->admitter.bytes, 32);
        break;
    case KEY_ONE_TIME_SIG:
        cbor_bytes_fixed(r, n->one_time_sig, sizeof n->one_time_sig);
        n->has_proof = true;
        break;
    default:
        cbor_skip_unknown(r, key);
        break;
    }
}

enum ipx_err admit_notice_body_decode(struct slice in, struct admit_notice *ret)
{
    struct admit_notice n = {.is_proved = false};
    struct slice claim = SLICE_EMPTY;
    struct cbor_reader r = cbor_reader_of(in);
    uint32_t seen = 0;
    uint64_t key;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        seen |= key < 32 ? 1u << key : 0;
        body_key_get(&r, key, &n, &claim);
    }
    if (!cbor_done(&r) || (seen & KEYS_NEEDED) != KEYS_NEEDED) {
        return IPX_MALFORMED;
    }
    enum ipx_err err = admit_claim_decode(claim, &n.claim);
    if (err != IPX_OK) {
        return err;
    }
    if (!crypt_key_is_valid(&n.admitter)) {
        return IPX_BAD_KEY;
    }
    *ret = n;
    return IPX_OK;
}

void admit_notice_put(struct writer *w, const struct admit_notice *n, const struct mesh_id *mesh,
                      const struct crypt_keypair *admitter)
{
    uint8_t bytes[ADMIT_NOTICE_BODY_MAX];
    struct writer body = writer_of(bytes, sizeof bytes);
    assert(node_id_equal(&n->admitter, &admitter->pk));
    admit_notice_body_put(&body, n);
    assert(!body.failed);
    signed_write(w, writer_slice(&body), admitter, ADMIT_TYPE_NOTICE, mesh);
}

enum ipx_err admit_notice_decode(struct slice in, struct admit_notice *ret)
{
    struct signed_item item;
    if (in.len > ADMIT_NOTICE_MAX || signed_read(in, &item) != IPX_OK) {
        return IPX_MALFORMED;
    }
    return admit_notice_body_decode(item.body, ret);
}

enum ipx_err admit_notice_verify(struct slice in, const struct mesh_id *mesh,
                                 const struct cert_facts *admitter, struct admit_notice *ret)
{
    struct admit_notice n;
    struct signed_item item;
    enum ipx_err err = admit_notice_decode(in, &n);
    if (err != IPX_OK) {
        return err;
    }
    if (!node_id_equal(&n.admitter, &admitter->id)) {
        return IPX_CONFLICT;
    }
    if (!admit_is_allowed(admitter) ||
        cert_time_check(admitter->not_before_ms, admitter->not_after_ms, n.admitted_ms) != IPX_OK) {
        return IPX_DENIED;
    }
    if (signed_read(in, &item) != IPX_OK ||
        !signed_verify(&item, &admitter->id, ADMIT_TYPE_NOTICE, mesh)) {
        return IPX_BAD_SIGNATURE;
    }
    *ret = n;
    return IPX_OK;
}

bool admit_notice_check_proof(const struct admit_notice *n, const struct mesh_id *mesh,
                              const struct node_id *one_time)
{
    uint8_t bytes[ADMIT_NOTICE_BODY_MAX];
    struct writer claim = writer_of(bytes, sizeof bytes);
    admit_claim_put(&claim, &n->claim);
    return n->has_proof &&
           crypt_verify(one_time, ADMIT_TYPE_ONE_TIME, mesh, writer_slice(&claim), n->one_time_sig);
}

int admit_notice_compare(const struct admit_notice *a, const struct admit_notice *b)
{
    if (a->admitted_ms != b->admitted_ms) {
        return a->admitted_ms < b->admitted_ms ? -1 : 1;
    }
    int order = node_id_compare(&a->admitter, &b->admitter);
    return order != 0 ? order : node_id_compare(&a->claim.id, &b->claim.id);
}
