/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/ring.h"

#define RING_CAP_MIN 4096u
#define RING_INDEX_MIN 64u
#define RING_CAP_MAX (1u << 31)

void ring_init(struct ring *r, struct mem *mem, struct ring_budget *budget,
               const struct ring_limits *limits)
{
    *r = (struct ring){.mem = mem, .budget = budget, .limits = *limits};
    r->limits.bytes_max = IPX_MIN(r->limits.bytes_max, RING_CAP_MAX);
    r->limits.frames_max = IPX_MIN(r->limits.frames_max, RING_CAP_MAX / RING_ENTRY_COST);
}

static size_t ring_size(const struct ring *r)
{
    return r->cap + (size_t)r->n_index * sizeof(struct ring_entry);
}

void ring_done(struct ring *r)
{
    if (r->mem != NULL) {
        r->budget->used -= ring_size(r);
        mem_free(r->mem, r->bytes);
        mem_free(r->mem, r->index);
        *r = (struct ring){.mem = NULL};
    }
}

static struct ring_entry *entry_of(const struct ring *r, uint64_t seq)
{
    assert(seq >= r->first && seq < r->end);
    return &r->index[seq & (r->n_index - 1)];
}

static void evict(struct ring *r)
{
    r->cost -= entry_of(r, r->first)->len + RING_ENTRY_COST;
    r->first++;
}

/* Memory for more within the budget; NULL if there is none. */
static void *more(struct ring *r, size_t size)
{
    if (r->budget->used > r->budget->limit || size > r->budget->limit - r->budget->used) {
        return NULL;
    }
    void *p = mem_alloc(r->mem, size);
    r->budget->used += p != NULL ? size : 0;
    return p;
}

static bool grow_index(struct ring *r)
{
    uint32_t n = r->n_index == 0 ? RING_INDEX_MIN : r->n_index * 2;
    struct ring_entry *index = more(r, n * sizeof(*index));
    if (index == NULL) {
        return false;
    }
    for (uint64_t seq = r->first; seq < r->end; seq++) {
        index[seq & (n - 1)] = *entry_of(r, seq);
    }
    r->budget->used -= r->n_index * sizeof(*index);
    mem_free(r->mem, r->index);
    r->index = index;
    r->n_index = n;
    return true;
}

/* Doubles the bytes, and lays the frames out from 0. */
static bool grow_bytes(struct ring *r, uint32_t need)
{
    uint64_t cap = IPX_MAX((uint64_t)r->cap * 2, RING_CAP_MIN);
    while (cap < need) {
        cap *= 2;
    }
    cap = IPX_MIN(cap, IPX_MAX(r->limits.bytes_max, (uint64_t)need));
    uint8_t *bytes = cap > r->cap ? more(r, (size_t)cap) : NULL;
    if (bytes == NULL) {
        return false;
    }
    uint32_t at = 0;
    for (uint64_t seq = r->first; seq < r->end; seq++) {
        struct ring_entry *e = entry_of(r, seq);
        memcpy(bytes + at, r->bytes + e->at, e->len);
        e->at = at;
        at += e->len;
    }
    r->budget->used -= r->cap;
    mem_free(r->mem, r->bytes);
    r->bytes = bytes;
    r->cap = (uint32_t)cap;
    return true;
}

/* Where `len` bytes in one piece are free behind the newest frame; false: nowhere. Empty frames
 * lie where the one before them ended, so positions never run backwards but once, at the wrap. */
static bool room_for(const struct ring *r, uint32_t len, uint32_t *ret_at)
{
    if (r->first == r->end) {
        *ret_at = 0;
        return r->cap > 0 && len <= r->cap;
    }
    const struct ring_entry *oldest = entry_of(r, r->first), *newest = entry_of(r, r->end - 1);
    uint32_t head = newest->at + newest->len;
    bool is_wrapped = newest->at < oldest->at;
    uint32_t limit = is_wrapped ? oldest->at : r->cap;
    if (limit - head >= len) {
        /* not quite up to the oldest: equal positions mean that nothing wrapped */
        *ret_at = head;
        return !is_wrapped || limit - head > len;
    }
    *ret_at = 0;
    return !is_wrapped && oldest->at > len;
}

enum ipx_err ring_append(struct ring *r, uint64_t now_us, int64_t time_us, struct slice bytes)
{
    uint64_t cost = bytes.len + RING_ENTRY_COST;
    uint32_t at, len = (uint32_t)bytes.len;
    if (cost > r->limits.bytes_max || r->limits.frames_max == 0) {
        return IPX_LIMIT;
    }
    while (r->first < r->end &&
           (r->cost + cost > r->limits.bytes_max || r->end - r->first >= r->limits.frames_max)) {
        evict(r);
    }
    while (r->end - r->first >= r->n_index && !grow_index(r)) {
        if (r->first == r->end) {
            return IPX_LIMIT;
        }
        evict(r);
    }
    while (!room_for(r, len, &at)) {
        if (grow_bytes(r, len)) {
            continue;
        }
        if (r->first == r->end) {
            return IPX_LIMIT;
        }
        evict(r);
    }
    r->end++;
    *entry_of(r, r->end - 1) = (struct ring_entry){at, len, time_us, now_us};
    if (len > 0) {
        memcpy(r->bytes + at, bytes.data, len);
    }
    r->cost += cost;
    return IPX_OK;
}

void ring_expire(struct ring *r, uint64_t now_us, uint64_t keep)
{
    while (r->first < r->end && r->first < keep && now_us >= r->limits.age_us &&
           entry_of(r, r->first)->arrived_us < now_us - r->limits.age_us) {
        evict(r);
    }
}

struct ring_frame ring_get(const struct ring *r, uint64_t seq)
{
    const struct ring_entry *e = entry_of(r, seq);
    return (struct ring_frame){seq, e->time_us, slice_of(r->bytes + e->at, e->len)};
}

uint64_t ring_seek_arrival(const struct ring *r, uint64_t arrived_us)
{
    uint64_t low = r->first, high = r->end;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (entry_of(r, mid)->arrived_us < arrived_us) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

uint64_t ring_seek_time(const struct ring *r, int64_t time_us)
{
    uint64_t low = r->first, high = r->end;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (entry_of(r, mid)->time_us < time_us) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

void ring_check(const struct ring *r)
{
    uint64_t cost = 0;
    for (uint64_t seq = r->first; seq < r->end; seq++) {
        const struct ring_entry *e = entry_of(r, seq);
        assert((uint64_t)e->at + e->len <= r->cap);
        cost += e->len + RING_ENTRY_COST;
    }
    assert(cost == r->cost && (r->cost <= r->limits.bytes_max || r->first == r->end));
    assert(r->end - r->first <= r->n_index && r->end - r->first <= r->limits.frames_max);
    assert(r->budget->used >= ring_size(r));
}
