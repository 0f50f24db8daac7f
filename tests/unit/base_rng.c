/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"
#include "tests/harness.h"

#define N_DRAWS 40000

TEST(base_rng, same_seed_same_stream)
{
    struct rng a, b, c;
    uint8_t one[3 * RNG_BLOCK], other[sizeof(one)];
    rng_init_int(&a, 7);
    rng_init_int(&b, 7);
    rng_init_int(&c, 8);
    rng_fill(&a, one, sizeof(one));
    for (size_t pos = 0; pos < sizeof(other);) { /* the cuts make no difference */
        size_t len = IPX_MIN(sizeof(other) - pos, pos % 97 + 1);
        rng_fill(&b, other + pos, len);
        pos += len;
    }
    CHECK_MEM(one, other, sizeof(one));
    CHECK(rng_u64(&a) == rng_u64(&b));
    CHECK(rng_u32(&a) == rng_u32(&b));
    rng_fill(&c, other, sizeof(other));
    CHECK(memcmp(one, other, 32) != 0);
    CHECK(memcmp(one, one + RNG_BLOCK, RNG_BLOCK) != 0);
    CHECK(memcmp(one + RNG_BLOCK, one + 2 * RNG_BLOCK, RNG_BLOCK) != 0);

    /* The public ChaCha20 vector for key 0 and nonce 0. */
    uint8_t zero[32] = {0};
    rng_init(&a, zero);
    rng_fill(&a, one, 8);
    CHECK_MEM(one, "\x76\xb8\xe0\xad\xa0\xf1\x3d\x90", 8);
}

TEST(base_rng, splits_are_independent)
{
    struct rng parent, twin, x, y, z;
    rng_init_int(&parent, 1);
    rng_init_int(&twin, 1);
    rng_split(&parent, "dht", &x);
    rng_split(&twin, "dht", &y);
    CHECK(rng_u64(&parent) == rng_u64(&twin));
    /* What is drawn from a child moves neither its parent nor its later siblings. */
    for (int i = 0; i < 1000; i++) {
        (void)rng_u64(&x);
    }
    CHECK(rng_u64(&parent) == rng_u64(&twin));
    rng_split(&parent, "gossip", &x);
    rng_split(&twin, "gossip", &z);
    CHECK(rng_u64(&x) == rng_u64(&z));
    CHECK(rng_u64(&x) != rng_u64(&y));
    /* The purpose counts, and the same purpose twice gives two streams. */
    rng_init_int(&parent, 1);
    rng_init_int(&twin, 1);
    rng_split(&parent, "a", &x);
    rng_split(&twin, "b", &y);
    rng_split(&parent, "a", &z);
    uint64_t first = rng_u64(&x);
    CHECK(first != rng_u64(&y));
    CHECK(first != rng_u64(&z));
}

TEST(base_rng, uniform)
{
    struct rng r;
    rng_init_int(&r, 3);
    static const uint64_t bounds[] = {1, 2, 3, 7, 10, 64};
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        uint32_t seen[64] = {0};
        uint64_t n = bounds[i];
        for (int draw = 0; draw < N_DRAWS; draw++) {
            uint64_t v = rng_below(&r, n);
            CHECK(v < n);
            seen[v]++;
        }
        for (uint64_t v = 0; v < n; v++) { /* six sigma of the binomial at its widest */
            uint64_t mean = N_DRAWS / n;
            CHECK(seen[v] * 4 > mean * 3 && seen[v] * 4 < mean * 5 + 4);
        }
    }
    for (int i = 0; i < 1000; i++) {
        CHECK(rng_below(&r, UINT64_MAX) < UINT64_MAX);
        CHECK(rng_below(&r, (UINT64_C(1) << 63) + 1) <= UINT64_C(1) << 63);
    }
}

TEST(base_rng, jitter_and_chance)
{
    struct rng r;
    rng_init_int(&r, 4);
    static const struct {
        uint64_t value;
        unsigned percent;
        uint64_t low, high;
    } cases[] = {{1000, 20, 800, 1200}, {1000, 0, 1000, 1000}, {0, 50, 0, 0},
                 {10, 100, 0, 20},      {99, 1, 99, 99},       {50, 10, 45, 55}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t low = UINT64_MAX;
        uint64_t high = 0;
        for (int draw = 0; draw < 20000; draw++) {
            uint64_t v = rng_jitter(&r, cases[i].value, cases[i].percent);
            low = IPX_MIN(low, v);
            high = IPX_MAX(high, v);
        }
        CHECK_EQ(low, cases[i].low);
        CHECK_EQ(high, cases[i].high);
    }
    int hits = 0;
    for (int i = 0; i < N_DRAWS; i++) {
        CHECK(!rng_chance(&r, 0));
        CHECK(rng_chance(&r, 1000));
        hits += rng_chance(&r, 250);
    }
    CHECK(hits > N_DRAWS / 4 - 600 && hits < N_DRAWS / 4 + 600);
}

TEST(base_rng, shuffle)
{
    struct rng r;
    uint32_t seen[4][4] = {{0}};
    rng_init_int(&r, 5);
    for (int round = 0; round < 8000; round++) {
        uint16_t items[4] = {0, 1, 2, 3};
        bool found[4] = {false};
        rng_shuffle(&r, items, 4, sizeof(items[0]));
        for (size_t i = 0; i < 4; i++) {
            CHECK(items[i] < 4 && !found[items[i]]);
            found[items[i]] = true;
            seen[i][items[i]]++;
        }
    }
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 4; k++) {
            CHECK(seen[i][k] > 1700 && seen[i][k] < 2300);
        }
    }
    rng_shuffle(&r, NULL, 0, 8);
}
