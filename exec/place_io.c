/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/place_core.h"

/* Bytes of running and ended claims: output to the owner or into the store, stdin to the process.
 * Nothing is read from a process that could not be kept or sent on. */

#define STORING_MAX 1u /* STOREs unanswered before a fd is read again */

static uint64_t object_of(const struct place_claim *c, int i)
{
    return CORE_OBJECT_PLACE | c->number << 1 | (uint64_t)i;
}

static bool is_streamed(const struct place_claim *c)
{
    return c->job->spec.output == EXEC_OUTPUT_STREAM;
}

bool place_is_inline(const struct place_claim *c)
{
    return !is_streamed(c) && c->out[0].len + c->out[1].len <= EXEC_INLINE_MAX;
}

void place_io_close_stdin(struct place *p, struct place_claim *c)
{
    buf_done(&c->in.bytes);
    if (c->in.tap != NULL) {
        sources_task_close(p->core->sources, c->in.tap);
        c->in.tap = NULL;
        p->n_taps--;
    }
}

void place_io_done(struct place *p, struct place_claim *c)
{
    for (int i = 0; i < 2; i++) {
        if (c->out[i].has_object) {
            out_drop(&p->core->out, object_of(c, i));
        }
        buf_done(&c->out[i].bytes);
    }
    place_io_close_stdin(p, c);
}

/* The output cannot be had whole: better none than half. */
static void spoil(struct place *p, struct place_claim *c, enum exec_end why)
{
    for (int i = 0; i < 2; i++) {
        struct place_out *o = &c->out[i];
        if (o->has_object) {
            out_drop(&p->core->out, object_of(c, i));
        }
        buf_clear(&o->bytes);
        o->has_object = o->is_loading = false;
        o->len = o->sent = o->base = 0;
    }
    c->is_spoiled = true;
    if (c->state == PLACE_CLAIM_RUNNING) {
        place_claim_kill(p, c, why);
    } else {
        c->end = why;
    }
}

/* --- output --- */

void place_io_read(struct place *p, struct place_claim *c, uint8_t fd)
{
    struct place_out *o = &c->out[fd - 1];
    bool has_room = is_streamed(c) ? o->bytes.len < EXEC_WINDOW : o->n_storing < STORING_MAX;
    if (c->state == PLACE_CLAIM_RUNNING && o->is_open && !o->is_reading && has_room) {
        o->is_reading = true;
        out_read_more(&p->core->out, c->number, fd);
    }
}

static bool store(struct place *p, struct place_claim *c, int i, struct slice s)
{
    if (s.len > 0) {
        if (out_store(&p->core->out, object_of(c, i), s) != IPX_OK) {
            return false;
        }
        c->out[i].n_storing++;
    }
    return true;
}

/* Small output stays in memory; what makes it large goes into the store, with what it began with.
 */
static bool capture(struct place *p, struct place_claim *c, int i, struct slice s)
{
    struct place_out *o = &c->out[i];
    size_t in_memory = c->out[0].bytes.len + c->out[1].bytes.len;
    if (!o->has_object && in_memory + s.len <= EXEC_INLINE_MAX) {
        return buf_append(&o->bytes, s) == IPX_OK;
    }
    if (!o->has_object) {
        o->has_object = true;
        if (!store(p, c, i, buf_slice(&o->bytes))) {
            return false;
        }
        buf_done(&o->bytes);
        buf_init(&o->bytes, p->mem, EXEC_INLINE_MAX);
    }
    return store(p, c, i, s);
}

void place_on_output(struct place *p, uint64_t now_us, uint64_t attempt, uint8_t fd,
                     struct slice bytes, bool eof)
{
    struct place_claim *c = place_claim_of(p, attempt);
    (void)now_us;
    if (c == NULL || c->state != PLACE_CLAIM_RUNNING || (fd != 1 && fd != 2)) {
        return;
    }
    struct place_out *o = &c->out[fd - 1];
    o->is_reading = false;
    o->is_open = o->is_open && !eof;
    if (!c->is_spoiled && bytes.len > 0) {
        bool is_kept =
            is_streamed(c) ? buf_append(&o->bytes, bytes) == IPX_OK : capture(p, c, fd - 1, bytes);
        o->len += is_kept ? bytes.len : 0;
        if (!is_kept) {
            spoil(p, c, EXEC_END_IPX);
        } else if (is_streamed(c)) {
            place_io_pump(p, c);
        }
    }
    place_io_read(p, c, fd);
}

void place_on_stored(struct place *p, uint64_t now_us, uint64_t object, enum ipx_err err)
{
    struct place_claim *c = place_claim_of(p, (object & ~CORE_OBJECT_PLACE) >> 1);
    (void)now_us;
    if (c == NULL || c->out[object & 1].n_storing == 0) {
        return;
    }
    struct place_job *j = c->job;
    p->is_dirty = true;
    c->out[object & 1].n_storing--;
    if (err != IPX_OK && !c->is_spoiled) {
        spoil(p, c, err == IPX_FULL ? EXEC_END_SPOOL : EXEC_END_IPX);
    }
    place_io_read(p, c, (uint8_t)((object & 1) + 1));
    place_claim_ended(p, c);
    place_job_maybe_free(p, j);
}

static void output_send(struct place *p, const struct place_claim *c, int i, struct slice s)
{
    struct writer w = place_scratch(p, 0);
    exec_bytes_encode(
        &(struct exec_bytes){
            .id = c->id, .fd = (uint8_t)(i + 1), .offset = c->out[i].sent, .bytes = s},
        &w);
    place_send(p, c->job->stream, EXEC_MSG_OUTPUT,
               is_streamed(c) ? EXEC_CLASS_LIVE : EXEC_CLASS_RESULT, &w);
}

static void pump_fd(struct place *p, struct place_claim *c, int i)
{
    struct place_out *o = &c->out[i];
    while (o->sent < o->len && o->sent - o->base < EXEC_WINDOW) {
        uint64_t n = IPX_MIN(o->len - o->sent, EXEC_WINDOW - (o->sent - o->base));
        n = IPX_MIN(n, EXEC_CHUNK_MAX);
        if (o->has_object) {
            if (!o->is_loading) {
                o->is_loading = true;
                out_load(&p->core->out, object_of(c, i), o->sent, (uint32_t)n);
            }
            return;
        }
        uint64_t at = is_streamed(c) ? o->sent - o->base : o->sent;
        output_send(p, c, i, slice_of(buf_slice(&o->bytes).data + at, (size_t)n));
        o->sent += n;
    }
}

void place_io_pump(struct place *p, struct place_claim *c)
{
    if (c->job->stream == NULL) {
        return;
    }
    pump_fd(p, c, 0);
    if (is_streamed(c) || c->out[0].sent == c->out[0].len) {
        pump_fd(p, c, 1);
    }
}

bool place_io_is_sent(const struct place_claim *c)
{
    return c->out[0].sent == c->out[0].len && c->out[1].sent == c->out[1].len;
}

void place_io_rewind(struct place_claim *c)
{
    for (int i = 0; i < 2; i++) {
        if (!is_streamed(c)) {
            c->out[i].base = 0; /* the owner has dropped the begin */
        }
        c->out[i].sent = c->out[i].base;
    }
}

/* Its bytes are gone: it is as if it had never run here. The owner learns that from what it is
 * told first on a new stream. */
static void result_lost(struct place *p, uint64_t now_us, struct place_claim *c)
{
    struct place_stream *s = c->job->stream;
    struct place_job *j = c->job;
    trace_emit(p->core->trace, now_us, TRACE_EXEC, "result lost", &j->owner->id, c->id.task,
               c->id.attempt);
    place_claim_free(p, c);
    if (s != NULL) {
        place_stream_break(p, s, IPX_IO);
    } else {
        place_job_maybe_free(p, j);
    }
}

void place_on_loaded(struct place *p, uint64_t now_us, uint64_t object, uint64_t offset,
                     struct slice bytes)
{
    struct place_claim *c = place_claim_of(p, (object & ~CORE_OBJECT_PLACE) >> 1);
    int i = (int)(object & 1);
    if (c == NULL || c->state != PLACE_CLAIM_RESULT || !c->out[i].is_loading) {
        return;
    }
    struct place_out *o = &c->out[i];
    p->is_dirty = true;
    o->is_loading = false;
    if (bytes.len == 0 || bytes.len > EXEC_CHUNK_MAX) {
        result_lost(p, now_us, c);
    } else if (c->job->stream != NULL && offset == o->sent && list_is_linked(&c->work)) {
        bytes.len = (size_t)IPX_MIN((uint64_t)bytes.len, o->len - o->sent);
        output_send(p, c, i, bytes);
        o->sent += bytes.len;
    }
}

void place_on_out_ack(struct place *p, struct place_stream *s, struct slice body)
{
    struct exec_ack m;
    bool is_good = exec_ack_decode(body, &m) == IPX_OK && m.fd != 0;
    struct place_claim *c = is_good ? place_claim_find(s->job, &m.id) : NULL;
    if (!is_good || (c != NULL && m.offset > c->out[m.fd - 1].len && !c->is_spoiled)) {
        p->core->n_malformed++;
        place_stream_break(p, s, IPX_MALFORMED);
        return;
    }
    if (c == NULL || c->is_spoiled || m.offset <= c->out[m.fd - 1].base) {
        return; /* it crossed the end, or says nothing new */
    }
    struct place_out *o = &c->out[m.fd - 1];
    if (is_streamed(c)) {
        buf_consume(&o->bytes, (size_t)(m.offset - o->base));
    }
    o->base = m.offset;
    o->sent = IPX_MAX(o->sent, m.offset); /* it may have more than was told again so far */
    if (is_streamed(c)) {
        place_io_pump(p, c);
        place_io_read(p, c, m.fd);
        place_claim_ended(p, c);
    }
}

/* --- stdin --- */

/* What the process is to read next; *ret_end: and nothing after it. */
static struct slice stdin_next(struct place *p, struct place_claim *c, bool *ret_end)
{
    struct slice bytes;
    if (c->in.tap == NULL) {
        *ret_end = c->in.end;
        return buf_slice(&c->in.bytes);
    }
    enum ipx_err err = sources_task_bytes(c->in.tap, &bytes);
    *ret_end = err != IPX_OK;
    if (bytes.len == 0 && err != IPX_OK && err != IPX_END) {
        place_claim_kill(p, c, EXEC_END_SOURCE);
    }
    return bytes;
}

static void stdin_pump(struct place *p, struct place_claim *c)
{
    struct place_in *in = &c->in;
    bool end;
    if (c->state != PLACE_CLAIM_RUNNING || in->n_given > 0 || in->is_end_given) {
        return;
    }
    struct slice bytes = stdin_next(p, c, &end);
    if (bytes.len > 0) {
        uint32_t n = (uint32_t)IPX_MIN(bytes.len, (size_t)EXEC_CHUNK_MAX);
        if (out_stdin(&p->core->out, c->number, slice_of(bytes.data, n)) != IPX_OK) {
            place_claim_kill(p, c, EXEC_END_IPX);
            return;
        }
        in->n_given = n;
    } else if (end) {
        in->is_end_given = true;
        out_stdin_eof(&p->core->out, c->number);
    }
}

static void tap_begin(struct place *p, uint64_t now_us, struct place_claim *c)
{
    const struct exec_spec *spec = &c->job->spec;
    if (spec->stdin_kind != EXEC_STDIN_SOURCE) {
        return;
    }
    c->in.tap = p->core->sources != NULL
                    ? sources_task_open(p->core->sources, now_us, &spec->stream_node, spec->stream)
                    : NULL;
    if (c->in.tap == NULL) {
        place_claim_kill(p, c, EXEC_END_SOURCE);
    } else {
        p->n_taps++;
    }
}

void place_io_begin(struct place *p, uint64_t now_us, struct place_claim *c)
{
    c->out[0].is_open = c->out[1].is_open = true;
    tap_begin(p, now_us, c);
    place_io_read(p, c, 1);
    place_io_read(p, c, 2);
    stdin_pump(p, c);
}

void place_io_feed(struct place *p)
{
    struct list *tmp, *tmp2;
    struct place_job *j;
    struct place_claim *c;
    if (p->n_taps == 0 || !sources_task_take_news(p->core->sources)) {
        return;
    }
    LIST_EACH(j, tmp, &p->jobs, struct place_job, link)
    {
        LIST_EACH(c, tmp2, &j->claims, struct place_claim, link)
        {
            if (c->in.tap != NULL) {
                stdin_pump(p, c);
            }
        }
    }
}

void place_on_stdin_taken(struct place *p, uint64_t now_us, uint64_t attempt)
{
    struct place_claim *c = place_claim_of(p, attempt);
    (void)now_us;
    if (c == NULL || c->state != PLACE_CLAIM_RUNNING || c->in.n_given == 0) {
        return;
    }
    if (c->in.tap != NULL) {
        sources_task_consume(p->core->sources, c->in.tap, c->in.n_given);
    } else {
        buf_consume(&c->in.bytes, c->in.n_given);
    }
    c->in.taken += c->in.n_given;
    c->in.n_given = 0;
    if (c->job->stream != NULL && c->job->spec.stdin_kind == EXEC_STDIN_CLIENT) {
        struct writer w = place_scratch(p, 0);
        exec_ack_encode(&(struct exec_ack){.id = c->id, .offset = c->in.taken}, &w);
        place_send(p, c->job->stream, EXEC_MSG_STDIN_ACK, EXEC_CLASS_RPC, &w);
    }
    stdin_pump(p, c);
}

/* False: a gap, or more than the window. */
static bool stdin_put(struct place_claim *c, const struct exec_bytes *m)
{
    struct place_in *in = &c->in;
    if (m->offset > in->got) {
        return false;
    }
    uint64_t known = in->got - m->offset; /* told again behind a broken link */
    if (m->bytes.len > known && !in->end) {
        struct slice fresh = slice_of(m->bytes.data + known, m->bytes.len - (size_t)known);
        if (buf_append(&in->bytes, fresh) != IPX_OK) {
            return false;
        }
        in->got += fresh.len;
    }
    in->end = in->end || (m->end && m->offset + m->bytes.len == in->got);
    return true;
}

void place_on_stdin(struct place *p, struct place_stream *s, struct slice body)
{
    struct exec_bytes m;
    bool is_good = exec_bytes_decode(body, &m) == IPX_OK && m.fd == 0 &&
                   s->job->spec.stdin_kind == EXEC_STDIN_CLIENT;
    struct place_claim *c = is_good ? place_claim_find(s->job, &m.id) : NULL;
    if (!is_good || (c != NULL && c->state < PLACE_CLAIM_DRAINING && !stdin_put(c, &m))) {
        p->core->n_malformed++;
        place_stream_break(p, s, IPX_MALFORMED);
    } else if (c != NULL) {
        stdin_pump(p, c);
    }
}
