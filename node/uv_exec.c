/* SPDX-License-Identifier: Apache-2.0 */
/* Processes and storage of the shell: exec's actions become requests to the spawner, reads and
 * writes of pipes, and objects in the store. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/map.h"
#include "node/os_spawner.h"
#include "node/os_store.h"
#include "node/uv_shell.h"

#define READ_MAX 65536
#define REQUESTS_WAITING_MAX 4096 /* requests that the spawner's socket did not take at once */

struct pipe_end { /* one descriptor of an attempt */
    uv_poll_t poll;
    int fd;           /* -1: closed */
    bool is_open;     /* the poll handle lives */
    bool is_paused;   /* exec has not asked for more */
    uint8_t number;   /* 0, 1, 2 */
    struct attempt *attempt;
};

struct attempt {
    uint64_t id;
    struct list list;
    struct shell_exec *x;
    struct pipe_end ends[3];
    struct buf input;  /* stdin not yet written */
    bool wants_eof, is_started, has_exited, is_told;
    uint8_t code, signal;
    uint64_t cpu_us;
    int n_handles;     /* poll handles that are not closed yet */
};

struct waiting { /* a request the socket had no room for */
    struct list list;
    int fds[4];
    int n_fds;
    size_t len;
    uint8_t bytes[];
};

struct shell_exec {
    struct shell *shell;
    struct spawner spawner;
    uv_poll_t poll;
    bool is_lost;            /* it died; a new one is started when its handle is closed */
    bool is_poll_closing;
    struct list attempts;
    uint32_t n_attempts;
    struct map by_id;        /* attempt -> slot */
    struct attempt *slots[SPAWNER_ATTEMPTS_MAX];
    struct list waiting;
    uint32_t n_waiting;
    struct store store;
    uint8_t chunk[READ_MAX];
};

static struct exec *core(struct shell_exec *x)
{
    return node_exec(x->shell->node);
}

static uint64_t now_of(struct shell_exec *x)
{
    return shell_now_us(x->shell);
}

/* --- attempts --- */

static struct attempt *find(struct shell_exec *x, uint64_t id)
{
    uint32_t slot = map_find(&x->by_id, &id);
    return slot == MAP_EMPTY ? NULL : x->slots[slot];
}

static struct attempt *attempt_new(struct shell_exec *x, uint64_t id)
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

static void forget(struct attempt *a)
{
    struct shell_exec *x = a->x;
    uint32_t slot = map_find(&x->by_id, &a->id);
    x->slots[slot] = NULL;
    map_remove(&x->by_id, &a->id);
    list_unlink(&a->list);
    x->n_attempts--;
    a->is_told = true;
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

static void open_end(struct shell_exec *x, struct pipe_end *e, int fd)
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
    close_end(&a->ends[0]);
    forget(a);
    exec_on_exit(core(x), now_of(x), a->id, a->code, a->signal, a->cpu_us);
    attempt_free_if_done(a);
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

static void read_more(struct attempt *a, uint8_t number)
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

static void take_stdin(struct attempt *a, struct slice bytes)
{
    if (buf_append(&a->input, bytes) == IPX_OK) {
        write_stdin(a);
    }
}

/* --- the spawner's socket --- */

static bool send_packet(struct shell_exec *x, const void *bytes, size_t len, const int *fds,
                        int n_fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_fds > 0) {
        memset(&control, 0, sizeof(control));
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE((size_t)n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, (size_t)n_fds * sizeof(int));
    }
    return sendmsg(x->spawner.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

static void close_fds(const int *fds, int n)
{
    for (int i = 0; i < n; i++) {
        close(fds[i]);
    }
}

static void on_spawner(uv_poll_t *poll, int status, int events);

/* Takes the descriptors. */
static void request(struct shell_exec *x, const void *bytes, size_t len, const int *fds, int n_fds)
{
    if (list_is_empty(&x->waiting) && send_packet(x, bytes, len, fds, n_fds)) {
        close_fds(fds, n_fds);
        return;
    }
    struct waiting *w = x->n_waiting < REQUESTS_WAITING_MAX
                            ? mem_alloc(x->shell->mem, sizeof(*w) + len)
                            : NULL;
    if (w == NULL) {
        close_fds(fds, n_fds); /* the attempt's outputs end at once, which exec sees */
        return;
    }
    memcpy(w->bytes, bytes, len);
    memcpy(w->fds, fds, (size_t)n_fds * sizeof(int));
    w->len = len;
    w->n_fds = n_fds;
    list_push_back(&x->waiting, &w->list);
    x->n_waiting++;
    uv_poll_start(&x->poll, UV_READABLE | UV_WRITABLE, on_spawner);
}

static void drop_waiting(struct shell_exec *x, bool sends)
{
    while (!list_is_empty(&x->waiting)) {
        struct waiting *w = LIST_FIRST(&x->waiting, struct waiting, list);
        if (sends && !send_packet(x, w->bytes, w->len, w->fds, w->n_fds)) {
            return;
        }
        close_fds(w->fds, w->n_fds);
        list_unlink(&w->list);
        mem_free(x->shell->mem, w);
        x->n_waiting--;
    }
    if (sends) {
        uv_poll_start(&x->poll, UV_READABLE, on_spawner);
    }
}

static void on_started(struct shell_exec *x, const struct spawner_event *event)
{
    struct attempt *a = find(x, event->attempt);
    if (a == NULL) {
        return;
    }
    if (event->err == 0) {
        a->is_started = true;
        exec_on_started(core(x), now_of(x), a->id, IPX_OK);
        for (int i = 1; i < 3; i++) { /* not before: exec hears of output after the start */
            if (a->ends[i].is_open) {
                uv_poll_start(&a->ends[i].poll, UV_READABLE, on_readable);
            }
        }
        return;
    }
    enum ipx_err err = event->err == ENOENT || event->err == ENOTDIR ? IPX_NOT_FOUND
                       : event->err == EACCES || event->err == ENOEXEC || event->err == E2BIG
                           ? IPX_DENIED
                           : IPX_IO;
    for (int i = 0; i < 3; i++) {
        close_end(&a->ends[i]);
    }
    uint64_t id = a->id;
    forget(a);
    attempt_free_if_done(a);
    exec_on_started(core(x), now_of(x), id, err);
}

/* What is still in the pipes is read as exec has room for it. */
static void on_exit_of(struct attempt *a, uint8_t code, uint8_t signal, uint64_t cpu_us)
{
    a->has_exited = true;
    a->code = code;
    a->signal = signal;
    a->cpu_us = cpu_us;
    uint64_t id = a->id;
    struct shell_exec *x = a->x;
    for (int i = 1; i <= 2; i++) {
        while (find(x, id) == a && a->ends[i].is_open && !a->ends[i].is_paused) {
            read_some(&a->ends[i]);
        }
    }
    if (find(x, id) == a) {
        tell_exit_if_due(a);
    }
}

static void on_events(struct shell_exec *x, const struct spawner_event *events, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!events[i].is_exit) {
            on_started(x, &events[i]);
            continue;
        }
        struct attempt *a = find(x, events[i].attempt);
        if (a != NULL) {
            on_exit_of(a, events[i].code, events[i].signal, events[i].cpu_us);
        }
    }
}

static bool begin_polling(struct shell_exec *x)
{
    if (uv_poll_init(&x->shell->loop, &x->poll, x->spawner.fd) != 0) {
        return false;
    }
    x->poll.data = x;
    uv_poll_start(&x->poll, UV_READABLE, on_spawner);
    return true;
}

static void restart(struct shell_exec *x)
{
    if (spawner_start(x->shell->home, &x->spawner) != IPX_OK || !begin_polling(x)) {
        fprintf(stderr, "level=error event=spawner why=\"cannot be started\"\n");
    }
}

static void on_poll_closed(uv_handle_t *h)
{
    struct shell_exec *x = h->data;
    x->is_poll_closing = false;
    if (x->is_lost && !x->shell->is_stopping) {
        x->is_lost = false;
        restart(x);
    }
}

/* It died: what it had started ends, what was asked of it fails, and a new one is started. */
static void on_spawner_lost(struct shell_exec *x)
{
    struct attempt *a;
    struct list *next;
    uv_poll_stop(&x->poll);
    close(x->spawner.fd);
    drop_waiting(x, false);
    spawner_reap_orphans();
    x->spawner = (struct spawner){.fd = -1};
    LIST_EACH(a, next, &x->attempts, struct attempt, list)
    {
        if (!a->is_started) {
            on_started(x, &(struct spawner_event){.attempt = a->id, .err = EIO});
        } else {
            on_exit_of(a, 0, 9, 0);
        }
    }
    x->is_lost = true;
    x->is_poll_closing = true;
    uv_close((uv_handle_t *)&x->poll, on_poll_closed);
}

static void on_spawner(uv_poll_t *poll, int status, int events)
{
    struct shell_exec *x = poll->data;
    struct spawner_event batch[SPAWNER_BATCH];
    (void)status;
    (void)events;
    for (;;) {
        ssize_t n = recv(x->spawner.fd, batch, sizeof(batch), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            break;
        }
        if (n <= 0) {
            on_spawner_lost(x);
            break;
        }
        on_events(x, batch, (size_t)n / sizeof(batch[0]));
    }
    if (x->n_waiting > 0) {
        drop_waiting(x, true);
    }
    shell_drain(x->shell);
}

/* --- what exec asks for --- */

static void new_token(char out[static SPAWNER_TOKEN_LEN + 1])
{
    uint8_t bytes[SPAWNER_TOKEN_LEN / 2];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        memset(bytes, 0, sizeof(bytes)); /* cannot happen for so few bytes once booted */
    }
    hex_encode(slice_of(bytes, sizeof(bytes)), out);
}

/* Three pipes or two: ours in `mine`, the child's in `theirs`. */
static bool make_pipes(bool has_stdin, int mine[static 3], int theirs[static 3])
{
    for (int i = 0; i < 3; i++) {
        mine[i] = theirs[i] = -1;
    }
    for (int i = has_stdin ? 0 : 1; i < 3; i++) {
        int fds[2];
        if (pipe2(fds, O_CLOEXEC) != 0) {
            for (int j = 0; j < i; j++) {
                close(mine[j]);
                close(theirs[j]);
            }
            return false;
        }
        mine[i] = i == 0 ? fds[1] : fds[0];
        theirs[i] = i == 0 ? fds[0] : fds[1];
    }
    return true;
}

static int text_memfd(const struct exec_action_spawn *s)
{
    int fd = memfd_create("ipx-argv", MFD_CLOEXEC);
    if (fd >= 0 && (write(fd, s->argv.data, s->argv.len) != (ssize_t)s->argv.len ||
                    write(fd, s->env.data, s->env.len) != (ssize_t)s->env.len)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void send_spawn(struct shell_exec *x, const struct exec_action_spawn *s, int *theirs)
{
    union {
        struct spawner_request head;
        uint8_t bytes[sizeof(struct spawner_request) + SPAWNER_INLINE_MAX];
    } packet;
    int fds[4], n = 0;
    size_t len = s->argv.len + s->env.len;
    packet.head = (struct spawner_request){.kind = SPAWNER_SPAWN,
                                           .has_stdin = s->has_stdin,
                                           .has_memfd = len > SPAWNER_INLINE_MAX,
                                           .n_argv = s->n_argv,
                                           .argv_len = (uint32_t)s->argv.len,
                                           .n_env = s->n_env,
                                           .env_len = (uint32_t)s->env.len,
                                           .attempt = s->attempt,
                                           .mem_max = s->mem_max};
    new_token(packet.head.token);
    for (int i = s->has_stdin ? 0 : 1; i < 3; i++) {
        fds[n++] = theirs[i];
    }
    size_t packet_len = sizeof(packet.head);
    if (packet.head.has_memfd) {
        fds[n] = text_memfd(s);
        n += fds[n] >= 0; /* without it the spawner refuses the request, and says so */
    } else {
        memcpy(packet.bytes + packet_len, s->argv.data, s->argv.len);
        memcpy(packet.bytes + packet_len + s->argv.len, s->env.data, s->env.len);
        packet_len += len;
    }
    request(x, packet.bytes, packet_len, fds, n);
}

static void spawn(struct shell_exec *x, const struct exec_action_spawn *s)
{
    int mine[3], theirs[3];
    struct attempt *a = attempt_new(x, s->attempt);
    if (a == NULL || x->spawner.fd < 0 || !make_pipes(s->has_stdin, mine, theirs)) {
        if (a != NULL) {
            forget(a);
            attempt_free_if_done(a);
        }
        exec_on_started(core(x), now_of(x), s->attempt, IPX_IO);
        return;
    }
    for (int i = 0; i < 3; i++) {
        if (mine[i] >= 0) {
            open_end(x, &a->ends[i], mine[i]);
        }
    }
    send_spawn(x, s, theirs);
}

static void send_kill(struct shell_exec *x, const struct exec_action_kill *k)
{
    struct spawner_request r = {.kind = SPAWNER_KILL, .signal = k->signal, .attempt = k->attempt};
    if (x->spawner.fd >= 0) {
        request(x, &r, sizeof(r), NULL, 0);
    }
}

static void load(struct shell_exec *x, const struct exec_action_store *s)
{
    size_t len = 0;
    enum ipx_err err = store_load(&x->store, s->object, s->offset, x->chunk,
                                  IPX_MIN((size_t)s->len, sizeof(x->chunk)), &len);
    exec_on_loaded(core(x), now_of(x), s->object, s->offset,
                   err == IPX_OK ? slice_of(x->chunk, len) : SLICE_EMPTY);
}

void shell_exec_act(struct shell_exec *x, const struct exec_action *action)
{
    struct attempt *a;
    switch (action->kind) {
    case EXEC_SPAWN:
        spawn(x, &action->spawn);
        break;
    case EXEC_KILL:
        send_kill(x, &action->kill);
        break;
    case EXEC_STDIN:
    case EXEC_STDIN_EOF:
        a = find(x, action->input.attempt);
        if (a != NULL) {
            a->wants_eof = a->wants_eof || action->kind == EXEC_STDIN_EOF;
            take_stdin(a, action->input.bytes);
        }
        break;
    case EXEC_READ_MORE:
        a = find(x, action->read.attempt);
        if (a != NULL) {
            read_more(a, action->read.fd);
        }
        break;
    case EXEC_STORE: {
        enum ipx_err err = store_append(&x->store, action->store.object, action->store.bytes);
        exec_on_stored(core(x), now_of(x), action->store.object, err);
        break;
    }
    case EXEC_LOAD:
        load(x, &action->store);
        break;
    case EXEC_DROP:
        store_drop(&x->store, action->store.object);
        break;
    case EXEC_DGRAM:
    case EXEC_STREAM_OPEN:
    case EXEC_STREAM_SEND:
    case EXEC_STREAM_CLOSE:
    case EXEC_SOURCES_CHANGED:
        assert(false); /* the node keeps these to itself */
        break;
    }
}

enum ipx_err shell_exec_new(struct shell *s, const struct spawner *spawner,
                            struct shell_exec **ret)
{
    uint8_t secret[16];
    struct shell_exec *x = mem_alloc(s->mem, sizeof(*x));
    if (x == NULL || getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret)) {
        mem_free(s->mem, x);
        return IPX_NO_MEMORY;
    }
    x->shell = s;
    x->spawner = *spawner;
    list_init(&x->attempts);
    list_init(&x->waiting);
    enum ipx_err err = map_init(&x->by_id, s->mem, SPAWNER_ATTEMPTS_MAX, sizeof(uint64_t), secret);
    if (err == IPX_OK) {
        err = store_init(&x->store, s->mem, s->home, STORE_LIMIT);
    }
    if (err == IPX_OK && !begin_polling(x)) {
        err = IPX_IO;
    }
    if (err != IPX_OK) {
        store_done(&x->store);
        map_done(&x->by_id);
        mem_free(s->mem, x);
        return err;
    }
    *ret = x;
    return IPX_OK;
}

static void free_attempts(struct shell_exec *x)
{
    for (uint32_t i = 0; i < SPAWNER_ATTEMPTS_MAX; i++) {
        struct attempt *a = x->slots[i];
        for (int end = 0; a != NULL && end < 3; end++) {
            close_end(&a->ends[end]);
        }
        if (a != NULL) {
            forget(a);
            attempt_free_if_done(a);
        }
    }
}

void shell_exec_stop(struct shell_exec *x)
{
    if (x == NULL) {
        return;
    }
    free_attempts(x);
    drop_waiting(x, false);
    uv_poll_stop(&x->poll);
    spawner_stop(&x->spawner);
}

void shell_exec_free(struct shell_exec *x)
{
    if (x != NULL) {
        store_done(&x->store);
        map_done(&x->by_id);
        mem_free(x->shell->mem, x);
    }
}

bool shell_is_below_spawner(const struct shell_exec *x, uint32_t pid)
{
    return x != NULL && x->spawner.pid > 0 && process_is_below((pid_t)pid, x->spawner.pid);
}
