/* SPDX-License-Identifier: Apache-2.0 */
/* What statements do to members: refutation, replays, forgeries, clones, leaving, chains. */
#include "gossip/verdict.h"

#include "gossip/pending.h"
#include "tests/unit/gossip_net.h"

/* Hands one item of `from` to node `to` as a SPREAD. */
static void give(struct net *net, unsigned to, unsigned from, struct slice item)
{
    struct gossip_packer p;
    uint8_t body[GOSSIP_BODY_MAX];
    gossip_packer_init(&p, GOSSIP_ITEMS_LEN_MAX);
    CHECK(gossip_packer_add(&p, item));
    struct gossip_msg m = {.items = gossip_packer_items(&p)};
    struct writer w = writer_of(body, sizeof(body));
    gossip_msg_encode(GOSSIP_TYPE_SPREAD, &m, &w);
    gossip_recv(&net->nodes[to].g, net->now_us, &net->nodes[from].facts, &net->nodes[from].addr,
                GOSSIP_TYPE_SPREAD, 0, writer_slice(&w));
    net_drain(net, to);
}

static struct slice accusation(struct net *net, enum gossip_kind kind, unsigned by, unsigned about,
                               uint32_t incarnation, uint8_t out[static 400])
{
    uint8_t body[256];
    struct gossip_claim c = {.by = net->nodes[by].key.pk,
                             .about = net->nodes[about].key.pk,
                             .boot = net->nodes[about].boot,
                             .incarnation = incarnation};
    struct writer w = writer_of(body, sizeof(body));
    gossip_claim_encode(kind, &c, &w);
    struct writer o = writer_of(out, 400);
    gossip_item_sign(&o, kind, &net->nodes[by].key, &net->mesh, writer_slice(&w), SLICE_EMPTY);
    CHECK(!o.failed);
    return writer_slice(&o);
}

static void start(struct net *net, unsigned n, uint64_t seed)
{
    net_init(net, n, seed);
    net_mass_start(net, 10 * US_PER_MS, true);
    net_for(net, 3 * US_PER_S);
    CHECK(net_all_know_all(net));
}

TEST(gossip_verdict, suspicion_times)
{
    CHECK_EQ(gossip_log10_milli(1), 1000);
    CHECK_EQ(gossip_log10_milli(10), 1000);
    CHECK(gossip_log10_milli(100) >= 1998 && gossip_log10_milli(100) <= 2001);
    CHECK(gossip_log10_milli(128) >= 2105 && gossip_log10_milli(128) <= 2108);
    CHECK(gossip_log10_milli(1024) >= 3008 && gossip_log10_milli(1024) <= 3011);
    CHECK_EQ(gossip_suspicion_us(10, 0), 18 * US_PER_S);
    CHECK_EQ(gossip_suspicion_us(10, 2), 3 * US_PER_S);
    CHECK_EQ(gossip_suspicion_us(10, 9), 3 * US_PER_S);
    CHECK(gossip_suspicion_us(10, 1) > 8 * US_PER_S && gossip_suspicion_us(10, 1) < 9 * US_PER_S);
    CHECK_EQ(gossip_suspicion_us(3, 1), 3 * US_PER_S); /* one other can confirm, not two */
    CHECK_EQ(gossip_suspicion_us(2, 0), 3 * US_PER_S); /* nobody can */
}

/* Class 30: an accusation about oneself is refuted by a higher incarnation, everywhere, soon. */
TEST(gossip_verdict, refuted)
{
    struct net net;
    uint8_t item[400];
    start(&net, 8, 2);
    uint32_t before = net.nodes[2].g.self->incarnation;
    give(&net, 3, 1, accusation(&net, GOSSIP_KIND_SUSPECT, 1, 2, before, item));
    const struct gossip_member *m = gossip_find(&net.nodes[3].g, &net.nodes[2].key.pk);
    CHECK_EQ(m->state, GOSSIP_STATE_SUSPECT);
    CHECK_EQ(net.nodes[3].n_suspects, 1);
    net_for(&net, 2 * US_PER_S);
    for (unsigned i = 0; i < 8; i++) {
        m = gossip_find(&net.nodes[i].g, &net.nodes[2].key.pk);
        CHECK_EQ(m->state, GOSSIP_STATE_ALIVE);
        CHECK_EQ(m->incarnation, before + 1);
        CHECK_EQ(net.nodes[i].n_downs, 0);
    }
    /* an accusation of an incarnation that never was is no reason to make one */
    give(&net, 2, 1, accusation(&net, GOSSIP_KIND_DEAD, 1, 2, UINT32_MAX, item));
    CHECK_EQ(net.nodes[2].g.self->incarnation, before + 1);
    net_done(&net);
}

/* Class 31: what was once signed does not work twice. */
TEST(gossip_verdict, replay)
{
    struct net net;
    uint8_t old[700];
    uint8_t item[400];
    start(&net, 5, 2);
    const struct gossip_member *m = gossip_find(&net.nodes[0].g, &net.nodes[4].key.pk);
    struct slice alive = slice_of(old, m->alive.len);
    memcpy(old, m->alive.data, m->alive.len);
    uint32_t before = m->incarnation;
    net_stop(&net, 4);
    net_for(&net, 20 * US_PER_S);
    CHECK_EQ(m->state, GOSSIP_STATE_DEAD);
    give(&net, 0, 1, alive);
    CHECK_EQ(m->state, GOSSIP_STATE_DEAD);
    /* it restarts: a higher generation, and its first boot's words are worth nothing */
    net_start(&net, 4);
    net_join(&net, 4, 2);
    net_for(&net, 2 * US_PER_S);
    CHECK(net_all_know_all(&net));
    CHECK_EQ(m->boot.generation, 2);
    give(&net, 0, 1, alive);
    give(&net, 0, 1, accusation(&net, GOSSIP_KIND_DEAD, 1, 4, before + 40, item));
    CHECK_EQ(m->boot.generation, 2);
    CHECK_EQ(m->state, GOSSIP_STATE_ALIVE);
    net_done(&net);
}

/* Class 33: one member says again and again that all are dead. */
TEST(gossip_verdict, forged_storm)
{
    struct net net;
    uint8_t item[400];
    start(&net, 12, 3);
    for (unsigned round = 0; round < 60; round++) {
        for (unsigned about = 2; about < 12; about++) {
            const struct gossip_member *m = gossip_find(&net.nodes[1].g, &net.nodes[about].key.pk);
            for (unsigned to = 2; to < 12; to += 3) {
                if (to != about) {
                    give(&net, to, 1,
                         accusation(&net, GOSSIP_KIND_DEAD, 1, about, m->incarnation, item));
                }
            }
        }
        net_for(&net, US_PER_S / 2);
    }
    for (unsigned i = 0; i < 12; i++) {
        CHECK_EQ(net.nodes[i].n_downs, 0);
    }
    net_for(&net, 20 * US_PER_S);
    CHECK(net_all_know_all(&net));
    for (unsigned i = 0; i < 12; i++) {
        CHECK_EQ(net.nodes[i].n_downs, 0);
        CHECK_EQ(net.nodes[i].g.members.counts[GOSSIP_STATE_SUSPECT], 0);
    }
    net_done(&net);
}

/* A signature of another key, a bent one, a statement by nobody known. */
TEST(gossip_verdict, forged)
{
    struct net net;
    uint8_t item[400];
    start(&net, 4, 4);
    struct gossip *g = &net.nodes[0].g;
    const struct gossip_member *m = gossip_find(g, &net.nodes[2].key.pk);
    struct slice s = accusation(&net, GOSSIP_KIND_SUSPECT, 1, 2, m->incarnation, item);
    item[s.len - 1] ^= 1;
    uint64_t n_refused = g->stats.n_refused;
    give(&net, 0, 1, s);
    CHECK_EQ(g->stats.n_refused, n_refused + 1);
    /* a leave that another signed */
    uint8_t body[128];
    struct gossip_claim c = {.about = m->facts.id, .boot = m->boot, .incarnation = m->incarnation};
    struct writer w = writer_of(body, sizeof(body));
    gossip_claim_encode(GOSSIP_KIND_LEAVE, &c, &w);
    struct writer o = writer_of(item, sizeof(item));
    gossip_item_sign(&o, GOSSIP_KIND_LEAVE, &net.nodes[1].key, &net.mesh, writer_slice(&w),
                     SLICE_EMPTY);
    give(&net, 0, 1, writer_slice(&o));
    CHECK_EQ(m->state, GOSSIP_STATE_ALIVE);
    /* accused by a key that is no member */
    struct net_node stranger = net.nodes[1];
    net_key(77, &net.nodes[1].key);
    s = accusation(&net, GOSSIP_KIND_SUSPECT, 1, 2, m->incarnation, item);
    net.nodes[1].key = stranger.key;
    give(&net, 0, 1, s);
    CHECK_EQ(m->state, GOSSIP_STATE_ALIVE);
    net_done(&net);
}

/* Class 32: the same key twice. The lower boot hears of the higher one; the higher does not. */
TEST(gossip_verdict, clone)
{
    struct net net;
    net_init(&net, 6, 5);
    net_mass_start(&net, 10 * US_PER_MS, true);
    net_for(&net, 2 * US_PER_S);
    /* node 5 becomes a second node 4, from a copied disk that was started once more */
    net_stop(&net, 5);
    net_for(&net, 20 * US_PER_S);
    struct net_node *copy = &net.nodes[5];
    copy->key = net.nodes[4].key;
    copy->facts = net.nodes[4].facts;
    memcpy(copy->chain, net.nodes[4].chain, sizeof(copy->chain));
    copy->boot = net.nodes[4].boot;
    net_start(&net, 5);
    net_join(&net, 5, 0);
    net_for(&net, 5 * US_PER_S);
    CHECK_EQ(net.nodes[4].n_clones, 1);
    CHECK_EQ(net.nodes[4].clone.generation, copy->boot.generation);
    CHECK_EQ(copy->n_clones, 0);
    net_done(&net);
}

/* A node whose disk is old hears of its own later boot and goes above it. */
TEST(gossip_verdict, generation_jump)
{
    struct net net;
    net_init(&net, 5, 6);
    net.nodes[4].boot.generation = 8;
    net_mass_start(&net, 10 * US_PER_MS, true);
    net_for(&net, 2 * US_PER_S);
    net_stop(&net, 4);
    net_for(&net, 20 * US_PER_S);
    net.nodes[4].boot.generation = 3; /* restored from a copy; starts as 4 */
    net_start(&net, 4);
    net_join(&net, 4, 1);
    net_for(&net, 3 * US_PER_S);
    CHECK(net.nodes[4].n_clones >= 1);
    CHECK_EQ(net.nodes[4].clone.generation, 9);
    net.nodes[4].boot.generation = net.nodes[4].clone.generation + 1;
    gossip_set_boot(&net.nodes[4].g, net.now_us, &net.nodes[4].boot);
    net_drain(&net, 4);
    net_for(&net, 3 * US_PER_S);
    CHECK(net_all_know_all(&net));
    net_done(&net);
}

static void left_only(struct net *net, unsigned node, const struct gossip_member *m)
{
    (void)net;
    (void)node;
    CHECK_EQ(m->reason, GOSSIP_REASON_LEFT);
}

/* In small meshes too a leave is told at once, by itself: soon nobody is there to be asked. */
TEST(gossip_verdict, leave_of_few)
{
    for (unsigned n = 2; n <= 4; n++) {
        struct net net;
        start(&net, n, 6);
        gossip_leave(&net.nodes[n - 1].g, net.now_us);
        net_drain(&net, n - 1);
        net_stop(&net, n - 1);
        net_for(&net, 10 * US_PER_MS);
        for (unsigned i = 0; i + 1 < n; i++) {
            const struct gossip_member *m = gossip_find(&net.nodes[i].g, &net.nodes[n - 1].key.pk);
            CHECK_EQ(m->state, GOSSIP_STATE_LEFT);
        }
        net_done(&net);
    }
}

TEST(gossip_verdict, leave)
{
    struct net net;
    net_init(&net, 20, 7);
    net.loss_permille = 10;
    net_mass_start(&net, 10 * US_PER_MS, true);
    net_for(&net, 3 * US_PER_S);
    net.on_down = left_only;
    gossip_leave(&net.nodes[7].g, net.now_us);
    net_drain(&net, 7);
    net_stop(&net, 7);
    net_for(&net, 3 * US_PER_S / 2); /* the goal of a clean leave */
    for (unsigned i = 0; i < 20; i++) {
        CHECK_EQ(net.nodes[i].n_downs, i == 7 ? 0 : 1);
        CHECK_EQ(net.nodes[i].n_suspects, 0);
    }
    net_for(&net, 30 * US_PER_S);
    net_start(&net, 7); /* and back */
    net_join(&net, 7, 3);
    net_for(&net, 2 * US_PER_S);
    CHECK(net_all_know_all(&net));
    net_done(&net);
}

/* Shut out: down at once, and no statement of its own brings it back. */
TEST(gossip_verdict, barred_and_expired)
{
    struct net net;
    start(&net, 4, 8);
    struct gossip *g = &net.nodes[0].g;
    const struct gossip_member *m = gossip_find(g, &net.nodes[3].key.pk);
    gossip_bar(g, net.now_us, &net.nodes[3].key.pk);
    net_drain(&net, 0);
    CHECK_EQ(net.nodes[0].n_downs, 1);
    CHECK_EQ(m->reason, GOSSIP_REASON_BARRED);
    gossip_set_addrs(&net.nodes[3].g, net.now_us, &net.nodes[3].addr, 1, 9);
    net_drain(&net, 3);
    net_for(&net, 20 * US_PER_S);
    CHECK_EQ(m->state, GOSSIP_STATE_DEAD);
    CHECK_EQ(net.nodes[0].n_ups, 3);
    /* the certificate of node 2 ends */
    struct gossip_member *two = gossip_members_find(&g->members, &net.nodes[2].key.pk);
    two->facts.not_after_ms = 1000000;
    gossip_on_clock(g, net.now_us, 1000000 + CERT_SKEW_MS + 1);
    net_drain(&net, 0);
    net_for(&net, 15 * US_PER_S);
    CHECK_EQ(two->reason, GOSSIP_REASON_EXPIRED);
    net_done(&net);
}

static void give_alive(struct net *net, unsigned to, unsigned from, unsigned about,
                       uint32_t incarnation, const struct hash *chain_hash)
{
    uint8_t body[512];
    uint8_t item[700];
    const struct net_node *x = &net->nodes[about];
    struct gossip_alive a = {
        .pk = x->key.pk, .boot = x->boot, .incarnation = incarnation, .chain_hash = *chain_hash};
    struct writer w = writer_of(body, sizeof(body));
    gossip_alive_encode(&a, &w);
    struct writer o = writer_of(item, sizeof(item));
    gossip_item_sign(&o, GOSSIP_KIND_ALIVE, &x->key, &net->mesh, writer_slice(&w), SLICE_EMPTY);
    CHECK(!w.failed && !o.failed);
    give(net, to, from, writer_slice(&o));
}

/* Shut out with the one that admitted it, before we heard of its certificate by the issuer: all
 * others know that one, and so it is a member here too as soon as we have seen it. */
TEST(gossip_verdict, barred_by_an_old_chain)
{
    struct net net;
    start(&net, 4, 8);
    struct net_node *x = &net.nodes[3];
    struct gossip *g = &net.nodes[0].g;
    const struct gossip_member *m = gossip_find(g, &x->key.pk);
    gossip_bar(g, net.now_us, &x->key.pk);
    net_drain(&net, 0);
    give_alive(&net, 0, 3, 3, m->incarnation + 1, &m->facts.chain_hash);
    CHECK_EQ(m->reason, GOSSIP_REASON_BARRED);
    net_chain(x, "plain", 3, x->chain);
    net_facts(x->chain, NET_CHAIN_LEN, &x->facts);
    CHECK_OK(gossip_set_chain(&x->g, net.now_us, &x->facts, slice_of(x->chain, NET_CHAIN_LEN)));
    net_drain(&net, 3);
    net_for(&net, 3 * US_PER_S);
    CHECK_EQ(m->state, GOSSIP_STATE_ALIVE);
    CHECK_STR(m->facts.name, "plain");
    CHECK(net_all_know_all(&net));
    gossip_bar(g, net.now_us, &x->key.pk); /* now this one too */
    net_drain(&net, 0);
    net_for(&net, 20 * US_PER_S);
    CHECK_EQ(m->reason, GOSSIP_REASON_BARRED);
    net_done(&net);
}

/* A statement waits for a chain that nobody has; a newer one, which goes by the chain we hold, is
 * taken meanwhile. The chain comes after all: what we know does not go back. */
TEST(gossip_verdict, late_chain)
{
    struct net net;
    uint8_t chain[NET_CHAIN_LEN];
    struct cert_facts facts;
    start(&net, 4, 12);
    struct gossip *g = &net.nodes[0].g;
    const struct gossip_member *m = gossip_find(g, &net.nodes[1].key.pk);
    struct hash held = m->facts.chain_hash;
    uint32_t incarnation = m->incarnation;
    net_chain(&net.nodes[1], "late", 5, chain);
    net_facts(chain, sizeof(chain), &facts);
    give_alive(&net, 0, 2, 1, incarnation + 1, &facts.chain_hash);
    CHECK(gossip_pending_find(g, &facts.id) != NULL);
    give_alive(&net, 0, 2, 1, incarnation + 2, &held);
    CHECK_EQ(m->incarnation, incarnation + 2);
    gossip_on_chain(g, net.now_us, &facts, slice_of(chain, sizeof(chain)));
    CHECK_EQ(m->incarnation, incarnation + 2);
    CHECK(hash_equal(&m->facts.chain_hash, &held));
    CHECK(gossip_pending_find(g, &facts.id) == NULL);
    net_done(&net);
}

/* Statements whose chain never comes or is refused are bounded and forgotten. */
TEST(gossip_verdict, pending)
{
    struct net net;
    uint8_t body[512];
    uint8_t item[700];
    start(&net, 2, 9);
    struct gossip *g = &net.nodes[0].g;
    for (unsigned i = 0; i < 3 * GOSSIP_PENDING_MAX; i++) {
        struct crypt_keypair key;
        net_key(1000 + i, &key);
        struct gossip_alive a = {.pk = key.pk, .boot = {1, 1}, .incarnation = 1};
        store_be32(a.chain_hash.bytes, i);
        struct writer w = writer_of(body, sizeof(body));
        gossip_alive_encode(&a, &w);
        struct writer o = writer_of(item, sizeof(item));
        gossip_item_sign(&o, GOSSIP_KIND_ALIVE, &key, &net.mesh, writer_slice(&w), SLICE_EMPTY);
        give(&net, 0, 1, writer_slice(&o));
        CHECK(g->pending.n <= GOSSIP_PENDING_MAX);
    }
    CHECK_EQ(g->pending.n, GOSSIP_PENDING_MAX);
    net_for(&net, 5 * US_PER_S);
    CHECK_EQ(g->pending.n, 0);
    CHECK_EQ(gossip_n_live(g), 2);
    /* a chain that the node layer refuses: not looked at again for a while */
    struct crypt_keypair key;
    uint8_t chain[100] = {1};
    net_key(5000, &key);
    struct gossip_alive a = {.pk = key.pk, .boot = {1, 1}, .incarnation = 1};
    a.chain_hash = crypt_hash(slice_of(chain, sizeof(chain)));
    struct writer w = writer_of(body, sizeof(body));
    gossip_alive_encode(&a, &w);
    struct writer o = writer_of(item, sizeof(item));
    gossip_item_sign(&o, GOSSIP_KIND_ALIVE, &key, &net.mesh, writer_slice(&w), SLICE_EMPTY);
    give(&net, 0, 1, writer_slice(&o));
    CHECK(gossip_pending_find(g, &key.pk) != NULL);
    uint8_t raw[160];
    struct writer cw = writer_of(raw, sizeof(raw));
    struct gossip_item ci = {.kind = GOSSIP_KIND_CHAIN, .body = slice_of(chain, sizeof(chain))};
    gossip_item_put(&cw, &ci);
    give(&net, 0, 1, writer_slice(&cw));
    CHECK(gossip_pending_find(g, &key.pk) == NULL);
    CHECK(gossip_pending_is_refused(g, net.now_us, &a.chain_hash));
    give(&net, 0, 1, writer_slice(&o));
    CHECK(gossip_pending_find(g, &key.pk) == NULL);
    /* unless our clock was wrong: then it is asked for again */
    gossip_on_clock(g, net.now_us, 1000000);
    CHECK(!gossip_pending_is_refused(g, net.now_us, &a.chain_hash));
    give(&net, 0, 1, writer_slice(&o));
    CHECK(gossip_pending_find(g, &key.pk) != NULL);
    give(&net, 0, 1, writer_slice(&cw));
    CHECK(gossip_pending_is_refused(g, net.now_us, &a.chain_hash));
    gossip_on_clock(g, net.now_us + 5 * US_PER_S, 1005100); /* goes on, with a small correction */
    CHECK(gossip_pending_is_refused(g, net.now_us + 5 * US_PER_S, &a.chain_hash));
    net_done(&net);
}

/* Of two with one name the earlier admitted keeps it. */
TEST(gossip_verdict, names)
{
    struct net net;
    char a[GOSSIP_NAME_SIZE];
    char b[GOSSIP_NAME_SIZE];
    net_init(&net, 3, 10);
    for (unsigned i = 1; i < 3; i++) {
        net_chain(&net.nodes[i], "twin", 1000 - i, net.nodes[i].chain);
        net_facts(net.nodes[i].chain, NET_CHAIN_LEN, &net.nodes[i].facts);
    }
    net_mass_start(&net, 10 * US_PER_MS, true);
    net_for(&net, 2 * US_PER_S);
    CHECK(net_all_know_all(&net));
    const struct gossip *g = &net.nodes[0].g;
    gossip_display_name(g, gossip_find(g, &net.nodes[1].key.pk), a);
    gossip_display_name(g, gossip_find(g, &net.nodes[2].key.pk), b);
    CHECK_STR(b, "lab/twin");
    CHECK_EQ(strlen(a), strlen("lab/twin-xxxx"));
    CHECK(strncmp(a, "lab/twin-", 9) == 0);
    gossip_display_name(g, gossip_self(g), a);
    CHECK_STR(a, "lab/n0");
    net_done(&net);
}

/* A renewed certificate reaches all; the facts follow the chain. */
TEST(gossip_verdict, renewal)
{
    struct net net;
    start(&net, 6, 11);
    struct net_node *x = &net.nodes[3];
    net_chain(x, "renewed", 3, x->chain);
    net_facts(x->chain, NET_CHAIN_LEN, &x->facts);
    CHECK_OK(gossip_set_chain(&x->g, net.now_us, &x->facts, slice_of(x->chain, NET_CHAIN_LEN)));
    net_drain(&net, 3);
    net_for(&net, 2 * US_PER_S);
    for (unsigned i = 0; i < 6; i++) {
        const struct gossip_member *m = gossip_find(&net.nodes[i].g, &x->key.pk);
        CHECK_STR(m->facts.name, "renewed");
        CHECK(slice_equal(gossip_get_chain(&net.nodes[i].g, &x->key.pk),
                          slice_of(x->chain, NET_CHAIN_LEN)));
    }
    net_done(&net);
}
