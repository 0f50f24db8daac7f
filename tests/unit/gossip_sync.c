/* SPDX-License-Identifier: Apache-2.0 */
/* Anti-entropy: digests, what two nodes tell each other, documents. */
#include "gossip/sync.h"

#include "gossip/docs.h"
#include "tests/unit/gossip_net.h"

static void doc_key(unsigned i, struct hash *ret)
{
    memset(ret, 0, sizeof(*ret));
    store_be32(ret->bytes, i * UINT32_C(2654435761));
    ret->bytes[31] = (uint8_t)i;
}

/* The same members give the same digest under one salt, another under another, and one change
 * touches one bucket. */
TEST(gossip_sync, digest)
{
    struct net net;
    uint8_t a[GOSSIP_DIGEST_LEN];
    uint8_t b[GOSSIP_DIGEST_LEN];
    uint8_t salt[GOSSIP_SALT_LEN] = {1};
    net_init(&net, 8, 1);
    net_mass_start(&net, 1000, true);
    net_for(&net, 3 * US_PER_S);
    CHECK(net_all_know_all(&net));
    gossip_sync_digest(&net.nodes[0].g, salt, a);
    for (unsigned i = 1; i < 8; i++) {
        gossip_sync_digest(&net.nodes[i].g, salt, b);
        CHECK_MEM(a, b, sizeof(a));
    }
    salt[0] = 2;
    gossip_sync_digest(&net.nodes[0].g, salt, b);
    CHECK(memcmp(a, b, sizeof(a)) != 0);
    gossip_set_addrs(&net.nodes[0].g, net.now_us, &net.nodes[0].addr, 1, 5);
    gossip_sync_digest(&net.nodes[0].g, salt, a);
    unsigned n_differ = 0;
    for (unsigned i = 0; i < GOSSIP_BUCKETS; i++) {
        n_differ += memcmp(a + (size_t)8 * i, b + (size_t)8 * i, 8) != 0 ? 1 : 0;
    }
    CHECK_EQ(n_differ, 1);
    net_done(&net);
}

/* Two halves that know all of their own meet in one exchange: both know all, without a rumour. */
TEST(gossip_sync, two_views)
{
    struct net net;
    net_init(&net, 40, 2);
    for (unsigned i = 0; i < 40; i++) {
        net.nodes[i].group = (uint8_t)(i % 2);
        net_start(&net, i);
        if (i >= 2) {
            net_join(&net, i, i % 2);
        }
    }
    net_for(&net, 10 * US_PER_S);
    CHECK_EQ(gossip_n_live(&net.nodes[0].g), 20);
    CHECK_EQ(gossip_n_live(&net.nodes[39].g), 20);
    for (unsigned i = 0; i < 40; i++) {
        net.nodes[i].group = 0;
    }
    net_join(&net, 0, 1);
    uint64_t begin_us = net.now_us;
    CHECK(net_run(&net, begin_us + 2 * US_PER_S, net_all_know_all));
    net_done(&net);
}

/* An answer that was not asked for, or not of this peer, changes nothing. */
TEST(gossip_sync, unasked)
{
    struct net net;
    net_init(&net, 3, 3);
    net_mass_start(&net, 1000, true);
    net_for(&net, 3 * US_PER_S);
    struct gossip *g = &net.nodes[0].g;
    uint8_t body[64];
    struct gossip_msg m = {.mask = UINT64_MAX, .high = UINT64_MAX};
    struct writer w = writer_of(body, sizeof(body));
    gossip_msg_encode(GOSSIP_TYPE_DIFF, &m, &w);
    uint64_t n_refused = g->stats.n_refused;
    uint32_t req_id = g->sync.asked[0].req_id;
    unsigned asked = (unsigned)net_index(&net, &g->sync.asked[0].id);
    unsigned other = asked == 1 ? 2 : 1;
    gossip_recv(g, net.now_us, &net.nodes[other].facts, &net.nodes[other].addr, GOSSIP_TYPE_DIFF,
                req_id, writer_slice(&w));
    gossip_recv(g, net.now_us, &net.nodes[asked].facts, &net.nodes[asked].addr, GOSSIP_TYPE_DIFF,
                req_id + 77, writer_slice(&w));
    CHECK_EQ(g->stats.n_refused, n_refused + 2);
    CHECK_EQ(g->sync.n_pushes, 0);
    net_done(&net);
}

/* Documents reach all, also those that come later; one that a node refuses is not passed on. */
TEST(gossip_sync, documents)
{
    struct net net;
    struct hash key;
    uint8_t bytes[GOSSIP_DOC_MAX];
    memset(bytes, 0x77, sizeof(bytes));
    net_init(&net, 12, 4);
    net.loss_permille = 10;
    for (unsigned i = 0; i < 10; i++) {
        net_start(&net, i);
        if (i > 0) {
            net_join(&net, i, 0);
        }
    }
    net_for(&net, 2 * US_PER_S);
    for (unsigned i = 0; i < 150; i++) {
        doc_key(i, &key);
        enum gossip_doc_kind kind = i % 3 == 0 ? GOSSIP_DOC_REVOCATION : GOSSIP_DOC_REDEMPTION;
        CHECK_OK(
            gossip_spread_doc(&net.nodes[0].g, net.now_us, kind, &key, slice_of(bytes, 100 + i)));
        CHECK_EQ(gossip_spread_doc(&net.nodes[0].g, net.now_us, kind, &key, slice_of(bytes, 100)),
                 IPX_EXISTS);
    }
    net_drain(&net, 0);
    net_for(&net, 10 * US_PER_S);
    for (unsigned i = 1; i < 10; i++) {
        CHECK_EQ(net.nodes[i].n_docs, 150); /* each once */
        CHECK_EQ(net.nodes[i].g.docs.n, 150);
    }
    for (unsigned i = 10; i < 12; i++) {
        net.nodes[i].refuses_docs = i == 11;
        net_start(&net, i);
        net_join(&net, i, i - 9);
    }
    net_for(&net, 3 * US_PER_S);
    CHECK_EQ(net.nodes[10].n_docs, 150);
    CHECK_EQ(net.nodes[11].g.docs.n, 0);
    CHECK(net.nodes[11].n_docs >= 150);
    net_done(&net);
}

TEST(gossip_sync, document_table)
{
    struct mem mem;
    struct gossip_docs d;
    struct gossip_spread q;
    struct gossip_doc *doc;
    uint8_t body[8] = {0};
    struct gossip_item item = {.kind = GOSSIP_KIND_DOC, .body = slice_of(body, sizeof(body))};
    mem_init(&mem, SIZE_MAX);
    gossip_spread_init(&q);
    gossip_docs_init(&d, &mem);
    for (unsigned i = 0; i < GOSSIP_DOCS_MAX; i++) {
        doc_key(i, &item.key);
        item.doc_kind = i < 2 ? GOSSIP_DOC_REVOCATION : GOSSIP_DOC_REDEMPTION;
        CHECK_OK(gossip_docs_insert(&d, &q, &item, i, &doc));
    }
    gossip_docs_check(&d);
    CHECK_EQ(gossip_docs_insert(&d, &q, &item, 0, &doc), IPX_EXISTS);
    doc_key(GOSSIP_DOCS_MAX, &item.key); /* full: the oldest redemption goes */
    CHECK_OK(gossip_docs_insert(&d, &q, &item, GOSSIP_DOCS_MAX, &doc));
    doc_key(2, &item.key);
    CHECK(gossip_docs_find(&d, &item.key) == NULL);
    doc_key(0, &item.key);
    CHECK(gossip_docs_find(&d, &item.key) != NULL);
    CHECK(gossip_docs_prefix(&d, load_be64(item.key.bytes)) != NULL);
    gossip_docs_tick(&d, &q, GOSSIP_DOC_LIFE_US + 100);
    doc_key(50, &item.key);
    CHECK(gossip_docs_find(&d, &item.key) == NULL); /* over a year old */
    doc_key(150, &item.key);
    CHECK(gossip_docs_find(&d, &item.key) != NULL);
    gossip_docs_check(&d);
    gossip_docs_done(&d, &q);
    CHECK_EQ(mem.used, 0);
}
