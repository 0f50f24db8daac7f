/* SPDX-License-Identifier: Apache-2.0 */
/* What the DHT wants done, when it wants to be woken, and what it can be asked. */
#include "dht/core.h"

static bool poll_ping(struct dht *d, struct dht_action *ret)
{
    if (!dht_rpc_has_room(&d->rpc)) {
        return false;
    }
    const struct dht_entry *e = dht_table_take_mark(&d->table, DHT_ENTRY_PING);
    if (e == NULL) {
        return false;
    }
    struct dht_wire_msg m = {.type = DHT_PING,
                             .seq = d->publish.record_seq,
                             .flags = d->config.is_client ? DHT_FLAG_CLIENT : 0};
    struct dht_call call = {.to = e->id, .type = DHT_PING};
    dht_send_request(d, &m, &call, &e->addr, ret);
    return true;
}

static bool poll_learned(struct dht *d, struct dht_action *ret)
{
    const struct dht_entry *e = dht_table_take_mark(&d->table, DHT_ENTRY_UNTOLD);
    if (e == NULL) {
        return false;
    }
    *ret = (struct dht_action){.kind = DHT_ACTION_LEARNED, .learned = dht_entry_contact(e)};
    return true;
}

static uint64_t save_due(const struct dht *d)
{
    if (dht_table_n_members(&d->table) == 0) {
        return NEVER_US; /* the file of better days is kept */
    }
    if (d->is_first_save_due) {
        return d->now_us;
    }
    return d->table.n_changes != d->saved_changes ? d->saved_us + DHT_SAVE_US : NEVER_US;
}

static bool poll_news(struct dht *d, struct dht_action *ret)
{
    if (d->join.has_news) {
        d->join.has_news = false;
        *ret = (struct dht_action){.kind = DHT_ACTION_JOINED,
                                   .n_members = dht_table_n_members(&d->table)};
        return true;
    }
    if (d->now_us < save_due(d)) {
        return false;
    }
    d->is_first_save_due = false;
    d->saved_us = d->now_us;
    d->saved_changes = d->table.n_changes;
    *ret =
        (struct dht_action){.kind = DHT_ACTION_SAVE, .n_members = dht_table_n_members(&d->table)};
    return true;
}

bool dht_poll(struct dht *d, struct dht_action *ret)
{
    dht_search_free(d, d->told);
    d->told = NULL;
    return dht_answer_poll(d, ret) || dht_publish_poll(d, ret) || dht_puts_poll(d, ret) ||
           poll_ping(d, ret) || dht_search_poll(d, ret) || poll_learned(d, ret) ||
           poll_news(d, ret);
}

uint64_t dht_deadline(const struct dht *d)
{
    uint64_t due = IPX_MIN(dht_rpc_deadline(&d->rpc), dht_search_deadline(d));
    due = IPX_MIN(due, IPX_MIN(dht_join_deadline(d), dht_publish_deadline(d)));
    due = IPX_MIN(due, dht_puts_deadline(d));
    return IPX_MIN(due, save_due(d));
}

size_t dht_n_members(const struct dht *d)
{
    return dht_table_n_members(&d->table);
}

bool dht_is_joined(const struct dht *d)
{
    return d->join.is_told;
}

size_t dht_closest(const struct dht *d, const struct dht_pos *target, struct dht_contact *ret,
                   size_t max)
{
    const struct dht_entry *near[DHT_SIBLINGS];
    size_t n =
        dht_table_closest(&d->table, target, DHT_CLOSEST_TELL, near, IPX_MIN(max, DHT_SIBLINGS));
    for (size_t i = 0; i < n; i++) {
        ret[i] = dht_entry_contact(near[i]);
    }
    return n;
}

bool dht_find_contact(const struct dht *d, const struct node_id *id, struct dht_contact *ret)
{
    const struct dht_entry *e = dht_table_find(&d->table, id);
    if (e != NULL) {
        *ret = dht_entry_contact(e);
    }
    return e != NULL;
}

uint64_t dht_size_estimate(const struct dht *d)
{
    uint64_t now_known = dht_table_n_members(&d->table) + 1;
    return IPX_MAX(d->size_estimate, now_known);
}

void dht_contacts_encode(const struct dht *d, struct writer *w)
{
    struct dht_contact contacts[DHT_SAVE_CONTACTS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < d->table.n && n < DHT_SAVE_CONTACTS_MAX; i++) {
        const struct dht_entry *e = &d->table.entries[i];
        if ((e->marks & DHT_ENTRY_WAITS) == 0 && e->fails == 0) {
            contacts[n++] = dht_entry_contact(e);
        }
    }
    /* those that we began with too: who has met nobody yet must not start from nothing */
    for (size_t i = 0; i < d->join.n_boot && n < DHT_SAVE_CONTACTS_MAX; i++) {
        if (dht_table_find(&d->table, &d->join.boot[i].id) == NULL) {
            contacts[n++] = d->join.boot[i];
        }
    }
    dht_save_encode(contacts, n, d->publish.content.seq, w);
}

static void check_searches(const struct dht *d)
{
    size_t n_publish = 0, n_self = 0;
    for (size_t i = 0; i < DHT_SEARCHES_MAX; i++) {
        const struct dht_search *s = d->searches[i];
        if (s == NULL) {
            continue;
        }
        assert(s->handle != 0 && s->handle % DHT_SEARCHES_MAX == i);
        assert(s->state != DHT_SEARCH_TOLD || s == d->told);
        assert(s->state != DHT_SEARCH_OVER || s == d->publish.holders);
        n_publish += s->use == DHT_USE_PUBLISH;
        n_self += s->use == DHT_USE_SELF;
        lookup_check(&s->lookup);
    }
    assert(n_self <= 1 && n_publish <= 1);
}

void dht_check(const struct dht *d)
{
    dht_table_check(&d->table);
    dht_rpc_check(&d->rpc);
    dht_store_check(&d->store);
    dht_puts_check(d);
    check_searches(d);
    const struct dht_publish *p = &d->publish;
    assert(p->record_seq <= p->content.seq);
    assert((p->holders != NULL) == (p->state == DHT_PUBLISH_STORING));
    /* Whoever has somebody to ask and is not in has a search running or a try due. */
    bool is_out = d->join.state == DHT_JOIN_SEEK || d->join.state == DHT_JOIN_WAIT;
    assert(!is_out || dht_search_is_running(d, DHT_USE_SELF) || d->join.due_us != NEVER_US);
    assert(d->n_answers <= DHT_ANSWERS_MAX && d->join.next_boot <= d->join.n_boot);
}
