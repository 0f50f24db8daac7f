/* SPDX-License-Identifier: Apache-2.0 */
#include "node/link_core.h"

static const struct sm_state link_states[] = {
    [LINK_STATE_DIALLING] = {"dialling", SM_TO(LINK_STATE_UP) | SM_TO(LINK_STATE_DOWN), false},
    [LINK_STATE_ANSWERING] = {"answering", SM_TO(LINK_STATE_UNCONFIRMED) | SM_TO(LINK_STATE_DOWN),
                              false},
    [LINK_STATE_UNCONFIRMED] = {"unconfirmed", SM_TO(LINK_STATE_UP) | SM_TO(LINK_STATE_DOWN),
                                false},
    [LINK_STATE_UP] = {"up", SM_TO(LINK_STATE_CLOSING) | SM_TO(LINK_STATE_DOWN), false},
    [LINK_STATE_CLOSING] = {"closing", SM_TO(LINK_STATE_DOWN), false},
    [LINK_STATE_DOWN] = {"down", 0, true},
};

const struct sm_table link_state_table = {"link", link_states, ARRAY_LEN(link_states)};

/* Life */

enum ipx_err link_make_mux(struct link *l)
{
    bool is_opener = l->role == LINK_DIALLER || l->role == LINK_LOCAL_CLIENT;
    struct mux_config config = {.role = is_opener ? MUX_DIALLER : MUX_ACCEPTOR, .mem = l->mem};
    return mux_new(&config, &l->mux);
}

static enum ipx_err link_begin(struct link *l)
{
    enum ipx_err err = IPX_OK;
    switch (l->role) {
    case LINK_DIALLER:
        l->state = LINK_STATE_DIALLING;
        l->due_us = l->now_us + LINK_DIAL_US;
        err = link_make_mux(l);
        return err == IPX_OK ? link_hello_new(l) : err;
    case LINK_ANSWERER:
        l->state = LINK_STATE_ANSWERING;
        l->due_us = l->now_us + LINK_ACCEPT_US;
        return link_hello_new(l);
    case LINK_LOCAL_CLIENT:
    case LINK_LOCAL_NODE:
        l->state = LINK_STATE_UP;
        l->is_up_owed = true;
        return link_make_mux(l);
    }
    return IPX_INTERNAL;
}

enum ipx_err link_new(const struct link_config *config, uint64_t now_us, struct link **ret)
{
    struct link_context *c = config->context;
    bool is_dialler = config->role == LINK_DIALLER;
    assert(!is_dialler || c->chain.len > 0 || c->ticket.len > 0);
    if (is_dialler && node_id_equal(&config->peer, &c->self->key.pk)) {
        return IPX_SELF;
    }
    struct link *l = mem_alloc(c->mem, sizeof(*l));
    if (l == NULL) {
        return IPX_NO_MEMORY;
    }
    l->context = c;
    l->mem = c->mem;
    l->role = config->role;
    l->cookie = config->cookie;
    l->now_us = now_us;
    l->up_us = now_us;
    l->observed = config->observed;
    l->peer = config->peer;
    l->has_peer = is_dialler;
    l->idle_since_us = now_us;
    l->ping_due_us = NEVER_US;
    enum ipx_err err = link_begin(l);
    if (err != IPX_OK) {
        link_free(l);
        return err;
    }
    *ret = l;
    return IPX_OK;
}

void link_free(struct link *l)
{
    if (l == NULL) {
        return;
    }
    link_hello_free(l);
    record_sealer_done(&l->sealer);
    record_opener_done(&l->opener);
    mux_free(l->mux);
    mem_free(l->mem, l);
}

/* Ends */

void link_down(struct link *l, enum ipx_err code, const char *why)
{
    assert(code != IPX_OK);
    if (l->state == LINK_STATE_DOWN) {
        return;
    }
    sm_move(&link_state_table, &l->state, LINK_STATE_DOWN);
    l->code = code;
    l->why = why;
    l->in = SLICE_EMPTY;
    if (l->mux != NULL) {
        mux_fail(l->mux, code == IPX_END ? IPX_CLOSED : code, why);
    }
    trace_emit(l->context->trace, l->now_us, TRACE_LINK, "link down", l->has_peer ? &l->peer : NULL,
               (uint64_t)(int64_t)code, 0);
}

/* The way out of UP: streams die, GOAWAY and CLOSE are to be written. */
static void link_begin_close(struct link *l, enum ipx_err code, const char *why)
{
    sm_move(&link_state_table, &l->state, LINK_STATE_CLOSING);
    l->code = code;
    l->why = why;
    l->is_close_owed = true;
    l->due_us = l->now_us + LINK_CLOSE_US;
    mux_fail(l->mux, code == IPX_END ? IPX_CLOSED : code, why);
}

void link_close(struct link *l, uint64_t now_us, enum ipx_err code)
{
    assert(code > IPX_OK);
    l->now_us = now_us;
    if (l->state == LINK_STATE_UP) {
        link_begin_close(l, code, "closed by this end");
    } else if (l->state < LINK_STATE_UP) {
        link_down(l, code, "given up during the handshake");
    }
}

void link_look_at_streams(struct link *l)
{
    if (l->state != LINK_STATE_UP) {
        return;
    }
    if (mux_n_streams(l->mux) > 0) {
        if (l->idle_since_us != NEVER_US) {
            l->ping_due_us = l->now_us + LINK_PING_US;
        }
        l->idle_since_us = NEVER_US;
        return;
    }
    if (l->idle_since_us == NEVER_US) {
        l->idle_since_us = l->now_us;
    }
    if (l->is_draining) {
        link_begin_close(l, l->drain_code, "drained");
    } else if (!link_is_local(l) && l->now_us >= l->idle_since_us + LINK_IDLE_US) {
        link_begin_close(l, IPX_END, "idle");
    }
}

void link_drain(struct link *l, uint64_t now_us, enum ipx_err code)
{
    l->now_us = now_us;
    if (l->state == LINK_STATE_UP) {
        l->is_draining = true;
        l->drain_code = code;
        mux_goaway(l->mux, code);
        link_look_at_streams(l);
    } else if (l->state < LINK_STATE_UP) {
        link_down(l, code, "given up during the handshake");
    }
}

/* Inputs */

void link_recv(struct link *l, uint64_t now_us, struct slice bytes)
{
    l->now_us = now_us;
    if (l->state == LINK_STATE_DOWN || l->is_refused) {
        return;
    }
    if (link_is_local(l) || l->state < LINK_STATE_UNCONFIRMED) {
        assert(l->in.len == 0);
        l->in = bytes;
    } else {
        record_opener_feed(&l->opener, bytes);
    }
}

void link_on_eof(struct link *l, uint64_t now_us, enum ipx_err err)
{
    l->now_us = now_us;
    enum ipx_err cut = err == IPX_END ? IPX_CLOSED : err;
    if (l->state == LINK_STATE_CLOSING || l->is_refused) {
        link_down(l, l->code, l->why);
    } else if (l->state < LINK_STATE_UP) {
        link_down(l, cut, "the connection ended during the handshake");
    } else if (link_is_local(l) && err == IPX_END) {
        link_down(l, IPX_END, "the local client has gone"); /* its streams still end in an error */
    } else {
        link_down(l, cut, "the connection ended before CLOSE");
    }
}

/* Silence while streams are open: PING, and after three that nothing followed the link is dead. */
static void link_keep_alive(struct link *l)
{
    if (link_is_local(l) || l->idle_since_us != NEVER_US || l->now_us < l->ping_due_us) {
        return;
    }
    if (l->n_lost >= LINK_PING_LOSSES) {
        link_down(l, IPX_TIMEOUT, "no answer to PING");
        return;
    }
    l->n_lost++;
    l->ping_due_us = l->now_us + LINK_PING_US;
    mux_ping(l->mux);
}

void link_tick(struct link *l, uint64_t now_us)
{
    l->now_us = now_us;
    if (l->mux != NULL) {
        mux_tick(l->mux, now_us);
    }
    if (l->state == LINK_STATE_UP) {
        link_look_at_streams(l);
    }
    if (l->state == LINK_STATE_UP) {
        link_keep_alive(l);
    } else if (l->state == LINK_STATE_CLOSING && now_us >= l->due_us) {
        link_down(l, l->code, l->why);
    } else if (l->state < LINK_STATE_UP && now_us >= l->due_us) {
        link_down(l, IPX_TIMEOUT, "the handshake took too long");
    }
}

uint64_t link_deadline(const struct link *l)
{
    if (l->state == LINK_STATE_DOWN) {
        return NEVER_US;
    }
    if (l->state != LINK_STATE_UP) {
        return l->due_us;
    }
    uint64_t due_us = mux_deadline(l->mux);
    if (link_is_local(l)) {
        return due_us;
    }
    bool is_idle = l->idle_since_us != NEVER_US;
    return IPX_MIN(due_us, is_idle ? l->idle_since_us + LINK_IDLE_US : l->ping_due_us);
}

/* Events */

void link_become_up(struct link *l)
{
    sm_move(&link_state_table, &l->state, LINK_STATE_UP);
    l->is_up_owed = true;
    l->up_us = l->now_us;
    l->idle_since_us = l->now_us;
    trace_emit(l->context->trace, l->now_us, TRACE_LINK, "link up", &l->peer,
               l->role == LINK_DIALLER, l->suite);
}

/* CLOSE of the other end: what it said in GOAWAY is the reason. */
static void link_on_close(struct link *l)
{
    l->is_peer_closed = true;
    if (l->state == LINK_STATE_UP) {
        enum ipx_err code = l->peer_code == IPX_OK ? IPX_END : l->peer_code;
        link_begin_close(l, code, "closed by the other end");
    } else if (l->state == LINK_STATE_UNCONFIRMED) {
        link_down(l, IPX_CLOSED, "closed by the other end during the handshake");
    } else if (!l->is_close_owed) {
        link_down(l, l->code, l->why);
    }
}

/* A record whose tag was right. */
static void link_on_record(struct link *l, struct slice plain)
{
    l->n_lost = 0;
    l->ping_due_us = l->now_us + LINK_PING_US;
    if (l->state == LINK_STATE_UNCONFIRMED) {
        if (link_make_mux(l) != IPX_OK) {
            link_down(l, IPX_NO_MEMORY, "no memory for a link");
            return;
        }
        link_become_up(l);
    }
    if (l->state == LINK_STATE_UP) {
        mux_recv(l->mux, l->now_us, plain);
    }
}

/* Takes the next piece of input; false when there is none left. */
static bool link_advance(struct link *l)
{
    if (link_is_local(l)) {
        struct slice bytes = l->in;
        l->in = SLICE_EMPTY;
        if (bytes.len > 0 && l->state == LINK_STATE_UP) {
            mux_recv(l->mux, l->now_us, bytes);
        }
        return bytes.len > 0;
    }
    if (l->is_refused) {
        l->in = SLICE_EMPTY;
        return false;
    }
    if (l->state < LINK_STATE_UNCONFIRMED) {
        return link_hello_advance(l);
    }
    struct slice plain;
    enum ipx_err err = l->is_peer_closed ? IPX_AGAIN : record_open(&l->opener, &plain);
    switch ((int)err) {
    case IPX_OK:
        link_on_record(l, plain);
        return true;
    case IPX_AGAIN:
        l->opener.in = SLICE_EMPTY;
        return false;
    case IPX_END:
        link_on_close(l);
        return true;
    default:
        link_down(l, err, "a record that is not the peer's");
        return true;
    }
}

/* A stream's event; what ends the mux ends the link. */
static bool link_poll_mux(struct link *l, struct link_event *ret)
{
    struct mux_event e;
    while (l->mux != NULL && mux_poll(l->mux, &e)) {
        if (e.type == MUX_EVENT_ERROR) {
            if (l->state == LINK_STATE_UP) {
                link_down(l, e.code, e.why);
            }
            continue;
        }
        if (e.type == MUX_EVENT_PONG) {
            l->rtt_us = e.rtt_us;
        } else if (e.type == MUX_EVENT_GOAWAY) {
            l->peer_code = e.code;
        }
        *ret = (struct link_event){.type = LINK_EVENT_STREAM, .stream = e};
        return true;
    }
    return false;
}

bool link_poll(struct link *l, struct link_event *ret)
{
    for (;;) {
        if (l->is_up_owed) {
            l->is_up_owed = false;
            *ret = (struct link_event){.type = LINK_EVENT_UP};
            return true;
        }
        if (link_poll_mux(l, ret)) {
            return true;
        }
        if (l->state == LINK_STATE_DOWN) {
            bool is_news = !l->is_down_told;
            l->is_down_told = true;
            *ret = (struct link_event){.type = LINK_EVENT_DOWN, .code = l->code, .why = l->why};
            return is_news;
        }
        if (!link_advance(l) && l->state != LINK_STATE_DOWN) {
            link_look_at_streams(l);
            return false;
        }
    }
}

/* Queries */

struct mux *link_mux(struct link *l)
{
    return l->mux;
}

enum link_state link_state_of(const struct link *l)
{
    return (enum link_state)l->state;
}

const struct cert_facts *link_facts(const struct link *l)
{
    return l->has_facts ? &l->facts : NULL;
}

const struct node_id *link_peer(const struct link *l)
{
    return l->has_peer ? &l->peer : NULL;
}

struct slice link_ticket(const struct link *l)
{
    return slice_of(l->ticket, l->ticket_len);
}

const struct addr *link_observed(const struct link *l)
{
    return &l->observed;
}

enum crypt_suite link_suite(const struct link *l)
{
    return l->suite;
}

uint64_t link_rtt_us(const struct link *l)
{
    return l->rtt_us;
}

uint64_t link_cookie(const struct link *l)
{
    return l->cookie;
}

bool link_is_dialler(const struct link *l)
{
    return l->role == LINK_DIALLER;
}

bool link_is_idle(const struct link *l)
{
    return l->state == LINK_STATE_UP && mux_n_streams(l->mux) == 0;
}

struct link *link_duplicate(struct link *a, struct link *b, const struct node_id *self)
{
    assert(a != b && node_id_equal(&a->peer, &b->peer));
    if (link_is_dialler(a) == link_is_dialler(b)) {
        /* only the dialler knows which it made last */
        return !link_is_dialler(a) ? NULL : a->up_us <= b->up_us ? a : b;
    }
    struct hash own = node_fingerprint(self);
    struct hash theirs = node_fingerprint(&a->peer);
    bool is_own_lower = memcmp(own.bytes, theirs.bytes, sizeof(own.bytes)) < 0;
    return link_is_dialler(a) == is_own_lower ? b : a;
}

void link_check(const struct link *l)
{
    assert(l->state <= LINK_STATE_DOWN);
    assert(l->state != LINK_STATE_UP || l->mux != NULL);
    assert(l->state != LINK_STATE_UP || link_is_local(l) || l->has_peer);
    assert(!l->has_facts || node_id_equal(&l->facts.id, &l->peer));
    assert(!l->is_close_owed || l->state == LINK_STATE_CLOSING || l->state == LINK_STATE_DOWN);
    assert(l->state > LINK_STATE_UNCONFIRMED || l->state == LINK_STATE_UNCONFIRMED ||
           l->hello != NULL);
    if (l->mux != NULL) {
        mux_check(l->mux);
    }
}
