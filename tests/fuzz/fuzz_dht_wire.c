/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as each message of the DHT, as a record and as the file of contacts (the
 * first byte chooses). What decodes must encode, and what was encoded must decode to
 * the same bytes again: there is one encoding of what we understand.
 */
#include "dht/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void message(uint8_t type, struct slice body)
{
    struct dht_wire_msg m, again;
    uint8_t first[DHT_BODY_MAX], second[DHT_BODY_MAX];
    if (dht_wire_decode(type, body, &m) != IPX_OK) {
        return;
    }
    assert(m.type == type && m.n_contacts <= DHT_CONTACTS_MAX);
    assert(m.record.len <= DHT_RECORD_MAX);
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
    switch (data[0] % 12) {
    case 10:
        record(body);
        break;
    case 11:
        file(body);
        break;
    default:
        message((uint8_t)(DHT_PING - 1 + data[0] % 12), body);
        break;
    }
    return 0;
}
