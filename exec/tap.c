/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/source_core.h"

/* Taps open here: for a local client, to which everything is handed on as it came, or for a
 * task, which gets the bytes. A broken link is opened again, and reading goes on where it was. */

#define TASK_BYTES_MAX (EXEC_WINDOW + SOURCE_FRAME_MAX + 4096u) /* a window and one frame */

struct source_tap_in *tap_new(struct sources *s, const struct node_id *node, struct slice name)
{
    if (s->n_taps == SOURCE_TAPS_MAX) {
        return NULL;
    }
    struct source_tap_in *t = mem_alloc(s->mem, sizeof(*t));
    if (t == NULL) {
        return NULL;
    }
    *t = (struct source_tap_in){.node = *node,
                                .retry_us = NEVER_US,
                                .backoff_us = TAP_RETRY_MIN_US,
                                .give_up_us = NEVER_US};
    if (!slice_to_text(name, t->name, sizeof(t->name))) {
        mem_free(s->mem, t);
        return NULL;
    }
    buf_init(&t->bytes, s->mem, TASK_BYTES_MAX);
    s->taps[s->n_taps++] = t;
    return t;
}

static void stream_drop(struct sources *s, struct source_tap_in *t, enum ipx_err err)
{
    if (t->handle != 0) {
        out_stream_close(&s->core->out, t->handle, err);
        core_stream_free(s->core, t->handle);
        t->handle = 0;
    }
}

void tap_free(struct sources *s, struct source_tap_in *t)
{
    uint32_t i = 0;
    while (s->taps[i] != t) {
        i++;
    }
    assert(i < s->n_taps);
    stream_drop(s, t, IPX_OK);
    s->taps[i] = s->taps[--s->n_taps];
    buf_done(&t->bytes);
    mem_free(s->mem, t);
}

/* --- the stream --- */

static void tap_lost(struct source_tap_in *t, uint64_t now_us)
{
    t->retry_us = now_us + t->backoff_us;
    t->backoff_us = IPX_MIN(t->backoff_us * 2, TAP_RETRY_MAX_US);
    if (t->give_up_us == NEVER_US) {
        t->give_up_us = now_us + (t->was_open ? TAP_LOST_US : TAP_FIRST_US);
    }
}

void tap_open(struct sources *s, uint64_t now_us, struct source_tap_in *t)
{
    assert(t->handle == 0);
    t->retry_us = NEVER_US;
    if (core_stream_take(s->core, CORE_STREAM_SOURCE, t, &t->handle) != IPX_OK) {
        t->handle = 0;
        tap_lost(t, now_us);
        return;
    }
    t->base = t->delivered;
    struct source_tap m = t->m;
    m.name = slice_text(t->name);
    m.credit.bytes = t->granted.bytes - IPX_MIN(t->granted.bytes, t->base.bytes);
    m.credit.frames = t->granted.frames - IPX_MIN(t->granted.frames, t->base.frames);
    if (t->was_open) {
        m.from = SOURCE_FROM_SEQ;
        m.value = t->next;
        m.epoch = t->epoch;
    }
    struct writer w = sources_scratch(s, 0);
    source_tap_encode(&m, &w);
    out_stream_open(&s->core->out, t->handle, &t->node, 3);
    sources_send(s, t->handle, SOURCE_MSG_TAP, &w);
}

void tap_credit(struct sources *s, struct source_tap_in *t, const struct source_credit *granted)
{
    t->granted.bytes = IPX_MAX(t->granted.bytes, granted->bytes);
    t->granted.frames = IPX_MAX(t->granted.frames, granted->frames);
    if (t->handle != 0 && t->granted.bytes > t->base.bytes && t->granted.frames > t->base.frames) {
        struct writer w = sources_scratch(s, 0);
        source_credit_encode(&(struct source_credit){t->granted.bytes - t->base.bytes,
                                                     t->granted.frames - t->base.frames},
                             &w);
        sources_send(s, t->handle, SOURCE_MSG_TAP_CREDIT, &w);
    }
}

/* --- its end --- */

static void tap_end(struct sources *s, struct source_tap_in *t, enum ipx_err err)
{
    struct source_client *c = sources_client_find(s, t->client);
    stream_drop(s, t, IPX_OK);
    t->retry_us = t->give_up_us = NEVER_US;
    t->end = err;
    s->has_task_news = s->has_task_news || c == NULL;
    if (c == NULL) {
        return; /* a task's: it asks */
    }
    bool was_open = t->was_open;
    tap_free(s, t);
    if (was_open) {
        struct writer w = sources_scratch(s, 0);
        source_end_encode(&(struct source_end){(uint32_t)err}, &w);
        sources_send(s, c->handle, SOURCE_MSG_END, &w);
        sources_client_end(s, c);
        return;
    }
    const struct exec_error e = {.exit_code = err == IPX_NOT_FOUND ? 3 : 1,
                                 .err = err,
                                 .what = slice_text("cannot read that source"),
                                 .why = slice_text(err_text(err)),
                                 .hint = slice_text("See what there is: ipx-node sources")};
    sources_client_error(s, c, &e);
}

void tap_tick(struct sources *s, uint64_t now_us, struct source_tap_in *t)
{
    if (t->give_up_us <= now_us) {
        tap_end(s, t, IPX_UNREACHABLE);
    } else if (t->retry_us <= now_us) {
        tap_open(s, now_us, t);
    }
}

void sources_on_tap_closed(struct sources *s, uint64_t now_us, void *user, enum ipx_err err)
{
    struct source_tap_in *t = user;
    trace_emit(s->core->trace, now_us, TRACE_SOURCE, "tap broken", &t->node, t->next,
               (uint64_t)err);
    core_stream_free(s->core, t->handle);
    t->handle = 0;
    tap_lost(t, now_us);
}

/* --- what comes --- */

static void hand_on(struct sources *s, const struct source_tap_in *t, uint8_t type,
                    struct slice body)
{
    if (t->client != 0) {
        out_stream_send(&s->core->out, t->client, type, EXEC_CLASS_LIVE, body);
    }
}

static bool on_opened(struct sources *s, struct source_tap_in *t, struct slice body)
{
    struct source_opened m;
    if (source_opened_decode(body, &m) != IPX_OK) {
        return false;
    }
    bool is_same = t->was_open && m.epoch == t->epoch;
    if (is_same && m.next != t->next) {
        return false;
    }
    t->was_open = true;
    t->epoch = m.epoch;
    t->next = m.next;
    t->framing = m.framing;
    t->backoff_us = TAP_RETRY_MIN_US;
    t->give_up_us = NEVER_US;
    if (!is_same) { /* the first time, or another publisher than before */
        hand_on(s, t, SOURCE_MSG_OPENED, body);
    }
    return true;
}

/* The frame as the task reads it: with what framed it at the publisher. */
static bool task_put(struct source_tap_in *t, struct slice frame)
{
    uint8_t length[4];
    store_be32(length, (uint32_t)frame.len);
    return (t->framing != SOURCE_FRAMING_LENGTH ||
            buf_append(&t->bytes, slice_of(length, sizeof(length))) == IPX_OK) &&
           buf_append(&t->bytes, frame) == IPX_OK &&
           (t->framing != SOURCE_FRAMING_LINES ||
            buf_append(&t->bytes, slice_of("\n", 1)) == IPX_OK);
}

static bool on_frames(struct sources *s, struct source_tap_in *t, struct slice body)
{
    struct source_frames m;
    if (source_frames_decode(body, &m) != IPX_OK || !t->was_open || m.epoch != t->epoch ||
        m.first != t->next) {
        return false;
    }
    struct cbor_reader it = source_frames_begin(&m);
    for (uint32_t i = 0; t->client == 0 && i < m.n; i++) {
        if (!task_put(t, source_frame_next(&it).bytes)) {
            return false; /* over what was granted */
        }
    }
    t->next += m.n;
    t->delivered.bytes += m.cost;
    t->delivered.frames += m.n;
    s->has_task_news = s->has_task_news || t->client == 0;
    hand_on(s, t, SOURCE_MSG_FRAMES, body);
    return true;
}

static bool on_gap(struct sources *s, struct source_tap_in *t, struct slice body)
{
    struct source_gap m;
    if (source_gap_decode(body, &m) != IPX_OK || !t->was_open || m.epoch != t->epoch ||
        m.first != t->next || m.last == UINT64_MAX) {
        return false;
    }
    t->next = m.last + 1;
    hand_on(s, t, SOURCE_MSG_GAP, body);
    return true;
}

/* True: the tap may be gone. */
static bool on_end(struct sources *s, uint64_t now_us, struct source_tap_in *t, struct slice body)
{
    struct source_end m;
    if (source_end_decode(body, &m) != IPX_OK) {
        return false;
    }
    if (m.err == IPX_NOT_FOUND && t->was_open) {
        /* its node is back, its publisher perhaps not yet */
        stream_drop(s, t, IPX_OK);
        tap_lost(t, now_us);
    } else {
        tap_end(s, t, m.err == IPX_OK ? IPX_END : (enum ipx_err)m.err);
    }
    return true;
}

void sources_on_tap_message(struct sources *s, uint64_t now_us, void *user, uint8_t type,
                            struct slice body)
{
    struct source_tap_in *t = user;
    struct source_heartbeat beat;
    bool is_good = true;
    s->is_dirty = true;
    switch (type) {
    case SOURCE_MSG_OPENED:
        is_good = on_opened(s, t, body);
        break;
    case SOURCE_MSG_FRAMES:
        is_good = on_frames(s, t, body);
        break;
    case SOURCE_MSG_GAP:
        is_good = on_gap(s, t, body);
        break;
    case SOURCE_MSG_HEARTBEAT:
        is_good = source_heartbeat_decode(body, &beat) == IPX_OK;
        if (is_good) {
            hand_on(s, t, type, body);
        }
        break;
    case SOURCE_MSG_END:
        is_good = on_end(s, now_us, t, body);
        break;
    default: /* of a later version */
        s->core->n_malformed++;
        break;
    }
    if (!is_good) {
        s->core->n_malformed++;
        stream_drop(s, t, IPX_MALFORMED);
        tap_lost(t, now_us);
    }
}

/* --- for tasks --- */

struct source_tap_in *sources_task_open(struct sources *s, uint64_t now_us,
                                        const struct node_id *node, struct slice name)
{
    const uint8_t *at = name.len > 0 ? memchr(name.data, '@', name.len) : NULL;
    name.len = at != NULL ? (size_t)(at - name.data) : name.len;
    const uint8_t *slash = name.len > 0 ? memchr(name.data, '/', name.len) : NULL;
    if (slash != NULL) {
        name = slice_of(slash + 1, name.len - (size_t)(slash + 1 - name.data));
    }
    struct source_tap_in *t = tap_new(s, node, name);
    if (t != NULL) {
        t->m = (struct source_tap){.from = SOURCE_FROM_NEW, .policy = SOURCE_POLICY_BLOCK};
        t->granted = (struct source_credit){EXEC_WINDOW, UINT64_MAX / 2};
        tap_open(s, now_us, t);
    }
    return t;
}

enum ipx_err sources_task_bytes(const struct source_tap_in *t, struct slice *ret)
{
    *ret = buf_slice(&t->bytes);
    return t->end;
}

void sources_task_consume(struct sources *s, struct source_tap_in *t, size_t len)
{
    buf_consume(&t->bytes, len);
    /* a frame's framing is less than what it costs: the buffer holds a window and one frame */
    uint64_t granted = t->delivered.bytes + EXEC_WINDOW - IPX_MIN(t->bytes.len, EXEC_WINDOW);
    if (granted >= t->granted.bytes + EXEC_WINDOW / 4) {
        s->is_dirty = true;
        tap_credit(s, t, &(struct source_credit){granted, t->granted.frames});
    }
}

void sources_task_close(struct sources *s, struct source_tap_in *t)
{
    s->is_dirty = true;
    tap_free(s, t);
}

bool sources_task_take_news(struct sources *s)
{
    bool has_news = s->has_task_news;
    s->has_task_news = false;
    return has_news;
}
