/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/crypt.h"

#define MAP_CAPACITY_MAX (UINT32_C(1) << 30) /* so that slot arithmetic stays in 32 bits */
#define MAP_SLOTS_MIN 4

enum ipx_err map_init(struct map *m, struct mem *mem, uint32_t capacity, uint8_t key_len,
                      const uint8_t secret[static 16])
{
    assert(capacity <= MAP_CAPACITY_MAX);
    assert(key_len > 0);
    uint32_t n_slots = MAP_SLOTS_MIN;
    while ((uint64_t)n_slots * 3 < (uint64_t)capacity * 4) {
        n_slots *= 2;
    }
    uint8_t *keys = mem_alloc_array(mem, n_slots, key_len);
    uint32_t *values = mem_alloc_array(mem, n_slots, sizeof(uint32_t));
    if (keys == NULL || values == NULL) {
        mem_free(mem, keys);
        mem_free(mem, values);
        return IPX_NO_MEMORY;
    }
    *m = (struct map){.mem = mem,
                      .keys = keys,
                      .values = values,
                      .n_slots = n_slots,
                      .capacity = capacity,
                      .key_len = key_len};
    memcpy(m->secret, secret, sizeof(m->secret));
    map_clear(m);
    return IPX_OK;
}

void map_done(struct map *m)
{
    if (m->mem == NULL) {
        return;
    }
    mem_free(m->mem, m->keys);
    mem_free(m->mem, m->values);
    crypt_wipe(m, sizeof(*m));
}

void map_clear(struct map *m)
{
    for (uint32_t i = 0; i < m->n_slots; i++) {
        m->values[i] = MAP_EMPTY;
    }
    m->count = 0;
}

static uint8_t *key_at(const struct map *m, uint32_t slot)
{
    return m->keys + (size_t)slot * m->key_len;
}

/* Where the key would stand if nothing else were in the map. */
static uint32_t home_of(const struct map *m, const uint8_t *key)
{
    uint64_t hash = crypt_short(m->secret, slice_of(key, m->key_len));
    return (uint32_t)(hash >> 32) & (m->n_slots - 1);
}

static bool slot_holds(const struct map *m, uint32_t slot, const uint8_t *wanted)
{
    return memcmp(key_at(m, slot), wanted, m->key_len) == 0;
}

/* The slot of the key, or the free one where it belongs: one is always free, for the map is never
 * filled beyond 3/4. */
static uint32_t slot_of(const struct map *m, const uint8_t *key)
{
    uint32_t slot = home_of(m, key);
    while (m->values[slot] != MAP_EMPTY && !slot_holds(m, slot, key)) {
        slot = (slot + 1) & (m->n_slots - 1);
    }
    return slot;
}

uint32_t map_find(const struct map *m, const void *key)
{
    return m->values[slot_of(m, key)];
}

enum ipx_err map_set(struct map *m, const void *key, uint32_t value)
{
    assert(value != MAP_EMPTY);
    assert(m->count <= m->capacity);
    uint32_t slot = slot_of(m, key);
    if (m->values[slot] == MAP_EMPTY) {
        if (m->count == m->capacity) {
            return IPX_FULL;
        }
        m->count++;
        memcpy(key_at(m, slot), key, m->key_len);
    }
    m->values[slot] = value;
    return IPX_OK;
}

/* No tombstones: what stands behind the hole and may stand in it moves up. */
static void close_hole(struct map *m, uint32_t hole)
{
    uint32_t mask = m->n_slots - 1;
    for (uint32_t slot = (hole + 1) & mask; m->values[slot] != MAP_EMPTY;
         slot = (slot + 1) & mask) {
        uint32_t home = home_of(m, key_at(m, slot));
        if (((slot - home) & mask) >= ((slot - hole) & mask)) {
            memcpy(key_at(m, hole), key_at(m, slot), m->key_len);
            m->values[hole] = m->values[slot];
            hole = slot;
        }
    }
    m->values[hole] = MAP_EMPTY;
}

bool map_remove(struct map *m, const void *key)
{
    uint32_t slot = slot_of(m, key);
    if (m->values[slot] == MAP_EMPTY) {
        return false;
    }
    assert(m->count > 0);
    m->count--;
    close_hole(m, slot);
    return true;
}
