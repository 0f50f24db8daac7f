/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A growing index: byte key -> item, for tables whose limit is large but which
 * are nearly empty on most nodes. It starts with INDEX_FIRST places and doubles
 * up to `max`; items are the caller's and hold their own key at a fixed offset.
 *
 * Invariant: items[i] != NULL exactly if the key of items[i] maps to i; n <= max.
 * Used by chains, clocks and sessions. Order of places is order of insertion into
 * free places, never of a hash: index_at() may be iterated.
 */
#include "base/map.h"

#define INDEX_FIRST 16 /* places at first: a node of a small lab never needs more */

struct index {
    struct mem *mem;
    struct map map;
    void **items;
    uint32_t *free_places; /* stack of places < n_places that hold nothing */
    uint32_t n_free;
    uint32_t n_places;
    uint32_t n;
    uint32_t max;
    uint8_t key_len;
    size_t key_offset; /* of the key in an item */
    uint8_t secret[16];
};

/* Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err index_init(struct index *x, struct mem *mem, uint32_t max,
                                     uint8_t key_len, size_t key_offset,
                                     const uint8_t secret[static 16]);
/* Frees the index, not the items. */
void index_done(struct index *x);
/* NULL if there is none. */
void *index_find(const struct index *x, const void *key);
/* Conditions: IPX_FULL, IPX_EXISTS. Fault: IPX_NO_MEMORY. Nothing is changed then. */
IPX_MUST_USE enum ipx_err index_add(struct index *x, void *item);
/* The item must be in it. */
void index_remove(struct index *x, const void *item);
/* Place i < x->n_places; NULL where it is free. */
void *index_at(const struct index *x, uint32_t i);
