/* SPDX-License-Identifier: Apache-2.0 */
#include "node/tunnel.h"

static const struct sm_state tunnel_states[] = {
    [TUNNEL_WATCHED] = {"watched", SM_TO(TUNNEL_DIALLING) | SM_TO(TUNNEL_UP), false},
    [TUNNEL_DIALLING] = {"dialling", SM_TO(TUNNEL_UP) | SM_TO(TUNNEL_FAILED), false},
    [TUNNEL_UP] = {"up", SM_TO(TUNNEL_FAILED), false},
    [TUNNEL_FAILED] = {"failed", SM_TO(TUNNEL_UP), false},
};
const struct sm_table node_tunnel_table = {"node tunnel", tunnel_states, ARRAY_LEN(tunnel_states)};

static void head_read(const uint8_t *head, struct tunnel_message *ret)
{
    ret->type = head[0];
    ret->request_id = load_be32(head + 1);
    ret->body = slice_of(head + SESSION_MESSAGE_HEADER, load_be16(head + 5));
}

static bool head_is_good(const uint8_t *head)
{
    return head[0] > 0 && head[0] < 64 && load_be16(head + 5) <= SESSION_BODY_MAX;
}

/* Fills the kept message up to `len` bytes; false: there were too few. */
static bool fill(struct tunnel_reader *r, struct slice *bytes, size_t len)
{
    size_t n = IPX_MIN(len - r->len, bytes->len);
    memcpy(r->bytes + r->len, bytes->data, n);
    r->len = (uint16_t)(r->len + n);
    *bytes = slice_of(bytes->data + n, bytes->len - n);
    return r->len == len;
}

enum ipx_err tunnel_next(struct tunnel_reader *r, struct slice *bytes, struct tunnel_message *ret)
{
    if (r->is_out) {
        r->is_out = false;
        r->len = 0;
    }
    if (bytes->len == 0) {
        return IPX_AGAIN;
    }
    if (r->len == 0 && bytes->len >= SESSION_MESSAGE_HEADER && head_is_good(bytes->data)) {
        size_t len = SESSION_MESSAGE_HEADER + (size_t)load_be16(bytes->data + 5);
        if (bytes->len >= len) {
            head_read(bytes->data, ret);
            *bytes = slice_of(bytes->data + len, bytes->len - len);
            return IPX_OK;
        }
    }
    if (r->len < SESSION_MESSAGE_HEADER && !fill(r, bytes, SESSION_MESSAGE_HEADER)) {
        return IPX_AGAIN;
    }
    if (!head_is_good(r->bytes)) {
        return IPX_MALFORMED;
    }
    if (!fill(r, bytes, SESSION_MESSAGE_HEADER + (size_t)load_be16(r->bytes + 5))) {
        return IPX_AGAIN;
    }
    head_read(r->bytes, ret);
    r->is_out = true;
    return IPX_OK;
}

void tunnel_put(struct writer *w, const struct tunnel_message *m)
{
    assert(m->body.len <= SESSION_BODY_MAX);
    writer_u8(w, m->type);
    writer_u32(w, m->request_id);
    writer_u16(w, (uint16_t)m->body.len);
    writer_bytes(w, m->body);
}
