/* SPDX-License-Identifier: Apache-2.0 */
#include "node/uv_attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static struct exec *core(struct shell_exec *x)
{
    return attempt_core(x);
}

static uint64_t now_of(struct shell_exec *x)
{
    return shell_now_us(x->shell);
}

/* --- attempts --- */

struct attempt *attempt_find(struct shell_exec *x, uint64_t id)
{
    uint32_t slot = map_find(&x->by_id, &id);
    return slot == MAP_EMPTY ? NULL : x->slots[slot];
}

struct attempt *attempt_new(struct shell_exec *x, uint64_t id)
{
    struct attempt *a = mem_alloc(x->shell->mem, sizeof(*a));
    uint32_t slot = 0;
    while (slot < SPAWNER_ATTEMPTS_MAX && x->slots[slot] != NULL) {
        slot++;
    }
    if (a == NULL || slot == SPAWNER_ATTEMPTS_MAX || map_set(&x->by_id, &id, slot) != IPX_OK) {
        mem_free(x->shell->mem, a);
        return NULL;
    }
    a->id = id;
    a->x = x;
    buf_init(&a->input, x->shell->mem, SIZE_MAX / 4); /* bounded by exec's window */
    for (uint8_t i = 0; i < 3; i++) {
        a->ends[i] = (struct pipe_end){.fd = -1, .number = i, .attempt = a};
    }
    x->slots[slot] = a;
    list_push_back(&x->attempts, &a->list);
    x->n_attempts++;
    return a;
}

static void attempt_free_if_done(struct attempt *a)
{
    if (a->is_told && a->n_handles == 0) {
        buf_done(&a->input);
        mem_free(a->x->shell->mem, a);
    }
}

void attempt_forget(struct attempt *a)
{
    struct shell_exec *x = a->x;
    uint32_t slot = map_find(&x->by_id, &a->id);
    x->slots[slot] = NULL;
    map_remove(&x->by_id, &a->id);
    list_unlink(&a->list);
    x->n_attempts--;
    a->is_told = true;
    attempt_free_if_done(a);
}

static void on_end_closed(uv_handle_t *h)
{
    struct pipe_end *e = h->data;
    close(e->fd);
    e->fd = -1;
    e->attempt->n_handles--;
    attempt_free_if_done(e->attempt);
}

static void close_end(struct pipe_end *e)
{
    if (e->is_open) {
        e->is_open = false;
        uv_close((uv_handle_t *)&e->poll, on_end_closed);
    }
}

void attempt_open_end(struct shell_exec *x, struct pipe_end *e, int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    e->fd = fd;
    if (uv_poll_init(&x->shell->loop, &e->poll, fd) == 0) {
        e->poll.data = e;
        e->is_open = true;
        e->attempt->n_handles++;
    } else {
        close(fd);
        e->fd = -1;
    }
}

/* Exit is told when both outputs have ended, never before. */
static void tell_exit_if_due(struct attempt *a)
{
    struct shell_exec *x = a->x;
    if (!a->has_exited || a->is_told || a->ends[1].is_open || a->ends[2].is_open) {
        return;
    }
    uint64_t id = a->id, cpu_us = a->cpu_us;
    uint8_t code = a->code, signal = a->signal;
    close_end(&a->ends[0]);
    attempt_forget(a);
    exec_on_exit(core(x), now_of(x), id, code, signal, cpu_us);
}

static void end_output(struct pipe_end *e)
{
    struct attempt *a = e->attempt;
    close_end(e);
    exec_on_output(core(a->x), now_of(a->x), a->id, e->number, SLICE_EMPTY, true);
    tell_exit_if_due(a);
}

static void on_readable(uv_poll_t *poll, int status, int events);

/* One read. After the exit nothing more is waited for: a grandchild that holds the pipe must not
 * delay the result. */
static void read_some(struct pipe_end *e)
{
    struct attempt *a = e->attempt;
    struct shell_exec *x = a->x;
    ssize_t n = read(e->fd, x->chunk, sizeof(x->chunk));
    if (n < 0 && (errno == EAGAIN || errno == EINTR) && !a->has_exited) {
        return;
    }
    if (n <= 0) {
        end_output(e);
        return;
    }
    e->is_paused = true;
    uv_poll_stop(&e->poll);
    exec_on_output(core(x), now_of(x), a->id, e->number, slice_of(x->chunk, (size_t)n), false);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct pipe_end *e = poll->data;
    struct shell *s = e->attempt->x->shell;
    (void)status;
    (void)events;
    if (e->is_open) {
        read_some(e);
        shell_drain(s);
    }
}

void attempt_read_more(struct attempt *a, uint8_t number)
{
    struct pipe_end *e = &a->ends[number];
    if (!e->is_open || !e->is_paused) {
        return;
    }
    e->is_paused = false;
    if (a->has_exited) {
        read_some(e);
    } else {
        uv_poll_start(&e->poll, UV_READABLE, on_readable);
    }
}

/* --- stdin --- */

static void on_stdin_writable(uv_poll_t *poll, int status, int events);

static void write_stdin(struct attempt *a)
{
    struct pipe_end *e = &a->ends[0];
    struct shell_exec *x = a->x;
    bool had_some = a->input.len > 0;
    while (e->is_open && a->input.len > 0) {
        struct slice s = buf_slice(&a->input);
        ssize_t n = write(e->fd, s.data, s.len);
        if (n < 0 && errno == EAGAIN) {
            uv_poll_start(&e->poll, UV_WRITABLE, on_stdin_writable);
            return;
        }
        /* A process that closed its stdin has taken all it wants. */
        buf_consume(&a->input, n < 0 ? s.len : (size_t)n);
    }
    buf_clear(&a->input);
    if (e->is_open) {
        uv_poll_stop(&e->poll);
    }
    if (a->wants_eof) {
        close_end(e);
    }
    if (had_some) {
        exec_on_stdin_taken(core(x), now_of(x), a->id);
    }
}

static void on_stdin_writable(uv_poll_t *poll, int status, int events)
{
    struct pipe_end *e = poll->data;
    struct shell *s = e->attempt->x->shell;
    (void)status;
    (void)events;
    write_stdin(e->attempt);
    shell_drain(s);
}

void attempt_stdin(struct attempt *a, struct slice bytes, bool is_eof)
{
    a->wants_eof = a->wants_eof || is_eof;
    if (buf_append(&a->input, bytes) == IPX_OK) {
        write_stdin(a);
    }
}

void attempt_on_started(struct attempt *a)
{
    a->is_started = true;
    exec_on_started(core(a->x), now_of(a->x), a->id, IPX_OK);
    for (int i = 1; i < 3; i++) { /* not before: exec hears of output after the start */
        if (a->ends[i].is_open) {
            uv_poll_start(&a->ends[i].poll, UV_READABLE, on_readable);
        }
    }
}

void attempt_close_ends(struct attempt *a)
{
    for (int i = 0; i < 3; i++) {
        close_end(&a->ends[i]);
    }
}

void attempt_on_exit(struct attempt *a, uint8_t code, uint8_t signal, uint64_t cpu_us)
{
    a->has_exited = true;
    a->code = code;
    a->signal = signal;
    a->cpu_us = cpu_us;
    uint64_t id = a->id;
    struct shell_exec *x = a->x;
    for (int i = 1; i <= 2; i++) {
        while (attempt_find(x, id) == a && a->ends[i].is_open && !a->ends[i].is_paused) {
            read_some(&a->ends[i]);
        }
    }
    if (attempt_find(x, id) == a) {
        tell_exit_if_due(a);
    }
}
