/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Deadline heap. A timer is embedded in what it wakes; equal deadlines fire in
 * the order in which they were set, so runs are replayable.
 *
 * Invariant: heap[i] fires no later than its children; timer->slot is its index
 * in the heap, TIMER_IDLE when not set. The heap has room for all timers that the
 * owner will ever embed: setting one never fails.
 */
#include "base/mem.h"

#define TIMER_IDLE UINT32_MAX

struct timer {
    uint64_t due_us;
    uint64_t order; /* start counter: breaks ties */
    uint32_t slot;  /* index in the heap or TIMER_IDLE */
    uint32_t kind;  /* for the owner: what this timer means */
};

struct timers {
    struct mem *mem;
    struct timer **heap;
    uint32_t n;
    uint32_t capacity;
    uint64_t next_order;
};

IPX_MUST_USE enum ipx_err timers_init(struct timers *t, struct mem *mem, uint32_t capacity);
void timers_done(struct timers *t);
/* Room for at least `capacity` timers: for owners that grow. Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err timers_reserve(struct timers *t, uint32_t capacity);
/* Every timer must be initialised once before use. */
void timer_init(struct timer *timer, uint32_t kind);
bool timer_is_set(const struct timer *timer);
/* Sets or moves. `due_us` NEVER_US clears. */
void timers_set(struct timers *t, struct timer *timer, uint64_t due_us);
void timers_clear(struct timers *t, struct timer *timer);
/* Earliest deadline, NEVER_US if none. */
uint64_t timers_deadline(const struct timers *t);
/* Takes the first timer due at or before now_us off the heap; NULL if none. */
struct timer *timers_pop(struct timers *t, uint64_t now_us);
