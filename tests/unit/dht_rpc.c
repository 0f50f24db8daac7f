/* SPDX-License-Identifier: Apache-2.0 */
#include "dht/rpc.h"

#include "tests/harness.h"

static uint32_t start(struct dht_rpc *r, struct rng *rng, uint64_t now_us, uint8_t peer)
{
    struct dht_call call = {.to = {{peer}}, .type = DHT_FIND_NODE, .candidate = peer, .handle = 9};
    return dht_rpc_start(r, rng, now_us, &call);
}

TEST(dht_rpc, one_answer_each)
{
    struct dht_rpc r;
    struct rng rng;
    struct dht_call got;
    struct node_id a = {{1}}, b = {{2}};
    rng_init_int(&rng, 1);
    dht_rpc_init(&r);
    CHECK(dht_rpc_deadline(&r) == NEVER_US);
    uint32_t id = start(&r, &rng, 100, 1), id2 = start(&r, &rng, 200, 2);
    CHECK(id != id2);
    CHECK(dht_rpc_deadline(&r) == 100 + DHT_CALL_HARD_US);
    static const uint8_t wrong[] = {DHT_PONG, DHT_VALUE, DHT_STORED};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        CHECK_EQ(dht_rpc_take(&r, &a, wrong[i], id, &got), IPX_NOT_FOUND);
    }
    CHECK_EQ(dht_rpc_take(&r, &b, DHT_NODES, id, &got), IPX_NOT_FOUND);     /* other session */
    CHECK_EQ(dht_rpc_take(&r, &a, DHT_NODES, id + 1, &got), IPX_NOT_FOUND); /* other id */
    CHECK_OK(dht_rpc_take(&r, &a, DHT_NODES, id, &got));
    CHECK(got.candidate == 1 && got.handle == 9 && got.sent_us == 100);
    CHECK_EQ(dht_rpc_take(&r, &a, DHT_NODES, id, &got), IPX_NOT_FOUND); /* twice */
    CHECK(!dht_rpc_expire(&r, 199 + DHT_CALL_HARD_US, &got));
    CHECK(dht_rpc_expire(&r, 200 + DHT_CALL_HARD_US, &got));
    CHECK_EQ(got.candidate, 2);
    CHECK_EQ(dht_rpc_take(&r, &b, DHT_NODES, id2, &got), IPX_NOT_FOUND); /* late */
    CHECK_EQ(r.n, 0);
}

TEST(dht_rpc, full_and_lossy)
{
    struct dht_rpc r;
    struct rng rng;
    struct dht_call got;
    struct node_id a = {{1}};
    rng_init_int(&rng, 2);
    dht_rpc_init(&r);
    for (size_t i = 0; i < DHT_CALLS_MAX; i++) {
        CHECK(dht_rpc_has_room(&r));
        start(&r, &rng, i, (uint8_t)(i % 3));
        dht_rpc_check(&r);
    }
    CHECK(!dht_rpc_has_room(&r));
    unsigned n = 0;
    while (dht_rpc_drop_peer(&r, &a, &got)) { /* not to be reached: all that was put to it */
        CHECK(node_id_equal(&got.to, &a));
        dht_rpc_check(&r);
        n++;
    }
    CHECK_EQ(n, DHT_CALLS_MAX / 3);
    CHECK(!dht_rpc_is_lossy(&r)); /* too few outcomes to say */
    for (n = 0; dht_rpc_expire(&r, UINT64_C(1) << 40, &got); n++) {
        CHECK_EQ(got.candidate == 1, 0);
    }
    CHECK_EQ(n, DHT_CALLS_MAX - DHT_CALLS_MAX / 3);
    CHECK(dht_rpc_is_lossy(&r));
    for (unsigned i = 0; i < DHT_HISTORY; i++) { /* 6 of 32 lost is under 20 %, 7 is over */
        uint32_t id = start(&r, &rng, i, 1);
        if (i >= 26) {
            CHECK(dht_rpc_expire(&r, i + DHT_CALL_HARD_US, &got));
        } else {
            CHECK_OK(dht_rpc_take(&r, &a, DHT_NODES, id, &got));
        }
    }
    CHECK(!dht_rpc_is_lossy(&r));
    start(&r, &rng, 1, 1);
    CHECK(dht_rpc_expire(&r, 1 + DHT_CALL_HARD_US, &got));
    CHECK(dht_rpc_is_lossy(&r));
}

/* How long to wait for a peer that we do not know: as the others answer, between 100 and 400 ms. */
TEST(dht_rpc, soft_timeout)
{
    static const struct {
        uint64_t rtt_us, spread_us, want_min_us, want_max_us;
    } cases[] = {
        {80000, 0, 100000, 110000},
        {80000, 30000, 180000, 220000},
        {1000, 0, DHT_SOFT_MIN_US, DHT_SOFT_MIN_US},
        {900000, 0, DHT_SOFT_UNKNOWN_US, DHT_SOFT_UNKNOWN_US},
        {NEVER_US, 0, DHT_SOFT_UNKNOWN_US, DHT_SOFT_UNKNOWN_US},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct dht_rpc r;
        dht_rpc_init(&r);
        CHECK_EQ(dht_rpc_soft_us(&r, 4), DHT_SOFT_UNKNOWN_US);
        for (unsigned k = 0; k < 200; k++) {
            uint64_t by = k % 2 == 0 ? cases[i].spread_us : 0;
            dht_rpc_on_rtt(&r, cases[i].rtt_us - by + (k % 2) * cases[i].spread_us);
        }
        CHECK(dht_rpc_soft_us(&r, 4) >= cases[i].want_min_us);
        CHECK(dht_rpc_soft_us(&r, 4) <= cases[i].want_max_us);
    }
    struct dht_rpc r;
    dht_rpc_init(&r);
    dht_rpc_on_rtt(&r, 0); /* answered in the same microsecond: measured all the same */
    CHECK_EQ(dht_rpc_soft_us(&r, 4), DHT_SOFT_MIN_US);
}
