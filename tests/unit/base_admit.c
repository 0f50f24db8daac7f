/* SPDX-License-Identifier: Apache-2.0 */
/* ADMIT and ADMITTED on both sides, exchange for a plain certificate, notices. */
#include "tests/harness.h"

#include "tests/cert_fixture.h"

TEST(admit, golden_request)
{
    static const char golden[] =
        "a40182a8015085b6fde8c2dba4f915f10b57be0eb27c02184d031b000001a3185c5000041b000001a31d82ac"
        "00056362696f0618e30858203219ffc79f09fae74c06857c97167a1c3f2b49a8a9fbcd5ad78e0ff7f3bcf511"
        "095820003bf18a1828c284d4ef560063a2e40edc10c9c4e9ec66a45c6ff8f0bfb06a86584071529ac914145e"
        "a746b20cbdb0c9c44b19ceeba4d65d73987a72e13e83c5bf5cc8345b3129bbc623380884b43a94e3a8163db5"
        "c8b6f0b99ab3cb30fb4127c30102a301184d02582017a0d952b3a4f56e08f40196e277d357cb0203ec390127"
        "455559e6b3f40ec2550363626f620358401bac9f44c29652b1cde5e2c8f69412061110901ad5ac6627b42428"
        "3bdc1c67d20180cc248a26b7ad1c24445ad34e329cd1be97179c0d6d3b62d406f9ab0cf0000458409bb8604b"
        "12a23400b74e68a320c706a0331e9c3fb99fa57908a7540cbf63686736eede6b11ad74bf0daa2f795042d505"
        "53977b19bead756232f7ea99b9d44304";
    struct fx x;
    fx_init(&x);
    char hex[2 * ADMIT_REQUEST_MAX + 1];
    hex_encode(x.request, hex);
    CHECK_STR(hex, golden);
}

TEST(admit, golden_redemption)
{
    static const char golden[] =
        "82a601a301184d02582017a0d952b3a4f56e08f40196e277d357cb0203ec390127455559e6b3f40ec2550363"
        "626f620258401bac9f44c29652b1cde5e2c8f69412061110901ad5ac6627b424283bdc1c67d20180cc248a26"
        "b7ad1c24445ad34e329cd1be97179c0d6d3b62d406f9ab0cf0000358409bb8604b12a23400b74e68a320c706"
        "a0331e9c3fb99fa57908a7540cbf63686736eede6b11ad74bf0daa2f795042d50553977b19bead756232f7ea"
        "99b9d443040450b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0051b000001a3185d3a600658209f6df5779314bf0c"
        "12ec2604d9cc0157db44095fbd6a68b8b8c6d0da5e7ece245840a883cf96c47bb51716678485c61fc9a3461d"
        "546ad5ca5965b8550ce0d2b3bbffd27bff4a041638ccccbf456d9ae92ca63fd151ed509d76f61e4fe92fea21"
        "cf01";
    struct fx x;
    fx_init(&x);
    char hex[2 * ADMIT_REDEMPTION_MAX + 1];
    hex_encode(x.redemption, hex);
    CHECK_STR(hex, golden);
}

TEST(admit, golden_notice)
{
    static const char golden[] =
        "82a601a301184d02582017a0d952b3a4f56e08f40196e277d357cb0203ec390127455559e6b3f40ec2550363"
        "626f620250251ce889866a2495085def6b624555f50350b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0041b000001"
        "a3185d3a600558209f6df5779314bf0c12ec2604d9cc0157db44095fbd6a68b8b8c6d0da5e7ece240658401b"
        "ac9f44c29652b1cde5e2c8f69412061110901ad5ac6627b424283bdc1c67d20180cc248a26b7ad1c24445ad3"
        "4e329cd1be97179c0d6d3b62d406f9ab0cf0005840bb1430645cea23612445d59cb303a839a966ee4112f4a4"
        "868facffdd60b47e5d654582cf236e621451876a906b5b79993b56d9708efbc4de7a944c1a2e78b200";
    struct fx x;
    fx_init(&x);
    struct admit_notice n;
    uint8_t bytes[ADMIT_NOTICE_MAX];
    char hex[2 * ADMIT_NOTICE_MAX + 1];
    struct writer w = writer_of(bytes, sizeof bytes);
    admit_notice_of_request(&x.req, &x.grant, &n);
    admit_notice_put(&w, &n, &x.mesh.mesh, &x.ada);
    hex_encode(writer_slice(&w), hex);
    CHECK_STR(hex, golden);
}

/* One ADMIT as the admitter sees it. */
struct asked {
    const struct fx *x;
    uint8_t bytes[ADMIT_REQUEST_MAX];
    size_t len;
    struct slice issuer_cert;
    struct mesh_id mesh;
    int64_t wall_ms;
    struct node_id peer;
};

/* Written anew with this ticket by that node. */
static void ask(struct asked *a, const struct ticket *t, const struct crypt_keypair *node)
{
    struct writer w = writer_of(a->bytes, sizeof a->bytes);
    CHECK_OK(admit_request_put(t, node, "bob", &w));
    a->len = w.len;
    a->peer = node->pk;
}

static void ask_with_other_secret(struct asked *a)
{
    struct ticket t = a->x->ticket;
    t.one_time = a->x->eve; /* who has read the public part has no secret */
    ask(a, &t, &a->x->eve);
}
static void ask_with_other_serial(struct asked *a)
{
    struct ticket t = a->x->ticket;
    t.body.grant.serial++;
    ask(a, &t, &a->x->bob);
}
static void ask_for_another(struct asked *a)
{
    struct crypt_keypair k = a->x->eve; /* bob's key, signed with eve's */
    k.pk = a->x->bob.pk;
    ask(a, &a->x->ticket, &k);
}

#define ALTER(name, code)                                                                          \
    static void name(struct asked *a)                                                              \
    {                                                                                              \
        code;                                                                                      \
    }
ALTER(same, (void)a)
ALTER(other_mesh, a->mesh.bytes[0] ^= 1)
ALTER(no_issuer, a->issuer_cert = SLICE_EMPTY)
ALTER(other_peer, a->peer = a->x->eve.pk)
ALTER(late, a->wall_ms = FX_WALL + TICKET_LIFE_MS + CERT_SKEW_MS + 1)
ALTER(early, a->wall_ms = FX_WALL - CERT_SKEW_MS - 1)
ALTER(as_issuer, ask(a, &a->x->ticket, &a->x->issuer))
ALTER(as_root, ask(a, &a->x->ticket, &a->x->root))
ALTER(node_sig, a->bytes[a->len - 1] ^= 1)
ALTER(empty, a->len = 0)
ALTER(not_cbor, memset(a->bytes, 0xff, a->len))

TEST(admit, refuses_each_request_by_its_reason)
{
    static const struct {
        const char *what;
        void (*alter)(struct asked *a);
        enum ipx_err want;
    } cases[] = {
        {"as asked", same, IPX_OK},
        {"another mesh", other_mesh, IPX_OTHER_MESH},
        {"issuer not known here", no_issuer, IPX_UNKNOWN_ISSUER},
        {"for another than the peer", other_peer, IPX_CONFLICT},
        {"ticket expired", late, IPX_EXPIRED},
        {"ticket not valid yet", early, IPX_NOT_YET},
        {"key of the issuer", as_issuer, IPX_BAD_CHAIN},
        {"key of the root", as_root, IPX_BAD_CHAIN},
        {"serial of another ticket", ask_with_other_serial, IPX_BAD_CHAIN},
        {"without the secret", ask_with_other_secret, IPX_BAD_SIGNATURE},
        {"redeemed for somebody else's key", ask_for_another, IPX_BAD_SIGNATURE},
        {"node's signature altered", node_sig, IPX_BAD_SIGNATURE},
        {"nothing", empty, IPX_MALFORMED},
        {"not CBOR", not_cbor, IPX_MALFORMED},
    };
    struct fx x;
    fx_init(&x);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct admit_request req = {.one_time_sig = NULL};
        struct asked a = {.x = &x,
                          .len = x.request.len,
                          .issuer_cert = x.issuer_cert,
                          .mesh = x.mesh.mesh,
                          .wall_ms = FX_WALL,
                          .peer = x.bob.pk};
        memcpy(a.bytes, x.request.data, x.request.len);
        cases[i].alter(&a);
        enum ipx_err err = admit_request_verify(slice_of(a.bytes, a.len), a.issuer_cert, &a.mesh,
                                                a.wall_ms, &a.peer, &req);
        if (err != cases[i].want) {
            CHECK_FAIL("%s: %s, wanted %s", cases[i].what, err_name(err), err_name(cases[i].want));
        }
        CHECK(err == IPX_OK || req.one_time_sig == NULL);
    }
    uint8_t bytes[ADMIT_REQUEST_MAX];
    struct writer w = writer_of(bytes, sizeof bytes);
    CHECK_EQ(admit_request_put(&x.ticket, &x.bob, "Bob!", &w), IPX_MALFORMED);
    CHECK_EQ(admit_request_put(&x.ticket, &x.bob, "", &w), IPX_MALFORMED);
    CHECK_EQ(w.len, 0);
}

TEST(admit, every_byte_of_a_request_counts)
{
    struct fx x;
    fx_init(&x);
    uint8_t bytes[ADMIT_REQUEST_MAX];
    struct admit_request req;
    memcpy(bytes, x.request.data, x.request.len);
    for (size_t i = 0; i < x.request.len; i++) {
        for (unsigned flip = 1; flip <= 0x80; flip <<= 7) {
            bytes[i] ^= (uint8_t)flip;
            CHECK(admit_request_verify(slice_of(bytes, x.request.len), x.issuer_cert, &x.mesh.mesh,
                                       FX_WALL, &x.bob.pk, &req) != IPX_OK);
            bytes[i] ^= (uint8_t)flip;
        }
        CHECK_EQ(admit_request_verify(slice_of(bytes, i), x.issuer_cert, &x.mesh.mesh, FX_WALL,
                                      &x.bob.pk, &req),
                 IPX_MALFORMED);
    }
}

static struct admit_expected expected(const struct fx *x)
{
    return (struct admit_expected){.ticket = &x->ticket,
                                   .self = &x->bob.pk,
                                   .name = "bob",
                                   .admitter_chain = x->ada_chain,
                                   .wall_ms = FX_WALL + FX_HOUR};
}

/* ADMITTED with a plain chain of a certificate that bob did not quite ask for. */
static enum ipx_err answer_plain(const struct fx *x, const struct admit_request *req,
                                 struct admit_answer *ret)
{
    uint8_t cert[CERT_BYTES_MAX], chain[CERT_CHAIN_MAX], bytes[ADMIT_ANSWER_MAX];
    struct writer c = writer_of(cert, sizeof cert), h = writer_of(chain, sizeof chain);
    struct writer w = writer_of(bytes, sizeof bytes);
    CHECK_OK(admit_issue_first(&x->mesh.signer, req, &x->grant, &c));
    cert_chain_put_plain(&h, writer_slice(&c), x->issuer_cert);
    admit_answer_put_chain(&w, writer_slice(&h));
    struct admit_expected want = expected(x);
    return admit_answer_verify(writer_slice(&w), &want, ret);
}

TEST(admit, joiner_gets_what_it_asked_for)
{
    struct fx x;
    fx_init(&x);
    uint8_t bytes[ADMIT_ANSWER_MAX];
    struct admit_answer a;
    struct admit_expected want = expected(&x);
    struct writer w = writer_of(bytes, sizeof bytes);
    admit_answer_put_redemption(&w, x.redemption, x.issuer_cert);
    CHECK_OK(admit_answer_verify(writer_slice(&w), &want, &a));
    CHECK_EQ(a.why, IPX_OK);
    CHECK(slice_equal(slice_of(a.chain, a.chain_len), x.bob_chain));
    CHECK_STR(a.facts.lab, "bio");

    struct admit_expected bad = want; /* each thing that can be another's */
    bad.name = "carol";
    CHECK_EQ(admit_answer_verify(writer_slice(&w), &bad, &a), IPX_CONFLICT);
    bad = want;
    bad.self = &x.eve.pk;
    CHECK_EQ(admit_answer_verify(writer_slice(&w), &bad, &a), IPX_CONFLICT);
    bad = want;
    bad.admitter_chain = x.bob_chain;
    CHECK(admit_answer_verify(writer_slice(&w), &bad, &a) != IPX_OK);
    bad = want;
    bad.wall_ms = FX_WALL + 60 * FX_DAY;
    CHECK_EQ(admit_answer_verify(writer_slice(&w), &bad, &a), IPX_EXPIRED);
    for (size_t i = 0; i < w.len; i++) {
        bytes[i] ^= 1;
        CHECK(admit_answer_verify(slice_of(bytes, w.len), &want, &a) != IPX_OK);
        bytes[i] ^= 1;
        CHECK_EQ(admit_answer_verify(slice_of(bytes, i), &want, &a), IPX_MALFORMED);
    }

    CHECK_OK(answer_plain(&x, &x.req, &a));
    CHECK(a.facts.is_plain && a.facts.birth_serial == 77 && a.facts.serial == 501);
    CHECK_EQ(a.facts.caps, CERT_ROLE_NODE);
    struct admit_request req = x.req;
    memcpy(req.ticket.grant.lab, "astro", 6);
    CHECK_EQ(answer_plain(&x, &req, &a), IPX_CONFLICT);
    req = x.req;
    req.ticket.grant.caps = CERT_ROLE_USER;
    CHECK_EQ(answer_plain(&x, &req, &a), IPX_CONFLICT);
    req = x.req;
    req.claim.serial++;
    CHECK_EQ(answer_plain(&x, &req, &a), IPX_CONFLICT);
    req = x.req;
    req.claim.id = x.eve.pk;
    CHECK_EQ(answer_plain(&x, &req, &a), IPX_CONFLICT);
}

TEST(admit, refusals_arrive_with_their_reason)
{
    struct fx x;
    fx_init(&x);
    uint8_t bytes[ADMIT_ANSWER_MAX];
    struct admit_answer a;
    struct admit_expected want = expected(&x);
    struct writer w = writer_of(bytes, sizeof bytes);
    admit_answer_put_refusal(&w, IPX_NAME_TAKEN, "bio/bob is ipx1qqqq");
    CHECK_OK(admit_answer_verify(writer_slice(&w), &want, &a));
    CHECK_EQ(a.why, IPX_NAME_TAKEN);
    CHECK_STR(a.detail, "bio/bob is ipx1qqqq");
    CHECK_EQ(a.chain_len, 0);

    char text[200]; /* two-byte characters, so that a plain cut would halve one */
    text[0] = 'x';
    for (size_t i = 1; i + 2 < sizeof text; i += 2) {
        memcpy(text + i, "\xc3\xa9", 3);
    }
    w = writer_of(bytes, sizeof bytes);
    admit_answer_put_refusal(&w, IPX_IO, text);
    CHECK_OK(admit_answer_verify(writer_slice(&w), &want, &a));
    CHECK_EQ(a.why, IPX_REFUSED); /* a fault of theirs is no fault of ours */
    CHECK_EQ(strlen(a.detail), ADMIT_DETAIL_MAX - 1);

    static const struct {
        const char *why;
        enum ipx_err want;
    } names[] = {{"USED", IPX_USED},
                 {"EXPIRED", IPX_EXPIRED},
                 {"OK", IPX_REFUSED},
                 {"", IPX_REFUSED},
                 {"WORDS_OF_LATER", IPX_REFUSED}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        w = writer_of(bytes, sizeof bytes);
        cbor_put_map(&w, 1);
        cbor_put_u64(&w, 1);
        cbor_put_text(&w, slice_text(names[i].why));
        CHECK_OK(admit_answer_verify(writer_slice(&w), &want, &a));
        CHECK_EQ(a.why, names[i].want);
    }
    w = writer_of(bytes, sizeof bytes); /* both admitted and refused; nothing at all */
    cbor_put_map(&w, 2);
    cbor_put_u64(&w, 1);
    cbor_put_text(&w, slice_text("USED"));
    cbor_put_u64(&w, 3);
    cbor_put_raw(&w, x.ada_chain);
    CHECK_EQ(admit_answer_verify(writer_slice(&w), &want, &a), IPX_MALFORMED);
    CHECK_EQ(admit_answer_verify(slice_of("\xa0", 1), &want, &a), IPX_MALFORMED);
    CHECK_EQ(admit_answer_verify(slice_of("\xa1\x02\xa0", 3), &want, &a), IPX_MALFORMED);
}

TEST(admit, redemption_becomes_a_plain_certificate)
{
    struct fx x;
    fx_init(&x);
    uint8_t cert[CERT_BYTES_MAX], chain[CERT_CHAIN_MAX];
    struct cert_facts admitted, plain;
    int64_t wall = FX_WALL + 3 * FX_DAY; /* the ticket is over, its grace is not */
    struct writer c = writer_of(cert, sizeof cert), h = writer_of(chain, sizeof chain);
    CHECK_OK(fx_verify(&x, x.bob_chain, wall, &x.bob.pk, &admitted));
    CHECK_OK(admit_issue(&x.mesh.signer, &admitted, 600, wall, &c));
    cert_chain_put_plain(&h, writer_slice(&c), x.issuer_cert);
    CHECK_OK(cert_chain_verify(writer_slice(&h), &x.mesh.mesh, wall, &x.bob.pk, &plain));
    CHECK(plain.is_plain && admit_is_allowed(&plain));
    CHECK_EQ(plain.serial, 600);
    CHECK_EQ(plain.birth_serial, 77);
    CHECK(node_id_equal(&plain.birth_issuer, &x.issuer.pk));
    CHECK(node_id_equal(&plain.admitter, &x.ada.pk));
    CHECK_EQ(plain.admitted_ms, admitted.admitted_ms);
    CHECK_EQ(plain.not_after_ms, wall + CERT_NODE_LIFE_MS);
    CHECK_STR(plain.name, "bob");
    CHECK_STR(plain.lab, "bio");
    CHECK_MEM(&plain.pos, &admitted.pos, sizeof plain.pos);
    CHECK_EQ(admit_issue(&x.mesh.signer, &plain, 601, wall, &c), IPX_EXISTS);

    struct cert_signer bound;
    struct keys_issuer_plan plan = {
        .lab = "astro", .name = "", .caps = CERT_CAPS_ALL, .wall_ms = FX_WALL};
    CHECK_OK(keys_issuer_make(&x.root, &x.eve, &plan, &bound));
    CHECK_EQ(admit_issue(&bound, &admitted, 602, wall, &c), IPX_WRONG_LAB);
}

TEST(admit, notices)
{
    struct fx x;
    fx_init(&x);
    struct admit_notice n, got;
    uint8_t bytes[ADMIT_NOTICE_MAX];
    struct writer w = writer_of(bytes, sizeof bytes);
    const struct cert_facts *ada = &x.mesh.facts;
    admit_notice_of_request(&x.req, &x.grant, &n);
    admit_notice_put(&w, &n, &x.mesh.mesh, &x.ada);
    struct slice in = writer_slice(&w);
    CHECK_OK(admit_notice_verify(in, &x.mesh.mesh, ada, &got));
    CHECK(!got.is_proved && got.has_proof);
    CHECK(admit_notice_check_proof(&got, &x.mesh.mesh, &x.ticket.one_time.pk));
    CHECK(!admit_notice_check_proof(&got, &x.mesh.mesh, &x.eve.pk));
    CHECK_EQ(admit_notice_compare(&n, &got), 0);
    CHECK_STR(got.claim.name, "bob");
    CHECK_MEM(got.nonce, x.grant.nonce, 16);
    for (size_t i = 0; i < in.len; i++) {
        bytes[i] ^= 1;
        CHECK(admit_notice_verify(in, &x.mesh.mesh, ada, &got) != IPX_OK);
        bytes[i] ^= 1;
        CHECK_EQ(admit_notice_verify(slice_of(bytes, i), &x.mesh.mesh, ada, &got), IPX_MALFORMED);
    }
    struct mesh_id other = {{1}};
    struct cert_facts may_not = *ada;
    CHECK_EQ(admit_notice_verify(in, &other, ada, &got), IPX_BAD_SIGNATURE);
    may_not.id = x.eve.pk;
    CHECK_EQ(admit_notice_verify(in, &x.mesh.mesh, &may_not, &got), IPX_CONFLICT);
    may_not = *ada;
    may_not.caps = CERT_ROLE_USER;
    CHECK_EQ(admit_notice_verify(in, &x.mesh.mesh, &may_not, &got), IPX_DENIED);
    may_not = *ada;
    may_not.is_plain = false;
    CHECK_EQ(admit_notice_verify(in, &x.mesh.mesh, &may_not, &got), IPX_DENIED);
    may_not = *ada;
    may_not.not_after_ms = FX_WALL - FX_HOUR;
    CHECK_EQ(admit_notice_verify(in, &x.mesh.mesh, &may_not, &got), IPX_DENIED);

    struct admit_request longest = x.req; /* the largest there is */
    memcpy(longest.claim.name, "abcdefghijklmnopqrstuvwx", CERT_NAME_MAX + 1);
    longest.claim.serial = UINT64_MAX;
    admit_notice_of_request(&longest, &x.grant, &n);
    w = writer_of(bytes, sizeof bytes);
    admit_notice_put(&w, &n, &x.mesh.mesh, &x.ada);
    CHECK(!w.failed && w.len <= ADMIT_NOTICE_MAX);
    CHECK_OK(admit_notice_decode(writer_slice(&w), &got));
}
