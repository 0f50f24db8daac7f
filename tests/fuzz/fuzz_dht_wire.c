/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as each message of the DHT, as a record and as the file of contacts (the
 * first byte chooses). What decodes must encode, and what was encoded must decode to
 * the same bytes again: there is one encoding of what we understand.
 */
#include "dht/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void message(uint8_t type, struct slice body)
{
    struct dht_wire_msg m, again;
    uint8_t first[DHT_BODY_MAX], second[DHT_BODY_MAX];
    if (dht_wire_decode(type, body, &m) != IPX_OK) {
        return;
    }
    assert(m.type == type && m.n_contacts <= DHT_CONTACTS_MAX);
    assert(m.record.len <= DHT_VALUE_MAX && m.n_more < DHT_RECORDS_MAX);
    struct writer w = writer_of(first, sizeof(first));
    dht_wire_encode(&m, &w);
    if (w.failed) {
        return; /* an observed address that was absent has no encoding */
    }
    struct slice bytes = writer_slice(&w);
    uint8_t n = m.n_contacts;
    enum ipx_err err = dht_wire_decode(type, bytes, &again);
    assert(err == IPX_OK || (type == DHT_PONG && m.observed.family == ADDR_NONE));
    if (err != IPX_OK) {
        return;
    }
    struct writer w2 = writer_of(second, sizeof(second));
    assert(again.n_contacts <= n);
    dht_wire_encode(&again, &w2);
    assert(slice_equal(bytes, writer_slice(&w2)));
}

static void record(struct slice bytes)
{
    static const struct mesh_id mesh = {{7}};
    struct dht_record r;
    if (dht_record_decode(bytes, &mesh, &r) == IPX_OK) {
        assert(r.n_addrs <= DHT_RECORD_ADDRS_MAX && bytes.len <= DHT_RECORD_MAX);
    }
}

/* Of any kind: what is read lies within the bytes; what claims a key is read under no other. */
static void item(struct slice bytes)
{
    static const struct mesh_id mesh = {{7}};
    struct dht_item got, claimed;
    uint8_t kind = bytes.len > 0 ? bytes.data[0] % (DHT_KIND_END + 1) : 0;
    struct slice in = bytes.len > 0 ? slice_of(bytes.data + 1, bytes.len - 1) : bytes;
    bool has_key = dht_item_key(kind, in, &claimed);
    if (dht_item_read(kind, in, &mesh, &got) == IPX_OK) {
        assert(in.len <= DHT_VALUE_MAX && got.value.len <= DHT_IMMUTABLE_MAX);
        assert(got.salt.len <= DHT_SALT_MAX);
        assert(kind == DHT_KIND_NODE || has_key);
        assert(!has_key || memcmp(got.key.bytes, claimed.key.bytes, 32) == 0);
    }
}

static void file(struct slice bytes)
{
    static struct dht_contact contacts[DHT_SAVE_CONTACTS_MAX];
    static uint8_t out[DHT_SAVE_BYTES_MAX];
    size_t n = 0;
    uint64_t seq = 0;
    if (dht_save_decode(bytes, contacts, DHT_SAVE_CONTACTS_MAX, &n, &seq) != IPX_OK) {
        return;
    }
    struct writer w = writer_of(out, sizeof(out));
    dht_save_encode(contacts, n, seq, &w);
    assert(!w.failed);
    assert(dht_save_decode(writer_slice(&w), contacts, n, &n, &seq) == IPX_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || crypt_init() != IPX_OK) {
        return 0;
    }
    struct slice body = slice_of(data + 1, size - 1);
    switch (data[0] % 13) {
    case 10:
        record(body);
        break;
    case 11:
        file(body);
        break;
    case 12:
        item(body);
        break;
    default:
        message((uint8_t)(DHT_PING - 1 + data[0] % 13), body);
        break;
    }
    return 0;
}
