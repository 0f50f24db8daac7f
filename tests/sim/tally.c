/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/tally.h"

void tally_init(struct tally *t, struct mem *mem)
{
    *t = (struct tally){.mem = mem};
}

void tally_done(struct tally *t)
{
    mem_free(t->mem, t->keys);
    mem_free(t->mem, t->values);
}

uint64_t tally_key(uint64_t seed, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    uint64_t h = UINT64_C(14695981039346656037) ^ (seed * UINT64_C(0x9e3779b97f4a7c15));
    for (size_t i = 0; i < len; i++) {
        h = (h ^ p[i]) * UINT64_C(1099511628211);
    }
    h ^= h >> 32;
    return h != 0 ? h : 1;
}

static size_t place_of(const struct tally *t, uint64_t key)
{
    size_t at = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (t->capacity - 1);
    while (t->keys[at] != 0 && t->keys[at] != key) {
        at = (at + 1) & (t->capacity - 1);
    }
    return at;
}

static void grow(struct tally *t)
{
    struct tally old = *t;
    t->capacity = old.capacity == 0 ? 256 : 2 * old.capacity;
    t->keys = mem_alloc_array(t->mem, t->capacity, sizeof(*t->keys));
    t->values = mem_alloc_array(t->mem, t->capacity, sizeof(*t->values));
    assert(t->keys != NULL && t->values != NULL);
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.keys[i] != 0) {
            size_t at = place_of(t, old.keys[i]);
            t->keys[at] = old.keys[i];
            t->values[at] = old.values[i];
        }
    }
    tally_done(&old);
}

uint64_t *tally_at(struct tally *t, uint64_t key)
{
    assert(key != 0);
    if (2 * t->n >= t->capacity) {
        grow(t);
    }
    size_t at = place_of(t, key);
    if (t->keys[at] == 0) {
        t->keys[at] = key;
        t->n++;
    }
    return &t->values[at];
}
