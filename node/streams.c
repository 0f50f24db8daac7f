/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of links and of local clients, under one number each (a handle), as messages. */
#include "node/core.h"

#define STREAMS_STEP 64
#define STREAM_WAIT_MAX                                                                            \
    (64u << 20) /* said before there is room: bounded by the windows of exec                       \
                 */

void streams_init(struct node *n)
{
    n->streams.next_in = NODE_CONN_ACCEPTED;
    list_init(&n->streams.own);
}

void streams_done(struct node *n)
{
    for (uint32_t i = 0; i < n->streams.capacity; i++) {
        if (n->streams.table[i] != NULL) {
            streams_free(n, n->streams.table[i]);
        }
    }
    mem_free(n->mem, n->streams.table);
    map_done(&n->streams.by_handle);
    n->streams.table = NULL;
    n->streams.capacity = 0;
}

struct stream *streams_find(struct node *n, uint32_t handle)
{
    uint8_t key[4];
    store_be32(key, handle);
    uint32_t slot = n->streams.has_map ? map_find(&n->streams.by_handle, key) : MAP_EMPTY;
    return slot == MAP_EMPTY ? NULL : n->streams.table[slot];
}

/* Room for one more: the table and its index grow together. */
static bool grow(struct node *n)
{
    struct streams *t = &n->streams;
    if (t->n < t->capacity) {
        return true;
    }
    uint32_t capacity = t->capacity == 0 ? STREAMS_STEP : 2 * t->capacity;
    uint8_t secret[16];
    struct map map;
    if (capacity > STREAMS_MAX) {
        return false;
    }
    struct stream **table = mem_realloc(n->mem, t->table, capacity * sizeof(*table));
    if (table == NULL) {
        return false;
    }
    t->table = table;
    rng_fill(&n->rng, secret, sizeof(secret));
    if (map_init(&map, n->mem, capacity, 4, secret) != IPX_OK) {
        return false;
    }
    for (uint32_t i = 0; i < t->capacity; i++) {
        uint8_t key[4];
        store_be32(key, table[i]->handle);
        enum ipx_err err = map_set(&map, key, i);
        assert(err == IPX_OK);
        (void)err;
    }
    if (t->has_map) {
        map_done(&t->by_handle);
    }
    t->by_handle = map;
    t->has_map = true;
    t->capacity = capacity;
    return true;
}

struct stream *streams_new(struct node *n, uint32_t handle, enum stream_use use)
{
    uint8_t key[4];
    uint32_t slot = 0;
    struct stream *s = grow(n) ? mem_alloc(n->mem, sizeof(*s)) : NULL;
    if (s == NULL) {
        return NULL;
    }
    while (n->streams.table[slot] != NULL) {
        slot++;
    }
    s->handle = handle;
    s->use = use;
    s->slot = slot;
    s->created_us = n->now_us;
    list_init(&s->list);
    framing_init(&s->in, n->mem, NODE_MESSAGE_MAX);
    buf_init(&s->wait, n->mem, STREAM_WAIT_MAX);
    s->tunnel = use == STREAM_TUNNEL ? mem_alloc(n->mem, sizeof(*s->tunnel)) : NULL;
    store_be32(key, handle);
    if ((use == STREAM_TUNNEL && s->tunnel == NULL) ||
        map_set(&n->streams.by_handle, key, slot) != IPX_OK) {
        mem_free(n->mem, s->tunnel);
        mem_free(n->mem, s);
        return NULL;
    }
    n->streams.table[slot] = s;
    n->streams.n++;
    return s;
}

uint32_t streams_new_handle(struct node *n)
{
    do {
        n->streams.next_in = (n->streams.next_in + 1) | NODE_CONN_ACCEPTED;
    } while (streams_find(n, n->streams.next_in) != NULL);
    return n->streams.next_in;
}

void streams_wait_for(struct node *n, struct stream *s, enum stream_waits what)
{
    n->streams.n_waiting -= s->waits_for != STREAM_WAITS_NOTHING;
    n->streams.n_waiting += what != STREAM_WAITS_NOTHING;
    s->waits_for = what;
}

void streams_free(struct node *n, struct stream *s)
{
    uint8_t key[4];
    streams_wait_for(n, s, STREAM_WAITS_NOTHING);
    store_be32(key, s->handle);
    map_remove(&n->streams.by_handle, key);
    n->streams.table[s->slot] = NULL;
    n->streams.n--;
    list_unlink(&s->list);
    framing_done(&s->in);
    buf_done(&s->wait);
    mem_free(n->mem, s->tunnel);
    mem_free(n->mem, s);
}

static struct mux *mux_of(struct node *n, const struct stream *s)
{
    struct conn *c = s->conn != 0 && s->conn != STREAM_CONN_OWN ? conns_find(n, s->conn) : NULL;
    return c != NULL && c->link != NULL ? link_mux(c->link) : NULL;
}

/* --- out --- */

static bool keep(struct node *n, struct stream *s, uint8_t type, struct slice body)
{
    uint8_t head[FRAMING_HEAD_LEN];
    framing_head(type, body.len, head);
    if (s->wait.len + sizeof(head) + body.len > STREAM_WAIT_MAX ||
        buf_append(&s->wait, slice_of(head, sizeof(head))) != IPX_OK ||
        buf_append(&s->wait, body) != IPX_OK) {
        streams_break(n, s, IPX_FULL);
        return false;
    }
    return true;
}

static void flush(struct node *n, struct stream *s)
{
    struct mux *m = mux_of(n, s);
    if (m == NULL) {
        return;
    }
    while (s->wait.len > 0) {
        size_t taken = mux_send(m, s->id, buf_slice(&s->wait));
        if (taken == 0) {
            break;
        }
        buf_consume(&s->wait, taken);
    }
    if (s->wait.len == 0 && s->is_finishing && !s->is_finished) {
        s->is_finished = true;
        mux_finish(m, s->id);
    }
    conns_wake(n, conns_find(n, s->conn));
}

void streams_send(struct node *n, struct stream *s, uint8_t type, struct slice body)
{
    struct mux *m = mux_of(n, s);
    if (s->is_finishing) {
        return;
    }
    if (s->conn == STREAM_CONN_OWN) {
        struct stream *other = streams_find(n, s->id);
        if (other != NULL && keep(n, other, type, body) && !list_is_linked(&other->list)) {
            list_push_back(&n->streams.own, &other->list);
        }
        return;
    }
    if (m != NULL && s->wait.len == 0 && framing_send(m, s->id, type, body)) {
        conns_wake(n, conns_find(n, s->conn));
    } else if (keep(n, s, type, body)) {
        flush(n, s);
    }
}

bool streams_write(struct node *n, struct stream *s, struct slice bytes)
{
    struct mux *m = mux_of(n, s);
    if (m != NULL && s->wait.len == 0 && mux_send_message(m, s->id, bytes, SLICE_EMPTY)) {
        conns_wake(n, conns_find(n, s->conn));
        return true;
    }
    if (buf_append(&s->wait, bytes) != IPX_OK) {
        return false;
    }
    flush(n, s);
    return true;
}

size_t streams_queued(struct node *n, const struct stream *s)
{
    struct mux *m = mux_of(n, s);
    size_t room = m != NULL ? mux_send_room(m, s->id) : MUX_SEND_MAX_DEFAULT;
    return s->wait.len + MUX_SEND_MAX_DEFAULT - IPX_MIN(room, (size_t)MUX_SEND_MAX_DEFAULT);
}

void streams_finish(struct node *n, struct stream *s)
{
    s->is_finishing = true;
    if (s->conn == STREAM_CONN_OWN) {
        struct stream *other = streams_find(n, s->id);
        if (other != NULL) {
            other->is_other_done = true;
            if (!list_is_linked(&other->list)) {
                list_push_back(&n->streams.own, &other->list);
            }
        }
    } else if (s->conn != 0) {
        flush(n, s);
    }
}

void streams_break(struct node *n, struct stream *s, enum ipx_err err)
{
    struct mux *m = mux_of(n, s);
    if (m != NULL) {
        mux_reset(m, s->id, err);
        conns_wake(n, conns_find(n, s->conn));
    } else if (s->conn == STREAM_CONN_OWN) {
        streams_finish(n, s);
    }
    streams_on_lost(n, s, err);
}

void streams_open_on(struct node *n, struct stream *s, struct conn *c)
{
    enum mux_class class = s->protocol == NODE_PROTOCOL_TAP      ? MUX_CLASS_LIVE
                           : s->protocol == NODE_PROTOCOL_TUNNEL ? MUX_CLASS_CONTROL
                                                                 : MUX_CLASS_RPC;
    enum ipx_err err = mux_open(link_mux(c->link), s->protocol, class, s->handle, &s->id);
    if (err != IPX_OK) {
        streams_on_lost(n, s, err);
        return;
    }
    s->conn = c->id;
    list_push_back(&c->streams, &s->list);
    flush(n, s);
    if (s->use == STREAM_TUNNEL) {
        tunnels_on_open(n, c, s);
    }
}

void streams_open_exec(struct node *n, uint32_t handle, const struct node_id *to, uint8_t protocol)
{
    struct stream *s = streams_new(n, handle, STREAM_EXEC);
    if (s == NULL) {
        exec_on_stream_closed(n->exec, n->now_us, handle, IPX_NO_MEMORY);
        return;
    }
    s->peer = *to;
    s->protocol = protocol;
    if (node_id_equal(to, &n->config.key.pk)) {
        streams_open_own(n, s);
    } else {
        conns_attach(n, s);
    }
}

/* --- in --- */

void streams_on_lost(struct node *n, struct stream *s, enum ipx_err err)
{
    enum stream_use use = s->use;
    uint32_t handle = s->handle;
    struct node_id peer = s->peer;
    bool is_known = !s->is_forgotten;
    streams_free(n, s);
    if (use == STREAM_TUNNEL) {
        tunnels_on_lost(n, &peer, handle, err);
    }
    if (!is_known || n->exec == NULL) {
        return;
    }
    if (use == STREAM_EXEC) {
        exec_on_stream_closed(n->exec, n->now_us, handle, err);
    } else if (use == STREAM_EXEC_CLIENT) {
        exec_on_client_closed(n->exec, n->now_us, handle);
    }
}

static void hand_over(struct node *n, struct stream *s, uint8_t type, struct slice body)
{
    struct conn *c;
    switch (s->use) {
    case STREAM_CONTROL:
        c = conns_find(n, s->conn);
        control_message(n, s, &c->local, type, body);
        break;
    case STREAM_EXEC_CLIENT:
        exec_on_client_message(n->exec, n->now_us, s->handle, type, body);
        break;
    case STREAM_EXEC:
        exec_on_stream_message(n->exec, n->now_us, s->handle, type, body);
        break;
    case STREAM_FETCH:
        fetch_message(n, s, type, body);
        break;
    case STREAM_TUNNEL: /* not in messages of this form */
    case STREAM_FREE:
        break;
    }
}

static void on_data(struct node *n, struct conn *c, struct stream *s, struct slice data)
{
    uint32_t handle = s->handle, id = s->id;
    struct slice left = data;
    uint8_t type;
    struct slice body;
    enum ipx_err err;
    while ((err = framing_next(&s->in, &left, &type, &body)) == IPX_OK) {
        if (!s->is_forgotten) {
            hand_over(n, s, type, body);
        }
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

static enum ipx_err client_rights(const struct conn *c, uint32_t *ret)
{
    if (c->local.is_below_spawner) {
        return IPX_DENIED;
    }
    *ret = EXEC_RIGHT_SUBMIT | (c->local.is_owner ? EXEC_RIGHT_ADMIN : 0);
    return IPX_OK;
}

static void refuse_client(struct node *n, struct stream *s, enum ipx_err err)
{
    uint8_t bytes[256];
    struct writer w = writer_of(bytes, sizeof(bytes));
    bool is_task = err == IPX_DENIED;
    struct exec_error e = {
        .exit_code = 1,
        .err = err,
        .what = slice_text(is_task ? "not allowed" : "the node is not a member yet"),
        .why = slice_text(is_task ? "a task may not submit tasks or sources" : "it is joining"),
        .hint = slice_text(is_task ? "" : "See: ipx-node status")};
    exec_error_encode(&e, &w);
    streams_send(n, s, EXEC_MSG_ERROR, writer_slice(&w));
    s->is_forgotten = true;
    streams_finish(n, s);
}

static void open_client(struct node *n, struct conn *c, struct stream *s)
{
    uint32_t rights = 0;
    enum ipx_err err = n->has_cores ? client_rights(c, &rights) : IPX_NOT_YET;
    if (err != IPX_OK) {
        refuse_client(n, s, err);
    } else if (s->protocol == NODE_PROTOCOL_SOURCE_CLIENT) {
        exec_on_source_client(n->exec, n->now_us, s->handle, c->local.user, rights);
    } else {
        exec_on_client(n->exec, n->now_us, s->handle, c->local.user, rights);
    }
}

/* What a stream of this protocol is for; STREAM_FREE: nobody opens such a one here. */
static enum stream_use use_of(const struct node *n, const struct conn *c, const struct mux_event *e)
{
    bool is_member = n->has_cores && !c->is_local && link_facts(c->link) != NULL;
    switch ((enum node_protocol)e->protocol) {
    case NODE_PROTOCOL_CONTROL:
        return c->is_local ? STREAM_CONTROL : STREAM_FREE;
    case NODE_PROTOCOL_EXEC_CLIENT:
    case NODE_PROTOCOL_SOURCE_CLIENT:
        return c->is_local ? STREAM_EXEC_CLIENT : STREAM_FREE;
    case NODE_PROTOCOL_JOB:
    case NODE_PROTOCOL_TAP:
        return is_member ? STREAM_EXEC : STREAM_FREE;
    case NODE_PROTOCOL_FETCH:
        return is_member ? STREAM_FETCH : STREAM_FREE;
    case NODE_PROTOCOL_TUNNEL:
        return e->class == MUX_CLASS_CONTROL && tunnels_may_open(n, c) ? STREAM_TUNNEL
                                                                       : STREAM_FREE;
    }
    return STREAM_FREE;
}

static void on_opened(struct node *n, struct conn *c, const struct mux_event *e)
{
    enum stream_use use = use_of(n, c, e);
    struct stream *s = use == STREAM_FREE ? NULL : streams_new(n, streams_new_handle(n), use);
    if (s == NULL) {
        mux_reset(link_mux(c->link), e->stream, IPX_REFUSED);
        return;
    }
    s->conn = c->id;
    s->id = e->stream;
    s->peer = c->peer;
    s->protocol = e->protocol;
    list_push_back(&c->streams, &s->list);
    mux_set_cookie(link_mux(c->link), e->stream, s->handle);
    if (use == STREAM_EXEC) {
        exec_on_stream(n->exec, n->now_us, link_facts(c->link), s->handle, (uint8_t)e->protocol);
    } else if (use == STREAM_EXEC_CLIENT) {
        open_client(n, c, s);
    } else if (use == STREAM_TUNNEL) {
        tunnels_on_open(n, c, s);
    }
}

static void on_finished(struct node *n, struct stream *s)
{
    struct mux *m = mux_of(n, s);
    if (m != NULL && !s->is_finished) {
        s->is_finished = true;
        mux_finish(m, s->id);
    }
    streams_on_lost(n, s, framing_is_between(&s->in) ? IPX_OK : IPX_CLOSED);
}

void streams_on_event(struct node *n, struct conn *c, const struct mux_event *e)
{
    if (e->type == MUX_EVENT_OPENED) {
        on_opened(n, c, e);
        return;
    }
    struct stream *s = e->stream != 0 ? streams_find(n, (uint32_t)e->cookie) : NULL;
    if (s == NULL) {
        if (e->type == MUX_EVENT_DATA) { /* of a stream we are done with */
            mux_consume(link_mux(c->link), e->stream, e->data.len);
        }
        return;
    }
    switch (e->type) {
    case MUX_EVENT_DATA:
        if (s->use == STREAM_TUNNEL) {
            tunnels_on_data(n, c, s, e->data);
        } else {
            on_data(n, c, s, e->data);
        }
        break;
    case MUX_EVENT_FINISHED:
        on_finished(n, s);
        break;
    case MUX_EVENT_RESET:
        streams_on_lost(n, s, e->code);
        break;
    case MUX_EVENT_WRITABLE:
        flush(n, s);
        break;
    case MUX_EVENT_OPENED:
    case MUX_EVENT_PONG:
    case MUX_EVENT_GOAWAY:
    case MUX_EVENT_ERROR:
        break;
    }
}
