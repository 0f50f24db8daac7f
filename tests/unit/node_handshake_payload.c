/* SPDX-License-Identifier: Apache-2.0 */
/* What INIT and RESP say inside the sealing: there and back, cut, with unknown keys. */
#include "node/handshake.h"
#include "tests/harness.h"

#include "tests/cert_fixture.h"

static struct fx fx;

static struct handshake_init plain_init(void)
{
    return (struct handshake_init){.pk = fx.bob.pk,
                                   .t_ms = FX_WALL,
                                   .version_min = 1,
                                   .version_max = 1,
                                   .has_hash = true,
                                   .chain_hash = crypt_hash(fx.bob_chain),
                                   .suites = UINT32_C(1) << CRYPT_SUITE_CHACHA20};
}

TEST(node_handshake_payload, payloads_round_trip)
{
    fx_init(&fx);
    uint8_t bytes[HANDSHAKE_LINK_MAX];
    for (unsigned k = 0; k < 8; k++) {
        struct handshake_init init = plain_init(), got;
        init.has_hash = k % 4 == 0;
        init.chain = k % 4 == 1 ? fx.ada_chain : SLICE_EMPTY;
        init.ticket = k % 4 >= 2 ? fx.pub : SLICE_EMPTY;
        init.admitter_chain = k == 3 ? fx.ada_chain : SLICE_EMPTY;
        init.early = (struct handshake_message){
            .is_set = k >= 4, .type = 16, .request_id = 77, .body = slice_text("early")};
        size_t padded = k % 2 == 0 ? 0 : 1400;
        struct writer w = writer_of(bytes, sizeof bytes);
        handshake_init_encode(&init, padded, &w);
        CHECK(!w.failed && (padded == 0 || w.len == padded));
        CHECK_OK(handshake_init_decode(writer_slice(&w), padded > 0, &got));
        CHECK(node_id_equal(&got.pk, &init.pk) && got.t_ms == init.t_ms);
        CHECK(got.has_hash == init.has_hash && slice_equal(got.chain, init.chain));
        CHECK(slice_equal(got.ticket, init.ticket) && got.suites == init.suites);
        CHECK(slice_equal(got.admitter_chain, init.admitter_chain));
        CHECK(got.early.is_set == init.early.is_set);
        if (init.early.is_set) {
            CHECK(slice_equal(got.early.body, init.early.body) && got.early.request_id == 77);
        }
        if (padded > 0) {
            CHECK_EQ(handshake_init_decode(writer_slice(&w), false, &got), IPX_MALFORMED);
            bytes[padded - 1] = 1; /* padding is zeros and nothing else */
            CHECK_EQ(handshake_init_decode(writer_slice(&w), true, &got), IPX_MALFORMED);
        }
    }
    static const enum handshake_status all[] = {HANDSHAKE_OK,      HANDSHAKE_NEED_CHAIN,
                                                HANDSHAKE_CLOCK,   HANDSHAKE_REFUSED,
                                                HANDSHAKE_REVOKED, HANDSHAKE_BUSY};
    for (size_t k = 0; k < ARRAY_LEN(all); k++) {
        struct handshake_resp resp = {.version = 1,
                                      .suite = 1,
                                      .status = all[k],
                                      .why = IPX_WRONG_LAB,
                                      .clock_ms = FX_WALL,
                                      .last_ms = FX_WALL - 1},
                              got;
        resp.chain = k % 2 == 0 ? fx.ada_chain : SLICE_EMPTY;
        resp.answer = (struct handshake_message){
            .is_set = k == 0, .type = 17, .request_id = 5, .body = slice_text("answer")};
        struct writer w = writer_of(bytes, sizeof bytes);
        handshake_resp_encode(&resp, &w);
        CHECK_OK(handshake_resp_decode(writer_slice(&w), &got));
        CHECK_EQ(got.status, all[k]);
        CHECK(slice_equal(got.chain, resp.chain) && got.answer.is_set == resp.answer.is_set);
        CHECK(all[k] != HANDSHAKE_REFUSED || got.why == IPX_WRONG_LAB);
        CHECK(all[k] != HANDSHAKE_CLOCK || (got.clock_ms == FX_WALL && got.last_ms == FX_WALL - 1));
        for (size_t cut = 0; cut < w.len; cut++) {
            CHECK_EQ(handshake_resp_decode(slice_of(bytes, cut), &got), IPX_MALFORMED);
        }
    }
}

static enum ipx_err try_init(const char *tail, size_t len, unsigned n_pairs)
{
    uint8_t bytes[512];
    struct handshake_init init = plain_init(), got;
    struct writer w = writer_of(bytes, sizeof bytes);
    handshake_init_encode(&init, 0, &w);
    bytes[0] = (uint8_t)(0xa0 + n_pairs);
    writer_bytes(&w, slice_of(tail, len));
    return handshake_init_decode(writer_slice(&w), false, &got);
}

TEST(node_handshake_payload, unknown_and_contradicting_fields)
{
    fx_init(&fx);
    CHECK_OK(try_init("", 0, 5));
    CHECK_OK(try_init("\x0d\x00", 2, 6));                        /* odd: skipped */
    CHECK_EQ(try_init("\x0c\x00", 2, 6), IPX_MALFORMED);         /* even: refused */
    CHECK_EQ(try_init("\x06\x41x", 3, 6), IPX_MALFORMED);        /* out of order */
    CHECK_EQ(try_init("\x08\x83\x10\x01\x40", 5, 6), IPX_OK);    /* early request */
    CHECK_EQ(try_init("\x08\x82\x10\x01", 4, 6), IPX_MALFORMED); /* cut short */
    CHECK_EQ(try_init("\x08\x84\x10\x01\x40\x40", 6, 6), IPX_MALFORMED);
    CHECK_EQ(try_init("\x08\x83\x19\x01\x00\x01\x40", 7, 6), IPX_MALFORMED); /* type 256 */
    CHECK_EQ(try_init("\x0d\x5a\xff\xff\xff\xff", 6, 6), IPX_MALFORMED);     /* length */
    CHECK_EQ(try_init("", 0, 6), IPX_MALFORMED);
    CHECK_EQ(try_init("\x0d\x18\x01", 3, 6), IPX_MALFORMED); /* not shortest */

    struct handshake_init init = plain_init(), got;
    uint8_t bytes[1500];
    for (unsigned k = 0; k < 5; k++) {
        init = plain_init();
        init.has_hash = k != 0; /* nothing shown at all */
        init.version_min = k == 1 ? 2 : k == 2 ? 0 : 1;
        init.t_ms = k == 3 ? 0 : k == 4 ? INT64_C(1) << 60 : FX_WALL;
        struct writer w = writer_of(bytes, sizeof bytes);
        handshake_init_encode(&init, 0, &w);
        CHECK_EQ(handshake_init_decode(writer_slice(&w), false, &got), IPX_MALFORMED);
    }
    init = plain_init();
    struct writer w = writer_of(bytes, sizeof bytes);
    handshake_init_encode(&init, 0, &w);
    for (size_t cut = 0; cut < w.len; cut++) {
        CHECK_EQ(handshake_init_decode(slice_of(bytes, cut), true, &got), IPX_MALFORMED);
    }
}
