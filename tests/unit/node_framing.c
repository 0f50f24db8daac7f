/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include "base/rng.h"
#include "node/framing.h"
#include "node/mux.h"

#define BODY_MAX 5000

static size_t put(uint8_t *at, uint8_t type, size_t len)
{
    framing_head(type, len, at);
    for (size_t i = 0; i < len; i++) {
        at[FRAMING_HEAD_LEN + i] = (uint8_t)(type + i);
    }
    return FRAMING_HEAD_LEN + len;
}

TEST(node_framing, messages_come_whole_at_any_segmentation)
{
    static const size_t lens[] = {0, 1, 4, 5, 100, BODY_MAX, 2, 3000, 0};
    static uint8_t bytes[20000];
    struct rng rng;
    rng_init_int(&rng, 1);
    for (size_t round = 0; round < 40; round++) {
        struct mem mem;
        struct framing f;
        size_t len = 0, at = 0, n_got = 0;
        mem_init(&mem, SIZE_MAX);
        framing_init(&f, &mem, BODY_MAX);
        for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
            len += put(bytes + len, (uint8_t)(i + 10), lens[i]);
        }
        while (at < len) {
            size_t n = round == 0 ? 1 : round == 1 ? len : 1 + (size_t)rng_below(&rng, 4000);
            n = IPX_MIN(n, len - at);
            uint8_t *piece = malloc(n);
            memcpy(piece, bytes + at, n);
            struct slice s = slice_of(piece, n), body;
            uint8_t type;
            enum ipx_err err;
            while ((err = framing_next(&f, &s, &type, &body)) == IPX_OK) {
                CHECK(n_got < ARRAY_LEN(lens));
                CHECK_EQ(type, n_got + 10);
                CHECK_EQ(body.len, lens[n_got]);
                for (size_t i = 0; i < body.len; i++) {
                    CHECK_EQ(body.data[i], (uint8_t)(type + i));
                }
                n_got++;
            }
            CHECK_EQ(err, IPX_AGAIN);
            CHECK_EQ(s.len, 0);
            free(piece);
            at += n;
        }
        CHECK_EQ(n_got, ARRAY_LEN(lens));
        CHECK(framing_is_between(&f));
        CHECK(round != 1 || mem.peak == 0); /* whole ones are shown where they lie */
        framing_done(&f);
        CHECK_EQ(mem.used, 0);
    }
}

TEST(node_framing, golden_bytes_and_bounds)
{
    uint8_t head[FRAMING_HEAD_LEN];
    framing_head(7, 300, head);
    const uint8_t want[] = {0, 0, 1, 45, 7};
    CHECK_MEM(head, want, sizeof(want));
    static const struct {
        uint8_t bytes[5];
        enum ipx_err want;
    } cases[] = {
        {{0, 0, 0, 0, 1}, IPX_MALFORMED},
        {{0, 0, 0x13, 0x8a, 1}, IPX_LIMIT}, /* 5,001 bytes of body */
        {{0xff, 0xff, 0xff, 0xff, 1}, IPX_LIMIT},
        {{0, 0, 0x13, 0x89, 1}, IPX_AGAIN},
        {{0, 0, 0, 1, 1}, IPX_OK},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t cut = 0; cut < 4; cut++) {
            struct mem mem;
            struct framing f;
            struct slice s = slice_of(cases[i].bytes, cut), body;
            uint8_t type;
            mem_init(&mem, SIZE_MAX);
            framing_init(&f, &mem, BODY_MAX);
            CHECK_EQ(framing_next(&f, &s, &type, &body), IPX_AGAIN);
            s = slice_of(cases[i].bytes + cut, 5 - cut);
            CHECK_EQ(framing_next(&f, &s, &type, &body), cases[i].want);
            CHECK_EQ(framing_is_between(&f),
                     cases[i].want == IPX_OK || (cut == 0 && cases[i].want != IPX_AGAIN));
            CHECK(mem.peak <= 128); /* not what was claimed, but what came */
            framing_done(&f);
            CHECK_EQ(mem.used, 0);
        }
    }
}

TEST(node_framing, sends_whole_or_not_at_all)
{
    struct mem mem;
    struct mux *m;
    uint32_t id;
    static uint8_t body[FRAMING_BODY_MAX];
    mem_init(&mem, SIZE_MAX);
    struct mux_config config = {.role = MUX_DIALLER, .mem = &mem};
    CHECK_OK(mux_new(&config, &m));
    CHECK_OK(mux_open(m, 2, MUX_CLASS_RPC, 0, &id));
    CHECK(framing_send(m, id, 1, slice_of(body, 10)));
    CHECK(framing_send(m, id, 2, slice_of(body, sizeof(body)))); /* over the limit by one message */
    CHECK(!framing_send(m, id, 3, SLICE_EMPTY));
    CHECK(!framing_send(m, id + 2, 3, SLICE_EMPTY));
    mux_free(m);
    CHECK_EQ(mem.used, 0);
}
