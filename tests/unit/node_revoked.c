/* SPDX-License-Identifier: Apache-2.0 */
/* The table of revocations: once each, bounded, room for the root's, nothing dropped too soon. */
#include "node/revoked.h"
#include "tests/harness.h"

static struct mem mem;
static struct revoked t;

static enum ipx_err add(uint32_t number, uint8_t by, bool is_by_root, int64_t at_ms, int64_t now_ms)
{
    uint8_t bytes[4];
    struct revoke r = {
        .what = REVOKE_KEY, .revoker = {{by}}, .is_by_root = is_by_root, .at_ms = at_ms};
    store_be32(r.key.bytes, number);
    store_be32(bytes, number);
    enum ipx_err err = revoked_add(&t, &r, slice_of(bytes, sizeof bytes), now_ms);
    return err;
}

static bool is_out(uint32_t number)
{
    struct cert_facts f = {.is_plain = true, .issuer = {{0xff}}};
    store_be32(f.id.bytes, number);
    return revoked_find(&t, &f) != NULL;
}

TEST(node_revoked, each_once_and_in_order)
{
    mem_init(&mem, SIZE_MAX);
    revoked_init(&t, &mem);
    CHECK_OK(add(1, 0, true, 0, 0));
    CHECK_OK(add(2, 0, true, 0, 0));
    CHECK_EQ(add(1, 0, true, 0, 0), IPX_EXISTS);
    CHECK(is_out(1) && is_out(2) && !is_out(3));
    CHECK_EQ(t.bytes.len, 8);
    CHECK_EQ(load_be32(buf_slice(&t.bytes).data + 4), 2);
    revoked_check(&t);
    revoked_done(&t);
    CHECK_EQ(mem.used, 0);
}

TEST(node_revoked, a_stolen_issuer_leaves_room_for_the_root)
{
    mem_init(&mem, SIZE_MAX);
    revoked_init(&t, &mem);
    for (uint32_t i = 0; i < REVOKED_ISSUER_MAX; i++) {
        CHECK_OK(add(i, 7, false, 0, 0));
    }
    CHECK_EQ(add(REVOKED_ISSUER_MAX, 7, false, 0, 0), IPX_FULL);
    for (uint32_t i = REVOKED_ISSUER_MAX; i < REVOKED_MAX; i++) {
        CHECK_OK(add(i, 0, true, 0, 0));
    }
    CHECK_EQ(add(REVOKED_MAX, 0, true, 0, 0), IPX_FULL);
    CHECK(is_out(REVOKED_MAX - 1) && !is_out(REVOKED_MAX));
    revoked_check(&t);
    revoked_done(&t);
    CHECK_EQ(mem.used, 0);
}

TEST(node_revoked, one_that_is_over_goes_only_for_want_of_room)
{
    mem_init(&mem, SIZE_MAX);
    revoked_init(&t, &mem);
    const int64_t later = 2 * REVOKE_LIFE_MS;
    for (uint32_t i = 0; i < REVOKED_MAX; i++) {
        CHECK_OK(add(i, 0, true, i == 5 ? 0 : later, later));
    }
    CHECK(is_out(5));
    CHECK_OK(add(REVOKED_MAX, 0, true, later, later));
    CHECK(!is_out(5) && is_out(4) && is_out(6) && is_out(REVOKED_MAX));
    CHECK_EQ(add(REVOKED_MAX + 1, 0, true, later, later), IPX_FULL);
    revoked_check(&t);
    revoked_done(&t);
    CHECK_EQ(mem.used, 0);
}

TEST(node_revoked, no_memory)
{
    for (uint64_t n = 0; n < 3; n++) {
        mem_init(&mem, SIZE_MAX);
        revoked_init(&t, &mem);
        mem.fail_after = n;
        enum ipx_err err = add(1, 0, true, 0, 0);
        CHECK(err == IPX_NO_MEMORY || n == 2);
        CHECK_EQ(is_out(1), err == IPX_OK);
        revoked_check(&t);
        revoked_done(&t);
        CHECK_EQ(mem.used, 0);
    }
}
