/* SPDX-License-Identifier: Apache-2.0 */
#include "dht/record.h"

#include "base/signed.h"

/* Domains of the signatures; two kinds never share one. */
#define SIGN_MUTABLE "mutable"
#define SIGN_PROVIDER "provider"

/* Form of a signed record around value or key: pk, seq, chain hash, signature and heads. */
#define HEADS_MAX 190
static_assert(DHT_MUTABLE_VALUE_MAX + DHT_SALT_MAX + HEADS_MAX <= DHT_VALUE_MAX, "fits a message");
static_assert(DHT_IMMUTABLE_MAX <= DHT_VALUE_MAX, "fits a message");

struct dht_pos dht_mutable_key(const struct node_id *publisher, struct slice salt)
{
    uint8_t in[3 + 32 + DHT_SALT_MAX] = {'m', 'u', 't'};
    struct dht_pos pos;
    assert(salt.len <= DHT_SALT_MAX);
    memcpy(in + 3, publisher->bytes, 32);
    if (salt.len > 0) {
        memcpy(in + 35, salt.data, salt.len);
    }
    struct hash h = crypt_hash(slice_of(in, 35 + salt.len));
    memcpy(pos.bytes, h.bytes, sizeof(pos.bytes));
    return pos;
}

struct dht_pos dht_immutable_key(struct slice value)
{
    struct dht_pos pos;
    struct hash h = crypt_hash(value);
    memcpy(pos.bytes, h.bytes, sizeof(pos.bytes));
    return pos;
}

static void put_bytes(struct writer *w, uint64_t key, const void *bytes, size_t len)
{
    cbor_put_u64(w, key);
    cbor_put_bytes(w, slice_of(bytes, len));
}

static void put_number(struct writer *w, uint64_t key, uint64_t value)
{
    cbor_put_u64(w, key);
    cbor_put_u64(w, value);
}

/* MUTABLE: [{1 kind, 2 pk, 4 salt, 6 seq, 8 chain hash, 10 value}, signature]
 * PROVIDER: [{1 kind, 2 pk, 4 key, 6 seq, 8 chain hash, 10 size, 11 flags}, signature] */
void dht_item_encode(const struct dht_item *item, const struct crypt_keypair *key,
                     const struct mesh_id *mesh, struct writer *w)
{
    uint8_t body[DHT_VALUE_MAX];
    struct writer b = writer_of(body, sizeof(body));
    bool is_mutable = item->kind == DHT_KIND_MUTABLE;
    assert(is_mutable || item->kind == DHT_KIND_PROVIDER);
    assert(item->salt.len <= DHT_SALT_MAX && item->value.len <= DHT_MUTABLE_VALUE_MAX);
    cbor_put_map(&b, is_mutable ? 6 : 7);
    put_number(&b, 1, item->kind);
    put_bytes(&b, 2, key->pk.bytes, 32);
    if (is_mutable) {
        put_bytes(&b, 4, item->salt.data, item->salt.len);
    } else {
        put_bytes(&b, 4, item->key.bytes, 32);
    }
    put_number(&b, 6, item->seq);
    put_bytes(&b, 8, item->chain_hash.bytes, 32);
    if (is_mutable) {
        put_bytes(&b, 10, item->value.data, item->value.len);
    } else {
        put_number(&b, 10, item->size);
        put_number(&b, 11, item->flags);
    }
    assert(!b.failed);
    signed_write(w, writer_slice(&b), key, is_mutable ? SIGN_MUTABLE : SIGN_PROVIDER, mesh);
}

static void decode_field(struct cbor_reader *r, uint64_t key, bool is_mutable,
                         struct dht_item *item)
{
    switch (key) {
    case 2:
        cbor_bytes_fixed(r, item->publisher.bytes, 32);
        break;
    case 4:
        if (is_mutable) {
            item->salt = cbor_bytes(r, DHT_SALT_MAX);
        } else {
            cbor_bytes_fixed(r, item->key.bytes, 32);
        }
        break;
    case 6:
        item->seq = cbor_u64(r);
        break;
    case 8:
        cbor_bytes_fixed(r, item->chain_hash.bytes, 32);
        break;
    case 10:
        if (is_mutable) {
            item->value = cbor_bytes(r, DHT_MUTABLE_VALUE_MAX);
        } else {
            item->size = cbor_u64(r);
        }
        break;
    case 11:
        if (!is_mutable) {
            item->flags = (uint8_t)cbor_uint_max(r, 0xff);
            break;
        }
        cbor_skip_unknown(r, key);
        break;
    default:
        cbor_skip_unknown(r, key);
        break;
    }
}

static bool decode_body(struct slice body, struct dht_item *item)
{
    struct cbor_reader r = cbor_reader_of(body);
    uint64_t key = 0, kind = 0;
    uint32_t seen = 0, required = 1u << 1 | 1u << 2 | 1u << 4 | 1u << 6 | 1u << 8 | 1u << 10;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        seen |= key < 32 ? UINT32_C(1) << key : 0;
        if (key == 1) {
            kind = cbor_uint_max(&r, 0xff);
        } else {
            decode_field(&r, key, item->kind == DHT_KIND_MUTABLE, item);
        }
    }
    return cbor_done(&r) && (seen & required) == required && kind == item->kind;
}

static enum ipx_err read_signed(struct slice bytes, const struct mesh_id *mesh,
                                struct dht_item *item)
{
    struct signed_item s;
    bool is_mutable = item->kind == DHT_KIND_MUTABLE;
    if (bytes.len > (is_mutable ? (size_t)DHT_VALUE_MAX : (size_t)DHT_PROVIDER_MAX)) {
        return IPX_LIMIT;
    }
    if (signed_read(bytes, &s) != IPX_OK || !decode_body(s.body, item)) {
        return IPX_MALFORMED;
    }
    if (!crypt_key_is_valid(&item->publisher) ||
        !signed_verify(&s, &item->publisher, is_mutable ? SIGN_MUTABLE : SIGN_PROVIDER, mesh)) {
        return IPX_BAD_SIGNATURE;
    }
    if (is_mutable) {
        item->key = dht_mutable_key(&item->publisher, item->salt);
    }
    return IPX_OK;
}

bool dht_item_key(uint8_t kind, struct slice bytes, struct dht_item *ret)
{
    struct dht_item item = {.kind = kind};
    struct signed_item s;
    if (kind == DHT_KIND_IMMUTABLE && bytes.len <= DHT_IMMUTABLE_MAX) {
        item.key = dht_immutable_key(bytes);
    } else if ((kind != DHT_KIND_MUTABLE && kind != DHT_KIND_PROVIDER) ||
               signed_read(bytes, &s) != IPX_OK || !decode_body(s.body, &item)) {
        return false;
    } else if (kind == DHT_KIND_MUTABLE) {
        item.key = dht_mutable_key(&item.publisher, item.salt);
    }
    *ret = item;
    return true;
}

static enum ipx_err read_node(struct slice bytes, const struct mesh_id *mesh, struct dht_item *item)
{
    struct dht_record r;
    enum ipx_err err = dht_record_decode(bytes, mesh, &r);
    if (err == IPX_OK) {
        item->publisher = r.id;
        item->seq = r.seq;
        item->chain_hash = r.chain_hash;
        item->key = dht_pos_of(mesh, r.nonce, &r.id);
    }
    return err;
}

enum ipx_err dht_item_read(uint8_t kind, struct slice bytes, const struct mesh_id *mesh,
                           struct dht_item *ret)
{
    struct dht_item item = {.kind = kind};
    enum ipx_err err = IPX_MALFORMED;
    switch (kind) {
    case DHT_KIND_NODE:
        err = read_node(bytes, mesh, &item);
        break;
    case DHT_KIND_MUTABLE:
    case DHT_KIND_PROVIDER:
        err = read_signed(bytes, mesh, &item);
        break;
    case DHT_KIND_IMMUTABLE:
        err = bytes.len == 0 ? IPX_MALFORMED : bytes.len > DHT_IMMUTABLE_MAX ? IPX_LIMIT : IPX_OK;
        if (err == IPX_OK) {
            item.value = bytes;
            item.key = dht_immutable_key(bytes);
        }
        break;
    default:
        break;
    }
    if (err == IPX_OK) {
        *ret = item;
    }
    return err;
}
