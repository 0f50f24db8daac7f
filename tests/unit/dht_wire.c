/* SPDX-License-Identifier: Apache-2.0 */
/* Messages, records and the file of contacts: golden bytes, and what is refused. */
#include "dht/wire.h"

#include "base/id.h"
#include "base/rng.h"
#include "tests/harness.h"

#define N11 "1111111111111111111111111111111111111111111111111111111111111111"
#define N22 "2222222222222222222222222222222222222222222222222222222222222222"
#define N33 "33333333333333333333333333333333"

/* Made by an encoder of another language. */
static const struct {
    uint8_t type;
    const char *hex;
} golden[] = {
    {DHT_PING, "a201070301"},
    {DHT_PONG, "a201460a0000011d090319012c"},
    {DHT_FIND_NODE, "a3025820" N11 "03000503"},
    {DHT_NODES, "a1028258"
                "37" N22 N33 "000a0000011d095843" N22 N33 "0120010db80000000000000000000000011d09"},
    {DHT_GET, "a5025820" N11 "0300040105010709"},
    {DHT_VALUE, "a201436162630280"},
    {DHT_STORE, "a10243616263"},
    {DHT_STORED, "a20201031a00011170"},
};

static size_t unhex(const char *hex, uint8_t out[static DHT_BODY_MAX])
{
    size_t len = 0;
    CHECK_OK(hex_decode(slice_text(hex), out, DHT_BODY_MAX, &len));
    return len;
}

static enum ipx_err decode_hex(uint8_t type, const char *hex, struct dht_wire_msg *ret)
{
    uint8_t bytes[DHT_BODY_MAX];
    return dht_wire_decode(type, slice_of(bytes, unhex(hex, bytes)), ret);
}

static void check_fields(const struct dht_wire_msg *m)
{
    switch (m->type) {
    case DHT_PING:
        CHECK(m->seq == 7 && m->flags == DHT_FLAG_CLIENT);
        break;
    case DHT_PONG:
        CHECK(m->seq == 300 && m->observed.port == 7433 && m->observed.ip[0] == 10);
        break;
    case DHT_GET:
        CHECK(m->kind == DHT_KIND_NODE && m->want == DHT_WANT_V4 && m->seq == 9);
        CHECK_EQ(m->target.bytes[31], 0x11);
        break;
    case DHT_FIND_NODE:
        CHECK(m->want == (DHT_WANT_V4 | DHT_WANT_V6) && m->target.bytes[0] == 0x11);
        break;
    case DHT_NODES:
        CHECK_EQ(m->n_contacts, 2);
        CHECK_EQ(m->contacts[0].addr.family, ADDR_V4);
        CHECK_EQ(m->contacts[1].addr.family, ADDR_V6);
        CHECK_EQ(m->contacts[1].flags, DHT_FLAG_CLIENT);
        CHECK_EQ(m->contacts[1].nonce[15], 0x33);
        break;
    case DHT_VALUE:
    case DHT_STORE:
        CHECK_EQ(m->record.len, 3);
        break;
    case DHT_STORED:
        CHECK(m->status == DHT_STATUS_STALE && m->seq == 70000);
        break;
    default:
        CHECK(false);
    }
}

TEST(dht_wire, golden_messages)
{
    CHECK_EQ(ARRAY_LEN(golden), DHT_STORED - DHT_PING + 1);
    for (size_t i = 0; i < ARRAY_LEN(golden); i++) {
        uint8_t bytes[DHT_BODY_MAX], out[DHT_BODY_MAX];
        size_t len = unhex(golden[i].hex, bytes);
        struct dht_wire_msg m;
        struct writer w = writer_of(out, sizeof(out));
        CHECK_EQ(golden[i].type, DHT_PING + (int)i);
        CHECK_OK(dht_wire_decode(golden[i].type, slice_of(bytes, len), &m));
        check_fields(&m);
        dht_wire_encode(&m, &w);
        CHECK(slice_equal(writer_slice(&w), slice_of(bytes, len)));
        for (size_t cut = 0; cut < len; cut++) { /* truncated at every byte */
            CHECK_EQ(dht_wire_decode(golden[i].type, slice_of(bytes, cut), &m), IPX_MALFORMED);
        }
        memcpy(out, bytes, len);
        out[len] = 0; /* one byte too many */
        CHECK_EQ(dht_wire_decode(golden[i].type, slice_of(out, len + 1), &m), IPX_MALFORMED);
    }
}

TEST(dht_wire, refused_messages)
{
    static const struct {
        uint8_t type;
        enum ipx_err want;
        const char *hex, *why;
    } cases[] = {
        {DHT_PING, IPX_OK, "a0", "all optional"},
        {DHT_PING, IPX_OK, "a2010718634101", "unknown odd key is skipped"},
        {DHT_PING, IPX_MALFORMED, "a1024101", "unknown even key refuses"},
        {DHT_PING, IPX_MALFORMED, "a11907d00a", "unknown even key beyond 32"},
        {DHT_PING, IPX_MALFORMED, "a203010107", "keys unsorted"},
        {DHT_PING, IPX_MALFORMED, "a201070107", "key twice"},
        {DHT_PING, IPX_MALFORMED, "a1011807", "number not shortest"},
        {DHT_PING, IPX_MALFORMED, "a103188f", "flags over 7 bits: the local one is never sent"},
        {DHT_PONG, IPX_MALFORMED, "a101450a00000100", "address of 5 bytes"},
        {DHT_FIND_NODE, IPX_MALFORMED, "a0", "no target"},
        {DHT_FIND_NODE, IPX_MALFORMED, "a10243616263", "target short"},
        {DHT_GET, IPX_MALFORMED, "a1025820" N11, "no kind"},
        {DHT_GET, IPX_OK, "a2025820" N11 "0409", "a kind that we do not know"},
        {DHT_GET, IPX_MALFORMED, "a3025820" N11 "04010600", "unknown even key"},
        {DHT_NODES, IPX_MALFORMED, "a0", "no contacts"},
        {DHT_NODES, IPX_OK, "a10280", "none"},
        {DHT_NODES, IPX_MALFORMED, "a1028140", "empty contact"},
        {DHT_NODES, IPX_MALFORMED, "a10291", "17 contacts"},
        {DHT_NODES, IPX_MALFORMED, "a1029affffffff", "more than there is"},
        {DHT_NODES, IPX_MALFORMED, "a1029bffffffffffffffff", "far more"},
        {DHT_NODES, IPX_MALFORMED,
         "a10281"
         "5838" N22 N33 "000a0000011d09ff",
         "contact of 56"},
        {DHT_VALUE, IPX_MALFORMED, "a10143616263", "contacts are not optional"},
        {DHT_VALUE, IPX_OK, "a30141aa02800382414141bb", "more records"},
        {DHT_VALUE, IPX_MALFORMED, "a3014161028003854141414141", "six records"},
        {DHT_STORE, IPX_OK, "a3010202416104187b", "kind and cas"},
        {DHT_STORE, IPX_MALFORMED, "a10419010a", "cas without a record"},
        {DHT_STORE, IPX_MALFORMED, "a20119010002416a", "kind over 255"},
        {DHT_STORE, IPX_MALFORMED, "a0", "no record"},
        {DHT_STORED, IPX_MALFORMED, "a10301", "no status"},
        {DHT_STORED, IPX_MALFORMED, "a102190100", "status over 255"},
        {DHT_STORED, IPX_MALFORMED, "80", "no map"},
        {15, IPX_MALFORMED, "a0", "no type of ours"},
        {24, IPX_MALFORMED, "a0", "no type of ours"},
        {0, IPX_MALFORMED, "a0", "no type of ours"},
        {255, IPX_MALFORMED, "a0", "no type of ours"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct dht_wire_msg m = {.type = 99};
        enum ipx_err err = decode_hex(cases[i].type, cases[i].hex, &m);
        if (err != cases[i].want) {
            CHECK_FAIL("%s: %s", cases[i].why, err_name(err));
        }
        CHECK_EQ(m.type, err == IPX_OK ? cases[i].type : 99); /* untouched on failure */
    }
}

/* The fields that only some messages have: golden bytes of them. */
TEST(dht_wire, golden_optional_fields)
{
    static const struct {
        uint8_t type;
        const char *hex;
    } optional[] = {
        {DHT_VALUE, "a30143616263028003824261614162"},
        {DHT_STORE, "a301020243616263041903e8"},
        {DHT_STORE, "a20104024163"},
    };
    for (size_t i = 0; i < ARRAY_LEN(optional); i++) {
        uint8_t bytes[DHT_BODY_MAX], out[DHT_BODY_MAX];
        size_t len = unhex(optional[i].hex, bytes);
        struct dht_wire_msg m;
        struct writer w = writer_of(out, sizeof(out));
        CHECK_OK(dht_wire_decode(optional[i].type, slice_of(bytes, len), &m));
        CHECK(i != 0 || (m.n_more == 2 && m.more[0].len == 2 && m.record.len == 3));
        CHECK(i != 1 || (m.kind == DHT_KIND_MUTABLE && m.has_cas && m.seq == 1000));
        CHECK(i != 2 || (m.kind == DHT_KIND_PROVIDER && !m.has_cas && m.record.len == 1));
        dht_wire_encode(&m, &w);
        CHECK(slice_equal(writer_slice(&w), slice_of(bytes, len)));
        for (size_t cut = 0; cut < len; cut++) {
            CHECK_EQ(dht_wire_decode(optional[i].type, slice_of(bytes, cut), &m), IPX_MALFORMED);
        }
    }
}

TEST(dht_wire, as_many_contacts_as_fit)
{
    struct dht_wire_msg m = {.type = DHT_NODES, .n_contacts = DHT_CONTACTS_MAX}, got;
    for (size_t i = 0; i < DHT_CONTACTS_MAX; i++) {
        m.contacts[i] = (struct dht_contact){.flags = DHT_FLAG_NO_NONCE};
        m.contacts[i].id.bytes[0] = (uint8_t)i;
        m.contacts[i].addr = (struct addr){.family = ADDR_V6, .ip = {1}, .port = 1};
    }
    for (size_t cap = 4; cap <= DHT_BODY_MAX; cap++) {
        uint8_t out[DHT_BODY_MAX];
        struct writer w = writer_of(out, cap);
        dht_wire_encode(&m, &w);
        CHECK(!w.failed);
        CHECK_OK(dht_wire_decode(DHT_NODES, writer_slice(&w), &got));
        CHECK(got.n_contacts <= cap / 69);
        CHECK((size_t)got.n_contacts + 1 >= IPX_MIN(cap / 69, DHT_CONTACTS_MAX));
        for (size_t i = 0; i < got.n_contacts; i++) {
            CHECK_EQ(got.contacts[i].id.bytes[0], i);
            CHECK_EQ(got.contacts[i].flags, 0); /* what is ours alone does not travel */
        }
    }
    CHECK_EQ(got.n_contacts, 15); /* 16 with v4 */
    for (size_t i = 0; i < DHT_CONTACTS_MAX; i++) {
        m.contacts[i].addr.family = ADDR_V4;
    }
    uint8_t out[DHT_BODY_MAX];
    struct writer w = writer_of(out, sizeof(out));
    dht_wire_encode(&m, &w);
    CHECK_OK(dht_wire_decode(DHT_NODES, writer_slice(&w), &got));
    CHECK_EQ(got.n_contacts, 16);
}

static struct dht_record full_record(const struct crypt_keypair *key)
{
    struct dht_record r = {.id = key->pk, .seq = UINT64_MAX, .features = UINT64_MAX, .n_addrs = 8};
    memset(r.nonce, 0x33, sizeof(r.nonce));
    memset(r.chain_hash.bytes, 0x44, 32);
    for (size_t i = 0; i < 8; i++) {
        r.addrs[i] = (struct addr){.family = ADDR_V6, .ip = {0x20, 1, (uint8_t)i}, .port = 9};
    }
    return r;
}

TEST(dht_wire, records)
{
    struct crypt_keypair key;
    struct mesh_id mesh = {{1, 2, 3}}, other = {{9}};
    uint8_t seed[32] = {1}, bytes[DHT_RECORD_MAX + 1] = {0};
    struct dht_record got;
    CHECK_OK(crypt_init());
    while (crypt_keypair_from_seed(seed, &key) != IPX_OK) {
        seed[0]++;
    }
    struct dht_record r = full_record(&key);
    struct writer w = writer_of(bytes, sizeof(bytes));
    dht_record_encode(&r, &key, &mesh, &w);
    struct slice s = writer_slice(&w);
    CHECK(s.len > 0 && s.len <= DHT_RECORD_MAX); /* the largest fits */
    CHECK_OK(dht_record_decode(s, &mesh, &got));
    CHECK(node_id_equal(&got.id, &r.id) && got.seq == r.seq && got.features == r.features);
    CHECK_EQ(got.n_addrs, 8);
    CHECK(addr_equal(&got.addrs[7], &r.addrs[7]));
    CHECK_MEM(got.nonce, r.nonce, 16);
    CHECK_MEM(got.chain_hash.bytes, r.chain_hash.bytes, 32);
    CHECK_EQ(dht_record_decode(s, &other, &got), IPX_BAD_SIGNATURE);
    CHECK_EQ(dht_record_decode(slice_of(bytes, DHT_RECORD_MAX + 1), &mesh, &got), IPX_LIMIT);
    for (size_t i = 0; i < s.len; i++) { /* every byte counts */
        bytes[i] ^= 1;
        CHECK(dht_record_decode(s, &mesh, &got) != IPX_OK);
        bytes[i] ^= 1;
        CHECK(dht_record_decode(slice_of(bytes, i), &mesh, &got) != IPX_OK);
    }
    CHECK_OK(dht_record_decode(s, &mesh, &got));
    /* The body of the record, byte for byte: made by hand from docs/wire/dht.md. */
    r = (struct dht_record){.id = key.pk, .seq = 5, .features = 1, .n_addrs = 1};
    r.addrs[0] = (struct addr){.family = ADDR_V4, .ip = {10, 0, 0, 1}, .port = 7433};
    w = writer_of(bytes, sizeof(bytes));
    dht_record_encode(&r, &key, &mesh, &w);
    uint8_t want[160];
    struct writer g = writer_of(want, sizeof(want));
    writer_bytes(&g, slice_of("\x82\xa7\x01\x01\x02\x58\x20", 7));
    writer_bytes(&g, slice_of(key.pk.bytes, 32));
    writer_bytes(&g, slice_of("\x04\x50\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x06\x05\x08\x58\x20", 23));
    writer_bytes(&g, slice_of((const uint8_t[32]){0}, 32));
    writer_bytes(&g, slice_of("\x0a\x81\x46\x0a\0\0\x01\x1d\x09\x0b\x01\x58\x40", 13));
    CHECK_MEM(bytes, want, g.len);
    CHECK_EQ(w.len, g.len + CRYPT_SIG_LEN);
}

TEST(dht_wire, file_of_contacts)
{
    static struct dht_contact in[DHT_SAVE_CONTACTS_MAX], out[DHT_SAVE_CONTACTS_MAX];
    static uint8_t bytes[DHT_SAVE_BYTES_MAX];
    size_t n = 77;
    uint64_t seq = 88;
    for (size_t i = 0; i < ARRAY_LEN(in); i++) {
        in[i].id.bytes[5] = (uint8_t)i;
        in[i].addr = (struct addr){.family = ADDR_V6, .ip = {(uint8_t)i, 1}, .port = 3};
    }
    struct writer w = writer_of(bytes, sizeof(bytes));
    dht_save_encode(in, ARRAY_LEN(in), UINT64_MAX, &w);
    CHECK(!w.failed); /* the longest fits */
    struct slice s = writer_slice(&w);
    CHECK_EQ(dht_save_decode(slice_of(s.data, s.len - 1), out, ARRAY_LEN(out), &n, &seq),
             IPX_MALFORMED);
    CHECK_EQ(dht_save_decode(s, out, 10, &n, &seq), IPX_MALFORMED);
    CHECK(n == 77 && seq == 88);
    CHECK_OK(dht_save_decode(s, out, ARRAY_LEN(out), &n, &seq));
    CHECK_EQ(n, DHT_SAVE_CONTACTS_MAX);
    CHECK(seq == UINT64_MAX);
    for (size_t i = 0; i < n; i++) {
        CHECK(node_id_equal(&in[i].id, &out[i].id) && addr_equal(&in[i].addr, &out[i].addr));
    }
    bytes[2] = 2; /* a version that we do not know */
    CHECK_EQ(dht_save_decode(s, out, ARRAY_LEN(out), &n, &seq), IPX_MALFORMED);
}
