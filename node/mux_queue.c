/* SPDX-License-Identifier: Apache-2.0 */
#include "node/mux_queue.h"

#define MUX_CHUNK_MIN 496   /* with the header 512: a few small messages */
#define MUX_CHUNK_MAX 65536 /* a filling queue takes memory in steps of at most this */

struct mux_chunk {
    struct mux_chunk *next;
    size_t start, end, cap; /* content is data[start .. end) */
    uint8_t data[];
};

/* A chunk at the tail with room for `need` bytes; grows with the queue. */
static enum ipx_err mux_queue_grow(struct mux_queue *q, struct mem *mem, size_t need)
{
    size_t cap = IPX_MIN(IPX_MAX(q->len, MUX_CHUNK_MIN), MUX_CHUNK_MAX);
    cap = IPX_MAX(cap, need);
    struct mux_chunk *chunk = mem_alloc(mem, sizeof(*chunk) + cap);
    if (chunk == NULL) {
        return IPX_NO_MEMORY;
    }
    chunk->cap = cap;
    if (q->tail == NULL) {
        q->head = chunk;
    } else {
        q->tail->next = chunk;
    }
    q->tail = chunk;
    return IPX_OK;
}

/* Fills `chunk`, as much as fits; returns what is left of `s`. */
static struct slice mux_chunk_fill(struct mux_chunk *chunk, struct slice s)
{
    size_t n = chunk == NULL ? 0 : IPX_MIN(s.len, chunk->cap - chunk->end);
    if (n == 0) {
        return s;
    }
    memcpy(chunk->data + chunk->end, s.data, n);
    chunk->end += n;
    return slice_of(s.data + n, s.len - n);
}

enum ipx_err mux_queue_add(struct mux_queue *q, struct mem *mem, struct slice a, struct slice b)
{
    size_t total = a.len + b.len;
    struct mux_chunk *old = q->tail;
    size_t room = old == NULL ? 0 : old->cap - old->end;
    if (total > room) {
        enum ipx_err err = mux_queue_grow(q, mem, total - room);
        if (err != IPX_OK) {
            return err;
        }
    }
    a = mux_chunk_fill(old, a);
    if (a.len == 0) {
        b = mux_chunk_fill(old, b);
    }
    a = mux_chunk_fill(q->tail, a);
    b = mux_chunk_fill(q->tail, b);
    assert(a.len == 0 && b.len == 0);
    q->len += total;
    return IPX_OK;
}

struct slice mux_queue_front(const struct mux_queue *q)
{
    return q->head == NULL
               ? SLICE_EMPTY
               : slice_of(q->head->data + q->head->start, q->head->end - q->head->start);
}

static void mux_queue_pop_chunk(struct mux_queue *q, struct mem *mem)
{
    struct mux_chunk *chunk = q->head;
    q->head = chunk->next;
    if (q->head == NULL) {
        q->tail = NULL;
    }
    mem_free(mem, chunk);
}

void mux_queue_drop(struct mux_queue *q, struct mem *mem, size_t n)
{
    assert(n <= q->len);
    q->len -= n;
    while (n > 0) {
        struct mux_chunk *chunk = q->head;
        size_t part = IPX_MIN(n, chunk->end - chunk->start);
        chunk->start += part;
        n -= part;
        if (chunk->start == chunk->end) {
            mux_queue_pop_chunk(q, mem);
        }
    }
}

void mux_queue_take(struct mux_queue *q, struct mem *mem, uint8_t *out, size_t n)
{
    assert(n <= q->len);
    while (n > 0) {
        struct slice front = mux_queue_front(q);
        size_t part = IPX_MIN(n, front.len);
        memcpy(out, front.data, part);
        mux_queue_drop(q, mem, part);
        out += part;
        n -= part;
    }
}

void mux_queue_done(struct mux_queue *q, struct mem *mem)
{
    while (q->head != NULL) {
        mux_queue_pop_chunk(q, mem);
    }
    q->len = 0;
}

void mux_queue_check(const struct mux_queue *q)
{
    size_t len = 0;
    for (const struct mux_chunk *c = q->head; c != NULL; c = c->next) {
        assert(c->start < c->end && c->end <= c->cap);
        assert(c->next != NULL || c == q->tail);
        len += c->end - c->start;
    }
    assert(len == q->len);
    assert((q->head == NULL) == (q->tail == NULL));
}
