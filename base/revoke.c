/* SPDX-License-Identifier: Apache-2.0 */
#include "base/revoke.h"

#include "base/cert_wire.h"

#define REVOKE_TYPE "revoke" /* what the signature is bound to */

enum { KEY_BY = 1, KEY_WHAT = 2, KEY_AT = 3, KEY_REASON = 4 };
enum { BY_ROOT = 1, BY_ISSUER = 2 };
#define KEYS_NEEDED (1u << KEY_BY | 1u << KEY_WHAT | 1u << KEY_AT | 1u << KEY_REASON)

/* Every number at 64 bits; a key is shorter than tag and range */
#define WHAT_MAX (1 + 1 + (1 + REVOKE_TAG_LEN) + 9 + 9)
#define BODY_MAX (1 + (1 + 2 + 34) + (1 + WHAT_MAX) + (1 + 9) + (1 + 1))
_Static_assert(BODY_MAX + SIGNED_OVERHEAD <= REVOKE_MAX, "a revocation fits its limit");
_Static_assert(REVOKE_LIFE_MS >= CERT_ISSUER_LIFE_MS && REVOKE_LIFE_MS >= CERT_NODE_LIFE_MS,
               "nothing below the root outlives a revocation");

static void what_put(struct writer *w, const struct revoke *r)
{
    if (r->what == REVOKE_KEY) {
        cbor_put_array(w, 2);
        cbor_put_u64(w, REVOKE_KEY);
        cbor_put_bytes(w, slice_of(r->key.bytes, 32));
        return;
    }
    cbor_put_array(w, 4);
    cbor_put_u64(w, REVOKE_SERIALS);
    cbor_put_bytes(w, slice_of(r->issuer_tag, sizeof r->issuer_tag));
    cbor_put_u64(w, r->serial_min);
    cbor_put_u64(w, r->serial_max);
}

void revoke_sign(const struct revoke *r, const struct crypt_keypair *revoker, struct slice cert,
                 const struct mesh_id *mesh, struct writer *w)
{
    assert(r->what == REVOKE_KEY || r->serial_min <= r->serial_max);
    assert(r->at_ms >= 0 && r->at_ms <= CERT_TIME_MAX_MS && r->reason <= REVOKE_MISTAKE);
    uint8_t bytes[BODY_MAX];
    struct writer body = writer_of(bytes, sizeof bytes);
    bool is_by_root = cert.len == 0;
    struct hash by = {{0}};
    if (!is_by_root)
        by = crypt_hash(cert);
    cbor_put_map(&body, 4);
    cbor_put_u64(&body, KEY_BY);
    cbor_put_array(&body, 2);
    cbor_put_u64(&body, is_by_root ? BY_ROOT : BY_ISSUER);
    cbor_put_bytes(&body, slice_of(is_by_root ? revoker->pk.bytes : by.bytes, 32));
    cbor_put_u64(&body, KEY_WHAT);
    what_put(&body, r);
    cbor_put_u64(&body, KEY_AT);
    cbor_put_u64(&body, (uint64_t)r->at_ms);
    cbor_put_u64(&body, KEY_REASON);
    cbor_put_u64(&body, (uint64_t)r->reason);
    assert(!body.failed);
    signed_write(w, writer_slice(&body), revoker, REVOKE_TYPE, mesh);
}

static void by_get(struct cbor_reader *r, struct revoke *ret)
{
    if (cbor_array_begin(r, 2) != 2) {
        r->failed = true;
        return;
    }
    uint64_t by = cbor_u64(r);
    ret->is_by_root = by == BY_ROOT;
    r->failed = r->failed || (by != BY_ROOT && by != BY_ISSUER);
    cbor_bytes_fixed(r, ret->is_by_root ? ret->revoker.bytes : ret->issuer_cert.bytes, 32);
    cbor_array_end(r);
}

static void what_get(struct cbor_reader *r, struct revoke *ret)
{
    uint64_t n = cbor_array_begin(r, 4);
    uint64_t what = n == 0 ? 0 : cbor_u64(r);
    if (what == REVOKE_KEY && n == 2) {
        ret->what = REVOKE_KEY;
        cbor_bytes_fixed(r, ret->key.bytes, 32);
    } else if (what == REVOKE_SERIALS && n == 4) {
        ret->what = REVOKE_SERIALS;
        cbor_bytes_fixed(r, ret->issuer_tag, sizeof ret->issuer_tag);
        ret->serial_min = cbor_u64(r);
        ret->serial_max = cbor_u64(r);
    } else {
        r->failed = true;
        return;
    }
    cbor_array_end(r);
}

static void key_get(struct cbor_reader *r, uint64_t key, struct revoke *ret)
{
    uint64_t reason;
    switch (key) {
    case KEY_BY:
        by_get(r, ret);
        break;
    case KEY_WHAT:
        what_get(r, ret);
        break;
    case KEY_AT:
        ret->at_ms = (int64_t)cbor_uint_max(r, CERT_TIME_MAX_MS);
        break;
    case KEY_REASON:
        reason = cbor_uint_max(r, UINT8_MAX);
        ret->reason = reason <= REVOKE_MISTAKE ? (enum revoke_reason)reason : REVOKE_UNSAID;
        break;
    default:
        cbor_skip_unknown(r, key);
        break;
    }
}

enum ipx_err revoke_decode(struct slice in, struct revoke *ret)
{
    struct signed_item item;
    struct revoke got = {.at_ms = 0};
    uint32_t seen = 0;
    uint64_t key;
    if (in.len > REVOKE_MAX || signed_read(in, &item) != IPX_OK) {
        return IPX_MALFORMED;
    }
    struct cbor_reader r = cbor_reader_of(item.body);
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        seen |= key < 32 ? 1u << key : 0;
        key_get(&r, key, &got);
    }
    if (!cbor_done(&r) || (seen & KEYS_NEEDED) != KEYS_NEEDED || got.serial_min > got.serial_max) {
        return IPX_MALFORMED;
    }
    if ((got.what == REVOKE_KEY && !crypt_key_is_valid(&got.key)) ||
        (got.is_by_root && !crypt_key_is_valid(&got.revoker))) {
        return IPX_BAD_KEY;
    }
    *ret = got;
    return IPX_OK;
}

/* Who signed, as far as certificates say: sets r->revoker. */
static enum ipx_err revoker_find(struct revoke *r, const struct mesh_id *mesh,
                                 struct slice issuer_cert)
{
    struct cert cert;
    if (r->is_by_root) {
        struct mesh_id own = mesh_id_of(&r->revoker);
        return memcmp(&own, mesh, sizeof own) == 0 ? IPX_OK : IPX_OTHER_MESH;
    }
    struct hash h = crypt_hash(issuer_cert);
    if (!hash_equal(&h, &r->issuer_cert)) {
        return IPX_NEED_CHAIN;
    }
    enum ipx_err err = cert_issuer_verify(issuer_cert, mesh, &cert);
    if (err != IPX_OK) {
        return err;
    }
    if ((cert.grant.caps & CERT_CAP_REVOKE) == 0) {
        return IPX_CAPS;
    }
    r->revoker = cert.subject;
    return cert_time_check(cert.grant.not_before_ms, cert.grant.not_after_ms, r->at_ms);
}

enum ipx_err revoke_verify(struct slice in, const struct mesh_id *mesh, struct slice issuer_cert,
                           struct revoke *ret)
{
    struct revoke r;
    struct signed_item item;
    enum ipx_err err = revoke_decode(in, &r);
    if (err != IPX_OK) {
        return err;
    }
    err = revoker_find(&r, mesh, issuer_cert);
    if (err == IPX_NEED_CHAIN) {
        *ret = r;
    }
    if (err != IPX_OK) {
        return err;
    }
    if (signed_read(in, &item) != IPX_OK || !signed_verify(&item, &r.revoker, REVOKE_TYPE, mesh)) {
        return IPX_BAD_SIGNATURE;
    }
    *ret = r;
    return IPX_OK;
}

/* --- whom it strikes --- */

/* An issuer takes back what is its own and nothing else. */
static bool is_ancestor(const struct revoke *r, const struct cert_facts *f)
{
    return r->is_by_root || node_id_equal(&r->revoker, &f->issuer) ||
           node_id_equal(&r->revoker, &f->birth_issuer);
}

static bool names_serial(const struct revoke *r, const struct node_id *issuer, uint64_t serial)
{
    return memcmp(r->issuer_tag, issuer->bytes, sizeof r->issuer_tag) == 0 &&
           serial >= r->serial_min && serial <= r->serial_max;
}

bool revoke_strikes(const struct revoke *r, const struct cert_facts *f)
{
    if (!is_ancestor(r, f)) {
        return false;
    }
    if (r->what == REVOKE_KEY) {
        return node_id_equal(&r->key, &f->id) || node_id_equal(&r->key, &f->issuer) ||
               (!f->is_plain && node_id_equal(&r->key, &f->admitter));
    }
    return names_serial(r, &f->issuer, f->serial) ||
           names_serial(r, &f->birth_issuer, f->birth_serial);
}

bool revoke_strikes_ticket(const struct revoke *r, const struct node_id *issuer, uint64_t serial,
                           const struct node_id *redeemer)
{
    if (!r->is_by_root && !node_id_equal(&r->revoker, issuer)) {
        return false;
    }
    return r->what == REVOKE_KEY
               ? node_id_equal(&r->key, issuer) || node_id_equal(&r->key, redeemer)
               : names_serial(r, issuer, serial);
}

bool revoke_strikes_issuer(const struct revoke *r, const struct node_id *issuer)
{
    return r->is_by_root && r->what == REVOKE_KEY && node_id_equal(&r->key, issuer);
}

bool revoke_is_over(const struct revoke *r, int64_t wall_ms)
{
    return wall_ms > r->at_ms + REVOKE_LIFE_MS;
}

const char *revoke_reason_text(enum revoke_reason reason)
{
    static const char *const texts[] = {"no reason given", "stolen", "retired", "abuse", "mistake"};
    return texts[reason];
}
