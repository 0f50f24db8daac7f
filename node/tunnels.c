/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tunnels: where UDP does not pass, the messages of the datagram plane travel on a stream of a link
 * (overlay 1.4). A peer is watched from the first message that finds no session; what comes first,
 * session or link, carries. A tunnelled peer is like one with a session to dht, gossip and join.
 */
#include "node/core.h"
#include "node/session_wire.h"

#define TUNNEL_AFTER_US (1500 * US_PER_MS) /* three INITs, at 0, 0.4 and 1 s, were not answered */
#define TUNNEL_DEAF_US (5 * US_PER_S)      /* nothing heard: datagrams seem to be blocked here */
#define TUNNEL_AGAIN_US (30 * US_PER_S)  /* neither session nor link: when a link is tried again */
#define TUNNEL_SESSION_US (5 * US_PER_S) /* a session is tried again, then ever less often .. */
#define TUNNEL_SESSION_MAX_US (600 * US_PER_S) /* .. down to this */
#define TUNNEL_YOUNG_US (5 * US_PER_S)         /* a tunnel that ends so soon was not wanted */
#define TUNNEL_QUEUE_MAX (64 * 1024) /* bytes to one peer: beyond it dropped, as on a wire */

/* As in a session: 50 requests a second and as many answers. */
static const struct bucket_rate message_rate = {.per_s = 100, .burst = 400};

enum ipx_err tunnels_init(struct node *n)
{
    uint8_t secret[16];
    rng_fill(&n->rng, secret, sizeof(secret));
    enum ipx_err err = timers_init(&n->tunnels.timers, n->mem, INDEX_FIRST);
    if (err != IPX_OK) {
        return err;
    }
    return index_init(&n->tunnels.by_peer, n->mem, TUNNELS_MAX, sizeof(struct node_id),
                      offsetof(struct tunnel, peer), secret);
}

static struct tunnel *find(const struct node *n, const struct node_id *peer)
{
    return index_find(&n->tunnels.by_peer, peer);
}

static void forget(struct node *n, struct tunnel *t)
{
    timers_clear(&n->tunnels.timers, &t->timer);
    index_remove(&n->tunnels.by_peer, t);
    mem_free(n->mem, t);
}

void tunnels_forget(struct node *n)
{
    for (uint32_t i = 0; i < n->tunnels.by_peer.n_places; i++) {
        struct tunnel *t = index_at(&n->tunnels.by_peer, i);
        if (t != NULL) {
            forget(n, t);
        }
    }
}

void tunnels_done(struct node *n)
{
    tunnels_forget(n);
    if (n->tunnels.by_peer.mem != NULL) {
        index_done(&n->tunnels.by_peer);
    }
    if (n->tunnels.timers.mem != NULL) {
        timers_done(&n->tunnels.timers);
    }
}

bool tunnels_is_up(const struct node *n, const struct node_id *peer)
{
    const struct tunnel *t = find(n, peer);
    return t != NULL && t->state == TUNNEL_UP;
}

/* A session that answers; one in doubt counts only if it was heard since. */
static bool has_session(const struct node *n, const struct node_id *peer, const struct tunnel *t)
{
    struct session_info info;
    return session_find(n->sessions, peer, &info) && !info.is_silent &&
           (t == NULL || info.heard_us >= t->doubt_us);
}

/* --- who has one --- */

/* NULL: too many, or no memory. */
static struct tunnel *make(struct node *n, const struct node_id *peer)
{
    struct tunnels *x = &n->tunnels;
    struct tunnel *t = mem_alloc(n->mem, sizeof(*t));
    if (t == NULL) {
        return NULL;
    }
    t->peer = *peer;
    timer_init(&t->timer, 0);
    if (index_add(&x->by_peer, t) != IPX_OK) {
        mem_free(n->mem, t);
        return NULL;
    }
    if (timers_reserve(&x->timers, x->by_peer.n) != IPX_OK) {
        index_remove(&x->by_peer, t);
        mem_free(n->mem, t);
        return NULL;
    }
    return t;
}

static void fail(struct node *n, struct tunnel *t)
{
    sm_move(&node_tunnel_table, &t->state, TUNNEL_FAILED);
    t->stream = 0;
    timers_set(&n->tunnels.timers, &t->timer, n->now_us + TUNNEL_AGAIN_US);
    trace_emit(&n->config.trace, n->now_us, TRACE_NODE, "tunnel failed", &t->peer, 0, 0);
}

void tunnels_watch(struct node *n, const struct node_id *peer, const struct addr *addr)
{
    struct tunnel *t = find(n, peer);
    if (t != NULL || node_id_equal(peer, &n->config.key.pk) || addr->family == ADDR_NONE) {
        return;
    }
    t = make(n, peer);
    if (t != NULL) {
        t->addr = *addr;
        timers_set(&n->tunnels.timers, &t->timer,
                   n->now_us + (n->tunnels.is_deaf ? 0 : TUNNEL_AFTER_US));
    }
}

void tunnels_doubt(struct node *n, const struct node_id *peer)
{
    struct addr addr;
    if (find(n, peer) == NULL && members_addrs(n, peer, &addr, 1) > 0) {
        tunnels_watch(n, peer, &addr);
        struct tunnel *t = find(n, peer);
        if (t != NULL) {
            t->doubt_us = n->now_us;
            timers_set(&n->tunnels.timers, &t->timer, n->now_us);
        }
    }
}

/* The session is long in coming: a stream waits for a link to the peer. */
static void dial(struct node *n, struct tunnel *t)
{
    struct stream *s = streams_new(n, streams_new_handle(n), STREAM_TUNNEL);
    sm_move(&node_tunnel_table, &t->state, TUNNEL_DIALLING);
    if (s == NULL) {
        fail(n, t);
        return;
    }
    struct addr addr = t->addr;
    s->peer = t->peer;
    s->protocol = NODE_PROTOCOL_TUNNEL;
    s->is_opened_here = true;
    t->stream = s->handle;
    conns_reach(n, &s->peer, &addr);
    conns_attach(n, s); /* may end it at once */
}

void tunnels_on_heard(struct node *n)
{
    n->tunnels.heard_us = n->now_us;
    n->tunnels.is_deaf = false;
}

void tunnels_on_session(struct node *n, const struct node_id *peer)
{
    struct tunnel *t = find(n, peer);
    struct stream *s = t != NULL && t->stream != 0 ? streams_find(n, t->stream) : NULL;
    if (t == NULL) {
        return;
    }
    if (t->state == TUNNEL_UP) {
        trace_emit(&n->config.trace, n->now_us, TRACE_NODE, "tunnel ended", peer, 0, 0);
    }
    forget(n, t);
    if (s != NULL && s->conn != 0) {
        streams_finish(n, s);
    } else if (s != NULL) {
        streams_on_lost(n, s, IPX_EXISTS);
    }
}

bool tunnels_on_session_failed(struct node *n, const struct node_id *peer)
{
    struct tunnel *t = find(n, peer);
    if (t == NULL || t->state == TUNNEL_FAILED) {
        return false;
    }
    t->is_session_failed = true;
    return true;
}

/* Where the peer listens, as far as is known; ADDR_NONE. An accepted connection does not show it,
 * nor does one in a coat. */
static struct addr addr_of(struct node *n, const struct conn *c)
{
    struct addr addrs[GOSSIP_ADDRS_MAX + 2];
    const struct tunnel *t = find(n, &c->peer);
    if (c->is_dialled && !c->is_coat) {
        return c->addr;
    }
    if (c->is_coat && t != NULL && t->addr.family != ADDR_NONE) {
        return t->addr; /* a coat's port takes links alone */
    }
    size_t count = members_addrs(n, &c->peer, addrs, ARRAY_LEN(addrs));
    return count > 0 ? addrs[0] : (struct addr){.family = ADDR_NONE};
}

void tunnels_on_member(struct node *n, const struct node_id *peer)
{
    struct tunnel *t = find(n, peer);
    struct stream *s = t != NULL && t->state == TUNNEL_UP ? streams_find(n, t->stream) : NULL;
    struct conn *c = s != NULL ? conns_find(n, s->conn) : NULL;
    struct addr addr[1];
    if (c != NULL && link_facts(c->link) != NULL) {
        *addr = addr_of(n, c); /* where it listens is known now */
        dht_on_session(&n->dht, n->now_us, link_facts(c->link), addr);
    } else if (t == NULL && n->tunnels.is_deaf && members_addrs(n, peer, addr, 1) > 0) {
        tunnels_watch(n, peer, addr); /* it will probe us, and could not be answered */
    }
}

/* --- out --- */

static bool push(struct node *n, struct tunnel *t, const struct tunnel_message *m)
{
    uint8_t bytes[TUNNEL_MESSAGE_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct stream *s = streams_find(n, t->stream);
    assert(s != NULL);
    struct conn *c = s->conn != 0 ? conns_find(n, s->conn) : NULL;
    bool is_to_holder = c != NULL && link_facts(c->link) == NULL;
    if (is_to_holder && m->type != SESSION_ADMITTED && m->type != SESSION_CHAIN &&
        m->type != SESSION_PONG) {
        return false;
    }
    tunnel_put(&w, m);
    if (streams_queued(n, s) + w.len > TUNNEL_QUEUE_MAX || !streams_write(n, s, writer_slice(&w))) {
        n->tunnels.n_dropped++;
    }
    return true;
}

bool tunnels_send(struct node *n, const struct session_message *m)
{
    struct tunnel *t = find(n, &m->peer);
    struct tunnel_message out = {.type = m->type, .request_id = m->request_id, .body = m->body};
    if (has_session(n, &m->peer, t) || m->body.len > SESSION_BODY_MAX) {
        return false;
    }
    if (t == NULL) {
        tunnels_watch(n, &m->peer, &m->to);
        return false;
    }
    bool is_taken = (t->state == TUNNEL_UP || t->state == TUNNEL_DIALLING) && push(n, t, &out);
    return is_taken && t->state == TUNNEL_UP; /* while a link is made both are told */
}

bool tunnels_ping(struct node *n, const struct node_id *peer)
{
    uint8_t body[SESSION_WIRE_SMALL_MAX];
    struct writer w = writer_of(body, sizeof(body));
    struct tunnel *t = find(n, peer);
    if (t == NULL || t->state != TUNNEL_UP || has_session(n, peer, t)) {
        return false;
    }
    session_ping_encode(&w);
    t->pinged_us = IPX_MAX(n->now_us, 1);
    return push(n, t, &(struct tunnel_message){.type = SESSION_PING, .body = writer_slice(&w)});
}

/* --- streams --- */

bool tunnels_may_open(const struct node *n, const struct conn *c)
{
    if (c->is_local || !n->has_cores) {
        return false;
    }
    for (const struct list *l = c->streams.next; l != &c->streams; l = l->next) {
        const struct stream *s = CONTAINER_OF_CONST(l, struct stream, list);
        if (s->use == STREAM_TUNNEL && !s->is_opened_here) {
            return false; /* one is enough for all that is said */
        }
    }
    return true;
}

void tunnels_on_open(struct node *n, struct conn *c, struct stream *s)
{
    struct tunnel *t = find(n, &s->peer);
    struct stream *old = t != NULL && t->state == TUNNEL_UP ? streams_find(n, t->stream) : NULL;
    if (old != NULL && old->conn == s->conn) {
        return; /* each end opened one: each speaks on its own */
    }
    if (t != NULL && t->state == TUNNEL_DIALLING && t->stream != s->handle) {
        return; /* ours opens on this link in a moment */
    }
    if (t == NULL) {
        t = make(n, &s->peer);
        if (t == NULL) {
            return; /* what it says is heard; the answers try a session */
        }
    }
    t->stream = s->handle;
    t->up_us = n->now_us;
    t->doubt_us = n->now_us; /* of who opens one, or to whom it is opened, no datagram came */
    t->again_us = TUNNEL_SESSION_US;
    timers_set(&n->tunnels.timers, &t->timer, n->now_us + t->again_us);
    if (t->state == TUNNEL_UP) {
        return;
    }
    sm_move(&node_tunnel_table, &t->state, TUNNEL_UP);
    n->tunnels.is_deaf =
        n->tunnels.heard_us == 0 || n->now_us - n->tunnels.heard_us > TUNNEL_DEAF_US;
    trace_emit(&n->config.trace, n->now_us, TRACE_NODE, "tunnel", &s->peer, s->is_opened_here, 0);
    struct session_action a = {.peer = s->peer,
                               .facts = link_facts(c->link),
                               .addr = addr_of(n, c),
                               .is_first = true,
                               .is_dialled = s->is_opened_here};
    members_on_up(n, &a);
}

void tunnels_on_lost(struct node *n, const struct node_id *peer, uint32_t stream, enum ipx_err err)
{
    struct tunnel *t = find(n, peer);
    if (t == NULL || t->stream != stream) {
        return;
    }
    if (t->state == TUNNEL_UP && (err == IPX_OK || n->now_us - t->up_us > TUNNEL_YOUNG_US)) {
        forget(n, t); /* the next message begins anew */
        return;
    }
    bool is_verdict = t->is_session_failed;
    struct node_id id = *peer;
    fail(n, t);
    if (is_verdict) {
        members_on_unreachable(n, &id, IPX_TIMEOUT);
    }
}

void tunnels_on_goaway(struct node *n, struct conn *c)
{
    struct stream *s;
    struct list *next;
    LIST_EACH(s, next, &c->streams, struct stream, list)
    {
        if (s->use == STREAM_TUNNEL && !s->is_finishing) {
            struct tunnel *t = find(n, &s->peer);
            if (t != NULL && t->stream == s->handle) {
                struct addr addr = t->addr;
                forget(n, t);
                tunnels_watch(n, &s->peer, &addr);
            }
            streams_finish(n, s);
        }
    }
}

/* --- in --- */

/* The rules of tickets, as in a session (session_type_fits). */
static bool is_allowed(const struct node *n, const struct conn *c, uint8_t type)
{
    if (link_facts(c->link) == NULL) {
        return type == SESSION_ADMIT || type == SESSION_GET_CHAIN || type == SESSION_PING;
    }
    if (n->chain_len == 0) {
        return type == SESSION_ADMITTED || type == SESSION_CHAIN || type == SESSION_PONG;
    }
    /* paths are of datagrams alone, and streams have an end of their own */
    return type != SESSION_PATH_CHALLENGE && type != SESSION_PATH_RESPONSE && type != SESSION_CLOSE;
}

static void on_ping(struct node *n, struct conn *c, struct stream *s,
                    const struct tunnel_message *m)
{
    uint8_t body[SESSION_WIRE_SMALL_MAX], bytes[TUNNEL_MESSAGE_MAX];
    struct writer b = writer_of(body, sizeof(body)), w = writer_of(bytes, sizeof(bytes));
    session_pong_encode(&c->addr, &b);
    tunnel_put(&w, &(struct tunnel_message){.type = SESSION_PONG,
                                            .request_id = m->request_id,
                                            .body = writer_slice(&b)});
    if (streams_queued(n, s) + w.len > TUNNEL_QUEUE_MAX || !streams_write(n, s, writer_slice(&w))) {
        n->tunnels.n_dropped++;
    }
}

static void on_pong(struct node *n, const struct node_id *peer)
{
    struct tunnel *t = find(n, peer);
    if (t != NULL && t->pinged_us != 0) {
        control_on_pong(n, peer, n->now_us - t->pinged_us);
        t->pinged_us = 0;
    }
}

static void deliver(struct node *n, struct conn *c, struct stream *s,
                    const struct tunnel_message *m)
{
    if (!bucket_take(&s->tunnel->bucket, n->now_us, &message_rate) || !is_allowed(n, c, m->type)) {
        n->tunnels.n_dropped++;
        return;
    }
    if (m->type == SESSION_PING) {
        on_ping(n, c, s, m);
        return;
    }
    if (m->type == SESSION_PONG) {
        on_pong(n, &s->peer);
        return;
    }
    struct session_action a = {.type = SESSION_ACTION_MESSAGE,
                               .peer = s->peer,
                               .facts = link_facts(c->link),
                               .ticket = link_ticket(c->link),
                               .addr = addr_of(n, c),
                               .message_type = m->type,
                               .request_id = m->request_id,
                               .body = m->body,
                               .room_max = SESSION_BODY_MAX};
    bool is_guess = a.addr.family == ADDR_NONE;
    if (is_guess && m->type >= SESSION_TYPES_OWN && m->type < 32) {
        a.addr = c->addr; /* to be told to it, but not kept: it does not listen there */
    }
    members_dispatch(n, &a, is_guess);
}

void tunnels_on_data(struct node *n, struct conn *c, struct stream *s, struct slice data)
{
    uint32_t handle = s->handle, id = s->id;
    struct slice left = data;
    struct tunnel_message m;
    enum ipx_err err;
    while ((err = tunnel_next(s->tunnel, &left, &m)) == IPX_OK) {
        deliver(n, c, s, &m);
        s = streams_find(n, handle);
        if (s == NULL || c->link == NULL) {
            return;
        }
    }
    if (err != IPX_AGAIN) {
        streams_break(n, s, err);
        return;
    }
    mux_consume(link_mux(c->link), id, data.len);
}

/* --- time --- */

static void on_timer(struct node *n, struct tunnel *t)
{
    uint32_t request_id;
    switch ((enum tunnel_state)t->state) {
    case TUNNEL_WATCHED:
        if (has_session(n, &t->peer, t)) {
            forget(n, t);
        } else {
            dial(n, t);
        }
        break;
    case TUNNEL_UP: /* do datagrams pass by now? */
        if (has_session(n, &t->peer, t)) {
            tunnels_on_session(n, &t->peer);
            break;
        }
        t->again_us = IPX_MIN(2 * t->again_us, TUNNEL_SESSION_MAX_US);
        timers_set(&n->tunnels.timers, &t->timer, n->now_us + t->again_us);
        if (n->chain_len > 0) {
            struct addr addr = t->addr;
            if (members_addrs(n, &t->peer, &addr, 1) > 0 || addr.family != ADDR_NONE) {
                err_ignore(session_ping(n->sessions, n->now_us, &t->peer, &addr, &request_id),
                           "it is tried again");
            }
        }
        break;
    case TUNNEL_FAILED:
        forget(n, t);
        break;
    case TUNNEL_DIALLING:
        break;
    }
}

void tunnels_tick(struct node *n)
{
    struct timer *timer;
    while ((timer = timers_pop(&n->tunnels.timers, n->now_us)) != NULL) {
        on_timer(n, CONTAINER_OF(timer, struct tunnel, timer));
    }
}
