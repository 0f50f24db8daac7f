/* SPDX-License-Identifier: Apache-2.0 */
#include "node/clocks.h"
#include "tests/harness.h"

#define WALL INT64_C(1800000000000)

static struct node_id id_of(uint32_t i)
{
    struct node_id id = {{0}};
    memcpy(id.bytes, &i, sizeof(i));
    return id;
}

TEST(node_clocks, seen_and_sent)
{
    static const uint8_t secret[16] = {1};
    struct mem mem;
    struct clocks c;
    int64_t last = -1;
    struct node_id a = id_of(1), b = id_of(2);
    mem_init(&mem, SIZE_MAX);
    CHECK_OK(clocks_init(&c, &mem, 4, secret));
    static const struct {
        int64_t off_ms;
        enum ipx_err want;
    } unknown[] = {{0, IPX_OK},
                   {-CLOCKS_SLACK_MS, IPX_OK},
                   {CLOCKS_SLACK_MS, IPX_OK},
                   {-CLOCKS_SLACK_MS - 1, IPX_CLOCK},
                   {CLOCKS_SLACK_MS + 1, IPX_CLOCK}};
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        CHECK_EQ(clocks_judge(&c, WALL, &a, WALL + unknown[i].off_ms, &last), unknown[i].want);
    }
    CHECK_EQ(last, 0);
    clocks_on_seen(&c, &a, WALL);
    CHECK_EQ(clocks_judge(&c, WALL, &a, WALL, &last), IPX_CLOCK);
    CHECK_EQ(last, WALL);
    CHECK_OK(clocks_judge(&c, WALL, &a, WALL + 1, &last));
    /* of a known key a later one is right, however far from our clock */
    CHECK_OK(clocks_judge(&c, WALL + 1000 * CLOCKS_SLACK_MS, &a, WALL + 1, &last));
    clocks_on_seen(&c, &a, WALL - 5); /* never back */
    CHECK_EQ(clocks_judge(&c, WALL, &a, WALL - 1, &last), IPX_CLOCK);
    CHECK_OK(clocks_judge(&c, WALL, &b, WALL - 1, &last)); /* each key its own */

    CHECK_EQ(clocks_next(&c, WALL, &a), WALL);
    CHECK_EQ(clocks_next(&c, WALL, &a), WALL + 1);
    CHECK_EQ(clocks_next(&c, WALL - 100, &a), WALL + 2); /* our clock went back */
    clocks_on_answer(&c, &a, WALL - 5000, 0);            /* our clock is ahead of theirs */
    CHECK_EQ(clocks_next(&c, WALL, &a), WALL - 5000);
    clocks_on_answer(&c, &a, WALL, WALL + 7000); /* or behind what they saw of us */
    CHECK_EQ(clocks_next(&c, WALL, &a), WALL + 7001);
    CHECK_EQ(clocks_next(&c, WALL, &b), WALL); /* others are sent what they would have been */
    clocks_done(&c);
    CHECK_EQ(mem.used, 0);
}

TEST(node_clocks, the_least_recently_used_leaves)
{
    static const uint8_t secret[16] = {1};
    struct mem mem;
    struct clocks c;
    mem_init(&mem, SIZE_MAX);
    CHECK_OK(clocks_init(&c, &mem, 4, secret));
    for (uint32_t i = 0; i < 4; i++) {
        struct node_id id = id_of(i);
        CHECK(clocks_find(&c, &id) == NULL);
        clocks_get(&c, &id)->has_our_chain = true;
    }
    struct node_id first = id_of(0), second = id_of(1), more = id_of(9);
    CHECK(clocks_find(&c, &first) != NULL); /* used again */
    CHECK(clocks_get(&c, &more) != NULL);
    CHECK(clocks_find(&c, &second) == NULL && clocks_find(&c, &first) != NULL);
    CHECK(clocks_find(&c, &first)->has_our_chain);
    clocks_chain_changed(&c);
    CHECK(!clocks_find(&c, &first)->has_our_chain);
    mem.fail_after = 0;
    CHECK(clocks_get(&c, &second) == NULL); /* and the plane goes on without last values */
    CHECK_EQ(clocks_next(&c, WALL, &second), WALL);
    clocks_on_seen(&c, &second, WALL);
    clocks_done(&c);
    CHECK_EQ(mem.used, 0);
}
