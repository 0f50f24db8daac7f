/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/wire_client.h"

#include "exec/owner_states.h"
#include "exec/wire_fields.h"

/* --- 128 SUBMIT --- */
#define LIST(s, k, m, n_top, bytes_top)                                                            \
    FIELD(s, k, LIST, m, .max = (n_top), .bytes_max = (bytes_top))
static const struct field submit_list[] = {
    FIELD(exec_submit, 1, U32, mode, .min = 1, .max = EXEC_MODE_MAP, .is_needed = true),
    INT(exec_submit, 2, U32, flags, UINT32_MAX),
    LIST(exec_submit, 3, argv, EXEC_ARGV_MAX, EXEC_ARGV_BYTES_MAX),
    LIST(exec_submit, 4, env, EXEC_ENV_MAX, EXEC_ENV_BYTES_MAX),
    LIST(exec_submit, 5, where, 32, EXEC_WHERE_MAX),
    INT(exec_submit, 6, TEXT, prefer, EXEC_WHERE_MAX),
    INT(exec_submit, 7, TEXT, on, EXEC_NAME_MAX),
    INT(exec_submit, 8, TEXT, stream, EXEC_NAME_MAX),
    INT(exec_submit, 9, TEXT, range, EXEC_NAME_MAX),
    INT(exec_submit, 10, U32, needs.cpu, 65536),
    INT(exec_submit, 11, U64, needs.mem, INT64_MAX),
    INT(exec_submit, 12, U64, needs.time_us, INT64_MAX),
    INT(exec_submit, 13, U64, needs.in, INT64_MAX),
    INT(exec_submit, 14, U32, retry, EXEC_RETRY_MAX),
    INT(exec_submit, 15, U32, limit, UINT32_MAX),
    INT(exec_submit, 16, U64, wait_max_us, INT64_MAX),
};
FIELDS(submit);
MESSAGE(submit, submit, submit)

/* --- 129 ITEMS --- */
static const struct field items_list[] = {
    LIST(exec_items, 1, items, EXEC_BATCH_ITEMS_MAX, EXEC_ITEM_MAX),
    FLAG(exec_items, 2, end),
};
FIELDS(items);
MESSAGE(items, items, items)

/* --- 130 INPUT --- */
static const struct field input_list[] = {
    INT(exec_input, 1, BYTES, bytes, EXEC_CHUNK_MAX),
    FLAG(exec_input, 2, end),
};
FIELDS(input);
MESSAGE(input, input, input)

/* --- 131 CLIENT_ACK --- */
static const struct field client_ack_list[] = {
    INT(exec_client_ack, 1, U64, out, UINT64_MAX),
    INT(exec_client_ack, 2, U64, err, UINT64_MAX),
};
FIELDS(client_ack);
MESSAGE(client_ack, client_ack, client_ack)

/* --- 132 SIGNAL, 154 INPUT_ACK --- */
struct number {
    uint64_t v;
};
static const struct field number_list[] = {
    NEEDED(number, 1, U64, v, UINT64_MAX),
};
FIELDS(number);

void exec_number_encode(uint64_t v, struct writer *w)
{
    fields_encode(&number, &(struct number){v}, w);
}

enum ipx_err exec_number_decode(struct slice in, uint64_t *ret)
{
    return fields_decode(&number, in, ret, sizeof(*ret));
}

/* --- 133 CANCEL_JOB, 134 PS, 135 SHOW, 136 WHY, 137 LOGS, 138 WAIT --- */
static const struct field ask_list[] = {
    LIST(exec_ask, 1, ids, EXEC_ASK_MAX, EXEC_ASK_MAX * 32),
    FLAG(exec_ask, 2, all),
    FLAG(exec_ask, 3, follow),
    INT(exec_ask, 4, TEXT, where, EXEC_WHERE_MAX),
};
FIELDS(ask);
MESSAGE(ask, ask, ask)

/* --- 144 ACCEPTED --- */
static const struct field accepted_list[] = {
    NEEDED(exec_accepted, 1, FIXED, id.bytes, EXEC_JOB_ID_LEN),
    NEEDED(exec_accepted, 2, U8, short_len, EXEC_JOB_TEXT_SIZE - 1),
    NEEDED(exec_accepted, 3, U32, count, EXEC_TASKS_MAX),
    INT(exec_accepted, 4, U32, n_match, UINT32_MAX),
    INT(exec_accepted, 5, U32, n_unknown, UINT32_MAX),
    INT(exec_accepted, 6, U32, n_nodes, UINT32_MAX),
    INT(exec_accepted, 7, U32, n_labs, UINT32_MAX),
    INT(exec_accepted, 8, U64, item_bytes, UINT64_MAX),
    INT(exec_accepted, 9, TEXT, unknown, 64),
    INT(exec_accepted, 11, TEXT, meant, 64),
};
FIELDS(accepted);
MESSAGE(accepted, accepted, accepted)

/* --- 145 SHOWN --- */
static const struct field shown_list[] = {
    NEEDED(exec_shown, 1, U32, task, EXEC_TASKS_MAX - 1),
    NEEDED(exec_shown, 2, U8, fd, 2),
    INT(exec_shown, 3, BYTES, bytes, EXEC_CHUNK_MAX),
};
FIELDS(shown);
MESSAGE(shown, shown, shown)

/* --- 146 TASK --- */
#define NODE_TEXT_MAX 64 /* a name or a lab */
static const struct field task_row_list[] = {
    NEEDED(exec_task_row, 1, U32, task, EXEC_TASKS_MAX - 1),
    NEEDED(exec_task_row, 2, U8, state, OWNER_TASK_N - 1),
    INT(exec_task_row, 3, U32, end, EXEC_END_N - 1),
    INT(exec_task_row, 4, U8, code, 255),
    INT(exec_task_row, 5, U8, signal, 255),
    INT(exec_task_row, 6, U32, attempt, UINT32_MAX),
    INT(exec_task_row, 7, U32, n_failed, UINT32_MAX),
    INT(exec_task_row, 8, U32, n_lost, UINT32_MAX),
    INT(exec_task_row, 9, U64, wall_us, UINT64_MAX),
    INT(exec_task_row, 10, U64, cpu_us, UINT64_MAX),
    INT(exec_task_row, 11, U64, out_len, UINT64_MAX),
    INT(exec_task_row, 12, U64, err_len, UINT64_MAX),
    INT(exec_task_row, 13, TEXT, node, NODE_TEXT_MAX),
    INT(exec_task_row, 14, TEXT, lab, NODE_TEXT_MAX),
    INT(exec_task_row, 15, BYTES, item, EXEC_ITEM_MAX),
};
FIELDS(task_row);
static const struct field task_rows_list[] = {
    FIELD(exec_task_rows, 1, ITEMS, raw, .offset_n = offsetof(struct exec_task_rows, n),
          .max = EXEC_BATCH_MAX, .items = &task_row, .is_needed = true),
};
FIELDS(task_rows);
MESSAGE(task_rows, task_rows, task_rows)

void exec_task_row_encode(const struct exec_task_row *m, struct writer *w)
{
    fields_encode(&task_row, m, w);
}

struct cbor_reader exec_task_rows_begin(const struct exec_task_rows *m)
{
    return cbor_reader_of(m->raw);
}

struct exec_task_row exec_task_row_next(struct cbor_reader *it)
{
    struct exec_task_row m;
    fields_read(&task_row, it, &m);
    assert(!it->failed); /* checked by exec_task_rows_decode */
    return m;
}

/* --- 147 PROGRESS; inside other messages by the same keys from `k` on --- */
#define PROGRESS(s, k, p)                                                                          \
    INT(s, k, U32, p n_waiting, UINT32_MAX), INT(s, (k) + 1, U32, p n_running, UINT32_MAX),        \
        INT(s, (k) + 2, U32, p n_done, UINT32_MAX), INT(s, (k) + 3, U32, p n_failed, UINT32_MAX),  \
        INT(s, (k) + 4, U32, p n_cancelled, UINT32_MAX),                                           \
        INT(s, (k) + 5, U32, p n_lost, UINT32_MAX), INT(s, (k) + 6, U32, p n_moved, UINT32_MAX),   \
        INT(s, (k) + 7, U32, p why, EXEC_WAITING_LINK), INT(s, (k) + 8, TEXT, p node, 64)
static const struct field progress_list[] = {
    PROGRESS(exec_progress, 1, ),
};
FIELDS(progress);
MESSAGE(progress, progress, progress)

/* --- 148 END --- */
static const struct field end_list[] = {
    NEEDED(exec_end_msg, 1, U8, exit_code, 255),     INT(exec_end_msg, 2, U32, end, EXEC_END_N - 1),
    INT(exec_end_msg, 3, TEXT, node, NODE_TEXT_MAX), INT(exec_end_msg, 4, TEXT, lab, NODE_TEXT_MAX),
    INT(exec_end_msg, 5, TEXT, hint, 512),           INT(exec_end_msg, 6, U64, wall_us, UINT64_MAX),
    PROGRESS(exec_end_msg, 20, progress.),
};
FIELDS(end);
MESSAGE(end, end_msg, end)

/* --- 149 JOB_ROW --- */
static const struct field job_row_list[] = {
    NEEDED(exec_job_row, 1, FIXED, id.bytes, EXEC_JOB_ID_LEN),
    NEEDED(exec_job_row, 2, U8, short_len, EXEC_JOB_TEXT_SIZE - 1),
    NEEDED(exec_job_row, 3, U8, state, OWNER_JOB_N - 1),
    FIELD(exec_job_row, 4, U32, mode, .min = 1, .max = EXEC_MODE_MAP, .is_needed = true),
    FLAG(exec_job_row, 5, is_pure),
    FLAG(exec_job_row, 6, is_detached),
    INT(exec_job_row, 7, U32, count, EXEC_TASKS_MAX),
    INT(exec_job_row, 8, U32, retry, EXEC_RETRY_MAX),
    INT(exec_job_row, 9, U32, limit, UINT32_MAX),
    INT(exec_job_row, 10, TEXT, user, EXEC_USER_MAX),
    INT(exec_job_row, 11, BYTES, command, 256),
    INT(exec_job_row, 12, TEXT, where, EXEC_WHERE_MAX),
    INT(exec_job_row, 13, TEXT, on, EXEC_NAME_MAX),
    NEEDS(exec_job_row, 14),
    FIELD(exec_job_row, 18, I64, submitted_ms, .max = 0),
    FIELD(exec_job_row, 19, I64, ended_ms, .max = 0),
    PROGRESS(exec_job_row, 20, progress.),
};
FIELDS(job_row);
MESSAGE(job_row, job_row, job_row)

/* --- 150 WHY_ROW --- */
static const struct field why_row_list[] = {
    INT(exec_why_row, 1, TEXT, clause, EXEC_WHERE_MAX),
    INT(exec_why_row, 2, U32, n_true, UINT32_MAX),
    INT(exec_why_row, 3, U32, n_false, UINT32_MAX),
    INT(exec_why_row, 4, U32, n_unknown, UINT32_MAX),
    INT(exec_why_row, 5, U32, n_type, UINT32_MAX),
    INT(exec_why_row, 6, TEXT, unknown_name, 64),
    INT(exec_why_row, 7, TEXT, label, 64),
    INT(exec_why_row, 8, TEXT, op, 8),
    INT(exec_why_row, 9, TEXT, have, 64),
    INT(exec_why_row, 10, TEXT, want, 64),
    INT(exec_why_row, 11, TEXT, node, EXEC_NAME_MAX),
    INT(exec_why_row, 12, TEXT, instead, EXEC_WHERE_MAX),
    INT(exec_why_row, 13, U32, n_instead, UINT32_MAX),
    INT(exec_why_row, 14, TEXT, meant, 64),
};
FIELDS(why_row);
MESSAGE(why_row, why_row, why_row)

/* --- 151 WHY_SUM --- */
static const struct field why_sum_list[] = {
    INT(exec_why_sum, 1, U32, n_nodes, UINT32_MAX),
    INT(exec_why_sum, 2, U32, n_labs, UINT32_MAX),
    INT(exec_why_sum, 3, U32, n_true, UINT32_MAX),
    INT(exec_why_sum, 4, U32, n_false, UINT32_MAX),
    INT(exec_why_sum, 5, U32, n_unknown, UINT32_MAX),
    INT(exec_why_sum, 6, U32, n_no_offer, UINT32_MAX),
    INT(exec_why_sum, 7, COUNTS, n_refused, 8),
    INT(exec_why_sum, 8, U32, n_probing, UINT32_MAX),
    INT(exec_why_sum, 9, U32, n_placed, UINT32_MAX),
    INT(exec_why_sum, 10, U64, waiting_us, UINT64_MAX),
    PROGRESS(exec_why_sum, 20, progress.),
};
FIELDS(why_sum);
MESSAGE(why_sum, why_sum, why_sum)

/* --- 152 PLACE_ROW --- */
static const struct field place_row_list[] = {
    INT(exec_place_row, 1, TEXT, node, NODE_TEXT_MAX),
    INT(exec_place_row, 2, TEXT, lab, NODE_TEXT_MAX),
    INT(exec_place_row, 3, U8, truth, 3),
    INT(exec_place_row, 4, U32, n_free, UINT32_MAX),
    INT(exec_place_row, 5, U32, wait_ms, UINT32_MAX),
    INT(exec_place_row, 6, U32, rtt_us, UINT32_MAX),
};
FIELDS(place_row);
MESSAGE(place_row, place_row, place_row)

/* --- 153 ERROR: the error travels by name --- */
struct error_wire {
    struct exec_error e;
    struct slice name;
};
static const struct field error_list[] = {
    NEEDED(error_wire, 1, U8, e.exit_code, 255), NEEDED(error_wire, 2, TEXT, name, 32),
    INT(error_wire, 3, TEXT, e.what, 512),       INT(error_wire, 4, TEXT, e.why, 512),
    INT(error_wire, 5, TEXT, e.hint, 512),
};
FIELDS(error);

void exec_error_encode(const struct exec_error *m, struct writer *w)
{
    fields_encode(&error, &(struct error_wire){*m, slice_text(err_name(m->err))}, w);
}

enum ipx_err exec_error_decode(struct slice in, struct exec_error *ret)
{
    struct error_wire m;
    enum ipx_err err = fields_decode(&error, in, &m, sizeof(m));
    if (err != IPX_OK) {
        return err;
    }
    m.e.err = IPX_INTERNAL; /* a name that a newer owner knows and we do not */
#define X(name_, value, text)                                                                      \
    if (slice_equal(m.name, slice_text(#name_))) {                                                 \
        m.e.err = IPX_##name_;                                                                     \
    }
    IPX_ERR_LIST(X)
#undef X
    *ret = m.e;
    return IPX_OK;
}
