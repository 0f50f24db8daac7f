/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/owner_parts.h"

/* Bytes that attempts wrote: from the place to the store or straight to the client. */

/* --- sinks: bytes into an object, one STORE at a time --- */

bool sink_put(struct owner *o, struct owner_sink *k, struct slice bytes)
{
    assert(k->object != 0);
    if (bytes.len == 0) {
        return true;
    }
    if (k->in_flight > 0) {
        if (buf_append(&k->queue, bytes) != IPX_OK) {
            return false;
        }
    } else if (out_store(&o->core->out, k->object, bytes) == IPX_OK) {
        k->in_flight = (uint32_t)bytes.len;
    } else {
        return false;
    }
    k->got += bytes.len;
    return true;
}

void sink_init(struct owner *o, struct owner_sink *k, uint64_t object)
{
    *k = (struct owner_sink){.object = object};
    /* a window, and what one message may bring beyond it */
    buf_init(&k->queue, o->mem, EXEC_WINDOW + EXEC_CHUNK_MAX);
}

void sink_done(struct owner_sink *k)
{
    if (k->object != 0) {
        buf_done(&k->queue);
    }
    *k = (struct owner_sink){0};
}

/* The next STORE with all that queued meanwhile. False: no memory. */
bool sink_on_stored(struct owner *o, struct owner_sink *k)
{
    k->stored += k->in_flight;
    k->in_flight = 0;
    struct slice more = buf_slice(&k->queue);
    if (more.len == 0) {
        return true;
    }
    if (out_store(&o->core->out, k->object, more) != IPX_OK) {
        return false;
    }
    k->in_flight = (uint32_t)more.len;
    buf_clear(&k->queue);
    return true;
}

/* --- OUTPUT of a place --- */

static void out_ack(struct owner *o, struct owner_seat *s, const struct exec_ack *a)
{
    struct writer w = owner_scratch(o, 0);
    exec_ack_encode(a, &w);
    if (s->handle != 0) {
        out_stream_send(&o->core->out, s->handle, EXEC_MSG_OUT_ACK, EXEC_CLASS_RPC,
                        writer_slice(&w));
    }
}

static void xfer_on_output(struct owner *o, uint64_t now_us, uint32_t xfer,
                           const struct exec_bytes *b)
{
    struct owner_xfer *x = &o->xfers[xfer];
    struct owner_sink *k = &x->sink[b->fd - 1];
    uint64_t end = b->offset + b->bytes.len;
    if (b->offset > k->got || end > x->want[b->fd - 1]) {
        o->core->n_malformed++;
        xfer_fail(o, now_us, xfer);
        return;
    }
    uint64_t skip = k->got - b->offset;
    if (skip >= b->bytes.len) {
        /* sent again over a new link: it hears how far we are */
        out_ack(o, x->seat, &(struct exec_ack){b->id, b->fd, k->stored});
    } else if (!sink_put(o, k, slice_of(b->bytes.data + skip, b->bytes.len - skip))) {
        xfer_fail(o, now_us, xfer);
    }
}

/* Streamed output: to the client, or, when it is gone, to the store. What an earlier attempt of a
 * pure task has shown already is not shown again. */
static bool run_on_output(struct owner *o, struct owner_job *j, const struct exec_bytes *b)
{
    unsigned fd = b->fd - 1u;
    if (b->offset > j->shown[fd]) {
        return false;
    }
    j->seen[fd] = IPX_MAX(j->seen[fd], b->offset + b->bytes.len);
    uint64_t skip = j->shown[fd] - b->offset;
    if (skip >= b->bytes.len) {
        return true;
    }
    struct slice bytes = slice_of(b->bytes.data + skip, b->bytes.len - skip);
    if (j->shown[fd] + bytes.len - j->acked[fd] > EXEC_WINDOW) {
        return false;
    }
    if (j->client != NULL) {
        struct writer w = owner_scratch(o, 0);
        exec_shown_encode(&(struct exec_shown){0, b->fd, bytes}, &w);
        client_send(o, j->client, EXEC_MSG_SHOWN, &w);
    } else {
        if (j->sink[fd].object == 0) {
            sink_init(o, &j->sink[0], task_object(j, 0, 1));
            sink_init(o, &j->sink[1], task_object(j, 0, 2));
            j->stored_base[0] = j->shown[0];
            j->stored_base[1] = j->shown[1];
            j->tasks[0].has_objects = true;
        }
        if (j->is_spool_full) {
            j->acked[fd] += bytes.len; /* it is being ended: nothing more is kept */
        } else if (!sink_put(o, &j->sink[fd], bytes)) {
            return false;
        }
    }
    j->shown[fd] += bytes.len;
    return true;
}

/* False: the place broke the rules of the window, or the bytes could not be kept. */
bool seat_on_output(struct owner *o, uint64_t now_us, struct owner_seat *s,
                    const struct exec_bytes *b)
{
    struct owner_job *j = s->job;
    if (b->id.task >= j->count || b->fd == 0) {
        return false;
    }
    struct owner_task *t = &j->tasks[b->id.task];
    if (t->seat != s->index) {
        return true; /* of an attempt given up */
    }
    if (t->state == OWNER_TASK_STORING && t->result_attempt == b->id.attempt) {
        if (t->link != NO_TASK) { /* else all of it is here and being stored */
            xfer_on_output(o, now_us, t->link, b);
        }
        return true;
    }
    bool is_live = t->state == OWNER_TASK_CLAIMED || t->state == OWNER_TASK_RUNNING;
    if (!is_live || t->attempt != b->id.attempt) {
        return true;
    }
    if (j->submit.mode != EXEC_MODE_RUN || (j->submit.flags & EXEC_SUBMIT_DETACH) != 0) {
        return false; /* captured output comes behind its result */
    }
    bool is_ok = run_on_output(o, j, b);
    job_send_out_acks(o, j);
    return is_ok;
}

/* Tells the place what the client has printed or the store has taken. */
void job_send_out_acks(struct owner *o, struct owner_job *j)
{
    struct owner_seat *s = job_run_seat(j);
    for (unsigned fd = 0; fd < 2 && s != NULL; fd++) {
        uint64_t offset = IPX_MIN(j->acked[fd], j->seen[fd]);
        if (offset > j->told_ack[fd]) {
            struct exec_attempt_id id = {0, j->tasks[0].attempt};
            j->told_ack[fd] = offset;
            out_ack(o, s, &(struct exec_ack){id, (uint8_t)(fd + 1), offset});
        }
    }
}

/* --- the store answers --- */

/* The store is full: the run is ended, and its result will say why. */
static void run_spool_full(struct owner *o, struct owner_job *j)
{
    struct owner_seat *s = job_run_seat(j);
    j->is_spool_full = true;
    j->sink[0].in_flight = j->sink[1].in_flight = 0;
    buf_clear(&j->sink[0].queue);
    buf_clear(&j->sink[1].queue);
    for (unsigned fd = 0; fd < 2; fd++) {
        j->acked[fd] = j->shown[fd];
    }
    if (s != NULL) {
        seat_cancel(o, s, true, 0, 0, 15);
    }
}

static void run_on_stored(struct owner *o, uint64_t now_us, struct owner_job *j, unsigned fd,
                          enum ipx_err err)
{
    struct owner_sink *k = &j->sink[fd];
    struct owner_task *t = &j->tasks[0];
    if (j->is_spool_full) {
        return;
    }
    if (err != IPX_OK || !sink_on_stored(o, k)) {
        run_spool_full(o, j);
    } else {
        j->acked[fd] = j->stored_base[fd] + k->stored;
    }
    job_send_out_acks(o, j);
    if (t->state == OWNER_TASK_STORING && j->sink[0].in_flight + j->sink[1].in_flight == 0) {
        struct owner_seat *s = j->seats[t->seat];
        t->end = j->is_spool_full ? (uint8_t)EXEC_END_SPOOL : t->end;
        seat_claim_remove(s, 0);
        result_ack_send(o, s, 0, t->result_attempt);
        task_settle(o, now_us, j, 0);
    }
}

void owner_on_stored(struct owner *o, uint64_t now_us, uint64_t object, enum ipx_err err)
{
    struct owner_job *j = job_find(o, (uint32_t)(object >> 40) - 1);
    uint32_t task = (uint32_t)(object >> 20) & 0xfffff;
    unsigned fd = (unsigned)(object & 3) - 1;
    if (j == NULL || task >= j->count || fd > 1) {
        return; /* dropped meanwhile */
    }
    if (j->sink[fd].object == object) {
        run_on_stored(o, now_us, j, fd, err);
        return;
    }
    struct owner_task *t = &j->tasks[task];
    if (t->state != OWNER_TASK_STORING || task_object(j, task, (uint8_t)(fd + 1)) != object) {
        return;
    }
    uint32_t xfer = t->link;
    struct owner_xfer *x = &o->xfers[xfer];
    if (err != IPX_OK || !sink_on_stored(o, &x->sink[fd])) {
        xfer_fail(o, now_us, xfer);
        return;
    }
    out_ack(o, x->seat,
            &(struct exec_ack){{task, x->attempt}, (uint8_t)(fd + 1), x->sink[fd].stored});
    if (x->sink[0].stored == x->want[0] && x->sink[1].stored == x->want[1]) {
        xfer_finish(o, now_us, xfer);
    }
}
