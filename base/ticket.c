/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ticket.h"
#include "base/cert_wire.h"

#define TICKET_TYPE "ticket"

/* Keys of the public body; 1..7 are the grant */
enum { KEY_ONE_TIME = 8, KEY_ISSUER_CERT = 9 };
#define BODY_KEYS (GRANT_KEYS_NEEDED | 1u << KEY_ONE_TIME | 1u << KEY_ISSUER_CERT)
#define BODY_MAX (1 + GRANT_BYTES_MAX + 35 + 35)

/* Keys of the text's content */
enum {
    TEXT_PUBLIC = 1,
    TEXT_SEED = 2,
    TEXT_GATE_KEY = 3,
    TEXT_CONTACTS = 4,
    TEXT_ISSUED_BY = 5,
    TEXT_COATS = 7
};
#define TEXT_KEYS (1u << TEXT_PUBLIC | 1u << TEXT_SEED | 1u << TEXT_GATE_KEY | 1u << TEXT_CONTACTS)
#define CONTENT_MAX                                                                                \
    (1 + (1 + TICKET_PUBLIC_MAX) + 35 + 35 + 2 +                                                   \
     TICKET_CONTACTS_MAX * (1 + 34 + 1 + ADDR_WIRE_MAX) + 3 + CERT_NAME_MAX + 2 +                  \
     TICKET_CONTACTS_MAX * (1 + ADDR_WIRE_MAX))
#define CHECKSUM_LEN 4
#define PREFIX_LEN (sizeof TICKET_PREFIX - 1)

_Static_assert(BODY_MAX + SIGNED_OVERHEAD <= TICKET_PUBLIC_MAX, "the public part fits its limit");
_Static_assert(PREFIX_LEN + (CONTENT_MAX * 8 + 4) / 5 + CHECKSUM_LEN + 1 <= TICKET_TEXT_SIZE,
               "the text fits its limit");

static void body_put(struct writer *w, const struct ticket_body *b)
{
    cbor_put_map(w, cert_grant_n_keys(&b->grant) + 2);
    cert_grant_put(w, &b->mesh, &b->grant);
    cbor_put_u64(w, KEY_ONE_TIME);
    cbor_put_bytes(w, slice_of(b->one_time.bytes, 32));
    cbor_put_u64(w, KEY_ISSUER_CERT);
    cbor_put_bytes(w, slice_of(b->issuer_cert.bytes, 32));
}

enum ipx_err ticket_body_decode(struct slice pub, struct ticket_body *ret)
{
    struct signed_item item;
    if (pub.len > TICKET_PUBLIC_MAX || signed_read(pub, &item) != IPX_OK) {
        return IPX_MALFORMED;
    }
    struct ticket_body b = {.grant = {.serial = 0}};
    struct cbor_reader r = cbor_reader_of(item.body);
    uint32_t seen = 0;
    uint64_t key;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        seen |= key < 32 ? 1u << key : 0;
        if (cert_grant_get(&r, key, &b.mesh, &b.grant)) {
            continue;
        }
        if (key == KEY_ONE_TIME) {
            cbor_bytes_fixed(&r, b.one_time.bytes, 32);
        } else if (key == KEY_ISSUER_CERT) {
            cbor_bytes_fixed(&r, b.issuer_cert.bytes, 32);
        } else {
            cbor_skip_unknown(&r, key);
        }
    }
    if (!cbor_done(&r) || (seen & BODY_KEYS) != BODY_KEYS || !cert_grant_is_valid(&b.grant) ||
        !cert_lab_is_valid(slice_text(b.grant.lab))) {
        return IPX_MALFORMED;
    }
    if (!crypt_key_is_valid(&b.one_time)) {
        return IPX_BAD_KEY;
    }
    *ret = b;
    return IPX_OK;
}

/* ISSUE is the root's to grant: no ticket carries it. */
static enum ipx_err grant_check(const struct cert_grant *grant, const struct cert_grant *issuer)
{
    if ((grant->caps & CERT_CAP_ISSUE) != 0) {
        return IPX_CAPS;
    }
    return cert_grant_within(grant, issuer);
}

enum ipx_err ticket_verify(struct slice pub, struct slice issuer_cert, const struct mesh_id *mesh,
                           struct ticket_body *ret, struct cert *ret_issuer)
{
    struct ticket_body b;
    struct cert issuer;
    struct signed_item item;
    enum ipx_err err = ticket_body_decode(pub, &b);
    if (err != IPX_OK) {
        return err;
    }
    if (memcmp(&b.mesh, mesh, sizeof *mesh) != 0) {
        return IPX_OTHER_MESH;
    }
    struct hash named = crypt_hash(issuer_cert);
    if (!hash_equal(&named, &b.issuer_cert)) {
        return IPX_UNKNOWN_ISSUER;
    }
    err = cert_issuer_verify(issuer_cert, mesh, &issuer);
    if (err != IPX_OK) {
        return err;
    }
    if (signed_read(pub, &item) != IPX_OK ||
        !signed_verify(&item, &issuer.subject, TICKET_TYPE, mesh)) {
        return IPX_BAD_SIGNATURE;
    }
    err = grant_check(&b.grant, &issuer.grant);
    if (err == IPX_OK) {
        *ret = b;
        *ret_issuer = issuer;
    }
    return err;
}

static bool plan_is_valid(const struct ticket_plan *p)
{
    if (p->n_contacts < 1 || p->n_contacts > TICKET_CONTACTS_MAX ||
        !cert_lab_is_valid(slice_text(p->grant.lab)) || p->grant.not_before_ms < 0) {
        return false;
    }
    for (unsigned i = 0; i < p->n_contacts; i++) {
        if (!crypt_key_is_valid(&p->contacts[i].id) ||
            addr_scope(&p->contacts[i].addr) == ADDR_SCOPE_NONE ||
            (p->contacts[i].coat.family != ADDR_NONE &&
             addr_scope(&p->contacts[i].coat) == ADDR_SCOPE_NONE)) {
            return false;
        }
    }
    return p->issued_by == NULL || cert_name_is_valid(slice_text(p->issued_by));
}

static void ticket_fill(struct ticket *t, const struct ticket_plan *plan)
{
    memcpy(t->seed, plan->seed, sizeof t->seed);
    memcpy(t->gate_key, plan->gate_key, sizeof t->gate_key);
    memcpy(t->contacts, plan->contacts, plan->n_contacts * sizeof plan->contacts[0]);
    t->n_contacts = plan->n_contacts;
    if (plan->issued_by != NULL) {
        memcpy(t->issued_by, plan->issued_by, strlen(plan->issued_by));
    }
}

enum ipx_err ticket_make(const struct cert_signer *signer, const struct ticket_plan *plan,
                         int64_t wall_ms, struct ticket *ret)
{
    const struct cert_grant *own = &signer->cert.grant;
    struct ticket t = {.body = {.mesh = signer->cert.mesh, .grant = plan->grant}};
    if (!plan_is_valid(plan)) {
        return IPX_MALFORMED;
    }
    enum ipx_err err = cert_time_check(own->not_before_ms, own->not_after_ms, wall_ms);
    if (err != IPX_OK) {
        return err;
    }
    struct cert_grant *grant = &t.body.grant;
    grant->not_before_ms = IPX_MAX(grant->not_before_ms, own->not_before_ms);
    grant->not_after_ms = IPX_MIN(grant->not_after_ms, own->not_after_ms);
    if (grant->not_before_ms >= grant->not_after_ms) {
        return IPX_LIFETIME;
    }
    err = grant_check(grant, own);
    if (err == IPX_OK) {
        err = crypt_keypair_from_seed(plan->seed, &t.one_time);
    }
    if (err != IPX_OK) {
        return err;
    }
    t.body.one_time = t.one_time.pk;
    t.body.issuer_cert = crypt_hash(slice_of(signer->bytes, signer->len));
    ticket_fill(&t, plan);

    uint8_t bytes[BODY_MAX];
    struct writer body = writer_of(bytes, sizeof bytes);
    struct writer pub = writer_of(t.pub, sizeof t.pub);
    body_put(&body, &t.body);
    signed_write(&pub, writer_slice(&body), &signer->key, TICKET_TYPE, &t.body.mesh);
    assert(!body.failed && !pub.failed);
    t.pub_len = pub.len;
    *ret = t;
    ticket_wipe(&t);
    return IPX_OK;
}

void ticket_wipe(struct ticket *t)
{
    crypt_wipe(t, sizeof *t);
}

enum ipx_err ticket_check(const struct ticket *t, const struct mesh_id *mesh, int64_t wall_ms)
{
    if (mesh != NULL && memcmp(mesh, &t->body.mesh, sizeof *mesh) != 0) {
        return IPX_OTHER_MESH;
    }
    return cert_time_check(t->body.grant.not_before_ms, t->body.grant.not_after_ms, wall_ms);
}

static bool ticket_has_coats(const struct ticket *t)
{
    bool has = false;
    for (unsigned i = 0; i < t->n_contacts; i++) {
        has = has || t->contacts[i].coat.family != ADDR_NONE;
    }
    return has;
}

static void coats_put(struct writer *w, const struct ticket *t)
{
    uint8_t wire[ADDR_WIRE_MAX];
    cbor_put_u64(w, TEXT_COATS);
    cbor_put_array(w, t->n_contacts);
    for (unsigned i = 0; i < t->n_contacts; i++) {
        cbor_put_bytes(w, slice_of(wire, addr_encode(&t->contacts[i].coat, wire)));
    }
}

static void content_put(struct writer *w, const struct ticket *t)
{
    bool has_name = t->issued_by[0] != '\0';
    bool has_coats = ticket_has_coats(t);
    cbor_put_map(w, 4u + has_name + has_coats);
    cbor_put_u64(w, TEXT_PUBLIC);
    cbor_put_raw(w, slice_of(t->pub, t->pub_len));
    cbor_put_u64(w, TEXT_SEED);
    cbor_put_bytes(w, slice_of(t->seed, sizeof t->seed));
    cbor_put_u64(w, TEXT_GATE_KEY);
    cbor_put_bytes(w, slice_of(t->gate_key, sizeof t->gate_key));
    cbor_put_u64(w, TEXT_CONTACTS);
    cbor_put_array(w, t->n_contacts);
    for (unsigned i = 0; i < t->n_contacts; i++) {
        uint8_t wire[ADDR_WIRE_MAX];
        size_t len = addr_encode(&t->contacts[i].addr, wire);
        cbor_put_array(w, 2);
        cbor_put_bytes(w, slice_of(t->contacts[i].id.bytes, 32));
        cbor_put_bytes(w, slice_of(wire, len));
    }
    if (has_name) {
        cbor_put_u64(w, TEXT_ISSUED_BY);
        cbor_put_text(w, slice_text(t->issued_by));
    }
    if (has_coats) {
        coats_put(w, t);
    }
}

size_t ticket_print(const struct ticket *t, char out[static TICKET_TEXT_SIZE])
{
    uint8_t bytes[CONTENT_MAX];
    struct writer w = writer_of(bytes, sizeof bytes);
    content_put(&w, t);
    assert(!w.failed);
    char sum[CHECKSUM_LEN + 1];
    text_checksum(TICKET_PREFIX, writer_slice(&w), sum);
    memcpy(out, TICKET_PREFIX, PREFIX_LEN);
    size_t len = PREFIX_LEN;
    len += base32_encode(writer_slice(&w), out + len, TICKET_TEXT_SIZE - len);
    memcpy(out + len, sum, sizeof sum);
    crypt_wipe(bytes, sizeof bytes);
    return len + CHECKSUM_LEN;
}

static void contacts_get(struct cbor_reader *r, struct ticket *t)
{
    uint64_t n = cbor_array_begin(r, TICKET_CONTACTS_MAX);
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        struct ticket_contact *c = &t->contacts[i];
        if (cbor_array_begin(r, 2) != 2) {
            r->failed = true;
            return;
        }
        cbor_bytes_fixed(r, c->id.bytes, 32);
        struct slice wire = cbor_bytes(r, ADDR_WIRE_MAX);
        cbor_array_end(r);
        if (r->failed || addr_decode(wire, &c->addr) != IPX_OK ||
            addr_scope(&c->addr) == ADDR_SCOPE_NONE || !crypt_key_is_valid(&c->id)) {
            r->failed = true;
            return;
        }
    }
    cbor_array_end(r);
    t->n_contacts = (unsigned)n;
    r->failed = r->failed || n == 0;
}

/* One for each contact, in their order; empty: it has none. */
static void coats_get(struct cbor_reader *r, struct ticket *t)
{
    uint64_t n = cbor_array_begin(r, TICKET_CONTACTS_MAX);
    r->failed = r->failed || n != t->n_contacts;
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        struct slice wire = cbor_bytes(r, ADDR_WIRE_MAX);
        struct addr *coat = &t->contacts[i].coat;
        if (!r->failed && wire.len > 0 &&
            (addr_decode(wire, coat) != IPX_OK || addr_scope(coat) == ADDR_SCOPE_NONE)) {
            r->failed = true;
        }
    }
    cbor_array_end(r);
}

static void content_key_get(struct cbor_reader *r, uint64_t key, struct ticket *t)
{
    struct slice pub;
    switch (key) {
    case TEXT_PUBLIC:
        pub = cbor_raw(r);
        if (r->failed || pub.len > sizeof t->pub) {
            r->failed = true;
            return;
        }
        memcpy(t->pub, pub.data, pub.len);
        t->pub_len = pub.len;
        break;
    case TEXT_SEED:
        cbor_bytes_fixed(r, t->seed, sizeof t->seed);
        break;
    case TEXT_GATE_KEY:
        cbor_bytes_fixed(r, t->gate_key, sizeof t->gate_key);
        break;
    case TEXT_CONTACTS:
        contacts_get(r, t);
        break;
    case TEXT_COATS:
        coats_get(r, t);
        break;
    case TEXT_ISSUED_BY:
        cbor_text_copy(r, t->issued_by, sizeof t->issued_by);
        r->failed = r->failed || !cert_name_is_valid(slice_text(t->issued_by));
        break;
    default:
        cbor_skip_unknown(r, key);
        break;
    }
}

static enum ipx_err content_decode(struct slice content, struct ticket *t)
{
    struct cbor_reader r = cbor_reader_of(content);
    uint32_t seen = 0;
    uint64_t key;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        seen |= key < 32 ? 1u << key : 0;
        content_key_get(&r, key, t);
    }
    if (!cbor_done(&r) || (seen & TEXT_KEYS) != TEXT_KEYS) {
        return IPX_MALFORMED;
    }
    enum ipx_err err = ticket_body_decode(slice_of(t->pub, t->pub_len), &t->body);
    if (err != IPX_OK) {
        return err;
    }
    if (crypt_keypair_from_seed(t->seed, &t->one_time) != IPX_OK ||
        !node_id_equal(&t->one_time.pk, &t->body.one_time)) {
        return IPX_CONFLICT;
    }
    return IPX_OK;
}

/* Lower case without white space; false if that is longer than any ticket. */
static bool text_squeeze(struct slice text, char out[static TICKET_TEXT_SIZE], size_t *ret_len)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == ' ' || (c >= '\t' && c <= '\r')) {
            continue;
        }
        if (len == TICKET_TEXT_SIZE - 1) {
            return false;
        }
        out[len++] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    *ret_len = len;
    return true;
}

enum ipx_err ticket_parse(struct slice text, struct ticket *ret)
{
    char line[TICKET_TEXT_SIZE];
    uint8_t bytes[CONTENT_MAX];
    char sum[CHECKSUM_LEN + 1];
    size_t len, n_bytes;
    if (text.len > TICKET_INPUT_MAX || !text_squeeze(text, line, &len) ||
        len <= PREFIX_LEN + CHECKSUM_LEN || memcmp(line, TICKET_PREFIX, PREFIX_LEN) != 0) {
        return IPX_MALFORMED;
    }
    struct slice coded = slice_of(line + PREFIX_LEN, len - PREFIX_LEN - CHECKSUM_LEN);
    if (base32_decode(coded, bytes, sizeof bytes, &n_bytes) != IPX_OK) {
        return IPX_MALFORMED;
    }
    text_checksum(TICKET_PREFIX, slice_of(bytes, n_bytes), sum);
    if (memcmp(sum, line + len - CHECKSUM_LEN, CHECKSUM_LEN) != 0) {
        return IPX_CHECKSUM;
    }
    struct ticket t = {.n_contacts = 0};
    enum ipx_err err = content_decode(slice_of(bytes, n_bytes), &t);
    if (err == IPX_OK) {
        *ret = t;
    }
    ticket_wipe(&t);
    crypt_wipe(bytes, sizeof bytes);
    crypt_wipe(line, sizeof line);
    return err;
}
