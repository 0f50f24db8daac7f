/* SPDX-License-Identifier: Apache-2.0 */
/* ps, show, why, logs, wait, cancel: questions to the owner about jobs. */
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "node/cmd_exec.h"

struct asking {
    struct cmd *c;
    struct client client;
    struct out_table tasks;
    uint64_t printed[2];
    size_t n_rows;
    int exit_code;
    bool is_wait; /* the exit code is that of the jobs */
};

static struct out_field text_field(const char *key, struct slice text)
{
    return (struct out_field){.key = slice_text(key), .type = OUT_TEXT, .text = text};
}

static struct out_field uint_field(const char *key, uint64_t v)
{
    return (struct out_field){.key = slice_text(key), .type = OUT_UINT, .u = v};
}

/* --- asking --- */

static bool ask_send(struct asking *a, uint8_t type, const struct exec_ask *ask)
{
    size_t cap = 8192 + ask->where.len + ask->ids.raw.len;
    uint8_t *bytes = mem_alloc(&a->c->mem, cap);
    struct writer w = writer_of(bytes, bytes != NULL ? cap : 0);
    exec_ask_encode(ask, &w);
    bool is_ok = !w.failed && local_send(&a->client, type, writer_slice(&w));
    mem_free(&a->c->mem, bytes);
    return is_ok;
}

typedef bool ask_fn(struct asking *a, uint8_t type, struct slice body);

/* Sends the words of the command as ids and reads until END. */
static int ask(struct asking *a, uint8_t type, struct exec_ask *m, ask_fn *on_message)
{
    struct cmd *c = a->c;
    uint8_t ids[EXEC_ASK_MAX * 128], reply;
    struct slice body;
    struct writer w = writer_of(ids, sizeof(ids));
    struct exec_end_msg end;
    if (c->args.n_words > EXEC_ASK_MAX) {
        return cmd_usage(c, "too many ids at once", "64 are the limit");
    }
    cbor_put_array(&w, c->args.n_words);
    for (size_t i = 0; i < c->args.n_words; i++) {
        cbor_put_bytes(&w, slice_text(c->args.words[i]));
        m->ids.bytes += (uint32_t)strlen(c->args.words[i]);
    }
    if (w.failed) {
        return cmd_fail(c, OUT_NO_SUCH, IPX_NOT_FOUND, "there is no job of such an id", NULL,
                        "See them: ipx-node ps -a");
    }
    m->ids.raw = writer_slice(&w);
    m->ids.n = (uint32_t)c->args.n_words;
    int code = cmd_connect(c, &a->client, NODE_PROTOCOL_EXEC_CLIENT);
    if (code != 0) {
        return code;
    }
    code = -1;
    if (!ask_send(a, type, m)) {
        code = cmd_lost(c, OUT_FAILED);
    }
    while (code < 0) {
        if (local_read(&a->client, &reply, &body) != IPX_OK) {
            code = cmd_lost(c, OUT_FAILED);
        } else if (reply == EXEC_MSG_ERROR) {
            code = exec_fail(c, body);
        } else if (reply == EXEC_MSG_END) {
            code = exec_end_decode(body, &end) == IPX_OK ? end.exit_code : OUT_FAILED;
        } else if (on_message != NULL && !on_message(a, reply, body)) {
            code = cmd_lost(c, OUT_FAILED);
        }
    }
    local_close(&a->client);
    return code;
}

/* --- jobs --- */

static void job_json(struct asking *a, const struct exec_job_row *r)
{
    char id[EXEC_JOB_TEXT_SIZE];
    const struct exec_progress *p = &r->progress;
    json_t *object = out_object();
    job_id_text(&r->id, id);
    json_object_set_new(object, "job", json_string(id));
    json_object_set_new(object, "state", json_string(exec_job_state_name(r->state)));
    json_object_set_new(object, "mode", json_string(r->mode == EXEC_MODE_MAP ? "map" : "run"));
    json_object_set_new(object, "user", out_json_text(r->user));
    json_object_set_new(object, "command", out_json_text(r->command));
    json_object_set_new(object, "where", out_json_text(r->where));
    json_object_set_new(object, "on", out_json_text(r->on));
    json_object_set_new(object, "tasks", json_integer(r->count));
    json_object_set_new(object, "waiting", json_integer(p->n_waiting));
    json_object_set_new(object, "running", json_integer(p->n_running));
    json_object_set_new(object, "done", json_integer(p->n_done));
    json_object_set_new(object, "failed", json_integer(p->n_failed));
    json_object_set_new(object, "cancelled", json_integer(p->n_cancelled));
    json_object_set_new(object, "lost", json_integer(p->n_lost));
    json_object_set_new(object, "moved", json_integer(p->n_moved));
    json_object_set_new(object, "why", json_string(exec_waiting_name(p->why)));
    json_object_set_new(object, "pure", json_boolean(r->is_pure));
    json_object_set_new(object, "detached", json_boolean(r->is_detached));
    out_json_time(object, "submitted", r->submitted_ms);
    out_json_time(object, "ended", r->ended_ms);
    out_json(&a->c->out, object);
}

static double age_of(const struct exec_job_row *r)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    double now_ms = (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
    double age = (now_ms - (double)r->submitted_ms) / 1000;
    return age > 0 ? age : 0;
}

static void job_table_row(struct asking *a, const struct exec_job_row *r)
{
    char id[EXEC_JOB_TEXT_SIZE], counts[160];
    job_id_text(&r->id, id);
    exec_counts(&r->progress, counts, sizeof(counts));
    struct out_row row = {.n = 7,
                          .fields = {text_field("job", slice_of(id, r->short_len)),
                                     text_field("state", slice_text(exec_job_state_name(r->state))),
                                     text_field("user", r->user),
                                     uint_field("tasks", r->count),
                                     {.key = slice_text("age"), .type = OUT_DOUBLE, .d = age_of(r)},
                                     text_field("progress", slice_text(counts)),
                                     text_field("command", r->command)}};
    out_table_add(&a->tasks, &row);
}

static bool on_ps(struct asking *a, uint8_t type, struct slice body)
{
    struct exec_job_row r;
    if (type != EXEC_MSG_JOB_ROW || exec_job_row_decode(body, &r) != IPX_OK) {
        return type != EXEC_MSG_JOB_ROW;
    }
    if (a->c->out.json) {
        job_json(a, &r);
    } else {
        job_table_row(a, &r);
    }
    return true;
}

int cmd_ps(struct cmd *c)
{
    static const struct out_column columns[] = {
        {"job", "JOB", OUT_PLAIN},        {"state", "STATE", OUT_PLAIN},
        {"user", "USER", OUT_PLAIN},      {"tasks", "TASKS", OUT_PLAIN},
        {"age", "AGE", OUT_SECONDS},      {"progress", "PROGRESS", OUT_PLAIN},
        {"command", "COMMAND", OUT_PLAIN}};
    struct asking a = {.c = c};
    struct exec_ask m = {.all = args_has(&c->args, FLAG_ALL)};
    out_table_init(&a.tasks, &c->out, &c->mem, columns, ARRAY_LEN(columns));
    int code = ask(&a, EXEC_MSG_PS, &m, on_ps);
    out_table_end(&a.tasks);
    return code;
}

/* --- show --- */

static void show_job(const struct exec_job_row *r)
{
    char id[EXEC_JOB_TEXT_SIZE], text[1100], age[32];
    job_id_text(&r->id, id);
    out_duration(age_of(r), age, sizeof(age));
    out_clean(r->command, text, sizeof(text));
    printf("job      %s (%.*s), %s, submitted %s ago\n", id, r->short_len, id,
           exec_job_state_name(r->state), age);
    printf("command  %s\n", text);
    if (r->where.len > 0) {
        out_clean(r->where, text, sizeof(text));
        printf("where    %s\n", text);
    }
    if (r->on.len > 0) {
        out_clean(r->on, text, sizeof(text));
        printf("on       %s\n", text);
    }
    exec_counts(&r->progress, text, sizeof(text));
    printf("tasks    %u: %s\n", r->count, text);
    if (r->progress.why != EXEC_WAITING_NOT) {
        printf("waiting  %s\n", exec_waiting_text(r->progress.why));
    }
}

static void show_task(struct asking *a, const struct exec_task_row *r)
{
    struct out_row row = {
        .n = 10,
        .fields = {
            uint_field("task", r->task),
            text_field("state", slice_text(exec_task_state_name(r->state))),
            text_field("end", slice_text(exec_end_name(r->end))),
            uint_field("exit", exec_end_code(r->end, r->code, r->signal)),
            uint_field("attempt", r->attempt),
            text_field("node", r->node),
            text_field("lab", r->lab),
            {.key = slice_text("wall_ms"), .type = OUT_DOUBLE, .d = (double)r->wall_us / 1000},
            uint_field("out_bytes", r->out_len),
            text_field("item", r->item)}};
    out_table_add(&a->tasks, &row);
}

static bool on_show(struct asking *a, uint8_t type, struct slice body)
{
    struct exec_job_row job;
    struct exec_task_rows rows;
    if (type == EXEC_MSG_JOB_ROW && exec_job_row_decode(body, &job) == IPX_OK) {
        if (a->c->out.json) {
            job_json(a, &job);
        } else {
            show_job(&job);
        }
        return true;
    }
    if (type != EXEC_MSG_TASK || exec_task_rows_decode(body, &rows) != IPX_OK) {
        return type != EXEC_MSG_TASK && type != EXEC_MSG_JOB_ROW;
    }
    struct cbor_reader it = exec_task_rows_begin(&rows);
    for (uint32_t i = 0; i < rows.n; i++) {
        struct exec_task_row r = exec_task_row_next(&it);
        show_task(a, &r);
    }
    return true;
}

int cmd_show(struct cmd *c)
{
    static const struct out_column columns[] = {
        {"task", "TASK", OUT_PLAIN},        {"state", "STATE", OUT_PLAIN},
        {"end", "END", OUT_PLAIN},          {"exit", "EXIT", OUT_PLAIN},
        {"attempt", "ATTEMPT", OUT_PLAIN},  {"node", "NODE", OUT_PLAIN},
        {"lab", "LAB", OUT_PLAIN},          {"wall_ms", "WALL", OUT_MS},
        {"out_bytes", "OUTPUT", OUT_PLAIN}, {"item", "ITEM", OUT_PLAIN}};
    struct asking a = {.c = c};
    struct exec_ask m = {.all = true};
    out_table_init(&a.tasks, &c->out, &c->mem, columns, ARRAY_LEN(columns));
    int code = ask(&a, EXEC_MSG_SHOW, &m, on_show);
    out_table_end(&a.tasks);
    return code;
}

/* --- logs, wait, cancel --- */

static bool write_all(int fd, struct slice bytes)
{
    for (size_t done = 0; done < bytes.len;) {
        ssize_t n = write(fd, bytes.data + done, bytes.len - done);
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            return false;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static void shown_json(struct asking *a, const struct exec_shown *m)
{
    json_t *object = out_object();
    json_object_set_new(object, "index", json_integer(m->task));
    json_object_set_new(object, "fd", json_integer(m->fd));
    json_object_set_new(object, "output", out_json_text(m->bytes));
    out_json(&a->c->out, object);
}

static bool on_logs(struct asking *a, uint8_t type, struct slice body)
{
    struct exec_shown m;
    uint8_t bytes[32];
    struct writer w = writer_of(bytes, sizeof(bytes));
    if (type != EXEC_MSG_SHOWN) {
        return true;
    }
    if (exec_shown_decode(body, &m) != IPX_OK) {
        return false;
    }
    a->printed[m.fd == 2] += m.bytes.len;
    if (a->c->out.json) {
        shown_json(a, &m);
    } else if (!write_all(m.fd == 2 ? STDERR_FILENO : STDOUT_FILENO, m.bytes)) {
        return false;
    }
    exec_client_ack_encode(&(struct exec_client_ack){.out = a->printed[0], .err = a->printed[1]},
                           &w);
    return local_send(&a->client, EXEC_MSG_CLIENT_ACK, writer_slice(&w));
}

int cmd_logs(struct cmd *c)
{
    struct asking a = {.c = c};
    struct exec_ask m = {.follow = args_has(&c->args, FLAG_FOLLOW)};
    return ask(&a, EXEC_MSG_LOGS, &m, on_logs);
}

static bool on_job(struct asking *a, uint8_t type, struct slice body)
{
    struct exec_job_row r;
    char id[EXEC_JOB_TEXT_SIZE], counts[160];
    if (type != EXEC_MSG_JOB_ROW || exec_job_row_decode(body, &r) != IPX_OK) {
        return type != EXEC_MSG_JOB_ROW;
    }
    if (a->c->out.json) {
        job_json(a, &r);
        return true;
    }
    job_id_text(&r.id, id);
    exec_counts(&r.progress, counts, sizeof(counts));
    printf("%.*s\t%s\t%s\n", r.short_len, id, exec_job_state_name(r.state), counts);
    return true;
}

int cmd_wait(struct cmd *c)
{
    struct asking a = {.c = c};
    struct exec_ask m = {.all = true};
    return ask(&a, EXEC_MSG_WAIT, &m, on_job);
}

int cmd_cancel(struct cmd *c)
{
    struct asking a = {.c = c};
    struct exec_ask m = {.all = false};
    return ask(&a, EXEC_MSG_CANCEL_JOB, &m, on_job);
}
