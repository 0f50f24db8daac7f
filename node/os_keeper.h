/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A child that leaves nothing behind: the command runs below a keeper process, which ends with
 * its parent, whatever kills that, and takes all descendants of the command with it.
 */
#include <sys/types.h>

#include "base/base.h"

struct keeper {
    pid_t pid; /* of the keeper; 0: none */
    int fd;    /* the command's stdout; -1: none */
};

/* Starts `argv` (NULL-terminated), its stdin empty, its stderr ours. Fault: IPX_IO (errno). */
IPX_MUST_USE enum ipx_err keeper_start(char *const *argv, struct keeper *ret);
/* Ends it and waits for the keeper; returns the command's exit code (128 + n by a signal). */
int keeper_stop(struct keeper *k);
