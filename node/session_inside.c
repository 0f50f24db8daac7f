/* SPDX-License-Identifier: Apache-2.0 */
#include "node/session_parts.h"

/* Paths: a new address of a peer is used once the peer has answered from it */

static void path_again(struct session_plane *p, struct session_peer *peer)
{
    struct session_path *path = peer->path;
    uint8_t body[SESSION_WIRE_SMALL_MAX];
    struct writer w = writer_of(body, sizeof(body));
    session_path_encode(path->nonce, &w);
    size_t len = DATA_HEADER_LEN + SESSION_MESSAGE_HEADER + w.len + CRYPT_TAG_LEN;
    path->tries++;
    path->retry_us = p->now_us + PATH_RETRY_US;
    if (path->bytes_out + len > 3 * path->bytes_in) {
        return; /* it may be somebody else's address: never flood it */
    }
    path->bytes_out += len;
    struct handshake_message m = {.type = SESSION_PATH_CHALLENGE, .body = writer_slice(&w)};
    session_send_to(p, peer, &path->to, &m);
}

void session_path_send(struct session_plane *p, struct session_peer *peer)
{
    if (peer->path->tries >= PATH_TRIES) {
        session_path_free(p, peer);
        return;
    }
    path_again(p, peer);
}

void session_path_start(struct session_plane *p, struct session_peer *peer, const struct addr *from,
                        size_t len)
{
    if (peer->path != NULL && addr_equal(&peer->path->to, from)) {
        peer->path->bytes_in += len;
        return;
    }
    bool is_too_soon = peer->switched_us != 0 && p->now_us - peer->switched_us < PATH_PAUSE_US;
    if (peer->path != NULL || is_too_soon || addr_scope(from) == ADDR_SCOPE_NONE) {
        return; /* one at a time: three tries are over in 1.5 s */
    }
    peer->path = mem_alloc(p->mem, sizeof(*peer->path));
    if (peer->path == NULL) {
        p->stats.dropped_memory++;
        return;
    }
    peer->path->to = *from;
    peer->path->bytes_in = len;
    rng_fill(&p->rng, peer->path->nonce, sizeof(peer->path->nonce));
    path_again(p, peer);
}

static void on_path_response(struct session_plane *p, struct session_peer *peer, struct slice body)
{
    uint8_t nonce[SESSION_NONCE_LEN];
    if (session_path_decode(body, nonce) != IPX_OK) {
        p->stats.dropped_message++;
        return;
    }
    struct session_path *path = peer->path;
    if (path == NULL || !addr_equal(&p->from, &path->to) ||
        !crypt_equal(nonce, path->nonce, sizeof(nonce))) {
        return;
    }
    peer->addr = path->to;
    peer->to = path->to;
    peer->switched_us = p->now_us;
    peer->srtt_us = peer->rttvar_us = 0;
    session_path_free(p, peer);
    p->stats.roamed++;
    trace_emit(&p->trace, p->now_us, TRACE_SESSION, "roamed", &peer->id, p->stats.roamed, 0);
}

static void on_path_challenge(struct session_plane *p, struct session_peer *peer, struct slice body)
{
    uint8_t nonce[SESSION_NONCE_LEN], text[SESSION_WIRE_SMALL_MAX];
    struct writer w = writer_of(text, sizeof(text));
    if (session_path_decode(body, nonce) != IPX_OK) {
        p->stats.dropped_message++;
        return;
    }
    session_path_encode(nonce, &w);
    struct handshake_message m = {.type = SESSION_PATH_RESPONSE, .body = writer_slice(&w)};
    session_send_to(p, peer, &peer->addr, &m);
}

static void on_ping(struct session_plane *p, struct session_peer *peer,
                    const struct handshake_message *m)
{
    uint8_t text[SESSION_WIRE_SMALL_MAX];
    struct writer w = writer_of(text, sizeof(text));
    if (session_ping_decode(m->body) != IPX_OK) {
        p->stats.dropped_message++;
        return;
    }
    session_pong_encode(&p->from, &w);
    struct handshake_message pong = {
        .type = SESSION_PONG, .request_id = m->request_id, .body = writer_slice(&w)};
    err_ignore(session_append(p, peer, &pong), "counted there");
}

void session_ask_sent(struct session_peer *peer, const struct handshake_message *m, uint64_t now_us)
{
    for (unsigned i = 0; peer->asks != NULL && m->type == SESSION_PING && i < PINGS_MAX; i++) {
        if (peer->asks[i].is_set && peer->asks[i].request_id == m->request_id) {
            peer->asks[i].sent_us = now_us;
        }
    }
}

void session_on_pong(struct session_plane *p, struct session_peer *peer,
                     const struct handshake_message *m)
{
    struct addr observed;
    if (session_pong_decode(m->body, &observed) != IPX_OK) {
        p->stats.dropped_message++;
        return;
    }
    peer->observed = observed;
    for (unsigned i = 0; peer->asks != NULL && i < PINGS_MAX; i++) {
        struct session_ask *ask = &peer->asks[i];
        if (!ask->is_set || ask->request_id != m->request_id) {
            continue;
        }
        ask->is_set = false;
        struct session_action a = {.type = SESSION_ACTION_PONG,
                                   .peer = peer->id,
                                   .addr = peer->addr,
                                   .request_id = m->request_id,
                                   .observed = observed,
                                   .rtt_us = p->now_us - ask->sent_us};
        session_rtt_add(peer, a.rtt_us);
        (void)session_out_action(p, &a, &peer->who, SLICE_EMPTY);
        return;
    }
}

static void on_close(struct session_plane *p, struct session_peer *peer, struct slice body)
{
    enum ipx_err why;
    if (session_close_decode(body, &why) != IPX_OK) {
        p->stats.dropped_message++;
        return;
    }
    session_peer_down(p, peer, IPX_CLOSED);
}

bool session_inside(struct session_plane *p, struct session_peer *peer,
                    const struct handshake_message *m)
{
    switch (m->type) {
    case SESSION_PING:
        on_ping(p, peer, m);
        return true;
    case SESSION_PONG:
        session_on_pong(p, peer, m);
        return true;
    case SESSION_PATH_CHALLENGE:
        on_path_challenge(p, peer, m->body);
        return true;
    case SESSION_PATH_RESPONSE:
        on_path_response(p, peer, m->body);
        return true;
    case SESSION_CLOSE:
        on_close(p, peer, m->body);
        return true;
    default:
        return false;
    }
}
