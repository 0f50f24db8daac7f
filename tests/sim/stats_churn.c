/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole DHT objects whose nodes come and go, and such that are left alone: right answers
 * and bytes a node. Message by message, on the small network of the unit tests.
 */
#define IPX_TEST_PLAIN
#define IPX_TEST_NO_MAIN
#include "tests/sim/stats.h"
#include "tests/unit/dht_world.h"

#define CHURN_NODES 150
#define SESSION_MEDIAN_US (10 * 60 * US_PER_S)
#define HEADS 39                   /* of a message in its own DATA packet: 32 + 7 */
#define HANDSHAKE 2400             /* two padded packets: an upper bound for each session made */
#define SETTLED_US (30 * US_PER_S) /* a node up that long is to be found */
#define SEARCH_EVERY_US (2 * US_PER_S)

struct churn {
    struct world w;
    uint64_t up_since_us[WORLD_NODES_MAX], down_at_us[WORLD_NODES_MAX];
    unsigned n_searches, n_right;
    uint64_t n_sessions;
};

/* Exponential: hundredths of the median, of which each is survived with 2^(-1/100) = 0.9931. */
static uint64_t draw_session(struct rng *rng)
{
    uint64_t us = 1;
    while (rng_below(rng, 10000) < 9931) {
        us += SESSION_MEDIAN_US / 100;
    }
    return us;
}

static int random_up(struct churn *c, int except)
{
    int i = except;
    while (i == except || !c->w.nodes[i].is_up || !dht_is_joined(&c->w.nodes[i].d)) {
        i = (int)rng_below(&c->w.rng, (uint64_t)c->w.n);
    }
    return i;
}

static uint64_t count_sessions(const struct churn *c)
{
    uint64_t n = 0;
    for (int i = 0; i < c->w.n * c->w.n; i++) {
        n += c->w.sessions[i];
    }
    return n / 2;
}

static void publish(struct world *w, int i)
{
    struct dht_record content = {.n_addrs = 1, .addrs = {w->nodes[i].addr}};
    dht_publish_self(&w->nodes[i].d, w->now_us, &content);
    world_drain(w, i);
}

/* Gone without a word; another run of the same node enters at once. */
static void restart(struct churn *c, int i)
{
    struct world *w = &c->w;
    c->n_sessions += count_sessions(c);
    for (int k = 0; k < w->n; k++) {
        w->sessions[i * w->n + k] = w->sessions[k * w->n + i] = false;
    }
    c->n_sessions -= count_sessions(c); /* those that ended were made once */
    dht_done(&w->nodes[i].d);
    world_node_init(w, i, NULL);
    w->nodes[i].found.handle = 0;
    world_join(w, i, random_up(c, i), random_up(c, i));
    publish(w, i);
    c->up_since_us[i] = w->now_us;
    c->down_at_us[i] = w->now_us + draw_session(&w->rng);
}

static void run_until(struct churn *c, uint64_t until_us)
{
    struct world *w = &c->w;
    for (;;) {
        int first = 0;
        for (int i = 1; i < w->n; i++) {
            first = c->down_at_us[i] < c->down_at_us[first] ? i : first;
        }
        if (c->down_at_us[first] > until_us) {
            break;
        }
        world_run(w, c->down_at_us[first]);
        restart(c, first);
    }
    world_run(w, until_us);
}

/* Nearest to the target of those that were there before the search and still are. */
static int nearest_settled(const struct churn *c, const struct dht_pos *target, int except,
                           uint64_t begun_us)
{
    const struct world *w = &c->w;
    int best = -1;
    for (int i = 0; i < w->n; i++) {
        if (i != except && c->up_since_us[i] + SETTLED_US <= begun_us &&
            (best < 0 ||
             dht_pos_compare(target, &w->nodes[i].facts.pos, &w->nodes[best].facts.pos) < 0)) {
            best = i;
        }
    }
    return best;
}

static void search_once(struct churn *c, enum lookup_mode mode)
{
    struct world *w = &c->w;
    int from = random_up(c, -1);
    struct world_node *node = &w->nodes[from];
    struct dht_pos target;
    uint32_t handle = 0;
    uint64_t begun_us = w->now_us;
    if (c->up_since_us[from] + SETTLED_US > begun_us) {
        return; /* not yet at home itself */
    }
    rng_fill(&w->rng, target.bytes, sizeof(target.bytes));
    CHECK_OK(dht_find(&node->d, w->now_us, &target, mode, &handle));
    world_drain(w, from);
    while (w->nodes[from].found.handle != handle && c->up_since_us[from] <= begun_us &&
           w->now_us < begun_us + 10 * US_PER_S) {
        run_until(c, w->now_us + 50000);
    }
    if (c->up_since_us[from] > begun_us) {
        return; /* it went away itself */
    }
    int want = nearest_settled(c, &target, from, begun_us);
    const struct dht_found *got = &node->found.nodes[0];
    c->n_searches++;
    c->n_right += node->found.handle == handle && node->found.n > 0 && got->is_verified &&
                  dht_pos_compare(&target, &got->pos, &w->nodes[want].facts.pos) <= 0;
}

static void add(struct stats *s, const char *what, const char *goal_text, const char *unit,
                struct stats_range goal, int64_t value, const char *note)
{
    stats_add(s, &(struct stats_row){.table = "dht",
                                     .what = what,
                                     .goal_text = goal_text,
                                     .unit = unit,
                                     .note = note,
                                     .goal = goal,
                                     .value = value});
}

static void begin(struct churn *c, int n, uint64_t seed)
{
    world_init(&c->w, n, seed);
    world_join_all(&c->w, 100000);
    for (int i = 0; i < n; i++) {
        publish(&c->w, i);
        c->up_since_us[i] = 0;
        c->down_at_us[i] = NEVER_US;
    }
    world_run(&c->w, c->w.now_us + 60 * US_PER_S);
}

void stats_dht_churn(struct stats *s)
{
    static struct churn c;
    c = (struct churn){.n_searches = 0};
    begin(&c, CHURN_NODES, 41);
    for (int i = 0; i < c.w.n; i++) {
        c.down_at_us[i] = c.w.now_us + draw_session(&c.w.rng);
    }
    run_until(&c, c.w.now_us + 15 * 60 * US_PER_S); /* tables of nodes that come and go */
    uint64_t begun_us = c.w.now_us, n_bytes = c.w.n_bytes, n_messages = c.w.n_messages;
    uint64_t n_sessions = c.n_sessions + count_sessions(&c);
    uint64_t until_us = begun_us + (s->is_quick ? 20u : 120u) * 60 * US_PER_S;
    while (c.w.now_us < until_us) {
        search_once(&c, c.n_searches % 2 == 0 ? LOOKUP_CLOSEST : LOOKUP_LOCATE);
        run_until(&c, c.w.now_us + SEARCH_EVERY_US);
    }
    n_sessions = c.n_sessions + count_sessions(&c) - n_sessions;
    uint64_t bytes =
        c.w.n_bytes - n_bytes + (c.w.n_messages - n_messages) * HEADS + n_sessions * HANDSHAKE;
    uint64_t node_seconds = (c.w.now_us - begun_us) / US_PER_S * CHURN_NODES;
    stats_add(s,
              &(struct stats_row){.table = "dht",
                                  .what = "churn, 150 nodes, sessions of 10 min: right answers",
                                  .goal_text = ">= 99.9 % at a median session of 10 min",
                                  .unit = "share",
                                  .goal = {999, STATS_ANY},
                                  .value = (int64_t)((uint64_t)c.n_right * 1000 / c.n_searches)});
    add(s, "churn, 150 nodes, sessions of 10 min: traffic a node", "<= 500 B/s/node", "B/s",
        (struct stats_range){1, STATS_MILLI(500)}, (int64_t)(bytes * 1000 / node_seconds), NULL);
    world_done(&c.w);
}

void stats_dht_idle(struct stats *s)
{
    static struct churn c;
    c = (struct churn){.n_searches = 0};
    begin(&c, CHURN_NODES, 42);
    world_run(&c.w, c.w.now_us + 30 * 60 * US_PER_S);
    uint64_t n_bytes = c.w.n_bytes, n_messages = c.w.n_messages, n_sessions = count_sessions(&c);
    world_run(&c.w, c.w.now_us + 3600 * US_PER_S);
    uint64_t bytes = c.w.n_bytes - n_bytes + (c.w.n_messages - n_messages) * HEADS +
                     (count_sessions(&c) - n_sessions) * HANDSHAKE;
    add(s, "idle, 150 nodes: traffic a node", "<= 200 B/s/node at 10^4", "B/s",
        (struct stats_range){1, STATS_MILLI(200)}, (int64_t)(bytes * 1000 / 3600 / CHURN_NODES),
        "150 nodes stand for 10^4, which have six buckets more to refresh");
    world_done(&c.w);
}
