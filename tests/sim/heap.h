/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Events of the simulated world, by (time, sequence number): a total order. An event is a function
 * with its argument; what it owns it frees itself, also when it is dropped at the end (drop).
 */
#include "base/mem.h"

struct event {
    uint64_t due_us, order;
    void (*run)(void *user, struct event *e);
    void (*drop)(struct event *e); /* NULL: nothing to free */
    unsigned node;
    uint32_t number;
    uint64_t boot;
    void *ptr;
    struct mem *mem; /* of `bytes` */
    uint8_t *bytes;
    size_t len;
};

struct heap {
    struct mem *mem;
    struct event *events; /* by value; the first is the earliest */
    size_t n, capacity;
    uint64_t next_order;
};

void heap_init(struct heap *h, struct mem *mem);
void heap_done(struct heap *h);
void heap_push(struct heap *h, const struct event *e); /* sets `order` */
bool heap_pop(struct heap *h, uint64_t until_us, struct event *ret);
