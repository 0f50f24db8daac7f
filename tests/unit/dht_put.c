/* SPDX-License-Identifier: Apache-2.0 */
/* How puts run: renewal, sweeps, bounds, nobody there. */
#include "dht/put.h"
#include "tests/unit/dht_world_puts.h"

TEST(dht_put, kept_records_are_renewed_together)
{
    struct world w;
    uint32_t handle = 0;
    CHECK_OK(crypt_init());
    world_start(&w, 10, 91);
    struct world_node *node = &w.nodes[4];
    struct dht_provide_spec p = {.size = 1, .seq = 1, .keep = true};
    for (uint8_t i = 0; i < 5; i++) {
        p.key.bytes[0] = (uint8_t)(i * 50);
        CHECK_OK(dht_provide(&node->d, w.now_us, &p, &handle));
        world_wait_stored(&w, 4, handle);
    }
    uint64_t n_searches = node->d.stats.n_searches;
    world_run(&w, w.now_us + 10 * 3600 * US_PER_S); /* two lives and a half of a provider record */
    for (uint8_t i = 0; i < 5; i++) {
        p.key.bytes[0] = (uint8_t)(i * 50);
        CHECK(world_n_holders(&w, DHT_KIND_PROVIDER, &p.key) >= DHT_REPLICAS);
    }
    /* 120 for the neighbourhood; 27 more if each record had its own. */
    CHECK(node->d.stats.n_searches - n_searches <= 140);
    CHECK_EQ(node->stored.n, 5); /* renewals are silent */
    for (uint8_t i = 0; i < 5; i++) {
        p.key.bytes[0] = (uint8_t)(i * 50);
        CHECK(dht_withdraw(&node->d, w.now_us, DHT_KIND_PROVIDER, &p.key));
        CHECK(!dht_withdraw(&node->d, w.now_us, DHT_KIND_PROVIDER, &p.key));
    }
    world_run(&w, w.now_us + 5 * 3600 * US_PER_S);
    CHECK_EQ(world_n_holders(&w, DHT_KIND_PROVIDER, &p.key), 0); /* ended by itself */
    world_done(&w);
}

/* Class 28: with nobody known each command ends in a clean error. Bounds: eight at once. */
TEST(dht_put, class_28_empty_table_and_bounds)
{
    struct world w;
    uint32_t handle = 0;
    static const uint8_t big[DHT_MUTABLE_VALUE_MAX + 1];
    CHECK_OK(crypt_init());
    world_init(&w, 3, 92);
    struct dht *d = &w.nodes[0].d;
    struct dht_mutable_spec spec = {.value = slice_text("x"), .seq = 1};
    struct dht_get_spec ask = {.kind = DHT_KIND_MUTABLE};
    CHECK_EQ(dht_put_mutable(d, w.now_us, &spec, &handle), IPX_UNREACHABLE);
    CHECK_EQ(dht_put_immutable(d, w.now_us, spec.value, true, &handle), IPX_UNREACHABLE);
    CHECK_EQ(dht_provide(d, w.now_us, &(struct dht_provide_spec){.seq = 1}, &handle),
             IPX_UNREACHABLE);
    CHECK_EQ(dht_get(d, w.now_us, &ask, &handle), IPX_UNREACHABLE);
    dht_check(d);
    spec.value = slice_of(big, sizeof(big));
    CHECK_EQ(dht_put_mutable(d, w.now_us, &spec, &handle), IPX_LIMIT);
    world_join_all(&w, 100000);
    world_run(&w, w.now_us + 20 * US_PER_S);
    spec.value = slice_text("x");
    unsigned n = 0;
    while (dht_put_mutable(d, w.now_us, &spec, &handle) == IPX_OK) {
        CHECK(++n <= DHT_PUTS_MAX);
        dht_check(d);
    }
    CHECK(n >= 4); /* as many as there are searches */
    w.mem.fail_after = 0;
    struct dht *d1 = &w.nodes[1].d;
    CHECK_EQ(dht_put_mutable(d1, w.now_us, &spec, &handle), IPX_NO_MEMORY);
    w.mem.fail_after = UINT64_MAX;
    world_drain(&w, 0);
    world_run(&w, w.now_us + 20 * US_PER_S);
    CHECK_EQ(w.nodes[0].stored.n, n);
    world_done(&w);
}

/* Class 24: 64 valid certificates of one foreign lab stand around a key. They take every copy that
 * they are offered and then all go away: the record is still there. */
TEST(dht_put, class_24_a_lab_around_a_key)
{
    struct world w;
    uint32_t handle = 0;
    enum { HONEST = 20, ALL = 84 };
    struct slice value = slice_text("what they want to hide");
    struct dht_pos key = dht_immutable_key(value);
    CHECK_OK(crypt_init());
    world_init(&w, ALL, 93);
    for (int i = 0; i < ALL; i++) {
        struct world_node *node = &w.nodes[i];
        struct dht_config config = {.lab = "ours"};
        uint8_t nonce[16];
        memcpy(nonce, node->facts.nonce, 16);
        if (i >= HONEST) {
            world_nonce_near(&w, &node->key.pk, &key, nonce);
            snprintf(config.lab, sizeof(config.lab), "theirs");
        }
        node->facts = world_facts(&w.mesh, &node->key.pk, nonce);
        snprintf(node->facts.lab, sizeof(node->facts.lab), "%s", config.lab);
        dht_done(&node->d);
        world_node_init(&w, i, &config);
    }
    world_join_all(&w, 100000);
    world_run(&w, w.now_us + 30 * US_PER_S);
    CHECK_OK(dht_put_immutable(&w.nodes[3].d, w.now_us, value, false, &handle));
    world_wait_stored(&w, 3, handle);
    world_run(&w, w.now_us + 5 * US_PER_S);
    int n_honest = 0;
    for (int i = 0; i < ALL; i++) {
        bool has = dht_store_get(&w.nodes[i].d.store, w.now_us, DHT_KIND_IMMUTABLE, &key) != NULL;
        n_honest += has && i < HONEST;
        if (i >= HONEST) {
            world_kill(&w, i);
        }
    }
    CHECK(n_honest >= 4);
    struct dht_get_spec ask = {.kind = DHT_KIND_IMMUTABLE, .key = key};
    world_get(&w, 11, &ask);
    CHECK_OK(w.nodes[11].found.status);
    CHECK(slice_equal(slice_of(w.nodes[11].found.record, w.nodes[11].found.record_len), value));
    world_done(&w);
}
