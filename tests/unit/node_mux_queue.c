/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include "base/rng.h"
#include "node/mux_queue.h"

#define MODEL_MAX (1u << 20)

TEST(node_mux_queue, agrees_with_a_flat_array)
{
    static uint8_t model[MODEL_MAX], out[MODEL_MAX], bytes[100000];
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct mem mem;
        struct rng rng;
        struct mux_queue q = {.len = 0};
        size_t head = 0, tail = 0;
        mem_init(&mem, SIZE_MAX);
        rng_init_int(&rng, seed);
        rng_fill(&rng, bytes, sizeof(bytes));
        while (tail < MODEL_MAX - 2 * sizeof(bytes)) {
            uint64_t top = rng_chance(&rng, 100) ? sizeof(bytes) : 700;
            size_t a = (size_t)rng_below(&rng, top), b = (size_t)rng_below(&rng, top);
            CHECK_OK(mux_queue_add(&q, &mem, slice_of(bytes, a), slice_of(bytes + 50, b)));
            memcpy(model + tail, bytes, a);
            memcpy(model + tail + a, bytes + 50, b);
            tail += a + b;
            mux_queue_check(&q);
            CHECK_EQ(q.len, tail - head);
            /* what waits costs what it is, the rest of the last chunk and the start of the first,
             * which may be as long as one addition */
            CHECK(mem.used <= q.len + 65536 + 4 * sizeof(bytes));
            CHECK(q.len > 0 || mem.used == 0);
            struct slice front = mux_queue_front(&q);
            CHECK(front.len == 0 || memcmp(front.data, model + head, front.len) == 0);
            size_t n = (size_t)rng_below(&rng, q.len + 1);
            if (rng_chance(&rng, 500)) {
                mux_queue_take(&q, &mem, out, n);
                CHECK(memcmp(out, model + head, n) == 0);
            } else {
                mux_queue_drop(&q, &mem, n);
            }
            head += n;
            mux_queue_check(&q);
        }
        mux_queue_drop(&q, &mem, q.len);
        CHECK_EQ(mem.used, 0); /* empty ones hold nothing */
        CHECK_OK(mux_queue_add(&q, &mem, slice_of(bytes, 9000), SLICE_EMPTY));
        mux_queue_done(&q, &mem);
        CHECK_EQ(mem.used, 0);
    }
}

TEST(node_mux_queue, adds_both_or_nothing)
{
    struct mem mem;
    struct mux_queue q = {.len = 0};
    static const uint8_t bytes[3000];
    mem_init(&mem, SIZE_MAX);
    CHECK_OK(mux_queue_add(&q, &mem, slice_of(bytes, 10), slice_of(bytes, 20)));
    mem.fail_after = 0;
    CHECK_EQ(mux_queue_add(&q, &mem, slice_of(bytes, 400), slice_of(bytes, 3000)), IPX_NO_MEMORY);
    CHECK_EQ(q.len, 30);
    CHECK_OK(mux_queue_add(&q, &mem, slice_of(bytes, 100), slice_of(bytes, 100))); /* fits */
    CHECK_OK(mux_queue_add(&q, &mem, SLICE_EMPTY, SLICE_EMPTY));
    CHECK_EQ(q.len, 230);
    mux_queue_check(&q);
    mux_queue_done(&q, &mem);
    CHECK_EQ(mem.used, 0);
}
