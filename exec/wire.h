/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Messages between owner and place: placement datagrams (48..51) and the messages
 * of a job stream (protocol 2, one stream a job and place, opened by the owner).
 *
 * The owner's first message on a stream is JOB; the place's first is RENEW, the
 * complete list of attempts of that job it has (running, queued, or ended and not
 * yet acknowledged), then CREDIT. So a re-opened stream tells both what is left: the place
 * re-sends what is not acknowledged (results; streamed output from the last OUT_ACK
 * on; captured output from its begin), the owner its stdin from the last STDIN_ACK on.
 * A stream closed in order by the owner ends the job there: the place kills what
 * runs and drops what it holds. One that breaks keeps everything until the claims end.
 *
 * All decoders refuse (IPX_MALFORMED) what breaks a limit of exec/job.h; slices they
 * give point into the input. Encoders write one CBOR item and fail the writer when it is full.
 */
#include "exec/job.h"

enum exec_msg {
    /* datagrams */
    EXEC_MSG_PROBE = 48,
    EXEC_MSG_GRANT = 49,
    EXEC_MSG_REFUSAL = 50,
    EXEC_MSG_FREE = 51, /* place to an owner it refused lately: slots are free */
    /* job stream */
    EXEC_MSG_JOB = 1,        /* owner: what this stream is about */
    EXEC_MSG_CREDIT = 2,     /* place: claims that may be outstanding here */
    EXEC_MSG_CLAIM = 3,      /* owner: run these */
    EXEC_MSG_REFUSE = 4,     /* place: not this claim (an attempt) */
    EXEC_MSG_STARTED = 5,    /* place: the process runs (an attempt) */
    EXEC_MSG_OUTPUT = 6,     /* place */
    EXEC_MSG_OUT_ACK = 7,    /* owner: cumulative, a fd */
    EXEC_MSG_RESULT = 8,     /* place: ended attempts */
    EXEC_MSG_RESULT_ACK = 9, /* owner: safe here, drop your copy */
    EXEC_MSG_RENEW = 10,     /* place: all attempts it has */
    EXEC_MSG_RENEWED = 11,   /* owner: claims listed in RENEW `stamp` run 15 s from its sending */
    EXEC_MSG_CANCEL = 12,    /* owner: a signal for one or all attempts */
    EXEC_MSG_STDIN = 13,     /* owner */
    EXEC_MSG_STDIN_ACK = 14  /* place: taken by the process, cumulative */
};

enum exec_refusal {                          /* why a place says no; on the wire */
                    EXEC_REFUSAL_FULL = 1,   /* no slot or memory now; FREE follows */
                    EXEC_REFUSAL_POLICY = 2, /* accept is not true (which clause is not told) */
                    EXEC_REFUSAL_WHERE = 3,  /* the job's where is not true on the live labels */
                    EXEC_REFUSAL_NEEDS = 4,  /* never enough cpu or memory here */
                    EXEC_REFUSAL_DRAIN = 5,  /* takes no new work, or offers none */
                    EXEC_REFUSAL_JOB = 6,    /* header, signature or hash do not fit */
                    EXEC_REFUSAL_STALE = 7   /* an older epoch than one seen */
};
const char *exec_refusal_name(enum exec_refusal r);

struct exec_probe {
    struct exec_job_id job;
    uint32_t want; /* tasks it could send; 0 gives a reservation back, no answer */
    struct exec_needs needs;
    struct slice user;
    struct slice where; /* empty: none, or it did not fit */
};
void exec_probe_encode(const struct exec_probe *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_probe_decode(struct slice in, struct exec_probe *ret);

struct exec_grant {
    uint32_t n; /* claims that may follow within the reservation */
    uint32_t n_free;
    uint32_t wait_ms;
    uint64_t reservation; /* goes into JOB */
};
void exec_grant_encode(const struct exec_grant *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_grant_decode(struct slice in, struct exec_grant *ret);

struct exec_refuse { /* REFUSAL; and REFUSE with task and attempt, or of the whole JOB */
    enum exec_refusal reason;
    uint32_t wait_ms; /* its guess; 0 = none */
    bool is_job;      /* REFUSE: the job as a whole; the owner closes the stream */
    uint32_t task, attempt;
};
void exec_refuse_encode(const struct exec_refuse *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_refuse_decode(struct slice in, struct exec_refuse *ret);

struct exec_free_slots {
    uint32_t n_free;
};
void exec_free_encode(const struct exec_free_slots *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_free_decode(struct slice in, struct exec_free_slots *ret);

/* JOB = {header, signature, spec, reservation, waiting, epoch}. The header is signed ("job")
 * by the node that took the job from its user; job.* is read from it and from that node's
 * certificate. `spec_hash` = BLAKE2b-256 of the encoded spec. */
struct exec_header {
    struct exec_job_id job;
    struct node_id submitter;
    struct hash chain_hash;
    struct slice user;
    struct hash spec_hash;
    struct exec_needs needs;
    int64_t expires_ms; /* Unix ms: no new attempt after it */
};
void exec_header_encode(const struct exec_header *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_header_decode(struct slice in, struct exec_header *ret);

struct exec_job_msg {
    struct slice header, signature, spec;
    uint64_t reservation;
    uint32_t n_waiting; /* tasks still without a place: what credit is good for */
    uint64_t epoch;
};
void exec_job_encode(const struct exec_job_msg *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_job_decode(struct slice in, struct exec_job_msg *ret);

void exec_credit_encode(uint32_t n, struct writer *w);
IPX_MUST_USE enum ipx_err exec_credit_decode(struct slice in, uint32_t *ret_n);

/* A message of several: begin, then add until full or done, then end. `n_waiting` as in JOB; a
 * CLAIM without claims only tells it. */
struct exec_claim {
    uint32_t task, attempt; /* attempt counts from 1 and never repeats for a task */
    struct slice item;      /* empty in a run */
};
struct exec_claims {
    uint64_t epoch;
    uint32_t n_waiting;
    uint32_t duration_ms;
    uint32_t n;       /* <= EXEC_BATCH_MAX */
    struct slice raw; /* encoded claims, end to end: by exec_claim_encode / _next */
};
void exec_claim_encode(const struct exec_claim *m, struct writer *w);
void exec_claims_encode(const struct exec_claims *m, struct writer *w);
/* Checks every claim in it. */
IPX_MUST_USE enum ipx_err exec_claims_decode(struct slice in, struct exec_claims *ret);
/* Walks: struct cbor_reader it = exec_claims_begin(&m); n times exec_claim_next(&it). */
struct cbor_reader exec_claims_begin(const struct exec_claims *m);
struct exec_claim exec_claim_next(struct cbor_reader *it);

void exec_started_encode(const struct exec_attempt_id *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_started_decode(struct slice in, struct exec_attempt_id *ret);

struct exec_bytes { /* OUTPUT (fd 1, 2) and STDIN (fd 0) */
    struct exec_attempt_id id;
    uint8_t fd;
    bool end;           /* STDIN: end of file behind these bytes */
    uint64_t offset;    /* of the first byte, in this attempt's stream */
    struct slice bytes; /* <= EXEC_CHUNK_MAX */
};
void exec_bytes_encode(const struct exec_bytes *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_bytes_decode(struct slice in, struct exec_bytes *ret);

/* OUT_ACK (fd 1, 2) and STDIN_ACK (fd 0): all before `offset` is taken. On a re-opened stream it
 * may be ahead of what was sent there: the sender goes on from it. Bytes sent twice are skipped and
 * acknowledged again. */
struct exec_ack {
    struct exec_attempt_id id;
    uint8_t fd;
    uint64_t offset;
};
void exec_ack_encode(const struct exec_ack *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_ack_decode(struct slice in, struct exec_ack *ret);
#include "exec/wire_result.h"
