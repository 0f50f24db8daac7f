/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cert.h"
#include "base/cert_wire.h"

#define CERT_TYPE "cert" /* what the signature is bound to */

/* Keys of the body; 1..7 are the grant, shared with tickets */
enum {
    KEY_KIND = 8,
    KEY_SUBJECT = 9,
    KEY_ISSUER = 10,
    KEY_PATH_LEN = 11,
    KEY_NAME = 12,
    KEY_NONCE = 13,
    KEY_ADMITTER = 14,
    KEY_BIRTH = 15,
    KEY_ADMITTED = 16
};
#define KEYS_COMMON                                                                                \
    (GRANT_KEYS_NEEDED | 1u << KEY_KIND | 1u << KEY_SUBJECT | 1u << KEY_ISSUER | 1u << KEY_PATH_LEN)
#define KEYS_NODE                                                                                  \
    (1u << KEY_NAME | 1u << KEY_NONCE | 1u << KEY_ADMITTER | 1u << KEY_BIRTH | 1u << KEY_ADMITTED)

/* Largest body and certificate: every text full, every number at 64 bits */
#define BODY_MAX                                                                                   \
    (1 + GRANT_BYTES_MAX + 2 + 35 + 35 + 2 + (3 + CERT_NAME_MAX) + 18 + 35 + (2 + 34 + 9) + 10)
_Static_assert(BODY_MAX + SIGNED_OVERHEAD <= CERT_BYTES_MAX, "a certificate fits its limit");
_Static_assert(2 + 2 * CERT_BYTES_MAX <= CERT_CHAIN_MAX, "a plain chain fits an INIT");

static void node_part_put(struct writer *w, const struct cert *c)
{
    cbor_put_u64(w, KEY_NONCE);
    cbor_put_bytes(w, slice_of(c->nonce, sizeof c->nonce));
    cbor_put_u64(w, KEY_ADMITTER);
    cbor_put_bytes(w, slice_of(c->admitter.bytes, 32));
    cbor_put_u64(w, KEY_BIRTH);
    cbor_put_array(w, 2);
    cbor_put_bytes(w, slice_of(c->birth_issuer.bytes, 32));
    cbor_put_u64(w, c->birth_serial);
    cbor_put_u64(w, KEY_ADMITTED);
    cbor_put_u64(w, (uint64_t)c->admitted_ms);
}

static void body_put(struct writer *w, const struct cert *c)
{
    bool is_node = c->kind == CERT_KIND_NODE;
    bool has_name = c->name[0] != '\0';
    cbor_put_map(w, cert_grant_n_keys(&c->grant) + 4 + (has_name ? 1u : 0u) + (is_node ? 4u : 0u));
    cert_grant_put(w, &c->mesh, &c->grant);
    cbor_put_u64(w, KEY_KIND);
    cbor_put_u64(w, (uint64_t)c->kind);
    cbor_put_u64(w, KEY_SUBJECT);
    cbor_put_bytes(w, slice_of(c->subject.bytes, 32));
    cbor_put_u64(w, KEY_ISSUER);
    cbor_put_bytes(w, slice_of(c->issuer.bytes, 32));
    cbor_put_u64(w, KEY_PATH_LEN);
    cbor_put_u64(w, c->path_len);
    if (has_name) {
        cbor_put_u64(w, KEY_NAME);
        cbor_put_text(w, slice_text(c->name));
    }
    if (is_node) {
        node_part_put(w, c);
    }
}

void cert_sign(const struct cert *c, const struct crypt_keypair *issuer, struct writer *w)
{
    assert(node_id_equal(&c->issuer, &issuer->pk));
    assert(c->grant.not_before_ms >= 0 && c->admitted_ms >= 0);
    assert(c->name[0] == '\0' || cert_name_is_valid(slice_text(c->name)));
    uint8_t bytes[BODY_MAX];
    struct writer body = writer_of(bytes, sizeof bytes);
    body_put(&body, c);
    assert(!body.failed);
    signed_write(w, writer_slice(&body), issuer, CERT_TYPE, &c->mesh);
}

static void birth_get(struct cbor_reader *r, struct cert *c)
{
    if (cbor_array_begin(r, 2) != 2) {
        r->failed = true;
        return;
    }
    cbor_bytes_fixed(r, c->birth_issuer.bytes, 32);
    c->birth_serial = cbor_u64(r);
    cbor_array_end(r);
}

static void body_key_get(struct cbor_reader *r, uint64_t key, struct cert *c)
{
    switch (key) {
    case KEY_KIND:
        c->kind = (enum cert_kind)cbor_uint_max(r, CERT_KIND_TREATY);
        break;
    case KEY_SUBJECT:
        cbor_bytes_fixed(r, c->subject.bytes, 32);
        break;
    case KEY_ISSUER:
        cbor_bytes_fixed(r, c->issuer.bytes, 32);
        break;
    case KEY_PATH_LEN:
        c->path_len = (uint8_t)cbor_uint_max(r, UINT8_MAX);
        break;
    case KEY_NAME:
        cbor_text_copy(r, c->name, sizeof c->name);
        break;
    case KEY_NONCE:
        cbor_bytes_fixed(r, c->nonce, sizeof c->nonce);
        break;
    case KEY_ADMITTER:
        cbor_bytes_fixed(r, c->admitter.bytes, 32);
        break;
    case KEY_BIRTH:
        birth_get(r, c);
        break;
    case KEY_ADMITTED:
        c->admitted_ms = (int64_t)cbor_uint_max(r, CERT_TIME_MAX_MS);
        break;
    default:
        cbor_skip_unknown(r, key);
        break;
    }
}

/* What a body must have depends on its kind. */
static bool body_is_complete(const struct cert *c, uint32_t seen)
{
    if ((seen & KEYS_COMMON) != KEYS_COMMON || !cert_grant_is_valid(&c->grant)) {
        return false;
    }
    if ((seen & 1u << KEY_NAME) != 0 && !cert_name_is_valid(slice_text(c->name))) {
        return false;
    }
    if (c->kind == CERT_KIND_NODE) {
        return (seen & KEYS_NODE) == KEYS_NODE && cert_lab_is_valid(slice_text(c->grant.lab));
    }
    return c->kind == CERT_KIND_ISSUER && (seen & KEYS_NODE & ~(1u << KEY_NAME)) == 0;
}

static enum ipx_err body_decode(struct slice body, struct cert *ret)
{
    struct cert c = {.path_len = 0};
    struct cbor_reader r = cbor_reader_of(body);
    uint32_t seen = 0;
    uint64_t key;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        seen |= key < 32 ? 1u << key : 0;
        if (!cert_grant_get(&r, key, &c.mesh, &c.grant)) {
            body_key_get(&r, key, &c);
        }
    }
    if (!cbor_done(&r) || !body_is_complete(&c, seen)) {
        return IPX_MALFORMED;
    }
    if (!crypt_key_is_valid(&c.subject) || !crypt_key_is_valid(&c.issuer)) {
        return IPX_BAD_KEY;
    }
    if (c.kind == CERT_KIND_NODE &&
        (!crypt_key_is_valid(&c.admitter) || !crypt_key_is_valid(&c.birth_issuer))) {
        return IPX_BAD_KEY;
    }
    *ret = c;
    return IPX_OK;
}

enum ipx_err cert_decode(struct slice in, struct cert *ret)
{
    struct signed_item item;
    if (in.len > CERT_BYTES_MAX || signed_read(in, &item) != IPX_OK) {
        return IPX_MALFORMED;
    }
    return body_decode(item.body, ret);
}

/* The caller has decoded `in` with success, so it splits. */
static bool signature_holds(struct slice in, const struct cert *c)
{
    struct signed_item item;
    return signed_read(in, &item) == IPX_OK &&
           signed_verify(&item, &c->issuer, CERT_TYPE, &c->mesh);
}

enum ipx_err cert_issuer_verify(struct slice in, const struct mesh_id *mesh, struct cert *ret)
{
    struct cert c;
    enum ipx_err err = cert_decode(in, &c);
    if (err != IPX_OK) {
        return err;
    }
    struct mesh_id root_mesh = mesh_id_of(&c.issuer);
    if (memcmp(&c.mesh, mesh, sizeof *mesh) != 0 || memcmp(&root_mesh, mesh, sizeof *mesh) != 0) {
        return IPX_OTHER_MESH;
    }
    if (c.kind != CERT_KIND_ISSUER || node_id_equal(&c.subject, &c.issuer)) {
        return IPX_BAD_CHAIN;
    }
    if (!signature_holds(in, &c)) {
        return IPX_BAD_SIGNATURE;
    }
    if (c.path_len != 0) {
        return IPX_PATH_LEN;
    }
    if ((c.grant.caps & CERT_CAP_ISSUE) == 0) {
        return IPX_CAPS;
    }
    *ret = c;
    return IPX_OK;
}

enum ipx_err cert_node_verify(struct slice in, const struct cert *issuer, struct cert *ret)
{
    struct cert c;
    enum ipx_err err = cert_decode(in, &c);
    if (err != IPX_OK) {
        return err;
    }
    if (memcmp(&c.mesh, &issuer->mesh, sizeof c.mesh) != 0) {
        return IPX_OTHER_MESH;
    }
    if (c.kind != CERT_KIND_NODE || !node_id_equal(&c.issuer, &issuer->subject) ||
        node_id_equal(&c.subject, &issuer->subject) || node_id_equal(&c.subject, &issuer->issuer)) {
        return IPX_BAD_CHAIN;
    }
    if (!signature_holds(in, &c)) {
        return IPX_BAD_SIGNATURE;
    }
    if (c.path_len != 0) {
        return IPX_PATH_LEN;
    }
    err = cert_grant_within(&c.grant, &issuer->grant);
    if (err == IPX_OK) {
        *ret = c;
    }
    return err;
}

enum ipx_err cert_issue(const struct cert_signer *signer, struct cert *node, int64_t wall_ms,
                        struct writer *w)
{
    const struct cert_grant *own = &signer->cert.grant;
    enum ipx_err err = cert_time_check(own->not_before_ms, own->not_after_ms, wall_ms);
    if (err != IPX_OK) {
        return err;
    }
    node->mesh = signer->cert.mesh;
    node->issuer = signer->key.pk;
    node->path_len = 0;
    node->grant.not_before_ms = IPX_MAX(node->grant.not_before_ms, own->not_before_ms);
    node->grant.not_after_ms = IPX_MIN(node->grant.not_after_ms, own->not_after_ms);
    err = cert_grant_within(&node->grant, own);
    if (err != IPX_OK) {
        return err;
    }
    cert_sign(node, &signer->key, w);
    return IPX_OK;
}

void cert_of_facts(const struct cert_facts *f, uint64_t serial, int64_t wall_ms, struct cert *ret)
{
    *ret = (struct cert){.kind = CERT_KIND_NODE,
                         .subject = f->id,
                         .admitter = f->admitter,
                         .birth_issuer = f->birth_issuer,
                         .birth_serial = f->birth_serial,
                         .admitted_ms = f->admitted_ms,
                         .grant = {.serial = serial,
                                   .caps = f->caps,
                                   .not_before_ms = wall_ms,
                                   .not_after_ms = wall_ms + CERT_NODE_LIFE_MS,
                                   .prefixes = f->prefixes}};
    memcpy(ret->name, f->name, sizeof ret->name);
    memcpy(ret->grant.lab, f->lab, sizeof ret->grant.lab);
    memcpy(ret->nonce, f->nonce, sizeof ret->nonce);
}

enum ipx_err cert_renew(const struct cert_signer *signer, const struct cert_facts *facts,
                        uint64_t serial, int64_t wall_ms, struct writer *w)
{
    if (!facts->is_plain) {
        return IPX_REFUSED;
    }
    struct cert node;
    cert_of_facts(facts, serial, wall_ms, &node);
    return cert_issue(signer, &node, wall_ms, w);
}

int64_t cert_renew_at_ms(const struct cert_facts *facts)
{
    return facts->not_before_ms + (facts->not_after_ms - facts->not_before_ms) / 3 * 2;
}
