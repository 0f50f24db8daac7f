/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: each carries one link; links to peers are made when a stream wants one. */
#include "node/core.h"

#define CONNS_FIRST 4 /* room for timers to begin with */

/* Has the connection something to do? Then conns_drain looks at it. */
void conns_wake(struct node *n, struct conn *c)
{
    if (!list_is_linked(&c->ready)) {
        list_push_back(&n->ready, &c->ready);
    }
}

void conns_init(struct node *n)
{
    list_init(&n->conns);
    list_init(&n->ready);
    list_init(&n->dials);
    n->conn_timers = (struct timers){.mem = n->mem};
    n->next_conn = 1;
}

struct conn *conns_find(struct node *n, uint32_t id)
{
    struct conn *c;
    struct list *next;
    LIST_EACH(c, next, &n->conns, struct conn, list)
    {
        if (c->id == id) {
            return c;
        }
    }
    return NULL;
}

struct conn *conns_of_peer(struct node *n, const struct node_id *peer)
{
    struct conn *c, *closing = NULL;
    struct list *next;
    LIST_EACH(c, next, &n->conns, struct conn, list)
    {
        if (c->is_up && !c->is_local && c->state == CONN_OPEN && node_id_equal(&c->peer, peer) &&
            link_state_of(c->link) == LINK_STATE_UP && link_facts(c->link) != NULL) {
            if (!mux_is_closing(link_mux(c->link))) {
                return c;
            }
            closing = c;
        }
    }
    return closing;
}

struct conn *conns_new(struct node *n, uint32_t id)
{
    bool has_room = n->n_conns < NODE_CONNS_MAX &&
                    timers_reserve(&n->conn_timers, IPX_MAX(n->n_conns + 1, CONNS_FIRST)) == IPX_OK;
    struct conn *c = has_room ? mem_alloc(n->mem, sizeof(*c)) : NULL;
    if (c == NULL) {
        return NULL;
    }
    c->id = id;
    timer_init(&c->timer, 0);
    list_init(&c->ready);
    list_init(&c->streams);
    list_push_front(&n->conns, &c->list);
    n->n_conns++;
    return c;
}

static void conn_free(struct node *n, struct conn *c)
{
    struct stream *s;
    struct list *next;
    LIST_EACH(s, next, &c->streams, struct stream, list)
    {
        streams_on_lost(n, s, IPX_CLOSED);
    }
    list_unlink(&c->list);
    list_unlink(&c->ready);
    timers_clear(&n->conn_timers, &c->timer);
    link_free(c->link);
    n->n_conns--;
    mem_free(n->mem, c);
}

void conns_done(struct node *n)
{
    struct conn *c;
    struct list *next;
    LIST_EACH(c, next, &n->conns, struct conn, list)
    {
        conn_free(n, c);
    }
    timers_done(&n->conn_timers);
    dials_done(n);
}

/* --- making a link --- */

static void refresh_context(struct node *n)
{
    struct link_context *x = &n->links;
    struct cert_chain_parts parts;
    x->chain = slice_of(n->chain, n->chain_len);
    x->ticket =
        n->chain_len == 0 ? slice_of(n->join.ticket.pub, n->join.ticket.pub_len) : SLICE_EMPTY;
    x->admitter_chain = SLICE_EMPTY;
    x->wall_offset_ms = node_wall_ms(n) - (int64_t)(n->now_us / US_PER_MS);
    if (n->chain_len > 0 && !n->self.is_plain && cert_chain_split(x->chain, &parts) == IPX_OK) {
        x->admitter_chain = members_chain_of(n, &n->self.admitter);
    }
}

static bool make_link(struct node *n, struct conn *c, enum link_role role)
{
    struct link_config config = {
        .context = &n->links, .role = role, .peer = c->peer, .observed = c->addr};
    refresh_context(n);
    return link_new(&config, n->now_us, &c->link) == IPX_OK;
}

/* --- inputs of the shell --- */

void node_on_accept(struct node *n, uint64_t now_us, uint32_t conn, const struct addr *from)
{
    n->now_us = now_us;
    struct conn *c = conns_new(n, conn);
    if (c == NULL) {
        n->refused[n->n_refused % NODE_REFUSED_MAX] = conn;
        n->n_refused += n->n_refused < NODE_REFUSED_MAX;
        return;
    }
    c->state = CONN_OPEN;
    c->addr = *from;
    if (!make_link(n, c, LINK_ANSWERER)) {
        c->wants_close = true;
    }
    conns_wake(n, c);
}

void node_on_local(struct node *n, uint64_t now_us, uint32_t conn, const struct node_local *who)
{
    n->now_us = now_us;
    struct conn *c = conns_new(n, conn);
    if (c == NULL) {
        n->refused[n->n_refused % NODE_REFUSED_MAX] = conn;
        n->n_refused += n->n_refused < NODE_REFUSED_MAX;
        return;
    }
    c->state = CONN_OPEN;
    c->is_local = true;
    c->local = *who;
    if (!make_link(n, c, LINK_LOCAL_NODE)) {
        c->wants_close = true;
    }
    conns_wake(n, c);
}

void node_on_connected(struct node *n, uint64_t now_us, uint32_t conn, enum ipx_err err)
{
    n->now_us = now_us;
    struct conn *c = conns_find(n, conn);
    if (c == NULL || c->state != CONN_DIALLING) {
        return;
    }
    if (err == IPX_OK && make_link(n, c, LINK_DIALLER)) {
        c->state = CONN_OPEN;
        conns_wake(n, c);
        return;
    }
    struct node_id peer = c->peer;
    if (err == IPX_OK) {
        c->wants_close = true;
        conns_wake(n, c);
    } else {
        conn_free(n, c);
    }
    dials_on_failed(n, &peer, conn);
}

void node_on_bytes(struct node *n, uint64_t now_us, uint32_t conn, struct slice bytes)
{
    n->now_us = now_us;
    struct conn *c = conns_find(n, conn);
    if (c == NULL || c->link == NULL || c->state != CONN_OPEN) {
        return;
    }
    link_recv(c->link, now_us, bytes);
    conns_events(n, c); /* the bytes are borrowed: all is taken from them now */
}

void node_on_writable(struct node *n, uint64_t now_us, uint32_t conn)
{
    n->now_us = now_us;
    struct conn *c = conns_find(n, conn);
    if (c != NULL) {
        c->is_writing = false;
        conns_wake(n, c);
    }
}

void node_on_closed(struct node *n, uint64_t now_us, uint32_t conn, enum ipx_err err)
{
    n->now_us = now_us;
    struct conn *c = conns_find(n, conn);
    if (c == NULL) {
        return;
    }
    c->is_gone = true;
    if (c->link != NULL) {
        link_on_eof(c->link, now_us, err);
        conns_events(n, c);
    }
    conns_wake(n, c);
}

/* --- events of a link --- */

static void close_duplicate(struct node *n, struct conn *c)
{
    struct conn *o;
    struct list *next;
    LIST_EACH(o, next, &n->conns, struct conn, list)
    {
        if (o != c && o->is_up && !o->is_local && o->link != NULL &&
            link_state_of(o->link) == LINK_STATE_UP && node_id_equal(&o->peer, &c->peer)) {
            struct link *loser = link_duplicate(c->link, o->link, &n->config.key.pk);
            if (loser != NULL) {
                struct conn *victim = loser == c->link ? c : o;
                /* What runs on it may end there: only new streams go to the other. */
                link_drain(loser, n->now_us, IPX_EXISTS);
                tunnels_on_goaway(n, victim);
                conns_wake(n, victim);
            }
            return;
        }
    }
}

static void on_link_up(struct node *n, struct conn *c)
{
    const struct node_id *peer = link_peer(c->link);
    c->is_up = true;
    if (c->is_local) {
        return;
    }
    assert(peer != NULL);
    c->peer = *peer;
    if (link_facts(c->link) == NULL) {
        return; /* a ticket holder: it may only ask for admission, in a tunnel */
    }
    events_tell(n, EVENTS_LINK_UP, peer, slice_text(c->is_dialled ? "dialled" : "accepted"));
    dials_adopt(n, c);
    close_duplicate(n, c);
}

static void on_link_down(struct node *n, struct conn *c, const struct link_event *e)
{
    if (c->is_up && !c->is_local) {
        events_tell(n, EVENTS_LINK_DOWN, &c->peer, slice_text(err_text(e->code)));
    }
    if (c->is_up && !c->is_local && e->code != IPX_END && n->has_cores && e->code != IPX_EXISTS) {
        gossip_on_link_broken(&n->gossip, n->now_us, &c->peer);
    }
    c->wants_close = true;
    conns_wake(n, c);
    if (!c->is_up && c->is_dialled) {
        dials_on_failed(n, &c->peer, c->id); /* whoever listens there is not the peer */
    }
}

void conns_events(struct node *n, struct conn *c)
{
    struct link_event e;
    while (c->link != NULL && link_poll(c->link, &e)) {
        switch (e.type) {
        case LINK_EVENT_UP:
            on_link_up(n, c);
            break;
        case LINK_EVENT_STREAM:
            if (e.stream.type == MUX_EVENT_GOAWAY) {
                tunnels_on_goaway(n, c);
            } else {
                streams_on_event(n, c, &e.stream);
            }
            break;
        case LINK_EVENT_DOWN:
            on_link_down(n, c, &e);
            break;
        }
    }
    conns_wake(n, c);
}

void conns_close(struct node *n, struct conn *c, enum ipx_err err)
{
    if (c->link != NULL) {
        link_close(c->link, n->now_us, err);
        conns_events(n, c);
    } else {
        c->wants_close = true;
    }
    conns_wake(n, c);
}

void conns_close_all(struct node *n)
{
    struct conn *c;
    struct list *next;
    LIST_EACH(c, next, &n->conns, struct conn, list)
    {
        if (!c->is_local) {
            conns_close(n, c, IPX_END);
        }
    }
    dials_end_all(n); /* no try of theirs is left */
}

/* --- output --- */

static bool write_some(struct node *n, struct conn *c, struct node_action *ret)
{
    if (c->link == NULL || c->is_writing || c->is_gone || c->state != CONN_OPEN) {
        return false;
    }
    size_t len = link_output(c->link, n->now_us, n->buffers->write, sizeof(n->buffers->write));
    if (len == 0) {
        return false;
    }
    c->is_writing = true;
    ret->type = NODE_ACTION_CONN_WRITE;
    ret->u.conn.conn = c->id;
    ret->u.conn.bytes = slice_of(n->buffers->write, len);
    return true;
}

/* All that it had to do now is done. */
static void settle(struct node *n, struct conn *c)
{
    uint64_t due = c->link != NULL ? link_deadline(c->link) : NEVER_US;
    list_unlink(&c->ready);
    if (c->timer.due_us != due || !timer_is_set(&c->timer)) {
        timers_set(&n->conn_timers, &c->timer, due);
    }
}

/* One connection: true if it has an action, which is in *ret. */
static bool drain_conn(struct node *n, struct conn *c, struct node_action *ret)
{
    conns_events(n, c);
    settle(n, c);
    if (c->wants_dial) {
        c->wants_dial = false;
        ret->type = NODE_ACTION_CONN_DIAL;
        ret->u.conn.conn = c->id;
        ret->u.conn.to = c->addr;
        ret->u.conn.is_coat = c->is_coat;
        return true;
    }
    if (write_some(n, c, ret)) {
        settle(n, c);
        return true; /* node_on_writable wakes it for the rest */
    }
    conns_events(n, c);
    settle(n, c);
    if (!c->is_gone && (!c->wants_close || c->is_writing)) {
        return false;
    }
    bool is_told = c->is_gone;
    uint32_t id = c->id;
    conn_free(n, c);
    ret->type = NODE_ACTION_CONN_CLOSE;
    ret->u.conn.conn = id;
    return !is_told;
}

bool conns_drain(struct node *n, struct node_action *ret)
{
    if (n->n_refused > 0) {
        ret->type = NODE_ACTION_CONN_CLOSE;
        ret->u.conn.conn = n->refused[--n->n_refused];
        return true;
    }
    while (!list_is_empty(&n->ready)) {
        struct conn *c = CONTAINER_OF(n->ready.next, struct conn, ready);
        if (drain_conn(n, c, ret)) {
            return true;
        }
    }
    return false;
}

/* --- time --- */

void conns_tick(struct node *n)
{
    struct timer *t;
    dials_tick(n);
    while ((t = timers_pop(&n->conn_timers, n->now_us)) != NULL) {
        struct conn *c = CONTAINER_OF(t, struct conn, timer);
        if (c->link != NULL && link_deadline(c->link) <= n->now_us) {
            link_tick(c->link, n->now_us);
        }
        conns_events(n, c); /* wakes it: that sets the timer anew */
    }
}

uint64_t conns_deadline(const struct node *n)
{
    uint64_t due = timers_deadline(&n->conn_timers);
    const struct list *l;
    for (l = n->ready.next; l != &n->ready; l = l->next) {
        const struct conn *c = CONTAINER_OF_CONST(l, struct conn, ready);
        if (c->link != NULL) {
            due = IPX_MIN(due, link_deadline(c->link));
        }
    }
    return IPX_MIN(due, dials_deadline(n));
}

void conns_check(const struct node *n)
{
    const struct list *l;
    for (l = n->conns.next; l != &n->conns; l = l->next) {
        const struct conn *c = CONTAINER_OF_CONST(l, struct conn, list);
        uint64_t due = c->link != NULL ? link_deadline(c->link) : NEVER_US;
        assert(list_is_linked(&c->ready) || c->timer.due_us == due);
    }
}
