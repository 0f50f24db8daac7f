/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"
#include "base/timers.h"
#include "tests/harness.h"

#define N_TIMERS 50

TEST(base_timers, order_and_ties)
{
    struct mem m;
    struct timers t;
    struct timer a, b, c;
    mem_init(&m, SIZE_MAX);
    CHECK_OK(timers_init(&t, &m, 3));
    timer_init(&a, 1);
    timer_init(&b, 2);
    timer_init(&c, 3);
    CHECK(timers_deadline(&t) == NEVER_US);
    CHECK(timers_pop(&t, NEVER_US) == NULL);
    timers_set(&t, &a, 10);
    timers_set(&t, &b, 10);
    timers_set(&t, &c, 5);
    CHECK_EQ(timers_deadline(&t), 5);
    CHECK(timers_pop(&t, 4) == NULL);
    CHECK(timers_pop(&t, 5) == &c);
    CHECK(!timer_is_set(&c));
    timers_set(&t, &a, 10); /* set again: now behind b */
    CHECK(timers_pop(&t, 10) == &b);
    CHECK(timers_pop(&t, 10) == &a);
    timers_set(&t, &a, 7);
    timers_set(&t, &a, NEVER_US);
    CHECK(!timer_is_set(&a));
    timers_clear(&t, &a);
    CHECK(timers_deadline(&t) == NEVER_US);
    timers_done(&t);
    timers_done(&t);
    CHECK_EQ(m.used, 0);

    m.fail_after = 0;
    CHECK_EQ(timers_init(&t, &m, 3), IPX_NO_MEMORY);
    CHECK_EQ(m.used, 0);
}

/* The invariant of the header. */
static void heap_check(const struct timers *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        CHECK_EQ(t->heap[i]->slot, i);
        if (i > 0) {
            const struct timer *parent = t->heap[(i - 1) / 2];
            CHECK(parent->due_us < t->heap[i]->due_us ||
                  (parent->due_us == t->heap[i]->due_us && parent->order < t->heap[i]->order));
        }
    }
}

struct model_entry {
    bool is_set;
    uint64_t due_us, order;
};

/* The one that must fire first, -1 if none. */
static int model_first(const struct model_entry *model)
{
    int first = -1;
    for (int i = 0; i < N_TIMERS; i++) {
        if (model[i].is_set &&
            (first < 0 || model[i].due_us < model[first].due_us ||
             (model[i].due_us == model[first].due_us && model[i].order < model[first].order))) {
            first = i;
        }
    }
    return first;
}

TEST(base_timers, random_against_model)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct mem m;
        struct rng rng;
        struct timers t;
        struct timer timers[N_TIMERS];
        struct model_entry model[N_TIMERS] = {0};
        uint64_t order = 0;
        uint64_t now_us = 0;
        mem_init(&m, SIZE_MAX);
        rng_init_int(&rng, seed);
        CHECK_OK(timers_init(&t, &m, N_TIMERS));
        for (uint32_t i = 0; i < N_TIMERS; i++) {
            timer_init(&timers[i], i);
        }
        for (int step = 0; step < 2000; step++) {
            size_t i = (size_t)rng_below(&rng, N_TIMERS);
            uint64_t action = rng_below(&rng, 10);
            if (action < 6) {
                uint64_t due_us = now_us + rng_below(&rng, 20);
                timers_set(&t, &timers[i], due_us);
                model[i] = (struct model_entry){true, due_us, order++};
            } else if (action < 8) {
                timers_clear(&t, &timers[i]);
                model[i].is_set = false;
            } else {
                now_us += rng_below(&rng, 10);
                int first = model_first(model);
                struct timer *timer = timers_pop(&t, now_us);
                if (first >= 0 && model[first].due_us <= now_us) {
                    CHECK(timer == &timers[first]);
                    CHECK_EQ(timer->kind, first);
                    model[first].is_set = false;
                } else {
                    CHECK(timer == NULL);
                }
            }
            int first = model_first(model);
            CHECK(timers_deadline(&t) == (first < 0 ? NEVER_US : model[first].due_us));
            heap_check(&t);
        }
        timers_done(&t);
        CHECK_EQ(m.used, 0);
    }
}
