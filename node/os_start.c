/* SPDX-License-Identifier: Apache-2.0 */
#include "node/os_start.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* execvpe says EACCES where a folder of PATH is closed to the task, found or not. */
static int exec_error(const char *name, int err)
{
    char path[4096];
    const char *dirs = getenv("PATH");
    if (err != EACCES || dirs == NULL || strchr(name, '/') != NULL) {
        return err;
    }
    while (*dirs != '\0') {
        size_t len = strcspn(dirs, ":");
        int n = snprintf(path, sizeof(path), "%.*s/%s", (int)len, dirs, name);
        if (n > 0 && (size_t)n < sizeof(path) && access(path, F_OK) == 0) {
            return EACCES;
        }
        dirs += len + (dirs[len] == ':');
    }
    return ENOENT;
}

void start_set_ignored(void (*what)(int))
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
        signal(ignored[i], what);
    }
}

/* In the vforked child: only system calls, and nothing that changes the parent's memory. */
static void become(struct start *s)
{
    sigset_t none;
    sigemptyset(&none);
    if (setsid() < 0 || chdir(s->dir) != 0) {
        s->err = errno;
        _exit(126);
    }
    for (int i = 0; i < 3; i++) {
        if (dup2(s->fds[i], i) < 0) {
            s->err = errno;
            _exit(126);
        }
    }
    syscall(SYS_close_range, 3u, ~0u, 0u);
    if (s->mem_max > 0) {
        struct rlimit limit = {.rlim_cur = s->mem_max, .rlim_max = s->mem_max};
        setrlimit(RLIMIT_AS, &limit);
    }
    if (s->has_uid && (syscall(SYS_setgroups, 0, NULL) != 0 ||
                       syscall(SYS_setresgid, s->uid, s->uid, s->uid) != 0 ||
                       syscall(SYS_setresuid, s->uid, s->uid, s->uid) != 0)) {
        s->err = errno;
        _exit(126);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    start_set_ignored(SIG_DFL); /* the exec resets every other one */
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvpe(s->argv[0], s->argv, s->env);
    s->err = exec_error(s->argv[0], errno);
    _exit(127);
}

pid_t start_process(struct start *s)
{
    s->err = 0;
    pid_t pid = vfork();
    if (pid == 0) {
        become(s);
    }
    if (pid < 0) {
        s->err = errno;
        return -1;
    }
    if (s->err != 0) {
        waitpid(pid, NULL, 0);
        return -1;
    }
    return pid;
}
