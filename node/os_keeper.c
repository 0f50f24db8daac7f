/* SPDX-License-Identifier: Apache-2.0 */
#include "node/os_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "node/os_spawner.h"

#define GRACE_MS 500 /* between TERM and KILL */

static void run_command(char *const *argv, int out)
{
    sigset_t none;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0) {
        _exit(126);
    }
    execvp(argv[0], argv);
    int code = errno == ENOENT ? 127 : 126;
    perror(argv[0]);
    _exit(code);
}

static int code_of(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Waits for the command, or for the word to end it. */
static int keep(pid_t command, const sigset_t *set)
{
    int status = 0;
    struct timespec grace = {.tv_nsec = GRACE_MS * 1000000L};
    struct timespec *limit = NULL;
    while (waitpid(command, &status, WNOHANG) != command) {
        int number = sigtimedwait(set, NULL, limit);
        if (number == SIGTERM && limit == NULL) {
            kill(-command, SIGTERM);
            kill(command, SIGTERM);
            limit = &grace;
        } else if (number < 0 && errno == EAGAIN) {
            kill(-command, SIGKILL);
            kill(command, SIGKILL);
        }
    }
    spawner_reap_orphans(); /* what it left behind comes to us, a subreaper */
    return code_of(status);
}

static void run_keeper(char *const *argv, int out, pid_t parent)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    setpgid(0, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(0); /* it went before it could be watched */
    }
    pid_t command = fork();
    if (command == 0) {
        run_command(argv, out);
    }
    close(out);
    _exit(command < 0 ? 126 : keep(command, &set));
}

enum ipx_err keeper_start(char *const *argv, struct keeper *ret)
{
    int fds[2];
    pid_t self = getpid();
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return IPX_IO;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        run_keeper(argv, fds[1], self);
    }
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return IPX_IO;
    }
    *ret = (struct keeper){.pid = pid, .fd = fds[0]};
    return IPX_OK;
}

int keeper_stop(struct keeper *k)
{
    int status = 0;
    if (k->pid <= 0) {
        return 0;
    }
    kill(k->pid, SIGTERM);
    while (waitpid(k->pid, &status, 0) < 0 && errno == EINTR) {
    }
    close(k->fd);
    *k = (struct keeper){.pid = 0, .fd = -1};
    return code_of(status);
}
