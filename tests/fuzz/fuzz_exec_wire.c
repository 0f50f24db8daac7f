/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/wire.h"
#include "exec/wire_client.h"

/* The first byte chooses a decoder; what it accepts must encode, and decode to the same again. */

static uint8_t first[EXEC_BODY_MAX], second[EXEC_BODY_MAX];

#define TRY(n, x, s)                                                                               \
    case n: {                                                                                      \
        struct exec_##s m, again;                                                                  \
        if (exec_##x##_decode(in, &m) == IPX_OK) {                                                 \
            struct writer w = writer_of(first, sizeof(first));                                     \
            exec_##x##_encode(&m, &w);                                                             \
            assert(!w.failed);                                                                     \
            enum ipx_err err = exec_##x##_decode(writer_slice(&w), &again);                        \
            assert(err == IPX_OK);                                                                 \
            struct writer w2 = writer_of(second, sizeof(second));                                  \
            exec_##x##_encode(&again, &w2);                                                        \
            assert(slice_equal(writer_slice(&w), writer_slice(&w2)));                              \
        }                                                                                          \
        break;                                                                                     \
    }

/* What was accepted can be walked and expanded. */
static void walk(struct slice in)
{
    struct exec_claims claims;
    struct exec_results results;
    struct exec_task_rows rows;
    struct exec_spec spec;
    if (exec_claims_decode(in, &claims) == IPX_OK) {
        struct cbor_reader it = exec_claims_begin(&claims);
        for (uint32_t i = 0; i < claims.n; i++) {
            (void)exec_claim_next(&it);
        }
    }
    if (exec_results_decode(in, &results) == IPX_OK) {
        struct cbor_reader it = exec_results_begin(&results);
        for (uint32_t i = 0; i < results.n; i++) {
            (void)exec_result_next(&it);
        }
    }
    if (exec_task_rows_decode(in, &rows) == IPX_OK) {
        struct cbor_reader it = exec_task_rows_begin(&rows);
        for (uint32_t i = 0; i < rows.n; i++) {
            (void)exec_task_row_next(&it);
        }
    }
    if (exec_spec_decode(in, &spec) == IPX_OK) {
        struct writer w = writer_of(first, sizeof(first));
        uint32_t n;
        job_argv_write(&spec, slice_text("a\tb.c"), 3, &w, &n);
        struct job_range r;
        err_ignore(job_range_parse(spec.where, &r), "any text will do");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct slice in = slice_of(data + 1, size - 1);
    switch (data[0] % 32) {
        TRY(0, probe, probe)
        TRY(1, grant, grant)
        TRY(2, refuse, refuse)
        TRY(3, free, free_slots)
        TRY(4, header, header)
        TRY(5, job, job_msg)
        TRY(6, spec, spec)
        TRY(7, claims, claims)
        TRY(8, started, attempt_id)
        TRY(9, bytes, bytes)
        TRY(10, ack, ack)
        TRY(11, results, results)
        TRY(12, attempts, attempts)
        TRY(13, cancel, cancel)
        TRY(14, submit, submit)
        TRY(15, items, items)
        TRY(16, input, input)
        TRY(17, client_ack, client_ack)
        TRY(18, ask, ask)
        TRY(19, accepted, accepted)
        TRY(20, shown, shown)
        TRY(21, task_rows, task_rows)
        TRY(22, progress, progress)
        TRY(23, end, end_msg)
        TRY(24, job_row, job_row)
        TRY(25, why_row, why_row)
        TRY(26, why_sum, why_sum)
        TRY(27, place_row, place_row)
        TRY(28, error, error)
    default:
        walk(in);
        break;
    }
    return 0;
}
