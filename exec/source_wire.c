/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/source_wire.h"

#include "exec/wire_fields.h"

/* Live sources. Numbers: docs/wire/sources.md. */

#define PAIR(x)                                                                                    \
    void source_##x##_encode(const struct source_##x *m, struct writer *w)                         \
    {                                                                                              \
        fields_encode(&(x), m, w);                                                                 \
    }                                                                                              \
    enum ipx_err source_##x##_decode(struct slice in, struct source_##x *ret)                      \
    {                                                                                              \
        return fields_decode(&(x), in, ret, sizeof(*ret));                                         \
    }

/* --- 160 PUBLISH --- */
static const struct field publish_list[] = {
    NEEDED(source_publish, 1, TEXT, name, SOURCE_NAME_MAX),
    INT(source_publish, 3, TEXT, kind, SOURCE_TEXT_MAX),
    INT(source_publish, 5, TEXT, schema, SOURCE_TEXT_MAX),
    INT(source_publish, 7, TEXT, topic, SOURCE_TEXT_MAX),
    FIELD(source_publish, 8, U32, framing, .min = 1, .max = SOURCE_FRAMING_SIZE, .is_needed = true),
    INT(source_publish, 9, U32, frame_size, SOURCE_FRAME_MAX),
    INT(source_publish, 11, U64, rate_milli, INT64_MAX),
    INT(source_publish, 13, U64, size, INT64_MAX),
    INT(source_publish, 14, U64, ring_age_us, INT64_MAX),
    INT(source_publish, 16, U64, ring_bytes, INT64_MAX),
    INT(source_publish, 18, U64, ring_frames, INT64_MAX),
    FIELD(source_publish, 20, LIST, labels, .max = SOURCE_LABELS_MAX,
          .bytes_max = SOURCE_LABEL_BYTES),
};
FIELDS(publish);
PAIR(publish)

/* --- 168 PUBLISHED --- */
static const struct field published_list[] = {
    NEEDED(source_published, 1, FIXED, id.bytes, 16),
    NEEDED(source_published, 2, U64, epoch, UINT64_MAX),
};
FIELDS(published);
PAIR(published)

/* --- 169 CREDIT, 163 TAP_CREDIT --- */
static const struct field credit_list[] = {
    NEEDED(source_credit, 1, U64, bytes, UINT64_MAX),
    NEEDED(source_credit, 2, U64, frames, UINT64_MAX),
};
FIELDS(credit);
PAIR(credit)

/* --- 162 TAP --- */
static const struct field tap_list[] = {
    NEEDED(source_tap, 1, TEXT, name, EXEC_NAME_MAX),
    FIELD(source_tap, 2, U32, from, .min = 1, .max = SOURCE_FROM_TIME, .is_needed = true),
    FIELD(source_tap, 4, U32, policy, .min = 1, .max = SOURCE_POLICY_SAMPLE, .is_needed = true),
    INT(source_tap, 6, U64, value, INT64_MAX),
    INT(source_tap, 8, U64, epoch, UINT64_MAX),
    INT(source_tap, 10, U32, sample, 1000000),
    NEEDED(source_tap, 12, U64, credit.bytes, UINT64_MAX),
    NEEDED(source_tap, 14, U64, credit.frames, UINT64_MAX),
};
FIELDS(tap);

void source_tap_encode(const struct source_tap *m, struct writer *w)
{
    fields_encode(&tap, m, w);
}

enum ipx_err source_tap_decode(struct slice in, struct source_tap *ret)
{
    struct source_tap m;
    enum ipx_err err = fields_decode(&tap, in, &m, sizeof(m));
    if (err != IPX_OK || (m.policy == SOURCE_POLICY_SAMPLE && m.sample == 0)) {
        return IPX_MALFORMED;
    }
    *ret = m;
    return IPX_OK;
}

/* --- 170 OPENED --- */
static const struct field opened_list[] = {
    NEEDED(source_opened, 1, FIXED, id.bytes, 16),
    NEEDED(source_opened, 2, U64, epoch, UINT64_MAX),
    INT(source_opened, 3, U64, next, UINT64_MAX),
    NEEDED(source_opened, 4, TEXT, name, SOURCE_NAME_MAX),
    INT(source_opened, 5, TEXT, kind, SOURCE_TEXT_MAX),
    INT(source_opened, 7, TEXT, schema, SOURCE_TEXT_MAX),
    INT(source_opened, 9, TEXT, topic, SOURCE_TEXT_MAX),
    FIELD(source_opened, 10, U32, framing, .min = 1, .max = SOURCE_FRAMING_SIZE, .is_needed = true),
    INT(source_opened, 11, U32, frame_size, SOURCE_FRAME_MAX),
    INT(source_opened, 13, U64, rate_milli, INT64_MAX),
    INT(source_opened, 15, TEXT, node, EXEC_NAME_MAX),
    INT(source_opened, 17, TEXT, lab, EXEC_NAME_MAX),
};
FIELDS(opened);
PAIR(opened)

/* --- 171 GAP --- */
static const struct field gap_list[] = {
    NEEDED(source_gap, 1, U64, epoch, UINT64_MAX),
    NEEDED(source_gap, 2, U64, first, UINT64_MAX),
    NEEDED(source_gap, 3, U64, last, UINT64_MAX),
    FIELD(source_gap, 4, U32, reason, .min = 1, .max = SOURCE_GAP_SAMPLED, .is_needed = true),
};
FIELDS(gap);

void source_gap_encode(const struct source_gap *m, struct writer *w)
{
    fields_encode(&gap, m, w);
}

enum ipx_err source_gap_decode(struct slice in, struct source_gap *ret)
{
    struct source_gap m;
    enum ipx_err err = fields_decode(&gap, in, &m, sizeof(m));
    if (err != IPX_OK || m.first > m.last) {
        return IPX_MALFORMED;
    }
    *ret = m;
    return IPX_OK;
}

const char *source_gap_name(enum source_gap_reason r)
{
    static const char *const names[] = {"none", "evicted", "slow", "sampled"};
    return (unsigned)r < ARRAY_LEN(names) ? names[r] : "unknown";
}

/* --- 172 HEARTBEAT --- */
static const struct field heartbeat_list[] = {
    NEEDED(source_heartbeat, 1, U64, epoch, UINT64_MAX),
    NEEDED(source_heartbeat, 2, U64, next, UINT64_MAX),
};
FIELDS(heartbeat);
PAIR(heartbeat)

/* --- 173 END --- */
static const struct field end_list[] = {
    NEEDED(source_end, 1, U32, err, 255),
};
FIELDS(end);
PAIR(end)

/* --- 161 FRAMES: by hand, for there are 10^5 a second --- */

void source_frame_encode(const struct source_frame *m, struct writer *w)
{
    cbor_put_i64(w, m->time_us);
    cbor_put_bytes(w, m->bytes);
}

static bool id_is_zero(const struct source_id *id)
{
    static const struct source_id zero;
    return memcmp(id, &zero, sizeof(zero)) == 0;
}

void source_frames_encode(const struct source_frames *m, struct writer *w)
{
    bool has_id = !id_is_zero(&m->id);
    cbor_put_map(w, has_id ? 4 : 2);
    if (has_id) {
        cbor_put_u64(w, 1);
        cbor_put_bytes(w, slice_of(m->id.bytes, sizeof(m->id.bytes)));
        cbor_put_u64(w, 2);
        cbor_put_u64(w, m->epoch);
    }
    cbor_put_u64(w, 4);
    cbor_put_u64(w, m->first);
    cbor_put_u64(w, 6);
    cbor_put_array(w, (uint64_t)m->n * 2);
    cbor_put_raw(w, m->raw);
}

static void frames_read(struct cbor_reader *r, struct source_frames *m)
{
    uint64_t n = cbor_array_begin(r, 2 * SOURCE_BATCH_MAX);
    size_t start = r->pos;
    m->n = (uint32_t)(n / 2);
    m->cost = (uint64_t)m->n * SOURCE_FRAME_COST;
    for (uint32_t i = 0; i < m->n && !r->failed; i++) {
        cbor_i64(r);
        m->cost += cbor_bytes(r, SOURCE_FRAME_MAX).len;
    }
    cbor_array_end(r); /* fails if the number is odd: one item is left */
    m->raw = r->failed ? SLICE_EMPTY : slice_of(r->in.data + start, r->pos - start);
}

enum ipx_err source_frames_decode(struct slice in, struct source_frames *ret)
{
    struct source_frames m = {.n = 0};
    struct cbor_reader r = cbor_reader_of(in);
    uint64_t key, has = 0;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        has |= key < 64 ? UINT64_C(1) << key : 0;
        if (key == 1) {
            cbor_bytes_fixed(&r, m.id.bytes, sizeof(m.id.bytes));
        } else if (key == 2) {
            m.epoch = cbor_u64(&r);
        } else if (key == 4) {
            m.first = cbor_u64(&r);
        } else if (key == 6) {
            frames_read(&r, &m);
        } else {
            cbor_skip_unknown(&r, key);
        }
    }
    if (!cbor_done(&r) || m.n == 0 || (has & (1u << 4)) == 0 || m.first > UINT64_MAX - m.n) {
        return IPX_MALFORMED;
    }
    *ret = m;
    return IPX_OK;
}

struct cbor_reader source_frames_begin(const struct source_frames *m)
{
    return cbor_reader_of(m->raw);
}

struct source_frame source_frame_next(struct cbor_reader *it)
{
    struct source_frame f;
    f.time_us = cbor_i64(it);
    f.bytes = cbor_bytes(it, SOURCE_FRAME_MAX);
    assert(!it->failed); /* checked by source_frames_decode */
    return f;
}
