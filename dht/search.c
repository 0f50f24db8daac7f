/* SPDX-License-Identifier: Apache-2.0 */
#include "dht/search.h"

#include "base/sm.h"
#include "dht/core.h"

static const struct sm_state search_states[] = {
    [DHT_SEARCH_RUNNING] = {"running", SM_TO(DHT_SEARCH_OVER), false},
    [DHT_SEARCH_OVER] = {"over", SM_TO(DHT_SEARCH_TOLD), false},
    [DHT_SEARCH_TOLD] = {"told", 0, true},
};
const struct sm_table dht_search_table = {"dht search", search_states, ARRAY_LEN(search_states)};

/* The handle carries the slot, so that a late answer finds its search or nothing. */
static_assert((DHT_SEARCHES_MAX & (DHT_SEARCHES_MAX - 1)) == 0, "slot = handle modulo the size");

struct dht_search *dht_search_find(const struct dht *d, uint32_t handle)
{
    struct dht_search *s = d->searches[handle % DHT_SEARCHES_MAX];
    return handle != 0 && s != NULL && s->handle == handle ? s : NULL;
}

bool dht_search_is_running(const struct dht *d, enum dht_use use)
{
    for (size_t i = 0; i < DHT_SEARCHES_MAX; i++) {
        const struct dht_search *s = d->searches[i];
        if (s != NULL && s->use == use && s->state == DHT_SEARCH_RUNNING) {
            return true;
        }
    }
    return false;
}

static size_t find_slot(const struct dht *d, enum dht_use use)
{
    size_t n_free = 0, slot = DHT_SEARCHES_MAX;
    for (size_t i = DHT_SEARCHES_MAX; i-- > 0;) {
        if (d->searches[i] == NULL) {
            n_free++;
            slot = i;
        }
    }
    /* Joining and publishing must never wait for what callers search. */
    return use == DHT_USE_CALLER && n_free <= DHT_SEARCHES_OWN ? DHT_SEARCHES_MAX : slot;
}

static void seed_from_table(struct dht *d, struct lookup *l)
{
    const struct dht_entry *near[2 * DHT_K];
    size_t n = dht_table_closest(&d->table, &l->config.target, DHT_CLOSEST_SEED, near, 2 * DHT_K);
    for (size_t i = 0; i < n; i++) {
        struct dht_contact c = dht_entry_contact(near[i]);
        lookup_seed(l, &c, 1);
    }
}

uint8_t dht_search_alpha(const struct dht_rpc *r, enum lookup_mode mode, uint8_t paths)
{
    uint8_t lossy = mode == LOOKUP_LOCATE ? DHT_ALPHA_LOCATE : DHT_ALPHA_LOSSY;
    return paths > 1 ? DHT_ALPHA_DISJOINT : dht_rpc_is_lossy(r) ? lossy : DHT_ALPHA;
}

uint64_t dht_search_soft_us(const struct dht_rpc *r, enum lookup_mode mode)
{
    return dht_rpc_soft_us(r, mode == LOOKUP_LOCATE ? DHT_SOFT_VARS_LOCATE : DHT_SOFT_VARS);
}

static void start_lookup(struct dht *d, struct dht_search *s, const struct dht_search_spec *spec)
{
    uint8_t paths = spec->paths > 0 ? spec->paths : 1;
    uint8_t alpha = dht_search_alpha(&d->rpc, spec->mode, paths);
    struct lookup_config config = {.mesh = d->config.mesh,
                                   .self = d->config.key->pk,
                                   .target = spec->target,
                                   .mode = spec->mode,
                                   .k = DHT_K,
                                   .r = DHT_LOCATE_R,
                                   .alpha = spec->alpha > 0 ? spec->alpha : alpha,
                                   .paths = paths};
    memcpy(config.lab, d->config.lab, sizeof(config.lab));
    lookup_init(&s->lookup, d->now_us, &config);
    seed_from_table(d, &s->lookup);
}

enum ipx_err dht_search_start(struct dht *d, const struct dht_search_spec *spec,
                              struct dht_search **ret)
{
    size_t slot = find_slot(d, spec->use);
    if (slot == DHT_SEARCHES_MAX) {
        return IPX_FULL;
    }
    struct dht_search *s = mem_alloc(d->config.mem, sizeof(*s));
    if (s == NULL) {
        return IPX_NO_MEMORY;
    }
    d->n_handles = (d->n_handles + 1) % (UINT32_MAX / DHT_SEARCHES_MAX);
    s->handle = (d->n_handles + 1) * DHT_SEARCHES_MAX + (uint32_t)slot;
    s->state = DHT_SEARCH_RUNNING;
    s->use = (uint8_t)spec->use;
    s->kind = spec->kind;
    s->put = spec->put;
    s->n_wanted = spec->n_wanted;
    start_lookup(d, s, spec);
    d->searches[slot] = s;
    d->stats.n_searches++;
    *ret = s;
    return IPX_OK;
}

void dht_search_free(struct dht *d, struct dht_search *s)
{
    if (s == NULL) {
        return;
    }
    assert(d->searches[s->handle % DHT_SEARCHES_MAX] == s);
    d->searches[s->handle % DHT_SEARCHES_MAX] = NULL;
    mem_free(d->config.mem, s);
}

/* Of what a peer told, the contacts that may be believed at all. */
static size_t judge_contacts(struct dht *d, const struct node_id *from, const struct addr *addr,
                             const struct dht_wire_msg *m,
                             struct dht_contact ret[static DHT_CONTACTS_MAX])
{
    size_t n = 0;
    if (dht_guard_is_muted(&d->guard, d->now_us, from)) {
        return 0;
    }
    for (size_t i = 0; i < m->n_contacts; i++) {
        enum dht_verdict v = dht_guard_judge(&m->contacts[i], &d->config.key->pk, addr);
        if (v == DHT_VERDICT_OK) {
            ret[n++] = m->contacts[i];
        } else {
            d->stats.n_contacts_refused[v]++;
        }
    }
    return n;
}

/* Of each provider what it said last. */
static void take_provider(struct dht_search *s, const struct dht_item *item)
{
    struct dht_provider p = {item->publisher, item->seq, item->size, item->flags};
    uint8_t i = 0;
    while (i < s->n_providers && !node_id_equal(&s->providers[i].id, &p.id)) {
        i++;
    }
    if (i == DHT_PROVIDERS_MAX || (i < s->n_providers && s->providers[i].seq >= p.seq)) {
        return;
    }
    s->providers[i] = p;
    s->n_providers = (uint8_t)IPX_MAX(s->n_providers, i + 1);
    if (s->n_providers >= s->n_wanted) {
        lookup_finish(&s->lookup);
    }
}

/* A record that came with the answer: kept if it is valid and the newest. */
static void take_value(struct dht *d, struct dht_search *s, uint16_t tx,
                       const struct cert_facts *facts, struct slice bytes)
{
    struct dht_item item;
    if (bytes.len == 0 || s->kind == 0) {
        return;
    }
    enum ipx_err err =
        dht_store_verify(s->kind, bytes, &d->config.mesh, &s->lookup.config.target, &item);
    if (err != IPX_OK) {
        d->stats.n_bad_records++;
        dht_strike(d, &facts->id);
        return;
    }
    if (s->kind == DHT_KIND_PROVIDER) {
        take_provider(s, &item);
        return;
    }
    s->is_disputed = s->is_disputed || (s->record_len > 0 && s->lookup.value_seq == item.seq &&
                                        !slice_equal(slice_of(s->record, s->record_len), bytes));
    if (lookup_on_value(&s->lookup, d->now_us, tx, item.seq)) {
        memcpy(s->record, bytes.data, bytes.len);
        s->record_len = (uint16_t)bytes.len;
        if (s->kind == DHT_KIND_IMMUTABLE) { /* it proves itself: the first will do */
            lookup_finish(&s->lookup);
        }
    }
}

void dht_search_on_reply(struct dht *d, const struct dht_call *call, const struct cert_facts *facts,
                         const struct addr *from, const struct dht_wire_msg *m)
{
    struct dht_contact contacts[DHT_CONTACTS_MAX];
    struct dht_search *s = dht_search_find(d, call->handle);
    if (s == NULL || s->state != DHT_SEARCH_RUNNING) {
        return;
    }
    if (m == NULL) {
        lookup_on_fail(&s->lookup, d->now_us, call->candidate);
        return;
    }
    size_t n = judge_contacts(d, &facts->id, from, m, contacts);
    enum ipx_err err = lookup_on_reply(&s->lookup, d->now_us, call->candidate, facts, contacts, n);
    if (err == IPX_REFUSED) {
        d->stats.n_position_lies++;
        dht_emit(d, "position lie", &facts->id, 0, 0);
    } else if (err == IPX_OK) {
        take_value(d, s, call->candidate, facts, m->record);
        for (size_t i = 0; i < m->n_more; i++) {
            take_value(d, s, call->candidate, facts, m->more[i]);
        }
        if (s->use == DHT_USE_PUT) {
            dht_put_on_candidate(d, s, call->candidate);
        }
    }
}

void dht_search_on_fail(struct dht *d, const struct dht_call *call)
{
    struct dht_search *s = dht_search_find(d, call->handle);
    if (s != NULL && s->state == DHT_SEARCH_RUNNING) {
        lookup_on_fail(&s->lookup, d->now_us, call->candidate);
    }
}

void dht_search_tick(struct dht *d)
{
    for (size_t i = 0; i < DHT_SEARCHES_MAX; i++) {
        if (d->searches[i] != NULL && d->searches[i]->state == DHT_SEARCH_RUNNING) {
            lookup_tick(&d->searches[i]->lookup, d->now_us);
        }
    }
}

static void note_found(struct dht_search *s)
{
    uint16_t at[DHT_K];
    struct lookup *l = &s->lookup;
    size_t n = lookup_closest(l, at, DHT_K);
    for (size_t i = 0; i < n; i++) {
        const struct lookup_candidate *c = &l->candidates[at[i]];
        s->found[i] = (struct dht_found){c->contact, c->pos, true};
    }
    size_t n_claims = lookup_claims(l, at, DHT_K - n);
    for (size_t i = 0; i < n_claims; i++) {
        const struct lookup_candidate *c = &l->candidates[at[i]];
        s->found[n + i] = (struct dht_found){c->contact, c->pos, false};
    }
    s->n_found = (uint8_t)(n + n_claims);
}

/* Was something hidden from us? A value that is missing or disputed, or a nearest set that is
 * thinner than so large a mesh can have it, is searched once more by disjoint paths (2.5). */
static bool should_escalate(const struct dht *d, const struct dht_search *s, enum ipx_err status)
{
    const struct lookup *l = &s->lookup;
    uint64_t n = dht_size_estimate(d);
    uint16_t at[DHT_K];
    bool is_asked_value = l->config.mode == LOOKUP_VALUE || s->kind == DHT_KIND_PROVIDER;
    if (s->use != DHT_USE_CALLER || s->is_escalated || n <= 2 * DHT_K || status == IPX_CLOSED) {
        return false;
    }
    if (is_asked_value) {
        return s->is_disputed || (s->record_len == 0 && s->n_providers == 0);
    }
    if (l->config.mode != LOOKUP_CLOSEST || lookup_closest(l, at, DHT_K) < DHT_K) {
        return l->config.mode == LOOKUP_CLOSEST;
    }
    uint64_t far =
        load_be64(l->candidates[at[DHT_K - 1]].pos.bytes) ^ load_be64(l->config.target.bytes);
    return far / DHT_ESCALATE_FACTOR / DHT_K > UINT64_MAX / n;
}

static void escalate(struct dht *d, struct dht_search *s)
{
    struct dht_search_spec spec = {.mode = s->lookup.config.mode,
                                   .target = s->lookup.config.target,
                                   .paths = DHT_PATHS_DISJOINT};
    dht_emit(d, "search escalated", NULL, s->lookup.n_sent, 0);
    s->is_escalated = true;
    s->is_disputed = false;
    d->stats.n_escalated++;
    dht_rpc_forget(&d->rpc, s->handle);
    start_lookup(d, s, &spec);
}

/* True: the caller is to be told. */
static bool finish(struct dht *d, struct dht_search *s, enum ipx_err status, struct dht_action *ret)
{
    sm_move(&dht_search_table, &s->state, DHT_SEARCH_OVER);
    s->status = status;
    note_found(s);
    if (s->use != DHT_USE_BUCKET && s->n_found == DHT_K && status == IPX_OK) {
        dht_join_on_asked(d, &s->lookup.config.target);
    }
    dht_emit(d, "search over", NULL, s->lookup.n_sent, d->now_us - s->lookup.started_us);
    switch ((enum dht_use)s->use) {
    case DHT_USE_SELF:
    case DHT_USE_BUCKET:
        dht_join_on_search(d, s);
        dht_search_free(d, s);
        return false;
    case DHT_USE_PUBLISH:
        dht_publish_on_search(d, s); /* keeps it or frees it */
        return false;
    case DHT_USE_PUT:
        dht_put_on_search(d, s);
        dht_search_free(d, s);
        return false;
    case DHT_USE_CALLER:
        break;
    }
    sm_move(&dht_search_table, &s->state, DHT_SEARCH_TOLD);
    *ret = (struct dht_action){.kind = DHT_ACTION_FOUND,
                               .found = {.handle = s->handle,
                                         .status = s->status,
                                         .nodes = s->found,
                                         .n_nodes = s->n_found,
                                         .record = slice_of(s->record, s->record_len),
                                         .providers = s->providers,
                                         .n_providers = s->n_providers}};
    d->told = s;
    return true;
}

static uint64_t soft_timeout(const struct dht *d, const struct dht_search *s,
                             const struct dht_entry *e)
{
    if (e == NULL || e->srtt_us == 0) {
        return dht_search_soft_us(&d->rpc, s->lookup.config.mode);
    }
    uint64_t soft = (uint64_t)e->srtt_us + 4 * (uint64_t)e->rttvar_us;
    return IPX_MIN(IPX_MAX(soft, DHT_SOFT_MIN_US), LOOKUP_HARD_US);
}

/* False: not to be asked (its key is none). */
static bool ask(struct dht *d, struct dht_search *s, const struct lookup_action *la,
                struct dht_action *ret)
{
    const struct node_id *to = &la->contact->id;
    const struct dht_entry *known = dht_table_find(&d->table, to);
    if (known == NULL && !crypt_key_is_valid(to)) {
        d->stats.n_contacts_refused[DHT_VERDICT_KEY]++;
        lookup_on_fail(&s->lookup, d->now_us, la->tx);
        return false;
    }
    lookup_set_soft(&s->lookup, la->tx, soft_timeout(d, s, known));
    struct dht_wire_msg m = {.type = s->kind != 0 ? DHT_GET : DHT_FIND_NODE,
                             .target = s->lookup.config.target,
                             .kind = s->kind,
                             .flags = d->config.is_client ? DHT_FLAG_CLIENT : 0,
                             .want = d->config.want};
    struct dht_call call = {.to = *to, .handle = s->handle, .candidate = la->tx, .type = m.type};
    dht_send_request(d, &m, &call, &la->contact->addr, ret);
    return true;
}

static bool poll_one(struct dht *d, struct dht_search *s, struct dht_action *ret)
{
    struct lookup_action la;
    while (lookup_poll(&s->lookup, dht_rpc_has_room(&d->rpc), &la)) {
        switch (la.kind) {
        case LOOKUP_SEND:
            if (ask(d, s, &la, ret)) {
                return true;
            }
            break;
        case LOOKUP_STRIKE:
            dht_strike(d, &la.contact->id);
            break;
        case LOOKUP_DONE:
            if (!should_escalate(d, s, la.status)) {
                return finish(d, s, la.status, ret);
            }
            escalate(d, s);
            break;
        }
    }
    return false;
}

bool dht_search_poll(struct dht *d, struct dht_action *ret)
{
    for (size_t i = 0; i < DHT_SEARCHES_MAX; i++) {
        struct dht_search *s = d->searches[i];
        if (s != NULL && s->state == DHT_SEARCH_RUNNING && poll_one(d, s, ret)) {
            return true;
        }
    }
    return false;
}

uint64_t dht_search_deadline(const struct dht *d)
{
    uint64_t due = NEVER_US;
    for (size_t i = 0; i < DHT_SEARCHES_MAX; i++) {
        const struct dht_search *s = d->searches[i];
        if (s != NULL && s->state == DHT_SEARCH_RUNNING) {
            due = IPX_MIN(due, lookup_deadline(&s->lookup));
        }
    }
    return due;
}
