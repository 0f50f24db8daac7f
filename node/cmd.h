/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The commands: one function each, which returns the exit code (cli.md, Manners). main.c picks it
 * by the argument table; what they share is in cmd.c.
 */
#include "node/args.h"
#include "node/client.h"
#include "node/config.h"
#include "node/control_wire.h"
#include "node/os_home.h"
#include "node/out.h"

#ifndef IPX_PROGRAM_VERSION
#define IPX_PROGRAM_VERSION "0.1.0"
#endif

#define CMD_CONFIG_TEXTS 6 /* three files: text and name of each */

struct cmd {
    struct args args;
    struct out out;
    struct mem mem;
    struct config config;
    char *config_texts[CMD_CONFIG_TEXTS]; /* values and origins point into them */
    size_t n_config_texts;
    bool is_home_typed;
    char home[HOME_PATH_MAX + 1];
};

int cmd_bare(struct cmd *c); /* no command: what to type next */
int cmd_new(struct cmd *c);
int cmd_invite(struct cmd *c);
int cmd_join(struct cmd *c);
int cmd_up(struct cmd *c);
int cmd_down(struct cmd *c);
int cmd_leave(struct cmd *c);
int cmd_status(struct cmd *c);
int cmd_nodes(struct cmd *c);
int cmd_peers(struct cmd *c);
int cmd_ping(struct cmd *c);
int cmd_label(struct cmd *c);
int cmd_match(struct cmd *c);
int cmd_policy(struct cmd *c);
int cmd_run(struct cmd *c);
int cmd_map(struct cmd *c);
int cmd_ps(struct cmd *c);
int cmd_show(struct cmd *c);
int cmd_why(struct cmd *c);
int cmd_logs(struct cmd *c);
int cmd_wait(struct cmd *c);
int cmd_cancel(struct cmd *c);
int cmd_publish(struct cmd *c);
int cmd_sources(struct cmd *c);
int cmd_tap(struct cmd *c);
int cmd_config(struct cmd *c);
int cmd_doctor(struct cmd *c);
int cmd_events(struct cmd *c);
int cmd_help(struct cmd *c);
int cmd_version(struct cmd *c);

/* Settings of the files, applied to args; finds the home. 0, or the exit code. */
int config_load(struct cmd *c);
void config_unload(struct cmd *c);

/* --- what they share --- */

/* An error in one line; returns `exit_code`. `why` and `hint` may be NULL. */
int cmd_fail(struct cmd *c, int exit_code, enum ipx_err err, const char *what, const char *why,
             const char *hint);
int cmd_usage(struct cmd *c, const char *what, const char *hint); /* exit code 2 */
/* Connects, or says that no node runs. 0, or the exit code. */
int cmd_connect(struct cmd *c, struct client *client, uint16_t protocol);
/* The connection broke in the middle: exit code `exit_code`. */
int cmd_lost(struct cmd *c, int exit_code);

/* From here on INT and TERM come by a descriptor, and end nothing by themselves; -1: cannot be. */
int cmd_signals(void);
/* The signal that came by it, 0 if none did. */
int cmd_signal_taken(int fd);

#define CMD_LOST (-1)
/* One request on a stream of its own: each row goes to `each` (which may be NULL). Returns the
 * exit code; errors have been told. */
typedef void cmd_row_fn(void *user, const struct out_row *row);
struct cmd_request {
    enum control_command command;
    const char *args[CONTROL_ARGS_MAX];
    size_t n_args;
    const char *waits_for; /* NULL: "the node" */
    const char *hint;
    bool is_quiet;    /* errors are not told: the exit code says all */
    bool is_endless;  /* nothing is said of waiting, and a lost connection is CMD_LOST, not told */
    int interrupt_fd; /* of cmd_signals; 0: none. Its signal ends the request with 128 + n */
    cmd_row_fn *each;
    void *user;
};
int cmd_request(struct cmd *c, const struct cmd_request *request);
/* All --listen, with commas between; NULL if none. */
#define CMD_LISTEN_SIZE 512
const char *cmd_listen(struct cmd *c, char out[static CMD_LISTEN_SIZE]);
/* All --where (FLAG_WHERE or FLAG_WHERE_FIELDS) joined by `and`, "" if none, in memory of c->mem;
 * NULL: too long, and told. */
char *cmd_where(struct cmd *c, enum flag_id flag);
