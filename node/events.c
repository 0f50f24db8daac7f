/* SPDX-License-Identifier: Apache-2.0 */
#include "node/events.h"

/* A record: length of it all u16, time u64, kind u8, length of `who` u8, who, text. */
#define HEAD_LEN 12u

enum ipx_err events_init(struct events *e, struct mem *mem)
{
    *e = (struct events){.mem = mem, .first = 1, .next = 1};
    e->bytes = mem_alloc(mem, EVENTS_BYTES);
    return e->bytes != NULL ? IPX_OK : IPX_NO_MEMORY;
}

void events_done(struct events *e)
{
    if (e->mem != NULL) {
        mem_free(e->mem, e->bytes);
    }
    *e = (struct events){.mem = NULL};
}

static struct events_one record_at(const struct events *e, size_t at, uint64_t seq, size_t *ret_len)
{
    struct reader r = reader_of(slice_of(e->bytes + at, e->len - at));
    struct events_one v = {.seq = seq};
    *ret_len = reader_u16(&r);
    v.wall_ms = (int64_t)reader_u64(&r);
    v.kind = (enum events_kind)reader_u8(&r);
    v.who = reader_bytes(&r, reader_u8(&r));
    v.text = reader_bytes(&r, *ret_len - HEAD_LEN - v.who.len);
    assert(!r.failed && v.kind < EVENTS_N);
    return v;
}

static void drop_until_room(struct events *e, size_t len)
{
    size_t at = 0;
    while (e->len - at + len > EVENTS_BYTES) {
        at += load_be16(e->bytes + at);
        e->first++;
    }
    if (at > 0) {
        memmove(e->bytes, e->bytes + at, e->len - at);
        e->len -= at;
    }
}

bool events_add(struct events *e, int64_t wall_ms, enum events_kind kind, struct slice who,
                struct slice text)
{
    who.len = IPX_MIN(who.len, (size_t)EVENTS_WHO_MAX);
    text.len = IPX_MIN(text.len, (size_t)EVENTS_TEXT_MAX);
    size_t len = HEAD_LEN + who.len + text.len, last_len;
    if (e->next > e->first) {
        struct events_one last = record_at(e, e->last, e->next - 1, &last_len);
        if (last.kind == kind && slice_equal(last.who, who) && slice_equal(last.text, text)) {
            return false;
        }
    }
    drop_until_room(e, len);
    struct writer w = writer_of(e->bytes + e->len, EVENTS_BYTES - e->len);
    writer_u16(&w, (uint16_t)len);
    writer_u64(&w, (uint64_t)wall_ms);
    writer_u8(&w, (uint8_t)kind);
    writer_u8(&w, (uint8_t)who.len);
    writer_bytes(&w, who);
    writer_bytes(&w, text);
    assert(!w.failed);
    e->last = e->len;
    e->len += len;
    e->next++;
    return true;
}

enum ipx_err events_get(const struct events *e, uint64_t seq, struct events_one *ret)
{
    size_t at = 0, len;
    if (seq < e->first || seq >= e->next) {
        return IPX_NOT_FOUND;
    }
    for (uint64_t i = e->first; i < seq; i++) {
        at += load_be16(e->bytes + at);
    }
    *ret = record_at(e, at, seq, &len);
    return IPX_OK;
}

const char *events_kind_name(enum events_kind kind)
{
    static const char *const names[EVENTS_N] = {[EVENTS_START] = "start",
                                                [EVENTS_MEMBER_UP] = "member-up",
                                                [EVENTS_MEMBER_SUSPECT] = "member-suspect",
                                                [EVENTS_MEMBER_DOWN] = "member-down",
                                                [EVENTS_MEMBER_LEFT] = "member-left",
                                                [EVENTS_CLONE] = "clone",
                                                [EVENTS_REVOKED] = "revoked",
                                                [EVENTS_LABEL] = "label",
                                                [EVENTS_POLICY] = "policy",
                                                [EVENTS_LINK_UP] = "link-up",
                                                [EVENTS_LINK_DOWN] = "link-down",
                                                [EVENTS_ADMITTED] = "admitted",
                                                [EVENTS_REFUSED] = "refused",
                                                [EVENTS_SOURCE_UP] = "source-up",
                                                [EVENTS_SOURCE_DOWN] = "source-down",
                                                [EVENTS_JOB_BEGIN] = "job-begin",
                                                [EVENTS_JOB_END] = "job-end",
                                                [EVENTS_MANY_ADMITTED] = "many-admitted"};
    return kind < EVENTS_N ? names[kind] : "unknown";
}

void events_check(const struct events *e)
{
    size_t at = 0, len;
    assert(e->first >= 1 && e->next >= e->first && e->len <= EVENTS_BYTES);
    for (uint64_t i = e->first; i < e->next; i++) {
        (void)record_at(e, at, i, &len);
        assert(i + 1 < e->next || at == e->last);
        at += len;
    }
    assert(at == e->len);
}
