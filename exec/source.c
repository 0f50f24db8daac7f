/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/source_core.h"

enum ipx_err sources_new(struct exec_core *core, struct sources **ret)
{
    struct sources *s = mem_alloc(core->mem, sizeof(*s));
    if (s == NULL) {
        return IPX_NO_MEMORY;
    }
    s->core = core;
    s->mem = core->mem;
    s->budget.limit = SOURCE_RINGS_MAX;
    *ret = s;
    return IPX_OK;
}

void sources_free(struct sources *s)
{
    if (s == NULL) {
        return;
    }
    while (s->n_taps > 0) {
        tap_free(s, s->taps[0]);
    }
    while (s->n_readers > 0) {
        reader_free(s, 0);
    }
    while (s->n_sources > 0) {
        source_free(s, 0);
    }
    mem_free(s->mem, s);
}

struct writer sources_scratch(struct sources *s, unsigned which)
{
    return writer_of(s->core->scratch->sources[which], EXEC_BODY_MAX);
}

void sources_send(struct sources *s, uint32_t handle, uint8_t type, const struct writer *w)
{
    assert(!w->failed);
    out_stream_send(&s->core->out, handle, type, EXEC_CLASS_LIVE, writer_slice(w));
}

/* --- clients --- */

struct source_client *sources_client_find(struct sources *s, uint32_t handle)
{
    for (uint32_t i = 0; handle != 0 && i < EXEC_CLIENTS_MAX; i++) {
        if (s->clients[i].handle == handle) {
            return &s->clients[i];
        }
    }
    return NULL;
}

void sources_client_end(struct sources *s, struct source_client *c)
{
    if (c->handle != 0) {
        out_stream_close(&s->core->out, c->handle, IPX_OK);
    }
    *c = (struct source_client){.handle = 0};
}

void sources_client_error(struct sources *s, struct source_client *c, const struct exec_error *e)
{
    struct writer w = sources_scratch(s, 0);
    exec_error_encode(e, &w);
    sources_send(s, c->handle, SOURCE_MSG_ERROR, &w);
    sources_client_end(s, c);
}

void sources_on_client(struct sources *s, uint64_t now_us, uint32_t handle, const char *user,
                       uint32_t rights)
{
    assert(sources_client_find(s, handle) == NULL);
    trace_emit(s->core->trace, now_us, TRACE_SOURCE, "client", NULL, handle, user[0] != 0);
    for (uint32_t i = 0; i < EXEC_CLIENTS_MAX; i++) {
        if (s->clients[i].handle == 0) {
            s->clients[i] = (struct source_client){.handle = handle, .rights = rights};
            return;
        }
    }
    out_stream_close(&s->core->out, handle, IPX_LIMIT);
}

static void client_first(struct sources *s, uint64_t now_us, struct source_client *c, uint8_t type,
                         struct slice body)
{
    const struct exec_error denied = {.exit_code = 1,
                                      .err = IPX_DENIED,
                                      .what = slice_text("not allowed to use live sources"),
                                      .hint = slice_text("run it as the node's user")};
    const struct exec_error strange = {.exit_code = 1,
                                       .err = IPX_MALFORMED,
                                       .what = slice_text("the node does not know this request"),
                                       .hint = slice_text("is the node of another version?")};
    if (c->rights == 0) {
        sources_client_error(s, c, &denied);
    } else if (type == SOURCE_MSG_PUBLISH) {
        source_on_publish(s, now_us, c, body);
    } else if (type == SOURCE_MSG_TAP) {
        tap_on_client(s, now_us, c, body);
    } else {
        sources_client_error(s, c, &strange);
    }
}

bool sources_on_client_message(struct sources *s, uint64_t now_us, uint32_t handle, uint8_t type,
                               struct slice body)
{
    struct source_client *c = sources_client_find(s, handle);
    struct source_credit credit;
    if (c == NULL) {
        return false;
    }
    s->is_dirty = true;
    if (c->kind == SOURCE_CLIENT_NEW) {
        client_first(s, now_us, c, type, body);
    } else if (c->kind == SOURCE_CLIENT_PUBLISH && type == SOURCE_MSG_FRAMES) {
        source_on_frames(s, now_us, c, body);
    } else if (c->kind == SOURCE_CLIENT_TAP && type == SOURCE_MSG_TAP_CREDIT &&
               source_credit_decode(body, &credit) == IPX_OK) {
        tap_credit(s, c->tap, &credit);
    } else {
        s->core->n_malformed++;
    }
    return true;
}

bool sources_on_client_closed(struct sources *s, uint64_t now_us, uint32_t handle)
{
    struct source_client *c = sources_client_find(s, handle);
    if (c == NULL) {
        return false;
    }
    s->is_dirty = true;
    if (c->kind == SOURCE_CLIENT_PUBLISH) {
        source_end(s, now_us, c->source);
    } else if (c->kind == SOURCE_CLIENT_TAP) {
        tap_free(s, c->tap);
    }
    *c = (struct source_client){.handle = 0};
    return true;
}

/* --- readers --- */

static uint32_t reader_at(const struct sources *s, uint32_t handle)
{
    for (uint32_t i = 0; i < s->n_readers; i++) {
        if (s->readers[i]->handle == handle) {
            return i;
        }
    }
    return SOURCE_READERS_MAX;
}

void sources_on_stream(struct sources *s, uint64_t now_us, const struct cert_facts *from,
                       uint32_t handle)
{
    struct source_reader *r =
        s->n_readers < SOURCE_READERS_MAX ? mem_alloc(s->mem, sizeof(*r)) : NULL;
    if (r == NULL) {
        out_stream_close(&s->core->out, handle, IPX_LIMIT);
        return;
    }
    *r = (struct source_reader){.handle = handle, .idle_us = NEVER_US, .sample_us = 0};
    s->readers[s->n_readers++] = r;
    trace_emit(s->core->trace, now_us, TRACE_SOURCE, "reader", &from->id, handle, s->n_readers);
}

bool sources_on_stream_message(struct sources *s, uint64_t now_us, uint32_t handle, uint8_t type,
                               struct slice body)
{
    uint32_t i = reader_at(s, handle);
    if (i == SOURCE_READERS_MAX) {
        return false;
    }
    struct source_reader *r = s->readers[i];
    struct source_credit credit;
    s->is_dirty = true;
    if (r->source == NULL && type == SOURCE_MSG_TAP) {
        reader_open(s, now_us, r, body);
    } else if (r->source != NULL && type == SOURCE_MSG_TAP_CREDIT &&
               source_credit_decode(body, &credit) == IPX_OK) {
        r->credit.bytes = IPX_MAX(r->credit.bytes, credit.bytes);
        r->credit.frames = IPX_MAX(r->credit.frames, credit.frames);
    } else {
        s->core->n_malformed++;
        out_stream_close(&s->core->out, handle, IPX_MALFORMED);
        reader_free(s, i);
    }
    return true;
}

bool sources_on_stream_closed(struct sources *s, uint64_t now_us, uint32_t handle)
{
    uint32_t i = reader_at(s, handle);
    if (i == SOURCE_READERS_MAX) {
        return false;
    }
    trace_emit(s->core->trace, now_us, TRACE_SOURCE, "reader gone", NULL, handle,
               s->readers[i]->next);
    s->is_dirty = true;
    reader_free(s, i);
    return true;
}

/* --- time --- */

void sources_tick(struct sources *s, uint64_t now_us)
{
    for (uint32_t i = s->n_taps; i-- > 0;) { /* one that ends is replaced by the last */
        tap_tick(s, now_us, s->taps[i]);
    }
    for (uint32_t i = 0; i < s->n_readers && !s->is_dirty; i++) {
        s->is_dirty = reader_due(s->readers[i]) <= now_us;
    }
    for (uint32_t i = 0; i < s->n_sources && !s->is_dirty; i++) {
        s->is_dirty = s->sources[i]->gone_us <= now_us;
    }
}

uint64_t sources_deadline(const struct sources *s)
{
    uint64_t due_us = NEVER_US;
    for (uint32_t i = 0; i < s->n_taps; i++) {
        const struct source_tap_in *t = s->taps[i];
        due_us = IPX_MIN(due_us, IPX_MIN(t->retry_us, t->give_up_us));
    }
    for (uint32_t i = 0; i < s->n_readers; i++) {
        due_us = IPX_MIN(due_us, reader_due(s->readers[i]));
    }
    for (uint32_t i = 0; i < s->n_sources; i++) {
        due_us = IPX_MIN(due_us, s->sources[i]->gone_us);
    }
    return due_us;
}

/* The first frame that a reader which must not lose any still has to read. */
static uint64_t block_floor(const struct sources *s, const struct source *src)
{
    uint64_t floor = UINT64_MAX;
    for (uint32_t i = 0; i < s->n_readers; i++) {
        const struct source_reader *r = s->readers[i];
        if (r->source == src && r->policy == SOURCE_POLICY_BLOCK) {
            floor = IPX_MIN(floor, r->next);
        }
    }
    return floor;
}

static bool has_reader(const struct sources *s, const struct source *src)
{
    for (uint32_t i = 0; i < s->n_readers; i++) {
        if (s->readers[i]->source == src) {
            return true;
        }
    }
    return false;
}

bool sources_flush(struct sources *s, uint64_t now_us)
{
    uint32_t n_before = s->core->out.n;
    if (!s->is_dirty) {
        return false;
    }
    s->is_dirty = false;
    for (uint32_t i = 0; i < s->n_sources; i++) {
        ring_expire(&s->sources[i]->ring, now_us, block_floor(s, s->sources[i]));
    }
    for (uint32_t i = s->n_readers; i-- > 0;) {
        if (!reader_pump(s, now_us, s->readers[i])) {
            reader_free(s, i);
        }
    }
    for (uint32_t i = s->n_sources; i-- > 0;) {
        struct source *src = s->sources[i];
        if (src->handle != 0) {
            source_send_credit(s, src);
        } else if (!has_reader(s, src) || src->gone_us <= now_us) {
            source_free(s, i);
        }
    }
    return s->core->out.n != n_before;
}

/* --- queries --- */

size_t sources_list(const struct sources *s, struct resource *ret, size_t max)
{
    size_t n = 0;
    for (uint32_t i = 0; i < s->n_sources && n < max; i++) {
        const struct source *src = s->sources[i];
        if (src->handle != 0) {
            ret[n++] = (struct resource){
                .kind = slice_text("source"), .labels = src->labels, .n_labels = src->n_labels};
        }
    }
    return n;
}

void sources_check(const struct sources *s)
{
    for (uint32_t i = 0; i < s->n_sources; i++) {
        const struct source *src = s->sources[i];
        ring_check(&src->ring);
        assert((src->handle == 0) == (src->gone_us != NEVER_US));
    }
    for (uint32_t i = 0; i < s->n_readers; i++) {
        const struct source_reader *r = s->readers[i];
        assert(r->told <= r->next);
        assert(r->source == NULL ||
               (r->next <= r->source->ring.end && r->pos <= r->source->appended));
    }
    for (uint32_t i = 0; i < s->n_taps; i++) {
        const struct source_tap_in *t = s->taps[i];
        assert(t->handle == 0 || core_stream_find(s->core, t->handle)->user == t);
        assert(t->base.bytes <= t->delivered.bytes);
    }
    assert(s->budget.used <= s->budget.limit);
}
