/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Scratch directories of attempts: one each, mode 0700, gone with the attempt. Below the home, as
 * root in /var/tmp (attempts run as another uid, which must reach it through no closed folder).
 * Used by the spawner only; one root a process.
 */
#include <sys/types.h>

#include "base/base.h"

#define SCRATCH_PATH_MAX 160

/* Makes the root, empty: what an earlier run left is removed. 0 or errno. */
int scratch_init(const char *home, bool is_root);
/* `uid` (uid_t)-1: stays the caller's. 0 or errno; `ret_path` is the directory. */
int scratch_make(uint64_t attempt, uid_t uid, char ret_path[static SCRATCH_PATH_MAX]);
void scratch_remove(uint64_t attempt);
/* Removes the root and all in it. */
void scratch_done(void);
