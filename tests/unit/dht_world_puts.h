/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Putting and getting records in the small network of dht_world.h. */
#include "tests/unit/dht_world.h"

static void world_start(struct world *w, int n, uint64_t seed)
{
    world_init(w, n, seed);
    world_join_all(w, 100000);
    world_run(w, w->now_us + 30 * US_PER_S);
}

/* Until STORED came for `handle`. */
static void world_wait_stored(struct world *w, int i, uint32_t handle)
{
    world_drain(w, i);
    for (int t = 0; t < 200 && w->nodes[i].stored.handle != handle; t++) {
        world_run(w, w->now_us + 100000);
    }
    CHECK_EQ(w->nodes[i].stored.handle, handle);
}

static __attribute__((unused)) void world_get(struct world *w, int i,
                                              const struct dht_get_spec *spec)
{
    uint32_t handle = 0;
    CHECK_OK(dht_get(&w->nodes[i].d, w->now_us, spec, &handle));
    world_drain(w, i);
    for (int t = 0; t < 200 && w->nodes[i].found.handle != handle; t++) {
        world_run(w, w->now_us + 100000);
    }
    CHECK_EQ(w->nodes[i].found.handle, handle);
}

static __attribute__((unused)) uint32_t world_put_mutable(struct world *w, int i,
                                                          const struct dht_mutable_spec *spec)
{
    uint32_t handle = 0;
    CHECK_OK(dht_put_mutable(&w->nodes[i].d, w->now_us, spec, &handle));
    world_wait_stored(w, i, handle);
    return handle;
}

static unsigned world_n_holders(const struct world *w, uint8_t kind, const struct dht_pos *key)
{
    unsigned n = 0;
    for (int i = 0; i < w->n; i++) {
        n += dht_store_get(&w->nodes[i].d.store, w->now_us, kind, key) != NULL;
    }
    return n;
}
