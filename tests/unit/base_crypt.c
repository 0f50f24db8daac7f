/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypt.h"
#include "tests/harness.h"

#include <sodium.h>

static size_t unhex(const char *hex, uint8_t *out, size_t cap)
{
    size_t len = 0;
    CHECK_OK(hex_decode(slice_text(hex), out, cap, &len));
    return len;
}

static struct crypt_keypair key_from(uint8_t first)
{
    struct crypt_keypair key;
    uint8_t seed[32] = {0};
    CHECK_OK(crypt_init());
    /* half of all seeds give a key with its sign bit set */
    for (seed[0] = first; crypt_keypair_from_seed(seed, &key) != IPX_OK; seed[1]++) {
        CHECK(seed[1] < 64);
    }
    return key;
}

/* RFC 8032, section 7.1: seeds and public keys. One of them has its sign bit set. */
TEST(base_crypt, keypairs_of_rfc_8032)
{
    static const struct {
        const char *seed, *pk;
    } cases[] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"},
        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"},
        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"},
        {"f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
         "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e"},
        {"833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
         "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf"},
    };
    CHECK_OK(crypt_init());
    unsigned n_refused = 0;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t seed[32], pk[32];
        struct crypt_keypair key;
        unhex(cases[i].seed, seed, sizeof(seed));
        unhex(cases[i].pk, pk, sizeof(pk));
        enum ipx_err err = crypt_keypair_from_seed(seed, &key);
        CHECK_EQ(err, (pk[31] & 0x80) != 0 ? IPX_REFUSED : IPX_OK);
        n_refused += err == IPX_REFUSED;
        if (err == IPX_OK) {
            CHECK_MEM(key.pk.bytes, pk, 32);
        }
    }
    CHECK_EQ(n_refused, 1);
}

/* The signature itself is checked against libsodium's over the text that the design writes down. */
TEST(base_crypt, signatures_are_bound_to_type_and_mesh)
{
    struct crypt_keypair key = key_from(1), other = key_from(2);
    struct mesh_id mesh = {{1, 2, 3}}, mesh2 = {{1, 2, 4}};
    struct slice text = slice_text("hello");
    uint8_t sig[CRYPT_SIG_LEN];
    crypt_sign(&key, "cert", &mesh, text, sig);
    uint8_t raw[5 + 5 + 16 + 5], want[64];
    memcpy(raw, "ipx1:cert", 10); /* with its NUL */
    memcpy(raw + 10, mesh.bytes, 16);
    memcpy(raw + 26, "hello", 5);
    crypto_sign_ed25519_detached(want, NULL, raw, sizeof(raw), key.sk);
    CHECK_MEM(sig, want, 64);

    CHECK(crypt_verify(&key.pk, "cert", &mesh, text, sig));
    CHECK(!crypt_verify(&key.pk, "ad", &mesh, text, sig));
    CHECK(!crypt_verify(&key.pk, "cer", &mesh, text, sig));
    CHECK(!crypt_verify(&key.pk, "cert", &mesh2, text, sig));
    CHECK(!crypt_verify(&other.pk, "cert", &mesh, text, sig));
    CHECK(!crypt_verify(&key.pk, "cert", &mesh, slice_text("hellp"), sig));
    CHECK(!crypt_verify(&key.pk, "cert", &mesh, slice_of("hello", 4), sig));
    for (size_t bit = 0; bit < 512; bit += 7) {
        uint8_t bad[64];
        memcpy(bad, sig, 64);
        bad[bit / 8] ^= (uint8_t)(1 << (bit % 8));
        CHECK(!crypt_verify(&key.pk, "cert", &mesh, text, bad));
    }
    /* longest document, and one byte more */
    uint8_t *big = calloc(1, CRYPT_SIGNED_MAX + 1);
    crypt_sign(&key, "ad", &mesh, slice_of(big, CRYPT_SIGNED_MAX), sig);
    CHECK(crypt_verify(&key.pk, "ad", &mesh, slice_of(big, CRYPT_SIGNED_MAX), sig));
    CHECK(!crypt_verify(&key.pk, "ad", &mesh, slice_of(big, CRYPT_SIGNED_MAX + 1), sig));
    free(big);
}

TEST(base_crypt, twins_and_mixed_order_keys_are_no_keys)
{
    struct crypt_keypair key = key_from(3);
    struct mesh_id mesh = {{9}};
    uint8_t sig[CRYPT_SIG_LEN], dh[32];
    CHECK(crypt_key_is_valid(&key.pk));
    crypt_sign(&key, "ad", &mesh, slice_text("x"), sig);

    struct node_id twin = key.pk; /* the negated point: same X25519 key, another name */
    twin.bytes[31] ^= 0x80;
    CHECK(!crypt_key_is_valid(&twin));
    CHECK(!crypt_verify(&twin, "ad", &mesh, slice_text("x"), sig));
    CHECK_EQ(crypt_dh_pk_of(&twin, dh), IPX_REFUSED);

    /* key + a point of order 8: on the curve, but of mixed order */
    static const char order_8[] =
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
    uint8_t small[32];
    unhex(order_8, small, sizeof(small));
    struct node_id mixed;
    CHECK_EQ(crypto_core_ed25519_add(mixed.bytes, key.pk.bytes, small), 0);
    for (int sign = 0; sign < 2; sign++) {
        mixed.bytes[31] ^= sign ? 0x80 : 0;
        CHECK(!crypt_key_is_valid(&mixed));
        CHECK_EQ(crypt_dh_pk_of(&mixed, dh), IPX_REFUSED);
    }
    static const char *const bad[] = {
        "0000000000000000000000000000000000000000000000000000000000000000", /* order 4 */
        "0100000000000000000000000000000000000000000000000000000000000000", /* neutral */
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* order 2 */
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", /* order 8 */
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* p: not canonical */
        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* p + 3 */
        "0200000000000000000000000000000000000000000000000000000000000000", /* not on the curve */
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct node_id pk;
        unhex(bad[i], pk.bytes, sizeof(pk.bytes));
        CHECK(!crypt_key_is_valid(&pk));
        CHECK_EQ(crypt_dh_pk_of(&pk, dh), IPX_REFUSED);
    }
}

TEST(base_crypt, x25519_of_rfc_7748)
{
    static const struct {
        const char *sk, *pk, *shared;
    } cases[] = {
        {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
         "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
        {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
         "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
         "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
    };
    CHECK_OK(crypt_init());
    uint8_t sk[32], pk[32], want[32], got[32];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unhex(cases[i].sk, sk, 32);
        unhex(cases[i].pk, pk, 32);
        unhex(cases[i].shared, want, 32);
        CHECK_OK(crypt_dh(sk, pk, got));
        CHECK_MEM(got, want, 32);
    }
    static const char *const low_order[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    memset(want, 0xaa, 32);
    memcpy(got, want, 32);
    for (size_t i = 0; i < ARRAY_LEN(low_order); i++) {
        unhex(low_order[i], pk, 32);
        CHECK_EQ(crypt_dh(sk, pk, got), IPX_REFUSED);
        CHECK_MEM(got, want, 32); /* untouched */
    }
    /* the converted pair is a pair, and both ends agree */
    struct crypt_keypair a = key_from(4), b = key_from(5);
    uint8_t a_sk[32], a_pk[32], b_sk[32], b_pk[32];
    crypt_dh_sk_of(&a, a_sk);
    crypt_dh_sk_of(&b, b_sk);
    CHECK_OK(crypt_dh_pk_of(&a.pk, a_pk));
    crypt_dh_public(a_sk, got);
    CHECK_MEM(got, a_pk, 32);
    CHECK_OK(crypt_dh_pk_of(&b.pk, b_pk));
    CHECK_OK(crypt_dh(a_sk, b_pk, got));
    CHECK_OK(crypt_dh(b_sk, a_pk, want));
    CHECK_MEM(got, want, 32);
}

/* RFC 8439, section 2.8.2, and test case 16 of the GCM specification. */
TEST(base_crypt, aead_vectors)
{
    static const struct {
        enum crypt_suite suite;
        const char *key, *nonce, *ad, *plain, *sealed;
    } cases[] = {
        {CRYPT_SUITE_CHACHA20, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
         "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
         "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a2049662"
         "04920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572"
         "652c2073756e73637265656e20776f756c642062652069742e",
         "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69d"
         "a92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad6759455"
         "85808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691"},
        {CRYPT_SUITE_AES256GCM, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
         "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
         "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e244"
         "9a6b525b16aedf5aa0de657ba637b39",
         "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b105"
         "6828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"},
    };
    CHECK_OK(crypt_init());
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (!crypt_suite_available(cases[i].suite)) {
            CHECK(cases[i].suite == CRYPT_SUITE_AES256GCM);
            continue;
        }
        uint8_t key[32], nonce[12], ad[32], plain[128], want[160], got[160];
        unhex(cases[i].key, key, 32);
        unhex(cases[i].nonce, nonce, 12);
        struct slice a = slice_of(ad, unhex(cases[i].ad, ad, sizeof(ad)));
        size_t len = unhex(cases[i].plain, plain, sizeof(plain));
        CHECK_EQ(unhex(cases[i].sealed, want, sizeof(want)), len + CRYPT_TAG_LEN);
        crypt_seal(cases[i].suite, key, nonce, a, slice_of(plain, len), got);
        CHECK_MEM(got, want, len + CRYPT_TAG_LEN);
        /* in place, both ways */
        memcpy(got, plain, len);
        crypt_seal(cases[i].suite, key, nonce, a, slice_of(got, len), got);
        CHECK_MEM(got, want, len + CRYPT_TAG_LEN);
        struct slice sealed = slice_of(got, len + CRYPT_TAG_LEN);
        CHECK_OK(crypt_open(cases[i].suite, key, nonce, a, sealed, got));
        CHECK_MEM(got, plain, len);
        for (size_t cut = 0; cut < len + CRYPT_TAG_LEN; cut += 5) {
            uint8_t bad[160];
            memcpy(bad, want, sizeof(bad));
            CHECK_EQ(crypt_open(cases[i].suite, key, nonce, a, slice_of(want, cut), got),
                     IPX_BAD_SIGNATURE);
            bad[cut] ^= 1;
            CHECK_EQ(
                crypt_open(cases[i].suite, key, nonce, a, slice_of(bad, len + CRYPT_TAG_LEN), got),
                IPX_BAD_SIGNATURE);
        }
        CHECK_EQ(crypt_open(cases[i].suite, key, nonce, SLICE_EMPTY,
                            slice_of(want, len + CRYPT_TAG_LEN), got),
                 IPX_BAD_SIGNATURE);
    }
    CHECK(!crypt_suite_available((enum crypt_suite)0));
    CHECK(!crypt_suite_available((enum crypt_suite)3));
}

TEST(base_crypt, hashes_and_macs)
{
    CHECK_OK(crypt_init());
    uint8_t want[32], got[32], key[32] = {0};
    /* RFC 4231 test case 1: the key is shorter than a block, so zeros behind it change nothing */
    memset(key, 0x0b, 20);
    unhex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", want, 32);
    crypt_hmac256(key, slice_text("Hi There"), got);
    CHECK_MEM(got, want, 32);
    unhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", want, 32);
    crypt_sha256(slice_text("abc"), got);
    CHECK_MEM(got, want, 32);
    unhex("bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319", want, 32);
    CHECK_MEM(crypt_hash(slice_text("abc")).bytes, want, 32);
    CHECK_MEM(crypt_hash2(slice_text("a"), slice_text("bc")).bytes, want, 32);
    CHECK_MEM(crypt_hash2(SLICE_EMPTY, slice_text("abc")).bytes, want, 32);
    /* SipHash-2-4, appendix A of the paper: key 00..0f, text 00..0e */
    uint8_t count[16];
    for (unsigned i = 0; i < sizeof(count); i++) {
        count[i] = (uint8_t)i;
    }
    CHECK(crypt_short(count, slice_of(count, 15)) == UINT64_C(0xe545be4961ca29a1));
    /* a keyed hash depends on key, text and length */
    uint8_t mac[16], mac2[16];
    crypt_mac(slice_of(key, 32), slice_text("abc"), mac, 16);
    crypt_mac(slice_of(key, 31), slice_text("abc"), mac2, 16);
    CHECK(!crypt_equal(mac, mac2, 16));
    crypt_mac(slice_of(key, 32), slice_text("abd"), mac2, 16);
    CHECK(!crypt_equal(mac, mac2, 16));
    crypt_mac(slice_of(key, 32), slice_text("abc"), mac2, 16);
    CHECK(crypt_equal(mac, mac2, 16));
}

/* draft-irtf-cfrg-xchacha, A.3.1 */
TEST(base_crypt, xchacha_vector)
{
    uint8_t key[32], nonce[24], ad[12], plain[128], want[144], got[144];
    CHECK_OK(crypt_init());
    unhex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", key, 32);
    unhex("404142434445464748494a4b4c4d4e4f5051525354555657", nonce, 24);
    unhex("50515253c0c1c2c3c4c5c6c7", ad, 12);
    const char *text = "Ladies and Gentlemen of the class of '99: If I could offer you only one "
                       "tip for the future, sunscreen would be it.";
    size_t len = strlen(text);
    unhex(
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4"
        "eda7e39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b"
        "2383565d3fff921f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49",
        want, sizeof(want));
    memcpy(plain, text, len);
    crypt_xseal(key, nonce, slice_of(ad, 12), slice_of(plain, len), got);
    CHECK_MEM(got, want, len + CRYPT_TAG_LEN);
    CHECK_OK(crypt_xopen(key, nonce, slice_of(ad, 12), slice_of(got, len + 16), got));
    CHECK_MEM(got, text, len);
    want[0] ^= 1;
    CHECK_EQ(crypt_xopen(key, nonce, slice_of(ad, 12), slice_of(want, len + 16), got),
             IPX_BAD_SIGNATURE);
    CHECK_EQ(crypt_xopen(key, nonce, slice_of(ad, 12), slice_of(want, 15), got), IPX_BAD_SIGNATURE);
}
