/* SPDX-License-Identifier: Apache-2.0 */
/* Whole DHT objects: joining, searching, publishing, losing, lying, in a small network. */
#include "dht/join.h"
#include "dht/publish.h"
#include "dht/search.h"
#include "tests/unit/dht_world.h"

struct tally {
    unsigned n, n_right, n_over, messages, worst_messages;
    uint64_t sum_us, times_us[600];
};

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* `n` searches from random honest nodes to random targets, one after the other. */
static struct tally search_many(struct world *w, unsigned n, enum lookup_mode mode)
{
    struct tally t = {.n = 0};
    while (t.n < n) {
        int from = (int)rng_below(&w->rng, (uint64_t)w->n);
        struct world_node *node = &w->nodes[from];
        struct dht_pos target;
        uint32_t handle = 0;
        rng_fill(&w->rng, target.bytes, sizeof(target.bytes));
        if (!node->is_up || node->kind != WORLD_HONEST) {
            continue;
        }
        uint64_t begun = w->now_us;
        CHECK_OK(dht_find(&node->d, w->now_us, &target, mode, &handle));
        CHECK(handle != 0);
        world_drain(w, from);
        world_run(w, w->now_us + 9 * US_PER_S);
        t.n_over += node->found.handle == handle;
        int want = world_nearest(w, &target, from);
        bool is_right = node->found.n > 0 && node->found.nodes[0].is_verified &&
                        node_id_equal(&node->found.nodes[0].contact.id, &w->nodes[want].key.pk);
        t.n_right += is_right;
        t.messages += node->found.n_sent;
        t.worst_messages = IPX_MAX(t.worst_messages, node->found.n_sent);
        t.times_us[t.n] = node->found.at_us - begun;
        t.sum_us += t.times_us[t.n++];
    }
    qsort(t.times_us, t.n, sizeof(t.times_us[0]), by_time);
    return t;
}

static void show(const char *what, const struct world *w, const struct tally *t)
{
    fprintf(stderr,
            "%-28s n %3d: right %u/%u, messages %u.%02u (worst %u), p50 %" PRIu64
            " ms, p99 %" PRIu64 " ms\n",
            what, w->n, t->n_right, t->n, t->messages / t->n, t->messages * 100 / t->n % 100,
            t->worst_messages, t->times_us[t->n / 2] / 1000, t->times_us[t->n * 99 / 100] / 1000);
}

TEST(dht_dht, sizes_of_network)
{
    static const int sizes[] = {2, 3, 20, 60, 200};
    CHECK_OK(crypt_init());
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        struct world w;
        world_init(&w, sizes[s], 10 + s);
        size_t idle = w.mem.used / (size_t)w.n + sizeof(struct dht);
        CHECK(idle <= 48 * 1024);
        world_join_all(&w, 200000);
        world_run(&w, w.now_us + 60 * US_PER_S);
        for (int i = 0; i < w.n; i++) {
            CHECK(dht_is_joined(&w.nodes[i].d));
            CHECK_EQ(w.nodes[i].n_joined, 1);
            CHECK(w.nodes[i].n_saves >= 1);
            dht_check(&w.nodes[i].d);
        }
        unsigned n = sizes[s] < 20 ? 20 : 100;
        struct tally locate = search_many(&w, n, LOOKUP_LOCATE);
        struct tally closest = search_many(&w, n, LOOKUP_CLOSEST);
        show("locate", &w, &locate);
        show("closest set", &w, &closest);
        CHECK_EQ(locate.n_right, n);
        CHECK_EQ(closest.n_right, n);
        CHECK_EQ(closest.n_over, n);
        CHECK(locate.messages / n <= 13);
        CHECK(locate.times_us[n / 2] <= 400000);
        fprintf(stderr, "  heap a node %zu B, object %zu B, search %zu B\n",
                (w.mem.used / (size_t)w.n), sizeof(struct dht), sizeof(struct dht_search));
        world_done(&w);
    }
}
TEST(dht_dht, dead_nodes_and_loss)
{
    struct world w;
    world_init(&w, 100, 77);
    world_join_all(&w, 100000);
    world_run(&w, w.now_us + 30 * US_PER_S);
    for (int i = 0; i < w.n; i++) { /* 30 % die at once and nobody is told */
        if (i % 10 < 3) {
            world_kill(&w, i);
        }
    }
    struct tally t = search_many(&w, 60, LOOKUP_CLOSEST);
    show("30 % dead, closest set", &w, &t);
    CHECK_EQ(t.n_right, 60);
    t = search_many(&w, 60, LOOKUP_LOCATE);
    show("30 % dead, locate", &w, &t);
    CHECK_EQ(t.n_right, 60);
    w.loss_permille = 100;
    t = search_many(&w, 60, LOOKUP_CLOSEST);
    show("and 10 % loss, closest set", &w, &t);
    /* Nothing is asked twice: in 19 of 100 cases a loss hides the very nearest, the next is found
     */
    CHECK(t.n_right >= 46);
    CHECK_EQ(t.n_over, 60);
    w.loss_permille = 0; /* dead ones leave the tables with time */
    world_run(&w, w.now_us + 3600 * US_PER_S);
    for (int i = 0; i < w.n; i++) {
        struct dht_contact near[8];
        if (!w.nodes[i].is_up) {
            continue;
        }
        size_t n = dht_closest(&w.nodes[i].d, &w.nodes[i].facts.pos, near, ARRAY_LEN(near));
        CHECK_EQ(n, ARRAY_LEN(near));
        for (size_t k = 0; k < n; k++) {
            CHECK(w.nodes[world_index(&w, &near[k].id)].is_up);
        }
        CHECK(dht_size_estimate(&w.nodes[i].d) >= 50);
        CHECK(dht_size_estimate(&w.nodes[i].d) <= 160);
        dht_check(&w.nodes[i].d);
    }
    world_done(&w);
}

TEST(dht_dht, liars)
{
    static const struct {
        enum world_kind kind;
        const char *name;
    } kinds[] = {{WORLD_SILENT, "20 % silent"},
                 {WORLD_GARBAGE, "20 % garbage"},
                 {WORLD_NONCE_LIAR, "20 % nonce liars"},
                 {WORLD_CHASE, "20 % ever nearer fakes"}};
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        struct world w;
        uint64_t n_lies = 0, n_muted = 0, n_malformed = 0;
        world_init(&w, 60, 300 + k);
        world_join_all(&w, 100000);
        world_run(&w, w.now_us + 20 * US_PER_S);
        for (int i = 0; i < w.n; i += 5) {
            w.nodes[i].kind = kinds[k].kind; /* a valid member turns */
        }
        struct tally t = search_many(&w, 60, LOOKUP_CLOSEST);
        show(kinds[k].name, &w, &t);
        CHECK_EQ(t.n_right, 60);
        CHECK_EQ(t.n_over, 60);
        CHECK(t.worst_messages <= LOOKUP_MESSAGES_MAX);
        for (int i = 0; i < w.n; i++) {
            n_lies += w.nodes[i].d.stats.n_position_lies;
            n_muted += w.nodes[i].d.stats.n_muted;
            n_malformed += w.nodes[i].d.stats.n_malformed;
            dht_check(&w.nodes[i].d);
        }
        CHECK((n_lies > 0) == (kinds[k].kind == WORLD_NONCE_LIAR));
        CHECK((n_muted > 0) == (kinds[k].kind == WORLD_NONCE_LIAR || kinds[k].kind == WORLD_CHASE));
        CHECK((n_malformed > 0) == (kinds[k].kind == WORLD_GARBAGE));
        world_done(&w);
    }
}

/* Node `i` says where it can be reached. */
static void publish(struct world *w, int i, uint16_t port)
{
    struct dht_record r = {.n_addrs = 1, .features = 5};
    r.addrs[0] = w->nodes[i].addr;
    r.addrs[0].port = port;
    dht_publish_self(&w->nodes[i].d, w->now_us, &r);
    world_drain(w, i);
}

static const struct world_node *get(struct world *w, int from, int of)
{
    uint32_t handle = 0;
    CHECK_OK(
        dht_find(&w->nodes[from].d, w->now_us, &w->nodes[of].facts.pos, LOOKUP_VALUE, &handle));
    world_drain(w, from);
    world_run(w, w->now_us + 9 * US_PER_S);
    CHECK_EQ(w->nodes[from].found.handle, handle);
    return &w->nodes[from];
}

static uint16_t port_of(const struct world *w, const struct world_node *n)
{
    struct dht_record r;
    CHECK_OK(n->found.status);
    CHECK_OK(dht_record_decode(slice_of(n->found.record, n->found.record_len), &w->mesh, &r));
    CHECK_EQ(r.n_addrs, 1);
    CHECK_EQ(r.features, 5);
    return r.addrs[0].port;
}

TEST(dht_dht, records)
{
    struct world w;
    world_init(&w, 40, 5);
    for (int i = 0; i < w.n; i++) {
        publish(&w, i, 1000); /* before anybody is there: goes out with the join */
    }
    world_join_all(&w, 100000);
    world_run(&w, w.now_us + 30 * US_PER_S);
    for (int i = 0; i < w.n; i++) {
        CHECK_EQ(port_of(&w, get(&w, i, (i + 7) % w.n)), 1000);
    }
    publish(&w, 3, 1001); /* changes are 10 s apart at least; here a minute has passed */
    publish(&w, 3, 1002);
    publish(&w, 3, 1002);
    world_run(&w, w.now_us + 5 * US_PER_S);
    publish(&w, 3, 1003); /* while the other is young: waits */
    world_run(&w, w.now_us + 30 * US_PER_S);
    CHECK_EQ(port_of(&w, get(&w, 9, 3)), 1003);
    CHECK_EQ(w.nodes[3].d.publish.record_seq, 3);

    world_kill(&w, 3); /* its record outlives it, for two hours */
    CHECK_EQ(port_of(&w, get(&w, 10, 3)), 1003);
    unsigned n_held = 0;
    for (int i = 0; i < w.n; i++) {
        n_held += dht_store_get(&w.nodes[i].d.store, w.now_us, &w.nodes[3].facts.pos) != NULL;
    }
    CHECK(n_held >= DHT_REPLICAS);
    world_run(&w, w.now_us + 7300 * US_PER_S);
    CHECK_EQ(get(&w, 11, 3)->found.status, IPX_NOT_FOUND);
    CHECK_EQ(port_of(&w, get(&w, 11, 4)), 1000); /* republished meanwhile */
    for (int i = 0; i < w.n; i++) {
        CHECK(i == 3 || w.nodes[i].d.publish.record_seq >= 3);
        CHECK_EQ(w.nodes[i].d.stats.n_bad_records, 0);
        dht_check(&w.nodes[i].d);
    }
    world_done(&w);
}

TEST(dht_dht, restart_from_disk)
{
    struct world w;
    uint8_t file[DHT_SAVE_BYTES_MAX];
    struct dht_contact contacts[DHT_SAVE_CONTACTS_MAX];
    struct dht_config config = {.record_seq = 0};
    size_t n = 0;
    world_init(&w, 30, 8);
    world_join_all(&w, 100000);
    publish(&w, 4, 1000);
    world_run(&w, w.now_us + 30 * US_PER_S);
    struct writer out = writer_of(file, sizeof(file));
    dht_contacts_encode(&w.nodes[4].d, &out);
    CHECK(!out.failed);
    dht_done(&w.nodes[4].d);
    CHECK_OK(
        dht_save_decode(writer_slice(&out), contacts, ARRAY_LEN(contacts), &n, &config.record_seq));
    CHECK(n >= 20);
    CHECK_EQ(config.record_seq, 1);
    world_node_init(&w, 4, &config);
    for (int i = 0; i < w.n; i++) { /* most of whom it knew are gone */
        if (i != 4 && i != 17 && i != 23) {
            world_kill(&w, i);
        }
    }
    CHECK_OK(dht_bootstrap(&w.nodes[4].d, w.now_us, contacts, n));
    dht_join(&w.nodes[4].d, w.now_us);
    publish(&w, 4, 1001);
    world_run(&w, w.now_us + 20 * US_PER_S);
    CHECK(dht_is_joined(&w.nodes[4].d));
    CHECK_EQ(dht_n_members(&w.nodes[4].d), 2);
    CHECK_EQ(w.nodes[4].d.publish.record_seq, 2); /* above the one on disk */
    CHECK_EQ(port_of(&w, get(&w, 17, 4)), 1001);
    world_done(&w);
}

TEST(dht_dht, first_contact_dead)
{
    for (int dead = 0; dead < 2; dead++) { /* each of the ticket's two contacts in turn */
        struct world w;
        world_init(&w, 12, 40);
        w.delay_min_us = 50;
        w.delay_max_us = 500;
        world_join_all(&w, 10000);
        world_run(&w, w.now_us + 5 * US_PER_S);
        struct dht_config config = {.record_seq = 0};
        dht_done(&w.nodes[11].d);
        world_node_init(&w, 11, &config);
        world_kill(&w, dead);
        uint64_t begun = w.now_us;
        world_join(&w, 11, 0, 1);
        world_run(&w, begun + US_PER_S);
        CHECK_EQ(dht_n_members(&w.nodes[11].d), 10); /* all that live, within a second */
        CHECK(w.nodes[11].joined_us - begun < US_PER_S);
        CHECK_EQ(w.nodes[11].n_learned, 10);
        world_done(&w);
    }
}

TEST(dht_dht, cut_off_and_back)
{
    struct world w;
    world_init(&w, 3, 90);
    w.nodes[0].is_up = false;
    world_join(&w, 1, 0, 0); /* nobody there: tries for ever, ever more slowly */
    world_run(&w, w.now_us + 3600 * US_PER_S);
    CHECK(!dht_is_joined(&w.nodes[1].d));
    CHECK(w.nodes[1].d.stats.n_sent >= 15);
    CHECK(w.nodes[1].d.stats.n_sent <= 40);
    w.nodes[0].is_up = true;
    world_run(&w, w.now_us + 400 * US_PER_S);
    CHECK(dht_is_joined(&w.nodes[1].d) && dht_is_joined(&w.nodes[0].d));
    world_join(&w, 2, 0, 0);
    world_run(&w, w.now_us + 10 * US_PER_S);

    for (int i = 0; i < 3; i++) { /* gossip declares everybody dead: partition */
        for (int k = 0; k < 3; k++) {
            dht_on_peer_gone(&w.nodes[i].d, w.now_us, &w.nodes[k].key.pk, DHT_GONE_DEAD);
            dht_check(&w.nodes[i].d);
        }
        CHECK_EQ(dht_n_members(&w.nodes[i].d), 0);
        CHECK(!dht_is_joined(&w.nodes[i].d));
        world_drain(&w, i);
    }
    world_run(&w, w.now_us + 20 * US_PER_S);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(dht_n_members(&w.nodes[i].d), 2); /* the way back is remembered */
        CHECK(dht_is_joined(&w.nodes[i].d));
    }
    dht_on_peer_gone(&w.nodes[0].d, w.now_us, &w.nodes[1].key.pk, DHT_GONE_LEFT);
    dht_on_peer_gone(&w.nodes[0].d, w.now_us, &w.nodes[2].key.pk, DHT_GONE_REVOKED);
    dht_check(&w.nodes[0].d);
    CHECK_EQ(dht_n_members(&w.nodes[0].d), 0);
    world_done(&w);
}

TEST(dht_dht, idle_is_quiet)
{
    struct world w;
    world_init(&w, 3, 14);
    world_join_all(&w, 100000);
    for (int i = 0; i < w.n; i++) {
        publish(&w, i, 1000);
    }
    world_run(&w, w.now_us + 60 * US_PER_S);
    uint64_t messages = w.n_messages, begun = w.now_us;
    uint32_t wakes = w.nodes[0].n_wakes;
    world_run(&w, w.now_us + 3600 * US_PER_S);
    fprintf(stderr, "idle hour, 3 nodes: %" PRIu64 " messages, %u wake-ups by node 0's timer\n",
            w.n_messages - messages, w.nodes[0].n_wakes - wakes);
    CHECK(w.n_messages - messages <= 3 * 80); /* per node: 12 refreshes of 2 questions, 2 answers */
    CHECK(w.nodes[0].n_wakes - wakes <= 60);
    CHECK_EQ(w.now_us - begun, 3600 * US_PER_S);
    for (int i = 0; i < w.n; i++) {
        CHECK_EQ(dht_n_members(&w.nodes[i].d), 2);
    }
    world_done(&w);

    world_init(&w, 1, 15); /* alone: no wake-up at all */
    dht_join(&w.nodes[0].d, w.now_us);
    publish(&w, 0, 1000);
    CHECK(dht_deadline(&w.nodes[0].d) == NEVER_US);
    world_done(&w);
}

TEST(dht_dht, find_refusals)
{
    struct world w;
    struct dht_pos target = {{1}};
    uint32_t handle = 0, handles[DHT_SEARCHES_MAX];
    world_init(&w, 5, 21);
    CHECK_EQ(dht_find(&w.nodes[0].d, w.now_us, &target, LOOKUP_LOCATE, &handle), IPX_UNREACHABLE);
    world_join_all(&w, 100000);
    world_run(&w, w.now_us + 10 * US_PER_S);
    struct dht *d = &w.nodes[0].d;
    for (int i = 0; i < DHT_SEARCHES_MAX - DHT_SEARCHES_OWN; i++) {
        CHECK_OK(dht_find(d, w.now_us, &target, LOOKUP_LOCATE, &handles[i]));
        CHECK(i == 0 || handles[i] != handles[i - 1]);
    }
    CHECK_EQ(dht_find(d, w.now_us, &target, LOOKUP_LOCATE, &handle), IPX_FULL);
    CHECK_EQ(handle, 0); /* untouched */
    world_drain(&w, 0);
    for (int i = 0; i < DHT_SEARCHES_MAX - DHT_SEARCHES_OWN; i++) {
        dht_find_cancel(d, w.now_us, handles[i]);
        dht_find_cancel(d, w.now_us, handles[i]);
        dht_check(d);
    }
    world_run(&w, w.now_us + 10 * US_PER_S); /* their answers find nothing */
    CHECK_EQ(w.nodes[0].found.handle, 0);
    w.mem.fail_after = 0;
    CHECK_EQ(dht_find(d, w.now_us, &target, LOOKUP_LOCATE, &handle), IPX_NO_MEMORY);
    struct dht_contact c = world_contact(&w, 1);
    struct dht copy;
    CHECK_EQ(dht_bootstrap(d, w.now_us, &c, 1), IPX_NO_MEMORY);
    for (uint64_t fail = 0; fail < 3; fail++) {
        w.mem.fail_after = fail;
        CHECK_EQ(dht_init(&copy, w.now_us, &d->config), IPX_NO_MEMORY);
        dht_done(&copy);
    }
    w.mem.fail_after = 0; /* without memory nothing breaks; with it all goes on */
    world_run(&w, w.now_us + 1200 * US_PER_S);
    w.mem.fail_after = UINT64_MAX;
    CHECK_OK(dht_find(d, w.now_us, &target, LOOKUP_LOCATE, &handle));
    world_drain(&w, 0);
    world_run(&w, w.now_us + 10 * US_PER_S);
    CHECK_EQ(w.nodes[0].found.handle, handle);
    world_done(&w);
}

/* Two nodes by hand: what node 0 makes of each message. */
static void give(struct world *w, const struct cert_facts *facts, const struct dht_wire_msg *m,
                 uint32_t req_id, bool is_early)
{
    uint8_t body[DHT_BODY_MAX];
    struct writer out = writer_of(body, sizeof(body));
    dht_wire_encode(m, &out);
    struct dht_msg msg = {.facts = facts,
                          .addr = &w->nodes[1].addr,
                          .req_id = req_id,
                          .type = m->type,
                          .is_early = is_early,
                          .body = writer_slice(&out)};
    dht_recv(&w->nodes[0].d, w->now_us, &msg);
    dht_check(&w->nodes[0].d);
}

TEST(dht_dht, replies_not_asked_for)
{
    struct world w;
    struct dht_action a;
    struct dht_pos target = {{1}};
    uint32_t handle = 0;
    world_init(&w, 3, 33);
    struct dht *d = &w.nodes[0].d;
    struct dht_wire_msg nodes = {.type = DHT_NODES}, value = {.type = DHT_VALUE};
    dht_on_session(d, w.now_us, &w.nodes[1].facts, &w.nodes[1].addr);
    while (dht_poll(d, &a)) { /* it asks the newcomer about its own neighbourhood */
    }
    dht_tick(d, w.now_us + 3 * US_PER_S);
    while (dht_poll(d, &a)) {
    }
    w.now_us += 4 * US_PER_S;
    CHECK_OK(dht_find(d, w.now_us, &target, LOOKUP_CLOSEST, &handle));
    CHECK(dht_poll(d, &a));
    CHECK_EQ(a.kind, DHT_ACTION_SEND);
    CHECK_EQ(a.send.type, DHT_FIND_NODE);
    uint32_t id = a.send.req_id;
    give(&w, &w.nodes[2].facts, &nodes, id, false);     /* another session */
    give(&w, &w.nodes[1].facts, &nodes, id + 1, false); /* unknown id */
    give(&w, &w.nodes[1].facts, &value, id, false);     /* another type */
    CHECK_EQ(d->stats.n_unasked, 3);
    CHECK(!dht_poll(d, &a)); /* nothing follows from these, and 2 is no member by them */
    CHECK_EQ(dht_n_members(d), 1);
    give(&w, &w.nodes[1].facts, &nodes, id, false);
    CHECK(dht_poll(d, &a));
    CHECK_EQ(a.kind, DHT_ACTION_FOUND);
    CHECK_EQ(a.found.n_nodes, 1);
    give(&w, &w.nodes[1].facts, &nodes, id, false); /* again: late */
    CHECK_EQ(d->stats.n_unasked, 4);

    /* Early requests have no side effect, and a STORE none at all. */
    struct dht_wire_msg ping = {.type = DHT_PING}, store = {.type = DHT_STORE};
    store.record = slice_text("x");
    give(&w, &w.nodes[2].facts, &ping, 7, true);
    CHECK_EQ(dht_n_members(d), 1);
    give(&w, &w.nodes[2].facts, &store, 8, true);
    CHECK_EQ(d->stats.n_early_refused, 1);
    CHECK(dht_poll(d, &a)); /* answers go first */
    CHECK_EQ(a.send.type, DHT_PONG);
    CHECK_EQ(a.send.req_id, 7);
    while (dht_poll(d, &a)) {
        CHECK(a.kind != DHT_ACTION_SEND || a.send.type == DHT_FIND_NODE);
    }

    /* A client asks and enters no table. */
    ping.flags = DHT_FLAG_CLIENT;
    give(&w, &w.nodes[2].facts, &ping, 9, false);
    CHECK_EQ(dht_n_members(d), 1);
    ping.flags = 0;
    give(&w, &w.nodes[2].facts, &ping, 10, false);
    CHECK_EQ(dht_n_members(d), 2);

    /* Nobody drains: what is too much is dropped. Ten pings to 8 places. */
    for (uint32_t i = 0; i < 10; i++) {
        give(&w, &w.nodes[2].facts, &ping, 20 + i, false);
    }
    CHECK_EQ(d->stats.n_dropped, 4);
    struct dht_msg bad = {.facts = &w.nodes[1].facts, .addr = &w.nodes[1].addr};
    for (unsigned type = 0; type < 256; type++) {
        bad.type = (uint8_t)type;
        bad.body = slice_text("\xff\xff");
        dht_recv(d, w.now_us, &bad);
    }
    CHECK_EQ(d->stats.n_malformed, 256 - 4);
    CHECK_EQ(d->stats.n_unasked, 4 + 4);
    world_done(&w);
}

TEST(dht_dht, scopes_of_contacts)
{
    struct world w;
    struct dht_action a;
    world_init(&w, 5, 61);
    struct dht *d = &w.nodes[0].d;
    struct addr loop = {.family = ADDR_V4, .ip = {127, 0, 0, 2}, .port = 1};
    struct addr global = {.family = ADDR_V4, .ip = {8, 8, 8, 8}, .port = 1};
    struct addr global6 = {.family = ADDR_V6, .ip = {0x26, 0, 1}, .port = 1};
    const struct addr *asker[] = {&loop, &w.nodes[4].addr, &global};
    static const size_t n_told[] = {4, 3, 2};
    dht_on_session(d, w.now_us, &w.nodes[1].facts, &loop);
    dht_on_session(d, w.now_us, &w.nodes[2].facts, &w.nodes[2].addr);
    dht_on_session(d, w.now_us, &w.nodes[3].facts, &global);
    struct cert_facts extra = world_facts(&w.mesh, &w.fakes[0].pk, w.nodes[0].facts.nonce);
    dht_on_session(d, w.now_us, &extra, &global6);
    for (size_t i = 0; i < ARRAY_LEN(asker); i++) {
        struct dht_wire_msg m = {.type = DHT_FIND_NODE, .want = DHT_WANT_V4 | DHT_WANT_V6}, got;
        uint8_t body[DHT_BODY_MAX];
        struct writer out = writer_of(body, sizeof(body));
        dht_wire_encode(&m, &out);
        struct dht_msg msg = {.facts = &w.nodes[4].facts,
                              .addr = asker[i],
                              .type = m.type,
                              .is_early = true,
                              .body = writer_slice(&out)};
        dht_recv(d, w.now_us, &msg);
        CHECK(dht_poll(d, &a));
        CHECK_EQ(a.send.type, DHT_NODES);
        CHECK_OK(dht_wire_decode(a.send.type, a.send.body, &got));
        CHECK_EQ(got.n_contacts, n_told[i]);
    }
    world_done(&w);
}
