/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the parts of the DHT object share beside its struct: sending, and what
 * follows from hearing or losing a peer. Not for use outside the folder.
 */
#include "dht/dht.h"

/* Every call begins with this: what the last action lent is over. */
void dht_enter(struct dht *d, uint64_t now_us);
/* Registers a request and fills the SEND action with `m`. There must be room in rpc. */
void dht_send_request(struct dht *d, const struct dht_wire_msg *m, const struct dht_call *call,
                      const struct addr *addr, struct dht_action *ret);
/* Heard in a confirmed session: enters the table or is renewed. */
void dht_on_peer(struct dht *d, const struct cert_facts *facts, const struct addr *addr);
/* Did not answer. */
void dht_on_silence(struct dht *d, const struct node_id *id);
void dht_strike(struct dht *d, const struct node_id *id);
void dht_emit(const struct dht *d, const char *event, const struct node_id *peer, uint64_t a,
              uint64_t b);

/* The answers that are owed (answer.c). */
void dht_answer_request(struct dht *d, const struct dht_msg *msg, const struct dht_wire_msg *m);
bool dht_answer_poll(struct dht *d, struct dht_action *ret);
