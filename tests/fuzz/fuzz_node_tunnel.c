/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes in pieces against the reader of a tunnel: what it shows is what a reader of the whole would
 * show, and it stops at the same place. The first byte is the size of the pieces. */
#include "node/tunnel.h"

/* Messages of `bytes` in pieces of `piece`: a hash of all, and how it ended. */
static enum ipx_err read_all(struct slice bytes, size_t piece, uint64_t *ret_hash)
{
    struct tunnel_reader r = {0};
    enum ipx_err err = IPX_AGAIN;
    *ret_hash = 14695981039346656037u;
    for (size_t at = 0; at < bytes.len && err == IPX_AGAIN; at += piece) {
        struct slice left = slice_of(bytes.data + at, IPX_MIN(piece, bytes.len - at));
        struct tunnel_message m;
        while ((err = tunnel_next(&r, &left, &m)) == IPX_OK) {
            assert(m.type > 0 && m.type < 64 && m.body.len <= SESSION_BODY_MAX);
            *ret_hash = (*ret_hash ^ m.type) * 1099511628211u;
            *ret_hash = (*ret_hash ^ m.request_id) * 1099511628211u;
            for (size_t i = 0; i < m.body.len; i++) {
                *ret_hash = (*ret_hash ^ m.body.data[i]) * 1099511628211u;
            }
        }
        assert(err == IPX_AGAIN || err == IPX_MALFORMED);
    }
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t whole, pieces;
    if (size < 2) {
        return 0;
    }
    struct slice bytes = slice_of(data + 1, size - 1);
    enum ipx_err err = read_all(bytes, bytes.len, &whole);
    assert(read_all(bytes, (size_t)data[0] + 1, &pieces) == err && pieces == whole);
    return 0;
}
