/* SPDX-License-Identifier: Apache-2.0 */
/* What strangers, copyists, joiners and liars get out of a session plane: overlay section 6, 4-12.
 */
#include "tests/harness.h"

#include "tests/session_world.h"

static struct sw w;

/* The INIT that node 0 would send to node 1 now; nothing else happens. */
static struct sw_packet init_of(int from, int to)
{
    w.is_held = true;
    sw_say(&w, from, to, 40, "x");
    sw_drain(&w, from);
    CHECK_EQ(w.n_flight, 1);
    struct sw_packet k = w.flight[0];
    w.n_flight = 0;
    w.is_held = false;
    CHECK_EQ(packet_type_of(slice_of(k.bytes, k.len)), PACKET_INIT);
    return k;
}

static size_t answers_to(const struct sw_packet *k, int node)
{
    size_t before = w.nodes[node].n_sent;
    w.is_held = true;
    sw_deliver(&w, k);
    w.n_flight = 0;
    w.is_held = false;
    return w.nodes[node].n_sent - before;
}

TEST(node_session_attack, garbage_is_dropped_in_silence)
{
    sw_up(&w, 1);
    struct sw_packet k = {.from = w.nodes[2].addr, .to = w.nodes[1].addr};
    for (k.len = 0; k.len <= HANDSHAKE_DATAGRAM_MAX; k.len += k.len < 130 ? 1 : 97) {
        for (int fill = 0; fill < 3; fill++) {
            for (unsigned first = 0; first < 8; first++) {
                memset(k.bytes, fill == 0 ? 0 : 0xff, sizeof k.bytes);
                if (fill == 2) {
                    rng_fill(&w.rng, k.bytes, sizeof k.bytes);
                }
                k.bytes[0] = (uint8_t)(0x10 | first);
                CHECK_EQ(answers_to(&k, 1), 0);
            }
        }
    }
    static const uint8_t huge[65507];
    session_recv(w.nodes[1].plane, w.now_us, &k.from, slice_of(huge, sizeof huge));
    CHECK_EQ(w.nodes[1].n_events, 0);
    CHECK(sw_is_up(&w, 1, 0));
    sw_done(&w);
}

TEST(node_session_attack, every_cut_and_every_flipped_byte_of_every_packet)
{
    for (int type = PACKET_INIT; type <= PACKET_DATA; type++) {
        if (type == PACKET_COOKIE) {
            continue; /* has a test of its own */
        }
        sw_init(&w, 2);
        w.is_held = true;
        sw_say(&w, 0, 1, 40, "x");
        for (;;) {
            for (int i = 0; i < 2; i++) {
                sw_drain(&w, i);
            }
            CHECK_EQ(w.n_flight, 1);
            struct sw_packet k = w.flight[0];
            w.n_flight = 0;
            if ((k.bytes[0] & 15) != type) {
                sw_deliver(&w, &k);
                continue;
            }
            int to = type == PACKET_RESP ? 0 : 1;
            for (size_t i = 0; i < k.len; i++) {
                struct sw_packet bad = k;
                bad.from = (struct addr){.family = ADDR_V4, .ip = {127, 0, 0, 1}, .port = 5};
                bad.bytes[i] ^= 0x40;
                /* mac2 counts only under load */
                bool is_mac2 = type != PACKET_DATA && i >= k.len - 16;
                CHECK(is_mac2 || answers_to(&bad, to) == 0);
                bad.bytes[i] ^= 0x40;
                bad.len = i;
                CHECK_EQ(answers_to(&bad, to), 0);
                CHECK_EQ(w.nodes[to].n_events, 0);
            }
            sw_post(&w, &k.from, &k.to, slice_of(k.bytes, k.len)); /* the true one still works */
            break;
        }
        w.is_held = false;
        sw_run(&w, 100 * US_PER_MS);
        CHECK(sw_is_up(&w, 0, 1) && sw_is_up(&w, 1, 0));
        sw_done(&w);
    }
}

TEST(node_session_attack, wrong_gate_mesh_or_key_is_silence)
{
    for (int wrong = 0; wrong < 3; wrong++) {
        sw_init(&w, 3);
        static const uint8_t other_gate[1][32] = {{9}};
        struct session_config config = {.mem = &w.nodes[0].mem,
                                        .key = &w.nodes[0].key,
                                        .mesh = w.fx.mesh.mesh,
                                        .gates = wrong == 0 ? other_gate : sw_gate,
                                        .n_gates = 1,
                                        .chains = &w.nodes[0].chains,
                                        .chain = slice_of(w.nodes[0].chain, w.nodes[0].chain_len)};
        if (wrong == 1) {
            config.mesh.bytes[0] ^= 1;
        }
        session_plane_free(w.nodes[0].plane);
        CHECK_OK(session_plane_new(&config, w.now_us, sw_wall(&w), &w.nodes[0].plane));
        struct session_message m = {
            .peer = w.nodes[wrong == 2 ? 2 : 1].key.pk, .to = w.nodes[1].addr, .type = 40};
        CHECK_OK(session_send(w.nodes[0].plane, w.now_us, &m));
        sw_run(&w, 10 * US_PER_S);
        CHECK_EQ(w.nodes[1].n_sent, 0);
        CHECK_EQ(sw_seen(&w, 0, SESSION_ACTION_FAILED)->a.err, IPX_TIMEOUT);
        const struct session_stats *s = sw_stats(&w, 1);
        CHECK_EQ(wrong == 1 ? s->dropped_handshake : s->dropped_mac, SESSION_INIT_TRIES);
        sw_done(&w);
    }
}

TEST(node_session_attack, replayed_init_gives_clock_at_most)
{
    sw_init(&w, 4);
    struct sw_packet k = init_of(0, 1);
    struct sw_packet copy = k;
    copy.from = w.nodes[2].addr; /* a copyist elsewhere */
    w.is_held = true;
    sw_deliver(&w, &k);
    w.is_held = false;
    sw_run(&w, 2 * US_PER_S); /* the true handshake goes on, by its own retries */
    CHECK(sw_is_up(&w, 1, 0));
    sw_forget(&w);
    struct session_info before, after;
    CHECK(session_find(w.nodes[1].plane, &w.nodes[0].key.pk, &before));
    CHECK_EQ(answers_to(&copy, 1), 1);
    CHECK(w.last[PACKET_RESP].len <= copy.len);
    sw_run(&w, 10 * US_PER_S);
    CHECK(session_find(w.nodes[1].plane, &w.nodes[0].key.pk, &after));
    CHECK(addr_equal(&before.addr, &after.addr)); /* nothing moved */
    CHECK_EQ(before.since_us, after.since_us);
    CHECK_EQ(w.nodes[1].n_events, 0);

    /* to a restarted node it may look new: an unconfirmed key, which ends after 5 s */
    sw_start(&w, 1, SLICE_EMPTY);
    CHECK_EQ(answers_to(&copy, 1), 1);
    sw_run(&w, 6 * US_PER_S);
    CHECK(!sw_is_up(&w, 1, 0));
    CHECK_EQ(w.nodes[1].n_events, 0);
    /* and an old one is refused by the clock alone */
    sw_start(&w, 1, SLICE_EMPTY);
    w.now_us += 700 * US_PER_S;
    session_on_clock(w.nodes[1].plane, w.now_us, sw_wall(&w));
    uint64_t refused = sw_stats(&w, 1)->resps_out;
    CHECK_EQ(answers_to(&copy, 1), 1);
    CHECK_EQ(sw_stats(&w, 1)->resps_out, refused + 1);
    CHECK(w.last[PACKET_RESP].len < 250); /* no chain was shown */
    sw_done(&w);
}

TEST(node_session_attack, a_wrong_clock_is_told_and_mended)
{
    static const int64_t off_ms[] = {-3 * FX_HOUR, 3 * FX_HOUR, -20 * FX_DAY};
    for (size_t i = 0; i < ARRAY_LEN(off_ms); i++) {
        sw_init(&w, 5);
        if (off_ms[i] > -FX_DAY) { /* its own certificates must still look valid to it */
            session_on_clock(w.nodes[0].plane, w.now_us, IPX_MAX(sw_wall(&w) + off_ms[i], FX_WALL));
        } else {
            session_on_clock(w.nodes[1].plane, w.now_us, sw_wall(&w) - off_ms[i]);
        }
        sw_say(&w, 0, 1, 40, "x");
        sw_run(&w, 500 * US_PER_MS);
        CHECK(sw_is_up(&w, 0, 1) && sw_is_up(&w, 1, 0));
        CHECK_EQ(sw_stats(&w, 0)->inits_out, 2); /* clock, then once more */
        /* what others are sent did not move */
        sw_say(&w, 0, 2, 40, "y");
        sw_run(&w, 500 * US_PER_MS);
        CHECK(sw_is_up(&w, 0, 2));
        sw_done(&w);
    }
}

TEST(node_session_attack, chain_is_asked_for_when_it_was_forgotten)
{
    sw_up(&w, 6);
    session_forget(w.nodes[0].plane, w.now_us, &w.nodes[1].key.pk, IPX_CLOSED);
    sw_run(&w, US_PER_S);
    sw_forget(&w);
    chains_forget(&w.nodes[1].chains, &w.nodes[0].key.pk); /* the answerer forgot */
    uint64_t inits = sw_stats(&w, 0)->inits_out;
    sw_say(&w, 0, 1, 40, "x");
    sw_run(&w, 100 * US_PER_MS);
    CHECK(sw_is_up(&w, 1, 0));
    CHECK_EQ(sw_stats(&w, 0)->inits_out - inits, 2); /* hash, then chain */
    CHECK_EQ(w.last[PACKET_INIT].len, HANDSHAKE_DATAGRAM_MAX);
    sw_done(&w);
}

/* Both sides show chains that nobody can check without the admitter's: the node opens a link. */
TEST(node_session_attack, admitted_chain_needs_its_admitter)
{
    sw_init(&w, 7);
    struct sw_node *n = &w.nodes[0];
    n->key = w.fx.bob;
    memcpy(n->chain, w.fx.bob_chain.data, w.fx.bob_chain.len);
    n->chain_len = w.fx.bob_chain.len;
    sw_start(&w, 0, SLICE_EMPTY);
    sw_say(&w, 0, 1, 40, "x");
    sw_run(&w, 10 * US_PER_S);
    CHECK_EQ(sw_seen(&w, 0, SESSION_ACTION_FAILED)->a.err, IPX_NEED_CHAIN);
    CHECK_EQ(w.nodes[1].n_events, 0);
    /* once it has met the admitter, it understands */
    const struct chain *c;
    CHECK_OK(chains_put(&w.nodes[1].chains, sw_wall(&w), w.fx.ada_chain, SLICE_EMPTY, NULL, &c));
    sw_forget(&w);
    sw_say(&w, 0, 1, 40, "x");
    sw_run(&w, US_PER_S);
    CHECK(sw_is_up(&w, 1, 0));
    CHECK_STR(sw_seen(&w, 1, SESSION_ACTION_UP)->facts.name, "bob");
    sw_done(&w);
}

TEST(node_session_attack, a_ticket_lets_only_admission_pass)
{
    sw_init(&w, 8);
    w.nodes[0].key = w.fx.bob;
    w.nodes[0].chain_len = w.fx.bob_chain.len;
    memcpy(w.nodes[0].chain, w.fx.bob_chain.data, w.fx.bob_chain.len);
    sw_start(&w, 0, w.fx.pub);
    CHECK_EQ(sw_try(&w, 0, 1, 40, "x"), IPX_DENIED);
    CHECK_EQ(sw_try(&w, 0, 1, SESSION_REVERSE, "x"), IPX_DENIED);
    sw_say(&w, 0, 1, SESSION_ADMIT, "admit me");
    sw_run(&w, US_PER_S);
    const struct sw_event *m = sw_seen(&w, 1, SESSION_ACTION_MESSAGE);
    CHECK(m != NULL && !m->has_facts);
    CHECK_EQ(m->a.message_type, SESSION_ADMIT);
    CHECK_EQ(m->a.ticket.len, w.fx.pub.len);
    struct session_info info;
    CHECK(session_find(w.nodes[1].plane, &w.fx.bob.pk, &info) && info.is_ticket);
    CHECK_EQ(sw_try(&w, 1, 0, 40, "x"), IPX_DENIED);
    sw_say(&w, 1, 0, SESSION_ADMITTED, "welcome");
    sw_run(&w, US_PER_S);
    CHECK_STR(sw_seen(&w, 0, SESSION_ACTION_MESSAGE)->text, "welcome");
    /* nobody gets an answer from somebody who has nothing to show */
    sw_forget(&w);
    sw_say(&w, 2, 0, 40, "x");
    sw_run(&w, US_PER_S);
    CHECK(!sw_is_up(&w, 0, 2));
    /* admitted: the old session ends, the new one has a chain */
    const struct chain *c;
    CHECK_OK(chains_put(&w.nodes[1].chains, sw_wall(&w), w.fx.ada_chain, SLICE_EMPTY, NULL, &c));
    CHECK_OK(session_set_chain(w.nodes[0].plane, w.now_us, w.fx.bob_chain));
    sw_run(&w, US_PER_S);
    CHECK_EQ(sw_seen(&w, 0, SESSION_ACTION_DOWN)->a.err, IPX_CLOSED);
    sw_say(&w, 0, 1, 40, "as a member");
    sw_run(&w, US_PER_S);
    CHECK(session_find(w.nodes[1].plane, &w.fx.bob.pk, &info) && !info.is_ticket);
    sw_done(&w);

    /* a ticket that has ended */
    sw_init(&w, 9);
    w.nodes[0].key = w.fx.bob;
    sw_start(&w, 0, w.fx.pub);
    w.now_us += 3 * 24 * 3600 * US_PER_S;
    for (int i = 0; i < 2; i++) {
        session_on_clock(w.nodes[i].plane, w.now_us, sw_wall(&w));
    }
    sw_say(&w, 0, 1, SESSION_ADMIT, "late");
    sw_run(&w, US_PER_S);
    CHECK_EQ(sw_seen(&w, 0, SESSION_ACTION_FAILED)->a.err, IPX_EXPIRED);
    sw_done(&w);
}

TEST(node_session_attack, replayed_and_late_data_is_dropped)
{
    sw_up(&w, 10);
    w.is_held = true;
    enum { N = 1200 };
    for (int i = 0; i < N; i++) {
        sw_say(&w, 0, 1, 40, "x");
        sw_drain(&w, 0);
    }
    CHECK_EQ(w.n_flight, N);
    uint64_t replays = sw_stats(&w, 1)->dropped_replay;
    sw_deliver(&w, &w.flight[N - 1]); /* the newest first: those over 1,024 back are too old */
    w.nodes[1].n_events = 0;
    sw_deliver(&w, &w.flight[N - 1]);
    CHECK_EQ(sw_stats(&w, 1)->dropped_replay, replays + 1);
    for (int i = 0; i < N - 1024; i++) {
        sw_deliver(&w, &w.flight[i]);
    }
    CHECK_EQ(sw_stats(&w, 1)->dropped_replay, replays + 1 + N - 1024);
    CHECK_EQ(w.nodes[1].n_events, 0);
    for (int i = N - 1024; i < N - 1024 + 100; i++) {
        sw_deliver(&w, &w.flight[i]);
        sw_deliver(&w, &w.flight[i]);
    }
    CHECK_EQ(sw_count(&w, 1, SESSION_ACTION_MESSAGE), 100);
    CHECK_EQ(sw_stats(&w, 1)->dropped_replay, replays + 1 + N - 1024 + 100);
    w.n_flight = 0;
    sw_done(&w);
}

TEST(node_session_attack, cookies_under_load)
{
    sw_init(&w, 11);
    /* a flood of INITs with a right mac1, from many made-up addresses */
    struct sw_packet k = init_of(2, 1);
    size_t n_answers = 0, n_bytes = w.nodes[1].n_sent_bytes;
    for (unsigned i = 0; i < 2000; i++) {
        k.from = (struct addr){
            .family = ADDR_V4, .ip = {11, (uint8_t)(i >> 8), (uint8_t)i, 1}, .port = 9};
        n_answers += answers_to(&k, 1);
    }
    CHECK_EQ(n_answers, 2000); /* clock, then cookies */
    CHECK(w.nodes[1].n_sent_bytes - n_bytes <= 2000 * 250);
    const struct session_stats *s = sw_stats(&w, 1);
    CHECK(s->cookies_out >= 1700 && s->dropped_load == s->cookies_out);
    /* an honest one proves its address and gets in; it needs one packet more */
    w.now_us += 2300; /* not when the next token falls due */
    (void)answers_to(&k, 1);
    sw_say(&w, 0, 1, 40, "through");
    for (unsigned i = 0; i < 60; i++) {
        sw_run(&w, US_PER_MS);
        for (unsigned j = 0; j < 10; j++) { /* the flood goes on */
            struct sw_packet flight[4];
            size_t n = w.n_flight;
            CHECK(n <= ARRAY_LEN(flight));
            memcpy(flight, w.flight, n * sizeof flight[0]);
            (void)answers_to(&k, 1);
            memcpy(w.flight, flight, n * sizeof flight[0]);
            w.n_flight = n;
        }
    }
    sw_run(&w, 100 * US_PER_MS);
    CHECK_EQ(sw_stats(&w, 0)->cookies_in, 1);
    CHECK(sw_is_up(&w, 1, 0));
    CHECK_STR(sw_seen(&w, 1, SESSION_ACTION_MESSAGE)->text, "through");
    sw_done(&w);
}

/* A COOKIE that was altered, or belongs to another INIT, changes nothing. */
TEST(node_session_attack, forged_cookies_are_nothing)
{
    sw_init(&w, 12);
    w.is_held = true;
    struct sw_packet flood = init_of(2, 1);
    for (int i = 0; i < 300; i++) {
        answers_to(&flood, 1);
    }
    struct sw_packet init = init_of(0, 1);
    w.is_held = true;
    sw_deliver(&w, &init);
    CHECK_EQ(w.n_flight, 1);
    struct sw_packet cookie = w.flight[0];
    w.n_flight = 0;
    CHECK_EQ(packet_type_of(slice_of(cookie.bytes, cookie.len)), PACKET_COOKIE);
    CHECK_EQ(cookie.len, HANDSHAKE_COOKIE_PACKET_LEN);
    for (size_t i = 0; i < cookie.len; i++) {
        struct sw_packet bad = cookie;
        bad.bytes[i] ^= 1;
        CHECK_EQ(answers_to(&bad, 0), 0);
    }
    w.is_held = false;
    sw_run(&w, 5 * US_PER_S);
    CHECK(sw_is_up(&w, 1, 0));
    sw_done(&w);
}

TEST(node_session_attack, one_who_talks_too_much_is_muted)
{
    sw_up(&w, 13);
    for (int second = 0; second < 14; second++) {
        for (int i = 0; i < 300; i++) {
            for (int j = 0; j < 5; j++) { /* five in a packet: 1,500 a second */
                sw_say(&w, 0, 1, SESSION_ADMITTED, "");
            }
            sw_drain(&w, 0);
            while (w.n_flight > 0) {
                sw_deliver(&w, &w.flight[--w.n_flight]);
            }
            w.nodes[0].n_events = w.nodes[1].n_events = 0;
        }
        w.now_us += US_PER_S;
    }
    const struct session_stats *s = sw_stats(&w, 1);
    CHECK(s->dropped_rate > 5000);
    CHECK_EQ(s->muted, 1);
    CHECK(s->dropped_muted > 100);
    /* others are heard as before, and it will be again */
    sw_forget(&w);
    sw_say(&w, 2, 1, 40, "hello");
    sw_run(&w, US_PER_S);
    CHECK_EQ(sw_count(&w, 1, SESSION_ACTION_MESSAGE), 1);
    w.now_us += 301 * US_PER_S;
    sw_forget(&w);
    sw_say(&w, 0, 1, 40, "sorry");
    sw_run(&w, 20 * US_PER_S);
    CHECK(sw_count(&w, 1, SESSION_ACTION_MESSAGE) >= 1);
    sw_done(&w);
}

/* Without memory things fail cleanly, and nothing is lost when it comes back. */
TEST(node_session_attack, no_memory_at_any_point)
{
    for (uint64_t n = 0; n < 60; n++) {
        sw_init(&w, 14);
        w.nodes[1].mem.fail_after = n;
        sw_say(&w, 0, 1, SW_FIND_NODE, "x");
        w.nodes[1].answers_early = false;
        sw_run(&w, 300 * US_PER_MS);
        err_ignore(sw_try(&w, 1, 0, 40, "y"), "it has no memory");
        err_ignore(sw_try(&w, 1, 2, 40, "y"), "it has no memory");
        sw_run(&w, 300 * US_PER_MS);
        w.nodes[1].mem.fail_after = UINT64_MAX;
        sw_run(&w, 10 * US_PER_S);
        sw_say(&w, 2, 1, 40, "z");
        sw_run(&w, 15 * US_PER_S);
        CHECK(sw_is_up(&w, 1, 2));
        sw_done(&w);
    }
}

/* Who has our own key can forge the first message of anybody to us, and not one more (class 10):
 * all that a first message gets is the answer to a question that changes nothing. */
TEST(node_session_attack, a_first_message_alone_gets_a_read_only_answer_at_most)
{
    sw_init(&w, 31);
    sw_say(&w, 0, 1, SW_FIND_NODE, "key");
    w.is_held = true;
    sw_drain(&w, 0);
    CHECK_EQ(w.n_flight, 1);
    struct sw_packet init = w.flight[0];
    w.n_flight = 0;
    sw_deliver(&w, &init);
    CHECK_EQ(w.n_flight, 1); /* the answer, of no use without the key of the one it names */
    CHECK_EQ(packet_type_of(slice_of(w.flight[0].bytes, w.flight[0].len)), PACKET_RESP);
    w.n_flight = 0;
    CHECK_EQ(sw_count(&w, 1, SESSION_ACTION_EARLY), 1);
    CHECK_EQ(sw_count(&w, 1, SESSION_ACTION_UP), 0);
    CHECK(!sw_is_up(&w, 1, 0));
    sw_say(&w, 1, 0, 40, "a secret"); /* waits for a call of our own: not for the forger */
    sw_run(&w, 6 * US_PER_S);
    CHECK(w.n_flight > 0);
    for (size_t i = 0; i < w.n_flight; i++) {
        struct slice k = slice_of(w.flight[i].bytes, w.flight[i].len);
        CHECK(packet_type_of(k) == PACKET_INIT || !addr_equal(&w.flight[i].from, &w.nodes[1].addr));
    }
    w.n_flight = 0;
    w.is_held = false;
    sw_done(&w);
}

/* Dialled one, and another lives at that address (class 17): nothing comes up with anybody. */
TEST(node_session_attack, another_node_at_the_address_is_not_taken_for_the_one_called)
{
    sw_init(&w, 32);
    struct session_message m = {.peer = w.nodes[1].key.pk,
                                .to = w.nodes[2].addr,
                                .type = 40,
                                .body = slice_text("for node 1 alone")};
    CHECK_OK(session_send(w.nodes[0].plane, w.now_us, &m));
    sw_run(&w, 30 * US_PER_S);
    CHECK_EQ(w.nodes[2].n_events, 0);
    CHECK_EQ(w.nodes[2].n_sent, 0);
    CHECK(!sw_is_up(&w, 0, 1) && !sw_is_up(&w, 0, 2));
    CHECK_EQ(sw_count(&w, 0, SESSION_ACTION_FAILED), 1);
    sw_done(&w);
}
