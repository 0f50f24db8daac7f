/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a link costs: messages through mux, records and mux of the other end, on one core, both
 * ends counted. Prints one line a case: suite, message size, GB/s, messages a second.
 *
 * usage: link_bench
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/link_steps.h"

#define WRITE_MAX 65536 /* bytes of one write on the connection */

static struct lf f;
static uint8_t wire[WRITE_MAX];
static uint8_t payload[65536];

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Moves what end `i` has to say to the other end; returns how much. */
static size_t move(int i)
{
    size_t n = link_output(f.ends[i].link, f.now_us, wire, sizeof(wire));
    if (n > 0) {
        link_recv(f.ends[1 - i].link, f.now_us, slice_of(wire, n));
        lf_drain(&f, 1 - i);
    }
    lf_drain(&f, i);
    return n;
}

static void run(size_t size, size_t total)
{
    uint32_t id = lf_open(&f, 0);
    struct mux *m = link_mux(f.ends[0].link);
    size_t sent = 0, n_messages = 0;
    f.ends[1].n_data = 0;
    double from = seconds();
    while (f.ends[1].n_data < total) {
        while (sent < total && mux_send_message(m, id, slice_of(payload, size), SLICE_EMPTY)) {
            sent += size;
            n_messages++;
        }
        size_t n = move(0) + move(1);
        assert(n > 0);
    }
    double took = seconds() - from;
    printf("%-10s %6zu B  %6.2f GB/s  %10.0f messages/s\n",
           link_is_local(f.ends[0].link)                        ? "local"
           : link_suite(f.ends[0].link) == CRYPT_SUITE_CHACHA20 ? "chacha20"
                                                                : "aes256gcm",
           size, (double)total / took / 1e9, (double)n_messages / took);
    mux_reset(m, id, IPX_CLOSED);
    move(0);
}

/* One message there and one back, each in a record of its own. */
static void ping_pong(size_t size, size_t n)
{
    uint32_t id = lf_open(&f, 0);
    double from = seconds();
    for (size_t i = 0; i < n; i++) {
        int who = (int)(i & 1);
        bool is_taken =
            mux_send_message(link_mux(f.ends[who].link), id, slice_of(payload, size), SLICE_EMPTY);
        assert(is_taken);
        (void)move(who);
    }
    printf("%-10s %6zu B  one message a record:    %10.0f messages/s\n", "", size,
           (double)n / (seconds() - from));
    mux_reset(link_mux(f.ends[0].link), id, IPX_CLOSED);
    move(0);
}

static void handshakes(size_t n)
{
    double from = seconds();
    for (size_t i = 0; i < n; i++) {
        lf_connect(&f, &f.fx.ada.pk);
        while (move(0) + move(1) > 0) {
        }
        link_free(f.ends[0].link);
        link_free(f.ends[1].link);
    }
    printf("handshake  %.3f ms, both ends\n", (seconds() - from) * 1e3 / (double)n);
}

int main(void)
{
    static const size_t sizes[] = {65536, 16384, 1000, 100};
    lf_init(&f, 1);
    handshakes(300);
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 1) {
            f.hosts[0].self.suites = UINT32_C(1) << CRYPT_SUITE_CHACHA20;
        }
        if (kind == 2) {
            lf_local(&f);
        } else {
            lf_connect(&f, &f.fx.ada.pk);
        }
        while (move(0) + move(1) > 0) {
        }
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            run(sizes[i], sizes[i] >= 16384 ? (size_t)1 << 30 : (size_t)200 << 20);
        }
        ping_pong(100, 400000);
        link_free(f.ends[0].link);
        link_free(f.ends[1].link);
    }
    f.ends[0].link = f.ends[1].link = NULL;
    lf_done(&f);
    return 0;
}
