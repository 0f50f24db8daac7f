/* SPDX-License-Identifier: Apache-2.0 */
/* A local client in the simulated world: submits one map and is the oracle of what was told. */
#include <stdio.h>

#include "tests/sim/world.h"

#define ITEMS_BUFFER 65536

static void flush(struct world_client *c)
{
    uint8_t out[LINK_OUTPUT_MIN];
    size_t len;
    while (c->pipe != NULL && (len = link_output(c->link, c->w->now_us, out, sizeof(out))) > 0) {
        world_pipe_send(c->w, c->pipe, 0, slice_of(out, len));
    }
}

static void say(struct world_client *c, uint8_t type, const struct writer *w)
{
    bool is_sent = framing_send(link_mux(c->link), c->stream, type, writer_slice(w));
    assert(is_sent && !w->failed);
    (void)is_sent;
}

static void put_list(struct writer *w, uint32_t n, const char *const *words)
{
    cbor_put_array(w, n);
    for (uint32_t i = 0; i < n; i++) {
        cbor_put_bytes(w, slice_text(words[i]));
    }
}

static struct exec_list list_of(const struct writer *w, uint32_t n)
{
    return (struct exec_list){.raw = writer_slice(w), .n = n, .bytes = (uint32_t)w->len};
}

static void say_submit(struct world_client *c, const char *command, bool is_pure)
{
    uint8_t argv[256], none[4], env[4], body[1024];
    char verb[64];
    const char *words[2] = {verb, NULL};
    snprintf(verb, sizeof(verb), "%s", command);
    char *blank = strchr(verb, ' ');
    if (blank != NULL) {
        *blank = '\0';
        words[1] = blank + 1;
    }
    struct writer wa = writer_of(argv, sizeof(argv)), wn = writer_of(none, sizeof(none)),
                  we = writer_of(env, sizeof(env)), w = writer_of(body, sizeof(body));
    uint32_t n = blank != NULL ? 2 : 1;
    char range[32];
    put_list(&wa, n, words);
    put_list(&wn, 0, NULL);
    put_list(&we, 0, NULL);
    snprintf(range, sizeof(range), "1-%u", c->n_tasks);
    struct exec_submit s = {.mode = EXEC_MODE_MAP,
                            .flags = is_pure ? EXEC_SUBMIT_PURE : 0,
                            .argv = list_of(&wa, n),
                            .env = list_of(&we, 0),
                            .where = list_of(&wn, 0),
                            .range = slice_text(range),
                            .needs = {.cpu = 1}};
    exec_submit_encode(&s, &w);
    say(c, EXEC_MSG_SUBMIT, &w);
}

struct world_client *world_submit(struct world *w, unsigned node, const char *command,
                                  uint32_t n_tasks, bool is_pure)
{
    struct world_node *n = &w->nodes[node];
    struct world_client *c = mem_alloc(&w->mem, sizeof(*c));
    struct node_local who = {.uid = 1000, .is_owner = true, .user = "sim"};
    assert(c != NULL && n->node != NULL);
    c->w = w;
    c->n_tasks = n_tasks;
    c->told = mem_alloc(&w->mem, n_tasks);
    mem_init(&c->mem, SIZE_MAX);
    c->context = (struct link_context){.mem = &c->mem};
    framing_init(&c->framing, &c->mem, FRAMING_BODY_MAX);
    list_push_back(&w->clients, &c->list);
    struct world_pipe *p = world_pipe_new(w, &(struct world_pipe){.node = {WORLD_CLIENT, node},
                                                                  .conn = {1, n->next_conn++},
                                                                  .is_open = {true, true},
                                                                  .client = c});
    c->pipe = p;
    struct link_config config = {.context = &c->context, .role = LINK_LOCAL_CLIENT};
    enum ipx_err err = link_new(&config, w->now_us, &c->link);
    assert(err == IPX_OK);
    node_on_local(n->node, w->now_us, p->conn[1], &who);
    err = mux_open(link_mux(c->link), NODE_PROTOCOL_EXEC_CLIENT, MUX_CLASS_RPC, 1, &c->stream);
    assert(err == IPX_OK);
    (void)err;
    say_submit(c, command, is_pure);
    flush(c);
    world_drain(w, n);
    return c;
}

void world_client_free(struct world_client *c)
{
    list_unlink(&c->list);
    if (c->pipe != NULL) {
        c->pipe->client = NULL;
        c->pipe->is_open[0] = false;
    }
    link_free(c->link);
    framing_done(&c->framing);
    mem_free(&c->w->mem, c->told);
    assert(c->mem.used == 0);
    mem_free(&c->w->mem, c);
}

bool world_client_is_over(struct world *w, void *client)
{
    (void)w;
    return ((struct world_client *)client)->is_over;
}

static void on_tasks(struct world_client *c, struct slice body)
{
    struct exec_task_rows rows;
    enum ipx_err err = exec_task_rows_decode(body, &rows);
    assert(err == IPX_OK);
    (void)err;
    struct cbor_reader it = exec_task_rows_begin(&rows);
    for (uint32_t i = 0; i < rows.n; i++) {
        struct exec_task_row row = exec_task_row_next(&it);
        assert(row.task < c->n_tasks);
        /* the invariant of the whole: at most one result is ever told of a task */
        if (c->told[row.task] != 0) {
            world_fail(c->w, "a second result of task %u is told", row.task);
        }
        c->told[row.task] = 1;
        bool is_good = row.end == EXEC_END_EXIT && row.code == 0;
        c->n_done += is_good;
        c->n_failed += !is_good;
    }
}

static void on_message(struct world_client *c, uint8_t type, struct slice body)
{
    struct exec_shown shown;
    struct exec_error error;
    if (type == EXEC_MSG_TASK) {
        on_tasks(c, body);
    } else if (type == EXEC_MSG_SHOWN && exec_shown_decode(body, &shown) == IPX_OK) {
        uint8_t bytes[16];
        struct writer w = writer_of(bytes, sizeof(bytes));
        c->n_shown += shown.bytes.len;
        exec_number_encode(c->n_shown, &w);
        say(c, EXEC_MSG_CLIENT_ACK, &w);
    } else if (type == EXEC_MSG_END) {
        c->is_over = true;
    } else if (type == EXEC_MSG_ERROR) {
        c->is_over = c->is_error = true;
        if (exec_error_decode(body, &error) == IPX_OK) {
            snprintf(c->error, sizeof(c->error), "%.*s", (int)error.what.len,
                     (const char *)error.what.data);
        }
    }
}

void world_client_bytes(struct world_client *c, struct slice s)
{
    struct link_event e;
    link_recv(c->link, c->w->now_us, s);
    while (link_poll(c->link, &e)) {
        if (e.type != LINK_EVENT_STREAM || e.stream.type != MUX_EVENT_DATA) {
            continue;
        }
        struct slice left = e.stream.data;
        uint8_t type;
        struct slice body;
        while (framing_next(&c->framing, &left, &type, &body) == IPX_OK) {
            on_message(c, type, body);
        }
        mux_consume(link_mux(c->link), e.stream.stream, e.stream.data.len);
    }
    flush(c);
}

void world_client_lost(struct world_client *c)
{
    c->pipe = NULL;
    c->is_error = !c->is_over;
    c->is_over = true;
}
