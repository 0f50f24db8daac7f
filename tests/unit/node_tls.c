/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include <malloc.h>
#include <mbedtls/ssl.h>

#include "node/tls.h"

#define T0 (100 * US_PER_S)

struct pair {
    struct mem mem;
    struct rng rng;
    struct tls_identity identity;
    struct tls_context *context;
    struct tls *client, *server;
};

static void pair_init(struct pair *p, uint64_t seed)
{
    mem_init(&p->mem, SIZE_MAX);
    rng_init_int(&p->rng, seed);
    CHECK_OK(tls_identity_make(&p->rng, &p->identity));
    CHECK_OK(tls_context_new(&p->mem, &p->identity, &p->context));
    CHECK_OK(tls_new(p->context, TLS_CLIENT, T0, &p->rng, &p->client));
    CHECK_OK(tls_new(p->context, TLS_SERVER, T0, &p->rng, &p->server));
}

static void pair_done(struct pair *p)
{
    tls_free(p->client);
    tls_free(p->server);
    tls_context_free(p->context);
    CHECK_EQ(p->mem.used, 0);
    CHECK_EQ(p->mem.n_live, 0);
}

/* Moves what one end has to say to the other, `step` bytes at a time; how many. */
static size_t move(struct tls *from, struct tls *to, size_t step)
{
    size_t moved = 0;
    for (;;) {
        struct slice out = tls_output(from);
        size_t n = tls_recv(to, slice_of(out.data, IPX_MIN(out.len, step)));
        if (n == 0) {
            return moved;
        }
        tls_sent(from, n);
        moved += n;
        tls_advance(to);
        tls_check(from);
        tls_check(to);
        if (tls_state_of(to) == TLS_STATE_OPEN || tls_state_of(to) == TLS_STATE_CLOSED) {
            return moved;
        }
    }
}

static void shake(struct pair *p, size_t step)
{
    tls_advance(p->client);
    size_t moved = 1;
    while (moved > 0) {
        moved = move(p->client, p->server, step);
        moved += move(p->server, p->client, step);
        if (tls_state_of(p->client) == TLS_STATE_OPEN &&
            tls_state_of(p->server) == TLS_STATE_OPEN) {
            return;
        }
    }
}

/* Sends `len` bytes of a pattern from one end to the other and looks at each. */
static void carry(struct tls *from, struct tls *to, size_t len, size_t step)
{
    static uint8_t plain[200000], got[20000];
    size_t sent = 0, received = 0;
    assert(len <= sizeof(plain));
    for (size_t i = 0; i < len; i++) {
        plain[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    while (received < len) {
        size_t before = sent + received, n;
        sent += tls_write(from, slice_of(plain + sent, len - sent));
        before += move(from, to, step) > 0 ? SIZE_MAX / 2 : 0;
        while ((n = tls_read(to, got, sizeof(got))) > 0) {
            CHECK(received + n <= len);
            CHECK_MEM(got, plain + received, n);
            received += n;
        }
        CHECK(before != sent + received); /* it goes on */
        if (before == sent + received) {
            return;
        }
    }
    CHECK_EQ(sent, len);
}

TEST(node_tls, handshake_data_and_close_in_segments_of_any_size)
{
    const size_t steps[] = {1, 7, 333, 65536};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct pair p;
        uint8_t none[8];
        pair_init(&p, i);
        CHECK_EQ(tls_deadline(p.client), T0 + TLS_HANDSHAKE_US);
        shake(&p, steps[i]);
        CHECK_EQ(tls_state_of(p.client), TLS_STATE_OPEN);
        CHECK_EQ(tls_state_of(p.server), TLS_STATE_OPEN);
        CHECK_EQ(tls_deadline(p.server), NEVER_US);
        carry(p.client, p.server, steps[i] == 1 ? 3000 : 200000, steps[i]);
        carry(p.server, p.client, 1, steps[i]);
        carry(p.server, p.client, 40000, steps[i]);
        tls_close(p.client, T0);
        CHECK_EQ(tls_state_of(p.client), TLS_STATE_CLOSING);
        CHECK_EQ(tls_deadline(p.client), T0 + TLS_CLOSE_US);
        CHECK_EQ(tls_write(p.client, slice_text("late")), 0);
        while (tls_state_of(p.server) == TLS_STATE_OPEN) {
            CHECK(move(p.client, p.server, steps[i]) > 0);
            CHECK_EQ(tls_read(p.server, none, sizeof(none)), 0);
        }
        CHECK_EQ(tls_why(p.server), IPX_END);
        CHECK_EQ(tls_deadline(p.server), NEVER_US);
        tls_tick(p.client, T0 + TLS_CLOSE_US);
        CHECK_EQ(tls_why(p.client), IPX_TIMEOUT);
        pair_done(&p);
    }
}

TEST(node_tls, the_end_of_the_connection_alone_is_a_truncation)
{
    struct pair p;
    uint8_t got[64];
    pair_init(&p, 1);
    shake(&p, 4096);
    CHECK_EQ(tls_write(p.client, slice_text("last words")), 10);
    CHECK(move(p.client, p.server, 4096) > 0);
    tls_on_eof(p.server);
    CHECK_EQ(tls_read(p.server, got, sizeof(got)), 10); /* what came before is told */
    CHECK_EQ(tls_read(p.server, got, sizeof(got)), 0);
    CHECK_EQ(tls_why(p.server), IPX_CLOSED);
    CHECK_EQ(tls_write(p.client, slice_text("half a record")), 13);
    tls_on_eof(p.client);
    CHECK_EQ(tls_read(p.client, got, sizeof(got)), 0);
    CHECK_EQ(tls_why(p.client), IPX_CLOSED);
    pair_done(&p);

    pair_init(&p, 2); /* in the handshake, after the client's first flight */
    tls_advance(p.client);
    CHECK(move(p.client, p.server, 4096) > 0);
    tls_on_eof(p.server);
    tls_advance(p.server);
    CHECK_EQ(tls_why(p.server), IPX_CLOSED);
    tls_close(p.client, T0);
    CHECK_EQ(tls_why(p.client), IPX_CLOSED);
    pair_done(&p);
}

TEST(node_tls, a_changed_bit_of_data_ends_it)
{
    for (size_t at = 0; at < 40; at++) {
        struct pair p;
        uint8_t got[64], sealed[128];
        pair_init(&p, at);
        shake(&p, 4096);
        CHECK_EQ(tls_write(p.server, slice_text("0123456789")), 10);
        struct slice out = tls_output(p.server);
        CHECK(out.len > 30 && out.len < sizeof(sealed));
        memcpy(sealed, out.data, out.len);
        sealed[at % out.len] ^= 1;
        CHECK_EQ(tls_recv(p.client, slice_of(sealed, out.len)), out.len);
        CHECK_EQ(tls_read(p.client, got, sizeof(got)), 0);
        if (tls_state_of(p.client) == TLS_STATE_OPEN) {
            CHECK(at % out.len == 3 ||
                  at % out.len == 4); /* the length: it waits for bytes that never come */
            tls_on_eof(p.client);
            CHECK_EQ(tls_read(p.client, got, sizeof(got)), 0);
        }
        CHECK_EQ(tls_state_of(p.client), TLS_STATE_CLOSED);
        CHECK(tls_why(p.client) != IPX_END);
        pair_done(&p);
    }
}

TEST(node_tls, strangers_get_an_alert_at_most)
{
    uint8_t zeros[2000] = {0}, noise[2000], init[400] = {0, 254, 0x11, 0x22};
    struct rng rng;
    rng_init_int(&rng, 5);
    rng_fill(&rng, noise, sizeof(noise));
    const uint8_t huge[] = {22, 3, 1, 0xff, 0xff, 1, 0, 0xff, 0xfb, 3, 3};
    const struct slice lines[] = {
        slice_text("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        slice_of(zeros, sizeof(zeros)),
        slice_of(noise, sizeof(noise)),
        slice_of(init, sizeof(init)),
        slice_of(huge, sizeof(huge)),
    };
    for (size_t i = 0; i < 2 * ARRAY_LEN(lines); i++) {
        struct pair p;
        uint8_t got[16];
        struct slice line = lines[i / 2];
        pair_init(&p, i);
        struct tls *t = i % 2 == 0 ? p.server : p.client;
        tls_advance(t);
        tls_sent(t, tls_output(t).len); /* a client's hello */
        CHECK_EQ(tls_recv(t, line), line.len);
        tls_advance(t);
        CHECK(tls_output(t).len <= 7); /* header and an alert of two bytes */
        CHECK_EQ(tls_read(t, got, sizeof(got)), 0);
        CHECK_EQ(tls_write(t, slice_text("x")), 0);
        tls_on_eof(t);
        tls_advance(t);
        CHECK_EQ(tls_state_of(t), TLS_STATE_CLOSED);
        tls_check(t);
        pair_done(&p);
    }
}

/* --- clients that are not ours --- */

struct stranger {
    struct tls *server;
    struct rng rng;
    mbedtls_ssl_config config;
    mbedtls_ssl_context ssl;
};

static int draw(void *user, unsigned char *out, size_t len)
{
    rng_fill(user, out, len);
    return 0;
}

static int to_server(void *user, const unsigned char *bytes, size_t len)
{
    struct stranger *s = user;
    size_t n = tls_recv(s->server, slice_of(bytes, len));
    return n == 0 ? MBEDTLS_ERR_SSL_WANT_WRITE : (int)n;
}

static int from_server(void *user, unsigned char *out, size_t max)
{
    struct stranger *s = user;
    tls_advance(s->server);
    struct slice from = tls_output(s->server);
    size_t n = IPX_MIN(from.len, max);
    if (n == 0) {
        return tls_state_of(s->server) == TLS_STATE_CLOSED ? 0 : MBEDTLS_ERR_SSL_WANT_READ;
    }
    memcpy(out, from.data, n);
    tls_sent(s->server, n);
    return (int)n;
}

/* How the server sees a client that offers `alpn` and `suites` (NULL: mbedTLS's own). */
static enum ipx_err visit(const char **alpn, const int *suites)
{
    struct pair p;
    struct stranger s;
    pair_init(&p, 9);
    s.server = p.server;
    rng_init_int(&s.rng, 10);
    mbedtls_ssl_config_init(&s.config);
    mbedtls_ssl_init(&s.ssl);
    CHECK_EQ(mbedtls_ssl_config_defaults(&s.config, MBEDTLS_SSL_IS_CLIENT,
                                         MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT),
             0);
    mbedtls_ssl_conf_rng(&s.config, draw, &s.rng);
    mbedtls_ssl_conf_authmode(&s.config, MBEDTLS_SSL_VERIFY_NONE);
    if (alpn != NULL) {
        CHECK_EQ(mbedtls_ssl_conf_alpn_protocols(&s.config, alpn), 0);
    }
    if (suites != NULL) {
        mbedtls_ssl_conf_ciphersuites(&s.config, suites);
    }
    CHECK_EQ(mbedtls_ssl_setup(&s.ssl, &s.config), 0);
    mbedtls_ssl_set_bio(&s.ssl, &s, to_server, from_server, NULL);
    int rc = MBEDTLS_ERR_SSL_WANT_READ;
    for (int turns = 0;
         turns < 100 && (rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE);
         turns++) {
        rc = mbedtls_ssl_handshake(&s.ssl);
    }
    tls_advance(p.server);
    enum ipx_err err = tls_state_of(p.server) == TLS_STATE_OPEN ? IPX_OK : tls_why(p.server);
    CHECK_EQ(tls_write(p.server, slice_text("x")), err == IPX_OK);
    mbedtls_ssl_free(&s.ssl);
    mbedtls_ssl_config_free(&s.config);
    pair_done(&p);
    return err;
}

TEST(node_tls, alpn_and_suites_are_ours_or_none)
{
    const char *ours[] = {"h2", TLS_ALPN, NULL}, *web[] = {"h2", "http/1.1", NULL};
    const int cbc[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, 0};
    const int gcm[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, 0};
    CHECK_EQ(visit(ours, NULL), IPX_OK);
    CHECK_EQ(visit(ours, gcm), IPX_OK);
    CHECK_EQ(visit(ours, cbc), IPX_MALFORMED);
    CHECK_EQ(visit(web, NULL), IPX_MALFORMED);
    CHECK_EQ(visit(NULL, NULL), IPX_REFUSED);
}

TEST(node_tls, bounds)
{
    struct pair p;
    uint8_t flood[TLS_IN_MAX + 100] = {22, 3, 3, 0x3f, 0};
    struct tls *t;
    pair_init(&p, 3);
    CHECK_EQ(tls_recv(p.server, slice_of(flood, sizeof(flood))), TLS_IN_MAX);
    CHECK_EQ(tls_room(p.server), 0);
    CHECK_EQ(tls_recv(p.server, slice_of(flood, 1)), 0);
    tls_tick(p.client, T0 + TLS_HANDSHAKE_US - 1);
    CHECK_EQ(tls_state_of(p.client), TLS_STATE_HANDSHAKE);
    tls_tick(p.client, T0 + TLS_HANDSHAKE_US);
    CHECK_EQ(tls_why(p.client), IPX_TIMEOUT);
    for (uint64_t n = 0; n < 2; n++) {
        p.mem.fail_after = n;
        CHECK_EQ(tls_new(p.context, TLS_CLIENT, T0, &p.rng, &t), IPX_NO_MEMORY);
    }
    p.mem.fail_after = 0;
    struct tls_context *bare = NULL;
    CHECK_EQ(tls_context_new(&p.mem, NULL, &bare), IPX_NO_MEMORY);
    p.mem.fail_after = UINT64_MAX;
    CHECK_OK(tls_context_new(&p.mem, NULL, &bare));
    CHECK_EQ(tls_new(bare, TLS_SERVER, T0, &p.rng, &t), IPX_REFUSED);
    tls_context_free(bare);
    p.identity.cert[p.identity.cert_len / 4] ^= 0xff;
    p.identity.cert_len /= 2;
    CHECK_EQ(tls_context_new(&p.mem, &p.identity, &bare), IPX_MALFORMED);
    pair_done(&p);
    /* A writer that nobody drains is told so. */
    pair_init(&p, 4);
    shake(&p, 4096);
    static uint8_t much[100000];
    size_t n = tls_write(p.client, slice_of(much, sizeof(much)));
    CHECK(n > TLS_OUT_MAX - 512 && n < TLS_OUT_MAX);
    CHECK_EQ(tls_write(p.client, slice_of(much, sizeof(much))), 0);
    tls_close(p.client, T0); /* and still can close */
    CHECK_EQ(tls_state_of(p.client), TLS_STATE_CLOSING);
    pair_done(&p);
}

/* What the library takes from its own allocator is what we charge for it: never less. */
TEST(node_tls, the_library_s_memory_is_charged)
{
    struct pair p;
    pair_init(&p, 6);
    shake(&p, 4096); /* what is made once is there now */
    tls_free(p.client);
    tls_free(p.server);
    size_t ours = p.mem.used, before = mallinfo2().uordblks;
    CHECK_OK(tls_new(p.context, TLS_CLIENT, T0, &p.rng, &p.client));
    CHECK_OK(tls_new(p.context, TLS_SERVER, T0, &p.rng, &p.server));
    size_t made = mallinfo2().uordblks - before;
    tls_advance(p.client);
    move(p.client, p.server, 4096);
    size_t halfway = mallinfo2().uordblks - before;
    shake(&p, 4096);
    size_t open = mallinfo2().uordblks - before, charged = p.mem.used - ours;
    printf("a coat: made %zu, in the handshake %zu, open %zu bytes; charged %zu\n", made / 2,
           halfway / 2, open / 2, charged / 2);
    CHECK(made <= charged && halfway <= charged && open <= charged);
    pair_done(&p);
}
