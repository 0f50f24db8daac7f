/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the kinds beside NODE: golden bytes, every byte counts, limits, keys. */
#include "base/signed.h"
#include "dht/record.h"

#include "tests/harness.h"

static const struct mesh_id mesh = {{1, 2, 3}};
static struct crypt_keypair key;

static void setup(void)
{
    uint8_t seed[32] = {1};
    CHECK_OK(crypt_init());
    while (crypt_keypair_from_seed(seed, &key) != IPX_OK) {
        seed[0]++;
    }
}

static struct slice encode(const struct dht_item *item, uint8_t out[static DHT_VALUE_MAX])
{
    struct writer w = writer_of(out, DHT_VALUE_MAX);
    dht_item_encode(item, &key, &mesh, &w);
    CHECK(!w.failed);
    return writer_slice(&w);
}

static struct dht_item mutable_of(struct slice salt, struct slice value, uint64_t seq)
{
    return (struct dht_item){.kind = DHT_KIND_MUTABLE, .salt = salt, .value = value, .seq = seq};
}

/* The bodies byte for byte, made by hand from docs/wire/dht.md. */
TEST(dht_record, golden_bodies)
{
    uint8_t bytes[DHT_VALUE_MAX], want[256];
    setup();
    struct dht_item item = mutable_of(slice_text("s"), slice_text("hi"), 5);
    struct slice got = encode(&item, bytes);
    struct writer g = writer_of(want, sizeof(want));
    writer_bytes(&g, slice_of("\x82\xa6\x01\x02\x02\x58\x20", 7));
    writer_bytes(&g, slice_of(key.pk.bytes, 32));
    writer_bytes(&g, slice_of("\x04\x41s\x06\x05\x08\x58\x20", 8));
    writer_bytes(&g, slice_of((const uint8_t[32]){0}, 32));
    writer_bytes(&g, slice_of("\x0a\x42hi\x58\x40", 6));
    CHECK_MEM(bytes, want, g.len);
    CHECK_EQ(got.len, g.len + CRYPT_SIG_LEN);

    item = (struct dht_item){
        .kind = DHT_KIND_PROVIDER, .key = {{7}}, .seq = 9, .size = 300, .flags = 1};
    got = encode(&item, bytes);
    g = writer_of(want, sizeof(want));
    writer_bytes(&g, slice_of("\x82\xa7\x01\x04\x02\x58\x20", 7));
    writer_bytes(&g, slice_of(key.pk.bytes, 32));
    writer_bytes(&g, slice_of("\x04\x58\x20", 3));
    writer_bytes(&g, slice_of(item.key.bytes, 32));
    writer_bytes(&g, slice_of("\x06\x09\x08\x58\x20", 5));
    writer_bytes(&g, slice_of((const uint8_t[32]){0}, 32));
    writer_bytes(&g, slice_of("\x0a\x19\x01\x2c\x0b\x01\x58\x40", 8));
    CHECK_MEM(bytes, want, g.len);
    CHECK_EQ(got.len, g.len + CRYPT_SIG_LEN);
}

static void check_every_byte(uint8_t kind, uint8_t *bytes, size_t len)
{
    struct dht_item got;
    struct mesh_id other = {{9}};
    CHECK_EQ(dht_item_read(kind, slice_of(bytes, len), &other, &got), IPX_BAD_SIGNATURE);
    for (size_t i = 0; i < len; i++) {
        bytes[i] ^= 1;
        CHECK(dht_item_read(kind, slice_of(bytes, len), &mesh, &got) != IPX_OK);
        bytes[i] ^= 1;
        CHECK(dht_item_read(kind, slice_of(bytes, i), &mesh, &got) != IPX_OK);
    }
    CHECK_OK(dht_item_read(kind, slice_of(bytes, len), &mesh, &got));
    CHECK(dht_item_read((uint8_t)(kind ^ 6), slice_of(bytes, len), &mesh, &got) != IPX_OK);
}

TEST(dht_record, signed_kinds)
{
    uint8_t bytes[DHT_VALUE_MAX], value[DHT_MUTABLE_VALUE_MAX], salt[DHT_SALT_MAX];
    struct dht_item got = {.kind = 99};
    setup();
    memset(value, 7, sizeof(value));
    memset(salt, 8, sizeof(salt));
    struct dht_item item =
        mutable_of(slice_of(salt, sizeof(salt)), slice_of(value, sizeof(value)), UINT64_MAX);
    memset(item.chain_hash.bytes, 4, 32);
    struct slice s = encode(&item, bytes); /* the longest fits */
    CHECK_OK(dht_item_read(DHT_KIND_MUTABLE, s, &mesh, &got));
    CHECK(node_id_equal(&got.publisher, &key.pk) && got.seq == UINT64_MAX);
    CHECK(slice_equal(got.value, item.value) && slice_equal(got.salt, item.salt));
    CHECK(hash_equal(&got.chain_hash, &item.chain_hash));
    struct dht_pos k = dht_mutable_key(&key.pk, item.salt),
                   k2 = dht_mutable_key(&key.pk, SLICE_EMPTY);
    CHECK_MEM(got.key.bytes, k.bytes, 32);
    CHECK(memcmp(k.bytes, k2.bytes, 32) != 0);
    check_every_byte(DHT_KIND_MUTABLE, bytes, s.len);
    CHECK(dht_item_key(DHT_KIND_MUTABLE, s, &got));
    CHECK_MEM(got.key.bytes, k.bytes, 32);

    item = (struct dht_item){.kind = DHT_KIND_PROVIDER,
                             .key = {{5}},
                             .seq = UINT64_MAX,
                             .size = UINT64_MAX,
                             .flags = 255};
    memset(item.key.bytes, 0xff, 32);
    s = encode(&item, bytes);
    CHECK(s.len <= DHT_PROVIDER_MAX); /* the longest fits */
    CHECK_OK(dht_item_read(DHT_KIND_PROVIDER, s, &mesh, &got));
    CHECK(got.size == UINT64_MAX && got.flags == 255 && got.seq == UINT64_MAX);
    CHECK_MEM(got.key.bytes, item.key.bytes, 32);
    check_every_byte(DHT_KIND_PROVIDER, bytes, s.len);
    CHECK(!dht_item_key(DHT_KIND_NODE, s, &got));
    CHECK(!dht_item_key(99, s, &got));
}

/* A signed body made by hand, with whatever is wrong in it. */
static enum ipx_err read_made(uint8_t kind, const char *type, struct slice body)
{
    uint8_t bytes[DHT_BODY_MAX + 200];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct dht_item got;
    signed_write(&w, body, &key, type, &mesh);
    CHECK(!w.failed);
    return dht_item_read(kind, writer_slice(&w), &mesh, &got);
}

static struct slice body_of(struct writer *w, size_t salt_len, size_t value_len, uint64_t kind)
{
    static const uint8_t fill[DHT_BODY_MAX];
    w->len = 0;
    cbor_put_map(w, 6);
    cbor_put_u64(w, 1);
    cbor_put_u64(w, kind);
    cbor_put_u64(w, 2);
    cbor_put_bytes(w, slice_of(key.pk.bytes, 32));
    cbor_put_u64(w, 4);
    cbor_put_bytes(w, slice_of(fill, salt_len));
    cbor_put_u64(w, 6);
    cbor_put_u64(w, 1);
    cbor_put_u64(w, 8);
    cbor_put_bytes(w, slice_of(fill, 32));
    cbor_put_u64(w, 10);
    cbor_put_bytes(w, slice_of(fill, value_len));
    return writer_slice(w);
}

TEST(dht_record, class_23_limits_and_forms)
{
    uint8_t bytes[DHT_BODY_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct dht_item got;
    static const struct {
        size_t salt, value;
        uint64_t kind;
        const char *type;
        enum ipx_err want;
    } cases[] = {
        {0, 0, 2, "mutable", IPX_OK},           {32, 600, 2, "mutable", IPX_OK},
        {33, 600, 2, "mutable", IPX_MALFORMED}, {33, 0, 2, "mutable", IPX_MALFORMED},
        {0, 601, 2, "mutable", IPX_MALFORMED},  {0, 900, 2, "mutable", IPX_LIMIT},
        {0, 0, 3, "mutable", IPX_MALFORMED},    {0, 0, 2, "provider", IPX_BAD_SIGNATURE},
        {0, 0, 2, "node", IPX_BAD_SIGNATURE},
    };
    setup();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice body = body_of(&w, cases[i].salt, cases[i].value, cases[i].kind);
        CHECK_EQ(read_made(DHT_KIND_MUTABLE, cases[i].type, body), cases[i].want);
    }
    key.pk.bytes[31] ^= 0x80; /* a sign-flipped key would be a second name */
    CHECK(read_made(DHT_KIND_MUTABLE, "mutable", body_of(&w, 0, 0, 2)) != IPX_OK);
    static const uint8_t value[DHT_IMMUTABLE_MAX + 1];
    for (size_t len = 0; len <= sizeof(value); len += 1 + len) {
        enum ipx_err want = len == 0 ? IPX_MALFORMED : IPX_OK;
        CHECK_EQ(dht_item_read(DHT_KIND_IMMUTABLE, slice_of(value, len), &mesh, &got), want);
    }
    CHECK_OK(dht_item_read(DHT_KIND_IMMUTABLE, slice_of(value, 1000), &mesh, &got));
    CHECK_EQ(dht_item_read(DHT_KIND_IMMUTABLE, slice_of(value, 1001), &mesh, &got), IPX_LIMIT);
    CHECK_EQ(dht_item_read(0, slice_of(value, 10), &mesh, &got), IPX_MALFORMED);
    CHECK_EQ(dht_item_read(DHT_KIND_END, slice_of(value, 10), &mesh, &got), IPX_MALFORMED);
}
