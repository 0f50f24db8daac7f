/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timers.h"

enum ipx_err timers_init(struct timers *t, struct mem *mem, uint32_t capacity)
{
    assert(capacity < TIMER_IDLE);
    struct timer **heap = mem_alloc_array(mem, capacity, sizeof(struct timer *));
    if (heap == NULL) {
        return IPX_NO_MEMORY;
    }
    *t = (struct timers){.mem = mem, .heap = heap, .capacity = capacity};
    return IPX_OK;
}

void timers_done(struct timers *t)
{
    if (t->heap != NULL) {
        mem_free(t->mem, t->heap);
        t->heap = NULL;
    }
    t->n = 0;
    t->capacity = 0;
}

enum ipx_err timers_reserve(struct timers *t, uint32_t capacity)
{
    assert(capacity < TIMER_IDLE);
    if (capacity <= t->capacity) {
        return IPX_OK;
    }
    uint32_t wanted = IPX_MAX(capacity, IPX_MIN(t->capacity * 2, TIMER_IDLE - 1));
    struct timer **heap = mem_realloc(t->mem, t->heap, (size_t)wanted * sizeof(*heap));
    if (heap == NULL) {
        return IPX_NO_MEMORY;
    }
    t->heap = heap;
    t->capacity = wanted;
    return IPX_OK;
}

void timer_init(struct timer *timer, uint32_t kind)
{
    *timer = (struct timer){.slot = TIMER_IDLE, .due_us = NEVER_US, .kind = kind};
}

bool timer_is_set(const struct timer *timer)
{
    return timer->slot != TIMER_IDLE;
}

static bool timer_is_before(const struct timer *a, const struct timer *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void timers_put(struct timers *t, uint32_t slot, struct timer *timer)
{
    t->heap[slot] = timer;
    timer->slot = slot;
}

static void timers_sift_up(struct timers *t, struct timer *timer)
{
    uint32_t slot = timer->slot;
    while (slot > 0) {
        uint32_t parent = (slot - 1) / 2;
        if (!timer_is_before(timer, t->heap[parent])) {
            break;
        }
        timers_put(t, slot, t->heap[parent]);
        slot = parent;
    }
    timers_put(t, slot, timer);
}

static void timers_sift_down(struct timers *t, struct timer *timer)
{
    uint32_t slot = timer->slot;
    for (;;) {
        uint64_t child = (uint64_t)slot * 2 + 1;
        if (child >= t->n) {
            break;
        }
        if (child + 1 < t->n && timer_is_before(t->heap[child + 1], t->heap[child])) {
            child++;
        }
        if (!timer_is_before(t->heap[child], timer)) {
            break;
        }
        timers_put(t, slot, t->heap[child]);
        slot = (uint32_t)child;
    }
    timers_put(t, slot, timer);
}

void timers_set(struct timers *t, struct timer *timer, uint64_t due_us)
{
    if (due_us == NEVER_US) {
        timers_clear(t, timer);
        return;
    }
    if (!timer_is_set(timer)) {
        assert(t->n < t->capacity);
        timers_put(t, t->n, timer);
        t->n++;
    }
    assert(timer->slot < t->n && t->heap[timer->slot] == timer);
    timer->due_us = due_us;
    timer->order = t->next_order++;
    timers_sift_up(t, timer);
    timers_sift_down(t, timer);
}

void timers_clear(struct timers *t, struct timer *timer)
{
    if (!timer_is_set(timer)) {
        return;
    }
    uint32_t slot = timer->slot;
    assert(slot < t->n && t->heap[slot] == timer);
    t->n--;
    struct timer *last = t->heap[t->n];
    timer->slot = TIMER_IDLE;
    timer->due_us = NEVER_US;
    if (last != timer) {
        timers_put(t, slot, last);
        timers_sift_up(t, last);
        timers_sift_down(t, last);
    }
}

uint64_t timers_deadline(const struct timers *t)
{
    return t->n == 0 ? NEVER_US : t->heap[0]->due_us;
}

struct timer *timers_pop(struct timers *t, uint64_t now_us)
{
    if (t->n == 0 || t->heap[0]->due_us > now_us) {
        return NULL;
    }
    struct timer *first = t->heap[0];
    timers_clear(t, first);
    return first;
}
