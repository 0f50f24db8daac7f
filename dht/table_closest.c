/* SPDX-License-Identifier: Apache-2.0 */
/* The questions asked of the table: who is near, how large is the mesh, is all well. */
#include "base/sm.h"
#include "dht/table.h"

/* -1 if entry a is nearer to `target` than b. Positions agree in 64 bits once in 2^64 pairs. */
static int compare_at(const struct dht_table *t, const struct dht_pos *target, size_t a, size_t b)
{
    uint64_t top = load_be64(target->bytes);
    uint64_t da = t->tops[a] ^ top, db = t->tops[b] ^ top;
    if (da != db) {
        return da < db ? -1 : 1;
    }
    struct dht_pos pa = dht_table_pos(t, &t->entries[a]), pb = dht_table_pos(t, &t->entries[b]);
    return dht_pos_compare(target, &pa, &pb);
}

/* 0: not to be given; 1: good; 2: only if there are not enough good ones. A mesh that was idle for
 * 15 minutes has only stale entries and must still answer. */
static unsigned rank_of(const struct dht_entry *e, enum dht_closest_for use)
{
    if ((e->marks & DHT_ENTRY_WAITS) != 0) {
        return 0;
    }
    if (use == DHT_CLOSEST_SEED) {
        return 1;
    }
    return e->fails > 0 ? 0 : e->state == DHT_ENTRY_VERIFIED ? 1 : 2;
}

size_t dht_table_closest(const struct dht_table *t, const struct dht_pos *target,
                         enum dht_closest_for use, const struct dht_entry **ret, size_t max)
{
    uint16_t best[DHT_SIBLINGS * 2]; /* indices, kept sorted: rank, then distance */
    uint8_t rank[DHT_SIBLINGS * 2];
    size_t n = 0;
    assert(max <= ARRAY_LEN(best));
    for (size_t i = 0; i < t->n && max > 0; i++) {
        unsigned r = rank_of(&t->entries[i], use);
        size_t at = n;
        while (r > 0 && at > 0 &&
               (r < rank[at - 1] ||
                (r == rank[at - 1] && compare_at(t, target, i, best[at - 1]) < 0))) {
            at--;
        }
        if (r == 0 || at == max) {
            continue;
        }
        n = n < max ? n + 1 : max;
        memmove(best + at + 1, best + at, (n - 1 - at) * sizeof(best[0]));
        memmove(rank + at + 1, rank + at, (n - 1 - at) * sizeof(rank[0]));
        best[at] = (uint16_t)i;
        rank[at] = (uint8_t)r;
    }
    for (size_t i = 0; i < n; i++) {
        ret[i] = &t->entries[best[i]];
    }
    return n;
}

size_t dht_table_n_nearer(const struct dht_table *t, const struct dht_pos *target,
                          const struct dht_pos *pos)
{
    uint64_t top = load_be64(target->bytes), d = load_be64(pos->bytes) ^ top;
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        n += (t->entries[i].marks & DHT_ENTRY_WAITS) == 0 && (t->tops[i] ^ top) < d;
    }
    return n;
}

uint64_t dht_table_size_estimate(const struct dht_table *t)
{
    const struct dht_entry *near[DHT_SIBLINGS];
    uint64_t size[DHT_SIBLINGS] = {0};
    size_t n = dht_table_closest(t, &t->self, DHT_CLOSEST_SEED, near, DHT_SIBLINGS);
    if (n < DHT_SIBLINGS) {
        return n + 1; /* all there are */
    }
    for (size_t i = 0; i < n; i++) {
        size_t index = (size_t)(near[i] - t->entries);
        uint64_t d = (t->tops[index] ^ load_be64(t->self.bytes)) >> 32;
        uint64_t estimate = ((uint64_t)(i + 1) << 32) / IPX_MAX(d, 1u);
        size_t at = i;
        for (; at > 0 && size[at - 1] > estimate; at--) {
            size[at] = size[at - 1];
        }
        size[at] = estimate;
    }
    return IPX_MAX(size[n / 2], dht_table_n_members(t) + 1);
}

void dht_table_check(const struct dht_table *t)
{
    size_t members[DHT_BUCKETS] = {0}, waits[DHT_BUCKETS] = {0}, untold = 0, ping = 0;
    assert(t->n <= t->capacity);
    for (size_t i = 0; i < t->n; i++) {
        const struct dht_entry *e = &t->entries[i];
        struct dht_pos pos = dht_table_pos(t, e);
        assert(load_be64(pos.bytes) == t->tops[i] && load_be32(e->id.bytes) == t->tags[i]);
        assert(e->bucket == dht_table_bucket_of(t, &pos));
        assert((e->lab == 0) == (e->admitter == 0) && (t->lab[0] != 0 || e->lab == 0));
        assert(e->state == DHT_ENTRY_VERIFIED || e->state == DHT_ENTRY_STALE);
        assert(dht_table_find(t, &e->id) == e); /* the first with its key: no key twice */
        bool is_waiting = (e->marks & DHT_ENTRY_WAITS) != 0;
        members[e->bucket] += !is_waiting;
        waits[e->bucket] += is_waiting;
        untold += (e->marks & DHT_ENTRY_UNTOLD) != 0;
        ping += (e->marks & DHT_ENTRY_PING) != 0;
    }
    size_t waiting = 0;
    for (unsigned b = 0; b < DHT_BUCKETS; b++) {
        assert(members[b] == t->n_bucket[b] && waits[b] == t->n_waits[b]);
        assert(members[b] <= dht_table_bucket_capacity(b) + DHT_SIBLINGS);
        assert(waits[b] <= DHT_REPLACEMENTS);
        assert(waits[b] == 0 || members[b] >= dht_table_bucket_capacity(b));
        waiting += waits[b];
    }
    assert(waiting == t->n_waiting && untold == t->n_untold && ping == t->n_ping);
}
