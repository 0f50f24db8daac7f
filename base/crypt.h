/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Cryptographic primitives as ipx uses them; the only user of libsodium's
 * primitives. No state, no entropy: keys are made from seeds that the caller
 * brings. crypt_init() once a process, before anything else.
 *
 * Every signature is over "ipx1:" || type || NUL || mesh id || bytes: what was
 * signed as one thing can never be shown as another (overlay, reading rules).
 */
#include "base/id.h"

#define CRYPT_SIG_LEN 64
#define CRYPT_TAG_LEN 16
#define CRYPT_SIGNED_MAX 8192 /* longest signed document: an ad (4 KiB) with room */

struct crypt_keypair { /* Ed25519 */
    struct node_id pk;
    uint8_t sk[64];
};

IPX_MUST_USE enum ipx_err crypt_init(void);

/* Key pair from a seed. Conditions: IPX_REFUSED (sign bit of pk is set: try another seed, 1.1). */
IPX_MUST_USE enum ipx_err crypt_keypair_from_seed(const uint8_t seed[static 32],
                                                  struct crypt_keypair *ret);
/* A valid curve point with sign bit 0; anything else is no key of ours anywhere (1.1). */
bool crypt_key_is_valid(const struct node_id *pk);

/* `type` is a short constant such as "cert" or "ad". */
void crypt_sign(const struct crypt_keypair *key, const char *type, const struct mesh_id *mesh,
                struct slice bytes, uint8_t ret_sig[static CRYPT_SIG_LEN]);
bool crypt_verify(const struct node_id *pk, const char *type, const struct mesh_id *mesh,
                  struct slice bytes, const uint8_t sig[static CRYPT_SIG_LEN]);

/* BLAKE2b-256 of the bytes; of two concatenated parts. */
struct hash crypt_hash(struct slice bytes);
struct hash crypt_hash2(struct slice a, struct slice b);
/* Keyed BLAKE2b, 1..64 bytes of output, key 1..64 bytes. */
void crypt_mac(struct slice key, struct slice bytes, uint8_t *out, size_t out_len);
/* SipHash-2-4: a keyed number where 64 bits do, twenty times cheaper. */
uint64_t crypt_short(const uint8_t key[static 16], struct slice bytes);
bool crypt_equal(const void *a, const void *b, size_t len); /* constant time */
void crypt_wipe(void *p, size_t len);

/* X25519. Keys of the handshake are libsodium's conversion of the Ed25519 keys. */
void crypt_dh_public(const uint8_t sk[static 32], uint8_t ret_pk[static 32]);
IPX_MUST_USE enum ipx_err crypt_dh(const uint8_t sk[static 32], const uint8_t pk[static 32],
                                   uint8_t ret_shared[static 32]); /* IPX_REFUSED: low order */
IPX_MUST_USE enum ipx_err crypt_dh_pk_of(const struct node_id *pk, uint8_t ret[static 32]);
void crypt_dh_sk_of(const struct crypt_keypair *key, uint8_t ret[static 32]);

/* AEAD with a 96-bit nonce; out has room for len + 16 (seal) or len - 16 (open). `out` may be
 * the same memory as `in`. */
enum crypt_suite { CRYPT_SUITE_CHACHA20 = 1, CRYPT_SUITE_AES256GCM = 2 };
bool crypt_suite_available(enum crypt_suite suite);
void crypt_seal(enum crypt_suite suite, const uint8_t key[static 32],
                const uint8_t nonce[static 12], struct slice ad, struct slice plain, uint8_t *out);
IPX_MUST_USE enum ipx_err crypt_open(enum crypt_suite suite, const uint8_t key[static 32],
                                     const uint8_t nonce[static 12], struct slice ad,
                                     struct slice sealed, uint8_t *out); /* IPX_BAD_SIGNATURE */
/* XChaCha20-Poly1305, for cookies. */
void crypt_xseal(const uint8_t key[static 32], const uint8_t nonce[static 24], struct slice ad,
                 struct slice plain, uint8_t *out);
IPX_MUST_USE enum ipx_err crypt_xopen(const uint8_t key[static 32], const uint8_t nonce[static 24],
                                      struct slice ad, struct slice sealed, uint8_t *out);

/* HMAC-SHA256 and SHA-256, for Noise only. */
void crypt_sha256(struct slice bytes, uint8_t out[static 32]);
void crypt_hmac256(const uint8_t key[static 32], struct slice bytes, uint8_t out[static 32]);
