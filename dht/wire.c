/* SPDX-License-Identifier: Apache-2.0 */
#include "dht/wire.h"

static_assert(32 + 16 + 1 + ADDR_WIRE_MAX == DHT_CONTACT_WIRE_MAX, "contact layout");
/* 16 contacts with v4 must fit one message beside map and array heads. */
static_assert(DHT_CONTACTS_MAX * (55 + 2) + 4 <= DHT_BODY_MAX, "a full answer fits one packet");

size_t dht_contact_encode(const struct dht_contact *c, uint8_t out[static DHT_CONTACT_WIRE_MAX])
{
    memcpy(out, c->id.bytes, 32);
    memcpy(out + 32, c->nonce, 16);
    out[48] = (uint8_t)(c->flags & ~DHT_FLAG_NO_NONCE);
    return 49 + addr_encode(&c->addr, out + 49);
}

enum ipx_err dht_contact_decode(struct slice in, struct dht_contact *ret)
{
    struct dht_contact c = {.flags = 0};
    if (in.len != 55 && in.len != DHT_CONTACT_WIRE_MAX) {
        return IPX_MALFORMED;
    }
    memcpy(c.id.bytes, in.data, 32);
    memcpy(c.nonce, in.data + 32, 16);
    c.flags = (uint8_t)(in.data[48] & ~DHT_FLAG_NO_NONCE);
    if (addr_decode(slice_of(in.data + 49, in.len - 49), &c.addr) != IPX_OK) {
        return IPX_MALFORMED;
    }
    *ret = c;
    return IPX_OK;
}

/* The array of as many contacts as still fit. */
static void put_contacts(struct writer *w, const struct dht_contact *contacts, size_t n)
{
    uint8_t bytes[DHT_CONTACT_WIRE_MAX];
    size_t room = w->cap - w->len, fits = 0;
    room = room > 3 ? room - 3 : 0; /* the array's own head */
    for (; fits < n; fits++) {
        size_t len = dht_contact_encode(&contacts[fits], bytes) + 2;
        if (len > room) {
            break;
        }
        room -= len;
    }
    cbor_put_array(w, fits);
    for (size_t i = 0; i < fits; i++) {
        cbor_put_bytes(w, slice_of(bytes, dht_contact_encode(&contacts[i], bytes)));
    }
}

static size_t get_contacts(struct cbor_reader *r, struct dht_contact *ret, size_t max)
{
    uint64_t n = cbor_array_begin(r, max);
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        if (dht_contact_decode(cbor_bytes(r, DHT_CONTACT_WIRE_MAX), &ret[i]) != IPX_OK) {
            r->failed = true;
        }
    }
    cbor_array_end(r);
    return r->failed ? 0 : (size_t)n;
}

struct addr dht_addr_get(struct cbor_reader *r)
{
    struct addr a = {.family = ADDR_NONE};
    struct slice s = cbor_bytes(r, ADDR_WIRE_MAX);
    if (!r->failed && addr_decode(s, &a) != IPX_OK) {
        r->failed = true;
    }
    return a;
}

void dht_addr_put(struct writer *w, const struct addr *a)
{
    uint8_t bytes[ADDR_WIRE_MAX];
    cbor_put_bytes(w, slice_of(bytes, addr_encode(a, bytes)));
}

/* 16 PING: {1 record seq, 3 flags} */
static void encode_ping(const struct dht_wire_msg *m, struct writer *w)
{
    cbor_put_map(w, 2);
    cbor_put_u64(w, 1);
    cbor_put_u64(w, m->seq);
    cbor_put_u64(w, 3);
    cbor_put_u64(w, m->flags);
}

static void decode_ping(struct cbor_reader *r, uint64_t key, struct dht_wire_msg *m)
{
    switch (key) {
    case 1:
        m->seq = cbor_u64(r);
        break;
    case 3:
        m->flags = (uint8_t)cbor_uint_max(r, 0x7f);
        break;
    default:
        cbor_skip_unknown(r, key);
        break;
    }
}

/* 17 PONG: {1 observed address, 3 record seq} */
static void encode_pong(const struct dht_wire_msg *m, struct writer *w)
{
    cbor_put_map(w, 2);
    cbor_put_u64(w, 1);
    dht_addr_put(w, &m->observed);
    cbor_put_u64(w, 3);
    cbor_put_u64(w, m->seq);
}

static void decode_pong(struct cbor_reader *r, uint64_t key, struct dht_wire_msg *m)
{
    switch (key) {
    case 1:
        m->observed = dht_addr_get(r);
        break;
    case 3:
        m->seq = cbor_u64(r);
        break;
    default:
        cbor_skip_unknown(r, key);
        break;
    }
}

/* 18 FIND_NODE: {2 target, 3 flags, 5 want} */
static void encode_find_node(const struct dht_wire_msg *m, struct writer *w)
{
    cbor_put_map(w, 3);
    cbor_put_u64(w, 2);
    cbor_put_bytes(w, slice_of(m->target.bytes, 32));
    cbor_put_u64(w, 3);
    cbor_put_u64(w, m->flags);
    cbor_put_u64(w, 5);
    cbor_put_u64(w, m->want);
}

static void decode_find_node(struct cbor_reader *r, uint64_t key, struct dht_wire_msg *m)
{
    switch (key) {
    case 2:
        cbor_bytes_fixed(r, m->target.bytes, 32);
        break;
    case 3:
        m->flags = (uint8_t)cbor_uint_max(r, 0x7f);
        break;
    case 5:
        m->want = (uint8_t)cbor_uint_max(r, 0xff);
        break;
    default:
        cbor_skip_unknown(r, key);
        break;
    }
}

/* 19 NODES: {2 [contact..]} */
static void encode_nodes(const struct dht_wire_msg *m, struct writer *w)
{
    cbor_put_map(w, 1);
    cbor_put_u64(w, 2);
    put_contacts(w, m->contacts, m->n_contacts);
}

static void decode_nodes(struct cbor_reader *r, uint64_t key, struct dht_wire_msg *m)
{
    if (key == 2) {
        m->n_contacts = (uint8_t)get_contacts(r, m->contacts, DHT_CONTACTS_MAX);
    } else {
        cbor_skip_unknown(r, key);
    }
}

/* 20 GET: {2 key, 3 flags, 4 kind, 5 want, 7 seq which the asker has} */
static void encode_get(const struct dht_wire_msg *m, struct writer *w)
{
    cbor_put_map(w, 5);
    cbor_put_u64(w, 2);
    cbor_put_bytes(w, slice_of(m->target.bytes, 32));
    cbor_put_u64(w, 3);
    cbor_put_u64(w, m->flags);
    cbor_put_u64(w, 4);
    cbor_put_u64(w, m->kind);
    cbor_put_u64(w, 5);
    cbor_put_u64(w, m->want);
    cbor_put_u64(w, 7);
    cbor_put_u64(w, m->seq);
}

static void decode_get(struct cbor_reader *r, uint64_t key, struct dht_wire_msg *m)
{
    switch (key) {
    case 4:
        m->kind = (uint8_t)cbor_uint_max(r, 0xff);
        break;
    case 7:
        m->seq = cbor_u64(r);
        break;
    default:
        decode_find_node(r, key, m);
        break;
    }
}

/* 21 VALUE: {1 record (absent: none), 2 [contact..], 3 [more records..] (absent: none)} */
static void encode_value(const struct dht_wire_msg *m, struct writer *w)
{
    size_t reserved = 0;
    for (size_t i = 0; i < m->n_more; i++) {
        reserved += m->more[i].len + 3;
    }
    reserved += reserved > 0 ? 2 : 0;
    cbor_put_map(w, 1u + (m->record.len > 0) + (m->n_more > 0));
    if (m->record.len > 0) {
        cbor_put_u64(w, 1);
        cbor_put_bytes(w, m->record);
    }
    cbor_put_u64(w, 2);
    size_t cap = w->cap;
    w->cap -= IPX_MIN(reserved, cap - w->len); /* contacts take what the records leave */
    put_contacts(w, m->contacts, m->n_contacts);
    w->cap = cap;
    if (m->n_more > 0) {
        cbor_put_u64(w, 3);
        cbor_put_array(w, m->n_more);
        for (size_t i = 0; i < m->n_more; i++) {
            cbor_put_bytes(w, m->more[i]);
        }
    }
}

static void decode_value(struct cbor_reader *r, uint64_t key, struct dht_wire_msg *m)
{
    if (key == 1) {
        m->record = cbor_bytes(r, DHT_VALUE_MAX);
    } else if (key == 3) {
        uint64_t n = cbor_array_begin(r, DHT_RECORDS_MAX - 1);
        for (uint64_t i = 0; i < n && !r->failed; i++) {
            m->more[i] = cbor_bytes(r, DHT_VALUE_MAX);
        }
        cbor_array_end(r);
        m->n_more = (uint8_t)(r->failed ? 0 : n);
    } else {
        decode_nodes(r, key, m);
    }
}

/* 22 STORE: {1 kind (absent: NODE), 2 record, 4 cas: the seq to be replaced (absent: any)} */
static void encode_store(const struct dht_wire_msg *m, struct writer *w)
{
    bool has_kind = m->kind != DHT_KIND_NODE;
    cbor_put_map(w, 1u + has_kind + m->has_cas);
    if (has_kind) {
        cbor_put_u64(w, 1);
        cbor_put_u64(w, m->kind);
    }
    cbor_put_u64(w, 2);
    cbor_put_bytes(w, m->record);
    if (m->has_cas) {
        cbor_put_u64(w, 4);
        cbor_put_u64(w, m->seq);
    }
}

static void decode_store(struct cbor_reader *r, uint64_t key, struct dht_wire_msg *m)
{
    switch (key) {
    case 1:
        m->kind = (uint8_t)cbor_uint_max(r, 0xff);
        break;
    case 2:
        m->record = cbor_bytes(r, DHT_VALUE_MAX);
        break;
    case 4:
        m->seq = cbor_u64(r);
        m->has_cas = true;
        break;
    default:
        cbor_skip_unknown(r, key);
        break;
    }
}

/* 23 STORED: {2 status, 3 seq which the holder has} */
static void encode_stored(const struct dht_wire_msg *m, struct writer *w)
{
    cbor_put_map(w, 2);
    cbor_put_u64(w, 2);
    cbor_put_u64(w, m->status);
    cbor_put_u64(w, 3);
    cbor_put_u64(w, m->seq);
}

static void decode_stored(struct cbor_reader *r, uint64_t key, struct dht_wire_msg *m)
{
    switch (key) {
    case 2:
        m->status = (uint8_t)cbor_uint_max(r, DHT_STATUS_MAX);
        break;
    case 3:
        m->seq = cbor_u64(r);
        break;
    default:
        cbor_skip_unknown(r, key);
        break;
    }
}

/* `required`: bit of every key that must be there. */
static const struct {
    void (*encode)(const struct dht_wire_msg *m, struct writer *w);
    void (*decode)(struct cbor_reader *r, uint64_t key, struct dht_wire_msg *m);
    uint32_t required;
} wire_types[] = {
    [DHT_PING - DHT_PING] = {encode_ping, decode_ping, 0},
    [DHT_PONG - DHT_PING] = {encode_pong, decode_pong, 0},
    [DHT_FIND_NODE - DHT_PING] = {encode_find_node, decode_find_node, 1u << 2},
    [DHT_NODES - DHT_PING] = {encode_nodes, decode_nodes, 1u << 2},
    [DHT_GET - DHT_PING] = {encode_get, decode_get, 1u << 2 | 1u << 4},
    [DHT_VALUE - DHT_PING] = {encode_value, decode_value, 1u << 2},
    [DHT_STORE - DHT_PING] = {encode_store, decode_store, 1u << 2},
    [DHT_STORED - DHT_PING] = {encode_stored, decode_stored, 1u << 2},
};

void dht_wire_encode(const struct dht_wire_msg *m, struct writer *w)
{
    assert(m->type >= DHT_PING && m->type <= DHT_STORED);
    assert(m->n_contacts <= DHT_CONTACTS_MAX);
    wire_types[m->type - DHT_PING].encode(m, w);
}

enum ipx_err dht_wire_decode(uint8_t type, struct slice body, struct dht_wire_msg *ret)
{
    struct dht_wire_msg m = {.type = type, .want = DHT_WANT_V4 | DHT_WANT_V6};
    m.kind = type == DHT_STORE ? DHT_KIND_NODE : 0;
    struct cbor_reader r = cbor_reader_of(body);
    uint64_t key = 0;
    uint32_t seen = 0;
    if (type < DHT_PING || type > DHT_STORED) {
        return IPX_MALFORMED;
    }
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        seen |= key < 32 ? UINT32_C(1) << key : 0;
        wire_types[type - DHT_PING].decode(&r, key, &m);
    }
    uint32_t required = wire_types[type - DHT_PING].required;
    if (!cbor_done(&r) || (seen & required) != required) {
        return IPX_MALFORMED;
    }
    *ret = m;
    return IPX_OK;
}

void dht_save_encode(const struct dht_contact *contacts, size_t n, uint64_t record_seq,
                     struct writer *w)
{
    assert(n <= DHT_SAVE_CONTACTS_MAX);
    cbor_put_map(w, 3);
    cbor_put_u64(w, 1);
    cbor_put_u64(w, 1); /* version of the file */
    cbor_put_u64(w, 2);
    cbor_put_u64(w, record_seq);
    cbor_put_u64(w, 4);
    put_contacts(w, contacts, n);
}

enum ipx_err dht_save_decode(struct slice bytes, struct dht_contact *ret_contacts, size_t max,
                             size_t *ret_n, uint64_t *ret_record_seq)
{
    struct cbor_reader r = cbor_reader_of(bytes);
    uint64_t key = 0, seq = 0, version = 0;
    size_t n = 0;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        switch (key) {
        case 1:
            version = cbor_u64(&r);
            break;
        case 2:
            seq = cbor_u64(&r);
            break;
        case 4:
            n = get_contacts(&r, ret_contacts, max);
            break;
        default:
            cbor_skip_unknown(&r, key);
            break;
        }
    }
    if (!cbor_done(&r) || version != 1) {
        return IPX_MALFORMED;
    }
    static const uint8_t unknown[16];
    for (size_t i = 0; i < n; i++) { /* kept of a ticket: its nonce is not known yet */
        if (memcmp(ret_contacts[i].nonce, unknown, sizeof(unknown)) == 0) {
            ret_contacts[i].flags |= DHT_FLAG_NO_NONCE;
        }
    }
    *ret_n = n;
    *ret_record_seq = seq;
    return IPX_OK;
}
