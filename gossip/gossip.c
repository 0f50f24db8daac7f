/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/gossip.h"

#include "gossip/event.h"

/* Life, inputs and outputs; commands and queries are in face.c. */

static enum ipx_err init_self(struct gossip *g, const struct gossip_config *config)
{
    struct gossip_member *self;
    enum ipx_err err = gossip_members_insert(&g->members, config->self, &self);
    if (err != IPX_OK) {
        return err;
    }
    assert(self->slot == GOSSIP_SELF_SLOT && config->n_addrs <= GOSSIP_ADDRS_MAX);
    g->self = self;
    self->told = GOSSIP_STATE_ALIVE;
    self->boot = config->boot;
    self->n_addrs = (uint8_t)config->n_addrs;
    self->coat = config->coat;
    for (unsigned i = 0; i < config->n_addrs; i++) {
        self->addrs[i] = config->addrs[i];
    }
    err = gossip_bytes_set(g->mem, &self->chain, config->chain);
    if (err == IPX_OK) {
        gossip_verdict_announce(g, config->now_us);
        err = self->alive.len > 0 ? IPX_OK : IPX_NO_MEMORY;
    }
    return err;
}

enum ipx_err gossip_init(struct gossip *g, const struct gossip_config *config)
{
    struct rng root = *config->rng;
    uint32_t capacity = config->capacity == 0 ? GOSSIP_CAPACITY : config->capacity;
    assert(node_id_equal(&config->self->id, &config->key->pk));
    *g = (struct gossip){.mem = config->mem,
                         .trace = config->trace,
                         .key = config->key,
                         .mesh = config->mesh,
                         .now_us = config->now_us,
                         .suspect_next_us = NEVER_US};
    list_init(&g->news);
    rng_split(&root, "gossip", &g->rng);
    gossip_spread_init(&g->spread);
    gossip_docs_init(&g->docs, config->mem);
    gossip_sync_init(g);
    gossip_probe_init(g);
    enum ipx_err err = gossip_outbox_init(&g->out, config->mem);
    if (err == IPX_OK) {
        err = gossip_members_init(&g->members, config->mem, &g->rng, capacity);
    }
    if (err == IPX_OK) {
        err = init_self(g, config);
    }
    if (err != IPX_OK) {
        gossip_done(g);
    }
    return err;
}

void gossip_done(struct gossip *g)
{
    ad_unref(g->ad_next);
    gossip_pending_done(g);
    gossip_docs_done(&g->docs, &g->spread);
    if (g->members.mem != NULL) {
        gossip_members_done(&g->members, &g->spread);
    }
    gossip_sync_done(g);
    gossip_outbox_done(&g->out, g->mem);
    *g = (struct gossip){0};
}

/* --- inputs --- */

static void recv_doc(struct gossip *g, uint64_t now_us, const struct gossip_item *item,
                     const struct gossip_peer *from)
{
    struct gossip_doc *doc;
    if (gossip_docs_find(&g->docs, &item->key) != NULL) {
        return;
    }
    if (item->body.len == 0 ||
        !gossip_bucket_take(&g->docs.bucket, now_us, GOSSIP_DOC_BURST, GOSSIP_DOC_REFILL_US)) {
        g->stats.n_refused++;
        return;
    }
    if (gossip_docs_insert(&g->docs, &g->spread, item, now_us, &doc) == IPX_OK) {
        doc->from = from->id;
        doc->is_news = true;
        g->docs.n_news++;
    }
}

static void recv_item(struct gossip *g, uint64_t now_us, const struct gossip_item *item,
                      const struct gossip_peer *from)
{
    switch (item->kind) {
    case GOSSIP_KIND_ALIVE:
        gossip_verdict_alive(g, now_us, item, from);
        return;
    case GOSSIP_KIND_SUSPECT:
    case GOSSIP_KIND_DEAD:
    case GOSSIP_KIND_LEAVE:
        gossip_verdict_claim(g, now_us, item, from);
        return;
    case GOSSIP_KIND_AD:
    case GOSSIP_KIND_AD_NOTE:
        gossip_ads_hear(g, now_us, item, from);
        return;
    case GOSSIP_KIND_VITALS:
        gossip_vitals_item(g, now_us, item, from);
        return;
    case GOSSIP_KIND_CHAIN:
        gossip_pending_chain(g, now_us, item->body);
        return;
    case GOSSIP_KIND_DOC:
        recv_doc(g, now_us, item, from);
        return;
    }
}

static void recv_items(struct gossip *g, uint64_t now_us, struct slice items,
                       const struct gossip_peer *from)
{
    struct gossip_items it;
    struct gossip_item item;
    gossip_items_begin(&it, items);
    while (gossip_items_next(&it, &item)) {
        recv_item(g, now_us, &item, from);
    }
    gossip_pending_ask(g, now_us, from);
}

/* Who writes to us without being a member is asked who it is. */
static void recv_stranger(struct gossip *g, uint64_t now_us, const struct gossip_peer *from)
{
    uint8_t bytes[GOSSIP_PULL_ENTRY_LEN];
    if (gossip_pending_find(g, &from->id) != NULL ||
        (g->asked_us != 0 && now_us - g->asked_us < GOSSIP_ASK_US)) {
        return;
    }
    struct writer w = writer_of(bytes, sizeof(bytes));
    writer_u64(&w, gossip_prefix(&from->id));
    writer_u8(&w, GOSSIP_WANT_STATE | GOSSIP_WANT_CHAIN | GOSSIP_WANT_AD);
    struct gossip_msg m = {.entries = writer_slice(&w)};
    g->asked_us = now_us + 1; /* 0 means never */
    gossip_send(g, from, GOSSIP_TYPE_PULL, 0, &m);
}

static void recv_known(struct gossip *g, uint64_t now_us, struct gossip_member *m,
                       const struct addr *addr, const struct gossip_msg *msg)
{
    m->heard_us = now_us;
    m->addr = *addr;
    if (msg->has_vitals) {
        gossip_vitals_hear(g, now_us, m, &msg->vitals);
    }
    if (m->state == GOSSIP_STATE_SUSPECT || m->state == GOSSIP_STATE_DEAD) {
        gossip_verdict_tell(g, now_us, m);
    }
}

static void recv_dispatch(struct gossip *g, uint64_t now_us, const struct gossip_peer *from,
                          enum gossip_type type, uint32_t req_id, const struct gossip_msg *msg)
{
    switch (type) {
    case GOSSIP_TYPE_PING:
        gossip_probe_recv_ping(g, now_us, from, req_id, msg);
        return;
    case GOSSIP_TYPE_ACK:
        gossip_probe_recv_ack(g, now_us, from, req_id);
        return;
    case GOSSIP_TYPE_PING_REQ:
        gossip_probe_recv_ping_req(g, now_us, from, req_id, msg);
        return;
    case GOSSIP_TYPE_NACK:
        gossip_probe_recv_nack(g, from, req_id);
        return;
    case GOSSIP_TYPE_SPREAD:
        return; /* its items were all */
    case GOSSIP_TYPE_DIGEST:
        gossip_sync_recv_digest(g, now_us, from, req_id, msg);
        return;
    case GOSSIP_TYPE_DIFF:
        gossip_sync_recv_diff(g, now_us, from, req_id, msg);
        return;
    case GOSSIP_TYPE_PULL:
        gossip_sync_recv_pull(g, from, msg);
        return;
    }
}

void gossip_recv(struct gossip *g, uint64_t now_us, const struct cert_facts *from,
                 const struct addr *addr, uint8_t type, uint32_t req_id, struct slice body)
{
    struct gossip_msg msg;
    struct gossip_peer peer = {.id = from->id, .addr = *addr};
    g->now_us = g->heard_us = now_us;
    g->stats.n_recv++;
    if (node_id_equal(&from->id, &g->key->pk)) {
        g->stats.n_refused++;
        return;
    }
    if (type < GOSSIP_TYPE_PING || type > GOSSIP_TYPE_PULL || body.len > GOSSIP_BODY_MAX ||
        gossip_msg_decode((enum gossip_type)type, body, &msg) != IPX_OK) {
        g->stats.n_malformed++;
        return;
    }
    struct gossip_member *m = gossip_members_find(&g->members, &from->id);
    if (m != NULL && gossip_member_is_barred(m, &from->chain_hash)) {
        g->stats.n_refused++;
        return;
    }
    if (m != NULL) {
        recv_known(g, now_us, m, addr, &msg);
    }
    recv_items(g, now_us, msg.items, &peer);
    if (m == NULL) {
        recv_stranger(g, now_us, &peer);
    }
    recv_dispatch(g, now_us, &peer, (enum gossip_type)type, req_id, &msg);
}

/* Tombstones, certificates, documents: a walk now and then. */
static void keep_house(struct gossip *g, uint64_t now_us)
{
    if (now_us < g->keep_us) {
        return;
    }
    g->keep_us = now_us + GOSSIP_KEEP_US;
    gossip_docs_tick(&g->docs, &g->spread, now_us);
    int64_t wall_ms =
        g->wall_ms == 0 ? 0 : g->wall_ms + (int64_t)((now_us - g->wall_at_us) / US_PER_MS);
    for (uint32_t slot = 1; slot < g->members.capacity; slot++) {
        struct gossip_member *m = g->members.slots[slot];
        if (m == NULL) {
            continue;
        }
        enum ipx_err time =
            wall_ms == 0 ? IPX_AGAIN
                         : cert_time_check(m->facts.not_before_ms, m->facts.not_after_ms, wall_ms);
        if (gossip_member_is_live(m)) {
            if (time == IPX_EXPIRED) {
                gossip_verdict_end(g, now_us, m, GOSSIP_REASON_EXPIRED);
            }
            continue;
        }
        /* expired by a clock that was wrong: whoever has it tells it anew */
        bool was_never_over = m->reason == GOSSIP_REASON_EXPIRED && time == IPX_OK;
        if ((was_never_over || now_us - m->changed_us > GOSSIP_TOMBSTONE_US) && m->news == 0) {
            gossip_forget(g, m);
        }
    }
}

void gossip_tick(struct gossip *g, uint64_t now_us)
{
    bool is_slow = g->prober.next_us <= now_us; /* slow timers ride on the probe's */
    g->now_us = now_us;
    g->stats.n_ticks++;
    gossip_probe_tick(g, now_us);
    gossip_verdict_tick(g, now_us);
    gossip_pending_tick(g, now_us);
    gossip_ads_tick(g, now_us);
    if (is_slow || gossip_vitals_deadline(g) <= now_us) {
        gossip_vitals_tick(g, now_us);
    }
    if (is_slow) {
        keep_house(g, now_us);
    }
    gossip_sync_tick(g, now_us, is_slow);
    gossip_spread_tick(g, now_us);
}

uint64_t gossip_deadline(const struct gossip *g)
{
    uint64_t due_us = gossip_probe_deadline(g);
    due_us = IPX_MIN(due_us, gossip_verdict_deadline(g));
    due_us = IPX_MIN(due_us, gossip_pending_deadline(g));
    due_us = IPX_MIN(due_us, gossip_ads_deadline(g));
    due_us = IPX_MIN(due_us, gossip_vitals_deadline(g));
    due_us = IPX_MIN(due_us, gossip_sync_deadline(g));
    return IPX_MIN(due_us, gossip_spread_deadline(g));
}

/* --- outputs --- */

/* A member's state against what was told last. */
static bool poll_state(struct gossip_member *m, struct gossip_action *ret)
{
    bool is_told_up = m->told == GOSSIP_STATE_ALIVE || m->told == GOSSIP_STATE_SUSPECT;
    if (gossip_member_is_live(m) &&
        (!is_told_up || (m->told == GOSSIP_STATE_SUSPECT && m->state == GOSSIP_STATE_ALIVE) ||
         (m->news & GOSSIP_NEWS_BOOT) != 0)) {
        m->told = GOSSIP_STATE_ALIVE;
        m->news &= (uint16_t)~GOSSIP_NEWS_BOOT;
        ret->type = GOSSIP_ACTION_MEMBER_UP;
        return true;
    }
    m->news &= (uint16_t)~GOSSIP_NEWS_BOOT;
    if (m->state == GOSSIP_STATE_SUSPECT && m->told == GOSSIP_STATE_ALIVE) {
        m->told = GOSSIP_STATE_SUSPECT;
        ret->type = GOSSIP_ACTION_MEMBER_SUSPECT;
        return true;
    }
    if (!gossip_member_is_live(m) && is_told_up) {
        m->told = m->state;
        ret->type = GOSSIP_ACTION_MEMBER_DOWN;
        return true;
    }
    return false;
}

static bool poll_fetch(struct gossip *g, struct gossip_member *m, struct gossip_action *ret)
{
    const struct gossip_member *from =
        m->fetch_from == GOSSIP_NO_SLOT ? NULL : g->members.slots[m->fetch_from];
    m->news &= (uint16_t)~GOSSIP_NEWS_FETCH;
    if (from == NULL) {
        return false;
    }
    ret->type = GOSSIP_ACTION_FETCH_AD;
    ret->u.fetch.from = gossip_peer_of(from);
    ret->u.fetch.id = m->facts.id;
    ret->u.fetch.boot = m->fetch.boot;
    ret->u.fetch.version = m->fetch.version;
    ret->u.fetch.hash = m->fetch.hash;
    return true;
}

/* One thing to tell about this member; clears its bit. */
static bool poll_member(struct gossip *g, struct gossip_member *m, struct gossip_action *ret)
{
    ret->u.member = m;
    if (poll_state(m, ret)) {
        return true;
    }
    m->news &= (uint16_t)~GOSSIP_NEWS_STATE;
    if (!gossip_member_is_live(m)) {
        m->news = 0;
        return false;
    }
    if ((m->news & GOSSIP_NEWS_AD) != 0) {
        m->news &= (uint16_t)~GOSSIP_NEWS_AD;
        ret->type = GOSSIP_ACTION_AD_CHANGED;
        return true;
    }
    if ((m->news & GOSSIP_NEWS_VITALS) != 0) {
        m->news &= (uint16_t)~GOSSIP_NEWS_VITALS;
        ret->type = GOSSIP_ACTION_VITALS_CHANGED;
        return true;
    }
    return (m->news & GOSSIP_NEWS_FETCH) != 0 && poll_fetch(g, m, ret);
}

static bool poll_news(struct gossip *g, struct gossip_action *ret)
{
    while (!list_is_empty(&g->news)) {
        struct gossip_member *m = LIST_FIRST(&g->news, struct gossip_member, news_link);
        bool has_action = poll_member(g, m, ret);
        if (m->news == 0) {
            list_unlink(&m->news_link);
        }
        if (has_action) {
            return true;
        }
    }
    return false;
}

static bool poll_chain(struct gossip *g, struct gossip_action *ret)
{
    if (g->pending.n_news == 0) {
        return false;
    }
    struct gossip_pending_alive *p = g->pending.first;
    while (!p->is_news) {
        p = p->next;
    }
    p->is_news = false;
    g->pending.n_news--;
    ret->type = GOSSIP_ACTION_NEED_CHAIN;
    ret->u.chain.id = p->alive.pk;
    ret->u.chain.chain = gossip_bytes_slice(&p->chain);
    ret->u.chain.from = p->from;
    return true;
}

static bool poll_doc(struct gossip *g, struct gossip_action *ret)
{
    for (uint32_t i = 0; g->docs.n_news > 0 && i < g->docs.n; i++) {
        struct gossip_doc *doc = g->docs.slots[i];
        if (!doc->is_news) {
            continue;
        }
        struct cbor_reader r = cbor_reader_of(gossip_bytes_slice(&doc->item));
        struct gossip_item item;
        gossip_item_read(&r, &item);
        assert(!r.failed);
        doc->is_news = false;
        g->docs.n_news--;
        ret->type = GOSSIP_ACTION_DOC;
        ret->u.doc.kind = (enum gossip_doc_kind)doc->kind;
        ret->u.doc.key = doc->key;
        ret->u.doc.bytes = item.body;
        ret->u.doc.from = doc->from;
        return true;
    }
    return false;
}

static bool poll_send(struct gossip *g, struct gossip_action *ret)
{
    ret->type = GOSSIP_ACTION_SEND;
    ret->u.send.type = GOSSIP_TYPE_SPREAD;
    ret->u.send.req_id = 0;
    if (gossip_sync_poll(g, &ret->u.send.to, &ret->u.send.type, &ret->u.send.req_id,
                         &ret->u.send.body) ||
        gossip_outbox_take(&g->out, &ret->u.send.to, &ret->u.send.type, &ret->u.send.req_id,
                           &ret->u.send.body) ||
        gossip_spread_poll(g, &ret->u.send.to, &ret->u.send.body)) {
        g->stats.n_sent++;
        g->stats.bytes_sent += ret->u.send.body.len;
        return true;
    }
    return false;
}

bool gossip_poll(struct gossip *g, struct gossip_action *ret)
{
    if (g->is_clone_news) {
        g->is_clone_news = false;
        ret->type = GOSSIP_ACTION_CLONE;
        ret->u.clone = g->clone;
        return true;
    }
    return poll_chain(g, ret) || poll_news(g, ret) || poll_doc(g, ret) || poll_send(g, ret);
}
