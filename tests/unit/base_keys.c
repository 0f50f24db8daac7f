/* SPDX-License-Identifier: Apache-2.0 */
/* Key files and the making of a mesh. */
#include "tests/harness.h"

#include "tests/cert_fixture.h"

/* Cheap on purpose: what is tested is the form, not Argon2id. */
static struct keys_seal cheap_seal(const char *passphrase)
{
    struct keys_seal seal = {
        .passphrase = slice_text(passphrase), .ops = 1, .mem_bytes = KEYS_SEAL_MEM_MIN};
    memset(seal.salt, 0x5a, sizeof seal.salt);
    memset(seal.nonce, 0x24, sizeof seal.nonce);
    return seal;
}

TEST(keys, golden_files)
{
    static const char golden_open[] =
        "a301010258209f6df5779314bf0c12ec2604d9cc0157db44095fbd6a68b8b8c6d0da5e7ece24035820000303"
        "0303030303030303030303030303030303030303030303030303030303";
    static const char golden_sealed[] =
        "a701030258209f6df5779314bf0c12ec2604d9cc0157db44095fbd6a68b8b8c6d0da5e7ece2404583005b70b"
        "cdf31507f612901b344e7c76a48816597ba3e79a89db5bbfc9083436e7c5e0b94eb0f1b1ee623a4f254daf7b"
        "a305505a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a06581824242424242424242424242424242424242424242424"
        "2424070108192000";
    uint8_t seed[32], bytes[KEYS_FILE_MAX];
    char hex[2 * KEYS_FILE_MAX + 1];
    CHECK_OK(crypt_init());
    fx_key(3, seed);
    struct writer w = writer_of(bytes, sizeof bytes);
    keys_file_put(&w, KEYS_NODE, seed);
    hex_encode(writer_slice(&w), hex);
    CHECK_STR(hex, golden_open);
    struct keys_seal seal = cheap_seal("correct horse");
    w = writer_of(bytes, sizeof bytes);
    CHECK_OK(keys_file_put_sealed(&w, seed, &seal));
    hex_encode(writer_slice(&w), hex);
    CHECK_STR(hex, golden_sealed);
}

TEST(keys, open_files)
{
    uint8_t seed[32], bytes[KEYS_FILE_MAX];
    CHECK_OK(crypt_init());
    struct crypt_keypair key = fx_key(3, seed), got;
    bool is_sealed = true;
    struct writer w = writer_of(bytes, sizeof bytes);
    keys_file_put(&w, KEYS_ISSUER, seed);
    struct slice file = writer_slice(&w);
    CHECK_OK(keys_file_is_sealed(file, &is_sealed));
    CHECK(!is_sealed);
    CHECK_OK(keys_file_get(file, KEYS_ISSUER, SLICE_EMPTY, &got));
    CHECK_MEM(&got, &key, sizeof key);
    CHECK_EQ(keys_file_get(file, KEYS_NODE, SLICE_EMPTY, &got), IPX_TYPE);
    for (size_t i = 0; i < file.len; i++) {
        bytes[i] ^= 1;
        CHECK(keys_file_get(file, KEYS_ISSUER, SLICE_EMPTY, &got) != IPX_OK);
        bytes[i] ^= 1;
        CHECK_EQ(keys_file_get(slice_of(bytes, i), KEYS_ISSUER, SLICE_EMPTY, &got), IPX_MALFORMED);
    }
    bytes[file.len - 1] ^= 1; /* the seed of another key */
    CHECK_EQ(keys_file_get(file, KEYS_ISSUER, SLICE_EMPTY, &got), IPX_CONFLICT);
}

TEST(keys, sealed_files)
{
    uint8_t seed[32], bytes[KEYS_FILE_MAX];
    CHECK_OK(crypt_init());
    struct crypt_keypair key = fx_key(1, seed), got;
    struct keys_seal seal = cheap_seal("correct horse");
    struct slice right = seal.passphrase;
    bool is_sealed = false;
    struct writer w = writer_of(bytes, sizeof bytes);
    CHECK_OK(keys_file_put_sealed(&w, seed, &seal));
    struct slice file = writer_slice(&w);
    CHECK_OK(keys_file_is_sealed(file, &is_sealed));
    CHECK(is_sealed);
    CHECK_OK(keys_file_get(file, KEYS_ROOT, right, &got));
    CHECK_MEM(&got, &key, sizeof key);
    CHECK_EQ(keys_file_get(file, KEYS_ROOT, SLICE_EMPTY, &got), IPX_DENIED);
    CHECK_EQ(keys_file_get(file, KEYS_ROOT, slice_text("correct Horse"), &got), IPX_REFUSED);
    CHECK_EQ(keys_file_get(file, KEYS_NODE, right, &got), IPX_TYPE);
    for (size_t i = 0; i < file.len; i++) {
        if (file.len - i <= 2) {
            break; /* the size of the memory: a larger one is only slower to refuse */
        }
        bytes[i] ^= 1;
        CHECK(keys_file_get(file, KEYS_ROOT, right, &got) != IPX_OK);
        bytes[i] ^= 1;
        CHECK_EQ(keys_file_get(slice_of(bytes, i), KEYS_ROOT, right, &got), IPX_MALFORMED);
    }
    for (size_t i = 0; i + 32 <= file.len; i++) { /* the seed is nowhere to be seen */
        CHECK(memcmp(bytes + i, seed, 32) != 0);
    }
    static const struct {
        uint64_t ops, mem;
    } greedy[] = {
        {KEYS_SEAL_OPS_MAX + 1, KEYS_SEAL_MEM_MIN},
        {UINT64_MAX, KEYS_SEAL_MEM_MIN},
        {0, KEYS_SEAL_MEM_MIN},
        {1, KEYS_SEAL_MEM_MAX + 1},
        {1, UINT64_MAX},
        {1, 0},
    };
    size_t head = file.len - 1 - 1 - 1 - 3; /* keys 7 and 8 with their values at the end */
    for (size_t i = 0; i < ARRAY_LEN(greedy); i++) {
        uint8_t other[KEYS_FILE_MAX];
        memcpy(other, bytes, head);
        w = writer_of(other, sizeof other);
        w.len = head;
        cbor_put_u64(&w, 7);
        cbor_put_u64(&w, greedy[i].ops);
        cbor_put_u64(&w, 8);
        cbor_put_u64(&w, greedy[i].mem);
        CHECK_EQ(keys_file_get(writer_slice(&w), KEYS_ROOT, right, &got), IPX_LIMIT);
    }
}

TEST(keys, a_new_mesh)
{
    struct fx x;
    fx_init(&x);
    CHECK(x.mesh.facts.is_plain && admit_is_allowed(&x.mesh.facts));
    CHECK_EQ(x.mesh.facts.caps, CERT_ROLE_OPERATOR);
    CHECK_STR(x.mesh.signer.cert.grant.lab, CERT_LAB_ANY);
    struct mesh_id id = mesh_id_of(&x.root.pk);
    CHECK_MEM(&x.mesh.mesh, &id, sizeof id);

    struct keys_new_plan good = {.root = &x.root,
                                 .issuer = &x.issuer,
                                 .node = &x.ada,
                                 .lab = "astro",
                                 .name = "ada",
                                 .wall_ms = FX_WALL};
    struct keys_new n;
    CHECK_OK(keys_new_mesh(&good, &n));
    struct keys_new_plan bad = good;
    bad.lab = "*";
    CHECK_EQ(keys_new_mesh(&bad, &n), IPX_MALFORMED);
    bad = good;
    bad.name = "Ada";
    CHECK_EQ(keys_new_mesh(&bad, &n), IPX_MALFORMED);
    const struct crypt_keypair *same[3][3] = {
        {&x.root, &x.root, &x.ada}, {&x.root, &x.issuer, &x.root}, {&x.root, &x.issuer, &x.issuer}};
    for (size_t i = 0; i < 3; i++) {
        bad = good;
        bad.root = same[i][0];
        bad.issuer = same[i][1];
        bad.node = same[i][2];
        CHECK_EQ(keys_new_mesh(&bad, &n), IPX_CONFLICT);
    }
}

TEST(keys, signers)
{
    struct fx x;
    fx_init(&x);
    struct cert_signer s;
    CHECK_OK(keys_signer_make(&x.issuer, x.issuer_cert, &x.mesh.mesh, &s));
    CHECK_EQ(s.len, x.issuer_cert.len);
    CHECK_EQ(keys_signer_make(&x.eve, x.issuer_cert, &x.mesh.mesh, &s), IPX_CONFLICT);
    struct mesh_id other = {{3}};
    CHECK_EQ(keys_signer_make(&x.issuer, x.issuer_cert, &other, &s), IPX_OTHER_MESH);
    struct keys_issuer_plan plan = {
        .lab = "bio", .name = "", .caps = CERT_ROLE_OPERATOR, .serial = 3, .wall_ms = FX_WALL};
    CHECK_OK(keys_issuer_make(&x.root, &x.eve, &plan, &s));
    struct cert c;
    CHECK_OK(cert_issuer_verify(slice_of(s.bytes, s.len), &x.mesh.mesh, &c));
    CHECK_STR(c.grant.lab, "bio");
    plan.caps = CERT_ROLE_NODE;
    CHECK_EQ(keys_issuer_make(&x.root, &x.eve, &plan, &s), IPX_CAPS);
    plan.caps = CERT_ROLE_OPERATOR;
    plan.lab = "";
    CHECK_EQ(keys_issuer_make(&x.root, &x.eve, &plan, &s), IPX_MALFORMED);
    plan.lab = "bio";
    plan.name = "not valid";
    CHECK_EQ(keys_issuer_make(&x.root, &x.eve, &plan, &s), IPX_MALFORMED);
}
