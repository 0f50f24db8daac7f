/* SPDX-License-Identifier: Apache-2.0 */
#include "node/framing.h"

#include "node/mux.h"

static_assert(FRAMING_HEAD_LEN + FRAMING_BODY_MAX <= MUX_MESSAGE_MAX, "a message fits a send");

#define FRAMING_LENGTH_LEN 4

void framing_init(struct framing *f, struct mem *mem, size_t body_max)
{
    assert(body_max <= FRAMING_BODY_MAX);
    *f = (struct framing){.body_max = body_max};
    buf_init(&f->partial, mem, FRAMING_HEAD_LEN + body_max);
}

void framing_done(struct framing *f)
{
    if (f->partial.mem != NULL) {
        buf_done(&f->partial);
    }
    f->is_partial_out = false;
}

/* Length of the whole message, from its first four bytes. */
static enum ipx_err framing_length(const struct framing *f,
                                   const uint8_t in[static FRAMING_LENGTH_LEN], size_t *ret)
{
    uint32_t length = load_be32(in);
    if (length == 0) {
        return IPX_MALFORMED;
    }
    if (length - 1 > f->body_max) {
        return IPX_LIMIT;
    }
    *ret = FRAMING_LENGTH_LEN + (size_t)length;
    return IPX_OK;
}

/* Moves bytes to `partial` until it holds `want`. */
static enum ipx_err framing_gather(struct framing *f, struct slice *bytes, size_t want)
{
    if (f->partial.len >= want) {
        return IPX_OK;
    }
    size_t n = IPX_MIN(want - f->partial.len, bytes->len);
    enum ipx_err err = buf_append(&f->partial, slice_of(bytes->data, n));
    if (err != IPX_OK) {
        return IPX_NO_MEMORY;
    }
    *bytes = slice_of(bytes->data + n, bytes->len - n);
    return f->partial.len >= want ? IPX_OK : IPX_AGAIN;
}

static void framing_show(struct slice message, uint8_t *ret_type, struct slice *ret_body)
{
    *ret_type = message.data[FRAMING_LENGTH_LEN];
    *ret_body = slice_of(message.data + FRAMING_HEAD_LEN, message.len - FRAMING_HEAD_LEN);
}

enum ipx_err framing_next(struct framing *f, struct slice *bytes, uint8_t *ret_type,
                          struct slice *ret_body)
{
    size_t total = 0;
    if (f->is_partial_out) {
        f->is_partial_out = false;
        buf_clear(&f->partial);
    }
    if (bytes->len == 0) {
        return IPX_AGAIN;
    }
    if (f->partial.len == 0 && bytes->len >= FRAMING_LENGTH_LEN) {
        enum ipx_err err = framing_length(f, bytes->data, &total);
        if (err != IPX_OK) {
            return err;
        }
        if (bytes->len >= total) {
            framing_show(slice_of(bytes->data, total), ret_type, ret_body);
            *bytes = slice_of(bytes->data + total, bytes->len - total);
            return IPX_OK;
        }
    }
    enum ipx_err err = framing_gather(f, bytes, FRAMING_LENGTH_LEN);
    if (err == IPX_OK) {
        err = framing_length(f, buf_slice(&f->partial).data, &total);
    }
    if (err == IPX_OK) {
        err = framing_gather(f, bytes, total);
    }
    if (err == IPX_OK) {
        framing_show(buf_slice(&f->partial), ret_type, ret_body);
        f->is_partial_out = true;
    }
    return err;
}

bool framing_is_between(const struct framing *f)
{
    return f->partial.len == 0 || f->is_partial_out;
}

void framing_head(uint8_t type, size_t body_len, uint8_t ret[static FRAMING_HEAD_LEN])
{
    assert(body_len <= FRAMING_BODY_MAX);
    store_be32(ret, (uint32_t)body_len + 1);
    ret[FRAMING_LENGTH_LEN] = type;
}

bool framing_send(struct mux *m, uint32_t stream, uint8_t type, struct slice body)
{
    uint8_t head[FRAMING_HEAD_LEN];
    framing_head(type, body.len, head);
    return mux_send_message(m, stream, slice_of(head, sizeof(head)), body);
}
