/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/owner_parts.h"

/* A job and the array of its tasks: life, lists, counts. */

bool job_is_over(const struct owner_job *j)
{
    return exec_job_table.states[j->state].is_final;
}

uint32_t job_n_unplaced(const struct owner_job *j)
{
    return j->n_in[OWNER_TASK_WAITING] + j->n_in[OWNER_TASK_PROBING];
}

struct owner_job *job_find(struct owner *o, uint32_t serial)
{
    uint32_t low = 0, high = o->n_jobs;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (o->jobs[mid]->serial < serial) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < o->n_jobs && o->jobs[low]->serial == serial ? o->jobs[low] : NULL;
}

static void job_remove(struct owner *o, struct owner_job *j)
{
    uint32_t at = 0;
    while (o->jobs[at] != j) {
        at++;
    }
    assert(at < o->n_jobs);
    o->n_jobs--;
    memmove(o->jobs + at, o->jobs + at + 1, (o->n_jobs - at) * sizeof(o->jobs[0]));
}

/* Room for one more: the oldest finished ones nobody looks at go first. */
static void jobs_trim(struct owner *o)
{
    for (uint32_t i = 0; i < o->n_jobs;) {
        struct owner_job *j = o->jobs[i];
        bool too_many = o->n_jobs - o->n_unfinished > EXEC_FINISHED_MAX ||
                        o->n_finished_tasks > OWNER_FINISHED_TASKS_MAX;
        if (!too_many) {
            return;
        }
        if (job_is_over(j) && j->n_refs == 0) {
            job_free(o, j);
        } else {
            i++;
        }
    }
}

enum ipx_err job_new(struct owner *o, uint64_t now_us, struct owner_job **ret)
{
    if (o->n_unfinished == EXEC_JOBS_MAX || o->next_serial == OWNER_SERIAL_MAX ||
        o->n_jobs == ARRAY_LEN(o->jobs)) {
        return IPX_FULL;
    }
    struct owner_job *j = mem_alloc(o->mem, sizeof(*j));
    if (j == NULL) {
        return IPX_NO_MEMORY;
    }
    list_init(&j->link);
    timer_init(&j->timer, 0);
    j->serial = o->next_serial++;
    rng_fill(&o->core->rng, j->id.bytes, sizeof(j->id.bytes));
    j->state = OWNER_JOB_RECEIVING;
    j->again_head = j->again_tail = j->ready_head = j->ready_tail = NO_TASK;
    j->submitted_us = j->waiting_since_us = now_us;
    j->submitted_ms = core_wall_ms(o->core, now_us);
    j->kill_us = NEVER_US;
    buf_init(&j->submit_bytes, o->mem, EXEC_BODY_MAX);
    buf_init(&j->spec, o->mem, EXEC_BODY_MAX);
    buf_init(&j->header, o->mem, EXEC_BODY_MAX);
    buf_init(&j->items, o->mem, EXEC_ITEMS_BYTES_MAX);
    buf_init(&j->in, o->mem, 2 * EXEC_WINDOW);
    o->jobs[o->n_jobs++] = j;
    o->n_unfinished++;
    *ret = j;
    return IPX_OK;
}

void job_free(struct owner *o, struct owner_job *j)
{
    if (!job_is_over(j)) {
        o->n_unfinished--;
    } else {
        o->n_finished_tasks -= j->count;
    }
    job_remove(o, j);
    for (uint32_t i = 0; j->tasks != NULL && i < j->count; i++) {
        task_drop_objects(o, j, i);
    }
    for (uint32_t i = 0; i < o->n_xfers; i++) {
        if (o->xfers[i].job == j) {
            xfer_drop(o, i);
        }
    }
    for (uint16_t i = 0; i < j->n_seats; i++) {
        seat_free(o, j->seats[i]);
    }
    list_unlink(&j->link);
    timers_clear(&o->timers, &j->timer);
    sink_done(&j->sink[0]);
    sink_done(&j->sink[1]);
    query_unref(j->where);
    query_unref(j->prefer);
    buf_done(&j->submit_bytes);
    buf_done(&j->spec);
    buf_done(&j->header);
    buf_done(&j->items);
    buf_done(&j->in);
    mem_free(o->mem, j->where_text);
    mem_free(o->mem, j->item_ends);
    mem_free(o->mem, j->tasks);
    mem_free(o->mem, j->seats);
    mem_free(o->mem, j->by_id);
    mem_free(o->mem, j);
}

void job_unref(struct owner *o, struct owner_job *j)
{
    assert(j->n_refs > 0);
    j->n_refs--;
    if (j->n_refs == 0) {
        jobs_trim(o);
    }
}

void job_dirty(struct owner *o, struct owner_job *j)
{
    if (!list_is_linked(&j->link)) {
        list_push_back(&o->dirty, &j->link);
    }
}

struct slice job_item(const struct owner_job *j, uint32_t task, char text[static 24])
{
    assert(task < j->count);
    if (j->range.count > 0) {
        return slice_of(text, job_range_item(&j->range, task, text));
    }
    if (j->item_ends == NULL) {
        return SLICE_EMPTY;
    }
    uint32_t start = task == 0 ? 0 : j->item_ends[task - 1];
    return slice_of(buf_slice(&j->items).data + start, j->item_ends[task] - start);
}

/* --- tasks --- */

void task_move(struct owner_job *j, uint32_t task, enum owner_task_state to)
{
    struct owner_task *t = &j->tasks[task];
    assert(j->n_in[t->state] > 0);
    j->n_in[t->state]--;
    sm_move(&exec_task_table, &t->state, to);
    j->n_in[to]++;
}

void task_wait(struct owner_job *j, uint64_t now_us, uint32_t task)
{
    struct owner_task *t = &j->tasks[task];
    if (job_n_unplaced(j) == 0) {
        j->waiting_since_us = now_us;
    }
    task_move(j, task, OWNER_TASK_WAITING);
    t->time_us = now_us;
    t->link = NO_TASK;
    if (j->again_tail == NO_TASK) {
        j->again_head = task;
    } else {
        j->tasks[j->again_tail].link = task;
    }
    j->again_tail = task;
    j->n_again++;
    j->wants_pass = true;
}

/* Takes `task`, which stands behind `before` (NO_TASK: first), out of `again`. */
static void again_cut(struct owner_job *j, uint32_t before, uint32_t task)
{
    uint32_t next = j->tasks[task].link;
    if (before == NO_TASK) {
        j->again_head = next;
    } else {
        j->tasks[before].link = next;
    }
    if (j->again_tail == task) {
        j->again_tail = before;
    }
    j->tasks[task].link = NO_TASK;
    j->n_again--;
}

void again_remove(struct owner_job *j, uint32_t task)
{
    uint32_t before = NO_TASK;
    for (uint32_t i = j->again_head; i != NO_TASK; before = i, i = j->tasks[i].link) {
        if (i == task) {
            again_cut(j, before, task);
            return;
        }
    }
    assert(task == NO_TASK); /* a task that came back is in the list */
}

/* A task that failed or was refused goes anywhere but to the last place, unless that is the only
 * one there is, or none of the others took it for a while. */
static bool task_may_go(const struct owner_job *j, uint64_t now_us, const struct owner_task *t,
                        const struct owner_seat *seat)
{
    return t->n_failed == 0 || t->seat != seat->index || j->n_candidates <= 1 ||
           now_us - t->time_us >= OWNER_ELSEWHERE_US;
}

bool seat_is_useful(const struct owner_job *j, uint64_t now_us, const struct owner_seat *seat)
{
    uint32_t n = 0;
    if (j->next_fresh < j->count) {
        return true;
    }
    for (uint32_t i = j->again_head; i != NO_TASK && n < OWNER_AGAIN_SCAN; n++) {
        if (task_may_go(j, now_us, &j->tasks[i], seat)) {
            return true;
        }
        i = j->tasks[i].link;
    }
    return false;
}

bool task_take(struct owner_job *j, uint64_t now_us, const struct owner_seat *seat, uint32_t *ret)
{
    uint32_t before = NO_TASK, n = 0;
    for (uint32_t i = j->again_head; i != NO_TASK && n < OWNER_AGAIN_SCAN; n++) {
        if (task_may_go(j, now_us, &j->tasks[i], seat)) {
            again_cut(j, before, i);
            *ret = i;
            return true;
        }
        before = i;
        i = j->tasks[i].link;
    }
    if (j->next_fresh == j->count) {
        return false;
    }
    *ret = j->next_fresh++;
    return true;
}

uint64_t task_object(const struct owner_job *j, uint32_t task, uint8_t fd)
{
    uint64_t attempt = j->submit.mode == EXEC_MODE_MAP || j->sink[0].object == 0
                           ? j->tasks[task].result_attempt
                           : 0;
    return (uint64_t)(j->serial + 1) << 40 | (uint64_t)task << 20 | attempt << 2 | fd;
}

void task_drop_objects(struct owner *o, struct owner_job *j, uint32_t task)
{
    if (!j->tasks[task].has_objects) {
        return;
    }
    j->tasks[task].has_objects = false;
    out_drop(&o->core->out, task_object(j, task, 1));
    out_drop(&o->core->out, task_object(j, task, 2));
}

static void ready_push(struct owner_job *j, uint32_t task)
{
    j->tasks[task].link = NO_TASK;
    if (j->ready_tail == NO_TASK) {
        j->ready_head = task;
    } else {
        j->tasks[j->ready_tail].link = task;
    }
    j->ready_tail = task;
}

void task_end(struct owner *o, struct owner_job *j, uint32_t task, enum owner_task_state to)
{
    task_move(j, task, to);
    ready_push(j, task);
    if (j->tasks[task].has_objects && j->client != NULL && j->sink[0].object == 0) {
        j->undelivered += (uint64_t)j->tasks[task].out_len + j->tasks[task].err_len;
    }
    j->is_progress_due = true;
    trace_emit(o->core->trace, 0, TRACE_EXEC, exec_task_state_name((uint8_t)to), NULL, j->serial,
               task);
    job_dirty(o, j);
}

/* Ends all that waits: cancelled, or failed because no place will ever come. */
void job_end_waiting(struct owner *o, struct owner_job *j, enum owner_task_state to,
                     enum exec_end end)
{
    while (j->again_head != NO_TASK) {
        uint32_t task = j->again_head;
        again_cut(j, NO_TASK, task);
        j->tasks[task].end = (uint8_t)end;
        task_end(o, j, task, to);
    }
    while (j->next_fresh < j->count) {
        uint32_t task = j->next_fresh++;
        j->tasks[task].seat = NO_SEAT;
        j->tasks[task].end = (uint8_t)end;
        task_end(o, j, task, to);
    }
    j->end = end;
}

void job_tell(struct owner *o, const struct owner_job *j, bool is_begun)
{
    out_job_changed(&o->core->out, &(struct exec_action_job){.id = j->id,
                                                             .short_len = job_short_len(o, j),
                                                             .is_begun = is_begun,
                                                             .state = j->state,
                                                             .count = j->count});
}

void job_cancel(struct owner *o, uint64_t now_us, struct owner_job *j, uint8_t signal)
{
    if (job_is_over(j)) {
        return;
    }
    j->cancel_signal = signal;
    if (j->state == OWNER_JOB_RECEIVING) {
        sm_move(&exec_job_table, &j->state, OWNER_JOB_CANCELLED);
        j->ended_us = now_us;
        j->ended_ms = core_wall_ms(o->core, now_us);
        o->n_unfinished--;
        o->n_finished_tasks += j->count;
        client_job_over(o, j);
        return;
    }
    if (j->state == OWNER_JOB_ACTIVE) {
        sm_move(&exec_job_table, &j->state, OWNER_JOB_CANCELLING);
    }
    job_end_waiting(o, j, OWNER_TASK_CANCELLED, EXEC_END_CANCELLED);
    for (uint16_t i = 0; i < j->n_seats; i++) {
        if (j->seats[i]->state == OWNER_SEAT_OPEN && j->seats[i]->n_claims > 0) {
            seat_cancel(o, j->seats[i], true, 0, 0, signal);
        }
    }
    job_dirty(o, j);
}

struct exec_progress job_progress(const struct owner_job *j)
{
    struct exec_progress p = {
        .n_waiting = job_n_unplaced(j),
        .n_running =
            j->n_in[OWNER_TASK_CLAIMED] + j->n_in[OWNER_TASK_RUNNING] + j->n_in[OWNER_TASK_STORING],
        .n_done = j->n_in[OWNER_TASK_DONE],
        .n_failed = j->n_in[OWNER_TASK_FAILED],
        .n_cancelled = j->n_in[OWNER_TASK_CANCELLED],
        .n_lost = j->n_in[OWNER_TASK_LOST],
        .n_moved = j->n_moved,
        .why = j->why,
    };
    if ((j->why == EXEC_WAITING_PLACE || j->why == EXEC_WAITING_LINK) && j->why_seat < j->n_seats) {
        p.node = slice_text(j->seats[j->why_seat]->name);
    }
    return p;
}

/* run: its task's. map: failed tasks, at most 101; if nothing ever started, why. */
uint8_t job_exit_code(const struct owner_job *j)
{
    const struct owner_task *t = j->tasks;
    if (j->submit.mode == EXEC_MODE_RUN) {
        if (t->end == EXEC_END_CANCELLED && j->cancel_signal != 0) {
            return (uint8_t)(128 + (j->cancel_signal & 127));
        }
        return exec_end_code((enum exec_end)t->end, t->code, t->signal);
    }
    if (j->n_started == 0 && j->end != EXEC_END_NONE && j->end != EXEC_END_CANCELLED) {
        return exec_end_code(j->end, 0, 0);
    }
    uint32_t n = j->count - j->n_in[OWNER_TASK_DONE];
    return (uint8_t)IPX_MIN(n, 101u);
}

void job_maybe_finish(struct owner *o, uint64_t now_us, struct owner_job *j)
{
    uint32_t n_final =
        j->n_in[OWNER_TASK_DONE] + j->n_in[OWNER_TASK_FAILED] + j->n_in[OWNER_TASK_CANCELLED];
    if (j->state == OWNER_JOB_RECEIVING || job_is_over(j) || n_final < j->count) {
        return;
    }
    enum owner_job_state to = OWNER_JOB_DONE;
    if (j->n_in[OWNER_TASK_FAILED] > 0) {
        to = OWNER_JOB_FAILED;
    } else if (j->n_in[OWNER_TASK_CANCELLED] > 0) {
        to = OWNER_JOB_CANCELLED;
    }
    sm_move(&exec_job_table, &j->state, to);
    job_tell(o, j, false);
    j->ended_us = now_us;
    j->ended_ms = core_wall_ms(o->core, now_us);
    for (uint16_t i = 0; i < j->n_seats; i++) {
        seat_close(o, j->seats[i]);
    }
    timers_clear(&o->timers, &j->timer);
    o->n_unfinished--;
    o->n_finished_tasks += j->count;
    j->why = EXEC_WAITING_NOT;
    client_job_over(o, j);
    jobs_trim(o);
}

uint8_t job_short_len(const struct owner *o, const struct owner_job *j)
{
    char mine[EXEC_JOB_TEXT_SIZE], other[EXEC_JOB_TEXT_SIZE];
    uint8_t len = EXEC_JOB_TEXT_MIN;
    job_id_text(&j->id, mine);
    for (uint32_t i = 0; i < o->n_jobs; i++) {
        if (o->jobs[i] == j) {
            continue;
        }
        job_id_text(&o->jobs[i]->id, other);
        while (len < EXEC_JOB_TEXT_SIZE - 1 && strncmp(mine, other, len) == 0) {
            len++;
        }
    }
    return len;
}
