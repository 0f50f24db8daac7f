/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/source_world.h"

TEST(exec_source_tap, a_tap_survives_a_broken_link)
{
    begin();
    uint32_t h =
        publish_with((struct source_publish){.name = slice_text("wx"), .ring_frames = 100});
    uint32_t t = tap((struct source_tap){.credit = {1 << 20, 400}}, "wx");
    frames(h, 0, 10, 0);
    CHECK_STR(heard(t), "O 0-9 ");
    cut();
    frames(h, 10, 5, 0);
    until(now_us + 3 * US_PER_S);
    CHECK_STR(heard(t), "");
    is_cut = false;
    until(now_us + 3 * US_PER_S);
    CHECK_STR(heard(t), "10-14 h ");
    cut(); /* longer than the ring can bridge */
    frames_in_turns(h, 15, 200);
    is_cut = false;
    until(now_us + US_PER_S);
    CHECK_STR(heard(t), "g15-114v 115-214 ");
    frames_in_turns(h, 215, 300); /* the credit is the client's, whatever the streams did */
    const char *text = heard(t);
    CHECK(strlen(text) > 0 && strstr(text, "g") == NULL);
    CHECK_STR(text + strlen(text) - 8, "495-499 "); /* of 400 in all 115 had come */
    finish();
}

TEST(exec_source_tap, a_publisher_that_comes_back_is_another_epoch)
{
    struct source_opened o;
    begin();
    uint32_t h = publish("wx"), t = tap((struct source_tap){0}, "wx");
    frames(h, 0, 10, 0);
    turn();
    CHECK_OK(source_opened_decode(take(t)->body, &o));
    uint64_t epoch = o.epoch;
    CHECK_STR(heard(t), "0-9 ");
    cut(); /* the node of the publisher dies and is started again, without the source at first */
    exec_free(node[0]);
    node[0] = node_make(0);
    gossip();
    is_cut = false;
    until(now_us + 5 * US_PER_S);
    CHECK_STR(heard(t), "");
    h = publish("wx");
    frames(h, 0, 3, 0);
    until(now_us + 3 * US_PER_S);
    CHECK_OK(source_opened_decode(take(t)->body, &o));
    CHECK(o.epoch > epoch);
    CHECK_EQ(o.next, 0);
    CHECK_STR(heard(t), "0-2 h ");
    cut();
    until(now_us + 40 * US_PER_S); /* and once more, for good */
    CHECK_STR(heard(t), "E27 .");
    finish();
}

TEST(exec_source_tap, a_reader_that_goes_lets_the_publisher_go_on)
{
    begin();
    uint32_t h =
        publish_with((struct source_publish){.name = slice_text("wx"), .ring_bytes = 100000});
    uint32_t t = tap((struct source_tap){.credit = {1, 1}}, "wx");
    frames(h, 0, 20, 1000);
    turn();
    while (take(h)->bytes != NULL) {
    }
    frames(h, 20, 30, 1000);
    turn();
    exec_on_client_closed(node[1], now_us, t);
    turn();
    struct entry *e = take(h);
    CHECK_EQ(e->type, SOURCE_MSG_CREDIT);
    /* too much from a publisher ends it */
    for (uint64_t i = 0; i < 60; i++) {
        frames(h, 50 + i * 100, 100, 1000);
    }
    bool was_ended = false;
    for (e = take(h); e->bytes != NULL; e = take(h)) {
        was_ended = was_ended || e->type == SOURCE_MSG_ERROR;
    }
    CHECK(was_ended);
    finish();
}

TEST(exec_source_tap, a_task_reads_lines_until_the_source_ends)
{
    task_begin();
    uint32_t h = publish("wx"), c = submit("wx");
    until(now_us + US_PER_S);
    CHECK(task_attempt != 0);
    frames(h, 0, 3, 0);
    turn();
    CHECK_EQ(task_stdin_len, 6);
    CHECK_MEM(task_stdin, "0\n1\n2\n", 6);
    cut(); /* the link breaks: it goes on behind what it had */
    is_cut = false;
    frames(h, 3, 2, 0);
    until(now_us + US_PER_S);
    CHECK_MEM(task_stdin, "0\n1\n2\n3\n4\n", 10);
    CHECK(!task_eof);
    exec_on_client_closed(node[0], now_us, h);
    turn();
    CHECK(task_eof);
    exec_on_output(node[1], now_us, task_attempt, 1, SLICE_EMPTY, true);
    exec_on_output(node[1], now_us, task_attempt, 2, SLICE_EMPTY, true);
    exec_on_exit(node[1], now_us, task_attempt, 0, 0, 1);
    until(now_us + US_PER_S);
    struct exec_end_msg end = {.exit_code = 99};
    for (struct entry *e = take(c); e->bytes != NULL; e = take(c)) {
        if (e->type == EXEC_MSG_END) {
            CHECK_OK(exec_end_decode(e->body, &end));
        }
    }
    CHECK_EQ(end.exit_code, 0);
    CHECK(exec_is_idle(node[1]));
    finish();
}

TEST(exec_source_tap, a_slow_task_holds_the_publisher)
{
    uint64_t sent = 0, taken = 0;
    struct source_credit credit_now = {0, 0};
    task_begin();
    uint32_t h = publish_with((struct source_publish){
        .name = slice_text("wx"), .framing = SOURCE_FRAMING_LENGTH, .ring_bytes = 400000});
    submit("wx");
    task_is_slow = true;
    until(now_us + US_PER_S);
    CHECK(task_attempt != 0);
    for (int i = 0; i < 1000; i++) {
        for (struct entry *e = take(h); e->bytes != NULL; e = take(h)) {
            if (e->type == SOURCE_MSG_CREDIT) {
                CHECK_OK(source_credit_decode(e->body, &credit_now));
            }
        }
        if (taken >= credit_now.bytes) {
            break;
        }
        frames(h, sent, 1, 10000);
        taken += 10008;
        sent++;
    }
    CHECK(taken >= credit_now.bytes && sent < 70 && sent > 40); /* its window, and the ring's */
    CHECK_EQ(load_be32(task_stdin), 10000);
    CHECK_EQ(task_stdin_len, 10004);
    exec_on_stdin_taken(node[1], now_us, task_attempt);
    turn();
    CHECK_EQ(task_stdin_len, 10004 + EXEC_CHUNK_MAX);
    finish();
}

TEST(exec_source_tap, a_task_whose_source_cannot_be_had)
{
    task_begin();
    uint32_t h = publish("wx"), c = submit("wx");
    exec_on_client_closed(node[0], now_us, h); /* it ends before the task begins */
    is_cut = true;
    until(now_us + 20 * US_PER_S);
    CHECK(task_attempt != 0);
    exec_on_output(node[1], now_us, task_attempt, 1, SLICE_EMPTY, true);
    exec_on_output(node[1], now_us, task_attempt, 2, SLICE_EMPTY, true);
    exec_on_exit(node[1], now_us, task_attempt, 0, 9, 1);
    until(now_us + US_PER_S);
    struct exec_end_msg end = {.exit_code = 99};
    for (struct entry *e = take(c); e->bytes != NULL; e = take(c)) {
        if (e->type == EXEC_MSG_END) {
            CHECK_OK(exec_end_decode(e->body, &end));
        }
    }
    CHECK_EQ(end.exit_code, 125);
    finish();
}

TEST(exec_source_tap, hostile_bytes)
{
    begin();
    uint32_t h = client(1);
    struct writer w = writer_of(scratch, sizeof(scratch));
    writer_u8(&w, 0xff);
    tell(1, h, SOURCE_MSG_TAP, &w);
    CHECK_STR(heard(h), "!1 .");
    h = client(1);
    tell(1, h, 5, &w);
    CHECK_STR(heard(h), "!1 .");
    exec_on_source_client(node[1], now_us, ++next_handle, "bob", 0);
    h = next_handle;
    tell(1, h, SOURCE_MSG_TAP, &w);
    CHECK_STR(heard(h), "!1 .");
    exec_on_stream(node[0], now_us, &facts[1], ++next_handle, 3);
    h = next_handle;
    exec_on_stream_message(node[0], now_us, h, SOURCE_MSG_TAP, writer_slice(&w));
    turn();
    struct entry *e = take(h);
    CHECK_EQ(e->type, SOURCE_MSG_END);
    CHECK_EQ(take(h)->type, 0);
    finish();
}
