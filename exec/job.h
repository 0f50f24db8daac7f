/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a job is: its id, its needs, its command, and how one task's argv and
 * environment are made from it. Used by the owner (which keeps the job), by the
 * place (which runs attempts of it) and by clients (which describe it).
 *
 * A job has `count` tasks, numbered from 0 everywhere ({#}, IPX_INDEX, ID.N). In a
 * `map` each task has an item: text whose columns are separated by TAB. Texts of
 * a spec live in the CBOR they were decoded from: an `exec_list` is a checked CBOR
 * array that is walked, never copied.
 */
#include "base/cbor.h"
#include "base/id.h"
#include "base/mem.h"

/* Limits, each with its reason */
#define EXEC_TASKS_MAX 1000000u          /* tasks of a job: a record each, 80 bytes */
#define EXEC_ITEMS_BYTES_MAX (64u << 20) /* items of a job: kept in the owner's memory */
#define EXEC_ITEM_MAX 65536u             /* one item: must fit a CLAIM beside others */
#define EXEC_ARGV_BYTES_MAX 131072u      /* the kernel's limit for one argument */
#define EXEC_ARGV_MAX 4096u              /* words */
#define EXEC_ENV_MAX 64u
#define EXEC_ENV_BYTES_MAX 32768u
#define EXEC_USER_MAX 32u      /* Linux user names */
#define EXEC_WHERE_MAX 1024u   /* = QUERY_SOURCE_MAX: all --where together */
#define EXEC_NAME_MAX 96u      /* lab/name@node, tags */
#define EXEC_JOBS_MAX 256u     /* unfinished jobs of an owner */
#define EXEC_FINISHED_MAX 256u /* finished ones kept for ps, logs, wait */
#define EXEC_CLIENTS_MAX 64u   /* local command lines at once */
#define EXEC_STREAMS_MAX 1024u /* streams that exec opened; as many came in */
#define EXEC_SEATS_MAX 256u    /* places a job ever used */
#define EXEC_PROBES_MAX 8u     /* outstanding a job: what a place lets one owner reserve */
#define EXEC_LOST_MAX 16u      /* places lost under one task before it fails */
#define EXEC_RETRY_MAX 100u
#define EXEC_WINDOW (256u << 10)     /* unacknowledged bytes a task and direction */
#define EXEC_CHUNK_MAX (32u << 10)   /* bytes of one OUTPUT or STDIN message */
#define EXEC_INLINE_MAX 4096u        /* captured output that travels inside its RESULT */
#define EXEC_BATCH_BYTES (64u << 10) /* a message of several claims or results ends here */
#define EXEC_BATCH_MAX 256u          /* claims or results in one message */
#define EXEC_PREFETCH_MAX 64u        /* claims beyond the free slots, for short tasks */
#define EXEC_BODY_MAX (256u << 10)   /* longest body of any stream message */
#define EXEC_CLAIM_US (UINT64_C(15) * US_PER_S)     /* a claim's length */
#define EXEC_RENEW_US (UINT64_C(5) * US_PER_S)      /* renewed this often */
#define EXEC_RESERVE_US (UINT64_C(500) * US_PER_MS) /* a grant's reservation */

#define EXEC_JOB_ID_LEN 10 /* random: 16 characters of base32 */
#define EXEC_JOB_TEXT_SIZE 17
#define EXEC_JOB_TEXT_MIN 4 /* shortest prefix ever shown */

struct exec_job_id {
    uint8_t bytes[EXEC_JOB_ID_LEN];
};

bool job_id_equal(const struct exec_job_id *a, const struct exec_job_id *b);
void job_id_text(const struct exec_job_id *id, char out[static EXEC_JOB_TEXT_SIZE]);

struct exec_attempt_id {
    uint32_t task, attempt; /* attempt counts from 1 and never repeats for a task */
};

struct exec_needs {
    uint32_t cpu;     /* slots, >= 1 */
    uint64_t mem;     /* bytes, 0 = not said */
    uint64_t time_us; /* limit of one attempt's run, 0 = none */
    uint64_t in;      /* bytes of input */
};

enum exec_mode { EXEC_MODE_RUN = 1, EXEC_MODE_MAP = 2 };
/* STREAM: output goes on as it comes (run). CAPTURE: kept at the place, delivered whole with the
 * result (map, detached jobs). */
enum exec_output { EXEC_OUTPUT_STREAM = 1, EXEC_OUTPUT_CAPTURE = 2 };
enum exec_stdin { EXEC_STDIN_NONE = 0, EXEC_STDIN_CLIENT = 1, EXEC_STDIN_SOURCE = 2 };

/* A checked CBOR array of byte strings. */
struct exec_list {
    struct slice raw;
    uint32_t n;
    uint32_t bytes; /* sum of their lengths */
};

/* Reads one array of byte strings at the cursor; fails the cursor if over a limit. */
struct exec_list exec_list_read(struct cbor_reader *r, uint32_t n_max, uint32_t bytes_max);
/* Calls like: struct cbor_reader it = exec_list_begin(&l); for (i < l.n) exec_list_next(&it). */
struct cbor_reader exec_list_begin(const struct exec_list *l);
struct slice exec_list_next(struct cbor_reader *it);
void exec_list_write(struct writer *w, const struct exec_list *l); /* an empty one as [] */

/* What a place must know to run attempts. Slices point into the encoded spec. */
struct exec_spec {
    enum exec_mode mode;
    enum exec_output output;
    enum exec_stdin stdin_kind;
    bool is_pure;
    uint32_t count; /* IPX_COUNT */
    struct exec_needs needs;
    struct exec_list argv;      /* template; placeholders are expanded in EXEC_MODE_MAP only */
    struct exec_list env;       /* K=V */
    struct slice where;         /* source text, empty = true */
    struct slice stream;        /* EXEC_STDIN_SOURCE: the source's name */
    struct node_id stream_node; /* and its publisher */
};

/* argv is there, no word has a NUL, env is K=V. */
bool job_words_are_valid(const struct exec_list *argv, const struct exec_list *env);
void exec_spec_encode(const struct exec_spec *s, struct writer *w);
/* Conditions: IPX_MALFORMED (also: over a limit, no argv, unknown critical key). */
IPX_MUST_USE enum ipx_err exec_spec_decode(struct slice in, struct exec_spec *ret);

/* True if a word of the template has {} {.} {#} or {1}..{16}. Without any, an item's columns are
 * appended as words. */
bool job_has_placeholder(const struct exec_list *argv);
/* Writes the words of one task's argv, a NUL behind each. {} is the item (its columns joined with
 * a blank), {.} that without its extension, {N} column N (empty if there is none), {#} the index.
 * In EXEC_MODE_RUN the words are copied as they are. The writer fails if it does not fit. */
void job_argv_write(const struct exec_spec *s, struct slice item, uint32_t index, struct writer *w,
                    uint32_t *ret_n);
/* The standard environment, "K=V" and NUL each: IPX_JOB INDEX COUNT ATTEMPT SEED DEADLINE NODE
 * LAB. `deadline_ms` is Unix time, 0 = none (then not written). */
struct job_env {
    const struct exec_job_id *job;
    uint32_t index, count, attempt;
    int64_t deadline_ms;
    const char *node, *lab;
};
void job_env_write(const struct job_env *e, struct writer *w, uint32_t *ret_n);
/* From job and index alone, so that a retry repeats. */
uint64_t job_seed(const struct exec_job_id *job, uint32_t index);

/* A range "A-B" or "A-B:S" gives the items A, A+S, .. up to B. A > B counts down. */
struct job_range {
    int64_t first, last, step; /* step != 0, has the sign of last - first */
    uint32_t count;
};
/* Conditions: IPX_MALFORMED, IPX_LIMIT (over EXEC_TASKS_MAX). */
IPX_MUST_USE enum ipx_err job_range_parse(struct slice text, struct job_range *ret);
/* The item as text; returns its length (out holds at least 24 bytes). */
size_t job_range_item(const struct job_range *r, uint32_t index, char *out);
