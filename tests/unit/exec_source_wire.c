/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include "exec/source_wire.h"

/* Golden bytes: another program could have written them. */

static uint8_t out[4096];

static void golden(const struct writer *w, const char *hex)
{
    char text[2048];
    struct slice s = writer_slice(w);
    CHECK(!w->failed && s.len * 2 < sizeof(text));
    hex_encode(s, text);
    CHECK_STR(text, hex);
}

TEST(exec_source_wire, golden_bytes)
{
    struct writer w = writer_of(out, sizeof(out));
    source_publish_encode(&(struct source_publish){.name = slice_text("cam0"),
                                                   .kind = slice_text("camera"),
                                                   .framing = SOURCE_FRAMING_SIZE,
                                                   .frame_size = 16,
                                                   .rate_milli = 25000},
                          &w);
    golden(&w, "a5016463616d30036663616d657261080309100b1961a8");
    w = writer_of(out, sizeof(out));
    source_tap_encode(&(struct source_tap){.name = slice_text("wx"),
                                           .from = SOURCE_FROM_SEQ,
                                           .policy = SOURCE_POLICY_BLOCK,
                                           .value = 7,
                                           .epoch = 3,
                                           .credit = {1000, 10}},
                      &w);
    golden(&w, "a70162777802040401060708030c1903e80e0a");
    w = writer_of(out, sizeof(out));
    source_credit_encode(&(struct source_credit){65536, 0}, &w);
    golden(&w, "a2011a000100000200");
    w = writer_of(out, sizeof(out));
    source_gap_encode(&(struct source_gap){5, 10, 19, SOURCE_GAP_SLOW}, &w);
    golden(&w, "a40105020a03130402");
    w = writer_of(out, sizeof(out));
    source_heartbeat_encode(&(struct source_heartbeat){5, 20}, &w);
    golden(&w, "a201050214");
    w = writer_of(out, sizeof(out));
    source_end_encode(&(struct source_end){IPX_END}, &w);
    golden(&w, "a1010c");
    w = writer_of(out, sizeof(out));
    source_published_encode(&(struct source_published){{{1, 2, 3}}, 9}, &w);
    golden(&w, "a20150010203000000000000000000000000000209");
    w = writer_of(out, sizeof(out));
    source_opened_encode(&(struct source_opened){.id = {{1}},
                                                 .epoch = 9,
                                                 .next = 4,
                                                 .name = slice_text("wx"),
                                                 .framing = SOURCE_FRAMING_LINES,
                                                 .node = slice_text("n"),
                                                 .lab = slice_text("l")},
                         &w);
    golden(&w, "a701500100000000000000000000000000000002090304046277780a010f616e11616c");
}

TEST(exec_source_wire, frames)
{
    uint8_t raw_bytes[256];
    struct writer raw = writer_of(raw_bytes, sizeof(raw_bytes)), w = writer_of(out, sizeof(out));
    struct source_frames m, got;
    source_frame_encode(&(struct source_frame){1, slice_text("a")}, &raw);
    source_frame_encode(&(struct source_frame){-1, SLICE_EMPTY}, &raw);
    m = (struct source_frames){.first = 3, .n = 2, .raw = writer_slice(&raw)};
    source_frames_encode(&m, &w);
    golden(&w, "a2040306840141612040");
    CHECK_OK(source_frames_decode(writer_slice(&w), &got));
    CHECK_EQ(got.cost, 1 + 2 * SOURCE_FRAME_COST);
    struct cbor_reader it = source_frames_begin(&got);
    struct source_frame f = source_frame_next(&it);
    CHECK(f.time_us == 1 && slice_equal(f.bytes, slice_text("a")));
    f = source_frame_next(&it);
    CHECK(f.time_us == -1 && f.bytes.len == 0);
    w = writer_of(out, sizeof(out));
    m.id.bytes[0] = 7;
    m.epoch = 8;
    source_frames_encode(&m, &w);
    CHECK_OK(source_frames_decode(writer_slice(&w), &got));
    CHECK_EQ(got.epoch, 8);
    CHECK_EQ(got.id.bytes[0], 7);
}

TEST(exec_source_wire, refused)
{
    static const struct {
        const char *hex;
        enum ipx_err err;
    } frames[] = {
        {"a204030682014161", IPX_OK},
        {"a3040306820141610700", IPX_OK},                    /* odd unknown key */
        {"a3040306820141610800", IPX_MALFORMED},             /* even one */
        {"a204030680", IPX_MALFORMED},                       /* none */
        {"a20403068301416101", IPX_MALFORMED},               /* a time without bytes */
        {"a10682014161", IPX_MALFORMED},                     /* no seq */
        {"a2041bffffffffffffffff0682014161", IPX_MALFORMED}, /* seq overflows */
        {"a20403068201416100", IPX_MALFORMED},               /* more behind it */
    };
    for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
        uint8_t bytes[64];
        size_t len;
        struct source_frames m;
        CHECK_OK(hex_decode(slice_text(frames[i].hex), bytes, sizeof(bytes), &len));
        CHECK_EQ(source_frames_decode(slice_of(bytes, len), &m), frames[i].err);
    }
    struct writer w = writer_of(out, sizeof(out));
    struct source_gap gap;
    source_gap_encode(&(struct source_gap){1, 10, 9, SOURCE_GAP_SLOW}, &w);
    CHECK_EQ(source_gap_decode(writer_slice(&w), &gap), IPX_MALFORMED);
    w = writer_of(out, sizeof(out));
    struct source_tap tap;
    source_tap_encode(&(struct source_tap){.name = slice_text("x"),
                                           .from = SOURCE_FROM_NEW,
                                           .policy = SOURCE_POLICY_SAMPLE},
                      &w);
    CHECK_EQ(source_tap_decode(writer_slice(&w), &tap), IPX_MALFORMED); /* how often? */
}
