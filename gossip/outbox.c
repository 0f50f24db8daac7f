/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/outbox.h"

struct outbox_head {
    struct gossip_peer to;
    uint32_t req_id;
    uint16_t body_len;
    uint8_t type;
};

enum ipx_err gossip_outbox_init(struct gossip_outbox *o, struct mem *mem)
{
    *o = (struct gossip_outbox){0};
    o->bytes = mem_alloc(mem, GOSSIP_OUTBOX_CAP);
    return o->bytes == NULL ? IPX_NO_MEMORY : IPX_OK;
}

void gossip_outbox_done(struct gossip_outbox *o, struct mem *mem)
{
    mem_free(mem, o->bytes);
    *o = (struct gossip_outbox){0};
}

void gossip_outbox_put(struct gossip_outbox *o, const struct gossip_peer *to, enum gossip_type type,
                       uint32_t req_id, const struct gossip_msg *m)
{
    struct outbox_head head = {.to = *to, .req_id = req_id, .type = (uint8_t)type};
    if (GOSSIP_OUTBOX_CAP - o->len < sizeof(head)) {
        o->n_dropped++;
        return;
    }
    uint8_t *at = o->bytes + o->len;
    size_t room = GOSSIP_OUTBOX_CAP - o->len - sizeof(head);
    struct writer w = writer_of(at + sizeof(head), IPX_MIN(room, (size_t)GOSSIP_BODY_MAX));
    gossip_msg_encode(type, m, &w);
    if (w.failed) {
        o->n_dropped++;
        return;
    }
    head.body_len = (uint16_t)w.len;
    memcpy(at, &head, sizeof(head));
    o->len += sizeof(head) + w.len;
}

bool gossip_outbox_take(struct gossip_outbox *o, struct gossip_peer *ret_to, uint8_t *ret_type,
                        uint32_t *ret_req_id, struct slice *ret_body)
{
    struct outbox_head head;
    if (o->start == o->len) {
        return false;
    }
    memcpy(&head, o->bytes + o->start, sizeof(head));
    memcpy(o->body, o->bytes + o->start + sizeof(head), head.body_len);
    o->start += sizeof(head) + head.body_len;
    if (o->start == o->len) {
        o->start = o->len = 0;
    }
    *ret_to = head.to;
    *ret_type = head.type;
    *ret_req_id = head.req_id;
    *ret_body = slice_of(o->body, head.body_len);
    return true;
}

struct gossip_peer gossip_peer_of(const struct gossip_member *m)
{
    struct gossip_peer peer = {.id = m->facts.id, .addr = m->addr};
    if (peer.addr.family == ADDR_NONE && m->n_addrs > 0) {
        peer.addr = m->addrs[0];
    }
    return peer;
}
