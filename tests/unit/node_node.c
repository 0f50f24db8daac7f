/* SPDX-License-Identifier: Apache-2.0 */
/* The whole node by itself: what it refuses at the start, and what it asks of the shell. Several
 * nodes together are in tests/sim and tests/scenario. */
#include "node/control.h"
#include "node/core.h"
#include "node/node.h"
#include "tests/harness.h"

#define WALL_MS INT64_C(1800000000000)

struct alone {
    struct mem mem;
    struct keys_new made;
    struct crypt_keypair root, issuer, node;
    struct node_config config;
    struct node *n;
    unsigned n_saves[NODE_SAVE_N];
    bool is_stopped;
    int code;
};

static void make_key(struct rng *r, struct crypt_keypair *ret)
{
    uint8_t seed[32];
    do {
        rng_fill(r, seed, sizeof(seed));
    } while (crypt_keypair_from_seed(seed, ret) != IPX_OK);
}

static void alone_init(struct alone *a)
{
    struct rng r;
    memset(a, 0, sizeof(*a));
    CHECK_OK(crypt_init());
    rng_init_int(&r, 7);
    mem_init(&a->mem, SIZE_MAX);
    make_key(&r, &a->root);
    make_key(&r, &a->issuer);
    make_key(&r, &a->node);
    struct keys_new_plan plan = {.root = &a->root,
                                 .issuer = &a->issuer,
                                 .node = &a->node,
                                 .lab = "bio",
                                 .name = "n0",
                                 .wall_ms = WALL_MS,
                                 .issuer_serial = 1,
                                 .node_serial = 2};
    CHECK_OK(keys_new_mesh(&plan, &a->made));
    struct ad_builder *b = ad_builder_new(&a->mem);
    CHECK_OK(ad_builder_finish(b, &a->config.ad));
    ad_builder_free(b);
    a->config.mem = &a->mem;
    a->config.version = "test";
    a->config.key = a->node;
    a->config.mesh = a->made.mesh;
    a->config.chain = slice_of(a->made.chain, a->made.chain_len);
    a->config.n_gates = 1;
    a->config.generation = 1;
    a->config.slots = 1;
    a->config.offers = true;
}

static void alone_done(struct alone *a)
{
    node_free(a->n);
    ad_unref(a->config.ad);
    CHECK_EQ(a->mem.used, 0);
}

static void drain(struct alone *a)
{
    struct node_action action;
    while (node_poll(a->n, &action)) {
        if (action.type == NODE_ACTION_SAVE) {
            a->n_saves[action.u.save.what]++;
        } else if (action.type == NODE_ACTION_STOP) {
            a->is_stopped = true;
            a->code = action.u.stop.code;
        }
    }
    node_check(a->n);
}

TEST(node_node, what_it_cannot_be_made_of_is_refused)
{
    struct alone a;
    alone_init(&a);
    struct node_config c = a.config;
    c.chain = SLICE_EMPTY; /* neither a member nor a ticket holder */
    CHECK_EQ(node_new(&c, &a.n), IPX_MALFORMED);
    c = a.config;
    c.accept = slice_text("job.lab ==");
    CHECK_EQ(node_new(&c, &a.n), IPX_MALFORMED);
    c = a.config;
    c.ticket = slice_text("ipxt1nonsense");
    CHECK(node_new(&c, &a.n) != IPX_OK);
    CHECK(a.n == NULL);
    alone_done(&a);
}

TEST(node_node, alone_it_is_a_member_and_sleeps_and_stops_when_told)
{
    struct alone a;
    alone_init(&a);
    CHECK_OK(node_new(&a.config, &a.n));
    node_start(a.n, US_PER_S, WALL_MS);
    drain(&a);
    CHECK(a.n->has_cores && !a.is_stopped);
    CHECK_EQ(gossip_n_live(&a.n->gossip), 1);
    unsigned n_wakes = 0; /* of ten minutes */
    uint64_t until = US_PER_S + 600 * US_PER_S;
    for (uint64_t due = node_deadline(a.n); due < until; due = node_deadline(a.n)) {
        node_tick(a.n, due);
        drain(&a);
        n_wakes++;
    }
    CHECK(n_wakes < 600);
    node_stop(a.n, until);
    drain(&a);
    for (int i = 0; i < 100 && !a.is_stopped; i++) {
        node_tick(a.n, node_deadline(a.n));
        drain(&a);
    }
    CHECK(a.is_stopped);
    CHECK_EQ(a.code, 0);
    alone_done(&a);
}

TEST(node_node, an_expired_certificate_stops_it_with_a_reason)
{
    struct alone a;
    alone_init(&a);
    CHECK_OK(node_new(&a.config, &a.n));
    node_start(a.n, US_PER_S, WALL_MS + 2 * CERT_ISSUER_LIFE_MS);
    drain(&a);
    CHECK(a.is_stopped);
    CHECK_EQ(a.code, 1);
    alone_done(&a);
}

TEST(node_node, without_memory_it_is_not_made_and_nothing_leaks)
{
    struct alone a;
    alone_init(&a);
    for (uint64_t after = 0; after < 64; after++) {
        struct node *n = NULL;
        a.mem.fail_after = after;
        enum ipx_err err = node_new(&a.config, &n);
        a.mem.fail_after = UINT64_MAX;
        if (err == IPX_OK) {
            node_free(n);
            break;
        }
        CHECK_EQ(err, IPX_NO_MEMORY);
    }
    alone_done(&a);
}
