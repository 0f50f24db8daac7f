/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of news: order, copies, receivers. */
#include "gossip/spread.h"

#include "tests/harness.h"

TEST(gossip_spread, limits)
{
    static const struct {
        uint32_t n;
        unsigned limit;
    } rows[] = {{1, 4},   {2, 4},   {10, 4},  {50, 4},   {99, 4},   {100, 5},
                {128, 5}, {315, 5}, {316, 6}, {1024, 7}, {9999, 8}, {UINT32_MAX - 1, 10}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_EQ(gossip_spread_limit(rows[i].n), rows[i].limit);
    }
}

TEST(gossip_spread, order)
{
    struct gossip_spread q;
    struct gossip_spread_item items[6];
    static const enum gossip_spread_class classes[6] = {
        GOSSIP_SPREAD_VITALS, GOSSIP_SPREAD_AD,      GOSSIP_SPREAD_STATE,
        GOSSIP_SPREAD_DOC,    GOSSIP_SPREAD_VERDICT, GOSSIP_SPREAD_REVOCATION};
    gossip_spread_init(&q);
    CHECK(gossip_spread_next(&q, NULL) == NULL);
    for (uint16_t i = 0; i < 6; i++) {
        gossip_spread_item_init(&items[i], GOSSIP_WHAT_STATE, i, 0);
        gossip_spread_put(&q, &items[i], classes[i], GOSSIP_NO_SLOT);
        gossip_spread_check(&q);
    }
    static const uint16_t wanted[6] = {5, 4, 2, 3, 1, 0};
    gossip_spread_begin(&q);
    struct gossip_spread_item *at = NULL;
    for (unsigned i = 0; i < 6; i++) {
        at = gossip_spread_next(&q, at);
        CHECK(at != NULL);
        CHECK_EQ(at->slot, wanted[i]);
    }
    CHECK(gossip_spread_next(&q, at) == NULL);
    for (unsigned i = 0; i < 6; i++) {
        gossip_spread_drop(&q, &items[i]);
        gossip_spread_drop(&q, &items[i]); /* twice is harmless */
    }
    CHECK_EQ(q.n, 0);
    gossip_spread_check(&q);
}

/* Each receiver gets an item once; after `limit` receivers it is gone; fewest copies go first;
 * a newer version starts anew. */
TEST(gossip_spread, copies)
{
    struct gossip_spread q;
    struct gossip_spread_item a;
    struct gossip_spread_item b;
    gossip_spread_init(&q);
    gossip_spread_item_init(&a, GOSSIP_WHAT_AD, 1, 0);
    gossip_spread_item_init(&b, GOSSIP_WHAT_AD, 2, 0);
    gossip_spread_put(&q, &a, GOSSIP_SPREAD_AD, GOSSIP_NO_SLOT);
    gossip_spread_begin(&q);
    CHECK(gossip_spread_next(&q, NULL) == &a);
    gossip_spread_sent(&q, &a, 3);
    CHECK(gossip_spread_next(&q, NULL) == NULL); /* this receiver has it */
    gossip_spread_put(&q, &b, GOSSIP_SPREAD_AD, GOSSIP_NO_SLOT);
    gossip_spread_begin(&q);
    CHECK(gossip_spread_next(&q, NULL) == &b);
    CHECK(gossip_spread_next(&q, &b) == &a);
    gossip_spread_sent(&q, &a, 3);
    gossip_spread_begin(&q);
    gossip_spread_sent(&q, &a, 3);
    CHECK_EQ(q.n, 1);
    CHECK(gossip_spread_next(&q, NULL) == &b);
    gossip_spread_sent(&q, &b, 3);
    gossip_spread_put(&q, &b, GOSSIP_SPREAD_AD, GOSSIP_NO_SLOT);
    CHECK_EQ(b.sends, 0);
    CHECK_EQ(q.n, 1);
    gossip_spread_check(&q);
    gossip_spread_drop(&q, &b);
}

TEST(gossip_spread, burst)
{
    struct gossip_spread q;
    struct gossip_spread_item items[64];
    gossip_spread_init(&q);
    CHECK_EQ(gossip_spread_burst(&q), 1);
    for (uint16_t i = 0; i < 64; i++) {
        gossip_spread_item_init(&items[i], GOSSIP_WHAT_STATE, i, 0);
        gossip_spread_put(&q, &items[i], GOSSIP_SPREAD_STATE, GOSSIP_NO_SLOT);
    }
    CHECK_EQ(gossip_spread_burst(&q), GOSSIP_SPREAD_BURST_MAX);
}
