/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/wire_result.h"

#include "exec/wire_fields.h"

/* --- job stream 8 RESULT --- */
static const struct field result_list[] = {
    NEEDED(exec_result, 1, U32, task, EXEC_TASKS_MAX - 1),
    NEEDED(exec_result, 2, U32, attempt, UINT32_MAX),
    FIELD(exec_result, 3, U32, end, .min = 1, .max = EXEC_END_N - 1, .is_needed = true),
    INT(exec_result, 4, U8, code, 255),
    INT(exec_result, 5, U8, signal, 255),
    INT(exec_result, 6, U64, wall_us, INT64_MAX),
    INT(exec_result, 7, U64, cpu_us, INT64_MAX),
    INT(exec_result, 8, U64, out_len, INT64_MAX),
    INT(exec_result, 9, U64, err_len, INT64_MAX),
    INT(exec_result, 10, FIXED, hash.bytes, 32),
    INT(exec_result, 12, BYTES, out, EXEC_INLINE_MAX),
    INT(exec_result, 14, BYTES, err, EXEC_INLINE_MAX),
};
FIELDS(result);
static const struct field results_list[] = {
    FIELD(exec_results, 1, ITEMS, raw, .offset_n = offsetof(struct exec_results, n),
          .max = EXEC_BATCH_MAX, .items = &result, .is_needed = true),
};
FIELDS(results);
MESSAGE(results, results, results)

void exec_result_encode(const struct exec_result *m, struct writer *w)
{
    fields_encode(&result, m, w);
}

struct cbor_reader exec_results_begin(const struct exec_results *m)
{
    return cbor_reader_of(m->raw);
}

struct exec_result exec_result_next(struct cbor_reader *it)
{
    struct exec_result m;
    fields_read(&result, it, &m);
    assert(!it->failed); /* checked by exec_results_decode */
    return m;
}

/* --- job stream 9 RESULT_ACK, 10 RENEW --- */
static const struct field attempts_list[] = {
    INT(exec_attempts, 1, U64, stamp, UINT64_MAX),
    FIELD(exec_attempts, 2, PAIRS, raw, .offset_n = offsetof(struct exec_attempts, n),
          .max = EXEC_ATTEMPTS_MAX, .is_needed = true),
};
FIELDS(attempts);
MESSAGE(attempts, attempts, attempts)

void exec_attempt_encode(const struct exec_attempt_id *m, struct writer *w)
{
    cbor_put_u64(w, m->task);
    cbor_put_u64(w, m->attempt);
}

struct cbor_reader exec_attempts_begin(const struct exec_attempts *m)
{
    return cbor_reader_of(m->raw);
}

struct exec_attempt_id exec_attempt_next(struct cbor_reader *it)
{
    struct exec_attempt_id id;
    id.task = (uint32_t)cbor_uint_max(it, UINT32_MAX);
    id.attempt = (uint32_t)cbor_uint_max(it, UINT32_MAX);
    assert(!it->failed); /* checked by exec_attempts_decode */
    return id;
}

/* --- job stream 11 RENEWED --- */
struct renewed {
    uint64_t stamp;
};
static const struct field renewed_list[] = {
    NEEDED(renewed, 1, U64, stamp, UINT64_MAX),
};
FIELDS(renewed);

void exec_renewed_encode(uint64_t stamp, struct writer *w)
{
    fields_encode(&renewed, &(struct renewed){stamp}, w);
}

enum ipx_err exec_renewed_decode(struct slice in, uint64_t *ret_stamp)
{
    return fields_decode(&renewed, in, ret_stamp, sizeof(*ret_stamp));
}

/* --- job stream 12 CANCEL --- */
static const struct field cancel_list[] = {
    FLAG(exec_cancel, 2, all),
    INT(exec_cancel, 4, U32, id.task, EXEC_TASKS_MAX - 1),
    INT(exec_cancel, 6, U32, id.attempt, UINT32_MAX),
    FIELD(exec_cancel, 8, U8, signal, .min = 1, .max = 64, .is_needed = true),
};
FIELDS(cancel);
MESSAGE(cancel, cancel, cancel)

const char *exec_end_name(enum exec_end e)
{
    static const char *const names[EXEC_END_N] = {
        [EXEC_END_NONE] = "none",
        [EXEC_END_EXIT] = "exit",
        [EXEC_END_SIGNAL] = "signal",
        [EXEC_END_TIME] = "time limit",
        [EXEC_END_CANNOT_RUN] = "cannot run",
        [EXEC_END_NOT_FOUND] = "not found",
        [EXEC_END_SPOOL] = "spool full",
        [EXEC_END_CANCELLED] = "cancelled",
        [EXEC_END_CLAIM] = "claim ended",
        [EXEC_END_SOURCE] = "source failed",
        [EXEC_END_IPX] = "ipx failed",
        [EXEC_END_LOST] = "place lost",
        [EXEC_END_WAIT] = "waited too long",
        [EXEC_END_NO_MATCH] = "nothing matches",
        [EXEC_END_POLICY] = "refused by policy",
    };
    return (unsigned)e < EXEC_END_N ? names[e] : "unknown";
}

uint8_t exec_end_code(enum exec_end e, uint8_t code, uint8_t signal)
{
    static const uint8_t codes[EXEC_END_N] = {
        [EXEC_END_TIME] = 124,      [EXEC_END_CANNOT_RUN] = 126, [EXEC_END_NOT_FOUND] = 127,
        [EXEC_END_WAIT] = 122,      [EXEC_END_NO_MATCH] = 120,   [EXEC_END_POLICY] = 121,
        [EXEC_END_CANCELLED] = 143,
    };
    if (e == EXEC_END_EXIT) {
        return code;
    }
    if (e == EXEC_END_SIGNAL) {
        return (uint8_t)(128 + (signal & 127));
    }
    return (unsigned)e < EXEC_END_N && codes[e] != 0 ? codes[e] : 125;
}
