/* SPDX-License-Identifier: Apache-2.0 */
/* The book of admissions: one ticket is one membership, in whatever order news arrives. */
#include "tests/harness.h"

#include "tests/cert_fixture.h"

static const uint8_t secret[16] = {7};

struct shelf { /* a book with its memory */
    struct mem mem;
    struct admit_book book;
};

static void shelf_init(struct shelf *s, const struct fx *x, uint32_t capacity)
{
    mem_init(&s->mem, SIZE_MAX);
    CHECK_OK(admit_book_init(&s->book, &s->mem, &x->mesh.mesh, capacity, secret));
}

static void shelf_done(struct shelf *s)
{
    admit_book_check(&s->book);
    admit_book_done(&s->book);
    CHECK_EQ(s->mem.used, 0);
}

/* The notice of an honest joiner with the ticket's secret, as gossip brings it: with a proof that
 * the receiver may not be able to check. */
static struct admit_notice notice(const struct fx *x, const struct crypt_keypair *joiner,
                                  const struct node_id *admitter, int64_t at_ms)
{
    uint8_t bytes[ADMIT_REQUEST_MAX];
    struct writer w = writer_of(bytes, sizeof bytes);
    struct admit_request req;
    struct admit_notice n;
    CHECK_OK(admit_request_put(&x->ticket, joiner, "name", &w));
    CHECK_OK(admit_request_verify(writer_slice(&w), x->issuer_cert, &x->mesh.mesh, FX_WALL,
                                  &joiner->pk, &req));
    struct admit_grant g = {.admitted_ms = at_ms, .admitter = *admitter};
    admit_notice_of_request(&req, &g, &n);
    n.is_proved = false;
    return n;
}

/* The admitter invents a joiner who never had the ticket. */
static struct admit_notice forged(const struct fx *x, const struct crypt_keypair *joiner,
                                  int64_t at_ms)
{
    struct admit_notice n = notice(x, joiner, &x->eve.pk, at_ms);
    n.one_time_sig[5] ^= 1;
    return n;
}

TEST(admit_book, earliest_wins_in_any_order)
{
    struct fx x;
    fx_init(&x);
    int64_t now = FX_WALL + FX_HOUR;
    uint8_t seed[32];
    struct crypt_keypair third = fx_key(20, seed);
    const struct admit_notice n[3] = {notice(&x, &x.bob, &x.ada.pk, now - 3000),
                                      notice(&x, &x.eve, &x.ada.pk, now - 2000),
                                      notice(&x, &third, &x.ada.pk, now - 1000)};
    static const uint8_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (size_t i = 0; i < 6 * 2; i++) {
        struct shelf s;
        struct admit_seen seen;
        struct node_id *one_time = i < 6 ? NULL : &x.ticket.one_time.pk; /* ticket at hand or not */
        shelf_init(&s, &x, 4);
        for (size_t k = 0; k < 3; k++) {
            enum ipx_err err = admit_book_see(&s.book, &n[orders[i % 6][k]], one_time, now, &seen);
            CHECK_EQ(err, k == 0 ? IPX_OK : IPX_CONFLICT);
            CHECK(seen.is_new);
            CHECK(k == 0 || seen.is_dropped); /* less than ten minutes ago */
        }
        CHECK(node_id_equal(&seen.winner.claim.id, &x.bob.pk));
        for (size_t k = 0; k < 3; k++) { /* again: nothing new, the same verdicts */
            enum ipx_err err = admit_book_see(&s.book, &n[k], one_time, now + FX_HOUR, &seen);
            CHECK_EQ(err, k == 0 ? IPX_EXISTS : IPX_CONFLICT);
            CHECK(!seen.is_new && seen.is_dropped == (k != 0));
            CHECK(node_id_equal(&seen.winner.claim.id, &x.bob.pk));
            struct cert_facts f = {
                .id = n[k].claim.id, .birth_issuer = x.issuer.pk, .birth_serial = 77};
            CHECK_EQ(admit_book_is_dropped(&s.book, &f), k != 0);
            f.birth_serial++;
            CHECK(!admit_book_is_dropped(&s.book, &f));
        }
        shelf_done(&s);
    }
}

TEST(admit_book, ties_and_old_conflicts)
{
    struct fx x;
    fx_init(&x);
    struct shelf s;
    struct admit_seen seen;
    int64_t now = FX_WALL + FX_HOUR, at = now - ADMIT_CONFLICT_MS;
    struct node_id low = x.ada.pk, high = x.ada.pk;
    low.bytes[0] = 0;
    high.bytes[0] = 0xff;
    struct admit_notice a = notice(&x, &x.bob, &high, at), b = notice(&x, &x.eve, &low, at);
    shelf_init(&s, &x, 1);
    CHECK_OK(admit_book_see(&s.book, &a, NULL, now, &seen));
    CHECK_EQ(admit_book_see(&s.book, &b, NULL, now, &seen), IPX_CONFLICT);
    CHECK(node_id_equal(&seen.winner.claim.id, &x.eve.pk)); /* the lower admitter */
    CHECK(node_id_equal(&seen.loser.claim.id, &x.bob.pk));
    CHECK(!seen.is_dropped); /* ten minutes have passed: both stay, the event tells */
    struct cert_facts f = {.id = x.bob.pk, .birth_issuer = x.issuer.pk, .birth_serial = 77};
    CHECK(!admit_book_is_dropped(&s.book, &f));
    /* The verdict stands when the loser is seen again; a second admission of its key that is
     * earlier than all turns the matter round */
    CHECK_EQ(admit_book_see(&s.book, &a, NULL, at, &seen), IPX_CONFLICT);
    CHECK(!seen.is_new && !seen.is_dropped);
    a.admitted_ms = at - 1;
    CHECK_EQ(admit_book_see(&s.book, &a, NULL, now, &seen), IPX_CONFLICT);
    CHECK(node_id_equal(&seen.winner.claim.id, &x.bob.pk) && seen.is_new);
    shelf_done(&s);
}

TEST(admit_book, one_key_twice)
{
    struct fx x;
    fx_init(&x);
    struct shelf s;
    struct admit_seen seen;
    struct admit_notice known;
    int64_t now = FX_WALL + FX_HOUR;
    struct admit_notice late = notice(&x, &x.bob, &x.eve.pk, now), first;
    memcpy(late.claim.name, "bob", 4);
    first = late;
    first.admitter = x.ada.pk;
    first.admitted_ms = now - 1000;
    first.nonce[0] = 0x11;
    shelf_init(&s, &x, 4);
    CHECK_EQ(admit_book_find(&s.book, &x.req, &known), IPX_NOT_FOUND);
    late.is_proved = first.is_proved = true;
    CHECK_OK(admit_book_see(&s.book, &late, NULL, now, &seen));
    CHECK_OK(admit_book_find(&s.book, &x.req, &known));
    CHECK_OK(admit_book_see(&s.book, &first, NULL, now, &seen)); /* the valid one came late */
    CHECK(seen.is_new);
    CHECK_EQ(admit_book_see(&s.book, &late, NULL, now, &seen), IPX_EXISTS);
    CHECK_MEM(seen.winner.nonce, first.nonce, 16); /* the draw that counts */
    CHECK_OK(admit_book_find(&s.book, &x.req, &known));
    CHECK_MEM(known.nonce, first.nonce, 16);
    struct admit_request other = x.req;
    memcpy(other.claim.name, "rob", 4);
    CHECK_EQ(admit_book_find(&s.book, &other, &known), IPX_CONFLICT);
    CHECK_STR(known.claim.name, "bob");
    other = x.req;
    other.claim.id = x.eve.pk;
    CHECK_EQ(admit_book_find(&s.book, &other, &known), IPX_USED);
    CHECK(node_id_equal(&known.claim.id, &x.bob.pk));
    other = x.req; /* the same serial of another issuer is another ticket */
    other.issuer.subject = x.eve.pk;
    CHECK_EQ(admit_book_find(&s.book, &other, &known), IPX_NOT_FOUND);
    shelf_done(&s);
}

TEST(admit_book, forged_notices_take_nothing)
{
    struct fx x;
    fx_init(&x);
    struct shelf s;
    struct admit_seen seen;
    struct admit_notice known;
    int64_t now = FX_WALL + FX_HOUR;
    const struct node_id *one_time = &x.ticket.one_time.pk;
    struct admit_notice false_one = forged(&x, &x.eve, now - 9000);
    struct admit_notice real = notice(&x, &x.bob, &x.ada.pk, now - 1000);
    struct cert_facts facts;
    CHECK_OK(fx_verify(&x, x.bob_chain, now, NULL, &facts));

    shelf_init(&s, &x, 4); /* the ticket is at hand: refused at once */
    CHECK_EQ(admit_book_see(&s.book, &false_one, one_time, now, &seen), IPX_BAD_SIGNATURE);
    CHECK_EQ(s.book.count, 0);
    CHECK_OK(admit_book_see(&s.book, &real, one_time, now, &seen));
    CHECK_EQ(admit_book_see(&s.book, &false_one, NULL, now, &seen), IPX_BAD_SIGNATURE);
    shelf_done(&s);

    shelf_init(&s, &x, 4); /* hearsay first: it does not keep bob out, and gives way */
    CHECK_OK(admit_book_see(&s.book, &false_one, NULL, now, &seen));
    CHECK_EQ(admit_book_find(&s.book, &x.req, &known), IPX_NOT_FOUND);
    CHECK_OK(admit_book_see(&s.book, &real, one_time, now, &seen));
    CHECK(seen.is_new && node_id_equal(&seen.winner.claim.id, &x.bob.pk));
    CHECK_EQ(admit_book_see(&s.book, &false_one, one_time, now, &seen), IPX_BAD_SIGNATURE);
    struct cert_facts f = {.id = x.eve.pk, .birth_issuer = x.issuer.pk, .birth_serial = 77};
    CHECK(!admit_book_is_dropped(&s.book, &f));
    shelf_done(&s);

    shelf_init(&s, &x, 4); /* a verified chain stands before an earlier hearsay */
    admit_notice_of_facts(&facts, &real);
    CHECK_OK(admit_book_see(&s.book, &real, NULL, now, &seen));
    CHECK_EQ(admit_book_see(&s.book, &false_one, NULL, now, &seen), IPX_CONFLICT);
    CHECK(node_id_equal(&seen.winner.claim.id, &x.bob.pk));
    shelf_done(&s);

    shelf_init(&s, &x, 4); /* two that are false: neither stands, the next true one does */
    CHECK_OK(admit_book_see(&s.book, &false_one, NULL, now, &seen));
    CHECK_EQ(admit_book_see(&s.book, &false_one, one_time, now, &seen), IPX_BAD_SIGNATURE);
    CHECK_EQ(admit_book_find(&s.book, &x.req, &known), IPX_NOT_FOUND);
    CHECK_OK(admit_book_see(&s.book, &real, NULL, now, &seen));
    CHECK_EQ(admit_book_see(&s.book, &real, NULL, now, &seen), IPX_EXISTS);
    shelf_done(&s);

    shelf_init(&s, &x, 4); /* hearsay that is proved by the same chain is no news */
    real = notice(&x, &x.bob, &x.ada.pk, x.grant.admitted_ms);
    CHECK_OK(admit_book_see(&s.book, &real, NULL, now, &seen));
    admit_notice_of_facts(&facts, &real);
    CHECK_EQ(admit_book_see(&s.book, &real, NULL, now, &seen), IPX_EXISTS);
    CHECK(!seen.is_new && seen.winner.is_proved);
    shelf_done(&s);
}

TEST(admit_book, counts_what_an_issuer_admitted)
{
    struct fx x;
    struct shelf s;
    struct admit_seen seen;
    fx_init(&x);
    shelf_init(&s, &x, 8);
    for (uint64_t i = 0; i < 5; i++) {
        struct admit_notice n = notice(&x, &x.bob, &x.ada.pk, FX_WALL + (int64_t)i);
        n.claim.serial = i;
        CHECK_OK(admit_book_see(&s.book, &n, NULL, FX_WALL, &seen));
    }
    CHECK_EQ(admit_book_count_since(&s.book, x.issuer.pk.bytes, FX_WALL), 5);
    CHECK_EQ(admit_book_count_since(&s.book, x.issuer.pk.bytes, FX_WALL + 3), 2);
    CHECK_EQ(admit_book_count_since(&s.book, x.eve.pk.bytes, FX_WALL), 0);
    shelf_done(&s);
}

TEST(admit_book, is_bounded_and_forgets_the_oldest)
{
    struct fx x;
    fx_init(&x);
    struct shelf s;
    struct admit_seen seen;
    struct admit_notice n = notice(&x, &x.bob, &x.ada.pk, FX_WALL), known;
    n.is_proved = true;
    shelf_init(&s, &x, 16);
    size_t used = s.mem.used;
    for (uint64_t serial = 1; serial <= 1000; serial++) {
        n.claim.serial = serial;
        CHECK_OK(admit_book_see(&s.book, &n, NULL, FX_WALL, &seen));
        n.claim.serial = 1; /* asked for each time, so it stays */
        CHECK_EQ(admit_book_see(&s.book, &n, NULL, FX_WALL, &seen), IPX_EXISTS);
        admit_book_check(&s.book);
    }
    CHECK_EQ(s.book.count, 16);
    CHECK_EQ(s.mem.used, used);
    struct admit_request req = x.req;
    for (uint64_t serial = 1; serial <= 1000; serial++) {
        req.claim.serial = serial;
        CHECK_EQ(admit_book_find(&s.book, &req, &known) != IPX_NOT_FOUND,
                 serial == 1 || serial > 985);
    }
    n.claim.id.bytes[1] ^= 0xff;
    for (uint8_t i = 0; i < 50; i++) { /* many losers of one ticket */
        n.claim.serial = 1000;
        n.claim.id.bytes[0] = i;
        n.admitted_ms = FX_WALL + 1;
        CHECK_EQ(admit_book_see(&s.book, &n, NULL, FX_WALL, &seen), IPX_CONFLICT);
        admit_book_check(&s.book);
    }
    shelf_done(&s);

    mem_init(&s.mem, SIZE_MAX);
    for (uint64_t k = 0; k < 3; k++) { /* no memory: nothing stays behind */
        s.mem.fail_after = k;
        CHECK_EQ(admit_book_init(&s.book, &s.mem, &x.mesh.mesh, 16, secret), IPX_NO_MEMORY);
        CHECK_EQ(s.mem.used, 0);
    }
}

TEST(admit_book, survives_on_disk)
{
    struct fx x;
    fx_init(&x);
    struct shelf s, t;
    struct admit_seen seen;
    static uint8_t disk[8 + 16 * (8 + ADMIT_BOOK_ENTRY_MAX)], again[sizeof disk];
    int64_t now = FX_WALL + FX_HOUR;
    shelf_init(&s, &x, 16);
    shelf_init(&t, &x, 16);
    struct admit_notice n = notice(&x, &x.bob, &x.ada.pk, now - 2000);
    CHECK_OK(admit_book_see(&s.book, &n, &x.ticket.one_time.pk, now, &seen));
    struct admit_notice loser = notice(&x, &x.eve, &x.ada.pk, now - 1000);
    CHECK_EQ(admit_book_see(&s.book, &loser, NULL, now, &seen), IPX_CONFLICT);
    for (uint64_t serial = 1; serial <= 20; serial++) {
        n.claim.serial = serial;
        n.is_proved = serial % 2 == 0;
        n.has_proof = serial % 3 == 0;
        err_ignore(admit_book_see(&s.book, &n, NULL, now, &seen), "new each time");
        err_ignore(admit_book_see(&s.book, &loser, NULL, now, &seen), "keeps the entry in use");
    }
    struct writer w = writer_of(disk, sizeof disk), v = writer_of(again, sizeof again);
    admit_book_save(&s.book, &w);
    CHECK(!w.failed);
    CHECK_OK(admit_book_load(&t.book, writer_slice(&w)));
    CHECK_EQ(t.book.count, 16);
    admit_book_check(&t.book);
    admit_book_save(&t.book, &v);
    CHECK(slice_equal(writer_slice(&w), writer_slice(&v)));
    struct cert_facts f = {.id = x.eve.pk, .birth_issuer = x.issuer.pk, .birth_serial = 77};
    CHECK(admit_book_is_dropped(&t.book, &f));
    CHECK_EQ(admit_book_see(&t.book, &loser, NULL, now + FX_HOUR, &seen), IPX_CONFLICT);
    CHECK(!seen.is_new && seen.is_dropped);
    CHECK_OK(admit_book_load(&t.book, writer_slice(&w))); /* what is there stays */
    admit_book_check(&t.book);
    for (size_t i = 0; i < w.len; i += 3) { /* a cut file is known as such, and harmless */
        struct shelf u;
        shelf_init(&u, &x, 4);
        CHECK_EQ(admit_book_load(&u.book, slice_of(disk, i)), IPX_MALFORMED);
        shelf_done(&u);
    }
    shelf_done(&s);
    shelf_done(&t);
}
