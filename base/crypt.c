/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypt.h"

#include <sodium.h>

static_assert(CRYPT_SIG_LEN == crypto_sign_ed25519_BYTES, "signature size");
static_assert(CRYPT_TAG_LEN == crypto_aead_chacha20poly1305_ietf_ABYTES, "tag size");
static_assert(CRYPT_TAG_LEN == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag size");
static_assert(CRYPT_TAG_LEN == crypto_aead_aes256gcm_ABYTES, "tag size");
static_assert(crypto_shorthash_KEYBYTES == 16 && crypto_shorthash_BYTES == 8,
              "SipHash-2-4 as libsodium has it");

enum ipx_err crypt_init(void)
{
    return sodium_init() < 0 ? IPX_CRYPTO : IPX_OK;
}

enum ipx_err crypt_keypair_from_seed(const uint8_t seed[static 32], struct crypt_keypair *ret)
{
    struct crypt_keypair key;
    if (crypto_sign_ed25519_seed_keypair(key.pk.bytes, key.sk, seed) != 0) {
        return IPX_CRYPTO;
    }
    bool is_valid = crypt_key_is_valid(&key.pk);
    if (is_valid) {
        *ret = key;
    }
    crypt_wipe(&key, sizeof(key));
    return is_valid ? IPX_OK : IPX_REFUSED;
}

bool crypt_key_is_valid(const struct node_id *pk)
{
    return (pk->bytes[31] & 0x80) == 0 && crypto_core_ed25519_is_valid_point(pk->bytes) == 1;
}

#define SIGNED_PREFIX "ipx1:"
#define SIGNED_TYPE_MAX 32 /* longest type name; they are constants of ours */

/* What is really signed. Ed25519 reads its input twice, so it must lie in one piece. */
struct signed_text {
    uint8_t
        bytes[sizeof(SIGNED_PREFIX) + SIGNED_TYPE_MAX + sizeof(struct mesh_id) + CRYPT_SIGNED_MAX];
    size_t len;
};

static void signed_text_init(struct signed_text *t, const char *type, const struct mesh_id *mesh,
                             struct slice bytes)
{
    assert(strlen(type) <= SIGNED_TYPE_MAX);
    assert(bytes.len <= CRYPT_SIGNED_MAX);
    struct writer w = writer_of(t->bytes, sizeof(t->bytes));
    writer_bytes(&w, slice_text(SIGNED_PREFIX));
    writer_bytes(&w, slice_of(type, strlen(type) + 1));
    writer_bytes(&w, slice_of(mesh->bytes, sizeof(mesh->bytes)));
    writer_bytes(&w, bytes);
    assert(!w.failed);
    t->len = w.len;
}

void crypt_sign(const struct crypt_keypair *key, const char *type, const struct mesh_id *mesh,
                struct slice bytes, uint8_t ret_sig[static CRYPT_SIG_LEN])
{
    struct signed_text text;
    signed_text_init(&text, type, mesh, bytes);
    int rc = crypto_sign_ed25519_detached(ret_sig, NULL, text.bytes, text.len, key->sk);
    assert(rc == 0);
}

bool crypt_verify(const struct node_id *pk, const char *type, const struct mesh_id *mesh,
                  struct slice bytes, const uint8_t sig[static CRYPT_SIG_LEN])
{
    /* A peer may bring longer bytes and bad keys: both are no signature of anybody. */
    if (bytes.len > CRYPT_SIGNED_MAX || !crypt_key_is_valid(pk)) {
        return false;
    }
    struct signed_text text;
    signed_text_init(&text, type, mesh, bytes);
    return crypto_sign_ed25519_verify_detached(sig, text.bytes, text.len, pk->bytes) == 0;
}

struct hash crypt_hash(struct slice bytes)
{
    return crypt_hash2(bytes, SLICE_EMPTY);
}

struct hash crypt_hash2(struct slice a, struct slice b)
{
    struct hash ret;
    crypto_generichash_blake2b_state state;
    crypto_generichash_blake2b_init(&state, NULL, 0, sizeof(ret.bytes));
    if (a.len > 0) {
        crypto_generichash_blake2b_update(&state, a.data, a.len);
    }
    if (b.len > 0) {
        crypto_generichash_blake2b_update(&state, b.data, b.len);
    }
    crypto_generichash_blake2b_final(&state, ret.bytes, sizeof(ret.bytes));
    return ret;
}

void crypt_mac(struct slice key, struct slice bytes, uint8_t *out, size_t out_len)
{
    assert(key.len >= 1 && key.len <= crypto_generichash_blake2b_KEYBYTES_MAX);
    assert(out_len >= 1 && out_len <= crypto_generichash_blake2b_BYTES_MAX);
    int rc = crypto_generichash_blake2b(out, out_len, bytes.data, bytes.len, key.data, key.len);
    assert(rc == 0);
}

uint64_t crypt_short(const uint8_t key[static 16], struct slice bytes)
{
    uint8_t out[crypto_shorthash_BYTES];
    crypto_shorthash(out, bytes.data, bytes.len, key);
    return load_be64(out);
}

bool crypt_equal(const void *a, const void *b, size_t len)
{
    return sodium_memcmp(a, b, len) == 0;
}

void crypt_wipe(void *p, size_t len)
{
    sodium_memzero(p, len);
}

void crypt_dh_public(const uint8_t sk[static 32], uint8_t ret_pk[static 32])
{
    int rc = crypto_scalarmult_curve25519_base(ret_pk, sk);
    assert(rc == 0);
}

enum ipx_err crypt_dh(const uint8_t sk[static 32], const uint8_t pk[static 32],
                      uint8_t ret_shared[static 32])
{
    uint8_t shared[32];
    /* libsodium refuses the keys of low order, whose product is known to everybody */
    if (crypto_scalarmult_curve25519(shared, sk, pk) != 0) {
        return IPX_REFUSED;
    }
    memcpy(ret_shared, shared, sizeof(shared));
    crypt_wipe(shared, sizeof(shared));
    return IPX_OK;
}

enum ipx_err crypt_dh_pk_of(const struct node_id *pk, uint8_t ret[static 32])
{
    uint8_t converted[32];
    if (!crypt_key_is_valid(pk) ||
        crypto_sign_ed25519_pk_to_curve25519(converted, pk->bytes) != 0) {
        return IPX_REFUSED;
    }
    memcpy(ret, converted, sizeof(converted));
    return IPX_OK;
}

void crypt_dh_sk_of(const struct crypt_keypair *key, uint8_t ret[static 32])
{
    int rc = crypto_sign_ed25519_sk_to_curve25519(ret, key->sk);
    assert(rc == 0);
}

bool crypt_suite_available(enum crypt_suite suite)
{
    switch (suite) {
    case CRYPT_SUITE_CHACHA20:
        return true;
    case CRYPT_SUITE_AES256GCM:
        return crypto_aead_aes256gcm_is_available() == 1;
    }
    return false; /* a number off the wire */
}

void crypt_seal(enum crypt_suite suite, const uint8_t key[static 32],
                const uint8_t nonce[static 12], struct slice ad, struct slice plain, uint8_t *out)
{
    assert(crypt_suite_available(suite));
    int rc = -1;
    switch (suite) {
    case CRYPT_SUITE_CHACHA20:
        rc = crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain.data, plain.len, ad.data,
                                                       ad.len, NULL, nonce, key);
        break;
    case CRYPT_SUITE_AES256GCM:
        rc = crypto_aead_aes256gcm_encrypt(out, NULL, plain.data, plain.len, ad.data, ad.len, NULL,
                                           nonce, key);
        break;
    }
    assert(rc == 0);
}

enum ipx_err crypt_open(enum crypt_suite suite, const uint8_t key[static 32],
                        const uint8_t nonce[static 12], struct slice ad, struct slice sealed,
                        uint8_t *out)
{
    assert(crypt_suite_available(suite));
    if (sealed.len < CRYPT_TAG_LEN) {
        return IPX_BAD_SIGNATURE;
    }
    int rc = -1;
    switch (suite) {
    case CRYPT_SUITE_CHACHA20:
        rc = crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed.data, sealed.len,
                                                       ad.data, ad.len, nonce, key);
        break;
    case CRYPT_SUITE_AES256GCM:
        rc = crypto_aead_aes256gcm_decrypt(out, NULL, NULL, sealed.data, sealed.len, ad.data,
                                           ad.len, nonce, key);
        break;
    }
    return rc == 0 ? IPX_OK : IPX_BAD_SIGNATURE;
}

void crypt_xseal(const uint8_t key[static 32], const uint8_t nonce[static 24], struct slice ad,
                 struct slice plain, uint8_t *out)
{
    int rc = crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, plain.data, plain.len, ad.data,
                                                        ad.len, NULL, nonce, key);
    assert(rc == 0);
}

enum ipx_err crypt_xopen(const uint8_t key[static 32], const uint8_t nonce[static 24],
                         struct slice ad, struct slice sealed, uint8_t *out)
{
    if (sealed.len < CRYPT_TAG_LEN) {
        return IPX_BAD_SIGNATURE;
    }
    int rc = crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed.data, sealed.len,
                                                        ad.data, ad.len, nonce, key);
    return rc == 0 ? IPX_OK : IPX_BAD_SIGNATURE;
}

void crypt_sha256(struct slice bytes, uint8_t out[static 32])
{
    crypto_hash_sha256(out, bytes.data, bytes.len);
}

void crypt_hmac256(const uint8_t key[static 32], struct slice bytes, uint8_t out[static 32])
{
    crypto_auth_hmacsha256(out, bytes.data, bytes.len, key);
}
