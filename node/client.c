/* SPDX-License-Identifier: Apache-2.0 */
#include "node/client.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536
#define SAY_AFTER_US US_PER_S
#define HINT_AFTER_US (10 * US_PER_S)

uint64_t local_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * US_PER_S + (uint64_t)t.tv_nsec / 1000;
}

static enum ipx_err connect_to(const char *home, int *ret_fd)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int len = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/sock", home);
    if (len < 0 || (size_t)len >= sizeof(sa.sun_path)) {
        return IPX_UNREACHABLE;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return IPX_IO;
    }
    if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0) {
        close(fd);
        return IPX_UNREACHABLE;
    }
    *ret_fd = fd;
    return IPX_OK;
}

enum ipx_err local_open(struct client *c, const char *home, uint16_t protocol, struct mem *mem,
                        struct out *out)
{
    memset(c, 0, sizeof(*c));
    c->fd = -1;
    enum ipx_err err = connect_to(home, &c->fd);
    if (err != IPX_OK) {
        return err;
    }
    c->mem = mem;
    c->out = out;
    framing_init(&c->framing, mem, FRAMING_BODY_MAX);
    buf_init(&c->in, mem, SIZE_MAX / 4);   /* bounded by the mux's credit */
    buf_init(&c->send, mem, SIZE_MAX / 4); /* one chunk at a time is made */
    c->waits_for = "the node";
    c->since_us = local_now_us();
    err = mux_new(&(struct mux_config){.role = MUX_DIALLER, .mem = mem}, &c->mux);
    if (err == IPX_OK) {
        err = mux_open(c->mux, protocol, MUX_CLASS_RPC, 0, &c->stream);
    }
    if (err != IPX_OK) {
        local_close(c);
    }
    return err;
}

void local_close(struct client *c)
{
    if (c->fd < 0) {
        return;
    }
    close(c->fd);
    c->fd = -1;
    mux_free(c->mux);
    framing_done(&c->framing);
    buf_done(&c->in);
    buf_done(&c->send);
}

static void lose(struct client *c)
{
    c->is_lost = true;
}

/* What the mux says of our one stream. */
static void drain(struct client *c)
{
    struct mux_event e;
    while (mux_poll(c->mux, &e)) {
        switch (e.type) {
        case MUX_EVENT_DATA:
            if (buf_append(&c->in, e.data) != IPX_OK) {
                lose(c);
                return;
            }
            mux_consume(c->mux, e.stream, e.data.len);
            break;
        case MUX_EVENT_FINISHED:
            c->is_finished = true;
            break;
        case MUX_EVENT_RESET:
        case MUX_EVENT_ERROR:
            lose(c);
            break;
        case MUX_EVENT_OPENED:
        case MUX_EVENT_WRITABLE:
        case MUX_EVENT_PONG:
        case MUX_EVENT_GOAWAY:
            break;
        }
    }
}

static void flush(struct client *c)
{
    uint64_t now = local_now_us();
    while (!c->is_lost) {
        if (c->send.len == 0) {
            uint8_t chunk[CHUNK];
            size_t n = mux_output(c->mux, now, chunk, sizeof(chunk));
            if (n == 0) {
                return;
            }
            if (buf_append(&c->send, slice_of(chunk, n)) != IPX_OK) {
                lose(c);
                return;
            }
        }
        struct slice s = buf_slice(&c->send);
        ssize_t n = send(c->fd, s.data, s.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n < 0) {
            lose(c);
            return;
        }
        buf_consume(&c->send, (size_t)n);
    }
}

bool local_send(struct client *c, uint8_t type, struct slice body)
{
    for (;;) {
        if (c->is_lost || c->is_finished) {
            return false;
        }
        if (framing_send(c->mux, c->stream, type, body)) {
            flush(c);
            return !c->is_lost;
        }
        local_wait(c, NULL, 0, -1); /* the stream is full: the node has not taken it yet */
    }
}

size_t local_backlog(const struct client *c)
{
    size_t room = mux_send_room(c->mux, c->stream);
    return c->send.len + (room < MUX_SEND_MAX_DEFAULT ? MUX_SEND_MAX_DEFAULT - room : 0);
}

static void receive(struct client *c)
{
    uint8_t chunk[CHUNK];
    for (;;) {
        ssize_t n = recv(c->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n <= 0) {
            lose(c);
            return;
        }
        c->since_us = local_now_us();
        mux_recv(c->mux, c->since_us, slice_of(chunk, (size_t)n));
        drain(c);
    }
}

static int until(uint64_t now, uint64_t due)
{
    return due <= now ? 0 : (int)IPX_MIN((due - now) / US_PER_MS + 1, (uint64_t)1000000);
}

/* Milliseconds until something is to be said; says it if it is due. -1: nothing. */
static int say_wait(struct client *c)
{
    uint64_t now = local_now_us();
    if (c->waits_for == NULL) {
        return -1;
    }
    if (c->told == 0 && now >= c->since_us + SAY_AFTER_US) {
        c->told = 1;
        out_note(c->out, "waiting for %s", c->waits_for);
    }
    if (c->told == 1 && c->hint != NULL && now >= c->since_us + HINT_AFTER_US) {
        c->told = 2;
        out_note(c->out, "still waiting for %s. %s", c->waits_for, c->hint);
    }
    if (c->told == 0) {
        return until(now, c->since_us + SAY_AFTER_US);
    }
    return c->told == 1 && c->hint != NULL ? until(now, c->since_us + HINT_AFTER_US) : -1;
}

void local_wait(struct client *c, struct pollfd *extra, size_t n_extra, int timeout_ms)
{
    struct pollfd fds[CLIENT_POLLS_MAX + 2];
    assert(n_extra <= CLIENT_POLLS_MAX);
    uint64_t now = local_now_us();
    mux_tick(c->mux, now);
    drain(c);
    flush(c);
    if (c->is_lost) {
        return;
    }
    int say_ms = say_wait(c);
    int mux_ms = mux_deadline(c->mux) == NEVER_US ? -1 : until(now, mux_deadline(c->mux));
    int ms = timeout_ms;
    ms = say_ms >= 0 && (ms < 0 || say_ms < ms) ? say_ms : ms;
    ms = mux_ms >= 0 && (ms < 0 || mux_ms < ms) ? mux_ms : ms;
    fds[0] =
        (struct pollfd){.fd = c->fd, .events = (short)(POLLIN | (c->send.len > 0 ? POLLOUT : 0))};
    if (n_extra > 0) {
        memcpy(&fds[1], extra, n_extra * sizeof(*extra));
    }
    fds[1 + n_extra] =
        (struct pollfd){.fd = c->interrupt_fd > 0 ? c->interrupt_fd : -1, .events = POLLIN};
    if (poll(fds, 2 + n_extra, ms) < 0) {
        return; /* a signal: the caller looks */
    }
    if (fds[1 + n_extra].revents != 0) {
        c->is_interrupted = true;
        lose(c);
        return;
    }
    if (n_extra > 0) {
        memcpy(extra, &fds[1], n_extra * sizeof(*extra));
    }
    if (fds[0].revents != 0) {
        receive(c);
        flush(c); /* credit for what was taken */
    }
}

enum ipx_err local_next(struct client *c, uint8_t *ret_type, struct slice *ret_body)
{
    buf_consume(&c->in, c->taken);
    c->taken = 0;
    struct slice bytes = buf_slice(&c->in);
    size_t before = bytes.len;
    enum ipx_err err = framing_next(&c->framing, &bytes, ret_type, ret_body);
    c->taken = before - bytes.len;
    if (err == IPX_OK) {
        return IPX_OK;
    }
    if (err != IPX_AGAIN) {
        lose(c);
        return IPX_CLOSED;
    }
    if (c->is_finished) {
        return IPX_END;
    }
    return c->is_lost ? IPX_CLOSED : IPX_AGAIN;
}

enum ipx_err local_read(struct client *c, uint8_t *ret_type, struct slice *ret_body)
{
    enum ipx_err err;
    while ((err = local_next(c, ret_type, ret_body)) == IPX_AGAIN) {
        local_wait(c, NULL, 0, -1);
    }
    return err;
}
