/* SPDX-License-Identifier: Apache-2.0 */
/* The node's side of the spawner: starting, stopping, and what it leaves when it dies. */
#include "node/os_spawner.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "node/os_proc.h"

#define STOP_WAIT_MS 5000
#define SOCKET_BUF (1 << 20)

enum ipx_err spawner_start(const char *scratch_home, struct spawner *ret)
{
    int pair[2], size = SOCKET_BUF;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return IPX_IO;
    }
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t pid = fork();
    if (pid == 0) {
        spawner_main(pair[1], scratch_home);
    }
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return IPX_IO;
    }
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    ret->fd = pair[0];
    ret->pid = pid;
    return IPX_OK;
}

void spawner_stop(struct spawner *s)
{
    struct timespec pause = {.tv_nsec = 1000000};
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    for (int i = 0; s->pid > 0 && i < STOP_WAIT_MS && waitpid(s->pid, NULL, WNOHANG) == 0; i++) {
        nanosleep(&pause, NULL);
    }
    s->pid = 0;
}

static void kill_child(void *user, pid_t pid)
{
    (void)user;
    kill(pid, SIGKILL);
}

void spawner_reap_orphans(void)
{
    struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < STOP_WAIT_MS; i++) {
        size_t n = proc_each_child(getpid(), kill_child, NULL);
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
        if (n == 0) {
            return;
        }
        nanosleep(&pause, NULL);
    }
}

bool process_is_below(pid_t pid, pid_t ancestor)
{
    for (int depth = 0; depth < 256 && pid > 1; depth++) {
        if (pid == ancestor) {
            return true;
        }
        pid = proc_parent(pid);
    }
    return false;
}

void os_raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}
