/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What /proc says of processes. The kernel's list of children (/proc/PID/task/TID/children) is
 * often not built in, so parents are read from each process's stat.
 */
#include <sys/types.h>

#include "base/base.h"

/* Parent of a process; -1 if it is gone. */
pid_t proc_parent(pid_t pid);
/* Calls `each` for every live (not zombie) child of `parent`. Returns how many. */
typedef void proc_child_fn(void *user, pid_t child);
size_t proc_each_child(pid_t parent, proc_child_fn *each, void *user);
/* True if `NAME=value` stands in the environment the process started with. */
bool proc_has_env(pid_t pid, const char *assignment);
/* Owner of the process; (uid_t)-1 if it is gone. */
uid_t proc_uid(pid_t pid);
