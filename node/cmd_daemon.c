/* SPDX-License-Identifier: Apache-2.0 */
/* The node as a process: lock, load, sockets, the loop, and the way back. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "node/cmd.h"
#include "node/daemon.h"
#include "node/log.h"
#include "node/os_labels.h"
#include "node/os_spawner.h"
#include "node/uv_shell.h"

#define DAEMON_MEM_MAX ((size_t)1 << 30) /* what peers and clients may make a node keep */
#define LISTEN_SIZE 512                  /* text of --listen */
#define STOP_TRIES 500                   /* of 10 ms, before a child is killed */

struct daemon {
    const struct daemon_options *options;
    struct daemon_failure *failure;
    int ready_fd;
    struct mem mem;
    struct home home;
    bool has_home, has_shell;
    struct spawner spawner;
    struct os_machine machine;
    struct shell shell;
    struct node *node;
};

static bool fail(struct daemon *d, enum ipx_err err, const char *what, const char *why,
                 const char *hint)
{
    struct daemon_failure *f = d->failure;
    f->exit_code = 1;
    snprintf(f->name, sizeof(f->name), "%s", err_name(err));
    snprintf(f->what, sizeof(f->what), "%s", what);
    snprintf(f->why, sizeof(f->why), "%s", why);
    snprintf(f->hint, sizeof(f->hint), "%s", hint);
    return false;
}

/* --- addresses --- */

/* True if the text names a port of its own. */
static bool has_port(const char *text)
{
    struct addr a, b;
    return addr_parse(slice_text(text), 1, &a) == IPX_OK &&
           addr_parse(slice_text(text), 2, &b) == IPX_OK && a.port == b.port;
}

static bool listen_on(struct daemon *d, const char *text)
{
    struct addr want;
    char why[200];
    if (addr_parse(slice_text(text), NODE_PORT_DEFAULT, &want) != IPX_OK) {
        return fail(d, IPX_MALFORMED, "cannot listen", "the address is not valid",
                    "Example: --listen 192.0.2.1:7433");
    }
    enum ipx_err err = shell_listen(&d->shell, &want, !has_port(text));
    if (err != IPX_OK) {
        snprintf(why, sizeof(why), "%s",
                 err == IPX_EXISTS ? "the port is taken" : "this machine has no such address");
        return fail(d, err, "cannot listen", why, "Choose another: ipx-node up --listen IP:PORT");
    }
    d->home.config.listen[d->home.config.n_listen++] =
        d->shell.sockets[d->shell.n_sockets - 1].addr;
    return true;
}

/* Links within TLS at `text`; after the others, whose address may be what is told. */
static bool listen_coat(struct daemon *d, const char *text)
{
    struct addr want, got;
    struct node_config *config = &d->home.config;
    const char *why = "coat.tls in the home cannot be used";
    if (addr_parse(slice_text(text), NODE_COAT_PORT_DEFAULT, &want) != IPX_OK) {
        return fail(d, IPX_MALFORMED, "cannot listen", "the address behind tls: is not valid",
                    "Example: --listen tls:192.0.2.1:443");
    }
    enum ipx_err err = shell_listen_coat(&d->shell, &want, &got);
    if (err != IPX_OK) {
        why = err == IPX_EXISTS        ? "the port is taken"
              : err == IPX_UNREACHABLE ? "this machine has no such address, or the port is not for "
                                         "this user"
                                       : why;
        return fail(d, err, "cannot listen for TLS", why,
                    err == IPX_EXISTS || err == IPX_UNREACHABLE
                        ? "Choose another: ipx-node up --listen tls:IP:PORT"
                        : "Remove that file: a new one is made");
    }
    for (size_t i = 0; addr_scope(&got) == ADDR_SCOPE_NONE && i < config->n_listen; i++) {
        uint16_t port = got.port; /* on every address: told is the first */
        got = config->listen[i];
        got.port = port;
    }
    config->coat = got;
    return true;
}

static void tell_address(struct node_config *config, const struct sockaddr *sa, uint16_t port)
{
    struct addr a;
    addr_from_sockaddr(sa, &a);
    a.port = port;
    if (config->n_listen < NODE_LISTEN_MAX && addr_scope(&a) != ADDR_SCOPE_NONE) {
        config->listen[config->n_listen++] = a;
    }
}

/* What others may dial: all that is not loopback; loopback where there is nothing else. */
static void tell_addresses(struct daemon *d, bool has_v6)
{
    uv_interface_address_t *list;
    int n;
    uint16_t port = d->shell.sockets[0].addr.port;
    if (uv_interface_addresses(&list, &n) != 0) {
        return;
    }
    for (int loopback = 0; loopback < 2 && d->home.config.n_listen == 0; loopback++) {
        for (int i = 0; i < n; i++) {
            const struct sockaddr *sa = (const struct sockaddr *)&list[i].address;
            if (!!list[i].is_internal == loopback && (sa->sa_family == AF_INET || has_v6)) {
                tell_address(&d->home.config, sa, port);
            }
        }
    }
    uv_free_interface_addresses(list, n);
}

static bool listen_everywhere(struct daemon *d)
{
    struct addr v4 = {.family = ADDR_V4, .port = NODE_PORT_DEFAULT};
    struct addr v6 = {.family = ADDR_V6, .port = NODE_PORT_DEFAULT};
    bool has_v4 = shell_listen(&d->shell, &v4, true) == IPX_OK;
    v6.port = has_v4 ? d->shell.sockets[0].addr.port : v6.port;
    bool has_v6 = shell_listen(&d->shell, &v6, !has_v4) == IPX_OK;
    if (!has_v4 && !has_v6) {
        return fail(d, IPX_UNREACHABLE, "cannot listen", "no port from 7433 on is free",
                    "Choose one: ipx-node up --listen IP:PORT");
    }
    tell_addresses(d, has_v6);
    return true;
}

/* The addresses of --listen, commas between. */
static bool listen_all(struct daemon *d, const char *given)
{
    char text[LISTEN_SIZE], *coat = NULL, *rest = NULL;
    bool has_plain = false;
    snprintf(text, sizeof(text), "%s", given);
    for (char *one = strtok_r(text, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest)) {
        if (strncmp(one, "tls:", 4) != 0) {
            has_plain = true;
            if (!listen_on(d, one)) { /* full: shell_listen says so */
                return false;
            }
        } else if (coat == NULL) {
            coat = one + 4;
        } else {
            return fail(d, IPX_MALFORMED, "cannot listen",
                        "only one address may stand behind tls:", "");
        }
    }
    return (has_plain || listen_everywhere(d)) && (coat == NULL || listen_coat(d, coat));
}

/* --- making --- */

static bool open_home(struct daemon *d)
{
    enum ipx_err err = os_home_lock(&d->home, d->options->home, &d->mem);
    if (err == IPX_BUSY) {
        return fail(d, err, "the node runs already", d->options->home,
                    "See: ipx-node status, or choose another home: --home DIR");
    }
    if (err != IPX_OK) {
        return fail(d, err, "the home cannot be used", d->options->home,
                    "Choose another: --home DIR");
    }
    d->has_home = true;
    err = os_home_load(&d->home);
    if (err != IPX_OK) {
        return fail(d, err, "the home cannot be read",
                    err == IPX_NOT_FOUND ? "a file of it is missing" : err_text(err),
                    "Begin anew in another home: ipx-node join --home DIR TICKET");
    }
    return true;
}

static bool make_machine(struct daemon *d)
{
    struct node_config *c = &d->home.config;
    enum ipx_err err = os_machine_find(d->options->home, IPX_PROGRAM_VERSION, &d->mem, &d->machine);
    if (err != IPX_OK) {
        return fail(d, err, "the labels of this machine cannot be made", err_text(err), "");
    }
    c->ad = d->machine.ad;
    c->slots = d->machine.cores;
    c->offers = true;
    c->version = IPX_PROGRAM_VERSION;
    c->trace = (struct trace){.sink = log_trace};
    if (d->options->accept != NULL) {
        if (c->accept.len > 0) {
            mem_free(&d->mem, (void *)(uintptr_t)c->accept.data);
        }
        size_t len = strlen(d->options->accept);
        c->accept = slice_of(mem_dup(&d->mem, d->options->accept, len), len);
    }
    return true;
}

static void on_ready(void *user)
{
    struct daemon *d = user;
    struct daemon_failure none = {.exit_code = 0};
    if (d->ready_fd >= 0) {
        ssize_t n = write(d->ready_fd, &none, sizeof(none));
        (void)n; /* nobody waits any more: the node runs on */
        close(d->ready_fd);
        d->ready_fd = -1;
    }
}

static void on_minute(void *user)
{
    (void)user;
    log_rotate();
}

static bool make_node(struct daemon *d)
{
    char sock[HOME_PATH_MAX + 8], listen[LISTEN_SIZE];
    const char *given = d->options->listen;
    enum ipx_err err = shell_init(&d->shell, &d->mem, d->options->home);
    if (err != IPX_OK) {
        return fail(d, err, "the loop cannot be made", err_text(err), "");
    }
    d->has_shell = true;
    d->shell.hooks = (struct shell_hooks){.ready = on_ready, .minute = on_minute, .user = d};
    if ((given == NULL || given[0] == '\0') &&
        os_home_listen(d->options->home, listen, sizeof(listen))) {
        given = listen;
    }
    if (!listen_all(d, given != NULL ? given : "")) {
        return false;
    }
    snprintf(sock, sizeof(sock), "%s/sock", d->options->home);
    if (shell_listen_local(&d->shell, sock) != IPX_OK) {
        return fail(d, IPX_IO, "the control socket cannot be made", sock, "");
    }
    err = shell_exec_new(&d->shell, &d->spawner, &d->shell.exec);
    if (err == IPX_OK) {
        d->spawner.fd = -1; /* the shell's now */
        d->spawner.pid = 0;
        err = node_new(&d->home.config, &d->node);
    }
    if (err != IPX_OK) {
        return fail(d, err, "the node cannot be made", err_text(err),
                    "Its home may be damaged: ipx-node join --home DIR TICKET begins anew");
    }
    return true;
}

static void unmake(struct daemon *d)
{
    char sock[HOME_PATH_MAX + 8];
    if (d->has_shell) {
        struct shell_exec *x = d->shell.exec;
        shell_exec_stop(x);
        shell_done(&d->shell);
        node_free(d->node);
        shell_exec_free(x);
    }
    if (d->spawner.pid > 0) {
        spawner_stop(&d->spawner);
    }
    ad_unref(d->machine.ad);
    if (d->has_home) {
        snprintf(sock, sizeof(sock), "%s/sock", d->options->home);
        unlink(sock);
        os_home_done(&d->home);
    }
}

static bool prepare(struct daemon *d)
{
    if (crypt_init() != IPX_OK) {
        return fail(d, IPX_CRYPTO, "cryptography cannot be used", "libsodium", "");
    }
    if (!open_home(d)) {
        return false;
    }
    if (!d->options->is_fg && !log_to_home(d->options->home)) {
        return fail(d, IPX_IO, "node.log cannot be written", d->options->home, "");
    }
    os_raise_fd_limit();
    if (spawner_start(d->options->home, &d->spawner) != IPX_OK) {
        return fail(d, IPX_IO, "the spawner cannot be started", "", "");
    }
    return make_machine(d) && make_node(d);
}

int daemon_run(const struct daemon_options *options, int ready_fd,
               struct daemon_failure *ret_failure)
{
    static struct daemon d; /* large, and there is one a process */
    d = (struct daemon){.options = options, .failure = ret_failure, .ready_fd = ready_fd};
    d.spawner.fd = -1;
    memset(ret_failure, 0, sizeof(*ret_failure));
    mem_init(&d.mem, DAEMON_MEM_MAX);
    signal(SIGPIPE, SIG_IGN);
    int code = 1;
    if (prepare(&d)) {
        log_line("info", "start", "version=%s pid=%d", IPX_PROGRAM_VERSION, (int)getpid());
        code = shell_run(&d.shell, d.node);
        if (code != 0) {
            fail(&d, IPX_REFUSED, "the node has stopped", d.shell.stop_text, "");
        }
    }
    unmake(&d);
    if (d.ready_fd >= 0) {
        ssize_t n = write(d.ready_fd, ret_failure, sizeof(*ret_failure));
        (void)n;
        close(d.ready_fd);
    }
    return code;
}

/* --- in the background --- */

static void become_background(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    setsid();
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        close(null);
    }
    if (chdir("/") != 0) {
        return; /* it only keeps a file system busy */
    }
}

/* Descriptors that the caller of the command left open are none of the node's. */
static void close_others(int keep)
{
    if (keep > 3) {
        (void)close_range(3, (unsigned)keep - 1, 0);
    }
    (void)close_range((unsigned)keep + 1, ~0u, 0);
}

static void child(const struct daemon_options *options, int ready_fd)
{
    struct daemon_failure failure;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    close_others(ready_fd);
    if (!options->is_fg) {
        become_background();
    }
    _exit(daemon_run(options, ready_fd, &failure));
}

static bool read_answer(int fd, struct daemon_failure *ret)
{
    size_t len = 0;
    while (len < sizeof(*ret)) {
        ssize_t n = read(fd, (char *)ret + len, sizeof(*ret) - len);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return false;
        }
        len += n > 0 ? (size_t)n : 0;
    }
    return true;
}

enum ipx_err daemon_start(const struct daemon_options *options, pid_t *ret_pid,
                          struct daemon_failure *ret_failure)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return IPX_IO;
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) {
        close(fds[0]);
        close(fds[1]);
        return IPX_IO;
    }
    if (pid == 0) {
        child(options, fds[1]);
    }
    close(fds[1]);
    bool has_answer = read_answer(fds[0], ret_failure);
    close(fds[0]);
    if (has_answer && ret_failure->exit_code == 0) {
        *ret_pid = pid;
        return IPX_OK;
    }
    if (!has_answer) {
        memset(ret_failure, 0, sizeof(*ret_failure));
        ret_failure->exit_code = 1;
        snprintf(ret_failure->name, sizeof(ret_failure->name), "INTERNAL");
        snprintf(ret_failure->what, sizeof(ret_failure->what), "the node died while starting");
        snprintf(ret_failure->why, sizeof(ret_failure->why), "see %s/node.log", options->home);
    }
    daemon_stop(pid);
    return IPX_REFUSED;
}

void daemon_stop(pid_t pid)
{
    struct timespec pause = {.tv_nsec = 10000000};
    kill(pid, SIGTERM);
    for (int i = 0; i < STOP_TRIES; i++) {
        if (waitpid(pid, NULL, WNOHANG) != 0) {
            return;
        }
        nanosleep(&pause, NULL);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}
