/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/place_world.h"

#define H1 0x80000001u
#define H2 0x80000002u

static struct world w;

TEST(exec_place, who_is_refused)
{
    static const struct {
        const char *accept, *where;
        struct exec_needs needs;
        bool issuer, drain, no_submit;
        enum exec_refusal want;
    } cases[] = {
        {"true", "", {.cpu = 1}, false, false, false, 0},
        {"job.lab == lab", "", {.cpu = 1}, false, false, false, EXEC_REFUSAL_POLICY},
        {"job.lab == \"bio\" and job.user == \"ann\"", "", {.cpu = 1}, false, false, false, 0},
        {"job.user == \"bob\"", "", {.cpu = 1}, false, false, false, EXEC_REFUSAL_POLICY},
        {"no.such.label == 3", "", {.cpu = 1}, false, false, false, EXEC_REFUSAL_POLICY},
        {"true", "", {.cpu = 1}, true, false, false, EXEC_REFUSAL_POLICY},
        {"true", "", {.cpu = 1}, false, true, false, EXEC_REFUSAL_DRAIN},
        {"true", "", {.cpu = 1}, false, false, true, EXEC_REFUSAL_POLICY},
        {"true", "cpu.cores >= 4", {.cpu = 1}, false, false, false, 0},
        {"true", "cpu.cores >= 5", {.cpu = 1}, false, false, false, EXEC_REFUSAL_WHERE},
        {"true", "cpu.cores >=", {.cpu = 1}, false, false, false, EXEC_REFUSAL_JOB},
        {"true", "", {.cpu = 9}, false, false, false, EXEC_REFUSAL_NEEDS},
        {"true", "", {.cpu = 1, .mem = 9000000000u}, false, false, false, EXEC_REFUSAL_NEEDS},
        {"true", "", {.cpu = 1, .mem = 5000000000u}, false, false, false, EXEC_REFUSAL_FULL},
        {"true", "", {.cpu = 8}, false, false, false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct exec_grant grant;
        world_init(&w, 8);
        world_accept(&w, cases[i].accept);
        place_set_holds_issuer(w.place, cases[i].issuer);
        place_set_drain(w.place, cases[i].drain);
        if (cases[i].no_submit) {
            w.owner.caps &= ~(uint32_t)CERT_CAP_SUBMIT;
        }
        world_probe(&w, 1, 100, cases[i].needs, cases[i].where);
        CHECK_EQ(world_answer(&w, &grant), cases[i].want);
        world_done(&w);
    }
}

TEST(exec_place, nobody_is_accepted_without_a_policy_and_issuer_keeps_its_lab)
{
    struct exec_grant grant;
    world_init(&w, 8);
    place_set_accept(w.place, NULL);
    world_probe(&w, 1, 1, (struct exec_needs){.cpu = 1}, "");
    CHECK_EQ(world_answer(&w, &grant), EXEC_REFUSAL_POLICY);
    world_accept(&w, "true");
    place_set_holds_issuer(w.place, true);
    snprintf(w.owner.lab, sizeof(w.owner.lab), "phys");
    world_probe(&w, 1, 1, (struct exec_needs){.cpu = 1}, "");
    CHECK_EQ(world_answer(&w, &grant), 0);
    place_recv(w.place, w.now_us, &w.owner, EXEC_MSG_PROBE, 1, slice_text("?"));
    place_recv(w.place, w.now_us, &w.owner, EXEC_MSG_GRANT, 1, SLICE_EMPTY);
    CHECK_EQ(w.core.n_malformed, 2);
    world_done(&w);
}

TEST(exec_place, reservations)
{
    struct exec_grant grant;
    struct exec_vitals vitals;
    world_init(&w, 8);
    world_probe(&w, 1, 100, (struct exec_needs){.cpu = 1}, "");
    CHECK_EQ(world_answer(&w, &grant), 0);
    CHECK_EQ(grant.n, 2); /* a quarter */
    CHECK_EQ(grant.n_free, 8);
    world_probe(&w, 1, 1, (struct exec_needs){.cpu = 1}, ""); /* the same again: not twice */
    CHECK_EQ(world_answer(&w, &grant), 0);
    CHECK_EQ(grant.n, 1);
    place_vitals(w.place, &vitals);
    CHECK_EQ(vitals.n_free, 7);
    for (uint8_t i = 2; i <= 8; i++) {
        world_probe(&w, i, 1, (struct exec_needs){.cpu = 1}, "");
        CHECK_EQ(world_answer(&w, &grant), 0);
    }
    world_probe(&w, 9, 1, (struct exec_needs){.cpu = 1}, "");
    CHECK_EQ(world_answer(&w, &grant), EXEC_REFUSAL_FULL);
    CHECK(world_take(&w, EXEC_DGRAM, EXEC_MSG_FREE) == NULL);
    /* given back by hand, and by time; who was refused is told once */
    world_probe(&w, 3, 0, (struct exec_needs){.cpu = 1}, "");
    CHECK(world_take(&w, EXEC_DGRAM, EXEC_MSG_FREE) != NULL);
    world_until(&w, w.now_us + EXEC_RESERVE_US);
    CHECK(world_take(&w, EXEC_DGRAM, EXEC_MSG_FREE) == NULL);
    place_vitals(w.place, &vitals);
    CHECK_EQ(vitals.n_free, 8);
    world_probe(&w, 1, 5, (struct exec_needs){.cpu = 1}, "");
    CHECK_EQ(world_answer(&w, &grant), 0);
    place_on_peer_gone(w.place, w.now_us, &w.owner.id);
    place_vitals(w.place, &vitals);
    CHECK_EQ(vitals.n_free, 8);
    world_done(&w);
}

TEST(exec_place, a_job_that_does_not_fit_is_refused_whole)
{
    for (int i = 0; i < 6; i++) {
        struct world_job j = world_job_of(1);
        struct exec_refuse refuse;
        world_init(&w, 2);
        w.core.wall_minus_now_ms = 1700000000000;
        j.is_forged = i == 0;
        j.is_other_spec = i == 1;
        j.expires_ms = i == 2 ? 1600000000000 : j.expires_ms;
        j.where = i == 3 ? "cpu.cores > 4" : "";
        j.needs.cpu = i == 4 ? 3 : 1;
        world_accept(&w, i == 5 ? "job.user == \"bob\"" : "true");
        world_send_job(&w, H1, &j);
        struct world_entry *e = world_sent(&w, EXEC_MSG_REFUSE);
        CHECK(e != NULL);
        CHECK_OK(exec_refuse_decode(e->body, &refuse));
        CHECK(refuse.is_job);
        const enum exec_refusal want[] = {EXEC_REFUSAL_JOB,   EXEC_REFUSAL_JOB,
                                          EXEC_REFUSAL_JOB,   EXEC_REFUSAL_WHERE,
                                          EXEC_REFUSAL_NEEDS, EXEC_REFUSAL_POLICY};
        CHECK_EQ(refuse.reason, want[i]);
        world_claim(&w, H1, &j, 0, 1); /* was on its way: skipped */
        CHECK(world_take(&w, EXEC_SPAWN, 0) == NULL);
        CHECK(place_on_stream_closed(w.place, w.now_us, H1, IPX_OK));
        CHECK(!place_on_stream_closed(w.place, w.now_us, H1, IPX_OK));
        world_done(&w);
    }
}

TEST(exec_place, first_words_and_malformed_ones)
{
    struct world_job j = world_job_of(1);
    struct writer junk = writer_of(w.scratch, sizeof(w.scratch));
    static const uint8_t types[] = {EXEC_MSG_CLAIM,   EXEC_MSG_OUT_ACK, EXEC_MSG_RESULT_ACK,
                                    EXEC_MSG_RENEWED, EXEC_MSG_CANCEL,  EXEC_MSG_STDIN};
    world_init(&w, 2);
    writer_u8(&junk, 0xff);
    world_open(&w, H1); /* a claim before JOB */
    world_message(&w, H1, EXEC_MSG_CLAIM, &junk);
    CHECK(world_take(&w, EXEC_STREAM_CLOSE, 0) != NULL);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        world_send_job(&w, H2, &j);
        struct writer m = writer_of(w.scratch, sizeof(w.scratch));
        writer_u8(&m, 0xff);
        world_message(&w, H2, types[i], &m);
        struct world_entry *e = world_take(&w, EXEC_STREAM_CLOSE, 0);
        CHECK(e != NULL);
        CHECK_EQ(e->action.close.err, IPX_MALFORMED);
    }
    CHECK(!place_on_stream_message(w.place, w.now_us, H2, EXEC_MSG_JOB, SLICE_EMPTY));
    CHECK(place_is_idle(w.place));
    world_done(&w);
}

TEST(exec_place, a_map_from_probe_to_last_ack)
{
    struct world_job j = world_job_of(1);
    struct exec_grant grant;
    struct exec_attempts renew;
    struct exec_result r;
    uint32_t credit = 0;
    world_init(&w, 4);
    world_probe(&w, 1, 10, j.needs, "");
    CHECK_EQ(world_answer(&w, &grant), 0);
    j.reservation = grant.reservation;
    world_send_job(&w, H1, &j);
    struct world_entry *e = world_sent(&w, EXEC_MSG_RENEW);
    CHECK(e != NULL);
    CHECK_OK(exec_attempts_decode(e->body, &renew));
    CHECK_EQ(renew.n, 0);
    CHECK_OK(exec_credit_decode(world_sent(&w, EXEC_MSG_CREDIT)->body, &credit));
    CHECK_EQ(credit, 4);
    world_claim(&w, H1, &j, 0, 4);
    for (uint32_t i = 0; i < 4; i++) {
        e = world_take(&w, EXEC_SPAWN, 0);
        CHECK(e != NULL);
        CHECK_EQ(e->body.len, 10);
        CHECK_MEM(e->body.data, "echo\0item", 10);
        CHECK(!e->action.spawn.has_stdin);
        uint64_t attempt = e->action.spawn.attempt;
        place_on_started(w.place, w.now_us, attempt, IPX_OK);
        w.now_us += 1000;
        place_on_output(w.place, w.now_us, attempt, 1, slice_text("out"), false);
        place_on_output(w.place, w.now_us, attempt, 2, slice_text("err!"), false);
        world_exit(&w, attempt, (uint8_t)i, 0);
        CHECK(world_result(&w, &r));
        CHECK_EQ(r.task, i);
        CHECK_EQ(r.end, EXEC_END_EXIT);
        CHECK_EQ(r.code, i);
        CHECK_EQ(r.wall_us, 1000);
        CHECK(slice_equal(r.out, slice_text("out")) && slice_equal(r.err, slice_text("err!")));
        struct hash want = crypt_hash(slice_text("outerr!"));
        CHECK(hash_equal(&want, &r.hash));
    }
    /* short tasks: a power of two in advance, for 50 ms of work */
    while ((e = world_sent(&w, EXEC_MSG_CREDIT)) != NULL) {
        CHECK_OK(exec_credit_decode(e->body, &credit));
    }
    CHECK(credit > 4 && credit <= 4 + EXEC_PREFETCH_MAX);
    for (uint32_t i = 0; i < 4; i++) {
        CHECK(!place_is_idle(w.place));
        world_result_ack(&w, H1, i);
    }
    CHECK(place_is_idle(w.place));
    world_result_ack(&w, H1, 2); /* late and twice: nothing */
    CHECK(place_on_stream_closed(w.place, w.now_us, H1, IPX_OK));
    world_done(&w);
}

TEST(exec_place, claims_refused_one_by_one)
{
    struct world_job j = world_job_of(1);
    struct exec_refuse refuse;
    world_init(&w, 2);
    world_send_job(&w, H1, &j);
    j.epoch = 4; /* older than JOB said */
    world_claim(&w, H1, &j, 0, 1);
    CHECK_OK(exec_refuse_decode(world_sent(&w, EXEC_MSG_REFUSE)->body, &refuse));
    CHECK_EQ(refuse.reason, EXEC_REFUSAL_STALE);
    j.epoch = 6;
    world_claim(&w, H1, &j, 999, 2); /* 1000 is not a task of the job */
    CHECK_OK(exec_refuse_decode(world_sent(&w, EXEC_MSG_REFUSE)->body, &refuse));
    CHECK_EQ(refuse.reason, EXEC_REFUSAL_JOB);
    CHECK_EQ(refuse.task, 1000);
    world_claim(&w, H1, &j, 0, 2 + 2 * EXEC_PREFETCH_MAX);
    CHECK_OK(exec_refuse_decode(world_sent(&w, EXEC_MSG_REFUSE)->body, &refuse));
    CHECK_EQ(refuse.reason, EXEC_REFUSAL_FULL);
    CHECK(world_sent(&w, EXEC_MSG_REFUSE) == NULL);
    world_accept(&w, "false"); /* the policy changed: what runs goes on, nothing new begins */
    world_claim(&w, H1, &j, 500, 1);
    CHECK_OK(exec_refuse_decode(world_sent(&w, EXEC_MSG_REFUSE)->body, &refuse));
    CHECK_EQ(refuse.reason, EXEC_REFUSAL_POLICY);
    place_set_drain(w.place, true); /* all that has not begun goes back */
    uint32_t n = 0;
    while (world_sent(&w, EXEC_MSG_REFUSE) != NULL) {
        n++;
    }
    CHECK_EQ(n, 2 * EXEC_PREFETCH_MAX);
    world_done(&w);
}

TEST(exec_place, two_jobs_share)
{
    struct world_job a = world_job_of(1), b = world_job_of(2);
    uint32_t n_of[2] = {0, 0};
    struct exec_result r;
    world_init(&w, 2);
    world_send_job(&w, H1, &a);
    world_send_job(&w, H2, &b);
    world_claim(&w, H1, &a, 0, 40);
    world_claim(&w, H2, &b, 500, 20);
    for (int i = 0; i < 20; i++) {
        uint64_t first = world_started(&w), second = world_started(&w);
        CHECK(world_take(&w, EXEC_SPAWN, 0) == NULL);
        world_exit(&w, first, 0, 0);
        world_exit(&w, second, 0, 0);
        while (world_result(&w, &r)) {
            n_of[r.task >= 500]++;
        }
    }
    CHECK(n_of[0] >= 19 && n_of[1] >= 18);
    CHECK_EQ(n_of[0] + n_of[1], 40);
    world_done(&w);
}
