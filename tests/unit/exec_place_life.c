/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/place_world.h"

#define H1 0x80000001u
#define H2 0x80000002u

static struct world w;

static uint64_t sum_of_output(uint32_t *ret_n)
{
    struct world_entry *e;
    uint64_t sum = 0;
    *ret_n = 0;
    while ((e = world_sent(&w, EXEC_MSG_OUTPUT)) != NULL) {
        struct exec_bytes m;
        CHECK_OK(exec_bytes_decode(e->body, &m));
        sum += m.bytes.len;
        (*ret_n)++;
    }
    return sum;
}

TEST(exec_place_life, streamed_output_stops_at_the_window)
{
    static uint8_t chunk[65536];
    struct world_job j = world_run_of(1);
    struct exec_result r;
    uint32_t n;
    uint64_t got = 0, made = 0;
    world_init(&w, 2);
    world_send_job(&w, H1, &j);
    world_claim(&w, H1, &j, 0, 1);
    uint64_t attempt = world_started(&w);
    CHECK(world_sent(&w, EXEC_MSG_STARTED) != NULL);
    CHECK(world_take(&w, EXEC_READ_MORE, 0) != NULL); /* fd 1 */
    CHECK(world_take(&w, EXEC_READ_MORE, 0) != NULL); /* fd 2 */
    do {
        place_on_output(w.place, w.now_us, attempt, 1, slice_of(chunk, sizeof(chunk)), false);
        made += sizeof(chunk);
    } while (world_take(&w, EXEC_READ_MORE, 0) != NULL);
    CHECK_EQ(made, EXEC_WINDOW);
    got += sum_of_output(&n);
    CHECK_EQ(got, EXEC_WINDOW);
    CHECK_EQ(n, EXEC_WINDOW / EXEC_CHUNK_MAX);
    /* what was acknowledged makes room; the end waits for the rest */
    world_out_ack(&w, H1, 0, 1, 100000);
    CHECK(world_take(&w, EXEC_READ_MORE, 0) != NULL);
    place_on_output(w.place, w.now_us, attempt, 1, slice_of(chunk, sizeof(chunk)), false);
    place_on_output(w.place, w.now_us, attempt, 1, slice_of(chunk, sizeof(chunk)), true);
    made += 2 * sizeof(chunk);
    world_exit(&w, attempt, 3, 0);
    got += sum_of_output(&n);
    CHECK_EQ(got, EXEC_WINDOW + 100000);
    CHECK(!world_result(&w, &r));
    world_out_ack(&w, H1, 0, 1, got);
    got += sum_of_output(&n);
    CHECK_EQ(got, made);
    CHECK(world_result(&w, &r));
    CHECK_EQ(r.out_len, made);
    CHECK_EQ(r.code, 3);
    /* more acknowledged than was ever there */
    world_out_ack(&w, H1, 0, 1, made + 1);
    CHECK(world_take(&w, EXEC_STREAM_CLOSE, 0) != NULL);
    world_done(&w);
}

TEST(exec_place_life, a_broken_link_loses_nothing)
{
    struct world_job j = world_run_of(1);
    struct exec_attempts renew;
    struct exec_result r;
    struct exec_bytes m;
    world_init(&w, 2);
    world_send_job(&w, H1, &j);
    world_claim(&w, H1, &j, 0, 1);
    uint64_t attempt = world_started(&w);
    place_on_output(w.place, w.now_us, attempt, 1, slice_text("first second "), false);
    world_out_ack(&w, H1, 0, 1, 6);
    CHECK(place_on_stream_closed(w.place, w.now_us, H1, IPX_CLOSED));
    world_until(&w, w.now_us + 3 * US_PER_S);
    place_on_output(w.place, w.now_us, attempt, 1, slice_text("third"), false);
    world_exit(&w, attempt, 0, 0);
    CHECK(!world_result(&w, &r));
    world_clear(&w);
    world_send_job(&w, H2, &j);
    CHECK_OK(exec_attempts_decode(world_sent(&w, EXEC_MSG_RENEW)->body, &renew));
    CHECK_EQ(renew.n, 1);
    CHECK_OK(exec_bytes_decode(world_sent(&w, EXEC_MSG_OUTPUT)->body, &m));
    CHECK_EQ(m.offset, 6);
    CHECK(slice_equal(m.bytes, slice_text("second third")));
    CHECK(world_result(&w, &r));
    CHECK_EQ(r.out_len, 18);
    /* the ack comes on yet another stream: told again until then */
    place_on_stream_closed(w.place, w.now_us, H2, IPX_CLOSED);
    world_send_job(&w, H1, &j);
    CHECK(world_sent(&w, EXEC_MSG_OUTPUT) != NULL);
    CHECK(world_result(&w, &r));
    world_result_ack(&w, H1, 0);
    CHECK(place_is_idle(w.place));
    world_done(&w);
}

TEST(exec_place_life, a_claim_ends_by_the_places_clock)
{
    struct world_job j = world_job_of(1);
    struct exec_attempts renew;
    struct exec_result r;
    world_init(&w, 1);
    world_send_job(&w, H1, &j);
    world_claim(&w, H1, &j, 0, 2);
    uint64_t attempt = world_started(&w), begin_us = w.now_us;
    world_clear(&w);
    for (int i = 1; i <= 6; i++) { /* renewed each 5 s for half a minute */
        world_until(&w, begin_us + (uint64_t)i * EXEC_RENEW_US);
        CHECK_OK(exec_attempts_decode(world_sent(&w, EXEC_MSG_RENEW)->body, &renew));
        CHECK_EQ(renew.n, 2);
        world_renewed(&w, H1, renew.stamp);
    }
    CHECK(world_take(&w, EXEC_KILL, 0) == NULL);
    world_renewed(&w, H1, renew.stamp + 1); /* a mark that was never made */
    uint64_t end_us = renew.stamp + EXEC_CLAIM_US;
    world_until(&w, end_us - 1);
    CHECK(world_take(&w, EXEC_KILL, 0) == NULL);
    world_until(&w, end_us);
    struct world_entry *e = world_take(&w, EXEC_KILL, 0);
    CHECK(e != NULL);
    CHECK_EQ(e->action.kill.signal, 9);
    world_exit(&w, attempt, 0, 9);
    CHECK(world_take(&w, EXEC_SPAWN, 0) == NULL); /* the queued one is over too */
    CHECK(world_result(&w, &r));
    CHECK_EQ(r.end, EXEC_END_CLAIM);
    world_until(&w, end_us + 59 * US_PER_S);
    CHECK(!place_is_idle(w.place));
    world_until(&w, end_us + 61 * US_PER_S);
    CHECK(place_is_idle(w.place)); /* nobody fetched it */
    world_done(&w);
}

TEST(exec_place_life, signals_and_time)
{
    struct world_job j = world_run_of(1);
    struct exec_result r;
    /* cancelled while queued, while starting, while running and deaf, and after its end */
    world_init(&w, 1);
    j.mode = EXEC_MODE_MAP;
    j.count = 4;
    world_send_job(&w, H1, &j);
    world_claim(&w, H1, &j, 0, 3);
    world_cancel(&w, H1, 2, 15);
    CHECK(world_result(&w, &r));
    CHECK_EQ(r.task, 2);
    CHECK_EQ(r.end, EXEC_END_CANCELLED);
    world_cancel(&w, H1, 0, 15);
    CHECK(world_take(&w, EXEC_KILL, 0) == NULL);
    uint64_t attempt = world_started(&w);
    CHECK_EQ(world_take(&w, EXEC_KILL, 0)->action.kill.signal, 15);
    world_until(&w, w.now_us + 2 * US_PER_S);
    CHECK_EQ(world_take(&w, EXEC_KILL, 0)->action.kill.signal, 9);
    world_exit(&w, attempt, 0, 9);
    CHECK(world_result(&w, &r));
    CHECK_EQ(r.end, EXEC_END_CANCELLED);
    CHECK_EQ(r.signal, 9);
    world_cancel(&w, H1, 0, 9);
    CHECK(world_take(&w, EXEC_KILL, 0) == NULL);
    attempt = world_started(&w);
    world_cancel(&w, H1, 1, 15); /* one that ends by itself has the code it gave */
    world_exit(&w, attempt, 7, 0);
    CHECK(world_result(&w, &r));
    CHECK_EQ(r.end, EXEC_END_EXIT);
    CHECK_EQ(r.code, 7);
    world_done(&w);
    /* --time */
    world_init(&w, 1);
    j = world_run_of(1);
    j.needs.time_us = 3 * US_PER_S;
    world_send_job(&w, H1, &j);
    world_claim(&w, H1, &j, 0, 1);
    attempt = world_started(&w);
    world_until(&w, w.now_us + 3 * US_PER_S);
    CHECK_EQ(world_take(&w, EXEC_KILL, 0)->action.kill.signal, 15);
    world_until(&w, w.now_us + 2 * US_PER_S);
    CHECK_EQ(world_take(&w, EXEC_KILL, 0)->action.kill.signal, 9);
    world_exit(&w, attempt, 0, 9);
    CHECK(world_result(&w, &r));
    CHECK_EQ(r.end, EXEC_END_TIME);
    CHECK_EQ(exec_end_code(r.end, r.code, r.signal), 124);
    world_done(&w);
}

TEST(exec_place_life, what_cannot_start)
{
    static const struct {
        enum ipx_err err;
        enum exec_end end;
    } cases[] = {{IPX_NOT_FOUND, EXEC_END_NOT_FOUND},
                 {IPX_DENIED, EXEC_END_CANNOT_RUN},
                 {IPX_IO, EXEC_END_IPX}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world_job j = world_job_of(1);
        struct exec_result r;
        world_init(&w, 1);
        world_send_job(&w, H1, &j);
        world_claim(&w, H1, &j, 0, 1);
        struct world_entry *e = world_take(&w, EXEC_SPAWN, 0);
        place_on_started(w.place, w.now_us, e->action.spawn.attempt, cases[i].err);
        CHECK(world_result(&w, &r));
        CHECK_EQ(r.end, cases[i].end);
        world_done(&w);
    }
}

TEST(exec_place_life, stdin_goes_byte_for_byte)
{
    static uint8_t big[EXEC_CHUNK_MAX];
    struct world_job j = world_run_of(1);
    struct exec_ack ack;
    world_init(&w, 1);
    j.stdin_kind = EXEC_STDIN_CLIENT;
    world_send_job(&w, H1, &j);
    world_claim(&w, H1, &j, 0, 1);
    world_stdin(&w, H1, 0, slice_text("abc"), false); /* before it has started */
    CHECK(world_take(&w, EXEC_STDIN, 0) == NULL);
    uint64_t attempt = world_started(&w);
    CHECK(slice_equal(world_take(&w, EXEC_STDIN, 0)->body, slice_text("abc")));
    world_stdin(&w, H1, 1, slice_text("bcdef"), true); /* told again behind a break, and more */
    CHECK(world_take(&w, EXEC_STDIN, 0) == NULL);      /* one at a time */
    place_on_stdin_taken(w.place, w.now_us, attempt);
    CHECK(slice_equal(world_take(&w, EXEC_STDIN, 0)->body, slice_text("def")));
    CHECK_OK(exec_ack_decode(world_sent(&w, EXEC_MSG_STDIN_ACK)->body, &ack));
    CHECK_EQ(ack.offset, 3);
    CHECK(world_take(&w, EXEC_STDIN_EOF, 0) == NULL);
    place_on_stdin_taken(w.place, w.now_us, attempt);
    CHECK(world_take(&w, EXEC_STDIN_EOF, 0) != NULL);
    world_exit(&w, attempt, 0, 0);
    world_done(&w);
    /* a gap, and more than the window, break the stream */
    for (int i = 0; i < 2; i++) {
        world_init(&w, 1);
        world_send_job(&w, H1, &j);
        world_claim(&w, H1, &j, 0, 1);
        world_stdin(&w, H1, (uint64_t)i * 5, slice_of(big, sizeof(big)), false);
        for (uint32_t k = 1; i == 0 && k < EXEC_WINDOW / sizeof(big); k++) {
            world_stdin(&w, H1, (uint64_t)k * sizeof(big), slice_of(big, sizeof(big)), false);
        }
        CHECK_EQ(world_take(&w, EXEC_STREAM_CLOSE, 0) != NULL, i == 1);
        if (i == 0) {
            world_stdin(&w, H1, EXEC_WINDOW, slice_text("x"), false);
            CHECK(world_take(&w, EXEC_STREAM_CLOSE, 0) != NULL);
        }
        world_done(&w);
    }
}

/* Answers STORE and LOAD of one object, as a spool would. */
struct spool {
    uint8_t bytes[600000];
    size_t len;
};
static struct spool spool[2];

static void spool_serve(enum ipx_err err)
{
    struct world_entry *e;
    while ((e = world_take(&w, EXEC_STORE, 0)) != NULL) {
        struct spool *s = &spool[e->action.store.object & 1];
        memcpy(s->bytes + s->len, e->body.data, e->body.len);
        s->len += e->body.len;
        place_on_stored(w.place, w.now_us, e->action.store.object, err);
    }
    while ((e = world_take(&w, EXEC_LOAD, 0)) != NULL) {
        const struct exec_action_store *l = &e->action.store;
        const struct spool *s = &spool[l->object & 1];
        CHECK(l->offset < s->len && (l->object & CORE_OBJECT_PLACE) != 0);
        place_on_loaded(w.place, w.now_us, l->object, l->offset,
                        slice_of(s->bytes + l->offset, IPX_MIN(l->len, s->len - l->offset)));
        CHECK(l->len <= EXEC_CHUNK_MAX);
    }
}

TEST(exec_place_life, large_captured_output_goes_by_the_store)
{
    static uint8_t chunk[60000];
    struct world_job j = world_job_of(1);
    struct exec_result r;
    uint32_t n;
    world_init(&w, 1);
    spool[0].len = spool[1].len = 0;
    for (size_t i = 0; i < sizeof(chunk); i++) {
        chunk[i] = (uint8_t)(i * 7);
    }
    world_send_job(&w, H1, &j);
    world_claim(&w, H1, &j, 0, 1);
    uint64_t attempt = world_started(&w);
    place_on_output(w.place, w.now_us, attempt, 2, slice_text("warning"), false);
    place_on_output(w.place, w.now_us, attempt, 1, slice_of(chunk, 1000), false);
    for (int i = 0; i < 5; i++) {
        place_on_output(w.place, w.now_us, attempt, 1, slice_of(chunk, sizeof(chunk)), false);
        spool_serve(IPX_OK);
    }
    place_on_output(w.place, w.now_us, attempt, 1, slice_of(chunk, 500), false);
    world_exit(&w, attempt, 0, 0);
    CHECK(!world_result(&w, &r)); /* one STORE is not answered yet */
    spool_serve(IPX_OK);
    CHECK(world_result(&w, &r));
    CHECK_EQ(r.out_len, 301500);
    CHECK_EQ(r.err_len, 7);
    CHECK_EQ(r.out.len + r.err.len, 0);
    uint64_t sum = 0;
    for (int i = 0; i < 30; i++) {
        spool_serve(IPX_OK);
        sum += sum_of_output(&n);
    }
    CHECK_EQ(sum, EXEC_WINDOW);
    world_out_ack(&w, H1, 0, 1, sum);
    for (int i = 0; i < 30; i++) {
        spool_serve(IPX_OK);
        sum += sum_of_output(&n);
    }
    CHECK_EQ(sum, 301507);
    /* the link breaks before the ack: whole again from the begin */
    place_on_stream_closed(w.place, w.now_us, H1, IPX_CLOSED);
    world_clear(&w);
    world_send_job(&w, H2, &j);
    CHECK(world_result(&w, &r));
    sum = 0;
    for (int i = 0; i < 30; i++) {
        spool_serve(IPX_OK);
        sum += sum_of_output(&n);
    }
    CHECK_EQ(sum, EXEC_WINDOW);
    world_result_ack(&w, H2, 0);
    CHECK(world_take(&w, EXEC_DROP, 0) != NULL);
    CHECK(place_is_idle(w.place));
    world_done(&w);
}

TEST(exec_place_life, a_full_spool_and_a_lost_object)
{
    static uint8_t chunk[60000];
    struct world_job j = world_job_of(1);
    struct exec_result r;
    for (int i = 0; i < 2; i++) {
        world_init(&w, 1);
        spool[0].len = spool[1].len = 0;
        world_send_job(&w, H1, &j);
        world_claim(&w, H1, &j, 0, 1);
        uint64_t attempt = world_started(&w);
        place_on_output(w.place, w.now_us, attempt, 1, slice_of(chunk, sizeof(chunk)), false);
        spool_serve(i == 0 ? IPX_FULL : IPX_OK);
        CHECK_EQ(world_take(&w, EXEC_KILL, 0) != NULL, i == 0);
        place_on_output(w.place, w.now_us, attempt, 1, slice_of(chunk, 10), false);
        spool_serve(IPX_OK);
        world_exit(&w, attempt, 0, i == 0 ? 9 : 0);
        CHECK(world_result(&w, &r));
        CHECK_EQ(r.end, i == 0 ? EXEC_END_SPOOL : EXEC_END_EXIT);
        CHECK_EQ(r.out_len, i == 0 ? 0 : 60010);
        if (i == 1) {
            struct world_entry *e = world_take(&w, EXEC_LOAD, 0);
            place_on_loaded(w.place, w.now_us, e->action.store.object, 0, SLICE_EMPTY);
            /* it never ran here, as the owner learns when it opens the stream again */
            CHECK(world_take(&w, EXEC_STREAM_CLOSE, 0) != NULL);
            CHECK(place_is_idle(w.place));
        }
        CHECK(world_take(&w, EXEC_DROP, 0) != NULL);
        world_done(&w);
    }
}

TEST(exec_place_life, the_owner_ends_the_job)
{
    struct world_job j = world_job_of(1);
    struct exec_attempts renew;
    struct exec_result r;
    world_init(&w, 2);
    world_send_job(&w, H1, &j);
    world_claim(&w, H1, &j, 0, 5);
    uint64_t attempt = world_started(&w);
    struct world_entry *e = world_take(&w, EXEC_SPAWN, 0); /* this one is still starting */
    uint64_t starting = e->action.spawn.attempt;
    place_on_stream_closed(w.place, w.now_us, H1, IPX_OK);
    world_turn(&w);
    CHECK_EQ(world_take(&w, EXEC_KILL, 0)->action.kill.attempt, attempt);
    world_clear(&w);
    world_send_job(&w, H2, &j); /* the same job comes again: what is being killed is not told */
    CHECK_OK(exec_attempts_decode(world_sent(&w, EXEC_MSG_RENEW)->body, &renew));
    CHECK_EQ(renew.n, 0);
    place_on_started(w.place, w.now_us, starting, IPX_OK);
    CHECK_EQ(world_take(&w, EXEC_KILL, 0)->action.kill.attempt, starting);
    world_exit(&w, starting, 0, 9);
    world_exit(&w, attempt, 0, 9);
    CHECK(!world_result(&w, &r));
    CHECK(place_is_idle(w.place));
    world_done(&w);
}
