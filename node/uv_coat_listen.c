/* SPDX-License-Identifier: Apache-2.0 */
/* What the coats of the shell share, and the port where strangers may begin one. */
#include <stdlib.h>

#include "node/os_coat.h"
#include "node/os_entropy.h"
#include "node/uv_coat.h"

static void on_closed_nothing(uv_handle_t *h)
{
    (void)h; /* embedded, freed with the shell */
}

enum ipx_err shell_coats_make(struct shell *s, const struct tls_identity *identity)
{
    uint8_t seed[32], secret[16];
    struct shell_coats *x = mem_alloc(s->mem, sizeof(*x));
    if (x == NULL) {
        return IPX_NO_MEMORY;
    }
    enum ipx_err err = tls_context_new(s->mem, identity, &x->context);
    if (err != IPX_OK) {
        mem_free(s->mem, x);
        return err;
    }
    os_entropy(seed, sizeof(seed));
    os_entropy(secret, sizeof(secret));
    rng_init(&x->rng, seed);
    buckets_init(&x->strangers, secret);
    list_init(&x->handshakes);
    list_init(&x->steps);
    uv_timer_init(&s->loop, &x->timer);
    x->timer.data = s;
    setenv("UV_THREADPOOL_SIZE", "1", 1); /* of objects of one context one steps at a time */
    s->coats = x;
    return IPX_OK;
}

void shell_coats_free(struct shell *s)
{
    struct shell_coats *x = s->coats;
    if (x != NULL) {
        assert(x->n_live == 0);
        tls_context_free(x->context);
        crypt_wipe(x, sizeof(*x));
        mem_free(s->mem, x);
        s->coats = NULL;
    }
}

static void on_coat(uv_stream_t *listener, int status)
{
    struct shell *s = listener->data;
    struct addr from;
    struct shell_conn *c = status == 0 ? shell_conn_accepted(s, listener, &from) : NULL;
    if (c == NULL) {
        return;
    }
    uint64_t now = shell_now_us(s);
    if (s->coats->n_handshakes >= COATS_HANDSHAKES_MAX ||
        !buckets_have(&s->coats->strangers, now, &from)) {
        shell_conn_destroy(c);
        return;
    }
    buckets_take(&s->coats->strangers, now, &from);
    shell_coat_begin(c, &from);
}

enum ipx_err shell_listen_coat(struct shell *s, const struct addr *want, struct addr *ret)
{
    struct tls_identity identity = {.cert_len = 0};
    struct sockaddr_storage sa;
    int len = sizeof(sa);
    enum ipx_err err = os_coat_identity(s->home, s->mem, &identity);
    err = err == IPX_OK ? shell_coats_make(s, &identity) : err;
    crypt_wipe(&identity, sizeof(identity));
    if (err != IPX_OK) {
        return err;
    }
    uv_tcp_t *l = &s->coats->listener;
    addr_to_sockaddr(want, &sa);
    uv_tcp_init(&s->loop, l);
    l->data = s;
    int rc = uv_tcp_bind(l, (struct sockaddr *)&sa, 0);
    rc = rc == 0 ? uv_listen((uv_stream_t *)l, SHELL_BACKLOG, on_coat) : rc;
    rc = rc == 0 ? uv_tcp_getsockname(l, (struct sockaddr *)&sa, &len) : rc;
    if (rc != 0) {
        uv_close((uv_handle_t *)l, on_closed_nothing);
        return rc == UV_EADDRINUSE ? IPX_EXISTS : IPX_UNREACHABLE;
    }
    addr_from_sockaddr((struct sockaddr *)&sa, ret);
    return IPX_OK;
}
