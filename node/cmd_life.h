/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What `new` and `join` share: private to cmd_life.c, cmd_new.c, cmd_join.c. */
#include "node/cmd.h"
#include "node/daemon.h"

#define LIFE_LABELS_SIZE 4096

/* Tells why a node did not start; returns the exit code. */
int life_failure(struct cmd *c, const struct daemon_failure *f);
/* --fg: waits for the node, passing TERM and INT on to it; returns its exit code. */
int life_foreground(pid_t pid);
/* The host's name cut to the grammar of names, else a random one. */
void life_default_name(char out[static CERT_NAME_MAX + 1]);
/* All --label as lines; 0, or the exit code of a reserved name. */
int life_labels(struct cmd *c, char *out, size_t size);
/* 0, or the exit code where this home has a node already. */
int life_refuse_existing(struct cmd *c, const char *verb);
