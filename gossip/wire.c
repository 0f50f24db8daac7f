/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/wire.h"

/* Messages; the signed statements are in wire_statement.c. */

/* --- items: docs/wire/gossip.md "Items" --- */

void gossip_item_put(struct writer *w, const struct gossip_item *item)
{
    switch (item->kind) {
    case GOSSIP_KIND_CHAIN:
        cbor_put_array(w, 2);
        cbor_put_u64(w, item->kind);
        cbor_put_bytes(w, item->body);
        return;
    case GOSSIP_KIND_DOC:
        cbor_put_array(w, 4);
        cbor_put_u64(w, item->kind);
        cbor_put_u64(w, item->doc_kind);
        cbor_put_bytes(w, slice_of(item->key.bytes, sizeof(item->key.bytes)));
        cbor_put_bytes(w, item->body);
        return;
    case GOSSIP_KIND_ALIVE:
    case GOSSIP_KIND_SUSPECT:
    case GOSSIP_KIND_DEAD:
    case GOSSIP_KIND_LEAVE:
    case GOSSIP_KIND_AD:
    case GOSSIP_KIND_AD_NOTE:
    case GOSSIP_KIND_VITALS:
        break;
    }
    cbor_put_array(w, item->kind == GOSSIP_KIND_AD ? 4 : 3);
    cbor_put_u64(w, item->kind);
    cbor_put_bytes(w, item->body);
    cbor_put_bytes(w, item->sig);
    if (item->kind == GOSSIP_KIND_AD) {
        cbor_put_bytes(w, item->extra);
    }
}

static void item_read_doc(struct cbor_reader *r, struct gossip_item *ret)
{
    ret->doc_kind = (uint8_t)cbor_uint_max(r, UINT8_MAX);
    cbor_bytes_fixed(r, ret->key.bytes, sizeof(ret->key.bytes));
    ret->body = cbor_bytes(r, GOSSIP_DOC_MAX);
}

static void item_read_signed(struct cbor_reader *r, struct gossip_item *ret)
{
    ret->body = cbor_bytes(r, GOSSIP_BODY_MAX);
    ret->sig = cbor_bytes(r, CRYPT_SIG_LEN);
    if (ret->sig.len != CRYPT_SIG_LEN) {
        r->failed = true;
    }
    if (ret->kind == GOSSIP_KIND_AD) {
        ret->extra = cbor_bytes(r, GOSSIP_AD_MAX);
    }
}

void gossip_item_read(struct cbor_reader *r, struct gossip_item *ret)
{
    *ret = (struct gossip_item){0};
    size_t start = r->pos;
    uint64_t n = cbor_array_begin(r, 4);
    uint64_t kind = cbor_uint_max(r, GOSSIP_KIND_DOC);
    uint64_t wanted = kind == GOSSIP_KIND_CHAIN                           ? 2
                      : kind == GOSSIP_KIND_DOC || kind == GOSSIP_KIND_AD ? 4
                                                                          : 3;
    if (kind == 0 || n != wanted) {
        r->failed = true;
        return;
    }
    ret->kind = (enum gossip_kind)kind;
    if (kind == GOSSIP_KIND_CHAIN) {
        ret->body = cbor_bytes(r, GOSSIP_CHAIN_MAX);
    } else if (kind == GOSSIP_KIND_DOC) {
        item_read_doc(r, ret);
    } else {
        item_read_signed(r, ret);
    }
    cbor_array_end(r);
    if (!r->failed) {
        ret->raw = slice_of(r->in.data + start, r->pos - start);
    }
}

void gossip_item_sign(struct writer *w, enum gossip_kind kind, const struct crypt_keypair *key,
                      const struct mesh_id *mesh, struct slice body, struct slice extra)
{
    uint8_t sig[CRYPT_SIG_LEN];
    assert(gossip_kind_sign_type(kind) != NULL);
    crypt_sign(key, gossip_kind_sign_type(kind), mesh, body, sig);
    struct gossip_item item = {
        .kind = kind, .body = body, .sig = slice_of(sig, sizeof(sig)), .extra = extra};
    gossip_item_put(w, &item);
}

bool gossip_item_verify(const struct gossip_item *item, const struct node_id *signer,
                        const struct mesh_id *mesh)
{
    const char *type = gossip_kind_sign_type(item->kind);
    return type != NULL && item->sig.len == CRYPT_SIG_LEN &&
           crypt_verify(signer, type, mesh, item->body, item->sig.data);
}

/* --- 32 PING, 33 ACK, 34 PING_REQ, 35 NACK, 36 SPREAD --- */

static void encode_probe(enum gossip_type type, const struct gossip_msg *m, struct writer *w)
{
    uint8_t vitals[GOSSIP_VITALS_LEN];
    bool has_target = type == GOSSIP_TYPE_PING_REQ;
    bool has_known = type == GOSSIP_TYPE_PING && m->has_known;
    bool has_vitals = type != GOSSIP_TYPE_SPREAD && m->has_vitals;
    cbor_put_map(w, (has_vitals ? 1U : 0) + (has_target ? 1U : 0) + (has_known ? 2U : 0) +
                        (m->items.len > 0 ? 1U : 0));
    if (has_vitals) {
        gossip_vitals_encode(&m->vitals, vitals);
        cbor_put_u64(w, 1);
        cbor_put_bytes(w, slice_of(vitals, sizeof(vitals)));
    }
    if (has_target) {
        cbor_put_u64(w, 2);
        cbor_put_bytes(w, slice_of(m->target.bytes, sizeof(m->target.bytes)));
    }
    if (has_known) {
        cbor_put_u64(w, 3);
        cbor_put_u64(w, m->known_generation);
        cbor_put_u64(w, 5);
        cbor_put_u64(w, m->known_incarnation);
    }
    if (m->items.len > 0) {
        cbor_put_u64(w, 7);
        cbor_put_raw(w, m->items);
    }
}

static void decode_vitals(struct cbor_reader *r, struct gossip_msg *m)
{
    uint8_t vitals[GOSSIP_VITALS_LEN];
    cbor_bytes_fixed(r, vitals, sizeof(vitals));
    gossip_vitals_decode(vitals, &m->vitals);
    m->has_vitals = true;
}

static void decode_items(struct cbor_reader *r, struct gossip_msg *m)
{
    struct gossip_item item;
    size_t start = r->pos;
    uint64_t n = cbor_array_begin(r, GOSSIP_ITEMS_MAX);
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        gossip_item_read(r, &item);
    }
    cbor_array_end(r);
    if (!r->failed && n > 0) {
        m->items = slice_of(r->in.data + start, r->pos - start);
    } else if (n == 0) {
        r->failed = true; /* one form only: no items means no key */
    }
}

static bool decode_probe(enum gossip_type type, struct cbor_reader *r, struct gossip_msg *m)
{
    uint64_t key;
    unsigned n_known = 0;
    bool has_target = false;
    cbor_map_begin(r);
    while (cbor_map_next(r, &key)) {
        if (key == 1 && type != GOSSIP_TYPE_SPREAD) {
            decode_vitals(r, m);
        } else if (key == 2 && type == GOSSIP_TYPE_PING_REQ) {
            cbor_bytes_fixed(r, m->target.bytes, sizeof(m->target.bytes));
            has_target = true;
        } else if (key == 3 && type == GOSSIP_TYPE_PING) {
            m->known_generation = (uint32_t)cbor_uint_max(r, UINT32_MAX);
            n_known++;
        } else if (key == 5 && type == GOSSIP_TYPE_PING) {
            m->known_incarnation = (uint32_t)cbor_uint_max(r, UINT32_MAX);
            n_known++;
        } else if (key == 7) {
            decode_items(r, m);
        } else {
            cbor_skip_unknown(r, key);
        }
    }
    m->has_known = n_known == 2;
    return has_target == (type == GOSSIP_TYPE_PING_REQ);
}

/* --- 37 DIGEST --- */

static void encode_digest(const struct gossip_msg *m, struct writer *w)
{
    assert(m->digest.len == GOSSIP_DIGEST_LEN && m->doc_digest.len == GOSSIP_DOC_DIGEST_LEN);
    cbor_put_map(w, 3);
    cbor_put_u64(w, 2);
    cbor_put_bytes(w, slice_of(m->salt, sizeof(m->salt)));
    cbor_put_u64(w, 4);
    cbor_put_bytes(w, m->digest);
    cbor_put_u64(w, 6);
    cbor_put_bytes(w, m->doc_digest);
}

static bool decode_digest(struct cbor_reader *r, struct gossip_msg *m)
{
    uint64_t key;
    bool has_salt = false;
    cbor_map_begin(r);
    while (cbor_map_next(r, &key)) {
        if (key == 2) {
            cbor_bytes_fixed(r, m->salt, sizeof(m->salt));
            has_salt = true;
        } else if (key == 4) {
            m->digest = cbor_bytes(r, GOSSIP_DIGEST_LEN);
        } else if (key == 6) {
            m->doc_digest = cbor_bytes(r, GOSSIP_DOC_DIGEST_LEN);
        } else {
            cbor_skip_unknown(r, key);
        }
    }
    return has_salt && m->digest.len == GOSSIP_DIGEST_LEN &&
           m->doc_digest.len == GOSSIP_DOC_DIGEST_LEN;
}

/* --- 38 DIFF --- */

static void encode_diff(const struct gossip_msg *m, struct writer *w)
{
    cbor_put_map(w, m->mask == 0 ? 1 : 5);
    cbor_put_u64(w, 2);
    cbor_put_u64(w, m->mask);
    if (m->mask == 0) {
        return;
    }
    cbor_put_u64(w, 4);
    cbor_put_bool(w, m->is_docs);
    cbor_put_u64(w, 6);
    cbor_put_u64(w, m->low);
    cbor_put_u64(w, 8);
    cbor_put_u64(w, m->high);
    cbor_put_u64(w, 10);
    cbor_put_bytes(w, m->entries);
}

static bool decode_diff(struct cbor_reader *r, struct gossip_msg *m)
{
    uint64_t key;
    unsigned n = 0;
    cbor_map_begin(r);
    while (cbor_map_next(r, &key)) {
        n += key <= 10 && key % 2 == 0 && key > 0 ? 1 : 0;
        if (key == 2) {
            m->mask = cbor_u64(r);
        } else if (key == 4) {
            m->is_docs = cbor_bool(r);
        } else if (key == 6) {
            m->low = cbor_u64(r);
        } else if (key == 8) {
            m->high = cbor_u64(r);
        } else if (key == 10) {
            m->entries = cbor_bytes(r, GOSSIP_BODY_MAX);
        } else {
            cbor_skip_unknown(r, key);
        }
    }
    size_t entry_len = m->is_docs ? 8 : GOSSIP_DIFF_ENTRY_LEN;
    return n == (m->mask == 0 ? 1 : 5) && m->low <= m->high && m->entries.len % entry_len == 0;
}

/* --- 39 PULL --- */

static void encode_pull(const struct gossip_msg *m, struct writer *w)
{
    cbor_put_map(w, 1);
    cbor_put_u64(w, 2);
    cbor_put_bytes(w, m->entries);
}

static bool decode_pull(struct cbor_reader *r, struct gossip_msg *m)
{
    uint64_t key;
    cbor_map_begin(r);
    while (cbor_map_next(r, &key)) {
        if (key == 2) {
            m->entries = cbor_bytes(r, (size_t)GOSSIP_PULLS_MAX * GOSSIP_PULL_ENTRY_LEN);
        } else {
            cbor_skip_unknown(r, key);
        }
    }
    return m->entries.len > 0 && m->entries.len % GOSSIP_PULL_ENTRY_LEN == 0;
}

void gossip_msg_encode(enum gossip_type type, const struct gossip_msg *m, struct writer *w)
{
    switch (type) {
    case GOSSIP_TYPE_PING:
    case GOSSIP_TYPE_ACK:
    case GOSSIP_TYPE_PING_REQ:
    case GOSSIP_TYPE_NACK:
    case GOSSIP_TYPE_SPREAD:
        encode_probe(type, m, w);
        return;
    case GOSSIP_TYPE_DIGEST:
        encode_digest(m, w);
        return;
    case GOSSIP_TYPE_DIFF:
        encode_diff(m, w);
        return;
    case GOSSIP_TYPE_PULL:
        encode_pull(m, w);
        return;
    }
    assert(false);
}

enum ipx_err gossip_msg_decode(enum gossip_type type, struct slice in, struct gossip_msg *ret)
{
    struct cbor_reader r = cbor_reader_of(in);
    struct gossip_msg m = {0};
    bool ok = false;
    switch (type) {
    case GOSSIP_TYPE_PING:
    case GOSSIP_TYPE_ACK:
    case GOSSIP_TYPE_PING_REQ:
    case GOSSIP_TYPE_NACK:
    case GOSSIP_TYPE_SPREAD:
        ok = decode_probe(type, &r, &m);
        break;
    case GOSSIP_TYPE_DIGEST:
        ok = decode_digest(&r, &m);
        break;
    case GOSSIP_TYPE_DIFF:
        ok = decode_diff(&r, &m);
        break;
    case GOSSIP_TYPE_PULL:
        ok = decode_pull(&r, &m);
        break;
    }
    if (!ok || !cbor_done(&r)) {
        return IPX_MALFORMED;
    }
    *ret = m;
    return IPX_OK;
}

void gossip_items_begin(struct gossip_items *it, struct slice items)
{
    it->r = cbor_reader_of(items);
    it->left = items.len == 0 ? 0 : cbor_array_begin(&it->r, GOSSIP_ITEMS_MAX);
}

bool gossip_items_next(struct gossip_items *it, struct gossip_item *ret)
{
    if (it->left == 0 || it->r.failed) {
        return false;
    }
    it->left--;
    gossip_item_read(&it->r, ret);
    return !it->r.failed;
}

void gossip_packer_init(struct gossip_packer *p, size_t room)
{
    p->room = IPX_MIN(room, sizeof(p->bytes));
    p->len = 1;
    p->n = 0;
}

bool gossip_packer_add(struct gossip_packer *p, struct slice item)
{
    assert(item.len > 0);
    if (p->n == GOSSIP_ITEMS_MAX || p->len + item.len > p->room) {
        return false;
    }
    memcpy(p->bytes + p->len, item.data, item.len);
    p->len += item.len;
    p->n++;
    return true;
}

bool gossip_packer_add_item(struct gossip_packer *p, const struct gossip_item *item)
{
    if (p->n == GOSSIP_ITEMS_MAX || p->len >= p->room) {
        return false;
    }
    struct writer w = writer_of(p->bytes + p->len, p->room - p->len);
    gossip_item_put(&w, item);
    if (w.failed) {
        return false;
    }
    p->len += w.len;
    p->n++;
    return true;
}

struct slice gossip_packer_items(struct gossip_packer *p)
{
    if (p->n == 0) {
        return SLICE_EMPTY;
    }
    p->bytes[0] = (uint8_t)(0x80 | p->n); /* a CBOR array of n <= 23 items */
    return slice_of(p->bytes, p->len);
}
