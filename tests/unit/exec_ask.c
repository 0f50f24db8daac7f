/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/exec_owner.h"

static struct bench b; /* large */

static void client_asks(uint32_t handle, const char *user, uint32_t rights, uint8_t type,
                        const char *ids, bool flag, const char *where)
{
    static struct text_list l;
    uint8_t out[2048];
    struct exec_ask m = {
        .ids = bench_list(&l, ids), .all = flag, .follow = flag, .where = slice_text(where)};
    struct writer w = writer_of(out, sizeof(out));
    exec_ask_encode(&m, &w);
    owner_on_client(b.owner, b.now_us, handle, user, rights);
    client_says(&b, handle, type, &w);
}

static void send_items(uint32_t handle, const char *items, bool end)
{
    static struct text_list l;
    static uint8_t out[70000];
    struct writer w = writer_of(out, sizeof(out));
    exec_items_encode(&(struct exec_items){bench_list(&l, items), end}, &w);
    client_says(&b, handle, EXEC_MSG_ITEMS, &w);
}

static void job_text(uint32_t at, char out[static EXEC_JOB_TEXT_SIZE])
{
    job_id_text(&b.owner->jobs[at]->id, out);
}

TEST(exec_ask, items)
{
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_submit(&b, BENCH_CLIENT,
                 &(struct ask){.mode = EXEC_MODE_MAP, .flags = EXEC_SUBMIT_ITEMS});
    CHECK_EQ(b.n_got, 0);
    send_items(BENCH_CLIENT, "a|b b", false);
    send_items(BENCH_CLIENT, "c", true);
    struct exec_accepted acc;
    CHECK_OK(
        exec_accepted_decode(bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_ACCEPTED)->send.body, &acc));
    CHECK_EQ(acc.count, 3);
    CHECK_EQ(acc.item_bytes, 5);
    place_grants(&b, 1, 3);
    uint32_t h = place_opened(&b, 1);
    CHECK_STR(place_claims(&b, h), "0.1=a 1.1=b b 2.1=c");
    send_items(BENCH_CLIENT, "d", true); /* too late: an error, and the job is gone from it */
    CHECK_EQ(client_failed(&b).err, IPX_MALFORMED);
    bench_done(&b);
    /* none at all */
    bench_init(&b);
    bench_submit(&b, BENCH_CLIENT,
                 &(struct ask){.mode = EXEC_MODE_MAP, .flags = EXEC_SUBMIT_ITEMS});
    send_items(BENCH_CLIENT, "", true);
    CHECK_EQ(client_failed(&b).exit_code, 2);
    CHECK_EQ(b.owner->n_jobs, 0);
    bench_done(&b);
    /* a client that goes before its items are whole leaves nothing behind that runs */
    bench_init(&b);
    bench_submit(&b, BENCH_CLIENT,
                 &(struct ask){.mode = EXEC_MODE_MAP, .flags = EXEC_SUBMIT_ITEMS});
    send_items(BENCH_CLIENT, "a", false);
    CHECK(owner_on_client_closed(b.owner, b.now_us, BENCH_CLIENT));
    bench_drain(&b);
    CHECK(owner_is_idle(b.owner));
    CHECK_EQ(b.owner->jobs[0]->state, OWNER_JOB_CANCELLED);
    bench_done(&b);
}

/* A detached job keeps its output for `logs`; `wait` tells when it is over. */
TEST(exec_ask, detached)
{
    char id[EXEC_JOB_TEXT_SIZE], one[EXEC_JOB_TEXT_SIZE + 8];
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_submit(&b, BENCH_CLIENT,
                 &(struct ask){.mode = EXEC_MODE_MAP, .range = "0-1", .flags = EXEC_SUBMIT_DETACH});
    CHECK_EQ(client_ended(&b, BENCH_CLIENT).exit_code, 0);
    CHECK(owner_on_client_closed(b.owner, b.now_us, BENCH_CLIENT));
    job_text(0, id);
    b.at = 0;
    place_grants(&b, 1, 2);
    uint32_t h = place_opened(&b, 1), from = b.n_got;
    client_asks(BENCH_CLIENT + 1, "ann", EXEC_RIGHT_SUBMIT, EXEC_MSG_WAIT, id, false, "");
    CHECK(bench_next(&b, EXEC_STREAM_SEND, EXEC_MSG_END) == NULL);
    place_result(&b, h,
                 &(struct exec_result){
                     .task = 1, .attempt = 1, .end = EXEC_END_EXIT, .out = slice_text("one")});
    /* logs of what is there; with follow the rest comes */
    client_asks(BENCH_CLIENT + 2, "ann", EXEC_RIGHT_SUBMIT, EXEC_MSG_LOGS, id, false, "");
    CHECK_STR(client_seen(&b, from), "1:one #1 ");
    client_asks(BENCH_CLIENT + 3, "ann", EXEC_RIGHT_SUBMIT, EXEC_MSG_LOGS, id, true, "");
    CHECK_STR(client_seen(&b, from), "1:one #1 ");
    place_ends(&b, h, 0, 1, 1);
    CHECK_STR(client_seen(&b, from), "1:one #1 #0 1:one #1 ");
    b.at = from;
    CHECK_EQ(client_ended(&b, BENCH_CLIENT + 1).exit_code, 1); /* a task failed */
    snprintf(one, sizeof(one), "%s.1", id);
    from = b.n_got;
    client_asks(BENCH_CLIENT + 4, "ann", EXEC_RIGHT_SUBMIT, EXEC_MSG_LOGS, one, true, "");
    CHECK_STR(client_seen(&b, from), "1:one #1 ");
    snprintf(one, sizeof(one), "%s.2", id);
    b.at = b.n_got;
    client_asks(BENCH_CLIENT + 5, "ann", EXEC_RIGHT_SUBMIT, EXEC_MSG_LOGS, one, true, "");
    CHECK_EQ(client_failed(&b).exit_code, 3);
    bench_done(&b);
}

/* Others' jobs are seen by ADMIN only; prefixes of ids do, if they are unique. */
TEST(exec_ask, rights_and_prefixes)
{
    static const struct {
        const char *user;
        uint32_t rights;
        uint8_t type;
        size_t prefix; /* of the id */
        bool all;
        int n_rows; /* -1: no such job */
    } cases[] = {
        {"ann", EXEC_RIGHT_SUBMIT, EXEC_MSG_PS, 0, false, 1},
        {"bob", EXEC_RIGHT_SUBMIT, EXEC_MSG_PS, 0, true, 0},
        {"bob", EXEC_RIGHT_ADMIN, EXEC_MSG_PS, 0, true, 1},
        {"bob", EXEC_RIGHT_ADMIN, EXEC_MSG_PS, 0, false, 0},
        {"ann", 0, EXEC_MSG_PS, 0, true, 0},
        {"ann", EXEC_RIGHT_SUBMIT, EXEC_MSG_SHOW, 4, false, 1},
        {"ann", EXEC_RIGHT_SUBMIT, EXEC_MSG_SHOW, 16, false, 1},
        {"bob", EXEC_RIGHT_SUBMIT, EXEC_MSG_SHOW, 4, false, -1},
        {"bob", EXEC_RIGHT_SUBMIT, EXEC_MSG_CANCEL_JOB, 16, false, -1},
        {"bob", EXEC_RIGHT_SUBMIT, EXEC_MSG_WHY, 16, false, -1},
        {"ann", EXEC_RIGHT_SUBMIT, EXEC_MSG_CANCEL_JOB, 5, false, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char id[EXEC_JOB_TEXT_SIZE];
        bench_init(&b);
        bench_submit(&b, BENCH_CLIENT, &(struct ask){.mode = EXEC_MODE_RUN});
        job_text(0, id);
        id[cases[i].prefix] = 0;
        b.at = b.n_got;
        client_asks(BENCH_CLIENT + 1, cases[i].user, cases[i].rights, cases[i].type, id,
                    cases[i].all, "");
        int n = 0;
        uint32_t at = b.at;
        while (bench_next(&b, EXEC_STREAM_SEND, EXEC_MSG_JOB_ROW) != NULL) {
            n++;
        }
        b.at = at;
        if (cases[i].n_rows < 0) {
            CHECK_EQ(client_failed(&b).exit_code, 3);
        } else {
            CHECK_EQ(n, cases[i].n_rows);
            CHECK_EQ(client_ended(&b, BENCH_CLIENT + 1).exit_code, 0);
        }
        bool is_cancelled = cases[i].type == EXEC_MSG_CANCEL_JOB && cases[i].n_rows == 1;
        CHECK_EQ(owner_is_idle(b.owner), is_cancelled);
        bench_done(&b);
    }
}

/* A lost terminal stops nothing; what a run still writes is kept. */
TEST(exec_ask, lost_terminal)
{
    char id[EXEC_JOB_TEXT_SIZE];
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_submit(&b, BENCH_CLIENT,
                 &(struct ask){.mode = EXEC_MODE_RUN, .flags = EXEC_SUBMIT_STDIN});
    place_grants(&b, 1, 1);
    uint32_t h = place_opened(&b, 1);
    job_text(0, id);
    place_renews(&b, h, (uint32_t[]){0, 1}, 1);
    place_writes(&b, h, 0, 1, 1, 0, "seen ");
    CHECK(owner_on_client_closed(b.owner, b.now_us, BENCH_CLIENT));
    bench_drain(&b);
    struct exec_bytes in; /* its stdin ends */
    CHECK_OK(exec_bytes_decode(bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_STDIN)->send.body, &in));
    CHECK(in.end && in.bytes.len == 0);
    place_writes(&b, h, 0, 1, 1, 5, "unseen");
    place_writes(&b, h, 0, 1, 1, 11, " end");
    place_ends(&b, h, 0, 1, 0);
    CHECK(owner_is_idle(b.owner));
    uint32_t from = b.n_got;
    client_asks(BENCH_CLIENT + 1, "ann", EXEC_RIGHT_SUBMIT, EXEC_MSG_LOGS, id, false, "");
    CHECK_STR(client_seen(&b, from), "0:unseen end #0 ");
    bench_done(&b);
}

/* The run is `done` only when the store has what nobody saw. */
TEST(exec_ask, lost_terminal_waits_for_the_store)
{
    for (int full = 0; full < 2; full++) {
        bench_init(&b);
        bench_peer(&b, 1, 4);
        bench_submit(&b, BENCH_CLIENT, &(struct ask){.mode = EXEC_MODE_RUN});
        place_grants(&b, 1, 1);
        uint32_t h = place_opened(&b, 1);
        place_renews(&b, h, (uint32_t[]){0, 1}, 1);
        CHECK(owner_on_client_closed(b.owner, b.now_us, BENCH_CLIENT));
        b.stores = false;
        place_writes(&b, h, 0, 1, 2, 0, "x");
        place_ends(&b, h, 0, 1, 0);
        CHECK_EQ(b.owner->jobs[0]->tasks[0].state, OWNER_TASK_STORING);
        owner_on_stored(b.owner, b.now_us, bench_want(&b, EXEC_STORE, 0)->store.object,
                        full ? IPX_FULL : IPX_OK);
        bench_drain(&b);
        CHECK_EQ(b.owner->jobs[0]->tasks[0].state, full ? OWNER_TASK_FAILED : OWNER_TASK_DONE);
        CHECK_EQ(b.owner->jobs[0]->tasks[0].end, full ? EXEC_END_SPOOL : EXEC_END_EXIT);
        bench_done(&b);
    }
}

TEST(exec_ask, why)
{
    struct exec_why_row row;
    struct exec_why_sum sum;
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_peer(&b, 2, 64);
    bench_peer(&b, 3, 16);
    client_asks(BENCH_CLIENT, "ann", EXEC_RIGHT_SUBMIT, EXEC_MSG_WHY, "", false,
                "cpu.cores >= 100 and lab == \"bio\" and gpus > 1");
    CHECK_OK(
        exec_why_row_decode(bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_WHY_ROW)->send.body, &row));
    CHECK(slice_equal(row.clause, slice_text("cpu.cores >= 100")));
    CHECK_EQ(row.n_false, 3);
    CHECK(slice_equal(row.label, slice_text("cpu.cores")));
    CHECK(slice_equal(row.have, slice_text("64")));
    CHECK(slice_equal(row.want, slice_text("100")));
    CHECK(slice_equal(row.node, slice_text("phys/n2")));
    CHECK(slice_equal(row.instead, slice_text("cpu.cores >= 64")));
    CHECK_EQ(row.n_instead, 0); /* the other clauses still fail */
    CHECK_OK(
        exec_why_row_decode(bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_WHY_ROW)->send.body, &row));
    CHECK_EQ(row.n_true, 2);
    CHECK_EQ(row.n_false, 1);
    CHECK_OK(
        exec_why_row_decode(bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_WHY_ROW)->send.body, &row));
    CHECK_EQ(row.n_unknown, 3);
    CHECK(slice_equal(row.unknown_name, slice_text("gpus")));
    CHECK_OK(
        exec_why_sum_decode(bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_WHY_SUM)->send.body, &sum));
    CHECK_EQ(sum.n_nodes, 3);
    CHECK_EQ(sum.n_true, 0);
    CHECK_EQ(client_ended(&b, BENCH_CLIENT).exit_code, 0);
    /* one clause alone: what would match instead, and how many */
    client_asks(BENCH_CLIENT + 1, "ann", EXEC_RIGHT_SUBMIT, EXEC_MSG_WHY, "", false,
                "(cpu.cores >= 100)");
    CHECK_OK(
        exec_why_row_decode(bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_WHY_ROW)->send.body, &row));
    CHECK_EQ(row.n_instead, 1);
    /* a bare word that is a lab */
    client_asks(BENCH_CLIENT + 2, "ann", EXEC_RIGHT_SUBMIT, EXEC_MSG_WHY, "", false, "lab == phys");
    CHECK_OK(
        exec_why_row_decode(bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_WHY_ROW)->send.body, &row));
    CHECK(slice_equal(row.meant, slice_text("\"phys\"")));
    client_asks(BENCH_CLIENT + 3, "ann", EXEC_RIGHT_SUBMIT, EXEC_MSG_WHY, "", false, "lab ==");
    CHECK_EQ(client_failed(&b).exit_code, 2);
    bench_done(&b);
}

/* `why` of a job that waits since its places refused. */
TEST(exec_ask, why_of_a_job)
{
    char id[EXEC_JOB_TEXT_SIZE];
    struct exec_why_sum sum;
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_peer(&b, 2, 4);
    bench_submit(&b, BENCH_CLIENT, &(struct ask){.mode = EXEC_MODE_RUN, .where = "cpu.cores >= 2"});
    place_refuses(&b, 1, EXEC_REFUSAL_FULL);
    place_refuses(&b, 2, EXEC_REFUSAL_POLICY);
    job_text(0, id);
    b.now_us += 3 * US_PER_S;
    client_asks(BENCH_CLIENT + 1, "ann", EXEC_RIGHT_SUBMIT, EXEC_MSG_WHY, id, false, "");
    CHECK_OK(
        exec_why_sum_decode(bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_WHY_SUM)->send.body, &sum));
    CHECK_EQ(sum.n_refused[EXEC_REFUSAL_FULL], 1);
    CHECK_EQ(sum.n_refused[EXEC_REFUSAL_POLICY], 1);
    CHECK_EQ(sum.progress.why, EXEC_WAITING_FULL);
    CHECK_EQ(sum.waiting_us, 3 * US_PER_S);
    bench_done(&b);
}

TEST(exec_ask, dry_run)
{
    struct exec_place_row row;
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_peer(&b, 2, 64);
    bench_submit(&b, BENCH_CLIENT,
                 &(struct ask){.mode = EXEC_MODE_MAP,
                               .range = "1-9",
                               .prefer = "cpu.cores",
                               .flags = EXEC_SUBMIT_DRY_RUN});
    CHECK_OK(exec_place_row_decode(bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_PLACE_ROW)->send.body,
                                   &row));
    CHECK(slice_equal(row.node, slice_text("n2")));
    bench_want(&b, EXEC_STREAM_SEND, EXEC_MSG_PLACE_ROW);
    CHECK_EQ(client_ended(&b, BENCH_CLIENT).exit_code, 0);
    CHECK_EQ(b.owner->n_jobs, 0);
    CHECK(bench_next(&b, EXEC_DGRAM, 0) == NULL);
    bench_done(&b);
}

/* Finished jobs are kept up to a number; commands at once up to another. */
TEST(exec_ask, limits)
{
    bench_init(&b);
    for (uint32_t i = 0; i < EXEC_FINISHED_MAX + 20; i++) {
        bench_submit(&b, BENCH_CLIENT,
                     &(struct ask){.mode = EXEC_MODE_RUN, .flags = EXEC_SUBMIT_NO_WAIT});
        CHECK_EQ(client_ended(&b, BENCH_CLIENT).exit_code, 120);
        CHECK(owner_on_client_closed(b.owner, b.now_us, BENCH_CLIENT));
        bench_forget(&b);
    }
    CHECK_EQ(b.owner->n_jobs, EXEC_FINISHED_MAX);
    for (uint32_t i = 0; i < EXEC_CLIENTS_MAX; i++) {
        owner_on_client(b.owner, b.now_us, BENCH_CLIENT + i, "ann", EXEC_RIGHT_SUBMIT);
    }
    owner_on_client(b.owner, b.now_us, BENCH_CLIENT + 999, "ann", EXEC_RIGHT_SUBMIT);
    bench_drain(&b);
    CHECK_EQ(client_failed(&b).err, IPX_FULL);
    bench_done(&b);
    bench_init(&b);
    for (uint32_t i = 0; i <= EXEC_JOBS_MAX; i++) {
        bench_submit(&b, BENCH_CLIENT,
                     &(struct ask){.mode = EXEC_MODE_RUN, .flags = EXEC_SUBMIT_DETACH});
        CHECK(owner_on_client_closed(b.owner, b.now_us, BENCH_CLIENT));
    }
    CHECK_EQ(client_failed(&b).err, IPX_FULL);
    CHECK_EQ(b.owner->n_unfinished, EXEC_JOBS_MAX);
    bench_done(&b);
}

/* Allocation fails at every point in turn: never a crash, never a leak. */
TEST(exec_ask, no_memory)
{
    for (uint64_t n = 0; n < 120; n++) {
        bench_init(&b);
        bench_peer(&b, 1, 4);
        b.mem.fail_after = n;
        uint8_t out[256];
        static struct text_list argv;
        struct exec_submit m = {
            .mode = EXEC_MODE_MAP, .range = slice_text("1-3"), .argv = bench_list(&argv, "true")};
        struct writer w = writer_of(out, sizeof(out));
        exec_submit_encode(&m, &w);
        owner_on_client(b.owner, b.now_us, BENCH_CLIENT, "ann", EXEC_RIGHT_SUBMIT);
        owner_on_client_message(b.owner, b.now_us, BENCH_CLIENT, EXEC_MSG_SUBMIT, writer_slice(&w));
        struct exec_action a;
        while (out_poll(&b.core->out, &a) || owner_flush(b.owner, b.now_us)) {
            owner_check(b.owner);
        }
        b.mem.fail_after = UINT64_MAX;
        owner_on_client_closed(b.owner, b.now_us, BENCH_CLIENT);
        bench_done(&b);
    }
}
