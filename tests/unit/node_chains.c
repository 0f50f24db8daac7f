/* SPDX-License-Identifier: Apache-2.0 */
#include "node/chains.h"
#include "tests/harness.h"

#include "tests/cert_fixture.h"

static const uint8_t secret[16] = {1};
static struct fx x;
static struct mem mem;
static struct chains c;

static void begin(uint32_t max)
{
    fx_init(&x);
    mem_init(&mem, SIZE_MAX);
    CHECK_OK(chains_init(&c, &mem, &x.mesh.mesh, max, secret));
}

static void end(void)
{
    chains_check(&c);
    chains_done(&c);
    CHECK_EQ(mem.used, 0);
}

/* A plain chain for the i-th key of a series. */
static struct slice chain_of(uint8_t i, struct node_id *ret_id, uint8_t out[static CERT_CHAIN_MAX])
{
    uint8_t seed[32], bytes[CERT_BYTES_MAX];
    struct crypt_keypair key = fx_key((uint8_t)(0x40 + i), seed);
    struct cert cert = {.kind = CERT_KIND_NODE,
                        .mesh = x.mesh.mesh,
                        .subject = key.pk,
                        .admitter = x.issuer.pk,
                        .birth_issuer = x.issuer.pk,
                        .birth_serial = 1000u + i,
                        .admitted_ms = FX_WALL,
                        .name = "n",
                        .grant = {.serial = 2000u + i,
                                  .caps = CERT_ROLE_NODE,
                                  .lab = "astro",
                                  .not_before_ms = FX_WALL,
                                  .not_after_ms = FX_WALL + CERT_NODE_LIFE_MS}};
    struct writer b = writer_of(bytes, sizeof bytes), w = writer_of(out, CERT_CHAIN_MAX);
    CHECK_OK(cert_issue(&x.mesh.signer, &cert, FX_WALL, &b));
    cert_chain_put_plain(&w, writer_slice(&b), x.issuer_cert);
    *ret_id = key.pk;
    return writer_slice(&w);
}

TEST(node_chains, keeps_what_was_verified_and_nothing_else)
{
    begin(CHAINS_MAX);
    const struct chain *ada, *got;
    struct hash hash = crypt_hash(x.ada_chain), other = {{1}};
    CHECK_EQ(chains_named(&c, FX_WALL, &hash, &x.ada.pk, &got), IPX_NEED_CHAIN);
    CHECK_OK(chains_put(&c, FX_WALL, x.ada_chain, SLICE_EMPTY, &x.ada.pk, &ada));
    CHECK_STR(ada->facts.name, "ada");
    CHECK_OK(chains_put(&c, FX_WALL, x.ada_chain, SLICE_EMPTY, &x.ada.pk, &got));
    CHECK(got == ada && chains_find(&c, &hash) == ada && chains_find_id(&c, &x.ada.pk) == ada);
    CHECK(chains_find(&c, &other) == NULL && chains_find_id(&c, &x.bob.pk) == NULL);
    CHECK_OK(chains_named(&c, FX_WALL, &hash, &x.ada.pk, &got));
    CHECK_EQ(chains_named(&c, FX_WALL, &hash, &x.bob.pk, &got), IPX_CONFLICT);
    CHECK_EQ(chains_named(&c, FX_WALL + 31 * FX_DAY, &hash, &x.ada.pk, &got), IPX_NEED_CHAIN);
    CHECK_EQ(chains_put(&c, FX_WALL, x.ada_chain, SLICE_EMPTY, &x.eve.pk, &got), IPX_CONFLICT);
    uint8_t bad[CERT_CHAIN_MAX];
    memcpy(bad, x.ada_chain.data, x.ada_chain.len);
    bad[x.ada_chain.len - 1] ^= 1;
    chains_forget(&c, &x.ada.pk);
    CHECK(chains_put(&c, FX_WALL, slice_of(bad, x.ada_chain.len), SLICE_EMPTY, &x.ada.pk, &got) !=
          IPX_OK);
    CHECK_EQ(c.by_id.n, 0);
    end();
}

TEST(node_chains, an_admitted_chain_needs_its_admitter_beside_it_or_here)
{
    begin(CHAINS_MAX);
    const struct chain *got;
    int64_t now = FX_WALL + FX_HOUR;
    CHECK_EQ(chains_put(&c, now, x.bob_chain, SLICE_EMPTY, &x.bob.pk, &got), IPX_NEED_CHAIN);
    CHECK_OK(chains_put(&c, now, x.bob_chain, x.ada_chain, &x.bob.pk, &got));
    chains_forget(&c, &x.bob.pk);
    CHECK_OK(chains_put(&c, now, x.ada_chain, SLICE_EMPTY, NULL, &got));
    CHECK_OK(chains_put(&c, now, x.bob_chain, SLICE_EMPTY, &x.bob.pk, &got));
    CHECK_STR(got->facts.name, "bob");
    end();
}

TEST(node_chains, the_least_recently_used_leaves_and_renewal_replaces)
{
    begin(3);
    uint8_t bytes[4][CERT_CHAIN_MAX];
    struct node_id ids[4];
    const struct chain *got;
    for (uint8_t i = 0; i < 4; i++) {
        struct slice chain = chain_of(i, &ids[i], bytes[i]);
        CHECK_OK(chains_put(&c, FX_WALL, chain, SLICE_EMPTY, &ids[i], &got));
        CHECK(chains_find_id(&c, &ids[0]) != NULL); /* always in use */
        chains_check(&c);
    }
    CHECK(chains_find_id(&c, &ids[1]) == NULL && chains_find_id(&c, &ids[3]) != NULL);
    CHECK_EQ(c.by_id.n, 3);
    end();
}

TEST(node_chains, revocation_by_key_serial_and_birth)
{
    static const struct {
        struct revoke r;
        bool is_out;
    } rows[] = {
        {{.what = REVOKE_KEY}, true}, /* the key is set below */
        {{.what = REVOKE_SERIALS, .serial_min = 1990, .serial_max = 2000}, true},
        {{.what = REVOKE_SERIALS, .serial_min = 1000, .serial_max = 1000}, true}, /* the birth */
        {{.what = REVOKE_SERIALS, .serial_min = 2002, .serial_max = 3000}, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        begin(CHAINS_MAX);
        uint8_t bytes[2][CERT_CHAIN_MAX];
        struct node_id ids[2];
        const struct chain *got;
        struct slice chains[2];
        for (uint8_t k = 0; k < 2; k++) {
            chains[k] = chain_of(k, &ids[k], bytes[k]);
            CHECK_OK(chains_put(&c, FX_WALL, chains[k], SLICE_EMPTY, &ids[k], &got));
        }
        struct revoke r = rows[i].r;
        r.is_by_root = true;
        r.key = ids[0];
        memcpy(r.issuer_tag, x.issuer.pk.bytes, sizeof r.issuer_tag);
        CHECK_OK(chains_revoke(&c, &r, slice_text("one"), FX_WALL));
        CHECK_EQ(chains_revoke(&c, &r, slice_text("one"), FX_WALL), IPX_EXISTS);
        struct hash hash = crypt_hash(chains[0]);
        CHECK(rows[i].is_out == (chains_find_id(&c, &ids[0]) == NULL));
        CHECK(chains_find_id(&c, &ids[1]) != NULL);
        CHECK_EQ(chains_put(&c, FX_WALL, chains[0], SLICE_EMPTY, &ids[0], &got),
                 rows[i].is_out ? IPX_REVOKED : IPX_OK);
        CHECK_EQ(chains_named(&c, FX_WALL, &hash, &ids[0], &got),
                 rows[i].is_out ? IPX_NEED_CHAIN : IPX_OK);
        end();
    }
}

TEST(node_chains, no_memory)
{
    for (uint64_t n = 0; n < 6; n++) {
        begin(CHAINS_MAX);
        const struct chain *got;
        mem.fail_after = n;
        enum ipx_err err = chains_put(&c, FX_WALL, x.ada_chain, SLICE_EMPTY, NULL, &got);
        CHECK(err == IPX_OK || err == IPX_NO_MEMORY);
        CHECK_EQ(err == IPX_OK, c.by_id.n == 1);
        end();
    }
}
