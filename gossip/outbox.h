/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Messages that wait for poll. Long ones (spread rounds, pushes, diffs) are written only when
 * poll asks; the short ones of an input lie here, encoded. The shell drains after every
 * input, so the room is for what one input makes; what does not fit is dropped and counted, as
 * the network might have done: every message is repeated by some timer.
 */
#include "gossip/member.h"

#define GOSSIP_OUTBOX_CAP 8192

struct gossip_outbox {
    uint8_t *bytes; /* records: head, body */
    size_t start, len;
    uint64_t n_dropped;
    uint8_t body[GOSSIP_BODY_MAX]; /* of the action handed out last */
};

struct gossip_peer { /* whom to send to: a member or a stranger that wrote to us */
    struct node_id id;
    struct addr addr;
};

IPX_MUST_USE enum ipx_err gossip_outbox_init(struct gossip_outbox *o, struct mem *mem);
void gossip_outbox_done(struct gossip_outbox *o, struct mem *mem);
void gossip_outbox_put(struct gossip_outbox *o, const struct gossip_peer *to, enum gossip_type type,
                       uint32_t req_id, const struct gossip_msg *m);
/* The next record; its body is copied to o->body. */
bool gossip_outbox_take(struct gossip_outbox *o, struct gossip_peer *ret_to, uint8_t *ret_type,
                        uint32_t *ret_req_id, struct slice *ret_body);
/* Where a member is reached: heard last, else its first address. */
struct gossip_peer gossip_peer_of(const struct gossip_member *m);
