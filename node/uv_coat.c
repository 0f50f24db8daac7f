/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coats: connections of the shell within TLS (node/tls.h). A handshake costs milliseconds of
 * arithmetic, so its steps run on libuv's pool, one at a time and on one thread, which starts with
 * the first of them; all else is done here. While a step runs its connection is not read from, and
 * nobody touches its TLS object; a connection that ends meanwhile leaves the object to on_stepped.
 */
#include "node/uv_coat.h"

struct shell_coat {
    struct shell_conn *conn; /* NULL: it ended during a step */
    struct shell *shell;
    struct tls *tls;
    struct list handshake; /* shell_coats.handshakes */
    struct list step;      /* shell_coats.steps */
    uv_work_t work;
    struct addr from;
    bool is_server, is_stepping;
    bool is_open;                /* the node knows of it */
    bool is_ending;              /* closed by the node: what is said goes out */
    bool is_write_due;           /* the node is to be told when all is out */
    size_t sending;              /* sealed bytes that libuv has */
    size_t plain_pos, plain_len; /* of conn->pending */
};

static void pump(struct shell_coat *k);

/* --- life of one --- */

static void end_handshake(struct shell_coat *k)
{
    if (list_is_linked(&k->handshake)) {
        list_unlink(&k->handshake);
        k->shell->coats->n_handshakes--;
    }
}

static void coat_free(struct shell_coat *k)
{
    struct shell *s = k->shell;
    end_handshake(k);
    list_unlink(&k->step);
    tls_free(k->tls);
    s->coats->n_live--;
    mem_free(s->mem, k);
}

void shell_coat_drop(struct shell_conn *c)
{
    struct shell_coat *k = c->coat;
    c->coat = NULL;
    if (k != NULL && k->is_stepping) {
        k->conn = NULL; /* on_stepped frees it */
    } else if (k != NULL) {
        coat_free(k);
    }
}

/* It is over, by whatever cause: who has to hear of it does. */
static void fail(struct shell_coat *k, enum ipx_err err)
{
    struct shell_conn *c = k->conn;
    struct shell *s = k->shell;
    uint32_t id = c->id;
    end_handshake(k);
    if (k->is_ending || (!k->is_open && k->is_server)) {
        shell_conn_destroy(c);
    } else if (k->is_open) {
        shell_conn_fail(c, err);
    } else {
        shell_conn_destroy(c);
        node_on_connected(s->node, shell_now_us(s), id, IPX_UNREACHABLE);
        shell_drain(s);
    }
}

static void on_late(uv_timer_t *timer);

static void arm(struct shell_coats *x, struct shell *s)
{
    if (!list_is_empty(&x->handshakes)) {
        const struct shell_coat *k = CONTAINER_OF(x->handshakes.next, struct shell_coat, handshake);
        uint64_t due = tls_deadline(k->tls), now = shell_now_us(s);
        uv_timer_start(&x->timer, on_late, due > now ? (due - now) / US_PER_MS + 1 : 1, 0);
    }
}

static void on_late(uv_timer_t *timer)
{
    struct shell *s = timer->data;
    struct shell_coat *k;
    struct list *next;
    LIST_EACH(k, next, &s->coats->handshakes, struct shell_coat, handshake)
    {
        if (!k->is_stepping && tls_deadline(k->tls) <= shell_now_us(s)) {
            fail(k, IPX_TIMEOUT);
        }
    }
    arm(s->coats, s);
}

/* --- plain bytes to the node --- */

static bool is_over(const struct shell_coat *k)
{
    return k->conn->is_closing || k->is_ending;
}

/* What has been received and is whole. */
static void read_plain(struct shell_coat *k)
{
    static uint8_t plain[16384]; /* the longest record; handed on at once */
    struct shell *s = k->shell;
    size_t n;
    while (!is_over(k) && (n = tls_read(k->tls, plain, sizeof(plain))) > 0) {
        node_on_bytes(s->node, shell_now_us(s), k->conn->id, slice_of(plain, n));
        shell_drain(s);
    }
    if (!is_over(k) && tls_state_of(k->tls) == TLS_STATE_CLOSED) {
        fail(k, tls_why(k->tls) == IPX_END ? IPX_END : IPX_IO);
    }
}

/* --- sealed bytes to the connection --- */

static void on_sent(uv_write_t *req, int status)
{
    struct shell_conn *c = req->data;
    struct shell_coat *k = c->coat;
    c->is_writing = false;
    if (c->is_closing || k == NULL) {
        return;
    }
    if (status != 0) {
        fail(k, IPX_IO);
        return;
    }
    tls_sent(k->tls, k->sending);
    k->sending = 0;
    pump(k);
    shell_drain(k->shell);
}

/* As much as the connection takes; false: libuv has the rest, or it failed. */
static bool flush(struct shell_coat *k)
{
    struct shell_conn *c = k->conn;
    struct slice out = tls_output(k->tls);
    if (out.len == 0 || c->is_writing) {
        return !c->is_writing;
    }
    uv_buf_t b = uv_buf_init((char *)(uintptr_t)out.data, (unsigned)out.len);
    int n = uv_try_write(&c->h.stream, &b, 1);
    if (n < 0 && n != UV_EAGAIN) {
        fail(k, IPX_IO);
        return false;
    }
    tls_sent(k->tls, n > 0 ? (size_t)n : 0);
    out = tls_output(k->tls);
    if (out.len == 0) {
        return true;
    }
    b = uv_buf_init((char *)(uintptr_t)out.data, (unsigned)out.len);
    k->sending = out.len;
    c->write.data = c;
    c->is_writing = true;
    if (uv_write(&c->write, &c->h.stream, &b, 1, on_sent) != 0) {
        c->is_writing = false;
        fail(k, IPX_IO);
    }
    return false;
}

/* Seals and sends what it can; how many of the bytes were taken. */
static size_t push(struct shell_coat *k, struct slice plain)
{
    size_t done = 0;
    while (flush(k) && done < plain.len) {
        size_t n = tls_write(k->tls, slice_of(plain.data + done, plain.len - done));
        done += n;
        if (n == 0) {
            break; /* closed under way: reading tells */
        }
    }
    return done;
}

static void pump(struct shell_coat *k)
{
    struct shell_conn *c = k->conn;
    if (k->plain_pos < k->plain_len) {
        k->plain_pos += push(k, slice_of(c->pending + k->plain_pos, k->plain_len - k->plain_pos));
    } else {
        flush(k);
    }
    if (c->is_closing || c->is_writing || k->plain_pos < k->plain_len) {
        return;
    }
    if (k->is_write_due) {
        k->is_write_due = false;
        node_on_writable(k->shell->node, shell_now_us(k->shell), c->id);
    }
    if (k->is_ending && c->shutdown.data == NULL) {
        c->shutdown.data = c;
        if (uv_shutdown(&c->shutdown, &c->h.stream, shell_conn_on_shutdown) != 0) {
            shell_conn_destroy(c);
        }
    }
}

void shell_coat_write(struct shell_conn *c, struct slice bytes)
{
    struct shell_coat *k = c->coat;
    size_t done = push(k, bytes);
    if (c->is_closing) {
        return;
    }
    k->is_write_due = true;
    k->plain_pos = k->plain_len = 0;
    if (done < bytes.len && c->pending == NULL) {
        c->pending = mem_alloc(k->shell->mem, NODE_WRITE_MAX);
        if (c->pending == NULL) {
            fail(k, IPX_NO_MEMORY);
            return;
        }
    }
    if (done < bytes.len) {
        k->plain_len = bytes.len - done;
        memcpy(c->pending, bytes.data + done, k->plain_len);
    }
    pump(k);
}

void shell_coat_close(struct shell_conn *c)
{
    struct shell_coat *k = c->coat;
    if (!k->is_open || k->is_ending) {
        shell_conn_destroy(c);
        return;
    }
    k->is_ending = true;
    k->plain_pos = k->plain_len = 0;
    tls_close(k->tls, shell_now_us(k->shell));
    pump(k);
}

/* --- the handshake --- */

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b);

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
    struct shell_conn *c = h->data;
    shell_conn_on_alloc(h, suggested, ret);
    if (!c->coat->is_open) {
        ret->len = tls_room(c->coat->tls); /* nothing may be left over for the step */
    }
}

static void become_open(struct shell_coat *k)
{
    struct shell *s = k->shell;
    uint64_t now = shell_now_us(s);
    end_handshake(k);
    k->is_open = true;
    if (k->is_server) {
        node_on_accept(s->node, now, k->conn->id, &k->from);
    } else {
        node_on_connected(s->node, now, k->conn->id, IPX_OK);
    }
    shell_drain(s);
}

static void step(uv_work_t *work)
{
    struct shell_coat *k = work->data;
    tls_advance(k->tls);
}

static void on_stepped(uv_work_t *work, int status);

static void next_step(struct shell *s)
{
    struct shell_coats *x = s->coats;
    if (x->is_stepping || list_is_empty(&x->steps)) {
        return;
    }
    struct shell_coat *k = CONTAINER_OF(x->steps.next, struct shell_coat, step);
    list_unlink(&k->step);
    x->is_stepping = k->is_stepping = true;
    k->work.data = k;
    if (uv_queue_work(&s->loop, &k->work, step, on_stepped) != 0) {
        x->is_stepping = k->is_stepping = false;
        fail(k, IPX_IO);
    }
}

static void wait_for_step(struct shell_coat *k)
{
    uv_read_stop(&k->conn->h.stream);
    if (!list_is_linked(&k->step)) {
        list_push_back(&k->shell->coats->steps, &k->step);
    }
    next_step(k->shell);
}

static void on_stepped(uv_work_t *work, int status)
{
    struct shell_coat *k = work->data;
    struct shell *s = k->shell;
    (void)status; /* it is never cancelled */
    s->coats->is_stepping = k->is_stepping = false;
    next_step(s);
    if (k->conn == NULL) {
        coat_free(k);
        return;
    }
    struct shell_conn *c = k->conn;
    if (c->is_closing) {
        return;
    }
    flush(k); /* an alert of a failed one too */
    if (c->is_closing) {
        return;
    }
    if (tls_state_of(k->tls) == TLS_STATE_CLOSED) {
        fail(k, IPX_IO);
        return;
    }
    if (tls_state_of(k->tls) == TLS_STATE_OPEN) {
        become_open(k);
        if (!is_over(k)) {
            read_plain(k); /* what came with the last flight */
        }
    }
    if (!is_over(k)) {
        uv_read_start(&c->h.stream, on_alloc, on_read);
    }
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct shell_conn *c = stream->data;
    struct shell_coat *k = c->coat;
    if (n < 0) {
        tls_on_eof(k->tls);
        if (k->is_open) {
            read_plain(k);
        } else {
            fail(k, IPX_IO);
        }
        return;
    }
    struct slice left = slice_of(b->base, (size_t)n);
    if (!k->is_open) {
        size_t taken = tls_recv(k->tls, left);
        assert(taken == left.len);
        if (taken > 0) {
            wait_for_step(k);
        }
        return;
    }
    while (left.len > 0 && !is_over(k)) {
        size_t taken = tls_recv(k->tls, left);
        left = slice_of(left.data + taken, left.len - taken);
        read_plain(k);
    }
}

void shell_coat_begin(struct shell_conn *c, const struct addr *from)
{
    struct shell *s = c->shell;
    struct shell_coats *x = s->coats;
    struct shell_coat *k = NULL;
    bool is_server = from != NULL;
    if ((x != NULL || shell_coats_make(s, NULL) == IPX_OK) && s->coats->n_live < COATS_MAX_LIVE) {
        k = mem_alloc(s->mem, sizeof(*k));
    }
    x = s->coats;
    if (k != NULL && tls_new(x->context, is_server ? TLS_SERVER : TLS_CLIENT, shell_now_us(s),
                             &x->rng, &k->tls) != IPX_OK) {
        mem_free(s->mem, k);
        k = NULL;
    }
    if (k == NULL) {
        uint32_t id = c->id;
        shell_conn_destroy(c);
        if (!is_server) {
            node_on_connected(s->node, shell_now_us(s), id, IPX_UNREACHABLE);
        }
        return;
    }
    k->conn = c;
    k->shell = s;
    k->is_server = is_server;
    if (is_server) {
        k->from = *from;
    }
    list_init(&k->step);
    list_init(&k->handshake);
    list_push_back(&x->handshakes, &k->handshake);
    x->n_live++;
    x->n_handshakes++;
    c->coat = k;
    c->shutdown.data = NULL;
    arm(x, s);
    if (is_server) {
        uv_read_start(&c->h.stream, on_alloc, on_read);
    } else {
        wait_for_step(k);
    }
}
