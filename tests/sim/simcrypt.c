/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/crypt.h for large simulations: the same sizes and answers, none of the cost and none of the
 * strength. A program links this object before libbase, whose own is then not taken: the code under
 * test knows no difference, and the program that ships has no seam.
 *
 * What holds: everything depends on every bit of what it is made of, and the only way to a public
 * key's secret is a permutation that no caller of base/crypt.h can undo. So in the simulated world
 * nobody forges: a signature verifies only if crypt_sign() made it with that key of those bytes, a
 * tag binds key, nonce, data beside it and text, a shared key needs one of the two secrets. What
 * an adversary type does, it does by these functions. No state, so nothing to bound or to reset.
 *
 * Multiply and fold after wyhash (Wang Yi, public domain), the finalizer is splitmix64's.
 */
#include "base/crypt.h"

#include <endian.h>

__extension__ typedef unsigned __int128 wide;

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15)
#define SALT_A UINT64_C(0xa0761d6478bd642f)
#define SALT_B UINT64_C(0xe7037ed1a0b428db)
#define N_ROUNDS 12 /* of the permutation: each lane is changed three times at least */
#define N_SECRET 3  /* lanes of a signing key; the fourth of a public key is its check */

enum domain { /* no two uses share an output */
              DOMAIN_KEY = 1,
              DOMAIN_CHECK,
              DOMAIN_SIGN,
              DOMAIN_HASH,
              DOMAIN_MAC,
              DOMAIN_DH_KEY,
              DOMAIN_DH,
              DOMAIN_STREAM,
              DOMAIN_TAG,
              DOMAIN_SHA,
              DOMAIN_HMAC,
              DOMAIN_SHORT
};

static uint64_t fold(uint64_t a, uint64_t b)
{
    wide p = (wide)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static uint64_t finish(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Little-endian, so that a seed is the same run on every machine. */
static uint64_t lane_at(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

static void store_lane(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof(v));
}

/* --- sums: of parts, each with its length --- */

struct sum {
    uint64_t a, b;
};

static struct sum sum_of(enum domain domain)
{
    return (struct sum){.a = fold((uint64_t)domain * GOLDEN, SALT_A), .b = SALT_B};
}

static void sum_lane(struct sum *s, uint64_t v)
{
    s->a = fold(s->a ^ v, SALT_A ^ s->b);
    s->b += v * GOLDEN;
}

#define BLOCK 16

/* Whole blocks; what is left of `part` is shorter than one. */
static struct slice sum_blocks(struct sum *s, struct slice part)
{
    for (; part.len >= BLOCK; part = slice_of(part.data + BLOCK, part.len - BLOCK)) {
        uint64_t v = lane_at(part.data), next = lane_at(part.data + 8);
        s->a = fold(s->a ^ v, SALT_B ^ next);
        s->b = (s->b + v) * GOLDEN + next;
    }
    return part;
}

/* The two as one: where they are cut makes no difference. */
static void sum_joined(struct sum *s, struct slice first, struct slice second)
{
    uint8_t seam[BLOCK] = {0};
    sum_lane(s, first.len + second.len);
    struct slice left = sum_blocks(s, first);
    if (left.len > 0) {
        size_t part = IPX_MIN(second.len, BLOCK - left.len);
        memcpy(seam, left.data, left.len);
        if (part > 0) {
            memcpy(seam + left.len, second.data, part);
        }
        second = slice_of(second.data + part, second.len - part);
        sum_blocks(s, slice_of(seam, BLOCK)); /* zeros behind a short one: the length is in */
    }
    left = sum_blocks(s, second);
    if (left.len > 0) {
        memset(seam, 0, sizeof(seam));
        memcpy(seam, left.data, left.len);
        sum_blocks(s, slice_of(seam, BLOCK));
    }
}

static void sum_add(struct sum *s, struct slice part)
{
    sum_joined(s, part, SLICE_EMPTY);
}

static void sum_lanes(struct sum *s, const uint64_t *lanes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sum_lane(s, lanes[i]);
    }
}

static uint64_t sum_out(const struct sum *s, uint64_t i)
{
    return finish(fold(s->a ^ SALT_A, s->b ^ SALT_B) + s->a + (i + 1) * GOLDEN);
}

static void sum_end(const struct sum *s, uint8_t *out, size_t len)
{
    uint8_t last[8];
    for (uint64_t i = 0; len > 0; i++) {
        size_t part = IPX_MIN(len, sizeof(last));
        store_lane(last, sum_out(s, i));
        memcpy(out, last, part);
        out += part;
        len -= part;
    }
}

/* --- public keys: a permutation of the secret --- */

static uint64_t round_of(const uint64_t *x, unsigned n, unsigned r)
{
    return finish(fold(x[(r + 1) % n] ^ SALT_A, SALT_B + r) + x[(r + 2) % n] * GOLDEN + r);
}

static void permute(uint64_t *x, unsigned n)
{
    for (unsigned r = 0; r < N_ROUNDS; r++) {
        x[r % n] ^= round_of(x, n, r);
    }
}

static void undo(uint64_t *x, unsigned n)
{
    for (unsigned r = N_ROUNDS; r-- > 0;) {
        x[r % n] ^= round_of(x, n, r);
    }
}

static void load_lanes(uint64_t *x, const uint8_t *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        x[i] = lane_at(p + 8 * i);
    }
}

static void store_lanes(uint8_t *p, const uint64_t *x, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        store_lane(p + 8 * i, x[i]);
    }
}

static uint64_t check_of(const uint64_t *lanes)
{
    struct sum s = sum_of(DOMAIN_CHECK);
    sum_lanes(&s, lanes, N_SECRET);
    return sum_out(&s, 0) & INT64_MAX; /* the sign bit is 0 */
}

static void secret_of(const uint8_t *seed, uint64_t *ret)
{
    struct sum s = sum_of(DOMAIN_KEY);
    sum_add(&s, slice_of(seed, 32));
    for (unsigned i = 0; i < N_SECRET; i++) {
        ret[i] = sum_out(&s, i);
    }
}

static bool secret_behind(const struct node_id *pk, uint64_t *ret)
{
    load_lanes(ret, pk->bytes, N_SECRET);
    if (lane_at(pk->bytes + 8 * N_SECRET) != check_of(ret)) {
        return false;
    }
    undo(ret, N_SECRET);
    return true;
}

enum ipx_err crypt_init(void)
{
    return IPX_OK;
}

enum ipx_err crypt_keypair_from_seed(const uint8_t seed[static 32], struct crypt_keypair *ret)
{
    uint64_t x[N_SECRET];
    secret_of(seed, x);
    if ((x[0] & 1) != 0) {
        return IPX_REFUSED; /* half of the seeds, as with the real ones */
    }
    permute(x, N_SECRET);
    store_lanes(ret->pk.bytes, x, N_SECRET);
    store_lane(ret->pk.bytes + 8 * N_SECRET, check_of(x));
    memcpy(ret->sk, seed, 32);
    memcpy(ret->sk + 32, ret->pk.bytes, 32);
    return IPX_OK;
}

bool crypt_key_is_valid(const struct node_id *pk)
{
    uint64_t x[N_SECRET];
    return secret_behind(pk, x);
}

static void sign(const uint64_t *secret, const char *type, const struct mesh_id *mesh,
                 struct slice bytes, uint8_t *ret)
{
    struct sum s = sum_of(DOMAIN_SIGN);
    assert(bytes.len <= CRYPT_SIGNED_MAX);
    sum_lanes(&s, secret, N_SECRET);
    sum_add(&s, slice_text(type));
    sum_add(&s, slice_of(mesh->bytes, sizeof(mesh->bytes)));
    sum_add(&s, bytes);
    sum_end(&s, ret, CRYPT_SIG_LEN);
}

void crypt_sign(const struct crypt_keypair *key, const char *type, const struct mesh_id *mesh,
                struct slice bytes, uint8_t ret_sig[static CRYPT_SIG_LEN])
{
    uint64_t secret[N_SECRET];
    secret_of(key->sk, secret);
    sign(secret, type, mesh, bytes, ret_sig);
}

bool crypt_verify(const struct node_id *pk, const char *type, const struct mesh_id *mesh,
                  struct slice bytes, const uint8_t sig[static CRYPT_SIG_LEN])
{
    uint64_t secret[N_SECRET];
    uint8_t right[CRYPT_SIG_LEN];
    if (bytes.len > CRYPT_SIGNED_MAX || !secret_behind(pk, secret)) {
        return false;
    }
    sign(secret, type, mesh, bytes, right);
    return memcmp(sig, right, sizeof(right)) == 0;
}

/* --- hashes --- */

struct hash crypt_hash(struct slice bytes)
{
    return crypt_hash2(bytes, SLICE_EMPTY);
}

struct hash crypt_hash2(struct slice a, struct slice b)
{
    struct hash ret;
    struct sum s = sum_of(DOMAIN_HASH);
    sum_joined(&s, a, b);
    sum_end(&s, ret.bytes, sizeof(ret.bytes));
    return ret;
}

void crypt_mac(struct slice key, struct slice bytes, uint8_t *out, size_t out_len)
{
    struct sum s = sum_of(DOMAIN_MAC);
    assert(key.len >= 1 && key.len <= 64 && out_len >= 1 && out_len <= 64);
    sum_lane(&s, out_len);
    sum_add(&s, key);
    sum_add(&s, bytes);
    sum_end(&s, out, out_len);
}

uint64_t crypt_short(const uint8_t key[static 16], struct slice bytes)
{
    struct sum s = {.a = lane_at(key) ^ SALT_A, .b = lane_at(key + 8) ^ DOMAIN_SHORT};
    for (; bytes.len >= 8; bytes = slice_of(bytes.data + 8, bytes.len - 8)) {
        s.a = fold(s.a ^ lane_at(bytes.data), SALT_B ^ s.b);
        s.b += s.a;
    }
    uint8_t last[8] = {0};
    if (bytes.len > 0) {
        memcpy(last, bytes.data, bytes.len);
    }
    return finish(fold(s.a ^ lane_at(last), SALT_B ^ s.b ^ bytes.len));
}

bool crypt_equal(const void *a, const void *b, size_t len)
{
    return memcmp(a, b, len) == 0;
}

void crypt_wipe(void *p, size_t len)
{
    memset(p, 0, len);
}

void crypt_sha256(struct slice bytes, uint8_t out[static 32])
{
    struct sum s = sum_of(DOMAIN_SHA);
    sum_add(&s, bytes);
    sum_end(&s, out, 32);
}

void crypt_hmac256(const uint8_t key[static 32], struct slice bytes, uint8_t out[static 32])
{
    struct sum s = sum_of(DOMAIN_HMAC);
    sum_add(&s, slice_of(key, 32));
    sum_add(&s, bytes);
    sum_end(&s, out, 32);
}

/* --- Diffie and Hellman --- */

void crypt_dh_public(const uint8_t sk[static 32], uint8_t ret_pk[static 32])
{
    uint64_t x[4];
    load_lanes(x, sk, 4);
    permute(x, 4);
    store_lanes(ret_pk, x, 4);
}

enum ipx_err crypt_dh(const uint8_t sk[static 32], const uint8_t pk[static 32],
                      uint8_t ret_shared[static 32])
{
    uint64_t own[4], other[4];
    load_lanes(own, sk, 4);
    load_lanes(other, pk, 4);
    if (other[0] <= 1 && other[1] == 0 && other[2] == 0 && other[3] == 0) {
        return IPX_REFUSED; /* 0 and 1 stand for the keys of low order */
    }
    undo(other, 4);
    struct sum a = sum_of(DOMAIN_DH), b = sum_of(DOMAIN_DH), both = sum_of(DOMAIN_DH);
    sum_lanes(&a, own, 4);
    sum_lanes(&b, other, 4);
    for (uint64_t i = 0; i < 2; i++) { /* the same from either side */
        sum_lane(&both, sum_out(&a, i) + sum_out(&b, i));
    }
    sum_end(&both, ret_shared, 32);
    return IPX_OK;
}

static void dh_secret(const uint64_t *secret, uint8_t *ret)
{
    struct sum s = sum_of(DOMAIN_DH_KEY);
    sum_lanes(&s, secret, N_SECRET);
    sum_end(&s, ret, 32);
}

enum ipx_err crypt_dh_pk_of(const struct node_id *pk, uint8_t ret[static 32])
{
    uint64_t secret[N_SECRET];
    uint8_t sk[32];
    if (!secret_behind(pk, secret)) {
        return IPX_REFUSED;
    }
    dh_secret(secret, sk);
    crypt_dh_public(sk, ret);
    return IPX_OK;
}

void crypt_dh_sk_of(const struct crypt_keypair *key, uint8_t ret[static 32])
{
    uint64_t secret[N_SECRET];
    secret_of(key->sk, secret);
    dh_secret(secret, ret);
}

/* --- sealing --- */

struct sealing {
    uint64_t key;
    struct sum tag;
};

static struct sealing sealing_of(uint8_t suite, const uint8_t *key, struct slice nonce,
                                 struct slice ad)
{
    struct sum s = sum_of(DOMAIN_STREAM);
    sum_lane(&s, suite);
    sum_add(&s, slice_of(key, 32));
    sum_add(&s, nonce);
    struct sealing ret = {.key = sum_out(&s, 0), .tag = sum_of(DOMAIN_TAG)};
    sum_lane(&ret.tag, sum_out(&s, 1));
    sum_add(&ret.tag, ad);
    return ret;
}

static void mask(uint64_t key, const uint8_t *in, size_t len, uint8_t *out)
{
    uint8_t last[8] = {0};
    for (size_t at = 0; at < len; at += 8) {
        key += GOLDEN;
        uint64_t v = fold(key, key ^ SALT_A);
        if (len - at >= 8) {
            store_lane(out + at, lane_at(in + at) ^ v);
        } else {
            memcpy(last, in + at, len - at);
            store_lane(last, lane_at(last) ^ v);
            memcpy(out + at, last, len - at);
        }
    }
}

static void seal(struct sealing *s, struct slice plain, uint8_t *out)
{
    mask(s->key, plain.data, plain.len, out);
    sum_add(&s->tag, slice_of(out, plain.len));
    sum_end(&s->tag, out + plain.len, CRYPT_TAG_LEN);
}

static enum ipx_err open_sealed(struct sealing *s, struct slice sealed, uint8_t *out)
{
    uint8_t tag[CRYPT_TAG_LEN];
    if (sealed.len < CRYPT_TAG_LEN) {
        return IPX_BAD_SIGNATURE;
    }
    struct slice text = slice_of(sealed.data, sealed.len - CRYPT_TAG_LEN);
    sum_add(&s->tag, text);
    sum_end(&s->tag, tag, sizeof(tag));
    if (memcmp(tag, sealed.data + text.len, sizeof(tag)) != 0) {
        return IPX_BAD_SIGNATURE;
    }
    mask(s->key, text.data, text.len, out);
    return IPX_OK;
}

bool crypt_suite_available(enum crypt_suite suite)
{
    return suite == CRYPT_SUITE_CHACHA20 || suite == CRYPT_SUITE_AES256GCM;
}

void crypt_seal(enum crypt_suite suite, const uint8_t key[static 32],
                const uint8_t nonce[static 12], struct slice ad, struct slice plain, uint8_t *out)
{
    assert(crypt_suite_available(suite));
    struct sealing s = sealing_of((uint8_t)suite, key, slice_of(nonce, 12), ad);
    seal(&s, plain, out);
}

enum ipx_err crypt_open(enum crypt_suite suite, const uint8_t key[static 32],
                        const uint8_t nonce[static 12], struct slice ad, struct slice sealed,
                        uint8_t *out)
{
    assert(crypt_suite_available(suite));
    struct sealing s = sealing_of((uint8_t)suite, key, slice_of(nonce, 12), ad);
    return open_sealed(&s, sealed, out);
}

void crypt_xseal(const uint8_t key[static 32], const uint8_t nonce[static 24], struct slice ad,
                 struct slice plain, uint8_t *out)
{
    struct sealing s = sealing_of(0, key, slice_of(nonce, 24), ad);
    seal(&s, plain, out);
}

enum ipx_err crypt_xopen(const uint8_t key[static 32], const uint8_t nonce[static 24],
                         struct slice ad, struct slice sealed, uint8_t *out)
{
    struct sealing s = sealing_of(0, key, slice_of(nonce, 24), ad);
    return open_sealed(&s, sealed, out);
}
