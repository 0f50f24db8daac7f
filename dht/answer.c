/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of others: what is owed is noted when they come and written when it is polled. */
#include "dht/core.h"

#include "base/plant.h"

/* A record is kept only near its key: 2k nodes that we know are nearer, so it is not ours. */
static bool is_far(const struct dht *d, const struct dht_pos *key)
{
    return dht_table_n_nearer(&d->table, key, &d->self) >= 2 * DHT_K;
}

static enum dht_status store(struct dht *d, const struct dht_msg *msg, const struct dht_wire_msg *m,
                             uint64_t *ret_seq)
{
    struct dht_item item;
    if ((msg->facts->caps & CERT_CAP_JOIN) == 0) {
        return DHT_STATUS_DENIED;
    }
    if (m->kind == DHT_KIND_NODE
            ? is_far(d, &msg->facts->pos)
            : dht_item_key(m->kind, m->record, &item) && is_far(d, &item.key)) {
        return DHT_STATUS_FAR; /* before the work of a signature */
    }
    struct dht_put put = {.now_us = d->now_us,
                          .wall_ms = (int64_t)(d->now_us / US_PER_MS) + d->wall_offset_ms,
                          .facts = msg->facts,
                          .from = msg->addr,
                          .kind = m->kind,
                          .has_cas = m->has_cas,
                          .cas = m->seq,
                          .bytes = m->record};
    return dht_store_put(&d->store, &put, ret_seq);
}

static void take_store(struct dht *d, const struct dht_msg *msg, const struct dht_wire_msg *m,
                       struct dht_answer *a)
{
    enum dht_status status = store(d, msg, m, &a->seq);
    a->status = (uint8_t)status;
    if (status == DHT_STATUS_OK) {
        d->stats.n_stored++;
        return;
    }
    d->stats.n_store_refused++;
    if (status == DHT_STATUS_BAD) {
        d->stats.n_bad_records++;
        dht_strike(d, &msg->facts->id);
    } else if (status == DHT_STATUS_CONFLICT) {
        dht_emit(d, "equivocation", &msg->facts->id, a->seq, 0);
    }
}

void dht_answer_request(struct dht *d, const struct dht_msg *msg, const struct dht_wire_msg *m)
{
    struct dht_answer a = {.to = msg->facts->id,
                           .addr = *msg->addr,
                           .target = m->target,
                           .seq = m->seq,
                           .req_id = msg->req_id,
                           .len_max = msg->answer_max,
                           .type = (uint8_t)(m->type + 1),
                           .want = m->want,
                           .kind = m->kind};
    if (d->n_answers == DHT_ANSWERS_MAX) {
        d->stats.n_dropped++;
        return;
    }
    if (a.len_max == 0 || a.len_max > DHT_BODY_MAX) {
        a.len_max = DHT_BODY_MAX;
    }
    if (m->type == DHT_STORE) {
        if (msg->is_early) { /* would have an effect before the sender is confirmed */
            d->stats.n_early_refused++;
            return;
        }
        take_store(d, msg, m, &a);
    }
    d->answers[d->n_answers++] = a;
}

/* The members nearest to the target that the asker can reach, itself left out. */
static void put_nearest(const struct dht *d, const struct dht_answer *a, struct dht_wire_msg *m)
{
    const struct dht_entry *near[2 * DHT_K];
    size_t n = dht_table_closest(&d->table, &a->target, DHT_CLOSEST_TELL, near, 2 * DHT_K);
    for (size_t i = 0; i < n && m->n_contacts < DHT_CONTACTS_MAX; i++) {
        if (!node_id_equal(&near[i]->id, &a->to) &&
            dht_guard_may_tell(&near[i]->addr, &a->addr, a->want)) {
            m->contacts[m->n_contacts++] = dht_entry_contact(near[i]);
        }
    }
    if (IPX_PLANT(CONTACT) && d->join.n_boot > 0 && m->n_contacts < DHT_CONTACTS_MAX) {
        m->contacts[m->n_contacts++] = d->join.boot[0];
    }
}

/* Providers of one content: some at random, as many as one answer carries. */
static void put_providers(struct dht *d, const struct dht_answer *a, struct dht_wire_msg *m)
{
    const struct dht_held *held[DHT_PROVIDERS_TOLD];
    size_t n = dht_store_get_all(&d->store, d->now_us, DHT_KIND_PROVIDER, &a->target, held,
                                 DHT_PROVIDERS_TOLD);
    rng_shuffle(&d->rng, held, n, sizeof(held[0]));
    for (size_t i = 0; i < IPX_MIN(n, DHT_RECORDS_MAX); i++) {
        struct slice bytes = slice_of(held[i]->bytes, held[i]->len);
        if (i == 0) {
            m->record = bytes;
        } else if ((i + 1) * (DHT_PROVIDER_MAX + 3) + 64 <= a->len_max) {
            m->more[m->n_more++] = bytes;
        }
    }
}

/* What we hold under the key, or our own record under our own position. What we are too far from
 * we do not serve: others keep it up to date. */
static void put_records(struct dht *d, const struct dht_answer *a, struct dht_wire_msg *m)
{
    const struct dht_publish *p = &d->publish;
    bool is_self = memcmp(a->target.bytes, d->self.bytes, sizeof(d->self.bytes)) == 0;
    if (a->kind == DHT_KIND_NODE && is_self) {
        m->record = slice_of(p->record, p->record_seq > a->seq ? p->record_len : 0);
        return;
    }
    if (is_far(d, &a->target)) {
        return;
    }
    if (a->kind == DHT_KIND_PROVIDER) {
        put_providers(d, a, m);
        return;
    }
    const struct dht_held *h = dht_store_get(&d->store, d->now_us, a->kind, &a->target);
    if (h != NULL && (h->seq > a->seq || h->kind == DHT_KIND_IMMUTABLE)) {
        m->record = slice_of(h->bytes, h->len);
    }
}

/* Writes the oldest answer. False: it does not fit, which happens beside a chain in a RESP. */
static bool write_answer(struct dht *d, const struct dht_answer *a, struct dht_action *ret)
{
    struct dht_wire_msg m = {.type = a->type, .status = a->status, .seq = a->seq};
    if (a->type == DHT_PONG) {
        m.observed = a->addr;
        m.seq = d->publish.record_seq;
    }
    if (a->type == DHT_VALUE) {
        put_records(d, a, &m);
    }
    if (a->type == DHT_NODES || a->type == DHT_VALUE) {
        put_nearest(d, a, &m);
    }
    struct writer w = writer_of(d->out, a->len_max);
    dht_wire_encode(&m, &w);
    *ret = (struct dht_action){.kind = DHT_ACTION_SEND,
                               .send = {.to = a->to,
                                        .addr = a->addr,
                                        .type = a->type,
                                        .req_id = a->req_id,
                                        .body = writer_slice(&w)}};
    return !w.failed;
}

bool dht_answer_poll(struct dht *d, struct dht_action *ret)
{
    while (d->n_answers > 0) {
        struct dht_answer a = d->answers[0];
        d->n_answers--;
        memmove(d->answers, d->answers + 1, d->n_answers * sizeof(d->answers[0]));
        if (write_answer(d, &a, ret)) {
            d->stats.n_sent++;
            return true;
        }
        d->stats.n_dropped++;
    }
    return false;
}
