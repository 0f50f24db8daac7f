/* SPDX-License-Identifier: Apache-2.0 */
#include "node/control_wire.h"
#include "tests/harness.h"

TEST(node_control_wire, requests_survive_the_wire_and_damage_is_refused)
{
    static const char *const texts[] = {"", "a=b", "any gpu (.mem >= 20GiB)"};
    for (size_t n = 0; n <= ARRAY_LEN(texts); n++) {
        uint8_t bytes[256];
        struct writer w = writer_of(bytes, sizeof(bytes));
        struct control_request in = {.command = CONTROL_NODES, .n_args = n}, out;
        for (size_t i = 0; i < n; i++) {
            in.args[i] = slice_text(texts[i]);
        }
        control_request_encode(&in, &w);
        CHECK_OK(control_request_decode(writer_slice(&w), &out));
        CHECK_EQ(out.command, CONTROL_NODES);
        CHECK_EQ(out.n_args, n);
        for (size_t i = 0; i < n; i++) {
            CHECK(slice_equal(out.args[i], slice_text(texts[i])));
        }
        for (size_t cut = 0; cut < w.len; cut++) {
            CHECK_EQ(control_request_decode(slice_of(bytes, cut), &out), IPX_MALFORMED);
        }
    }
}

/* {1: 2, 2: [], 3: 0} is skipped over its odd key; {1: 2, 2: [], 4: 0} is refused. */
TEST(node_control_wire, unknown_odd_keys_are_skipped_and_even_ones_refused)
{
    static const uint8_t odd[] = {0xa3, 1, 2, 2, 0x80, 3, 0};
    static const uint8_t even[] = {0xa3, 1, 2, 2, 0x80, 4, 0};
    static const uint8_t golden[] = {0xa2, 1, 2, 2, 0x81, 0x61, 'x'};
    struct control_request r = {.command = CONTROL_NODES, .n_args = 1};
    uint8_t bytes[32];
    struct writer w = writer_of(bytes, sizeof(bytes));
    r.args[0] = slice_text("x");
    control_request_encode(&r, &w);
    CHECK_EQ(w.len, sizeof(golden));
    CHECK_MEM(bytes, golden, sizeof(golden));
    CHECK_OK(control_request_decode(slice_of(odd, sizeof(odd)), &r));
    CHECK_EQ(control_request_decode(slice_of(even, sizeof(even)), &r), IPX_MALFORMED);
}

TEST(node_control_wire, errors_and_ends_survive_the_wire)
{
    uint8_t bytes[256], code = 0;
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct control_error e = {.exit_code = 3,
                              .name = slice_text("NOT_FOUND"),
                              .what = slice_text("no node"),
                              .why = slice_text("gone"),
                              .hint = slice_text("look")},
                         back;
    control_error_encode(&e, &w);
    CHECK_OK(control_error_decode(writer_slice(&w), &back));
    CHECK_EQ(back.exit_code, 3);
    CHECK(slice_equal(back.what, e.what) && slice_equal(back.why, e.why));
    CHECK(slice_equal(back.hint, e.hint) && slice_equal(back.name, e.name));
    for (size_t cut = 0; cut < w.len; cut++) {
        CHECK_EQ(control_error_decode(slice_of(bytes, cut), &back), IPX_MALFORMED);
    }
    w = writer_of(bytes, sizeof(bytes));
    control_end_encode(4, &w);
    CHECK_OK(control_end_decode(writer_slice(&w), &code));
    CHECK_EQ(code, 4);
    CHECK_EQ(control_end_decode(slice_of(bytes, 1), &code), IPX_MALFORMED);
}

TEST(node_control_wire, a_row_is_a_flat_array_of_keys_and_values)
{
    uint8_t bytes[128];
    struct writer w = writer_of(bytes, sizeof(bytes));
    control_row_begin(&w, 5);
    control_row_text(&w, "a", "x");
    control_row_u64(&w, "b", 7);
    control_row_bool(&w, "c", true);
    control_row_double(&w, "d", 0.5);
    control_row_null(&w, "e");
    struct cbor_reader r = cbor_reader_of(writer_slice(&w));
    CHECK_EQ(cbor_array_begin(&r, 10), 10);
    CHECK(slice_equal(cbor_text(&r, 8), slice_text("a")));
    CHECK(slice_equal(cbor_text(&r, 8), slice_text("x")));
    CHECK(slice_equal(cbor_text(&r, 8), slice_text("b")));
    CHECK_EQ(cbor_u64(&r), 7);
    cbor_skip(&r);
    CHECK(cbor_bool(&r));
    cbor_skip(&r);
    CHECK(cbor_double(&r) > 0.4);
    cbor_skip(&r);
    cbor_null(&r);
    cbor_array_end(&r);
    CHECK(cbor_done(&r));
}
