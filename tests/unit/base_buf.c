/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/rng.h"
#include "tests/harness.h"

TEST(base_buf, cap_and_reuse)
{
    struct mem m;
    struct buf b;
    mem_init(&m, SIZE_MAX);
    buf_init(&b, &m, 10);
    CHECK_OK(buf_append(&b, SLICE_EMPTY));
    CHECK_EQ(m.used, 0);
    CHECK_OK(buf_append(&b, slice_text("hello")));
    CHECK_EQ(buf_append(&b, slice_text("worlds")), IPX_FULL);
    CHECK(slice_equal(buf_slice(&b), slice_text("hello")));
    CHECK_OK(buf_append(&b, slice_text("world")));
    CHECK(buf_extend(&b, 1) == NULL);
    buf_consume(&b, 3);
    uint8_t *p = buf_extend(&b, 3);
    CHECK(p != NULL);
    memcpy(p, "xyz", 3);
    buf_shrink(&b, 1);
    CHECK(slice_equal(buf_slice(&b), slice_text("loworldxy")));
    CHECK(b.cap <= 12);
    buf_clear(&b);
    CHECK_EQ(buf_slice(&b).len, 0);
    buf_done(&b);
    CHECK_EQ(m.used, 0);
    CHECK_OK(buf_append(&b, slice_text("again")));
    buf_done(&b);
    struct buf zeroed = {.mem = NULL};
    buf_done(&zeroed);
    CHECK_EQ(m.used, 0);
}

TEST(base_buf, memory_failures)
{
    struct mem m;
    struct buf b;
    uint8_t big[5000] = {0};
    mem_init(&m, SIZE_MAX);
    m.fail_after = 0;
    buf_init(&b, &m, 100000);
    CHECK_EQ(buf_append(&b, slice_text("x")), IPX_NO_MEMORY);
    CHECK(buf_extend(&b, 5) == NULL);
    m.fail_after = 1;
    CHECK_OK(buf_append(&b, slice_text("0123456789")));
    CHECK_EQ(buf_append(&b, slice_of(big, sizeof(big))), IPX_NO_MEMORY);
    CHECK(slice_equal(buf_slice(&b), slice_text("0123456789")));
    /* Without new memory the consumed front still gives room. */
    buf_consume(&b, 4);
    while (b.start + b.len < b.cap) {
        CHECK_OK(buf_append(&b, slice_text(".")));
    }
    CHECK_OK(buf_append(&b, slice_text("abcd")));
    CHECK_EQ(buf_append(&b, slice_text("e")), IPX_NO_MEMORY);
    CHECK_MEM(buf_slice(&b).data, "456789", 6);
    m.fail_after = UINT64_MAX;
    CHECK_OK(buf_append(&b, slice_of(big, sizeof(big))));
    buf_clear(&b); /* a large one goes back when empty */
    CHECK_EQ(m.used, 0);
    buf_done(&b);
}

/* A queue of the bytes 0, 1, 2 .. 255, 0 .. against two counters. */
TEST(base_buf, random_queue)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rng rng;
        struct mem m;
        struct buf b;
        uint64_t n_in = 0;
        uint64_t n_out = 0;
        size_t cap_max = seed % 2 == 0 ? 1000 : 9000;
        rng_init_int(&rng, seed);
        mem_init(&m, SIZE_MAX);
        buf_init(&b, &m, cap_max);
        for (int step = 0; step < 2000; step++) {
            size_t len = (size_t)rng_below(&rng, 1200);
            if (rng_chance(&rng, 520)) {
                uint8_t *p = buf_extend(&b, len);
                CHECK_EQ(p == NULL, n_in - n_out + len > cap_max);
                for (size_t i = 0; p != NULL && i < len; i++) {
                    p[i] = (uint8_t)n_in++;
                }
            } else {
                len = IPX_MIN(len, buf_slice(&b).len);
                for (size_t i = 0; i < len; i++) {
                    CHECK_EQ(buf_slice(&b).data[i], (uint8_t)(n_out + i));
                }
                buf_consume(&b, len);
                n_out += len;
            }
            CHECK_EQ(buf_slice(&b).len, n_in - n_out);
            CHECK(b.cap <= cap_max + cap_max / 4);
        }
        buf_done(&b);
        CHECK_EQ(m.used, 0);
    }
}
