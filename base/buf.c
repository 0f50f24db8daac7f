/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#define BUF_CAP_FIRST 64  /* most control messages fit */
#define BUF_KEEP_MAX 4096 /* what an empty buf keeps: steady traffic does not churn */

void buf_init(struct buf *b, struct mem *mem, size_t cap_max)
{
    assert(mem != NULL);
    *b = (struct buf){.mem = mem, .cap_max = cap_max};
}

static void buf_free_data(struct buf *b)
{
    mem_free(b->mem, b->data);
    b->data = NULL;
    b->start = 0;
    b->len = 0;
    b->cap = 0;
}

void buf_done(struct buf *b)
{
    if (b->data != NULL) {
        buf_free_data(b);
    }
}

static void buf_move_to_front(struct buf *b)
{
    if (b->start > 0 && b->len > 0) {
        memmove(b->data, b->data + b->start, b->len);
    }
    b->start = 0;
}

/* Allocates room for `need` bytes, moving the content to its front. A quarter over cap_max lets a
 * queue that is always nearly full move its content once a quarter instead of at each append. */
static bool buf_grow(struct buf *b, size_t need)
{
    size_t cap_top = b->cap_max <= SIZE_MAX - b->cap_max / 4 ? b->cap_max + b->cap_max / 4 : need;
    size_t cap = b->cap <= SIZE_MAX / 2 ? b->cap * 2 : cap_top;
    cap = IPX_MIN(IPX_MAX(cap, BUF_CAP_FIRST), cap_top);
    cap = IPX_MAX(cap, need);
    if (cap <= b->cap) {
        return false;
    }
    uint8_t *data = mem_alloc(b->mem, cap);
    if (data == NULL) {
        return false;
    }
    if (b->len > 0) {
        memcpy(data, b->data + b->start, b->len);
    }
    mem_free(b->mem, b->data);
    b->data = data;
    b->cap = cap;
    b->start = 0;
    return true;
}

/* Makes room for `len` more bytes behind the content. */
static enum ipx_err buf_make_room(struct buf *b, size_t len)
{
    assert(b->len <= b->cap_max);
    if (len > b->cap_max - b->len) {
        return IPX_FULL;
    }
    size_t need = b->len + len;
    if (b->data != NULL && need <= b->cap - b->start) {
        return IPX_OK;
    }
    bool is_move_cheap = b->start >= b->len && need <= b->cap && b->data != NULL;
    if (is_move_cheap || !buf_grow(b, need)) {
        if (b->data == NULL || need > b->cap) {
            return IPX_NO_MEMORY;
        }
        buf_move_to_front(b);
    }
    assert(need <= b->cap - b->start);
    return IPX_OK;
}

enum ipx_err buf_append(struct buf *b, struct slice s)
{
    if (s.len == 0) {
        return IPX_OK;
    }
    enum ipx_err err = buf_make_room(b, s.len);
    if (err != IPX_OK) {
        return err;
    }
    memcpy(b->data + b->start + b->len, s.data, s.len);
    b->len += s.len;
    return IPX_OK;
}

uint8_t *buf_extend(struct buf *b, size_t len)
{
    if (buf_make_room(b, len) != IPX_OK) {
        return NULL;
    }
    uint8_t *p = b->data + b->start + b->len;
    b->len += len;
    return p;
}

void buf_shrink(struct buf *b, size_t len)
{
    assert(len <= b->len);
    b->len -= len;
}

void buf_consume(struct buf *b, size_t len)
{
    assert(len <= b->len);
    b->len -= len;
    b->start += len;
    if (b->len > 0) {
        return;
    }
    b->start = 0;
    if (b->cap > BUF_KEEP_MAX) {
        buf_free_data(b);
    }
}

void buf_clear(struct buf *b)
{
    buf_consume(b, b->len);
}

struct slice buf_slice(const struct buf *b)
{
    return b->len == 0 ? SLICE_EMPTY : slice_of(b->data + b->start, b->len);
}
