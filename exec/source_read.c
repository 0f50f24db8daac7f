/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/source_core.h"

/* Readers of what is published here: each has its own position in the ring, its own credit, and
 * hears of everything that it missed. */

void reader_free(struct sources *s, uint32_t i)
{
    mem_free(s->mem, s->readers[i]);
    s->readers[i] = s->readers[--s->n_readers];
}

/* --- TAP --- */

static uint64_t first_wanted(const struct source *src, const struct source_tap *m, uint64_t now_us)
{
    const struct ring *ring = &src->ring;
    switch (m->from) {
    case SOURCE_FROM_ALL:
        return ring->first;
    case SOURCE_FROM_LAST:
        return ring->end > ring->first ? ring->end - 1 : ring->end;
    case SOURCE_FROM_NEW:
        return ring->end;
    case SOURCE_FROM_SEQ:
        /* of another epoch: everything of this one is new to the reader */
        return m->epoch != 0 && m->epoch != src->epoch ? 0 : IPX_MIN(m->value, ring->end);
    case SOURCE_FROM_AGO:
        return ring_seek_arrival(ring, now_us > m->value ? now_us - m->value : 0);
    case SOURCE_FROM_TIME:
        return ring_seek_time(ring, (int64_t)m->value);
    }
    return ring->end;
}

/* The place of `next` on the scale of `appended`. */
static uint64_t position_of(const struct source *src, uint64_t next)
{
    uint64_t lag = 0;
    if (next <= src->ring.first) {
        return src->appended - src->ring.cost;
    }
    for (uint64_t seq = next; seq < src->ring.end; seq++) {
        lag += ring_get(&src->ring, seq).bytes.len + RING_ENTRY_COST;
    }
    return src->appended - lag;
}

static void send_end(struct sources *s, uint32_t handle, enum ipx_err err)
{
    struct writer w = sources_scratch(s, 0);
    source_end_encode(&(struct source_end){(uint32_t)err}, &w);
    sources_send(s, handle, SOURCE_MSG_END, &w);
    out_stream_close(&s->core->out, handle, IPX_OK);
}

static void send_opened(struct sources *s, const struct source_reader *r)
{
    const struct source *src = r->source;
    const struct cert_facts *self = &s->core->self;
    struct writer w = sources_scratch(s, 0);
    source_opened_encode(&(struct source_opened){.id = src->id,
                                                 .epoch = src->epoch,
                                                 .next = r->told,
                                                 .name = src->m.name,
                                                 .kind = src->m.kind,
                                                 .schema = src->m.schema,
                                                 .topic = src->m.topic,
                                                 .framing = src->m.framing,
                                                 .frame_size = src->m.frame_size,
                                                 .rate_milli = src->m.rate_milli,
                                                 .node = slice_text(self->name),
                                                 .lab = slice_text(self->lab)},
                         &w);
    sources_send(s, r->handle, SOURCE_MSG_OPENED, &w);
}

/* A reader that has nothing more to hear is taken off by the next flush: told and next say so. */
void reader_open(struct sources *s, uint64_t now_us, struct source_reader *r, struct slice body)
{
    struct source_tap m;
    bool is_good = source_tap_decode(body, &m) == IPX_OK;
    struct source *src = is_good ? source_find(s, m.name) : NULL;
    if (src == NULL) {
        s->core->n_malformed += !is_good;
        send_end(s, r->handle, is_good ? IPX_NOT_FOUND : IPX_MALFORMED);
        r->handle = 0;
        return;
    }
    ring_expire(&src->ring, now_us, UINT64_MAX);
    r->source = src;
    r->policy = m.policy;
    r->sample = m.sample;
    r->credit = m.credit;
    r->told = r->next = first_wanted(src, &m, now_us);
    r->reason = SOURCE_GAP_EVICTED;
    r->pos = position_of(src, r->next);
    r->live_from = src->ring.end;
    r->idle_us = now_us + READER_IDLE_US;
    send_opened(s, r);
}

/* --- frames --- */

static void skip_to(struct source_reader *r, uint64_t next, enum source_gap_reason reason)
{
    if (next > r->next) {
        r->next = next;
        r->reason = reason;
        r->pos = position_of(r->source, next);
    }
}

/* Told just before the next frame (or the end), so that gaps never outnumber frames. */
static void send_gap(struct sources *s, struct source_reader *r)
{
    if (r->told < r->next) {
        struct writer w = sources_scratch(s, 0);
        source_gap_encode(&(struct source_gap){r->source->epoch, r->told, r->next - 1, r->reason},
                          &w);
        sources_send(s, r->handle, SOURCE_MSG_GAP, &w);
        r->told = r->next;
    }
}

static bool has_credit(const struct source_reader *r)
{
    return r->sent.bytes < r->credit.bytes && r->sent.frames < r->credit.frames;
}

/* One message of what is there and may be sent, `max` frames at most. */
static void send_batch(struct sources *s, struct source_reader *r, uint32_t max)
{
    const struct source *src = r->source;
    struct source_frames m = {.id = src->id, .epoch = src->epoch, .first = r->next};
    struct writer raw = sources_scratch(s, 0), w = sources_scratch(s, 1);
    max = IPX_MIN(max, SOURCE_BATCH_MAX);
    while (m.n < max && r->next < src->ring.end && has_credit(r)) {
        struct ring_frame f = ring_get(&src->ring, r->next);
        if (m.n > 0 && raw.len + f.bytes.len + 16 > SOURCE_BATCH_BYTES) {
            break;
        }
        source_frame_encode(&(struct source_frame){f.time_us, f.bytes}, &raw);
        r->next++;
        r->pos += f.bytes.len + RING_ENTRY_COST;
        r->sent.bytes += f.bytes.len + SOURCE_FRAME_COST;
        r->sent.frames++;
        m.n++;
    }
    m.raw = writer_slice(&raw);
    source_frames_encode(&m, &w);
    sources_send(s, r->handle, SOURCE_MSG_FRAMES, &w);
    r->told = r->next;
}

/* drop-old: what a live reader cannot take in time it misses, the oldest first. */
static void stay_live(struct source_reader *r)
{
    const struct ring *ring = &r->source->ring;
    uint64_t keep = ring->end;
    size_t bytes = 0;
    while (keep > r->next && ring->end - keep < READER_LIVE_FRAMES && bytes < READER_LIVE_BYTES) {
        bytes += ring_get(ring, --keep).bytes.len;
    }
    if (r->next >= r->live_from) {
        skip_to(r, keep, SOURCE_GAP_SLOW);
    }
}

static bool may_send(struct source_reader *r, uint64_t now_us)
{
    const struct source *src = r->source;
    if (r->next < src->ring.first) {
        skip_to(r, src->ring.first, SOURCE_GAP_EVICTED);
    }
    if (r->policy == SOURCE_POLICY_DROP_OLD && !has_credit(r)) {
        stay_live(r);
    }
    if (r->policy == SOURCE_POLICY_SAMPLE && src->ring.end > r->next) {
        if (now_us < r->sample_us && src->handle != 0) {
            return false;
        }
        skip_to(r, src->ring.end - 1, SOURCE_GAP_SAMPLED);
    }
    return r->next < src->ring.end && has_credit(r);
}

bool reader_pump(struct sources *s, uint64_t now_us, struct source_reader *r)
{
    struct source *src = r->source;
    if (r->handle == 0) {
        return false;
    }
    if (src == NULL) {
        return true;
    }
    while (may_send(r, now_us)) {
        send_gap(s, r);
        send_batch(s, r, r->policy == SOURCE_POLICY_SAMPLE ? 1 : UINT32_MAX);
        r->sample_us = now_us + (r->sample > 0 ? US_PER_S / r->sample : 0);
        r->idle_us = now_us + READER_IDLE_US;
    }
    if (src->handle == 0 && r->next == src->ring.end) {
        send_gap(s, r);
        send_end(s, r->handle, IPX_END);
        r->handle = 0;
        return false;
    }
    if (r->idle_us <= now_us) {
        struct writer w = sources_scratch(s, 0);
        source_heartbeat_encode(&(struct source_heartbeat){src->epoch, r->told}, &w);
        sources_send(s, r->handle, SOURCE_MSG_HEARTBEAT, &w);
        r->idle_us = now_us + READER_IDLE_US;
    }
    return true;
}

uint64_t reader_due(const struct source_reader *r)
{
    bool waits = r->source != NULL && r->policy == SOURCE_POLICY_SAMPLE && has_credit(r) &&
                 r->source->ring.end > r->next;
    return waits ? IPX_MIN(r->idle_us, r->sample_us) : r->idle_us;
}
