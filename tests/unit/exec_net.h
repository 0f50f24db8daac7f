/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Whole exec objects, owner and place, joined by a small network on a virtual clock,
 * with processes and a store that are made up. One network a program (`t`).
 */
#include "base/crypt.h"
#include "exec/exec.h"
#include "tests/harness.h"

#define NODES 4u
#define STREAMS_MAX 512u
#define EVENTS_MAX 65536u
#define CLIENT UINT32_C(0x90000001)
#define TASKS_MAX 400u

struct stream { /* one that node `from` opened to node `to` */
    bool is_open;
    uint8_t from, to;
    uint32_t near, far; /* handles at either end */
    uint8_t protocol;
};

enum kind {
    EV_DGRAM,
    EV_OPEN,
    EV_SEND,
    EV_CLOSED,
    EV_STARTED,
    EV_STDIN,
    EV_EXIT,
    EV_STORED,
    EV_LOADED
};

struct event {
    uint64_t at_us, order;
    enum kind kind;
    uint8_t node, from; /* where it happens; who sent it */
    uint32_t handle, req_id;
    uint8_t type;
    enum ipx_err err;
    uint64_t object, attempt; /* attempts and objects of that node */
    struct slice bytes;       /* owned */
};

struct process {
    bool is_live;
    uint8_t node;
    uint64_t attempt;
    char text[64]; /* what it writes: its last word */
    bool is_cat;
};

struct object {
    uint8_t node;
    uint64_t id;
    size_t len;
    uint8_t bytes[256];
};

static struct net {
    struct mem mem, mem_net;
    struct crypt_keypair keys[NODES];
    struct cert_facts facts[NODES];
    struct exec *nodes[NODES]; /* NULL: dead */
    struct rng rng;
    uint64_t now_us, order;
    struct event events[EVENTS_MAX];
    uint32_t n_events;
    struct stream streams[STREAMS_MAX];
    uint32_t next_far;
    struct process processes[256];
    struct object objects[2048];
    uint32_t n_objects;
    /* what the client saw */
    char seen[TASKS_MAX][64];
    uint32_t n_rows[TASKS_MAX], n_started;
    struct exec_end_msg end;
    bool has_ended;
    uint64_t out_bytes;
} t;

static inline void event_add(struct event e, uint64_t after_us, struct slice bytes)
{
    CHECK(t.n_events < EVENTS_MAX);
    e.at_us = t.now_us + after_us;
    e.order = t.order++;
    if (bytes.len > 0) {
        e.bytes = slice_of(mem_dup(&t.mem_net, bytes.data, bytes.len), bytes.len);
    }
    t.events[t.n_events++] = e;
}

static inline uint8_t node_of(const struct node_id *id)
{
    for (uint8_t i = 0; i < NODES; i++) {
        if (node_id_equal(&t.facts[i].id, id)) {
            return i;
        }
    }
    CHECK(false);
    return 0;
}

static inline struct stream *stream_at(uint8_t node, uint32_t handle)
{
    for (uint32_t i = 0; i < STREAMS_MAX; i++) {
        struct stream *s = &t.streams[i];
        if (s->is_open &&
            ((s->from == node && s->near == handle) || (s->to == node && s->far == handle))) {
            return s;
        }
    }
    return NULL;
}

static inline void stream_break(struct stream *s, enum ipx_err err)
{
    s->is_open = false;
    event_add((struct event){.kind = EV_CLOSED, .node = s->from, .handle = s->near, .err = err}, 1,
              SLICE_EMPTY);
    event_add((struct event){.kind = EV_CLOSED, .node = s->to, .handle = s->far, .err = err}, 1,
              SLICE_EMPTY);
}

static inline void on_open(uint8_t node, const struct exec_action_open *a)
{
    uint8_t to = node_of(&a->to);
    if (t.nodes[to] == NULL) {
        event_add(
            (struct event){
                .kind = EV_CLOSED, .node = node, .handle = a->handle, .err = IPX_UNREACHABLE},
            1000, SLICE_EMPTY);
        return;
    }
    for (uint32_t i = 0; i < STREAMS_MAX; i++) {
        if (!t.streams[i].is_open) {
            t.streams[i] = (struct stream){true, node, to, a->handle, ++t.next_far, a->protocol};
            event_add((struct event){.kind = EV_OPEN,
                                     .node = to,
                                     .from = node,
                                     .handle = t.next_far,
                                     .type = a->protocol},
                      node == to ? 0 : 200, SLICE_EMPTY);
            return;
        }
    }
    CHECK(false);
}

static inline void on_client_message(const struct exec_action_send *a)
{
    struct exec_shown shown;
    struct exec_task_rows rows;
    if (a->type == EXEC_MSG_SHOWN) {
        CHECK_OK(exec_shown_decode(a->body, &shown));
        CHECK(shown.task < TASKS_MAX && t.n_rows[shown.task] == 0);
        size_t len = strlen(t.seen[shown.task]);
        CHECK(len + shown.bytes.len < sizeof(t.seen[0]));
        memcpy(t.seen[shown.task] + len, shown.bytes.data, shown.bytes.len);
        t.out_bytes += shown.bytes.len;
        uint8_t out[32];
        struct writer w = writer_of(out, sizeof(out));
        exec_client_ack_encode(&(struct exec_client_ack){.out = t.out_bytes}, &w);
        event_add(
            (struct event){
                .kind = EV_SEND, .node = 0, .handle = CLIENT, .type = EXEC_MSG_CLIENT_ACK},
            1, writer_slice(&w));
    } else if (a->type == EXEC_MSG_TASK) {
        CHECK_OK(exec_task_rows_decode(a->body, &rows));
        struct cbor_reader it = exec_task_rows_begin(&rows);
        for (uint32_t i = 0; i < rows.n; i++) {
            struct exec_task_row r = exec_task_row_next(&it);
            CHECK_EQ(t.n_rows[r.task], 0); /* told of once */
            t.n_rows[r.task]++;
        }
    } else if (a->type == EXEC_MSG_END) {
        CHECK_OK(exec_end_decode(a->body, &t.end));
        CHECK(!t.has_ended);
        t.has_ended = true;
    }
    CHECK(a->type != EXEC_MSG_ERROR);
}

static inline void on_send(uint8_t node, const struct exec_action_send *a)
{
    if (a->handle == CLIENT) {
        on_client_message(a);
        return;
    }
    struct stream *s = stream_at(node, a->handle);
    if (s == NULL) {
        return; /* broken meanwhile */
    }
    bool is_near = s->from == node && s->near == a->handle;
    event_add((struct event){.kind = EV_SEND,
                             .node = is_near ? s->to : s->from,
                             .handle = is_near ? s->far : s->near,
                             .type = a->type},
              s->from == s->to ? 0 : 200, a->body);
}

static inline void on_close(uint8_t node, const struct exec_action_close *a)
{
    struct stream *s = stream_at(node, a->handle);
    if (s == NULL) {
        return;
    }
    bool is_near = s->from == node && s->near == a->handle;
    s->is_open = false;
    event_add((struct event){.kind = EV_CLOSED,
                             .node = is_near ? s->to : s->from,
                             .handle = is_near ? s->far : s->near,
                             .err = a->err},
              s->from == s->to ? 0 : 200, SLICE_EMPTY);
}

/* "say X" writes X and ends with 0; "fail" ends with 3; "cat" copies stdin. */
static inline void on_spawn(uint8_t node, const struct exec_action_spawn *a)
{
    uint32_t i = 0;
    while (t.processes[i].is_live) {
        i++;
        CHECK(i < ARRAY_LEN(t.processes));
    }
    struct process *p = &t.processes[i];
    const char *word = (const char *)a->argv.data;
    *p = (struct process){
        .is_live = true, .node = node, .attempt = a->attempt, .is_cat = strcmp(word, "cat") == 0};
    for (uint32_t k = 1; k < a->n_argv; k++) {
        word += strlen(word) + 1;
        snprintf(p->text, sizeof(p->text), "%s", word);
    }
    if (strcmp((const char *)a->argv.data, "fail") == 0) {
        memcpy(p->text, "fail", 5);
    }
    t.n_started++;
    event_add((struct event){.kind = EV_STARTED, .node = node, .attempt = a->attempt}, 500,
              SLICE_EMPTY);
    if (!p->is_cat) {
        event_add((struct event){.kind = EV_EXIT, .node = node, .attempt = a->attempt, .type = 0},
                  1000 + rng_below(&t.rng, 200000), slice_text(p->text));
    }
}

static inline struct process *process_at(uint8_t node, uint64_t attempt)
{
    for (uint32_t i = 0; i < ARRAY_LEN(t.processes); i++) {
        struct process *p = &t.processes[i];
        if (p->is_live && p->node == node && p->attempt == attempt) {
            return p;
        }
    }
    return NULL;
}

static inline struct object *object_at(uint8_t node, uint64_t id, bool make)
{
    for (uint32_t i = 0; i < t.n_objects; i++) {
        if (t.objects[i].node == node && t.objects[i].id == id) {
            return &t.objects[i];
        }
    }
    if (!make) {
        return NULL;
    }
    CHECK(t.n_objects < ARRAY_LEN(t.objects));
    t.objects[t.n_objects] = (struct object){.node = node, .id = id};
    return &t.objects[t.n_objects++];
}

static inline void on_store(uint8_t node, const struct exec_action *a)
{
    struct object *o = object_at(node, a->store.object, a->kind == EXEC_STORE);
    if (a->kind == EXEC_STORE) {
        CHECK(o->len + a->store.bytes.len <= sizeof(o->bytes));
        memcpy(o->bytes + o->len, a->store.bytes.data, a->store.bytes.len);
        o->len += a->store.bytes.len;
        event_add((struct event){.kind = EV_STORED, .node = node, .object = a->store.object}, 50,
                  SLICE_EMPTY);
    } else if (a->kind == EXEC_LOAD) {
        CHECK(o != NULL && a->store.offset + a->store.len <= o->len);
        event_add((struct event){.kind = EV_LOADED,
                                 .node = node,
                                 .object = a->store.object,
                                 .attempt = a->store.offset},
                  50, slice_of(o->bytes + a->store.offset, a->store.len));
    } else if (o != NULL) {
        *o = t.objects[--t.n_objects];
    }
}

static inline void drain(uint8_t node)
{
    struct exec_action a;
    while (t.nodes[node] != NULL && exec_poll(t.nodes[node], t.now_us, &a)) {
        if (a.kind == EXEC_DGRAM) {
            event_add((struct event){.kind = EV_DGRAM,
                                     .node = node_of(&a.dgram.to),
                                     .from = node,
                                     .type = a.dgram.type,
                                     .req_id = a.dgram.req_id},
                      node_of(&a.dgram.to) == node ? 0 : 200, a.dgram.body);
        } else if (a.kind == EXEC_STREAM_OPEN) {
            on_open(node, &a.open);
        } else if (a.kind == EXEC_STREAM_SEND) {
            on_send(node, &a.send);
        } else if (a.kind == EXEC_STREAM_CLOSE) {
            on_close(node, &a.close);
        } else if (a.kind == EXEC_SPAWN) {
            on_spawn(node, &a.spawn);
        } else if (a.kind == EXEC_KILL) {
            event_add((struct event){.kind = EV_EXIT,
                                     .node = node,
                                     .attempt = a.kill.attempt,
                                     .type = a.kill.signal},
                      300, SLICE_EMPTY);
        } else if (a.kind == EXEC_STDIN) {
            event_add((struct event){.kind = EV_STDIN, .node = node, .attempt = a.input.attempt},
                      100, a.input.bytes);
        } else if (a.kind == EXEC_STDIN_EOF) {
            event_add((struct event){.kind = EV_EXIT, .node = node, .attempt = a.input.attempt},
                      400, SLICE_EMPTY);
        } else if (a.kind == EXEC_STORE || a.kind == EXEC_LOAD || a.kind == EXEC_DROP) {
            on_store(node, &a);
        }
    }
    if (t.nodes[node] != NULL) {
        exec_check(t.nodes[node]);
    }
}

static inline void process_ends(struct exec *x, const struct event *e)
{
    struct process *p = process_at(e->node, e->attempt);
    if (p == NULL) {
        return;
    }
    bool is_fail = strcmp(p->text, "fail") == 0;
    p->is_live = false;
    if (e->type == 0 && e->bytes.len > 0 && !is_fail) {
        exec_on_output(x, t.now_us, e->attempt, 1, e->bytes, false);
    }
    exec_on_output(x, t.now_us, e->attempt, 1, SLICE_EMPTY, true);
    exec_on_output(x, t.now_us, e->attempt, 2, SLICE_EMPTY, true);
    exec_on_exit(x, t.now_us, e->attempt, is_fail ? 3 : 0, e->type, 700);
}

static inline void event_run(const struct event *e)
{
    struct exec *x = t.nodes[e->node];
    if (x == NULL) {
        return;
    }
    switch (e->kind) {
    case EV_DGRAM:
        exec_recv(x, t.now_us, &t.facts[e->from], e->type, e->req_id, e->bytes);
        break;
    case EV_OPEN:
        if (stream_at(e->node, e->handle) != NULL) {
            exec_on_stream(x, t.now_us, &t.facts[e->from], e->handle, e->type);
        }
        break;
    case EV_SEND:
        if (e->handle == CLIENT) {
            exec_on_client_message(x, t.now_us, CLIENT, e->type, e->bytes);
        } else {
            exec_on_stream_message(x, t.now_us, e->handle, e->type, e->bytes);
        }
        break;
    case EV_CLOSED:
        exec_on_stream_closed(x, t.now_us, e->handle, e->err);
        break;
    case EV_STARTED:
        exec_on_started(x, t.now_us, e->attempt, IPX_OK);
        break;
    case EV_STDIN:
        if (process_at(e->node, e->attempt) != NULL) {
            exec_on_output(x, t.now_us, e->attempt, 1, e->bytes, false);
            exec_on_stdin_taken(x, t.now_us, e->attempt);
        }
        break;
    case EV_EXIT:
        process_ends(x, e);
        break;
    case EV_STORED:
        exec_on_stored(x, t.now_us, e->object, IPX_OK);
        break;
    case EV_LOADED:
        exec_on_loaded(x, t.now_us, e->object, e->attempt, e->bytes);
        break;
    }
    drain(e->node);
}

/* Runs the earliest thing that is due; false when nothing is before `end_us`. */
static inline bool step(uint64_t end_us)
{
    uint64_t due_us = end_us;
    uint32_t event = UINT32_MAX, node = UINT32_MAX;
    for (uint32_t i = 0; i < t.n_events; i++) {
        const struct event *e = &t.events[i];
        if (e->at_us < due_us ||
            (e->at_us == due_us && event != UINT32_MAX && e->order < t.events[event].order)) {
            due_us = e->at_us;
            event = i;
        }
    }
    for (uint32_t i = 0; i < NODES; i++) {
        if (t.nodes[i] != NULL && exec_deadline(t.nodes[i]) < due_us) {
            due_us = exec_deadline(t.nodes[i]);
            node = i;
        }
    }
    if (event == UINT32_MAX && node == UINT32_MAX) {
        t.now_us = end_us;
        return false;
    }
    t.now_us = IPX_MAX(t.now_us, due_us);
    if (node != UINT32_MAX) {
        exec_tick(t.nodes[node], t.now_us);
        drain((uint8_t)node);
        return true;
    }
    struct event e = t.events[event];
    t.events[event] = t.events[--t.n_events];
    event_run(&e);
    void *bytes = NULL;
    memcpy(&bytes, &e.bytes.data, sizeof(bytes));
    mem_free(&t.mem_net, bytes);
    return true;
}

static inline void peers_tell(uint8_t about)
{
    struct ad_builder *ab = ad_builder_new(&t.mem_net);
    struct ad *ad;
    CHECK_OK(ad_builder_finish(ab, &ad));
    ad_builder_free(ab);
    for (uint8_t i = 0; i < NODES; i++) {
        struct exec_vitals v;
        if (t.nodes[i] == NULL || t.nodes[about] == NULL) {
            continue;
        }
        exec_vitals(t.nodes[about], &v);
        exec_on_peer(t.nodes[i], t.now_us, &t.facts[about], ad, &v, i == about ? 0 : 400);
        drain(i);
    }
    ad_unref(ad);
}

static inline void net_init(uint64_t seed)
{
    memset(&t, 0, sizeof(t));
    mem_init(&t.mem, SIZE_MAX);
    mem_init(&t.mem_net, SIZE_MAX);
    CHECK_OK(crypt_init());
    rng_init_int(&t.rng, seed);
    t.now_us = 1000 * US_PER_S;
    t.next_far = UINT32_C(0x80000000);
    struct query *accept;
    CHECK_OK(query_compile(slice_text("true"), &t.mem, &accept, NULL));
    for (uint8_t i = 0; i < NODES; i++) {
        uint8_t bytes[32];
        do {
            rng_fill(&t.rng, bytes, sizeof(bytes));
        } while (crypt_keypair_from_seed(bytes, &t.keys[i]) != IPX_OK);
        t.facts[i] = (struct cert_facts){.id = t.keys[i].pk, .caps = CERT_ROLE_NODE};
        snprintf(t.facts[i].name, sizeof(t.facts[i].name), "n%u", i);
        memcpy(t.facts[i].lab, "bio", 4);
        struct exec_config c = {.key = &t.keys[i], .self = t.facts[i], .rng = &t.rng, .n_slots = 2};
        CHECK_OK(exec_new(&c, &t.mem, &t.nodes[i]));
        exec_set_accept(t.nodes[i], accept);
        exec_on_clock(t.nodes[i], t.now_us, 1700000000000);
    }
    query_unref(accept);
    for (uint8_t i = 0; i < NODES; i++) {
        peers_tell(i);
    }
}

static inline void net_done(void)
{
    for (uint8_t i = 0; i < NODES; i++) {
        exec_free(t.nodes[i]);
    }
    for (uint32_t i = 0; i < t.n_events; i++) {
        void *bytes = NULL;
        memcpy(&bytes, &t.events[i].bytes.data, sizeof(bytes));
        mem_free(&t.mem_net, bytes);
    }
    CHECK_EQ(t.mem.used, 0);
    CHECK_EQ(t.mem_net.used, 0);
}
