/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/place_core.h"

#include "base/crypt.h"

/* Jobs at their place: opened by JOB, renewed while they have claims, forgotten when nothing of
 * them is left. */

struct match_job place_job_env(const struct place_job *j)
{
    return (struct match_job){.lab = j->lab, .user = slice_text(j->user), .needs = j->spec.needs};
}

void place_job_free(struct place *p, struct place_job *j)
{
    while (!list_is_empty(&j->claims)) {
        place_claim_free(p, CONTAINER_OF(j->claims.next, struct place_claim, link));
    }
    if (j->stream != NULL) {
        j->stream->job = NULL;
    }
    timers_clear(&p->timers, &j->timer);
    list_unlink(&j->link);
    p->n_jobs--;
    query_unref(j->where);
    mem_free(p->mem, j->spec_bytes);
    quota_charge_return(&j->bytes);
    place_owner_unref(p, j->owner);
    mem_free(p->mem, j);
}

void place_job_maybe_free(struct place *p, struct place_job *j)
{
    if (j->stream == NULL && j->n_claims == 0) {
        place_job_free(p, j);
    }
}

void place_job_end(struct place *p, struct place_job *j)
{
    struct list *tmp;
    struct place_claim *c;
    struct place_reservation *r = place_reservation_find(p, &j->owner->id, &j->id);
    if (r != NULL) {
        place_reservation_take(p, r, r->n);
    }
    LIST_EACH(c, tmp, &j->claims, struct place_claim, link)
    {
        if (c->state == PLACE_CLAIM_STARTING || c->state == PLACE_CLAIM_RUNNING) {
            c->is_dropped = true;
            place_claim_kill(p, c, EXEC_END_CANCELLED);
        } else {
            place_claim_free(p, c);
        }
    }
}

/* --- JOB --- */

struct job_parts {
    struct exec_job_msg msg;
    struct exec_header header;
    struct exec_spec spec;
};

/* Everything that can be said of the message alone. 0: good. */
static enum exec_refusal parts_read(struct place *p, uint64_t now_us, const struct place_stream *s,
                                    struct slice body, struct job_parts *ret)
{
    const struct exec_core *core = p->core;
    struct exec_header *h = &ret->header;
    if (exec_job_decode(body, &ret->msg) != IPX_OK ||
        exec_header_decode(ret->msg.header, h) != IPX_OK ||
        exec_spec_decode(ret->msg.spec, &ret->spec) != IPX_OK) {
        p->core->n_malformed++;
        return EXEC_REFUSAL_JOB;
    }
    struct hash hash = crypt_hash(ret->msg.spec);
    const struct exec_needs *a = &h->needs, *b = &ret->spec.needs;
    if (!node_id_equal(&h->submitter, &s->facts.id) || !hash_equal(&hash, &h->spec_hash) ||
        a->cpu != b->cpu || a->mem != b->mem || a->time_us != b->time_us || a->in != b->in ||
        !crypt_verify(&h->submitter, "job", &core->mesh, ret->msg.header,
                      ret->msg.signature.data)) {
        return EXEC_REFUSAL_JOB;
    }
    if (core->wall_minus_now_ms != 0 && core_wall_ms(core, now_us) > h->expires_ms + CERT_SKEW_MS) {
        return EXEC_REFUSAL_JOB;
    }
    return (s->facts.caps & CERT_CAP_SUBMIT) != 0 ? 0 : EXEC_REFUSAL_POLICY;
}

static struct place_job *job_find_here(struct place *p, const struct place_stream *s,
                                       const struct exec_job_id *id)
{
    struct list *tmp;
    struct place_job *j;
    LIST_EACH(j, tmp, &p->jobs, struct place_job, link)
    {
        if (j->owner == s->owner && job_id_equal(&j->id, id)) {
            return j;
        }
    }
    return NULL;
}

static void job_init(struct place *p, const struct place_stream *s, const struct job_parts *m,
                     struct place_job *j)
{
    timer_init(&j->timer, PLACE_TIMER_JOB);
    j->owner = place_owner_get(p, &s->owner->id);
    j->id = m->header.job;
    j->expires_ms = m->header.expires_ms;
    j->duration_us = EXEC_CLAIM_US;
    j->check_us = NEVER_US;
    memcpy(j->lab, s->facts.lab, sizeof(j->lab));
    bool fits = slice_to_text(m->header.user, j->user, sizeof(j->user));
    if (!fits) {
        j->user[0] = 0; /* a NUL inside: no policy can mean such a user */
    }
    list_init(&j->claims);
    list_init(&j->queue);
    list_init(&j->ready);
    list_init(&j->sending);
    for (uint32_t i = 0; i < PLACE_BUCKETS; i++) {
        list_init(&j->buckets[i]);
    }
    list_push_back(&p->jobs, &j->link);
    p->n_jobs++;
}

/* Its own copy of the spec, and what is made from it. */
static enum exec_refusal job_fill(struct place *p, const struct job_parts *m, struct place_job *j)
{
    struct query_error error;
    struct slice bytes = m->msg.spec;
    if (timers_reserve(&p->timers, p->n_jobs + p->n_claims) != IPX_OK ||
        quota_charge(&j->owner->quota, &j->bytes, QUOTA_BYTES, sizeof(*j) + bytes.len) != IPX_OK) {
        return EXEC_REFUSAL_FULL;
    }
    j->spec_bytes = mem_dup(p->mem, bytes.data, bytes.len);
    if (j->spec_bytes == NULL) {
        return EXEC_REFUSAL_FULL;
    }
    if (exec_spec_decode(slice_of(j->spec_bytes, bytes.len), &j->spec) != IPX_OK ||
        (j->spec.where.len > 0 &&
         query_compile(j->spec.where, p->mem, &j->where, &error) != IPX_OK)) {
        return EXEC_REFUSAL_JOB;
    }
    return 0;
}

/* A job that this place takes; the reason if it does not. */
static enum exec_refusal job_make(struct place *p, uint64_t now_us, const struct place_stream *s,
                                  const struct job_parts *m, struct place_job **ret)
{
    struct place_job *j = mem_alloc(p->mem, sizeof(*j));
    if (j == NULL) {
        return EXEC_REFUSAL_FULL;
    }
    job_init(p, s, m, j);
    enum exec_refusal reason = job_fill(p, m, j);
    if (reason == 0) {
        struct match_job env = place_job_env(j);
        reason = place_judge(p, now_us, &env, j->where);
        /* no memory now: its claims may find room later */
        reason = reason == EXEC_REFUSAL_FULL ? 0 : reason;
    }
    if (reason != 0) {
        place_job_free(p, j);
        return reason;
    }
    *ret = j;
    return 0;
}

static void job_refuse(struct place *p, struct place_stream *s, enum exec_refusal reason)
{
    struct writer w = place_scratch(p, 0);
    exec_refuse_encode(&(struct exec_refuse){.reason = reason, .is_job = true}, &w);
    place_send(p, s, EXEC_MSG_REFUSE, EXEC_CLASS_RPC, &w);
    s->is_refused = true;
    p->n_said_no++;
}

/* The stream takes over from one that the owner gave up before we knew. */
static void job_bind(struct place *p, struct place_job *j, struct place_stream *s)
{
    if (j->stream != NULL) {
        struct place_stream *old = j->stream;
        old->job = NULL;
        j->stream = NULL;
        place_stream_break(p, old, IPX_CLOSED);
    }
    j->stream = s;
    s->job = j;
    j->credit = UINT32_MAX;
    j->stamp_us = 0;
}

/* All that was told on another stream is told again: the owner may not have heard it. */
static void job_retell(struct place *p, struct place_job *j)
{
    struct list *tmp;
    struct place_claim *c;
    LIST_EACH(c, tmp, &j->claims, struct place_claim, link)
    {
        place_io_rewind(c);
        if (j->spec.output == EXEC_OUTPUT_STREAM) {
            place_io_pump(p, c);
        }
        if (c->state == PLACE_CLAIM_RESULT) {
            list_unlink(&c->work);
            list_push_back(&j->ready, &c->work);
        } else {
            place_claim_ended(p, c);
        }
    }
}

void place_on_job(struct place *p, uint64_t now_us, struct place_stream *s, struct slice body)
{
    struct job_parts m;
    enum exec_refusal reason = parts_read(p, now_us, s, body, &m);
    struct place_job *j = reason == 0 ? job_find_here(p, s, &m.header.job) : NULL;
    if (j != NULL && m.msg.epoch < j->epoch) {
        reason = EXEC_REFUSAL_STALE;
    } else if (j == NULL && reason == 0) {
        reason = job_make(p, now_us, s, &m, &j);
    }
    if (reason != 0) {
        job_refuse(p, s, reason);
        return;
    }
    job_bind(p, j, s);
    j->epoch = m.msg.epoch;
    j->n_waiting = m.msg.n_waiting;
    struct place_reservation *r = place_reservation_find(p, &j->owner->id, &j->id);
    if (r != NULL && r->number == m.msg.reservation) {
        r->until_us = now_us + EXEC_RESERVE_US; /* its claims are on their way */
    }
    place_job_renew(p, now_us, j);
    job_retell(p, j);
}

/* --- renewing --- */

void place_job_schedule(struct place *p, struct place_job *j)
{
    uint64_t due_us = NEVER_US;
    if (j->n_claims > 0) {
        due_us = j->stream != NULL ? IPX_MIN(j->renew_us, j->check_us) : j->check_us;
    }
    timers_set(&p->timers, &j->timer, due_us);
}

void place_job_renew(struct place *p, uint64_t now_us, struct place_job *j)
{
    struct list *tmp;
    struct place_claim *c;
    struct writer ids = place_scratch(p, 0), w = place_scratch(p, 1);
    struct exec_attempts m = {.stamp = IPX_MAX(now_us, 1u)};
    LIST_EACH(c, tmp, &j->claims, struct place_claim, link)
    {
        if (!c->is_dropped) {
            exec_attempt_encode(&c->id, &ids);
            m.n++;
        }
    }
    m.raw = writer_slice(&ids);
    exec_attempts_encode(&m, &w);
    place_send(p, j->stream, EXEC_MSG_RENEW, EXEC_CLASS_RPC, &w);
    j->stamp_us = m.stamp;
    j->renew_us = now_us + EXEC_RENEW_US;
    place_job_schedule(p, j);
}

/* Ends what the owner did not renew, drops what nobody fetched; when to look again. */
static uint64_t job_expire(struct place *p, uint64_t now_us, struct place_job *j)
{
    struct list *tmp;
    struct place_claim *c;
    uint64_t next_us = NEVER_US;
    LIST_EACH(c, tmp, &j->claims, struct place_claim, link)
    {
        bool runs = c->state == PLACE_CLAIM_STARTING || c->state == PLACE_CLAIM_RUNNING;
        uint64_t end_us = place_claim_end_us(c);
        if (!runs && c->state != PLACE_CLAIM_QUEUED) {
            end_us += PLACE_KEEP_US;
        }
        if (end_us > now_us) {
            next_us = IPX_MIN(next_us, end_us);
        } else if (runs) {
            trace_emit(p->core->trace, now_us, TRACE_EXEC, "claim over", &j->owner->id, c->id.task,
                       c->id.attempt);
            place_claim_kill(p, c, EXEC_END_CLAIM);
            next_us = IPX_MIN(next_us, now_us + PLACE_KEEP_US);
        } else {
            place_claim_free(p, c);
        }
    }
    return next_us;
}

void place_job_tick(struct place *p, uint64_t now_us, struct place_job *j)
{
    if (j->check_us <= now_us) {
        j->check_us = job_expire(p, now_us, j);
    }
    if (j->n_claims > 0 && j->stream != NULL && j->renew_us <= now_us) {
        place_job_renew(p, now_us, j);
    }
    place_job_schedule(p, j);
    place_job_maybe_free(p, j);
}
