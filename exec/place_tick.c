/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/place_core.h"

/* Time, what is owed to owners at the end of a turn, and what can be asked of the place. */

void place_tick(struct place *p, uint64_t now_us)
{
    struct timer *t;
    place_reservations_tick(p, now_us);
    while ((t = timers_pop(&p->timers, now_us)) != NULL) {
        p->is_dirty = true;
        if (t->kind == PLACE_TIMER_JOB) {
            place_job_tick(p, now_us, CONTAINER_OF(t, struct place_job, timer));
        } else {
            assert(t->kind == PLACE_TIMER_CLAIM);
            place_claim_tick(p, now_us, CONTAINER_OF(t, struct place_claim, timer));
        }
    }
}

uint64_t place_deadline(const struct place *p)
{
    return IPX_MIN(timers_deadline(&p->timers), place_reservations_deadline(p));
}

/* --- starting: one claim of each job in turn --- */

/* Slots that a claim of this job may take: its own reservation is spent when the claim comes. */
static bool start_one(struct place *p, uint64_t now_us, struct place_job *j)
{
    struct list *first = j->queue.next;
    if (list_is_empty(&j->queue) || j->spec.needs.cpu > place_free_slots(p)) {
        return false;
    }
    place_claim_start(p, now_us, CONTAINER_OF(first, struct place_claim, work));
    return true;
}

static void start_claims(struct place *p, uint64_t now_us)
{
    bool did_start = p->n_queued > 0;
    while (did_start && p->n_queued > 0 && place_free_slots(p) > 0) {
        did_start = false;
        uint32_t n = p->n_jobs;
        for (uint32_t i = 0; i < n && place_free_slots(p) > 0; i++) {
            struct place_job *j = LIST_FIRST(&p->jobs, struct place_job, link);
            list_unlink(&j->link);
            list_push_back(&p->jobs, &j->link);
            did_start = start_one(p, now_us, j) || did_start;
        }
    }
}

/* --- results --- */

static struct exec_result result_of(const struct place_claim *c)
{
    struct exec_result r = {.task = c->id.task,
                            .attempt = c->id.attempt,
                            .end = c->end,
                            .code = c->code,
                            .signal = c->signal,
                            .wall_us = c->wall_us,
                            .cpu_us = c->cpu_us,
                            .out_len = c->out[0].len,
                            .err_len = c->out[1].len};
    if (place_is_inline(c)) {
        r.out = buf_slice(&c->out[0].bytes);
        r.err = buf_slice(&c->out[1].bytes);
        if (r.out.len + r.err.len > 0) {
            r.hash = crypt_hash2(r.out, r.err);
        }
    }
    return r;
}

/* One message of as many as fit; what has more output to come goes on to `sending`. */
static void send_results(struct place *p, struct place_job *j)
{
    struct writer items = place_scratch(p, 0);
    struct exec_results m = {.n = 0};
    while (!list_is_empty(&j->ready) && m.n < EXEC_BATCH_MAX && items.len < EXEC_BATCH_BYTES) {
        struct place_claim *c = CONTAINER_OF(j->ready.next, struct place_claim, work);
        struct exec_result r = result_of(c);
        exec_result_encode(&r, &items);
        list_unlink(&c->work);
        if (j->spec.output == EXEC_OUTPUT_CAPTURE && !place_is_inline(c)) {
            list_push_back(&j->sending, &c->work);
        }
        p->n_results += !c->is_reported;
        c->is_reported = true;
        m.n++;
    }
    m.raw = writer_slice(&items);
    struct writer w = place_scratch(p, 1);
    exec_results_encode(&m, &w);
    place_send(p, j->stream, EXEC_MSG_RESULT, EXEC_CLASS_RESULT, &w);
}

/* Captured output goes one attempt after the other, so that memory is bounded by one window. */
static void send_captured(struct place *p, struct place_job *j)
{
    while (!list_is_empty(&j->sending)) {
        struct place_claim *c = CONTAINER_OF(j->sending.next, struct place_claim, work);
        place_io_pump(p, c);
        if (!place_io_is_sent(c)) {
            return;
        }
        list_unlink(&c->work);
    }
}

/* --- credit --- */

/* Rounded down to a power of two: a credit is told again only when it is worth it. */
static uint32_t prefetch_of(const struct place *p, const struct place_job *j)
{
    if (j->mean_us == 0) {
        return 0;
    }
    uint64_t slots = IPX_MAX(p->core->n_slots / j->spec.needs.cpu, 1u);
    uint64_t want = PLACE_PREFETCH_US * slots / j->mean_us;
    uint32_t n = want >= 1 ? 1 : 0;
    while (n > 0 && n * 2 <= want && n * 2 <= EXEC_PREFETCH_MAX) {
        n *= 2;
    }
    return n;
}

static uint32_t credit_of(struct place *p, const struct place_job *j, uint32_t n_hungry)
{
    if (p->drains || j->n_claims - j->n_open >= PLACE_UNACKED_MAX) {
        return 0;
    }
    const struct place_reservation *r = place_reservation_find(p, &j->owner->id, &j->id);
    uint32_t n_free = place_free_slots(p) / j->spec.needs.cpu;
    uint32_t share = n_hungry > 0 ? (n_free + n_hungry - 1) / n_hungry : n_free;
    uint32_t extra = IPX_MAX(prefetch_of(p, j), place_is_quick(p) ? 1u : 0u);
    uint32_t credit = j->n_open - j->n_queued + share + extra + (r != NULL ? r->n : 0);
    return IPX_MIN(credit, EXEC_ATTEMPTS_MAX - PLACE_UNACKED_MAX);
}

static void send_credits(struct place *p)
{
    struct list *tmp;
    struct place_job *j;
    uint32_t n_hungry = 0;
    LIST_EACH(j, tmp, &p->jobs, struct place_job, link)
    {
        n_hungry += j->stream != NULL && j->n_waiting > 0;
    }
    LIST_EACH(j, tmp, &p->jobs, struct place_job, link)
    {
        uint32_t credit = j->stream != NULL ? credit_of(p, j, n_hungry) : j->credit;
        if (credit != j->credit) {
            struct writer w = place_scratch(p, 0);
            exec_credit_encode(credit, &w);
            place_send(p, j->stream, EXEC_MSG_CREDIT, EXEC_CLASS_RPC, &w);
            j->credit = credit;
        }
    }
}

static void send_free(struct place *p)
{
    uint32_t n_free = place_free_slots(p);
    if (n_free == 0 || p->drains) {
        return;
    }
    uint8_t body[16];
    struct writer w = writer_of(body, sizeof(body));
    exec_free_encode(&(struct exec_free_slots){n_free}, &w);
    for (uint32_t i = 0; i < p->n_refused; i++) {
        out_dgram(&p->core->out, &p->refused[i], EXEC_MSG_FREE, 0, writer_slice(&w));
    }
    p->n_refused = 0;
}

/* With `drain`, what has not begun goes back to its owner. */
static void refuse_queued(struct place *p)
{
    struct list *tmp;
    struct place_job *j;
    LIST_EACH(j, tmp, &p->jobs, struct place_job, link)
    {
        while (j->stream != NULL && !list_is_empty(&j->queue)) {
            place_claim_refuse(p, CONTAINER_OF(j->queue.next, struct place_claim, work),
                               EXEC_REFUSAL_DRAIN);
        }
    }
}

bool place_flush(struct place *p, uint64_t now_us)
{
    struct list *tmp;
    struct place_job *j;
    uint32_t n_before = p->core->out.n;
    place_io_feed(p);
    if (!p->is_dirty) {
        return p->core->out.n != n_before;
    }
    p->is_dirty = false;
    if (p->drains) {
        refuse_queued(p);
    } else {
        start_claims(p, now_us);
    }
    LIST_EACH(j, tmp, &p->jobs, struct place_job, link)
    {
        while (j->stream != NULL && !list_is_empty(&j->ready)) {
            send_results(p, j);
        }
        if (j->stream != NULL) {
            send_captured(p, j);
        }
    }
    send_credits(p);
    send_free(p);
    return p->core->out.n != n_before;
}

/* --- queries --- */

void place_vitals(const struct place *p, struct exec_vitals *ret)
{
    ret->is_known = true;
    ret->n_slots = p->core->n_slots;
    ret->n_free = p->drains ? 0 : place_free_slots(p);
    ret->wait_ms = (uint32_t)IPX_MIN(place_wait_us(p) / US_PER_MS, UINT32_MAX);
}

void place_stats(const struct place *p, struct exec_stats *ret)
{
    ret->n_refused += p->n_said_no;
    ret->n_results += p->n_results;
    ret->n_running += p->n_running;
    ret->n_streams += p->n_streams;
}

bool place_is_idle(const struct place *p)
{
    return p->n_claims == 0;
}

static void job_check(const struct place *p, const struct place_job *j, uint32_t *slots)
{
    struct list *tmp;
    struct place_claim *c;
    uint32_t n_claims = 0, n_open = 0, n_running = 0, n_queued = 0;
    LIST_EACH(c, tmp, &j->claims, struct place_claim, link)
    {
        bool runs = c->state == PLACE_CLAIM_STARTING || c->state == PLACE_CLAIM_RUNNING;
        assert(c->job == j && p->claims[c->number % p->claims_cap] == c);
        assert(c->state != PLACE_CLAIM_GONE);
        assert(c->state != PLACE_CLAIM_QUEUED || list_is_linked(&c->work));
        n_claims++;
        n_running += runs;
        n_queued += c->state == PLACE_CLAIM_QUEUED;
        n_open += runs || c->state == PLACE_CLAIM_QUEUED || c->state == PLACE_CLAIM_DRAINING;
        *slots += runs ? j->spec.needs.cpu : 0;
    }
    assert(n_claims == j->n_claims && n_open == j->n_open && n_running == j->n_running);
    assert(n_queued == j->n_queued);
    assert(j->n_claims > 0 || j->stream != NULL);
    assert(j->stream == NULL || j->stream->job == j);
}

void place_check(const struct place *p)
{
    struct list *tmp;
    struct place_job *j;
    uint32_t n_claims = 0, n_running = 0, slots = 0, reserved = 0, n_reservations = 0, n_jobs = 0;
    LIST_EACH(j, tmp, &p->jobs, struct place_job, link)
    {
        job_check(p, j, &slots);
        n_claims += j->n_claims;
        n_running += j->n_running;
        n_jobs++;
    }
    for (uint32_t i = 0; i < PLACE_RESERVATIONS_MAX; i++) {
        const struct place_reservation *r = &p->reservations[i];
        assert((r->number == 0) == (r->n == 0));
        reserved += r->n * r->cpu;
        n_reservations += r->number != 0;
    }
    assert(n_claims == p->n_claims && n_running == p->n_running && n_jobs == p->n_jobs);
    assert(slots == p->used && reserved == p->reserved && n_reservations == p->n_reservations);
    assert(p->used + p->reserved <= p->core->n_slots);
}
