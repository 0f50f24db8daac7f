/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdlib.h>

/* Stands before each block; the union keeps what follows aligned for any type. */
union mem_header {
    size_t size;
    max_align_t align;
};

static union mem_header *header_of(void *p)
{
    return (union mem_header *)p - 1;
}

void mem_init(struct mem *m, size_t limit)
{
    *m = (struct mem){.limit = limit, .fail_after = UINT64_MAX};
}

/* Asked once per allocation: counts down to the failure that a test has ordered. */
static bool mem_may_grow(struct mem *m, size_t size)
{
    if (m->fail_after == 0) {
        return false;
    }
    if (m->fail_after != UINT64_MAX) {
        m->fail_after--;
    }
    return m->used <= m->limit && size <= m->limit - m->used &&
           size <= SIZE_MAX - sizeof(union mem_header);
}

static void mem_count(struct mem *m, size_t size)
{
    m->used += size;
    m->peak = IPX_MAX(m->peak, m->used);
}

void *mem_alloc(struct mem *m, size_t size)
{
    if (!mem_may_grow(m, size)) {
        return NULL;
    }
    union mem_header *h = calloc(1, sizeof(*h) + size);
    if (h == NULL) {
        return NULL;
    }
    h->size = size;
    m->n_live++;
    mem_count(m, size);
    return h + 1;
}

void *mem_alloc_array(struct mem *m, size_t n, size_t size)
{
    if (size != 0 && n > SIZE_MAX / size) {
        return NULL;
    }
    return mem_alloc(m, n * size);
}

void *mem_realloc(struct mem *m, void *p, size_t size)
{
    if (p == NULL) {
        return mem_alloc(m, size);
    }
    size_t old_size = header_of(p)->size;
    assert(m->n_live > 0 && m->used >= old_size);
    if (!mem_may_grow(m, size > old_size ? size - old_size : 0) ||
        size > SIZE_MAX - sizeof(union mem_header)) {
        return NULL;
    }
    union mem_header *h = realloc(header_of(p), sizeof(*h) + size);
    if (h == NULL) {
        return NULL;
    }
    h->size = size;
    if (size > old_size) {
        memset((uint8_t *)(h + 1) + old_size, 0, size - old_size);
    }
    m->used -= old_size;
    mem_count(m, size);
    return h + 1;
}

void mem_free(struct mem *m, void *p)
{
    if (p == NULL) {
        return;
    }
    union mem_header *h = header_of(p);
    assert(m->n_live > 0 && m->used >= h->size);
    m->n_live--;
    m->used -= h->size;
    free(h);
}

void *mem_dup(struct mem *m, const void *data, size_t len)
{
    if (len == SIZE_MAX) {
        return NULL;
    }
    uint8_t *copy = mem_alloc(m, len + 1);
    if (copy != NULL && len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

bool mem_charge(struct mem *m, size_t size)
{
    if (!mem_may_grow(m, size)) {
        return false;
    }
    m->n_live++;
    mem_count(m, size);
    return true;
}

void mem_discharge(struct mem *m, size_t size)
{
    assert(m->n_live > 0 && m->used >= size);
    m->n_live--;
    m->used -= size;
}
