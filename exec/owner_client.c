/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/owner_parts.h"

/* Local clients: what they are sent, and the delivery of stored output. */

#define ROWS_BYTES_MAX (48u << 10) /* rows gathered before they go out */

struct owner_client *client_find(struct owner *o, uint32_t handle)
{
    for (uint32_t i = 0; i < EXEC_CLIENTS_MAX; i++) {
        if (o->clients[i].handle == handle) {
            return &o->clients[i];
        }
    }
    return NULL;
}

void client_send(struct owner *o, const struct owner_client *c, uint8_t type, struct writer *w)
{
    assert(!w->failed);
    out_stream_send(&o->core->out, c->handle, type, EXEC_CLASS_RPC, writer_slice(w));
}

/* The client looks at no job any more. */
static void client_detach(struct owner *o, struct owner_client *c)
{
    struct owner_job *j = c->job;
    c->job = NULL;
    c->is_loading = false;
    c->task = NO_TASK;
    if (j == NULL) {
        return;
    }
    if (j->client == c) {
        j->client = NULL;
    }
    job_unref(o, j);
}

void client_error(struct owner *o, struct owner_client *c, const struct exec_error *e)
{
    struct writer w = owner_scratch(o, 1);
    exec_error_encode(e, &w);
    client_send(o, c, EXEC_MSG_ERROR, &w);
    c->kind = OWNER_CLIENT_ENDED;
    client_detach(o, c);
}

void client_end(struct owner *o, struct owner_client *c, uint8_t exit_code,
                const struct exec_end_msg *extra)
{
    struct exec_end_msg m = extra != NULL ? *extra : (struct exec_end_msg){0};
    struct writer w = owner_scratch(o, 1);
    m.exit_code = exit_code;
    exec_end_encode(&m, &w);
    client_send(o, c, EXEC_MSG_END, &w);
    c->kind = OWNER_CLIENT_ENDED;
    client_detach(o, c);
}

/* A lost terminal stops nothing, but a job whose items never came whole cannot begin. */
void client_close(struct owner *o, uint64_t now_us, struct owner_client *c)
{
    struct owner_job *j = c->job;
    bool is_mine = j != NULL && j->client == c;
    c->handle = 0;
    if (is_mine && j->state == OWNER_JOB_RECEIVING) {
        job_cancel(o, now_us, j, 15);
    } else if (is_mine && j->submit.mode == EXEC_MODE_RUN) {
        j->in_end = true;
        for (unsigned fd = 0; fd < 2; fd++) {
            j->acked[fd] = IPX_MAX(j->acked[fd], j->shown[fd]);
        }
        job_dirty(o, j);
    }
    client_detach(o, c);
    *c = (struct owner_client){.task = NO_TASK};
}

/* --- rows --- */

struct exec_task_row task_row(const struct owner_job *j, uint32_t task, char item[static 24])
{
    const struct owner_task *t = &j->tasks[task];
    struct exec_task_row r = {
        .task = task,
        .state = t->state,
        .end = (enum exec_end)t->end,
        .code = t->code,
        .signal = t->signal,
        .attempt = t->attempt,
        .n_failed = t->n_failed,
        .n_lost = t->n_lost,
        .wall_us = t->wall_us,
        .cpu_us = t->cpu_us,
        .out_len = t->out_len,
        .err_len = t->err_len,
        .item = job_item(j, task, item),
    };
    if (t->attempt > 0 && t->seat < j->n_seats) {
        r.node = slice_text(j->seats[t->seat]->name);
        r.lab = slice_text(j->seats[t->seat]->lab);
    }
    return r;
}

static void rows_flush(struct owner *o, struct owner_client *c, struct exec_task_rows *rows,
                       struct writer *raw)
{
    if (rows->n == 0) {
        return;
    }
    struct writer w = owner_scratch(o, 1);
    rows->raw = writer_slice(raw);
    exec_task_rows_encode(rows, &w);
    client_send(o, c, EXEC_MSG_TASK, &w);
    *rows = (struct exec_task_rows){0};
    raw->len = 0;
}

/* --- delivery --- */

static bool task_is_final(const struct owner_job *j, uint32_t task)
{
    return exec_task_table.states[j->tasks[task].state].is_final;
}

/* Bytes of one fd in the store. */
static uint64_t task_len(const struct owner_job *j, uint32_t task, uint8_t fd)
{
    const struct owner_task *t = &j->tasks[task];
    if (!t->has_objects) {
        return 0;
    }
    if (j->sink[0].object != 0) {
        return j->sink[fd - 1].stored;
    }
    return fd == 1 ? t->out_len : t->err_len;
}

/* The next task to deliver: by completion; by index with --keep-order and for `logs`. */
static bool client_next(struct owner_client *c)
{
    struct owner_job *j = c->job;
    bool is_mine = j->client == c;
    if (is_mine && (j->submit.flags & EXEC_SUBMIT_KEEP_ORDER) == 0) {
        if (j->ready_head == NO_TASK) {
            return false;
        }
        c->task = j->ready_head;
        j->ready_head = j->tasks[c->task].link;
        if (j->ready_head == NO_TASK) {
            j->ready_tail = NO_TASK;
        }
    } else {
        while (c->next < c->last && !task_is_final(j, c->next) && !is_mine && !c->follow) {
            c->next++;
        }
        if (c->next >= c->last || !task_is_final(j, c->next)) {
            return false;
        }
        c->task = c->next++;
    }
    c->fd = 1;
    c->offset = 0;
    return true;
}

/* True if bytes of the present task are still to be sent; asks for the next ones if the window
 * has room. */
static bool client_load(struct owner *o, struct owner_client *c)
{
    struct owner_job *j = c->job;
    uint64_t left = task_len(j, c->task, c->fd) - c->offset;
    if (left == 0 && c->fd == 1) {
        c->fd = 2;
        c->offset = 0;
        left = task_len(j, c->task, 2);
    }
    if (left == 0) {
        return false;
    }
    uint64_t sent = c->sent[c->fd - 1] - c->acked[c->fd - 1];
    uint64_t n = IPX_MIN(left, EXEC_CHUNK_MAX);
    if (sent + n <= EXEC_WINDOW) {
        out_load(&o->core->out, task_object(j, c->task, c->fd), c->offset, (uint32_t)n);
        c->is_loading = true;
    }
    return true;
}

/* What was delivered is kept for `logs` while it is little. */
static void task_delivered(struct owner *o, struct owner_client *c, uint32_t task)
{
    struct owner_job *j = c->job;
    uint64_t len = task_len(j, task, 1) + task_len(j, task, 2);
    if (j->client != c || len == 0) {
        return;
    }
    j->undelivered -= IPX_MIN(j->undelivered, len);
    if (j->kept + len > OWNER_KEPT_MAX) {
        task_drop_objects(o, j, task);
    } else {
        j->kept += len;
    }
}

static const char *job_hint(const struct owner_job *j)
{
    const struct owner_task *t = j->tasks;
    if (j->submit.mode == EXEC_MODE_RUN && t->end == EXEC_END_LOST) {
        return t->n_lost < EXEC_LOST_MAX
                   ? "its place was lost after output was shown or stdin was taken; with --pure "
                     "it would have been run again"
                   : "16 places were lost under it";
    }
    switch ((int)j->end) {
    case EXEC_END_NO_MATCH:
        return j->why == EXEC_WAITING_FULL
                   ? "all places that match are full; without --no-wait "
                     "it would wait"
                   : "no node is what --where asks for. See: ipx-node why --where EXPR";
    case EXEC_END_POLICY:
        return "every node that matches refused by its policy. On such a node: "
               "ipx-node policy set 'accept=EXPR'";
    case EXEC_END_WAIT:
        return "--wait-max passed before it could start";
    default:
        return "";
    }
}

static void client_end_job(struct owner *o, struct owner_client *c)
{
    struct owner_job *j = c->job;
    struct exec_end_msg m = {.progress = job_progress(j), .hint = slice_text(job_hint(j))};
    m.wall_us = j->ended_us - j->submitted_us;
    const struct owner_task *t = j->tasks;
    if (j->submit.mode == EXEC_MODE_RUN) {
        m.end = (enum exec_end)t->end;
        if (t->attempt > 0 && t->seat < j->n_seats) {
            m.node = slice_text(j->seats[t->seat]->name);
            m.lab = slice_text(j->seats[t->seat]->lab);
        }
    }
    client_end(o, c, c->kind == OWNER_CLIENT_SUBMIT ? job_exit_code(j) : 0, &m);
}

/* Sends what can be sent: rows of tasks whose output is through, the next piece of output, and END
 * behind all. */
void client_pump(struct owner *o, uint64_t now_us, struct owner_client *c)
{
    struct exec_task_rows rows = {0};
    struct writer raw = owner_scratch(o, 0);
    char item[24];
    (void)now_us;
    if ((c->kind != OWNER_CLIENT_SUBMIT && c->kind != OWNER_CLIENT_LOGS) || c->job == NULL ||
        c->job->tasks == NULL || c->is_loading) {
        return;
    }
    struct owner_job *j = c->job;
    bool is_blocked = false;
    while (!is_blocked && (c->task != NO_TASK || client_next(c))) {
        is_blocked = client_load(o, c);
        if (!is_blocked) {
            struct exec_task_row r = task_row(j, c->task, item);
            exec_task_row_encode(&r, &raw);
            rows.n++;
            task_delivered(o, c, c->task);
            c->task = NO_TASK;
        }
        if (rows.n == EXEC_BATCH_MAX || raw.len > ROWS_BYTES_MAX) {
            rows_flush(o, c, &rows, &raw);
        }
    }
    rows_flush(o, c, &rows, &raw);
    if (!is_blocked && (job_is_over(j) || (c->kind == OWNER_CLIENT_LOGS && !c->follow))) {
        client_end_job(o, c);
    }
}

void owner_on_loaded(struct owner *o, uint64_t now_us, uint64_t object, uint64_t offset,
                     struct slice bytes)
{
    for (uint32_t i = 0; i < EXEC_CLIENTS_MAX; i++) {
        struct owner_client *c = &o->clients[i];
        if (!c->is_loading || c->job == NULL || c->offset != offset ||
            task_object(c->job, c->task, c->fd) != object) {
            continue;
        }
        c->is_loading = false;
        if (bytes.len == 0 || bytes.len > EXEC_CHUNK_MAX) {
            c->offset = task_len(c->job, c->task, c->fd); /* lost: the row says how much it was */
        } else {
            struct writer w = owner_scratch(o, 1);
            exec_shown_encode(&(struct exec_shown){c->task, c->fd, bytes}, &w);
            client_send(o, c, EXEC_MSG_SHOWN, &w);
            c->offset += bytes.len;
            c->sent[c->fd - 1] += bytes.len;
        }
        client_pump(o, now_us, c);
        return;
    }
}

/* --- inputs --- */

void owner_on_client(struct owner *o, uint64_t now_us, uint32_t handle, const char *user,
                     uint32_t rights)
{
    struct owner_client *c = client_find(o, 0);
    (void)now_us;
    assert(handle != 0 && (client_find(o, handle) == NULL));
    if (c == NULL) { /* EXEC_CLIENTS_MAX command lines at once */
        struct owner_client full = {.handle = handle, .task = NO_TASK};
        client_error(o, &full,
                     &(struct exec_error){.exit_code = 125,
                                          .err = IPX_FULL,
                                          .what = slice_text("too many commands at once"),
                                          .why = slice_text("64 are connected to this node")});
        return;
    }
    *c = (struct owner_client){.handle = handle, .rights = rights, .task = NO_TASK};
    size_t len = strnlen(user, EXEC_USER_MAX);
    memcpy(c->user, user, len);
}

bool owner_on_client_closed(struct owner *o, uint64_t now_us, uint32_t handle)
{
    struct owner_client *c = client_find(o, handle);
    if (c == NULL) {
        return false;
    }
    client_close(o, now_us, c);
    return true;
}

static bool on_ack(struct owner *o, uint64_t now_us, struct owner_client *c, struct slice body)
{
    struct exec_client_ack m;
    struct owner_job *j = c->job;
    if (exec_client_ack_decode(body, &m) != IPX_OK) {
        return false;
    }
    uint64_t got[2] = {m.out, m.err};
    bool is_run = j != NULL && j->client == c && j->submit.mode == EXEC_MODE_RUN;
    for (unsigned fd = 0; fd < 2; fd++) {
        if (is_run && got[fd] <= j->shown[fd]) {
            j->acked[fd] = IPX_MAX(j->acked[fd], got[fd]);
        }
        if (got[fd] <= c->sent[fd]) {
            c->acked[fd] = IPX_MAX(c->acked[fd], got[fd]);
        }
    }
    if (is_run) {
        job_send_out_acks(o, j);
    }
    client_pump(o, now_us, c);
    return true;
}

static bool on_input(struct owner *o, struct owner_client *c, struct slice body)
{
    struct exec_input m;
    struct owner_job *j = c->job;
    if (exec_input_decode(body, &m) != IPX_OK) {
        return false;
    }
    if (j == NULL || j->client != c || job_is_over(j)) {
        return true; /* it ended meanwhile */
    }
    uint64_t top = j->in_base + buf_slice(&j->in).len + m.bytes.len;
    if ((j->submit.flags & EXEC_SUBMIT_STDIN) == 0 || j->in_end ||
        top - j->in_taken > EXEC_WINDOW || buf_append(&j->in, m.bytes) != IPX_OK) {
        return false;
    }
    j->in_end = m.end;
    job_dirty(o, j);
    return true;
}

static bool on_signal(struct owner *o, uint64_t now_us, struct owner_client *c, struct slice body)
{
    uint64_t signal;
    if (exec_number_decode(body, &signal) != IPX_OK || signal == 0 || signal > 64) {
        return false;
    }
    if (c->job != NULL && c->job->client == c) {
        job_cancel(o, now_us, c->job, (uint8_t)signal);
        job_dirty(o, c->job);
        if (c->job->tasks == NULL) { /* its items were still coming */
            client_end(o, c, (uint8_t)(128 + signal), NULL);
        }
    }
    return true;
}

bool owner_on_client_message(struct owner *o, uint64_t now_us, uint32_t handle, uint8_t type,
                             struct slice body)
{
    struct owner_client *c = client_find(o, handle);
    bool is_ok = true;
    if (c == NULL) {
        return false;
    }
    if (c->kind == OWNER_CLIENT_ENDED) {
        return true;
    }
    if (c->kind == OWNER_CLIENT_NEW && type == EXEC_MSG_SUBMIT) {
        client_submit(o, now_us, c, body);
    } else if (c->kind == OWNER_CLIENT_NEW && type >= EXEC_MSG_CANCEL_JOB &&
               type <= EXEC_MSG_WAIT) {
        client_ask(o, now_us, c, type, body);
    } else if (c->kind == OWNER_CLIENT_SUBMIT && type == EXEC_MSG_ITEMS) {
        client_items(o, now_us, c, body);
    } else if (type == EXEC_MSG_CLIENT_ACK) {
        is_ok = on_ack(o, now_us, c, body);
    } else if (type == EXEC_MSG_INPUT) {
        is_ok = on_input(o, c, body);
    } else if (type == EXEC_MSG_SIGNAL) {
        is_ok = on_signal(o, now_us, c, body);
    } else {
        is_ok = false;
    }
    if (!is_ok) {
        o->core->n_malformed++;
        client_error(o, c,
                     &(struct exec_error){.exit_code = 125,
                                          .err = IPX_MALFORMED,
                                          .what = slice_text("message not understood"),
                                          .why = slice_text("command and node disagree"),
                                          .hint = slice_text("are both of one version?")});
    }
    return true;
}
