/* SPDX-License-Identifier: Apache-2.0 */
/* Ads and vitals: spreading, versions, limits, what is refused. */
#include "gossip/ads.h"

#include "gossip/vitals.h"
#include "tests/unit/gossip_net.h"

static struct ad *make_ad(struct mem *mem, double number, unsigned n_long)
{
    struct ad_builder *b = ad_builder_new(mem);
    struct ad *ad = NULL;
    char text[LABEL_STRING_MAX];
    CHECK(b != NULL);
    struct label_value v = {.type = LABEL_NUMBER, .number = number};
    CHECK_OK(ad_builder_label(b, slice_text("k"), &v));
    memset(text, 'x', sizeof(text));
    for (unsigned i = 0; i < n_long; i++) {
        char name[16];
        snprintf(name, sizeof(name), "long%u", i);
        v = (struct label_value){.type = LABEL_STRING, .text = slice_of(text, 200)};
        CHECK_OK(ad_builder_label(b, slice_text(name), &v));
    }
    CHECK_OK(ad_builder_finish(b, &ad));
    ad_builder_free(b);
    return ad;
}

static void set_ad(struct net *net, unsigned i, double number, unsigned n_long)
{
    struct ad *ad = make_ad(&net->nodes[i].mem, number, n_long);
    gossip_set_ad(&net->nodes[i].g, net->now_us, ad);
    ad_unref(ad);
    net_drain(net, i);
}

static double wanted;
static unsigned wanted_of;

static bool all_have_it(const struct net *net)
{
    for (unsigned i = 0; i < net->n; i++) {
        const struct gossip_member *m =
            gossip_find(&net->nodes[i].g, &net->nodes[wanted_of].key.pk);
        const struct label_value *v =
            m == NULL || m->ad == NULL ? NULL : ad_find(m->ad, slice_text("k"));
        if (v == NULL || v->number != wanted) {
            return false;
        }
    }
    return true;
}

/* `label set` is seen everywhere in less than 2 s; also an ad which is too long for a packet. */
TEST(gossip_ads, seen_everywhere)
{
    static const struct {
        unsigned n, loss_permille, n_long, n_changes;
    } rows[] = {{3, 0, 0, 9}, {30, 10, 0, 9}, {30, 10, 15, 9}, {100, 10, 2, 3}};
    for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
        struct net net;
        net_init(&net, rows[row].n, row + 1);
        net.is_checked = rows[row].n <= 30;
        net.loss_permille = rows[row].loss_permille;
        net_mass_start(&net, 100 * US_PER_MS, false);
        net_for(&net, 5 * US_PER_S);
        CHECK(net_all_know_all(&net));
        for (unsigned k = 0; k < rows[row].n_changes; k++) {
            wanted_of = (unsigned)rng_below(&net.rng, rows[row].n);
            wanted = k + 1;
            set_ad(&net, wanted_of, wanted, rows[row].n_long);
            CHECK(net_run(&net, net.now_us + 2 * US_PER_S, all_have_it));
            net_for(&net, 3 * US_PER_S);
        }
        unsigned n_fetches = 0;
        for (unsigned i = 0; i < net.n; i++) {
            n_fetches += net.nodes[i].n_fetches;
        }
        CHECK((n_fetches > 0) == (rows[row].n_long == 15));
        net_done(&net);
    }
}

/* A newcomer learns the ads of all; after a restart the newer boot's ad wins. */
TEST(gossip_ads, newcomer_and_restart)
{
    struct net net;
    net_init(&net, 8, 3);
    for (unsigned i = 0; i < 7; i++) {
        net_start(&net, i);
        set_ad(&net, i, i, i % 2 == 0 ? 2 : 15);
        if (i > 0) {
            net_join(&net, i, i - 1);
        }
    }
    net_for(&net, 3 * US_PER_S);
    net_start(&net, 7);
    set_ad(&net, 7, 7, 0);
    net_join(&net, 7, 4);
    for (unsigned i = 0; i < 8; i++) {
        wanted_of = i;
        wanted = i;
        CHECK(all_have_it(&net) || net_run(&net, net.now_us + 2 * US_PER_S, all_have_it));
    }
    net_stop(&net, 2);
    net_for(&net, US_PER_S);
    net_start(&net, 2);
    set_ad(&net, 2, 222, 0); /* version 1 again, of a newer boot */
    net_join(&net, 2, 0);
    wanted_of = 2;
    wanted = 222;
    CHECK(net_run(&net, net.now_us + 2 * US_PER_S, all_have_it));
    net_done(&net);
}

/* Ten changes at once, then one a minute; of those that wait the last is told. */
TEST(gossip_ads, rate)
{
    struct net net;
    net_init(&net, 3, 4);
    net_mass_start(&net, 10 * US_PER_MS, true);
    net_for(&net, 2 * US_PER_S);
    for (unsigned i = 1; i <= 40; i++) {
        set_ad(&net, 0, i, 0);
    }
    CHECK_EQ(net.nodes[0].g.self->ad_version, GOSSIP_ADS_BURST);
    net_for(&net, 2 * US_PER_S);
    wanted_of = 0;
    wanted = 10;
    CHECK(all_have_it(&net));
    net_for(&net, 61 * US_PER_S);
    wanted = 40;
    CHECK(all_have_it(&net));
    CHECK_EQ(net.nodes[0].g.self->ad_version, GOSSIP_ADS_BURST + 1);
    net_done(&net);
}

/* An ad that another signed, whose content is another, or that names what only the evaluator may.
 */
TEST(gossip_ads, refused)
{
    static const struct {
        unsigned signer;
        uint8_t content[16];
        size_t len;
        bool is_hash_wrong;
    } rows[] = {
        {2, {0xa0}, 1, false},
        {1, {0xa0}, 1, true},
        {1, {0xff, 0xff}, 2, false},
    };
    struct net net;
    net_init(&net, 3, 5);
    net_mass_start(&net, 10 * US_PER_MS, true);
    net_for(&net, 2 * US_PER_S);
    struct gossip *g = &net.nodes[0].g;
    const struct gossip_member *m = gossip_find(g, &net.nodes[1].key.pk);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t body[256];
        uint8_t raw[512];
        struct slice content = slice_of(rows[i].content, rows[i].len);
        struct gossip_ad_note note = {.pk = m->facts.id,
                                      .boot = m->boot,
                                      .version = 9,
                                      .hash = crypt_hash(content),
                                      .len = (uint16_t)rows[i].len};
        note.hash.bytes[0] ^= rows[i].is_hash_wrong ? 1 : 0;
        struct writer b = writer_of(body, sizeof(body));
        gossip_ad_note_encode(&note, &b);
        struct writer w = writer_of(raw, sizeof(raw));
        gossip_item_sign(&w, GOSSIP_KIND_AD, &net.nodes[rows[i].signer].key, &net.mesh,
                         writer_slice(&b), content);
        uint64_t n_refused = g->stats.n_refused;
        CHECK_EQ(gossip_on_doc(g, net.now_us, &net.nodes[1].key.pk, writer_slice(&w)), IPX_REFUSED);
        CHECK_EQ(g->stats.n_refused, n_refused + 1);
        CHECK(m->ad == NULL);
    }
    CHECK_EQ(gossip_on_doc(g, net.now_us, &net.nodes[1].key.pk, slice_text("no document")),
             IPX_REFUSED);
    gossip_check(g);
    net_done(&net);
}

/* --- vitals --- */

TEST(gossip_ads, vitals_steps)
{
    const struct gossip_vitals v = {.free_slots = 4,
                                    .free_cores = 4,
                                    .load_permille = 250,
                                    .mem_free_mib = 4000,
                                    .queue_wait_ms = 100};
    struct gossip_vitals w = v;
    uint8_t bytes[GOSSIP_VITALS_LEN];
    gossip_vitals_encode(&v, bytes);
    gossip_vitals_decode(bytes, &w);
    CHECK_MEM(&v, &w, sizeof(v));
    CHECK_EQ(gossip_vitals_distance(&v, &w), 0);
    w.epoch = 8;
    w.mem_free_mib = 3900;
    w.load_permille = 299;
    CHECK_EQ(gossip_vitals_distance(&v, &w), 0); /* less than a step */
    w.load_permille = 349;
    CHECK_EQ(gossip_vitals_distance(&v, &w), 0); /* over a tenth's edge, but near */
    w.load_permille = 900;
    CHECK_EQ(gossip_vitals_distance(&v, &w), 1);
    w = v;
    w.free_slots = 0;
    CHECK_EQ(gossip_vitals_distance(&v, &w), 2); /* full */
    w = v;
    w.free_slots = 8;
    CHECK_EQ(gossip_vitals_distance(&v, &w), 1);
    w.free_slots = 16;
    CHECK_EQ(gossip_vitals_distance(&v, &w), 2);
    w = v;
    w.flags = GOSSIP_VITALS_ON_BATTERY;
    CHECK_EQ(gossip_vitals_distance(&v, &w), 2);
}

static unsigned n_know_full(const struct net *net)
{
    unsigned n = 0;
    for (unsigned i = 1; i < net->n; i++) {
        const struct gossip_member *m = gossip_find(&net->nodes[i].g, &net->nodes[0].key.pk);
        n += m->vitals_us != 0 && m->vitals.free_slots == 0 ? 1 : 0;
    }
    return n;
}

static bool nearly_all_know_full(const struct net *net)
{
    return n_know_full(net) >= net->n - 1 - net->n / 10;
}

static bool all_know_full(const struct net *net)
{
    return n_know_full(net) == net->n - 1;
}

/* An edge (the last slot taken) is known soon: it is told four times, and whom that missed hears it
 * with a ping; noise stays within the budget; a replay of an
 * older epoch is dropped. */
TEST(gossip_ads, vitals_spread)
{
    struct net net;
    struct gossip_vitals v = {.free_slots = 4, .mem_free_mib = 4000};
    net_init(&net, 20, 6);
    net_mass_start(&net, 10 * US_PER_MS, true);
    gossip_set_vitals(&net.nodes[0].g, net.now_us, &v);
    net_drain(&net, 0);
    net_for(&net, 5 * US_PER_S);
    v.free_slots = 0;
    gossip_set_vitals(&net.nodes[0].g, net.now_us, &v);
    net_drain(&net, 0);
    uint64_t edge_us = net.now_us;
    CHECK(net_run(&net, edge_us + US_PER_S, nearly_all_know_full));
    CHECK(net_run(&net, edge_us + 60 * US_PER_S, all_know_full));
    uint64_t bytes = 0;
    for (unsigned i = 0; i < 20; i++) {
        bytes -= net.nodes[i].bytes_out;
    }
    for (unsigned second = 0; second < 60; second++) {
        for (unsigned i = 0; i < 20; i++) {
            v.load_permille = (uint16_t)rng_below(&net.rng, 1000);
            v.free_slots = (uint16_t)rng_below(&net.rng, 3);
            gossip_set_vitals(&net.nodes[i].g, net.now_us, &v);
            net_drain(&net, i);
        }
        net_for(&net, US_PER_S);
    }
    for (unsigned i = 0; i < 20; i++) {
        bytes += net.nodes[i].bytes_out;
    }
    CHECK(bytes / 20 / 60 <= 300 + GOSSIP_VITALS_BUDGET + GOSSIP_VITALS_BUDGET / 4);
    struct gossip *g = &net.nodes[1].g;
    struct gossip_member *m = gossip_members_find(&g->members, &net.nodes[0].key.pk);
    struct gossip_vitals old = m->vitals;
    old.epoch--;
    old.free_slots = 77;
    gossip_vitals_hear(g, net.now_us, m, &old);
    CHECK(m->vitals.free_slots != 77);
    net_done(&net);
}
