/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/owner_parts.h"

/* What a place says on a job's stream. */

static bool on_credit(struct owner *o, struct owner_seat *s, struct slice body)
{
    uint32_t n;
    if (exec_credit_decode(body, &n) != IPX_OK) {
        return false;
    }
    s->credit = n;
    job_dirty(o, s->job);
    return true;
}

/* A claimed or running attempt that this place may speak of; NULL otherwise. */
static struct owner_task *task_at(struct owner_seat *s, uint32_t task, uint32_t attempt)
{
    if (task >= s->job->count) {
        return NULL;
    }
    struct owner_task *t = &s->job->tasks[task];
    bool is_live = t->state == OWNER_TASK_CLAIMED || t->state == OWNER_TASK_RUNNING;
    return is_live && t->seat == s->index && t->attempt == attempt ? t : NULL;
}

static void claims_return(struct owner_job *j, uint64_t now_us, struct owner_seat *s)
{
    for (uint32_t i = s->n_claims; i-- > 0;) {
        uint32_t task = s->claims[i];
        if (j->tasks[task].state != OWNER_TASK_STORING) {
            task_leave_seat(j, task);
            task_wait(j, now_us, task);
        }
    }
}

static bool on_refuse(struct owner *o, uint64_t now_us, struct owner_seat *s, struct slice body)
{
    struct exec_refuse m;
    struct owner_job *j = s->job;
    if (exec_refuse_decode(body, &m) != IPX_OK) {
        return false;
    }
    if (m.is_job) {
        claims_return(j, now_us, s);
        seat_lost(o, now_us, s);
        seat_refused(o, now_us, s, (uint8_t)m.reason, m.wait_ms);
        return true;
    }
    if (task_at(s, m.task, m.attempt) != NULL) {
        task_leave_seat(j, m.task);
        if (j->state == OWNER_JOB_CANCELLING) {
            j->tasks[m.task].end = EXEC_END_CANCELLED;
            task_end(o, j, m.task, OWNER_TASK_CANCELLED);
        } else {
            task_wait(j, now_us, m.task);
        }
        s->credit = IPX_MIN(s->credit, s->n_open); /* until its next CREDIT */
        job_dirty(o, j);
    }
    return true;
}

static bool on_started(struct owner *o, uint64_t now_us, struct owner_seat *s, struct slice body)
{
    struct exec_attempt_id id;
    if (exec_started_decode(body, &id) != IPX_OK) {
        return false;
    }
    struct owner_task *t = task_at(s, id.task, id.attempt);
    if (t != NULL && t->state == OWNER_TASK_CLAIMED) {
        task_move(s->job, id.task, OWNER_TASK_RUNNING);
        t->time_us = now_us;
        s->job->is_progress_due = true;
        job_dirty(o, s->job);
    }
    return true;
}

static bool on_results(struct owner *o, uint64_t now_us, struct owner_seat *s, struct slice body)
{
    struct exec_results m;
    uint8_t bytes[EXEC_BATCH_MAX * 10]; /* two integers of at most 5 bytes an attempt */
    if (exec_results_decode(body, &m) != IPX_OK) {
        return false;
    }
    struct writer raw = writer_of(bytes, sizeof(bytes));
    struct exec_attempts acks = {0};
    struct cbor_reader it = exec_results_begin(&m);
    bool is_ok = true;
    for (uint32_t i = 0; i < m.n && is_ok; i++) {
        struct exec_result r = exec_result_next(&it);
        is_ok = seat_on_result(o, now_us, s, &r, &raw, &acks.n);
    }
    if (acks.n > 0 && s->handle != 0) {
        struct writer w = owner_scratch(o, 1);
        acks.raw = writer_slice(&raw);
        exec_attempts_encode(&acks, &w);
        out_stream_send(&o->core->out, s->handle, EXEC_MSG_RESULT_ACK, EXEC_CLASS_RPC,
                        writer_slice(&w));
    }
    return is_ok;
}

/* Marks the claims that the place says it has, in `seen`; ends there what it should not have. */
static void renew_compare(struct owner *o, struct owner_seat *s, const struct exec_attempts *m,
                          uint8_t *seen)
{
    struct owner_job *j = s->job;
    struct cbor_reader it = exec_attempts_begin(m);
    for (uint32_t i = 0; i < m->n; i++) {
        struct exec_attempt_id id = exec_attempt_next(&it);
        const struct owner_task *t = id.task < j->count ? &j->tasks[id.task] : NULL;
        bool is_live = t != NULL && t->seat == s->index && t->pos < s->n_claims &&
                       s->claims[t->pos] == id.task;
        if (is_live && (t->attempt == id.attempt || t->result_attempt == id.attempt)) {
            seen[t->pos / 8] |= (uint8_t)(1 << t->pos % 8);
        } else if (t == NULL || !seat_lost_has(s, id.task, id.attempt) ||
                   exec_task_table.states[t->state].is_final) {
            seat_cancel(o, s, false, id.task, id.attempt, 9);
        }
        /* else: given up when the link broke, not yet done elsewhere: the first result counts */
    }
}

/* After a re-opening: what the place does not have it will never run. */
static void renew_first(struct owner *o, uint64_t now_us, struct owner_seat *s, const uint8_t *seen)
{
    struct owner_job *j = s->job;
    for (uint32_t i = s->n_claims; i-- > 0;) {
        if ((seen[i / 8] & 1 << i % 8) == 0) {
            attempt_lost(o, now_us, j, s->claims[i]);
        }
    }
    if (j->submit.mode == EXEC_MODE_RUN) {
        j->told_ack[0] = j->told_ack[1] = 0;
        j->in_sent = IPX_MAX(j->in_base, j->in_taken);
        j->in_end_sent = false;
        job_send_out_acks(o, j);
    }
    if (j->state == OWNER_JOB_CANCELLING && s->n_claims > 0) {
        seat_cancel(o, s, true, 0, 0, j->cancel_signal != 0 ? j->cancel_signal : 15);
    }
}

static bool on_renew(struct owner *o, uint64_t now_us, struct owner_seat *s, struct slice body)
{
    struct exec_attempts m;
    if (exec_attempts_decode(body, &m) != IPX_OK) {
        return false;
    }
    bool is_first = !s->is_heard;
    uint8_t *seen = mem_alloc(o->mem, s->n_claims / 8 + 1);
    if (seen == NULL) {
        return true; /* another one comes in 5 s */
    }
    s->is_heard = true;
    s->n_breaks = 0;
    s->renewed_us = now_us;
    renew_compare(o, s, &m, seen);
    if (is_first && s->is_reopened) {
        renew_first(o, now_us, s, seen);
    }
    mem_free(o->mem, seen);
    struct writer w = owner_scratch(o, 0);
    exec_renewed_encode(m.stamp, &w);
    out_stream_send(&o->core->out, s->handle, EXEC_MSG_RENEWED, EXEC_CLASS_RPC, writer_slice(&w));
    job_dirty(o, s->job);
    return true;
}

static bool on_output(struct owner *o, uint64_t now_us, struct owner_seat *s, struct slice body)
{
    struct exec_bytes m;
    return exec_bytes_decode(body, &m) == IPX_OK && seat_on_output(o, now_us, s, &m);
}

/* What was taken is gone from here, but for a pure run, which may need it again. */
static bool on_stdin_ack(struct owner *o, struct owner_seat *s, struct slice body)
{
    struct exec_ack m;
    struct owner_job *j = s->job;
    if (exec_ack_decode(body, &m) != IPX_OK) {
        return false;
    }
    if (task_at(s, m.id.task, m.id.attempt) == NULL || j->submit.mode != EXEC_MODE_RUN) {
        return true;
    }
    uint64_t top = j->in_base + buf_slice(&j->in).len;
    if (m.offset > top) {
        return false;
    }
    if (m.offset <= j->in_taken) {
        return true;
    }
    j->in_taken = m.offset;
    j->in_sent = IPX_MAX(j->in_sent, m.offset);
    uint64_t keep = (j->submit.flags & EXEC_SUBMIT_PURE) != 0 ? EXEC_WINDOW : 0;
    if (j->in_taken - j->in_base > keep) {
        size_t n = (size_t)(j->in_taken - j->in_base - keep);
        buf_consume(&j->in, n);
        j->in_base += n;
    }
    if (j->client != NULL) {
        struct writer w = owner_scratch(o, 0);
        exec_number_encode(j->in_taken, &w);
        client_send(o, j->client, EXEC_MSG_INPUT_ACK, &w);
    }
    return true;
}

void owner_on_stream_message(struct owner *o, uint64_t now_us, void *user, uint8_t type,
                             struct slice body)
{
    struct owner_seat *s = user;
    bool is_ok = true;
    job_dirty(o, s->job);
    switch (type) {
    case EXEC_MSG_CREDIT:
        is_ok = on_credit(o, s, body);
        break;
    case EXEC_MSG_REFUSE:
        is_ok = on_refuse(o, now_us, s, body);
        break;
    case EXEC_MSG_STARTED:
        is_ok = on_started(o, now_us, s, body);
        break;
    case EXEC_MSG_OUTPUT:
        is_ok = on_output(o, now_us, s, body);
        break;
    case EXEC_MSG_RESULT:
        is_ok = on_results(o, now_us, s, body);
        break;
    case EXEC_MSG_RENEW:
        is_ok = on_renew(o, now_us, s, body);
        break;
    case EXEC_MSG_STDIN_ACK:
        is_ok = on_stdin_ack(o, s, body);
        break;
    default:
        break; /* of a later version: skipped */
    }
    if (!is_ok && (s->state == OWNER_SEAT_OPEN)) {
        seat_violation(o, now_us, s);
    }
}
