/* SPDX-License-Identifier: Apache-2.0 */
#include "dht/dht.h"

#include "dht/core.h"

static_assert(sizeof(struct dht) <= 10 * 1024, "with a table of 37 KiB a node stays below 48 KiB");

enum ipx_err dht_init(struct dht *d, uint64_t now_us, const struct dht_config *config)
{
    *d = (struct dht){.config = *config, .now_us = now_us};
    d->config.want = config->want != 0 ? config->want : DHT_WANT_V4 | DHT_WANT_V6;
    d->self = dht_pos_of(&config->mesh, config->nonce, &config->key->pk);
    rng_init(&d->rng, config->seed);
    dht_guard_init(&d->guard);
    dht_rpc_init(&d->rpc);
    struct dht_store_config sc = {.mem = config->mem,
                                  .mesh = config->mesh,
                                  .self = d->self,
                                  .n_max = config->store_records_max};
    memcpy(sc.lab, config->lab, sizeof(sc.lab));
    rng_fill(&d->rng, sc.secret, sizeof(sc.secret));
    dht_store_init(&d->store, &sc);
    dht_join_init(d);
    dht_publish_init(d, config->record_seq);
    dht_puts_init(d);
    struct dht_table_config tc = {.mesh = config->mesh,
                                  .self = d->self,
                                  .mem = config->mem,
                                  .capacity = config->table_capacity};
    memcpy(tc.lab, config->lab, sizeof(tc.lab));
    rng_fill(&d->rng, tc.secret, sizeof(tc.secret));
    return dht_table_init(&d->table, &tc);
}

void dht_done(struct dht *d)
{
    if (d->config.mem == NULL) {
        return;
    }
    dht_publish_done(d);
    dht_puts_done(d);
    for (size_t i = 0; i < DHT_SEARCHES_MAX; i++) {
        dht_search_free(d, d->searches[i]);
    }
    dht_join_done(d);
    dht_store_done(&d->store);
    dht_table_done(&d->table);
    d->config.mem = NULL;
}

void dht_enter(struct dht *d, uint64_t now_us)
{
    assert(now_us >= d->now_us);
    d->now_us = now_us;
    dht_search_free(d, d->told);
    d->told = NULL;
    dht_table_age(&d->table, now_us);
}

void dht_emit(const struct dht *d, const char *event, const struct node_id *peer, uint64_t a,
              uint64_t b)
{
    trace_emit(d->config.trace, d->now_us, TRACE_DHT, event, peer, a, b);
}

void dht_strike(struct dht *d, const struct node_id *id)
{
    if (dht_guard_strike(&d->guard, d->now_us, id)) {
        d->stats.n_muted++;
        dht_emit(d, "muted", id, DHT_STRIKES_MUTE_US, 0);
    }
}

void dht_send_request(struct dht *d, const struct dht_wire_msg *m, const struct dht_call *call,
                      const struct addr *addr, struct dht_action *ret)
{
    struct writer w = writer_of(d->out, sizeof(d->out));
    uint32_t req_id = dht_rpc_start(&d->rpc, &d->rng, d->now_us, call);
    dht_wire_encode(m, &w);
    assert(!w.failed);
    d->stats.n_sent++;
    *ret = (struct dht_action){.kind = DHT_ACTION_SEND,
                               .send = {.to = call->to,
                                        .addr = *addr,
                                        .type = m->type,
                                        .req_id = req_id,
                                        .body = writer_slice(&w)}};
}

void dht_on_peer(struct dht *d, const struct cert_facts *facts, const struct addr *addr)
{
    if (addr_scope(addr) != ADDR_SCOPE_NONE &&
        dht_table_on_verified(&d->table, d->now_us, facts, addr) == IPX_OK) {
        dht_join_on_member(d);
    }
}

void dht_on_silence(struct dht *d, const struct node_id *id)
{
    const struct dht_entry *e = dht_table_find(&d->table, id);
    if (e == NULL) {
        return;
    }
    struct dht_contact c = dht_entry_contact(e);
    if (dht_table_on_fail(&d->table, d->now_us, id)) {
        d->stats.n_removed++;
        dht_emit(d, "removed", id, 0, 0);
        dht_join_on_lost(d, &c);
    }
}

void dht_on_session(struct dht *d, uint64_t now_us, const struct cert_facts *facts,
                    const struct addr *addr)
{
    dht_enter(d, now_us);
    dht_on_peer(d, facts, addr);
}

static void recv_request(struct dht *d, const struct dht_msg *msg)
{
    struct dht_wire_msg m;
    if (dht_wire_decode(msg->type, msg->body, &m) != IPX_OK) {
        d->stats.n_malformed++;
        return;
    }
    if (!msg->is_early && (m.flags & DHT_FLAG_CLIENT) != 0) {
        if (dht_table_remove(&d->table, d->now_us, &msg->facts->id)) {
            dht_join_on_lost(d, NULL);
        }
    } else if (!msg->is_early) {
        dht_on_peer(d, msg->facts, msg->addr);
    }
    dht_answer_request(d, msg, &m);
}

static void on_stored(struct dht *d, const struct dht_call *call, uint8_t status, uint64_t seq)
{
    if (call->handle == 0) {
        dht_publish_on_stored(d, status, seq);
    } else {
        dht_put_on_stored(d, call->handle, status, seq);
    }
}

static void recv_reply(struct dht *d, const struct dht_msg *msg)
{
    struct dht_call call;
    struct dht_wire_msg m;
    if (dht_rpc_take(&d->rpc, &msg->facts->id, msg->type, msg->req_id, &call) != IPX_OK) {
        d->stats.n_unasked++;
        return;
    }
    dht_on_peer(d, msg->facts, msg->addr);
    dht_table_on_rtt(&d->table, &call.to, d->now_us - call.sent_us);
    dht_rpc_on_rtt(&d->rpc, d->now_us - call.sent_us);
    bool is_good = dht_wire_decode(msg->type, msg->body, &m) == IPX_OK;
    d->stats.n_malformed += !is_good;
    if (call.type == DHT_STORE) {
        on_stored(d, &call, is_good ? m.status : DHT_STATUS_MAX, is_good ? m.seq : 0);
    } else if (call.handle != 0) {
        dht_search_on_reply(d, &call, msg->facts, msg->addr, is_good ? &m : NULL);
    }
}

void dht_recv(struct dht *d, uint64_t now_us, const struct dht_msg *msg)
{
    dht_enter(d, now_us);
    d->stats.n_received++;
    if (dht_type_is_request(msg->type)) {
        recv_request(d, msg);
    } else if (dht_type_is_reply(msg->type) && !msg->is_early) {
        recv_reply(d, msg);
    } else {
        d->stats.n_malformed++;
    }
}

static void give_up_call(struct dht *d, const struct dht_call *call)
{
    if (call->type == DHT_STORE) {
        on_stored(d, call, DHT_STATUS_MAX, 0);
    } else if (call->handle != 0) {
        dht_search_on_fail(d, call);
    }
}

void dht_on_unreachable(struct dht *d, uint64_t now_us, const struct node_id *id)
{
    struct dht_call call;
    bool was_asked = false;
    dht_enter(d, now_us);
    while (dht_rpc_drop_peer(&d->rpc, id, &call)) {
        give_up_call(d, &call);
        was_asked = true;
    }
    if (was_asked) { /* one failure, however many requests it left open */
        dht_on_silence(d, id);
    }
}

void dht_on_heard(struct dht *d, uint64_t now_us, const struct node_id *id)
{
    dht_enter(d, now_us);
    (void)dht_table_on_heard(&d->table, now_us, id);
}

void dht_on_peer_gone(struct dht *d, uint64_t now_us, const struct node_id *id, enum dht_gone why)
{
    dht_enter(d, now_us);
    if (why == DHT_GONE_REVOKED) {
        dht_store_remove_publisher(&d->store, id);
    }
    const struct dht_entry *e = dht_table_find(&d->table, id);
    if (e == NULL) {
        return;
    }
    struct dht_contact c = dht_entry_contact(e);
    (void)dht_table_remove(&d->table, now_us, id);
    d->stats.n_removed++;
    dht_emit(d, "removed", id, 1, (uint64_t)why);
    /* Dead perhaps only to us: it is asked again when nobody else is left. */
    dht_join_on_lost(d, why == DHT_GONE_DEAD ? &c : NULL);
}

void dht_on_clock(struct dht *d, uint64_t now_us, int64_t wall_ms)
{
    dht_enter(d, now_us);
    d->wall_offset_ms = wall_ms - (int64_t)(now_us / US_PER_MS);
}

enum ipx_err dht_bootstrap(struct dht *d, uint64_t now_us, const struct dht_contact *contacts,
                           size_t n)
{
    dht_enter(d, now_us);
    return dht_join_add_contacts(d, contacts, n);
}

void dht_join(struct dht *d, uint64_t now_us)
{
    dht_enter(d, now_us);
    dht_join_start(d);
}

static enum ipx_err search(struct dht *d, uint64_t now_us, const struct dht_search_spec *spec,
                           uint32_t *ret_handle)
{
    struct dht_search *s = NULL;
    dht_enter(d, now_us);
    if (dht_table_n_members(&d->table) == 0) {
        return IPX_UNREACHABLE;
    }
    enum ipx_err err = dht_search_start(d, spec, &s);
    if (err == IPX_OK) {
        *ret_handle = s->handle;
    }
    return err;
}

enum ipx_err dht_find(struct dht *d, uint64_t now_us, const struct dht_pos *target,
                      enum lookup_mode mode, uint32_t *ret_handle)
{
    struct dht_search_spec spec = {.use = DHT_USE_CALLER,
                                   .mode = mode,
                                   .target = *target,
                                   .kind = mode == LOOKUP_VALUE ? DHT_KIND_NODE : 0};
    return search(d, now_us, &spec, ret_handle);
}

enum ipx_err dht_get(struct dht *d, uint64_t now_us, const struct dht_get_spec *get,
                     uint32_t *ret_handle)
{
    bool is_any = get->kind == DHT_KIND_PROVIDER; /* from all holders: each has a part */
    assert(get->kind > 0 && get->kind < DHT_KIND_END && get->n_wanted <= DHT_PROVIDERS_MAX);
    struct dht_search_spec spec = {.use = DHT_USE_CALLER,
                                   .mode = is_any ? LOOKUP_CLOSEST : LOOKUP_VALUE,
                                   .target = get->key,
                                   .kind = get->kind,
                                   .n_wanted =
                                       get->n_wanted > 0 ? get->n_wanted : DHT_PROVIDERS_MAX};
    return search(d, now_us, &spec, ret_handle);
}

void dht_find_cancel(struct dht *d, uint64_t now_us, uint32_t handle)
{
    dht_enter(d, now_us);
    struct dht_search *s = dht_search_find(d, handle);
    if (s != NULL && s->use == DHT_USE_CALLER) {
        dht_search_free(d, s);
    }
}

void dht_publish_self(struct dht *d, uint64_t now_us, const struct dht_record *content)
{
    dht_enter(d, now_us);
    dht_publish_set(d, content);
}

void dht_on_seq_stored(struct dht *d, uint64_t now_us, uint64_t seq)
{
    dht_enter(d, now_us);
    dht_publish_on_seq_stored(d, seq);
}

void dht_tick(struct dht *d, uint64_t now_us)
{
    struct dht_call call;
    dht_enter(d, now_us);
    while (dht_rpc_expire(&d->rpc, now_us, &call)) {
        dht_on_silence(d, &call.to);
        give_up_call(d, &call);
    }
    dht_search_tick(d);
    dht_join_tick(d);
    dht_publish_tick(d);
    dht_puts_tick(d);
}
