/* SPDX-License-Identifier: Apache-2.0 */
/* Processes and storage of the shell: exec's actions become requests to the spawner, reads and
 * writes of pipes (uv_attempt.c), and objects in the store. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/uv_attempt.h"

struct waiting { /* a request the socket had no room for */
    struct list list;
    int fds[4];
    int n_fds;
    size_t len;
    uint8_t bytes[];
};

static struct exec *core(struct shell_exec *x)
{
    return attempt_core(x);
}

static uint64_t now_of(struct shell_exec *x)
{
    return shell_now_us(x->shell);
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
    struct waiting *w =
        x->n_waiting < ATTEMPT_WAITING_MAX ? mem_alloc(x->shell->mem, sizeof(*w) + len) : NULL;
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
    struct attempt *a = attempt_find(x, event->attempt);
    if (a == NULL) {
        return;
    }
    if (event->err == 0) {
        attempt_on_started(a);
        return;
    }
    enum ipx_err err = event->err == ENOENT || event->err == ENOTDIR ? IPX_NOT_FOUND
                       : event->err == EACCES || event->err == ENOEXEC || event->err == E2BIG
                           ? IPX_DENIED
                           : IPX_IO;
    uint64_t id = a->id;
    attempt_close_ends(a);
    attempt_forget(a);
    exec_on_started(core(x), now_of(x), id, err);
}

static void on_events(struct shell_exec *x, const struct spawner_event *events, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!events[i].is_exit) {
            on_started(x, &events[i]);
            continue;
        }
        struct attempt *a = attempt_find(x, events[i].attempt);
        if (a != NULL) {
            attempt_on_exit(a, events[i].code, events[i].signal, events[i].cpu_us);
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
            attempt_on_exit(a, 0, 9, 0);
        }
    }
    x->is_lost = true;
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
            attempt_forget(a);
        }
        exec_on_started(core(x), now_of(x), s->attempt, IPX_IO);
        return;
    }
    for (int i = 0; i < 3; i++) {
        if (mine[i] >= 0) {
            attempt_open_end(x, &a->ends[i], mine[i]);
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
        a = attempt_find(x, action->input.attempt);
        if (a != NULL) {
            attempt_stdin(a, action->input.bytes, action->kind == EXEC_STDIN_EOF);
        }
        break;
    case EXEC_READ_MORE:
        a = attempt_find(x, action->read.attempt);
        if (a != NULL) {
            attempt_read_more(a, action->read.fd);
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
    case EXEC_JOB_CHANGED:
        assert(false); /* the node keeps these to itself */
        break;
    }
}

enum ipx_err shell_exec_new(struct shell *s, const struct spawner *spawner, struct shell_exec **ret)
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
        if (a != NULL) {
            attempt_close_ends(a);
            attempt_forget(a);
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
