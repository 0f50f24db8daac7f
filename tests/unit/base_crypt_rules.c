/* SPDX-License-Identifier: Apache-2.0 */
/* What the rest of the tree relies on in base/crypt.h, whoever implements it: this file is built
 * twice, with libsodium behind it and with tests/sim/simcrypt.c. */
#include "base/crypt.h"
#include "base/rng.h"
#include "tests/harness.h"

static struct crypt_keypair key_from(uint8_t first)
{
    struct crypt_keypair key;
    uint8_t seed[32] = {0};
    CHECK_OK(crypt_init());
    for (seed[0] = first; crypt_keypair_from_seed(seed, &key) != IPX_OK; seed[1]++) {
        CHECK(seed[1] < 64);
    }
    return key;
}

static void fill(uint8_t *p, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++) {
        p[i] = (uint8_t)(i * 31 + seed * 7 + 1);
    }
}

TEST(base_crypt_rules, keys)
{
    unsigned n_refused = 0;
    for (unsigned i = 0; i < 64; i++) {
        struct crypt_keypair a, b;
        uint8_t seed[32] = {(uint8_t)i}, dh[32];
        enum ipx_err err = crypt_keypair_from_seed(seed, &a);
        CHECK(err == IPX_OK || err == IPX_REFUSED);
        n_refused += err == IPX_REFUSED;
        if (err == IPX_OK) {
            CHECK_OK(crypt_keypair_from_seed(seed, &b));
            CHECK_MEM(a.pk.bytes, b.pk.bytes, 32);
            CHECK_MEM(a.sk, seed, 32); /* as it is kept in a home */
            CHECK(crypt_key_is_valid(&a.pk));
            a.pk.bytes[31] ^= 0x80; /* the twin */
            CHECK(!crypt_key_is_valid(&a.pk));
            CHECK_EQ(crypt_dh_pk_of(&a.pk, dh), IPX_REFUSED);
        }
    }
    CHECK(n_refused > 10 && n_refused < 54); /* a caller must try again */
    struct node_id none = {{0}}, one = {{1}};
    CHECK(!crypt_key_is_valid(&none));
    CHECK(!crypt_key_is_valid(&one));
}

TEST(base_crypt_rules, signatures)
{
    struct crypt_keypair key = key_from(1), other = key_from(2);
    struct mesh_id mesh = {{1, 2, 3}}, mesh2 = {{1, 2, 4}};
    uint8_t text[300], sig[CRYPT_SIG_LEN], again[CRYPT_SIG_LEN];
    fill(text, sizeof(text), 1);
    static const size_t lens[] = {0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 299, 300};
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        struct slice s = slice_of(text, lens[i]);
        crypt_sign(&key, "cert", &mesh, s, sig);
        crypt_sign(&key, "cert", &mesh, s, again);
        CHECK_MEM(sig, again, sizeof(sig));
        CHECK(crypt_verify(&key.pk, "cert", &mesh, s, sig));
        CHECK(!crypt_verify(&key.pk, "ad", &mesh, s, sig));
        CHECK(!crypt_verify(&key.pk, "cert", &mesh2, s, sig));
        CHECK(!crypt_verify(&other.pk, "cert", &mesh, s, sig));
        if (s.len > 0) {
            CHECK(!crypt_verify(&key.pk, "cert", &mesh, slice_of(text, s.len - 1), sig));
            text[s.len - 1] ^= 0x10;
            CHECK(!crypt_verify(&key.pk, "cert", &mesh, s, sig));
            text[s.len - 1] ^= 0x10;
        }
        for (size_t bit = 0; bit < 512; bit += 13) {
            memcpy(again, sig, sizeof(sig));
            again[bit / 8] ^= (uint8_t)(1 << bit % 8);
            CHECK(!crypt_verify(&key.pk, "cert", &mesh, s, again));
        }
    }
    CHECK(!crypt_verify(&key.pk, "cert", &mesh, slice_of(text, CRYPT_SIGNED_MAX + 1), sig));
}

TEST(base_crypt_rules, diffie_hellman)
{
    struct crypt_keypair a = key_from(3), b = key_from(4), c = key_from(5);
    uint8_t a_sk[32], b_sk[32], c_sk[32], a_pk[32], b_pk[32], pk[32], ab[32], ba[32], cb[32];
    crypt_dh_sk_of(&a, a_sk);
    crypt_dh_sk_of(&b, b_sk);
    crypt_dh_sk_of(&c, c_sk);
    CHECK_OK(crypt_dh_pk_of(&a.pk, a_pk));
    CHECK_OK(crypt_dh_pk_of(&b.pk, b_pk));
    crypt_dh_public(a_sk, pk);
    CHECK_MEM(pk, a_pk, 32); /* the two ways to the same key */
    CHECK_OK(crypt_dh(a_sk, b_pk, ab));
    CHECK_OK(crypt_dh(b_sk, a_pk, ba));
    CHECK_OK(crypt_dh(c_sk, b_pk, cb));
    CHECK_MEM(ab, ba, 32);
    CHECK(memcmp(ab, cb, 32) != 0);
    uint8_t e_sk[32], e_pk[32], ea[32], ae[32], low[32] = {0};
    fill(e_sk, 32, 9); /* one made for once */
    crypt_dh_public(e_sk, e_pk);
    CHECK_OK(crypt_dh(e_sk, a_pk, ea));
    CHECK_OK(crypt_dh(a_sk, e_pk, ae));
    CHECK_MEM(ea, ae, 32);
    CHECK_EQ(crypt_dh(e_sk, low, ea), IPX_REFUSED);
    low[0] = 1;
    CHECK_EQ(crypt_dh(e_sk, low, ea), IPX_REFUSED);
    CHECK_MEM(ea, ae, 32); /* untouched */
}

/* One of key, nonce, data beside it, text and tag is another: refused. */
static void check_tampered(enum crypt_suite suite, const uint8_t *sealed, size_t len)
{
    uint8_t key[32], nonce[12], ad[16], bad[300], out[300];
    fill(key, 32, 1);
    fill(nonce, 12, 2);
    fill(ad, 16, 3);
    for (size_t bit = 0; bit < 8 * len; bit += 11) {
        memcpy(bad, sealed, len);
        bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK_EQ(crypt_open(suite, key, nonce, slice_of(ad, 16), slice_of(bad, len), out),
                 IPX_BAD_SIGNATURE);
    }
    struct slice s = slice_of(sealed, len);
    CHECK_EQ(crypt_open(suite, key, nonce, slice_of(ad, 15), s, out), IPX_BAD_SIGNATURE);
    CHECK_EQ(crypt_open(suite, key, nonce, slice_of(ad, 16), slice_of(sealed, len - 1), out),
             IPX_BAD_SIGNATURE);
    CHECK_EQ(crypt_open(suite, key, nonce, slice_of(ad, 16), slice_of(sealed, 15), out),
             IPX_BAD_SIGNATURE);
    uint8_t *const parts[] = {key, nonce, ad};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        parts[i][3] ^= 4;
        CHECK_EQ(crypt_open(suite, key, nonce, slice_of(ad, 16), s, out), IPX_BAD_SIGNATURE);
        parts[i][3] ^= 4;
    }
    CHECK_OK(crypt_open(suite, key, nonce, slice_of(ad, 16), s, out));
}

TEST(base_crypt_rules, sealing)
{
    uint8_t key[32], nonce[24], ad[16], plain[260], sealed[300], out[300];
    fill(key, 32, 1);
    fill(nonce, 24, 2);
    fill(ad, 16, 3);
    fill(plain, sizeof(plain), 4);
    CHECK_OK(crypt_init());
    static const size_t lens[] = {0, 1, 7, 8, 9, 16, 40, 41, 255, 260};
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        for (int suite = CRYPT_SUITE_CHACHA20; suite <= CRYPT_SUITE_AES256GCM; suite++) {
            size_t len = lens[i];
            if (!crypt_suite_available((enum crypt_suite)suite)) {
                continue;
            }
            crypt_seal((enum crypt_suite)suite, key, nonce, slice_of(ad, 16), slice_of(plain, len),
                       sealed);
            CHECK(len < 8 || memcmp(sealed, plain, len) != 0);
            memcpy(out, plain, len); /* in place gives the same */
            crypt_seal((enum crypt_suite)suite, key, nonce, slice_of(ad, 16), slice_of(out, len),
                       out);
            CHECK_MEM(out, sealed, len + CRYPT_TAG_LEN);
            CHECK_OK(crypt_open((enum crypt_suite)suite, key, nonce, slice_of(ad, 16),
                                slice_of(out, len + CRYPT_TAG_LEN), out));
            CHECK(memcmp(out, plain, len) == 0);
            check_tampered((enum crypt_suite)suite, sealed, len + CRYPT_TAG_LEN);
        }
        crypt_xseal(key, nonce, slice_of(ad, 16), slice_of(plain, lens[i]), sealed);
        struct slice s = slice_of(sealed, lens[i] + CRYPT_TAG_LEN);
        CHECK_OK(crypt_xopen(key, nonce, slice_of(ad, 16), s, out));
        CHECK(memcmp(out, plain, lens[i]) == 0);
        nonce[20] ^= 1;
        CHECK_EQ(crypt_xopen(key, nonce, slice_of(ad, 16), s, out), IPX_BAD_SIGNATURE);
        nonce[20] ^= 1;
        sealed[0] ^= 1;
        CHECK_EQ(crypt_xopen(key, nonce, slice_of(ad, 16), s, out), IPX_BAD_SIGNATURE);
    }
}

TEST(base_crypt_rules, hashes)
{
    uint8_t text[100];
    fill(text, sizeof(text), 5);
    for (size_t len = 0; len <= sizeof(text); len++) {
        struct hash whole = crypt_hash(slice_of(text, len));
        for (size_t cut = 0; cut <= len; cut++) {
            struct hash h = crypt_hash2(slice_of(text, cut), slice_of(text + cut, len - cut));
            CHECK_MEM(h.bytes, whole.bytes, 32);
        }
        if (len > 0) {
            struct hash less = crypt_hash(slice_of(text, len - 1));
            CHECK(memcmp(whole.bytes, less.bytes, 32) != 0);
        }
    }
    uint8_t zeros[64] = {0}, a[32], b[32];
    for (size_t len = 1; len < sizeof(zeros); len++) { /* padding is not text */
        crypt_sha256(slice_of(zeros, len), a);
        crypt_sha256(slice_of(zeros, len + 1), b);
        CHECK(memcmp(a, b, 32) != 0);
    }
    crypt_hmac256(text, slice_of(text, 40), a);
    crypt_hmac256(text + 1, slice_of(text, 40), b);
    CHECK(memcmp(a, b, 32) != 0);
    for (size_t len = 0; len <= 40; len++) {
        uint64_t h = crypt_short(text, slice_of(zeros, len));
        CHECK_EQ(h, crypt_short(text, slice_of(zeros, len)));
        CHECK(h != crypt_short(text, slice_of(zeros, len + 1)));
        CHECK(h != crypt_short(text + 1, slice_of(zeros, len)));
    }
    uint8_t mac[16], mac2[16];
    crypt_mac(slice_of(text, 32), slice_of(text, 9), mac, 16);
    crypt_mac(slice_of(text, 31), slice_of(text, 9), mac2, 16);
    CHECK(!crypt_equal(mac, mac2, 16));
    crypt_mac(slice_of(text, 32), slice_of(text, 9), mac2, 16);
    CHECK(crypt_equal(mac, mac2, 16));
}

/* Positions of nodes are hashes: each bit, and each of 64 ranges, as often as chance has it. */
TEST(base_crypt_rules, hashes_are_uniform)
{
    enum { N = 16384 };
    unsigned bits[256] = {0}, ranges[64] = {0};
    for (uint32_t i = 0; i < N; i++) {
        uint8_t number[4];
        store_be32(number, i);
        struct hash h = crypt_hash(slice_of(number, 4));
        for (unsigned bit = 0; bit < 256; bit++) {
            bits[bit] += h.bytes[bit / 8] >> bit % 8 & 1;
        }
        ranges[h.bytes[0] >> 2]++;
    }
    for (unsigned bit = 0; bit < 256; bit++) { /* sigma 64: five of it */
        CHECK(bits[bit] > N / 2 - 320 && bits[bit] < N / 2 + 320);
    }
    for (unsigned i = 0; i < 64; i++) { /* sigma 16 */
        CHECK(ranges[i] > N / 64 - 80 && ranges[i] < N / 64 + 80);
    }
}
