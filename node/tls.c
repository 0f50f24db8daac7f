/* SPDX-License-Identifier: Apache-2.0 */
#include "node/tls.h"

#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>

#define TLS_CLOSE_ROOM 128 /* for an alert, kept free of data */

static const struct sm_state tls_states[] = {
    [TLS_STATE_HANDSHAKE] = {"handshake", SM_TO(TLS_STATE_OPEN) | SM_TO(TLS_STATE_CLOSED), false},
    [TLS_STATE_OPEN] = {"open", SM_TO(TLS_STATE_CLOSING) | SM_TO(TLS_STATE_CLOSED), false},
    [TLS_STATE_CLOSING] = {"closing", SM_TO(TLS_STATE_CLOSED), false},
    [TLS_STATE_CLOSED] = {"closed", 0, true},
};

const struct sm_table tls_state_table = {"tls", tls_states, ARRAY_LEN(tls_states)};

struct tls_context {
    struct mem *mem;
    bool has_identity;
    mbedtls_x509_crt cert;
    mbedtls_pk_context key;
};

struct tls {
    struct tls_context *context;
    enum tls_role role;
    uint8_t state; /* enum tls_state */
    bool is_eof;   /* of the connection */
    enum ipx_err why;
    uint64_t due_us; /* end of the handshake, or of closing */
    struct rng rng;
    mbedtls_ssl_config config; /* of its own, as it holds the random stream */
    mbedtls_ssl_context ssl;
    uint32_t in_pos, in_len, out_pos, out_len; /* what is between is there */
    uint8_t in[TLS_IN_MAX];
    uint8_t out[TLS_OUT_MAX];
};

/* Forward secrecy and an AEAD, all else refused; first what is fastest without AES in hardware. */
static const int suites[] = {
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    0,
};
static const char *const protocols[] = {TLS_ALPN, NULL};

static int fill_random(void *user, unsigned char *out, size_t len)
{
    rng_fill(user, out, len);
    return 0;
}

/* --- differences of mbedTLS 2.28 and 3.x --- */

static int parse_key(mbedtls_pk_context *key, const struct tls_identity *id, struct rng *rng)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    return mbedtls_pk_parse_key(key, id->key, id->key_len, NULL, 0, fill_random, rng);
#else
    (void)rng;
    return mbedtls_pk_parse_key(key, id->key, id->key_len, NULL, 0);
#endif
}

/* TLS 1.2 and nothing else: 1.3 of mbedTLS 3.6 draws its randomness from a global of its own. */
static void limit_versions(mbedtls_ssl_config *c)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    mbedtls_ssl_conf_min_tls_version(c, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(c, MBEDTLS_SSL_VERSION_TLS1_2);
#else
    mbedtls_ssl_conf_min_version(c, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_max_version(c, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
#endif
}

/* P-256 first: in mbedTLS it is the faster of the two. */
static void limit_curves(mbedtls_ssl_config *c)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    static const uint16_t groups[] = {MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
                                      MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
                                      MBEDTLS_SSL_IANA_TLS_GROUP_NONE};
    mbedtls_ssl_conf_groups(c, groups);
#else
    static const mbedtls_ecp_group_id curves[] = {MBEDTLS_ECP_DP_SECP256R1,
                                                  MBEDTLS_ECP_DP_CURVE25519, MBEDTLS_ECP_DP_NONE};
    mbedtls_ssl_conf_curves(c, curves);
#endif
}

static int set_serial(mbedtls_x509write_cert *w, struct rng *rng)
{
    uint8_t serial[16];
    rng_fill(rng, serial, sizeof(serial));
    serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40); /* positive, and of full length */
#if MBEDTLS_VERSION_NUMBER >= 0x03040000
    return mbedtls_x509write_crt_set_serial_raw(w, serial, sizeof(serial));
#else
    mbedtls_mpi n;
    mbedtls_mpi_init(&n);
    int rc = mbedtls_mpi_read_binary(&n, serial, sizeof(serial));
    rc = rc == 0 ? mbedtls_x509write_crt_set_serial(w, &n) : rc;
    mbedtls_mpi_free(&n);
    return rc;
#endif
}

/* --- the certificate --- */

static int write_cert(mbedtls_pk_context *key, struct rng *rng, struct tls_identity *id)
{
    mbedtls_x509write_cert w;
    uint8_t der[TLS_CERT_MAX];
    mbedtls_x509write_crt_init(&w);
    mbedtls_x509write_crt_set_version(&w, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&w, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&w, key);
    mbedtls_x509write_crt_set_issuer_key(&w, key);
    int rc = set_serial(&w, rng);
    rc = rc == 0 ? mbedtls_x509write_crt_set_subject_name(&w, "CN=ipx") : rc;
    rc = rc == 0 ? mbedtls_x509write_crt_set_issuer_name(&w, "CN=ipx") : rc;
    /* Nobody looks at the dates: the coat is trusted with nothing. */
    rc = rc == 0 ? mbedtls_x509write_crt_set_validity(&w, "20200101000000", "20491231235959") : rc;
    rc = rc == 0 ? mbedtls_x509write_crt_der(&w, der, sizeof(der), fill_random, rng) : rc;
    mbedtls_x509write_crt_free(&w);
    if (rc > 0) { /* it is written at the end */
        id->cert_len = (size_t)rc;
        memcpy(id->cert, der + sizeof(der) - id->cert_len, id->cert_len);
    }
    return rc;
}

static int write_key(mbedtls_pk_context *key, struct tls_identity *id)
{
    uint8_t der[TLS_KEY_MAX];
    int rc = mbedtls_pk_write_key_der(key, der, sizeof(der));
    if (rc > 0) {
        id->key_len = (size_t)rc;
        memcpy(id->key, der + sizeof(der) - id->key_len, id->key_len);
    }
    crypt_wipe(der, sizeof(der));
    return rc;
}

enum ipx_err tls_identity_make(struct rng *rng, struct tls_identity *ret)
{
    struct tls_identity made = {.cert_len = 0};
    mbedtls_pk_context key;
    mbedtls_pk_init(&key);
    int rc = mbedtls_pk_setup(&key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    if (rc == 0) {
        rc = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key), fill_random, rng);
    }
    if (rc == 0) {
        rc = write_cert(&key, rng, &made);
        rc = rc > 0 ? write_key(&key, &made) : -1;
    }
    mbedtls_pk_free(&key);
    if (rc > 0) {
        *ret = made;
    }
    crypt_wipe(&made, sizeof(made));
    return rc > 0 ? IPX_OK : IPX_CRYPTO;
}

/* --- life --- */

enum ipx_err tls_context_new(struct mem *mem, const struct tls_identity *identity,
                             struct tls_context **ret)
{
    struct tls_context *x = mem_alloc(mem, sizeof(*x));
    if (x == NULL) {
        return IPX_NO_MEMORY;
    }
    x->mem = mem;
    x->has_identity = identity != NULL;
    mbedtls_x509_crt_init(&x->cert);
    mbedtls_pk_init(&x->key);
    if (identity != NULL) {
        struct rng rng; /* 3.x blinds with it while it computes the public point */
        rng_init(&rng, crypt_hash(slice_of(identity->key, identity->key_len)).bytes);
        if (mbedtls_x509_crt_parse_der(&x->cert, identity->cert, identity->cert_len) != 0 ||
            parse_key(&x->key, identity, &rng) != 0) {
            tls_context_free(x);
            return IPX_MALFORMED;
        }
    }
    *ret = x;
    return IPX_OK;
}

void tls_context_free(struct tls_context *x)
{
    if (x != NULL) {
        mbedtls_x509_crt_free(&x->cert);
        mbedtls_pk_free(&x->key);
        mem_free(x->mem, x);
    }
}

static int take_sealed(void *user, unsigned char *out, size_t max)
{
    struct tls *t = user;
    size_t len = IPX_MIN(max, (size_t)(t->in_len - t->in_pos));
    if (len == 0) {
        return t->is_eof ? 0 : MBEDTLS_ERR_SSL_WANT_READ;
    }
    memcpy(out, t->in + t->in_pos, len);
    t->in_pos += (uint32_t)len;
    return (int)len;
}

static int give_sealed(void *user, const unsigned char *bytes, size_t len)
{
    struct tls *t = user;
    size_t n = IPX_MIN(len, (size_t)(TLS_OUT_MAX - t->out_len));
    if (n == 0) {
        return MBEDTLS_ERR_SSL_WANT_WRITE;
    }
    memcpy(t->out + t->out_len, bytes, n);
    t->out_len += (uint32_t)n;
    return (int)n;
}

static int configure(struct tls *t)
{
    int end = t->role == TLS_SERVER ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT;
    mbedtls_ssl_config *c = &t->config;
    int rc = mbedtls_ssl_config_defaults(c, end, MBEDTLS_SSL_TRANSPORT_STREAM,
                                         MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_rng(c, fill_random, &t->rng);
    mbedtls_ssl_conf_authmode(c, MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_ciphersuites(c, suites);
    limit_versions(c);
    limit_curves(c);
    if (rc == 0) { /* mbedTLS takes a list of char *, and writes none of it */
        rc = mbedtls_ssl_conf_alpn_protocols(c, (const char **)(uintptr_t)protocols);
    }
#if defined(MBEDTLS_SSL_SESSION_TICKETS) && defined(MBEDTLS_SSL_CLI_C)
    mbedtls_ssl_conf_session_tickets(c, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
#endif
    if (rc == 0 && t->role == TLS_SERVER) {
        rc = mbedtls_ssl_conf_own_cert(c, &t->context->cert, &t->context->key);
    }
    return rc == 0 ? mbedtls_ssl_setup(&t->ssl, c) : rc;
}

enum ipx_err tls_new(struct tls_context *x, enum tls_role role, uint64_t now_us, struct rng *rng,
                     struct tls **ret)
{
    if (role == TLS_SERVER && !x->has_identity) {
        return IPX_REFUSED;
    }
    if (!mem_charge(x->mem, TLS_LIBRARY_BYTES)) {
        return IPX_NO_MEMORY;
    }
    struct tls *t = mem_alloc(x->mem, sizeof(*t));
    if (t == NULL) {
        mem_discharge(x->mem, TLS_LIBRARY_BYTES);
        return IPX_NO_MEMORY;
    }
    uint8_t seed[32];
    t->context = x;
    t->role = role;
    t->state = TLS_STATE_HANDSHAKE;
    t->due_us = now_us + TLS_HANDSHAKE_US;
    rng_fill(rng, seed, sizeof(seed));
    rng_init(&t->rng, seed);
    crypt_wipe(seed, sizeof(seed));
    mbedtls_ssl_config_init(&t->config);
    mbedtls_ssl_init(&t->ssl);
    if (configure(t) != 0) {
        tls_free(t);
        return IPX_CRYPTO;
    }
    mbedtls_ssl_set_bio(&t->ssl, t, give_sealed, take_sealed, NULL);
    *ret = t;
    return IPX_OK;
}

void tls_free(struct tls *t)
{
    if (t != NULL) {
        struct mem *mem = t->context->mem;
        mbedtls_ssl_free(&t->ssl);
        mbedtls_ssl_config_free(&t->config);
        crypt_wipe(t, sizeof(*t));
        mem_free(mem, t);
        mem_discharge(mem, TLS_LIBRARY_BYTES);
    }
}

/* --- states --- */

static void end(struct tls *t, enum ipx_err why)
{
    if (t->state != TLS_STATE_CLOSED) {
        sm_move(&tls_state_table, &t->state, TLS_STATE_CLOSED);
        t->why = why;
        t->due_us = NEVER_US;
    }
}

static bool is_to_wait(int rc)
{
    return rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE;
}

/* What a call of mbedTLS that did not go well means. */
static void judge(struct tls *t, int rc)
{
    if (rc == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
        end(t, IPX_END);
    } else if (rc == 0 || rc == MBEDTLS_ERR_SSL_CONN_EOF) {
        end(t, IPX_CLOSED);
    } else if (!is_to_wait(rc)) {
        end(t, IPX_MALFORMED);
    }
}

void tls_advance(struct tls *t)
{
    if (t->state != TLS_STATE_HANDSHAKE) {
        return;
    }
    int rc = mbedtls_ssl_handshake(&t->ssl);
    if (rc != 0) {
        judge(t, rc);
        return;
    }
    const char *agreed = mbedtls_ssl_get_alpn_protocol(&t->ssl);
    if (agreed == NULL || strcmp(agreed, TLS_ALPN) != 0) {
        mbedtls_ssl_close_notify(&t->ssl);
        end(t, IPX_REFUSED);
        return;
    }
    sm_move(&tls_state_table, &t->state, TLS_STATE_OPEN);
    t->due_us = NEVER_US;
}

void tls_tick(struct tls *t, uint64_t now_us)
{
    if (now_us >= t->due_us) {
        end(t, IPX_TIMEOUT);
    }
}

uint64_t tls_deadline(const struct tls *t)
{
    return t->due_us;
}

/* --- bytes --- */

size_t tls_room(const struct tls *t)
{
    return TLS_IN_MAX - (t->in_len - t->in_pos);
}

size_t tls_recv(struct tls *t, struct slice sealed)
{
    size_t n = IPX_MIN(sealed.len, tls_room(t));
    if (t->in_pos > 0) {
        memmove(t->in, t->in + t->in_pos, t->in_len - t->in_pos);
        t->in_len -= t->in_pos;
        t->in_pos = 0;
    }
    memcpy(t->in + t->in_len, sealed.data, n);
    t->in_len += (uint32_t)n;
    return n;
}

void tls_on_eof(struct tls *t)
{
    t->is_eof = true;
}

size_t tls_read(struct tls *t, uint8_t *out, size_t max)
{
    if (t->state != TLS_STATE_OPEN && t->state != TLS_STATE_CLOSING) {
        return 0;
    }
    int rc = mbedtls_ssl_read(&t->ssl, out, max);
    if (rc > 0) {
        return (size_t)rc;
    }
    judge(t, rc);
    return 0;
}

size_t tls_write(struct tls *t, struct slice plain)
{
    size_t done = 0;
    while (t->state == TLS_STATE_OPEN && done < plain.len) {
        size_t room = TLS_OUT_MAX - t->out_len;
        if (room <= TLS_RECORD_OVERHEAD + TLS_CLOSE_ROOM) {
            break;
        }
        /* No longer than what there is room for: mbedTLS never keeps a half-written record. */
        size_t len = IPX_MIN(plain.len - done, room - TLS_RECORD_OVERHEAD - TLS_CLOSE_ROOM);
        int rc = mbedtls_ssl_write(&t->ssl, plain.data + done, len);
        if (rc <= 0) {
            end(t, IPX_MALFORMED);
            break;
        }
        done += (size_t)rc;
    }
    return done;
}

void tls_close(struct tls *t, uint64_t now_us)
{
    if (t->state == TLS_STATE_HANDSHAKE) {
        end(t, IPX_CLOSED);
    } else if (t->state == TLS_STATE_OPEN) {
        mbedtls_ssl_close_notify(&t->ssl); /* there is room: TLS_CLOSE_ROOM */
        sm_move(&tls_state_table, &t->state, TLS_STATE_CLOSING);
        t->due_us = now_us + TLS_CLOSE_US;
    }
}

struct slice tls_output(const struct tls *t)
{
    return slice_of(t->out + t->out_pos, t->out_len - t->out_pos);
}

void tls_sent(struct tls *t, size_t len)
{
    assert(len <= t->out_len - t->out_pos);
    t->out_pos += (uint32_t)len;
    if (t->out_pos == t->out_len) {
        t->out_pos = t->out_len = 0;
    }
}

enum tls_state tls_state_of(const struct tls *t)
{
    return (enum tls_state)t->state;
}

enum ipx_err tls_why(const struct tls *t)
{
    assert(t->state == TLS_STATE_CLOSED);
    return t->why;
}

void tls_check(const struct tls *t)
{
    assert(t->in_pos <= t->in_len && t->in_len <= TLS_IN_MAX);
    assert(t->out_pos <= t->out_len && t->out_len <= TLS_OUT_MAX);
    assert((t->state == TLS_STATE_CLOSED) == (t->why != IPX_OK));
    assert((t->state == TLS_STATE_HANDSHAKE || t->state == TLS_STATE_CLOSING) ==
           (t->due_us != NEVER_US));
    assert(t->role == TLS_CLIENT || t->context->has_identity);
}
