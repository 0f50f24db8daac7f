/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/place_core.h"

static enum ipx_err place_make(struct place *p)
{
    const uint64_t limit[QUOTA_N_KINDS] = {PLACE_ALL_BYTES, PLACE_CLAIMS_MAX, EXEC_STREAMS_MAX};
    uint8_t secret[16];
    rng_fill(&p->core->rng, secret, sizeof(secret));
    quota_init(&p->quota, NULL, limit);
    enum ipx_err err = timers_init(&p->timers, p->mem, 64);
    return err != IPX_OK
               ? err
               : map_init(&p->by_handle, p->mem, EXEC_STREAMS_MAX, sizeof(uint32_t), secret);
}

enum ipx_err place_new(struct exec_core *core, struct place **ret)
{
    struct place *p = mem_alloc(core->mem, sizeof(*p));
    if (p == NULL) {
        return IPX_NO_MEMORY;
    }
    p->core = core;
    p->mem = core->mem;
    list_init(&p->owners);
    list_init(&p->jobs);
    enum ipx_err err = place_make(p);
    if (err != IPX_OK) {
        place_free(p);
        return err;
    }
    *ret = p;
    return IPX_OK;
}

static void stream_free(struct place *p, struct place_stream *s)
{
    if (s->job != NULL) {
        s->job->stream = NULL;
    }
    p->streams[s->slot] = NULL;
    p->n_streams--;
    map_remove(&p->by_handle, &s->handle);
    quota_charge_return(&s->charge);
    place_owner_unref(p, s->owner);
    mem_free(p->mem, s);
}

void place_free(struct place *p)
{
    if (p == NULL) {
        return;
    }
    for (uint32_t i = 0; i < EXEC_STREAMS_MAX; i++) {
        if (p->streams[i] != NULL) {
            stream_free(p, p->streams[i]);
        }
    }
    while (!list_is_empty(&p->jobs)) {
        place_job_free(p, LIST_FIRST(&p->jobs, struct place_job, link));
    }
    assert(list_is_empty(&p->owners));
    query_unref(p->accept);
    map_done(&p->by_handle);
    timers_done(&p->timers);
    mem_free(p->mem, p->claims);
    mem_free(p->mem, p);
}

void place_set_accept(struct place *p, struct query *accept)
{
    struct query *old = p->accept;
    p->accept = accept != NULL ? query_ref(accept) : NULL;
    query_unref(old);
    p->is_dirty = true;
}

void place_set_holds_issuer(struct place *p, bool holds)
{
    p->holds_issuer = holds;
    p->is_dirty = true;
}

void place_set_drain(struct place *p, bool drains)
{
    p->drains = drains;
    p->is_dirty = true;
}

void place_on_peer_gone(struct place *p, uint64_t now_us, const struct node_id *id)
{
    for (uint32_t i = 0; i < PLACE_RESERVATIONS_MAX; i++) {
        struct place_reservation *r = &p->reservations[i];
        if (r->number != 0 && node_id_equal(&r->owner, id)) {
            place_reservation_take(p, r, r->n);
        }
    }
    for (uint32_t i = 0; i < p->n_refused; i++) {
        if (node_id_equal(&p->refused[i], id)) {
            p->refused[i--] = p->refused[--p->n_refused];
        }
    }
    /* what runs for it goes on until its claims end: it may come back */
    trace_emit(p->core->trace, now_us, TRACE_EXEC, "owner gone", id, p->n_running, p->n_queued);
    p->is_dirty = true;
}

/* It has no right left: its jobs end as if it had ended them, and nothing is told. */
void place_on_peer_revoked(struct place *p, uint64_t now_us, const struct node_id *id)
{
    struct list *tmp;
    struct place_job *j;
    uint32_t n = 0;
    LIST_EACH(j, tmp, &p->jobs, struct place_job, link)
    {
        if (node_id_equal(&j->owner->id, id)) {
            place_job_end(p, j);
            place_job_maybe_free(p, j);
            n++;
        }
    }
    trace_emit(p->core->trace, now_us, TRACE_EXEC, "owner revoked", id, n, 0);
    p->is_dirty = true;
}

/* --- owners --- */

struct place_owner *place_owner_get(struct place *p, const struct node_id *id)
{
    const uint64_t limit[QUOTA_N_KINDS] = {PLACE_OWNER_BYTES, EXEC_ATTEMPTS_MAX,
                                           PLACE_OWNER_STREAMS};
    struct list *tmp;
    struct place_owner *o;
    LIST_EACH(o, tmp, &p->owners, struct place_owner, link)
    {
        if (node_id_equal(&o->id, id)) {
            o->n_refs++;
            return o;
        }
    }
    o = p->n_owners < PLACE_OWNERS_MAX ? mem_alloc(p->mem, sizeof(*o)) : NULL;
    if (o == NULL) {
        return NULL;
    }
    o->id = *id;
    o->n_refs = 1;
    quota_init(&o->quota, &p->quota, limit);
    list_push_back(&p->owners, &o->link);
    p->n_owners++;
    return o;
}

void place_owner_unref(struct place *p, struct place_owner *o)
{
    assert(o->n_refs > 0);
    if (--o->n_refs == 0) {
        list_unlink(&o->link);
        quota_done(&o->quota);
        mem_free(p->mem, o);
        p->n_owners--;
    }
}

/* --- streams --- */

struct place_stream *place_stream_find(const struct place *p, uint32_t handle)
{
    uint32_t slot = map_find(&p->by_handle, &handle);
    return slot != MAP_EMPTY ? p->streams[slot] : NULL;
}

static struct place_stream *stream_new(struct place *p, const struct cert_facts *from,
                                       uint32_t handle)
{
    uint32_t slot = 0;
    while (slot < EXEC_STREAMS_MAX && p->streams[slot] != NULL) {
        slot++;
    }
    struct place_stream *s = slot < EXEC_STREAMS_MAX ? mem_alloc(p->mem, sizeof(*s)) : NULL;
    if (s == NULL) {
        return NULL;
    }
    struct place_owner *o = place_owner_get(p, &from->id);
    *s = (struct place_stream){.handle = handle, .slot = slot, .facts = *from, .owner = o};
    if (o == NULL || quota_charge(&o->quota, &s->charge, QUOTA_STREAMS, 1) != IPX_OK ||
        map_set(&p->by_handle, &handle, slot) != IPX_OK) {
        quota_charge_return(&s->charge);
        if (o != NULL) {
            place_owner_unref(p, o);
        }
        mem_free(p->mem, s);
        return NULL;
    }
    p->streams[slot] = s;
    p->n_streams++;
    return s;
}

void place_on_stream(struct place *p, uint64_t now_us, const struct cert_facts *from,
                     uint32_t handle)
{
    assert(place_stream_find(p, handle) == NULL);
    if (stream_new(p, from, handle) == NULL) {
        trace_emit(p->core->trace, now_us, TRACE_EXEC, "stream refused", &from->id, handle, 0);
        out_stream_close(&p->core->out, handle, IPX_LIMIT);
    }
    p->is_dirty = true;
}

void place_stream_break(struct place *p, struct place_stream *s, enum ipx_err err)
{
    struct place_job *j = s->job;
    out_stream_close(&p->core->out, s->handle, err);
    stream_free(p, s);
    if (j != NULL) {
        place_job_maybe_free(p, j);
    }
}

bool place_on_stream_closed(struct place *p, uint64_t now_us, uint32_t handle, enum ipx_err err)
{
    struct place_stream *s = place_stream_find(p, handle);
    if (s == NULL) {
        return false;
    }
    struct place_job *j = s->job;
    p->is_dirty = true;
    stream_free(p, s);
    if (j != NULL && err == IPX_OK) {
        place_job_end(p, j);
    }
    if (j != NULL) {
        trace_emit(p->core->trace, now_us, TRACE_EXEC, err == IPX_OK ? "job ended" : "link lost",
                   &j->owner->id, j->n_open, j->n_claims);
        place_job_maybe_free(p, j);
    }
    return true;
}

struct writer place_scratch(struct place *p, unsigned which)
{
    return writer_of(p->core->scratch->place[which], EXEC_BODY_MAX);
}

void place_send(struct place *p, const struct place_stream *s, uint8_t type, enum exec_class class,
                const struct writer *w)
{
    assert(!w->failed);
    out_stream_send(&p->core->out, s->handle, type, class, writer_slice(w));
}

/* --- messages of an owner --- */

static void on_result_ack(struct place *p, struct place_stream *s, struct slice body)
{
    struct exec_attempts m;
    if (exec_attempts_decode(body, &m) != IPX_OK) {
        place_stream_break(p, s, IPX_MALFORMED);
        return;
    }
    struct cbor_reader it = exec_attempts_begin(&m);
    for (uint32_t i = 0; i < m.n; i++) {
        struct exec_attempt_id id = exec_attempt_next(&it);
        struct place_claim *c = place_claim_find(s->job, &id);
        if (c != NULL && c->state == PLACE_CLAIM_RESULT) {
            place_claim_free(p, c);
        }
    }
}

static void on_renewed(struct place *p, struct place_stream *s, struct slice body)
{
    struct place_job *j = s->job;
    uint64_t stamp_us;
    if (exec_renewed_decode(body, &stamp_us) != IPX_OK) {
        place_stream_break(p, s, IPX_MALFORMED);
    } else if (stamp_us == j->stamp_us && stamp_us > j->renewed_us) {
        j->renewed_us = stamp_us;
        place_job_schedule(p, j);
    }
}

static void on_cancel(struct place *p, uint64_t now_us, struct place_stream *s, struct slice body)
{
    struct exec_cancel m;
    struct list *tmp;
    struct place_claim *c;
    if (exec_cancel_decode(body, &m) != IPX_OK) {
        place_stream_break(p, s, IPX_MALFORMED);
        return;
    }
    LIST_EACH(c, tmp, &s->job->claims, struct place_claim, link)
    {
        if (m.all || (c->id.task == m.id.task && c->id.attempt == m.id.attempt)) {
            place_claim_cancel(p, now_us, c, m.signal);
        }
    }
}

bool place_on_stream_message(struct place *p, uint64_t now_us, uint32_t handle, uint8_t type,
                             struct slice body)
{
    struct place_stream *s = place_stream_find(p, handle);
    if (s == NULL) {
        return false;
    }
    p->is_dirty = true;
    if (s->is_refused) {
        return true;
    }
    if ((s->job == NULL) != (type == EXEC_MSG_JOB)) {
        p->core->n_malformed++;
        place_stream_break(p, s, IPX_MALFORMED);
        return true;
    }
    switch (type) {
    case EXEC_MSG_JOB:
        place_on_job(p, now_us, s, body);
        break;
    case EXEC_MSG_CLAIM:
        place_on_claims(p, now_us, s->job, body);
        break;
    case EXEC_MSG_OUT_ACK:
        place_on_out_ack(p, s, body);
        break;
    case EXEC_MSG_RESULT_ACK:
        on_result_ack(p, s, body);
        break;
    case EXEC_MSG_RENEWED:
        on_renewed(p, s, body);
        break;
    case EXEC_MSG_CANCEL:
        on_cancel(p, now_us, s, body);
        break;
    case EXEC_MSG_STDIN:
        place_on_stdin(p, s, body);
        break;
    default: /* a message of a later version that may be skipped */
        p->core->n_malformed++;
        break;
    }
    return true;
}
