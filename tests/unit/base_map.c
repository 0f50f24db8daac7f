/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"
#include "base/rng.h"
#include "tests/harness.h"

#define N_KEYS 200

/* Key `i` of a given length: different for all i < N_KEYS. */
static const uint8_t *make_key(uint8_t *out, size_t i, uint8_t key_len)
{
    memset(out, 0x5a, key_len);
    out[key_len - 1] = (uint8_t)i;
    return out;
}

static void run_against_model(uint64_t seed, uint32_t capacity, uint8_t key_len)
{
    struct mem m;
    struct rng rng;
    struct map map;
    uint8_t secret[16];
    uint8_t key[255];
    uint32_t model[N_KEYS];
    uint32_t count = 0;
    mem_init(&m, SIZE_MAX);
    rng_init_int(&rng, seed);
    rng_fill(&rng, secret, sizeof(secret));
    memset(model, 0xff, sizeof(model));
    CHECK_OK(map_init(&map, &m, capacity, key_len, secret));
    for (int step = 0; step < 3000; step++) {
        size_t i = (size_t)rng_below(&rng, N_KEYS);
        make_key(key, i, key_len);
        if (rng_chance(&rng, 600)) {
            uint32_t value = rng_u32(&rng) & 0xffff;
            bool is_full = model[i] == MAP_EMPTY && count == capacity;
            CHECK_EQ(map_set(&map, key, value), is_full ? IPX_FULL : IPX_OK);
            count += model[i] == MAP_EMPTY && !is_full;
            model[i] = is_full ? MAP_EMPTY : value;
        } else {
            CHECK_EQ(map_remove(&map, key), model[i] != MAP_EMPTY);
            count -= model[i] != MAP_EMPTY;
            model[i] = MAP_EMPTY;
        }
        CHECK_EQ(map.count, count);
        for (size_t k = step % 64 == 0 ? 0 : i; k < (step % 64 == 0 ? N_KEYS : i + 1); k++) {
            CHECK_EQ(map_find(&map, make_key(key, k, key_len)), model[k]);
        }
    }
    map_clear(&map);
    for (size_t k = 0; k < N_KEYS; k++) {
        CHECK(map_find(&map, make_key(key, k, key_len)) == MAP_EMPTY);
    }
    CHECK_EQ(map.count, 0);
    map_done(&map);
    map_done(&map);
    CHECK_EQ(m.used, 0);
}

TEST(base_map, random_against_model)
{
    static const struct {
        uint32_t capacity;
        uint8_t key_len;
    } cases[] = {{0, 1}, {1, 8}, {3, 32}, {48, 4}, {96, 32}, {150, 255}, {200, 6}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (uint64_t seed = 1; seed <= 4; seed++) {
            run_against_model(seed * 100 + i, cases[i].capacity, cases[i].key_len);
        }
    }
}

TEST(base_map, memory_failures)
{
    uint8_t secret[16] = {0};
    for (uint64_t n = 0; n < 2; n++) {
        struct mem m;
        struct map map;
        mem_init(&m, SIZE_MAX);
        m.fail_after = n;
        CHECK_EQ(map_init(&map, &m, 10, 32, secret), IPX_NO_MEMORY);
        CHECK_EQ(m.used, 0);
    }
    struct map zeroed = {.mem = NULL};
    map_done(&zeroed);
}
