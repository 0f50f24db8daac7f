/* SPDX-License-Identifier: Apache-2.0 */
/* The DHT object: publishing, restart, being cut off, idling, and what it refuses. */
#include "dht/join.h"
#include "dht/publish.h"
#include "tests/unit/dht_world.h"

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
        n_held += dht_store_get(&w.nodes[i].d.store, w.now_us, DHT_KIND_NODE,
                                &w.nodes[3].facts.pos) != NULL;
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
    struct writer first = writer_of(file, sizeof(file));
    const struct dht_contact given = {
        .id = w.nodes[7].d.config.key->pk, .flags = DHT_FLAG_NO_NONCE, .addr = w.nodes[7].addr};
    CHECK_OK(dht_bootstrap(&w.nodes[29].d, w.now_us, &given, 1));
    dht_contacts_encode(&w.nodes[29].d, &first); /* before it has met anybody */
    CHECK_OK(dht_save_decode(writer_slice(&first), contacts, ARRAY_LEN(contacts), &n,
                             &config.record_seq));
    CHECK_EQ(n, 1);
    CHECK(node_id_equal(&contacts[0].id, &given.id) && contacts[0].flags == DHT_FLAG_NO_NONCE);
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

    world_done(&w);
}

TEST(dht_dht, too_much_and_too_odd)
{
    struct world w;
    struct dht_wire_msg ping = {.type = DHT_PING};
    world_init(&w, 3, 34);
    struct dht *d = &w.nodes[0].d;
    /* Nobody drains: what is too much is dropped. */
    for (uint32_t i = 0; i < 10; i++) {
        give(&w, &w.nodes[2].facts, &ping, 20 + i, false);
    }
    CHECK_EQ(d->stats.n_dropped, 10 - DHT_ANSWERS_MAX);
    struct dht_msg bad = {.facts = &w.nodes[1].facts, .addr = &w.nodes[1].addr};
    for (unsigned type = 0; type < 256; type++) {
        bad.type = (uint8_t)type;
        bad.body = slice_text("\xff\xff");
        dht_recv(d, w.now_us, &bad);
    }
    CHECK_EQ(d->stats.n_malformed, 256 - 4);
    CHECK_EQ(d->stats.n_unasked, 4);
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
