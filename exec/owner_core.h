/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of the owner share: its jobs, their tasks, the seats (what a job
 * knows of a place) and the clients. Private to exec/owner*.c.
 *
 * Invariants: a job's n_in[] counts its tasks by state. Tasks next_fresh.. never ran;
 * tasks that came back wait in the list `again`. A claimed, running or storing task
 * is in the claims of its seat. A final task of an attached job is in `ready` until
 * it was delivered (by completion) or found by its index (--keep-order).
 */
#include "base/buf.h"
#include "base/list.h"
#include "base/timers.h"
#include "exec/owner.h"
#include "exec/owner_limits.h"
#include "exec/owner_states.h"

struct owner_task {
    uint8_t state; /* enum owner_task_state */
    uint8_t end;   /* enum exec_end of the last attempt */
    uint8_t code, signal;
    uint16_t seat;           /* of the present or the last attempt */
    uint16_t attempt;        /* begun last */
    uint16_t result_attempt; /* whose result it has: names its objects */
    uint8_t n_failed, n_lost;
    bool has_objects; /* its output is in the store */
    uint32_t link;    /* next in `again` or `ready`; transfer while storing */
    uint32_t pos;     /* in the claims of its seat */
    uint64_t time_us; /* claimed at; waiting since */
    uint64_t wall_us, cpu_us;
    uint32_t out_len, err_len;
};

/* Bytes on their way into one object: one STORE at a time, what comes meanwhile queues. */
struct owner_sink {
    uint64_t object; /* 0: not in use */
    uint32_t in_flight;
    uint64_t got, stored;
    struct buf queue; /* bounded by the window of who sends */
};

/* A captured result on its way into the store. */
struct owner_xfer {
    struct owner_job *job; /* NULL: free */
    uint32_t task;         /* of a free one: the next free one */
    uint16_t attempt;
    struct owner_seat *seat; /* where it comes from */
    uint64_t want[2];        /* stdout, stderr */
    struct owner_sink sink[2];
};

enum owner_seat_state {
    OWNER_SEAT_NEW,
    OWNER_SEAT_ASKED,   /* a probe is out */
    OWNER_SEAT_GRANTED, /* it granted; taken or given back at once, or when better ones answered */
    OWNER_SEAT_REFUSED, /* not before until_us, or FREE, or another ad */
    OWNER_SEAT_OPEN,    /* stream opened, JOB sent */
    OWNER_SEAT_BROKEN,  /* the link broke under claims: re-opened at until_us */
    OWNER_SEAT_N
};
extern const struct sm_table exec_seat_table;

struct owner_seat {
    struct owner_job *job;
    uint16_t index;
    uint8_t state;    /* enum owner_seat_state */
    uint8_t reason;   /* enum exec_refusal, or 0 = silent */
    bool is_heard;    /* on this stream: the first RENEW came */
    bool is_gone;     /* the member is dead or left */
    bool is_reopened; /* this stream: claims were there before it */
    struct node_id id;
    char name[CERT_NAME_MAX + 1], lab[CERT_LAB_MAX + 1];
    uint64_t version; /* of the peer when it refused */
    uint32_t req_id;  /* of the probe */
    uint64_t rank;    /* order among the probes of one wave */
    uint64_t reservation;
    uint32_t n_granted;
    uint32_t handle;
    uint32_t credit;
    uint32_t n_open; /* claims without a result */
    uint32_t told_waiting;
    uint32_t n_breaks; /* in a row */
    uint64_t until_us; /* see the states */
    uint64_t renewed_us;
    uint32_t *claims;
    uint32_t n_claims, cap_claims;
    struct exec_attempt_id *lost; /* given up there: a late result of these may still count */
    uint32_t n_lost, cap_lost;
    uint32_t give; /* scratch of one flush */
};

struct owner_client;

struct owner_job {
    struct list link; /* in owner->dirty when something is to be done at the flush */
    struct timer timer;
    uint32_t serial;
    struct exec_job_id id;
    uint8_t state; /* enum owner_job_state */
    char user[EXEC_USER_MAX + 1];
    struct buf submit_bytes; /* the SUBMIT as it came: `submit` points into it */
    struct exec_submit submit;
    struct buf spec, header; /* encoded, for JOB */
    uint8_t signature[64];
    char *where_text; /* all --where and --on source: together; owned, may be NULL */
    struct query *where, *prefer;
    bool has_only;
    struct node_id only;
    struct node_id stream_node;

    uint32_t count;
    struct job_range range; /* count 0: items */
    struct buf items;
    uint32_t *item_ends; /* of item i in `items` */
    uint32_t cap_items;
    struct owner_task *tasks;
    uint32_t n_in[OWNER_TASK_N];
    uint32_t next_fresh;
    uint32_t again_head, again_tail, n_again;
    uint32_t ready_head, ready_tail;
    uint32_t n_moved, n_started;
    uint64_t undelivered, kept; /* bytes in the store: not yet at the client; there and kept */

    struct owner_seat **seats; /* by index */
    uint16_t *by_id;           /* indexes of seats, sorted by node id */
    uint16_t n_seats, cap_seats;
    uint32_t n_asked;      /* seats in ASKED or GRANTED */
    uint32_t n_candidates; /* places that the last pass could have used, seats included */
    bool wants_pass, had_pass;
    uint64_t pass_us;
    enum exec_waiting why;
    uint16_t why_seat;

    struct owner_client *client; /* attached: gets output and END */
    uint32_t n_refs;             /* clients that look at it: not dropped while > 0 */
    uint64_t submitted_us, ended_us, waiting_since_us, progress_us, kill_us;
    int64_t submitted_ms, ended_ms;
    bool is_progress_due, is_told;
    uint8_t cancel_signal;
    enum exec_end end; /* why all that waited was ended: NO_MATCH, POLICY, WAIT */

    /* of a streamed run */
    uint64_t shown[2], acked[2];   /* bytes of stdout, stderr, over all attempts */
    uint64_t seen[2], told_ack[2]; /* of this attempt; told on this stream */
    uint64_t stored_base[2];       /* shown when the client went: from there on it is stored */
    struct owner_sink sink[2];     /* when the client is gone */
    struct buf in;                 /* stdin not yet taken (and, if pure, some that was) */
    uint64_t in_base, in_sent, in_taken;
    bool in_end, in_end_sent;
    bool is_spool_full;
};

enum owner_client_kind {
    OWNER_CLIENT_NEW,
    OWNER_CLIENT_SUBMIT,
    OWNER_CLIENT_LOGS,
    OWNER_CLIENT_WAIT,
    OWNER_CLIENT_ENDED
};

struct owner_client {
    uint32_t handle; /* 0: free */
    enum owner_client_kind kind;
    char user[EXEC_USER_MAX + 1];
    uint32_t rights;
    struct owner_job *job;        /* SUBMIT, LOGS */
    uint32_t waits[EXEC_ASK_MAX]; /* WAIT: serials */
    uint32_t n_waits;
    bool follow, is_failed;
    /* delivery of stored output */
    uint32_t next, last; /* by index: next task, and the one behind the last */
    uint32_t task;       /* being delivered, or NO_TASK */
    uint8_t fd;          /* 1 or 2 */
    uint64_t offset;
    bool is_loading;
    uint64_t sent[2], acked[2]; /* SHOWN and CLIENT_ACK: stdout, stderr */
};

struct owner {
    struct exec_core *core;
    struct mem *mem;
    struct timers timers;
    struct owner_job *jobs[EXEC_JOBS_MAX + EXEC_FINISHED_MAX]; /* by serial, ascending */
    uint32_t n_jobs, n_unfinished;
    uint64_t n_finished_tasks;
    uint32_t next_serial;
    struct list dirty;
    struct owner_client clients[EXEC_CLIENTS_MAX];
    struct owner_xfer *xfers;
    uint32_t n_xfers, free_xfer; /* free ones are linked by `task` */
    struct exec_stats stats;
};
