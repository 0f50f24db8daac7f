/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile peer may try on the mux (overlay section 6, class 19): each case ends in the
 * limit that is meant for it, and the memory bound holds. */
#include "tests/harness.h"

#include "base/buf.h"
#include "node/mux.h"
#include "node/mux_core.h"

#define NOW_US UINT64_C(5000000)

struct victim {
    struct mem mem;
    struct mux *mux; /* the acceptor: the attacker opens odd streams */
    uint64_t now_us;
    uint32_t n_opened, n_reset, n_finished;
    size_t n_data;
    bool is_reading; /* consumes what it is shown */
    bool is_failed;
    enum ipx_err code;
    const char *why;
};

static void victim_init(struct victim *v)
{
    *v = (struct victim){.now_us = NOW_US, .is_reading = true};
    mem_init(&v->mem, SIZE_MAX);
    struct mux_config config = {.role = MUX_ACCEPTOR, .mem = &v->mem};
    CHECK_OK(mux_new(&config, &v->mux));
}

static void victim_done(struct victim *v)
{
    mux_free(v->mux);
    CHECK_EQ(v->mem.used, 0);
}

static void victim_drain(struct victim *v)
{
    struct mux_event e;
    while (mux_poll(v->mux, &e)) {
        mux_check(v->mux);
        v->n_opened += e.type == MUX_EVENT_OPENED;
        v->n_reset += e.type == MUX_EVENT_RESET;
        v->n_finished += e.type == MUX_EVENT_FINISHED;
        if (e.type == MUX_EVENT_DATA) {
            v->n_data += e.data.len;
            if (v->is_reading) {
                mux_consume(v->mux, e.stream, e.data.len);
            }
        } else if (e.type == MUX_EVENT_ERROR) {
            CHECK(!v->is_failed);
            v->is_failed = true;
            v->code = e.code;
            v->why = e.why;
        }
    }
}

static void feed(struct victim *v, const void *bytes, size_t len)
{
    mux_recv(v->mux, v->now_us, slice_of(bytes, len));
    victim_drain(v);
}

static void frame(struct victim *v, uint8_t type, uint8_t flags, uint32_t stream,
                  struct slice payload)
{
    static uint8_t bytes[MUX_HEADER_LEN + MUX_PAYLOAD_MAX];
    struct mux_frame f = {type, flags, (uint16_t)payload.len, stream};
    mux_frame_encode(&f, bytes);
    if (payload.len > 0) {
        memcpy(bytes + MUX_HEADER_LEN, payload.data, payload.len);
    }
    feed(v, bytes, MUX_HEADER_LEN + payload.len);
}

static void frame_u32(struct victim *v, uint8_t type, uint8_t flags, uint32_t stream,
                      uint32_t value)
{
    uint8_t p[4];
    store_be32(p, value);
    frame(v, type, flags, stream, slice_of(p, 4));
}

static void open_as(struct victim *v, uint32_t stream, uint8_t class, uint8_t zero, uint32_t window)
{
    uint8_t p[8] = {0, 2, class, zero};
    store_be32(p + 4, window);
    frame(v, MUX_TYPE_OPEN, 0, stream, slice_of(p, 8));
}

static void open_stream(struct victim *v, uint32_t stream)
{
    open_as(v, stream, MUX_CLASS_RPC, 0, MUX_WINDOW);
}

static void data(struct victim *v, uint32_t stream, size_t len)
{
    static const uint8_t zeros[MUX_PAYLOAD_MAX];
    frame(v, MUX_TYPE_DATA, 0, stream, slice_of(zeros, len));
}

static void pull(struct victim *v)
{
    static uint8_t out[65536];
    while (mux_output(v->mux, v->now_us, out, sizeof(out)) > 0) {
    }
}

/* The attacks; each runs until the victim has had enough. */

static void open_even(struct victim *v)
{
    open_stream(v, 2);
}
static void open_zero(struct victim *v)
{
    open_stream(v, 0);
}
static void open_again(struct victim *v)
{
    open_stream(v, 5);
    open_stream(v, 5);
}
static void open_back(struct victim *v)
{
    open_stream(v, 5);
    open_stream(v, 3);
}
static void open_class(struct victim *v)
{
    open_as(v, 1, MUX_CLASS_N, 0, 1);
}
static void open_pad(struct victim *v)
{
    open_as(v, 1, 1, 1, 1);
}
static void open_window(struct victim *v)
{
    open_as(v, 1, 1, 0, UINT32_C(1) << 31);
}
static void open_long(struct victim *v)
{
    static const uint8_t p[40];
    frame(v, MUX_TYPE_OPEN, 0, 1, slice_of(p, sizeof(p)));
}
static void open_huge(struct victim *v) /* CVE-2026-32314: the header alone must suffice */
{
    const uint8_t header[] = {MUX_TYPE_OPEN, 0, 0xff, 0xf8, 0, 0, 0, 1};
    feed(v, header, sizeof(header));
}
static void open_flood(struct victim *v)
{
    for (uint32_t i = 0; i < 5000 && !v->is_failed; i++) {
        open_stream(v, 2 * i + 1);
        pull(v);
    }
}
static void open_flood_slow(struct victim *v)
{
    for (uint32_t i = 0; i < 5000 && !v->is_failed; i++) {
        open_stream(v, 2 * i + 1);
        pull(v);
        v->now_us += US_PER_S / MUX_OPENS_PER_S;
    }
}
static void open_unread(struct victim *v)
{
    for (uint32_t i = 0; i < 5000 && !v->is_failed; i++) {
        open_stream(v, 2 * i + 1);
    }
}
static void rapid_reset(struct victim *v)
{
    for (uint32_t i = 0; i < 5000 && !v->is_failed; i++) {
        open_stream(v, 2 * i + 1);
        frame_u32(v, MUX_TYPE_RESET, 0, 2 * i + 1, IPX_CLOSED);
        pull(v);
    }
}
static void data_unopened(struct victim *v)
{
    data(v, 1, 10);
}
static void data_on_ours(struct victim *v)
{
    data(v, 2, 10);
}
static void data_empty(struct victim *v)
{
    open_stream(v, 1);
    frame(v, MUX_TYPE_DATA, 0, 1, SLICE_EMPTY);
}
static void data_beyond(struct victim *v)
{
    v->is_reading = false;
    open_stream(v, 1);
    for (int i = 0; i < 40 && !v->is_failed; i++) {
        data(v, 1, 60000);
    }
    CHECK(v->mem.peak <= 2 * (size_t)MUX_WINDOW);
}
static void data_beyond_link(struct victim *v)
{
    v->is_reading = false;
    for (uint32_t i = 0; i < 40 && !v->is_failed; i++) {
        open_stream(v, 2 * i + 1);
        for (int k = 0; k < 16 && !v->is_failed; k++) {
            data(v, 2 * i + 1, 60000);
        }
    }
}
static void data_after_fin(struct victim *v)
{
    open_stream(v, 1);
    frame(v, MUX_TYPE_FIN, 0, 1, SLICE_EMPTY);
    data(v, 1, 1);
}
static void data_after_end(struct victim *v)
{
    open_stream(v, 1);
    frame(v, MUX_TYPE_FIN, 0, 1, SLICE_EMPTY);
    mux_finish(v->mux, 1);
    pull(v);
    CHECK_EQ(mux_n_streams(v->mux), 0);
    data(v, 1, 1);
}
static void data_after_reset(struct victim *v)
{
    open_stream(v, 1);
    frame_u32(v, MUX_TYPE_RESET, 0, 1, IPX_CLOSED);
    data(v, 1, 1);
}
static void data_after_our_reset(struct victim *v)
{
    open_stream(v, 1);
    data(v, 1, 1000);
    mux_reset(v->mux, 1, IPX_STALE);
    pull(v);
    /* what it could send before it knew is taken, and nothing beyond */
    for (size_t sent = 1000; sent < MUX_WINDOW; sent += 8) {
        data(v, 1, 8);
    }
    CHECK(!v->is_failed);
    data(v, 1, 1);
}
static void fin_unopened(struct victim *v)
{
    frame(v, MUX_TYPE_FIN, 0, 7, SLICE_EMPTY);
}
static void fin_twice(struct victim *v)
{
    open_stream(v, 1);
    frame(v, MUX_TYPE_FIN, 0, 1, SLICE_EMPTY);
    frame(v, MUX_TYPE_FIN, 0, 1, SLICE_EMPTY);
}
static void fin_payload(struct victim *v)
{
    frame(v, MUX_TYPE_FIN, 0, 1, slice_of("x", 1));
}
static void reset_unopened(struct victim *v)
{
    frame_u32(v, MUX_TYPE_RESET, 0, 3, 1);
}
static void window_unopened(struct victim *v)
{
    frame_u32(v, MUX_TYPE_WINDOW, 0, 3, 1);
}
static void window_zero(struct victim *v)
{
    open_stream(v, 1);
    frame_u32(v, MUX_TYPE_WINDOW, 0, 1, 0);
}
static void window_overflow(struct victim *v)
{
    open_stream(v, 1);
    frame_u32(v, MUX_TYPE_WINDOW, 0, 1, MUX_CREDIT_MAX - MUX_WINDOW);
    CHECK(!v->is_failed);
    frame_u32(v, MUX_TYPE_WINDOW, 0, 1, 1);
}
static void window_wrap(struct victim *v)
{
    open_stream(v, 1);
    frame_u32(v, MUX_TYPE_WINDOW, 0, 1, UINT32_MAX);
}
static void window_link_zero(struct victim *v)
{
    frame_u32(v, MUX_TYPE_WINDOW, 0, 0, 0);
}
static void window_link_wrap(struct victim *v)
{
    frame_u32(v, MUX_TYPE_WINDOW, 0, 0, UINT32_MAX);
}
static void window_link_ack(struct victim *v)
{
    frame_u32(v, MUX_TYPE_WINDOW, MUX_FLAG_ACK, 0, 1);
}
static void window_ack_of_own(struct victim *v)
{
    open_stream(v, 1);
    frame_u32(v, MUX_TYPE_WINDOW, MUX_FLAG_ACK, 1, 0);
}
static void ping_flood(struct victim *v)
{
    for (int i = 0; i < 100 && !v->is_failed; i++) {
        frame(v, MUX_TYPE_PING, 0, 0, slice_of("12345678", 8));
    }
}
static void pong_unasked(struct victim *v)
{
    frame(v, MUX_TYPE_PING, MUX_FLAG_ACK, 0, slice_of("\0\0\0\0\0\0\0\1", 8));
}
static void ping_on_stream(struct victim *v)
{
    frame(v, MUX_TYPE_PING, 0, 1, slice_of("12345678", 8));
}
static void goaway_ahead(struct victim *v)
{
    frame(v, MUX_TYPE_GOAWAY, 0, 0, slice_of("\0\0\0\4\0\0\0\1", 8));
}
static void goaway_parity(struct victim *v)
{
    open_stream(v, 1);
    frame(v, MUX_TYPE_GOAWAY, 0, 0, slice_of("\0\0\0\1\0\0\0\1", 8));
}
static void settings_twice(struct victim *v)
{
    frame(v, MUX_TYPE_SETTINGS, 0, 0, SLICE_EMPTY);
    frame(v, MUX_TYPE_SETTINGS, 0, 0, SLICE_EMPTY);
}
static void settings_cut(struct victim *v)
{
    frame(v, MUX_TYPE_SETTINGS, 0, 0, slice_of("\0", 1));
}
static void settings_even(struct victim *v)
{
    frame(v, MUX_TYPE_SETTINGS, 0, 0, slice_of("\0\4\0\0\0\1", 6));
}
static void settings_none(struct victim *v)
{
    frame(v, MUX_TYPE_SETTINGS, 0, 0, slice_of("\0\2\0\0\0\0", 6));
}
static void settings_long(struct victim *v)
{
    static const uint8_t p[102];
    frame(v, MUX_TYPE_SETTINGS, 0, 0, slice_of(p, sizeof(p)));
}
static void type_zero(struct victim *v)
{
    frame(v, 0, 0, 0, SLICE_EMPTY);
}
static void type_nine(struct victim *v)
{
    frame(v, 9, 0, 0, SLICE_EMPTY);
}
static void flag_unknown(struct victim *v)
{
    frame(v, MUX_TYPE_PING, 2, 0, slice_of("12345678", 8));
}
static void flag_on_data(struct victim *v)
{
    open_stream(v, 1);
    frame(v, MUX_TYPE_DATA, 1, 1, slice_of("x", 1));
}

#define ATTACK(fn, code)                                                                           \
    {                                                                                              \
#fn, fn, code                                                                              \
    }

static const struct attack {
    const char *name;
    void (*run)(struct victim *v);
    enum ipx_err code;
} attacks[] = {
    ATTACK(open_even, IPX_MALFORMED),        ATTACK(open_zero, IPX_MALFORMED),
    ATTACK(open_again, IPX_MALFORMED),       ATTACK(open_back, IPX_MALFORMED),
    ATTACK(open_class, IPX_MALFORMED),       ATTACK(open_pad, IPX_MALFORMED),
    ATTACK(open_window, IPX_MALFORMED),      ATTACK(open_long, IPX_MALFORMED),
    ATTACK(open_huge, IPX_MALFORMED),        ATTACK(open_flood, IPX_LIMIT),
    ATTACK(open_flood_slow, IPX_LIMIT),      ATTACK(open_unread, IPX_LIMIT),
    ATTACK(rapid_reset, IPX_LIMIT),          ATTACK(data_unopened, IPX_MALFORMED),
    ATTACK(data_on_ours, IPX_MALFORMED),     ATTACK(data_empty, IPX_MALFORMED),
    ATTACK(data_beyond, IPX_LIMIT),          ATTACK(data_beyond_link, IPX_LIMIT),
    ATTACK(data_after_fin, IPX_MALFORMED),   ATTACK(data_after_end, IPX_MALFORMED),
    ATTACK(data_after_reset, IPX_MALFORMED), ATTACK(data_after_our_reset, IPX_MALFORMED),
    ATTACK(fin_unopened, IPX_MALFORMED),     ATTACK(fin_twice, IPX_MALFORMED),
    ATTACK(fin_payload, IPX_MALFORMED),      ATTACK(reset_unopened, IPX_MALFORMED),
    ATTACK(window_unopened, IPX_MALFORMED),  ATTACK(window_zero, IPX_MALFORMED),
    ATTACK(window_overflow, IPX_LIMIT),      ATTACK(window_wrap, IPX_LIMIT),
    ATTACK(window_link_zero, IPX_LIMIT),     ATTACK(window_link_wrap, IPX_LIMIT),
    ATTACK(window_link_ack, IPX_LIMIT),      ATTACK(window_ack_of_own, IPX_MALFORMED),
    ATTACK(ping_flood, IPX_LIMIT),           ATTACK(pong_unasked, IPX_MALFORMED),
    ATTACK(ping_on_stream, IPX_MALFORMED),   ATTACK(goaway_ahead, IPX_MALFORMED),
    ATTACK(goaway_parity, IPX_MALFORMED),    ATTACK(settings_twice, IPX_MALFORMED),
    ATTACK(settings_cut, IPX_MALFORMED),     ATTACK(settings_even, IPX_MALFORMED),
    ATTACK(settings_none, IPX_MALFORMED),    ATTACK(settings_long, IPX_MALFORMED),
    ATTACK(type_zero, IPX_MALFORMED),        ATTACK(type_nine, IPX_MALFORMED),
    ATTACK(flag_unknown, IPX_MALFORMED),     ATTACK(flag_on_data, IPX_MALFORMED),
};

/* What received bytes may cost: the connection's credit, and a little a stream. */
#define MEMORY_MAX (MUX_LINK_WINDOW + MUX_LINK_WINDOW / 4 + 2 * MUX_STREAMS_MAX * 1024)

TEST(node_mux_attack, each_attack_ends_in_its_limit)
{
    for (size_t i = 0; i < ARRAY_LEN(attacks); i++) {
        struct victim v;
        victim_init(&v);
        attacks[i].run(&v);
        if (!v.is_failed || v.code != attacks[i].code) {
            CHECK_FAIL("%s: %s (%s)", attacks[i].name, v.is_failed ? err_name(v.code) : "alive",
                       v.is_failed ? v.why : "");
        }
        CHECK(v.mem.peak <= MEMORY_MAX);
        /* no input and no output after the end, and no stream without an end */
        CHECK_EQ(mux_n_streams(v.mux), 0);
        uint8_t out[MUX_OUTPUT_MIN];
        CHECK_EQ(mux_output(v.mux, v.now_us, out, sizeof(out)), 0);
        open_stream(&v, 9999);
        victim_done(&v);
    }
}

TEST(node_mux_attack, refused_before_any_state_is_made)
{
    /* the header of a frame that is refused allocates nothing */
    const uint8_t headers[][MUX_HEADER_LEN] = {
        {MUX_TYPE_OPEN, 0, 0xff, 0xf8, 0, 0, 0, 1}, {MUX_TYPE_DATA, 0, 0xff, 0xf8, 0, 0, 0, 1},
        {MUX_TYPE_DATA, 0, 0, 1, 0, 0, 0, 2},       {MUX_TYPE_SETTINGS, 0, 0xff, 0xf8, 0, 0, 0, 0},
        {MUX_TYPE_OPEN, 0, 0, 8, 0, 0, 0, 2},       {MUX_TYPE_DATA, 0, 0xff, 0xff, 0, 0, 0, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct victim v;
        victim_init(&v);
        size_t peak = v.mem.peak;
        feed(&v, headers[i], MUX_HEADER_LEN);
        CHECK(v.is_failed);
        CHECK_EQ(v.mem.peak, peak);
        victim_done(&v);
    }
}

TEST(node_mux_attack, patience_is_no_attack)
{
    /* a peer that gives no credit and reads nothing for hours costs a bounded amount, and pings
     * at the permitted rate go on for ever */
    struct victim v;
    victim_init(&v);
    static const uint8_t bytes[65536];
    size_t taken = 0;
    for (uint32_t i = 0; i < 100; i++) {
        open_as(&v, 2 * i + 1, MUX_CLASS_BULK, 0, 0);
        for (int k = 0; k < 100; k++) {
            taken += mux_send(v.mux, 2 * i + 1, slice_of(bytes, sizeof(bytes)));
        }
        v.now_us += US_PER_S;
    }
    CHECK_EQ(taken, 100 * MUX_SEND_MAX_DEFAULT);
    for (int i = 0; i < 36000; i++) {
        v.now_us += 100 * US_PER_MS;
        frame(&v, MUX_TYPE_PING, 0, 0, slice_of("12345678", 8));
        uint8_t out[MUX_OUTPUT_MIN];
        size_t n = mux_output(v.mux, v.now_us, out, sizeof(out));
        CHECK(i < 5 ? n >= MUX_HEADER_LEN + 8 : n == MUX_HEADER_LEN + 8);
    }
    CHECK(!v.is_failed);
    CHECK(v.mem.peak < 101 * (MUX_SEND_MAX_DEFAULT + 4096) + 65536);
    victim_done(&v);
}

TEST(node_mux_attack, no_memory_costs_a_stream_not_the_link)
{
    for (uint64_t fail_after = 0; fail_after < 6; fail_after++) {
        struct victim v;
        victim_init(&v);
        v.is_reading = false;
        v.mem.fail_after = fail_after;
        open_stream(&v, 1);
        data(&v, 1, 5000);
        data(&v, 1, 5000);
        v.mem.fail_after = UINT64_MAX;
        open_stream(&v, 3);
        frame(&v, MUX_TYPE_FIN, 0, 3, SLICE_EMPTY);
        pull(&v);
        victim_drain(&v);
        /* with no memory at all not even the refusal can be kept: then the link goes */
        CHECK_EQ(v.is_failed, fail_after <= 1);
        CHECK(v.is_failed || v.n_finished == 1);
        victim_done(&v);
    }
}
