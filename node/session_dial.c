/* SPDX-License-Identifier: Apache-2.0 */
#include "node/handshake_judge.h"
#include "node/session_parts.h"

/* The first waiting message that may ride in the INIT. */
static struct session_waiting *early_find(const struct session_plane *p,
                                          const struct session_peer *peer)
{
    struct session_waiting *w;
    struct list *tmp;
    uint64_t allowed = p->early_types | SESSION_TYPE_BIT(SESSION_PING);
    if (p->chain_len == 0) {
        return NULL; /* a ticket asks for nothing before it is looked at */
    }
    LIST_EACH(w, tmp, &peer->waiting, struct session_waiting, list)
    {
        if (w->type < 64 && (allowed & SESSION_TYPE_BIT(w->type)) != 0 &&
            w->len <= HANDSHAKE_EARLY_MAX) {
            return w;
        }
    }
    return NULL;
}

static void init_fill(struct session_plane *p, struct session_open *dial,
                      const struct session_waiting *early, struct handshake_init *ret)
{
    *ret = (struct handshake_init){
        .pk = p->self.key.pk,
        .t_ms = clocks_next(&p->clocks, session_wall_ms(p), &dial->hs.peer),
        .version_min = HANDSHAKE_VERSION_MIN,
        .version_max = HANDSHAKE_VERSION_MAX,
        .suites = UINT32_C(1) << CRYPT_SUITE_CHACHA20,
        .cookie = dial->has_cookie ? dial->cookie : NULL,
    };
    if (p->chain_len == 0) {
        ret->ticket = slice_of(p->ticket, p->ticket_len);
    } else if (dial->shows_chain) {
        ret->chain = slice_of(p->chain, p->chain_len);
    } else {
        ret->has_hash = true;
        ret->chain_hash = p->chain_hash;
    }
    if (early != NULL) {
        ret->early = (struct handshake_message){.is_set = true,
                                                .type = early->type,
                                                .request_id = early->request_id,
                                                .body = slice_of(early->body, early->len)};
    }
    ret->is_padded = p->chain_len == 0 || dial->shows_chain || early != NULL;
}

/* Writes and queues one INIT with a new ephemeral key and a new t. */
static enum ipx_err dial_send(struct session_plane *p, struct session_peer *peer)
{
    struct session_open *dial = peer->dial;
    struct session_waiting *early = early_find(p, peer);
    uint8_t packet[HANDSHAKE_DATAGRAM_MAX];
    struct handshake_random random = {.index = dial->slot.index};
    struct handshake_init init;
    struct writer w = writer_of(packet, sizeof(packet));
    rng_fill(&p->rng, random.e_sk, sizeof(random.e_sk));
    init_fill(p, dial, early, &init);
    enum ipx_err err = handshake_init_write(&p->self, &dial->hs, &init, &random, &w);
    if (err == IPX_LIMIT && early != NULL) { /* no room beside the chain: it waits */
        early = NULL;
        init.early.is_set = false;
        w = writer_of(packet, sizeof(packet));
        err = handshake_init_write(&p->self, &dial->hs, &init, &random, &w);
    }
    crypt_wipe(&random, sizeof(random));
    if (err != IPX_OK) {
        return err;
    }
    if (early != NULL) {
        session_ask_sent(peer, &init.early, p->now_us);
    }
    dial->has_early = early != NULL;
    dial->early_id = early != NULL ? early->request_id : 0;
    dial->early_type = early != NULL ? early->type : 0;
    dial->tries++;
    dial->sent_us = p->now_us;
    dial->retry_us = p->now_us + dial->wait_us;
    dial->wait_us += dial->wait_us / 2;
    p->stats.inits_out++;
    (void)session_out_packet(p, &dial->to, writer_slice(&w));
    return IPX_OK;
}

/* Whether our chain's hash will do: the peer has seen the chain, and we hold its own. */
static bool is_known_to_each_other(struct session_plane *p, const struct node_id *id)
{
    const struct clock_entry *e = clocks_find(&p->clocks, id);
    return e != NULL && e->has_our_chain && chains_find_id(p->chains, id) != NULL;
}

enum ipx_err session_dial_start(struct session_plane *p, struct session_peer *peer,
                                const struct addr *to)
{
    assert(peer->dial == NULL);
    if (p->n_dials >= SESSION_OPENING_MAX || (p->chain_len == 0 && p->ticket_len == 0)) {
        return IPX_FULL;
    }
    struct session_open *dial = mem_alloc(p->mem, sizeof(*dial));
    if (dial == NULL) {
        return IPX_NO_MEMORY;
    }
    dial->slot =
        (struct session_slot){.index = session_index_draw(p), .is_dial = true, .peer = peer};
    dial->to = *to;
    dial->started_us = p->now_us;
    dial->wait_us = DIAL_FIRST_US;
    dial->shows_chain = !is_known_to_each_other(p, &peer->id);
    handshake_dial_init(&dial->hs, HANDSHAKE_DATAGRAM, &peer->id);
    enum ipx_err err = index_add(&p->by_index, dial);
    if (err != IPX_OK) {
        mem_free(p->mem, dial);
        return err;
    }
    peer->dial = dial;
    peer->last_dial_us = p->now_us;
    peer->to = *to;
    p->n_dials++;
    err = dial_send(p, peer);
    if (err != IPX_OK) {
        session_dial_free(p, peer);
    }
    return err;
}

void session_dial_fail(struct session_plane *p, struct session_peer *peer, enum ipx_err why)
{
    struct session_action a = {
        .type = SESSION_ACTION_FAILED, .peer = peer->id, .addr = peer->dial->to, .err = why};
    session_dial_free(p, peer);
    trace_emit(&p->trace, p->now_us, TRACE_SESSION, "failed", &peer->id, (uint64_t)why, 0);
    if (peer->cur != NULL) {
        /* an old key serves on unless the peer is silent or says that it wants us no more */
        bool is_gone = why != IPX_TIMEOUT || peer->pinged_us != 0;
        if (is_gone && why != IPX_BUSY) {
            session_peer_down(p, peer, why);
        } else {
            session_peer_settle(p, peer);
        }
        return;
    }
    (void)session_out_action(p, &a, NULL, SLICE_EMPTY);
    session_waiting_drop(p, peer);
    if (peer->next == NULL && peer->held == NULL) {
        session_peer_free(p, peer);
    } else {
        session_peer_settle(p, peer);
    }
}

static void dial_again(struct session_plane *p, struct session_peer *peer, enum ipx_err why)
{
    if (peer->dial->tries >= SESSION_INIT_TRIES) {
        session_dial_fail(p, peer, why);
        return;
    }
    enum ipx_err err = dial_send(p, peer);
    if (err != IPX_OK) {
        session_dial_fail(p, peer, err > 0 ? err : IPX_BUSY);
        return;
    }
    session_peer_settle(p, peer);
}

void session_dial_on_timer(struct session_plane *p, struct session_peer *peer)
{
    dial_again(p, peer, peer->dial->is_busy ? IPX_BUSY : IPX_TIMEOUT);
}

/* A RESP that makes no session. */
static void resp_refused(struct session_plane *p, struct session_peer *peer, enum ipx_err err)
{
    struct session_open *dial = peer->dial;
    switch ((int)err) {
    case IPX_NEED_CHAIN:
        if (!dial->shows_chain && p->chain_len > 0) {
            dial->shows_chain = true;
            dial_again(p, peer, err);
            return;
        }
        break;
    case IPX_CLOCK:
        if (!dial->was_clock) {
            dial->was_clock = true;
            dial_again(p, peer, err);
            return;
        }
        break;
    case IPX_BUSY:
    case IPX_NO_MEMORY:
        dial->is_busy = true; /* the next INIT goes at its time */
        return;
    default:
        break;
    }
    session_dial_fail(p, peer, err);
}

/* The early request that was answered no longer waits. */
static void early_done(struct session_plane *p, struct session_peer *peer, uint32_t request_id)
{
    struct session_waiting *w;
    struct list *tmp;
    LIST_EACH(w, tmp, &peer->waiting, struct session_waiting, list)
    {
        if (w->request_id == request_id && w->type == peer->dial->early_type) {
            list_unlink(&w->list);
            peer->n_waiting--;
            peer->waiting_bytes = (uint16_t)(peer->waiting_bytes - w->len);
            mem_free(p->mem, w);
            return;
        }
    }
}

static void answer_deliver(struct session_plane *p, struct session_peer *peer,
                           const struct handshake_message *m)
{
    if (m->type == SESSION_PONG) {
        session_on_pong(p, peer, m);
        return;
    }
    struct session_action a = {.type = SESSION_ACTION_MESSAGE,
                               .peer = peer->id,
                               .addr = peer->addr,
                               .message_type = m->type,
                               .request_id = m->request_id};
    p->stats.messages_in++;
    (void)session_out_action(p, &a, &peer->who, m->body);
}

static struct session_key *key_of_reply(struct session_plane *p, struct session_peer *peer,
                                        const struct handshake_reply *reply)
{
    struct session_key *key = mem_alloc(p->mem, sizeof(*key));
    if (key == NULL) {
        return NULL;
    }
    key->slot = (struct session_slot){.index = session_index_draw(p), .peer = peer};
    /* the index that the peer knows passes from the dial to the key */
    uint32_t index = peer->dial->slot.index;
    index_remove(&p->by_index, peer->dial);
    peer->dial->slot.index = key->slot.index;
    key->slot.index = index;
    enum ipx_err err = index_add(&p->by_index, peer->dial);
    assert(err == IPX_OK); /* its place was freed just now */
    if (index_add(&p->by_index, key) != IPX_OK) {
        mem_free(p->mem, key);
        return NULL;
    }
    key->peer_index = reply->peer_index;
    key->is_dialled = true;
    key->made_us = p->now_us;
    memcpy(key->send, reply->keys.send, sizeof(key->send));
    memcpy(key->recv, reply->keys.recv, sizeof(key->recv));
    return key;
}

static void resp_accepted(struct session_plane *p, struct session_peer *peer,
                          const struct addr *from, const struct handshake_reply *reply,
                          const struct cert_facts *facts)
{
    struct session_key *key = key_of_reply(p, peer, reply);
    if (key == NULL) {
        p->stats.dropped_memory++;
        session_dial_fail(p, peer, IPX_BUSY);
        return;
    }
    struct session_who who = {.has_facts = true, .facts = *facts};
    struct clock_entry *e = clocks_get(&p->clocks, &peer->id);
    if (e != NULL && p->chain_len > 0) {
        e->has_our_chain = true;
    }
    bool is_answered = reply->resp.answer.is_set && peer->dial->has_early &&
                       reply->resp.answer.request_id == peer->dial->early_id;
    uint64_t rtt_us = p->now_us - peer->dial->sent_us;
    if (is_answered) {
        early_done(p, peer, peer->dial->early_id);
    }
    session_dial_free(p, peer);
    session_next_free(p, peer);
    peer->is_by_ticket = p->chain_len == 0;
    struct session_new n = {
        .key = key, .who = &who, .addr = from, .observed = &reply->resp.observed};
    session_peer_up(p, peer, &n);
    session_rtt_add(peer, rtt_us);
    if (is_answered) {
        answer_deliver(p, peer, &reply->resp.answer);
    }
    peer->must_confirm = true;
    session_waiting_flush(p, peer);
    session_mark_dirty(p, peer);
    session_peer_settle(p, peer);
}

static struct session_peer *dialled_peer(const struct session_plane *p, struct slice packet)
{
    uint32_t index = packet_receiver_index(packet);
    struct session_slot *slot = index_find(&p->by_index, &index);
    return slot != NULL && slot->is_dial ? slot->peer : NULL;
}

void session_on_resp(struct session_plane *p, const struct addr *from, struct slice packet)
{
    struct session_peer *peer = dialled_peer(p, packet);
    if (peer == NULL) {
        p->stats.dropped_index++;
        return;
    }
    struct handshake_reply reply;
    if (handshake_resp_read(&p->self, &peer->dial->hs, packet, &reply) != IPX_OK) {
        p->stats.dropped_handshake++;
        return;
    }
    p->stats.resps_in++;
    struct handshake_judge judge = {
        .self = &p->self, .chains = p->chains, .clocks = &p->clocks, .wall_ms = session_wall_ms(p)};
    struct cert_facts facts;
    enum ipx_err err = handshake_judge_resp(&judge, &peer->dial->hs, &reply, &facts);
    if (err == IPX_OK) {
        resp_accepted(p, peer, from, &reply, &facts);
    } else {
        resp_refused(p, peer, err);
    }
    crypt_wipe(&reply.keys, sizeof(reply.keys));
}

void session_on_cookie(struct session_plane *p, struct slice packet)
{
    struct session_peer *peer = dialled_peer(p, packet);
    if (peer == NULL) {
        p->stats.dropped_index++;
        return;
    }
    struct session_open *dial = peer->dial;
    if (handshake_cookie_read(&p->self, &dial->hs, packet, dial->cookie) != IPX_OK) {
        p->stats.dropped_handshake++;
        return;
    }
    p->stats.cookies_in++;
    bool was_first = !dial->has_cookie;
    dial->has_cookie = true;
    if (was_first) { /* once at once; if that does not help, at its time */
        dial_again(p, peer, IPX_BUSY);
    }
}
