/* SPDX-License-Identifier: Apache-2.0 */
/* Datagram messages on a stream: golden bytes, every cut, and what is no message. */
#include "node/tunnel.h"
#include "tests/harness.h"

/* A PING of the session plane (body: an empty map), and a GET_CHAIN of no body at all. */
static const uint8_t golden[] = {1, 0, 0, 0, 7, 0, 1, 0xa0, 7, 0xff, 0, 0, 1, 0, 0};

TEST(node_tunnel, golden_bytes)
{
    uint8_t out[64];
    const uint8_t empty_map = 0xa0;
    struct writer w = writer_of(out, sizeof(out));
    tunnel_put(&w, &(struct tunnel_message){
                       .type = SESSION_PING, .request_id = 7, .body = slice_of(&empty_map, 1)});
    tunnel_put(&w, &(struct tunnel_message){.type = SESSION_GET_CHAIN, .request_id = 0xff000001});
    CHECK_EQ(w.len, sizeof(golden));
    CHECK_MEM(out, golden, sizeof(golden));
}

TEST(node_tunnel, pieces_of_every_size)
{
    uint8_t all[4 * TUNNEL_MESSAGE_MAX];
    static uint8_t body[SESSION_BODY_MAX];
    static const uint16_t lens[] = {0, 1, 300, SESSION_BODY_MAX, 2};
    struct writer w = writer_of(all, sizeof(all));
    memset(body, 0x5a, sizeof(body));
    for (uint32_t i = 0; i < ARRAY_LEN(lens); i++) {
        tunnel_put(&w, &(struct tunnel_message){.type = (uint8_t)(20 + i),
                                                .request_id = i,
                                                .body = slice_of(body, lens[i])});
    }
    CHECK(!w.failed);
    for (size_t piece = 1; piece <= w.len; piece++) {
        struct tunnel_reader r = {0};
        uint32_t n = 0;
        for (size_t at = 0; at < w.len; at += piece) {
            struct slice left = slice_of(all + at, IPX_MIN(piece, w.len - at));
            struct tunnel_message m;
            enum ipx_err err;
            while ((err = tunnel_next(&r, &left, &m)) == IPX_OK) {
                CHECK_EQ(m.type, 20 + n);
                CHECK_EQ(m.request_id, n);
                CHECK_EQ(m.body.len, lens[n]);
                CHECK(m.body.len == 0 || memcmp(m.body.data, body, m.body.len) == 0);
                n++;
            }
            CHECK_EQ(err, IPX_AGAIN);
            CHECK_EQ(left.len, 0);
        }
        CHECK_EQ(n, ARRAY_LEN(lens));
    }
}

TEST(node_tunnel, what_is_no_message_is_seen_on_its_header)
{
    static const uint8_t bad[][SESSION_MESSAGE_HEADER] = {
        {0, 0, 0, 0, 1, 0, 0},                         /* no type */
        {64, 0, 0, 0, 1, 0, 0},                        /* not of this plane */
        {20, 0, 0, 0, 1, SESSION_BODY_MAX >> 8, 0xff}, /* too long */
        {20, 0, 0, 0, 1, 0xff, 0xff},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        for (size_t piece = 1; piece <= SESSION_MESSAGE_HEADER; piece++) {
            struct tunnel_reader r = {0};
            struct tunnel_message m;
            enum ipx_err err = IPX_AGAIN;
            for (size_t at = 0; at < SESSION_MESSAGE_HEADER && err == IPX_AGAIN; at += piece) {
                struct slice left =
                    slice_of(bad[i] + at, IPX_MIN(piece, SESSION_MESSAGE_HEADER - at));
                err = tunnel_next(&r, &left, &m);
            }
            CHECK_EQ(err, IPX_MALFORMED);
        }
    }
}
