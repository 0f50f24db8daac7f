/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/place_core.h"

#include "base/plant.h"

/* Whom this place works for, and what it keeps free for whom it said yes to. The reasons it
 * gives are coarse on purpose: which clause of its policy said no is nobody else's business. */

enum exec_refusal place_judge(struct place *p, uint64_t now_us, const struct match_job *job,
                              const struct query *where)
{
    struct match_env env;
    const struct match_peer *self = match_find(&p->core->match, &p->core->self.id);
    if (p->drains || p->core->n_slots == 0 || self == NULL || !match_offers(self)) {
        return EXEC_REFUSAL_DRAIN;
    }
    /* Where an issuer's key lies, a foreign task could read it: no sandbox yet. */
    if (p->holds_issuer && strcmp(job->lab, p->core->self.lab) != 0) {
        return EXEC_REFUSAL_POLICY;
    }
    match_env_init(&env, self, job, now_us);
    match_env_free(&env, p->used, p->core->n_slots); /* what is kept free for this one is free */
    if (p->accept == NULL || !query_is_true(p->accept, &env.env)) {
        return EXEC_REFUSAL_POLICY;
    }
    const struct label_value *total = ad_find(self->ad, slice_text("mem.total"));
    if (job->needs.cpu > p->core->n_slots ||
        (total != NULL && total->type == LABEL_NUMBER && (double)job->needs.mem > total->number)) {
        return EXEC_REFUSAL_NEEDS;
    }
    if (where != NULL && !query_is_true(where, &env.env)) {
        return EXEC_REFUSAL_WHERE;
    }
    if (self->vitals.is_known && self->vitals.mem_free > 0 &&
        job->needs.mem > self->vitals.mem_free) {
        return EXEC_REFUSAL_FULL;
    }
    return 0;
}

uint32_t place_free_slots(const struct place *p)
{
    assert(p->used + p->reserved <= p->core->n_slots);
    return p->core->n_slots - (IPX_PLANT(CLAIM) ? 0 : p->used) - p->reserved;
}

uint64_t place_wait_us(const struct place *p)
{
    if (place_free_slots(p) > 0 || p->core->n_slots == 0) {
        return 0;
    }
    return p->mean_us * (p->n_queued + 1) / p->core->n_slots;
}

bool place_is_quick(const struct place *p)
{
    return p->mean_us > 0 && p->mean_us / IPX_MAX(p->core->n_slots, 1u) <= PLACE_QUEUE_US;
}

/* --- reservations --- */

struct place_reservation *place_reservation_find(struct place *p, const struct node_id *owner,
                                                 const struct exec_job_id *job)
{
    for (uint32_t i = 0; p->n_reservations > 0 && i < PLACE_RESERVATIONS_MAX; i++) {
        struct place_reservation *r = &p->reservations[i];
        if (r->number != 0 && node_id_equal(&r->owner, owner) && job_id_equal(&r->job, job)) {
            return r;
        }
    }
    return NULL;
}

void place_reservation_take(struct place *p, struct place_reservation *r, uint32_t n)
{
    assert(n <= r->n && p->reserved >= n * r->cpu);
    p->reserved -= n * r->cpu;
    r->n -= n;
    if (r->n == 0) {
        *r = (struct place_reservation){.number = 0};
        p->n_reservations--;
    }
}

void place_reservations_tick(struct place *p, uint64_t now_us)
{
    for (uint32_t i = 0; p->n_reservations > 0 && i < PLACE_RESERVATIONS_MAX; i++) {
        struct place_reservation *r = &p->reservations[i];
        if (r->number != 0 && r->until_us <= now_us) {
            place_reservation_take(p, r, r->n);
            p->is_dirty = true;
        }
    }
}

uint64_t place_reservations_deadline(const struct place *p)
{
    uint64_t due_us = NEVER_US;
    for (uint32_t i = 0; p->n_reservations > 0 && i < PLACE_RESERVATIONS_MAX; i++) {
        if (p->reservations[i].number != 0) {
            due_us = IPX_MIN(due_us, p->reservations[i].until_us);
        }
    }
    return due_us;
}

/* A free entry, if this owner has not too many already. */
static struct place_reservation *reservation_new(struct place *p, const struct node_id *owner)
{
    struct place_reservation *free_one = NULL;
    uint32_t n_of_owner = 0;
    for (uint32_t i = 0; i < PLACE_RESERVATIONS_MAX; i++) {
        struct place_reservation *r = &p->reservations[i];
        if (r->number == 0) {
            free_one = free_one == NULL ? r : free_one;
        } else if (node_id_equal(&r->owner, owner)) {
            n_of_owner++;
        }
    }
    return n_of_owner < EXEC_PROBES_MAX ? free_one : NULL;
}

static bool owner_runs_here(const struct place *p, const struct node_id *owner,
                            const struct exec_job_id *job)
{
    struct list *tmp;
    struct place_job *j;
    LIST_EACH(j, tmp, &p->jobs, struct place_job, link)
    {
        if (node_id_equal(&j->owner->id, owner) && job_id_equal(&j->id, job)) {
            return j->n_open > 0;
        }
    }
    return false;
}

/* NULL: full. */
static struct place_reservation *reserve(struct place *p, uint64_t now_us,
                                         const struct node_id *owner, const struct exec_probe *m)
{
    uint32_t cpu = m->needs.cpu, n_free = place_free_slots(p);
    uint32_t most = IPX_MAX(p->core->n_slots / 4, cpu); /* so that nobody takes all at once */
    uint32_t n = IPX_MIN(IPX_MIN(n_free, most) / cpu, m->want);
    if (n == 0) {
        /* All is taken, but a slot will soon be free: then each job gets its turn. */
        if (!place_is_quick(p) || owner_runs_here(p, owner, &m->job)) {
            return NULL;
        }
        n = 1;
        cpu = 0;
    }
    struct place_reservation *r = reservation_new(p, owner);
    if (r == NULL) {
        return NULL;
    }
    *r = (struct place_reservation){.number = rng_u64(&p->core->rng) | 1,
                                    .owner = *owner,
                                    .job = m->job,
                                    .n = n,
                                    .cpu = cpu,
                                    .until_us = now_us + EXEC_RESERVE_US};
    p->reserved += n * cpu;
    p->n_reservations++;
    return r;
}

static void refused_remember(struct place *p, const struct node_id *owner)
{
    for (uint32_t i = 0; i < p->n_refused; i++) {
        if (node_id_equal(&p->refused[i], owner)) {
            return;
        }
    }
    if (p->n_refused < PLACE_REFUSED_MAX) {
        p->refused[p->n_refused++] = *owner;
    }
}

static enum exec_refusal probe_judge(struct place *p, uint64_t now_us,
                                     const struct cert_facts *from, const struct exec_probe *m)
{
    const struct match_job job = {.lab = from->lab, .user = m->user, .needs = m->needs};
    struct query *where = NULL;
    struct query_error error;
    if ((from->caps & CERT_CAP_SUBMIT) == 0) {
        return EXEC_REFUSAL_POLICY;
    }
    if (m->where.len > 0 && query_compile(m->where, p->mem, &where, &error) != IPX_OK) {
        return EXEC_REFUSAL_JOB;
    }
    enum exec_refusal reason = place_judge(p, now_us, &job, where);
    query_unref(where);
    return reason;
}

static void probe_refuse(struct place *p, const struct cert_facts *from, uint32_t req_id,
                         enum exec_refusal reason)
{
    uint8_t body[32];
    struct writer w = writer_of(body, sizeof(body));
    uint64_t wait_ms = place_wait_us(p) / US_PER_MS;
    exec_refuse_encode(
        &(struct exec_refuse){.reason = reason, .wait_ms = (uint32_t)IPX_MIN(wait_ms, 60000u)}, &w);
    out_dgram(&p->core->out, &from->id, EXEC_MSG_REFUSAL, req_id, writer_slice(&w));
    p->n_said_no++;
    if (reason == EXEC_REFUSAL_FULL) {
        refused_remember(p, &from->id);
    }
}

void place_recv(struct place *p, uint64_t now_us, const struct cert_facts *from, uint8_t type,
                uint32_t req_id, struct slice body)
{
    struct exec_probe m;
    if (type != EXEC_MSG_PROBE || exec_probe_decode(body, &m) != IPX_OK || m.needs.cpu == 0) {
        p->core->n_malformed++;
        return;
    }
    p->is_dirty = true;
    struct place_reservation *r = place_reservation_find(p, &from->id, &m.job);
    if (r != NULL) { /* asked again: the answer was lost, or the needs are others */
        place_reservation_take(p, r, r->n);
    }
    if (m.want == 0) {
        return;
    }
    enum exec_refusal reason = probe_judge(p, now_us, from, &m);
    r = reason == 0 ? reserve(p, now_us, &from->id, &m) : NULL;
    if (r == NULL) {
        probe_refuse(p, from, req_id, reason != 0 ? reason : EXEC_REFUSAL_FULL);
        return;
    }
    uint8_t answer[64];
    struct writer w = writer_of(answer, sizeof(answer));
    exec_grant_encode(
        &(struct exec_grant){.n = r->n,
                             .n_free = place_free_slots(p) + r->n * r->cpu,
                             .wait_ms = (uint32_t)IPX_MIN(place_wait_us(p) / US_PER_MS, 60000u),
                             .reservation = r->number},
        &w);
    out_dgram(&p->core->out, &from->id, EXEC_MSG_GRANT, req_id, writer_slice(&w));
    trace_emit(p->core->trace, now_us, TRACE_EXEC, "granted", &from->id, r->n, m.want);
}
