/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/place_core.h"

/* The life of one claim: queued, started, ended, told. */

#define SIGNAL_KILL 9
#define SIGNAL_TERM 15

static struct list *bucket_of(struct place_job *j, uint32_t task)
{
    return &j->buckets[task % PLACE_BUCKETS];
}

struct place_claim *place_claim_find(struct place_job *j, const struct exec_attempt_id *id)
{
    struct list *tmp;
    struct place_claim *c;
    LIST_EACH(c, tmp, bucket_of(j, id->task), struct place_claim, bucket)
    {
        if (c->id.task == id->task && c->id.attempt == id->attempt) {
            return c;
        }
    }
    return NULL;
}

struct place_claim *place_claim_of(const struct place *p, uint64_t number)
{
    struct place_claim *c = p->claims_cap > 0 ? p->claims[number % p->claims_cap] : NULL;
    return c != NULL && c->number == number ? c : NULL;
}

uint64_t place_claim_end_us(const struct place_claim *c)
{
    return IPX_MAX(c->claimed_us, c->job->renewed_us) + c->job->duration_us;
}

static bool is_open(const struct place_claim *c)
{
    return c->state < PLACE_CLAIM_RESULT;
}

/* What the state holds besides memory. */
static void claim_leave(struct place *p, struct place_claim *c)
{
    if (c->state == PLACE_CLAIM_QUEUED) {
        p->n_queued--;
        c->job->n_queued--;
    } else if (c->state == PLACE_CLAIM_STARTING || c->state == PLACE_CLAIM_RUNNING) {
        assert(p->used >= c->job->spec.needs.cpu);
        p->used -= c->job->spec.needs.cpu;
        p->n_running--;
        c->job->n_running--;
    }
    list_unlink(&c->work);
}

void place_claim_free(struct place *p, struct place_claim *c)
{
    struct place_job *j = c->job;
    claim_leave(p, c);
    j->n_open -= is_open(c);
    sm_move(&exec_claim_table, &c->state, PLACE_CLAIM_GONE);
    place_io_done(p, c);
    timers_clear(&p->timers, &c->timer);
    list_unlink(&c->link);
    list_unlink(&c->bucket);
    j->n_claims--;
    p->n_claims--;
    p->claims[c->number % p->claims_cap] = NULL;
    quota_charge_return(&c->bytes);
    mem_free(p->mem, c);
}

/* --- CLAIM --- */

static void refuse(struct place *p, struct place_job *j, const struct exec_attempt_id *id,
                   enum exec_refusal reason)
{
    uint64_t wait_ms = place_wait_us(p) / US_PER_MS;
    struct writer w = place_scratch(p, 0);
    exec_refuse_encode(&(struct exec_refuse){.reason = reason,
                                             .wait_ms = (uint32_t)IPX_MIN(wait_ms, 60000u),
                                             .task = id->task,
                                             .attempt = id->attempt},
                       &w);
    place_send(p, j->stream, EXEC_MSG_REFUSE, EXEC_CLASS_RPC, &w);
    p->n_said_no++;
}

void place_claim_refuse(struct place *p, struct place_claim *c, enum exec_refusal reason)
{
    assert(c->state == PLACE_CLAIM_QUEUED && c->job->stream != NULL);
    refuse(p, c->job, &c->id, reason);
    place_claim_free(p, c);
}

/* What it may make us hold at most. */
static uint64_t claim_cost(const struct place_job *j, size_t item_len)
{
    uint64_t output = j->spec.output == EXEC_OUTPUT_STREAM ? 2 * PLACE_OUT_MAX : EXEC_INLINE_MAX;
    uint64_t input = j->spec.stdin_kind != EXEC_STDIN_NONE ? EXEC_WINDOW : 0;
    return sizeof(struct place_claim) + item_len + output + input;
}

#define CLAIMS_STEP 64 /* first size of the table; it doubles up to PLACE_CLAIMS_MAX */
static_assert((PLACE_CLAIMS_MAX & (PLACE_CLAIMS_MAX - 1)) == 0 && PLACE_CLAIMS_MAX >= CLAIMS_STEP,
              "doubling ends there");

/* Places for one more. Numbers that differ modulo a size differ modulo twice that size. */
static bool claims_room(struct place *p)
{
    if (p->n_claims < p->claims_cap) {
        return true;
    }
    uint32_t cap = IPX_MAX(2 * p->claims_cap, (uint32_t)CLAIMS_STEP);
    struct place_claim **claims = mem_alloc_array(p->mem, cap, sizeof(*claims));
    if (claims == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < p->claims_cap; i++) {
        if (p->claims[i] != NULL) {
            claims[p->claims[i]->number % cap] = p->claims[i];
        }
    }
    mem_free(p->mem, p->claims);
    p->claims = claims;
    p->claims_cap = cap;
    return true;
}

static uint64_t number_next(struct place *p)
{
    assert(p->n_claims < p->claims_cap);
    do {
        p->core->next_attempt++;
    } while (p->claims[p->core->next_attempt % p->claims_cap] != NULL);
    return p->core->next_attempt;
}

static void claim_init(struct place *p, uint64_t now_us, struct place_job *j,
                       const struct exec_claim *m, struct place_claim *c)
{
    c->job = j;
    c->id = (struct exec_attempt_id){m->task, m->attempt};
    c->state = PLACE_CLAIM_QUEUED;
    c->claimed_us = now_us;
    c->limit_us = c->kill_us = NEVER_US;
    c->item_len = m->item.len;
    if (m->item.len > 0) {
        memcpy(c->item, m->item.data, m->item.len);
    }
    for (int i = 0; i < 2; i++) {
        buf_init(&c->out[i].bytes, p->mem,
                 j->spec.output == EXEC_OUTPUT_STREAM ? PLACE_OUT_MAX : EXEC_INLINE_MAX);
    }
    buf_init(&c->in.bytes, p->mem, EXEC_WINDOW);
    timer_init(&c->timer, PLACE_TIMER_CLAIM);
    c->number = number_next(p);
    p->claims[c->number % p->claims_cap] = c;
    list_push_back(&j->claims, &c->link);
    list_push_back(bucket_of(j, m->task), &c->bucket);
    list_push_back(&j->queue, &c->work);
    p->n_claims++;
    p->n_queued++;
    j->n_claims++;
    j->n_open++;
    j->n_queued++;
}

/* NULL: over a limit, or over the credit by more than a message may cross it. */
static struct place_claim *claim_new(struct place *p, uint64_t now_us, struct place_job *j,
                                     const struct exec_claim *m)
{
    struct quota_charge charge = QUOTA_CHARGE_INIT;
    uint32_t open_max = p->core->n_slots + 2 * EXEC_PREFETCH_MAX;
    if (j->n_open >= open_max || p->n_claims == PLACE_CLAIMS_MAX ||
        j->n_claims >= EXEC_ATTEMPTS_MAX ||
        timers_reserve(&p->timers, p->n_jobs + p->n_claims + 1) != IPX_OK ||
        quota_charge(&j->owner->quota, &charge, QUOTA_BYTES, claim_cost(j, m->item.len)) !=
            IPX_OK) {
        return NULL;
    }
    struct place_claim *c = claims_room(p) ? mem_alloc(p->mem, sizeof(*c) + m->item.len) : NULL;
    if (c == NULL) {
        quota_charge_return(&charge);
        return NULL;
    }
    c->bytes = charge;
    claim_init(p, now_us, j, m, c);
    return c;
}

static void claim_take(struct place *p, uint64_t now_us, struct place_job *j,
                       const struct exec_claim *m)
{
    const struct exec_attempt_id id = {m->task, m->attempt};
    if (place_claim_find(j, &id) != NULL) {
        return; /* sent again behind a broken link: it is in the RENEW that the owner then got */
    }
    struct place_claim *c = m->task < j->spec.count ? claim_new(p, now_us, j, m) : NULL;
    if (c == NULL) {
        refuse(p, j, &id, m->task < j->spec.count ? EXEC_REFUSAL_FULL : EXEC_REFUSAL_JOB);
        return;
    }
    if (j->n_claims == 1) {
        j->check_us = now_us + j->duration_us;
        j->renew_us = now_us + EXEC_RENEW_US;
        place_job_schedule(p, j);
    }
    struct place_reservation *r = place_reservation_find(p, &j->owner->id, &j->id);
    if (r != NULL) {
        bool is_held = r->cpu > 0;
        place_reservation_take(p, r, 1);
        if (is_held && place_free_slots(p) >= j->spec.needs.cpu) {
            place_claim_start(p, now_us, c);
        }
    }
}

static enum exec_refusal claims_judge(struct place *p, uint64_t now_us, struct place_job *j,
                                      const struct exec_claims *m)
{
    if (m->epoch < j->epoch) {
        return EXEC_REFUSAL_STALE;
    }
    j->epoch = m->epoch;
    if (p->core->wall_minus_now_ms != 0 &&
        core_wall_ms(p->core, now_us) > j->expires_ms + CERT_SKEW_MS) {
        return EXEC_REFUSAL_JOB;
    }
    struct match_job env = place_job_env(j);
    return place_judge(p, now_us, &env, j->where);
}

void place_on_claims(struct place *p, uint64_t now_us, struct place_job *j, struct slice body)
{
    struct exec_claims m;
    if (exec_claims_decode(body, &m) != IPX_OK) {
        p->core->n_malformed++;
        place_stream_break(p, j->stream, IPX_MALFORMED);
        return;
    }
    j->n_waiting = m.n_waiting;
    if (m.n == 0) {
        return;
    }
    enum exec_refusal reason = claims_judge(p, now_us, j, &m);
    if (reason == 0) {
        uint64_t asked_us = (uint64_t)m.duration_ms * US_PER_MS;
        j->duration_us = IPX_MIN(IPX_MAX(asked_us, PLACE_DURATION_MIN_US), PLACE_DURATION_MAX_US);
    }
    struct cbor_reader it = exec_claims_begin(&m);
    for (uint32_t i = 0; i < m.n; i++) {
        struct exec_claim claim = exec_claim_next(&it);
        if (reason != 0) {
            refuse(p, j, &(struct exec_attempt_id){claim.task, claim.attempt}, reason);
        } else {
            claim_take(p, now_us, j, &claim);
        }
    }
}

/* --- ends --- */

/* From any open state to a result that is told, or to nothing if nobody wants it. */
static void claim_to_result(struct place *p, struct place_claim *c)
{
    if (c->is_dropped) {
        place_claim_free(p, c);
        return;
    }
    claim_leave(p, c);
    c->job->n_open--;
    sm_move(&exec_claim_table, &c->state, PLACE_CLAIM_RESULT);
    timers_clear(&p->timers, &c->timer);
    list_push_back(&c->job->ready, &c->work);
}

static void claim_fail(struct place *p, struct place_claim *c, enum exec_end end)
{
    c->end = end;
    claim_to_result(p, c);
}

void place_claim_ended(struct place *p, struct place_claim *c)
{
    if (c->state != PLACE_CLAIM_DRAINING) {
        return;
    }
    bool is_stored = c->out[0].n_storing + c->out[1].n_storing == 0;
    if (c->is_dropped ||
        (c->job->spec.output == EXEC_OUTPUT_STREAM ? place_io_is_sent(c) : is_stored)) {
        claim_to_result(p, c);
    }
}

/* --- the process --- */

static enum ipx_err claim_spawn(struct place *p, uint64_t now_us, struct place_claim *c)
{
    const struct place_job *j = c->job;
    const struct cert_facts *self = &p->core->self;
    struct exec_action_spawn spawn = {.attempt = c->number,
                                      .has_stdin = j->spec.stdin_kind != EXEC_STDIN_NONE,
                                      .mem_max = j->spec.needs.mem};
    struct job_env env = {.job = &j->id,
                          .index = c->id.task,
                          .count = j->spec.count,
                          .attempt = c->id.attempt,
                          .node = self->name,
                          .lab = self->lab};
    if (j->spec.needs.time_us > 0 && p->core->wall_minus_now_ms != 0) {
        env.deadline_ms =
            core_wall_ms(p->core, now_us) + (int64_t)(j->spec.needs.time_us / US_PER_MS);
    }
    struct writer argv = place_scratch(p, 0), words = place_scratch(p, 1);
    job_argv_write(&j->spec, slice_of(c->item, c->item_len), c->id.task, &argv, &spawn.n_argv);
    struct cbor_reader it = exec_list_begin(&j->spec.env);
    for (uint32_t i = 0; i < j->spec.env.n; i++) {
        writer_bytes(&words, exec_list_next(&it));
        writer_u8(&words, 0);
    }
    uint32_t n_standard;
    job_env_write(&env, &words, &n_standard);
    spawn.n_env = j->spec.env.n + n_standard;
    spawn.argv = writer_slice(&argv);
    spawn.env = writer_slice(&words);
    if (argv.failed || words.failed) {
        return IPX_LIMIT;
    }
    return out_spawn(&p->core->out, &spawn);
}

void place_claim_start(struct place *p, uint64_t now_us, struct place_claim *c)
{
    assert(place_free_slots(p) >= c->job->spec.needs.cpu);
    claim_leave(p, c);
    sm_move(&exec_claim_table, &c->state, PLACE_CLAIM_STARTING);
    p->used += c->job->spec.needs.cpu;
    p->n_running++;
    c->job->n_running++;
    enum ipx_err err = claim_spawn(p, now_us, c);
    if (err != IPX_OK) {
        claim_fail(p, c, err == IPX_LIMIT ? EXEC_END_CANNOT_RUN : EXEC_END_IPX);
    }
}

static void claim_timer(struct place *p, struct place_claim *c)
{
    timers_set(&p->timers, &c->timer, IPX_MIN(c->limit_us, c->kill_us));
}

void place_on_started(struct place *p, uint64_t now_us, uint64_t attempt, enum ipx_err err)
{
    struct place_claim *c = place_claim_of(p, attempt);
    if (c == NULL || c->state != PLACE_CLAIM_STARTING) {
        return;
    }
    struct place_job *j = c->job;
    p->is_dirty = true;
    if (err != IPX_OK) {
        claim_fail(p, c,
                   err == IPX_NOT_FOUND ? EXEC_END_NOT_FOUND
                   : err == IPX_DENIED  ? EXEC_END_CANNOT_RUN
                                        : EXEC_END_IPX);
        place_job_maybe_free(p, j);
        return;
    }
    sm_move(&exec_claim_table, &c->state, PLACE_CLAIM_RUNNING);
    c->started_us = now_us;
    c->limit_us = j->spec.needs.time_us > 0 ? now_us + j->spec.needs.time_us : NEVER_US;
    claim_timer(p, c);
    if (j->stream != NULL) {
        struct writer w = place_scratch(p, 0);
        exec_started_encode(&c->id, &w);
        place_send(p, j->stream, EXEC_MSG_STARTED, EXEC_CLASS_RPC, &w);
    }
    if (c->pending_signal != 0) {
        out_kill(&p->core->out, c->number, c->pending_signal);
    }
    place_io_begin(p, now_us, c);
}

void place_claim_signal(struct place *p, struct place_claim *c, uint8_t signal)
{
    if (c->state == PLACE_CLAIM_STARTING) {
        c->pending_signal = c->pending_signal == SIGNAL_KILL ? SIGNAL_KILL : signal;
    } else if (c->state == PLACE_CLAIM_RUNNING) {
        out_kill(&p->core->out, c->number, signal);
    }
}

void place_claim_kill(struct place *p, struct place_claim *c, enum exec_end why)
{
    c->why = c->why == EXEC_END_NONE ? why : c->why;
    if (!c->is_killed) {
        c->is_killed = true;
        place_claim_signal(p, c, SIGNAL_KILL);
    }
}

void place_claim_cancel(struct place *p, uint64_t now_us, struct place_claim *c, uint8_t signal)
{
    if (c->state == PLACE_CLAIM_QUEUED) {
        claim_fail(p, c, EXEC_END_CANCELLED);
        return;
    }
    if (c->state != PLACE_CLAIM_STARTING && c->state != PLACE_CLAIM_RUNNING) {
        return;
    }
    c->why = c->why == EXEC_END_NONE ? EXEC_END_CANCELLED : c->why;
    place_claim_signal(p, c, signal);
    if (signal == SIGNAL_TERM) {
        c->kill_us = IPX_MIN(c->kill_us, now_us + PLACE_GRACE_US);
        claim_timer(p, c);
    }
}

void place_claim_tick(struct place *p, uint64_t now_us, struct place_claim *c)
{
    if (c->limit_us <= now_us) {
        c->limit_us = NEVER_US;
        c->why = c->why == EXEC_END_NONE ? EXEC_END_TIME : c->why;
        c->kill_us = IPX_MIN(c->kill_us, now_us + PLACE_GRACE_US);
        place_claim_signal(p, c, SIGNAL_TERM);
    }
    if (c->kill_us <= now_us) {
        c->kill_us = NEVER_US;
        place_claim_kill(p, c, EXEC_END_CANCELLED);
    }
    claim_timer(p, c);
}

static enum exec_end end_of(const struct place_claim *c)
{
    if (c->why != EXEC_END_NONE && (c->why != EXEC_END_CANCELLED || c->signal != 0)) {
        return c->why;
    }
    return c->signal != 0 ? EXEC_END_SIGNAL : EXEC_END_EXIT;
}

static void mean_add(uint64_t *mean_us, uint64_t us)
{
    us = IPX_MAX(us, 1u);
    *mean_us = *mean_us == 0 ? us : IPX_MAX((*mean_us * 7 + us) / 8, 1u);
}

void place_on_exit(struct place *p, uint64_t now_us, uint64_t attempt, uint8_t code, uint8_t signal,
                   uint64_t cpu_us)
{
    struct place_claim *c = place_claim_of(p, attempt);
    if (c == NULL || c->state != PLACE_CLAIM_RUNNING) {
        return;
    }
    struct place_job *j = c->job;
    p->is_dirty = true;
    c->code = code;
    c->signal = signal;
    c->cpu_us = cpu_us;
    c->wall_us = now_us - c->started_us;
    c->end = end_of(c);
    mean_add(&j->mean_us, c->wall_us);
    mean_add(&p->mean_us, c->wall_us);
    claim_leave(p, c);
    sm_move(&exec_claim_table, &c->state, PLACE_CLAIM_DRAINING);
    timers_clear(&p->timers, &c->timer);
    c->out[0].is_open = c->out[1].is_open = false;
    place_io_close_stdin(p, c);
    place_claim_ended(p, c);
    place_job_maybe_free(p, j);
}
