/* SPDX-License-Identifier: Apache-2.0 */
#include "dht/put.h"

#include "base/sm.h"
#include "dht/core.h"

static const struct sm_state put_states[] = {
    [DHT_PUT_SEEKING] = {"seeking", SM_TO(DHT_PUT_STORING) | SM_TO(DHT_PUT_OVER), false},
    [DHT_PUT_STORING] = {"storing", SM_TO(DHT_PUT_OVER), false},
    [DHT_PUT_OVER] = {"over", 0, true},
};
const struct sm_table dht_put_table = {"dht put", put_states, ARRAY_LEN(put_states)};

/* The handle carries the slot, so that a late answer finds its put or nothing. */
static_assert((DHT_PUTS_MAX & (DHT_PUTS_MAX - 1)) == 0, "slot = handle modulo the size");

void dht_puts_init(struct dht *d)
{
    d->puts = (struct dht_puts){.due_us = NEVER_US};
    list_init(&d->puts.kept);
}

static void drop_kept(struct dht *d, struct dht_kept *k)
{
    d->puts.n_kept--;
    d->puts.kept_bytes -= k->len;
    list_unlink(&k->link);
    mem_free(d->config.mem, k);
}

void dht_puts_done(struct dht *d)
{
    struct dht_kept *k;
    struct list *tmp;
    for (size_t i = 0; i < DHT_PUTS_MAX; i++) {
        mem_free(d->config.mem, d->puts.slots[i]);
        d->puts.slots[i] = NULL;
    }
    LIST_EACH(k, tmp, &d->puts.kept, struct dht_kept, link)
    {
        drop_kept(d, k);
    }
}

static struct dht_putting *find(const struct dht *d, uint32_t handle)
{
    struct dht_putting *p = d->puts.slots[handle % DHT_PUTS_MAX];
    return handle != 0 && p != NULL && p->handle == handle ? p : NULL;
}

static uint64_t keep_us(struct dht *d, uint8_t kind)
{
    uint64_t us = kind == DHT_KIND_PROVIDER ? DHT_KEEP_PROVIDER_US : DHT_KEEP_MUTABLE_US;
    return d->now_us + rng_jitter(&d->rng, us, DHT_KEEP_JITTER);
}

static void find_due(struct dht *d)
{
    struct dht_kept *k;
    struct list *tmp;
    d->puts.due_us = NEVER_US;
    LIST_EACH(k, tmp, &d->puts.kept, struct dht_kept, link)
    {
        d->puts.due_us = IPX_MIN(d->puts.due_us, k->due_us);
    }
}

bool dht_puts_withdraw(struct dht *d, uint8_t kind, const struct dht_pos *key)
{
    struct dht_kept *k;
    struct list *tmp;
    LIST_EACH(k, tmp, &d->puts.kept, struct dht_kept, link)
    {
        if (k->kind == kind && memcmp(k->key.bytes, key->bytes, 32) == 0) {
            drop_kept(d, k);
            find_due(d);
            return true;
        }
    }
    return false;
}

static enum ipx_err keep(struct dht *d, const struct dht_put_spec *spec)
{
    struct dht_puts *p = &d->puts;
    (void)dht_puts_withdraw(d, spec->kind, spec->key);
    if (p->n_kept == DHT_KEEP_MAX || p->kept_bytes + spec->bytes.len > DHT_KEEP_BYTES_MAX) {
        return IPX_FULL;
    }
    struct dht_kept *k = mem_alloc(d->config.mem, sizeof(*k) + spec->bytes.len);
    if (k == NULL) {
        return IPX_NO_MEMORY;
    }
    k->key = *spec->key;
    k->kind = spec->kind;
    k->due_us = keep_us(d, spec->kind);
    k->len = (uint16_t)spec->bytes.len;
    memcpy(k->bytes, spec->bytes.data, spec->bytes.len);
    list_push_back(&p->kept, &k->link);
    p->n_kept++;
    p->kept_bytes += k->len;
    p->due_us = IPX_MIN(p->due_us, k->due_us);
    return IPX_OK;
}

/* A slot with the record in it; no search yet. NULL: `*ret_err` says why. */
static struct dht_putting *make(struct dht *d, const struct dht_put_spec *spec,
                                enum ipx_err *ret_err)
{
    size_t slot = 0;
    while (slot < DHT_PUTS_MAX && d->puts.slots[slot] != NULL) {
        slot++;
    }
    if (slot == DHT_PUTS_MAX) {
        *ret_err = IPX_FULL;
        return NULL;
    }
    struct dht_putting *p = mem_alloc(d->config.mem, sizeof(*p));
    if (p == NULL) {
        *ret_err = IPX_NO_MEMORY;
        return NULL;
    }
    d->puts.n_handles = (d->puts.n_handles + 1) % (UINT32_MAX / DHT_PUTS_MAX);
    p->handle = (d->puts.n_handles + 1) * DHT_PUTS_MAX + (uint32_t)slot;
    p->state = DHT_PUT_SEEKING;
    p->kind = spec->kind;
    p->key = *spec->key;
    p->has_cas = spec->has_cas;
    p->cas = spec->cas;
    p->begun_us = d->now_us;
    p->len = (uint16_t)spec->bytes.len;
    memcpy(p->bytes, spec->bytes.data, spec->bytes.len);
    d->puts.slots[slot] = p;
    return p;
}

static void forget(struct dht *d, struct dht_putting *p)
{
    d->puts.slots[p->handle % DHT_PUTS_MAX] = NULL;
    mem_free(d->config.mem, p);
}

enum ipx_err dht_puts_start(struct dht *d, const struct dht_put_spec *spec, uint32_t *ret_handle)
{
    struct dht_search *s = NULL;
    enum ipx_err err = IPX_OK;
    assert(spec->bytes.len > 0 && spec->bytes.len <= DHT_VALUE_MAX);
    if (dht_table_n_members(&d->table) == 0) {
        return IPX_UNREACHABLE;
    }
    struct dht_putting *p = make(d, spec, &err);
    if (p == NULL) {
        return err;
    }
    struct dht_search_spec search = {
        .use = DHT_USE_PUT, .mode = LOOKUP_CLOSEST, .target = *spec->key, .put = p->handle};
    err = dht_search_start(d, &search, &s);
    if (err == IPX_OK && spec->keep) {
        err = keep(d, spec);
    }
    if (err != IPX_OK) {
        dht_search_free(d, s);
        forget(d, p);
        return err;
    }
    *ret_handle = p->handle;
    return IPX_OK;
}

static void add_holder(struct dht_putting *p, const struct dht_contact *c)
{
    for (size_t i = 0; i < p->n_holders; i++) {
        if (node_id_equal(&p->holders[i].id, &c->id)) {
            return;
        }
    }
    if (p->n_holders < DHT_PUT_HOLDERS) {
        p->holders[p->n_holders++] = *c;
    }
}

/* The first 8 bytes of the distance within which 8 nodes are expected. */
static uint64_t near_enough(const struct dht *d)
{
    uint64_t n = dht_size_estimate(d);
    return n <= DHT_REPLICAS ? UINT64_MAX : UINT64_MAX / n * DHT_REPLICAS;
}

void dht_put_on_candidate(struct dht *d, const struct dht_search *s, uint16_t tx)
{
    struct dht_putting *p = find(d, s->put);
    const struct lookup_candidate *c = &s->lookup.candidates[tx];
    if (p == NULL || p->state != DHT_PUT_SEEKING || p->n_holders >= DHT_REPLICAS) {
        return;
    }
    uint64_t distance = load_be64(c->pos.bytes) ^ load_be64(p->key.bytes);
    if (distance < near_enough(d)) {
        add_holder(p, &c->contact);
    }
}

/* The 8 nearest of those found are to hold it. */
static void take_found(struct dht_putting *p, const struct dht_search *s)
{
    uint16_t order[DHT_K];
    size_t n = 0;
    for (uint16_t i = 0; i < s->n_found; i++) { /* nearest to this key, which is not the target's */
        size_t at = n;
        while (at > 0 &&
               dht_pos_compare(&p->key, &s->found[i].pos, &s->found[order[at - 1]].pos) < 0) {
            at--;
        }
        if (s->found[i].is_verified) {
            memmove(order + at + 1, order + at, (n - at) * sizeof(order[0]));
            order[at] = i;
            n++;
        }
    }
    for (size_t i = 0; i < n && i < DHT_REPLICAS; i++) {
        add_holder(p, &s->found[order[i]].contact);
    }
    sm_move(&dht_put_table, &p->state, DHT_PUT_STORING);
}

/* Kept ones whose 8 nearest are all among those found, and which are due soon: they go along. The
 * 16 found are all that share more bits with the target than the farthest of them does. */
static void sweep_region(struct dht *d, const struct dht_search *s)
{
    struct dht_kept *k;
    struct list *tmp;
    const struct dht_pos *target = &s->lookup.config.target;
    unsigned shared = 256, n_inside = 0;
    for (size_t i = 0; i < s->n_found; i++) {
        shared = IPX_MIN(shared, dht_pos_common_bits(&s->found[i].pos, target));
    }
    for (size_t i = 0; i < s->n_found; i++) {
        n_inside += dht_pos_common_bits(&s->found[i].pos, target) > shared;
    }
    bool is_all = s->n_found < DHT_K; /* the whole mesh */
    if (!is_all && n_inside < DHT_REPLICAS) {
        return;
    }
    LIST_EACH(k, tmp, &d->puts.kept, struct dht_kept, link)
    {
        enum ipx_err err = IPX_OK;
        bool is_inside = is_all || dht_pos_common_bits(&k->key, target) > shared;
        if (!is_inside || k->due_us > d->now_us + DHT_KEEP_SOON_US) {
            continue;
        }
        struct dht_put_spec spec = {
            .kind = k->kind, .key = &k->key, .bytes = slice_of(k->bytes, k->len)};
        struct dht_putting *p = make(d, &spec, &err);
        if (p == NULL) {
            return; /* they come by a search of their own */
        }
        p->is_silent = true;
        k->due_us = keep_us(d, k->kind);
        take_found(p, s);
    }
    find_due(d);
}

void dht_put_on_search(struct dht *d, const struct dht_search *s)
{
    struct dht_putting *p = find(d, s->put);
    if (p != NULL) {
        take_found(p, s);
        sweep_region(d, s);
    }
}

void dht_put_on_stored(struct dht *d, uint32_t handle, uint8_t status, uint64_t seq)
{
    struct dht_putting *p = find(d, handle);
    if (p == NULL) {
        return;
    }
    assert(p->n_waiting > 0);
    p->n_waiting--;
    p->seq = IPX_MAX(p->seq, seq);
    if (status == DHT_STATUS_OK) {
        p->n_acks++;
    } else if (status != DHT_STATUS_MAX) {
        p->why = status;
    }
}

void dht_puts_tick(struct dht *d)
{
    struct dht_kept *k;
    struct list *tmp;
    if (d->now_us < d->puts.due_us) {
        return;
    }
    LIST_EACH(k, tmp, &d->puts.kept, struct dht_kept, link)
    {
        uint32_t handle = 0;
        struct dht_put_spec spec = {
            .kind = k->kind, .key = &k->key, .bytes = slice_of(k->bytes, k->len)};
        if (k->due_us > d->now_us) {
            continue;
        }
        /* No room or nobody there: a little later. */
        bool is_begun = dht_puts_start(d, &spec, &handle) == IPX_OK;
        k->due_us = is_begun ? keep_us(d, k->kind) : d->now_us + DHT_AGAIN_US;
        if (is_begun) {
            find(d, handle)->is_silent = true;
        }
    }
    find_due(d);
}

static bool poll_send(struct dht *d, struct dht_putting *p, struct dht_action *ret)
{
    if (p->next_holder == p->n_holders || !dht_rpc_has_room(&d->rpc)) {
        return false;
    }
    const struct dht_contact *to = &p->holders[p->next_holder++];
    struct dht_wire_msg m = {.type = DHT_STORE,
                             .kind = p->kind,
                             .record = slice_of(p->bytes, p->len),
                             .has_cas = p->has_cas,
                             .seq = p->cas};
    struct dht_call call = {.to = to->id, .handle = p->handle, .type = DHT_STORE};
    p->n_waiting++;
    dht_send_request(d, &m, &call, &to->addr, ret);
    return true;
}

static bool poll_told(struct dht_putting *p, struct dht_action *ret)
{
    bool is_over = p->state == DHT_PUT_OVER;
    bool is_enough = p->n_acks >= DHT_PUT_ENOUGH && !p->has_cas; /* cas: all are to agree */
    if (p->is_told || p->is_silent || (!is_over && !is_enough)) {
        return false;
    }
    p->is_told = true;
    *ret = (struct dht_action){.kind = DHT_ACTION_STORED,
                               .stored = {.handle = p->handle,
                                          .status = p->n_acks > 0       ? IPX_OK
                                                    : p->n_holders == 0 ? IPX_UNREACHABLE
                                                    : p->why != 0       ? IPX_REFUSED
                                                                        : IPX_TIMEOUT,
                                          .why = p->why,
                                          .n_acks = p->n_acks,
                                          .seq = p->seq}};
    return true;
}

bool dht_puts_poll(struct dht *d, struct dht_action *ret)
{
    for (size_t i = 0; i < DHT_PUTS_MAX; i++) {
        struct dht_putting *p = d->puts.slots[i];
        if (p == NULL) {
            continue;
        }
        if (poll_send(d, p, ret)) {
            return true;
        }
        if (p->state == DHT_PUT_STORING && p->n_waiting == 0 && p->next_holder == p->n_holders) {
            sm_move(&dht_put_table, &p->state, DHT_PUT_OVER);
            dht_emit(d, "put", NULL, p->n_acks, d->now_us - p->begun_us);
        }
        bool is_news = poll_told(p, ret);
        if (p->state == DHT_PUT_OVER) {
            forget(d, p);
        }
        if (is_news) {
            return true;
        }
    }
    return false;
}

uint64_t dht_puts_deadline(const struct dht *d)
{
    return d->puts.due_us;
}

void dht_puts_check(const struct dht *d)
{
    struct dht_kept *k;
    struct list *tmp;
    uint32_t n = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < DHT_PUTS_MAX; i++) {
        const struct dht_putting *p = d->puts.slots[i];
        assert(p == NULL || (p->handle % DHT_PUTS_MAX == i && p->handle != 0));
        assert(p == NULL || (p->next_holder <= p->n_holders && p->n_acks <= p->next_holder));
        assert(p == NULL || p->n_waiting + p->n_acks <= p->next_holder);
    }
    LIST_EACH(k, tmp, &d->puts.kept, struct dht_kept, link)
    {
        assert(k->due_us >= d->puts.due_us && k->len > 0);
        n++;
        bytes += k->len;
    }
    assert(n == d->puts.n_kept && bytes == d->puts.kept_bytes && n <= DHT_KEEP_MAX);
}
