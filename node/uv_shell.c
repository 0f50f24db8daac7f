/* SPDX-License-Identifier: Apache-2.0 */
#include "node/uv_shell.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "node/os_home.h"
#include "node/os_labels.h"

uint64_t shell_now_us(const struct shell *s)
{
    (void)s;
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * US_PER_S + (uint64_t)t.tv_nsec / 1000;
}

int64_t shell_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void on_timer(uv_timer_t *timer)
{
    struct shell *s = timer->data;
    s->armed_us = NEVER_US;
    node_tick(s->node, shell_now_us(s));
    shell_drain(s);
}

static void arm(struct shell *s)
{
    uint64_t due = node_deadline(s->node);
    due = IPX_MIN(due, s->next_clock_us);
    if (due == s->armed_us || s->is_stopping) {
        return;
    }
    uint64_t now = shell_now_us(s);
    /* Round up: to wake a hair early would cost a second wake-up. */
    uint64_t wait_ms = due <= now ? 0 : (due - now + US_PER_MS - 1) / US_PER_MS;
    s->armed_us = due;
    uv_update_time(&s->loop);
    uv_timer_start(&s->timer, on_timer, wait_ms, 0);
}

static void send_datagram(struct shell *s, const struct addr *to, struct slice bytes)
{
    struct sockaddr_storage sa;
    addr_to_sockaddr(to, &sa);
    uv_buf_t b = uv_buf_init((char *)(uintptr_t)bytes.data, (unsigned)bytes.len);
    for (size_t i = 0; i < s->n_sockets; i++) {
        if (s->sockets[i].addr.family == to->family) {
            int rc = uv_udp_try_send(&s->sockets[i].udp, &b, 1, (const struct sockaddr *)&sa);
            /* A full socket buffer loses the packet, as the network may: the protocols repeat. */
            s->n_udp_dropped += rc < 0;
            return;
        }
    }
    s->n_udp_dropped++;
}

static void save(struct shell *s, enum node_save what, struct slice bytes)
{
    enum ipx_err err = os_home_save(s->home, what, bytes);
    if (err != IPX_OK) {
        fprintf(stderr, "level=error event=save what=%d err=%s\n", what, err_name(err));
    }
}

static void begin_stop(struct shell *s, int code, const char *text)
{
    s->exit_code = code;
    s->is_stopping = true;
    if (text != NULL && *text != '\0') {
        snprintf(s->stop_text, sizeof(s->stop_text), "%s", text);
        fprintf(stderr, "level=info event=stop code=%d why=\"%s\"\n", code, text);
    }
    uv_stop(&s->loop);
}

static void act(struct shell *s, const struct node_action *a)
{
    switch (a->type) {
    case NODE_ACTION_UDP_SEND:
        send_datagram(s, &a->u.udp.to, a->u.udp.bytes);
        break;
    case NODE_ACTION_CONN_DIAL:
        shell_conn_dial(s, a->u.conn.conn, &a->u.conn.to, a->u.conn.is_coat);
        break;
    case NODE_ACTION_CONN_WRITE:
        shell_conn_write(s, a->u.conn.conn, a->u.conn.bytes);
        break;
    case NODE_ACTION_CONN_CLOSE:
        shell_conn_close(s, a->u.conn.conn);
        break;
    case NODE_ACTION_EXEC:
        shell_exec_act(s->exec, a->u.exec);
        break;
    case NODE_ACTION_SAVE:
        save(s, a->u.save.what, a->u.save.bytes);
        break;
    case NODE_ACTION_STOP:
        begin_stop(s, a->u.stop.code, a->u.stop.text);
        break;
    }
}

static void measure(struct shell *s, uint64_t now)
{
    struct node_vitals v;
    os_vitals(s->home, &v);
    node_on_vitals(s->node, now, &v);
}

static void watch_clock(struct shell *s, uint64_t now)
{
    bool was_paused = now - s->last_turn_us > SHELL_GAP_US && s->armed_us < now - SHELL_GAP_US;
    if (now >= s->next_clock_us || was_paused) {
        s->next_clock_us = now + SHELL_CLOCK_EVERY_US;
        node_on_clock(s->node, now, shell_wall_ms());
        measure(s, now);
        if (s->hooks.minute != NULL) {
            s->hooks.minute(s->hooks.user);
        }
    }
    s->last_turn_us = now;
}

void shell_drain(struct shell *s)
{
    if (s->is_draining || s->node == NULL) {
        return; /* an action that completes at once came back here: the outer loop goes on */
    }
    s->is_draining = true;
    watch_clock(s, shell_now_us(s));
    struct node_action a;
    while (!s->is_stopping && node_poll(s->node, &a)) {
        act(s, &a);
    }
    s->is_draining = false;
    arm(s);
}

static void on_udp_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
    (void)suggested;
    struct shell_socket *sock = h->data;
    *ret = uv_buf_init((char *)sock->shell->datagram, SHELL_DATAGRAM_MAX);
}

static void on_udp(uv_udp_t *udp, ssize_t n, const uv_buf_t *b, const struct sockaddr *sa,
                   unsigned flags)
{
    struct shell_socket *sock = udp->data;
    struct shell *s = sock->shell;
    if (n < 0 || sa == NULL || (flags & UV_UDP_PARTIAL) != 0) {
        return;
    }
    struct addr from;
    addr_from_sockaddr(sa, &from);
    node_on_datagram(s->node, shell_now_us(s), &from, slice_of(b->base, (size_t)n));
    shell_drain(s);
}

static void on_signal(uv_signal_t *sig, int number)
{
    (void)number;
    struct shell *s = sig->data;
    node_stop(s->node, shell_now_us(s));
    shell_drain(s);
}

enum ipx_err shell_init(struct shell *s, struct mem *mem, const char *home)
{
    memset(s, 0, sizeof(*s));
    s->mem = mem;
    s->home = home;
    s->armed_us = NEVER_US;
    s->next_accepted = NODE_CONN_ACCEPTED;
    list_init(&s->conns);
    list_init(&s->ending);
    if (uv_loop_init(&s->loop) != 0) {
        return IPX_IO;
    }
    uv_timer_init(&s->loop, &s->timer);
    s->timer.data = s;
    uv_signal_init(&s->loop, &s->on_term);
    uv_signal_init(&s->loop, &s->on_int);
    s->on_term.data = s->on_int.data = s;
    return IPX_OK;
}

static void on_closed_nothing(uv_handle_t *h)
{
    (void)h; /* embedded in the shell: nothing to free */
}

static int bind_both(struct shell *s, struct shell_socket *sock, const struct addr *at)
{
    struct sockaddr_storage sa;
    addr_to_sockaddr(at, &sa);
    const struct sockaddr *to = (const struct sockaddr *)&sa;
    unsigned v6only = at->family == ADDR_V6;
    uv_tcp_init_ex(&s->loop, &sock->tcp, at->family == ADDR_V6 ? AF_INET6 : AF_INET);
    int rc = uv_tcp_bind(&sock->tcp, to, v6only ? UV_TCP_IPV6ONLY : 0);
    if (rc == 0) {
        rc = uv_listen((uv_stream_t *)&sock->tcp, SHELL_BACKLOG, shell_conn_accept);
    }
    if (rc == 0 && at->port == 0) { /* the kernel chose: UDP takes the same number */
        int len = sizeof(sa);
        uv_tcp_getsockname(&sock->tcp, (struct sockaddr *)&sa, &len);
    }
    uv_udp_init(&s->loop, &sock->udp);
    if (rc == 0) {
        rc = uv_udp_bind(&sock->udp, to, v6only ? UV_UDP_IPV6ONLY : 0);
    }
    if (rc != 0) {
        uv_close((uv_handle_t *)&sock->tcp, on_closed_nothing);
        uv_close((uv_handle_t *)&sock->udp, on_closed_nothing);
        uv_run(&s->loop, UV_RUN_NOWAIT); /* the slot is used again */
        return rc;
    }
    addr_from_sockaddr(to, &sock->addr);
    return 0;
}

enum ipx_err shell_listen(struct shell *s, const struct addr *want, bool may_move)
{
    if (s->n_sockets == SHELL_UDP_MAX) {
        return IPX_FULL;
    }
    struct shell_socket *sock = &s->sockets[s->n_sockets];
    struct addr at = *want;
    int rc = UV_EADDRINUSE;
    for (int tries = 0; tries < 1000 && rc == UV_EADDRINUSE; tries++) {
        rc = bind_both(s, sock, &at);
        if (!may_move) {
            break;
        }
        at.port = (uint16_t)(at.port + (at.port != 0));
    }
    if (rc != 0) {
        return rc == UV_EADDRINUSE ? IPX_EXISTS : IPX_UNREACHABLE;
    }
    sock->shell = s;
    sock->tcp.data = sock->udp.data = sock;
    s->n_sockets++;
    return IPX_OK;
}

enum ipx_err shell_listen_local(struct shell *s, const char *path)
{
    uv_pipe_init(&s->loop, &s->local, 0);
    s->local.data = NULL; /* tells shell_conn_accept that it is the control socket */
    s->has_local = true;
    if (uv_pipe_bind(&s->local, path) != 0) {
        return IPX_IO;
    }
    s->local.data = NULL;
    return uv_listen((uv_stream_t *)&s->local, SHELL_BACKLOG, shell_conn_accept) == 0 ? IPX_OK
                                                                                      : IPX_IO;
}

int shell_run(struct shell *s, struct node *node)
{
    s->node = node;
    s->loop.data = s;
    uint64_t now = shell_now_us(s);
    s->last_turn_us = now;
    s->next_clock_us = now + SHELL_CLOCK_EVERY_US;
    for (size_t i = 0; i < s->n_sockets; i++) {
        uv_udp_recv_start(&s->sockets[i].udp, on_udp_alloc, on_udp);
    }
    uv_signal_start(&s->on_term, on_signal, SIGTERM);
    uv_signal_start(&s->on_int, on_signal, SIGINT);
    node_start(node, now, shell_wall_ms());
    measure(s, now);
    shell_drain(s);
    if (!s->is_stopping && s->hooks.ready != NULL) {
        s->hooks.ready(s->hooks.user);
    }
    uv_run(&s->loop, UV_RUN_DEFAULT);
    return s->exit_code;
}

static void close_any(uv_handle_t *h, void *user)
{
    (void)user;
    if (!uv_is_closing(h)) {
        uv_close(h, on_closed_nothing);
    }
}

void shell_done(struct shell *s)
{
    shell_conn_close_all(s);
    uv_run(&s->loop, UV_RUN_NOWAIT);
    uv_walk(&s->loop, close_any, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    shell_coats_free(s);
    int rc = uv_loop_close(&s->loop);
    assert(rc == 0);
    (void)rc;
}
