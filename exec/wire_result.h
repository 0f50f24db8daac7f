/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The second half of the job stream's messages: results, renewals, cancelling.
 * Included through exec/wire.h, whose introduction holds here too.
 */
#include "exec/job.h"

/* How an attempt ended. EXIT with code 0 is success; all else counts as "task failed", but
 * LOST, which counts as "place lost". On the wire and in --json by name. */
enum exec_end {
    EXEC_END_NONE = 0, /* has not ended */
    EXEC_END_EXIT = 1,
    EXEC_END_SIGNAL = 2,
    EXEC_END_TIME = 3,       /* --time: 124 */
    EXEC_END_CANNOT_RUN = 4, /* 126 */
    EXEC_END_NOT_FOUND = 5,  /* 127 */
    EXEC_END_SPOOL = 6,      /* spool full, here or there: 125 */
    EXEC_END_CANCELLED = 7,
    EXEC_END_CLAIM = 8,     /* killed by the place at its claim's end */
    EXEC_END_SOURCE = 9,    /* its live source could not be had: 125 */
    EXEC_END_IPX = 10,      /* ipx itself failed there: 125 */
    EXEC_END_LOST = 11,     /* owner only: place lost too often, or output was shown: 125 */
    EXEC_END_WAIT = 12,     /* owner only: --wait-max passed: 122 */
    EXEC_END_NO_MATCH = 13, /* owner only: 120 */
    EXEC_END_POLICY = 14    /* owner only: 121 */
};
#define EXEC_END_N 15
const char *exec_end_name(enum exec_end e);
/* The exit code of cli.md for a `run` that ended so. */
uint8_t exec_end_code(enum exec_end e, uint8_t code, uint8_t signal);

struct exec_result {
    uint32_t task, attempt;
    enum exec_end end;
    uint8_t code, signal;
    uint64_t wall_us, cpu_us;
    uint64_t out_len, err_len; /* captured: bytes to come or inside; streamed: bytes sent */
    struct hash hash;          /* BLAKE2b-256 of stdout then stderr; zero if both are empty or
                                * streamed */
    /* Captured output of together <= EXEC_INLINE_MAX is here; more follows as OUTPUT, fd 1 first,
     * and the owner acknowledges the result when it has stored all. */
    struct slice out, err;
};
struct exec_results {
    uint32_t n;       /* <= EXEC_BATCH_MAX */
    struct slice raw; /* encoded results, end to end */
};
void exec_result_encode(const struct exec_result *m, struct writer *w);
void exec_results_encode(const struct exec_results *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_results_decode(struct slice in, struct exec_results *ret);
struct cbor_reader exec_results_begin(const struct exec_results *m);
struct exec_result exec_result_next(struct cbor_reader *it);

/* RESULT_ACK and RENEW: attempts, as an array [task, attempt, task, attempt ..]. */
struct exec_attempts {
    uint64_t stamp; /* RENEW: the place's own mark, echoed by RENEWED; RESULT_ACK: 0 */
    uint32_t n;     /* <= EXEC_ATTEMPTS_MAX */
    struct slice raw;
};
#define EXEC_ATTEMPTS_MAX 4096u /* slots and prefetch of one place for one job */
void exec_attempt_encode(const struct exec_attempt_id *m, struct writer *w);
void exec_attempts_encode(const struct exec_attempts *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_attempts_decode(struct slice in, struct exec_attempts *ret);
struct cbor_reader exec_attempts_begin(const struct exec_attempts *m);
struct exec_attempt_id exec_attempt_next(struct cbor_reader *it);

void exec_renewed_encode(uint64_t stamp, struct writer *w);
IPX_MUST_USE enum ipx_err exec_renewed_decode(struct slice in, uint64_t *ret_stamp);

struct exec_cancel {
    bool all; /* every attempt of the job here; `id` is then ignored */
    struct exec_attempt_id id;
    uint8_t signal; /* 1..64; an attempt still queued at the place ends CANCELLED */
};
void exec_cancel_encode(const struct exec_cancel *m, struct writer *w);
IPX_MUST_USE enum ipx_err exec_cancel_decode(struct slice in, struct exec_cancel *ret);
