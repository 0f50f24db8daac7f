/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets: made, printed, typed with mistakes, altered, expired, of another mesh. */
#include <ctype.h>

#include "tests/harness.h"

#include "tests/cert_fixture.h"

TEST(ticket, golden_text)
{
    static const char golden[] =
        "ipxt155qc92qp2zzmdl0gctd6f7g47y9400swkf7qyxzdqvdsqqqp5vv9c5qqqsdsqqqp5vwc9tqqq43ky6t0qcv"
        "wxzzcyqepnl78nuyl4e6vq6zhe9ck0gwr726f4z5lhn26678qlalnhn63zz2cyqqrhuv2rq5v9px5aatqqcazus8"
        "dcyxfcn57ce4yt3hl3u9lkp4gvkzqw9ff4jg5z302w34jpj7mpjwyfvvua6ay6ewh8xr6wtsnaq79hawvsdzmxy5"
        "mh33r8qygfdp6jn36s93akhytdu9en2eukv8mgynuxqgztqsqvpg9q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5z"
        "s2pg9q5zs2pgrtqsxk6mtdd4kk6mtdd4kk6mtdd4kk6mtdd4kk6mtdd4kk6mtdd4kk6cys2p9sgyldh6h0yc5hux"
        "p9mpxqnvucq2hmdzqjhaadf5t3wxx6rd9ulkwy3rvqqqzqywsnqjcypdandrlckftn0ag5vnacqy7k869x68mku6"
        "jx2z8032cu2p0et44v53qqyxmsqqqqqqqqqqqqqqqqqqzr5ys2cmpv3sssrsz";
    struct fx x;
    fx_init(&x);
    char text[TICKET_TEXT_SIZE];
    CHECK_EQ(ticket_print(&x.ticket, text), strlen(text));
    CHECK_STR(text, golden);
}

static void check_same(const struct ticket *a, const struct ticket *b)
{
    CHECK_EQ(a->pub_len, b->pub_len);
    CHECK_MEM(a->pub, b->pub, a->pub_len);
    CHECK_MEM(a->seed, b->seed, 32);
    CHECK_MEM(a->gate_key, b->gate_key, 32);
    CHECK_MEM(&a->one_time, &b->one_time, sizeof a->one_time);
    CHECK_EQ(a->n_contacts, b->n_contacts);
    for (unsigned i = 0; i < a->n_contacts; i++) {
        CHECK(node_id_equal(&a->contacts[i].id, &b->contacts[i].id));
        CHECK(addr_equal(&a->contacts[i].addr, &b->contacts[i].addr));
        CHECK(addr_equal(&a->contacts[i].coat, &b->contacts[i].coat));
    }
    CHECK_STR(a->issued_by, b->issued_by);
    CHECK_STR(a->body.grant.lab, b->body.grant.lab);
    CHECK_EQ(a->body.grant.serial, b->body.grant.serial);
}

TEST(ticket, survives_mail_and_paper)
{
    struct fx x;
    fx_init(&x);
    char text[TICKET_TEXT_SIZE], wild[TICKET_INPUT_MAX + 8];
    struct ticket t;
    size_t len = ticket_print(&x.ticket, text), n = 0;
    CHECK(len <= 700);
    CHECK_OK(ticket_parse(slice_of(text, len), &t));
    check_same(&t, &x.ticket);
    for (size_t i = 0; i < len; i++) { /* upper case, folded into short lines */
        wild[n++] = (char)toupper((unsigned char)text[i]);
        if (i % 7 == 3) {
            wild[n++] = " \n\r\t"[i % 4];
        }
    }
    CHECK_OK(ticket_parse(slice_of(wild, n), &t));
    check_same(&t, &x.ticket);
    memset(wild, ' ', sizeof wild);
    memcpy(wild, text, len);
    CHECK_OK(ticket_parse(slice_of(wild, TICKET_INPUT_MAX), &t));
    CHECK_EQ(ticket_parse(slice_of(wild, TICKET_INPUT_MAX + 1), &t), IPX_MALFORMED);
    ticket_wipe(&t);
    CHECK_EQ(t.pub_len, 0);
}

TEST(ticket, every_character_counts)
{
    static const char alphabet[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    struct fx x;
    fx_init(&x);
    char text[TICKET_TEXT_SIZE];
    struct ticket t = {.pub_len = 12345};
    size_t len = ticket_print(&x.ticket, text);
    for (size_t i = 0; i < len; i++) {
        char was = text[i];
        for (size_t k = 0; k < 32; k += 5) {
            if (alphabet[k] == was) {
                continue;
            }
            text[i] = alphabet[k];
            enum ipx_err err = ticket_parse(slice_of(text, len), &t);
            CHECK(err == IPX_CHECKSUM || err == IPX_MALFORMED);
            CHECK(i < strlen(TICKET_PREFIX) || err == IPX_CHECKSUM || i + 6 > len);
        }
        text[i] = 'b'; /* not of the alphabet */
        CHECK(ticket_parse(slice_of(text, len), &t) != IPX_OK);
        text[i] = was;
        CHECK(ticket_parse(slice_of(text, i), &t) != IPX_OK);
    }
    CHECK_EQ(t.pub_len, 12345);
    CHECK_EQ(ticket_parse(slice_text(""), &t), IPX_MALFORMED);
    CHECK_EQ(ticket_parse(slice_text("ipxt1"), &t), IPX_MALFORMED);
    CHECK_EQ(ticket_parse(slice_text("hello"), &t), IPX_MALFORMED);
}

/* The text of any content, with a right checksum: what a forger can make. */
static enum ipx_err parse_content(struct slice content)
{
    char text[2048] = TICKET_PREFIX, sum[5];
    struct ticket t;
    size_t len = strlen(TICKET_PREFIX);
    len += base32_encode(content, text + len, sizeof text - len);
    text_checksum(TICKET_PREFIX, content, sum);
    memcpy(text + len, sum, 4);
    return ticket_parse(slice_of(text, len + 4), &t);
}

static size_t content_of(const struct fx *x, uint8_t out[static 1024])
{
    char text[TICKET_TEXT_SIZE];
    size_t n, len = ticket_print(&x->ticket, text), head = strlen(TICKET_PREFIX);
    CHECK_OK(base32_decode(slice_of(text + head, len - head - 4), out, 1024, &n));
    return n;
}

TEST(ticket, forged_content)
{
    struct fx x;
    fx_init(&x);
    uint8_t content[1025];
    size_t len = content_of(&x, content);
    CHECK_OK(parse_content(slice_of(content, len)));
    for (size_t i = 0; i < len; i++) { /* cut anywhere */
        CHECK_EQ(parse_content(slice_of(content, i)), IPX_MALFORMED);
    }
    content[len] = 0;
    CHECK_EQ(parse_content(slice_of(content, len + 1)), IPX_MALFORMED);
    /* The secret of another ticket: key 2, after the map head, key 1 and the public part */
    size_t seed = 1 + 1 + x.ticket.pub_len + 1 + 2;
    CHECK_MEM(content + seed, x.ticket.seed, 32);
    content[seed] ^= 0x20;
    CHECK_EQ(parse_content(slice_of(content, len)), IPX_CONFLICT);
    content[seed] ^= 0x20;
    /* Changed bits of the public part are found at the latest by the issuer's certificate */
    struct ticket_body body;
    struct cert issuer;
    uint8_t pub[TICKET_PUBLIC_MAX];
    memcpy(pub, x.pub.data, x.pub.len);
    for (size_t i = 0; i < x.pub.len; i++) {
        for (unsigned flip = 1; flip < 256; flip <<= 1) {
            pub[i] ^= (uint8_t)flip;
            CHECK(ticket_verify(slice_of(pub, x.pub.len), x.issuer_cert, &x.mesh.mesh, &body,
                                &issuer) != IPX_OK);
            pub[i] ^= (uint8_t)flip;
        }
    }
    CHECK_OK(ticket_verify(x.pub, x.issuer_cert, &x.mesh.mesh, &body, &issuer));
    CHECK_EQ(body.grant.serial, 77);
}

/* Ways to ask for a ticket. */
struct wish {
    struct ticket_plan plan;
    struct cert_signer signer;
    int64_t wall_ms;
};
#define ALTER(name, code)                                                                          \
    static void name(struct wish *w)                                                               \
    {                                                                                              \
        code;                                                                                      \
    }
ALTER(same, (void)w)
ALTER(user, w->plan.grant.caps = CERT_ROLE_USER)
ALTER(no_contact, w->plan.n_contacts = 0)
ALTER(many_contacts, w->plan.n_contacts = TICKET_CONTACTS_MAX + 1)
ALTER(bad_addr, w->plan.contacts[1].addr.port = 0)
ALTER(bad_coat, w->plan.contacts[0].coat = (struct addr){.family = ADDR_V4})
ALTER(bad_contact, w->plan.contacts[0].id.bytes[31] |= 0x80)
ALTER(any_lab, memcpy(w->plan.grant.lab, "*", 2))
ALTER(bad_issued_by, w->plan.issued_by = "A b")
ALTER(no_issued_by, w->plan.issued_by = NULL)
ALTER(operator_role, w->plan.grant.caps = CERT_ROLE_OPERATOR)
ALTER(wider, w->signer.cert.grant.caps = CERT_ROLE_USER | CERT_CAP_ISSUE)
ALTER(other_lab, memcpy(w->signer.cert.grant.lab, "astro", 6))
ALTER(over, w->plan.grant.not_after_ms = w->plan.grant.not_before_ms)
ALTER(far, w->plan.grant.not_after_ms = FX_WALL + 2 * CERT_ISSUER_LIFE_MS)
ALTER(signer_expired, w->wall_ms = FX_WALL + CERT_ISSUER_LIFE_MS + FX_HOUR)
ALTER(signer_early, w->wall_ms = FX_WALL - FX_HOUR)

TEST(ticket, made_within_the_right_of_the_issuer)
{
    static const struct {
        const char *what;
        void (*alter)(struct wish *w);
        enum ipx_err want;
    } cases[] = {
        {"as planned", same, IPX_OK},
        {"a user's", user, IPX_OK},
        {"without a contact", no_contact, IPX_MALFORMED},
        {"too many contacts", many_contacts, IPX_MALFORMED},
        {"bad coat", bad_coat, IPX_MALFORMED},
        {"contact without a port", bad_addr, IPX_MALFORMED},
        {"contact with a flipped key", bad_contact, IPX_MALFORMED},
        {"for any lab", any_lab, IPX_MALFORMED},
        {"issued by nobody's name", bad_issued_by, IPX_MALFORMED},
        {"issued by, not said", no_issued_by, IPX_OK},
        {"ISSUE is the root's to grant", operator_role, IPX_CAPS},
        {"more than the issuer has", wider, IPX_CAPS},
        {"issuer bound to another lab", other_lab, IPX_WRONG_LAB},
        {"over at once", over, IPX_LIFETIME},
        {"for longer than the issuer", far, IPX_OK}, /* cut */
        {"issuer expired", signer_expired, IPX_EXPIRED},
        {"issuer not yet valid", signer_early, IPX_NOT_YET},
    };
    struct fx x;
    fx_init(&x);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wish w = {.plan = fx_ticket_plan(&x), .signer = x.mesh.signer, .wall_ms = FX_WALL};
        struct ticket t = {.pub_len = 12345};
        cases[i].alter(&w);
        enum ipx_err err = ticket_make(&w.signer, &w.plan, w.wall_ms, &t);
        if (err != cases[i].want) {
            CHECK_FAIL("%s: %s, wanted %s", cases[i].what, err_name(err), err_name(cases[i].want));
        }
        CHECK(err == IPX_OK || t.pub_len == 12345);
        CHECK(err != IPX_OK || t.body.grant.not_after_ms <= FX_WALL + CERT_ISSUER_LIFE_MS);
    }
    struct wish w = {.plan = fx_ticket_plan(&x), .signer = x.mesh.signer, .wall_ms = FX_WALL};
    struct ticket t;
    struct crypt_keypair pair;
    memset(w.plan.seed, 0, 32);
    while (crypt_keypair_from_seed(w.plan.seed, &pair) == IPX_OK) {
        w.plan.seed[0]++;
    }
    CHECK_EQ(ticket_make(&w.signer, &w.plan, FX_WALL, &t), IPX_REFUSED);
}

TEST(ticket, longest_text_fits)
{
    struct fx x;
    fx_init(&x);
    struct ticket_plan plan = fx_ticket_plan(&x);
    struct ticket t, back;
    char text[TICKET_TEXT_SIZE];
    plan.grant.serial = UINT64_MAX;
    memcpy(plan.grant.lab, "abcdefghijklmnop", CERT_LAB_MAX + 1);
    plan.contacts[0].addr = plan.contacts[1].addr;
    plan.issued_by = "abcdefghijklmnopqrstuvwx";
    CHECK_OK(ticket_make(&x.mesh.signer, &plan, FX_WALL, &t));
    CHECK(ticket_print(&t, text) <= 700);
    CHECK_OK(ticket_parse(slice_text(text), &back));
    check_same(&t, &back);
    plan.contacts[0].coat = plan.contacts[0].addr; /* of one, then of both */
    CHECK_OK(ticket_make(&x.mesh.signer, &plan, FX_WALL, &t));
    CHECK(ticket_print(&t, text) <= 740);
    CHECK_OK(ticket_parse(slice_text(text), &back));
    check_same(&t, &back);
    plan.contacts[1].coat = plan.contacts[1].addr;
    static const char *const prefixes[] = {"abcdefghijklmnopqrstuvwxyzabcdef",
                                           "abcdefghijklmnopqrstuvwxyz.abc", "x", "y"};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        CHECK_OK(cert_prefixes_add(&plan.grant.prefixes, slice_text(prefixes[i])));
    }
    CHECK_OK(ticket_make(&x.mesh.signer, &plan, FX_WALL, &t));
    CHECK(ticket_print(&t, text) < TICKET_TEXT_SIZE);
    CHECK_OK(ticket_parse(slice_text(text), &back));
    CHECK_EQ(back.body.grant.prefixes.n, 4);
    check_same(&t, &back);
}

TEST(ticket, checked_before_use)
{
    struct fx x;
    fx_init(&x);
    struct mesh_id other = {{9}};
    int64_t end = FX_WALL + TICKET_LIFE_MS;
    CHECK_OK(ticket_check(&x.ticket, NULL, FX_WALL));
    CHECK_OK(ticket_check(&x.ticket, &x.mesh.mesh, end + CERT_SKEW_MS));
    CHECK_EQ(ticket_check(&x.ticket, &x.mesh.mesh, end + CERT_SKEW_MS + 1), IPX_EXPIRED);
    CHECK_EQ(ticket_check(&x.ticket, NULL, FX_WALL - CERT_SKEW_MS - 1), IPX_NOT_YET);
    CHECK_EQ(ticket_check(&x.ticket, &other, FX_WALL), IPX_OTHER_MESH);

    struct ticket_body b;
    struct cert issuer;
    uint8_t bytes[CERT_BYTES_MAX];
    CHECK_EQ(ticket_verify(x.pub, x.issuer_cert, &other, &b, &issuer), IPX_OTHER_MESH);
    memcpy(bytes, x.issuer_cert.data, x.issuer_cert.len);
    bytes[x.issuer_cert.len - 1] ^= 1;
    CHECK_EQ(ticket_verify(x.pub, slice_of(bytes, x.issuer_cert.len), &x.mesh.mesh, &b, &issuer),
             IPX_UNKNOWN_ISSUER);
    CHECK_EQ(ticket_verify(x.pub, SLICE_EMPTY, &x.mesh.mesh, &b, &issuer), IPX_UNKNOWN_ISSUER);
}
