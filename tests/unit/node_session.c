/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions between planes in memory: opening, confirming, saying, moving, renewing, ending. */
#include "tests/harness.h"

#include "tests/session_world.h"

static struct sw w;

TEST(node_session, opens_with_a_message_and_packs_many_into_one)
{
    sw_init(&w, 1);
    sw_say(&w, 0, 1, 40, "one");
    sw_say(&w, 0, 1, 41, "two");
    sw_run(&w, 100 * US_PER_MS);
    CHECK_EQ(w.nodes[0].n_sent, 2); /* INIT, and both messages in one packet */
    const struct sw_event *up = sw_seen(&w, 0, SESSION_ACTION_UP);
    CHECK(up != NULL && up->a.is_first && up->a.is_dialled && up->has_facts);
    CHECK_STR(up->facts.name, "ben");
    CHECK(addr_equal(&up->a.observed, &w.nodes[0].addr));
    up = sw_seen(&w, 1, SESSION_ACTION_UP);
    CHECK(up != NULL && up->a.is_first && !up->a.is_dialled);
    CHECK_STR(up->facts.name, "ada");
    CHECK_EQ(sw_count(&w, 1, SESSION_ACTION_MESSAGE), 2);
    const struct sw_event *m = sw_seen(&w, 1, SESSION_ACTION_MESSAGE);
    CHECK_EQ(m->a.message_type, 40);
    CHECK_STR(m->text, "one");
    CHECK(node_id_equal(&m->a.peer, &w.nodes[0].key.pk) &&
          addr_equal(&m->a.addr, &w.nodes[0].addr));
    struct session_info info;
    CHECK(session_find(w.nodes[0].plane, &w.nodes[1].key.pk, &info));
    CHECK_EQ(info.srtt_us, 2 * SW_DELAY_US);
    CHECK(info.rto_us >= 100 * US_PER_MS && info.rto_us <= 2 * US_PER_S);
    /* back, with no handshake */
    sw_forget(&w);
    sw_say(&w, 1, 0, 40, "three");
    sw_run(&w, 100 * US_PER_MS);
    CHECK_EQ(w.nodes[1].n_sent, 1);
    CHECK_STR(sw_seen(&w, 0, SESSION_ACTION_MESSAGE)->text, "three");
    sw_done(&w);
}

/* The whole exchange under a fixed seed: a change of any packet is a change of the wire. */
TEST(node_session, golden_exchange)
{
    sw_init(&w, 1);
    sw_say(&w, 0, 1, 40, "one");
    sw_run(&w, 100 * US_PER_MS);
    static const struct {
        enum packet_type type;
        size_t len;
        const char *hash;
    } golden[] = {
        {PACKET_INIT, HANDSHAKE_DATAGRAM_MAX,
         "84268dd55e5624b339c7a8efc8e570339321f02961c71ae292ad2c70e5465e4a"},
        {PACKET_RESP, 0, "ffa4b1917c9616e4db54f8e1cd0c3fbebeb39cc28af07af6044e9c611c8e4a9e"},
        {PACKET_DATA, 16 + 7 + 3 + 16,
         "2e96cd067e0af9e514af4ab58b2ab5f244cced7aeab4e127f15b10f046eb56aa"},
    };
    for (size_t i = 0; i < ARRAY_LEN(golden); i++) {
        const struct sw_packet *k = &w.last[golden[i].type];
        struct hash h = crypt_hash(slice_of(k->bytes, k->len));
        char hex[65];
        hex_encode(slice_of(h.bytes, 32), hex);
        CHECK(golden[i].len == 0 || k->len == golden[i].len);
        CHECK_STR(hex, golden[i].hash);
    }
    const struct sw_packet *k = &w.last[PACKET_DATA];
    CHECK_EQ(k->bytes[0], 0x14);
    CHECK_EQ(load_be32(k->bytes + 4), load_be32(w.last[PACKET_RESP].bytes + 4));
    CHECK_EQ(load_be64(k->bytes + 8), 0);
    sw_done(&w);
}

TEST(node_session, early_request_costs_one_round_trip)
{
    sw_init(&w, 2);
    sw_say(&w, 0, 1, SW_FIND_NODE, "key");
    sw_run(&w, 2 * SW_DELAY_US);
    const struct sw_event *early = sw_seen(&w, 1, SESSION_ACTION_EARLY);
    CHECK(early != NULL && early->has_facts);
    CHECK_STR(early->text, "key");
    const struct sw_event *m = sw_seen(&w, 0, SESSION_ACTION_MESSAGE);
    CHECK(m != NULL);
    CHECK_EQ(m->a.message_type, SW_NODES_FOUND);
    CHECK_STR(m->text, "found");
    CHECK(!sw_is_up(&w, 1, 0)); /* not confirmed yet */
    sw_run(&w, 100 * US_PER_MS);
    CHECK(sw_is_up(&w, 1, 0));
    CHECK_EQ(sw_count(&w, 1, SESSION_ACTION_MESSAGE), 0); /* asked once only */
    sw_done(&w);

    /* nobody answers in the turn: the request comes again inside the session */
    sw_init(&w, 3);
    w.nodes[1].answers_early = false;
    sw_say(&w, 0, 1, SW_FIND_NODE, "key");
    sw_run(&w, 200 * US_PER_MS);
    CHECK_EQ(sw_count(&w, 1, SESSION_ACTION_MESSAGE), 1);
    CHECK_STR(sw_seen(&w, 1, SESSION_ACTION_MESSAGE)->text, "key");
    sw_done(&w);

    /* a request of the other side under the same id is not taken for the answer */
    sw_init(&w, 30);
    w.nodes[1].answers_early = false;
    sw_say(&w, 0, 1, SW_FIND_NODE, "key");
    sw_run(&w, SW_DELAY_US);
    const struct sw_event *asked = sw_seen(&w, 1, SESSION_ACTION_EARLY);
    struct session_message same = {.peer = w.nodes[0].key.pk,
                                   .to = w.nodes[0].addr,
                                   .type = SW_FIND_NODE,
                                   .request_id = asked->a.request_id,
                                   .body = slice_text("mine")};
    CHECK_OK(session_send(w.nodes[1].plane, w.now_us, &same));
    same.type = SW_NODES_FOUND;
    same.body = slice_text("yours");
    CHECK_OK(session_send(w.nodes[1].plane, w.now_us, &same));
    sw_run(&w, 300 * US_PER_MS);
    CHECK_EQ(sw_count(&w, 0, SESSION_ACTION_MESSAGE), 2);
    CHECK_STR(sw_seen(&w, 0, SESSION_ACTION_MESSAGE)->text, "yours");
    sw_done(&w);

    /* a request that may have effects is no early request */
    sw_init(&w, 4);
    sw_say(&w, 0, 1, 48, "claim");
    sw_run(&w, 200 * US_PER_MS);
    CHECK_EQ(sw_count(&w, 1, SESSION_ACTION_EARLY), 0);
    CHECK_EQ(sw_count(&w, 1, SESSION_ACTION_MESSAGE), 1);
    sw_done(&w);
}

TEST(node_session, ping_measures_and_tells_the_address)
{
    sw_init(&w, 5);
    uint32_t id;
    CHECK_OK(session_ping(w.nodes[0].plane, w.now_us, &w.nodes[1].key.pk, &w.nodes[1].addr, &id));
    sw_run(&w, 100 * US_PER_MS);
    const struct sw_event *pong = sw_seen(&w, 0, SESSION_ACTION_PONG);
    CHECK(pong != NULL);
    CHECK_EQ(pong->a.request_id, id);
    CHECK_EQ(pong->a.rtt_us, 2 * SW_DELAY_US); /* in the handshake itself */
    CHECK(addr_equal(&pong->a.observed, &w.nodes[0].addr));
    sw_forget(&w);
    w.now_us += 777;
    CHECK_OK(session_ping(w.nodes[1].plane, w.now_us, &w.nodes[0].key.pk, NULL, &id));
    sw_run(&w, 100 * US_PER_MS);
    pong = sw_seen(&w, 1, SESSION_ACTION_PONG);
    CHECK(pong != NULL && pong->a.rtt_us == 2 * SW_DELAY_US);
    /* nobody there */
    sw_forget(&w);
    struct addr nowhere = {.family = ADDR_V4, .ip = {10, 9, 9, 9}, .port = 1};
    CHECK_OK(session_ping(w.nodes[0].plane, w.now_us, &w.nodes[2].key.pk, &nowhere, &id));
    sw_run(&w, 10 * US_PER_S);
    CHECK_EQ(sw_seen(&w, 0, SESSION_ACTION_FAILED)->a.err, IPX_TIMEOUT);
    CHECK_EQ(w.nodes[0].n_sent, SESSION_INIT_TRIES);
    CHECK_EQ(session_ping(w.nodes[0].plane, w.now_us, &w.nodes[2].key.pk, NULL, &id),
             IPX_NOT_FOUND);
    sw_done(&w);
}

TEST(node_session, what_may_not_be_sent)
{
    sw_init(&w, 6);
    static uint8_t big[SESSION_BODY_MAX + 1];
    struct session_message m = {.peer = w.nodes[1].key.pk, .to = w.nodes[1].addr, .type = 40};
    m.body = slice_of(big, sizeof big);
    CHECK_EQ(session_send(w.nodes[0].plane, w.now_us, &m), IPX_LIMIT);
    m.body = slice_of(big, SESSION_BODY_MAX);
    m.peer = w.nodes[0].key.pk;
    CHECK_EQ(session_send(w.nodes[0].plane, w.now_us, &m), IPX_SELF);
    m.peer = w.nodes[1].key.pk;
    m.to = (struct addr){0};
    CHECK_EQ(session_send(w.nodes[0].plane, w.now_us, &m), IPX_NOT_FOUND);
    m.to = w.nodes[1].addr;
    m.peer.bytes[31] ^= 0x80; /* the twin is no key */
    CHECK_EQ(session_send(w.nodes[0].plane, w.now_us, &m), IPX_REFUSED);
    m.peer.bytes[31] ^= 0x80;
    for (size_t i = 0; i < SESSION_WAITING_BYTES_MAX / SESSION_BODY_MAX; i++) {
        CHECK_OK(session_send(w.nodes[0].plane, w.now_us, &m));
    }
    CHECK_EQ(session_send(w.nodes[0].plane, w.now_us, &m), IPX_FULL);
    m.body = SLICE_EMPTY;
    for (size_t i = SESSION_WAITING_BYTES_MAX / SESSION_BODY_MAX; i < SESSION_WAITING_MAX; i++) {
        CHECK_OK(session_send(w.nodes[0].plane, w.now_us, &m));
    }
    CHECK_EQ(session_send(w.nodes[0].plane, w.now_us, &m), IPX_FULL);
    sw_run(&w, US_PER_S);
    CHECK_EQ(sw_count(&w, 1, SESSION_ACTION_MESSAGE), SESSION_WAITING_MAX);
    sw_done(&w);
}

TEST(node_session, simultaneous_open_gives_one_session)
{
    for (uint64_t seed = 0; seed < 8; seed++) {
        sw_init(&w, seed);
        w.jitter_ms = 15;
        sw_say(&w, 0, 1, 40, "from 0");
        sw_say(&w, 1, 0, 40, "from 1");
        sw_run(&w, 3 * US_PER_S);
        CHECK(sw_is_up(&w, 0, 1) && sw_is_up(&w, 1, 0));
        CHECK_EQ(sw_count(&w, 0, SESSION_ACTION_UP), 1);
        CHECK_EQ(sw_count(&w, 1, SESSION_ACTION_UP), 1);
        CHECK_STR(sw_seen(&w, 0, SESSION_ACTION_MESSAGE)->text, "from 1");
        CHECK_STR(sw_seen(&w, 1, SESSION_ACTION_MESSAGE)->text, "from 0");
        struct hash f0 = node_fingerprint(&w.nodes[0].key.pk);
        struct hash f1 = node_fingerprint(&w.nodes[1].key.pk);
        int lower = memcmp(&f0, &f1, sizeof f0) < 0 ? 0 : 1;
        CHECK(sw_seen(&w, lower, SESSION_ACTION_UP)->a.is_dialled);
        CHECK(!sw_seen(&w, 1 - lower, SESSION_ACTION_UP)->a.is_dialled);
        sw_done(&w);
    }
}

TEST(node_session, survives_loss_and_reordering)
{
    unsigned n_up = 0, n_messages = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        sw_init(&w, seed);
        w.loss_permille = 250;
        w.jitter_ms = 80;
        for (int k = 0; k < 40; k++) {
            err_ignore(sw_try(&w, k % 2, 1 - k % 2, 40, "m"), "a queue may be full meanwhile");
            sw_run(&w, 250 * US_PER_MS);
        }
        n_up += sw_is_up(&w, 0, 1) && sw_is_up(&w, 1, 0);
        n_messages += (unsigned)(sw_count(&w, 0, SESSION_ACTION_MESSAGE) +
                                 sw_count(&w, 1, SESSION_ACTION_MESSAGE));
        CHECK(sw_count(&w, 0, SESSION_ACTION_MESSAGE) <= 20); /* none twice */
        sw_done(&w);
    }
    CHECK_EQ(n_up, 20);
    CHECK(n_messages > 20 * 40 / 2);
}

TEST(node_session, roams_once_the_new_address_has_answered)
{
    sw_up(&w, 7);
    struct addr old = w.nodes[0].addr;
    w.nodes[0].addr.port = 40000; /* its NAT forgot the mapping */
    sw_say(&w, 0, 1, 40, "moved");
    w.is_held = true;
    sw_run(&w, SW_DELAY_US);
    w.is_held = false;
    /* all else still goes to the old one until the path has answered */
    sw_run(&w, SW_DELAY_US / 2);
    struct session_info info;
    sw_run(&w, 100 * US_PER_MS);
    CHECK(session_find(w.nodes[1].plane, &w.nodes[0].key.pk, &info));
    CHECK(addr_equal(&info.addr, &w.nodes[0].addr));
    CHECK_EQ(info.srtt_us, 0);
    CHECK_EQ(sw_stats(&w, 1)->roamed, 1);
    sw_forget(&w);
    sw_say(&w, 1, 0, 40, "found you");
    sw_run(&w, 100 * US_PER_MS);
    CHECK_STR(sw_seen(&w, 0, SESSION_ACTION_MESSAGE)->text, "found you");

    /* somebody copies a packet and sends it on from its own address: it cannot answer */
    sw_run(&w, 3 * US_PER_S);
    w.is_held = true;
    sw_say(&w, 0, 1, 40, "stolen");
    sw_run(&w, US_PER_MS);
    CHECK_EQ(w.n_flight, 1);
    struct sw_packet stolen = w.flight[0];
    w.n_flight = 0;
    w.is_held = false;
    stolen.from = old;
    size_t before = w.nodes[1].n_sent_bytes;
    sw_deliver(&w, &stolen);
    CHECK(w.nodes[1].n_sent_bytes - before <= 3 * stolen.len);
    sw_run(&w, 5 * US_PER_S);
    CHECK(session_find(w.nodes[1].plane, &w.nodes[0].key.pk, &info));
    CHECK(addr_equal(&info.addr, &w.nodes[0].addr));
    CHECK_EQ(sw_stats(&w, 1)->roamed, 1);
    CHECK(w.nodes[1].n_sent_bytes - before <= 3 * stolen.len);
    sw_done(&w);
}

TEST(node_session, the_dialler_renews_the_key_each_hour)
{
    sw_up(&w, 8);
    for (int k = 0; k < 5; k++) {
        sw_run(&w, 1800 * US_PER_S);
        sw_say(&w, k % 2, 1 - k % 2, 40, "still here");
        sw_run(&w, US_PER_S);
    }
    CHECK(sw_is_up(&w, 0, 1) && sw_is_up(&w, 1, 0));
    CHECK_EQ(sw_stats(&w, 0)->rekeyed, 2);
    CHECK_EQ(sw_stats(&w, 1)->rekeyed, 2);
    CHECK_EQ(sw_count(&w, 0, SESSION_ACTION_DOWN), 0);
    CHECK_EQ(sw_count(&w, 0, SESSION_ACTION_MESSAGE) + sw_count(&w, 1, SESSION_ACTION_MESSAGE), 5);
    CHECK_EQ(sw_count(&w, 1, SESSION_ACTION_UP), 0); /* same facts: nothing to tell */
    /* the other vanishes: the key ends after 90 minutes at the latest */
    w.nodes[1].addr.port = 1;
    sw_run(&w, 5400 * US_PER_S);
    CHECK(!sw_is_up(&w, 0, 1));
    CHECK_EQ(sw_count(&w, 0, SESSION_ACTION_DOWN), 1);
    CHECK_EQ(sw_seen(&w, 0, SESSION_ACTION_DOWN)->a.err, IPX_EXPIRED);
    sw_done(&w);
}

TEST(node_session, a_restarted_peer_is_met_again)
{
    sw_up(&w, 9);
    sw_run(&w, 60 * US_PER_S);
    sw_start(&w, 1, SLICE_EMPTY);
    for (int k = 0; k < 12; k++) {
        sw_say(&w, 0, 1, 40, "are you there");
        sw_run(&w, US_PER_S);
    }
    CHECK(sw_is_up(&w, 1, 0));
    CHECK(sw_count(&w, 1, SESSION_ACTION_MESSAGE) >= 4);
    CHECK_EQ(sw_count(&w, 0, SESSION_ACTION_DOWN), 0); /* for others it was never away */
    sw_done(&w);

    /* one that stays away is given up */
    sw_up(&w, 10);
    w.nodes[1].addr.port = 1;
    for (int k = 0; k < 20; k++) {
        err_ignore(sw_try(&w, 0, 1, 40, "are you there"), "a new handshake may be under way");
        sw_run(&w, US_PER_S);
    }
    CHECK_EQ(sw_seen(&w, 0, SESSION_ACTION_DOWN)->a.err, IPX_TIMEOUT);
    sw_done(&w);
}

TEST(node_session, ends)
{
    sw_up(&w, 11);
    session_forget(w.nodes[0].plane, w.now_us, &w.nodes[1].key.pk, IPX_REVOKED);
    sw_run(&w, US_PER_S);
    CHECK_EQ(sw_seen(&w, 0, SESSION_ACTION_DOWN)->a.err, IPX_REVOKED);
    CHECK_EQ(sw_seen(&w, 1, SESSION_ACTION_DOWN)->a.err, IPX_CLOSED);
    CHECK(!sw_is_up(&w, 0, 1) && !sw_is_up(&w, 1, 0));
    /* again: now the hash of the chain is enough, and the INIT is small */
    sw_forget(&w);
    sw_say(&w, 0, 1, 40, "again");
    sw_run(&w, 100 * US_PER_MS);
    CHECK(sw_is_up(&w, 1, 0));
    CHECK(w.last[PACKET_INIT].len < 240);
    CHECK(w.last[PACKET_RESP].len < w.last[PACKET_INIT].len);
    /* silently, after a pause of the whole machine */
    sw_forget(&w);
    session_drop_all(w.nodes[0].plane, w.now_us);
    sw_run(&w, 100 * US_PER_MS);
    CHECK_EQ(sw_seen(&w, 0, SESSION_ACTION_DOWN)->a.err, IPX_EXPIRED);
    CHECK_EQ(w.nodes[0].n_sent, 0);
    sw_say(&w, 0, 1, 40, "and again");
    sw_run(&w, 100 * US_PER_MS);
    CHECK(sw_is_up(&w, 0, 1));
    sw_forget(&w);
    session_close_all(w.nodes[0].plane, w.now_us);
    sw_run(&w, 100 * US_PER_MS);
    CHECK_EQ(sw_seen(&w, 1, SESSION_ACTION_DOWN)->a.err, IPX_CLOSED);
    sw_done(&w);
}

TEST(node_session, revoked_keys_are_out_at_once)
{
    sw_up(&w, 12);
    const struct revoke r = {.what = REVOKE_KEY, .is_by_root = true, .key = w.nodes[1].key.pk};
    CHECK_OK(chains_revoke(&w.nodes[0].chains, &r, slice_text("r"), 0));
    session_drop_revoked(w.nodes[0].plane, w.now_us);
    sw_run(&w, US_PER_S);
    CHECK(!sw_is_up(&w, 0, 1));
    sw_forget(&w);
    sw_say(&w, 1, 0, 40, "let me in");
    sw_run(&w, 10 * US_PER_S);
    CHECK_EQ(sw_seen(&w, 1, SESSION_ACTION_FAILED)->a.err, IPX_REVOKED);
    CHECK_EQ(w.nodes[0].n_events, 0);
    sw_forget(&w);
    sw_say(&w, 0, 1, 40, "nor do we go out to it");
    sw_run(&w, 10 * US_PER_S);
    CHECK_EQ(sw_seen(&w, 0, SESSION_ACTION_FAILED)->a.err, IPX_REVOKED);
    sw_done(&w);

    /* its handshake was good a moment ago, and waits for the answer to its first message */
    sw_init(&w, 13);
    w.nodes[0].answers_early = false;
    sw_say(&w, 1, 0, SW_FIND_NODE, "key");
    sw_run(&w, SW_DELAY_US);
    CHECK(sw_seen(&w, 0, SESSION_ACTION_EARLY) != NULL);
    const struct revoke again = {.what = REVOKE_KEY, .is_by_root = true, .key = w.nodes[1].key.pk};
    CHECK_OK(chains_revoke(&w.nodes[0].chains, &again, slice_text("r"), 0));
    session_drop_revoked(w.nodes[0].plane, w.now_us);
    sw_run(&w, US_PER_S);
    CHECK(!sw_is_up(&w, 0, 1));
    sw_done(&w);
}

TEST(node_session, capacity_is_kept_by_dropping_the_oldest)
{
    sw_init(&w, 13);
    session_plane_free(w.nodes[0].plane);
    struct session_config config = {.mem = &w.nodes[0].mem,
                                    .key = &w.nodes[0].key,
                                    .mesh = w.fx.mesh.mesh,
                                    .gates = sw_gate,
                                    .n_gates = 1,
                                    .chains = &w.nodes[0].chains,
                                    .chain = slice_of(w.nodes[0].chain, w.nodes[0].chain_len),
                                    .sessions_max = 1};
    CHECK_OK(session_plane_new(&config, w.now_us, sw_wall(&w), &w.nodes[0].plane));
    sw_say(&w, 1, 0, 40, "one");
    sw_run(&w, US_PER_S);
    sw_say(&w, 2, 0, 40, "two");
    sw_run(&w, US_PER_S);
    CHECK(!sw_is_up(&w, 0, 1) && sw_is_up(&w, 0, 2));
    CHECK_EQ(sw_seen(&w, 0, SESSION_ACTION_DOWN)->a.err, IPX_LIMIT);
    CHECK_EQ(sw_seen(&w, 1, SESSION_ACTION_DOWN)->a.err, IPX_CLOSED);
    sw_done(&w);
}
