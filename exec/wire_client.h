/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Messages between a local client (command line) and the owner, over the control
 * socket. One command a stream: SUBMIT, PS, SHOW, WHY, LOGS, WAIT or CANCEL first;
 * the owner's last message is END or ERROR, always. Included through exec/exec.h.
 *
 * The owner sends at most EXEC_WINDOW bytes of SHOWN a fd beyond the last CLIENT_ACK,
 * the client at most EXEC_WINDOW bytes of INPUT beyond the last INPUT_ACK{total}.
 */
#include "exec/wire_result.h"

enum exec_client_msg {
    EXEC_MSG_SUBMIT = 128,
    EXEC_MSG_ITEMS = 129,      /* more items; answered by nothing until the last */
    EXEC_MSG_INPUT = 130,      /* stdin of a run */
    EXEC_MSG_CLIENT_ACK = 131, /* output printed so far */
    EXEC_MSG_SIGNAL = 132,     /* for what this stream submitted: TERM, then KILL */
    EXEC_MSG_CANCEL_JOB = 133,
    EXEC_MSG_PS = 134,
    EXEC_MSG_SHOW = 135,
    EXEC_MSG_WHY = 136,
    EXEC_MSG_LOGS = 137,
    EXEC_MSG_WAIT = 138,
    EXEC_MSG_ACCEPTED = 144,
    EXEC_MSG_SHOWN = 145, /* output of a task */
    EXEC_MSG_TASK = 146,  /* tasks that ended, or rows of SHOW */
    EXEC_MSG_PROGRESS = 147,
    EXEC_MSG_END = 148,
    EXEC_MSG_JOB_ROW = 149, /* PS, SHOW, WAIT */
    EXEC_MSG_WHY_ROW = 150,
    EXEC_MSG_WHY_SUM = 151,
    EXEC_MSG_PLACE_ROW = 152, /* --dry-run: a node that would be asked */
    EXEC_MSG_ERROR = 153,
    EXEC_MSG_INPUT_ACK = 154
};

enum exec_submit_flag {
    EXEC_SUBMIT_NO_WAIT = 1 << 0,
    EXEC_SUBMIT_DETACH = 1 << 1,
    EXEC_SUBMIT_KEEP_ORDER = 1 << 2,
    EXEC_SUBMIT_PURE = 1 << 3,
    EXEC_SUBMIT_DRY_RUN = 1 << 4,
    EXEC_SUBMIT_STDIN = 1 << 5, /* run: INPUT messages follow */
    EXEC_SUBMIT_ITEMS = 1 << 6  /* map: ITEMS messages follow */
};
struct exec_submit {
    enum exec_mode mode;
    uint32_t flags;
    struct exec_list argv, env;
    struct exec_list where;                 /* expressions, all must hold */
    struct slice prefer, on, stream, range; /* empty: not given */
    struct exec_needs needs;                /* cpu 0 is taken as 1 */
    uint32_t retry, limit;                  /* limit 0 = none */
    uint64_t wait_max_us;                   /* 0 = none */
};
void exec_submit_encode(const struct exec_submit *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_submit_decode(struct slice in, struct exec_submit *ret);

struct exec_items {
    struct exec_list items; /* <= 64 KiB a message and EXEC_BATCH_ITEMS_MAX */
    bool end;
};
#define EXEC_BATCH_ITEMS_MAX 16384u
void exec_items_encode(const struct exec_items *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_items_decode(struct slice in, struct exec_items *ret);

struct exec_input {
    struct slice bytes; /* <= EXEC_CHUNK_MAX */
    bool end;
};
void exec_input_encode(const struct exec_input *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_input_decode(struct slice in, struct exec_input *ret);

struct exec_client_ack { /* bytes of SHOWN printed so far, of all tasks */
    uint64_t out, err;
};
void exec_client_ack_encode(const struct exec_client_ack *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_client_ack_decode(struct slice in, struct exec_client_ack *ret);

/* INPUT_ACK (total bytes) and SIGNAL (number): {1: u64}. */
void exec_number_encode(uint64_t v, struct writer *w);
IPX_MUST_USE enum ipx_err exec_number_decode(struct slice in, uint64_t *ret);

/* CANCEL_JOB, PS, SHOW, WHY, LOGS, WAIT. */
struct exec_ask {
    struct exec_list ids; /* prefixes of job ids; LOGS: ID or ID.N; PS: none */
    bool all;             /* PS: of all users and finished ones too */
    bool follow;          /* LOGS */
    struct slice where;   /* WHY: an expression instead of an id */
};
#define EXEC_ASK_MAX 64u
void exec_ask_encode(const struct exec_ask *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_ask_decode(struct slice in, struct exec_ask *ret);

struct exec_accepted {
    struct exec_job_id id;
    uint8_t short_len;                            /* characters of the id that are unique here */
    uint32_t count;                               /* tasks */
    uint32_t n_match, n_unknown, n_nodes, n_labs; /* n_labs: of the matching nodes */
    uint64_t item_bytes;
    struct slice unknown, meant; /* a label that no known ad has, and what may have been meant */
};
void exec_accepted_encode(const struct exec_accepted *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_accepted_decode(struct slice in, struct exec_accepted *ret);

struct exec_shown {
    uint32_t task;
    uint8_t fd;
    struct slice bytes;
};
void exec_shown_encode(const struct exec_shown *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_shown_decode(struct slice in, struct exec_shown *ret);

/* One task. All output of a captured task came before its row. */
struct exec_task_row {
    uint32_t task;
    uint8_t state; /* enum owner_task_state by name: exec_task_state_name */
    enum exec_end end;
    uint8_t code, signal;
    uint32_t attempt, n_failed, n_lost;
    uint64_t wall_us, cpu_us, out_len, err_len;
    struct slice node, lab; /* empty: none yet */
    struct slice item;
};
const char *exec_task_state_name(uint8_t state);
struct exec_task_rows {
    uint32_t n; /* <= EXEC_BATCH_MAX */
    struct slice raw;
};
void exec_task_row_encode(const struct exec_task_row *m, struct writer *w);
void exec_task_rows_encode(const struct exec_task_rows *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_task_rows_decode(struct slice in, struct exec_task_rows *ret);
struct cbor_reader exec_task_rows_begin(const struct exec_task_rows *m);
struct exec_task_row exec_task_row_next(struct cbor_reader *it);

#include "exec/wire_rows.h"
