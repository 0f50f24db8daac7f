/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * run, map and the commands about jobs share this: a conversation with the owner over one stream
 * (exec/wire_client.h). Private to cmd_run.c, cmd_going.c, cmd_items.c and cmd_jobs.c.
 */
#include "base/list.h"
#include "exec/exec.h"
#include "node/cmd.h"

#define EXEC_SEND_MAX (EXEC_BODY_MAX) /* bytes of one message to the owner */

struct going_task { /* --json: output of one task until its row comes */
    struct list list;
    uint32_t task;
    struct buf texts[2];
};

struct going {
    struct cmd *c;
    struct client client;
    bool is_map, is_detached, is_dry_run;
    bool is_accepted, is_over, is_done;
    int exit_code;
    char id[EXEC_JOB_TEXT_SIZE], short_id[EXEC_JOB_TEXT_SIZE];
    uint64_t printed[2], acked[2]; /* bytes of stdout and stderr */
    bool is_pipe_broken;
    int signal_fd, n_signals;
    struct list tasks; /* struct going_task */
    /* stdin of a run */
    bool has_stdin;
    uint64_t input_sent, input_acked;
    /* what is told while it goes on */
    struct exec_progress progress;
    uint64_t began_us, said_us;
    enum exec_waiting said;
    bool is_hinted;
    struct out_table places;
    uint8_t *scratch; /* EXEC_SEND_MAX bytes */
};

/* cmd_going.c */
/* Connects and takes the signals. 0, or the exit code. */
int going_begin(struct going *g, struct cmd *c);
/* Talks until END or ERROR; returns the exit code. */
int going_run(struct going *g);
void going_end(struct going *g);
/* Sends one message encoded into g->scratch; false if the connection is lost. */
IPX_MUST_USE bool going_send(struct going *g, uint8_t type, const struct writer *w);

/* cmd_items.c */
enum items_kind { ITEMS_NONE, ITEMS_WORDS, ITEMS_FILE, ITEMS_STDIN, ITEMS_RANGE };
struct items {
    enum items_kind kind;
    char **words;
    size_t n_words;
    const char *file, *range;
};
/* Splits the words behind the flags into CMD (*ret_n_argv of them) and items. 0, or the exit
 * code. */
int items_find(struct cmd *c, size_t *ret_n_argv, struct items *ret);
/* Sends them all. 0, or the exit code. */
int items_send(struct going *g, const struct items *items);

/* cmd_exec.c */
/* Tells an ERROR of the owner; returns its exit code. */
int exec_fail(struct cmd *c, struct slice body);
/* A job's state for people: "3 running - 5 waiting". */
void exec_counts(const struct exec_progress *p, char *out, size_t size);
/* "no node matches" .. */
const char *exec_waiting_text(enum exec_waiting why);
