/* SPDX-License-Identifier: Apache-2.0 */
/* Links being made: one address after the other, a moment after the first one the peer's coat
 * beside them, then the peer is asked to dial back. What comes up first stays. The streams that
 * want the link wait here. */
#include "node/core.h"
#include "node/session_wire.h"

#define DIAL_TRY_US (2 * US_PER_S)      /* one address; the next is tried then */
#define DIAL_COAT_US (250 * US_PER_MS)  /* bare connections get so much of a start (RFC 8305) */
#define DIAL_GIVE_UP_US (10 * US_PER_S) /* all of them, and being dialled back */

static struct dial *find_dial(struct node *n, const struct node_id *peer)
{
    struct dial *d;
    struct list *next;
    LIST_EACH(d, next, &n->dials, struct dial, list)
    {
        if (node_id_equal(&d->peer, peer)) {
            return d;
        }
    }
    return NULL;
}

static void end_dial(struct node *n, struct dial *d, enum ipx_err err)
{
    struct stream *s;
    struct list *next;
    list_unlink(&d->list);
    LIST_EACH(s, next, &d->streams, struct stream, list)
    {
        list_unlink(&s->list);
        streams_on_lost(n, s, err);
    }
    mem_free(n->mem, d);
}

/* Of the peer's address or, `is_coat`, within TLS; 0: too many connections. */
static uint32_t begin_conn(struct node *n, struct dial *d, const struct addr *addr, bool is_coat)
{
    while (conns_find(n, n->next_conn) != NULL || n->next_conn == 0) {
        n->next_conn = (n->next_conn + 1) % NODE_CONN_ACCEPTED;
    }
    struct conn *c = conns_new(n, n->next_conn);
    if (c == NULL) {
        return 0;
    }
    n->next_conn = (n->next_conn + 1) % NODE_CONN_ACCEPTED;
    c->state = CONN_DIALLING;
    c->is_dialled = c->wants_dial = true;
    c->peer = d->peer;
    c->addr = *addr;
    c->is_coat = is_coat;
    conns_wake(n, c);
    return c->id;
}

static void dial_coat(struct node *n, struct dial *d)
{
    const struct addr *coat = members_coat(n, &d->peer);
    d->coat_us = NEVER_US;
    d->coat_conn = coat != NULL ? begin_conn(n, d, coat, true) : 0;
}

static void ask_reverse(struct node *n, const struct node_id *peer)
{
    struct session_reverse m = {0};
    struct writer w = writer_of(n->buffers->body, sizeof(n->buffers->body));
    while (m.n < SESSION_REVERSE_MAX && m.n < n->config.n_listen) {
        m.addrs[m.n] = n->config.listen[m.n];
        m.n++;
    }
    session_reverse_encode(&m, &w);
    members_send(n, peer, NULL, SESSION_REVERSE, 0, writer_slice(&w));
}

/* Of no use to these: who could be asked by datagram to dial back needs no tunnel. */
static bool is_for_tunnel(const struct dial *d)
{
    const struct list *l = d->streams.next;
    while (l != &d->streams && CONTAINER_OF_CONST(l, struct stream, list)->use == STREAM_TUNNEL) {
        l = l->next;
    }
    return l == &d->streams && !list_is_empty(&d->streams);
}

/* The next address; when all have failed the peer is asked to dial us, and all are tried again. */
static void dial_next(struct node *n, struct dial *d)
{
    struct addr addrs[GOSSIP_ADDRS_MAX + 2];
    size_t count = members_addrs(n, &d->peer, addrs, ARRAY_LEN(addrs));
    if (d->hint.family != ADDR_NONE && count < ARRAY_LEN(addrs)) {
        addrs[count++] = d->hint;
    }
    d->conn = 0;
    if (d->next_addr < count) {
        const struct addr *addr = &addrs[d->next_addr++];
        d->conn = begin_conn(n, d, addr, false);
        d->try_us = n->now_us + DIAL_TRY_US;
        if (d->conn == 0) {
            end_dial(n, d, IPX_FULL);
        }
        return;
    }
    if (d->coat_us != NEVER_US) {
        dial_coat(n, d);
    }
    if (d->coat_conn != 0) {
        d->try_us = d->due_us; /* all now rests on the coat */
    } else if (is_for_tunnel(d)) {
        end_dial(n, d, IPX_UNREACHABLE);
    } else { /* it may be restarting: they are tried again */
        d->next_addr = 0;
        d->try_us = n->now_us + DIAL_TRY_US;
        if (!d->is_reversed) {
            d->is_reversed = true;
            ask_reverse(n, &d->peer);
        }
    }
}

static struct dial *dial_to(struct node *n, const struct node_id *peer, const struct addr *hint)
{
    struct dial *d = find_dial(n, peer);
    if (d != NULL) {
        return d;
    }
    d = mem_alloc(n->mem, sizeof(*d));
    if (d == NULL) {
        return NULL;
    }
    d->peer = *peer;
    d->due_us = n->now_us + DIAL_GIVE_UP_US;
    d->try_us = n->now_us;
    d->coat_us = members_coat(n, peer) != NULL ? n->now_us + DIAL_COAT_US : NEVER_US;
    d->hint = hint != NULL ? *hint : (struct addr){.family = ADDR_NONE};
    list_init(&d->streams);
    list_push_back(&n->dials, &d->list);
    return d;
}

void conns_reach(struct node *n, const struct node_id *peer, const struct addr *addr)
{
    if (conns_of_peer(n, peer) == NULL) {
        dial_to(n, peer, addr);
    }
}

void conns_on_reverse(struct node *n, const struct node_id *peer, const struct addr *addr)
{
    conns_reach(n, peer, addr);
}

void conns_attach(struct node *n, struct stream *s)
{
    struct conn *c = conns_of_peer(n, &s->peer);
    if (c != NULL && !mux_is_closing(link_mux(c->link))) {
        streams_open_on(n, s, c);
        return;
    }
    struct dial *d = dial_to(n, &s->peer, NULL);
    if (d == NULL) {
        streams_on_lost(n, s, IPX_NO_MEMORY);
        return;
    }
    list_push_back(&d->streams, &s->list);
}

/* A try that is not needed any more, or has taken too long. */
static void abandon(struct node *n, uint32_t conn)
{
    struct conn *c = conn != 0 ? conns_find(n, conn) : NULL;
    if (c != NULL && !c->is_up) {
        c->wants_close = true;
        conns_wake(n, c);
    }
}

void dials_adopt(struct node *n, struct conn *c)
{
    struct dial *d = find_dial(n, &c->peer);
    struct stream *s;
    struct list *next;
    if (d == NULL) {
        return;
    }
    list_unlink(&d->list);
    abandon(n, d->conn);
    abandon(n, d->coat_conn);
    if (c->is_coat) { /* also one that the ticket told: it is not saved yet */
        coats_put(&n->coats, &c->peer, &c->addr);
        node_save_later(n, NODE_SAVE_COATS);
    }
    LIST_EACH(s, next, &d->streams, struct stream, list)
    {
        list_unlink(&s->list);
        streams_open_on(n, s, c);
    }
    mem_free(n->mem, d);
}

/* The connection of a try came to nothing. */
void dials_on_failed(struct node *n, const struct node_id *peer, uint32_t conn)
{
    struct dial *d = find_dial(n, peer);
    if (d != NULL && d->coat_conn == conn) {
        d->coat_conn = 0;
        if (d->conn == 0) {
            dial_next(n, d);
        }
    } else if (d != NULL && d->conn == conn) {
        dial_next(n, d);
    }
}

void dials_tick(struct node *n)
{
    struct dial *d;
    struct list *next;
    LIST_EACH(d, next, &n->dials, struct dial, list)
    {
        if (n->now_us >= d->due_us) {
            end_dial(n, d, IPX_UNREACHABLE);
        } else if (n->now_us >= d->coat_us) {
            dial_coat(n, d);
        } else if (n->now_us >= d->try_us) {
            d->try_us = d->due_us;
            abandon(n, d->conn);
            dial_next(n, d);
        }
    }
}

uint64_t dials_deadline(const struct node *n)
{
    uint64_t due = NEVER_US;
    for (const struct list *l = n->dials.next; l != &n->dials; l = l->next) {
        const struct dial *d = CONTAINER_OF_CONST(l, struct dial, list);
        due = IPX_MIN(due, IPX_MIN(IPX_MIN(d->due_us, d->try_us), d->coat_us));
    }
    return due;
}

void dials_end_all(struct node *n)
{
    struct dial *d;
    struct list *next;
    LIST_EACH(d, next, &n->dials, struct dial, list)
    {
        end_dial(n, d, IPX_CLOSED);
    }
}

void dials_done(struct node *n)
{
    struct dial *d;
    struct list *next;
    LIST_EACH(d, next, &n->dials, struct dial, list)
    {
        while (!list_is_empty(&d->streams)) {
            list_unlink(d->streams.next); /* streams_done frees them */
        }
        list_unlink(&d->list);
        mem_free(n->mem, d);
    }
}
