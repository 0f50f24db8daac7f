/* SPDX-License-Identifier: Apache-2.0 */
/* A job under way, seen from the terminal: output, input, signals, progress. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "node/cmd_exec.h"

#define SAY_AFTER_US US_PER_S
#define HINT_AFTER_US (10 * US_PER_S)
#define SIGNALS_MAX 3 /* the third Ctrl-C gives up on the owner */

/* --- begin and end --- */

int going_begin(struct going *g, struct cmd *c)
{
    g->c = c;
    g->signal_fd = -1;
    list_init(&g->tasks);
    int code = cmd_connect(c, &g->client, NODE_PROTOCOL_EXEC_CLIENT);
    if (code != 0) {
        return code;
    }
    g->scratch = mem_alloc(&c->mem, EXEC_SEND_MAX);
    g->began_us = local_now_us();
    signal(SIGPIPE, SIG_IGN); /* a reader that went stops the job, not this program */
    g->signal_fd = cmd_signals();
    if (g->scratch == NULL || g->signal_fd < 0) {
        going_end(g);
        return cmd_fail(c, OUT_IPX_FAILED, IPX_NO_MEMORY, "cannot start", NULL, NULL);
    }
    return 0;
}

static void task_free(struct going *g, struct going_task *t)
{
    list_unlink(&t->list);
    buf_done(&t->texts[0]);
    buf_done(&t->texts[1]);
    mem_free(&g->c->mem, t);
}

void going_end(struct going *g)
{
    struct going_task *t;
    while ((t = LIST_FIRST(&g->tasks, struct going_task, list)) != NULL) {
        task_free(g, t);
    }
    if (g->signal_fd >= 0) {
        close(g->signal_fd);
    }
    local_close(&g->client);
    mem_free(&g->c->mem, g->scratch);
    g->scratch = NULL;
}

bool going_send(struct going *g, uint8_t type, const struct writer *w)
{
    return !w->failed && local_send(&g->client, type, writer_slice(w));
}

/* --- output --- */

static struct going_task *task_find(struct going *g, uint32_t task, bool is_wanted)
{
    struct going_task *t;
    struct list *next;
    LIST_EACH(t, next, &g->tasks, struct going_task, list)
    {
        if (t->task == task) {
            return t;
        }
    }
    t = is_wanted ? mem_alloc(&g->c->mem, sizeof(*t)) : NULL;
    if (t != NULL) {
        t->task = task;
        buf_init(&t->texts[0], &g->c->mem, SIZE_MAX / 8);
        buf_init(&t->texts[1], &g->c->mem, SIZE_MAX / 8);
        list_push_back(&g->tasks, &t->list);
    }
    return t;
}

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

static bool send_signal(struct going *g, int number)
{
    uint8_t bytes[16];
    struct writer w = writer_of(bytes, sizeof(bytes));
    exec_number_encode((uint64_t)number, &w);
    return going_send(g, EXEC_MSG_SIGNAL, &w);
}

static bool put_shown(struct going *g, const struct exec_shown *m)
{
    unsigned which = m->fd == 2;
    g->printed[which] += m->bytes.len;
    if (g->c->out.json) {
        struct going_task *t = task_find(g, m->task, true);
        return t != NULL && buf_append(&t->texts[which], m->bytes) == IPX_OK;
    }
    out_progress(&g->c->out, "");
    if (!g->is_pipe_broken && !write_all(which == 0 ? STDOUT_FILENO : STDERR_FILENO, m->bytes) &&
        which == 0) {
        g->is_pipe_broken = true; /* nobody reads: the job ends, as it would by SIGPIPE */
        return send_signal(g, SIGTERM);
    }
    return true;
}

static bool send_ack(struct going *g)
{
    uint8_t bytes[32];
    struct writer w = writer_of(bytes, sizeof(bytes));
    if (g->printed[0] == g->acked[0] && g->printed[1] == g->acked[1]) {
        return true;
    }
    exec_client_ack_encode(&(struct exec_client_ack){.out = g->printed[0], .err = g->printed[1]},
                           &w);
    g->acked[0] = g->printed[0];
    g->acked[1] = g->printed[1];
    return going_send(g, EXEC_MSG_CLIENT_ACK, &w);
}

static struct slice task_text(const struct going_task *t, int which)
{
    return t != NULL ? buf_slice(&t->texts[which]) : slice_text("");
}

static void task_json(struct going *g, const struct exec_task_row *r)
{
    struct going_task *t = task_find(g, r->task, false);
    char node[EXEC_NAME_MAX + 1], lab[EXEC_NAME_MAX + 1];
    json_t *object = out_object();
    out_clean(r->node, node, sizeof(node));
    out_clean(r->lab, lab, sizeof(lab));
    json_object_set_new(object, "job", json_string(g->id));
    json_object_set_new(object, "index", json_integer(r->task));
    json_object_set_new(object, "input", out_json_text(r->item));
    json_object_set_new(object, "node", json_string(node));
    json_object_set_new(object, "lab", json_string(lab));
    json_object_set_new(object, "exit", json_integer(exec_end_code(r->end, r->code, r->signal)));
    json_object_set_new(object, "end", json_string(exec_end_name(r->end)));
    json_object_set_new(object, "attempt", json_integer(r->attempt));
    json_object_set_new(object, "wall_ms", json_real((double)r->wall_us / 1000));
    json_object_set_new(object, "cpu_ms", json_real((double)r->cpu_us / 1000));
    json_object_set_new(object, "output", out_json_text(task_text(t, 0)));
    json_object_set_new(object, "stderr", out_json_text(task_text(t, 1)));
    out_json(&g->c->out, object);
    if (t != NULL) {
        task_free(g, t);
    }
}

/* Tasks that ended badly are named, whatever their output said. */
static void tell_task(struct going *g, const struct exec_task_row *r)
{
    char node[EXEC_NAME_MAX + 1], item[64];
    if (!g->is_map || r->end == EXEC_END_NONE || r->end == EXEC_END_CANCELLED ||
        exec_end_code(r->end, r->code, r->signal) == 0) {
        return;
    }
    out_clean(r->node, node, sizeof(node));
    out_clean(r->item, item, sizeof(item));
    out_note(&g->c->out, "task %u (%s) failed on %s: %s %u", r->task, item,
             node[0] != '\0' ? node : "no node", exec_end_name(r->end),
             r->end == EXEC_END_SIGNAL ? r->signal : r->code);
}

/* --- messages --- */

static void on_accepted(struct going *g, struct slice body)
{
    struct exec_accepted m;
    struct out *o = &g->c->out;
    if (exec_accepted_decode(body, &m) != IPX_OK) {
        return;
    }
    g->is_accepted = true;
    g->client.waits_for = NULL; /* from here on the owner tells */
    job_id_text(&m.id, g->id);
    snprintf(g->short_id, sizeof(g->short_id), "%.*s", m.short_len, g->id);
    if (g->is_detached && o->json) {
        json_t *object = out_object();
        json_object_set_new(object, "job", json_string(g->id));
        json_object_set_new(object, "tasks", json_integer(m.count));
        out_json(o, object);
    } else if (g->is_detached) {
        printf("%s\n", g->short_id);
        fflush(stdout);
    }
    if (m.unknown.len > 0) {
        char name[64], meant[64];
        out_clean(m.unknown, name, sizeof(name));
        out_clean(m.meant, meant, sizeof(meant));
        out_note(o, "%s %s%s%s%s",
                 name[0] == '.' ? "no resource has the field" : "no node has the label", name,
                 meant[0] != '\0' ? ". Did you mean " : "", meant, meant[0] != '\0' ? "?" : "");
    }
    if (g->is_map || o->verbose) {
        out_note(o, "job %s: %u tasks - matching: %u of %u nodes, %u labs", g->short_id, m.count,
                 m.n_match, m.n_nodes, m.n_labs);
    }
}

static void on_tasks(struct going *g, struct slice body)
{
    struct exec_task_rows rows;
    if (exec_task_rows_decode(body, &rows) != IPX_OK) {
        return;
    }
    struct cbor_reader it = exec_task_rows_begin(&rows);
    for (uint32_t i = 0; i < rows.n; i++) {
        struct exec_task_row r = exec_task_row_next(&it);
        if (g->c->out.json) {
            task_json(g, &r);
        } else {
            tell_task(g, &r);
        }
    }
}

static void on_place(struct going *g, struct slice body)
{
    static const char *const truths[] = {"false", "true", "unknown", "value"};
    struct exec_place_row r;
    if (exec_place_row_decode(body, &r) != IPX_OK) {
        return;
    }
    struct out_row row = {
        .n = 6,
        .fields = {{.key = slice_text("node"), .type = OUT_TEXT, .text = r.node},
                   {.key = slice_text("lab"), .type = OUT_TEXT, .text = r.lab},
                   {.key = slice_text("match"),
                    .type = OUT_TEXT,
                    .text = slice_text(r.truth < ARRAY_LEN(truths) ? truths[r.truth] : "?")},
                   {.key = slice_text("free"), .type = OUT_UINT, .u = r.n_free},
                   {.key = slice_text("wait_ms"), .type = OUT_UINT, .u = r.wait_ms},
                   {.key = slice_text("rtt_ms"), .type = OUT_DOUBLE, .d = r.rtt_us / 1000.0}}};
    out_table_add(&g->places, &row);
}

static void on_progress(struct going *g, struct slice body)
{
    char line[160];
    if (exec_progress_decode(body, &g->progress) != IPX_OK) {
        return;
    }
    g->progress.node = SLICE_EMPTY; /* it lies in the message */
    if (g->is_map && !g->c->out.json && !g->is_detached) {
        exec_counts(&g->progress, line, sizeof(line));
        out_progress(&g->c->out, line);
    }
}

static void tell_end(struct going *g, const struct exec_end_msg *m)
{
    struct out *o = &g->c->out;
    char counts[160], took[32], node[EXEC_NAME_MAX + 1], lab[EXEC_NAME_MAX + 1], hint[300];
    out_duration((double)m->wall_us / 1e6, took, sizeof(took));
    out_clean(m->node, node, sizeof(node));
    out_clean(m->lab, lab, sizeof(lab));
    out_clean(m->hint, hint, sizeof(hint));
    if (g->is_dry_run || (g->is_detached && hint[0] == '\0')) {
        return;
    }
    if (g->is_map) {
        exec_counts(&m->progress, counts, sizeof(counts));
        out_note(o, "%s in %s", counts, took);
    } else if ((o->is_tty_err || o->verbose) && node[0] != '\0') {
        out_note(o, "on %s/%s, %s", lab, node, took);
    }
    if (hint[0] != '\0') {
        out_note(o, "%s: %s: %s", o->program, exec_end_name(m->end), hint);
    } else if (!g->is_map && m->end == EXEC_END_TIME) {
        out_note(o, "%s: ended by --time after %s", o->program, took);
    } else if (!g->is_map && (m->end == EXEC_END_NOT_FOUND || m->end == EXEC_END_CANNOT_RUN)) {
        out_note(o, "%s: %s cannot be run on %s: %s", o->program, g->c->args.words[0], node,
                 m->end == EXEC_END_NOT_FOUND ? "there is no such program" : "not allowed");
    }
}

static void run_json(struct going *g, const struct exec_end_msg *m)
{
    struct going_task *t = task_find(g, 0, false);
    char node[EXEC_NAME_MAX + 1], lab[EXEC_NAME_MAX + 1];
    if (g->is_map || g->is_detached || g->is_dry_run || g->is_done) {
        return;
    }
    json_t *object = out_object();
    out_clean(m->node, node, sizeof(node));
    out_clean(m->lab, lab, sizeof(lab));
    json_object_set_new(object, "job", json_string(g->id));
    json_object_set_new(object, "index", json_integer(0));
    json_object_set_new(object, "node", json_string(node));
    json_object_set_new(object, "lab", json_string(lab));
    json_object_set_new(object, "exit", json_integer(m->exit_code));
    json_object_set_new(object, "end", json_string(exec_end_name(m->end)));
    json_object_set_new(object, "wall_ms", json_real((double)m->wall_us / 1000));
    json_object_set_new(object, "output", out_json_text(task_text(t, 0)));
    json_object_set_new(object, "stderr", out_json_text(task_text(t, 1)));
    json_object_set_new(object, "hint", out_json_text(m->hint));
    out_json(&g->c->out, object);
}

static void on_end(struct going *g, struct slice body)
{
    struct exec_end_msg m;
    g->is_over = true;
    if (exec_end_decode(body, &m) != IPX_OK) {
        g->exit_code = OUT_IPX_FAILED;
        return;
    }
    g->exit_code = m.exit_code;
    out_progress(&g->c->out, "");
    if (g->is_dry_run) {
        out_table_end(&g->places);
    }
    if (g->c->out.json) {
        run_json(g, &m);
    } else {
        tell_end(g, &m);
    }
}

static bool on_message(struct going *g, uint8_t type, struct slice body)
{
    struct exec_shown shown;
    switch (type) {
    case EXEC_MSG_ACCEPTED:
        on_accepted(g, body);
        return true;
    case EXEC_MSG_SHOWN:
        return exec_shown_decode(body, &shown) == IPX_OK && put_shown(g, &shown);
    case EXEC_MSG_TASK:
        if (g->is_map || !g->c->out.json) {
            on_tasks(g, body);
        }
        return true;
    case EXEC_MSG_PROGRESS:
        on_progress(g, body);
        return true;
    case EXEC_MSG_PLACE_ROW:
        on_place(g, body);
        return true;
    case EXEC_MSG_INPUT_ACK:
        return exec_number_decode(body, &g->input_acked) == IPX_OK;
    case EXEC_MSG_END:
        on_end(g, body);
        return true;
    case EXEC_MSG_ERROR:
        g->is_over = true;
        g->exit_code = exec_fail(g->c, body);
        return true;
    default:
        return true; /* of a later version */
    }
}

/* --- input, signals, waiting --- */

static bool read_input(struct going *g)
{
    static uint8_t chunk[EXEC_CHUNK_MAX];
    struct writer w = writer_of(g->scratch, EXEC_SEND_MAX);
    ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return true;
    }
    struct exec_input m = {.bytes = slice_of(chunk, n > 0 ? (size_t)n : 0), .end = n <= 0};
    g->has_stdin = !m.end;
    g->input_sent += m.bytes.len;
    exec_input_encode(&m, &w);
    return going_send(g, EXEC_MSG_INPUT, &w);
}

static bool take_signal(struct going *g)
{
    if (cmd_signal_taken(g->signal_fd) == 0) {
        return true;
    }
    g->n_signals++;
    if (g->n_signals >= SIGNALS_MAX) {
        return false;
    }
    out_note(&g->c->out, g->n_signals == 1 ? "stopping; once more kills" : "killing");
    return send_signal(g, g->n_signals == 1 ? SIGTERM : SIGKILL);
}

/* After a second without a running task: why, and on whom. */
static int say_waiting(struct going *g)
{
    uint64_t now = local_now_us();
    const struct exec_progress *p = &g->progress;
    if (!g->is_accepted || g->is_detached || p->n_running > 0 || p->n_waiting == 0) {
        return -1;
    }
    if (now < g->began_us + SAY_AFTER_US) {
        return (int)((g->began_us + SAY_AFTER_US - now) / US_PER_MS) + 1;
    }
    if (p->why != g->said) {
        g->said = p->why;
        out_note(&g->c->out, "waiting: %s", exec_waiting_text(p->why));
    }
    if (!g->is_hinted && now >= g->began_us + HINT_AFTER_US) {
        g->is_hinted = true;
        out_note(&g->c->out, "ask: %s why %s", g->c->out.program, g->short_id);
    }
    return g->is_hinted
               ? -1
               : (int)IPX_MIN((g->began_us + HINT_AFTER_US - now) / US_PER_MS + 1, (uint64_t)10000);
}

/* One turn of sleeping. False: the connection is lost, or given up. */
static bool turn(struct going *g)
{
    bool has_room = g->has_stdin && g->is_accepted &&
                    g->input_sent - g->input_acked + EXEC_CHUNK_MAX <= EXEC_WINDOW;
    struct pollfd fds[2] = {{.fd = g->signal_fd, .events = POLLIN},
                            {.fd = STDIN_FILENO, .events = POLLIN}};
    local_wait(&g->client, fds, has_room ? 2 : 1, say_waiting(g));
    if ((fds[0].revents & POLLIN) != 0 && !take_signal(g)) {
        return false;
    }
    return !has_room || fds[1].revents == 0 || read_input(g);
}

int going_run(struct going *g)
{
    static const struct out_column columns[] = {
        {"node", "NODE", OUT_PLAIN}, {"lab", "LAB", OUT_PLAIN},   {"match", "MATCH", OUT_PLAIN},
        {"free", "FREE", OUT_PLAIN}, {"wait_ms", "WAIT", OUT_MS}, {"rtt_ms", "RTT", OUT_MS}};
    bool is_ok = true;
    out_table_init(&g->places, &g->c->out, &g->c->mem, columns, ARRAY_LEN(columns));
    while (is_ok && !g->is_over) {
        uint8_t type;
        struct slice body;
        enum ipx_err err = local_next(&g->client, &type, &body);
        if (err == IPX_OK) {
            is_ok = on_message(g, type, body);
        } else if (err == IPX_AGAIN) {
            is_ok = send_ack(g) && turn(g);
        } else {
            is_ok = false;
        }
    }
    if (g->is_over) {
        return g->exit_code;
    }
    if (g->n_signals >= SIGNALS_MAX) {
        return 128 + SIGINT;
    }
    return cmd_lost(g->c, OUT_IPX_FAILED);
}
