/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/wire.h"

#include "base/crypt.h"
#include "exec/wire_fields.h"

/* Owner and place; results are in wire_result.c. Numbers: docs/wire.md, "exec". */

/* --- 48 PROBE --- */
static const struct field probe_list[] = {
    NEEDED(exec_probe, 1, FIXED, job.bytes, EXEC_JOB_ID_LEN),
    NEEDED(exec_probe, 2, U32, want, EXEC_TASKS_MAX),
    NEEDS(exec_probe, 3),
    NEEDED(exec_probe, 8, TEXT, user, EXEC_USER_MAX),
    INT(exec_probe, 10, TEXT, where, EXEC_WHERE_MAX),
};
FIELDS(probe);
MESSAGE(probe, probe, probe)

/* --- 49 GRANT --- */
static const struct field grant_list[] = {
    FIELD(exec_grant, 1, U32, n, .min = 1, .max = EXEC_TASKS_MAX, .is_needed = true),
    INT(exec_grant, 2, U32, n_free, UINT32_MAX),
    INT(exec_grant, 3, U32, wait_ms, UINT32_MAX),
    NEEDED(exec_grant, 4, U64, reservation, UINT64_MAX),
};
FIELDS(grant);
MESSAGE(grant, grant, grant)

/* --- 50 REFUSAL, job stream 4 REFUSE --- */
static const struct field refuse_list[] = {
    FIELD(exec_refuse, 1, U32, reason, .min = 1, .max = EXEC_REFUSAL_STALE, .is_needed = true),
    INT(exec_refuse, 2, U32, wait_ms, UINT32_MAX),
    FLAG(exec_refuse, 4, is_job),
    INT(exec_refuse, 6, U32, task, EXEC_TASKS_MAX - 1),
    INT(exec_refuse, 8, U32, attempt, UINT32_MAX),
};
FIELDS(refuse);
MESSAGE(refuse, refuse, refuse)

/* --- 51 FREE --- */
static const struct field slots_list[] = {
    NEEDED(exec_free_slots, 1, U32, n_free, UINT32_MAX),
};
FIELDS(slots);
MESSAGE(free, free_slots, slots)

/* --- job stream 1 JOB, and the header inside --- */
static const struct field header_list[] = {
    NEEDED(exec_header, 1, FIXED, job.bytes, EXEC_JOB_ID_LEN),
    NEEDED(exec_header, 2, FIXED, submitter.bytes, 32),
    NEEDED(exec_header, 3, FIXED, chain_hash.bytes, 32),
    NEEDED(exec_header, 4, TEXT, user, EXEC_USER_MAX),
    NEEDED(exec_header, 5, FIXED, spec_hash.bytes, 32),
    NEEDS(exec_header, 6),
    NEEDED(exec_header, 10, I64, expires_ms, 0),
};
FIELDS(header);
MESSAGE(header, header, header)

#define HEADER_MAX 512
static const struct field job_list[] = {
    NEEDED(exec_job_msg, 1, BYTES, header, HEADER_MAX),
    NEEDED(exec_job_msg, 2, BYTES, signature, CRYPT_SIG_LEN),
    NEEDED(exec_job_msg, 3, BYTES, spec, EXEC_BODY_MAX),
    INT(exec_job_msg, 4, U64, reservation, UINT64_MAX),
    INT(exec_job_msg, 5, U32, n_waiting, EXEC_TASKS_MAX),
    NEEDED(exec_job_msg, 6, U64, epoch, UINT64_MAX),
};
FIELDS(job);

void exec_job_encode(const struct exec_job_msg *m, struct writer *w)
{
    fields_encode(&job, m, w);
}

enum ipx_err exec_job_decode(struct slice in, struct exec_job_msg *ret)
{
    struct exec_job_msg m;
    enum ipx_err err = fields_decode(&job, in, &m, sizeof(m));
    if (err != IPX_OK || m.signature.len != CRYPT_SIG_LEN) {
        return IPX_MALFORMED;
    }
    *ret = m;
    return IPX_OK;
}

/* --- job stream 2 CREDIT --- */
struct credit {
    uint32_t n;
};
static const struct field credit_list[] = {
    NEEDED(credit, 1, U32, n, EXEC_ATTEMPTS_MAX),
};
FIELDS(credit);

void exec_credit_encode(uint32_t n, struct writer *w)
{
    fields_encode(&credit, &(struct credit){n}, w);
}

enum ipx_err exec_credit_decode(struct slice in, uint32_t *ret_n)
{
    return fields_decode(&credit, in, ret_n, sizeof(*ret_n));
}

/* --- job stream 3 CLAIM --- */
static const struct field claim_list[] = {
    NEEDED(exec_claim, 1, U32, task, EXEC_TASKS_MAX - 1),
    FIELD(exec_claim, 2, U32, attempt, .min = 1, .max = UINT32_MAX, .is_needed = true),
    INT(exec_claim, 3, BYTES, item, EXEC_ITEM_MAX),
};
FIELDS(claim);
static const struct field claims_list[] = {
    NEEDED(exec_claims, 1, U64, epoch, UINT64_MAX),
    INT(exec_claims, 2, U32, n_waiting, EXEC_TASKS_MAX),
    NEEDED(exec_claims, 3, U32, duration_ms, 3600 * 1000),
    FIELD(exec_claims, 4, ITEMS, raw, .offset_n = offsetof(struct exec_claims, n),
          .max = EXEC_BATCH_MAX, .items = &claim),
};
FIELDS(claims);
MESSAGE(claims, claims, claims)

void exec_claim_encode(const struct exec_claim *m, struct writer *w)
{
    fields_encode(&claim, m, w);
}

struct cbor_reader exec_claims_begin(const struct exec_claims *m)
{
    return cbor_reader_of(m->raw);
}

struct exec_claim exec_claim_next(struct cbor_reader *it)
{
    struct exec_claim m;
    fields_read(&claim, it, &m);
    assert(!it->failed); /* checked by exec_claims_decode */
    return m;
}

/* --- job stream 5 STARTED --- */
static const struct field started_list[] = {
    NEEDED(exec_attempt_id, 1, U32, task, EXEC_TASKS_MAX - 1),
    NEEDED(exec_attempt_id, 2, U32, attempt, UINT32_MAX),
};
FIELDS(started);
MESSAGE(started, attempt_id, started)

/* --- job stream 6 OUTPUT, 13 STDIN --- */
static const struct field bytes_list[] = {
    NEEDED(exec_bytes, 1, U32, id.task, EXEC_TASKS_MAX - 1),
    NEEDED(exec_bytes, 2, U32, id.attempt, UINT32_MAX),
    NEEDED(exec_bytes, 3, U8, fd, 2),
    FLAG(exec_bytes, 4, end),
    INT(exec_bytes, 5, U64, offset, INT64_MAX),
    INT(exec_bytes, 6, BYTES, bytes, EXEC_CHUNK_MAX),
};
FIELDS(bytes);
MESSAGE(bytes, bytes, bytes)

/* --- job stream 7 OUT_ACK, 14 STDIN_ACK --- */
static const struct field ack_list[] = {
    NEEDED(exec_ack, 1, U32, id.task, EXEC_TASKS_MAX - 1),
    NEEDED(exec_ack, 2, U32, id.attempt, UINT32_MAX),
    NEEDED(exec_ack, 3, U8, fd, 2),
    NEEDED(exec_ack, 4, U64, offset, INT64_MAX),
};
FIELDS(ack);
MESSAGE(ack, ack, ack)

const char *exec_refusal_name(enum exec_refusal r)
{
    static const char *const names[] = {"none",  "full",  "policy", "where",
                                        "needs", "drain", "job",    "stale"};
    return (unsigned)r < ARRAY_LEN(names) ? names[r] : "unknown";
}
