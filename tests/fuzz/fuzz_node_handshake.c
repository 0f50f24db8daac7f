/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The payloads of INIT and RESP and the bodies of messages 1 to 10. The first byte picks the
 * decoder; what is accepted must encode again to something that decodes to the same bytes.
 */
#include "node/handshake_payload.h"
#include "node/session_wire.h"

static void init_check(struct slice in)
{
    struct handshake_init a, b;
    uint8_t one[8192], two[8192];
    if (handshake_init_decode(in, true, &a) != IPX_OK) {
        return;
    }
    struct writer w = writer_of(one, sizeof one), v = writer_of(two, sizeof two);
    handshake_init_encode(&a, 0, &w);
    assert(!w.failed);
    enum ipx_err err = handshake_init_decode(writer_slice(&w), false, &b);
    assert(err == IPX_OK);
    handshake_init_encode(&b, 0, &v);
    assert(slice_equal(writer_slice(&w), writer_slice(&v)));
}

static void resp_check(struct slice in)
{
    struct handshake_resp a, b;
    uint8_t one[8192], two[8192];
    if (handshake_resp_decode(in, &a) != IPX_OK) {
        return;
    }
    struct writer w = writer_of(one, sizeof one), v = writer_of(two, sizeof two);
    handshake_resp_encode(&a, &w);
    assert(!w.failed);
    enum ipx_err err = handshake_resp_decode(writer_slice(&w), &b);
    assert(err == IPX_OK);
    handshake_resp_encode(&b, &v);
    assert(slice_equal(writer_slice(&w), writer_slice(&v)));
}

static void message_check(uint8_t which, struct slice in)
{
    struct addr addr;
    uint8_t nonce[SESSION_NONCE_LEN];
    struct hash hash;
    struct slice chain;
    struct session_reverse reverse;
    enum ipx_err why;
    uint8_t bytes[8192];
    struct writer w = writer_of(bytes, sizeof bytes);
    switch (which) {
    case 0:
        err_ignore(session_ping_decode(in), "only looked at");
        return;
    case 1:
        if (session_pong_decode(in, &addr) == IPX_OK) {
            session_pong_encode(&addr, &w);
        }
        break;
    case 2:
        if (session_path_decode(in, nonce) == IPX_OK) {
            session_path_encode(nonce, &w);
        }
        break;
    case 3:
        if (session_get_chain_decode(in, &hash) == IPX_OK) {
            session_get_chain_encode(&hash, &w);
        }
        break;
    case 4:
        if (session_chain_decode(in, &chain) == IPX_OK) {
            session_chain_encode(chain, &w);
        }
        break;
    case 5:
        if (session_reverse_decode(in, &reverse) == IPX_OK) {
            session_reverse_encode(&reverse, &w);
        }
        break;
    default:
        if (session_close_decode(in, &why) == IPX_OK) {
            session_close_encode(why, &w);
        }
        break;
    }
    assert(!w.failed);
    /* only what comes behind key 1 may be lost */
    assert(w.len == 0 || (w.len <= in.len && memcmp(bytes + 1, in.data + 1, w.len - 1) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct slice in = slice_of(data + 1, size - 1);
    switch (data[0] % 9) {
    case 0:
        init_check(in);
        break;
    case 1:
        resp_check(in);
        break;
    default:
        message_check((uint8_t)(data[0] % 9 - 2), in);
        break;
    }
    return 0;
}
