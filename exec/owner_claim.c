/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/owner_parts.h"

/* The stream to a place: opened, filled with claims, lost. */

#define OWNER_EPOCH 1 /* one owner a job until jobs have mirrors */

/* --- claims of a seat --- */

void seat_claim_add(struct owner_seat *s, uint32_t task)
{
    assert(s->n_claims < s->cap_claims);
    s->job->tasks[task].seat = s->index;
    s->job->tasks[task].pos = s->n_claims;
    s->claims[s->n_claims++] = task;
    s->n_open++;
}

/* The last claim takes the place of the removed one. A storing task is no longer open. */
void seat_claim_remove(struct owner_seat *s, uint32_t task)
{
    struct owner_task *tasks = s->job->tasks;
    uint32_t pos = tasks[task].pos;
    assert(pos < s->n_claims && s->claims[pos] == task);
    s->claims[pos] = s->claims[--s->n_claims];
    tasks[s->claims[pos]].pos = pos;
}

bool seat_claims_reserve(struct owner *o, struct owner_seat *s, uint32_t n)
{
    if (s->n_claims + n <= s->cap_claims) {
        return true;
    }
    uint32_t cap = IPX_MAX(s->n_claims + n, s->cap_claims * 2);
    uint32_t *claims = mem_realloc(o->mem, s->claims, cap * sizeof(*claims));
    if (claims == NULL) {
        return false;
    }
    s->claims = claims;
    s->cap_claims = cap;
    return true;
}

/* Without memory a late result is simply not known. */
void seat_lost_add(struct owner *o, struct owner_seat *s, uint32_t task, uint32_t attempt)
{
    if (s->n_lost == s->cap_lost) {
        uint32_t cap = s->cap_lost == 0 ? 16 : s->cap_lost * 2;
        struct exec_attempt_id *lost =
            cap > EXEC_ATTEMPTS_MAX ? NULL : mem_realloc(o->mem, s->lost, cap * sizeof(*lost));
        if (lost == NULL) {
            return;
        }
        s->lost = lost;
        s->cap_lost = cap;
    }
    s->lost[s->n_lost++] = (struct exec_attempt_id){task, attempt};
}

bool seat_lost_has(const struct owner_seat *s, uint32_t task, uint32_t attempt)
{
    for (uint32_t i = 0; i < s->n_lost; i++) {
        if (s->lost[i].task == task && s->lost[i].attempt == attempt) {
            return true;
        }
    }
    return false;
}

/* When every claim there has ended by the place's own clock for certain: a quarter for clocks that
 * run differently, and the slack. */
uint64_t seat_claims_end(const struct owner_seat *s)
{
    return s->renewed_us + EXEC_CLAIM_US + EXEC_CLAIM_US / 4 + OWNER_SLACK_US;
}

struct owner_seat *job_run_seat(struct owner_job *j)
{
    const struct owner_task *t = j->tasks;
    if (j->submit.mode != EXEC_MODE_RUN || t == NULL ||
        (t->state != OWNER_TASK_CLAIMED && t->state != OWNER_TASK_RUNNING)) {
        return NULL;
    }
    struct owner_seat *s = j->seats[t->seat];
    return s->state == OWNER_SEAT_OPEN && s->is_heard ? s : NULL;
}

/* --- opening --- */

static bool job_send(struct owner *o, struct owner_seat *s)
{
    struct owner_job *j = s->job;
    struct writer w = owner_scratch(o, 0);
    struct exec_job_msg m = {
        .header = buf_slice(&j->header),
        .signature = slice_of(j->signature, sizeof(j->signature)),
        .spec = buf_slice(&j->spec),
        .reservation = s->reservation,
        .n_waiting = job_n_unplaced(j),
        .epoch = OWNER_EPOCH,
    };
    exec_job_encode(&m, &w);
    if (w.failed) {
        return false; /* argv, environment and where together are over EXEC_BODY_MAX */
    }
    s->told_waiting = m.n_waiting;
    out_stream_send(&o->core->out, s->handle, EXEC_MSG_JOB, EXEC_CLASS_RPC, writer_slice(&w));
    return true;
}

/* The seat is OPEN already. On a first opening claims may follow at once within the grant; on a
 * later one the place first says what it still has. */
void seat_open(struct owner *o, uint64_t now_us, struct owner_seat *s)
{
    assert(s->state == OWNER_SEAT_OPEN && s->handle == 0);
    s->credit = s->n_claims > 0 ? 0 : s->n_granted;
    s->is_heard = false;
    s->is_reopened = s->n_claims > 0;
    if (core_stream_take(o->core, CORE_STREAM_OWNER, s, &s->handle) != IPX_OK) {
        if (s->n_claims == 0) {
            seat_refused(o, now_us, s, 0, 0);
        } else {
            sm_move(&exec_seat_table, &s->state, OWNER_SEAT_BROKEN);
            s->until_us = now_us + OWNER_REOPEN_MAX_US;
        }
        return;
    }
    out_stream_open(&o->core->out, s->handle, &s->id, 2);
    bool is_sent = job_send(o, s);
    assert(is_sent); /* the submit was refused otherwise */
    (void)is_sent;
    if (s->n_claims == 0) {
        s->renewed_us = now_us;
    }
    job_dirty(o, s->job);
}

static void handle_drop(struct owner *o, struct owner_seat *s, enum ipx_err err)
{
    if (s->handle != 0) {
        out_stream_close(&o->core->out, s->handle, err);
        core_stream_free(o->core, s->handle);
        s->handle = 0;
    }
    s->credit = 0;
    s->is_heard = false;
}

/* Ends what this job has with the place; nothing may be claimed there. */
void seat_close(struct owner *o, struct owner_seat *s)
{
    handle_drop(o, s, IPX_OK);
    if (s->state == OWNER_SEAT_OPEN || s->state == OWNER_SEAT_BROKEN ||
        s->state == OWNER_SEAT_ASKED || s->state == OWNER_SEAT_GRANTED) {
        s->job->n_asked -= s->state == OWNER_SEAT_ASKED || s->state == OWNER_SEAT_GRANTED;
        sm_move(&exec_seat_table, &s->state, OWNER_SEAT_NEW);
    }
}

/* The place is lost for good to what was claimed there. */
void seat_lost(struct owner *o, uint64_t now_us, struct owner_seat *s)
{
    struct owner_job *j = s->job;
    if (s->state != OWNER_SEAT_OPEN && s->state != OWNER_SEAT_BROKEN) {
        return;
    }
    handle_drop(o, s, IPX_TIMEOUT);
    sm_move(&exec_seat_table, &s->state, OWNER_SEAT_NEW);
    o->stats.n_lost++;
    trace_emit(o->core->trace, now_us, TRACE_EXEC, "place lost", &s->id, j->serial, s->n_claims);
    while (s->n_claims > 0) {
        attempt_lost(o, now_us, j, s->claims[s->n_claims - 1]);
    }
    assert(s->n_open == 0);
    j->wants_pass = true;
    job_dirty(o, j);
}

/* The place broke the protocol: nothing more is taken from it for this job. */
void seat_violation(struct owner *o, uint64_t now_us, struct owner_seat *s)
{
    o->core->n_malformed++;
    seat_lost(o, now_us, s);
    seat_refused(o, now_us, s, EXEC_REFUSAL_JOB, 0);
}

void owner_on_stream_closed(struct owner *o, uint64_t now_us, void *user, enum ipx_err err)
{
    struct owner_seat *s = user;
    struct owner_job *j = s->job;
    core_stream_free(o->core, s->handle);
    s->handle = 0;
    s->credit = 0;
    j->wants_pass = true;
    job_dirty(o, j);
    bool was_heard = s->is_heard;
    s->is_heard = false;
    if (!s->is_reopened && err == IPX_UNREACHABLE) {
        while (s->n_claims > 0) { /* these never left */
            uint32_t task = s->claims[s->n_claims - 1];
            task_leave_seat(j, task);
            task_wait(j, now_us, task);
        }
    }
    if (s->n_claims == 0) {
        if (was_heard) {
            sm_move(&exec_seat_table, &s->state, OWNER_SEAT_NEW);
        } else {
            seat_refused(o, now_us, s, 0, 0); /* it could not be reached: others first */
        }
        return;
    }
    trace_emit(o->core->trace, now_us, TRACE_EXEC, "link broke", &s->id, j->serial, (uint64_t)err);
    if ((j->submit.flags & EXEC_SUBMIT_PURE) != 0 || (s->is_gone && err == IPX_OK)) {
        seat_lost(o, now_us, s);
        return;
    }
    sm_move(&exec_seat_table, &s->state, OWNER_SEAT_BROKEN);
    s->n_breaks = was_heard ? 0 : s->n_breaks + 1;
    uint64_t wait_us = OWNER_REOPEN_MIN_US << IPX_MIN(s->n_breaks, 5u);
    s->until_us = now_us + IPX_MIN(wait_us, OWNER_REOPEN_MAX_US);
}

void seat_cancel(struct owner *o, struct owner_seat *s, bool all, uint32_t task, uint32_t attempt,
                 uint8_t signal)
{
    struct exec_cancel m = {.all = all, .id = {task, attempt}, .signal = signal};
    struct writer w = owner_scratch(o, 0);
    if (s->handle == 0) {
        return; /* its claim ends by itself */
    }
    exec_cancel_encode(&m, &w);
    out_stream_send(&o->core->out, s->handle, EXEC_MSG_CANCEL, EXEC_CLASS_RPC, writer_slice(&w));
}

/* --- filling --- */

/* One CLAIM message; returns how many claims it holds. */
static uint32_t claims_send(struct owner *o, uint64_t now_us, struct owner_seat *s, uint32_t n)
{
    struct owner_job *j = s->job;
    struct writer raw = owner_scratch(o, 0), w = owner_scratch(o, 1);
    struct exec_claims m = {.epoch = OWNER_EPOCH, .duration_ms = EXEC_CLAIM_US / US_PER_MS};
    uint32_t task;
    char text[24];
    while (m.n < n && m.n < EXEC_BATCH_MAX && raw.len < EXEC_BATCH_BYTES &&
           task_take(j, now_us, s, &task)) {
        struct owner_task *t = &j->tasks[task];
        task_move(j, task, OWNER_TASK_CLAIMED);
        t->attempt++;
        t->time_us = now_us;
        t->end = EXEC_END_NONE;
        j->n_started++;
        seat_claim_add(s, task);
        exec_claim_encode(&(struct exec_claim){task, t->attempt, job_item(j, task, text)}, &raw);
        m.n++;
    }
    m.n_waiting = s->told_waiting = job_n_unplaced(j);
    m.raw = writer_slice(&raw);
    exec_claims_encode(&m, &w);
    assert(!w.failed);
    if (m.n > 0) {
        s->renewed_us = now_us;
    }
    out_stream_send(&o->core->out, s->handle, EXEC_MSG_CLAIM, EXEC_CLASS_RPC, writer_slice(&w));
    return m.n;
}

static bool seat_has_room(const struct owner_seat *s)
{
    return s->state == OWNER_SEAT_OPEN && s->n_open + s->give < s->credit;
}

/* How many more tasks may start now: --limit, and a client that does not read. */
static uint32_t job_room(const struct owner_job *j)
{
    uint32_t n = job_n_unplaced(j);
    uint32_t n_out = j->n_in[OWNER_TASK_CLAIMED] + j->n_in[OWNER_TASK_RUNNING];
    if (j->submit.limit > 0) {
        n = IPX_MIN(n, j->submit.limit > n_out ? j->submit.limit - n_out : 0);
    }
    if (j->client != NULL && j->undelivered > OWNER_UNDELIVERED_MAX) {
        /* With --keep-order it may wait for a task that has yet to run. */
        bool may_be_stuck = (j->submit.flags & EXEC_SUBMIT_KEEP_ORDER) != 0 && n_out == 0;
        n = IPX_MIN(n, (uint32_t)may_be_stuck);
    }
    return n;
}

/* One task a seat in turn, so that places share a job evenly. */
static void job_share(struct owner_job *j)
{
    uint32_t n = job_room(j);
    for (bool has_given = true; n > 0 && has_given;) {
        has_given = false;
        for (uint16_t i = 0; i < j->n_seats && n > 0; i++) {
            if (seat_has_room(j->seats[i])) {
                j->seats[i]->give++;
                n--;
                has_given = true;
            }
        }
    }
}

static void seat_give(struct owner *o, uint64_t now_us, struct owner_seat *s)
{
    while (s->give > 0) {
        uint32_t n = IPX_MIN(s->give, EXEC_BATCH_MAX);
        if (!seat_claims_reserve(o, s, n)) {
            break; /* no memory: another turn */
        }
        n = claims_send(o, now_us, s, n);
        if (n == 0) {
            break; /* what waits may not go there */
        }
        s->give -= IPX_MIN(n, s->give);
    }
    s->give = 0;
}

void job_fill(struct owner *o, uint64_t now_us, struct owner_job *j)
{
    if (j->state != OWNER_JOB_ACTIVE) {
        return;
    }
    job_share(j);
    for (uint16_t i = 0; i < j->n_seats; i++) {
        seat_give(o, now_us, j->seats[i]);
    }
    /* What came back and may not go where it was offered goes to any other that has room. */
    for (uint16_t i = 0; i < j->n_seats && j->n_again > 0; i++) {
        struct owner_seat *s = j->seats[i];
        if (seat_has_room(s)) {
            s->give = IPX_MIN(job_room(j), s->credit - s->n_open);
            seat_give(o, now_us, s);
        }
    }
    /* A place that was told of more than there is would hold slots back for it; one that was told
     * of none would hold none. */
    uint32_t n = job_n_unplaced(j);
    for (uint16_t i = 0; i < j->n_seats; i++) {
        struct owner_seat *s = j->seats[i];
        if (s->state == OWNER_SEAT_OPEN && (n == 0) != (s->told_waiting == 0)) {
            (void)claims_send(o, now_us, s, 0);
        }
    }
    if (job_n_unplaced(j) == 0) {
        j->why = EXEC_WAITING_NOT;
    } else if (j->submit.limit > 0 &&
               j->n_in[OWNER_TASK_CLAIMED] + j->n_in[OWNER_TASK_RUNNING] >= j->submit.limit) {
        j->why = EXEC_WAITING_LIMIT;
    }
}

/* --- stdin of a run --- */

static void stdin_send(struct owner *o, struct owner_job *j, struct owner_seat *s,
                       struct slice bytes, bool end)
{
    struct writer w = owner_scratch(o, 0);
    struct exec_bytes m = {
        .id = {0, j->tasks[0].attempt}, .end = end, .offset = j->in_sent, .bytes = bytes};
    exec_bytes_encode(&m, &w);
    out_stream_send(&o->core->out, s->handle, EXEC_MSG_STDIN, EXEC_CLASS_LIVE, writer_slice(&w));
    j->in_sent += bytes.len;
    j->in_end_sent = end;
}

void job_send_stdin(struct owner *o, struct owner_job *j)
{
    struct owner_seat *s = job_run_seat(j);
    if (s == NULL || (j->submit.flags & EXEC_SUBMIT_STDIN) == 0) {
        return;
    }
    struct slice in = buf_slice(&j->in);
    uint64_t top = j->in_base + in.len;
    assert(j->in_sent >= j->in_base);
    while (j->in_sent < top) {
        size_t n = (size_t)IPX_MIN(top - j->in_sent, EXEC_CHUNK_MAX);
        bool end = j->in_end && j->in_sent + n == top;
        stdin_send(o, j, s, slice_of(in.data + (j->in_sent - j->in_base), n), end);
    }
    if (j->in_end && !j->in_end_sent) {
        stdin_send(o, j, s, SLICE_EMPTY, true);
    }
}
