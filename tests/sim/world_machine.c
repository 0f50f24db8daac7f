/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks that run fast, slow or not at all, and machines that stand still for a while. */
#include "tests/sim/world.h"

#define MILLION 1000000

static uint64_t scaled(uint64_t span_us, int32_t ppm)
{
    int64_t more = (int64_t)span_us * ppm / MILLION; /* days fit: 2^63 / 200 us */
    return span_us + (uint64_t)more;
}

uint64_t world_local_us(const struct world_node *n)
{
    const struct world_machine *m = &n->machine;
    return m->is_frozen ? m->local_us
                        : m->local_us + scaled(n->w->now_us - m->true_us, m->skew_ppm);
}

uint64_t world_true_us(const struct world_node *n, uint64_t local_us)
{
    const struct world_machine *m = &n->machine;
    if (local_us == NEVER_US || local_us <= m->local_us) {
        return local_us == NEVER_US ? NEVER_US : m->true_us;
    }
    uint64_t span = local_us - m->local_us;
    uint64_t at = m->true_us + scaled(span, -m->skew_ppm); /* off by 4e-8 of the span at most */
    while (m->skew_ppm != 0 && m->local_us + scaled(at - m->true_us, m->skew_ppm) < local_us) {
        at += 1 + span / (UINT64_C(20) * MILLION);
    }
    return at;
}

int64_t world_wall_ms(const struct world_node *n)
{
    return n->w->wall_base_ms + (int64_t)(n->w->now_us / US_PER_MS) + n->machine.wall_shift_ms;
}

void world_skew(struct world_node *n, int32_t ppm)
{
    struct world_machine *m = &n->machine;
    m->local_us = world_local_us(n);
    m->true_us = n->w->now_us;
    m->skew_ppm = ppm;
}

void world_pause(struct world_node *n, bool is_frozen)
{
    if (!n->machine.is_paused) {
        world_skew(n, n->machine.skew_ppm);
        n->machine.is_paused = true;
        n->machine.is_frozen = is_frozen;
    }
}

bool world_holds(struct world_node *n, const struct event *e)
{
    if (n->machine.is_paused) {
        heap_push(&n->machine.held, e);
    }
    return n->machine.is_paused;
}

void world_resume(struct world_node *n)
{
    struct event e;
    if (!n->machine.is_paused) {
        return;
    }
    if (n->machine.is_frozen) {
        n->machine.true_us = n->w->now_us;
    }
    n->machine.is_paused = n->machine.is_frozen = false;
    while (!n->machine.is_paused && heap_pop(&n->machine.held, UINT64_MAX, &e)) {
        e.run(n->w, &e);
    }
}
