/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of the place share: owners, their jobs here, claims, reservations.
 * Private to exec/place*.c.
 *
 * Invariants: used = slots of claims STARTING and RUNNING; used + reserved <= n_slots. Everything
 * an owner makes us hold is charged to its quota. A claim is in its job's `claims` and in one
 * bucket; QUEUED ones are also in `queue`, ended ones whose result is to be sent in `ready`, told
 * ones with output still to be sent in `sending`. A job without stream and claims is freed.
 */
#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/quota.h"
#include "base/timers.h"
#include "exec/place.h"
#include "exec/place_states.h"
#include "exec/source.h"

#define PLACE_CLAIMS_MAX 8192u               /* of all owners; a power of two */
#define PLACE_OWNERS_MAX 1024u               /* who has a stream or a reservation here */
#define PLACE_OWNER_STREAMS 256u             /* = EXEC_JOBS_MAX: one a job */
#define PLACE_OWNER_BYTES (64ull << 20)      /* specs, items and output of one owner */
#define PLACE_ALL_BYTES (256ull << 20)       /* of all owners together */
#define PLACE_RESERVATIONS_MAX 64u           /* grants not yet used */
#define PLACE_REFUSED_MAX 32u                /* owners told when slots become free */
#define PLACE_BUCKETS 64u                    /* claims of a job, by task */
#define PLACE_UNACKED_MAX 1024u              /* results kept: beyond that no more credit */
#define PLACE_GRACE_US (2 * US_PER_S)        /* from TERM to KILL */
#define PLACE_KEEP_US (60 * US_PER_S)        /* a result, behind its claim's end */
#define PLACE_PREFETCH_US (50 * US_PER_MS)   /* this much work is queued */
#define PLACE_QUEUE_US (250 * US_PER_MS)     /* a slot free within that is worth queueing for */
#define PLACE_DURATION_MIN_US (2 * US_PER_S) /* of a claim: what an owner may ask */
#define PLACE_DURATION_MAX_US (60 * US_PER_S)
#define PLACE_OUT_MAX (EXEC_WINDOW + (64u << 10)) /* one more read may come at a full window */

enum { PLACE_TIMER_JOB = 1, PLACE_TIMER_CLAIM = 2 };

struct place_owner {
    struct list link; /* in place->owners */
    struct node_id id;
    struct quota quota;
    uint32_t n_refs; /* streams and jobs */
};

struct place_stream {
    uint32_t handle;
    uint32_t slot; /* in place->streams */
    struct cert_facts facts;
    struct place_owner *owner;
    struct place_job *job; /* NULL before JOB */
    bool is_refused;       /* REFUSE of the job was sent: what still comes is skipped */
    struct quota_charge charge;
};

/* Output of one fd. STREAM: `bytes` holds from the owner's last ack on. CAPTURE: all of it, or
 * none once it went into an object. */
struct place_out {
    struct buf bytes;
    uint64_t base; /* acknowledged by the owner */
    uint64_t sent; /* next byte to send */
    uint64_t len;  /* bytes in all */
    uint32_t n_storing;
    bool has_object, is_open, is_reading, is_loading;
};

struct place_in {
    struct buf bytes; /* not yet given to the process */
    uint64_t got, taken;
    uint32_t n_given; /* bytes in the one STDIN action that is out */
    bool end, is_end_given;
    struct source_tap_in *tap; /* EXEC_STDIN_SOURCE: its bytes stand in for `bytes` */
};

struct place_claim {
    struct list link, bucket, work; /* work: queue, ready or sending */
    struct timer timer;
    struct place_job *job;
    struct exec_attempt_id id;
    uint64_t number; /* of SPAWN and its answers; and of objects */
    uint8_t state;   /* enum place_claim_state */
    uint8_t code, signal;
    uint8_t pending_signal; /* asked for while STARTING */
    enum exec_end why;      /* TIME, CLAIM, SPOOL, CANCELLED, IPX, SOURCE: why we ended it */
    enum exec_end end;
    bool is_killed, is_reported;
    bool is_spoiled; /* output was lost here: the result says so and has none */
    bool is_dropped; /* the owner ended the job: no result is wanted */
    uint64_t claimed_us, started_us, limit_us, kill_us;
    uint64_t wall_us, cpu_us;
    struct place_out out[2];
    struct place_in in;
    struct quota_charge bytes;
    size_t item_len;
    uint8_t item[];
};

struct place_job {
    struct list link; /* in place->jobs: round robin */
    struct timer timer;
    struct place_owner *owner;
    struct place_stream *stream; /* NULL: the link is broken */
    struct exec_job_id id;
    char lab[CERT_LAB_MAX + 1]; /* of the submitter */
    char user[EXEC_USER_MAX + 1];
    uint8_t *spec_bytes; /* `spec` points into it */
    struct exec_spec spec;
    struct query *where; /* NULL: none */
    int64_t expires_ms;
    uint64_t epoch;
    uint64_t duration_us;
    uint64_t renew_us, check_us; /* when to send RENEW; when to look at claims' ends */
    uint64_t stamp_us;           /* sending of the last RENEW; 0: none on this stream */
    uint64_t renewed_us;         /* stamp of the last one that was answered */
    struct list claims, queue, ready, sending;
    struct list buckets[PLACE_BUCKETS];
    uint32_t n_claims, n_open; /* open: without an end */
    uint32_t n_queued;
    uint32_t n_running; /* STARTING and RUNNING */
    uint32_t n_waiting; /* tasks at the owner without a place */
    uint32_t credit;    /* told; UINT32_MAX: none on this stream */
    uint64_t mean_us;   /* run time, 0: none measured */
    struct quota_charge bytes;
};

struct place_reservation {
    uint64_t number; /* 0: free */
    struct node_id owner;
    struct exec_job_id job;
    uint32_t n;   /* claims */
    uint32_t cpu; /* slots held for each; 0: it waits its turn in the queue */
    uint64_t until_us;
};

struct place {
    struct exec_core *core;
    struct mem *mem;
    struct timers timers;
    struct query *accept;
    bool holds_issuer, drains;
    bool is_dirty; /* an input came since the last flush */
    uint32_t used, reserved;
    struct place_reservation reservations[PLACE_RESERVATIONS_MAX];
    uint32_t n_reservations;
    struct quota quota; /* of all owners */
    struct list owners, jobs;
    uint32_t n_owners, n_jobs;
    struct place_stream *streams[EXEC_STREAMS_MAX];
    uint32_t n_streams;
    struct map by_handle;
    struct place_claim **claims; /* by number % claims_cap */
    uint32_t claims_cap;         /* a power of two, or 0 */
    uint32_t n_claims, n_queued, n_running;
    uint32_t n_taps; /* claims that read a source */
    struct node_id refused[PLACE_REFUSED_MAX];
    uint32_t n_refused;
    uint64_t mean_us;
    uint64_t n_results, n_said_no;
};

#include "exec/place_parts.h"
