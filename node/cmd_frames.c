/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cmd_frames.h"

#include <time.h>

enum ipx_err frames_init(struct frames *f, struct client *client, struct mem *mem)
{
    f->client = client;
    buf_init(&f->bytes, mem, 4 * FRAMES_PENDING_MAX);
    f->raw = mem_alloc(mem, EXEC_BODY_MAX);
    f->body = mem_alloc(mem, EXEC_BODY_MAX);
    return f->raw != NULL && f->body != NULL ? IPX_OK : IPX_NO_MEMORY;
}

void frames_done(struct frames *f, struct mem *mem)
{
    buf_done(&f->bytes);
    mem_free(mem, f->raw);
    mem_free(mem, f->body);
}

bool frames_has_room(const struct frames *f)
{
    return f->bytes.len < FRAMES_PENDING_MAX && !f->is_end;
}

bool frames_add(struct frames *f, struct slice bytes)
{
    return buf_append(&f->bytes, bytes) == IPX_OK;
}

/* The next whole frame: where it lies, and how many bytes it took. False: none yet. */
static bool next_frame(struct frames *f, struct slice *ret, size_t *ret_taken)
{
    struct slice s = buf_slice(&f->bytes);
    size_t head = 0, len = 0, tail = 0;
    if (f->framing == SOURCE_FRAMING_SIZE) {
        len = f->size;
    } else if (f->framing == SOURCE_FRAMING_LENGTH) {
        head = 4;
        len = s.len >= 4 ? load_be32(s.data) : 0;
    } else {
        const uint8_t *end = s.len > 0 ? memchr(s.data, '\n', s.len) : NULL;
        tail = end != NULL;
        len = end != NULL ? (size_t)(end - s.data) : s.len;
        if (end == NULL && (!f->is_end || s.len == 0)) {
            f->is_too_long = s.len > SOURCE_FRAME_MAX;
            return false;
        }
    }
    if (len > SOURCE_FRAME_MAX) {
        f->is_too_long = true;
        return false;
    }
    if (s.len < head + len + tail || s.len < head) {
        return false;
    }
    *ret = slice_of(s.data + head, len);
    *ret_taken = head + len + tail;
    return true;
}

void frames_restart(struct frames *f)
{
    buf_clear(&f->bytes);
}

bool frames_is_empty(const struct frames *f)
{
    struct frames copy = *f; /* looks only */
    struct slice frame;
    size_t taken;
    return !next_frame(&copy, &frame, &taken);
}

static int64_t wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static bool has_credit(const struct frames *f)
{
    return f->used.bytes < f->credit.bytes && f->used.frames < f->credit.frames;
}

/* One message of as many frames as go; 0 if none does. */
static uint32_t fill(struct frames *f, struct source_frames *m)
{
    struct writer w = writer_of(f->raw, EXEC_BODY_MAX);
    struct slice frame;
    size_t taken;
    *m = (struct source_frames){.first = f->seq};
    while (m->n < SOURCE_BATCH_MAX && w.len < SOURCE_BATCH_BYTES && has_credit(f) &&
           next_frame(f, &frame, &taken)) {
        if (m->n > 0 && w.len + frame.len + 64 > EXEC_BODY_MAX - 256) {
            break;
        }
        source_frame_encode(&(struct source_frame){.time_us = wall_us(), .bytes = frame}, &w);
        m->n++;
        m->cost += frame.len + SOURCE_FRAME_COST;
        f->used.bytes += frame.len + SOURCE_FRAME_COST;
        f->used.frames++;
        buf_consume(&f->bytes, taken);
    }
    m->raw = writer_slice(&w);
    return m->n;
}

bool frames_send(struct frames *f)
{
    struct source_frames m;
    while (fill(f, &m) > 0) {
        struct writer w = writer_of(f->body, EXEC_BODY_MAX);
        source_frames_encode(&m, &w);
        if (w.failed || !local_send(f->client, SOURCE_MSG_FRAMES, writer_slice(&w))) {
            return false;
        }
        f->seq += m.n;
    }
    return true;
}
