/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/exec_owner.h"

static struct bench b; /* large */

/* A failed task is tried again, anywhere but at its last place. */
TEST(exec_owner_faults, retry_goes_elsewhere)
{
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_peer(&b, 2, 4);
    bench_submit(&b, BENCH_CLIENT,
                 &(struct ask){.mode = EXEC_MODE_MAP, .range = "0-1", .retry = 1});
    place_grants(&b, 1, 1);
    place_grants(&b, 2, 1);
    b.at = 0;
    uint32_t h1 = place_opened(&b, 1);
    uint32_t h2 = place_opened(&b, 2);
    place_ends(&b, h1, 0, 1, 7); /* room at 1, none at 2 */
    CHECK_EQ(b.owner->jobs[0]->tasks[0].state, OWNER_TASK_WAITING);
    CHECK_EQ(b.owner->jobs[0]->tasks[0].n_failed, 1);
    place_ends(&b, h2, 1, 1, 0);
    b.at = 0;
    (void)place_claims(&b, h2);
    CHECK_STR(place_claims(&b, h2), "0.2=0");
    place_ends(&b, h2, 0, 2, 7);
    CHECK_EQ(client_ended(&b, BENCH_CLIENT).exit_code, 1);
    bench_done(&b);
    /* the only place gets it again */
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_submit(&b, BENCH_CLIENT,
                 &(struct ask){.mode = EXEC_MODE_MAP, .range = "0-0", .retry = 1});
    place_grants(&b, 1, 1);
    h1 = place_opened(&b, 1);
    CHECK_STR(place_claims(&b, h1), "0.1=0");
    place_ends(&b, h1, 0, 1, 7);
    CHECK_STR(place_claims(&b, h1), "0.2=0");
    place_ends(&b, h1, 0, 2, 0);
    CHECK_EQ(client_ended(&b, BENCH_CLIENT).exit_code, 0);
    bench_done(&b);
}

/* A broken link is opened again first; what the place still has goes on there. */
TEST(exec_owner_faults, broken_link_resumes)
{
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_submit(&b, BENCH_CLIENT, &(struct ask){.mode = EXEC_MODE_MAP, .range = "0-2"});
    place_grants(&b, 1, 3);
    uint32_t h = place_opened(&b, 1);
    place_renews(&b, h, NULL, 0);
    place_closed(&b, h, IPX_CLOSED);
    CHECK_EQ(b.owner->jobs[0]->n_in[OWNER_TASK_CLAIMED], 3);
    CHECK_EQ(b.owner->jobs[0]->why, EXEC_WAITING_PLACE);
    bench_at(&b, OWNER_REOPEN_MIN_US);
    uint32_t again = place_opened(&b, 1);
    CHECK(again != h);
    place_renews(&b, again, (uint32_t[]){1, 1, 2, 1}, 2); /* it never got task 0 */
    CHECK_EQ(b.owner->jobs[0]->n_in[OWNER_TASK_CLAIMED], 2);
    CHECK_EQ(b.owner->jobs[0]->tasks[0].n_lost, 1);
    place_credits(&b, again, 3);
    CHECK_STR(place_claims(&b, again), "0.2=0");
    place_ends(&b, again, 1, 1, 0);
    place_ends(&b, again, 2, 1, 0);
    place_ends(&b, again, 0, 2, 0);
    CHECK_EQ(client_ended(&b, BENCH_CLIENT).exit_code, 0);
    bench_done(&b);
}

/* A lost place: the owner waits for the end of its claims, a quarter and 5 s more. --pure does not.
 */
TEST(exec_owner_faults, lost_place)
{
    for (int pure = 0; pure < 2; pure++) {
        bench_init(&b);
        bench_peer(&b, 1, 4);
        bench_submit(&b, BENCH_CLIENT,
                     &(struct ask){.mode = EXEC_MODE_MAP,
                                   .range = "0-0",
                                   .flags = pure ? EXEC_SUBMIT_PURE : 0});
        place_grants(&b, 1, 1);
        uint32_t h = place_opened(&b, 1);
        place_renews(&b, h, NULL, 0);
        bench_gone(&b, 1);
        if (!pure) {
            place_closed(&b, h, IPX_CLOSED);
        } else {
            CHECK(core_stream_find(b.core, h) == NULL);
        }
        bench_peer(&b, 3, 4);
        if (!pure) {
            bench_at(&b, 23 * US_PER_S);
            CHECK_EQ(b.owner->jobs[0]->n_in[OWNER_TASK_CLAIMED], 1);
            bench_at(&b, US_PER_S);
        }
        place_grants(&b, 3, 1);
        h = place_opened(&b, 3);
        CHECK_STR(place_claims(&b, h), "0.2=0");
        CHECK_EQ(b.owner->jobs[0]->tasks[0].n_lost, 1);
        CHECK_EQ(b.owner->jobs[0]->tasks[0].n_failed, 0);
        place_ends(&b, h, 0, 2, 0);
        struct exec_end_msg end = client_ended(&b, BENCH_CLIENT);
        CHECK_EQ(end.exit_code, 0);
        CHECK_EQ(end.progress.n_moved, 1);
        bench_done(&b);
    }
}

/* A place that is silent on an open link is lost when its claims have ended. */
TEST(exec_owner_faults, silent_place)
{
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_submit(&b, BENCH_CLIENT, &(struct ask){.mode = EXEC_MODE_MAP, .range = "0-0"});
    place_grants(&b, 1, 1);
    uint32_t h = place_opened(&b, 1);
    place_renews(&b, h, NULL, 0);
    bench_at(&b, 20 * US_PER_S);
    place_renews(&b, h, (uint32_t[]){0, 1}, 1);
    bench_at(&b, 23 * US_PER_S);
    CHECK_EQ(b.owner->jobs[0]->n_in[OWNER_TASK_CLAIMED], 1);
    bench_at(&b, US_PER_S);
    CHECK_EQ(b.owner->jobs[0]->tasks[0].n_lost, 1);
    CHECK(core_stream_find(b.core, h) == NULL);
    bench_done(&b);
}

/* Sixteen lost places are enough. */
TEST(exec_owner_faults, lost_too_often)
{
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_submit(&b, BENCH_CLIENT,
                 &(struct ask){.mode = EXEC_MODE_MAP, .range = "0-0", .flags = EXEC_SUBMIT_PURE});
    for (uint32_t i = 0; i < EXEC_LOST_MAX; i++) {
        place_grants(&b, 1, 1);
        uint32_t h = place_opened(&b, 1);
        place_renews(&b, h, NULL, 0);
        place_closed(&b, h, IPX_CLOSED);
    }
    CHECK_EQ(client_ended(&b, BENCH_CLIENT).exit_code, 1);
    CHECK_EQ(b.owner->jobs[0]->tasks[0].end, EXEC_END_LOST);
    bench_done(&b);
}

/* The first result that counts wins; a later one is acknowledged and dropped. */
TEST(exec_owner_faults, late_results)
{
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_peer(&b, 3, 4);
    bench_submit(&b, BENCH_CLIENT,
                 &(struct ask){.mode = EXEC_MODE_MAP, .range = "0-1", .flags = EXEC_SUBMIT_PURE});
    place_grants(&b, 1, 2);
    uint32_t req_3 = bench_want(&b, EXEC_DGRAM, EXEC_MSG_PROBE)->dgram.req_id;
    uint32_t h1 = place_opened(&b, 1), from = b.n_got;
    place_renews(&b, h1, NULL, 0);
    place_closed(&b, h1, IPX_CLOSED);
    uint8_t out[64];
    struct writer w = writer_of(out, sizeof(out));
    exec_grant_encode(&(struct exec_grant){.n = 2, .reservation = 1}, &w);
    bench_dgram(&b, 3, EXEC_MSG_GRANT, req_3, &w);
    uint32_t h3 = place_opened(&b, 3);
    CHECK_STR(place_claims(&b, h3), "1.2=1 0.2=0");
    struct owner_job *j = b.owner->jobs[0];
    place_ends(&b, h3, 1, 2, 0);
    CHECK_EQ(j->tasks[1].state, OWNER_TASK_DONE);
    place_ends(&b, h3, 1, 2, 0); /* twice */
    place_ends(&b, h3, 0, 1, 0); /* a result of an attempt it never had: acknowledged, dropped */
    bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_RESULT_ACK);
    CHECK_EQ(j->tasks[0].state, OWNER_TASK_CLAIMED);
    /* 1 comes back with both old attempts: task 1 is done, task 0 may still be first there */
    struct node_id one = bench_id(1);
    struct owner_seat *s = seat_find(j, &one);
    CHECK_EQ(s->state, OWNER_SEAT_ASKED);
    place_credits(&b, h3, 0);
    place_refuse(&b, h3, 0, 2);
    w = writer_of(out, sizeof(out));
    exec_grant_encode(&(struct exec_grant){.n = 1, .reservation = 1}, &w);
    bench_dgram(&b, 1, EXEC_MSG_GRANT, s->req_id, &w);
    h1 = place_opened(&b, 1);
    CHECK_STR(place_claims(&b, h1), "0.3=0");
    place_renews(&b, h1, (uint32_t[]){0, 1, 1, 1}, 2);
    struct exec_cancel cancel;
    CHECK_OK(
        exec_cancel_decode(bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_CANCEL)->send.body, &cancel));
    CHECK_EQ(cancel.id.task, 1);
    place_ends(&b, h1, 0, 1, 5); /* a late failure does not end a newer attempt */
    CHECK_EQ(j->tasks[0].state, OWNER_TASK_CLAIMED);
    place_ends(&b, h1, 0, 1, 0); /* a late success does */
    CHECK_EQ(j->tasks[0].state, OWNER_TASK_DONE);
    CHECK_STR(client_seen(&b, from), "#1 #0 ");
    CHECK_EQ(b.owner->stats.n_late_results, 4);
    bench_done(&b);
}

/* Once output was shown a lost place ends a run; a pure one begins anew and shows nothing twice. */
TEST(exec_owner_faults, lost_place_of_a_run)
{
    for (int pure = 0; pure < 2; pure++) {
        bench_init(&b);
        bench_peer(&b, 1, 4);
        bench_submit(&b, BENCH_CLIENT,
                     &(struct ask){.mode = EXEC_MODE_RUN,
                                   .flags = EXEC_SUBMIT_STDIN | (pure ? EXEC_SUBMIT_PURE : 0)});
        place_grants(&b, 1, 1);
        uint32_t h = place_opened(&b, 1), from = b.n_got;
        place_renews(&b, h, (uint32_t[]){0, 1}, 1);
        uint8_t out[64];
        struct writer w = writer_of(out, sizeof(out));
        exec_input_encode(&(struct exec_input){slice_text("in"), true}, &w);
        client_says(&b, BENCH_CLIENT, EXEC_MSG_INPUT, &w);
        struct exec_bytes in;
        CHECK_OK(
            exec_bytes_decode(bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_STDIN)->send.body, &in));
        CHECK(in.end && in.offset == 0 && slice_equal(in.bytes, slice_text("in")));
        w = writer_of(out, sizeof(out));
        exec_ack_encode(&(struct exec_ack){{0, 1}, 0, 2}, &w);
        place_says(&b, h, EXEC_MSG_STDIN_ACK, &w);
        bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_INPUT_ACK);
        place_writes(&b, h, 0, 1, 1, 0, "abc");
        place_closed(&b, h, IPX_CLOSED);
        if (!pure) {
            bench_gone(&b, 1);
            bench_at(&b, 24 * US_PER_S);
            struct exec_end_msg end = client_ended(&b, BENCH_CLIENT);
            CHECK_EQ(end.exit_code, 125);
            CHECK_EQ(end.end, EXEC_END_LOST);
            CHECK(end.hint.len > 0);
        } else {
            place_grants(&b, 1, 1);
            h = place_opened(&b, 1);
            CHECK_STR(place_claims(&b, h), "0.2");
            place_renews(&b, h, (uint32_t[]){0, 2}, 1);
            CHECK_OK(exec_bytes_decode(bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_STDIN)->send.body,
                                       &in));
            CHECK(in.end && in.offset == 0 && slice_equal(in.bytes, slice_text("in")));
            place_writes(&b, h, 0, 2, 1, 0, "abcd");
            place_ends(&b, h, 0, 2, 0);
            CHECK_STR(client_seen(&b, from), "0:abc 0:d #0 ");
            CHECK_EQ(client_ended(&b, BENCH_CLIENT).exit_code, 0);
        }
        bench_done(&b);
    }
}

/* More than the window, or a gap, is a broken place. */
TEST(exec_owner_faults, output_window)
{
    static char chunk[EXEC_CHUNK_MAX + 1];
    memset(chunk, 'y', EXEC_CHUNK_MAX);
    for (int gap = 0; gap < 2; gap++) {
        bench_init(&b);
        bench_peer(&b, 1, 4);
        bench_submit(&b, BENCH_CLIENT, &(struct ask){.mode = EXEC_MODE_RUN});
        place_grants(&b, 1, 1);
        uint32_t h = place_opened(&b, 1);
        place_renews(&b, h, NULL, 0);
        if (gap) {
            place_writes(&b, h, 0, 1, 2, 1, "x");
        } else {
            for (uint32_t i = 0; i < EXEC_WINDOW / EXEC_CHUNK_MAX; i++) {
                place_writes(&b, h, 0, 1, 1, (uint64_t)i * EXEC_CHUNK_MAX, chunk);
            }
            CHECK(core_stream_find(b.core, h) != NULL);
            place_writes(&b, h, 0, 1, 1, EXEC_WINDOW, "x");
        }
        CHECK(core_stream_find(b.core, h) == NULL);
        CHECK_EQ(b.core->n_malformed, 1);
        bench_done(&b);
    }
}
