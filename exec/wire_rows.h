/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the owner tells a client beside output and tasks: jobs, progress, the
 * reasons of waiting, ends and errors. Included through exec/wire_client.h.
 */
#include "exec/wire_result.h"

enum exec_waiting {                           /* why a job's waiting tasks wait */
                    EXEC_WAITING_NOT = 0,     /* none waits */
                    EXEC_WAITING_PROBING = 1, /* places are being asked */
                    EXEC_WAITING_FULL = 2,    /* matching places are full */
                    EXEC_WAITING_NO_MATCH = 3,
                    EXEC_WAITING_POLICY = 4, /* all that match refused by their policy */
                    EXEC_WAITING_LIMIT = 5,  /* --limit reached */
                    EXEC_WAITING_PLACE = 6,  /* a place is silent: waiting for its claims to end */
                    EXEC_WAITING_LINK = 7    /* a place granted, the link is being opened */
};
const char *exec_waiting_name(enum exec_waiting w);

struct exec_progress { /* also the counts of a job row */
    uint32_t n_waiting, n_running, n_done, n_failed, n_cancelled, n_lost;
    uint32_t n_moved; /* attempts begun anew since a place was lost */
    enum exec_waiting why;
    struct slice node; /* PLACE, LINK: the node's name */
};
void exec_progress_encode(const struct exec_progress *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_progress_decode(struct slice in, struct exec_progress *ret);

struct exec_job_row {
    struct exec_job_id id;
    uint8_t short_len;
    uint8_t state; /* enum owner_job_state: exec_job_state_name */
    enum exec_mode mode;
    bool is_pure, is_detached;
    uint32_t count, retry, limit;
    struct slice user, command, where, on; /* command: words joined with blanks, cut at 256 bytes */
    struct exec_needs needs;
    int64_t submitted_ms, ended_ms; /* Unix ms; 0 = not yet */
    struct exec_progress progress;
};
const char *exec_job_state_name(uint8_t state);
void exec_job_row_encode(const struct exec_job_row *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_job_row_decode(struct slice in, struct exec_job_row *ret);

/* One clause of `a and b and c` over all known nodes. */
struct exec_why_row {
    struct slice clause;
    uint32_t n_true, n_false, n_unknown, n_type; /* n_type: of the unknown ones, wrong type */
    struct slice unknown_name;                   /* the label most unknowns are about */
    /* Nearest miss; `label` empty: none. Values as the language prints them. */
    struct slice label, op, have, want;
    struct slice node;    /* lab/name that has it */
    struct slice instead; /* a clause that would match that node: "try:" */
    uint32_t n_instead;   /* nodes for which the whole expression would then be true */
    struct slice meant;   /* "did you mean": a label, or "astro" for a bare astro; else empty */
};
void exec_why_row_encode(const struct exec_why_row *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_why_row_decode(struct slice in, struct exec_why_row *ret);

struct exec_why_sum {
    uint32_t n_nodes, n_labs;
    uint32_t n_true, n_false, n_unknown; /* the whole expression */
    uint32_t n_no_offer;                 /* nodes whose certificate or slots offer nothing */
    uint32_t n_refused[8];               /* by enum exec_refusal, places asked for this job */
    uint32_t n_probing, n_placed;
    struct exec_progress progress; /* of the job; zero for `why --where` */
    uint64_t waiting_us;           /* since the first task waits */
};
void exec_why_sum_encode(const struct exec_why_sum *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_why_sum_decode(struct slice in, struct exec_why_sum *ret);

struct exec_place_row {
    struct slice node, lab;
    uint8_t truth; /* enum query_truth of where */
    uint32_t n_free, wait_ms, rtt_us;
};
void exec_place_row_encode(const struct exec_place_row *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_place_row_decode(struct slice in, struct exec_place_row *ret);

struct exec_end_msg {
    uint8_t exit_code; /* of the command, as cli.md says */
    enum exec_end end; /* of a run: its task's */
    struct exec_progress progress;
    struct slice node, lab; /* of a run: where it was */
    struct slice hint;      /* for people, may be empty */
    uint64_t wall_us;
};
void exec_end_encode(const struct exec_end_msg *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_end_decode(struct slice in, struct exec_end_msg *ret);

struct exec_error {
    uint8_t exit_code; /* of the command */
    enum ipx_err err;
    struct slice what, why, hint;
};
void exec_error_encode(const struct exec_error *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_error_decode(struct slice in, struct exec_error *ret);
