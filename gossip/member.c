/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/member.h"

#define MEMBER_HEARD_AGAIN                                                                         \
    (SM_TO(GOSSIP_STATE_ALIVE) | SM_TO(GOSSIP_STATE_LEFT) | SM_TO(GOSSIP_STATE_DEAD))

static const struct sm_state member_states[] = {
    [GOSSIP_STATE_ALIVE] = {"alive",
                            SM_TO(GOSSIP_STATE_SUSPECT) | SM_TO(GOSSIP_STATE_DEAD) |
                                SM_TO(GOSSIP_STATE_LEFT),
                            false},
    [GOSSIP_STATE_SUSPECT] = {"suspect", MEMBER_HEARD_AGAIN, false},
    /* dead to dead: expired or barred after it died */
    [GOSSIP_STATE_DEAD] = {"dead", MEMBER_HEARD_AGAIN, false},
    [GOSSIP_STATE_LEFT] = {"left", SM_TO(GOSSIP_STATE_ALIVE) | SM_TO(GOSSIP_STATE_DEAD), false},
};
const struct sm_table gossip_member_table = {"gossip member", member_states,
                                             ARRAY_LEN(member_states)};

/* --- table --- */

static enum ipx_err members_grow(struct gossip_members *t, uint32_t capacity)
{
    struct map map;
    uint8_t secret[16];
    rng_fill(t->rng, secret, sizeof(secret));
    struct gossip_member **slots =
        mem_realloc(t->mem, t->slots, capacity * sizeof(struct gossip_member *));
    if (slots == NULL) {
        return IPX_NO_MEMORY;
    }
    t->slots = slots;
    struct gossip_mark *marks =
        mem_realloc(t->mem, t->marks, capacity * sizeof(struct gossip_mark));
    if (marks == NULL) {
        return IPX_NO_MEMORY;
    }
    t->marks = marks;
    uint16_t *sorted = mem_realloc(t->mem, t->sorted, capacity * sizeof(uint16_t));
    if (sorted == NULL) {
        return IPX_NO_MEMORY;
    }
    t->sorted = sorted;
    uint16_t *ring = mem_realloc(t->mem, t->ring, capacity * sizeof(uint16_t));
    if (ring == NULL) {
        return IPX_NO_MEMORY;
    }
    t->ring = ring;
    if (map_init(&map, t->mem, capacity, sizeof(struct node_id), secret) != IPX_OK) {
        return IPX_NO_MEMORY;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        uint16_t slot = t->sorted[i];
        enum ipx_err err = map_set(&map, t->slots[slot]->facts.id.bytes, slot);
        assert(err == IPX_OK);
    }
    if (t->map.mem != NULL) {
        map_done(&t->map);
    }
    t->map = map;
    t->capacity = capacity;
    return IPX_OK;
}

enum ipx_err gossip_members_init(struct gossip_members *t, struct mem *mem, struct rng *rng,
                                 uint32_t capacity_max)
{
    assert(capacity_max >= 2 && capacity_max <= GOSSIP_MEMBERS_MAX);
    *t = (struct gossip_members){.mem = mem, .rng = rng, .capacity_max = capacity_max};
    enum ipx_err err = members_grow(t, IPX_MIN(GOSSIP_MEMBERS_STEP, capacity_max));
    if (err != IPX_OK) {
        gossip_members_done(t, NULL);
    }
    return err;
}

void gossip_members_done(struct gossip_members *t, struct gossip_spread *q)
{
    while (t->n > 0) {
        gossip_members_remove(t, q, t->slots[t->sorted[t->n - 1]]);
    }
    mem_free(t->mem, t->slots);
    mem_free(t->mem, t->marks);
    mem_free(t->mem, t->sorted);
    mem_free(t->mem, t->ring);
    if (t->map.mem != NULL) {
        map_done(&t->map);
    }
    *t = (struct gossip_members){0};
}

struct gossip_member *gossip_members_find(const struct gossip_members *t, const struct node_id *id)
{
    uint32_t slot = map_find(&t->map, id->bytes);
    return slot == MAP_EMPTY ? NULL : t->slots[slot];
}

uint64_t gossip_prefix(const struct node_id *id)
{
    return load_be64(id->bytes);
}

uint32_t gossip_members_lower(const struct gossip_members *t, uint64_t prefix)
{
    uint32_t low = 0;
    uint32_t high = t->n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (gossip_prefix(&t->slots[t->sorted[mid]]->facts.id) < prefix) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

struct gossip_member *gossip_members_prefix(const struct gossip_members *t, uint64_t prefix)
{
    uint32_t i = gossip_members_lower(t, prefix);
    if (i == t->n) {
        return NULL;
    }
    struct gossip_member *m = t->slots[t->sorted[i]];
    return gossip_prefix(&m->facts.id) == prefix ? m : NULL;
}

static uint16_t members_free_slot(const struct gossip_members *t)
{
    for (uint32_t i = 0; i < t->capacity; i++) {
        if (t->slots[i] == NULL) {
            return (uint16_t)i;
        }
    }
    return GOSSIP_NO_SLOT;
}

static void member_init(struct gossip_member *m, uint16_t slot, const struct cert_facts *facts)
{
    m->facts = *facts;
    m->state = GOSSIP_STATE_ALIVE;
    m->slot = slot;
    m->told = GOSSIP_TOLD_NONE;
    m->suspect_due_us = NEVER_US;
    list_init(&m->news_link);
    m->fetch_from = GOSSIP_NO_SLOT;
    gossip_spread_item_init(&m->spread_state, GOSSIP_WHAT_STATE, slot, 0);
    gossip_spread_item_init(&m->spread_ad, GOSSIP_WHAT_AD, slot, 0);
    gossip_spread_item_init(&m->spread_vitals, GOSSIP_WHAT_VITALS, slot, 0);
    for (uint8_t i = 0; i < GOSSIP_ACCUSERS_MAX; i++) {
        gossip_spread_item_init(&m->accusers[i].spread, GOSSIP_WHAT_ACCUSER, slot, i);
    }
}

enum ipx_err gossip_members_insert(struct gossip_members *t, const struct cert_facts *facts,
                                   struct gossip_member **ret)
{
    assert(gossip_members_find(t, &facts->id) == NULL);
    if (t->n == t->capacity_max) {
        return IPX_FULL;
    }
    if (t->n == t->capacity) {
        enum ipx_err err = members_grow(t, IPX_MIN(t->capacity * 2, t->capacity_max));
        if (err != IPX_OK) {
            return err;
        }
    }
    uint16_t slot = members_free_slot(t);
    assert(slot != GOSSIP_NO_SLOT);
    struct gossip_member *m = mem_alloc(t->mem, sizeof(*m));
    if (m == NULL) {
        return IPX_NO_MEMORY;
    }
    member_init(m, slot, facts);
    uint32_t at = gossip_members_lower(t, gossip_prefix(&facts->id));
    while (at < t->n && node_id_compare(&t->slots[t->sorted[at]]->facts.id, &facts->id) < 0) {
        at++;
    }
    memmove(&t->sorted[at + 1], &t->sorted[at], (t->n - at) * sizeof(t->sorted[0]));
    t->slots[slot] = m;
    t->marks[slot] = (struct gossip_mark){.name = gossip_member_name(facts),
                                          .bucket = facts->id.bytes[0] >> 2,
                                          .is_live = true,
                                          .is_stale = true};
    t->sorted[at] = slot;
    uint32_t place = (uint32_t)rng_below(t->rng, t->n + 1);
    t->ring[t->n] = t->ring[place];
    t->ring[place] = slot;
    t->n++;
    t->counts[GOSSIP_STATE_ALIVE]++;
    enum ipx_err err = map_set(&t->map, facts->id.bytes, slot);
    assert(err == IPX_OK);
    *ret = m;
    return IPX_OK;
}

static void member_free(struct gossip_members *t, struct gossip_member *m)
{
    ad_unref(m->ad);
    gossip_bytes_clear(t->mem, &m->chain);
    gossip_bytes_clear(t->mem, &m->alive);
    gossip_bytes_clear(t->mem, &m->leave);
    gossip_bytes_clear(t->mem, &m->ad_item);
    gossip_bytes_clear(t->mem, &m->vitals_item);
    mem_free(t->mem, m);
}

void gossip_members_remove(struct gossip_members *t, struct gossip_spread *q,
                           struct gossip_member *m)
{
    assert(t->slots[m->slot] == m);
    gossip_member_acquit(t, q, m);
    if (q != NULL) {
        gossip_spread_drop(q, &m->spread_state);
        gossip_spread_drop(q, &m->spread_ad);
        gossip_spread_drop(q, &m->spread_vitals);
    }
    uint32_t at = gossip_members_lower(t, gossip_prefix(&m->facts.id));
    while (t->sorted[at] != m->slot) {
        at++;
    }
    memmove(&t->sorted[at], &t->sorted[at + 1], (t->n - at - 1) * sizeof(t->sorted[0]));
    uint32_t place = 0;
    while (t->ring[place] != m->slot) {
        place++;
    }
    t->ring[place] = t->ring[t->n - 1];
    t->n--;
    t->counts[m->state]--;
    bool was_there = map_remove(&t->map, m->facts.id.bytes);
    assert(was_there);
    t->slots[m->slot] = NULL;
    t->marks[m->slot].is_live = false;
    member_free(t, m);
}

struct gossip_member *gossip_members_oldest_gone(const struct gossip_members *t)
{
    struct gossip_member *oldest = NULL;
    for (uint32_t i = 0; i < t->n; i++) {
        struct gossip_member *m = t->slots[t->sorted[i]];
        /* one who was shut out stays known as such for as long as there is room */
        if (m->slot != GOSSIP_SELF_SLOT && !gossip_member_is_live(m) &&
            m->reason != GOSSIP_REASON_BARRED &&
            (oldest == NULL || m->changed_us < oldest->changed_us)) {
            oldest = m;
        }
    }
    return oldest;
}

struct gossip_member *gossip_members_next(const struct gossip_members *t,
                                          const struct gossip_member *after)
{
    for (uint32_t i = after == NULL ? 0 : after->slot + 1U; i < t->capacity; i++) {
        if (t->slots[i] != NULL) {
            return t->slots[i];
        }
    }
    return NULL;
}

uint32_t gossip_members_live(const struct gossip_members *t)
{
    return t->counts[GOSSIP_STATE_ALIVE] + t->counts[GOSSIP_STATE_SUSPECT];
}

bool gossip_member_is_live(const struct gossip_member *m)
{
    return m->state == GOSSIP_STATE_ALIVE || m->state == GOSSIP_STATE_SUSPECT;
}

bool gossip_member_is_barred(const struct gossip_member *m, const struct hash *chain)
{
    return m->reason == GOSSIP_REASON_BARRED && hash_equal(&m->facts.chain_hash, chain);
}

struct gossip_member *gossip_members_successor(const struct gossip_members *t,
                                               const struct gossip_member *m, uint32_t nth)
{
    uint32_t at = gossip_members_lower(t, gossip_prefix(&m->facts.id));
    struct gossip_member *found = NULL;
    for (uint32_t i = 1; i < t->n && nth > 0; i++) {
        struct gossip_member *s = t->slots[t->sorted[(at + i) % t->n]];
        if (s != m && gossip_member_is_live(s)) {
            found = s;
            nth--;
        }
    }
    return found;
}

bool gossip_members_follows(const struct gossip_members *t, const struct gossip_member *m,
                            const struct gossip_member *of, uint32_t n)
{
    uint32_t at = gossip_members_lower(t, gossip_prefix(&of->facts.id));
    for (uint32_t i = 1; i < t->n && n > 0; i++) {
        const struct gossip_member *s = t->slots[t->sorted[(at + i) % t->n]];
        if (s == m) {
            return true;
        }
        n -= s != of && gossip_member_is_live(s) ? 1 : 0;
    }
    return false;
}

void gossip_members_check(const struct gossip_members *t)
{
    uint32_t counts[4] = {0};
    uint32_t n = 0;
    assert(t->n <= t->capacity && t->capacity <= t->capacity_max && t->map.count == t->n);
    for (const struct gossip_member *m = gossip_members_next(t, NULL); m != NULL;
         m = gossip_members_next(t, m)) {
        assert(t->slots[m->slot] == m);
        assert(gossip_members_find(t, &m->facts.id) == m);
        assert(m->n_accusers <= GOSSIP_ACCUSERS_MAX);
        assert(t->marks[m->slot].is_live == gossip_member_is_live(m));
        assert((m->state == GOSSIP_STATE_SUSPECT) == (m->suspect_due_us != NEVER_US));
        for (unsigned i = 0; i < m->n_accusers; i++) {
            assert(m->accusers[i].item.len > 0);
            for (unsigned j = 0; j < i; j++) {
                assert(!node_id_equal(&m->accusers[i].id, &m->accusers[j].id));
            }
        }
        counts[m->state]++;
        n++;
    }
    assert(n == t->n);
    assert(memcmp(counts, t->counts, sizeof(counts)) == 0);
    for (uint32_t i = 1; i < t->n; i++) {
        assert(node_id_compare(&t->slots[t->sorted[i - 1]]->facts.id,
                               &t->slots[t->sorted[i]]->facts.id) < 0);
    }
}

/* --- one member --- */

void gossip_member_move(struct gossip_members *t, struct gossip_member *m, uint64_t now_us,
                        enum gossip_state to)
{
    assert(t->counts[m->state] > 0);
    t->counts[m->state]--;
    sm_move(&gossip_member_table, &m->state, to);
    t->counts[m->state]++;
    t->marks[m->slot].is_live = gossip_member_is_live(m);
    m->changed_us = now_us;
    if (to != GOSSIP_STATE_SUSPECT) {
        m->suspect_due_us = NEVER_US;
    }
    if (to == GOSSIP_STATE_ALIVE) {
        m->reason = GOSSIP_REASON_NONE;
    }
}

static uint32_t fnv(uint32_t hash, const char *text)
{
    for (; *text != '\0'; text++) {
        hash = (hash ^ (uint8_t)*text) * UINT32_C(16777619);
    }
    return hash;
}

uint32_t gossip_member_name(const struct cert_facts *facts)
{
    return fnv(fnv(fnv(UINT32_C(2166136261), facts->lab), "/"), facts->name);
}

void gossip_member_changed(struct gossip_members *t, const struct gossip_member *m)
{
    t->marks[m->slot].is_stale = true;
    t->marks[m->slot].name = gossip_member_name(&m->facts);
}

void gossip_member_acquit(struct gossip_members *t, struct gossip_spread *q,
                          struct gossip_member *m)
{
    for (unsigned i = 0; i < m->n_accusers; i++) {
        if (q != NULL) {
            gossip_spread_drop(q, &m->accusers[i].spread);
        }
        gossip_bytes_clear(t->mem, &m->accusers[i].item);
        m->accusers[i].is_dead = false;
    }
    m->n_accusers = 0;
    m->is_accused_by_self = false;
    m->is_excused = false;
    m->is_doubted = false;
}

int gossip_member_compare(const struct gossip_member *m, const struct gossip_boot *boot,
                          uint32_t incarnation)
{
    int order = gossip_boot_compare(boot, &m->boot);
    if (order != 0) {
        return order;
    }
    if (incarnation != m->incarnation) {
        return incarnation < m->incarnation ? -1 : 1;
    }
    return 0;
}

enum ipx_err gossip_bytes_set(struct mem *mem, struct gossip_bytes *b, struct slice s)
{
    uint8_t *copy = mem_dup(mem, s.data, s.len);
    if (copy == NULL) {
        return IPX_NO_MEMORY;
    }
    mem_free(mem, b->data);
    *b = (struct gossip_bytes){.data = copy, .len = (uint32_t)s.len};
    return IPX_OK;
}

void gossip_bytes_clear(struct mem *mem, struct gossip_bytes *b)
{
    mem_free(mem, b->data);
    *b = (struct gossip_bytes){0};
}

bool gossip_bucket_take(struct gossip_bucket *b, uint64_t now_us, uint32_t burst,
                        uint64_t refill_us)
{
    if (b->filled_us == 0) {
        b->filled_us = now_us + 1; /* 0 marks a bucket never used */
        b->tokens = burst;
    }
    uint64_t since = now_us > b->filled_us ? now_us - b->filled_us : 0;
    uint64_t more = since / refill_us;
    if (more > 0) {
        b->tokens = (uint32_t)IPX_MIN((uint64_t)b->tokens + more, (uint64_t)burst);
        b->filled_us += more * refill_us;
    }
    if (b->tokens == 0) {
        return false;
    }
    b->tokens--;
    return true;
}
