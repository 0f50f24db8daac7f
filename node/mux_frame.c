/* SPDX-License-Identifier: Apache-2.0 */
#include "node/mux_frame.h"

/* What each type allows; the index is the type. */
static const struct mux_shape {
    uint16_t length_min, length_max;
    uint8_t flags;
    bool needs_stream; /* stream 0 refused */
    bool is_of_link;   /* any other stream refused */
} mux_shapes[] = {
    [MUX_TYPE_OPEN] = {8, 8, 0, true, false},
    [MUX_TYPE_DATA] = {1, MUX_PAYLOAD_MAX, 0, true, false},
    [MUX_TYPE_WINDOW] = {4, 4, MUX_FLAG_ACK, false, false},
    [MUX_TYPE_FIN] = {0, 0, 0, true, false},
    [MUX_TYPE_RESET] = {4, 4, 0, true, false},
    [MUX_TYPE_PING] = {8, 8, MUX_FLAG_ACK, false, true},
    [MUX_TYPE_GOAWAY] = {8, 8, 0, false, true},
    [MUX_TYPE_SETTINGS] = {0, MUX_BODY_MAX, 0, false, true},
};

void mux_frame_encode(const struct mux_frame *f, uint8_t ret[static MUX_HEADER_LEN])
{
    ret[0] = f->type;
    ret[1] = f->flags;
    store_be16(ret + 2, f->length);
    store_be32(ret + 4, f->stream);
}

enum ipx_err mux_frame_decode(const uint8_t in[static MUX_HEADER_LEN], struct mux_frame *ret)
{
    struct mux_frame f = {in[0], in[1], load_be16(in + 2), load_be32(in + 4)};
    if (f.type < MUX_TYPE_OPEN || f.type > MUX_TYPE_SETTINGS) {
        return IPX_MALFORMED;
    }
    const struct mux_shape *shape = &mux_shapes[f.type];
    bool is_wrong = f.length < shape->length_min || f.length > shape->length_max ||
                    (f.flags & ~shape->flags) != 0 || (shape->needs_stream && f.stream == 0) ||
                    (shape->is_of_link && f.stream != 0);
    if (is_wrong) {
        return IPX_MALFORMED;
    }
    *ret = f;
    return IPX_OK;
}
