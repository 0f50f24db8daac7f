/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates: every refusal of a plain chain by its own condition; attenuation, grammar. */
#include "tests/harness.h"

#include "tests/cert_fixture.h"

/* A plain chain in the making: bad ones differ in one place. */
struct draft {
    const struct fx *x;
    struct cert issuer, node;
    struct crypt_keypair issuer_key, node_signer, root;
    struct mesh_id mesh;
    int64_t wall_ms;
    struct node_id subject;
    int flip_issuer_sig, flip_node_sig;
};

static void draft_init(struct draft *d, const struct fx *x)
{
    struct cert_chain_parts p;
    *d = (struct draft){.x = x,
                        .issuer_key = x->issuer,
                        .node_signer = x->issuer,
                        .root = x->root,
                        .mesh = x->mesh.mesh,
                        .wall_ms = FX_WALL + FX_HOUR,
                        .subject = x->ada.pk};
    CHECK_OK(cert_chain_split(x->ada_chain, &p));
    CHECK_OK(cert_decode(p.node_cert, &d->node));
    CHECK_OK(cert_decode(p.issuer_cert, &d->issuer));
}

static enum ipx_err draft_verify(struct draft *d, struct cert_facts *ret)
{
    uint8_t node[CERT_BYTES_MAX], issuer[CERT_BYTES_MAX], chain[CERT_CHAIN_MAX];
    struct writer nw = writer_of(node, sizeof node), iw = writer_of(issuer, sizeof issuer);
    struct writer cw = writer_of(chain, sizeof chain);
    d->node.issuer = d->node_signer.pk;
    d->issuer.issuer = d->root.pk;
    cert_sign(&d->node, &d->node_signer, &nw);
    cert_sign(&d->issuer, &d->root, &iw);
    CHECK(!nw.failed && !iw.failed);
    node[nw.len - 1] ^= (uint8_t)d->flip_node_sig;
    issuer[iw.len - 1] ^= (uint8_t)d->flip_issuer_sig;
    cert_chain_put_plain(&cw, writer_slice(&nw), writer_slice(&iw));
    CHECK(!cw.failed);
    return cert_chain_verify(writer_slice(&cw), &d->mesh, d->wall_ms, &d->subject, ret);
}

#define ALTER(name, code)                                                                          \
    static void name(struct draft *d)                                                              \
    {                                                                                              \
        code;                                                                                      \
    }
ALTER(same, (void)d)
ALTER(late_within_skew, d->wall_ms = d->node.grant.not_after_ms + CERT_SKEW_MS)
ALTER(late, d->wall_ms = d->node.grant.not_after_ms + CERT_SKEW_MS + 1)
ALTER(early_within_skew, d->wall_ms = d->node.grant.not_before_ms - CERT_SKEW_MS)
ALTER(early, d->wall_ms = d->node.grant.not_before_ms - CERT_SKEW_MS - 1)
ALTER(other_mesh, d->mesh.bytes[0] ^= 1)
ALTER(node_of_other_mesh, d->node.mesh.bytes[15] ^= 1)
ALTER(issuer_of_other_mesh, d->issuer.mesh.bytes[15] ^= 1)
ALTER(other_root, d->root = d->x->eve)
ALTER(node_sig, d->flip_node_sig = 1)
ALTER(issuer_sig, d->flip_issuer_sig = 1)
ALTER(not_by_issuer, d->node_signer = d->x->eve)
ALTER(by_root_itself, d->node_signer = d->root)
ALTER(other_subject, d->subject = d->x->bob.pk)
ALTER(issuer_is_node, d->issuer.kind = CERT_KIND_NODE; d->issuer.admitter = d->x->ada.pk;
      d->issuer.birth_issuer = d->x->ada.pk; memcpy(d->issuer.grant.lab, "astro", 6))
ALTER(node_is_issuer, d->node.kind = CERT_KIND_ISSUER)
ALTER(loop_root, d->issuer.subject = d->root.pk; d->node_signer = d->root)
ALTER(loop_issuer, d->node.subject = d->issuer_key.pk)
ALTER(loop_node_root, d->node.subject = d->root.pk)
ALTER(caps_wider, d->issuer.grant.caps &= ~(uint32_t)CERT_CAP_RELAY)
ALTER(caps_unknown, d->node.grant.caps |= 1u << 31)
ALTER(issuer_may_not, d->issuer.grant.caps &= ~(uint32_t)CERT_CAP_ISSUE)
ALTER(prefix_wider, CHECK_OK(cert_prefixes_add(&d->issuer.grant.prefixes, slice_text("bio"))))
ALTER(prefix_beside, CHECK_OK(cert_prefixes_add(&d->issuer.grant.prefixes, slice_text("bio")));
      CHECK_OK(cert_prefixes_add(&d->node.grant.prefixes, slice_text("biology"))))
ALTER(prefix_within, CHECK_OK(cert_prefixes_add(&d->issuer.grant.prefixes, slice_text("bio")));
      CHECK_OK(cert_prefixes_add(&d->node.grant.prefixes, slice_text("bio.seq"))))
ALTER(issuer_path, d->issuer.path_len = 1)
ALTER(node_path, d->node.path_len = 1)
ALTER(lab_other, memcpy(d->issuer.grant.lab, "bio", 4))
ALTER(lab_same, memcpy(d->issuer.grant.lab, "astro", 6))
ALTER(lab_any, memcpy(d->node.grant.lab, "*", 2))
ALTER(lab_upper, memcpy(d->node.grant.lab, "Astro", 6))
ALTER(lab_empty, d->node.grant.lab[0] = '\0')
ALTER(no_name, d->node.name[0] = '\0')
ALTER(longer, d->node.grant.not_after_ms = d->issuer.grant.not_after_ms + 1)
ALTER(sooner, d->node.grant.not_before_ms = d->issuer.grant.not_before_ms - 1)
ALTER(times_swapped, d->node.grant.not_after_ms = d->node.grant.not_before_ms)
ALTER(time_far, d->node.grant.not_after_ms = CERT_TIME_MAX_MS + 1)
ALTER(key_flipped, d->node.subject.bytes[31] |= 0x80)
ALTER(key_zero, memset(d->node.subject.bytes, 0, 32))
ALTER(key_small_order, memset(d->node.subject.bytes, 0, 32); d->node.subject.bytes[0] = 1)
ALTER(admitter_flipped, d->node.admitter.bytes[31] |= 0x80)
ALTER(birth_flipped, d->node.birth_issuer.bytes[31] |= 0x80)
ALTER(issuer_flipped, d->issuer.subject.bytes[31] |= 0x80)
ALTER(treaty, d->issuer.kind = CERT_KIND_TREATY)

static const struct {
    const char *what;
    void (*alter)(struct draft *d);
    enum ipx_err want;
} plain_cases[] = {
    {"as made", same, IPX_OK},
    {"late, within the skew", late_within_skew, IPX_OK},
    {"late", late, IPX_EXPIRED},
    {"early, within the skew", early_within_skew, IPX_OK},
    {"early", early, IPX_NOT_YET},
    {"asked for another mesh", other_mesh, IPX_OTHER_MESH},
    {"node says another mesh", node_of_other_mesh, IPX_OTHER_MESH},
    {"issuer says another mesh", issuer_of_other_mesh, IPX_OTHER_MESH},
    {"another root", other_root, IPX_OTHER_MESH},
    {"node's signature", node_sig, IPX_BAD_SIGNATURE},
    {"issuer's signature", issuer_sig, IPX_BAD_SIGNATURE},
    {"node not signed by this issuer", not_by_issuer, IPX_BAD_CHAIN},
    {"node signed by the root beside an issuer", by_root_itself, IPX_BAD_CHAIN},
    {"shown by another", other_subject, IPX_CONFLICT},
    {"a node as issuer", issuer_is_node, IPX_BAD_CHAIN},
    {"an issuer as node", node_is_issuer, IPX_BAD_CHAIN},
    {"a treaty as issuer", treaty, IPX_MALFORMED},
    {"loop: issuer is the root", loop_root, IPX_BAD_CHAIN},
    {"loop: node is the issuer", loop_issuer, IPX_BAD_CHAIN},
    {"loop: node is the root", loop_node_root, IPX_BAD_CHAIN},
    {"caps wider", caps_wider, IPX_CAPS},
    {"a cap the issuer does not know", caps_unknown, IPX_CAPS},
    {"issuer without ISSUE", issuer_may_not, IPX_CAPS},
    {"no prefix under one", prefix_wider, IPX_CAPS},
    {"prefix beside the parent's", prefix_beside, IPX_CAPS},
    {"prefix within the parent's", prefix_within, IPX_OK},
    {"issuer's path_len", issuer_path, IPX_PATH_LEN},
    {"node's path_len", node_path, IPX_PATH_LEN},
    {"issuer bound to another lab", lab_other, IPX_WRONG_LAB},
    {"issuer bound to this lab", lab_same, IPX_OK},
    {"node of any lab", lab_any, IPX_MALFORMED},
    {"lab in upper case", lab_upper, IPX_MALFORMED},
    {"no lab", lab_empty, IPX_MALFORMED},
    {"no name", no_name, IPX_MALFORMED},
    {"valid for longer than the issuer", longer, IPX_LIFETIME},
    {"valid sooner than the issuer", sooner, IPX_LIFETIME},
    {"ends when it begins", times_swapped, IPX_MALFORMED},
    {"ends beyond all time", time_far, IPX_MALFORMED},
    {"key with its sign flipped", key_flipped, IPX_BAD_KEY},
    {"key 0", key_zero, IPX_BAD_KEY},
    {"key of small order", key_small_order, IPX_BAD_KEY},
    {"admitter with its sign flipped", admitter_flipped, IPX_BAD_KEY},
    {"birth with its sign flipped", birth_flipped, IPX_BAD_KEY},
    {"issuer with its sign flipped", issuer_flipped, IPX_BAD_KEY},
};

TEST(cert, refuses_each_fault_by_its_name)
{
    struct fx x;
    fx_init(&x);
    for (size_t i = 0; i < ARRAY_LEN(plain_cases); i++) {
        struct draft d;
        struct cert_facts facts = {.serial = 99};
        draft_init(&d, &x);
        plain_cases[i].alter(&d);
        enum ipx_err err = draft_verify(&d, &facts);
        if (err != plain_cases[i].want) {
            CHECK_FAIL("%s: %s, wanted %s", plain_cases[i].what, err_name(err),
                       err_name(plain_cases[i].want));
        }
        CHECK_EQ(facts.serial, err == IPX_OK ? 12 : 99); /* untouched on failure */
    }
}

TEST(cert, issues_and_renews_within_its_right)
{
    struct fx x;
    fx_init(&x);
    uint8_t bytes[CERT_BYTES_MAX], chain[CERT_CHAIN_MAX];
    struct writer w = writer_of(bytes, sizeof bytes), c = writer_of(chain, sizeof chain);
    struct cert_facts f = x.mesh.facts, g;
    int64_t later = cert_renew_at_ms(&f);
    CHECK_EQ(later, FX_WALL + CERT_NODE_LIFE_MS / 3 * 2);
    CHECK_OK(cert_renew(&x.mesh.signer, &f, 900, later, &w));
    cert_chain_put_plain(&c, writer_slice(&w), x.issuer_cert);
    CHECK_OK(cert_chain_verify(writer_slice(&c), &x.mesh.mesh, later, &f.id, &g));
    CHECK_EQ(g.serial, 900);
    CHECK_EQ(g.not_after_ms, later + CERT_NODE_LIFE_MS);
    CHECK_EQ(g.birth_serial, 12);
    CHECK_EQ(g.admitted_ms, f.admitted_ms);
    CHECK_STR(g.name, f.name);
    CHECK_MEM(&g.pos, &f.pos, sizeof g.pos);

    struct cert_signer lab_bound, no_relay;
    struct keys_issuer_plan plan = {
        .lab = "bio", .name = "", .caps = CERT_CAPS_ALL, .serial = 5, .wall_ms = FX_WALL};
    CHECK_OK(keys_issuer_make(&x.root, &x.eve, &plan, &lab_bound));
    plan.lab = "*";
    plan.caps = CERT_CAPS_ALL & ~CERT_CAP_RELAY;
    CHECK_OK(keys_issuer_make(&x.root, &x.eve, &plan, &no_relay));
    const struct {
        const struct cert_signer *signer;
        int64_t wall_ms;
        enum ipx_err want;
    } cases[] = {
        {&lab_bound, later, IPX_WRONG_LAB},
        {&no_relay, later, IPX_CAPS},
        {&x.mesh.signer, FX_WALL + CERT_ISSUER_LIFE_MS + FX_HOUR, IPX_EXPIRED},
        {&x.mesh.signer, FX_WALL - FX_HOUR, IPX_NOT_YET},
        {&x.mesh.signer, FX_WALL + CERT_ISSUER_LIFE_MS - FX_HOUR, IPX_OK}, /* cut to the issuer's */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        w = writer_of(bytes, sizeof bytes);
        CHECK_EQ(cert_renew(cases[i].signer, &f, 901, cases[i].wall_ms, &w), cases[i].want);
    }
    struct cert cut;
    CHECK_OK(cert_decode(writer_slice(&w), &cut));
    CHECK_EQ(cut.grant.not_after_ms, FX_WALL + CERT_ISSUER_LIFE_MS);
    f.is_plain = false;
    CHECK_EQ(cert_renew(&x.mesh.signer, &f, 902, later, &w), IPX_REFUSED);
}

TEST(cert, names_labs_prefixes)
{
    static const struct {
        const char *text;
        bool name, lab;
    } cases[] = {
        {"a", true, true},
        {"a-9", true, true},
        {"abcdefghijklmnop", true, true},
        {"abcdefghijklmnopq", true, false},
        {"abcdefghijklmnopqrstuvwx", true, false},
        {"abcdefghijklmnopqrstuvwxy", false, false},
        {"", false, false},
        {"9a", false, false},
        {"-a", false, false},
        {"aB", false, false},
        {"a_b", false, false},
        {"a.b", false, false},
        {"*", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_EQ(cert_name_is_valid(slice_text(cases[i].text)), cases[i].name);
        CHECK_EQ(cert_lab_is_valid(slice_text(cases[i].text)), cases[i].lab);
    }
    struct cert_facts f = {.caps = CERT_CAP_PUBLISH};
    CHECK(cert_may_publish(&f, slice_text("anything")));
    static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "A", "a-b", "9"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_EQ(cert_prefixes_add(&f.prefixes, slice_text(bad[i])), IPX_MALFORMED);
    }
    CHECK_OK(cert_prefixes_add(&f.prefixes, slice_text("bio")));
    CHECK_OK(cert_prefixes_add(&f.prefixes, slice_text("x.y_2")));
    CHECK(cert_may_publish(&f, slice_text("bio")) && cert_may_publish(&f, slice_text("bio.a")));
    CHECK(cert_may_publish(&f, slice_text("x.y_2.z")));
    CHECK(!cert_may_publish(&f, slice_text("biology")) && !cert_may_publish(&f, slice_text("x")));
    f.caps = 0;
    CHECK(!cert_may_publish(&f, slice_text("bio")));
    CHECK_OK(cert_prefixes_add(&f.prefixes, slice_text("abcdefghijklmnopqrstuvwxyzabcdef")));
    CHECK_EQ(cert_prefixes_add(&f.prefixes, slice_text("abcdefghijklmnopqrstuvwxy")), IPX_LIMIT);
    CHECK_OK(cert_prefixes_add(&f.prefixes, slice_text("abcdefghijklmnopqrstuvwx")));
    CHECK_EQ(cert_prefixes_add(&f.prefixes, slice_text("z")), IPX_LIMIT);
}

TEST(cert, roles_and_names_for_people)
{
    static const struct {
        const char *role, *caps;
        uint32_t bits;
    } roles[] = {
        {"user", "JOIN SUBMIT", CERT_ROLE_USER},
        {"node", "JOIN ADMIT PUBLISH OFFER SUBMIT", CERT_ROLE_NODE},
        {"operator", "JOIN ADMIT ISSUE REVOKE RELAY PUBLISH OFFER SUBMIT", CERT_ROLE_OPERATOR},
    };
    char text[CERT_CAPS_TEXT_SIZE];
    uint32_t caps;
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        CHECK_OK(cert_role_parse(slice_text(roles[i].role), &caps));
        CHECK_EQ(caps, roles[i].bits);
        CHECK_STR(cert_role_text(caps), roles[i].role);
        cert_caps_text(caps, text);
        CHECK_STR(text, roles[i].caps);
    }
    CHECK_EQ(cert_role_parse(slice_text("root"), &caps), IPX_NOT_FOUND);
    CHECK_STR(cert_role_text(CERT_CAP_JOIN), "custom");
    cert_caps_text(0, text);
    CHECK_STR(text, "");
    cert_caps_text(UINT32_MAX, text);
    CHECK_STR(text, "JOIN ADMIT ISSUE REVOKE RELAY PUBLISH OFFER SUBMIT ADMIN");

    struct cert_facts a = {.admitted_ms = 5, .admitter = {{2}}, .id = {{7}}, .name = "n"}, b = a;
    b.id.bytes[0] = 8; /* all else equal: the key decides */
    CHECK(cert_name_keeper(&a, &b) == &a && cert_name_keeper(&b, &a) == &a);
    b.admitter.bytes[0] = 1;
    CHECK(cert_name_keeper(&a, &b) == &b && cert_name_keeper(&b, &a) == &b);
    a.admitted_ms = 4;
    CHECK(cert_name_keeper(&a, &b) == &a && cert_name_keeper(&b, &a) == &a);
    char shown[CERT_SHOWN_SIZE], key[ID_SHORT_LEN + 1];
    CHECK_OK(crypt_init());
    cert_name_shown(&a, true, shown);
    CHECK_STR(shown, "n");
    cert_name_shown(&a, false, shown);
    node_id_short(&a.id, key);
    CHECK(strlen(shown) == 6 && memcmp(shown, "n-", 2) == 0 && memcmp(shown + 2, key, 4) == 0);
}
