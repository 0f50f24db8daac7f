/* SPDX-License-Identifier: Apache-2.0 */
/* TCP and local connections of the shell: one struct each, freed in its close callback. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/uv_conn.h"

#define NOTSENT_LOWAT (128 * 1024) /* bytes the kernel may hold unsent: keeps priorities ours */
#define USER_TIMEOUT_MS 20000      /* unacknowledged bytes for this long: the link is dead */

void addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (a->family == ADDR_V6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(a->port);
        memcpy(&in6->sin6_addr, a->ip, 16);
    } else {
        struct sockaddr_in *in4 = (struct sockaddr_in *)ret;
        in4->sin_family = AF_INET;
        in4->sin_port = htons(a->port);
        memcpy(&in4->sin_addr, a->ip, 4);
    }
}

void addr_from_sockaddr(const struct sockaddr *sa, struct addr *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        ret->family = ADDR_V6;
        ret->port = ntohs(in6->sin6_port);
        memcpy(ret->ip, &in6->sin6_addr, 16);
    } else if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in4 = (const struct sockaddr_in *)(const void *)sa;
        ret->family = ADDR_V4;
        ret->port = ntohs(in4->sin_port);
        memcpy(ret->ip, &in4->sin_addr, 4);
    }
}

static struct shell_conn *find(struct shell *s, uint32_t id)
{
    struct shell_conn *c;
    struct list *next;
    LIST_EACH(c, next, &s->conns, struct shell_conn, list)
    {
        if (c->id == id) {
            return c;
        }
    }
    return NULL;
}

struct shell_conn *shell_conn_new(struct shell *s, uint32_t id, bool is_local)
{
    struct shell_conn *c = mem_alloc(s->mem, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    c->shell = s;
    c->id = id;
    if (is_local) {
        uv_pipe_init(&s->loop, &c->h.pipe, 0);
    } else {
        uv_tcp_init(&s->loop, &c->h.tcp);
    }
    c->h.stream.data = c;
    list_push_front(&s->conns, &c->list);
    return c;
}

static void on_closed(uv_handle_t *h)
{
    struct shell_conn *c = h->data;
    shell_coat_drop(c);
    mem_free(c->shell->mem, c->pending);
    mem_free(c->shell->mem, c);
}

void shell_conn_destroy(struct shell_conn *c)
{
    if (c->is_closing) {
        return;
    }
    c->is_closing = true;
    list_unlink(&c->list);
    uv_close((uv_handle_t *)&c->h.stream, on_closed);
}

void shell_conn_fail(struct shell_conn *c, enum ipx_err err)
{
    struct shell *s = c->shell;
    uint32_t id = c->id;
    shell_conn_destroy(c);
    node_on_closed(s->node, shell_now_us(s), id, err);
    shell_drain(s);
}

void shell_conn_on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
    (void)suggested;
    struct shell_conn *c = h->data;
    *ret = uv_buf_init((char *)c->shell->chunk, sizeof(c->shell->chunk));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct shell_conn *c = stream->data;
    struct shell *s = c->shell;
    if (n > 0) {
        node_on_bytes(s->node, shell_now_us(s), c->id, slice_of(b->base, (size_t)n));
        shell_drain(s);
    } else if (n < 0) {
        shell_conn_fail(c, n == UV_EOF ? IPX_END : IPX_IO);
    }
}

static void tune_tcp(struct shell_conn *c)
{
    int fd;
    if (uv_fileno((uv_handle_t *)&c->h.tcp, &fd) != 0) {
        return;
    }
    int lowat = NOTSENT_LOWAT;
    int timeout = USER_TIMEOUT_MS;
    uv_tcp_nodelay(&c->h.tcp, 1);
    /* Both only tune: a kernel without them still carries the bytes. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
}

static void name_user(struct node_local *who)
{
    struct passwd pw, *found = NULL;
    char text[1024];
    if (getpwuid_r(who->uid, &pw, text, sizeof(text), &found) == 0 && found != NULL) {
        snprintf(who->user, sizeof(who->user), "%s", pw.pw_name);
    } else {
        snprintf(who->user, sizeof(who->user), "%u", who->uid);
    }
}

static bool identify_local(struct shell_conn *c, struct node_local *ret)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    int fd;
    if (uv_fileno((uv_handle_t *)&c->h.pipe, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0) {
        return false;
    }
    memset(ret, 0, sizeof(*ret));
    ret->uid = cred.uid;
    ret->pid = (uint32_t)cred.pid;
    ret->is_owner = cred.uid == getuid() || cred.uid == 0;
    ret->is_below_spawner = shell_is_below_spawner(c->shell->exec, ret->pid);
    name_user(ret);
    return true;
}

static void accept_local(struct shell *s, uv_stream_t *listener)
{
    struct shell_conn *c = shell_conn_new(s, s->next_accepted++, true);
    struct node_local who;
    if (c == NULL) {
        return;
    }
    if (uv_accept(listener, &c->h.stream) != 0 || !identify_local(c, &who)) {
        shell_conn_destroy(c);
        return;
    }
    node_on_local(s->node, shell_now_us(s), c->id, &who);
    uv_read_start(&c->h.stream, shell_conn_on_alloc, on_read);
    shell_drain(s);
}

struct shell_conn *shell_conn_accepted(struct shell *s, uv_stream_t *listener,
                                       struct addr *ret_from)
{
    s->next_accepted |= NODE_CONN_ACCEPTED; /* after a wrap too */
    struct shell_conn *c = shell_conn_new(s, s->next_accepted++, false);
    struct sockaddr_storage sa;
    int len = sizeof(sa);
    if (c == NULL) {
        return NULL;
    }
    if (uv_accept(listener, &c->h.stream) != 0 ||
        uv_tcp_getpeername(&c->h.tcp, (struct sockaddr *)&sa, &len) != 0) {
        shell_conn_destroy(c);
        return NULL;
    }
    tune_tcp(c);
    addr_from_sockaddr((struct sockaddr *)&sa, ret_from);
    return c;
}

static void accept_tcp(struct shell *s, uv_stream_t *listener)
{
    struct addr from;
    struct shell_conn *c = shell_conn_accepted(s, listener, &from);
    if (c != NULL) {
        uv_read_start(&c->h.stream, shell_conn_on_alloc, on_read);
        node_on_accept(s->node, shell_now_us(s), c->id, &from);
        shell_drain(s);
    }
}

void shell_conn_accept(uv_stream_t *listener, int status)
{
    struct shell *s = listener->loop->data;
    if (status != 0 || s == NULL) {
        return; /* out of descriptors, or not running yet: the next one may do */
    }
    s->next_accepted |= NODE_CONN_ACCEPTED; /* after a wrap too */
    if (listener == (uv_stream_t *)&s->local) {
        accept_local(s, listener);
    } else {
        accept_tcp(s, listener);
    }
}

static void on_connect(uv_connect_t *req, int status)
{
    struct shell_conn *c = req->data;
    struct shell *s = c->shell;
    if (c->is_closing) {
        return;
    }
    if (status != 0) {
        uint32_t id = c->id;
        shell_conn_destroy(c);
        node_on_connected(s->node, shell_now_us(s), id, IPX_UNREACHABLE);
    } else if (c->wants_coat) {
        tune_tcp(c);
        shell_coat_begin(c, NULL);
    } else {
        tune_tcp(c);
        uv_read_start(&c->h.stream, shell_conn_on_alloc, on_read);
        node_on_connected(s->node, shell_now_us(s), c->id, IPX_OK);
    }
    shell_drain(s);
}

void shell_conn_dial(struct shell *s, uint32_t id, const struct addr *to, bool is_coat)
{
    struct sockaddr_storage sa;
    struct shell_conn *c = shell_conn_new(s, id, false);
    addr_to_sockaddr(to, &sa);
    if (c != NULL) {
        c->connect.data = c;
        c->wants_coat = is_coat;
    }
    if (c == NULL ||
        uv_tcp_connect(&c->connect, &c->h.tcp, (struct sockaddr *)&sa, on_connect) != 0) {
        if (c != NULL) {
            shell_conn_destroy(c);
        }
        node_on_connected(s->node, shell_now_us(s), id, IPX_UNREACHABLE);
    }
}

static void on_written(uv_write_t *req, int status)
{
    struct shell_conn *c = req->data;
    struct shell *s = c->shell;
    c->is_writing = false;
    if (c->is_closing) {
        return;
    }
    if (status != 0) {
        shell_conn_fail(c, IPX_IO);
        return;
    }
    node_on_writable(s->node, shell_now_us(s), c->id);
    shell_drain(s);
}

static void write_later(struct shell_conn *c, struct slice rest)
{
    if (c->pending == NULL) {
        c->pending = mem_alloc(c->shell->mem, NODE_WRITE_MAX);
    }
    if (c->pending == NULL) {
        shell_conn_fail(c, IPX_NO_MEMORY);
        return;
    }
    memcpy(c->pending, rest.data, rest.len);
    uv_buf_t b = uv_buf_init((char *)c->pending, (unsigned)rest.len);
    c->write.data = c;
    c->is_writing = true;
    if (uv_write(&c->write, &c->h.stream, &b, 1, on_written) != 0) {
        c->is_writing = false;
        shell_conn_fail(c, IPX_IO);
    }
}

void shell_conn_write(struct shell *s, uint32_t id, struct slice bytes)
{
    struct shell_conn *c = find(s, id);
    if (c == NULL) {
        return; /* closed from below a moment ago; the node is told by node_on_closed */
    }
    assert(bytes.len <= NODE_WRITE_MAX);
    if (c->coat != NULL) {
        shell_coat_write(c, bytes);
        return;
    }
    assert(!c->is_writing);
    uv_buf_t b = uv_buf_init((char *)(uintptr_t)bytes.data, (unsigned)bytes.len);
    int n = uv_try_write(&c->h.stream, &b, 1);
    if (n < 0 && n != UV_EAGAIN) {
        shell_conn_fail(c, IPX_IO);
    } else if (n >= 0 && (size_t)n == bytes.len) {
        node_on_writable(s->node, shell_now_us(s), id);
    } else {
        size_t done = n > 0 ? (size_t)n : 0;
        write_later(c, slice_of(bytes.data + done, bytes.len - done));
    }
}

void shell_conn_on_shutdown(uv_shutdown_t *req, int status)
{
    (void)status;
    shell_conn_destroy(req->data);
}

void shell_conn_close(struct shell *s, uint32_t id)
{
    struct shell_conn *c = find(s, id);
    if (c == NULL) {
        return;
    }
    list_unlink(&c->list); /* the id may be forgotten; what was written still goes out */
    list_push_front(&s->ending, &c->list);
    c->shutdown.data = c;
    if (uv_is_closing((uv_handle_t *)&c->h.stream)) {
        return;
    }
    uv_read_stop(&c->h.stream);
    if (c->coat != NULL) {
        shell_coat_close(c);
        return;
    }
    if (uv_shutdown(&c->shutdown, &c->h.stream, shell_conn_on_shutdown) != 0) {
        shell_conn_destroy(c);
    }
}

static void destroy_all(struct list *conns)
{
    struct shell_conn *c;
    struct list *next;
    LIST_EACH(c, next, conns, struct shell_conn, list)
    {
        shell_conn_destroy(c);
    }
}

void shell_conn_close_all(struct shell *s)
{
    destroy_all(&s->conns);
    destroy_all(&s->ending);
}
