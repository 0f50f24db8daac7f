/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypt.h"
#include "base/id.h"
#include "base/rng.h"
#include "tests/harness.h"

TEST(base_id, base32_round_trip)
{
    struct rng r;
    uint8_t bytes[64], back[64];
    char text[128];
    size_t len;
    rng_init_int(&r, 1);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        rng_fill(&r, bytes, n);
        size_t text_len = base32_encode(slice_of(bytes, n), text, sizeof(text));
        CHECK_EQ(text_len, (n * 8 + 4) / 5);
        CHECK_EQ(text_len, strlen(text));
        CHECK_OK(base32_decode(slice_text(text), back, n, &len));
        CHECK_EQ(len, n);
        CHECK_MEM(back, bytes, n);
        if (n > 0) {
            CHECK_EQ(base32_decode(slice_text(text), back, n - 1, &len), IPX_LIMIT);
            CHECK_EQ(base32_encode(slice_of(bytes, n), text, text_len), 0);
            CHECK_EQ(base32_encode(slice_of(bytes, n), text, text_len + 1), text_len);
        }
    }
    CHECK_EQ(base32_encode(SLICE_EMPTY, text, 0), 0);
}

TEST(base_id, base32_refusals)
{
    static const struct {
        const char *text;
        enum ipx_err err;
        size_t len;
        const char *bytes;
    } cases[] = {
        {"", IPX_OK, 0, ""},
        {"qq", IPX_OK, 1, "\0"},
        {"QQ", IPX_OK, 1, "\0"},
        {" q\tq\r\n", IPX_OK, 1, "\0"},
        {"ll", IPX_MALFORMED, 0, NULL}, /* trailing bits */
        {"lu", IPX_OK, 1, "\xff"},      /* 11111 11100 */
        {"LU", IPX_OK, 1, "\xff"},
        {"q", IPX_MALFORMED, 0, NULL}, /* a digit for nothing */
        {"qqq", IPX_MALFORMED, 0, NULL},
        {"qp", IPX_MALFORMED, 0, NULL}, /* trailing bit set */
        {"qqqq", IPX_OK, 2, "\0\0"},
        {"qb", IPX_MALFORMED, 0, NULL}, /* b, i, o and 1 are no digits */
        {"q1", IPX_MALFORMED, 0, NULL},
        {"io", IPX_MALFORMED, 0, NULL},
        {"q-", IPX_MALFORMED, 0, NULL},
        {"qq=", IPX_MALFORMED, 0, NULL},
        {"q\x80", IPX_MALFORMED, 0, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t out[8];
        size_t len = 77;
        CHECK_EQ(base32_decode(slice_text(cases[i].text), out, sizeof(out), &len), cases[i].err);
        if (cases[i].err == IPX_OK) {
            CHECK_EQ(len, cases[i].len);
            CHECK_MEM(out, cases[i].bytes, len);
        } else {
            CHECK_EQ(len, 77);
        }
    }
    uint8_t out[8];
    size_t len;
    CHECK_EQ(base32_decode(slice_of("q\0", 2), out, sizeof(out), &len), IPX_MALFORMED);
}

TEST(base_id, hex)
{
    static const uint8_t bytes[] = {0x00, 0x1f, 0xa9, 0xff};
    char text[9];
    uint8_t out[4];
    size_t len = 0;
    hex_encode(slice_of(bytes, 4), text);
    CHECK_STR(text, "001fa9ff");
    CHECK_OK(hex_decode(slice_text("001FA9fF"), out, 4, &len));
    CHECK_EQ(len, 4);
    CHECK_MEM(out, bytes, 4);
    CHECK_OK(hex_decode(SLICE_EMPTY, out, 0, &len));
    CHECK_EQ(len, 0);
    CHECK_EQ(hex_decode(slice_text("001fa9ff"), out, 3, &len), IPX_LIMIT);
    static const char *const bad[] = {"0", "001", "0g", "g0", " 0", "0x", "00 0"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_EQ(hex_decode(slice_text(bad[i]), out, 4, &len), IPX_MALFORMED);
    }
}

TEST(base_id, distance)
{
    struct rng r;
    struct dht_pos zero = {{0}}, a, b, target;
    rng_init_int(&r, 2);
    CHECK_EQ(dht_pos_common_bits(&zero, &zero), 256);
    for (unsigned bit = 0; bit < 256; bit++) {
        a = zero;
        a.bytes[bit / 8] = (uint8_t)(0x80 >> bit % 8);
        CHECK_EQ(dht_pos_common_bits(&zero, &a), bit);
        CHECK_EQ(dht_pos_common_bits(&a, &zero), bit);
        CHECK_EQ(dht_pos_compare(&zero, &zero, &a), -1);
        CHECK_EQ(dht_pos_compare(&a, &zero, &a), 1);
    }
    for (int i = 0; i < 2000; i++) {
        struct dht_pos da, db;
        rng_fill(&r, &a, sizeof(a));
        rng_fill(&r, &b, sizeof(b));
        rng_fill(&r, &target, sizeof(target));
        for (size_t k = 0; k < 32; k++) {
            da.bytes[k] = a.bytes[k] ^ target.bytes[k];
            db.bytes[k] = b.bytes[k] ^ target.bytes[k];
        }
        int want = memcmp(&da, &db, 32) < 0 ? -1 : 1;
        CHECK_EQ(dht_pos_compare(&target, &a, &b), want);
        CHECK_EQ(dht_pos_compare(&target, &b, &a), -want);
        CHECK_EQ(dht_pos_compare(&target, &a, &a), 0);
    }
}

TEST(base_id, names)
{
    struct node_id id, other;
    char text[ID_TEXT_SIZE], name[ID_SHORT_LEN + 1], loud[2 * ID_TEXT_SIZE];
    struct hash h;
    CHECK_OK(crypt_init());
    for (size_t i = 0; i < 32; i++) {
        id.bytes[i] = (uint8_t)i;
    }
    other = id;
    CHECK(node_id_equal(&id, &other));
    CHECK_EQ(node_id_compare(&id, &other), 0);
    other.bytes[31] = 0xff;
    CHECK(!node_id_equal(&id, &other));
    CHECK_EQ(node_id_compare(&id, &other), -1);
    CHECK_EQ(node_id_compare(&other, &id), 1);
    CHECK(!node_id_is_zero(&id));
    CHECK(node_id_is_zero(&(struct node_id){{0}}));

    node_id_text(&id, text);
    node_id_short(&id, name);
    CHECK_EQ(strlen(text), ID_TEXT_SIZE - 1);
    CHECK_MEM(text, "ipx1", 4);
    CHECK_MEM(text + 4, name, ID_SHORT_LEN);
    struct hash fingerprint = node_fingerprint(&id);
    CHECK_OK(node_fingerprint_parse(slice_text(text), &h));
    CHECK(hash_equal(&h, &fingerprint));
    size_t n = 0; /* upper case and blanks */
    for (size_t i = 0; text[i] != '\0'; i++) {
        loud[n++] = (char)(text[i] >= 'a' ? text[i] - 'a' + 'A' : text[i]);
        if (i % 5 == 0) {
            loud[n++] = ' ';
        }
    }
    CHECK_OK(node_fingerprint_parse(slice_of(loud, n), &h));
    CHECK(hash_equal(&h, &fingerprint));
    for (size_t i = 0; text[i] != '\0'; i++) { /* each single typing error is noticed */
        char kept = text[i];
        text[i] = kept == 'q' ? 'p' : 'q';
        CHECK_EQ(node_fingerprint_parse(slice_text(text), &h), IPX_MALFORMED);
        text[i] = kept;
    }
    CHECK_EQ(node_fingerprint_parse(slice_of(text, ID_TEXT_SIZE - 2), &h), IPX_MALFORMED);
    text[ID_TEXT_SIZE - 1] = 'q';
    CHECK_EQ(node_fingerprint_parse(slice_of(text, ID_TEXT_SIZE), &h), IPX_MALFORMED);
}

/* Values computed with another BLAKE2b (hashlib of Python), over pk = 00 01 .. 1f. */
TEST(base_id, golden)
{
    struct node_id id;
    struct hash h;
    char hex[65], text[ID_TEXT_SIZE];
    uint8_t nonce[16];
    CHECK_OK(crypt_init());
    for (size_t i = 0; i < 32; i++) {
        id.bytes[i] = (uint8_t)i;
        nonce[i % 16] = (uint8_t)(0xa0 + i % 16);
    }
    h = node_fingerprint(&id);
    hex_encode(slice_of(h.bytes, 32), hex);
    CHECK_STR(hex, "5742f252385b5ca06fba48da90523bee7c1000250393e3dbed48ab688b2544b9");
    struct mesh_id mesh = mesh_id_of(&id);
    hex_encode(slice_of(mesh.bytes, 16), hex);
    CHECK_STR(hex, "ed315cc2e4bdadbad7f1fcd7837fff02");
    struct dht_pos pos = dht_pos_of(&mesh, nonce, &id);
    hex_encode(slice_of(pos.bytes, 32), hex);
    CHECK_STR(hex, "b449891f61508654f928407f51e9bc92c396064695581b7c614dbf2e0aeb7b42");
    node_id_text(&id, text);
    CHECK_STR(text, "ipx12ap0y53ctdw2qma6frdfq53mae7pqqp9qwf78kldfz4k3ze9gjuskasq");
}
