/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gossip table, failures: how soon a crash is seen and who is called dead wrongly. Zones of
 * gossip objects alone on a network of 0.5 to 2 ms; how news spread is in stats_gossip_news.c.
 */
#define IPX_TEST_CHECKS
#include "tests/sim/stats.h"
#include "tests/unit/gossip_zone.h"

#define TIMES_MAX 65536
#define NEW_US (250 * US_PER_MS) /* so long after a stall a node cannot be heard by all */

static struct observer {
    unsigned victim;
    uint64_t crash_us, last_us;
    uint64_t seen_us[TIMES_MAX];
    size_t n_seen;
    unsigned n_false, n_false_new; /* nodes that run; that ran again less than NEW_US */
} seen;

static void note_down(struct net *net, unsigned node, const struct gossip_member *m)
{
    unsigned about = (unsigned)net_index(net, &m->facts.id);
    const struct net_node *x = &net->nodes[about];
    (void)node;
    if (!x->is_up) {
        CHECK(seen.n_seen < TIMES_MAX);
        seen.last_us = net->now_us - seen.crash_us;
        seen.seen_us[seen.n_seen++] = seen.last_us;
    } else if (x->stalled_until_us + NEW_US <= net->now_us) {
        seen.n_false++;
    } else if (x->stalled_until_us <= net->now_us) {
        seen.n_false_new++;
    }
}

static void zone(struct net *net, unsigned n, uint64_t seed)
{
    net_init(net, n, seed);
    net->is_checked = false;
    net->delay_us = 500;
    net->jitter_us = 1500;
    net->on_down = note_down;
    if (n > 512) {
        net_shorten(net, 72);
    }
    net_settle(net);
    net_for(net, 15 * US_PER_S);
}

/* One node crashes and comes back later, `n_crashes` times; gives when the last saw each. */
static void crashes(unsigned n, unsigned n_crashes, uint64_t seed, uint64_t *ret_last_us)
{
    struct net net;
    zone(&net, n, seed);
    for (unsigned k = 0; k < n_crashes; k++) {
        size_t before = seen.n_seen;
        net_for(&net, rng_below(&net.rng, 5 * US_PER_S));
        seen.victim = (unsigned)rng_below(&net.rng, n);
        seen.crash_us = net.now_us;
        net_stop(&net, seen.victim);
        net_for(&net, 25 * US_PER_S);
        CHECK_EQ(seen.n_seen - before, n - 1); /* each of them saw it */
        ret_last_us[k] = seen.last_us;
        net_start(&net, seen.victim);
        net_join(&net, seen.victim, (seen.victim + 1) % n);
        net_for(&net, 15 * US_PER_S);
    }
    net_done(&net);
}

static void crash_rows(struct stats *s, unsigned n, unsigned n_seeds, unsigned n_crashes)
{
    static const struct {
        unsigned n;
        const char *each, *last, *each_text, *last_text;
        int64_t p50_s_milli, p99_s_milli, last_s_milli;
    } goals[] = {
        {10, "N = 10", "N = 10, by the last", "", "5 s", 0, 0, 5000},
        {30, "N = 30", "N = 30, by the last", "", "8 s", 0, 0, 8000},
        {128, "N = 128", "N = 128, by the last", "8.5 / 13 s", "", 8500, 13000, 0},
        {1024, "N = 1,024", "N = 1,024, by the last", "11 / 15 s", "", 11000, 15000, 0},
    };
    uint64_t last_us[256];
    unsigned g = 0;
    while (goals[g].n != n) {
        g++;
    }
    memset(&seen, 0, sizeof(seen));
    for (unsigned seed = 0; seed < n_seeds; seed++) {
        crashes(n, n_crashes, seed + 1, last_us + seed * n_crashes);
    }
    static const char *const quantiles[] = {"crash seen, p50, ", "crash seen, p99, "};
    static char names[STATS_ROWS_MAX][64];
    for (unsigned q = 0; q < 2; q++) {
        unsigned permille = q == 0 ? 500 : 990;
        int64_t goal = q == 0 ? goals[g].p50_s_milli : goals[g].p99_s_milli;
        snprintf(names[s->n], sizeof(names[0]), "%s%s", quantiles[q], goals[g].each);
        stats_add(
            s, &(struct stats_row){
                   .table = "gossip",
                   .what = names[s->n],
                   .goal_text = goals[g].each_text,
                   .unit = "s",
                   .goal = {0, goal == 0 ? STATS_ANY : goal},
                   .value = (int64_t)stats_quantile(seen.seen_us, seen.n_seen, permille) / 1000});
        goal = goals[g].last_s_milli;
        snprintf(names[s->n], sizeof(names[0]), "%s%s", quantiles[q], goals[g].last);
        stats_add(s, &(struct stats_row){
                         .table = "gossip",
                         .what = names[s->n],
                         .goal_text = goals[g].last_text,
                         .unit = "s",
                         .goal = {0, goal == 0 || q == 1 ? STATS_ANY : goal},
                         .value = (int64_t)stats_quantile(last_us, n_seeds * n_crashes, permille) /
                                  1000});
    }
    CHECK_EQ(seen.n_false, 0);
}

/* One in ten stands still at any time, each for 1 to 16 s, then others do. */
static void stalls(unsigned n, uint64_t seed, uint64_t lasts_us)
{
    struct net net;
    zone(&net, n, seed);
    net.loss_permille = 2;
    uint64_t end_us = net.now_us + lasts_us;
    while (net.now_us < end_us) {
        unsigned n_still = 0;
        for (unsigned i = 0; i < n; i++) {
            n_still += net.nodes[i].stalled_until_us > net.now_us ? 1 : 0;
        }
        while (n_still < IPX_MAX(n / 10, 1U)) {
            unsigned i = (unsigned)rng_below(&net.rng, n);
            if (net.nodes[i].stalled_until_us <= net.now_us) {
                net_stall(&net, i, US_PER_S + rng_below(&net.rng, 15 * US_PER_S));
                n_still++;
            }
        }
        net_for(&net, 200 * US_PER_MS);
    }
    net_done(&net);
}

static void stall_rows(struct stats *s)
{
    unsigned n_seeds = s->is_quick ? 3 : 34;
    unsigned n_hours = 0;
    memset(&seen, 0, sizeof(seen));
    for (unsigned seed = 1; seed <= n_seeds; seed++) {
        stalls(30, seed, 3600 * US_PER_S);
        n_hours += 30;
    }
    stats_add(s, &(struct stats_row){
                     .table = "gossip",
                     .what = "nodes called dead that run, in 1,000 node-hours, 10 % stalled",
                     .goal_text = "<= 1",
                     .unit = "reports",
                     .goal = {0, STATS_MILLI(1)},
                     .bound = {0, STATS_MILLI(2)},
                     .value = (int64_t)seen.n_false * 1000 * 1000 / n_hours});
    stats_add(s, &(struct stats_row){.table = "gossip",
                                     .what = "the same, within 250 ms of the end of their stall",
                                     .goal_text = "",
                                     .unit = "reports",
                                     .goal = {0, STATS_ANY},
                                     .value = (int64_t)seen.n_false_new * 1000 * 1000 / n_hours});
}

/* Half of all packets are lost for 30 s, then one node crashes too. */
static void loss_rows(struct stats *s)
{
    uint64_t last_us[16];
    unsigned n_seeds = s->is_quick ? 2 : 10;
    unsigned n_false = 0;
    memset(&seen, 0, sizeof(seen));
    for (unsigned seed = 0; seed < n_seeds; seed++) {
        struct net net;
        size_t before = seen.n_seen;
        zone(&net, 40, seed + 1);
        net.loss_permille = 500;
        net_for(&net, 30 * US_PER_S);
        n_false += seen.n_false;
        seen.victim = (unsigned)rng_below(&net.rng, 40);
        seen.crash_us = net.now_us;
        net_stop(&net, seen.victim);
        net_for(&net, 60 * US_PER_S);
        bool is_seen = seen.n_seen - before == 39;
        last_us[seed] = is_seen ? seen.last_us : 60 * US_PER_S;
        net_done(&net);
        seen.n_false = 0;
    }
    stats_add(s, &(struct stats_row){
                     .table = "gossip",
                     .what = "50 % loss: crash seen by the last of 40, worst run",
                     .goal_text = "< 12 s",
                     .unit = "s",
                     .note =
                         "the first suspicion comes after 5 to 28 s: three of four probes fail, so "
                         "nodes doubt themselves and probe rarely (Lifeguard)",
                     .goal = {0, STATS_MILLI(12)},
                     .bound = {0, STATS_MILLI(60)},
                     .value = (int64_t)stats_quantile(last_us, n_seeds, 1000) / 1000});
    stats_add(s, &(struct stats_row){
                     .table = "gossip",
                     .what = "50 % loss for 30 s: nodes called dead that run",
                     .goal_text = "none",
                     .unit = "reports",
                     .note = "half the pings and half the answers: a refutation may come late",
                     .goal = {0, 0},
                     .bound = {0, STATS_MILLI(5)},
                     .value = STATS_MILLI(n_false)});
}

/* 15 of 50 are killed at once: when the last of the others has seen each of them. */
static void kill_rows(struct stats *s)
{
    uint64_t gone_us[15 * 64];
    unsigned n_gone = 0;
    unsigned n_seeds = s->is_quick ? 3 : 40;
    memset(&seen, 0, sizeof(seen));
    for (unsigned seed = 1; seed <= n_seeds; seed++) {
        struct net net;
        zone(&net, 50, seed);
        seen.crash_us = net.now_us;
        for (unsigned i = 0; i < 15; i++) {
            net_stop(&net, 3 * i);
        }
        unsigned left[15] = {0};
        memset(left, 0xff, sizeof(left));
        for (unsigned ms = 0; ms < 60000; ms += 50) {
            net_for(&net, 50 * US_PER_MS);
            for (unsigned i = 0; i < 15; i++) {
                bool is_held = left[i] == 0;
                for (unsigned k = 0; k < 50 && !is_held; k++) {
                    is_held = net.nodes[k].is_up && net_sees(&net, k, 3 * i);
                }
                if (!is_held && left[i] != 0) {
                    gone_us[n_gone++] = net.now_us - seen.crash_us;
                    left[i] = 0;
                }
            }
        }
        net_done(&net);
    }
    CHECK_EQ(n_gone, 15 * n_seeds);
    stats_add(s,
              &(struct stats_row){.table = "gossip",
                                  .what = "15 of 50 killed at once: one is gone everywhere, p50",
                                  .goal_text = "<= 9 s",
                                  .unit = "s",
                                  .goal = {0, STATS_MILLI(9)},
                                  .value = (int64_t)stats_quantile(gone_us, n_gone, 500) / 1000});
    stats_add(s,
              &(struct stats_row){.table = "gossip",
                                  .what = "15 of 50 killed at once: the last is gone, worst run",
                                  .goal_text = "<= 16 s",
                                  .unit = "s",
                                  .goal = {0, STATS_MILLI(16)},
                                  .value = (int64_t)stats_quantile(gone_us, n_gone, 1000) / 1000});
    CHECK_EQ(seen.n_false, 0);
}

void stats_gossip_failures(struct stats *s)
{
    crash_rows(s, 10, s->is_quick ? 3 : 20, 10);
    crash_rows(s, 30, s->is_quick ? 2 : 20, 10);
    crash_rows(s, 128, s->is_quick ? 1 : 4, 10);
    if (!s->is_quick) {
        crash_rows(s, 1024, 1, 10);
    }
    kill_rows(s);
    stall_rows(s);
    loss_rows(s);
}
