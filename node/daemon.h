/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The node as a process: everything between the command line and the uv loop.
 *
 * daemon_start forks it: the parent waits on a pipe until the node is ready or has said why it
 * cannot be. In the background it has a session of its own and logs to node.log; in the
 * foreground it stays on the terminal.
 */
#include <sys/types.h>

#include "node/os_home.h"

struct daemon_options {
    const char *home;
    const char *listen; /* --listen, several by commas; else what the home says; NULL or "" */
    const char *accept; /* --accept; NULL: as before */
    bool is_fg;
};

struct daemon_failure { /* as a person reads it */
    int exit_code;
    char name[24], what[200], why[300], hint[200];
};

/* Conditions: IPX_REFUSED (`ret_failure` says why). `ret_pid` is a child of the caller. */
IPX_MUST_USE enum ipx_err daemon_start(const struct daemon_options *options, pid_t *ret_pid,
                                       struct daemon_failure *ret_failure);
/* The node in this process; returns its exit code. `ready_fd`: where it tells, -1 for none;
 * a failure before that is in `ret_failure`. */
int daemon_run(const struct daemon_options *options, int ready_fd,
               struct daemon_failure *ret_failure);
/* Ends a child of daemon_start: TERM, after 5 s KILL. */
void daemon_stop(pid_t pid);
