/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated process table and store: commands are words that the world understands.
 *
 *   true | false | exit N | sleep MS | echo TEXT.. | cat | big BYTES | absent
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/oracle.h"

#define START_US 200
#define OBJECT_SLOTS 4096

static struct world_process *find(struct world *w, unsigned node, uint64_t attempt)
{
    struct world_process *p;
    struct list *next;
    LIST_EACH(p, next, &w->processes, struct world_process, list)
    {
        if (p->node == node && p->attempt == attempt) {
            return p;
        }
    }
    return NULL;
}

static void forget(struct world *w, struct world_process *p)
{
    list_unlink(&p->list);
    mem_free(&w->mem, p->out);
    mem_free(&w->mem, p);
}

void world_kill_processes(struct world *w, unsigned node)
{
    struct world_process *p;
    struct list *next;
    LIST_EACH(p, next, &w->processes, struct world_process, list)
    {
        if (p->node == node) {
            forget(w, p);
        }
    }
}

/* --- a process's life: started, its output in pieces as it is read, its end --- */

static void advance(struct world *w, struct world_process *p)
{
    struct world_node *n = &w->nodes[p->node];
    struct exec *x = node_exec(n->node, world_local_us(n));
    uint64_t attempt = p->attempt;
    if (!p->is_over || p->is_paused) {
        return;
    }
    if (p->out_at < p->out_len) {
        size_t len = IPX_MIN(p->out_len - p->out_at, (size_t)65536);
        size_t at = p->out_at;
        p->out_at += len;
        p->is_paused = true;
        exec_on_output(x, world_local_us(n), attempt, 1, slice_of(p->out + at, len), false);
        return;
    }
    uint8_t code = p->code, signal = p->signal;
    forget(w, p);
    exec_on_output(x, world_local_us(n), attempt, 1, SLICE_EMPTY, true);
    exec_on_output(x, world_local_us(n), attempt, 2, SLICE_EMPTY, true);
    exec_on_exit(x, world_local_us(n), attempt, code, signal, 100);
}

static struct world_process *of_event(struct world *w, const struct event *e)
{
    struct world_node *n = &w->nodes[e->node];
    uint64_t attempt;
    memcpy(&attempt, &e->len, sizeof(attempt));
    bool is_now = n->node != NULL && n->run == e->boot && !world_holds(n, e);
    return is_now ? find(w, e->node, attempt) : NULL;
}

static void run_end(void *user, struct event *e)
{
    struct world *w = user;
    struct world_process *p = of_event(w, e);
    if (p != NULL && !p->is_over) {
        p->is_over = true;
        advance(w, p);
        world_drain(w, &w->nodes[e->node]);
    }
}

static void run_started(void *user, struct event *e)
{
    struct world *w = user;
    struct world_process *p = of_event(w, e);
    if (p == NULL) {
        return;
    }
    struct world_node *n = &w->nodes[e->node];
    if (p->is_absent) {
        uint64_t attempt = p->attempt;
        forget(w, p);
        exec_on_started(node_exec(n->node, world_local_us(n)), world_local_us(n), attempt,
                        IPX_NOT_FOUND);
    } else {
        exec_on_started(node_exec(n->node, world_local_us(n)), world_local_us(n), p->attempt,
                        IPX_OK);
        if (!p->reads_stdin) {
            heap_push(&w->heap, &(struct event){.due_us = w->now_us + p->run_us,
                                                .run = run_end,
                                                .node = e->node,
                                                .boot = e->boot,
                                                .len = e->len});
        }
    }
    world_drain(w, n);
}

static void set_output(struct world *w, struct world_process *p, const char *text, size_t len)
{
    p->out = mem_dup(&w->mem, text, len);
    p->out_len = len;
}

static void understand(struct world *w, struct world_process *p, char *const *argv, uint32_t argc)
{
    const char *verb = argv[0];
    unsigned long number = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    char text[256];
    p->run_us = 1000;
    if (strcmp(verb, "false") == 0) {
        p->code = 1;
    } else if (strcmp(verb, "exit") == 0) {
        p->code = (uint8_t)number;
    } else if (strcmp(verb, "sleep") == 0) {
        p->run_us = number * US_PER_MS;
    } else if (strcmp(verb, "echo") == 0) {
        int len = snprintf(text, sizeof(text), "%s\n", argc > 1 ? argv[1] : "");
        set_output(w, p, text, (size_t)len);
    } else if (strcmp(verb, "big") == 0) {
        p->out = mem_alloc(&w->mem, number);
        p->out_len = number;
    } else if (strcmp(verb, "cat") == 0) {
        p->reads_stdin = true;
    } else if (strcmp(verb, "true") != 0) {
        p->is_absent = true;
    }
}

static void spawn(struct world *w, struct world_node *n, const struct exec_action_spawn *s)
{
    char *argv[8];
    char text[1024];
    struct world_process *p = mem_alloc(&w->mem, sizeof(*p));
    assert(p != NULL && s->argv.len <= sizeof(text) && s->n_argv >= 1);
    memcpy(text, s->argv.data, s->argv.len);
    size_t at = 0;
    uint32_t argc = IPX_MIN(s->n_argv, 8u);
    for (uint32_t i = 0; i < argc; i++) {
        argv[i] = text + at;
        at += strlen(text + at) + 1;
    }
    p->node = n->index;
    p->attempt = s->attempt;
    list_push_back(&w->processes, &p->list);
    oracle_on_spawn(w, n, s->attempt);
    understand(w, p, argv, argc);
    struct event e = {
        .due_us = w->now_us + START_US, .run = run_started, .node = n->index, .boot = n->run};
    memcpy(&e.len, &p->attempt, sizeof(e.len));
    heap_push(&w->heap, &e);
}

static void kill_process(struct world *w, const struct world_node *n,
                         const struct exec_action_kill *k)
{
    struct world_process *p = find(w, n->index, k->attempt);
    if (p == NULL || p->is_over) {
        return;
    }
    p->signal = k->signal;
    p->code = 0;
    struct event e = {.due_us = w->now_us + 100, .run = run_end, .node = n->index, .boot = n->run};
    memcpy(&e.len, &p->attempt, sizeof(e.len));
    heap_push(&w->heap, &e);
}

static void take_stdin(struct world *w, struct world_node *n, const struct exec_action_stdin *in,
                       bool is_end)
{
    struct world_process *p = find(w, n->index, in->attempt);
    if (p == NULL) {
        return;
    }
    if (in->bytes.len > 0) {
        p->out = mem_realloc(&w->mem, p->out, p->out_len + in->bytes.len);
        assert(p->out != NULL);
        memcpy(p->out + p->out_len, in->bytes.data, in->bytes.len);
        p->out_len += in->bytes.len;
        exec_on_stdin_taken(node_exec(n->node, world_local_us(n)), world_local_us(n), in->attempt);
    }
    if (is_end) {
        struct event e = {
            .due_us = w->now_us + 100, .run = run_end, .node = n->index, .boot = n->run};
        memcpy(&e.len, &p->attempt, sizeof(e.len));
        heap_push(&w->heap, &e);
    }
}

/* --- the store: objects of a node, in memory --- */

static struct world_object *object_of(struct world *w, unsigned node, uint64_t number, bool makes)
{
    struct world_object *o;
    struct list *next;
    struct list *head = &w->nodes[node].objects;
    LIST_EACH(o, next, head, struct world_object, list)
    {
        if (o->number == number) {
            return o;
        }
    }
    if (!makes) {
        return NULL;
    }
    o = mem_alloc(&w->mem, sizeof(*o));
    assert(o != NULL);
    o->number = number;
    list_push_back(head, &o->list);
    return o;
}

static void drop_object(struct world *w, struct world_object *o)
{
    list_unlink(&o->list);
    mem_free(&w->mem, o->bytes);
    mem_free(&w->mem, o);
}

void world_drop_objects(struct world *w, unsigned node)
{
    struct world_object *o;
    struct list *next;
    LIST_EACH(o, next, &w->nodes[node].objects, struct world_object, list)
    {
        drop_object(w, o);
    }
}

static void store(struct world *w, struct world_node *n, const struct exec_action_store *s)
{
    struct world_object *o = object_of(w, n->index, s->object, true);
    o->bytes = mem_realloc(&w->mem, o->bytes, o->len + s->bytes.len);
    assert(o->bytes != NULL);
    memcpy(o->bytes + o->len, s->bytes.data, s->bytes.len);
    o->len += s->bytes.len;
    exec_on_stored(node_exec(n->node, world_local_us(n)), world_local_us(n), s->object, IPX_OK);
}

static void load(struct world *w, struct world_node *n, const struct exec_action_store *s)
{
    struct world_object *o = object_of(w, n->index, s->object, false);
    struct slice bytes = SLICE_EMPTY;
    if (o != NULL && s->offset <= o->len) {
        size_t len = IPX_MIN((size_t)s->len, o->len - (size_t)s->offset);
        bytes = slice_of(o->bytes + s->offset, len);
    }
    exec_on_loaded(node_exec(n->node, world_local_us(n)), world_local_us(n), s->object, s->offset,
                   bytes);
}

void world_exec(struct world *w, struct world_node *n, const struct exec_action *a)
{
    struct world_process *p;
    struct world_object *o;
    switch (a->kind) {
    case EXEC_SPAWN:
        spawn(w, n, &a->spawn);
        break;
    case EXEC_KILL:
        kill_process(w, n, &a->kill);
        break;
    case EXEC_STDIN:
    case EXEC_STDIN_EOF:
        take_stdin(w, n, &a->input, a->kind == EXEC_STDIN_EOF);
        break;
    case EXEC_READ_MORE:
        p = find(w, n->index, a->read.attempt);
        if (p != NULL && a->read.fd == 1) {
            p->is_paused = false;
            advance(w, p);
        }
        break;
    case EXEC_STORE:
        store(w, n, &a->store);
        break;
    case EXEC_LOAD:
        load(w, n, &a->store);
        break;
    case EXEC_DROP:
        o = object_of(w, n->index, a->store.object, false);
        if (o != NULL) {
            drop_object(w, o);
        }
        break;
    case EXEC_DGRAM:
    case EXEC_STREAM_OPEN:
    case EXEC_STREAM_SEND:
    case EXEC_STREAM_CLOSE:
    case EXEC_SOURCES_CHANGED:
    case EXEC_JOB_CHANGED:
        assert(false); /* the node keeps these to itself */
        break;
    }
}
