/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Fixed-capacity hash map from a byte key to a u32 value (an index into the
 * caller's own table). Open addressing with a secret SipHash key, so that peers
 * who choose the keys cannot make it slow. All memory is taken at init.
 *
 * Invariant: count <= capacity; a key occurs once. Iteration is deliberately not
 * offered: order must never depend on a hash (the simulator's traces).
 */
#include "base/mem.h"
#include "base/slice.h"

struct map {
    struct mem *mem;
    uint8_t *keys;    /* n_slots * key_len */
    uint32_t *values; /* n_slots; MAP_EMPTY where free */
    uint32_t n_slots; /* power of two, >= 4/3 capacity */
    uint32_t capacity;
    uint32_t count;
    uint8_t key_len;
    uint8_t secret[16];
};

#define MAP_EMPTY UINT32_MAX /* not a legal value */

/* `key_len` bytes a key, all keys the same length; `secret` from an rng. Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err map_init(struct map *m, struct mem *mem, uint32_t capacity,
                                   uint8_t key_len, const uint8_t secret[static 16]);
void map_done(struct map *m);
/* The value, or MAP_EMPTY. */
uint32_t map_find(const struct map *m, const void *key);
/* Inserts or replaces. Conditions: IPX_FULL. */
IPX_MUST_USE enum ipx_err map_set(struct map *m, const void *key, uint32_t value);
/* True if it was there. */
bool map_remove(struct map *m, const void *key);
void map_clear(struct map *m);
