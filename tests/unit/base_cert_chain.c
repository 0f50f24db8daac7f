/* SPDX-License-Identifier: Apache-2.0 */
/* Chains as they travel: what they say, golden bytes, every byte altered, admitted chains. */
#include "tests/harness.h"

#include "tests/cert_fixture.h"

TEST(cert_chain, says_what_the_chain_says)
{
    struct fx x;
    fx_init(&x);
    struct cert_facts f;
    CHECK_OK(cert_chain_verify(x.ada_chain, &x.mesh.mesh, FX_WALL, NULL, &f));
    CHECK(node_id_equal(&f.id, &x.ada.pk) && node_id_equal(&f.issuer, &x.issuer.pk));
    CHECK(node_id_equal(&f.admitter, &x.issuer.pk) && node_id_equal(&f.birth_issuer, &f.issuer));
    CHECK_STR(f.name, "ada");
    CHECK_STR(f.lab, "astro");
    CHECK_EQ(f.caps, CERT_ROLE_OPERATOR);
    CHECK_EQ(f.birth_serial, 12);
    CHECK_EQ(f.not_after_ms - f.not_before_ms, CERT_NODE_LIFE_MS);
    CHECK_EQ(f.admitted_ms, FX_WALL);
    CHECK(f.is_plain);
    struct hash h = crypt_hash(x.ada_chain);
    CHECK(hash_equal(&f.chain_hash, &h));
    struct dht_pos pos = dht_pos_of(&x.mesh.mesh, f.nonce, &f.id);
    CHECK_MEM(&f.pos, &pos, sizeof pos);

    CHECK_OK(fx_verify(&x, x.bob_chain, FX_WALL + FX_HOUR, &x.bob.pk, &f));
    CHECK(node_id_equal(&f.id, &x.bob.pk) && node_id_equal(&f.admitter, &x.ada.pk));
    CHECK_STR(f.name, "bob");
    CHECK_STR(f.lab, "bio");
    CHECK_EQ(f.caps, CERT_ROLE_NODE);
    CHECK(!f.is_plain && !admit_is_allowed(&f));
    CHECK_EQ(f.serial, 77);
    CHECK_EQ(f.birth_serial, 77);
    CHECK_EQ(f.not_after_ms, FX_WALL + TICKET_LIFE_MS + CERT_ADMITTED_EXTRA_MS);
    CHECK_MEM(f.nonce, x.grant.nonce, 16);
}

/* One byte changed, cut off or added: nothing of it is ever accepted. */
static void check_every_byte(const struct fx *x, struct slice chain, const struct node_id *subject)
{
    uint8_t bytes[CERT_CHAIN_MAX + 1];
    struct cert_facts f;
    memcpy(bytes, chain.data, chain.len);
    CHECK_OK(fx_verify(x, slice_of(bytes, chain.len), FX_WALL + FX_HOUR, subject, &f));
    for (size_t i = 0; i < chain.len; i++) {
        static const uint8_t flips[] = {0x01, 0x80, 0xff};
        for (size_t k = 0; k < ARRAY_LEN(flips); k++) {
            bytes[i] ^= flips[k];
            CHECK(fx_verify(x, slice_of(bytes, chain.len), FX_WALL + FX_HOUR, subject, &f) !=
                  IPX_OK);
            bytes[i] ^= flips[k];
        }
        CHECK_EQ(fx_verify(x, slice_of(bytes, i), FX_WALL + FX_HOUR, subject, &f), IPX_MALFORMED);
    }
    bytes[chain.len] = 0;
    CHECK_EQ(fx_verify(x, slice_of(bytes, chain.len + 1), FX_WALL + FX_HOUR, subject, &f),
             IPX_MALFORMED);
}

TEST(cert_chain, every_byte_counts)
{
    struct fx x;
    fx_init(&x);
    check_every_byte(&x, x.ada_chain, NULL);
    check_every_byte(&x, x.bob_chain, NULL);
}

/* An admitted chain put together from parts that may be those of others. */
static enum ipx_err admitted(const struct fx *x, struct slice pub, struct slice redemption,
                             struct slice admitter_chain, int64_t wall_ms, struct hash *ret_missing)
{
    uint8_t bytes[CERT_CHAIN_MAX];
    struct writer w = writer_of(bytes, sizeof bytes);
    struct hash admitter = crypt_hash(x->ada_chain);
    struct cert_facts f;
    if (admitter_chain.len > 0) {
        admitter = crypt_hash(admitter_chain);
    }
    cert_chain_put_admitted(&w, pub, redemption, x->issuer_cert, &admitter);
    struct cert_check check = {
        .mesh = &x->mesh.mesh, .wall_ms = wall_ms, .admitter_chain = admitter_chain};
    return cert_chain_verify_with(writer_slice(&w), &check, &f, ret_missing);
}

static struct slice redeem(const struct fx *x, const struct crypt_keypair *admitter, int64_t at_ms,
                           uint8_t bytes[static ADMIT_REDEMPTION_MAX])
{
    struct writer w = writer_of(bytes, ADMIT_REDEMPTION_MAX);
    admit_redeem(&x->req, admitter, x->grant.nonce, at_ms, &w);
    return writer_slice(&w);
}

TEST(cert_chain, admitted_chains)
{
    struct fx x;
    fx_init(&x);
    uint8_t red[ADMIT_REDEMPTION_MAX];
    struct hash missing, ada_hash = crypt_hash(x.ada_chain);
    struct cert_facts f;
    int64_t ends = FX_WALL + TICKET_LIFE_MS + CERT_ADMITTED_EXTRA_MS;

    CHECK_EQ(cert_chain_verify(x.bob_chain, &x.mesh.mesh, FX_WALL, NULL, &f), IPX_NEED_CHAIN);
    CHECK_EQ(admitted(&x, x.pub, x.redemption, SLICE_EMPTY, FX_WALL, &missing), IPX_NEED_CHAIN);
    CHECK(hash_equal(&missing, &ada_hash));
    CHECK_EQ(fx_verify(&x, x.bob_chain, FX_WALL, &x.ada.pk, &f), IPX_CONFLICT);
    CHECK_OK(fx_verify(&x, x.bob_chain, ends + CERT_SKEW_MS, NULL, &f));
    CHECK_EQ(fx_verify(&x, x.bob_chain, ends + CERT_SKEW_MS + 1, NULL, &f), IPX_EXPIRED);
    CHECK_EQ(fx_verify(&x, x.bob_chain, FX_WALL - FX_HOUR, NULL, &f), IPX_NOT_YET);

    /* Admitted outside the ticket's time, or in the future */
    struct slice r = redeem(&x, &x.ada, FX_WALL + 2 * FX_DAY, red);
    CHECK_EQ(admitted(&x, x.pub, r, x.ada_chain, FX_WALL + 2 * FX_DAY, NULL), IPX_LIFETIME);
    r = redeem(&x, &x.ada, FX_WALL + 2 * FX_HOUR, red);
    CHECK_EQ(admitted(&x, x.pub, r, x.ada_chain, FX_WALL + FX_HOUR, NULL), IPX_NOT_YET);
    CHECK_OK(admitted(&x, x.pub, r, x.ada_chain, FX_WALL + 2 * FX_HOUR, NULL));

    /* The admitter: another than the chain shown, only admitted itself, without ADMIT */
    r = redeem(&x, &x.eve, FX_WALL + FX_HOUR, red);
    CHECK_EQ(admitted(&x, x.pub, r, x.ada_chain, FX_WALL + FX_HOUR, NULL), IPX_BAD_CHAIN);
    r = redeem(&x, &x.bob, FX_WALL + FX_HOUR, red);
    CHECK_EQ(admitted(&x, x.pub, r, x.bob_chain, FX_WALL + FX_HOUR, NULL), IPX_BAD_CHAIN);
    uint8_t chain[CERT_CHAIN_MAX], cert[CERT_BYTES_MAX];
    struct cert user = {.kind = CERT_KIND_NODE,
                        .subject = x.eve.pk,
                        .admitter = x.issuer.pk,
                        .birth_issuer = x.issuer.pk,
                        .name = "eve",
                        .grant = {.caps = CERT_ROLE_USER,
                                  .lab = "bio",
                                  .not_before_ms = FX_WALL,
                                  .not_after_ms = FX_WALL + FX_DAY}};
    struct writer cw = writer_of(cert, sizeof cert), w = writer_of(chain, sizeof chain);
    CHECK_OK(cert_issue(&x.mesh.signer, &user, FX_WALL, &cw));
    cert_chain_put_plain(&w, writer_slice(&cw), x.issuer_cert);
    r = redeem(&x, &x.eve, FX_WALL + FX_HOUR, red);
    CHECK_EQ(admitted(&x, x.pub, r, writer_slice(&w), FX_WALL + FX_HOUR, NULL), IPX_DENIED);

    /* The ticket of another: serial, or only the signature of the one-time key */
    struct ticket other;
    struct ticket_plan plan = fx_ticket_plan(&x);
    plan.grant.serial = 78;
    CHECK_OK(ticket_make(&x.mesh.signer, &plan, FX_WALL, &other));
    CHECK_EQ(
        admitted(&x, slice_of(other.pub, other.pub_len), x.redemption, x.ada_chain, FX_WALL, NULL),
        IPX_BAD_CHAIN);
    plan = fx_ticket_plan(&x);
    fx_key(9, plan.seed);
    CHECK_OK(ticket_make(&x.mesh.signer, &plan, FX_WALL, &other));
    CHECK_EQ(
        admitted(&x, slice_of(other.pub, other.pub_len), x.redemption, x.ada_chain, FX_WALL, NULL),
        IPX_BAD_SIGNATURE);
    CHECK(x.bob_chain.len <= 800); /* without prefixes, short names: room for more in an INIT */
}

/* A chain of certificates with one more key in the node's body. */
static enum ipx_err with_key(const struct fx *x, uint64_t key, struct slice value)
{
    uint8_t bytes[CERT_BYTES_MAX], cert[CERT_BYTES_MAX], chain[CERT_CHAIN_MAX];
    struct cert_chain_parts p;
    struct signed_item item;
    struct cert_facts f;
    CHECK_OK(cert_chain_split(x->ada_chain, &p));
    CHECK_OK(signed_read(p.node_cert, &item));
    CHECK((item.body.data[0] & 0xe0) == 0xa0); /* a map of fewer than 24 */
    struct writer b = writer_of(bytes, sizeof bytes), w = writer_of(cert, sizeof cert);
    struct writer c = writer_of(chain, sizeof chain);
    writer_u8(&b, (uint8_t)(item.body.data[0] + 1));
    writer_bytes(&b, slice_of(item.body.data + 1, item.body.len - 1));
    cbor_put_u64(&b, key);
    writer_bytes(&b, value);
    signed_write(&w, writer_slice(&b), &x->issuer, "cert", &x->mesh.mesh);
    cert_chain_put_plain(&c, writer_slice(&w), p.issuer_cert);
    CHECK(!c.failed);
    return cert_chain_verify(writer_slice(&c), &x->mesh.mesh, FX_WALL, NULL, &f);
}

TEST(cert_chain, unknown_keys_and_forms)
{
    struct fx x;
    fx_init(&x);
    CHECK_OK(with_key(&x, 17, slice_of("\x01", 1)));
    CHECK_OK(with_key(&x, 4097, slice_of("\x82\x01\x61z", 4)));
    CHECK_EQ(with_key(&x, 18, slice_of("\x01", 1)), IPX_MALFORMED);
    CHECK_EQ(with_key(&x, 16, slice_of("\x01", 1)), IPX_MALFORMED); /* twice */
    CHECK_EQ(with_key(&x, 3, slice_of("\x01", 1)), IPX_MALFORMED);  /* unsorted */

    uint8_t bytes[CERT_CHAIN_MAX];
    struct cert_chain_parts p;
    struct cert_facts f;
    CHECK_OK(cert_chain_split(x.ada_chain, &p));
    struct writer w = writer_of(bytes, sizeof bytes); /* deeper than root, issuer, node */
    cbor_put_array(&w, 4);
    cbor_put_u64(&w, 1);
    cbor_put_raw(&w, p.node_cert);
    cbor_put_raw(&w, p.issuer_cert);
    cbor_put_raw(&w, p.issuer_cert);
    CHECK_EQ(cert_chain_verify(writer_slice(&w), &x.mesh.mesh, FX_WALL, NULL, &f), IPX_PATH_LEN);
    w = writer_of(bytes, sizeof bytes); /* a form of later */
    cbor_put_array(&w, 3);
    cbor_put_u64(&w, 3);
    cbor_put_raw(&w, p.node_cert);
    cbor_put_raw(&w, p.issuer_cert);
    CHECK_EQ(cert_chain_verify(writer_slice(&w), &x.mesh.mesh, FX_WALL, NULL, &f), IPX_MALFORMED);
    CHECK_EQ(cert_chain_verify(SLICE_EMPTY, &x.mesh.mesh, FX_WALL, NULL, &f), IPX_MALFORMED);
}

TEST(cert_chain, golden_bytes)
{
    static const char golden[] =
        "830182af015085b6fde8c2dba4f915f10b57be0eb27c020c031b000001a3185c5000041b000001a3b2db1800"
        "0565617374726f0618ff08020958209f6df5779314bf0c12ec2604d9cc0157db44095fbd6a68b8b8c6d0da5e"
        "7ece240a5820251ce889866a2495085def6b624555f5751385aff4ac2f9b8234e6702ba860250b000c636164"
        "610d50ad0000000000000000000000000000000e5820251ce889866a2495085def6b624555f5751385aff4ac"
        "2f9b8234e6702ba860250f825820251ce889866a2495085def6b624555f5751385aff4ac2f9b8234e6702ba8"
        "60250c101b000001a3185c500058409c364819bfdc4532a0f646a22e4c88fd2a491e12a37e34d7bc295f3477"
        "0baec1bde125b68d9c62131ef4d2ace296856e05381dd874be5656552941f61456770482ab015085b6fde8c2"
        "dba4f915f10b57be0eb27c020b031b000001a3185c5000041b000001aa700d7c0005612a061901ff08010958"
        "20251ce889866a2495085def6b624555f5751385aff4ac2f9b8234e6702ba860250a58208a88e3dd7409f195"
        "fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c0b000c636164615840d52bdb223d3785163bf3cf"
        "caa68b9789fd8b0de27c7cd31209074141743103679d9eadd2da707ffe02465fa2d546a16ae5725277013369"
        "39326fdc35c7d1a80a";
    struct fx x;
    fx_init(&x);
    char hex[2 * CERT_CHAIN_MAX + 1];
    hex_encode(x.ada_chain, hex);
    CHECK_STR(hex, golden);
}
