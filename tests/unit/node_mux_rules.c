/* SPDX-License-Identifier: Apache-2.0 */
/* What the mux promises to honest peers: credit, classes, races, limits (overlay 1.4). */
#include "tests/mux_fixture.h"

/* Credit */

TEST(node_mux_rules, credit_comes_back_only_for_what_was_consumed)
{
    struct pair p;
    uint32_t id;
    static uint8_t bytes[3 * MUX_WINDOW];
    pair_init(&p, 1);
    struct mux *a = p.ends[0].mux, *b = p.ends[1].mux;
    CHECK_OK(mux_open(a, 2, MUX_CLASS_BULK, 0, &id));
    size_t sent = 0, got = 0;
    struct mux_event e;
    for (int phase = 0; phase < 3; phase++) {
        for (int round = 0; round < 100; round++) {
            if (sent < sizeof(bytes)) {
                sent += mux_send(a, id, slice_of(bytes + sent, sizeof(bytes) - sent));
            }
            (void)pair_pull(&p, 0, OUT_MAX);
            struct end *to = &p.ends[1];
            mux_recv(b, p.now_us, pipe_take(&to->in, SIZE_MAX));
            while (mux_poll(b, &e)) {
                if (phase == 2 && e.type == MUX_EVENT_DATA) {
                    got += e.data.len;
                    mux_consume(b, e.stream, e.data.len);
                }
            }
            (void)pair_pull(&p, 1, OUT_MAX);
            mux_recv(a, p.now_us, pipe_take(&p.ends[0].in, SIZE_MAX));
            while (mux_poll(a, &e)) {
            }
            mux_check(a);
            mux_check(b);
        }
        if (phase == 0) {
            /* nobody reads: the window and the buffer are full, and memory is what lies there */
            CHECK_EQ(sent, MUX_WINDOW + MUX_SEND_MAX_DEFAULT);
            CHECK_EQ(mux_send_room(a, id), 0);
            CHECK(p.mem.used < sent + sent / 8);
            /* all of it in pieces */
            while ((e.data = mux_peek(b, id)).len > 0) {
                got += e.data.len;
                mux_consume(b, id, e.data.len);
            }
            CHECK_EQ(got, MUX_WINDOW);
        } else if (phase == 1) {
            CHECK_EQ(sent, 2 * MUX_WINDOW + MUX_SEND_MAX_DEFAULT);
            while ((e.data = mux_peek(b, id)).len > 0) {
                got += e.data.len;
                mux_consume(b, id, e.data.len);
            }
        }
    }
    CHECK_EQ(sent, sizeof(bytes));
    CHECK_EQ(got, sizeof(bytes));
    CHECK(p.mem.used < 8192);
    pair_done(&p);
}

TEST(node_mux_rules, the_connection_window_bounds_all_streams)
{
    struct pair p;
    pair_init(&p, 1);
    static uint8_t bytes[MUX_SEND_MAX_DEFAULT];
    struct mux *a = p.ends[0].mux, *b = p.ends[1].mux;
    struct mux_event e;
    uint32_t ids[48];
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        CHECK_OK(mux_open(a, 2, MUX_CLASS_BULK, 0, &ids[i]));
    }
    for (int round = 0; round < 1200; round++) {
        for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
            (void)!mux_send(a, ids[i], slice_of(bytes, sizeof(bytes)));
        }
        (void)pair_pull(&p, 0, OUT_MAX);
        mux_recv(b, p.now_us, pipe_take(&p.ends[1].in, SIZE_MAX));
        while (mux_poll(b, &e)) {
            CHECK(e.type != MUX_EVENT_ERROR);
        }
    }
    CHECK_EQ(a->link_tx_credit, 0);
    CHECK_EQ(b->link_rx_credit, 0);
    /* a reset gives its share back to the others */
    size_t unread = mux_find(b, ids[0])->rx.len;
    CHECK(unread > 0);
    mux_reset(b, ids[0], IPX_STALE);
    CHECK_EQ(b->link_rx_owed, unread);
    mux_check(b);
    pair_done(&p);
}

/* Classes */

/* Bytes that each class gets out while all of `classes` (a bit each) always have more. */
static void shares(unsigned classes, size_t total, size_t ret[MUX_CLASS_N])
{
    struct pair p;
    pair_init(&p, 1);
    static uint8_t bytes[MUX_SEND_MAX_DEFAULT];
    uint32_t ids[2 * MUX_CLASS_N];
    size_t n_out = 0;
    struct mux_event e;
    memset(ret, 0, MUX_CLASS_N * sizeof(ret[0]));
    for (unsigned c = 0; c < 2 * MUX_CLASS_N; c++) { /* two streams a class */
        CHECK_OK(mux_open(p.ends[0].mux, 2, (enum mux_class)(c % MUX_CLASS_N), 0, &ids[c]));
    }
    while (n_out < total) {
        for (unsigned c = 0; c < 2 * MUX_CLASS_N; c++) {
            if ((classes >> c % MUX_CLASS_N & 1) != 0) {
                (void)!mux_send(p.ends[0].mux, ids[c], slice_of(bytes, sizeof(bytes)));
            }
        }
        n_out += pair_pull(&p, 0, OUT_MAX);
        mux_recv(p.ends[1].mux, p.now_us, pipe_take(&p.ends[1].in, SIZE_MAX));
        while (mux_poll(p.ends[1].mux, &e)) {
            if (e.type == MUX_EVENT_DATA) {
                ret[(e.stream - 1) / 2 % MUX_CLASS_N] += e.data.len;
                mux_consume(p.ends[1].mux, e.stream, e.data.len);
            }
        }
        (void)pair_pull(&p, 1, OUT_MAX);
        mux_recv(p.ends[0].mux, p.now_us, pipe_take(&p.ends[0].in, SIZE_MAX));
        while (mux_poll(p.ends[0].mux, &e)) {
        }
    }
    pair_done(&p);
}

/* Within 5 percent of `per_mille` of the total. */
static bool is_near(size_t got, size_t total, size_t per_mille)
{
    size_t want = total / 1000 * per_mille;
    return got * 20 >= want * 19 && got * 20 <= want * 21;
}

TEST(node_mux_rules, classes_share_as_promised)
{
    const size_t total = 40u << 20;
    size_t got[MUX_CLASS_N];
    shares(0x1f, total, got);
    CHECK(is_near(got[0], total, 100)); /* strict, but a tenth */
    CHECK(is_near(got[1], total, 900 * 8 / 15));
    CHECK(is_near(got[2], total, 900 * 4 / 15));
    CHECK(is_near(got[3], total, 900 * 2 / 15));
    CHECK(is_near(got[4], total, 900 * 1 / 15));
    shares(0x18, total, got); /* results and bulk alone */
    CHECK(is_near(got[3], total, 667) && is_near(got[4], total, 333));
    shares(0x01, total, got); /* nobody waits: control may have all */
    CHECK(is_near(got[0], total, 1000));
    shares(0x10, total, got);
    CHECK(is_near(got[4], total, 1000));
}

TEST(node_mux_rules, control_goes_before_what_waits)
{
    struct pair p;
    uint32_t bulk, control;
    static uint8_t bytes[200000];
    pair_init(&p, 1);
    struct mux *a = p.ends[0].mux;
    CHECK_OK(mux_open(a, 2, MUX_CLASS_BULK, 0, &bulk));
    CHECK_OK(mux_open(a, 2, MUX_CLASS_CONTROL, 0, &control));
    (void)pair_pull(&p, 0, OUT_MAX);
    CHECK_EQ(mux_send(a, bulk, slice_of(bytes, sizeof(bytes))), sizeof(bytes));
    CHECK_EQ(mux_send(a, control, slice_text("now")), 3);
    p.ends[1].in.len = 0;
    (void)pair_pull(&p, 0, OUT_MAX);
    const uint8_t want[] = {MUX_TYPE_DATA, 0, 0, 3, 0, 0, 0, 3, 'n', 'o', 'w'};
    CHECK_MEM(p.ends[1].in.bytes, want, sizeof(want));
    /* many small messages of one stream make one frame */
    (void)pair_pull(&p, 0, OUT_MAX);
    (void)pair_pull(&p, 0, OUT_MAX);
    (void)pair_pull(&p, 0, OUT_MAX);
    for (int i = 0; i < 100; i++) {
        CHECK(mux_send_message(a, control, slice_text("12345"), slice_text("67890")));
    }
    p.ends[1].in.len = 0;
    CHECK_EQ(pair_pull(&p, 0, OUT_MAX), MUX_HEADER_LEN + 1000);
    pair_done(&p);
}

/* Races and limits of an honest pair */

TEST(node_mux_rules, fin_reset_and_goaway_cross)
{
    struct pair p;
    uint32_t id;
    struct mux_event e;
    pair_init(&p, 1);
    struct mux *a = p.ends[0].mux, *b = p.ends[1].mux;
    for (int order = 0; order < 6; order++) {
        CHECK_OK(mux_open(a, 2, MUX_CLASS_RPC, 0, &id));
        CHECK_EQ(mux_send(a, id, slice_text("abc")), 3);
        (void)pair_pull(&p, 0, OUT_MAX);
        (void)expect(&p, 1, MUX_EVENT_OPENED);
        e = expect(&p, 1, MUX_EVENT_DATA);
        mux_consume(b, id, e.data.len);
        expect_nothing(&p, 1);
        CHECK_EQ(mux_send(b, id, slice_text("xyz")), 3);
        /* both ends act before they hear of each other */
        if (order % 2 == 0) {
            mux_finish(a, id);
        } else {
            mux_reset(a, id, IPX_STALE);
        }
        if (order / 2 == 0) {
            mux_finish(b, id);
        } else if (order / 2 == 1) {
            mux_reset(b, id, IPX_STALE);
        } else {
            mux_finish(b, id);
            (void)pair_pull(&p, 1, OUT_MAX);
            mux_reset(b, id, IPX_STALE);
        }
        for (int round = 0; round < 3; round++) {
            (void)pair_pull(&p, 0, OUT_MAX);
            (void)pair_pull(&p, 1, OUT_MAX);
            for (int i = 0; i < 2; i++) {
                mux_recv(p.ends[i].mux, p.now_us, pipe_take(&p.ends[i].in, SIZE_MAX));
                while (mux_poll(p.ends[i].mux, &e)) {
                    CHECK(e.type != MUX_EVENT_ERROR);
                    if (e.type == MUX_EVENT_DATA) {
                        mux_consume(p.ends[i].mux, e.stream, e.data.len);
                    }
                }
                mux_check(p.ends[i].mux);
            }
        }
        CHECK_EQ(mux_n_streams(a), 0);
        CHECK_EQ(mux_n_streams(b), 0);
    }
    /* an OPEN crosses a GOAWAY: its opener hears that nobody looked at it */
    CHECK_OK(mux_open(a, 2, MUX_CLASS_RPC, 9, &id));
    CHECK_EQ(mux_send(a, id, slice_text("lost")), 4);
    (void)pair_pull(&p, 0, OUT_MAX);
    mux_goaway(b, IPX_BUSY);
    (void)pair_pull(&p, 1, OUT_MAX);
    expect_nothing(&p, 1);
    e = expect(&p, 0, MUX_EVENT_RESET);
    CHECK_EQ(e.code, IPX_REFUSED);
    CHECK_EQ(e.cookie, 9);
    (void)expect(&p, 0, MUX_EVENT_GOAWAY);
    CHECK_EQ(mux_open(a, 2, MUX_CLASS_RPC, 0, &id), IPX_CLOSED);
    CHECK_EQ(mux_open(b, 2, MUX_CLASS_RPC, 0, &id), IPX_CLOSED);
    pair_done(&p);
}

TEST(node_mux_rules, an_honest_opener_keeps_the_limits)
{
    struct pair p;
    uint32_t id;
    struct mux_event e;
    pair_init(&p, 1);
    struct mux *a = p.ends[0].mux, *b = p.ends[1].mux;
    for (int i = 0; i < MUX_STREAMS_MAX; i++) {
        CHECK_OK(mux_open(a, 2, MUX_CLASS_RPC, 0, &id));
    }
    CHECK_EQ(mux_open(a, 2, MUX_CLASS_RPC, 0, &id), IPX_LIMIT);
    CHECK_EQ(mux_deadline(a), NEVER_US); /* they wait for the socket, not for the time */
    /* nothing is heard of the other end for an hour: no more than may be un-acked */
    uint32_t n_opened = 0;
    for (int s = 0; s < 3600; s++) {
        p.now_us += US_PER_S;
        (void)pair_pull(&p, 0, OUT_MAX);
    }
    CHECK_EQ(a->tables[MUX_DIALLER].n_unacked, MUX_UNACKED_MAX);
    CHECK_EQ(mux_deadline(a), NEVER_US);
    /* then all at once, and on: the other end finds no fault */
    uint64_t from_us = p.now_us;
    while (n_opened < MUX_STREAMS_MAX) {
        mux_recv(b, p.now_us, pipe_take(&p.ends[1].in, SIZE_MAX));
        while (mux_poll(b, &e)) {
            CHECK_EQ(e.type, MUX_EVENT_OPENED);
            n_opened++;
        }
        (void)pair_pull(&p, 1, OUT_MAX);
        expect_nothing(&p, 0);
        if (mux_deadline(a) != NEVER_US) {
            p.now_us = IPX_MAX(p.now_us, mux_deadline(a));
        }
        (void)pair_pull(&p, 0, OUT_MAX);
    }
    CHECK(p.now_us - from_us >= 6 * US_PER_S); /* 640 OPENs beyond the burst, 100 a second */
    CHECK(p.now_us - from_us <= 8 * US_PER_S);
    pair_done(&p);
}

TEST(node_mux_rules, a_node_without_memory_tells_the_sender_later)
{
    struct pair p;
    uint32_t id;
    pair_init(&p, 1);
    struct mux *a = p.ends[0].mux;
    CHECK_OK(mux_open(a, 2, MUX_CLASS_RPC, 0, &id));
    p.mem.limit = p.mem.used;
    CHECK_EQ(mux_send(a, id, slice_text("abc")), 0);
    CHECK(!mux_send_message(a, id, slice_text("abc"), slice_text("def")));
    expect_nothing(&p, 0);
    uint64_t due_us = mux_deadline(a);
    CHECK(due_us <= p.now_us + MUX_MEMORY_RETRY_US);
    p.mem.limit = SIZE_MAX;
    p.now_us += MUX_MEMORY_RETRY_US;
    mux_tick(a, p.now_us);
    struct mux_event e = expect(&p, 0, MUX_EVENT_WRITABLE);
    CHECK_EQ(e.stream, id);
    CHECK_EQ(mux_send(a, id, slice_text("abc")), 3);
    pair_done(&p);
}
