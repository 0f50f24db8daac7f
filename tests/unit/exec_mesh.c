/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/exec_net.h"

/* Every task of a map is told of once, with the output of one whole attempt, whatever happens. */

static void net_submit(enum exec_mode mode, const char *word, const char *range, uint32_t flags,
                       uint32_t retry)
{
    uint8_t out[512], argv[64];
    struct writer w = writer_of(argv, sizeof(argv));
    cbor_put_array(&w, mode == EXEC_MODE_MAP ? 2 : 1);
    cbor_put_bytes(&w, slice_text(word));
    if (mode == EXEC_MODE_MAP) {
        cbor_put_bytes(&w, slice_text("out-{}"));
    }
    struct cbor_reader r = cbor_reader_of(writer_slice(&w));
    struct exec_submit m = {.mode = mode,
                            .flags = flags,
                            .retry = retry,
                            .argv = exec_list_read(&r, 4, 64),
                            .range = slice_text(range)};
    w = writer_of(out, sizeof(out));
    exec_submit_encode(&m, &w);
    exec_on_client(t.nodes[0], t.now_us, CLIENT, "ann", EXEC_RIGHT_SUBMIT);
    exec_on_client_message(t.nodes[0], t.now_us, CLIENT, EXEC_MSG_SUBMIT, writer_slice(&w));
    drain(0);
}

/* Breaks a random stream between two nodes. */
static void fault_link(void)
{
    uint32_t at = (uint32_t)rng_below(&t.rng, STREAMS_MAX);
    for (uint32_t i = 0; i < STREAMS_MAX; i++) {
        struct stream *s = &t.streams[(at + i) % STREAMS_MAX];
        if (s->is_open && s->from != s->to) {
            stream_break(s, IPX_CLOSED);
            return;
        }
    }
}

static void fault_kill(uint8_t node)
{
    exec_free(t.nodes[node]);
    t.nodes[node] = NULL;
    for (uint32_t i = 0; i < STREAMS_MAX; i++) {
        struct stream *s = &t.streams[i];
        if (s->is_open && (s->from == node || s->to == node)) {
            stream_break(s, IPX_CLOSED);
        }
    }
    for (uint32_t i = 0; i < ARRAY_LEN(t.processes); i++) {
        t.processes[i].is_live = t.processes[i].is_live && t.processes[i].node != node;
    }
    for (uint8_t i = 0; i < NODES; i++) {
        if (t.nodes[i] != NULL) {
            exec_on_peer_gone(t.nodes[i], t.now_us, &t.facts[node].id);
            drain(i);
        }
    }
}

static void run_until_ended(uint64_t limit_us)
{
    uint64_t end_us = t.now_us + limit_us;
    while (!t.has_ended && step(end_us)) {
    }
    CHECK(t.has_ended);
}

static void check_map(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        char want[32];
        snprintf(want, sizeof(want), "out-%u", i);
        CHECK_EQ(t.n_rows[i], 1);
        CHECK_STR(t.seen[i], want);
    }
    CHECK_EQ(t.end.exit_code, 0);
    CHECK_EQ(t.end.progress.n_done, n);
}

TEST(exec_mesh, map)
{
    net_init(1);
    net_submit(EXEC_MODE_MAP, "say", "0-99", 0, 0);
    run_until_ended(60 * US_PER_S);
    check_map(100);
    CHECK_EQ(t.n_started, 100);
    /* nothing is left behind at the places */
    uint64_t end_us = t.now_us + 2 * US_PER_S;
    while (step(end_us)) {
    }
    for (uint8_t i = 0; i < NODES; i++) {
        CHECK(exec_is_idle(t.nodes[i]));
    }
    net_done();
}

TEST(exec_mesh, run_with_stdin)
{
    uint8_t out[64];
    net_init(2);
    net_submit(EXEC_MODE_RUN, "cat", "", EXEC_SUBMIT_STDIN, 0);
    for (int i = 0; i < 3; i++) {
        struct writer w = writer_of(out, sizeof(out));
        exec_input_encode(&(struct exec_input){slice_text("abc"), i == 2}, &w);
        exec_on_client_message(t.nodes[0], t.now_us, CLIENT, EXEC_MSG_INPUT, writer_slice(&w));
        drain(0);
    }
    run_until_ended(10 * US_PER_S);
    CHECK_STR(t.seen[0], "abcabcabc");
    CHECK_EQ(t.end.exit_code, 0);
    net_done();
}

TEST(exec_mesh, failing_tasks_are_tried_again)
{
    net_init(3);
    net_submit(EXEC_MODE_MAP, "fail", "0-4", 0, 2);
    run_until_ended(60 * US_PER_S);
    CHECK_EQ(t.end.exit_code, 5);
    CHECK_EQ(t.n_started, 15);
    net_done();
}

/* Links break all the time; a node dies; then the faults stop. */
TEST(exec_mesh, faults)
{
    uint32_t n_moved = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        bool pure = seed % 2 != 0;
        net_init(100 + seed);
        net_submit(EXEC_MODE_MAP, "say", "0-199",
                   (pure ? EXEC_SUBMIT_PURE : 0) | (seed % 3 == 0 ? EXEC_SUBMIT_KEEP_ORDER : 0), 0);
        for (uint32_t i = 0; i < 30 && !t.has_ended; i++) {
            uint64_t end_us = t.now_us + rng_below(&t.rng, 150000);
            while (!t.has_ended && step(end_us)) {
            }
            fault_link();
            if (i == 4) {
                fault_kill((uint8_t)(1 + seed % 3));
            }
        }
        run_until_ended(120 * US_PER_S);
        check_map(200);
        n_moved += t.end.progress.n_moved;
        net_done();
    }
    CHECK(n_moved > 100); /* the faults did hit */
}
