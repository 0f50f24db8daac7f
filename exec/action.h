/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What exec asks of the node around it: one tagged union, drained by exec_poll().
 * Slices inside are valid until the next call on the exec object. Included through
 * exec/exec.h.
 */
#include "exec/job.h"

/* Classes of a STREAM_SEND, as the mux has them. */
enum exec_class { EXEC_CLASS_RPC = 1, EXEC_CLASS_LIVE = 2, EXEC_CLASS_RESULT = 3 };

enum exec_action_kind {
    EXEC_DGRAM,        /* a datagram message inside a confirmed session; may be lost */
    EXEC_STREAM_OPEN,  /* a stream of protocol `protocol` on a link to `to`; handle < 2^31 */
    EXEC_STREAM_SEND,  /* one message, never refused; may follow STREAM_OPEN at once */
    EXEC_STREAM_CLOSE, /* orderly, after what was sent; the handle is forgotten */
    EXEC_SPAWN,        /* answered by exec_on_started */
    EXEC_KILL,         /* a signal to the attempt's whole process group */
    EXEC_STDIN,        /* answered by exec_on_stdin_taken when written */
    EXEC_STDIN_EOF,
    EXEC_READ_MORE,       /* the shell may read the next <= 64 KiB of this fd */
    EXEC_STORE,           /* append; answered by exec_on_stored */
    EXEC_LOAD,            /* answered by exec_on_loaded */
    EXEC_DROP,            /* forget the object; no answer */
    EXEC_SOURCES_CHANGED, /* exec_sources() gives another list: for the node's ad */
    EXEC_JOB_CHANGED      /* a job of this owner began or ended: for people */
};

struct exec_action_dgram {
    struct node_id to;
    uint8_t type;
    uint32_t req_id;
    struct slice body; /* <= 1100 bytes */
};
struct exec_action_open {
    uint32_t handle;
    struct node_id to;
    uint8_t protocol; /* 2 job, 3 tap */
};
struct exec_action_send {
    uint32_t handle;
    uint8_t type;
    enum exec_class class;
    struct slice body; /* <= EXEC_BODY_MAX */
};
struct exec_action_close {
    uint32_t handle;
    enum ipx_err err; /* IPX_OK: orderly end; else why it is broken off */
};
struct exec_action_spawn {
    uint64_t attempt;
    struct slice argv; /* words, a NUL behind each */
    uint32_t n_argv;
    struct slice env; /* K=V, a NUL behind each; the shell adds IPX_SCRATCH and IPX_TOKEN */
    uint32_t n_env;
    bool has_stdin;   /* false: /dev/null */
    uint64_t mem_max; /* bytes, 0 = no limit */
};
struct exec_action_kill {
    uint64_t attempt;
    uint8_t signal;
};
struct exec_action_stdin { /* also STDIN_EOF (no bytes) */
    uint64_t attempt;
    struct slice bytes;
};
struct exec_action_read {
    uint64_t attempt;
    uint8_t fd; /* 1 or 2 */
};
struct exec_action_store { /* also LOAD (offset, len) and DROP (object alone) */
    uint64_t object;
    struct slice bytes;
    uint64_t offset;
    uint32_t len;
};

struct exec_action_job {
    struct exec_job_id id;
    uint8_t short_len; /* characters of the id that are unique here */
    bool is_begun;
    uint8_t state; /* exec_job_state_name */
    uint32_t count;
};

struct exec_action {
    enum exec_action_kind kind;
    union {
        struct exec_action_dgram dgram;
        struct exec_action_open open;
        struct exec_action_send send;
        struct exec_action_close close;
        struct exec_action_spawn spawn;
        struct exec_action_kill kill;
        struct exec_action_stdin input;
        struct exec_action_read read;
        struct exec_action_store store;
        struct exec_action_job job;
    };
};
