/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a stranger into either end of a coat, and a handshake of two ends on whose way bytes
 * are changed. First byte: which; then the bytes, or edits (stream and offset u16, xor u8). */
#include <stdint.h>

#include "node/tls.h"

#define EDITS_MAX 8

struct edit {
    bool is_to_server;
    uint16_t at;
    uint8_t flip;
};

struct way { /* from one end to the other */
    struct tls *from, *to;
    bool is_to_server;
    size_t passed;
};

static struct tls_identity identity;

static void drain(struct tls *t)
{
    uint8_t plain[1024];
    size_t n;
    tls_advance(t);
    tls_check(t);
    while ((n = tls_read(t, plain, sizeof(plain))) > 0) {
        assert(tls_state_of(t) != TLS_STATE_HANDSHAKE);
    }
    tls_check(t);
}

static void feed_raw(struct tls *t, const uint8_t *data, size_t size)
{
    drain(t);
    while (size > 0 && tls_state_of(t) != TLS_STATE_CLOSED) {
        tls_sent(t, tls_output(t).len);
        size_t n = tls_recv(t, slice_of(data, IPX_MIN(size, (size_t)100)));
        if (n == 0) {
            break;
        }
        data += n;
        size -= n;
        drain(t);
        assert(tls_state_of(t) != TLS_STATE_OPEN); /* nobody guesses a handshake */
    }
    tls_on_eof(t);
    drain(t);
}

static size_t pass(struct way *w, const struct edit *edits, size_t n_edits)
{
    struct slice out = tls_output(w->from);
    uint8_t bytes[TLS_OUT_MAX];
    memcpy(bytes, out.data, out.len);
    for (size_t i = 0; i < n_edits; i++) {
        if (edits[i].is_to_server == w->is_to_server && edits[i].at >= w->passed &&
            edits[i].at - w->passed < out.len) {
            bytes[edits[i].at - w->passed] ^= edits[i].flip;
        }
    }
    size_t n = tls_recv(w->to, slice_of(bytes, out.len));
    tls_sent(w->from, n);
    w->passed += n;
    drain(w->to);
    return n;
}

static void feed_edits(struct tls *client, struct tls *server, const uint8_t *data, size_t size)
{
    struct edit edits[EDITS_MAX];
    size_t n = 0;
    for (; n < EDITS_MAX && size >= 3; n++, data += 3, size -= 3) {
        edits[n] = (struct edit){.is_to_server = (data[0] & 0x80) != 0,
                                 .at = (uint16_t)((data[0] & 0x07) << 8 | data[1]),
                                 .flip = data[2]};
    }
    struct way up = {.from = client, .to = server, .is_to_server = true};
    struct way down = {.from = server, .to = client};
    drain(client);
    for (int turns = 0; turns < 20; turns++) {
        size_t moved = pass(&up, edits, n);
        moved += pass(&down, edits, n);
        if (moved == 0) {
            break;
        }
        tls_write(client, slice_text("hello"));
        tls_write(server, slice_text("hello"));
    }
    tls_close(client, 2);
    pass(&up, edits, n);
    tls_on_eof(server);
    drain(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    struct rng rng;
    struct tls_context *context;
    struct tls *client, *server;
    if (size < 2 || size > 20000) {
        return 0;
    }
    rng_init_int(&rng, 1);
    if (identity.cert_len == 0 && tls_identity_make(&rng, &identity) != IPX_OK) {
        return 0;
    }
    mem_init(&mem, SIZE_MAX);
    if (tls_context_new(&mem, &identity, &context) != IPX_OK ||
        tls_new(context, TLS_CLIENT, 1, &rng, &client) != IPX_OK ||
        tls_new(context, TLS_SERVER, 1, &rng, &server) != IPX_OK) {
        assert(false);
        return 0;
    }
    if (data[0] % 3 == 2) {
        feed_edits(client, server, data + 1, size - 1);
    } else {
        feed_raw(data[0] % 3 == 0 ? server : client, data + 1, size - 1);
    }
    tls_free(client);
    tls_free(server);
    tls_context_free(context);
    assert(mem.used == 0);
    return 0;
}
