/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/out.h"

#define OUT_RING_MIN 64u

void out_init(struct exec_out *o, struct mem *mem)
{
    *o = (struct exec_out){.mem = mem};
}

void out_done(struct exec_out *o)
{
    for (uint32_t i = 0; i < o->n; i++) {
        mem_free(o->mem, o->ring[(o->head + i) & (o->cap - 1)].bytes);
    }
    mem_free(o->mem, o->given);
    mem_free(o->mem, o->ring);
    *o = (struct exec_out){.mem = o->mem};
}

/* Doubles the ring and lays it out from 0. */
static bool ring_grow(struct exec_out *o)
{
    uint32_t cap = o->cap == 0 ? OUT_RING_MIN : o->cap * 2;
    struct out_item *ring = mem_alloc_array(o->mem, cap, sizeof(*ring));
    if (ring == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < o->n; i++) {
        ring[i] = o->ring[(o->head + i) & (o->cap - 1)];
    }
    mem_free(o->mem, o->ring);
    o->ring = ring;
    o->cap = cap;
    o->head = 0;
    return true;
}

/* A place at the end with a copy of two byte strings in one block; NULL without memory. */
static struct exec_action *push(struct exec_out *o, enum exec_action_kind kind, struct slice a,
                                struct slice b, struct slice *ret_a, struct slice *ret_b)
{
    uint8_t *bytes = NULL;
    if (o->n == o->cap && !ring_grow(o)) {
        o->n_lost++;
        return NULL;
    }
    if (a.len + b.len > 0) {
        bytes = mem_alloc(o->mem, a.len + b.len);
        if (bytes == NULL) {
            o->n_lost++;
            return NULL;
        }
    }
    struct out_item *item = &o->ring[(o->head + o->n) & (o->cap - 1)];
    *item = (struct out_item){.action = {.kind = kind}, .bytes = bytes};
    o->n++;
    if (bytes != NULL && a.len > 0) {
        memcpy(bytes, a.data, a.len);
    }
    if (bytes != NULL && b.len > 0) {
        memcpy(bytes + a.len, b.data, b.len);
    }
    if (ret_a != NULL) {
        *ret_a = slice_of(bytes, a.len);
    }
    if (ret_b != NULL) {
        *ret_b = b.len > 0 ? slice_of(bytes + a.len, b.len) : SLICE_EMPTY;
    }
    return &item->action;
}

static struct exec_action *push_bare(struct exec_out *o, enum exec_action_kind kind)
{
    return push(o, kind, SLICE_EMPTY, SLICE_EMPTY, NULL, NULL);
}

bool out_poll(struct exec_out *o, struct exec_action *ret)
{
    mem_free(o->mem, o->given);
    o->given = NULL;
    if (o->n == 0) {
        return false;
    }
    struct out_item *item = &o->ring[o->head];
    o->head = (o->head + 1) & (o->cap - 1);
    o->n--;
    o->given = item->bytes;
    *ret = item->action;
    return true;
}

static void note_broken(struct exec_out *o, uint32_t handle)
{
    for (uint32_t i = 0; i < o->n_broken; i++) {
        if (o->broken[i] == handle) {
            return;
        }
    }
    if (o->n_broken < OUT_BROKEN_MAX) {
        o->broken[o->n_broken++] = handle;
    }
}

uint32_t out_take_broken(struct exec_out *o)
{
    return o->n_broken > 0 ? o->broken[--o->n_broken] : 0;
}

void out_dgram(struct exec_out *o, const struct node_id *to, uint8_t type, uint32_t req_id,
               struct slice body)
{
    struct slice copy;
    struct exec_action *a = push(o, EXEC_DGRAM, body, SLICE_EMPTY, &copy, NULL);
    if (a != NULL) {
        a->dgram = (struct exec_action_dgram){*to, type, req_id, copy};
    }
}

void out_stream_open(struct exec_out *o, uint32_t handle, const struct node_id *to,
                     uint8_t protocol)
{
    struct exec_action *a = push_bare(o, EXEC_STREAM_OPEN);
    if (a == NULL) {
        note_broken(o, handle);
        return;
    }
    a->open = (struct exec_action_open){handle, *to, protocol};
}

void out_stream_send(struct exec_out *o, uint32_t handle, uint8_t type, enum exec_class class,
                     struct slice body)
{
    struct slice copy;
    assert(body.len <= EXEC_BODY_MAX);
    struct exec_action *a = push(o, EXEC_STREAM_SEND, body, SLICE_EMPTY, &copy, NULL);
    if (a == NULL) {
        note_broken(o, handle);
        return;
    }
    a->send = (struct exec_action_send){handle, type, class, copy};
}

void out_stream_close(struct exec_out *o, uint32_t handle, enum ipx_err err)
{
    struct exec_action *a = push_bare(o, EXEC_STREAM_CLOSE);
    if (a != NULL) {
        a->close = (struct exec_action_close){handle, err};
    }
}

enum ipx_err out_spawn(struct exec_out *o, const struct exec_action_spawn *spawn)
{
    struct slice argv, env;
    struct exec_action *a = push(o, EXEC_SPAWN, spawn->argv, spawn->env, &argv, &env);
    if (a == NULL) {
        return IPX_NO_MEMORY;
    }
    a->spawn = *spawn;
    a->spawn.argv = argv;
    a->spawn.env = env;
    return IPX_OK;
}

enum ipx_err out_stdin(struct exec_out *o, uint64_t attempt, struct slice bytes)
{
    struct slice copy;
    struct exec_action *a = push(o, EXEC_STDIN, bytes, SLICE_EMPTY, &copy, NULL);
    if (a == NULL) {
        return IPX_NO_MEMORY;
    }
    a->input = (struct exec_action_stdin){attempt, copy};
    return IPX_OK;
}

enum ipx_err out_store(struct exec_out *o, uint64_t object, struct slice bytes)
{
    struct slice copy;
    struct exec_action *a = push(o, EXEC_STORE, bytes, SLICE_EMPTY, &copy, NULL);
    if (a == NULL) {
        return IPX_NO_MEMORY;
    }
    a->store = (struct exec_action_store){.object = object, .bytes = copy};
    return IPX_OK;
}

void out_stdin_eof(struct exec_out *o, uint64_t attempt)
{
    struct exec_action *a = push_bare(o, EXEC_STDIN_EOF);
    if (a != NULL) {
        a->input = (struct exec_action_stdin){attempt, SLICE_EMPTY};
    }
}

void out_kill(struct exec_out *o, uint64_t attempt, uint8_t signal)
{
    struct exec_action *a = push_bare(o, EXEC_KILL);
    if (a != NULL) {
        a->kill = (struct exec_action_kill){attempt, signal};
    }
}

void out_read_more(struct exec_out *o, uint64_t attempt, uint8_t fd)
{
    struct exec_action *a = push_bare(o, EXEC_READ_MORE);
    if (a != NULL) {
        a->read = (struct exec_action_read){attempt, fd};
    }
}

void out_load(struct exec_out *o, uint64_t object, uint64_t offset, uint32_t len)
{
    struct exec_action *a = push_bare(o, EXEC_LOAD);
    if (a != NULL) {
        a->store = (struct exec_action_store){.object = object, .offset = offset, .len = len};
    }
}

void out_drop(struct exec_out *o, uint64_t object)
{
    struct exec_action *a = push_bare(o, EXEC_DROP);
    if (a != NULL) {
        a->store = (struct exec_action_store){.object = object};
    }
}

void out_sources_changed(struct exec_out *o)
{
    (void)push_bare(o, EXEC_SOURCES_CHANGED);
}

void out_job_changed(struct exec_out *o, const struct exec_action_job *job)
{
    struct exec_action *a = push_bare(o, EXEC_JOB_CHANGED);
    if (a != NULL) {
        a->job = *job;
    }
}
