/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of others: what is owed is noted when they come and written when it is polled. */
#include "dht/core.h"

/* A record is kept only near its key: 2k nodes that we know are nearer, so it is not ours. */
static bool is_far(const struct dht *d, const struct dht_pos *key)
{
    return dht_table_n_nearer(&d->table, key, &d->self) >= 2 * DHT_K;
}

static enum dht_status store(struct dht *d, const struct dht_msg *msg, struct slice record,
                             uint64_t *ret_seq)
{
    if ((msg->facts->caps & CERT_CAP_JOIN) == 0) {
        return DHT_STATUS_BAD;
    }
    if (is_far(d, &msg->facts->pos)) {
        return DHT_STATUS_FAR;
    }
    struct dht_put put = {.now_us = d->now_us,
                          .wall_ms = (int64_t)(d->now_us / US_PER_MS) + d->wall_offset_ms,
                          .facts = msg->facts,
                          .bytes = record};
    return dht_store_put(&d->store, &put, ret_seq);
}

static void take_store(struct dht *d, const struct dht_msg *msg, const struct dht_wire_msg *m,
                       struct dht_answer *a)
{
    enum dht_status status = store(d, msg, m->record, &a->seq);
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
}

/* What we hold under the key, or our own record under our own position. */
static struct slice find_record(const struct dht *d, const struct dht_answer *a)
{
    const struct dht_publish *p = &d->publish;
    if (a->kind != DHT_KIND_NODE) {
        return SLICE_EMPTY;
    }
    if (memcmp(a->target.bytes, d->self.bytes, sizeof(d->self.bytes)) == 0) {
        return slice_of(p->record, p->record_seq > a->seq ? p->record_len : 0);
    }
    const struct dht_held *h = dht_store_get(&d->store, d->now_us, &a->target);
    return h != NULL && h->seq > a->seq ? slice_of(h->bytes, h->len) : SLICE_EMPTY;
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
        m.record = find_record(d, a);
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
