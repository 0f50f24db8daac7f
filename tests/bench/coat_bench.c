/* SPDX-License-Identifier: Apache-2.0 */
/* What a coat costs: CPU of a handshake at each end, and of bytes through it, one core. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "node/tls.h"

#define HANDSHAKES 200
#define BULK ((size_t)256 << 20)

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void move(struct tls *from, struct tls *to)
{
    struct slice out = tls_output(from);
    tls_sent(from, tls_recv(to, out));
}

/* Seconds of one step of an end; the longest is what a reactor would stand still for. */
static double step(struct tls *t, double *longest)
{
    double began = cpu_s();
    tls_advance(t);
    double took = cpu_s() - began;
    *longest = took > *longest ? took : *longest;
    return took;
}

int main(void)
{
    struct mem mem;
    struct rng rng;
    struct tls_identity identity;
    struct tls_context *x;
    struct tls *client = NULL, *server = NULL;
    double at_client = 0, at_server = 0, longest = 0;
    mem_init(&mem, SIZE_MAX);
    rng_init_int(&rng, 1);
    double began = cpu_s();
    if (tls_identity_make(&rng, &identity) != IPX_OK ||
        tls_context_new(&mem, &identity, &x) != IPX_OK) {
        return 1;
    }
    printf("certificate: %.2f ms\n", (cpu_s() - began) * 1e3);
    for (int i = 0; i < HANDSHAKES; i++) {
        tls_free(client);
        tls_free(server);
        if (tls_new(x, TLS_CLIENT, 1, &rng, &client) != IPX_OK ||
            tls_new(x, TLS_SERVER, 1, &rng, &server) != IPX_OK) {
            return 1;
        }
        while (tls_state_of(client) != TLS_STATE_OPEN) {
            at_client += step(client, &longest);
            move(client, server);
            at_server += step(server, &longest);
            move(server, client);
        }
    }
    printf("handshake: client %.2f ms, server %.2f ms, longest step %.2f ms (CPU)\n",
           at_client / HANDSHAKES * 1e3, at_server / HANDSHAKES * 1e3, longest * 1e3);
    static uint8_t plain[65536], got[65536];
    size_t sent = 0, received = 0, n;
    began = cpu_s();
    while (received < BULK) {
        sent += tls_write(client, slice_of(plain, sizeof(plain)));
        move(client, server);
        while ((n = tls_read(server, got, sizeof(got))) > 0) {
            received += n;
        }
    }
    printf("bytes: %.0f MB/s, seal and open on one core\n",
           (double)received / 1e6 / (cpu_s() - began));
    tls_free(client);
    tls_free(server);
    tls_context_free(x);
    return sent >= received && mem.used == 0 ? 0 : 1;
}
