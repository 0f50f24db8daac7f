/* SPDX-License-Identifier: Apache-2.0 */
/* Records of ours, put and got in networks of whole objects: kinds, refusals, renewal, sweeps. */
#include "dht/put.h"
#include "tests/unit/dht_world.h"

static void start(struct world *w, int n, uint64_t seed)
{
    world_init(w, n, seed);
    world_join_all(w, 100000);
    world_run(w, w->now_us + 30 * US_PER_S);
}

/* Until STORED came for `handle`. */
static void wait_stored(struct world *w, int i, uint32_t handle)
{
    world_drain(w, i);
    for (int t = 0; t < 200 && w->nodes[i].stored.handle != handle; t++) {
        world_run(w, w->now_us + 100000);
    }
    CHECK_EQ(w->nodes[i].stored.handle, handle);
}

static void get(struct world *w, int i, const struct dht_get_spec *spec)
{
    uint32_t handle = 0;
    CHECK_OK(dht_get(&w->nodes[i].d, w->now_us, spec, &handle));
    world_drain(w, i);
    for (int t = 0; t < 200 && w->nodes[i].found.handle != handle; t++) {
        world_run(w, w->now_us + 100000);
    }
    CHECK_EQ(w->nodes[i].found.handle, handle);
}

static uint32_t put_mutable(struct world *w, int i, const struct dht_mutable_spec *spec)
{
    uint32_t handle = 0;
    CHECK_OK(dht_put_mutable(&w->nodes[i].d, w->now_us, spec, &handle));
    wait_stored(w, i, handle);
    return handle;
}

static unsigned n_holders(const struct world *w, uint8_t kind, const struct dht_pos *key)
{
    unsigned n = 0;
    for (int i = 0; i < w->n; i++) {
        n += dht_store_get(&w->nodes[i].d.store, w->now_us, kind, key) != NULL;
    }
    return n;
}

TEST(dht_put, mutable_in_networks)
{
    static const int sizes[] = {2, 5, 60};
    CHECK_OK(crypt_init());
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        struct world w;
        start(&w, sizes[k], 70 + k);
        struct dht_mutable_spec spec = {
            .salt = slice_text("s"), .value = slice_text("one"), .seq = 1};
        struct world_node *node = &w.nodes[1], *reader = &w.nodes[0];
        put_mutable(&w, 1, &spec);
        CHECK_OK(node->stored.status);
        CHECK(node->stored.n_acks >= IPX_MIN(sizes[k] - 1, DHT_PUT_ENOUGH));
        world_run(&w, w.now_us + 3 * US_PER_S);
        struct dht_pos key = dht_mutable_key(&node->key.pk, spec.salt);
        CHECK(n_holders(&w, DHT_KIND_MUTABLE, &key) >=
              (unsigned)IPX_MIN(sizes[k] - 1, DHT_REPLICAS));
        CHECK(n_holders(&w, DHT_KIND_MUTABLE, &key) <= DHT_PUT_HOLDERS);
        struct dht_get_spec ask = {.kind = DHT_KIND_MUTABLE, .key = key};
        struct dht_item item;
        get(&w, sizes[k] > 2 ? 2 : 0, &ask);
        reader = &w.nodes[sizes[k] > 2 ? 2 : 0];
        if (sizes[k] > 2) {
            CHECK_OK(reader->found.status);
            CHECK_OK(dht_item_read(DHT_KIND_MUTABLE,
                                   slice_of(reader->found.record, reader->found.record_len),
                                   &w.mesh, &item));
            CHECK(slice_equal(item.value, spec.value) && item.seq == 1);
        }
        /* cas: only what has seq 1 is replaced; what came later is refused by everybody. */
        spec = (struct dht_mutable_spec){.salt = slice_text("s"),
                                         .value = slice_text("two"),
                                         .seq = 2,
                                         .has_cas = true,
                                         .cas = 9};
        put_mutable(&w, 1, &spec);
        CHECK_EQ(node->stored.status, IPX_REFUSED);
        CHECK_EQ(node->stored.why, DHT_STATUS_CAS);
        CHECK_EQ(node->stored.seq, 1);
        spec.cas = 1;
        put_mutable(&w, 1, &spec);
        CHECK_OK(node->stored.status);
        spec.has_cas = false;
        spec.seq = 1;
        put_mutable(&w, 1, &spec);
        CHECK_EQ(node->stored.status, IPX_REFUSED);
        CHECK_EQ(node->stored.why, DHT_STATUS_STALE);
        CHECK_EQ(node->stored.seq, 2);
        CHECK_EQ(node->stored.n, 4); /* each told once */
        world_done(&w);
    }
}

TEST(dht_put, immutable_and_providers)
{
    struct world w;
    static uint8_t value[DHT_IMMUTABLE_MAX + 1];
    uint32_t handle = 0;
    CHECK_OK(crypt_init());
    start(&w, 40, 90);
    struct slice whole = slice_of(value, DHT_IMMUTABLE_MAX);
    CHECK_EQ(
        dht_put_immutable(&w.nodes[3].d, w.now_us, slice_of(value, sizeof(value)), false, &handle),
        IPX_LIMIT);
    CHECK_EQ(dht_put_immutable(&w.nodes[3].d, w.now_us, SLICE_EMPTY, false, &handle), IPX_LIMIT);
    CHECK_OK(dht_put_immutable(&w.nodes[3].d, w.now_us, whole, false, &handle));
    wait_stored(&w, 3, handle);
    struct dht_get_spec ask = {.kind = DHT_KIND_IMMUTABLE, .key = dht_immutable_key(whole)};
    get(&w, 17, &ask);
    CHECK_OK(w.nodes[17].found.status);
    CHECK(slice_equal(slice_of(w.nodes[17].found.record, w.nodes[17].found.record_len), whole));

    struct dht_provide_spec p = {.key = {{9, 9}}, .size = 77, .seq = 1};
    for (int i = 0; i < 12; i++) {
        CHECK_OK(dht_provide(&w.nodes[i].d, w.now_us, &p, &handle));
        wait_stored(&w, i, handle);
        CHECK_OK(w.nodes[i].stored.status);
    }
    world_run(&w, w.now_us + 5 * US_PER_S);
    ask = (struct dht_get_spec){.kind = DHT_KIND_PROVIDER, .key = p.key, .n_wanted = 3};
    get(&w, 30, &ask);
    CHECK_OK(w.nodes[30].found.status);
    CHECK(w.nodes[30].found.n_providers >= 3);
    ask.n_wanted = 0; /* all that are met: each holder draws its five by lot */
    get(&w, 30, &ask);
    CHECK(w.nodes[30].found.n_providers >= 10);
    CHECK_EQ(w.nodes[30].found.providers[0].size, 77);
    ask.key.bytes[0] ^= 1;
    get(&w, 30, &ask);
    CHECK_EQ(w.nodes[30].found.n_providers, 0);
    world_done(&w);
}

TEST(dht_put, kept_records_are_renewed_together)
{
    struct world w;
    uint32_t handle = 0;
    CHECK_OK(crypt_init());
    start(&w, 10, 91);
    struct world_node *node = &w.nodes[4];
    struct dht_provide_spec p = {.size = 1, .seq = 1, .keep = true};
    for (uint8_t i = 0; i < 5; i++) {
        p.key.bytes[0] = (uint8_t)(i * 50);
        CHECK_OK(dht_provide(&node->d, w.now_us, &p, &handle));
        wait_stored(&w, 4, handle);
    }
    uint64_t n_searches = node->d.stats.n_searches;
    world_run(&w, w.now_us + 10 * 3600 * US_PER_S); /* two lives and a half of a provider record */
    for (uint8_t i = 0; i < 5; i++) {
        p.key.bytes[0] = (uint8_t)(i * 50);
        CHECK(n_holders(&w, DHT_KIND_PROVIDER, &p.key) >= DHT_REPLICAS);
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
    CHECK_EQ(n_holders(&w, DHT_KIND_PROVIDER, &p.key), 0); /* ended by itself */
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
