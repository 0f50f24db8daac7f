/* SPDX-License-Identifier: Apache-2.0 */
#include "node/handshake_judge.h"
#include "node/session_parts.h"

/* Handshakes a second before a cookie is asked for, and the node's limit. */
static const struct bucket_rate load_rate = {.per_s = 200, .burst = 200};
static const struct bucket_rate init_rate = {.per_s = 4000, .burst = 4000};
#define LOAD_HELD_MAX 64 /* answers under way before a cookie is asked for */
static_assert(LOAD_HELD_MAX <= HELD_MAX, "loaded before full");

static void cookie_secrets_turn(struct session_plane *p)
{
    if (p->now_us < p->cookie_until_us) {
        return;
    }
    memcpy(p->cookie_secrets[1], p->cookie_secrets[0], sizeof(p->cookie_secrets[1]));
    rng_fill(&p->rng, p->cookie_secrets[0], sizeof(p->cookie_secrets[0]));
    p->cookie_until_us = p->now_us + COOKIE_LIFE_US;
}

/* mac2 under a cookie of ours, this one's or the one before: the address is proved. */
static bool has_cookie(struct session_plane *p, const struct addr *from, struct slice packet)
{
    uint8_t cookie[HANDSHAKE_COOKIE_LEN];
    cookie_secrets_turn(p);
    for (unsigned i = 0; i < 2; i++) {
        handshake_cookie_make(p->cookie_secrets[i], from, cookie);
        if (handshake_cookie_check(cookie, packet)) {
            return true;
        }
    }
    return false;
}

static void cookie_send(struct session_plane *p, const struct addr *from, struct slice packet,
                        uint8_t gate)
{
    uint8_t cookie[HANDSHAKE_COOKIE_LEN], nonce[24], out[HANDSHAKE_COOKIE_PACKET_LEN];
    struct writer w = writer_of(out, sizeof(out));
    cookie_secrets_turn(p);
    handshake_cookie_make(p->cookie_secrets[0], from, cookie);
    rng_fill(&p->rng, nonce, sizeof(nonce));
    struct handshake_cookie_options options = {.gate = gate, .cookie = cookie, .nonce = nonce};
    handshake_cookie_write(&p->self, packet, &options, &w);
    p->stats.cookies_out++;
    (void)session_out_packet(p, from, writer_slice(&w));
}

/* Everything that is decided before a curve is touched. */
static bool is_admitted(struct session_plane *p, const struct addr *from, struct slice packet,
                        uint8_t *ret_gate)
{
    if (!handshake_gate_find(&p->self, packet, ret_gate)) {
        buckets_take(&p->strangers, p->now_us, from);
        p->stats.dropped_mac++;
        return false;
    }
    p->stats.inits_in++;
    if (addr_scope(from) == ADDR_SCOPE_LOOPBACK) {
        return true;
    }
    bool is_loaded = !bucket_take(&p->load, p->now_us, &load_rate) || p->n_held >= LOAD_HELD_MAX;
    bool is_short = !buckets_have(&p->strangers, p->now_us, from);
    bool is_proved = (is_loaded || is_short) && has_cookie(p, from, packet);
    if (is_loaded && !is_proved) {
        p->stats.dropped_load++;
        cookie_send(p, from, packet, *ret_gate);
        return false;
    }
    if ((is_short && !is_proved) || !bucket_take(&p->inits, p->now_us, &init_rate)) {
        p->stats.dropped_rate++;
        return false;
    }
    return true;
}

/* Both dial at once: the lower fingerprint's handshake goes on. */
static bool is_ours_ahead(const struct session_plane *p, const struct session_peer *peer)
{
    if (peer == NULL || peer->dial == NULL ||
        p->now_us - peer->dial->started_us >= DIAL_OWN_WINS_US) {
        return false;
    }
    struct hash ours = node_fingerprint(&p->self.key.pk);
    struct hash theirs = node_fingerprint(&peer->id);
    return memcmp(ours.bytes, theirs.bytes, sizeof(ours.bytes)) < 0;
}

static void chain_show(const struct session_plane *p, const struct handshake_call *call,
                       struct handshake_resp *resp)
{
    if (call->init.is_padded) {
        resp->chain = slice_of(p->chain, p->chain_len);
    } else {
        resp->has_hash = true;
        resp->chain_hash = p->chain_hash;
    }
}

static bool resp_send(struct session_plane *p, const struct addr *to,
                      const struct handshake_call *call, const struct handshake_resp *resp,
                      uint32_t index, struct noise_keys *ret_keys)
{
    uint8_t packet[HANDSHAKE_DATAGRAM_MAX];
    struct handshake_random random = {.index = index};
    struct writer w = writer_of(packet, sizeof(packet));
    rng_fill(&p->rng, random.e_sk, sizeof(random.e_sk));
    enum ipx_err err = handshake_resp_write(&p->self, call, resp, &random, &w, ret_keys);
    crypt_wipe(&random, sizeof(random));
    if (err != IPX_OK) {
        p->stats.dropped_handshake++;
        return false;
    }
    p->stats.resps_out++;
    return session_out_packet(p, to, writer_slice(&w));
}

static struct session_next *next_new(struct session_plane *p, struct session_peer *peer,
                                     uint32_t peer_index)
{
    struct session_next *next = mem_alloc(p->mem, sizeof(*next));
    struct session_key *key = mem_alloc(p->mem, sizeof(*key));
    if (next != NULL && key != NULL) {
        key->slot = (struct session_slot){.index = session_index_draw(p), .peer = peer};
        key->peer_index = peer_index;
        key->made_us = p->now_us;
        next->key = key;
        if (index_add(&p->by_index, key) == IPX_OK) {
            return next;
        }
    }
    mem_free(p->mem, next);
    mem_free(p->mem, key);
    p->stats.dropped_memory++;
    return NULL;
}

/* Sends RESP ok and keeps the unconfirmed key; `who` is taken. */
static void accept(struct session_plane *p, struct session_peer *peer, const struct addr *from,
                   const struct handshake_call *call, const struct handshake_resp *resp,
                   struct session_who *who)
{
    struct noise_keys keys;
    session_next_free(p, peer);
    struct session_next *next = next_new(p, peer, call->peer_index);
    if (next == NULL) {
        return;
    }
    if (!resp_send(p, from, call, resp, next->key->slot.index, &keys)) {
        session_key_free(p, next->key);
        mem_free(p->mem, next);
        return;
    }
    memcpy(next->key->send, keys.send, sizeof(keys.send));
    memcpy(next->key->recv, keys.recv, sizeof(keys.recv));
    crypt_wipe(&keys, sizeof(keys));
    next->who = *who;
    *who = (struct session_who){0};
    peer->next = next;
    p->n_next++;
    if (peer->to.family == ADDR_NONE) {
        peer->to = *from;
    }
}

/* A request that the cores must answer: the RESP waits for the rest of this turn. */
static bool hold(struct session_plane *p, struct session_peer *peer, const struct addr *from,
                 const struct handshake_call *call, const struct handshake_resp *resp,
                 struct session_who *who)
{
    session_held_free(p, peer);
    if (p->n_held >= HELD_MAX) {
        return false;
    }
    struct session_held *held = mem_alloc(p->mem, sizeof(*held));
    if (held == NULL) {
        return false;
    }
    held->call = *call;
    /* slices of the INIT point into the copy from now on; only the early body is used */
    struct slice body = call->init.early.body;
    size_t at = body.len > 0 ? (size_t)(body.data - call->payload) : 0;
    held->call.init.early.body = slice_of(held->call.payload + at, body.len);
    held->resp = *resp;
    held->from = *from;
    held->who = *who;
    *who = (struct session_who){0};
    held->due_us = p->now_us + HELD_LIFE_US;
    peer->held = held;
    p->n_held++;
    struct session_action a = {.type = SESSION_ACTION_EARLY,
                               .peer = peer->id,
                               .addr = *from,
                               .message_type = call->init.early.type,
                               .request_id = call->init.early.request_id,
                               .room_max = (uint16_t)handshake_answer_room(call, resp)};
    p->stats.messages_in++;
    (void)session_out_action(p, &a, &held->who, call->init.early.body);
    return true;
}

void session_held_finish(struct session_plane *p, struct session_peer *peer,
                         const struct handshake_message *answer)
{
    struct session_held *held = peer->held;
    if (answer != NULL && answer->body.len <= handshake_answer_room(&held->call, &held->resp)) {
        held->resp.answer = *answer;
        p->stats.messages_out++;
    }
    accept(p, peer, &held->from, &held->call, &held->resp, &held->who);
    session_held_free(p, peer);
}

static enum ipx_err who_make(struct session_plane *p, const struct handshake_call *call,
                             const struct handshake_verdict *verdict, struct session_who *ret)
{
    *ret = (struct session_who){.has_facts = verdict->has_facts, .facts = verdict->facts};
    if (!verdict->has_facts) {
        struct slice ticket = call->init.ticket;
        ret->ticket = mem_dup(p->mem, ticket.data, ticket.len);
        ret->ticket_len = ticket.len;
        return ret->ticket != NULL ? IPX_OK : IPX_NO_MEMORY;
    }
    return IPX_OK;
}

static void init_accepted(struct session_plane *p, const struct addr *from,
                          const struct handshake_call *call, struct handshake_resp *resp,
                          const struct handshake_verdict *verdict)
{
    const struct handshake_message *early = &call->init.early;
    struct session_peer *peer = session_peer_get(p, &call->init.pk);
    struct session_who who;
    if (peer == NULL || who_make(p, call, verdict, &who) != IPX_OK) {
        p->stats.dropped_memory++;
        if (peer != NULL) {
            session_peer_settle(p, peer);
        }
        return;
    }
    if (peer->dial != NULL) { /* theirs goes on; what waits, waits for it */
        session_dial_free(p, peer);
    }
    chain_show(p, call, resp);
    bool is_early = early->is_set && verdict->has_facts && early->type < 64;
    bool is_held = false;
    uint8_t pong[SESSION_WIRE_SMALL_MAX];
    struct writer w = writer_of(pong, sizeof(pong));
    if (is_early && early->type == SESSION_PING && session_ping_decode(early->body) == IPX_OK) {
        session_pong_encode(from, &w);
        resp->answer = (struct handshake_message){.is_set = true,
                                                  .type = SESSION_PONG,
                                                  .request_id = early->request_id,
                                                  .body = writer_slice(&w)};
    } else if (is_early && (p->early_types & SESSION_TYPE_BIT(early->type)) != 0) {
        is_held = hold(p, peer, from, call, resp, &who);
    }
    if (!is_held) {
        session_held_free(p, peer);
        accept(p, peer, from, call, resp, &who);
    }
    session_who_done(p, &who);
    session_peer_settle(p, peer);
}

void session_on_init(struct session_plane *p, const struct addr *from, struct slice packet)
{
    uint8_t gate = 0;
    if (!is_admitted(p, from, packet, &gate)) {
        return;
    }
    struct handshake_call call;
    if (p->chain_len == 0 || /* a joiner answers nobody: it has nothing to show */
        handshake_init_read(&p->self, HANDSHAKE_DATAGRAM, packet, gate, &call) != IPX_OK) {
        buckets_take(&p->strangers, p->now_us, from);
        p->stats.dropped_handshake++;
        return;
    }
    struct session_peer *peer = session_peer_find(p, &call.init.pk);
    if (is_ours_ahead(p, peer)) {
        p->stats.dropped_simultaneous++;
        return;
    }
    struct handshake_judge judge = {
        .self = &p->self, .chains = p->chains, .clocks = &p->clocks, .wall_ms = session_wall_ms(p)};
    struct handshake_resp resp;
    struct handshake_verdict verdict;
    handshake_judge_init(&judge, &call, &resp, &verdict);
    resp.observed = *from;
    if (resp.status == HANDSHAKE_OK && (peer == NULL || peer->next == NULL) &&
        p->n_next + p->n_held >= SESSION_UNCONFIRMED_MAX) {
        resp.status = HANDSHAKE_BUSY;
    }
    if (resp.status == HANDSHAKE_OK) {
        init_accepted(p, from, &call, &resp, &verdict);
        return;
    }
    if (resp.status == HANDSHAKE_REFUSED || resp.status == HANDSHAKE_REVOKED) {
        buckets_take(&p->strangers, p->now_us, from);
    }
    trace_emit(&p->trace, p->now_us, TRACE_SESSION, "refused", &call.init.pk, (uint64_t)resp.status,
               (uint64_t)resp.why);
    struct noise_keys unused;
    (void)resp_send(p, from, &call, &resp, session_index_draw(p), &unused);
    crypt_wipe(&unused, sizeof(unused));
}
