/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Starts one program: vfork, a session of its own, descriptors, limits, user, exec. The parent is
 * held until the exec has happened or failed, so the error is known at once. Only the spawner
 * calls it: its signal mask and ignored signals are undone in the child.
 */
#include <sys/types.h>

#include "base/base.h"

struct start {
    char **argv, **env;
    const char *dir;
    int fds[3];
    bool has_uid; /* changes to `uid`, and to the group of that number */
    uid_t uid;
    uint64_t mem_max; /* bytes of address space; 0: no limit */
    volatile int err; /* why not: errno. Written by the child: memory is shared until the exec */
};

/* The process, also its group and session; -1: none, see s->err. */
pid_t start_process(struct start *s);
/* What the spawner ignores (it ends with its node, not with a terminal): SIG_IGN, SIG_DFL. */
void start_set_ignored(void (*what)(int));
