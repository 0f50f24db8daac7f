/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include "exec/wire.h"
#include "exec/wire_client.h"
#include "exec/wire_result.h"

/* Golden bytes of every message: a change here is a change of the wire. */

static uint8_t out[4096];

static void check_hex(struct writer *w, const char *name, const char *want)
{
    char got[1024];
    struct slice s = writer_slice(w);
    CHECK(!w->failed);
    CHECK(s.len * 2 < sizeof(got));
    hex_encode(s, got);
    if (strcmp(got, want) != 0) {
        CHECK_FAIL("%s: got  %s\nwanted %s", name, got, want);
    }
}

/* Encodes, compares, decodes, encodes again: the same bytes. */
#define GOLDEN(x, s, hex, ...)                                                                     \
    do {                                                                                           \
        struct exec_##s m_ = {__VA_ARGS__}, back_;                                                 \
        struct writer w_ = writer_of(out, sizeof(out));                                            \
        exec_##x##_encode(&m_, &w_);                                                               \
        check_hex(&w_, #x, hex);                                                                   \
        uint8_t first_[1024];                                                                      \
        size_t len_ = w_.len;                                                                      \
        memcpy(first_, out, len_);                                                                 \
        CHECK_OK(exec_##x##_decode(slice_of(first_, len_), &back_));                               \
        w_ = writer_of(out, sizeof(out));                                                          \
        exec_##x##_encode(&back_, &w_);                                                            \
        CHECK_EQ(w_.len, len_);                                                                    \
        CHECK_MEM(out, first_, len_);                                                              \
        for (size_t cut_ = 0; cut_ < len_; cut_++) {                                               \
            CHECK_EQ(exec_##x##_decode(slice_of(first_, cut_), &back_), IPX_MALFORMED);            \
        }                                                                                          \
    } while (0)

#define ID                                                                                         \
    {                                                                                              \
        {                                                                                          \
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10                                                          \
        }                                                                                          \
    }
#define TEXT(t)                                                                                    \
    {                                                                                              \
        (const uint8_t *)(t), sizeof(t) - 1                                                        \
    }

static struct exec_list list_of(uint8_t *bytes, size_t cap, const char *a, const char *c)
{
    struct writer w = writer_of(bytes, cap);
    cbor_put_array(&w, 2);
    cbor_put_bytes(&w, slice_text(a));
    cbor_put_bytes(&w, slice_text(c));
    struct cbor_reader r = cbor_reader_of(writer_slice(&w));
    return exec_list_read(&r, 8, 100);
}

TEST(exec_wire, golden_datagrams)
{
    GOLDEN(probe, probe, "a5014a0102030405060708090a02030302041904000863757365", .job = ID,
           .want = 3, .needs = {.cpu = 2, .mem = 1024}, .user = TEXT("use"));
    GOLDEN(grant, grant, "a4010202040318640407", .n = 2, .n_free = 4, .wait_ms = 100,
           .reservation = 7);
    GOLDEN(refuse, refuse, "a20102021901f4", .reason = EXEC_REFUSAL_POLICY, .wait_ms = 500);
    GOLDEN(free, free_slots, "a10103", .n_free = 3);
}

TEST(exec_wire, golden_job_stream)
{
    uint8_t bytes[64];
    uint8_t raw_bytes[256];
    GOLDEN(header, header,
           "a7014a0102030405060708090a0258200700000000000000000000000000000000000000"
           "000000000000000000000000035820080000000000000000000000000000000000000000"
           "00000000000000000000000463616e6e0558200900000000000000000000000000000000"
           "00000000000000000000000000000006010a1903e8",
           .job = ID, .submitter = {{7}}, .chain_hash = {{8}}, .user = TEXT("ann"),
           .spec_hash = {{9}}, .needs = {.cpu = 1}, .expires_ms = 1000);
    uint8_t signature[64] = {5};
    GOLDEN(job, job_msg,
           "a60141680258400500000000000000000000000000000000000000000000000000000000"
           "000000000000000000000000000000000000000000000000000000000000000000000003"
           "4173040105020601",
           .header = TEXT("h"), .signature = {signature, 64}, .spec = TEXT("s"), .reservation = 1,
           .n_waiting = 2, .epoch = 1);
    GOLDEN(spec, spec, "a601020202060908010c82426c73427b7d106474727565", .mode = EXEC_MODE_MAP,
           .output = EXEC_OUTPUT_CAPTURE, .count = 9, .needs = {.cpu = 1},
           .argv = list_of(bytes, sizeof(bytes), "ls", "{}"), .where = TEXT("true"));
    struct writer raw = writer_of(raw_bytes, sizeof(raw_bytes));
    exec_claim_encode(&(struct exec_claim){3, 1, TEXT("it")}, &raw);
    exec_claim_encode(&(struct exec_claim){4, 2, SLICE_EMPTY}, &raw);
    GOLDEN(claims, claims, "a40101020503193a980482a30103020103426974a201040202", .epoch = 1,
           .n_waiting = 5, .duration_ms = 15000, .n = 2, .raw = writer_slice(&raw));
    GOLDEN(started, attempt_id, "a201030201", 3, 1);
    GOLDEN(bytes, bytes, "a501030201030105090643616263", .id = {3, 1}, .fd = 1, .offset = 9,
           .bytes = TEXT("abc"));
    GOLDEN(bytes, bytes, "a401030201030004f5", .id = {3, 1}, .fd = 0, .end = true);
    GOLDEN(ack, ack, "a4010302010302040c", .id = {3, 1}, .fd = 2, .offset = 12);
    raw = writer_of(raw_bytes, sizeof(raw_bytes));
    exec_result_encode(&(struct exec_result){.task = 3,
                                             .attempt = 1,
                                             .end = EXEC_END_EXIT,
                                             .code = 2,
                                             .wall_us = 1000,
                                             .out_len = 2,
                                             .hash = {{1}},
                                             .out = TEXT("hi")},
                       &raw);
    GOLDEN(results, results,
           "a10181a80103020103010402061903e808020a5820010000000000000000000000000000"
           "00000000000000000000000000000000000c426869",
           .n = 1, .raw = writer_slice(&raw));
    raw = writer_of(raw_bytes, sizeof(raw_bytes));
    exec_attempt_encode(&(struct exec_attempt_id){3, 1}, &raw);
    GOLDEN(attempts, attempts, "a2010602820301", .stamp = 6, .n = 1, .raw = writer_slice(&raw));
    GOLDEN(cancel, cancel, "a304030601080f", .id = {3, 1}, .signal = 15);
    GOLDEN(cancel, cancel, "a202f50809", .all = true, .signal = 9);
    GOLDEN(refuse, refuse, "a2010704f5", .reason = EXEC_REFUSAL_STALE, .is_job = true);
    struct writer w = writer_of(out, sizeof(out));
    uint32_t n;
    uint64_t stamp;
    exec_credit_encode(70, &w);
    check_hex(&w, "credit", "a1011846");
    CHECK_OK(exec_credit_decode(writer_slice(&w), &n));
    CHECK_EQ(n, 70);
    w = writer_of(out, sizeof(out));
    exec_renewed_encode(9, &w);
    check_hex(&w, "renewed", "a10109");
    CHECK_OK(exec_renewed_decode(writer_slice(&w), &stamp));
    CHECK_EQ(stamp, 9);
}

TEST(exec_wire, golden_client)
{
    uint8_t bytes[64], raw_bytes[256];
    struct exec_list l = list_of(bytes, sizeof(bytes), "a", "b");
    const struct exec_progress p = {
        .n_waiting = 1, .n_done = 2, .why = EXEC_WAITING_LINK, .node = TEXT("gpu")};
    GOLDEN(submit, submit, "a80102020803824161416205824161416207636770750963312d390b050e02",
           .mode = EXEC_MODE_MAP, .flags = EXEC_SUBMIT_PURE, .argv = l, .where = l,
           .on = TEXT("gpu"), .range = TEXT("1-9"), .needs = {.mem = 5}, .retry = 2);
    GOLDEN(items, items, "a201824161416202f5", .items = l, .end = true);
    GOLDEN(input, input, "a201417802f5", .bytes = TEXT("x"), .end = true);
    GOLDEN(client_ack, client_ack, "a201050206", .out = 5, .err = 6);
    GOLDEN(ask, ask, "a401824161416202f503f5046474727565", .ids = l, .all = true, .follow = true,
           .where = TEXT("true"));
    GOLDEN(accepted, accepted, "a7014a0102030405060708090a02040309040206030701081864", .id = ID,
           .short_len = 4, .count = 9, .n_match = 2, .n_nodes = 3, .n_labs = 1, .item_bytes = 100);
    GOLDEN(shown, shown, "a301040201034178", .task = 4, .fd = 1, .bytes = TEXT("x"));
    struct writer raw = writer_of(raw_bytes, sizeof(raw_bytes));
    exec_task_row_encode(&(struct exec_task_row){.task = 1,
                                                 .state = 5,
                                                 .end = EXEC_END_EXIT,
                                                 .attempt = 1,
                                                 .wall_us = 7,
                                                 .node = TEXT("gpu"),
                                                 .lab = TEXT("phys"),
                                                 .item = TEXT("it")},
                         &raw);
    GOLDEN(task_rows, task_rows, "a10181a8010102050301060109070d636770750e64706879730f426974",
           .n = 1, .raw = writer_slice(&raw));
    GOLDEN(progress, progress, "a9010102020303040405050606070708020963677075", 1, 2, 3, 4, 5, 6, 7,
           EXEC_WAITING_FULL, TEXT("gpu"));
    GOLDEN(end, end_msg, "a9010302010363677075056168060514011602181b07181c63677075", .exit_code = 3,
           .end = EXEC_END_EXIT, .node = TEXT("gpu"), .hint = TEXT("h"), .wall_us = 5,
           .progress = p);
    GOLDEN(job_row, job_row,
           "ad014a0102030405060708090a02040301040107010a63616e6e0b426c730e01121903e8"
           "14011602181b07181c63677075",
           .id = ID, .short_len = 4, .state = 1, .mode = EXEC_MODE_RUN, .count = 1,
           .user = TEXT("ann"), .command = TEXT("ls"), .needs = {.cpu = 1}, .submitted_ms = 1000,
           .progress = p);
    GOLDEN(why_row, why_row,
           "ab016561203e203102010302040307616108613e0961300a61310b68706879732f677075"
           "0c6561203e20300d01",
           .clause = TEXT("a > 1"), .n_true = 1, .n_false = 2, .n_unknown = 3, .label = TEXT("a"),
           .op = TEXT(">"), .have = TEXT("0"), .want = TEXT("1"), .node = TEXT("phys/gpu"),
           .instead = TEXT("a > 0"), .n_instead = 1);
    GOLDEN(why_sum, why_sum, "a801040301078800010200000000000a0914011602181b07181c63677075",
           .n_nodes = 4, .n_true = 1, .n_refused = {0, 1, 2}, .progress = p, .waiting_us = 9);
    GOLDEN(place_row, place_row, "a5016367707502647068797303010404061864", .node = TEXT("gpu"),
           .lab = TEXT("phys"), .truth = 1, .n_free = 4, .rtt_us = 100);
    GOLDEN(error, error, "a5010202694e4f545f464f554e44036177046179056168", .exit_code = 2,
           .err = IPX_NOT_FOUND, .what = TEXT("w"), .why = TEXT("y"), .hint = TEXT("h"));
    struct writer w = writer_of(out, sizeof(out));
    uint64_t v;
    exec_number_encode(300, &w);
    check_hex(&w, "number", "a10119012c");
    CHECK_OK(exec_number_decode(writer_slice(&w), &v));
    CHECK_EQ(v, 300);
}

/* Unknown odd keys are skipped, unknown even ones refuse; limits hold; needed fields are there. */
TEST(exec_wire, refusals)
{
    static const struct {
        const char *hex;
        enum ipx_err err;
    } grants[] = {
        {"a301020407 0900", IPX_OK},           /* 9 is unknown and odd */
        {"a301020407 0a00", IPX_MALFORMED},    /* 10 is unknown and even */
        {"a10407", IPX_MALFORMED},             /* n is needed */
        {"a20100 0407", IPX_MALFORMED},        /* and not 0 */
        {"a2011a000f42410407", IPX_MALFORMED}, /* 1 000 001 */
        {"a20407 0102", IPX_MALFORMED},        /* keys out of order */
        {"a2010201 02", IPX_MALFORMED},        /* a key twice */
        {"a20102040700", IPX_MALFORMED},       /* something behind it */
        {"a2010204 6161", IPX_MALFORMED},      /* wrong type */
        {"bf01020407ff", IPX_MALFORMED},       /* indefinite length */
        {"", IPX_MALFORMED},
        {"80", IPX_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_LEN(grants); i++) {
        char hex[64];
        uint8_t bytes[64];
        size_t n = 0, len;
        for (const char *p = grants[i].hex; *p != 0; p++) {
            if (*p != ' ') {
                hex[n++] = *p;
            }
        }
        CHECK_OK(hex_decode(slice_of(hex, n), bytes, sizeof(bytes), &len));
        struct exec_grant m = {.n = 77};
        CHECK_EQ(exec_grant_decode(slice_of(bytes, len), &m), grants[i].err);
        CHECK_EQ(m.n, grants[i].err == IPX_OK ? 2 : 77);
    }
}

TEST(exec_wire, too_much)
{
    static uint8_t big[EXEC_CHUNK_MAX + 1], msg[EXEC_CHUNK_MAX + 64];
    struct exec_bytes m = {.id = {1, 1}, .fd = 1, .bytes = {big, EXEC_CHUNK_MAX}}, back;
    struct writer w = writer_of(msg, sizeof(msg));
    exec_bytes_encode(&m, &w);
    CHECK_OK(exec_bytes_decode(writer_slice(&w), &back));
    m.bytes.len++;
    w = writer_of(msg, sizeof(msg));
    exec_bytes_encode(&m, &w);
    CHECK_EQ(exec_bytes_decode(writer_slice(&w), &back), IPX_MALFORMED);
    m.bytes.len = 0;
    m.fd = 3;
    w = writer_of(msg, sizeof(msg));
    exec_bytes_encode(&m, &w);
    CHECK_EQ(exec_bytes_decode(writer_slice(&w), &back), IPX_MALFORMED);
    /* more claims than a message may have: n and the array disagree with the limit */
    uint8_t raw_bytes[2048];
    struct writer raw = writer_of(raw_bytes, sizeof(raw_bytes));
    for (uint32_t i = 0; i <= EXEC_BATCH_MAX; i++) {
        exec_claim_encode(&(struct exec_claim){i, 1, SLICE_EMPTY}, &raw);
    }
    struct exec_claims claims = {.duration_ms = 1, .n = EXEC_BATCH_MAX + 1};
    claims.raw = writer_slice(&raw);
    w = writer_of(msg, sizeof(msg));
    exec_claims_encode(&claims, &w);
    CHECK_EQ(exec_claims_decode(writer_slice(&w), &claims), IPX_MALFORMED);
    /* an error's name that we do not know is still an error */
    struct exec_error e;
    CHECK_OK(exec_error_decode(slice_of("\xa2\x01\x02\x02\x63NEW", 8), &e));
    CHECK_EQ(e.err, IPX_INTERNAL);
}
