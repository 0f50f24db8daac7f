/* SPDX-License-Identifier: Apache-2.0 */
#include "dht/table.h"

#include <sodium.h>

#include "base/sm.h"

/* A member may outnumber its bucket's capacity only as one of the nearest. */
static_assert(128 + DHT_SIBLINGS <= UINT8_MAX, "counts of a bucket fit");

static const struct sm_state entry_states[] = {
    [DHT_ENTRY_CANDIDATE] = {"candidate", SM_TO(DHT_ENTRY_VERIFIED), false},
    [DHT_ENTRY_VERIFIED] = {"verified", SM_TO(DHT_ENTRY_STALE) | SM_TO(DHT_ENTRY_BAD), false},
    [DHT_ENTRY_STALE] = {"stale", SM_TO(DHT_ENTRY_VERIFIED) | SM_TO(DHT_ENTRY_BAD), false},
    [DHT_ENTRY_BAD] = {"bad", 0, true},
};
const struct sm_table dht_entry_table = {"dht entry", entry_states, ARRAY_LEN(entry_states)};

enum ipx_err dht_table_init(struct dht_table *t, const struct dht_table_config *config)
{
    uint16_t capacity = config->capacity > 0 ? config->capacity : DHT_TABLE_CAPACITY;
    *t = (struct dht_table){.mem = config->mem,
                            .mesh = config->mesh,
                            .self = config->self,
                            .capacity = capacity,
                            .age_due_us = NEVER_US};
    memcpy(t->lab, config->lab, sizeof(t->lab));
    memcpy(t->secret, config->secret, sizeof(t->secret));
    t->entries = mem_alloc_array(t->mem, capacity, sizeof(*t->entries));
    t->tops = mem_alloc_array(t->mem, capacity, sizeof(*t->tops));
    t->tags = mem_alloc_array(t->mem, capacity, sizeof(*t->tags));
    if (t->entries == NULL || t->tops == NULL || t->tags == NULL) {
        dht_table_done(t);
        return IPX_NO_MEMORY;
    }
    return IPX_OK;
}

void dht_table_done(struct dht_table *t)
{
    if (t->mem != NULL) {
        mem_free(t->mem, t->entries);
        mem_free(t->mem, t->tops);
        mem_free(t->mem, t->tags);
    }
    *t = (struct dht_table){.age_due_us = NEVER_US};
}

struct dht_pos dht_table_pos(const struct dht_table *t, const struct dht_entry *e)
{
    return dht_pos_of(&t->mesh, e->nonce, &e->id);
}

unsigned dht_table_bucket_of(const struct dht_table *t, const struct dht_pos *pos)
{
    return IPX_MIN(dht_pos_common_bits(&t->self, pos), DHT_BUCKETS - 1u);
}

unsigned dht_table_bucket_capacity(unsigned bucket)
{
    return bucket == 0 ? 128 : bucket == 1 ? 64 : bucket == 2 ? 32 : DHT_K;
}

struct dht_contact dht_entry_contact(const struct dht_entry *e)
{
    struct dht_contact c = {.id = e->id, .addr = e->addr};
    memcpy(c.nonce, e->nonce, sizeof(c.nonce));
    return c;
}

static size_t index_of(const struct dht_table *t, const struct node_id *id)
{
    uint32_t tag = load_be32(id->bytes);
    for (size_t i = 0; i < t->n; i++) {
        if (t->tags[i] == tag && node_id_equal(&t->entries[i].id, id)) {
            return i;
        }
    }
    return t->n;
}

const struct dht_entry *dht_table_find(const struct dht_table *t, const struct node_id *id)
{
    size_t i = index_of(t, id);
    return i < t->n ? &t->entries[i] : NULL;
}

static void set_mark(struct dht_table *t, struct dht_entry *e, uint8_t mark)
{
    t->n_untold = (uint16_t)(t->n_untold + ((mark & ~e->marks & DHT_ENTRY_UNTOLD) != 0));
    t->n_ping = (uint16_t)(t->n_ping + ((mark & ~e->marks & DHT_ENTRY_PING) != 0));
    e->marks |= mark;
}

static void clear_mark(struct dht_table *t, struct dht_entry *e, uint8_t mark)
{
    t->n_untold = (uint16_t)(t->n_untold - ((mark & e->marks & DHT_ENTRY_UNTOLD) != 0));
    t->n_ping = (uint16_t)(t->n_ping - ((mark & e->marks & DHT_ENTRY_PING) != 0));
    e->marks &= (uint8_t)~mark;
}

const struct dht_entry *dht_table_take_mark(struct dht_table *t, uint8_t mark)
{
    assert(mark == DHT_ENTRY_PING || mark == DHT_ENTRY_UNTOLD);
    if ((mark == DHT_ENTRY_PING ? t->n_ping : t->n_untold) == 0) {
        return NULL;
    }
    size_t i = 0;
    while ((t->entries[i].marks & mark) == 0) {
        i++;
        assert(i < t->n); /* what is counted is there */
    }
    clear_mark(t, &t->entries[i], mark);
    return &t->entries[i];
}

static bool is_waiting(const struct dht_entry *e)
{
    return (e->marks & DHT_ENTRY_WAITS) != 0;
}

/* Takes entry i out; the last one moves into its place. */
static void drop_at(struct dht_table *t, size_t i)
{
    struct dht_entry *e = &t->entries[i];
    assert(i < t->n);
    clear_mark(t, e, DHT_ENTRY_PING | DHT_ENTRY_UNTOLD);
    if (is_waiting(e)) {
        t->n_waits[e->bucket]--;
        t->n_waiting--;
    } else {
        t->n_bucket[e->bucket]--;
        t->n_changes++;
    }
    size_t last = --t->n;
    t->entries[i] = t->entries[last];
    t->tops[i] = t->tops[last];
    t->tags[i] = t->tags[last];
}

/* Among those that wait (in `bucket`, or anywhere if DHT_BUCKETS): the one heard last or first. */
static size_t find_waiting(const struct dht_table *t, unsigned bucket, bool newest)
{
    size_t best = t->n;
    for (size_t i = 0; t->n_waiting > 0 && i < t->n; i++) {
        const struct dht_entry *e = &t->entries[i];
        if (!is_waiting(e) || (bucket < DHT_BUCKETS && e->bucket != bucket)) {
            continue;
        }
        if (best == t->n ||
            (newest ? e->seen_s > t->entries[best].seen_s : e->seen_s < t->entries[best].seen_s)) {
            best = i;
        }
    }
    return best;
}

/* A place in bucket `b` came free: the peer heard last of those that wait takes it. */
static void promote(struct dht_table *t, unsigned b)
{
    size_t i = t->n_waits[b] > 0 ? find_waiting(t, b, true) : t->n;
    if (i == t->n || t->n_bucket[b] >= dht_table_bucket_capacity(b)) {
        return;
    }
    t->entries[i].marks &= (uint8_t)~DHT_ENTRY_WAITS;
    t->n_waits[b]--;
    t->n_waiting--;
    t->n_bucket[b]++;
    t->n_changes++;
}

void dht_table_age(struct dht_table *t, uint64_t now_us)
{
    if (now_us < t->age_due_us) {
        return;
    }
    uint64_t next = NEVER_US;
    for (size_t i = 0; i < t->n; i++) {
        struct dht_entry *e = &t->entries[i];
        uint64_t due = (uint64_t)e->seen_s * US_PER_S + DHT_STALE_US;
        if (e->state == DHT_ENTRY_VERIFIED && due <= now_us) {
            sm_move(&dht_entry_table, &e->state, DHT_ENTRY_STALE);
        } else if (e->state == DHT_ENTRY_VERIFIED) {
            next = IPX_MIN(next, due);
        }
    }
    t->age_due_us = next;
}

static void touch(struct dht_table *t, uint64_t now_us, struct dht_entry *e)
{
    e->seen_s = (uint32_t)(now_us / US_PER_S);
    e->fails = 0;
    clear_mark(t, e, DHT_ENTRY_PING);
    if (e->state != DHT_ENTRY_VERIFIED) {
        sm_move(&dht_entry_table, &e->state, DHT_ENTRY_VERIFIED);
    }
    t->age_due_us = IPX_MIN(t->age_due_us, (uint64_t)e->seen_s * US_PER_S + DHT_STALE_US);
}

/* The bucket's stale member heard longest ago is to be asked, unless one is already. */
static void mark_oldest_stale(struct dht_table *t, unsigned bucket)
{
    struct dht_entry *oldest = NULL;
    for (size_t i = 0; i < t->n; i++) {
        struct dht_entry *e = &t->entries[i];
        if (e->bucket != bucket || is_waiting(e)) {
            continue;
        }
        if ((e->marks & DHT_ENTRY_PING) != 0) {
            return;
        }
        bool is_doubtful = e->state == DHT_ENTRY_STALE || e->fails > 0;
        if (is_doubtful && (oldest == NULL || e->seen_s < oldest->seen_s)) {
            oldest = e;
        }
    }
    if (oldest != NULL) {
        set_mark(t, oldest, DHT_ENTRY_PING);
    }
}

/* The nearest are let into a full bucket too, so that we know our own neighbourhood. */
static bool must_wait(const struct dht_table *t, unsigned b, const struct dht_pos *pos)
{
    unsigned capacity = dht_table_bucket_capacity(b);
    if (t->n_bucket[b] < capacity) {
        return false;
    }
    return t->n_bucket[b] >= capacity + DHT_SIBLINGS ||
           dht_table_n_nearer(t, &t->self, pos) >= DHT_SIBLINGS;
}

static uint16_t tag_of(const struct dht_table *t, const void *name, size_t len)
{
    uint8_t hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, name, len, t->secret);
    return (uint16_t)IPX_MAX(load_be32(hash) & 0xffff, 1u); /* 0 is our own */
}

static bool is_same_net(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && addr_scope(a) == ADDR_SCOPE_GLOBAL &&
           addr_scope(b) == ADDR_SCOPE_GLOBAL &&
           memcmp(a->ip, b->ip, a->family == ADDR_V4 ? 3 : 6) == 0;
}

/* What `e` is of, and whether its bucket has enough of that already, waiting ones counted. */
static bool is_too_alike(const struct dht_table *t, const struct cert_facts *facts,
                         struct dht_entry *e)
{
    unsigned n_lab = 0, n_admitter = 0, n_net = 0;
    if (t->lab[0] == 0 || strcmp(t->lab, facts->lab) == 0) {
        return false;
    }
    e->lab = tag_of(t, facts->lab, strlen(facts->lab));
    e->admitter = tag_of(t, facts->admitter.bytes, sizeof(facts->admitter.bytes));
    for (size_t i = 0; i < t->n; i++) {
        const struct dht_entry *o = &t->entries[i];
        if (o->bucket == e->bucket && o->lab != 0) {
            n_lab += o->lab == e->lab;
            n_admitter += o->admitter == e->admitter;
            n_net += is_same_net(&o->addr, &e->addr);
        }
    }
    return IPX_MAX(n_lab, IPX_MAX(n_admitter, n_net)) >= DHT_DIVERSITY_MAX;
}

static void add(struct dht_table *t, uint64_t now_us, const struct cert_facts *facts,
                const struct dht_entry *entry, bool waits)
{
    struct dht_entry *e = &t->entries[t->n];
    unsigned bucket = entry->bucket;
    assert(t->n < t->capacity);
    *e = *entry;
    e->marks = waits ? DHT_ENTRY_WAITS : 0;
    t->tops[t->n] = load_be64(facts->pos.bytes);
    t->tags[t->n] = load_be32(facts->id.bytes);
    t->n++;
    if (waits) {
        t->n_waits[bucket]++;
        t->n_waiting++;
    } else {
        t->n_bucket[bucket]++;
        t->n_changes++;
    }
    touch(t, now_us, e);
    set_mark(t, e, DHT_ENTRY_UNTOLD);
}

enum ipx_err dht_table_on_verified(struct dht_table *t, uint64_t now_us,
                                   const struct cert_facts *facts, const struct addr *addr)
{
    if (crypt_equal(facts->pos.bytes, t->self.bytes, sizeof(facts->pos.bytes))) {
        return IPX_SELF;
    }
    size_t at = index_of(t, &facts->id);
    if (at < t->n && memcmp(t->entries[at].nonce, facts->nonce, 16) == 0) {
        t->entries[at].addr = *addr;
        touch(t, now_us, &t->entries[at]);
        return IPX_OK;
    }
    if (at < t->n) { /* admitted anew elsewhere: the certificate decides where it stands */
        unsigned old = t->entries[at].bucket;
        drop_at(t, at);
        promote(t, old);
    }
    unsigned b = dht_table_bucket_of(t, &facts->pos);
    struct dht_entry e = {
        .id = facts->id, .addr = *addr, .state = DHT_ENTRY_CANDIDATE, .bucket = (uint8_t)b};
    memcpy(e.nonce, facts->nonce, sizeof(e.nonce));
    if (is_too_alike(t, facts, &e)) {
        t->n_alike++;
        return IPX_REFUSED;
    }
    bool waits = must_wait(t, b, &facts->pos);
    if (waits || (t->n == t->capacity && t->n_waiting == 0)) {
        mark_oldest_stale(t, b);
    }
    if (waits && t->n_waits[b] >= DHT_REPLACEMENTS) {
        drop_at(t, find_waiting(t, b, false));
    } else if (t->n == t->capacity && !waits && t->n_waiting > 0) {
        drop_at(t, find_waiting(t, DHT_BUCKETS, false));
    }
    if (t->n == t->capacity) {
        return IPX_FULL;
    }
    add(t, now_us, facts, &e, waits);
    return IPX_OK;
}

bool dht_table_on_heard(struct dht_table *t, uint64_t now_us, const struct node_id *id)
{
    size_t i = index_of(t, id);
    if (i == t->n) {
        return false;
    }
    touch(t, now_us, &t->entries[i]);
    return true;
}

void dht_table_on_rtt(struct dht_table *t, const struct node_id *id, uint64_t rtt_us)
{
    size_t i = index_of(t, id);
    if (i == t->n) {
        return;
    }
    struct dht_entry *e = &t->entries[i];
    uint32_t rtt = (uint32_t)IPX_MIN(IPX_MAX(rtt_us, 1u), 60 * US_PER_S);
    if (e->srtt_us == 0) { /* RFC 6298 section 2 */
        e->srtt_us = rtt;
        e->rttvar_us = rtt / 2;
        return;
    }
    uint32_t delta = rtt > e->srtt_us ? rtt - e->srtt_us : e->srtt_us - rtt;
    e->rttvar_us = (uint32_t)(((uint64_t)e->rttvar_us * 3 + delta) / 4);
    e->srtt_us = (uint32_t)(((uint64_t)e->srtt_us * 7 + rtt) / 8);
}

bool dht_table_on_fail(struct dht_table *t, uint64_t now_us, const struct node_id *id)
{
    size_t i = index_of(t, id);
    if (i == t->n) {
        return false;
    }
    struct dht_entry *e = &t->entries[i];
    unsigned b = e->bucket;
    e->fails = (uint8_t)IPX_MIN(e->fails + 1, DHT_FAILS_MAX);
    unsigned limit = is_waiting(e) ? 1 : t->n_waits[b] > 0 ? DHT_FAILS_REPLACED : DHT_FAILS_MAX;
    if (e->fails < limit) {
        if (t->n_waits[b] > 0) { /* somebody waits for this place: ask again at once */
            set_mark(t, e, DHT_ENTRY_PING);
        }
        return false;
    }
    sm_move(&dht_entry_table, &e->state, DHT_ENTRY_BAD);
    return dht_table_remove(t, now_us, id);
}

bool dht_table_remove(struct dht_table *t, uint64_t now_us, const struct node_id *id)
{
    size_t i = index_of(t, id);
    dht_table_age(t, now_us);
    if (i == t->n) {
        return false;
    }
    unsigned b = t->entries[i].bucket;
    drop_at(t, i);
    promote(t, b);
    return true;
}

size_t dht_table_n_members(const struct dht_table *t)
{
    return (size_t)t->n - t->n_waiting;
}

size_t dht_table_n_live(const struct dht_table *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        n += !is_waiting(&t->entries[i]) && t->entries[i].fails == 0;
    }
    return n;
}
