/* SPDX-License-Identifier: Apache-2.0 */
/* One search by hand: slots, timeouts, ends, lies, and random peers against a whole oracle. */
#include "dht/lookup.h"

#include "base/rng.h"
#include "tests/harness.h"

#define PEERS 400

static struct mesh_id mesh = {{1}};
static struct cert_facts peers[PEERS];
static struct lookup l;

static void make_peers(uint64_t seed)
{
    struct rng rng;
    rng_init_int(&rng, seed);
    for (size_t i = 0; i < PEERS; i++) {
        rng_fill(&rng, peers[i].id.bytes, 32);
        rng_fill(&rng, peers[i].nonce, 16);
        peers[i].pos = dht_pos_of(&mesh, peers[i].nonce, &peers[i].id);
    }
}

static struct dht_contact contact(size_t i)
{
    struct dht_contact c = {.id = peers[i].id,
                            .addr = {.family = ADDR_V4, .ip = {10, 0, 0, 1}, .port = 1}};
    memcpy(c.nonce, peers[i].nonce, 16);
    return c;
}

static size_t peer_of(const struct dht_contact *c)
{
    size_t i = 0;
    while (i < PEERS && !node_id_equal(&peers[i].id, &c->id)) {
        i++;
    }
    return i;
}

/* Sorted by distance: peers[0] is the nearest to the target of zeros. */
static int by_pos(const void *a, const void *b)
{
    static const struct dht_pos zero = {{0}};
    const struct cert_facts *x = a, *y = b;
    return dht_pos_compare(&zero, &x->pos, &y->pos);
}

static void begin(enum lookup_mode mode, uint8_t alpha, uint8_t paths)
{
    struct lookup_config config = {.mesh = mesh,
                                   .self = {{0xee}},
                                   .mode = mode,
                                   .k = 16,
                                   .r = 3,
                                   .alpha = alpha,
                                   .paths = paths};
    make_peers(7);
    qsort(peers, PEERS, sizeof(peers[0]), by_pos);
    lookup_init(&l, 1000, &config);
}

static void seed(size_t from, size_t n)
{
    for (size_t i = from; i < from + n; i++) {
        struct dht_contact c = contact(i);
        lookup_seed(&l, &c, 1);
        lookup_check(&l);
    }
}

/* The next SEND: which peer; PEERS if none. */
static size_t next(uint16_t *ret_tx)
{
    struct lookup_action a;
    if (!lookup_poll(&l, true, &a)) {
        return PEERS;
    }
    lookup_check(&l);
    CHECK_EQ(a.kind, LOOKUP_SEND);
    *ret_tx = a.tx;
    return peer_of(a.contact);
}

static enum lookup_action_kind poll_end(enum ipx_err *ret_status)
{
    struct lookup_action a;
    CHECK(lookup_poll(&l, true, &a));
    *ret_status = a.status;
    return a.kind;
}

static enum ipx_err reply(uint64_t now_us, uint16_t tx, size_t who, const size_t *told, size_t n)
{
    struct dht_contact c[DHT_CONTACTS_MAX];
    for (size_t i = 0; i < n; i++) {
        c[i] = contact(told[i]);
    }
    enum ipx_err err = lookup_on_reply(&l, now_us, tx, &peers[who], c, n);
    lookup_check(&l);
    return err;
}

TEST(dht_lookup, slots_and_timeouts)
{
    uint16_t tx[8];
    begin(LOOKUP_LOCATE, 2, 1);
    seed(10, 5);
    CHECK_EQ(next(&tx[0]), 10); /* nearest first, alpha at a time */
    CHECK_EQ(next(&tx[1]), 11);
    CHECK_EQ(next(&tx[2]), PEERS);
    CHECK(lookup_deadline(&l) == 1000 + LOOKUP_SOFT_US);
    lookup_set_soft(&l, tx[1], 100000);
    CHECK(lookup_deadline(&l) == 101000);
    lookup_tick(&l, 101000); /* stalled: its slot is free */
    CHECK_EQ(l.candidates[tx[1]].state, LOOKUP_STALLED);
    CHECK_EQ(next(&tx[2]), 12);
    CHECK_EQ(next(&tx[3]), 13); /* and one more, for the silent one */
    CHECK_EQ(next(&tx[3]), PEERS);
    CHECK_OK(reply(150000, tx[1], 11, (const size_t[]){3, 5}, 2)); /* late: still counts */
    CHECK_EQ(next(&tx[3]), PEERS);                                 /* all slots are taken */
    lookup_tick(&l, 1000 + LOOKUP_SOFT_US);
    CHECK_EQ(next(&tx[3]), 3);
    lookup_tick(&l, 1000 + LOOKUP_HARD_US);
    CHECK_EQ(l.candidates[tx[0]].state, LOOKUP_FAILED);
    CHECK_EQ(reply(1000 + LOOKUP_HARD_US, tx[0], 10, NULL, 0), IPX_STALE); /* too late */
    CHECK_EQ(reply(1000 + LOOKUP_HARD_US, tx[1], 11, NULL, 0), IPX_STALE); /* a second time */
    lookup_on_fail(&l, 1000 + LOOKUP_HARD_US, tx[1]);                      /* nor a failure now */
    CHECK_EQ(l.candidates[tx[1]].state, LOOKUP_ANSWERED);
    lookup_cancel(&l);
    enum ipx_err status;
    CHECK_EQ(poll_end(&status), LOOKUP_DONE);
    CHECK_EQ(status, IPX_CLOSED);
    struct lookup_action a;
    CHECK(!lookup_poll(&l, true, &a)); /* told once */
    CHECK(lookup_deadline(&l) == NEVER_US);
    CHECK_EQ(reply(3000000, tx[2], 12, NULL, 0), IPX_STALE);
}

/* Asks and answers at once until it is over; everybody knows everybody of [0, n). */
static unsigned play(size_t n, enum ipx_err *ret_status)
{
    struct lookup_action a;
    unsigned n_sent = 0;
    while (lookup_poll(&l, true, &a)) {
        size_t told[DHT_CONTACTS_MAX];
        if (a.kind == LOOKUP_DONE) {
            *ret_status = a.status;
            return n_sent;
        }
        CHECK_EQ(a.kind, LOOKUP_SEND);
        n_sent++;
        for (size_t i = 0; i < IPX_MIN(n, DHT_CONTACTS_MAX); i++) {
            told[i] = i;
        }
        CHECK_OK(reply(2000, a.tx, peer_of(a.contact), told, IPX_MIN(n, DHT_CONTACTS_MAX)));
    }
    CHECK(false);
    return 0;
}

TEST(dht_lookup, ends)
{
    static const struct {
        enum lookup_mode mode;
        size_t known, seed, want_sent, want_found;
    } cases[] = {
        {LOOKUP_LOCATE, 300, 299, 4, 4}, {LOOKUP_CLOSEST, 300, 299, 17, 16},
        {LOOKUP_LOCATE, 300, 1, 4, 3},   {LOOKUP_CLOSEST, 5, 4, 5, 5},
        {LOOKUP_LOCATE, 2, 1, 2, 2},     {LOOKUP_LOCATE, 0, 1, 1, 1},
    };
    enum ipx_err status = IPX_OK;
    uint16_t at[32];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        begin(cases[i].mode, 1, 1);
        seed(cases[i].seed, 1);
        unsigned n = play(cases[i].known, &status);
        CHECK_OK(status);
        CHECK(n <= cases[i].want_sent);
        size_t found = lookup_closest(&l, at, 16);
        CHECK(found + 1 >= cases[i].want_found);
        for (size_t k = 0; cases[i].known > 0 && k < IPX_MIN(found, 3); k++) {
            CHECK_EQ(peer_of(&l.candidates[at[k]].contact), k);
        }
    }
    begin(LOOKUP_LOCATE, 1, 1); /* nobody to ask */
    CHECK_EQ(play(0, &status), 0);
    CHECK_EQ(status, IPX_NOT_FOUND);
    begin(LOOKUP_CLOSEST, 3, 1); /* nobody answers */
    seed(0, 3);
    uint16_t tx;
    while (next(&tx) != PEERS) {
    }
    lookup_tick(&l, 1000 + LOOKUP_SOFT_US);
    for (size_t i = 0; i < LOOKUP_ASK_AGAIN; i++) {
        CHECK_EQ(next(&tx), i); /* near and silent: once more */
    }
    lookup_tick(&l, 1000 + 2 * LOOKUP_SOFT_US);
    CHECK_EQ(next(&tx), 2);     /* now it is of the nearest that may yet answer */
    CHECK_EQ(next(&tx), PEERS); /* waits for the silent: nobody else is there */
    lookup_tick(&l, 1000 + 2 * LOOKUP_SOFT_US + LOOKUP_HARD_US);
    CHECK_EQ(poll_end(&status), LOOKUP_DONE);
    CHECK_EQ(status, IPX_NOT_FOUND);

    begin(LOOKUP_LOCATE, 1, 1); /* the very target answers: nothing can be nearer */
    l.config.target = peers[50].pos;
    seed(50, 3);
    CHECK_EQ(next(&tx), 50);
    CHECK_OK(reply(2000, tx, 50, NULL, 0));
    CHECK_EQ(poll_end(&status), LOOKUP_DONE);
    CHECK_OK(status);

    begin(LOOKUP_CLOSEST, 4, 1); /* time is over: what is known stands */
    seed(0, 20);
    CHECK_EQ(next(&tx), 0);
    CHECK_OK(reply(2000, tx, 0, NULL, 0));
    lookup_tick(&l, 1000 + LOOKUP_CAP_US);
    CHECK_EQ(poll_end(&status), LOOKUP_DONE);
    CHECK_EQ(status, IPX_TIMEOUT);
    CHECK_EQ(lookup_closest(&l, at, 16), 1);
    CHECK_EQ(lookup_claims(&l, at, 16), 16);
}

/* Of 20 peers all answer but some of the nearest: which are asked twice? */
TEST(dht_lookup, a_near_loss_is_asked_once_more)
{
    static const struct {
        enum lookup_mode mode;
        size_t silent, want_again; /* that place; how many are asked twice */
    } cases[] = {
        {LOOKUP_CLOSEST, 0, 1}, {LOOKUP_CLOSEST, LOOKUP_ASK_AGAIN - 1, 1},
        {LOOKUP_VALUE, 0, 1},   {LOOKUP_CLOSEST, LOOKUP_ASK_AGAIN, 0},
        {LOOKUP_LOCATE, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct lookup_action a;
        uint16_t silent_tx = LOOKUP_NONE;
        size_t n_again = 0;
        begin(cases[i].mode, 4, 1);
        seed(0, 20);
        for (uint64_t now = 1000; lookup_poll(&l, true, &a) || !l.is_over; now += 50000) {
            if (a.kind == LOOKUP_SEND && peer_of(a.contact) != cases[i].silent) {
                CHECK_OK(reply(now, a.tx, peer_of(a.contact), NULL, 0));
            } else if (a.kind == LOOKUP_SEND) {
                n_again += silent_tx == a.tx;
                silent_tx = a.tx;
            }
            a.kind = LOOKUP_DONE;
            lookup_tick(&l, now);
            lookup_check(&l);
        }
        CHECK_EQ(n_again, cases[i].want_again);
    }
    /* The first question given up does not fail a candidate whose second is open; its answer to
     * either counts. */
    uint16_t tx, tx2;
    begin(LOOKUP_CLOSEST, 1, 1);
    seed(0, 1);
    CHECK_EQ(next(&tx), 0);
    lookup_tick(&l, 1000 + LOOKUP_SOFT_US);
    CHECK_EQ(next(&tx2), 0);
    CHECK_EQ(tx2, tx);
    lookup_on_fail(&l, 1000 + LOOKUP_HARD_US, tx);
    CHECK_EQ(l.candidates[tx].state, LOOKUP_WAITING);
    CHECK_OK(reply(1000 + LOOKUP_HARD_US, tx, 0, NULL, 0));
    enum ipx_err status;
    CHECK_EQ(poll_end(&status), LOOKUP_DONE);
    CHECK_OK(status);
}

/* Each silent one gives room for one more: 4 slots become 8 for a closest set, 5 for a location;
 * on disjoint paths they stay. A second question takes no slot. */
TEST(dht_lookup, silence_gives_room)
{
    static const struct {
        enum lookup_mode mode;
        uint8_t alpha, paths;
        unsigned want; /* new ones asked when the first have stalled */
    } cases[] = {
        {LOOKUP_CLOSEST, 4, 1, 8}, {LOOKUP_CLOSEST, 2, 1, 4}, {LOOKUP_CLOSEST, 8, 1, 8},
        {LOOKUP_LOCATE, 4, 1, 5},  {LOOKUP_LOCATE, 6, 1, 6},  {LOOKUP_CLOSEST, 1, 4, 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned n_first = 0, n_new = 0, n_again = 0;
        struct lookup_action a;
        begin(cases[i].mode, cases[i].alpha, cases[i].paths);
        seed(0, 32);
        while (lookup_poll(&l, true, &a)) {
            n_first++;
        }
        CHECK_EQ(n_first, cases[i].alpha * cases[i].paths);
        lookup_tick(&l, 1000 + LOOKUP_SOFT_US);
        while (lookup_poll(&l, true, &a)) {
            n_new += l.candidates[a.tx].n_asked == 1;
            n_again += l.candidates[a.tx].n_asked == 2;
        }
        CHECK_EQ(n_new, cases[i].want);
        CHECK_EQ(n_again == 0, cases[i].mode == LOOKUP_LOCATE);
        lookup_check(&l);
    }
}

TEST(dht_lookup, values)
{
    enum ipx_err status;
    uint16_t tx[4];
    begin(LOOKUP_VALUE, 4, 1);
    seed(0, 20);
    for (size_t i = 0; i < 4; i++) {
        CHECK_EQ(next(&tx[i]), i);
        CHECK_OK(reply(2000, tx[i], i, NULL, 0));
    }
    CHECK(lookup_on_value(&l, 2000, tx[0], 5));
    CHECK(!lookup_on_value(&l, 2000, tx[0], 5)); /* one holder counts once */
    CHECK(!lookup_on_value(&l, 2000, tx[1], 4)); /* older: not the best, no agreement */
    CHECK_EQ(l.n_agree, 1);
    CHECK(lookup_on_value(&l, 2000, tx[2], 6)); /* newer: counting begins anew */
    CHECK(!lookup_on_value(&l, 2000, tx[3], 6));
    CHECK_EQ(l.n_agree, 2);
    CHECK(!lookup_on_value(&l, 2000, tx[0], 6)); /* it has changed its mind */
    CHECK_EQ(l.n_agree, 3);
    CHECK_EQ(poll_end(&status), LOOKUP_DONE);
    CHECK_OK(status);

    begin(LOOKUP_VALUE, 1, 1); /* one holder only: 300 ms of grace */
    seed(0, 20);
    CHECK_EQ(next(&tx[0]), 0);
    CHECK_OK(reply(2000, tx[0], 0, NULL, 0));
    CHECK(lookup_on_value(&l, 2000, tx[0], 0)); /* seq 0 is a value too */
    CHECK_EQ(next(&tx[1]), 1);
    CHECK(lookup_deadline(&l) == 2000 + LOOKUP_GRACE_US);
    lookup_tick(&l, 2000 + LOOKUP_GRACE_US);
    CHECK_EQ(poll_end(&status), LOOKUP_DONE);
    CHECK_OK(status);

    begin(LOOKUP_VALUE, 1, 1); /* everybody answers, nobody has it */
    seed(0, 20);
    play(20, &status);
    CHECK_EQ(status, IPX_NOT_FOUND);
}

TEST(dht_lookup, lies)
{
    struct lookup_action a;
    struct dht_contact c;
    uint16_t tx[20];
    begin(LOOKUP_CLOSEST, 8, 1);
    seed(200, 1);
    CHECK_EQ(next(&tx[0]), 200);
    struct dht_contact told[2] = {contact(5), contact(6)}; /* 5 under a false nonce */
    told[0].nonce[3] ^= 1;
    CHECK_OK(lookup_on_reply(&l, 2000, tx[0], &peers[200], told, 2));
    size_t who[2] = {next(&tx[1]), next(&tx[2])};
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(reply(3000, tx[i + 1], who[i], (const size_t[]){5}, 1),
                 who[i] == 5 ? IPX_REFUSED : IPX_OK);
    }
    CHECK(lookup_poll(&l, true, &a)); /* the referrer is named */
    CHECK_EQ(a.kind, LOOKUP_STRIKE);
    CHECK_EQ(peer_of(a.contact), 200);
    CHECK_EQ(next(&tx[3]), 5); /* the true claim was not kept out by the false one */
    CHECK_OK(reply(4000, tx[3], 5, NULL, 0));
    c = contact(5); /* whoever contradicts a certificate that was seen lies, without asking */
    c.nonce[0] ^= 1;
    seed(201, 1);
    CHECK_EQ(next(&tx[4]), 201);
    CHECK_OK(lookup_on_reply(&l, 5000, tx[4], &peers[201], &c, 1));
    CHECK(lookup_poll(&l, true, &a));
    CHECK_EQ(a.kind, LOOKUP_STRIKE);
    CHECK_EQ(peer_of(a.contact), 201);

    /* 16 fakes, nearer than everybody: after three that stall the rest are asked last, after three
     * that fail not at all. */
    begin(LOOKUP_CLOSEST, 3, 1);
    seed(100, 1);
    seed(101, 2);
    size_t fakes[16];
    for (size_t i = 0; i < 16; i++) {
        fakes[i] = i;
    }
    CHECK_EQ(next(&tx[0]), 100);
    CHECK_OK(reply(2000, tx[0], 100, fakes, 16));
    for (size_t i = 1; i <= 3; i++) {
        CHECK_EQ(next(&tx[i]), i - 1);
    }
    lookup_tick(&l, 2000 + LOOKUP_SOFT_US);
    CHECK_EQ(next(&tx[4]), 101); /* the honest ones come first now */
    CHECK_EQ(next(&tx[5]), 102);
    CHECK_EQ(next(&tx[6]), 3);
    CHECK_OK(reply(500000, tx[4], 101, NULL, 0));
    CHECK_OK(reply(500000, tx[5], 102, NULL, 0));
    lookup_tick(&l, 2000 + LOOKUP_HARD_US);
    enum ipx_err status = IPX_CLOSED;
    CHECK_EQ(poll_end(&status), LOOKUP_STRIKE);
    lookup_tick(&l, 500000 + LOOKUP_HARD_US);
    unsigned n_asked = 0;
    for (size_t i = 0; i < l.n; i++) {
        n_asked += l.candidates[i].sent_us > 0;
    }
    CHECK(n_asked <= 3 + 3 + 3);
    lookup_check(&l);
}

TEST(dht_lookup, unknown_position)
{
    uint16_t tx[3], at[3];
    begin(LOOKUP_CLOSEST, 3, 1);
    seed(1, 2);
    struct dht_contact c = contact(9);
    memset(c.nonce, 0, 16);
    c.flags = DHT_FLAG_NO_NONCE;
    lookup_seed(&l, &c, 1);
    lookup_seed(&l, &c, 1);
    lookup_check(&l);
    CHECK_EQ(l.n, 3);
    CHECK_EQ(next(&tx[0]), 9); /* asked first: nobody can say how near it is */
    CHECK_EQ(next(&tx[1]), 1);
    CHECK_EQ(next(&tx[2]), 2);
    CHECK_EQ(lookup_claims(&l, at, 3), 2);
    CHECK_OK(reply(2000, tx[0], 9, NULL, 0)); /* its certificate says */
    CHECK_OK(reply(2000, tx[2], 2, NULL, 0));
    CHECK_EQ(lookup_closest(&l, at, 3), 2);
    CHECK_EQ(peer_of(&l.candidates[at[0]].contact), 2);
    CHECK_EQ(peer_of(&l.candidates[at[1]].contact), 9);
    c.id = l.config.self; /* ourselves: never */
    c.flags = 0;
    lookup_seed(&l, &c, 1);
    CHECK_EQ(l.n, 3);
}

/* Random peers: some answer, some late, some never, some tell nonsense. Whatever they do it ends,
 * within its caps, and the paths share no candidate. */
static void random_peers(uint64_t seed_number, uint8_t paths, enum lookup_mode mode)
{
    struct rng rng;
    struct lookup_action a;
    uint16_t asked[LOOKUP_MESSAGES_MAX];
    uint64_t now = 1000;
    unsigned n_asked = 0;
    bool is_done = false;
    rng_init_int(&rng, seed_number);
    begin(mode, (uint8_t)(1 + rng_below(&rng, 8)), paths);
    seed(rng_below(&rng, 300), 32);
    while (!is_done) {
        while (lookup_poll(&l, rng_chance(&rng, 900), &a) && !is_done) {
            is_done = a.kind == LOOKUP_DONE;
            if (a.kind == LOOKUP_SEND) {
                CHECK(n_asked < LOOKUP_MESSAGES_MAX);
                asked[n_asked++] = a.tx;
            }
        }
        now += rng_below(&rng, 100000);
        for (size_t k = rng_below(&rng, 4); k > 0 && n_asked > 0; k--) {
            uint16_t tx = asked[rng_below(&rng, n_asked)];
            size_t who = peer_of(&l.candidates[tx].contact), told[DHT_CONTACTS_MAX];
            for (size_t i = 0; i < DHT_CONTACTS_MAX; i++) {
                told[i] = rng_below(&rng, PEERS);
            }
            struct cert_facts f = peers[who];
            f.nonce[0] ^= rng_chance(&rng, 30) ? 1 : 0;
            struct dht_contact c[DHT_CONTACTS_MAX];
            for (size_t i = 0; i < DHT_CONTACTS_MAX; i++) {
                c[i] = contact(told[i]);
                c[i].nonce[1] ^= rng_chance(&rng, 50) ? 1 : 0;
            }
            err_ignore(lookup_on_reply(&l, now, tx, &f, c, rng_below(&rng, 17)), "any is fine");
            if (rng_chance(&rng, 50)) {
                lookup_on_fail(&l, now, asked[rng_below(&rng, n_asked)]);
            }
            lookup_check(&l);
        }
        lookup_tick(&l, now);
        lookup_check(&l);
        CHECK(now <= 1000 + LOOKUP_CAP_US + 200000);
    }
}

TEST(dht_lookup, random_peers_always_end)
{
    for (uint64_t s = 0; s < 60; s++) {
        random_peers(s, s % 3 == 0 ? 4 : 1, (enum lookup_mode)(s % 3));
    }
}
