/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/exec_owner.h"

static struct bench b; /* large */

/* One run on one place, its output streamed, its exit code the command's. */
TEST(exec_owner, run)
{
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_submit(&b, BENCH_CLIENT, &(struct ask){.mode = EXEC_MODE_RUN, .argv = "echo|hi"});
    struct exec_accepted acc;
    CHECK_OK(
        exec_accepted_decode(bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_ACCEPTED)->send.body, &acc));
    CHECK_EQ(acc.count, 1);
    CHECK_EQ(acc.n_match, 1);
    CHECK_EQ(acc.n_labs, 1);
    CHECK_EQ(acc.short_len, EXEC_JOB_TEXT_MIN);
    place_grants(&b, 1, 2);
    uint32_t h = place_opened(&b, 1);
    CHECK_STR(place_claims(&b, h), "0.1");
    place_renews(&b, h, NULL, 0);
    place_credits(&b, h, 1);
    place_starts(&b, h, 0, 1);
    uint32_t from = b.n_got;
    place_writes(&b, h, 0, 1, 1, 0, "hello");
    place_writes(&b, h, 0, 1, 1, 3, "lo you"); /* sent again from 3 on: shown once */
    CHECK_STR(client_seen(&b, from), "0:hello 0: you ");
    uint8_t out[32];
    struct writer w = writer_of(out, sizeof(out));
    exec_client_ack_encode(&(struct exec_client_ack){.out = 9}, &w);
    client_says(&b, BENCH_CLIENT, EXEC_MSG_CLIENT_ACK, &w);
    struct exec_ack ack;
    CHECK_OK(exec_ack_decode(bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_OUT_ACK)->send.body, &ack));
    CHECK_EQ(ack.offset, 9);
    place_ends(&b, h, 0, 1, 3);
    struct exec_end_msg end = client_ended(&b, BENCH_CLIENT);
    CHECK_EQ(end.exit_code, 3);
    CHECK(slice_equal(end.node, slice_text("n1")));
    CHECK_EQ(end.progress.n_failed, 1);
    CHECK(owner_is_idle(b.owner));
    CHECK(core_stream_find(b.core, h) == NULL); /* closed: the job is over */
    CHECK(owner_on_client_closed(b.owner, b.now_us, BENCH_CLIENT));
    bench_done(&b);
}

/* How attempts end, and what `run` says then. */
TEST(exec_owner, run_codes)
{
    static const struct {
        struct exec_result r;
        uint8_t code;
    } cases[] = {
        {{.end = EXEC_END_EXIT, .code = 0}, 0},
        {{.end = EXEC_END_EXIT, .code = 255}, 255},
        {{.end = EXEC_END_SIGNAL, .signal = 11}, 139},
        {{.end = EXEC_END_TIME, .signal = 15}, 124},
        {{.end = EXEC_END_CANNOT_RUN}, 126},
        {{.end = EXEC_END_NOT_FOUND}, 127},
        {{.end = EXEC_END_SPOOL}, 125},
        {{.end = EXEC_END_SOURCE}, 125},
        {{.end = EXEC_END_IPX}, 125},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bench_init(&b);
        bench_peer(&b, 1, 4);
        bench_submit(&b, BENCH_CLIENT, &(struct ask){.mode = EXEC_MODE_RUN});
        place_grants(&b, 1, 1);
        uint32_t h = place_opened(&b, 1);
        struct exec_result r = cases[i].r;
        r.attempt = 1;
        place_result(&b, h, &r);
        CHECK_EQ(client_ended(&b, BENCH_CLIENT).exit_code, cases[i].code);
        bench_done(&b);
    }
}

/* Tasks go where there is credit, evenly; output is delivered whole, by completion. */
TEST(exec_owner, map_over_two_places)
{
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_peer(&b, 2, 4);
    bench_submit(&b, BENCH_CLIENT, &(struct ask){.mode = EXEC_MODE_MAP, .range = "10-15"});
    place_grants(&b, 1, 2);
    place_grants(&b, 2, 2);
    b.at = 0;
    uint32_t h1 = place_opened(&b, 1), h2;
    CHECK_STR(place_claims(&b, h1), "0.1=10 1.1=11");
    h2 = place_opened(&b, 2);
    CHECK_STR(place_claims(&b, h2), "2.1=12 3.1=13");
    place_renews(&b, h1, (uint32_t[]){0, 1, 1, 1}, 2);
    place_renews(&b, h2, (uint32_t[]){2, 1, 3, 1}, 2);
    uint32_t from = b.n_got;
    place_result(&b, h2,
                 &(struct exec_result){
                     .task = 3, .attempt = 1, .end = EXEC_END_EXIT, .out = slice_text("three")});
    CHECK_STR(client_seen(&b, from), "3:three #3 ");
    CHECK_STR(place_claims(&b, h2), "4.1=14");
    place_ends(&b, h1, 0, 1, 0);
    CHECK_STR(place_claims(&b, h1), "5.1=15");
    place_ends(&b, h1, 1, 1, 1); /* no --retry */
    place_ends(&b, h2, 2, 1, 0);
    place_ends(&b, h2, 4, 1, 0);
    place_ends(&b, h1, 5, 1, 0);
    CHECK_STR(client_seen(&b, from), "3:three #3 #0 #1 #2 #4 #5 ");
    struct exec_end_msg end = client_ended(&b, BENCH_CLIENT);
    CHECK_EQ(end.exit_code, 1); /* failed tasks */
    CHECK_EQ(end.progress.n_done, 5);
    bench_done(&b);
}

TEST(exec_owner, keep_order)
{
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_submit(
        &b, BENCH_CLIENT,
        &(struct ask){.mode = EXEC_MODE_MAP, .range = "0-2", .flags = EXEC_SUBMIT_KEEP_ORDER});
    place_grants(&b, 1, 3);
    uint32_t h = place_opened(&b, 1), from = b.n_got;
    place_ends(&b, h, 2, 1, 0);
    CHECK_STR(client_seen(&b, from), "");
    place_result(&b, h,
                 &(struct exec_result){.task = 0,
                                       .attempt = 1,
                                       .end = EXEC_END_EXIT,
                                       .out = slice_text("a"),
                                       .err = slice_text("b")});
    CHECK_STR(client_seen(&b, from), "0:a 0:b #0 ");
    place_ends(&b, h, 1, 1, 0);
    CHECK_STR(client_seen(&b, from), "0:a 0:b #0 #1 #2 ");
    CHECK_EQ(client_ended(&b, BENCH_CLIENT).exit_code, 0);
    bench_done(&b);
}

/* Long output comes behind its result, in pieces; `done` only when the store has all of it. */
TEST(exec_owner, long_output_is_stored_first)
{
    static char half[30001];
    bench_init(&b);
    memset(half, 'x', sizeof(half) - 1);
    bench_peer(&b, 1, 4);
    bench_submit(&b, BENCH_CLIENT, &(struct ask){.mode = EXEC_MODE_MAP, .range = "0-0"});
    place_grants(&b, 1, 1);
    uint32_t h = place_opened(&b, 1), from = b.n_got;
    b.stores = false;
    place_result(
        &b, h,
        &(struct exec_result){
            .task = 0, .attempt = 1, .end = EXEC_END_EXIT, .out_len = 60000, .hash = {{1}}});
    place_writes(&b, h, 0, 1, 1, 0, half);
    place_writes(&b, h, 0, 1, 1, 0, half); /* again: skipped */
    place_writes(&b, h, 0, 1, 1, 30000, half);
    uint64_t object = bench_want(&b, EXEC_STORE, 0)->store.object;
    CHECK(bench_next(&b, EXEC_STREAM_SEND, EXEC_MSG_RESULT_ACK) == NULL);
    CHECK_EQ(b.owner->jobs[0]->tasks[0].state, OWNER_TASK_STORING);
    owner_on_stored(b.owner, b.now_us, object, IPX_OK); /* the first half; the second follows */
    bench_drain(&b);
    CHECK_EQ(b.owner->jobs[0]->tasks[0].state, OWNER_TASK_STORING);
    CHECK_EQ(bench_want(&b, EXEC_STORE, 0)->store.bytes.len, 30000);
    owner_on_stored(b.owner, b.now_us, object, IPX_OK);
    bench_drain(&b);
    CHECK_EQ(b.owner->jobs[0]->tasks[0].state, OWNER_TASK_DONE);
    bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_RESULT_ACK);
    CHECK_STR(client_seen(&b, from), "");
    owner_on_loaded(b.owner, b.now_us, object, 0, slice_of(half, 5));
    bench_drain(&b);
    CHECK_STR(client_seen(&b, from), "0:xxxxx ");
    owner_on_loaded(b.owner, b.now_us, object, 5, SLICE_EMPTY); /* the store has lost the rest */
    bench_drain(&b);
    CHECK_STR(client_seen(&b, from), "0:xxxxx #0 ");
    CHECK_EQ(client_ended(&b, BENCH_CLIENT).exit_code, 0);
    bench_done(&b);
}

TEST(exec_owner, full_store_is_a_clear_failure)
{
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_submit(&b, BENCH_CLIENT, &(struct ask){.mode = EXEC_MODE_MAP, .range = "0-0"});
    place_grants(&b, 1, 1);
    uint32_t h = place_opened(&b, 1);
    b.stores = false;
    place_result(&b, h,
                 &(struct exec_result){
                     .task = 0, .attempt = 1, .end = EXEC_END_EXIT, .out = slice_text("a")});
    owner_on_stored(b.owner, b.now_us, bench_want(&b, EXEC_STORE, 0)->store.object, IPX_FULL);
    bench_drain(&b);
    CHECK_EQ(client_ended(&b, BENCH_CLIENT).exit_code, 1);
    CHECK_EQ(b.owner->jobs[0]->tasks[0].state, OWNER_TASK_FAILED);
    CHECK_EQ(b.owner->jobs[0]->tasks[0].end, EXEC_END_SPOOL);
    bench_done(&b);
}

TEST(exec_owner, cancel_and_signals)
{
    uint8_t out[16];
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_submit(&b, BENCH_CLIENT, &(struct ask){.mode = EXEC_MODE_MAP, .range = "0-9"});
    place_grants(&b, 1, 2);
    uint32_t h = place_opened(&b, 1);
    struct writer w = writer_of(out, sizeof(out));
    exec_number_encode(15, &w);
    client_says(&b, BENCH_CLIENT, EXEC_MSG_SIGNAL, &w);
    struct exec_cancel m;
    CHECK_OK(exec_cancel_decode(bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_CANCEL)->send.body, &m));
    CHECK(m.all && m.signal == 15);
    CHECK_EQ(b.owner->jobs[0]->n_in[OWNER_TASK_CANCELLED], 8);
    CHECK_EQ(b.owner->jobs[0]->n_in[OWNER_TASK_CLAIMED], 2);
    place_credits(&b, h, 9); /* nothing is claimed any more */
    w = writer_of(out, sizeof(out));
    exec_number_encode(9, &w);
    client_says(&b, BENCH_CLIENT, EXEC_MSG_SIGNAL, &w);
    CHECK_OK(exec_cancel_decode(bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_CANCEL)->send.body, &m));
    CHECK_EQ(m.signal, 9);
    place_ends(&b, h, 1, 1, 0); /* it was done in time */
    place_result(
        &b, h,
        &(struct exec_result){.task = 0, .attempt = 1, .end = EXEC_END_SIGNAL, .signal = 15});
    struct exec_end_msg end = client_ended(&b, BENCH_CLIENT);
    CHECK_EQ(end.progress.n_cancelled, 9);
    CHECK_EQ(end.progress.n_done, 1);
    CHECK_EQ(end.exit_code, 9);
    CHECK_EQ(b.owner->jobs[0]->state, OWNER_JOB_CANCELLED);
    bench_done(&b);
}

/* Before the start: nothing matches, policy, waiting. */
TEST(exec_owner, before_the_start)
{
    static const struct {
        struct ask ask;
        int refusal; /* of the one place asked; 0: none is asked; -1: silent */
        uint64_t after_us;
        uint8_t code;
    } cases[] = {
        {{.where = "cpu.cores >= 99", .flags = EXEC_SUBMIT_NO_WAIT}, 0, 0, 120},
        {{.where = "cpu.cores >= 99", .wait_max_us = US_PER_S}, 0, US_PER_S, 122},
        {{0}, EXEC_REFUSAL_POLICY, 0, 121},
        {{.flags = EXEC_SUBMIT_NO_WAIT}, EXEC_REFUSAL_FULL, 0, 120},
        {{.wait_max_us = US_PER_S}, EXEC_REFUSAL_FULL, US_PER_S, 122},
        {{.wait_max_us = US_PER_S}, EXEC_REFUSAL_POLICY, US_PER_S, 122},
        {{.flags = EXEC_SUBMIT_NO_WAIT}, -1, 2 * US_PER_S, 120},
    };
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        struct ask ask = cases[i / 2].ask;
        bench_init(&b);
        bench_peer(&b, 1, 4);
        ask.mode = i % 2 != 0 ? EXEC_MODE_MAP : EXEC_MODE_RUN;
        ask.range = i % 2 != 0 ? "1-3" : NULL;
        bench_submit(&b, BENCH_CLIENT, &ask);
        if (cases[i / 2].refusal > 0) {
            place_refuses(&b, 1, (enum exec_refusal)cases[i / 2].refusal);
        }
        bench_at(&b, cases[i / 2].after_us);
        b.at = 0;
        struct exec_end_msg end = client_ended(&b, BENCH_CLIENT);
        CHECK_EQ(end.exit_code, cases[i / 2].code);
        CHECK(end.hint.len > 0);
        bench_done(&b);
    }
}

/* A full place is asked again when it says so; a new member is asked at once. */
TEST(exec_owner, waits_for_room)
{
    uint8_t out[16];
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_submit(&b, BENCH_CLIENT, &(struct ask){.mode = EXEC_MODE_RUN});
    place_refuses(&b, 1, EXEC_REFUSAL_FULL);
    CHECK_EQ(b.owner->jobs[0]->why, EXEC_WAITING_FULL);
    CHECK(bench_next(&b, EXEC_DGRAM, EXEC_MSG_PROBE) == NULL);
    struct writer w = writer_of(out, sizeof(out));
    exec_free_encode(&(struct exec_free_slots){1}, &w);
    bench_dgram(&b, 1, EXEC_MSG_FREE, 0, &w);
    place_refuses(&b, 1, EXEC_REFUSAL_FULL);
    bench_peer(&b, 2, 4);
    place_grants(&b, 2, 1);
    uint32_t h = place_opened(&b, 2);
    place_ends(&b, h, 0, 1, 0);
    CHECK_EQ(client_ended(&b, BENCH_CLIENT).exit_code, 0);
    bench_done(&b);
}

/* --prefer: a grant of a lesser place waits for the answers of better ones; what is not used is
 * given back. */
TEST(exec_owner, prefer)
{
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_peer(&b, 2, 64);
    bench_peer(&b, 3, 16);
    bench_submit(&b, BENCH_CLIENT, &(struct ask){.mode = EXEC_MODE_RUN, .prefer = "cpu.cores"});
    struct exec_action *p2 = bench_want(&b, EXEC_DGRAM, EXEC_MSG_PROBE);
    struct node_id id = bench_id(2);
    CHECK(node_id_equal(&p2->dgram.to, &id));
    place_grants(&b, 3, 1);
    CHECK(bench_next(&b, EXEC_STREAM_OPEN, 0) == NULL);
    uint8_t out[64];
    struct writer w = writer_of(out, sizeof(out));
    exec_grant_encode(&(struct exec_grant){.n = 1, .reservation = 1}, &w);
    bench_dgram(&b, 2, EXEC_MSG_GRANT, p2->dgram.req_id, &w);
    b.at = 0;
    uint32_t h = place_opened(&b, 2);
    struct exec_action *back = bench_want(&b, EXEC_DGRAM, EXEC_MSG_PROBE);
    struct exec_probe probe;
    id = bench_id(3);
    CHECK(node_id_equal(&back->dgram.to, &id));
    CHECK_OK(exec_probe_decode(back->dgram.body, &probe));
    CHECK_EQ(probe.want, 0);
    place_ends(&b, h, 0, 1, 0);
    bench_done(&b);
}

/* --on by name, lab/name, id and source; wrong names are told at once. */
TEST(exec_owner, on)
{
    char id[ID_TEXT_SIZE];
    struct node_id two = bench_id(2);
    node_id_text(&two, id);
    const struct {
        const char *on;
        uint8_t node, code;
    } cases[] = {
        {"n2", 2, 0},
        {"phys/n2", 2, 0},
        {"source:cam2", 2, 0},
        {"source:phys/cam2", 2, 0},
        {id, 2, 0},
        {id + 4, 2, 0},
        {"n9", 0, 120},
        {"bio/n2", 0, 120},
        {"source:x", 0, 120},
        {"source:cam2@n2", 2, 0},
        {"source:cam2@n1", 0, 120},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bench_init(&b);
        bench_peer(&b, 1, 4);
        bench_peer(&b, 2, 4);
        bench_submit(&b, BENCH_CLIENT, &(struct ask){.mode = EXEC_MODE_RUN, .on = cases[i].on});
        if (cases[i].code == 0) {
            place_grants(&b, cases[i].node, 1);
            CHECK(bench_next(&b, EXEC_DGRAM, EXEC_MSG_PROBE) == NULL);
        } else {
            CHECK_EQ(client_failed(&b).exit_code, cases[i].code);
            CHECK_EQ(b.owner->n_jobs, 0);
        }
        bench_done(&b);
    }
}

/* What is wrong with a command is said before anything begins. */
TEST(exec_owner, wrong_commands)
{
    static const struct ask cases[] = {
        {.mode = EXEC_MODE_RUN, .argv = "echo a b"},
        {.mode = EXEC_MODE_RUN, .range = "1-2"},
        {.mode = EXEC_MODE_MAP},
        {.mode = EXEC_MODE_MAP, .range = "1-2", .flags = EXEC_SUBMIT_STDIN},
        {.mode = EXEC_MODE_MAP, .range = "x"},
        {.mode = EXEC_MODE_MAP, .range = "1-9999999"},
        {.mode = EXEC_MODE_RUN, .where = "cpu.cores >="},
        {.mode = EXEC_MODE_RUN, .prefer = "cpu.cores +"},
        {.mode = EXEC_MODE_RUN, .argv = ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bench_init(&b);
        bench_peer(&b, 1, 4);
        bench_submit(&b, BENCH_CLIENT, &cases[i]);
        struct exec_error e = client_failed(&b);
        CHECK_EQ(e.exit_code, 2);
        CHECK(e.what.len > 0);
        CHECK_EQ(b.owner->n_jobs, 0);
        bench_done(&b);
    }
}

TEST(exec_owner, limit)
{
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_submit(&b, BENCH_CLIENT,
                 &(struct ask){.mode = EXEC_MODE_MAP, .range = "0-9", .limit = 2});
    place_grants(&b, 1, 4);
    uint32_t h = place_opened(&b, 1);
    CHECK_STR(place_claims(&b, h), "0.1=0 1.1=1");
    CHECK_EQ(b.owner->jobs[0]->why, EXEC_WAITING_LINK);
    place_renews(&b, h, (uint32_t[]){0, 1, 1, 1}, 2);
    CHECK_EQ(b.owner->jobs[0]->why, EXEC_WAITING_LIMIT);
    place_ends(&b, h, 0, 1, 0);
    CHECK_STR(place_claims(&b, h), "2.1=2");
    bench_done(&b);
}
