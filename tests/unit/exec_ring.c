/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include "base/rng.h"
#include "exec/ring.h"

/* Against a naive model: all frames ever, and from which on the ring must hold them. */

#define FRAMES_MAX 6000

static struct {
    uint8_t len_byte;
    uint32_t len;
    uint64_t arrived_us;
} model[FRAMES_MAX];

static uint8_t bytes[5000];

static void frame_check(const struct ring *r, uint64_t seq)
{
    struct ring_frame f = ring_get(r, seq);
    CHECK_EQ(f.seq, seq);
    CHECK_EQ(f.time_us, (int64_t)seq * 10);
    CHECK_EQ(f.bytes.len, model[seq].len);
    for (size_t i = 0; i < f.bytes.len; i++) {
        CHECK(f.bytes.data[i] == model[seq].len_byte);
    }
}

/* The oldest that the limits allow. */
static uint64_t model_first(const struct ring *r, uint64_t first, uint64_t end)
{
    uint64_t cost = 0, seq = end;
    while (seq > first) {
        cost += model[seq - 1].len + RING_ENTRY_COST;
        if (cost > r->limits.bytes_max || end - seq + 1 > r->limits.frames_max) {
            break;
        }
        seq--;
    }
    return seq;
}

static void run(uint64_t seed, const struct ring_limits *limits, size_t budget, uint32_t len_max)
{
    struct mem mem;
    struct rng rng;
    struct ring r;
    struct ring_budget shared = {.limit = budget};
    uint64_t now_us = 1000, first = 0;
    mem_init(&mem, SIZE_MAX);
    rng_init_int(&rng, seed);
    ring_init(&r, &mem, &shared, limits);
    for (uint64_t seq = 0; seq < FRAMES_MAX; seq++) {
        now_us += rng_below(&rng, 100);
        model[seq].len = (uint32_t)rng_below(&rng, len_max + 1);
        model[seq].len_byte = (uint8_t)seq;
        model[seq].arrived_us = now_us;
        memset(bytes, (int)seq & 255, model[seq].len);
        CHECK_OK(ring_append(&r, now_us, (int64_t)seq * 10, slice_of(bytes, model[seq].len)));
        CHECK_EQ(r.end, seq + 1);
        first = model_first(&r, first, r.end);
        if (budget == SIZE_MAX && limits->bytes_max > 100000) {
            CHECK(r.first >= first); /* bytes in one piece: a little is lost at the wrap */
            CHECK(r.first <= first + 2 * (len_max / RING_ENTRY_COST) + 2);
        }
        first = IPX_MAX(first, r.first);
        if (seq % 7 == 0) {
            frame_check(&r, r.first + rng_below(&rng, r.end - r.first));
            frame_check(&r, r.first);
            frame_check(&r, r.end - 1);
        }
        if (seq % 500 == 0) {
            ring_check(&r);
            CHECK_EQ(ring_seek_time(&r, (int64_t)seq * 10 - 5), IPX_MAX(seq, r.first));
            CHECK_EQ(ring_seek_arrival(&r, 0), r.first);
            CHECK_EQ(ring_seek_arrival(&r, now_us + 1), r.end);
            uint64_t keep = r.first + (r.end - r.first) / 2;
            ring_expire(&r, now_us + limits->age_us, keep);
            CHECK(r.first <= keep);
            CHECK(r.first == r.end || model[r.first].arrived_us >= now_us || r.first == keep);
            first = r.first;
        }
    }
    CHECK(shared.used <= budget);
    ring_done(&r);
    CHECK_EQ(shared.used, 0);
    CHECK_EQ(mem.used, 0);
}

TEST(exec_ring, against_a_model)
{
    static const struct {
        struct ring_limits limits;
        size_t budget;
        uint32_t len_max;
    } cases[] = {
        {{1000, 1 << 20, UINT64_MAX}, SIZE_MAX, 100}, {{1000, 1 << 20, UINT64_MAX}, SIZE_MAX, 0},
        {{1000, 200000, UINT64_MAX}, SIZE_MAX, 4000}, {{1000, 5000, UINT64_MAX}, SIZE_MAX, 4900},
        {{1000, 1 << 20, 10}, SIZE_MAX, 100},         {{1000, 1 << 20, 1}, SIZE_MAX, 4000},
        {{1000, 64u << 20, UINT64_MAX}, 30000, 1000}, {{0, 1 << 20, UINT64_MAX}, 20000, 4000},
    };
    for (uint64_t seed = 1; seed <= 3; seed++) {
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            run(seed, &cases[i].limits, cases[i].budget, cases[i].len_max);
        }
    }
}

TEST(exec_ring, what_does_not_fit)
{
    struct mem mem;
    struct ring r;
    struct ring_budget none = {.limit = 100}, some = {.limit = SIZE_MAX};
    mem_init(&mem, SIZE_MAX);
    ring_init(&r, &mem, &none, &(struct ring_limits){1, 1 << 20, 100});
    CHECK_EQ(ring_append(&r, 1, 1, slice_of(bytes, 10)), IPX_LIMIT);
    ring_done(&r);
    ring_init(&r, &mem, &some, &(struct ring_limits){1, 1000, 100});
    CHECK_EQ(ring_append(&r, 1, 1, slice_of(bytes, 977)), IPX_LIMIT);
    CHECK_OK(ring_append(&r, 1, 1, slice_of(bytes, 976)));
    CHECK_OK(ring_append(&r, 1, 1, SLICE_EMPTY));
    CHECK_EQ(r.first, 1);
    mem.fail_after = 0;
    CHECK_OK(ring_append(&r, 1, 1, slice_of(bytes, 900))); /* room that is there already */
    ring_done(&r);
    ring_init(&r, &mem, &some, &(struct ring_limits){1, 1000, 100});
    CHECK_EQ(ring_append(&r, 1, 1, slice_of(bytes, 9)), IPX_LIMIT);
    ring_done(&r);
    CHECK_EQ(mem.used, 0);
}
