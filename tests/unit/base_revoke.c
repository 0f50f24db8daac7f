/* SPDX-License-Identifier: Apache-2.0 */
/* Revocations: the bytes, who may sign one, whom it strikes, when it is over. */
#include "base/revoke.h"
#include "tests/harness.h"

#include "tests/cert_fixture.h"

static struct fx x;
static uint8_t bytes[REVOKE_MAX];

static struct revoke of_key(const struct node_id *key)
{
    return (struct revoke){
        .what = REVOKE_KEY, .key = *key, .at_ms = FX_WALL, .reason = REVOKE_STOLEN};
}

static struct revoke of_serials(const struct node_id *issuer, uint64_t min, uint64_t max)
{
    struct revoke r = {.what = REVOKE_SERIALS,
                       .serial_min = min,
                       .serial_max = max,
                       .at_ms = FX_WALL,
                       .reason = REVOKE_ABUSE};
    memcpy(r.issuer_tag, issuer->bytes, sizeof r.issuer_tag);
    return r;
}

static struct slice sign(const struct revoke *r, bool is_by_root)
{
    struct writer w = writer_of(bytes, sizeof bytes);
    revoke_sign(r, is_by_root ? &x.root : &x.issuer, is_by_root ? SLICE_EMPTY : x.issuer_cert,
                &x.mesh.mesh, &w);
    CHECK(!w.failed);
    return writer_slice(&w);
}

TEST(revoke, golden)
{
    static const char by_issuer[] =
        "82a40182025820003bf18a1828c284d4ef560063a2e40edc10c9c4e9ec66a45c6ff8f0bfb06a860282015820"
        "17a0d952b3a4f56e08f40196e277d357cb0203ec390127455559e6b3f40ec255031b000001a3185c50000401"
        "5840cd22be49b09d67a8f031cd62aee14ba811952dfc536454c5428777a2db9964cf2daa077e5e29941cb2a2"
        "27c0a3aff7edacc71f8a81f510f474d4b140b7a7370d";
    static const char by_root[] =
        "82a401820158208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c0284025025"
        "1ce889866a2495085def6b624555f51bfffffffffffffffe1bffffffffffffffff031b000400000000000004"
        "035840e0fc53c9622651a9558e212d4533df972bcd578384de1e811e8d95dc84c7bd0f7b43b01875a7d27950"
        "e0717bae34f399d371a9fd6553ace456882df1e4b9410a";
    fx_init(&x);
    char hex[2 * REVOKE_MAX + 1];
    struct revoke r = of_key(&x.bob.pk);
    hex_encode(sign(&r, false), hex);
    CHECK_STR(hex, by_issuer);
    r = of_serials(&x.issuer.pk, UINT64_MAX - 1, UINT64_MAX);
    r.at_ms = CERT_TIME_MAX_MS;
    hex_encode(sign(&r, true), hex);
    CHECK_STR(hex, by_root);
    CHECK(sign(&r, true).len <= REVOKE_MAX);
}

TEST(revoke, what_was_signed_is_read)
{
    fx_init(&x);
    for (int i = 0; i < 4; i++) {
        struct revoke r = i % 2 == 0 ? of_key(&x.bob.pk) : of_serials(&x.issuer.pk, 5, 77), got;
        bool is_by_root = i < 2;
        struct slice in = sign(&r, is_by_root);
        CHECK_OK(revoke_verify(in, &x.mesh.mesh, is_by_root ? SLICE_EMPTY : x.issuer_cert, &got));
        CHECK_EQ(got.what, r.what);
        CHECK_EQ(got.reason, r.reason);
        CHECK_EQ(got.at_ms, r.at_ms);
        CHECK_EQ(got.is_by_root, is_by_root);
        CHECK(node_id_equal(&got.revoker, is_by_root ? &x.root.pk : &x.issuer.pk));
        CHECK(got.what != REVOKE_KEY || node_id_equal(&got.key, &x.bob.pk));
        CHECK(got.what != REVOKE_SERIALS || (got.serial_min == 5 && got.serial_max == 77));
    }
}

TEST(revoke, who_may_sign)
{
    struct revoke r, got;
    fx_init(&x);
    r = of_key(&x.bob.pk);
    struct slice in = sign(&r, false);
    CHECK_EQ(revoke_verify(in, &x.mesh.mesh, SLICE_EMPTY, &got), IPX_NEED_CHAIN);
    struct hash cert = crypt_hash(x.issuer_cert);
    CHECK(hash_equal(&got.issuer_cert, &cert)); /* which certificate is wanted */
    CHECK_EQ(revoke_verify(in, &x.mesh.mesh, x.pub, &got), IPX_NEED_CHAIN);
    struct mesh_id other = {{9}};
    CHECK_EQ(revoke_verify(in, &other, x.issuer_cert, &got), IPX_OTHER_MESH);
    /* a root of another mesh, and a node that takes itself for the root */
    struct writer w = writer_of(bytes, sizeof bytes);
    revoke_sign(&r, &x.eve, SLICE_EMPTY, &x.mesh.mesh, &w);
    CHECK_EQ(revoke_verify(writer_slice(&w), &x.mesh.mesh, SLICE_EMPTY, &got), IPX_OTHER_MESH);
    /* somebody else's signature under the issuer's certificate */
    w = writer_of(bytes, sizeof bytes);
    revoke_sign(&r, &x.eve, x.issuer_cert, &x.mesh.mesh, &w);
    CHECK_EQ(revoke_verify(writer_slice(&w), &x.mesh.mesh, x.issuer_cert, &got), IPX_BAD_SIGNATURE);
    /* not in the time of the issuer's certificate */
    r.at_ms = FX_WALL - 30 * FX_DAY;
    CHECK_EQ(revoke_verify(sign(&r, false), &x.mesh.mesh, x.issuer_cert, &got), IPX_NOT_YET);
    r.at_ms = FX_WALL + 400 * FX_DAY;
    CHECK_EQ(revoke_verify(sign(&r, false), &x.mesh.mesh, x.issuer_cert, &got), IPX_EXPIRED);
    CHECK_OK(revoke_verify(sign(&r, true), &x.mesh.mesh, SLICE_EMPTY, &got));
}

TEST(revoke, an_issuer_without_the_right_may_not)
{
    struct revoke r, got;
    fx_init(&x);
    struct cert cert = x.mesh.signer.cert;
    uint8_t out[CERT_BYTES_MAX];
    struct writer w = writer_of(out, sizeof out);
    cert.grant.caps &= ~(uint32_t)CERT_CAP_REVOKE;
    cert_sign(&cert, &x.root, &w);
    r = of_key(&x.bob.pk);
    struct writer v = writer_of(bytes, sizeof bytes);
    revoke_sign(&r, &x.issuer, writer_slice(&w), &x.mesh.mesh, &v);
    CHECK_EQ(revoke_verify(writer_slice(&v), &x.mesh.mesh, writer_slice(&w), &got), IPX_CAPS);
}

TEST(revoke, no_byte_of_it_can_be_changed)
{
    struct revoke r, got;
    fx_init(&x);
    r = of_serials(&x.issuer.pk, 5, 77);
    struct slice in = sign(&r, false);
    for (size_t i = 0; i < in.len; i++) {
        bytes[i] ^= 1;
        CHECK(revoke_verify(in, &x.mesh.mesh, x.issuer_cert, &got) != IPX_OK);
        bytes[i] ^= 1;
        CHECK(revoke_verify(slice_of(bytes, i), &x.mesh.mesh, x.issuer_cert, &got) != IPX_OK);
    }
    CHECK_OK(revoke_verify(in, &x.mesh.mesh, x.issuer_cert, &got));
}

TEST(revoke, malformed)
{
    /* bodies; the signature is not looked at */
    static const char *const rows[] = {
        "a0",
        ("a4018203582000000000000000000000000000000000000000000000000000000000000000000282010003010"
         "400"),
        "a4018101028201000301",
    };
    struct revoke got;
    fx_init(&x);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t body[128];
        size_t len;
        CHECK_OK(hex_decode(slice_text(rows[i]), body, sizeof body, &len));
        struct writer w = writer_of(bytes, sizeof bytes);
        signed_write(&w, slice_of(body, len), &x.root, "revoke", &x.mesh.mesh);
        CHECK_EQ(revoke_decode(writer_slice(&w), &got), IPX_MALFORMED);
    }
    static const struct node_id small_order = {{1}};
    struct revoke r = of_key(&small_order);
    CHECK_EQ(revoke_decode(sign(&r, true), &got), IPX_BAD_KEY);
}

static void check(const char *what, const struct revoke *r, const struct cert_facts *f, bool want)
{
    if (revoke_strikes(r, f) != want) {
        CHECK_FAIL("%s: %s", what, f->name);
    }
}

TEST(revoke, whom_it_strikes)
{
    fx_init(&x);
    struct cert_facts ada = x.mesh.facts, bob;
    CHECK_OK(fx_verify(&x, x.bob_chain, FX_WALL + FX_HOUR, &x.bob.pk, &bob));
    struct cert_facts renewed = bob; /* by another issuer, with a new serial: its birth stays */
    renewed.is_plain = true;
    renewed.issuer = x.eve.pk;
    renewed.serial = 999;
    const struct node_id none = {{0}};
    const struct {
        const char *what;
        struct revoke r;
        const struct node_id *by; /* NULL: the root */
        bool ada, bob, renewed;
    } rows[] = {
        {"bob's key", of_key(&x.bob.pk), NULL, false, true, true},
        {"the issuer of both", of_key(&x.issuer.pk), NULL, true, true, false},
        {"ada, who admitted bob", of_key(&x.ada.pk), NULL, true, true, false},
        {"bob's key, by his issuer", of_key(&x.bob.pk), &x.issuer.pk, false, true, true},
        {"bob's key, by a stranger", of_key(&x.bob.pk), &none, false, false, false},
        {"ada's key, by the other issuer", of_key(&x.ada.pk), &x.eve.pk, false, false, false},
        {"ada's serial", of_serials(&x.issuer.pk, 12, 12), NULL, true, false, false},
        {"bob's ticket: his birth", of_serials(&x.issuer.pk, 77, 77), NULL, false, true, true},
        {"the same by the issuer", of_serials(&x.issuer.pk, 70, 80), &x.issuer.pk, false, true,
         true},
        {"the same numbers of another", of_serials(&x.root.pk, 0, UINT64_MAX), NULL, false, false,
         false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct revoke r = rows[i].r;
        r.is_by_root = rows[i].by == NULL;
        r.revoker = r.is_by_root ? x.root.pk : *rows[i].by;
        check(rows[i].what, &r, &ada, rows[i].ada);
        check(rows[i].what, &r, &bob, rows[i].bob);
        check(rows[i].what, &r, &renewed, rows[i].renewed);
    }
}

TEST(revoke, tickets_and_issuers)
{
    fx_init(&x);
    struct revoke r = of_serials(&x.issuer.pk, 77, 77);
    r.revoker = x.issuer.pk;
    CHECK(revoke_strikes_ticket(&r, &x.issuer.pk, 77, &x.bob.pk));
    CHECK(!revoke_strikes_ticket(&r, &x.issuer.pk, 78, &x.bob.pk) &&
          !revoke_strikes_ticket(&r, &x.eve.pk, 77, &x.bob.pk));
    r = of_key(&x.issuer.pk);
    r.is_by_root = true;
    CHECK(revoke_strikes_ticket(&r, &x.issuer.pk, 1, &x.bob.pk) &&
          revoke_strikes_issuer(&r, &x.issuer.pk));
    r.is_by_root = false; /* an issuer takes nothing from another */
    r.revoker = x.eve.pk;
    CHECK(!revoke_strikes_ticket(&r, &x.issuer.pk, 1, &x.bob.pk) &&
          !revoke_strikes_issuer(&r, &x.issuer.pk));
    r = of_key(&x.bob.pk); /* a good ticket in the hands of a key that is not */
    CHECK(!revoke_strikes_ticket(&r, &x.issuer.pk, 1, &x.bob.pk));
    r.revoker = x.issuer.pk;
    CHECK(revoke_strikes_ticket(&r, &x.issuer.pk, 1, &x.bob.pk));
    CHECK(!revoke_strikes_ticket(&r, &x.issuer.pk, 1, &x.ada.pk));
}

TEST(revoke, over_when_nothing_it_strikes_is_valid)
{
    fx_init(&x);
    struct revoke r = of_key(&x.bob.pk);
    CHECK(!revoke_is_over(&r, FX_WALL + CERT_NODE_LIFE_MS + FX_DAY)); /* he may have been renewed */
    CHECK(!revoke_is_over(&r, FX_WALL + CERT_ISSUER_LIFE_MS + CERT_SKEW_MS));
    CHECK(revoke_is_over(&r, FX_WALL + CERT_ISSUER_LIFE_MS + 3 * CERT_SKEW_MS));
    CHECK_STR(revoke_reason_text(REVOKE_STOLEN), "stolen");
}
