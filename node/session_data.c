/* SPDX-License-Identifier: Apache-2.0 */
#include "node/session_parts.h"

#include "base/plant.h"

/* Messages a second of one peer: 50 requests and as many answers; and of all together. */
static const struct bucket_rate peer_rate = {.per_s = 100, .burst = 400};
static const struct bucket_rate node_rate = {.per_s = 4000, .burst = 4000};

static_assert(SESSION_BODY_MAX + SESSION_MESSAGE_HEADER <= SESSION_PLAIN_MAX, "one always fits");
static_assert(SESSION_PLAIN_MAX + DATA_HEADER_LEN + CRYPT_TAG_LEN == HANDSHAKE_DATAGRAM_MAX,
              "a full packet");

/* Sending */

static void header_make(const struct session_key *key, uint8_t flags,
                        uint8_t ret[static DATA_HEADER_LEN])
{
    ret[0] = HANDSHAKE_WIRE_VERSION << 4 | PACKET_DATA;
    ret[1] = flags;
    store_be16(ret + 2, 0);
    store_be32(ret + 4, key->peer_index);
    store_be64(ret + 8, key->sent);
}

/* The answerer cannot renew the key itself: it asks. */
static uint8_t flags_of(const struct session_plane *p, const struct session_key *key)
{
    bool is_old = key->sent >= KEY_REKEY_PACKETS || p->now_us - key->made_us >= REKEY_ASK_US;
    return !key->is_dialled && is_old ? DATA_FLAG_REKEY : 0;
}

static void seal_and_send(struct session_plane *p, struct session_peer *peer, const struct addr *to,
                          struct slice plain)
{
    struct session_key *key = peer->cur;
    uint8_t packet[HANDSHAKE_DATAGRAM_MAX], nonce[12];
    if (key->sent >= KEY_MAX_PACKETS) {
        return; /* a renewal has failed for 2^40 packets: the key ends with its time */
    }
    header_make(key, flags_of(p, key), packet);
    noise_nonce(CRYPT_SUITE_CHACHA20, key->sent, nonce);
    key->sent++;
    crypt_seal(CRYPT_SUITE_CHACHA20, key->send, nonce, slice_of(packet, DATA_HEADER_LEN), plain,
               packet + DATA_HEADER_LEN);
    size_t len = DATA_HEADER_LEN + plain.len + CRYPT_TAG_LEN;
    peer->bytes_out += len;
    (void)session_out_packet(p, to, slice_of(packet, len));
}

/* A peer that has been spoken to and says nothing is asked, then dialled anew: it may have
 * restarted and have no idea of our key. */
static void silence_watch(struct session_plane *p, struct session_peer *peer)
{
    if (peer->silent_since_us == 0) {
        peer->silent_since_us = IPX_MAX(p->now_us, 1);
        return;
    }
    bool is_lost = peer->pinged_us != 0 && p->now_us - peer->pinged_us >= SILENT_DIAL_US;
    bool may_dial = peer->dial == NULL && p->now_us - peer->last_dial_us >= SILENT_AGAIN_US;
    if (is_lost && may_dial && !peer->is_by_ticket) {
        err_ignore(session_dial_start(p, peer, &peer->addr), "the next packet tries again");
        session_peer_settle(p, peer); /* alive: it has a key */
    }
}

static void message_put(struct writer *w, const struct handshake_message *m)
{
    writer_u8(w, m->type);
    writer_u32(w, m->request_id);
    writer_u16(w, (uint16_t)m->body.len);
    writer_bytes(w, m->body);
}

static void silence_ping(struct session_peer *peer, uint64_t now_us)
{
    struct session_plain *plain = peer->plain;
    bool is_silent = peer->silent_since_us != 0 && now_us - peer->silent_since_us >= SILENT_PING_US;
    if (plain == NULL || !is_silent || peer->pinged_us != 0) {
        return;
    }
    uint8_t body[SESSION_WIRE_SMALL_MAX];
    struct writer b = writer_of(body, sizeof(body));
    struct writer w = writer_of(plain->bytes, sizeof(plain->bytes));
    w.len = plain->len;
    session_ping_encode(&b);
    message_put(&w, &(struct handshake_message){.type = SESSION_PING, .body = writer_slice(&b)});
    if (!w.failed) { /* else with the next packet */
        plain->len = w.len;
        peer->pinged_us = now_us;
    }
}

void session_flush(struct session_plane *p, struct session_peer *peer)
{
    assert(peer->cur != NULL);
    list_unlink(&peer->dirty);
    silence_ping(peer, p->now_us);
    struct session_plain *plain = peer->plain;
    if (plain != NULL || peer->must_confirm) {
        struct slice bytes = plain != NULL ? slice_of(plain->bytes, plain->len) : SLICE_EMPTY;
        seal_and_send(p, peer, &peer->addr, bytes);
        peer->must_confirm = false;
        peer->plain = NULL;
        mem_free(p->mem, plain);
        if (bytes.len > 0) {
            silence_watch(p, peer);
        }
    }
}

enum ipx_err session_append(struct session_plane *p, struct session_peer *peer,
                            const struct handshake_message *m)
{
    assert(peer->cur != NULL && m->body.len <= SESSION_BODY_MAX);
    if (peer->plain != NULL &&
        peer->plain->len + SESSION_MESSAGE_HEADER + m->body.len > SESSION_PLAIN_MAX) {
        session_flush(p, peer);
    }
    if (peer->plain == NULL) {
        peer->plain = mem_alloc(p->mem, sizeof(*peer->plain));
        if (peer->plain == NULL) {
            p->stats.dropped_memory++;
            return IPX_NO_MEMORY;
        }
    }
    struct writer w = writer_of(peer->plain->bytes, sizeof(peer->plain->bytes));
    w.len = peer->plain->len;
    message_put(&w, m);
    assert(!w.failed);
    peer->plain->len = w.len;
    p->stats.messages_out++;
    session_mark_dirty(p, peer);
    return IPX_OK;
}

void session_send_to(struct session_plane *p, struct session_peer *peer, const struct addr *to,
                     const struct handshake_message *m)
{
    uint8_t plain[SESSION_MESSAGE_HEADER + SESSION_WIRE_SMALL_MAX];
    struct writer w = writer_of(plain, sizeof(plain));
    message_put(&w, m);
    assert(!w.failed && peer->cur != NULL);
    p->stats.messages_out++;
    seal_and_send(p, peer, to, writer_slice(&w));
}

void session_waiting_flush(struct session_plane *p, struct session_peer *peer)
{
    struct session_waiting *w;
    while ((w = LIST_FIRST(&peer->waiting, struct session_waiting, list)) != NULL) {
        struct handshake_message m = {
            .type = w->type, .request_id = w->request_id, .body = slice_of(w->body, w->len)};
        if (session_type_fits(peer, m.type, false)) {
            session_ask_sent(peer, &m, p->now_us);
            err_ignore(session_append(p, peer, &m), "counted there; it is lost");
        }
        list_unlink(&w->list);
        mem_free(p->mem, w);
    }
    peer->n_waiting = 0;
    peer->waiting_bytes = 0;
}

/* Rules of tickets */

bool session_type_fits(const struct session_peer *peer, uint8_t type, bool is_incoming)
{
    bool is_holder = peer->cur != NULL && !peer->who.has_facts; /* the peer shows a ticket */
    if (!is_holder && !peer->is_by_ticket) {
        return true;
    }
    switch (type) {
    case SESSION_PING:
    case SESSION_PONG:
    case SESSION_PATH_CHALLENGE:
    case SESSION_PATH_RESPONSE:
    case SESSION_CLOSE:
        return true;
    case SESSION_ADMIT:
    case SESSION_GET_CHAIN: /* only the holder asks */
        return is_holder == is_incoming;
    case SESSION_ADMITTED:
    case SESSION_CHAIN:
        return is_holder != is_incoming;
    default:
        return false;
    }
}

/* Receiving */

void session_rtt_add(struct session_peer *peer, uint64_t rtt_us)
{
    uint64_t rtt = IPX_MIN(IPX_MAX(rtt_us, 1), 60 * US_PER_S);
    if (peer->srtt_us == 0) {
        peer->srtt_us = rtt;
        peer->rttvar_us = rtt / 2;
        return;
    }
    uint64_t off = rtt > peer->srtt_us ? rtt - peer->srtt_us : peer->srtt_us - rtt;
    peer->rttvar_us = (3 * peer->rttvar_us + off) / 4; /* RFC 6298 */
    peer->srtt_us = IPX_MAX((7 * peer->srtt_us + rtt) / 8, 1);
}

static bool is_muted(struct session_plane *p, struct session_peer *peer)
{
    if (peer->muted_until_us <= p->now_us) {
        return false;
    }
    p->stats.dropped_muted++;
    return true;
}

/* Ten times the budget for ten seconds on end: muted for a while, by its key. */
static void excess_count(struct session_plane *p, struct session_peer *peer)
{
    uint64_t second = p->now_us / US_PER_S;
    if (second != peer->second_us) {
        bool is_over = peer->n_second >= peer_rate.per_s * MUTE_FACTOR;
        bool is_next = second == peer->second_us + 1;
        peer->over_seconds = is_over && is_next ? (uint8_t)(peer->over_seconds + 1) : 0;
        peer->second_us = second;
        peer->n_second = 0;
    }
    peer->n_second++;
    if (peer->over_seconds >= MUTE_SECONDS) {
        peer->over_seconds = 0;
        peer->muted_until_us = p->now_us + MUTE_US;
        p->stats.muted++;
        trace_emit(&p->trace, p->now_us, TRACE_SESSION, "muted", &peer->id, 0, 0);
    }
}

static bool is_within_rate(struct session_plane *p, struct session_peer *peer)
{
    if (addr_scope(&peer->addr) == ADDR_SCOPE_LOOPBACK) {
        return true;
    }
    excess_count(p, peer);
    if (bucket_take(&peer->bucket, p->now_us, &peer_rate) &&
        bucket_take(&p->messages, p->now_us, &node_rate)) {
        return true;
    }
    p->stats.dropped_rate++;
    return false;
}

static void message_get(struct reader *r, struct handshake_message *ret)
{
    ret->type = reader_u8(r);
    ret->request_id = reader_u32(r);
    ret->body = reader_bytes(r, reader_u16(r));
    r->failed = r->failed || ret->body.len > SESSION_BODY_MAX;
}

/* All messages or none: the frame is looked at before anything is done. */
static bool frame_is_whole(struct slice plain)
{
    struct reader r = reader_of(plain);
    struct handshake_message m;
    while (reader_left(&r) > 0 && !r.failed) {
        message_get(&r, &m);
    }
    return !r.failed;
}

static void messages_deliver(struct session_plane *p, const struct node_id *id, struct slice plain)
{
    struct reader r = reader_of(plain);
    struct session_peer *peer;
    while (reader_left(&r) > 0) {
        struct handshake_message m;
        message_get(&r, &m);
        peer = session_peer_find(p, id);
        if (peer == NULL || peer->cur == NULL) {
            return; /* CLOSE was among them */
        }
        if (!is_within_rate(p, peer)) {
            continue;
        }
        if (m.type == 0 || m.type >= 64 || !session_type_fits(peer, m.type, true)) {
            p->stats.dropped_message++;
            continue;
        }
        p->stats.messages_in++;
        if (session_inside(p, peer, &m)) {
            continue;
        }
        struct session_action a = {.type = SESSION_ACTION_MESSAGE,
                                   .peer = *id,
                                   .addr = peer->addr,
                                   .message_type = m.type,
                                   .request_id = m.request_id};
        (void)session_out_action(p, &a, &peer->who, m.body);
    }
}

/* The first valid DATA on an unconfirmed key. */
static void confirm(struct session_plane *p, struct session_peer *peer, const struct addr *from)
{
    struct session_next *next = peer->next;
    struct session_new n = {.key = next->key, .who = &next->who, .addr = from};
    peer->next = NULL;
    p->n_next--;
    session_dial_free(p, peer);
    peer->is_by_ticket = false;
    session_peer_up(p, peer, &n);
    mem_free(p->mem, next);
    session_waiting_flush(p, peer);
}

static struct session_key *key_find(const struct session_plane *p, struct slice packet)
{
    uint32_t index = packet_receiver_index(packet);
    struct session_slot *slot = index_find(&p->by_index, &index);
    return slot != NULL && !slot->is_dial ? CONTAINER_OF(slot, struct session_key, slot) : NULL;
}

static void renew_if_asked(struct session_plane *p, struct session_peer *peer, uint8_t flags)
{
    bool may_dial = peer->cur->is_dialled && peer->dial == NULL &&
                    p->now_us - peer->last_dial_us >= REKEY_RETRY_US;
    bool is_wanted = (flags & DATA_FLAG_REKEY) != 0 || peer->cur->sent >= KEY_REKEY_PACKETS;
    if (is_wanted && may_dial) {
        err_ignore(session_dial_start(p, peer, &peer->addr), "the old key serves on");
    }
}

/* What a valid packet of a session does, besides what it says. */
static void packet_accepted(struct session_plane *p, struct session_peer *peer,
                            struct session_key *key, const struct addr *from, struct slice packet)
{
    bool is_highest = key->replay.top == load_be64(packet.data + 8) + 1;
    if (peer->next != NULL && key == peer->next->key) {
        confirm(p, peer, from);
    } else if (key == peer->cur && is_highest && !addr_equal(from, &peer->addr)) {
        session_path_start(p, peer, from, packet.len);
    } else if (peer->path != NULL && addr_equal(from, &peer->path->to)) {
        peer->path->bytes_in += packet.len;
    }
    peer->bytes_in += packet.len;
    peer->heard_us = p->now_us;
    peer->silent_since_us = 0;
    peer->pinged_us = 0;
    list_unlink(&peer->lru);
    list_push_front(&p->up, &peer->lru);
    renew_if_asked(p, peer, packet.data[1]);
}

void session_on_data(struct session_plane *p, const struct addr *from, struct slice packet)
{
    uint8_t plain[HANDSHAKE_DATAGRAM_MAX], nonce[12];
    struct session_key *key = key_find(p, packet);
    if (key == NULL) {
        p->stats.dropped_index++;
        return;
    }
    struct session_peer *peer = key->slot.peer;
    uint64_t counter = load_be64(packet.data + 8);
    if (is_muted(p, peer)) {
        return;
    }
    if (load_be16(packet.data + 2) != 0 || counter >= KEY_MAX_PACKETS) {
        p->stats.dropped_form++;
        return;
    }
    bool is_marked = IPX_PLANT(WINDOW) && replay_mark(&key->replay, counter);
    noise_nonce(CRYPT_SUITE_CHACHA20, counter, nonce);
    struct slice sealed = slice_of(packet.data + DATA_HEADER_LEN, packet.len - DATA_HEADER_LEN);
    if (crypt_open(CRYPT_SUITE_CHACHA20, key->recv, nonce, slice_of(packet.data, DATA_HEADER_LEN),
                   sealed, plain) != IPX_OK) {
        p->stats.dropped_tag++;
        return;
    }
    if (!is_marked && !replay_mark(&key->replay, counter)) {
        p->stats.dropped_replay++;
        return;
    }
    struct slice messages = slice_of(plain, sealed.len - CRYPT_TAG_LEN);
    struct node_id id = peer->id;
    packet_accepted(p, peer, key, from, packet);
    if (frame_is_whole(messages)) {
        messages_deliver(p, &id, messages);
    } else {
        p->stats.dropped_message++;
    }
    peer = session_peer_find(p, &id);
    if (peer != NULL) {
        session_peer_settle(p, peer);
    }
}
