/* SPDX-License-Identifier: Apache-2.0 */
/* What a local client and a node say to each other: one of the bodies, by the first byte. What is
 * accepted says the same when it is written and read again. */
#include "node/control_wire.h"
#include "node/out.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t bytes[CONTROL_BODY_MAX * 16];

static void request(struct slice in)
{
    struct control_request r, again;
    struct writer w = writer_of(bytes, sizeof(bytes));
    if (control_request_decode(in, &r) != IPX_OK) {
        return;
    }
    assert(r.n_args <= CONTROL_ARGS_MAX);
    control_request_encode(&r, &w);
    enum ipx_err err = control_request_decode(writer_slice(&w), &again);
    assert(!w.failed && err == IPX_OK && again.command == r.command && again.n_args == r.n_args);
    for (size_t i = 0; i < r.n_args; i++) {
        assert(slice_equal(r.args[i], again.args[i]));
    }
}

static void error(struct slice in)
{
    struct control_error e, again;
    struct writer w = writer_of(bytes, sizeof(bytes));
    if (control_error_decode(in, &e) != IPX_OK) {
        return;
    }
    control_error_encode(&e, &w);
    enum ipx_err err = control_error_decode(writer_slice(&w), &again);
    assert(!w.failed && err == IPX_OK && again.exit_code == e.exit_code);
    assert(slice_equal(again.name, e.name) && slice_equal(again.what, e.what));
    assert(slice_equal(again.why, e.why) && slice_equal(again.hint, e.hint));
}

static void end(struct slice in)
{
    uint8_t code, again;
    struct writer w = writer_of(bytes, sizeof(bytes));
    if (control_end_decode(in, &code) != IPX_OK) {
        return;
    }
    control_end_encode(code, &w);
    enum ipx_err err = control_end_decode(writer_slice(&w), &again);
    assert(!w.failed && err == IPX_OK && again == code);
}

static void row(struct slice in)
{
    struct out_row r;
    if (out_row_decode(in, &r) == IPX_OK) {
        assert(r.n <= OUT_FIELDS_MAX);
        for (size_t i = 0; i < r.n; i++) {
            assert(r.fields[i].key.len <= in.len && r.fields[i].text.len <= in.len);
        }
        (void)out_row_u64(&r, "members");
        (void)out_row_double(&r, "rtt");
        (void)out_row_text(&r, "name");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct slice in = slice_of(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        request(in);
        break;
    case 1:
        error(in);
        break;
    case 2:
        row(in);
        break;
    default:
        end(in);
        break;
    }
    return 0;
}
