/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bucket.h"
#include "node/replay.h"
#include "tests/harness.h"

TEST(node_bucket, burst_then_rate)
{
    const struct bucket_rate rate = {.per_s = 10, .burst = 5};
    struct bucket b = {0};
    uint64_t now = 1;
    for (int i = 0; i < 5; i++) {
        CHECK(bucket_has(&b, now, &rate) && bucket_take(&b, now, &rate));
    }
    CHECK(!bucket_has(&b, now, &rate) && !bucket_take(&b, now, &rate));
    CHECK(!bucket_take(&b, now + 99 * US_PER_MS, &rate));
    CHECK(bucket_take(&b, now + 101 * US_PER_MS, &rate));
    CHECK(!bucket_take(&b, now + 102 * US_PER_MS, &rate));
    unsigned n = 0;
    for (uint64_t t = US_PER_S; t < 11 * US_PER_S; t += US_PER_MS) {
        n += bucket_take(&b, t, &rate);
    }
    CHECK(n >= 103 && n <= 106); /* ten seconds, and the burst */
    n = 0;
    for (int i = 0; i < 100; i++) { /* long after: full, no more */
        n += bucket_take(&b, UINT64_MAX / 2, &rate);
    }
    CHECK_EQ(n, 5);
    CHECK(!bucket_take(&b, 5, &rate)); /* time never goes back */
}

TEST(node_bucket, hosts_and_their_nets)
{
    static const uint8_t secret[16] = {3};
    struct buckets b;
    buckets_init(&b, secret);
    struct addr a = {.family = ADDR_V4, .ip = {192, 0, 2, 1}, .port = 1};
    for (int i = 0; i < 40; i++) {
        CHECK(buckets_have(&b, US_PER_S, &a));
        a.port++; /* the port does not matter */
        buckets_take(&b, US_PER_S, &a);
    }
    CHECK(!buckets_have(&b, US_PER_S, &a));
    a.ip[3] = 2; /* a neighbour is not the same host */
    CHECK(buckets_have(&b, US_PER_S, &a));
    for (unsigned i = 0; i < 400; i++) {
        a.ip[3] = (uint8_t)i;
        buckets_take(&b, US_PER_S, &a);
    }
    a.ip[3] = 250; /* but the net is used up */
    CHECK(!buckets_have(&b, US_PER_S, &a));
    CHECK(buckets_have(&b, 4 * US_PER_S, &a));
    struct addr v6 = {.family = ADDR_V6, .ip = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1}, .port = 1};
    for (int i = 0; i < 40; i++) {
        v6.ip[15]++; /* anywhere in the /64 */
        buckets_take(&b, US_PER_S, &v6);
    }
    CHECK(!buckets_have(&b, US_PER_S, &v6));
    struct addr loopback = {.family = ADDR_V4, .ip = {127, 0, 0, 1}, .port = 1};
    for (int i = 0; i < 1000; i++) {
        buckets_take(&b, US_PER_S, &loopback);
    }
    CHECK(buckets_have(&b, US_PER_S, &loopback));
}

/* Against the plain definition: each counter once, none older than the window. */
TEST(node_bucket, replay_window_as_defined)
{
    static const uint64_t steps[] = {1, 1, 2, 63, 64, 65, 1000, 1023, 1024, 1025, 5000};
    struct replay r = {0};
    static bool seen[200000];
    uint64_t top = 0; /* highest + 1 */
    uint64_t state = 1;
    memset(seen, 0, sizeof(seen));
    for (int i = 0; i < 20000; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint64_t counter;
        if (state >> 62 == 0 && top + 5000 < ARRAY_LEN(seen)) {
            counter = top + steps[(state >> 33) % ARRAY_LEN(steps)] - 1;
        } else {
            uint64_t back = (state >> 33) % 1200;
            counter = top > back ? top - back - (top - back == top ? 1 : 0) : 0;
        }
        bool is_new = !seen[counter] && (counter >= top || top - counter <= REPLAY_BITS);
        CHECK_EQ(replay_mark(&r, counter), is_new);
        seen[counter] = seen[counter] || is_new;
        top = IPX_MAX(top, counter + 1);
    }
    CHECK(top > 10000);
    struct replay far = {0};
    CHECK(replay_mark(&far, UINT64_MAX - 2));
    CHECK(!replay_mark(&far, UINT64_MAX - 2) && !replay_mark(&far, 0));
}
