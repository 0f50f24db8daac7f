/* SPDX-License-Identifier: Apache-2.0 */
/* The commands on records: each kind put and got in networks of whole objects, and refused. */
#include "dht/dht.h"
#include "tests/unit/dht_world_puts.h"

TEST(dht_values, mutable_in_networks)
{
    static const int sizes[] = {2, 5, 60};
    CHECK_OK(crypt_init());
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        struct world w;
        world_start(&w, sizes[k], 70 + k);
        struct dht_mutable_spec spec = {
            .salt = slice_text("s"), .value = slice_text("one"), .seq = 1};
        struct world_node *node = &w.nodes[1], *reader = &w.nodes[0];
        world_put_mutable(&w, 1, &spec);
        CHECK_OK(node->stored.status);
        CHECK(node->stored.n_acks >= IPX_MIN(sizes[k] - 1, DHT_PUT_ENOUGH));
        world_run(&w, w.now_us + 3 * US_PER_S);
        struct dht_pos key = dht_mutable_key(&node->key.pk, spec.salt);
        CHECK(world_n_holders(&w, DHT_KIND_MUTABLE, &key) >=
              (unsigned)IPX_MIN(sizes[k] - 1, DHT_REPLICAS));
        CHECK(world_n_holders(&w, DHT_KIND_MUTABLE, &key) <= DHT_PUT_HOLDERS);
        struct dht_get_spec ask = {.kind = DHT_KIND_MUTABLE, .key = key};
        struct dht_item item;
        world_get(&w, sizes[k] > 2 ? 2 : 0, &ask);
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
        world_put_mutable(&w, 1, &spec);
        CHECK_EQ(node->stored.status, IPX_REFUSED);
        CHECK_EQ(node->stored.why, DHT_STATUS_CAS);
        CHECK_EQ(node->stored.seq, 1);
        spec.cas = 1;
        world_put_mutable(&w, 1, &spec);
        CHECK_OK(node->stored.status);
        spec.has_cas = false;
        spec.seq = 1;
        world_put_mutable(&w, 1, &spec);
        CHECK_EQ(node->stored.status, IPX_REFUSED);
        CHECK_EQ(node->stored.why, DHT_STATUS_STALE);
        CHECK_EQ(node->stored.seq, 2);
        CHECK_EQ(node->stored.n, 4); /* each told once */
        world_done(&w);
    }
}

TEST(dht_values, immutable_and_providers)
{
    struct world w;
    static uint8_t value[DHT_IMMUTABLE_MAX + 1];
    uint32_t handle = 0;
    CHECK_OK(crypt_init());
    world_start(&w, 40, 90);
    struct slice whole = slice_of(value, DHT_IMMUTABLE_MAX);
    CHECK_EQ(
        dht_put_immutable(&w.nodes[3].d, w.now_us, slice_of(value, sizeof(value)), false, &handle),
        IPX_LIMIT);
    CHECK_EQ(dht_put_immutable(&w.nodes[3].d, w.now_us, SLICE_EMPTY, false, &handle), IPX_LIMIT);
    CHECK_OK(dht_put_immutable(&w.nodes[3].d, w.now_us, whole, false, &handle));
    world_wait_stored(&w, 3, handle);
    struct dht_get_spec ask = {.kind = DHT_KIND_IMMUTABLE, .key = dht_immutable_key(whole)};
    world_get(&w, 17, &ask);
    CHECK_OK(w.nodes[17].found.status);
    CHECK(slice_equal(slice_of(w.nodes[17].found.record, w.nodes[17].found.record_len), whole));

    struct dht_provide_spec p = {.key = {{9, 9}}, .size = 77, .seq = 1};
    for (int i = 0; i < 12; i++) {
        CHECK_OK(dht_provide(&w.nodes[i].d, w.now_us, &p, &handle));
        world_wait_stored(&w, i, handle);
        CHECK_OK(w.nodes[i].stored.status);
    }
    world_run(&w, w.now_us + 5 * US_PER_S);
    ask = (struct dht_get_spec){.kind = DHT_KIND_PROVIDER, .key = p.key, .n_wanted = 3};
    world_get(&w, 30, &ask);
    CHECK_OK(w.nodes[30].found.status);
    CHECK(w.nodes[30].found.n_providers >= 3);
    ask.n_wanted = 0; /* all that are met: each holder draws its five by lot */
    world_get(&w, 30, &ask);
    CHECK(w.nodes[30].found.n_providers >= 10);
    CHECK_EQ(w.nodes[30].found.providers[0].size, 77);
    ask.key.bytes[0] ^= 1;
    world_get(&w, 30, &ask);
    CHECK_EQ(w.nodes[30].found.n_providers, 0);
    world_done(&w);
}
