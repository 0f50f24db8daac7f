/* SPDX-License-Identifier: Apache-2.0 */
#include "node/mux_core.h"

/* Rounds of the deficit round robin: 8 : 4 : 2 : 1; class 0 has its own rule. */
static const uint8_t mux_weight[MUX_CLASS_N] = {0, 8, 4, 2, 1};

/* Starts a frame; NULL if it does not fit. */
static uint8_t *mux_put(struct writer *w, enum mux_type type, uint8_t flags, uint32_t stream,
                        size_t length)
{
    if (w->cap - w->len < MUX_HEADER_LEN + length) {
        return NULL;
    }
    const struct mux_frame f = {(uint8_t)type, flags, (uint16_t)length, stream};
    uint8_t *p = writer_reserve(w, MUX_HEADER_LEN + length);
    mux_frame_encode(&f, p);
    return p + MUX_HEADER_LEN;
}

/* Frames of the connection; false when the room is used up */

static bool mux_put_settings(struct mux *m, struct writer *w)
{
    if (!m->is_settings_owed) {
        return true;
    }
    uint8_t *p = mux_put(w, MUX_TYPE_SETTINGS, 0, 0, 6);
    if (p == NULL) {
        return false;
    }
    store_be16(p, MUX_SETTING_STREAMS);
    store_be32(p + 2, m->streams_max);
    m->is_settings_owed = false;
    return true;
}

static bool mux_put_pings(struct mux *m, struct writer *w)
{
    if (m->is_pong_owed) {
        uint8_t *p = mux_put(w, MUX_TYPE_PING, MUX_FLAG_ACK, 0, 8);
        if (p == NULL) {
            return false;
        }
        memcpy(p, m->pong, sizeof(m->pong));
        m->is_pong_owed = false;
    }
    if (m->is_ping_owed) {
        uint8_t *p = mux_put(w, MUX_TYPE_PING, 0, 0, 8);
        if (p == NULL) {
            return false;
        }
        store_be64(p, ++m->ping_seq);
        m->ping_sent_us = m->now_us;
        m->is_ping_owed = false;
        m->is_ping_out = true;
    }
    return true;
}

static bool mux_put_link_window(struct mux *m, struct writer *w)
{
    if (m->link_rx_owed < MUX_LINK_CREDIT_STEP) {
        return true;
    }
    uint8_t *p = mux_put(w, MUX_TYPE_WINDOW, 0, 0, 4);
    if (p == NULL) {
        return false;
    }
    store_be32(p, m->link_rx_owed);
    m->link_rx_credit += m->link_rx_owed;
    m->link_rx_owed = 0;
    return true;
}

static bool mux_put_goaway(struct mux *m, struct writer *w)
{
    if (!m->is_goaway_owed) {
        return true;
    }
    uint8_t *p = mux_put(w, MUX_TYPE_GOAWAY, 0, 0, 8);
    if (p == NULL) {
        return false;
    }
    store_be32(p, m->goaway_last);
    store_be32(p + 4, (uint32_t)m->goaway_code);
    m->is_goaway_owed = false;
    m->is_goaway_sent = true;
    return true;
}

/* OPEN, WINDOW, FIN, RESET of streams */

static bool mux_put_opens(struct mux *m, struct writer *w)
{
    const struct mux_table *own = &m->tables[m->role];
    while (!list_is_empty(&m->opens) && own->n_open < m->peer_streams_max &&
           own->n_unacked < MUX_UNACKED_MAX) {
        if (w->cap - w->len < MUX_HEADER_LEN + 8) {
            return false;
        }
        if (!mux_bucket_take(&m->opens_tx, m->now_us)) {
            return true;
        }
        struct mux_stream *s = LIST_FIRST(&m->opens, struct mux_stream, control);
        uint8_t *p = mux_put(w, MUX_TYPE_OPEN, 0, s->id, 8);
        assert(p != NULL);
        store_be16(p, s->protocol);
        p[2] = s->class;
        p[3] = 0;
        store_be32(p + 4, MUX_WINDOW);
        m->last_own = s->id;
        list_unlink(&s->control);
        sm_move(&mux_stream_table, &s->state, MUX_STATE_OPEN);
        mux_stream_count(m, s, true, true);
        mux_stream_set_ready(m, s);
        if (s->is_fin_asked && s->tx.len == 0) {
            mux_owe(m, s);
        }
    }
    return true;
}

static bool mux_put_reset(struct mux *m, struct mux_stream *s, struct writer *w)
{
    uint8_t *p = mux_put(w, MUX_TYPE_RESET, 0, s->id, 4);
    if (p == NULL) {
        return false;
    }
    store_be32(p, (uint32_t)s->code);
    list_unlink(&s->control);
    mux_stream_count(m, s, false, false);
    if (!list_is_linked(&s->event)) {
        mux_stream_free(m, s);
    }
    return true;
}

/* Takes the peer's OPEN, and gives credit back. */
static bool mux_put_window(struct mux *m, struct mux_stream *s, struct writer *w)
{
    bool is_ack = !s->is_own && s->is_unacked;
    bool is_peer_sending = s->state == MUX_STATE_OPEN || s->state == MUX_STATE_FIN_SENT;
    bool is_due = is_peer_sending && s->rx_owed >= MUX_CREDIT_STEP;
    if (!is_ack && !is_due) {
        return true;
    }
    uint8_t *p = mux_put(w, MUX_TYPE_WINDOW, is_ack ? MUX_FLAG_ACK : 0, s->id, 4);
    if (p == NULL) {
        return false;
    }
    uint32_t credit = is_due ? s->rx_owed : 0;
    store_be32(p, credit);
    s->rx_credit += credit;
    s->rx_owed -= credit;
    if (is_ack) {
        mux_stream_count(m, s, s->is_counted, false);
    }
    return true;
}

/* FIN, once all else of the stream has gone out. May free the stream. */
static bool mux_put_fin(struct mux *m, struct mux_stream *s, struct writer *w)
{
    bool may_send = s->state == MUX_STATE_OPEN || s->state == MUX_STATE_FIN_RECEIVED;
    if (!s->is_fin_asked || s->tx.len > 0 || !may_send) {
        list_unlink(&s->control);
        return true;
    }
    if (mux_put(w, MUX_TYPE_FIN, 0, s->id, 0) == NULL) {
        return false;
    }
    list_unlink(&s->control);
    bool is_last = s->state == MUX_STATE_FIN_RECEIVED;
    sm_move(&mux_stream_table, &s->state, is_last ? MUX_STATE_CLOSED : MUX_STATE_FIN_SENT);
    if (is_last) {
        mux_stream_count(m, s, false, false);
        mux_stream_settle(m, s);
    }
    return true;
}

static bool mux_put_control(struct mux *m, struct writer *w)
{
    while (!list_is_empty(&m->control)) {
        struct mux_stream *s = LIST_FIRST(&m->control, struct mux_stream, control);
        bool fits = s->state == MUX_STATE_RESETTING
                        ? mux_put_reset(m, s, w)
                        : mux_put_window(m, s, w) && mux_put_fin(m, s, w);
        if (!fits) {
            return false;
        }
    }
    return true;
}

/* DATA by class */

/* The class whose turn it is; MUX_CLASS_N if nobody has anything. */
static unsigned mux_pick_class(struct mux *m)
{
    unsigned n_ready = 0;
    for (unsigned c = MUX_CLASS_RPC; c < MUX_CLASS_N; c++) {
        n_ready += !list_is_empty(&m->ready[c]);
    }
    bool has_control = !list_is_empty(&m->ready[MUX_CLASS_CONTROL]);
    if (has_control && (m->control_credit > 0 || n_ready == 0)) {
        return MUX_CLASS_CONTROL;
    }
    if (n_ready == 0) {
        return MUX_CLASS_N;
    }
    /* each round adds a quantum to whoever waits, so a debt of one frame ends the loop soon */
    while (list_is_empty(&m->ready[m->turn]) || m->deficit[m->turn] <= 0) {
        if (list_is_empty(&m->ready[m->turn])) {
            m->deficit[m->turn] = 0;
        }
        m->turn = m->turn == MUX_CLASS_N - 1 ? MUX_CLASS_RPC : (uint8_t)(m->turn + 1);
        m->deficit[m->turn] += (int64_t)mux_weight[m->turn] * MUX_QUANTUM;
    }
    return m->turn;
}

static void mux_charge_class(struct mux *m, unsigned class, size_t n)
{
    if (class == MUX_CLASS_CONTROL) {
        m->control_credit -= (int64_t)n;
        m->control_credit = IPX_MAX(m->control_credit, -MUX_CONTROL_BURST);
    } else {
        m->deficit[class] -= (int64_t)n;
        m->control_credit += (int64_t)(n / 9); /* a ninth of theirs is a tenth of all */
        m->control_credit = IPX_MIN(m->control_credit, MUX_CONTROL_BURST);
    }
}

/* True if more than one stream has something to send. */
static bool mux_is_shared(const struct mux *m)
{
    unsigned n = 0;
    for (unsigned c = 0; c < MUX_CLASS_N; c++) {
        const struct list *head = &m->ready[c];
        n += list_is_empty(head) ? 0 : head->next->next == head ? 1 : 2;
    }
    return n > 1;
}

/* One DATA frame; 0 if the room is too small for one that is worth it. */
static size_t mux_put_data(struct mux *m, struct mux_stream *s, struct writer *w)
{
    size_t room = w->cap - w->len;
    if (room <= MUX_HEADER_LEN) {
        return 0;
    }
    size_t want = IPX_MIN(s->tx.len, s->tx_credit);
    want = IPX_MIN(want, mux_is_shared(m) ? MUX_SHARED_FRAME_MAX : MUX_PAYLOAD_MAX);
    size_t n = IPX_MIN(IPX_MIN(want, m->link_tx_credit), room - MUX_HEADER_LEN);
    if (n == room - MUX_HEADER_LEN && n < want && n < MUX_FRAGMENT_MIN) {
        return 0;
    }
    uint8_t *p = mux_put(w, MUX_TYPE_DATA, 0, s->id, n);
    assert(p != NULL);
    mux_queue_take(&s->tx, m->mem, p, n);
    s->tx_credit -= (uint32_t)n;
    m->link_tx_credit -= (uint32_t)n;
    return MUX_HEADER_LEN + n;
}

static void mux_after_data(struct mux *m, struct mux_stream *s)
{
    list_unlink(&s->ready); /* to the end of its class */
    mux_stream_set_ready(m, s);
    if (s->is_send_short && s->tx.len <= m->send_max / 2) {
        s->is_writable = true;
        mux_raise(m, s);
    }
    if (s->is_fin_asked && s->tx.len == 0) {
        mux_owe(m, s);
    }
}

static void mux_put_streams(struct mux *m, struct writer *w)
{
    while (m->link_tx_credit > 0) {
        unsigned class = mux_pick_class(m);
        if (class == MUX_CLASS_N) {
            return;
        }
        struct mux_stream *s = LIST_FIRST(&m->ready[class], struct mux_stream, ready);
        size_t n = mux_put_data(m, s, w);
        if (n == 0) {
            return;
        }
        mux_charge_class(m, class, n);
        mux_after_data(m, s);
        if (!mux_put_control(m, w)) {
            return;
        }
    }
}

size_t mux_output(struct mux *m, uint64_t now_us, uint8_t *out, size_t max)
{
    assert(max >= MUX_OUTPUT_MIN);
    m->now_us = now_us;
    if (m->error != IPX_OK) {
        return 0;
    }
    struct writer w = writer_of(out, max);
    bool has_room = mux_put_settings(m, &w) && mux_put_pings(m, &w) && mux_put_link_window(m, &w) &&
                    mux_put_goaway(m, &w) && mux_put_opens(m, &w) && mux_put_control(m, &w);
    if (has_room) {
        mux_put_streams(m, &w);
    }
    assert(!w.failed);
    return w.len;
}

void mux_farewell(const struct mux *m, enum ipx_err code, uint8_t ret[static MUX_FAREWELL_LEN])
{
    assert(code > IPX_OK);
    const struct mux_frame f = {MUX_TYPE_GOAWAY, 0, MUX_FAREWELL_LEN - MUX_HEADER_LEN, 0};
    bool is_said = m->is_goaway_owed || m->is_goaway_sent;
    mux_frame_encode(&f, ret);
    store_be32(ret + MUX_HEADER_LEN, is_said ? m->goaway_last : m->last_peer);
    store_be32(ret + MUX_HEADER_LEN + 4, (uint32_t)code);
}
