/* SPDX-License-Identifier: Apache-2.0 */
#include "node/mux_core.h"

/* States of a stream. WAITING ends without a trace if the user gives it up before its OPEN. */
static const struct sm_state mux_states[] = {
    [MUX_STATE_WAITING] = {"waiting", SM_TO(MUX_STATE_OPEN) | SM_TO(MUX_STATE_DEAD), false},
    [MUX_STATE_OPEN] = {"open",
                        SM_TO(MUX_STATE_FIN_SENT) | SM_TO(MUX_STATE_FIN_RECEIVED) |
                            SM_TO(MUX_STATE_RESETTING) | SM_TO(MUX_STATE_DEAD),
                        false},
    [MUX_STATE_FIN_SENT] = {"fin sent",
                            SM_TO(MUX_STATE_CLOSED) | SM_TO(MUX_STATE_RESETTING) |
                                SM_TO(MUX_STATE_DEAD),
                            false},
    [MUX_STATE_FIN_RECEIVED] = {"fin received",
                                SM_TO(MUX_STATE_CLOSED) | SM_TO(MUX_STATE_RESETTING) |
                                    SM_TO(MUX_STATE_DEAD),
                                false},
    [MUX_STATE_CLOSED] = {"closed", 0, true},
    [MUX_STATE_RESETTING] = {"resetting", 0, true},
    [MUX_STATE_DEAD] = {"dead", 0, true},
};

const struct sm_table mux_stream_table = {"mux stream", mux_states, ARRAY_LEN(mux_states)};

/* Tables */

#define MUX_TABLE_FIRST 8 /* entries of a table's first allocation */

/* Index of the first stream whose id is not below `id`. */
static uint32_t table_lower(const struct mux_table *t, uint32_t id)
{
    uint32_t low = 0, high = t->n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (t->items[mid]->id < id) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static bool table_append(struct mux_table *t, struct mem *mem, struct mux_stream *s)
{
    assert(t->n == 0 || t->items[t->n - 1]->id < s->id);
    if (t->n == t->cap) {
        uint32_t cap = t->cap == 0 ? MUX_TABLE_FIRST : t->cap * 2;
        struct mux_stream **items = mem_realloc(mem, t->items, cap * sizeof(struct mux_stream *));
        if (items == NULL) {
            return false;
        }
        t->items = items;
        t->cap = cap;
    }
    t->items[t->n++] = s;
    return true;
}

/* Also gives the memory back when the last stream leaves: an idle link is small. */
static void table_remove(struct mux_table *t, struct mem *mem, const struct mux_stream *s)
{
    uint32_t at = table_lower(t, s->id);
    if (at == t->n || t->items[at] != s) {
        return;
    }
    t->n--;
    if (at < t->n) {
        memmove(t->items + at, t->items + at + 1, (t->n - at) * sizeof(struct mux_stream *));
    }
    if (t->n == 0 && t->cap > MUX_TABLE_FIRST) {
        mem_free(mem, t->items);
        t->items = NULL;
        t->cap = 0;
    }
}

static struct mux_table *table_of(struct mux *m, uint32_t id)
{
    return &m->tables[id & 1];
}

struct mux_stream *mux_find(const struct mux *m, uint32_t id)
{
    const struct mux_table *t = &m->tables[id & 1];
    uint32_t at = table_lower(t, id);
    if (at == t->n || t->items[at]->id != id || t->items[at]->state > MUX_STATE_CLOSED) {
        return NULL;
    }
    return t->items[at];
}

/* Life */

struct mux_stream *mux_stream_new(struct mux *m, uint32_t id, bool is_listed)
{
    struct mux_stream *s = mem_alloc(m->mem, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->id = id;
    s->is_own = (id & 1) == (uint32_t)m->role;
    s->rx_credit = MUX_WINDOW;
    list_init(&s->ready);
    list_init(&s->control);
    list_init(&s->event);
    if (is_listed && !table_append(table_of(m, id), m->mem, s)) {
        mem_free(m->mem, s);
        return NULL;
    }
    return s;
}

void mux_stream_unlist(struct mux *m, struct mux_stream *s)
{
    table_remove(table_of(m, s->id), m->mem, s);
}

void mux_stream_free(struct mux *m, struct mux_stream *s)
{
    mux_stream_drop_bytes(m, s);
    mux_stream_count(m, s, false, false);
    list_unlink(&s->ready);
    list_unlink(&s->control);
    list_unlink(&s->event);
    mux_stream_unlist(m, s);
    mem_free(m->mem, s);
}

void mux_stream_settle(struct mux *m, struct mux_stream *s)
{
    if (s->state == MUX_STATE_CLOSED && s->is_fin_told) {
        assert(s->rx.len == 0 && s->tx.len == 0);
        mux_stream_free(m, s);
    }
}

void mux_stream_count(struct mux *m, struct mux_stream *s, bool is_counted, bool is_unacked)
{
    struct mux_table *t = table_of(m, s->id);
    if (is_counted != s->is_counted) {
        t->n_open += is_counted ? 1 : UINT32_MAX;
        s->is_counted = is_counted;
    }
    if (is_unacked != s->is_unacked) {
        t->n_unacked += is_unacked ? 1 : UINT32_MAX;
        s->is_unacked = is_unacked;
    }
}

void mux_stream_drop_bytes(struct mux *m, struct mux_stream *s)
{
    if (m->offer_stream == s) {
        m->link_rx_owed += (uint32_t)m->offer.len;
        m->offer = SLICE_EMPTY;
        m->offer_stream = NULL;
    }
    m->link_rx_owed += (uint32_t)s->rx.len;
    mux_queue_done(&s->rx, m->mem);
    mux_queue_done(&s->tx, m->mem);
    s->is_readable = false;
    s->is_writable = false;
    list_unlink(&s->ready);
}

/* What the peer may have sent before it hears of the end must still be taken, and no more. */
static void stream_allow_late(struct mux *m, const struct mux_stream *s)
{
    if (s->state == MUX_STATE_OPEN || s->state == MUX_STATE_FIN_SENT) {
        m->late_bytes += s->rx_credit;
    }
}

void mux_stream_kill(struct mux *m, struct mux_stream *s, enum ipx_err code)
{
    mux_stream_drop_bytes(m, s);
    mux_stream_count(m, s, false, false);
    list_unlink(&s->control);
    s->code = code;
    sm_move(&mux_stream_table, &s->state, MUX_STATE_DEAD);
    mux_raise(m, s);
}

/* From now on the stream only waits until its RESET has gone out. */
static void stream_begin_reset(struct mux *m, struct mux_stream *s, enum ipx_err code)
{
    stream_allow_late(m, s);
    mux_stream_drop_bytes(m, s);
    s->code = code;
    sm_move(&mux_stream_table, &s->state, MUX_STATE_RESETTING);
    mux_owe(m, s);
}

void mux_stream_reset(struct mux *m, struct mux_stream *s, enum ipx_err code)
{
    if (s->state == MUX_STATE_WAITING || s->state == MUX_STATE_CLOSED) {
        mux_stream_free(m, s); /* the peer knows nothing of it, or has all of it */
        return;
    }
    stream_begin_reset(m, s, code);
    list_unlink(&s->event);
    mux_stream_unlist(m, s);
}

void mux_stream_abort(struct mux *m, struct mux_stream *s, enum ipx_err code)
{
    stream_begin_reset(m, s, code);
    mux_raise(m, s);
}

/* Lists */

void mux_raise(struct mux *m, struct mux_stream *s)
{
    if (!list_is_linked(&s->event)) {
        list_push_back(&m->events, &s->event);
    }
}

void mux_owe(struct mux *m, struct mux_stream *s)
{
    if (s->state != MUX_STATE_WAITING && !list_is_linked(&s->control)) {
        list_push_back(&m->control, &s->control);
    }
}

void mux_stream_set_ready(struct mux *m, struct mux_stream *s)
{
    bool may_send = s->state == MUX_STATE_OPEN || s->state == MUX_STATE_FIN_RECEIVED;
    bool is_ready = may_send && s->tx.len > 0 && s->tx_credit > 0;
    if (!is_ready) {
        list_unlink(&s->ready);
    } else if (!list_is_linked(&s->ready)) {
        list_push_back(&m->ready[s->class], &s->ready);
    }
}

void mux_give_back(struct mux *m, struct mux_stream *s, uint32_t n)
{
    m->link_rx_owed += n;
    s->rx_owed += n;
    bool is_peer_sending = s->state == MUX_STATE_OPEN || s->state == MUX_STATE_FIN_SENT;
    if (is_peer_sending && s->rx_owed >= MUX_CREDIT_STEP) {
        mux_owe(m, s);
    }
}

/* Token buckets */

void mux_bucket_init(struct mux_bucket *b, uint32_t per_s, uint32_t burst)
{
    uint64_t us_per_token = US_PER_S / per_s;
    uint64_t cap_us = burst * us_per_token;
    *b = (struct mux_bucket){.level_us = cap_us, .us_per_token = us_per_token, .cap_us = cap_us};
}

bool mux_bucket_take(struct mux_bucket *b, uint64_t now_us)
{
    uint64_t passed_us = now_us > b->at_us ? now_us - b->at_us : 0;
    b->level_us += IPX_MIN(passed_us, b->cap_us - b->level_us);
    b->at_us = IPX_MAX(now_us, b->at_us);
    if (b->level_us < b->us_per_token) {
        return false;
    }
    b->level_us -= b->us_per_token;
    return true;
}

uint64_t mux_bucket_ready_us(const struct mux_bucket *b, uint64_t now_us)
{
    if (b->level_us >= b->us_per_token) {
        return now_us;
    }
    return b->at_us + (b->us_per_token - b->level_us);
}
