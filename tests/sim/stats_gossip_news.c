/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gossip table, news: how soon all know of a join, a start of many, an ad, the end of a
 * partition, and what a calm zone costs.
 */
#define IPX_TEST_CHECKS
#include "tests/sim/stats.h"
#include "tests/unit/gossip_zone.h"

static void zone(struct net *net, unsigned n, uint64_t seed)
{
    net_init(net, n, seed);
    net->is_checked = false;
    net->delay_us = 500;
    net->jitter_us = 1500;
    if (n > 512) {
        net_shorten(net, 72);
    }
}

static unsigned n_downs(const struct net *net)
{
    unsigned n = 0;
    for (unsigned i = 0; i < net->n; i++) {
        n += net->nodes[i].n_downs;
    }
    return n;
}

/* --- join --- */

static void join_rows(struct stats *s)
{
    static const struct {
        unsigned n;
        const char *what;
    } rows[] = {{30, "one join seen by all, worst run, N = 30"},
                {128, "one join seen by all, worst run, N = 128"},
                {512, "one join seen by all, worst run, N = 512"}};
    unsigned n_seeds = s->is_quick ? 2 : 5;
    for (unsigned row = 0; row < (s->is_quick ? 2 : ARRAY_LEN(rows)); row++) {
        uint64_t worst_us = 0;
        for (unsigned seed = 1; seed <= n_seeds; seed++) {
            struct net net;
            zone(&net, rows[row].n, seed);
            net.n--;
            net_settle(&net);
            net_for(&net, 12 * US_PER_S);
            net.n++;
            uint64_t begin_us = net.now_us;
            net_start(&net, net.n - 1);
            net_join(&net, net.n - 1, (unsigned)rng_below(&net.rng, net.n - 1));
            net_run(&net, begin_us + 30 * US_PER_S, net_all_know_all);
            worst_us = IPX_MAX(worst_us, net.now_us - begin_us);
            net_done(&net);
        }
        stats_add(s, &(struct stats_row){.table = "gossip",
                                         .what = rows[row].what,
                                         .goal_text = "0.5 s",
                                         .unit = "s",
                                         .goal = {0, 500},
                                         .value = (int64_t)worst_us / 1000});
    }
}

/* `n` start within `spread_us`, each by one that started before; when all know all. */
static uint64_t start_us(unsigned n, uint64_t spread_us, uint64_t seed, unsigned *ret_n_downs)
{
    struct net net;
    zone(&net, n, seed);
    net_mass_start(&net, spread_us, false);
    uint64_t begin_us = net.now_us;
    net_run(&net, begin_us + 60 * US_PER_S, net_all_know_all);
    uint64_t us = net.now_us - begin_us;
    *ret_n_downs += n_downs(&net);
    net_done(&net);
    return us;
}

static void start_rows(struct stats *s)
{
    unsigned n_downs_all = 0;
    uint64_t worst_us = 0;
    unsigned n_seeds = s->is_quick ? 5 : 100;
    for (unsigned seed = 1; seed <= n_seeds; seed++) {
        worst_us = IPX_MAX(worst_us, start_us(50, 0, seed, &n_downs_all));
    }
    stats_add(s, &(struct stats_row){.table = "gossip",
                                     .what = "50 that start at once all complete, worst run",
                                     .goal_text = "< 2 s, always",
                                     .unit = "s",
                                     .goal = {0, STATS_MILLI(2)},
                                     .value = (int64_t)worst_us / 1000});
    if (!s->is_quick) {
        uint64_t us = start_us(512, US_PER_S, 1, &n_downs_all); /* 500 a second */
        stats_add(s, &(struct stats_row){.table = "gossip",
                                         .what = "512 start within a second: complete after that",
                                         .goal_text = "",
                                         .unit = "s",
                                         .goal = {0, STATS_ANY},
                                         .bound = {0, STATS_MILLI(10)},
                                         .value = (int64_t)us / 1000});
    }
    stats_add(s, &(struct stats_row){.table = "gossip",
                                     .what = "nodes called dead during these starts",
                                     .goal_text = "none",
                                     .unit = "reports",
                                     .goal = {0, 0},
                                     .bound = {0, 1},
                                     .value = STATS_MILLI(n_downs_all)});
}

/* Half a zone is killed and starts again within a second, in its next generation. */
static void restart_rows(struct stats *s)
{
    struct net net;
    unsigned n = 512;
    if (s->is_quick) {
        return;
    }
    zone(&net, n, 3);
    net_settle(&net);
    net_for(&net, 12 * US_PER_S);
    for (unsigned i = 0; i < n; i += 2) {
        net_stop(&net, i);
    }
    net_for(&net, US_PER_S);
    for (unsigned i = 0; i < n; i += 2) {
        net_start(&net, i);
        net_join(&net, i, (unsigned)rng_below(&net.rng, n / 2) * 2 + 1);
    }
    uint64_t begin_us = net.now_us;
    net_run(&net, begin_us + 120 * US_PER_S, net_all_know_all);
    int64_t milli = (int64_t)(net.now_us - begin_us) / 1000;
    net_for(&net, 60 * US_PER_S);
    CHECK(net_all_know_all(&net));
    net_done(&net);
    stats_add(s, &(struct stats_row){.table = "gossip",
                                     .what = "half of 512 restart at once: all complete",
                                     .goal_text = "no collapse",
                                     .unit = "s",
                                     .goal = {0, STATS_MILLI(30)},
                                     .value = milli});
}

/* --- ads --- */

static struct ad *make_ad(struct mem *mem, unsigned number)
{
    struct ad_builder *b = ad_builder_new(mem);
    struct label_value v = {.type = LABEL_NUMBER, .number = number};
    struct ad *ad;
    CHECK(b != NULL);
    CHECK_OK(ad_builder_label(b, slice_text("shelf"), &v));
    CHECK_OK(ad_builder_finish(b, &ad));
    ad_builder_free(b);
    return ad;
}

static void ad_rows(struct stats *s)
{
    struct net net;
    unsigned n = 1024;
    unsigned n_ads = 5;
    if (s->is_quick) {
        return;
    }
    uint64_t worst_us = 0;
    zone(&net, n, 4);
    net_settle(&net);
    net_for(&net, 12 * US_PER_S);
    net.loss_permille = 10;
    for (unsigned k = 0; k < n_ads; k++) {
        unsigned owner = (unsigned)rng_below(&net.rng, n);
        struct net_node *x = &net.nodes[owner];
        struct ad *ad = make_ad(&x->mem, k);
        uint64_t begin_us = net.now_us;
        uint32_t version = x->g.self->ad_version + 1;
        gossip_set_ad(&x->g, net.now_us, ad);
        ad_unref(ad);
        net_drain(&net, owner);
        unsigned n_have = 0;
        while (n_have * 100 < n * 99) {
            net_for(&net, 10 * US_PER_MS);
            n_have = 1;
            for (unsigned i = 0; i < n; i++) {
                const struct gossip_member *m = gossip_find(&net.nodes[i].g, &x->key.pk);
                n_have += i != owner && m->ad_version == version ? 1 : 0;
            }
            CHECK(net.now_us < begin_us + 60 * US_PER_S);
        }
        worst_us = IPX_MAX(worst_us, net.now_us - begin_us);
        net_for(&net, 10 * US_PER_S);
    }
    net_done(&net);
    stats_add(s, &(struct stats_row){.table = "gossip",
                                     .what = "static ad reaches 99 %, 1,024 nodes, 1 % loss",
                                     .goal_text = "<= 1.5 s",
                                     .unit = "s",
                                     .goal = {0, 1500},
                                     .value = (int64_t)worst_us / 1000});
}

/* --- cost --- */

static uint32_t walk(struct net *net, uint32_t value, uint32_t step, uint32_t max)
{
    uint32_t up = value + (uint32_t)rng_below(&net->rng, 2 * (uint64_t)step + 1);
    return up <= step ? 0 : IPX_MIN(up - step, max);
}

/* A machine at work, once a second: load and memory walk, a slot is taken or freed now and then. */
static void live(struct net *net, unsigned i, struct gossip_vitals *v)
{
    v->load_permille = (uint16_t)walk(net, v->load_permille, 30, 1000);
    v->mem_free_mib = walk(net, v->mem_free_mib, 100, 16000);
    if (rng_below(&net->rng, 120) == 0) {
        v->free_slots = (uint16_t)walk(net, v->free_slots, 1, 8);
    }
    gossip_set_vitals(&net->nodes[i].g, net->now_us, v);
    net_drain(net, i);
}

static uint64_t idle_bytes(unsigned n, unsigned n_seconds, bool is_live)
{
    struct net net;
    struct gossip_vitals vitals[1024];
    zone(&net, n, 5);
    net_settle(&net);
    /* the first vitals of all are a burst; then each node has its interval */
    unsigned warm_s = n > 512 ? 200 : 30;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < n; i++) {
        vitals[i] = (struct gossip_vitals){.free_slots = 4,
                                           .load_permille = (uint16_t)rng_below(&net.rng, 1000),
                                           .mem_free_mib = 8000};
    }
    for (unsigned second = 0; second < warm_s + n_seconds; second++) {
        for (unsigned i = 0; i < n; i++) {
            if (is_live || second == 0) {
                live(&net, i, &vitals[i]);
            }
            bytes -= second == warm_s ? net.nodes[i].bytes_out : 0;
        }
        net_for(&net, US_PER_S);
    }
    for (unsigned i = 0; i < n; i++) {
        bytes += net.nodes[i].bytes_out;
    }
    net_done(&net);
    return bytes / n / n_seconds;
}

static void idle_rows(struct stats *s)
{
    static const struct {
        unsigned n, n_seconds;
        bool is_live;
        const char *what, *goal_text;
        int64_t max;
    } rows[] = {
        {30, 300, false, "idle traffic of a node, N = 30", "<= 300 B/s", 300},
        {100, 120, true, "traffic of a node, live vitals, N = 100", "<= 2 kB/s", 2000},
        {1024, 60, true, "traffic of a node, live vitals, N = 1,024", "<= 5 kB/s", 5000},
    };
    for (unsigned row = 0; row < (s->is_quick ? 2 : ARRAY_LEN(rows)); row++) {
        uint64_t bytes = idle_bytes(rows[row].n, rows[row].n_seconds, rows[row].is_live);
        stats_add(s, &(struct stats_row){.table = "gossip",
                                         .what = rows[row].what,
                                         .goal_text = rows[row].goal_text,
                                         .unit = "B/s",
                                         .goal = {0, STATS_MILLI(rows[row].max)},
                                         .value = STATS_MILLI(bytes)});
    }
}

/* --- partition --- */

/* Cut in two for an hour (two minutes where that is too long to wait for). */
static void partition_rows(struct stats *s)
{
    struct net net;
    unsigned n = 128;
    zone(&net, n, 6);
    net_settle(&net);
    for (unsigned i = 0; i < n; i++) {
        net.nodes[i].group = (uint8_t)(i % 2);
    }
    net_for(&net, (s->is_quick ? 120 : 3600) * US_PER_S);
    uint64_t bytes = 0;
    for (unsigned i = 0; i < n; i++) {
        CHECK_EQ(gossip_n_live(&net.nodes[i].g), n / 2);
        net.nodes[i].group = 0;
        bytes -= net.nodes[i].bytes_out;
    }
    uint64_t begin_us = net.now_us;
    net_run(&net, begin_us + 120 * US_PER_S, net_all_know_all);
    int64_t milli = (int64_t)(net.now_us - begin_us) / 1000;
    net_run(&net, begin_us + 30 * US_PER_S, NULL);
    for (unsigned i = 0; i < n; i++) {
        bytes += net.nodes[i].bytes_out;
    }
    net_done(&net);
    stats_add(s, &(struct stats_row){.table = "gossip",
                                     .what = "partition 50/50 of 128, healed: all complete",
                                     .goal_text = "<= 30 s",
                                     .unit = "s",
                                     .goal = {0, STATS_MILLI(30)},
                                     .value = milli});
    stats_add(s, &(struct stats_row){.table = "gossip",
                                     .what = "traffic of a node in the 30 s after it",
                                     .goal_text = "no storm",
                                     .unit = "B/s",
                                     .goal = {0, STATS_MILLI(16384)},
                                     .value = STATS_MILLI(bytes / n / 30)});
}

void stats_gossip_news(struct stats *s)
{
    join_rows(s);
    start_rows(s);
    restart_rows(s);
    ad_rows(s);
    idle_rows(s);
    partition_rows(s);
}
