/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/owner_parts.h"

struct writer owner_scratch(struct owner *o, unsigned which)
{
    return writer_of(o->core->scratch->owner[which], EXEC_BODY_MAX);
}

enum ipx_err owner_new(struct exec_core *core, struct owner **ret)
{
    struct owner *o = mem_alloc(core->mem, sizeof(*o));
    if (o == NULL) {
        return IPX_NO_MEMORY;
    }
    o->core = core;
    o->mem = core->mem;
    o->free_xfer = NO_TASK;
    list_init(&o->dirty);
    for (uint32_t i = 0; i < EXEC_CLIENTS_MAX; i++) {
        o->clients[i].task = NO_TASK;
    }
    if (timers_init(&o->timers, o->mem, EXEC_JOBS_MAX) != IPX_OK) {
        owner_free(o);
        return IPX_NO_MEMORY;
    }
    *ret = o;
    return IPX_OK;
}

void owner_free(struct owner *o)
{
    if (o == NULL) {
        return;
    }
    while (o->n_jobs > 0) {
        job_free(o, o->jobs[o->n_jobs - 1]);
    }
    timers_done(&o->timers);
    mem_free(o->mem, o->xfers);
    mem_free(o->mem, o);
}

void owner_tick(struct owner *o, uint64_t now_us)
{
    struct timer *timer;
    while ((timer = timers_pop(&o->timers, now_us)) != NULL) {
        job_tick(o, now_us, CONTAINER_OF(timer, struct owner_job, timer));
    }
}

uint64_t owner_deadline(const struct owner *o)
{
    return timers_deadline(&o->timers);
}

static void progress_send(struct owner *o, uint64_t now_us, struct owner_job *j)
{
    if (j->client == NULL || !j->is_progress_due ||
        (j->is_told && now_us - j->progress_us < OWNER_PROGRESS_US)) {
        return;
    }
    struct exec_progress p = job_progress(j);
    struct writer w = owner_scratch(o, 0);
    exec_progress_encode(&p, &w);
    client_send(o, j->client, EXEC_MSG_PROGRESS, &w);
    j->is_progress_due = false;
    j->is_told = true;
    j->progress_us = now_us;
}

/* Which place the waiting tasks wait for, if it is one. */
static void why_place(struct owner_job *j)
{
    for (uint16_t i = 0; i < j->n_seats; i++) {
        const struct owner_seat *s = j->seats[i];
        if (s->state == OWNER_SEAT_BROKEN || (s->state == OWNER_SEAT_OPEN && s->is_gone)) {
            j->why = EXEC_WAITING_PLACE;
            j->why_seat = i;
            return;
        }
        if (s->state == OWNER_SEAT_OPEN && !s->is_heard && j->n_started <= s->n_claims) {
            j->why = EXEC_WAITING_LINK;
            j->why_seat = i;
        }
    }
}

static void job_flush(struct owner *o, uint64_t now_us, struct owner_job *j)
{
    if (job_is_over(j)) {
        if (j->client != NULL) {
            client_pump(o, now_us, j->client);
        }
        return;
    }
    if (j->state == OWNER_JOB_RECEIVING) {
        return;
    }
    enum exec_waiting why = j->why;
    job_take_grants(o, now_us, j);
    job_fill(o, now_us, j);
    if (j->wants_pass) {
        job_pass(o, now_us, j);
    }
    why_place(j);
    j->is_progress_due = j->is_progress_due || j->why != why;
    job_send_stdin(o, j);
    if (j->client != NULL) {
        progress_send(o, now_us, j);
        client_pump(o, now_us, j->client);
    }
    uint64_t due_us = job_deadline(j, now_us);
    timers_set(&o->timers, &j->timer, due_us);
    job_maybe_finish(o, now_us, j); /* it may be gone after this */
}

bool owner_flush(struct owner *o, uint64_t now_us)
{
    struct owner_job *j;
    bool has_any = !list_is_empty(&o->dirty);
    while ((j = LIST_FIRST(&o->dirty, struct owner_job, link)) != NULL) {
        list_unlink(&j->link);
        job_flush(o, now_us, j);
    }
    return has_any;
}

void owner_stats(const struct owner *o, struct exec_stats *ret)
{
    ret->n_refused += o->stats.n_refused;
    ret->n_results += o->stats.n_results;
    ret->n_late_results += o->stats.n_late_results;
    ret->n_lost += o->stats.n_lost;
    ret->n_jobs += o->n_unfinished;
    ret->n_jobs_finished += o->n_jobs - o->n_unfinished;
    for (uint32_t i = 0; i < EXEC_CLIENTS_MAX; i++) {
        ret->n_clients += o->clients[i].handle != 0;
    }
}

bool owner_is_idle(const struct owner *o)
{
    return o->n_unfinished == 0;
}

/* --- the invariant --- */

static void seat_check(const struct owner_job *j, const struct owner_seat *s)
{
    uint32_t n_open = 0;
    assert(s->job == j && j->seats[s->index] == s);
    for (uint32_t i = 0; i < s->n_claims; i++) {
        const struct owner_task *t = &j->tasks[s->claims[i]];
        assert(t->seat == s->index && t->pos == i);
        assert(t->state == OWNER_TASK_CLAIMED || t->state == OWNER_TASK_RUNNING ||
               t->state == OWNER_TASK_STORING);
        n_open += t->state != OWNER_TASK_STORING;
    }
    assert(n_open == s->n_open);
    assert(s->n_claims == 0 || s->state == OWNER_SEAT_OPEN || s->state == OWNER_SEAT_BROKEN);
    assert((s->handle != 0) == (s->state == OWNER_SEAT_OPEN));
}

static void job_check(const struct owner_job *j)
{
    uint32_t n_in[OWNER_TASK_N] = {0}, n_again = 0, n_asked = 0, n_claims = 0;
    for (uint32_t i = 0; j->tasks != NULL && i < j->count; i++) {
        n_in[j->tasks[i].state]++;
        assert(i < j->next_fresh || j->tasks[i].state <= OWNER_TASK_PROBING);
    }
    assert(j->tasks == NULL || memcmp(n_in, j->n_in, sizeof(n_in)) == 0);
    for (uint32_t i = j->again_head; i != NO_TASK; i = j->tasks[i].link) {
        assert(i < j->next_fresh && j->tasks != NULL);
        assert(j->tasks[i].state <= OWNER_TASK_PROBING);
        n_again++;
    }
    assert(n_again == j->n_again);
    assert(n_again + j->count - j->next_fresh == (j->tasks == NULL ? j->count : job_n_unplaced(j)));
    for (uint16_t i = 0; i < j->n_seats; i++) {
        seat_check(j, j->seats[i]);
        n_asked +=
            j->seats[i]->state == OWNER_SEAT_ASKED || j->seats[i]->state == OWNER_SEAT_GRANTED;
        n_claims += j->seats[i]->n_claims;
    }
    assert(n_asked == j->n_asked && n_asked <= EXEC_PROBES_MAX);
    assert(n_claims ==
           n_in[OWNER_TASK_CLAIMED] + n_in[OWNER_TASK_RUNNING] + n_in[OWNER_TASK_STORING]);
    assert(n_in[OWNER_TASK_LOST] == 0); /* passed through within one input */
}

void owner_check(const struct owner *o)
{
    uint32_t n_unfinished = 0;
    for (uint32_t i = 0; i < o->n_jobs; i++) {
        const struct owner_job *j = o->jobs[i];
        assert(i == 0 || o->jobs[i - 1]->serial < j->serial);
        n_unfinished += !job_is_over(j);
        job_check(j);
    }
    assert(n_unfinished == o->n_unfinished);
    for (uint32_t i = 0; i < EXEC_CLIENTS_MAX; i++) {
        const struct owner_client *c = &o->clients[i];
        assert(c->job == NULL || (c->handle != 0 && c->job->n_refs > 0));
    }
}
