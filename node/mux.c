/* SPDX-License-Identifier: Apache-2.0 */
#include "node/mux_core.h"

/* Life */

enum ipx_err mux_new(const struct mux_config *config, struct mux **ret)
{
    assert(config->streams_max <= MUX_STREAMS_MAX);
    struct mux *m = mem_alloc(config->mem, sizeof(*m));
    if (m == NULL) {
        return IPX_NO_MEMORY;
    }
    m->mem = config->mem;
    m->role = config->role;
    m->streams_max = config->streams_max == 0 ? MUX_STREAMS_MAX : config->streams_max;
    m->send_max = config->send_max == 0 ? MUX_SEND_MAX_DEFAULT : config->send_max;
    m->peer_streams_max = MUX_STREAMS_MAX;
    m->next_id = config->role == MUX_DIALLER ? 1 : 2;
    list_init(&m->opens);
    list_init(&m->control);
    list_init(&m->events);
    for (size_t i = 0; i < MUX_CLASS_N; i++) {
        list_init(&m->ready[i]);
    }
    m->link_tx_credit = MUX_LINK_WINDOW;
    m->link_rx_credit = MUX_LINK_WINDOW;
    m->control_credit = MUX_CONTROL_BURST;
    m->turn = MUX_CLASS_RPC;
    mux_bucket_init(&m->opens_tx, MUX_OPENS_PER_S, MUX_OPENS_BURST);
    mux_bucket_init(&m->opens_rx, MUX_OPENS_PER_S, MUX_OPENS_BURST_RECV);
    mux_bucket_init(&m->pings_rx, MUX_PINGS_PER_S, MUX_PINGS_BURST);
    m->is_settings_owed = true;
    *ret = m;
    return IPX_OK;
}

void mux_free(struct mux *m)
{
    if (m == NULL) {
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        while (m->tables[i].n > 0) {
            mux_stream_free(m, m->tables[i].items[m->tables[i].n - 1]);
        }
        mem_free(m->mem, m->tables[i].items);
        m->tables[i] = (struct mux_table){.n = 0};
    }
    while (!list_is_empty(&m->control)) {
        mux_stream_free(m, LIST_FIRST(&m->control, struct mux_stream, control));
    }
    mem_free(m->mem, m);
}

/* Inputs */

void mux_recv(struct mux *m, uint64_t now_us, struct slice bytes)
{
    assert(m->in.len == 0 && m->offer.len == 0);
    m->now_us = now_us;
    if (m->error == IPX_OK) {
        m->in = bytes;
    }
}

void mux_tick(struct mux *m, uint64_t now_us)
{
    m->now_us = now_us;
    if (!m->is_memory_short || now_us < m->memory_retry_us) {
        return;
    }
    m->is_memory_short = false;
    for (size_t i = 0; i < 2; i++) {
        for (uint32_t j = 0; j < m->tables[i].n; j++) {
            struct mux_stream *s = m->tables[i].items[j];
            if (s->is_send_short && s->tx.len <= m->send_max / 2) {
                s->is_writable = true;
                mux_raise(m, s);
            }
        }
    }
}

void mux_fail(struct mux *m, enum ipx_err err, const char *why)
{
    assert(err != IPX_OK);
    if (m->error != IPX_OK) {
        return;
    }
    m->error = err;
    m->why = why;
    m->in = SLICE_EMPTY;
    for (size_t i = 0; i < 2; i++) {
        for (uint32_t j = 0; j < m->tables[i].n; j++) {
            struct mux_stream *s = m->tables[i].items[j];
            if (s->state != MUX_STATE_CLOSED && s->state != MUX_STATE_DEAD) {
                mux_stream_kill(m, s, err);
            }
        }
    }
}

uint64_t mux_deadline(const struct mux *m)
{
    uint64_t due_us = m->is_memory_short ? m->memory_retry_us : NEVER_US;
    const struct mux_table *own = &m->tables[m->role];
    bool may_open = own->n_open < m->peer_streams_max && own->n_unacked < MUX_UNACKED_MAX;
    if (m->error == IPX_OK && !list_is_empty(&m->opens) && may_open) {
        /* what may go at once goes with the next output: no clock hastens a slow socket */
        uint64_t ready_us = mux_bucket_ready_us(&m->opens_tx, m->now_us);
        due_us = ready_us > m->now_us ? IPX_MIN(due_us, ready_us) : due_us;
    }
    return due_us;
}

/* Events */

/* Keeps what the user left of the last DATA: the input it lies in is about to go. */
static void mux_keep_offer(struct mux *m)
{
    struct mux_stream *s = m->offer_stream;
    if (s == NULL) {
        return;
    }
    if (mux_queue_add(&s->rx, m->mem, m->offer, SLICE_EMPTY) != IPX_OK) {
        mux_stream_abort(m, s, IPX_BUSY); /* the node's budget is used up: this stream pays */
        return;
    }
    m->offer = SLICE_EMPTY;
    m->offer_stream = NULL;
}

/* The most urgent thing to tell of a stream; false if nothing is left. Frees dead streams. */
static bool mux_tell(struct mux *m, struct mux_stream *s, struct mux_event *ret)
{
    struct mux_event e = {.stream = s->id, .cookie = s->cookie};
    if (s->state == MUX_STATE_DEAD || s->state == MUX_STATE_RESETTING) {
        e.type = MUX_EVENT_RESET;
        e.code = s->code;
        list_unlink(&s->event);
        mux_stream_unlist(m, s);
        if (!list_is_linked(&s->control)) {
            mux_stream_free(m, s);
        }
    } else if (s->is_writable) {
        e.type = MUX_EVENT_WRITABLE;
        s->is_writable = false;
        s->is_send_short = false;
    } else if (s->is_readable && s->rx.len > 0) {
        e.type = MUX_EVENT_DATA;
        e.data = mux_queue_front(&s->rx);
        s->is_readable = false;
    } else if ((s->state == MUX_STATE_FIN_RECEIVED || s->state == MUX_STATE_CLOSED) &&
               s->rx.len == 0 && !s->is_fin_told) {
        e.type = MUX_EVENT_FINISHED;
        s->is_fin_told = true;
        list_unlink(&s->event);
        mux_stream_settle(m, s);
    } else {
        list_unlink(&s->event);
        return false;
    }
    *ret = e;
    return true;
}

/* What concerns the connection as a whole. */
static bool mux_tell_link(struct mux *m, struct mux_event *ret)
{
    if (m->is_pong_told) {
        m->is_pong_told = false;
        *ret = (struct mux_event){.type = MUX_EVENT_PONG, .rtt_us = m->rtt_us};
        return true;
    }
    if (m->is_goaway_seen && !m->is_goaway_told) {
        m->is_goaway_told = true;
        *ret = (struct mux_event){.type = MUX_EVENT_GOAWAY, .code = m->peer_goaway_code};
        return true;
    }
    if (m->error != IPX_OK && !m->is_error_told && list_is_empty(&m->events)) {
        m->is_error_told = true;
        *ret = (struct mux_event){.type = MUX_EVENT_ERROR, .code = m->error, .why = m->why};
        return true;
    }
    return false;
}

bool mux_poll(struct mux *m, struct mux_event *ret)
{
    mux_keep_offer(m);
    for (;;) {
        while (!list_is_empty(&m->events)) {
            if (mux_tell(m, LIST_FIRST(&m->events, struct mux_stream, event), ret)) {
                return true;
            }
        }
        if (mux_tell_link(m, ret)) {
            return true;
        }
        if (m->in.len == 0) {
            return false;
        }
        if (mux_parse(m, ret)) {
            return true;
        }
    }
}

/* Commands */

enum ipx_err mux_open(struct mux *m, uint16_t protocol, enum mux_class class, uint64_t cookie,
                      uint32_t *ret_stream)
{
    assert(class < MUX_CLASS_N);
    if (mux_is_closing(m) || m->next_id == 0) {
        return IPX_CLOSED;
    }
    if (m->tables[m->role].n >= MUX_STREAMS_MAX) {
        return IPX_LIMIT;
    }
    struct mux_stream *s = mux_stream_new(m, m->next_id, true);
    if (s == NULL) {
        return IPX_NO_MEMORY;
    }
    s->protocol = protocol;
    s->class = (uint8_t) class;
    s->cookie = cookie;
    s->tx_credit = MUX_WINDOW;
    s->state = MUX_STATE_WAITING;
    list_push_back(&m->opens, &s->control);
    m->next_id = m->next_id > UINT32_MAX - 2 ? 0 : m->next_id + 2;
    *ret_stream = s->id;
    return IPX_OK;
}

void mux_set_cookie(struct mux *m, uint32_t stream, uint64_t cookie)
{
    struct mux_stream *s = mux_find(m, stream);
    if (s != NULL) {
        s->cookie = cookie;
    }
}

/* The user wanted to send more than could be taken: it is told when that changes. */
static void mux_note_short(struct mux *m, struct mux_stream *s, bool is_memory)
{
    s->is_send_short = true;
    if (is_memory && !m->is_memory_short) {
        m->is_memory_short = true;
        m->memory_retry_us = m->now_us + MUX_MEMORY_RETRY_US;
    }
}

static size_t mux_room(const struct mux *m, const struct mux_stream *s)
{
    return s->is_fin_asked || s->tx.len >= m->send_max ? 0 : m->send_max - s->tx.len;
}

size_t mux_send(struct mux *m, uint32_t stream, struct slice bytes)
{
    struct mux_stream *s = mux_find(m, stream);
    if (s == NULL || bytes.len == 0) {
        return 0;
    }
    assert(!s->is_fin_asked);
    size_t n = IPX_MIN(bytes.len, mux_room(m, s));
    bool is_added =
        n > 0 && mux_queue_add(&s->tx, m->mem, slice_of(bytes.data, n), SLICE_EMPTY) == IPX_OK;
    if (!is_added || n < bytes.len) {
        mux_note_short(m, s, n > 0 && !is_added);
    }
    mux_stream_set_ready(m, s);
    return is_added ? n : 0;
}

bool mux_send_message(struct mux *m, uint32_t stream, struct slice head, struct slice body)
{
    assert(head.len + body.len <= MUX_MESSAGE_MAX);
    struct mux_stream *s = mux_find(m, stream);
    if (s == NULL) {
        return false;
    }
    assert(!s->is_fin_asked);
    bool has_room = mux_room(m, s) > 0;
    if (!has_room || mux_queue_add(&s->tx, m->mem, head, body) != IPX_OK) {
        mux_note_short(m, s, has_room);
        return false;
    }
    mux_stream_set_ready(m, s);
    return true;
}

size_t mux_send_room(const struct mux *m, uint32_t stream)
{
    const struct mux_stream *s = mux_find(m, stream);
    return s == NULL ? 0 : mux_room(m, s);
}

void mux_finish(struct mux *m, uint32_t stream)
{
    struct mux_stream *s = mux_find(m, stream);
    if (s == NULL || s->is_fin_asked) {
        return;
    }
    s->is_fin_asked = true;
    if (s->tx.len == 0) {
        mux_owe(m, s);
    }
}

void mux_reset(struct mux *m, uint32_t stream, enum ipx_err code)
{
    assert(code > IPX_OK);
    struct mux_stream *s = mux_find(m, stream);
    if (s != NULL) {
        mux_stream_reset(m, s, code);
    }
}

struct slice mux_peek(const struct mux *m, uint32_t stream)
{
    const struct mux_stream *s = mux_find(m, stream);
    if (s == NULL) {
        return SLICE_EMPTY;
    }
    return m->offer_stream == s ? m->offer : mux_queue_front(&s->rx);
}

void mux_consume(struct mux *m, uint32_t stream, size_t n)
{
    struct mux_stream *s = mux_find(m, stream);
    if (s == NULL || n == 0) {
        return;
    }
    if (m->offer_stream == s) {
        assert(n <= m->offer.len && s->rx.len == 0);
        m->offer = slice_of(m->offer.data + n, m->offer.len - n);
        m->offer_stream = m->offer.len == 0 ? NULL : s;
    } else {
        mux_queue_drop(&s->rx, m->mem, n);
    }
    mux_give_back(m, s, (uint32_t)n);
    s->is_readable = s->rx.len > 0 || m->offer_stream == s;
    mux_raise(m, s);
}

void mux_ping(struct mux *m)
{
    bool is_late = m->now_us - m->ping_sent_us >= MUX_PING_RETRY_US;
    if (!m->is_ping_owed && (!m->is_ping_out || is_late)) {
        m->is_ping_owed = true;
    }
}

void mux_goaway(struct mux *m, enum ipx_err code)
{
    assert(code > IPX_OK);
    if (!m->is_goaway_owed && !m->is_goaway_sent) {
        m->is_goaway_owed = true;
        m->goaway_code = code;
        m->goaway_last = m->last_peer;
    }
}

bool mux_is_closing(const struct mux *m)
{
    return m->error != IPX_OK || m->is_goaway_owed || m->is_goaway_sent || m->is_goaway_seen;
}

uint32_t mux_n_streams(const struct mux *m)
{
    return m->tables[0].n + m->tables[1].n;
}

/* Invariant */

static void mux_stream_check(const struct mux *m, const struct mux_stream *s)
{
    bool may_send = s->state == MUX_STATE_OPEN || s->state == MUX_STATE_FIN_RECEIVED;
    assert(list_is_linked(&s->ready) == (may_send && s->tx.len > 0 && s->tx_credit > 0));
    assert(s->tx.len < (size_t)m->send_max + MUX_MESSAGE_MAX);
    assert(s->rx.len <= MUX_WINDOW && s->rx_credit <= MUX_WINDOW);
    assert(s->rx_owed <= MUX_WINDOW);
    assert(s->state != MUX_STATE_WAITING || list_is_linked(&s->control));
    assert(s->state < MUX_STATE_CLOSED || s->tx.len == 0);
    assert(m->offer_stream != s || s->rx.len == 0);
    mux_queue_check(&s->tx);
    mux_queue_check(&s->rx);
}

void mux_check(const struct mux *m)
{
    size_t n_unread = m->offer.len;
    for (size_t i = 0; i < 2; i++) {
        const struct mux_table *t = &m->tables[i];
        uint32_t n_open = 0, n_unacked = 0;
        for (uint32_t j = 0; j < t->n; j++) {
            const struct mux_stream *s = t->items[j];
            assert(j == 0 || t->items[j - 1]->id < s->id);
            assert((s->id & 1) == i && s->is_own == (i == (size_t)m->role));
            mux_stream_check(m, s);
            n_open += s->is_counted;
            n_unacked += s->is_unacked;
            n_unread += s->rx.len;
        }
        /* those that only wait to send RESET are counted, but in no table */
        assert(n_open <= t->n_open && t->n_open <= MUX_STREAMS_MAX);
        assert(n_unacked <= t->n_unacked && t->n_unacked <= MUX_UNACKED_MAX);
    }
    size_t credit = (size_t)m->link_rx_credit + m->link_rx_owed + n_unread;
    assert(m->error != IPX_OK || credit + m->data_left == MUX_LINK_WINDOW);
}
