/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the gossip modules share on the whole object: marking news for poll, sending, tracing,
 * making room. Not part of the face: nobody outside the folder includes it.
 */
#include "gossip/gossip.h"

void gossip_news(struct gossip *g, struct gossip_member *m, unsigned bits);
void gossip_send(struct gossip *g, const struct gossip_peer *to, enum gossip_type type,
                 uint32_t req_id, const struct gossip_msg *m);
uint16_t gossip_slot_of(const struct gossip *g, const struct node_id *id);
void gossip_event(struct gossip *g, const char *event, const struct node_id *peer, uint64_t a);
/* Room for a newcomer: drops the oldest tombstone. False when all are alive. */
bool gossip_make_room(struct gossip *g);
void gossip_forget(struct gossip *g, struct gossip_member *m);
/* The next packet of the present round. */
bool gossip_spread_poll(struct gossip *g, struct gossip_peer *ret_to, struct slice *ret_body);
