/* SPDX-License-Identifier: Apache-2.0 */
/* The face by itself: an idle object has nothing to do and frees all it took. Owner and place are
 * tested in their own files, both together in exec_mesh.c. */
#include "exec/exec.h"
#include "tests/harness.h"

static struct exec *make(struct mem *mem, struct rng *rng, struct crypt_keypair *key)
{
    uint8_t seed[32] = {1};
    struct exec *x = NULL;
    CHECK_OK(crypt_init());
    while (crypt_keypair_from_seed(seed, key) != IPX_OK) {
        seed[0]++;
    }
    rng_init_int(rng, 1);
    struct exec_config config = {.key = key, .self = {.id = key->pk}, .rng = rng, .n_slots = 2};
    CHECK_OK(exec_new(&config, mem, &x));
    return x;
}

TEST(exec_exec, an_idle_object_sleeps_and_drops_what_it_does_not_know)
{
    struct mem mem;
    struct rng rng;
    struct crypt_keypair key;
    struct exec_action a;
    struct exec_vitals v;
    struct exec_stats stats;
    uint8_t noise[3] = {0xff, 0, 1};
    struct cert_facts stranger = {.caps = 0};
    mem_init(&mem, SIZE_MAX);
    struct exec *x = make(&mem, &rng, &key);
    exec_on_clock(x, US_PER_S, 1000);
    CHECK(exec_is_idle(x));
    CHECK(!exec_poll(x, US_PER_S, &a));
    CHECK(exec_deadline(x) == NEVER_US);
    /* late or foreign: handles, attempts, objects that nobody has */
    exec_on_stream_message(x, US_PER_S, 7, 1, slice_of(noise, sizeof(noise)));
    exec_on_stream_closed(x, US_PER_S, 7, IPX_CLOSED);
    exec_on_started(x, US_PER_S, 9, IPX_OK);
    exec_on_exit(x, US_PER_S, 9, 0, 0, 0);
    exec_on_stored(x, US_PER_S, 3, IPX_OK);
    exec_on_client_closed(x, US_PER_S, 8);
    for (unsigned type = 48; type < 64; type++) {
        exec_recv(x, US_PER_S, &stranger, (uint8_t)type, 1, slice_of(noise, sizeof(noise)));
    }
    exec_check(x);
    exec_stats(x, &stats);
    CHECK(stats.n_malformed > 0);
    exec_vitals(x, &v);
    CHECK_EQ(v.n_slots, 2);
    CHECK_EQ(v.n_free, 2);
    while (exec_poll(x, US_PER_S, &a)) {
        CHECK(a.kind != EXEC_SPAWN);
    }
    exec_free(x);
    CHECK_EQ(mem.used, 0);
}

TEST(exec_exec, without_memory_it_is_not_made_and_nothing_leaks)
{
    struct mem mem;
    struct rng rng;
    struct crypt_keypair key;
    mem_init(&mem, SIZE_MAX);
    exec_free(make(&mem, &rng, &key));
    for (uint64_t after = 0; after < 32; after++) {
        struct exec_config config = {.key = &key, .rng = &rng, .n_slots = 1};
        struct exec *x = NULL;
        mem.fail_after = after;
        enum ipx_err err = exec_new(&config, &mem, &x);
        mem.fail_after = UINT64_MAX;
        CHECK(err == IPX_OK || err == IPX_NO_MEMORY);
        exec_free(x);
        CHECK_EQ(mem.used, 0);
    }
}
