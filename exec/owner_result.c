/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/owner_parts.h"

#include "base/crypt.h"

/* How attempts end: results and their bytes, failures, lost places. */

/* --- transfers of captured results --- */

void xfer_drop(struct owner *o, uint32_t xfer)
{
    struct owner_xfer *x = &o->xfers[xfer];
    assert(x->job != NULL);
    sink_done(&x->sink[0]);
    sink_done(&x->sink[1]);
    *x = (struct owner_xfer){.task = o->free_xfer};
    o->free_xfer = xfer;
}

/* NO_TASK without memory. */
static uint32_t xfer_new(struct owner *o)
{
    if (o->free_xfer == NO_TASK) {
        uint32_t n = o->n_xfers == 0 ? 64 : o->n_xfers * 2;
        struct owner_xfer *xfers = mem_realloc(o->mem, o->xfers, n * sizeof(*xfers));
        if (xfers == NULL) {
            return NO_TASK;
        }
        o->xfers = xfers;
        for (uint32_t i = n; i-- > o->n_xfers;) {
            xfers[i] = (struct owner_xfer){.task = o->free_xfer};
            o->free_xfer = i;
        }
        o->n_xfers = n;
    }
    uint32_t xfer = o->free_xfer;
    o->free_xfer = o->xfers[xfer].task;
    return xfer;
}

/* --- the end of an attempt --- */

/* The task has no place any more; a queue of its former place forgets it. */
void task_leave_seat(struct owner_job *j, uint32_t task)
{
    struct owner_task *t = &j->tasks[task];
    struct owner_seat *s = j->seats[t->seat];
    seat_claim_remove(s, task);
    s->n_open -= t->state == OWNER_TASK_CLAIMED || t->state == OWNER_TASK_RUNNING;
}

/* A new attempt reads its stdin, and writes its output, from the begin. */
static void run_rewind(struct owner_job *j)
{
    j->in_sent = j->in_base;
    j->in_end_sent = false;
    for (unsigned fd = 0; fd < 2; fd++) {
        j->seen[fd] = j->told_ack[fd] = 0;
    }
}

static void task_failed(struct owner *o, uint64_t now_us, struct owner_job *j, uint32_t task)
{
    struct owner_task *t = &j->tasks[task];
    t->n_failed++;
    if (j->state == OWNER_JOB_CANCELLING) {
        task_end(o, j, task, OWNER_TASK_CANCELLED);
    } else if (t->n_failed > j->submit.retry ||
               (t->end == EXEC_END_SPOOL && j->submit.mode == EXEC_MODE_RUN)) {
        task_end(o, j, task, OWNER_TASK_FAILED);
    } else {
        task_drop_objects(o, j, task);
        run_rewind(j);
        task_wait(j, now_us, task);
    }
}

/* Output was shown, or stdin taken that is no longer here: it cannot begin anew unnoticed. */
static bool run_is_spoilt(const struct owner_job *j)
{
    if (j->submit.mode != EXEC_MODE_RUN) {
        return false;
    }
    if ((j->submit.flags & EXEC_SUBMIT_PURE) != 0) {
        return j->in_base > 0;
    }
    return j->in_taken > 0 || j->shown[0] > 0 || j->shown[1] > 0;
}

/* Its place is lost. Costs no retry. */
void attempt_lost(struct owner *o, uint64_t now_us, struct owner_job *j, uint32_t task)
{
    struct owner_task *t = &j->tasks[task];
    seat_lost_add(o, j->seats[t->seat], task,
                  t->state == OWNER_TASK_STORING ? t->result_attempt : t->attempt);
    task_leave_seat(j, task);
    if (t->state == OWNER_TASK_STORING && t->link != NO_TASK) {
        xfer_drop(o, t->link);
        task_drop_objects(o, j, task);
    }
    task_move(j, task, OWNER_TASK_LOST);
    t->n_lost++;
    j->n_moved++;
    t->end = EXEC_END_LOST;
    if (j->state == OWNER_JOB_CANCELLING) {
        t->end = EXEC_END_CANCELLED;
        task_end(o, j, task, OWNER_TASK_CANCELLED);
    } else if (t->n_lost >= EXEC_LOST_MAX || run_is_spoilt(j)) {
        task_end(o, j, task, OWNER_TASK_FAILED);
    } else {
        run_rewind(j);
        task_wait(j, now_us, task);
    }
    job_dirty(o, j);
}

/* The result counts and its bytes are safe. */
void task_settle(struct owner *o, uint64_t now_us, struct owner_job *j, uint32_t task)
{
    struct owner_task *t = &j->tasks[task];
    assert(t->state == OWNER_TASK_STORING);
    if (t->end == EXEC_END_EXIT && t->code == 0) {
        task_end(o, j, task, OWNER_TASK_DONE);
    } else {
        task_failed(o, now_us, j, task);
    }
    j->is_progress_due = true;
    o->stats.n_results++;
    job_dirty(o, j);
}

void result_ack_send(struct owner *o, struct owner_seat *s, uint32_t task, uint32_t attempt)
{
    struct writer raw = owner_scratch(o, 0), w = owner_scratch(o, 1);
    exec_attempt_encode(&(struct exec_attempt_id){task, attempt}, &raw);
    struct exec_attempts m = {.n = 1, .raw = writer_slice(&raw)};
    exec_attempts_encode(&m, &w);
    if (s->handle != 0) {
        out_stream_send(&o->core->out, s->handle, EXEC_MSG_RESULT_ACK, EXEC_CLASS_RPC,
                        writer_slice(&w));
    }
}

/* All bytes are stored: the place may drop its copy. */
void xfer_finish(struct owner *o, uint64_t now_us, uint32_t xfer)
{
    struct owner_xfer *x = &o->xfers[xfer];
    struct owner_job *j = x->job;
    struct owner_seat *s = x->seat;
    uint32_t task = x->task;
    uint16_t attempt = x->attempt;
    xfer_drop(o, xfer);
    seat_claim_remove(s, task);
    result_ack_send(o, s, task, attempt);
    task_settle(o, now_us, j, task);
}

/* The store is full or there is no memory: a clear failure of this task. */
void xfer_fail(struct owner *o, uint64_t now_us, uint32_t xfer)
{
    struct owner_xfer *x = &o->xfers[xfer];
    struct owner_task *t = &x->job->tasks[x->task];
    t->end = EXEC_END_SPOOL;
    t->code = t->signal = 0;
    t->out_len = t->err_len = 0;
    task_drop_objects(o, x->job, x->task);
    xfer_finish(o, now_us, xfer);
}

/* --- RESULT --- */

/* Is this the result we wait for? If not it may still be the first of a task given up there; a
 * late failure does not count, the newer attempt may do better. */
static bool result_is_wanted(struct owner *o, const struct owner_seat *s,
                             const struct exec_result *r)
{
    struct owner_job *j = s->job;
    struct owner_task *t = &j->tasks[r->task];
    bool is_here = t->seat == s->index && t->attempt == r->attempt &&
                   (t->state == OWNER_TASK_CLAIMED || t->state == OWNER_TASK_RUNNING);
    if (is_here) {
        return true;
    }
    o->stats.n_late_results++;
    return seat_lost_has(s, r->task, r->attempt) && j->submit.mode == EXEC_MODE_MAP &&
           r->end == EXEC_END_EXIT && r->code == 0 && t->state != OWNER_TASK_STORING &&
           !exec_task_table.states[t->state].is_final;
}

/* Takes the task from wherever it is now to this seat. */
static void task_adopt(struct owner *o, struct owner_seat *s, uint32_t task)
{
    struct owner_job *j = s->job;
    struct owner_task *t = &j->tasks[task];
    if (t->state == OWNER_TASK_WAITING || t->state == OWNER_TASK_PROBING) {
        again_remove(j, task);
    } else {
        struct owner_seat *other = j->seats[t->seat];
        seat_cancel(o, other, false, task, t->attempt, 9);
        task_leave_seat(j, task);
    }
    seat_claim_add(s, task);
    s->n_open--; /* it has ended there */
}

static void result_take(struct owner *o, struct owner_seat *s, const struct exec_result *r)
{
    struct owner_job *j = s->job;
    struct owner_task *t = &j->tasks[r->task];
    if (t->seat == s->index && t->attempt == r->attempt &&
        (t->state == OWNER_TASK_CLAIMED || t->state == OWNER_TASK_RUNNING)) {
        s->n_open--;
    } else {
        task_adopt(o, s, r->task);
    }
    task_move(j, r->task, OWNER_TASK_STORING);
    t->result_attempt = (uint16_t)r->attempt;
    t->end = (uint8_t)r->end;
    t->code = r->code;
    t->signal = r->signal;
    t->wall_us = r->wall_us;
    t->cpu_us = r->cpu_us;
    t->out_len = (uint32_t)IPX_MIN(r->out_len, UINT32_MAX);
    t->err_len = (uint32_t)IPX_MIN(r->err_len, UINT32_MAX);
}

static bool result_is_sound(const struct owner_job *j, const struct exec_result *r)
{
    if (r->task >= j->count || r->attempt == 0 || r->attempt > UINT16_MAX ||
        r->end > EXEC_END_IPX || r->out_len > UINT32_MAX || r->err_len > UINT32_MAX) {
        return false;
    }
    if (r->out.len == 0 && r->err.len == 0) {
        return true;
    }
    struct hash hash = crypt_hash2(r->out, r->err);
    return r->out.len == r->out_len && r->err.len == r->err_len && hash_equal(&hash, &r->hash);
}

/* A captured result with bytes: to the store. */
static void result_store(struct owner *o, uint64_t now_us, struct owner_seat *s,
                         const struct exec_result *r)
{
    struct owner_job *j = s->job;
    struct owner_task *t = &j->tasks[r->task];
    uint32_t xfer = xfer_new(o);
    if (xfer == NO_TASK) {
        t->end = EXEC_END_SPOOL;
        t->out_len = t->err_len = 0;
        seat_claim_remove(s, r->task);
        result_ack_send(o, s, r->task, r->attempt);
        task_settle(o, now_us, j, r->task);
        return;
    }
    struct owner_xfer *x = &o->xfers[xfer];
    *x = (struct owner_xfer){.job = j, .task = r->task, .attempt = (uint16_t)r->attempt, .seat = s};
    x->want[0] = r->out_len;
    x->want[1] = r->err_len;
    t->link = xfer;
    t->has_objects = true;
    sink_init(o, &x->sink[0], task_object(j, r->task, 1));
    sink_init(o, &x->sink[1], task_object(j, r->task, 2));
    bool is_inside = r->out.len + r->err.len > 0;
    if (is_inside && (!sink_put(o, &x->sink[0], r->out) || !sink_put(o, &x->sink[1], r->err))) {
        xfer_fail(o, now_us, xfer);
    }
}

/* False: it makes no sense, or its bytes are not what its hash says. */
bool seat_on_result(struct owner *o, uint64_t now_us, struct owner_seat *s,
                    const struct exec_result *r, struct writer *acks, uint32_t *n_acks)
{
    struct owner_job *j = s->job;
    if (!result_is_sound(j, r)) {
        return false;
    }
    struct owner_task *t = &j->tasks[r->task];
    if (t->state == OWNER_TASK_STORING && t->seat == s->index && t->result_attempt == r->attempt) {
        return true; /* sent again over a new link: its bytes come again too, and are skipped */
    }
    struct exec_attempt_id id = {r->task, r->attempt};
    if (!result_is_wanted(o, s, r) || !seat_claims_reserve(o, s, 1)) {
        exec_attempt_encode(&id, acks);
        (*n_acks)++;
        return true;
    }
    result_take(o, s, r);
    bool is_streamed =
        j->submit.mode == EXEC_MODE_RUN && (j->submit.flags & EXEC_SUBMIT_DETACH) == 0;
    if (!is_streamed && r->out_len + r->err_len > 0) {
        result_store(o, now_us, s, r);
        return true;
    }
    if (is_streamed && j->is_spool_full) {
        t->end = EXEC_END_SPOOL;
    } else if (is_streamed && j->sink[0].in_flight + j->sink[1].in_flight > 0) {
        t->link = NO_TASK; /* run_on_stored goes on */
        return true;
    }
    seat_claim_remove(s, r->task);
    exec_attempt_encode(&id, acks);
    (*n_acks)++;
    task_settle(o, now_us, j, r->task);
    return true;
}
