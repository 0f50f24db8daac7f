/* SPDX-License-Identifier: Apache-2.0 */
#include "node/index.h"

static const void *key_of(const struct index *x, const void *item)
{
    return (const uint8_t *)item + x->key_offset;
}

/* Everything is made anew at the new size and moved over, so that a failure changes nothing. */
static enum ipx_err resize(struct index *x, uint32_t n_places)
{
    struct map map;
    enum ipx_err err = map_init(&map, x->mem, n_places, x->key_len, x->secret);
    if (err != IPX_OK) {
        return err;
    }
    void **items = mem_alloc_array(x->mem, n_places, sizeof(void *));
    uint32_t *free_places = mem_alloc_array(x->mem, n_places, sizeof(uint32_t));
    if (items == NULL || free_places == NULL) {
        map_done(&map);
        mem_free(x->mem, items);
        mem_free(x->mem, free_places);
        return IPX_NO_MEMORY;
    }
    uint32_t n_free = 0;
    for (uint32_t i = n_places; i-- > 0;) {
        items[i] = i < x->n_places ? x->items[i] : NULL;
        if (items[i] == NULL) {
            free_places[n_free++] = i; /* the lowest place is taken first */
        } else {
            err = map_set(&map, key_of(x, items[i]), i);
            assert(err == IPX_OK);
        }
    }
    uint32_t n = x->n;
    index_done(x);
    x->map = map;
    x->items = items;
    x->free_places = free_places;
    x->n_free = n_free;
    x->n_places = n_places;
    x->n = n;
    return IPX_OK;
}

enum ipx_err index_init(struct index *x, struct mem *mem, uint32_t max, uint8_t key_len,
                        size_t key_offset, const uint8_t secret[static 16])
{
    assert(max > 0 && key_len > 0);
    *x = (struct index){.mem = mem, .max = max, .key_len = key_len, .key_offset = key_offset};
    memcpy(x->secret, secret, sizeof(x->secret));
    return resize(x, IPX_MIN(max, INDEX_FIRST));
}

void index_done(struct index *x)
{
    if (x->items == NULL) {
        return;
    }
    map_done(&x->map);
    mem_free(x->mem, x->items);
    mem_free(x->mem, x->free_places);
    x->items = NULL;
    x->free_places = NULL;
    x->n = x->n_free = x->n_places = 0;
}

void *index_find(const struct index *x, const void *key)
{
    uint32_t place = map_find(&x->map, key);
    return place == MAP_EMPTY ? NULL : x->items[place];
}

enum ipx_err index_add(struct index *x, void *item)
{
    if (index_find(x, key_of(x, item)) != NULL) {
        return IPX_EXISTS;
    }
    if (x->n_free == 0) {
        if (x->n_places == x->max) {
            return IPX_FULL;
        }
        enum ipx_err err = resize(x, IPX_MIN(x->max, x->n_places * 2));
        if (err != IPX_OK) {
            return err;
        }
    }
    uint32_t place = x->free_places[x->n_free - 1];
    enum ipx_err err = map_set(&x->map, key_of(x, item), place);
    assert(err == IPX_OK);
    x->n_free--;
    x->items[place] = item;
    x->n++;
    return IPX_OK;
}

void index_remove(struct index *x, const void *item)
{
    uint32_t place = map_find(&x->map, key_of(x, item));
    assert(place != MAP_EMPTY && x->items[place] == item);
    bool was_there = map_remove(&x->map, key_of(x, item));
    assert(was_there);
    x->items[place] = NULL;
    x->free_places[x->n_free++] = place;
    x->n--;
}

void *index_at(const struct index *x, uint32_t i)
{
    assert(i < x->n_places);
    return x->items[i];
}
