/* SPDX-License-Identifier: Apache-2.0 */
#include "base/noise.h"

#define NOISE_NAME "Noise_IKpsk2_25519_ChaChaPoly_SHA256"
static_assert(sizeof(NOISE_NAME) - 1 > 32, "a longer name than a hash starts as its hash");

/* The symmetric state (Noise, section 5.2) */

static void mix_hash(struct noise *n, struct slice data)
{
    uint8_t text[32 + NOISE_PAYLOAD_MAX + CRYPT_TAG_LEN];
    assert(data.len <= sizeof(text) - 32);
    struct writer w = writer_of(text, sizeof(text));
    writer_bytes(&w, slice_of(n->h, sizeof(n->h)));
    writer_bytes(&w, data);
    crypt_sha256(writer_slice(&w), n->h);
}

/* HKDF with up to three outputs; the last may be NULL. */
static void hkdf(const uint8_t ck[static 32], const uint8_t input[static 32], uint8_t *out1,
                 uint8_t *out2, uint8_t *out3)
{
    uint8_t temp[32], text[33];
    crypt_hmac256(ck, slice_of(input, 32), temp);
    text[0] = 1;
    crypt_hmac256(temp, slice_of(text, 1), out1);
    memcpy(text, out1, 32);
    text[32] = 2;
    crypt_hmac256(temp, slice_of(text, 33), out2);
    if (out3 != NULL) {
        memcpy(text, out2, 32);
        text[32] = 3;
        crypt_hmac256(temp, slice_of(text, 33), out3);
    }
    crypt_wipe(temp, sizeof(temp));
    crypt_wipe(text, sizeof(text));
}

static void mix_key(struct noise *n, const uint8_t input[static 32])
{
    uint8_t ck[32];
    hkdf(n->ck, input, ck, n->k, NULL);
    memcpy(n->ck, ck, sizeof(ck));
    n->n = 0;
    crypt_wipe(ck, sizeof(ck));
}

static void mix_key_and_hash(struct noise *n, const uint8_t psk[static 32])
{
    uint8_t ck[32], hash[32];
    hkdf(n->ck, psk, ck, hash, n->k);
    memcpy(n->ck, ck, sizeof(ck));
    mix_hash(n, slice_of(hash, sizeof(hash)));
    n->n = 0;
    crypt_wipe(ck, sizeof(ck));
    crypt_wipe(hash, sizeof(hash));
}

static enum ipx_err mix_dh(struct noise *n, const uint8_t sk[static 32],
                           const uint8_t pk[static 32])
{
    uint8_t shared[32];
    enum ipx_err err = crypt_dh(sk, pk, shared);
    if (err == IPX_OK) {
        mix_key(n, shared);
        crypt_wipe(shared, sizeof(shared));
    }
    return err;
}

static enum ipx_err seal_and_hash(struct noise *n, struct slice plain, struct writer *w)
{
    uint8_t nonce[12];
    noise_nonce(CRYPT_SUITE_CHACHA20, n->n++, nonce);
    uint8_t *out = writer_reserve(w, plain.len + CRYPT_TAG_LEN);
    if (out == NULL) {
        return IPX_LIMIT;
    }
    crypt_seal(CRYPT_SUITE_CHACHA20, n->k, nonce, slice_of(n->h, sizeof(n->h)), plain, out);
    mix_hash(n, slice_of(out, plain.len + CRYPT_TAG_LEN));
    return IPX_OK;
}

static enum ipx_err open_and_hash(struct noise *n, struct slice sealed, struct writer *w)
{
    if (sealed.len < CRYPT_TAG_LEN) {
        return IPX_MALFORMED;
    }
    if (sealed.len > NOISE_PAYLOAD_MAX + CRYPT_TAG_LEN) {
        return IPX_LIMIT;
    }
    size_t len_before = w->len;
    uint8_t nonce[12];
    noise_nonce(CRYPT_SUITE_CHACHA20, n->n++, nonce);
    uint8_t *out = writer_reserve(w, sealed.len - CRYPT_TAG_LEN);
    if (out == NULL) {
        return IPX_LIMIT;
    }
    enum ipx_err err =
        crypt_open(CRYPT_SUITE_CHACHA20, n->k, nonce, slice_of(n->h, sizeof(n->h)), sealed, out);
    if (err != IPX_OK) {
        w->len = len_before;
        return err;
    }
    mix_hash(n, sealed);
    return IPX_OK;
}

/* Ephemeral keys enter the hash and, as there is a pre-shared key, the chaining key too. */
static void mix_ephemeral(struct noise *n, const uint8_t pk[static 32])
{
    mix_hash(n, slice_of(pk, 32));
    mix_key(n, pk);
}

/* The handshake */

void noise_init(struct noise *n, struct slice prologue, const uint8_t responder[static 32])
{
    memset(n, 0, sizeof(*n));
    crypt_sha256(slice_text(NOISE_NAME), n->h);
    memcpy(n->ck, n->h, sizeof(n->ck));
    mix_hash(n, prologue);
    mix_hash(n, slice_of(responder, 32));
    memcpy(n->peer_s, responder, 32);
}

void noise_wipe(struct noise *n)
{
    crypt_wipe(n, sizeof(*n));
}

static enum ipx_err write_first(struct noise *n, const struct noise_static *own,
                                const uint8_t e_sk[static 32], struct slice payload,
                                struct writer *w)
{
    uint8_t e_pk[32];
    memcpy(n->e_sk, e_sk, sizeof(n->e_sk));
    crypt_dh_public(e_sk, e_pk);
    writer_bytes(w, slice_of(e_pk, sizeof(e_pk)));
    mix_ephemeral(n, e_pk);
    enum ipx_err err = mix_dh(n, n->e_sk, n->peer_s);
    if (err == IPX_OK) {
        err = seal_and_hash(n, slice_of(own->pk, sizeof(own->pk)), w);
    }
    if (err == IPX_OK) {
        err = mix_dh(n, own->sk, n->peer_s);
    }
    return err == IPX_OK ? seal_and_hash(n, payload, w) : err;
}

static enum ipx_err read_first(struct noise *n, const struct noise_static *own,
                               struct slice message, struct writer *ret_payload)
{
    struct reader r = reader_of(message);
    reader_copy(&r, n->peer_e, sizeof(n->peer_e));
    struct slice sealed_s = reader_bytes(&r, 32 + CRYPT_TAG_LEN);
    struct slice sealed = reader_bytes(&r, reader_left(&r));
    if (r.failed) {
        return IPX_MALFORMED;
    }
    mix_ephemeral(n, n->peer_e);
    enum ipx_err err = mix_dh(n, own->sk, n->peer_e);
    if (err == IPX_OK) {
        struct writer s = writer_of(n->peer_s, sizeof(n->peer_s));
        err = open_and_hash(n, sealed_s, &s);
    }
    if (err == IPX_OK) {
        err = mix_dh(n, own->sk, n->peer_s);
    }
    return err == IPX_OK ? open_and_hash(n, sealed, ret_payload) : err;
}

static enum ipx_err write_second(struct noise *n, const uint8_t e_sk[static 32],
                                 const uint8_t psk[static 32], struct slice payload,
                                 struct writer *w)
{
    uint8_t e_pk[32];
    memcpy(n->e_sk, e_sk, sizeof(n->e_sk));
    crypt_dh_public(e_sk, e_pk);
    writer_bytes(w, slice_of(e_pk, sizeof(e_pk)));
    mix_ephemeral(n, e_pk);
    enum ipx_err err = mix_dh(n, n->e_sk, n->peer_e);
    if (err == IPX_OK) {
        err = mix_dh(n, n->e_sk, n->peer_s);
    }
    if (err != IPX_OK) {
        return err;
    }
    mix_key_and_hash(n, psk);
    return seal_and_hash(n, payload, w);
}

static enum ipx_err read_second(struct noise *n, const struct noise_static *own,
                                const uint8_t psk[static 32], struct slice message,
                                struct writer *ret_payload)
{
    struct reader r = reader_of(message);
    reader_copy(&r, n->peer_e, sizeof(n->peer_e));
    struct slice sealed = reader_bytes(&r, reader_left(&r));
    if (r.failed) {
        return IPX_MALFORMED;
    }
    mix_ephemeral(n, n->peer_e);
    enum ipx_err err = mix_dh(n, n->e_sk, n->peer_e);
    if (err == IPX_OK) {
        err = mix_dh(n, own->sk, n->peer_e);
    }
    if (err != IPX_OK) {
        return err;
    }
    mix_key_and_hash(n, psk);
    return open_and_hash(n, sealed, ret_payload);
}

/* Each step works on a copy that replaces the state on success only. */
static enum ipx_err step_end(struct noise *n, struct noise *copy, enum ipx_err err)
{
    if (err == IPX_OK) {
        *n = *copy;
    }
    noise_wipe(copy);
    return err;
}

enum ipx_err noise_write_first(struct noise *n, const struct noise_static *own,
                               const uint8_t e_sk[static 32], struct slice payload,
                               struct writer *w)
{
    struct noise copy = *n;
    return step_end(n, &copy, write_first(&copy, own, e_sk, payload, w));
}

enum ipx_err noise_read_first(struct noise *n, const struct noise_static *own, struct slice message,
                              struct writer *ret_payload)
{
    struct noise copy = *n;
    return step_end(n, &copy, read_first(&copy, own, message, ret_payload));
}

enum ipx_err noise_write_second(struct noise *n, const uint8_t e_sk[static 32],
                                const uint8_t psk[static 32], struct slice payload,
                                struct writer *w)
{
    struct noise copy = *n;
    return step_end(n, &copy, write_second(&copy, e_sk, psk, payload, w));
}

enum ipx_err noise_read_second(struct noise *n, const struct noise_static *own,
                               const uint8_t psk[static 32], struct slice message,
                               struct writer *ret_payload)
{
    struct noise copy = *n;
    return step_end(n, &copy, read_second(&copy, own, psk, message, ret_payload));
}

void noise_split(const struct noise *n, bool is_initiator, struct noise_keys *ret)
{
    const uint8_t none[1] = {0};
    uint8_t temp[32], text[33], first[32];
    /* HKDF(ck, zero-length input) */
    crypt_hmac256(n->ck, slice_of(none, 0), temp);
    text[0] = 1;
    crypt_hmac256(temp, slice_of(text, 1), first);
    memcpy(text, first, 32);
    text[32] = 2;
    crypt_hmac256(temp, slice_of(text, 33), is_initiator ? ret->recv : ret->send);
    memcpy(is_initiator ? ret->send : ret->recv, first, sizeof(first));
    memcpy(ret->hash, n->h, sizeof(ret->hash));
    crypt_wipe(temp, sizeof(temp));
    crypt_wipe(text, sizeof(text));
    crypt_wipe(first, sizeof(first));
}

void noise_nonce(enum crypt_suite suite, uint64_t counter, uint8_t ret[static 12])
{
    memset(ret, 0, 4);
    for (unsigned i = 0; i < 8; i++) {
        unsigned shift = suite == CRYPT_SUITE_AES256GCM ? 8 * (7 - i) : 8 * i;
        ret[4 + i] = (uint8_t)(counter >> shift);
    }
}

void noise_rekey(enum crypt_suite suite, uint8_t key[static 32])
{
    uint8_t nonce[12], zeros[32] = {0}, out[32 + CRYPT_TAG_LEN];
    noise_nonce(suite, UINT64_MAX, nonce);
    crypt_seal(suite, key, nonce, SLICE_EMPTY, slice_of(zeros, sizeof(zeros)), out);
    memcpy(key, out, 32);
    crypt_wipe(out, sizeof(out));
}
