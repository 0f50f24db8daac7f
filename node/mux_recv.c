/* SPDX-License-Identifier: Apache-2.0 */
#include "node/mux_core.h"

/* A frame is judged by its header before anything is made of it, so that an offending frame
 * costs nothing but the connection (mux_fail). */

static bool mux_is_ours(const struct mux *m, uint32_t stream)
{
    return (stream & 1) == (uint32_t)m->role;
}

/* Was there ever such a stream, as far as the wire has seen? */
static bool mux_was_opened(const struct mux *m, uint32_t stream)
{
    return stream <= (mux_is_ours(m, stream) ? m->last_own : m->last_peer);
}

/* Only codes of ours that mean something are shown; a newer one of the peer reads as closed. */
static enum ipx_err mux_code_of(uint32_t code)
{
    return code == 0 || code > IPX_NO_MATCH ? IPX_CLOSED : (enum ipx_err)code;
}

/* Frames that open and close */

/* The stream is not taken: the opener gets a RESET. It counts until that has gone out. */
static void mux_decline(struct mux *m, uint32_t id, enum ipx_err code)
{
    m->late_bytes += MUX_WINDOW;
    struct mux_stream *s = mux_stream_new(m, id, false);
    if (s == NULL) {
        mux_fail(m, IPX_NO_MEMORY, "no memory to refuse a stream");
        return;
    }
    s->code = code;
    s->state = MUX_STATE_RESETTING;
    mux_stream_count(m, s, true, true);
    mux_owe(m, s);
}

static bool mux_judge_open(struct mux *m)
{
    const struct mux_table *t = &m->tables[m->role ^ 1];
    uint32_t id = m->frame.stream;
    if (mux_is_ours(m, id) || id <= m->last_peer) {
        mux_fail(m, IPX_MALFORMED, "OPEN of a wrong stream number");
    } else if (!mux_bucket_take(&m->opens_rx, m->now_us)) {
        mux_fail(m, IPX_LIMIT, "OPENs come too fast");
    } else if (t->n_open >= MUX_STREAMS_MAX || t->n_unacked >= MUX_UNACKED_MAX) {
        mux_fail(m, IPX_LIMIT, "too many streams open");
    }
    return m->error == IPX_OK;
}

static bool mux_on_open(struct mux *m, struct mux_event *ret)
{
    struct reader r = reader_of(slice_of(m->body, m->frame.length));
    uint16_t protocol = reader_u16(&r);
    uint8_t class = reader_u8(&r);
    uint8_t zero = reader_u8(&r);
    uint32_t window = reader_u32(&r);
    if (class >= MUX_CLASS_N || zero != 0 || window > MUX_CREDIT_MAX) {
        mux_fail(m, IPX_MALFORMED, "OPEN with wrong content");
        return false;
    }
    uint32_t id = m->frame.stream;
    m->last_peer = id;
    if (m->is_goaway_owed || m->is_goaway_sent) {
        m->late_bytes += MUX_WINDOW; /* GOAWAY tells the opener that nobody looked at it */
        return false;
    }
    const struct mux_table *t = &m->tables[m->role ^ 1];
    if (t->n_open >= m->streams_max || t->n >= 2 * MUX_STREAMS_MAX) {
        mux_decline(m, id, IPX_FULL);
        return false;
    }
    struct mux_stream *s = mux_stream_new(m, id, true);
    if (s == NULL) {
        mux_decline(m, id, IPX_BUSY);
        return false;
    }
    s->protocol = protocol;
    s->class = class;
    s->tx_credit = window;
    s->state = MUX_STATE_OPEN;
    mux_stream_count(m, s, true, true);
    mux_owe(m, s);
    *ret = (struct mux_event){
        .type = MUX_EVENT_OPENED, .stream = id, .protocol = protocol, .class = class};
    return true;
}

static void mux_on_fin(struct mux *m)
{
    struct mux_stream *s = mux_find(m, m->frame.stream);
    if (s == NULL) {
        return; /* crossed our RESET */
    }
    if (s->state == MUX_STATE_FIN_RECEIVED || s->state == MUX_STATE_CLOSED) {
        mux_fail(m, IPX_MALFORMED, "second FIN of a stream");
        return;
    }
    bool is_last = s->state == MUX_STATE_FIN_SENT;
    sm_move(&mux_stream_table, &s->state, is_last ? MUX_STATE_CLOSED : MUX_STATE_FIN_RECEIVED);
    if (is_last) {
        mux_stream_count(m, s, false, false);
        list_unlink(&s->control);
    }
    mux_raise(m, s);
}

static void mux_on_reset(struct mux *m)
{
    struct mux_stream *s = mux_find(m, m->frame.stream);
    if (s != NULL && s->state != MUX_STATE_CLOSED) { /* a complete stream may cross a RESET */
        mux_stream_kill(m, s, mux_code_of(load_be32(m->body)));
    }
}

/* Credit */

static void mux_on_window(struct mux *m)
{
    uint32_t credit = load_be32(m->body);
    bool is_ack = (m->frame.flags & MUX_FLAG_ACK) != 0;
    if (m->frame.stream == 0) {
        if (is_ack || credit == 0 || credit > MUX_CREDIT_MAX - m->link_tx_credit) {
            mux_fail(m, IPX_LIMIT, "credit of the connection out of bounds");
            return;
        }
        m->link_tx_credit += credit;
        return;
    }
    if ((credit == 0 && !is_ack) || (is_ack && !mux_is_ours(m, m->frame.stream))) {
        mux_fail(m, IPX_MALFORMED, "WINDOW that says nothing");
        return;
    }
    struct mux_stream *s = mux_find(m, m->frame.stream);
    if (s == NULL) {
        return;
    }
    if (credit > MUX_CREDIT_MAX - s->tx_credit) {
        mux_fail(m, IPX_LIMIT, "credit of a stream out of bounds");
        return;
    }
    s->tx_credit += credit;
    mux_stream_set_ready(m, s);
}

/* DATA is judged by its length before a byte of it is looked at. */
static void mux_on_data_header(struct mux *m)
{
    uint32_t length = m->frame.length;
    struct mux_stream *s = mux_find(m, m->frame.stream);
    if (length > m->link_rx_credit) {
        mux_fail(m, IPX_LIMIT, "DATA beyond the connection's credit");
        return;
    }
    if (s == NULL) {
        if (length > m->late_bytes) {
            mux_fail(m, IPX_MALFORMED, "DATA on a stream that is closed");
            return;
        }
        m->late_bytes -= length;
    } else if (s->state != MUX_STATE_OPEN && s->state != MUX_STATE_FIN_SENT) {
        mux_fail(m, IPX_MALFORMED, "DATA after FIN");
        return;
    } else if (length > s->rx_credit) {
        mux_fail(m, IPX_LIMIT, "DATA beyond the stream's credit");
        return;
    } else {
        s->rx_credit -= length;
    }
    m->link_rx_credit -= length;
    m->data_left = length;
}

/* The next piece of a DATA frame, shown where it lies unless older bytes wait before it. */
static bool mux_on_data(struct mux *m, struct mux_event *ret)
{
    size_t n = IPX_MIN(m->in.len, m->data_left);
    struct slice piece = slice_of(m->in.data, n);
    m->in = slice_of(m->in.data + n, m->in.len - n);
    m->data_left -= (uint32_t)n;
    struct mux_stream *s = mux_find(m, m->frame.stream);
    if (s == NULL) {
        m->link_rx_owed += (uint32_t)n;
        return false;
    }
    if (s->rx.len > 0) {
        if (mux_queue_add(&s->rx, m->mem, piece, SLICE_EMPTY) != IPX_OK) {
            m->link_rx_owed += (uint32_t)n;
            mux_stream_abort(m, s, IPX_BUSY);
            return false;
        }
        s->is_readable = true;
        mux_raise(m, s);
        return false;
    }
    m->offer = piece;
    m->offer_stream = s;
    *ret = (struct mux_event){
        .type = MUX_EVENT_DATA, .stream = s->id, .cookie = s->cookie, .data = piece};
    return true;
}

/* Frames of the connection */

static void mux_on_ping(struct mux *m)
{
    if ((m->frame.flags & MUX_FLAG_ACK) == 0) {
        if (!mux_bucket_take(&m->pings_rx, m->now_us)) {
            mux_fail(m, IPX_LIMIT, "PINGs come too fast");
            return;
        }
        memcpy(m->pong, m->body, sizeof(m->pong)); /* the newest is answered */
        m->is_pong_owed = true;
        return;
    }
    uint64_t seq = load_be64(m->body);
    if (seq <= m->ping_answered || seq > m->ping_seq) {
        mux_fail(m, IPX_MALFORMED, "answer to no PING");
        return;
    }
    m->ping_answered = seq;
    if (seq == m->ping_seq) {
        m->is_ping_out = false;
        m->rtt_us = m->now_us - m->ping_sent_us;
        m->is_pong_told = true;
    }
}

static void mux_on_goaway(struct mux *m)
{
    uint32_t last = load_be32(m->body);
    uint32_t limit = m->is_goaway_seen ? m->peer_goaway_last : m->last_own;
    if (last > limit || (last != 0 && !mux_is_ours(m, last))) {
        mux_fail(m, IPX_MALFORMED, "GOAWAY of a wrong stream number");
        return;
    }
    m->is_goaway_seen = true;
    m->peer_goaway_last = last;
    m->peer_goaway_code = mux_code_of(load_be32(m->body + 4));
    const struct mux_table *own = &m->tables[m->role];
    for (uint32_t i = 0; i < own->n; i++) {
        struct mux_stream *s = own->items[i];
        if (s->id > last && s->state < MUX_STATE_CLOSED) {
            mux_stream_kill(m, s, IPX_REFUSED);
        }
    }
}

static void mux_on_settings(struct mux *m)
{
    struct reader r = reader_of(slice_of(m->body, m->frame.length));
    bool is_wrong = m->is_settings_seen;
    while (reader_left(&r) > 0 && !r.failed) {
        uint16_t id = reader_u16(&r);
        uint32_t value = reader_u32(&r);
        if (id == MUX_SETTING_STREAMS) {
            is_wrong = is_wrong || value == 0 || value > MUX_STREAMS_MAX;
            m->peer_streams_max = value;
        } else {
            is_wrong = is_wrong || id % 2 == 0;
        }
    }
    m->is_settings_seen = true;
    if (is_wrong || r.failed) {
        mux_fail(m, IPX_MALFORMED, "SETTINGS not understood");
    }
}

/* Parsing */

/* The first judgement of a frame, on its 8 bytes alone. */
static void mux_on_header(struct mux *m)
{
    if (mux_frame_decode(m->header, &m->frame) != IPX_OK) {
        mux_fail(m, IPX_MALFORMED, "frame of unknown shape");
        return;
    }
    m->body_len = 0;
    if (m->frame.type == MUX_TYPE_OPEN) {
        (void)mux_judge_open(m);
        return;
    }
    if (m->frame.stream != 0 && !mux_was_opened(m, m->frame.stream)) {
        mux_fail(m, IPX_MALFORMED, "frame on a stream that was never opened");
        return;
    }
    struct mux_stream *s = mux_find(m, m->frame.stream);
    if (s != NULL && s->is_own) {
        mux_stream_count(m, s, s->is_counted, false); /* any frame shows that it was taken */
    }
    if (m->frame.type == MUX_TYPE_DATA) {
        mux_on_data_header(m);
    }
}

/* A whole frame but DATA. */
static bool mux_on_frame(struct mux *m, struct mux_event *ret)
{
    switch ((enum mux_type)m->frame.type) {
    case MUX_TYPE_OPEN:
        return mux_on_open(m, ret);
    case MUX_TYPE_WINDOW:
        mux_on_window(m);
        return false;
    case MUX_TYPE_FIN:
        mux_on_fin(m);
        return false;
    case MUX_TYPE_RESET:
        mux_on_reset(m);
        return false;
    case MUX_TYPE_PING:
        mux_on_ping(m);
        return false;
    case MUX_TYPE_GOAWAY:
        mux_on_goaway(m);
        return false;
    case MUX_TYPE_SETTINGS:
        mux_on_settings(m);
        return false;
    case MUX_TYPE_DATA:
        break;
    }
    assert(m->frame.type != MUX_TYPE_DATA); /* shown piece by piece, never gathered */
    return false;
}

/* Moves input to a fixed place until `want` bytes are there. */
static bool mux_fill(struct mux *m, uint8_t *to, uint8_t *len, size_t want)
{
    size_t n = IPX_MIN(want - *len, m->in.len);
    if (n > 0) {
        memcpy(to + *len, m->in.data, n);
        m->in = slice_of(m->in.data + n, m->in.len - n);
        *len = (uint8_t)(*len + n);
    }
    return *len == want;
}

bool mux_parse(struct mux *m, struct mux_event *ret)
{
    bool is_told = false;
    while (!is_told && m->in.len > 0 && list_is_empty(&m->events)) {
        if (m->header_len < MUX_HEADER_LEN) {
            if (!mux_fill(m, m->header, &m->header_len, MUX_HEADER_LEN)) {
                return false;
            }
            mux_on_header(m);
            if (m->error != IPX_OK) {
                return false;
            }
        }
        if (m->frame.type == MUX_TYPE_DATA) {
            is_told = m->in.len > 0 && mux_on_data(m, ret);
            m->header_len = m->data_left > 0 ? MUX_HEADER_LEN : 0;
        } else if (mux_fill(m, m->body, &m->body_len, m->frame.length)) {
            m->header_len = 0;
            is_told = mux_on_frame(m, ret);
        }
    }
    return is_told;
}
