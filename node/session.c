/* SPDX-License-Identifier: Apache-2.0 */
#include "node/session_parts.h"

#define PEERS_MAX(sessions) ((sessions) + SESSION_UNCONFIRMED_MAX + SESSION_OPENING_MAX + HELD_MAX)

/* Life */

static enum ipx_err own_chain_set(struct session_plane *p, struct slice chain)
{
    if (chain.len > CERT_CHAIN_MAX) {
        return IPX_MALFORMED;
    }
    uint8_t *copy = chain.len > 0 ? mem_dup(p->mem, chain.data, chain.len) : NULL;
    if (chain.len > 0 && copy == NULL) {
        return IPX_NO_MEMORY;
    }
    mem_free(p->mem, p->chain);
    p->chain = copy;
    p->chain_len = chain.len;
    p->chain_hash = crypt_hash(chain);
    return IPX_OK;
}

static enum ipx_err tables_init(struct session_plane *p)
{
    uint8_t secret[16];
    rng_fill(&p->rng, secret, sizeof(secret));
    buckets_init(&p->strangers, secret);
    rng_fill(&p->rng, secret, sizeof(secret));
    enum ipx_err err = clocks_init(&p->clocks, p->mem, CLOCKS_MAX, secret);
    if (err == IPX_OK) {
        err = index_init(&p->by_id, p->mem, PEERS_MAX(p->sessions_max), sizeof(struct node_id),
                         offsetof(struct session_peer, id), secret);
    }
    if (err == IPX_OK) {
        /* a peer has at most four: its keys and a dial */
        err = index_init(&p->by_index, p->mem, 4 * PEERS_MAX(p->sessions_max), sizeof(uint32_t),
                         offsetof(struct session_slot, index), secret);
    }
    return err == IPX_OK ? timers_init(&p->timers, p->mem, INDEX_FIRST) : err;
}

static enum ipx_err plane_init(struct session_plane *p, const struct session_config *config)
{
    p->trace = config->trace != NULL ? *config->trace : (struct trace){0};
    p->chains = config->chains;
    p->early_types = config->early_types;
    p->sessions_max = config->sessions_max != 0 ? config->sessions_max : SESSION_MAX;
    rng_init(&p->rng, config->seed);
    struct handshake_self_options self = {.key = config->key,
                                          .mesh = &config->mesh,
                                          .gates = config->gates,
                                          .n_gates = config->n_gates};
    handshake_self_init(&p->self, &self);
    rng_fill(&p->rng, p->cookie_secrets, sizeof(p->cookie_secrets));
    p->next_ping = rng_u32(&p->rng) >> 1;
    enum ipx_err err = tables_init(p);
    if (err == IPX_OK) {
        err = own_chain_set(p, config->chain);
    }
    if (err == IPX_OK && config->ticket.len > 0) {
        p->ticket = mem_dup(p->mem, config->ticket.data, config->ticket.len);
        p->ticket_len = config->ticket.len;
        err = p->ticket != NULL ? IPX_OK : IPX_NO_MEMORY;
    }
    return err;
}

enum ipx_err session_plane_new(const struct session_config *config, uint64_t now_us,
                               int64_t wall_ms, struct session_plane **ret)
{
    assert(config->n_gates >= 1 && config->n_gates <= HANDSHAKE_GATES_MAX);
    if (config->ticket.len > HANDSHAKE_TICKET_MAX ||
        (config->chain.len > 0 && config->ticket.len > 0)) {
        return IPX_MALFORMED;
    }
    struct session_plane *p = mem_alloc(config->mem, sizeof(*p));
    if (p == NULL) {
        return IPX_NO_MEMORY;
    }
    p->mem = config->mem;
    p->now_us = p->clock_us = now_us;
    p->wall_ms = wall_ms;
    list_init(&p->up);
    list_init(&p->dirty);
    list_init(&p->out);
    enum ipx_err err = plane_init(p, config);
    if (err != IPX_OK) {
        session_plane_free(p);
        return err;
    }
    *ret = p;
    return IPX_OK;
}

static void out_free(struct session_plane *p)
{
    struct session_out *o;
    while ((o = LIST_FIRST(&p->out, struct session_out, list)) != NULL) {
        list_unlink(&o->list);
        mem_free(p->mem, o);
    }
    mem_free(p->mem, p->polled);
}

void session_plane_free(struct session_plane *p)
{
    if (p == NULL) {
        return;
    }
    for (uint32_t i = 0; p->by_id.items != NULL && i < p->by_id.n_places; i++) {
        struct session_peer *peer = index_at(&p->by_id, i);
        if (peer != NULL) {
            session_peer_free(p, peer);
        }
    }
    out_free(p);
    index_done(&p->by_id);
    index_done(&p->by_index);
    clocks_done(&p->clocks);
    timers_done(&p->timers);
    mem_free(p->mem, p->chain);
    mem_free(p->mem, p->ticket);
    handshake_self_done(&p->self);
    struct mem *mem = p->mem;
    crypt_wipe(p, sizeof(*p));
    mem_free(mem, p);
}

/* Inputs */

void session_on_clock(struct session_plane *p, uint64_t now_us, int64_t wall_ms)
{
    p->now_us = IPX_MAX(p->now_us, now_us);
    p->clock_us = p->now_us;
    p->wall_ms = wall_ms;
}

void session_recv(struct session_plane *p, uint64_t now_us, const struct addr *from,
                  struct slice packet)
{
    p->now_us = IPX_MAX(p->now_us, now_us);
    p->from = *from;
    p->stats.packets_in++;
    p->stats.bytes_in += packet.len;
    enum packet_type type = packet.len <= HANDSHAKE_DATAGRAM_MAX ? packet_type_of(packet) : 0;
    switch ((int)type) {
    case PACKET_INIT:
        session_on_init(p, from, packet);
        break;
    case PACKET_RESP:
        session_on_resp(p, from, packet);
        break;
    case PACKET_COOKIE:
        session_on_cookie(p, packet);
        break;
    case PACKET_DATA:
        session_on_data(p, from, packet);
        break;
    default:
        p->stats.dropped_form++;
        break;
    }
}

void session_tick(struct session_plane *p, uint64_t now_us)
{
    p->now_us = IPX_MAX(p->now_us, now_us);
    struct timer *timer;
    while ((timer = timers_pop(&p->timers, p->now_us)) != NULL) {
        session_peer_on_timer(p, CONTAINER_OF(timer, struct session_peer, timer));
    }
}

uint64_t session_deadline(const struct session_plane *p)
{
    bool has_output = !list_is_empty(&p->out) || !list_is_empty(&p->dirty);
    return has_output ? p->now_us : timers_deadline(&p->timers);
}

/* Commands */

static enum ipx_err wait_add(struct session_plane *p, struct session_peer *peer,
                             const struct session_message *m)
{
    if (peer->n_waiting >= SESSION_WAITING_MAX ||
        peer->waiting_bytes + m->body.len > SESSION_WAITING_BYTES_MAX) {
        return IPX_FULL;
    }
    struct session_waiting *w = mem_alloc(p->mem, sizeof(*w) + m->body.len);
    if (w == NULL) {
        return IPX_NO_MEMORY;
    }
    w->type = m->type;
    w->request_id = m->request_id;
    w->len = (uint16_t)m->body.len;
    if (m->body.len > 0) {
        memcpy(w->body, m->body.data, m->body.len);
    }
    list_push_back(&peer->waiting, &w->list);
    peer->n_waiting++;
    peer->waiting_bytes = (uint16_t)(peer->waiting_bytes + m->body.len);
    return IPX_OK;
}

/* No session yet: the message waits, and somebody dials. */
static enum ipx_err send_later(struct session_plane *p, struct session_peer *peer,
                               const struct session_message *m)
{
    if (m->to.family != ADDR_NONE) {
        peer->to = m->to;
    }
    if (peer->to.family == ADDR_NONE) {
        return IPX_NOT_FOUND;
    }
    enum ipx_err err = wait_add(p, peer, m);
    bool is_coming = peer->held != NULL ||
                     (peer->next != NULL && p->now_us - peer->next->key->made_us < DIAL_GRACE_US);
    if (err == IPX_OK && peer->dial == NULL && !is_coming) {
        err = session_dial_start(p, peer, &peer->to);
        if (err != IPX_OK) { /* it is the caller's again */
            struct session_waiting *w =
                CONTAINER_OF(peer->waiting.prev, struct session_waiting, list);
            list_unlink(&w->list);
            peer->n_waiting--;
            peer->waiting_bytes = (uint16_t)(peer->waiting_bytes - w->len);
            mem_free(p->mem, w);
        }
    }
    return err;
}

static enum ipx_err message_judge(const struct session_plane *p, const struct session_message *m)
{
    assert(m->type > 0 && m->type < 64);
    if (m->body.len > SESSION_BODY_MAX) {
        return IPX_LIMIT;
    }
    if (node_id_equal(&m->peer, &p->self.key.pk)) {
        return IPX_SELF;
    }
    bool is_joiner = p->chain_len == 0;
    bool is_for_joiners =
        m->type == SESSION_ADMIT || m->type == SESSION_GET_CHAIN || m->type == SESSION_PING;
    return is_joiner && !is_for_joiners ? IPX_DENIED : IPX_OK;
}

/* Request ids of both sides may meet: a request of ours is no answer to theirs. */
static bool is_early_answer(const struct session_plane *p, const struct session_peer *peer,
                            const struct session_message *m)
{
    uint64_t requests = p->early_types | SESSION_TYPE_BIT(SESSION_PING);
    return peer->held != NULL && peer->held->call.init.early.request_id == m->request_id &&
           (requests & SESSION_TYPE_BIT(m->type)) == 0;
}

enum ipx_err session_send(struct session_plane *p, uint64_t now_us, const struct session_message *m)
{
    p->now_us = IPX_MAX(p->now_us, now_us);
    enum ipx_err err = message_judge(p, m);
    if (err != IPX_OK) {
        return err;
    }
    struct session_peer *peer = session_peer_get(p, &m->peer);
    if (peer == NULL) {
        return IPX_NO_MEMORY;
    }
    struct handshake_message message = {
        .is_set = true, .type = m->type, .request_id = m->request_id, .body = m->body};
    if (is_early_answer(p, peer, m)) {
        session_held_finish(p, peer, &message);
    } else if (peer->cur == NULL) {
        err = send_later(p, peer, m);
    } else if (!session_type_fits(peer, m->type, false)) {
        err = IPX_DENIED;
    } else {
        err = session_append(p, peer, &message);
    }
    if (err != IPX_OK && peer->cur == NULL && peer->dial == NULL) {
        session_peer_settle(p, peer); /* made for this message alone, perhaps */
        return err;
    }
    session_peer_settle(p, peer);
    return err;
}

static struct session_ask *ask_get(struct session_plane *p, struct session_peer *peer)
{
    if (peer->asks == NULL) {
        peer->asks = mem_alloc_array(p->mem, PINGS_MAX, sizeof(*peer->asks));
        if (peer->asks == NULL) {
            return NULL;
        }
    }
    struct session_ask *oldest = &peer->asks[0];
    for (unsigned i = 0; i < PINGS_MAX; i++) {
        if (!peer->asks[i].is_set) {
            return &peer->asks[i];
        }
        oldest = peer->asks[i].sent_us < oldest->sent_us ? &peer->asks[i] : oldest;
    }
    return oldest;
}

enum ipx_err session_ping(struct session_plane *p, uint64_t now_us, const struct node_id *peer_id,
                          const struct addr *to, uint32_t *ret_request_id)
{
    uint8_t body[SESSION_WIRE_SMALL_MAX];
    struct writer w = writer_of(body, sizeof(body));
    session_ping_encode(&w);
    p->next_ping = p->next_ping == UINT32_MAX ? 1 : p->next_ping + 1; /* 0: not asked for */
    struct session_message m = {.peer = *peer_id,
                                .to = to != NULL ? *to : (struct addr){0},
                                .type = SESSION_PING,
                                .request_id = p->next_ping,
                                .body = writer_slice(&w)};
    enum ipx_err err = session_send(p, now_us, &m);
    if (err != IPX_OK) {
        return err;
    }
    struct session_peer *peer = session_peer_find(p, peer_id);
    assert(peer != NULL);
    struct session_ask *ask = ask_get(p, peer);
    if (ask == NULL) {
        return IPX_NO_MEMORY;
    }
    *ask = (struct session_ask){.request_id = m.request_id, .is_set = true, .sent_us = p->now_us};
    *ret_request_id = m.request_id;
    return IPX_OK;
}

static void close_say(struct session_plane *p, struct session_peer *peer, enum ipx_err why)
{
    uint8_t body[SESSION_WIRE_SMALL_MAX];
    struct writer w = writer_of(body, sizeof(body));
    session_close_encode(why > 0 ? why : IPX_CLOSED, &w);
    if (peer->plain != NULL) {
        session_flush(p, peer); /* what was said before */
    }
    struct handshake_message m = {.type = SESSION_CLOSE, .body = writer_slice(&w)};
    session_send_to(p, peer, &peer->addr, &m);
}

void session_forget(struct session_plane *p, uint64_t now_us, const struct node_id *id,
                    enum ipx_err why)
{
    p->now_us = IPX_MAX(p->now_us, now_us);
    struct session_peer *peer = session_peer_find(p, id);
    if (peer == NULL) {
        return;
    }
    session_next_free(p, peer);
    session_dial_free(p, peer);
    session_held_free(p, peer);
    if (peer->cur == NULL) {
        session_peer_free(p, peer);
        return;
    }
    close_say(p, peer, why);
    session_peer_down(p, peer, why);
}

static bool is_revoked(const struct session_plane *p, const struct session_who *who)
{
    return who->has_facts && chains_is_revoked(p->chains, &who->facts);
}

/* Its session, the one that it has not confirmed yet, or the one that waits for our answer. */
static bool has_revoked(const struct session_plane *p, const struct session_peer *peer)
{
    return is_revoked(p, &peer->who) || (peer->next != NULL && is_revoked(p, &peer->next->who)) ||
           (peer->held != NULL && is_revoked(p, &peer->held->who));
}

enum forget_what { FORGET_ALL, FORGET_SILENTLY, FORGET_REVOKED, FORGET_BY_TICKET };

/* Places do not move while peers are freed. */
static void forget_some(struct session_plane *p, enum forget_what what, enum ipx_err why)
{
    for (uint32_t i = 0; i < p->by_id.n_places; i++) {
        struct session_peer *peer = index_at(&p->by_id, i);
        if (peer == NULL) {
            continue;
        }
        if (what == FORGET_SILENTLY && peer->cur != NULL) {
            session_next_free(p, peer);
            session_dial_free(p, peer);
            session_held_free(p, peer);
            session_peer_down(p, peer, why);
        } else if ((what == FORGET_REVOKED && has_revoked(p, peer)) || what == FORGET_ALL ||
                   (what == FORGET_BY_TICKET && (peer->is_by_ticket || peer->cur == NULL))) {
            struct node_id id = peer->id;
            session_forget(p, p->now_us, &id, why);
        }
    }
}

void session_drop_all(struct session_plane *p, uint64_t now_us)
{
    p->now_us = IPX_MAX(p->now_us, now_us);
    forget_some(p, FORGET_SILENTLY, IPX_EXPIRED);
}

void session_drop_revoked(struct session_plane *p, uint64_t now_us)
{
    p->now_us = IPX_MAX(p->now_us, now_us);
    forget_some(p, FORGET_REVOKED, IPX_REVOKED);
    session_out_drop_revoked(p);
}

void session_close_all(struct session_plane *p, uint64_t now_us)
{
    p->now_us = IPX_MAX(p->now_us, now_us);
    forget_some(p, FORGET_ALL, IPX_CLOSED);
}

enum ipx_err session_set_chain(struct session_plane *p, uint64_t now_us, struct slice chain)
{
    p->now_us = IPX_MAX(p->now_us, now_us);
    if (chain.len == 0) {
        return IPX_MALFORMED;
    }
    bool was_joiner = p->chain_len == 0;
    enum ipx_err err = own_chain_set(p, chain);
    if (err != IPX_OK) {
        return err;
    }
    clocks_chain_changed(&p->clocks);
    mem_free(p->mem, p->ticket);
    p->ticket = NULL;
    p->ticket_len = 0;
    if (was_joiner) {
        forget_some(p, FORGET_BY_TICKET, IPX_CLOSED);
    }
    return IPX_OK;
}

void session_on_rtt(struct session_plane *p, const struct node_id *id, uint64_t rtt_us)
{
    struct session_peer *peer = session_peer_find(p, id);
    if (peer != NULL && peer->cur != NULL) {
        session_rtt_add(peer, rtt_us);
    }
}
