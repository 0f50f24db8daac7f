/* SPDX-License-Identifier: Apache-2.0 */
/* A tunnel in hostile hands, between two whole nodes without datagrams: what waits is bounded, what
 * floods is dropped, what is no message ends the tunnel alone, and a ticket buys only admission. */
#include <stdio.h>

#include "node/core.h"
#include "tests/sim/world.h"

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                             \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static bool is_tunnelled(struct world *w, void *unused)
{
    (void)unused;
    return w->nodes[1].node != NULL && tunnels_is_up(w->nodes[1].node, &w->nodes[0].key.pk);
}

static struct stream *stream_of(struct world *w)
{
    const struct tunnel *t = index_find(&w->nodes[1].node->tunnels.by_peer, &w->nodes[0].key.pk);
    return t != NULL ? streams_find(w->nodes[1].node, t->stream) : NULL;
}

static void start(struct world *w, uint64_t seed)
{
    world_init(w, &(struct world_options){.seed = seed, .n_nodes = 2, .delay_us = 5000});
    w->nodes[1].is_udp_blocked = true;
    world_make_mesh(w, 200 * US_PER_MS);
}

/* Raw bytes of node 1 into its tunnel. */
static bool say(struct world *w, struct slice bytes)
{
    struct stream *s = stream_of(w);
    bool is_said = s != NULL && streams_write(w->nodes[1].node, s, bytes);
    world_drain(w, &w->nodes[1]);
    return is_said;
}

static int check_queue(struct world *w)
{
    struct node *n = w->nodes[1].node;
    uint8_t body[SESSION_BODY_MAX] = {0};
    struct session_message m = {.peer = w->nodes[0].key.pk,
                                .to = w->nodes[0].addr,
                                .type = 40,
                                .body = slice_of(body, sizeof(body))};
    size_t before = w->nodes[1].mem.used;
    for (int i = 0; i < 10000; i++) { /* 11 MB at once */
        CHECK(tunnels_send(n, &m));
    }
    CHECK(n->tunnels.n_dropped > 9000);
    CHECK(w->nodes[1].mem.used < before + 256 * 1024);
    world_drain(w, &w->nodes[1]);
    world_run(w, w->now_us + 20 * US_PER_S);
    CHECK(world_is_converged(w, NULL));
    return 0;
}

static int check_flood(struct world *w)
{
    uint8_t bytes[TUNNEL_MESSAGE_MAX];
    uint64_t before = w->nodes[0].node->tunnels.n_dropped;
    for (int i = 0; i < 2000; i++) {
        struct writer b = writer_of(bytes, sizeof(bytes));
        tunnel_put(&b, &(struct tunnel_message){.type = 36, .request_id = 1});
        CHECK(say(w, writer_slice(&b)));
    }
    world_run(w, w->now_us + US_PER_S);
    CHECK(w->nodes[0].node->tunnels.n_dropped >= before + 1400); /* all but 400 and 100 a second */
    world_run(w, w->now_us + 20 * US_PER_S);
    CHECK(world_is_converged(w, NULL));
    return 0;
}

static int check_garbage(struct world *w)
{
    uint8_t bytes[512];
    for (int i = 0; i < 50; i++) {
        CHECK(world_run_until(w, w->now_us + 120 * US_PER_S, is_tunnelled, NULL));
        rng_fill(&w->faults, bytes, sizeof(bytes));
        bytes[0] = i % 2 == 0 ? 64 : bytes[0]; /* at once no message, or after a while */
        (void)say(w, slice_of(bytes, sizeof(bytes)));
        world_run(w, w->now_us + 40 * US_PER_S);
        world_check(w);
    }
    CHECK(world_run_until(w, w->now_us + 60 * US_PER_S, is_tunnelled, NULL));
    world_run(w, w->now_us + 60 * US_PER_S);
    CHECK(world_is_converged(w, NULL));
    return 0;
}

/* Before it is admitted a ticket holder says what only members may: nothing of it is heard. */
static int check_ticket(struct world *w)
{
    uint8_t bytes[TUNNEL_MESSAGE_MAX];
    CHECK(world_run_until(w, w->now_us + 10 * US_PER_S, is_tunnelled, NULL));
    CHECK(!w->nodes[1].node->has_cores);
    const struct node *admitter = w->nodes[0].node;
    uint64_t before = admitter->tunnels.n_dropped;
    for (uint8_t type = 8; type < 64; type++) {
        struct writer b = writer_of(bytes, sizeof(bytes));
        tunnel_put(&b, &(struct tunnel_message){.type = type, .request_id = 1});
        CHECK(say(w, writer_slice(&b)));
    }
    CHECK(world_run_until(w, w->now_us + 10 * US_PER_S, world_is_converged, NULL));
    CHECK(admitter->tunnels.n_dropped == before + 56);
    return 0;
}

int main(void)
{
    static struct world w;
    int failed = 0;
    int (*const checks[])(struct world *) = {check_queue, check_flood, check_garbage};
    for (unsigned i = 0; i < ARRAY_LEN(checks); i++) {
        start(&w, 50 + i);
        world_run(&w, w.now_us + 10 * US_PER_S);
        failed |= !world_is_converged(&w, NULL) || checks[i](&w);
        world_check(&w);
        world_done(&w);
    }
    start(&w, 60);
    failed |= check_ticket(&w);
    world_check(&w);
    world_done(&w);
    return failed;
}
