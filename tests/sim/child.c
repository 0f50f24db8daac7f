/* SPDX-License-Identifier: Apache-2.0 */
/* A run in a process of its own, so that an assertion that fires is an outcome like others. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/plan.h"

#define RUN_SECONDS_MAX 600 /* of real time: it hangs */

static void be_child(const struct plan *p, bool is_quiet, int to)
{
    struct outcome o = {0};
    alarm(RUN_SECONDS_MAX);
    if (is_quiet) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0) {
            _exit(2);
        }
    }
    plan_run(p, &o);
    fflush(stdout);
    _exit(write(to, &o, sizeof(o)) == (ssize_t)sizeof(o) ? 0 : 2);
}

void plan_run_apart(const struct plan *p, bool is_quiet, struct outcome *ret)
{
    int fds[2], status = 0;
    fflush(stdout);
    if (pipe2(fds, O_CLOEXEC) != 0) {
        abort();
    }
    pid_t pid = fork();
    if (pid == 0) {
        be_child(p, is_quiet, fds[1]);
    }
    close(fds[1]);
    if (pid < 0) {
        abort();
    }
    ssize_t len = read(fds[0], ret, sizeof(*ret));
    close(fds[0]);
    if (waitpid(pid, &status, 0) != pid) {
        abort();
    }
    if (len != (ssize_t)sizeof(*ret) || status != 0) {
        int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        *ret = (struct outcome){.is_failure = true};
        snprintf(ret->failure, sizeof(ret->failure), "%s (signal %d, status %d)",
                 signal == SIGALRM ? "it hangs" : "an assertion", signal, status);
    }
}
