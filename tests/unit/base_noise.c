/* SPDX-License-Identifier: Apache-2.0 */
#include "base/noise.h"
#include "tests/harness.h"

static size_t unhex(const char *hex, uint8_t *out, size_t cap)
{
    size_t len = 0;
    CHECK_OK(hex_decode(slice_text(hex), out, cap, &len));
    return len;
}

static void static_from(const char *hex, struct noise_static *ret)
{
    unhex(hex, ret->sk, sizeof(ret->sk));
    crypt_dh_public(ret->sk, ret->pk);
}

/* The public vector of this protocol name, from the cacophony set that Noise implementations share
 */
#define PROLOGUE "4a6f686e2047616c74"
#define PSK "54686973206973206d7920417573747269616e20706572737065637469766521"
#define INIT_S "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1"
#define INIT_E "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a"
#define RESP_PK "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62"
#define RESP_S "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893"
#define RESP_E "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b"
#define HANDSHAKE_HASH "8310f86394dc0dabb40beb8210031556db4403ab1202db7034c526232147a700"

static const struct {
    const char *payload, *sealed;
} messages[] = {
    {"4c756477696720766f6e204d69736573",
     "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79442ec9b09893d0f510791784c10cbc9"
     "59f25b1766e0def6e301d14fbca1c7790ac829b8b3674f5f649a5f0e98479662cbfbf2b2c47cd4b09fcd266cd29d7"
     "cb675f1808849707847840f6d178ec4d3733aa"},
    {"4d757272617920526f746862617264",
     "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088439a1b3cebf680b2c74217fcb5eba4f"
     "f58a9468cd90c4aca6194f57479b379a7"},
    {"462e20412e20486179656b", "a8fde7a0accec190cd306c5950d4fd8e04a205ec288aa747d8b347"},
    {"4361726c204d656e676572", "59caddd9984a3bbe24c4fb31a2bd455b7eba3fa0980674b1a3a5f9"},
    {"4a65616e2d426170746973746520536179",
     "3b9bfebd210c22ba0cff9de79b4007d7a552fffbf92616881faa8a883e25b80258"},
    {"457567656e2042f6686d20766f6e2042617765726b",
     "f37512df1043d564d7c46ac85c53d3b6a9a05724bc297e7142808f217561651217fe85b782"},
};

struct pair {
    struct noise a, b;
    struct noise_static a_s, b_s;
    uint8_t a_e[32], b_e[32], psk[32];
};

static void pair_init(struct pair *p)
{
    uint8_t prologue[16];
    CHECK_OK(crypt_init());
    static_from(INIT_S, &p->a_s);
    static_from(RESP_S, &p->b_s);
    unhex(INIT_E, p->a_e, 32);
    unhex(RESP_E, p->b_e, 32);
    unhex(PSK, p->psk, 32);
    struct slice text = slice_of(prologue, unhex(PROLOGUE, prologue, sizeof(prologue)));
    noise_init(&p->a, text, p->b_s.pk);
    noise_init(&p->b, text, p->b_s.pk);
}

static void transport_check(const struct noise_keys *a, const struct noise_keys *b)
{
    for (size_t i = 2; i < ARRAY_LEN(messages); i++) {
        uint8_t plain[64], want[80], got[80], nonce[12];
        size_t len = unhex(messages[i].payload, plain, sizeof(plain));
        CHECK_EQ(unhex(messages[i].sealed, want, sizeof(want)), len + CRYPT_TAG_LEN);
        noise_nonce(CRYPT_SUITE_CHACHA20, (i - 2) / 2, nonce);
        const struct noise_keys *from = i % 2 == 0 ? a : b, *to = i % 2 == 0 ? b : a;
        crypt_seal(CRYPT_SUITE_CHACHA20, from->send, nonce, SLICE_EMPTY, slice_of(plain, len), got);
        CHECK_MEM(got, want, len + CRYPT_TAG_LEN);
        CHECK_MEM(from->send, to->recv, 32);
    }
}

TEST(base_noise, public_vector)
{
    struct pair p;
    uint8_t payload[64], message[256], want[256], plain[64];
    pair_init(&p);
    unhex(RESP_PK, want, 32);
    CHECK_MEM(p.b_s.pk, want, 32);

    size_t len = unhex(messages[0].payload, payload, sizeof(payload));
    struct writer w = writer_of(message, sizeof(message));
    CHECK_OK(noise_write_first(&p.a, &p.a_s, p.a_e, slice_of(payload, len), &w));
    CHECK_EQ(w.len, unhex(messages[0].sealed, want, sizeof(want)));
    CHECK_EQ(w.len, len + NOISE_FIRST_OVERHEAD);
    CHECK_MEM(message, want, w.len);
    struct writer out = writer_of(plain, sizeof(plain));
    CHECK_OK(noise_read_first(&p.b, &p.b_s, writer_slice(&w), &out));
    CHECK(slice_equal(writer_slice(&out), slice_of(payload, len)));
    CHECK_MEM(p.b.peer_s, p.a_s.pk, 32);

    len = unhex(messages[1].payload, payload, sizeof(payload));
    w = writer_of(message, sizeof(message));
    CHECK_OK(noise_write_second(&p.b, p.b_e, p.psk, slice_of(payload, len), &w));
    CHECK_EQ(w.len, unhex(messages[1].sealed, want, sizeof(want)));
    CHECK_MEM(message, want, w.len);
    out = writer_of(plain, sizeof(plain));
    CHECK_OK(noise_read_second(&p.a, &p.a_s, p.psk, writer_slice(&w), &out));
    CHECK(slice_equal(writer_slice(&out), slice_of(payload, len)));

    struct noise_keys a, b;
    noise_split(&p.a, true, &a);
    noise_split(&p.b, false, &b);
    unhex(HANDSHAKE_HASH, want, 32);
    CHECK_MEM(a.hash, want, 32);
    CHECK_MEM(b.hash, want, 32);
    transport_check(&a, &b);
    noise_wipe(&p.a);
    noise_wipe(&p.b);
}

/* Each bit of both messages matters, each cut fails, and no failure spoils the state. */
TEST(base_noise, forged_messages_change_nothing)
{
    struct pair p;
    uint8_t first[256], second[256], plain[64], bad[256];
    pair_init(&p);
    struct writer w = writer_of(first, sizeof(first));
    CHECK_OK(noise_write_first(&p.a, &p.a_s, p.a_e, slice_text("hello"), &w));
    struct noise before = p.b;
    for (size_t i = 0; i < w.len; i++) {
        struct writer out = writer_of(plain, sizeof(plain));
        memcpy(bad, first, w.len);
        bad[i] ^= 0x10;
        CHECK(noise_read_first(&p.b, &p.b_s, slice_of(bad, w.len), &out) != IPX_OK);
        CHECK(noise_read_first(&p.b, &p.b_s, slice_of(first, i), &out) != IPX_OK);
        CHECK_EQ(out.len, 0);
        CHECK_MEM(&p.b, &before, sizeof(before));
    }
    struct writer out = writer_of(plain, sizeof(plain));
    CHECK_OK(noise_read_first(&p.b, &p.b_s, writer_slice(&w), &out));

    w = writer_of(second, sizeof(second));
    CHECK_OK(noise_write_second(&p.b, p.b_e, p.psk, slice_text("world"), &w));
    before = p.a;
    for (size_t i = 0; i < w.len; i++) {
        out = writer_of(plain, sizeof(plain));
        memcpy(bad, second, w.len);
        bad[i] ^= 0x10;
        CHECK(noise_read_second(&p.a, &p.a_s, p.psk, slice_of(bad, w.len), &out) != IPX_OK);
        CHECK(noise_read_second(&p.a, &p.a_s, p.psk, slice_of(second, i), &out) != IPX_OK);
        CHECK_MEM(&p.a, &before, sizeof(before));
    }
    uint8_t wrong_psk[32] = {1};
    CHECK_EQ(noise_read_second(&p.a, &p.a_s, wrong_psk, writer_slice(&w), &out), IPX_BAD_SIGNATURE);
    CHECK_OK(noise_read_second(&p.a, &p.a_s, p.psk, writer_slice(&w), &out));
    CHECK(slice_equal(writer_slice(&out), slice_text("world")));
}

TEST(base_noise, limits_and_bad_keys)
{
    struct pair p;
    pair_init(&p);
    static uint8_t big[NOISE_PAYLOAD_MAX + 256], message[NOISE_PAYLOAD_MAX + 256];
    struct writer w = writer_of(message, sizeof(message));
    CHECK_OK(noise_write_first(&p.a, &p.a_s, p.a_e, slice_of(big, NOISE_PAYLOAD_MAX), &w));
    struct writer out = writer_of(big, NOISE_PAYLOAD_MAX - 1);
    CHECK_EQ(noise_read_first(&p.b, &p.b_s, writer_slice(&w), &out), IPX_LIMIT);
    out = writer_of(big, sizeof(big));
    CHECK_EQ(noise_read_first(&p.b, &p.b_s, slice_of(message, w.len + 1), &out), IPX_LIMIT);
    CHECK_OK(noise_read_first(&p.b, &p.b_s, writer_slice(&w), &out));
    CHECK_EQ(out.len, NOISE_PAYLOAD_MAX);
    /* an ephemeral or static key of low order is refused before anything is derived from it */
    pair_init(&p);
    memset(p.b.peer_s, 0, 32);
    memset(message, 0, 200);
    out = writer_of(big, sizeof(big));
    CHECK_EQ(noise_read_first(&p.b, &p.b_s, slice_of(message, 200), &out), IPX_REFUSED);
    uint8_t zero[32] = {0};
    noise_init(&p.a, SLICE_EMPTY, zero);
    w = writer_of(message, sizeof(message));
    CHECK_EQ(noise_write_first(&p.a, &p.a_s, p.a_e, SLICE_EMPTY, &w), IPX_REFUSED);
    /* no room for the message */
    pair_init(&p);
    w = writer_of(message, 40);
    CHECK_EQ(noise_write_first(&p.a, &p.a_s, p.a_e, SLICE_EMPTY, &w), IPX_LIMIT);
}

TEST(base_noise, nonces_and_rekey)
{
    uint8_t nonce[12], key[32] = {7}, old[32], want[48], zeros[32] = {0};
    const uint8_t chacha[12] = {0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1};
    const uint8_t gcm[12] = {0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
    CHECK_OK(crypt_init());
    noise_nonce(CRYPT_SUITE_CHACHA20, UINT64_C(0x0102030405060708), nonce);
    CHECK_MEM(nonce, chacha, 12);
    noise_nonce(CRYPT_SUITE_AES256GCM, UINT64_C(0x0102030405060708), nonce);
    CHECK_MEM(nonce, gcm, 12);
    memcpy(old, key, 32);
    noise_rekey(CRYPT_SUITE_CHACHA20, key);
    memset(nonce, 0xff, 12);
    memset(nonce, 0, 4);
    crypt_seal(CRYPT_SUITE_CHACHA20, old, nonce, SLICE_EMPTY, slice_of(zeros, 32), want);
    CHECK_MEM(key, want, 32);
}
