/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/source_core.h"

#include "base/crypt.h"

/* What is published here: from PUBLISH to the publisher's end, and its place in the own ad. */

struct source *source_find(const struct sources *s, struct slice name)
{
    struct source *found = NULL;
    for (uint32_t i = 0; i < s->n_sources; i++) {
        struct source *src = s->sources[i];
        if (slice_equal(src->m.name, name) && (found == NULL || src->handle != 0)) {
            found = src;
        }
    }
    return found;
}

void source_free(struct sources *s, uint32_t i)
{
    struct source *src = s->sources[i];
    for (uint32_t k = s->n_readers; k-- > 0;) {
        if (s->readers[k]->source == src) {
            out_stream_close(&s->core->out, s->readers[k]->handle, IPX_TIMEOUT);
            reader_free(s, k);
        }
    }
    s->sources[i] = s->sources[--s->n_sources];
    ring_done(&src->ring);
    mem_free(s->mem, src->bytes);
    mem_free(s->mem, src);
}

void source_end(struct sources *s, uint64_t now_us, struct source *src)
{
    src->handle = 0;
    src->gone_us = now_us + SOURCE_LINGER_US;
    s->is_dirty = true;
    out_sources_changed(&s->core->out);
    trace_emit(s->core->trace, now_us, TRACE_SOURCE, "source ended", NULL, src->epoch,
               src->ring.end);
}

/* --- labels --- */

/* Sorted by name, as a resource has them. Conditions: IPX_EXISTS, IPX_LIMIT. */
static enum ipx_err label_put(struct source *src, struct slice name, const struct label_value *v)
{
    uint16_t at = src->n_labels;
    if (at == LABEL_RES_LABELS_MAX) {
        return IPX_LIMIT;
    }
    while (at > 0 && slice_compare(src->labels[at - 1].name, name) > 0) {
        at--;
    }
    if (at > 0 && slice_equal(src->labels[at - 1].name, name)) {
        return IPX_EXISTS;
    }
    memmove(src->labels + at + 1, src->labels + at,
            (size_t)(src->n_labels - at) * sizeof(struct label));
    src->labels[at] = (struct label){name, *v};
    src->n_labels++;
    return IPX_OK;
}

static enum ipx_err label_text(struct source *src, const char *name, struct slice text)
{
    const struct label_value v = {.type = LABEL_STRING, .text = text};
    if (text.len == 0) {
        return IPX_OK;
    }
    return label_text_is_valid(text) ? label_put(src, slice_text(name), &v) : IPX_MALFORMED;
}

static enum ipx_err label_number(struct source *src, const char *name, double number,
                                 struct label_dim dim)
{
    const struct label_value v = {.type = LABEL_NUMBER, .number = number, .dim = dim};
    return number > 0 ? label_put(src, slice_text(name), &v) : IPX_OK;
}

/* One "name=value" of the user. */
static enum ipx_err label_user(struct source *src, struct slice text, struct label_scratch *scratch)
{
    const uint8_t *eq = text.len > 0 ? memchr(text.data, '=', text.len) : NULL;
    struct label_value v;
    if (eq == NULL) {
        return IPX_MALFORMED;
    }
    struct slice name = slice_of(text.data, (size_t)(eq - text.data));
    struct slice rest = slice_of(eq + 1, text.len - name.len - 1);
    enum ipx_err err =
        label_name_is_valid(name) ? label_value_parse(rest, scratch, &v) : IPX_MALFORMED;
    if (err != IPX_OK) {
        return err;
    }
    if (v.type == LABEL_SET) {
        return IPX_TYPE; /* a source's labels stand in one line of the ad */
    }
    if (v.text.len > sizeof(src->text) - src->text_len) {
        return IPX_LIMIT;
    }
    if (v.text.len > 0) {
        uint8_t *to = src->text + src->text_len;
        memcpy(to, v.text.data, v.text.len);
        src->text_len += v.text.len;
        v.text = slice_of(to, v.text.len);
    }
    return label_put(src, name, &v);
}

static enum ipx_err labels_make(struct sources *s, struct source *src)
{
    const struct source_publish *m = &src->m;
    const struct label_dim hz = {0, -1}, bytes = {1, 0}, seconds = {0, 1};
    const struct label_value live = {.type = LABEL_BOOL, .boolean = true};
    enum ipx_err err = label_text(src, "name", m->name);
    err = err != IPX_OK ? err : label_text(src, "kind", m->kind);
    err = err != IPX_OK ? err : label_text(src, "schema", m->schema);
    err = err != IPX_OK ? err : label_text(src, "topic", m->topic);
    err = err != IPX_OK ? err : label_number(src, "rate", (double)m->rate_milli / 1e3, hz);
    err = err != IPX_OK ? err : label_number(src, "size", (double)m->size, bytes);
    err = err != IPX_OK
              ? err
              : label_number(src, "replay", (double)src->ring.limits.age_us / 1e6, seconds);
    err = err != IPX_OK ? err : label_put(src, slice_text("live"), &live);
    struct label_scratch *scratch = err == IPX_OK ? mem_alloc(s->mem, sizeof(*scratch)) : NULL;
    if (scratch == NULL) {
        return err != IPX_OK ? err : IPX_NO_MEMORY;
    }
    struct cbor_reader it = exec_list_begin(&m->labels);
    for (uint32_t i = 0; i < m->labels.n && err == IPX_OK; i++) {
        err = label_user(src, exec_list_next(&it), scratch);
    }
    mem_free(s->mem, scratch);
    return err;
}

/* --- PUBLISH --- */

/* Written without quotes everywhere: in names of taps, and with @node behind it. */
static bool name_is_valid(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        bool is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || c == '.';
        if (!is_fine) {
            return false;
        }
    }
    return name.len > 0;
}

static enum ipx_err publish_check(const struct sources *s, const struct source_publish *m)
{
    const struct source *other = source_find(s, m->name);
    if (!name_is_valid(m->name) || (m->framing == SOURCE_FRAMING_SIZE && m->frame_size == 0)) {
        return IPX_MALFORMED;
    }
    if (!cert_may_publish(&s->core->self, m->name)) {
        return IPX_DENIED;
    }
    if (other != NULL && other->handle != 0) {
        return IPX_EXISTS;
    }
    return s->n_sources == SOURCES_MAX ? IPX_LIMIT : IPX_OK;
}

static uint64_t epoch_next(struct sources *s, uint64_t now_us)
{
    const struct exec_core *c = s->core;
    /* by the clock, so that a restarted node does not come by an epoch it had before */
    uint64_t epoch =
        c->wall_minus_now_ms != 0 ? (uint64_t)core_wall_ms(c, now_us) : now_us / US_PER_MS;
    s->last_epoch = IPX_MAX(epoch, s->last_epoch + 1);
    return s->last_epoch;
}

static enum ipx_err source_make(struct sources *s, uint64_t now_us, struct slice body,
                                struct source **ret)
{
    struct source *src = mem_alloc(s->mem, sizeof(*src));
    if (src == NULL) {
        return IPX_NO_MEMORY;
    }
    s->sources[s->n_sources++] = src;
    src->gone_us = NEVER_US;
    src->bytes = mem_dup(s->mem, body.data, body.len);
    if (src->bytes == NULL) {
        return IPX_NO_MEMORY;
    }
    enum ipx_err err = source_publish_decode(slice_of(src->bytes, body.len), &src->m);
    assert(err == IPX_OK);
    const struct source_publish *m = &src->m;
    const struct ring_limits limits = {
        .age_us = m->ring_age_us != 0 ? m->ring_age_us : SOURCE_RING_AGE_US,
        .bytes_max = m->ring_bytes != 0 ? m->ring_bytes : SOURCE_RING_BYTES,
        .frames_max = m->ring_frames != 0 ? m->ring_frames : UINT64_MAX};
    ring_init(&src->ring, s->mem, &s->budget, &limits);
    src->ring.limits.bytes_max =
        IPX_MIN(IPX_MAX(src->ring.limits.bytes_max, 4096u), (uint64_t)SOURCE_RINGS_MAX);
    struct hash hash = crypt_hash2(slice_of(s->core->self.id.bytes, 32), m->name);
    memcpy(src->id.bytes, hash.bytes, sizeof(src->id.bytes));
    src->epoch = epoch_next(s, now_us);
    *ret = src;
    return labels_make(s, src);
}

static void publish_refuse(struct sources *s, struct source_client *c, enum ipx_err err)
{
    const char *why = err == IPX_EXISTS      ? "a source of that name, or a label twice"
                      : err == IPX_DENIED    ? "this node's certificate does not allow it"
                      : err == IPX_MALFORMED ? "names are letters, digits, and . - _"
                      : err == IPX_TYPE      ? "a set cannot be a label of a source"
                                             : err_text(err);
    const struct exec_error e = {.exit_code = 1,
                                 .err = err,
                                 .what = slice_text("cannot publish it"),
                                 .why = slice_text(why),
                                 .hint = slice_text("See what there is: ipx-node sources")};
    sources_client_error(s, c, &e);
}

void source_on_publish(struct sources *s, uint64_t now_us, struct source_client *c,
                       struct slice body)
{
    struct source_publish m;
    struct source *src = NULL;
    enum ipx_err err = source_publish_decode(body, &m);
    err = err != IPX_OK ? err : publish_check(s, &m);
    if (err == IPX_OK) {
        uint32_t n = s->n_sources;
        err = source_make(s, now_us, body, &src);
        if (err != IPX_OK && s->n_sources > n) {
            source_free(s, n);
        }
    }
    if (err != IPX_OK) {
        publish_refuse(s, c, err);
        return;
    }
    src->handle = c->handle;
    c->kind = SOURCE_CLIENT_PUBLISH;
    c->source = src;
    struct writer w = sources_scratch(s, 0);
    source_published_encode(&(struct source_published){src->id, src->epoch}, &w);
    sources_send(s, c->handle, SOURCE_MSG_PUBLISHED, &w);
    source_send_credit(s, src);
    out_sources_changed(&s->core->out);
    trace_emit(s->core->trace, now_us, TRACE_SOURCE, "published", NULL, src->epoch, s->n_sources);
}

/* --- frames --- */

void source_on_frames(struct sources *s, uint64_t now_us, struct source_client *c,
                      struct slice body)
{
    struct source *src = c->source;
    struct source_frames m;
    if (source_frames_decode(body, &m) != IPX_OK || src->taken.bytes >= src->told.bytes ||
        src->taken.frames + m.n > src->told.frames ||
        src->taken.bytes + m.cost > src->told.bytes + SOURCE_FRAME_MAX + SOURCE_FRAME_COST) {
        s->core->n_malformed++;
        source_end(s, now_us, src);
        publish_refuse(s, c, IPX_MALFORMED);
        return;
    }
    struct cbor_reader it = source_frames_begin(&m);
    for (uint32_t i = 0; i < m.n; i++) {
        struct source_frame f = source_frame_next(&it);
        if (ring_append(&src->ring, now_us, f.time_us, f.bytes) == IPX_OK) {
            src->appended += f.bytes.len + RING_ENTRY_COST;
        } else {
            /* not even one fits: a seq of its own all the same, so that readers get a gap */
            src->ring.first = ++src->ring.end;
            src->ring.cost = 0;
        }
    }
    src->taken.bytes += m.cost;
    src->taken.frames += m.n;
}

/* What may come without a reader of policy block losing anything. */
void source_send_credit(struct sources *s, struct source *src)
{
    uint64_t room = src->ring.limits.bytes_max, room_frames = src->ring.limits.frames_max;
    for (uint32_t i = 0; i < s->n_readers; i++) {
        const struct source_reader *r = s->readers[i];
        if (r->source == src && r->policy == SOURCE_POLICY_BLOCK) {
            uint64_t lag = src->appended - r->pos, lag_frames = src->ring.end - r->next;
            uint64_t left = src->ring.limits.bytes_max, frames = src->ring.limits.frames_max;
            /* the frame that is begun within the credit must fit, too */
            left -= IPX_MIN(left / 4, (uint64_t)SOURCE_FRAME_MAX);
            room = IPX_MIN(room, left > lag ? left - lag : 0);
            room_frames = IPX_MIN(room_frames, frames > lag_frames ? frames - lag_frames : 0);
        }
    }
    /* the ring counts up to three times of what the credit does */
    struct source_credit now = {src->taken.bytes + IPX_MIN(room / 3, (uint64_t)SOURCE_WINDOW),
                                src->taken.frames +
                                    IPX_MIN(room_frames, (uint64_t)SOURCE_WINDOW_FRAMES)};
    now.bytes = IPX_MAX(now.bytes, src->told.bytes);
    now.frames = IPX_MAX(now.frames, src->told.frames);
    bool is_dry = src->told.bytes <= src->taken.bytes || src->told.frames <= src->taken.frames;
    bool grew = now.bytes > src->told.bytes || now.frames > src->told.frames;
    bool grew_much = now.bytes - src->told.bytes >= SOURCE_WINDOW / 4 ||
                     now.frames - src->told.frames >= SOURCE_WINDOW_FRAMES / 4;
    if (grew_much || (is_dry && grew)) {
        struct writer w = sources_scratch(s, 0);
        source_credit_encode(&now, &w);
        sources_send(s, src->handle, SOURCE_MSG_CREDIT, &w);
        src->told = now;
    }
}
