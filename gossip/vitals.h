/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Vitals: what a node's day is like right now, in 24 bytes (overlay 3.3).
 *
 * They choose candidates, they never decide: whoever needs the exact state asks
 * the node. A node's own vitals ride on its probes and acks; a signed copy is
 * spread when a quantised field moved, as often as the byte budget allows.
 */
#include "base/slice.h"

struct gossip;
struct gossip_item;
struct gossip_member;
struct gossip_peer;

#define GOSSIP_VITALS_LEN 24
#define GOSSIP_VITALS_GPUS 4

/* Bytes a second which the zone may spend on vitals, a node; an update costs
 * GOSSIP_VITALS_SENDS copies of about 125 bytes at each node (overlay 3.3). */
#define GOSSIP_VITALS_BUDGET 4096
#define GOSSIP_VITALS_SENDS 4
#define GOSSIP_VITALS_ITEM_LEN 125
#define GOSSIP_VITALS_RATE (GOSSIP_VITALS_BUDGET / (GOSSIP_VITALS_SENDS * GOSSIP_VITALS_ITEM_LEN))
#define GOSSIP_VITALS_INTERVAL_US (2 * US_PER_S) /* never more often than this, edges apart */
#define GOSSIP_VITALS_EDGE_US (500 * US_PER_MS)  /* an edge waits this long at least */
#define GOSSIP_VITALS_EDGE_BURST 3 /* early ones saved up: a job begins, fills up, ends */

enum gossip_vitals_flag { GOSSIP_VITALS_DRAINING = 1, GOSSIP_VITALS_ON_BATTERY = 2 };

struct gossip_vitals {
    uint16_t free_slots;
    uint16_t free_cores;
    uint16_t load_permille; /* of all cores; 1000 = every core busy */
    uint8_t flags;          /* enum gossip_vitals_flag; unknown bits are kept */
    uint32_t mem_free_mib;
    uint32_t queue_wait_ms;
    uint8_t gpu_free[GOSSIP_VITALS_GPUS]; /* log2 of free MiB, 0 = none */
    uint32_t epoch;                       /* rises with every change, within a boot */
};

void gossip_vitals_encode(const struct gossip_vitals *v, uint8_t out[static GOSSIP_VITALS_LEN]);
/* Every 24 bytes are vitals: there is nothing to refuse. */
void gossip_vitals_decode(const uint8_t in[static GOSSIP_VITALS_LEN], struct gossip_vitals *ret);
/* How far the two are apart: 0 = same when quantised (log2 steps, tenths of load; the epoch aside),
 * 1 = moved, 2 = an edge: a field moved two steps or to or from zero, or the flags changed. */
unsigned gossip_vitals_distance(const struct gossip_vitals *a, const struct gossip_vitals *b);

/* Own vitals changed. */
void gossip_vitals_set(struct gossip *g, uint64_t now_us, const struct gossip_vitals *v);
/* Those of a member, from a packet of itself or from a signed item that was checked. */
void gossip_vitals_hear(struct gossip *g, uint64_t now_us, struct gossip_member *m,
                        const struct gossip_vitals *v);
/* A signed item of anybody: newer ones are kept and passed on. */
void gossip_vitals_item(struct gossip *g, uint64_t now_us, const struct gossip_item *item,
                        const struct gossip_peer *from);
/* Signs and queues the own vitals if they moved and the budget allows; called on probe ticks. */
void gossip_vitals_tick(struct gossip *g, uint64_t now_us);
/* When an edge waits to be told: that time, else NEVER_US. */
uint64_t gossip_vitals_deadline(const struct gossip *g);
