/* SPDX-License-Identifier: Apache-2.0 */
#include "dht/join.h"

#include "base/sm.h"
#include "dht/core.h"

static const struct sm_state join_states[] = {
    [DHT_JOIN_ALONE] = {"alone", SM_TO(DHT_JOIN_SEEK), false},
    [DHT_JOIN_SEEK] = {"seek",
                       SM_TO(DHT_JOIN_ALONE) | SM_TO(DHT_JOIN_WAIT) | SM_TO(DHT_JOIN_FILL) |
                           SM_TO(DHT_JOIN_MEMBER),
                       false},
    [DHT_JOIN_WAIT] = {"wait", SM_TO(DHT_JOIN_SEEK), false},
    [DHT_JOIN_FILL] = {"fill",
                       SM_TO(DHT_JOIN_MEMBER) | SM_TO(DHT_JOIN_SEEK) | SM_TO(DHT_JOIN_ALONE),
                       false},
    [DHT_JOIN_MEMBER] = {"member", SM_TO(DHT_JOIN_SEEK) | SM_TO(DHT_JOIN_ALONE), false},
};
const struct sm_table dht_join_table = {"dht join", join_states, ARRAY_LEN(join_states)};

void dht_join_init(struct dht *d)
{
    d->join = (struct dht_join){
        .state = DHT_JOIN_ALONE, .backoff_us = DHT_BOOT_RETRY_MIN_US, .due_us = NEVER_US};
}

void dht_join_done(struct dht *d)
{
    mem_free(d->config.mem, d->join.boot);
    d->join.boot = NULL;
    d->join.n_boot = 0;
}

static void move(struct dht *d, enum dht_join_state to)
{
    sm_move(&dht_join_table, &d->join.state, to);
}

static bool is_listed(const struct dht_join *j, const struct dht_contact *c)
{
    for (size_t i = 0; i < j->n_boot; i++) {
        if (node_id_equal(&j->boot[i].id, &c->id) && addr_equal(&j->boot[i].addr, &c->addr)) {
            return true;
        }
    }
    return false;
}

enum ipx_err dht_join_add_contacts(struct dht *d, const struct dht_contact *contacts, size_t n)
{
    struct dht_join *j = &d->join;
    size_t n_max = IPX_MIN((size_t)j->n_boot + n, DHT_BOOT_MAX);
    struct dht_contact *boot = mem_realloc(d->config.mem, j->boot, n_max * sizeof(*boot));
    if (boot == NULL) {
        return IPX_NO_MEMORY;
    }
    j->boot = boot;
    for (size_t i = 0; i < n && j->n_boot < n_max; i++) {
        bool is_self = node_id_equal(&contacts[i].id, &d->config.key->pk);
        bool is_usable = addr_scope(&contacts[i].addr) != ADDR_SCOPE_NONE;
        if (!is_self && is_usable && !is_listed(j, &contacts[i])) {
            j->boot[j->n_boot++] = contacts[i];
        }
    }
    return IPX_OK;
}

/* Further contacts for a search that is to find the mesh: the next ones of the list, and whom we
 * lost lately. The rest of the list follows in the next try. */
static void seed_from_boot(struct dht *d, struct lookup *l)
{
    struct dht_join *j = &d->join;
    size_t n = IPX_MIN((size_t)(j->n_boot - j->next_boot), DHT_BOOT_CHUNK);
    if (n > 0) {
        lookup_seed(l, j->boot + j->next_boot, n);
    }
    lookup_seed(l, j->anchors, j->n_anchors);
    j->next_boot = (uint16_t)(j->next_boot + n);
}

static bool has_anybody(const struct dht *d)
{
    return d->join.n_boot > 0 || d->join.n_anchors > 0 || dht_table_n_members(&d->table) > 0;
}

static uint64_t after(struct dht *d, uint64_t delay_us)
{
    return d->now_us + rng_jitter(&d->rng, delay_us, DHT_JITTER_PERCENT);
}

/* While the table holds fewer than k, the search of our own position asks everybody there is. */
static bool is_small(const struct dht *d)
{
    return dht_table_n_members(&d->table) < DHT_K;
}

/* A table with room in which one of those whom we were given is not. */
static bool is_partial(const struct dht *d)
{
    for (size_t i = 0; is_small(d) && i < d->join.n_boot; i++) {
        if (dht_table_find(&d->table, &d->join.boot[i].id) == NULL) {
            return true;
        }
    }
    return false;
}

/* Searches our own position; from the boot list too while we are not in, or it has more. */
static void seek(struct dht *d)
{
    struct dht_search *s = NULL;
    struct dht_join *j = &d->join;
    bool is_in = dht_table_n_live(&d->table) > 0;
    bool is_all = is_in && !is_partial(d);
    struct dht_search_spec spec = {.use = DHT_USE_SELF,
                                   .mode = LOOKUP_CLOSEST,
                                   .target = d->self,
                                   .alpha = is_in ? 0 : DHT_BOOT_PARALLEL};
    if (dht_search_is_running(d, DHT_USE_SELF)) {
        return;
    }
    if (dht_search_start(d, &spec, &s) != IPX_OK) {
        j->due_us = d->now_us + DHT_AGAIN_US;
        return;
    }
    j->due_us = NEVER_US;
    if (!is_all) {
        seed_from_boot(d, &s->lookup);
    }
}

static void begin(struct dht *d)
{
    if (d->join.state != DHT_JOIN_SEEK && has_anybody(d)) {
        move(d, DHT_JOIN_SEEK);
        seek(d);
    }
}

void dht_join_start(struct dht *d)
{
    if (d->join.state == DHT_JOIN_ALONE || d->join.state == DHT_JOIN_WAIT) {
        d->join.next_boot = 0;
        d->join.backoff_us = DHT_BOOT_RETRY_MIN_US;
        begin(d);
    }
}

void dht_join_on_member(struct dht *d)
{
    if (d->join.state == DHT_JOIN_ALONE || d->join.state == DHT_JOIN_WAIT) {
        begin(d); /* a peer came to us: that is a way in */
    }
}

static void add_anchor(struct dht_join *j, const struct dht_contact *contact)
{
    size_t at = j->next_anchor;
    for (size_t i = 0; i < j->n_anchors; i++) {
        if (node_id_equal(&j->anchors[i].id, &contact->id)) {
            at = i;
        }
    }
    j->anchors[at] = *contact;
    if (at == j->next_anchor) {
        j->next_anchor = (uint8_t)((j->next_anchor + 1) % DHT_ANCHORS);
        j->n_anchors = (uint8_t)IPX_MIN(j->n_anchors + 1, DHT_ANCHORS);
    }
}

void dht_join_on_lost(struct dht *d, const struct dht_contact *contact)
{
    struct dht_join *j = &d->join;
    bool is_in = j->state == DHT_JOIN_MEMBER || j->state == DHT_JOIN_FILL;
    if (contact != NULL) {
        add_anchor(j, contact);
    }
    if (!is_in || dht_table_n_members(&d->table) > 0) {
        return;
    }
    dht_emit(d, "cut off", NULL, 0, 0);
    j->is_told = false;
    j->next_boot = 0;
    if (has_anybody(d)) {
        begin(d);
    } else {
        move(d, DHT_JOIN_ALONE);
    }
}

static void touch_bucket(struct dht *d, unsigned bucket)
{
    d->join.bucket_due_s[bucket] = (uint32_t)(after(d, DHT_REFRESH_US) / US_PER_S);
}

/* A random position that shares exactly `bucket` leading bits with ours. */
static struct dht_pos random_in_bucket(struct dht *d, unsigned bucket)
{
    struct dht_pos p;
    rng_fill(&d->rng, p.bytes, sizeof(p.bytes));
    for (unsigned bit = 0; bit <= bucket; bit++) {
        uint8_t mask = (uint8_t)(0x80u >> (bit % 8));
        uint8_t own = d->self.bytes[bit / 8] & mask;
        uint8_t wanted = bit == bucket ? (uint8_t)(own ^ mask) : own;
        p.bytes[bit / 8] = (uint8_t)((p.bytes[bit / 8] & ~mask) | wanted);
    }
    return p;
}

static bool refresh(struct dht *d, unsigned bucket)
{
    struct dht_search *s = NULL;
    /* To fill a bucket all who are near are asked; later a few do to see who is there. */
    bool is_first = d->join.state == DHT_JOIN_FILL;
    struct dht_search_spec spec = {.use = DHT_USE_BUCKET,
                                   .mode = is_first ? LOOKUP_CLOSEST : LOOKUP_LOCATE,
                                   .target = random_in_bucket(d, bucket)};
    touch_bucket(d, bucket);
    if (dht_search_start(d, &spec, &s) != IPX_OK) {
        return false; /* its next turn comes */
    }
    s->bucket = (uint8_t)bucket;
    return true;
}

static void to_member(struct dht *d)
{
    struct dht_join *j = &d->join;
    move(d, DHT_JOIN_MEMBER);
    j->due_us = after(d, is_partial(d) ? j->missing_us : DHT_SIBLINGS_US);
    j->missing_us = IPX_MIN(j->missing_us * 2, DHT_SIBLINGS_US);
}

/* The buckets from here on hold but the 16 nearest, which the search of our own position asks. */
static unsigned first_of_neighbourhood(const struct dht *d)
{
    unsigned b = DHT_BUCKETS, n = 0;
    while (b > 0 && n + d->table.n_bucket[b - 1] <= DHT_K) {
        n += d->table.n_bucket[--b];
    }
    return b;
}

/* Refreshes the next bucket nearer to the root, the last: we are in for good. */
static void fill(struct dht *d)
{
    while (d->join.fill_next > 0) {
        if (refresh(d, --d->join.fill_next)) {
            return;
        }
    }
    to_member(d);
}

static void on_found_mesh(struct dht *d)
{
    struct dht_join *j = &d->join;
    uint64_t now_estimate = dht_table_size_estimate(&d->table);
    bool is_counted = d->size_estimate == 0 || now_estimate <= DHT_SIBLINGS;
    d->size_estimate = is_counted ? now_estimate : (3 * d->size_estimate + now_estimate) / 4;
    j->backoff_us = DHT_BOOT_RETRY_MIN_US;
    j->next_boot = 0;
    if (!j->is_told) {
        j->is_told = true;
        j->has_news = true;
        j->missing_us = DHT_AGAIN_US;
        d->is_first_save_due = true;
        dht_emit(d, "joined", NULL, dht_table_n_members(&d->table), 0);
        dht_publish_on_joined(d);
        if (!is_small(d)) {
            move(d, DHT_JOIN_FILL);
            j->fill_next = (uint8_t)first_of_neighbourhood(d);
            fill(d);
            return;
        }
    }
    to_member(d);
}

/* Nobody answered. The rest of the list is tried at once, then all again after a pause. */
static void on_found_nobody(struct dht *d)
{
    struct dht_join *j = &d->join;
    bool was_told = j->is_told;
    j->is_told = false;
    if (!has_anybody(d)) {
        move(d, DHT_JOIN_ALONE);
        return;
    }
    if (was_told) {
        dht_emit(d, "cut off", NULL, 0, 0);
        j->next_boot = 0;
    }
    move(d, DHT_JOIN_WAIT);
    if (j->next_boot < j->n_boot) {
        j->due_us = d->now_us;
        return;
    }
    j->next_boot = 0;
    j->due_us = after(d, j->backoff_us);
    dht_emit(d, "bootstrap failed", NULL, j->n_boot, j->backoff_us);
    j->backoff_us = IPX_MIN(j->backoff_us * 2, DHT_BOOT_RETRY_MAX_US);
}

void dht_join_on_asked(struct dht *d, const struct dht_pos *target)
{
    touch_bucket(d, dht_table_bucket_of(&d->table, target));
}

void dht_join_on_search(struct dht *d, const struct dht_search *s)
{
    bool is_found = s->n_found > 0 && s->found[0].is_verified;
    if (s->use == DHT_USE_BUCKET) {
        if (d->join.state == DHT_JOIN_FILL) {
            fill(d);
        }
        return;
    }
    if (d->join.state == DHT_JOIN_MEMBER && is_found) {
        move(d, DHT_JOIN_SEEK); /* a refresh goes the same way as a first search */
    }
    if (d->join.state != DHT_JOIN_SEEK) {
        move(d, DHT_JOIN_SEEK);
    }
    if (is_found) {
        on_found_mesh(d);
    } else {
        on_found_nobody(d);
    }
}

static void tick_member(struct dht *d)
{
    struct dht_join *j = &d->join;
    if (d->now_us >= j->due_us) {
        dht_store_sweep(&d->store, d->now_us);
        seek(d);
    }
    if (is_small(d) || dht_search_is_running(d, DHT_USE_BUCKET)) {
        return;
    }
    unsigned end = first_of_neighbourhood(d);
    for (unsigned b = 0; b < end; b++) {
        if (d->now_us >= (uint64_t)j->bucket_due_s[b] * US_PER_S) {
            (void)refresh(d, b); /* one at a time; the next when this one is over */
            return;
        }
    }
}

void dht_join_tick(struct dht *d)
{
    switch ((enum dht_join_state)d->join.state) {
    case DHT_JOIN_WAIT:
        if (d->now_us >= d->join.due_us) {
            begin(d);
        }
        break;
    case DHT_JOIN_SEEK:
        if (d->now_us >= d->join.due_us) {
            seek(d);
        }
        break;
    case DHT_JOIN_MEMBER:
        tick_member(d);
        break;
    case DHT_JOIN_ALONE:
    case DHT_JOIN_FILL:
        break;
    }
}

uint64_t dht_join_deadline(const struct dht *d)
{
    const struct dht_join *j = &d->join;
    uint64_t due = j->due_us;
    if (j->state == DHT_JOIN_ALONE || j->state == DHT_JOIN_FILL) {
        return NEVER_US;
    }
    if (j->state != DHT_JOIN_MEMBER || is_small(d) || dht_search_is_running(d, DHT_USE_BUCKET)) {
        return due;
    }
    unsigned end = first_of_neighbourhood(d);
    for (unsigned b = 0; b < end; b++) {
        due = IPX_MIN(due, (uint64_t)j->bucket_due_s[b] * US_PER_S);
    }
    return due;
}
