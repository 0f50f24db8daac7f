/* SPDX-License-Identifier: Apache-2.0 */
/* The whole: mass starts, partitions, churn, full zones, the end of memory. */
#include "gossip/gossip.h"

#include "gossip/event.h"
#include "tests/unit/gossip_net.h"

/* goals: one join seen by all in 0.5 s; 50 that start at once complete in < 2 s, always. */
TEST(gossip_gossip, mass_start)
{
    static const struct {
        unsigned n, n_runs, loss_permille;
        bool by_first;
        uint64_t max_us;
    } rows[] = {
        {3, 10, 0, true, US_PER_S / 2},   {10, 10, 0, false, US_PER_S / 2},
        {50, 3, 0, true, 2 * US_PER_S},   {50, 3, 0, false, 2 * US_PER_S},
        {50, 3, 20, false, 2 * US_PER_S}, {128, 1, 10, false, 2 * US_PER_S},
    };
    for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
        for (unsigned run = 0; run < rows[row].n_runs; run++) {
            struct net net;
            net_init(&net, rows[row].n, run + 1);
            net.is_checked = rows[row].n <= 10;
            net.loss_permille = rows[row].loss_permille;
            net_mass_start(&net, 100 * US_PER_MS, rows[row].by_first);
            CHECK(net_run(&net, net.now_us + rows[row].max_us, net_all_know_all));
            for (unsigned i = 0; i < net.n; i++) {
                CHECK_EQ(net.nodes[i].n_ups, rows[row].n - 1); /* each told once */
                CHECK_EQ(net.nodes[i].n_downs, 0);
                gossip_check(&net.nodes[i].g);
            }
            net_done(&net);
        }
    }
}

/* The 100th joins 99 that are calm. */
TEST(gossip_gossip, one_join)
{
    struct net net;
    net_init(&net, 100, 2);
    net.is_checked = false;
    net.n = 99;
    net_mass_start(&net, 100 * US_PER_MS, false);
    net_for(&net, 10 * US_PER_S);
    net.n = 100;
    net_start(&net, 99);
    net_join(&net, 99, 50);
    uint64_t begin_us = net.now_us;
    CHECK(net_run(&net, begin_us + US_PER_S / 2, net_all_know_all));
    net_done(&net);
}

static bool halves_know_themselves(const struct net *net)
{
    for (unsigned i = 0; i < net->n; i++) {
        if (gossip_n_live(&net->nodes[i].g) != net->n / 2) {
            return false;
        }
    }
    return true;
}

/* Class 37: cut in two for an hour, healed: whole within 30 s, the budget holds, nobody who died
 * meanwhile comes back. */
TEST(gossip_gossip, partition)
{
    struct net net;
    net_init(&net, 41, 3);
    net.is_checked = false;
    net.loss_permille = 2;
    net_mass_start(&net, 100 * US_PER_MS, false);
    net_for(&net, 5 * US_PER_S);
    net_stop(&net, 40);
    net_for(&net, 30 * US_PER_S);
    net.n = 40; /* the 41st is dead for good */
    for (unsigned i = 0; i < 40; i++) {
        net.nodes[i].group = (uint8_t)(i % 2);
    }
    CHECK(net_run(&net, net.now_us + 60 * US_PER_S, halves_know_themselves));
    net_for(&net, 3600 * US_PER_S);
    CHECK(halves_know_themselves(&net));
    uint64_t bytes = 0;
    for (unsigned i = 0; i < 40; i++) {
        net.nodes[i].group = 0;
        bytes -= net.nodes[i].bytes_out;
    }
    uint64_t begin_us = net.now_us;
    CHECK(net_run(&net, begin_us + 30 * US_PER_S, net_all_know_all));
    net_run(&net, begin_us + 30 * US_PER_S, NULL);
    CHECK(net_all_know_all(&net));
    for (unsigned i = 0; i < 40; i++) {
        bytes += net.nodes[i].bytes_out;
        gossip_check(&net.nodes[i].g);
        const struct gossip_member *dead = gossip_find(&net.nodes[i].g, &net.nodes[40].key.pk);
        CHECK(dead == NULL || !gossip_member_is_live(dead));
    }
    CHECK(bytes / 40 / 30 < 5000);
    net.n = 41;
    net_done(&net);
}

/* Nodes come and go; when it stops all agree, tombstones end after a day. */
TEST(gossip_gossip, churn)
{
    struct net net;
    net_init(&net, 16, 4);
    net.loss_permille = 20;
    net_mass_start(&net, 100 * US_PER_MS, false);
    for (unsigned k = 0; k < 60; k++) {
        unsigned i = 1 + (unsigned)rng_below(&net.rng, 15);
        if (net.nodes[i].is_up) {
            if (k % 3 == 0) {
                gossip_leave(&net.nodes[i].g, net.now_us);
                net_drain(&net, i);
            }
            net_stop(&net, i);
        } else {
            net_start(&net, i);
            net_join(&net, i, 0);
        }
        net_for(&net, rng_below(&net.rng, 4 * US_PER_S));
    }
    net_for(&net, 60 * US_PER_S);
    CHECK(net_all_know_all(&net));
    unsigned n_up = 0;
    for (unsigned i = 0; i < 16; i++) {
        n_up += net.nodes[i].is_up ? 1 : 0;
    }
    for (unsigned i = 0; i < 16; i++) {
        if (net.nodes[i].is_up) {
            CHECK_EQ(gossip_n_live(&net.nodes[i].g), n_up);
        }
    }
    CHECK(n_up < 16);
    CHECK(net.nodes[0].g.members.n > n_up);
    struct gossip *g = &net.nodes[0].g;
    g->keep_us = 0;
    gossip_tick(g, net.now_us); /* nothing is a day old yet */
    CHECK(g->members.n > n_up);
    for (struct gossip_member *m = gossip_members_next(&g->members, NULL); m != NULL;
         m = gossip_members_next(&g->members, m)) {
        m->changed_us = 0;
    }
    net.now_us += GOSSIP_TOMBSTONE_US;
    g->keep_us = 0;
    gossip_tick(g, net.now_us);
    CHECK_EQ(g->members.n, n_up);
    net_done(&net);
}

/* A zone that is full takes newcomers only for tombstones, and says nothing false. */
TEST(gossip_gossip, full)
{
    struct net net;
    net_init(&net, 8, 5);
    net.nodes[0].capacity = 5;
    for (unsigned i = 0; i < 8; i++) {
        net_start(&net, i);
    }
    for (unsigned i = 1; i < 8; i++) {
        net_join(&net, i, 0);
    }
    net_for(&net, 5 * US_PER_S);
    CHECK_EQ(net.nodes[0].g.members.n, 5);
    CHECK_EQ(gossip_n_live(&net.nodes[1].g), 8);
    unsigned n_known = 0;
    for (unsigned i = 1; i < 8; i++) {
        if (net_sees(&net, 0, i) && n_known++ == 0) {
            net_stop(&net, i);
        }
    }
    net_for(&net, 60 * US_PER_S);
    CHECK_EQ(gossip_n_live(&net.nodes[0].g), 5); /* another took the place */
    net_done(&net);
}

/* What rides on other packets reaches its receiver, and is counted as told. */
TEST(gossip_gossip, fill)
{
    struct net net;
    uint8_t body[GOSSIP_BODY_MAX];
    net_init(&net, 3, 6);
    net_mass_start(&net, 10 * US_PER_MS, true);
    net_for(&net, 3 * US_PER_S);
    struct gossip *g = &net.nodes[0].g;
    struct writer w = writer_of(body, sizeof(body));
    CHECK(!gossip_fill(g, net.now_us, &net.nodes[1].key.pk, &w)); /* nothing to say */
    gossip_set_addrs(g, net.now_us, &net.nodes[0].addr, 1, 33);
    CHECK(gossip_fill(g, net.now_us, &net.nodes[1].key.pk, &w));
    gossip_recv(&net.nodes[1].g, net.now_us, &net.nodes[0].facts, &net.nodes[0].addr,
                GOSSIP_TYPE_SPREAD, 0, writer_slice(&w));
    CHECK_EQ(gossip_find(&net.nodes[1].g, &net.nodes[0].key.pk)->record_seq, 33);
    w = writer_of(body, 10);
    CHECK(!gossip_fill(g, net.now_us, &net.nodes[2].key.pk, &w)); /* no room */
    CHECK(!w.failed);
    net_done(&net);
}

/* Malformed and foreign input is counted and changes nothing. */
TEST(gossip_gossip, noise)
{
    struct net net;
    uint8_t body[GOSSIP_BODY_MAX + 1];
    net_init(&net, 3, 7);
    net_mass_start(&net, 10 * US_PER_MS, true);
    net_for(&net, 3 * US_PER_S);
    struct gossip *g = &net.nodes[0].g;
    struct gossip_stats before = g->stats;
    for (unsigned i = 0; i < 2000; i++) {
        size_t len = rng_below(&net.rng, sizeof(body) + 1);
        rng_fill(&net.rng, body, len);
        gossip_recv(g, net.now_us, &net.nodes[1].facts, &net.nodes[1].addr, (uint8_t)(30 + i % 20),
                    i, slice_of(body, len));
        net_drain(&net, 0);
    }
    CHECK(g->stats.n_malformed + g->stats.n_refused - before.n_malformed - before.n_refused >=
          1900);
    gossip_recv(g, net.now_us, &net.nodes[0].facts, &net.nodes[0].addr, GOSSIP_TYPE_PING, 1,
                slice_of("\xa0", 1)); /* ourselves */
    struct gossip_action a;
    CHECK(!gossip_poll(g, &a));
    net_for(&net, 10 * US_PER_S);
    CHECK(net_all_know_all(&net));
    CHECK_EQ(net.nodes[0].n_downs, 0);
    net_done(&net);
}

/* Wherever memory ends: no crash, no leak, the invariant holds, and with memory back all is
 * learnt in the end. */
TEST(gossip_gossip, no_memory)
{
    for (uint64_t fail = 0; fail < 120; fail += fail < 20 ? 1 : 7) {
        struct net net;
        net_init(&net, 5, 8);
        for (unsigned i = 0; i < 4; i++) {
            net_start(&net, i);
            if (i > 0) {
                net_join(&net, i, 0);
            }
        }
        net_for(&net, 2 * US_PER_S);
        struct net_node *x = &net.nodes[4];
        struct rng rng;
        rng_init_int(&rng, 1);
        x->boot.generation = 1;
        struct gossip_config config = {.self = &x->facts,
                                       .chain = slice_of(x->chain, sizeof(x->chain)),
                                       .key = &x->key,
                                       .mesh = net.mesh,
                                       .boot = x->boot,
                                       .addrs = &x->addr,
                                       .n_addrs = 1,
                                       .mem = &x->mem,
                                       .rng = &rng,
                                       .now_us = net.now_us};
        x->mem.fail_after = fail;
        if (gossip_init(&x->g, &config) == IPX_OK) {
            x->is_up = true;
            net_join(&net, 4, 1);
            net_for(&net, 3 * US_PER_S);
            x->mem.fail_after = UINT64_MAX;
            net_for(&net, 30 * US_PER_S);
            CHECK(net_all_know_all(&net));
        }
        CHECK(fail > 0 || !x->is_up);
        net_done(&net);
    }
}

/* The same seed gives the same run, byte for byte. */
TEST(gossip_gossip, deterministic)
{
    uint64_t sums[2] = {0};
    for (unsigned run = 0; run < 2; run++) {
        struct net net;
        net_init(&net, 20, 9);
        net.loss_permille = 30;
        net_mass_start(&net, 100 * US_PER_MS, false);
        net_for(&net, 5 * US_PER_S);
        net_stop(&net, 3);
        net_for(&net, 30 * US_PER_S);
        for (unsigned i = 0; i < 20; i++) {
            sums[run] = sums[run] * 31 + net.nodes[i].n_out + 7 * net.nodes[i].bytes_out +
                        net.nodes[i].n_timer;
        }
        net_done(&net);
    }
    CHECK_EQ(sums[0], sums[1]);
}
