/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/heap.h"

#include <stdlib.h>

void heap_init(struct heap *h, struct mem *mem)
{
    *h = (struct heap){.mem = mem};
}

void heap_done(struct heap *h)
{
    for (size_t i = 0; i < h->n; i++) {
        if (h->events[i].drop != NULL) {
            h->events[i].drop(&h->events[i]);
        }
    }
    mem_free(h->mem, h->events);
}

static bool earlier(const struct event *a, const struct event *b)
{
    return a->due_us < b->due_us || (a->due_us == b->due_us && a->order < b->order);
}

void heap_push(struct heap *h, const struct event *e)
{
    if (h->n == h->capacity) {
        h->capacity = h->capacity == 0 ? 256 : 2 * h->capacity;
        h->events = mem_realloc(h->mem, h->events, h->capacity * sizeof(*h->events));
        assert(h->events != NULL);
    }
    size_t at = h->n++;
    struct event new = *e;
    new.order = h->next_order++;
    while (at > 0 && earlier(&new, &h->events[(at - 1) / 4])) {
        h->events[at] = h->events[(at - 1) / 4];
        at = (at - 1) / 4;
    }
    h->events[at] = new;
}

bool heap_pop(struct heap *h, uint64_t until_us, struct event *ret)
{
    if (h->n == 0 || h->events[0].due_us > until_us) {
        return false;
    }
    *ret = h->events[0];
    struct event last = h->events[--h->n];
    size_t at = 0;
    for (;;) {
        size_t best = at, first = 4 * at + 1;
        const struct event *least = &last;
        for (size_t c = first; c < first + 4 && c < h->n; c++) {
            if (earlier(&h->events[c], least)) {
                least = &h->events[c];
                best = c;
            }
        }
        if (best == at) {
            break;
        }
        h->events[at] = h->events[best];
        at = best;
    }
    if (h->n > 0) {
        h->events[at] = last;
    }
    return true;
}
