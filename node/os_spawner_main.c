/* SPDX-License-Identifier: Apache-2.0 */
/* The spawner's own process: starts, watches and ends attempts. */
#include "node/os_spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "node/os_proc.h"
#include "node/os_scratch.h"
#include "node/os_start.h"

#define SCAN_MS 100 /* between looks for what ended attempts left behind */
/* Requests taken in one turn, so that their answers go out as one packet; ends are looked at
 * between turns, however fast requests come. */
#define REQUESTS_A_TURN 16

struct child {
    uint64_t attempt;
    pid_t pid; /* 0: free slot; also the group and session */
    char token[SPAWNER_TOKEN_LEN + 1];
};

/* One spawner a process: its state may be static, there is nothing else in it. */
static struct {
    int fd, signals, null; /* null: the stdin of attempts that have none */
    bool is_root, is_scan_due;
    uint32_t n_children, last_slot;
    struct child children[SPAWNER_ATTEMPTS_MAX];
    struct spawner_event events[SPAWNER_BATCH];
    size_t n_events;
    char text[SPAWNER_TEXT_MAX];
    union {
        struct spawner_request head;
        char bytes[sizeof(struct spawner_request) + SPAWNER_INLINE_MAX];
    } request;
} sp;

static void flush_events(void)
{
    if (sp.n_events > 0) {
        /* Blocks while the node is busy: it always reads. Its death is seen by the next recv. */
        ssize_t rc = send(sp.fd, sp.events, sp.n_events * sizeof(sp.events[0]), MSG_NOSIGNAL);
        (void)rc;
        sp.n_events = 0;
    }
}

static struct spawner_event *add_event(uint64_t attempt)
{
    if (sp.n_events == SPAWNER_BATCH) {
        flush_events();
    }
    struct spawner_event *e = &sp.events[sp.n_events++];
    *e = (struct spawner_event){.attempt = attempt};
    return e;
}

/* --- starting --- */

/* A task may open its own /dev/stdout again: a pipe belongs to who made it. */
static void give_pipes(const int *fds, uid_t uid)
{
    for (int i = 0; i < 3; i++) {
        if (fds[i] != sp.null && fchown(fds[i], uid, uid) != 0) {
            return; /* then it may not: no reason not to run */
        }
    }
}

static struct child *take_slot(void)
{
    for (uint32_t i = 1; i <= SPAWNER_ATTEMPTS_MAX; i++) {
        uint32_t slot = (sp.last_slot + i) % SPAWNER_ATTEMPTS_MAX;
        if (sp.children[slot].pid == 0) {
            sp.last_slot = slot;
            return &sp.children[slot];
        }
    }
    return NULL;
}

/* Words with a NUL each become an array of pointers; false if they are not `n` words. */
static bool split_words(char *text, size_t len, uint32_t n, char **out)
{
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        size_t left = len - at;
        size_t word = strnlen(text + at, left);
        if (word == left) {
            return false;
        }
        out[i] = text + at;
        at += word + 1;
    }
    return at == len;
}

static int spawn(struct spawner_request *r, char *text, int *fds)
{
    static char *words[65536 + 8];
    char scratch_env[SCRATCH_PATH_MAX + 16], token_env[SPAWNER_TOKEN_LEN + 16];
    char dir[SCRATCH_PATH_MAX];
    struct child *c = take_slot();
    if (c == NULL || r->n_argv == 0 || r->n_argv + r->n_env + 4 > ARRAY_LEN(words)) {
        return c == NULL ? EAGAIN : E2BIG;
    }
    char **env = words + r->n_argv + 1;
    if (!split_words(text, r->argv_len, r->n_argv, words) ||
        !split_words(text + r->argv_len, r->env_len, r->n_env, env)) {
        return EINVAL;
    }
    words[r->n_argv] = NULL;
    struct start s = {.argv = words,
                      .env = env,
                      .dir = dir,
                      .mem_max = r->mem_max,
                      .has_uid = sp.is_root,
                      .uid = SPAWNER_UID_FIRST + (uid_t)(c - sp.children)};
    int err = scratch_make(r->attempt, sp.is_root ? s.uid : (uid_t)-1, dir);
    if (err != 0) {
        return err;
    }
    snprintf(scratch_env, sizeof(scratch_env), "IPX_SCRATCH=%s", dir);
    snprintf(token_env, sizeof(token_env), "IPX_TOKEN=%s", r->token);
    env[r->n_env] = scratch_env;
    env[r->n_env + 1] = token_env;
    env[r->n_env + 2] = NULL;
    memcpy(s.fds, fds, sizeof(s.fds));
    if (sp.is_root) {
        give_pipes(s.fds, s.uid);
    }
    pid_t pid = start_process(&s);
    if (pid < 0) {
        scratch_remove(r->attempt);
        return s.err;
    }
    c->pid = pid;
    c->attempt = r->attempt;
    memcpy(c->token, r->token, sizeof(c->token));
    sp.n_children++;
    return 0;
}

/* --- requests --- */

static char *request_text(const struct spawner_request *r, int memfd)
{
    size_t len = (size_t)r->argv_len + r->env_len;
    if (!r->has_memfd) {
        return sp.request.bytes + sizeof(*r);
    }
    if (len > sizeof(sp.text) || memfd < 0 || pread(memfd, sp.text, len, 0) != (ssize_t)len) {
        return NULL;
    }
    return sp.text;
}

static void on_spawn(struct spawner_request *r, size_t len, int *got, int n_got)
{
    int next = 0;
    int want = (r->has_stdin ? 3 : 2) + (r->has_memfd ? 1 : 0);
    int err = EINVAL;
    if (n_got == want && (r->has_memfd || len == sizeof(*r) + r->argv_len + r->env_len)) {
        int fds[3];
        fds[0] = r->has_stdin ? got[next++] : sp.null;
        fds[1] = got[next++];
        fds[2] = got[next++];
        char *text = request_text(r, r->has_memfd ? got[next] : -1);
        err = text == NULL ? EINVAL : spawn(r, text, fds);
    }
    add_event(r->attempt)->err = err;
}

static struct child *find_child(uint64_t attempt)
{
    for (uint32_t i = 0; i < SPAWNER_ATTEMPTS_MAX; i++) {
        if (sp.children[i].pid != 0 && sp.children[i].attempt == attempt) {
            return &sp.children[i];
        }
    }
    return NULL;
}

static void on_kill(const struct spawner_request *r)
{
    struct child *c = find_child(r->attempt);
    if (c != NULL) {
        kill(-c->pid, r->signal);
    }
}

enum received { RECEIVED_ONE, RECEIVED_NONE, RECEIVED_END };

/* One packet; RECEIVED_END: the node is gone. */
static enum received receive(void)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(8 * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = sp.request.bytes, .iov_len = sizeof(sp.request.bytes)};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    int fds[8], n_fds = 0;
    ssize_t n = recvmsg(sp.fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return RECEIVED_NONE;
    }
    if (n < (ssize_t)sizeof(struct spawner_request)) {
        return RECEIVED_END;
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        n_fds = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fds, CMSG_DATA(c), (size_t)n_fds * sizeof(int));
    }
    struct spawner_request r = sp.request.head;
    if (r.kind == SPAWNER_SPAWN) {
        on_spawn(&r, (size_t)n, fds, n_fds);
    } else if (r.kind == SPAWNER_KILL) {
        on_kill(&r);
    }
    for (int i = 0; i < n_fds; i++) {
        close(fds[i]);
    }
    return RECEIVED_ONE;
}

static bool receive_some(void)
{
    for (int i = 0; i < REQUESTS_A_TURN; i++) {
        enum received got = receive();
        if (got != RECEIVED_ONE) {
            return got == RECEIVED_NONE;
        }
    }
    return true;
}

/* --- ends --- */

static void on_child_end(struct child *c, const siginfo_t *info, const struct rusage *usage)
{
    struct spawner_event *e = add_event(c->attempt);
    e->is_exit = true;
    e->code = info->si_code == CLD_EXITED ? (uint8_t)info->si_status : 0;
    e->signal = info->si_code == CLD_EXITED ? 0 : (uint8_t)info->si_status;
    e->cpu_us = (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * US_PER_S +
                (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
    scratch_remove(c->attempt);
    c->pid = 0;
    sp.n_children--;
    sp.is_scan_due = true;
}

/* A main process is looked at before it is reaped, so that its group cannot be another's yet. */
static bool reap_one(void)
{
    siginfo_t info = {.si_pid = 0};
    struct rusage usage;
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) {
        return false;
    }
    for (uint32_t i = 0; i < SPAWNER_ATTEMPTS_MAX; i++) {
        struct child *c = &sp.children[i];
        if (c->pid == info.si_pid) {
            kill(-c->pid, SIGKILL);
            wait4(info.si_pid, NULL, 0, &usage);
            on_child_end(c, &info, &usage);
            return true;
        }
    }
    waitpid(info.si_pid, NULL, 0);
    return true;
}

/* Whose is this orphan? NULL: of an attempt that has ended, or it hides it. */
static struct child *owner_of(pid_t pid)
{
    char assignment[SPAWNER_TOKEN_LEN + 16];
    if (sp.is_root) {
        uid_t uid = proc_uid(pid);
        bool is_ours = uid >= SPAWNER_UID_FIRST && uid < SPAWNER_UID_FIRST + SPAWNER_ATTEMPTS_MAX;
        struct child *c = is_ours ? &sp.children[uid - SPAWNER_UID_FIRST] : NULL;
        return c != NULL && c->pid != 0 ? c : NULL;
    }
    for (uint32_t i = 0; i < SPAWNER_ATTEMPTS_MAX; i++) {
        if (sp.children[i].pid != 0) {
            snprintf(assignment, sizeof(assignment), "IPX_TOKEN=%s", sp.children[i].token);
            if (proc_has_env(pid, assignment)) {
                return &sp.children[i];
            }
        }
    }
    return NULL;
}

struct scan {
    bool kills_all;
    uint32_t n_killed, n_left;
};

static void judge_child(void *user, pid_t pid)
{
    struct scan *scan = user;
    for (uint32_t i = 0; !scan->kills_all && i < SPAWNER_ATTEMPTS_MAX; i++) {
        if (sp.children[i].pid == pid) {
            return;
        }
    }
    if (!scan->kills_all && owner_of(pid) != NULL) {
        scan->n_left++; /* looked at again when an attempt ends */
        return;
    }
    kill(pid, SIGKILL);
    scan->n_killed++;
}

/* Kills the orphans of ended attempts. What they had below them comes to us when they die, so it is
 * looked again until there is nothing to kill. */
static void scan_orphans(bool kills_all)
{
    struct scan scan = {.kills_all = kills_all};
    proc_each_child(getpid(), judge_child, &scan);
    sp.is_scan_due = scan.n_killed > 0;
}

static void end_all(void)
{
    struct timespec pause = {.tv_nsec = 2000000};
    for (uint32_t i = 0; i < SPAWNER_ATTEMPTS_MAX; i++) {
        if (sp.children[i].pid != 0) {
            kill(-sp.children[i].pid, SIGKILL);
        }
    }
    do {
        scan_orphans(true);
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
        nanosleep(&pause, NULL); /* for the killed to die; nobody waits for us any more */
    } while (waitpid(-1, NULL, WNOHANG) >= 0);
    scratch_done();
}

static uint64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void loop(void)
{
    uint64_t next_scan_ms = 0;
    struct signalfd_siginfo drained[8];
    for (;;) {
        struct pollfd fds[2] = {{.fd = sp.fd, .events = POLLIN},
                                {.fd = sp.signals, .events = POLLIN}};
        uint64_t now = clock_ms();
        int wait_ms = !sp.is_scan_due ? -1 : now >= next_scan_ms ? 0 : (int)(next_scan_ms - now);
        poll(fds, 2, wait_ms);
        if (fds[1].revents != 0) {
            ssize_t n = read(sp.signals, drained, sizeof(drained));
            (void)n;
            while (reap_one()) {
            }
        }
        if (fds[0].revents != 0 && !receive_some()) {
            return;
        }
        flush_events();
        if (sp.is_scan_due && clock_ms() >= next_scan_ms) {
            scan_orphans(false);
            next_scan_ms = clock_ms() + SCAN_MS;
        }
    }
}

/* In a user namespace that maps fewer uids, root cannot become one of them: as any other user. */
static bool owns_task_uids(void)
{
    unsigned long inside, outside, n = 0;
    bool owns = false;
    FILE *map = fopen("/proc/self/uid_map", "re");
    if (map == NULL) {
        return true; /* no /proc: then no namespace either */
    }
    while (!owns && fscanf(map, "%lu %lu %lu", &inside, &outside, &n) == 3) {
        owns =
            inside <= SPAWNER_UID_FIRST && SPAWNER_UID_FIRST + SPAWNER_ATTEMPTS_MAX - inside <= n;
    }
    fclose(map);
    return owns;
}

void spawner_main(int fd, const char *scratch_home)
{
    sigset_t set;
    setsid();
    prctl(PR_SET_NAME, "ipx-spawner");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int sig = 1; sig < 32; sig++) {
        signal(sig, SIG_DFL);
    }
    start_set_ignored(SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_SETMASK, &set, NULL);
    sp.fd = dup2(fd, 3);
    syscall(SYS_close_range, 4u, ~0u, 0u);
    sp.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    fcntl(sp.fd, F_SETFD, FD_CLOEXEC);
    sp.null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sp.is_root = geteuid() == 0 && owns_task_uids();
    if (sp.signals >= 0 && sp.null >= 0 && scratch_init(scratch_home, sp.is_root) == 0) {
        loop();
    }
    end_all();
    _exit(0);
}
