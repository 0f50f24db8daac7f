/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/owner_parts.h"

#include <stdio.h>

/* Questions about jobs: ps, show, logs, wait, cancel. */

#define COMMAND_MAX 256u      /* bytes of a command shown in a table */
#define SHOW_TASKS_MAX 10000u /* rows of `show`; more say nothing to a person */

static bool client_may_see(const struct owner_client *c, const struct owner_job *j)
{
    return (c->rights & EXEC_RIGHT_ADMIN) != 0 ||
           ((c->rights & EXEC_RIGHT_SUBMIT) != 0 && strcmp(c->user, j->user) == 0);
}

static void no_such_job(struct owner *o, struct owner_client *c, struct slice prefix, bool is_many)
{
    char what[96];
    snprintf(what, sizeof(what), "%s \"%.*s\"", is_many ? "several jobs begin with" : "no job",
             (int)IPX_MIN(prefix.len, 32u), prefix.len > 0 ? (const char *)prefix.data : "");
    client_error(
        o, c,
        &(struct exec_error){
            .exit_code = 3,
            .err = is_many ? IPX_CONFLICT : IPX_NOT_FOUND,
            .what = slice_text(what),
            .why = is_many ? SLICE_EMPTY
                           : slice_text("this node keeps the jobs submitted here since "
                                        "its start"),
            .hint = slice_text(is_many ? "Write more of the id" : "List them: ipx-node ps -a")});
}

/* By prefix; after an error was sent NULL. */
struct owner_job *client_job(struct owner *o, struct owner_client *c, struct slice prefix)
{
    struct owner_job *found = NULL;
    bool is_many = false;
    for (uint32_t i = 0; i < o->n_jobs; i++) {
        char text[EXEC_JOB_TEXT_SIZE];
        job_id_text(&o->jobs[i]->id, text);
        if (prefix.len > 0 && prefix.len < sizeof(text) && client_may_see(c, o->jobs[i]) &&
            memcmp(prefix.data, text, prefix.len) == 0) {
            is_many = found != NULL;
            found = o->jobs[i];
        }
    }
    if (found == NULL || is_many) {
        no_such_job(o, c, prefix, is_many);
        return NULL;
    }
    return found;
}

/* --- rows --- */

static size_t command_text(const struct owner_job *j, uint8_t *out)
{
    struct cbor_reader it = exec_list_begin(&j->submit.argv);
    size_t len = 0;
    for (uint32_t i = 0; i < j->submit.argv.n && len < COMMAND_MAX; i++) {
        struct slice word = exec_list_next(&it);
        if (i > 0) {
            out[len++] = ' ';
        }
        size_t n = IPX_MIN(word.len, COMMAND_MAX - len);
        if (n > 0) {
            memcpy(out + len, word.data, n);
        }
        len += n;
    }
    return len;
}

static void job_row_send(struct owner *o, const struct owner_client *c, const struct owner_job *j)
{
    uint8_t command[COMMAND_MAX + 1];
    struct exec_job_row r = {
        .id = j->id,
        .short_len = job_short_len(o, j),
        .state = j->state,
        .mode = j->submit.mode,
        .is_pure = (j->submit.flags & EXEC_SUBMIT_PURE) != 0,
        .is_detached = (j->submit.flags & EXEC_SUBMIT_DETACH) != 0,
        .count = j->count,
        .retry = j->submit.retry,
        .limit = j->submit.limit,
        .user = slice_text(j->user),
        .where = j->where_text != NULL ? slice_text(j->where_text) : SLICE_EMPTY,
        .on = j->submit.on,
        .needs = j->submit.needs,
        .submitted_ms = j->submitted_ms,
        .ended_ms = j->ended_ms,
        .progress = job_progress(j),
    };
    r.command = slice_of(command, command_text(j, command));
    struct writer w = owner_scratch(o, 1);
    exec_job_row_encode(&r, &w);
    client_send(o, c, EXEC_MSG_JOB_ROW, &w);
}

static void task_rows_send(struct owner *o, const struct owner_client *c, const struct owner_job *j)
{
    uint32_t count = j->tasks != NULL ? IPX_MIN(j->count, SHOW_TASKS_MAX) : 0;
    for (uint32_t i = 0; i < count;) {
        struct exec_task_rows rows = {0};
        struct writer raw = owner_scratch(o, 0), w = owner_scratch(o, 1);
        char item[24];
        for (; i < count && rows.n < EXEC_BATCH_MAX && raw.len < EXEC_BATCH_BYTES; i++) {
            struct exec_task_row r = task_row(j, i, item);
            exec_task_row_encode(&r, &raw);
            rows.n++;
        }
        rows.raw = writer_slice(&raw);
        exec_task_rows_encode(&rows, &w);
        client_send(o, c, EXEC_MSG_TASK, &w);
    }
}

/* --- the questions --- */

static void ask_ps(struct owner *o, struct owner_client *c, const struct exec_ask *ask)
{
    for (uint32_t i = 0; i < o->n_jobs; i++) {
        const struct owner_job *j = o->jobs[i];
        bool is_mine = strcmp(c->user, j->user) == 0;
        if (client_may_see(c, j) && (ask->all || (is_mine && !job_is_over(j)))) {
            job_row_send(o, c, j);
        }
    }
    client_end(o, c, 0, NULL);
}

static void ask_show(struct owner *o, struct owner_client *c, const struct exec_ask *ask)
{
    struct cbor_reader it = exec_list_begin(&ask->ids);
    for (uint32_t i = 0; i < ask->ids.n; i++) {
        struct owner_job *j = client_job(o, c, exec_list_next(&it));
        if (j == NULL) {
            return;
        }
        job_row_send(o, c, j);
        task_rows_send(o, c, j);
    }
    client_end(o, c, 0, NULL);
}

/* All are found before one is cancelled. */
static void ask_cancel(struct owner *o, uint64_t now_us, struct owner_client *c,
                       const struct exec_ask *ask)
{
    struct owner_job *jobs[EXEC_ASK_MAX];
    struct cbor_reader it = exec_list_begin(&ask->ids);
    for (uint32_t i = 0; i < ask->ids.n; i++) {
        jobs[i] = client_job(o, c, exec_list_next(&it));
        if (jobs[i] == NULL) {
            return;
        }
    }
    for (uint32_t i = 0; i < ask->ids.n; i++) {
        if (!job_is_over(jobs[i])) {
            job_cancel(o, now_us, jobs[i], 15);
            jobs[i]->kill_us = now_us + OWNER_KILL_US;
        }
        job_row_send(o, c, jobs[i]);
    }
    client_end(o, c, 0, NULL);
}

/* ID or ID.N */
static void ask_logs(struct owner *o, uint64_t now_us, struct owner_client *c,
                     const struct exec_ask *ask)
{
    struct cbor_reader it = exec_list_begin(&ask->ids);
    struct slice id = exec_list_next(&it);
    const uint8_t *dot = id.len > 0 ? memchr(id.data, '.', id.len) : NULL;
    uint64_t index = 0;
    size_t len = dot != NULL ? (size_t)(dot - id.data) : id.len;
    struct owner_job *j = client_job(o, c, slice_of(id.data, len));
    if (j == NULL) {
        return;
    }
    bool is_number = len + 1 < id.len && id.len - len <= 8;
    for (size_t i = len + 1; i < id.len && is_number; i++) {
        is_number = id.data[i] >= '0' && id.data[i] <= '9';
        index = index * 10 + (uint64_t)(id.data[i] - '0');
    }
    if (dot != NULL && (!is_number || index >= j->count)) {
        client_error(o, c,
                     &(struct exec_error){.exit_code = 3,
                                          .err = IPX_NOT_FOUND,
                                          .what = slice_text("no such task in that job"),
                                          .hint = slice_text("tasks count from 0: show ID")});
        return;
    }
    c->kind = OWNER_CLIENT_LOGS;
    c->job = j;
    c->follow = ask->follow;
    c->next = dot != NULL ? (uint32_t)index : 0;
    c->last = dot != NULL ? c->next + 1 : j->count;
    j->n_refs++;
    if (j->tasks == NULL) {
        client_end(o, c, 0, NULL); /* its items are still coming */
    } else {
        client_pump(o, now_us, c);
    }
}

/* Tells of the jobs that are over; ends when all are. */
static void wait_check(struct owner *o, struct owner_client *c)
{
    for (uint32_t i = 0; i < c->n_waits;) {
        struct owner_job *j = job_find(o, c->waits[i]);
        if (j != NULL && !job_is_over(j)) {
            i++;
            continue;
        }
        if (j != NULL) {
            job_row_send(o, c, j);
            c->is_failed = c->is_failed || j->state != OWNER_JOB_DONE;
        }
        c->waits[i] = c->waits[--c->n_waits];
    }
    if (c->n_waits == 0) {
        client_end(o, c, c->is_failed, NULL);
    }
}

static void ask_wait(struct owner *o, struct owner_client *c, const struct exec_ask *ask)
{
    struct cbor_reader it = exec_list_begin(&ask->ids);
    for (uint32_t i = 0; i < ask->ids.n; i++) {
        struct owner_job *j = client_job(o, c, exec_list_next(&it));
        if (j == NULL) {
            return;
        }
        c->waits[c->n_waits++] = j->serial;
    }
    c->kind = OWNER_CLIENT_WAIT;
    wait_check(o, c);
}

void client_job_over(struct owner *o, struct owner_job *j)
{
    for (uint32_t i = 0; i < EXEC_CLIENTS_MAX; i++) {
        struct owner_client *c = &o->clients[i];
        if (c->handle != 0 && c->kind == OWNER_CLIENT_WAIT) {
            wait_check(o, c);
        } else if (c->handle != 0 && c->job == j) {
            client_pump(o, j->ended_us, c);
        }
    }
}

static void ask_why(struct owner *o, uint64_t now_us, struct owner_client *c,
                    const struct exec_ask *ask)
{
    struct owner_job *j = NULL;
    if (ask->where.len == 0) {
        struct cbor_reader it = exec_list_begin(&ask->ids);
        j = client_job(o, c, exec_list_next(&it));
        if (j == NULL) {
            return;
        }
    }
    client_why(o, now_us, c, ask, j);
}

void client_ask(struct owner *o, uint64_t now_us, struct owner_client *c, uint8_t type,
                struct slice body)
{
    struct exec_ask ask;
    bool is_ok = exec_ask_decode(body, &ask) == IPX_OK;
    bool needs_id = type != EXEC_MSG_PS && (type != EXEC_MSG_WHY || ask.where.len == 0);
    if (!is_ok || (needs_id && ask.ids.n == 0)) {
        client_error(o, c,
                     &(struct exec_error){.exit_code = 2,
                                          .err = IPX_MALFORMED,
                                          .what = slice_text("a job id is wanted"),
                                          .hint = slice_text("List them: ipx-node ps -a")});
        return;
    }
    switch (type) {
    case EXEC_MSG_CANCEL_JOB:
        ask_cancel(o, now_us, c, &ask);
        break;
    case EXEC_MSG_PS:
        ask_ps(o, c, &ask);
        break;
    case EXEC_MSG_SHOW:
        ask_show(o, c, &ask);
        break;
    case EXEC_MSG_WHY:
        ask_why(o, now_us, c, &ask);
        break;
    case EXEC_MSG_LOGS:
        ask_logs(o, now_us, c, &ask);
        break;
    default:
        assert(type == EXEC_MSG_WAIT);
        ask_wait(o, c, &ask);
        break;
    }
}
